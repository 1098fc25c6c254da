/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/tpm_inner.h"

static enum tr_code refuse(enum tr_tee_code code, enum tr_tee_code *ret_code, struct tr_err *err, const char *why)
{
	*ret_code = code;
	return tr_err_set(err, TR_E_INVALID, "the TPM's signature cannot be used", "signature: %s", why);
}

/* Part 2, 11.3.4 */
TR_RC tr_tpm_signature_parse(struct tr_view in, struct tr_tpm_signature *ret, enum tr_tee_code *ret_code, struct tr_err *err)
{
	struct tr_be r = tr_be(in);
	struct tr_tpm_signature s = { .scheme = tr_be_u16(&r) };

	s.hash = tr_tpm_hash(tr_be_u16(&r));
	if (r.bad)
		return refuse(TR_TEEC_TPM_FORMAT, ret_code, err, "cut short");
	/* No signature over SHA-1 is worth anything: two documents of one digest can be made. */
	if (s.hash == TR_HASH_NONE || s.hash == TR_HASH_SHA1)
		return refuse(TR_TEEC_TPM_SCHEME, ret_code, err, "its hash is not SHA-256, SHA-384 or SHA-512");
	switch (s.scheme) {
	case TPM_ALG_RSASSA:
	case TPM_ALG_RSAPSS:
		s.rsa = tr_be_sized(&r);
		break;
	case TPM_ALG_ECDSA:
		s.r = tr_be_sized(&r);
		s.s = tr_be_sized(&r);
		break;
	default:
		return refuse(TR_TEEC_TPM_SCHEME, ret_code, err, "it is not RSASSA, RSAPSS or ECDSA");
	}
	if (!tr_be_done(&r))
		return refuse(TR_TEEC_TPM_FORMAT, ret_code, err, r.bad ? "cut short" : "bytes follow its end");
	*ret = s;
	*ret_code = TR_TEEC_OK;
	return TR_OK;
}

TR_RC tr_tpm_signature_verify(const struct tr_tpm_signature *s, const struct tr_raw_key *k, struct tr_view message,
			      struct tr_err *err)
{
	bool rsa = tr_raw_key_type(k) == TR_RAW_RSA;

	if (rsa != (s->scheme != TPM_ALG_ECDSA))
		return tr_err_set(err, TR_E_DENIED, "the signature's scheme does not fit the key", "scheme %04x", s->scheme);
	if (s->scheme == TPM_ALG_ECDSA)
		return tr_raw_verify_ecdsa(k, s->hash, &message, 1, s->r, s->s, err);
	if (s->scheme == TPM_ALG_RSASSA)
		return tr_raw_verify_rsa(k, s->hash, message, s->rsa, err);
	/* TPMs salt with the digest's length (FIPS) or with as much as fits: the signature says which. */
	return tr_raw_verify_pss(k, s->hash, -1, message, s->rsa, err);
}
