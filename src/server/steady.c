/* SPDX-License-Identifier: Apache-2.0 */
#include "server/steady.h"

#include <sys/timex.h>

#define SLOWER 16u

void tr_steady_start(struct tr_steady *s, int64_t wall_ms, uint64_t boot_ms)
{
	*s = (struct tr_steady){ .offset_ms = wall_ms - (int64_t)boot_ms, .slowed = boot_ms };
}

int64_t tr_steady_ms(struct tr_steady *s, int64_t wall_ms, uint64_t boot_ms)
{
	int64_t ahead = (int64_t)boot_ms + s->offset_ms - wall_ms;
	uint64_t steps = boot_ms > s->slowed ? (boot_ms - s->slowed) / SLOWER : 0;

	if (ahead < -TR_STEADY_TOLERATED_MS)
		s->offset_ms -= ahead;
	if (ahead <= TR_STEADY_TOLERATED_MS) {
		s->slowed = boot_ms;
	} else {
		/* Each step takes one millisecond of sixteen that have passed, so the sum still rises. */
		s->offset_ms -= steps < (uint64_t)ahead ? (int64_t)steps : ahead;
		s->slowed += steps * SLOWER;
	}
	return (int64_t)boot_ms + s->offset_ms;
}

bool tr_kernel_clock_synchronised(void)
{
	struct timex t = { .modes = 0 };
	int state = adjtimex(&t);

	return state >= 0 && state != TIME_ERROR && !(t.status & STA_UNSYNC);
}
