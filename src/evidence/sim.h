/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated TEE: a vendor of our own. It makes roots, certificates, CRLs, TCB info, QE identities and quotes that are
 * structurally identical to Intel's and AMD's, for tests and for development, with keys from a seed or fresh.
 * Its names say "Troth Simulated TEE"; nothing that it signs passes where its root was not explicitly trusted. Never linked
 * into trothd or libtroth: the agent (TEE_PLATFORM=simulated), troth (`troth quote simulate`) and tests use it. */
#ifndef TR_EVIDENCE_SIM_H
#define TR_EVIDENCE_SIM_H

#include "evidence/dcap.h"
#include "evidence/snp.h"
#include "evidence/tpm.h"

#define TR_SIM_SEED_LEN 32
/* When everything of the defaults is in date: 2026-06-01. They begin on 2026-01-01 and end on 2056-01-01. */
#define TR_SIM_TIME INT64_C(1780272000)
/* FMSPC of the simulated platform: none of Intel's, so that its TCB info never stands where a real one should. */
#define TR_SIM_FMSPC "\x54\x72\x53\x69\x6d\x01"

/* A fault to build in: every row M-… of docs/faults-of-the-originals.md that a signature cannot hide. 0: none. One row
 * each in sim_faults.inc. */
enum tr_sim_fault {
	TR_SIM_NO_FAULT,
#define TR_SIM_FAULT(id, slug, kinds, code, what) TR_SIMF_##id,
#include "evidence/sim_faults.inc"
#undef TR_SIM_FAULT
	TR_SIMF_N
};
/* code: what a verification of such a case answers first, at TR_SIM_TIME. NULL past the end and for 0. */
struct tr_sim_fault_info { const char *slug, *what; unsigned kinds /* 1 << tr_tee_kind */; enum tr_tee_code code; };
const struct tr_sim_fault_info *tr_sim_fault_info(enum tr_sim_fault f);
bool tr_sim_fault_of(struct tr_view slug, enum tr_sim_fault *ret);

struct tr_sim_level { uint8_t sgx[16], tdx[16]; uint16_t pcesvn; enum tr_tcb_status status; const char *advisory; };
struct tr_sim_spec {
	enum tr_tee_kind kind;            /* TR_TEE_SGX, TR_TEE_TDX or TR_TEE_SNP */
	unsigned quote_version;           /* 3, 4, 5; SNP: report version 2..5 */
	enum tr_quote_body body;
	enum tr_snp_product product; bool vlek;
	uint8_t report_data[64];
	/* SNP: measurement in mrtd, host data in rtmr[0][0..31]; SGX: MRENCLAVE and MRSIGNER there. */
	uint8_t mrtd[48], rtmr[4][48], mrservicetd[48];
	uint8_t mrconfigid[48], mrowner[48], mrownerconfig[48];
	uint16_t isvprodid, isvsvn;       /* SGX */
	uint64_t td_attributes, xfam;     /* 0: good defaults. SGX: the flags and XFRM */
	uint64_t snp_policy; uint32_t vmpl;
	uint64_t snp_platform_info;       /* 0: SMT, ECC, alias check complete */
	uint8_t comp[16], tee_tcb_svn[16], tee_tcb_svn_2[16]; uint16_t pcesvn;
	struct tr_snp_tcb snp_tcb;
	bool own_svn;                     /* take the five above as they are; else defaults that are UpToDate */
	bool processor_ca;                /* SGX: the PCK certificate is the Processor CA's */
	unsigned tcb_info_version;        /* 0: 3; 2 for SGX */
	uint64_t evaluation_number;       /* 0: 17 */
	const struct tr_sim_level *levels; size_t n_levels; /* none: one UpToDate level that fits. Written in this order */
	enum tr_tcb_status qe_status, module_status; /* NONE: UpToDate */
	int64_t not_before, issued, next_update, not_after; /* Unix s; 0: defaults from 2026 to 2056 */
	enum tr_sim_fault fault;
};
/* Good defaults for that kind. */
void tr_sim_spec(enum tr_tee_kind kind, struct tr_sim_spec *ret);

/* Everything one verification takes; owns its bytes. quote: the SNP report too. root_spki: the trusted root's, also where
 * the fault is another root. pck_chain is PEM, and inside the quote as well. */
struct tr_sim_case {
	struct tr_buf quote, pck_chain, tcb_info, qe_identity, tcb_chain, pck_crl, root_crl, root_spki, root_pem;
	struct tr_buf pck_crl_chain; /* PEM: the PCK CRL's issuer and the root; no verifier of ours needs it */
	struct tr_buf vek, ask, ark, crl; /* SNP, DER */
};
void tr_sim_case_done(struct tr_sim_case *c);
TR_DEFINE_AUTO_DONE(struct tr_sim_case, tr_sim_case_done)
/* The case as files of a folder, one call each with the bytes; stops at the first error. case.json says at which time and
 * with what outcome a verification ends. `name` goes into it. */
typedef enum tr_code (*tr_sim_file_fn)(void *arg, const char *name, struct tr_view bytes, struct tr_err *err);
TR_RC tr_sim_case_files(const struct tr_sim_case *c, const struct tr_sim_spec *spec, const char *name, tr_sim_file_fn fn,
			void *arg, struct tr_err *err);
/* What the verifiers take, borrowed from the case. */
struct tr_dcap_collateral tr_sim_collateral(const struct tr_sim_case *c);

/* A vendor: its keys and chains. seed: 32 bytes; the same seed gives the same keys, and on Intel's side the same bytes of
 * everything. On AMD's side it takes some seconds at first use (RSA-4096), and signatures have salt. NULL, for tests: fresh keys on Intel's side, and on AMD's the published ones of
 * sim_amd_keys.inc, which anybody can sign with: never ask anyone to trust those. */
struct tr_sim;
TR_RC tr_sim_new(const uint8_t *seed, struct tr_sim **ret, struct tr_err *err);
struct tr_sim *tr_sim_free(struct tr_sim *s);
TR_DEFINE_AUTO(struct tr_sim *, tr_sim_free)
/* *ret must be empty; the caller's tr_sim_case_done ends it in any case. */
TR_RC tr_sim_make(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_sim_case *ret, struct tr_err *err);
/* Only a quote or report for a TEE that stays the same (the agent's renewals), appended. */
TR_RC tr_sim_quote(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_buf *ret, struct tr_err *err);
/* SPKI (DER) of the root of that kind, borrowed: what a policy lists, as SHA-256, to trust this vendor. */
TR_RC tr_sim_root_spki(struct tr_sim *s, enum tr_tee_kind kind, struct tr_view *ret, struct tr_err *err);

#endif
