/* SPDX-License-Identifier: Apache-2.0 */
/* The approval: an operator's signature, made on the operator's own machine, over what was shown and over the digests of
 * the orders it was shown for. The agent itself checks it: whoever owns the control plane cannot make one. */
#ifndef TR_SIGNED_APPROVAL_H
#define TR_SIGNED_APPROVAL_H

#include "signed/cose1.h"
#include "signed/keyset.h"
#include "signed/order.h"

#define TR_APPROVAL_DOMAIN "troth/approval/v1"
#define TR_APPROVAL_MAX 8192
#define TR_APPROVAL_ORDERS_MAX 64
#define TR_APPROVAL_TEXT_MAX 4096

struct tr_approval {
	struct tr_view trust_domain;
	int64_t issued_ms, expires_ms;
	struct tr_view text;      /* what the operator read: a line per order */
	size_t n;
	uint8_t orders[TR_APPROVAL_ORDERS_MAX][32]; /* tr_order_digest, sorted, unique */
};

TR_RC tr_approval_sign(const struct tr_approval *a, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err);
/* Form and fields, unverified; kid names the operator's key. Views borrow from in. */
TR_RC tr_approval_read(struct tr_view in, struct tr_approval *ret, struct tr_view *ret_kid, struct tr_err *err);
/* Verifies with the operator key of this keyset that it names: TR_ROLE_OPERATOR, not revoked, valid when it was issued
 * and now, not signed after no_sign_after. Covers `order_digest`; issued at most 5 min in the future; lifetime at most
 * tr_cmd_approval_max_s(class); not expired at now_ms. ret_key_id: SHA-256 of the key's SPKI. TR_E_DENIED otherwise. */
TR_RC tr_approval_verify(struct tr_view in, const struct tr_keyset *ks, enum tr_cmd_class class,
			 const uint8_t order_digest[32], int64_t now_ms, uint8_t ret_key_id[32], struct tr_err *err);

#endif
