/* SPDX-License-Identifier: Apache-2.0 */
/* The server's time as a statement: what a client without a trusted clock asks for, signed by the CA key over the
 * client's own nonce, so that no old answer passes. COSE_Sign1, payload CBOR {1: nonce, 2: Unix ns}. */
#ifndef TR_SIGNED_TIME_H
#define TR_SIGNED_TIME_H

#include "signed/cose1.h"

#define TR_TIME_DOMAIN "troth/time/v1"
#define TR_TIME_MAX 2048 /* bytes of the whole COSE_Sign1 */
#define TR_TIME_NONCE_MIN 16
#define TR_TIME_NONCE_MAX 64

/* TR_E_INVALID when the nonce's length or the time is out of range. */
TR_RC tr_time_sign(struct tr_view nonce, int64_t ns, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err);
/* TR_E_INVALID malformed, TR_E_DENIED bad signature, TR_E_CONFLICT an answer to another nonce. */
TR_RC tr_time_verify(struct tr_view in, const struct tr_pubkey *k, struct tr_view nonce, int64_t *ret_ns,
		     struct tr_err *err);

#endif
