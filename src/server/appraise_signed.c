/* SPDX-License-Identifier: Apache-2.0 */
/* The role `appraise` on what operators and agents sign: approvals and receipts are taken apart here, where there is nothing
 * to steal, and core hears typed fields. */
#include "server/appraise_signed.h"

#include "codec/json.h"
#include "crypto/key.h"
#include "signed/receipt.h"

#define RESULT_MAX 8192
#define CODE_MAX 32

/* ---- approvals ---- */

static TR_RC read_approval(const struct tr_msg_read_approval *q, struct tr_approval *a, uint8_t key_id[32],
			   struct tr_err *err)
{
	struct tr_keyset ks;
	struct tr_view kid;

	/* Core has verified this keyset; it is taken apart once more because no struct travels between roles. */
	if (tr_keyset_unverified(q->keyset, &ks, err) || tr_approval_read(q->approval, a, &kid, err))
		return err->code;
	/* The class that allows the longest life, and any of its orders: the caller compares with each order's own. */
	return tr_approval_verify(q->approval, &ks, TR_CLASS_CHANGE, a->orders[0], q->now, key_id, err);
}

void tr_appraise_approval(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	static struct tr_approval a; /* large; a role has one thread */
	struct tr_msg_read_approval q;
	struct tr_msg_approval_read out = { 0 };
	uint8_t key_id[32];
	struct tr_err err = { 0 };

	(void)arg;
	memset(&a, 0, sizeof(a));
	if (tr_record_decode(&tr_msg_read_approval_def, f->payload, &q, &err) || read_approval(&q, &a, key_id, &err)) {
		out.code = err.code;
		out.why = tr_view_str(err.pub);
	} else {
		out.key_id = TR_VIEW_ARRAY(key_id);
		out.digests = tr_view(a.orders, a.n * 32);
		out.text = a.text;
		out.issued = a.issued_ms;
		out.expires = a.expires_ms;
	}
	tr_chan_send_record(c, TR_M_APPROVAL_READ, f->id, &tr_msg_approval_read_def, &out);
}

/* ---- receipts ---- */

/* Written anew, so that it is safe to stand inside JSON of ours whatever the agent sent. */
static TR_RC write_result(struct tr_view result, struct tr_buf *b, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;

	if (!result.n)
		return TR_OK;
	if (tr_json_parse(result, &j, err))
		return err->code;
	if (!tr_json_is_object(tr_json_root(j)))
		return tr_err_set(err, TR_E_INVALID, "the result of a receipt must be a JSON object", "result");
	tr_json_dump(tr_json_root(j), b);
	if (!tr_buf_ok(b) || b->n > RESULT_MAX) {
		tr_buf_done(b);
		tr_buf_adds(b, "{\"too_large\":true}");
	}
	return TR_OK;
}

static TR_RC read_receipt(struct tr_view payload, struct tr_receipt *r, struct tr_buf *result, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	struct tr_msg_read_receipt q;

	if (tr_record_decode(&tr_msg_read_receipt_def, payload, &q, err) || tr_pubkey_from_spki(q.spki, &key, err) ||
	    tr_receipt_verify(q.receipt, key, r, err))
		return err->code;
	return write_result(r->result, result, err);
}

void tr_appraise_receipt(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_receipt r = { 0 };
	struct tr_msg_receipt_read out = { 0 };
	tr_auto(tr_buf_done) struct tr_buf result = TR_BUF_INIT;
	uint8_t missing[TR_RECEIPT_MISSING_MAX * 8];
	struct tr_err err = { 0 };

	(void)arg;
	if (read_receipt(f->payload, &r, &result, &err)) {
		out.code = err.code;
		out.why = tr_view_str(err.pub);
		tr_chan_send_record(c, TR_M_RECEIPT_READ, f->id, &tr_msg_receipt_read_def, &out);
		return;
	}
	for (size_t i = 0; i < r.n_missing; i++)
		for (unsigned k = 0; k < 8; k++)
			missing[i * 8 + k] = (uint8_t)(r.missing[i] >> (8 * k));
	out.agent_id = r.agent_id;
	out.cmd_id = TR_VIEW_ARRAY(r.cmd_id);
	out.command = TR_VIEW_ARRAY(r.command);
	out.line = r.line;
	out.seq = r.seq;
	out.state = r.state;
	/* Ours are shorter; a longer one is an agent's invention, and its beginning tells as much. */
	out.reason = r.code.n <= CODE_MAX ? r.code : tr_view(r.code.p, CODE_MAX);
	out.result = tr_buf_view(&result);
	out.at_ns = r.at_ns;
	out.position = r.position;
	out.keyset_epoch = r.keyset_epoch;
	out.high = r.high;
	out.missing = tr_view(missing, r.n_missing * 8);
	tr_chan_send_record(c, TR_M_RECEIPT_READ, f->id, &tr_msg_receipt_read_def, &out);
}
