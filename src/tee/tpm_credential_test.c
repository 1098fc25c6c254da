/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials that we make, opened by a TPM that is not ours to write (swtpm): RSA and P-256 endorsement keys. */
#include "tee/swtpm_test.h"

#include <tss2/tss2_mu.h>

static void a_credential_of_ours_opens_in_its_tpm_only(void **state)
{
	tr_auto(machine_done) struct machine m = { .dir = "" };
	tr_auto(machine_done) struct machine other = { .dir = "" };
	tr_auto(tr_tpm_identity_done) struct tr_tpm_identity i = { 0 }, theirs = { 0 };
	tr_auto(tr_buf_done) struct tr_buf blob = TR_BUF_INIT, secret = TR_BUF_INIT, got = TR_BUF_INIT;
	struct tr_tpm_public ak, ek;
	uint8_t value[32];
	struct tr_err err;

	(void)state;
	if (!has_swtpm())
		skip();
	machine_make(&m, false);
	machine_make(&other, false);
	(void)sound(tr_tpm_identity(&m.conf, &i, &err), &err, &i.ak_public);
	(void)sound(tr_tpm_identity(&other.conf, &theirs, &err), &err, &theirs.ak_public);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&i.ak_public), &ak, &err), TR_OK);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&i.ek_public), &ek, &err), TR_OK);
	tr_random(value, sizeof(value));
	assert_int_equal(tr_tpm_make_credential(&ek, tr_view(ak.name, ak.name_len), TR_VIEW_ARRAY(value), &blob, &secret, &err),
			 TR_OK);
	(void)sound(tr_tpm_activate(&m.conf, tr_buf_view(&blob), tr_buf_view(&secret), &got, &err), &err, &got);
	assert_true(tr_view_eq(tr_buf_view(&got), TR_VIEW_ARRAY(value)));
	assert_int_equal(tr_tpm_activate(&other.conf, tr_buf_view(&blob), tr_buf_view(&secret), &got, &err), TR_E_DENIED);
	/* Every byte of both counts, and so does the Name. */
	for (size_t at = 4; at < blob.n; at += 9) {
		blob.p[at] ^= 1;
		assert_int_equal(tr_tpm_activate(&m.conf, tr_buf_view(&blob), tr_buf_view(&secret), &got, &err), TR_E_DENIED);
		blob.p[at] ^= 1;
	}
	secret.p[100] ^= 1;
	assert_int_equal(tr_tpm_activate(&m.conf, tr_buf_view(&blob), tr_buf_view(&secret), &got, &err), TR_E_DENIED);
	assert_int_equal(tr_tpm_activate(&m.conf, tr_view(blob.p, blob.n - 1), tr_buf_view(&secret), &got, &err), TR_E_INVALID);
	tr_buf_clear(&blob);
	tr_buf_clear(&secret);
	ak.name[20] ^= 1;
	assert_int_equal(tr_tpm_make_credential(&ek, tr_view(ak.name, ak.name_len), TR_VIEW_ARRAY(value), &blob, &secret, &err),
			 TR_OK);
	assert_int_equal(tr_tpm_activate(&m.conf, tr_buf_view(&blob), tr_buf_view(&secret), &got, &err), TR_E_DENIED);
}

/* Template L-2 of the EK Credential Profile; and an attestation key as a primary, which needs no parent's policy. */
static const TPM2B_PUBLIC ecc_ek = { .publicArea = {
	.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256, .objectAttributes = 0x000300b2,
	.authPolicy = { .size = 32, .buffer = { 0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46,
						0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1,
						0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa } },
	.parameters.eccDetail = { .symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
				  .scheme.scheme = TPM2_ALG_NULL, .curveID = TPM2_ECC_NIST_P256, .kdf.scheme = TPM2_ALG_NULL },
	.unique.ecc = { .x.size = 32, .y.size = 32 },
} };
static const TPM2B_PUBLIC primary_ak = { .publicArea = {
	.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256, .objectAttributes = 0x00050072,
	.parameters.eccDetail = { .symmetric.algorithm = TPM2_ALG_NULL,
				  .scheme = { .scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256 },
				  .curveID = TPM2_ECC_NIST_P256, .kdf.scheme = TPM2_ALG_NULL },
} };

static ESYS_TR primary(ESYS_CONTEXT *esys, const TPM2B_PUBLIC *template, struct tr_buf *ret_public)
{
	static const TPM2B_SENSITIVE_CREATE sensitive;
	static const TPM2B_DATA outside;
	static const TPML_PCR_SELECTION none;
	TPM2B_PUBLIC *p = NULL;
	uint8_t bytes[sizeof(*p)];
	ESYS_TR handle;
	size_t n = 0;

	assert_int_equal(Esys_CreatePrimary(esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
					    &sensitive, template, &outside, &none, &handle, &p, NULL, NULL, NULL),
			 TSS2_RC_SUCCESS);
	assert_int_equal(Tss2_MU_TPM2B_PUBLIC_Marshal(p, bytes, sizeof(bytes), &n), TSS2_RC_SUCCESS);
	tr_buf_add(ret_public, bytes, n);
	Esys_Free(p);
	return handle;
}

static void a_p256_endorsement_key_opens_it_too(void **state)
{
	tr_auto(machine_done) struct machine m = { .dir = "" };
	tr_auto(tr_buf_done) struct tr_buf ek_area = TR_BUF_INIT, ak_area = TR_BUF_INIT, blob = TR_BUF_INIT,
				  secret = TR_BUF_INIT;
	static const TPMT_SYM_DEF no_sym = { .algorithm = TPM2_ALG_NULL };
	TPM2B_ENCRYPTED_SECRET enc = { 0 };
	TPM2B_ID_OBJECT id = { 0 };
	TPM2B_DIGEST *got = NULL;
	TSS2_TCTI_CONTEXT *tcti = NULL;
	ESYS_CONTEXT *esys = NULL;
	ESYS_TR ek_handle, ak_handle, policy;
	struct tr_tpm_public ek, ak;
	size_t at = 0, at_secret = 0;
	struct tr_err err;

	(void)state;
	if (!has_swtpm())
		skip();
	machine_make(&m, false);
	assert_int_equal(Tss2_TctiLdr_Initialize(m.tcti, &tcti), TSS2_RC_SUCCESS);
	assert_int_equal(Esys_Initialize(&esys, tcti, NULL), TSS2_RC_SUCCESS);
	ek_handle = primary(esys, &ecc_ek, &ek_area);
	ak_handle = primary(esys, &primary_ak, &ak_area);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&ek_area), &ek, &err), TR_OK);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&ak_area), &ak, &err), TR_OK);
	assert_int_equal(ek.type, TR_RAW_P256);
	assert_int_equal(tr_tpm_make_credential(&ek, tr_view(ak.name, ak.name_len), TR_VIEW_LIT("twenty bytes of it, a"), &blob,
						&secret, &err), TR_OK);
	assert_int_equal(Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(blob.p, blob.n, &at, &id), TSS2_RC_SUCCESS);
	assert_int_equal(Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(secret.p, secret.n, &at_secret, &enc), TSS2_RC_SUCCESS);
	assert_int_equal(Esys_StartAuthSession(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL,
					       TPM2_SE_POLICY, &no_sym, TPM2_ALG_SHA256, &policy), TSS2_RC_SUCCESS);
	assert_int_equal(Esys_PolicySecret(esys, ESYS_TR_RH_ENDORSEMENT, policy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
					   NULL, NULL, NULL, 0, NULL, NULL), TSS2_RC_SUCCESS);
	assert_int_equal(Esys_ActivateCredential(esys, ak_handle, ek_handle, ESYS_TR_PASSWORD, policy, ESYS_TR_NONE, &id, &enc,
						 &got), TSS2_RC_SUCCESS);
	assert_true(tr_view_is(tr_view(got->buffer, got->size), "twenty bytes of it, a"));
	Esys_Free(got);
	Esys_Finalize(&esys);
	Tss2_TctiLdr_Finalize(&tcti);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_credential_of_ours_opens_in_its_tpm_only),
		cmocka_unit_test(a_p256_endorsement_key_opens_it_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
