/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the DCAP verifier: what costs (decoding, signatures) is done by tr_dcap_*_load and depends on bytes alone; what
 * depends on trust, time and the quote at hand is judged anew each time (dcap.c). So what was loaded may be kept, and a
 * verification says the same whether it was or not. */
#ifndef TR_EVIDENCE_DCAP_INNER_H
#define TR_EVIDENCE_DCAP_INNER_H

#include "evidence/tcb.h"

#define TR_DCAP_WHY_MAX 128

/* Leaf, CA and root of a platform. Signatures are by the next certificate's key, whoever that is. */
struct tr_dcap_chain {
	struct tr_buf ders;
	bool read;                        /* else nothing below is set but why */
	struct tr_x_cert leaf, ca, root;
	struct tr_raw_key *leaf_key, *ca_key, *root_key; /* NULL: not P-256 */
	bool leaf_signed, ca_signed;
	bool has_pck;
	struct tr_pck pck;
	char why[TR_DCAP_WHY_MAX];        /* what could not be read: the chain, or its SGX extension */
};

/* Signing certificate and root of collateral. */
struct tr_dcap_signer {
	struct tr_buf ders;
	bool read;
	struct tr_x_cert leaf, root;
	struct tr_raw_key *key;
	bool is_signed;                   /* by the anchor */
	char why[TR_DCAP_WHY_MAX];
};
struct tr_dcap_crl {
	bool read, is_signed;
	struct tr_x_crl crl;
	char why[TR_DCAP_WHY_MAX];
};
/* All collateral of one verification, checked against the root and the CA of one PCK chain. */
struct tr_dcap_set {
	struct tr_buf copy;               /* of everything, when it is to outlive the caller's bytes */
	struct tr_dcap_collateral c;
	struct tr_dcap_signer tcb_signer, qe_signer;
	bool one_signer;                  /* qe_signer is not used */
	struct tr_dcap_crl root_crl, pck_crl;
	bool tcb_read, tcb_signed, qe_read, qe_signed;
	char tcb_why[TR_DCAP_WHY_MAX], qe_why[TR_DCAP_WHY_MAX];
	struct tr_tcb_info tcb;
	struct tr_qe_identity qe;
};

/* NULL: no memory, and err says so. What cannot be read is said in the result. */
struct tr_dcap_chain *tr_dcap_chain_load(struct tr_view pem, struct tr_err *err);
struct tr_dcap_chain *tr_dcap_chain_free(struct tr_dcap_chain *c);
TR_DEFINE_AUTO(struct tr_dcap_chain *, tr_dcap_chain_free)
/* chain: was read. copy: the set owns its bytes. */
struct tr_dcap_set *tr_dcap_set_load(const struct tr_dcap_collateral *c, const struct tr_dcap_chain *chain, bool copy,
				     struct tr_err *err);
struct tr_dcap_set *tr_dcap_set_free(struct tr_dcap_set *s);
TR_DEFINE_AUTO(struct tr_dcap_set *, tr_dcap_set_free)

/* What is kept, by name: SHA-256 of the PEM; SHA-256 over the digests of the items and the keys they were checked with.
 * NULL: not there, or not of this time. */
const struct tr_dcap_chain *tr_dcap_cache_chain(struct tr_dcap_cache *c, const uint8_t id[32], int64_t now);
const struct tr_dcap_set *tr_dcap_cache_set(struct tr_dcap_cache *c, const uint8_t id[32], int64_t now);
/* Takes it over when all of it is good at this time: true. It then lives until something else of its kind is kept. */
bool tr_dcap_cache_keep_chain(struct tr_dcap_cache *c, const uint8_t id[32], int64_t now, struct tr_dcap_chain *chain);
bool tr_dcap_cache_keep_set(struct tr_dcap_cache *c, const uint8_t id[32], int64_t now, struct tr_dcap_set *set);

/* The lines of steps 2 to 7 (dcap_chain.c), of 8 to 11 (dcap.c), and of 12 and 13 (dcap_status.c). */
struct tr_dcap_run {
	const struct tr_dcap_in *in;
	struct tr_tee_result *r;
	const struct tr_quote *q;
	const struct tr_dcap_chain *chain;
	const struct tr_dcap_set *set;
	bool tcb_usable, qe_usable;       /* read, and signed by a certificate that may sign it */
	bool keep;                        /* what is good may go into the cache */
};
bool tr_dcap_is_trusted(const struct tr_dcap_in *in, struct tr_view spki);
bool tr_dcap_line(struct tr_dcap_run *v, const char *name, enum tr_tee_code code, bool ok, const char *expected,
		  const char *seen);
/* value & mask == wanted, as bytes in the order in which both stand in memory. */
bool tr_dcap_masked(struct tr_dcap_run *v, const char *name, enum tr_tee_code code, struct tr_view value,
		    const uint8_t *mask, const uint8_t *wanted);
extern const uint8_t tr_dcap_whole[48]; /* a mask of ones */
void tr_dcap_judge_chain(struct tr_dcap_run *v);
void tr_dcap_judge_collateral(struct tr_dcap_run *v);
void tr_dcap_judge_status(struct tr_dcap_run *v);

#endif
