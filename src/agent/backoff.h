/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait. Pure: randomness is a parameter. A fleet that lost its server must not come back in step,
 * so nothing here returns the same number twice in a row but by chance. */
#ifndef TR_AGENT_BACKOFF_H
#define TR_AGENT_BACKOFF_H

#include <stdint.h>

#define TR_BACKOFF_CAP_MS UINT64_C(300000) /* 5 minutes */
#define TR_INTERVAL_MIN_S UINT64_C(1)
#define TR_INTERVAL_MAX_S UINT64_C(3600)
#define TR_INTERVAL_DEFAULT_S UINT64_C(30)

/* Before the next try after `failures` failures in a row (>= 1): 1-5 s first, then doubling ranges, at most
 * most_ms (never under the first range) and the cap. random is any 32 random bits. */
uint64_t tr_backoff_ms(unsigned failures, uint64_t most_ms, uint32_t random);
/* ms ±10 %. */
uint64_t tr_jitter_ms(uint64_t ms, uint32_t random);
/* The interval a server told us, forced into what an agent accepts: no server can make the fleet spin or fall
 * silent for a day. 0 is "not said". */
uint64_t tr_interval_clamp_s(uint64_t told_s);

#endif
