/* SPDX-License-Identifier: Apache-2.0 */
#include "server/outbox.h"

static const char *const names[TR_OUT_N] = { "waiting", "pending", "sent",    "received", "started",  "done",
					     "failed",  "unknown", "refused", "expired",  "cancelled" };

const char *tr_out_name(enum tr_out s)
{
	return (unsigned)s < TR_OUT_N ? names[s] : "none";
}

enum tr_out tr_out_of(struct tr_view name)
{
	unsigned s = 0;

	while (s < TR_OUT_N && !tr_view_is(name, names[s]))
		s++;
	return (enum tr_out)s;
}

bool tr_out_over(enum tr_out s)
{
	return s >= TR_OUT_DONE && s < TR_OUT_N;
}

#define B(s) (1u << TR_OUT_##s)
#define SAID (B(RECEIVED) | B(STARTED) | B(DONE) | B(FAILED) | B(UNKNOWN) | B(REFUSED) | B(CANCELLED))

bool tr_out_may(enum tr_out from, enum tr_out to)
{
	/* PENDING from SENT and RECEIVED: signed anew. */
	static const unsigned next[TR_OUT_N] = {
		[TR_OUT_WAITING] = B(PENDING) | B(EXPIRED) | B(CANCELLED),
		[TR_OUT_PENDING] = B(PENDING) | B(SENT) | B(EXPIRED) | SAID,
		[TR_OUT_SENT] = B(PENDING) | B(SENT) | B(EXPIRED) | SAID,
		[TR_OUT_RECEIVED] = B(PENDING) | B(STARTED) | B(DONE) | B(FAILED) | B(UNKNOWN) | B(REFUSED) | B(CANCELLED) |
				    B(EXPIRED),
		[TR_OUT_STARTED] = B(DONE) | B(FAILED) | B(UNKNOWN),
		/* What nobody could tell may turn out after all. */
		[TR_OUT_UNKNOWN] = B(DONE) | B(FAILED),
		[TR_OUT_EXPIRED] = SAID,
		/* Who spoils a signature on the way makes an agent refuse what it obeys when the whole one comes after it. */
		[TR_OUT_REFUSED] = B(STARTED) | B(DONE) | B(FAILED) | B(UNKNOWN) | B(CANCELLED),
		[TR_OUT_CANCELLED] = B(STARTED) | B(DONE) | B(FAILED) | B(UNKNOWN),
	};

	return (unsigned)from < TR_OUT_N && (unsigned)to < TR_OUT_N && (next[from] & 1u << to);
}

void tr_out_enter(struct tr_command_row *row, enum tr_out to, int64_t now_ms)
{
	row->state = tr_view_str(tr_out_name(to));
	row->ended_at = tr_out_over(to) ? now_ms : 0;
}

bool tr_out_due(enum tr_out s, int64_t expires_ms, int64_t given_ms, int64_t wall_ms, int64_t now_ms)
{
	if (expires_ms <= wall_ms || (s != TR_OUT_PENDING && s != TR_OUT_SENT))
		return false;
	/* Given and not yet marked, or marked: either way the agent has it, or its connection broke. */
	return !given_ms || now_ms - given_ms >= TR_OUT_REDELIVER_MS;
}

enum tr_out tr_out_by_clock(enum tr_out s, int64_t expires_ms, int64_t now_ms)
{
	switch (s) {
	case TR_OUT_WAITING:
	case TR_OUT_PENDING: return expires_ms <= now_ms ? TR_OUT_EXPIRED : s;
	case TR_OUT_SENT:
	case TR_OUT_RECEIVED: return expires_ms + TR_OUT_RECEIPT_GRACE_MS <= now_ms ? TR_OUT_EXPIRED : s;
	case TR_OUT_STARTED: return expires_ms + TR_OUT_SILENT_MS <= now_ms ? TR_OUT_UNKNOWN : s;
	default: return s;
	}
}

static enum tr_out state_of(uint64_t said)
{
	static const enum tr_out states[TR_CS_N] = {
		[0] = TR_OUT_N,
		[TR_CS_RECEIVED] = TR_OUT_RECEIVED,
		[TR_CS_STARTED] = TR_OUT_STARTED,
		[TR_CS_DONE] = TR_OUT_DONE,
		[TR_CS_FAILED] = TR_OUT_FAILED,
		[TR_CS_UNKNOWN] = TR_OUT_UNKNOWN,
		[TR_CS_REFUSED] = TR_OUT_REFUSED,
		[TR_CS_CANCELLED] = TR_OUT_CANCELLED,
	};

	return said < TR_CS_N ? states[said] : TR_OUT_N;
}

enum tr_out_effect tr_out_hear(struct tr_command_row *row, const struct tr_out_word *w, int64_t now_ms)
{
	enum tr_out from = tr_out_of(row->state), to = state_of(w->state);
	bool in_force = w->line == row->line && w->seq == row->seq;

	/* Never signed by us, or other bytes under a number of ours, or a number that we did not give: somebody else's. */
	if (!row->seq || from == TR_OUT_WAITING || (in_force && !w->ours) || w->line > row->line ||
	    (w->line == row->line && w->seq > row->seq))
		return TR_OUT_FORGED;
	if (w->position < row->position)
		return TR_OUT_NOTHING;
	if (to == TR_OUT_REFUSED && !in_force)
		return TR_OUT_EARLIER;
	if (!tr_out_may(from, to))
		return TR_OUT_NOTHING;
	tr_out_enter(row, to, now_ms);
	row->code = w->code;
	row->result = w->result;
	row->receipt = w->receipt;
	row->position = w->position;
	row->acked_at = now_ms;
	return TR_OUT_CHANGED;
}
