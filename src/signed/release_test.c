/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/text.h"
#include "signed/release.h"

#include <stdio.h>

/* n programs under pins of `pin_len` bytes, as CBOR. */
static void programs(unsigned n, int pin_len, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf records = TR_BUF_INIT;
	struct tr_err err;

	for (unsigned i = 0; i < n; i++) {
		uint8_t object[32], sha1[8], sha256[8];
		char pin[140];
		struct tr_release_bpf p = { .object = TR_VIEW_ARRAY(object), .tag_sha1 = TR_VIEW_ARRAY(sha1),
					    .tag_sha256 = TR_VIEW_ARRAY(sha256) };

		(void)snprintf(pin, sizeof(pin), "troth/%0*u", pin_len - 6, i);
		p.pin = tr_view_str(pin);
		memset(object, (int)i, sizeof(object));
		memset(sha1, 1, sizeof(sha1));
		memset(sha256, 2, sizeof(sha256));
		tr_records_add(&records, &tr_release_bpf_def, &p);
	}
	assert_int_equal(tr_release_bpf_put(tr_buf_view(&records), ret, &err), TR_OK);
}

static struct tr_release sample(void)
{
	struct tr_release r = {
		.name = TR_VIEW_LIT("troth-agent"),
		.version = TR_VIEW_LIT("1.2.3"),
		.platform = TR_VIEW_LIT("linux-amd64"),
		.size = INT64_MAX,
		.counter = 42,
		.issued_ms = NOW_MS,
		.expires_ms = NOW_MS + 1,
	};

	memset(r.sha256, 0x5a, sizeof(r.sha256));
	return r;
}

static enum tr_code verify(void *key, struct tr_view in)
{
	struct tr_release r;
	struct tr_err err;

	return tr_release_verify(in, key, &r, &err);
}

static void a_statement_comes_back_as_it_was_signed(void **state)
{
	(void)state;
	for (enum tr_key_type t = TR_KEY_ED25519; t < TR_KEY_TYPE_N; t++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(t);
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_release in = sample(), out;
		struct tr_view kid;
		struct tr_err err;

		/* Both with and without an expiry. */
		in.expires_ms = t == TR_KEY_P256 ? 0 : in.expires_ms;
		assert_int_equal(tr_release_sign(&in, k, &b, &err), TR_OK);
		assert_true(b.n <= TR_RELEASE_MAX);
		assert_int_equal(tr_release_verify(tr_buf_view(&b), tr_privkey_pub(k), &out, &err), TR_OK);
		assert_true(tr_view_eq(in.name, out.name) && tr_view_eq(in.version, out.version) &&
			    tr_view_eq(in.platform, out.platform));
		assert_true(in.size == out.size && in.counter == out.counter &&
			    in.issued_ms == out.issued_ms && in.expires_ms == out.expires_ms);
		assert_memory_equal(in.sha256, out.sha256, 32);
		assert_int_equal(tr_release_unverified_kid(tr_buf_view(&b), &kid, &err), TR_OK);
		assert_int_equal(kid.n, TR_KID_LEN);
		assert_memory_equal(kid.p, tr_pubkey_id(tr_privkey_pub(k)), TR_KID_LEN);
		assert_int_equal(tr_release_unverified(tr_buf_view(&b), &out, &err), TR_OK);
		assert_memory_equal(in.sha256, out.sha256, 32);
	}
}

static void programs_come_back_as_they_were_signed(void **state)
{
	static const struct {
		const char *label;
		unsigned n, bits;
		int pin_len;
		bool fits;
	} cases[] = {
		{ "one", 1, 2048, 12, true },
		{ "as many as there may be", 64, 4096, 32, true },
		{ "long pins", 30, 2048, 128, true },
		{ "as many, with long pins", 64, 2048, 128, false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(cases[i].bits > 2048 ? TR_KEY_RSA : TR_KEY_ED25519);
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, cbor = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf records = TR_BUF_INIT, again = TR_BUF_INIT;
		struct tr_release in = sample(), out;
		struct tr_release_bpf p;
		struct tr_err err;

		programs(cases[i].n, cases[i].pin_len, &cbor);
		in.bpf = tr_buf_view(&cbor);
		/* Not signed when nobody would read it. */
		CHECK((tr_release_sign(&in, k, &b, &err) == TR_OK) == cases[i].fits, cases[i].label);
		/* new_key makes RSA keys of 2048 bits: room for the signature of one of 4096. */
		CHECK(b.n + (cases[i].bits - 2048) / 8 <= TR_RELEASE_MAX, cases[i].label);
		if (!cases[i].fits)
			continue;
		assert_int_equal(tr_release_verify(tr_buf_view(&b), tr_privkey_pub(k), &out, &err), TR_OK);
		assert_true(tr_view_eq(out.bpf, in.bpf));
		assert_int_equal(tr_release_bpf_get(out.bpf, &records, &err), TR_OK);
		assert_true(records.n <= TR_RELEASE_BPF_BYTES);
		assert_true(tr_release_bpf_find(tr_buf_view(&records), TR_VIEW_LIT("troth/000000"), &p) == (cases[i].pin_len == 12));
		assert_false(tr_release_bpf_find(tr_buf_view(&records), TR_VIEW_LIT("troth/x"), &p));
		assert_int_equal(tr_release_bpf_put(tr_buf_view(&records), &again, &err), TR_OK);
		assert_true(tr_view_eq(tr_buf_view(&again), in.bpf));
	}
}

static void a_list_of_programs_has_one_form(void **state)
{
	/* Entries in short: pin, bytes of object and tags. NULL ends. */
	static const struct {
		const char *label;
		struct {
			const char *pin;
			size_t object, sha1, sha256;
		} p[2];
		bool want;
	} cases[] = {
		{ "two", { { "a", 32, 8, 8 }, { "b", 32, 8, 8 } }, true },
		{ "longer after shorter", { { "a", 32, 8, 8 }, { "aa", 32, 8, 8 } }, true },
		{ "none", { { NULL, 0, 0, 0 } }, false },
		{ "out of order", { { "b", 32, 8, 8 }, { "a", 32, 8, 8 } }, false },
		{ "twice", { { "a", 32, 8, 8 }, { "a", 32, 8, 8 } }, false },
		{ "no pin", { { "", 32, 8, 8 } }, false },
		{ "short object", { { "a", 31, 8, 8 } }, false },
		{ "no object", { { "a", 0, 8, 8 } }, false },
		{ "no tag by SHA-1", { { "a", 32, 0, 8 } }, false },
		{ "short tag by SHA-256", { { "a", 32, 8, 7 } }, false },
	};
	static const uint8_t bytes[40];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf cbor = TR_BUF_INIT, records = TR_BUF_INIT, written = TR_BUF_INIT;
		size_t n = 0;
		struct tr_err err;

		while (n < 2 && cases[i].p[n].pin)
			n++;
		tr_cbor_put_array(&cbor, n);
		for (size_t k = 0; k < n; k++) {
			struct tr_release_bpf p = { .pin = tr_view_str(cases[i].p[k].pin),
						    .object = tr_view(bytes, cases[i].p[k].object),
						    .tag_sha1 = tr_view(bytes, cases[i].p[k].sha1),
						    .tag_sha256 = tr_view(bytes, cases[i].p[k].sha256) };

			tr_cbor_put_array(&cbor, 4);
			tr_cbor_put_text(&cbor, p.pin);
			tr_cbor_put_bytes(&cbor, p.object);
			tr_cbor_put_bytes(&cbor, p.tag_sha1);
			tr_cbor_put_bytes(&cbor, p.tag_sha256);
			tr_records_add(&records, &tr_release_bpf_def, &p);
		}
		CHECK((tr_release_bpf_get(tr_buf_view(&cbor), NULL, &err) == TR_OK) == cases[i].want, cases[i].label);
		CHECK((tr_release_bpf_put(tr_buf_view(&records), &written, &err) == TR_OK) == cases[i].want, cases[i].label);
	}
}

/* A statement of 0.1.0 is the same bytes as ever: the payload of the sample, as that version wrote it. */
static void without_programs_nothing_has_changed(void **state)
{
	static const char want[] = "a8016b74726f74682d6167656e740265312e322e33036b6c696e75782d616d643634041b7fffffffffffffff0558205a5a5a5a"
				   "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a06182a";
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, hex = TR_BUF_INIT;
	struct tr_release in = sample();
	struct tr_cose c;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_release_sign(&in, k, &b, &err), TR_OK);
	assert_int_equal(tr_cose1_parse(tr_buf_view(&b), TR_RELEASE_MAX, &c, &err), TR_OK);
	tr_hex_add(&hex, c.payload);
	assert_memory_equal(tr_buf_cstr(&hex), want, sizeof(want) - 1);
	/* Behind it the two times, of nine bytes and a key each. */
	assert_int_equal(hex.n, sizeof(want) - 1 + 2 * 2 * 10);
}

static void no_flipped_bit_is_accepted(void **state)
{
	(void)state;
	for (enum tr_key_type t = TR_KEY_ED25519; t < TR_KEY_TYPE_N; t++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(t);
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, cbor = TR_BUF_INIT;
		struct tr_release in = sample();
		struct tr_err err;
		union {
			const struct tr_pubkey *in;
			void *out;
		} key = { tr_privkey_pub(k) };

		programs(3, 12, &cbor);
		in.bpf = tr_buf_view(&cbor);
		assert_int_equal(tr_release_sign(&in, k, &b, &err), TR_OK);
		assert_int_equal(accepted_mutations(tr_buf_view(&b), verify, key.out), 0);
	}
}

static void another_key_and_another_domain_are_denied(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *a = new_key(TR_KEY_ED25519);
	tr_auto(tr_privkey_free) struct tr_privkey *b = new_key(TR_KEY_RSA);
	tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT, bad = TR_BUF_INIT;
	struct tr_release r = sample(), out;
	struct tr_cose c;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_release_sign(&r, a, &good, &err), TR_OK);
	assert_int_equal(tr_release_verify(tr_buf_view(&good), tr_privkey_pub(b), &out, &err), TR_E_DENIED);
	assert_int_equal(tr_cose1_parse(tr_buf_view(&good), TR_RELEASE_MAX, &c, &err), TR_OK);
	assert_int_equal(tr_cose1_sign(a, "troth/claim/v1", c.payload, &bad, &err), TR_OK);
	assert_int_equal(tr_release_verify(tr_buf_view(&bad), tr_privkey_pub(a), &out, &err), TR_E_DENIED);
}

static void fields_out_of_their_grammar_are_not_signed(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	static const struct {
		const char *label, *name, *version, *platform;
		int64_t issued, expires;
		enum tr_code want;
	} cases[] = {
		{ "good", "a", "1", "p", 1, 2, TR_OK },
		{ "never expires", "a", "1", "p", 1, 0, TR_OK },
		{ "no name", "", "1", "p", 1, 2, TR_E_INVALID },
		{ "a path for a name", "../a", "1", "p", 1, 2, TR_E_INVALID },
		{ "no version", "a", "", "p", 1, 2, TR_E_INVALID },
		{ "version of words", "a", "new", "p", 1, 2, TR_E_INVALID },
		{ "no platform", "a", "1", "", 1, 2, TR_E_INVALID },
		{ "platform with a slash", "a", "1", "linux/amd64", 1, 2, TR_E_INVALID },
		{ "no time of issue", "a", "1", "p", 0, 2, TR_E_INVALID },
		{ "expires at once", "a", "1", "p", 5, 5, TR_E_INVALID },
		{ "expired before", "a", "1", "p", 5, 4, TR_E_INVALID },
		{ "expires after the year 9999", "a", "1", "p", 5, INT64_MAX, TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_release r = {
			.name = tr_view_str(cases[i].name),
			.version = tr_view_str(cases[i].version),
			.platform = tr_view_str(cases[i].platform),
			.issued_ms = cases[i].issued,
			.expires_ms = cases[i].expires,
		};
		struct tr_err err;

		CHECK(tr_release_sign(&r, k, &b, &err) == cases[i].want, cases[i].label);
	}
}

static void size_and_counter_have_63_bits(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_release r = sample();
	struct tr_err err;

	(void)state;
	r.counter = r.size = INT64_MAX;
	assert_int_equal(tr_release_sign(&r, k, &b, &err), TR_OK);
	r.counter = (uint64_t)INT64_MAX + 1;
	assert_int_equal(tr_release_sign(&r, k, &b, &err), TR_E_INVALID);
	r.counter = 1;
	r.size = UINT64_MAX;
	assert_int_equal(tr_release_sign(&r, k, &b, &err), TR_E_INVALID);
}

/* An expiry of 0 written out would be a second form of "never"; an unknown key may be a condition that we would
 * overlook. */
static void one_statement_has_one_form(void **state)
{
	static const int64_t surplus[] = { 8, 9, 10 };
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, p = TR_BUF_INIT, bad = TR_BUF_INIT;
	struct tr_release r = sample(), out;
	struct tr_cose c;
	struct tr_err err;

	(void)state;
	r.expires_ms = 0;
	assert_int_equal(tr_release_sign(&r, k, &b, &err), TR_OK);
	assert_int_equal(tr_cose1_parse(tr_buf_view(&b), TR_RELEASE_MAX, &c, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(surplus); i++) {
		tr_buf_clear(&p);
		tr_buf_clear(&bad);
		tr_buf_addv(&p, c.payload);
		assert_int_equal(p.p[0], 0xa7);
		p.p[0] = 0xa8;
		tr_cbor_put_int(&p, surplus[i]);
		tr_cbor_put_int(&p, 0);
		assert_int_equal(tr_cose1_sign(k, TR_RELEASE_DOMAIN, tr_buf_view(&p), &bad, &err), TR_OK);
		assert_int_equal(tr_release_verify(tr_buf_view(&bad), tr_privkey_pub(k), &out, &err),
				 TR_E_INVALID);
	}
}

static int setup(void **state)
{
	struct tr_err err;

	(void)state;
	return tr_crypto_init(&err) == TR_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_statement_comes_back_as_it_was_signed),
		cmocka_unit_test(programs_come_back_as_they_were_signed),
		cmocka_unit_test(a_list_of_programs_has_one_form),
		cmocka_unit_test(without_programs_nothing_has_changed),
		cmocka_unit_test(no_flipped_bit_is_accepted),
		cmocka_unit_test(another_key_and_another_domain_are_denied),
		cmocka_unit_test(fields_out_of_their_grammar_are_not_signed),
		cmocka_unit_test(size_and_counter_have_63_bits),
		cmocka_unit_test(one_statement_has_one_form),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
