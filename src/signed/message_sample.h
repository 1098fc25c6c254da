/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes made piece by piece, as anybody can who holds the recipient's public key: for the unit test, the fuzz target and
 * the vectors. */
#ifndef TR_SIGNED_MESSAGE_SAMPLE_H
#define TR_SIGNED_MESSAGE_SAMPLE_H

#include "signed/message.h"

/* Length, inner object, zeros to the next multiple. */
static inline void sample_pad(struct tr_view inner, struct tr_buf *ret)
{
	static const uint8_t zeros[TR_MESSAGE_PAD];
	const uint8_t head[4] = { (uint8_t)(inner.n >> 24), (uint8_t)(inner.n >> 16), (uint8_t)(inner.n >> 8), (uint8_t)inner.n };
	size_t over = (sizeof(head) + inner.n) % TR_MESSAGE_PAD;

	tr_buf_add(ret, head, sizeof(head));
	tr_buf_addv(ret, inner);
	tr_buf_add(ret, zeros, over ? TR_MESSAGE_PAD - over : 0);
}

static inline void sample_info(struct tr_view fleet, const uint8_t prekey_id[16], struct tr_buf *ret)
{
	tr_buf_add(ret, TR_MESSAGE_DOMAIN, sizeof(TR_MESSAGE_DOMAIN));
	tr_buf_addv(ret, fleet);
	tr_buf_add8(ret, 0);
	tr_buf_add(ret, prekey_id, 16);
}

static inline void sample_aad(struct tr_view sender, struct tr_view recipient, int64_t expires, const uint8_t prekey_id[16],
			      struct tr_buf *ret)
{
	tr_cbor_put_int(ret, 1);
	tr_cbor_put_text(ret, sender);
	tr_cbor_put_text(ret, recipient);
	tr_cbor_put_int(ret, expires);
	tr_cbor_put_bytes(ret, tr_view(prekey_id, 16));
}

/* Seals whatever `plain` is. ephemeral may be NULL. */
static inline TR_RC sample_seal(struct tr_view plain, struct tr_view fleet, const uint8_t prekey[32],
				const struct tr_secret *ephemeral, struct tr_view sender, struct tr_view recipient,
				int64_t expires, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf info = TR_BUF_INIT, head = TR_BUF_INIT, ct = TR_BUF_INIT;
	tr_auto(tr_hpke_free) struct tr_hpke *h = NULL;
	uint8_t id[16], enc[TR_X25519_LEN];
	enum tr_code rc;

	tr_prekey_id(prekey, id);
	sample_info(fleet, id, &info);
	sample_aad(sender, recipient, expires, id, &head);
	rc = tr_hpke_sender(prekey, ephemeral, tr_buf_view(&info), enc, &h, err);
	if (!rc)
		rc = tr_hpke_seal_next(h, tr_buf_view(&head), plain, &ct, err);
	if (rc)
		return rc;
	tr_cbor_put_array(ret, 7);
	tr_buf_addv(ret, tr_buf_view(&head));
	tr_cbor_put_bytes(ret, TR_VIEW_ARRAY(enc));
	tr_cbor_put_bytes(ret, tr_buf_view(&ct));
	return tr_buf_check(ret, err);
}

/* The padded inner object of an envelope. */
static inline TR_RC sample_open(const struct tr_envelope *e, struct tr_view fleet, const struct tr_secret *prekey,
				struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf info = TR_BUF_INIT, head = TR_BUF_INIT;

	sample_info(fleet, e->prekey_id, &info);
	sample_aad(e->sender, e->recipient, e->expires, e->prekey_id, &head);
	return tr_hpke_open(prekey, e->enc, tr_buf_view(&info), tr_buf_view(&head), e->ciphertext, ret, err);
}

#endif
