/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/token.h"

#define PIN "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" /* bytes 0 to 31 */
#define SECRET22 "AAAAAAAAAAAAAAAAAAAAAA"
#define SECRET43 SECRET22 "AAAAAAAAAAAAAAAAAAAAA"

static void only_the_documented_form_is_a_token(void **state)
{
	static const struct {
		const char *label, *text;
		enum tr_token_kind want;
	} cases[] = {
		{ "enrolment", "trt_" SECRET22 "_" PIN, TR_TOKEN_ENROL },
		{ "operator", "tro_" SECRET43, TR_TOKEN_OPERATOR },
		{ "nothing", "", TR_TOKEN_NONE },
		{ "prefix alone", "trt_", TR_TOKEN_NONE },
		{ "no pin", "trt_" SECRET22, TR_TOKEN_NONE },
		{ "empty pin", "trt_" SECRET22 "_", TR_TOKEN_NONE },
		{ "short secret", "trt_AAAAAAAAAAAAAAAAAAAAA_" PIN, TR_TOKEN_NONE },
		{ "long secret", "trt_A" SECRET22 "_" PIN, TR_TOKEN_NONE },
		{ "no separator", "trt_" SECRET22 "A" PIN, TR_TOKEN_NONE },
		{ "standard alphabet", "trt_++++++++++++++++++++AA_" PIN, TR_TOKEN_NONE },
		{ "stray bits in the secret", "trt_AAAAAAAAAAAAAAAAAAAAAB_" PIN, TR_TOKEN_NONE },
		{ "stray bits in the pin", "trt_" SECRET22 "_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9", TR_TOKEN_NONE },
		{ "white space at the end", "trt_" SECRET22 "_" PIN "\n", TR_TOKEN_NONE },
		{ "upper-case prefix", "TRT_" SECRET22 "_" PIN, TR_TOKEN_NONE },
		{ "operator with a pin", "tro_" SECRET43 "_" PIN, TR_TOKEN_NONE },
		{ "operator, short", "tro_" SECRET22, TR_TOKEN_NONE },
		{ "operator, a byte too many", "tro_" SECRET43 "A", TR_TOKEN_NONE },
		{ "operator, stray bits", "tro_AAAAAAAAAAAAAAAAAAAAA" SECRET22 "B", TR_TOKEN_NONE },
	};
	uint8_t hash[32];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_view text = tr_view_str(cases[i].text);

		CHECK(tr_token_read(text, hash, NULL) == cases[i].want, cases[i].label);
	}
}

static void a_made_token_is_read_back(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, op = TR_BUF_INIT;
	uint8_t pin[32], seen[32] = { 0 }, made[32], read[32], whole[32];

	(void)state;
	for (size_t i = 0; i < 32; i++)
		pin[i] = (uint8_t)i;
	tr_token_make_enrol(pin, &text, made);
	assert_int_equal(tr_token_read(tr_buf_view(&text), read, seen), TR_TOKEN_ENROL);
	assert_memory_equal(made, read, 32);
	assert_memory_equal(seen, pin, 32);
	assert_non_null(strstr(tr_buf_cstr(&text), "_" PIN));
	/* What is stored covers the secret alone: the same secret under another root is the same token. */
	tr_sha256(tr_view(text.p, 26), whole);
	assert_memory_equal(made, whole, 32);

	tr_token_make_operator(&op, made);
	assert_int_equal(tr_token_read(tr_buf_view(&op), read, NULL), TR_TOKEN_OPERATOR);
	assert_memory_equal(made, read, 32);
	tr_sha256(tr_buf_view(&op), whole);
	assert_memory_equal(made, whole, 32);
}

static void no_two_tokens_are_alike(void **state)
{
	const uint8_t pin[32] = { 0 };
	uint8_t hashes[64][32];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(hashes); i++) {
		tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

		tr_token_make_enrol(pin, &text, hashes[i]);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(hashes[i], hashes[j], 32);
	}
}

static void a_refused_text_leaves_the_pin_alone(void **state)
{
	uint8_t hash[32] = { 0x5a }, pin[32] = { 0x5a };

	(void)state;
	assert_int_equal(tr_token_read(TR_VIEW_LIT("trt_" SECRET22 "A" PIN), hash, pin), TR_TOKEN_NONE);
	assert_int_equal(hash[0], 0x5a);
	assert_int_equal(pin[0], 0x5a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_documented_form_is_a_token),
		cmocka_unit_test(a_made_token_is_read_back),
		cmocka_unit_test(no_two_tokens_are_alike),
		cmocka_unit_test(a_refused_text_leaves_the_pin_alone),
	};
	struct tr_err err;

	return tr_crypto_init(&err) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
