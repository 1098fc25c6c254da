/* SPDX-License-Identifier: Apache-2.0 */
/* What journal.c (reading) and journal_write.c share. Nobody else includes this. */
#ifndef TR_AGENT_JOURNAL_INNER_H
#define TR_AGENT_JOURNAL_INNER_H

#include "agent/journal.h"

struct tr_journal {
	struct tr_journal_io io;
	enum tr_journal_health health;
	char why[160];
	bool begun; /* there was a head */
	uint64_t size, position;
	size_t cut, size_tidy; /* size_tidy: after the last rewriting */

	uint64_t line, high;
	uint8_t window[TR_JR_WINDOW / 8];
	bool reset; /* nothing came since a reset */
	int64_t not_before_ms;

	struct tr_job **jobs;
	size_t n, cap;
	struct tr_refused_one refused[TR_JOURNAL_REFUSED_MAX];
	size_t n_refused;
};

/* Applies the one record in bytes, which stands at j->size in the file. */
bool tr_journal_apply(struct tr_journal *j, struct tr_view bytes);
void tr_journal_drop(struct tr_journal *j, size_t i);
bool tr_journal_is_spent(const struct tr_journal *j, uint64_t line, uint64_t seq);
/* All that j knows as a new file. Mends what could not be written. */
TR_RC tr_journal_rewrite(struct tr_journal *j, struct tr_err *err);

#endif
