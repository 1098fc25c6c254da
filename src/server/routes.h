/* SPDX-License-Identifier: Apache-2.0 */
/* Every route of the API in one table: where it listens, who may call it, how much it may send, how often, and what its
 * input looks like. `front` enforces all of it before `core` hears of the request; `core` has one handler per id. */
#ifndef TR_SERVER_ROUTES_H
#define TR_SERVER_ROUTES_H

#include "store/store.h"

enum tr_route_id {
	TR_RT_LIVEZ, TR_RT_READYZ, TR_RT_METRICS, TR_RT_VERSION,
	TR_RT_KEYSET, TR_RT_CHALLENGE, TR_RT_REGISTER, TR_RT_PULSE, TR_RT_TIME, TR_RT_RENEW,
	TR_RT_WHOAMI,
	TR_RT_AGENT_LIST, TR_RT_AGENT_GET, TR_RT_AGENT_REVOKE, TR_RT_AGENT_REMOVE,
	TR_RT_TOKEN_LIST, TR_RT_TOKEN_CREATE, TR_RT_TOKEN_REVOKE,
	TR_RT_VKEY_LIST, TR_RT_VKEY_ADD, TR_RT_VKEY_RETIRE, TR_RT_VKEY_REVOKE,
	TR_RT_RELEASE_LIST, TR_RT_RELEASE_ADD, TR_RT_RELEASE_WITHDRAW,
	TR_RT_POLICY_GET, TR_RT_POLICY_SET,
	TR_RT_ATTESTATION_LIST, TR_RT_ATTESTATION_GET, TR_RT_AUDIT_LIST,
	TR_RT_AGENT_EVENTS, TR_RT_AGENT_BPF, TR_RT_AGENT_BPF_REQUEST, TR_RT_AGENT_EXPECT, TR_RT_AGENT_ACCEPT,
	TR_RT_AGENT_RESET,
	TR_RT_FLEET, TR_RT_EVENT_LIST, TR_RT_EVENT_GET,
	TR_RT_ALERT_LIST, TR_RT_ALERT_GET, TR_RT_ALERT_ACK, TR_RT_ALERT_RESOLVE,
	TR_RT_MAINTENANCE_LIST, TR_RT_MAINTENANCE_ADD, TR_RT_MAINTENANCE_END,
	TR_RT_KEYSET_CHAIN, TR_RT_KEYSET_PUBLISH, TR_RT_PUBLIC_KEY, TR_RT_PUBLIC_KEYS,
	TR_RT_SKEY_LIST, TR_RT_SKEY_CREATE, TR_RT_SKEY_GET, TR_RT_SKEY_PROMOTE, TR_RT_SKEY_RETIRE, TR_RT_SKEY_REVOKE,
	TR_RT_SKEY_ADOPTION,
	TR_RT_COMMAND_TYPES, TR_RT_COMMAND_LIST, TR_RT_COMMAND_ORDER, TR_RT_COMMAND_GET, TR_RT_COMMAND_APPROVE,
	TR_RT_COMMAND_CANCEL, TR_RT_COMMAND_RETRY,
	TR_RT_AGENT_COMMANDS, TR_RT_AGENT_RECEIPTS,
	/* evidence: what agents send, and what people ask about it */
	TR_RT_TPM_CREDENTIAL, TR_RT_AGENT_ATTESTATION, TR_RT_JWKS,
	TR_RT_VERDICT_LIST, TR_RT_VERDICT_GET, TR_RT_VERDICT_REPLAY,
	TR_RT_TEE_POLICY_LIST, TR_RT_TEE_POLICY_ADD, TR_RT_TEE_POLICY_GET, TR_RT_TEE_POLICY_ACTIVATE, TR_RT_TEE_POLICY_RETIRE,
	TR_RT_TEE_POLICY_TEST,
	TR_RT_COLLATERAL_LIST, TR_RT_COLLATERAL_ADD, TR_RT_COLLATERAL_GET,
	TR_RT_SECURITY_HEALTH,
	/* the hub */
	TR_RT_DISCOVER, TR_RT_DISCOVER_ONE, TR_RT_PREKEY, TR_RT_REVOCATIONS,
	TR_RT_MAIL_SEND, TR_RT_MAIL_FETCH, TR_RT_MAIL_ACK,
	TR_RT_N
};

/* Which listener serves it. */
#define TR_ON_AGENTS 1u
#define TR_ON_OPERATORS 2u

/* A registration with evidence: base64 of an evidence set, and what stands around it. Claims alone: TR_REGISTRATION_MAX. */
#define TR_HUB_REGISTRATION_MAX 147456

enum tr_route_auth {
	TR_AUTH_NONE,
	TR_AUTH_TOKEN,    /* an enrolment token in Authorization: Bearer may come along; core judges it */
	TR_AUTH_AGENT,    /* a verified agent certificate */
	TR_AUTH_OPERATOR, /* an operator's bearer token; core judges it */
};

enum tr_route_in {
	TR_IN_NONE,  /* a body is refused */
	TR_IN_RAW,   /* handed on unparsed: only the appraise role reads it */
	TR_IN_JSON,  /* read into `in` by front */
	TR_IN_QUERY, /* query string read into `in` by front */
	TR_IN_PULSE, /* a signed pulse: front verifies it and sends TR_M_PULSE */
	TR_IN_NONCE, /* query read into `in` by front, and its base64url text handed on as bytes */
};

struct tr_route {
	enum tr_route_id id;
	const char *method;
	const char *path; /* one "{id}" segment at most */
	unsigned listeners;
	enum tr_route_auth auth;
	enum tr_route_in kind;
	const struct tr_record *in;
	uint32_t body_max;
	uint32_t per_minute; /* per source address, before authentication */
	bool durable;        /* changes what is stored: refused while the store cannot write */
};

/* NULL when nothing matches; then *ret_path_known says whether the path exists with another method (405). *ret_arg, the
 * text in the place of {id}, borrows from path. */
const struct tr_route *tr_route_find(struct tr_view method, struct tr_view path, unsigned listener,
				     struct tr_view *ret_arg, bool *ret_path_known);
const struct tr_route *tr_route_by_id(enum tr_route_id id);
/* Do X-Attestation-Quote … X-Nonce go along (tr_msg_request.hub: encoded tr_msg_hub)? */
bool tr_route_is_hub(enum tr_route_id id);

/* Inputs. */
struct tr_in_reason { struct tr_view reason; bool force; };
struct tr_in_token { struct tr_view partition, agent_type, note; uint64_t max_uses, ttl_s; };
struct tr_in_vkey { struct tr_view name, use, pem; int64_t not_before, not_after; };
struct tr_in_release { struct tr_view statement; };
struct tr_in_policy { struct tr_view mode, accept, hashes, min_version, versions, min_tier; };
struct tr_in_time { struct tr_view nonce; }; /* base64url of 16 to 64 bytes */
struct tr_in_agents { struct tr_view state, partition, verdict, reach, cursor; uint64_t limit; };
/* kind, agent: only those. before and after as in tr_list_query. */
struct tr_in_events { struct tr_view kind, agent; uint64_t before, after, limit; };
/* state: "open" (not resolved; the default), "acknowledged", "resolved"; severity: this and worse. */
struct tr_in_alerts { struct tr_view state, cursor; uint64_t severity, before, limit; int64_t changed_after; };
/* Why, for actions that the audit log must be able to explain. */
struct tr_in_why { struct tr_view reason; };
struct tr_in_expect { struct tr_view hash, reason; uint64_t minutes; };
/* Either minutes from `from` (now), or until. */
struct tr_in_maintenance { struct tr_view scope, target, reason; uint64_t minutes; int64_t from, until; };
/* ---- evidence and the hub ---- */
/* POST /attestation-policies; dry: only say what it would do. */
struct tr_in_tee_policy { struct tr_view text; };
struct tr_in_tee_activate { uint64_t version; struct tr_view reason; bool force; }; /* force: although agents would fail */
struct tr_in_agent_attestation { uint64_t evidence; }; /* 1: with what the verdict was made from */
struct tr_in_verdicts { struct tr_view agent, outcome; uint64_t before, after, limit; };
struct tr_in_discover { struct tr_view capability, agent_type, cursor; uint64_t limit; };
struct tr_in_mail_ack { struct tr_view ids; };         /* joined by commas */
struct tr_in_mail_fetch { uint64_t wait, after; };      /* seconds; numbers above */
struct tr_in_revocations { uint64_t after; };
extern const struct tr_record tr_in_tee_policy_def, tr_in_tee_activate_def, tr_in_agent_attestation_def, tr_in_verdicts_def,
	tr_in_discover_def, tr_in_mail_ack_def, tr_in_mail_fetch_def, tr_in_revocations_def;
/* ---- keys and commands ---- */
struct tr_in_chain { uint64_t after; };                /* epochs above this */
struct tr_in_keyset { struct tr_view keyset; };
struct tr_in_skey { struct tr_view role, name; };
struct tr_in_skey_end { struct tr_view reason; bool force; }; /* force: although agents have not adopted the keyset */
struct tr_in_adoption { struct tr_view cursor; uint64_t limit; };
/* Whom: agents (ids joined by commas), or a partition, or all. Its parameters as its type wants them. key: what makes the
 * same request the same orders when it is sent again (any text; empty: never). */
struct tr_in_command {
	struct tr_view type, agents, partition;
	bool all;
	uint64_t seconds;
	struct tr_view text, target, image; /* target: command id; image: "sha256:…" or hex */
	uint64_t expires_s;                 /* 0: the type's lifetime */
	int64_t not_before;
	struct tr_view reason, key;
};
struct tr_in_commands { struct tr_view agent, state, type, batch, cursor; uint64_t before, limit; };
struct tr_in_approval { struct tr_view approval; };
struct tr_in_wait { uint64_t wait; };                  /* seconds */
extern const struct tr_record tr_in_chain_def, tr_in_keyset_def, tr_in_skey_def, tr_in_skey_end_def, tr_in_adoption_def,
	tr_in_command_def, tr_in_commands_def, tr_in_approval_def, tr_in_wait_def;
extern const struct tr_record tr_in_time_def, tr_in_reason_def, tr_in_token_def, tr_in_vkey_def, tr_in_release_def,
	tr_in_policy_def, tr_in_agents_def, tr_in_events_def, tr_in_alerts_def, tr_in_why_def, tr_in_expect_def,
	tr_in_maintenance_def;
/* Room for any of them: front reads, and may then send, without knowing which. */
union tr_any_in {
	struct tr_in_reason reason;
	struct tr_in_token token;
	struct tr_in_vkey vkey;
	struct tr_in_release release;
	struct tr_in_policy policy;
	struct tr_in_time time;
	struct tr_in_agents agents;
	struct tr_in_events events;
	struct tr_in_alerts alerts;
	struct tr_in_why why;
	struct tr_in_expect expect;
	struct tr_in_maintenance maintenance;
	struct tr_list_query query;
	struct tr_in_chain chain;
	struct tr_in_keyset keyset;
	struct tr_in_skey skey;
	struct tr_in_skey_end skey_end;
	struct tr_in_adoption adoption;
	struct tr_in_command command;
	struct tr_in_commands commands;
	struct tr_in_approval approval;
	struct tr_in_wait wait;
	struct tr_in_tee_policy tee_policy;
	struct tr_in_tee_activate tee_activate;
	struct tr_in_verdicts verdicts;
	struct tr_in_agent_attestation agent_attestation;
	struct tr_in_discover discover;
	struct tr_in_mail_ack mail_ack;
	struct tr_in_mail_fetch mail_fetch;
	struct tr_in_revocations revocations;
};

#endif
