/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the peer that runs on a state folder, over its Unix socket: what `send`, `receive` and `peers` do. */
#ifndef TR_AGENT_LOCAL_H
#define TR_AGENT_LOCAL_H

#include "agent/state.h"

struct tr_local_answer {
	int status;
	struct tr_buf text;
	struct tr_view body;   /* in text */
	struct tr_json *doc;   /* of the body */
};
void tr_local_answer_done(struct tr_local_answer *a);
TR_DEFINE_AUTO_DONE(struct tr_local_answer, tr_local_answer_done)
/* socket: NULL: what peer.json says, or <state>/agent.sock. TR_E_UNAVAIL: no peer runs there. */
TR_RC tr_local_do(const char *state_dir, const char *socket, const char *method, const char *target, struct tr_view body,
		  unsigned timeout_s, struct tr_local_answer *ret, struct tr_err *err);
/* Tells the refusal on stderr; an exit code of enum tr_agent_exit. */
int tr_local_refused(const struct tr_local_answer *a);

#endif
