/* SPDX-License-Identifier: Apache-2.0 */
/* Whole stores copied, summed up and fenced; from a file to a file, and through a database where there is one. */
#include "store/postgres_test.h"

#include "store/copy.h"

/* A digest that needs no library: what differs must show, who means harm is not its affair. */
static void feed(void *arg, struct tr_view bytes)
{
	uint64_t *h = arg;

	for (size_t i = 0; i < bytes.n; i++)
		*h = (*h ^ bytes.p[i]) * UINT64_C(1099511628211);
}

struct ctx {
	struct folder from, to;
	struct tr_store *a, *b;
	bool remote;
};

static int set_up_as(void **state, bool remote)
{
	struct ctx *c = calloc(1, sizeof(*c));

	c->remote = remote;
	folder_make(&c->from);
	(remote ? pg_folder_make : folder_make)(&c->to);
	OK(tr_store_open(c->from.location, TR_STORE_CREATE, &c->a, err));
	OK(tr_store_open(c->to.location, TR_STORE_CREATE, &c->b, err));
	*state = c;
	return 0;
}

static int set_up(void **state)
{
	return set_up_as(state, false);
}

static int set_up_remote(void **state)
{
	return set_up_as(state, true);
}

static int tear_down(void **state)
{
	struct ctx *c = *state;

	(void)tr_store_free(c->a);
	(void)tr_store_free(c->b);
	folder_remove(&c->from);
	(c->remote ? pg_folder_remove : folder_remove)(&c->to);
	free(c);
	return 0;
}

/* A row of every kind, full and nearly empty. */
static void some_rows(struct tr_store *s)
{
	static struct filled f;

	OK(tr_store_begin(s, err));
	for (unsigned t = TR_T_AGENT; t < TR_T_N; t++)
		for (unsigned how = FILL_SOME; how <= FILL_LEAST; how++) {
			fill(&f, tr_table_def((enum tr_table)t), how + 1, (enum fill)how);
			/* An append-only number is given by hand here; the largest there is would leave none. */
			if (tr_store_appends((enum tr_table)t))
				f.row.audit.seq = how + 3;
			OK(tr_store_restore(s, (enum tr_table)t, &f.row, err));
		}
	OK(tr_store_commit(s, err));
}

static void copy(struct ctx *c, uint64_t *sum, struct tr_copy_count *count)
{
	OK(tr_store_begin_read(c->a, err));
	OK(tr_store_begin(c->b, err));
	OK(tr_copy_rows(c->a, c->b, feed, sum, count, err));
	OK(tr_store_commit(c->b, err));
	tr_store_rollback(c->a);
}

static void every_row_arrives_and_is_the_same(void **state)
{
	struct ctx *c = *state;
	uint64_t read = 1, there = 1, changed = 1;
	struct tr_copy_count count, again;
	struct tr_setting_row own = setting(TR_COPY_OWN "digest", "x"), more = setting("more", "y");

	some_rows(c->a);
	OK(apply_alone(c->a, TR_OP_PUT, TR_T_SETTING, &own, err));
	copy(c, &read, &count);
	assert_int_equal(count.all, 3 * (TR_T_N - 1));
	OK(tr_copy_sum(c->b, feed, &there, &again, err));
	assert_int_equal(there, read);
	assert_int_equal(again.all, count.all);
	OK(apply_alone(c->b, TR_OP_PUT, TR_T_SETTING, &more, err));
	OK(tr_copy_sum(c->b, feed, &changed, &again, err));
	assert_int_not_equal(changed, read);
	OK(tr_store_begin(c->b, err));
	REFUSED(tr_copy_rows(c->a, c->b, feed, &read, &count, err), TR_E_CONFLICT, "not empty");
	tr_store_rollback(c->b);
}

/* Rows that are gone have had their numbers too. */
static void numbers_go_on_where_they_were(void **state)
{
	struct ctx *c = *state;
	struct tr_event_row row = { .kind = TR_VIEW_LIT("k"), .time = 1 };
	uint64_t sum = 1;
	struct tr_copy_count count;

	for (int i = 0; i < 5; i++)
		OK(apply_alone(c->a, TR_OP_APPEND, TR_T_EVENT, &row, err));
	row.time = 2;
	OK(apply_alone(c->a, TR_OP_EXPIRE, TR_T_EVENT, &row, err));
	copy(c, &sum, &count);
	assert_int_equal(count.all, 0);
	OK(tr_store_begin(c->b, err));
	OK(tr_store_apply(c->b, TR_OP_APPEND, TR_T_EVENT, &row, err));
	assert_int_equal(tr_store_last_seq(c->b), 6);
	OK(tr_store_commit(c->b, err));
}

static bool take_token(void *arg, const void *row)
{
	const struct tr_token_row *t = row;
	char *text = arg;
	size_t n = strlen(text);

	(void)snprintf(text + n, 128 - n, "%.*s=%lld ", TR_VIEW_FMT(t->id), (long long)t->revoked_at);
	return true;
}

static bool take_command(void *arg, const void *row)
{
	const struct tr_command_row *r = row;
	char *text = arg;
	size_t n = strlen(text);

	(void)snprintf(text + n, 256 - n, "%.*s:%.*s/%llu/%llu/%zu ", TR_VIEW_FMT(r->id), TR_VIEW_FMT(r->state),
		       (unsigned long long)r->line, (unsigned long long)r->seq, r->command.n);
	return true;
}

static bool take_setting(void *arg, const void *row)
{
	const struct tr_setting_row *s = row;
	char *text = arg;
	size_t n = strlen(text);

	(void)snprintf(text + n, 128 - n, "%.*s=%.*s ", TR_VIEW_FMT(s->name), TR_VIEW_FMT(s->value));
	return true;
}

#define NOW 100000

static void a_fence_ends_what_may_have_been_used(void **state)
{
	struct ctx *c = *state;
	const struct tr_token_row tokens[] = {
		{ .id = TR_VIEW_LIT("expired"), .max_uses = 1, .expires_at = NOW - 1 },
		{ .id = TR_VIEW_LIT("forever"), .max_uses = 0 },
		{ .id = TR_VIEW_LIT("open"), .max_uses = 2, .uses = 1, .expires_at = NOW + 1 },
		{ .id = TR_VIEW_LIT("revoked"), .max_uses = 1, .expires_at = NOW + 1, .revoked_at = 7 },
		{ .id = TR_VIEW_LIT("used"), .max_uses = 2, .uses = 2, .expires_at = NOW + 1 },
	};
	const struct tr_command_row commands[] = {
		{ .id = TR_VIEW_LIT("a"), .state = TR_VIEW_LIT("sent"), .line = 5, .seq = 1, .command = TR_VIEW_LIT("xx") },
		{ .id = TR_VIEW_LIT("b"), .state = TR_VIEW_LIT("done"), .line = 5, .seq = 2, .command = TR_VIEW_LIT("xx"), .ended_at = 9 },
		{ .id = TR_VIEW_LIT("c"), .state = TR_VIEW_LIT("waiting") },
		{ .id = TR_VIEW_LIT("d"), .state = TR_VIEW_LIT("started"), .line = 5, .seq = 3, .command = TR_VIEW_LIT("xx") },
	};
	const struct tr_agent_row agent = { .id = TR_VIEW_LIT("web"), .epoch = 40 };
	struct tr_setting_row line = setting("outbox.line", "200000"), other = setting("z", "1");
	struct tr_audit_row audit = { .object = TR_VIEW_LIT("o") };
	struct tr_fence fence = { 0 };
	char got[256] = "";

	for (size_t i = 0; i < TR_ARRAY_LEN(tokens); i++)
		OK(apply_alone(c->b, TR_OP_INSERT, TR_T_TOKEN, &tokens[i], err));
	for (size_t i = 0; i < TR_ARRAY_LEN(commands); i++)
		OK(apply_alone(c->b, TR_OP_INSERT, TR_T_COMMAND, &commands[i], err));
	OK(apply_alone(c->b, TR_OP_INSERT, TR_T_AGENT, &agent, err));
	OK(apply_alone(c->b, TR_OP_PUT, TR_T_SETTING, &line, err));
	OK(apply_alone(c->b, TR_OP_PUT, TR_T_SETTING, &other, err));
	OK(apply_alone(c->b, TR_OP_APPEND, TR_T_AUDIT, &audit, err));
	OK(tr_store_begin(c->b, err));
	OK(tr_copy_fence(c->b, NOW, &fence, err));
	OK(tr_store_apply(c->b, TR_OP_APPEND, TR_T_AUDIT, &audit, err));
	assert_int_equal(tr_store_last_seq(c->b), TR_FENCE_SEQ + 2);
	OK(tr_store_commit(c->b, err));
	OK(tr_store_all(c->b, TR_T_TOKEN, take_token, got, err));
	assert_string_equal(got, "expired=0 forever=100000 open=100000 revoked=7 used=0 ");
	got[0] = 0;
	OK(tr_store_all(c->b, TR_T_COMMAND, take_command, got, err));
	assert_string_equal(got, "a:waiting/0/0/0 b:done/5/2/2 c:waiting/0/0/0 d:waiting/0/0/0 ");
	got[0] = 0;
	OK(tr_store_all(c->b, TR_T_SETTING, take_setting, got, err));
	assert_string_equal(got, "epoch.floor=1040 outbox.line=200001 z=1 ");
	assert_int_equal(fence.tokens, 2);
	assert_int_equal(fence.commands, 2);
	/* Again, before anybody enrolled: the floor is above the last one all the same. */
	OK(tr_store_begin(c->b, err));
	OK(tr_copy_fence(c->b, NOW * 9, &fence, err));
	OK(tr_store_commit(c->b, err));
	assert_int_equal(fence.epoch_floor, 2040);
	assert_int_equal(fence.line, NOW * 9);
	assert_int_equal(fence.tokens, 0);
}

int main(void)
{
#define CASE(fn, up) { #fn, fn, up, tear_down, NULL }
	const struct CMUnitTest files[] = {
		CASE(every_row_arrives_and_is_the_same, set_up),
		CASE(numbers_go_on_where_they_were, set_up),
		CASE(a_fence_ends_what_may_have_been_used, set_up),
	};
	const struct CMUnitTest database[] = {
		CASE(every_row_arrives_and_is_the_same, set_up_remote),
		CASE(numbers_go_on_where_they_were, set_up_remote),
		CASE(a_fence_ends_what_may_have_been_used, set_up_remote),
	};
	int failed = cmocka_run_group_tests_name("files", files, NULL, NULL);

	if (!pg_given()) {
		print_message("skipped: postgresql: run it by script/with-postgres\n");
		return failed;
	}
	return failed + cmocka_run_group_tests_name("a file into PostgreSQL", database, NULL, NULL);
}
