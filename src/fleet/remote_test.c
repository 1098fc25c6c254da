/* SPDX-License-Identifier: Apache-2.0 */
/* Two fleets that share a ticket key and hear of each other by rows: an agent that moves between them is one agent, and
 * nobody is accused by a row. */
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

struct node {
	struct tr_fleet *f;
	unsigned events[TR_EV_N], alerts;
};

static struct node nodes[2];
static struct tr_instant now;
static const uint8_t good[32] = { 1 };

struct me {
	uint64_t seq;
	uint8_t prev[32], ticket[TR_TICKET_LEN], start[16], hash[32];
	bool has_ticket;
};
static struct me agent;
static uint32_t digests;
static struct tr_pulse_result last;

static void on_event(void *arg, const struct tr_event *e)
{
	((struct node *)arg)->events[e->kind]++;
}

static void on_alert(void *arg, const struct tr_alert_row *row)
{
	((struct node *)arg)->alerts += row->resolved_at == 0;
}

static int set_up(void **state)
{
	static const uint8_t key[32] = { 9 };

	(void)state;
	now = (struct tr_instant){ .ms = START, .wall_ns = START * 1000000, .clock_trusted = true };
	for (unsigned i = 0; i < 2; i++) {
		const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert, .arg = &nodes[i] };
		const struct tr_fleet_config c = { .ticket_key = { 7 }, .run = 100 + i, .interval_s = BEAT / 1000, .keyset_epoch = 1,
						   .escalate_s = 900 };

		nodes[i] = (struct node){ .f = tr_fleet_new(&c, &sink, &now) };
		(void)tr_fleet_add(nodes[i].f, &now, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("lab"), key, TR_VIEW_ARRAY(good), 1, true,
				   NULL);
		tr_fleet_loaded(nodes[i].f, &now);
		tr_fleet_judges(nodes[i].f, &now, i == 0, 8000);
	}
	agent = (struct me){ .start = { 1 }, .hash = { 1 } };
	digests = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		nodes[i].f = tr_fleet_free(nodes[i].f);
	return 0;
}

static void pass(int64_t ms)
{
	for (; ms > 0; ms -= 1000) {
		now.ms += 1000;
		now.wall_ns += INT64_C(1000000000);
		for (unsigned i = 0; i < 2; i++)
			tr_fleet_tick(nodes[i].f, &now);
	}
}

static void deliver(unsigned to, struct me *m, struct tr_view ticket, struct tr_view old, uint8_t digest[32])
{
	struct tr_pulse p = {
		.agent_id = TR_VIEW_LIT("web-1"), .partition = TR_VIEW_LIT("lab"), .time_ns = now.wall_ns, .sync = TR_SYNC_YES,
		.seq = ++m->seq, .bootcount = 1, .keyset_epoch = 1, .ticket = ticket, .old_ticket = old,
		.version = TR_VIEW_LIT("1.0"), .bpf_status = TR_BPF_OFF, .lsm = TR_LSM_UNAVAILABLE,
	};
	const struct tr_pulse_seen s = { &p, digest, tr_view(NULL, 0), TR_VIEW_LIT("192.0.2.7"), now.wall_ns };

	digests++;
	memset(digest, 0, 32);
	memcpy(digest, &digests, sizeof(digests));
	memcpy(p.prev, m->prev, 32);
	memcpy(p.start_id, m->start, 16);
	memcpy(p.binary_hash, m->hash, 32);
	tr_fleet_pulse(nodes[to].f, &now, 0, &s, &last);
}

/* One try, with the second question when a fresh ticket is asked for. */
static bool beat(unsigned to, struct me *m, bool answer_lost)
{
	struct tr_view held = tr_view(m->ticket, m->has_ticket ? TR_TICKET_LEN : 0);
	uint8_t fresh[TR_TICKET_LEN], digest[32];

	deliver(to, m, held, tr_view(NULL, 0), digest);
	if (last.status == 200 && last.answer.resync) {
		memcpy(fresh, last.answer.ticket.p, TR_TICKET_LEN);
		deliver(to, m, TR_VIEW_ARRAY(fresh), held, digest);
	}
	if (!last.accepted || answer_lost)
		return last.accepted;
	memcpy(m->prev, digest, 32);
	memcpy(m->ticket, last.ticket, TR_TICKET_LEN);
	m->has_ticket = true;
	return true;
}

/* A row on its way. */
struct row {
	struct tr_buf scratch, bytes;
	struct tr_pulse_row r;
};

static void take(unsigned of, struct row *ret)
{
	struct tr_pulse_row r;
	struct tr_err err;

	tr_buf_clear(&ret->bytes);
	tr_fleet_row(nodes[of].f, 0, &ret->scratch, &r);
	tr_record_encode(&tr_pulse_row_def, &r, &ret->bytes);
	assert_int_equal(tr_record_decode(&tr_pulse_row_def, tr_buf_view(&ret->bytes), &ret->r, &err), TR_OK);
}

static void row_done(struct row *r)
{
	tr_buf_done(&r->scratch);
	tr_buf_done(&r->bytes);
}
TR_DEFINE_AUTO_DONE(struct row, row_done)

static void tell(unsigned from, unsigned to)
{
	tr_auto(row_done) struct row r = { .scratch = TR_BUF_INIT };

	take(from, &r);
	tr_fleet_remote(nodes[to].f, &now, 0, &r.r);
}

static const struct tr_fleet_agent *at(unsigned node)
{
	return tr_fleet_agent(nodes[node].f, 0);
}

static void nobody_is_accused(void)
{
	static const enum tr_event_kind kinds[] = { TR_EV_REPLAY, TR_EV_CHAIN_CONFLICT, TR_EV_FORKED, TR_EV_RESTORED,
						    TR_EV_BINARY_CHANGED };

	for (unsigned i = 0; i < 2; i++)
		for (size_t k = 0; k < TR_ARRAY_LEN(kinds); k++)
			assert_int_equal(nodes[i].events[kinds[k]], 0);
}

static void an_agent_moves_without_news(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		pass(BEAT);
		assert_true(beat(i & 1, &agent, i % 7 == 3));
	}
	nobody_is_accused();
}

static void an_agent_moves_with_news(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		pass(BEAT);
		assert_true(beat(i & 1, &agent, i % 5 == 3));
		tell(i & 1, !(i & 1));
		assert_memory_equal(at(0)->head, at(1)->head, 32);
	}
	nobody_is_accused();
}

/* Anything that may happen to messages and rows: each seed another order. */
static void any_order(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 200; seed++) {
		struct row late[2] = { { .scratch = TR_BUF_INIT } };
		uint64_t r = seed * UINT64_C(0x9e3779b97f4a7c15);
		bool has[2] = { false, false };
		unsigned node = 0;

		(void)tear_down(NULL);
		(void)set_up(NULL);
		for (unsigned i = 0; i < 60; i++) {
			r = r * UINT64_C(6364136223846793005) + 1442695040888963407u;
			pass(BEAT);
			node ^= (r >> 60) < 5;
			assert_true(beat(node, &agent, (r >> 40 & 15) < 3));
			for (unsigned n = 0; n < 2; n++) {
				unsigned die = (unsigned)(r >> (n * 8 + 8)) & 7;

				/* Told now, told late, or kept for a while. */
				if (die == 0)
					tell(n, !n);
				if (die == 1 && has[n])
					tr_fleet_remote(nodes[!n].f, &now, 0, &late[n].r);
				if (die == 2) {
					take(n, &late[n]);
					has[n] = true;
				}
			}
		}
		nobody_is_accused();
		row_done(&late[0]);
		row_done(&late[1]);
	}
}

static bool note(void *arg, uint32_t no, const struct tr_pulse_row *row)
{
	(void)no;
	*(uint64_t *)arg = row->seq;
	return true;
}

static void rows_move_forward_and_never_back(void **state)
{
	tr_auto(row_done) struct row old = { .scratch = TR_BUF_INIT };
	uint64_t swept = 0;

	(void)state;
	assert_true(beat(0, &agent, false));
	take(0, &old);
	pass(BEAT);
	assert_true(beat(0, &agent, false));
	tell(0, 1);
	assert_int_equal(at(1)->seq, agent.seq);
	assert_int_equal(at(1)->last_ms, now.ms);
	assert_int_equal(at(1)->axes.reach, TR_REACH_LIVE);
	assert_int_equal(at(1)->axes.auth, TR_AUTH_OK);
	/* What the store has need not be written again. */
	assert_int_equal(tr_fleet_sweep(nodes[1].f, 10, note, &swept), 0);
	/* One that comes late changes nothing, and is made good by our own. */
	tr_fleet_remote(nodes[1].f, &now, 0, &old.r);
	assert_int_equal(at(1)->seq, agent.seq);
	assert_int_equal(tr_fleet_sweep(nodes[1].f, 10, note, &swept), 1);
	assert_int_equal(swept, agent.seq);
	/* Nothing of it was an event here. */
	for (unsigned k = 0; k < TR_EV_N; k++)
		assert_int_equal(nodes[1].events[k], 0);
}

static void who_does_not_judge_concludes_nothing(void **state)
{
	(void)state;
	assert_true(beat(0, &agent, false));
	tell(0, 1);
	pass(20 * BEAT);
	assert_int_equal(at(1)->axes.reach, TR_REACH_LIVE);
	assert_int_equal(nodes[1].alerts, 0);
	assert_int_equal(tr_fleet_verdict(nodes[1].f, &now, 0, NULL), TR_V_OK);
	assert_int_equal(at(0)->axes.reach, TR_REACH_LOST);
	assert_true(nodes[0].alerts > 0);
	/* It is told by the one that does. */
	tell(0, 1);
	assert_int_equal(at(1)->axes.reach, TR_REACH_LOST);
	assert_int_equal(nodes[1].events[TR_EV_VERDICT], 0);
}

/* The other node's agents are heard later: that is no silence. */
static void the_judge_waits_for_news(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		pass(BEAT - 8000);
		assert_true(beat(1, &agent, false));
		pass(8000);
		tell(1, 0);
	}
	assert_int_equal(nodes[0].events[TR_EV_VERDICT], 0);
	assert_int_equal(nodes[0].alerts, 0);
	assert_true(tr_fleet_lost_after_s(nodes[0].f, 0) >= 4 * BEAT / 1000 + 8);
}

static void who_begins_to_judge_gives_time(void **state)
{
	(void)state;
	assert_true(beat(0, &agent, false));
	tell(0, 1);
	pass(20 * BEAT);
	tr_fleet_judges(nodes[0].f, &now, false, 8000);
	tr_fleet_judges(nodes[1].f, &now, true, 8000);
	pass(3 * BEAT);
	assert_int_not_equal(at(1)->axes.reach, TR_REACH_LOST);
	pass(5 * BEAT);
	assert_int_equal(at(1)->axes.reach, TR_REACH_LOST);
	assert_int_equal(nodes[1].events[TR_EV_VERDICT] > 0, 1);
}

/* Two copies, each at home on a node: told by pulses that meet, not by rows. */
static void a_copy_on_the_other_node_is_a_fork(void **state)
{
	struct me copy;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		pass(BEAT);
		assert_true(beat(0, &agent, false));
		tell(0, 1);
	}
	copy = agent;
	for (; n < 8 && !nodes[0].events[TR_EV_FORKED] && !nodes[1].events[TR_EV_FORKED]; n++) {
		pass(BEAT / 2);
		(void)beat(0, &agent, false);
		tell(0, 1);
		pass(BEAT / 2);
		(void)beat(1, &copy, false);
		tell(1, 0);
	}
	assert_in_range(n, 1, 5);
	tell(0, 1);
	tell(1, 0);
	assert_int_equal(at(0)->axes.auth, TR_AUTH_FORKED);
	assert_int_equal(at(1)->axes.auth, TR_AUTH_FORKED);
	/* Both nodes refuse both. */
	for (unsigned i = 0; i < 2; i++) {
		assert_false(beat(i, &agent, false));
		assert_string_equal(last.code, "quarantined");
	}
	assert_int_equal(nodes[0].events[TR_EV_FORKED] + nodes[1].events[TR_EV_FORKED], 1);
}

/* An order given here stands until the agent's node has used it up, whatever was under way. */
static void an_order_is_not_forgotten(void **state)
{
	static const uint8_t next[32] = { 2 };

	(void)state;
	assert_true(beat(1, &agent, false));
	tell(1, 0);
	tr_fleet_expect(nodes[0].f, &now, 0, next, now.ms + 3600000);
	pass(BEAT);
	assert_true(beat(1, &agent, false));
	tell(1, 0);
	assert_true(at(0)->expected != 0);
	tr_fleet_expect(nodes[1].f, &now, 0, next, now.ms + 3600000);
	agent.hash[0] = 2;
	for (unsigned i = 0; i < 3; i++) {
		pass(BEAT);
		assert_true(beat(1, &agent, false));
		tell(1, 0);
	}
	assert_int_equal(at(0)->expected, 0);
	pass(BEAT);
	assert_true(beat(0, &agent, false));
	nobody_is_accused();
}

static void another_enrolment_is_another_story(void **state)
{
	tr_auto(row_done) struct row r = { .scratch = TR_BUF_INIT };
	static const uint8_t key[32] = { 4 };
	uint64_t swept = 0;

	(void)state;
	assert_true(beat(0, &agent, false));
	take(0, &r);
	tr_fleet_reset(nodes[1].f, &now, 0, key, TR_VIEW_ARRAY(good), 2);
	(void)tr_fleet_sweep(nodes[1].f, 10, note, &swept);
	tr_fleet_remote(nodes[1].f, &now, 0, &r.r);
	assert_int_equal(at(1)->seq, 0);
	assert_int_equal(tr_fleet_sweep(nodes[1].f, 10, note, &swept), 1);
	r.r.epoch = 3;
	tr_fleet_remote(nodes[1].f, &now, 0, &r.r);
	assert_int_equal(at(1)->seq, 0);
}

/* Numbers and enums that another version wrote. */
static void damaged_rows_do_no_harm(void **state)
{
	tr_auto(row_done) struct row r = { .scratch = TR_BUF_INIT };

	(void)state;
	assert_true(beat(0, &agent, false));
	take(0, &r);
	r.r.reach = 900;
	tr_fleet_remote(nodes[1].f, &now, 0, &r.r);
	assert_int_equal(at(1)->seq, 0);
	r.r.reach = TR_REACH_LIVE;
	r.r.auth = 900;
	r.r.last_seen = now.ms + 86400000;
	tr_fleet_remote(nodes[1].f, &now, 0, &r.r);
	assert_int_equal(at(1)->last_ms, now.ms);
	tr_fleet_remote(nodes[1].f, &now, 7, &r.r);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(an_agent_moves_without_news),
		CASE(an_agent_moves_with_news),
		CASE(any_order),
		CASE(rows_move_forward_and_never_back),
		CASE(who_does_not_judge_concludes_nothing),
		CASE(the_judge_waits_for_news),
		CASE(who_begins_to_judge_gives_time),
		CASE(a_copy_on_the_other_node_is_a_fork),
		CASE(an_order_is_not_forgotten),
		CASE(another_enrolment_is_another_story),
		CASE(damaged_rows_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
