/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/renew.h"

#include "codec/pem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW INT64_C(1795312800000) /* 2026-11-22 */
#define DAY INT64_C(86400000)
#define DOMAIN "fleet.example"

static struct tr_err err;
static struct tr_privkey *ca_key, *agent_key;
static struct tr_buf ca_der;

static void issue(const struct tr_privkey *ca, struct tr_view ca_cert, const struct tr_privkey *subject,
		  const char *spiffe, bool client, struct tr_buf *ret_pem)
{
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	const struct tr_cert_spec spec = {
		.spki = tr_pubkey_spki(tr_privkey_pub(subject)),
		.common_name = "web-1",
		.spiffe = spiffe,
		.not_before_ms = NOW - DAY,
		.not_after_ms = NOW + DAY,
		.client_auth = client,
		.server_auth = !client,
	};

	assert_int_equal(tr_cert_issue(ca, ca_cert, &spec, &der, &err), TR_OK);
	tr_pem_add(ret_pem, "CERTIFICATE", tr_buf_view(&der));
}

static void only_our_certificate_is_taken(void **state)
{
	static const struct {
		const char *label, *spiffe;
		bool client, other_key, other_ca;
		enum tr_code want;
	} cases[] = {
		{ "ours", "spiffe://" DOMAIN "/agent/web-1", true, false, false, TR_OK },
		{ "another agent's", "spiffe://" DOMAIN "/agent/web-2", true, false, false, TR_E_DENIED },
		{ "another key's", "spiffe://" DOMAIN "/agent/web-1", true, true, false, TR_E_DENIED },
		{ "another CA's", "spiffe://" DOMAIN "/agent/web-1", true, false, true, TR_E_UNAUTH },
		{ "another domain's", "spiffe://other.example/agent/web-1", true, false, false, TR_E_UNAUTH },
		{ "a server's", "spiffe://" DOMAIN "/agent/web-1", false, false, false, TR_E_UNAUTH },
	};
	tr_auto(tr_buf_done) struct tr_buf ca_pem = TR_BUF_INIT, fake_der = TR_BUF_INIT;
	tr_auto(tr_privkey_free) struct tr_privkey *fake = NULL, *other = NULL;
	struct tr_cert_spec ca = {
		.common_name = "CA", .ca = true, .not_before_ms = NOW - DAY, .not_after_ms = NOW + DAY
	};
	struct tr_cert *c = NULL;

	(void)state;
	tr_pem_add(&ca_pem, "CERTIFICATE", tr_buf_view(&ca_der));
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &fake, &err), TR_OK);
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &other, &err), TR_OK);
	ca.spki = tr_pubkey_spki(tr_privkey_pub(fake));
	assert_int_equal(tr_cert_issue(fake, tr_view(NULL, 0), &ca, &fake_der, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
		enum tr_code rc;

		issue(cases[i].other_ca ? fake : ca_key, tr_buf_view(cases[i].other_ca ? &fake_der : &ca_der),
		      cases[i].other_key ? other : agent_key, cases[i].spiffe, cases[i].client, &pem);
		rc = tr_agent_cert_check(tr_buf_view(&pem), tr_buf_view(&ca_pem), DOMAIN,
					 TR_VIEW_LIT("web-1"), agent_key, &c, &err);
		if (rc != cases[i].want)
			fail_msg("%s: %s %s", cases[i].label, tr_code_name(rc), err.detail);
		if (!rc)
			c = tr_cert_free(c);
	}
	assert_int_equal(tr_agent_cert_check(tr_view_str("hello"), tr_buf_view(&ca_pem), DOMAIN,
					     TR_VIEW_LIT("web-1"), agent_key, &c, &err),
			 TR_E_INVALID);
}

static void renewal_is_due_at_half_life(void **state)
{
	static const int64_t lives[] = { 60000, DAY, 7 * DAY, INT64_C(253402300799999) };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(lives); i++) {
		int64_t life = lives[i];

		assert_int_equal(tr_renew_due_ms(0, life, 0), life / 2);
		assert_in_range(tr_renew_due_ms(0, life, UINT32_MAX), life / 2, life / 2 + life / 20);
		if (life >= DAY)
			assert_true(tr_renew_due_ms(0, life, UINT32_MAX) > life / 2 + life / 25);
	}
	assert_int_equal(tr_renew_due_ms(1000, 500, 77), 1000);
}

static int make_keys(void **state)
{
	struct tr_cert_spec ca = {
		.common_name = "CA", .ca = true, .not_before_ms = NOW - DAY, .not_after_ms = NOW + DAY
	};

	(void)state;
	if (tr_privkey_generate(TR_KEY_ED25519, &ca_key, &err) ||
	    tr_privkey_generate(TR_KEY_ED25519, &agent_key, &err))
		return -1;
	ca.spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
	return tr_cert_issue(ca_key, tr_view(NULL, 0), &ca, &ca_der, &err) ? -1 : 0;
}

static int drop_keys(void **state)
{
	(void)state;
	ca_key = tr_privkey_free(ca_key);
	agent_key = tr_privkey_free(agent_key);
	tr_buf_done(&ca_der);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_our_certificate_is_taken),
		cmocka_unit_test(renewal_is_due_at_half_life),
	};

	if (tr_crypto_init(&err))
		return 1;
	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
