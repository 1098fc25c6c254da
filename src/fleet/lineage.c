/* SPDX-License-Identifier: Apache-2.0 */
/* Whose pulse is it? Only one lineage can answer the newest ticket with the newest head, so a copied key shows as two
 * children of one parent. What looks alike is told apart here:
 *
 *   lost answer       prev is our head's own prev and the number is new: the agent never got our answer
 *   late duplicate    an older number of the same process, older than what we accepted: it was stuck on the way
 *   our memory is old the ticket proves that this control plane accepted a later pulse than we remember (restart, other node)
 *   restored          a second lineage, and the known one has been silent for 2.5 beats: a snapshot, a backup, a lost state
 *   forked            a second lineage, and the known one is alive: the key was copied. The server never picks a winner. */
#include "fleet/inner.h"

#include "base/log.h"
#include "codec/text.h"

#define STRAY_FORGOTTEN_BEATS 10

static int64_t beat_ms(const struct tr_fleet_agent *a)
{
	return (int64_t)a->interval_s * 1000;
}

/* Two pulses of one process with one number, or a second stray after the first: worth a judgement. */
#define STRAYS_ENOUGH 2u

static void tell(struct tr_fleet *f, enum tr_event_kind kind, uint32_t no, unsigned severity, const struct tr_pulse_seen *s)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;

	tr_buf_addf(&d, "{\"known_seq\":%llu,\"known_head\":\"", (unsigned long long)a->seq);
	tr_hex_add(&d, tr_view(a->head, 32));
	tr_buf_adds(&d, "\",\"known_start\":\"");
	tr_hex_add(&d, tr_view(a->start_id, 16));
	tr_buf_addf(&d, "\",\"other_seq\":%llu,\"other_prev\":\"", (unsigned long long)s->pulse->seq);
	tr_hex_add(&d, tr_view(s->pulse->prev, 32));
	tr_buf_adds(&d, "\",\"other_start\":\"");
	tr_hex_add(&d, tr_view(s->pulse->start_id, 16));
	tr_buf_adds(&d, "\"}");
	tr_fleet_emit(f, kind, no, severity, s->source, tr_buf_view(&d), s->raw);
}

static enum tr_lineage forked(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	tr_axis_set(f, now, no, TR_AXIS_AUTH, TR_AUTH_FORKED);
	tell(f, TR_EV_FORKED, no, 1, s);
	tr_agent_alert_over(f, now, no, "chain_conflict", "it is a fork");
	tr_agent_alert(f, now, no, "forked", 1, "identity",
		       "two copies of this agent's key are in use; both are refused until the identity is reset");
	free(a->stray);
	a->stray = NULL;
	return TR_LINE_FORKED;
}

/* A pulse that does not follow from what we know. */
static enum tr_lineage stray(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s,
			     unsigned weight)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	struct tr_stray *st = a->stray;

	if (!st) {
		st = a->stray = calloc(1, sizeof(*st));
		if (!st) {
			tr_log(TR_LOG_ERROR, "out_of_memory", "what", "lineage", NULL);
			return TR_LINE_STRAY;
		}
		/* The operator's word is what ends a restored verdict, not a stray. */
		if (a->axes.auth != TR_AUTH_RESTORED)
			tr_axis_set(f, now, no, TR_AXIS_AUTH, TR_AUTH_CONFLICT);
		tr_agent_alert(f, now, no, "chain_conflict", 3, "identity",
			       "a second history of this agent has appeared; which one is alive shows within three beats");
	} else if (st->main_after && memcmp(st->head, s->digest, 32) != 0) {
		return forked(f, now, no, s);
	}
	memcpy(st->start_id, s->pulse->start_id, 16);
	memcpy(st->head, s->digest, 32);
	st->count += weight;
	st->last_ms = now->ms;
	tell(f, TR_EV_CHAIN_CONFLICT, no, 3, s);
	if (st->count < STRAYS_ENOUGH || now->ms - a->last_ms < beat_ms(a) * 5 / 2)
		return TR_LINE_STRAY;
	tr_axis_set(f, now, no, TR_AXIS_AUTH, TR_AUTH_RESTORED);
	tell(f, TR_EV_RESTORED, no, 2, s);
	tr_agent_alert_over(f, now, no, "chain_conflict", "the other history is silent: restored");
	tr_agent_alert(f, now, no, "restored", 2, "identity",
		       "this agent goes on from an older state: a snapshot, a backup or a lost state folder");
	free(a->stray);
	a->stray = NULL;
	return TR_LINE_RESTORED;
}

enum tr_lineage tr_lineage_judge(struct tr_fleet *f, const struct tr_instant *now, uint32_t no,
				 const struct tr_pulse_seen *s, const struct tr_ticket *fresh,
				 const struct tr_ticket *proof)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);
	const struct tr_pulse *p = s->pulse;
	bool same_process = a->seq && memcmp(p->start_id, a->start_id, 16) == 0;

	if (a->seq && memcmp(s->digest, a->head, 32) == 0)
		return TR_LINE_REPLAY;
	/* One process never signs two pulses under one number. */
	if (same_process && p->seq == a->seq)
		return stray(f, now, no, s, STRAYS_ENOUGH);
	if (memcmp(p->prev, a->head, 32) == 0)
		return same_process && p->seq < a->seq ? TR_LINE_REPLAY : TR_LINE_GOES_ON;
	if (memcmp(p->prev, a->head_prev, 32) == 0 && p->seq > a->seq)
		return TR_LINE_LOST_ANSWER;
	if (same_process && p->seq < a->seq && fresh->issued_ms <= a->last_ms)
		return TR_LINE_REPLAY;
	/* What this run has accepted it remembers: only another run can know more. */
	if (proof->seq > a->seq && proof->run != f->cfg.run && a->axes.auth != TR_AUTH_RESTORED)
		return TR_LINE_ADOPTED;
	return stray(f, now, no, s, 1);
}

void tr_lineage_elsewhere(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, bool restored)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (!a->stray)
		return;
	/* Both are alive when the other one comes once more, here, as a pulse. */
	a->stray->main_after = true;
	if (!restored && now->ms - a->stray->last_ms < beat_ms(a) * STRAY_FORGOTTEN_BEATS)
		return;
	free(a->stray);
	a->stray = NULL;
	tr_agent_alert_over(f, now, no, "chain_conflict",
			    restored ? "the other history is silent: restored" : "the other history did not come back");
}

bool tr_lineage_main_spoke(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	struct tr_stray *st = a->stray;

	if (!st)
		return false;
	if (st->count >= STRAYS_ENOUGH) {
		(void)forked(f, now, no, s);
		return true;
	}
	st->main_after = true;
	if (now->ms - st->last_ms < beat_ms(a) * STRAY_FORGOTTEN_BEATS)
		return false;
	free(st);
	a->stray = NULL;
	if (a->axes.auth == TR_AUTH_CONFLICT)
		tr_axis_set(f, now, no, TR_AXIS_AUTH, TR_AUTH_OK);
	tr_agent_alert_over(f, now, no, "chain_conflict", "the other history did not come back");
	return false;
}
