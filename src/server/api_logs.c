/* SPDX-License-Identifier: Apache-2.0 */
/* The append-only lists, read by the read-only twin of the store so that a slow query delays nobody. */
#include "server/core.h"

static const struct log {
	enum tr_table table;
	const char *member;
	size_t seq, evidence; /* offsets; evidence can be large: only the single view shows it */
	int status; /* of the refusal when there is no entry of this number */
	const char *slug, *unknown;
} logs[] = {
	{ TR_T_AUDIT, "audit", offsetof(struct tr_audit_row, seq), 0, 0, "", "" },
	{ TR_T_ATTESTATION, "attestations", offsetof(struct tr_attestation_row, seq),
	  offsetof(struct tr_attestation_row, evidence), 404, "attestation_not_found",
	  "no attestation of this number; see troth attestation list" },
	{ TR_T_EVENT, "events", offsetof(struct tr_event_row, seq), offsetof(struct tr_event_row, evidence), 404, "event_not_found",
	  "no event of this number; see troth agent events" },
};

static const struct log *log_of(const struct tr_req *r)
{
	switch (r->q.route) {
	case TR_RT_AUDIT_LIST: return &logs[0];
	case TR_RT_ATTESTATION_LIST:
	case TR_RT_ATTESTATION_GET: return &logs[1];
	default: return &logs[2];
	}
}

static bool is_one(const struct tr_req *r)
{
	return r->q.route == TR_RT_ATTESTATION_GET || r->q.route == TR_RT_EVENT_GET;
}

static void put_rows(const struct tr_req *r, struct tr_view rows, struct tr_buf *b, uint64_t *ret_last, size_t *ret_n)
{
	const struct log *l = log_of(r);
	const struct tr_view none = { 0 };
	struct tr_view one;
	struct tr_err err;

	while (tr_records_next(&rows, &one)) {
		union tr_any_row row;

		if (tr_record_decode(tr_table_def(l->table), one, &row, &err))
			continue;
		memcpy(ret_last, (const char *)&row + l->seq, sizeof(*ret_last));
		if (l->evidence && !is_one(r))
			memcpy((char *)&row + l->evidence, &none, sizeof(none));
		if ((*ret_n)++)
			tr_buf_adds(b, ",");
		tr_record_to_json(tr_table_def(l->table), &row, b);
	}
}

static void on_rows(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_rows *m = answer;
	const struct log *l = log_of(r);
	bool one = is_one(r);
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	uint64_t last = 0;
	size_t n = 0;

	if (!m) {
		tr_req_refuse(r, 503, "store_unavailable", "the list could not be read; try again, or with a smaller limit");
		return;
	}
	if (!one)
		tr_buf_addf(&b, "{\"%s\":[", l->member);
	put_rows(r, m->rows, &b, &last, &n);
	if (!one)
		tr_buf_addf(&b, "],\"last_seq\":%llu}", (unsigned long long)last);
	if (one && n == 0)
		tr_req_problem(r, &(struct tr_problem){ .status = l->status, .slug = l->slug,
							.title = tr_http_status_title(l->status), .detail = l->unknown });
	else
		tr_req_answer_json(r, &b);
}

static void ask(struct tr_core *c, struct tr_req *r, const struct tr_list_query *q)
{
	struct tr_req *kept = tr_req_keep(r);
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;

	tr_record_encode(&tr_list_query_def, q, &query);
	if (kept)
		tr_core_ask(c, c->store_ro, TR_M_LIST, &tr_msg_list_def,
			    &(struct tr_msg_list){ .table = log_of(r)->table, .query = tr_buf_view(&query) }, on_rows, kept);
}

static void ask_list(struct tr_core *c, struct tr_req *r, struct tr_list_query *q)
{
	q->limit = q->limit ? q->limit : 50;
	if (q->limit > (log_of(r)->table == TR_T_ATTESTATION ? 100 : 500)) {
		tr_req_refuse(r, 400, "out_of_range", "limit is at most 500 for audit log and events and 100 for attestations");
		return;
	}
	ask(c, r, q);
}

static void list(struct tr_core *c, struct tr_req *r)
{
	struct tr_list_query q;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &q, &err))
		tr_req_error(r, &err);
	else if (q.id.n || q.batch.n || q.cursor.n)
		tr_req_refuse(r, 400, "out_of_range", "id, batch and cursor are of commands; this list goes by before and after");
	else
		ask_list(c, r, &q);
}

static void get(struct tr_core *c, struct tr_req *r)
{
	struct tr_list_query q = { .limit = 1 };

	for (size_t i = 0; i < r->q.arg.n; i++) {
		uint8_t ch = r->q.arg.p[i];

		if (ch < '0' || ch > '9' || q.seq > INT64_MAX / 100) {
			tr_req_refuse(r, 400, "out_of_range", "attestations and events are named by their number");
			return;
		}
		q.seq = q.seq * 10 + (ch - '0');
	}
	ask(c, r, &q);
}

void tr_api_attestation_list(struct tr_core *c, struct tr_req *r)
{
	list(c, r);
}

void tr_api_audit_list(struct tr_core *c, struct tr_req *r)
{
	list(c, r);
}

void tr_api_attestation_get(struct tr_core *c, struct tr_req *r)
{
	get(c, r);
}

void tr_api_event_get(struct tr_core *c, struct tr_req *r)
{
	get(c, r);
}

void tr_api_event_list(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_events in;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &in, &err))
		tr_req_error(r, &err);
	else
		ask_list(c, r, &(struct tr_list_query){ .before = in.before, .after = in.after, .limit = in.limit,
							.match = in.agent, .outcome = in.kind });
}

/* Also of an agent that is not known: messages that name nobody's id are recorded too. */
void tr_api_agent_events(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_events in;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &in, &err))
		tr_req_error(r, &err);
	else
		ask_list(c, r, &(struct tr_list_query){ .before = in.before, .after = in.after, .limit = in.limit,
							.match = r->q.arg, .outcome = in.kind });
}
