/* SPDX-License-Identifier: Apache-2.0 */
/* AMD SEV-SNP attestation reports, versions 2 to 5 (tee.md 8): Milan, Genoa, Turin; VCEK and VLEK. */
#ifndef TR_EVIDENCE_SNP_H
#define TR_EVIDENCE_SNP_H

#include "evidence/evidence.h"

#define TR_SNP_REPORT_LEN 1184

enum tr_snp_product { TR_SNP_UNKNOWN, TR_SNP_MILAN, TR_SNP_GENOA, TR_SNP_TURIN, TR_SNP_PRODUCT_N };
const char *tr_snp_product_name(enum tr_snp_product p); /* "Milan" */

/* A TCB_VERSION taken apart by the product's layout; reserved bytes must be zero. */
struct tr_snp_tcb { uint8_t fmc, boot_loader, tee, snp, microcode; bool reserved_zero; };

struct tr_snp_report {
	uint32_t version, guest_svn, vmpl, signature_algo, flags;
	uint64_t policy, platform_info, launch_mit, current_mit;
	struct tr_view family_id, image_id, report_data, measurement, host_data, id_key_digest, author_key_digest, report_id,
		report_id_ma, chip_id;
	struct tr_view current_tcb, reported_tcb, committed_tcb, launch_tcb; /* 8 bytes each */
	uint8_t family, model, stepping;            /* version 3 on */
	uint8_t current_build, current_minor, current_major, committed_build, committed_minor, committed_major;
	unsigned signing_key;                       /* 0 VCEK, 1 VLEK, 7 none */
	bool mask_chip_key, author_key;
	struct tr_view signed_bytes, r, s;          /* r, s: 72 bytes little-endian, as they stand */
};
TR_RC tr_snp_parse(struct tr_view in, struct tr_snp_report *ret, enum tr_tee_code *ret_code, struct tr_err *err);
enum tr_snp_product tr_snp_product_of(const struct tr_snp_report *r); /* by CPUID; UNKNOWN for version 2 */
void tr_snp_tcb_read(enum tr_snp_product p, struct tr_view bytes8, struct tr_snp_tcb *ret);

struct tr_snp_in {
	struct tr_view report;
	struct tr_view vek;               /* DER; empty: from certs */
	struct tr_view ask, ark;          /* DER or PEM; empty: from certs. Never trusted by themselves */
	struct tr_view certs;             /* certificate table of an extended report (8.4), from the host; may be empty */
	struct tr_view crl;               /* DER, signed by the ARK; empty: not asked, and the result says so */
	const struct tr_view *roots;      /* SPKI DER of trusted ARKs */
	size_t n_roots;
	enum tr_snp_product product;      /* expected; UNKNOWN: whatever report and chain agree on */
	struct tr_tee_when when;
	bool require_crl;
	struct tr_view report_data;       /* expected, 64 bytes; empty: not asked */
};
void tr_snp_verify(const struct tr_snp_in *in, struct tr_tee_result *ret, struct tr_snp_report *ret_report);

/* The pinned ARK's SPKI of a product. */
struct tr_view tr_amd_root_spki(enum tr_snp_product p);

#endif
