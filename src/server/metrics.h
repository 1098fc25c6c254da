/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the whole server, kept in core and printed in the Prometheus text format. The flux_* names are those of
 * BA-9, exactly; everything else is troth_*. Nothing is labelled by agent. */
#ifndef TR_SERVER_METRICS_H
#define TR_SERVER_METRICS_H

#include "appraise/verdict.h"
#include "base/buf.h"
#include "fleet/fleet.h"

#define TR_DURATION_BUCKETS 8

#define TR_REFUSED_REASONS 16 /* slugs of refused pulses that are told apart */

struct tr_metrics {
	uint64_t verified_ok, verified_failed, rejections;
	uint64_t by_reason[TR_R_N];
	uint64_t audit_admissions; /* admitted although a check failed */
	uint64_t duration_bucket[TR_DURATION_BUCKETS + 1];
	uint64_t duration_count, duration_sum_ns;
	uint64_t registrations, pulses, renewals, binary_changes;
	struct {
		const char *slug; /* static text */
		uint64_t n;
	} pulses_refused[TR_REFUSED_REASONS];
	uint64_t pulses_refused_front; /* in a flood: by front, without telling us one by one */
	uint64_t rechecks_ok, rechecks_lost, rechecks_skipped, fronts_lied;
	uint64_t events_unrecorded, events_lost, rows_swept, sweep_commits;
	uint64_t commits, commit_failures, failure_rate_alerts, unrecorded_refusals, role_losses;
	uint64_t accepted, refused_limit, refused_syntax, refused_rate, refused_cert, timeouts;
	/* Sliding minute for the failure-rate alert. */
	int64_t window_start;
	uint64_t window_ok, window_failed;
	bool window_alerted;
};

struct tr_gauges {
	uint64_t agents_active, agents_live, agents_silent, agents_ended, connections, tokens_usable, vkeys_old;
	int64_t tls_seconds_left, uptime_s;
	bool store_ok, clock_trusted, holder;
	unsigned nodes;
	uint64_t events_waiting, alerts_open[6]; /* by severity, from 1 */
	struct tr_fleet_stats fleet;
	/* authority.h */
	uint64_t keyset_epoch, revocation_number, keys_active, keys_unusable, signed_total, sign_failures;
	int64_t keyset_seconds_left;
	bool command_key;
};

void tr_metrics_duration(struct tr_metrics *m, uint64_t ns);
/* Counts one verification; true when the failure rate of the running minute has just crossed the alert line (at least 10
 * attempts, half of them failed), at most once a minute. */
bool tr_metrics_verified(struct tr_metrics *m, bool ok, int64_t now_ms);
/* Counts a refused pulse; slug is static text. */
void tr_metrics_refused(struct tr_metrics *m, const char *slug);
void tr_metrics_print(const struct tr_metrics *m, const struct tr_gauges *g, struct tr_buf *b);

#endif
