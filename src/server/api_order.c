/* SPDX-License-Identifier: Apache-2.0 */
/* An operator orders, orders again what is over, or takes an order back. */
#include "server/ordering.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "codec/ident.h"
#include "codec/text.h"
#include "crypto/hash.h"

/* ---- whom ---- */

static bool is_active(const struct tr_core *c, const struct tr_item *i)
{
	return !i->ending && tr_view_is(tr_agent_now(c, i).state, "active");
}

static bool refuse_many(struct tr_req *r)
{
	tr_req_refuse(r, 413, "too_many", "one request orders of at most 1000 agents; split it by partition or by lists of ids");
	return false;
}

static bool refuse_agent(struct tr_req *r, int status, const char *slug, const char *detail, struct tr_view id)
{
	tr_auto(tr_buf_done) struct tr_buf extra = TR_BUF_INIT;
	struct tr_problem p = { .status = status, .slug = slug, .title = tr_http_status_title(status), .detail = detail };

	tr_buf_adds(&extra, "\"agent\":");
	tr_json_put_str(&extra, id);
	p.extra = tr_buf_view(&extra);
	tr_req_problem(r, &p);
	return false;
}

static bool add_named(struct tr_ordering *o, struct tr_req *r, struct tr_view id)
{
	struct tr_item *i = tr_table_get(&o->c->agents, id);

	if (!i)
		return refuse_agent(r, 404, "agent_not_found", "no agent of this id; see troth agent list", id);
	if (!is_active(o->c, i))
		return refuse_agent(r, 409, "already_ended", "this agent was revoked or removed and obeys nobody any more", id);
	for (size_t k = 0; k < o->n; k++)
		if (o->agents[k] == i)
			return true;
	if (o->n == TR_ORDERING_MAX)
		return refuse_many(r);
	o->agents[o->n++] = i;
	return true;
}

static bool add_list(struct tr_ordering *o, struct tr_req *r, struct tr_view list)
{
	struct tr_view one;
	size_t count = 1;

	for (size_t i = 0; i < list.n; i++)
		count += list.p[i] == ',';
	if (count > TR_ORDERING_MAX)
		return refuse_many(r);
	while (tr_list_next(&list, &one))
		if (!add_named(o, r, one))
			return false;
	return true;
}

/* Everybody who could obey; who was revoked is passed over. */
static bool add_all(struct tr_ordering *o, struct tr_req *r, struct tr_view partition)
{
	struct tr_item *i;

	TR_EACH_ITEM(&o->c->agents, i) {
		if (!is_active(o->c, i) || (partition.n && !tr_view_eq(partition, tr_agent_now(o->c, i).partition)))
			continue;
		if (o->n == TR_ORDERING_MAX)
			return refuse_many(r);
		o->agents[o->n++] = i;
	}
	if (o->n)
		return true;
	tr_req_refuse(r, 404, "agent_not_found", "no active agent in this partition; see troth agent list");
	return false;
}

static bool add_agents(struct tr_ordering *o, struct tr_req *r, const struct tr_in_command *in)
{
	if ((in->agents.n > 0) + (in->partition.n > 0) + in->all != 1) {
		tr_req_refuse(r, 422, "no_target", "say who is meant: agents (ids joined by commas), or partition, or all");
		return false;
	}
	return in->agents.n ? add_list(o, r, in->agents) : add_all(o, r, in->partition);
}

/* ---- what ---- */

static void refuse_type(struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf extra = TR_BUF_INIT;
	struct tr_problem p = { .status = 422, .slug = "unknown_type", .title = tr_http_status_title(422),
				.detail = "there is no such command; `types` lists what agents can be told" };
	bool more = false;

	tr_buf_adds(&extra, "\"types\":[");
	for (unsigned cmd = 0; cmd < TR_CMD_N; cmd++) {
		if (!tr_cmd_type(cmd) || cmd == TR_CMD_CANCEL)
			continue;
		tr_buf_addf(&extra, "%s\"%s\"", more ? "," : "", tr_cmd_type(cmd)->name);
		more = true;
	}
	tr_buf_adds(&extra, "]");
	p.extra = tr_buf_view(&extra);
	tr_req_problem(r, &p);
}

/* Exactly the parameters of its type. A number that was left out is zero, which set-interval knows. */
static bool parameters_fit(struct tr_req *r, const struct tr_cmd_type *t, const struct tr_in_command *in)
{
	const struct {
		const char *name;
		bool wanted, needed, there;
	} list[] = {
		{ "seconds", t->seconds, false, in->seconds != 0 },
		{ "text", t->text, t->text, in->text.n > 0 },
		{ "target", t->target, t->target, in->target.n > 0 },
	};
	tr_auto(tr_buf_done) struct tr_buf missing = TR_BUF_INIT, surplus = TR_BUF_INIT, extra = TR_BUF_INIT;
	struct tr_problem p = { .status = 422, .slug = "bad_parameters", .title = tr_http_status_title(422),
				.detail = "this command takes other parameters: `missing` and `surplus` name them; see troth "
					  "command types" };

	for (size_t k = 0; k < TR_ARRAY_LEN(list); k++) {
		if (list[k].needed && !list[k].there)
			tr_buf_addf(&missing, "%s\"%s\"", missing.n ? "," : "", list[k].name);
		if (list[k].there && !list[k].wanted)
			tr_buf_addf(&surplus, "%s\"%s\"", surplus.n ? "," : "", list[k].name);
	}
	if (!missing.n && !surplus.n)
		return true;
	tr_buf_adds(&extra, "\"missing\":[");
	tr_buf_addv(&extra, tr_buf_view(&missing));
	tr_buf_adds(&extra, "],\"surplus\":[");
	tr_buf_addv(&extra, tr_buf_view(&surplus));
	tr_buf_adds(&extra, "]");
	p.extra = tr_buf_view(&extra);
	tr_req_problem(r, &p);
	return false;
}

static bool read_image(struct tr_view text, uint8_t ret[32])
{
	if (tr_view_starts(text, "sha256:"))
		text = tr_view(text.p + 7, text.n - 7);
	return text.n == 64 && tr_hex_get(text, ret, 32);
}

static bool times_fit(struct tr_req *r, const struct tr_cmd_type *t, const struct tr_in_command *in)
{
	int64_t now_ms = tr_now_ms();

	if (in->expires_s > t->lifetime_s) {
		tr_req_refuse(r, 422, "bad_lifetime",
			      "this command may not live that long; see lifetime_s in troth command types");
		return false;
	}
	if (in->not_before && (in->not_before <= now_ms || in->not_before > now_ms + TR_ORDER_AHEAD_MAX_S * INT64_C(1000))) {
		tr_req_refuse(r, 422, "bad_time", "not_before must be a time of the next seven days");
		return false;
	}
	return true;
}

/* Who asks, and the key of his choice: two operators' equal keys are two orders. */
static void make_batch(struct tr_ordering *o, struct tr_view key)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint8_t digest[32];

	tr_buf_adds(&b, "troth/batch/v1");
	tr_buf_add8(&b, 0);
	tr_buf_adds(&b, o->req->actor);
	tr_buf_add8(&b, 0);
	tr_buf_addv(&b, key);
	tr_sha256(tr_buf_view(&b), digest);
	memcpy(o->batch, digest, sizeof(o->batch));
	o->keyed = true;
}

void tr_api_command_order(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_ordering_free) struct tr_ordering *o = NULL;
	struct tr_in_command in;
	enum tr_cmd cmd;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	cmd = tr_cmd_of(in.type);
	if (cmd == TR_CMD_N) {
		refuse_type(r);
		return;
	}
	if (cmd == TR_CMD_CANCEL) {
		tr_req_refuse(r, 422, "use_cancel", "an order is taken back by its id: troth command cancel ID");
		return;
	}
	if (!parameters_fit(r, tr_cmd_type(cmd), &in) || !times_fit(r, tr_cmd_type(cmd), &in) ||
	    !(o = tr_ordering_new(c, r, cmd, TR_ORDERING_MAX)))
		return;
	/* From here on as the kept request has it. */
	if (tr_req_in(o->req, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (in.image.n) {
		if (!read_image(in.image, o->image)) {
			tr_req_refuse(r, 422, "bad_image", "image is sha256: and 64 hexadecimal digits");
			return;
		}
		o->form.image = TR_VIEW_ARRAY(o->image);
	}
	o->form.seconds = in.seconds;
	o->form.text = in.text;
	o->form.not_before_ms = in.not_before;
	o->life_s = in.expires_s;
	o->reason = in.reason;
	if (in.key.n)
		make_batch(o, in.key);
	if (add_agents(o, r, &in))
		tr_ordering_go(TR_TAKE(o));
}

/* ---- again ---- */

/* A new order like the old one: nobody's approval of that one counts for this. */
static void order_again(struct tr_req *r, const struct tr_command_row *row)
{
	tr_auto(tr_ordering_free) struct tr_ordering *o = tr_ordering_new(r->core, r, tr_cmd_of(row->type), 1);
	struct tr_in_reason in;
	struct tr_order was;
	struct tr_err err = { 0 };

	if (!o)
		return;
	if (tr_req_in(o->req, &in, &err) || tr_order_decode(row->order, &was, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (!add_named(o, r, row->agent))
		return;
	o->action = "command.retry";
	o->reason = in.reason;
	(void)snprintf(o->retry_of, sizeof(o->retry_of), "%.*s", TR_VIEW_FMT(row->id));
	o->form.seconds = was.seconds;
	/* was borrows from row, which ends with this call. */
	if (was.text.n) {
		memcpy(o->text, was.text.p, was.text.n);
		o->form.text = tr_view(o->text, was.text.n);
	}
	if (was.image.n == sizeof(o->image)) {
		memcpy(o->image, was.image.p, sizeof(o->image));
		o->form.image = TR_VIEW_ARRAY(o->image);
	}
	tr_ordering_go(TR_TAKE(o));
}

static void on_over(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	struct tr_command_row row;

	if (!tr_command_told(r, answer, &row))
		return;
	if (r->q.route == TR_RT_COMMAND_CANCEL)
		tr_req_refuse(r, 409, "already_ended", "this command is over; see troth command show");
	else if (!row.ended_at)
		tr_req_refuse(r, 409, "not_over", "this command is not over; cancel it first, or wait");
	else if (tr_cmd_of(row.type) == TR_CMD_CANCEL)
		tr_req_refuse(r, 422, "use_cancel", "an order is taken back by its id: troth command cancel ID");
	else
		order_again(r, &row);
}

void tr_api_command_retry(struct tr_core *c, struct tr_req *r)
{
	if (tr_live_find(c, r->q.arg))
		tr_req_refuse(r, 409, "not_over", "this command is not over; cancel it first, or wait");
	else
		tr_command_ask(c, r, on_over);
}

/* ---- taking back ---- */

static void on_cancelled(void *arg, struct tr_making *m)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_make *x = tr_making_at(m, 0);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (x->rc) {
		tr_req_not_stored(r, x->rc, x->why);
		return;
	}
	tr_buf_adds(&b, "{\"state\":\"cancelled\",\"cancelling\":");
	tr_command_json(&x->row, TR_CJ_LIST, &b);
	tr_buf_adds(&b, "}");
	tr_log(TR_LOG_INFO, "command_cancelled", "command", x->id, "by", r->actor, NULL);
	tr_req_answer_json(r, &b);
}

/* It never left: nobody has to be told. */
static void cancel_here(struct tr_core *c, struct tr_req *r, struct tr_live *l, struct tr_view reason)
{
	struct tr_req *kept = tr_req_keep(r);
	tr_auto(tr_making_free) struct tr_making *m = kept ? tr_making_new(c, 1) : NULL;
	struct tr_make *x = m ? tr_making_change(m, l) : NULL;
	tr_auto(tr_buf_done) struct tr_buf detail = TR_BUF_INIT;
	struct tr_audit_row audit = { .time = tr_now_ms(), .actor = tr_view_str(r->actor), .action = TR_VIEW_LIT("command.cancel"),
				      .outcome = TR_VIEW_LIT("ok"), .source = r->q.source };

	if (!x) {
		if (kept)
			tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
		(void)tr_req_free(kept);
		return;
	}
	tr_out_enter(&x->row, TR_OUT_CANCELLED, audit.time);
	tr_buf_adds(&detail, "{\"reason\":");
	tr_json_put_str(&detail, reason);
	tr_buf_adds(&detail, "}");
	audit.object = x->row.id;
	audit.detail = tr_buf_view(&detail);
	tr_op_encode(tr_making_also(m), TR_OP_APPEND, TR_T_AUDIT, &audit);
	tr_making_go(TR_TAKE(m), on_cancelled, kept);
}

/* The agent has it, or may have it: it is told, and says what became of it. */
static void cancel_there(struct tr_core *c, struct tr_req *r, const struct tr_live *l)
{
	tr_auto(tr_ordering_free) struct tr_ordering *o = tr_ordering_new(c, r, TR_CMD_CANCEL, 1);
	struct tr_command_row row = tr_command_now(c, l);
	struct tr_in_reason in;
	struct tr_err err = { 0 };

	if (!o || !add_named(o, r, row.agent))
		return;
	if (tr_req_in(o->req, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (!tr_hex_get(row.id, o->target, sizeof(o->target))) {
		tr_req_refuse(r, 500, "internal", "the command's id is damaged; see the server's log");
		return;
	}
	o->action = "command.cancel";
	o->reason = in.reason;
	o->form.target = TR_VIEW_ARRAY(o->target);
	o->cancels = true;
	(void)snprintf(o->cancelled, sizeof(o->cancelled), "%s", l->id);
	tr_ordering_go(TR_TAKE(o));
}

void tr_api_command_cancel(struct tr_core *c, struct tr_req *r)
{
	struct tr_live *l = tr_live_find(c, r->q.arg);
	struct tr_in_reason in;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &in, &err))
		tr_req_error(r, &err);
	else if (!l)
		tr_command_ask(c, r, on_over);
	else if (l->busy)
		tr_req_refuse(r, 503, "busy", "another change of this command is under way; try again in a second");
	else if (l->cmd == TR_CMD_CANCEL)
		tr_req_refuse(r, 409, "not_cancellable", "what takes back another order cannot be taken back itself");
	else if (l->state == TR_OUT_STARTED)
		tr_req_refuse(r, 409, "already_started", "the agent has begun; it will say how it ended");
	else if (l->state == TR_OUT_WAITING || (l->state == TR_OUT_PENDING && !l->attempts && !l->maybe_given))
		cancel_here(c, r, l, in.reason);
	else
		cancel_there(c, r, l);
}
