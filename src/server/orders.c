/* SPDX-License-Identifier: Apache-2.0 */
/* Which commands are not over and whose they are, which numbers were given, and what the clock makes of them. */
#include "server/orders.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/cbor.h"
#include "server/authority.h"
#include "server/deliver.h"

#define LINE "outbox.line"
#define AT_ONCE 1024u /* commands that the tick ends or signs in one go */

/* ---- boxes ---- */

struct tr_orders *tr_orders_new(void)
{
	struct tr_orders *o = calloc(1, sizeof(*o));

	if (o)
		o->free_live = TR_NO_LIVE;
	return o;
}

struct tr_orders *tr_orders_free(struct tr_orders *o)
{
	if (!o)
		return NULL;
	for (uint32_t k = 0; k < o->n_boxes; k++)
		free(o->boxes[k]);
	free(o->boxes);
	free(o->live);
	free(o->given);
	free(o);
	return NULL;
}

struct tr_box *tr_box_find(const struct tr_core *c, uint32_t agent)
{
	return agent < c->orders->n_boxes ? c->orders->boxes[agent] : NULL;
}

struct tr_box *tr_box_of(struct tr_core *c, uint32_t agent)
{
	struct tr_orders *o = c->orders;
	struct tr_box *b = tr_box_find(c, agent);

	if (b || agent == TR_NO_AGENT)
		return b;
	if (agent >= o->n_boxes) {
		uint32_t n = agent + agent / 2 + 64;
		struct tr_box **grown = realloc(o->boxes, n * sizeof(*grown));

		if (!grown)
			return NULL;
		memset(grown + o->n_boxes, 0, (n - o->n_boxes) * sizeof(*grown));
		o->boxes = grown;
		o->n_boxes = n;
	}
	b = calloc(1, sizeof(*b));
	if (b) {
		b->agent = agent;
		b->first = b->last = TR_NO_LIVE;
	}
	return o->boxes[agent] = b;
}

/* ---- live commands ---- */

struct tr_live *tr_live_at(const struct tr_core *c, uint32_t no)
{
	return no < c->orders->n_live && c->orders->live[no].id[0] ? &c->orders->live[no] : NULL;
}

uint32_t tr_live_no(const struct tr_core *c, const struct tr_live *l)
{
	return (uint32_t)(l - c->orders->live);
}

struct tr_live *tr_live_find(const struct tr_core *c, struct tr_view id)
{
	const struct tr_item *i = tr_table_get(&c->commands, id);

	return i ? tr_live_at(c, i->no) : NULL;
}

static struct tr_live *new_live(struct tr_orders *o)
{
	struct tr_live *l;

	if (o->free_live != TR_NO_LIVE) {
		l = &o->live[o->free_live];
		o->free_live = l->next;
		return l;
	}
	if (o->n_live == o->cap_live) {
		uint32_t cap = o->cap_live ? o->cap_live * 2 : 256;
		struct tr_live *grown = realloc(o->live, cap * sizeof(*grown));

		if (!grown)
			return NULL;
		o->live = grown;
		o->cap_live = cap;
	}
	return &o->live[o->n_live++];
}

static struct tr_live *add_live(struct tr_core *c, const struct tr_command_row *row, struct tr_item *item)
{
	const struct tr_item *agent = tr_table_get(&c->agents, row->agent);
	struct tr_box *b = agent ? tr_box_of(c, agent->no) : NULL;
	struct tr_live *l = b ? new_live(c->orders) : NULL;

	if (!l)
		return NULL;
	*l = (struct tr_live){ .agent = agent->no, .prev = b->last, .next = TR_NO_LIVE };
	(void)snprintf(l->id, sizeof(l->id), "%.*s", TR_VIEW_FMT(row->id));
	item->no = tr_live_no(c, l);
	if (b->last != TR_NO_LIVE)
		c->orders->live[b->last].next = item->no;
	else
		b->first = item->no;
	b->last = item->no;
	b->n++;
	return l;
}

static void remove_live(struct tr_core *c, struct tr_live *l)
{
	struct tr_orders *o = c->orders;
	struct tr_box *b = o->boxes[l->agent];

	if (l->prev != TR_NO_LIVE)
		o->live[l->prev].next = l->next;
	else
		b->first = l->next;
	if (l->next != TR_NO_LIVE)
		o->live[l->next].prev = l->prev;
	else
		b->last = l->prev;
	b->n--;
	*l = (struct tr_live){ .next = o->free_live };
	o->free_live = tr_live_no(c, l);
}

size_t tr_approvals_count(struct tr_view approvals)
{
	struct tr_cbor r = tr_cbor_reader(approvals);

	return approvals.n ? tr_cbor_array(&r, 16) : 0;
}

bool tr_approvals_enough(const struct tr_command_row *row)
{
	return row->class < TR_CLASS_N &&
	       tr_approvals_count(row->approvals) >= tr_cmd_approvals((enum tr_cmd_class)row->class);
}

/* A signature that agents will not take any more, or that nobody should take. */
static bool key_is_revoked(const struct tr_core *c, struct tr_view key_id)
{
	const struct tr_skey_row *k = key_id.n && c->skeys.in ? TR_ROW(&c->skeys, tr_table_get(&c->skeys, key_id)) : NULL;

	return k && tr_view_is(k->state, "revoked");
}

static void take_in(struct tr_core *c, struct tr_live *l, const struct tr_command_row *row, enum tr_out state)
{
	bool anew = l->seq != row->seq || l->line != row->line;

	l->state = (uint8_t)state;
	l->cmd = (uint8_t)tr_cmd_of(row->type);
	l->class = (uint8_t)row->class;
	l->approvals = (uint8_t)tr_approvals_count(row->approvals);
	l->line = row->line;
	l->seq = row->seq;
	l->expires_ms = row->expires_at;
	l->give_until_ms = tr_approvals_until(row->approvals);
	if (l->give_until_ms > row->expires_at)
		l->give_until_ms = row->expires_at;
	l->sent_at = row->sent_at > l->sent_at ? row->sent_at : l->sent_at;
	l->attempts = (uint8_t)(row->attempts < 255 ? row->attempts : 255);
	l->resign = (state == TR_OUT_PENDING || state == TR_OUT_SENT || state == TR_OUT_RECEIVED) &&
		    key_is_revoked(c, row->key_id);
	if (anew)
		l->given_ms = 0;
}

bool tr_orders_follow(struct tr_core *c, enum tr_op op, const struct tr_command_row *row)
{
	struct tr_live *l = tr_live_find(c, row->id);
	enum tr_out state = tr_out_of(row->state);
	enum tr_cmd cmd = tr_cmd_of(row->type);
	struct tr_item *item;

	if (op != TR_OP_DELETE && state < TR_OUT_N && cmd < TR_CMD_N && (!l || l->state != state))
		c->orders->counted[cmd][state]++;
	if (op == TR_OP_DELETE || row->ended_at || state == TR_OUT_N || cmd == TR_CMD_N || row->class >= TR_CLASS_N) {
		if (l)
			remove_live(c, l);
		tr_table_del(&c->commands, row->id);
		return true;
	}
	item = tr_table_put(&c->commands, row);
	if (!item || (!l && !(l = add_live(c, row, item))))
		return false;
	take_in(c, l, row, state);
	if (state == TR_OUT_PENDING && !l->given_ms)
		tr_deliver_wake(c, c->orders->boxes[l->agent]);
	return true;
}

bool tr_orders_numbered(struct tr_core *c, const struct tr_outbox_row *row)
{
	const struct tr_item *agent = tr_table_get(&c->agents, row->agent);
	struct tr_box *b = agent ? tr_box_of(c, agent->no) : NULL;

	if (!tr_table_put(&c->outboxes, row) || (agent && !b))
		return false;
	if (!b)
		return true;
	/* Later ones may be given already, on their way to the store. */
	if (row->line > b->line || (row->line == b->line && row->seq > b->given)) {
		b->line = row->line;
		b->given = row->seq;
	}
	b->quarantined_at = row->quarantined_at;
	return true;
}

/* ---- start ---- */

bool tr_orders_loaded(struct tr_core *c)
{
	struct tr_item *i;

	TR_EACH_ITEM(&c->outboxes, i) {
		const struct tr_outbox_row row = *(const struct tr_outbox_row *)TR_ROW(&c->outboxes, i);

		if (!tr_orders_numbered(c, &row))
			return false;
	}
	TR_EACH_ITEM(&c->commands, i) {
		const struct tr_command_row *row = TR_ROW(&c->commands, i);
		struct tr_live *l;

		/* Another hand wrote it: it is nobody's to sign or to hand out, and no place in a table of states. */
		if (tr_out_of(row->state) == TR_OUT_N || tr_cmd_of(row->type) == TR_CMD_N || row->class >= TR_CLASS_N) {
			tr_log(TR_LOG_ERROR, "command_row_damaged", "command", tr_fmt_view(row->id), NULL);
			continue;
		}
		l = add_live(c, row, i);
		if (!l)
			return false;
		take_in(c, l, row, tr_out_of(row->state));
		l->maybe_given = true;
	}
	return true;
}

static void line_kept(void *arg, enum tr_code rc, const char *why)
{
	struct tr_core *c = arg;

	c->orders->line_keeping = false;
	if (rc)
		tr_log(TR_LOG_ERROR, "outbox_line_not_stored", "why", why, NULL);
	else
		tr_core_tell_ready(c);
}

static uint64_t stored_line(const struct tr_core *c)
{
	struct tr_view v = tr_setting(c, LINE);
	uint64_t line = 0;

	for (size_t i = 0; i < v.n && v.n < 19 && v.p[i] >= '0' && v.p[i] <= '9'; i++)
		line = line * 10 + (uint64_t)(v.p[i] - '0');
	return line;
}

bool tr_orders_ready(struct tr_core *c)
{
	struct tr_setting_row row = { .name = TR_VIEW_LIT(LINE), .updated_at = tr_now_ms(),
				      .updated_by = TR_VIEW_LIT("system") };
	struct tr_orders *o = c->orders;
	struct tr_tx *tx;

	o->line = stored_line(c);
	if (o->line || o->line_keeping)
		return o->line != 0;
	row.value = tr_view_str(tr_fmt("%lld", (long long)row.updated_at));
	tx = tr_tx_new(c);
	tr_tx_add(tx, TR_OP_PUT, TR_T_SETTING, &row);
	o->line_keeping = true;
	tr_tx_commit(tx, line_kept, c);
	return false;
}

/* ---- the clock ---- */

static void ended(void *arg, struct tr_making *m)
{
	struct tr_core *c = arg;

	c->orders->ending = 0;
	for (size_t k = 0; k < tr_making_n(m); k++) {
		const struct tr_make *x = tr_making_at(m, k);
		enum tr_out state = tr_out_of(x->row.state);

		if (x->rc) {
			tr_log(TR_LOG_ERROR, "command_end_not_stored", "command", tr_fmt_view(x->row.id), "why", x->why, NULL);
		} else if (state == TR_OUT_UNKNOWN) {
			tr_command_event(c, TR_EV_COMMAND_UNKNOWN, 2, x->agent, &x->row, x->row.id, x->row.code,
					 tr_view(NULL, 0), tr_view(NULL, 0), "command_unknown");
		} else if (x->row.class != TR_CLASS_READ && state == TR_OUT_EXPIRED) {
			tr_command_event(c, TR_EV_COMMAND_EXPIRED, 3, x->agent, &x->row, x->row.id, x->row.code,
					 tr_view(NULL, 0), tr_view(NULL, 0), "command_expired");
		}
	}
}

/* What becomes of it now that nobody acts any more; its own state: nothing yet. */
static enum tr_out end_of(const struct tr_core *c, const struct tr_live *l, int64_t now_ms, const char **ret_code)
{
	const struct tr_fleet_agent *a = tr_fleet_agent(c->fleet, l->agent);
	bool on_its_way = l->state == TR_OUT_PENDING || l->state == TR_OUT_SENT;
	int64_t until_ms = on_its_way ? l->give_until_ms : l->expires_ms;
	enum tr_out by_clock = tr_out_by_clock((enum tr_out)l->state, until_ms, now_ms);

	*ret_code = until_ms < l->expires_ms ? "approval_expired" : by_clock == TR_OUT_UNKNOWN ? "no_receipt" : l->state == TR_OUT_WAITING ? "not_approved" : "not_begun";
	if (a && a->active && !l->orphan)
		return by_clock;
	*ret_code = l->orphan ? "agent_reset" : "agent_ended";
	return l->state == TR_OUT_STARTED ? TR_OUT_UNKNOWN : TR_OUT_CANCELLED;
}

static void end_what_is_over(struct tr_core *c)
{
	struct tr_orders *o = c->orders;
	struct tr_making *m = NULL;
	int64_t now_ms = tr_now_ms();
	const char *code;

	for (uint32_t k = 0; k < o->n_live && !o->ending; k++) {
		struct tr_live *l = tr_live_at(c, k);
		enum tr_out to = l && !l->busy ? end_of(c, l, now_ms, &code) : TR_OUT_N;
		struct tr_make *x;

		if (to == TR_OUT_N || to == (enum tr_out)l->state)
			continue;
		if (!m && !(m = tr_making_new(c, AT_ONCE)))
			return;
		x = tr_making_change(m, l);
		if (!x)
			break;
		tr_out_enter(&x->row, to, now_ms);
		x->row.code = tr_view_str(code);
	}
	if (!m)
		return;
	o->ending = 1;
	tr_making_go(m, ended, c);
}

/* ---- signatures that are due ---- */

static void signed_late(void *arg, struct tr_making *m)
{
	struct tr_core *c = arg;

	c->orders->signing = 0;
	for (size_t k = 0; k < tr_making_n(m); k++) {
		const struct tr_make *x = tr_making_at(m, k);

		if (x->rc)
			tr_log(TR_LOG_WARN, "command_not_signed", "command", tr_fmt_view(x->row.id), "why", x->why, NULL);
	}
}

static bool wants_signature(const struct tr_live *l, int64_t now_ms)
{
	return !l->orphan && l->give_until_ms > now_ms && (l->resign || (l->state == TR_OUT_WAITING && l->class < TR_CLASS_N &&
			     l->approvals >= tr_cmd_approvals((enum tr_cmd_class)l->class)));
}

void tr_orders_sign_waiting(struct tr_core *c)
{
	struct tr_orders *o = c->orders;
	struct tr_making *m = NULL;
	int64_t now_ms = tr_now_ms();

	if (!c->loaded || !o->line || o->signing || !c->store_ok || !tr_core_holds(c) || !tr_authority_command_key(c))
		return;
	for (uint32_t k = 0; k < o->n_live; k++) {
		struct tr_live *l = tr_live_at(c, k);
		struct tr_make *x;

		if (!l || l->busy || !wants_signature(l, now_ms))
			continue;
		if (!m && !(m = tr_making_new(c, AT_ONCE)))
			return;
		x = tr_making_change(m, l);
		if (!x)
			break;
		x->sign = true;
		tr_out_enter(&x->row, TR_OUT_PENDING, now_ms);
	}
	if (!m)
		return;
	o->signing = 1;
	tr_making_go(m, signed_late, c);
}

void tr_orders_resign(struct tr_core *c, const uint8_t key_id[32])
{
	for (uint32_t k = 0; k < c->orders->n_live; k++) {
		struct tr_live *l = tr_live_at(c, k);
		struct tr_command_row row;

		if (!l || (l->state != TR_OUT_PENDING && l->state != TR_OUT_SENT && l->state != TR_OUT_RECEIVED))
			continue;
		row = tr_command_now(c, l);
		l->resign |= tr_view_eq(row.key_id, tr_view(key_id, 32));
	}
	tr_orders_sign_waiting(c);
}

void tr_orders_reset(struct tr_core *c, uint32_t agent)
{
	const struct tr_box *b = tr_box_find(c, agent);

	for (uint32_t k = b ? b->first : TR_NO_LIVE; k != TR_NO_LIVE; k = c->orders->live[k].next)
		c->orders->live[k].orphan = true;
}

void tr_orders_tick(struct tr_core *c, const struct tr_instant *now)
{
	tr_deliver_tick(c, now);
	if (!c->store_ok || !tr_core_holds(c))
		return;
	end_what_is_over(c);
	tr_orders_sign_waiting(c);
}

/* ---- for /metrics ---- */

void tr_orders_print(const struct tr_core *c, struct tr_buf *b)
{
	const struct tr_orders *o = c->orders;
	unsigned long long in_state[TR_OUT_N] = { 0 };

	tr_buf_adds(b, "# HELP troth_commands_total Commands that came into a state on this node, by type.\n"
		       "# TYPE troth_commands_total counter\n");
	for (unsigned cmd = 0; cmd < TR_CMD_N; cmd++)
		for (unsigned s = 0; s < TR_OUT_N; s++)
			if (o->counted[cmd][s])
				tr_buf_addf(b, "troth_commands_total{type=\"%s\",state=\"%s\"} %llu\n", tr_cmd_type(cmd)->name,
					    tr_out_name((enum tr_out)s), (unsigned long long)o->counted[cmd][s]);
	for (uint32_t k = 0; k < o->n_live; k++)
		if (o->live[k].id[0])
			in_state[o->live[k].state]++;
	tr_buf_adds(b, "# HELP troth_commands Commands that are not over, by state.\n# TYPE troth_commands gauge\n");
	for (unsigned s = 0; s < TR_OUT_DONE; s++)
		tr_buf_addf(b, "troth_commands{state=\"%s\"} %llu\n", tr_out_name((enum tr_out)s), in_state[s]);
	tr_buf_addf(b, "# HELP troth_command_questions Agents that wait for a command on an open connection.\n"
		       "# TYPE troth_command_questions gauge\ntroth_command_questions %u\n", o->n_asking);
}
