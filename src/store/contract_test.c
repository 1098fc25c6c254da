/* SPDX-License-Identifier: Apache-2.0 */
/* What every database must do, run over each of them. A new backend is one line in `backends`; a database server is one
 * that script/with-postgres starts. */
#include "store/postgres_test.h"

static struct tr_store *open_plain(const struct folder *f, enum tr_store_open_mode mode)
{
	struct tr_store *s = NULL;

	OK(tr_store_open(f->location, mode, &s, err));
	return s;
}

/* The wrapper that the fault tests rely on changes nothing while it does not fail. */
static struct tr_store *open_wrapped(const struct folder *f, enum tr_store_open_mode mode)
{
	struct tr_db *db = NULL;
	struct tr_store *s = NULL;

	OK(tr_db_open(f->location, mode, &db, err));
	OK(tr_store_open_db(tr_db_faulty_new(db, 0, false), mode, &s, err));
	return s;
}

static const struct backend {
	const char *name;
	struct tr_store *(*open)(const struct folder *f, enum tr_store_open_mode mode);
	void (*make)(struct folder *f);
	void (*remove)(const struct folder *f);
} backends[] = {
	{ "sqlite", open_plain, folder_make, folder_remove },
	{ "sqlite, wrapped", open_wrapped, folder_make, folder_remove },
	{ "postgresql", open_plain, pg_folder_make, pg_folder_remove },
	{ "postgresql, wrapped", open_wrapped, pg_folder_make, pg_folder_remove },
};

static const struct backend *backend;

struct ctx {
	struct folder f;
	struct tr_store *s;
};

static int set_up(void **state)
{
	struct ctx *c = calloc(1, sizeof(*c));

	backend->make(&c->f);
	c->s = backend->open(&c->f, TR_STORE_CREATE);
	*state = c;
	return 0;
}

static int tear_down(void **state)
{
	struct ctx *c = *state;

	(void)tr_store_free(c->s);
	backend->remove(&c->f);
	free(c);
	return 0;
}

static void reopen(struct ctx *c, enum tr_store_open_mode mode)
{
	c->s = tr_store_free(c->s);
	c->s = backend->open(&c->f, mode);
}

/* --- rows --- */

struct expected {
	const struct tr_record *def;
	const void *row;
	size_t from;
	unsigned hits;
};

static bool expect_row(void *arg, const void *row)
{
	struct expected *e = arg;

	assert_true(row_eq(e->def, row, e->row, e->from));
	e->hits++;
	return true;
}

static void every_field_of_every_table_comes_back(void **state)
{
	struct ctx *c = *state;
	static struct filled f;

	for (unsigned t = TR_T_AGENT; t < TR_T_N; t++) {
		const struct tr_record *def = tr_table_def((enum tr_table)t);
		bool appends = t == TR_T_AUDIT || t == TR_T_ATTESTATION || t == TR_T_EVENT ||
			       t == TR_T_VERDICT;

		for (unsigned how = FILL_SOME; how <= FILL_LEAST; how++) {
			struct expected e = { .def = def, .row = &f.row, .from = appends ? 1 : 0 };
			struct tr_list_query q = { .limit = 1 };

			fill(&f, def, how + 1, (enum fill)how);
			OK(apply_alone(c->s, appends ? TR_OP_APPEND : TR_OP_INSERT, (enum tr_table)t, &f.row, err));
			if (how == FILL_MOST)
				reopen(c, TR_STORE_RW);
			if (t == TR_T_COMMAND) /* those that are over are not loaded */
				q.id = f.row.command.id;
			if (appends) {
				OK(tr_store_list(c->s, (enum tr_table)t, &q, expect_row, &e, err));
			} else if (q.id.n) {
				OK(tr_store_list(c->s, (enum tr_table)t, &q, expect_row, &e, err));
				OK(apply_alone(c->s, TR_OP_DELETE, (enum tr_table)t, &f.row, err));
				OK(tr_store_list(c->s, (enum tr_table)t, &q, expect_row, &e, err));
			} else {
				OK(tr_store_each(c->s, (enum tr_table)t, expect_row, &e, err));
				OK(apply_alone(c->s, TR_OP_DELETE, (enum tr_table)t, &f.row, err));
				assert_int_equal(count_rows(c->s, (enum tr_table)t), 0);
			}
			assert_int_equal(e.hits, 1);
		}
	}
}

static void put_replaces_the_row_of_its_key(void **state)
{
	struct ctx *c = *state;
	static struct filled a, b;
	struct expected e = { .def = &tr_agent_def, .row = &b.row };

	fill(&a, &tr_agent_def, 1, FILL_SOME);
	fill(&b, &tr_agent_def, 2, FILL_MOST);
	b.row.agent.id = a.row.agent.id;
	OK(apply_alone(c->s, TR_OP_PUT, TR_T_AGENT, &a.row, err));
	OK(apply_alone(c->s, TR_OP_PUT, TR_T_AGENT, &b.row, err));
	OK(tr_store_each(c->s, TR_T_AGENT, expect_row, &e, err));
	assert_int_equal(e.hits, 1);
}

static void insert_of_a_taken_key_is_a_conflict(void **state)
{
	struct ctx *c = *state;
	static struct filled a, b;
	struct expected e = { .def = &tr_agent_def, .row = &a.row };

	fill(&a, &tr_agent_def, 1, FILL_SOME);
	fill(&b, &tr_agent_def, 2, FILL_SOME);
	b.row.agent.id = a.row.agent.id;
	OK(apply_alone(c->s, TR_OP_INSERT, TR_T_AGENT, &a.row, err));
	REFUSED(apply_alone(c->s, TR_OP_INSERT, TR_T_AGENT, &b.row, err), TR_E_CONFLICT, "already");
	OK(tr_store_each(c->s, TR_T_AGENT, expect_row, &e, err));
	assert_int_equal(e.hits, 1);
}

static void delete_of_nothing_is_fine(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1"), b = setting("b", "2");

	OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &a, err));
	OK(apply_alone(c->s, TR_OP_DELETE, TR_T_SETTING, &b, err));
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 1);
}

static void expire_takes_what_is_older_and_no_more(void **state)
{
	struct ctx *c = *state;
	struct tr_seen_row row = { .digest = TR_VIEW_LIT("x") };

	for (int i = 0; i < 10; i++) {
		uint8_t digest = (uint8_t)i;

		row = (struct tr_seen_row){ .digest = tr_view(&digest, 1), .expires_at = 1000 + i };
		OK(apply_alone(c->s, TR_OP_INSERT, TR_T_SEEN, &row, err));
	}
	row = (struct tr_seen_row){ .expires_at = 1004 };
	OK(apply_alone(c->s, TR_OP_EXPIRE, TR_T_SEEN, &row, err));
	assert_int_equal(count_rows(c->s, TR_T_SEEN), 6);
	OK(apply_alone(c->s, TR_OP_EXPIRE, TR_T_SEEN, &row, err));
	assert_int_equal(count_rows(c->s, TR_T_SEEN), 6);
}

static bool take_seq(void *arg, const void *row)
{
	char *text = arg;
	size_t n = strlen(text);

	/* seq is the first field of all three */
	(void)snprintf(text + n, 128 - n, "%llu ", (unsigned long long)((const struct tr_audit_row *)row)->seq);
	return true;
}

static void old_events_are_forgotten_and_numbers_never_return(void **state)
{
	struct ctx *c = *state;
	struct tr_list_query q = { .limit = 10 };
	struct tr_event_row row = { .kind = TR_VIEW_LIT("replay"), .agent = TR_VIEW_LIT("a") };
	char got[128] = "";

	for (int i = 0; i < 4; i++) {
		row.time = 1000 + i;
		OK(apply_alone(c->s, TR_OP_APPEND, TR_T_EVENT, &row, err));
	}
	row.time = 1002;
	OK(apply_alone(c->s, TR_OP_EXPIRE, TR_T_EVENT, &row, err));
	OK(tr_store_list(c->s, TR_T_EVENT, &q, take_seq, got, err));
	assert_string_equal(got, "4 3 ");
	row.time = 9999;
	OK(apply_alone(c->s, TR_OP_EXPIRE, TR_T_EVENT, &row, err));
	OK(apply_alone(c->s, TR_OP_APPEND, TR_T_EVENT, &row, err));
	got[0] = 0;
	OK(tr_store_list(c->s, TR_T_EVENT, &q, take_seq, got, err));
	assert_string_equal(got, "5 ");
}

static void what_cannot_be_stored_is_refused(void **state)
{
	struct ctx *c = *state;
	static const uint8_t longer[20000];
	struct tr_setting_row good = setting("a", "1"), no_key = setting("", "1");
	struct tr_setting_row too_long = { .name = TR_VIEW_LIT("a"), .value = { longer, 16385 } };
	struct tr_token_row too_large = { .id = TR_VIEW_LIT("1"), .uses = (uint64_t)INT64_MAX + 1 };
	const struct {
		enum tr_op op;
		enum tr_table t;
		const void *row;
		const char *word;
	} cases[] = {
		{ TR_OP_PUT, TR_T_SETTING, &no_key, "key" },
		{ TR_OP_INSERT, TR_T_SETTING, &no_key, "key" },
		{ TR_OP_PUT, TR_T_SETTING, &too_long, "longer" },
		{ TR_OP_PUT, TR_T_TOKEN, &too_large, "larger" },
		{ TR_OP_APPEND, TR_T_SETTING, &good, "bug" },
		{ TR_OP_EXPIRE, TR_T_SETTING, &good, "bug" },
		{ TR_OP_PUT, TR_T_AUDIT, &good, "bug" },
		{ TR_OP_DELETE, TR_T_ATTESTATION, &good, "bug" },
		{ TR_OP_EXPIRE, TR_T_AUDIT, &good, "bug" },
		{ TR_OP_PUT, TR_T_EVENT, &good, "bug" },
		{ TR_OP_APPEND, TR_T_ALERT, &good, "bug" },
		{ (enum tr_op)0, TR_T_SETTING, &good, "bug" },
		{ TR_OP_N, TR_T_SETTING, &good, "bug" },
		{ TR_OP_PUT, TR_T_N, &good, "bug" },
		{ TR_OP_PUT, (enum tr_table)0, &good, "bug" },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		REFUSED(apply_alone(c->s, cases[i].op, cases[i].t, cases[i].row, err), TR_E_INVALID, cases[i].word);
	REFUSED(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &good, err), TR_E_INTERNAL, "bug");
	REFUSED(tr_store_commit(c->s, err), TR_E_INTERNAL, "bug");
	OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &good, err));
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 1);
}

/* --- transactions --- */

static void rollback_and_close_leave_nothing(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1");

	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &a, err));
	tr_store_rollback(c->s);
	tr_store_rollback(c->s);
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 0);
	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &a, err));
	reopen(c, TR_STORE_RW);
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 0);
}

static void a_failure_spoils_the_transaction(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1"), b = setting("b", "2");

	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_INSERT, TR_T_SETTING, &a, err));
	REFUSED(tr_store_apply(c->s, TR_OP_INSERT, TR_T_SETTING, &a, err), TR_E_CONFLICT, "already");
	REFUSED(tr_store_apply(c->s, TR_OP_INSERT, TR_T_SETTING, &b, err), TR_E_INTERNAL, "bug");
	REFUSED(tr_store_savepoint(c->s, err), TR_E_INTERNAL, "bug");
	REFUSED(tr_store_commit(c->s, err), TR_E_INTERNAL, "bug");
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 0);
	OK(apply_alone(c->s, TR_OP_INSERT, TR_T_SETTING, &a, err));
}

static void a_savepoint_keeps_one_conflict_from_the_others(void **state)
{
	struct ctx *c = *state;

	OK(tr_store_begin(c->s, err));
	for (int i = 0; i < 20; i++) {
		char name[16];
		struct tr_setting_row first, second;

		(void)snprintf(name, sizeof(name), "n%d", i);
		first = setting(name, "first");
		second = setting(i % 3 ? "only" : "never", "second");
		OK(tr_store_savepoint(c->s, err));
		OK(tr_store_apply(c->s, TR_OP_INSERT, TR_T_SETTING, &first, err));
		/* i = 1 takes "only"; 2, 4, 5, … run into it and lose their first row too. */
		if (i % 3 && i > 1) {
			REFUSED(tr_store_apply(c->s, TR_OP_INSERT, TR_T_SETTING, &second, err), TR_E_CONFLICT, "");
			REFUSED(tr_store_release(c->s, err), TR_E_INTERNAL, "bug");
			tr_store_rollback_savepoint(c->s);
			continue;
		}
		if (i == 1)
			OK(tr_store_apply(c->s, TR_OP_INSERT, TR_T_SETTING, &second, err));
		OK(tr_store_release(c->s, err));
	}
	OK(tr_store_commit(c->s, err));
	reopen(c, TR_STORE_RW);
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 7 + 1 + 1); /* 0, 3, … 18; 1; "only" */
}

/* A refusal may be told by settle, but never later, and harms only its own savepoint. */
static void writes_may_be_answered_together(void **state)
{
	struct ctx *c = *state;
	struct tr_err e = { 0 };
	struct tr_list_query q = { .limit = 500 };
	unsigned lines = 0;

	OK(tr_store_begin(c->s, err));
	for (int part = 0; part < 3; part++) {
		enum tr_code rc = TR_OK;

		OK(tr_store_savepoint(c->s, err));
		for (int i = 0; i < 300 && !rc; i++) {
			char name[16];
			struct tr_setting_row row;
			struct tr_audit_row line = { .object = TR_VIEW_LIT("o") };

			/* The second part runs into its own row. */
			(void)snprintf(name, sizeof(name), "%d-%d", part, part == 1 && i == 200 ? 7 : i);
			row = setting(name, "value");
			rc = tr_store_apply_later(c->s, TR_OP_INSERT, TR_T_SETTING, &row, &e);
			memset(name, 'x', sizeof(name)); /* nothing of ours is looked at again */
			if (!rc && i % 100 == 0)
				rc = tr_store_apply_later(c->s, TR_OP_APPEND, TR_T_AUDIT, &line, &e);
		}
		if (!rc)
			rc = tr_store_settle(c->s, &e);
		assert_int_equal(rc, part == 1 ? TR_E_CONFLICT : TR_OK);
		if (rc) {
			REFUSED(tr_store_settle(c->s, err), TR_E_INTERNAL, "bug");
			tr_store_rollback_savepoint(c->s);
		} else {
			OK(tr_store_release(c->s, err));
		}
	}
	OK(tr_store_commit(c->s, err));
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 600);
	OK(tr_store_list(c->s, TR_T_AUDIT, &q, count_row, &lines, err));
	assert_int_equal(lines, 6);
	/* Unsettled, and nobody minds: undone, or answered by what comes next. */
	for (int how = 0; how < 2; how++) {
		struct tr_setting_row row = setting(how ? "kept" : "undone", "value");

		OK(tr_store_begin(c->s, err));
		OK(tr_store_savepoint(c->s, err));
		OK(tr_store_apply_later(c->s, TR_OP_PUT, TR_T_SETTING, &row, err));
		if (how)
			OK(tr_store_release(c->s, err));
		else
			tr_store_rollback_savepoint(c->s);
		OK(tr_store_commit(c->s, err));
	}
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 601);
	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply_later(c->s, TR_OP_DELETE, TR_T_SETTING, &(struct tr_setting_row){ .name = TR_VIEW_LIT("kept") }, err));
	tr_store_rollback(c->s);
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 601);
}

static void savepoints_nest(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", ""), b = setting("b", ""), d = setting("d", "");

	OK(tr_store_begin(c->s, err));
	OK(tr_store_savepoint(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &a, err));
	OK(tr_store_savepoint(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &b, err));
	tr_store_rollback_savepoint(c->s);
	OK(tr_store_savepoint(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &d, err));
	OK(tr_store_release(c->s, err));
	OK(tr_store_release(c->s, err));
	REFUSED(tr_store_release(c->s, err), TR_E_INTERNAL, "bug");
	tr_store_rollback_savepoint(c->s); /* none open: nothing happens */
	OK(tr_store_commit(c->s, err));
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 2);
	OK(tr_store_begin(c->s, err));
	OK(tr_store_savepoint(c->s, err));
	REFUSED(tr_store_commit(c->s, err), TR_E_INTERNAL, "bug");
	OK(tr_store_probe(c->s, err)); /* the refused commit has ended the transaction */
}

static void probe_writes_but_not_inside_a_transaction(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1");

	OK(tr_store_probe(c->s, err));
	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_PUT, TR_T_SETTING, &a, err));
	REFUSED(tr_store_probe(c->s, err), TR_E_INTERNAL, "bug");
	REFUSED(tr_store_begin(c->s, err), TR_E_INTERNAL, "bug");
	OK(tr_store_commit(c->s, err));
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 1);
}

/* --- reading --- */

struct some {
	char keys[64];
	unsigned left;
};

static bool take_some(void *arg, const void *row)
{
	struct some *s = arg;
	struct tr_view name = ((const struct tr_setting_row *)row)->name;
	size_t n = strlen(s->keys);

	(void)snprintf(s->keys + n, sizeof(s->keys) - n, "%.*s ", TR_VIEW_FMT(name));
	return --s->left > 0;
}

static void each_goes_in_key_order_until_told_to_stop(void **state)
{
	struct ctx *c = *state;
	static const char *const names[] = { "b", "a", "B", "\xc3\xa4", "aa", "a-b", "a_b", "a.b", "aB", "a0" };
	struct some all = { .left = 100 }, two = { .left = 2 };

	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
		struct tr_setting_row r = setting(names[i], "");

		OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &r, err));
	}
	OK(tr_store_each(c->s, TR_T_SETTING, take_some, &two, err));
	assert_string_equal(two.keys, "B a ");
	OK(tr_store_each(c->s, TR_T_SETTING, take_some, &all, err));
	assert_string_equal(all.keys, "B a a-b a.b a0 aB a_b aa b \xc3\xa4 "); /* by bytes, not by somebody's locale */
}

static void lists_bound_filter_and_order(void **state)
{
	struct ctx *c = *state;
	/* seq 1 to 12: object a for odd ones else b; every third was refused */
	static const struct {
		struct tr_list_query q;
		const char *want;
	} cases[] = {
		{ { .limit = 500 }, "12 11 10 9 8 7 6 5 4 3 2 1 " },
		{ { .limit = 3 }, "12 11 10 " },
		{ { .limit = 3, .before = 10 }, "9 8 7 " },
		{ { .limit = 3, .before = 1 }, "" },
		{ { .limit = 3, .before = UINT64_MAX }, "12 11 10 " },
		{ { .limit = 3, .after = 4 }, "5 6 7 " },
		{ { .limit = 3, .after = 12 }, "" },
		{ { .limit = 9, .after = 4, .before = 8 }, "7 6 5 " },
		{ { .limit = 9, .match = TR_VIEW_LIT("a") }, "11 9 7 5 3 1 " },
		{ { .limit = 2, .match = TR_VIEW_LIT("b"), .after = 5 }, "6 8 " },
		{ { .limit = 9, .match = TR_VIEW_LIT("A") }, "" },
		{ { .limit = 9, .outcome = TR_VIEW_LIT("refused") }, "12 9 6 3 " },
		{ { .limit = 9, .outcome = TR_VIEW_LIT("refused"), .match = TR_VIEW_LIT("a") }, "9 3 " },
		{ { .limit = 9, .outcome = TR_VIEW_LIT("refused"), .match = TR_VIEW_LIT("a"), .after = 3 }, "9 " },
		{ { .limit = 9, .outcome = TR_VIEW_LIT("refused"), .before = 9 }, "6 3 " },
		{ { .limit = 9, .seq = 5 }, "5 " },
		{ { .limit = 9, .seq = 13 }, "" },
	};
	static const enum tr_table tables[] = { TR_T_AUDIT, TR_T_ATTESTATION, TR_T_EVENT };
	struct tr_list_query q = { .limit = 9, .after = (uint64_t)INT64_MAX + 1 };
	char got[128] = "";

	OK(tr_store_begin(c->s, err));
	assert_int_equal(tr_store_last_seq(c->s), 0);
	for (unsigned i = 1; i <= 12; i++) {
		struct tr_view who = tr_view_str(i % 2 ? "a" : "b"), how = tr_view_str(i % 3 ? "ok" : "refused");
		struct tr_audit_row audit = { .object = who, .outcome = how };
		struct tr_attestation_row att = { .node_id = who, .outcome = how };
		struct tr_event_row event = { .agent = who, .kind = how };

		OK(tr_store_apply(c->s, TR_OP_APPEND, TR_T_AUDIT, &audit, err));
		OK(tr_store_apply(c->s, TR_OP_APPEND, TR_T_ATTESTATION, &att, err));
		OK(tr_store_apply(c->s, TR_OP_APPEND, TR_T_EVENT, &event, err));
		assert_int_equal(tr_store_last_seq(c->s), i);
	}
	OK(tr_store_commit(c->s, err));
	for (size_t i = 0; i < TR_ARRAY_LEN(cases) * TR_ARRAY_LEN(tables); i++) {
		got[0] = 0;
		OK(tr_store_list(c->s, tables[i % TR_ARRAY_LEN(tables)], &cases[i / TR_ARRAY_LEN(tables)].q, take_seq, got,
				 err));
		assert_string_equal(got, cases[i / TR_ARRAY_LEN(tables)].want);
	}
	REFUSED(tr_store_list(c->s, TR_T_AUDIT, &q, take_seq, got, err), TR_E_INVALID, "larger");
	q = (struct tr_list_query){ .limit = 0 };
	REFUSED(tr_store_list(c->s, TR_T_AUDIT, &q, take_seq, got, err), TR_E_INVALID, "limit");
	q.limit = 501;
	REFUSED(tr_store_list(c->s, TR_T_AUDIT, &q, take_seq, got, err), TR_E_INVALID, "limit");
	q.limit = 1;
	REFUSED(tr_store_list(c->s, TR_T_AGENT, &q, take_seq, got, err), TR_E_INVALID, "bug");
}

static bool take_id(void *arg, const void *row)
{
	char *text = arg;
	size_t n = strlen(text);

	(void)snprintf(text + n, 64 - n, "%.*s ", TR_VIEW_FMT(((const struct tr_alert_row *)row)->id));
	return true;
}

static void alerts_that_are_over_are_listed_by_their_end(void **state)
{
	struct ctx *c = *state;
	static const struct {
		const char *id;
		int64_t end;
	} rows[] = { { "aa", 30 }, { "bb", 0 }, { "cc", 10 }, { "dd", 20 } };
	static const struct {
		struct tr_list_query q;
		const char *want;
	} cases[] = {
		{ { .limit = 9 }, "aa dd cc " },
		{ { .limit = 1 }, "aa " },
		{ { .limit = 9, .before = 30 }, "dd cc " },
		{ { .limit = 9, .after = 10 }, "dd aa " },
		{ { .limit = 1, .match = TR_VIEW_LIT("cc") }, "cc " },
		{ { .limit = 1, .match = TR_VIEW_LIT("bb") }, "" }, /* open */
		{ { .limit = 9, .outcome = TR_VIEW_LIT("other") }, "" },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		struct tr_alert_row row = { .id = tr_view_str(rows[i].id), .kind = TR_VIEW_LIT("lost"), .resolved_at = rows[i].end };

		OK(apply_alone(c->s, TR_OP_PUT, TR_T_ALERT, &row, err));
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		char got[64] = "";

		OK(tr_store_list(c->s, TR_T_ALERT, &cases[i].q, take_id, got, err));
		assert_string_equal(got, cases[i].want);
	}
	REFUSED(tr_store_list(c->s, TR_T_ALERT, &(struct tr_list_query){ .limit = 1, .seq = 1 }, take_id, NULL, err),
		TR_E_INVALID, "bug");
}

static bool take_command(void *arg, const void *row)
{
	char *text = arg;
	size_t n = strlen(text);

	(void)snprintf(text + n, 64 - n, "%.*s ", TR_VIEW_FMT(((const struct tr_command_row *)row)->id));
	return true;
}

static void put_command(struct ctx *c, const char *id, const char *agent, const char *batch, const char *state, int64_t end,
			uint64_t seq)
{
	struct tr_command_row row = { .id = tr_view_str(id), .agent = tr_view_str(agent), .batch = tr_view_str(batch),
				      .state = tr_view_str(state), .ended_at = end, .line = 1, .seq = seq };

	OK(apply_alone(c->s, TR_OP_INSERT, TR_T_COMMAND, &row, err));
}

static void some_commands(struct ctx *c)
{
	put_command(c, "c1", "web", "x", "done", 10, 1);
	put_command(c, "c2", "web", "y", "failed", 30, 2);
	put_command(c, "c3", "web", "y", "sent", 0, 3);
	put_command(c, "c4", "db", "y", "done", 30, 1);
	put_command(c, "c5", "db", "y", "expired", 30, 2);
	put_command(c, "c6", "db", "z", "waiting", 0, 0);
	put_command(c, "c7", "web", "z", "waiting", 0, 0);
}

static void only_commands_that_are_not_over_are_loaded(void **state)
{
	struct ctx *c = *state;
	char got[64] = "";

	some_commands(c);
	OK(tr_store_each(c->s, TR_T_COMMAND, take_command, got, err));
	assert_string_equal(got, "c3 c6 c7 ");
}

static void commands_that_are_over_are_listed(void **state)
{
	struct ctx *c = *state;
	static const struct {
		struct tr_list_query q;
		const char *want;
	} cases[] = {
		{ { .limit = 9 }, "c5 c4 c2 c1 " },
		{ { .limit = 2 }, "c5 c4 " },
		/* The rest of that very millisecond, then what came before it. */
		{ { .limit = 9, .before = 30, .cursor = TR_VIEW_LIT("c4") }, "c2 c1 " },
		{ { .limit = 9, .before = 30 }, "c1 " },
		{ { .limit = 9, .after = 10 }, "c2 c4 c5 " },
		{ { .limit = 9, .match = TR_VIEW_LIT("web") }, "c2 c1 " },
		{ { .limit = 9, .outcome = TR_VIEW_LIT("done") }, "c4 c1 " },
		{ { .limit = 9, .batch = TR_VIEW_LIT("y") }, "c5 c4 c2 " },
		{ { .limit = 9, .batch = TR_VIEW_LIT("y"), .match = TR_VIEW_LIT("db"), .outcome = TR_VIEW_LIT("done") }, "c4 " },
		{ { .limit = 9, .batch = TR_VIEW_LIT("y"), .before = 30, .cursor = TR_VIEW_LIT("c5"),
		    .match = TR_VIEW_LIT("db") }, "c4 " },
		/* By id whatever has become of it. */
		{ { .limit = 1, .id = TR_VIEW_LIT("c1") }, "c1 " },
		{ { .limit = 1, .id = TR_VIEW_LIT("c3") }, "c3 " },
		{ { .limit = 1, .id = TR_VIEW_LIT("c9") }, "" },
	};

	some_commands(c);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		char got[64] = "";

		OK(tr_store_list(c->s, TR_T_COMMAND, &cases[i].q, take_command, got, err));
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("case %zu: %s", i, got);
	}
	/* Other tables have no such thing. */
	REFUSED(tr_store_list(c->s, TR_T_AUDIT, &(struct tr_list_query){ .limit = 1, .id = TR_VIEW_LIT("1") }, take_command, NULL,
			      err),
		TR_E_INVALID, "bug");
	REFUSED(tr_store_list(c->s, TR_T_ALERT, &(struct tr_list_query){ .limit = 1, .batch = TR_VIEW_LIT("1") }, take_command,
			      NULL, err),
		TR_E_INVALID, "bug");
}

static void old_commands_expire_when_they_are_over(void **state)
{
	struct ctx *c = *state;
	char got[64] = "";

	some_commands(c);
	OK(apply_alone(c->s, TR_OP_EXPIRE, TR_T_COMMAND, &(struct tr_command_row){ .ended_at = 30 }, err));
	OK(tr_store_list(c->s, TR_T_COMMAND, &(struct tr_list_query){ .limit = 9 }, take_command, got, err));
	OK(tr_store_each(c->s, TR_T_COMMAND, take_command, got, err));
	assert_string_equal(got, "c5 c4 c2 c3 c6 c7 ");
}

/* The database says so, whoever writes to it. Commands without a number yet are many. */
static void a_number_is_given_once(void **state)
{
	struct ctx *c = *state;
	struct tr_command_row twice = { .id = TR_VIEW_LIT("c8"), .agent = TR_VIEW_LIT("web"), .line = 1, .seq = 3 };

	some_commands(c);
	REFUSED(apply_alone(c->s, TR_OP_INSERT, TR_T_COMMAND, &twice, err), TR_E_CONFLICT, "");
	twice.line = 2;
	OK(apply_alone(c->s, TR_OP_INSERT, TR_T_COMMAND, &twice, err));
}

static void a_list_stops_when_told_and_can_start_again(void **state)
{
	struct ctx *c = *state;
	struct tr_audit_row row = { .object = TR_VIEW_LIT("a") };
	struct tr_list_query q = { .limit = 10 };
	char got[128] = "";
	unsigned n = 0;

	for (int i = 0; i < 3; i++)
		OK(apply_alone(c->s, TR_OP_APPEND, TR_T_AUDIT, &row, err));
	OK(tr_store_list(c->s, TR_T_AUDIT, &q, take_seq, got, err));
	assert_string_equal(got, "3 2 1 ");
	OK(tr_store_each(c->s, TR_T_AUDIT, count_row, &n, err));
	assert_int_equal(n, 3);
}

static void a_rolled_back_append_numbers_nothing_seen(void **state)
{
	struct ctx *c = *state;
	struct tr_audit_row row = { .object = TR_VIEW_LIT("a") };
	struct tr_list_query q = { .limit = 10 };
	char got[128] = "";

	OK(tr_store_begin(c->s, err));
	OK(tr_store_apply(c->s, TR_OP_APPEND, TR_T_AUDIT, &row, err));
	tr_store_rollback(c->s);
	OK(tr_store_list(c->s, TR_T_AUDIT, &q, take_seq, got, err));
	assert_string_equal(got, "");
}

static void a_read_only_store_reads_and_never_writes(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1");
	unsigned schema = tr_store_schema(c->s);

	assert_true(schema >= 1);
	OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &a, err));
	reopen(c, TR_STORE_RO);
	assert_int_equal(tr_store_schema(c->s), schema);
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 1);
	REFUSED(tr_store_begin(c->s, err), TR_E_INTERNAL, "bug");
	REFUSED(tr_store_probe(c->s, err), TR_E_INTERNAL, "bug");
}

/* --- whole stores --- */

static void numbers_can_be_raised_and_never_return(void **state)
{
	struct ctx *c = *state;
	struct tr_list_query q = { .limit = 10 };
	struct tr_event_row row = { .kind = TR_VIEW_LIT("replay"), .agent = TR_VIEW_LIT("a"), .time = 1 };
	char got[128] = "";
	uint64_t last = 9;

	OK(tr_store_read_seq(c->s, TR_T_EVENT, &last, err));
	assert_int_equal(last, 0);
	OK(apply_alone(c->s, TR_OP_APPEND, TR_T_EVENT, &row, err));
	OK(tr_store_read_seq(c->s, TR_T_EVENT, &last, err));
	assert_int_equal(last, 1);
	OK(tr_store_begin(c->s, err));
	OK(tr_store_raise_seq(c->s, TR_T_EVENT, 50, err));
	OK(tr_store_apply(c->s, TR_OP_APPEND, TR_T_EVENT, &row, err));
	assert_int_equal(tr_store_last_seq(c->s), 51);
	OK(tr_store_commit(c->s, err));
	row.time = 2;
	OK(apply_alone(c->s, TR_OP_EXPIRE, TR_T_EVENT, &row, err));
	OK(tr_store_read_seq(c->s, TR_T_EVENT, &last, err));
	assert_int_equal(last, 51); /* though the rows are gone */
	OK(apply_alone(c->s, TR_OP_APPEND, TR_T_EVENT, &row, err));
	OK(tr_store_list(c->s, TR_T_EVENT, &q, take_seq, got, err));
	assert_string_equal(got, "52 ");
	REFUSED(tr_store_raise_seq(c->s, TR_T_EVENT, 60, err), TR_E_INTERNAL, "bug");
}

static void a_restored_row_keeps_its_number(void **state)
{
	struct ctx *c = *state;
	struct tr_list_query q = { .limit = 10 };
	struct tr_audit_row row = { .seq = 7, .object = TR_VIEW_LIT("a") };
	struct tr_command_row over = { .id = TR_VIEW_LIT("c1"), .state = TR_VIEW_LIT("done"), .ended_at = 5 };
	char got[128] = "";
	unsigned n = 0;

	REFUSED(tr_store_restore(c->s, TR_T_AUDIT, &row, err), TR_E_INTERNAL, "bug");
	OK(tr_store_begin(c->s, err));
	OK(tr_store_restore(c->s, TR_T_AUDIT, &row, err));
	OK(tr_store_restore(c->s, TR_T_COMMAND, &over, err));
	OK(tr_store_raise_seq(c->s, TR_T_AUDIT, 7, err));
	OK(tr_store_commit(c->s, err));
	OK(apply_alone(c->s, TR_OP_APPEND, TR_T_AUDIT, &row, err));
	OK(tr_store_list(c->s, TR_T_AUDIT, &q, take_seq, got, err));
	assert_string_equal(got, "8 7 ");
	/* Loaded are only live ones; all are all. */
	OK(tr_store_each(c->s, TR_T_COMMAND, count_row, &n, err));
	assert_int_equal(n, 0);
	OK(tr_store_all(c->s, TR_T_COMMAND, count_row, &n, err));
	assert_int_equal(n, 1);
}

static void a_transaction_for_reading_sees_one_moment(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1"), b = setting("b", "2");
	struct tr_store *reader;

	OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &a, err));
	reader = backend->open(&c->f, TR_STORE_RO);
	OK(tr_store_begin_read(reader, err));
	assert_int_equal(count_rows(reader, TR_T_SETTING), 1);
	OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &b, err));
	assert_int_equal(count_rows(reader, TR_T_SETTING), 1);
	REFUSED(tr_store_apply(reader, TR_OP_PUT, TR_T_SETTING, &b, err), TR_E_INTERNAL, "bug");
	REFUSED(tr_store_begin_read(reader, err), TR_E_INTERNAL, "bug");
	tr_store_rollback(reader);
	assert_int_equal(count_rows(reader, TR_T_SETTING), 2);
	(void)tr_store_free(reader);
}

static void opening_again_changes_nothing(void **state)
{
	struct ctx *c = *state;
	struct tr_setting_row a = setting("a", "1");

	OK(apply_alone(c->s, TR_OP_PUT, TR_T_SETTING, &a, err));
	reopen(c, TR_STORE_CREATE);
	reopen(c, TR_STORE_RW);
	assert_int_equal(count_rows(c->s, TR_T_SETTING), 1);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(every_field_of_every_table_comes_back),
		CASE(put_replaces_the_row_of_its_key),
		CASE(insert_of_a_taken_key_is_a_conflict),
		CASE(delete_of_nothing_is_fine),
		CASE(expire_takes_what_is_older_and_no_more),
		CASE(old_events_are_forgotten_and_numbers_never_return),
		CASE(what_cannot_be_stored_is_refused),
		CASE(rollback_and_close_leave_nothing),
		CASE(a_failure_spoils_the_transaction),
		CASE(a_savepoint_keeps_one_conflict_from_the_others),
		CASE(writes_may_be_answered_together),
		CASE(savepoints_nest),
		CASE(probe_writes_but_not_inside_a_transaction),
		CASE(each_goes_in_key_order_until_told_to_stop),
		CASE(lists_bound_filter_and_order),
		CASE(alerts_that_are_over_are_listed_by_their_end),
		CASE(only_commands_that_are_not_over_are_loaded),
		CASE(commands_that_are_over_are_listed),
		CASE(old_commands_expire_when_they_are_over),
		CASE(a_number_is_given_once),
		CASE(a_list_stops_when_told_and_can_start_again),
		CASE(a_rolled_back_append_numbers_nothing_seen),
		CASE(a_read_only_store_reads_and_never_writes),
		CASE(numbers_can_be_raised_and_never_return),
		CASE(a_restored_row_keeps_its_number),
		CASE(a_transaction_for_reading_sees_one_moment),
		CASE(opening_again_changes_nothing),
	};
	int failed = 0;

	for (size_t i = 0; i < TR_ARRAY_LEN(backends); i++) {
		backend = &backends[i];
		if (backend->make == pg_folder_make && !pg_given()) {
			print_message("skipped: %s: run it by script/with-postgres\n", backend->name);
			continue;
		}
		failed += cmocka_run_group_tests_name(backend->name, tests, NULL, NULL);
	}
	return failed;
}
