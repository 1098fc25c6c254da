/* SPDX-License-Identifier: Apache-2.0 */
/* Orders on their way: from what an operator wants to a signed command in the store, and its end. Core keeps every command
 * that is not over; which of them belong to an agent, and which numbers were given, is struct tr_orders (inside core). */
#ifndef TR_SERVER_ORDERS_H
#define TR_SERVER_ORDERS_H

#include "server/core.h"

/* A signing key was revoked: every command that is not over and was signed by it is signed anew under the primary key, same
 * order, new number. Nothing happens at once; without a primary key they wait until there is one. */
void tr_orders_resign(struct tr_core *c, const uint8_t key_id[32]);
/* A key that can sign is there (again): what waits for a signature gets it. */
void tr_orders_sign_waiting(struct tr_core *c);

#endif
