/* SPDX-License-Identifier: Apache-2.0 */
/* From what an operator asks for to orders, one per agent: checked, numbered, signed where nobody has to agree, stored,
 * answered. The way of every order, also of a retry and of the cancelling of one. */
#ifndef TR_SERVER_ORDERING_H
#define TR_SERVER_ORDERING_H

#include "server/orders.h"

#define TR_ORDERING_MAX 1000u /* agents of one request */

struct tr_ordering {
	struct tr_core *c;
	struct tr_req *req;          /* kept */
	struct tr_order form;        /* what the orders have in common; views borrow from req, or from what is below */
	uint64_t life_s;             /* 0: the type's */
	enum tr_cmd cmd;
	const struct tr_cmd_type *type;
	struct tr_view reason;
	const char *action;          /* of the audit row */
	struct tr_item **agents;
	size_t n;
	bool keyed;                  /* the same again makes the same ids */
	uint8_t batch[16];
	char batch_hex[33], retry_of[TR_CMD_ID_HEX + 1];
	uint8_t image[32], target[TR_CMD_ID_LEN];
	char text[TR_ORDER_TEXT_MAX + 1];
	bool cancels;                /* it takes back another order: that one, for the answer */
	char cancelled[TR_CMD_ID_HEX + 1];
	/* On the way. */
	struct tr_making *m;
	size_t at, n_existing, n_ordered;
	unsigned tries;
	struct tr_buf made, failed;  /* JSON of those that stand, now or from before; and of those that do not */
};

/* NULL and answered when out of memory. Keeps r. */
struct tr_ordering *tr_ordering_new(struct tr_core *c, struct tr_req *r, enum tr_cmd cmd, size_t most);
struct tr_ordering *tr_ordering_free(struct tr_ordering *o);
TR_DEFINE_AUTO(struct tr_ordering *, tr_ordering_free)
/* Gives the orders and answers the request. Takes o. */
void tr_ordering_go(struct tr_ordering *o);

#endif
