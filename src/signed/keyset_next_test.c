/* SPDX-License-Identifier: Apache-2.0 */
/* Keysets that follow each other, and what they say about keys. */
#include "signed/signed_test.h"

#include "signed/cose1.h"
#include "signed/keyset.h"

#define DAY_MS INT64_C(86400000)
#define FIRST 6 /* keys made: roots of every type, one stranger */

static struct tr_privkey *keys[FIRST]; /* sorted by SPKI; the last is a stranger */
static struct tr_err must;

#define MUST(call)                                                                                         \
	do {                                                                                               \
		if (call)                                                                                  \
			fail_msg("%s: %s: %s", #call, must.pub, must.detail);                              \
	} while (0)

/* A keyset as an agent holds it. */
struct held {
	struct tr_buf bytes;
	struct tr_keyset k;
};

static void held_done(struct held *h)
{
	tr_buf_done(&h->bytes);
}
TR_DEFINE_AUTO_DONE(struct held, held_done)

static void set_roots(struct tr_keyset *k, uint64_t threshold, const int *which)
{
	k->threshold = threshold;
	for (k->n_roots = 0; which[k->n_roots] >= 0; k->n_roots++)
		k->roots[k->n_roots] = tr_pubkey_spki(tr_privkey_pub(keys[which[k->n_roots]]));
}

static struct tr_keyset first(void)
{
	struct tr_keyset k = { .trust_domain = TR_VIEW_LIT("fleet.example"),
			       .epoch = 1,
			       .issued_ms = NOW_MS - DAY_MS,
			       .expires_ms = NOW_MS + DAY_MS,
			       .n_keys = 2,
			       .revocation_number = 3,
			       .n_revoked = 1 };

	k.keys[0] = (struct tr_keyset_key){ TR_ROLE_COMMAND, TR_VIEW_LIT("a command key"), NOW_MS, NOW_MS + DAY_MS, 0 };
	k.keys[1] = (struct tr_keyset_key){ TR_ROLE_OPERATOR, TR_VIEW_LIT("an operator's key"), 0, 0, NOW_MS };
	memset(k.revoked[0], 0x77, 32);
	set_roots(&k, 1, (const int[]){ 0, -1 });
	return k;
}

/* What follows h, with its revocations and keys. */
static struct tr_keyset after(struct held *h, uint8_t digest[32])
{
	struct tr_keyset k = h->k;

	tr_keyset_digest(tr_buf_view(&h->bytes), digest);
	k.epoch = h->k.epoch + 1;
	k.prev_digest = tr_view(digest, 32);
	k.issued_ms++;
	return k;
}

/* Signed by one holder after the other, as people do it. */
static void sign(const struct tr_keyset *k, const int *by, struct tr_buf *ret)
{
	tr_buf_clear(ret);
	MUST(tr_keyset_payload(k, ret, &must));
	for (; *by >= 0; by++) {
		tr_auto(tr_buf_done) struct tr_buf more = TR_BUF_INIT;

		MUST(tr_keyset_add_signature(tr_buf_view(ret), keys[*by], &more, &must));
		tr_buf_clear(ret);
		tr_buf_addv(ret, tr_buf_view(&more));
	}
}

static void start(struct held *h)
{
	struct tr_keyset k = first();
	uint8_t pin[32];

	tr_keyset_root_fingerprint(&k, pin);
	sign(&k, (const int[]){ 0, -1 }, &h->bytes);
	MUST(tr_keyset_verify_pinned(tr_buf_view(&h->bytes), pin, NOW_MS, &h->k, &must));
}

/* Takes the step, or says why not. */
static enum tr_code step(struct held *h, const struct tr_keyset *next, const int *by, struct tr_err *err)
{
	struct tr_buf b = TR_BUF_INIT;
	struct tr_keyset k;
	enum tr_code rc;

	sign(next, by, &b);
	rc = tr_keyset_verify_next(tr_buf_view(&h->bytes), &h->k, tr_buf_view(&b), NOW_MS, &k, err);
	if (rc) {
		tr_buf_done(&b);
		return rc;
	}
	tr_buf_done(&h->bytes);
	h->bytes = b;
	h->k = k;
	return TR_OK;
}

static void one_root_grows_into_two_of_three_and_goes(void **state)
{
	tr_auto(held_done) struct held h = { 0 };
	struct tr_keyset k;
	uint8_t digest[32], pin[32];
	struct tr_err err;

	(void)state;
	start(&h);
	k = after(&h, digest);
	set_roots(&k, 2, (const int[]){ 0, 1, 2, -1 });
	MUST(step(&h, &k, (const int[]){ 0, 1, -1 }, &must));
	assert_int_equal(h.k.epoch, 2);
	/* The first root goes, and does not have to agree; two of the present three and two of the next two sign. */
	k = after(&h, digest);
	set_roots(&k, 2, (const int[]){ 1, 2, -1 });
	MUST(step(&h, &k, (const int[]){ 1, 2, -1 }, &must));
	/* It has no say any more. */
	k = after(&h, digest);
	assert_int_equal(step(&h, &k, (const int[]){ 0, 1, -1 }, &err), TR_E_DENIED);
	assert_int_equal(step(&h, &k, (const int[]){ 0, 1, 2, -1 }, &err), TR_E_DENIED);
	MUST(step(&h, &k, (const int[]){ 2, 1, -1 }, &must));
	assert_int_equal(h.k.epoch, 4);
	/* A new root set altogether: both signed, and who pins the new one need not know the old one. */
	k = after(&h, digest);
	set_roots(&k, 1, (const int[]){ 3, 4, -1 });
	MUST(step(&h, &k, (const int[]){ 1, 2, 4, -1 }, &must));
	tr_keyset_root_fingerprint(&h.k, pin);
	MUST(tr_keyset_verify_pinned(tr_buf_view(&h.bytes), pin, NOW_MS, &k, &must));
	/* A link of a chain may be old. */
	assert_int_equal(tr_keyset_verify_pinned(tr_buf_view(&h.bytes), pin, h.k.expires_ms, &k, &err), TR_E_DENIED);
	MUST(tr_keyset_verify_pinned(tr_buf_view(&h.bytes), pin, 0, &k, &must));
}

static void both_thresholds_sign(void **state)
{
	static const struct {
		const char *label;
		int by[5];
		bool good;
	} cases[] = {
		{ "old and new", { 0, 1, 2, 3, -1 }, true },
		{ "only the old ones", { 0, 1, -1 }, false },
		{ "only the new ones", { 2, 3, -1 }, false },
		{ "too few old ones", { 0, 2, 3, -1 }, false },
		{ "too few new ones", { 0, 1, 2, -1 }, false },
		{ "all and a stranger", { 0, 1, 2, 3, 5 }, false },
		{ "in another order", { 3, 0, 2, 1, -1 }, true },
	};
	tr_auto(held_done) struct held h = { 0 };
	uint8_t digest[32];
	struct tr_keyset k;

	(void)state;
	start(&h);
	k = after(&h, digest);
	set_roots(&k, 2, (const int[]){ 0, 1, -1 });
	MUST(step(&h, &k, (const int[]){ 0, 1, -1 }, &must));
	k = after(&h, digest);
	set_roots(&k, 2, (const int[]){ 2, 3, -1 });
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_keyset out;
		struct tr_err err;
		int by[6] = { -1, -1, -1, -1, -1, -1 };

		memcpy(by, cases[i].by, sizeof(cases[i].by));
		sign(&k, by, &b);
		CHECK(tr_keyset_verify_next(tr_buf_view(&h.bytes), &h.k, tr_buf_view(&b), NOW_MS, &out, &err) ==
			      (cases[i].good ? TR_OK : TR_E_DENIED),
		      cases[i].label);
	}
}

static void only_the_next_one_is_next(void **state)
{
	static const struct {
		const char *label;
		enum tr_code want;
	} cases[] = {
		{ "the next", TR_OK },
		{ "the same epoch", TR_E_DENIED },
		{ "an epoch skipped", TR_E_DENIED },
		{ "another predecessor", TR_E_DENIED },
		{ "another trust domain", TR_E_DENIED },
		{ "issued earlier", TR_E_DENIED },
		{ "issued at once", TR_OK },
		{ "a revocation taken back", TR_E_DENIED },
		{ "a revocation replaced", TR_E_DENIED },
		{ "a lower revocation number", TR_E_DENIED },
		{ "a revocation more, a higher number", TR_OK },
		{ "a revocation more, the same number", TR_E_DENIED },
		{ "a higher number alone", TR_OK },
		{ "expired", TR_E_DENIED },
		{ "epoch 1 again", TR_E_DENIED },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(held_done) struct held h = { 0 };
		struct tr_keyset k;
		uint8_t digest[32];
		struct tr_err err;

		start(&h);
		k = after(&h, digest);
		MUST(step(&h, &k, (const int[]){ 0, -1 }, &must));
		k = after(&h, digest);
		switch (i) {
		case 1: k.epoch--; break;
		case 2: k.epoch++; break;
		case 3: digest[31] ^= 1; break;
		case 4: k.trust_domain = TR_VIEW_LIT("other.example"); break;
		case 5: k.issued_ms = h.k.issued_ms - 1; break;
		case 6: k.issued_ms = h.k.issued_ms; break;
		case 7: k.n_revoked = 0, k.revocation_number++; break;
		case 8: k.revoked[0][0]++, k.revocation_number++; break;
		case 9: k.revocation_number--; break;
		case 10: k.revocation_number++, memset(k.revoked[k.n_revoked++], 0x78, 32); break;
		case 11: memset(k.revoked[k.n_revoked++], 0x78, 32); break;
		case 12: k.revocation_number++; break;
		case 13: k.expires_ms = NOW_MS; break;
		case 14: k.epoch = 1, k.prev_digest.n = 0; break;
		default: break;
		}
		CHECK(step(&h, &k, (const int[]){ 0, -1 }, &err) == cases[i].want, cases[i].label);
		CHECK(cases[i].want == TR_OK || (err.pub && err.pub[0]), cases[i].label);
	}
}

struct next_of {
	struct held *h;
};

static enum tr_code verify(void *arg, struct tr_view in)
{
	struct held *h = ((struct next_of *)arg)->h;
	struct tr_keyset k;
	struct tr_err err;

	return tr_keyset_verify_next(tr_buf_view(&h->bytes), &h->k, in, NOW_MS, &k, &err);
}

static void no_flipped_bit_is_accepted(void **state)
{
	tr_auto(held_done) struct held h = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct next_of arg = { &h };
	struct tr_keyset k;
	uint8_t digest[32];

	(void)state;
	start(&h);
	k = after(&h, digest);
	set_roots(&k, 1, (const int[]){ 1, -1 });
	sign(&k, (const int[]){ 0, 1, -1 }, &b);
	assert_int_equal(verify(&arg, tr_buf_view(&b)), TR_OK);
	assert_int_equal(accepted_mutations(tr_buf_view(&b), verify, &arg), 0);
}

static void who_pins_the_next_does_not_judge_the_roots_before(void **state)
{
	tr_auto(held_done) struct held h = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_keyset k, out;
	uint8_t digest[32], pin[32], same[32];
	struct tr_err err;

	(void)state;
	start(&h);
	k = after(&h, digest);
	set_roots(&k, 1, (const int[]){ 1, -1 });
	tr_keyset_root_fingerprint(&k, pin);
	sign(&k, (const int[]){ 1, 0, -1 }, &b);
	tr_keyset_digest(tr_buf_view(&b), digest);
	b.p[b.n - 1] ^= 1; /* of the old root's signature */
	MUST(tr_keyset_verify_pinned(tr_buf_view(&b), pin, NOW_MS, &out, &must));
	/* It is the same keyset for all that follows, and no step. */
	tr_keyset_digest(tr_buf_view(&b), same);
	assert_memory_equal(digest, same, 32);
	assert_int_equal(tr_keyset_verify_next(tr_buf_view(&h.bytes), &h.k, tr_buf_view(&b), NOW_MS, &out, &err),
			 TR_E_DENIED);
	/* Without one of its own roots it is nothing. */
	sign(&k, (const int[]){ 0, -1 }, &b);
	assert_int_equal(tr_keyset_verify_pinned(tr_buf_view(&b), pin, NOW_MS, &out, &err), TR_E_DENIED);
}

static void people_sign_one_after_the_other(void **state)
{
	tr_auto(held_done) struct held h = { 0 };
	tr_auto(tr_buf_done) struct tr_buf draft = TR_BUF_INIT, one = TR_BUF_INIT, two = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_keyset_signed by;
	struct tr_keyset k, seen;
	uint8_t digest[32], of_draft[32], of_signed[32];
	struct tr_err err;

	(void)state;
	start(&h);
	k = after(&h, digest);
	set_roots(&k, 2, (const int[]){ 1, 2, -1 });
	MUST(tr_keyset_payload(&k, &draft, &must));
	MUST(tr_keyset_draft(tr_buf_view(&draft), &seen, &must));
	assert_true(seen.epoch == 2 && seen.threshold == 2);
	assert_int_equal(tr_keyset_unverified(tr_buf_view(&draft), &seen, &err), TR_E_INVALID);
	MUST(tr_keyset_signatures(tr_buf_view(&draft), &h.k, &by, &must));
	assert_true(by.by_own == 0 && by.by_prev == 0);

	MUST(tr_keyset_add_signature(tr_buf_view(&draft), keys[2], &one, &must));
	MUST(tr_keyset_draft(tr_buf_view(&one), &seen, &must));
	MUST(tr_keyset_add_signature(tr_buf_view(&one), keys[0], &two, &must));
	MUST(tr_keyset_signatures(tr_buf_view(&two), &h.k, &by, &must));
	assert_true(by.by_own == 1 && !by.own[0] && by.own[1] && by.by_prev == 1 && by.prev[0]);
	/* Without the predecessor at hand its root is passed over. */
	MUST(tr_keyset_signatures(tr_buf_view(&two), NULL, &by, &must));
	assert_true(by.by_own == 1 && by.by_prev == 0);
	/* Signing twice is signing once. */
	MUST(tr_keyset_add_signature(tr_buf_view(&two), keys[2], &again, &must));
	MUST(tr_keyset_signatures(tr_buf_view(&again), &h.k, &by, &must));
	assert_true(by.by_own == 1 && by.by_prev == 1 && again.n == two.n);
	/* What the next one names does not depend on who has signed. */
	tr_keyset_digest(tr_buf_view(&draft), of_draft);
	tr_keyset_digest(tr_buf_view(&again), of_signed);
	assert_memory_equal(of_draft, of_signed, 32);
	/* A stranger is told so by who knows all roots. */
	tr_buf_clear(&again);
	MUST(tr_keyset_add_signature(tr_buf_view(&two), keys[5], &again, &must));
	assert_int_equal(tr_keyset_signatures(tr_buf_view(&again), &h.k, &by, &err), TR_E_DENIED);
	/* And of one that does not hold. */
	two.p[two.n - 1] ^= 1;
	assert_int_equal(tr_keyset_signatures(tr_buf_view(&two), &h.k, &by, &err), TR_E_DENIED);
}

static void nobody_signs_what_is_no_keyset(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, payload = TR_BUF_INIT;
	static uint8_t big[TR_KEYSET_MAX + 1];
	struct tr_keyset k = first();
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_keyset_add_signature(TR_VIEW_LIT("\xa0"), keys[0], &b, &err), TR_E_INVALID);
	assert_int_equal(tr_keyset_add_signature(TR_VIEW_LIT(""), keys[0], &b, &err), TR_E_INVALID);
	assert_int_equal(tr_keyset_add_signature(TR_VIEW_LIT("\xd8\x62\x84"), keys[0], &b, &err), TR_E_INVALID);
	assert_int_equal(tr_keyset_draft(TR_VIEW_ARRAY(big), &k, &err), TR_E_INVALID);
	k = first();
	MUST(tr_keyset_payload(&k, &payload, &must));
	/* Nothing comes before epoch 1. */
	assert_int_equal(tr_keyset_add_signature(tr_buf_view(&payload), keys[1], &b, &err), TR_E_DENIED);
	assert_int_equal(b.n, 0);
}

static void a_keyset_takes_sixteen_signatures(void **state)
{
	tr_auto(held_done) struct held h = { 0 };
	struct tr_privkey *many[TR_COSE_SIGS_MAX + 1];
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, last = TR_BUF_INIT;
	struct tr_keyset k;
	uint8_t digest[32];
	struct tr_err err;

	(void)state;
	start(&h);
	k = after(&h, digest);
	MUST(tr_keyset_payload(&k, &b, &must));
	for (size_t i = 0; i <= TR_COSE_SIGS_MAX; i++) {
		tr_auto(tr_buf_done) struct tr_buf more = TR_BUF_INIT;

		many[i] = new_key(TR_KEY_ED25519);
		if (i == TR_COSE_SIGS_MAX)
			break;
		MUST(tr_keyset_add_signature(tr_buf_view(&b), many[i], &more, &must));
		tr_buf_clear(&b);
		tr_buf_addv(&b, tr_buf_view(&more));
	}
	assert_int_equal(tr_keyset_add_signature(tr_buf_view(&b), many[TR_COSE_SIGS_MAX], &last, &err), TR_E_BUSY);
	MUST(tr_keyset_add_signature(tr_buf_view(&b), many[3], &last, &must));
	for (size_t i = 0; i <= TR_COSE_SIGS_MAX; i++)
		tr_privkey_free(many[i]);
}

static int by_spki(const void *a, const void *b)
{
	struct tr_view x = tr_pubkey_spki(tr_privkey_pub(*(struct tr_privkey *const *)a));
	struct tr_view y = tr_pubkey_spki(tr_privkey_pub(*(struct tr_privkey *const *)b));
	int c = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);

	return c ? c : (x.n > y.n) - (x.n < y.n);
}

static int setup(void **state)
{
	static const enum tr_key_type types[FIRST] = { [1] = TR_KEY_P256, [3] = TR_KEY_P256 };
	struct tr_err err;

	(void)state;
	if (tr_crypto_init(&err))
		return -1;
	for (size_t i = 0; i < FIRST; i++)
		keys[i] = new_key(types[i]);
	qsort(keys, FIRST - 1, sizeof(*keys), by_spki);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < FIRST; i++)
		keys[i] = tr_privkey_free(keys[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_root_grows_into_two_of_three_and_goes),
		cmocka_unit_test(both_thresholds_sign),
		cmocka_unit_test(only_the_next_one_is_next),
		cmocka_unit_test(no_flipped_bit_is_accepted),
		cmocka_unit_test(who_pins_the_next_does_not_judge_the_roots_before),
		cmocka_unit_test(people_sign_one_after_the_other),
		cmocka_unit_test(nobody_signs_what_is_no_keyset),
		cmocka_unit_test(a_keyset_takes_sixteen_signatures),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
