/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec_test.h"

#include "base/secret.h"
#include "crypto/wrap.h"

static const uint8_t KEY[TR_WRAP_KEY_LEN] = { 1, 2, 3 };

static void test_round(void **state)
{
	static const size_t lengths[] = { 0, 1, 31, 32, 33, 400, 70000 };
	struct tr_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(lengths); i++) {
		tr_auto(tr_buf_done) struct tr_buf plain = TR_BUF_INIT, a = TR_BUF_INIT, b = TR_BUF_INIT, back = TR_BUF_INIT;
		uint8_t *p = lengths[i] ? tr_buf_space(&plain, lengths[i]) : NULL;

		if (p)
			memset(p, 7, lengths[i]);
		assert_int_equal(tr_wrap(KEY, TR_VIEW_LIT("who"), tr_buf_view(&plain), &a, &err), TR_OK);
		assert_int_equal(tr_wrap(KEY, TR_VIEW_LIT("who"), tr_buf_view(&plain), &b, &err), TR_OK);
		assert_int_equal(a.n, lengths[i] + TR_WRAP_EXTRA);
		/* A nonce of its own each time. */
		assert_memory_not_equal(a.p, b.p, a.n);
		assert_int_equal(tr_unwrap(KEY, TR_VIEW_LIT("who"), tr_buf_view(&a), &back, &err), TR_OK);
		assert_true(tr_view_eq(tr_buf_view(&back), tr_buf_view(&plain)));
	}
}

static void test_every_bit_counts(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf w = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf back = TR_BUF_INIT;
	struct tr_err err = { 0 };
	uint8_t other[TR_WRAP_KEY_LEN];

	(void)state;
	assert_int_equal(tr_wrap(KEY, TR_VIEW_LIT("who"), TR_VIEW_LIT("a secret"), &w, &err), TR_OK);
	for (size_t i = 0; i < w.n * 8; i++) {
		w.p[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_not_equal(tr_unwrap(KEY, TR_VIEW_LIT("who"), tr_buf_view(&w), &back, &err), TR_OK);
		assert_int_equal(back.n, 0);
		w.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t n = 0; n < w.n; n++)
		assert_int_not_equal(tr_unwrap(KEY, TR_VIEW_LIT("who"), tr_view(w.p, n), &back, &err), TR_OK);
	assert_int_equal(tr_unwrap(KEY, TR_VIEW_LIT("whoever"), tr_buf_view(&w), &back, &err), TR_E_DENIED);
	assert_int_equal(tr_unwrap(KEY, TR_VIEW_LIT(""), tr_buf_view(&w), &back, &err), TR_E_DENIED);
	for (size_t i = 0; i < sizeof(other); i++) {
		memcpy(other, KEY, sizeof(other));
		other[i] ^= 1;
		assert_int_equal(tr_unwrap(other, TR_VIEW_LIT("who"), tr_buf_view(&w), &back, &err), TR_E_DENIED);
	}
	assert_int_equal(tr_unwrap(KEY, TR_VIEW_LIT("who"), tr_buf_view(&w), &back, &err), TR_OK);
	assert_true(tr_view_is(tr_buf_view(&back), "a secret"));
}

static void test_sealed_key(void **state)
{
	static const enum tr_key_type types[] = { TR_KEY_ED25519, TR_KEY_P256 };
	struct tr_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(types); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
		tr_auto(tr_privkey_free) struct tr_privkey *other = NULL;
		tr_auto(tr_privkey_free) struct tr_privkey *back = NULL;
		tr_auto(tr_buf_done) struct tr_buf sealed = TR_BUF_INIT, pem = TR_BUF_INIT;
		struct tr_view spki;

		assert_int_equal(tr_privkey_generate(types[i], &k, &err), TR_OK);
		assert_int_equal(tr_privkey_generate(types[i], &other, &err), TR_OK);
		spki = tr_pubkey_spki(tr_privkey_pub(k));
		assert_int_equal(tr_privkey_seal(KEY, TR_VIEW_LIT("command"), k, &sealed, &err), TR_OK);
		assert_in_range(sealed.n, 100, 512); /* the room of its row */
		assert_int_equal(tr_privkey_pem(k, &pem, &err), TR_OK);
		/* Nothing of it shows. */
		for (size_t at = 28; at + 16 <= pem.n; at++)
			assert_null(memmem(sealed.p, sealed.n, pem.p + at, 16));
		assert_int_equal(tr_privkey_unseal(KEY, TR_VIEW_LIT("ca"), spki, tr_buf_view(&sealed), &back, &err),
				 TR_E_DENIED);
		assert_int_equal(tr_privkey_unseal(KEY, TR_VIEW_LIT("command"), tr_pubkey_spki(tr_privkey_pub(other)),
						   tr_buf_view(&sealed), &back, &err),
				 TR_E_DENIED);
		assert_null(back);
		assert_int_equal(tr_privkey_unseal(KEY, TR_VIEW_LIT("command"), spki, tr_buf_view(&sealed), &back, &err),
				 TR_OK);
		assert_memory_equal(tr_pubkey_id(tr_privkey_pub(back)), tr_pubkey_id(tr_privkey_pub(k)), 32);
		tr_wipe(pem.p, pem.n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_sealed_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
