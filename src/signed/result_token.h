/* SPDX-License-Identifier: Apache-2.0 */
/* A result token: claims about an appraisal (EAR, a JSON object) as a JWT (RFC 7519), signed with Ed25519 by the result key
 * of an installation. Its header carries that key's certificate (x5c, RFC 7515 4.1.6), issued by the CA that every party of
 * the fleet has pinned already: who holds the keyset needs nothing else, and asks nobody. The certificate names
 * spiffe://<trust domain>/result and is good for neither end of a TLS connection. */
#ifndef TR_SIGNED_RESULT_TOKEN_H
#define TR_SIGNED_RESULT_TOKEN_H

#include "crypto/x509.h"

#define TR_RESULT_TOKEN_MAX 8192
#define TR_RESULT_CLAIMS_MAX 5120
#define TR_RESULT_SKEW_S 300 /* of the clocks of the two who meet */

/* How the certificate of the result key is called. */
void tr_result_spiffe(const char *trust_domain, char out[TR_SPIFFE_MAX]);
/* kid of a result key: lower hex of the first 16 bytes of SHA-256 of its SPKI. */
void tr_result_kid(const struct tr_pubkey *k, char out[33]);

TR_RC tr_result_token_sign(struct tr_view claims, const struct tr_privkey *k, struct tr_view cert_der, struct tr_buf *ret,
			   struct tr_err *err);
/* TR_E_INVALID: no such token. TR_E_UNAUTH: its certificate is not one of these CAs' result keys. TR_E_DENIED: the signature
 * does not hold, or its time (iat, exp) is not now. What the claims say is the caller's to judge. */
TR_RC tr_result_token_verify(struct tr_view token, const struct tr_ca_set *cas, const char *trust_domain, int64_t now_ms,
			     struct tr_buf *ret_claims, struct tr_err *err);

#endif
