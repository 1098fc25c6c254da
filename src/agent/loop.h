/* SPDX-License-Identifier: Apache-2.0 */
/* The run loop: tr_agent_run in agent/agent.h. One process, one keep-alive connection, no thread of our own.
 * A round sends a pulse to the first server that takes it; what follows from the answer (renewal, a new key)
 * comes after; then it sleeps until the next beat or a signal. SIGTERM ends it with one last pulse that says
 * what is going on. */
#ifndef TR_AGENT_LOOP_H
#define TR_AGENT_LOOP_H

#include "agent/agent.h"

/* SIGTERM to exit: the last pulse gets what is left of it. */
#define TR_FAREWELL_MS 3000

#endif
