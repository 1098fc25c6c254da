/* SPDX-License-Identifier: Apache-2.0 */
/* When the database was gone: is what is back what was left, and what became of the commit that nobody answered? And the
 * word between the nodes that share it. */
#include "store/postgres.h"

#include <stdio.h>

/* --- gone and back --- */

enum tr_db_link pg_link(const struct tr_db *db)
{
	const struct pg *p = (const struct pg *)db;

	return p->in_doubt ? TR_DB_IN_DOUBT : p->c ? TR_DB_UP : TR_DB_AWAY;
}

static TR_RC other_history(struct tr_err *err, const char *what)
{
	return tr_err_set(err, TR_E_CONFLICT,
			  "the database is not as it was left: it was restored or is another one; trothd starts anew from it",
			  "%s", what);
}

static TR_RC ask_status(struct pg *p, uint64_t xid, char *buf, size_t len, struct tr_err *err)
{
	char sql[80];
	PGresult *r = NULL;

	(void)snprintf(sql, sizeof(sql), "SELECT pg_xact_status('%llu'::xid8)", (unsigned long long)xid);
	if (pg_simple(p, sql, PG_PATIENCE_MS, &r, err))
		/* A number that was never given there. */
		return p->c ? other_history(err, "a transaction of ours is in its future") : err->code;
	(void)snprintf(buf, len, "%s", pg_value(r, 0));
	PQclear(r);
	return TR_OK;
}

static TR_RC settle_doubt(struct pg *p, enum tr_db_outcome *ret, struct tr_err *err)
{
	char status[24] = "", id[sizeof(p->id)] = "";

	if (pg_read_id(p, id, sizeof(id), err))
		return p->c ? other_history(err, "our mark is gone") : err->code;
	if (strcmp(id, p->id) != 0)
		return other_history(err, "another store's mark");
	/* After a failover to a standby that had not everything. */
	if (p->last && ask_status(p, p->last, status, sizeof(status), err))
		return err->code;
	if (p->last && strcmp(status, "committed") != 0)
		return other_history(err, "what it had confirmed is not in it");
	*ret = TR_DB_NO_DOUBT;
	if (!p->in_doubt)
		return TR_OK;
	if (ask_status(p, p->xid, status, sizeof(status), err))
		return err->code;
	if (strcmp(status, "in progress") == 0)
		return tr_err_set(err, TR_E_UNAVAIL, "the database is still busy with what it was storing; it is asked again",
				  "transaction %llu", (unsigned long long)p->xid);
	if (strcmp(status, "committed") != 0 && strcmp(status, "aborted") != 0)
		return other_history(err, "it forgot a transaction of ours");
	*ret = *status == 'c' ? TR_DB_COMMITTED : TR_DB_ABORTED;
	if (*ret == TR_DB_COMMITTED)
		p->last = p->xid;
	p->in_doubt = false;
	return TR_OK;
}

TR_RC pg_come_back(struct tr_db *db, enum tr_db_outcome *ret, struct tr_err *err)
{
	struct pg *p = pg_of(db);
	enum tr_code rc = pg_connect(p, err);

	if (!rc)
		rc = settle_doubt(p, ret, err);
	if (rc)
		pg_drop(p);
	return rc;
}

/* --- other nodes --- */

TR_RC pg_tell(struct tr_db *db, struct tr_err *err)
{
	return pg_simple(pg_of(db), "NOTIFY troth", PG_PATIENCE_MS, NULL, err);
}

int pg_ear(const struct tr_db *db)
{
	const struct pg *p = (const struct pg *)db;

	return p->c ? PQsocket(p->c) : -1;
}

TR_RC pg_hear(struct tr_db *db, bool *ret_told, struct tr_err *err)
{
	struct pg *p = pg_of(db);
	PGnotify *n;

	*ret_told = false;
	if (!p->c || !PQconsumeInput(p->c))
		return pg_fail(p, NULL, "hear", err);
	while ((n = PQnotifies(p->c)) != NULL) {
		*ret_told |= n->be_pid != PQbackendPID(p->c);
		PQfreemem(n);
	}
	return TR_OK;
}
