/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/journal_lab.h"

#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#define NOW INT64_C(1795330800000)
#define MINUTE INT64_C(60000)

static struct tr_err err;

static struct tr_job want(uint8_t id, uint64_t line, uint64_t seq)
{
	struct tr_job w = {
		.line = line,
		.seq = seq,
		.cmd = TR_CMD_NOTE,
		.kind = TR_KIND_ONCE,
		.issued_ms = NOW,
		.expires_ms = NOW + 15 * MINUTE,
		.order_expires_ms = NOW + 15 * MINUTE,
		.at_ns = NOW * 1000000,
	};

	memset(w.cmd_id, id, sizeof(w.cmd_id));
	memset(w.order_digest, id, sizeof(w.order_digest));
	memset(w.digest, (int)seq + 100, sizeof(w.digest));
	memset(w.kid, 7, sizeof(w.kid));
	return w;
}

static struct tr_journal *opened(struct disk *d)
{
	struct tr_journal_io io = disk_io(d);
	struct tr_journal *j = NULL;

	assert_int_equal(tr_journal_open(&io, false, &j, &err), TR_OK);
	return j;
}

static enum tr_journal_seen seen(struct tr_journal *j, struct tr_job w)
{
	struct tr_job *found;

	return tr_journal_check(j, &w, NOW, &found);
}

static struct tr_job *received(struct tr_journal *j, uint8_t id, uint64_t line, uint64_t seq)
{
	struct tr_job w = want(id, line, seq), *job = NULL;

	assert_int_equal(tr_journal_check(j, &w, NOW, &job), TR_SEEN_NEW);
	assert_int_equal(tr_journal_receive(j, &w, TR_VIEW_LIT("the order"), &job, &err), TR_OK);
	return job;
}

static enum tr_code advance(struct tr_journal *j, struct tr_job *job, enum tr_cmd_state s, const char *result)
{
	return tr_journal_advance(j, job, s, "", s == TR_CS_STARTED ? TR_VIEW_LIT("note") : tr_view(NULL, 0),
				  tr_view_str(result), NOW * 1000000, &err);
}

static void a_life_survives_every_reopening(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	struct tr_job *job;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		tr_auto(tr_buf_done) struct tr_buf order = TR_BUF_INIT, result = TR_BUF_INIT;
		uint8_t id[16];

		memset(id, (int)i + 1, sizeof(id));
		assert_int_equal(tr_journal_health(j), TR_JOURNAL_OK);
		(void)received(j, (uint8_t)(i + 1), 5, i + 1);
		j = (tr_journal_free(j), opened(&d));
		job = tr_journal_find(j, id);
		assert_int_equal(job->state, TR_CS_RECEIVED);
		assert_int_equal(job->kind, TR_KIND_ONCE);
		assert_int_equal(tr_journal_order(j, job, &order, &err), TR_OK);
		assert_true(tr_view_is(tr_buf_view(&order), "the order"));
		assert_int_equal(advance(j, job, TR_CS_STARTED, ""), TR_OK);
		j = (tr_journal_free(j), opened(&d));
		job = tr_journal_find(j, id);
		assert_int_equal(job->state, TR_CS_STARTED);
		assert_memory_equal(job->note, "note", 4);
		assert_int_equal(advance(j, job, TR_CS_DONE, "{\"a\":1}"), TR_OK);
		j = (tr_journal_free(j), opened(&d));
		job = tr_journal_find(j, id);
		assert_int_equal(job->state, TR_CS_DONE);
		assert_int_equal(tr_journal_result(j, job, &result, &err), TR_OK);
		assert_true(tr_view_is(tr_buf_view(&result), "{\"a\":1}"));
		assert_true(job->acked != job->position);
		assert_int_equal(tr_journal_ack(j, job->position, &err), TR_OK);
		j = (tr_journal_free(j), opened(&d));
		job = tr_journal_find(j, id);
		assert_true(job->acked == job->position);
	}
	tr_journal_free(j);
	disk_done(&d);
}

static void a_number_counts_once(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	uint64_t missing[TR_RECEIPT_MISSING_MAX];

	(void)state;
	(void)received(j, 1, 5, 1);
	(void)received(j, 2, 5, 5);
	(void)received(j, 3, 5, 3); /* late, within the window */
	for (unsigned i = 0; i < 2; i++) {
		struct tr_job other = want(1, 5, 9);

		assert_int_equal(seen(j, want(9, 5, 1)), TR_SEEN_REPLAYED);
		assert_int_equal(seen(j, want(9, 5, 3)), TR_SEEN_REPLAYED);
		assert_int_equal(seen(j, want(9, 5, 5)), TR_SEEN_REPLAYED);
		assert_int_equal(seen(j, want(9, 4, 99)), TR_SEEN_REPLAYED); /* an older line */
		assert_int_equal(seen(j, want(9, 5, 2)), TR_SEEN_NEW);
		assert_int_equal(seen(j, want(9, 5, 6)), TR_SEEN_NEW);
		assert_int_equal(seen(j, want(9, 6, 1)), TR_SEEN_NEW);
		assert_int_equal(seen(j, want(1, 5, 1)), TR_SEEN_KNOWN);
		assert_int_equal(seen(j, want(1, 5, 7)), TR_SEEN_KNOWN); /* signed anew */
		other.order_digest[0] ^= 1;				 /* another order under its id */
		assert_int_equal(seen(j, other), TR_SEEN_REPLAYED);
		assert_int_equal(tr_journal_missing(j, missing), 2);
		assert_true(missing[0] == 2 && missing[1] == 4);
		j = (tr_journal_free(j), opened(&d));
	}
	(void)received(j, 4, 5, 5 + TR_JR_WINDOW);
	assert_int_equal(seen(j, want(9, 5, 5)), TR_SEEN_REPLAYED); /* below the window, seen */
	assert_int_equal(seen(j, want(9, 5, 2)), TR_SEEN_REPLAYED); /* below the window, not seen */
	assert_int_equal(seen(j, want(9, 5, 6)), TR_SEEN_NEW);	    /* its lowest */
	assert_int_equal(tr_journal_missing(j, missing), TR_RECEIPT_MISSING_MAX);
	assert_true(missing[0] == 6);
	(void)received(j, 5, 6, 1); /* a new line */
	assert_int_equal(seen(j, want(9, 5, 2000)), TR_SEEN_REPLAYED);
	assert_int_equal(tr_journal_missing(j, missing), 0);
	assert_int_equal(seen(j, want(4, 6, 2)), TR_SEEN_KNOWN); /* ids outlive lines */
	(void)received(j, 6, 6, UINT64_C(1) << 62);
	assert_int_equal(seen(j, want(9, 6, 2)), TR_SEEN_REPLAYED);
	tr_journal_free(j);
	disk_done(&d);
}

static void the_window_is_the_set_of_what_came(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	static bool came[6000];
	uint64_t high = 0;
	uint32_t dice = 12345;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		struct tr_job w, *job;
		uint64_t s;
		bool spent;

		dice = dice * 1664525 + 1013904223;
		s = high > 1500 && (dice >> 20) % 3 ? high - (dice >> 8) % 1500 : high + 1 + (dice >> 8) % 4;
		if (s >= 6000)
			break;
		spent = s <= high && (came[s] || high - s >= TR_JR_WINDOW);
		w = want((uint8_t)i, 1, s);
		memcpy(w.cmd_id, &i, sizeof(i));
		assert_int_equal(tr_journal_check(j, &w, NOW, &job), spent ? TR_SEEN_REPLAYED : TR_SEEN_NEW);
		if (!spent)
			assert_int_equal(tr_journal_receive(j, &w, TR_VIEW_LIT("o"), &job, &err), TR_OK);
		came[s] = true;
		high = s > high ? s : high;
		if (i % 500 == 499)
			j = (tr_journal_free(j), opened(&d));
	}
	tr_journal_free(j);
	disk_done(&d);
}

/* What a crash leaves of the last record, byte by byte. */
static void a_torn_tail_is_cut_off(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	struct tr_job *job = received(j, 1, 5, 1);
	size_t whole, last;

	(void)state;
	whole = d.now.n;
	assert_int_equal(advance(j, job, TR_CS_STARTED, ""), TR_OK);
	last = d.now.n;
	tr_journal_free(j);
	for (size_t n = whole; n < last; n++) {
		for (unsigned zeros = 0; zeros < 2; zeros++) {
			struct disk e = { .there = true, .safe_there = true };

			tr_buf_add(&e.now, d.now.p, n);
			for (size_t i = n; zeros && i < last; i++)
				tr_buf_add8(&e.now, 0);
			disk_copy(&e.safe, &e.now);
			j = opened(&e);
			assert_int_equal(tr_journal_health(j), TR_JOURNAL_OK);
			assert_int_equal(tr_journal_job(j, 0)->state, TR_CS_RECEIVED);
			assert_int_equal(tr_journal_cut(j), e.safe.n == whole && n == whole && !zeros ? 0
							    : zeros ? last - whole
								    : n - whole);
			assert_int_equal(e.now.n, whole);
			assert_int_equal(advance(j, tr_journal_job(j, 0), TR_CS_DONE, ""), TR_OK);
			j = (tr_journal_free(j), opened(&e));
			assert_int_equal(tr_journal_job(j, 0)->state, TR_CS_DONE);
			tr_journal_free(j);
			disk_done(&e);
		}
	}
	disk_done(&d);
}

/* Any bit of any record, the last one too: a synced record that changed is no torn tail. */
static void damage_is_seen(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	struct tr_job *job = received(j, 1, 5, 1);

	(void)state;
	assert_int_equal(advance(j, job, TR_CS_STARTED, ""), TR_OK);
	assert_int_equal(advance(j, job, TR_CS_DONE, "{}"), TR_OK);
	tr_journal_free(j);
	for (size_t at = 0; at < d.now.n; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct tr_job w = want(9, 5, 9), *found;

			d.now.p[at] ^= (uint8_t)(1u << bit);
			j = opened(&d);
			if (tr_journal_health(j) != TR_JOURNAL_DAMAGED)
				fail_msg("byte %zu bit %u of %zu: not seen", at, bit, d.now.n);
			assert_int_not_equal(tr_journal_receive(j, &w, TR_VIEW_LIT("o"), &found, &err),
					     TR_OK);
			tr_journal_free(j);
			d.now.p[at] ^= (uint8_t)(1u << bit);
		}
	}
	for (size_t n = 0; n < 12; n++) { /* cut to less than a head */
		struct disk e = { .there = true };

		tr_buf_add(&e.now, d.now.p, n);
		j = opened(&e);
		assert_int_equal(tr_journal_health(j), TR_JOURNAL_DAMAGED);
		tr_journal_free(j);
		disk_done(&e);
	}
	disk_done(&d);
}

static void a_reset_takes_only_what_is_issued_after(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	struct tr_journal_io io = disk_io(&d);
	struct tr_job w;
	uint64_t missing[TR_RECEIPT_MISSING_MAX];

	(void)state;
	(void)received(j, 1, 5, 7);
	tr_journal_free(j);
	d.now.p[d.now.n - 20] ^= 1;
	assert_int_equal(tr_journal_reset(&io, NOW, &err), TR_OK);
	assert_true(d.aside);
	for (unsigned i = 0; i < 2; i++) {
		j = opened(&d);
		assert_int_equal(tr_journal_health(j), TR_JOURNAL_OK);
		assert_int_equal(seen(j, want(1, 5, 8)), TR_SEEN_REPLAYED);
		w = want(1, 5, 8);
		w.issued_ms = NOW + 1;
		assert_int_equal(seen(j, w), TR_SEEN_NEW);
		assert_true(tr_journal_position(j) >= (uint64_t)NOW);
		tr_journal_free(j);
	}
	j = opened(&d);
	assert_int_equal(tr_journal_receive(j, &w, TR_VIEW_LIT("o"), &(struct tr_job *){ NULL }, &err),
			 TR_OK);
	assert_int_equal(tr_journal_missing(j, missing), 0); /* what the reset forgot is not missing */
	tr_journal_free(j);
	disk_done(&d);
}

static void a_journal_that_is_gone_is_damage(void **state)
{
	struct disk d = { 0 };
	struct tr_journal_io io = disk_io(&d);
	struct tr_journal *j = NULL;

	(void)state;
	assert_int_equal(tr_journal_open(&io, true, &j, &err), TR_OK);
	assert_int_equal(tr_journal_health(j), TR_JOURNAL_DAMAGED);
	assert_non_null(strstr(tr_journal_why(j), "gone"));
	tr_journal_free(j);
	assert_int_equal(tr_journal_reset(&io, NOW, &err), TR_OK);
	assert_int_equal(tr_journal_open(&io, true, &j, &err), TR_OK);
	assert_int_equal(tr_journal_health(j), TR_JOURNAL_OK);
	tr_journal_free(j);
	disk_done(&d);
}

/* ---- a disk that fails ---- */

static void a_full_disk_takes_nothing_and_comes_back(void **state)
{
	static const int errors[] = { ENOSPC, EIO };

	(void)state;
	for (size_t e = 0; e < TR_ARRAY_LEN(errors); e++) {
		for (unsigned at = 1; at <= 3; at++) { /* reserve, append, sync */
			for (size_t part = 0; part < 200; part += 13) {
				struct disk d = { .part = part, .fail_errno = errors[e] };
				struct tr_journal *j = opened(&d);
				struct tr_job w = want(2, 5, 2), *job = NULL;

				(void)received(j, 1, 5, 1);
				d.calls = 0;
				d.fail_at = at;
				d.fail_for = 5;
				assert_int_not_equal(tr_journal_receive(j, &w, TR_VIEW_LIT("o"), &job, &err),
						     TR_OK);
				assert_null(tr_journal_find(j, w.cmd_id));
				assert_true(tr_journal_high(j) == 1);
				d.calls = 100; /* there is room again */
				assert_int_equal(tr_journal_receive(j, &w, TR_VIEW_LIT("o"), &job, &err),
						 TR_OK);
				assert_int_equal(tr_journal_health(j), TR_JOURNAL_OK);
				j = (tr_journal_free(j), opened(&d));
				assert_int_equal(tr_journal_jobs(j), 2);
				assert_int_equal(tr_journal_health(j), TR_JOURNAL_OK);
				tr_journal_free(j);
				disk_done(&d);
			}
		}
	}
}

static void an_end_that_cannot_be_written_is_kept(void **state)
{
	(void)state;
	for (size_t part = 0; part < 80; part += 7) {
		struct disk d = { .part = part, .fail_errno = ENOSPC };
		struct tr_journal *j = opened(&d);
		struct tr_job *job = received(j, 1, 5, 1);
		tr_auto(tr_buf_done) struct tr_buf result = TR_BUF_INIT;

		assert_int_equal(advance(j, job, TR_CS_STARTED, ""), TR_OK);
		d.calls = 0;
		d.fail_at = 1;
		d.fail_for = 9;
		assert_int_not_equal(advance(j, job, TR_CS_DONE, "{\"b\":2}"), TR_OK);
		assert_int_equal(job->state, TR_CS_STARTED);
		assert_int_equal(job->held, TR_CS_DONE);
		assert_int_not_equal(tr_journal_settle(j, 1, &err), TR_OK);
		d.calls = 100;
		assert_int_equal(tr_journal_settle(j, 1, &err), TR_OK);
		assert_int_equal(job->state, TR_CS_DONE);
		j = (tr_journal_free(j), opened(&d));
		job = tr_journal_job(j, 0);
		assert_int_equal(job->state, TR_CS_DONE);
		assert_int_equal(tr_journal_result(j, job, &result, &err), TR_OK);
		assert_true(tr_view_is(tr_buf_view(&result), "{\"b\":2}"));
		tr_journal_free(j);
		disk_done(&d);
	}
}

/* ---- what is past goes, what counts stays ---- */

static void tidying_keeps_what_could_come_again(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	static char big[8000];
	int64_t end = NOW + 15 * MINUTE + INT64_C(1000) * (TR_COMMAND_AGE_MAX_S + TR_COMMAND_SKEW_S);
	size_t before;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	for (unsigned i = 1; i <= 40; i++) {
		struct tr_job *job = received(j, (uint8_t)i, 5, i);

		assert_int_equal(advance(j, job, TR_CS_DONE, big), TR_OK);
		if (i <= 30)
			assert_int_equal(tr_journal_ack(j, job->position, &err), TR_OK);
	}
	assert_int_equal(tr_journal_tidy(j, end, &err), TR_OK);
	assert_int_equal(tr_journal_jobs(j), 40);
	before = d.now.n;
	assert_int_equal(tr_journal_tidy(j, end + 1, &err), TR_OK);
	assert_int_equal(tr_journal_jobs(j), 40); /* it was tidied a moment ago */
	for (unsigned i = 41; i <= 90; i++)
		assert_int_equal(advance(j, received(j, (uint8_t)i, 5, i), TR_CS_DONE, big), TR_OK);
	assert_int_equal(tr_journal_tidy(j, end + 1, &err), TR_OK);
	assert_int_equal(tr_journal_jobs(j), 60); /* the thirty that the server has are gone */
	assert_true(d.now.n < before * 2);
	for (unsigned i = 0; i < 2; i++) {
		tr_auto(tr_buf_done) struct tr_buf result = TR_BUF_INIT;

		assert_true(tr_journal_high(j) == 90 && tr_journal_line(j) == 5);
		assert_int_equal(seen(j, want(1, 5, 1)), TR_SEEN_REPLAYED); /* the window remembers */
		assert_int_equal(seen(j, want(31, 5, 31)), TR_SEEN_KNOWN);
		assert_int_equal(tr_journal_result(j, tr_journal_job(j, 7), &result, &err), TR_OK);
		assert_true(tr_view_is(tr_buf_view(&result), big));
		j = (tr_journal_free(j), opened(&d));
	}
	assert_int_equal(tr_journal_tidy(j, end + 31 * 24 * 60 * MINUTE, &err), TR_OK);
	tr_journal_free(j);
	disk_done(&d);
}

static void a_rewriting_that_fails_loses_nothing(void **state)
{
	(void)state;
	for (unsigned part = 0; part < 2; part++) { /* before the rename, and after */
		struct disk d = { .part = part, .fail_errno = EIO };
		struct tr_journal *j = opened(&d);
		static char big[8000];

		memset(big, 'x', sizeof(big) - 1);
		for (unsigned i = 1; i <= 20; i++)
			assert_int_equal(advance(j, received(j, (uint8_t)i, 5, i), TR_CS_DONE, big), TR_OK);
		d.calls = 0;
		d.fail_at = 1;
		assert_int_not_equal(tr_journal_tidy(j, NOW, &err), TR_OK);
		assert_int_equal(tr_journal_health(j), TR_JOURNAL_UNWRITABLE);
		(void)received(j, 21, 5, 21); /* writes it anew first */
		assert_int_equal(tr_journal_health(j), TR_JOURNAL_OK);
		j = (tr_journal_free(j), opened(&d));
		assert_int_equal(tr_journal_jobs(j), 21);
		tr_journal_free(j);
		disk_done(&d);
	}
}

static void a_full_journal_says_so(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	struct tr_job w, *job;

	(void)state;
	for (unsigned i = 0; i <= TR_JOURNAL_JOBS_MAX; i++) {
		w = want(1, 5, i + 1);
		memcpy(w.cmd_id, &i, sizeof(i));
		if (i == TR_JOURNAL_JOBS_MAX)
			break;
		assert_int_equal(tr_journal_receive(j, &w, TR_VIEW_LIT("o"), &job, &err), TR_OK);
		d.safe.n = 0; /* nobody looks: copying would be all that this test does */
	}
	assert_int_equal(tr_journal_check(j, &w, NOW, &job), TR_SEEN_FULL);
	d.calls = 0;
	assert_int_equal(tr_journal_check(j, &w, NOW, &job), TR_SEEN_FULL);
	assert_int_equal(d.calls, 0); /* not the whole file for every one that knocks */
	job = tr_journal_job(j, 0);
	assert_int_equal(advance(j, job, TR_CS_DONE, ""), TR_OK);
	assert_int_equal(tr_journal_ack(j, job->position, &err), TR_OK);
	assert_int_equal(tr_journal_check(j, &w, NOW + 24 * 60 * MINUTE, &job), TR_SEEN_NEW);
	tr_journal_free(j);
	disk_done(&d);
}

/* Nobody has to approve a read: who may order only those does not keep a quarantine out. */
static void reads_leave_room(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	struct tr_job w, *job;
	unsigned i = 0;

	(void)state;
	for (;; i++) {
		w = want(1, 5, i + 1);
		w.cmd = TR_CMD_STATUS;
		memcpy(w.cmd_id, &i, sizeof(i));
		if (tr_journal_check(j, &w, NOW, &job) != TR_SEEN_NEW)
			break;
		assert_int_equal(tr_journal_receive(j, &w, TR_VIEW_LIT("o"), &job, &err), TR_OK);
		d.safe.n = 0;
	}
	assert_int_equal(i, TR_JOURNAL_JOBS_MAX - TR_JOURNAL_KEPT);
	assert_int_equal(tr_journal_check(j, &w, NOW, &job), TR_SEEN_FULL);
	w.cmd = TR_CMD_QUARANTINE;
	assert_int_equal(tr_journal_check(j, &w, NOW, &job), TR_SEEN_NEW);
	/* Those of a key that is revoked since make room at once, however late they would have begun. */
	w.cmd = TR_CMD_STATUS;
	job = tr_journal_job(j, 7);
	assert_int_equal(tr_journal_advance(j, job, TR_CS_REFUSED, "revoked_key", tr_view(NULL, 0), tr_view(NULL, 0),
					    NOW * 1000000, &err),
			 TR_OK);
	assert_int_equal(tr_journal_check(j, &w, NOW, &job), TR_SEEN_FULL); /* nobody knows yet */
	assert_int_equal(tr_journal_ack(j, tr_journal_job(j, 7)->position, &err), TR_OK);
	assert_int_equal(tr_journal_check(j, &w, NOW, &job), TR_SEEN_NEW);
	tr_journal_free(j);
	disk_done(&d);
}

static void refusals_are_kept_in_bounds(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);

	(void)state;
	for (unsigned i = 0; i < TR_JOURNAL_REFUSED_MAX + 10; i++) {
		struct tr_refused_one r = {
			.code = "bad_signature", .line = 5, .seq = i + 1, .authentic = i == 0
		};

		assert_int_equal(tr_journal_refuse(j, &r, &err), TR_OK);
	}
	assert_true(tr_journal_high(j) == 1); /* only a number that was signed counts */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(tr_journal_refusals(j), TR_JOURNAL_REFUSED_MAX);
		assert_true(tr_journal_refusal(j, 0)->seq == 11);
		assert_int_equal(tr_journal_ack(j, tr_journal_refusal(j, 3)->position, &err), TR_OK);
		assert_true(tr_journal_refusal(j, 3)->acked && !tr_journal_refusal(j, 4)->acked);
		j = (tr_journal_free(j), opened(&d));
	}
	tr_journal_free(j);
	disk_done(&d);
}

static void cancelled_before_it_came(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	struct tr_job w = want(3, 5, 3), *job;

	(void)state;
	assert_int_equal(tr_journal_cancel_unknown(j, w.cmd_id, NOW + MINUTE, 1, &err), TR_OK);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(tr_journal_check(j, &w, NOW, &job), TR_SEEN_KNOWN);
		assert_int_equal(job->state, TR_CS_CANCELLED);
		j = (tr_journal_free(j), opened(&d));
	}
	assert_int_equal(tr_journal_check(j, &w, NOW, &job), TR_SEEN_KNOWN);
	assert_true(job->acked == job->position);
	assert_int_equal(tr_journal_again(j, job, &w, &err), TR_OK);
	assert_true(job->acked != job->position && job->seq == 3);
	tr_journal_free(j);
	disk_done(&d);
}

static void its_key_was_revoked_and_another_signs(void **state)
{
	struct disk d = { 0 };
	struct tr_journal *j = opened(&d);
	struct tr_job *job = received(j, 1, 5, 1), w = want(1, 5, 2);

	(void)state;
	assert_int_equal(tr_journal_advance(j, job, TR_CS_REFUSED, "revoked_key", tr_view(NULL, 0),
					    tr_view(NULL, 0), 1, &err),
			 TR_OK);
	assert_int_equal(seen(j, want(1, 5, 1)), TR_SEEN_KNOWN); /* the old one again */
	assert_int_equal(seen(j, w), TR_SEEN_NEW);
	assert_int_equal(tr_journal_receive(j, &w, TR_VIEW_LIT("the order"), &job, &err), TR_OK);
	assert_int_equal(job->state, TR_CS_RECEIVED);
	assert_int_equal(tr_journal_jobs(j), 1);
	assert_int_equal(tr_journal_advance(j, job, TR_CS_REFUSED, "expired", tr_view(NULL, 0),
					    tr_view(NULL, 0), 1, &err),
			 TR_OK);
	assert_int_equal(seen(j, want(1, 5, 9)), TR_SEEN_KNOWN); /* for any other reason it is over */
	tr_journal_free(j);
	disk_done(&d);
}

/* ---- the real file ---- */

static void the_file_is_as_the_disk_of_these_tests(void **state)
{
	char dir[] = "/tmp/troth-journal-XXXXXX", path[64];
	tr_auto(tr_journal_file_done) struct tr_journal_file f;
	struct tr_journal_io io;
	struct tr_journal *j = NULL;
	struct tr_job *job;
	struct stat st;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/" TR_JOURNAL_FILE, dir);
	tr_journal_file_init(&f, dir, &io);
	assert_int_equal(tr_journal_open(&io, false, &j, &err), TR_OK);
	job = received(j, 1, 5, 1);
	assert_int_equal(advance(j, job, TR_CS_DONE, "{}"), TR_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true((uint64_t)st.st_size == tr_journal_size(j));
	tr_journal_free(j);
	tr_journal_file_done(&f);

	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "\x20\0\0\0\xdf\xff\xff\xff half", 12), 12);
	close(fd);
	assert_int_equal(tr_journal_open(&io, true, &j, &err), TR_OK);
	assert_int_equal(tr_journal_cut(j), 12);
	assert_int_equal(tr_journal_health(j), TR_JOURNAL_OK);
	assert_int_equal(tr_journal_job(j, 0)->state, TR_CS_DONE);
	(void)received(j, 2, 5, 2);
	tr_journal_free(j);
	tr_journal_file_done(&f);

	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(tr_journal_open(&io, true, &j, &err), TR_OK);
	assert_int_equal(tr_journal_health(j), TR_JOURNAL_DAMAGED);
	tr_journal_free(j);
	assert_int_equal(tr_journal_reset(&io, NOW, &err), TR_OK);
	assert_int_equal(tr_journal_open(&io, true, &j, &err), TR_OK);
	assert_int_equal(tr_journal_health(j), TR_JOURNAL_OK);
	assert_int_equal(tr_journal_jobs(j), 0);
	tr_journal_free(j);
	(void)snprintf(path, sizeof(path), "%s/journal.damaged", dir);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/" TR_JOURNAL_FILE, dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_life_survives_every_reopening),
		cmocka_unit_test(a_number_counts_once),
		cmocka_unit_test(the_window_is_the_set_of_what_came),
		cmocka_unit_test(a_torn_tail_is_cut_off),
		cmocka_unit_test(damage_is_seen),
		cmocka_unit_test(a_reset_takes_only_what_is_issued_after),
		cmocka_unit_test(a_journal_that_is_gone_is_damage),
		cmocka_unit_test(a_full_disk_takes_nothing_and_comes_back),
		cmocka_unit_test(an_end_that_cannot_be_written_is_kept),
		cmocka_unit_test(tidying_keeps_what_could_come_again),
		cmocka_unit_test(a_rewriting_that_fails_loses_nothing),
		cmocka_unit_test(a_full_journal_says_so),
		cmocka_unit_test(reads_leave_room),
		cmocka_unit_test(refusals_are_kept_in_bounds),
		cmocka_unit_test(cancelled_before_it_came),
		cmocka_unit_test(its_key_was_revoked_and_another_signs),
		cmocka_unit_test(the_file_is_as_the_disk_of_these_tests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
