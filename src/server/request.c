/* SPDX-License-Identifier: Apache-2.0 */
/* A request under way in core, and the transaction that makes its effect durable before it is answered. */
#include "server/authority.h"
#include "server/core.h"
#include "server/attest.h"
#include "server/hub.h"
#include "server/orders.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

/* ---- requests ---- */

struct tr_req *tr_req_keep(struct tr_req *r)
{
	struct tr_req *k = calloc(1, sizeof(*k));
	struct tr_err err;

	if (k) {
		*k = *r;
		k->bytes = TR_BUF_INIT;
		tr_record_encode(&tr_msg_request_def, &r->q, &k->bytes);
		if (!tr_buf_ok(&k->bytes) || tr_record_decode(&tr_msg_request_def, tr_buf_view(&k->bytes), &k->q, &err))
			k = tr_req_free(k);
	}
	if (!k)
		tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
	return k;
}

struct tr_req *tr_req_free(struct tr_req *r)
{
	if (r) {
		tr_buf_done(&r->bytes);
		free(r);
	}
	return NULL;
}

static void send_answer(struct tr_req *r, const struct tr_msg_answer *m)
{
	const struct tr_front_ref *f = &r->core->fronts[r->front];

	/* The front may have died and its place been taken meanwhile. */
	if (f->chan && f->gen == r->front_gen)
		tr_chan_send_record(f->chan, TR_M_ANSWER, r->id, &tr_msg_answer_def, m);
}

void tr_req_answer(struct tr_req *r, int status, enum tr_ctype type, struct tr_view body)
{
	send_answer(r, &(struct tr_msg_answer){ .status = (uint64_t)status, .ctype = type, .body = body });
}

void tr_req_answer_json(struct tr_req *r, const struct tr_buf *json)
{
	struct tr_err err = { 0 };

	if (tr_buf_check(json, &err))
		tr_req_error(r, &err);
	else
		tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(json));
}

void tr_req_problem(struct tr_req *r, const struct tr_problem *p)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;

	tr_problem_json(p, tr_fmt("core-%llx", (unsigned long long)r->id), &body);
	send_answer(r, &(struct tr_msg_answer){ .status = (uint64_t)p->status,
						.ctype = TR_CT_PROBLEM,
						.retry_after_s = p->retry_after_s,
						.body = tr_buf_view(&body) });
}

void tr_req_refuse(struct tr_req *r, int status, const char *slug, const char *detail)
{
	tr_req_problem(r, &(struct tr_problem){ .status = status, .slug = slug, .title = tr_http_status_title(status),
						.detail = detail, .retry_after_s = status == 503 ? 2 : 0 });
}

void tr_req_not_stored(struct tr_req *r, enum tr_code rc, const char *why)
{
	tr_req_problem(r, &(struct tr_problem){ .status = 503, .slug = rc == TR_E_BUSY ? "busy" : "store_unavailable",
						.title = tr_http_status_title(503), .detail = why,
						.retry_after_s = rc == TR_E_BUSY ? 1 : 2 });
}

void tr_req_error(struct tr_req *r, const struct tr_err *err)
{
	struct tr_problem p = tr_problem_of(err);

	if (err->code == TR_E_INTERNAL)
		tr_log_err(TR_LOG_ERROR, "request_failed", err, NULL);
	tr_req_problem(r, &p);
}

void tr_req_no_verifier(struct tr_req *r)
{
	tr_req_refuse(r, 503, "verifier_unavailable", "the verifier is restarting; try again in a moment");
}

TR_RC tr_req_in(struct tr_req *r, void *ret, struct tr_err *err)
{
	const struct tr_route *route = tr_route_by_id((enum tr_route_id)r->q.route);

	if (!route || !route->in)
		return tr_err_set(err, TR_E_INTERNAL, "route without input", "route %u", (unsigned)r->q.route);
	return tr_record_decode(route->in, r->q.in, ret, err);
}

void tr_core_ask(struct tr_core *c, struct tr_chan *role, enum tr_msg type, const struct tr_record *def, const void *q,
		 tr_call_fn fn, void *arg)
{
	uint64_t id = role ? tr_calls_add(c->calls, role, fn, arg) : 0;

	if (id)
		tr_chan_send_record(role, (uint16_t)type, id, def, q);
	else
		fn(arg, NULL);
}

struct tr_item *tr_key_named(struct tr_req *r, const struct tr_table_mem *t, const char *missing)
{
	struct tr_item *found = NULL, *i;

	TR_EACH_ITEM(t, i) {
		tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;

		tr_hex_add(&hex, tr_item_key(i));
		if (r->q.arg.n < 8 || r->q.arg.n > hex.n || memcmp(hex.p, r->q.arg.p, r->q.arg.n) != 0)
			continue;
		if (found) {
			tr_req_refuse(r, 409, "ambiguous", "several keys begin like this; give more digits");
			return NULL;
		}
		found = i;
	}
	if (!found)
		tr_req_refuse(r, 404, "key_not_found", missing);
	return found;
}

/* ---- transactions ---- */

#define TOUCHED_MAX 512

struct tr_tx {
	struct tr_core *core;
	uint64_t generation; /* what was known when it was made */
	struct tr_buf ops;
	struct tr_item *touched[TOUCHED_MAX];
	size_t n_touched;
	tr_tx_fn fn;
	void *arg;
};

struct tr_tx *tr_tx_new(struct tr_core *c)
{
	struct tr_tx *tx = calloc(1, sizeof(*tx));

	if (tx) {
		tx->core = c;
		tx->generation = c->generation;
	}
	return tx;
}

void tr_tx_as_of(struct tr_tx *tx, uint64_t generation)
{
	if (tx)
		tx->generation = generation;
}

struct tr_tx *tr_tx_free(struct tr_tx *tx)
{
	if (tx) {
		for (size_t i = 0; i < tx->n_touched; i++)
			tx->touched[i]->inflight--;
		tr_buf_done(&tx->ops);
		free(tx);
	}
	return NULL;
}

void tr_op_encode(struct tr_buf *b, enum tr_op op, enum tr_table t, const void *row)
{
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	struct tr_msg_op m = { .op = op, .table = t };

	tr_record_encode(tr_table_def(t), row, &bytes);
	b->failed |= bytes.failed;
	m.row = tr_buf_view(&bytes);
	tr_records_add(b, &tr_msg_op_def, &m);
}

void tr_tx_add(struct tr_tx *tx, enum tr_op op, enum tr_table t, const void *row)
{
	if (tx)
		tr_op_encode(&tx->ops, op, t, row);
}

void tr_tx_add_encoded(struct tr_tx *tx, struct tr_view ops)
{
	if (tx)
		tr_buf_addv(&tx->ops, ops);
}

size_t tr_tx_bytes(const struct tr_tx *tx)
{
	return tx ? tx->ops.n : 0;
}

void tr_tx_touch(struct tr_tx *tx, struct tr_item *item)
{
	if (!tx || !item || tx->n_touched == TOUCHED_MAX)
		return;
	tx->touched[tx->n_touched++] = item;
	item->inflight++;
}

/* Memory and store must not drift apart: start again from the store. */
static void give_up(const char *what)
{
	tr_log(TR_LOG_ERROR, "out_of_memory", "what", what, NULL);
	abort();
}

static void put_agent(struct tr_core *c, const struct tr_agent_row *row)
{
	struct tr_follow was;
	struct tr_item *i;

	tr_core_follow_begin(c, row->id, &was);
	i = tr_table_put(&c->agents, row);
	if (!i || !tr_core_follow(c, i, &was))
		give_up("agent");
	tr_hub_agent_put(c, i, &was);
}

/* The rows that have just become durable, applied to memory by the same path as at load. */
void tr_core_apply(struct tr_core *c, struct tr_view ops, bool foreign)
{
	struct tr_view one;
	struct tr_err err;
	bool policy = false, authority = false;
	uint32_t heard = 0, changed = 0; /* tables, a bit each */

	while (tr_records_next(&ops, &one)) {
		struct tr_msg_op m;
		struct tr_table_mem *t;
		union tr_any_row row;

		if (tr_record_decode(&tr_msg_op_def, one, &m, &err))
			continue;
		t = tr_core_table(c, (enum tr_table)m.table);
		if (foreign && (!t || m.op == TR_OP_TELL) && m.table < TR_T_N &&
		    !tr_record_decode(tr_table_def((enum tr_table)m.table), m.row, &row, &err))
			tr_core_hear(c, (enum tr_op)m.op, (enum tr_table)m.table, &row);
		if (!t || m.op == TR_OP_EXPIRE || m.op == TR_OP_TELL || tr_record_decode(t->def, m.row, &row, &err))
			continue;
		heard |= foreign ? 1u << m.table : 0;
		changed |= 1u << m.table;
		if (t == &c->agents) {
			put_agent(c, &row.agent);
			continue;
		}
		if (t == &c->commands || t == &c->outboxes) {
			if (t == &c->commands ? !tr_orders_follow(c, (enum tr_op)m.op, &row.command)
					      : !tr_orders_numbered(c, &row.outbox))
				give_up(t->def->name);
			continue;
		}
		if (t == &c->mails) {
			if (!tr_hub_mail(c, (enum tr_op)m.op, &row.mail))
				give_up(t->def->name);
			continue;
		}
		if (m.op == TR_OP_DELETE) {
			struct tr_view key;

			memcpy(&key, (char *)&row + t->def->fields[0].off, sizeof(key));
			tr_table_del(t, key);
		} else if (!tr_table_put(t, &row)) {
			give_up(t->def->name);
		}
		authority |= m.table == TR_T_KEYSET || m.table == TR_T_SKEY;
		policy |= m.table == TR_T_VKEY || m.table == TR_T_RELEASE || m.table == TR_T_SETTING;
	}
	if (policy) {
		tr_core_send_policy(c);
		tr_core_tell_releases(c);
	}
	if (authority)
		tr_authority_follow(c);
	tr_tee_follow(c, changed);
	if (heard)
		tr_core_heard(c, heard);
}

/* Reservations end before the caller hears: it may start the next one. */
static void end(struct tr_tx *tx, enum tr_code rc, const char *why)
{
	for (size_t i = 0; i < tx->n_touched; i++)
		tx->touched[i]->inflight--;
	tx->n_touched = 0;
	tx->fn(tx->arg, rc, why);
	(void)tr_tx_free(tx);
}

static void on_done(void *arg, const void *answer)
{
	struct tr_tx *tx = arg;
	struct tr_core *c = tx->core;
	const struct tr_msg_done *done = answer;
	enum tr_code rc = done ? (done->code < TR_CODE_N ? (enum tr_code)done->code : TR_E_INTERNAL) : TR_E_UNAVAIL;
	char why[200] = "the store ended before it answered; try again";

	if (done)
		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(done->why));
	if (rc == TR_OK) {
		c->metrics.commits++;
		tr_core_apply(c, tr_buf_view(&tx->ops), false);
	} else {
		c->metrics.commit_failures++;
		/* Where there are other nodes, busy means that one of them was quicker. */
		if (rc != TR_E_CONFLICT && rc != TR_E_INVALID && !(c->shared && rc == TR_E_BUSY)) {
			c->store_ok = false;
			(void)snprintf(c->store_why, sizeof(c->store_why), "%s", why);
		}
	}
	end(tx, rc, why);
}

void tr_tx_commit(struct tr_tx *tx, tr_tx_fn fn, void *arg)
{
	struct tr_core *c;
	struct tr_msg_tx m;
	uint64_t id;

	if (!tx) {
		fn(arg, TR_E_BUSY, "the server is out of memory; try again later");
		return;
	}
	c = tx->core;
	tx->fn = fn;
	tx->arg = arg;
	m.ops = tr_buf_view(&tx->ops);
	m.generation = tx->generation;
	id = c->store && tr_buf_ok(&tx->ops) ? tr_calls_add(c->calls, c->store, on_done, tx) : 0;
	if (id)
		tr_chan_send_record(c->store, TR_M_TX, id, &tr_msg_tx_def, &m);
	else
		end(tx, TR_E_BUSY, "the server is busy; try again later");
}

struct answering {
	struct tr_req *req;
	int status;
	struct tr_buf body;
};

static void answer_after(void *arg, enum tr_code rc, const char *why)
{
	struct answering *a = arg;

	if (rc == TR_OK)
		tr_req_answer(a->req, a->status, a->body.n ? TR_CT_JSON : TR_CT_NONE, tr_buf_view(&a->body));
	else if (rc == TR_E_CONFLICT)
		tr_req_refuse(a->req, 409, "conflict", "it exists already");
	else
		tr_req_not_stored(a->req, rc, why);
	a->req = tr_req_free(a->req);
	tr_buf_done(&a->body);
	free(a);
}

void tr_tx_commit_answer(struct tr_tx *tx, struct tr_req *req, int status, struct tr_buf *body)
{
	struct answering *a = calloc(1, sizeof(*a));

	if (!a || !req) {
		free(a);
		(void)tr_tx_free(tx);
		if (req)
			tr_req_refuse(req, 503, "out_of_memory", "the server is out of memory; try again later");
		(void)tr_req_free(req);
		tr_buf_done(body);
		return;
	}
	a->req = req;
	a->status = status;
	a->body = *body;
	*body = TR_BUF_INIT;
	tr_tx_commit(tx, answer_after, a);
}

void tr_audit(struct tr_tx *tx, const char *actor, const char *action, struct tr_view object, const char *outcome,
	      const char *reason, struct tr_view source, struct tr_view detail_json)
{
	struct tr_audit_row row = {
		.time = tr_now_ms(),
		.actor = tr_view_str(actor),
		.action = tr_view_str(action),
		.object = object.n <= 128 ? object : tr_view(object.p, 128),
		.outcome = tr_view_str(outcome),
		.reason = tr_view_str(reason),
		.source = source,
		.detail = detail_json.n ? detail_json : TR_VIEW_LIT("{}"),
	};

	tr_tx_add(tx, TR_OP_APPEND, TR_T_AUDIT, &row);
}
