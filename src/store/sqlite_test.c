/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite when things go wrong: foreign and damaged files, other processes, full and read-only disks, death. */
#include "store/store_test.h"

#include "base/file.h"
#include "base/log.h"
#include "store/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* --- what the library asks of the kernel, seen and spoilt from here --- */

static unsigned syncs, opens;
static bool sync_fails;
static int (*real_open)(const char *, int, int);

/* The library's calls land here: an executable's symbols come first. */
int fdatasync(int fd)
{
	syncs++;
	if (sync_fails) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fsync, fd);
}

static int counting_open(const char *path, int flags, int mode)
{
	opens++;
	return real_open(path, flags, mode);
}

/* --- helpers --- */

static int set_up(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	folder_make(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	folder_remove(*state);
	free(*state);
	return 0;
}

static struct tr_store *open_store(const struct folder *f, enum tr_store_open_mode mode)
{
	struct tr_store *s = NULL;

	OK(tr_store_open(f->location, mode, &s, err));
	return s;
}

#define OPEN_REFUSED(f, mode, code, word)                                                                            \
	do {                                                                                                         \
		struct tr_store *s_ = NULL;                                                                          \
		REFUSED(tr_store_open((f)->location, mode, &s_, err), code, word);                                   \
		assert_null(s_);                                                                                     \
	} while (0)

/* A good store with enough rows to be worth damaging. */
static void make_store(const struct folder *f, unsigned rows)
{
	struct tr_store *s = open_store(f, TR_STORE_CREATE);
	static struct filled row;

	OK(tr_store_begin(s, err));
	for (unsigned i = 0; i < rows; i++) {
		fill(&row, &tr_agent_def, i, FILL_SOME);
		OK(tr_store_apply(s, TR_OP_INSERT, TR_T_AGENT, &row.row, err));
	}
	OK(tr_store_commit(s, err));
	(void)tr_store_free(s);
}

static void shell(const char *path, const char *sql)
{
	sqlite3 *h = NULL;

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

static int64_t shell_ask(const char *path, const char *sql)
{
	sqlite3 *h = NULL;
	sqlite3_stmt *st = NULL;
	int64_t n;

	assert_int_equal(sqlite3_open_v2(path, &h, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
	return n;
}

static void overwrite(const char *path, off_t at, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	(void)close(fd);
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* Runs body in a child that may spoil its limits, ids and mounts. The child's failures are printed and counted. */
static void in_child(void (*body)(const struct folder *f), const struct folder *f)
{
	int status = 0;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		body(f);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* cmocka's assertions jump into the parent's copy of the runner: in a child they are these. */
#define MUST(cond)                                                                                                   \
	do {                                                                                                         \
		if (!(cond)) {                                                                                       \
			(void)fprintf(stderr, "%s:%d: child: %s\n", __FILE__, __LINE__, #cond);                      \
			_exit(1);                                                                                    \
		}                                                                                                    \
	} while (0)
#define MUST_OK(call)                                                                                                \
	do {                                                                                                         \
		struct tr_err e_ = { 0 };                                                                            \
		struct tr_err *err = &e_;                                                                            \
		if (call) {                                                                                          \
			(void)fprintf(stderr, "%s:%d: child: %s: %s\n", __FILE__, __LINE__, #call, e_.detail);       \
			_exit(1);                                                                                    \
		}                                                                                                    \
	} while (0)
#define MUST_REFUSE(call, code_, word)                                                                               \
	do {                                                                                                         \
		struct tr_err e_ = { 0 };                                                                            \
		struct tr_err *err = &e_;                                                                            \
		enum tr_code got_ = (call);                                                                          \
		if (got_ != (code_) || !strstr(e_.pub, (word))) {                                                    \
			(void)fprintf(stderr, "%s:%d: child: %s: %s, %s (%s)\n", __FILE__, __LINE__, #call,          \
				      tr_code_name(got_), e_.pub ? e_.pub : "-", e_.detail);                         \
			_exit(1);                                                                                    \
		}                                                                                                    \
	} while (0)

/* --- where the file is, and what it is --- */

static void bad_locations_say_what_is_wrong(void **state)
{
	const struct folder *f = *state;
	static char deep[5000];
	struct tr_store *s = NULL;
	const struct {
		const char *location;
		enum tr_store_open_mode mode;
		enum tr_code want;
		const char *word;
	} cases[] = {
		{ "", TR_STORE_CREATE, TR_E_INVALID, "sqlite:" },
		{ "/var/lib/troth.db", TR_STORE_CREATE, TR_E_INVALID, "sqlite:" },
		{ "mysql://db/troth", TR_STORE_CREATE, TR_E_INVALID, "sqlite:" },
		{ "sqlite", TR_STORE_CREATE, TR_E_INVALID, "sqlite:" },
		{ "sqlite:", TR_STORE_CREATE, TR_E_INVALID, "path" },
		{ "sqlite::memory:", TR_STORE_CREATE, TR_E_INVALID, "path" },
		{ deep, TR_STORE_CREATE, TR_E_INVALID, "path" },
		{ "sqlite:/tmp", TR_STORE_CREATE, TR_E_INVALID, "not a file" },
		{ "sqlite:/nowhere/at/all/troth.db", TR_STORE_CREATE, TR_E_NOTFOUND, "folder" },
		{ f->location, TR_STORE_RW, TR_E_NOTFOUND, "init" },
		{ f->location, TR_STORE_RO, TR_E_NOTFOUND, "init" },
	};

	memset(deep, 'a', sizeof(deep) - 1);
	memcpy(deep, "sqlite:/", 8);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		REFUSED(tr_store_open(cases[i].location, cases[i].mode, &s, err), cases[i].want, cases[i].word);
	/* tear_down shows that not even a lock file was left */
}

static void files_are_for_the_owner_only(void **state)
{
	const struct folder *f = *state;
	static const char *const ends[] = { "", "-wal", "-shm", ".lock" };
	mode_t old = umask(0);
	struct tr_store *s = open_store(f, TR_STORE_CREATE);
	char path[128];
	struct stat st;

	(void)umask(old);
	for (size_t i = 0; i < TR_ARRAY_LEN(ends); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", f->db, ends[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	(void)tr_store_free(s);
}

static void an_empty_file_is_no_store_until_created(void **state)
{
	const struct folder *f = *state;

	overwrite(f->db, 0, "", 0);
	OPEN_REFUSED(f, TR_STORE_RW, TR_E_NOTFOUND, "init");
	OPEN_REFUSED(f, TR_STORE_RO, TR_E_NOTFOUND, "init");
	(void)tr_store_free(open_store(f, TR_STORE_CREATE));
	(void)tr_store_free(open_store(f, TR_STORE_RW));
}

static void what_is_no_database_is_refused(void **state)
{
	const struct folder *f = *state;
	static const char text[8192] = "hello, this is a letter and no database; it is long enough for a header of "
				       "one hundred bytes, so that nobody takes it for an empty file";

	overwrite(f->db, 0, text, sizeof(text));
	for (int mode = TR_STORE_CREATE; mode <= TR_STORE_RO; mode++)
		OPEN_REFUSED(f, (enum tr_store_open_mode)mode, TR_E_INTERNAL, "not a database");
	assert_int_equal(size_of(f->db), sizeof(text));
}

static void somebody_elses_database_is_left_alone(void **state)
{
	static const char *const makers[] = {
		"PRAGMA application_id = 0x0f055112",
		"CREATE TABLE notes (text)",
	};
	const struct folder *f = *state;

	for (size_t i = 0; i < TR_ARRAY_LEN(makers); i++) {
		tr_auto(tr_buf_done) struct tr_buf before = TR_BUF_INIT, after = TR_BUF_INIT;

		(void)unlink(f->db);
		shell(f->db, makers[i]);
		OK(tr_file_read(f->db, 1 << 20, &before, err));
		for (int mode = TR_STORE_CREATE; mode <= TR_STORE_RO; mode++)
			OPEN_REFUSED(f, (enum tr_store_open_mode)mode, TR_E_CONFLICT, "another program");
		OK(tr_file_read(f->db, 1 << 20, &after, err));
		assert_true(tr_view_eq(tr_buf_view(&before), tr_buf_view(&after)));
	}
}

static void the_file_names_its_owner_and_keeps_a_log(void **state)
{
	const struct folder *f = *state;

	make_store(f, 1);
	assert_int_equal(shell_ask(f->db, "PRAGMA application_id"), 0x54724f74);
	assert_int_equal(shell_ask(f->db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
	assert_int_equal(shell_ask(f->db, "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND "
					  "NOT strict AND name NOT LIKE 'sqlite_%'"),
			 0);
}

/* --- damage --- */

/* Opening and reading everything, as core does at its start. */
static TR_RC open_and_read(const struct folder *f, struct tr_err *err)
{
	tr_auto(tr_store_free) struct tr_store *s = NULL;
	enum tr_code rc = tr_store_open(f->location, TR_STORE_RW, &s, err);
	unsigned n = 0;

	for (unsigned t = TR_T_AGENT; t < TR_T_N && !rc; t++)
		rc = tr_store_each(s, (enum tr_table)t, count_row, &n, err);
	return rc;
}

static void a_damaged_file_says_restore_from_a_backup(void **state)
{
	const struct folder *f = *state;
	static uint8_t junk[3 * 4096];

	make_store(f, 2000);
	memset(junk, 0xa5, sizeof(junk));
	overwrite(f->db, size_of(f->db) / 2 / 4096 * 4096, junk, sizeof(junk));
	REFUSED(open_and_read(f, err), TR_E_INTERNAL, "restore the store from a backup");
}

static void a_cut_file_says_restore_from_a_backup(void **state)
{
	const struct folder *f = *state;

	make_store(f, 2000);
	assert_int_equal(truncate(f->db, size_of(f->db) / 2), 0);
	REFUSED(open_and_read(f, err), TR_E_INTERNAL, "restore the store from a backup");
}

static void a_destroyed_beginning_says_restore_from_a_backup(void **state)
{
	const struct folder *f = *state;

	make_store(f, 10);
	overwrite(f->db, 0, "0123456789abcdef", 16);
	REFUSED(open_and_read(f, err), TR_E_INTERNAL, "restore the store from a backup");
}

/* Whatever is flipped, the answer is rows or a sentence: never a crash, never rows over their limits. */
static void flipped_bytes_never_crash(void **state)
{
	const struct folder *f = *state;
	unsigned told = 0;
	off_t size;

	for (unsigned i = 0; i < 150; i++) {
		uint8_t junk[8];
		struct tr_err err = { 0 };

		(void)unlink(f->db);
		make_store(f, 600);
		size = size_of(f->db);
		for (unsigned k = 0; k < sizeof(junk); k++)
			junk[k] = (uint8_t)(i * 37 + k * 101);
		/* The page headers and cell pointers are where damage hurts most. */
		overwrite(f->db, (off_t)(i % (size / 4096)) * 4096 + (i * 7) % 120, junk, 1 + i % 8);
		if (open_and_read(f, &err)) {
			assert_true(err.pub && err.detail[0]);
			told++;
		}
	}
	print_message("%u of 150 damages told\n", told);
	assert_true(told > 20);
}

static void a_row_over_its_limit_is_damage(void **state)
{
	const struct folder *f = *state;

	make_store(f, 3);
	shell(f->db, "UPDATE agents SET platform = printf('%.70c', 'x') WHERE rowid = 2");
	REFUSED(open_and_read(f, err), TR_E_INTERNAL, "restore the store from a backup");
	shell(f->db, "UPDATE agents SET platform = '', epoch = -1 WHERE rowid = 2");
	REFUSED(open_and_read(f, err), TR_E_INTERNAL, "restore the store from a backup");
	shell(f->db, "UPDATE agents SET epoch = 1");
	OK(open_and_read(f, err));
}

static void a_missing_table_or_column_is_told_at_open(void **state)
{
	const struct folder *f = *state;

	make_store(f, 1);
	shell(f->db, "ALTER TABLE agents RENAME COLUMN spki TO spkj");
	OPEN_REFUSED(f, TR_STORE_RW, TR_E_INTERNAL, "");
	shell(f->db, "ALTER TABLE agents RENAME COLUMN spkj TO spki; DROP TABLE audit");
	OPEN_REFUSED(f, TR_STORE_RW, TR_E_INTERNAL, "");
}

/* --- schema --- */

static void a_newer_schema_is_refused(void **state)
{
	const struct folder *f = *state;

	make_store(f, 1);
	shell(f->db, "INSERT INTO schema_migrations VALUES (900, 'future')");
	for (int mode = TR_STORE_CREATE; mode <= TR_STORE_RO; mode++)
		OPEN_REFUSED(f, (enum tr_store_open_mode)mode, TR_E_CONFLICT, "newer trothd");
	shell(f->db, "UPDATE schema_migrations SET version = -5 WHERE version = 900; DELETE FROM schema_migrations "
		     "WHERE version > 0");
	OPEN_REFUSED(f, TR_STORE_RW, TR_E_INTERNAL, "restore");
}

/* A store as an earlier release left it: the first `n` migrations, with SQLite's words. */
static void make_older(const struct folder *f, size_t n)
{
	static const char *const words[][2] = { { "{int}", "INTEGER" },
						{ "{bytes}", "BLOB" },
						{ "{no_bytes}", "x''" },
						{ "{seq}", "INTEGER PRIMARY KEY AUTOINCREMENT" },
						{ "{options}", "STRICT" } };
	char line[128];

	shell(f->db, "PRAGMA application_id = 0x54724f74; CREATE TABLE schema_migrations (version INTEGER NOT NULL "
		     "PRIMARY KEY, name TEXT NOT NULL) STRICT");
	for (size_t m = 0; m < n; m++) {
		tr_auto(tr_buf_done) struct tr_buf sql = TR_BUF_INIT;

		for (const char *at = tr_migrations[m].text; *at; at++) {
			size_t w = 0;

			while (w < TR_ARRAY_LEN(words) && strncmp(at, words[w][0], strlen(words[w][0])) != 0)
				w++;
			if (w == TR_ARRAY_LEN(words)) {
				tr_buf_add(&sql, at, 1);
				continue;
			}
			tr_buf_adds(&sql, words[w][1]);
			at += strlen(words[w][0]) - 1;
		}
		shell(f->db, tr_buf_cstr(&sql));
		(void)snprintf(line, sizeof(line), "INSERT INTO schema_migrations VALUES (%zu, '%s')", m + 1,
			       tr_migrations[m].name);
		shell(f->db, line);
	}
}

static void an_older_schema_is_migrated_by_a_writer_only(void **state)
{
	const struct folder *f = *state;
	struct tr_store *s;

	make_older(f, 1);
	shell(f->db, "INSERT INTO settings VALUES ('a', '1', 2, 'x')");
	OPEN_REFUSED(f, TR_STORE_RO, TR_E_CONFLICT, "older schema");
	s = open_store(f, TR_STORE_RW);
	assert_int_equal(tr_store_schema(s), tr_migrations_n);
	assert_int_equal(count_rows(s, TR_T_SETTING), 1);
	(void)tr_store_free(s);
	(void)tr_store_free(open_store(f, TR_STORE_RO));
	assert_int_equal(shell_ask(f->db, "SELECT max(version) FROM schema_migrations"), tr_migrations_n);
}

static bool check_moved_agent(void *arg, const void *row)
{
	const struct tr_agent_row *a = row;
	char *ids = arg;

	(void)snprintf(ids + strlen(ids), 32 - strlen(ids), "%.*s ", TR_VIEW_FMT(a->id));
	assert_true(a->epoch == 1 && a->next_until == 0 && a->next_key_id.n == 0 && a->next_spki.n == 0);
	assert_true(tr_view_is(a->end_reason, "why") && a->ended_at == 77 && a->cert_not_after == 66);
	return true;
}

static bool check_moved_pulse(void *arg, const void *row)
{
	const struct tr_pulse_row *p = row;

	assert_true(tr_view_is(p->id, "beat"));
	assert_true(p->epoch == 1 && p->first_seen == 55 && p->last_seen == 1000 && p->accepted == 12);
	assert_true(tr_view_is(p->running_hash, "RUN") && tr_view_is(p->good_hash, "GOOD"));
	assert_true(tr_view_is(p->version, "9.9") && p->head.n == 0 && p->seq == 0 && p->reach == 2);
	return count_row(arg, row);
}

/* 002: what agents held of their beats is a row of pulses; who never beat has none. */
static void beats_move_into_pulses(void **state)
{
	const struct folder *f = *state;
	struct tr_store *s;
	char ids[32] = "";
	unsigned n = 0;

	make_older(f, 1);
	shell(f->db, "INSERT INTO agents SELECT 'beat', 'p', 't', 'active', x'01', 'ed25519', x'02', 'native', 'ok', 'g', "
		     "CAST('GOOD' AS BLOB), '1.0', 'r', 'l', x'03', 'tok', '::1', 55, 'ab', 66, 1000, 12, "
		     "CAST('RUN' AS BLOB), '9.9', 77, 'why'");
	shell(f->db, "INSERT INTO agents SELECT 'never', partition, agent_type, state, x'09', key_type, spki, form, "
		     "verdict, tier, binary_hash, version, release_name, platform, vouched_by, token_id, source, "
		     "enrolled_at, cert_serial, cert_not_after, 0, 0, x'', '', ended_at, end_reason FROM agents");
	shell(f->db, "INSERT INTO tokens VALUES ('t1', x'01', 'p', 't', 1, 0, 1, 2, 0, 'me', 'note')");
	s = open_store(f, TR_STORE_RW);
	OK(tr_store_each(s, TR_T_AGENT, check_moved_agent, ids, err));
	assert_string_equal(ids, "beat never ");
	OK(tr_store_each(s, TR_T_PULSE, check_moved_pulse, &n, err));
	assert_int_equal(n, 1);
	assert_int_equal(count_rows(s, TR_T_TOKEN), 1);
	(void)tr_store_free(s);
	assert_int_equal(shell_ask(f->db, "SELECT count(*) FROM pragma_table_info('agents') WHERE name IN ('last_seen', "
					  "'heartbeats', 'running_hash', 'running_version')"),
			 0);
}

/* Whatever fails on the way, the old store is still there. */
static void a_migration_that_fails_changes_nothing(void **state)
{
	const struct folder *f = *state;

	make_older(f, 1);
	shell(f->db, "CREATE TABLE bpf_refs (x)"); /* the last table of 002 */
	OPEN_REFUSED(f, TR_STORE_RW, TR_E_INTERNAL, "");
	assert_int_equal(shell_ask(f->db, "SELECT max(version) FROM schema_migrations"), 1);
	assert_int_equal(shell_ask(f->db, "SELECT count(*) FROM pragma_table_info('agents') WHERE name = 'heartbeats'"), 1);
	shell(f->db, "DROP TABLE bpf_refs");
	(void)tr_store_free(open_store(f, TR_STORE_RW));
}

/* --- other processes --- */

static void a_second_trothd_is_told_who_has_it(void **state)
{
	const struct folder *f = *state;
	struct tr_store *s = open_store(f, TR_STORE_CREATE), *second = NULL;
	struct tr_err e = { 0 };
	char pid[32];

	(void)snprintf(pid, sizeof(pid), "(pid %ld)", (long)getpid());
	for (int mode = TR_STORE_CREATE; mode <= TR_STORE_RW; mode++) {
		assert_int_equal(tr_store_open(f->location, (enum tr_store_open_mode)mode, &second, &e), TR_E_BUSY);
		assert_non_null(strstr(e.pub, "another trothd has this store open"));
		assert_non_null(strstr(e.detail, "another trothd"));
		assert_non_null(strstr(e.detail, pid));
	}
	OK(tr_store_probe(s, err)); /* the refused one did no harm to the holder's locks */
	(void)tr_store_free(s);
	(void)tr_store_free(open_store(f, TR_STORE_RW));
}

static void the_read_only_twin_sees_what_is_committed(void **state)
{
	const struct folder *f = *state;
	struct tr_store *s = open_store(f, TR_STORE_CREATE), *twin = open_store(f, TR_STORE_RO);
	struct tr_setting_row a = setting("a", "1"), b = setting("b", "1");

	OK(apply_alone(s, TR_OP_PUT, TR_T_SETTING, &a, err));
	assert_int_equal(count_rows(twin, TR_T_SETTING), 1);
	OK(tr_store_begin(s, err));
	OK(tr_store_apply(s, TR_OP_PUT, TR_T_SETTING, &b, err));
	assert_int_equal(count_rows(twin, TR_T_SETTING), 1);
	OK(tr_store_commit(s, err));
	assert_int_equal(count_rows(twin, TR_T_SETTING), 2);
	(void)tr_store_free(s);
	assert_int_equal(count_rows(twin, TR_T_SETTING), 2);
	(void)tr_store_free(twin);
}

static void a_shell_that_writes_makes_us_busy_not_broken(void **state)
{
	const struct folder *f = *state;
	struct tr_store *s = open_store(f, TR_STORE_CREATE);
	sqlite3 *h = NULL;

	assert_int_equal(sqlite3_open(f->db, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	REFUSED(tr_store_begin(s, err), TR_E_BUSY, "another program");
	assert_int_equal(sqlite3_exec(h, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
	OK(tr_store_probe(s, err));
	(void)tr_store_free(s);
}

/* --- the disk --- */

static void every_commit_is_synced_before_it_is_told(void **state)
{
	const struct folder *f = *state;
	struct tr_store *s = open_store(f, TR_STORE_CREATE);

	for (unsigned i = 0; i < 10; i++) {
		unsigned before = syncs;
		struct tr_setting_row a = setting("a", i % 2 ? "x" : "y");

		OK(apply_alone(s, TR_OP_PUT, TR_T_SETTING, &a, err));
		assert_true(syncs > before);
	}
	(void)tr_store_free(s);
}

static void a_commit_that_cannot_be_synced_fails(void **state)
{
	const struct folder *f = *state;
	struct tr_store *s = open_store(f, TR_STORE_CREATE);
	struct tr_setting_row a = setting("a", "1");

	sync_fails = true;
	REFUSED(apply_alone(s, TR_OP_PUT, TR_T_SETTING, &a, err), TR_E_UNAVAIL, "disk failed");
	sync_fails = false;
	assert_int_equal(count_rows(s, TR_T_SETTING), 0);
	OK(apply_alone(s, TR_OP_PUT, TR_T_SETTING, &a, err));
	(void)tr_store_free(s);
}

/* What the sandbox of the role relies on. */
static void nothing_is_opened_after_open(void **state)
{
	const struct folder *f = *state;
	struct tr_store *s, *twin;
	sqlite3_vfs *vfs;
	static struct filled row;

	assert_int_equal(sqlite3_initialize(), SQLITE_OK);
	vfs = sqlite3_vfs_find(NULL);
	real_open = (int (*)(const char *, int, int))vfs->xGetSystemCall(vfs, "open");
	assert_int_equal(vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)counting_open), SQLITE_OK);
	make_store(f, 1000); /* the log is gone again at the close: both find a closed store */
	s = open_store(f, TR_STORE_RW);
	twin = open_store(f, TR_STORE_RO);
	assert_true(opens > 0);
	opens = 0;
	for (unsigned batch = 0; batch < 5; batch++) {
		OK(tr_store_begin(s, err));
		/* Pages that were there before can be undone: SQLite keeps them for that, in memory as we asked. */
		OK(tr_store_savepoint(s, err));
		for (unsigned i = 0; i < 1000; i++) {
			fill(&row, &tr_agent_def, i, FILL_SOME);
			row.row.agent.epoch += batch;
			OK(tr_store_apply(s, TR_OP_PUT, TR_T_AGENT, &row.row, err));
		}
		for (unsigned i = 0; i < 300; i++) {
			fill(&row, &tr_attestation_def, i, FILL_MOST);
			OK(tr_store_savepoint(s, err));
			OK(tr_store_apply(s, TR_OP_APPEND, TR_T_ATTESTATION, &row.row, err));
			if (i % 2) {
				OK(tr_store_release(s, err));
			} else {
				tr_store_rollback_savepoint(s);
			}
		}
		OK(tr_store_release(s, err));
		fill(&row, &tr_seen_def, 1, FILL_MOST);
		OK(tr_store_apply(s, TR_OP_EXPIRE, TR_T_SEEN, &row.row, err));
		OK(tr_store_commit(s, err)); /* a checkpoint every time: 4 MiB */
		assert_int_equal(count_rows(twin, TR_T_ATTESTATION), 150 * (batch + 1));
		assert_int_equal(count_rows(twin, TR_T_AGENT), 1000);
	}
	assert_int_equal(opens, 0);
	(void)vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)real_open);
	(void)tr_store_free(twin);
	(void)tr_store_free(s);
}

/* Fills the disk in transactions, then makes room: refused meanwhile, fine afterwards, nothing lost or half there. */
static void fill_and_free(struct tr_store *s, void (*make_room)(void *), void *arg)
{
	static struct filled row;
	struct tr_err e = { 0 };
	enum tr_code rc = TR_OK;
	unsigned committed = 0, i;

	for (i = 0; i < 2000 && !rc; i++) {
		struct tr_setting_row mark = setting("mark", tr_fmt("%u", i));

		rc = tr_store_begin(s, &e);
		if (!rc)
			rc = tr_store_savepoint(s, &e);
		fill(&row, &tr_attestation_def, i, FILL_MOST);
		if (!rc)
			rc = tr_store_apply(s, TR_OP_APPEND, TR_T_ATTESTATION, &row.row, &e);
		if (!rc)
			rc = tr_store_apply(s, TR_OP_PUT, TR_T_SETTING, &mark, &e);
		if (!rc)
			rc = tr_store_release(s, &e);
		if (!rc)
			rc = tr_store_commit(s, &e);
		else
			tr_store_rollback(s);
		committed += rc == TR_OK;
	}
	if (rc != TR_E_UNAVAIL || !strstr(e.pub, "disk"))
		(void)fprintf(stderr, "disk full: %s, %s (%s)\n", tr_code_name(rc), e.pub, e.detail);
	MUST(rc == TR_E_UNAVAIL && strstr(e.pub, "disk"));
	MUST(committed > 0);
	/* Small writes may still fit; what counts is that the answer is honest and reading goes on. */
	for (i = 0; i < 50; i++) {
		rc = tr_store_begin(s, &e);
		if (!rc)
			rc = tr_store_apply(s, TR_OP_APPEND, TR_T_ATTESTATION, &row.row, &e);
		if (!rc)
			rc = tr_store_commit(s, &e);
		else
			tr_store_rollback(s);
		MUST(rc == TR_OK || rc == TR_E_UNAVAIL);
		committed += rc == TR_OK;
	}
	i = 0;
	MUST_OK(tr_store_each(s, TR_T_ATTESTATION, count_row, &i, err));
	MUST(i == committed);
	make_room(arg);
	MUST_OK(tr_store_probe(s, err));
	MUST_OK(apply_alone(s, TR_OP_APPEND, TR_T_ATTESTATION, &row.row, err));
	i = 0;
	MUST_OK(tr_store_each(s, TR_T_ATTESTATION, count_row, &i, err));
	MUST(i == committed + 1);
}

static void lift_limit(void *arg)
{
	struct rlimit l;

	(void)arg;
	MUST(getrlimit(RLIMIT_FSIZE, &l) == 0);
	l.rlim_cur = l.rlim_max;
	MUST(setrlimit(RLIMIT_FSIZE, &l) == 0);
}

static void file_size_body(const struct folder *f)
{
	struct rlimit l;
	struct tr_store *s = NULL;

	(void)signal(SIGXFSZ, SIG_IGN);
	MUST_OK(tr_store_open(f->location, TR_STORE_CREATE, &s, err));
	MUST(getrlimit(RLIMIT_FSIZE, &l) == 0);
	l.rlim_cur = 1 << 20;
	MUST(setrlimit(RLIMIT_FSIZE, &l) == 0);
	fill_and_free(s, lift_limit, NULL);
	(void)tr_store_free(s);
}

static void a_file_that_may_not_grow_is_unavailable(void **state)
{
	in_child(file_size_body, *state);
}

static void remove_ballast(void *arg)
{
	MUST(unlink(arg) == 0);
}

static void small_disk_body(const struct folder *f)
{
	/* More than what fills the rest: folding the log into the file needs its size once more. */
	char ballast[128];
	static uint8_t zeros[3 << 20];
	struct tr_store *s = NULL;

	/* An own mount name space: the disk goes with the child. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", f->path, "tmpfs", 0, "size=5m")) {
		(void)fprintf(stderr, "SKIP: no own mounts here, the small disk is not tried\n");
		return;
	}
	(void)snprintf(ballast, sizeof(ballast), "%s/ballast", f->path);
	overwrite(ballast, 0, zeros, sizeof(zeros));
	MUST_OK(tr_store_open(f->location, TR_STORE_CREATE, &s, err));
	fill_and_free(s, remove_ballast, ballast);
	s = tr_store_free(s);
	MUST_OK(tr_store_open(f->location, TR_STORE_RW, &s, err));
	s = tr_store_free(s);
	/* Then the whole file system turns read-only, as it does after an I/O error. */
	MUST(mount(NULL, f->path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
	MUST_REFUSE(tr_store_open(f->location, TR_STORE_RW, &s, err), TR_E_UNAVAIL, "writ");
}

static void a_full_and_a_read_only_disk_are_unavailable(void **state)
{
	in_child(small_disk_body, *state);
}

static void drop_root(const struct folder *f)
{
	char path[128];

	if (geteuid() != 0)
		return;
	(void)snprintf(path, sizeof(path), "%s.lock", f->db);
	MUST(chown(f->path, 65534, 65534) == 0);
	MUST(chown(f->db, 65534, 65534) == 0);
	MUST(chown(path, 65534, 65534) == 0);
	MUST(setresgid(65534, 65534, 65534) == 0);
	MUST(setresuid(65534, 65534, 65534) == 0);
}

static void read_only_body(const struct folder *f)
{
	struct tr_store *s = NULL;

	drop_root(f);
	MUST(chmod(f->db, 0400) == 0);
	MUST_REFUSE(tr_store_open(f->location, TR_STORE_RW, &s, err), TR_E_UNAVAIL, "cannot be written");
	MUST(chmod(f->db, 0600) == 0);
	MUST(chmod(f->path, 0500) == 0);
	/* The lock file is there and can be opened; the log cannot be made. */
	MUST_REFUSE(tr_store_open(f->location, TR_STORE_RW, &s, err), TR_E_UNAVAIL, "folder");
	MUST(chmod(f->path, 0700) == 0);
	MUST(unlink(tr_fmt("%s.lock", f->db)) == 0);
	MUST(chmod(f->path, 0500) == 0);
	MUST_REFUSE(tr_store_open(f->location, TR_STORE_RW, &s, err), TR_E_UNAVAIL, "folder");
	MUST(chmod(f->db, 0000) == 0);
	MUST_REFUSE(tr_store_open(f->location, TR_STORE_RO, &s, err), TR_E_UNAVAIL, "check");
	MUST(chmod(f->db, 0600) == 0);
	MUST(chmod(f->path, 0700) == 0);
	MUST_OK(tr_store_open(f->location, TR_STORE_RW, &s, err));
	(void)tr_store_free(s);
}

static void a_read_only_file_or_folder_is_told_at_open(void **state)
{
	make_store(*state, 1);
	in_child(read_only_body, *state);
}

/* --- death --- */

enum { BATCH = 5 };

/* Transactions of BATCH rows and one audit line; after each commit its number goes to the pipe. */
static void write_until_killed(const struct folder *f, unsigned start, int to)
{
	struct tr_store *s = NULL;

	MUST_OK(tr_store_open(f->location, TR_STORE_RW, &s, err));
	for (unsigned tx = start;; tx++) {
		struct tr_audit_row line = { .object = TR_VIEW_LIT("tx"), .time = tx };

		MUST_OK(tr_store_begin(s, err));
		for (unsigned k = 0; k < BATCH; k++) {
			uint8_t digest[8] = { (uint8_t)(tx >> 24), (uint8_t)(tx >> 16), (uint8_t)(tx >> 8),
					      (uint8_t)tx, (uint8_t)k };
			struct tr_seen_row row = { .digest = TR_VIEW_ARRAY(digest), .expires_at = tx };

			MUST_OK(tr_store_apply(s, TR_OP_INSERT, TR_T_SEEN, &row, err));
		}
		MUST_OK(tr_store_apply(s, TR_OP_APPEND, TR_T_AUDIT, &line, err));
		MUST_OK(tr_store_commit(s, err));
		MUST(write(to, &tx, sizeof(tx)) == sizeof(tx));
	}
}

struct tally {
	unsigned rows;
	int64_t last;
};

static bool whole_batches(void *arg, const void *row)
{
	struct tally *t = arg;
	const struct tr_seen_row *r = row;

	/* Keys come in order: every transaction is there with all its rows, and none is missing in between. */
	assert_int_equal(r->expires_at, t->rows / BATCH);
	t->rows++;
	t->last = r->expires_at;
	return true;
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
	const struct folder *f = *state;
	unsigned next = 0, acknowledged = 0, rounds = getenv("TROTH_LONG") ? 2000 : 100;

	make_store(f, 1);
	srandom(7);
	for (unsigned round = 0; round < rounds; round++) {
		struct tally seen = { .last = -1 };
		struct tr_store *s;
		int pipes[2], status = 0;
		unsigned tx;
		pid_t pid;

		assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
		(void)fflush(NULL);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			write_until_killed(f, next, pipes[1]);
		(void)close(pipes[1]);
		/* The first answer, then some moment after it, most often inside a transaction. */
		(void)poll(&(struct pollfd){ .fd = pipes[0], .events = POLLIN }, 1, 5000);
		(void)usleep((useconds_t)(random() % 4000));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		while (read(pipes[0], &tx, sizeof(tx)) == sizeof(tx))
			acknowledged = tx + 1;
		(void)close(pipes[0]);

		s = open_store(f, TR_STORE_RW);
		OK(tr_store_each(s, TR_T_SEEN, whole_batches, &seen, err));
		assert_int_equal(seen.rows % BATCH, 0);
		next = seen.rows / BATCH;
		assert_true(next >= acknowledged); /* nothing lost */
		assert_true(next <= acknowledged + 1); /* at most the one whose answer died with the child */
		assert_int_equal(count_rows(s, TR_T_AUDIT), next);
		(void)tr_store_free(s);
	}
	print_message("%u transactions, %u kills\n", next, rounds);
	assert_true(next >= rounds);
}

/* --- a database that fails at every step --- */

static TR_RC workload(struct tr_store *s, struct tr_err *err)
{
	struct tr_setting_row a = setting("a", "1"), b = setting("b", "2"), old = setting("old", "");
	struct tr_setting_row undone = setting("undone", "3");
	struct tr_audit_row line = { .object = TR_VIEW_LIT("o") };
	enum tr_code rc = tr_store_begin(s, err);

	if (!rc)
		rc = tr_store_apply(s, TR_OP_INSERT, TR_T_SETTING, &a, err);
	if (!rc)
		rc = tr_store_savepoint(s, err);
	if (!rc)
		rc = tr_store_apply(s, TR_OP_PUT, TR_T_SETTING, &b, err);
	if (!rc)
		rc = tr_store_release(s, err);
	if (!rc)
		rc = tr_store_savepoint(s, err);
	if (!rc)
		rc = tr_store_apply(s, TR_OP_PUT, TR_T_SETTING, &undone, err);
	if (!rc) {
		/* Cannot tell that it failed; then the next step must. */
		tr_store_rollback_savepoint(s);
		rc = tr_store_apply(s, TR_OP_APPEND, TR_T_AUDIT, &line, err);
	}
	if (!rc)
		rc = tr_store_apply(s, TR_OP_DELETE, TR_T_SETTING, &old, err);
	if (!rc)
		return tr_store_commit(s, err);
	tr_store_rollback(s);
	return rc;
}

/* Opens a fresh store through the failing wrapper and works; true when the n-th call was never reached. */
static bool survive(const struct folder *f, uint64_t fail_at, bool lasting)
{
	struct tr_db *db = NULL;
	struct tr_store *s = NULL;
	struct tr_err e = { 0 };
	enum tr_code rc;
	uint64_t calls = 0;
	unsigned settings, lines;
	bool opened;

	OK(tr_db_open(f->location, TR_STORE_CREATE, &db, err));
	db = tr_db_faulty_new(db, fail_at, lasting);
	rc = tr_store_open_db(db, TR_STORE_CREATE, &s, &e);
	opened = rc == TR_OK;
	if (opened)
		rc = workload(s, &e);
	if (opened)
		calls = tr_db_faulty_calls(db);
	(void)tr_store_free(s);
	/* Not the fault itself after a savepoint that could not be undone: the spoilt transaction speaks then. */
	if (rc)
		assert_true(rc == TR_E_UNAVAIL || rc == TR_E_INTERNAL);
	s = open_store(f, TR_STORE_CREATE);
	settings = count_rows(s, TR_T_SETTING);
	lines = count_rows(s, TR_T_AUDIT);
	/* All of it when it was acknowledged, else nothing. */
	assert_int_equal(settings, rc ? 0 : 2);
	assert_int_equal(lines, rc ? 0 : 1);
	(void)tr_store_free(s);
	return rc == TR_OK && opened && calls < fail_at;
}

static void a_failure_at_any_call_leaves_all_or_nothing(void **state)
{
	const struct folder *f = *state;

	for (int lasting = 0; lasting <= 1; lasting++) {
		uint64_t n = 1;

		for (bool done = false; !done; n++) {
			(void)unlink(f->db);
			done = survive(f, n, lasting);
			assert_true(n < 1000);
		}
		assert_true(n > 50);
	}
}

/* After a failure that passes, the same connection works on. */
static void the_same_store_works_after_a_failure(void **state)
{
	const struct folder *f = *state;

	bool failed = true;
	uint64_t n;

	for (n = 1; failed; n++) {
		struct tr_db *db = NULL;
		struct tr_store *s = NULL;
		struct tr_err e = { 0 };
		uint64_t opening;

		(void)unlink(f->db);
		(void)tr_store_free(open_store(f, TR_STORE_CREATE));
		OK(tr_db_open(f->location, TR_STORE_RW, &db, err));
		db = tr_db_faulty_new(db, 0, false);
		OK(tr_store_open_db(db, TR_STORE_RW, &s, err));
		opening = tr_db_faulty_calls(db);
		(void)tr_store_free(s);
		OK(tr_db_open(f->location, TR_STORE_RW, &db, err));
		OK(tr_store_open_db(tr_db_faulty_new(db, opening + n, false), TR_STORE_RW, &s, err));
		failed = workload(s, &e) != TR_OK;
		if (failed) {
			OK(workload(s, err));
			assert_int_equal(count_rows(s, TR_T_SETTING), 2);
			assert_int_equal(count_rows(s, TR_T_AUDIT), 1);
		}
		(void)tr_store_free(s);
	}
	assert_true(n > 20);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(bad_locations_say_what_is_wrong),
		CASE(files_are_for_the_owner_only),
		CASE(an_empty_file_is_no_store_until_created),
		CASE(what_is_no_database_is_refused),
		CASE(somebody_elses_database_is_left_alone),
		CASE(the_file_names_its_owner_and_keeps_a_log),
		CASE(a_damaged_file_says_restore_from_a_backup),
		CASE(a_cut_file_says_restore_from_a_backup),
		CASE(a_destroyed_beginning_says_restore_from_a_backup),
		CASE(flipped_bytes_never_crash),
		CASE(a_row_over_its_limit_is_damage),
		CASE(a_missing_table_or_column_is_told_at_open),
		CASE(a_newer_schema_is_refused),
		CASE(an_older_schema_is_migrated_by_a_writer_only),
		CASE(beats_move_into_pulses),
		CASE(a_migration_that_fails_changes_nothing),
		CASE(a_second_trothd_is_told_who_has_it),
		CASE(the_read_only_twin_sees_what_is_committed),
		CASE(a_shell_that_writes_makes_us_busy_not_broken),
		CASE(every_commit_is_synced_before_it_is_told),
		CASE(a_commit_that_cannot_be_synced_fails),
		CASE(nothing_is_opened_after_open),
		CASE(a_file_that_may_not_grow_is_unavailable),
		CASE(a_full_and_a_read_only_disk_are_unavailable),
		CASE(a_read_only_file_or_folder_is_told_at_open),
		CASE(what_was_acknowledged_survives_kill_9),
		CASE(a_failure_at_any_call_leaves_all_or_nothing),
		CASE(the_same_store_works_after_a_failure),
	};

	return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
