/* SPDX-License-Identifier: Apache-2.0 */
#include "server/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those */
#include <cmocka.h>

static struct tr_mail_row letter(const char *id, uint64_t number, const char *to, const char *from, size_t bytes)
{
	static const uint8_t zeros[TR_BOX_BYTES_MAX];

	return (struct tr_mail_row){ .id = tr_view_str(id), .number = number, .recipient = tr_view_str(to),
				     .sender = tr_view_str(from), .envelope = tr_view(zeros, bytes) };
}

static void take(struct tr_mailboxes *m, const char *id, uint64_t number, const char *to, const char *from, size_t bytes)
{
	struct tr_mail_row row = letter(id, number, to, from, bytes);

	assert_true(tr_mailbox_take(m, &row));
}

static void order_is(const struct tr_mailbox *b, const char *ids)
{
	char got[64] = { 0 };

	for (const struct tr_letter *l = b->first; l; l = l->next) {
		assert_true(strlen(got) + strlen(l->id) < sizeof(got));
		memcpy(got + strlen(got), l->id, strlen(l->id));
		if (!l->next)
			assert_ptr_equal(l, b->last);
	}
	assert_string_equal(got, ids);
	assert_int_equal(b->n, strlen(ids));
	if (!*ids)
		assert_null(b->last);
}

static void letters_stand_in_the_order_of_their_numbers(void **state)
{
	struct tr_mailboxes *m = tr_mailboxes_new();
	struct tr_mailbox *b;
	size_t bytes;

	(void)state;
	/* At load they come in the order of their ids. */
	take(m, "a", 30, "web-1", "db-1", 10);
	take(m, "b", 10, "web-1", "db-1", 20);
	take(m, "c", 20, "web-1", "db-2", 30);
	take(m, "d", 40, "web-2", "db-1", 40);
	b = tr_mailbox_find(m, TR_VIEW_LIT("web-1"));
	assert_non_null(b);
	order_is(b, "bca");
	assert_true(b->bytes == 60 && b->number == 30);
	assert_int_equal(tr_mailboxes_count(m, &bytes), 4);
	assert_int_equal(bytes, 100);
	tr_mailbox_drop(m, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("a"));
	order_is(b, "bc");
	take(m, "e", 50, "web-1", "db-1", 5);
	order_is(b, "bce");
	tr_mailbox_drop(m, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("d")); /* another's */
	tr_mailbox_drop(m, TR_VIEW_LIT("nobody"), TR_VIEW_LIT("b"));
	tr_mailbox_drop(m, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("b"));
	tr_mailbox_drop(m, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("e"));
	tr_mailbox_drop(m, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("c"));
	order_is(b, "");
	assert_int_equal(tr_mailboxes_count(m, &bytes), 1);
	assert_int_equal(bytes, 40);
	assert_null(tr_mailbox_find(m, TR_VIEW_LIT("web-3")));
	(void)tr_mailboxes_free(m);
}

static void a_mailbox_has_room_for_so_much(void **state)
{
	struct tr_mailboxes *m = tr_mailboxes_new();
	struct tr_mailbox *b = tr_mailbox_of(m, TR_VIEW_LIT("web-1"));
	char id[8], from[8];

	(void)state;
	assert_false(tr_mailbox_is_full(m, b, TR_VIEW_LIT("x"), TR_BOX_BYTES_MAX));
	assert_true(tr_mailbox_is_full(m, b, TR_VIEW_LIT("x"), TR_BOX_BYTES_MAX + 1));
	for (unsigned i = 0; i < TR_BOX_FROM_ONE_MAX; i++) {
		(void)snprintf(id, sizeof(id), "%u", i);
		take(m, id, i + 1, "web-1", "x", 1);
	}
	assert_true(tr_mailbox_is_full(m, b, TR_VIEW_LIT("x"), 1));
	assert_false(tr_mailbox_is_full(m, b, TR_VIEW_LIT("y"), 1));
	for (unsigned i = TR_BOX_FROM_ONE_MAX; i < TR_BOX_LETTERS_MAX - 1; i++) {
		(void)snprintf(id, sizeof(id), "%u", i);
		(void)snprintf(from, sizeof(from), "s%u", i);
		take(m, id, i + 1, "web-1", from, 1);
	}
	assert_false(tr_mailbox_is_full(m, b, TR_VIEW_LIT("y"), 1));
	b->coming = 1; /* one that is on its way to the store counts */
	assert_true(tr_mailbox_is_full(m, b, TR_VIEW_LIT("y"), 1));
	b->coming = 0;
	b->coming_bytes = TR_BOX_BYTES_MAX - b->bytes;
	assert_true(tr_mailbox_is_full(m, b, TR_VIEW_LIT("y"), 1));
	b->coming_bytes = 0;
	m->bytes = TR_MAIL_BYTES_MAX;
	assert_true(tr_mailbox_is_full(m, b, TR_VIEW_LIT("y"), 1));
	(void)tr_mailboxes_free(m);
}

/* Else one agent, with many recipients, would leave nobody else any room. */
static void one_sender_does_not_fill_the_hub(void **state)
{
	struct tr_mailboxes *m = tr_mailboxes_new();
	struct tr_mailbox *b = tr_mailbox_of(m, TR_VIEW_LIT("web-0")), *x = tr_mailbox_of(m, TR_VIEW_LIT("x"));
	const size_t one = (size_t)1 << 20, n = TR_MAIL_FROM_ONE_BYTES_MAX / one;
	char id[8], to[8];

	(void)state;
	for (size_t i = 1; i < n; i++) {
		(void)snprintf(id, sizeof(id), "%zu", i);
		(void)snprintf(to, sizeof(to), "web-%zu", i);
		take(m, id, i, to, "x", one);
	}
	assert_false(tr_mailbox_is_full(m, b, TR_VIEW_LIT("x"), one));
	x->sending_bytes = 1;
	assert_true(tr_mailbox_is_full(m, b, TR_VIEW_LIT("x"), one));
	x->sending_bytes = 0;
	take(m, "last", n, "web-0", "x", one);
	assert_true(tr_mailbox_is_full(m, b, TR_VIEW_LIT("x"), 1));
	assert_false(tr_mailbox_is_full(m, b, TR_VIEW_LIT("y"), one));
	tr_mailbox_drop(m, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("1"));
	assert_false(tr_mailbox_is_full(m, b, TR_VIEW_LIT("x"), one));
	(void)tr_mailboxes_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters_stand_in_the_order_of_their_numbers),
		cmocka_unit_test(a_mailbox_has_room_for_so_much),
		cmocka_unit_test(one_sender_does_not_fill_the_hub),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
