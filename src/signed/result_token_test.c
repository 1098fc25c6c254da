/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/text.h"
#include "signed/result_token.h"

#define DOMAIN "lab.example"
#define DAY_MS INT64_C(86400000)

struct installation {
	struct tr_privkey *ca_key, *key;
	struct tr_buf ca;
	struct tr_ca_set *cas;
};

static void set_up(struct installation *i)
{
	struct tr_cert_spec spec = { .common_name = "CA", .spiffe = "spiffe://" DOMAIN, .not_before_ms = NOW_MS - DAY_MS,
				     .not_after_ms = NOW_MS + 30 * DAY_MS, .ca = true };
	struct tr_view der;
	struct tr_err err = { 0 };

	*i = (struct installation){ .ca_key = new_key(TR_KEY_ED25519), .key = new_key(TR_KEY_ED25519) };
	spec.spki = tr_pubkey_spki(tr_privkey_pub(i->ca_key));
	assert_int_equal(tr_cert_issue(i->ca_key, tr_view(NULL, 0), &spec, &i->ca, &err), TR_OK);
	der = tr_buf_view(&i->ca);
	assert_int_equal(tr_ca_set_new(&der, 1, &i->cas, &err), TR_OK);
}

static void tear_down(struct installation *i)
{
	(void)tr_privkey_free(i->ca_key);
	(void)tr_privkey_free(i->key);
	(void)tr_ca_set_free(i->cas);
	tr_buf_done(&i->ca);
}

static void issue(const struct installation *i, const char *spiffe, int64_t until, struct tr_buf *der)
{
	struct tr_cert_spec spec = { .spki = tr_pubkey_spki(tr_privkey_pub(i->key)), .common_name = "result",
				     .spiffe = spiffe, .not_before_ms = NOW_MS - DAY_MS, .not_after_ms = until };
	struct tr_err err = { 0 };

	assert_int_equal(tr_cert_issue(i->ca_key, tr_buf_view(&i->ca), &spec, der, &err), TR_OK);
}

static void claims_at(int64_t iat, int64_t exp, struct tr_buf *b)
{
	tr_buf_addf(b, "{\"iat\":%lld,\"exp\":%lld,\"sub\":\"web-1\"}", (long long)iat, (long long)exp);
}

static void a_token_is_believed_for_its_time_only(void **state)
{
	static const struct {
		const char *label, *spiffe;
		int64_t until_ms, iat, exp; /* from now */
		enum tr_code want;
	} cases[] = {
		{ "good", "spiffe://" DOMAIN "/result", DAY_MS, 0, 60, TR_OK },
		{ "clock behind", "spiffe://" DOMAIN "/result", DAY_MS, 299, 600, TR_OK },
		{ "of the future", "spiffe://" DOMAIN "/result", DAY_MS, 302, 600, TR_E_DENIED },
		{ "expired", "spiffe://" DOMAIN "/result", DAY_MS, -60, 0, TR_E_DENIED },
		{ "by an agent", "spiffe://" DOMAIN "/agent/web-1", DAY_MS, 0, 60, TR_E_UNAUTH },
		{ "of another domain", "spiffe://other.example/result", DAY_MS, 0, 60, TR_E_UNAUTH },
		{ "certificate over", "spiffe://" DOMAIN "/result", -1000, 0, 60, TR_E_UNAUTH },
	};
	struct installation i;

	(void)state;
	set_up(&i);
	for (size_t k = 0; k < TR_ARRAY_LEN(cases); k++) {
		tr_auto(tr_buf_done) struct tr_buf cert = TR_BUF_INIT, claims = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf token = TR_BUF_INIT, got = TR_BUF_INIT;
		struct tr_err err = { 0 };

		issue(&i, cases[k].spiffe, NOW_MS + cases[k].until_ms, &cert);
		claims_at(NOW_MS / 1000 + cases[k].iat, NOW_MS / 1000 + cases[k].exp, &claims);
		assert_int_equal(tr_result_token_sign(tr_buf_view(&claims), i.key, tr_buf_view(&cert), &token, &err), TR_OK);
		CHECK(tr_result_token_verify(tr_buf_view(&token), i.cas, DOMAIN, NOW_MS, &got, &err) == cases[k].want,
		      cases[k].label);
		CHECK(cases[k].want ? got.n == 0 : tr_view_eq(tr_buf_view(&got), tr_buf_view(&claims)), cases[k].label);
	}
	tear_down(&i);
}

static enum tr_code verify(void *arg, struct tr_view in)
{
	const struct installation *i = arg;
	tr_auto(tr_buf_done) struct tr_buf got = TR_BUF_INIT;
	struct tr_err err = { 0 };

	return tr_result_token_verify(in, i->cas, DOMAIN, NOW_MS, &got, &err);
}

static void no_other_bytes_are_a_token(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf cert = TR_BUF_INIT, claims = TR_BUF_INIT, token = TR_BUF_INIT;
	struct installation i;
	struct tr_err err = { 0 };

	(void)state;
	set_up(&i);
	issue(&i, "spiffe://" DOMAIN "/result", NOW_MS + DAY_MS, &cert);
	claims_at(NOW_MS / 1000, NOW_MS / 1000 + 60, &claims);
	assert_int_equal(tr_result_token_sign(tr_buf_view(&claims), i.key, tr_buf_view(&cert), &token, &err), TR_OK);
	assert_int_equal(verify(&i, tr_buf_view(&token)), TR_OK);
	assert_int_equal(accepted_mutations(tr_buf_view(&token), verify, &i), 0);
	tear_down(&i);
}

/* The classic attacks on JWTs: the header chooses the algorithm, or the key. */
static void the_header_chooses_nothing(void **state)
{
	static const char *const headers[] = {
		"{\"alg\":\"none\",\"kid\":\"k\",\"typ\":\"JWT\",\"x5c\":[\"%s\"]}",
		"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWT\",\"x5c\":[\"%s\"]}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k\",\"typ\":\"JWT\",\"crit\":[\"exp\"],\"x5c\":[\"%s\"]}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k\",\"typ\":\"JWT\",\"x5c\":[\"%s\",\"%s\"]}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k\",\"typ\":\"JWT\",\"x5c\":[]}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k\",\"typ\":\"JWT\"}",
	};
	tr_auto(tr_buf_done) struct tr_buf cert = TR_BUF_INIT, b64 = TR_BUF_INIT, claims = TR_BUF_INIT;
	struct installation i;

	(void)state;
	set_up(&i);
	issue(&i, "spiffe://" DOMAIN "/result", NOW_MS + DAY_MS, &cert);
	tr_b64_add(&b64, tr_buf_view(&cert), TR_B64_STD);
	claims_at(NOW_MS / 1000, NOW_MS / 1000 + 60, &claims);
	for (size_t k = 0; k < TR_ARRAY_LEN(headers); k++) {
		tr_auto(tr_buf_done) struct tr_buf header = TR_BUF_INIT, token = TR_BUF_INIT;
		const char *at = headers[k], *mark;
		uint8_t sig[TR_SIG_MAX];
		size_t n;
		struct tr_err err = { 0 };

		while ((mark = strstr(at, "%s")) != NULL) {
			tr_buf_add(&header, at, (size_t)(mark - at));
			tr_buf_addv(&header, tr_buf_view(&b64));
			at = mark + 2;
		}
		tr_buf_adds(&header, at);
		tr_b64_add(&token, tr_buf_view(&header), TR_B64_URL);
		tr_buf_adds(&token, ".");
		tr_b64_add(&token, tr_buf_view(&claims), TR_B64_URL);
		assert_int_equal(tr_sign(i.key, TR_SIG_ED25519, tr_buf_view(&token), sig, &n, &err), TR_OK);
		tr_buf_adds(&token, ".");
		tr_b64_add(&token, tr_view(sig, n), TR_B64_URL);
		CHECK(verify(&i, tr_buf_view(&token)) != TR_OK, headers[k]);
	}
	tear_down(&i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_believed_for_its_time_only),
		cmocka_unit_test(no_other_bytes_are_a_token),
		cmocka_unit_test(the_header_chooses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
