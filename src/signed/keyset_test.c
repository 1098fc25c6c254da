/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "crypto/x509.h"
#include "signed/cose1.h"
#include "signed/keyset.h"

#define YEAR_MS INT64_C(31536000000)

static struct tr_privkey *roots[4]; /* sorted by SPKI */

static int by_spki(const void *a, const void *b)
{
	struct tr_view x = tr_pubkey_spki(tr_privkey_pub(*(struct tr_privkey *const *)a));
	struct tr_view y = tr_pubkey_spki(tr_privkey_pub(*(struct tr_privkey *const *)b));
	int c = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);

	return c ? c : (x.n > y.n) - (x.n < y.n);
}

static struct tr_keyset sample(size_t n_roots, uint64_t threshold)
{
	struct tr_keyset k = {
		.trust_domain = TR_VIEW_LIT("fleet.example"),
		.epoch = 1,
		.issued_ms = NOW_MS - YEAR_MS,
		.expires_ms = NOW_MS + YEAR_MS,
		.threshold = threshold,
		.n_roots = n_roots,
		.n_keys = 2,
		.revocation_number = 3,
		.n_revoked = 1,
	};

	for (size_t i = 0; i < n_roots; i++)
		k.roots[i] = tr_pubkey_spki(tr_privkey_pub(roots[i]));
	k.keys[0] = (struct tr_keyset_key){ TR_ROLE_CA, TR_VIEW_LIT("a certificate"), 1, 2, 0 };
	k.keys[1] = (struct tr_keyset_key){ TR_ROLE_RELEASE, TR_VIEW_LIT("a key"), 0, 0, 5 };
	memset(k.revoked[0], 0x77, 32);
	return k;
}

static void make(const struct tr_keyset *k, const struct tr_privkey *const *by, size_t n, struct tr_buf *ret,
		 uint8_t pin[32])
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	struct tr_err err;

	if (tr_keyset_payload(k, &payload, &err))
		fail_msg("payload: %s", err.pub);
	assert_int_equal(tr_keyset_sign(tr_buf_view(&payload), by, n, ret, &err), TR_OK);
	tr_keyset_root_fingerprint(k, pin);
}

struct pinned {
	uint8_t pin[32];
};

static enum tr_code verify(void *arg, struct tr_view in)
{
	const struct pinned *p = arg;
	struct tr_keyset k;
	struct tr_err err;

	return tr_keyset_verify_pinned(in, p->pin, NOW_MS, &k, &err);
}

static void a_keyset_comes_back_as_it_was_signed(void **state)
{
	const struct tr_privkey *by[] = { roots[0] };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_keyset in = sample(1, 1), out;
	uint8_t pin[32];
	struct tr_err err;

	(void)state;
	make(&in, by, 1, &b, pin);
	if (tr_keyset_verify_pinned(tr_buf_view(&b), pin, NOW_MS, &out, &err))
		fail_msg("%s: %s", err.pub, err.detail);
	assert_true(tr_view_eq(in.trust_domain, out.trust_domain));
	assert_true(in.epoch == out.epoch && in.issued_ms == out.issued_ms &&
		    in.expires_ms == out.expires_ms);
	assert_true(in.threshold == out.threshold && out.n_roots == 1 &&
		    tr_view_eq(in.roots[0], out.roots[0]));
	assert_int_equal(out.n_keys, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(in.keys[i].role, out.keys[i].role);
		assert_true(tr_view_eq(in.keys[i].key, out.keys[i].key));
		assert_true(in.keys[i].not_before_ms == out.keys[i].not_before_ms &&
			    in.keys[i].not_after_ms == out.keys[i].not_after_ms &&
			    in.keys[i].no_sign_after_ms == out.keys[i].no_sign_after_ms);
	}
	assert_true(out.revocation_number == 3 && out.n_revoked == 1);
	assert_memory_equal(in.revoked[0], out.revoked[0], 32);
}

static void no_flipped_bit_is_accepted(void **state)
{
	/* Three of two needed: a damaged surplus signature counts as damage too. */
	const struct tr_privkey *by[] = { roots[0], roots[1], roots[2] };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_keyset k = sample(3, 2);
	struct pinned p;

	(void)state;
	make(&k, by, 3, &b, p.pin);
	assert_int_equal(verify(&p, tr_buf_view(&b)), TR_OK);
	assert_int_equal(accepted_mutations(tr_buf_view(&b), verify, &p), 0);
}

static void who_signed_decides(void **state)
{
	static const struct {
		const char *label;
		size_t n_roots;
		uint64_t threshold;
		int signers[4]; /* indexes of roots, ended by -1 */
		enum tr_code want;
	} cases[] = {
		{ "one of one", 1, 1, { 0, -1 }, TR_OK },
		{ "two of three", 3, 2, { 0, 2, -1 }, TR_OK },
		{ "all of three", 3, 2, { 2, 1, 0, -1 }, TR_OK },
		{ "one where two are needed", 3, 2, { 1, -1 }, TR_E_DENIED },
		{ "the same one twice", 3, 2, { 1, 1, -1 }, TR_E_DENIED },
		{ "a stranger", 1, 1, { 3, -1 }, TR_E_DENIED },
		{ "enough and a stranger", 3, 2, { 0, 1, 3, -1 }, TR_E_DENIED },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_keyset k = sample(cases[i].n_roots, cases[i].threshold);
		const struct tr_privkey *by[4];
		struct pinned p;
		size_t n = 0;

		for (; cases[i].signers[n] >= 0; n++)
			by[n] = roots[cases[i].signers[n]];
		make(&k, by, n, &b, p.pin);
		CHECK(verify(&p, tr_buf_view(&b)) == cases[i].want, cases[i].label);
	}
}

static void the_pin_covers_threshold_and_roots(void **state)
{
	struct tr_keyset a = sample(3, 2), b = sample(3, 1), c = sample(2, 2), d = sample(3, 2);
	uint8_t pa[32], pb[32], pc[32], pd[32];

	(void)state;
	d.epoch = 7;
	tr_keyset_root_fingerprint(&a, pa);
	tr_keyset_root_fingerprint(&b, pb);
	tr_keyset_root_fingerprint(&c, pc);
	tr_keyset_root_fingerprint(&d, pd);
	assert_memory_not_equal(pa, pb, 32);
	assert_memory_not_equal(pa, pc, 32);
	/* Nothing else: a later epoch with the same roots keeps the fingerprint that people compared. */
	assert_memory_equal(pa, pd, 32);
}

static void another_installation_is_denied(void **state)
{
	const struct tr_privkey *by[] = { roots[0] };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_keyset k = sample(1, 1);
	struct pinned p;

	(void)state;
	make(&k, by, 1, &b, p.pin);
	p.pin[31] ^= 1;
	assert_int_equal(verify(&p, tr_buf_view(&b)), TR_E_DENIED);
}

static void an_expired_keyset_is_denied(void **state)
{
	const struct tr_privkey *by[] = { roots[0] };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_keyset k = sample(1, 1), out;
	uint8_t pin[32];
	struct tr_err err;

	(void)state;
	make(&k, by, 1, &b, pin);
	assert_int_equal(tr_keyset_verify_pinned(tr_buf_view(&b), pin, k.expires_ms - 1, &out, &err), TR_OK);
	assert_int_equal(tr_keyset_verify_pinned(tr_buf_view(&b), pin, k.expires_ms, &out, &err),
			 TR_E_DENIED);
}

static void an_inconsistent_keyset_is_not_made(void **state)
{
	static const char *const labels[] = { "good",
					      "domain",
					      "epoch 0",
					      "prev in epoch 1",
					      "no prev in epoch 2",
					      "expires first",
					      "no threshold",
					      "threshold over roots",
					      "unsorted roots",
					      "root twice",
					      "no root",
					      "empty key",
					      "key ends first",
					      "unsorted revocations",
					      "unknown role",
					      "one key in two roles" };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(labels); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_keyset k = sample(2, 1);
		static const uint8_t digest[32];
		struct tr_view swap = k.roots[0];
		struct tr_err err;

		switch (i) {
		case 1: k.trust_domain = TR_VIEW_LIT("Fleet Example"); break;
		case 2: k.epoch = 0; break;
		case 3: k.prev_digest = TR_VIEW_ARRAY(digest); break;
		case 4: k.epoch = 2; break;
		case 5: k.expires_ms = k.issued_ms; break;
		case 6: k.threshold = 0; break;
		case 7: k.threshold = 3; break;
		case 8: k.roots[0] = k.roots[1], k.roots[1] = swap; break;
		case 9: k.roots[1] = k.roots[0]; break;
		case 10: k.n_roots = 0; break;
		case 11: k.keys[1].key.n = 0; break;
		case 12: k.keys[0].not_before_ms = 2; break;
		case 13: k.n_revoked = 2; break;
		case 14: k.keys[0].role = TR_ROLE_N; break;
		case 15: k.keys[1].key = k.keys[0].key; break;
		default: break;
		}
		CHECK(tr_keyset_payload(&k, &b, &err) == (i == 0 ? TR_OK : TR_E_INVALID), labels[i]);
	}
}

static void a_full_keyset_fits(void **state)
{
	const struct tr_privkey *by[] = { roots[0] };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_keyset k = sample(1, 1);
	uint8_t names[64 + TR_KEYSET_KEYS_MAX];
	struct pinned p;

	(void)state;
	for (size_t i = 0; i < sizeof(names); i++)
		names[i] = (uint8_t)i;
	k.epoch = UINT64_MAX;
	k.prev_digest = tr_view(k.revoked[0], 32);
	k.n_keys = TR_KEYSET_KEYS_MAX;
	for (size_t i = 0; i < k.n_keys; i++)
		k.keys[i] = (struct tr_keyset_key){ .role = TR_ROLE_OPERATOR, .key = tr_view(names + i, 64) };
	k.n_revoked = TR_KEYSET_REVOKED_MAX;
	for (size_t i = 0; i < k.n_revoked; i++)
		k.revoked[i][0] = (uint8_t)i, memset(k.revoked[i] + 1, 9, 31);
	make(&k, by, 1, &b, p.pin);
	assert_true(b.n <= TR_KEYSET_MAX);
	assert_int_equal(verify(&p, tr_buf_view(&b)), TR_OK);
}

static void what_is_too_long_is_neither_made_nor_read(void **state)
{
	static uint8_t big[TR_KEYSET_KEYS_MAX][TR_CERT_DER_MAX];
	const struct tr_privkey *by[TR_COSE_SIGS_MAX + 1] = { roots[0] };
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_keyset k = sample(1, 1);
	struct tr_err err;

	(void)state;
	k.n_keys = TR_KEYSET_KEYS_MAX;
	for (size_t i = 0; i < k.n_keys; i++) {
		memset(big[i], (int)i, sizeof(big[i]));
		k.keys[i] = (struct tr_keyset_key){ .role = TR_ROLE_RELEASE, .key = TR_VIEW_ARRAY(big[i]) };
	}
	assert_int_equal(tr_keyset_payload(&k, &payload, &err), TR_OK);
	assert_int_equal(tr_keyset_sign(tr_buf_view(&payload), by, 1, &b, &err), TR_E_INVALID);
	assert_int_equal(tr_keyset_add_signature(tr_buf_view(&payload), roots[0], &b, &err), TR_E_INVALID);
	assert_int_equal(b.n, 0);
	assert_int_equal(tr_keyset_unverified(tr_buf_view(&payload), &k, &err), TR_E_INVALID);
	assert_int_equal(tr_keyset_sign(TR_VIEW_LIT("x"), by, 0, &b, &err), TR_E_INVALID);
	assert_int_equal(tr_keyset_sign(TR_VIEW_LIT("x"), by, TR_COSE_SIGS_MAX + 1, &b, &err), TR_E_INVALID);
}

static int setup(void **state)
{
	static const enum tr_key_type types[] = { TR_KEY_ED25519, TR_KEY_P256, TR_KEY_ED25519 };
	struct tr_err err;

	(void)state;
	if (tr_crypto_init(&err))
		return -1;
	for (size_t i = 0; i < 3; i++)
		roots[i] = new_key(types[i]);
	qsort(roots, 3, sizeof(*roots), by_spki);
	roots[3] = new_key(TR_KEY_ED25519); /* the stranger */
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++)
		roots[i] = tr_privkey_free(roots[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_keyset_comes_back_as_it_was_signed),
		cmocka_unit_test(no_flipped_bit_is_accepted),
		cmocka_unit_test(who_signed_decides),
		cmocka_unit_test(the_pin_covers_threshold_and_roots),
		cmocka_unit_test(another_installation_is_denied),
		cmocka_unit_test(an_expired_keyset_is_denied),
		cmocka_unit_test(an_inconsistent_keyset_is_not_made),
		cmocka_unit_test(a_full_keyset_fits),
		cmocka_unit_test(what_is_too_long_is_neither_made_nor_read),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
