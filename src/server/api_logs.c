/* SPDX-License-Identifier: Apache-2.0 */
/* The two append-only lists, read by the read-only twin of the store so that a slow query delays nobody. */
#include "server/core.h"

static enum tr_table table_of(const struct tr_req *r)
{
	return r->q.route == TR_RT_AUDIT_LIST ? TR_T_AUDIT : TR_T_ATTESTATION;
}

static void put_rows(const struct tr_req *r, struct tr_view rows, struct tr_buf *b, uint64_t *ret_last, size_t *ret_n)
{
	enum tr_table table = table_of(r);
	struct tr_view one;
	struct tr_err err;

	while (tr_records_next(&rows, &one)) {
		union tr_any_row row;

		if (tr_record_decode(tr_table_def(table), one, &row, &err))
			continue;
		*ret_last = table == TR_T_AUDIT ? row.audit.seq : row.attestation.seq;
		/* Evidence can be large: only the single view shows it. */
		if (r->q.route == TR_RT_ATTESTATION_LIST)
			row.attestation.evidence = tr_view(NULL, 0);
		if ((*ret_n)++)
			tr_buf_adds(b, ",");
		tr_record_to_json(tr_table_def(table), &row, b);
	}
}

static void on_rows(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_rows *m = answer;
	bool one = r->q.route == TR_RT_ATTESTATION_GET;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	uint64_t last = 0;
	size_t n = 0;
	struct tr_err err = { 0 };

	if (!m) {
		tr_req_refuse(r, 503, "store_unavailable", "the list could not be read; try again, or with a smaller limit");
		return;
	}
	if (!one)
		tr_buf_addf(&b, "{\"%s\":[", table_of(r) == TR_T_AUDIT ? "audit" : "attestations");
	put_rows(r, m->rows, &b, &last, &n);
	if (!one)
		tr_buf_addf(&b, "],\"last_seq\":%llu}", (unsigned long long)last);
	if (one && n == 0)
		tr_req_refuse(r, 404, "attestation_not_found", "no attestation of this number; see troth attestation list");
	else if (tr_buf_check(&b, &err))
		tr_req_error(r, &err);
	else
		tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(&b));
}

static void ask(struct tr_core *c, struct tr_req *r, const struct tr_list_query *q)
{
	struct tr_req *kept = tr_req_keep(r);
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;

	tr_record_encode(&tr_list_query_def, q, &query);
	if (kept)
		tr_core_ask(c, c->store_ro, TR_M_LIST, &tr_msg_list_def,
			    &(struct tr_msg_list){ .table = table_of(r), .query = tr_buf_view(&query) }, on_rows, kept);
}

static void list(struct tr_core *c, struct tr_req *r)
{
	struct tr_list_query q;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &q, &err)) {
		tr_req_error(r, &err);
		return;
	}
	q.limit = q.limit ? q.limit : 50;
	if (q.limit > (table_of(r) == TR_T_ATTESTATION ? 100 : 500)) {
		tr_req_refuse(r, 400, "out_of_range", "limit is at most 500 for the audit log and 100 for attestations");
		return;
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
	struct tr_list_query q = { .limit = 1 };

	for (size_t i = 0; i < r->q.arg.n; i++) {
		uint8_t ch = r->q.arg.p[i];

		if (ch < '0' || ch > '9' || q.seq > UINT64_MAX / 100) {
			tr_req_refuse(r, 400, "out_of_range", "attestations are named by their number");
			return;
		}
		q.seq = q.seq * 10 + (ch - '0');
	}
	ask(c, r, &q);
}
