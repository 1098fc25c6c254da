/* SPDX-License-Identifier: Apache-2.0 */
/* What time does to attestation: collateral that runs out, verdicts that ran out, verdicts nobody needs any more. */
#include "server/tee_inner.h"
#include "server/hub.h"

#include "appraise/tee.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

#define LOOK_EVERY_MS 10000u
#define DAY_S INT64_C(86400)
#define EXPIRING_S (7 * DAY_S)
#define VERDICTS_KEPT_MS (400 * INT64_C(86400000))
#define FORGET_EVERY_MS (6 * 3600000u)

static void watch_item(struct tr_core *c, enum tr_bundle_item type)
{
	struct tr_alerts *alerts = tr_fleet_alerts(c->fleet);
	struct tr_view name = tr_view_str(tr_bundle_item_name(type));
	int64_t now = tr_now_ms() / 1000, ends = tr_collateral_ends(c, name, NULL), ms = tr_core_now(c).ms;
	bool soon = ends && ends - now < EXPIRING_S && tr_tee_active_policies(c) > 0;
	char subject[64], what[160];
	struct tr_alert a = { .kind = "collateral_expiring" };
	const struct tr_alert_row *open;

	(void)snprintf(subject, sizeof(subject), "collateral:%s", tr_bundle_item_name(type));
	a.subject = tr_view_str(subject);
	a.severity = ends <= now ? 2 : 3;
	open = tr_alerts_find(alerts, a.kind, a.subject);
	if (ends > now)
		(void)snprintf(what, sizeof(what), "collateral of kind %s ends in %lld days", tr_bundle_item_name(type),
			       (long long)((ends - now) / DAY_S));
	else
		(void)snprintf(what, sizeof(what), "collateral of kind %s has ended: evidence that needs it is refused",
			       tr_bundle_item_name(type));
	a.summary = tr_view_str(what);
	if (soon && (!open || a.severity < open->severity))
		tr_alerts_raise(alerts, ms, &a);
	else if (!soon && open)
		tr_alerts_resolve(alerts, ms, a.kind, a.subject, "newer collateral is in force");
}

/* Verdicts that have run out without a new one since the last look. */
static void tell_expired(struct tr_core *c)
{
	int64_t now = tr_now_ms(), from = c->tee->expired_up_to;
	const struct tr_item *i;

	c->tee->expired_up_to = now;
	TR_EACH_ITEM(&c->attested, i) {
		const struct tr_attested_row *a = TR_ROW(&c->attested, i);
		const struct tr_item *agent = tr_table_get(&c->agents, a->id);
		const struct tr_agent_row *row;

		if (a->expires_at <= from || a->expires_at > now || !tr_view_is(a->state, "verified"))
			continue;
		row = TR_ROW(&c->agents, agent);
		if (row && tr_view_is(row->state, "active"))
			tr_hub_event(c, TR_EV_ATTESTATION_EXPIRED, 3, a->id, tr_view(NULL, 0), TR_VIEW_LIT("{}"), NULL, NULL);
	}
}

static void forgot(void *arg, enum tr_code rc, const char *why)
{
	(void)arg;
	if (rc)
		tr_log(TR_LOG_WARN, "old_verdicts_kept", "why", why, NULL);
}

static void forget_old(struct tr_core *c)
{
	struct tr_verdict_row row = { .time = tr_now_ms() - VERDICTS_KEPT_MS };
	struct tr_tx *tx = tr_tx_new(c);

	tr_tx_add(tx, TR_OP_EXPIRE, TR_T_VERDICT, &row);
	tr_tx_commit(tx, forgot, NULL);
}

void tr_tee_tick(struct tr_core *c)
{
	uint64_t now = tr_mono_ms();

	if (!c->loaded)
		return;
	if (tr_tee_active_policies(c))
		(void)tr_result_key(c);
	if (now - c->tee->looked_at < LOOK_EVERY_MS && c->tee->looked_at)
		return;
	c->tee->looked_at = now;
	if (!tr_core_holds(c)) {
		c->tee->expired_up_to = tr_now_ms();
		return;
	}
	tell_expired(c);
	for (unsigned t = 1; t < TR_BI_N && c->tee->bundle.good; t++)
		watch_item(c, (enum tr_bundle_item)t);
	if (now - c->tee->forgot_at > FORGET_EVERY_MS && c->store_ok) {
		c->tee->forgot_at = now;
		forget_old(c);
	}
}
