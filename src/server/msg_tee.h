/* SPDX-License-Identifier: Apache-2.0 */
/* What core asks appraise about evidence of TEEs and TPMs, and `keys` about result tokens. */
#ifndef TR_SERVER_MSG_TEE_H
#define TR_SERVER_MSG_TEE_H

#include "evidence/set.h"
#include "server/msg.h"
#include "server/verdict_context.h"
#include "signed/collateral.h"

#define TR_VERDICT_JSON_MAX 65536
#define TR_TEE_ACTIVE_MAX 64 /* policies in force at a time */
#define TR_CHECKS_JSON_MAX 16384 /* of those that failed, for answers */

/* A registration with evidence, taken apart: nothing of it is verified but the request's own signature, when it has one. */
struct tr_msg_read_registration { struct tr_view body, hub; };
struct tr_msg_registration_read {
	uint64_t code;
	struct tr_view slug, why;   /* of a refusal: of this form's own, empty: "malformed" */
	struct tr_view agent_id, agent_type, capabilities, endpoint, attestation_endpoint;
	struct tr_view spki, key_id, key_type;
	struct tr_view kind;        /* as it says; empty: the policy's only one */
	struct tr_view certificate; /* DER, of that very key; empty: none */
	struct tr_view challenge, quote, set; /* set: evidence/set.h; empty: the quote is all there is */
	struct tr_view prekey;      /* verified with that key; empty: none */
	uint64_t prekey_number;
	struct tr_view ak_name, ek_digest; /* of the TPM's keys that it says are behind the quote */
	struct tr_view activation_id, activation_secret;
	bool is_signed;             /* the request, by that very key */
	int64_t signed_at;          /* Unix s */
};

/* An appraisal. policy_id: one of those that appraise was told; or text: a draft, or a policy of old. bundle: instead of the
 * one in force; replay: as the context says, none where it is empty. */
struct tr_msg_attest {
	struct tr_view context;     /* tr_verdict_context */
	struct tr_view kind, quote, set;
	struct tr_view policy_id, text, bundle;
	bool replay;
	struct tr_view agent, issuer, build, verdict_was; /* for the token's claims; verdict_was: to be compared with */
};
struct tr_msg_attested {
	uint64_t code;              /* TR_OK: there is a verdict, good or bad */
	struct tr_view slug, why;
	bool ok, proven;            /* proven: not stale or unlucky, but known to be bad */
	uint64_t reason;            /* enum tr_reason */
	struct tr_view kind, failed; /* failed: slug of the first check */
	struct tr_view sentence;
	struct tr_view tcb_status, tier, image;
	bool simulated, static_scheme;
	int64_t expires;            /* Unix s */
	uint64_t lifetime_s;
	struct tr_view ak_name;
	uint64_t ak_trust, resets, restarts, clock; /* of a TPM's quote */
	struct tr_view bundle;      /* SHA-256 of the signed bundle that was used; empty: none */
	struct tr_view set, verdict, digest, checks, claims;
	bool same;                  /* replay: byte for byte what verdict_was says */
	struct tr_view difference;  /* the first place where it is not */
	uint64_t duration_ns;
};

struct tr_msg_tee_state { bool clear; struct tr_view policy, bundle; }; /* clear: forget all; policy: tr_tee_policy_row */
struct tr_msg_read_tee_policy { struct tr_view text; };
struct tr_msg_tee_policy_read { uint64_t code; struct tr_view why, name, agent_types; uint64_t kinds, lifetime_s; };

struct tr_msg_collateral_item { struct tr_view type, key; int64_t issued, expires; uint64_t evaluation; };
struct tr_msg_read_bundle { struct tr_view keyset, bundle; int64_t now; };
struct tr_msg_bundle_read {
	uint64_t code;
	struct tr_view why, key_id;
	uint64_t version;
	int64_t made;               /* Unix s */
	struct tr_view items;       /* list of tr_msg_collateral_item */
};

/* Evidence that the TPM of an agent shall show to hold both keys; secret: core's. */
struct tr_msg_tpm_credential { struct tr_view body, secret; };
struct tr_msg_tpm_credential_made { uint64_t code; struct tr_view why, ak_name, ek_digest, blob, encrypted; };

struct tr_msg_sign_result { struct tr_view key_id, claims; };
struct tr_msg_result_signed { uint64_t code; struct tr_view why, token; };

extern const struct tr_record tr_msg_read_registration_def, tr_msg_registration_read_def, tr_msg_attest_def,
	tr_msg_attested_def, tr_msg_tee_state_def, tr_msg_read_tee_policy_def, tr_msg_tee_policy_read_def,
	tr_msg_collateral_item_def, tr_msg_read_bundle_def, tr_msg_bundle_read_def, tr_msg_tpm_credential_def,
	tr_msg_tpm_credential_made_def, tr_msg_sign_result_def, tr_msg_result_signed_def;

#endif
