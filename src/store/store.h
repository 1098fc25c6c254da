/* SPDX-License-Identifier: Apache-2.0 */
/* The store: typed operations on typed rows, the same for every database. Opened by the `store` role only (and, read
 * only, by its twin). Core decides everything; the store keeps it durable: a transaction is a list of operations that
 * commit together or not at all. */
#ifndef TR_STORE_STORE_H
#define TR_STORE_STORE_H

#include "store/records.h"

/* One operation inside a transaction, as it travels from core. */
enum tr_op { TR_OP_PUT = 1, /* insert or replace by primary key */
	     TR_OP_INSERT,  /* fails the transaction with TR_E_CONFLICT when the key exists */
	     TR_OP_DELETE,  /* by primary key: only the key field of the row counts */
	     TR_OP_APPEND,  /* audit, attestation, event: the store gives seq */
	     TR_OP_EXPIRE,  /* seen rows with expires_at, events with time, commands with ended_at, below the row's */
	     TR_OP_TELL,    /* stores nothing: the other nodes' cores get this row as it is (changes.h) */
	     TR_OP_N };

struct tr_store;

/* location: "sqlite:/path/troth.db", "postgresql://user@host/database". CREATE: makes it when there is none, else the same as RW: opens and migrates an
 * existing one. RO: never writes, takes no lock, refuses another schema version. Errors are sentences: corrupt file,
 * newer schema, read-only disk, locked by another trothd. */
enum tr_store_open_mode { TR_STORE_CREATE, TR_STORE_RW, TR_STORE_RO };
TR_RC tr_store_open(const char *location, enum tr_store_open_mode mode, struct tr_store **ret, struct tr_err *err);
struct tr_store *tr_store_free(struct tr_store *s);
TR_DEFINE_AUTO(struct tr_store *, tr_store_free)

/* Any failure of apply, savepoint or release makes the transaction, or the innermost savepoint, good for rollback
 * only: a commit after it fails and rolls back. A commit that fails is rolled back. */
TR_RC tr_store_begin(struct tr_store *s, struct tr_err *err);
TR_RC tr_store_apply(struct tr_store *s, enum tr_op op, enum tr_table t, const void *row, struct tr_err *err);
TR_RC tr_store_commit(struct tr_store *s, struct tr_err *err);
/* As tr_store_apply, but a refusal by the database may be told as late as by tr_store_settle, which belongs before the
 * savepoint's release: many rows cost one round trip. */
TR_RC tr_store_apply_later(struct tr_store *s, enum tr_op op, enum tr_table t, const void *row, struct tr_err *err);
TR_RC tr_store_settle(struct tr_store *s, struct tr_err *err);
void tr_store_rollback(struct tr_store *s);
/* Reads until the rollback are of one moment; nothing can be written. */
TR_RC tr_store_begin_read(struct tr_store *s, struct tr_err *err);
/* The seq the last TR_OP_APPEND of this transaction was given; 0 before the first. */
uint64_t tr_store_last_seq(const struct tr_store *s);

/* Inside a transaction: a nested scope, so that one caller's conflict does not undo the others of a group commit. */
TR_RC tr_store_savepoint(struct tr_store *s, struct tr_err *err);
TR_RC tr_store_release(struct tr_store *s, struct tr_err *err);
void tr_store_rollback_savepoint(struct tr_store *s);

/* Every row of a table (of commands: those that are not over) in key order; fn returns false to stop. The row's views live
 * during the call; fn may not use the store. */
typedef bool (*tr_row_fn)(void *arg, const void *row);
TR_RC tr_store_each(struct tr_store *s, enum tr_table t, tr_row_fn fn, void *arg, struct tr_err *err);

/* ---- whole stores, for copy.h ---- */

/* Every row of a table, loaded or not, in key order; fn as above. */
TR_RC tr_store_all(struct tr_store *s, enum tr_table t, tr_row_fn fn, void *arg, struct tr_err *err);
/* Inside a transaction: the row as it was in another store, an append-only one with its number. */
TR_RC tr_store_restore(struct tr_store *s, enum tr_table t, const void *row, struct tr_err *err);
bool tr_store_appends(enum tr_table t);
/* The last number given in an append-only table; and inside a transaction: the next one is above this. */
TR_RC tr_store_read_seq(struct tr_store *s, enum tr_table t, uint64_t *ret, struct tr_err *err);
TR_RC tr_store_raise_seq(struct tr_store *s, enum tr_table t, uint64_t to, struct tr_err *err);
/* Another trothd uses it now. One that has it in a file was refused when this was opened for writing. */
TR_RC tr_store_in_use(struct tr_store *s, bool *ret, struct tr_err *err);

/* Newest first of an append-only table; of alerts and commands those that are over, by the time they ended (ms) in place
 * of seq. */
#define TR_LIST_MAX 500
struct tr_list_query {
	uint64_t before;      /* seq below this; 0: from the newest */
	uint64_t after;       /* seq above this; 0: no bound. With `after` alone the order is oldest first (tailing). */
	uint64_t limit;       /* 1..500 */
	struct tr_view match; /* node_id (attestation), object (audit), agent (event, command) or id (alert); empty: all */
	struct tr_view outcome; /* events, alerts: kind; commands: state; empty: all */
	struct tr_view id;      /* commands, verdicts: exactly this one, over or not; empty: not used */
	struct tr_view batch;   /* commands: only these; empty: all */
	struct tr_view cursor;  /* commands: with `before`, of those that ended in that very ms too, keys below this */
	uint64_t seq;         /* exactly this one; 0: not used */
};
extern const struct tr_record tr_list_query_def;
TR_RC tr_store_list(struct tr_store *s, enum tr_table t, const struct tr_list_query *q, tr_row_fn fn, void *arg,
		    struct tr_err *err);

/* A database on a network can be gone. Then every call fails with TR_E_UNAVAIL until tr_store_come_back, which tries once
 * and takes a few seconds at most. In doubt: the last commit failed, and only the database knows whether it holds: the
 * callers of that transaction wait for ret_committed. TR_E_CONFLICT: the database is not what it was; open it anew and
 * forget what was read before. */
enum tr_store_link { TR_STORE_UP, TR_STORE_AWAY, TR_STORE_IN_DOUBT };
enum tr_store_link tr_store_link(const struct tr_store *s);
TR_RC tr_store_come_back(struct tr_store *s, bool *ret_committed, struct tr_err *err);

unsigned tr_store_schema(const struct tr_store *s); /* migration number */
/* TR_OK when a durable write would work now (a real one-row write and commit), else why not. */
TR_RC tr_store_probe(struct tr_store *s, struct tr_err *err);

#endif
