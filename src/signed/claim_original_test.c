/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/text.h"
#include "signed/claim_original.h"

#define HASH "sha256:ab5c2f1e00000000000000000000000000000000000000000000000000000001"

/* The worked example of the original's documentation. */
static void the_golden_vector_is_reproduced(void **state)
{
	static const struct tr_claim_original c = {
		.node_id = TR_VIEW_LIT("agent-123"),
		.binary_hash = TR_VIEW_LIT("sha256:abc123def456"),
		.version = TR_VIEW_LIT("v1.2.3"),
		.timestamp_s = 1708012345,
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint8_t got[32], want[32];

	(void)state;
	tr_claim_original_tbs(&c, &b);
	assert_true(tr_view_is(tr_buf_view(&b), "agent-123:sha256:abc123def456:v1.2.3:1708012345"));
	tr_sha256(tr_buf_view(&b), got);
	assert_true(tr_hex_get(TR_VIEW_LIT("859f928f4ab455f21fb7efd860440989194df0b30a0959f254f1d5e18d5959ef"), want,
			       32));
	assert_memory_equal(got, want, 32);
}

static void only_unambiguous_claims_are_read(void **state)
{
	static const struct {
		const char *label, *json;
		enum tr_code want;
	} cases[] = {
		{ "good", "{\"node_id\":\"agent-123\",\"binary_hash\":\"" HASH
			  "\",\"version\":\"v1.2.3\",\"signature\":\"AA==\",\"timestamp\":1708012345}", TR_OK },
		{ "a member of its own", "{\"node_id\":\"a\",\"binary_hash\":\"" HASH
			  "\",\"version\":\"1\",\"signature\":\"AA==\",\"timestamp\":1,\"tenant\":\"x\"}", TR_OK },
		{ "short hash of the documentation", "{\"node_id\":\"agent-123\",\"binary_hash\":\"sha256:abc123def456\","
			  "\"version\":\"v1.2.3\",\"signature\":\"AA==\",\"timestamp\":1708012345}", TR_E_INVALID },
		{ "hash without prefix", "{\"node_id\":\"a\",\"binary_hash\":\"ab5c2f1e000000000000000000000000000000000000"
			  "00000000000000000001\",\"version\":\"1\",\"signature\":\"AA==\",\"timestamp\":1}",
		  TR_E_INVALID },
		{ "upper-case hash", "{\"node_id\":\"a\",\"binary_hash\":\"sha256:AB5C2F1E000000000000000000000000000000000000"
			  "00000000000000000001\",\"version\":\"1\",\"signature\":\"AA==\",\"timestamp\":1}",
		  TR_E_INVALID },
		{ "colon in node id", "{\"node_id\":\"a:b\",\"binary_hash\":\"" HASH
			  "\",\"version\":\"1\",\"signature\":\"AA==\",\"timestamp\":1}", TR_E_INVALID },
		{ "colon in version", "{\"node_id\":\"a\",\"binary_hash\":\"" HASH
			  "\",\"version\":\"1:2\",\"signature\":\"AA==\",\"timestamp\":1}", TR_E_INVALID },
		{ "no node id", "{\"binary_hash\":\"" HASH
			  "\",\"version\":\"1\",\"signature\":\"AA==\",\"timestamp\":1}", TR_E_INVALID },
		{ "no version", "{\"node_id\":\"a\",\"binary_hash\":\"" HASH
			  "\",\"signature\":\"AA==\",\"timestamp\":1}", TR_E_INVALID },
		{ "no signature", "{\"node_id\":\"a\",\"binary_hash\":\"" HASH
			  "\",\"version\":\"1\",\"timestamp\":1}", TR_E_INVALID },
		{ "no time", "{\"node_id\":\"a\",\"binary_hash\":\"" HASH
			  "\",\"version\":\"1\",\"signature\":\"AA==\"}", TR_E_INVALID },
		{ "time as text", "{\"node_id\":\"a\",\"binary_hash\":\"" HASH
			  "\",\"version\":\"1\",\"signature\":\"AA==\",\"timestamp\":\"1\"}", TR_E_INVALID },
		{ "time as fraction", "{\"node_id\":\"a\",\"binary_hash\":\"" HASH
			  "\",\"version\":\"1\",\"signature\":\"AA==\",\"timestamp\":1.0}", TR_E_INVALID },
		{ "time before 1970", "{\"node_id\":\"a\",\"binary_hash\":\"" HASH
			  "\",\"version\":\"1\",\"signature\":\"AA==\",\"timestamp\":-1}", TR_E_INVALID },
		{ "time whose milliseconds overflow", "{\"node_id\":\"a\",\"binary_hash\":\"" HASH
			  "\",\"version\":\"1\",\"signature\":\"AA==\",\"timestamp\":9223372036854775807}", TR_E_INVALID },
		{ "an array", "[]", TR_E_INVALID },
		{ "null", "null", TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_json_free) struct tr_json *j = NULL;
		struct tr_claim_original c;
		struct tr_err err;

		CHECK(tr_json_parse(tr_view_str(cases[i].json), &j, &err) == TR_OK, cases[i].label);
		CHECK(tr_claim_original_read(tr_json_root(j), &c, &err) == cases[i].want, cases[i].label);
	}
	{
		struct tr_claim_original c;
		struct tr_err err;

		assert_int_equal(tr_claim_original_read(NULL, &c, &err), TR_E_INVALID);
	}
}

static const struct tr_claim_original sample = {
	.node_id = TR_VIEW_LIT("agent-123"),
	.binary_hash = TR_VIEW_LIT(HASH),
	.version = TR_VIEW_LIT("v1.2.3"),
	.timestamp_s = 1708012345,
};

static void what_is_signed_verifies(void **state)
{
	static const struct {
		const char *label;
		enum tr_key_type type;
		enum tr_sig_alg alg;
		enum tr_code want;
	} cases[] = {
		{ "rsa pkcs1", TR_KEY_RSA, TR_SIG_RS256, TR_OK },
		/* Another padding than the original's is not accepted: the form has no place to say so. */
		{ "rsa pss", TR_KEY_RSA, TR_SIG_PS256, TR_E_DENIED },
		{ "ed25519", TR_KEY_ED25519, TR_SIG_ED25519, TR_OK },
		{ "p256 der", TR_KEY_P256, TR_SIG_ES256_DER, TR_OK },
		{ "p256 raw", TR_KEY_P256, TR_SIG_ES256, TR_E_DENIED },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(cases[i].type);
		tr_auto(tr_json_free) struct tr_json *j = NULL;
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_claim_original c;
		struct tr_err err;

		CHECK(tr_claim_original_sign(&sample, k, cases[i].alg, &b, &err) == TR_OK, cases[i].label);
		CHECK(tr_json_parse(tr_buf_view(&b), &j, &err) == TR_OK, cases[i].label);
		CHECK(tr_claim_original_read(tr_json_root(j), &c, &err) == TR_OK, cases[i].label);
		CHECK(tr_claim_original_verify(&c, tr_privkey_pub(k), &err) == cases[i].want, cases[i].label);
	}
}

static void each_field_is_under_the_signature(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_RSA);
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_claim_original good, c;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_claim_original_sign(&sample, k, TR_SIG_RS256, &b, &err), TR_OK);
	assert_int_equal(tr_json_parse(tr_buf_view(&b), &j, &err), TR_OK);
	assert_int_equal(tr_claim_original_read(tr_json_root(j), &good, &err), TR_OK);
	for (int field = 0; field < 5; field++) {
		c = good;
		if (field == 1)
			c.node_id = TR_VIEW_LIT("agent-124");
		if (field == 2)
			c.binary_hash.p = (const uint8_t *)"sha256:ab5c2f1e0000000000000000000000000000000000000000000000"
							   "0000000002";
		if (field == 3)
			c.version = TR_VIEW_LIT("v1.2.4");
		if (field == 4)
			c.timestamp_s++;
		assert_int_equal(tr_claim_original_verify(&c, tr_privkey_pub(k), &err),
				 field == 0 ? TR_OK : TR_E_DENIED);
	}
	c = good;
	c.signature = TR_VIEW_LIT("not base64!");
	assert_int_equal(tr_claim_original_verify(&c, tr_privkey_pub(k), &err), TR_E_INVALID);
	c.signature = TR_VIEW_LIT("");
	assert_int_equal(tr_claim_original_verify(&c, tr_privkey_pub(k), &err), TR_E_INVALID);
}

static void an_ambiguous_claim_is_not_signed(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_RSA);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_claim_original c = sample;
	struct tr_err err;

	(void)state;
	c.node_id = TR_VIEW_LIT("agent:123");
	assert_int_equal(tr_claim_original_sign(&c, k, TR_SIG_RS256, &b, &err), TR_E_INVALID);
	assert_int_equal(b.n, 0);
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
		cmocka_unit_test(the_golden_vector_is_reproduced),
		cmocka_unit_test(only_unambiguous_claims_are_read),
		cmocka_unit_test(what_is_signed_verifies),
		cmocka_unit_test(each_field_is_under_the_signature),
		cmocka_unit_test(an_ambiguous_claim_is_not_signed),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
