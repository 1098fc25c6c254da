/* SPDX-License-Identifier: Apache-2.0 */
/* One pulse, judged: is it fresh (ticket), whose is it (lineage.c), what does it say. The order is the argument: nothing of
 * an agent changes before its pulse is known to be fresh and of the known lineage. No store access, no allocation on the
 * usual path. */
#include "fleet/inner.h"

#include "codec/text.h"

#include <stdio.h>

#define SKEW_TOLERATED_MS 5000
#define SKEW_AT_ONCE_MS 300000
#define SKEW_STRIKES 3
#define FLIPS_UNSTABLE 3
#define UNCERTAINTY_MAX_MS 5000

/* ---- what is answered ---- */

static void refuse(struct tr_pulse_result *ret, int status, const char *code, const char *detail)
{
	ret->status = status;
	ret->code = code;
	ret->detail = detail;
}

static void answer(struct tr_fleet *f, const struct tr_instant *now, const struct tr_fleet_agent *a, uint64_t seq,
		   const uint8_t *head, const struct tr_pulse_seen *s, struct tr_pulse_result *ret)
{
	const struct tr_ticket_scope scope = { tr_view_str(a->id), a->epoch, head };
	const struct tr_ticket t = { f->cfg.run, seq, now->ms };

	tr_ticket_make(f->cfg.ticket_key, &scope, &t, ret->ticket);
	ret->status = 200;
	ret->answer = (struct tr_pulse_answer){
		.ticket = TR_VIEW_ARRAY(ret->ticket),
		.resync = seq == 0,
		.interval_s = f->cfg.interval_s,
		.received_ns = s->received_ns,
		.sent_ns = now->wall_ns,
		.want_bpf_list = a->want_bpf_list,
		.keyset_epoch = f->cfg.keyset_epoch,
	};
}

/* ---- freshness ---- */

static bool open_ticket(const struct tr_fleet *f, const struct tr_fleet_agent *a, const uint8_t *head, struct tr_view in,
			struct tr_ticket *ret)
{
	const struct tr_ticket_scope scope = { tr_view_str(a->id), a->epoch, head };

	return in.n == TR_TICKET_LEN && tr_ticket_open(f->cfg.ticket_key, &scope, in, ret);
}

static bool is_fresh(const struct tr_fleet *f, const struct tr_instant *now, const struct tr_fleet_agent *a,
		     const struct tr_ticket *t)
{
	int64_t age = now->ms - t->issued_ms;

	return t->run == f->cfg.run && age <= (int64_t)a->interval_s * 1000 * TR_TICKET_AGE_BEATS_X2 / 2;
}

/* ---- what it says ---- */

static void judge_clock(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	int64_t skew = (s->pulse->time_ns - s->received_ns) / 1000000;
	int64_t room = a->rtt_ms < UNCERTAINTY_MAX_MS ? a->rtt_ms : UNCERTAINTY_MAX_MS;
	int64_t off = (skew < 0 ? -skew : skew) - room;
	int8_t sign = off <= SKEW_TOLERATED_MS ? 0 : skew < 0 ? -1 : 1;
	char what[160];

	a->skew_ms = (int32_t)(skew > INT32_MAX ? INT32_MAX : skew < INT32_MIN ? INT32_MIN : skew);
	if (!now->clock_trusted) {
		a->skew_strikes = 0;
		tr_axis_set(f, now, no, TR_AXIS_CLOCK, TR_CLOCK_UNKNOWN);
		return;
	}
	if (off > SKEW_AT_ONCE_MS)
		a->skew_strikes = SKEW_STRIKES;
	else if (off > SKEW_TOLERATED_MS)
		a->skew_strikes = (uint8_t)(a->skew_strikes < SKEW_STRIKES ? a->skew_strikes + 1 : SKEW_STRIKES);
	else
		a->skew_strikes = 0;
	if (sign && a->skew_sign && sign != a->skew_sign && a->skew_flips < FLIPS_UNSTABLE)
		a->skew_flips++;
	if (sign)
		a->skew_sign = sign;
	if (a->skew_flips >= FLIPS_UNSTABLE) {
		/* Calm for an hour ends it. */
		if (a->axes.clock == TR_CLOCK_UNSTABLE && !sign && now->ms / 1000 - a->since[TR_AXIS_CLOCK] > 3600) {
			a->skew_flips = 0;
		} else {
			if (a->axes.clock != TR_CLOCK_UNSTABLE)
				tr_agent_alert(f, now, no, "clock_unstable", 3, "clock",
					       "this agent's clock jumps back and forth");
			tr_axis_set(f, now, no, TR_AXIS_CLOCK, TR_CLOCK_UNSTABLE);
			return;
		}
	}
	if (a->skew_strikes < SKEW_STRIKES) {
		/* Between one strike and the third, what was known stays. */
		if (a->skew_strikes == 0) {
			bool was = a->axes.clock > TR_CLOCK_OK;

			tr_axis_set(f, now, no, TR_AXIS_CLOCK, TR_CLOCK_OK);
			if (was) {
				tr_agent_alert_over(f, now, no, "clock_desync", "its clock is right again");
				tr_agent_alert_over(f, now, no, "clock_unstable", "its clock is steady again");
			}
		}
		return;
	}
	if (a->axes.clock != TR_CLOCK_DESYNC) {
		(void)snprintf(what, sizeof(what), "this agent's clock is %lld.%03lld s %s the server's",
			       (long long)((skew < 0 ? -skew : skew) / 1000), (long long)((skew < 0 ? -skew : skew) % 1000),
			       skew < 0 ? "behind" : "ahead of");
		tr_agent_alert(f, now, no, "clock_desync", 3, "clock", what);
	}
	tr_axis_set(f, now, no, TR_AXIS_CLOCK, TR_CLOCK_DESYNC);
}

static bool order_covers(const struct tr_fleet *f, const struct tr_instant *now, const struct tr_fleet_agent *a,
			 struct tr_view hash)
{
	return a->expected && now->ms / 1000 <= a->expected_until_s && tr_view_eq(hash, tr_fleet_value(f, a->expected));
}

/* The image that runs, against the last known good one and the order that may let it change. */
static enum tr_integrity judge_binary(struct tr_fleet *f, const struct tr_instant *now, uint32_t no,
				      const struct tr_pulse_seen *s)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	struct tr_view hash = TR_VIEW_ARRAY(s->pulse->binary_hash);
	bool changed = !tr_view_eq(hash, tr_fleet_value(f, a->running));
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;

	if (changed) {
		tr_intern_set(f->values, &a->running, hash);
		tr_bpf_other_image(f, no, order_covers(f, now, a, hash));
	}
	if (tr_view_eq(hash, tr_fleet_value(f, a->good)))
		return TR_INTEGRITY_OK;
	/* An original claim or an audit admission may have left no hash to compare with: the first one seen is the baseline,
	 * self-asserted like every hash. */
	if (!a->good) {
		tr_intern_set(f->values, &a->good, hash);
		return TR_INTEGRITY_OK;
	}
	if (order_covers(f, now, a, hash)) {
		if (changed)
			return TR_INTEGRITY_EXPECTED_UPDATE;
		/* It has come back and speaks: what was ordered is what is good now, and what was good is so no more. */
		tr_intern_set(f->values, &a->good, hash);
		tr_intern_set(f->values, &a->expected, tr_view(NULL, 0));
		a->expected_until_s = 0;
		tr_axis_set(f, now, no, TR_AXIS_UPDATING, TR_UPDATING_NONE);
		tr_agent_alert_over(f, now, no, "binary_changed", "the ordered image runs");
		return TR_INTEGRITY_OK;
	}
	if (changed) {
		tr_buf_adds(&d, "{\"good\":\"");
		tr_hex_add(&d, tr_fleet_value(f, a->good));
		tr_buf_adds(&d, "\",\"running\":\"");
		tr_hex_add(&d, hash);
		tr_buf_adds(&d, "\"}");
		tr_fleet_emit(f, TR_EV_BINARY_CHANGED, no, 1, s->source, tr_buf_view(&d), s->raw);
		tr_agent_alert(f, now, no, "binary_changed", 1, "integrity",
			       "another program runs than the last known good one, without an update order (self-asserted hash)");
	}
	return TR_INTEGRITY_UNKNOWN_BINARY;
}

static bool judge_lsm(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	uint8_t is = (uint8_t)s->pulse->lsm;
	bool down;
	char detail[96];

	if (!a->lsm_good || is == TR_LSM_ACTIVE)
		a->lsm_good = is;
	down = a->lsm_good == TR_LSM_ACTIVE && is != TR_LSM_ACTIVE;
	if (is != a->lsm && a->lsm) {
		(void)snprintf(detail, sizeof(detail), "{\"from\":\"%s\",\"to\":\"%s\"}", tr_lsm_name((enum tr_lsm)a->lsm),
			       tr_lsm_name((enum tr_lsm)is));
		tr_fleet_emit(f, TR_EV_LSM_CHANGED, no, down ? 2 : 5, s->source, tr_view_str(detail), s->raw);
	}
	if (down && is != a->lsm)
		tr_agent_alert(f, now, no, "lsm_down", 2, "integrity", "the LSM supervisor was active and is not any more");
	if (!down && a->axes.integrity == TR_INTEGRITY_LSM_DOWN)
		tr_agent_alert_over(f, now, no, "lsm_down", "the LSM supervisor is active again");
	a->lsm = is;
	return down;
}

static void judge_integrity(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s,
			    bool same_boot)
{
	enum tr_integrity binary = judge_binary(f, now, no, s);
	enum tr_integrity bpf = tr_bpf_judge(f, now, no, s, same_boot);
	bool lsm_down = judge_lsm(f, now, no, s);
	enum tr_integrity all = binary;

	if (binary != TR_INTEGRITY_UNKNOWN_BINARY) {
		if (bpf != TR_INTEGRITY_OK)
			all = bpf;
		else if (lsm_down)
			all = TR_INTEGRITY_LSM_DOWN;
	}
	tr_axis_set(f, now, no, TR_AXIS_INTEGRITY, (uint8_t)all);
}

static uint32_t up_to(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* Performance data of a pulse that failed a check is nobody's performance (PU-7). */
static void take_health(struct tr_fleet_agent *a, const struct tr_health *h)
{
	if (a->axes.integrity != TR_INTEGRITY_OK && a->axes.integrity != TR_INTEGRITY_EXPECTED_UPDATE)
		return;
	if (a->axes.auth != TR_AUTH_OK)
		return;
	a->health.load_milli = up_to(h->load_milli);
	a->health.mem_total_mib = up_to(h->mem_total_kib / 1024);
	a->health.mem_free_mib = up_to(h->mem_free_kib / 1024);
	a->health.disk_total_mib = up_to(h->disk_total_mib);
	a->health.disk_free_mib = up_to(h->disk_free_mib);
	a->health.uptime_s = up_to(h->uptime_s);
	a->health.agent_rss_kib = up_to(h->agent_rss_kib);
	a->health.agent_cpu_ms = up_to(h->agent_cpu_ms);
}

static void take_notice(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s)
{
	static const uint32_t usual_s[TR_NOTICE_N] = { 0, 86400, 900, 900, 120 };
	static const uint32_t most_s[TR_NOTICE_N] = { 0, 7 * 86400, 3600, 3600, 600 };
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	const struct tr_pulse *p = s->pulse;
	uint64_t for_s;
	char detail[80];

	a->notice = (uint8_t)(p->notice < TR_NOTICE_N ? p->notice : TR_NOTICE_NONE);
	a->notice_until_s = 0;
	if (!a->notice)
		return;
	for_s = p->notice_s ? p->notice_s : usual_s[a->notice];
	if (for_s > most_s[a->notice])
		for_s = most_s[a->notice];
	a->notice_until_s = (uint32_t)(now->ms / 1000 + (int64_t)for_s);
	(void)snprintf(detail, sizeof(detail), "{\"notice\":\"%s\",\"seconds\":%u}",
		       tr_notice_name((enum tr_notice)a->notice), (unsigned)for_s);
	tr_fleet_emit(f, TR_EV_NOTICE, no, 5, s->source, tr_view_str(detail), tr_view(NULL, 0));
}

static void accept(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s,
		   enum tr_lineage line, struct tr_pulse_result *ret)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	const struct tr_pulse *p = s->pulse;
	bool first = a->seq == 0 || line == TR_LINE_RESTORED; /* of this enrolment */
	bool same_boot = memcmp(a->boot_id, p->boot_id, 16) == 0;
	bool same_start = memcmp(a->start_id, p->start_id, 16) == 0;
	int64_t last_before = a->last_ms;
	uint8_t verdict_before = a->verdict;
	uint32_t running = a->running, bpf = a->bpf;

	memcpy(a->head_prev, p->prev, 32);
	memcpy(a->head, s->digest, 32);
	memcpy(a->boot_id, p->boot_id, 16);
	memcpy(a->start_id, p->start_id, 16);
	a->seq = p->seq;
	a->bootcount = up_to(p->bootcount);
	if (!a->accepted)
		a->first_ms = now->ms;
	a->accepted++;
	a->last_ms = now->ms;
	a->wall_good_ms = now->wall_ns / 1000000;
	a->rtt_ms = (uint16_t)(p->rtt_us / 1000 > UINT16_MAX ? UINT16_MAX : p->rtt_us / 1000);
	a->sync = (uint8_t)p->sync;
	a->heard = true;
	a->dirty = true;
	tr_intern_set(f->values, &a->version, p->version);
	tr_intern_set(f->values, &a->source, s->source);
	if (!first && !same_start) {
		a->restarts++;
		tr_fleet_emit(f, same_boot ? TR_EV_RESTARTED : TR_EV_REBOOTED, no, 5, s->source, tr_view(NULL, 0),
			      tr_view(NULL, 0));
	}
	if (a->axes.auth == TR_AUTH_UNKNOWN)
		tr_axis_set(f, now, no, TR_AXIS_AUTH, TR_AUTH_OK);
	take_notice(f, now, no, s);
	judge_clock(f, now, no, s);
	judge_integrity(f, now, no, s, same_boot);
	if (a->expected_until_s && now->ms / 1000 > a->expected_until_s) {
		tr_intern_set(f->values, &a->expected, tr_view(NULL, 0));
		a->expected_until_s = 0;
	}
	tr_axis_set(f, now, no, TR_AXIS_UPDATING,
		    a->notice == TR_NOTICE_UPDATE ? TR_UPDATING_RUNNING
		    : a->expected		  ? TR_UPDATING_ORDERED
						  : TR_UPDATING_NONE);
	tr_adoption_take(f, now, no, p->keyset_epoch);
	take_health(a, &p->health);
	tr_live_accepted(f, now, no, last_before);
	f->stats.accepted++;
	ret->accepted = true;
	ret->changed = !same_start || verdict_before != a->verdict || running != a->running || bpf != a->bpf;
	answer(f, now, a, a->seq, a->head, s, ret);
}

static void refuse_lineage(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s,
			   enum tr_lineage line, struct tr_pulse_result *ret)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);

	switch (line) {
	case TR_LINE_REPLAY:
		tr_fleet_refused(f, now, TR_EV_REPLAY, no, tr_view_str(a->id), s->source, s->raw);
		refuse(ret, 409, "replay", "this pulse, or a later one of the same process, was received before; make a new one");
		break;
	case TR_LINE_FORKED:
		refuse(ret, 403, "quarantined",
		       "two copies of this agent's key are in use; ask an operator for `troth agent reset-identity` and enrol again");
		break;
	default:
		refuse(ret, 409, "chain_conflict",
		       "another history of this agent is known here; it is being watched which of the two is alive");
		break;
	}
}

void tr_fleet_pulse(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s,
		    struct tr_pulse_result *ret)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	const struct tr_pulse *p = s->pulse;
	struct tr_ticket t = { 0 }, old = { 0 };
	bool known;
	enum tr_lineage line;

	*ret = (struct tr_pulse_result){ 0 };
	if (!a || !a->active) {
		refuse(ret, 403, "agent_revoked", "an operator has revoked or removed this agent");
		return;
	}
	if (a->axes.auth == TR_AUTH_FORKED) {
		tr_fleet_refused(f, now, TR_EV_QUARANTINED_SPOKE, no, tr_view_str(a->id), s->source, s->raw);
		refuse_lineage(f, now, no, s, TR_LINE_FORKED, ret);
		return;
	}
	if (!tr_view_is(p->partition, f->partitions[a->partition].name)) {
		tr_fleet_refused(f, now, TR_EV_WRONG_PARTITION, no, tr_view_str(a->id), s->source, s->raw);
		refuse(ret, 403, "wrong_partition", "the pulse names another partition than the registry; enrol again");
		return;
	}
	known = open_ticket(f, a, p->prev, p->ticket, &t);
	if (!known || !is_fresh(f, now, a, &t)) {
		/* A copy of what was accepted is a replay however old its ticket is. */
		if (a->seq && memcmp(s->digest, a->head, 32) == 0) {
			refuse_lineage(f, now, no, s, TR_LINE_REPLAY, ret);
			return;
		}
		f->stats.resyncs++;
		answer(f, now, a, 0, p->prev, s, ret);
		return;
	}
	if (!open_ticket(f, a, p->prev, p->old_ticket, &old))
		old.seq = 0;
	line = tr_lineage_judge(f, now, no, s, &t, &old);
	if (line == TR_LINE_GOES_ON || line == TR_LINE_LOST_ANSWER || line == TR_LINE_ADOPTED || line == TR_LINE_RESTORED) {
		if (line != TR_LINE_RESTORED && tr_lineage_main_spoke(f, now, no, s))
			line = TR_LINE_FORKED;
		else
			accept(f, now, no, s, line, ret);
	}
	if (ret->accepted)
		return;
	/* Made up by a front, two of these would have an agent quarantined. */
	ret->changed = line == TR_LINE_STRAY || line == TR_LINE_FORKED;
	refuse_lineage(f, now, no, s, line, ret);
}
