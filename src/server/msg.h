/* SPDX-License-Identifier: Apache-2.0 */
/* Every message between the roles of trothd: its number, its record and its size limit. A role accepts only the
 * numbers it has a handler for, each under its own limit (ipc/chan.h). */
#ifndef TR_SERVER_MSG_H
#define TR_SERVER_MSG_H

#include "appraise/policy.h"
#include "ipc/chan.h"
#include "store/store.h"

enum tr_msg {
	/* front → core, core → front */
	TR_M_REQUEST = 1, TR_M_ANSWER, TR_M_FRONT_STATS,
	/* core → store, store → core */
	TR_M_TX, TR_M_TX_DONE, TR_M_LOAD, TR_M_ROWS, TR_M_LOAD_DONE, TR_M_PROBE, TR_M_PROBE_DONE,
	/* core → store-ro and back */
	TR_M_LIST, TR_M_LIST_DONE,
	/* core → keys and back */
	TR_M_ISSUE, TR_M_ISSUED,
	/* core → appraise and back */
	TR_M_POLICY, TR_M_APPRAISE, TR_M_APPRAISED, TR_M_CSR, TR_M_CSR_DONE, TR_M_READ_KEY, TR_M_KEY_READ,
	TR_M_READ_RELEASE, TR_M_RELEASE_READ,
	/* front → core: a pulse, verified or not; answered by TR_M_ANSWER */
	TR_M_PULSE,
	/* core → appraise and back: front's word checked a second time */
	TR_M_RECHECK, TR_M_RECHECKED,
	/* core → egress and back */
	TR_M_NOTIFY, TR_M_NOTIFIED,
	/* core → keys and back: the signed time (signed/time.h) */
	TR_M_SIGN_TIME, TR_M_TIME_SIGNED,
	/* core → keys and back: signing keys */
	TR_M_KEYS_LOAD, TR_M_KEYS_LOADED, TR_M_MAKE_KEY, TR_M_KEY_MADE, TR_M_SIGN_COMMANDS, TR_M_COMMANDS_SIGNED,
	/* keys → core, before its hello: the public halves that it holds in files or a token */
	TR_M_KEYS_HELD,
	/* core → appraise and back: signed things from outside */
	TR_M_READ_KEYSET, TR_M_KEYSET_READ, TR_M_READ_APPROVAL, TR_M_APPROVAL_READ, TR_M_READ_RECEIPT, TR_M_RECEIPT_READ,
	/* store → core: rows that another node changed; the database went away or came back */
	TR_M_CHANGED, TR_M_STORE_STATE,
	/* core → keys and back: a command in the original's form too */
	TR_M_SIGN_ORIGINAL, TR_M_ORIGINAL_SIGNED,
	/* core → store: who this node is; then, that everything is loaded, so that others' changes may come. store → core: how
	 * long this node does what one of them must do, and how many there are */
	TR_M_LISTEN, TR_M_LEASE,
	/* core → appraise and back: evidence. TEE_STATE (policies and bundle) has no answer */
	TR_M_TEE_STATE, TR_M_ATTEST, TR_M_ATTESTED, TR_M_REPLAY, TR_M_REPLAYED, TR_M_READ_TEE_POLICY, TR_M_TEE_POLICY_READ,
	TR_M_READ_REGISTRATION, TR_M_REGISTRATION_READ, TR_M_READ_BUNDLE, TR_M_BUNDLE_READ,
	TR_M_TPM_CREDENTIAL, TR_M_TPM_CREDENTIAL_MADE,
	/* core → appraise and back: is this request, pre-key or envelope by whom it says it is? */
	TR_M_VERIFY_REQUEST, TR_M_REQUEST_VERIFIED, TR_M_READ_PREKEY, TR_M_PREKEY_READ, TR_M_READ_ENVELOPE,
	TR_M_ENVELOPE_READ,
	/* core → keys and back: a result token */
	TR_M_SIGN_RESULT, TR_M_RESULT_SIGNED,
	/* any role → core, empty: confined and serving; one that dies of its files never says it */
	TR_M_HELLO,
	TR_M_N
};

#define TR_MSG_REQUEST_MAX (528u << 10) /* a collateral bundle */
#define TR_MSG_PULSE_MAX (4u << 16) /* a pulse with a BPF list, raw and decoded */
#define TR_MSG_PULSE_FRAME_MAX 98304 /* decoded, its BPF list as records */
#define TR_MSG_PULSE_REFUSED_RAW 2048 /* what is kept of a message that failed */
#define TR_MSG_ROW_MAX (528u << 10) /* a collateral bundle */
#define TR_MSG_ANSWER_MAX (2u << 20)
#define TR_MSG_ROWS_MAX (1u << 20)
#define TR_MSG_TX_MAX (1u << 20)
/* What a policy frame can carry; more keys and releases than that are refused when they are added. */
#define TR_MSG_POLICY_MAX (1200u << 10)
#define TR_VKEYS_MAX 256
#define TR_RELEASES_MAX 8192

struct tr_msg_request {
	uint64_t route;
	struct tr_view source;   /* numeric address of the peer */
	struct tr_view agent_id; /* from a verified certificate; empty without one */
	struct tr_view key_id;   /* SHA-256 of that certificate's SPKI */
	int64_t cert_not_before, cert_not_after;
	struct tr_view exporter; /* RFC 9266 value of the connection */
	struct tr_view bearer;   /* SHA-256 of the bearer secret; empty without one */
	struct tr_view arg;      /* the path's {id} */
	struct tr_view in;       /* encoded record of the route's input, or the raw body */
	struct tr_view hub;      /* encoded tr_msg_hub where the route says so; else empty */
};

/* Headers of requests to the hub, as sent and bounded; empty: absent. target: path with its query, for the signature.
 * quote_sha256, key_sha256: of the decoded base64 of X-Attestation-Quote and X-Public-Key, which must equal the body's. */
struct tr_msg_hub {
	struct tr_view method, target, agent, signature, timestamp, nonce, body_sha256, quote_sha256, key_sha256;
	bool bad_base64; /* one of both is no base64 */
	bool wants_jwt;  /* Accept: application/eat+jwt */
};

enum tr_ctype { TR_CT_NONE, TR_CT_JSON, TR_CT_PROBLEM, TR_CT_CBOR, TR_CT_COSE, TR_CT_TEXT, TR_CT_METRICS, TR_CT_EAT_JWT, TR_CT_N };
const char *tr_ctype_name(enum tr_ctype t); /* NULL for TR_CT_NONE */

struct tr_msg_answer {
	uint64_t status, ctype, retry_after_s;
	bool close;
	struct tr_view body;
};

/* What front saw of a pulse. Only `outcome` 0 says that raw was verified with the key of the connection's certificate
 * (key_id, agent_id), that it names that agent and this connection; anything else is a refusal to be recorded, with
 * agent_id still the certificate's and `named` what the message claimed. */
struct tr_msg_pulse {
	uint64_t outcome;        /* 0, or enum tr_event_kind + 1 */
	struct tr_view source;
	struct tr_view agent_id, key_id;
	int64_t cert_not_before, cert_not_after;
	int64_t received_ns;
	struct tr_view named;
	struct tr_view digest;   /* 32 bytes; empty unless verified */
	struct tr_view pulse;    /* encoded tr_pulse_def, bpf_list as encoded tr_bpf_list_def; empty unless verified */
	struct tr_view raw;      /* COSE bytes; at most 2048 of them unless verified */
	bool first;              /* of its connection */
};
/* The same bytes again, for a process that shares nothing with front. pulse must come out identical. */
struct tr_msg_recheck { struct tr_view spki, raw, pulse, digest; };
struct tr_msg_notify { struct tr_view alert; }; /* encoded tr_alert_def */
struct tr_msg_notified { struct tr_view id; uint64_t rev; bool delivered; };
struct tr_msg_sign_time { struct tr_view nonce; int64_t now_ns; };
struct tr_msg_time_signed { uint64_t code; struct tr_view why, signed_time; };

/* Counters of a front since the last report. */
struct tr_msg_front_stats {
	uint64_t accepted, refused_limit, refused_syntax, refused_rate, refused_cert, timeouts, refused_pulse, open;
};

/* A transaction: a list (tr_records_add) of tr_msg_op. */
struct tr_msg_op { uint64_t op, table; struct tr_view row; };
/* generation: of the last tr_msg_changed that core had applied when it made this: what another node changed since makes
 * a conflict (TR_E_BUSY) of a transaction that touches the same rows. */
struct tr_msg_tx { struct tr_view ops; uint64_t generation; };
struct tr_msg_done { uint64_t code; struct tr_view why; }; /* enum tr_code; sentence when not TR_OK */
struct tr_msg_load { uint64_t table; };
struct tr_msg_rows { uint64_t table; struct tr_view rows; };
struct tr_msg_list { uint64_t table; struct tr_view query; };

struct tr_msg_issue { struct tr_view spki, agent_id; int64_t not_after; };
struct tr_msg_issued { uint64_t code; struct tr_view why, der, serial; };

struct tr_msg_policy {
	uint64_t mode, min_tier;
	bool accept_native, accept_original, pin_only;
	struct tr_view vkeys;  /* list of tr_vkey_row */
	struct tr_view hashes, withdrawn; /* 32 bytes each */
	struct tr_view min_version, versions;
};
struct tr_msg_appraise { struct tr_view body, exporter; int64_t now; };
/* struct tr_appraisal as it travels. */
struct tr_msg_appraised {
	uint64_t reason, tier;
	bool native, admitted, vouched;
	bool evidence; /* it is a registration with evidence (TR_M_READ_REGISTRATION): nothing else was looked at */
	struct tr_view node_id, version, binary_hash, claim_digest, challenge, vkey_id, release_name, platform;
	struct tr_view device_spki, device_key_type, disk_path, checks;
	int64_t claim_time, skew;
	uint64_t duration_ns; /* CPU of the verification, for the histogram */
};
struct tr_msg_csr { struct tr_view body; };
struct tr_msg_csr_done { uint64_t code; struct tr_view why, spki, key_id, key_type; };
struct tr_msg_read_key { struct tr_view pem; };
struct tr_msg_key_read { uint64_t code; struct tr_view why, spki, key_id, key_type; };
struct tr_msg_read_release { struct tr_view statement; int64_t now; };
struct tr_msg_release_read { uint64_t reason; struct tr_view why, row; }; /* row: tr_release_row */

/* ---- signing keys ---- */

/* All sealed keys, at start and whenever one is added: keys opens what it can. rows: list of tr_skey_row. */
struct tr_msg_keys_load { struct tr_view rows; };
struct tr_msg_keys_loaded { uint64_t code; struct tr_view why; struct tr_view usable; }; /* usable: key ids, 32 bytes each */
struct tr_msg_make_key { struct tr_view role; };
struct tr_msg_key_made { uint64_t code; struct tr_view why, spki, key_type, sealed; };
struct tr_msg_held { struct tr_view role, origin, name, key_type, spki; };
struct tr_msg_keys_held { struct tr_view keys; };        /* list of tr_msg_held */

/* One command to sign: keys takes the order apart again, holds it to the bounds of its type and signs nothing else. */
struct tr_msg_to_sign {
	struct tr_view order, approvals; /* approvals: CBOR array of byte strings */
	uint64_t epoch, line, seq;
	int64_t issued, expires;
};
#define TR_SIGN_BATCH_MAX 256
struct tr_msg_sign_commands {
	struct tr_view key_id;
	uint64_t keyset_epoch, revocation;
	struct tr_view commands; /* list of tr_msg_to_sign, at most TR_SIGN_BATCH_MAX */
};
struct tr_msg_signed { uint64_t code; struct tr_view why, command; };
struct tr_msg_commands_signed { uint64_t code; struct tr_view why, commands; }; /* list of tr_msg_signed, same order */

/* command: COSE bytes that keys itself has signed with this key; original: the JSON object of signed/compat_command.h. */
struct tr_msg_sign_original { struct tr_view key_id, command; };
struct tr_msg_original_signed { uint64_t code; struct tr_view why, original; };

/* ---- signed things from outside, read where there is nothing to steal ---- */

struct tr_msg_read_keyset { struct tr_view current, next; int64_t now; };
struct tr_msg_read_approval { struct tr_view keyset, approval; int64_t now; };
/* digests: 32 bytes each. code TR_OK: the signature holds and the operator's key is good; whether it fits the class of an
 * order is the caller's to ask of issued and expires. */
struct tr_msg_approval_read {
	uint64_t code;
	struct tr_view why, key_id, digests, text;
	int64_t issued, expires;
};
struct tr_msg_read_receipt { struct tr_view spki, receipt; };
struct tr_msg_receipt_read {
	uint64_t code;
	struct tr_view why, agent_id, cmd_id, command;
	uint64_t line, seq, state;
	struct tr_view reason, result; /* reason: the receipt's code; result: JSON written anew by us */
	int64_t at_ns;
	uint64_t position, keyset_epoch, high;
	struct tr_view missing;  /* 8 bytes little endian each */
};

/* ---- several nodes (the store speaks unasked) ---- */

/* ops: list of tr_msg_op (put, delete), already durable, made by another node; generation: see tr_msg_tx. */
struct tr_msg_changed { uint64_t generation; struct tr_view ops; };
struct tr_msg_store_state { bool away; struct tr_view why; };
struct tr_msg_listen { struct tr_view node; bool loaded; };
struct tr_msg_lease { uint64_t until, nodes; }; /* until: tr_mono_ms, 0: not this node */

extern const struct tr_record tr_msg_hub_def;
extern const struct tr_record tr_msg_sign_original_def, tr_msg_original_signed_def;
extern const struct tr_record tr_msg_keys_load_def, tr_msg_keys_loaded_def, tr_msg_make_key_def, tr_msg_key_made_def,
	tr_msg_held_def, tr_msg_keys_held_def, tr_msg_to_sign_def, tr_msg_sign_commands_def, tr_msg_signed_def,
	tr_msg_commands_signed_def, tr_msg_read_keyset_def, tr_msg_read_approval_def, tr_msg_approval_read_def,
	tr_msg_read_receipt_def, tr_msg_receipt_read_def, tr_msg_changed_def, tr_msg_store_state_def,
	tr_msg_listen_def, tr_msg_lease_def;
extern const struct tr_record tr_msg_request_def, tr_msg_answer_def, tr_msg_front_stats_def, tr_msg_op_def,
	tr_msg_tx_def, tr_msg_done_def, tr_msg_load_def, tr_msg_rows_def, tr_msg_list_def, tr_msg_issue_def,
	tr_msg_issued_def, tr_msg_policy_def, tr_msg_appraise_def, tr_msg_appraised_def, tr_msg_csr_def,
	tr_msg_csr_done_def, tr_msg_read_key_def, tr_msg_key_read_def, tr_msg_read_release_def,
	tr_msg_release_read_def, tr_msg_pulse_def, tr_msg_recheck_def, tr_msg_notify_def, tr_msg_notified_def,
	tr_msg_sign_time_def, tr_msg_time_signed_def;

#endif
