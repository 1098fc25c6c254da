/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL behind db.h, for postgres*.c only.
 *
 * One connection. Every wait has an end: a database that stops answering counts as gone, because a role that waits for
 * it would be ended as hung. Statements are prepared again after a new connection. */
#ifndef TR_STORE_POSTGRES_H
#define TR_STORE_POSTGRES_H

#include "store/db.h"

#include <libpq-fe.h>

#define TR_PG_LOST "the connection to the database is lost; look at the database server, trothd tries it again by itself"

struct pg {
	struct tr_db db;
	PGconn *c; /* NULL: gone, and known to be */
	char *uri; /* with the password: never printed */
	enum tr_store_open_mode mode;
	unsigned life;  /* counts connections: what was prepared on an earlier one is gone with it */
	unsigned names; /* of prepared statements, so far */
	struct tr_stmt *streaming; /* whose rows are still coming: nothing else can be asked meanwhile */
	size_t queued, queued_bytes; /* writes that were sent, and not answered yet */
	bool in_tx;
	bool in_doubt;      /* the connection broke during the commit of `xid` */
	uint64_t xid, last; /* of the transaction under way; of the last one that the database confirmed */
	char id[40];        /* of the store in that database; empty: not known yet */
};

struct tr_stmt {
	char *sql;
	unsigned n;    /* parameters */
	unsigned life; /* of the connection it is prepared on; 0: none */
	char name[16];
	PGresult *row;
	bool running;
	struct pg_param {
		const char *p;
		int len;
		uint8_t number[8];
	} *params;
};

static inline struct pg *pg_of(struct tr_db *db)
{
	return (struct pg *)db;
}

/* postgres_link.c */
TR_RC pg_connect(struct pg *p, struct tr_err *err);
/* The connection is of no use any more. */
void pg_drop(struct pg *p);
/* What was sent is answered, or the connection is dropped. The next result; NULL in *ret when there are no more. */
TR_RC pg_next(struct pg *p, unsigned patience_ms, PGresult **ret, struct tr_err *err);
/* Statements without parameters; ret, when wanted, is the last result. */
TR_RC pg_simple(struct pg *p, const char *sql, unsigned patience_ms, PGresult **ret, struct tr_err *err);
#define PG_PATIENCE_MS 12000       /* less than core's patience with its store */
#define PG_MIGRATION_MS 1800000    /* an index over years of events */

/* postgres.c: a column of a one-row result, "" when there is none; the mark's id */
const char *pg_value(const PGresult *r, int at);
TR_RC pg_read_id(struct pg *p, char *buf, size_t len, struct tr_err *err);

/* postgres_back.c */
enum tr_db_link pg_link(const struct tr_db *db);
TR_RC pg_come_back(struct tr_db *db, enum tr_db_outcome *ret, struct tr_err *err);
TR_RC pg_tell(struct tr_db *db, struct tr_err *err);
int pg_ear(const struct tr_db *db);
TR_RC pg_hear(struct tr_db *db, bool *ret_told, struct tr_err *err);

/* postgres_later.c */
TR_RC pg_later(struct tr_db *db, struct tr_stmt *st, struct tr_err *err);
TR_RC pg_settle(struct tr_db *db, struct tr_err *err);

/* postgres_error.c */
TR_RC pg_fail(struct pg *p, const PGresult *r, const char *what, struct tr_err *err);
TR_RC pg_fail_connect(const char *message, struct tr_err *err);

/* postgres_stmt.c */
TR_RC pg_prepare(struct tr_db *db, const char *sql, struct tr_stmt **ret, struct tr_err *err);
void pg_finish(struct tr_db *db, struct tr_stmt *st);
TR_RC pg_bind_i64(struct tr_db *db, struct tr_stmt *st, int at, int64_t v, struct tr_err *err);
TR_RC pg_bind_text(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view v, struct tr_err *err);
TR_RC pg_bind_bytes(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view v, struct tr_err *err);
TR_RC pg_step(struct tr_db *db, struct tr_stmt *st, bool *ret_row, struct tr_err *err);
TR_RC pg_col_i64(struct tr_db *db, struct tr_stmt *st, int at, int64_t *ret, struct tr_err *err);
TR_RC pg_col_text(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view *ret, struct tr_err *err);
TR_RC pg_col_bytes(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view *ret, struct tr_err *err);
void pg_reset(struct tr_db *db, struct tr_stmt *st);
/* Prepared on this connection, and its parameters in libpq's form. */
TR_RC pg_ready(struct pg *p, struct tr_stmt *st, struct tr_err *err);
TR_RC pg_send(struct pg *p, struct tr_stmt *st, struct tr_err *err);

#endif
