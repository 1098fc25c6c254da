/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/fleet only: the fleet's own memory, and what its files ask of each other. */
#ifndef TR_FLEET_INNER_H
#define TR_FLEET_INNER_H

#include "base/slab.h"
#include "fleet/fleet.h"

/* Beats are judged with this much on top of the interval: jitter of a tenth, then network and scheduling. */
#define TR_SLACK_MS 8000
#define TR_TICKET_AGE_BEATS_X2 5 /* a ticket is fresh for 2.5 beats */

struct tr_partition {
	char name[65];
	/* Who counts: active, spoken before, not announced, not in maintenance, not lost (who is long dead says nothing about
	 * the partition now). */
	uint32_t active;
	uint32_t silent;          /* of them: missed */
	bool incident;
	int64_t recovered_ms;     /* when it fell under the line; alarms stay held for two beats */
	uint32_t peak;            /* silent when the incident was told last */
	bool window;              /* a maintenance window covers it; as of the last tick */
};

/* Low-cardinality values (hashes, versions, addresses) are kept once and named by number. */
struct tr_intern;
struct tr_intern *tr_intern_new(uint64_t seed);
void tr_intern_free(struct tr_intern *t);
uint32_t tr_intern(struct tr_intern *t, struct tr_view v); /* counts one use; 0 for empty or when out of memory */
void tr_intern_drop(struct tr_intern *t, uint32_t n);
/* Drops what was there, or keeps it when out of memory. */
void tr_intern_set(struct tr_intern *t, uint32_t *slot, struct tr_view v);
struct tr_view tr_interned(const struct tr_intern *t, uint32_t n);
void tr_intern_soon(const struct tr_intern *t, uint32_t n);
size_t tr_intern_bytes(const struct tr_intern *t);

/* Who sent refused messages lately: a bounded table, oldest out. */
struct tr_offender {
	char source[48];
	int64_t minute_ms;     /* start of the running minute */
	int64_t last_ms;
	uint32_t in_minute;
	bool alerted;
};
#define TR_OFFENDERS 1024
void tr_offenders_tick(struct tr_fleet *f, const struct tr_instant *now); /* refused.c: attacks that have stopped */

struct tr_window { char scope, target[65]; int64_t from_ms, until_ms; }; /* scope: 'a', 'p', 'f' */

/* A million of them, each read by every pulse and every pass: as few cache lines as it can be, and whole ones. */
_Static_assert(sizeof(struct tr_fleet_agent) == 320, "five cache lines");
#define TR_CHUNK ((uint32_t)(TR_SLAB_LEN / sizeof(struct tr_fleet_agent))) /* agents per slab: addresses stay */

struct tr_fleet {
	struct tr_fleet_config cfg;
	struct tr_fleet_sink sink;
	struct tr_fleet_agent **chunks;
	uint32_t n, n_chunks;
	size_t name_bytes;
	struct tr_intern *values;
	struct tr_partition *partitions;
	uint16_t n_partitions;
	struct tr_alerts *alerts;
	struct tr_offender offenders[TR_OFFENDERS];
	struct tr_window *windows;
	size_t n_windows;
	struct tr_bpf_ref *refs;     /* bpf.c */
	size_t n_refs;
	struct tr_bpf_release *releases; /* bpf_release.c; sorted by hash */
	size_t n_releases;
	int64_t started_ms;
	int64_t amnesty_ms;          /* silence counts from here at the earliest */
	int64_t tick_ms;             /* last tick; 0: none */
	uint32_t sweep_at;
	uint32_t active;             /* agents */
	char *names;                 /* block that new names are cut from; earlier blocks live as long as the process */
	size_t names_left;
	struct tr_buf scratch;
	bool loaded;
	struct tr_fleet_stats stats;
	/* liveness.c */
	struct tr_partition rest;    /* all partitions without an incident of their own, judged as one */
	uint32_t live_at;            /* next agent to look at */
	uint32_t expected, heard, heard_then; /* agents known at the start; of them heard since; of them at heard_ms */
	int64_t heard_ms, wall_off_ms, stalled_ms;
	bool taken_up;               /* incidents that were open at the start */
	/* adoption.c: the highest epoch that an agent named beyond ours, and when that was told */
	uint64_t keyset_seen;
	int64_t keyset_ahead_ms;
	bool judges;                 /* silence, here and not on another node */
	bool quiet;                  /* events are another node's to record */
	uint32_t lag_ms;             /* that another node's news may take */
	bool agent_windows;          /* some window in force names a single agent; as of the last tick */
};

static inline struct tr_fleet_agent *tr_agent_at(const struct tr_fleet *f, uint32_t no)
{
	return no < f->n ? &f->chunks[no / TR_CHUNK][no % TR_CHUNK] : NULL;
}

/* fleet.c: sets an axis, its since, the folded verdict, and tells the sink and the counters. The axes are numbered in the
 * order of struct tr_axes. */
enum { TR_AXIS_REACH, TR_AXIS_AUTH, TR_AXIS_CLOCK, TR_AXIS_INTEGRITY, TR_AXIS_CONFIG, TR_AXIS_UPDATING };
void tr_axis_set(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, unsigned axis, uint8_t value);
/* fleet.c: an event through the sink; detail is JSON or empty ("{}"). */
void tr_fleet_emit(struct tr_fleet *f, enum tr_event_kind kind, uint32_t no, unsigned severity, struct tr_view source,
		   struct tr_view detail, struct tr_view evidence);
/* fleet.c: raise and resolve with subject "agent:<id>". */
void tr_agent_alert(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const char *kind, unsigned severity,
		    const char *cause, const char *summary);
void tr_agent_alert_over(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const char *kind, const char *why);
const char *tr_alert_action(const char *kind); /* what to do, static */
void tr_action_put(struct tr_buf *b, const char *action, struct tr_view id); /* alerts.c: the word ID becomes id */

/* row.c: a new agent takes up what its row says; *a is zeros but for what the registry knows. */
void tr_row_take(struct tr_fleet *f, struct tr_fleet_agent *a, const struct tr_pulse_row *r);

/* lineage.c */
enum tr_lineage { TR_LINE_GOES_ON, TR_LINE_LOST_ANSWER, TR_LINE_ADOPTED /* our memory was behind */, TR_LINE_RESTORED,
		  TR_LINE_REPLAY, TR_LINE_STRAY, TR_LINE_FORKED };
enum tr_lineage tr_lineage_judge(struct tr_fleet *f, const struct tr_instant *now, uint32_t no,
				 const struct tr_pulse_seen *s, const struct tr_ticket *fresh,
				 const struct tr_ticket *proof /* came with prev's answer; seq 0: none */);
/* lineage.c: the known lineage has just been accepted; true when that proves a fork. */
bool tr_lineage_main_spoke(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s);

/* lineage.c: another node has accepted the known lineage's next pulse; restored: that is the stray one, by its judgement. */
void tr_lineage_elsewhere(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, bool restored);

/* liveness.c: this node begins to judge silence. */
void tr_live_begin(struct tr_fleet *f, const struct tr_instant *now);
/* liveness.c: after an accepted pulse: loss, reach, partition counters, silence alerts. */
void tr_live_accepted(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, int64_t last_before_ms);
/* liveness.c: something that decides whether the agent is counted changed (active, partition, spoken); any order is right. */
void tr_live_recount(struct tr_fleet *f, uint32_t no);
/* liveness.c: looks at the next n agents; a pass over all of them is what sweep_1m_ms measures. */
void tr_live_visit(struct tr_fleet *f, const struct tr_instant *now, uint32_t n);
bool tr_live_in_maintenance(const struct tr_fleet *f, const struct tr_instant *now, const struct tr_fleet_agent *a);
/* liveness.c: beats in a row whose loss is not chance for this agent: 4 to 8. */
unsigned tr_live_k(const struct tr_fleet *f, const struct tr_fleet_agent *a);

/* adoption.c: the agent's accepted pulse names this keyset; it has another identity or none; what the axis is now. */
void tr_adoption_recount(struct tr_fleet *f); /* after a load */
void tr_adoption_remote(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, uint64_t epoch); /* of another node's row */
void tr_adoption_take(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, uint64_t epoch);
void tr_adoption_forget(struct tr_fleet *f, struct tr_fleet_agent *a);
uint8_t tr_adoption_axis(const struct tr_fleet *f, const struct tr_fleet_agent *a);

/* bpf.c: compares the snapshot of this pulse with the last good one and sets findings. OK, BPF_MISMATCH (proven by a list),
 * or UNKNOWN (another digest, whose list is not here yet). */
enum tr_integrity tr_bpf_judge(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s,
			       bool same_boot);
void tr_bpf_accept(struct tr_fleet *f, uint32_t no); /* the last seen list is good from now on */
/* Another image runs: another release's programs may apply, and when it was ordered, they are loaded anew. */
void tr_bpf_other_image(struct tr_fleet *f, uint32_t no, bool ordered);
bool tr_bpf_has_mismatch(const struct tr_fleet_agent *a);

#endif
