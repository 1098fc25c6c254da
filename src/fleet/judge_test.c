/* SPDX-License-Identifier: Apache-2.0 */
/* PU-1, PU-3, PU-4, PU-5: what becomes of one pulse, and of two histories of one agent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fleet/fleet.h"

#include <stdio.h>
#include <stdlib.h>

#define START INT64_C(1800000000000)
#define BEAT 30000

/* What the sink heard. */
static struct {
	unsigned events[TR_EV_N];
	unsigned alerts_open[6]; /* by severity */
	char last_alert[40];
} heard;

static void on_event(void *arg, const struct tr_event *e)
{
	(void)arg;
	heard.events[e->kind]++;
}

static void on_alert(void *arg, const struct tr_alert_row *row)
{
	(void)arg;
	if (tr_view_is(row->state, "open"))
		heard.alerts_open[row->severity]++;
	(void)snprintf(heard.last_alert, sizeof(heard.last_alert), "%.*s", TR_VIEW_FMT(row->kind));
}

static struct tr_instant now;
static struct tr_fleet *f;
static uint32_t no;
static const uint8_t good[32] = { 1 };

/* The agent's side: what src/agent/chain.c keeps. */
struct me {
	uint64_t seq;
	uint8_t prev[32], ticket[TR_TICKET_LEN], start[16], boot[16], hash[32];
	bool has_ticket;
	int64_t clock_off_ms;
	uint64_t lsm, notice;
};
static struct me agent;
static uint8_t digests; /* each pulse gets its own */
static struct tr_pulse_result last;
static uint8_t last_digest[32];

static struct tr_fleet *new_fleet(uint64_t run)
{
	const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert };
	const struct tr_fleet_config c = { .ticket_key = { 7 }, .run = run, .interval_s = BEAT / 1000, .keyset_epoch = 1, .escalate_s = 900 };

	return tr_fleet_new(&c, &sink, &now);
}

static int set_up(void **state)
{
	uint8_t key[32] = { 9 };

	(void)state;
	memset(&heard, 0, sizeof(heard));
	now = (struct tr_instant){ .ms = START, .wall_ns = START * 1000000, .clock_trusted = true };
	f = new_fleet(1);
	no = tr_fleet_add(f, &now, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("lab"), key, TR_VIEW_ARRAY(good), 1, true, NULL);
	tr_fleet_loaded(f, &now);
	agent = (struct me){ .start = { 1 }, .boot = { 1 }, .hash = { 1 }, .lsm = TR_LSM_UNAVAILABLE };
	digests = 0;
	return no == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	f = tr_fleet_free(f);
	return 0;
}

static void pass(int64_t ms)
{
	for (int64_t left = ms; left > 0; left -= 1000) {
		int64_t step = left < 1000 ? left : 1000;

		now.ms += step;
		now.wall_ns += step * 1000000;
		tr_fleet_tick(f, &now);
	}
}

static void deliver(const struct me *m, struct tr_view ticket, struct tr_view old, uint64_t seq, const uint8_t digest[32])
{
	struct tr_pulse p = {
		.agent_id = TR_VIEW_LIT("web-1"), .partition = TR_VIEW_LIT("lab"), .time_ns = (now.ms + m->clock_off_ms) * 1000000,
		.sync = TR_SYNC_YES, .seq = seq, .bootcount = 1, .keyset_epoch = 1, .ticket = ticket, .old_ticket = old,
		.version = TR_VIEW_LIT("1.0"), .bpf_status = TR_BPF_OFF, .lsm = m->lsm, .notice = m->notice, .health = { .uptime_s = 5 },
	};
	const struct tr_pulse_seen s = { &p, digest, tr_view(NULL, 0), TR_VIEW_LIT("192.0.2.7"), now.wall_ns };

	memcpy(p.prev, m->prev, 32);
	memcpy(p.start_id, m->start, 16);
	memcpy(p.boot_id, m->boot, 16);
	memcpy(p.binary_hash, m->hash, 32);
	tr_fleet_pulse(f, &now, no, &s, &last);
}

/* One try with what the agent holds, resync included; the answer is taken only when it is not lost. */
static void beat_lossy(struct me *m, bool answer_lost)
{
	struct tr_view held = tr_view(m->ticket, m->has_ticket ? TR_TICKET_LEN : 0);
	uint8_t fresh[TR_TICKET_LEN];

	memset(last_digest, 0, 32);
	last_digest[0] = ++digests;
	deliver(m, held, tr_view(NULL, 0), ++m->seq, last_digest);
	if (last.status == 200 && last.answer.resync) {
		memcpy(fresh, last.answer.ticket.p, TR_TICKET_LEN);
		last_digest[0] = ++digests;
		deliver(m, TR_VIEW_ARRAY(fresh), held, ++m->seq, last_digest);
	}
	if (!last.accepted || answer_lost)
		return;
	memcpy(m->prev, last_digest, 32);
	memcpy(m->ticket, last.ticket, TR_TICKET_LEN);
	m->has_ticket = true;
}

static void beat(struct me *m)
{
	beat_lossy(m, false);
}

static void beats(struct me *m, int n)
{
	while (n--) {
		pass(BEAT);
		beat(m);
		assert_true(last.accepted);
	}
}

static enum tr_verdict verdict(void)
{
	return tr_fleet_verdict(f, &now, no, NULL);
}

static unsigned security_events(void)
{
	return heard.events[TR_EV_CHAIN_CONFLICT] + heard.events[TR_EV_FORKED] + heard.events[TR_EV_RESTORED] +
	       heard.events[TR_EV_REPLAY] + heard.events[TR_EV_BINARY_CHANGED];
}

/* ---- the good ---- */

static void first_pulse_goes_through_a_resync_and_is_ok(void **state)
{
	(void)state;
	assert_int_equal(verdict(), TR_V_PENDING);
	deliver(&agent, tr_view(NULL, 0), tr_view(NULL, 0), ++agent.seq, good);
	assert_int_equal(last.status, 200);
	assert_true(last.answer.resync);
	assert_false(last.accepted);
	/* A resync is nothing by itself. */
	assert_int_equal(verdict(), TR_V_PENDING);
	assert_int_equal(tr_fleet_agent(f, no)->accepted, 0);
	beat(&agent);
	assert_true(last.accepted);
	assert_int_equal(verdict(), TR_V_OK);
	beats(&agent, 5);
	assert_int_equal(verdict(), TR_V_OK);
	assert_int_equal(security_events(), 0);
}

static void a_lost_answer_is_no_fork(void **state)
{
	(void)state;
	beat(&agent);
	for (int i = 0; i < 5; i++) {
		pass(BEAT);
		beat_lossy(&agent, true);
		assert_true(last.accepted);
		pass(3000);
		beat_lossy(&agent, i % 2);
		assert_true(last.accepted);
	}
	pass(3000);
	beat(&agent);
	assert_true(last.accepted);
	assert_int_equal(verdict(), TR_V_OK);
	assert_int_equal(security_events(), 0);
}

/* The server dies with what it had not swept; the agent's ticket proves what was accepted. */
static void memory_behind_after_a_restart_is_adopted(void **state)
{
	struct tr_pulse_row row;
	struct tr_buf scratch = TR_BUF_INIT, bytes = TR_BUF_INIT;
	struct tr_err err;
	uint8_t key[32] = { 9 };

	(void)state;
	beats(&agent, 3);
	tr_fleet_row(f, no, &scratch, &row);
	tr_record_encode(&tr_pulse_row_def, &row, &bytes);
	beats(&agent, 4);
	f = tr_fleet_free(f);
	now.ms += 20000;
	now.wall_ns += INT64_C(20000000000);
	f = new_fleet(2);
	assert_int_equal(tr_record_decode(&tr_pulse_row_def, tr_buf_view(&bytes), &row, &err), TR_OK);
	no = tr_fleet_add(f, &now, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("lab"), key, TR_VIEW_ARRAY(good), 1, true, &row);
	tr_fleet_loaded(f, &now);
	/* Nobody has spoken since: not green. */
	assert_int_equal(verdict(), TR_V_LATE);
	beat(&agent);
	assert_true(last.accepted);
	beats(&agent, 3);
	assert_int_equal(verdict(), TR_V_OK);
	assert_int_equal(security_events(), 0);
	tr_buf_done(&scratch);
	tr_buf_done(&bytes);
}

static void a_long_sleep_is_a_resync(void **state)
{
	(void)state;
	beats(&agent, 3);
	pass(3 * 3600000);
	beat(&agent);
	assert_true(last.accepted);
	assert_int_equal(security_events(), 0);
}

static void restart_and_reboot_go_on(void **state)
{
	(void)state;
	beats(&agent, 3);
	agent.start[0]++;
	agent.seq += 1024;
	beats(&agent, 2);
	agent.start[0]++;
	agent.boot[0]++;
	agent.seq += 1024;
	beats(&agent, 2);
	assert_int_equal(heard.events[TR_EV_RESTARTED], 1);
	assert_int_equal(heard.events[TR_EV_REBOOTED], 1);
	assert_int_equal(verdict(), TR_V_OK);
	assert_int_equal(security_events(), 0);
}

/* Killed after its pulse was accepted and before it had stored the answer. */
static void a_crash_before_the_answer_is_stored_goes_on(void **state)
{
	(void)state;
	beats(&agent, 3);
	pass(BEAT);
	beat_lossy(&agent, true);
	agent.start[0]++;
	agent.seq += 1024;
	beats(&agent, 3);
	assert_int_equal(verdict(), TR_V_OK);
	assert_int_equal(security_events(), 0);
}

/* ---- the bad ---- */

static void a_copy_of_a_pulse_is_a_replay(void **state)
{
	struct me before;
	uint8_t digest[32];
	struct tr_fleet_agent then;

	(void)state;
	beats(&agent, 3);
	before = agent;
	pass(BEAT);
	beat(&agent);
	memcpy(digest, last_digest, 32);
	then = *tr_fleet_agent(f, no);
	/* The very bytes: same number, same ticket, same digest. */
	deliver(&before, TR_VIEW_ARRAY(before.ticket), tr_view(NULL, 0), before.seq + 1, digest);
	assert_int_equal(last.status, 409);
	assert_string_equal(last.code, "replay");
	beats(&agent, 1);
	memcpy(digest, "another", 8);
	/* An older number of the same process. */
	deliver(&before, TR_VIEW_ARRAY(before.ticket), tr_view(NULL, 0), before.seq + 1, digest);
	assert_int_equal(last.status, 409);
	assert_string_equal(last.code, "replay");
	assert_int_equal(heard.events[TR_EV_REPLAY], 2);
	assert_int_equal(then.axes.auth, tr_fleet_agent(f, no)->axes.auth);
	assert_int_equal(verdict(), TR_V_OK);
	beats(&agent, 2);
	assert_int_equal(heard.events[TR_EV_CHAIN_CONFLICT], 0);
}

/* disk: the copy starts as a new process; else a running machine was copied with its memory. */
static void fork_with(bool disk, int apart)
{
	struct me copy;

	beats(&agent, 4);
	copy = agent;
	if (disk) {
		copy.start[0] = 77;
		copy.seq += 1024;
	}
	if (apart)
		beats(&agent, apart);
	for (int i = 0; i < 3 && verdict() != TR_V_FORKED; i++) {
		pass(BEAT / 2);
		beat(&copy);
		if (last.code && strcmp(last.code, "replay") == 0) {
			copy.has_ticket = false; /* asks anew, as the agent does */
			beat(&copy);
		}
		pass(BEAT / 2);
		beat(&agent);
	}
	assert_int_equal(verdict(), TR_V_FORKED);
	assert_int_equal(heard.events[TR_EV_FORKED], 1);
	assert_int_equal(heard.alerts_open[1], 1);
	/* Both are refused: the server picks no winner. */
	pass(BEAT);
	beat(&agent);
	assert_string_equal(last.code, "quarantined");
	beat(&copy);
	assert_string_equal(last.code, "quarantined");
	assert_int_equal(heard.events[TR_EV_RESTORED], 0);
}

static void copies_are_told_within_three_beats(void **state)
{
	(void)state;
	for (int disk = 0; disk < 2; disk++) {
		for (int apart = 0; apart < 6; apart += 1 + apart) {
			(void)tear_down(NULL);
			(void)set_up(NULL);
			fork_with(disk, apart);
		}
	}
}

static void a_snapshot_put_back_is_restored_not_forked(void **state)
{
	struct me old;

	(void)state;
	for (int disk = 0; disk < 2; disk++) {
		(void)tear_down(NULL);
		(void)set_up(NULL);
		beats(&agent, 3);
		old = agent;
		beats(&agent, 5);
		if (disk) {
			old.start[0] = 78;
			old.seq += 1024;
		}
		for (int i = 0; i < 8; i++) {
			pass(BEAT);
			beat(&old);
			if (last.code && strcmp(last.code, "replay") == 0)
				old.has_ticket = false;
		}
		assert_true(last.accepted);
		assert_int_equal(verdict(), TR_V_RESTORED);
		assert_int_equal(heard.events[TR_EV_RESTORED], 1);
		assert_int_equal(heard.events[TR_EV_FORKED], 0);
		/* It stays so until somebody has looked. */
		beats(&old, 3);
		assert_int_equal(verdict(), TR_V_RESTORED);
		tr_fleet_accept(f, &now, no);
		assert_int_equal(verdict(), TR_V_OK);
		/* And when the one before comes back after all, two are alive. */
		for (int i = 0; i < 4; i++) {
			pass(BEAT / 2);
			beat(&agent);
			pass(BEAT / 2);
			beat(&old);
		}
		assert_int_equal(verdict(), TR_V_FORKED);
	}
}

static void a_lost_state_folder_is_restored(void **state)
{
	(void)state;
	beats(&agent, 4);
	agent = (struct me){ .start = { 5 }, .boot = { 1 }, .hash = { 1 }, .lsm = TR_LSM_UNAVAILABLE, .seq = 1024 };
	for (int i = 0; i < 5; i++) {
		pass(BEAT);
		beat(&agent);
	}
	assert_int_equal(verdict(), TR_V_RESTORED);
	assert_int_equal(heard.events[TR_EV_FORKED], 0);
}

/* Key and certificate without the chain's state: the thief cannot go on, and shows himself. */
static void a_thief_without_the_state_forks(void **state)
{
	struct me thief = { .start = { 99 }, .boot = { 99 }, .hash = { 1 }, .lsm = TR_LSM_UNAVAILABLE, .seq = 1000000 };

	(void)state;
	beats(&agent, 4);
	for (int i = 0; i < 3; i++) {
		pass(BEAT / 2);
		beat(&thief);
		assert_false(last.accepted);
		/* A front may have made it up: it is looked at again before others are believed. */
		assert_true(last.changed || heard.events[TR_EV_FORKED]);
		pass(BEAT / 2);
		beat(&agent);
	}
	assert_int_equal(verdict(), TR_V_FORKED);
}

static void one_stray_is_forgotten(void **state)
{
	struct me other;

	(void)state;
	beats(&agent, 4);
	other = agent;
	other.start[0] = 50;
	beats(&agent, 3);
	pass(BEAT / 2);
	beat(&other);
	assert_string_equal(last.code, "chain_conflict");
	assert_int_equal(verdict(), TR_V_CONFLICT);
	beats(&agent, 12);
	assert_int_equal(verdict(), TR_V_OK);
	assert_int_equal(heard.events[TR_EV_FORKED], 0);
}

static void reset_ends_a_quarantine(void **state)
{
	uint8_t key[32] = { 10 };
	struct me before;

	(void)state;
	fork_with(true, 2);
	before = agent;
	pass(20 * BEAT); /* long silent: still forked, not lost */
	assert_int_equal(verdict(), TR_V_FORKED);
	memset(&heard, 0, sizeof(heard));
	tr_fleet_reset(f, &now, no, key, TR_VIEW_ARRAY(good), 2);
	assert_int_equal(verdict(), TR_V_PENDING);
	assert_int_equal(heard.events[TR_EV_VERDICT], 1);
	agent = (struct me){ .start = { 60 }, .boot = { 60 }, .hash = { 1 }, .lsm = TR_LSM_UNAVAILABLE };
	beats(&agent, 3);
	assert_int_equal(verdict(), TR_V_OK);
	assert_int_equal(heard.events[TR_EV_RESTARTED] + heard.events[TR_EV_REBOOTED], 0);
	/* Tickets of the generation before prove nothing. */
	beat(&before);
	assert_string_equal(last.code, "chain_conflict");
}

/* The machine that ran another program before its identity was reset runs it still. */
static void a_reset_is_no_excuse_for_the_same_other_program(void **state)
{
	uint8_t key[32] = { 10 };

	(void)state;
	beats(&agent, 2);
	agent.hash[0] = 2;
	beats(&agent, 1);
	assert_int_equal(heard.alerts_open[1], 1);
	tr_fleet_reset(f, &now, no, key, TR_VIEW_ARRAY(good), 2);
	assert_int_equal(tr_alerts_open(tr_fleet_alerts(f), 1), 0);
	agent = (struct me){ .start = { 60 }, .boot = { 60 }, .hash = { 2 }, .lsm = TR_LSM_UNAVAILABLE };
	beats(&agent, 1);
	assert_int_equal(verdict(), TR_V_UNKNOWN_BINARY);
	assert_int_equal(heard.events[TR_EV_BINARY_CHANGED], 2);
	assert_int_equal(tr_alerts_open(tr_fleet_alerts(f), 1), 1);
}

static void old_key(const char *source)
{
	tr_fleet_old_key(f, &now, no, tr_view_str(source), tr_view(NULL, 0));
}

/* A thief with a copy changed the key; the agent itself is shut out, and says so by asking again. */
static void who_speaks_under_a_given_up_key_is_told(void **state)
{
	static const uint8_t key[32] = { 10 };

	(void)state;
	beats(&agent, 2);
	tr_fleet_rekey(f, no, key);
	/* Once may be an agent whose change came to nothing. */
	old_key("192.0.2.7");
	assert_int_equal(heard.events[TR_EV_OLD_KEY], 1);
	assert_int_equal(tr_alerts_open(tr_fleet_alerts(f), 0), 0);
	pass(2 * 3600000);
	old_key("192.0.2.7");
	assert_null(tr_alerts_find(tr_fleet_alerts(f), "old_key", TR_VIEW_LIT("agent:web-1")));
	pass(180000);
	old_key("192.0.2.7");
	assert_non_null(tr_alerts_find(tr_fleet_alerts(f), "old_key", TR_VIEW_LIT("agent:web-1")));
	assert_int_equal(tr_alerts_find(tr_fleet_alerts(f), "old_key", TR_VIEW_LIT("agent:web-1"))->severity, 1);
	/* A reset ends it; the copy that still speaks then is less of a surprise. */
	tr_fleet_reset(f, &now, no, key, TR_VIEW_ARRAY(good), 2);
	assert_null(tr_alerts_find(tr_fleet_alerts(f), "old_key", TR_VIEW_LIT("agent:web-1")));
	old_key("192.0.2.7");
	old_key("192.0.2.7");
	assert_int_equal(tr_alerts_find(tr_fleet_alerts(f), "old_key", TR_VIEW_LIT("agent:web-1"))->severity, 2);
}

/* ---- what it says ---- */

static void another_program_without_an_order_is_severity_one(void **state)
{
	(void)state;
	beats(&agent, 3);
	agent.hash[0] = 2;
	beats(&agent, 1);
	assert_int_equal(verdict(), TR_V_UNKNOWN_BINARY);
	assert_int_equal(heard.events[TR_EV_BINARY_CHANGED], 1);
	assert_int_equal(heard.alerts_open[1], 1);
	beats(&agent, 3);
	assert_int_equal(heard.events[TR_EV_BINARY_CHANGED], 1);
	/* Its performance data is nobody's performance meanwhile (PU-7). */
	tr_fleet_accept(f, &now, no);
	assert_int_equal(verdict(), TR_V_OK);
	beats(&agent, 1);
	assert_int_equal(verdict(), TR_V_OK);
}

static void an_order_lets_the_image_change_once(void **state)
{
	const uint8_t next[32] = { 2 };

	(void)state;
	beats(&agent, 3);
	tr_fleet_expect(f, &now, no, next, now.ms + 3600000);
	beats(&agent, 1);
	assert_int_equal(verdict(), TR_V_OK);
	agent.hash[0] = 2;
	agent.start[0]++;
	agent.seq += 1024;
	beats(&agent, 1);
	assert_int_equal(verdict(), TR_V_EXPECTED_UPDATE);
	beats(&agent, 1);
	assert_int_equal(verdict(), TR_V_OK);
	assert_int_equal(heard.events[TR_EV_BINARY_CHANGED], 0);
	/* The one before is not good any more. */
	agent.hash[0] = 1;
	beats(&agent, 1);
	assert_int_equal(verdict(), TR_V_UNKNOWN_BINARY);
}

static void an_expired_order_covers_nothing(void **state)
{
	const uint8_t next[32] = { 2 };

	(void)state;
	beats(&agent, 3);
	tr_fleet_expect(f, &now, no, next, now.ms + 60000);
	beats(&agent, 5);
	agent.hash[0] = 2;
	beats(&agent, 1);
	assert_int_equal(verdict(), TR_V_UNKNOWN_BINARY);
}

static void clocks(void **state)
{
	static const struct {
		const char *label;
		int64_t off[6]; /* per beat, ms */
		bool trusted;
		enum tr_clock_state want;
	} rows[] = {
		{ "right", { 0, 100, -100, 0, 0, 0 }, true, TR_CLOCK_OK },
		{ "five seconds are weather", { 4900, 4900, 4900, 4900, 4900, 4900 }, true, TR_CLOCK_OK },
		{ "six seconds, twice", { 6000, 6000, 0, 6000, 6000, 0 }, true, TR_CLOCK_OK },
		{ "six seconds, three times", { 0, 0, 0, 6000, 6000, 6000 }, true, TR_CLOCK_DESYNC },
		{ "behind", { 0, 0, 0, -6000, -6000, -6000 }, true, TR_CLOCK_DESYNC },
		{ "an hour, once", { 0, 0, 0, 0, 0, 3600000 }, true, TR_CLOCK_DESYNC },
		{ "an hour and back", { 0, 0, 3600000, 3600000, 0, 0 }, true, TR_CLOCK_OK },
		{ "to and fro", { 3600000, -3600000, 3600000, -3600000, 3600000, -3600000 }, true, TR_CLOCK_UNSTABLE },
		{ "the server's own clock is not synchronised", { 0, 0, 0, 3600000, 3600000, 3600000 }, false, TR_CLOCK_UNKNOWN },
		{ "the year 2100", { 0, 0, 0, 0, 0, INT64_C(2300000000000) }, true, TR_CLOCK_DESYNC },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)tear_down(NULL);
		(void)set_up(NULL);
		now.clock_trusted = rows[i].trusted;
		for (size_t k = 0; k < 6; k++) {
			agent.clock_off_ms = rows[i].off[k];
			beats(&agent, 1);
		}
		if (tr_fleet_agent(f, no)->axes.clock != rows[i].want)
			fail_msg("%s: %s", rows[i].label, tr_clock_name(tr_fleet_agent(f, no)->axes.clock));
		/* Whatever the clock: alive, genuine, and nobody is woken. */
		assert_int_equal(tr_fleet_agent(f, no)->axes.reach, TR_REACH_LIVE);
		assert_int_equal(tr_fleet_agent(f, no)->axes.auth, TR_AUTH_OK);
		assert_int_equal(heard.alerts_open[1] + heard.alerts_open[2], 0);
	}
}

static void lsm_that_was_active_and_is_not(void **state)
{
	(void)state;
	beats(&agent, 2);
	assert_int_equal(verdict(), TR_V_OK);
	agent.lsm = TR_LSM_ACTIVE;
	beats(&agent, 2);
	agent.lsm = TR_LSM_UNAVAILABLE;
	beats(&agent, 1);
	assert_int_equal(verdict(), TR_V_LSM_DOWN);
	assert_int_equal(heard.alerts_open[2], 1);
	agent.lsm = TR_LSM_ACTIVE;
	beats(&agent, 1);
	assert_int_equal(verdict(), TR_V_OK);
}

static void wrong_partition_and_ended_agents(void **state)
{
	uint8_t key[32] = { 3 };
	uint32_t other;

	(void)state;
	other = tr_fleet_add(f, &now, TR_VIEW_LIT("db-1"), TR_VIEW_LIT("prod"), key, TR_VIEW_ARRAY(good), 1, true, NULL);
	no = other;
	deliver(&agent, tr_view(NULL, 0), tr_view(NULL, 0), 1, good);
	assert_string_equal(last.code, "wrong_partition");
	no = 0;
	beats(&agent, 1);
	tr_fleet_end(f, &now, no);
	beat(&agent);
	assert_string_equal(last.code, "agent_revoked");
	assert_int_equal(verdict(), TR_V_REVOKED);
}

/* Anybody can send garbage that names somebody. */
static void refused_messages_change_nothing_and_stay_bounded(void **state)
{
	struct tr_fleet_agent before;
	unsigned recorded;

	(void)state;
	beats(&agent, 2);
	before = *tr_fleet_agent(f, no);
	for (int i = 0; i < 1000000; i++) {
		char source[24];

		(void)snprintf(source, sizeof(source), "198.51.%d.%d", i / 256 % 32, i % 256);
		tr_fleet_refused(f, &now, TR_EV_BAD_SIGNATURE, no, TR_VIEW_LIT("web-1"), tr_view_str(source), TR_VIEW_LIT("x"));
	}
	recorded = heard.events[TR_EV_BAD_SIGNATURE];
	assert_memory_equal(&before, tr_fleet_agent(f, no), sizeof(before));
	assert_int_equal(verdict(), TR_V_OK);
	assert_true(recorded > 0);
	/* Severity 3 at most: whoever is named is not to blame. */
	assert_int_equal(heard.alerts_open[1] + heard.alerts_open[2], 0);
	assert_true(tr_alerts_open(tr_fleet_alerts(f), 0) <= 1024);
}

static void a_relayed_pulse_is_told_at_once(void **state)
{
	(void)state;
	beats(&agent, 2);
	tr_fleet_refused(f, &now, TR_EV_RELAYED, no, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("203.0.113.5"), tr_view(NULL, 0));
	assert_int_equal(heard.events[TR_EV_RELAYED], 1);
	assert_string_equal(heard.last_alert, "attack_traffic");
	assert_int_equal(verdict(), TR_V_OK);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(first_pulse_goes_through_a_resync_and_is_ok),
		T(a_lost_answer_is_no_fork),
		T(memory_behind_after_a_restart_is_adopted),
		T(a_long_sleep_is_a_resync),
		T(restart_and_reboot_go_on),
		T(a_crash_before_the_answer_is_stored_goes_on),
		T(a_copy_of_a_pulse_is_a_replay),
		T(copies_are_told_within_three_beats),
		T(a_snapshot_put_back_is_restored_not_forked),
		T(a_lost_state_folder_is_restored),
		T(a_thief_without_the_state_forks),
		T(one_stray_is_forgotten),
		T(reset_ends_a_quarantine),
		T(a_reset_is_no_excuse_for_the_same_other_program),
		T(who_speaks_under_a_given_up_key_is_told),
		T(another_program_without_an_order_is_severity_one),
		T(an_order_lets_the_image_change_once),
		T(an_expired_order_covers_nothing),
		T(clocks),
		T(lsm_that_was_active_and_is_not),
		T(wrong_partition_and_ended_agents),
		T(refused_messages_change_nothing_and_stay_bounded),
		T(a_relayed_pulse_is_told_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
