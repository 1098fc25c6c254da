/* SPDX-License-Identifier: Apache-2.0 */
/* What the fleet concludes, on its way out: events and alerts to the store, alerts to egress. The effects of one round of
 * the loop share a transaction, and one transaction is under way at a time. While the store is down they wait here, the
 * least severe ones given up first: memory is bounded whatever happens out there. */
#include "server/core.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

#define WAITING_MAX ((size_t)8 << 20)        /* bytes */
#define ALERTS_WAITING_MAX ((size_t)32 << 20)
#define BATCH_MAX ((size_t)256 << 10)
#define EVIDENCE_MAX 2048
/* Events of one agent: it decides how often its own state changes, so it must not fill the disk. */
#define EVENT_STEP_MS 15000u
#define EVENT_BURST 20u
#define STRANGERS_STEP_MS 2000u
#define STRANGERS_BURST 200u
#define EGRESS_QUEUE_MAX ((size_t)1 << 20)

enum { LANE_ALERTS, LANE_WORST, LANE_LEARNED = 3, LANE_N = 6 }; /* lane of an event is its severity */

/* Each class has its own budget: what an agent says of small things, or what a stranger sends in its name, must not use
 * up that of its worst. */
enum { PACE_REFUSED, PACE_WORST, PACE_BAD, PACE_REST, PACE_N };

struct effect {
	struct effect *next;
	uint64_t order;
	size_t n;
	unsigned lane;
	uint8_t op[]; /* as tr_op_encode made it */
};

struct lane {
	struct effect *head, **tail;
};

struct tr_effects {
	struct tr_core *c;
	struct lane lanes[LANE_N], batch; /* batch: sent, not yet durable */
	size_t bytes, alert_bytes, waiting;
	uint64_t order, lost;
	bool scheduled, busy;
	bool missed; /* egress was not told of something */
	struct tr_pace pace[PACE_N], strangers;
};

static void lane_clear(struct lane *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static void lane_add(struct lane *l, struct effect *x)
{
	x->next = NULL;
	*l->tail = x;
	l->tail = &x->next;
}

static struct effect *lane_take(struct lane *l)
{
	struct effect *x = l->head;

	if (x) {
		l->head = x->next;
		if (!l->head)
			l->tail = &l->head;
	}
	return x;
}

struct tr_effects *tr_effects_new(struct tr_core *c)
{
	struct tr_effects *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->c = c;
	for (unsigned i = 0; i < LANE_N; i++)
		lane_clear(&e->lanes[i]);
	lane_clear(&e->batch);
	return e;
}

struct tr_effects *tr_effects_free(struct tr_effects *e)
{
	if (!e)
		return NULL;
	for (unsigned i = 0; i < LANE_N; i++)
		for (struct effect *x; (x = lane_take(&e->lanes[i]));)
			free(x);
	for (struct effect *x; (x = lane_take(&e->batch));)
		free(x);
	free(e);
	return NULL;
}

static size_t *bytes_of(struct tr_effects *e, unsigned lane)
{
	return lane == LANE_ALERTS ? &e->alert_bytes : &e->bytes;
}

static void drop(struct tr_effects *e, unsigned lane)
{
	struct effect *x = lane_take(&e->lanes[lane]);

	*bytes_of(e, lane) -= x->n;
	e->waiting--;
	e->lost++;
	e->c->metrics.events_lost++;
	free(x);
}

static void make_room(struct tr_effects *e)
{
	for (unsigned lane = LANE_N - 1; lane >= LANE_WORST && e->bytes > WAITING_MAX;)
		if (e->lanes[lane].head)
			drop(e, lane);
		else
			lane--;
	while (e->alert_bytes > ALERTS_WAITING_MAX && e->lanes[LANE_ALERTS].head)
		drop(e, LANE_ALERTS);
}

/* ---- to the store ---- */

static void flushed(void *arg, enum tr_code rc, const char *why)
{
	struct tr_effects *e = arg;
	/* A row that the store will never take would hold up all others for ever. */
	bool again = rc != TR_OK && rc != TR_E_INVALID && rc != TR_E_CONFLICT;
	struct lane back[LANE_N];
	struct effect *x;

	e->busy = false;
	if (rc)
		tr_log(TR_LOG_ERROR, "events_not_stored", "why", why, NULL);
	for (unsigned i = 0; i < LANE_N; i++)
		lane_clear(&back[i]);
	while ((x = lane_take(&e->batch))) {
		if (again) {
			*bytes_of(e, x->lane) += x->n;
			e->waiting++;
			lane_add(&back[x->lane], x);
		} else {
			free(x);
		}
	}
	/* In front of what has come since. */
	for (unsigned i = 0; again && i < LANE_N; i++) {
		while ((x = lane_take(&e->lanes[i])))
			lane_add(&back[i], x);
		while ((x = lane_take(&back[i])))
			lane_add(&e->lanes[i], x);
	}
	make_room(e);
	if (!again)
		tr_effects_flush(e);
}

static struct effect *take_oldest(struct tr_effects *e)
{
	unsigned best = LANE_N;
	struct effect *x;

	for (unsigned i = 0; i < LANE_N; i++)
		if (e->lanes[i].head && (best == LANE_N || e->lanes[i].head->order < e->lanes[best].head->order))
			best = i;
	x = best < LANE_N ? lane_take(&e->lanes[best]) : NULL;
	if (x) {
		*bytes_of(e, x->lane) -= x->n;
		e->waiting--;
	}
	return x;
}

void tr_effects_flush(struct tr_effects *e)
{
	struct tr_tx *tx;
	struct effect *x;

	if (e->busy || !e->waiting || !e->c->store || !e->c->store_ok || !(tx = tr_tx_new(e->c)))
		return;
	while (tr_tx_bytes(tx) < BATCH_MAX && (x = take_oldest(e))) {
		tr_tx_add_encoded(tx, tr_view(x->op, x->n));
		lane_add(&e->batch, x);
	}
	e->busy = true;
	tr_tx_commit(tx, flushed, e);
}

static void said_last(void *arg, enum tr_code rc, const char *why)
{
	(void)arg;
	if (rc)
		tr_log(TR_LOG_ERROR, "events_not_stored", "why", why, NULL);
}

void tr_effects_last(struct tr_effects *e)
{
	struct tr_tx *tx;
	struct effect *x;

	while (e->waiting && (tx = tr_tx_new(e->c))) {
		while (tr_tx_bytes(tx) < BATCH_MAX && (x = take_oldest(e))) {
			tr_tx_add_encoded(tx, tr_view(x->op, x->n));
			free(x);
		}
		tr_tx_commit(tx, said_last, NULL);
	}
}

static void on_round_end(void *arg)
{
	struct tr_effects *e = arg;

	e->scheduled = false;
	tr_effects_flush(e);
}

static void enqueue(struct tr_effects *e, unsigned lane, const struct tr_buf *ops)
{
	struct effect *x = tr_buf_ok(ops) ? malloc(sizeof(*x) + ops->n) : NULL;
	struct tr_err err = { 0 };

	if (!x) {
		tr_log(TR_LOG_ERROR, "event_lost", "why", tr_buf_ok(ops) ? "out of memory" : "its row breaks a rule", NULL);
		e->lost++;
		e->c->metrics.events_lost++;
		return;
	}
	*x = (struct effect){ .order = ++e->order, .n = ops->n, .lane = lane };
	memcpy(x->op, ops->p, ops->n);
	lane_add(&e->lanes[lane], x);
	*bytes_of(e, lane) += x->n;
	e->waiting++;
	make_room(e);
	if (!e->scheduled && e->c->loop && !tr_loop_defer(e->c->loop, on_round_end, e, &err))
		e->scheduled = true;
}

/* What an operator looks for in the audit log, because it says something about the system and not about the weather. */
static const char *audited(enum tr_event_kind kind)
{
	switch (kind) {
	case TR_EV_BINARY_CHANGED: return "agent.binary_changed";
	case TR_EV_BPF_CHANGED: return "agent.bpf_changed";
	case TR_EV_LSM_CHANGED: return "agent.lsm_changed";
	case TR_EV_FORKED: return "agent.forked";
	case TR_EV_RESTORED: return "agent.restored";
	case TR_EV_KEY_RENEWED: return "agent.key_renewed";
	case TR_EV_FRONT_LIED: return "server.front_lied";
	default: return NULL;
	}
}

static void add_audit(const struct tr_event *ev, struct tr_buf *ops)
{
	char actor[80] = "system";
	struct tr_audit_row row = {
		.time = tr_now_ms(),
		.action = tr_view_str(audited(ev->kind)),
		.object = ev->agent_id,
		.outcome = TR_VIEW_LIT("noted"),
		.source = ev->source,
		.detail = ev->detail.n && ev->detail.n <= 4096 ? ev->detail : TR_VIEW_LIT("{}"),
	};

	if (ev->agent_id.n && ev->kind != TR_EV_FRONT_LIED)
		(void)snprintf(actor, sizeof(actor), "agent:%.*s", TR_VIEW_FMT(ev->agent_id));
	row.actor = tr_view_str(actor);
	tr_op_encode(ops, TR_OP_APPEND, TR_T_AUDIT, &row);
}

/* A verdict that matters is as durable as its event: a server killed before the next sweep comes back with it. */
static void add_state(const struct tr_fleet *f, uint32_t agent, struct tr_buf *ops)
{
	tr_auto(tr_buf_done) struct tr_buf scratch = TR_BUF_INIT;
	struct tr_pulse_row row;

	tr_fleet_row(f, agent, &scratch, &row);
	tr_op_encode(ops, TR_OP_PUT, TR_T_PULSE, &row);
}

/* Sent by whoever: the agent is only whom it names. */
static bool is_strangers(enum tr_event_kind kind)
{
	return kind == TR_EV_BAD_SIGNATURE || kind == TR_EV_WRONG_AGENT || kind == TR_EV_MALFORMED || kind == TR_EV_RELAYED;
}

static uint32_t number_of(struct tr_view source)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < source.n; i++)
		h = (h ^ source.p[i]) * 16777619u;
	return h;
}

static bool in_time(struct tr_effects *e, const struct tr_event *ev, unsigned lane)
{
	bool strangers = is_strangers(ev->kind);
	unsigned class = strangers ? PACE_REFUSED : lane <= 1 ? PACE_WORST : lane == 2 ? PACE_BAD : PACE_REST;

	if (ev->agent == TR_NO_AGENT && !strangers)
		return true;
	/* However many addresses they come from, this much of the disk is theirs. */
	if (strangers && !tr_pace_allow(&e->strangers, 0, tr_mono_ms(), STRANGERS_STEP_MS, STRANGERS_BURST))
		return false;
	return tr_pace_allow(&e->pace[class], strangers ? number_of(ev->source) : ev->agent, tr_mono_ms(), EVENT_STEP_MS,
			     EVENT_BURST);
}

void tr_effects_event(void *arg, const struct tr_event *ev)
{
	struct tr_effects *e = arg;
	tr_auto(tr_buf_done) struct tr_buf ops = TR_BUF_INIT;
	unsigned lane = ev->severity < 1 ? 1 : ev->severity > 5 ? 5 : ev->severity;
	struct tr_event_row row = {
		.time = tr_now_ms(),
		.kind = tr_view_str(tr_event_name(ev->kind)),
		.agent = ev->agent_id,
		.source = ev->source,
		.severity = lane,
		.detail = ev->detail.n ? ev->detail : TR_VIEW_LIT("{}"),
		.evidence = tr_view(ev->evidence.p, ev->evidence.n < EVIDENCE_MAX ? ev->evidence.n : EVIDENCE_MAX),
	};

	e->c->metrics.binary_changes += ev->kind == TR_EV_BINARY_CHANGED;
	if (!in_time(e, ev, lane)) {
		e->c->metrics.events_unrecorded++;
		return;
	}
	if (lane <= 3)
		tr_log(ev->kind == TR_EV_FRONT_LIED ? TR_LOG_ERROR : TR_LOG_WARN, tr_event_name(ev->kind), "agent",
		       tr_fmt_view(ev->agent_id), "source", tr_fmt_view(ev->source), "detail", tr_fmt_view(ev->detail), NULL);
	tr_op_encode(&ops, TR_OP_APPEND, TR_T_EVENT, &row);
	if (ev->kind == TR_EV_VERDICT && lane <= 3)
		add_state(e->c->fleet, ev->agent, &ops);
	if (audited(ev->kind))
		add_audit(ev, &ops);
	enqueue(e, lane, &ops);
}

/* ---- to egress ---- */

static bool tell(struct tr_effects *e, const struct tr_alert_row *row)
{
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	struct tr_msg_notify m;

	/* One node tells; it hears of what others found by their rows. */
	if (!e->c->egress_up || !tr_core_holds(e->c))
		return false;
	/* What does not fit is not lost: it stays undelivered, and is told when there is room. */
	if (tr_chan_queued(e->c->egress) > EGRESS_QUEUE_MAX) {
		e->missed = true;
		return false;
	}
	tr_record_encode(&tr_alert_def, row, &bytes);
	m.alert = tr_buf_view(&bytes);
	if (tr_buf_ok(&bytes))
		tr_chan_send_record(e->c->egress, TR_M_NOTIFY, 0, &tr_msg_notify_def, &m);
	return true;
}

void tr_effects_tell(struct tr_effects *e, const struct tr_alert_row *row)
{
	(void)tell(e, row);
}

void tr_effects_alert(void *arg, const struct tr_alert_row *row)
{
	struct tr_effects *e = arg;
	tr_auto(tr_buf_done) struct tr_buf ops = TR_BUF_INIT;

	if (row->rev > row->notified) {
		tr_log(row->severity <= 2 ? TR_LOG_WARN : TR_LOG_INFO, "alert", "id", tr_fmt_view(row->id), "kind",
		       tr_fmt_view(row->kind), "subject", tr_fmt_view(row->subject), "state", tr_fmt_view(row->state), NULL);
		/* Told before it is durable: a full disk is no reason to keep an alert to oneself. */
		(void)tell(e, row);
	}
	tr_op_encode(&ops, TR_OP_PUT, TR_T_ALERT, row);
	enqueue(e, LANE_ALERTS, &ops);
}

void tr_effects_bpf_ref(void *arg, const struct tr_bpf_ref_row *row)
{
	tr_auto(tr_buf_done) struct tr_buf ops = TR_BUF_INIT;

	tr_op_encode(&ops, TR_OP_PUT, TR_T_BPF_REF, row);
	enqueue(arg, LANE_LEARNED, &ops);
}

static bool tell_again(void *arg, const struct tr_alert_row *row)
{
	return tell(arg, row);
}

void tr_effects_tick(struct tr_effects *e)
{
	tr_effects_flush(e);
	if (e->missed && e->c->egress_up && tr_chan_queued(e->c->egress) == 0)
		tr_effects_egress_up(e);
}

void tr_effects_egress_up(struct tr_effects *e)
{
	e->missed = false;
	tr_alerts_undelivered(tr_fleet_alerts(e->c->fleet), tell_again, e);
}

void tr_effects_notified(struct tr_effects *e, const struct tr_msg_notified *m)
{
	if (m->delivered)
		tr_alerts_notified(tr_fleet_alerts(e->c->fleet), m->id, m->rev);
}

uint64_t tr_effects_lost(const struct tr_effects *e)
{
	return e->lost;
}

size_t tr_effects_waiting(const struct tr_effects *e)
{
	return e->waiting;
}
