/* SPDX-License-Identifier: Apache-2.0 */
/* PU-4: the word that people see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/own.h"
#include "fleet/axes.h"

static const struct tr_axes fine = { TR_REACH_LIVE, TR_AUTH_OK, TR_CLOCK_OK, TR_INTEGRITY_OK, TR_CONFIG_CURRENT,
				     TR_UPDATING_NONE };

/* Each row is one thing wrong with a fine agent, worst first: any two of them together show the upper one. */
static const struct {
	size_t axis;
	uint8_t value;
	enum tr_verdict want;
} worst_first[] = {
	{ offsetof(struct tr_axes, auth), TR_AUTH_REVOKED, TR_V_REVOKED },
	{ offsetof(struct tr_axes, auth), TR_AUTH_FORKED, TR_V_FORKED },
	{ offsetof(struct tr_axes, integrity), TR_INTEGRITY_UNKNOWN_BINARY, TR_V_UNKNOWN_BINARY },
	{ offsetof(struct tr_axes, integrity), TR_INTEGRITY_BPF_MISMATCH, TR_V_BPF_MISMATCH },
	{ offsetof(struct tr_axes, integrity), TR_INTEGRITY_LSM_DOWN, TR_V_LSM_DOWN },
	{ offsetof(struct tr_axes, auth), TR_AUTH_RESTORED, TR_V_RESTORED },
	{ offsetof(struct tr_axes, auth), TR_AUTH_CONFLICT, TR_V_CONFLICT },
	{ offsetof(struct tr_axes, reach), TR_REACH_NEVER, TR_V_PENDING },
	{ offsetof(struct tr_axes, reach), TR_REACH_LOST, TR_V_LOST },
	{ offsetof(struct tr_axes, reach), TR_REACH_MISSED, TR_V_MISSED },
	{ offsetof(struct tr_axes, clock), TR_CLOCK_DESYNC, TR_V_CLOCK_DESYNC },
	{ offsetof(struct tr_axes, clock), TR_CLOCK_UNSTABLE, TR_V_CLOCK_UNSTABLE },
	{ offsetof(struct tr_axes, reach), TR_REACH_LATE, TR_V_LATE },
	{ offsetof(struct tr_axes, reach), TR_REACH_ANNOUNCED, TR_V_ANNOUNCED },
	{ offsetof(struct tr_axes, integrity), TR_INTEGRITY_EXPECTED_UPDATE, TR_V_EXPECTED_UPDATE },
	{ offsetof(struct tr_axes, integrity), TR_INTEGRITY_UNKNOWN, TR_V_UNKNOWN },
	{ offsetof(struct tr_axes, auth), TR_AUTH_UNKNOWN, TR_V_UNKNOWN },
};

static void set(struct tr_axes *a, size_t row)
{
	((uint8_t *)a)[worst_first[row].axis] = worst_first[row].value;
}

static void worst_comes_first(void **state)
{
	(void)state;
	assert_int_equal(tr_verdict_fold(&fine), TR_V_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(worst_first); i++) {
		struct tr_axes one = fine;

		set(&one, i);
		assert_int_equal(tr_verdict_fold(&one), worst_first[i].want);
		for (size_t j = i + 1; j < TR_ARRAY_LEN(worst_first); j++) {
			struct tr_axes two = one;

			if (worst_first[j].axis == worst_first[i].axis)
				continue;
			set(&two, j);
			if (tr_verdict_fold(&two) != worst_first[i].want)
				fail_msg("%s hides %s", tr_verdict_name(tr_verdict_fold(&two)),
					 tr_verdict_name(worst_first[i].want));
		}
	}
}

/* Every one of the axes' combinations: green takes a pulse, a proven key and a known image. */
static void unknown_is_never_green(void **state)
{
	size_t green = 0;

	(void)state;
	for (unsigned n = 0; n < TR_REACH_N * TR_AUTH_N * TR_CLOCK_N * TR_INTEGRITY_N; n++) {
		struct tr_axes a = { (uint8_t)(n % TR_REACH_N), (uint8_t)(n / TR_REACH_N % TR_AUTH_N),
				     (uint8_t)(n / TR_REACH_N / TR_AUTH_N % TR_CLOCK_N),
				     (uint8_t)(n / TR_REACH_N / TR_AUTH_N / TR_CLOCK_N), TR_CONFIG_UNKNOWN, TR_UPDATING_NONE };
		enum tr_verdict v = tr_verdict_fold(&a);

		assert_true(v < TR_V_N);
		if (v != TR_V_OK)
			continue;
		green++;
		assert_int_equal(a.reach, TR_REACH_LIVE);
		assert_int_equal(a.auth, TR_AUTH_OK);
		assert_int_equal(a.integrity, TR_INTEGRITY_OK);
		/* A clock that cannot be judged is not held against the agent. */
		assert_true(a.clock == TR_CLOCK_OK || a.clock == TR_CLOCK_UNKNOWN);
	}
	assert_int_equal(green, 2);
}

static void silence_and_clocks_accuse_nobody(void **state)
{
	static const enum tr_verdict innocent[] = { TR_V_LOST, TR_V_MISSED, TR_V_LATE, TR_V_CLOCK_DESYNC, TR_V_CLOCK_UNSTABLE,
						    TR_V_ANNOUNCED, TR_V_PENDING, TR_V_UNKNOWN, TR_V_EXPECTED_UPDATE, TR_V_OK };
	static const enum tr_verdict security[] = { TR_V_REVOKED, TR_V_FORKED, TR_V_ISOLATED, TR_V_UNKNOWN_BINARY,
						    TR_V_BPF_MISMATCH, TR_V_LSM_DOWN, TR_V_RESTORED, TR_V_CONFLICT };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(innocent); i++)
		assert_false(tr_verdict_is_security(innocent[i]));
	for (size_t i = 0; i < TR_ARRAY_LEN(security); i++)
		assert_true(tr_verdict_is_security(security[i]));
}

static void every_value_has_its_own_name(void **state)
{
	const char *names[TR_V_N];

	(void)state;
	for (unsigned i = 0; i < TR_V_N; i++) {
		names[i] = tr_verdict_name(i);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
	}
	assert_string_equal(tr_verdict_name(TR_V_CLOCK_DESYNC), "clock_desync");
	assert_string_equal(tr_reach_name(TR_REACH_ANNOUNCED), "announced");
	assert_string_equal(tr_authenticity_name(TR_AUTH_RESTORED), "restored");
	assert_string_equal(tr_clock_name(TR_CLOCK_UNSTABLE), "unstable");
	assert_string_equal(tr_integrity_name(TR_INTEGRITY_UNKNOWN_BINARY), "unknown_binary");
	assert_string_equal(tr_config_state_name(TR_CONFIG_BEHIND), "behind");
	assert_string_equal(tr_updating_name(TR_UPDATING_RUNNING), "running");
	assert_string_equal(tr_reach_name(TR_REACH_N), "unknown");
	assert_string_equal(tr_verdict_name(200), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worst_comes_first),
		cmocka_unit_test(unknown_is_never_green),
		cmocka_unit_test(silence_and_clocks_accuse_nobody),
		cmocka_unit_test(every_value_has_its_own_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
