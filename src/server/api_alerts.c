/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts as operators handle them. What is open lives in the fleet's memory; what is over is read from the store by its
 * read-only twin. */
#include "server/core.h"

#include "base/clock.h"
#include "base/log.h"

#define LIMIT_MAX 500u

/* ---- what is open ---- */

struct found {
	const struct tr_alert_row **rows;
	size_t n, cap;
	struct tr_in_alerts in;
};

static bool collect(void *arg, const struct tr_alert_row *row)
{
	struct found *f = arg;

	if ((f->in.state.n && !tr_view_is(f->in.state, "open") && !tr_view_eq(f->in.state, row->state)) ||
	    (f->in.severity && row->severity > f->in.severity) || row->updated_at <= f->in.changed_after)
		return true;
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 256;
		const struct tr_alert_row **grown = realloc(f->rows, cap * sizeof(const struct tr_alert_row *));

		if (!grown)
			return false;
		f->rows = grown;
		f->cap = cap;
	}
	f->rows[f->n++] = row;
	return true;
}

/* Worst first, then what is nobody's yet, then the newest. */
static int by_weight(const void *x, const void *y)
{
	const struct tr_alert_row *a = *(const struct tr_alert_row *const *)x, *b = *(const struct tr_alert_row *const *)y;
	bool ack_a = a->acked_at != 0, ack_b = b->acked_at != 0;
	size_t n = a->id.n < b->id.n ? a->id.n : b->id.n;

	if (a->severity != b->severity)
		return a->severity < b->severity ? -1 : 1;
	if (ack_a != ack_b)
		return ack_a ? 1 : -1;
	if (a->opened_at != b->opened_at)
		return a->opened_at > b->opened_at ? -1 : 1;
	return n ? memcmp(a->id.p, b->id.p, n) : 0;
}

/* The place after the cursor, which is the id of the last row shown. When that alert is over by now, the first page
 * comes again: shown twice is better than not shown. */
static size_t after(const struct found *f)
{
	for (size_t k = 0; f->in.cursor.n && k < f->n; k++)
		if (tr_view_eq(f->rows[k]->id, f->in.cursor))
			return k + 1;
	return 0;
}

static void list_open(struct tr_core *c, struct tr_req *r, const struct tr_in_alerts *in)
{
	struct found f = { .in = *in };
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	size_t limit = in->limit ? (size_t)in->limit : 100, k, shown = 0;

	tr_alerts_each(tr_fleet_alerts(c->fleet), collect, &f);
	if (f.n)
		qsort(f.rows, f.n, sizeof(const struct tr_alert_row *), by_weight);
	tr_buf_adds(&b, "{\"alerts\":[");
	for (k = after(&f); k < f.n && shown < limit; k++) {
		tr_buf_adds(&b, shown++ ? "," : "");
		tr_record_to_json(&tr_alert_def, f.rows[k], &b);
	}
	tr_buf_adds(&b, "],\"next_cursor\":");
	tr_json_put_str(&b, k < f.n && shown ? f.rows[k - 1]->id : tr_view(NULL, 0));
	tr_buf_addf(&b, ",\"total\":%zu}", f.n);
	free(f.rows);
	tr_req_answer_json(r, &b);
}

/* ---- what is over ---- */

static void put_rows(struct tr_view rows, uint64_t worst, struct tr_buf *b, int64_t *ret_last, size_t *ret_n)
{
	struct tr_view one;
	struct tr_alert_row row;
	struct tr_err err;

	while (tr_records_next(&rows, &one)) {
		if (tr_record_decode(&tr_alert_def, one, &row, &err))
			continue;
		*ret_last = row.resolved_at;
		if (worst && row.severity > worst)
			continue;
		tr_buf_adds(b, (*ret_n)++ ? "," : "");
		tr_record_to_json(&tr_alert_def, &row, b);
	}
}

static void on_listed(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_rows *m = answer;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	struct tr_in_alerts in = { 0 };
	struct tr_err err = { 0 };
	int64_t last = 0;
	size_t n = 0;

	if (!m || (r->q.route == TR_RT_ALERT_LIST && tr_req_in(r, &in, &err))) {
		tr_req_refuse(r, 503, "store_unavailable", "the list could not be read; try again, or with a smaller limit");
		return;
	}
	if (r->q.route == TR_RT_ALERT_LIST)
		tr_buf_adds(&b, "{\"alerts\":[");
	put_rows(m->rows, in.severity, &b, &last, &n);
	if (r->q.route == TR_RT_ALERT_LIST)
		tr_buf_addf(&b, "],\"last_seq\":%lld}", (long long)last);
	if (r->q.route != TR_RT_ALERT_LIST && n == 0)
		tr_req_refuse(r, 404, "alert_not_found", "no alert of this id; see troth alert list --all");
	else if (r->q.route == TR_RT_ALERT_LIST || r->q.route == TR_RT_ALERT_GET)
		tr_req_answer_json(r, &b);
	else
		tr_req_refuse(r, 409, "already_ended", "this alert is over already; see troth alert show");
}

/* Alerts that are over have no number: their list goes by the time they ended, in milliseconds. */
static void ask_store(struct tr_core *c, struct tr_req *r, const struct tr_list_query *q)
{
	struct tr_req *kept = tr_req_keep(r);
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;

	tr_record_encode(&tr_list_query_def, q, &query);
	if (kept)
		tr_core_ask(c, c->store_ro, TR_M_LIST, &tr_msg_list_def,
			    &(struct tr_msg_list){ .table = TR_T_ALERT, .query = tr_buf_view(&query) }, on_listed, kept);
}

void tr_api_alert_list(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_alerts in;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (in.limit > LIMIT_MAX || in.severity > 5 ||
	    (in.state.n && !tr_view_is(in.state, "open") && !tr_view_is(in.state, "acknowledged") &&
	     !tr_view_is(in.state, "resolved"))) {
		tr_req_refuse(r, 400, "out_of_range",
			      "state is open, acknowledged or resolved, severity 1 to 5, limit at most 500");
		return;
	}
	if (tr_view_is(in.state, "resolved"))
		ask_store(c, r, &(struct tr_list_query){ .before = in.before, .limit = in.limit ? in.limit : 50 });
	else
		list_open(c, r, &in);
}

/* NULL: not open; then the store is asked what became of it, and the request is answered from there. */
static const struct tr_alert_row *named(struct tr_core *c, struct tr_req *r)
{
	const struct tr_alert_row *row = tr_alerts_by_id(tr_fleet_alerts(c->fleet), r->q.arg);

	if (!row)
		ask_store(c, r, &(struct tr_list_query){ .limit = 1, .match = r->q.arg });
	return row;
}

void tr_api_alert_get(struct tr_core *c, struct tr_req *r)
{
	const struct tr_alert_row *row = named(c, r);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (!row)
		return;
	tr_record_to_json(&tr_alert_def, row, &b);
	tr_req_answer_json(r, &b);
}

/* ---- handling ---- */

static void put_reason(struct tr_buf *b, struct tr_view reason)
{
	tr_buf_adds(b, "{\"reason\":");
	tr_json_put_str(b, reason);
	tr_buf_adds(b, "}");
}

static void on_durable(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	struct tr_alerts *alerts = tr_fleet_alerts(r->core->fleet);
	struct tr_instant now = tr_core_now(r->core);
	bool ack = r->q.route == TR_RT_ALERT_ACK;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_alert_row *row;
	struct tr_alert_row over;
	struct tr_in_reason in = { 0 };
	struct tr_in_why in_why = { 0 };
	struct tr_err err = { 0 };

	if (rc || (ack ? tr_req_in(r, &in, &err) : tr_req_in(r, &in_why, &err))) {
		tr_req_not_stored(r, rc, why);
		return;
	}
	row = tr_alerts_by_id(alerts, r->q.arg);
	if (!row) {
		tr_req_refuse(r, 409, "already_ended", "its cause went away meanwhile: this alert is over");
		return;
	}
	if (ack) {
		(void)tr_alerts_ack(alerts, now.ms, r->q.arg, tr_view_str(r->actor));
		row = tr_alerts_by_id(alerts, r->q.arg);
		if (row)
			tr_record_to_json(&tr_alert_def, row, &b);
	} else {
		/* What is closed leaves the memory: the answer is made before. */
		over = *row;
		over.state = TR_VIEW_LIT("resolved");
		over.resolved_at = now.ms;
		over.resolved_why = in_why.reason;
		tr_record_to_json(&tr_alert_def, &over, &b);
		(void)tr_alerts_close(alerts, now.ms, r->q.arg, tr_view_str(r->actor), in_why.reason);
	}
	tr_log(TR_LOG_INFO, ack ? "alert_acknowledged" : "alert_closed", "alert", tr_fmt_view(r->q.arg), "by", r->actor, NULL);
	tr_req_answer_json(r, &b);
}

/* The row as it will be, with the audit row: both durable before the alert changes for anybody. */
static void change(struct tr_core *c, struct tr_req *r, struct tr_alert_row *row, const char *action, struct tr_view reason)
{
	struct tr_req *kept = tr_req_keep(r);
	tr_auto(tr_buf_done) struct tr_buf detail = TR_BUF_INIT;
	struct tr_tx *tx;

	if (!kept)
		return;
	row->updated_at = tr_core_now(c).ms;
	row->rev++;
	put_reason(&detail, reason);
	tx = tr_tx_new(c);
	tr_tx_add(tx, TR_OP_PUT, TR_T_ALERT, row);
	tr_audit(tx, r->actor, action, r->q.arg, "ok", "", r->q.source, tr_buf_view(&detail));
	tr_tx_commit(tx, on_durable, kept);
}

void tr_api_alert_ack(struct tr_core *c, struct tr_req *r)
{
	const struct tr_alert_row *open = named(c, r);
	struct tr_in_reason in;
	struct tr_alert_row row;
	struct tr_err err = { 0 };

	if (!open)
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (tr_view_is(open->state, "acknowledged")) {
		tr_req_refuse(r, 409, "already_acknowledged", "somebody has taken this alert already; see troth alert show");
		return;
	}
	row = *open;
	row.state = TR_VIEW_LIT("acknowledged");
	row.acked_at = tr_core_now(c).ms;
	row.acked_by = tr_view_str(r->actor);
	change(c, r, &row, "alert.ack", in.reason);
}

void tr_api_alert_resolve(struct tr_core *c, struct tr_req *r)
{
	const struct tr_alert_row *open = named(c, r);
	struct tr_in_why in;
	struct tr_alert_row row;
	struct tr_err err = { 0 };

	if (!open)
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	row = *open;
	row.state = TR_VIEW_LIT("resolved");
	row.resolved_at = tr_core_now(c).ms;
	row.resolved_why = in.reason;
	change(c, r, &row, "alert.resolve", in.reason);
}
