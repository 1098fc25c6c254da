/* SPDX-License-Identifier: Apache-2.0 */
#include "server/appraise_tee.h"
#include "server/msg_tee.h"

#include "codec/json.h"
#include "codec/text.h"
#include "crypto/key.h"
#include "signed/request_sig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct seen {
	uint64_t code;
	char slug[49], agent[65], capabilities[256], kind[17];
	bool is_signed, has_set, has_quote;
	int64_t signed_at;
};

static void look(void *arg, const struct tr_msg_registration_read *m)
{
	struct seen *s = arg;

	*s = (struct seen){ .code = m->code, .is_signed = m->is_signed, .has_set = m->set.n > 0, .has_quote = m->quote.n > 0,
			    .signed_at = m->signed_at };
	(void)snprintf(s->slug, sizeof(s->slug), "%.*s", TR_VIEW_FMT(m->slug));
	(void)snprintf(s->agent, sizeof(s->agent), "%.*s", TR_VIEW_FMT(m->agent_id));
	(void)snprintf(s->capabilities, sizeof(s->capabilities), "%.*s", TR_VIEW_FMT(m->capabilities));
	(void)snprintf(s->kind, sizeof(s->kind), "%.*s", TR_VIEW_FMT(m->kind));
}

static struct tr_privkey *key;
static struct tr_buf pem;

static int set_up(void **state)
{
	struct tr_err err;

	(void)state;
	if (tr_privkey_generate(TR_KEY_ED25519, &key, &err))
		return 1;
	tr_pubkey_pem(tr_privkey_pub(key), &pem);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	key = tr_privkey_free(key);
	tr_buf_done(&pem);
	return 0;
}

static void put_b64(struct tr_buf *b, struct tr_view v)
{
	tr_buf_adds(b, "\"");
	tr_b64_add(b, v, TR_B64_STD);
	tr_buf_adds(b, "\"");
}

/* top, data: further members, with a comma in front. */
static void make_body(struct tr_buf *b, const char *top, const char *data)
{
	static const uint8_t challenge[32] = { 1 };

	tr_buf_adds(b, "{\"agent_id\":\"web-1\",\"agent_type\":\"web\",\"attestation_data\":{\"quote\":");
	put_b64(b, TR_VIEW_LIT("a quote"));
	tr_buf_adds(b, ",\"challenge\":");
	put_b64(b, TR_VIEW_ARRAY(challenge));
	tr_buf_adds(b, ",\"public_key\":");
	tr_json_put_str(b, tr_buf_view(&pem));
	tr_buf_addf(b, "%s}%s}", data, top);
}

static struct seen read_it(struct tr_view body, const struct tr_msg_hub *hub)
{
	tr_auto(tr_buf_done) struct tr_buf h = TR_BUF_INIT, q = TR_BUF_INIT;
	struct tr_msg_read_registration m = { .body = body };
	struct seen s = { .code = 99 };

	if (hub)
		tr_record_encode(&tr_msg_hub_def, hub, &h);
	m.hub = tr_buf_view(&h);
	tr_record_encode(&tr_msg_read_registration_def, &m, &q);
	assert_true(tr_buf_ok(&q));
	tr_registration_read(tr_buf_view(&q), look, &s);
	return s;
}

static void every_member_is_held_to_its_form(void **state)
{
	static const struct {
		const char *top, *data, *slug; /* slug "": good */
	} cases[] = {
		{ "", "", "" },
		{ ",\"capabilities\":[\"b\",\"a\"]", "", "" },
		{ "", ",\"kind\":\"snp\"", "" },
		{ ",\"endpoint\":\"https://a.example/x?y=1\"", "", "" },
		{ ",\"surprise\":1", "", "malformed" },
		{ "", ",\"surprise\":1", "malformed" },
		{ "", ",\"quote\":\"AA==\"", "malformed" }, /* twice */
		{ "", ",\"kind\":\"abacus\"", "malformed" },
		{ "", ",\"kind\":7", "malformed" },
		{ "", ",\"evidence\":\"AA==\"", "malformed" },
		{ ",\"capabilities\":[\"a\",\"a\"]", "", "malformed" },
		{ ",\"capabilities\":[\"a b\"]", "", "malformed" },
		{ ",\"capabilities\":\"a\"", "", "malformed" },
		{ ",\"endpoint\":\"http://a.example\"", "", "malformed" },
		{ ",\"endpoint\":\"https://a.example/\\\"\"", "", "malformed" },
		{ ",\"attestation_endpoint\":\"https://a b\"", "", "malformed" },
		{ ",\"prekey\":\"AA==\"", "", "malformed" },
		{ ",\"activation\":{\"id\":\"00\",\"secret\":\"AA==\"}", "", "malformed" },
		{ ",\"activation\":{\"id\":\"000102030405060708090a0b0c0d0e0f\",\"secret\":\"AA==\"}", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct seen s;

		make_body(&b, cases[i].top, cases[i].data);
		s = read_it(tr_buf_view(&b), NULL);
		if (strcmp(s.slug, cases[i].slug) != 0 || (s.code == TR_OK) != !cases[i].slug[0])
			fail_msg("case %zu: code %llu \"%s\"", i, (unsigned long long)s.code, s.slug);
	}
}

static void what_is_read_is_what_was_sent(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct seen s;

	(void)state;
	make_body(&b, ",\"capabilities\":[\"b\",\"a\",\"ab\"]", ",\"kind\":\"tdx\"");
	s = read_it(tr_buf_view(&b), NULL);
	assert_int_equal(s.code, TR_OK);
	assert_string_equal(s.agent, "web-1");
	assert_string_equal(s.capabilities, "a,ab,b");
	assert_string_equal(s.kind, "tdx");
	assert_true(s.has_quote && !s.has_set && !s.is_signed);
}

/* The set beside the quote must be of that quote and kind. */
static void a_set_goes_with_its_quote(void **state)
{
	static const struct {
		const char *quote, *kind;
		enum tr_tee_kind in_set;
		bool good;
	} cases[] = {
		{ "a quote", "", TR_TEE_TDX, true },
		{ "a quote", ",\"kind\":\"tdx\"", TR_TEE_TDX, true },
		{ "a quote", ",\"kind\":\"snp\"", TR_TEE_TDX, false },
		{ "another", "", TR_TEE_TDX, false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT, member = TR_BUF_INIT, b = TR_BUF_INIT;
		struct tr_tee_set s = { .kind = cases[i].in_set, .quote = tr_view_str(cases[i].quote) };
		struct seen seen;

		tr_tee_set_put(&set, &s);
		tr_buf_adds(&member, ",\"evidence\":");
		put_b64(&member, tr_buf_view(&set));
		tr_buf_adds(&member, cases[i].kind);
		make_body(&b, "", tr_buf_cstr(&member));
		seen = read_it(tr_buf_view(&b), NULL);
		assert_int_equal(seen.code == TR_OK, cases[i].good);
		assert_true(!cases[i].good || (seen.has_set && !seen.has_quote && strcmp(seen.kind, "tdx") == 0));
	}
}

static void headers_and_signature_go_with_the_body(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, sig = TR_BUF_INIT;
	uint8_t quote[32], pem_hash[32], body[32], other[32] = { 0 };
	struct tr_request_sig rs = { .method = TR_VIEW_LIT("POST"), .target = TR_VIEW_LIT("/api/v1/agents/register"),
				     .agent = TR_VIEW_LIT("web-1"), .timestamp = TR_VIEW_LIT("1795310523"),
				     .nonce = TR_VIEW_LIT("0123456789abcdef") };
	struct tr_msg_hub h = { .method = rs.method, .target = rs.target, .agent = rs.agent, .timestamp = rs.timestamp,
				.nonce = rs.nonce }, bad;
	struct tr_err err;

	(void)state;
	make_body(&b, "", "");
	tr_sha256(TR_VIEW_LIT("a quote"), quote);
	tr_sha256(tr_buf_view(&pem), pem_hash);
	tr_sha256(tr_buf_view(&b), body);
	memcpy(rs.body_sha256, body, 32);
	assert_int_equal(tr_request_sig_make(&rs, key, &sig, &err), TR_OK);
	h.signature = tr_buf_view(&sig);
	h.body_sha256 = TR_VIEW_ARRAY(body);
	h.quote_sha256 = TR_VIEW_ARRAY(quote);
	h.key_sha256 = TR_VIEW_ARRAY(pem_hash);
	assert_int_equal(read_it(tr_buf_view(&b), &h).code, TR_OK);
	assert_true(read_it(tr_buf_view(&b), &h).is_signed);
	assert_int_equal(read_it(tr_buf_view(&b), &h).signed_at, 1795310523);
	bad = h;
	bad.quote_sha256 = TR_VIEW_ARRAY(other);
	assert_string_equal(read_it(tr_buf_view(&b), &bad).slug, "header_mismatch");
	bad = h;
	bad.key_sha256 = TR_VIEW_ARRAY(other);
	assert_string_equal(read_it(tr_buf_view(&b), &bad).slug, "header_mismatch");
	bad = h;
	bad.bad_base64 = true;
	assert_string_equal(read_it(tr_buf_view(&b), &bad).slug, "header_mismatch");
	bad = h;
	bad.agent = TR_VIEW_LIT("web-2");
	assert_string_equal(read_it(tr_buf_view(&b), &bad).slug, "wrong_agent");
	bad = h;
	bad.body_sha256 = TR_VIEW_ARRAY(other);
	assert_string_equal(read_it(tr_buf_view(&b), &bad).slug, "bad_signature");
	bad = h;
	bad.target = TR_VIEW_LIT("/api/v1/agents/discovery");
	assert_string_equal(read_it(tr_buf_view(&b), &bad).slug, "bad_signature");
	bad = h;
	bad.nonce = TR_VIEW_LIT("short");
	assert_int_equal(read_it(tr_buf_view(&b), &bad).code, TR_E_INVALID);
	bad = h;
	bad.signature = tr_view(NULL, 0);
	assert_false(read_it(tr_buf_view(&b), &bad).is_signed);
}

static void forms_are_told_apart_by_a_member(void **state)
{
	static const struct {
		const char *body;
		bool is;
	} cases[] = {
		{ "{\"attestation_data\":{}}", true },
		{ "{\"csr\":\"\",\"claim\":\"\"}", false },
		{ "{\"node_id\":\"a\",\"attestation\":{\"attestation_data\":1}}", false },
		{ "{\"attestation_data\"", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		assert_int_equal(tr_is_registration_with_evidence(tr_view_str(cases[i].body)), cases[i].is);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_is_held_to_its_form),
		cmocka_unit_test(what_is_read_is_what_was_sent),
		cmocka_unit_test(a_set_goes_with_its_quote),
		cmocka_unit_test(headers_and_signature_go_with_the_body),
		cmocka_unit_test(forms_are_told_apart_by_a_member),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
