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
/* Verifies an already parsed COSE_Sign1; checks that alg fits the key. TR_E_DENIED when it does not verify. */
TR_RC tr_cose1_verify(const struct tr_cose *c, const struct tr_pubkey *k, const char *domain, struct tr_err *err);

#endif
