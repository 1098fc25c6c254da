/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where a COSE_Sign1 is made and checked: every signed object of ours is a payload plus a domain
 * string (COSE external_aad), so that no signature of one kind passes for another. */
#ifndef TR_SIGNED_COSE1_H
#define TR_SIGNED_COSE1_H

#include "codec/cose.h"
#include "crypto/key.h"

/* Signs payload under `domain` with kid = SHA-256(SPKI)[0:16]. */
TR_RC tr_cose1_sign(const struct tr_privkey *k, const char *domain, struct tr_view payload, struct tr_buf *ret,
		    struct tr_err *err);
/* The same with a scheme that is not the key's default (RS256 for RSA keys). */
TR_RC tr_cose1_sign_alg(const struct tr_privkey *k, enum tr_sig_alg alg, const char *domain, struct tr_view payload,
			struct tr_buf *ret, struct tr_err *err);
/* How a signed object of ours ends: signs what was encoded, unless the payload failed or the object is longer than whoever
 * reads it takes. long_why: the sentence then. ret is untouched on failure. */
TR_RC tr_cose1_seal(const struct tr_privkey *k, enum tr_sig_alg alg, const char *domain, const struct tr_buf *payload,
		    size_t max, const char *long_why, struct tr_buf *ret, struct tr_err *err);
/* Parses and demands the one form that tr_cose1_sign writes: protected {1: alg, 4: kid}, nothing unprotected. Without
 * that rule a stranger could add bytes to a signed object that nobody signed. TR_E_INVALID otherwise. */
TR_RC tr_cose1_parse(struct tr_view in, size_t max, struct tr_cose *ret, struct tr_err *err);
/* Verifies an already parsed COSE_Sign1; checks that alg fits the key. TR_E_DENIED when it does not verify. */
TR_RC tr_cose1_verify(const struct tr_cose *c, const struct tr_pubkey *k, const char *domain, struct tr_err *err);

/* The same, and the digest below out of the same bytes: what a server does for every pulse. */
TR_RC tr_cose1_verify_digest(const struct tr_cose *c, const struct tr_pubkey *k, const char *domain, uint8_t ret[32],
			     struct tr_err *err);

/* The first 16 bytes of SHA-256(SPKI): how COSE headers name a key. */
#define TR_KID_LEN 16
struct tr_view tr_cose1_kid(const struct tr_pubkey *k); /* borrowed from k */
/* SHA-256 of the bytes that were signed: the identity of the statement. Unlike a hash of the object it does not
 * change when somebody re-encodes the signature (ECDSA has two valid ones for each). */
TR_RC tr_cose1_digest(const struct tr_cose *c, const char *domain, uint8_t out[32], struct tr_err *err);

#endif
