/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/timex.h>

#include <cmocka.h>

#define S INT64_C(1000000000)
#define DAY (86400 * S)
#define NOW (INT64_C(1795312800) * S) /* 2026-11-22 */
#define YEAR (365 * DAY)

static void the_effective_time_is_never_before_what_is_past(void **state)
{
	static const struct {
		const char *label;
		int64_t wall, server;
		uint64_t then, now; /* boot clock */
		int64_t build, want;
	} cases[] = {
		{ "all agree", NOW, NOW - DAY, 0, (uint64_t)DAY, NOW - YEAR, NOW },
		{ "nothing known", NOW, 0, 0, 5, 0, NOW },
		{ "battery is empty: 1970, known", 0, NOW, 0, (uint64_t)(60 * S), NOW - YEAR, NOW + 60 * S },
		{ "1970, nothing known but the build", 0, 0, 0, 60, NOW - YEAR, NOW - YEAR },
		{ "1970, nothing at all", 7 * S, 0, 0, 60, 0, 7 * S },
		{ "ten years ahead: the wall wins, the server is asked", NOW + 10 * YEAR, NOW, 0, 60,
		  NOW - YEAR, NOW + 10 * YEAR },
		{ "ten years behind", NOW - 10 * YEAR, NOW, 100, 100 + (uint64_t)DAY, NOW - 20 * YEAR,
		  NOW + DAY },
		{ "the boot clock went backwards (another machine)", 0, NOW, (uint64_t)DAY, 5, 0, NOW },
		{ "newer program than last contact", 0, NOW - YEAR, 0, 5, NOW, NOW },
		{ "absurd uptime does not wrap", 0, NOW, 0, UINT64_MAX, 0, INT64_MAX },
		{ "negative wall clock", -5 * S, 0, 0, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tr_known_time k = { .server_ns = cases[i].server, .boot_ns = cases[i].then };

		if (tr_clock_effective_ns(cases[i].wall, &k, cases[i].now, cases[i].build) != cases[i].want)
			fail_msg("%s", cases[i].label);
	}
}

static void the_known_time_only_goes_forward(void **state)
{
	struct tr_known_time k = { 0 };

	(void)state;
	tr_clock_learn(&k, NOW, 1000);
	assert_int_equal(k.server_ns, NOW);
	tr_clock_learn(&k, NOW - YEAR, 2000); /* a late answer, a server whose clock was set back */
	assert_int_equal(tr_clock_known_ns(&k, 3000), NOW + 2000);
	tr_clock_learn(&k, NOW + 1, 2000); /* behind what is known by now */
	assert_int_equal(k.boot_ns, 1000);
	tr_clock_learn(&k, NOW + DAY, 5000);
	assert_int_equal(tr_clock_known_ns(&k, 5001), NOW + DAY + 1);
	tr_clock_rebooted(&k);
	assert_int_equal(tr_clock_known_ns(&k, 60), NOW + DAY + 60);
	tr_clock_learn(&k, 0, 70);
	assert_int_equal(k.server_ns, NOW + DAY);
}

static void a_mere_word_goes_so_far(void **state)
{
	static const int64_t minute = 60 * INT64_C(1000000000);
	static const struct {
		int64_t server, wall, anchor;
		bool near;
	} cases[] = {
		{ NOW, NOW, 0, true },
		{ NOW + 5 * 60 * INT64_C(1000000000), NOW, 0, true },
		{ NOW + 6 * 60 * INT64_C(1000000000), NOW, 0, false },
		{ NOW - YEAR, NOW, 0, true }, /* moves nothing */
		{ NOW, NOW - YEAR, 0, false },
		{ NOW, NOW - YEAR, NOW, true }, /* known of before, or signed */
		{ NOW + 50 * YEAR, NOW - YEAR, NOW, false },
		{ NOW + 50 * YEAR, 0, 0, false },
	};
	struct tr_known_time known = { NOW, 1000 };
	const struct tr_known_time anchor = known;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		const struct tr_known_time a = { cases[i].anchor, 1000 };

		if (tr_clock_is_near(cases[i].server, cases[i].wall, &a, 1000) != cases[i].near)
			fail_msg("case %zu", i);
	}
	/* Four minutes with every pulse: so often and no further. */
	for (unsigned i = 1; i <= 100; i++) {
		int64_t word = tr_clock_known_ns(&known, 1000 + i) + 4 * minute;

		if (tr_clock_is_near(word, 0, &anchor, 1000 + i))
			tr_clock_learn(&known, word, 1000 + i);
	}
	assert_true(tr_clock_known_ns(&known, 1100) <= NOW + 5 * minute + 100);
}

static void the_kernel_is_believed_about_its_clock(void **state)
{
	(void)state;
	assert_int_equal(tr_clock_sync_of(TIME_OK, 0), TR_SYNC_YES);
	assert_int_equal(tr_clock_sync_of(TIME_INS, STA_PLL), TR_SYNC_YES);
	assert_int_equal(tr_clock_sync_of(TIME_ERROR, 0), TR_SYNC_NO);
	assert_int_equal(tr_clock_sync_of(TIME_OK, STA_UNSYNC), TR_SYNC_NO);
	assert_int_equal(tr_clock_sync_of(-1, 0), TR_SYNC_UNKNOWN);
}

static void boot_ids_are_read_strictly(void **state)
{
	static const uint8_t want[16] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
					  0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10 };
	static const uint8_t zeros[16];
	static const char *const bad[] = { "",
					   "\n",
					   "01234567-89ab-cdef-fedc-ba987654321",
					   "01234567-89ab-cdef-fedc-ba98765432100",
					   "01234567089ab0cdef0fedc0ba9876543210",
					   "01234567-89ab-cdef-fedc-ba987654321g",
					   "-1234567-89ab-cdef-fedc-ba9876543210",
					   "01234567-89ab-cdef-fedc-ba9876543210\n\n" };
	uint8_t id[16];

	(void)state;
	assert_true(tr_boot_id_of(tr_view_str("01234567-89ab-cdef-fedc-ba9876543210\n"), id));
	assert_memory_equal(id, want, 16);
	assert_true(tr_boot_id_of(tr_view_str("01234567-89ab-cdef-fedc-ba9876543210"), id));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (tr_boot_id_of(tr_view_str(bad[i]), id))
			fail_msg("%s", bad[i]);
		assert_memory_equal(id, zeros, 16);
	}
	assert_true(tr_boot_id(id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_effective_time_is_never_before_what_is_past),
		cmocka_unit_test(the_known_time_only_goes_forward),
		cmocka_unit_test(a_mere_word_goes_so_far),
		cmocka_unit_test(the_kernel_is_believed_about_its_clock),
		cmocka_unit_test(boot_ids_are_read_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
