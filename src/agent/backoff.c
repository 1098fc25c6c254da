/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/backoff.h"

#define FIRST_MS UINT64_C(5000)

/* low + random/2^32 * span, without floats. */
static uint64_t between(uint64_t low, uint64_t high, uint32_t random)
{
	return low + (((high - low + 1) * random) >> 32);
}

uint64_t tr_backoff_ms(unsigned failures, uint64_t most_ms, uint32_t random)
{
	uint64_t high = FIRST_MS, cap = most_ms > TR_BACKOFF_CAP_MS ? TR_BACKOFF_CAP_MS : most_ms;

	for (unsigned i = 1; i < failures && high < cap; i++)
		high *= 2;
	if (high > cap)
		high = cap;
	if (high <= FIRST_MS)
		return between(1000, FIRST_MS, random);
	/* Half the range stays random: enough to spread a fleet, and still a real wait. */
	return between(high / 2, high, random);
}

uint64_t tr_jitter_ms(uint64_t ms, uint32_t random)
{
	uint64_t tenth = ms / 10;

	return between(ms - tenth, ms + tenth, random);
}

uint64_t tr_interval_clamp_s(uint64_t told_s)
{
	if (told_s == 0)
		return TR_INTERVAL_DEFAULT_S;
	if (told_s < TR_INTERVAL_MIN_S)
		return TR_INTERVAL_MIN_S;
	return told_s > TR_INTERVAL_MAX_S ? TR_INTERVAL_MAX_S : told_s;
}
