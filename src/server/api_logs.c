/* SPDX-License-Identifier: Apache-2.0 */
/* The two append-only lists, read by the read-only twin of the store so that a slow query delays nobody. */
#include "server/core.h"

struct listing {
	struct tr_core *core;
	struct tr_req *req;
	enum tr_table table;
	bool one; /* a single row is wanted, with its evidence */
};

static void listing_free(struct listing *l)
{
	(void)tr_req_free(l->req);
	free(l);
}

static void put_rows(const struct listing *l, struct tr_view rows, struct tr_buf *b, uint64_t *ret_last, size_t *ret_n)
{
	struct tr_view one;
	struct tr_err err;

	while (tr_records_next(&rows, &one)) {
		union {
			struct tr_audit_row audit;
			struct tr_attestation_row attestation;
		} row;

		if (tr_record_decode(tr_table_def(l->table), one, &row, &err))
			continue;
		*ret_last = l->table == TR_T_AUDIT ? row.audit.seq : row.attestation.seq;
		/* Evidence can be large: only the single view shows it. */
		if (l->table == TR_T_ATTESTATION && !l->one)
			row.attestation.evidence = tr_view(NULL, 0);
		if ((*ret_n)++)
			tr_buf_adds(b, ",");
		tr_record_to_json(tr_table_def(l->table), &row, b);
	}
}

static void on_rows(void *arg, const void *answer)
{
	struct listing *l = arg;
	const struct tr_msg_rows *m = answer;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	uint64_t last = 0;
	size_t n = 0;
	struct tr_err err = { 0 };

	if (!m) {
		tr_req_refuse(l->req, 503, "store_unavailable", "the list could not be read; try again, or with a smaller limit");
		listing_free(l);
		return;
	}
	if (!l->one)
		tr_buf_addf(&b, "{\"%s\":[", l->table == TR_T_AUDIT ? "audit" : "attestations");
	put_rows(l, m->rows, &b, &last, &n);
	if (!l->one)
		tr_buf_addf(&b, "],\"last_seq\":%llu}", (unsigned long long)last);
	if (l->one && n == 0)
		tr_req_refuse(l->req, 404, "attestation_not_found", "no attestation of this number; see troth attestation list");
	else if (tr_buf_check(&b, &err))
		tr_req_error(l->req, &err);
	else
		tr_req_answer(l->req, 200, TR_CT_JSON, tr_buf_view(&b));
	listing_free(l);
}

static void ask(struct tr_core *c, struct tr_req *r, enum tr_table table, const struct tr_list_query *q, bool one)
{
	struct listing *l = calloc(1, sizeof(*l));
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;
	struct tr_msg_list m = { .table = table };
	uint64_t id;

	if (!l || !(l->req = tr_req_keep(r))) {
		free(l);
		tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
		return;
	}
	l->core = c;
	l->table = table;
	l->one = one;
	id = c->store_ro ? tr_calls_add(c->calls, c->store_ro, on_rows, l) : 0;
	if (!id) {
		on_rows(l, NULL);
		return;
	}
	tr_record_encode(&tr_list_query_def, q, &query);
	m.query = tr_buf_view(&query);
	tr_chan_send_record(c->store_ro, TR_M_LIST, id, &tr_msg_list_def, &m);
}

static void list(struct tr_core *c, struct tr_req *r, enum tr_table table)
{
	struct tr_list_query q;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &q, &err)) {
		tr_req_error(r, &err);
		return;
	}
	q.limit = q.limit ? q.limit : 50;
	if (q.limit > (table == TR_T_ATTESTATION ? 100 : 500)) {
		tr_req_refuse(r, 400, "out_of_range", "limit is at most 500 for the audit log and 100 for attestations");
		return;
	}
	ask(c, r, table, &q, false);
}

void tr_api_attestation_list(struct tr_core *c, struct tr_req *r)
{
	list(c, r, TR_T_ATTESTATION);
}

void tr_api_audit_list(struct tr_core *c, struct tr_req *r)
{
	list(c, r, TR_T_AUDIT);
}

void tr_api_attestation_get(struct tr_core *c, struct tr_req *r)
{
	struct tr_list_query q = { .limit = 1 };

	for (size_t i = 0; i < r->q.arg.n; i++) {
		uint8_t ch = r->q.arg.p[i];

		if (ch < '0' || ch > '9' || q.seq > UINT64_MAX / 100) {
			tr_req_refuse(r, 400, "out_of_range", "attestations are named by their number");
			return;
		}
		q.seq = q.seq * 10 + (ch - '0');
	}
	ask(c, r, TR_T_ATTESTATION, &q, true);
}
