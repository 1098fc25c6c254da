/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts: one per kind and subject while it is open (deduplication), grouped by cause, reminded of until somebody
 * acknowledges. Pure like the rest of the fleet: rows go out through a function, the clock comes in.
 *
 * Severity: 1 act now (binary changed without an order, forked chain, proven tampering) · 2 today (lost, restored, snapshot or
 * LSM changed, partition silent) · 3 look (attack traffic, conflict, clock) · 4 note (missed) · 5 trace. */
#ifndef TR_FLEET_ALERTS_H
#define TR_FLEET_ALERTS_H

#include "base/own.h"
#include "store/records.h"

struct tr_alerts;
/* The row to store now. People are to be told when rev > notified: repetitions, and the news that egress has delivered, are
 * stored without a word. The row lives during the call. */
typedef void (*tr_alert_fn)(void *arg, const struct tr_alert_row *row);

/* Every kind of alert that Troth has; cause and action are what a raise without its own gets. */
struct tr_alert_kind {
	const char *slug;
	unsigned severity;
	const char *cause;  /* group */
	const char *action; /* one sentence; the word ID stands for the agent's id, the subject's part after the colon */
};
const struct tr_alert_kind *tr_alert_kind(const char *slug); /* NULL: no such */
const struct tr_alert_kind *tr_alert_kinds(size_t *ret_n);

/* id_seed makes ids: they differ between starts of the server. */
struct tr_alerts *tr_alerts_new(uint32_t escalate_s, uint64_t id_seed, tr_alert_fn fn, void *arg);
struct tr_alerts *tr_alerts_free(struct tr_alerts *a);
TR_DEFINE_AUTO(struct tr_alerts *, tr_alerts_free)

/* From the store at start; resolved ones are ignored. fn is not called. */
void tr_alerts_load(struct tr_alerts *a, const struct tr_alert_row *row);

/* Another node stored this row: both are put together (closed wins, then acknowledged; the worse severity; the higher
 * counts), and what differs from the row afterwards is stored. Of two alerts of one kind and subject, opened at once on
 * two nodes, the one with the lower id stays. Returns the row when it says something that was not known here. */
const struct tr_alert_row *tr_alerts_remote(struct tr_alerts *a, int64_t now_ms, const struct tr_alert_row *row);
/* Whether reminders are this node's to send; from the start they are. */
void tr_alerts_remind(struct tr_alerts *a, bool on);

struct tr_alert {
	const char *kind;        /* slug */
	struct tr_view subject;  /* "agent:web-1", … */
	unsigned severity;       /* 0: the kind's */
	const char *cause;       /* group; NULL: the kind's */
	struct tr_view summary;
	const char *action;      /* what to do; NULL: the kind's */
};
/* Opens it, or counts one more; a higher severity than before raises it, ends an acknowledgement and is told again.
 * Bounded: past TR_ALERTS_MAX open ones a new one of severity 3 or less urgent is only counted (tr_alerts_dropped); of
 * severity 2 past twice, of severity 1 past four times as many. A repetition is stored when the count is 2, 10, 100,
 * 1000, …, otherwise at most once a minute; it is told at 10, 100, … */
#define TR_ALERTS_MAX 20000
void tr_alerts_raise(struct tr_alerts *a, int64_t now_ms, const struct tr_alert *what);
/* The condition is over. Nothing when none is open. One that ended three times, each within ten minutes of the one before, now
 * stays open until it has been over for ten minutes. */
void tr_alerts_resolve(struct tr_alerts *a, int64_t now_ms, const char *kind, struct tr_view subject, const char *why);
/* Operators. False: no such open alert. */
bool tr_alerts_ack(struct tr_alerts *a, int64_t now_ms, struct tr_view id, struct tr_view who);
bool tr_alerts_close(struct tr_alerts *a, int64_t now_ms, struct tr_view id, struct tr_view who, struct tr_view why);
/* Reminders: open, not acknowledged, severity 1 or 2, older than escalate_s since the last word. */
void tr_alerts_tick(struct tr_alerts *a, int64_t now_ms);
/* egress delivered revision rev of this alert. The row is stored when nothing of it is left to deliver. */
void tr_alerts_notified(struct tr_alerts *a, struct tr_view id, uint64_t rev);
/* What egress has not delivered, oldest first; among it the last TR_ALERTS_GONE_MAX that were resolved meanwhile. */
#define TR_ALERTS_GONE_MAX 2000
void tr_alerts_undelivered(const struct tr_alerts *a, bool (*fn)(void *arg, const struct tr_alert_row *row), void *arg);
/* Open ones, newest first; false from fn stops. */
void tr_alerts_each(const struct tr_alerts *a, bool (*fn)(void *arg, const struct tr_alert_row *row), void *arg);
const struct tr_alert_row *tr_alerts_find(const struct tr_alerts *a, const char *kind, struct tr_view subject);
const struct tr_alert_row *tr_alerts_by_id(const struct tr_alerts *a, struct tr_view id);
size_t tr_alerts_open(const struct tr_alerts *a, unsigned severity); /* 0: all */
uint64_t tr_alerts_dropped(const struct tr_alerts *a);

#endif
