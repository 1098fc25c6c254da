/* SPDX-License-Identifier: Apache-2.0 */
/* The order: what an operator wants of one agent, and the closed list of what can be wanted (CK-10). Its bytes are
 * fixed when it is given and never change: people approve their digest, and a command (signed/command.h) carries them,
 * however often it has to be signed anew. There is no shell and no order for "all". */
#ifndef TR_SIGNED_ORDER_H
#define TR_SIGNED_ORDER_H

#include "base/buf.h"
#include "base/err.h"

#define TR_ORDER_DOMAIN "troth/order/v1"
#define TR_ORDER_MAX 2048 /* bytes */
#define TR_CMD_ID_LEN 16
#define TR_ORDER_TEXT_MAX 256

/* Who must agree, and the agent checks it: nobody else, one operator, two different operators. */
enum tr_cmd_class { TR_CLASS_READ, TR_CLASS_CHANGE, TR_CLASS_DANGEROUS, TR_CLASS_N };
/* What a crash between beginning and end means: run again, run again, never again (UNKNOWN unless its handler can tell
 * whether it happened). */
enum tr_cmd_kind { TR_KIND_QUERY, TR_KIND_IDEMPOTENT, TR_KIND_ONCE, TR_KIND_N };

/* Numbers stand in signed bytes, journals and databases: never renumber. */
enum tr_cmd {
	TR_CMD_STATUS = 1,        /* query: the agent's own state */
	TR_CMD_INVENTORY,         /* "collect-inventory": system, kernel, memory, mounts, addresses */
	TR_CMD_REATTEST,          /* hash the image and the BPF snapshot anew, send a full pulse */
	TR_CMD_REFRESH_KEYSET,    /* fetch the keyset now */
	TR_CMD_CANCEL,            /* target: an order of the same agent that has not begun */
	TR_CMD_NOTE,              /* text: one line in the host's log and in notes.log; once, and nobody can tell afterwards */
	TR_CMD_SET_INTERVAL,      /* seconds between pulses, 0: as the server says; never slower than it says */
	TR_CMD_RESTART_AGENT,     /* once; the process's start id tells whether it happened */
	TR_CMD_ROTATE_KEY,        /* "rotate-agent-key": once; the key id tells */
	TR_CMD_QUARANTINE,        /* obey nothing but reads, cancel and release until released */
	TR_CMD_RELEASE,
	TR_CMD_N
};

struct tr_cmd_type {
	const char *name;         /* slug, as people write it */
	enum tr_cmd_class class;
	enum tr_cmd_kind kind;
	uint32_t lifetime_s;      /* default and maximum time from order to end of validity (not counting not_before) */
	bool seconds, text, target; /* which parameter it takes; each is then required */
	uint64_t seconds_max;
	const char *help;         /* one line for people */
};
const struct tr_cmd_type *tr_cmd_type(uint64_t cmd); /* NULL: no such command */
enum tr_cmd tr_cmd_of(struct tr_view name);          /* TR_CMD_N: no such */
const char *tr_cmd_class_name(uint64_t class);       /* "read", "change", "dangerous" */
const char *tr_cmd_kind_name(uint64_t kind);         /* "query", "idempotent", "once" */
unsigned tr_cmd_approvals(enum tr_cmd_class class);  /* 0, 1, 2 different operators */
/* Longest time from an approval's issue to its end: 4 h for changes, 1 h for what is dangerous. */
uint32_t tr_cmd_approval_max_s(enum tr_cmd_class class);

#define TR_ORDER_AHEAD_MAX_S 604800 /* not_before at most 7 days after the order */

struct tr_order {
	struct tr_view trust_domain, agent_id;
	uint8_t cmd_id[TR_CMD_ID_LEN];
	uint64_t cmd;             /* enum tr_cmd */
	int64_t ordered_ms;       /* Unix ms, the server's clock */
	int64_t not_before_ms;    /* 0: at once */
	int64_t expires_ms;       /* not begun after this */
	struct tr_view image;     /* only if the agent runs this image, 32 bytes; empty: whatever runs */
	uint64_t seconds;
	struct tr_view text;      /* printable UTF-8, one line */
	struct tr_view target;    /* TR_CMD_ID_LEN bytes */
};

/* Every rule that needs no clock and no key: known command, exactly its parameters, times within its lifetime.
 * TR_E_INVALID says which is broken. */
TR_RC tr_order_check(const struct tr_order *o, struct tr_err *err);
/* Text that a terminal shows as it was signed: UTF-8 without controls, line breaks, changes of direction and characters
 * that nobody sees. An empty one is fine. */
bool tr_order_line_ok(struct tr_view v);
/* Deterministic CBOR (docs/protocol/command.cddl). Encode checks first; decoded views borrow from in. Decode answers
 * TR_E_NOTFOUND for a well-formed order of a command that this version does not know; *ret is set then, too. */
TR_RC tr_order_encode(const struct tr_order *o, struct tr_buf *ret, struct tr_err *err);
TR_RC tr_order_decode(struct tr_view in, struct tr_order *ret, struct tr_err *err);
/* SHA-256 over TR_ORDER_DOMAIN, a zero byte and the bytes: what approvals name. Zeros when it is too
 * long to be an order. */
void tr_order_digest(struct tr_view order, uint8_t out[32]);
/* One line for people, made from the bytes alone: "restart-agent on web-1 (change, once), until 2026-11-22T12:00:00Z".
 * What an operator reads before approving, and what the approval carries. */
void tr_order_text(const struct tr_order *o, struct tr_buf *b);

#endif
