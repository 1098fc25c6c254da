/* SPDX-License-Identifier: Apache-2.0 */
/* tpm2-tss as tpm.c needs it: a connection with the endorsement key and, after load or create, the attestation key in it.
 * Closing flushes both. */
#ifndef TR_TEE_TPM_ESYS_H
#define TR_TEE_TPM_ESYS_H

#include "evidence/tpm.h"

struct tr_tpm_dev;
/* TR_E_UNAVAIL: no TPM answers; TR_E_INVALID: a tcti that nobody knows. */
TR_RC tr_tpm_dev_open(const char *tcti, struct tr_tpm_dev **ret, struct tr_err *err);
struct tr_tpm_dev *tr_tpm_dev_close(struct tr_tpm_dev *d);
TR_DEFINE_AUTO(struct tr_tpm_dev *, tr_tpm_dev_close)

TR_RC tr_tpm_dev_ek(struct tr_tpm_dev *d, struct tr_buf *ret_public, struct tr_err *err);
TR_RC tr_tpm_dev_ek_cert(struct tr_tpm_dev *d, struct tr_buf *ret_der, struct tr_err *err); /* empty: none */
/* An attestation key under the endorsement key: ECDSA P-256, or RSASSA 2048. */
TR_RC tr_tpm_dev_ak_create(struct tr_tpm_dev *d, bool rsa, struct tr_buf *ret_private, struct tr_buf *ret_public,
			   struct tr_err *err);
/* TR_E_DENIED: the blob is another TPM's, or was changed. */
TR_RC tr_tpm_dev_ak_load(struct tr_tpm_dev *d, struct tr_view private_blob, struct tr_view public_area, struct tr_err *err);

TR_RC tr_tpm_dev_activate(struct tr_tpm_dev *d, struct tr_view blob, struct tr_view secret, struct tr_buf *ret,
			  struct tr_err *err);

struct tr_tpm_reading {
	struct tr_tpm_pcr pcrs[TR_TPM_PCRS]; /* SHA-256, in order */
	uint8_t values[TR_TPM_PCRS][32];
	size_t n;
};
TR_RC tr_tpm_dev_pcrs(struct tr_tpm_dev *d, uint32_t pcrs, struct tr_tpm_reading *ret, struct tr_err *err);
/* TPMS_ATTEST and TPMT_SIGNATURE by the loaded attestation key. */
TR_RC tr_tpm_dev_quote(struct tr_tpm_dev *d, struct tr_view qualifying, uint32_t pcrs, struct tr_buf *ret_attest,
		       struct tr_buf *ret_signature, struct tr_err *err);

#endif
