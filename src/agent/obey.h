/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes of one command to its effect and its receipt. No network and no clock: bytes come in, receipts go out,
 * the caller says what time it is.
 *
 *   verify -> known? answer from the journal -> RECEIVED -> (not_before) -> STARTED, once only -> effect -> DONE -> receipt
 *
 * What a command does is in a table of handlers, one file each (cmd_*.c). */
#ifndef TR_AGENT_OBEY_H
#define TR_AGENT_OBEY_H

#include "agent/journal.h"

/* How a handler ended. STARTED: the effect goes on, `look` will tell; only handlers of `once` may say so. */
struct tr_cmd_end {
	enum tr_cmd_state state; /* DONE, FAILED, STARTED, UNKNOWN */
	const char *code;	 /* slug; NULL: none */
};

struct tr_cmd_ops {
	enum tr_cmd cmd;
	/* Bytes of the present state that tell, afterwards, whether it happened; at most TR_JR_NOTE_MAX. May be NULL. */
	void (*note)(void *arg, struct tr_buf *ret);
	/* Result: a JSON object of at most TR_RECEIPT_RESULT_MAX bytes, or nothing. */
	struct tr_cmd_end (*run)(void *arg, const struct tr_job *job, const struct tr_order *o, struct tr_buf *result);
	/* Of one that was STARTED: by this process (same), or by one that has ended. NULL: nobody can tell. */
	struct tr_cmd_end (*look)(void *arg, const struct tr_job *job, bool same, struct tr_buf *result);
};

/* Which moment it is. */
struct tr_obey_now {
	int64_t known_ms; /* the server's time as known: decides what has expired */
	int64_t wall_ns;  /* our own clock: what receipts report */
	uint64_t mono_ms;
};

#define TR_OBEY_REFUSED_PER_MIN 60
#define TR_OBEY_LOOSE_MAX 16

struct tr_obey {
	struct tr_journal *journal;
	const struct tr_cmd_ops *const *ops; /* NULL-terminated */
	void *arg;			     /* of the handlers */
	struct tr_command_scope scope;	     /* keyset NULL: none yet; now_ms is set from now */
	struct tr_view image;		     /* SHA-256 of the running image */
	bool quarantined;
	struct tr_obey_now now;

	/* obey.c's */
	struct tr_refused_one loose[TR_OBEY_LOOSE_MAX]; /* refusals that no journal holds; told once */
	size_t n_loose;
	uint64_t minute, refused, dropped;
};

/* KEY_UNKNOWN: nothing was done; fetch the keyset and ask again, with `last` set. */
enum tr_obey_took { TR_OBEY_TOOK, TR_OBEY_KEY_UNKNOWN };
enum tr_obey_took tr_obey_take(struct tr_obey *o, struct tr_view command, bool last);
/* Once, when the time is known: what an earlier process left. */
void tr_obey_resume(struct tr_obey *o);
/* What waits for its time begins, what goes on is looked after, what could not be written is written. */
void tr_obey_tick(struct tr_obey *o);
/* The earliest time for which something waits, as known_ms; 0: nothing does. */
int64_t tr_obey_wake_ms(const struct tr_obey *o);

/* Signs the next receipt that the server does not have and was not sent lately. False: there is none. */
bool tr_obey_receipt(struct tr_obey *o, const struct tr_privkey *k, struct tr_buf *ret, uint64_t *ret_position);
/* The server has it. */
void tr_obey_acked(struct tr_obey *o, uint64_t position);
/* Those that were sent and not taken are due again. */
void tr_obey_resend(struct tr_obey *o);

extern const struct tr_cmd_ops tr_cmd_cancel; /* its arg is the tr_obey itself */

#endif
