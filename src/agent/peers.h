/* SPDX-License-Identifier: Apache-2.0 */
/* What this agent knows of another one, and on whose word: the token of the result key (signed/result_token.h), which must
 * name this agent and this very key; where the configuration asks for it, the evidence itself, judged by our own policy; the
 * pre-key, signed by that key; the list of revocations. What the hub says beside these is only shown. */
#ifndef TR_AGENT_PEERS_H
#define TR_AGENT_PEERS_H

#include "agent/peer_conf.h"
#include "agent/revocations.h"
#include "crypto/x509.h"
#include "signed/prekey.h"

#define TR_PEERS_MAX 1024
#define TR_PEER_FRESH_S 300 /* then the hub is asked again; what was learned stays good until it expires */

struct tr_peer_info {
	char agent[65], type[65];
	char endpoint[TR_URL_MAX + 1], attestation_endpoint[TR_URL_MAX + 1];
	char kind[16], tier[24], policy[65], tcb_status[40];
	bool simulated;
	struct tr_pubkey *key;     /* identity */
	bool has_prekey;
	struct tr_prekey prekey;   /* without names */
	int64_t expires_s;         /* of the token; of our own verdict, when that ends earlier */
	int64_t asked_s;           /* when the hub said it */
	int64_t judged_until_s;    /* by ourselves, from the evidence; 0: not */
};
struct tr_peer_info *tr_peer_info_free(struct tr_peer_info *p);
TR_DEFINE_AUTO(struct tr_peer_info *, tr_peer_info_free)

/* What the judgement goes by. */
struct tr_peer_rules {
	const struct tr_ca_set *cas;
	const char *trust_domain;
	const struct tr_peer_conf *conf;
	const struct tr_revocations *revocations;
	uint64_t prekey_number; /* the highest seen of this agent */
};
/* An answer of discovery. TR_E_INVALID: it is none. TR_E_DENIED, TR_E_UNAUTH: what it says is not vouched for; err->pub is a
 * sentence for the one who asked. */
TR_RC tr_peer_read(const struct tr_peer_rules *r, struct tr_view json, struct tr_view agent, int64_t now_s,
		   struct tr_peer_info **ret, struct tr_err *err);
/* Revoked since? Not allowed any more? Over? */
TR_RC tr_peer_still_good(const struct tr_peer_rules *r, const struct tr_peer_info *p, int64_t now_s, struct tr_err *err);

/* ---- evidence ---- */

struct tr_peer_judge; /* policy and collateral, read once */
TR_RC tr_peer_judge_new(struct tr_view policy_file, struct tr_view collateral_file, struct tr_peer_judge **ret,
			struct tr_err *err);
struct tr_peer_judge *tr_peer_judge_free(struct tr_peer_judge *j);
TR_DEFINE_AUTO(struct tr_peer_judge *, tr_peer_judge_free)
/* The answer of an attestation endpoint to our challenge, or of the hub with the challenge that it gave then (member
 * "challenge"; ours empty). TR_E_DENIED: the first check that failed is in the detail. */
TR_RC tr_peer_judge_evidence(const struct tr_peer_judge *j, const struct tr_peer_info *p, struct tr_view json,
			     struct tr_view challenge, int64_t now_s, int64_t *ret_expires_s, struct tr_err *err);

/* ---- what is known ---- */

struct tr_peers {
	size_t n;
	struct tr_peer_info *list[TR_PEERS_MAX];
};
struct tr_peer_info *tr_peers_find(const struct tr_peers *p, struct tr_view agent); /* NULL: none */
void tr_peers_put(struct tr_peers *p, struct tr_peer_info *info); /* takes it, in the place of what was known */
void tr_peers_drop(struct tr_peers *p, struct tr_view agent);

#endif
