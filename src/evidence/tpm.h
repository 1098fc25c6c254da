/* SPDX-License-Identifier: Apache-2.0 */
/* TPM 2.0 quotes (tee.md 9): attest structure, signature, PCR digest, attestation key; credential activation's verifier
 * half; Azure's HCL report, which ties a vTPM's key to a TEE report (11). Everything big-endian except HCL. */
#ifndef TR_EVIDENCE_TPM_H
#define TR_EVIDENCE_TPM_H

#include "evidence/evidence.h"

#define TR_TPM_PCRS 24
#define TR_TPM_BANKS_MAX 4

struct tr_tpm_selection { enum tr_raw_hash bank; uint32_t pcrs; /* bit p: PCR p */ };
struct tr_tpm_attest {
	struct tr_view signed_bytes, qualified_signer, extra_data, pcr_digest;
	uint64_t clock, firmware;
	uint32_t reset_count, restart_count;
	bool safe;
	size_t n_selections;
	struct tr_tpm_selection selections[TR_TPM_BANKS_MAX];
};
TR_RC tr_tpm_attest_parse(struct tr_view in, struct tr_tpm_attest *ret, enum tr_tee_code *ret_code, struct tr_err *err);

/* TPMT_PUBLIC (or TPM2B_PUBLIC) of a key. */
struct tr_tpm_public {
	enum tr_raw_type type;
	struct tr_view point, modulus;
	uint32_t exponent, attributes;
	uint16_t name_alg, scheme, scheme_hash;
	struct tr_view tpmt;
	uint8_t name[66]; size_t name_len; /* nameAlg || H(TPMT_PUBLIC) */
};
TR_RC tr_tpm_public_parse(struct tr_view in, struct tr_tpm_public *ret, struct tr_err *err);
/* fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign, not decrypt. */
bool tr_tpm_public_is_ak(const struct tr_tpm_public *p);

/* PCR values as the agent sends them: believed only once they hash to the quoted digest. */
struct tr_tpm_pcr { enum tr_raw_hash bank; unsigned index; struct tr_view value; };

enum tr_tpm_ak_trust { TR_AK_NONE, TR_AK_PINNED /* this very key is known */, TR_AK_CERTIFICATE, TR_AK_ACTIVATED, TR_AK_HCL };

struct tr_tpm_in {
	struct tr_view attest, signature;   /* TPMT_SIGNATURE, or raw bytes when scheme says so */
	bool raw_signature;                 /* RSASSA/SHA-256 bytes without TPMT_SIGNATURE (Azure) */
	struct tr_view ak_public;           /* TPMT/TPM2B_PUBLIC; or empty and ak_spki */
	struct tr_view ak_spki;             /* DER SPKI */
	struct tr_view ak_cert;             /* DER; empty: none */
	struct tr_view ak_chain;            /* DER certificates one after the other, intermediates; may be empty */
	const struct tr_view *roots;        /* SPKI DER: vendors' or clouds' AK roots */
	size_t n_roots;
	enum tr_tpm_ak_trust trusted_by;    /* what the caller knows of this key already (PINNED, ACTIVATED) */
	const struct tr_tpm_pcr *pcrs;
	size_t n_pcrs;
	struct tr_view event_log, ima_log;  /* may be empty */
	struct tr_view hcl_report;          /* Azure; may be empty */
	bool allow_sha1_bank;
	bool allow_empty_nonce;
	bool ak_must_be_restricted;         /* needs ak_public */
	struct tr_tee_when when;
	struct tr_view nonce;               /* expected extraData; n == 0: not asked unless allow_empty_nonce */
};
void tr_tpm_verify(const struct tr_tpm_in *in, struct tr_tee_result *ret, struct tr_tpm_attest *ret_attest);

/* TPM2_MakeCredential's arithmetic (TPM 2.0 Part 1, 24): what only the TPM that holds the EK and has the AK of this Name
 * loaded can open. ek: RSA 2048 or P-256 of the default templates. seed32 and ephemeral come from the caller's random so
 * that this stays pure; secret at most 32 bytes. */
TR_RC tr_tpm_make_credential(const struct tr_tpm_public *ek, struct tr_view ak_name, struct tr_view secret,
			     struct tr_buf *ret_blob /* TPM2B_ID_OBJECT */, struct tr_buf *ret_secret /* TPM2B_ENCRYPTED_SECRET */,
			     struct tr_err *err);

/* HCL report: the JSON inside, the hardware report, and whether the latter's report data is the hash of the former. */
struct tr_hcl { struct tr_view json, hw_report; unsigned report_type /* 2 SNP, 4 TDX */; };
TR_RC tr_hcl_parse(struct tr_view in, struct tr_hcl *ret, struct tr_err *err);
/* The key "HCLAkPub" of that JSON (JWK, RSA): modulus and exponent into ret. */
TR_RC tr_hcl_ak(const struct tr_hcl *h, struct tr_raw_key **ret, struct tr_buf *ret_modulus, struct tr_err *err);

#endif
