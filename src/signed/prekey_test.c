/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/prekey.h"

#define NOW INT64_C(1795310523)

static struct tr_prekey good(void)
{
	return (struct tr_prekey){ .fleet = TR_VIEW_LIT("fleet.example"), .agent = TR_VIEW_LIT("web-1"), .number = 7,
				   .key = { 9, 8, 7 }, .not_before = NOW, .not_after = NOW + TR_PREKEY_LIFE_S };
}

static void a_signed_prekey_reads_as_it_was(void **state)
{
	static const enum tr_key_type types[] = { TR_KEY_ED25519, TR_KEY_P256, TR_KEY_RSA };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(types); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(types[i]);
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_prekey p = good(), out;
		struct tr_err err;

		assert_int_equal(tr_prekey_sign(&p, k, &b, &err), TR_OK);
		assert_int_equal(tr_prekey_verify(tr_buf_view(&b), tr_privkey_pub(k), &out, &err), TR_OK);
		assert_true(tr_view_eq(out.fleet, p.fleet) && tr_view_eq(out.agent, p.agent) && out.number == p.number);
		assert_true(out.not_before == p.not_before && out.not_after == p.not_after);
		assert_memory_equal(out.key, p.key, sizeof(out.key));
	}
}

static void what_is_no_prekey_is_not_signed(void **state)
{
	static const struct {
		const char *label, *fleet, *agent, *says;
		uint64_t number;
		int64_t from, to;
	} cases[] = {
		{ "fleet", "Fleet", "web-1", "trust domain", 1, NOW, NOW + 1 },
		{ "agent", "f", "web/1", "plain name", 1, NOW, NOW + 1 },
		{ "no number", "f", "web-1", "number", 0, NOW, NOW + 1 },
		{ "a number of 64 bits", "f", "web-1", "number", UINT64_C(1) << 63, NOW, NOW + 1 },
		{ "no life", "f", "web-1", "life", 1, NOW, NOW },
		{ "a second too long", "f", "web-1", "life", 1, NOW, NOW + TR_PREKEY_LIFE_S + 1 },
		{ "before 1970", "f", "web-1", "life", 1, 0, 1 },
	};
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		const struct tr_prekey p = { .fleet = tr_view_str(cases[i].fleet), .agent = tr_view_str(cases[i].agent),
					     .number = cases[i].number, .not_before = cases[i].from,
					     .not_after = cases[i].to };
		struct tr_err err = { 0 };

		CHECK(tr_prekey_sign(&p, k, &b, &err) == TR_E_INVALID, cases[i].label);
		CHECK(strstr(err.pub, cases[i].says) && !b.n, cases[i].label);
	}
}

static enum tr_code verify_it(void *arg, struct tr_view in)
{
	struct tr_prekey out;
	struct tr_err err;

	return tr_prekey_verify(in, arg, &out, &err);
}

static void no_flipped_bit_and_no_other_key_passes(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519), *other = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, foreign = TR_BUF_INIT;
	struct tr_prekey p = good();
	struct tr_cose c;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_prekey_sign(&p, k, &b, &err), TR_OK);
	assert_int_equal(accepted_mutations(tr_buf_view(&b), verify_it, (void *)(uintptr_t)tr_privkey_pub(k)), 0);
	assert_int_equal(verify_it((void *)(uintptr_t)tr_privkey_pub(other), tr_buf_view(&b)), TR_E_DENIED);
	/* The same payload under another purpose. */
	assert_int_equal(tr_cose1_parse(tr_buf_view(&b), b.n, &c, &err), TR_OK);
	assert_int_equal(tr_cose1_sign(k, "troth/message/v1", c.payload, &foreign, &err), TR_OK);
	assert_int_equal(verify_it((void *)(uintptr_t)tr_privkey_pub(k), tr_buf_view(&foreign)), TR_E_DENIED);
}

static void its_name_is_of_the_key_alone(void **state)
{
	uint8_t key[32] = { 1 }, digest[32], id[16];

	(void)state;
	tr_sha256(TR_VIEW_ARRAY(key), digest);
	tr_prekey_id(key, id);
	assert_memory_equal(id, digest, sizeof(id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signed_prekey_reads_as_it_was),
		cmocka_unit_test(what_is_no_prekey_is_not_signed),
		cmocka_unit_test(no_flipped_bit_and_no_other_key_passes),
		cmocka_unit_test(its_name_is_of_the_key_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
