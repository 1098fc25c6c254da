/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peer_test.h"

#include "agent/prekeys.h"

#define DAY 86400

static struct tr_prekeys load(int64_t now)
{
	struct tr_prekeys k = { 0 };

	assert_int_equal(tr_prekeys_load(&state, now, &k, &err), TR_OK);
	return k;
}

static bool turn(struct tr_prekeys *k, int64_t now)
{
	bool changed = false;

	assert_int_equal(tr_prekeys_turn(&state, k, now, &changed, &err), TR_OK);
	return changed;
}

static void one_a_day_and_each_for_two(void **unused)
{
	struct tr_prekeys k = load(NOW), again;
	uint8_t first[16], second[16];

	(void)unused;
	assert_true(turn(&k, NOW) && k.n == 1 && k.keys[0].p.number == (uint64_t)NOW + 1);
	memcpy(first, k.keys[0].id, 16);
	assert_false(turn(&k, NOW + DAY - 400));
	assert_true(turn(&k, NOW + DAY) && k.n == 2);
	memcpy(second, k.keys[0].id, 16);
	assert_true(tr_prekeys_find(&k, first, NOW + DAY) && tr_prekeys_find(&k, second, NOW + DAY));
	assert_null(tr_prekeys_find(&k, (const uint8_t[16]){ 0 }, NOW));
	/* The same keys after a restart. */
	again = load(NOW + DAY);
	assert_true(again.n == 2 && again.number == k.number && tr_prekeys_find(&again, first, NOW + DAY));
	assert_false(turn(&again, NOW + DAY));
	assert_null(tr_prekeys_find(&again, first, NOW + 3 * DAY));
	assert_true(turn(&again, NOW + 2 * DAY + 1000) && again.n == 2);
	assert_null(tr_prekeys_find(&again, first, NOW));
	tr_prekeys_done(&again);
	again = load(NOW + 2 * DAY + 1000);
	assert_true(again.n == 2 && memcmp(again.keys[1].id, second, 16) == 0);
	tr_prekeys_done(&again);
	tr_prekeys_done(&k);
}

static void what_is_published_verifies(void **unused)
{
	struct tr_prekeys k = load(NOW + 10 * DAY);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_prekey p;

	(void)unused;
	assert_true(turn(&k, NOW + 10 * DAY));
	assert_int_equal(tr_prekeys_signed(&state, &k, &b, &err), TR_OK);
	assert_int_equal(tr_prekey_verify(tr_buf_view(&b), tr_privkey_pub(state.key), &p, &err), TR_OK);
	assert_true(tr_view_is(p.agent, "web-1") && tr_view_is(p.fleet, "fleet.example") && p.number == k.number);
	assert_true(p.not_before <= NOW + 10 * DAY && p.not_after > NOW + 11 * DAY);
	tr_prekeys_done(&k);
}

static void numbers_rise_whatever_was_lost(void **unused)
{
	struct tr_prekeys k = load(NOW + 10 * DAY);
	uint64_t before = k.number;

	(void)unused;
	tr_prekeys_done(&k);
	put_file(TR_PREKEYS_FILE, TR_VIEW_LIT("\x83\x01 this is no pre-key"));
	k = load(NOW + 20 * DAY);
	assert_true(k.n == 0 && k.number > before);
	assert_true(turn(&k, NOW + 20 * DAY));
	before = k.number;
	/* A new identity key: what the old one signed is nobody's. */
	k.signer[0] ^= 1;
	assert_true(turn(&k, NOW + 20 * DAY) && k.number == before + 1 && k.n == 2);
	/* The clock went back a day: nobody would take a key of tomorrow. */
	assert_true(turn(&k, NOW + 19 * DAY) && k.number == before + 2);
	for (int i = 0; i < 10; i++) {
		k.signer[0] ^= 1;
		assert_true(turn(&k, NOW + 19 * DAY) && k.n <= TR_PREKEYS_MAX);
	}
	tr_prekeys_done(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_a_day_and_each_for_two),
		cmocka_unit_test(what_is_published_verifies),
		cmocka_unit_test(numbers_rise_whatever_was_lost),
	};

	return cmocka_run_group_tests(tests, make_state, drop_state);
}
