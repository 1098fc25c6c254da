/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peer_test.h"

#include "agent/inbox.h"

static struct tr_message message(uint8_t id, const char *body, int64_t expires)
{
	return (struct tr_message){ .sender = TR_VIEW_LIT("b-1"), .id = { id }, .line = 3, .seq = id, .issued = NOW,
				    .expires = expires, .type = TR_VIEW_LIT("text/plain"), .body = tr_view_str(body) };
}

static struct tr_inbox load(void)
{
	struct tr_inbox b = { 0 };

	assert_int_equal(tr_inbox_load(&state, &b, &err), TR_OK);
	return b;
}

static void put(struct tr_inbox *b, uint8_t id, const char *body, uint64_t number, int64_t expires)
{
	const struct tr_message m = message(id, body, expires);

	assert_int_equal(tr_inbox_put(&state, b, &m, number, NOW, id % 2, &err), TR_OK);
}

static void what_was_put_is_there_after_a_restart(void **unused)
{
	struct tr_inbox b = { 0 };
	const struct tr_letter *l;

	(void)unused;
	put(&b, 2, "second", 12, NOW + 100);
	put(&b, 1, "first", 11, NOW + 50);
	put(&b, 3, "", 13, NOW + 200);
	tr_inbox_done(&b);
	put_file("inbox/00000000000000000000000000000009.b-1", TR_VIEW_LIT("torn"));
	put_file("inbox/something else", TR_VIEW_LIT("not ours"));
	b = load();
	assert_true(b.n == 3 && b.bytes == 11);
	l = b.first;
	assert_true(l->number == 11 && l->id[0] == 1 && tr_view_is(l->body, "first") && l->direct && l->seq == 1 && l->line == 3);
	assert_true(tr_view_is(l->type, "text/plain") && strcmp(l->sender, "b-1") == 0 && l->received == NOW && !l->answers.n);
	assert_true(l->next->number == 12 && !l->next->direct && l->next->next == b.last && b.last->body.n == 0);
	assert_int_equal(tr_inbox_expire(&state, &b, NOW + 50), 1);
	assert_true(tr_inbox_drop(&state, &b, b.last->id));
	assert_false(tr_inbox_drop(&state, &b, (const uint8_t[16]){ 99 }));
	assert_true(b.n == 1 && b.first == b.last && b.bytes == 6);
	put(&b, 4, "more", 14, NOW + 300);
	tr_inbox_done(&b);
	b = load();
	assert_true(b.n == 2 && b.first->id[0] == 2 && b.last->id[0] == 4);
	assert_int_equal(tr_inbox_expire(&state, &b, NOW + 1000), 2);
	assert_true(!b.first && !b.last && !b.n && !b.bytes);
	tr_inbox_done(&b);
}

static void it_is_bounded(void **unused)
{
	struct tr_inbox b = { .n = TR_INBOX_MESSAGES_MAX - 1 };

	(void)unused;
	assert_true(tr_inbox_has_room(&b, 1));
	b.n++;
	assert_false(tr_inbox_has_room(&b, 1));
	b = (struct tr_inbox){ .bytes = TR_INBOX_BYTES_MAX - 10 };
	assert_true(tr_inbox_has_room(&b, 10));
	assert_false(tr_inbox_has_room(&b, 11));
}

static int with_inbox(void **unused)
{
	char path[PATH_MAX];

	if (make_state(unused))
		return 1;
	tr_state_path(&state, TR_INBOX_DIR, path);
	return tr_dir_make(path, 0700, &err) != TR_OK;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_there_after_a_restart),
		cmocka_unit_test(it_is_bounded),
	};

	return cmocka_run_group_tests(tests, with_inbox, drop_state);
}
