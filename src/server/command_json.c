/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as people see them, and what is told of them when nobody asks. */
#include "server/orders.h"

#include "codec/text.h"

#define F(m, type, max) TR_FIELD(tr_command_row, m, TR_F_##type, max, 0)
static const struct tr_field brief_fields[] = {
	F(id, IDENT, 32), F(digest, HEX, 32), F(agent, IDENT, 64), F(type, IDENT, 32), F(state, IDENT, 16),
};
static const struct tr_field list_fields[] = {
	F(id, IDENT, 32), F(digest, HEX, 32), F(agent, IDENT, 64), F(batch, IDENT, 32), F(type, IDENT, 32),
	F(state, IDENT, 16), F(code, TEXT, 32), F(created_at, TIME_MS, 0), F(not_before, TIME_MS, 0),
	F(expires_at, TIME_MS, 0), F(sent_at, TIME_MS, 0), F(acked_at, TIME_MS, 0), F(ended_at, TIME_MS, 0),
	F(created_by, TEXT, 80), F(reason, TEXT, 256), F(line, U64, 0), F(seq, U64, 0), F(key_id, HEX, 32),
	F(attempts, U64, 0), F(retry_of, IDENT, 32),
};
static const struct tr_field order_fields[] = { F(order, BYTES, 2048) };
/* The signed bytes, for people who check them themselves. */
static const struct tr_field signed_fields[] = {
	F(order, BYTES, 2048), F(command, BYTES, 24576), F(receipt, BYTES, 12288), F(position, U64, 0),
};
static TR_RECORD(brief_def, tr_command_row, brief_fields);
static TR_RECORD(list_def, tr_command_row, list_fields);
static TR_RECORD(order_def, tr_command_row, order_fields);
static TR_RECORD(signed_def, tr_command_row, signed_fields);

/* A record as further members of an open object. */
static void put_members(const struct tr_record *def, const void *row, struct tr_buf *b)
{
	size_t at = b->n;

	tr_record_to_json(def, row, b);
	if (b->failed || b->n <= at + 1)
		return;
	b->p[at] = ',';
	b->n--;
}

void tr_command_json(const struct tr_command_row *row, enum tr_command_json how, struct tr_buf *b)
{
	unsigned needed = row->class < TR_CLASS_N ? tr_cmd_approvals((enum tr_cmd_class)row->class) : 0;
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct tr_order o;
	struct tr_err err = { 0 };

	tr_record_to_json(how == TR_CJ_BRIEF ? &brief_def : &list_def, row, b);
	if (b->failed)
		return;
	b->n--; /* the closing brace: more members follow */
	tr_buf_addf(b, ",\"class\":\"%s\"", tr_cmd_class_name(row->class));
	if (how != TR_CJ_BRIEF)
		tr_buf_addf(b, ",\"kind\":\"%s\",\"approvals_needed\":%u", tr_cmd_kind_name(row->kind), needed);
	/* Who is to approve it reads its own bytes, not what we say of them. */
	if (how == TR_CJ_BRIEF && needed)
		put_members(&order_def, row, b);
	if (how == TR_CJ_WHOLE) {
		tr_buf_addf(b, ",\"approvals\":%zu,\"text\":", tr_approvals_count(row->approvals));
		if (!tr_order_decode(row->order, &o, &err))
			tr_order_text(&o, &text);
		tr_json_put_str(b, tr_buf_view(&text));
		put_members(&signed_def, row, b);
		tr_buf_adds(b, ",\"result\":");
		tr_buf_addv(b, row->result.n ? row->result : TR_VIEW_LIT("null"));
	}
	tr_buf_adds(b, "}");
}

void tr_orders_agent_json(const struct tr_core *c, const struct tr_item *i, struct tr_buf *b)
{
	const struct tr_box *x = tr_box_find(c, i->no);
	unsigned in_state[TR_OUT_N] = { 0 };

	for (uint32_t k = x ? x->first : TR_NO_LIVE; k != TR_NO_LIVE; k = c->orders->live[k].next)
		in_state[c->orders->live[k].state]++;
	tr_buf_adds(b, ",\"commands\":{");
	for (unsigned s = 0; s < TR_OUT_DONE; s++)
		tr_buf_addf(b, "%s\"%s\":%u", s ? "," : "", tr_out_name((enum tr_out)s), in_state[s]);
	tr_buf_addf(b, "},\"waits_for_commands\":%s", x && x->asking ? "true" : "false");
	tr_json_member_time(b, "quarantined_at", x ? x->quarantined_at : 0);
}

void tr_orders_check_json(const struct tr_core *c, const struct tr_item *i, struct tr_buf *b)
{
	const struct tr_box *x = tr_box_find(c, i->no);
	bool held = x && x->quarantined_at;

	if (b->failed || !b->n || b->p[b->n - 1] != ']')
		return;
	b->n--; /* the closing bracket: one more follows */
	tr_buf_addf(b,
		    "%s{\"check\":\"obedience\",\"state\":\"%s\",\"expected\":\"obeys what is ordered and approved\","
		    "\"seen\":\"%s\",\"since\":",
		    b->p[b->n - 1] == '[' ? "" : ",", held ? "quarantined" : x && x->n ? "busy" : "ok",
		    held ? "obeys reads, cancel and release only, as ordered" : x && x->n ? "commands are under way" : "nothing to do");
	tr_json_put_time(b, held ? x->quarantined_at : 0);
	tr_buf_adds(b, ",\"tier\":\"self-asserted\",\"action\":");
	tr_json_put_str(b, tr_view_str(held ? "end it with `troth command send release` when the host is in order again" : ""));
	tr_buf_adds(b, "}]");
}

/* ---- events ---- */

void tr_command_event(struct tr_core *c, enum tr_event_kind kind, unsigned severity, const struct tr_item *agent,
		      const struct tr_command_row *row, struct tr_view id, struct tr_view code, struct tr_view source,
		      struct tr_view evidence, const char *alert)
{
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;
	struct tr_view who = agent ? tr_item_key(agent) : tr_view(NULL, 0);
	struct tr_event ev = { .kind = kind, .agent = agent ? agent->no : TR_NO_AGENT, .agent_id = who, .source = source,
			       .severity = severity, .evidence = evidence };
	char subject[80], what[240];
	struct tr_alert a = { .kind = alert, .severity = severity };

	tr_buf_adds(&d, "{\"command\":");
	tr_json_put_str(&d, id);
	if (row) {
		tr_json_member_str(&d, "type", row->type);
		tr_json_member_str(&d, "state", row->state);
		tr_json_member_str(&d, "by", row->created_by);
	}
	tr_json_member_str(&d, "code", code);
	tr_buf_adds(&d, "}");
	ev.detail = tr_buf_view(&d);
	tr_effects_event(c->effects, &ev);
	if (!alert)
		return;
	(void)snprintf(subject, sizeof(subject), agent ? "agent:%.*s" : "server%.*s", TR_VIEW_FMT(who));
	(void)snprintf(what, sizeof(what), "command %.*s%s%.*s%s%.*s", TR_VIEW_FMT(id), row ? " of type " : "",
		       row ? (int)row->type.n : 0, row ? (const char *)row->type.p : "", code.n ? ": " : "", TR_VIEW_FMT(code));
	a.subject = tr_view_str(subject);
	a.summary = tr_view_str(what);
	tr_alerts_raise(tr_fleet_alerts(c->fleet), tr_core_now(c).ms, &a);
}
