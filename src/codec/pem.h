/* SPDX-License-Identifier: Apache-2.0 */
/* PEM (RFC 7468, strict encapsulation; line width and CRLF free, text before the first BEGIN allowed as stock
 * tools write it) and a bounded DER header walker. */
#ifndef TR_CODEC_PEM_H
#define TR_CODEC_PEM_H

#include "base/buf.h"

/* The first block of `text`; *ret_label borrows from text, ret_der is appended to; *ret_rest is what follows.
 * Headers inside (RFC 1421 "Proc-Type", encrypted keys) are refused by name. */
TR_RC tr_pem_get(struct tr_view text, struct tr_view *ret_label, struct tr_buf *ret_der, struct tr_view *ret_rest,
		 struct tr_err *err);
void tr_pem_add(struct tr_buf *b, const char *label, struct tr_view der); /* 64 columns, LF */
/* Whether another block starts in text: the loop condition over a bundle, with ret_rest as text. */
bool tr_pem_more(struct tr_view text);

/* One DER element (X.690 10.1: definite, shortest length). Fails by returning false. */
struct tr_der {
	uint8_t tag;
	struct tr_view body, whole;
};
bool tr_der_next(struct tr_view *in, struct tr_der *ret);

#endif
