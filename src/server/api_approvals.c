/* SPDX-License-Identifier: Apache-2.0 */
/* Approvals: signed on an operator's own machine, read by appraise with the operator keys of the keyset in force, kept with
 * each order that they name. The agent checks them once more; what counts is its word, not ours. */
#include "server/orders.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/cbor.h"
#include "codec/text.h"
#include "server/authority.h"

struct approving {
	struct tr_req *req;
	struct tr_buf bytes;     /* what appraise said */
	struct tr_msg_approval_read m;
	size_t unknown, unchanged;
};

static struct approving *approving_free(struct approving *a)
{
	if (a) {
		(void)tr_req_free(a->req);
		tr_buf_done(&a->bytes);
		free(a);
	}
	return NULL;
}
TR_DEFINE_AUTO(struct approving *, approving_free)

/* ---- what is enclosed already ---- */

/* Copies those that still count; ret_same: one of them is this operator's. They were verified when they came. */
static size_t keep_others(struct tr_view approvals, struct tr_view key_id, int64_t now_ms, struct tr_view kept[],
			  bool *ret_same)
{
	static struct tr_approval a; /* large; a role has one thread */
	struct tr_cbor r = tr_cbor_reader(approvals);
	size_t n = approvals.n ? tr_cbor_array(&r, TR_COMMAND_APPROVALS_MAX) : 0, out = 0;

	*ret_same = false;
	for (size_t k = 0; k < n; k++) {
		struct tr_view one = tr_cbor_bytes(&r), kid;
		struct tr_err err = { 0 };

		if (tr_approval_read(one, &a, &kid, &err) || a.expires_ms <= now_ms)
			continue;
		*ret_same |= tr_view_eq(kid, tr_view(key_id.p, TR_KID_LEN));
		kept[out++] = one;
	}
	return out;
}

int64_t tr_approvals_until(struct tr_view approvals)
{
	static struct tr_approval a; /* large; a role has one thread */
	struct tr_cbor r = tr_cbor_reader(approvals);
	size_t n = approvals.n > 1 ? tr_cbor_array(&r, TR_COMMAND_APPROVALS_MAX) : 0;
	int64_t first = INT64_MAX;

	for (size_t k = 0; k < n; k++) {
		struct tr_view kid;
		struct tr_err err = { 0 };

		if (!tr_approval_read(tr_cbor_bytes(&r), &a, &kid, &err) && a.expires_ms < first)
			first = a.expires_ms;
	}
	return first;
}

static void put_approvals(const struct tr_view list[], size_t n, struct tr_view added, struct tr_buf *b)
{
	tr_cbor_put_array(b, n + 1);
	for (size_t k = 0; k < n; k++)
		tr_cbor_put_bytes(b, list[k]);
	tr_cbor_put_bytes(b, added);
}

/* ---- the answer ---- */

static void stored(void *arg, struct tr_making *m)
{
	tr_auto(approving_free) struct approving *a = arg;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	const struct tr_make *failed = NULL;
	size_t shown = 0, ready = 0;

	tr_buf_adds(&b, "{\"key_id\":\"");
	tr_hex_add(&b, a->m.key_id);
	tr_buf_adds(&b, "\",\"commands\":[");
	for (size_t k = 0; k < tr_making_n(m); k++) {
		const struct tr_make *x = tr_making_at(m, k);

		if (x->rc) {
			failed = x;
			continue;
		}
		ready += tr_approvals_enough(&x->row);
		tr_buf_adds(&b, shown++ ? "," : "");
		tr_command_json(&x->row, TR_CJ_LIST, &b);
		b.n--;
		tr_buf_addf(&b, ",\"approvals\":%zu}", tr_approvals_count(x->row.approvals));
	}
	tr_buf_addf(&b, "],\"orders\":%zu,\"ready\":%zu,\"unknown\":%zu,\"unchanged\":%zu}", shown, ready, a->unknown, a->unchanged);
	/* Those that are durable stay so; the same approval may be sent again for the rest. */
	if (failed)
		tr_req_not_stored(a->req, failed->rc, failed->why);
	else
		tr_req_answer_json(a->req, &b);
}

static void add_audit(const struct approving *a, struct tr_making *m, const struct tr_command_row *row)
{
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;
	struct tr_audit_row audit = { .time = tr_now_ms(), .actor = tr_view_str(a->req->actor),
				      .action = TR_VIEW_LIT("command.approve"), .object = row->id, .outcome = TR_VIEW_LIT("ok"),
				      .source = a->req->q.source };

	tr_buf_adds(&d, "{\"key_id\":\"");
	tr_hex_add(&d, a->m.key_id);
	tr_buf_adds(&d, "\",\"agent\":");
	tr_json_put_str(&d, row->agent);
	tr_buf_adds(&d, ",\"type\":");
	tr_json_put_str(&d, row->type);
	tr_buf_adds(&d, "}");
	audit.detail = tr_buf_view(&d);
	tr_op_encode(tr_making_also(m), TR_OP_APPEND, TR_T_AUDIT, &audit);
}

/* ---- the orders that it names ---- */

enum fits { FITS, FITS_NOT, FITS_LATER, FITS_TOO_LONG };

static enum fits approve_one(struct approving *a, struct tr_making *m, struct tr_live *l, struct tr_view approval)
{
	struct tr_core *c = a->req->core;
	struct tr_view others[TR_COMMAND_APPROVALS_MAX];
	tr_auto(tr_buf_done) struct tr_buf list = TR_BUF_INIT;
	int64_t now_ms = tr_now_ms();
	struct tr_make *x;
	bool same;
	size_t n;

	if (l->state != TR_OUT_WAITING || l->expires_ms <= now_ms)
		return FITS_NOT;
	if (l->busy)
		return FITS_LATER;
	if (a->m.expires - a->m.issued > (int64_t)tr_cmd_approval_max_s((enum tr_cmd_class)l->class) * 1000)
		return FITS_TOO_LONG;
	x = tr_making_change(m, l);
	if (!x)
		return FITS_LATER;
	n = keep_others(x->row.approvals, a->m.key_id, now_ms, others, &same);
	if (same || n == TR_COMMAND_APPROVALS_MAX) {
		tr_making_drop(m);
		return FITS_NOT;
	}
	put_approvals(others, n, approval, &list);
	x->row.approvals = tr_making_keep(m, tr_buf_view(&list));
	x->sign = tr_approvals_enough(&x->row) && tr_authority_command_key(c);
	if (x->sign)
		tr_out_enter(&x->row, TR_OUT_PENDING, now_ms);
	add_audit(a, m, &x->row);
	return FITS;
}

static bool refuse_fit(struct tr_req *r, enum fits f)
{
	if (f == FITS_LATER)
		tr_req_refuse(r, 503, "busy", "another change of one of these orders is under way; send it again in a second");
	else if (f == FITS_TOO_LONG)
		tr_req_refuse(r, 422, "approval_too_long",
			      "an approval of a dangerous order lives at most an hour, of a change four; sign a shorter one");
	return f == FITS_LATER || f == FITS_TOO_LONG;
}

static void approve(struct approving *a)
{
	struct tr_core *c = a->req->core;
	size_t n = a->m.digests.n / 32;
	tr_auto(tr_making_free) struct tr_making *m = tr_making_new(c, n ? n : 1);
	tr_auto(approving_free) struct approving *mine = a;
	struct tr_in_approval in;
	struct tr_err err = { 0 };

	if (!m || tr_req_in(a->req, &in, &err)) {
		tr_req_refuse(a->req, 503, "out_of_memory", "the server is out of memory; try again later");
		return;
	}
	for (size_t k = 0; k < n; k++) {
		const struct tr_item *i = tr_table_get_alt(&c->commands, tr_view(a->m.digests.p + k * 32, 32));
		struct tr_live *l = i ? tr_live_at(c, i->no) : NULL;
		enum fits f = l ? approve_one(a, m, l, in.approval) : FITS_NOT;

		if (refuse_fit(a->req, f))
			return;
		a->unknown += !l;
		a->unchanged += l && f == FITS_NOT;
	}
	if (tr_making_n(m))
		tr_making_go(TR_TAKE(m), stored, TR_TAKE(mine));
	else if (a->unchanged)
		tr_req_refuse(a->req, 409, "nothing_to_approve",
			      "these orders wait for nobody, or for somebody else: an operator counts once");
	else
		tr_req_refuse(a->req, 404, "order_not_found",
			      "no order that waits for approval has this digest; see troth command list --state waiting");
}

static void refuse_unread(struct tr_req *r, const struct tr_msg_approval_read *m)
{
	struct tr_in_approval in = { 0 };
	struct tr_err err = { 0 };
	char why[200];

	if (!m) {
		tr_req_no_verifier(r);
		return;
	}
	(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->why));
	tr_log(TR_LOG_WARN, "approval_refused", "by", r->actor, "why", why, NULL);
	if (!tr_req_in(r, &in, &err))
		tr_command_event(r->core, TR_EV_APPROVAL_REFUSED, 2, NULL, NULL, tr_view(NULL, 0), m->why, r->q.source,
				 in.approval, NULL);
	tr_req_refuse(r, 422, m->code == TR_E_DENIED ? "approval_refused" : "malformed", why);
}

static void on_read(void *arg, const void *answer)
{
	tr_auto(approving_free) struct approving *a = arg;
	const struct tr_msg_approval_read *m = answer;
	struct tr_err err = { 0 };

	if (!m || m->code) {
		refuse_unread(a->req, m);
		return;
	}
	tr_record_encode(&tr_msg_approval_read_def, m, &a->bytes);
	if (!tr_buf_ok(&a->bytes) || tr_record_decode(&tr_msg_approval_read_def, tr_buf_view(&a->bytes), &a->m, &err))
		tr_req_refuse(a->req, 503, "out_of_memory", "the server is out of memory; try again later");
	else
		approve(TR_TAKE(a));
}

void tr_api_command_approve(struct tr_core *c, struct tr_req *r)
{
	tr_auto(approving_free) struct approving *a = calloc(1, sizeof(*a));
	struct tr_msg_read_approval q = { .keyset = tr_authority_bytes(c), .now = tr_now_ms() };
	struct tr_in_approval in;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (!a) {
		tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
		return;
	}
	a->req = tr_req_keep(r);
	if (!a->req)
		return;
	q.approval = in.approval;
	tr_core_ask(c, c->appraise, TR_M_READ_APPROVAL, &tr_msg_read_approval_def, &q, on_read, TR_TAKE(a));
}
