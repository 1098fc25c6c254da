/* SPDX-License-Identifier: Apache-2.0 */
/* quarantine.json: while it is there, the agent obeys reads, cancel and release alone. */
#ifndef TR_AGENT_QUARANTINE_H
#define TR_AGENT_QUARANTINE_H

#include "agent/state.h"
#include "signed/order.h"

/* A file that cannot be read counts as there: who damages it frees nobody. */
bool tr_quarantine_is(const struct tr_state *s);
TR_RC tr_quarantine_set(const struct tr_state *s, const uint8_t cmd_id[TR_CMD_ID_LEN], int64_t now_ms, struct tr_err *err);
TR_RC tr_quarantine_lift(const struct tr_state *s, struct tr_err *err);

#endif
