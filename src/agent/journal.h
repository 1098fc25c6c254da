/* SPDX-License-Identifier: Apache-2.0 */
/* What this agent was ordered and what became of it, on disk before anything happens: so that a command has one effect,
 * however often it is delivered and wherever the machine stops.
 *
 *   (nothing) -> RECEIVED -> STARTED (once only) -> DONE | FAILED | UNKNOWN
 *                       \-> REFUSED | CANCELLED
 *
 * One file of records (agent/journal_rec.h), appended and synced one by one; rewritten whole, under another name, when
 * most of it is past. Nothing is ever taken from a file that is damaged before its last record: the agent then obeys
 * nothing until a person has looked (`troth-agent journal reset`).
 *
 * Replay: the highest (line, seq) and a window of 1024 numbers below it, and each command's id until it could no longer
 * be valid. */
#ifndef TR_AGENT_JOURNAL_H
#define TR_AGENT_JOURNAL_H

#include "agent/journal_rec.h"

#define TR_JOURNAL_FILE "journal.bin"
#define TR_JOURNAL_JOBS_MAX 4096
#define TR_JOURNAL_KEPT 512 /* of them not for reads, which nobody has to approve, and so of the size */
#define TR_JOURNAL_REFUSED_MAX 256
#define TR_JOURNAL_SIZE_MAX ((size_t)16 << 20)

/* The file, and everything that can go wrong with one. append may have written a part when it fails. */
struct tr_journal_io {
	void *arg;
	TR_RC (*load)(void *arg, struct tr_buf *ret, struct tr_err *err); /* TR_E_NOTFOUND: there is none */
	TR_RC (*append)(void *arg, uint64_t at, struct tr_view bytes, struct tr_err *err);
	TR_RC (*sync)(void *arg, struct tr_err *err);
	TR_RC (*cut)(void *arg, uint64_t size, struct tr_err *err);
	/* Is there room for n more bytes behind `at`? So that an effect's end can be written down, too. */
	TR_RC (*reserve)(void *arg, uint64_t at, uint64_t n, struct tr_err *err);
	TR_RC (*read)(void *arg, uint64_t at, uint8_t *to, size_t n, struct tr_err *err);
	TR_RC (*rewrite)(void *arg, struct tr_view all, struct tr_err *err); /* atomic and durable */
	TR_RC (*set_aside)(void *arg, struct tr_err *err); /* as journal.damaged; nothing there is fine */
};

/* The real one. Only rewrite makes the file. */
struct tr_journal_file {
	char dir[4096]; /* of the file; PATH_MAX */
	int fd;
};
void tr_journal_file_init(struct tr_journal_file *f, const char *dir, struct tr_journal_io *ret);
void tr_journal_file_done(struct tr_journal_file *f);
TR_DEFINE_AUTO_DONE(struct tr_journal_file, tr_journal_file_done)

/* One command. Owned by the journal; the caller may use `running` and `told`. */
struct tr_job {
	uint8_t cmd_id[TR_CMD_ID_LEN];
	uint8_t order_digest[32]; /* zeros: cancelled before it came */
	uint8_t digest[32];	  /* of the signed bytes that came last */
	uint8_t kid[TR_KID_LEN];
	uint64_t line, seq, cmd, kind, state;
	int64_t issued_ms, expires_ms, not_before_ms, order_expires_ms, at_ns;
	char code[TR_JR_CODE_MAX + 1];
	uint8_t note[TR_JR_NOTE_MAX]; /* of STARTED: what its handler needs to tell whether it happened */
	size_t note_n;
	uint64_t position, acked; /* of its last record; and of what the server has a receipt of */
	bool running; /* its effect goes on in this process */
	bool told;    /* a receipt of this position was sent by this process over the present connection */

	/* journal.c's */
	uint64_t order_at, result_at;
	uint32_t order_n, result_n;
	uint64_t held; /* state that could not be written yet, 0: none */
	char held_code[TR_JR_CODE_MAX + 1];
	uint8_t *held_result;
	size_t held_n;
};

struct tr_refused_one {
	uint8_t cmd_id[TR_CMD_ID_LEN], digest[32], kid[TR_KID_LEN];
	uint64_t line, seq, position;
	char code[TR_JR_CODE_MAX + 1];
	bool authentic, acked, told;
	int64_t at_ns;
};

enum tr_journal_health { TR_JOURNAL_OK, TR_JOURNAL_DAMAGED, TR_JOURNAL_UNWRITABLE, TR_JOURNAL_HEALTH_N };
const char *tr_journal_health_name(enum tr_journal_health h);

struct tr_journal;
struct tr_journal *tr_journal_free(struct tr_journal *j);
TR_DEFINE_AUTO(struct tr_journal *, tr_journal_free)

/* Reads the file; makes one where there is none, unless there should be one (`expected`: then it is as good as damaged).
 * Fails only for want of memory: everything else is the journal's health. */
TR_RC tr_journal_open(const struct tr_journal_io *io, bool expected, struct tr_journal **ret, struct tr_err *err);
/* The same for somebody who only looks: nothing is written or cut. TR_E_NOTFOUND. */
TR_RC tr_journal_look(struct tr_view bytes, struct tr_journal **ret, struct tr_err *err);
/* After damage: begins anew beside the old file, and takes only commands issued after now_ms. */
TR_RC tr_journal_reset(const struct tr_journal_io *io, int64_t now_ms, struct tr_err *err);

enum tr_journal_health tr_journal_health(const struct tr_journal *j);
const char *tr_journal_why(const struct tr_journal *j); /* of a health that is not OK; else "" */
size_t tr_journal_cut(const struct tr_journal *j);      /* bytes of a torn tail that open cut off */
uint64_t tr_journal_size(const struct tr_journal *j);
uint64_t tr_journal_position(const struct tr_journal *j); /* of the last record */
uint64_t tr_journal_line(const struct tr_journal *j);
uint64_t tr_journal_high(const struct tr_journal *j);
size_t tr_journal_jobs(const struct tr_journal *j);
struct tr_job *tr_journal_job(const struct tr_journal *j, size_t i); /* in the order in which they came */
struct tr_job *tr_journal_find(const struct tr_journal *j, const uint8_t cmd_id[TR_CMD_ID_LEN]);
size_t tr_journal_refusals(const struct tr_journal *j);
struct tr_refused_one *tr_journal_refusal(struct tr_journal *j, size_t i);
/* Numbers below the highest that never came, the lowest first. */
size_t tr_journal_missing(const struct tr_journal *j, uint64_t ret[TR_RECEIPT_MISSING_MAX]);

/* ---- a command that came, and verifies ---- */
enum tr_journal_seen { TR_SEEN_NEW, TR_SEEN_KNOWN, TR_SEEN_REPLAYED, TR_SEEN_FULL };
/* want: ids, digests, line, seq and times. KNOWN: *ret is what became of it. */
enum tr_journal_seen tr_journal_check(struct tr_journal *j, const struct tr_job *want, int64_t now_ms, struct tr_job **ret);
/* NEW: RECEIVED. Also of a known one that was refused because of its key and comes under another. */
TR_RC tr_journal_receive(struct tr_journal *j, const struct tr_job *want, struct tr_view order, struct tr_job **ret,
			 struct tr_err *err);
/* KNOWN: under this signature and number, too. Its receipt is due again, written or not. */
TR_RC tr_journal_again(struct tr_journal *j, struct tr_job *job, const struct tr_job *want, struct tr_err *err);
TR_RC tr_journal_cancel_unknown(struct tr_journal *j, const uint8_t cmd_id[TR_CMD_ID_LEN], int64_t until_ms, int64_t at_ns,
				struct tr_err *err);
/* Keeps the refusal, so that its receipt arrives. The oldest one goes when there are too many. */
TR_RC tr_journal_refuse(struct tr_journal *j, const struct tr_refused_one *r, struct tr_err *err);

/* ---- its life ---- */
/* STARTED: note_n bytes of note. A final state of what has had its effect is kept in memory when it cannot be written,
 * and tr_journal_settle tries again: until then nobody is told of it. */
TR_RC tr_journal_advance(struct tr_journal *j, struct tr_job *job, enum tr_cmd_state state, const char *code,
			 struct tr_view note, struct tr_view result, int64_t at_ns, struct tr_err *err);
TR_RC tr_journal_settle(struct tr_journal *j, int64_t at_ns, struct tr_err *err);
TR_RC tr_journal_order(const struct tr_journal *j, const struct tr_job *job, struct tr_buf *ret, struct tr_err *err);
TR_RC tr_journal_result(const struct tr_journal *j, const struct tr_job *job, struct tr_buf *ret, struct tr_err *err);
/* The server has a receipt of that position. */
TR_RC tr_journal_ack(struct tr_journal *j, uint64_t position, struct tr_err *err);
/* Writes the file anew without what is past, when that is worth it. */
TR_RC tr_journal_tidy(struct tr_journal *j, int64_t now_ms, struct tr_err *err);

#endif
