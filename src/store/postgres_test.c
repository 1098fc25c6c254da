/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL when things go wrong: connections that end, other programs, bad texts, commits that nobody answers. */
#include "store/postgres_test.h"

struct ctx {
	struct folder f;
	struct tr_store *s;
};

static int set_up(void **state)
{
	struct ctx *c = calloc(1, sizeof(*c));

	pg_folder_make(&c->f);
	OK(tr_store_open(c->f.location, TR_STORE_CREATE, &c->s, err));
	*state = c;
	return 0;
}

static int tear_down(void **state)
{
	struct ctx *c = *state;

	(void)tr_store_free(c->s);
	pg_folder_remove(&c->f);
	free(c);
	return 0;
}

/* As the administrator does it; whatever the connection held is gone when this returns. Every program that tests has a
 * server of its own. */
static void end_connections(void)
{
	pg_shell("SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'trothd'");
}

static void come_back(struct tr_store *s, bool want_committed)
{
	bool committed = !want_committed;

	OK(tr_store_come_back(s, &committed, err));
	assert_int_equal(committed, want_committed);
	assert_int_equal(tr_store_link(s), TR_STORE_UP);
}

static void a_lost_connection_undoes_and_can_be_mended(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1"), b = setting("b", "2");
	bool committed;

	OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &a, err));
	REFUSED(tr_store_come_back(c->s, &committed, err), TR_E_INTERNAL, "bug"); /* it is not away */
	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &b, err));
	end_connections();
	REFUSED(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &b, err), TR_E_UNAVAIL, "connection to the database is lost");
	assert_int_equal(tr_store_link(c->s), TR_STORE_AWAY);
	tr_store_rollback(c->s);
	REFUSED(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &b, err), TR_E_UNAVAIL, "");
	REFUSED(tr_store_probe(c->s, err), TR_E_UNAVAIL, "");
	come_back(c->s, false);
	/* With the statements of before, prepared anew. */
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 1);
	OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &b, err));
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 2);
}

static bool stop_at_once(void *arg, const void *row)
{
	(void)row;
	++*(unsigned *)arg;
	end_connections();
	return true;
}

static void a_connection_lost_while_reading_is_told(void **state)
{
	struct ctx *c = *state;
	unsigned n = 0;
	static char value[16000];

	memset(value, 'x', sizeof(value));
	OK(tr_store_begin(c->s, err));
	for (int i = 0; i < 400; i++) {
		char name[16];
		struct tr_setting_row r;

		(void)snprintf(name, sizeof(name), "n%d", i);
		r = (struct tr_setting_row){ .name = tr_view_str(name), .value = TR_VIEW_ARRAY(value) };
		OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &r, err));
	}
	OK(tr_store_commit(c->s, err));
	/* More than what is on its way already. */
	REFUSED(tr_store_each(c->s, TR_T_SETTING, stop_at_once, &n, err), TR_E_UNAVAIL, "lost");
	assert_in_range(n, 1, 399);
	come_back(c->s, false);
	n = 0;
	OK(tr_store_each(c->s, TR_T_SETTING, count_row, &n, err));
	assert_int_equal(n, 400);
}

/* The server itself ends the connection in the middle of the commit, before it is done. */
static void a_commit_that_broke_is_asked_about(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1"), b = setting("b", "1");
	char sql[1024], schema[32];

	(void)snprintf(schema, sizeof(schema), "test_%ld", (long)getpid());
	(void)snprintf(sql, sizeof(sql),
		       "SET search_path = %s;"
		       "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
		       "pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$;"
		       "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON settings DEFERRABLE INITIALLY DEFERRED "
		       "FOR EACH ROW EXECUTE FUNCTION die()",
		       schema);
	pg_shell(sql);
	REFUSED(apply_alone(c->s, TR_OP_INSERT, TR_T_SETTING, &a, err), TR_E_UNAVAIL, "broke while it stored");
	assert_int_equal(tr_store_link(c->s), TR_STORE_IN_DOUBT);
	REFUSED(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &b, err), TR_E_UNAVAIL, "");
	assert_int_equal(tr_store_link(c->s), TR_STORE_IN_DOUBT);
	come_back(c->s, false);
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 0);
	(void)snprintf(sql, sizeof(sql), "SET search_path = %s; DROP TRIGGER at_commit ON settings", schema);
	pg_shell(sql);
	OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &b, err));
}

static void another_writer_makes_us_busy_not_broken(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1"), b = setting("b", "1");
	struct tr_store *other = NULL;

	OK(tr_store_open(c->f.location, TR_STORE_RW, &other, err));
	OK(tr_store_begin(other, err));
	OK(tr_store_apply(other, TR_OP_PUT, TR_T_SETTING, &a, err));
	REFUSED(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &b, err), TR_E_BUSY, "another program is writing");
	assert_int_equal(tr_store_link(c->s), TR_STORE_UP);
	OK(tr_store_commit(other, err));
	OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &b, err));
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 2);
	(void)tr_store_free(other);
}

static void what_is_not_utf8_harms_nobody_else(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row good = setting("a", "1"), bad = setting("b", "\xff\xfe");

	OK(tr_store_begin(c->s, err));
	OK(tr_store_savepoint(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &good, err));
	OK(tr_store_release(c->s, err));
	OK(tr_store_savepoint(c->s, err));
	REFUSED(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &bad, err), TR_E_INVALID, "UTF-8");
	tr_store_rollback_savepoint(c->s);
	OK(tr_store_commit(c->s, err));
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 1);
}

/* Not our word alone: the server holds the twin to it. */
static void the_readers_connection_cannot_write(void **state)
{
	struct ctx *c = *state;
	struct tr_db *db = NULL;

	(void)c;
	OK(tr_db_open(c->f.location, TR_STORE_RO, &db, err));
	REFUSED(db->ops->exec(db, "DELETE FROM agents", err), TR_E_UNAVAIL, "read-only");
	(void)tr_db_close(db);
}

static void a_commit_is_durable_whatever_the_server_is_set_to(void **state)
{
	struct ctx *c = *state;
	struct tr_db *db = NULL;
	struct tr_stmt *st = NULL;
	struct tr_view v;
	bool row = false;
	char location[sizeof(c->f.location) + 64];

	(void)snprintf(location, sizeof(location), "%s%%20-csynchronous_commit%%3Doff", c->f.location);
	OK(tr_db_open(location, TR_STORE_RW, &db, err));
	OK(db->ops->prepare(db, "SELECT current_setting('synchronous_commit')", &st, err));
	OK(db->ops->step(db, st, &row, err));
	OK(db->ops->col_text(db, st, 0, &v, err));
	assert_true(row && tr_view_is(v, "on"));
	db->ops->finish(db, st);
	(void)tr_db_close(db);
}

static void a_damaged_schema_is_told_at_open(void **state)
{
	struct ctx *c = *state;
	struct tr_store *s = NULL;
	char sql[160];

	(void)snprintf(sql, sizeof(sql), "ALTER TABLE test_%ld.agents RENAME COLUMN state TO statt", (long)getpid());
	pg_shell(sql);
	REFUSED(tr_store_open(c->f.location, TR_STORE_RW, &s, err), TR_E_INTERNAL, "refused a statement");
	assert_null(s);
	(void)snprintf(sql, sizeof(sql), "INSERT INTO test_%ld.schema_migrations VALUES (999, 'later')", (long)getpid());
	pg_shell(sql);
	REFUSED(tr_store_open(c->f.location, TR_STORE_RW, &s, err), TR_E_CONFLICT, "newer trothd");
}

/* Through the wrapper that fails at any one call: all of it when it was acknowledged, else nothing. */
static void a_failure_at_any_call_leaves_all_or_nothing(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1"), b = setting("b", "2");
	struct tr_audit_row line = { .object = TR_VIEW_LIT("o") };
	bool failed = true;
	uint64_t n;

	c->s = tr_store_free(c->s);
	for (n = 1; failed; n++) {
		struct tr_db *db = NULL;
		struct tr_store *s = NULL;
		struct tr_err e = { 0 };
		enum tr_code rc;

		OK(tr_db_open(c->f.location, TR_STORE_RW, &db, err));
		rc = tr_store_open_db(tr_db_faulty_new(db, n, false), TR_STORE_RW, &s, &e);
		failed = rc != TR_OK;
		if (!rc)
			rc = tr_store_begin(s, &e);
		if (!rc)
			rc = tr_store_apply(s, TR_OP_INSERT, TR_T_SETTING, &a, &e);
		if (!rc)
			rc = tr_store_apply(s, TR_OP_APPEND, TR_T_AUDIT, &line, &e);
		if (!rc)
			rc = tr_store_apply(s, TR_OP_INSERT, TR_T_SETTING, &b, &e);
		if (!rc)
			rc = tr_store_commit(s, &e);
		else if (s)
			tr_store_rollback(s);
		failed |= rc != TR_OK;
		(void)tr_store_free(s);
		OK(tr_store_open(c->f.location, TR_STORE_RW, &s, err));
		assert_int_equal(count_rows(s, TR_T_SETTING), failed ? 0 : 2);
		(void)tr_store_free(s);
	}
	assert_true(n > 40);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(a_lost_connection_undoes_and_can_be_mended),
		CASE(a_connection_lost_while_reading_is_told),
		CASE(a_commit_that_broke_is_asked_about),
		CASE(another_writer_makes_us_busy_not_broken),
		CASE(what_is_not_utf8_harms_nobody_else),
		CASE(the_readers_connection_cannot_write),
		CASE(a_commit_is_durable_whatever_the_server_is_set_to),
		CASE(a_damaged_schema_is_told_at_open),
		CASE(a_failure_at_any_call_leaves_all_or_nothing),
	};

	if (!pg_given()) {
		print_message("skipped: postgresql: run it by script/with-postgres\n");
		return 0;
	}
	return cmocka_run_group_tests_name("postgresql", tests, NULL, NULL);
}
