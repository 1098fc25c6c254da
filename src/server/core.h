/* SPDX-License-Identifier: Apache-2.0 */
/* The role `core`: the registry in memory, and every decision. One loop, no locks, no parsing of anything from outside,
 * no private keys. Memory is a mirror of what the store has committed: a handler builds a transaction from rows, and
 * the same rows change the memory only when the store says they are durable (tr_tx_commit). What must not happen twice
 * meanwhile is reserved (tr_item.inflight, .reserved, .ending). */
#ifndef TR_SERVER_CORE_H
#define TR_SERVER_CORE_H

#include "http/problem.h"
#include "server/calls.h"
#include "server/config.h"
#include "server/metrics.h"
#include "server/msg.h"
#include "server/routes.h"
#include "server/table.h"
#include "signed/keyset.h"

#define TR_FRONTS_MAX 32 /* while fronts are being replaced, old and new live side by side */

enum { TR_UP_STORE_RO, TR_UP_KEYS, TR_UP_APPRAISE, TR_UP_N };

struct tr_front_ref {
	struct tr_chan *chan;
	uint32_t gen; /* rises when the place is reused: late answers find nobody */
	bool up;      /* has said hello */
	uint64_t open; /* connections, as last reported */
};

struct tr_core {
	const struct tr_config *cfg;
	struct tr_loop *loop;
	int control; /* supervisor */
	struct tr_front_ref fronts[TR_FRONTS_MAX];
	struct tr_chan *store, *store_ro, *keys, *appraise;
	bool up[TR_UP_N]; /* who of them has said hello */
	bool seeding, seeded; /* the configured key: being stored; in force, or there is none */
	struct tr_calls *calls;

	struct tr_table_mem agents, tokens, vkeys, releases, settings, seen, operators;
	bool loaded, ready_told, stopping;
	unsigned loading; /* tables still to come */
	bool store_ok;
	char store_why[200]; /* sentence, when not ok */
	unsigned registrations; /* under way */
	unsigned recent_refusals; /* recorded in this second */
	uint64_t unrecorded;      /* refusals counted but not recorded, since the last record that says so */

	uint8_t challenge_key[32];
	struct tr_buf keyset;  /* signed bytes, as served */
	struct tr_buf ca_pem;
	struct tr_buf fleet_pem;     /* ATTESTATION_PUBLIC_KEY_PATH's content, until it is seeded */
	struct tr_buf versions;      /* those that the configuration pins, joined by commas (tr_core_pin) */
	int64_t policy_until;        /* when a published release in the policy expires; 0: never */
	uint8_t root_pin[32];
	char server_name[256]; /* first URL, for what token create prints */
	int64_t tls_not_after;

	struct tr_metrics metrics;
	struct tr_watch *sweep_timer, *tick_timer, *control_watch;
	size_t sweep_at;
	int64_t started_at;
};

/* ---- a request under way ---- */

struct tr_req {
	struct tr_core *core;
	unsigned front;
	uint32_t front_gen;
	uint64_t id;
	struct tr_msg_request q; /* views borrow from bytes once kept */
	struct tr_buf bytes;     /* own copy, made by tr_req_keep */
	char actor[80];          /* "operator:admin", "agent:web-1", "anonymous" */
	struct tr_item *about;   /* of a kept request, for its handler */
};

/* A handler answers now, or keeps the request and answers later. */
typedef void (*tr_api_fn)(struct tr_core *c, struct tr_req *r);

/* A heap copy that outlives the frame; free with tr_req_free (tr_req_answer does not). NULL when out of memory: the
 * request has been answered so. */
struct tr_req *tr_req_keep(struct tr_req *r);
struct tr_req *tr_req_free(struct tr_req *r);
TR_DEFINE_AUTO(struct tr_req *, tr_req_free)
void tr_req_answer(struct tr_req *r, int status, enum tr_ctype type, struct tr_view body);
/* 200 with this JSON; 500 when it grew over the limit of an answer. */
void tr_req_answer_json(struct tr_req *r, const struct tr_buf *json);
void tr_req_problem(struct tr_req *r, const struct tr_problem *p);
/* Short form: status, slug and a sentence. */
void tr_req_refuse(struct tr_req *r, int status, const char *slug, const char *detail);
void tr_req_error(struct tr_req *r, const struct tr_err *err);
void tr_req_no_verifier(struct tr_req *r); /* the appraise role is away: 503 */
/* The route's input record; the front encoded it from the same table. */
TR_RC tr_req_in(struct tr_req *r, void *ret, struct tr_err *err);

/* ---- transactions ---- */

struct tr_tx;
typedef void (*tr_tx_fn)(void *arg, enum tr_code rc, const char *why);

struct tr_tx *tr_tx_new(struct tr_core *c);
struct tr_tx *tr_tx_free(struct tr_tx *tx); /* only when not committed */
void tr_tx_add(struct tr_tx *tx, enum tr_op op, enum tr_table t, const void *row);
/* Marks an existing row as touched until the transaction ends. */
void tr_tx_touch(struct tr_tx *tx, struct tr_item *item);
/* Sends it; fn is called after memory was changed (TR_OK), or with the reason it was not. Takes tx. */
void tr_tx_commit(struct tr_tx *tx, tr_tx_fn fn, void *arg);
/* The usual end of an operator's request: `status` with this JSON on success, a problem otherwise. Takes req, which may
 * be NULL (answered already), and body. */
void tr_tx_commit_answer(struct tr_tx *tx, struct tr_req *req, int status, struct tr_buf *body);

/* Adds an audit row to the transaction. detail_json may be empty. */
void tr_audit(struct tr_tx *tx, const char *actor, const char *action, struct tr_view object, const char *outcome,
	      const char *reason, struct tr_view source, struct tr_view detail_json);

/* ---- parts of core ---- */

struct tr_table_mem *tr_core_table(struct tr_core *c, enum tr_table t); /* NULL for append-only tables */
/* Asks another role: fn hears its answer, or NULL, at once when the role is away or too many questions are open. */
void tr_core_ask(struct tr_core *c, struct tr_chan *role, enum tr_msg type, const struct tr_record *def, const void *q,
		 tr_call_fn fn, void *arg);
void tr_core_send_policy(struct tr_core *c);
/* Stores the verification key that the configuration names, then calls tr_core_tell_ready again. */
void tr_core_seed(struct tr_core *c);
/* Tells the supervisor, once everything that a first claim needs is there. */
void tr_core_tell_ready(struct tr_core *c);
struct tr_view tr_setting(const struct tr_core *c, const char *name); /* empty when not set */

/* The policy in force: configuration and environment pin, settings fill the rest. */
struct tr_policy_view {
	enum tr_mode mode;
	bool accept_native, accept_original;
	struct tr_view hashes, min_version, versions; /* comma-joined text */
	enum tr_tier min_tier;
	bool mode_pinned, accept_pinned, hashes_pinned, min_version_pinned, versions_pinned, min_tier_pinned;
};
void tr_core_pin(struct tr_core *c); /* once, before it is asked for */
void tr_core_policy(const struct tr_core *c, struct tr_policy_view *ret);

/* Challenge: issue time ‖ random ‖ MAC, checked without a table; spent by the claim's row in `seen`. */
#define TR_CHALLENGE_TTL_MS 120000
void tr_challenge_make(const uint8_t key[32], int64_t now_ms, uint8_t out[TR_CHALLENGE_LEN]);
bool tr_challenge_ok(const uint8_t key[32], int64_t now_ms, struct tr_view challenge);

extern const tr_api_fn tr_api[TR_RT_N];

/* Handlers, by file: api_system.c, api_agents.c, api_tokens.c, api_vkeys.c, api_releases.c, api_policy.c, api_logs.c,
 * admit.c (registration), renew.c, heartbeat.c. */
void tr_api_livez(struct tr_core *c, struct tr_req *r);
void tr_api_readyz(struct tr_core *c, struct tr_req *r);
void tr_api_metrics(struct tr_core *c, struct tr_req *r);
void tr_api_version(struct tr_core *c, struct tr_req *r);
void tr_api_keyset(struct tr_core *c, struct tr_req *r);
void tr_api_challenge(struct tr_core *c, struct tr_req *r);
void tr_api_whoami(struct tr_core *c, struct tr_req *r);
void tr_api_register(struct tr_core *c, struct tr_req *r);
void tr_api_heartbeat(struct tr_core *c, struct tr_req *r);
void tr_api_renew(struct tr_core *c, struct tr_req *r);
void tr_api_agent_list(struct tr_core *c, struct tr_req *r);
void tr_api_agent_get(struct tr_core *c, struct tr_req *r);
void tr_api_agent_revoke(struct tr_core *c, struct tr_req *r);
void tr_api_agent_remove(struct tr_core *c, struct tr_req *r);
void tr_api_token_list(struct tr_core *c, struct tr_req *r);
void tr_api_token_create(struct tr_core *c, struct tr_req *r);
void tr_api_token_revoke(struct tr_core *c, struct tr_req *r);
void tr_api_vkey_list(struct tr_core *c, struct tr_req *r);
void tr_api_vkey_add(struct tr_core *c, struct tr_req *r);
void tr_api_vkey_retire(struct tr_core *c, struct tr_req *r);
void tr_api_vkey_revoke(struct tr_core *c, struct tr_req *r);
void tr_api_release_list(struct tr_core *c, struct tr_req *r);
void tr_api_release_add(struct tr_core *c, struct tr_req *r);
void tr_api_release_withdraw(struct tr_core *c, struct tr_req *r);
void tr_api_policy_get(struct tr_core *c, struct tr_req *r);
void tr_api_policy_set(struct tr_core *c, struct tr_req *r);
void tr_api_attestation_list(struct tr_core *c, struct tr_req *r);
void tr_api_attestation_get(struct tr_core *c, struct tr_req *r);
void tr_api_audit_list(struct tr_core *c, struct tr_req *r);

/* Is this agent allowed to speak on this connection? Fills a problem when not. */
struct tr_item *tr_core_agent_of(struct tr_core *c, struct tr_req *r);
/* The row with what is known of the agent only while it lives; borrows from the item. Whoever writes a row writes this:
 * then it does not matter which of two reaches the disk first. */
struct tr_agent_row tr_agent_now(const struct tr_item *i);
/* Renewing and enrolling again each cost a signature, a commit and rows for ever, so one agent gets only so many;
 * false: refused with 429 and answered. */
bool tr_core_may_write(struct tr_item *i, struct tr_req *r);
/* What people see: row and live part together, as JSON. */
void tr_agent_json(const struct tr_core *c, const struct tr_item *i, struct tr_buf *b);
/* "live", "silent", "never", "ended". Liveness is a function of the last heartbeat and the clock; unknown is never live. */
const char *tr_agent_reach(const struct tr_core *c, const struct tr_item *i, int64_t now_ms);
/* Writes live counters back into rows, a bounded number per call. */
void tr_core_sweep(struct tr_core *c, size_t at_most);

#endif
