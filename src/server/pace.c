/* SPDX-License-Identifier: Apache-2.0 */
#include "server/pace.h"

bool tr_pace_allow(struct tr_pace *p, uint32_t who, uint64_t now_ms, uint32_t step_ms, uint32_t burst)
{
	uint32_t at = who * 2654435761u / TR_PACE_WAYS % TR_PACE_PLACES / TR_PACE_WAYS * TR_PACE_WAYS;
	uint32_t place = TR_PACE_PLACES;
	uint64_t from = now_ms;

	for (uint32_t i = at; i < at + TR_PACE_WAYS; i++) {
		if (p->places[i].until_ms <= now_ms) {
			place = place == TR_PACE_PLACES ? i : place;
		} else if (p->places[i].who == who) {
			place = i;
			from = p->places[i].until_ms;
			break;
		}
	}
	if (from + step_ms - now_ms > (uint64_t)burst * step_ms)
		return false;
	if (place != TR_PACE_PLACES) {
		p->places[place].who = who;
		p->places[place].until_ms = from + step_ms;
	}
	return true;
}
