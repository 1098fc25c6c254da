/* SPDX-License-Identifier: Apache-2.0 */
/* What operators see of commands. Those that are not over are in memory; what is over is read from the store by its
 * read-only twin. */
#include "server/orders.h"
#include "server/original.h"

#define LIMIT_MAX 500u
#define LOOKED_AT 50000u /* rows per request, so that a filter that matches little keeps nobody waiting */

void tr_api_command_types(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	bool more = false;

	(void)c;
	tr_buf_adds(&b, "{\"types\":[");
	for (unsigned cmd = 0; cmd < TR_CMD_N; cmd++) {
		const struct tr_cmd_type *t = tr_cmd_type(cmd);

		if (!t)
			continue;
		tr_buf_addf(&b, "%s{\"type\":\"%s\",\"class\":\"%s\",\"kind\":\"%s\",\"approvals_needed\":%u,\"lifetime_s\":%u,"
				"\"parameters\":[%s%s%s],\"help\":",
			    more ? "," : "", t->name, tr_cmd_class_name(t->class), tr_cmd_kind_name(t->kind),
			    tr_cmd_approvals(t->class), t->lifetime_s, t->seconds ? "\"seconds\"" : "",
			    t->text ? "\"text\"" : "", t->target ? "\"target\"" : "");
		tr_json_put_str(&b, tr_view_str(t->help));
		tr_buf_adds(&b, "}");
		more = true;
	}
	tr_buf_adds(&b, "]}");
	tr_req_answer_json(r, &b);
}

/* ---- lists ---- */

static bool matches(const struct tr_in_commands *in, const struct tr_command_row *row)
{
	return (!in->agent.n || tr_view_eq(in->agent, row->agent)) && (!in->type.n || tr_view_eq(in->type, row->type)) &&
	       (!in->batch.n || tr_view_eq(in->batch, row->batch)) &&
	       (!in->state.n || tr_view_is(in->state, "live") || tr_view_is(in->state, "over") ||
		tr_view_eq(in->state, row->state));
}

static void list_live(struct tr_core *c, struct tr_req *r, const struct tr_in_commands *in)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	size_t shown = 0, looked = 0, limit = in->limit ? (size_t)in->limit : 100;
	size_t at = tr_table_after(&c->commands, in->cursor);
	char last[TR_CMD_ID_HEX + 1] = "";
	const struct tr_item *i = NULL;

	tr_buf_adds(&b, "{\"commands\":[");
	while (shown < limit && looked < LOOKED_AT && (i = tr_table_next(&c->commands, &at)) != NULL) {
		const struct tr_command_row *row = TR_ROW(&c->commands, i);

		looked++;
		(void)snprintf(last, sizeof(last), "%.*s", TR_VIEW_FMT(row->id));
		if (!matches(in, row))
			continue;
		tr_buf_adds(&b, shown++ ? "," : "");
		tr_command_json(row, TR_CJ_LIST, &b);
	}
	tr_buf_adds(&b, "],\"next_cursor\":");
	tr_json_put_str(&b, i ? tr_view_str(last) : tr_view(NULL, 0));
	tr_buf_addf(&b, ",\"total\":%zu}", c->commands.n);
	tr_req_answer_json(r, &b);
}

static void on_listed(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_rows *m = answer;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	struct tr_in_commands in;
	struct tr_view list, one;
	struct tr_command_row row = { 0 };
	struct tr_err err = { 0 };
	bool more = false;
	uint64_t n = 0;

	if (!m || tr_req_in(r, &in, &err)) {
		tr_req_refuse(r, 503, "store_unavailable", "the list could not be read; try again, or with a smaller limit");
		return;
	}
	tr_buf_adds(&b, "{\"commands\":[");
	for (list = m->rows; tr_records_next(&list, &one);) {
		if (tr_record_decode(&tr_command_row_def, one, &row, &err))
			continue;
		n++;
		if (!matches(&in, &row))
			continue;
		tr_buf_adds(&b, more ? "," : "");
		tr_command_json(&row, TR_CJ_LIST, &b);
		more = true;
	}
	/* The next page begins after the last one that was read, shown or not. */
	tr_buf_addf(&b, "],\"last_seq\":%lld,\"next_cursor\":", n ? (long long)row.ended_at : 0);
	tr_json_put_str(&b, n && n == (in.limit ? in.limit : 50) ? row.id : tr_view(NULL, 0));
	tr_buf_adds(&b, "}");
	tr_req_answer_json(r, &b);
}

static void list_over(struct tr_core *c, struct tr_req *r, const struct tr_in_commands *in)
{
	struct tr_list_query q = { .before = in->before, .limit = in->limit ? in->limit : 50, .match = in->agent,
				   .batch = in->batch, .cursor = in->cursor };
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;
	struct tr_req *kept = tr_req_keep(r);

	if (!tr_view_is(in->state, "over"))
		q.outcome = in->state;
	tr_record_encode(&tr_list_query_def, &q, &query);
	if (kept)
		tr_core_ask(c, c->store_ro, TR_M_LIST, &tr_msg_list_def,
			    &(struct tr_msg_list){ .table = TR_T_COMMAND, .query = tr_buf_view(&query) }, on_listed, kept);
}

void tr_api_command_list(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_commands in;
	enum tr_out state;
	struct tr_err err = { 0 };
	bool live, over;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	state = tr_out_of(in.state);
	over = tr_view_is(in.state, "over") || tr_out_over(state);
	live = !in.state.n || tr_view_is(in.state, "live") || (state < TR_OUT_N && !over);
	if (in.limit > LIMIT_MAX || (!live && !over)) {
		tr_req_refuse(r, 400, "out_of_range",
			      "state is live (the default), over, or one of the states of a command; limit is at most 500");
		return;
	}
	if (over)
		list_over(c, r, &in);
	else
		list_live(c, r, &in);
}

/* ---- one ---- */

static void answer_whole(struct tr_req *r, const struct tr_command_row *row)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };

	tr_command_json(row, TR_CJ_WHOLE, &b);
	tr_original_answer(r->core, r, row, &b);
}

void tr_command_ask(struct tr_core *c, struct tr_req *r, tr_call_fn fn)
{
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;
	struct tr_req *kept;

	if (r->q.arg.n > TR_CMD_ID_HEX) {
		tr_req_refuse(r, 404, "command_not_found", "no command of this id; see troth command list");
		return;
	}
	kept = tr_req_keep(r);
	tr_record_encode(&tr_list_query_def, &(struct tr_list_query){ .limit = 1, .id = r->q.arg }, &query);
	if (kept)
		tr_core_ask(c, c->store_ro, TR_M_LIST, &tr_msg_list_def,
			    &(struct tr_msg_list){ .table = TR_T_COMMAND, .query = tr_buf_view(&query) }, fn, kept);
}

bool tr_command_told(struct tr_req *r, const void *answer, struct tr_command_row *ret)
{
	const struct tr_msg_rows *m = answer;
	struct tr_view list, one;
	struct tr_err err = { 0 };

	if (!m) {
		tr_req_refuse(r, 503, "store_unavailable", "the command could not be read; try again");
		return false;
	}
	list = m->rows;
	if (tr_records_next(&list, &one) && !tr_record_decode(&tr_command_row_def, one, ret, &err))
		return true;
	tr_req_refuse(r, 404, "command_not_found", "no command of this id; see troth command list");
	return false;
}

static void on_one(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	struct tr_command_row row;

	if (tr_command_told(r, answer, &row))
		answer_whole(r, &row);
}

void tr_api_command_get(struct tr_core *c, struct tr_req *r)
{
	const struct tr_live *l = tr_live_find(c, r->q.arg);
	struct tr_command_row row;

	if (!l) {
		tr_command_ask(c, r, on_one);
		return;
	}
	row = tr_command_now(c, l);
	answer_whole(r, &row);
}
