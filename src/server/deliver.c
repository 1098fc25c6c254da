/* SPDX-License-Identifier: Apache-2.0 */
#include "server/deliver.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/authority.h"

#define ANSWER_BYTES ((size_t)256 << 10)
#define MARK_BYTES ((size_t)600 << 10) /* of a transaction */
#define TICK_MS 1000

/* ---- how long, how many ---- */

uint64_t tr_deliver_wait_s(const struct tr_core *c, const struct tr_item *i)
{
	const struct tr_fleet_agent *a = tr_fleet_agent(c->fleet, i->no);
	uint64_t interval = a && a->interval_s ? a->interval_s : c->cfg->heartbeat_seconds;

	/* Each waiting question holds a connection and a little memory; with very many agents pulses tell soon enough. */
	if (c->agents.n > c->cfg->command_wait_agents)
		return 0;
	/* The next pulse goes over the same connection, after the answer. */
	interval = interval > 3 ? interval - 2 : 1;
	return interval < TR_WAIT_MAX_S ? interval : TR_WAIT_MAX_S;
}

static bool is_due(const struct tr_live *l, int64_t wall_ms, int64_t now_ms)
{
	return !l->busy && !l->resign && !l->orphan &&
	       tr_out_due((enum tr_out)l->state, l->give_until_ms, l->given_ms, wall_ms, now_ms);
}

uint64_t tr_deliver_pending(const struct tr_core *c, const struct tr_item *i, const struct tr_instant *now)
{
	const struct tr_box *b = tr_box_find(c, i->no);
	uint64_t n = 0;

	for (uint32_t k = b ? b->first : TR_NO_LIVE; k != TR_NO_LIVE; k = c->orders->live[k].next)
		n += is_due(&c->orders->live[k], now->wall_ns / 1000000, now->ms);
	return n;
}

/* ---- the end of a round ---- */

static void on_round_end(void *arg);

static void at_round_end(struct tr_core *c)
{
	struct tr_err err = { 0 };

	/* Without it the tick does the same within a second. */
	if (!c->orders->round_scheduled && c->loop && !tr_loop_defer(c->loop, on_round_end, c, &err))
		c->orders->round_scheduled = true;
}

void tr_deliver_wake(struct tr_core *c, struct tr_box *b)
{
	if (!b->asking || b->to_wake)
		return;
	b->to_wake = true;
	b->wake_next = c->orders->to_wake;
	c->orders->to_wake = b;
	at_round_end(c);
}

static void marked(void *arg, enum tr_code rc, const char *why)
{
	(void)arg;
	/* Then it is given again, and the agent's journal answers. */
	if (rc)
		tr_log(TR_LOG_WARN, "delivery_not_stored", "why", why, NULL);
}

/* Commands that were handed out in this round are sent: after the deed, because to be told twice does no harm. */
static void mark_given(struct tr_core *c)
{
	struct tr_orders *o = c->orders;
	struct tr_tx *tx = NULL;

	for (uint32_t k = 0; k < o->n_given; k++) {
		struct tr_live *l = tr_live_at(c, o->given[k]);
		struct tr_command_row row;

		if (!l || !l->given)
			continue;
		l->given = false;
		/* A receipt or another change is on its way already, and it says so too. */
		if (l->busy || !tr_out_may((enum tr_out)l->state, TR_OUT_SENT))
			continue;
		row = tr_command_now(c, l);
		tr_out_enter(&row, TR_OUT_SENT, 0);
		row.sent_at = l->sent_at;
		row.attempts = l->attempts;
		if (!tx)
			tx = tr_tx_new(c);
		tr_tx_add(tx, TR_OP_PUT, TR_T_COMMAND, &row);
		if (tr_tx_bytes(tx) > MARK_BYTES)
			tr_tx_commit(TR_TAKE(tx), marked, NULL);
	}
	o->n_given = 0;
	if (tx)
		tr_tx_commit(tx, marked, NULL);
}

static void note_given(struct tr_core *c, struct tr_live *l, const struct tr_instant *now)
{
	struct tr_orders *o = c->orders;

	l->given_ms = now->ms;
	l->sent_at = now->wall_ns / 1000000;
	l->attempts = (uint8_t)(l->attempts < 255 ? l->attempts + 1 : 255);
	if (l->given)
		return;
	if (o->n_given == o->cap_given) {
		uint32_t cap = o->cap_given ? o->cap_given * 2 : 64;
		uint32_t *grown = realloc(o->given, cap * sizeof(*grown));

		if (!grown)
			return; /* its row does not say that it was sent; the receipt's will */
		o->given = grown;
		o->cap_given = cap;
	}
	l->given = true;
	o->given[o->n_given++] = tr_live_no(c, l);
	at_round_end(c);
}

/* ---- questions ---- */

static void forget_question(struct tr_core *c, struct tr_box *b)
{
	if (!b->asking)
		return;
	b->asking = false;
	if (b->asking_prev)
		b->asking_prev->asking_next = b->asking_next;
	else
		c->orders->asking = b->asking_next;
	if (b->asking_next)
		b->asking_next->asking_prev = b->asking_prev;
	b->asking_prev = b->asking_next = NULL;
	c->orders->n_asking--;
}

static struct tr_req req_of(struct tr_core *c, const struct tr_box *b)
{
	return (struct tr_req){ .core = c, .front = b->front, .front_gen = b->front_gen, .id = b->question,
				.q.route = TR_RT_AGENT_COMMANDS };
}

static void keep_question(struct tr_core *c, struct tr_box *b, const struct tr_req *r, int64_t until_ms)
{
	struct tr_orders *o = c->orders;

	b->asking = true;
	b->front = r->front;
	b->front_gen = r->front_gen;
	b->question = r->id;
	b->until_ms = until_ms;
	b->asking_prev = NULL;
	b->asking_next = o->asking;
	if (o->asking)
		o->asking->asking_prev = b;
	o->asking = b;
	o->n_asking++;
}

/* What is due, oldest first; b may be NULL. The rows live in rooms until it is encoded. */
static size_t answer(struct tr_core *c, struct tr_req *r, struct tr_box *b, const struct tr_item *i, bool even_nothing)
{
	struct tr_instant now = tr_core_now(c);
	struct tr_delivery d = { .keyset_epoch = c->keyset_epoch, .wait_s = tr_deliver_wait_s(c, i) };
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;
	struct tr_row_room *rooms = NULL;
	size_t bytes = 0;

	for (uint32_t k = b ? b->first : TR_NO_LIVE; k != TR_NO_LIVE && d.n < TR_DELIVERY_MAX && bytes < ANSWER_BYTES;
	     k = c->orders->live[k].next) {
		struct tr_live *l = &c->orders->live[k];
		const struct tr_command_row *row;

		if (!is_due(l, now.wall_ns / 1000000, now.ms))
			continue;
		if (!rooms && !(rooms = malloc(TR_DELIVERY_MAX * sizeof(*rooms))))
			break;
		row = tr_item_row(&c->commands, tr_table_get(&c->commands, tr_view_str(l->id)), &rooms[d.n]);
		d.commands[d.n++] = row->command;
		bytes += row->command.n;
		note_given(c, l, &now);
	}
	if (d.n || even_nothing) {
		tr_delivery_put(&d, &out);
		tr_req_answer(r, 200, TR_CT_CBOR, tr_buf_view(&out));
	}
	free(rooms);
	return d.n;
}

static void end_question(struct tr_core *c, struct tr_box *b, bool even_nothing)
{
	struct tr_req r = req_of(c, b);
	const struct tr_fleet_agent *a = tr_fleet_agent(c->fleet, b->agent);
	const struct tr_item *i = a ? tr_table_get(&c->agents, tr_view_str(a->id)) : NULL;

	if (b->asking && (!i || answer(c, &r, b, i, even_nothing) || even_nothing))
		forget_question(c, b);
}

static void on_round_end(void *arg)
{
	struct tr_core *c = arg;
	struct tr_orders *o = c->orders;
	struct tr_box *b;

	while ((b = o->to_wake)) {
		o->to_wake = b->wake_next;
		b->to_wake = false;
		end_question(c, b, false);
	}
	o->round_scheduled = false;
	mark_given(c);
}

void tr_deliver_wake_all(struct tr_core *c)
{
	while (c->orders->asking)
		end_question(c, c->orders->asking, true);
}

void tr_deliver_end(struct tr_core *c, uint32_t agent)
{
	struct tr_box *b = tr_box_find(c, agent);
	const struct tr_fleet_agent *a = tr_fleet_agent(c->fleet, agent);
	const struct tr_item *i = a ? tr_table_get(&c->agents, tr_view_str(a->id)) : NULL;
	struct tr_req r;

	if (!b || !b->asking || !i)
		return;
	r = req_of(c, b);
	forget_question(c, b);
	if (tr_view_is(tr_agent_now(c, i).state, "active"))
		(void)answer(c, &r, NULL, i, true);
	else
		tr_req_refuse(&r, 403, "agent_revoked",
			      "an operator has revoked or removed this agent; ask for a new registration token and enrol under a new id");
}

void tr_deliver_tick(struct tr_core *c, const struct tr_instant *now)
{
	struct tr_box *next;

	for (struct tr_box *b = c->orders->asking; b; b = next) {
		next = b->asking_next;
		/* The tick before is nearer than the one after. Meanwhile something may have become due again. */
		end_question(c, b, now->ms + TICK_MS / 2 >= b->until_ms);
	}
	on_round_end(c);
}

void tr_api_agent_commands(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_core_agent_of(c, r);
	struct tr_in_wait in;
	struct tr_err err = { 0 };
	struct tr_box *b;
	uint64_t wait;

	if (!i)
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	wait = tr_deliver_wait_s(c, i) ? in.wait : 0;
	wait = wait < TR_WAIT_MAX_S ? wait : TR_WAIT_MAX_S;
	b = wait ? tr_box_of(c, i->no) : tr_box_find(c, i->no);
	if (b && r->q.exporter.n >= sizeof(b->connection) &&
	    memcmp(b->connection, r->q.exporter.p, sizeof(b->connection)) != 0) {
		/* What was said on the connection before may never have arrived. */
		memcpy(b->connection, r->q.exporter.p, sizeof(b->connection));
		for (uint32_t k = b->first; k != TR_NO_LIVE; k = c->orders->live[k].next)
			if (c->orders->live[k].state == TR_OUT_SENT)
				c->orders->live[k].given_ms = 0;
	}
	/* The older one's connection may be long gone. */
	if (b && b->asking) {
		struct tr_req older = req_of(c, b);

		forget_question(c, b);
		(void)answer(c, &older, NULL, i, true);
	}
	if (answer(c, r, b, i, !wait || !b))
		return;
	if (wait && b)
		keep_question(c, b, r, tr_core_now(c).ms + (int64_t)wait * 1000);
}
