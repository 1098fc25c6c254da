/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/outcome.h"

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
		enum tr_outcome want;
	} cases[] = {
		{ 200, "", TR_OUT_ACCEPTED },
		{ 200, "agent_revoked", TR_OUT_ACCEPTED },
		{ 401, "agent_revoked", TR_OUT_REVOKED },
		{ 403, "agent_revoked", TR_OUT_REVOKED },
		{ 401, "agent_unknown", TR_OUT_BARRED },
		{ 401, "key_mismatch", TR_OUT_BARRED },
		{ 403, "quarantined", TR_OUT_BARRED },
		{ 409, "quarantined", TR_OUT_REFUSED },
		{ 400, "malformed_pulse", TR_OUT_REFUSED },
		{ 403, "bad_signature", TR_OUT_REFUSED },
		{ 403, "wrong_agent", TR_OUT_REFUSED },
		{ 403, "relayed", TR_OUT_REFUSED },
		{ 403, "wrong_partition", TR_OUT_REFUSED },
		{ 409, "replay", TR_OUT_REPLAYED },
		{ 409, "chain_conflict", TR_OUT_REFUSED },
		{ 401, "", TR_OUT_REFUSED },
		{ 403, "certificate_expired", TR_OUT_REFUSED },
		{ 404, "agent_revoked", TR_OUT_REFUSED },
		{ 429, "rate_limited", TR_OUT_REFUSED },
		{ 500, "agent_revoked", TR_OUT_UNREACHABLE },
		{ 503, "", TR_OUT_UNREACHABLE },
		{ 302, "", TR_OUT_UNREACHABLE },
		{ 204, "", TR_OUT_UNREACHABLE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tr_outcome_of(cases[i].status, cases[i].code) != cases[i].want)
			fail_msg("%d %s", cases[i].status, cases[i].code);
}

static void waits_follow_the_outcome(void **state)
{
	static const struct {
		const char *label;
		enum tr_outcome what;
		unsigned failures;
		uint64_t interval_s;
		unsigned retry_after_s;
		uint64_t low, high;
	} cases[] = {
		{ "the told interval, a tenth each way", TR_OUT_ACCEPTED, 0, 30, 0, 27000, 33000 },
		{ "no interval told", TR_OUT_ACCEPTED, 0, 0, 0, 27000, 33000 },
		{ "an absurd interval", TR_OUT_ACCEPTED, 0, UINT64_MAX, 0, 3240000, 3960000 },
		{ "first failure", TR_OUT_UNREACHABLE, 1, 30, 0, 1000, 5000 },
		{ "many failures: back before it is called lost", TR_OUT_UNREACHABLE, 99, 30, 0, 30000,
		  60000 },
		{ "many failures, a slow beat", TR_OUT_UNREACHABLE, 99, 3600, 0, 150000, 300000 },
		{ "many failures, a fast beat", TR_OUT_UNREACHABLE, 99, 1, 0, 1000, 5000 },
		{ "refused", TR_OUT_REFUSED, 1, 30, 0, 27000, 33000 },
		{ "replayed: soon", TR_OUT_REPLAYED, 1, 30, 0, 1000, 5000 },
		{ "replayed again and again", TR_OUT_REPLAYED, 9, 30, 0, 30000, 60000 },
		{ "refused, fast beat", TR_OUT_REFUSED, 9, 1, 0, 900, 1100 },
		{ "barred", TR_OUT_BARRED, 1, 1, 0, 270000, 330000 },
		{ "told when to come back", TR_OUT_REFUSED, 1, 30, 60, 60000, 75000 },
		{ "told to come back in a year", TR_OUT_REFUSED, 1, 30, 31536000, 300000, 375000 },
		{ "revoked", TR_OUT_REVOKED, 1, 30, 0, 270000, 330000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned n = 0; n < 64; n++) {
			uint64_t ms =
				tr_outcome_wait_ms(cases[i].what, cases[i].failures, cases[i].interval_s,
						   cases[i].retry_after_s, n * (UINT32_MAX / 63));

			if (ms < cases[i].low || ms > cases[i].high)
				fail_msg("%s: %llu", cases[i].label, (unsigned long long)ms);
		}
	}
}

static void only_these_say_that_the_key_is_another(void **state)
{
	(void)state;
	assert_true(tr_outcome_is_key(401, "key_mismatch"));
	assert_true(tr_outcome_is_key(403, "key_mismatch"));
	assert_true(tr_outcome_is_key(401, "agent_unknown"));
	assert_false(tr_outcome_is_key(403, "agent_revoked"));
	assert_false(tr_outcome_is_key(403, "quarantined"));
	assert_false(tr_outcome_is_key(0, ""));
	assert_false(tr_outcome_is_key(503, "key_mismatch"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_mean_what_they_say),
		cmocka_unit_test(waits_follow_the_outcome),
		cmocka_unit_test(only_these_say_that_the_key_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
