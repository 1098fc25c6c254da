/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of liveness and explain share: a fleet under a clock of their own, and pulses that are taken for good
 * (judge_test.c has the real ones). */
#ifndef TR_FLEET_LIVE_TEST_H
#define TR_FLEET_LIVE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fleet/inner.h"

#include <stdio.h>

#define START INT64_C(1800000000000)
#define I_MS INT64_C(30000)

#define CHECK(cond, label)                                                                                 \
	do {                                                                                               \
		if (!(cond))                                                                               \
			fail_msg("%s: %s", (label), #cond);                                                \
	} while (0)

static struct {
	unsigned events[TR_EV_N];
	unsigned raised[6];             /* first words and rises, by severity */
	unsigned incidents;             /* partition_silent told as new */
	char last_kind[40], last_subject[140], last_cause[140], last_summary[300];
	int64_t raised_at[6];
} heard;

static struct tr_instant now;
static uint32_t escalate_s; /* 0: no reminders, which would count as raised */

static void on_event(void *arg, const struct tr_event *e)
{
	(void)arg;
	heard.events[e->kind]++;
}

static void copy(char *to, size_t n, struct tr_view v)
{
	(void)snprintf(to, n, "%.*s", TR_VIEW_FMT(v));
}

static void on_alert(void *arg, const struct tr_alert_row *r)
{
	(void)arg;
	if (!tr_view_is(r->state, "open"))
		return;
	heard.raised[r->severity]++;
	heard.raised_at[r->severity] = now.ms;
	heard.incidents += tr_view_is(r->kind, "partition_silent") && r->count == 1;
	copy(heard.last_kind, sizeof(heard.last_kind), r->kind);
	copy(heard.last_subject, sizeof(heard.last_subject), r->subject);
	copy(heard.last_cause, sizeof(heard.last_cause), r->cause);
	copy(heard.last_summary, sizeof(heard.last_summary), r->summary);
}

static struct tr_fleet *empty_fleet(int64_t at_ms)
{
	const struct tr_fleet_config c = { .run = 77, .interval_s = I_MS / 1000, .keyset_epoch = 3,
					   .escalate_s = escalate_s };
	const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert };

	memset(&heard, 0, sizeof(heard));
	now = (struct tr_instant){ at_ms, at_ms * 1000000, true };
	return tr_fleet_new(&c, &sink, &now);
}

static uint32_t add(struct tr_fleet *f, const char *id, const char *partition, const struct tr_pulse_row *row)
{
	static const uint8_t key[32] = { 5 }, good[32] = { 9 };

	return tr_fleet_add(f, &now, tr_view_str(id), tr_view_str(partition), key, TR_VIEW_ARRAY(good), 1, true, row);
}

/* What judge.c does for an accepted pulse, as far as liveness sees it. */
static void beat(struct tr_fleet *f, uint32_t no)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	int64_t before = a->last_ms;

	a->last_ms = a->wall_good_ms = now.ms;
	a->accepted++;
	a->seq++;
	a->heard = true;
	if (a->axes.auth == TR_AUTH_UNKNOWN)
		tr_axis_set(f, &now, no, TR_AXIS_AUTH, TR_AUTH_OK);
	tr_axis_set(f, &now, no, TR_AXIS_INTEGRITY, TR_INTEGRITY_OK);
	a->notice = 0;
	a->notice_until_s = 0;
	tr_live_accepted(f, &now, no, before);
}

static inline void announce(struct tr_fleet *f, uint32_t no, uint8_t notice, int64_t for_s)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	int64_t before = a->last_ms;

	beat(f, no);
	a->notice = notice;
	a->notice_until_s = (uint32_t)(now.ms / 1000 + for_s);
	tr_live_accepted(f, &now, no, before);
}

static void step(int64_t ms)
{
	now.ms += ms;
	now.wall_ns += ms * 1000000;
}

/* n agents "a0"… in one partition, all live, their beats spread over the interval; the fleet has ticked. */
static struct tr_fleet *live_fleet(uint32_t n, const char *partition)
{
	struct tr_fleet *f = empty_fleet(START);

	for (uint32_t i = 0; i < n; i++) {
		char id[16];

		(void)snprintf(id, sizeof(id), "a%u", i);
		assert_int_equal(add(f, id, partition, NULL), i);
	}
	tr_fleet_loaded(f, &now);
	tr_fleet_tick(f, &now);
	return f;
}

static inline bool always(uint32_t no)
{
	(void)no;
	return true;
}

static inline bool nobody(uint32_t no)
{
	(void)no;
	return false;
}

/* Seconds pass, one tick each; who speaks does so once an interval, each at its own second. */
static void run(struct tr_fleet *f, int64_t seconds, bool (*speaks)(uint32_t no))
{
	for (int64_t s = 0; s < seconds; s++) {
		step(1000);
		for (uint32_t no = (uint32_t)(now.ms / 1000 % 30); no < f->n; no += 30)
			if (tr_agent_at(f, no)->active && speaks(no))
				beat(f, no);
		tr_fleet_tick(f, &now);
	}
}

static inline uint8_t reach(struct tr_fleet *f, uint32_t no)
{
	struct tr_axes seen;

	/* What a list shows now, and what the last tick wrote, are the same thing. */
	(void)tr_fleet_verdict(f, &now, no, &seen);
	assert_int_equal(seen.reach, tr_agent_at(f, no)->axes.reach);
	return seen.reach;
}

static inline size_t silence_alerts(const struct tr_fleet *f)
{
	size_t n = 0;

	for (uint32_t no = 0; no < f->n; no++) {
		char subject[80];

		(void)snprintf(subject, sizeof(subject), "agent:%s", tr_agent_at(f, no)->id);
		n += tr_alerts_find(f->alerts, "silence", tr_view_str(subject)) != NULL;
	}
	return n;
}

#endif
