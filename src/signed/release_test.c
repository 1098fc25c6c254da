/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/release.h"

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

static void no_flipped_bit_is_accepted(void **state)
{
	(void)state;
	for (enum tr_key_type t = TR_KEY_ED25519; t < TR_KEY_TYPE_N; t++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(t);
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_release in = sample();
		struct tr_err err;
		union {
			const struct tr_pubkey *in;
			void *out;
		} key = { tr_privkey_pub(k) };

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
	static const int64_t surplus[] = { 8, 9 };
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
		cmocka_unit_test(no_flipped_bit_is_accepted),
		cmocka_unit_test(another_key_and_another_domain_are_denied),
		cmocka_unit_test(fields_out_of_their_grammar_are_not_signed),
		cmocka_unit_test(size_and_counter_have_63_bits),
		cmocka_unit_test(one_statement_has_one_form),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
