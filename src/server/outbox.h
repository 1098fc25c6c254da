/* SPDX-License-Identifier: Apache-2.0 */
/* What may become of one command, as a pure function of its row, what is heard and the time: which state follows which, what a
 * receipt changes, when it is handed out, when it is over. No clock, no store, no agents. */
#ifndef TR_SERVER_OUTBOX_H
#define TR_SERVER_OUTBOX_H

#include "signed/receipt.h"
#include "store/records.h"

/* In the order of a life; from TR_OUT_DONE on it is over. */
enum tr_out { TR_OUT_WAITING, TR_OUT_PENDING, TR_OUT_SENT, TR_OUT_RECEIVED, TR_OUT_STARTED, TR_OUT_DONE, TR_OUT_FAILED,
	      TR_OUT_UNKNOWN, TR_OUT_REFUSED, TR_OUT_EXPIRED, TR_OUT_CANCELLED, TR_OUT_N };
const char *tr_out_name(enum tr_out s);
enum tr_out tr_out_of(struct tr_view name); /* TR_OUT_N: no such state */
bool tr_out_over(enum tr_out s);
/* May a command in this state come into that one? Once the agent has said how it ended, nothing follows; what the server
 * ended by itself (expired, cancelled), the agent's word corrects. */
bool tr_out_may(enum tr_out from, enum tr_out to);
/* The state, and the end when it is one. */
void tr_out_enter(struct tr_command_row *row, enum tr_out to, int64_t now_ms);

#define TR_OUT_REDELIVER_MS 30000
/* After a command's end of validity its receipt may still be on the way. */
#define TR_OUT_RECEIPT_GRACE_MS 120000
/* Begun, and nothing heard for this long after the end of validity: nobody will tell any more. */
#define TR_OUT_SILENT_MS INT64_C(604800000)

/* Has to be handed out: signed, in time by the wall clock, and not given lately (given_ms: when it was, by the steady clock;
 * 0: not since the agent's connection or this process began). */
bool tr_out_due(enum tr_out s, int64_t expires_ms, int64_t given_ms, int64_t wall_ms, int64_t now_ms);
/* What the clock makes of it: TR_OUT_EXPIRED, TR_OUT_UNKNOWN, or s itself. */
enum tr_out tr_out_by_clock(enum tr_out s, int64_t expires_ms, int64_t now_ms);

/* A verified receipt of the agent that the command is for. */
struct tr_out_word {
	uint64_t state;           /* enum tr_cmd_state */
	struct tr_view code, result, receipt;
	uint64_t line, seq, position;
	bool ours;                /* it answers the very bytes that we signed, as far as can be told */
};
enum tr_out_effect {
	TR_OUT_NOTHING,           /* old news, or the same again */
	TR_OUT_CHANGED,
	TR_OUT_FORGED,            /* about a command of this id that we did not sign */
	TR_OUT_EARLIER,           /* refuses an earlier signature of it, which is not the one in force: noted, nothing ends */
};
/* Changes the row only for TR_OUT_CHANGED. Views of the row then borrow from w. */
enum tr_out_effect tr_out_hear(struct tr_command_row *row, const struct tr_out_word *w, int64_t now_ms);

#endif
