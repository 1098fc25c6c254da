/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/text.h"
#include "signed/time.h"

#define NOW_NS (NOW_MS * 1000000)

static const uint8_t nonce[64] = { 1, 2, 3 };

static void the_time_comes_back_for_its_nonce(void **state)
{
	static const enum tr_key_type types[] = { TR_KEY_ED25519, TR_KEY_P256, TR_KEY_RSA };
	static const size_t sizes[] = { 16, 32, 64 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(types); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(types[i]);

		for (size_t j = 0; j < TR_ARRAY_LEN(sizes); j++) {
			tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
			struct tr_err err;
			int64_t ns = 5;

			assert_int_equal(tr_time_sign(tr_view(nonce, sizes[j]), NOW_NS, k, &b, &err), TR_OK);
			assert_int_equal(tr_time_verify(tr_buf_view(&b), tr_privkey_pub(k), tr_view(nonce, sizes[j]),
							&ns, &err), TR_OK);
			assert_int_equal(ns, NOW_NS);
		}
	}
}

static void what_is_out_of_range_is_not_signed(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	static const struct {
		const char *label;
		size_t nonce;
		int64_t ns;
		enum tr_code want;
	} cases[] = {
		{ "good", 16, 1, TR_OK },		 { "short nonce", 15, 1, TR_E_INVALID },
		{ "no nonce", 0, 1, TR_E_INVALID },	 { "long nonce", 65, 1, TR_E_INVALID },
		{ "no time", 16, 0, TR_E_INVALID },	 { "before 1970", 16, -1, TR_E_INVALID },
		{ "last time", 64, INT64_MAX, TR_OK },
	};
	static const uint8_t bytes[65];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err;

		CHECK(tr_time_sign(tr_view(bytes, cases[i].nonce), cases[i].ns, k, &b, &err) == cases[i].want,
		      cases[i].label);
		CHECK((b.n > 0) == (cases[i].want == TR_OK), cases[i].label);
	}
}

/* Payloads of the right key in the right domain. */
static void a_good_signature_does_not_excuse_the_form(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	static const struct {
		const char *label, *hex, *domain;
		enum tr_code want;
	} cases[] = {
		{ "good", "a20150000000000000000000000000000000000201", TR_TIME_DOMAIN, TR_OK },
		{ "another domain", "a20150000000000000000000000000000000000201", "troth/pulse/v1", TR_E_DENIED },
		{ "another nonce", "a20150000000000000000000000000000000010201", TR_TIME_DOMAIN, TR_E_CONFLICT },
		{ "short nonce", "a2014f0000000000000000000000000000000201", TR_TIME_DOMAIN, TR_E_INVALID },
		{ "no time", "a1015000000000000000000000000000000000", TR_TIME_DOMAIN, TR_E_INVALID },
		{ "time zero", "a20150000000000000000000000000000000000200", TR_TIME_DOMAIN, TR_E_INVALID },
		{ "negative time", "a20150000000000000000000000000000000000220", TR_TIME_DOMAIN, TR_E_INVALID },
		{ "unknown key", "a20150000000000000000000000000000000000301", TR_TIME_DOMAIN, TR_E_INVALID },
		{ "a third key", "a301500000000000000000000000000000000002010301", TR_TIME_DOMAIN, TR_E_INVALID },
		{ "long head", "a2015000000000000000000000000000000000021801", TR_TIME_DOMAIN, TR_E_INVALID },
		{ "byte behind", "a2015000000000000000000000000000000000020100", TR_TIME_DOMAIN, TR_E_INVALID },
		{ "nothing", "", TR_TIME_DOMAIN, TR_E_INVALID },
	};
	static const uint8_t zeros[16];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		uint8_t payload[64];
		size_t n = strlen(cases[i].hex) / 2;
		struct tr_err err;
		int64_t ns = 5;

		assert_true(tr_hex_get(tr_view_str(cases[i].hex), payload, n));
		assert_int_equal(tr_cose1_sign(k, cases[i].domain, tr_view(payload, n), &b, &err), TR_OK);
		CHECK(tr_time_verify(tr_buf_view(&b), tr_privkey_pub(k), TR_VIEW_ARRAY(zeros), &ns, &err) ==
			      cases[i].want, cases[i].label);
		CHECK((ns == 1) == (cases[i].want == TR_OK), cases[i].label);
	}
}

static enum tr_code verify(void *key, struct tr_view in)
{
	struct tr_err err;
	int64_t ns;

	return tr_time_verify(in, key, tr_view(nonce, 32), &ns, &err);
}

static void no_flipped_bit_is_accepted(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	union {
		const struct tr_pubkey *in;
		void *out;
	} key = { tr_privkey_pub(k) };
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_time_sign(tr_view(nonce, 32), NOW_NS, k, &b, &err), TR_OK);
	assert_int_equal(verify(key.out, tr_buf_view(&b)), TR_OK);
	assert_int_equal(accepted_mutations(tr_buf_view(&b), verify, key.out), 0);
}

static int setup(void **state)
{
	struct tr_err err;

	(void)state;
	return tr_crypto_init(&err) == TR_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_time_comes_back_for_its_nonce),
		cmocka_unit_test(what_is_out_of_range_is_not_signed),
		cmocka_unit_test(a_good_signature_does_not_excuse_the_form),
		cmocka_unit_test(no_flipped_bit_is_accepted),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
