/* SPDX-License-Identifier: Apache-2.0 */
/* AMD SEV-SNP attestation reports, versions 2 to 5: Milan, Genoa, Turin; VCEK and VLEK. Sources: AMD 56860 (SEV-SNP firmware
 * ABI, ATTESTATION_REPORT), 57230 (VCEK certificate and key distribution service). */
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
/* Layout and constants (8.5, step 1). ret_code says which rule broke (TR_TEEC_SNP_*). */
TR_RC tr_snp_parse(struct tr_view in, struct tr_snp_report *ret, enum tr_tee_code *ret_code, struct tr_err *err);
enum tr_snp_product tr_snp_product_of(const struct tr_snp_report *r); /* by CPUID; UNKNOWN for version 2 */
void tr_snp_tcb_read(enum tr_snp_product p, struct tr_view bytes8, struct tr_snp_tcb *ret);

struct tr_snp_in {
	struct tr_view report;
	struct tr_view vek;               /* DER only; empty: from certs */
	struct tr_view ask, ark;          /* DER or PEM; empty: from certs. Never trusted by themselves */
	struct tr_view certs;             /* certificate table of an extended report (8.4), from the host; may be empty */
	struct tr_view crl;               /* DER, signed by the ARK; empty: not asked, and the result says so */
	const struct tr_view *roots;      /* SPKI DER of trusted ARKs; none: nothing is trusted */
	size_t n_roots;
	enum tr_snp_product product;      /* expected; UNKNOWN: whatever report and chain agree on */
	struct tr_tee_when when;
	bool require_crl;
	struct tr_view report_data;       /* expected, 64 bytes; empty: not asked */
	struct tr_snp_cache *cache;       /* NULL: none */
};
/* Always fills *ret as far as it went. ret_report may be NULL; it is filled when the report is of a known layout, whatever
 * the checks say. Answers authentic, current, and fresh when asked. */
void tr_snp_verify(const struct tr_snp_in *in, struct tr_tee_result *ret, struct tr_snp_report *ret_report);

/* What may be kept between verifications: that a certificate (or CRL) of these very bytes is signed by this very key, and the
 * keys of VEKs. Names, roles, dates and revocation are looked at anew every time. Bounded; least recently used goes first.
 * Not shared between threads. */
struct tr_snp_cache *tr_snp_cache_new(size_t entries); /* NULL: no memory */
struct tr_snp_cache *tr_snp_cache_free(struct tr_snp_cache *c);
TR_DEFINE_AUTO(struct tr_snp_cache *, tr_snp_cache_free)

/* A certificate table (8.4), taken apart: views borrow from it, empty ones are absent. A lone DER certificate is a table
 * with a VEK only. Offsets beyond the blob or into the table, lengths of 0, and a GUID twice are refused. */
struct tr_snp_certs { struct tr_view vcek, vlek, ask, ark, crl; };
TR_RC tr_snp_certs_parse(struct tr_view in, struct tr_snp_certs *ret, struct tr_err *err);

/* What AMD's key service says in a VEK's extensions (8.3). */
struct tr_snp_kds {
	uint64_t struct_version;
	struct tr_view product_name; /* "Milan-B0" */
	enum tr_snp_product product; /* by its first word; UNKNOWN */
	struct tr_snp_tcb tcb;       /* reserved_zero: SPLs 4 to 7 are 0 or absent */
	bool has_fmc;
	struct tr_view hw_id;        /* 64 or 8 bytes; empty: absent (VLEK) */
	struct tr_view csp_id;       /* VLEK; empty: absent */
};
TR_RC tr_snp_kds_read(const struct tr_x_cert *vek, struct tr_snp_kds *ret, struct tr_err *err);

/* The pinned ARK's SPKI of a product. */
struct tr_view tr_amd_root_spki(enum tr_snp_product p);

#endif
