/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/beat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void answers_mean_what_they_say(void **state)
{
	static const struct {
		int status;
		const char *code;
		enum tr_beat_outcome want;
	} cases[] = {
		{ 200, "", TR_BEAT_ACCEPTED },
		{ 200, "agent_revoked", TR_BEAT_ACCEPTED },
		{ 401, "agent_revoked", TR_BEAT_REVOKED },
		{ 403, "agent_revoked", TR_BEAT_REVOKED },
		{ 401, "", TR_BEAT_REFUSED },
		{ 403, "certificate_expired", TR_BEAT_REFUSED },
		{ 404, "agent_revoked", TR_BEAT_REFUSED },
		{ 429, "rate_limited", TR_BEAT_REFUSED },
		{ 500, "agent_revoked", TR_BEAT_UNREACHABLE },
		{ 503, "", TR_BEAT_UNREACHABLE },
		{ 302, "", TR_BEAT_UNREACHABLE },
		{ 204, "", TR_BEAT_UNREACHABLE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tr_beat_outcome_of(cases[i].status, cases[i].code) != cases[i].want)
			fail_msg("%d %s", cases[i].status, cases[i].code);
}

static void waits_follow_the_outcome(void **state)
{
	static const struct {
		const char *label;
		enum tr_beat_outcome what;
		unsigned failures;
		uint64_t interval_s;
		unsigned retry_after_s;
		uint64_t low, high;
	} cases[] = {
		{ "the told interval, a tenth each way", TR_BEAT_ACCEPTED, 0, 30, 0, 27000, 33000 },
		{ "no interval told", TR_BEAT_ACCEPTED, 0, 0, 0, 27000, 33000 },
		{ "an absurd interval", TR_BEAT_ACCEPTED, 0, UINT64_MAX, 0, 3240000, 3960000 },
		{ "first failure", TR_BEAT_UNREACHABLE, 1, 30, 0, 1000, 5000 },
		{ "many failures", TR_BEAT_UNREACHABLE, 99, 30, 0, 150000, 300000 },
		{ "refused", TR_BEAT_REFUSED, 1, 30, 0, 1000, 5000 },
		{ "told when to come back", TR_BEAT_REFUSED, 1, 30, 60, 60000, 75000 },
		{ "told to come back in a year", TR_BEAT_REFUSED, 1, 30, 31536000, 300000, 375000 },
		{ "revoked", TR_BEAT_REVOKED, 1, 30, 0, 270000, 330000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned n = 0; n < 64; n++) {
			uint64_t ms = tr_beat_wait_ms(cases[i].what, cases[i].failures, cases[i].interval_s,
						      cases[i].retry_after_s, n * (UINT32_MAX / 63));

			if (ms < cases[i].low || ms > cases[i].high)
				fail_msg("%s: %llu", cases[i].label, (unsigned long long)ms);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_mean_what_they_say),
		cmocka_unit_test(waits_follow_the_outcome),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
