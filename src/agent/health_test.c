/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/health.h"

#include "agent/lsm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void load_averages(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t want;
	} cases[] = {
		{ "0.20 0.18 0.12 1/80 11206\n", true, 200 },
		{ "12.05 1.00 1.00 1/2 3", true, 12050 },
		{ "", false, 0 },
		{ ".5 1", false, 0 },
		{ "1", false, 0 },
		{ "1.", false, 0 },
		{ "1.5 1", false, 0 },
		{ "-1.50 1", false, 0 },
		{ "99999999999999999999.00", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v = 0;

		if (tr_health_load_of(tr_view_str(cases[i].text), &v) != cases[i].ok || v != cases[i].want)
			fail_msg("%s", cases[i].text);
	}
}

static void memory(void **state)
{
	static const char *const bad[] = { "", "MemTotal: 5 kB\n", "MemTotal: 5\nMemAvailable: 1 kB\n",
					   "MemTotal: x kB\nMemAvailable: 1 kB\n", "MemAvailable: 1 kB" };
	uint64_t total = 0, free_kib = 0;

	(void)state;
	assert_true(tr_health_mem_of(tr_view_str("MemTotal:       16303428 kB\nMemFree:          1 "
						 "kB\nMemAvailable:   900 kB\nBuffers: 3 kB\n"),
				     &total, &free_kib));
	assert_int_equal(total, 16303428);
	assert_int_equal(free_kib, 900);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (tr_health_mem_of(tr_view_str(bad[i]), &total, &free_kib))
			fail_msg("%s", bad[i]);
	assert_int_equal(total, 16303428);
}

static void resident_pages(void **state)
{
	uint64_t v = 0;

	(void)state;
	assert_true(tr_health_rss_of(tr_view_str("1000 250 30 4 0 5 0\n"), 4096, &v));
	assert_int_equal(v, 1000);
	assert_false(tr_health_rss_of(tr_view_str("1000"), 4096, &v));
	assert_false(tr_health_rss_of(tr_view_str("x 1"), 4096, &v));
	assert_false(tr_health_rss_of(tr_view_str("1 x"), 4096, &v));
	assert_false(tr_health_rss_of(tr_view_str("1 99999999999999"), 4096, &v));
}

static void this_machine_has_some_of_each(void **state)
{
	struct tr_health h;

	(void)state;
	tr_health_read("/", &h);
	assert_true(h.mem_total_kib > 0 && h.mem_free_kib > 0 && h.mem_free_kib <= h.mem_total_kib);
	assert_true(h.disk_total_mib > 0 && h.disk_free_mib <= h.disk_total_mib);
	assert_true(h.uptime_s > 0);
	assert_true(h.agent_rss_kib > 0);
	/* A folder that is not there is no reason to say nothing about the rest. */
	tr_health_read("/nonexistent", &h);
	assert_int_equal(h.disk_total_mib, 0);
	assert_true(h.mem_total_kib > 0);
}

static void the_lsm_says_what_the_kernel_could(void **state)
{
	static const struct {
		const char *list, *want;
	} cases[] = {
		{ "lockdown,capability,yama,apparmor,bpf", "not installed; kernel has bpf in lsm" },
		{ "bpf\n", "not installed; kernel has bpf in lsm" },
		{ "lockdown,capability", "not installed; kernel was started without bpf in lsm" },
		{ "bpfx,xbpf", "not installed; kernel was started without bpf in lsm" },
		{ "", "not installed; the kernel's list of LSMs is not readable" },
	};
	struct tr_view why;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = tr_lsm_reason_of(tr_view_str(cases[i].list));

		assert_string_equal(got, cases[i].want);
		assert_true(strlen(got) <= 64);
	}
	assert_int_equal(tr_lsm_state(&why), TR_LSM_UNAVAILABLE);
	assert_true(tr_view_starts(why, "not installed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(load_averages),
		cmocka_unit_test(memory),
		cmocka_unit_test(resident_pages),
		cmocka_unit_test(this_machine_has_some_of_each),
		cmocka_unit_test(the_lsm_says_what_the_kernel_could),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
