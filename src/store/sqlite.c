/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite behind db.h.
 *
 * A commit is durable when it returns (write-ahead log, synchronous=FULL). One trothd writes: it holds flock on
 * <path>.lock for as long as it lives; readers take no such lock. After open no new file, environment variable or
 * random source is touched, so that the role can close its sandbox: temporary data stays in memory, and the log and
 * its index are opened by the first read and write. */
#include "store/db.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define APPLICATION_ID 0x54724f74 /* "TrOt"; file(1) and we know our own by it */
#define BUSY_MS 2000              /* somebody's sqlite3 shell; a trothd never waits for another */
#define ROW_MAX (640 << 10) /* bytes: a collateral bundle and its row */

#define DAMAGED "the store's file is damaged; stop trothd and restore the store from a backup"

struct sq {
	struct tr_db db;
	sqlite3 *h;
	int lock_fd;
	sqlite3_stmt *begin, *commit, *rollback;
	char path[4096];
};

static struct sq *sq_of(struct tr_db *db)
{
	return (struct sq *)db;
}

static sqlite3_stmt *st_of(struct tr_stmt *st)
{
	return (sqlite3_stmt *)st;
}

/* --- errors: what SQLite says, in codes the caller can act on --- */

static const struct said {
	int rc; /* extended code, or primary when it stands for all of its kind */
	enum tr_code code;
	const char *pub;
} said[] = {
	{ SQLITE_CONSTRAINT_PRIMARYKEY, TR_E_CONFLICT, "there is a record with this key already" },
	{ SQLITE_CONSTRAINT_UNIQUE, TR_E_CONFLICT, "there is a record with this key already" },
	{ SQLITE_CONSTRAINT_ROWID, TR_E_CONFLICT, "there is a record with this key already" },
	{ SQLITE_IOERR_CORRUPTFS, TR_E_INTERNAL, DAMAGED },
	{ SQLITE_IOERR_NOMEM, TR_E_INTERNAL, "out of memory" },
	{ SQLITE_FULL, TR_E_UNAVAIL, "the store's disk is full; free some space and try again" },
	{ SQLITE_READONLY, TR_E_UNAVAIL,
	  "the store cannot be written; make its file and folder writable for trothd and try again" },
	{ SQLITE_CANTOPEN, TR_E_UNAVAIL,
	  "the store cannot be opened; check that its file and folder are there and belong to trothd" },
	{ SQLITE_PERM, TR_E_UNAVAIL, "the store may not be opened; check who owns its file and folder" },
	{ SQLITE_IOERR, TR_E_UNAVAIL, "the store's disk failed; check the disk and the system log, then try again" },
	{ SQLITE_BUSY, TR_E_BUSY, "another program is writing to the store; close it and try again" },
	{ SQLITE_LOCKED, TR_E_BUSY, "another program is writing to the store; close it and try again" },
	{ SQLITE_CORRUPT, TR_E_INTERNAL, DAMAGED },
	{ SQLITE_NOTADB, TR_E_INTERNAL,
	  "the store's file is not a database, or its beginning is destroyed; restore the store from a backup" },
	{ SQLITE_NOMEM, TR_E_INTERNAL, "out of memory" },
	{ SQLITE_TOOBIG, TR_E_INVALID, "a value is longer than the store allows" },
};

static TR_RC fail(const struct sq *q, int rc, const char *what, struct tr_err *err)
{
	const char *text = q->h ? sqlite3_errmsg(q->h) : sqlite3_errstr(rc);

	for (size_t i = 0; i < TR_ARRAY_LEN(said); i++) {
		if (said[i].rc == rc || said[i].rc == (rc & 0xff))
			return tr_err_set(err, said[i].code, said[i].pub, "%s: %s (sqlite %d)", what, text, rc);
	}
	return tr_err_set(err, TR_E_INTERNAL, "the store refused a statement; see the log for which one",
			  "%s: %s (sqlite %d)", what, text, rc);
}

/* --- the writer lock --- */

static TR_RC say_holder(int fd, const char *path, struct tr_err *err)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	for (ssize_t i = 0; i < n; i++) {
		if (pid[i] < '0' || pid[i] > '9')
			n = i;
	}
	pid[n > 0 ? n : 0] = 0;
	return tr_err_set(err, TR_E_BUSY, "another trothd has this store open; stop it first",
			  "another trothd (pid %s) has this store open: %s", *pid ? pid : "unknown", path);
}

static TR_RC no_lock_file(const char *path, struct tr_err *err)
{
	if (errno == EACCES || errno == EPERM || errno == EROFS)
		return tr_err_set(err, TR_E_UNAVAIL,
				  "the store's folder cannot be written; make it writable for trothd and try again",
				  "%s: %s", path, strerrordesc_np(errno));
	if (errno == ENOENT || errno == ENOTDIR)
		return tr_err_set(err, TR_E_NOTFOUND, "the store's folder does not exist; create it first",
				  "no folder for %s", path);
	return tr_err_errno(err, "open %s", path);
}

/* flock, not SQLite's own lock: the read-only twin must get in, a second trothd must not, and must be told who.
 * The kernel frees it with the process, so nothing stale is left by a crash. */
static TR_RC take_lock(struct sq *q, struct tr_err *err)
{
	char path[sizeof(q->path) + 8], pid[16];
	int n;

	(void)snprintf(path, sizeof(path), "%s.lock", q->path);
	q->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (q->lock_fd < 0)
		return no_lock_file(path, err);
	while (flock(q->lock_fd, LOCK_EX | LOCK_NB)) {
		if (errno == EINTR)
			continue;
		return errno == EWOULDBLOCK ? say_holder(q->lock_fd, q->path, err)
					    : tr_err_errno(err, "lock %s", path);
	}
	/* The number is for people only: where a full disk has no room for it, nothing depends on it. */
	n = snprintf(pid, sizeof(pid), "%-14ld\n", (long)getpid());
	if (pwrite(q->lock_fd, pid, (size_t)n, 0) != n)
		return TR_OK;
	return TR_OK;
}

/* --- opening --- */

static TR_RC run_sql(struct sq *q, const char *sql, struct tr_err *err)
{
	int rc = sqlite3_exec(q->h, sql, NULL, NULL, NULL);

	return rc ? fail(q, rc, sql, err) : TR_OK;
}

static TR_RC ask(struct sq *q, const char *sql, int64_t *ret, struct tr_err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(q->h, sql, -1, &st, NULL);
	enum tr_code code = TR_OK;

	if (!rc)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	else
		code = fail(q, rc, sql, err);
	(void)sqlite3_finalize(st);
	return code;
}

static TR_RC set_up_process(struct tr_err *err)
{
	struct sq none = { .h = NULL };
	int rc = sqlite3_initialize();

	if (rc)
		return fail(&none, rc, "initialize", err);
	if (sqlite3_libversion_number() < 3037000)
		return tr_err_set(err, TR_E_INTERNAL, "this SQLite is too old; install 3.37 or newer",
				  "SQLite %s has no STRICT tables", sqlite3_libversion());
	return TR_OK;
}

static TR_RC check_path(struct sq *q, const char *path, enum tr_store_open_mode mode, bool *ret_missing,
			struct tr_err *err)
{
	struct stat st;

	/* The room left is for SQLite's own suffixes. */
	if (!*path || *path == ':' || strlen(path) > sizeof(q->path) - 16)
		return tr_err_set(err, TR_E_INVALID,
				  "the store's location needs a file path, as in sqlite:/var/lib/troth/troth.db",
				  "path \"%s\"", path);
	(void)snprintf(q->path, sizeof(q->path), "%s", path);
	*ret_missing = stat(path, &st) != 0;
	if (*ret_missing && (errno != ENOENT || mode != TR_STORE_CREATE)) {
		if (errno != ENOENT && errno != ENOTDIR)
			return fail(q, SQLITE_CANTOPEN, strerrordesc_np(errno), err);
		return tr_err_set(err, TR_E_NOTFOUND, "there is no store yet; run `trothd init` first",
				  "%s does not exist", path);
	}
	if (!*ret_missing && !S_ISREG(st.st_mode))
		return tr_err_set(err, TR_E_INVALID, "the store's location is not a file", "%s", path);
	return TR_OK;
}

static TR_RC connect_file(struct sq *q, enum tr_store_open_mode mode, struct tr_err *err)
{
	static const struct { int what, to; } guards[] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 },
		{ SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
		{ SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
		{ SQLITE_DBCONFIG_DQS_DML, 0 }, /* a misspelt "column" is an error, not a text */
		{ SQLITE_DBCONFIG_DQS_DDL, 0 },
	};
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
	char seed;
	int rc;

	flags |= mode == TR_STORE_RO ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	rc = sqlite3_open_v2(q->path, &q->h, flags, NULL);
	if (rc)
		return fail(q, rc, q->path, err);
	(void)sqlite3_busy_timeout(q->h, BUSY_MS);
	for (size_t i = 0; i < TR_ARRAY_LEN(guards); i++)
		(void)sqlite3_db_config(q->h, guards[i].what, guards[i].to, NULL);
	(void)sqlite3_limit(q->h, SQLITE_LIMIT_LENGTH, ROW_MAX);
	sqlite3_randomness(1, &seed); /* reads the random source now, not when the log is first reset */
	/* SQLite falls back to reading when it may not write; a server must not find out at its first commit. */
	if (mode != TR_STORE_RO && sqlite3_db_readonly(q->h, "main") == 1)
		return fail(q, SQLITE_READONLY, "the file is read-only for this user", err);
	return TR_OK;
}

/* Nothing may be written before this has passed: the file could be somebody else's. */
static TR_RC check_owner(struct sq *q, enum tr_store_open_mode mode, struct tr_err *err)
{
	int64_t id = 0, tables = 0;
	/* Temporary data includes what undoes a savepoint: on disk it would be a file in some /tmp. */
	enum tr_code rc = run_sql(q, "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY", err);

	if (!rc)
		rc = ask(q, "PRAGMA application_id", &id, err);
	if (!rc)
		rc = ask(q, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (rc || id == APPLICATION_ID)
		return rc;
	if (id != 0 || tables != 0)
		return tr_err_set(err, TR_E_CONFLICT,
				  "the file is a database of another program; give trothd a path of its own",
				  "application id %08llx, %lld tables", (unsigned long long)id, (long long)tables);
	if (mode != TR_STORE_CREATE)
		return tr_err_set(err, TR_E_NOTFOUND, "the store is empty; run `trothd init` first",
				  "%s has no tables", q->path);
	return TR_OK;
}

static TR_RC make_durable(struct sq *q, struct tr_err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(q->h, "PRAGMA journal_mode = WAL", -1, &st, NULL);
	enum tr_code code = TR_OK;

	if (!rc)
		rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		code = fail(q, rc, "journal_mode", err);
	else if (strcmp((const char *)sqlite3_column_text(st, 0), "wal") != 0)
		code = tr_err_set(err, TR_E_UNAVAIL,
				  "the store's file system has no shared memory maps; use a local disk",
				  "no write-ahead log on %s", q->path);
	(void)sqlite3_finalize(st);
	if (code)
		return code;
	return run_sql(q, "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864;"
			  "PRAGMA wal_autocheckpoint = 1000; PRAGMA cache_size = -16384", err);
}

static struct tr_db *sq_close(struct tr_db *db)
{
	struct sq *q = sq_of(db);

	(void)sqlite3_finalize(q->begin);
	(void)sqlite3_finalize(q->commit);
	(void)sqlite3_finalize(q->rollback);
	(void)sqlite3_close_v2(q->h);
	/* Last: the next writer may come in only after the log is folded into the file. */
	q->lock_fd = tr_close(q->lock_fd);
	free(q);
	return NULL;
}

static TR_RC open_steps(struct sq *q, const char *path, enum tr_store_open_mode mode, struct tr_err *err)
{
	bool missing = false;
	enum tr_code rc = set_up_process(err);

	if (!rc)
		rc = check_path(q, path, mode, &missing, err);
	if (!rc && mode != TR_STORE_RO)
		rc = take_lock(q, err);
	/* Made here for its mode; the log and its index take theirs from it. */
	if (!rc && missing)
		rc = tr_file_create(q->path, tr_view(NULL, 0), 0600, err);
	if (!rc)
		rc = connect_file(q, mode, err);
	if (!rc)
		rc = check_owner(q, mode, err);
	if (!rc && mode != TR_STORE_RO)
		rc = make_durable(q, err);
	return rc;
}

static TR_RC sq_open(const char *path, enum tr_store_open_mode mode, struct tr_db **ret, struct tr_err *err)
{
	struct sq *q = calloc(1, sizeof(*q));
	enum tr_code rc;

	if (!q)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "sqlite");
	q->db.ops = &tr_db_sqlite;
	q->lock_fd = -1;
	rc = open_steps(q, path, mode, err);
	if (rc) {
		(void)sq_close(&q->db);
		return rc;
	}
	*ret = &q->db;
	return TR_OK;
}

/* --- schema --- */

static const char *sq_word(const struct tr_db *db, struct tr_view name)
{
	static const char *const words[][2] = {
		{ "int", "INTEGER" },
		{ "bytes", "BLOB" },
		{ "no_bytes", "x''" },
		/* AUTOINCREMENT: a number is never given twice, also after old rows were deleted. */
		{ "seq", "INTEGER PRIMARY KEY AUTOINCREMENT" },
		{ "options", "STRICT" },
		{ "now_ms", "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)" },
	};

	(void)db;
	for (size_t i = 0; i < TR_ARRAY_LEN(words); i++) {
		if (tr_view_is(name, words[i][0]))
			return words[i][1];
	}
	return NULL;
}

static TR_RC sq_mark(struct tr_db *db, struct tr_err *err)
{
	char sql[64];

	(void)snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", APPLICATION_ID);
	return run_sql(sq_of(db), sql, err);
}

static TR_RC sq_raise_seq(struct tr_db *db, const char *table, int64_t to, struct tr_err *err)
{
	char sql[256];

	(void)snprintf(sql, sizeof(sql),
		       "DELETE FROM sqlite_sequence WHERE name = '%s';"
		       "INSERT INTO sqlite_sequence (name, seq) VALUES ('%s', %lld)",
		       table, table, (long long)to);
	return run_sql(sq_of(db), sql, err);
}

static TR_RC sq_read_seq(struct tr_db *db, const char *table, int64_t *ret, struct tr_err *err)
{
	char sql[160];

	(void)snprintf(sql, sizeof(sql), "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '%s'", table);
	return ask(sq_of(db), sql, ret, err);
}

static TR_RC sq_prepare(struct tr_db *db, const char *sql, struct tr_stmt **ret, struct tr_err *err)
{
	struct sq *q = sq_of(db);
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v3(q->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);

	if (rc)
		return fail(q, rc, sql, err);
	/* SQLite numbers named parameters by first use; PostgreSQL by name. The text must mean the same to both. */
	for (int i = 1; i <= sqlite3_bind_parameter_count(st); i++) {
		const char *name = sqlite3_bind_parameter_name(st, i);
		char want[12];

		(void)snprintf(want, sizeof(want), "$%d", i);
		if (name && strcmp(name, want) == 0)
			continue;
		(void)sqlite3_finalize(st);
		return tr_err_set(err, TR_E_INTERNAL, "the store refused a statement; see the log for which one",
				  "parameter %d is not %s: %s", i, want, sql);
	}
	*ret = (struct tr_stmt *)st;
	return TR_OK;
}

static void sq_finish(struct tr_db *db, struct tr_stmt *st)
{
	(void)db;
	(void)sqlite3_finalize(st_of(st));
}

static TR_RC sq_exec(struct tr_db *db, const char *sql, struct tr_err *err)
{
	return run_sql(sq_of(db), sql, err);
}

/* --- statements --- */

static TR_RC bound(struct tr_db *db, int rc, struct tr_err *err)
{
	return rc ? fail(sq_of(db), rc, "bind", err) : TR_OK;
}

static TR_RC sq_bind_i64(struct tr_db *db, struct tr_stmt *st, int at, int64_t v, struct tr_err *err)
{
	return bound(db, sqlite3_bind_int64(st_of(st), at, v), err);
}

static TR_RC sq_bind_text(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view v, struct tr_err *err)
{
	/* A NULL pointer would be SQL's NULL; the empty text is meant. */
	const char *p = v.n ? (const char *)v.p : "";

	return bound(db, sqlite3_bind_text64(st_of(st), at, p, v.n, SQLITE_STATIC, SQLITE_UTF8), err);
}

static TR_RC sq_bind_bytes(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view v, struct tr_err *err)
{
	return bound(db, sqlite3_bind_blob64(st_of(st), at, v.n ? (const void *)v.p : "", v.n, SQLITE_STATIC), err);
}

static TR_RC sq_step(struct tr_db *db, struct tr_stmt *st, bool *ret_row, struct tr_err *err)
{
	int rc = sqlite3_step(st_of(st));

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return fail(sq_of(db), rc, "step", err);
	*ret_row = rc == SQLITE_ROW;
	return TR_OK;
}

static TR_RC wrong_type(struct sqlite3_stmt *st, int at, struct tr_err *err)
{
	return tr_err_set(err, TR_E_INTERNAL, DAMAGED, "column %s has type %d", sqlite3_column_name(st, at),
			  sqlite3_column_type(st, at));
}

static TR_RC sq_col_i64(struct tr_db *db, struct tr_stmt *st, int at, int64_t *ret, struct tr_err *err)
{
	(void)db;
	if (sqlite3_column_type(st_of(st), at) != SQLITE_INTEGER)
		return wrong_type(st_of(st), at, err);
	*ret = sqlite3_column_int64(st_of(st), at);
	return TR_OK;
}

static TR_RC col_view(sqlite3_stmt *st, int at, int type, struct tr_view *ret, struct tr_err *err)
{
	const void *p;
	int n;

	if (sqlite3_column_type(st, at) != type)
		return wrong_type(st, at, err);
	p = type == SQLITE_TEXT ? (const void *)sqlite3_column_text(st, at) : sqlite3_column_blob(st, at);
	n = sqlite3_column_bytes(st, at);
	if (n > 0 && !p)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "column %s", sqlite3_column_name(st, at));
	*ret = tr_view(n ? p : NULL, (size_t)n);
	return TR_OK;
}

static TR_RC sq_col_text(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view *ret, struct tr_err *err)
{
	(void)db;
	return col_view(st_of(st), at, SQLITE_TEXT, ret, err);
}

static TR_RC sq_col_bytes(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view *ret, struct tr_err *err)
{
	(void)db;
	return col_view(st_of(st), at, SQLITE_BLOB, ret, err);
}

static void sq_reset(struct tr_db *db, struct tr_stmt *st)
{
	(void)db;
	(void)sqlite3_reset(st_of(st));
	(void)sqlite3_clear_bindings(st_of(st));
}

static TR_RC sq_has_table(struct tr_db *db, const char *name, bool *ret, struct tr_err *err)
{
	struct tr_stmt *st = NULL;
	enum tr_code rc = sq_prepare(db, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1", &st, err);

	if (!rc)
		rc = sq_bind_text(db, st, 1, tr_view_str(name), err);
	if (!rc)
		rc = sq_step(db, st, ret, err);
	sq_finish(db, st);
	return rc;
}

/* --- transactions --- */

static int step_once(struct sq *q, sqlite3_stmt **st, const char *sql)
{
	int rc = *st ? SQLITE_OK : sqlite3_prepare_v3(q->h, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL);

	if (rc)
		return rc;
	rc = sqlite3_step(*st);
	(void)sqlite3_reset(*st);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void sq_rollback(struct tr_db *db)
{
	struct sq *q = sq_of(db);

	/* On a full disk SQLite has rolled back by itself. */
	if (!sqlite3_get_autocommit(q->h))
		(void)step_once(q, &q->rollback, "ROLLBACK");
}

static TR_RC sq_begin(struct tr_db *db, struct tr_err *err)
{
	struct sq *q = sq_of(db);
	int rc = step_once(q, &q->begin, "BEGIN IMMEDIATE");

	return rc ? fail(q, rc, "begin", err) : TR_OK;
}

static TR_RC sq_begin_read(struct tr_db *db, struct tr_err *err)
{
	return run_sql(sq_of(db), "BEGIN", err);
}

static TR_RC sq_commit(struct tr_db *db, struct tr_err *err)
{
	struct sq *q = sq_of(db);
	int rc = step_once(q, &q->commit, "COMMIT");
	enum tr_code code;

	if (!rc)
		return TR_OK;
	code = fail(q, rc, "commit", err);
	sq_rollback(db);
	return code;
}

const struct tr_db_ops tr_db_sqlite = {
	.scheme = "sqlite",
	.open = sq_open,
	.close = sq_close,
	.word = sq_word,
	.mark = sq_mark,
	.has_table = sq_has_table,
	.raise_seq = sq_raise_seq,
	.read_seq = sq_read_seq,
	.exec = sq_exec,
	.begin = sq_begin,
	.begin_read = sq_begin_read,
	.commit = sq_commit,
	.rollback = sq_rollback,
	.prepare = sq_prepare,
	.finish = sq_finish,
	.bind_i64 = sq_bind_i64,
	.bind_text = sq_bind_text,
	.bind_bytes = sq_bind_bytes,
	.step = sq_step,
	.col_i64 = sq_col_i64,
	.col_text = sq_col_text,
	.col_bytes = sq_col_bytes,
	.reset = sq_reset,
};
