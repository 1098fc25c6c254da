/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence of TEEs and TPMs in core: who may send it, what became of it, and by which policies and collateral it is judged.
 * Core parses none of it: role `appraise` does (appraise_tee.h), and says what it found.
 *
 *   attest.c      a registration with evidence, up to the verdict     attest_rows.c      what is stored and answered
 *   tee_state.c   policies and bundle in force                         result_key.c       the key that signs results
 *   tee_watch.c   what runs out                                        tpm_credential.c   activation of TPMs' keys
 *   tee_show.c    metrics, readiness, an agent's state
 *   api_tee_policy.c, api_tee_trial.c, api_collateral.c, api_verdicts.c, api_results.c: what people and peers ask */
#ifndef TR_SERVER_ATTEST_H
#define TR_SERVER_ATTEST_H

#include "server/core.h"
#include "server/msg_tee.h"

#define TR_BUILD_NAME "troth " TROTH_VERSION
#define TR_BUNDLES_KEPT 24 /* older ones go: their verdicts cannot be made again */

/* ---- what is in force (tee_state.c) ---- */

struct tr_tee_state;
struct tr_tee_state *tr_tee_state_new(void);
/* Everything is loaded; the role appraise came up; rows of these tables changed (a bit each), by whomever. */
void tr_tee_loaded(struct tr_core *c);
void tr_tee_appraise_up(struct tr_core *c);
void tr_tee_follow(struct tr_core *c, uint32_t tables);
void tr_tee_tick(struct tr_core *c);

/* The active policy for agents of this type: one that names it before one for all. False: none. */
struct tr_tee_choice { char id[73], name[65]; uint64_t version; };
bool tr_tee_policy_of(const struct tr_core *c, struct tr_view agent_type, struct tr_tee_choice *ret);

/* The bundle in force, as the verifier has it. */
struct tr_collateral {
	bool present;             /* there is a row */
	bool good;                /* and it was read and verified since */
	char why[512];            /* if not */
	uint8_t digest[32];       /* the row's id */
	uint64_t version;
	int64_t made, imported_at; /* Unix s; ms */
	struct tr_view items;     /* list of tr_msg_collateral_item */
};
const struct tr_collateral *tr_collateral_now(const struct tr_core *c);
const struct tr_item *tr_bundle_newest(const struct tr_core *c); /* by version; NULL: none */
/* When the first item of this type ends, Unix s; 0: none ends, or there is none. issued: of the oldest. */
int64_t tr_collateral_ends(const struct tr_core *c, struct tr_view type, int64_t *ret_issued);

/* The key that signs results now; NULL: not yet, or this node cannot use it. It is made when it is first wanted. */
const uint8_t *tr_result_key(struct tr_core *c);

/* ---- activation (tpm_credential.c) ---- */

struct tr_activations;
struct tr_activations *tr_activations_new(void);
/* Spends the activation: true when it is this agent's, for this AK, and the secret is right. */
bool tr_tpm_activated(struct tr_core *c, struct tr_view agent, struct tr_view ak_name, struct tr_view id, struct tr_view secret,
		      uint8_t ret_ek_digest[32]);
/* The endorsement key is another than this agent's row knows: its state was copied to another machine. Tells people. */
bool tr_tpm_is_clone(struct tr_core *c, struct tr_view agent, struct tr_view ek_digest, struct tr_view source);

/* ---- counting ---- */

enum { TR_TEE_OUTCOMES = 2 };
struct tr_tee_counts {
	uint64_t by_kind[TR_TEE_KIND_N][TR_TEE_OUTCOMES]; /* 0: failed, 1: verified */
	uint64_t refused;   /* before any verification */
	uint64_t nanoseconds;
};
struct tr_tee_counts *tr_tee_counts(struct tr_core *c);
void tr_tee_metrics(const struct tr_core *c, struct tr_buf *b);
/* Members for /readyz; nothing when no policy is active. */
void tr_tee_ready_json(const struct tr_core *c, struct tr_buf *b);
/* "verified", "expired", "failed", "suspended" (the agent was revoked, or has another key by now), "none". */
const char *tr_attested_state(const struct tr_core *c, struct tr_view agent);
/* What GET /agents says of an agent's attestation: one JSON value. */
void tr_attested_json(const struct tr_core *c, struct tr_view agent, struct tr_buf *b);

/* ---- a registration under way ---- */

struct tr_attest {
	struct tr_core *core;
	struct tr_req *req;
	struct tr_msg_registration_read r; /* views borrow from r_bytes */
	struct tr_msg_attested a;          /* from a_bytes */
	struct tr_buf r_bytes, a_bytes, context, token_text;
	struct tr_item *agent;             /* known already; NULL: becomes one */
	struct tr_item *token;             /* its use is reserved */
	bool token_spent, token_sent, activated;
	uint8_t ek_digest[32];
	struct tr_tee_choice policy;
	char agent_type[65], verdict_id[17], failed[49];
	const char *why;                   /* sentence of a failure that core found itself */
	int64_t now_ms;
};
struct tr_attest *tr_attest_free(struct tr_attest *m);
TR_DEFINE_AUTO(struct tr_attest *, tr_attest_free)
/* Takes req: a registration that turned out to bring evidence. */
void tr_attest_begin(struct tr_core *c, struct tr_req *req);

/* attest_rows.c: stores what came of it and answers; each takes m. */
void tr_attest_refuse(struct tr_attest *m, int status, const char *slug, const char *sentence);
void tr_attest_verified(struct tr_attest *m);
void tr_attest_failed(struct tr_attest *m);

void tr_api_tpm_credential(struct tr_core *c, struct tr_req *r);
void tr_api_agent_attestation(struct tr_core *c, struct tr_req *r);
void tr_api_jwks(struct tr_core *c, struct tr_req *r);
void tr_api_verdict_list(struct tr_core *c, struct tr_req *r);
void tr_api_verdict_get(struct tr_core *c, struct tr_req *r);
void tr_api_verdict_replay(struct tr_core *c, struct tr_req *r);
void tr_api_tee_policy_list(struct tr_core *c, struct tr_req *r);
void tr_api_tee_policy_add(struct tr_core *c, struct tr_req *r);
void tr_api_tee_policy_get(struct tr_core *c, struct tr_req *r);
void tr_api_tee_policy_activate(struct tr_core *c, struct tr_req *r);
void tr_api_tee_policy_retire(struct tr_core *c, struct tr_req *r);
void tr_api_tee_policy_test(struct tr_core *c, struct tr_req *r);
void tr_api_collateral_list(struct tr_core *c, struct tr_req *r);
void tr_api_collateral_add(struct tr_core *c, struct tr_req *r);
void tr_api_collateral_get(struct tr_core *c, struct tr_req *r);

#endif
