/* SPDX-License-Identifier: Apache-2.0 */
/* What another node heard. Its rows bring our memory up to date, so that the agent's next pulse may come here; they are no
 * pulses, so they accuse nobody: forks and replays are found where two pulses meet. */
#include "fleet/inner.h"

void tr_fleet_quiet(struct tr_fleet *f, bool quiet)
{
	f->quiet = quiet;
}

void tr_fleet_ticket_key(struct tr_fleet *f, const uint8_t key[TR_TICKET_KEY_LEN])
{
	memcpy(f->cfg.ticket_key, key, TR_TICKET_KEY_LEN);
}

void tr_fleet_judges(struct tr_fleet *f, const struct tr_instant *now, bool judges, uint32_t lag_ms)
{
	bool begins = judges && !f->judges;

	f->lag_ms = lag_ms;
	f->judges = judges;
	tr_alerts_remind(f->alerts, judges);
	/* As after a start: what this node was not there to judge is not held against anybody, and who spoke to a node that is
	 * gone may take a while to come here. */
	if (begins && f->loaded)
		tr_live_begin(f, now);
}

static bool is_set(const uint8_t *p, size_t n)
{
	static const uint8_t zero[32];

	return memcmp(p, zero, n) != 0;
}

static bool is_head(const struct tr_fleet_agent *a, const struct tr_pulse_row *r)
{
	return r->head.n == sizeof(a->head) ? memcmp(r->head.p, a->head, sizeof(a->head)) == 0 : !is_set(a->head, 32);
}

/* Numbers rise along one history, whichever node's clock is right; time decides only between two histories, and must then
 * leave no doubt. */
static bool is_newer(const struct tr_fleet_agent *a, const struct tr_pulse_row *r)
{
	int64_t doubt = (int64_t)a->interval_s * 2000;

	if (!r->last_seen || is_head(a, r))
		return false;
	if (!a->last_ms)
		return true;
	if (r->seq > a->seq)
		return r->last_seen + doubt > a->last_ms;
	return r->last_seen > a->last_ms + doubt;
}

/* An order that was given here and is not used up there yet. */
static bool order_stands(const struct tr_fleet *f, const struct tr_instant *now, const struct tr_fleet_agent *a,
			 const struct tr_pulse_row *r)
{
	return a->expected && !r->expected_hash.n && now->ms / 1000 <= a->expected_until_s &&
	       !tr_view_eq(r->good_hash, tr_fleet_value(f, a->expected));
}

static void free_list(struct tr_buf **b)
{
	if (*b)
		tr_buf_done(*b);
	free(*b);
	*b = NULL;
}

static uint8_t auth_of(const struct tr_fleet_agent *a, uint8_t theirs)
{
	switch (theirs) {
	case TR_AUTH_FORKED:
	case TR_AUTH_RESTORED:
	case TR_AUTH_OK: return theirs == TR_AUTH_OK && a->stray ? TR_AUTH_CONFLICT : theirs;
	/* That a second history was seen there is that node's to say, and to take back: the alert tells it here. */
	case TR_AUTH_CONFLICT: return a->axes.auth == TR_AUTH_UNKNOWN ? TR_AUTH_OK : a->axes.auth;
	default: return a->axes.auth;
	}
}

/* Everything as after a load, but for what this node knows better. */
static void take(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_row *r)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	struct tr_axes was = a->axes, is;
	int64_t last = a->last_ms, first = a->first_ms, then = r->last_seen < now->ms ? r->last_seen : now->ms;
	uint64_t accepted = a->accepted;
	uint16_t keyset = a->keyset_epoch;
	bool ordered = order_stands(f, now, a, r);
	uint32_t expected_until = a->expected_until_s, since[6];
	uint8_t hash[32], reach = TR_REACH_LIVE;

	if (ordered)
		memcpy(hash, tr_fleet_value(f, a->expected).p, sizeof(hash));
	free_list(&a->bpf_list);
	free_list(&a->findings);
	tr_row_take(f, a, r);
	memcpy(since, a->since, sizeof(since));
	is = a->axes;
	a->axes = was;
	a->last_ms = then > last ? then : last;
	a->first_ms = first && first < a->first_ms ? first : a->first_ms;
	a->accepted = accepted > a->accepted ? accepted : a->accepted;
	if (ordered) {
		tr_intern_set(f->values, &a->expected, tr_view(hash, sizeof(hash)));
		a->expected_until_s = expected_until;
	}
	tr_lineage_elsewhere(f, now, no, r->auth == TR_AUTH_RESTORED && was.auth != TR_AUTH_RESTORED);
	tr_axis_set(f, now, no, TR_AXIS_AUTH, auth_of(a, is.auth));
	tr_axis_set(f, now, no, TR_AXIS_CLOCK, is.clock);
	tr_axis_set(f, now, no, TR_AXIS_INTEGRITY, is.integrity);
	a->keyset_epoch = keyset;
	tr_adoption_remote(f, now, no, r->keyset_epoch);
	tr_axis_set(f, now, no, TR_AXIS_UPDATING, ordered ? was.updating : is.updating);
	/* Who judges silence judges this one's from here on; who does not takes the judge's word. */
	if (a->notice)
		reach = TR_REACH_ANNOUNCED;
	else if (!f->judges && r->reach != TR_REACH_NEVER)
		reach = (uint8_t)r->reach;
	tr_axis_set(f, now, no, TR_AXIS_REACH, reach);
	for (unsigned i = TR_AXIS_AUTH; i < 6; i++)
		a->since[i] = since[i];
	a->dirty = ordered || a->stray;
	if (last > 0 && last <= f->started_ms)
		f->heard++;
	a->heard = true;
	tr_live_recount(f, no);
	if (f->judges && (was.reach != TR_REACH_LIVE || a->silence_sev))
		tr_agent_alert_over(f, now, no, "silence", "it speaks again");
	a->silence_sev = 0;
}

void tr_fleet_remote(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_row *r)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (!a || !a->active || r->epoch < a->epoch) {
		if (a && a->active)
			a->dirty = true;
		return;
	}
	/* Another enrolment's: its row is on its way. */
	if (r->epoch != a->epoch || r->reach >= TR_REACH_N)
		return;
	f->quiet = true;
	if (is_newer(a, r)) {
		take(f, now, no, r);
	} else if (is_head(a, r)) {
		bool dirty = a->dirty;

		if (r->auth == TR_AUTH_FORKED || (r->auth == TR_AUTH_OK && a->axes.auth == TR_AUTH_CONFLICT && !a->stray))
			tr_axis_set(f, now, no, TR_AXIS_AUTH, (uint8_t)r->auth);
		if (!f->judges && r->reach != TR_REACH_NEVER) {
			tr_axis_set(f, now, no, TR_AXIS_REACH, (uint8_t)r->reach);
			tr_live_recount(f, no);
		}
		/* They have stored it. */
		a->dirty = dirty;
	} else {
		if (r->auth == TR_AUTH_FORKED)
			tr_axis_set(f, now, no, TR_AXIS_AUTH, TR_AUTH_FORKED);
		/* It was stored over ours, or ours was left out for it. */
		a->dirty = true;
	}
	f->quiet = false;
}
