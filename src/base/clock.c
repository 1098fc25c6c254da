/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

static int64_t ns_of(clockid_t id)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t tr_now_ms(void)
{
	return ns_of(CLOCK_REALTIME) / 1000000;
}

int64_t tr_now_ns(void)
{
	return ns_of(CLOCK_REALTIME);
}

uint64_t tr_mono_ms(void)
{
	return (uint64_t)(ns_of(CLOCK_BOOTTIME) / 1000000);
}

uint64_t tr_mono_ns(void)
{
	return (uint64_t)ns_of(CLOCK_MONOTONIC);
}

uint64_t tr_boot_ns(void)
{
	return (uint64_t)ns_of(CLOCK_BOOTTIME);
}
