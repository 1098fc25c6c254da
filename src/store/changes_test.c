/* SPDX-License-Identifier: Apache-2.0 */
/* The log of changes and the leases, as two nodes see them. They share one connection here, which is one thing less that
 * could tell them apart; the same over PostgreSQL is tests/e2e/test_two_nodes.py. */
#include "store/store_test.h"

#include "base/clock.h"
#include "store/changes.h"

struct ctx {
	struct folder f;
	struct tr_store *s;
	struct tr_changes *a, *b;
};

static int set_up(void **state)
{
	struct ctx *c = calloc(1, sizeof(*c));

	folder_make(&c->f);
	OK(tr_store_open(c->f.location, TR_STORE_CREATE, &c->s, err));
	OK(tr_changes_new(c->s, "aaaa", &c->a, err));
	OK(tr_changes_new(c->s, "bbbb", &c->b, err));
	*state = c;
	return 0;
}

static int tear_down(void **state)
{
	struct ctx *c = *state;

	c->a = tr_changes_free(c->a);
	c->b = tr_changes_free(c->b);
	c->s = tr_store_free(c->s);
	folder_remove(&c->f);
	free(c);
	return 0;
}

/* What a reader was told, as text. */
struct heard {
	char text[2000];
	size_t n;
};

static void hear(void *arg, enum tr_op op, enum tr_table t, const void *row)
{
	struct heard *h = arg;
	struct tr_view key;

	memcpy(&key, (const uint8_t *)row + tr_table_def(t)->fields[0].off, sizeof(key));
	h->n++;
	(void)snprintf(h->text + strlen(h->text), sizeof(h->text) - strlen(h->text), "%s%s:%d:%.*s", *h->text ? " " : "",
		       op == TR_OP_PUT ? "put" : op == TR_OP_DELETE ? "del" : "tell", (int)t, TR_VIEW_FMT(key));
	if (op == TR_OP_PUT && t == TR_T_SETTING) {
		const struct tr_setting_row *s = row;

		(void)snprintf(h->text + strlen(h->text), sizeof(h->text) - strlen(h->text), "=%.*s", TR_VIEW_FMT(s->value));
	}
}

static struct tr_setting_row setting_of(const char *name, const char *value)
{
	return (struct tr_setting_row){ .name = tr_view_str(name), .value = tr_view_str(value), .updated_by = TR_VIEW_LIT("x") };
}

/* One node's transaction; what it read at its beginning is told through h, which may be NULL. */
static void put(struct ctx *c, struct tr_changes *by, const char *name, const char *value, struct heard *h)
{
	struct tr_setting_row row = setting_of(name, value);
	struct heard unused = { .n = 0 };

	OK(tr_store_begin(c->s, err));
	OK(tr_changes_read(by, hear, h ? h : &unused, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &row, err));
	tr_changes_note(by, TR_OP_PUT, TR_T_SETTING, &row);
	OK(tr_changes_log(by, err));
	OK(tr_store_commit(c->s, err));
	tr_changes_ended(by, true);
}

static void expect_heard(struct tr_changes *by, const char *text)
{
	struct heard h = { .n = 0 };

	OK(tr_changes_read(by, hear, &h, err));
	assert_string_equal(h.text, text);
}

static void others_hear_and_the_doer_does_not(void **state)
{
	struct ctx *c = *state;

	put(c, c->a, "x", "1", NULL);
	expect_heard(c->a, "");
	expect_heard(c->b, "put:5:x=1");
	expect_heard(c->b, "");
	put(c, c->b, "y", "2", NULL);
	expect_heard(c->a, "put:5:y=2");
	assert_true(tr_changes_generation(c->a) > tr_changes_generation(c->b));
}

/* The row as it is now, also when it changed twice. */
static void rows_are_read_as_they_are_now(void **state)
{
	struct ctx *c = *state;

	put(c, c->a, "x", "1", NULL);
	put(c, c->a, "x", "2", NULL);
	expect_heard(c->b, "put:5:x=2 put:5:x=2");
}

static void what_is_gone_is_told_as_deleted(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row row = setting_of("x", "");

	put(c, c->a, "x", "1", NULL);
	expect_heard(c->b, "put:5:x=1");
	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_DELETE, TR_T_SETTING, &row, err));
	tr_changes_note(c->a, TR_OP_DELETE, TR_T_SETTING, &row);
	OK(tr_changes_log(c->a, err));
	OK(tr_store_commit(c->s, err));
	tr_changes_ended(c->a, true);
	expect_heard(c->b, "del:5:x");
}

static void a_word_is_passed_on_in_its_place(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row row = setting_of("x", "1");
	const struct tr_pulse_row word = { .id = TR_VIEW_LIT("web-1"), .expected_until = 77 };

	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &row, err));
	tr_changes_note(c->a, TR_OP_PUT, TR_T_SETTING, &row);
	tr_changes_note(c->a, TR_OP_TELL, TR_T_PULSE, &word);
	row.name = TR_VIEW_LIT("y");
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &row, err));
	tr_changes_note(c->a, TR_OP_PUT, TR_T_SETTING, &row);
	OK(tr_changes_log(c->a, err));
	OK(tr_store_commit(c->s, err));
	tr_changes_ended(c->a, true);
	expect_heard(c->b, "put:5:x=1 tell:10:web-1 put:5:y=1");
}

static void what_a_savepoint_undid_is_not_told(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row row = setting_of("x", "1");
	size_t mark;

	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &row, err));
	tr_changes_note(c->a, TR_OP_PUT, TR_T_SETTING, &row);
	mark = tr_changes_mark(c->a);
	row.name = TR_VIEW_LIT("y");
	tr_changes_note(c->a, TR_OP_PUT, TR_T_SETTING, &row);
	tr_changes_back(c->a, mark);
	OK(tr_changes_log(c->a, err));
	OK(tr_store_commit(c->s, err));
	tr_changes_ended(c->a, true);
	expect_heard(c->b, "put:5:x=1");
	/* Nor what a rollback did, also by the next transaction. */
	OK(tr_store_begin(c->s, err));
	tr_changes_note(c->a, TR_OP_PUT, TR_T_SETTING, &row);
	OK(tr_changes_log(c->a, err));
	tr_store_rollback(c->s);
	tr_changes_ended(c->a, false);
	put(c, c->a, "z", "1", NULL);
	expect_heard(c->b, "put:5:z=1");
}

/* More than one entry holds, and more keys of a table than one question asks for. */
static void long_transactions_arrive_whole(void **state)
{
	struct ctx *c = *state;
	char name[64];
	struct heard h = { .n = 0 };

	OK(tr_store_begin(c->s, err));
	for (unsigned i = 0; i < 5000; i++) {
		struct tr_setting_row row;

		(void)snprintf(name, sizeof(name), "setting-with-a-long-name-to-fill-the-entry-%05u", i);
		row = setting_of(name, "1");
		if (i < 70)
			OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &row, err));
		tr_changes_note(c->a, TR_OP_PUT, TR_T_SETTING, &row);
	}
	OK(tr_changes_log(c->a, err));
	OK(tr_store_commit(c->s, err));
	tr_changes_ended(c->a, true);
	OK(tr_changes_read(c->b, hear, &h, err));
	assert_int_equal(h.n, 5000);
	assert_non_null(strstr(h.text, "put:5:setting-with-a-long-name-to-fill-the-entry-00031=1"));
}

static void clashes(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row x = setting_of("x", "1"), y = setting_of("y", "1");
	struct tr_pulse_row pulse = { .id = TR_VIEW_LIT("x") };
	struct heard h = { .n = 0 };
	uint64_t before = tr_changes_generation(c->b);

	put(c, c->a, "x", "1", NULL);
	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_PULSE, &pulse, err));
	tr_changes_note(c->a, TR_OP_PUT, TR_T_PULSE, &pulse);
	OK(tr_changes_log(c->a, err));
	OK(tr_store_commit(c->s, err));
	tr_changes_ended(c->a, true);
	OK(tr_changes_read(c->b, hear, &h, err));
	/* Made before core heard of it: not for the same row, for another one yes. */
	assert_int_equal(tr_changes_clash(c->b, TR_OP_PUT, TR_T_SETTING, &x, before), TR_CLASH_BUSY);
	assert_int_equal(tr_changes_clash(c->b, TR_OP_DELETE, TR_T_SETTING, &x, before), TR_CLASH_BUSY);
	assert_int_equal(tr_changes_clash(c->b, TR_OP_PUT, TR_T_SETTING, &y, before), TR_CLASH_NONE);
	assert_int_equal(tr_changes_clash(c->b, TR_OP_PUT, TR_T_PULSE, &pulse, before), TR_CLASH_SKIP);
	/* The database itself refuses a second insert. */
	assert_int_equal(tr_changes_clash(c->b, TR_OP_INSERT, TR_T_SETTING, &x, before), TR_CLASH_NONE);
	assert_int_equal(tr_changes_clash(c->b, TR_OP_PUT, TR_T_SETTING, &x, tr_changes_generation(c->b)), TR_CLASH_NONE);
	/* Its own changes are none of its clashes; without a log there is none. */
	assert_int_equal(tr_changes_clash(c->a, TR_OP_PUT, TR_T_SETTING, &x, before), TR_CLASH_NONE);
	assert_int_equal(tr_changes_clash(NULL, TR_OP_PUT, TR_T_SETTING, &x, 0), TR_CLASH_NONE);
}

/* Two uses of a token that has one: whoever comes second reads the first one's row under the writers' lock. */
static void no_update_is_lost(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row x = setting_of("x", "b");
	uint64_t made = tr_changes_generation(c->b);
	struct heard h = { .n = 0 };

	put(c, c->a, "x", "a", NULL);
	OK(tr_store_begin(c->s, err));
	OK(tr_changes_read(c->b, hear, &h, err));
	assert_string_equal(h.text, "put:5:x=a");
	assert_int_equal(tr_changes_clash(c->b, TR_OP_PUT, TR_T_SETTING, &x, made), TR_CLASH_BUSY);
	tr_store_rollback(c->s);
}

static void many_rows_are_remembered(void **state)
{
	struct ctx *c = *state;
	char name[32];
	struct tr_setting_row row;
	struct heard h = { .n = 0 };
	uint64_t before = tr_changes_generation(c->b);

	OK(tr_store_begin(c->s, err));
	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "s%u", i);
		row = setting_of(name, "1");
		tr_changes_note(c->a, TR_OP_DELETE, TR_T_SETTING, &row);
	}
	OK(tr_changes_log(c->a, err));
	OK(tr_store_commit(c->s, err));
	tr_changes_ended(c->a, true);
	OK(tr_changes_read(c->b, hear, &h, err));
	for (unsigned i = 0; i < 6000; i++) {
		(void)snprintf(name, sizeof(name), "s%u", i);
		row = setting_of(name, "1");
		assert_int_equal(tr_changes_clash(c->b, TR_OP_PUT, TR_T_SETTING, &row, before),
				 i < 3000 ? TR_CLASH_BUSY : TR_CLASH_NONE);
	}
}

static void sql(struct ctx *c, const char *text)
{
	struct tr_db *db = tr_store_db(c->s);

	OK(db->ops->exec(db, text, err));
}

static int64_t asked(struct ctx *c, const char *text)
{
	struct tr_db *db = tr_store_db(c->s);
	struct tr_stmt *st = NULL;
	int64_t v = -1;

	OK(db->ops->prepare(db, text, &st, err));
	OK(tr_db_run(db, st, &v, err));
	db->ops->finish(db, st);
	return v;
}

static void one_holds(void **state)
{
	struct ctx *c = *state;
	struct tr_lease a = { 0 }, b = { 0 };

	OK(tr_changes_lease(c->a, &a, err));
	OK(tr_changes_lease(c->b, &b, err));
	assert_true(a.until > 0);
	assert_int_equal(b.until, 0);
	assert_int_equal(b.nodes, 2);
	OK(tr_changes_lease(c->a, &a, err));
	assert_true(a.until > 0);
	/* Not a millisecond before it ends by the database's clock. */
	sql(c, "UPDATE leases SET until = until - 14000 WHERE name = 'holder'");
	OK(tr_changes_lease(c->b, &b, err));
	assert_int_equal(b.until, 0);
	sql(c, "UPDATE leases SET until = until - 2000 WHERE name = 'holder'");
	OK(tr_changes_lease(c->b, &b, err));
	assert_true(b.until > 0);
	OK(tr_changes_lease(c->a, &a, err));
	assert_int_equal(a.until, 0);
	/* Who leaves in good order makes room at once. */
	tr_changes_leave(c->b);
	OK(tr_changes_lease(c->a, &a, err));
	assert_true(a.until > 0);
	assert_int_equal(a.nodes, 1);
}

/* A node believes in its lease for less than the database does. */
static void a_lease_ends_here_before_it_ends_there(void **state)
{
	struct ctx *c = *state;
	struct tr_lease l = { 0 };
	uint64_t before, after;

	before = tr_mono_ms();
	OK(tr_changes_lease(c->a, &l, err));
	after = tr_mono_ms();
	assert_in_range(l.until, before + TR_LEASE_MS - TR_LEASE_MARGIN_MS, after + TR_LEASE_MS - TR_LEASE_MARGIN_MS);
}

/* The holder cuts off what is older than an hour, says how far, and forgets nodes that are long gone. */
static void the_log_does_not_grow_for_ever(void **state)
{
	struct ctx *c = *state;
	struct tr_lease l = { 0 };
	struct heard h = { .n = 0 };

	put(c, c->a, "x", "1", NULL);
	put(c, c->a, "y", "1", NULL);
	sql(c, "UPDATE changes SET at = at - 3700000; INSERT INTO leases VALUES ('node:gone', 'gone', 1)");
	put(c, c->a, "z", "1", NULL);
	OK(tr_changes_lease(c->b, &l, err));
	assert_true(l.until > 0);
	OK(tr_changes_read(c->b, hear, &h, err));
	assert_string_equal(h.text, "put:5:z=1");
	assert_int_equal(asked(c, "SELECT count(*) FROM changes"), 1);
	assert_int_equal(asked(c, "SELECT \"until\" FROM leases WHERE name = 'pruned'"), 2);
	assert_int_equal(asked(c, "SELECT count(*) FROM leases WHERE name = 'node:gone'"), 0);
	/* A node that starts now begins after what is gone. */
	sql(c, "DELETE FROM changes");
	c->a = tr_changes_free(c->a);
	OK(tr_changes_new(c->s, "cccc", &c->a, err));
	assert_int_equal(tr_changes_generation(c->a), 2);
}

static void damage_is_told(void **state)
{
	struct ctx *c = *state;
	struct heard h = { .n = 0 };

	sql(c, "INSERT INTO changes (node, at, keys) VALUES ('zzzz', 1, x'01')");
	REFUSED(tr_changes_read(c->a, hear, &h, err), TR_E_INTERNAL, "damaged");
	sql(c, "UPDATE changes SET keys = x'01ff0000'");
	REFUSED(tr_changes_read(c->a, hear, &h, err), TR_E_INTERNAL, "damaged");
}

static void sqlite_is_not_shared(void **state)
{
	struct ctx *c = *state;

	assert_false(tr_store_is_shared(c->s));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(others_hear_and_the_doer_does_not),
		CASE(rows_are_read_as_they_are_now),
		CASE(what_is_gone_is_told_as_deleted),
		CASE(a_word_is_passed_on_in_its_place),
		CASE(what_a_savepoint_undid_is_not_told),
		CASE(long_transactions_arrive_whole),
		CASE(clashes),
		CASE(no_update_is_lost),
		CASE(many_rows_are_remembered),
		CASE(one_holds),
		CASE(a_lease_ends_here_before_it_ends_there),
		CASE(the_log_does_not_grow_for_ever),
		CASE(damage_is_told),
		CASE(sqlite_is_not_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
