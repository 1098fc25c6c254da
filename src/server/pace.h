/* SPDX-License-Identifier: Apache-2.0 */
/* How often each of many may do something that costs others: the generic cell rate algorithm per number, remembered only
 * while it matters. Whoever finds no place is let through: the table bounds single offenders, other limits bound crowds. */
#ifndef TR_SERVER_PACE_H
#define TR_SERVER_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define TR_PACE_PLACES 4096
#define TR_PACE_WAYS 8

struct tr_pace {
	struct {
		uint32_t who;
		uint64_t until_ms;
	} places[TR_PACE_PLACES];
};

/* One every step_ms on average, burst at once. now_ms is monotonic. */
bool tr_pace_allow(struct tr_pace *p, uint32_t who, uint64_t now_ms, uint32_t step_ms, uint32_t burst);

#endif
