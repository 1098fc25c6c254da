/* SPDX-License-Identifier: Apache-2.0 */
/* The connection: how it is made, what is asked over it, and how it ends. */
#include "store/postgres.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>

#define CONNECT_MS 4000
#define SETTINGS_MAX 48

static void no_notices(void *arg, const char *text)
{
	(void)arg;
	(void)text; /* "… already exists, skipping" and the like */
}

void pg_drop(struct pg *p)
{
	if (p->c)
		PQfinish(p->c);
	p->c = NULL;
	p->streaming = NULL;
	p->queued = p->queued_bytes = 0;
	p->in_tx = false;
}

/* --- where and how --- */

static bool stays_here(const char *host, size_t n)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "::1" };

	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++)
		if (n == strlen(names[i]) && memcmp(host, names[i], n) == 0)
			return true;
	return n == 0 || *host == '/' || *host == '@';
}

static bool all_stay_here(const char *hosts)
{
	for (const char *at = hosts; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (!stays_here(at, strcspn(at, ",")))
			return false;
	return true;
}

/* The location's own words, then ours where it has none. */
struct settings {
	const char *names[SETTINGS_MAX + 1], *values[SETTINGS_MAX + 1];
	size_t n;
};

static bool has(const struct settings *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->names[i], name) == 0)
			return true;
	return false;
}

/* Without TLS whenever somebody in between wishes it so. */
static bool is_open(const struct settings *s)
{
	static const char *const open[] = { "disable", "allow", "prefer" };

	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < TR_ARRAY_LEN(open) && strcmp(s->names[i], "sslmode") == 0; k++)
			if (strcmp(s->values[i], open[k]) == 0)
				return true;
	return !has(s, "sslmode");
}

static void set(struct settings *s, const char *name, const char *value)
{
	if (s->n == SETTINGS_MAX || has(s, name))
		return;
	s->names[s->n] = name;
	s->values[s->n++] = value;
}

static TR_RC settle(const PQconninfoOption *given, struct settings *s, struct tr_err *err)
{
	static const struct { const char *name, *value; } ours[] = {
		/* Kerberos would look for files that the role cannot open. */
		{ "gssencmode", "disable" },
		/* A path that is not there: no home folder is searched for passwords. */
		{ "passfile", "/nonexistent" },
		{ "client_encoding", "UTF8" },
		{ "application_name", "trothd" },
		{ "keepalives_idle", "5" },
		{ "keepalives_interval", "2" },
		{ "keepalives_count", "3" },
		{ "tcp_user_timeout", "10000" },
	};
	bool here = true;

	for (const PQconninfoOption *o = given; o->keyword; o++) {
		if (!o->val)
			continue;
		set(s, o->keyword, o->val);
		if (strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0)
			here &= all_stay_here(o->val);
	}
	if (!here && is_open(s))
		return tr_err_set(err, TR_E_INVALID,
				  "a database on another machine needs TLS: end the store's location with "
				  "?sslmode=verify-full&sslrootcert=/etc/troth/database-ca.pem",
				  "no sslmode that demands it in the location");
	for (size_t i = 0; i < TR_ARRAY_LEN(ours); i++)
		set(s, ours[i].name, ours[i].value);
	return TR_OK;
}

/* --- waiting --- */

/* False when the time is over. */
static bool wait_for(PGconn *c, short events, uint64_t until)
{
	for (;;) {
		struct pollfd fd = { .fd = PQsocket(c), .events = events };
		uint64_t now = tr_mono_ms();
		int n = now < until ? poll(&fd, 1, (int)(until - now)) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		return n > 0;
	}
}

static TR_RC finish_connecting(PGconn *c, struct tr_err *err)
{
	uint64_t until = tr_mono_ms() + CONNECT_MS;
	PostgresPollingStatusType now = PGRES_POLLING_WRITING;

	while (PQstatus(c) != CONNECTION_BAD && now != PGRES_POLLING_OK && now != PGRES_POLLING_FAILED) {
		if (!wait_for(c, now == PGRES_POLLING_READING ? POLLIN : POLLOUT, until))
			return pg_fail_connect("no answer within four seconds", err);
		now = PQconnectPoll(c);
	}
	return PQstatus(c) == CONNECTION_OK ? TR_OK : pg_fail_connect(PQerrorMessage(c), err);
}

TR_RC pg_next(struct pg *p, unsigned patience_ms, PGresult **ret, struct tr_err *err)
{
	uint64_t until = tr_mono_ms() + patience_ms;

	while (p->c && PQstatus(p->c) != CONNECTION_BAD && PQisBusy(p->c)) {
		short events = (short)(POLLIN | (PQflush(p->c) == 1 ? POLLOUT : 0));

		if (!wait_for(p->c, events, until)) {
			(void)tr_err_set(err, TR_E_UNAVAIL, TR_PG_LOST, "no answer within %u ms", patience_ms);
			pg_drop(p);
			return TR_E_UNAVAIL;
		}
		if (!PQconsumeInput(p->c))
			break;
	}
	*ret = p->c ? PQgetResult(p->c) : NULL;
	return p->c ? TR_OK : pg_fail(p, NULL, "wait", err);
}

static bool failed(const PGresult *r)
{
	ExecStatusType s = PQresultStatus(r);

	return s != PGRES_COMMAND_OK && s != PGRES_TUPLES_OK && s != PGRES_SINGLE_TUPLE;
}

TR_RC pg_simple(struct pg *p, const char *sql, unsigned patience_ms, PGresult **ret, struct tr_err *err)
{
	PGresult *last = NULL;
	struct tr_err later; /* the first error is told */
	enum tr_code rc = TR_OK;

	if (p->streaming)
		return tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "%.80s while rows are read", sql);
	if (p->queued && pg_settle(&p->db, err))
		return err->code;
	if (!p->c || !PQsendQuery(p->c, sql))
		return pg_fail(p, NULL, sql, err);
	for (;;) {
		PGresult *r = NULL;
		enum tr_code now = pg_next(p, patience_ms, &r, rc ? &later : err);

		if (now || !r) {
			rc = rc ? rc : now;
			break;
		}
		PQclear(last);
		last = r;
		if (!rc && failed(r))
			rc = pg_fail(p, r, sql, err);
		if (!p->c)
			break;
	}
	if (rc || !ret)
		PQclear(last);
	else
		*ret = last;
	return rc;
}

/* --- connecting --- */

/* A reader asks the server to hold it to that. Whoever configured "off" does not get to lose what we acknowledged. */
static TR_RC set_up(struct pg *p, struct tr_err *err)
{
	const char *encoding = PQparameterStatus(p->c, "server_encoding");
	static const char sql[] =
		"SET client_min_messages = warning; SET lock_timeout = '2s'; SET statement_timeout = 0;"
		"SET idle_in_transaction_session_timeout = '15s';"
		"SET standard_conforming_strings = on; LISTEN troth;"
		"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
		"SELECT set_config('default_transaction_read_only', ";
	char text[sizeof(sql) + 32];

	if (PQserverVersion(p->c) < 130000)
		return tr_err_set(err, TR_E_INVALID, "this PostgreSQL is too old; use version 13 or newer", "version %d",
				  PQserverVersion(p->c));
	if (!encoding || strcmp(encoding, "UTF8") != 0)
		return tr_err_set(err, TR_E_INVALID,
				  "the database must have the encoding UTF8: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'",
				  "server_encoding %s", encoding ? encoding : "unknown");
	(void)snprintf(text, sizeof(text), "%s'%s', false)", sql, p->mode == TR_STORE_RO ? "on" : "off");
	return pg_simple(p, text, PG_PATIENCE_MS, NULL, err);
}

TR_RC pg_connect(struct pg *p, struct tr_err *err)
{
	struct settings s = { .n = 0 };
	char *why = NULL;
	PQconninfoOption *given = PQconninfoParse(p->uri, &why);
	enum tr_code rc;

	if (!given) {
		rc = tr_err_set(err, TR_E_INVALID,
				"the store's location is not understood; write it as postgresql://USER@HOST/DATABASE",
				"%.100s", why ? why : "out of memory");
		PQfreemem(why);
		return rc;
	}
	rc = settle(given, &s, err);
	if (!rc) {
		pg_drop(p);
		p->c = PQconnectStartParams(s.names, s.values, 0);
		rc = p->c ? TR_OK : tr_err_set(err, TR_E_INTERNAL, "out of memory", "connect");
	}
	if (!rc) {
		(void)PQsetErrorVerbosity(p->c, PQERRORS_VERBOSE);
		(void)PQsetNoticeProcessor(p->c, no_notices, NULL);
		rc = finish_connecting(p->c, err);
	}
	PQconninfoFree(given);
	if (!rc && PQsetnonblocking(p->c, 1))
		rc = pg_fail_connect(PQerrorMessage(p->c), err);
	if (!rc)
		rc = set_up(p, err);
	p->life++;
	if (rc)
		pg_drop(p);
	return rc;
}
