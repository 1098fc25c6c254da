/* SPDX-License-Identifier: Apache-2.0 */
/* The original claim (BA-2): RSASSA-PKCS1-v1_5/SHA-256 over "node_id:binary_hash:version:unix_seconds", JSON body.
 * Fleet-wide key, so its trust tier is at most self-asserted; off unless configured. The grammars (no ':' in node id
 * and version, exactly 64 hex digits) make the colon form unambiguous. Ed25519 and P-256 (DER) keys are accepted too:
 * the key decides the scheme, nothing in the claim does. */
#ifndef TR_SIGNED_CLAIM_ORIGINAL_H
#define TR_SIGNED_CLAIM_ORIGINAL_H

#include "codec/json.h"
#include "crypto/key.h"

#define TR_CLAIM_ORIGINAL_MAX 4096 /* bytes of JSON */

struct tr_claim_original {
	struct tr_view node_id;
	struct tr_view binary_hash; /* "sha256:<64 lower-case hex>" */
	struct tr_view version;
	struct tr_view signature;   /* base64 text */
	int64_t timestamp_s;
};

/* The signed bytes, bit for bit as the original; also for fields that the verifier would refuse (golden vector). */
void tr_claim_original_tbs(const struct tr_claim_original *c, struct tr_buf *b);
/* Signs and writes the JSON object. */
TR_RC tr_claim_original_sign(const struct tr_claim_original *c, const struct tr_privkey *k, enum tr_sig_alg alg,
			     struct tr_buf *ret_json, struct tr_err *err);
/* Reads a claim object; demands the grammars. Borrows from the document. */
TR_RC tr_claim_original_read(tr_jnode object, struct tr_claim_original *ret, struct tr_err *err);
/* TR_E_DENIED when the signature does not verify. RSA keys: PKCS#1 v1.5 only, as the original. */
TR_RC tr_claim_original_verify(const struct tr_claim_original *c, const struct tr_pubkey *k, struct tr_err *err);

#endif
