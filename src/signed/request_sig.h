/* SPDX-License-Identifier: Apache-2.0 */
/* A signature over a request to the hub, which carries all that is signed (TE-5; the original's left out its timestamp, so
 * nobody could check it). The signed text, UTF-8, each line ended by LF:
 *
 *   troth/request/v1
 *   <method> <path as sent, with its query>
 *   <X-Requesting-Agent>
 *   <X-Timestamp: Unix seconds, decimal>
 *   <X-Nonce: 16 to 64 characters of base64url>
 *   <lower hex SHA-256 of the body; of nothing for none>
 *
 * X-Attestation-Signature is base64 of the signature: Ed25519, ECDSA P-256 as r || s, or RSASSA-PSS with SHA-256. */
#ifndef TR_SIGNED_REQUEST_SIG_H
#define TR_SIGNED_REQUEST_SIG_H

#include "crypto/key.h"

struct tr_request_sig { struct tr_view method, target, agent, timestamp, nonce; uint8_t body_sha256[32]; };
/* TR_E_INVALID: a field breaks its grammar (and could smuggle a line). */
TR_RC tr_request_sig_text(const struct tr_request_sig *r, struct tr_buf *ret, int64_t *ret_unix_s, struct tr_err *err);
TR_RC tr_request_sig_make(const struct tr_request_sig *r, const struct tr_privkey *k, struct tr_buf *ret_b64,
			  struct tr_err *err);
TR_RC tr_request_sig_verify(const struct tr_request_sig *r, struct tr_view sig_b64, const struct tr_pubkey *k,
			    struct tr_err *err);

#endif
