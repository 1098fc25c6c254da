/* SPDX-License-Identifier: Apache-2.0 */
/* PU-6: one alert per kind and subject, told when there is news, reminded of until somebody answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fleet/inner.h"

#include <stdio.h>

#define T0 INT64_C(1800000000000)
#define MIN INT64_C(60000)

static struct {
	unsigned calls;
	uint64_t severity, rev, count, escalation, notified;
	char id[16], state[16], why[300], who[100], summary[600], action[600], cause[140];
} told;

static void text(char *to, size_t n, struct tr_view v)
{
	(void)snprintf(to, n, "%.*s", TR_VIEW_FMT(v));
}

static void on_alert(void *arg, const struct tr_alert_row *r)
{
	tr_auto(tr_buf_done) struct tr_buf encoded = TR_BUF_INIT;

	(void)arg;
	told.calls++;
	told.severity = r->severity;
	told.rev = r->rev;
	told.count = r->count;
	told.escalation = r->escalation;
	told.notified = r->notified;
	text(told.id, sizeof(told.id), r->id);
	text(told.state, sizeof(told.state), r->state);
	text(told.why, sizeof(told.why), r->resolved_why);
	text(told.who, sizeof(told.who), r->acked_by);
	text(told.summary, sizeof(told.summary), r->summary);
	text(told.action, sizeof(told.action), r->action);
	text(told.cause, sizeof(told.cause), r->cause);
	/* Whatever is told can be stored. */
	tr_record_encode(&tr_alert_def, r, &encoded);
	assert_true(tr_buf_ok(&encoded));
}

static struct tr_alerts *new_alerts(void)
{
	memset(&told, 0, sizeof(told));
	return tr_alerts_new(900, 0x1234567890abcdef, on_alert, NULL);
}

static void raise_it(struct tr_alerts *a, int64_t at, const char *kind, const char *subject, unsigned severity)
{
	const struct tr_alert what = { .kind = kind, .subject = tr_view_str(subject), .severity = severity,
				       .summary = tr_view_str(subject) };

	tr_alerts_raise(a, at, &what);
}

static struct tr_view last_id(void)
{
	return tr_view_str(told.id);
}

static void one_alert_per_kind_and_subject(void **state)
{
	tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();

	(void)state;
	raise_it(a, T0, "silence", "agent:a", 4);
	raise_it(a, T0, "silence", "agent:b", 4);
	raise_it(a, T0, "forked", "agent:a", 1);
	raise_it(a, T0 + 1, "silence", "agent:a", 4);
	assert_int_equal(tr_alerts_open(a, 0), 3);
	assert_int_equal(tr_alerts_open(a, 4), 2);
	assert_int_equal(tr_alerts_open(a, 1), 1);
	assert_int_equal(tr_alerts_find(a, "silence", TR_VIEW_LIT("agent:a"))->count, 2);
	assert_null(tr_alerts_find(a, "silence", TR_VIEW_LIT("agent:")));
	assert_null(tr_alerts_find(a, "silenc", TR_VIEW_LIT("eagent:a")));
}

/* At which counts a repetition is stored, and at which people hear of it. */
static void repetitions_are_told_at_milestones(void **state)
{
	tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();
	unsigned calls = 0;
	uint64_t rev = 0;

	(void)state;
	for (unsigned n = 1; n <= 1000; n++) {
		bool stored = n == 1 || n == 2 || n == 10 || n == 100 || n == 1000, heard = stored && n != 2;

		raise_it(a, T0 + n, "attack_traffic", "source:192.0.2.7", 3);
		calls += stored;
		rev += heard;
		assert_int_equal(told.calls, calls);
		assert_int_equal(told.rev, rev);
	}
	raise_it(a, T0 + 1000 + MIN - 1, "attack_traffic", "source:192.0.2.7", 3);
	assert_int_equal(told.calls, calls);
	raise_it(a, T0 + 1000 + MIN, "attack_traffic", "source:192.0.2.7", 3);
	assert_int_equal(told.calls, calls + 1);
	assert_int_equal(told.rev, rev);
	assert_int_equal(told.count, 1002);
	assert_string_equal(told.action, "see what 192.0.2.7 sent (`troth agent watch`, or `troth agent events` of the agent that it "
					 "names) and block the address in the firewall; no agent's state was changed by it");
}

static void worse_is_told_and_ends_an_acknowledgement(void **state)
{
	tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();

	(void)state;
	raise_it(a, T0, "silence", "agent:a", 4);
	assert_true(tr_alerts_ack(a, T0 + 1, last_id(), TR_VIEW_LIT("operator:ann")));
	assert_string_equal(told.state, "acknowledged");
	assert_string_equal(told.who, "operator:ann");
	assert_int_equal(told.rev, 2);
	assert_true(tr_alerts_ack(a, T0 + 2, last_id(), TR_VIEW_LIT("operator:bob")));
	assert_int_equal(told.calls, 2);
	raise_it(a, T0 + 3, "silence", "agent:a", 2);
	assert_int_equal(told.calls, 3);
	assert_string_equal(told.state, "open");
	assert_string_equal(told.who, "");
	assert_int_equal(told.severity, 2);
	assert_int_equal(tr_alerts_open(a, 4), 0);
	assert_int_equal(tr_alerts_open(a, 2), 1);
	/* Less urgent again changes neither severity nor summary. */
	raise_it(a, T0 + 4, "silence", "agent:a", 4);
	assert_int_equal(tr_alerts_open(a, 2), 1);
}

static void the_end_is_told_once(void **state)
{
	tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();

	(void)state;
	tr_alerts_resolve(a, T0, "silence", TR_VIEW_LIT("agent:a"), "it speaks again");
	assert_int_equal(told.calls, 0);
	raise_it(a, T0, "silence", "agent:a", 4);
	tr_alerts_resolve(a, T0 + 5, "silence", TR_VIEW_LIT("agent:a"), "it speaks again");
	assert_int_equal(told.calls, 2);
	assert_string_equal(told.state, "resolved");
	assert_string_equal(told.why, "it speaks again");
	assert_null(tr_alerts_by_id(a, last_id()));
	assert_false(tr_alerts_ack(a, T0 + 6, last_id(), TR_VIEW_LIT("operator:ann")));
	assert_false(tr_alerts_close(a, T0 + 6, last_id(), TR_VIEW_LIT("operator:ann"), TR_VIEW_LIT("")));
	tr_alerts_resolve(a, T0 + 6, "silence", TR_VIEW_LIT("agent:a"), "it speaks again");
	assert_int_equal(told.calls, 2);
	/* The next one is a new one. */
	raise_it(a, T0 + 7, "silence", "agent:a", 4);
	assert_int_equal(told.rev, 1);
	assert_int_equal(tr_alerts_open(a, 0), 1);
}

static void an_operator_closes_with_name_and_reason(void **state)
{
	tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();

	(void)state;
	raise_it(a, T0, "restored", "agent:a", 2);
	assert_false(tr_alerts_close(a, T0, TR_VIEW_LIT("000000000000"), TR_VIEW_LIT("x"), TR_VIEW_LIT("y")));
	assert_true(tr_alerts_close(a, T0 + 9, last_id(), TR_VIEW_LIT("operator:ann"), TR_VIEW_LIT("restored by us")));
	assert_string_equal(told.state, "resolved");
	assert_string_equal(told.why, "closed by operator:ann: restored by us");
	assert_string_equal(told.who, "operator:ann");
	assert_int_equal(tr_alerts_open(a, 0), 0);
}

static void only_urgent_and_unanswered_ones_are_reminded_of(void **state)
{
	static const struct {
		unsigned severity;
		bool ack;
		unsigned reminders; /* in an hour, every 15 minutes */
	} cases[] = { { 1, false, 4 }, { 2, false, 4 }, { 3, false, 0 }, { 4, false, 0 }, { 1, true, 0 }, { 2, true, 0 } };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();

		raise_it(a, T0, "forked", "agent:a", cases[i].severity);
		if (cases[i].ack)
			assert_true(tr_alerts_ack(a, T0, last_id(), TR_VIEW_LIT("operator:ann")));
		told.calls = 0;
		for (int64_t s = 1; s <= 3600; s++)
			tr_alerts_tick(a, T0 + s * 1000);
		assert_int_equal(told.calls, cases[i].reminders);
		assert_int_equal(told.escalation, cases[i].reminders);
	}
}

struct seen {
	size_t n;
	int64_t opened[8];
};

static bool note(void *arg, const struct tr_alert_row *r)
{
	struct seen *s = arg;

	s->opened[s->n++] = r->opened_at;
	return s->n < TR_ARRAY_LEN(s->opened);
}

static void loaded_ones_go_on(void **state)
{
	tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();
	struct tr_alert_row row = { .id = TR_VIEW_LIT("7fffffffffff"), .kind = TR_VIEW_LIT("forked"),
				    .subject = TR_VIEW_LIT("agent:a"), .severity = 1, .state = TR_VIEW_LIT("open"),
				    .summary = TR_VIEW_LIT("s"), .cause = TR_VIEW_LIT("identity"), .opened_at = T0 - 5000,
				    .updated_at = T0 - 5000, .count = 7, .rev = 3, .notified = 2 };
	struct seen s = { 0 };

	(void)state;
	tr_alerts_load(a, &row);
	row.id = TR_VIEW_LIT("000000000001");
	row.subject = TR_VIEW_LIT("agent:b");
	row.opened_at = T0 - 9000;
	tr_alerts_load(a, &row);
	row.id = TR_VIEW_LIT("000000000002");
	row.subject = TR_VIEW_LIT("agent:c");
	row.opened_at = T0 - 7000;
	row.acked_at = T0 - 6000;
	tr_alerts_load(a, &row);
	row.id = TR_VIEW_LIT("000000000003");
	row.subject = TR_VIEW_LIT("agent:d");
	row.resolved_at = T0;
	tr_alerts_load(a, &row);
	/* A later revision counts, an earlier one does not. */
	row.id = TR_VIEW_LIT("000000000001");
	row.rev = 4;
	tr_alerts_load(a, &row);
	assert_int_equal(tr_alerts_open(a, 0), 2);
	row.resolved_at = row.acked_at = 0;
	row.subject = TR_VIEW_LIT("agent:b");
	row.opened_at = T0 - 9000;
	tr_alerts_load(a, &row);
	row.rev = 2;
	row.severity = 5;
	tr_alerts_load(a, &row);
	assert_int_equal(tr_alerts_open(a, 1), 3);
	assert_int_equal(told.calls, 0);
	assert_int_equal(tr_alerts_open(a, 0), 3);
	assert_true(tr_view_is(tr_alerts_find(a, "forked", TR_VIEW_LIT("agent:c"))->state, "acknowledged"));
	/* Newest first, whatever the order of the rows. */
	tr_alerts_each(a, note, &s);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.opened[0], T0 - 5000);
	assert_int_equal(s.opened[1], T0 - 7000);
	assert_int_equal(s.opened[2], T0 - 9000);
	/* New ids rise above all that are known, and what was open counts on. */
	raise_it(a, T0, "silence", "agent:z", 4);
	assert_string_equal(told.id, "800000000000");
	raise_it(a, T0 + MIN, "forked", "agent:a", 1);
	assert_int_equal(told.count, 8);
	assert_int_equal(told.rev, 3);
	tr_alerts_tick(a, T0 - 5000 + 15 * MIN);
	assert_int_equal(told.escalation, 1);
}

static void ids_name_one_alert_across_starts(void **state)
{
	static char ids[2][3][16];

	(void)state;
	for (unsigned run = 0; run < 2; run++) {
		const uint64_t seed = run ? 0xfeedfacecafe1234 : 0x1234;
		tr_auto(tr_alerts_free) struct tr_alerts *a = tr_alerts_new(0, seed, on_alert, NULL);

		for (unsigned i = 0; i < 3; i++) {
			raise_it(a, T0, "silence", i == 0 ? "agent:a" : i == 1 ? "agent:b" : "agent:c", 4);
			memcpy(ids[run][i], told.id, sizeof(told.id));
			assert_int_equal(strlen(told.id), 12);
			assert_true(i == 0 || strcmp(ids[run][i], ids[run][i - 1]) > 0);
			assert_non_null(tr_alerts_by_id(a, last_id()));
		}
	}
	for (unsigned i = 0; i < 9; i++)
		assert_string_not_equal(ids[0][i / 3], ids[1][i % 3]);
}

static bool count_one(void *arg, const struct tr_alert_row *r)
{
	(void)r;
	++*(size_t *)arg;
	return true;
}

static size_t undelivered(const struct tr_alerts *a)
{
	size_t n = 0;

	tr_alerts_undelivered(a, count_one, &n);
	return n;
}

static void what_egress_delivered_is_not_sent_again(void **state)
{
	tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();
	char id[16];

	(void)state;
	raise_it(a, T0, "silence", "agent:a", 4);
	memcpy(id, told.id, sizeof(id));
	raise_it(a, T0, "silence", "agent:a", 2);
	assert_int_equal(undelivered(a), 1);
	tr_alerts_notified(a, tr_view_str(id), 1);
	assert_int_equal(undelivered(a), 1);
	assert_int_equal(told.calls, 2);
	tr_alerts_notified(a, tr_view_str(id), 2);
	assert_int_equal(undelivered(a), 0);
	assert_int_equal(told.calls, 3); /* stored, and nothing to tell: rev == notified */
	assert_int_equal(told.rev, told.notified);
	/* Old news, or news of the future, change nothing. */
	tr_alerts_notified(a, tr_view_str(id), 1);
	tr_alerts_notified(a, tr_view_str(id), 99);
	tr_alerts_notified(a, TR_VIEW_LIT("nonsense"), 1);
	assert_int_equal(told.calls, 3);
	/* The end of it must arrive too, after it is open no more. */
	tr_alerts_resolve(a, T0, "silence", TR_VIEW_LIT("agent:a"), "it speaks again");
	assert_int_equal(undelivered(a), 1);
	tr_alerts_notified(a, tr_view_str(id), 3);
	assert_int_equal(undelivered(a), 0);
	tr_alerts_notified(a, tr_view_str(id), 3);
}

static void memory_is_bounded_and_urgent_ones_come_last(void **state)
{
	tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();
	char subject[32];

	(void)state;
	for (unsigned i = 0; i < TR_ALERTS_MAX + 5; i++) {
		(void)snprintf(subject, sizeof(subject), "source:%u", i);
		raise_it(a, T0, "attack_traffic", subject, 3);
	}
	assert_int_equal(tr_alerts_open(a, 0), TR_ALERTS_MAX);
	assert_int_equal(tr_alerts_dropped(a), 5);
	raise_it(a, T0, "silence", "agent:a", 2);
	raise_it(a, T0, "forked", "agent:a", 1);
	assert_int_equal(tr_alerts_open(a, 0), TR_ALERTS_MAX + 2);
	for (unsigned i = 0; i < TR_ALERTS_MAX; i++) {
		(void)snprintf(subject, sizeof(subject), "agent:%u", i);
		raise_it(a, T0, "silence", subject, 2);
	}
	assert_int_equal(tr_alerts_open(a, 0), 2 * TR_ALERTS_MAX);
	raise_it(a, T0, "forked", "agent:b", 1);
	assert_non_null(tr_alerts_find(a, "forked", TR_VIEW_LIT("agent:b")));
	/* What is known still counts and rises. */
	raise_it(a, T0, "attack_traffic", "source:7", 2);
	assert_int_equal(tr_alerts_find(a, "attack_traffic", TR_VIEW_LIT("source:7"))->severity, 2);
	/* Of the resolved ones that nobody delivers only the last are kept. */
	for (unsigned i = 0; i < TR_ALERTS_MAX; i++) {
		(void)snprintf(subject, sizeof(subject), "source:%u", i);
		tr_alerts_resolve(a, T0 + 1, "attack_traffic", tr_view_str(subject), "quiet");
	}
	assert_int_equal(undelivered(a), tr_alerts_open(a, 0) + TR_ALERTS_GONE_MAX);
}

static void long_texts_are_cut_at_a_character(void **state)
{
	tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();
	char s[601];
	struct tr_alert what = { .kind = "silence", .subject = TR_VIEW_LIT("agent:a") };

	(void)state;
	s[0] = 'x';
	for (size_t i = 1; i + 1 < sizeof(s); i += 2)
		memcpy(s + i, "\xc3\xa4", 2);
	what.summary = tr_view(s, 599);
	tr_alerts_raise(a, T0, &what);
	assert_int_equal(strlen(told.summary), 511);
	/* What the raise leaves out comes from the kind; the agent's name is filled in. */
	assert_int_equal(told.severity, 4);
	assert_string_equal(told.cause, "silence");
	assert_non_null(strstr(told.action, "`troth agent explain a`"));
}

/* A hostile agent turns its LSM off and on in each pulse. */
static void what_comes_and_goes_is_one_alert(void **state)
{
	tr_auto(tr_alerts_free) struct tr_alerts *a = new_alerts();
	int64_t at = T0;

	(void)state;
	for (int i = 0; i < 1000; i++, at += 200) {
		raise_it(a, at, "lsm_down", "agent:x", 2);
		tr_alerts_resolve(a, at + 100, "lsm_down", tr_view_str("agent:x"), "active again");
	}
	/* Three that came and went, then one that counts: 2, 10, 100, and once a minute. */
	assert_true(told.calls <= 3 * 2 + 1 + 3 + 4);
	assert_int_equal(tr_alerts_open(a, 2), 1);
	assert_int_equal(told.count >= 100, 1);
	/* Another agent's is not held up by it. */
	raise_it(a, at, "lsm_down", "agent:y", 2);
	tr_alerts_resolve(a, at, "lsm_down", tr_view_str("agent:y"), "active again");
	assert_string_equal(told.state, "resolved");
	assert_string_equal(told.why, "active again");
	tr_alerts_tick(a, at + 10 * MIN - 1000);
	assert_int_equal(tr_alerts_open(a, 2), 1);
	tr_alerts_tick(a, at + 10 * MIN);
	assert_int_equal(tr_alerts_open(a, 2), 0);
	assert_string_equal(told.state, "resolved");
	assert_non_null(strstr(told.why, "calm"));
	/* While the condition stands, it does not end, however calm. */
	for (int i = 0; i < 4; i++) {
		tr_alerts_resolve(a, at, "lsm_down", tr_view_str("agent:z"), "active again");
		raise_it(a, at, "lsm_down", "agent:z", 3);
	}
	tr_alerts_tick(a, at + 60 * MIN);
	assert_int_equal(tr_alerts_open(a, 3), 1);
}

static void every_kind_says_what_to_do(void **state)
{
	size_t n;
	const struct tr_alert_kind *k = tr_alert_kinds(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(k[i].slug) <= 32);
		assert_true(k[i].severity >= 1 && k[i].severity <= 5);
		assert_true(strlen(k[i].cause) > 0 && strlen(k[i].action) > 30);
		assert_true(strlen(k[i].action) + 3 * 64 < 512);
		assert_ptr_equal(tr_alert_kind(k[i].slug), &k[i]);
		assert_ptr_equal(tr_alert_action(k[i].slug), k[i].action);
	}
	assert_null(tr_alert_kind("nonsense"));
	assert_string_equal(tr_alert_action("nonsense"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_alert_per_kind_and_subject),
		cmocka_unit_test(repetitions_are_told_at_milestones),
		cmocka_unit_test(worse_is_told_and_ends_an_acknowledgement),
		cmocka_unit_test(the_end_is_told_once),
		cmocka_unit_test(an_operator_closes_with_name_and_reason),
		cmocka_unit_test(only_urgent_and_unanswered_ones_are_reminded_of),
		cmocka_unit_test(loaded_ones_go_on),
		cmocka_unit_test(ids_name_one_alert_across_starts),
		cmocka_unit_test(what_egress_delivered_is_not_sent_again),
		cmocka_unit_test(memory_is_bounded_and_urgent_ones_come_last),
		cmocka_unit_test(long_texts_are_cut_at_a_character),
		cmocka_unit_test(what_comes_and_goes_is_one_alert),
		cmocka_unit_test(every_kind_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
