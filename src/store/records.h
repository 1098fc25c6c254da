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
	int64_t ended_at;          /* revoked or removed */
	struct tr_view end_reason;
	uint64_t epoch;            /* enrolment generation: 1, then one more with each reset of the identity */
	/* A key renewal under way: the certificate for the next key is out. Both keys are accepted; the next one's first pulse
	 * makes it the key and ends the other. Unused until next_until: forgotten. */
	struct tr_view next_key_id, next_key_type, next_spki;
	int64_t next_until;
};

/* What an agent's pulses left behind; swept into the store every few seconds, key order, only rows that changed. The
 * truth between sweeps is core's memory (src/fleet). Enums as numbers, names in fleet/axes.h. */
struct tr_pulse_row {
	struct tr_view id;         /* primary key: agent id */
	uint64_t epoch;
	int64_t first_seen, last_seen; /* of accepted pulses; 0: never */
	uint64_t accepted, restarts;
	uint64_t seq;
	struct tr_view head, head_prev; /* digests; empty: none yet */
	struct tr_view boot_id, start_id;
	uint64_t bootcount;
	struct tr_view running_hash, good_hash; /* last seen; last known good */
	struct tr_view version;
	struct tr_view expected_hash; /* an order lets the image change to this one… */
	int64_t expected_until;       /* …until then */
	uint64_t bpf_status;
	struct tr_view bpf_digest, bpf_good; /* last seen; last known good */
	struct tr_view bpf_list;   /* record (tr_bpf_list_def) behind bpf_good */
	uint64_t lsm, lsm_good;
	uint64_t sync;
	int64_t skew_ms;
	uint64_t rtt_ms, loss_ppm; /* loss: smoothed share of beats that did not arrive */
	uint64_t reach, auth, clock, integrity, config, updating; /* the six axes (fleet/axes.h) */
	int64_t reach_since, auth_since, clock_since, integrity_since, config_since, updating_since;
	uint64_t notice;
	int64_t notice_until;
	struct tr_view source;     /* address of the last accepted pulse */
	struct tr_view health;     /* JSON made by ourselves, at most 256 bytes */
	struct tr_view findings;   /* what the integrity axis found: JSON array made by ourselves */
	uint64_t keyset_epoch;     /* of the last accepted pulse */
};

struct tr_token_row {
	struct tr_view id;          /* 8 hex digits, for people */
	struct tr_view secret_hash; /* SHA-256 of the secret */
	struct tr_view partition, agent_type;
	uint64_t max_uses, uses;
	int64_t created_at, expires_at, revoked_at;
	struct tr_view created_by, note;
	struct tr_view for_agent;   /* reset of an identity: this token re-enrols exactly this agent id; else empty */
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
	struct tr_view bpf; /* records of tr_release_bpf_def (signed/release_bpf.h); empty: none */
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

/* Something happened that people may want to see again, with the signed bytes when there are any. Append-only. */
struct tr_event_row {
	uint64_t seq;
	int64_t time;
	struct tr_view kind;     /* slug: "verdict_changed", "replay", "relayed", "chain_conflict", "forked", … */
	struct tr_view agent;    /* whose; empty for partitions and the server */
	struct tr_view source;   /* address that sent it; may be empty */
	uint64_t severity;       /* 1 worst … 5 note */
	struct tr_view detail;   /* JSON object made by ourselves */
	struct tr_view evidence; /* COSE bytes as they came, at most 2048; may be empty */
};

struct tr_alert_row {
	struct tr_view id;       /* 12 hex digits, for people */
	struct tr_view kind;     /* slug; with subject the deduplication key */
	struct tr_view subject;  /* "agent:web-1", "partition:lab", "source:192.0.2.7", "server" */
	uint64_t severity;       /* 1 worst … 5 */
	struct tr_view state;    /* "open", "acknowledged", "resolved" */
	struct tr_view summary;  /* one sentence: what */
	struct tr_view action;   /* one sentence: what to do */
	struct tr_view cause;    /* alerts of one cause share it: their group */
	int64_t opened_at, updated_at, acked_at, resolved_at;
	uint64_t count;          /* how often it was raised while open */
	uint64_t escalation;     /* reminders sent because nobody acknowledged */
	struct tr_view acked_by, resolved_why;
	uint64_t rev, notified;  /* rises with every change worth telling; what egress has delivered */
};

/* Announced by an operator: silence of these agents is no alert meanwhile. */
struct tr_maintenance_row {
	struct tr_view id;       /* 8 hex digits */
	struct tr_view scope;    /* "agent", "partition", "fleet" */
	struct tr_view target;   /* agent id or partition; empty for fleet */
	int64_t from_at, until_at, created_at, ended_at;
	struct tr_view created_by, reason;
};

/* The normalised hash that a program has on one kernel, learned once and approved by people. */
struct tr_bpf_ref_row {
	struct tr_view key;      /* SHA-256 over kernel, pin and tag */
	struct tr_view kernel;   /* release, arch, JIT and hardening state as the agent reports them */
	struct tr_view pin, tag, norm;
	struct tr_view state;    /* "learned", "approved" */
	struct tr_view first_agent, approved_by;
	int64_t first_seen, approved_at;
};

/* A keyset that was published; the newest is in force. */
struct tr_keyset_row {
	struct tr_view id;       /* the epoch in ten digits, so that key order is their order */
	uint64_t epoch;
	struct tr_view digest;   /* SHA-256 of bytes */
	struct tr_view bytes;    /* as signed and served */
	int64_t published_at;
	struct tr_view published_by;
};

/* A key that this installation signs with. Its private half is in the `keys` role, or sealed (crypto/wrap.h) here. */
struct tr_skey_row {
	struct tr_view id;       /* SHA-256 of the SPKI */
	struct tr_view role;     /* "command", "ca" (tr_key_role_name) */
	struct tr_view state;    /* "prepared", "active", "primary", "retiring", "retired", "revoked" */
	struct tr_view origin;   /* "sealed", "file", "pkcs11" */
	uint64_t version;        /* 1, 2, … per role */
	struct tr_view name, key_type, spki;
	struct tr_view sealed;   /* private half under the node's seal key; empty unless origin is "sealed" */
	int64_t created_at, active_at, primary_at, retiring_at, ended_at;
	uint64_t uses;
	struct tr_view created_by, end_reason;
};

/* An order to one agent and what became of it. Those that are not over are in core's memory too. */
struct tr_command_row {
	struct tr_view id;       /* 32 hex digits: the command id */
	struct tr_view digest;   /* tr_order_digest */
	struct tr_view agent, batch, type; /* batch: 32 hex digits, shared by what one request ordered */
	uint64_t class, kind;    /* enum tr_cmd_class, tr_cmd_kind */
	struct tr_view state;    /* "waiting" (approvals), "pending", "sent", "received", "started"; over: "done", "failed",
				  * "unknown", "refused", "expired", "cancelled" */
	struct tr_view code;     /* slug: why refused or failed */
	int64_t created_at, not_before, expires_at, sent_at, acked_at;
	int64_t ended_at;        /* 0: not over */
	struct tr_view created_by, reason;
	struct tr_view order;    /* encoded tr_order */
	struct tr_view approvals;/* CBOR array of byte strings */
	uint64_t line, seq;      /* 0: not signed yet */
	struct tr_view key_id;   /* of the key that signed `command` */
	struct tr_view command;  /* COSE bytes as given to the agent; empty: not signed yet */
	struct tr_view result;   /* JSON object by the agent: its word, shown as such */
	struct tr_view receipt;  /* COSE bytes of the last one */
	uint64_t position;       /* in the agent's journal, of that receipt */
	uint64_t attempts;       /* deliveries */
	struct tr_view retry_of;
};

struct tr_outbox_row {
	struct tr_view agent;
	uint64_t line, seq;      /* last number given */
	int64_t quarantined_at;  /* by its receipt of a quarantine; 0: it is not, by its receipt of a release */
};

/* What the hub knows of an agent that sent TEE or TPM evidence: its newest verdict. */
struct tr_attested_row {
	struct tr_view id;           /* agent id */
	struct tr_view key_id, spki; /* that the evidence speaks for: the agent's identity key */
	struct tr_view state;        /* "verified", "failed"; an expired one is found by expires_at, never by its state */
	struct tr_view kind, policy; /* "tdx", …; name of the policy */
	uint64_t policy_version;
	struct tr_view tcb_status, tier, image;
	uint64_t simulated;          /* 1: its root is one that the policy calls simulated */
	int64_t verified_at, expires_at;
	struct tr_view verdict;      /* id of its row in verdicts */
	struct tr_view agent_type;
	struct tr_view capabilities; /* identifiers joined by commas, sorted */
	struct tr_view endpoint, attestation_endpoint;
	struct tr_view prekey;       /* signed/prekey.h, as the agent sent it; empty: none */
	uint64_t prekey_number;      /* inside it; only rises while the identity is the same */
	struct tr_view token;        /* result token (JWT); empty: none yet */
	struct tr_view ak_name;      /* TPM: Name of its attestation key, kept while the agent lives */
	struct tr_view ek_digest;    /* SHA-256 of the Name of the endorsement key that activated it; empty: none did */
	uint64_t ak_trust;           /* enum tr_tpm_ak_trust */
	uint64_t ak_resets, ak_restarts, ak_clock; /* of its last quote: they only rise */
	struct tr_view reason;       /* of a failure: slug of the first check */
	int64_t failed_at;
	uint64_t failures;           /* since the last good one */
};

/* A verdict with all that it was made from, so that it can be made again. Append-only. */
struct tr_verdict_row {
	uint64_t seq;
	int64_t time;
	struct tr_view id;           /* 16 hex digits */
	struct tr_view agent, kind, policy;
	uint64_t policy_version;
	struct tr_view outcome;      /* "verified", "failed" */
	struct tr_view reason;       /* slug of the first check that failed; empty */
	struct tr_view tcb_status, tier;
	struct tr_view bundle;       /* SHA-256 of the collateral bundle; empty: none was there */
	struct tr_view build;        /* of the verifier */
	int64_t expires_at;
	struct tr_view source;
	struct tr_view digest;       /* SHA-256 of `verdict` */
	struct tr_view context;      /* server/verdict_context.h: challenge, key, certificate, what was known of the AK */
	struct tr_view verdict;      /* JSON made by ourselves (tr_tee_verdict_json) */
	struct tr_view evidence;     /* evidence/set.h */
};

/* A collateral bundle that was imported; the highest version is in force. */
struct tr_bundle_row {
	struct tr_view id;           /* SHA-256 of `bytes`, hex */
	uint64_t version;
	struct tr_view bytes;        /* signed/collateral.h */
	struct tr_view key_id;       /* config key that signed it */
	int64_t made_at, imported_at;
	struct tr_view imported_by;
};

/* A version of an appraisal policy for evidence (appraise/tee.h). One of a name is active at a time. */
struct tr_tee_policy_row {
	struct tr_view id;           /* name ":" version in six digits */
	struct tr_view name;
	uint64_t version;
	struct tr_view state;        /* "draft", "active", "retired" */
	struct tr_view text;         /* as it was sent */
	struct tr_view digest;       /* SHA-256 of text */
	struct tr_view agent_types;  /* joined by commas */
	int64_t created_at, activated_at, ended_at;
	struct tr_view created_by;
};

/* A message in the mailbox: sealed (signed/message.h), the hub can read sender, recipient and expiry. */
struct tr_mail_row {
	struct tr_view id;           /* 32 hex digits: SHA-256 of the envelope, first 16 bytes */
	uint64_t number;             /* order of arrival at this recipient */
	struct tr_view recipient, sender;
	struct tr_view envelope;
	int64_t received_at, expires_at;
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
	struct tr_pulse_row pulse;
	struct tr_event_row event;
	struct tr_alert_row alert;
	struct tr_maintenance_row maintenance;
	struct tr_bpf_ref_row bpf_ref;
	struct tr_keyset_row keyset;
	struct tr_skey_row skey;
	struct tr_command_row command;
	struct tr_outbox_row outbox;
	struct tr_attested_row attested;
	struct tr_verdict_row verdict;
	struct tr_bundle_row bundle;
	struct tr_tee_policy_row tee_policy;
	struct tr_mail_row mail;
};

extern const struct tr_record tr_agent_def, tr_token_def, tr_vkey_def, tr_release_def, tr_setting_def, tr_seen_def,
	tr_operator_def, tr_audit_def, tr_attestation_def, tr_pulse_row_def, tr_event_def, tr_alert_def,
	tr_maintenance_def, tr_bpf_ref_def, tr_keyset_row_def, tr_skey_def, tr_command_row_def, tr_outbox_def,
	tr_attested_def, tr_verdict_row_def, tr_bundle_row_def, tr_tee_policy_row_def, tr_mail_def;

/* Tables: the wire number never changes. */
enum tr_table { TR_T_AGENT = 1, TR_T_TOKEN, TR_T_VKEY, TR_T_RELEASE, TR_T_SETTING, TR_T_SEEN, TR_T_OPERATOR,
		TR_T_AUDIT, TR_T_ATTESTATION, TR_T_PULSE, TR_T_EVENT, TR_T_ALERT, TR_T_MAINTENANCE, TR_T_BPF_REF,
		TR_T_KEYSET, TR_T_SKEY, TR_T_COMMAND, TR_T_OUTBOX,
		TR_T_ATTESTED, TR_T_VERDICT, TR_T_BUNDLE, TR_T_TEE_POLICY, TR_T_MAIL, TR_T_N };
const struct tr_record *tr_table_def(enum tr_table t); /* NULL when out of range */

#endif
