/* SPDX-License-Identifier: Apache-2.0 */
#include "server/calls.h"
#include "server/core.h"
#include "server/metrics.h"
#include "server/rate.h"
#include "server/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static int heard;
static void on_call(void *arg, const void *answer)
{
	heard += arg == &heard ? (answer ? 1 : 100) : 1000;
}

static void an_answer_is_taken_once_and_from_whom_it_was_asked(void **state)
{
	tr_auto(tr_calls_free) struct tr_calls *c = tr_calls_new();
	int me, other;
	uint64_t id = tr_calls_add(c, &me, on_call, &heard);

	(void)state;
	heard = 0;
	assert_false(tr_calls_end(c, &other, id, ""));
	assert_false(tr_calls_end(c, &me, 0, ""));
	assert_false(tr_calls_end(c, &me, id + (1ull << 32), ""));
	assert_true(tr_calls_end(c, &me, id, ""));
	assert_false(tr_calls_end(c, &me, id, ""));
	assert_int_equal(heard, 1);
	(void)tr_calls_add(c, &me, on_call, &heard);
	(void)tr_calls_add(c, &other, on_call, &heard);
	tr_calls_fail(c, &me);
	assert_int_equal(heard, 101);
	assert_int_equal(tr_calls_count(c), 1);
	tr_calls_fail(c, &other);
}

static void a_role_that_hangs_is_named(void **state)
{
	tr_auto(tr_calls_free) struct tr_calls *c = tr_calls_new();
	int slow, quick;
	uint64_t id;

	(void)state;
	(void)tr_calls_add(c, &slow, on_call, &heard);
	assert_null(tr_calls_tick(c, 2));
	id = tr_calls_add(c, &quick, on_call, &heard);
	assert_null(tr_calls_tick(c, 2));
	assert_true(tr_calls_end(c, &quick, id, ""));
	assert_ptr_equal(tr_calls_tick(c, 2), &slow);
	tr_calls_fail(c, &slow);
	assert_null(tr_calls_tick(c, 2));
}

static void calls_are_bounded(void **state)
{
	tr_auto(tr_calls_free) struct tr_calls *c = tr_calls_new();
	int me;

	(void)state;
	for (int i = 0; i < TR_CALLS_MAX; i++)
		assert_true(tr_calls_add(c, &me, on_call, &heard) != 0);
	assert_true(tr_calls_add(c, &me, on_call, &heard) == 0);
	tr_calls_fail(c, &me);
	assert_true(tr_calls_add(c, &me, on_call, &heard) != 0);
	tr_calls_fail(c, &me);
}

static void a_source_is_held_to_its_rate_and_others_are_not(void **state)
{
	tr_auto(tr_rate_free) struct tr_rate *r = NULL;
	tr_auto(tr_close) int fd = -1;
	struct tr_err err;
	unsigned wait = 0, passed = 0;

	(void)state;
	assert_int_equal(tr_rate_create(&fd, &err), TR_OK);
	assert_int_equal(tr_rate_open(fd, &r, &err), TR_OK);
	for (int i = 0; i < 100; i++)
		passed += tr_rate_allow(r, TR_VIEW_LIT("192.0.2.1"), 1, 60, 1000, &wait);
	assert_int_equal(passed, 10); /* a sixth of the minute's share at once */
	assert_true(wait >= 1);
	assert_true(tr_rate_allow(r, TR_VIEW_LIT("192.0.2.2"), 1, 60, 1000, &wait));
	assert_true(tr_rate_allow(r, TR_VIEW_LIT("192.0.2.1"), 2, 60, 1000, &wait));
	assert_true(tr_rate_allow(r, TR_VIEW_LIT("192.0.2.1"), 1, 60, 3000, &wait)); /* two seconds later: two more */
}

static void a_challenge_is_ours_whole_and_fresh(void **state)
{
	uint8_t key[32] = { 1 }, other[32] = { 2 }, c[TR_CHALLENGE_LEN];

	(void)state;
	tr_challenge_make(key, 1000000, c);
	assert_true(tr_challenge_ok(key, 1000000, TR_VIEW_ARRAY(c)));
	assert_true(tr_challenge_ok(key, 1000000 + TR_CHALLENGE_TTL_MS, TR_VIEW_ARRAY(c)));
	assert_false(tr_challenge_ok(key, 1000001 + TR_CHALLENGE_TTL_MS, TR_VIEW_ARRAY(c)));
	assert_false(tr_challenge_ok(key, 999999, TR_VIEW_ARRAY(c)));
	assert_false(tr_challenge_ok(other, 1000000, TR_VIEW_ARRAY(c)));
	assert_false(tr_challenge_ok(key, 1000000, tr_view(c, 31)));
	for (int bit = 0; bit < 256; bit++) {
		c[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(tr_challenge_ok(key, 1000000, TR_VIEW_ARRAY(c)));
		c[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void routes_match_whole_paths_on_their_listener(void **state)
{
	static const struct {
		const char *method, *path;
		unsigned on;
		int want; /* route id, -1: no path, -2: other method */
		const char *arg;
	} cases[] = {
		{ "GET", "/livez", TR_ON_AGENTS, TR_RT_LIVEZ, "" },
		{ "GET", "/livez/", TR_ON_AGENTS, -1, "" },
		{ "POST", "/livez", TR_ON_AGENTS, -2, "" },
		{ "GET", "/api/v1/agents", TR_ON_AGENTS, -1, "" },
		{ "GET", "/api/v1/agents/web-1", TR_ON_OPERATORS, TR_RT_AGENT_GET, "web-1" },
		{ "GET", "/api/v1/agents/..", TR_ON_OPERATORS, -1, "" },
		{ "GET", "/api/v1/agents/a/b", TR_ON_OPERATORS, -1, "" },
		{ "GET", "/api/v1/agents/%2e", TR_ON_OPERATORS, -1, "" },
		{ "POST", "/api/v1/agents/web-1/revoke", TR_ON_OPERATORS, TR_RT_AGENT_REVOKE, "web-1" },
		{ "POST", "/api/v1/agents//revoke", TR_ON_OPERATORS, -1, "" },
		{ "POST", "/agent/register", TR_ON_AGENTS, TR_RT_REGISTER, "" },
		{ "post", "/agent/register", TR_ON_AGENTS, -2, "" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_view arg;
		bool known;
		const struct tr_route *r = tr_route_find(tr_view_str(cases[i].method), tr_view_str(cases[i].path),
							 cases[i].on, &arg, &known);

		assert_int_equal(r ? (int)r->id : known ? -2 : -1, cases[i].want);
		if (r)
			assert_true(tr_view_is(arg, cases[i].arg));
	}
}

static void every_route_has_a_handler_and_a_rate(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TR_RT_N; i++) {
		const struct tr_route *r = tr_route_by_id((enum tr_route_id)i);
		bool asks;

		assert_non_null(r);
		/* Pulses come as frames of their own. */
		assert_true((tr_api[i] == NULL) == (i == TR_RT_PULSE));
		assert_true(r->per_minute > 0);
		assert_true((r->kind == TR_IN_RAW || r->kind == TR_IN_JSON || r->kind == TR_IN_PULSE) == (r->body_max > 0));
		/* Whatever may change a row is refused while the store cannot write; what only asks is no row. */
		asks = i == TR_RT_PULSE || i == TR_RT_AGENT_BPF_REQUEST || i == TR_RT_TPM_CREDENTIAL ||
		       i == TR_RT_VERDICT_REPLAY || i == TR_RT_TEE_POLICY_TEST;
		assert_true(r->durable == (strcmp(r->method, "GET") != 0 && !asks));
	}
}

static void the_failure_alert_comes_once_a_minute(void **state)
{
	struct tr_metrics m = { 0 };
	unsigned alerts = 0;

	(void)state;
	for (int i = 0; i < 9; i++)
		alerts += tr_metrics_verified(&m, false, 1000);
	assert_int_equal(alerts, 0); /* nine are too few to say */
	for (int i = 0; i < 50; i++)
		alerts += tr_metrics_verified(&m, false, 1000);
	assert_int_equal(alerts, 1);
	for (int i = 0; i < 50; i++)
		alerts += tr_metrics_verified(&m, true, 62000);
	assert_int_equal(alerts, 1);
	for (int i = 0; i < 50; i++)
		alerts += tr_metrics_verified(&m, false, 62000);
	assert_int_equal(alerts, 2);
	assert_int_equal(m.failure_rate_alerts, 2);
}

/* More reasons than places: the last place counts the others, and nothing is lost. */
static void refused_pulses_are_counted_by_reason(void **state)
{
	static const char *const slugs[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q" };
	static struct tr_metrics m;
	struct tr_gauges g = { .clock_trusted = true };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint64_t sum = 0;

	(void)state;
	g.fleet.by_verdict[TR_V_LOST] = 3;
	g.alerts_open[1] = 2;
	for (size_t i = 0; i < TR_ARRAY_LEN(slugs); i++) {
		tr_metrics_refused(&m, slugs[i]);
		tr_metrics_refused(&m, "a");
	}
	for (size_t i = 0; i < TR_REFUSED_REASONS; i++)
		sum += m.pulses_refused[i].n;
	assert_int_equal(sum, 2 * TR_ARRAY_LEN(slugs));
	assert_int_equal(m.pulses_refused[0].n, TR_ARRAY_LEN(slugs) + 1);
	tr_metrics_print(&m, &g, &b);
	assert_non_null(strstr(tr_buf_cstr(&b), "troth_pulses_refused_total{reason=\"a\"} 18\n"));
	assert_non_null(strstr(tr_buf_cstr(&b), "troth_pulses_refused_total{reason=\"other\"} 2\n"));
	assert_non_null(strstr(tr_buf_cstr(&b), "troth_agents{verdict=\"lost\"} 3\n"));
	assert_non_null(strstr(tr_buf_cstr(&b), "troth_alerts_open{severity=\"1\"} 2\n"));
	assert_non_null(strstr(tr_buf_cstr(&b), "troth_clock_trusted 1\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_pulses_are_counted_by_reason),
		cmocka_unit_test(an_answer_is_taken_once_and_from_whom_it_was_asked),
		cmocka_unit_test(a_role_that_hangs_is_named),
		cmocka_unit_test(calls_are_bounded),
		cmocka_unit_test(a_source_is_held_to_its_rate_and_others_are_not),
		cmocka_unit_test(a_challenge_is_ours_whole_and_fresh),
		cmocka_unit_test(routes_match_whole_paths_on_their_listener),
		cmocka_unit_test(every_route_has_a_handler_and_a_rate),
		cmocka_unit_test(the_failure_alert_comes_once_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
