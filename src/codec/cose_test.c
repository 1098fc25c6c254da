/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/cose.h"

#include "codec/codec_test.h"

#define V(s) TR_VIEW_LIT(s)
#define CONTENT "This is the content."

static void sign1_bytes_are_those_of_the_rfc(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf prot = TR_BUF_INIT, tbs = TR_BUF_INIT;

	(void)state;
	tr_cose_put_protected(&prot, TR_COSE_ES256, tr_view(NULL, 0));
	assert_true(tr_view_eq(tr_buf_view(&prot), V("\xa1\x01\x26")));
	/* RFC 9052 C.2.1 (RFC 8152 C.2.1): the Sig_structure of the single-signature example. */
	tr_cose_sign1_tbs(&tbs, tr_buf_view(&prot), tr_view(NULL, 0), V(CONTENT));
	assert_true(tr_view_eq(tr_buf_view(&tbs), V("\x84\x6aSignature1\x43\xa1\x01\x26\x40\x54" CONTENT)));
	tr_buf_clear(&tbs);
	tr_cose_sign1_tbs(&tbs, tr_buf_view(&prot), V("\x11\xaa\x22\xbb\x33\xcc\x44\xdd\x55\x00\x66\x99"),
			  V(CONTENT));
	assert_true(tr_view_eq(tr_buf_view(&tbs),
			       V("\x84\x6aSignature1\x43\xa1\x01\x26\x4c\x11\xaa\x22\xbb\x33\xcc"
				 "\x44\xdd\x55\x00\x66\x99\x54" CONTENT)));
}

static void sign_bytes_are_those_of_the_rfc(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;

	(void)state;
	/* RFC 9052 C.1.1: empty body header, one signer with ES256. */
	tr_cose_sign_tbs(&tbs, tr_view(NULL, 0), V("\xa1\x01\x26"), tr_view(NULL, 0), V(CONTENT));
	assert_true(
		tr_view_eq(tr_buf_view(&tbs), V("\x85\x69Signature\x40\x43\xa1\x01\x26\x40\x54" CONTENT)));
}

static void protected_headers_carry_the_key_id(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	tr_cose_put_protected(&b, TR_COSE_RS256, V("k1"));
	assert_true(tr_view_eq(tr_buf_view(&b), V("\xa2\x01\x39\x01\x00\x04\x42k1")));
}

static void sign1_round_trips(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf prot = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_cose c;
	struct tr_err err;

	(void)state;
	tr_cose_put_protected(&prot, TR_COSE_EDDSA, V("key"));
	tr_cose_put_sign1(&b, tr_buf_view(&prot), V("pay"), V("sig"));
	assert_true(tr_view_eq(tr_buf_view(&b), V("\xd2\x84\x48\xa2\x01\x27\x04\x43key\xa0\x43pay\x43sig")));
	assert_int_equal(tr_cose_sign1_parse(tr_buf_view(&b), &c, &err), TR_OK);
	assert_int_equal(c.n_sigs, 1);
	assert_int_equal(c.sigs[0].alg, TR_COSE_EDDSA);
	assert_true(tr_view_is(c.sigs[0].kid, "key"));
	assert_true(tr_view_is(c.sigs[0].sig, "sig"));
	assert_true(tr_view_is(c.payload, "pay"));
	assert_true(tr_view_eq(c.body_protected, tr_buf_view(&prot)));
	assert_true(tr_view_eq(c.sigs[0].protected_hdr, tr_buf_view(&prot)));
	assert_int_equal(tr_cose_sign_parse(tr_buf_view(&b), &c, &err), TR_E_INVALID);
}

static void sign_round_trips_up_to_its_limit(void **state)
{
	struct tr_cose_sig sigs[TR_COSE_SIGS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(sigs); i++)
		sigs[i] = (struct tr_cose_sig){ .protected_hdr = V("\xa1\x01\x27"), .sig = V("s") };
	for (size_t n = 0; n <= TR_ARRAY_LEN(sigs); n++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_cose c;
		struct tr_err err;
		enum tr_code want = n >= 1 && n <= TR_COSE_SIGS_MAX ? TR_OK : TR_E_INVALID;

		tr_cose_put_sign(&b, V("\xa1\x03\x00"), V("p"), sigs, n);
		assert_int_equal(tr_cose_sign_parse(tr_buf_view(&b), &c, &err), want);
		if (want)
			continue;
		assert_int_equal(c.n_sigs, n);
		assert_true(tr_view_eq(c.body_protected, V("\xa1\x03\x00")));
		assert_int_equal(c.sigs[n - 1].alg, TR_COSE_EDDSA);
		assert_int_equal(c.sigs[n - 1].kid.n, 0);
		assert_int_equal(tr_cose_sign1_parse(tr_buf_view(&b), &c, &err), TR_E_INVALID);
	}
}

static void sign1_headers_are_strict(void **state)
{
	static const struct {
		const char *label;
		struct tr_view in;
		const char *error; /* NULL when it is fine */
	} cases[] = {
		{ "plain", V("\xd2\x84\x43\xa1\x01\x27\xa0\x41p\x41s"), NULL },
		{ "empty payload", V("\xd2\x84\x43\xa1\x01\x27\xa0\x40\x41s"), NULL },
		{ "content type, number", V("\xd2\x84\x45\xa2\x01\x27\x03\x00\xa0\x41p\x41s"), NULL },
		{ "content type, text", V("\xd2\x84\x46\xa2\x01\x27\x03\x61t\xa0\x41p\x41s"), NULL },
		{ "unknown protected", V("\xd2\x84\x45\xa2\x01\x27\x05\x00\xa0\x41p\x41s"), NULL },
		{ "unknown protected text", V("\xd2\x84\x46\xa2\x01\x27\x61x\x00\xa0\x41p\x41s"), NULL },
		{ "unknown unprotected", V("\xd2\x84\x43\xa1\x01\x27\xa2\x05\x00\x61x\x00\x41p\x41s"), NULL },
		{ "key id hint", V("\xd2\x84\x43\xa1\x01\x27\xa1\x04\x41k\x41p\x41s"), NULL },
		{ "critical and known", V("\xd2\x84\x46\xa2\x01\x27\x02\x81\x01\xa0\x41p\x41s"), NULL },

		{ "nothing", V(""), "ends" },
		{ "no tag", V("\x84\x43\xa1\x01\x27\xa0\x41p\x41s"), "type" },
		{ "tag of COSE_Mac0", V("\xd1\x84\x43\xa1\x01\x27\xa0\x41p\x41s"), "tag" },
		{ "tag twice", V("\xd2\xd2\x84\x43\xa1\x01\x27\xa0\x41p\x41s"), "type" },
		{ "three items", V("\xd2\x83\x43\xa1\x01\x27\xa0\x41p"), "few" },
		{ "five items", V("\xd2\x85\x43\xa1\x01\x27\xa0\x41p\x41s\x00"), "many" },
		{ "surplus byte", V("\xd2\x84\x43\xa1\x01\x27\xa0\x41p\x41s\x00"), "after its end" },
		{ "no protected header", V("\xd2\x84\x40\xa0\x41p\x41s"), "no algorithm" },
		{ "empty protected map", V("\xd2\x84\x41\xa0\xa0\x41p\x41s"), "empty map" },
		{ "protected not a map", V("\xd2\x84\x41\x80\xa0\x41p\x41s"), "type" },
		{ "protected with surplus", V("\xd2\x84\x44\xa1\x01\x27\x00\xa0\x41p\x41s"),
		  "after its map" },
		{ "protected unsorted", V("\xd2\x84\x46\xa2\x04\x41k\x01\x27\xa0\x41p\x41s"), "order" },
		{ "alg twice", V("\xd2\x84\x45\xa2\x01\x27\x01\x26\xa0\x41p\x41s"), "twice" },
		{ "alg as text", V("\xd2\x84\x44\xa1\x01\x61x\xa0\x41p\x41s"), "type" },
		{ "alg unprotected", V("\xd2\x84\x40\xa1\x01\x27\x41p\x41s"), "must be protected" },
		{ "alg in both", V("\xd2\x84\x43\xa1\x01\x27\xa1\x01\x27\x41p\x41s"), "must be protected" },
		{ "crit unprotected", V("\xd2\x84\x43\xa1\x01\x27\xa1\x02\x81\x01\x41p\x41s"),
		  "must be protected" },
		{ "content type unprotected", V("\xd2\x84\x43\xa1\x01\x27\xa1\x03\x00\x41p\x41s"),
		  "must be protected" },
		{ "kid in both", V("\xd2\x84\x46\xa2\x01\x27\x04\x41k\xa1\x04\x41k\x41p\x41s"),
		  "must be protected" },
		{ "empty kid", V("\xd2\x84\x45\xa2\x01\x27\x04\x40\xa0\x41p\x41s"), "key id" },
		{ "critical and unknown", V("\xd2\x84\x48\xa3\x01\x27\x02\x81\x05\x05\x00\xa0\x41p\x41s"),
		  "critical" },
		{ "critical and unknown text", V("\xd2\x84\x47\xa2\x01\x27\x02\x81\x61x\xa0\x41p\x41s"),
		  "critical" },
		{ "critical and absent", V("\xd2\x84\x46\xa2\x01\x27\x02\x81\x04\xa0\x41p\x41s"),
		  "not protected" },
		{ "critical of nothing", V("\xd2\x84\x45\xa2\x01\x27\x02\x80\xa0\x41p\x41s"), "crit" },
		{ "negative content type", V("\xd2\x84\x45\xa2\x01\x27\x03\x20\xa0\x41p\x41s"), "type" },
		{ "detached payload", V("\xd2\x84\x43\xa1\x01\x27\xa0\xf6\x41s"), "type" },
		{ "empty signature", V("\xd2\x84\x43\xa1\x01\x27\xa0\x41p\x40"), "empty" },
		{ "unprotected not canonical", V("\xd2\x84\x43\xa1\x01\x27\xa2\x06\x00\x05\x00\x41p\x41s"),
		  "order" },
		{ "unprotected with a tag", V("\xd2\x84\x43\xa1\x01\x27\xa1\x05\xc1\x00\x41p\x41s"), "tag" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_view in = exact_copy(cases[i].in);
		struct tr_err err = { 0 };
		struct tr_cose c = { .n_sigs = 77 };
		enum tr_code rc = tr_cose_sign1_parse(in, &c, &err);

		CHECK(rc == (cases[i].error ? TR_E_INVALID : TR_OK), cases[i].label);
		CHECK(c.n_sigs == (rc ? 77u : 1u), cases[i].label);
		if (rc && !strstr(err.pub, cases[i].error))
			fail_msg("%s: %s", cases[i].label, err.pub);
		free((void *)(uintptr_t)in.p);
	}
}

static void sign_needs_an_algorithm_per_signature(void **state)
{
	struct tr_cose c;
	struct tr_err err;

	(void)state;
	assert_int_equal(
		tr_cose_sign_parse(V("\xd8\x62\x84\x40\xa0\x41p\x81\x83\x43\xa1\x01\x27\xa0\x41s"), &c, &err),
		TR_OK);
	assert_int_equal(
		tr_cose_sign_parse(V("\xd8\x62\x84\x43\xa1\x01\x27\xa0\x41p\x81\x83\x40\xa0\x41s"), &c, &err),
		TR_E_INVALID);
	assert_non_null(strstr(err.pub, "no algorithm"));
	assert_int_equal(
		tr_cose_sign_parse(V("\xd8\x62\x84\x40\xa0\x41p\x81\x82\x43\xa1\x01\x27\xa0"), &c, &err),
		TR_E_INVALID);
}

static void key_ids_have_a_limit(void **state)
{
	uint8_t kid[TR_COSE_KID_MAX + 1] = { 1 };

	(void)state;
	for (size_t n = TR_COSE_KID_MAX; n <= sizeof(kid); n++) {
		tr_auto(tr_buf_done) struct tr_buf prot = TR_BUF_INIT, b = TR_BUF_INIT;
		struct tr_cose c;
		struct tr_err err;

		tr_cose_put_protected(&prot, TR_COSE_EDDSA, tr_view(kid, n));
		tr_cose_put_sign1(&b, tr_buf_view(&prot), V("p"), V("s"));
		assert_int_equal(tr_cose_sign1_parse(tr_buf_view(&b), &c, &err),
				 n == TR_COSE_KID_MAX ? TR_OK : TR_E_INVALID);
	}
}

/* Messages that others wrote: they parse, and the signed bytes are the ones that the authors list. */
static void agrees_with_third_party_vectors(void **state)
{
	(void)state;
	for (int i = 0; i <= 6; i++) {
		char name[64];
		tr_auto(tr_json_free) struct tr_json *j = NULL;
		tr_auto(tr_buf_done) struct tr_buf msg = TR_BUF_INIT, want = TR_BUF_INIT, aad = TR_BUF_INIT,
						   tbs = TR_BUF_INIT;
		struct tr_cose c;
		struct tr_err err;
		tr_jnode t;

		(void)snprintf(name, sizeof(name), "cose/gluecose/sign1-sign-%04d.json", i);
		j = vectors(name);
		t = tr_json_get(tr_json_root(j), "sign1::sign");
		add_hex(&msg, tr_json_get(tr_json_get(t, "expectedOutput"), "cborHex"));
		add_hex(&want, tr_json_get(tr_json_get(t, "tbsHex"), "cborHex"));
		add_hex(&aad, tr_json_get(t, "external"));
		if (tr_cose_sign1_parse(tr_buf_view(&msg), &c, &err))
			fail_msg("%s: %s", name, err.detail);
		tr_cose_sign1_tbs(&tbs, c.sigs[0].protected_hdr, tr_buf_view(&aad), c.payload);
		CHECK(tr_view_eq(tr_buf_view(&tbs), tr_buf_view(&want)), name);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sign1_bytes_are_those_of_the_rfc),
		cmocka_unit_test(sign_bytes_are_those_of_the_rfc),
		cmocka_unit_test(protected_headers_carry_the_key_id),
		cmocka_unit_test(sign1_round_trips),
		cmocka_unit_test(sign_round_trips_up_to_its_limit),
		cmocka_unit_test(sign1_headers_are_strict),
		cmocka_unit_test(sign_needs_an_algorithm_per_signature),
		cmocka_unit_test(key_ids_have_a_limit),
		cmocka_unit_test(agrees_with_third_party_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
