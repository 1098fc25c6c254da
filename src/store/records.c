/* SPDX-License-Identifier: Apache-2.0 */
#include "store/records.h"

#define F(T, m, type, max, flags) TR_FIELD(T, m, TR_F_##type, max, flags)
#define TEXT_MAX 256

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
	F(tr_agent_row, last_seen, TIME_MS, 0, 0),
	F(tr_agent_row, heartbeats, U64, 0, 0),
	F(tr_agent_row, running_hash, HEX, 32, 0),
	F(tr_agent_row, running_version, TEXT, 64, 0),
	F(tr_agent_row, ended_at, TIME_MS, 0, 0),
	F(tr_agent_row, end_reason, TEXT, TEXT_MAX, 0),
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
	F(tr_release_row, statement, BYTES, 2048, 0),
	F(tr_release_row, added_by, TEXT, 80, 0),
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

const struct tr_record *tr_table_def(enum tr_table t)
{
	static const struct tr_record *const defs[TR_T_N] = {
		[TR_T_AGENT] = &tr_agent_def,	  [TR_T_TOKEN] = &tr_token_def,
		[TR_T_VKEY] = &tr_vkey_def,	  [TR_T_RELEASE] = &tr_release_def,
		[TR_T_SETTING] = &tr_setting_def, [TR_T_SEEN] = &tr_seen_def,
		[TR_T_OPERATOR] = &tr_operator_def, [TR_T_AUDIT] = &tr_audit_def,
		[TR_T_ATTESTATION] = &tr_attestation_def,
	};

	return (unsigned)t < TR_T_N ? defs[t] : NULL;
}
