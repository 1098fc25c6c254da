/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/text.h"
#include "signed/claim.h"

static const uint8_t challenge[TR_CHALLENGE_LEN] = { 1, 2, 3 };
static const uint8_t exporter[TR_EXPORTER_LEN] = { 4, 5, 6 };

static struct tr_claim sample(void)
{
	struct tr_claim c = {
		.node_id = TR_VIEW_LIT("web-1"),
		.version = TR_VIEW_LIT("v1.2.3"),
		.timestamp_ms = NOW_MS,
		.challenge = TR_VIEW_ARRAY(challenge),
		.exporter = TR_VIEW_ARRAY(exporter),
		.release = TR_VIEW_LIT("a statement"),
		.disk_path = TR_VIEW_LIT("/usr/sbin/troth-agent"),
		.disk_differs = true,
	};

	memset(c.binary_hash, 0xab, sizeof(c.binary_hash));
	memset(c.disk_hash, 0xcd, sizeof(c.disk_hash));
	return c;
}

static const struct {
	const char *label;
	enum tr_key_type type;
	enum tr_sig_alg alg;
} schemes[] = {
	{ "ed25519", TR_KEY_ED25519, TR_SIG_ED25519 },
	{ "p256", TR_KEY_P256, TR_SIG_ES256 },
	{ "rsa-pss", TR_KEY_RSA, TR_SIG_PS256 },
	{ "rsa-pkcs1", TR_KEY_RSA, TR_SIG_RS256 },
};

static enum tr_code verify(void *key, struct tr_view in)
{
	struct tr_claim c;
	struct tr_err err;

	return tr_claim_verify(in, key, &c, &err);
}

static void a_claim_comes_back_as_it_was_signed(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(schemes); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(schemes[i].type);
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_claim in = sample(), out;
		struct tr_err err;

		CHECK(tr_claim_sign_alg(&in, k, schemes[i].alg, &b, &err) == TR_OK, schemes[i].label);
		if (tr_claim_verify(tr_buf_view(&b), tr_privkey_pub(k), &out, &err))
			fail_msg("%s: %s", schemes[i].label, err.detail);
		CHECK(tr_view_eq(in.node_id, out.node_id), schemes[i].label);
		CHECK(tr_view_eq(in.version, out.version), schemes[i].label);
		CHECK(tr_view_is(out.software, TR_CLAIM_SWNAME), schemes[i].label);
		CHECK(in.timestamp_ms == out.timestamp_ms, schemes[i].label);
		CHECK(tr_view_eq(in.challenge, out.challenge), schemes[i].label);
		CHECK(tr_view_eq(in.exporter, out.exporter), schemes[i].label);
		CHECK(tr_view_eq(in.release, out.release), schemes[i].label);
		CHECK(out.disk_differs && tr_view_eq(in.disk_path, out.disk_path), schemes[i].label);
		assert_memory_equal(in.binary_hash, out.binary_hash, 32);
		assert_memory_equal(in.disk_hash, out.disk_hash, 32);
		assert_memory_equal(out.key_id, tr_pubkey_id(tr_privkey_pub(k)), 32);
	}
}

static void no_flipped_bit_is_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(schemes); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(schemes[i].type);
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_claim in = sample();
		struct tr_err err;
		union {
			const struct tr_pubkey *in;
			void *out;
		} key = { tr_privkey_pub(k) };

		CHECK(tr_claim_sign_alg(&in, k, schemes[i].alg, &b, &err) == TR_OK, schemes[i].label);
		assert_int_equal(accepted_mutations(tr_buf_view(&b), verify, key.out), 0);
	}
}

static void a_claim_by_another_key_is_told_apart(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *a = new_key(TR_KEY_ED25519);
	tr_auto(tr_privkey_free) struct tr_privkey *b = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	struct tr_claim c = sample(), out = { 0 };
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_claim_sign(&c, a, &bytes, &err), TR_OK);
	assert_int_equal(tr_claim_verify(tr_buf_view(&bytes), tr_privkey_pub(b), &out, &err), TR_E_CONFLICT);
	/* Untouched on error. */
	assert_int_equal(out.node_id.n, 0);
}

static void fields_out_of_their_grammar_are_not_signed(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	static const struct {
		const char *label;
		const char *node, *version;
		int64_t time;
		size_t challenge, exporter, path;
	} cases[] = {
		{ "good", "web-1", "1.2.3", NOW_MS, 32, 32, 9 },
		{ "colon in node id", "web:1", "1.2.3", NOW_MS, 32, 32, 9 },
		{ "empty node id", "", "1.2.3", NOW_MS, 32, 32, 9 },
		{ "version of words", "web-1", "latest", NOW_MS, 32, 32, 9 },
		{ "no time", "web-1", "1.2.3", 0, 32, 32, 9 },
		{ "time before 1970", "web-1", "1.2.3", -5, 32, 32, 9 },
		{ "year 10000", "web-1", "1.2.3", INT64_C(253402300800000), 32, 32, 9 },
		{ "short challenge", "web-1", "1.2.3", NOW_MS, 31, 32, 9 },
		{ "no challenge", "web-1", "1.2.3", NOW_MS, 0, 32, 9 },
		{ "short exporter", "web-1", "1.2.3", NOW_MS, 32, 16, 9 },
		{ "no path", "web-1", "1.2.3", NOW_MS, 32, 32, 0 },
		{ "long path", "web-1", "1.2.3", NOW_MS, 32, 32, 256 },
	};
	static const uint8_t bytes[256] = { '/' };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_claim c = sample();
		struct tr_err err;

		c.node_id = tr_view_str(cases[i].node);
		c.version = tr_view_str(cases[i].version);
		c.timestamp_ms = cases[i].time;
		c.challenge = tr_view(bytes, cases[i].challenge);
		c.exporter = tr_view(bytes, cases[i].exporter);
		c.disk_path = tr_view(bytes, cases[i].path);
		CHECK(tr_claim_sign(&c, k, &b, &err) == (i == 0 ? TR_OK : TR_E_INVALID), cases[i].label);
		CHECK(i == 0 || b.n == 0, cases[i].label);
	}
}

/* Payloads signed by the right key that are not a claim of this profile. */
static void a_good_signature_does_not_excuse_the_form(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	static const struct {
		const char *label;
		const char *hex; /* of the payload */
	} cases[] = {
		{ "empty map", "a0" },
		{ "not a map", "01" },
		{ "only a time", "a1061a6aff0000" },
		{ "unknown key", "a1187b01" },
		{ "indefinite map", "bfff" },
		{ "nothing", "" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		uint8_t payload[16];
		size_t n = strlen(cases[i].hex) / 2;
		struct tr_claim out;
		struct tr_err err;

		assert_true(tr_hex_get(tr_view_str(cases[i].hex), payload, n));
		assert_int_equal(tr_cose1_sign(k, TR_CLAIM_DOMAIN, tr_view(payload, n), &b, &err), TR_OK);
		CHECK(tr_claim_verify(tr_buf_view(&b), tr_privkey_pub(k), &out, &err) == TR_E_INVALID,
		      cases[i].label);
	}
}

/* Somebody with the device key alters one field of a good payload and signs it again. */
static void a_field_that_contradicts_is_refused(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	const struct {
		const char *label;
		struct tr_view at; /* found in the payload; its last byte is changed by `flip` */
		uint8_t flip;
		enum tr_code want;
	} cases[] = {
		{ "nothing", TR_VIEW_LIT(TR_CLAIM_PROFILE), 0, TR_OK },
		{ "another profile", TR_VIEW_LIT(TR_CLAIM_PROFILE), '1' ^ '2', TR_E_INVALID },
		{ "another key", tr_view(tr_pubkey_id(tr_privkey_pub(k)), 32), 1, TR_E_CONFLICT },
		{ "node id with a colon", TR_VIEW_LIT("web-"), '-' ^ ':', TR_E_INVALID },
		{ "another confirmation method", TR_VIEW_LIT("\x08\xa1\x03"), 1, TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT, payload = TR_BUF_INIT, bad = TR_BUF_INIT;
		struct tr_claim c = sample(), out;
		struct tr_cose cose;
		struct tr_err err;
		uint8_t *at;

		assert_int_equal(tr_claim_sign(&c, k, &good, &err), TR_OK);
		assert_int_equal(tr_cose1_parse(tr_buf_view(&good), TR_CLAIM_MAX, &cose, &err), TR_OK);
		tr_buf_addv(&payload, cose.payload);
		at = memmem(payload.p, payload.n, cases[i].at.p, cases[i].at.n);
		assert_non_null(at);
		at[cases[i].at.n - 1] ^= cases[i].flip;
		assert_int_equal(tr_cose1_sign(k, TR_CLAIM_DOMAIN, tr_buf_view(&payload), &bad, &err), TR_OK);
		CHECK(tr_claim_verify(tr_buf_view(&bad), tr_privkey_pub(k), &out, &err) == cases[i].want,
		      cases[i].label);
	}
}

static void a_signature_of_another_domain_is_refused(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT, bad = TR_BUF_INIT;
	struct tr_claim c = sample(), out;
	struct tr_cose cose;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_claim_sign(&c, k, &good, &err), TR_OK);
	assert_int_equal(tr_cose1_parse(tr_buf_view(&good), TR_CLAIM_MAX, &cose, &err), TR_OK);
	assert_int_equal(tr_cose1_sign(k, "troth/release/v1", cose.payload, &bad, &err), TR_OK);
	assert_int_equal(tr_claim_verify(tr_buf_view(&bad), tr_privkey_pub(k), &out, &err), TR_E_DENIED);
}

/* Somebody in between adds a header that nobody signed. */
static void an_unsigned_header_is_refused(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT, bad = TR_BUF_INIT;
	struct tr_claim c = sample(), out;
	struct tr_cose cose;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_claim_sign(&c, k, &good, &err), TR_OK);
	assert_int_equal(tr_cose1_parse(tr_buf_view(&good), TR_CLAIM_MAX, &cose, &err), TR_OK);
	tr_cbor_put_tag(&bad, 18);
	tr_cbor_put_array(&bad, 4);
	tr_cbor_put_bytes(&bad, cose.sigs[0].protected_hdr);
	tr_cbor_put_map(&bad, 1);
	tr_cbor_put_int(&bad, 100);
	tr_cbor_put_int(&bad, 1);
	tr_cbor_put_bytes(&bad, cose.payload);
	tr_cbor_put_bytes(&bad, cose.sigs[0].sig);
	assert_int_equal(tr_claim_verify(tr_buf_view(&bad), tr_privkey_pub(k), &out, &err), TR_E_INVALID);
}

static void the_digest_is_of_the_signed_bytes(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_P256);
	tr_auto(tr_buf_done) struct tr_buf a = TR_BUF_INIT, b = TR_BUF_INIT;
	uint8_t da[32], db[32];
	struct tr_claim c = sample();
	struct tr_err err;

	(void)state;
	/* ECDSA signs with a fresh nonce each time: other bytes, the same statement. */
	assert_int_equal(tr_claim_sign(&c, k, &a, &err), TR_OK);
	assert_int_equal(tr_claim_sign(&c, k, &b, &err), TR_OK);
	assert_int_equal(tr_claim_digest(tr_buf_view(&a), da, &err), TR_OK);
	assert_int_equal(tr_claim_digest(tr_buf_view(&b), db, &err), TR_OK);
	assert_memory_equal(da, db, 32);
	c.timestamp_ms++;
	tr_buf_clear(&b);
	assert_int_equal(tr_claim_sign(&c, k, &b, &err), TR_OK);
	assert_int_equal(tr_claim_digest(tr_buf_view(&b), db, &err), TR_OK);
	assert_memory_not_equal(da, db, 32);
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
		cmocka_unit_test(a_claim_comes_back_as_it_was_signed),
		cmocka_unit_test(no_flipped_bit_is_accepted),
		cmocka_unit_test(a_claim_by_another_key_is_told_apart),
		cmocka_unit_test(fields_out_of_their_grammar_are_not_signed),
		cmocka_unit_test(a_good_signature_does_not_excuse_the_form),
		cmocka_unit_test(a_field_that_contradicts_is_refused),
		cmocka_unit_test(a_signature_of_another_domain_is_refused),
		cmocka_unit_test(an_unsigned_header_is_refused),
		cmocka_unit_test(the_digest_is_of_the_signed_bytes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
