/* SPDX-License-Identifier: Apache-2.0 */
#include "server/metrics.h"

#define WINDOW_MS 60000
#define ALERT_MIN 10

/* Upper bounds in microseconds; a verification takes some 100 to 600. */
static const unsigned bounds_us[TR_DURATION_BUCKETS] = { 100, 250, 500, 1000, 2500, 10000, 50000, 250000 };

void tr_metrics_duration(struct tr_metrics *m, uint64_t ns)
{
	size_t i = 0;

	while (i < TR_DURATION_BUCKETS && ns > (uint64_t)bounds_us[i] * 1000)
		i++;
	m->duration_bucket[i]++;
	m->duration_count++;
	m->duration_sum_ns += ns;
}

bool tr_metrics_verified(struct tr_metrics *m, bool ok, int64_t now_ms)
{
	if (now_ms - m->window_start >= WINDOW_MS || now_ms < m->window_start) {
		m->window_start = now_ms;
		m->window_ok = m->window_failed = 0;
		m->window_alerted = false;
	}
	if (ok) {
		m->verified_ok++;
		m->window_ok++;
	} else {
		m->verified_failed++;
		m->window_failed++;
	}
	if (m->window_alerted || m->window_ok + m->window_failed < ALERT_MIN || m->window_failed < m->window_ok)
		return false;
	m->window_alerted = true;
	m->failure_rate_alerts++;
	return true;
}

static void head(struct tr_buf *b, const char *name, const char *type, const char *help)
{
	tr_buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_flux(const struct tr_metrics *m, struct tr_buf *b)
{
	uint64_t sum = 0;

	head(b, "flux_attestation_verifications_total", "counter", "Attestation verifications by result.");
	tr_buf_addf(b, "flux_attestation_verifications_total{result=\"success\"} %llu\n",
		    (unsigned long long)m->verified_ok);
	tr_buf_addf(b, "flux_attestation_verifications_total{result=\"failure\"} %llu\n",
		    (unsigned long long)m->verified_failed);
	head(b, "flux_attestation_rejections_total", "counter", "Agents refused at registration.");
	tr_buf_addf(b, "flux_attestation_rejections_total %llu\n", (unsigned long long)m->rejections);
	head(b, "flux_attestation_verification_duration_seconds", "histogram", "Time spent verifying one registration.");
	for (size_t i = 0; i < TR_DURATION_BUCKETS; i++) {
		sum += m->duration_bucket[i];
		tr_buf_addf(b, "flux_attestation_verification_duration_seconds_bucket{le=\"%g\"} %llu\n",
			    bounds_us[i] / 1e6, (unsigned long long)sum);
	}
	tr_buf_addf(b, "flux_attestation_verification_duration_seconds_bucket{le=\"+Inf\"} %llu\n",
		    (unsigned long long)m->duration_count);
	tr_buf_addf(b, "flux_attestation_verification_duration_seconds_sum %.9f\n", (double)m->duration_sum_ns / 1e9);
	tr_buf_addf(b, "flux_attestation_verification_duration_seconds_count %llu\n",
		    (unsigned long long)m->duration_count);
}

void tr_metrics_refused(struct tr_metrics *m, const char *slug)
{
	size_t i = 0;

	while (i < TR_REFUSED_REASONS - 1 && m->pulses_refused[i].slug && strcmp(m->pulses_refused[i].slug, slug) != 0)
		i++;
	if (!m->pulses_refused[i].slug)
		m->pulses_refused[i].slug = i == TR_REFUSED_REASONS - 1 ? "other" : slug;
	m->pulses_refused[i].n++;
}

static void print_pulses(const struct tr_metrics *m, const struct tr_gauges *g, struct tr_buf *b)
{
	head(b, "troth_pulses_refused_total", "counter", "Pulses refused, by reason; flood: by front, not told apart.");
	for (size_t i = 0; i < TR_REFUSED_REASONS && m->pulses_refused[i].slug; i++)
		tr_buf_addf(b, "troth_pulses_refused_total{reason=\"%s\"} %llu\n", m->pulses_refused[i].slug,
			    (unsigned long long)m->pulses_refused[i].n);
	tr_buf_addf(b, "troth_pulses_refused_total{reason=\"flood\"} %llu\n", (unsigned long long)m->pulses_refused_front);
	head(b, "troth_agents", "gauge", "Agents by verdict.");
	for (unsigned v = 0; v < TR_V_N; v++)
		tr_buf_addf(b, "troth_agents{verdict=\"%s\"} %llu\n", tr_verdict_name((enum tr_verdict)v),
			    (unsigned long long)g->fleet.by_verdict[v]);
	head(b, "troth_agents_reach", "gauge", "Active agents by reachability.");
	for (unsigned v = 0; v < TR_REACH_N; v++)
		tr_buf_addf(b, "troth_agents_reach{reach=\"%s\"} %llu\n", tr_reach_name((enum tr_reach)v),
			    (unsigned long long)g->fleet.by_reach[v]);
	head(b, "troth_alerts_open", "gauge", "Open alerts by severity, 1 is worst.");
	for (unsigned v = 1; v <= 5; v++)
		tr_buf_addf(b, "troth_alerts_open{severity=\"%u\"} %llu\n", v, (unsigned long long)g->alerts_open[v]);
}

void tr_metrics_print(const struct tr_metrics *m, const struct tr_gauges *g, struct tr_buf *b)
{
	const struct {
		const char *name, *type, *help;
		long long value;
	} rows[] = {
		{ "troth_registrations_total", "counter", "Agents admitted.", (long long)m->registrations },
		{ "troth_audit_admissions_total", "counter", "Admitted in audit mode although a check failed.",
		  (long long)m->audit_admissions },
		{ "troth_pulses_total", "counter", "Pulses accepted.", (long long)m->pulses },
		{ "troth_pulse_resyncs_total", "counter", "Pulses asked for once more with a fresh ticket.",
		  (long long)g->fleet.resyncs },
		{ "troth_certificate_renewals_total", "counter", "Agent certificates renewed.", (long long)m->renewals },
		{ "troth_binary_changes_total", "counter", "Pulses that named another program than the last known good one.",
		  (long long)m->binary_changes },
		{ "troth_attestation_failure_rate_alerts_total", "counter",
		  "Minutes in which at least half of ten or more verifications failed.",
		  (long long)m->failure_rate_alerts },
		{ "troth_unrecorded_refusals_total", "counter", "Refusals counted but not written to the log (flood).",
		  (long long)m->unrecorded_refusals },
		{ "troth_store_commits_total", "counter", "Transactions committed.", (long long)m->commits },
		{ "troth_store_commit_failures_total", "counter", "Transactions that failed.",
		  (long long)m->commit_failures },
		{ "troth_role_losses_total", "counter", "Roles of the server that ended and were replaced.",
		  (long long)m->role_losses },
		{ "troth_connections_accepted_total", "counter", "Connections accepted.", (long long)m->accepted },
		{ "troth_connections_refused_total", "counter", "Connections over a limit.",
		  (long long)m->refused_limit },
		{ "troth_http_refused_syntax_total", "counter", "Requests that are not well-formed HTTP.",
		  (long long)m->refused_syntax },
		{ "troth_http_rate_limited_total", "counter", "Requests over their rate.", (long long)m->refused_rate },
		{ "troth_client_certificates_refused_total", "counter", "Client certificates that did not pass.",
		  (long long)m->refused_cert },
		{ "troth_http_timeouts_total", "counter", "Connections ended by a deadline.", (long long)m->timeouts },
		{ "troth_agents_active", "gauge", "Agents admitted and neither revoked nor removed.",
		  (long long)g->agents_active },
		{ "troth_agents_live", "gauge", "Active agents heard in time.",
		  (long long)g->agents_live },
		{ "troth_agents_silent", "gauge", "Active agents not heard for longer, or never.",
		  (long long)g->agents_silent },
		{ "troth_agents_ended", "gauge", "Agents revoked or removed.", (long long)g->agents_ended },
		{ "troth_connections_open", "gauge", "Open TLS connections.", (long long)g->connections },
		{ "troth_tokens_usable", "gauge", "Registration tokens that could still admit an agent.",
		  (long long)g->tokens_usable },
		{ "troth_verification_keys_old", "gauge", "Active verification keys older than 90 days.",
		  (long long)g->vkeys_old },
		{ "troth_tls_certificate_seconds_left", "gauge", "Until the server certificate expires.",
		  (long long)g->tls_seconds_left },
		{ "troth_uptime_seconds", "gauge", "Since core started.", (long long)g->uptime_s },
		{ "troth_rechecks_total", "counter", "Pulses that a second process read as front did.",
		  (long long)m->rechecks_ok },
		{ "troth_rechecks_lost_total", "counter", "Rechecks that came to no result.", (long long)m->rechecks_lost },
		{ "troth_rechecks_skipped_total", "counter", "Rechecks left out because too many were under way.",
		  (long long)m->rechecks_skipped },
		{ "troth_fronts_lied_total", "counter", "Pulses that say something else than front claimed.",
		  (long long)m->fronts_lied },
		{ "troth_events_waiting", "gauge", "Events and alerts that wait for the store.", (long long)g->events_waiting },
		{ "troth_events_unrecorded_total", "counter", "Events of agents that make too many.",
		  (long long)m->events_unrecorded },
		{ "troth_events_lost_total", "counter", "Events given up because the store was away for too long.",
		  (long long)m->events_lost },
		{ "troth_pulse_rows_swept_total", "counter", "Agents' rows written to the store.", (long long)m->rows_swept },
		{ "troth_sweep_commits_total", "counter", "Transactions of sweeps: agents' rows, and what is too old.",
		  (long long)m->sweep_commits },
		{ "troth_partition_incidents_open", "gauge", "Partitions that are silent as a whole.",
		  (long long)g->fleet.incidents_open },
		{ "troth_amnesties_total", "counter", "Times at which silence was excused because the server itself had stopped.",
		  (long long)g->fleet.amnesties },
		{ "troth_keyset_epoch", "gauge", "Epoch of the keyset in force.", (long long)g->keyset_epoch },
		{ "troth_keyset_revocation_number", "gauge", "Its revocation number.", (long long)g->revocation_number },
		{ "troth_keyset_seconds_left", "gauge", "Until it expires.", (long long)g->keyset_seconds_left },
		{ "troth_keyset_agents_current", "gauge", "Agents whose last pulse since the start named the keyset in force.",
		  (long long)g->fleet.keyset_current },
		{ "troth_signing_keys_active", "gauge", "Signing keys that are active, primary or retiring.",
		  (long long)g->keys_active },
		{ "troth_signing_keys_unusable", "gauge", "Signing keys that have not ended and that this node cannot use.",
		  (long long)g->keys_unusable },
		{ "troth_command_key_usable", "gauge", "1 when commands can be signed.", g->command_key },
		{ "troth_commands_signed_total", "counter", "Commands signed.", (long long)g->signed_total },
		{ "troth_command_sign_failures_total", "counter", "Commands that could not be signed.",
		  (long long)g->sign_failures },
		{ "troth_fleet_bytes", "gauge", "Memory of what is known of live agents.", (long long)g->fleet.bytes },
		{ "troth_clock_trusted", "gauge", "1 when the server's clock is synchronised, or an operator vouches for it.",
		  g->clock_trusted },
		{ "troth_store_ok", "gauge", "1 when the store can write.", g->store_ok },
		{ "troth_nodes", "gauge", "Nodes that share this store, this one included.", (long long)g->nodes },
		{ "troth_node_holder", "gauge", "1 on the node that does what one of them must do.", g->holder },
	};

	print_flux(m, b);
	head(b, "troth_refusals_total", "counter", "Registrations refused, by reason.");
	for (unsigned i = TR_R_OK + 1; i < TR_R_N; i++)
		tr_buf_addf(b, "troth_refusals_total{reason=\"%s\"} %llu\n", tr_reason_info((enum tr_reason)i)->slug,
			    (unsigned long long)m->by_reason[i]);
	print_pulses(m, g, b);
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		head(b, rows[i].name, rows[i].type, rows[i].help);
		tr_buf_addf(b, "%s %lld\n", rows[i].name, rows[i].value);
	}
}
