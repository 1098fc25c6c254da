/* SPDX-License-Identifier: Apache-2.0 */
/* One set of alerts on two nodes: what each stores the other puts together with its own, and both end up with the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fleet/alerts.h"

#include <stdio.h>

#define T0 INT64_C(1800000000000)

/* What a node has stored and the other has not read yet. */
struct node {
	struct tr_alerts *a;
	struct tr_buf out;
	unsigned stored, news;
};

static struct node nodes[2];

static void on_alert(void *arg, const struct tr_alert_row *r)
{
	struct node *n = arg;

	n->stored++;
	tr_records_add(&n->out, &tr_alert_def, r);
	assert_true(tr_buf_ok(&n->out));
}

static int set_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		nodes[i] = (struct node){ .a = tr_alerts_new(900, 0x123456789abcdefu * (i + 1), on_alert, &nodes[i]) };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		nodes[i].a = tr_alerts_free(nodes[i].a);
		tr_buf_done(&nodes[i].out);
	}
	return 0;
}

/* Everything one node has stored, read by the other. */
static void exchange(int64_t now, unsigned from)
{
	struct tr_buf mail = nodes[from].out;
	struct tr_view list = tr_buf_view(&mail), one;
	struct tr_alert_row row;
	struct tr_err err;

	nodes[from].out = TR_BUF_INIT;
	while (tr_records_next(&list, &one)) {
		assert_int_equal(tr_record_decode(&tr_alert_def, one, &row, &err), TR_OK);
		nodes[!from].news += tr_alerts_remote(nodes[!from].a, now, &row) != NULL;
	}
	tr_buf_done(&mail);
}

/* Until neither has anything to say; that must be soon. */
static void settle(int64_t now)
{
	unsigned turns = 0;

	for (; nodes[0].out.n || nodes[1].out.n; turns++) {
		assert_in_range(turns, 0, 4);
		exchange(now, 0);
		exchange(now, 1);
	}
}

static void raise_at(unsigned node, int64_t at, const char *kind, unsigned severity)
{
	const struct tr_alert what = { .kind = kind, .subject = TR_VIEW_LIT("agent:a"), .severity = severity,
				       .summary = TR_VIEW_LIT("it is so") };

	tr_alerts_raise(nodes[node].a, at, &what);
}

static const struct tr_alert_row *found(unsigned node, const char *kind)
{
	return tr_alerts_find(nodes[node].a, kind, TR_VIEW_LIT("agent:a"));
}

static void same(const char *kind)
{
	const struct tr_alert_row *x = found(0, kind), *y = found(1, kind);

	assert_non_null(x);
	assert_non_null(y);
	assert_true(tr_view_eq(x->id, y->id) && tr_view_eq(x->state, y->state) && tr_view_eq(x->acked_by, y->acked_by));
	assert_true(x->severity == y->severity && x->rev == y->rev && x->count == y->count && x->notified == y->notified);
}

static void what_one_opens_is_open_on_both(void **state)
{
	(void)state;
	raise_at(0, T0, "forked", 1);
	settle(T0);
	same("forked");
	assert_int_equal(nodes[1].news, 1);
	/* Nothing of it was stored a second time. */
	assert_int_equal(nodes[1].stored, 0);
	assert_int_equal(tr_alerts_open(nodes[1].a, 1), 1);
	tr_alerts_resolve(nodes[1].a, T0 + 1000, "forked", TR_VIEW_LIT("agent:a"), "it is over");
	settle(T0 + 1000);
	assert_null(found(0, "forked"));
	assert_null(found(1, "forked"));
	assert_int_equal(tr_alerts_open(nodes[0].a, 0), 0);
}

static void an_acknowledgement_is_not_lost(void **state)
{
	(void)state;
	raise_at(0, T0, "forked", 1);
	settle(T0);
	/* One counts while somebody answers at the other. */
	assert_true(tr_alerts_ack(nodes[1].a, T0 + 5, found(1, "forked")->id, TR_VIEW_LIT("operator:ann")));
	for (unsigned i = 0; i < 12; i++)
		raise_at(0, T0 + 5, "forked", 1);
	settle(T0 + 10);
	same("forked");
	assert_true(tr_view_is(found(0, "forked")->state, "acknowledged"));
	assert_true(tr_view_is(found(0, "forked")->acked_by, "operator:ann"));
	assert_int_equal(found(0, "forked")->count, 13);
}

static void worse_ends_an_acknowledgement_also_from_elsewhere(void **state)
{
	(void)state;
	raise_at(0, T0, "silence", 4);
	settle(T0);
	assert_true(tr_alerts_ack(nodes[1].a, T0 + 5, found(1, "silence")->id, TR_VIEW_LIT("operator:ann")));
	raise_at(0, T0 + 5, "silence", 2);
	settle(T0 + 10);
	same("silence");
	assert_true(tr_view_is(found(0, "silence")->state, "open"));
	assert_int_equal(found(1, "silence")->severity, 2);
	assert_int_equal(tr_alerts_open(nodes[1].a, 2), 1);
	assert_int_equal(tr_alerts_open(nodes[1].a, 4), 0);
}

static void closed_is_closed(void **state)
{
	(void)state;
	raise_at(0, T0, "forked", 1);
	settle(T0);
	assert_true(tr_alerts_close(nodes[1].a, T0 + 5, found(1, "forked")->id, TR_VIEW_LIT("operator:ann"), TR_VIEW_LIT("")));
	raise_at(0, T0 + 5, "forked", 1);
	settle(T0 + 10);
	assert_null(found(0, "forked"));
	assert_null(found(1, "forked"));
}

/* Opened at once on both: one stays. */
static void twins_become_one(void **state)
{
	char id[13];

	(void)state;
	raise_at(0, T0, "binary_changed", 1);
	raise_at(1, T0, "binary_changed", 1);
	(void)snprintf(id, sizeof(id), "%.12s", memcmp(found(0, "binary_changed")->id.p, found(1, "binary_changed")->id.p, 12) < 0 ?
							(const char *)found(0, "binary_changed")->id.p :
							(const char *)found(1, "binary_changed")->id.p);
	settle(T0 + 100);
	same("binary_changed");
	assert_memory_equal(found(0, "binary_changed")->id.p, id, 12);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(tr_alerts_open(nodes[i].a, 0), 1);
}

static bool count(void *arg, const struct tr_alert_row *row)
{
	(void)row;
	++*(unsigned *)arg;
	return true;
}

/* What one has told, the other need not tell when it takes over. */
static void delivered_once_is_delivered(void **state)
{
	unsigned left = 0;

	(void)state;
	raise_at(1, T0, "forked", 1);
	settle(T0);
	tr_alerts_undelivered(nodes[0].a, count, &left);
	assert_int_equal(left, 1);
	tr_alerts_notified(nodes[0].a, found(0, "forked")->id, 1);
	settle(T0 + 10);
	left = 0;
	tr_alerts_undelivered(nodes[1].a, count, &left);
	assert_int_equal(left, 0);
	same("forked");
}

static void one_reminds(void **state)
{
	(void)state;
	tr_alerts_remind(nodes[1].a, false);
	raise_at(1, T0, "forked", 1);
	settle(T0);
	for (int64_t t = T0; t < T0 + 3600000; t += 1000) {
		tr_alerts_tick(nodes[0].a, t);
		tr_alerts_tick(nodes[1].a, t);
		settle(t);
	}
	same("forked");
	assert_int_equal(found(0, "forked")->escalation, 3);
	/* It takes over: the next reminder is its own, when it is due. */
	tr_alerts_remind(nodes[0].a, false);
	tr_alerts_remind(nodes[1].a, true);
	for (int64_t t = T0 + 3600000; t < T0 + 2 * 3600000; t += 1000) {
		tr_alerts_tick(nodes[0].a, t);
		tr_alerts_tick(nodes[1].a, t);
		settle(t);
	}
	assert_in_range(found(1, "forked")->escalation, 7, 8);
	same("forked");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(what_one_opens_is_open_on_both),
		CASE(an_acknowledgement_is_not_lost),
		CASE(worse_ends_an_acknowledgement_also_from_elsewhere),
		CASE(closed_is_closed),
		CASE(twins_become_one),
		CASE(delivered_once_is_delivered),
		CASE(one_reminds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
