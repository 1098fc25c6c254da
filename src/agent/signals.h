/* SPDX-License-Identifier: Apache-2.0 */
/* Signals are blocked but for these places: a sleep ends with one, SIGTERM or SIGINT ends an exchange, and any of them
 * ends an exchange that only waits. */
#ifndef TR_AGENT_SIGNALS_H
#define TR_AGENT_SIGNALS_H

#include "http/client.h"

#include <signal.h>

TR_RC tr_signals_take(struct tr_err *err);
/* Non-zero after SIGTERM or SIGINT came during an exchange: for tr_client_config.cancel. */
const volatile sig_atomic_t *tr_signals_stop(void);
/* For tr_client_config.cancel of a connection that also carries questions (below). */
const volatile sig_atomic_t *tr_signals_cancel(void);
/* Forgets it, for the last exchange of all. */
void tr_signals_forget_stop(void);
/* tr_client_do, with SIGTERM and SIGINT let in. */
TR_RC tr_signals_do(struct tr_client *c, const struct tr_client_request *req, struct tr_client_answer *a,
		    struct tr_err *err);
/* The same for an exchange that waits: SIGHUP and SIGUSR1 end it, too. *ret_sig: the one that did, or 0. */
TR_RC tr_signals_wait(struct tr_client *c, const struct tr_client_request *req, struct tr_client_answer *a, int *ret_sig,
		      struct tr_err *err);
/* SIGTERM, SIGINT, SIGHUP or SIGUSR1 that ended the sleep, or 0. */
int tr_signals_sleep(uint64_t ms);

#endif
