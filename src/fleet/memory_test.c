/* SPDX-License-Identifier: Apache-2.0 */
/* The judgement without memory: each allocation of ours fails once (the linker's --wrap, cmake/fleet.cmake) somewhere in a
 * short life of an agent. Nothing crashes, nothing leaks, and nothing is called good that would not be with memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fleet/fleet.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned long countdown; /* 0: none fails; n: the n-th does, once */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t each);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t each);
void *__wrap_realloc(void *p, size_t n);

static bool is_out(void)
{
	return countdown && --countdown == 0;
}

void *__wrap_malloc(size_t n)
{
	return is_out() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t each)
{
	return is_out() ? NULL : __real_calloc(n, each);
}

void *__wrap_realloc(void *p, size_t n)
{
	return is_out() ? NULL : __real_realloc(p, n);
}

static void on_event(void *arg, const struct tr_event *e)
{
	(void)arg;
	(void)e;
}

static void on_alert(void *arg, const struct tr_alert_row *row)
{
	(void)arg;
	(void)row;
}

struct me {
	uint64_t seq;
	uint8_t prev[32], ticket[TR_TICKET_LEN], start[16], hash[32];
	bool has_ticket;
};

static struct tr_instant now;
static uint8_t digests;

static void one(struct tr_fleet *f, uint32_t no, struct me *m, struct tr_view ticket, struct tr_view old,
		const uint8_t digest[32], struct tr_pulse_result *r)
{
	struct tr_pulse p = { .agent_id = TR_VIEW_LIT("web-1"), .partition = TR_VIEW_LIT("lab"), .time_ns = now.wall_ns, .seq = ++m->seq,
			      .ticket = ticket, .old_ticket = old, .version = TR_VIEW_LIT("1.0"), .bpf_status = TR_BPF_OFF,
			      .lsm = TR_LSM_UNAVAILABLE, .keyset_epoch = 1 };
	const struct tr_pulse_seen s = { &p, digest, TR_VIEW_LIT("raw"), TR_VIEW_LIT("192.0.2.7"), now.wall_ns };

	memcpy(p.prev, m->prev, 32);
	memcpy(p.start_id, m->start, 16);
	memcpy(p.binary_hash, m->hash, 32);
	tr_fleet_pulse(f, &now, no, &s, r);
}

static bool beat(struct tr_fleet *f, uint32_t no, struct me *m)
{
	struct tr_view held = tr_view(m->ticket, m->has_ticket ? TR_TICKET_LEN : 0);
	uint8_t digest[32] = { ++digests, 1 }, fresh[TR_TICKET_LEN];
	struct tr_pulse_result r;

	now.ms += 30000;
	now.wall_ns += INT64_C(30000000000);
	one(f, no, m, held, tr_view(NULL, 0), digest, &r);
	if (r.status == 200 && r.answer.resync) {
		memcpy(fresh, r.ticket, TR_TICKET_LEN);
		digest[0] = ++digests;
		one(f, no, m, TR_VIEW_ARRAY(fresh), held, digest, &r);
	}
	if (!r.accepted)
		return false;
	memcpy(m->prev, digest, 32);
	memcpy(m->ticket, r.ticket, TR_TICKET_LEN);
	m->has_ticket = true;
	return true;
}

static bool keep(void *arg, uint32_t no, const struct tr_pulse_row *row)
{
	(void)no;
	tr_record_encode(&tr_pulse_row_def, row, arg);
	return true;
}

/* Enrolled, alive, changed, copied, swept, restarted. False when the fleet could not be made at all. */
static bool live(unsigned long fail_at)
{
	static const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert };
	const struct tr_fleet_config c = { .ticket_key = { 7 }, .run = 1, .interval_s = 30, .keyset_epoch = 1, .escalate_s = 900 };
	tr_auto(tr_buf_done) struct tr_buf rows = TR_BUF_INIT;
	tr_auto(tr_fleet_free) struct tr_fleet *f = NULL;
	struct me a = { .start = { 1 }, .hash = { 1 } }, copy;
	uint8_t key[32] = { 9 }, good[32] = { 1 };
	uint32_t no;

	now = (struct tr_instant){ .ms = INT64_C(1800000000000), .wall_ns = INT64_C(1800000000000000000), .clock_trusted = true };
	countdown = fail_at;
	f = tr_fleet_new(&c, &sink, &now);
	no = f ? tr_fleet_add(f, &now, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("lab"), key, TR_VIEW_ARRAY(good), 1, true, NULL) : TR_NO_AGENT;
	if (no == TR_NO_AGENT) {
		countdown = 0;
		return false;
	}
	tr_fleet_loaded(f, &now);
	for (int i = 0; i < 3; i++) {
		assert_true(beat(f, no, &a));
		tr_fleet_tick(f, &now);
	}
	assert_int_equal(tr_fleet_verdict(f, &now, no, NULL), TR_V_OK);
	a.hash[0] = 2;
	assert_true(beat(f, no, &a));
	assert_int_equal(tr_fleet_verdict(f, &now, no, NULL), TR_V_UNKNOWN_BINARY);
	a.hash[0] = 1;
	assert_true(beat(f, no, &a));
	copy = a;
	copy.start[0] = 2;
	copy.seq += 1024;
	for (int i = 0; i < 6; i++) {
		(void)beat(f, no, &a);
		(void)beat(f, no, &copy);
		tr_fleet_tick(f, &now);
	}
	/* One stray may go unremembered; six do not. */
	assert_int_equal(tr_fleet_verdict(f, &now, no, NULL), TR_V_FORKED);
	(void)tr_fleet_sweep(f, 10, keep, &rows);
	countdown = 0;
	return true;
}

static void one_failing_allocation_makes_nothing_good(void **state)
{
	unsigned lived = 0, tried = 0;

	(void)state;
	assert_true(live(0));
	/* Far enough that the last ones fail nothing any more. */
	for (unsigned long n = 1; n < 400; n++, tried++)
		lived += live(n);
	assert_true(lived > tried / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(one_failing_allocation_makes_nothing_good) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
