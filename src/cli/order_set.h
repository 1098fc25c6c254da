/* SPDX-License-Identifier: Apache-2.0 */
/* Orders that an operator looks at and approves. What is shown is made here from the very bytes whose digests are signed;
 * no word of the server about them is believed. */
#ifndef TR_CLI_ORDER_SET_H
#define TR_CLI_ORDER_SET_H

#include "signed/approval.h"

#define TR_ORDER_SET_MAX 1024
#define TR_ORDER_FILE_MAX ((size_t)4 << 20)

struct tr_order_item {
	struct tr_buf bytes;
	struct tr_order order; /* borrows from bytes */
	uint8_t digest[32];
	char id[2 * TR_CMD_ID_LEN + 1];
};
struct tr_order_set {
	struct tr_order_item *items;
	size_t n;
};
void tr_order_set_done(struct tr_order_set *s);
TR_DEFINE_AUTO_DONE(struct tr_order_set, tr_order_set_done)

/* Once each: what is there already is not taken again. Refused: what this version cannot read, and an order of another trust
 * domain than those before. */
TR_RC tr_order_set_add(struct tr_order_set *s, struct tr_view order, struct tr_err *err);
/* The strictest class among them. */
enum tr_cmd_class tr_order_set_class(const struct tr_order_set *s);
/* A line each. */
void tr_order_set_text(const struct tr_order_set *s, struct tr_buf *b);
/* Approves all of them with this key: one approval per 64 orders, fewer where the text gets long. Each goes to `put`. */
typedef TR_RC (*tr_approval_fn)(void *arg, struct tr_view approval, struct tr_err *err);
TR_RC tr_order_set_approve(const struct tr_order_set *s, const struct tr_privkey *key, int64_t now_ms, tr_approval_fn put,
			   void *arg, struct tr_err *err);

/* Files that go to machines without a network and back: a CBOR array of byte strings, orders or approvals. */
void tr_blobs_put(struct tr_buf *b, const struct tr_view *list, size_t n);
typedef TR_RC (*tr_blob_fn)(void *arg, struct tr_view blob, struct tr_err *err);
TR_RC tr_blobs_each(struct tr_view file, tr_blob_fn fn, void *arg, struct tr_err *err);

#endif
