/* SPDX-License-Identifier: Apache-2.0 */
/* Who is silent, for how long, and when that is worth a word. Silence alone proves nothing, so false alarms are the enemy:
 * one lost beat is weather, a whole partition is one incident, and what the server itself slept through is nobody's fault. */
#include "fleet/inner.h"

#include <stdio.h>

#define GAP_MS 5000          /* between ticks; longer, and the server was not there to hear */
#define PASS_MS 10000        /* every agent is looked at this often… */
#define EVERY_TICK 20000u    /* …and at every tick in a fleet of up to this many */
#define BEATS_A_MONTH_MS (INT64_C(30) * 86400 * 1000)
#define K_MIN 4u
#define K_MAX 8u
#define LOSS_WEIGHT 256u     /* a beat changes the smoothed loss by 1/256 of the difference */
#define LOSS_MARGIN_PPM 3000u/* what smoothing over so few beats may miss */
#define LOSS_RUN_MAX 3u      /* a longer run is an outage, not loss */
#define NEVER_GRACE_MS 600000
#define INCIDENT_MIN 5u      /* agents; at least this many, and one in five */
#define INCIDENT_SHARE 5u
#define RETURN_MS 600000     /* at most so long are agents waited for that still come back after a start */
#define RETURN_STEP_MS 10000
#define STALLS_NEAR_MS 600000

/* ---- one agent: a function of its last pulse and the clock ---- */

static int64_t beat_ms(const struct tr_fleet *f, const struct tr_fleet_agent *a)
{
	return (int64_t)(a->interval_s ? a->interval_s : f->cfg.interval_s) * 1000;
}

/* So long nothing is missing: the interval, its jitter of a tenth, the way, also by another node. */
static int64_t in_time_ms(const struct tr_fleet *f, int64_t beat)
{
	return beat + beat / 10 + TR_SLACK_MS + f->lag_ms;
}

static unsigned beats_missed(const struct tr_fleet *f, int64_t silence, int64_t beat)
{
	int64_t over = silence - in_time_ms(f, beat);

	if (over <= 0)
		return 0;
	return over / beat < 100 ? (unsigned)(over / beat) + 1 : 100;
}

unsigned tr_live_k(const struct tr_fleet *f, const struct tr_fleet_agent *a)
{
	double p = (double)(a->loss_ppm + LOSS_MARGIN_PPM) / 1e6;
	/* Runs of k lost beats that the whole fleet sees in a month, were every agent like this one: below one. */
	double runs = (double)f->active * ((double)BEATS_A_MONTH_MS / (double)beat_ms(f, a));
	unsigned k = 0;

	for (; k < K_MAX && (k < K_MIN || runs >= 1); k++)
		runs *= p;
	return k;
}

static int64_t heard_from_ms(const struct tr_fleet *f, const struct tr_fleet_agent *a)
{
	int64_t from = a->last_ms > f->amnesty_ms ? a->last_ms : f->amnesty_ms;
	int64_t until = a->notice ? (int64_t)a->notice_until_s * 1000 : 0;

	return until > from ? until : from;
}

/* Alarms of agents in it are held back: the partition's incident speaks for them. */
static bool is_held(const struct tr_fleet *f, const struct tr_fleet_agent *a)
{
	return f->partitions[a->partition].incident || f->rest.incident;
}

/* Without a pulse nothing gets better: amnesty delays the next step, it does not take one back. */
static uint8_t reach_at(const struct tr_fleet *f, const struct tr_instant *now, const struct tr_fleet_agent *a)
{
	uint8_t was = a->axes.reach, is;
	int64_t beat = beat_ms(f, a);
	unsigned missed;

	if (!a->active || !f->judges || was == TR_REACH_NEVER || was == TR_REACH_LOST)
		return was;
	if (a->notice && now->ms < (int64_t)a->notice_until_s * 1000)
		return TR_REACH_ANNOUNCED;
	missed = beats_missed(f, now->ms - heard_from_ms(f, a), beat);
	is = TR_REACH_LIVE;
	if (missed == 1)
		is = TR_REACH_LATE;
	else if (missed >= K_MIN && !is_held(f, a) && missed >= tr_live_k(f, a))
		is = TR_REACH_LOST;
	else if (missed)
		is = TR_REACH_MISSED;
	if (was == TR_REACH_ANNOUNCED)
		return is == TR_REACH_LIVE ? was : is;
	return is > was ? is : was;
}

enum tr_verdict tr_fleet_verdict(const struct tr_fleet *f, const struct tr_instant *now, uint32_t no, struct tr_axes *ret_axes)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);
	struct tr_axes axes = a ? a->axes : (struct tr_axes){ 0 };

	if (a)
		axes.reach = reach_at(f, now, a);
	if (a)
		axes.config = tr_adoption_axis(f, a);
	if (ret_axes)
		*ret_axes = axes;
	return a ? tr_verdict_fold(&axes) : TR_V_UNKNOWN;
}

uint32_t tr_fleet_lost_after_s(const struct tr_fleet *f, uint32_t no)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);
	int64_t beat, ms;

	if (!a)
		return 0;
	beat = beat_ms(f, a);
	ms = in_time_ms(f, beat) + (tr_live_k(f, a) - 1) * beat + 1000 + (f->n > EVERY_TICK ? PASS_MS : 0);
	return (uint32_t)((ms + 999) / 1000);
}

/* ---- who counts in his partition ---- */

static void count(struct tr_fleet *f, struct tr_fleet_agent *a)
{
	uint8_t r = a->axes.reach;
	bool in = a->active && !a->in_maintenance && a->axes.auth != TR_AUTH_FORKED &&
		  (r == TR_REACH_LIVE || r == TR_REACH_LATE || r == TR_REACH_MISSED);
	bool silent = in && r == TR_REACH_MISSED;
	uint16_t where = in ? (uint16_t)(a->partition + 1) : 0;

	if (where == a->counted_in && silent == a->counted_silent)
		return;
	if (a->counted_in) {
		f->partitions[a->counted_in - 1].active--;
		f->partitions[a->counted_in - 1].silent -= a->counted_silent;
	}
	a->counted_in = where;
	a->counted_silent = silent;
	if (where) {
		f->partitions[where - 1].active++;
		f->partitions[where - 1].silent += silent;
	}
}

void tr_live_recount(struct tr_fleet *f, uint32_t no)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (!a)
		return;
	if (!a->active || a->axes.reach == TR_REACH_NEVER)
		a->silence_sev = 0;
	count(f, a);
}

/* ---- maintenance ---- */

static bool in_force(const struct tr_window *w, const struct tr_instant *now)
{
	int64_t wall_ms = now->wall_ns / 1000000; /* people give windows by the wall clock */

	return w->from_ms <= wall_ms && wall_ms < w->until_ms;
}

bool tr_live_in_maintenance(const struct tr_fleet *f, const struct tr_instant *now, const struct tr_fleet_agent *a)
{
	for (size_t i = 0; i < f->n_windows; i++) {
		const struct tr_window *w = &f->windows[i];

		if (in_force(w, now) && (w->scope == 'f' || (w->scope == 'a' && strcmp(w->target, a->id) == 0) ||
					 (w->scope == 'p' && strcmp(w->target, f->partitions[a->partition].name) == 0)))
			return true;
	}
	return false;
}

/* So that looking at an agent costs no search. */
static void mark_windows(struct tr_fleet *f, const struct tr_instant *now)
{
	f->agent_windows = false;
	for (uint16_t p = 0; p < f->n_partitions; p++)
		f->partitions[p].window = false;
	for (size_t i = 0; i < f->n_windows; i++) {
		const struct tr_window *w = &f->windows[i];

		if (!in_force(w, now))
			continue;
		f->agent_windows |= w->scope == 'a';
		for (uint16_t p = 0; p < f->n_partitions && w->scope != 'a'; p++)
			f->partitions[p].window |= w->scope == 'f' || strcmp(w->target, f->partitions[p].name) == 0;
	}
}

static bool is_maintained(const struct tr_fleet *f, const struct tr_instant *now, const struct tr_fleet_agent *a)
{
	if (f->partitions[a->partition].window)
		return true;
	/* A window for one agent matters when it falls silent. */
	return f->agent_windows && (a->in_maintenance || a->axes.reach != TR_REACH_LIVE) &&
	       tr_live_in_maintenance(f, now, a);
}

/* ---- the ladder of alerts ---- */

/* An agent without a key came by the original protocol's registration and cannot send a pulse. */
static bool can_pulse(const struct tr_fleet_agent *a)
{
	static const uint8_t none[32];

	return memcmp(a->key_id, none, sizeof(a->key_id)) != 0;
}

/* 0: not a word. */
static unsigned wanted_severity(const struct tr_fleet *f, const struct tr_instant *now, const struct tr_fleet_agent *a)
{
	int64_t beat = beat_ms(f, a), since = (int64_t)a->since[TR_AXIS_REACH] * 1000;

	if (a->in_maintenance || is_held(f, a) || a->axes.auth == TR_AUTH_FORKED)
		return 0;
	switch (a->axes.reach) {
	case TR_REACH_LOST: return 2;
	/* The first agent of a partition that falls silent is missed one jittered beat before the last one: whoever is alone by
	 * then is no partition's incident. */
	case TR_REACH_MISSED: return now->ms - heard_from_ms(f, a) - in_time_ms(f, beat) >= beat * 11 / 5 ? 4 : 0;
	case TR_REACH_NEVER:
		return can_pulse(a) && now->ms - since >= NEVER_GRACE_MS && now->ms - f->amnesty_ms >= NEVER_GRACE_MS ? 4 : 0;
	default: return 0;
	}
}

/* Raised before the server's last start and still open. */
static bool is_raised(const struct tr_fleet *f, const struct tr_fleet_agent *a, unsigned severity)
{
	char subject[80];
	const struct tr_alert_row *row;

	(void)snprintf(subject, sizeof(subject), "agent:%s", a->id);
	row = tr_alerts_find(f->alerts, "silence", tr_view_str(subject));
	return row && row->severity <= severity;
}

static void climb(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, struct tr_fleet_agent *a)
{
	unsigned want = wanted_severity(f, now, a);
	long long silence_s = (now->ms - a->last_ms) / 1000;
	char what[160];

	if (!want || (a->silence_sev && a->silence_sev <= want))
		return;
	a->silence_sev = (uint8_t)want;
	if (is_raised(f, a, want))
		return;
	if (a->axes.reach == TR_REACH_NEVER)
		(void)snprintf(what, sizeof(what), "enrolled at least %lld minutes ago and has not sent one pulse",
			       (long long)((now->ms / 1000 - a->since[TR_AXIS_REACH]) / 60));
	else if (want == 2)
		(void)snprintf(what, sizeof(what),
			       "lost: no accepted pulse for %lld s; its own loss explains less than %u missed beats",
			       silence_s, tr_live_k(f, a));
	else
		(void)snprintf(what, sizeof(what), "silent: no accepted pulse for %lld s; lost after %u s", silence_s,
			       tr_fleet_lost_after_s(f, no));
	tr_agent_alert(f, now, no, "silence", want, "silence", what);
}

/* ---- pulses ---- */

static void learn_loss(const struct tr_fleet *f, const struct tr_instant *now, struct tr_fleet_agent *a, int64_t last_before_ms)
{
	unsigned missed = beats_missed(f, now->ms - last_before_ms, beat_ms(f, a));
	uint32_t loss = a->loss_ppm < 1000000 ? a->loss_ppm : 1000000;
	uint8_t was = a->axes.reach;

	/* Only what the network lost while both ends were there. */
	if (last_before_ms <= f->amnesty_ms || (f->tick_ms && now->ms - f->tick_ms > GAP_MS) || missed > LOSS_RUN_MAX ||
	    was == TR_REACH_ANNOUNCED || was == TR_REACH_LOST || a->in_maintenance || is_held(f, a))
		return;
	while (missed--)
		loss += (1000000 - loss) / LOSS_WEIGHT;
	a->loss_ppm = loss - (loss + LOSS_WEIGHT - 1) / LOSS_WEIGHT;
}

void tr_live_accepted(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, int64_t last_before_ms)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	uint8_t was = a->axes.reach;

	learn_loss(f, now, a, last_before_ms);
	if (last_before_ms > 0 && last_before_ms <= f->started_ms)
		f->heard++;
	a->heard = true;
	tr_axis_set(f, now, no, TR_AXIS_REACH, a->notice ? TR_REACH_ANNOUNCED : TR_REACH_LIVE);
	count(f, a);
	/* After a restart only the open alert knows that it was raised, so any agent that was not live is asked for. */
	if (was != TR_REACH_LIVE || a->silence_sev)
		tr_agent_alert_over(f, now, no, "silence",
				    a->notice ? "it spoke, and announced that it will be silent" : "it speaks again");
	a->silence_sev = 0;
}

/* ---- partitions ---- */

static int64_t interval_ms(const struct tr_fleet *f)
{
	return (int64_t)f->cfg.interval_s * 1000;
}

static struct tr_view incident_subject(const struct tr_fleet *f, const struct tr_partition *p, char buf[80])
{
	if (p == &f->rest)
		return TR_VIEW_LIT("fleet");
	(void)snprintf(buf, 80, "partition:%s", p->name);
	return tr_view_str(buf);
}

static void raise_incident(struct tr_fleet *f, const struct tr_instant *now, struct tr_partition *p)
{
	char subject[80], text[160];
	struct tr_alert what = { .kind = "partition_silent", .subject = incident_subject(f, p, subject), .severity = 2,
				 .cause = "silence" };

	(void)snprintf(text, sizeof(text), "%u of %u agents fell silent within two beats%s", p->silent, p->active,
		       p == &f->rest ? " in several partitions: look at the server's own network first" : "");
	what.summary = tr_view_str(text);
	if (p == &f->rest)
		what.action = "check the server's own network first: agents of many partitions are silent, and not judged one "
			      "by one until they are back";
	p->peak = p->silent;
	tr_alerts_raise(f->alerts, now->ms, &what);
}

static void tell_incident(struct tr_fleet *f, const struct tr_partition *p, enum tr_event_kind kind, unsigned severity)
{
	char detail[160];
	struct tr_event e = { .kind = kind, .agent = TR_NO_AGENT, .severity = severity,
			      .partition = p == &f->rest ? tr_view(NULL, 0) : tr_view_str(p->name) };

	(void)snprintf(detail, sizeof(detail), "{\"partition\":\"%s\",\"silent\":%u,\"agents\":%u}",
		       p == &f->rest ? "*" : p->name, p->silent, p->active);
	e.detail = tr_view_str(detail);
	f->sink.event(f->sink.arg, &e);
}

static void judge_partition(struct tr_fleet *f, const struct tr_instant *now, struct tr_partition *p)
{
	uint32_t share = (p->active + INCIDENT_SHARE - 1) / INCIDENT_SHARE;
	bool over = p->silent >= (share > INCIDENT_MIN ? share : INCIDENT_MIN);
	int64_t excused = now->ms - f->amnesty_ms;
	char subject[80];

	if (!p->incident) {
		if (!over || excused < in_time_ms(f, interval_ms(f)))
			return;
		p->incident = true;
		p->recovered_ms = 0;
		tell_incident(f, p, TR_EV_PARTITION_SILENT, 2);
		raise_incident(f, now, p);
		return;
	}
	if (over) {
		p->recovered_ms = 0;
		if (p->silent > p->peak + p->peak / 2)
			raise_incident(f, now, p);
		return;
	}
	/* After a start some rows are older than the incident: who is silent is known again when all had their beats. */
	if (excused < in_time_ms(f, interval_ms(f)) + 2 * interval_ms(f))
		return;
	if (!p->recovered_ms)
		p->recovered_ms = now->ms;
	if (now->ms - p->recovered_ms < 2 * interval_ms(f))
		return;
	p->incident = false;
	p->peak = 0;
	tell_incident(f, p, TR_EV_PARTITION_BACK, 5);
	tr_alerts_resolve(f->alerts, now->ms, "partition_silent", incident_subject(f, p, subject), "its agents speak again");
}

/* Few agents in each of many partitions cannot make an incident of their own when the server's network fails: what has none
 * is judged as one. */
static void judge_partitions(struct tr_fleet *f, const struct tr_instant *now)
{
	f->rest.active = f->rest.silent = 0;
	for (uint16_t i = 0; i < f->n_partitions; i++) {
		struct tr_partition *p = &f->partitions[i];

		judge_partition(f, now, p);
		if (!p->incident) {
			f->rest.active += p->active;
			f->rest.silent += p->silent;
		}
	}
	judge_partition(f, now, &f->rest);
}

/* An incident that was open when the server stopped goes on under its alert. */
static void take_up(struct tr_fleet *f)
{
	for (uint32_t i = 0; i <= f->n_partitions; i++) {
		struct tr_partition *p = i < f->n_partitions ? &f->partitions[i] : &f->rest;
		char subject[80];
		const struct tr_alert_row *row =
			tr_alerts_find(f->alerts, "partition_silent", incident_subject(f, p, subject));

		p->incident = row != NULL;
		p->recovered_ms = 0;
		p->peak = row ? p->silent : 0;
	}
	f->expected = f->heard = f->heard_then = 0;
	for (uint32_t no = 0; no < f->n; no++) {
		const struct tr_fleet_agent *a = tr_agent_at(f, no);

		f->expected += a->active && a->last_ms > 0 && a->last_ms <= f->started_ms;
	}
	f->heard_ms = f->started_ms;
	f->taken_up = true;
}

void tr_live_begin(struct tr_fleet *f, const struct tr_instant *now)
{
	f->started_ms = f->amnesty_ms = now->ms;
	take_up(f);
}

/* ---- amnesty ---- */

static void watch_stalls(struct tr_fleet *f, const struct tr_instant *now, bool stalled)
{
	static const char text[] = "the server stopped for more than five seconds, more than once in ten minutes";
	struct tr_view self = tr_view_str(f->cfg.self ? f->cfg.self : "server");
	const struct tr_alert what = { .kind = "server_stalled", .subject = self, .summary = TR_VIEW_LIT(text) };
	bool near = f->stalled_ms && now->ms - f->stalled_ms < STALLS_NEAR_MS;

	if (stalled && near)
		tr_alerts_raise(f->alerts, now->ms, &what);
	if (!stalled && f->stalled_ms && !near) {
		tr_alerts_resolve(f->alerts, now->ms, "server_stalled", self, "ten minutes without a stop");
		f->stalled_ms = 0;
	}
	if (stalled)
		f->stalled_ms = now->ms;
}

/* What nobody could hear cannot be held against those who may have spoken. */
static void excuse(struct tr_fleet *f, const struct tr_instant *now)
{
	int64_t gap = f->tick_ms ? now->ms - f->tick_ms : 0;
	int64_t off = now->wall_ns / 1000000 - now->ms;
	int64_t step = f->tick_ms ? off - f->wall_off_ms : 0;
	bool stalled = gap > GAP_MS || gap < 0, stepped = step > GAP_MS || step < -GAP_MS;
	char detail[96];

	f->wall_off_ms = off;
	watch_stalls(f, now, stalled);
	if (!stalled && !stepped)
		return;
	f->amnesty_ms = now->ms;
	f->stats.amnesties++;
	/* A steady clock that went back would keep the dead alive until it catches up. */
	for (uint32_t no = 0; no < f->n && gap < 0; no++) {
		struct tr_fleet_agent *a = tr_agent_at(f, no);

		a->last_ms = a->last_ms > now->ms ? now->ms : a->last_ms;
	}
	(void)snprintf(detail, sizeof(detail), "{\"reason\":\"%s\",\"milliseconds\":%lld}", stalled ? "stall" : "clock_step",
		       (long long)(stalled ? gap : step));
	tr_fleet_emit(f, TR_EV_AMNESTY, TR_NO_AGENT, 5, tr_view(NULL, 0), tr_view_str(detail), tr_view(NULL, 0));
}

/* A million TLS handshakes take minutes: while agents still come back after the server's start at a rate that will bring
 * the others within ten minutes, nobody's silence counts. */
static void await_return(struct tr_fleet *f, const struct tr_instant *now)
{
	uint64_t newly = f->heard - f->heard_then;
	uint32_t unheard = f->expected > f->heard ? f->expected - f->heard : 0;

	if (!unheard || now->ms - f->started_ms >= RETURN_MS || now->ms - f->heard_ms < RETURN_STEP_MS)
		return;
	if (newly * (RETURN_MS / RETURN_STEP_MS) >= unheard)
		f->amnesty_ms = now->ms;
	f->heard_then = f->heard;
	f->heard_ms = now->ms;
}

/* ---- the tick ---- */

static void visit(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, struct tr_fleet_agent *a)
{
	bool maintained;
	uint8_t is;

	if (!a->active)
		return;
	maintained = is_maintained(f, now, a);
	if (maintained != a->in_maintenance)
		a->in_maintenance = maintained;
	is = reach_at(f, now, a);
	if (is != a->axes.reach)
		tr_axis_set(f, now, no, TR_AXIS_REACH, is);
	count(f, a);
	if (is != TR_REACH_LIVE && f->judges)
		climb(f, now, no, a);
}

void tr_live_visit(struct tr_fleet *f, const struct tr_instant *now, uint32_t n)
{
	if (n > f->n)
		n = f->n;
	for (; n; n--) {
		uint32_t no = f->live_at < f->n ? f->live_at : 0;
		struct tr_fleet_agent *a = tr_agent_at(f, no);

		/* Of a slab ahead: what judging a live agent reads lies in two lines. */
		if (no % TR_CHUNK + 8 < TR_CHUNK) {
			__builtin_prefetch(&a[8].last_ms);
			__builtin_prefetch(&a[8].axes);
		}
		visit(f, now, no, a);
		f->live_at = no + 1;
	}
}

static uint32_t share_of_tick(const struct tr_fleet *f, const struct tr_instant *now)
{
	int64_t gap = f->tick_ms && now->ms > f->tick_ms ? now->ms - f->tick_ms : 1000;

	if (f->n <= EVERY_TICK || gap >= PASS_MS)
		return f->n;
	return (uint32_t)((int64_t)f->n * gap / PASS_MS) + 1;
}

void tr_fleet_tick(struct tr_fleet *f, const struct tr_instant *now)
{
	uint32_t share = share_of_tick(f, now);

	excuse(f, now);
	f->tick_ms = now->ms;
	if (f->loaded && !f->taken_up)
		take_up(f);
	await_return(f, now);
	mark_windows(f, now);
	tr_live_visit(f, now, share);
	if (f->judges)
		judge_partitions(f, now);
	tr_offenders_tick(f, now);
	tr_alerts_tick(f->alerts, now->ms);
}
