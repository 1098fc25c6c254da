/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer secrets as people carry them. Not signed, but here because the enrolment token carries the pin by which every
 * signature is later trusted.
 *
 *   trt_<22>_<43>  enrolment: 128 random bits, then the SHA-256 of the root set (base64url, unpadded)
 *   tro_<43>       operator: 256 random bits
 *
 * The server keeps only SHA-256 of the secret part ("trt_<22>" or "tro_<43>"), so a stolen store opens nothing. */
#ifndef TR_SIGNED_TOKEN_H
#define TR_SIGNED_TOKEN_H

#include "crypto/hash.h"
#include "base/buf.h"

enum tr_token_kind { TR_TOKEN_NONE, TR_TOKEN_ENROL, TR_TOKEN_OPERATOR };

/* Appends a fresh enrolment token's text and gives the hash to store. */
void tr_token_make_enrol(const uint8_t root_pin[32], struct tr_buf *ret_text, uint8_t ret_hash[32]);
void tr_token_make_operator(struct tr_buf *ret_text, uint8_t ret_hash[32]);

/* Which kind the text is and the hash of its secret part; TR_TOKEN_NONE for anything else. ret_pin (may be NULL) is
 * filled for enrolment tokens. */
enum tr_token_kind tr_token_read(struct tr_view text, uint8_t ret_hash[32], uint8_t *ret_pin);

#endif
