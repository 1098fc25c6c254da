/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/notice.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW INT64_C(1795312800000)

static void a_stop_is_told_apart(void **state)
{
	static const struct {
		const char *label, *scheduled;
		bool nologin;
		enum tr_notice want;
		uint64_t seconds;
	} cases[] = {
		{ "service stopped", "", false, TR_NOTICE_RESTART, 120 },
		{ "going down, who knows for how long", "", true, TR_NOTICE_SHUTDOWN, 900 },
		{ "reboot now", "USEC=1795312800000000\nWARN_WALL=1\nMODE=reboot\n", true, TR_NOTICE_REBOOT,
		  900 },
		{ "power off now", "USEC=1795312799000000\nMODE=poweroff\n", true, TR_NOTICE_SHUTDOWN,
		  86400 },
		{ "halt now", "USEC=1795312799000000\nMODE=halt\n", true, TR_NOTICE_SHUTDOWN, 86400 },
		{ "kexec now", "USEC=1795312799000000\nMODE=kexec", true, TR_NOTICE_REBOOT, 900 },
		{ "a restart before a reboot in 3 minutes", "USEC=1795312980000000\nMODE=reboot\n", true,
		  TR_NOTICE_RESTART, 120 },
		{ "a schedule of yesterday", "USEC=1795226400000000\nMODE=poweroff\n", false,
		  TR_NOTICE_RESTART, 120 },
		{ "a rehearsal", "USEC=1795312800000000\nDRY_RUN=1\nMODE=dry-poweroff\n", false,
		  TR_NOTICE_RESTART, 120 },
		{ "damaged", "USEC=soon\nMODE=poweroff\n", false, TR_NOTICE_RESTART, 120 },
		{ "absurd", "USEC=99999999999999999999999\nMODE=poweroff\n", false, TR_NOTICE_RESTART, 120 },
		{ "no mode", "USEC=1795312800000000\n", false, TR_NOTICE_RESTART, 120 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t seconds = 0;

		if (tr_notice_of_stop(tr_view_str(cases[i].scheduled), cases[i].nologin, NOW, &seconds) !=
			    cases[i].want ||
		    seconds != cases[i].seconds)
			fail_msg("%s", cases[i].label);
	}
}

static void an_announcement_runs_out(void **state)
{
	const struct tr_announcement a = { .what = TR_NOTICE_REBOOT, .until_ms = 10000 };
	const struct tr_announcement none = { 0 };
	struct tr_pulse p = { .notice = 9, .notice_s = 9 };

	(void)state;
	tr_notice_put(&a, 1, &p);
	assert_int_equal(p.notice, TR_NOTICE_REBOOT);
	assert_int_equal(p.notice_s, 10);
	tr_notice_put(&a, 9999, &p);
	assert_int_equal(p.notice_s, 1);
	tr_notice_put(&a, 10000, &p);
	assert_int_equal(p.notice, TR_NOTICE_NONE);
	assert_int_equal(p.notice_s, 0);
	tr_notice_put(&none, 0, &p);
	assert_int_equal(p.notice, TR_NOTICE_NONE);
}

static void names_and_default_times(void **state)
{
	static const uint64_t seconds[TR_NOTICE_N] = { 0, 86400, 900, 900, 120 };
	enum tr_notice n;

	(void)state;
	for (unsigned i = 0; i < TR_NOTICE_N; i++) {
		assert_true(tr_notice_of(tr_view_str(tr_notice_name((enum tr_notice)i)), &n));
		assert_int_equal(n, i);
		assert_int_equal(tr_notice_default_s(n), seconds[i]);
		assert_true(seconds[i] <= TR_NOTICE_MAX_S);
	}
	assert_false(tr_notice_of(tr_view_str(""), &n));
	assert_false(tr_notice_of(tr_view_str("Reboot"), &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stop_is_told_apart),
		cmocka_unit_test(an_announcement_runs_out),
		cmocka_unit_test(names_and_default_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
