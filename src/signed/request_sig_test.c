/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/request_sig.h"

static struct tr_request_sig good(void)
{
	struct tr_request_sig r = { TR_VIEW_LIT("GET"), TR_VIEW_LIT("/api/v1/agents/discovery/db-1?x=1"), TR_VIEW_LIT("web-1"),
				    TR_VIEW_LIT("1795310523"), TR_VIEW_LIT("AAAAAAAAAAAAAAAA_-"), { 0 } };

	tr_sha256(tr_view(NULL, 0), r.body_sha256);
	return r;
}

static void the_text_is_the_documented_one(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_request_sig r = good();
	int64_t unix_s = 0;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_request_sig_text(&r, &b, &unix_s, &err), TR_OK);
	assert_int_equal(unix_s, 1795310523);
	assert_string_equal(tr_buf_cstr(&b), "troth/request/v1\n"
					     "GET /api/v1/agents/discovery/db-1?x=1\n"
					     "web-1\n"
					     "1795310523\n"
					     "AAAAAAAAAAAAAAAA_-\n"
					     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n");
}

static void a_field_cannot_bring_a_line(void **state)
{
	static const struct {
		const char *label, *method, *target, *agent, *time, *nonce, *says;
	} cases[] = {
		{ "lower case", "get", "/a", "web-1", "1", "AAAAAAAAAAAAAAAA", "method" },
		{ "no method", "", "/a", "web-1", "1", "AAAAAAAAAAAAAAAA", "method" },
		{ "a space in the target", "GET", "/a b", "web-1", "1", "AAAAAAAAAAAAAAAA", "slash" },
		{ "a line end in the target", "GET", "/a\nweb-2", "web-1", "1", "AAAAAAAAAAAAAAAA", "slash" },
		{ "no slash", "GET", "a", "web-1", "1", "AAAAAAAAAAAAAAAA", "slash" },
		{ "bytes over 0x7e", "GET", "/\xc3\xa4", "web-1", "1", "AAAAAAAAAAAAAAAA", "slash" },
		{ "a line end in the agent", "GET", "/a", "web-1\n", "1", "AAAAAAAAAAAAAAAA", "agent id" },
		{ "no time", "GET", "/a", "web-1", "", "AAAAAAAAAAAAAAAA", "decimal" },
		{ "a leading zero", "GET", "/a", "web-1", "01", "AAAAAAAAAAAAAAAA", "decimal" },
		{ "a sign", "GET", "/a", "web-1", "-1", "AAAAAAAAAAAAAAAA", "decimal" },
		{ "13 digits", "GET", "/a", "web-1", "1795310523000", "AAAAAAAAAAAAAAAA", "decimal" },
		{ "a short nonce", "GET", "/a", "web-1", "1", "AAAAAAAAAAAAAAA", "base64url" },
		{ "a nonce of base64", "GET", "/a", "web-1", "1", "AAAAAAAAAAAAAAAA+/==", "base64url" },
		{ "65 characters", "GET", "/a", "web-1", "1",
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "base64url" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		const struct tr_request_sig r = { tr_view_str(cases[i].method), tr_view_str(cases[i].target),
						  tr_view_str(cases[i].agent), tr_view_str(cases[i].time),
						  tr_view_str(cases[i].nonce), { 0 } };
		struct tr_err err = { 0 };
		int64_t s;

		CHECK(tr_request_sig_text(&r, &b, &s, &err) == TR_E_INVALID && !b.n, cases[i].label);
		CHECK(strstr(err.pub, cases[i].says), cases[i].label);
	}
}

static void each_field_is_signed(void **state)
{
	static const enum tr_key_type types[] = { TR_KEY_ED25519, TR_KEY_P256, TR_KEY_RSA };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(types); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(types[i]), *other = new_key(TR_KEY_ED25519);
		tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
		struct tr_request_sig r = good(), bad[6];
		const struct tr_pubkey *pub = tr_privkey_pub(k);
		struct tr_err err;

		assert_int_equal(tr_request_sig_make(&r, k, &sig, &err), TR_OK);
		assert_int_equal(tr_request_sig_verify(&r, tr_buf_view(&sig), pub, &err), TR_OK);
		assert_int_not_equal(tr_request_sig_verify(&r, tr_buf_view(&sig), tr_privkey_pub(other), &err), TR_OK);
		for (size_t j = 0; j < TR_ARRAY_LEN(bad); j++)
			bad[j] = r;
		bad[0].method = TR_VIEW_LIT("PUT");
		bad[1].target = TR_VIEW_LIT("/api/v1/agents/discovery/db-1?x=2");
		bad[2].agent = TR_VIEW_LIT("web-2");
		bad[3].timestamp = TR_VIEW_LIT("1795310524");
		bad[4].nonce = TR_VIEW_LIT("AAAAAAAAAAAAAAAA__");
		bad[5].body_sha256[31] ^= 1;
		for (size_t j = 0; j < TR_ARRAY_LEN(bad); j++)
			assert_int_equal(tr_request_sig_verify(&bad[j], tr_buf_view(&sig), pub, &err), TR_E_DENIED);
		assert_int_equal(tr_request_sig_verify(&r, TR_VIEW_LIT("!"), pub, &err), TR_E_INVALID);
		assert_int_equal(tr_request_sig_verify(&r, TR_VIEW_LIT(""), pub, &err), TR_E_DENIED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_is_the_documented_one),
		cmocka_unit_test(a_field_cannot_bring_a_line),
		cmocka_unit_test(each_field_is_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
