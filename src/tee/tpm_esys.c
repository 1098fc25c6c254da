/* SPDX-License-Identifier: Apache-2.0 */
#include "tee/tpm_esys.h"

#include "codec/pem.h"

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#define NONE ESYS_TR_NONE, ESYS_TR_NONE
#define EK_CERT_INDEX 0x01c00002u  /* TCG EK Credential Profile 2.2.1.4: RSA 2048 */
#define EK_PERSISTENT 0x81010001u  /* TCG TPM v2.0 Provisioning Guidance 7.8 */
#define EK_CERT_MAX 8192u
#define UNAVAIL_PUB "the TPM does not answer as it should; see the log"

struct tr_tpm_dev {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR ek, ak, policy;
	bool ek_is_persistent;
	TPM2B_PUBLIC ek_public;
};

static enum tr_code fail(struct tr_err *err, enum tr_code code, const char *what, TSS2_RC rc)
{
	return tr_err_set(err, code, code == TR_E_UNAVAIL ? UNAVAIL_PUB : "the TPM refuses; see the log", "%s: %s (0x%x)", what,
			  Tss2_RC_Decode(rc), rc);
}

/* Only names: the loader takes a path to any library as well. */
static bool tcti_ok(const char *tcti)
{
	static const char *const known[] = { "device:", "swtpm:", "mssim:", "tabrmd:" };

	for (size_t i = 0; i < TR_ARRAY_LEN(known); i++)
		if (strncmp(tcti, known[i], strlen(known[i])) == 0)
			return true;
	return false;
}

static void flush(struct tr_tpm_dev *d, ESYS_TR *handle)
{
	if (*handle != ESYS_TR_NONE)
		(void)Esys_FlushContext(d->esys, *handle);
	*handle = ESYS_TR_NONE;
}

struct tr_tpm_dev *tr_tpm_dev_close(struct tr_tpm_dev *d)
{
	if (!d)
		return NULL;
	if (d->esys) {
		flush(d, &d->policy);
		flush(d, &d->ak);
		if (d->ek_is_persistent)
			(void)Esys_TR_Close(d->esys, &d->ek);
		else
			flush(d, &d->ek);
		Esys_Finalize(&d->esys);
	}
	Tss2_TctiLdr_Finalize(&d->tcti);
	free(d);
	return NULL;
}

/* Part 1, 19.7.5: what the default templates' authPolicy asks for. A session is good for one command. */
static TR_RC begin_policy(struct tr_tpm_dev *d, struct tr_err *err)
{
	const TPMT_SYM_DEF none = { .algorithm = TPM2_ALG_NULL };
	TSS2_RC rc;

	flush(d, &d->policy);
	rc = Esys_StartAuthSession(d->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NONE, NULL, TPM2_SE_POLICY, &none,
				   TPM2_ALG_SHA256, &d->policy);
	if (rc)
		return fail(err, TR_E_UNAVAIL, "policy session", rc);
	rc = Esys_PolicySecret(d->esys, ESYS_TR_RH_ENDORSEMENT, d->policy, ESYS_TR_PASSWORD, NONE, NULL, NULL, NULL, 0, NULL,
			       NULL);
	/* An endorsement hierarchy with a password is its owner's, and we are not told it. */
	return rc ? fail(err, TR_E_UNAVAIL, "PolicySecret of the endorsement hierarchy", rc) : TR_OK;
}

/* TCG EK Credential Profile B.3.3, template L-1. */
static const TPM2B_PUBLIC ek_template = {
	.publicArea = {
		.type = TPM2_ALG_RSA,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
				    TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
		.authPolicy = { .size = 32, .buffer = { 0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
							0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
							0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa } },
		.parameters.rsaDetail = {
			.symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
			.scheme.scheme = TPM2_ALG_NULL,
			.keyBits = 2048,
		},
		.unique.rsa.size = 256,
	},
};

static bool is_our_ek(const TPM2B_PUBLIC *p)
{
	const TPMT_PUBLIC *a = &p->publicArea, *b = &ek_template.publicArea;

	return a->type == b->type && a->nameAlg == b->nameAlg && a->objectAttributes == b->objectAttributes &&
	       a->authPolicy.size == b->authPolicy.size &&
	       !memcmp(a->authPolicy.buffer, b->authPolicy.buffer, b->authPolicy.size) &&
	       a->parameters.rsaDetail.keyBits == 2048;
}

/* Where the machine's owner keeps the key loaded it is used: making it anew takes a real TPM seconds. */
static bool use_persistent(struct tr_tpm_dev *d)
{
	TPM2B_PUBLIC *p = NULL;
	bool ok;

	if (Esys_TR_FromTPMPublic(d->esys, EK_PERSISTENT, ESYS_TR_NONE, NONE, &d->ek)) {
		d->ek = ESYS_TR_NONE;
		return false;
	}
	ok = Esys_ReadPublic(d->esys, d->ek, ESYS_TR_NONE, NONE, &p, NULL, NULL) == TSS2_RC_SUCCESS && is_our_ek(p);
	if (ok)
		d->ek_public = *p;
	else
		(void)Esys_TR_Close(d->esys, &d->ek);
	Esys_Free(p);
	if (!ok)
		d->ek = ESYS_TR_NONE;
	d->ek_is_persistent = ok;
	return ok;
}

static TR_RC make_ek(struct tr_tpm_dev *d, struct tr_err *err)
{
	const TPM2B_SENSITIVE_CREATE sensitive = { 0 };
	const TPM2B_DATA outside = { 0 };
	const TPML_PCR_SELECTION no_pcrs = { 0 };
	TPM2B_PUBLIC *p = NULL;
	TSS2_RC rc;

	rc = Esys_CreatePrimary(d->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, NONE, &sensitive, &ek_template, &outside,
				&no_pcrs, &d->ek, &p, NULL, NULL, NULL);
	if (rc) {
		d->ek = ESYS_TR_NONE;
		return fail(err, TR_E_UNAVAIL, "endorsement key", rc);
	}
	d->ek_public = *p;
	Esys_Free(p);
	return TR_OK;
}

static TR_RC start(struct tr_tpm_dev *d, const char *tcti, struct tr_err *err)
{
	TSS2_RC rc = Tss2_TctiLdr_Initialize(tcti, &d->tcti);

	if (!rc)
		rc = Esys_Initialize(&d->esys, d->tcti, NULL);
	if (rc)
		return fail(err, TR_E_UNAVAIL, tcti, rc);
	/* The kernel starts its own device; a software TPM may still wait for somebody. */
	if (strncmp(tcti, "device:", 7) != 0) {
		rc = Esys_Startup(d->esys, TPM2_SU_CLEAR);
		if (rc && rc != TPM2_RC_INITIALIZE)
			return fail(err, TR_E_UNAVAIL, "startup", rc);
	}
	return use_persistent(d) ? TR_OK : make_ek(d, err);
}

TR_RC tr_tpm_dev_open(const char *tcti, struct tr_tpm_dev **ret, struct tr_err *err)
{
	tr_auto(tr_tpm_dev_close) struct tr_tpm_dev *d = NULL;

	if (!tcti)
		tcti = "device:/dev/tpmrm0";
	if (!tcti_ok(tcti))
		return tr_err_set(err, TR_E_INVALID, "tcti begins with device:, swtpm:, mssim: or tabrmd:", "%s", tcti);
	/* The library writes to stderr what we say in one sentence. */
	(void)setenv("TSS2_LOG", "all+NONE", 0);
	d = calloc(1, sizeof(*d));
	if (!d)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "TPM");
	d->ek = d->ak = d->policy = ESYS_TR_NONE;
	if (start(d, tcti, err))
		return tr_err_wrap(err, "TPM");
	*ret = TR_TAKE(d);
	return TR_OK;
}

static TR_RC put_public(const TPM2B_PUBLIC *p, struct tr_buf *ret, struct tr_err *err)
{
	uint8_t bytes[sizeof(*p)];
	size_t n = 0;
	TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Marshal(p, bytes, sizeof(bytes), &n);

	if (rc)
		return fail(err, TR_E_INTERNAL, "public area", rc);
	tr_buf_add(ret, bytes, n);
	return tr_buf_check(ret, err);
}

TR_RC tr_tpm_dev_ek(struct tr_tpm_dev *d, struct tr_buf *ret_public, struct tr_err *err)
{
	return put_public(&d->ek_public, ret_public, err);
}

static TSS2_RC read_nv(struct tr_tpm_dev *d, ESYS_TR nv, uint16_t size, struct tr_buf *ret)
{
	/* What every TPM gives at once (PC Client profile, 4.5). */
	const uint16_t step = 512;

	for (uint16_t at = 0; at < size;) {
		uint16_t n = (uint16_t)(size - at) < step ? (uint16_t)(size - at) : step;
		TPM2B_MAX_NV_BUFFER *got = NULL;
		TSS2_RC rc = Esys_NV_Read(d->esys, nv, nv, ESYS_TR_PASSWORD, NONE, n, at, &got);

		if (rc) /* some makers let the owner read only */
			rc = Esys_NV_Read(d->esys, ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD, NONE, n, at, &got);
		if (rc)
			return rc;
		tr_buf_add(ret, got->buffer, got->size);
		at = (uint16_t)(at + n);
		Esys_Free(got);
	}
	return TSS2_RC_SUCCESS;
}

TR_RC tr_tpm_dev_ek_cert(struct tr_tpm_dev *d, struct tr_buf *ret_der, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf raw = TR_BUF_INIT;
	TPM2B_NV_PUBLIC *p = NULL;
	ESYS_TR nv = ESYS_TR_NONE;
	struct tr_view in;
	struct tr_der whole;
	TSS2_RC rc = Esys_TR_FromTPMPublic(d->esys, EK_CERT_INDEX, ESYS_TR_NONE, NONE, &nv);

	/* TPM2_RC_HANDLE: no such index. Whatever else is wrong, the key works without its certificate. */
	if (rc)
		return TR_OK;
	rc = Esys_NV_ReadPublic(d->esys, nv, ESYS_TR_NONE, NONE, &p, NULL);
	if (!rc && p->nvPublic.dataSize <= EK_CERT_MAX)
		rc = read_nv(d, nv, p->nvPublic.dataSize, &raw);
	Esys_Free(p);
	(void)Esys_TR_Close(d->esys, &nv);
	if (rc)
		return fail(err, TR_E_UNAVAIL, "certificate of the endorsement key", rc);
	/* The index may be longer than what is in it. */
	in = tr_buf_view(&raw);
	if (tr_buf_ok(&raw) && tr_der_next(&in, &whole) && whole.tag == 0x30)
		tr_buf_addv(ret_der, whole.whole);
	return tr_buf_check(ret_der, err);
}

static TPM2B_PUBLIC ak_template(bool rsa)
{
	TPM2B_PUBLIC p = { .publicArea = {
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
				    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
	} };

	if (rsa) {
		p.publicArea.type = TPM2_ALG_RSA;
		p.publicArea.parameters.rsaDetail = (TPMS_RSA_PARMS){
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme = { .scheme = TPM2_ALG_RSASSA, .details.rsassa.hashAlg = TPM2_ALG_SHA256 },
			.keyBits = 2048,
		};
	} else {
		p.publicArea.type = TPM2_ALG_ECC;
		p.publicArea.parameters.eccDetail = (TPMS_ECC_PARMS){
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme = { .scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256 },
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		};
	}
	return p;
}

static TR_RC create(struct tr_tpm_dev *d, bool rsa, TPM2B_PRIVATE **ret_private, TPM2B_PUBLIC **ret_public, struct tr_err *err)
{
	const TPM2B_PUBLIC template = ak_template(rsa);
	const TPM2B_SENSITIVE_CREATE sensitive = { 0 };
	const TPM2B_DATA outside = { 0 };
	const TPML_PCR_SELECTION no_pcrs = { 0 };
	TSS2_RC rc;

	if (begin_policy(d, err))
		return err->code;
	rc = Esys_Create(d->esys, d->ek, d->policy, NONE, &sensitive, &template, &outside, &no_pcrs, ret_private, ret_public,
			 NULL, NULL, NULL);
	return rc ? fail(err, TR_E_UNAVAIL, "attestation key", rc) : TR_OK;
}

TR_RC tr_tpm_dev_ak_create(struct tr_tpm_dev *d, bool rsa, struct tr_buf *ret_private, struct tr_buf *ret_public,
			   struct tr_err *err)
{
	TPM2B_PRIVATE *priv = NULL;
	TPM2B_PUBLIC *pub = NULL;
	uint8_t bytes[sizeof(*priv)];
	size_t n = 0;
	TSS2_RC rc;

	if (create(d, rsa, &priv, &pub, err))
		return err->code;
	rc = Tss2_MU_TPM2B_PRIVATE_Marshal(priv, bytes, sizeof(bytes), &n);
	if (rc)
		(void)fail(err, TR_E_INTERNAL, "private blob", rc);
	else if (!put_public(pub, ret_public, err))
		tr_buf_add(ret_private, bytes, n);
	Esys_Free(priv);
	Esys_Free(pub);
	if (rc || !ret_public->n)
		return err->code;
	return tr_buf_check(ret_private, err);
}

TR_RC tr_tpm_dev_ak_load(struct tr_tpm_dev *d, struct tr_view private_blob, struct tr_view public_area, struct tr_err *err)
{
	TPM2B_PRIVATE priv = { 0 };
	TPM2B_PUBLIC pub = { 0 };
	size_t at = 0, at_public = 0;
	TSS2_RC rc;

	if (Tss2_MU_TPM2B_PRIVATE_Unmarshal(private_blob.p, private_blob.n, &at, &priv) || at != private_blob.n ||
	    Tss2_MU_TPM2B_PUBLIC_Unmarshal(public_area.p, public_area.n, &at_public, &pub) || at_public != public_area.n)
		return tr_err_set(err, TR_E_INVALID, "the attestation key's file is damaged", "TPM2B");
	if (begin_policy(d, err))
		return err->code;
	flush(d, &d->ak);
	rc = Esys_Load(d->esys, d->ek, d->policy, NONE, &priv, &pub, &d->ak);
	if (!rc)
		return TR_OK;
	d->ak = ESYS_TR_NONE;
	/* Not wrapped by this TPM's key, or changed since. */
	return fail(err, (rc & 0xbf) == TPM2_RC_INTEGRITY ? TR_E_DENIED : TR_E_UNAVAIL, "load of the attestation key", rc);
}

TR_RC tr_tpm_dev_activate(struct tr_tpm_dev *d, struct tr_view blob, struct tr_view secret, struct tr_buf *ret,
			  struct tr_err *err)
{
	TPM2B_ID_OBJECT id = { 0 };
	TPM2B_ENCRYPTED_SECRET enc = { 0 };
	TPM2B_DIGEST *got = NULL;
	size_t at = 0, at_secret = 0;
	TSS2_RC rc;

	if (Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(blob.p, blob.n, &at, &id) || at != blob.n ||
	    Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(secret.p, secret.n, &at_secret, &enc) || at_secret != secret.n)
		return tr_err_set(err, TR_E_INVALID, "the credential is malformed", "TPM2B_ID_OBJECT of %zu bytes", blob.n);
	if (begin_policy(d, err))
		return err->code;
	rc = Esys_ActivateCredential(d->esys, d->ak, d->ek, ESYS_TR_PASSWORD, d->policy, ESYS_TR_NONE, &id, &enc, &got);
	if (rc)
		return fail(err, TR_E_DENIED, "credential", rc);
	tr_buf_add(ret, got->buffer, got->size);
	Esys_Free(got);
	return tr_buf_check(ret, err);
}

static TPML_PCR_SELECTION selection(uint32_t pcrs)
{
	TPML_PCR_SELECTION s = { .count = 1 };

	s.pcrSelections[0] = (TPMS_PCR_SELECTION){ .hash = TPM2_ALG_SHA256, .sizeofSelect = 3 };
	for (unsigned i = 0; i < 3; i++)
		s.pcrSelections[0].pcrSelect[i] = (uint8_t)(pcrs >> 8 * i);
	return s;
}

/* One call gives eight values at most, and says which. */
static TR_RC read_some(struct tr_tpm_dev *d, uint32_t *left, struct tr_tpm_reading *ret, struct tr_err *err)
{
	const TPML_PCR_SELECTION want = selection(*left);
	TPML_PCR_SELECTION *got = NULL;
	TPML_DIGEST *values = NULL;
	TSS2_RC rc = Esys_PCR_Read(d->esys, ESYS_TR_NONE, NONE, &want, NULL, &got, &values);
	uint32_t which = 0, i = 0;

	if (rc)
		return fail(err, TR_E_UNAVAIL, "PCRs", rc);
	if (got->count == 1 && got->pcrSelections[0].hash == TPM2_ALG_SHA256)
		for (unsigned k = 0; k < 3; k++)
			which |= (uint32_t)got->pcrSelections[0].pcrSelect[k] << 8 * k;
	which &= *left;
	for (unsigned p = 0; p < TR_TPM_PCRS; p++) {
		if (!(which >> p & 1) || i == values->count || values->digests[i].size != 32 || ret->n == TR_TPM_PCRS)
			continue;
		memcpy(ret->values[ret->n], values->digests[i++].buffer, 32);
		ret->pcrs[ret->n] = (struct tr_tpm_pcr){ TR_HASH_SHA256, p, tr_view(ret->values[ret->n], 32) };
		ret->n++;
	}
	Esys_Free(got);
	Esys_Free(values);
	if (!which || !i)
		return tr_err_set(err, TR_E_UNAVAIL, "this TPM keeps no SHA-256 PCRs: switch that bank on in the firmware",
				  "PCRs %06x are not there", *left);
	*left &= ~which;
	return TR_OK;
}

TR_RC tr_tpm_dev_pcrs(struct tr_tpm_dev *d, uint32_t pcrs, struct tr_tpm_reading *ret, struct tr_err *err)
{
	ret->n = 0;
	while (pcrs)
		if (read_some(d, &pcrs, ret, err))
			return err->code;
	return TR_OK;
}

TR_RC tr_tpm_dev_quote(struct tr_tpm_dev *d, struct tr_view qualifying, uint32_t pcrs, struct tr_buf *ret_attest,
		       struct tr_buf *ret_signature, struct tr_err *err)
{
	const TPML_PCR_SELECTION want = selection(pcrs);
	const TPMT_SIG_SCHEME own = { .scheme = TPM2_ALG_NULL };
	TPM2B_DATA data = { .size = (uint16_t)qualifying.n };
	TPMT_SIGNATURE *sig = NULL;
	TPM2B_ATTEST *attest = NULL;
	uint8_t bytes[sizeof(*sig)];
	size_t n = 0;
	TSS2_RC rc;

	if (qualifying.n > 32)
		return tr_err_set(err, TR_E_INTERNAL, "the question is too long", "%zu bytes", qualifying.n);
	memcpy(data.buffer, qualifying.p, qualifying.n);
	rc = Esys_Quote(d->esys, d->ak, ESYS_TR_PASSWORD, NONE, &data, &own, &want, &attest, &sig);
	if (!rc)
		rc = Tss2_MU_TPMT_SIGNATURE_Marshal(sig, bytes, sizeof(bytes), &n);
	if (!rc) {
		tr_buf_add(ret_attest, attest->attestationData, attest->size);
		tr_buf_add(ret_signature, bytes, n);
	}
	Esys_Free(attest);
	Esys_Free(sig);
	if (rc)
		return fail(err, TR_E_UNAVAIL, "quote", rc);
	if (tr_buf_check(ret_attest, err))
		return err->code;
	return tr_buf_check(ret_signature, err);
}
