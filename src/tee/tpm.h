/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's TPM 2.0, through tpm2-tss: its endorsement key, an attestation key of our own under it, quotes, and the
 * activation that ties both together. The attestation key is a restricted signing key that the TPM made; its blob in the
 * state folder (tpm-ak.cbor) is wrapped by the endorsement key and good in this TPM only: a copy of the folder on another
 * machine gives TR_E_DENIED, never a new key. Nothing is left in the TPM.
 *
 * c->tpm_tcti: "device:/dev/tpmrm0" (also for NULL), "swtpm:path=…", "mssim:…", "tabrmd:…", or "none". */
#ifndef TR_TEE_TPM_H
#define TR_TEE_TPM_H

#include "evidence/tpm.h"
#include "tee/tee.h"

#define TR_TPM_AK_FILE "tpm-ak.cbor"

struct tr_tpm_identity {
	struct tr_buf ak_public; /* TPM2B_PUBLIC */
	struct tr_buf ek_public; /* TPM2B_PUBLIC, default template L-1 (RSA 2048) */
	struct tr_buf ek_cert;   /* DER from NV 0x01c00002; empty: this TPM has none */
};
void tr_tpm_identity_done(struct tr_tpm_identity *i);
TR_DEFINE_AUTO_DONE(struct tr_tpm_identity, tr_tpm_identity_done)
/* Makes the attestation key when the state folder has none. TR_E_DENIED: that folder's key is another TPM's; *ret has that key
 * and this TPM's endorsement key all the same, so that a server can be told. */
TR_RC tr_tpm_identity(const struct tr_tee_conf *c, struct tr_tpm_identity *ret, struct tr_err *err);

/* TPM2_ActivateCredential: opens what tr_tpm_make_credential sealed for this TPM and this attestation key. TR_E_DENIED:
 * it is for another one. */
TR_RC tr_tpm_activate(const struct tr_tee_conf *c, struct tr_view blob /* TPM2B_ID_OBJECT */,
		      struct tr_view secret /* TPM2B_ENCRYPTED_SECRET */, struct tr_buf *ret, struct tr_err *err);

/* The source "tpm": a quote of all PCRs of the SHA-256 bank over ask->qualifying, with their values, the attestation key,
 * the endorsement key (its certificate, or its public area) and the logs of the boot and of IMA where they fit. */
extern const struct tr_tee_source tr_tee_tpm;

#endif
