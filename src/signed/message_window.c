/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/message.h"

#define BACK (sizeof(((struct tr_message_window *)0)->bits) * 8)

/* The bit of a number: a ring, so that nothing is shifted. */
static bool is_marked(const struct tr_message_window *w, uint64_t seq)
{
	return w->bits[seq % BACK / 8] >> seq % 8 & 1;
}

static void mark(struct tr_message_window *w, uint64_t seq, bool to)
{
	uint8_t *byte = &w->bits[seq % BACK / 8], bit = (uint8_t)(1u << seq % 8);

	*byte = (uint8_t)(to ? *byte | bit : *byte & ~bit);
}

enum tr_window_says tr_window_check(const struct tr_message_window *w, uint64_t line, uint64_t seq)
{
	if (line < w->line)
		return TR_WINDOW_OLD_LINE;
	if (line > w->line || seq > w->high)
		return TR_WINDOW_NEW;
	if (w->high - seq >= BACK)
		return TR_WINDOW_TOO_OLD;
	return is_marked(w, seq) ? TR_WINDOW_SEEN : TR_WINDOW_NEW;
}

void tr_window_take(struct tr_message_window *w, uint64_t line, uint64_t seq)
{
	if (tr_window_check(w, line, seq) != TR_WINDOW_NEW)
		return;
	if (line > w->line)
		*w = (struct tr_message_window){ .line = line };
	if (seq <= w->high) {
		/* Late, not lost. */
		w->missing--;
	} else {
		uint64_t step = seq - w->high;

		for (uint64_t i = 1; i < step && i <= BACK; i++)
			mark(w, seq - i, false);
		w->missing += step - 1;
		w->high = seq;
	}
	mark(w, seq, true);
}
