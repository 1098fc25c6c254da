/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bootstrap.h"

#include "agent/renew.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "signed/keyset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW INT64_C(1795312800000) /* 2026-11-22 */
#define DAY INT64_C(86400000)
#define DOMAIN "fleet.example"

static struct tr_err err;
static struct tr_privkey *root_key, *ca_key, *agent_key;
static struct tr_buf ca_der;

enum twist { PLAIN, NO_CA, REVOKED_CA, OLD_CA, EXPIRED };

/* A keyset as `trothd init` makes it, or with one thing wrong. */
static void make_keyset(enum twist t, struct tr_buf *out, uint8_t pin[32])
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	const struct tr_privkey *signers[] = { root_key };
	static struct tr_keyset k;

	k = (struct tr_keyset){
		.trust_domain = TR_VIEW_LIT(DOMAIN),
		.epoch = 1,
		.issued_ms = NOW - 2 * DAY,
		.expires_ms = t == EXPIRED ? NOW - DAY : NOW + DAY,
		.threshold = 1,
		.n_roots = 1,
		.roots = { tr_pubkey_spki(tr_privkey_pub(root_key)) },
		.n_keys = t == NO_CA ? 0 : 1,
		.keys = { { .role = TR_ROLE_CA,
			    .key = tr_buf_view(&ca_der),
			    .not_after_ms = t == OLD_CA ? NOW - 1 : 0 } },
		.n_revoked = t == REVOKED_CA ? 1 : 0,
	};
	tr_sha256(tr_buf_view(&ca_der), k.revoked[0]);
	assert_int_equal(tr_keyset_payload(&k, &payload, &err), TR_OK);
	assert_int_equal(tr_keyset_sign(tr_buf_view(&payload), signers, 1, out, &err), TR_OK);
	tr_keyset_root_fingerprint(&k, pin);
}

static void the_pinned_servers_keyset_is_taken(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf in = TR_BUF_INIT, why = TR_BUF_INIT;
	tr_auto(tr_trust_done) struct tr_trust t = { 0 };
	uint8_t pin[32], seen[32];

	(void)state;
	make_keyset(PLAIN, &in, pin);
	assert_int_equal(tr_bootstrap_check(tr_buf_view(&in), pin, NOW, &t, &why, &err), TR_OK);
	assert_string_equal(t.domain, DOMAIN);
	assert_non_null(strstr(tr_buf_cstr(&t.ca_pem), "BEGIN CERTIFICATE"));
	assert_true(tr_view_eq(tr_buf_view(&t.keyset), tr_buf_view(&in)));
	assert_int_equal(why.n, 0);
	assert_true(tr_keyset_unverified_root(tr_buf_view(&in), seen));
	assert_memory_equal(seen, pin, 32);
}

static void everything_else_is_refused_with_a_sentence(void **state)
{
	static const struct {
		const char *label;
		enum twist twist;
		bool other_pin;
		const char *says;
	} cases[] = {
		{ "no CA", NO_CA, false, "names no valid CA" },
		{ "revoked CA", REVOKED_CA, false, "names no valid CA" },
		{ "CA past its time", OLD_CA, false, "names no valid CA" },
		{ "expired", EXPIRED, false, "does not hold" },
		{ "another root", PLAIN, true, ", but the server's is sha256:" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf in = TR_BUF_INIT, why = TR_BUF_INIT;
		tr_auto(tr_trust_done) struct tr_trust t = { 0 };
		uint8_t pin[32];

		make_keyset(cases[i].twist, &in, pin);
		pin[31] ^= cases[i].other_pin;
		if (tr_bootstrap_check(tr_buf_view(&in), pin, NOW, &t, &why, &err) != TR_E_DENIED ||
		    !strstr(tr_buf_cstr(&why), cases[i].says) || t.ca_pem.n)
			fail_msg("%s: %s", cases[i].label, tr_buf_cstr(&why));
	}
}

static void a_wrong_root_shows_both_fingerprints(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf in = TR_BUF_INIT, why = TR_BUF_INIT, want = TR_BUF_INIT;
	tr_auto(tr_trust_done) struct tr_trust t = { 0 };
	uint8_t theirs[32];
	const uint8_t pinned[32] = { 0xab, 0xcd };

	(void)state;
	make_keyset(PLAIN, &in, theirs);
	assert_int_equal(tr_bootstrap_check(tr_buf_view(&in), pinned, NOW, &t, &why, &err), TR_E_DENIED);
	tr_buf_adds(&want, "expected root sha256:");
	tr_hex_add(&want, TR_VIEW_ARRAY(pinned));
	tr_buf_adds(&want, ", but the server's is sha256:");
	tr_hex_add(&want, TR_VIEW_ARRAY(theirs));
	assert_string_equal(tr_buf_cstr(&why), tr_buf_cstr(&want));
}

static void no_flipped_bit_is_taken(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf in = TR_BUF_INIT;
	uint8_t pin[32];

	(void)state;
	make_keyset(PLAIN, &in, pin);
	for (size_t bit = 0; bit < in.n * 8; bit++) {
		tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;
		tr_auto(tr_trust_done) struct tr_trust t = { 0 };

		in.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (tr_bootstrap_check(tr_buf_view(&in), pin, NOW, &t, &why, &err) != TR_E_DENIED || !why.n)
			fail_msg("bit %zu", bit);
		in.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void what_is_no_keyset_is_refused(void **state)
{
	static const char *const cases[] = { "", "<html>", "{}", "\xd8\x62\x84",
					     "\xd8\x62\x84\x40\xa0\x40\x80" };
	const uint8_t pin[32] = { 0 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;
		tr_auto(tr_trust_done) struct tr_trust t = { 0 };
		uint8_t seen[32];

		assert_int_equal(tr_bootstrap_check(tr_view_str(cases[i]), pin, NOW, &t, &why, &err),
				 TR_E_DENIED);
		assert_non_null(strstr(tr_buf_cstr(&why), "is no keyset"));
		assert_false(tr_keyset_unverified_root(tr_view_str(cases[i]), seen));
	}
}

/* ---- certificates ---- */

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
	if (tr_privkey_generate(TR_KEY_ED25519, &root_key, &err) ||
	    tr_privkey_generate(TR_KEY_ED25519, &ca_key, &err) ||
	    tr_privkey_generate(TR_KEY_ED25519, &agent_key, &err))
		return -1;
	ca.spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
	return tr_cert_issue(ca_key, tr_view(NULL, 0), &ca, &ca_der, &err) ? -1 : 0;
}

static int drop_keys(void **state)
{
	(void)state;
	root_key = tr_privkey_free(root_key);
	ca_key = tr_privkey_free(ca_key);
	agent_key = tr_privkey_free(agent_key);
	tr_buf_done(&ca_der);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pinned_servers_keyset_is_taken),
		cmocka_unit_test(everything_else_is_refused_with_a_sentence),
		cmocka_unit_test(a_wrong_root_shows_both_fingerprints),
		cmocka_unit_test(no_flipped_bit_is_taken),
		cmocka_unit_test(what_is_no_keyset_is_refused),
		cmocka_unit_test(only_our_certificate_is_taken),
		cmocka_unit_test(renewal_is_due_at_half_life),
	};

	if (tr_crypto_init(&err))
		return 1;
	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
