/* SPDX-License-Identifier: Apache-2.0 */
#include "store/records.h"

#define F(T, m, type, max, flags) TR_FIELD(T, m, TR_F_##type, max, flags)
#define TEXT_MAX 256
#define BPF_LIST_MAX 65536 /* 128 items of at most 460 bytes, as records */

static const struct tr_field agent_fields[] = {
	F(tr_agent_row, id, IDENT, 64, 0),
	F(tr_agent_row, partition, IDENT, 64, 0),
	F(tr_agent_row, agent_type, IDENT, 64, 0),
	F(tr_agent_row, state, IDENT, 16, 0),
	F(tr_agent_row, key_id, HEX, 32, 0),
	F(tr_agent_row, key_type, TEXT, 16, 0),
	F(tr_agent_row, spki, BYTES, 1200, 0),
	F(tr_agent_row, form, IDENT, 16, 0),
	F(tr_agent_row, verdict, TEXT, 32, 0),
	F(tr_agent_row, tier, TEXT, 16, 0),
	F(tr_agent_row, binary_hash, HEX, 32, 0),
	F(tr_agent_row, version, TEXT, 64, 0),
	F(tr_agent_row, release_name, TEXT, 64, 0),
	F(tr_agent_row, platform, TEXT, 64, 0),
	F(tr_agent_row, vouched_by, HEX, 32, 0),
	F(tr_agent_row, token_id, TEXT, 16, 0),
	F(tr_agent_row, source, TEXT, 64, 0),
	F(tr_agent_row, enrolled_at, TIME_MS, 0, 0),
	F(tr_agent_row, cert_serial, TEXT, 64, 0),
	F(tr_agent_row, cert_not_after, TIME_MS, 0, 0),
	F(tr_agent_row, ended_at, TIME_MS, 0, 0),
	F(tr_agent_row, end_reason, TEXT, TEXT_MAX, 0),
	F(tr_agent_row, epoch, U64, 0, 0),
	F(tr_agent_row, next_key_id, HEX, 32, 0),
	F(tr_agent_row, next_key_type, TEXT, 16, 0),
	F(tr_agent_row, next_spki, BYTES, 1200, 0),
	F(tr_agent_row, next_until, TIME_MS, 0, 0),
};
TR_RECORD(tr_agent_def, tr_agent_row, agent_fields);

static const struct tr_field token_fields[] = {
	F(tr_token_row, id, IDENT, 16, 0),
	F(tr_token_row, secret_hash, HEX, 32, TR_FIELD_SECRET),
	F(tr_token_row, partition, IDENT, 64, 0),
	F(tr_token_row, agent_type, IDENT, 64, 0),
	F(tr_token_row, max_uses, U64, 0, 0),
	F(tr_token_row, uses, U64, 0, 0),
	F(tr_token_row, created_at, TIME_MS, 0, 0),
	F(tr_token_row, expires_at, TIME_MS, 0, 0),
	F(tr_token_row, revoked_at, TIME_MS, 0, 0),
	F(tr_token_row, created_by, TEXT, 80, 0),
	F(tr_token_row, note, TEXT, TEXT_MAX, 0),
	F(tr_token_row, for_agent, IDENT, 64, 0),
};
TR_RECORD(tr_token_def, tr_token_row, token_fields);

static const struct tr_field vkey_fields[] = {
	F(tr_vkey_row, id, HEX, 32, 0),
	F(tr_vkey_row, use, IDENT, 16, 0),
	F(tr_vkey_row, state, IDENT, 16, 0),
	F(tr_vkey_row, name, TEXT, 64, 0),
	F(tr_vkey_row, key_type, TEXT, 16, 0),
	F(tr_vkey_row, spki, BYTES, 1200, 0),
	F(tr_vkey_row, added_at, TIME_MS, 0, 0),
	F(tr_vkey_row, not_before, TIME_MS, 0, 0),
	F(tr_vkey_row, not_after, TIME_MS, 0, 0),
	F(tr_vkey_row, last_used, TIME_MS, 0, 0),
	F(tr_vkey_row, ended_at, TIME_MS, 0, 0),
	F(tr_vkey_row, uses, U64, 0, 0),
	F(tr_vkey_row, added_by, TEXT, 80, 0),
	F(tr_vkey_row, end_reason, TEXT, TEXT_MAX, 0),
};
TR_RECORD(tr_vkey_def, tr_vkey_row, vkey_fields);

static const struct tr_field release_fields[] = {
	F(tr_release_row, sha256, HEX, 32, 0),
	F(tr_release_row, name, TEXT, 64, 0),
	F(tr_release_row, version, TEXT, 64, 0),
	F(tr_release_row, platform, TEXT, 64, 0),
	F(tr_release_row, size, U64, 0, 0),
	F(tr_release_row, counter, U64, 0, 0),
	F(tr_release_row, issued_at, TIME_MS, 0, 0),
	F(tr_release_row, expires_at, TIME_MS, 0, 0),
	F(tr_release_row, added_at, TIME_MS, 0, 0),
	F(tr_release_row, withdrawn_at, TIME_MS, 0, 0),
	F(tr_release_row, vkey_id, HEX, 32, 0),
	F(tr_release_row, statement, BYTES, 6656, 0), /* TR_RELEASE_MAX */
	F(tr_release_row, added_by, TEXT, 80, 0),
	F(tr_release_row, bpf, BYTES, 8192, TR_FIELD_SECRET), /* TR_RELEASE_BPF_BYTES; the API tells it in words */
};
TR_RECORD(tr_release_def, tr_release_row, release_fields);

static const struct tr_field setting_fields[] = {
	F(tr_setting_row, name, TEXT, 64, 0),
	F(tr_setting_row, value, TEXT, 16384, 0),
	F(tr_setting_row, updated_at, TIME_MS, 0, 0),
	F(tr_setting_row, updated_by, TEXT, 80, 0),
};
TR_RECORD(tr_setting_def, tr_setting_row, setting_fields);

static const struct tr_field seen_fields[] = {
	F(tr_seen_row, digest, HEX, 32, 0),
	F(tr_seen_row, expires_at, TIME_MS, 0, 0),
};
TR_RECORD(tr_seen_def, tr_seen_row, seen_fields);

static const struct tr_field operator_fields[] = {
	F(tr_operator_row, id, IDENT, 16, 0),
	F(tr_operator_row, name, TEXT, 64, 0),
	F(tr_operator_row, role, IDENT, 16, 0),
	F(tr_operator_row, secret_hash, HEX, 32, TR_FIELD_SECRET),
	F(tr_operator_row, created_at, TIME_MS, 0, 0),
	F(tr_operator_row, expires_at, TIME_MS, 0, 0),
	F(tr_operator_row, revoked_at, TIME_MS, 0, 0),
};
TR_RECORD(tr_operator_def, tr_operator_row, operator_fields);

static const struct tr_field audit_fields[] = {
	F(tr_audit_row, seq, U64, 0, 0),
	F(tr_audit_row, time, TIME_MS, 0, 0),
	F(tr_audit_row, actor, TEXT, 80, 0),
	F(tr_audit_row, action, TEXT, 64, 0),
	F(tr_audit_row, object, TEXT, 128, 0),
	F(tr_audit_row, outcome, TEXT, 32, 0),
	F(tr_audit_row, reason, TEXT, 64, 0),
	F(tr_audit_row, source, TEXT, 64, 0),
	F(tr_audit_row, detail, RAW, 4096, 0),
};
TR_RECORD(tr_audit_def, tr_audit_row, audit_fields);

static const struct tr_field attestation_fields[] = {
	F(tr_attestation_row, seq, U64, 0, 0),
	F(tr_attestation_row, time, TIME_MS, 0, 0),
	F(tr_attestation_row, node_id, TEXT, 64, 0),
	F(tr_attestation_row, form, TEXT, 16, 0),
	F(tr_attestation_row, outcome, TEXT, 32, 0),
	F(tr_attestation_row, reason, TEXT, 64, 0),
	F(tr_attestation_row, tier, TEXT, 16, 0),
	F(tr_attestation_row, binary_hash, HEX, 32, 0),
	F(tr_attestation_row, version, TEXT, 64, 0),
	F(tr_attestation_row, vouched_by, HEX, 32, 0),
	F(tr_attestation_row, token_id, TEXT, 16, 0),
	F(tr_attestation_row, source, TEXT, 64, 0),
	F(tr_attestation_row, claim_time, TIME_MS, 0, 0),
	F(tr_attestation_row, checks, RAW, 8192, 0),
	F(tr_attestation_row, evidence, BYTES, 16384, 0),
};
TR_RECORD(tr_attestation_def, tr_attestation_row, attestation_fields);

static const struct tr_field pulse_fields[] = {
	F(tr_pulse_row, id, IDENT, 64, 0),
	F(tr_pulse_row, epoch, U64, 0, 0),
	F(tr_pulse_row, first_seen, TIME_MS, 0, 0),
	F(tr_pulse_row, last_seen, TIME_MS, 0, 0),
	F(tr_pulse_row, accepted, U64, 0, 0),
	F(tr_pulse_row, restarts, U64, 0, 0),
	F(tr_pulse_row, seq, U64, 0, 0),
	F(tr_pulse_row, head, HEX, 32, 0),
	F(tr_pulse_row, head_prev, HEX, 32, 0),
	F(tr_pulse_row, boot_id, HEX, 16, 0),
	F(tr_pulse_row, start_id, HEX, 16, 0),
	F(tr_pulse_row, bootcount, U64, 0, 0),
	F(tr_pulse_row, running_hash, HEX, 32, 0),
	F(tr_pulse_row, good_hash, HEX, 32, 0),
	F(tr_pulse_row, version, TEXT, 64, 0),
	F(tr_pulse_row, expected_hash, HEX, 32, 0),
	F(tr_pulse_row, expected_until, TIME_MS, 0, 0),
	F(tr_pulse_row, bpf_status, U64, 0, 0),
	F(tr_pulse_row, bpf_digest, HEX, 32, 0),
	F(tr_pulse_row, bpf_good, HEX, 32, 0),
	F(tr_pulse_row, bpf_list, BYTES, BPF_LIST_MAX, 0),
	F(tr_pulse_row, lsm, U64, 0, 0),
	F(tr_pulse_row, lsm_good, U64, 0, 0),
	F(tr_pulse_row, sync, U64, 0, 0),
	F(tr_pulse_row, skew_ms, I64, 0, 0),
	F(tr_pulse_row, rtt_ms, U64, 0, 0),
	F(tr_pulse_row, loss_ppm, U64, 0, 0),
	F(tr_pulse_row, reach, U64, 0, 0),
	F(tr_pulse_row, auth, U64, 0, 0),
	F(tr_pulse_row, clock, U64, 0, 0),
	F(tr_pulse_row, integrity, U64, 0, 0),
	F(tr_pulse_row, config, U64, 0, 0),
	F(tr_pulse_row, updating, U64, 0, 0),
	F(tr_pulse_row, reach_since, TIME_MS, 0, 0),
	F(tr_pulse_row, auth_since, TIME_MS, 0, 0),
	F(tr_pulse_row, clock_since, TIME_MS, 0, 0),
	F(tr_pulse_row, integrity_since, TIME_MS, 0, 0),
	F(tr_pulse_row, config_since, TIME_MS, 0, 0),
	F(tr_pulse_row, updating_since, TIME_MS, 0, 0),
	F(tr_pulse_row, notice, U64, 0, 0),
	F(tr_pulse_row, notice_until, TIME_MS, 0, 0),
	F(tr_pulse_row, source, TEXT, 64, 0),
	F(tr_pulse_row, health, RAW, 256, 0),
	F(tr_pulse_row, findings, RAW, 8192, 0),
	F(tr_pulse_row, keyset_epoch, U64, 0, 0),
};
TR_RECORD(tr_pulse_row_def, tr_pulse_row, pulse_fields);

static const struct tr_field event_fields[] = {
	F(tr_event_row, seq, U64, 0, 0),
	F(tr_event_row, time, TIME_MS, 0, 0),
	F(tr_event_row, kind, TEXT, 32, 0),
	F(tr_event_row, agent, TEXT, 64, 0),
	F(tr_event_row, source, TEXT, 64, 0),
	F(tr_event_row, severity, U64, 0, 0),
	F(tr_event_row, detail, RAW, 4096, 0),
	F(tr_event_row, evidence, BYTES, 2048, 0),
};
TR_RECORD(tr_event_def, tr_event_row, event_fields);

static const struct tr_field alert_fields[] = {
	F(tr_alert_row, id, IDENT, 16, 0),
	F(tr_alert_row, kind, TEXT, 32, 0),
	F(tr_alert_row, subject, TEXT, 128, 0),
	F(tr_alert_row, severity, U64, 0, 0),
	F(tr_alert_row, state, IDENT, 16, 0),
	F(tr_alert_row, summary, TEXT, 512, 0),
	F(tr_alert_row, action, TEXT, 512, 0),
	F(tr_alert_row, cause, TEXT, 128, 0),
	F(tr_alert_row, opened_at, TIME_MS, 0, 0),
	F(tr_alert_row, updated_at, TIME_MS, 0, 0),
	F(tr_alert_row, acked_at, TIME_MS, 0, 0),
	F(tr_alert_row, resolved_at, TIME_MS, 0, 0),
	F(tr_alert_row, count, U64, 0, 0),
	F(tr_alert_row, escalation, U64, 0, 0),
	F(tr_alert_row, acked_by, TEXT, 80, 0),
	F(tr_alert_row, resolved_why, TEXT, TEXT_MAX, 0),
	F(tr_alert_row, rev, U64, 0, 0),
	F(tr_alert_row, notified, U64, 0, 0),
};
TR_RECORD(tr_alert_def, tr_alert_row, alert_fields);

static const struct tr_field maintenance_fields[] = {
	F(tr_maintenance_row, id, IDENT, 16, 0),
	F(tr_maintenance_row, scope, IDENT, 16, 0),
	F(tr_maintenance_row, target, IDENT, 64, 0),
	F(tr_maintenance_row, from_at, TIME_MS, 0, 0),
	F(tr_maintenance_row, until_at, TIME_MS, 0, 0),
	F(tr_maintenance_row, created_at, TIME_MS, 0, 0),
	F(tr_maintenance_row, ended_at, TIME_MS, 0, 0),
	F(tr_maintenance_row, created_by, TEXT, 80, 0),
	F(tr_maintenance_row, reason, TEXT, TEXT_MAX, 0),
};
TR_RECORD(tr_maintenance_def, tr_maintenance_row, maintenance_fields);

static const struct tr_field bpf_ref_fields[] = {
	F(tr_bpf_ref_row, key, HEX, 32, 0),
	F(tr_bpf_ref_row, kernel, TEXT, 128, 0),
	F(tr_bpf_ref_row, pin, TEXT, 128, 0),
	F(tr_bpf_ref_row, tag, HEX, 8, 0),
	F(tr_bpf_ref_row, norm, HEX, 32, 0),
	F(tr_bpf_ref_row, state, IDENT, 16, 0),
	F(tr_bpf_ref_row, first_agent, IDENT, 64, 0),
	F(tr_bpf_ref_row, approved_by, TEXT, 80, 0),
	F(tr_bpf_ref_row, first_seen, TIME_MS, 0, 0),
	F(tr_bpf_ref_row, approved_at, TIME_MS, 0, 0),
};
TR_RECORD(tr_bpf_ref_def, tr_bpf_ref_row, bpf_ref_fields);

static const struct tr_field keyset_fields[] = {
	F(tr_keyset_row, id, IDENT, 10, 0),
	F(tr_keyset_row, epoch, U64, 0, 0),
	F(tr_keyset_row, digest, HEX, 32, 0),
	F(tr_keyset_row, bytes, BYTES, 65536, 0),
	F(tr_keyset_row, published_at, TIME_MS, 0, 0),
	F(tr_keyset_row, published_by, TEXT, 80, 0),
};
TR_RECORD(tr_keyset_row_def, tr_keyset_row, keyset_fields);

static const struct tr_field skey_fields[] = {
	F(tr_skey_row, id, HEX, 32, 0),
	F(tr_skey_row, role, IDENT, 16, 0),
	F(tr_skey_row, state, IDENT, 16, 0),
	F(tr_skey_row, origin, IDENT, 16, 0),
	F(tr_skey_row, version, U64, 0, 0),
	F(tr_skey_row, name, TEXT, 64, 0),
	F(tr_skey_row, key_type, TEXT, 16, 0),
	F(tr_skey_row, spki, BYTES, 1200, 0),
	F(tr_skey_row, sealed, BYTES, 512, TR_FIELD_SECRET),
	F(tr_skey_row, created_at, TIME_MS, 0, 0),
	F(tr_skey_row, active_at, TIME_MS, 0, 0),
	F(tr_skey_row, primary_at, TIME_MS, 0, 0),
	F(tr_skey_row, retiring_at, TIME_MS, 0, 0),
	F(tr_skey_row, ended_at, TIME_MS, 0, 0),
	F(tr_skey_row, uses, U64, 0, 0),
	F(tr_skey_row, created_by, TEXT, 80, 0),
	F(tr_skey_row, end_reason, TEXT, TEXT_MAX, 0),
};
TR_RECORD(tr_skey_def, tr_skey_row, skey_fields);

static const struct tr_field command_fields[] = {
	F(tr_command_row, id, IDENT, 32, 0),
	F(tr_command_row, digest, HEX, 32, 0),
	F(tr_command_row, agent, IDENT, 64, 0),
	F(tr_command_row, batch, IDENT, 32, 0),
	F(tr_command_row, type, IDENT, 32, 0),
	F(tr_command_row, class, U64, 0, 0),
	F(tr_command_row, kind, U64, 0, 0),
	F(tr_command_row, state, IDENT, 16, 0),
	F(tr_command_row, code, TEXT, 32, 0),
	F(tr_command_row, created_at, TIME_MS, 0, 0),
	F(tr_command_row, not_before, TIME_MS, 0, 0),
	F(tr_command_row, expires_at, TIME_MS, 0, 0),
	F(tr_command_row, sent_at, TIME_MS, 0, 0),
	F(tr_command_row, acked_at, TIME_MS, 0, 0),
	F(tr_command_row, ended_at, TIME_MS, 0, 0),
	F(tr_command_row, created_by, TEXT, 80, 0),
	F(tr_command_row, reason, TEXT, TEXT_MAX, 0),
	F(tr_command_row, order, BYTES, 2048, 0),
	F(tr_command_row, approvals, BYTES, 17000, 0),
	F(tr_command_row, line, U64, 0, 0),
	F(tr_command_row, seq, U64, 0, 0),
	F(tr_command_row, key_id, HEX, 32, 0),
	F(tr_command_row, command, BYTES, 24576, 0),
	F(tr_command_row, result, RAW, 8192, 0),
	F(tr_command_row, receipt, BYTES, 12288, 0),
	F(tr_command_row, position, U64, 0, 0),
	F(tr_command_row, attempts, U64, 0, 0),
	F(tr_command_row, retry_of, IDENT, 32, 0),
};
TR_RECORD(tr_command_row_def, tr_command_row, command_fields);

static const struct tr_field outbox_fields[] = {
	F(tr_outbox_row, agent, IDENT, 64, 0),
	F(tr_outbox_row, line, U64, 0, 0),
	F(tr_outbox_row, seq, U64, 0, 0),
	F(tr_outbox_row, quarantined_at, TIME_MS, 0, 0),
};
TR_RECORD(tr_outbox_def, tr_outbox_row, outbox_fields);

static const struct tr_field attested_fields[] = {
	F(tr_attested_row, id, IDENT, 64, 0),
	F(tr_attested_row, key_id, HEX, 32, 0),
	F(tr_attested_row, spki, BYTES, 1200, 0),
	F(tr_attested_row, state, IDENT, 16, 0),
	F(tr_attested_row, kind, IDENT, 16, 0),
	F(tr_attested_row, policy, IDENT, 64, 0),
	F(tr_attested_row, policy_version, U64, 0, 0),
	F(tr_attested_row, tcb_status, TEXT, 48, 0),
	F(tr_attested_row, tier, TEXT, 16, 0),
	F(tr_attested_row, image, TEXT, 64, 0),
	F(tr_attested_row, simulated, U64, 0, 0),
	F(tr_attested_row, verified_at, TIME_MS, 0, 0),
	F(tr_attested_row, expires_at, TIME_MS, 0, 0),
	F(tr_attested_row, verdict, IDENT, 16, 0),
	F(tr_attested_row, agent_type, IDENT, 64, 0),
	F(tr_attested_row, capabilities, TEXT, 2048, 0),
	F(tr_attested_row, endpoint, TEXT, 512, 0),
	F(tr_attested_row, attestation_endpoint, TEXT, 512, 0),
	F(tr_attested_row, prekey, BYTES, 1024, 0),
	F(tr_attested_row, prekey_number, U64, 0, 0),
	F(tr_attested_row, token, TEXT, 8192, 0),
	F(tr_attested_row, ak_name, HEX, 66, 0),
	F(tr_attested_row, ek_digest, HEX, 32, 0),
	F(tr_attested_row, ak_trust, U64, 0, 0),
	F(tr_attested_row, ak_resets, U64, 0, 0),
	F(tr_attested_row, ak_restarts, U64, 0, 0),
	F(tr_attested_row, ak_clock, U64, 0, 0),
	F(tr_attested_row, reason, TEXT, 48, 0),
	F(tr_attested_row, failed_at, TIME_MS, 0, 0),
	F(tr_attested_row, failures, U64, 0, 0),
};
TR_RECORD(tr_attested_def, tr_attested_row, attested_fields);

static const struct tr_field verdict_fields[] = {
	F(tr_verdict_row, seq, U64, 0, 0),
	F(tr_verdict_row, time, TIME_MS, 0, 0),
	F(tr_verdict_row, id, IDENT, 16, 0),
	F(tr_verdict_row, agent, IDENT, 64, 0),
	F(tr_verdict_row, kind, IDENT, 16, 0),
	F(tr_verdict_row, policy, IDENT, 64, 0),
	F(tr_verdict_row, policy_version, U64, 0, 0),
	F(tr_verdict_row, outcome, IDENT, 16, 0),
	F(tr_verdict_row, reason, TEXT, 48, 0),
	F(tr_verdict_row, tcb_status, TEXT, 48, 0),
	F(tr_verdict_row, tier, TEXT, 16, 0),
	F(tr_verdict_row, bundle, HEX, 32, 0),
	F(tr_verdict_row, build, TEXT, 64, 0),
	F(tr_verdict_row, expires_at, TIME_MS, 0, 0),
	F(tr_verdict_row, source, TEXT, 64, 0),
	F(tr_verdict_row, digest, HEX, 32, 0),
	F(tr_verdict_row, context, BYTES, 8192, 0),
	F(tr_verdict_row, verdict, RAW, 65536, 0),
	F(tr_verdict_row, evidence, BYTES, 98304, 0),
};
TR_RECORD(tr_verdict_row_def, tr_verdict_row, verdict_fields);

static const struct tr_field bundle_fields[] = {
	F(tr_bundle_row, id, IDENT, 64, 0),
	F(tr_bundle_row, version, U64, 0, 0),
	F(tr_bundle_row, bytes, BYTES, 525312, 0),
	F(tr_bundle_row, key_id, HEX, 32, 0),
	F(tr_bundle_row, made_at, TIME_MS, 0, 0),
	F(tr_bundle_row, imported_at, TIME_MS, 0, 0),
	F(tr_bundle_row, imported_by, TEXT, 80, 0),
};
TR_RECORD(tr_bundle_row_def, tr_bundle_row, bundle_fields);

static const struct tr_field tee_policy_fields[] = {
	F(tr_tee_policy_row, id, TEXT, 72, 0),
	F(tr_tee_policy_row, name, IDENT, 64, 0),
	F(tr_tee_policy_row, version, U64, 0, 0),
	F(tr_tee_policy_row, state, IDENT, 16, 0),
	F(tr_tee_policy_row, text, TEXT, 65536, 0),
	F(tr_tee_policy_row, digest, HEX, 32, 0),
	F(tr_tee_policy_row, agent_types, TEXT, 2048, 0),
	F(tr_tee_policy_row, created_at, TIME_MS, 0, 0),
	F(tr_tee_policy_row, activated_at, TIME_MS, 0, 0),
	F(tr_tee_policy_row, ended_at, TIME_MS, 0, 0),
	F(tr_tee_policy_row, created_by, TEXT, 80, 0),
};
TR_RECORD(tr_tee_policy_row_def, tr_tee_policy_row, tee_policy_fields);

static const struct tr_field mail_fields[] = {
	F(tr_mail_row, id, IDENT, 32, 0),
	F(tr_mail_row, number, U64, 0, 0),
	F(tr_mail_row, recipient, IDENT, 64, 0),
	F(tr_mail_row, sender, IDENT, 64, 0),
	F(tr_mail_row, envelope, BYTES, 73728, 0),
	F(tr_mail_row, received_at, TIME_MS, 0, 0),
	F(tr_mail_row, expires_at, TIME_MS, 0, 0),
};
TR_RECORD(tr_mail_def, tr_mail_row, mail_fields);

const struct tr_record *tr_table_def(enum tr_table t)
{
	static const struct tr_record *const defs[TR_T_N] = {
		[TR_T_AGENT] = &tr_agent_def,	  [TR_T_TOKEN] = &tr_token_def,
		[TR_T_VKEY] = &tr_vkey_def,	  [TR_T_RELEASE] = &tr_release_def,
		[TR_T_SETTING] = &tr_setting_def, [TR_T_SEEN] = &tr_seen_def,
		[TR_T_OPERATOR] = &tr_operator_def, [TR_T_AUDIT] = &tr_audit_def,
		[TR_T_ATTESTATION] = &tr_attestation_def, [TR_T_PULSE] = &tr_pulse_row_def,
		[TR_T_EVENT] = &tr_event_def,	  [TR_T_ALERT] = &tr_alert_def,
		[TR_T_MAINTENANCE] = &tr_maintenance_def, [TR_T_BPF_REF] = &tr_bpf_ref_def,
		[TR_T_KEYSET] = &tr_keyset_row_def, [TR_T_SKEY] = &tr_skey_def,
		[TR_T_COMMAND] = &tr_command_row_def, [TR_T_OUTBOX] = &tr_outbox_def,
		[TR_T_ATTESTED] = &tr_attested_def, [TR_T_VERDICT] = &tr_verdict_row_def,
		[TR_T_BUNDLE] = &tr_bundle_row_def, [TR_T_TEE_POLICY] = &tr_tee_policy_row_def,
		[TR_T_MAIL] = &tr_mail_def,
	};

	return (unsigned)t < TR_T_N ? defs[t] : NULL;
}
