/* SPDX-License-Identifier: Apache-2.0 */
/* Writes that are sent one after the other and answered together: libpq's pipeline. Bounded, so that neither side's buffers
 * fill while nobody reads. */
#include "store/postgres.h"

#define QUEUE_MAX 256
#define QUEUE_BYTES ((size_t)1 << 20)

TR_RC pg_settle(struct tr_db *db, struct tr_err *err)
{
	struct pg *p = pg_of(db);
	struct tr_err later; /* the first error is told */
	enum tr_code rc = TR_OK;
	bool synced = false;

	if (!p->queued)
		return TR_OK;
	if (!PQpipelineSync(p->c))
		return pg_fail(p, NULL, "sync", err);
	/* One result and one NULL for each, then the sync's. */
	while (!synced) {
		PGresult *r = NULL;
		enum tr_code now = pg_next(p, PG_PATIENCE_MS, &r, rc ? &later : err);
		ExecStatusType is = r ? PQresultStatus(r) : PGRES_COMMAND_OK;

		if (now)
			return rc ? rc : now;
		synced = is == PGRES_PIPELINE_SYNC;
		if (!rc && (is == PGRES_FATAL_ERROR || is == PGRES_BAD_RESPONSE))
			rc = pg_fail(p, r, "queued write", err);
		PQclear(r);
		if (!p->c)
			return rc;
	}
	p->queued = p->queued_bytes = 0;
	if (!PQexitPipelineMode(p->c))
		return rc ? rc : pg_fail(p, NULL, "end of the queue", err);
	return rc;
}

TR_RC pg_later(struct tr_db *db, struct tr_stmt *st, struct tr_err *err)
{
	struct pg *p = pg_of(db);

	if ((p->queued >= QUEUE_MAX || p->queued_bytes > QUEUE_BYTES) && pg_settle(db, err))
		return err->code;
	if (pg_ready(p, st, err))
		return err->code;
	if (!p->queued && (!p->c || !PQenterPipelineMode(p->c)))
		return pg_fail(p, NULL, st->sql, err);
	p->queued++;
	for (unsigned i = 0; i < st->n; i++)
		p->queued_bytes += (size_t)st->params[i].len;
	return pg_send(p, st, err);
}
