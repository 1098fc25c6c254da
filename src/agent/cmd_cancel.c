/* SPDX-License-Identifier: Apache-2.0 */
/* cancel: an order that has not begun will not begin; also one that has not come yet. */
#include "agent/obey_inner.h"

/* As long as an order can live: it waits for a week at most, then for its lifetime. */
#define FORGET_MS (INT64_C(1000) * (TR_ORDER_AHEAD_MAX_S + 2 * TR_COMMAND_AGE_MAX_S))
/* Reads need no approval, so a thief of the command key can order these: he gets so many. */
#define UNKNOWN_MAX 256

static size_t never_came(const struct tr_journal *j)
{
	static const uint8_t zeros[32];
	size_t n = 0;

	for (size_t i = 0; i < tr_journal_jobs(j); i++)
		n += memcmp(tr_journal_job(j, i)->order_digest, zeros, 32) == 0;
	return n;
}

static struct tr_cmd_end run(void *arg, const struct tr_job *own, const struct tr_order *order,
			     struct tr_buf *result)
{
	struct tr_obey *o = arg;
	struct tr_job *job = tr_journal_find(o->journal, order->target.p);
	struct tr_err err = { 0 };
	bool came = job != NULL;

	if (job == own)
		return (struct tr_cmd_end){ TR_CS_FAILED, "too_late" };
	if (!job && (never_came(o->journal) >= UNKNOWN_MAX ||
		     tr_journal_cancel_unknown(o->journal, order->target.p, o->now.known_ms + FORGET_MS,
					       o->now.wall_ns, &err)))
		return (struct tr_cmd_end){ TR_CS_FAILED, "journal" };
	if (job && job->state == TR_CS_RECEIVED &&
	    tr_journal_advance(o->journal, job, TR_CS_CANCELLED, tr_refusal_slug(TR_REF_CANCELLED),
			       tr_view(NULL, 0), tr_view(NULL, 0), o->now.wall_ns, &err))
		return (struct tr_cmd_end){ TR_CS_FAILED, "journal" };
	job = tr_journal_find(o->journal, order->target.p);
	tr_buf_addf(result, "{\"target\":\"%s\",\"state\":\"%s\",\"came\":%s}",
		    tr_obey_hex(order->target.p, order->target.n), tr_cmd_state_name(job->state),
		    came ? "true" : "false");
	return job->state == TR_CS_CANCELLED ? (struct tr_cmd_end){ TR_CS_DONE, NULL }
					     : (struct tr_cmd_end){ TR_CS_FAILED, "too_late" };
}

const struct tr_cmd_ops tr_cmd_cancel = { .cmd = TR_CMD_CANCEL, .run = run };
