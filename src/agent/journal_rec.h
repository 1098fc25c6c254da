/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of the agent's journal: how one record is framed and what each kind holds. For journal.c, and for tests that
 * damage one. */
#ifndef TR_AGENT_JOURNAL_REC_H
#define TR_AGENT_JOURNAL_REC_H

#include "codec/record.h"
#include "signed/receipt.h"

#define TR_JR_VERSION 1
#define TR_JR_MAX 16384 /* payload bytes */
#define TR_JR_WINDOW 1024 /* sequence numbers */
#define TR_JR_CODE_MAX 40
#define TR_JR_NOTE_MAX 64

/* Numbers stand on disk: never renumber. */
enum tr_jr_type { TR_JR_HEAD = 1, TR_JR_COMMAND, TR_JR_STATE, TR_JR_SEEN, TR_JR_CANCEL, TR_JR_REFUSED, TR_JR_ACK, TR_JR_N };

/* First in the file: what was before it. */
struct tr_jr_head {
	uint64_t version, position, line, high;
	int64_t not_before_ms; /* commands issued until then are not taken: those that a reset has forgotten */
	bool reset;
	struct tr_view window;
};
/* A command is received. */
struct tr_jr_command {
	uint64_t position;
	struct tr_view cmd_id, order_digest, digest, kid;
	uint64_t line, seq, cmd, kind;
	int64_t issued_ms, expires_ms, not_before_ms, order_expires_ms, at_ns;
	struct tr_view order;
};
struct tr_jr_state {
	uint64_t position;
	struct tr_view cmd_id;
	uint64_t state;
	struct tr_view code, note, result;
	int64_t at_ns;
};
/* A known one came again, under another signature. */
struct tr_jr_seen {
	uint64_t position;
	struct tr_view cmd_id, digest;
	uint64_t line, seq;
};
/* One that never came is cancelled: it will not be obeyed when it comes. */
struct tr_jr_cancel {
	uint64_t position;
	struct tr_view cmd_id;
	int64_t until_ms, at_ns;
};
struct tr_jr_refused {
	uint64_t position;
	struct tr_view cmd_id, digest, kid, code;
	uint64_t line, seq;
	bool authentic; /* its number counts as seen */
	int64_t at_ns;
};
struct tr_jr_ack {
	uint64_t position;
	uint64_t of; /* the position that the server has a receipt of */
};

const struct tr_record *tr_jr_def(uint8_t type); /* NULL: no such record */
/* {u32 length, u32 ~length, u32 CRC-32C} little endian, then the payload: type, fields, 0xa5. The last byte is never zero,
 * so that a tail of zeros, which a file system may leave after a crash, is told from a damaged record. */
void tr_jr_put(struct tr_buf *b, enum tr_jr_type type, const void *rec);

enum tr_jr_next {
	TR_JR_OK,
	TR_JR_END,
	TR_JR_TORN,   /* the last record was not written whole: nothing came after it */
	TR_JR_DAMAGED /* anything else */
};
/* Takes the record at the front of *in. ret_fields borrows: for tr_record_decode. */
enum tr_jr_next tr_jr_get(struct tr_view *in, uint8_t *ret_type, struct tr_view *ret_fields);

#endif
