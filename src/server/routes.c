/* SPDX-License-Identifier: Apache-2.0 */
#include "server/routes.h"

#include "codec/ident.h"
#include "signed/claim.h"
#include "signed/pulse.h"
#include "signed/release.h"
#include "store/store.h"

#define F(T, m, type, max, flags) TR_FIELD(T, m, TR_F_##type, max, flags)

static const struct tr_field reason_fields[] = {
	F(tr_in_reason, reason, TEXT, 256, 0),
	F(tr_in_reason, force, BOOL, 0, 0),
};
TR_RECORD(tr_in_reason_def, tr_in_reason, reason_fields);

static const struct tr_field token_fields[] = {
	F(tr_in_token, partition, IDENT, 64, 0),
	F(tr_in_token, agent_type, IDENT, 64, 0),
	F(tr_in_token, note, TEXT, 256, 0),
	F(tr_in_token, max_uses, U64, 0, 0),
	F(tr_in_token, ttl_s, U64, 0, 0),
};
TR_RECORD(tr_in_token_def, tr_in_token, token_fields);

static const struct tr_field vkey_fields[] = {
	F(tr_in_vkey, name, TEXT, 64, 0),
	F(tr_in_vkey, use, IDENT, 16, 0),
	F(tr_in_vkey, pem, TEXT, 4096, TR_FIELD_REQUIRED),
	F(tr_in_vkey, not_before, TIME_MS, 0, 0),
	F(tr_in_vkey, not_after, TIME_MS, 0, 0),
};
TR_RECORD(tr_in_vkey_def, tr_in_vkey, vkey_fields);

static const struct tr_field release_fields[] = {
	F(tr_in_release, statement, BYTES, TR_RELEASE_MAX, TR_FIELD_REQUIRED),
};
TR_RECORD(tr_in_release_def, tr_in_release, release_fields);

/* Lists travel as comma-joined text; "-" clears a setting, an absent member leaves it as it is. */
static const struct tr_field policy_fields[] = {
	F(tr_in_policy, mode, TEXT, 16, 0),
	F(tr_in_policy, accept, TEXT, 64, 0),
	F(tr_in_policy, hashes, TEXT, 9000, 0),
	F(tr_in_policy, min_version, TEXT, 64, 0),
	F(tr_in_policy, versions, TEXT, 1024, 0),
	F(tr_in_policy, min_tier, TEXT, 16, 0),
};
TR_RECORD(tr_in_policy_def, tr_in_policy, policy_fields);

static const struct tr_field agents_fields[] = {
	F(tr_in_agents, state, IDENT, 16, 0),
	F(tr_in_agents, partition, IDENT, 64, 0),
	F(tr_in_agents, verdict, IDENT, 32, 0),
	F(tr_in_agents, reach, IDENT, 16, 0),
	F(tr_in_agents, cursor, IDENT, 64, 0),
	F(tr_in_agents, limit, U64, 0, 0),
};
TR_RECORD(tr_in_agents_def, tr_in_agents, agents_fields);

static const struct tr_field events_fields[] = {
	F(tr_in_events, kind, IDENT, 32, 0),
	F(tr_in_events, agent, IDENT, 64, 0),
	F(tr_in_events, before, U64, 0, 0),
	F(tr_in_events, after, U64, 0, 0),
	F(tr_in_events, limit, U64, 0, 0),
};
TR_RECORD(tr_in_events_def, tr_in_events, events_fields);

static const struct tr_field alerts_fields[] = {
	F(tr_in_alerts, state, IDENT, 16, 0),
	F(tr_in_alerts, cursor, IDENT, 64, 0),
	F(tr_in_alerts, severity, U64, 0, 0),
	F(tr_in_alerts, before, U64, 0, 0),
	F(tr_in_alerts, limit, U64, 0, 0),
	F(tr_in_alerts, changed_after, TIME_MS, 0, 0),
};
TR_RECORD(tr_in_alerts_def, tr_in_alerts, alerts_fields);

static const struct tr_field why_fields[] = {
	F(tr_in_why, reason, TEXT, 256, TR_FIELD_REQUIRED),
};
TR_RECORD(tr_in_why_def, tr_in_why, why_fields);

static const struct tr_field expect_fields[] = {
	F(tr_in_expect, hash, TEXT, 71, TR_FIELD_REQUIRED),
	F(tr_in_expect, reason, TEXT, 256, TR_FIELD_REQUIRED),
	F(tr_in_expect, minutes, U64, 0, 0),
};
TR_RECORD(tr_in_expect_def, tr_in_expect, expect_fields);

static const struct tr_field maintenance_fields[] = {
	F(tr_in_maintenance, scope, TEXT, 16, TR_FIELD_REQUIRED),
	F(tr_in_maintenance, target, IDENT, 64, 0),
	F(tr_in_maintenance, reason, TEXT, 256, TR_FIELD_REQUIRED),
	F(tr_in_maintenance, minutes, U64, 0, 0),
	F(tr_in_maintenance, from, TIME_MS, 0, 0),
	F(tr_in_maintenance, until, TIME_MS, 0, 0),
};
TR_RECORD(tr_in_maintenance_def, tr_in_maintenance, maintenance_fields);

static const struct tr_field time_fields[] = {
	F(tr_in_time, nonce, TEXT, 86, TR_FIELD_REQUIRED),
};
TR_RECORD(tr_in_time_def, tr_in_time, time_fields);

#define AGENTS TR_ON_AGENTS
#define OPS TR_ON_OPERATORS
#define BOTH (TR_ON_AGENTS | TR_ON_OPERATORS)

/* Rates are per source address and minute. Agents behind one NAT share a source, so the agent routes are generous here
 * and strict per agent in core. */
static const struct tr_field chain_fields[] = { F(tr_in_chain, after, U64, 0, 0) };
TR_RECORD(tr_in_chain_def, tr_in_chain, chain_fields);
static const struct tr_field keyset_fields[] = { F(tr_in_keyset, keyset, BYTES, 65536, TR_FIELD_REQUIRED) };
TR_RECORD(tr_in_keyset_def, tr_in_keyset, keyset_fields);
static const struct tr_field skey_fields[] = {
	F(tr_in_skey, role, IDENT, 16, TR_FIELD_REQUIRED),
	F(tr_in_skey, name, TEXT, 64, 0),
};
TR_RECORD(tr_in_skey_def, tr_in_skey, skey_fields);
static const struct tr_field skey_end_fields[] = {
	F(tr_in_skey_end, reason, TEXT, 256, 0),
	F(tr_in_skey_end, force, BOOL, 0, 0),
};
TR_RECORD(tr_in_skey_end_def, tr_in_skey_end, skey_end_fields);
static const struct tr_field adoption_fields[] = {
	F(tr_in_adoption, cursor, IDENT, 64, 0),
	F(tr_in_adoption, limit, U64, 0, 0),
};
TR_RECORD(tr_in_adoption_def, tr_in_adoption, adoption_fields);
static const struct tr_field command_fields[] = {
	F(tr_in_command, type, IDENT, 32, TR_FIELD_REQUIRED),
	F(tr_in_command, agents, TEXT, 65536, 0),
	F(tr_in_command, partition, IDENT, 64, 0),
	F(tr_in_command, all, BOOL, 0, 0),
	F(tr_in_command, seconds, U64, 0, 0),
	F(tr_in_command, text, TEXT, 256, 0),
	F(tr_in_command, target, IDENT, 32, 0),
	F(tr_in_command, image, TEXT, 80, 0),
	F(tr_in_command, expires_s, U64, 0, 0),
	F(tr_in_command, not_before, TIME_MS, 0, 0),
	F(tr_in_command, reason, TEXT, 256, 0),
	F(tr_in_command, key, TEXT, 128, 0),
};
TR_RECORD(tr_in_command_def, tr_in_command, command_fields);
static const struct tr_field commands_fields[] = {
	F(tr_in_commands, agent, IDENT, 64, 0),
	F(tr_in_commands, state, IDENT, 16, 0),
	F(tr_in_commands, type, IDENT, 32, 0),
	F(tr_in_commands, batch, IDENT, 32, 0),
	F(tr_in_commands, cursor, IDENT, 64, 0),
	F(tr_in_commands, before, U64, 0, 0),
	F(tr_in_commands, limit, U64, 0, 0),
};
TR_RECORD(tr_in_commands_def, tr_in_commands, commands_fields);
static const struct tr_field approval_fields[] = { F(tr_in_approval, approval, BYTES, 8192, TR_FIELD_REQUIRED) };
TR_RECORD(tr_in_approval_def, tr_in_approval, approval_fields);
static const struct tr_field wait_fields[] = { F(tr_in_wait, wait, U64, 0, 0) };
TR_RECORD(tr_in_wait_def, tr_in_wait, wait_fields);

static const struct tr_field tee_policy_fields[] = { F(tr_in_tee_policy, text, TEXT, 65536, TR_FIELD_REQUIRED) };
TR_RECORD(tr_in_tee_policy_def, tr_in_tee_policy, tee_policy_fields);
static const struct tr_field tee_activate_fields[] = {
	F(tr_in_tee_activate, version, U64, 0, 0),
	F(tr_in_tee_activate, reason, TEXT, 256, 0),
	F(tr_in_tee_activate, force, BOOL, 0, 0),
};
TR_RECORD(tr_in_tee_activate_def, tr_in_tee_activate, tee_activate_fields);
static const struct tr_field agent_attestation_fields[] = { F(tr_in_agent_attestation, evidence, U64, 0, 0) };
TR_RECORD(tr_in_agent_attestation_def, tr_in_agent_attestation, agent_attestation_fields);
static const struct tr_field verdicts_fields[] = {
	F(tr_in_verdicts, agent, IDENT, 64, 0),
	F(tr_in_verdicts, outcome, IDENT, 16, 0),
	F(tr_in_verdicts, before, U64, 0, 0),
	F(tr_in_verdicts, after, U64, 0, 0),
	F(tr_in_verdicts, limit, U64, 0, 0),
};
TR_RECORD(tr_in_verdicts_def, tr_in_verdicts, verdicts_fields);
static const struct tr_field discover_fields[] = {
	F(tr_in_discover, capability, IDENT, 64, 0),
	F(tr_in_discover, agent_type, IDENT, 64, 0),
	F(tr_in_discover, cursor, IDENT, 64, 0),
	F(tr_in_discover, limit, U64, 0, 0),
};
TR_RECORD(tr_in_discover_def, tr_in_discover, discover_fields);
static const struct tr_field mail_ack_fields[] = { F(tr_in_mail_ack, ids, TEXT, 4096, TR_FIELD_REQUIRED) };
TR_RECORD(tr_in_mail_ack_def, tr_in_mail_ack, mail_ack_fields);
static const struct tr_field mail_fetch_fields[] = {
	F(tr_in_mail_fetch, wait, U64, 0, 0),
	F(tr_in_mail_fetch, after, U64, 0, 0),
};
TR_RECORD(tr_in_mail_fetch_def, tr_in_mail_fetch, mail_fetch_fields);
static const struct tr_field revocations_fields[] = { F(tr_in_revocations, after, U64, 0, 0) };
TR_RECORD(tr_in_revocations_def, tr_in_revocations, revocations_fields);

static const struct tr_route routes[] = {
	{ TR_RT_LIVEZ, "GET", "/livez", BOTH, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_READYZ, "GET", "/readyz", BOTH, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_METRICS, "GET", "/metrics", OPS, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 120, false },
	{ TR_RT_VERSION, "GET", "/version", BOTH, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_KEYSET, "GET", "/api/v1/keyset", BOTH, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 6000, false },
	{ TR_RT_CHALLENGE, "GET", "/api/v1/challenge", AGENTS, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 6000,
	  false },
	{ TR_RT_REGISTER, "POST", "/api/v1/agents/register", AGENTS, TR_AUTH_TOKEN, TR_IN_RAW, NULL,
	  TR_HUB_REGISTRATION_MAX, 3000, true },
	{ TR_RT_REGISTER, "POST", "/agent/register", AGENTS, TR_AUTH_TOKEN, TR_IN_RAW, NULL,
	  TR_REGISTRATION_MAX, 3000, true },
	{ TR_RT_PULSE, "POST", "/api/v1/pulse", AGENTS, TR_AUTH_AGENT, TR_IN_PULSE, NULL, TR_PULSE_MAX, 60000,
	  false },
	{ TR_RT_TIME, "GET", "/api/v1/time", BOTH, TR_AUTH_NONE, TR_IN_NONCE, &tr_in_time_def, 0, 600,
	  false },
	{ TR_RT_RENEW, "POST", "/api/v1/agents/renew", AGENTS, TR_AUTH_AGENT, TR_IN_RAW, NULL, 8192, 3000,
	  true },
	{ TR_RT_WHOAMI, "GET", "/api/v1/whoami", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_AGENT_LIST, "GET", "/api/v1/agents", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY, &tr_in_agents_def, 0,
	  600, false },
	{ TR_RT_AGENT_GET, "GET", "/api/v1/agents/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600,
	  false },
	{ TR_RT_AGENT_REVOKE, "POST", "/api/v1/agents/{id}/revoke", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_reason_def, 2048, 600, true },
	{ TR_RT_AGENT_REMOVE, "DELETE", "/api/v1/agents/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY,
	  &tr_in_reason_def, 0,
	  600, true },
	{ TR_RT_TOKEN_LIST, "GET", "/api/v1/tokens", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_TOKEN_CREATE, "POST", "/api/v1/tokens", OPS, TR_AUTH_OPERATOR, TR_IN_JSON, &tr_in_token_def,
	  2048, 600, true },
	{ TR_RT_TOKEN_REVOKE, "DELETE", "/api/v1/tokens/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY,
	  &tr_in_reason_def, 0,
	  600, true },
	{ TR_RT_VKEY_LIST, "GET", "/api/v1/verification-keys", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0,
	  600, false },
	{ TR_RT_VKEY_ADD, "POST", "/api/v1/verification-keys", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_vkey_def, 8192,
	  600, true },
	{ TR_RT_VKEY_RETIRE, "POST", "/api/v1/verification-keys/{id}/retire", OPS, TR_AUTH_OPERATOR,
	  TR_IN_JSON,
	  &tr_in_reason_def, 2048, 600, true },
	{ TR_RT_VKEY_REVOKE, "POST", "/api/v1/verification-keys/{id}/revoke", OPS, TR_AUTH_OPERATOR,
	  TR_IN_JSON,
	  &tr_in_reason_def, 2048, 600, true },
	{ TR_RT_RELEASE_LIST, "GET", "/api/v1/releases", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600,
	  false },
	{ TR_RT_RELEASE_ADD, "POST", "/api/v1/releases", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_release_def, 12288,
	  600, true },
	{ TR_RT_RELEASE_WITHDRAW, "DELETE", "/api/v1/releases/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY,
	  &tr_in_reason_def, 0, 600, true },
	{ TR_RT_POLICY_GET, "GET", "/api/v1/policy", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_POLICY_SET, "PUT", "/api/v1/policy", OPS, TR_AUTH_OPERATOR, TR_IN_JSON, &tr_in_policy_def,
	  16384, 600, true },
	{ TR_RT_ATTESTATION_LIST, "GET", "/api/v1/attestations", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY,
	  &tr_list_query_def,
	  0, 600, false },
	{ TR_RT_ATTESTATION_GET, "GET", "/api/v1/attestations/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL,
	  0, 600, false },
	{ TR_RT_AUDIT_LIST, "GET", "/api/v1/audit", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY, &tr_list_query_def, 0,
	  600, false },
	{ TR_RT_AGENT_EVENTS, "GET", "/api/v1/agents/{id}/events", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY,
	  &tr_in_events_def,
	  0, 600, false },
	{ TR_RT_AGENT_BPF, "GET", "/api/v1/agents/{id}/bpf", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600,
	  false },
	{ TR_RT_AGENT_BPF_REQUEST, "POST", "/api/v1/agents/{id}/bpf/request", OPS, TR_AUTH_OPERATOR,
	  TR_IN_NONE, NULL, 0,
	  600, false },
	{ TR_RT_AGENT_EXPECT, "POST", "/api/v1/agents/{id}/expect", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_expect_def,
	  2048, 600, true },
	{ TR_RT_AGENT_ACCEPT, "POST", "/api/v1/agents/{id}/accept", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_why_def,
	  2048, 600, true },
	{ TR_RT_AGENT_RESET, "POST", "/api/v1/agents/{id}/reset-identity", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_why_def, 2048, 600, true },
	{ TR_RT_FLEET, "GET", "/api/v1/fleet", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 120, false },
	{ TR_RT_EVENT_LIST, "GET", "/api/v1/events", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY, &tr_in_events_def, 0,
	  600, false },
	{ TR_RT_EVENT_GET, "GET", "/api/v1/events/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600,
	  false },
	{ TR_RT_ALERT_LIST, "GET", "/api/v1/alerts", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY, &tr_in_alerts_def, 0,
	  600, false },
	{ TR_RT_ALERT_GET, "GET", "/api/v1/alerts/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600,
	  false },
	{ TR_RT_ALERT_ACK, "POST", "/api/v1/alerts/{id}/ack", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_reason_def, 2048,
	  600, true },
	{ TR_RT_ALERT_RESOLVE, "POST", "/api/v1/alerts/{id}/resolve", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_why_def,
	  2048, 600, true },
	{ TR_RT_MAINTENANCE_LIST, "GET", "/api/v1/maintenance", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0,
	  600, false },
	{ TR_RT_MAINTENANCE_ADD, "POST", "/api/v1/maintenance", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_maintenance_def,
	  2048, 600, true },
	{ TR_RT_MAINTENANCE_END, "DELETE", "/api/v1/maintenance/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY,
	  &tr_in_reason_def, 0, 600, true },
	{ TR_RT_KEYSET_CHAIN, "GET", "/api/v1/keyset/chain", BOTH, TR_AUTH_NONE, TR_IN_QUERY, &tr_in_chain_def, 0, 60000,
	  false },
	{ TR_RT_KEYSET_PUBLISH, "POST", "/api/v1/keyset", OPS, TR_AUTH_OPERATOR, TR_IN_JSON, &tr_in_keyset_def, 92000, 60,
	  true },
	{ TR_RT_PUBLIC_KEY, "GET", "/api/v1/public-key", BOTH, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 6000, false },
	{ TR_RT_PUBLIC_KEYS, "GET", "/api/v1/public-keys", BOTH, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 6000, false },
	{ TR_RT_SKEY_LIST, "GET", "/api/v1/admin/keys", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_SKEY_CREATE, "POST", "/api/v1/admin/keys", OPS, TR_AUTH_OPERATOR, TR_IN_JSON, &tr_in_skey_def, 1024, 60,
	  true },
	{ TR_RT_SKEY_GET, "GET", "/api/v1/admin/keys/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_SKEY_PROMOTE, "POST", "/api/v1/admin/keys/{id}/promote", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_skey_end_def, 1024, 600, true },
	{ TR_RT_SKEY_RETIRE, "POST", "/api/v1/admin/keys/{id}/retire", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_skey_end_def, 1024, 600, true },
	{ TR_RT_SKEY_REVOKE, "POST", "/api/v1/admin/keys/{id}/revoke", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_skey_end_def, 1024, 600, true },
	{ TR_RT_SKEY_ADOPTION, "GET", "/api/v1/admin/keys/{id}/adoption", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY,
	  &tr_in_adoption_def, 0, 600, false },
	{ TR_RT_COMMAND_TYPES, "GET", "/api/v1/command-types", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_COMMAND_LIST, "GET", "/api/v1/commands", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY, &tr_in_commands_def, 0, 600,
	  false },
	{ TR_RT_COMMAND_ORDER, "POST", "/api/v1/commands", OPS, TR_AUTH_OPERATOR, TR_IN_JSON, &tr_in_command_def, 70000,
	  6000, true },
	{ TR_RT_COMMAND_APPROVE, "POST", "/api/v1/command-approvals", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_approval_def, 12288, 6000, true },
	{ TR_RT_COMMAND_GET, "GET", "/api/v1/commands/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 6000, false },
	{ TR_RT_COMMAND_CANCEL, "POST", "/api/v1/commands/{id}/cancel", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_reason_def, 2048, 6000, true },
	{ TR_RT_COMMAND_RETRY, "POST", "/api/v1/commands/{id}/retry", OPS, TR_AUTH_OPERATOR, TR_IN_JSON, &tr_in_reason_def,
	  2048, 6000, true },
	{ TR_RT_AGENT_COMMANDS, "GET", "/api/v1/agent/commands", AGENTS, TR_AUTH_AGENT, TR_IN_QUERY, &tr_in_wait_def, 0,
	  60000, false },
	{ TR_RT_AGENT_RECEIPTS, "POST", "/api/v1/agent/receipts", AGENTS, TR_AUTH_AGENT, TR_IN_RAW, NULL, 12288, 60000,
	  true },
	{ TR_RT_TPM_CREDENTIAL, "POST", "/api/v1/agent/tpm-credential", AGENTS, TR_AUTH_AGENT, TR_IN_RAW, NULL, 16384, 3000,
	  false },
	{ TR_RT_AGENT_ATTESTATION, "GET", "/api/v1/agents/{id}/attestation", BOTH, TR_AUTH_NONE, TR_IN_QUERY,
	  &tr_in_agent_attestation_def, 0, 6000, false },
	{ TR_RT_JWKS, "GET", "/.well-known/jwks.json", BOTH, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 6000, false },
	{ TR_RT_VERDICT_LIST, "GET", "/api/v1/verdicts", OPS, TR_AUTH_OPERATOR, TR_IN_QUERY, &tr_in_verdicts_def, 0, 600, false },
	{ TR_RT_VERDICT_GET, "GET", "/api/v1/verdicts/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_VERDICT_REPLAY, "POST", "/api/v1/verdicts/{id}/replay", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_TEE_POLICY_LIST, "GET", "/api/v1/attestation-policies", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_TEE_POLICY_ADD, "POST", "/api/v1/attestation-policies", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_tee_policy_def, 140000, 600, true },
	{ TR_RT_TEE_POLICY_TEST, "POST", "/api/v1/attestation-policy-tests", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_tee_policy_def, 140000, 60, false },
	{ TR_RT_TEE_POLICY_GET, "GET", "/api/v1/attestation-policies/{id}", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600,
	  false },
	{ TR_RT_TEE_POLICY_ACTIVATE, "POST", "/api/v1/attestation-policies/{id}/activate", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_tee_activate_def, 2048, 600, true },
	{ TR_RT_TEE_POLICY_RETIRE, "POST", "/api/v1/attestation-policies/{id}/retire", OPS, TR_AUTH_OPERATOR, TR_IN_JSON,
	  &tr_in_tee_activate_def, 2048, 600, true },
	{ TR_RT_COLLATERAL_LIST, "GET", "/api/v1/collateral", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_COLLATERAL_ADD, "POST", "/api/v1/collateral", OPS, TR_AUTH_OPERATOR, TR_IN_RAW, NULL, 525312, 60, true },
	{ TR_RT_COLLATERAL_GET, "GET", "/api/v1/collateral/{id}", BOTH, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_SECURITY_HEALTH, "GET", "/api/v1/security/health", OPS, TR_AUTH_OPERATOR, TR_IN_NONE, NULL, 0, 600, false },
	{ TR_RT_DISCOVER, "GET", "/api/v1/agents/discovery", BOTH, TR_AUTH_NONE, TR_IN_QUERY, &tr_in_discover_def, 0, 6000,
	  false },
	{ TR_RT_DISCOVER_ONE, "GET", "/api/v1/agents/discovery/{id}", BOTH, TR_AUTH_NONE, TR_IN_NONE, NULL, 0, 60000, false },
	{ TR_RT_PREKEY, "PUT", "/api/v1/agent/prekey", AGENTS, TR_AUTH_AGENT, TR_IN_RAW, NULL, 1024, 3000, true },
	{ TR_RT_REVOCATIONS, "GET", "/api/v1/agent/revocations", AGENTS, TR_AUTH_AGENT, TR_IN_QUERY, &tr_in_revocations_def, 0,
	  60000, false },
	{ TR_RT_MAIL_SEND, "POST", "/api/v1/mailbox/{id}", AGENTS, TR_AUTH_AGENT, TR_IN_RAW, NULL, 73728, 60000, true },
	{ TR_RT_MAIL_FETCH, "GET", "/api/v1/mailbox", AGENTS, TR_AUTH_AGENT, TR_IN_QUERY, &tr_in_mail_fetch_def, 0, 60000,
	  false },
	{ TR_RT_MAIL_ACK, "POST", "/api/v1/mailbox-acks", AGENTS, TR_AUTH_AGENT, TR_IN_JSON, &tr_in_mail_ack_def, 6000, 60000,
	  true },
};

/* Segment by segment; "{id}" takes one non-empty segment of at most 64 bytes of the narrow grammar. */
static bool matches(const char *pattern, struct tr_view path, struct tr_view *ret_arg)
{
	size_t i = 0;

	*ret_arg = tr_view(NULL, 0);
	while (*pattern) {
		if (strncmp(pattern, "{id}", 4) == 0) {
			size_t start = i;

			while (i < path.n && path.p[i] != '/')
				i++;
			*ret_arg = tr_view(path.p + start, i - start);
			if (!tr_ident_ok(*ret_arg))
				return false;
			pattern += 4;
		} else if (i < path.n && path.p[i] == (uint8_t)*pattern) {
			i++;
			pattern++;
		} else {
			return false;
		}
	}
	return i == path.n;
}

const struct tr_route *tr_route_find(struct tr_view method, struct tr_view path, unsigned listener,
				     struct tr_view *ret_arg, bool *ret_path_known)
{
	*ret_path_known = false;
	for (size_t i = 0; i < TR_ARRAY_LEN(routes); i++) {
		const struct tr_route *r = &routes[i];

		if (!(r->listeners & listener) || !matches(r->path, path, ret_arg))
			continue;
		*ret_path_known = true;
		if (tr_view_is(method, r->method))
			return r;
	}
	return NULL;
}

const struct tr_route *tr_route_by_id(enum tr_route_id id)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(routes); i++)
		if (routes[i].id == id)
			return &routes[i];
	return NULL;
}

bool tr_route_is_hub(enum tr_route_id id)
{
	return id == TR_RT_REGISTER || id == TR_RT_DISCOVER || id == TR_RT_DISCOVER_ONE || id == TR_RT_AGENT_ATTESTATION;
}
