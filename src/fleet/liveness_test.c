/* SPDX-License-Identifier: Apache-2.0 */
/* PU-4, PU-6: late, missed, lost; what is excused, and what is one incident. */
#include "fleet/live_test.h"

#include "base/own.h"

/* ---- the ladder ---- */

/* PU-6: the second after the last pulse at which each step is taken. In time: 30 s, a tenth, 8 s. */
static void one_agent_climbs_step_by_step(void **state)
{
	static const struct {
		const char *label;
		uint16_t interval_s;
		uint32_t loss_ppm;
		int64_t late, missed, note, lost; /* note: alert of severity 4; lost: severity 2 */
	} cases[] = {
		{ "the usual", 30, 1000, 42, 71, 107, 131 },
		{ "a bad line", 30, 60000, 42, 71, 107, 161 },
		{ "the worst line", 30, 400000, 42, 71, 107, 251 },
		{ "a longer interval", 300, 1000, 339, 638, 998, 1238 },
		{ "a shorter interval", 10, 1000, 20, 29, 41, 49 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");
		int64_t at[TR_REACH_N] = { 0 };
		struct tr_fleet_agent *a = tr_agent_at(f, 0);
		int64_t t0;

		a->interval_s = cases[i].interval_s;
		a->loss_ppm = cases[i].loss_ppm;
		beat(f, 0);
		a->loss_ppm = cases[i].loss_ppm;
		t0 = now.ms;
		for (int64_t s = 1; s < 1500; s++) {
			run(f, 1, nobody);
			if (!at[reach(f, 0)])
				at[reach(f, 0)] = s;
		}
		CHECK(at[TR_REACH_LATE] == cases[i].late, cases[i].label);
		CHECK(at[TR_REACH_MISSED] == cases[i].missed, cases[i].label);
		CHECK(at[TR_REACH_LOST] == cases[i].lost, cases[i].label);
		CHECK(heard.raised[4] == 1 && heard.raised[2] == 1, cases[i].label);
		CHECK(heard.raised[1] == 0 && heard.raised[3] == 0, cases[i].label);
		CHECK(heard.raised_at[4] - t0 == cases[i].note * 1000, cases[i].label);
		CHECK(heard.raised_at[2] - t0 == cases[i].lost * 1000, cases[i].label);
		/* The documented bound holds. */
		CHECK(at[TR_REACH_LOST] <= tr_fleet_lost_after_s(f, 0), cases[i].label);
		CHECK(at[TR_REACH_LOST] + 2 >= tr_fleet_lost_after_s(f, 0), cases[i].label);
		CHECK(strcmp(heard.last_subject, "agent:a0") == 0 && strcmp(heard.last_cause, "silence") == 0, cases[i].label);
		/* One word from it ends everything. */
		beat(f, 0);
		CHECK(reach(f, 0) == TR_REACH_LIVE && tr_fleet_verdict(f, &now, 0, NULL) == TR_V_OK, cases[i].label);
		CHECK(tr_alerts_open(f->alerts, 0) == 0, cases[i].label);
	}
}

/* The state follows from the last pulse and the clock, whether or not somebody ticked. */
static void a_verdict_needs_no_tick(void **state)
{
	static const struct {
		int64_t s;
		enum tr_verdict want;
	} cases[] = { { 1, TR_V_OK }, { 41, TR_V_OK }, { 42, TR_V_LATE }, { 70, TR_V_LATE }, { 71, TR_V_MISSED }, { 130, TR_V_MISSED }, { 131, TR_V_LOST }, { 99999, TR_V_LOST } };
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");

	(void)state;
	beat(f, 0);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_instant then = now;

		then.ms += cases[i].s * 1000;
		assert_int_equal(tr_fleet_verdict(f, &then, 0, NULL), cases[i].want);
	}
	assert_int_equal(tr_fleet_verdict(f, &now, 17, NULL), TR_V_UNKNOWN);
}

/* N × beats a month × p^k < 1. */
static void k_follows_from_loss_and_fleet(void **state)
{
	static const struct {
		uint32_t agents, loss_ppm;
		unsigned k;
	} cases[] = {
		{ 1, 0, 4 },          { 10000, 0, 4 },       { 10000, 1000, 4 },      { 10000, 10000, 5 },  { 10000, 50000, 8 },
		{ 1000000, 0, 5 },    { 1000000, 10000, 6 }, { 1000000, 500000, 8 },  { 100, 10000, 4 },    { 100, 30000, 5 },
		{ 1, 1000000, 8 },
	};
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		f->active = cases[i].agents;
		tr_agent_at(f, 0)->loss_ppm = cases[i].loss_ppm;
		if (tr_live_k(f, tr_agent_at(f, 0)) != cases[i].k)
			fail_msg("%u agents, %u ppm: k is %u", cases[i].agents, cases[i].loss_ppm, tr_live_k(f, tr_agent_at(f, 0)));
	}
}

static uint64_t dice = 88172645463325252u;

static bool ninety_nine_in_a_hundred(uint32_t no)
{
	(void)no;
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice % 100 != 0;
}

/* No retries at all: every hundredth beat is simply not there, for three hours of 1000 agents. */
static void one_lost_beat_in_a_hundred_is_no_alarm(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1000, "lab");
	uint64_t sum = 0;

	(void)state;
	run(f, 3 * 3600, ninety_nine_in_a_hundred);
	for (uint32_t no = 0; no < f->n; no++)
		sum += tr_agent_at(f, no)->loss_ppm;
	/* The estimate is on its way to the truth. */
	assert_in_range(sum / f->n, 6000, 14000);
	assert_int_equal(f->stats.by_reach[TR_REACH_LOST], 0);
	assert_int_equal(heard.raised[2], 0);
	assert_int_equal(heard.incidents, 0);
}

static void an_outage_is_not_loss(void **state)
{
	static const struct {
		const char *label;
		int64_t silent_s;
		bool learns;
	} cases[] = { { "one beat", 60, true }, { "three beats", 120, true }, { "a reboot that nobody announced", 200, false },
		      { "a day", 86400, false }, { "in time", 35, false } };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");

		run(f, 5, nobody);
		beat(f, 0);
		tr_agent_at(f, 0)->loss_ppm = 1000;
		run(f, cases[i].silent_s, nobody);
		beat(f, 0);
		CHECK((tr_agent_at(f, 0)->loss_ppm > 1000) == cases[i].learns, cases[i].label);
	}
}

/* A run of four is no accident of the line, even of one so bad that it is not lost by then. */
static void a_long_run_is_not_loss(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");

	(void)state;
	run(f, 5, nobody);
	beat(f, 0);
	tr_agent_at(f, 0)->loss_ppm = 400000;
	run(f, 150, nobody);
	assert_int_equal(reach(f, 0), TR_REACH_MISSED);
	beat(f, 0);
	assert_int_equal(tr_agent_at(f, 0)->loss_ppm, 400000);
}

/* ---- never, announced, maintenance ---- */

static void an_agent_that_never_spoke_gets_ten_minutes(void **state)
{
	static const uint8_t none[32], good[32] = { 9 };
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");

	(void)state;
	(void)tr_fleet_add(f, &now, TR_VIEW_LIT("original"), TR_VIEW_LIT("lab"), none, TR_VIEW_ARRAY(good), 1, true, NULL);
	run(f, 599, nobody);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
	assert_int_equal(tr_fleet_verdict(f, &now, 0, NULL), TR_V_PENDING);
	/* Nobody could hear it while the server slept. */
	step(60000);
	tr_fleet_tick(f, &now);
	run(f, 599, nobody);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
	run(f, 2, nobody);
	assert_int_equal(heard.raised[4], 1);
	run(f, 86400, nobody);
	/* It stays a note, and what cannot send pulses is never asked for any. */
	assert_int_equal(tr_alerts_open(f->alerts, 0), 1);
	assert_int_equal(tr_alerts_open(f->alerts, 4), 1);
	assert_string_equal(heard.last_subject, "agent:a0");
	assert_non_null(strstr(heard.last_summary, "not sent one pulse"));
	assert_int_equal(f->partitions[1].active, 0);
	beat(f, 0);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
}

static void an_announced_silence_is_no_alarm_until_it_is_over(void **state)
{
	static const struct {
		const char *label;
		uint8_t notice;
		int64_t for_s;
	} cases[] = { { "reboot", TR_NOTICE_REBOOT, 900 }, { "update", TR_NOTICE_UPDATE, 900 }, { "restart", TR_NOTICE_RESTART, 120 },
		      { "shutdown", TR_NOTICE_SHUTDOWN, 86400 } };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(2, "lab");

		beat(f, 1);
		announce(f, 0, cases[i].notice, cases[i].for_s);
		CHECK(tr_fleet_verdict(f, &now, 0, NULL) == TR_V_ANNOUNCED, cases[i].label);
		/* Who announced it counts in no partition. */
		CHECK(f->partitions[1].active == 1, cases[i].label);
		run(f, cases[i].for_s + 41, always);
		CHECK(f->partitions[1].active == 2 || reach(f, 0) == TR_REACH_LIVE, cases[i].label);
		/* Once more, and silent this time. */
		announce(f, 0, cases[i].notice, cases[i].for_s);
		for (int64_t s = 1; s <= cases[i].for_s + 41; s++) {
			run(f, 1, nobody);
			CHECK(reach(f, 0) == TR_REACH_ANNOUNCED, cases[i].label);
		}
		CHECK(tr_alerts_find(f->alerts, "silence", TR_VIEW_LIT("agent:a0")) == NULL, cases[i].label);
		run(f, 1, nobody);
		CHECK(reach(f, 0) == TR_REACH_LATE, cases[i].label);
		run(f, 90, nobody);
		CHECK(reach(f, 0) == TR_REACH_LOST, cases[i].label);
		CHECK(tr_alerts_find(f->alerts, "silence", TR_VIEW_LIT("agent:a0"))->severity == 2, cases[i].label);
	}
}

static void maintenance_delays_the_alert_not_the_truth(void **state)
{
	static const struct {
		const char *label, *scope, *target;
		int64_t from_s;
		bool covers;
	} cases[] = { { "fleet", "fleet", "", 10, true },
		      { "its partition", "partition", "lab", 10, true },
		      { "another's", "partition", "office", 10, false },
		      { "itself", "agent", "a0", 10, true },
		      { "another agent", "agent", "a1", 10, false },
		      { "too late", "agent", "a0", 3550, false } };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");
		const struct tr_maintenance_row row = { .scope = tr_view_str(cases[i].scope),
							.target = tr_view_str(cases[i].target),
							.from_at = START + cases[i].from_s * 1000,
							.until_at = START + 3600000 };

		tr_fleet_maintenance(f, &row, 1);
		beat(f, 0);
		run(f, 3500, nobody);
		CHECK(reach(f, 0) == TR_REACH_LOST, cases[i].label);
		CHECK(silence_alerts(f) == (cases[i].covers ? 0 : 1), cases[i].label);
		CHECK(tr_agent_at(f, 0)->in_maintenance == cases[i].covers, cases[i].label);
		run(f, 101, nobody);
		CHECK(silence_alerts(f) == 1 && heard.raised[2] == 1, cases[i].label);
		CHECK(!tr_agent_at(f, 0)->in_maintenance, cases[i].label);
	}
}

static void ten_of_twenty(struct tr_fleet *f, int64_t seconds);

static void a_partition_in_maintenance_is_no_incident(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(20, "lab");
	const struct tr_maintenance_row row = { .scope = TR_VIEW_LIT("partition"), .target = TR_VIEW_LIT("lab"), .from_at = START,
						.until_at = START + 3600000 };

	(void)state;
	run(f, 60, always);
	tr_fleet_maintenance(f, &row, 1);
	ten_of_twenty(f, 600);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
	assert_int_equal(heard.incidents, 0);
}

/* ---- partitions ---- */

static uint32_t cut_to;
static bool is_not_cut(uint32_t no)
{
	return no >= cut_to;
}

static void ten_of_twenty(struct tr_fleet *f, int64_t seconds)
{
	cut_to = 10;
	run(f, seconds, is_not_cut);
}

/* PU-6: at least five agents, and one in five. */
static void who_makes_an_incident(void **state)
{
	static const struct {
		uint32_t agents, cut;
		bool incident;
	} cases[] = { { 1, 1, false }, { 4, 4, false }, { 5, 4, false }, { 5, 5, true },    { 25, 4, false },
		      { 25, 5, true }, { 30, 5, false }, { 30, 6, true }, { 200, 39, false }, { 200, 40, true }, { 200, 200, true } };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(cases[i].agents, "lab");

		run(f, 60, always);
		cut_to = cases[i].cut;
		run(f, 300, is_not_cut);
		if (cases[i].incident) {
			assert_int_equal(heard.incidents, 1);
			assert_int_equal(heard.events[TR_EV_PARTITION_SILENT], 1);
			assert_int_equal(silence_alerts(f), 0);
			assert_int_equal(f->stats.by_reach[TR_REACH_MISSED], cases[i].cut);
			assert_int_equal(f->stats.by_reach[TR_REACH_LOST], 0);
		} else {
			assert_int_equal(heard.incidents, 0);
			assert_int_equal(silence_alerts(f), cases[i].cut);
			assert_int_equal(f->stats.by_reach[TR_REACH_LOST], cases[i].cut);
		}
	}
}

static bool all_but_two(uint32_t no)
{
	return no >= 2;
}

static void a_partition_is_one_incident_from_cut_to_recovery(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(20, "lab");
	unsigned before;
	int64_t back;

	(void)state;
	run(f, 60, always);
	/* One is lost before: it stays so, and does not count in the partition. */
	cut_to = 1;
	run(f, 300, is_not_cut);
	assert_int_equal(reach(f, 0), TR_REACH_LOST);
	assert_int_equal(silence_alerts(f), 1);
	assert_int_equal(f->partitions[1].active, 19);
	before = heard.raised[2];
	ten_of_twenty(f, 1800);
	assert_int_equal(heard.incidents, 1);
	assert_int_equal(silence_alerts(f), 1);
	assert_int_equal(f->stats.by_reach[TR_REACH_LOST], 1);
	assert_int_equal(f->stats.by_reach[TR_REACH_MISSED], 9);
	assert_string_equal(heard.last_subject, "partition:lab");
	assert_string_equal(heard.last_cause, "silence");
	assert_int_equal(tr_alerts_find(f->alerts, "partition_silent", TR_VIEW_LIT("partition:lab"))->severity, 2);
	/* Its sentence keeps up with its size. */
	assert_true(tr_view_starts(tr_alerts_find(f->alerts, "partition_silent", TR_VIEW_LIT("partition:lab"))->summary,
				   f->partitions[1].peak == 9 ? "9 of 19 agents" : "8 of 19 agents"));
	assert_in_range(heard.raised[2], before + 2, before + 3);
	/* All but two come back: those two are held for two beats more, then lost at once. */
	back = 0;
	while (f->partitions[1].incident && back < 600) {
		run(f, 1, all_but_two);
		back++;
		assert_int_equal(f->partitions[1].incident ? reach(f, 1) : TR_REACH_MISSED, TR_REACH_MISSED);
	}
	assert_in_range(back, 60, 60 + 31);
	assert_int_equal(heard.events[TR_EV_PARTITION_BACK], 1);
	assert_null(tr_alerts_find(f->alerts, "partition_silent", TR_VIEW_LIT("partition:lab")));
	run(f, 2, all_but_two);
	assert_int_equal(reach(f, 1), TR_REACH_LOST);
	assert_int_equal(silence_alerts(f), 2);
	assert_int_equal(heard.incidents, 1);
	run(f, 600, always);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
	assert_int_equal(f->partitions[1].active, 20);
	assert_int_equal(f->partitions[1].silent, 0);
}

static uint32_t wave_from, wave_to;
static bool is_outside_the_wave(uint32_t no)
{
	return no < wave_from || no >= wave_to;
}

/* The second half of the agents falls silent while the first comes back: below the line for less than two beats. */
static void one_wave_after_another_is_one_incident(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(20, "lab");

	(void)state;
	run(f, 60, always);
	wave_from = 0;
	wave_to = 8;
	run(f, 110, is_outside_the_wave);
	wave_to = 16;
	run(f, 15, is_outside_the_wave);
	wave_from = 8;
	while (f->partitions[1].silent >= 5)
		run(f, 1, is_outside_the_wave);
	run(f, 120, is_outside_the_wave);
	assert_int_equal(f->partitions[1].silent, 8);
	assert_int_equal(heard.incidents, 1);
	assert_int_equal(heard.events[TR_EV_PARTITION_BACK], 0);
	/* The two beats of the hold begin anew. */
	while (f->partitions[1].silent >= 5)
		run(f, 1, always);
	run(f, 58, always);
	assert_true(f->partitions[1].incident);
	run(f, 60, always);
	assert_int_equal(heard.events[TR_EV_PARTITION_BACK], 1);
	assert_int_equal(silence_alerts(f), 0);
}

static struct tr_fleet *many_partitions(uint32_t partitions, uint32_t each)
{
	struct tr_fleet *f = empty_fleet(START);

	for (uint32_t i = 0; i < partitions * each; i++) {
		char id[16], partition[16];

		(void)snprintf(id, sizeof(id), "a%u", i);
		(void)snprintf(partition, sizeof(partition), "p%u", i % partitions);
		(void)add(f, id, partition, NULL);
	}
	tr_fleet_loaded(f, &now);
	tr_fleet_tick(f, &now);
	run(f, 60, always);
	return f;
}

static bool same_group(void *arg, const struct tr_alert_row *r)
{
	size_t *n = arg;

	assert_string_equal(heard.last_cause, "silence");
	assert_true(tr_view_is(r->cause, "silence"));
	assert_true(tr_view_is(r->kind, "partition_silent"));
	++*n;
	return true;
}

static void several_partitions_are_one_group(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = many_partitions(3, 10);
	size_t n = 0;

	(void)state;
	run(f, 600, nobody);
	tr_alerts_each(f->alerts, same_group, &n);
	assert_in_range(n, 3, 4);
	assert_int_equal(silence_alerts(f), 0);
	run(f, 300, always);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
}

/* The server's own network fails, and no partition is large enough to be an incident. */
static void many_small_partitions_are_one_incident(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = many_partitions(50, 3);

	(void)state;
	run(f, 1200, nobody);
	assert_int_equal(heard.incidents, 1);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 1);
	assert_non_null(tr_alerts_find(f->alerts, "partition_silent", TR_VIEW_LIT("fleet")));
	assert_int_equal(f->stats.by_reach[TR_REACH_LOST], 0);
	run(f, 300, always);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
	assert_int_equal(f->stats.by_reach[TR_REACH_LIVE], 150);
}

static bool two_of_each_three(uint32_t no)
{
	return no >= 5;
}

/* Five single agents of fifty small partitions: each is its own alert. */
static void a_few_of_many_are_single(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = many_partitions(50, 3);

	(void)state;
	run(f, 600, two_of_each_three);
	assert_int_equal(heard.incidents, 0);
	assert_int_equal(silence_alerts(f), 5);
}

/* ---- the server's own absence ---- */

static void what_the_server_slept_through_is_excused(void **state)
{
	static const struct {
		const char *label;
		int64_t gap_ms, wall_ms;
		unsigned amnesties;
	} cases[] = {
		{ "a short pause", 5000, 5000, 0 },    { "a stall", 5001, 5001, 1 },        { "a night's sleep", 28800000, 28800000, 1 },
		{ "clock set forward", 1000, 3601000, 1 }, { "clock set back", 1000, -3599000, 1 }, { "steady clock back", -600000, -600000, 1 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(40, "lab");

		run(f, 60, always);
		cut_to = 1;
		run(f, 300, is_not_cut); /* a0 is lost */
		CHECK(reach(f, 0) == TR_REACH_LOST, cases[i].label);
		cut_to = 2;
		while (reach(f, 1) == TR_REACH_LIVE)
			run(f, 1, is_not_cut);
		CHECK(reach(f, 1) == TR_REACH_LATE, cases[i].label);
		now.ms += cases[i].gap_ms;
		now.wall_ns += cases[i].wall_ms * 1000000;
		tr_fleet_tick(f, &now);
		CHECK(heard.events[TR_EV_AMNESTY] == cases[i].amnesties, cases[i].label);
		CHECK(f->stats.amnesties == cases[i].amnesties, cases[i].label);
		/* Nobody gets worse by it, and the dead not better. */
		CHECK(f->stats.by_reach[TR_REACH_LIVE] == 38, cases[i].label);
		CHECK(reach(f, 0) == TR_REACH_LOST && reach(f, 1) == TR_REACH_LATE, cases[i].label);
		run(f, 200, is_not_cut);
		CHECK(reach(f, 1) == TR_REACH_LOST, cases[i].label);
		CHECK(silence_alerts(f) == 2 && heard.incidents == 0, cases[i].label);
		CHECK(tr_alerts_open(f->alerts, 0) == 2, cases[i].label);
	}
}

/* The network was quiet while the server slept: everybody is an interval late at the same moment. */
static void all_may_come_back_after_a_stall(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(40, "lab");

	(void)state;
	run(f, 60, always);
	step(30000);
	tr_fleet_tick(f, &now);
	run(f, 35, nobody);
	assert_int_equal(f->stats.by_reach[TR_REACH_LIVE], 40);
	run(f, 35, always);
	for (uint32_t no = 0; no < 40; no++)
		assert_true(tr_agent_at(f, no)->loss_ppm <= 1000);
	run(f, 600, always);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
}

static void a_server_that_keeps_stopping_says_so(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");

	(void)state;
	beat(f, 0);
	step(7000);
	tr_fleet_tick(f, &now);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
	run(f, 60, always);
	step(7000);
	tr_fleet_tick(f, &now);
	assert_int_equal(tr_alerts_find(f->alerts, "server_stalled", TR_VIEW_LIT("server"))->severity, 3);
	run(f, 599, always);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 1);
	run(f, 2, always);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
}

/* ---- restarts ---- */

static struct tr_buf kept; /* open alerts of the server before */

static bool keep_alert(void *arg, const struct tr_alert_row *r)
{
	(void)arg;
	tr_records_add(&kept, &tr_alert_def, r);
	return true;
}

/* Kills the server and starts one that knows the rows and the open alerts. */
static struct tr_fleet *restart(struct tr_fleet *old, int64_t down_ms, bool with_alerts)
{
	int64_t at = now.ms + down_ms;
	struct tr_fleet *f;
	struct tr_view list, one;

	tr_buf_clear(&kept);
	tr_alerts_each(old->alerts, keep_alert, NULL);
	f = empty_fleet(at);
	list = tr_buf_view(&kept);
	while (with_alerts && tr_records_next(&list, &one)) {
		struct tr_alert_row row;
		struct tr_err err;

		assert_int_equal(tr_record_decode(&tr_alert_def, one, &row, &err), TR_OK);
		tr_alerts_load(f->alerts, &row);
	}
	for (uint32_t no = 0; no < old->n; no++) {
		tr_auto(tr_buf_done) struct tr_buf scratch = TR_BUF_INIT;
		struct tr_pulse_row row;

		tr_fleet_row(old, no, &scratch, &row);
		(void)add(f, tr_agent_at(old, no)->id, old->partitions[tr_agent_at(old, no)->partition].name, &row);
	}
	(void)tr_fleet_free(old);
	tr_fleet_loaded(f, &now);
	tr_fleet_tick(f, &now);
	return f;
}

/* PU-4: a restarted server never shows a dead agent as alive, nor a living one as lost. */
static void a_restart_shows_nobody_better_or_worse(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(40, "lab");

	(void)state;
	run(f, 60, always);
	cut_to = 1;
	run(f, 300, is_not_cut);
	cut_to = 2;
	f = restart(f, 7200000, true);
	assert_int_equal(reach(f, 0), TR_REACH_LOST);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 1);
	for (uint32_t no = 1; no < 40; no++)
		assert_int_equal(reach(f, no), TR_REACH_LATE);
	assert_int_equal(f->partitions[1].active, 39);
	run(f, 35, is_not_cut);
	assert_int_equal(f->stats.by_reach[TR_REACH_LIVE], 38);
	assert_int_equal(reach(f, 1), TR_REACH_LATE);
	/* a1 died while nobody looked: found within the bound, counted from the return of the others. */
	run(f, 30 + tr_fleet_lost_after_s(f, 1), is_not_cut);
	assert_int_equal(reach(f, 1), TR_REACH_LOST);
	assert_int_equal(silence_alerts(f), 2);
	/* The alert from before the restart was not raised anew, and both end when they speak. */
	assert_int_equal(tr_alerts_find(f->alerts, "silence", TR_VIEW_LIT("agent:a0"))->count, 2);
	assert_int_equal(heard.incidents, 0);
	run(f, 35, always);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
	assert_int_equal(f->stats.by_reach[TR_REACH_LIVE], 40);
}

/* It speaks before the restarted server has looked at it: the alert of the server before ends all the same. */
static void the_alert_from_before_a_restart_ends(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1, "lab");

	(void)state;
	beat(f, 0);
	run(f, 120, nobody);
	assert_int_equal(reach(f, 0), TR_REACH_MISSED);
	f = restart(f, 1000, true);
	assert_int_equal(tr_agent_at(f, 0)->silence_sev, 0);
	assert_int_equal(tr_alerts_open(f->alerts, 4), 1);
	beat(f, 0);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
}

static void an_incident_goes_on_after_a_restart(void **state)
{
	static const bool knows_alert[] = { true, false };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(knows_alert); i++) {
		tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(20, "lab");

		run(f, 60, always);
		ten_of_twenty(f, 600);
		assert_int_equal(heard.incidents, 1);
		f = restart(f, 60000, knows_alert[i]);
		assert_int_equal(f->partitions[1].incident, knows_alert[i]);
		ten_of_twenty(f, 600);
		/* The same alert, or one anew; never one per agent. */
		assert_int_equal(heard.incidents, knows_alert[i] ? 0 : 1);
		assert_int_equal(silence_alerts(f), 0);
		assert_int_equal(f->stats.by_reach[TR_REACH_LOST], 0);
		assert_int_equal(f->stats.by_reach[TR_REACH_MISSED], 10);
		run(f, 200, always);
		assert_int_equal(heard.events[TR_EV_PARTITION_BACK], 1);
		assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
	}
}

/* Rows are swept every few seconds: at the crash those of a fresh cut may still say live. */
static void a_cut_that_the_rows_do_not_know_yet_stays_one_incident(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(20, "lab");

	(void)state;
	run(f, 60, always);
	ten_of_twenty(f, 120);
	for (uint32_t no = 0; no < 10; no++)
		tr_agent_at(f, no)->axes.reach = TR_REACH_LIVE;
	f = restart(f, 5000, true);
	ten_of_twenty(f, 900);
	assert_int_equal(heard.events[TR_EV_PARTITION_BACK], 0);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 1);
	assert_int_equal(f->stats.by_reach[TR_REACH_LOST], 0);
}

static uint32_t returned;
static bool has_returned(uint32_t no)
{
	return no < returned;
}

/* A large fleet needs minutes for its TLS handshakes: who is still in the queue is not silent. */
static void a_slow_return_is_awaited(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(1000, "lab");

	(void)state;
	run(f, 60, always);
	f = restart(f, 5000, true);
	returned = 0;
	while (returned < 990) { /* ten are dead */
		returned += 3;
		run(f, 1, has_returned);
	}
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
	run(f, 300, has_returned);
	assert_int_equal(heard.incidents, 0);
	assert_int_equal(silence_alerts(f), 10);
	assert_int_equal(f->stats.by_reach[TR_REACH_LOST], 10);
}

/* ---- others ---- */

static void a_quarantined_agent_is_not_silent(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(2, "lab");

	(void)state;
	run(f, 60, always);
	tr_axis_set(f, &now, 0, TR_AXIS_AUTH, TR_AUTH_FORKED);
	run(f, 600, nobody);
	assert_int_equal(silence_alerts(f), 1);
	assert_int_equal(tr_fleet_verdict(f, &now, 0, NULL), TR_V_FORKED);
}

static void counts_are_exact_whatever_happens(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = many_partitions(4, 30);

	(void)state;
	for (int round = 0; round < 3000; round++) {
		uint32_t no, active[8] = { 0 }, silent[8] = { 0 };

		dice ^= dice << 13;
		dice ^= dice >> 7;
		dice ^= dice << 17;
		no = (uint32_t)(dice >> 20) % f->n;
		switch (dice % 16) {
		case 0: tr_fleet_move(f, no, dice >> 60 & 1 ? TR_VIEW_LIT("p1") : TR_VIEW_LIT("p3")); break;
		case 1: tr_fleet_end(f, &now, no); break;
		case 2: tr_fleet_reset(f, &now, no, (const uint8_t[32]){ 5 }, tr_view(NULL, 0), 2); break;
		case 3: if (tr_agent_at(f, no)->active) announce(f, no, TR_NOTICE_REBOOT, 100); break;
		default: run(f, 1 + (int64_t)(dice >> 33 & 3), ninety_nine_in_a_hundred); break;
		}
		for (no = 0; no < f->n; no++) {
			const struct tr_fleet_agent *a = tr_agent_at(f, no);
			bool in = a->active && (a->axes.reach == TR_REACH_LIVE || a->axes.reach == TR_REACH_LATE ||
						a->axes.reach == TR_REACH_MISSED);

			active[a->partition] += in;
			silent[a->partition] += in && a->axes.reach == TR_REACH_MISSED;
		}
		for (uint16_t p = 0; p < f->n_partitions; p++) {
			assert_int_equal(f->partitions[p].active, active[p]);
			assert_int_equal(f->partitions[p].silent, silent[p]);
		}
	}
}

/* The tick is also the heart of the reminders and of the attacks that end. */
static void the_tick_reminds_and_forgets(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = (escalate_s = 900, live_fleet(1, "lab"));
	const struct tr_alert_row *row;

	(void)state;
	escalate_s = 0;
	beat(f, 0);
	tr_fleet_refused(f, &now, TR_EV_RELAYED, 0, TR_VIEW_LIT("a0"), TR_VIEW_LIT("192.0.2.7"), tr_view(NULL, 0));
	assert_int_equal(tr_alerts_open(f->alerts, 0), 1);
	run(f, 590, always);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 1);
	run(f, 20, always);
	assert_int_equal(tr_alerts_open(f->alerts, 0), 0);
	run(f, 200 + 3 * 900, nobody);
	row = tr_alerts_find(f->alerts, "silence", TR_VIEW_LIT("agent:a0"));
	assert_non_null(row);
	assert_int_equal(row->escalation, 3);
}

/* Past 20 000 agents a tick looks at a part; the bound says so. */
static void a_large_fleet_is_looked_at_in_parts(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = live_fleet(30000, "lab");
	int64_t lost_at = 0;

	(void)state;
	cut_to = 1;
	run(f, 40, always);
	beat(f, 0);
	for (int64_t s = 1; s < 300 && !lost_at; s++) {
		run(f, 1, is_not_cut);
		if (tr_agent_at(f, 0)->axes.reach == TR_REACH_LOST)
			lost_at = s;
	}
	assert_in_range(lost_at, 132, tr_fleet_lost_after_s(f, 0));
	assert_int_equal(f->stats.by_reach[TR_REACH_LIVE], 29999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_agent_climbs_step_by_step),
		cmocka_unit_test(a_verdict_needs_no_tick),
		cmocka_unit_test(k_follows_from_loss_and_fleet),
		cmocka_unit_test(one_lost_beat_in_a_hundred_is_no_alarm),
		cmocka_unit_test(an_outage_is_not_loss),
		cmocka_unit_test(a_long_run_is_not_loss),
		cmocka_unit_test(an_agent_that_never_spoke_gets_ten_minutes),
		cmocka_unit_test(an_announced_silence_is_no_alarm_until_it_is_over),
		cmocka_unit_test(maintenance_delays_the_alert_not_the_truth),
		cmocka_unit_test(a_partition_in_maintenance_is_no_incident),
		cmocka_unit_test(who_makes_an_incident),
		cmocka_unit_test(a_partition_is_one_incident_from_cut_to_recovery),
		cmocka_unit_test(one_wave_after_another_is_one_incident),
		cmocka_unit_test(several_partitions_are_one_group),
		cmocka_unit_test(many_small_partitions_are_one_incident),
		cmocka_unit_test(a_few_of_many_are_single),
		cmocka_unit_test(what_the_server_slept_through_is_excused),
		cmocka_unit_test(all_may_come_back_after_a_stall),
		cmocka_unit_test(a_server_that_keeps_stopping_says_so),
		cmocka_unit_test(a_restart_shows_nobody_better_or_worse),
		cmocka_unit_test(the_alert_from_before_a_restart_ends),
		cmocka_unit_test(an_incident_goes_on_after_a_restart),
		cmocka_unit_test(a_cut_that_the_rows_do_not_know_yet_stays_one_incident),
		cmocka_unit_test(a_slow_return_is_awaited),
		cmocka_unit_test(a_quarantined_agent_is_not_silent),
		cmocka_unit_test(counts_are_exact_whatever_happens),
		cmocka_unit_test(the_tick_reminds_and_forgets),
		cmocka_unit_test(a_large_fleet_is_looked_at_in_parts),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	tr_buf_done(&kept);
	return failed;
}
