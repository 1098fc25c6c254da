/* SPDX-License-Identifier: Apache-2.0 */
#include "server/msg.h"

#include "crypto/x509.h"
#include "server/routes.h"
#include "signed/pulse.h"
#include "signed/time.h"

#define F(T, m, type, max) TR_FIELD(T, m, TR_F_##type, max, 0)
#define WHY_MAX 256

const char *tr_ctype_name(enum tr_ctype t)
{
	static const char *const names[TR_CT_N] = {
		NULL, "application/json", "application/problem+json", "application/cbor", "application/cose",
		"text/plain; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8", "application/eat+jwt",
	};

	return (unsigned)t < TR_CT_N ? names[t] : NULL;
}

#define T tr_msg_request
static const struct tr_field request_fields[] = {
	F(T, route, U64, 0),	  F(T, source, TEXT, 64),	 F(T, agent_id, IDENT, 64),
	F(T, key_id, BYTES, 32),  F(T, cert_not_before, I64, 0), F(T, cert_not_after, I64, 0),
	F(T, exporter, BYTES, 32), F(T, bearer, BYTES, 32),	 F(T, arg, IDENT, 64),
	F(T, in, BYTES, 525312), F(T, hub, BYTES, 4096),
};
TR_RECORD(tr_msg_request_def, T, request_fields);
#undef T
#define T tr_msg_hub
static const struct tr_field hub_fields[] = {
	F(T, method, TEXT, 8), F(T, target, TEXT, 1024), F(T, agent, IDENT, 64), F(T, signature, TEXT, 1400),
	F(T, timestamp, TEXT, 20), F(T, nonce, TEXT, 64), F(T, body_sha256, BYTES, 32), F(T, quote_sha256, BYTES, 32),
	F(T, key_sha256, BYTES, 32), F(T, bad_base64, BOOL, 0),
	F(T, wants_jwt, BOOL, 0),
};
TR_RECORD(tr_msg_hub_def, T, hub_fields);
#undef T
#define T tr_msg_answer
static const struct tr_field answer_fields[] = {
	F(T, status, U64, 0), F(T, ctype, U64, 0), F(T, retry_after_s, U64, 0), F(T, close, BOOL, 0),
	F(T, body, BYTES, TR_MSG_ANSWER_MAX - 64),
};
TR_RECORD(tr_msg_answer_def, T, answer_fields);
#undef T
#define T tr_msg_front_stats
static const struct tr_field front_stats_fields[] = {
	F(T, accepted, U64, 0), F(T, refused_limit, U64, 0), F(T, refused_syntax, U64, 0), F(T, refused_rate, U64, 0),
	F(T, refused_cert, U64, 0), F(T, timeouts, U64, 0), F(T, refused_pulse, U64, 0), F(T, open, U64, 0),
};
TR_RECORD(tr_msg_front_stats_def, T, front_stats_fields);
#undef T
#define T tr_msg_op
static const struct tr_field op_fields[] = { F(T, op, U64, 0), F(T, table, U64, 0), F(T, row, BYTES, TR_MSG_ROW_MAX) };
TR_RECORD(tr_msg_op_def, T, op_fields);
#undef T
#define T tr_msg_tx
static const struct tr_field tx_fields[] = { F(T, ops, BYTES, TR_MSG_TX_MAX - 64), F(T, generation, U64, 0) };
TR_RECORD(tr_msg_tx_def, T, tx_fields);
#undef T
#define T tr_msg_done
static const struct tr_field done_fields[] = { F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX) };
TR_RECORD(tr_msg_done_def, T, done_fields);
#undef T
#define T tr_msg_load
static const struct tr_field load_fields[] = { F(T, table, U64, 0) };
TR_RECORD(tr_msg_load_def, T, load_fields);
#undef T
#define T tr_msg_rows
static const struct tr_field rows_fields[] = { F(T, table, U64, 0), F(T, rows, BYTES, TR_MSG_ROWS_MAX - 64) };
TR_RECORD(tr_msg_rows_def, T, rows_fields);
#undef T
#define T tr_msg_list
static const struct tr_field list_fields[] = { F(T, table, U64, 0), F(T, query, BYTES, 1024) };
TR_RECORD(tr_msg_list_def, T, list_fields);
#undef T
#define T tr_msg_issue
static const struct tr_field issue_fields[] = { F(T, spki, BYTES, 1200), F(T, agent_id, IDENT, 64), F(T, not_after, I64, 0) };
TR_RECORD(tr_msg_issue_def, T, issue_fields);
#undef T
#define T tr_msg_issued
static const struct tr_field issued_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, der, BYTES, TR_CERT_DER_MAX), F(T, serial, TEXT, 64),
};
TR_RECORD(tr_msg_issued_def, T, issued_fields);
#undef T
#define T tr_msg_policy
static const struct tr_field policy_fields[] = {
	F(T, mode, U64, 0),	      F(T, min_tier, U64, 0),	 F(T, accept_native, BOOL, 0),
	F(T, accept_original, BOOL, 0), F(T, pin_only, BOOL, 0), F(T, vkeys, BYTES, TR_VKEYS_MAX * 2048),
	F(T, hashes, BYTES, TR_RELEASES_MAX * 32), F(T, withdrawn, BYTES, TR_RELEASES_MAX * 32),
	F(T, min_version, TEXT, 64),  F(T, versions, TEXT, 1024),
};
TR_RECORD(tr_msg_policy_def, T, policy_fields);
#undef T
#define T tr_msg_appraise
static const struct tr_field appraise_fields[] = {
	F(T, body, BYTES, TR_HUB_REGISTRATION_MAX), F(T, exporter, BYTES, 32), F(T, now, I64, 0),
};
TR_RECORD(tr_msg_appraise_def, T, appraise_fields);
#undef T
#define T tr_msg_appraised
static const struct tr_field appraised_fields[] = {
	F(T, reason, U64, 0),	       F(T, tier, U64, 0),	   F(T, native, BOOL, 0),
	F(T, admitted, BOOL, 0),       F(T, vouched, BOOL, 0),	   F(T, evidence, BOOL, 0),	   F(T, node_id, IDENT, 64),
	F(T, version, TEXT, 64),       F(T, binary_hash, BYTES, 32), F(T, claim_digest, BYTES, 32),
	F(T, challenge, BYTES, 32),    F(T, vkey_id, BYTES, 32),   F(T, release_name, TEXT, 64),
	F(T, platform, TEXT, 64),      F(T, device_spki, BYTES, 1200), F(T, device_key_type, TEXT, 16),
	F(T, disk_path, TEXT, 256),    F(T, checks, RAW, 8192),	   F(T, claim_time, I64, 0),
	F(T, skew, I64, 0),	       F(T, duration_ns, U64, 0),
};
TR_RECORD(tr_msg_appraised_def, T, appraised_fields);
#undef T
#define T tr_msg_csr
static const struct tr_field csr_fields[] = { F(T, body, BYTES, 8192) };
TR_RECORD(tr_msg_csr_def, T, csr_fields);
#undef T
#define T tr_msg_csr_done
static const struct tr_field csr_done_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, spki, BYTES, 1200), F(T, key_id, BYTES, 32),
	F(T, key_type, TEXT, 16),
};
TR_RECORD(tr_msg_csr_done_def, T, csr_done_fields);
#undef T
#define T tr_msg_read_key
static const struct tr_field read_key_fields[] = { F(T, pem, TEXT, 4096) };
TR_RECORD(tr_msg_read_key_def, T, read_key_fields);
#undef T
#define T tr_msg_key_read
static const struct tr_field key_read_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, spki, BYTES, 1200), F(T, key_id, BYTES, 32),
	F(T, key_type, TEXT, 16),
};
TR_RECORD(tr_msg_key_read_def, T, key_read_fields);
#undef T
#define T tr_msg_read_release
static const struct tr_field read_release_fields[] = { F(T, statement, BYTES, TR_RELEASE_MAX), F(T, now, I64, 0) };
TR_RECORD(tr_msg_read_release_def, T, read_release_fields);
#undef T
#define T tr_msg_release_read
static const struct tr_field release_read_fields[] = {
	F(T, reason, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, row, BYTES, 16384),
};
TR_RECORD(tr_msg_release_read_def, T, release_read_fields);
#undef T
#define T tr_msg_pulse
static const struct tr_field pulse_fields[] = {
	F(T, outcome, U64, 0),	       F(T, source, TEXT, 64),	       F(T, agent_id, IDENT, 64),
	F(T, key_id, BYTES, 32),       F(T, cert_not_before, I64, 0),  F(T, cert_not_after, I64, 0),
	F(T, received_ns, I64, 0),     F(T, named, IDENT, 64),	       F(T, digest, BYTES, 32),
	F(T, pulse, BYTES, TR_MSG_PULSE_FRAME_MAX), F(T, raw, BYTES, TR_PULSE_MAX), F(T, first, BOOL, 0),
};
TR_RECORD(tr_msg_pulse_def, T, pulse_fields);
#undef T
#define T tr_msg_recheck
static const struct tr_field recheck_fields[] = {
	F(T, spki, BYTES, 1200), F(T, raw, BYTES, TR_PULSE_MAX), F(T, pulse, BYTES, TR_MSG_PULSE_FRAME_MAX),
	F(T, digest, BYTES, 32),
};
TR_RECORD(tr_msg_recheck_def, T, recheck_fields);
#undef T
#define T tr_msg_notify
static const struct tr_field notify_fields[] = { F(T, alert, BYTES, 4096) };
TR_RECORD(tr_msg_notify_def, T, notify_fields);
#undef T
#define T tr_msg_notified
static const struct tr_field notified_fields[] = { F(T, id, IDENT, 16), F(T, rev, U64, 0), F(T, delivered, BOOL, 0) };
TR_RECORD(tr_msg_notified_def, T, notified_fields);
#undef T
#define T tr_msg_sign_time
static const struct tr_field sign_time_fields[] = { F(T, nonce, BYTES, TR_TIME_NONCE_MAX), F(T, now_ns, I64, 0) };
TR_RECORD(tr_msg_sign_time_def, T, sign_time_fields);
#undef T
#define T tr_msg_time_signed
static const struct tr_field time_signed_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, signed_time, BYTES, TR_TIME_MAX),
};
TR_RECORD(tr_msg_time_signed_def, T, time_signed_fields);
#undef T
#define T tr_msg_keys_load
static const struct tr_field keys_load_fields[] = { F(T, rows, BYTES, 900000) };
TR_RECORD(tr_msg_keys_load_def, T, keys_load_fields);
#undef T
#define T tr_msg_keys_loaded
static const struct tr_field keys_loaded_fields[] = { F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, usable, BYTES, 32768) };
TR_RECORD(tr_msg_keys_loaded_def, T, keys_loaded_fields);
#undef T
#define T tr_msg_make_key
static const struct tr_field make_key_fields[] = { F(T, role, IDENT, 16) };
TR_RECORD(tr_msg_make_key_def, T, make_key_fields);
#undef T
#define T tr_msg_key_made
static const struct tr_field key_made_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, spki, BYTES, 1200), F(T, key_type, TEXT, 16),
	F(T, sealed, BYTES, 512),
};
TR_RECORD(tr_msg_key_made_def, T, key_made_fields);
#undef T
#define T tr_msg_held
static const struct tr_field held_fields[] = {
	F(T, role, IDENT, 16), F(T, origin, IDENT, 16), F(T, name, TEXT, 64), F(T, key_type, TEXT, 16),
	F(T, spki, BYTES, 1200),
};
TR_RECORD(tr_msg_held_def, T, held_fields);
#undef T
#define T tr_msg_keys_held
static const struct tr_field keys_held_fields[] = { F(T, keys, BYTES, 65536) };
TR_RECORD(tr_msg_keys_held_def, T, keys_held_fields);
#undef T
#define T tr_msg_to_sign
static const struct tr_field to_sign_fields[] = {
	F(T, order, BYTES, 2048), F(T, approvals, BYTES, 17000), F(T, epoch, U64, 0), F(T, line, U64, 0), F(T, seq, U64, 0),
	F(T, issued, I64, 0), F(T, expires, I64, 0),
};
TR_RECORD(tr_msg_to_sign_def, T, to_sign_fields);
#undef T
#define T tr_msg_sign_commands
static const struct tr_field sign_commands_fields[] = {
	F(T, key_id, BYTES, 32), F(T, keyset_epoch, U64, 0), F(T, revocation, U64, 0), F(T, commands, BYTES, 900000),
};
TR_RECORD(tr_msg_sign_commands_def, T, sign_commands_fields);
#undef T
#define T tr_msg_signed
static const struct tr_field signed_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, command, BYTES, 24576),
};
TR_RECORD(tr_msg_signed_def, T, signed_fields);
#undef T
#define T tr_msg_commands_signed
static const struct tr_field commands_signed_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, commands, BYTES, 1000000),
};
TR_RECORD(tr_msg_commands_signed_def, T, commands_signed_fields);
#undef T
#define T tr_msg_sign_original
static const struct tr_field sign_original_fields[] = { F(T, key_id, BYTES, 32), F(T, command, BYTES, 24576) };
TR_RECORD(tr_msg_sign_original_def, T, sign_original_fields);
#undef T
#define T tr_msg_original_signed
static const struct tr_field original_signed_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, original, BYTES, 4096),
};
TR_RECORD(tr_msg_original_signed_def, T, original_signed_fields);
#undef T
#define T tr_msg_read_keyset
static const struct tr_field read_keyset_fields[] = {
	F(T, current, BYTES, 65536), F(T, next, BYTES, 65536), F(T, now, I64, 0),
};
TR_RECORD(tr_msg_read_keyset_def, T, read_keyset_fields);
#undef T
#define T tr_msg_read_approval
static const struct tr_field read_approval_fields[] = {
	F(T, keyset, BYTES, 65536), F(T, approval, BYTES, 8192), F(T, now, I64, 0),
};
TR_RECORD(tr_msg_read_approval_def, T, read_approval_fields);
#undef T
#define T tr_msg_approval_read
static const struct tr_field approval_read_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, key_id, BYTES, 32), F(T, digests, BYTES, 2048),
	F(T, text, TEXT, 4096), F(T, issued, I64, 0), F(T, expires, I64, 0),
};
TR_RECORD(tr_msg_approval_read_def, T, approval_read_fields);
#undef T
#define T tr_msg_read_receipt
static const struct tr_field read_receipt_fields[] = { F(T, spki, BYTES, 1200), F(T, receipt, BYTES, 12288) };
TR_RECORD(tr_msg_read_receipt_def, T, read_receipt_fields);
#undef T
#define T tr_msg_receipt_read
static const struct tr_field receipt_read_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, agent_id, IDENT, 64), F(T, cmd_id, BYTES, 16),
	F(T, command, BYTES, 32), F(T, line, U64, 0), F(T, seq, U64, 0), F(T, state, U64, 0), F(T, reason, TEXT, 32),
	F(T, result, RAW, 8192), F(T, at_ns, I64, 0), F(T, position, U64, 0), F(T, keyset_epoch, U64, 0),
	F(T, high, U64, 0), F(T, missing, BYTES, 128),
};
TR_RECORD(tr_msg_receipt_read_def, T, receipt_read_fields);
#undef T
#define T tr_msg_changed
static const struct tr_field changed_fields[] = { F(T, generation, U64, 0), F(T, ops, BYTES, TR_MSG_TX_MAX - 64) };
TR_RECORD(tr_msg_changed_def, T, changed_fields);
#undef T
#define T tr_msg_store_state
static const struct tr_field store_state_fields[] = { F(T, away, BOOL, 0), F(T, why, TEXT, WHY_MAX) };
TR_RECORD(tr_msg_store_state_def, T, store_state_fields);
#undef T
#define T tr_msg_listen
static const struct tr_field listen_fields[] = { F(T, node, TEXT, 32), F(T, loaded, BOOL, 0) };
TR_RECORD(tr_msg_listen_def, T, listen_fields);
#undef T
#define T tr_msg_lease
static const struct tr_field lease_fields[] = { F(T, until, U64, 0), F(T, nodes, U64, 0) };
TR_RECORD(tr_msg_lease_def, T, lease_fields);
#undef T
