/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that failed before they could be judged: anybody can send them, so they change nothing about the agent they
 * name. The sender is what is remembered, in a table of fixed size. */
#include "fleet/inner.h"

#include "base/log.h"
#include "codec/ident.h"
#include "codec/text.h"

#include <stdio.h>

#define RECORDED_A_MINUTE 10
#define ALERT_A_MINUTE 20
#define QUIET_AFTER_MS 600000
#define WAYS 8u

static struct tr_offender *offender_of(struct tr_fleet *f, const struct tr_instant *now, struct tr_view source)
{
	uint32_t h = 2166136261u ^ (uint32_t)f->cfg.run;
	struct tr_offender *o, *oldest = NULL;

	for (size_t i = 0; i < source.n; i++)
		h = (h ^ source.p[i]) * 16777619u;
	h ^= h >> 15;
	for (uint32_t i = 0; i < WAYS; i++) {
		o = &f->offenders[(h / WAYS * WAYS + i) % TR_OFFENDERS];
		if (tr_view_is(source, o->source))
			return o;
		/* One that alerted keeps its place while others can give theirs. */
		if (!oldest || (oldest->alerted && !o->alerted) ||
		    (oldest->alerted == o->alerted && o->last_ms < oldest->last_ms))
			oldest = o;
	}
	if (oldest->alerted)
		tr_alerts_resolve(f->alerts, now->ms, "attack_traffic", tr_view_str(tr_fmt("source:%s", oldest->source)),
				  "its place was needed for a newer one");
	*oldest = (struct tr_offender){ .minute_ms = now->ms };
	(void)snprintf(oldest->source, sizeof(oldest->source), "%.*s", TR_VIEW_FMT(source));
	return oldest;
}

static void alert(struct tr_fleet *f, const struct tr_instant *now, struct tr_offender *o, enum tr_event_kind kind,
		  unsigned severity)
{
	const struct tr_alert what = {
		.kind = "attack_traffic",
		.subject = tr_view_str(tr_fmt("source:%s", o->source)),
		.severity = severity,
		.cause = "attack",
		.summary = tr_view_str(tr_fmt("this address sends messages that fail verification (%s)", tr_event_name(kind))),
		.action = tr_alert_action("attack_traffic"),
	};

	o->alerted = true;
	tr_alerts_raise(f->alerts, now->ms, &what);
}

void tr_fleet_refused(struct tr_fleet *f, const struct tr_instant *now, enum tr_event_kind kind, uint32_t agent,
		      struct tr_view agent_id, struct tr_view source, struct tr_view raw)
{
	struct tr_offender *o = offender_of(f, now, source);
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;

	f->stats.refused[kind]++;
	o->last_ms = now->ms;
	if (now->ms - o->minute_ms >= 60000) {
		o->minute_ms = now->ms;
		o->in_minute = 0;
	}
	o->in_minute++;
	/* A pulse made for another connection was signed with this agent's key: rate does not matter. */
	if (kind == TR_EV_RELAYED && !o->alerted)
		alert(f, now, o, kind, 2);
	else if (o->in_minute == ALERT_A_MINUTE)
		alert(f, now, o, kind, 3);
	if (o->in_minute > RECORDED_A_MINUTE)
		return;
	tr_buf_adds(&d, "{\"named\":\"");
	/* Only names of the narrow grammar come this far; anything else is shown as hex. */
	if (tr_ident_ok(agent_id)) {
		tr_buf_addv(&d, agent_id);
	} else {
		tr_hex_add(&d, agent_id.n > 64 ? tr_view(agent_id.p, 64) : agent_id);
	}
	tr_buf_addf(&d, "\",\"in_this_minute\":%u}", o->in_minute);
	tr_fleet_emit(f, kind, agent, kind == TR_EV_RELAYED ? 2 : 3, source, tr_buf_view(&d),
		      raw.n > 2048 ? tr_view(raw.p, 2048) : raw);
}

#define OLD_KEY_NEAR_S 3600

void tr_fleet_old_key(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, struct tr_view source,
		      struct tr_view raw)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	uint32_t now_s = (uint32_t)(now->ms / 1000);

	if (!a || !a->active)
		return;
	tr_fleet_refused(f, now, TR_EV_OLD_KEY, no, tr_view_str(a->id), source, raw);
	/* An agent whose change of key came to nothing tries one key, then the other. */
	if (a->old_key_s && now_s - a->old_key_s < OLD_KEY_NEAR_S)
		/* After a reset it is known that a copy exists, and who holds it can do no more than this. */
		tr_agent_alert(f, now, no, "old_key", a->epoch <= 1 ? 1 : 2, "identity",
			       "somebody speaks under a key that this agent has given up: a copy, or the agent itself "
			       "whose identity a copy has taken over");
	a->old_key_s = now_s;
}

void tr_offenders_tick(struct tr_fleet *f, const struct tr_instant *now)
{
	for (size_t i = 0; i < TR_OFFENDERS; i++) {
		struct tr_offender *o = &f->offenders[i];

		if (!o->alerted || now->ms - o->last_ms < QUIET_AFTER_MS)
			continue;
		o->alerted = false;
		tr_alerts_resolve(f->alerts, now->ms, "attack_traffic", tr_view_str(tr_fmt("source:%s", o->source)),
				  "quiet for ten minutes");
	}
}
