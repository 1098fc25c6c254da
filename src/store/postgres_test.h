/* SPDX-License-Identifier: Apache-2.0 */
/* A PostgreSQL to test with, from script/with-postgres: every test has a schema of its own in it. */
#ifndef TR_STORE_POSTGRES_TEST_H
#define TR_STORE_POSTGRES_TEST_H

#include "store/store_test.h"

#include <libpq-fe.h>

static inline const char *pg_given(void)
{
	return getenv("TROTH_TEST_POSTGRES");
}

/* What another program would do to the database. */
static inline void pg_shell(const char *sql)
{
	PGconn *c = PQconnectdb(pg_given());
	PGresult *r;

	PQclear(PQexec(c, "SET client_min_messages = warning"));
	r = PQexec(c, sql);
	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(c));
	PQclear(r);
	PQfinish(c);
}

static inline void pg_shell_ask(const char *sql, char *buf, size_t len)
{
	PGconn *c = PQconnectdb(pg_given());
	PGresult *r = PQexec(c, sql);

	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1)
		fail_msg("%s: %s", sql, PQerrorMessage(c));
	(void)snprintf(buf, len, "%s", PQgetvalue(r, 0, 0));
	PQclear(r);
	PQfinish(c);
}

/* ctest runs several programs at once. */
static inline void pg_folder_make(struct folder *f)
{
	char sql[128];

	folder_make(f);
	(void)snprintf(sql, sizeof(sql), "CREATE SCHEMA test_%ld", (long)getpid());
	pg_shell(sql);
	(void)snprintf(f->location, sizeof(f->location), "%s&options=-csearch_path%%3Dtest_%ld", pg_given(),
		       (long)getpid());
}

static inline void pg_folder_remove(const struct folder *f)
{
	char sql[128];

	(void)snprintf(sql, sizeof(sql), "DROP SCHEMA test_%ld CASCADE", (long)getpid());
	pg_shell(sql);
	folder_remove(f);
}

#endif
