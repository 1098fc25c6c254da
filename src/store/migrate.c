/* SPDX-License-Identifier: Apache-2.0 */
/* Brings a database to this build's schema: numbered steps (sql/NNN_name.sql), all of them in one transaction, so that a
 * crash half-way leaves the schema that was there. */
#include "store/db.h"

#include "store/sql.h"

#include <stdio.h>

static TR_RC expand(const struct tr_db *db, const struct tr_migration *m, struct tr_buf *ret, struct tr_err *err)
{
	const char *at = m->text;

	for (;;) {
		const char *open = strchr(at, '{');
		const char *end = open ? strchr(open, '}') : NULL;
		const char *word;

		if (!end) {
			tr_buf_adds(ret, at);
			return tr_buf_check(ret, err);
		}
		word = db->ops->word(db, tr_view(open + 1, (size_t)(end - open) - 1));
		if (!word)
			return tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "migration %s: no word %.*s", m->name,
					  (int)(end - open) + 1, open);
		tr_buf_add(ret, at, (size_t)(open - at));
		tr_buf_adds(ret, word);
		at = end + 1;
	}
}

static TR_RC read_schema(struct tr_db *db, unsigned *ret, struct tr_err *err)
{
	const struct tr_db_ops *ops = db->ops;
	struct tr_stmt *st = NULL;
	bool exists = false;
	int64_t n = 0;
	enum tr_code rc = ops->has_table(db, "schema_migrations", &exists, err);

	if (rc)
		return rc;
	if (!exists) {
		*ret = 0;
		return TR_OK;
	}
	rc = ops->prepare(db, "SELECT coalesce(max(\"version\"), 0) FROM \"schema_migrations\"", &st, err);
	if (rc)
		return rc;
	rc = tr_db_run(db, st, &n, err);
	ops->finish(db, st);
	if (rc)
		return rc;
	if (n < 0 || n > 100000)
		return tr_err_set(err, TR_E_INTERNAL, TR_DB_DAMAGED, "schema number %lld", (long long)n);
	*ret = (unsigned)n;
	return TR_OK;
}

static TR_RC migrate_one(struct tr_db *db, const struct tr_migration *m, unsigned number, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf sql = TR_BUF_INIT;
	enum tr_code rc = expand(db, m, &sql, err);

	if (!rc)
		tr_buf_addf(&sql, "\nINSERT INTO \"schema_migrations\" (\"version\", \"name\") VALUES (%u, '%s');",
			    number, m->name);
	if (!rc)
		rc = tr_buf_check(&sql, err);
	if (!rc)
		rc = db->ops->exec(db, tr_buf_cstr(&sql), err);
	return rc ? tr_err_wrap(err, "migration %s", m->name) : TR_OK;
}

static TR_RC migrate_in_tx(struct tr_db *db, struct tr_err *err)
{
	const struct tr_db_ops *ops = db->ops;
	static const struct tr_migration numbers = {
		"schema_migrations",
		"CREATE TABLE IF NOT EXISTS \"schema_migrations\" "
		"(\"version\" {int} NOT NULL PRIMARY KEY, \"name\" TEXT NOT NULL) {options};",
	};
	tr_auto(tr_buf_done) struct tr_buf sql = TR_BUF_INIT;
	unsigned have = 0;
	enum tr_code rc = expand(db, &numbers, &sql, err);

	if (!rc)
		rc = ops->mark(db, err);
	if (!rc)
		rc = ops->exec(db, tr_buf_cstr(&sql), err);
	/* Again under the lock: another node may have migrated meanwhile. */
	if (!rc)
		rc = read_schema(db, &have, err);
	for (size_t i = have; i < tr_migrations_n && !rc; i++)
		rc = migrate_one(db, &tr_migrations[i], (unsigned)i + 1, err);
	return rc;
}

static TR_RC migrate(struct tr_db *db, struct tr_err *err)
{
	enum tr_code rc = db->ops->begin(db, err);

	if (rc)
		return rc;
	rc = migrate_in_tx(db, err);
	if (rc) {
		db->ops->rollback(db);
		return rc;
	}
	return db->ops->commit(db, err);
}

TR_RC tr_db_migrate(struct tr_db *db, bool read_only, unsigned *ret_schema, struct tr_err *err)
{
	unsigned have = 0;
	enum tr_code rc = read_schema(db, &have, err);

	if (rc)
		return rc;
	if (have > tr_migrations_n)
		return tr_err_set(err, TR_E_CONFLICT,
				  "the store was written by a newer trothd; install that version, or restore a backup",
				  "the store has schema %u, this trothd knows %zu", have, tr_migrations_n);
	if (have < tr_migrations_n && read_only)
		return tr_err_set(err, TR_E_CONFLICT,
				  "the store has an older schema and read-only access cannot migrate it; start trothd once",
				  "the store has schema %u, this trothd wants %zu", have, tr_migrations_n);
	if (have < tr_migrations_n)
		rc = migrate(db, err);
	if (!rc)
		*ret_schema = (unsigned)tr_migrations_n;
	return rc;
}
