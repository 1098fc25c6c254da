/* SPDX-License-Identifier: Apache-2.0 */
/* What a command asks of the agent that runs on the same state folder: a small file, and SIGUSR1. Whoever can
 * write into the folder holds the device key anyway. */
#ifndef TR_AGENT_REQUEST_H
#define TR_AGENT_REQUEST_H

#include "agent/notice.h"
#include "agent/state.h"

enum tr_request_kind { TR_REQUEST_NONE, TR_REQUEST_ANNOUNCE, TR_REQUEST_ROTATE };

struct tr_request {
	enum tr_request_kind kind;
	enum tr_notice notice;
	uint64_t seconds;
};

TR_RC tr_request_put(const struct tr_state *s, const struct tr_request *r, struct tr_err *err);
/* TR_REQUEST_NONE when there is none; TR_E_INVALID: it is none of ours. */
TR_RC tr_request_get(const struct tr_state *s, struct tr_request *ret, struct tr_err *err);
void tr_request_drop(const struct tr_state *s);

/* For the command: leaves the request, wakes the agent and waits until it was carried out. TR_E_NOTFOUND: no
 * agent runs here; TR_E_UNAVAIL: not carried out in that time. */
TR_RC tr_request_make(const struct tr_state *s, const struct tr_request *r, uint64_t wait_ms,
		      struct tr_err *err);

#endif
