/* SPDX-License-Identifier: Apache-2.0 */
/* Core's side of pulses with everybody else played by the test: a front that sends frames, a store, an appraise and a
 * supervisor at the other ends of socket pairs. */
#include "server/core.h"
#include "server/hub.h"
#include "server/orders.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/cbor.h"
#include "ipc/fdpass.h"
#include "ipc/spawn.h"
#include "server/role.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Of an other end: what core sent, frame by frame. */
struct end {
	int fd;
	struct tr_buf in;
};

static struct {
	struct tr_core c;
	struct tr_config cfg;
	struct tr_config_alerts alerts;
	struct tr_config_clock clock;
	struct tr_steady steady;
	struct end front, store, appraise, egress;
	int control;
} w;

static const struct tr_frame_rule no_rules[TR_FRAME_TYPE_MAX];
static char trusted[] = "trusted";

static void on_end(void *arg, struct tr_chan *ch, const char *why)
{
	(void)arg;
	(void)ch;
	(void)why;
}

static struct tr_chan *link_to(struct end *e)
{
	struct tr_chan *ch = NULL;
	struct tr_err err = { 0 };
	int pair[2];

	if (tr_socketpair(pair, &err) || tr_chan_new(w.c.loop, pair[0], no_rules, on_end, NULL, &ch, &err))
		fail_msg("%s", err.detail);
	e->fd = pair[1];
	e->in = TR_BUF_INIT;
	return ch;
}

static const uint8_t key_a[32] = { 1 }, key_b[32] = { 2 }, hash_a[32] = { 3 }, hash_b[32] = { 4 };

static struct tr_agent_row agent_row(const char *id)
{
	return (struct tr_agent_row){ .id = tr_view_str(id), .partition = TR_VIEW_LIT("lab"), .state = TR_VIEW_LIT("active"),
				      .key_id = TR_VIEW_ARRAY(key_a), .spki = TR_VIEW_LIT("spki"),
				      .binary_hash = TR_VIEW_ARRAY(hash_a), .epoch = 1 };
}

static int set_up(void **state)
{
	static const uint8_t seed[16];
	struct tr_err err = { 0 };
	struct tr_agent_row row = agent_row("web-1");
	int pair[2];

	(void)state;
	memset(&w, 0, sizeof(w));
	w.clock.source = trusted;
	w.cfg.clock = &w.clock;
	w.cfg.alerts = &w.alerts;
	w.cfg.heartbeat_seconds = 30;
	w.cfg.command_wait_agents = 10;
	w.c.cfg = &w.cfg;
	w.c.steady = &w.steady;
	w.c.store_ok = w.c.loaded = w.c.clock_trusted = true;
	tr_steady_start(&w.steady, tr_now_ms(), tr_mono_ms());
	w.c.calls = tr_calls_new();
	if (tr_loop_new(&w.c.loop, &err) || tr_socketpair(pair, &err))
		fail_msg("%s", err.detail);
	w.c.control = pair[0];
	w.control = pair[1];
	w.c.fronts[3].chan = link_to(&w.front);
	w.c.fronts[3].tag = TR_TAG_FRONT | 5;
	w.c.store = link_to(&w.store);
	w.c.appraise = link_to(&w.appraise);
	w.c.egress = link_to(&w.egress);
	assert_true(tr_table_init(&w.c.agents, &tr_agent_def, offsetof(struct tr_agent_row, key_id), seed));
	assert_true(tr_table_init(&w.c.settings, &tr_setting_def, 0, seed));
	assert_true(tr_table_init(&w.c.maintenance, &tr_maintenance_def, 0, seed));
	assert_true(tr_table_init(&w.c.bpf_refs, &tr_bpf_ref_def, 0, seed));
	assert_true(tr_table_init(&w.c.releases, &tr_release_def, 0, seed));
	w.c.orders = tr_orders_new();
	w.c.hub = tr_hub_new();
	assert_non_null(w.c.hub);
	assert_non_null(w.c.orders);
	assert_int_equal(tr_core_make_fleet(&w.c, &err), TR_OK);
	tr_table_put(&w.c.agents, &row)->no = TR_NO_AGENT;
	assert_true(tr_core_fleet_loaded(&w.c));
	return 0;
}

static void end_done(struct end *e)
{
	close(e->fd);
	tr_buf_done(&e->in);
}

static int tear_down(void **state)
{
	(void)state;
	/* Whoever still waits for an answer hears that there will be none. */
	tr_calls_fail(w.c.calls, w.c.appraise);
	tr_calls_fail(w.c.calls, w.c.store);
	w.c.fleet = tr_fleet_free(w.c.fleet);
	if (w.c.fronts[3].chan)
		(void)tr_chan_free(w.c.fronts[3].chan);
	(void)tr_chan_free(w.c.store);
	(void)tr_chan_free(w.c.appraise);
	(void)tr_chan_free(w.c.egress);
	end_done(&w.front);
	end_done(&w.store);
	end_done(&w.appraise);
	end_done(&w.egress);
	close(w.control);
	close(w.c.control);
	tr_table_done(&w.c.agents);
	tr_table_done(&w.c.settings);
	tr_table_done(&w.c.maintenance);
	tr_table_done(&w.c.bpf_refs);
	w.c.orders = tr_orders_free(w.c.orders);
	w.c.hub = tr_hub_free(w.c.hub);
	tr_table_done(&w.c.releases);
	w.c.effects = tr_effects_free(w.c.effects);
	free(w.c.writes);
	(void)tr_calls_free(w.c.calls);
	w.c.loop = tr_loop_free(w.c.loop);
	return 0;
}

/* The next frame that core sent there; type 0: none. */
static struct tr_frame next_frame(struct tr_chan *ch, struct end *e, struct tr_buf *payload)
{
	struct tr_frame f = { 0 };
	uint32_t n;

	do {
		struct pollfd p = { .fd = e->fd, .events = POLLIN };
		uint8_t *at;
		ssize_t got = 0;

		if (ch)
			tr_chan_flush(ch, 1);
		while (poll(&p, 1, 0) > 0 && (at = tr_buf_space(&e->in, 4096))) {
			got = read(e->fd, at, 4096);
			e->in.n -= 4096 - (size_t)(got > 0 ? got : 0);
			if (got <= 0)
				break;
		}
	} while (ch && tr_chan_queued(ch));
	if (e->in.n < TR_FRAME_HEAD)
		return f;
	memcpy(&n, e->in.p, 4);
	memcpy(&f.type, e->in.p + 4, 2);
	memcpy(&f.id, e->in.p + 8, 8);
	tr_buf_clear(payload);
	tr_buf_add(payload, e->in.p + TR_FRAME_HEAD, n);
	memmove(e->in.p, e->in.p + TR_FRAME_HEAD + n, e->in.n - TR_FRAME_HEAD - n);
	e->in.n -= TR_FRAME_HEAD + n;
	f.payload = tr_buf_view(payload);
	return f;
}

struct said {
	int status;
	char body[600];
	struct tr_pulse_answer answer;
	uint8_t ticket[TR_TICKET_LEN];
};

static struct said heard(void)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	struct tr_frame f = next_frame(w.c.fronts[3].chan, &w.front, &payload);
	struct tr_msg_answer m;
	struct tr_err err = { 0 };
	struct said s = { 0 };

	assert_int_equal(f.type, TR_M_ANSWER);
	assert_int_equal(tr_record_decode(&tr_msg_answer_def, f.payload, &m, &err), TR_OK);
	s.status = (int)m.status;
	(void)snprintf(s.body, sizeof(s.body), "%.*s", TR_VIEW_FMT(m.body));
	if (s.status == 200) {
		assert_int_equal(tr_pulse_answer_get(m.body, &s.answer, &err), TR_OK);
		memcpy(s.ticket, s.answer.ticket.p, sizeof(s.ticket));
	}
	return s;
}

static struct tr_req request_of(const struct tr_msg_pulse *m)
{
	return (struct tr_req){ .core = &w.c, .front = 3, .front_gen = w.c.fronts[3].gen, .id = 77,
				.q = { .route = TR_RT_PULSE, .source = m->source, .agent_id = m->agent_id,
				       .key_id = m->key_id, .cert_not_before = m->cert_not_before,
				       .cert_not_after = m->cert_not_after } };
}

/* What a front sends of a verified pulse, and core's answer. digest: what the next one names as prev. */
struct sent {
	uint64_t seq;
	const uint8_t *key, *hash;
	uint8_t prev[32], ticket[TR_TICKET_LEN];
	bool ticketed, first;
	int64_t front_off_ns; /* a front that lies about the time */
	int64_t cert_age_ms;  /* of its hour; 0: new */
};

static struct said send_pulse(const struct sent *s)
{
	tr_auto(tr_buf_done) struct tr_buf frame = TR_BUF_INIT;
	struct tr_pulse p = { .agent_id = TR_VIEW_LIT("web-1"), .partition = TR_VIEW_LIT("lab"), .time_ns = tr_now_ns(),
			      .seq = s->seq, .version = TR_VIEW_LIT("1.2.3"), .bpf_status = TR_BPF_OFF, .start_id = { 9 } };
	uint8_t digest[32] = { (uint8_t)s->seq, 1 };
	struct tr_msg_pulse m = { .source = TR_VIEW_LIT("192.0.2.1"), .agent_id = p.agent_id,
				  .key_id = tr_view(s->key ? s->key : key_a, 32),
				  .cert_not_before = tr_now_ms() - 1000 - s->cert_age_ms,
				  .cert_not_after = tr_now_ms() + 3600000 - s->cert_age_ms,
				  .received_ns = tr_now_ns() + s->front_off_ns,
				  .digest = TR_VIEW_ARRAY(digest), .raw = TR_VIEW_LIT("signed bytes"), .first = s->first };
	struct tr_req r;

	memcpy(p.binary_hash, s->hash ? s->hash : hash_a, 32);
	memcpy(p.prev, s->prev, 32);
	if (s->ticketed)
		p.ticket = TR_VIEW_ARRAY(s->ticket);
	tr_pulse_encode(&p, &frame);
	m.pulse = tr_buf_view(&frame);
	r = request_of(&m);
	tr_core_pulse(&w.c, &r, &m);
	return heard();
}

/* An agent's pulse with its resend; the state to send the next one from. */
static struct said pulse(struct sent *s)
{
	struct said a;

	s->seq++;
	a = send_pulse(s);
	s->first = false;
	if (a.status == 200 && a.answer.resync) {
		memcpy(s->ticket, a.ticket, sizeof(s->ticket));
		s->ticketed = true;
		s->seq++;
		a = send_pulse(s);
	}
	if (a.status == 200 && !a.answer.resync) {
		memcpy(s->ticket, a.ticket, sizeof(s->ticket));
		s->ticketed = true;
		memset(s->prev, 0, sizeof(s->prev));
		s->prev[0] = (uint8_t)s->seq;
		s->prev[1] = 1;
	}
	return a;
}

/* The questions to appraise that are open, answered. */
static unsigned answer_rechecks(enum tr_code code)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	const struct tr_msg_done done = { .code = code, .why = TR_VIEW_LIT("because") };
	struct tr_frame f;
	unsigned n = 0;

	while ((f = next_frame(w.c.appraise, &w.appraise, &payload)).type) {
		struct tr_msg_recheck q;
		struct tr_err err = { 0 };

		assert_int_equal(f.type, TR_M_RECHECK);
		assert_int_equal(tr_record_decode(&tr_msg_recheck_def, f.payload, &q, &err), TR_OK);
		assert_true(tr_view_is(q.spki, "spki") && tr_view_is(q.raw, "signed bytes") && q.pulse.n && q.digest.n == 32);
		assert_true(tr_calls_end(w.c.calls, w.c.appraise, f.id, &done));
		n++;
	}
	return n;
}

/* Rows of this table in the transactions that core has sent; each is answered with code. */
static unsigned store_answers(enum tr_code code, enum tr_table t, struct tr_buf *last)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	struct tr_frame f;
	unsigned n = 0;

	while ((f = next_frame(w.c.store, &w.store, &payload)).type) {
		const struct tr_msg_done done = { .code = code, .why = TR_VIEW_LIT("the disk is full") };
		struct tr_msg_tx tx;
		struct tr_view list, one;
		struct tr_err err = { 0 };

		assert_int_equal(f.type, TR_M_TX);
		assert_int_equal(tr_record_decode(&tr_msg_tx_def, f.payload, &tx, &err), TR_OK);
		list = tx.ops;
		while (tr_records_next(&list, &one)) {
			struct tr_msg_op op;

			assert_int_equal(tr_record_decode(&tr_msg_op_def, one, &op, &err), TR_OK);
			if (op.table != t)
				continue;
			n++;
			if (last) {
				tr_buf_clear(last);
				tr_buf_addv(last, op.row);
			}
		}
		assert_true(tr_calls_end(w.c.calls, w.c.store, f.id, &done));
	}
	return n;
}

/* ---- tests ---- */

static void a_pulse_is_answered_and_counted(void **state)
{
	struct sent s = { .first = true };
	struct said a = pulse(&s);

	(void)state;
	assert_int_equal(a.status, 200);
	assert_false(a.answer.resync);
	assert_int_equal(a.answer.interval_s, 30);
	assert_int_equal(w.c.metrics.pulses, 1);
	assert_int_equal(pulse(&s).status, 200);
	assert_int_equal(w.c.metrics.pulses, 2);
	assert_int_equal(tr_fleet_agent(w.c.fleet, 0)->axes.reach, TR_REACH_LIVE);
}

static void who_may_not_speak_is_told_why(void **state)
{
	struct tr_agent_row row = agent_row("web-1");
	struct sent s = { .key = key_b };

	(void)state;
	assert_non_null(strstr(pulse(&s).body, "\"key_mismatch\""));
	row.state = TR_VIEW_LIT("revoked");
	assert_non_null(tr_table_put(&w.c.agents, &row));
	assert_non_null(strstr(pulse(&s).body, "\"agent_revoked\""));
	tr_table_del(&w.c.agents, row.id);
	assert_non_null(strstr(pulse(&s).body, "\"agent_unknown\""));
	assert_int_equal(w.c.metrics.pulses, 0);
	assert_string_equal(w.c.metrics.pulses_refused[0].slug, "key_mismatch");
	assert_string_equal(w.c.metrics.pulses_refused[1].slug, "agent_revoked");
	assert_string_equal(w.c.metrics.pulses_refused[2].slug, "agent_unknown");
}

static void the_first_and_every_change_are_rechecked_and_some_of_the_rest(void **state)
{
	struct sent s = { .first = true };
	unsigned n;

	(void)state;
	assert_int_equal(pulse(&s).status, 200);
	assert_int_equal(answer_rechecks(TR_OK), 2); /* the first, and the one that made it live */
	s.hash = hash_b;
	assert_int_equal(pulse(&s).status, 200);
	assert_true(answer_rechecks(TR_OK) >= 1);
	n = (unsigned)w.c.metrics.rechecks_ok;
	for (unsigned i = 0; i < 2000; i++)
		assert_int_equal(pulse(&s).status, 200);
	n = answer_rechecks(TR_OK);
	assert_in_range(n, 8, 80); /* 31 are expected; less or more happens once in a million runs */
	assert_int_equal(w.c.rechecks, 0);
	assert_non_null(w.c.fronts[3].chan);
}

static void a_front_that_lied_is_ended(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf last = TR_BUF_INIT;
	struct sent s = { .first = true };
	const struct tr_alert_row *alert;
	struct tr_event_row ev;
	struct tr_err err = { 0 };
	uint8_t tag = 0;
	int fd = -1;

	(void)state;
	assert_int_equal(pulse(&s).status, 200);
	assert_int_equal(answer_rechecks(TR_E_DENIED), 2);
	/* Once is enough for the supervisor; the second lie comes of the same, already ended, front. */
	assert_int_equal(tr_fd_recv(w.control, &tag, &fd, &err), TR_OK);
	assert_int_equal(tag, TR_TAG_FRONT | 5);
	assert_int_not_equal(tr_fd_recv(w.control, &tag, &fd, &err), TR_OK);
	assert_null(w.c.fronts[3].chan);
	assert_int_equal(w.c.metrics.fronts_lied, 2);
	alert = tr_alerts_find(tr_fleet_alerts(w.c.fleet), "front_lied", TR_VIEW_LIT("server"));
	assert_non_null(alert);
	assert_int_equal(alert->severity, 1);
	assert_true(alert->action.n > 0);
	tr_effects_flush(w.c.effects);
	assert_true(store_answers(TR_OK, TR_T_EVENT, &last) >= 1);
	assert_int_equal(tr_record_decode(&tr_event_def, tr_buf_view(&last), &ev, &err), TR_OK);
	assert_true(tr_view_is(ev.kind, "front_lied") && tr_view_is(ev.evidence, "signed bytes"));
	assert_non_null(memmem(ev.detail.p, ev.detail.n, "\"taken_as_true\":true", 20));
}

static void a_recheck_without_result_proves_nothing(void **state)
{
	struct sent s = { .first = true };

	(void)state;
	assert_int_equal(pulse(&s).status, 200);
	assert_int_equal(answer_rechecks(TR_E_INTERNAL), 2);
	w.c.appraise = tr_chan_free(w.c.appraise);
	s.first = true;
	assert_int_equal(pulse(&s).status, 200);
	assert_true(w.c.metrics.rechecks_lost >= 3);
	assert_int_equal(w.c.rechecks, 0);
	assert_non_null(w.c.fronts[3].chan);
}

static void garbage_costs_bounded_memory_and_changes_nobody(void **state)
{
	static const uint8_t raw[TR_MSG_PULSE_REFUSED_RAW];
	struct tr_msg_pulse m = { .outcome = TR_EV_BAD_SIGNATURE + 1, .source = TR_VIEW_LIT("192.0.2.9"),
				  .agent_id = TR_VIEW_LIT("web-1"), .key_id = TR_VIEW_ARRAY(key_a), .raw = TR_VIEW_ARRAY(raw) };
	struct tr_req r = request_of(&m);

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		tr_core_pulse(&w.c, &r, &m);
		if (i % 100 == 99)
			for (unsigned k = 0; k < 100; k++)
				assert_non_null(strstr(heard().body, "\"bad_signature\""));
	}
	assert_int_equal(w.c.metrics.pulses_refused[0].n, 100000);
	assert_true(tr_effects_waiting(w.c.effects) < 100);
	assert_int_equal(tr_fleet_agent(w.c.fleet, 0)->axes.reach, TR_REACH_NEVER);
	assert_non_null(tr_alerts_find(tr_fleet_alerts(w.c.fleet), "attack_traffic", TR_VIEW_LIT("source:192.0.2.9")));
}

/* The rest of enum tr_event_kind is what core concludes: a front that names one of them is making it up. */
static void a_front_names_only_what_it_can_see(void **state)
{
	struct tr_msg_pulse m = { .source = TR_VIEW_LIT("192.0.2.9"), .agent_id = TR_VIEW_LIT("nobody-1"),
				  .key_id = TR_VIEW_ARRAY(key_a), .raw = TR_VIEW_LIT("x") };

	(void)state;
	for (m.outcome = 1; m.outcome <= TR_EV_N + 1; m.outcome++) {
		enum tr_event_kind kind = (enum tr_event_kind)(m.outcome - 1);
		bool seen = kind == TR_EV_BAD_SIGNATURE || kind == TR_EV_WRONG_AGENT || kind == TR_EV_RELAYED ||
			    kind == TR_EV_MALFORMED;
		struct tr_req r = request_of(&m);
		struct tr_fleet_stats s;
		uint64_t malformed, told;

		tr_fleet_stats(w.c.fleet, &s);
		malformed = s.refused[TR_EV_MALFORMED];
		told = seen ? s.refused[kind] : malformed;
		tr_core_pulse(&w.c, &r, &m);
		assert_non_null(strstr(heard().body, seen ? tr_event_name(kind) : "malformed_pulse"));
		tr_fleet_stats(w.c.fleet, &s);
		assert_int_equal(seen ? s.refused[kind] : s.refused[TR_EV_MALFORMED], told + 1);
	}
}

/* Agents' clocks are judged by when front had read a pulse. */
static void a_front_cannot_make_clocks_wrong(void **state)
{
	static const int64_t off_s[] = { -86400, -3600, -4, 0, 4, 3600, 86400 };
	struct sent s = { .first = true };

	(void)state;
	assert_int_equal(pulse(&s).status, 200);
	for (size_t i = 0; i < TR_ARRAY_LEN(off_s); i++) {
		s.front_off_ns = off_s[i] * 1000000000;
		assert_int_equal(pulse(&s).status, 200);
		assert_in_range(tr_fleet_agent(w.c.fleet, 0)->skew_ms + 5000, 2000, 9000);
	}
	assert_int_equal(tr_fleet_agent(w.c.fleet, 0)->axes.clock, TR_CLOCK_OK);
}

/* A front that calls everything a connection's first leaves room for what we choose to look at. */
static void a_front_cannot_use_up_the_second_looks(void **state)
{
	struct sent s = { .first = true };
	uint64_t skipped;
	unsigned before;

	(void)state;
	assert_int_equal(pulse(&s).status, 200);
	(void)answer_rechecks(TR_OK);
	w.c.rechecks += 1024; /* half of what may be under way */
	before = w.c.rechecks;
	skipped = w.c.metrics.rechecks_skipped;
	for (int i = 0; i < 40; i++) {
		s.first = true;
		assert_int_equal(pulse(&s).status, 200);
	}
	/* One in 64 is our own choice. */
	assert_true(w.c.metrics.rechecks_skipped - skipped >= 30);
	s.hash = hash_b;
	assert_int_equal(pulse(&s).status, 200);
	assert_true(w.c.rechecks > before);
	w.c.rechecks -= 1024;
	(void)answer_rechecks(TR_OK);
}

static void events_wait_for_the_store_and_the_worst_stay(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf last = TR_BUF_INIT;
	static char detail[2000];
	struct tr_event ev = { .kind = TR_EV_NOTICE, .agent = TR_NO_AGENT, .severity = 5 };
	unsigned stored = 0, worst = 0;

	(void)state;
	memset(detail, 'x', sizeof(detail));
	detail[0] = detail[sizeof(detail) - 1] = '"';
	ev.detail = tr_view(detail, sizeof(detail));
	w.c.store_ok = false;
	for (unsigned i = 0; i < 20000; i++) {
		ev.severity = i % 100 == 0 ? 2 : 5;
		worst += ev.severity == 2;
		tr_effects_event(w.c.effects, &ev);
	}
	assert_int_equal(next_frame(w.c.store, &w.store, &last).type, 0);
	assert_true(tr_effects_lost(w.c.effects) > 10000);
	assert_int_equal(tr_effects_lost(w.c.effects) + tr_effects_waiting(w.c.effects), 20000);
	assert_int_equal(w.c.metrics.events_lost, tr_effects_lost(w.c.effects));
	/* The first transaction fails again: nothing of it is lost. */
	w.c.store_ok = true;
	stored = (unsigned)tr_effects_waiting(w.c.effects);
	tr_effects_flush(w.c.effects);
	(void)store_answers(TR_E_UNAVAIL, TR_T_EVENT, NULL);
	assert_false(w.c.store_ok);
	assert_int_equal(tr_effects_waiting(w.c.effects), stored);
	w.c.store_ok = true;
	tr_effects_flush(w.c.effects);
	assert_int_equal(store_answers(TR_OK, TR_T_EVENT, &last), stored);
	assert_int_equal(tr_effects_waiting(w.c.effects), 0);
	assert_true(stored > worst);
}

static void at_the_end_nothing_waits(void **state)
{
	struct tr_event ev = { .kind = TR_EV_NOTICE, .agent = TR_NO_AGENT, .severity = 5 };

	(void)state;
	tr_effects_event(w.c.effects, &ev);
	tr_effects_flush(w.c.effects); /* not answered yet */
	for (unsigned i = 0; i < 5000; i++)
		tr_effects_event(w.c.effects, &ev);
	tr_effects_last(w.c.effects);
	assert_int_equal(tr_effects_waiting(w.c.effects), 0);
	assert_int_equal(store_answers(TR_OK, TR_T_EVENT, NULL), 5001);
}

static void a_row_that_is_refused_holds_up_nobody(void **state)
{
	struct tr_event ev = { .kind = TR_EV_NOTICE, .agent = TR_NO_AGENT, .severity = 5 };

	(void)state;
	tr_effects_event(w.c.effects, &ev);
	tr_effects_flush(w.c.effects);
	assert_int_equal(store_answers(TR_E_INVALID, TR_T_EVENT, NULL), 1);
	assert_int_equal(tr_effects_waiting(w.c.effects), 0);
	tr_effects_event(w.c.effects, &ev);
	tr_effects_flush(w.c.effects);
	assert_int_equal(store_answers(TR_OK, TR_T_EVENT, NULL), 1);
}

static void alerts_are_told_and_told_again(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	const struct tr_alert a = { .kind = "front_lied", .subject = TR_VIEW_LIT("server"), .summary = TR_VIEW_LIT("x") };
	struct tr_alerts *alerts = tr_fleet_alerts(w.c.fleet);
	struct tr_msg_notify n;
	struct tr_alert_row row;
	struct tr_frame f;
	struct tr_err err = { 0 };

	(void)state;
	tr_alerts_raise(alerts, 1000, &a);
	assert_int_equal(next_frame(w.c.egress, &w.egress, &payload).type, 0);
	for (unsigned i = 0; i < 2; i++) {
		w.c.egress_up = true;
		tr_effects_egress_up(w.c.effects);
		f = next_frame(w.c.egress, &w.egress, &payload);
		assert_int_equal(f.type, TR_M_NOTIFY);
	}
	assert_int_equal(tr_record_decode(&tr_msg_notify_def, f.payload, &n, &err), TR_OK);
	assert_int_equal(tr_record_decode(&tr_alert_def, n.alert, &row, &err), TR_OK);
	assert_true(tr_view_is(row.kind, "front_lied") && row.severity == 1);
	tr_effects_notified(w.c.effects, &(struct tr_msg_notified){ .id = row.id, .rev = row.rev, .delivered = false });
	tr_effects_egress_up(w.c.effects);
	assert_int_equal(next_frame(w.c.egress, &w.egress, &payload).type, TR_M_NOTIFY);
	tr_effects_notified(w.c.effects, &(struct tr_msg_notified){ .id = row.id, .rev = row.rev, .delivered = true });
	tr_effects_egress_up(w.c.effects);
	assert_int_equal(next_frame(w.c.egress, &w.egress, &payload).type, 0);
}

static void commit_agent(const struct tr_agent_row *row);

static void ignore(void *arg, enum tr_code rc, const char *why)
{
	(void)why;
	*(enum tr_code *)arg = rc;
}

static void commit_agent(const struct tr_agent_row *row)
{
	struct tr_tx *tx = tr_tx_new(&w.c);
	enum tr_code rc = TR_E_INTERNAL;

	tr_tx_add(tx, TR_OP_PUT, TR_T_AGENT, row);
	tr_tx_commit(tx, ignore, &rc);
	assert_int_equal(store_answers(TR_OK, TR_T_AGENT, NULL), 1);
	assert_int_equal(rc, TR_OK);
}

static void the_fleet_follows_the_registry(void **state)
{
	struct tr_agent_row row = agent_row("web-2");
	const struct tr_fleet_agent *a;

	(void)state;
	row.key_id = TR_VIEW_ARRAY(key_b);
	commit_agent(&row);
	assert_int_equal(tr_fleet_count(w.c.fleet), 2);
	assert_int_equal(tr_table_get(&w.c.agents, row.id)->no, 1);
	a = tr_fleet_agent(w.c.fleet, 1);
	assert_true(a->active);
	assert_string_equal(a->id, "web-2");
	row.partition = TR_VIEW_LIT("elsewhere");
	commit_agent(&row);
	assert_true(tr_view_is(tr_fleet_partition(w.c.fleet, a->partition), "elsewhere"));
	/* The same device, admitted with another program. */
	row.binary_hash = TR_VIEW_ARRAY(hash_b);
	commit_agent(&row);
	assert_int_equal(a->axes.updating, TR_UPDATING_ORDERED);
	assert_memory_equal(tr_fleet_value(w.c.fleet, a->expected).p, hash_b, 32);
	row.key_id = TR_VIEW_ARRAY(hash_a);
	commit_agent(&row);
	assert_memory_equal(a->key_id, hash_a, sizeof(a->key_id));
	row.state = TR_VIEW_LIT("revoked");
	commit_agent(&row);
	assert_false(a->active);
	row.state = TR_VIEW_LIT("active");
	row.epoch = 2;
	commit_agent(&row);
	assert_true(a->active);
	assert_int_equal(a->epoch, 2);
	assert_int_equal(tr_fleet_count(w.c.fleet), 2);
}

static void the_next_key_takes_over_with_its_first_pulse(void **state)
{
	struct tr_agent_row row = agent_row("web-1");
	struct sent s = { .first = false };
	const struct tr_agent_row *now;

	(void)state;
	assert_int_equal(pulse(&s).status, 200);
	row.next_key_id = TR_VIEW_ARRAY(key_b);
	row.next_spki = TR_VIEW_LIT("spki");
	row.next_until = tr_now_ms() - 1;
	commit_agent(&row);
	s.key = key_b;
	assert_non_null(strstr(pulse(&s).body, "\"key_mismatch\"")); /* out of its time */
	row.next_until = tr_now_ms() + 60000;
	commit_agent(&row);
	s.key = key_a;
	assert_int_equal(pulse(&s).status, 200);
	assert_int_equal(store_answers(TR_OK, TR_T_AGENT, NULL), 0);
	s.key = key_b;
	assert_int_equal(pulse(&s).status, 200);
	/* Until the store says so, both are good. */
	s.key = key_a;
	assert_int_equal(pulse(&s).status, 200);
	assert_int_equal(store_answers(TR_E_UNAVAIL, TR_T_AGENT, NULL), 1);
	w.c.store_ok = true;
	s.key = key_b;
	assert_int_equal(pulse(&s).status, 200);
	assert_int_equal(store_answers(TR_OK, TR_T_AGENT, NULL), 1);
	now = TR_ROW(&w.c.agents, tr_table_get(&w.c.agents, row.id));
	assert_memory_equal(now->key_id.p, key_b, 32);
	assert_int_equal(now->next_key_id.n, 0);
	assert_memory_equal(tr_fleet_agent(w.c.fleet, 0)->key_id, key_b, sizeof(tr_fleet_agent(w.c.fleet, 0)->key_id));
	assert_int_equal(pulse(&s).status, 200);
	s.key = key_a;
	assert_non_null(strstr(pulse(&s).body, "\"key_mismatch\""));
	assert_int_equal(tr_fleet_agent(w.c.fleet, 0)->axes.auth, TR_AUTH_OK);
}

static void what_pulses_changed_is_swept(void **state)
{
	static const uint8_t seed[16];
	tr_auto(tr_buf_done) struct tr_buf last = TR_BUF_INIT;
	struct sent s = { .first = false };
	struct tr_pulse_row row;
	struct tr_err err = { 0 };

	(void)state;
	assert_true(tr_table_init(&w.c.seen, &tr_seen_def, 0, seed));
	assert_int_equal(pulse(&s).status, 200);
	tr_core_sweep(&w.c, 1000);
	assert_true(w.c.sweeping);
	assert_int_equal(store_answers(TR_E_UNAVAIL, TR_T_PULSE, NULL), 1);
	assert_false(w.c.sweeping);
	/* What failed is swept again, what did not change is not. */
	tr_core_sweep(&w.c, 1000);
	assert_int_equal(store_answers(TR_OK, TR_T_PULSE, &last), 1);
	assert_int_equal(tr_record_decode(&tr_pulse_row_def, tr_buf_view(&last), &row, &err), TR_OK);
	assert_true(tr_view_is(row.id, "web-1") && row.accepted == 1);
	tr_core_sweep(&w.c, 1000);
	assert_int_equal(store_answers(TR_OK, TR_T_PULSE, NULL), 0);
	assert_false(w.c.sweeping);
	tr_table_done(&w.c.seen);
}

static void a_certificate_that_is_not_renewed_is_told_in_time(void **state)
{
	struct tr_alerts *alerts = tr_fleet_alerts(w.c.fleet);
	const struct tr_view web = TR_VIEW_LIT("agent:web-1");
	struct sent s = { .cert_age_ms = 2700000 };

	(void)state;
	assert_int_equal(pulse(&s).status, 200);
	assert_null(tr_alerts_find(alerts, "certificate_expiring", web));
	s.cert_age_ms = 3000000;
	assert_int_equal(pulse(&s).status, 200);
	assert_int_equal(pulse(&s).status, 200);
	assert_non_null(tr_alerts_find(alerts, "certificate_expiring", web));
	assert_int_equal(tr_alerts_find(alerts, "certificate_expiring", web)->count, 1);
	/* After a restart of the server the alert is known and the agent is not. */
	tr_table_get(&w.c.agents, TR_VIEW_LIT("web-1"))->cert_seen = false;
	s.cert_age_ms = 0;
	assert_int_equal(pulse(&s).status, 200);
	assert_null(tr_alerts_find(alerts, "certificate_expiring", web));
}

/* Events are kept for the days of the configuration; looked for once an hour. */
static void old_events_expire(void **state)
{
	static const uint8_t seed[16];
	static struct tr_config cfg;
	const struct tr_config *was = w.c.cfg;
	tr_auto(tr_buf_done) struct tr_buf last = TR_BUF_INIT;
	struct tr_event_row row;
	struct tr_err err = { 0 };

	(void)state;
	cfg = *was;
	cfg.event_days = 7;
	w.c.cfg = &cfg;
	assert_true(tr_table_init(&w.c.seen, &tr_seen_def, 0, seed));
	tr_core_sweep(&w.c, 1000);
	assert_int_equal(store_answers(TR_OK, TR_T_EVENT, &last), 1);
	assert_int_equal(tr_record_decode(&tr_event_def, tr_buf_view(&last), &row, &err), TR_OK);
	assert_in_range(tr_now_ms() - row.time, 7 * 86400000LL, 7 * 86400000LL + 60000);
	tr_core_sweep(&w.c, 1000);
	assert_int_equal(store_answers(TR_OK, TR_T_EVENT, NULL), 0);
	w.c.cfg = was;
	tr_table_done(&w.c.seen);
}

/* ---- clocks ---- */

static bool clock_alert(void)
{
	return tr_alerts_find(tr_fleet_alerts(w.c.fleet), "server_clock", TR_VIEW_LIT("server")) != NULL;
}

static void a_clock_that_nobody_keeps_is_told_after_ten_minutes(void **state)
{
	static char kernel[] = "kernel";
	struct tr_instant now = tr_core_now(&w.c);

	(void)state;
	tr_core_watch_clock(&w.c, &now, false);
	assert_true(w.c.clock_trusted); /* an operator vouches */
	w.clock.source = kernel;
	tr_core_watch_clock(&w.c, &now, false);
	assert_false(w.c.clock_trusted);
	now.ms += 600000;
	tr_core_watch_clock(&w.c, &now, false);
	assert_false(clock_alert());
	now.ms += 1000;
	tr_core_watch_clock(&w.c, &now, false);
	assert_true(clock_alert());
	tr_core_watch_clock(&w.c, &now, true);
	assert_true(w.c.clock_trusted);
	assert_false(clock_alert());
	/* The ten minutes begin anew. */
	tr_core_watch_clock(&w.c, &now, false);
	assert_false(clock_alert());
}

/* A second passes, then so many until the silent agent is lost; 0: it is not within `most`. */
static unsigned seconds_until_lost(struct tr_steady *s, int64_t *wall_ms, uint64_t *boot_ms, unsigned most)
{
	for (unsigned i = 1; i <= most; i++) {
		struct tr_instant now = { .clock_trusted = true };
		struct tr_axes axes;

		*wall_ms += 1000;
		*boot_ms += 1000;
		now.ms = tr_steady_ms(s, *wall_ms, *boot_ms);
		now.wall_ns = *wall_ms * 1000000;
		tr_fleet_tick(w.c.fleet, &now);
		(void)tr_fleet_verdict(w.c.fleet, &now, 0, &axes);
		if (axes.reach == TR_REACH_LOST)
			return i;
	}
	return 0;
}

/* Whatever happens to the wall clock, a silent agent is lost about as fast as ever: neither at once nor never. */
static void a_set_clock_makes_nobody_lost_or_immortal(void **state)
{
	static const int64_t steps_ms[] = { 0, 3600000, -3600000, 30LL * 86400000, -30LL * 86400000, 2500, -2500 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(steps_ms); i++) {
		struct sent sent = { .first = false };
		uint64_t boot_ms = tr_mono_ms();
		int64_t wall_ms = tr_now_ms();
		struct tr_fleet_stats before, after;
		struct tr_steady s;
		unsigned bound, got;

		if (i) {
			(void)tear_down(NULL);
			(void)set_up(NULL);
		}
		tr_steady_start(&s, wall_ms, boot_ms);
		assert_int_equal(pulse(&sent).status, 200);
		assert_int_equal(seconds_until_lost(&s, &wall_ms, &boot_ms, 5), 0);
		tr_fleet_stats(w.c.fleet, &before);
		bound = tr_fleet_lost_after_s(w.c.fleet, 0);
		wall_ms += steps_ms[i];
		got = seconds_until_lost(&s, &wall_ms, &boot_ms, 2 * bound);
		tr_fleet_stats(w.c.fleet, &after);
		assert_true(got > 30 && got <= bound + bound / 16 + 2);
		if (steps_ms[i] > 5000)
			assert_true(after.amnesties > before.amnesties);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pulse_is_answered_and_counted),
		TEST(who_may_not_speak_is_told_why),
		TEST(the_first_and_every_change_are_rechecked_and_some_of_the_rest),
		TEST(a_front_that_lied_is_ended),
		TEST(a_recheck_without_result_proves_nothing),
		TEST(garbage_costs_bounded_memory_and_changes_nobody),
		TEST(a_front_names_only_what_it_can_see),
		TEST(a_front_cannot_make_clocks_wrong),
		TEST(a_front_cannot_use_up_the_second_looks),
		TEST(events_wait_for_the_store_and_the_worst_stay),
		TEST(at_the_end_nothing_waits),
		TEST(a_row_that_is_refused_holds_up_nobody),
		TEST(alerts_are_told_and_told_again),
		TEST(the_fleet_follows_the_registry),
		TEST(the_next_key_takes_over_with_its_first_pulse),
		TEST(what_pulses_changed_is_swept),
		TEST(old_events_expire),
		TEST(a_certificate_that_is_not_renewed_is_told_in_time),
		TEST(a_clock_that_nobody_keeps_is_told_after_ten_minutes),
		TEST(a_set_clock_makes_nobody_lost_or_immortal),
	};

	tr_log_init("test", TR_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
