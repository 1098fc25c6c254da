/* SPDX-License-Identifier: Apache-2.0 */
/* The role `appraise` on what agents sign for one another and for the hub: requests, pre-keys, envelopes. */
#include "server/appraise_hub.h"

#include "server/msg_hub.h"
#include "signed/message.h"
#include "signed/request_sig.h"

static TR_RC verify_request(struct tr_view payload, int64_t *ret_at, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct tr_msg_verify_request q;
	struct tr_msg_hub h;
	struct tr_request_sig s;

	if (tr_record_decode(&tr_msg_verify_request_def, payload, &q, err) ||
	    tr_record_decode(&tr_msg_hub_def, q.hub, &h, err) || tr_pubkey_from_spki(q.spki, &key, err))
		return err->code;
	if (h.body_sha256.n != 32)
		return tr_err_set(err, TR_E_INTERNAL, "the server lost a part of the request; see its log", "body digest");
	s = (struct tr_request_sig){ .method = h.method, .target = h.target, .agent = h.agent, .timestamp = h.timestamp,
				     .nonce = h.nonce };
	memcpy(s.body_sha256, h.body_sha256.p, 32);
	if (tr_request_sig_text(&s, &text, ret_at, err))
		return err->code;
	return tr_request_sig_verify(&s, h.signature, key, err);
}

void tr_appraise_request(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_msg_request_verified out = { 0 };
	struct tr_err err = { 0 };

	(void)arg;
	if (verify_request(f->payload, &out.at, &err)) {
		out.code = err.code;
		out.why = tr_view_str(err.pub);
	}
	tr_chan_send_record(c, TR_M_REQUEST_VERIFIED, f->id, &tr_msg_request_verified_def, &out);
}

static TR_RC read_prekey(struct tr_view payload, struct tr_prekey *ret, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	struct tr_msg_read_prekey q;

	if (tr_record_decode(&tr_msg_read_prekey_def, payload, &q, err) || tr_pubkey_from_spki(q.spki, &key, err))
		return err->code;
	return tr_prekey_verify(q.prekey, key, ret, err);
}

void tr_appraise_prekey(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_msg_prekey_read out = { 0 };
	struct tr_prekey p = { 0 };
	struct tr_err err = { 0 };

	(void)arg;
	if (read_prekey(f->payload, &p, &err)) {
		out.code = err.code;
		out.why = tr_view_str(err.pub);
	} else {
		out.fleet = p.fleet;
		out.agent = p.agent;
		out.number = p.number;
		out.not_before = p.not_before;
		out.not_after = p.not_after;
	}
	tr_chan_send_record(c, TR_M_PREKEY_READ, f->id, &tr_msg_prekey_read_def, &out);
}

void tr_appraise_envelope(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_msg_read_envelope q;
	struct tr_msg_envelope_read out = { 0 };
	struct tr_envelope e;
	struct tr_err err = { 0 };

	(void)arg;
	if (tr_record_decode(&tr_msg_read_envelope_def, f->payload, &q, &err) || tr_envelope_parse(q.envelope, &e, &err)) {
		out.code = err.code;
		out.why = tr_view_str(err.pub);
	} else {
		out.sender = e.sender;
		out.recipient = e.recipient;
		out.expires = e.expires;
	}
	tr_chan_send_record(c, TR_M_ENVELOPE_READ, f->id, &tr_msg_envelope_read_def, &out);
}
