/* SPDX-License-Identifier: Apache-2.0 */
#include "server/ordering.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "server/authority.h"

#define TRIES 8u /* of orders that another node was quicker with */

struct tr_ordering *tr_ordering_new(struct tr_core *c, struct tr_req *r, enum tr_cmd cmd, size_t most)
{
	struct tr_ordering *o = calloc(1, sizeof(*o));

	if (o) {
		o->c = c;
		o->cmd = cmd;
		o->type = tr_cmd_type(cmd);
		o->action = "command.order";
		o->form.cmd = cmd;
		o->form.trust_domain = tr_view_str(c->cfg->trust_domain);
		o->agents = calloc(most ? most : 1, sizeof(*o->agents));
		o->made.max = o->failed.max = TR_MSG_ANSWER_MAX / 2 - 8192;
	}
	if (!o || !o->agents) {
		tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
		return tr_ordering_free(o);
	}
	o->req = tr_req_keep(r);
	return o->req ? o : tr_ordering_free(o);
}

struct tr_ordering *tr_ordering_free(struct tr_ordering *o)
{
	if (o) {
		(void)tr_req_free(o->req);
		(void)tr_making_free(o->m);
		tr_buf_done(&o->made);
		tr_buf_done(&o->failed);
		free(o->agents);
		free(o);
	}
	return NULL;
}

/* ---- the answer ---- */

/* None of them came to be: why not, as a refusal. */
static void refuse_all(struct tr_ordering *o, const struct tr_make *x)
{
	switch (x->rc) {
	case TR_E_CONFLICT:
		tr_req_refuse(o->req, 409, "conflict", "the same order is being given just now; ask again in a second");
		break;
	case TR_E_INVALID:
	case TR_E_DENIED: tr_req_refuse(o->req, 422, "invalid_order", x->why); break;
	case TR_E_UNAVAIL: tr_req_refuse(o->req, 503, "not_signed", x->why); break;
	default: tr_req_not_stored(o->req, x->rc, x->why); break;
	}
}

static void put_failed(const struct tr_make *x, struct tr_buf *b)
{
	tr_buf_adds(b, "{\"agent\":");
	tr_json_put_str(b, x->row.agent);
	tr_buf_addf(b, ",\"code\":\"%s\",\"detail\":", tr_code_name(x->rc));
	tr_json_put_str(b, tr_view_str(x->why));
	tr_buf_adds(b, "}");
}

static void look_up(struct tr_ordering *o);

/* Another node gave the same number, or the same order, a moment before: the next one is free, or it exists now. */
static bool in_the_way(const struct tr_make *x)
{
	return x->rc == TR_E_BUSY || x->rc == TR_E_CONFLICT;
}

static bool try_again(struct tr_ordering *o, struct tr_making *m)
{
	size_t n = 0, all = tr_making_n(m);

	for (size_t k = 0; k < all; k++)
		n += in_the_way(tr_making_at(m, k));
	if (!n || ++o->tries == TRIES)
		return false;
	o->n = o->at = 0;
	for (size_t k = 0; k < all; k++)
		if (in_the_way(tr_making_at(m, k)))
			o->agents[o->n++] = tr_making_at(m, k)->agent;
	return true;
}

static void answer_all(struct tr_ordering *o)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	struct tr_err err = { 0 };

	tr_buf_addf(&b, "{\"batch\":\"%s\",\"commands\":[", o->batch_hex);
	tr_buf_addv(&b, tr_buf_view(&o->made));
	tr_buf_adds(&b, "],\"failed\":[");
	tr_buf_addv(&b, tr_buf_view(&o->failed));
	tr_buf_addf(&b, "],\"ordered\":%zu,\"existing\":%zu,\"approvals_needed\":%u", o->n_ordered, o->n_existing,
		    tr_cmd_approvals(o->type->class));
	if (o->cancels) {
		const struct tr_live *l = tr_live_find(o->c, tr_view_str(o->cancelled));
		struct tr_command_row row;

		/* Not live: it ended meanwhile. */
		row = l ? tr_command_now(o->c, l) : (struct tr_command_row){ .state = TR_VIEW_LIT("over") };
		tr_buf_adds(&b, ",\"state\":");
		tr_json_put_str(&b, row.state);
		tr_buf_adds(&b, ",\"cancelling\":");
		if (l)
			tr_command_json(&row, TR_CJ_LIST, &b);
		else
			tr_buf_adds(&b, "null");
	}
	tr_buf_adds(&b, "}");
	tr_log(TR_LOG_INFO, "ordered", "type", o->type->name, "commands", tr_fmt("%zu", o->n_ordered), "by", o->req->actor, NULL);
	if (o->made.failed || o->failed.failed || tr_buf_check(&b, &err))
		tr_req_refuse(o->req, 500, "internal", "the orders were given, but their list is too long; see troth command list");
	else
		tr_req_answer(o->req, o->n_ordered ? 201 : 200, TR_CT_JSON, tr_buf_view(&b));
}

static void given(void *arg, struct tr_making *m)
{
	tr_auto(tr_ordering_free) struct tr_ordering *o = arg;
	size_t n = m ? tr_making_n(m) : 0;
	bool again = m && try_again(o, m);

	for (size_t k = 0; k < n; k++) {
		const struct tr_make *x = tr_making_at(m, k);

		if (!x->rc) {
			tr_buf_adds(&o->made, o->made.n ? "," : "");
			tr_command_json(&x->row, TR_CJ_BRIEF, &o->made);
			o->n_ordered++;
		} else if (!again || !in_the_way(x)) {
			tr_buf_adds(&o->failed, o->failed.n ? "," : "");
			put_failed(x, &o->failed);
		}
	}
	if (again)
		look_up(TR_TAKE(o));
	else if (n && !o->n_ordered && !o->n_existing)
		refuse_all(o, tr_making_at(m, 0));
	else
		answer_all(o);
}

/* ---- orders ---- */

static void add_audit(struct tr_ordering *o)
{
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;
	const struct tr_make *first = tr_making_at(o->m, 0);
	struct tr_audit_row row = { .time = tr_now_ms(), .actor = tr_view_str(o->req->actor), .action = tr_view_str(o->action),
				    .object = tr_view_str(tr_making_n(o->m) == 1 ? first->id : o->batch_hex),
				    .outcome = TR_VIEW_LIT("ok"), .source = o->req->q.source };

	tr_buf_addf(&d, "{\"type\":\"%s\",\"class\":\"%s\",\"agents\":%zu,\"agent\":", o->type->name,
		    tr_cmd_class_name(o->type->class), tr_making_n(o->m));
	tr_json_put_str(&d, first->row.agent);
	tr_buf_adds(&d, ",\"reason\":");
	tr_json_put_str(&d, o->reason);
	if (o->retry_of[0])
		tr_buf_addf(&d, ",\"retry_of\":\"%s\"", o->retry_of);
	tr_buf_adds(&d, "}");
	row.detail = tr_buf_view(&d);
	tr_op_encode(tr_making_also(o->m), TR_OP_APPEND, TR_T_AUDIT, &row);
}

static void make_id(const struct tr_ordering *o, struct tr_view agent, uint8_t id[TR_CMD_ID_LEN])
{
	uint8_t in[16 + 64], digest[32];

	if (!o->keyed) {
		tr_random(id, TR_CMD_ID_LEN);
		return;
	}
	memcpy(in, o->batch, 16);
	memcpy(in + 16, agent.p, agent.n);
	tr_sha256(tr_view(in, 16 + agent.n), digest);
	memcpy(id, digest, TR_CMD_ID_LEN);
}

static void put_hex(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = 0;
}

static TR_RC add_order(struct tr_ordering *o, struct tr_item *agent, struct tr_buf *scratch, struct tr_err *err)
{
	struct tr_make *x = tr_making_add(o->m);
	struct tr_order *f = &o->form;
	bool sign = tr_cmd_approvals(o->type->class) == 0;

	if (!x)
		return tr_err_set(err, TR_E_INTERNAL, "more orders than agents", "ordering");
	f->agent_id = tr_item_key(agent);
	make_id(o, f->agent_id, f->cmd_id);
	tr_buf_clear(scratch);
	if (tr_order_encode(f, scratch, err))
		return err->code;
	put_hex(f->cmd_id, TR_CMD_ID_LEN, x->id);
	x->agent = agent;
	x->is_new = true;
	x->sign = sign;
	x->row = (struct tr_command_row){
		.id = tr_view_str(x->id), .digest = TR_VIEW_ARRAY(x->digest),
		/* Kept: the row of the agent may change before this is answered. */
		.agent = tr_making_keep(o->m, f->agent_id),
		.batch = tr_view_str(o->batch_hex), .type = tr_view_str(o->type->name), .class = o->type->class,
		.kind = o->type->kind, .created_at = f->ordered_ms, .not_before = f->not_before_ms,
		.expires_at = f->expires_ms, .created_by = tr_view_str(o->req->actor), .reason = o->reason,
		.order = tr_making_keep(o->m, tr_buf_view(scratch)), .retry_of = tr_view_str(o->retry_of),
		.approvals = TR_VIEW_LIT("\x80"), /* an empty array */
	};
	tr_order_digest(x->row.order, x->digest);
	tr_out_enter(&x->row, sign ? TR_OUT_PENDING : TR_OUT_WAITING, 0);
	return TR_OK;
}

/* All that was ordered before has been left out of the list. */
static void give(struct tr_ordering *o)
{
	tr_auto(tr_buf_done) struct tr_buf scratch = TR_BUF_INIT;
	struct tr_making *m;
	struct tr_err err = { 0 };

	if (!o->n) {
		given(o, NULL);
		return;
	}
	o->m = tr_making_new(o->c, o->n);
	if (!o->m) {
		tr_req_refuse(o->req, 503, "out_of_memory", "the server is out of memory; try again later");
		(void)tr_ordering_free(o);
		return;
	}
	for (size_t k = 0; k < o->n; k++) {
		if (!add_order(o, o->agents[k], &scratch, &err))
			continue;
		if (err.code == TR_E_INVALID)
			tr_req_refuse(o->req, 422, "invalid_order", err.pub);
		else
			tr_req_error(o->req, &err);
		(void)tr_ordering_free(o);
		return;
	}
	add_audit(o);
	m = TR_TAKE(o->m);
	tr_making_go(m, given, o);
}

/* ---- the same request again ---- */

static bool is_same(const struct tr_ordering *o, const struct tr_command_row *row)
{
	struct tr_order was;
	struct tr_err err = { 0 };

	return !tr_order_decode(row->order, &was, &err) && was.cmd == o->form.cmd && was.seconds == o->form.seconds &&
	       was.not_before_ms == o->form.not_before_ms && tr_view_eq(was.text, o->form.text) &&
	       tr_view_eq(was.target, o->form.target) && tr_view_eq(was.image, o->form.image);
}

/* Takes the agent at o->at out of the list. False: refused and freed. */
static bool exists(struct tr_ordering *o, const struct tr_command_row *row)
{
	if (!is_same(o, row)) {
		tr_req_refuse(o->req, 409, "key_reused",
			      "this key was used for another order; use a new key for every order that is not a repetition");
		(void)tr_ordering_free(o);
		return false;
	}
	tr_buf_adds(&o->made, o->made.n ? "," : "");
	tr_command_json(row, TR_CJ_BRIEF, &o->made);
	o->n_existing++;
	o->agents[o->at] = NULL;
	return true;
}

static void on_found(void *arg, const void *answer)
{
	struct tr_ordering *o = arg;
	const struct tr_msg_rows *m = answer;
	struct tr_view list, one;
	struct tr_command_row row;
	struct tr_err err = { 0 };

	if (!m) {
		tr_req_refuse(o->req, 503, "store_unavailable",
			      "it could not be seen whether this was ordered before; send it again with the same key");
		(void)tr_ordering_free(o);
		return;
	}
	list = m->rows;
	if (tr_records_next(&list, &one) && !tr_record_decode(&tr_command_row_def, one, &row, &err) && !exists(o, &row))
		return;
	o->at++;
	look_up(o);
}

/* One agent after the other: a repetition is rare and may take its time. */
static void look_up(struct tr_ordering *o)
{
	struct tr_core *c = o->c;
	size_t n = 0;

	for (; o->keyed && o->at < o->n; o->at++) {
		uint8_t id[TR_CMD_ID_LEN];
		char hex[TR_CMD_ID_HEX + 1];
		tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;
		const struct tr_live *l;

		make_id(o, tr_item_key(o->agents[o->at]), id);
		put_hex(id, sizeof(id), hex);
		l = tr_live_find(c, tr_view_str(hex));
		if (l) {
			struct tr_command_row row = tr_command_now(c, l);

			if (!exists(o, &row))
				return;
			continue;
		}
		tr_record_encode(&tr_list_query_def, &(struct tr_list_query){ .limit = 1, .id = tr_view_str(hex) }, &query);
		tr_core_ask(c, c->store_ro, TR_M_LIST, &tr_msg_list_def,
			    &(struct tr_msg_list){ .table = TR_T_COMMAND, .query = tr_buf_view(&query) }, on_found, o);
		return;
	}
	for (size_t k = 0; k < o->n; k++)
		if (o->agents[k])
			o->agents[n++] = o->agents[k];
	o->n = n;
	give(o);
}

void tr_ordering_go(struct tr_ordering *o)
{
	int64_t now_ms = tr_now_ms();
	struct tr_order *f = &o->form;
	int64_t life_ms = (int64_t)(o->life_s ? o->life_s : o->type->lifetime_s) * 1000;

	/* Nothing is promised that nobody could sign. */
	if (!tr_authority_command_key(o->c)) {
		tr_authority_no_key(o->req);
		(void)tr_ordering_free(o);
		return;
	}
	f->ordered_ms = now_ms;
	f->expires_ms = (f->not_before_ms ? f->not_before_ms : now_ms) + life_ms;
	if (!o->keyed)
		tr_random(o->batch, sizeof(o->batch));
	put_hex(o->batch, sizeof(o->batch), o->batch_hex);
	look_up(o);
}
