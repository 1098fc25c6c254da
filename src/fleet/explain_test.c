/* SPDX-License-Identifier: Apache-2.0 */
/* PU-4, PU-5: every check of an agent in words, in valid JSON whatever is known of it. */
#include "fleet/live_test.h"

#include "base/own.h"
#include "codec/json.h"
#include "codec/text.h"

static const char *const checks[] = { "reachability", "authenticity", "clock",  "binary",   "bpf",
				      "lsm",          "configuration", "update", "freshness" };

struct answer {
	char state[40], expected[200], seen[300], tier[24], action[512];
	bool has_since;
};

static void member(tr_jnode check, const char *name, char *to, size_t n)
{
	struct tr_view v;

	assert_true(tr_json_str(tr_json_get(check, name), &v));
	(void)snprintf(to, n, "%.*s", TR_VIEW_FMT(v));
}

/* All checks are there, in order, each with every member; returns the named one. */
static struct answer explain(struct tr_fleet *f, uint32_t no, const char *name)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct answer found = { 0 };
	struct tr_err err;

	tr_fleet_explain(f, &now, no, &b);
	if (tr_json_parse(tr_buf_view(&b), &j, &err))
		fail_msg("not JSON: %s", tr_buf_cstr(&b));
	assert_int_equal(tr_json_len(tr_json_root(j)), TR_ARRAY_LEN(checks));
	for (size_t i = 0; i < TR_ARRAY_LEN(checks); i++) {
		tr_jnode c = tr_json_at(tr_json_root(j), i);
		struct answer a;
		char what[40];
		struct tr_view since;
		int64_t ms;

		member(c, "check", what, sizeof(what));
		assert_string_equal(what, checks[i]);
		member(c, "state", a.state, sizeof(a.state));
		member(c, "expected", a.expected, sizeof(a.expected));
		member(c, "seen", a.seen, sizeof(a.seen));
		member(c, "tier", a.tier, sizeof(a.tier));
		member(c, "action", a.action, sizeof(a.action));
		assert_true(a.state[0] && a.expected[0] && a.seen[0]);
		a.has_since = tr_json_str(tr_json_get(c, "since"), &since);
		assert_true(a.has_since ? tr_rfc3339_get(since, &ms) : tr_json_is_null(tr_json_get(c, "since")));
		if (strcmp(what, name) == 0)
			found = a;
	}
	return found;
}

static struct tr_fleet_agent *agent(struct tr_fleet *f)
{
	return tr_agent_at(f, 0);
}

/* What each sets on a fine agent, and what its check then says. */
static void set_nothing(struct tr_fleet *f) { (void)f; }
static void set_silent(struct tr_fleet *f) { run(f, 80, nobody); }
static void set_lost(struct tr_fleet *f) { run(f, 200, nobody); }
static void set_announced(struct tr_fleet *f) { announce(f, 0, TR_NOTICE_REBOOT, 900); }
static void set_forked(struct tr_fleet *f) { tr_axis_set(f, &now, 0, TR_AXIS_AUTH, TR_AUTH_FORKED); }
static void set_restored(struct tr_fleet *f) { tr_axis_set(f, &now, 0, TR_AXIS_AUTH, TR_AUTH_RESTORED); }
static void set_ended(struct tr_fleet *f) { tr_fleet_end(f, &now, 0); }
static void set_conflict(struct tr_fleet *f)
{
	tr_axis_set(f, &now, 0, TR_AXIS_AUTH, TR_AUTH_CONFLICT);
	agent(f)->stray = calloc(1, sizeof(struct tr_stray));
	agent(f)->stray->count = 2;
	agent(f)->stray->last_ms = now.ms;
}
static void set_desync(struct tr_fleet *f)
{
	agent(f)->skew_ms = -3600250;
	tr_axis_set(f, &now, 0, TR_AXIS_CLOCK, TR_CLOCK_DESYNC);
}
static void set_untrusted(struct tr_fleet *f) { (void)f; now.clock_trusted = false; }
static void running(struct tr_fleet *f, uint8_t first)
{
	uint8_t hash[32] = { first };

	tr_intern_set(f->values, &agent(f)->running, TR_VIEW_ARRAY(hash));
}
static void set_good(struct tr_fleet *f) { running(f, 9); }
static void set_other(struct tr_fleet *f) { running(f, 0xee); }
static void set_expected(struct tr_fleet *f)
{
	uint8_t hash[32] = { 0xee };

	running(f, 0xee);
	tr_fleet_expect(f, &now, 0, hash, now.ms + 600000);
}
static void set_overdue(struct tr_fleet *f)
{
	set_expected(f);
	run(f, 601, always);
}
static void set_no_rights(struct tr_fleet *f) { agent(f)->bpf_status = TR_BPF_NO_RIGHTS; }
static void set_bpf(struct tr_fleet *f, uint8_t digest, uint8_t good)
{
	uint8_t d[32] = { digest }, g[32] = { good };

	agent(f)->bpf_status = TR_BPF_OK;
	tr_intern_set(f->values, &agent(f)->bpf, TR_VIEW_ARRAY(d));
	tr_intern_set(f->values, &agent(f)->bpf_good, TR_VIEW_ARRAY(g));
}
static void set_bpf_good(struct tr_fleet *f) { set_bpf(f, 4, 4); }
static void set_bpf_bad(struct tr_fleet *f)
{
	set_bpf(f, 4, 5);
	tr_axis_set(f, &now, 0, TR_AXIS_INTEGRITY, TR_INTEGRITY_BPF_MISMATCH);
	agent(f)->findings = calloc(1, sizeof(struct tr_buf));
	tr_buf_adds(agent(f)->findings, "[{\"pin\":\"troth/shield\",\"what\":\"detached\"}]");
}
static void set_lsm(struct tr_fleet *f, uint8_t is, uint8_t good)
{
	agent(f)->lsm = is;
	agent(f)->lsm_good = good;
}
static void set_lsm_active(struct tr_fleet *f) { set_lsm(f, TR_LSM_ACTIVE, TR_LSM_ACTIVE); }
static void set_lsm_down(struct tr_fleet *f) { set_lsm(f, TR_LSM_RELEASED, TR_LSM_ACTIVE); }
static void set_lsm_none(struct tr_fleet *f) { set_lsm(f, TR_LSM_UNAVAILABLE, TR_LSM_UNAVAILABLE); }
static void set_behind(struct tr_fleet *f) { tr_axis_set(f, &now, 0, TR_AXIS_CONFIG, TR_CONFIG_BEHIND); }

static const struct {
	const char *check, *state;
	void (*set)(struct tr_fleet *f);
	const char *tier, *seen, *action; /* words that must be there; "" in action: nothing is to be done */
} cases[] = {
	{ "reachability", "live", set_nothing, "observed", "0 s ago", "" },
	{ "reachability", "missed", set_silent, "observed", "80 s ago", "power, network" },
	{ "reachability", "lost", set_lost, "observed", "200 s ago", "power, network" },
	{ "reachability", "announced", set_announced, "observed", "announced: reboot, until 2027-", "" },
	{ "authenticity", "ok", set_nothing, "signed", "pulse 1 of boot 0", "" },
	{ "authenticity", "conflict", set_conflict, "signed", "a second history: 2 pulses", "three beats" },
	{ "authenticity", "restored", set_restored, "signed", "pulse 1", "`troth agent accept a0`" },
	{ "authenticity", "forked", set_forked, "signed", "pulse 1", "`troth agent reset-identity a0`" },
	{ "authenticity", "revoked", set_ended, "signed", "pulse 1", "enrol it under a new id" },
	{ "clock", "desync", set_desync, "self-asserted", "3600.250 s behind", "timedatectl" },
	{ "clock", "unknown", set_untrusted, "self-asserted", "server's own clock", "server's clock" },
	{ "binary", "unknown", set_nothing, "self-asserted", "nothing yet", "" },
	{ "binary", "ok", set_good, "self-asserted", "0900", "" },
	{ "binary", "unknown_binary", set_other, "self-asserted", "ee00", "`troth agent accept a0`" },
	{ "binary", "expected_update", set_expected, "self-asserted", "ee00", "" },
	{ "binary", "unknown_binary", set_overdue, "self-asserted", "ee00", "compromised" },
	{ "bpf", "no_rights", set_no_rights, "self-asserted", "no snapshot", "" },
	{ "bpf", "ok", set_bpf_good, "self-asserted", "0400", "" },
	{ "bpf", "bpf_mismatch", set_bpf_bad, "self-asserted", "0400", "`troth agent explain a0`" },
	{ "lsm", "ok", set_lsm_active, "self-asserted", "active", "" },
	{ "lsm", "lsm_down", set_lsm_down, "self-asserted", "released", "LSM supervisor" },
	{ "lsm", "unavailable", set_lsm_none, "self-asserted", "unavailable", "" },
	{ "configuration", "behind", set_behind, "self-asserted", "older keyset", "journal" },
	{ "update", "none", set_nothing, "observed", "nothing yet", "" },
	{ "update", "ordered", set_expected, "observed", "ee00", "" },
	{ "update", "ordered", set_overdue, "observed", "ee00", "`troth agent expect a0`" },
	{ "freshness", "fresh", set_nothing, "signed", "pulse 1", "" },
	{ "freshness", "stale", set_silent, "signed", "pulse 1", "power, network" },
};

static void every_check_says_what_is_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");
		struct answer a;

		beat(f, 0);
		cases[i].set(f);
		a = explain(f, 0, cases[i].check);
		if (strcmp(a.state, cases[i].state) != 0 || strcmp(a.tier, cases[i].tier) != 0 ||
		    !strstr(a.seen, cases[i].seen) ||
		    (cases[i].action[0] ? !strstr(a.action, cases[i].action) : a.action[0] != 0))
			fail_msg("%s %s: is %s (%s), seen '%s', do '%s'", cases[i].check, cases[i].state, a.state, a.tier, a.seen, a.action);
		assert_true(a.has_since);
	}
}

static void nothing_is_known_of_who_never_spoke(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");
	static const char *const want[TR_ARRAY_LEN(checks)] = { "never", "unknown", "unknown", "unknown", "unknown",
								"unknown", "unknown", "none", "unknown" };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(checks); i++)
		assert_string_equal(explain(f, 0, checks[i]).state, want[i]);
	assert_false(explain(f, 0, "freshness").has_since);
	assert_non_null(strstr(explain(f, 0, "reachability").seen, "no pulse"));
}

static void nobody_is_an_empty_list(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	tr_fleet_explain(f, &now, 5, &b);
	assert_string_equal(tr_buf_cstr(&b), "[]");
}

static void silence_of_a_partition_is_named(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(10, "lab");
	struct answer a;

	(void)state;
	run(f, 60, always);
	run(f, 300, nobody);
	a = explain(f, 0, "reachability");
	assert_string_equal(a.state, "missed");
	assert_non_null(strstr(a.seen, "as a whole"));
	assert_non_null(strstr(a.action, "alert of its partition"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_check_says_what_is_known),
		cmocka_unit_test(nothing_is_known_of_who_never_spoke),
		cmocka_unit_test(nobody_is_an_empty_list),
		cmocka_unit_test(silence_of_a_partition_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
