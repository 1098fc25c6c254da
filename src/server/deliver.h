/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on their way to agents: questions that wait for one (GET /api/v1/agent/commands), and what they are answered. */
#ifndef TR_SERVER_DELIVER_H
#define TR_SERVER_DELIVER_H

#include "server/core.h"

/* Every waiting question is answered, with what there is: a keyset was published, and the answer says its epoch. */
void tr_deliver_wake_all(struct tr_core *c);

#endif
