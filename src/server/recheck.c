/* SPDX-License-Identifier: Apache-2.0 */
/* Front's word, checked a second time by a process that shares nothing with it: the first pulse of every connection,
 * every one that changed something, and one in 64 of the rest, which front cannot foresee. */
#include "server/core.h"

#include "base/log.h"
#include "codec/text.h"

#define UNDER_WAY_MAX 2048u /* after a restart all agents connect at once */
#define ONE_IN 64u

struct recheck {
	struct tr_core *core;
	unsigned front;
	uint32_t front_gen, agent;
	uint64_t seq;
	bool accepted;
	struct tr_buf raw;
	char agent_id[65], source[65];
};

static void recheck_free(struct recheck *k)
{
	k->core->rechecks--;
	tr_buf_done(&k->raw);
	free(k);
}

static bool chosen(struct tr_core *c)
{
	if (!c->dice_left) {
		tr_random(c->dice, sizeof(c->dice));
		c->dice_left = sizeof(c->dice);
	}
	return c->dice[--c->dice_left] % ONE_IN == 0;
}

static void alert_lie(struct tr_core *c, const struct recheck *k)
{
	char what[160];
	struct tr_alert a = { .kind = "front_lied", .subject = TR_VIEW_LIT("server"), .severity = 1 };

	(void)snprintf(what, sizeof(what), "a front process passed a pulse of agent %s that does not say what front claimed",
		       k->agent_id);
	a.summary = tr_view_str(what);
	tr_alerts_raise(tr_fleet_alerts(c->fleet), tr_core_now(c).ms, &a);
}

/* What a front made us believe of this agent may be anything: the record says which pulse, and whether it was taken. */
static void front_lied(const struct recheck *k, struct tr_view why)
{
	struct tr_core *c = k->core;
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;
	struct tr_event ev = { .kind = TR_EV_FRONT_LIED, .agent = k->agent, .agent_id = tr_view_str(k->agent_id),
			       .source = tr_view_str(k->source), .severity = 1, .evidence = tr_buf_view(&k->raw) };

	tr_buf_addf(&d, "{\"front\":%u,\"seq\":%llu,\"taken_as_true\":%s,\"why\":", k->front, (unsigned long long)k->seq,
		    k->accepted ? "true" : "false");
	tr_json_put_str(&d, why);
	tr_buf_adds(&d, "}");
	ev.detail = tr_buf_view(&d);
	c->metrics.fronts_lied++;
	tr_effects_event(c->effects, &ev);
	alert_lie(c, k);
	if (c->fronts[k->front].chan && c->fronts[k->front].gen == k->front_gen)
		tr_core_end_front(c, k->front);
}

static void on_rechecked(void *arg, const void *answer)
{
	struct recheck *k = arg;
	const struct tr_msg_done *d = answer;

	if (!d || (d->code && d->code != TR_E_DENIED)) {
		k->core->metrics.rechecks_lost++;
		if (d)
			tr_log(TR_LOG_ERROR, "recheck_failed", "agent", k->agent_id, "why", tr_fmt_view(d->why), NULL);
	} else if (d->code) {
		front_lied(k, d->why);
	} else {
		k->core->metrics.rechecks_ok++;
	}
	recheck_free(k);
}

void tr_core_recheck(struct tr_core *c, const struct tr_req *r, const struct tr_item *i, const struct tr_msg_pulse *m,
		     const struct tr_pulse *p, const struct tr_pulse_result *res)
{
	struct tr_msg_recheck q = { .raw = m->raw, .pulse = m->pulse, .digest = m->digest };
	const struct tr_agent_row *row;
	struct recheck *k;

	bool ours = res->changed || chosen(c);

	if (!m->first && !ours)
		return;
	/* What is first is front's word: one that says so of everything must not use up the room of what we choose. */
	if (c->rechecks >= (ours ? UNDER_WAY_MAX : UNDER_WAY_MAX / 2) || !(k = calloc(1, sizeof(*k)))) {
		c->metrics.rechecks_skipped++;
		return;
	}
	row = TR_ROW(&c->agents, i);
	q.spki = r->next_key ? row->next_spki : row->spki;
	c->rechecks++;
	k->core = c;
	k->front = r->front;
	k->front_gen = r->front_gen;
	k->agent = i->no;
	k->seq = p->seq;
	k->accepted = res->accepted;
	tr_buf_add(&k->raw, m->raw.p, m->raw.n < TR_MSG_PULSE_REFUSED_RAW ? m->raw.n : TR_MSG_PULSE_REFUSED_RAW);
	(void)snprintf(k->agent_id, sizeof(k->agent_id), "%.*s", TR_VIEW_FMT(r->q.agent_id));
	(void)snprintf(k->source, sizeof(k->source), "%.*s", TR_VIEW_FMT(m->source));
	tr_core_ask(c, c->appraise, TR_M_RECHECK, &tr_msg_recheck_def, &q, on_rechecked, k);
}
