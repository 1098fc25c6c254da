/* SPDX-License-Identifier: Apache-2.0 */
/* The time that core judges silence by: Unix milliseconds that never run backwards and stand still for nobody. It starts at
 * the wall clock and goes on with the time since boot, suspension included.
 *
 * When somebody sets the wall clock forward, this jumps with it (deadlines that people wrote are wall time); the fleet sees
 * the gap and excuses it. A clock set back is followed slowly, a sixteenth slower than time, until both agree again: were
 * it to jump, every silent agent would look alive for as long as the step was. */
#ifndef TR_SERVER_STEADY_H
#define TR_SERVER_STEADY_H

#include <stdbool.h>
#include <stdint.h>

#define TR_STEADY_TOLERATED_MS 2000

struct tr_steady {
	int64_t offset_ms; /* Unix ms minus ms since boot */
	uint64_t slowed;   /* ms since boot up to which the following back is done */
};

void tr_steady_start(struct tr_steady *s, int64_t wall_ms, uint64_t boot_ms);
int64_t tr_steady_ms(struct tr_steady *s, int64_t wall_ms, uint64_t boot_ms);
/* What the kernel says: is its clock kept right by somebody? False also when it does not say. */
bool tr_kernel_clock_synchronised(void);

#endif
