/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/order_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW INT64_C(1795312800000) /* 2026-11-22T02:00:00Z */

static void make(unsigned n, enum tr_cmd cmd, const char *domain, const char *text, struct tr_buf *ret)
{
	const struct tr_cmd_type *t = tr_cmd_type(cmd);
	char agent[32];
	struct tr_order o = { .trust_domain = tr_view_str(domain), .cmd = cmd, .ordered_ms = NOW, .text = tr_view_str(text) };
	struct tr_err err = { 0 };

	(void)snprintf(agent, sizeof(agent), "web-%u", n);
	o.agent_id = tr_view_str(agent);
	o.cmd_id[0] = (uint8_t)(n >> 8);
	o.cmd_id[1] = (uint8_t)n;
	o.cmd_id[15] = 1;
	o.expires_ms = NOW + t->lifetime_s * INT64_C(1000);
	assert_int_equal(tr_order_encode(&o, ret, &err), TR_OK);
}

static void add(struct tr_order_set *s, unsigned n, enum tr_cmd cmd, const char *text)
{
	tr_auto(tr_buf_done) struct tr_buf order = TR_BUF_INIT;
	struct tr_err err = { 0 };

	make(n, cmd, "lab.example", text, &order);
	assert_int_equal(tr_order_set_add(s, tr_buf_view(&order), &err), TR_OK);
}

struct heard {
	size_t approvals, orders, longest;
	int64_t life_ms;
	struct tr_order_set *set;
	bool seen[TR_ORDER_SET_MAX];
};

static enum tr_code hear(void *arg, struct tr_view approval, struct tr_err *err)
{
	struct heard *h = arg;
	struct tr_approval a;
	struct tr_view kid;

	assert_int_equal(tr_approval_read(approval, &a, &kid, err), TR_OK);
	h->approvals++;
	h->orders += a.n;
	h->longest = a.n > h->longest ? a.n : h->longest;
	h->life_ms = a.expires_ms - a.issued_ms;
	assert_true(a.text.n <= TR_APPROVAL_TEXT_MAX);
	for (size_t i = 0; i < a.n; i++)
		for (size_t k = 0; k < h->set->n; k++)
			if (memcmp(a.orders[i], h->set->items[k].digest, 32) == 0) {
				tr_auto(tr_buf_done) struct tr_buf line = TR_BUF_INIT;

				/* What was signed says in words what the digest stands for. */
				tr_order_text(&h->set->items[k].order, &line);
				assert_non_null(memmem(a.text.p, a.text.n, line.p, line.n));
				h->seen[k] = true;
			}
	return TR_OK;
}

static void every_order_is_approved_once(void **state)
{
	static const struct {
		const char *label;
		unsigned n;
		enum tr_cmd cmd;
		unsigned text; /* bytes */
		size_t at_least;
		int64_t life_ms;
	} cases[] = {
		{ "one", 1, TR_CMD_RESTART_AGENT, 0, 1, 4 * 3600000 },
		{ "dangerous ones live an hour", 2, TR_CMD_QUARANTINE, 0, 1, 3600000 },
		{ "more than one approval holds", 200, TR_CMD_RESTART_AGENT, 0, 4, 4 * 3600000 },
		{ "long texts", 70, TR_CMD_NOTE, 256, 5, 4 * 3600000 },
	};
	tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &key, &err), TR_OK);
	for (size_t c = 0; c < TR_ARRAY_LEN(cases); c++) {
		tr_auto(tr_order_set_done) struct tr_order_set set = { 0 };
		static struct heard h;
		char text[257] = "";

		memset(text, 'x', cases[c].text);
		text[cases[c].text] = '\0';
		for (unsigned i = 0; i < cases[c].n; i++)
			add(&set, i, cases[c].cmd, text);
		h = (struct heard){ .set = &set };
		assert_int_equal(tr_order_set_approve(&set, key, NOW, hear, &h, &err), TR_OK);
		assert_int_equal(h.orders, cases[c].n);
		assert_true(h.approvals >= cases[c].at_least && h.longest <= TR_APPROVAL_ORDERS_MAX);
		assert_int_equal(h.life_ms, cases[c].life_ms);
		for (unsigned i = 0; i < cases[c].n; i++)
			assert_true(h.seen[i]);
	}
}

static void the_strictest_class_counts(void **state)
{
	tr_auto(tr_order_set_done) struct tr_order_set set = { 0 };
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	(void)state;
	add(&set, 1, TR_CMD_STATUS, "");
	assert_int_equal(tr_order_set_class(&set), TR_CLASS_READ);
	add(&set, 2, TR_CMD_NOTE, "hello");
	assert_int_equal(tr_order_set_class(&set), TR_CLASS_CHANGE);
	add(&set, 3, TR_CMD_RELEASE, "");
	add(&set, 3, TR_CMD_RELEASE, ""); /* the same again */
	assert_int_equal(set.n, 3);
	assert_int_equal(tr_order_set_class(&set), TR_CLASS_DANGEROUS);
	assert_string_equal(set.items[1].id, "00020000000000000000000000000001");
	tr_order_set_text(&set, &text);
	assert_non_null(strstr(tr_buf_cstr(&text), "note on web-2 (change, once), until 2026-11-22T06:00:00.000Z: hello\n"));
}

static void what_cannot_be_read_is_not_approved(void **state)
{
	tr_auto(tr_order_set_done) struct tr_order_set set = { 0 };
	tr_auto(tr_buf_done) struct tr_buf order = TR_BUF_INIT, other = TR_BUF_INIT;
	struct tr_err err = { 0 };

	(void)state;
	make(1, TR_CMD_RESTART_AGENT, "lab.example", "", &order);
	make(2, TR_CMD_RESTART_AGENT, "elsewhere.example", "", &other);
	assert_int_equal(tr_order_set_add(&set, tr_buf_view(&order), &err), TR_OK);
	assert_int_equal(tr_order_set_add(&set, tr_buf_view(&other), &err), TR_E_INVALID); /* two domains */
	assert_int_equal(tr_order_set_add(&set, tr_view(order.p, order.n - 1), &err), TR_E_INVALID);
	assert_int_equal(tr_order_set_add(&set, tr_view(NULL, 0), &err), TR_E_INVALID);
	assert_int_equal(set.n, 1);
}

static enum tr_code count(void *arg, struct tr_view blob, struct tr_err *err)
{
	(void)err;
	*(size_t *)arg += blob.n;
	return TR_OK;
}

static void files_are_lists_of_bytes(void **state)
{
	const struct tr_view list[] = { TR_VIEW_LIT("one"), TR_VIEW_LIT("three") };
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, empty = TR_BUF_INIT;
	struct tr_err err = { 0 };
	size_t n = 0;

	(void)state;
	tr_blobs_put(&file, list, 2);
	assert_int_equal(tr_blobs_each(tr_buf_view(&file), count, &n, &err), TR_OK);
	assert_int_equal(n, 8);
	tr_buf_adds(&file, "x");
	assert_int_equal(tr_blobs_each(tr_buf_view(&file), count, &n, &err), TR_E_INVALID);
	assert_int_equal(tr_blobs_each(TR_VIEW_LIT("-----BEGIN"), count, &n, &err), TR_E_INVALID);
	tr_blobs_put(&empty, NULL, 0);
	assert_int_equal(tr_blobs_each(tr_buf_view(&empty), count, &n, &err), TR_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_order_is_approved_once),
		cmocka_unit_test(the_strictest_class_counts),
		cmocka_unit_test(what_cannot_be_read_is_not_approved),
		cmocka_unit_test(files_are_lists_of_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
