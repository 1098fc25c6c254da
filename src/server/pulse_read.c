/* SPDX-License-Identifier: Apache-2.0 */
#include "server/pulse_read.h"

TR_RC tr_pulse_read(struct tr_view raw, const struct tr_pubkey *k, struct tr_pulse *ret, uint8_t ret_digest[32],
		    struct tr_buf *list, struct tr_buf *frame, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf items = TR_BUF_INIT;
	struct tr_bpf_list l;

	if (tr_pulse_verify(raw, k, ret, ret_digest, err))
		return err->code;
	tr_buf_clear(list);
	if (ret->bpf_list.n) {
		if (tr_bpf_list_get(ret->bpf_list, &items, &l, err))
			return err->code;
		tr_record_encode(&tr_bpf_list_def, &l, list);
		if (tr_buf_check(list, err))
			return err->code;
		ret->bpf_list = tr_buf_view(list);
	}
	tr_pulse_encode(ret, frame);
	return tr_buf_check(frame, err);
}

void tr_pulse_recheck(const struct tr_msg_recheck *q, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf list = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf frame = TR_BUF_INIT;
	struct tr_pulse p;
	uint8_t digest[32];

	/* The registry's key, which was read when the agent was admitted: that it does not parse is not front's doing. */
	if (tr_pubkey_from_spki(q->spki, &key, err)) {
		err->code = TR_E_INTERNAL;
		return;
	}
	if (tr_pulse_read(q->raw, key, &p, digest, &list, &frame, err)) {
		if (err->code == TR_E_INVALID)
			err->code = TR_E_DENIED;
		return;
	}
	if (!tr_view_eq(tr_buf_view(&frame), q->pulse) || !tr_view_eq(TR_VIEW_ARRAY(digest), q->digest))
		(void)tr_err_set(err, TR_E_DENIED, "the signed bytes say something else than what front read from them",
				 "recheck");
}

struct tr_problem tr_pulse_refusal(enum tr_event_kind kind)
{
	static const struct {
		enum tr_event_kind kind;
		int status;
		const char *slug, *detail;
	} all[] = {
		{ TR_EV_BAD_SIGNATURE, 403, "bad_signature",
		  "the pulse is not signed by the key of this connection's certificate; restart the agent, and enrol again "
		  "when that does not help" },
		{ TR_EV_WRONG_AGENT, 403, "wrong_agent",
		  "the pulse names another agent than this connection's certificate; one state folder is one agent" },
		{ TR_EV_RELAYED, 403, "relayed",
		  "the pulse was made for another TLS connection; whatever stands between agent and server must not end TLS" },
	};
	struct tr_problem p = { .status = 400, .slug = "malformed_pulse",
				.detail = "the pulse is not in the form of docs/protocol/pulse.cddl; update the agent" };

	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		if (all[i].kind != kind)
			continue;
		p.status = all[i].status;
		p.slug = all[i].slug;
		p.detail = all[i].detail;
	}
	p.title = tr_http_status_title(p.status);
	return p;
}
