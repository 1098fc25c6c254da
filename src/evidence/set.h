/* SPDX-License-Identifier: Apache-2.0 */
/* An evidence set: everything an attester sends for one verification, as it is stored with the verdict. Deterministic CBOR
 * map, unsigned (what is signed is inside). Absent members are left out. */
#ifndef TR_EVIDENCE_SET_H
#define TR_EVIDENCE_SET_H

#include "evidence/evidence.h"

#define TR_TEE_SET_MAX 98304 /* bytes, encoded */
#define TR_TEE_PCRS_MAX 72

struct tr_tee_set {
	enum tr_tee_kind kind;           /* key 1 */
	struct tr_view quote;           /* 2: SGX/TDX quote, SNP report, TPMS_ATTEST */
	struct tr_view certs;           /* 3: PCK chain (PEM), SNP certificate table or VEK (DER) */
	struct tr_view signature;       /* 4: TPM: TPMT_SIGNATURE */
	struct tr_view ak_public;       /* 5: TPM: TPM2B_PUBLIC */
	struct tr_view ak_cert;         /* 6 */
	struct tr_view ek_cert;         /* 7: DER, or the EK's TPM2B_PUBLIC when there is none */
	struct tr_view pcrs;            /* 8: CBOR map bank number (TPM_ALG_ID) -> map index -> value */
	struct tr_view event_log;       /* 9: TCG2 log; TDX: CCEL data */
	struct tr_view ima_log;         /* 10 */
	struct tr_view hcl_report;      /* 11 */
	struct tr_view compose;         /* 12: workload file behind RTMR3 (SecretVM, dstack); may be empty */
	struct tr_view rtmr3_events;    /* 13: dstack: CBOR array of [name, payload] */
	struct tr_view hcl_hw;          /* 14: the TDX quote or SNP certs behind an HCL report */
};
void tr_tee_set_put(struct tr_buf *b, const struct tr_tee_set *s);
TR_RC tr_tee_set_get(struct tr_view in, struct tr_tee_set *ret, struct tr_err *err); /* views borrow from in */

#endif
