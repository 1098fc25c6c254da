/* SPDX-License-Identifier: Apache-2.0 */
/* Intel SGX and TDX quotes (ECDSA, v3, v4, v5), from the pinned root key to the TCB status. Sources: the quote formats of
 * Intel's SGX ECDSA Quote Library and TDX DCAP Quoting Library API references; PCK Certificate and CRL Profile; PCS API v4. */
#ifndef TR_EVIDENCE_DCAP_H
#define TR_EVIDENCE_DCAP_H

#include "evidence/evidence.h"

#define TR_QUOTE_MAX 65536

/* Offsets are the layout's; every view borrows from the quote. */
struct tr_sgx_body {
	struct tr_view cpusvn, isvextprodid, mrenclave, mrsigner, configid, isvfamilyid, report_data;
	uint64_t flags, xfrm;
	uint32_t miscselect;
	uint16_t isvprodid, isvsvn, configsvn;
	struct tr_view attributes; /* 16 bytes as they stand */
	bool reserved_zero;
};
struct tr_td_body {
	struct tr_view tee_tcb_svn, mrseam, mrsignerseam, mrtd, mrconfigid, mrowner, mrownerconfig, rtmr[4], report_data;
	uint64_t seam_attributes, td_attributes, xfam;
	bool v15;
	struct tr_view tee_tcb_svn_2, mrservicetd; /* 1.5 only */
};
enum tr_quote_body { TR_BODY_SGX = 1, TR_BODY_TD10 = 2, TR_BODY_TD15 = 3 };
struct tr_quote {
	uint16_t version, key_type, qe_svn, pce_svn;
	uint32_t tee_type;
	struct tr_view vendor, user_data;
	enum tr_quote_body body_type;
	struct tr_sgx_body sgx;
	struct tr_td_body td;
	struct tr_view signed_bytes;           /* header and body */
	struct tr_view sig, att_key;           /* r || s; x || y */
	struct tr_view qe_report, qe_report_sig, qe_auth;
	struct tr_sgx_body qe;
	uint16_t cert_type;                    /* of the innermost certification data */
	struct tr_view cert_data;
	struct tr_view trailing;               /* what follows the quote in the buffer */
};
/* Layout only: constants, lengths, exact consumption. ret_code says which rule broke (TR_TEEC_QUOTE_*). */
TR_RC tr_quote_parse(struct tr_view in, struct tr_quote *ret, enum tr_tee_code *ret_code, struct tr_err *err);

/* Values of the PCK certificate's SGX extension (Intel's PCK Certificate and CRL Profile). */
struct tr_pck {
	uint8_t comp[16];
	uint16_t pcesvn;
	struct tr_view ppid, cpusvn, pceid, fmspc, platform_instance;
	uint64_t sgx_type;
	bool has_configuration, dynamic_platform, cached_keys, smt;
};
TR_RC tr_pck_read(const struct tr_x_cert *leaf, struct tr_pck *ret, struct tr_err *err);

/* Signed bytes as the vendor serves them. Chains are PEM. */
struct tr_dcap_collateral {
	struct tr_view tcb_info, qe_identity;              /* JSON texts */
	struct tr_view tcb_chain, qe_chain;                /* PEM: signing leaf, root; qe_chain empty: the same */
	struct tr_view pck_crl, root_crl;                  /* DER (a PCCS's hex text is turned by whoever imports) */
	struct tr_view pck_chain;                          /* PEM, for quotes that do not carry it; else empty */
};
/* What may be kept between verifications: parsed and verified collateral and PCK chains by digest of their bytes, each good
 * for [latest issue, earliest next update]. Bounded; least recently used goes first. Not shared between threads. */
struct tr_dcap_cache;
struct tr_dcap_cache *tr_dcap_cache_new(size_t entries); /* NULL: no memory */
struct tr_dcap_cache *tr_dcap_cache_free(struct tr_dcap_cache *c);
TR_DEFINE_AUTO(struct tr_dcap_cache *, tr_dcap_cache_free)

struct tr_dcap_in {
	struct tr_view quote;
	enum tr_tee_kind kind;               /* TR_TEE_SGX or TR_TEE_TDX: fixed by the caller, another one is refused */
	struct tr_dcap_collateral c;
	const struct tr_view *roots;        /* SPKI DER of trusted roots */
	size_t n_roots;
	struct tr_tee_when when;
	uint64_t min_evaluation_number;     /* 0: none */
	struct tr_view report_data;         /* expected, 64 bytes; empty: not asked */
	struct tr_dcap_cache *cache;        /* NULL: none */
};
/* Always fills *ret as far as it went (lines, fields); `quote` may be NULL, else gets the parsed quote when it parsed.
 * Answers authentic, current, and fresh when asked. */
void tr_dcap_verify(const struct tr_dcap_in *in, struct tr_tee_result *ret, struct tr_quote *ret_quote);

/* Which collateral a quote needs, before any verification (for a bundle's lookup): FMSPC and issuer kind of its PCK leaf. */
TR_RC tr_dcap_needs(struct tr_view quote, struct tr_view pck_chain, uint8_t ret_fmspc[6], bool *ret_platform_ca,
		    struct tr_err *err);

/* SHA-256 of the SPKI of Intel's SGX root CA, and the SPKI itself. */
struct tr_view tr_intel_root_spki(void);

#endif
