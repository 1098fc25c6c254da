/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the SNP verifier share. */
#ifndef TR_EVIDENCE_SNP_INNER_H
#define TR_EVIDENCE_SNP_INNER_H

#include "evidence/snp.h"

#define TR_SNP_KEY_VCEK 0
#define TR_SNP_KEY_VLEK 1

/* One rule of the report's layout; `seen` gets what stands there when that says more than yes or no. */
struct tr_snp_rule {
	const char *name;
	enum tr_tee_code code;
	const char *expected;
	bool (*holds)(struct tr_view in, const struct tr_snp_report *r, char seen[80]);
	bool last; /* nothing can be read when this one is broken */
};
extern const struct tr_snp_rule tr_snp_rules[];
extern const size_t tr_snp_n_rules;
/* Fields of a report of the right length, unchecked. */
void tr_snp_fill(struct tr_view in, struct tr_snp_report *ret);

/* Certificates from wherever they came, as DER; `store` holds what had to be turned from PEM (ASK, ARK). */
struct tr_snp_chain {
	struct tr_x_cert vek, ask, ark;
	struct tr_view crl;
};
/* Lines certs.*; false: one of them is missing or cannot be read. */
bool tr_snp_chain_find(const struct tr_snp_in *in, const struct tr_snp_report *r, struct tr_buf store[2],
		       struct tr_snp_chain *ret, struct tr_tee_result *res);
/* Lines ark.*, ask.*, crl.*, vek.* but for those of product and kind. */
void tr_snp_chain_check(const struct tr_snp_in *in, const struct tr_snp_chain *c, enum tr_snp_product p, bool vlek,
			struct tr_tee_result *res);

/* Is `sig` over `tbs` by the key of `issuer`? der: the whole signed object, for the cache. *key: that key, made on first
 * use; the caller frees it. */
TR_RC tr_snp_signed(struct tr_snp_cache *cache, const struct tr_x_cert *issuer, struct tr_raw_key **key, struct tr_view der,
		    enum tr_x_sig alg, struct tr_view tbs, struct tr_view sig, struct tr_err *err);
/* The key of a VEK: borrowed from the cache, or *ret_owned, which the caller frees. */
TR_RC tr_snp_vek_key(struct tr_snp_cache *cache, const struct tr_x_cert *vek, const struct tr_raw_key **ret,
		     struct tr_raw_key **ret_owned, struct tr_err *err);
/* A failed check, or no memory to make it. */
enum tr_tee_code tr_snp_code(enum tr_code rc, enum tr_tee_code code);

#endif
