/* SPDX-License-Identifier: Apache-2.0 */
#include "swarm/sim.h"

#include "agent/chain.h"
#include "base/log.h"
#include "codec/text.h"
#include "fleet/fleet.h"

#include <stdio.h>

#define START_MS INT64_C(1800000000000) /* an arbitrary day */
#define TIMEOUT_MS 10000
#define SWEEP_MS 5000
#define LAG_MS 8000     /* the allowance that server/nodes.c gives */
#define LEASE_MS 15000
#define ALERT_MS 200    /* until another node knows of a row that was not swept */
#define QUIET_MS 300000 /* how long an agent waits that was told to go away */

const struct tr_sim_plan tr_sim_day = {
	.seed = 1,
	.agents = 10000,
	.hours = 24,
	.partitions = 10,
	.interval_s = 30,
	.jitter_ms = 5000,
	.loss_ppm = 10000,
	.server_restarts = 3,
	.nodes = 1,
	.news_ms = 1000,
	.moves_ppm = 10000,
	.node_changes = 1,
	.clock_steps_ppm = 50000,
	.cut_minutes = 10,
	.agent_restarts = 1000,
	.reboots = 100,
	.kills = 100,
	.clones = 100,
	.restores = 100,
	.replays = 100,
	.relays = 100,
	.swaps = 100,
};

const char *tr_sim_trouble_name(enum tr_sim_trouble t)
{
	static const char *const names[TR_SIM_TROUBLES] = { "kill", "clone", "restore", "replay", "relay", "swap" };

	return t < TR_SIM_TROUBLES ? names[t] : "?";
}

void tr_sim_result_done(struct tr_sim_result *r)
{
	tr_buf_done(&r->story);
}

/* ---- what happens, and to whom ---- */

/* The part that an agent's ground truth plays; one per agent. */
enum role { R_HEALTHY, R_KILL, R_CLONE, R_RESTORE, R_REPLAY, R_RELAY, R_SWAP, R_REBOOT, R_RESTART, R_N };

enum what {
	W_SEND,      /* an actor begins a try */
	W_ARRIVE,    /* its pulse reaches the server */
	W_TROUBLE,   /* the agent's role begins */
	W_SNAPSHOT,  /* of an agent that will be restored */
	W_COMEBACK,  /* after a reboot or restore */
	W_CLOCK,     /* the agent's clock is stepped */
	W_TICK, W_SWEEP, W_SERVER_DOWN, W_SERVER_UP, W_NODE, W_CUT, W_CUT_OVER,
	W_ROW,       /* another node hears of an agent's row */
	W_ALERTS,    /* and of alerts */
	W_LEASE,     /* what a dead holder held is over */
};

struct event { int64_t at; uint32_t actor, life; enum what what; };

#define NODES_MAX 2u
#define NO_NODE NODES_MAX

/* One running copy of an agent: usually there is one per agent, a cloned one has two. */
struct actor {
	uint32_t agent;
	uint32_t life;   /* events of an earlier one are void */
	bool alive, in_flight;
	bool leaving;        /* says its last word */
	unsigned last_words;
	struct tr_chain chain, disk;
	uint8_t start[16];
	uint64_t conn;   /* number of its connection: stands for the exporter */
	int64_t sent_at, rtt_ms;
	uint32_t node;       /* that it speaks to */
	uint8_t hash;
	struct tr_pulse p;
	uint8_t digest[32];
	uint8_t ticket[TR_TICKET_LEN], old_ticket[TR_TICKET_LEN]; /* what p's views show */
	uint64_t p_conn;
};

struct agent {
	enum role role;
	uint32_t partition;
	int64_t trouble_at, seen_at, first_sign_at; /* first_sign_at: when the trouble became visible on the wire */
	int64_t clock_off_ms;
	bool stepped, named, misnamed, desynced;
	struct tr_buf *snapshot; /* struct actor, as it was */
	struct tr_buf row;       /* as the store holds it */
	uint64_t version, known[NODES_MAX]; /* of the row; which one each node has heard of */
	uint32_t writer;
	char id[24];
};

struct node {
	struct sim *sim;
	struct tr_fleet *fleet; /* NULL: down */
	uint32_t no;
};

struct sim {
	const struct tr_sim_plan *plan;
	struct tr_sim_result *out;
	uint64_t rng[2];
	int64_t now, end;
	struct event *heap;
	size_t n_heap, cap_heap;
	struct actor *actors;
	uint32_t n_actors;
	struct agent *agents;
	struct node nodes[NODES_MAX];
	uint32_t n_nodes, holder;
	uint8_t key[32];
	bool cut;
	uint32_t cut_partition;
	struct tr_buf alerts; /* last row of each alert, as the store holds them */
	struct tr_buf mail[NODES_MAX]; /* those that this node has not heard of yet */
	bool failed;
	uint64_t conns;
};

static uint64_t rnd(struct sim *s)
{
	/* xoroshiro128+ (Blackman and Vigna 2018): fast, seeded, nothing secret. */
	uint64_t a = s->rng[0], b = s->rng[1], r = a + b;

	b ^= a;
	s->rng[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
	s->rng[1] = b << 37 | b >> 27;
	return r;
}

static int64_t between(struct sim *s, int64_t lo, int64_t hi)
{
	return hi > lo ? lo + (int64_t)(rnd(s) % (uint64_t)(hi - lo)) : lo;
}

static bool happens(struct sim *s, uint32_t ppm)
{
	return rnd(s) % 1000000 < ppm;
}

static void fill(struct sim *s, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(rnd(s) >> 32);
}

/* ---- the queue: a binary heap by time ---- */

static void push(struct sim *s, int64_t at, enum what what, uint32_t actor, uint32_t life)
{
	size_t i = s->n_heap++;

	if (i == s->cap_heap) {
		size_t cap = s->cap_heap ? s->cap_heap * 2 : 4096;
		struct event *grown = realloc(s->heap, cap * sizeof(*grown));

		if (!grown) {
			s->failed = true;
			s->n_heap--;
			return;
		}
		s->heap = grown;
		s->cap_heap = cap;
	}
	while (i && s->heap[(i - 1) / 2].at > at) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->heap[i] = (struct event){ at, actor, life, what };
}

static struct event pop(struct sim *s)
{
	struct event first = s->heap[0], last = s->heap[--s->n_heap];
	size_t i = 0;

	for (;;) {
		size_t child = i * 2 + 1;

		if (child >= s->n_heap)
			break;
		if (child + 1 < s->n_heap && s->heap[child + 1].at < s->heap[child].at)
			child++;
		if (last.at <= s->heap[child].at)
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return first;
}

/* ---- what the server concludes ---- */

static void story(struct sim *s, const char *what, uint32_t agent, const char *detail)
{
	if (s->out->story.n > 200000)
		return;
	tr_buf_addf(&s->out->story, "{\"t_s\":%.1f,\"what\":\"%s\",\"agent\":%u,\"role\":%d,\"detail\":\"%s\"}\n",
		    (double)(s->now - START_MS) / 1000.0, what, agent, agent == TR_NO_AGENT ? -1 : (int)s->agents[agent].role,
		    detail);
}

static void falsely(struct sim *s, uint32_t agent, const char *detail)
{
	s->out->false_verdicts++;
	story(s, "false", agent, detail);
}

static void named(struct sim *s, uint32_t agent, enum tr_sim_trouble t)
{
	struct agent *g = &s->agents[agent];
	struct tr_sim_tally *tally = &s->out->tally[t];
	int64_t took;

	if (g->named)
		return;
	g->named = true;
	g->seen_at = s->now;
	took = s->now - (g->first_sign_at ? g->first_sign_at : g->trouble_at);
	tally->seen++;
	tally->sum_ms += took;
	if (took > tally->worst_ms)
		tally->worst_ms = took;
}

static void misnamed(struct sim *s, uint32_t agent, enum tr_sim_trouble t, const char *as)
{
	struct agent *g = &s->agents[agent];

	if (!g->misnamed)
		s->out->tally[t].misnamed++;
	g->misnamed = true;
	story(s, "misnamed", agent, as);
}

/* Is this agent's trouble under way? Before it, it is as healthy as any. */
static enum role role_now(const struct sim *s, uint32_t agent)
{
	const struct agent *g = &s->agents[agent];

	return g->trouble_at && s->now >= g->trouble_at ? g->role : R_HEALTHY;
}

static void clock_doubted(struct sim *s, uint32_t agent)
{
	struct agent *g = &s->agents[agent];

	if (!g->stepped) {
		s->out->wrong_desyncs++;
		story(s, "wrong_desync", agent, "");
	} else if (!g->desynced) {
		s->out->desyncs++;
	}
	g->desynced = true;
}

static bool put(void *arg, uint32_t no, const struct tr_pulse_row *row);

/* A verdict that matters is stored with its event, not by the next sweep. */
static void store_state(struct node *n, uint32_t agent)
{
	tr_auto(tr_buf_done) struct tr_buf scratch = TR_BUF_INIT;
	struct tr_pulse_row row;

	tr_fleet_row(n->fleet, agent, &scratch, &row);
	(void)put(n, agent, &row);
}

/* Restored and named so, and the other node has heard of that. */
static bool is_back(const struct sim *s, uint32_t agent)
{
	const struct agent *g = &s->agents[agent];

	return g->named && (s->n_nodes == 1 || s->now - g->seen_at > SWEEP_MS + (int64_t)s->plan->news_ms);
}

static void on_event(void *arg, const struct tr_event *e)
{
	struct node *n = arg;
	struct sim *s = n->sim;
	const char *name = tr_event_name(e->kind);
	enum role role;

	if (e->kind == TR_EV_PARTITION_SILENT) {
		s->out->incidents++;
		if (!tr_view_is(e->partition, tr_fmt("part-%u", s->cut_partition)) || !s->plan->cut_minutes)
			falsely(s, TR_NO_AGENT, "an incident of a partition that was not cut");
	}
	if (e->agent == TR_NO_AGENT || e->agent >= s->plan->agents)
		return;
	role = role_now(s, e->agent);
	if (s->n_nodes > 1 && e->kind == TR_EV_VERDICT && e->severity <= 3)
		store_state(n, e->agent);
	switch (e->kind) {
	case TR_EV_FORKED:
		if (role == R_CLONE)
			named(s, e->agent, TR_SIM_CLONE);
		else if (role == R_RESTORE)
			misnamed(s, e->agent, TR_SIM_RESTORE, name);
		else
			falsely(s, e->agent, name);
		break;
	case TR_EV_RESTORED:
		if (role == R_RESTORE)
			named(s, e->agent, TR_SIM_RESTORE);
		else if (role == R_CLONE)
			misnamed(s, e->agent, TR_SIM_CLONE, name);
		else
			falsely(s, e->agent, name);
		break;
	case TR_EV_CHAIN_CONFLICT:
		if (role != R_CLONE && role != R_RESTORE)
			falsely(s, e->agent, name);
		break;
	case TR_EV_BINARY_CHANGED:
		if (role == R_SWAP)
			named(s, e->agent, TR_SIM_SWAP);
		else
			falsely(s, e->agent, name);
		break;
	case TR_EV_REPLAY:
		if (role == R_REPLAY)
			named(s, e->agent, TR_SIM_REPLAY);
		else if (role != R_CLONE && role != R_RESTORE)
			falsely(s, e->agent, name);
		break;
	case TR_EV_RELAYED:
		if (role == R_RELAY)
			named(s, e->agent, TR_SIM_RELAY);
		else
			falsely(s, e->agent, name);
		break;
	case TR_EV_VERDICT: {
		enum tr_verdict v = tr_fleet_agent(n->fleet, e->agent)->verdict;
		bool cloned = role == R_CLONE && (v == TR_V_CONFLICT || v == TR_V_FORKED);
		bool restored = role == R_RESTORE && (v == TR_V_CONFLICT || v == TR_V_RESTORED);

		if (v == TR_V_LOST && role == R_KILL)
			named(s, e->agent, TR_SIM_KILL);
		else if (v == TR_V_LOST && (role == R_CLONE || (role == R_RESTORE && !is_back(s, e->agent))))
			break; /* both copies are locked out, or the machine is down: silence is the truth */
		else if (v == TR_V_LOST || (tr_verdict_is_security(v) && !cloned && !restored &&
					    !(v == TR_V_UNKNOWN_BINARY && role == R_SWAP)))
			falsely(s, e->agent, tr_verdict_name(v));
		s->out->late += v == TR_V_LATE;
		s->out->missed += v == TR_V_MISSED;
		if (v == TR_V_CLOCK_DESYNC || v == TR_V_CLOCK_UNSTABLE)
			clock_doubted(s, e->agent);
		break;
	}
	default:
		break;
	}
}

/* The number in "agent:a-<number>"; TR_NO_AGENT: the subject is none of ours. */
static uint32_t agent_of(const struct sim *s, struct tr_view subject)
{
	static const char prefix[] = "agent:a-";
	uint64_t n = 0;

	if (!tr_view_starts(subject, prefix) || subject.n == sizeof(prefix) - 1)
		return TR_NO_AGENT;
	for (size_t i = sizeof(prefix) - 1; i < subject.n && n < s->plan->agents; i++) {
		if (subject.p[i] < '0' || subject.p[i] > '9')
			return TR_NO_AGENT;
		n = n * 10 + (uint64_t)(subject.p[i] - '0');
	}
	return n < s->plan->agents ? (uint32_t)n : TR_NO_AGENT;
}

static void on_alert(void *arg, const struct tr_alert_row *row)
{
	struct node *n = arg;
	struct sim *s = n->sim;
	uint32_t agent = agent_of(s, row->subject);
	enum role role;

	tr_records_add(&s->alerts, &tr_alert_def, row);
	for (uint32_t i = 0; i < s->n_nodes; i++) {
		if (i == n->no)
			continue;
		if (!s->mail[i].n)
			push(s, s->now + ALERT_MS, W_ALERTS, i, 0);
		tr_records_add(&s->mail[i], &tr_alert_def, row);
	}
	if (tr_view_is(row->state, "resolved"))
		return;
	/* Not only the verdict: of an agent that is another program by now it says that first. */
	if ((tr_view_is(row->kind, "clock_desync") || tr_view_is(row->kind, "clock_unstable")) &&
	    agent != TR_NO_AGENT)
		clock_doubted(s, agent);
	if (row->severity > 2)
		return;
	if (agent != TR_NO_AGENT) {
		role = role_now(s, agent);
		if (role == R_HEALTHY || role == R_REBOOT || role == R_RESTART || role == R_REPLAY || role == R_RELAY)
			falsely(s, agent, tr_fmt("alert %.*s", TR_VIEW_FMT(row->kind)));
	} else if (tr_view_starts(row->subject, "server")) {
		falsely(s, TR_NO_AGENT, tr_fmt("alert %.*s on the server", TR_VIEW_FMT(row->kind)));
	}
}

/* ---- the server ---- */

static struct tr_instant instant(const struct sim *s)
{
	return (struct tr_instant){ .ms = s->now, .wall_ns = s->now * 1000000, .clock_trusted = true };
}

static void restore_alerts(struct node *n)
{
	struct tr_view list = tr_buf_view(&n->sim->alerts), one;
	struct tr_alert_row row;
	struct tr_err err;

	while (tr_records_next(&list, &one))
		if (tr_record_decode(&tr_alert_def, one, &row, &err) == TR_OK)
			tr_alerts_load(tr_fleet_alerts(n->fleet), &row);
}

static void hold(struct sim *s, uint32_t no)
{
	struct tr_instant now = instant(s);

	s->holder = no;
	tr_fleet_judges(s->nodes[no].fleet, &now, true, LAG_MS);
}

static void server_up(struct sim *s, uint32_t no)
{
	struct node *n = &s->nodes[no];
	const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert, .arg = n };
	struct tr_fleet_config c = { .run = rnd(s), .interval_s = s->plan->interval_s, .keyset_epoch = 1, .escalate_s = 900 };
	struct tr_instant now = instant(s);
	static const uint8_t good[32] = { 1 };
	uint8_t key_id[32] = { 0 };

	memcpy(c.ticket_key, s->key, sizeof(c.ticket_key));
	n->fleet = tr_fleet_new(&c, &sink, &now);
	if (!n->fleet) {
		s->failed = true;
		return;
	}
	restore_alerts(n);
	tr_buf_clear(&s->mail[no]);
	for (uint32_t i = 0; i < s->plan->agents; i++) {
		struct agent *g = &s->agents[i];
		struct tr_pulse_row row;
		struct tr_err err;
		bool stored = g->row.n && tr_record_decode(&tr_pulse_row_def, tr_buf_view(&g->row), &row, &err) == TR_OK;

		g->known[no] = g->version;
		if (tr_fleet_add(n->fleet, &now, tr_view_str(g->id), tr_view_str(tr_fmt("part-%u", g->partition)), key_id,
				 TR_VIEW_ARRAY(good), 1, true, stored ? &row : NULL) != i)
			s->failed = true;
	}
	tr_fleet_loaded(n->fleet, &now);
	if (s->n_nodes == 1)
		return;
	tr_fleet_judges(n->fleet, &now, false, LAG_MS);
	if (s->holder == NO_NODE)
		hold(s, no);
}

static void server_down(struct sim *s, uint32_t no)
{
	struct node *n = &s->nodes[no];
	struct tr_fleet_stats st;

	tr_fleet_stats(n->fleet, &st);
	s->out->resyncs += st.resyncs;
	s->out->amnesties += st.amnesties;
	n->fleet = tr_fleet_free(n->fleet);
	if (s->n_nodes > 1 && s->holder == no)
		push(s, s->now + LEASE_MS, W_LEASE, no, 0);
}

/* Writers take turns: what another node has stored and this one has not heard of is not written over. */
static bool put(void *arg, uint32_t no, const struct tr_pulse_row *row)
{
	struct node *n = arg;
	struct sim *s = n->sim;
	struct agent *g = &s->agents[no];

	if (g->writer != n->no && g->known[n->no] < g->version)
		return true;
	tr_buf_clear(&g->row);
	tr_record_encode(&tr_pulse_row_def, row, &g->row);
	g->writer = n->no;
	g->known[n->no] = ++g->version;
	for (uint32_t i = 0; i < s->n_nodes; i++)
		if (i != n->no)
			push(s, s->now + between(s, 10, s->plan->news_ms), W_ROW, no, i);
	return tr_buf_ok(&g->row);
}

static void hear_row(struct sim *s, uint32_t no, uint32_t by)
{
	struct agent *g = &s->agents[no];
	struct tr_instant now = instant(s);
	struct tr_pulse_row row;
	struct tr_err err;

	if (!s->nodes[by].fleet || g->writer == by || g->known[by] == g->version)
		return;
	g->known[by] = g->version;
	if (!tr_record_decode(&tr_pulse_row_def, tr_buf_view(&g->row), &row, &err))
		tr_fleet_remote(s->nodes[by].fleet, &now, no, &row);
}

static void hear_alerts(struct sim *s, uint32_t by)
{
	tr_auto(tr_buf_done) struct tr_buf mail = s->mail[by];
	struct tr_view list, one;
	struct tr_alert_row row;
	struct tr_err err;

	s->mail[by] = TR_BUF_INIT;
	list = tr_buf_view(&mail);
	while (s->nodes[by].fleet && tr_records_next(&list, &one))
		if (!tr_record_decode(&tr_alert_def, one, &row, &err))
			(void)tr_alerts_remote(tr_fleet_alerts(s->nodes[by].fleet), s->now, &row);
}

static bool is_up(const struct sim *s, const struct actor *a)
{
	return s->nodes[a->node].fleet != NULL;
}

static struct tr_fleet *fleet_of(const struct sim *s, const struct actor *a)
{
	return s->nodes[a->node].fleet;
}

/* ---- agents ---- */

static void start_process(struct sim *s, struct actor *a, bool rebooted)
{
	uint8_t boot[16];

	a->chain = a->disk;
	memcpy(boot, a->disk.boot_id, sizeof(boot));
	if (rebooted)
		fill(s, boot, sizeof(boot));
	tr_chain_start(&a->chain, boot);
	fill(s, a->start, sizeof(a->start));
	a->conn = ++s->conns;
	a->in_flight = a->leaving = false;
	a->alive = true;
	a->life++;
}

static void next_try(struct sim *s, uint32_t actor, int64_t at)
{
	struct actor *a = &s->actors[actor];

	/* A last word is tried three times, a second apart; nobody waits longer at a shutdown. */
	if (a->leaving && (a->last_words++ >= 3 || memcmp(a->chain.prev, a->digest, 32) == 0))
		return;
	push(s, a->leaving ? s->now + 1000 : at, W_SEND, actor, a->life);
}

static void next_beat(struct sim *s, uint32_t actor)
{
	int64_t beat = (int64_t)s->plan->interval_s * 1000;

	/* For no reason of its own: a name that has several addresses, a balancer in between. */
	if (s->n_nodes > 1 && happens(s, s->plan->moves_ppm)) {
		s->actors[actor].node = (s->actors[actor].node + 1) % s->n_nodes;
		s->actors[actor].conn = ++s->conns;
	}
	next_try(s, actor, s->actors[actor].sent_at + beat * 9 / 10 + between(s, 0, beat / 5));
}

static void try_failed(struct sim *s, uint32_t actor, int64_t known_at)
{
	tr_chain_failed(&s->actors[actor].chain);
	s->actors[actor].conn = ++s->conns;
	/* There is another address to try. */
	if (s->n_nodes > 1 && (!is_up(s, &s->actors[actor]) || rnd(s) & 1))
		s->actors[actor].node = (s->actors[actor].node + 1) % s->n_nodes;
	next_try(s, actor, known_at + between(s, 1000, 5000));
}

static struct tr_view keep(struct tr_view ticket, uint8_t place[TR_TICKET_LEN])
{
	if (ticket.n)
		memcpy(place, ticket.p, TR_TICKET_LEN);
	return tr_view(place, ticket.n);
}

static void send_pulse(struct sim *s, uint32_t no, enum tr_notice notice, int64_t notice_s)
{
	struct actor *a = &s->actors[no];
	struct agent *g = &s->agents[a->agent];

	a->p = (struct tr_pulse){
		.agent_id = tr_view_str(g->id),
		.time_ns = (s->now + g->clock_off_ms) * 1000000,
		.boot_ns = (uint64_t)(s->now - START_MS) * 1000000,
		.rtt_us = (uint64_t)a->rtt_ms * 1000,
		.sync = TR_SYNC_YES,
		.keyset_epoch = 1,
		.version = TR_VIEW_LIT("1.0.0"),
		.bpf_status = TR_BPF_OFF,
		.lsm = TR_LSM_UNAVAILABLE,
		.notice = notice,
		.notice_s = (uint64_t)notice_s,
		.health = { .uptime_s = 1 },
	};
	tr_chain_try(&a->chain, &a->p);
	a->p.ticket = keep(a->p.ticket, a->ticket);
	a->p.old_ticket = keep(a->p.old_ticket, a->old_ticket);
	memcpy(a->p.start_id, a->start, sizeof(a->start));
	memcpy(a->p.exporter, &a->conn, sizeof(a->conn));
	a->p.binary_hash[0] = a->hash;
	/* A digest is as good as random to whoever does not make it. */
	fill(s, a->digest, sizeof(a->digest));
	a->p_conn = a->conn;
	a->sent_at = s->now;
	a->in_flight = true;
	s->out->pulses++;
	if (happens(s, s->plan->loss_ppm) || (s->cut && g->partition == s->cut_partition)) {
		s->out->lost_requests++;
		a->in_flight = false;
		try_failed(s, no, s->now + TIMEOUT_MS);
		return;
	}
	push(s, s->now + between(s, 5, s->plan->jitter_ms), W_ARRIVE, no, a->life);
}

static struct tr_view source_of(uint32_t agent, char buf[24])
{
	(void)snprintf(buf, 24, "10.%u.%u.%u", agent >> 16 & 255, agent >> 8 & 255, agent & 255);
	return tr_view_str(buf);
}

/* As front: whose connection is it? */
static bool belongs(struct sim *s, const struct actor *a, uint64_t conn, const struct tr_instant *now)
{
	char source[24];

	if (memcmp(a->p.exporter, &conn, sizeof(conn)) == 0)
		return true;
	/* From an address of the thief's own. */
	tr_fleet_refused(fleet_of(s, a), now, TR_EV_RELAYED, a->agent, tr_view_str(s->agents[a->agent].id),
			 source_of(a->agent + s->plan->agents, source), tr_view(NULL, 0));
	return false;
}

static void ask(struct sim *s, const struct actor *a, uint64_t conn, struct tr_pulse_result *r)
{
	struct tr_instant now = instant(s);
	struct tr_pulse p = a->p;
	char partition[16];
	char source[24];
	const struct tr_pulse_seen seen = { &p, a->digest, tr_view(NULL, 0), source_of(a->agent, source), now.wall_ns };

	*r = (struct tr_pulse_result){ .status = 403, .code = "relayed" };
	if (!belongs(s, a, conn, &now))
		return;
	(void)snprintf(partition, sizeof(partition), "part-%u", s->agents[a->agent].partition);
	p.partition = tr_view_str(partition);
	/* The ticket lives in the chain, which may have moved on in memory: what was sent is what the pulse says. */
	tr_fleet_pulse(fleet_of(s, a), &now, a->agent, &seen, r);
}

static void arrive(struct sim *s, uint32_t no)
{
	struct actor *a = &s->actors[no];
	struct tr_pulse_result r;
	struct agent *g = &s->agents[a->agent];

	if (!is_up(s, a)) {
		/* Nobody listens: the connection is refused at once. */
		try_failed(s, no, s->now);
		return;
	}
	if (no >= s->plan->agents && !g->first_sign_at)
		g->first_sign_at = s->now;
	ask(s, a, a->p_conn, &r);
	s->out->accepted += r.accepted;
	s->out->refused += r.status != 200;
	if (happens(s, s->plan->loss_ppm) || (s->cut && g->partition == s->cut_partition)) {
		s->out->lost_answers++;
		try_failed(s, no, a->sent_at + TIMEOUT_MS > s->now ? a->sent_at + TIMEOUT_MS : s->now);
		return;
	}
	a->rtt_ms = s->now - a->sent_at;
	if (r.status != 200) {
		if (strcmp(r.code, "replay") == 0)
			tr_chain_replayed(&a->chain);
		else
			tr_chain_failed(&a->chain);
		if (strcmp(r.code, "quarantined") == 0)
			next_try(s, no, s->now + QUIET_MS);
		else if (strcmp(r.code, "replay") == 0)
			next_try(s, no, s->now + between(s, 1000, 5000));
		else
			next_beat(s, no);
		return;
	}
	switch (tr_chain_answered(&a->chain, &r.answer, a->digest)) {
	case TR_CHAIN_ACCEPTED:
		a->disk = a->chain;
		next_beat(s, no);
		break;
	case TR_CHAIN_AGAIN:
		next_try(s, no, s->now + 1);
		break;
	default:
		next_beat(s, no);
		break;
	}
}

/* ---- trouble ---- */

static void make(struct sim *s, uint32_t agent, enum tr_sim_trouble t)
{
	s->out->tally[t].made++;
	(void)agent;
}

static void start_clone(struct sim *s, uint32_t no)
{
	struct actor *c = &s->actors[s->n_actors];

	*c = s->actors[no];
	c->life = 0;
	/* Half of them are copies of a disk, half of a running machine with its memory. */
	if (rnd(s) & 1)
		start_process(s, c, true);
	else
		c->in_flight = false;
	c->conn = ++s->conns;
	c->alive = true;
	if (s->n_nodes > 1)
		c->node = (uint32_t)(rnd(s) % s->n_nodes);
	next_try(s, s->n_actors, s->now + between(s, 1000, 300000));
	s->n_actors++;
}

static void begin_trouble(struct sim *s, uint32_t no)
{
	struct actor *a = &s->actors[no];
	struct agent *g = &s->agents[no];
	struct tr_pulse_result r;

	switch (g->role) {
	case R_KILL:
		a->alive = false;
		make(s, no, TR_SIM_KILL);
		break;
	case R_CLONE:
		start_clone(s, no);
		make(s, no, TR_SIM_CLONE);
		break;
	case R_RESTORE:
		a->alive = false;
		make(s, no, TR_SIM_RESTORE);
		push(s, s->now + between(s, 10000, 120000), W_COMEBACK, no, a->life);
		break;
	case R_REPLAY:
	case R_RELAY:
		/* What was last accepted, once more: on its own connection, or carried to another. */
		if (!is_up(s, a) || a->in_flight || memcmp(a->digest, tr_fleet_agent(fleet_of(s, a), no)->head, 32) != 0) {
			g->trouble_at = s->now + 7000;
			push(s, g->trouble_at, W_TROUBLE, no, a->life);
			break;
		}
		make(s, no, g->role == R_REPLAY ? TR_SIM_REPLAY : TR_SIM_RELAY);
		ask(s, a, g->role == R_REPLAY ? a->p_conn : a->p_conn + 1000000000, &r);
		if (r.accepted || r.status == 200)
			falsely(s, no, "a copied pulse was accepted");
		break;
	case R_SWAP:
		make(s, no, TR_SIM_SWAP);
		start_process(s, a, false);
		a->hash = 2;
		next_try(s, no, s->now + between(s, 500, 5000));
		break;
	case R_REBOOT:
		/* Its last word, then silence, as the agent does it at SIGTERM. */
		a->life++;
		a->leaving = true;
		a->last_words = 0;
		send_pulse(s, no, TR_NOTICE_REBOOT, 900);
		push(s, s->now + between(s, 60000, 300000), W_COMEBACK, no, 0);
		break;
	case R_RESTART:
		start_process(s, a, false);
		next_try(s, no, s->now + between(s, 200, 3000));
		break;
	default: break;
	}
}

static void comeback(struct sim *s, uint32_t no)
{
	struct actor *a = &s->actors[no];
	struct agent *g = &s->agents[no];

	if (g->role == R_RESTORE && g->snapshot) {
		uint32_t life = a->life;

		memcpy(a, g->snapshot->p, sizeof(*a));
		a->life = life;
		/* From a disk image, or with its memory. */
		if (rnd(s) & 1)
			start_process(s, a, true);
		a->alive = true;
		a->in_flight = false;
		a->conn = ++s->conns;
		a->life = life + 1;
		g->first_sign_at = s->now;
	} else {
		start_process(s, a, true);
	}
	next_try(s, no, s->now + between(s, 100, 3000));
}

static void keep_snapshot(struct sim *s, uint32_t no)
{
	struct agent *g = &s->agents[no];

	g->snapshot = calloc(1, sizeof(*g->snapshot));
	if (g->snapshot)
		tr_buf_add(g->snapshot, &s->actors[no], sizeof(s->actors[no]));
}

/* ---- the plan ---- */

static uint32_t pick_healthy(struct sim *s)
{
	for (;;) {
		uint32_t no = (uint32_t)(rnd(s) % s->plan->agents);

		if (s->agents[no].role == R_HEALTHY)
			return no;
	}
}

static void cast_roles(struct sim *s, enum role role, uint32_t n)
{
	/* Early enough that the last one can still be noticed, late enough that everybody is known. */
	int64_t lo = START_MS + 600000, hi = s->end - 3600000;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t no = pick_healthy(s);
		struct agent *g = &s->agents[no];

		g->role = role;
		g->trouble_at = between(s, role == R_RESTORE ? lo + 1200000 : lo, hi);
		if (role == R_RESTORE) {
			int64_t since = g->trouble_at - lo - 300000;

			push(s, g->trouble_at - 300000 - between(s, 0, since < 21600000 ? since : 21600000), W_SNAPSHOT, no, 0);
		}
		push(s, g->trouble_at, W_TROUBLE, no, 0);
	}
}

static TR_RC prepare(struct sim *s, struct tr_err *err)
{
	const struct tr_sim_plan *p = s->plan;
	uint32_t troubles = p->kills + p->clones + p->restores + p->replays + p->relays + p->swaps + p->reboots +
			    p->agent_restarts;

	if (p->agents == 0 || p->hours < 2 || p->partitions == 0 || p->interval_s == 0 || troubles * 2 > p->agents)
		return tr_err_set(err, TR_E_INVALID,
				  "a plan needs agents, two hours or more, a partition, and fewer troubles than half of its agents",
				  "%u troubles, %u agents", troubles, p->agents);
	s->agents = calloc(p->agents, sizeof(*s->agents));
	s->actors = calloc(p->agents + p->clones, sizeof(*s->actors));
	if (!s->agents || !s->actors)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "agents");
	s->n_actors = p->agents;
	fill(s, s->key, sizeof(s->key));
	s->cut_partition = (uint32_t)(rnd(s) % p->partitions);
	for (uint32_t i = 0; i < p->agents; i++) {
		struct actor *a = &s->actors[i];

		(void)snprintf(s->agents[i].id, sizeof(s->agents[i].id), "a-%u", i);
		s->agents[i].partition = i % p->partitions;
		a->agent = i;
		a->node = i % s->n_nodes;
		a->hash = 1;
		fill(s, a->disk.boot_id, sizeof(a->disk.boot_id));
		start_process(s, a, false);
		a->sent_at = START_MS;
		next_try(s, i, START_MS + between(s, 0, (int64_t)p->interval_s * 1000));
	}
	return TR_OK;
}

static void schedule(struct sim *s)
{
	const struct tr_sim_plan *p = s->plan;
	int64_t lo = START_MS + 900000, hi = s->end - 1800000;

	cast_roles(s, R_KILL, p->kills);
	cast_roles(s, R_CLONE, p->clones);
	cast_roles(s, R_RESTORE, p->restores);
	cast_roles(s, R_REPLAY, p->replays);
	cast_roles(s, R_RELAY, p->relays);
	cast_roles(s, R_SWAP, p->swaps);
	cast_roles(s, R_REBOOT, p->reboots);
	cast_roles(s, R_RESTART, p->agent_restarts);
	for (uint32_t i = 0; i < p->agents; i++)
		if (happens(s, p->clock_steps_ppm))
			push(s, between(s, lo, hi), W_CLOCK, i, 0);
	for (uint32_t i = 0; i < p->server_restarts; i++)
		push(s, between(s, lo, hi), W_SERVER_DOWN, i % s->n_nodes, 0);
	for (uint32_t i = 0; i < p->node_changes; i++)
		push(s, between(s, lo, hi), W_NODE, i % s->n_nodes, 0);
	if (p->cut_minutes)
		push(s, between(s, lo, hi), W_CUT, 0, 0);
	push(s, START_MS + 1000, W_TICK, 0, 0);
	push(s, START_MS + SWEEP_MS, W_SWEEP, 0, 0);
}

static void step(struct sim *s, const struct event *e)
{
	struct tr_instant now = instant(s);
	bool stale = e->what <= W_ARRIVE && s->actors[e->actor].life != e->life;

	if (stale)
		return;
	switch (e->what) {
	case W_SEND:
		if (s->actors[e->actor].alive)
			send_pulse(s, e->actor, s->actors[e->actor].leaving ? TR_NOTICE_REBOOT : TR_NOTICE_NONE, 900);
		break;
	case W_ARRIVE:
		s->actors[e->actor].in_flight = false;
		if (s->actors[e->actor].alive)
			arrive(s, e->actor);
		break;
	case W_TROUBLE: begin_trouble(s, e->actor); break;
	case W_SNAPSHOT: keep_snapshot(s, e->actor); break;
	case W_COMEBACK: comeback(s, e->actor); break;
	case W_CLOCK:
		/* Of the others nobody could tell afterwards whose clock it was. */
		if (s->agents[e->actor].role == R_KILL || s->agents[e->actor].role == R_CLONE ||
		    s->agents[e->actor].role == R_RESTORE)
			break;
		s->agents[e->actor].clock_off_ms = rnd(s) & 1 ? 3600000 : -3600000;
		s->agents[e->actor].stepped = true;
		s->out->steps++;
		break;
	case W_TICK:
		for (uint32_t i = 0; i < s->n_nodes; i++)
			if (s->nodes[i].fleet)
				tr_fleet_tick(s->nodes[i].fleet, &now);
		push(s, s->now + 1000, W_TICK, 0, 0);
		break;
	case W_SWEEP:
		for (uint32_t i = 0; i < s->n_nodes; i++)
			if (s->nodes[i].fleet)
				(void)tr_fleet_sweep(s->nodes[i].fleet, SIZE_MAX, put, &s->nodes[i]);
		push(s, s->now + SWEEP_MS, W_SWEEP, 0, 0);
		break;
	case W_SERVER_DOWN:
		/* Killed: what was not swept is gone. */
		if (s->nodes[e->actor].fleet) {
			server_down(s, e->actor);
			push(s, s->now + between(s, 2000, 300000), W_SERVER_UP, e->actor, 0);
		}
		break;
	case W_SERVER_UP:
	case W_NODE:
		if (s->nodes[e->actor].fleet)
			server_down(s, e->actor);
		server_up(s, e->actor);
		break;
	case W_ROW: hear_row(s, e->actor, e->life); break;
	case W_ALERTS: hear_alerts(s, e->actor); break;
	case W_LEASE:
		/* Nobody renewed it: whoever is there takes it. */
		s->holder = NO_NODE;
		for (uint32_t i = 0; i < s->n_nodes && s->holder == NO_NODE; i++)
			if (s->nodes[i].fleet)
				hold(s, i);
		break;
	case W_CUT:
		s->cut = true;
		s->out->cuts++;
		push(s, s->now + (int64_t)s->plan->cut_minutes * 60000, W_CUT_OVER, 0, 0);
		break;
	case W_CUT_OVER: s->cut = false; break;
	}
}

static void conclude(struct sim *s)
{
	struct tr_sim_result *r = s->out;

	for (uint32_t i = 0; i < s->plan->agents; i++) {
		static const int of_role[R_N] = { -1, TR_SIM_KILL, TR_SIM_CLONE, TR_SIM_RESTORE, TR_SIM_REPLAY,
						  TR_SIM_RELAY, TR_SIM_SWAP, -1, -1 };

		if (of_role[s->agents[i].role] >= 0 && !s->agents[i].named)
			story(s, "not_seen", i, tr_sim_trouble_name((enum tr_sim_trouble)of_role[s->agents[i].role]));
	}
	r->clone_beats_worst = (uint32_t)((r->tally[TR_SIM_CLONE].worst_ms + (int64_t)s->plan->interval_s * 1000 - 1) /
					  (s->plan->interval_s * 1000));
	r->good = r->false_verdicts == 0 && r->wrong_desyncs == 0 && r->incidents == r->cuts && r->desyncs == r->steps;
	for (int t = 0; t < TR_SIM_TROUBLES; t++)
		r->good = r->good && r->tally[t].made == r->tally[t].seen && r->tally[t].misnamed == 0;
}

static void done(struct sim *s)
{
	for (uint32_t i = 0; s->agents && i < s->plan->agents; i++) {
		tr_buf_done(&s->agents[i].row);
		if (s->agents[i].snapshot)
			tr_buf_done(s->agents[i].snapshot);
		free(s->agents[i].snapshot);
	}
	free(s->agents);
	free(s->actors);
	free(s->heap);
	tr_buf_done(&s->alerts);
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		tr_buf_done(&s->mail[i]);
		s->nodes[i].fleet = tr_fleet_free(s->nodes[i].fleet);
	}
}

TR_RC tr_sim_run(const struct tr_sim_plan *plan, struct tr_sim_result *ret, struct tr_err *err)
{
	struct sim s = { .plan = plan, .out = ret, .now = START_MS, .n_nodes = plan->nodes > 1 ? NODES_MAX : 1, .holder = NO_NODE };
	enum tr_code rc;

	*ret = (struct tr_sim_result){ 0 };
	s.rng[0] = plan->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	s.rng[1] = plan->seed ^ UINT64_C(0xbf58476d1ce4e5b9);
	for (int i = 0; i < 20; i++)
		(void)rnd(&s);
	s.end = START_MS + (int64_t)plan->hours * 3600000;
	rc = prepare(&s, err);
	if (!rc) {
		schedule(&s);
		for (uint32_t i = 0; i < s.n_nodes; i++) {
			s.nodes[i].sim = &s;
			s.nodes[i].no = i;
			server_up(&s, i);
		}
		while (!s.failed && s.n_heap && s.heap[0].at < s.end) {
			struct event e = pop(&s);

			s.now = e.at;
			step(&s, &e);
		}
		if (s.failed)
			rc = tr_err_set(err, TR_E_INTERNAL, "out of memory", "simulation");
	}
	if (!rc) {
		for (uint32_t i = 0; i < s.n_nodes; i++)
			if (s.nodes[i].fleet)
				server_down(&s, i);
		conclude(&s);
	}
	done(&s);
	return rc;
}
