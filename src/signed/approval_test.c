/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/obey_sample.h"

static const struct tr_view order = TR_VIEW_LIT("the bytes of an order");

static struct tr_approval sample(void)
{
	return obey_approval(order);
}

static void sign(const struct tr_approval *a, size_t key, struct tr_buf *b)
{
	tr_buf_clear(b);
	MUST(tr_approval_sign(a, obey_keys[key], b, &must));
}

static enum tr_code verify_as(const struct tr_keyset *ks, struct tr_view in, enum tr_cmd_class class, int64_t now_ms)
{
	uint8_t digest[32], id[32];
	struct tr_err err;

	tr_order_digest(order, digest);
	return tr_approval_verify(in, ks, class, digest, now_ms, id, &err);
}

static enum tr_code verify(void *arg, struct tr_view in)
{
	return verify_as(arg, in, TR_CLASS_CHANGE, NOW_MS);
}

static void an_approval_comes_back_as_it_was_signed(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_keyset ks = obey_keyset();
	uint8_t digest[32], id[32];

	(void)state;
	tr_order_digest(order, digest);
	/* Ed25519 and P-256. */
	for (size_t key = K_OP_A; key <= K_OP_B; key++) {
		struct tr_approval in = sample(), out;
		struct tr_view kid;

		sign(&in, key, &b);
		MUST(tr_approval_read(tr_buf_view(&b), &out, &kid, &must));
		assert_true(tr_view_eq(in.trust_domain, out.trust_domain) && tr_view_eq(in.text, out.text));
		assert_true(in.issued_ms == out.issued_ms && in.expires_ms == out.expires_ms && out.n == 1);
		assert_memory_equal(in.orders[0], out.orders[0], 32);
		assert_true(tr_view_eq(kid, tr_cose1_kid(tr_privkey_pub(obey_keys[key]))));
		MUST(tr_approval_verify(tr_buf_view(&b), &ks, TR_CLASS_CHANGE, digest, NOW_MS, id, &must));
		assert_memory_equal(id, tr_pubkey_id(tr_privkey_pub(obey_keys[key])), 32);
	}
}

static void no_flipped_bit_is_accepted(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_keyset ks = obey_keyset();
	struct tr_approval a = sample();

	(void)state;
	sign(&a, K_OP_A, &b);
	assert_int_equal(verify(&ks, tr_buf_view(&b)), TR_OK);
	assert_int_equal(accepted_mutations(tr_buf_view(&b), verify, &ks), 0);
}

static void one_signature_covers_many_orders(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	static uint8_t text[TR_APPROVAL_TEXT_MAX];
	struct tr_keyset ks = obey_keyset();
	struct tr_approval a = sample();
	uint8_t id[32];

	(void)state;
	memset(text, 'x', sizeof(text));
	a.text = TR_VIEW_ARRAY(text);
	a.n = TR_APPROVAL_ORDERS_MAX;
	for (size_t i = 0; i < a.n; i++)
		memset(a.orders[i], (int)i + 1, 32);
	sign(&a, K_OP_B, &b);
	assert_true(b.n <= TR_APPROVAL_MAX);
	for (size_t i = 0; i < a.n; i++)
		MUST(tr_approval_verify(tr_buf_view(&b), &ks, TR_CLASS_CHANGE, a.orders[i], NOW_MS, id, &must));
	assert_int_equal(verify(&ks, tr_buf_view(&b)), TR_E_DENIED);
}

static void who_and_when_decides(void **state)
{
	static const struct {
		const char *label;
		size_t key;
		int64_t issued, expires, now; /* ms from NOW_MS */
		enum tr_cmd_class class;
		bool good;
	} cases[] = {
		{ "now", K_OP_A, -MINUTE_MS, MINUTE_MS, 0, TR_CLASS_CHANGE, true },
		{ "by a stranger", K_STRANGER, -MINUTE_MS, MINUTE_MS, 0, TR_CLASS_CHANGE, false },
		{ "by a command key", K_COMMAND, -MINUTE_MS, MINUTE_MS, 0, TR_CLASS_CHANGE, false },
		{ "by a root", K_ROOT, -MINUTE_MS, MINUTE_MS, 0, TR_CLASS_CHANGE, false },
		{ "last moment", K_OP_A, -MINUTE_MS, MINUTE_MS, MINUTE_MS - 1, TR_CLASS_CHANGE, true },
		{ "expired", K_OP_A, -MINUTE_MS, MINUTE_MS, MINUTE_MS, TR_CLASS_CHANGE, false },
		{ "5 minutes ahead", K_OP_A, 5 * MINUTE_MS, 6 * MINUTE_MS, 0, TR_CLASS_CHANGE, true },
		{ "more than 5 minutes ahead", K_OP_A, 5 * MINUTE_MS + 1, 6 * MINUTE_MS, 0, TR_CLASS_CHANGE, false },
		{ "4 hours for a change", K_OP_A, -MINUTE_MS, 4 * HOUR_MS - MINUTE_MS, 0, TR_CLASS_CHANGE, true },
		{ "1 hour for what is dangerous", K_OP_A, -MINUTE_MS, HOUR_MS - MINUTE_MS, 0, TR_CLASS_DANGEROUS, true },
		{ "more than 1 hour for what is dangerous", K_OP_A, -MINUTE_MS, HOUR_MS - MINUTE_MS + 1, 0,
		  TR_CLASS_DANGEROUS, false },
		{ "more than 1 hour for a class that nobody knows", K_OP_A, -MINUTE_MS, HOUR_MS - MINUTE_MS + 1, 0,
		  TR_CLASS_N, false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_keyset ks = obey_keyset();
		struct tr_approval a = sample();

		a.issued_ms = NOW_MS + cases[i].issued;
		a.expires_ms = NOW_MS + cases[i].expires;
		sign(&a, cases[i].key, &b);
		CHECK(verify_as(&ks, tr_buf_view(&b), cases[i].class, NOW_MS + cases[i].now) ==
			      (cases[i].good ? TR_OK : TR_E_DENIED),
		      cases[i].label);
	}
}

static void the_keyset_decides_about_the_operator(void **state)
{
	enum { AS_IT_IS, REVOKED, REMOVED, OTHER_DOMAIN, NOT_YET_VALID, OVER, RETIRED_BEFORE, RETIRED_AFTER, DAMAGED, N };
	static const enum tr_code want[N] = { TR_OK,	   TR_E_DENIED, TR_E_DENIED, TR_E_DENIED, TR_E_DENIED,
					      TR_E_DENIED, TR_E_DENIED, TR_OK,	     TR_E_DENIED };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_approval a = sample();

	(void)state;
	sign(&a, K_OP_A, &b);
	for (unsigned i = 0; i < N; i++) {
		struct tr_keyset ks = obey_keyset();
		struct tr_keyset_key *key = &ks.keys[2];

		switch (i) {
		case REVOKED: obey_revoke(&ks, K_OP_A); break;
		case REMOVED: *key = ks.keys[--ks.n_keys]; break;
		case OTHER_DOMAIN: ks.trust_domain = TR_VIEW_LIT("other.example"); break;
		case NOT_YET_VALID: key->not_before_ms = a.issued_ms + 1; break;
		case OVER: key->not_after_ms = NOW_MS; break;
		case RETIRED_BEFORE: key->no_sign_after_ms = a.issued_ms - 1; break;
		case RETIRED_AFTER: key->no_sign_after_ms = a.issued_ms; break;
		case DAMAGED: key->key.n--; break;
		default: break;
		}
		if (verify(&ks, tr_buf_view(&b)) != want[i])
			fail_msg("case %u", i);
	}
}

static void an_inconsistent_approval_is_not_made(void **state)
{
	static const char *const labels[] = { "good",	   "domain",	  "no issue",	 "over at once", "over 4 hours",
					      "no text",   "long text",	  "tab in text", "no order",	 "unsorted orders",
					      "order twice", "too many orders", "after 9999", "lines", "not UTF-8" };
	static uint8_t text[TR_APPROVAL_TEXT_MAX + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < TR_ARRAY_LEN(labels); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_approval a = sample();
		struct tr_err err;
		bool good = i == 0 || i == 13;

		a.n = 2;
		memset(a.orders[1], 0xff, 32);
		switch (i) {
		case 1: a.trust_domain = TR_VIEW_LIT("A"); break;
		case 2: a.issued_ms = 0; break;
		case 3: a.expires_ms = a.issued_ms; break;
		case 4: a.expires_ms = a.issued_ms + 4 * HOUR_MS + 1; break;
		case 5: a.text.n = 0; break;
		case 6: a.text = TR_VIEW_ARRAY(text); break;
		case 7: a.text = TR_VIEW_LIT("a\tb"); break;
		case 8: a.n = 0; break;
		case 9: memset(a.orders[0], 0xff, 32), memset(a.orders[1], 1, 32); break;
		case 10: memcpy(a.orders[1], a.orders[0], 32); break;
		case 11: a.n = TR_APPROVAL_ORDERS_MAX + 1; break;
		case 12: a.expires_ms = INT64_C(253402300800000), a.issued_ms = a.expires_ms - 1; break;
		case 13: a.text = TR_VIEW_LIT("one\ntwo\n"); break;
		case 14: a.text = TR_VIEW_LIT("one\n\xff"); break;
		default: break;
		}
		CHECK(tr_approval_sign(&a, obey_keys[K_OP_A], &b, &err) == (good ? TR_OK : TR_E_INVALID), labels[i]);
	}
}

/* Signed by the right key, and yet no approval. */
static void what_is_no_object_is_not_read(void **state)
{
	struct tr_approval a;
	struct tr_view kid;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_approval_read(TR_VIEW_LIT(""), &a, &kid, &err), TR_E_INVALID);
	assert_int_equal(tr_approval_read(TR_VIEW_LIT("\xd2\x84"), &a, &kid, &err), TR_E_INVALID);
}

static void a_signed_payload_of_another_form_is_refused(void **state)
{
	static const struct {
		const char *label;
		const char *domain;
		struct tr_view from, to;
	} cases[] = {
		{ "another domain string", "troth/command/v1", TR_VIEW_LIT("\x01"), TR_VIEW_LIT("\x01") },
		{ "a member less", TR_APPROVAL_DOMAIN, TR_VIEW_LIT("\xa5\x01"), TR_VIEW_LIT("\xa4\x01") },
		{ "a member more", TR_APPROVAL_DOMAIN, TR_VIEW_LIT("\xa5\x01"), TR_VIEW_LIT("\xa6\x00\x00\x01") },
		{ "an unknown member", TR_APPROVAL_DOMAIN, TR_VIEW_LIT("\x05\x81"), TR_VIEW_LIT("\x06\x81") },
		{ "a digest of 31 bytes", TR_APPROVAL_DOMAIN, TR_VIEW_LIT("\x81\x58\x20"), TR_VIEW_LIT("\x82\x40\x58\x20") },
		{ "a text with an escape", TR_APPROVAL_DOMAIN, TR_VIEW_LIT("an order"), TR_VIEW_LIT("an\x1border") },
	};
	tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT;
	struct tr_keyset ks = obey_keyset();
	struct tr_approval a = sample();
	struct tr_cose c;

	(void)state;
	sign(&a, K_OP_A, &good);
	MUST(tr_cose1_parse(tr_buf_view(&good), TR_APPROVAL_MAX, &c, &must));
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT, b = TR_BUF_INIT;
		const uint8_t *at = memmem(c.payload.p, c.payload.n, cases[i].from.p, cases[i].from.n);
		struct tr_approval out;
		struct tr_view kid;
		struct tr_err err;
		size_t before;

		CHECK(at != NULL, cases[i].label);
		before = (size_t)(at - c.payload.p);
		tr_buf_add(&payload, c.payload.p, before);
		tr_buf_addv(&payload, cases[i].to);
		tr_buf_add(&payload, at + cases[i].from.n, c.payload.n - before - cases[i].from.n);
		MUST(tr_cose1_sign(obey_keys[K_OP_A], cases[i].domain, tr_buf_view(&payload), &b, &must));
		CHECK(verify(&ks, tr_buf_view(&b)) == TR_E_DENIED, cases[i].label);
		CHECK(i == 0 || tr_approval_read(tr_buf_view(&b), &out, &kid, &err) == TR_E_INVALID, cases[i].label);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_approval_comes_back_as_it_was_signed),
		cmocka_unit_test(no_flipped_bit_is_accepted),
		cmocka_unit_test(one_signature_covers_many_orders),
		cmocka_unit_test(who_and_when_decides),
		cmocka_unit_test(the_keyset_decides_about_the_operator),
		cmocka_unit_test(an_inconsistent_approval_is_not_made),
		cmocka_unit_test(what_is_no_object_is_not_read),
		cmocka_unit_test(a_signed_payload_of_another_form_is_refused),
	};

	return cmocka_run_group_tests(tests, obey_setup, obey_teardown);
}
