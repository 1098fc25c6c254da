/* SPDX-License-Identifier: Apache-2.0 */
/* What PostgreSQL says, in codes the caller can act on and sentences that tell what to do. */
#include "store/postgres.h"

static const struct said {
	const char *state; /* SQLSTATE, or its beginning when it stands for all of its kind */
	enum tr_code code;
	const char *pub;
} said[] = {
	{ "23505", TR_E_CONFLICT, "there is a record with this key already" },
	{ "22021", TR_E_INVALID, "a text is not UTF-8 and cannot be stored" },
	{ "22P05", TR_E_INVALID, "a text is not UTF-8 and cannot be stored" },
	{ "22001", TR_E_INVALID, "a value is longer than the store allows" },
	{ "54", TR_E_INVALID, "a value is longer than the store allows" },
	{ "40", TR_E_BUSY, "another program is writing to the store; try again" },
	{ "55P03", TR_E_BUSY, "another program is writing to the store; try again" },
	{ "57014", TR_E_UNAVAIL, "the database took too long; look at the database server, then try again" },
	{ "08", TR_E_UNAVAIL, TR_PG_LOST },
	{ "57P03", TR_E_UNAVAIL, "the database server is starting or stopping; wait for it, then try again" },
	{ "57P", TR_E_UNAVAIL, TR_PG_LOST },
	{ "25P03", TR_E_UNAVAIL, TR_PG_LOST },
	{ "53100", TR_E_UNAVAIL, "the database's disk is full; free some space on it and try again" },
	{ "53300", TR_E_UNAVAIL,
	  "the database has no connection left; raise its max_connections or close other programs, then try again" },
	{ "53", TR_E_UNAVAIL, "the database server has no memory or other resource left; see its log" },
	{ "58", TR_E_UNAVAIL, "the database's disk failed; check that disk and the database's log, then try again" },
	{ "25006", TR_E_UNAVAIL,
	  "the database is read-only, as a standby is; name the primary in the store's location" },
	{ "42501", TR_E_UNAVAIL,
	  "the database user may not do this; make it the owner of the database: ALTER DATABASE … OWNER TO …" },
	{ "28P01", TR_E_UNAVAIL, "the database refuses the password; correct store_password_file" },
	{ "28", TR_E_UNAVAIL, "the database refuses this user; check the store's location and pg_hba.conf" },
	{ "3D000", TR_E_NOTFOUND,
	  "there is no such database; make it first: CREATE DATABASE … OWNER … TEMPLATE template0 ENCODING 'UTF8'" },
	{ "XX001", TR_E_INTERNAL, TR_DB_DAMAGED },
	{ "XX002", TR_E_INTERNAL, TR_DB_DAMAGED },
	{ "0A000", TR_E_UNAVAIL, "the store's schema was changed by a newer trothd; start this one again, or update it" },
};

static const struct said *look_up(const char *state)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(said); i++)
		if (strncmp(said[i].state, state, strlen(said[i].state)) == 0)
			return &said[i];
	return NULL;
}

/* The server has ended the connection with this. */
static bool ends_all(const char *state)
{
	static const char *const those[] = { "08", "57P01", "57P02", "57P04", "57P05", "25P03" };

	for (size_t i = 0; i < TR_ARRAY_LEN(those); i++)
		if (strncmp(state, those[i], strlen(those[i])) == 0)
			return true;
	return false;
}

/* Its messages have several lines; ours have one. */
static int one_line(const char *text)
{
	return (int)strcspn(text ? text : "", "\n");
}

TR_RC pg_fail(struct pg *p, const PGresult *r, const char *what, struct tr_err *err)
{
	const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
	const char *text = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	const struct said *s = state ? look_up(state) : NULL;

	if (!text)
		text = p->c ? PQerrorMessage(p->c) : "not connected";
	/* Without a state it is libpq's own word: the server said nothing any more. */
	if (!state || !p->c || PQstatus(p->c) == CONNECTION_BAD || ends_all(state)) {
		(void)tr_err_set(err, TR_E_UNAVAIL, TR_PG_LOST, "%.60s: %.*s (%s)", what, one_line(text), text,
				 state ? state : "no answer");
		pg_drop(p);
		return TR_E_UNAVAIL;
	}
	return tr_err_set(err, s ? s->code : TR_E_INTERNAL,
			  s ? s->pub : "the store refused a statement; see the log for which one", "%.120s: %.*s (%s)",
			  what, one_line(text), text, state);
}

/* libpq keeps the state of a refused connection to itself; in the verbose form it is in the text: "FATAL:  28P01: …". */
static const struct said *state_in(const char *text)
{
	const struct said *found = NULL;

	for (const char *at = strstr(text, ":  "); at; at = strstr(at + 1, ":  ")) {
		if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':')
			found = look_up(at + 3);
	}
	return found;
}

TR_RC pg_fail_connect(const char *message, struct tr_err *err)
{
	const struct said *s = state_in(message);

	return tr_err_set(err, s ? s->code : TR_E_UNAVAIL,
			  s ? s->pub : "the database cannot be reached; check that it runs and the store's location",
			  "connect: %.*s", one_line(message), message);
}
