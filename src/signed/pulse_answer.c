/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to a pulse. */
#include "signed/pulse.h"

enum { K_TICKET = 1, K_RESYNC, K_INTERVAL, K_RECEIVED, K_SENT, K_RENEW, K_WANT_LIST, K_PENDING, K_KEYSET_EPOCH,
       K_WAIT, K_REVOCATION };
#define MEMBERS 11
#define MEMBERS_MAX 32

static bool is_good(const struct tr_pulse_answer *a)
{
	return a->ticket.n == TR_TICKET_LEN && a->interval_s >= 1 && a->interval_s <= TR_PULSE_INTERVAL_MAX_S &&
	       a->received_ns > 0 && a->sent_ns > 0 && a->pending <= UINT32_MAX && a->keyset_epoch <= INT64_MAX &&
	       a->revocation <= INT64_MAX && a->wait_s <= TR_PULSE_WAIT_MAX_S;
}

void tr_pulse_answer_put(const struct tr_pulse_answer *a, struct tr_buf *out)
{
	/* Fails where it is made, not at the agent, which could only refuse it. */
	if (!is_good(a))
		out->failed = true;
	tr_cbor_put_map(out, MEMBERS);
	tr_cbor_put_int(out, K_TICKET);
	tr_cbor_put_bytes(out, a->ticket);
	tr_cbor_put_int(out, K_RESYNC);
	tr_cbor_put_bool(out, a->resync);
	tr_cbor_put_int(out, K_INTERVAL);
	tr_cbor_put_uint(out, a->interval_s);
	tr_cbor_put_int(out, K_RECEIVED);
	tr_cbor_put_int(out, a->received_ns);
	tr_cbor_put_int(out, K_SENT);
	tr_cbor_put_int(out, a->sent_ns);
	tr_cbor_put_int(out, K_RENEW);
	tr_cbor_put_bool(out, a->renew);
	tr_cbor_put_int(out, K_WANT_LIST);
	tr_cbor_put_bool(out, a->want_bpf_list);
	tr_cbor_put_int(out, K_PENDING);
	tr_cbor_put_uint(out, a->pending);
	tr_cbor_put_int(out, K_KEYSET_EPOCH);
	tr_cbor_put_uint(out, a->keyset_epoch);
	tr_cbor_put_int(out, K_WAIT);
	tr_cbor_put_uint(out, a->wait_s);
	tr_cbor_put_int(out, K_REVOCATION);
	tr_cbor_put_uint(out, a->revocation);
}

TR_RC tr_pulse_answer_get(struct tr_view in, struct tr_pulse_answer *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_pulse_answer a = { .resync = false };
	struct tr_cbor_map m;
	unsigned seen = 0;
	int64_t key;

	(void)tr_cbor_map(&r, &m, MEMBERS_MAX);
	while (tr_cbor_key_int(&r, &m, &key)) {
		if (key >= K_TICKET && key <= K_WAIT)
			seen |= 1u << key;
		switch (key) {
		case K_TICKET: a.ticket = tr_cbor_bytes(&r); break;
		case K_RESYNC: a.resync = tr_cbor_bool(&r); break;
		case K_INTERVAL: a.interval_s = tr_cbor_uint(&r); break;
		case K_RECEIVED: a.received_ns = tr_cbor_int(&r); break;
		case K_SENT: a.sent_ns = tr_cbor_int(&r); break;
		case K_RENEW: a.renew = tr_cbor_bool(&r); break;
		case K_WANT_LIST: a.want_bpf_list = tr_cbor_bool(&r); break;
		case K_PENDING: a.pending = tr_cbor_uint(&r); break;
		case K_KEYSET_EPOCH: a.keyset_epoch = tr_cbor_uint(&r); break;
		case K_WAIT: a.wait_s = tr_cbor_uint(&r); break;
		case K_REVOCATION: a.revocation = tr_cbor_uint(&r); break;
		default: (void)tr_cbor_any(&r); /* a newer server's */
		}
	}
	/* An older server says nothing of waiting. */
	if (!r.error && (seen | 1u << K_WAIT) != (2u << K_WAIT) - 2)
		tr_cbor_fail(&r, "the answer to a pulse lacks a member");
	if (!r.error && !is_good(&a))
		tr_cbor_fail(&r, "a member of the answer to a pulse is out of range");
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "answer to the pulse");
	*ret = a;
	return TR_OK;
}
