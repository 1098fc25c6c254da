/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "store/db.h"

#include <stdio.h>


/* List statements differ by what bounds them: 2 orders, with or without each filter; prepared when first asked for. */
enum { LIST_OLDEST = 1, LIST_MATCH = 2, LIST_OUTCOME = 4, LIST_BATCH = 8, LIST_CURSOR = 16, LIST_N = 32 };
enum query { Q_PUT, Q_INSERT, Q_DELETE, Q_APPEND, Q_EXPIRE, Q_EACH, Q_ALL, Q_ONE, Q_MANY, Q_NAMED, Q_LIST, Q_N = Q_LIST + LIST_N };

enum scope { SCOPE_OPEN, SCOPE_KEEP, SCOPE_UNDO, SCOPE_N };

/* The key is the first field of every table. */
static const struct table {
	const char *name;
	const char *order;           /* tables with a list: the column it goes by; "seq" says append-only */
	const char *match, *outcome; /* the columns of tr_list_query's filters */
	const char *expires;         /* tables that forget: the time that counts */
	const char *live;            /* tables of which only some rows are loaded: those that have 0 here */
	const char *named;           /* append-only tables whose rows have a name too (tr_list_query.id) */
	const char *batch;           /* the column of tr_list_query.batch; such a table is listed by order and key */
} tables[TR_T_N] = {
	[TR_T_AGENT] = { .name = "agents" },
	[TR_T_TOKEN] = { .name = "tokens" },
	[TR_T_VKEY] = { .name = "vkeys" },
	[TR_T_RELEASE] = { .name = "releases" },
	[TR_T_SETTING] = { .name = "settings" },
	[TR_T_SEEN] = { .name = "seen", .expires = "expires_at" },
	[TR_T_OPERATOR] = { .name = "operators" },
	[TR_T_AUDIT] = { .name = "audit", .order = "seq", .match = "object", .outcome = "outcome" },
	[TR_T_ATTESTATION] = { .name = "attestations", .order = "seq", .match = "node_id", .outcome = "outcome" },
	[TR_T_PULSE] = { .name = "pulses" },
	[TR_T_EVENT] = { .name = "events", .order = "seq", .match = "agent", .outcome = "kind", .expires = "time" },
	/* Those that are over: the rest has 0 there, which no list reaches. */
	[TR_T_ALERT] = { .name = "alerts", .order = "resolved_at", .match = "id", .outcome = "kind" },
	[TR_T_MAINTENANCE] = { .name = "maintenance" },
	[TR_T_BPF_REF] = { .name = "bpf_refs" },
	[TR_T_KEYSET] = { .name = "keysets" },
	[TR_T_SKEY] = { .name = "skeys" },
	/* Like alerts: the list is of those that are over. */
	[TR_T_COMMAND] = { .name = "commands", .order = "ended_at", .match = "agent", .outcome = "state",
			   .expires = "ended_at", .live = "ended_at", .batch = "batch" },
	[TR_T_OUTBOX] = { .name = "outboxes" },
	[TR_T_ATTESTED] = { .name = "attested" },
	[TR_T_VERDICT] = { .name = "verdicts", .order = "seq", .match = "agent", .outcome = "outcome", .expires = "time",
			   .named = "id" },
	[TR_T_BUNDLE] = { .name = "bundles" },
	[TR_T_TEE_POLICY] = { .name = "tee_policies" },
	[TR_T_MAIL] = { .name = "mails", .expires = "expires_at" },
};

struct tr_store {
	struct tr_db *db;
	unsigned schema;
	bool read_only, reading; /* reading: in a transaction that may not write */
	bool in_tx;
	bool failed; /* a statement failed: nothing but a rollback is left */
	unsigned depth; /* open savepoints */
	uint64_t last_seq;
	struct tr_stmt *stmt[TR_T_N][Q_N];
	struct tr_stmt *scope[SCOPE_N];
	struct tr_stmt *probe;
};

static const struct tr_field query_fields[] = {
	TR_FIELD(tr_list_query, before, TR_F_U64, 0, 0),
	TR_FIELD(tr_list_query, after, TR_F_U64, 0, 0),
	TR_FIELD(tr_list_query, limit, TR_F_U64, 0, 0),
	TR_FIELD(tr_list_query, match, TR_F_TEXT, 128, 0),
	TR_FIELD(tr_list_query, outcome, TR_F_TEXT, 32, 0),
	TR_FIELD(tr_list_query, id, TR_F_TEXT, 32, 0),
	TR_FIELD(tr_list_query, batch, TR_F_TEXT, 32, 0),
	TR_FIELD(tr_list_query, cursor, TR_F_TEXT, 32, 0),
	TR_FIELD(tr_list_query, seq, TR_F_U64, 0, 0),
};
TR_RECORD(tr_list_query_def, tr_list_query, query_fields);

/* --- SQL text, made from the field tables so that no column is named twice --- */

static void add_columns(struct tr_buf *b, const struct tr_record *def, size_t from)
{
	for (size_t i = from; i < def->n; i++)
		tr_buf_addf(b, "%s\"%s\"", i == from ? "" : ", ", def->fields[i].name);
}

static void add_insert(struct tr_buf *b, const struct table *t, const struct tr_record *def, size_t from)
{
	tr_buf_addf(b, "INSERT INTO \"%s\" (", t->name);
	add_columns(b, def, from);
	tr_buf_adds(b, ") VALUES (");
	for (size_t i = from; i < def->n; i++)
		tr_buf_addf(b, "%s$%zu", i == from ? "" : ", ", i - from + 1);
	tr_buf_adds(b, ")");
}

static void add_upsert(struct tr_buf *b, const struct table *t, const struct tr_record *def)
{
	add_insert(b, t, def, 0);
	tr_buf_addf(b, " ON CONFLICT (\"%s\") DO UPDATE SET ", def->fields[0].name);
	for (size_t i = 1; i < def->n; i++)
		tr_buf_addf(b, "%s\"%s\" = excluded.\"%s\"", i == 1 ? "" : ", ", def->fields[i].name,
			    def->fields[i].name);
}

static void add_select(struct tr_buf *b, const struct table *t, const struct tr_record *def)
{
	tr_buf_adds(b, "SELECT ");
	add_columns(b, def, 0);
	tr_buf_addf(b, " FROM \"%s\"", t->name);
}

static void add_list(struct tr_buf *b, const struct table *t, const struct tr_record *def, unsigned how)
{
	const char *key = def->fields[0].name, *way = how & LIST_OLDEST ? "ASC" : "DESC";
	int at = 3;

	add_select(b, t, def);
	/* Many may have ended in one millisecond: the key tells them apart. */
	tr_buf_addf(b, " WHERE \"%s\" %s $1 AND \"%s\" > $2", t->order, how & LIST_CURSOR ? "<=" : "<", t->order);
	if (how & LIST_CURSOR)
		tr_buf_addf(b, " AND (\"%s\", \"%s\") < ($1, $%d)", t->order, key, at++);
	if (how & LIST_MATCH)
		tr_buf_addf(b, " AND \"%s\" = $%d", t->match, at++);
	/* With both filters the node is the rare one: the empty text keeps the planner, which has no statistics,
	 * from walking every row of an outcome. */
	if (how & LIST_OUTCOME)
		tr_buf_addf(b, " AND \"%s\"%s = $%d", t->outcome, how & LIST_MATCH ? " || ''" : "", at++);
	if (how & LIST_BATCH)
		tr_buf_addf(b, " AND \"%s\" = $%d", t->batch, at++);
	tr_buf_addf(b, " ORDER BY \"%s\" %s", t->order, way);
	if (t->batch)
		tr_buf_addf(b, ", \"%s\" %s", key, way);
	tr_buf_addf(b, " LIMIT $%d", at);
}

static void add_query(struct tr_buf *b, enum tr_table table, unsigned q)
{
	const struct tr_record *def = tr_table_def(table);
	const struct table *t = &tables[table];
	const char *key = def->fields[0].name;

	switch (q) {
	case Q_PUT: add_upsert(b, t, def); break;
	case Q_INSERT: add_insert(b, t, def, 0); break;
	case Q_DELETE: tr_buf_addf(b, "DELETE FROM \"%s\" WHERE \"%s\" = $1", t->name, key); break;
	case Q_APPEND:
		add_insert(b, t, def, 1);
		tr_buf_addf(b, " RETURNING \"%s\"", key);
		break;
	case Q_EXPIRE:
		tr_buf_addf(b, "DELETE FROM \"%s\" WHERE \"%s\" < $1", t->name, t->expires);
		/* What is not over never expires. */
		if (t->live)
			tr_buf_addf(b, " AND \"%s\" > 0", t->live);
		break;
	case Q_EACH:
		add_select(b, t, def);
		if (t->live)
			tr_buf_addf(b, " WHERE \"%s\" = 0", t->live);
		tr_buf_addf(b, " ORDER BY \"%s\"", key);
		break;
	case Q_ALL:
		add_select(b, t, def);
		tr_buf_addf(b, " ORDER BY \"%s\"", key);
		break;
	case Q_ONE:
		add_select(b, t, def);
		tr_buf_addf(b, " WHERE \"%s\" = $1", key);
		break;
	case Q_NAMED:
		add_select(b, t, def);
		tr_buf_addf(b, " WHERE \"%s\" = $1", t->named);
		break;
	case Q_MANY:
		add_select(b, t, def);
		tr_buf_addf(b, " WHERE \"%s\" IN (", key);
		for (unsigned i = 1; i <= TR_STORE_MANY; i++)
			tr_buf_addf(b, "%s$%u", i == 1 ? "" : ", ", i);
		tr_buf_adds(b, ")");
		break;
	default: add_list(b, t, def, q - Q_LIST); break;
	}
}

static TR_RC prepared(struct tr_store *s, enum tr_table table, unsigned q, struct tr_stmt **ret, struct tr_err *err)
{
	struct tr_stmt **slot = &s->stmt[table][q];
	tr_auto(tr_buf_done) struct tr_buf sql = TR_BUF_INIT;
	enum tr_code rc;

	if (!*slot) {
		add_query(&sql, table, q);
		rc = tr_buf_check(&sql, err);
		if (!rc)
			rc = s->db->ops->prepare(s->db, tr_buf_cstr(&sql), slot, err);
		if (rc)
			return rc;
	}
	*ret = *slot;
	return TR_OK;
}

/* --- rows in and out --- */

static TR_RC bind_number(struct tr_store *s, struct tr_stmt *st, int at, uint64_t v, const char *what,
			 struct tr_err *err)
{
	if (v > INT64_MAX)
		return tr_err_set(err, TR_E_INVALID, "a number is larger than the store can hold",
				  "%s is over 2^63-1", what);
	return s->db->ops->bind_i64(s->db, st, at, (int64_t)v, err);
}

static TR_RC bind_field(struct tr_store *s, struct tr_stmt *st, int at, const struct tr_field *f, const void *row,
			struct tr_err *err)
{
	const struct tr_db_ops *ops = s->db->ops;
	const void *p = (const uint8_t *)row + f->off;
	const struct tr_view *v = p;

	switch (f->type) {
	case TR_F_U64: return bind_number(s, st, at, *(const uint64_t *)p, f->name, err);
	case TR_F_I64:
	case TR_F_TIME_MS: return ops->bind_i64(s->db, st, at, *(const int64_t *)p, err);
	case TR_F_BOOL: return ops->bind_i64(s->db, st, at, *(const bool *)p, err);
	case TR_F_TEXT:
	case TR_F_IDENT:
	case TR_F_RAW:
	case TR_F_BYTES:
	case TR_F_HEX: break;
	}
	if (v->n > f->max)
		return tr_err_set(err, TR_E_INVALID, "a value is longer than the store allows",
				  "%s has %zu bytes, at most %u", f->name, v->n, (unsigned)f->max);
	return f->type == TR_F_BYTES || f->type == TR_F_HEX ? ops->bind_bytes(s->db, st, at, *v, err)
							    : ops->bind_text(s->db, st, at, *v, err);
}

static TR_RC bind_row(struct tr_store *s, struct tr_stmt *st, const struct tr_record *def, size_t from,
		      const void *row, struct tr_err *err)
{
	enum tr_code rc = TR_OK;

	for (size_t i = from; i < def->n && !rc; i++)
		rc = bind_field(s, st, (int)(i - from) + 1, &def->fields[i], row, err);
	return rc;
}

static TR_RC load_field(struct tr_store *s, struct tr_stmt *st, int at, const struct tr_field *f, void *row,
			struct tr_err *err)
{
	const struct tr_db_ops *ops = s->db->ops;
	void *p = (uint8_t *)row + f->off;
	struct tr_view *v = p;
	int64_t n = 0;
	enum tr_code rc;

	switch (f->type) {
	case TR_F_U64:
	case TR_F_BOOL:
	case TR_F_I64:
	case TR_F_TIME_MS:
		rc = ops->col_i64(s->db, st, at, &n, err);
		if (rc)
			return rc;
		if (f->type == TR_F_U64 && n < 0)
			return tr_err_set(err, TR_E_INTERNAL, TR_DB_DAMAGED, "%s is negative", f->name);
		if (f->type == TR_F_BOOL)
			*(bool *)p = n != 0;
		else
			memcpy(p, &n, sizeof(n));
		return TR_OK;
	case TR_F_BYTES:
	case TR_F_HEX: rc = ops->col_bytes(s->db, st, at, v, err); break;
	default: rc = ops->col_text(s->db, st, at, v, err); break;
	}
	/* Nothing longer was ever let in, so this is damage, and the callers' frames rely on the limits. */
	if (!rc && v->n > f->max)
		return tr_err_set(err, TR_E_INTERNAL, TR_DB_DAMAGED, "%s has %zu bytes, at most %u", f->name, v->n,
				  (unsigned)f->max);
	return rc;
}

/* Runs a bound select to its end or until fn has enough. */
static TR_RC visit(struct tr_store *s, struct tr_stmt *st, enum tr_table table, tr_row_fn fn, void *arg,
		   struct tr_err *err)
{
	const struct tr_record *def = tr_table_def(table);
	union tr_any_row row;
	bool more = true;
	enum tr_code rc;

	for (;;) {
		rc = s->db->ops->step(s->db, st, &more, err);
		if (rc || !more)
			break;
		memset(&row, 0, sizeof(row));
		for (size_t i = 0; i < def->n && !rc; i++)
			rc = load_field(s, st, (int)i, &def->fields[i], &row, err);
		if (rc || !fn(arg, &row))
			break;
	}
	s->db->ops->reset(s->db, st);
	return rc ? tr_err_wrap(err, "read %s", tables[table].name) : TR_OK;
}

TR_RC tr_db_run(struct tr_db *db, struct tr_stmt *st, int64_t *ret_value, struct tr_err *err)
{
	bool row = false;
	int64_t value = 0;
	enum tr_code rc = db->ops->step(db, st, &row, err);

	if (!rc && ret_value) {
		rc = row ? db->ops->col_i64(db, st, 0, &value, err)
			 : tr_err_set(err, TR_E_INTERNAL, TR_DB_DAMAGED, "a write returned nothing");
		if (!rc)
			rc = db->ops->step(db, st, &row, err);
	}
	db->ops->reset(db, st);
	if (!rc && ret_value)
		*ret_value = value;
	return rc;
}

/* --- opening --- */

/* Preparing every select proves that every table and column is there before anything is promised. */
static TR_RC check_tables(struct tr_store *s, struct tr_err *err)
{
	struct tr_stmt *st;
	enum tr_code rc = TR_OK;

	for (unsigned t = TR_T_AGENT; t < TR_T_N && !rc; t++) {
		rc = prepared(s, (enum tr_table)t, Q_EACH, &st, err);
		if (rc)
			return tr_err_wrap(err, "table %s", tables[t].name);
	}
	return rc;
}

TR_RC tr_store_open_db(struct tr_db *db, enum tr_store_open_mode mode, struct tr_store **ret, struct tr_err *err)
{
	tr_auto(tr_store_free) struct tr_store *s = calloc(1, sizeof(*s));
	enum tr_code rc;

	if (!s) {
		(void)tr_db_close(db);
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "store");
	}
	s->db = db;
	s->read_only = mode == TR_STORE_RO;
	rc = tr_db_migrate(db, s->read_only, &s->schema, err);
	if (!rc)
		rc = check_tables(s, err);
	/* A real write now: a disk that takes none is told at the start, and every file the database will need
	 * is open before the role's sandbox closes. */
	if (!rc && !s->read_only)
		rc = tr_store_probe(s, err);
	if (rc)
		return rc;
	*ret = TR_TAKE(s);
	return TR_OK;
}

TR_RC tr_db_open(const char *location, enum tr_store_open_mode mode, struct tr_db **ret, struct tr_err *err)
{
	static const struct tr_db_ops *const all[] = { &tr_db_sqlite, &tr_db_postgres };

	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		size_t n = strlen(all[i]->scheme);

		if (strncmp(location, all[i]->scheme, n) == 0 && location[n] == ':')
			return all[i]->open(location + n + 1, mode, ret, err);
	}
	return tr_err_set(err, TR_E_INVALID,
			  "no such kind of store; write its location as sqlite:/var/lib/troth/troth.db or postgresql://USER@HOST/DATABASE",
			  "store location %.*s", (int)strcspn(location, "?"), location);
}

TR_RC tr_store_open(const char *location, enum tr_store_open_mode mode, struct tr_store **ret, struct tr_err *err)
{
	struct tr_db *db = NULL;
	enum tr_code rc = tr_db_open(location, mode, &db, err);

	if (!rc)
		rc = tr_store_open_db(db, mode, ret, err);
	/* What follows the question mark may be a password. */
	return rc ? tr_err_wrap(err, "open store %.*s", (int)strcspn(location, "?"), location) : TR_OK;
}

static void finish(struct tr_store *s, struct tr_stmt *st)
{
	if (st)
		s->db->ops->finish(s->db, st);
}

struct tr_store *tr_store_free(struct tr_store *s)
{
	if (!s)
		return NULL;
	tr_store_rollback(s);
	for (unsigned t = 0; t < TR_T_N; t++) {
		for (unsigned q = 0; q < Q_N; q++)
			finish(s, s->stmt[t][q]);
	}
	for (unsigned i = 0; i < SCOPE_N; i++)
		finish(s, s->scope[i]);
	finish(s, s->probe);
	(void)tr_db_close(s->db);
	free(s);
	return NULL;
}

/* --- transactions --- */

TR_RC tr_store_begin(struct tr_store *s, struct tr_err *err)
{
	enum tr_code rc;

	if (s->in_tx || s->read_only)
		return tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "begin %s",
				  s->in_tx ? "inside a transaction" : "on a read-only store");
	rc = s->db->ops->begin(s->db, err);
	if (rc)
		return tr_err_wrap(err, "begin");
	s->in_tx = true;
	s->failed = s->reading = false;
	s->depth = 0;
	s->last_seq = 0;
	return TR_OK;
}

TR_RC tr_store_begin_read(struct tr_store *s, struct tr_err *err)
{
	if (s->in_tx)
		return tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "begin inside a transaction");
	if (s->db->ops->begin_read(s->db, err))
		return tr_err_wrap(err, "begin");
	s->in_tx = s->reading = true;
	s->failed = false;
	s->depth = 0;
	return TR_OK;
}

void tr_store_rollback(struct tr_store *s)
{
	if (s->in_tx)
		s->db->ops->rollback(s->db);
	s->in_tx = false;
}

static TR_RC not_usable(const struct tr_store *s, const char *what, struct tr_err *err)
{
	return tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "%s %s", what,
			  !s->in_tx    ? "outside a transaction"
			  : s->reading ? "in a transaction for reading"
				       : "after a failure in the same transaction");
}

TR_RC tr_store_commit(struct tr_store *s, struct tr_err *err)
{
	enum tr_code rc;

	if (!s->in_tx || s->failed || s->depth || s->reading) {
		rc = s->in_tx && s->depth && !s->failed
			     ? tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "commit inside a savepoint")
			     : not_usable(s, "commit", err);
		tr_store_rollback(s);
		return rc;
	}
	s->in_tx = false;
	rc = s->db->ops->commit(s->db, err);
	return rc ? tr_err_wrap(err, "commit") : TR_OK;
}

static TR_RC move_scope(struct tr_store *s, enum scope what, struct tr_err *err)
{
	static const char *const sql[SCOPE_N] = { "SAVEPOINT tr_scope", "RELEASE SAVEPOINT tr_scope",
						  "ROLLBACK TO SAVEPOINT tr_scope" };
	enum tr_code rc = TR_OK;

	if (!s->scope[what])
		rc = s->db->ops->prepare(s->db, sql[what], &s->scope[what], err);
	return rc ? rc : tr_db_run(s->db, s->scope[what], NULL, err);
}

TR_RC tr_store_savepoint(struct tr_store *s, struct tr_err *err)
{
	enum tr_code rc;

	if (!s->in_tx || s->failed || s->reading)
		return not_usable(s, "savepoint", err);
	rc = move_scope(s, SCOPE_OPEN, err);
	if (rc) {
		s->failed = true;
		return tr_err_wrap(err, "savepoint");
	}
	s->depth++;
	return TR_OK;
}

TR_RC tr_store_release(struct tr_store *s, struct tr_err *err)
{
	enum tr_code rc;

	if (!s->in_tx || s->failed || !s->depth)
		return not_usable(s, "release", err);
	rc = move_scope(s, SCOPE_KEEP, err);
	if (rc) {
		s->failed = true;
		return tr_err_wrap(err, "release");
	}
	s->depth--;
	return TR_OK;
}

void tr_store_rollback_savepoint(struct tr_store *s)
{
	struct tr_err err;
	enum tr_code rc;

	if (!s->in_tx || !s->depth)
		return;
	s->depth--;
	/* What was not heard yet is undone with the rest. */
	if (s->db->ops->settle)
		(void)!s->db->ops->settle(s->db, &err);
	/* If even this fails (the database has undone the whole transaction already, as on a full disk), the
	 * transaction stays failed and its commit says so. */
	rc = move_scope(s, SCOPE_UNDO, &err);
	if (!rc)
		rc = move_scope(s, SCOPE_KEEP, &err);
	s->failed = rc != TR_OK;
}

static bool appends(enum tr_table t)
{
	return tables[t].order && strcmp(tables[t].order, "seq") == 0;
}

static bool allowed(enum tr_op op, enum tr_table t)
{
	switch (op) {
	case TR_OP_PUT:
	case TR_OP_INSERT:
	case TR_OP_DELETE: return !appends(t);
	case TR_OP_APPEND: return appends(t);
	case TR_OP_EXPIRE: return tables[t].expires != NULL;
	case TR_OP_TELL:
	case TR_OP_N: break;
	}
	return false;
}

static TR_RC bind_expiry(struct tr_store *s, struct tr_stmt *st, enum tr_table t, const void *row, struct tr_err *err)
{
	const struct tr_record *def = tr_table_def(t);
	size_t i = 0;

	while (i < def->n && strcmp(def->fields[i].name, tables[t].expires) != 0)
		i++;
	return i < def->n ? bind_field(s, st, 1, &def->fields[i], row, err)
			  : tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "no column %s", tables[t].expires);
}

static TR_RC run_later(struct tr_store *s, struct tr_stmt *st, struct tr_err *err)
{
	enum tr_code rc = s->db->ops->later(s->db, st, err);

	s->db->ops->reset(s->db, st);
	return rc;
}

static TR_RC apply(struct tr_store *s, bool later, enum tr_op op, enum tr_table t, const void *row, struct tr_err *err)
{
	static const unsigned query_of[TR_OP_N] = { [TR_OP_PUT] = Q_PUT, [TR_OP_INSERT] = Q_INSERT,
						    [TR_OP_DELETE] = Q_DELETE, [TR_OP_APPEND] = Q_APPEND,
						    [TR_OP_EXPIRE] = Q_EXPIRE };
	const struct tr_record *def = tr_table_def(t);
	const struct tr_view *key = (const void *)((const uint8_t *)row + def->fields[0].off);
	struct tr_stmt *st;
	int64_t seq = 0;
	enum tr_code rc;

	if ((op == TR_OP_PUT || op == TR_OP_INSERT) && key->n == 0)
		return tr_err_set(err, TR_E_INVALID, "a row without a key cannot be stored", "empty %s",
				  def->fields[0].name);
	rc = prepared(s, t, query_of[op], &st, err);
	if (rc)
		return rc;
	switch (op) {
	case TR_OP_DELETE: rc = bind_field(s, st, 1, &def->fields[0], row, err); break;
	case TR_OP_EXPIRE: rc = bind_expiry(s, st, t, row, err); break;
	default: rc = bind_row(s, st, def, op == TR_OP_APPEND ? 1 : 0, row, err); break;
	}
	if (rc)
		s->db->ops->reset(s->db, st);
	else if (later && s->db->ops->later)
		return run_later(s, st, err);
	else
		rc = tr_db_run(s->db, st, op == TR_OP_APPEND ? &seq : NULL, err);
	if (!rc && op == TR_OP_APPEND)
		s->last_seq = (uint64_t)seq;
	return rc;
}

static TR_RC check_and_apply(struct tr_store *s, bool later, enum tr_op op, enum tr_table t, const void *row,
			     struct tr_err *err)
{
	enum tr_code rc;

	if (!s->in_tx || s->failed || s->reading)
		return not_usable(s, "apply", err);
	if (!tr_table_def(t) || !allowed(op, t))
		rc = tr_err_set(err, TR_E_INVALID, TR_DB_OUR_BUG, "operation %d on table %d", (int)op, (int)t);
	else
		rc = apply(s, later, op, t, row, err);
	if (rc) {
		s->failed = true;
		return tr_err_wrap(err, "write %s", tr_table_def(t) ? tables[t].name : "nothing");
	}
	return TR_OK;
}

TR_RC tr_store_apply(struct tr_store *s, enum tr_op op, enum tr_table t, const void *row, struct tr_err *err)
{
	return check_and_apply(s, false, op, t, row, err);
}

TR_RC tr_store_apply_later(struct tr_store *s, enum tr_op op, enum tr_table t, const void *row, struct tr_err *err)
{
	return check_and_apply(s, true, op, t, row, err);
}

TR_RC tr_store_settle(struct tr_store *s, struct tr_err *err)
{
	if (!s->in_tx || s->failed || s->reading)
		return not_usable(s, "settle", err);
	s->failed = s->db->ops->settle && s->db->ops->settle(s->db, err);
	return s->failed ? tr_err_wrap(err, "write") : TR_OK;
}

uint64_t tr_store_last_seq(const struct tr_store *s)
{
	return s->last_seq;
}

/* --- reading --- */

TR_RC tr_store_each(struct tr_store *s, enum tr_table t, tr_row_fn fn, void *arg, struct tr_err *err)
{
	struct tr_stmt *st;
	enum tr_code rc;

	if (!tr_table_def(t))
		return tr_err_set(err, TR_E_INVALID, TR_DB_OUR_BUG, "each of table %d", (int)t);
	rc = prepared(s, t, Q_EACH, &st, err);
	return rc ? rc : visit(s, st, t, fn, arg, err);
}

TR_RC tr_store_many(struct tr_store *s, enum tr_table t, const struct tr_view *keys, size_t n, tr_row_fn fn, void *arg,
		    struct tr_err *err)
{
	const struct tr_field *key = tr_table_def(t)->fields;
	struct tr_stmt *st;
	enum tr_code rc;

	if (!n || n > TR_STORE_MANY || appends(t))
		return tr_err_set(err, TR_E_INVALID, TR_DB_OUR_BUG, "%zu of table %d", n, (int)t);
	rc = prepared(s, t, Q_MANY, &st, err);
	if (rc)
		return rc;
	/* Places that are left ask for the last one again. */
	for (size_t i = 0; i < TR_STORE_MANY && !rc; i++) {
		struct tr_view v = keys[i < n ? i : n - 1];

		rc = key->type == TR_F_HEX || key->type == TR_F_BYTES ? s->db->ops->bind_bytes(s->db, st, (int)i + 1, v, err)
								       : s->db->ops->bind_text(s->db, st, (int)i + 1, v, err);
	}
	if (rc) {
		s->db->ops->reset(s->db, st);
		return rc;
	}
	return visit(s, st, t, fn, arg, err);
}

struct tr_db *tr_store_db(const struct tr_store *s)
{
	return s->db;
}

static TR_RC bind_list(struct tr_store *s, struct tr_stmt *st, const struct tr_list_query *q, unsigned how,
		       struct tr_err *err)
{
	const struct tr_db_ops *ops = s->db->ops;
	uint64_t before = q->before && q->before < INT64_MAX ? q->before : INT64_MAX;
	int at = 3;
	enum tr_code rc = bind_number(s, st, 1, before, "before", err);

	if (!rc)
		rc = bind_number(s, st, 2, q->after, "after", err);
	if (!rc && (how & LIST_CURSOR))
		rc = ops->bind_text(s->db, st, at++, q->cursor, err);
	if (!rc && (how & LIST_MATCH))
		rc = ops->bind_text(s->db, st, at++, q->match, err);
	if (!rc && (how & LIST_OUTCOME))
		rc = ops->bind_text(s->db, st, at++, q->outcome, err);
	if (!rc && (how & LIST_BATCH))
		rc = ops->bind_text(s->db, st, at++, q->batch, err);
	return rc ? rc : bind_number(s, st, at, q->limit, "limit", err);
}

TR_RC tr_store_list(struct tr_store *s, enum tr_table t, const struct tr_list_query *q, tr_row_fn fn, void *arg,
		    struct tr_err *err)
{
	unsigned how = 0;
	struct tr_stmt *st;
	enum tr_code rc;

	if (!tr_table_def(t) || !tables[t].order || (q->seq && !appends(t)) ||
	    (q->id.n && !tables[t].batch && !tables[t].named) || ((q->batch.n || q->cursor.n) && !tables[t].batch))
		return tr_err_set(err, TR_E_INVALID, TR_DB_OUR_BUG, "list of table %d", (int)t);
	if (q->limit < 1 || q->limit > TR_LIST_MAX)
		return tr_err_set(err, TR_E_INVALID, "limit must be between 1 and 500", "limit %llu",
				  (unsigned long long)q->limit);
	how |= q->after && !q->before ? LIST_OLDEST : 0;
	how |= q->match.n ? LIST_MATCH : 0;
	how |= q->outcome.n ? LIST_OUTCOME : 0;
	how |= q->batch.n ? LIST_BATCH : 0;
	how |= q->cursor.n && q->before ? LIST_CURSOR : 0;
	rc = prepared(s, t, q->id.n && tables[t].named ? Q_NAMED : q->seq || q->id.n ? Q_ONE : Q_LIST + how, &st, err);
	if (rc)
		return rc;
	rc = q->seq    ? bind_number(s, st, 1, q->seq, "seq", err)
	     : q->id.n ? s->db->ops->bind_text(s->db, st, 1, q->id, err)
		       : bind_list(s, st, q, how, err);
	if (rc) {
		s->db->ops->reset(s->db, st);
		return rc;
	}
	return visit(s, st, t, fn, arg, err);
}

/* --- whole stores --- */

TR_RC tr_store_all(struct tr_store *s, enum tr_table t, tr_row_fn fn, void *arg, struct tr_err *err)
{
	struct tr_stmt *st;
	enum tr_code rc;

	if (!tr_table_def(t))
		return tr_err_set(err, TR_E_INVALID, TR_DB_OUR_BUG, "all of table %d", (int)t);
	rc = prepared(s, t, Q_ALL, &st, err);
	return rc ? rc : visit(s, st, t, fn, arg, err);
}

TR_RC tr_store_restore(struct tr_store *s, enum tr_table t, const void *row, struct tr_err *err)
{
	struct tr_stmt *st = NULL;
	enum tr_code rc;

	if (!s->in_tx || s->failed || s->reading || !tr_table_def(t))
		return not_usable(s, "restore", err);
	rc = prepared(s, t, Q_INSERT, &st, err);
	if (!rc)
		rc = bind_row(s, st, tr_table_def(t), 0, row, err);
	if (!rc)
		rc = tr_db_run(s->db, st, NULL, err);
	else if (st)
		s->db->ops->reset(s->db, st);
	s->failed = rc != TR_OK;
	return rc ? tr_err_wrap(err, "restore %s", tables[t].name) : TR_OK;
}

bool tr_store_appends(enum tr_table t)
{
	return appends(t);
}

TR_RC tr_store_read_seq(struct tr_store *s, enum tr_table t, uint64_t *ret, struct tr_err *err)
{
	int64_t n = 0;

	if (s->db->ops->read_seq(s->db, tables[t].name, &n, err))
		return err->code;
	*ret = n > 0 ? (uint64_t)n : 0;
	return TR_OK;
}

TR_RC tr_store_raise_seq(struct tr_store *s, enum tr_table t, uint64_t to, struct tr_err *err)
{
	if (!s->in_tx || s->failed || s->reading || !appends(t) || to > INT64_MAX / 2)
		return not_usable(s, "raise_seq", err);
	s->failed = to && s->db->ops->raise_seq(s->db, tables[t].name, (int64_t)to, err);
	return s->failed ? err->code : TR_OK;
}

TR_RC tr_store_in_use(struct tr_store *s, bool *ret, struct tr_err *err)
{
	*ret = false;
	return s->db->ops->shared ? s->db->ops->shared(s->db, ret, err) : TR_OK;
}

unsigned tr_store_schema(const struct tr_store *s)
{
	return s->schema;
}

enum tr_store_link tr_store_link(const struct tr_store *s)
{
	enum tr_db_link link = s->db->ops->link ? s->db->ops->link(s->db) : TR_DB_UP;

	return link == TR_DB_UP ? TR_STORE_UP : link == TR_DB_AWAY ? TR_STORE_AWAY : TR_STORE_IN_DOUBT;
}

TR_RC tr_store_come_back(struct tr_store *s, bool *ret_committed, struct tr_err *err)
{
	enum tr_db_outcome what = TR_DB_NO_DOUBT;

	if (tr_store_link(s) == TR_STORE_UP || s->in_tx)
		return tr_err_set(err, TR_E_INTERNAL, TR_DB_OUR_BUG, "come back from nowhere");
	if (s->db->ops->come_back(s->db, &what, err))
		return tr_err_wrap(err, "come back");
	*ret_committed = what == TR_DB_COMMITTED;
	return TR_OK;
}

TR_RC tr_store_probe(struct tr_store *s, struct tr_err *err)
{
	static const char sql[] = "UPDATE \"probe\" SET \"writes\" = \"writes\" + 1 WHERE \"id\" = 1 RETURNING \"writes\"";
	int64_t writes;
	enum tr_code rc = tr_store_begin(s, err);

	if (rc)
		return rc;
	if (!s->probe)
		rc = s->db->ops->prepare(s->db, sql, &s->probe, err);
	if (!rc)
		rc = tr_db_run(s->db, s->probe, &writes, err);
	if (rc) {
		tr_store_rollback(s);
		return tr_err_wrap(err, "probe");
	}
	return tr_store_commit(s, err);
}
