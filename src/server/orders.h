/* SPDX-License-Identifier: Apache-2.0 */
/* Orders on their way: from what an operator wants to a signed command in the store, and its end. The rows of commands that
 * are not over are in core's table; beside each stands struct tr_live, and for each agent that ever had one struct tr_box.
 *
 *   orders.c    who has which commands, which numbers were given, what the clock ends
 *   outbox.c    what may become of one command, pure
 *   ordering.c  from a request to orders        making.c    rows of them: numbered, signed, stored
 *   deliver.c   questions that wait, and what they are answered        receipts.c  what agents say
 *   api_order.c, api_commands.c, api_approvals.c, command_json.c  what operators ask, say and see
 *   original.c  an answer in the original's form besides */
#ifndef TR_SERVER_ORDERS_H
#define TR_SERVER_ORDERS_H

#include "server/core.h"
#include "server/outbox.h"

#define TR_NO_LIVE UINT32_MAX
#define TR_CMD_ID_HEX (TR_CMD_ID_LEN * 2)

/* What is looked at often of a command that is not over. */
struct tr_live {
	char id[TR_CMD_ID_HEX + 1]; /* empty: this place is free */
	uint8_t state, cmd, class;  /* enum tr_out, enum tr_cmd, enum tr_cmd_class */
	uint8_t attempts;
	uint8_t approvals;          /* that its row has */
	uint16_t busy;              /* changes of its row under way: nobody else begins one */
	bool given;                 /* handed out in this round; its row is about to say so */
	bool maybe_given;           /* stood there when this process began: its predecessor may have handed it out */
	bool orphan;                /* the agent's identity was reset since: nobody obeys it any more */
	bool resign;                /* signed by a key that was revoked since: not handed out until it is signed anew */
	uint32_t agent, prev, next; /* number in the fleet; the agent's other ones, oldest first */
	uint64_t line, seq;
	int64_t expires_ms;
	int64_t give_until_ms;      /* an approval that has run out is worth nothing to the agent when the command arrives */
	int64_t given_ms;           /* handed out last, steady; 0: not since the agent's connection or this process began */
	int64_t sent_at;
};

struct tr_box {
	uint32_t agent, first, last, n;
	uint64_t line, given;       /* the last number given, durable or not: it is never given again */
	int64_t quarantined_at;
	/* The question that waits: one per agent, the newest. */
	bool asking, to_wake;
	unsigned front;
	uint32_t front_gen;
	uint64_t question;
	int64_t until_ms;           /* steady */
	struct tr_box *asking_prev, *asking_next, *wake_next;
	uint8_t connection[8];      /* beginning of the exporter of its last question */
};

struct tr_orders {
	struct tr_live *live;
	uint32_t n_live, cap_live, free_live; /* used ones are not dense */
	struct tr_box **boxes;      /* by number in the fleet */
	uint32_t n_boxes;
	uint64_t line;              /* of this installation; 0: not durable yet */
	bool line_keeping;
	struct tr_box *asking, *to_wake;
	uint32_t n_asking, n_given;
	uint32_t *given;            /* handed out in this round */
	uint32_t cap_given;
	bool round_scheduled;
	unsigned ending, signing;   /* what the clock ends, and what waited for a signature: under way */
	uint64_t counted[TR_CMD_N][TR_OUT_N]; /* how often a command of this kind came into this state here */
	struct tr_pace receipts;    /* how often an agent may say something that is stored */
	struct tr_pace foreign;     /* and that of commands which nobody ordered: rows of it are never pruned */
};

/* ---- life ---- */

struct tr_orders *tr_orders_new(void);
struct tr_orders *tr_orders_free(struct tr_orders *o);
/* Agents and commands are loaded; false: out of memory. */
bool tr_orders_loaded(struct tr_core *c);
/* Makes the installation's line durable, once; false: not yet, tr_core_tell_ready is called again. */
bool tr_orders_ready(struct tr_core *c);
/* A row of commands or outboxes became durable, by whomever; false: out of memory. */
bool tr_orders_follow(struct tr_core *c, enum tr_op op, const struct tr_command_row *row);
bool tr_orders_numbered(struct tr_core *c, const struct tr_outbox_row *row);
/* The agent begins anew under another key and enrolment: what was ordered of the one before ends. */
void tr_orders_reset(struct tr_core *c, uint32_t agent);
/* Once a second: what the clock ends, and what waits for a signature. */
void tr_orders_tick(struct tr_core *c, const struct tr_instant *now);
/* troth_commands_total and its like, for /metrics. */
void tr_orders_print(const struct tr_core *c, struct tr_buf *b);

/* A signing key was revoked: every command that is not over and was signed by it is signed anew under the primary key, same
 * order, new number. Nothing happens at once; without a primary key they wait until there is one. */
void tr_orders_resign(struct tr_core *c, const uint8_t key_id[32]);
/* A key that can sign is there (again): what waits for a signature gets it, from the node that holds the lease. */
void tr_orders_sign_waiting(struct tr_core *c);

/* ---- finding ---- */

struct tr_box *tr_box_find(const struct tr_core *c, uint32_t agent); /* NULL: never had one */
struct tr_box *tr_box_of(struct tr_core *c, uint32_t agent);         /* made when there is none; NULL: out of memory */
struct tr_live *tr_live_find(const struct tr_core *c, struct tr_view id); /* NULL: over, or never was */
struct tr_live *tr_live_at(const struct tr_core *c, uint32_t no);
uint32_t tr_live_no(const struct tr_core *c, const struct tr_live *l);
/* Its row as it is durable; the views are good until the enclosing block ends or the row changes. */
#define tr_command_now(c, l)                                                                                          \
	(*(const struct tr_command_row *)TR_ROW(&(c)->commands, tr_table_get(&(c)->commands, tr_view_str((l)->id))))
/* Approvals enclosed in a row: a CBOR array of byte strings. */
size_t tr_approvals_count(struct tr_view approvals);
/* When the first of them runs out; INT64_MAX: there is none. */
int64_t tr_approvals_until(struct tr_view approvals);
bool tr_approvals_enough(const struct tr_command_row *row);

/* ---- making (making.c) ---- */

/* One row to be stored. sign: it gets a number and a signature first. */
struct tr_make {
	struct tr_command_row row;  /* as it will be; the views live until the end of the making */
	struct tr_item *agent;
	bool is_new, sign;
	bool was_live;              /* this making's busy mark is on it */
	bool quarantine_changes;    /* a receipt says so: the agent's outbox row is stored with it */
	int64_t quarantined_at;
	enum tr_code rc;            /* TR_OK: durable as `row` says */
	const char *why;            /* static or kept by the making */
	char id[TR_CMD_ID_HEX + 1];
	uint8_t digest[32], key_id[32];
};
struct tr_making;
typedef void (*tr_making_fn)(void *arg, struct tr_making *m);
struct tr_making *tr_making_new(struct tr_core *c, size_t most);
struct tr_making *tr_making_free(struct tr_making *m);
TR_DEFINE_AUTO(struct tr_making *, tr_making_free)
/* The next one, zeroed; NULL: `most` are there. */
struct tr_make *tr_making_add(struct tr_making *m);
/* The same for a command that exists: its row copied, marked as busy until the end. */
struct tr_make *tr_making_change(struct tr_making *m, struct tr_live *l);
/* Takes the last one back. */
void tr_making_drop(struct tr_making *m);
/* A copy of these bytes that lives as long as the making; empty and marked when out of memory. */
struct tr_view tr_making_keep(struct tr_making *m, struct tr_view v);
size_t tr_making_n(const struct tr_making *m);
struct tr_make *tr_making_at(struct tr_making *m, size_t i);
/* Rows of the audit log and others, in the first transaction. */
struct tr_buf *tr_making_also(struct tr_making *m);
/* Signs and stores; fn hears when each is durable or has failed, then the making is freed. Takes m. */
void tr_making_go(struct tr_making *m, tr_making_fn fn, void *arg);

/* A command that core does not hold (any more), from the store: fn(kept r, answer) hears it, and what it says is told by
 * tr_command_told; false: r is refused and answered. */
void tr_command_ask(struct tr_core *c, struct tr_req *r, tr_call_fn fn);
bool tr_command_told(struct tr_req *r, const void *answer, struct tr_command_row *ret);

/* ---- what people see (command_json.c) ---- */

enum tr_command_json { TR_CJ_BRIEF, TR_CJ_LIST, TR_CJ_WHOLE };
void tr_command_json(const struct tr_command_row *row, enum tr_command_json how, struct tr_buf *b);
/* Members of an agent's JSON, with a comma in front. */
void tr_orders_agent_json(const struct tr_core *c, const struct tr_item *i, struct tr_buf *b);
/* One more check behind those that the fleet explains; b ends with the bracket of their array. */
void tr_orders_check_json(const struct tr_core *c, const struct tr_item *i, struct tr_buf *b);

/* ---- events ---- */

/* Of a command; alert: kind of alert that it raises, or NULL. row may be NULL: then id alone (may be empty). */
void tr_command_event(struct tr_core *c, enum tr_event_kind kind, unsigned severity, const struct tr_item *agent,
		      const struct tr_command_row *row, struct tr_view id, struct tr_view code, struct tr_view source,
		      struct tr_view evidence, const char *alert);

#endif
