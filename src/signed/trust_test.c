/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/text.h"
#include "signed/keyset.h"
#include "signed/trust.h"

#define DAY INT64_C(86400000)
#define DOMAIN "fleet.example"

static struct tr_err err;
static struct tr_privkey *root_key;
static const struct tr_view ca_der = TR_VIEW_LIT("a certificate");

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
		.issued_ms = NOW_MS - 2 * DAY,
		.expires_ms = t == EXPIRED ? NOW_MS - DAY : NOW_MS + DAY,
		.threshold = 1,
		.n_roots = 1,
		.roots = { tr_pubkey_spki(tr_privkey_pub(root_key)) },
		.n_keys = t == NO_CA ? 0 : 1,
		.keys = { { .role = TR_ROLE_CA,
			    .key = ca_der,
			    .not_after_ms = t == OLD_CA ? NOW_MS - 1 : 0 } },
		.n_revoked = t == REVOKED_CA ? 1 : 0,
	};
	tr_sha256(ca_der, k.revoked[0]);
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
	assert_int_equal(tr_bootstrap_check(tr_buf_view(&in), pin, NOW_MS, &t, &why, &err), TR_OK);
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
		if (tr_bootstrap_check(tr_buf_view(&in), pin, NOW_MS, &t, &why, &err) != TR_E_DENIED ||
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
	assert_int_equal(tr_bootstrap_check(tr_buf_view(&in), pinned, NOW_MS, &t, &why, &err), TR_E_DENIED);
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
		if (tr_bootstrap_check(tr_buf_view(&in), pin, NOW_MS, &t, &why, &err) != TR_E_DENIED || !why.n)
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

		assert_int_equal(tr_bootstrap_check(tr_view_str(cases[i]), pin, NOW_MS, &t, &why, &err),
				 TR_E_DENIED);
		assert_non_null(strstr(tr_buf_cstr(&why), "is no keyset"));
		assert_false(tr_keyset_unverified_root(tr_view_str(cases[i]), seen));
	}
}

static int setup(void **state)
{
	(void)state;
	if (tr_crypto_init(&err))
		return -1;
	root_key = new_key(TR_KEY_ED25519);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	root_key = tr_privkey_free(root_key);
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
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
