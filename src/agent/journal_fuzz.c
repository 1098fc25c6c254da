/* SPDX-License-Identifier: Apache-2.0 */
/* A journal of any bytes: nothing is read past its end, and what was read without damage reads the same when
 * it is written anew. */
#include "agent/crc32c.h"
#include "agent/journal_lab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* Makes records of them: their sums would keep everything else from being looked at. */
static void mend(uint8_t *p, size_t size)
{
	for (size_t at = 0; size - at > 14;) {
		size_t n = (p[at] | (size_t)p[at + 1] << 8) % TR_JR_MAX;

		n = n < 2 ? 2 : n > size - at - 12 ? size - at - 12 : n;
		put32(p + at, (uint32_t)n);
		put32(p + at + 4, ~(uint32_t)n);
		p[at + 12 + n - 1] = 0xa5;
		put32(p + at + 8, tr_crc32c(tr_view(p + at + 12, n)));
		at += 12 + n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct disk d = { .there = true, .safe_there = true };
	struct tr_journal_io io = disk_io(&d);
	tr_auto(tr_journal_free) struct tr_journal *j = NULL, *again = NULL;
	struct tr_refused_one no = { .code = "malformed" };
	struct tr_err err;

	tr_buf_add(&d.now, data, size);
	if (size % 2 && d.now.p)
		mend(d.now.p, d.now.n);
	disk_copy(&d.safe, &d.now);
	if (tr_journal_open(&io, true, &j, &err) || tr_journal_health(j) == TR_JOURNAL_DAMAGED) {
		if (j && tr_journal_refuse(j, &no, &err) == TR_OK)
			abort(); /* nothing is added to what is damaged */
		disk_done(&d);
		return 0;
	}
	for (size_t i = 0; i < tr_journal_jobs(j); i++) {
		tr_auto(tr_buf_done) struct tr_buf order = TR_BUF_INIT, result = TR_BUF_INIT;

		if (tr_journal_order(j, tr_journal_job(j, i), &order, &err) ||
		    tr_journal_result(j, tr_journal_job(j, i), &result, &err))
			abort();
	}
	/* A rewriting that must be, as after a disk that failed. */
	if (tr_journal_refuse(j, &no, &err) || tr_journal_tidy(j, INT64_MAX / 4, &err) ||
	    tr_journal_open(&io, true, &again, &err))
		abort();
	if (tr_journal_health(again) || tr_journal_jobs(again) != tr_journal_jobs(j) ||
	    tr_journal_high(again) != tr_journal_high(j) || tr_journal_line(again) != tr_journal_line(j) ||
	    tr_journal_position(again) != tr_journal_position(j))
		abort();
	disk_done(&d);
	return 0;
}
