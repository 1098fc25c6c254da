/* SPDX-License-Identifier: Apache-2.0 */
/* The secret that only one TPM can open: the two halves of TPM2_MakeCredential (TPM 2.0 Part 1, 24 and annexes B.10.4 and
 * C.6.4), for endorsement keys of the default templates (RSA 2048 or P-256, SHA-256, AES-128-CFB). */
#ifndef TR_CRYPTO_TPM_SEAL_H
#define TR_CRYPTO_TPM_SEAL_H

#include "base/buf.h"

#define TR_TPM_SEED_LEN 32
#define TR_TPM_SECRET_MAX 32 /* as long as the Name's digest */

/* A fresh seed, and what carries it to the TPM: TPM2B_ENCRYPTED_SECRET. modulus: 256 bytes, exponent 65537. */
TR_RC tr_tpm_seed_rsa(struct tr_view modulus, uint8_t ret_seed[TR_TPM_SEED_LEN], struct tr_buf *ret_secret,
		      struct tr_err *err);
/* point: x || y. */
TR_RC tr_tpm_seed_p256(struct tr_view point, uint8_t ret_seed[TR_TPM_SEED_LEN], struct tr_buf *ret_secret,
		       struct tr_err *err);
/* The secret under that seed, for the object of that Name only: TPM2B_ID_OBJECT. Pure. */
TR_RC tr_tpm_seal(const uint8_t seed[TR_TPM_SEED_LEN], struct tr_view name, struct tr_view secret, struct tr_buf *ret_blob,
		  struct tr_err *err);

/* Part 1, 11.4.10.2 with SHA-256, at most 32 bytes. The label is given without its NUL. */
void tr_tpm_kdfa(struct tr_view key, const char *label, struct tr_view u, struct tr_view v, uint8_t *out, size_t n);

#endif
