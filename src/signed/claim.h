/* SPDX-License-Identifier: Apache-2.0 */
/* The native claim: the device key's statement of what runs on the host (RFC 9334 Evidence, EAT keys of RFC 9711),
 * signed over the server's challenge and the TLS connection, enclosing the release statement that vouches for the
 * hash. Self-asserted: the host that holds the key could lie about the hash, and every reader is told so. */
#ifndef TR_SIGNED_CLAIM_H
#define TR_SIGNED_CLAIM_H

#include "signed/cose1.h"

#define TR_CLAIM_DOMAIN "troth/claim/v1"
#define TR_CLAIM_PROFILE "tag:troth,2026:claim/1" /* eat_profile (RFC 9711 4.3.2) */
#define TR_CLAIM_SWNAME "troth-agent"
#define TR_CLAIM_MAX 8192       /* bytes of the whole COSE_Sign1 */
/* Bytes of a registration body, in every form: what agents send, front takes, appraise reads and the store keeps. */
#define TR_REGISTRATION_MAX 16384
#define TR_CHALLENGE_LEN 32
#define TR_CLAIM_PATH_MAX 255   /* bytes of disk_path; cut by who fills it in */
#define TR_EXPORTER_LEN 32      /* RFC 9266 */

struct tr_claim {
	struct tr_view node_id;        /* tr_ident_ok */
	uint8_t binary_hash[32];       /* SHA-256 of the running image */
	struct tr_view software;       /* tr_ident_ok, the program's name; empty when signing: TR_CLAIM_SWNAME */
	struct tr_view version;        /* tr_version_ok */
	int64_t timestamp_ms;          /* claimant's wall clock */
	struct tr_view challenge;      /* TR_CHALLENGE_LEN bytes */
	uint8_t key_id[32];            /* SHA-256 of the device key's SPKI */
	struct tr_view exporter;       /* TR_EXPORTER_LEN bytes; empty when signed outside a TLS connection */
	struct tr_view release;        /* enclosed release statement (COSE_Sign1 bytes); may be empty */
	struct tr_view disk_path;      /* set when the file on disk differs from what runs; TR_CLAIM_PATH_MAX */
	uint8_t disk_hash[32];
	bool disk_differs;
};

/* Encodes and signs; key_id is filled in from k. */
TR_RC tr_claim_sign(const struct tr_claim *c, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err);
/* The same with a scheme that is not the key's default (RS256 for RSA keys). */
TR_RC tr_claim_sign_alg(const struct tr_claim *c, const struct tr_privkey *k, enum tr_sig_alg alg, struct tr_buf *ret,
			struct tr_err *err);
/* Verifies with k first, parses after. Views borrow from in. TR_E_INVALID malformed, TR_E_DENIED bad signature,
 * TR_E_CONFLICT signed by another key or speaking of one. */
TR_RC tr_claim_verify(struct tr_view in, const struct tr_pubkey *k, struct tr_claim *ret, struct tr_err *err);
/* SHA-256 of the signed bytes: what a replay has in common with the first use. */
TR_RC tr_claim_digest(struct tr_view in, uint8_t out[32], struct tr_err *err);

#endif
