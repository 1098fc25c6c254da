/* SPDX-License-Identifier: Apache-2.0 */
/* The seam between the typed store and a database, for store.c and the backends only.
 *
 * One SQL text serves every database: parameters are $1, $2, … in order of first use, identifiers are quoted,
 * numbers are int64, text (TEXT, in capitals) is UTF-8 without NUL and ordered by its bytes, nothing is ever NULL. What
 * cannot be said alike is a word in braces in the migrations, asked from the backend. One connection, one thread, one
 * transaction at a time. */
#ifndef TR_STORE_DB_H
#define TR_STORE_DB_H

#include "store/store.h"

struct tr_stmt; /* the backend's own */

/* Backends embed this as their first member. */
struct tr_db {
	const struct tr_db_ops *ops;
};

/* The way to a database on a network can break. In doubt: it broke during a commit. */
enum tr_db_link { TR_DB_UP, TR_DB_AWAY, TR_DB_IN_DOUBT };
enum tr_db_outcome { TR_DB_NO_DOUBT, TR_DB_COMMITTED, TR_DB_ABORTED };

/* After a statement fails the transaction is good for nothing but rollback (to the savepoint): PostgreSQL says so
 * itself, store.c enforces it for all. Codes: TR_E_CONFLICT a unique key exists; TR_E_BUSY another writer;
 * TR_E_UNAVAIL disk full, read-only or gone; TR_E_INTERNAL damaged, or our bug. */
struct tr_db_ops {
	const char *scheme; /* of the location; published in configuration files, never rename */

	TR_RC (*open)(const char *where, enum tr_store_open_mode mode, struct tr_db **ret, struct tr_err *err);
	struct tr_db *(*close)(struct tr_db *db); /* rolls back what is open; returns NULL */

	/* What "{name}" stands for in a migration; NULL when unknown. */
	const char *(*word)(const struct tr_db *db, struct tr_view name);
	/* Stamps the database as a Troth store, inside the transaction of the first migration. */
	TR_RC (*mark)(struct tr_db *db, struct tr_err *err);
	TR_RC (*has_table)(struct tr_db *db, const char *name, bool *ret, struct tr_err *err);
	/* The next row appended to the table gets a number above `to`, which is not below the numbers in it. */
	TR_RC (*raise_seq)(struct tr_db *db, const char *table, int64_t to, struct tr_err *err);
	/* The last number that was given there, also to rows that are gone; 0: none yet. */
	TR_RC (*read_seq)(struct tr_db *db, const char *table, int64_t *ret, struct tr_err *err);
	/* Another trothd is connected. NULL where opening for writing keeps others out. */
	TR_RC (*shared)(struct tr_db *db, bool *ret, struct tr_err *err);

	/* Statements without parameters or rows. */
	TR_RC (*exec)(struct tr_db *db, const char *sql, struct tr_err *err);
	TR_RC (*begin)(struct tr_db *db, struct tr_err *err); /* takes the write lock now, not at the first write */
	TR_RC (*commit)(struct tr_db *db, struct tr_err *err); /* durable on TR_OK, rolled back otherwise */
	void (*rollback)(struct tr_db *db);
	/* For reading only: everything until the rollback is of one moment. */
	TR_RC (*begin_read)(struct tr_db *db, struct tr_err *err);
	/* NULL where the database cannot be away. While it is, everything that may fail does (TR_E_UNAVAIL).
	 * come_back tries once, for a few seconds at most; TR_E_CONFLICT when what is there now is not what was left:
	 * whoever remembers anything of it must forget that. */
	enum tr_db_link (*link)(const struct tr_db *db);
	TR_RC (*come_back)(struct tr_db *db, enum tr_db_outcome *ret, struct tr_err *err);

	TR_RC (*prepare)(struct tr_db *db, const char *sql, struct tr_stmt **ret, struct tr_err *err);
	void (*finish)(struct tr_db *db, struct tr_stmt *st);
	/* `at` counts from 1; the bytes must live until reset. */
	TR_RC (*bind_i64)(struct tr_db *db, struct tr_stmt *st, int at, int64_t v, struct tr_err *err);
	TR_RC (*bind_text)(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view v, struct tr_err *err);
	TR_RC (*bind_bytes)(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view v, struct tr_err *err);
	TR_RC (*step)(struct tr_db *db, struct tr_stmt *st, bool *ret_row, struct tr_err *err);
	/* `at` counts from 0; a value of another type is damage. Views live until the next step or reset. */
	TR_RC (*col_i64)(struct tr_db *db, struct tr_stmt *st, int at, int64_t *ret, struct tr_err *err);
	TR_RC (*col_text)(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view *ret, struct tr_err *err);
	TR_RC (*col_bytes)(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view *ret, struct tr_err *err);
	void (*reset)(struct tr_db *db, struct tr_stmt *st); /* also forgets what was bound */
	/* Where every answer is a round trip: sends a bound write, whose answer settle waits for; whatever else is asked
	 * settles first. The first that failed is told, the rest was not done. NULL: there is nothing to win. */
	TR_RC (*later)(struct tr_db *db, struct tr_stmt *st, struct tr_err *err);
	TR_RC (*settle)(struct tr_db *db, struct tr_err *err);

	/* Only of a database that several nodes may share; NULL where one trothd has the store for itself (changes.h).
	 * tell: part of the transaction under way; once that is durable, every connection that listens wakes.
	 * ear: readable when somebody told, or may have; -1 while away; another one after a reconnection.
	 * hear: takes what has come and never waits.
	 * The word {now_ms} is the database's clock as an expression: Unix milliseconds, a number. */
	TR_RC (*tell)(struct tr_db *db, struct tr_err *err);
	int (*ear)(const struct tr_db *db);
	TR_RC (*hear)(struct tr_db *db, bool *ret_told, struct tr_err *err);
};

extern const struct tr_db_ops tr_db_sqlite, tr_db_postgres;

/* Opens the database a location names, without looking at its schema. */
TR_RC tr_db_open(const char *location, enum tr_store_open_mode mode, struct tr_db **ret, struct tr_err *err);
static inline struct tr_db *tr_db_close(struct tr_db *db)
{
	return db ? db->ops->close(db) : NULL;
}
TR_DEFINE_AUTO(struct tr_db *, tr_db_close)

/* What an operator is told when the database contradicts itself, or we do. */
#define TR_DB_DAMAGED "the store is damaged; stop trothd and restore the store from a backup"
#define TR_DB_OUR_BUG "the store was used in a way it does not allow; this is a bug in trothd"

struct tr_db *tr_store_db(const struct tr_store *s);
/* Those of these keys that are there, in any order; at most TR_STORE_MANY. Any of commands, over or not. */
#define TR_STORE_MANY 32u
TR_RC tr_store_many(struct tr_store *s, enum tr_table t, const struct tr_view *keys, size_t n, tr_row_fn fn, void *arg,
		    struct tr_err *err);

/* Runs a bound write and resets it; ret_value, when wanted, is the one number it returns. */
TR_RC tr_db_run(struct tr_db *db, struct tr_stmt *st, int64_t *ret_value, struct tr_err *err);
/* migrate.c: brings the schema up to date, or says why it cannot: written by a newer trothd, or read_only and older. */
TR_RC tr_db_migrate(struct tr_db *db, bool read_only, unsigned *ret_schema, struct tr_err *err);

/* The typed store over an open database; owns it from the call on, also when it fails. */
TR_RC tr_store_open_db(struct tr_db *db, enum tr_store_open_mode mode, struct tr_store **ret, struct tr_err *err);

/* faulty.c, for tests: passes everything on, but the fail_at-th call that may fail does (0: none) and, when
 * `lasting`, each one after it too. Owns inner. */
struct tr_db *tr_db_faulty_new(struct tr_db *inner, uint64_t fail_at, bool lasting);
uint64_t tr_db_faulty_calls(const struct tr_db *db);

#endif
