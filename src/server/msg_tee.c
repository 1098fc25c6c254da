/* SPDX-License-Identifier: Apache-2.0 */
#include "server/msg_tee.h"

#include "appraise/tee.h"
#include "server/routes.h"
#include "signed/keyset.h"
#include "signed/prekey.h"
#include "signed/result_token.h"

#define F(T, m, type, max) TR_FIELD(T, m, TR_F_##type, max, 0)
#define WHY_MAX 256
#define SLUG_MAX 48
#define SPKI_MAX 1200
#define POLICY_ID_MAX 72

#define T tr_verdict_context
static const struct tr_field context_fields[] = {
	F(T, now, I64, 0), F(T, challenge, BYTES, 64), F(T, spki, BYTES, SPKI_MAX), F(T, cert, BYTES, 4096),
	F(T, ak_trust, U64, 0), F(T, ak_name, HEX, 66), F(T, agent_type, IDENT, 64),
};
TR_RECORD(tr_verdict_context_def, T, context_fields);
#undef T
#define T tr_msg_read_registration
static const struct tr_field read_registration_fields[] = {
	F(T, body, BYTES, TR_HUB_REGISTRATION_MAX), F(T, hub, BYTES, 4096),
};
TR_RECORD(tr_msg_read_registration_def, T, read_registration_fields);
#undef T
#define T tr_msg_registration_read
static const struct tr_field registration_read_fields[] = {
	F(T, code, U64, 0), F(T, slug, TEXT, SLUG_MAX), F(T, why, TEXT, WHY_MAX), F(T, agent_id, IDENT, 64),
	F(T, agent_type, IDENT, 64), F(T, capabilities, TEXT, 2048), F(T, endpoint, TEXT, 512),
	F(T, attestation_endpoint, TEXT, 512), F(T, spki, BYTES, SPKI_MAX), F(T, key_id, BYTES, 32),
	F(T, key_type, TEXT, 16), F(T, kind, IDENT, 16), F(T, certificate, BYTES, 4096),
	F(T, challenge, BYTES, 64), F(T, quote, BYTES, TR_TEE_SET_MAX),
	F(T, set, BYTES, TR_TEE_SET_MAX), F(T, prekey, BYTES, TR_PREKEY_MAX), F(T, prekey_number, U64, 0),
	F(T, ak_name, BYTES, 66), F(T, ek_digest, BYTES, 32), F(T, activation_id, BYTES, 16),
	F(T, activation_secret, BYTES, 64), F(T, is_signed, BOOL, 0), F(T, signed_at, I64, 0),
};
TR_RECORD(tr_msg_registration_read_def, T, registration_read_fields);
#undef T
#define T tr_msg_attest
static const struct tr_field attest_fields[] = {
	F(T, context, BYTES, 8192), F(T, kind, IDENT, 16), F(T, quote, BYTES, TR_TEE_SET_MAX),
	F(T, set, BYTES, TR_TEE_SET_MAX), F(T, policy_id, TEXT, POLICY_ID_MAX), F(T, text, TEXT, TR_TEE_POLICY_MAX),
	F(T, bundle, BYTES, TR_COLLATERAL_MAX), F(T, replay, BOOL, 0), F(T, agent, IDENT, 64), F(T, issuer, TEXT, 255),
	F(T, build, TEXT, 64), F(T, verdict_was, BYTES, TR_VERDICT_JSON_MAX),
};
TR_RECORD(tr_msg_attest_def, T, attest_fields);
#undef T
#define T tr_msg_attested
static const struct tr_field attested_fields[] = {
	F(T, code, U64, 0), F(T, slug, TEXT, SLUG_MAX), F(T, why, TEXT, WHY_MAX), F(T, ok, BOOL, 0), F(T, proven, BOOL, 0),
	F(T, reason, U64, 0), F(T, kind, IDENT, 16), F(T, failed, TEXT, SLUG_MAX), F(T, sentence, TEXT, WHY_MAX),
	F(T, tcb_status, TEXT, 48), F(T, tier, TEXT, 16), F(T, image, TEXT, 64), F(T, simulated, BOOL, 0),
	F(T, static_scheme, BOOL, 0), F(T, expires, I64, 0), F(T, lifetime_s, U64, 0), F(T, ak_name, HEX, 66),
	F(T, ak_trust, U64, 0), F(T, resets, U64, 0), F(T, restarts, U64, 0), F(T, clock, U64, 0),
	F(T, bundle, HEX, 32), F(T, set, BYTES, TR_TEE_SET_MAX), F(T, verdict, RAW, TR_VERDICT_JSON_MAX), F(T, digest, HEX, 32),
	F(T, checks, RAW, TR_CHECKS_JSON_MAX), F(T, claims, TEXT, TR_RESULT_CLAIMS_MAX), F(T, same, BOOL, 0),
	F(T, difference, TEXT, 512), F(T, duration_ns, U64, 0),
};
TR_RECORD(tr_msg_attested_def, T, attested_fields);
#undef T
#define T tr_msg_tee_state
static const struct tr_field tee_state_fields[] = {
	F(T, clear, BOOL, 0), F(T, policy, BYTES, 72000), F(T, bundle, BYTES, TR_COLLATERAL_MAX),
};
TR_RECORD(tr_msg_tee_state_def, T, tee_state_fields);
#undef T
#define T tr_msg_read_tee_policy
static const struct tr_field read_tee_policy_fields[] = { F(T, text, TEXT, TR_TEE_POLICY_MAX) };
TR_RECORD(tr_msg_read_tee_policy_def, T, read_tee_policy_fields);
#undef T
#define T tr_msg_tee_policy_read
static const struct tr_field tee_policy_read_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, 512), F(T, name, IDENT, 64), F(T, agent_types, TEXT, 2048), F(T, kinds, U64, 0),
	F(T, lifetime_s, U64, 0),
};
TR_RECORD(tr_msg_tee_policy_read_def, T, tee_policy_read_fields);
#undef T
#define T tr_msg_collateral_item
static const struct tr_field collateral_item_fields[] = {
	F(T, type, TEXT, 32), F(T, key, HEX, 256), F(T, issued, I64, 0), F(T, expires, I64, 0), F(T, evaluation, U64, 0),
};
TR_RECORD(tr_msg_collateral_item_def, T, collateral_item_fields);
#undef T
#define T tr_msg_read_bundle
static const struct tr_field read_bundle_fields[] = {
	F(T, keyset, BYTES, TR_KEYSET_MAX), F(T, bundle, BYTES, TR_COLLATERAL_MAX), F(T, now, I64, 0),
};
TR_RECORD(tr_msg_read_bundle_def, T, read_bundle_fields);
#undef T
#define T tr_msg_bundle_read
static const struct tr_field bundle_read_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, 512), F(T, key_id, BYTES, 32), F(T, version, U64, 0), F(T, made, I64, 0),
	F(T, items, BYTES, 262144),
};
TR_RECORD(tr_msg_bundle_read_def, T, bundle_read_fields);
#undef T
#define T tr_msg_tpm_credential
static const struct tr_field tpm_credential_fields[] = { F(T, body, BYTES, 16384), F(T, secret, BYTES, 32) };
TR_RECORD(tr_msg_tpm_credential_def, T, tpm_credential_fields);
#undef T
#define T tr_msg_tpm_credential_made
static const struct tr_field tpm_credential_made_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, ak_name, BYTES, 66), F(T, ek_digest, BYTES, 32),
	F(T, blob, BYTES, 512), F(T, encrypted, BYTES, 1024),
};
TR_RECORD(tr_msg_tpm_credential_made_def, T, tpm_credential_made_fields);
#undef T
#define T tr_msg_sign_result
static const struct tr_field sign_result_fields[] = { F(T, key_id, BYTES, 32), F(T, claims, TEXT, TR_RESULT_CLAIMS_MAX) };
TR_RECORD(tr_msg_sign_result_def, T, sign_result_fields);
#undef T
#define T tr_msg_result_signed
static const struct tr_field result_signed_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, token, TEXT, TR_RESULT_TOKEN_MAX),
};
TR_RECORD(tr_msg_result_signed_def, T, result_signed_fields);
#undef T
