/* SPDX-License-Identifier: Apache-2.0 */
/* TPM 2.0 quotes (TPM 2.0 Library, parts 1 and 2): attest structure, signature, PCR digest, attestation key; credential
 * activation's verifier half; Azure's HCL report, which ties a vTPM's key to a TEE report. Everything big-endian except HCL. */
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
	struct tr_view modulus;            /* RSA; borrows */
	uint8_t xy[132]; size_t point_len; /* ECC: x || y, each as long as the curve's field */
	uint32_t exponent, attributes;
	uint16_t name_alg, scheme, scheme_hash;
	bool aes128_cfb;                   /* its own storage key: what TPM2_MakeCredential must encrypt with */
	struct tr_view tpmt;
	uint8_t name[66]; size_t name_len; /* nameAlg || H(TPMT_PUBLIC) */
};
TR_RC tr_tpm_public_parse(struct tr_view in, struct tr_tpm_public *ret, struct tr_err *err);
/* fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign, not decrypt. */
bool tr_tpm_public_is_ak(const struct tr_tpm_public *p);
/* The same with decrypt instead of sign. */
bool tr_tpm_public_is_ek(const struct tr_tpm_public *p);
struct tr_view tr_tpm_public_point(const struct tr_tpm_public *p);
/* The qualified name (Part 1, 16.2) under a parent's; an empty parent: a primary key of the endorsement hierarchy. */
void tr_tpm_public_qualified(const struct tr_tpm_public *p, struct tr_view parent, uint8_t ret[66], size_t *ret_len);
/* An endorsement key as its certificate tells it: the default template is assumed, and the Name is that template's. */
TR_RC tr_tpm_ek_from_cert(struct tr_view der, struct tr_tpm_public *ret, struct tr_err *err);

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
	bool ak_must_be_restricted;         /* needs ak_public; where that is given it is asked anyway */
	struct tr_view ek_public;           /* TPMT/TPM2B_PUBLIC: the AK must be its child, or a primary; may be empty */
	const struct tr_tpm_attest *before; /* the last quote by this AK; its counters and clock may only have risen */
	struct tr_tee_when when;
	struct tr_view nonce;               /* expected extraData; n == 0: not asked unless allow_empty_nonce */
};
/* Every step is a line, in order. PCR values are fields ("sha256:7") once they hash to the quoted
 * digest, never before. A SHA-1 bank that is not allowed fails under `software`: the quote itself may be authentic.
 * HCL: trusted_by = TR_AK_HCL says that the caller verified the hardware report inside (tr_hcl_parse; SNP: its report,
 * TDX: a quote of the same report data); the lines here tie the key to it. ret_attest may be NULL; it is written, and
 * true returned, when the attest structure was readable. */
bool tr_tpm_verify(const struct tr_tpm_in *in, struct tr_tee_result *ret, struct tr_tpm_attest *ret_attest);
/* The value of a PCR that this quote covers; false: it does not, or was not sent. Believable only where the line
 * "pcr_digest" passed. */
bool tr_tpm_pcr_quoted(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, enum tr_raw_hash bank, unsigned index,
		       struct tr_view *ret);
/* CBOR map TPM_ALG_ID -> map index -> value (set.h, member pcrs), both ways. At most max values. */
TR_RC tr_tpm_pcrs_get(struct tr_view cbor, struct tr_tpm_pcr *ret, size_t max, size_t *ret_n, struct tr_err *err);
void tr_tpm_pcrs_put(const struct tr_tpm_pcr *pcrs, size_t n, struct tr_buf *b); /* sorted by bank's number, then index */

/* A certificate of an AK or EK up to a pinned key, lines "ak_cert.*" or "ek_cert.*": each signature, role and date. True
 * when all passed. chain: DER certificates one after the other, leaf's issuer first; roots: SPKI DER. */
bool tr_tpm_cert_chain(bool ek, struct tr_view cert, struct tr_view chain, const struct tr_view *roots, size_t n_roots,
		       const struct tr_tee_when *when, struct tr_tee_result *r);

/* TPM2_MakeCredential's arithmetic (TPM 2.0 Part 1, 24): what only the TPM that holds the EK and has the AK of this Name
 * loaded can open. ek: RSA 2048 or P-256 of the default templates; secret at most 32 bytes. Takes random bytes. */
TR_RC tr_tpm_make_credential(const struct tr_tpm_public *ek, struct tr_view ak_name, struct tr_view secret,
			     struct tr_buf *ret_blob /* TPM2B_ID_OBJECT */,
			     struct tr_buf *ret_secret /* TPM2B_ENCRYPTED_SECRET */, struct tr_err *err);

/* HCL report: the JSON inside, the hardware report, and whether the latter's report data is the hash of the former. */
struct tr_hcl {
	struct tr_view json;
	struct tr_view hw_report;   /* SNP: the report of 1184 bytes; TDX: the TDREPORT of 1024 */
	struct tr_view report_data; /* of hw_report, 64 bytes */
	unsigned report_type;       /* 2 SNP, 4 TDX */
	enum tr_raw_hash hash;      /* of the JSON in report_data */
};
TR_RC tr_hcl_parse(struct tr_view in, struct tr_hcl *ret, struct tr_err *err);
/* Is the hardware report's data the hash of the JSON, and zero behind it? */
bool tr_hcl_is_bound(const struct tr_hcl *h);
/* The key "HCLAkPub" of that JSON (JWK, RSA): modulus and exponent into ret. */
TR_RC tr_hcl_ak(const struct tr_hcl *h, struct tr_raw_key **ret, struct tr_buf *ret_modulus, struct tr_err *err);

#endif
