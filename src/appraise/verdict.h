/* SPDX-License-Identifier: Apache-2.0 */
/* Every reason for which an admission is refused, in one table: stable code, HTTP status, sentence. The order of the
 * enum is the wire number and never changes. */
#ifndef TR_APPRAISE_VERDICT_H
#define TR_APPRAISE_VERDICT_H

#include "base/buf.h"

enum tr_reason {
	TR_R_OK,
	TR_R_MALFORMED,
	TR_R_BAD_SIGNATURE,
	TR_R_UNKNOWN_KEY,
	TR_R_CLOCK_DESYNC,
	TR_R_REPLAY,
	TR_R_HASH_NOT_ALLOWED,
	TR_R_VERSION_NOT_ALLOWED,
	TR_R_KEY_REVOKED,
	TR_R_TOKEN_INVALID,
	TR_R_CHALLENGE_INVALID,  /* unknown, expired or spent */
	TR_R_CHANNEL_MISMATCH,   /* the claim speaks of another TLS connection: a relay */
	TR_R_KEY_MISMATCH,       /* CSR and claim are by different keys */
	TR_R_KEY_REFUSED,        /* weak, unknown type or known leaked */
	TR_R_FORMAT_NOT_ACCEPTED,/* attestation.accept does not list this form */
	TR_R_TIER_TOO_LOW,
	TR_R_ID_TAKEN,           /* the agent id belongs to another key, or did once */
	TR_R_RELEASE_EXPIRED,
	TR_R_AGENT_REVOKED,      /* the agent or its device key was revoked */
	TR_R_LIMIT,              /* no memory to judge it; rates are refused by front, before */
	/* Classes of refused TEE and TPM evidence, one per question; the verdict's code says which check. */
	TR_R_EVIDENCE_NOT_AUTHENTIC,
	TR_R_EVIDENCE_NOT_CURRENT,
	TR_R_EVIDENCE_WRONG_SOFTWARE,
	TR_R_EVIDENCE_NOT_FRESH,
	TR_R_N
};

struct tr_reason_info {
	const char *slug;     /* "hash_not_allowed": in APIs, metrics, audit */
	int status;           /* HTTP */
	const char *title;
	const char *sentence; /* says what to do */
};
const struct tr_reason_info *tr_reason_info(enum tr_reason r); /* out of range gives TR_R_MALFORMED's row */
bool tr_reason_from_slug(struct tr_view slug, enum tr_reason *ret);

/* RFC 9334 trust tier of the evidence, weakest first. */
enum tr_tier { TR_TIER_NONE, TR_TIER_SELF_ASSERTED, TR_TIER_KERNEL, TR_TIER_HARDWARE, TR_TIER_N };
const char *tr_tier_name(enum tr_tier t); /* "none", "self-asserted", "kernel", "hardware" */
bool tr_tier_from_name(struct tr_view v, enum tr_tier *ret);

#endif
