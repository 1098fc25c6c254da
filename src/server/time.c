/* SPDX-License-Identifier: Apache-2.0 */
/* The signed time, for agents that have not yet found out what time it is: core names the moment, keys signs it. */
#include "server/core.h"

#include "base/clock.h"

static void on_signed(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_time_signed *s = answer;

	if (s && !s->code)
		tr_req_answer(r, 200, TR_CT_COSE, s->signed_time);
	else if (s && s->code == TR_E_BUSY)
		tr_req_refuse(r, 503, "busy", "the signed time is asked for too often; try again in a second");
	else
		tr_req_refuse(r, 503, "time_not_signed", "the time could not be signed now; try again in a moment");
}

void tr_api_time(struct tr_core *c, struct tr_req *r)
{
	const struct tr_msg_sign_time q = { .nonce = r->q.in, .now_ns = tr_now_ns() };
	struct tr_req *kept = tr_req_keep(r);

	if (kept)
		tr_core_ask(c, c->keys, TR_M_SIGN_TIME, &tr_msg_sign_time_def, &q, on_signed, kept);
}
