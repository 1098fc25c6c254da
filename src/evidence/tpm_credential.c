/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"
#include "crypto/tpm_seal.h"
#include "evidence/tpm_inner.h"

TR_RC tr_tpm_make_credential(const struct tr_tpm_public *ek, struct tr_view ak_name, struct tr_view secret,
			     struct tr_buf *ret_blob, struct tr_buf *ret_secret, struct tr_err *err)
{
	uint8_t seed[TR_TPM_SEED_LEN];
	enum tr_code rc;

	/* A TPM of another template would answer with an error that nobody could explain. */
	if (ek->name_alg != TPM_ALG_SHA256 || !ek->aes128_cfb || (ek->type == TR_RAW_RSA && ek->exponent != 65537))
		return tr_err_set(err, TR_E_INVALID, "the endorsement key is not of a default template",
				  "nameAlg %04x, AES-128-CFB %d", ek->name_alg, ek->aes128_cfb);
	if (!tr_tpm_public_is_ek(ek))
		return tr_err_set(err, TR_E_INVALID, "that key is no endorsement key", "attributes %08x", ek->attributes);
	if (ak_name.n != 34)
		return tr_err_set(err, TR_E_INVALID, "the attestation key's Name is not of SHA-256", "%zu bytes", ak_name.n);
	switch (ek->type) {
	case TR_RAW_RSA: rc = tr_tpm_seed_rsa(ek->modulus, seed, ret_secret, err); break;
	case TR_RAW_P256: rc = tr_tpm_seed_p256(tr_tpm_public_point(ek), seed, ret_secret, err); break;
	default: rc = tr_err_set(err, TR_E_INVALID, "only endorsement keys of RSA 2048 or P-256 are supported", "type %d",
				 ek->type);
	}
	if (!rc)
		rc = tr_tpm_seal(seed, ak_name, secret, ret_blob, err);
	tr_wipe(seed, sizeof(seed));
	return rc;
}
