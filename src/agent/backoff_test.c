/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void waits_grow_and_stay_under_the_cap(void **state)
{
	static const struct {
		unsigned failures;
		uint64_t low, high;
	} cases[] = {
		{ 0, 1000, 5000 },	{ 1, 1000, 5000 },	 { 2, 5000, 10000 },   { 3, 10000, 20000 },
		{ 4, 20000, 40000 },	{ 5, 40000, 80000 },	 { 6, 80000, 160000 }, { 7, 150000, 300000 },
		{ 50, 150000, 300000 }, { ~0u, 150000, 300000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(tr_backoff_ms(cases[i].failures, UINT64_MAX, 0), cases[i].low);
		assert_int_equal(tr_backoff_ms(cases[i].failures, UINT64_MAX, UINT32_MAX), cases[i].high);
	}
}

static void a_caller_may_want_less(void **state)
{
	(void)state;
	assert_int_equal(tr_backoff_ms(9, 60000, 0), 30000);
	assert_int_equal(tr_backoff_ms(9, 60000, UINT32_MAX), 60000);
	assert_int_equal(tr_backoff_ms(9, 2000, 0), 1000);
	assert_int_equal(tr_backoff_ms(9, 2000, UINT32_MAX), 5000);
}

static void jitter_is_a_tenth_each_way(void **state)
{
	(void)state;
	assert_int_equal(tr_jitter_ms(30000, 0), 27000);
	assert_int_equal(tr_jitter_ms(30000, UINT32_MAX), 33000);
	assert_in_range(tr_jitter_ms(30000, UINT32_C(1) << 31), 29999, 30001);
	assert_int_equal(tr_jitter_ms(0, UINT32_MAX), 0);
}

static void a_server_cannot_make_the_agent_spin_or_sleep(void **state)
{
	(void)state;
	assert_int_equal(tr_interval_clamp_s(0), 30);
	assert_int_equal(tr_interval_clamp_s(1), 1);
	assert_int_equal(tr_interval_clamp_s(60), 60);
	assert_int_equal(tr_interval_clamp_s(UINT64_MAX), 3600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_grow_and_stay_under_the_cap),
		cmocka_unit_test(a_caller_may_want_less),
		cmocka_unit_test(jitter_is_a_tenth_each_way),
		cmocka_unit_test(a_server_cannot_make_the_agent_spin_or_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
