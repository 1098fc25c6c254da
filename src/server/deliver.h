/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on their way to agents: questions that wait for one (GET /api/v1/agent/commands), and what they are answered. An
 * agent that waits hears of a command in the round of the loop in which it became durable. */
#ifndef TR_SERVER_DELIVER_H
#define TR_SERVER_DELIVER_H

#include "server/orders.h"

#define TR_WAIT_MAX_S 25u

/* Every waiting question is answered, with what there is: a keyset was published, and the answer says its epoch. */
void tr_deliver_wake_all(struct tr_core *c);
/* At the end of this round: the agent's question is answered when something is due. */
void tr_deliver_wake(struct tr_core *c, struct tr_box *b);
/* The agent may not ask any more, or not with that key: its question is answered at once. */
void tr_deliver_end(struct tr_core *c, uint32_t agent);
/* Questions that have waited long enough are answered with nothing. */
void tr_deliver_tick(struct tr_core *c, const struct tr_instant *now);
/* How many are ready to be fetched, and how long a question of this agent may wait; 0: it should not ask without need. */
uint64_t tr_deliver_pending(const struct tr_core *c, const struct tr_item *i, const struct tr_instant *now);
uint64_t tr_deliver_wait_s(const struct tr_core *c, const struct tr_item *i);

#endif
