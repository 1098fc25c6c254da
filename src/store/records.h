/* SPDX-License-Identifier: Apache-2.0 */
/* What is stored, one struct and one field table per kind. The same tables carry rows between core and store, bind
 * them to SQL (columns in field order) and print them as JSON. Times are Unix milliseconds, 0 = never. */
#ifndef TR_STORE_RECORDS_H
#define TR_STORE_RECORDS_H

#include "codec/record.h"

struct tr_agent_row {
	struct tr_view id;         /* primary key; never reused, also after removal */
	struct tr_view partition, agent_type;
	struct tr_view state;      /* "active", "revoked", "removed" */
	struct tr_view key_id;     /* SHA-256 of the device key's SPKI; empty for an original row without identity */
	struct tr_view key_type;
	struct tr_view spki;
	struct tr_view form;       /* "native", "original" */
	struct tr_view verdict;    /* slug: "ok", or what would have been refused in audit mode */
	struct tr_view tier;       /* trust tier of the admission */
	struct tr_view binary_hash;/* at admission, 32 bytes */
	struct tr_view version, release_name, platform;
	struct tr_view vouched_by; /* key id of the release or fleet key; empty when none */
	struct tr_view token_id, source;
	int64_t enrolled_at;
	struct tr_view cert_serial;/* hex text */
	int64_t cert_not_after;
	int64_t last_seen;         /* swept every few seconds; the live value is in core's memory */
	uint64_t heartbeats;
	struct tr_view running_hash; /* of the last heartbeat */
	struct tr_view running_version;
	int64_t ended_at;          /* revoked or removed */
	struct tr_view end_reason;
};

struct tr_token_row {
	struct tr_view id;          /* 8 hex digits, for people */
	struct tr_view secret_hash; /* SHA-256 of the secret */
	struct tr_view partition, agent_type;
	uint64_t max_uses, uses;
	int64_t created_at, expires_at, revoked_at;
	struct tr_view created_by, note;
};

struct tr_vkey_row {
	struct tr_view id;    /* SHA-256 of the SPKI */
	struct tr_view use;   /* "release" or "fleet" */
	struct tr_view state; /* "active", "retired", "revoked" */
	struct tr_view name, key_type, spki;
	int64_t added_at, not_before, not_after, last_used, ended_at;
	uint64_t uses;
	struct tr_view added_by, end_reason;
};

struct tr_release_row {
	struct tr_view sha256; /* primary key */
	struct tr_view name, version, platform;
	uint64_t size, counter;
	int64_t issued_at, expires_at, added_at, withdrawn_at;
	struct tr_view vkey_id, statement, added_by;
};

struct tr_setting_row {
	struct tr_view name, value;
	int64_t updated_at;
	struct tr_view updated_by;
};

/* Claims already used (replay), kept until they could no longer pass the clock check. */
struct tr_seen_row {
	struct tr_view digest;
	int64_t expires_at;
};

struct tr_operator_row {
	struct tr_view id, name, role; /* role: "admin" */
	struct tr_view secret_hash;
	int64_t created_at, expires_at, revoked_at;
};

/* Append-only; seq is given by the store. */
struct tr_audit_row {
	uint64_t seq;
	int64_t time;
	struct tr_view actor;   /* "operator:admin", "agent:web-1", "system" */
	struct tr_view action;  /* fixed identifier: "agent.register", "token.create", … */
	struct tr_view object, outcome, reason, source;
	struct tr_view detail;  /* JSON object made by ourselves */
};

struct tr_attestation_row {
	uint64_t seq;
	int64_t time;
	struct tr_view node_id, form, outcome; /* "admitted", "refused", "admitted_audit" */
	struct tr_view reason, tier;
	struct tr_view binary_hash, version, vouched_by, token_id, source;
	int64_t claim_time;
	struct tr_view checks;   /* JSON array */
	struct tr_view evidence; /* the signed bytes as they came, at most 16 KiB */
};

/* Room for a row of any table. */
union tr_any_row {
	struct tr_agent_row agent;
	struct tr_token_row token;
	struct tr_vkey_row vkey;
	struct tr_release_row release;
	struct tr_setting_row setting;
	struct tr_seen_row seen;
	struct tr_operator_row operator;
	struct tr_audit_row audit;
	struct tr_attestation_row attestation;
};

extern const struct tr_record tr_agent_def, tr_token_def, tr_vkey_def, tr_release_def, tr_setting_def, tr_seen_def,
	tr_operator_def, tr_audit_def, tr_attestation_def;

/* Tables: the wire number never changes. */
enum tr_table { TR_T_AGENT = 1, TR_T_TOKEN, TR_T_VKEY, TR_T_RELEASE, TR_T_SETTING, TR_T_SEEN, TR_T_OPERATOR,
		TR_T_AUDIT, TR_T_ATTESTATION, TR_T_N };
const struct tr_record *tr_table_def(enum tr_table t); /* NULL when out of range */

#endif
