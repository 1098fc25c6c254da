/* SPDX-License-Identifier: Apache-2.0 */
/* libtroth: verify evidence of TEEs and TPMs, exactly as the Troth server does: Intel SGX and TDX quotes, AMD SEV-SNP
 * reports, TPM 2.0 quotes. Conventions (ownership, errors, threads) as in troth.h.
 *
 * The library reads no clock, file or network here: time, trust anchors (in the policy), collateral and the expected report
 * data are arguments, and the same arguments give the same answer byte for byte. It answers four questions one by one:
 *
 *   authentic  signatures from a vendor's root to the report (Intel DCAP, AMD SEV-SNP ABI, TCG TPM 2.0)
 *   current    revocation lists, collateral in date, TCB status
 *   software   measurements against the policy's reference values; debug is refused
 *   fresh      report data: made for this challenge and this key
 *
 * Whoever leaves out the policy's reference values or the expected report data gets "not_asked" for them, never "yes".
 * The policy's grammar, the schemes of report data and the collateral bundle: docs/attestation.md. */
#ifndef TROTH_EVIDENCE_H
#define TROTH_EVIDENCE_H

#include "troth/troth.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TROTH_EVIDENCE_MAX 98304 /* bytes of one piece of evidence */

/* Set `size` to sizeof(struct troth_evidence_check) and the rest to zero first. */
struct troth_evidence_check {
	size_t size;
	const char *kind;          /* "tdx", "sgx", "snp": what the bytes must be, never guessed. NULL: an evidence set, which
				    * says it itself (and is the only form for TPMs) */
	const void *evidence;      /* quote, report, or evidence set (docs/protocol/evidence.cddl) */
	size_t evidence_len;
	const void *certs;         /* what the evidence does not carry: PCK chain (PEM), VEK or certificate table (SNP) */
	size_t certs_len;
	const void *bundle;        /* collateral (`troth collateral import`), not the signed file; NULL: none */
	size_t bundle_len;
	const char *policy;        /* YAML or JSON text; NULL: vendors' roots, UpToDate, no debug, no reference values */
	size_t policy_len;
	int64_t now_s;             /* Unix seconds; must be given */
	const uint8_t *challenge;  /* for policies whose scheme has one */
	size_t challenge_len;
	const uint8_t *spki;       /* DER SubjectPublicKeyInfo of the key that the evidence shall speak for */
	size_t spki_len;
	const uint8_t *report_data; /* expected as it stands (64 bytes), instead of challenge and key; NULL: by the scheme */
	size_t report_data_len;
};

/* Set `size` to sizeof(struct troth_evidence_verdict) first. Texts are static. */
struct troth_evidence_verdict {
	size_t size;
	bool good;                  /* every question that the policy asks was answered yes */
	const char *code;           /* "ok", or the stable slug of the first check that failed */
	const char *sentence;       /* says what to do */
	const char *authentic, *current, *software, *fresh; /* "yes", "no", "not_asked" */
	const char *tcb_status;     /* Intel's word; "none" for kinds without one */
	const char *tier;           /* "hardware", or "none" where the root is a simulated one */
	bool simulated;
	int64_t expires_s;          /* Unix seconds: until when the verdict may be relied on */
};

/* Returns TROTH_OK when good, TROTH_E_REFUSED when not: *ret is filled in both times. TROTH_E_ARGUMENT: an argument, the
 * policy or the bundle cannot be read, and the message says which. `ret_json`, unless NULL, receives every check with what
 * was expected and seen, and every decoded field, as JSON text with NUL at its end, to be freed with troth_free. */
TROTH_API TROTH_USE enum troth_code troth_evidence_verify(const struct troth_evidence_check *check,
							  struct troth_evidence_verdict *ret, char **ret_json,
							  struct troth_error *err);

#ifdef __cplusplus
}
#endif

#endif
