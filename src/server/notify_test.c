/* SPDX-License-Identifier: Apache-2.0 */
#include "server/notify.h"

#include "codec/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define V(s) TR_VIEW_LIT(s)

static const struct tr_alert_row sample = {
	.id = V("a1b2c3d4e5f6"),
	.kind = V("silence"),
	.subject = V("agent:web-1"),
	.severity = 2,
	.state = V("open"),
	.summary = V("web-1 is lost."),
	.action = V("Look at the host."),
	.cause = V("silence"),
	.opened_at = 1763800000000,
	.updated_at = 1763800001500,
	.count = 1,
	.rev = 1,
};

static void assert_text(struct tr_buf *b, const char *want)
{
	assert_string_equal(tr_buf_cstr(b), want);
	tr_buf_done(b);
}

/* ---- text ---- */

static void severities_are_syslogs(void **state)
{
	static const struct {
		uint64_t severity;
		const char *state;
		unsigned level;
		const char *name;
	} cases[] = {
		{ 1, "open", 2, "critical" },	{ 2, "acknowledged", 3, "error" }, { 3, "open", 4, "warning" },
		{ 4, "open", 5, "notice" },	{ 5, "open", 6, "info" },	   { 0, "open", 2, "critical" },
		{ 99, "open", 6, "info" },	{ 1, "resolved", 5, "critical" },  { 5, "resolved", 6, "info" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_alert_row a = sample;

		a.severity = cases[i].severity;
		a.state = tr_view_str(cases[i].state);
		assert_int_equal(tr_notify_level(&a), cases[i].level);
		assert_string_equal(tr_notify_severity(a.severity), cases[i].name);
	}
}

static void text_is_one_line(void **state)
{
	struct tr_alert_row a = sample;
	struct tr_buf b = TR_BUF_INIT;

	(void)state;
	tr_notify_text(&a, &b);
	assert_text(&b, "web-1 is lost. Look at the host.");
	a.state = V("acknowledged");
	a.acked_by = V("operator:ann");
	tr_notify_text(&a, &b);
	assert_text(&b, "acknowledged by operator:ann: web-1 is lost. Look at the host.");
	a.state = V("resolved");
	a.resolved_why = V("it speaks\nagain");
	tr_notify_text(&a, &b);
	assert_text(&b, "resolved: web-1 is lost. (it speaks again)");
}

static void cleaning_cuts_between_characters(void **state)
{
	static const struct {
		const char *in;
		size_t max;
		const char *escape, *out;
	} cases[] = {
		{ "plain", 10, "", "plain" },
		{ "a\nb\r\tc\x7f" "d", 20, "", "a b  c d" },
		{ "a\xc2\x85" "b", 20, "", "a b" }, /* next line, as one character */
		{ "\xc3\xbc\xc3\xbc", 3, "", "\xc3\xbc" },
		{ "\xf0\x9f\x98\x80", 3, "", "" },
		{ "a\"b]c\\", 20, "\"\\]", "a\\\"b\\]c\\\\" },
		{ "", 5, "\"", "" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_buf b = TR_BUF_INIT;

		tr_notify_clean(&b, tr_view_str(cases[i].in), cases[i].max, cases[i].escape);
		assert_text(&b, cases[i].out);
	}
}

static void syslog_line_is_golden(void **state)
{
	const struct tr_syslog_self self = { "control 1.example", 42, 32473 };
	struct tr_alert_row a = sample;
	struct tr_buf b = TR_BUF_INIT;
	char big[600];

	(void)state;
	tr_syslog_line(&self, &a, &b);
	assert_text(&b, "<27>1 2025-11-22T08:26:41.500Z control1.example trothd 42 silence [troth@32473 "
			"id=\"a1b2c3d4e5f6\" severity=\"2\" subject=\"agent:web-1\" kind=\"silence\" state=\"open\"] "
			"web-1 is lost. Look at the host.");
	/* Nothing from outside ends the element, the line or the header. */
	a.subject = V("agent:x\"] [evil@1 a=\"\\\n<0>1 -");
	a.kind = V("odd kind\n");
	a.summary = V("\xc3\xbc.");
	a.action = V("");
	tr_syslog_line(&self, &a, &b);
	assert_text(&b, "<27>1 2025-11-22T08:26:41.500Z control1.example trothd 42 oddkind [troth@32473 "
			"id=\"a1b2c3d4e5f6\" severity=\"2\" subject=\"agent:x\\\"\\] [evil@1 a=\\\"\\\\ <0>1 -\" "
			"kind=\"odd kind \" state=\"open\"] \xef\xbb\xbf\xc3\xbc.");
	memset(big, '"', sizeof(big));
	a.subject = a.kind = a.summary = a.action = tr_view(big, sizeof(big));
	tr_syslog_line(&self, &a, &b);
	assert_in_range(b.n, 1000, TR_SYSLOG_MAX);
	tr_buf_done(&b);
}

static void journal_entry_is_golden(void **state)
{
	struct tr_alert_row a = sample;
	struct tr_buf b = TR_BUF_INIT;
	static const char want[] = "MESSAGE=web-1 is  lost. Look at the host.\nPRIORITY=3\nSYSLOG_IDENTIFIER=trothd\n"
				   "MESSAGE_ID=6d3f7c1fe09a4d0d9d8e52c1b0a87b15\nTROTH_ALERT_ID=a1b2c3d4e5f6\n"
				   "TROTH_REV=1\nTROTH_KIND=silence\nTROTH_SUBJECT\n\x05\0\0\0\0\0\0\0a\nB=c\n"
				   "TROTH_SEVERITY=2\nTROTH_STATE=open\nTROTH_CAUSE=silence\n"
				   "TROTH_SUMMARY\n\x0f\0\0\0\0\0\0\0web-1 is\n lost.\nTROTH_ACTION=Look at the host.\n";

	(void)state;
	a.subject = V("a\nB=c");
	a.summary = V("web-1 is\n lost.");
	tr_journald_entry(&a, &b);
	assert_int_equal(b.n, sizeof(want) - 1);
	assert_memory_equal(b.p, want, sizeof(want) - 1);
	tr_buf_done(&b);
}

/* ---- webhook ---- */

static void body_is_golden(void **state)
{
	struct tr_alert_row a = sample, c = sample;
	const struct tr_alert_row *rows[] = { &a, &c };
	struct tr_buf b = TR_BUF_INIT;

	(void)state;
	c.id = V("ffffffffffff");
	c.subject = V("partition:lab");
	c.state = V("resolved");
	c.resolved_at = 1763800060000;
	c.resolved_why = V("\"back\"");
	c.cause = a.cause = V("a\"b");
	tr_webhook_body("https://c.example", rows, 2, &b);
	assert_text(&b,
		    "{\"version\":\"4\",\"groupKey\":\"{}:{cause=\\\"a\\\\\\\"b\\\"}\",\"truncatedAlerts\":0,"
		    "\"status\":\"firing\",\"receiver\":\"troth\",\"groupLabels\":{\"cause\":\"a\\\"b\"},"
		    "\"commonLabels\":{\"alertname\":\"silence\",\"severity\":\"error\"},"
		    "\"commonAnnotations\":{\"summary\":\"web-1 is lost.\",\"action\":\"Look at the host.\"},"
		    "\"externalURL\":\"https://c.example\",\"alerts\":["
		    "{\"status\":\"firing\",\"labels\":{\"alertname\":\"silence\",\"severity\":\"error\","
		    "\"subject\":\"agent:web-1\",\"agent\":\"web-1\"},\"annotations\":{\"summary\":\"web-1 is lost.\","
		    "\"action\":\"Look at the host.\"},\"startsAt\":\"2025-11-22T08:26:40.000Z\","
		    "\"endsAt\":\"0001-01-01T00:00:00Z\",\"generatorURL\":\"https://c.example/api/v1/alerts/a1b2c3d4e5f6\","
		    "\"fingerprint\":\"7ee5718456d49138\"},"
		    "{\"status\":\"resolved\",\"labels\":{\"alertname\":\"silence\",\"severity\":\"error\","
		    "\"subject\":\"partition:lab\",\"partition\":\"lab\"},\"annotations\":{\"summary\":\"web-1 is lost.\","
		    "\"action\":\"Look at the host.\",\"resolved_why\":\"\\\"back\\\"\"},"
		    "\"startsAt\":\"2025-11-22T08:26:40.000Z\",\"endsAt\":\"2025-11-22T08:27:40.000Z\","
		    "\"generatorURL\":\"https://c.example/api/v1/alerts/ffffffffffff\","
		    "\"fingerprint\":\"73d34d9a8bdf5d09\"}]}");
}

static void message_id_is_of_the_rows(void **state)
{
	struct tr_alert_row a = sample, c = sample;
	const struct tr_alert_row *rows[] = { &a, &c };
	char one[TR_WEBHOOK_ID_LEN], again[TR_WEBHOOK_ID_LEN], two[TR_WEBHOOK_ID_LEN];

	(void)state;
	tr_webhook_id(rows, 1, one);
	a.summary = V("other words");
	tr_webhook_id(rows, 1, again);
	assert_string_equal(one, again);
	assert_int_equal(strlen(one), TR_WEBHOOK_ID_LEN - 1);
	tr_webhook_id(rows, 2, two);
	assert_string_not_equal(one, two);
	a.rev = 2;
	tr_webhook_id(rows, 1, two);
	assert_string_not_equal(one, two);
}

/* The published example of Standard Webhooks. */
static void signature_is_the_published_one(void **state)
{
	struct tr_buf key = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_webhook_secret(V("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), &key, &err), TR_OK);
	tr_webhook_sign(tr_buf_view(&key), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, V("{\"test\": 2432232314}"), &b);
	assert_text(&b, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
	tr_buf_done(&key);
}

static void secrets_are_checked(void **state)
{
	static const char *const bad[] = {
		"", "\n", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_c2hvcnQ=",
		"whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nx",
		/* 65 bytes */
		"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
		struct tr_buf key = TR_BUF_INIT;
		struct tr_err err;

		if (tr_webhook_secret(tr_view_str(bad[i]), &key, &err) != TR_E_INVALID)
			fail_msg("\"%s\"", bad[i]);
		tr_buf_done(&key);
	}
}

/* ---- the queue ---- */

struct ends {
	char id[32];
	uint64_t rev;
	bool delivered;
	unsigned n;
};

static void on_end(void *arg, struct tr_view id, uint64_t rev, bool delivered)
{
	struct ends *e = arg;

	(void)snprintf(e->id, sizeof(e->id), "%.*s", TR_VIEW_FMT(id));
	e->rev = rev;
	e->delivered = delivered;
	e->n++;
}

static void put(struct tr_outbox *o, uint64_t now, const char *id, uint64_t rev, uint64_t severity, const char *cause)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_alert_row a = sample;
	struct tr_err err;

	a.id = tr_view_str(id);
	a.rev = rev;
	a.severity = severity;
	a.cause = tr_view_str(cause);
	tr_record_encode(&tr_alert_def, &a, &b);
	assert_int_equal(tr_outbox_put(o, now, tr_buf_view(&b), &err), TR_OK);
}

#define HOOK TR_SINK_WEBHOOK
#define LOG TR_SINK_SYSLOG
#define BITS ((1u << HOOK) | (1u << LOG))

static size_t take(struct tr_outbox *o, uint64_t now, enum tr_sink_id sink, uint64_t *wait)
{
	const struct tr_alert_row *rows[64];

	return tr_outbox_take(o, now, sink, sink == HOOK, 64, rows, wait);
}

static void delivered_is_when_every_sink_took_it(void **state)
{
	struct ends e = { .n = 0 };
	struct tr_outbox *o = tr_outbox_new(BITS, on_end, &e);
	uint64_t wait;

	(void)state;
	put(o, 1000, "a", 1, 1, "c");
	assert_int_equal(take(o, 1000, LOG, &wait), 1);
	tr_outbox_said(o, 1000, LOG, TR_SAID_TAKEN, 0, 0);
	assert_int_equal(take(o, 1000, LOG, &wait), 0);
	assert_true(wait == UINT64_MAX);
	assert_int_equal(e.n, 0);
	/* The webhook waits for others of the cause. */
	assert_int_equal(take(o, 2999, HOOK, &wait), 0);
	assert_int_equal(wait, 1);
	put(o, 2999, "b", 1, 1, "c");
	put(o, 2999, "other", 1, 5, "d");
	assert_int_equal(take(o, 3000, HOOK, &wait), 2);
	tr_outbox_said(o, 3000, HOOK, TR_SAID_TAKEN, 0, 0);
	assert_int_equal(e.n, 1);
	assert_string_equal(e.id, "a");
	assert_true(e.delivered);
	assert_int_equal(tr_outbox_count(o), 2);
	(void)tr_outbox_free(o);
}

static void a_sink_that_fails_is_left_alone_for_a_while(void **state)
{
	struct ends e = { .n = 0 };
	struct tr_outbox *o = tr_outbox_new(1u << LOG, on_end, &e);
	uint64_t wait, now = 0;

	(void)state;
	put(o, now, "a", 1, 1, "c");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(take(o, now, LOG, &wait), i ? 2 : 1);
		tr_outbox_said(o, now, LOG, TR_SAID_LATER, 0, 0);
		put(o, now, "b", i + 1, 1, "c"); /* what is new waits as well */
		assert_int_equal(take(o, now, LOG, &wait), 0);
		assert_int_equal(wait, 1000u << i);
		now += wait;
	}
	assert_int_equal(take(o, now, LOG, &wait), 2);
	/* A receiver's wish is heard, within reason. */
	tr_outbox_said(o, now, LOG, TR_SAID_LATER, 60000, 0);
	assert_int_equal(take(o, now, LOG, &wait), 0);
	assert_int_equal(wait, 60000);
	now += wait;
	assert_int_equal(take(o, now, LOG, &wait), 2);
	tr_outbox_said(o, now, LOG, TR_SAID_LATER, UINT64_MAX, 0);
	(void)take(o, now, LOG, &wait);
	assert_int_equal(wait, TR_RETRY_AFTER_MAX_MS);
	now += wait;
	assert_int_equal(take(o, now, LOG, &wait), 2);
	tr_outbox_said(o, now, LOG, TR_SAID_TAKEN, 0, 0);
	put(o, now, "c", 1, 1, "c");
	assert_int_equal(take(o, now, LOG, &wait), 1);
	tr_outbox_said(o, now, LOG, TR_SAID_LATER, 0, 0);
	(void)take(o, now, LOG, &wait);
	assert_int_equal(wait, 1000); /* from the start again */
	(void)tr_outbox_free(o);
}

static void after_a_day_it_is_given_up(void **state)
{
	struct ends e = { .n = 0 };
	struct tr_outbox *o = tr_outbox_new(BITS, on_end, &e);
	uint64_t wait, now;

	(void)state;
	put(o, 0, "a", 1, 1, "c");
	assert_int_equal(take(o, 0, LOG, &wait), 1);
	tr_outbox_said(o, 0, LOG, TR_SAID_TAKEN, 0, 0);
	for (now = 2000; now < TR_OUTBOX_TRY_MS; now += wait) {
		assert_int_equal(take(o, now, HOOK, &wait), 1);
		tr_outbox_said(o, now, HOOK, TR_SAID_LATER, 0, 0);
		assert_int_equal(take(o, now, HOOK, &wait), 0);
		assert_in_range(wait, 1000, TR_RETRY_LAST_MS);
	}
	assert_int_equal(e.n, 0);
	assert_int_equal(take(o, now, HOOK, &wait), 0);
	assert_int_equal(e.n, 1);
	assert_false(e.delivered);
	/* Offered again: who took it is not told twice. */
	put(o, now, "a", 1, 1, "c");
	assert_int_equal(take(o, now + 2000, LOG, &wait), 0);
	now += TR_RETRY_LAST_MS;
	assert_int_equal(take(o, now, HOOK, &wait), 1);
	tr_outbox_said(o, now, HOOK, TR_SAID_TAKEN, 0, 0);
	assert_int_equal(e.n, 2);
	assert_true(e.delivered);
	/* A newer revision is news to all. */
	put(o, now, "a", 2, 1, "c");
	assert_int_equal(take(o, now, LOG, &wait), 1);
	(void)tr_outbox_free(o);
}

static void newer_replaces_and_older_is_ignored(void **state)
{
	struct ends e = { .n = 0 };
	struct tr_outbox *o = tr_outbox_new(1u << LOG, on_end, &e);
	uint64_t wait;

	(void)state;
	put(o, 0, "a", 5, 1, "c");
	assert_int_equal(take(o, 0, LOG, &wait), 1);
	put(o, 0, "a", 6, 1, "c"); /* while 5 is on its way */
	put(o, 0, "a", 5, 1, "c");
	put(o, 0, "a", 6, 1, "c");
	tr_outbox_said(o, 0, LOG, TR_SAID_TAKEN, 0, 0);
	assert_int_equal(e.n, 0); /* core waits for 6 */
	assert_int_equal(tr_outbox_count(o), 1);
	assert_int_equal(take(o, 0, LOG, &wait), 1);
	tr_outbox_said(o, 0, LOG, TR_SAID_TAKEN, 0, 0);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.rev, 6);
	(void)tr_outbox_free(o);
}

static void when_full_the_oldest_of_the_least_goes(void **state)
{
	struct ends e = { .n = 0 };
	struct tr_outbox *o = tr_outbox_new(1u << LOG, on_end, &e);
	char id[16];

	(void)state;
	for (unsigned i = 0; i < TR_OUTBOX_MAX; i++) {
		(void)snprintf(id, sizeof(id), "n%u", i);
		put(o, 0, id, 1, i == 0 ? 1 : i < 3 ? 4 : 3, "c");
	}
	assert_int_equal(e.n, 0);
	put(o, 0, "new", 1, 5, "c"); /* less than all */
	assert_string_equal(e.id, "new");
	put(o, 0, "new", 1, 4, "c");
	assert_string_equal(e.id, "n1");
	put(o, 0, "worst", 1, 1, "c");
	assert_string_equal(e.id, "n2");
	assert_false(e.delivered);
	assert_int_equal(e.n, 3);
	assert_int_equal(tr_outbox_dropped(o), 3);
	assert_int_equal(tr_outbox_count(o), TR_OUTBOX_MAX);
	(void)tr_outbox_free(o);
}

static void nonsense_from_core_is_an_error(void **state)
{
	struct ends e = { .n = 0 };
	struct tr_outbox *o = tr_outbox_new(1u << LOG, on_end, &e);
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_outbox_put(o, 0, V("no record"), &err), TR_E_INVALID);
	assert_int_equal(tr_outbox_count(o), 0);
	(void)tr_outbox_free(o);
}

static void retries_spread(void **state)
{
	static const struct {
		unsigned n;
		uint64_t from, to;
	} cases[] = {
		{ 1, 1000, 1500 },     { 2, 2000, 3000 },	{ 3, 4000, 6000 },	{ 8, 128000, 192000 },
		{ 9, 200001, 300000 }, { 10, 200001, 300000 },	{ 4000000000u, 200001, 300000 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		uint64_t low = UINT64_MAX, high = 0;

		for (uint32_t k = 0; k < 200000; k++) {
			uint64_t ms = tr_retry_ms(cases[i].n, k * 21467u);

			low = ms < low ? ms : low;
			high = ms > high ? ms : high;
		}
		assert_in_range(low, cases[i].from, cases[i].from + 20);
		assert_in_range(high, cases[i].to - 20, cases[i].to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(severities_are_syslogs),
		cmocka_unit_test(text_is_one_line),
		cmocka_unit_test(cleaning_cuts_between_characters),
		cmocka_unit_test(syslog_line_is_golden),
		cmocka_unit_test(journal_entry_is_golden),
		cmocka_unit_test(body_is_golden),
		cmocka_unit_test(message_id_is_of_the_rows),
		cmocka_unit_test(signature_is_the_published_one),
		cmocka_unit_test(secrets_are_checked),
		cmocka_unit_test(delivered_is_when_every_sink_took_it),
		cmocka_unit_test(a_sink_that_fails_is_left_alone_for_a_while),
		cmocka_unit_test(after_a_day_it_is_given_up),
		cmocka_unit_test(newer_replaces_and_older_is_ignored),
		cmocka_unit_test(when_full_the_oldest_of_the_least_goes),
		cmocka_unit_test(nonsense_from_core_is_an_error),
		cmocka_unit_test(retries_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
