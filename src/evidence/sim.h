/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated TEE: a vendor of our own. It makes roots, certificates, CRLs, TCB info, QE identities and quotes that are
 * structurally identical to Intel's and AMD's (tee.md 15), for tests and for development, with keys from a seed or fresh.
 * Its names say "Troth Simulated TEE"; nothing that it signs passes where its root was not explicitly trusted. Never linked
 * into trothd or libtroth: the agent (TEE_PLATFORM=simulated), troth (`troth quote simulate`) and tests use it. */
#ifndef TR_EVIDENCE_SIM_H
#define TR_EVIDENCE_SIM_H

#include "evidence/dcap.h"
#include "evidence/snp.h"
#include "evidence/tpm.h"

/* A fault to build in: every row of tee.md 18 that a signature cannot hide. 0: none. One row each in sim_faults.inc. */
enum tr_sim_fault {
	TR_SIM_NO_FAULT,
#define TR_SIM_FAULT(id, slug, what) TR_SIMF_##id,
#include "evidence/sim_faults.inc"
#undef TR_SIM_FAULT
	TR_SIMF_N
};

struct tr_sim_level { uint8_t sgx[16], tdx[16]; uint16_t pcesvn; enum tr_tcb_status status; const char *advisory; };
struct tr_sim_spec {
	enum tr_tee_kind kind;
	unsigned quote_version;           /* 3, 4, 5; SNP: report version 2..5 */
	enum tr_quote_body body;
	enum tr_snp_product product; bool vlek;
	uint8_t report_data[64];
	uint8_t mrtd[48], rtmr[4][48], mrservicetd[48]; /* SNP: measurement in mrtd, host data in rtmr[0][0..31]; SGX: mrenclave, mrsigner there */
	uint64_t td_attributes, xfam;     /* 0: good defaults */
	uint64_t snp_policy; uint32_t vmpl;
	uint8_t comp[16], tee_tcb_svn[16], tee_tcb_svn_2[16]; uint16_t pcesvn;
	bool own_svn;                     /* take the three above as they are; else defaults that are UpToDate */
	const struct tr_sim_level *levels; size_t n_levels; /* none: one UpToDate level that fits */
	enum tr_tcb_status qe_status, module_status; /* NONE: UpToDate */
	int64_t not_before, issued, next_update, not_after; /* Unix s; 0: defaults around 2026..2056 */
	enum tr_sim_fault fault;
};
/* Good defaults for that kind. */
void tr_sim_spec(enum tr_tee_kind kind, struct tr_sim_spec *ret);

/* Everything one verification takes; owns its bytes. */
struct tr_sim_case {
	struct tr_buf quote, pck_chain, tcb_info, qe_identity, tcb_chain, pck_crl, root_crl, root_spki, root_pem;
	struct tr_buf vek, ask, ark, crl; /* SNP, DER */
};
void tr_sim_case_done(struct tr_sim_case *c);
TR_DEFINE_AUTO_DONE(struct tr_sim_case, tr_sim_case_done)

/* A vendor: its keys and chains. seed: 32 bytes, the same seed gives the same keys (NULL: random). RSA-4096 keys of the AMD
 * side are made on first use, or are the fixed test keys of sim_amd_keys.inc. */
struct tr_sim;
TR_RC tr_sim_new(const uint8_t *seed, struct tr_sim **ret, struct tr_err *err);
struct tr_sim *tr_sim_free(struct tr_sim *s);
TR_DEFINE_AUTO(struct tr_sim *, tr_sim_free)
TR_RC tr_sim_make(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_sim_case *ret, struct tr_err *err);
/* Only a quote or report for a TEE that stays the same (the agent's renewals). */
TR_RC tr_sim_quote(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_buf *ret, struct tr_err *err);

#endif
