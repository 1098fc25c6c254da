/* SPDX-License-Identifier: Apache-2.0 */
/* Which keyset each agent holds: its pulses say so, and a new key is only put to use when they all name it. */
#include "fleet/inner.h"

#include <stdio.h>

#define TELL_AGAIN_MS 60000

/* Steps from what the agent holds to what is in force; 16 bits of its epoch are kept, so half of them are the future. */
static uint16_t steps_behind(const struct tr_fleet *f, const struct tr_fleet_agent *a)
{
	return (uint16_t)(f->cfg.keyset_epoch - a->keyset_epoch);
}

static bool holds_current(const struct tr_fleet *f, const struct tr_fleet_agent *a)
{
	return a->keyset_epoch && steps_behind(f, a) == 0;
}

uint8_t tr_adoption_axis(const struct tr_fleet *f, const struct tr_fleet_agent *a)
{
	uint16_t behind = steps_behind(f, a);

	if (!a->keyset_epoch)
		return a->axes.config;
	return behind && behind <= INT16_MAX ? TR_CONFIG_BEHIND : TR_CONFIG_CURRENT;
}

void tr_adoption_forget(struct tr_fleet *f, struct tr_fleet_agent *a)
{
	f->stats.keyset_current -= holds_current(f, a);
	a->keyset_epoch = 0;
}

/* Its server has forgotten what it knew, or the agent lies: somebody must look in both cases, once a minute at most. */
static void tell_ahead(struct tr_fleet *f, const struct tr_instant *now, const struct tr_fleet_agent *a, uint64_t epoch)
{
	struct tr_alert what = { .kind = "keyset_behind", .subject = TR_VIEW_LIT("server") };
	char summary[200];

	if (epoch > f->keyset_seen)
		f->keyset_seen = epoch;
	if (f->keyset_ahead_ms && now->ms - f->keyset_ahead_ms < TELL_AGAIN_MS)
		return;
	f->keyset_ahead_ms = now->ms;
	(void)snprintf(summary, sizeof(summary), "agent %s holds keyset %llu, and the newest that this server knows is %llu", a->id,
		       (unsigned long long)epoch, (unsigned long long)f->cfg.keyset_epoch);
	what.summary = tr_view_str(summary);
	tr_alerts_raise(f->alerts, now->ms, &what);
}

void tr_adoption_take(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, uint64_t epoch)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	f->stats.keyset_current -= holds_current(f, a);
	a->keyset_epoch = (uint16_t)epoch;
	f->stats.keyset_current += holds_current(f, a);
	tr_axis_set(f, now, no, TR_AXIS_CONFIG, epoch < f->cfg.keyset_epoch ? TR_CONFIG_BEHIND : TR_CONFIG_CURRENT);
	if (epoch > f->cfg.keyset_epoch)
		tell_ahead(f, now, a, epoch);
}

void tr_adoption_recount(struct tr_fleet *f)
{
	f->stats.keyset_current = 0;
	for (uint32_t no = 0; no < f->n; no++)
		f->stats.keyset_current += holds_current(f, tr_agent_at(f, no));
}

/* A row keeps 16 bits of it; the nearest epoch that ends so is meant. */
void tr_adoption_remote(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, uint64_t epoch)
{
	int16_t behind = (int16_t)((uint16_t)f->cfg.keyset_epoch - (uint16_t)epoch);

	if (epoch)
		tr_adoption_take(f, now, no, f->cfg.keyset_epoch - (uint64_t)(int64_t)behind);
}

void tr_fleet_keyset(struct tr_fleet *f, const struct tr_instant *now, uint64_t epoch)
{
	f->cfg.keyset_epoch = epoch;
	tr_adoption_recount(f);
	if (epoch >= f->keyset_seen) {
		f->keyset_ahead_ms = 0;
		tr_alerts_resolve(f->alerts, now->ms, "keyset_behind", TR_VIEW_LIT("server"),
				  "the server knows the agents' keyset again");
	}
}

enum tr_adopted tr_fleet_adopted(const struct tr_fleet *f, const struct tr_instant *now, uint32_t no, uint64_t since)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);
	struct tr_axes axes;

	if (!a || !a->active)
		return TR_ADOPTED_NOT_ASKED;
	if (since && a->keyset_epoch && steps_behind(f, a) <= f->cfg.keyset_epoch - since)
		return TR_ADOPTED;
	(void)tr_fleet_verdict(f, now, no, &axes);
	return axes.reach == TR_REACH_LIVE || axes.reach == TR_REACH_LATE ? TR_ADOPTED_BEHIND : TR_ADOPTED_UNREACHABLE;
}

void tr_fleet_adoption(const struct tr_fleet *f, const struct tr_instant *now, uint64_t since, struct tr_adoption *ret)
{
	*ret = (struct tr_adoption){ 0 };
	for (uint32_t no = 0; no < f->n; no++) {
		enum tr_adopted is = tr_fleet_adopted(f, now, no, since);

		ret->adopted += is == TR_ADOPTED;
		ret->behind += is == TR_ADOPTED_BEHIND;
		ret->unreachable += is == TR_ADOPTED_UNREACHABLE;
	}
}

uint64_t tr_fleet_keyset_of(const struct tr_fleet *f, uint32_t no)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);
	uint16_t behind;

	if (!a || !a->keyset_epoch)
		return 0;
	behind = steps_behind(f, a);
	return behind <= INT16_MAX ? f->cfg.keyset_epoch - behind : f->cfg.keyset_epoch + (uint16_t)-behind;
}
