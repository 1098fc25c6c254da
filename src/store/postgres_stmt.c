/* SPDX-License-Identifier: Apache-2.0 */
/* Statements: parameters and columns travel in PostgreSQL's binary form, numbers as eight bytes, big end first. Rows are
 * taken one by one as they arrive, so that a long table does not pile up in memory. */
#include "store/postgres.h"

#include <endian.h>
#include <limits.h>
#include <stdio.h>

/* Of pg_type.dat; they never change. */
#define OID_BYTEA 17
#define OID_INT8 20
#define OID_INT4 23
#define OID_TEXT 25

static unsigned count_params(const char *sql)
{
	unsigned most = 0;

	for (const char *at = strchr(sql, '$'); at; at = strchr(at + 1, '$')) {
		unsigned n = (unsigned)strtoul(at + 1, NULL, 10);

		most = n > most ? n : most;
	}
	return most;
}

static TR_RC prepare_now(struct pg *p, struct tr_stmt *st, struct tr_err *err)
{
	PGresult *r = NULL;
	struct tr_err later; /* the first error is told */
	enum tr_code rc = TR_OK;

	if (p->streaming)
		return tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "%.80s while rows are read", st->sql);
	if (p->queued && pg_settle(&p->db, err))
		return err->code;
	(void)snprintf(st->name, sizeof(st->name), "s%u", p->names++);
	if (!p->c || !PQsendPrepare(p->c, st->name, st->sql, 0, NULL))
		return pg_fail(p, NULL, st->sql, err);
	for (;;) {
		enum tr_code now = pg_next(p, PG_PATIENCE_MS, &r, rc ? &later : err);

		if (now || !r)
			return rc ? rc : now;
		if (!rc && PQresultStatus(r) != PGRES_COMMAND_OK)
			rc = pg_fail(p, r, st->sql, err);
		PQclear(r);
		if (!p->c)
			return rc;
		if (!rc)
			st->life = p->life;
	}
}

TR_RC pg_prepare(struct tr_db *db, const char *sql, struct tr_stmt **ret, struct tr_err *err)
{
	struct tr_stmt *st = calloc(1, sizeof(*st));
	enum tr_code rc;

	if (st)
		st->sql = strdup(sql);
	if (st)
		st->n = count_params(sql);
	if (st)
		st->params = calloc(st->n + 1, sizeof(*st->params));
	if (!st || !st->sql || !st->params)
		rc = tr_err_set(err, TR_E_INTERNAL, "out of memory", "statement");
	else
		rc = prepare_now(pg_of(db), st, err);
	if (rc) {
		pg_finish(db, st);
		return rc;
	}
	*ret = st;
	return TR_OK;
}

/* The server's half goes with the connection: statements live as long as that, or are a handful. */
void pg_finish(struct tr_db *db, struct tr_stmt *st)
{
	if (!st)
		return;
	pg_reset(db, st);
	free(st->params);
	free(st->sql);
	free(st);
}

static TR_RC bind(struct tr_stmt *st, int at, const void *p, size_t n, struct tr_err *err)
{
	if (at < 1 || (unsigned)at > st->n || n > INT_MAX)
		return tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "parameter %d of %.80s", at, st->sql);
	/* A NULL pointer would be SQL's NULL. */
	st->params[at - 1].p = n ? p : "";
	st->params[at - 1].len = (int)n;
	return TR_OK;
}

TR_RC pg_bind_i64(struct tr_db *db, struct tr_stmt *st, int at, int64_t v, struct tr_err *err)
{
	uint64_t be = htobe64((uint64_t)v);

	(void)db;
	if (bind(st, at, "", 0, err))
		return err->code;
	memcpy(st->params[at - 1].number, &be, sizeof(be));
	st->params[at - 1].p = (const char *)st->params[at - 1].number;
	st->params[at - 1].len = sizeof(be);
	return TR_OK;
}

TR_RC pg_bind_text(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view v, struct tr_err *err)
{
	(void)db;
	return bind(st, at, v.p, v.n, err);
}

TR_RC pg_bind_bytes(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view v, struct tr_err *err)
{
	(void)db;
	return bind(st, at, v.p, v.n, err);
}

/* --- running --- */

#define PARAMS_MAX 128

TR_RC pg_ready(struct pg *p, struct tr_stmt *st, struct tr_err *err)
{
	if (p->streaming || st->n > PARAMS_MAX)
		return tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "%.80s while rows are read", st->sql);
	return st->life != p->life ? prepare_now(p, st, err) : TR_OK;
}

TR_RC pg_send(struct pg *p, struct tr_stmt *st, struct tr_err *err)
{
	const char *values[PARAMS_MAX];
	int lengths[PARAMS_MAX], formats[PARAMS_MAX];

	for (unsigned i = 0; i < st->n; i++) {
		values[i] = st->params[i].p;
		lengths[i] = st->params[i].len;
		formats[i] = 1;
	}
	if (!p->c || !PQsendQueryPrepared(p->c, st->name, (int)st->n, values, lengths, formats, 1))
		return pg_fail(p, NULL, st->sql, err);
	return TR_OK;
}

static TR_RC start(struct pg *p, struct tr_stmt *st, struct tr_err *err)
{
	if ((p->queued && pg_settle(&p->db, err)) || pg_ready(p, st, err) || pg_send(p, st, err))
		return err->code;
	if (!PQsetSingleRowMode(p->c))
		return pg_fail(p, NULL, st->sql, err);
	p->streaming = st;
	st->running = true;
	return TR_OK;
}

/* Takes what is left, so that the connection is free again. */
static void drain(struct pg *p, struct tr_stmt *st)
{
	struct tr_err err;

	while (p->c && p->streaming == st) {
		PGresult *r = NULL;

		if (pg_next(p, PG_PATIENCE_MS, &r, &err) || !r)
			break;
		PQclear(r);
	}
	if (p->streaming == st)
		p->streaming = NULL;
}

TR_RC pg_step(struct tr_db *db, struct tr_stmt *st, bool *ret_row, struct tr_err *err)
{
	struct pg *p = pg_of(db);
	PGresult *r = NULL;
	enum tr_code rc;

	PQclear(st->row);
	st->row = NULL;
	*ret_row = false;
	if (!st->running && start(p, st, err))
		return err->code;
	/* Its end was seen already, or the connection went away below it. */
	if (p->streaming != st)
		return p->c ? TR_OK : pg_fail(p, NULL, st->sql, err);
	rc = pg_next(p, PG_PATIENCE_MS, &r, err);
	if (rc)
		return rc;
	switch (r ? PQresultStatus(r) : PGRES_COMMAND_OK) {
	case PGRES_SINGLE_TUPLE:
		st->row = r;
		*ret_row = true;
		return TR_OK;
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK: break;
	default: rc = pg_fail(p, r, st->sql, err); break;
	}
	PQclear(r);
	drain(p, st);
	return rc;
}

void pg_reset(struct tr_db *db, struct tr_stmt *st)
{
	struct pg *p = pg_of(db);

	PQclear(st->row);
	st->row = NULL;
	if (st->running)
		drain(p, st);
	st->running = false;
	if (st->params)
		memset(st->params, 0, st->n * sizeof(*st->params));
}

/* --- columns --- */

static TR_RC wrong_type(const struct tr_stmt *st, int at, struct tr_err *err)
{
	const char *name = st->row ? PQfname(st->row, at) : NULL;

	return tr_err_set(err, TR_E_INTERNAL, TR_DB_DAMAGED, "column %s has type %u", name ? name : "?",
			  st->row ? PQftype(st->row, at) : 0);
}

TR_RC pg_col_i64(struct tr_db *db, struct tr_stmt *st, int at, int64_t *ret, struct tr_err *err)
{
	uint64_t be;
	uint32_t be4;

	(void)db;
	if (!st->row || PQgetisnull(st->row, 0, at))
		return wrong_type(st, at, err);
	if (PQftype(st->row, at) == OID_INT4 && PQgetlength(st->row, 0, at) == sizeof(be4)) {
		memcpy(&be4, PQgetvalue(st->row, 0, at), sizeof(be4));
		*ret = (int32_t)be32toh(be4);
		return TR_OK;
	}
	if (PQftype(st->row, at) != OID_INT8 || PQgetlength(st->row, 0, at) != sizeof(be))
		return wrong_type(st, at, err);
	memcpy(&be, PQgetvalue(st->row, 0, at), sizeof(be));
	*ret = (int64_t)be64toh(be);
	return TR_OK;
}

static TR_RC col_view(const struct tr_stmt *st, int at, Oid type, struct tr_view *ret, struct tr_err *err)
{
	size_t n;

	if (!st->row || PQftype(st->row, at) != type || PQgetisnull(st->row, 0, at))
		return wrong_type(st, at, err);
	n = (size_t)PQgetlength(st->row, 0, at);
	*ret = tr_view(n ? PQgetvalue(st->row, 0, at) : NULL, n);
	return TR_OK;
}

TR_RC pg_col_text(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view *ret, struct tr_err *err)
{
	(void)db;
	return col_view(st, at, OID_TEXT, ret, err);
}

TR_RC pg_col_bytes(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view *ret, struct tr_err *err)
{
	(void)db;
	return col_view(st, at, OID_BYTEA, ret, err);
}
