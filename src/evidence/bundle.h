/* SPDX-License-Identifier: Apache-2.0 */
/* The collateral bundle: one versioned file with everything that verifications need from vendors, so that no verification
 * ever asks the network. Deterministic CBOR; signed as a whole (signed/collateral.h) by a config key of the keyset.
 * Items keep the vendors' bytes as served. */
#ifndef TR_EVIDENCE_BUNDLE_H
#define TR_EVIDENCE_BUNDLE_H

#include "evidence/dcap.h"
#include "evidence/set.h"
#include "evidence/snp.h"

#define TR_BUNDLE_MAX (512u << 10) /* a transaction of the store carries it */
#define TR_BUNDLE_ITEMS_MAX 512

enum tr_bundle_item {
	TR_BI_TCB_INFO = 1, TR_BI_QE_IDENTITY, TR_BI_TCB_CHAIN, TR_BI_PCK_CRL_PLATFORM, TR_BI_PCK_CRL_PROCESSOR,
	TR_BI_ROOT_CRL, TR_BI_PCK_CHAIN, TR_BI_ARK, TR_BI_ASK, TR_BI_ASVK, TR_BI_AMD_CRL, TR_BI_VEK, TR_BI_TPM_ROOT,
	TR_BI_TPM_INTERMEDIATE, TR_BI_ROOT /* a root that the operator trusts: SPKI DER, with a name */, TR_BI_N
};
const char *tr_bundle_item_name(enum tr_bundle_item t); /* "tcb_info" */

struct tr_bundle_entry {
	enum tr_bundle_item type;
	/* TCB info: kind (1 byte) || FMSPC; QE identity: kind; PCK chain: FMSPC; AMD: product's name; VEK: tr_bundle_vek_key;
	 * TPM and own roots: SHA-256 of the SPKI; the rest: empty. */
	struct tr_view key;
	struct tr_view bytes;
	int64_t issued, expires; /* Unix s, read from the item at import; 0: none */
};
struct tr_bundle {
	uint64_t version;     /* rises with every bundle of an installation */
	int64_t made;         /* Unix s */
	size_t n;
	struct tr_bundle_entry *items; /* owned array, views borrow from the bytes */
};
TR_RC tr_bundle_get(struct tr_view in, struct tr_bundle *ret, struct tr_err *err);
void tr_bundle_put(struct tr_buf *b, const struct tr_bundle *bundle); /* items sorted by type and key, unique */
void tr_bundle_done(struct tr_bundle *b);
TR_DEFINE_AUTO_DONE(struct tr_bundle, tr_bundle_done)
const struct tr_bundle_entry *tr_bundle_find(const struct tr_bundle *b, enum tr_bundle_item t, struct tr_view key);

/* Reads a vendor's file (told by its content: PCS JSON, a cache's JSON of a whole set, CRL in DER, PEM or hex text, PEM chain,
 * also URL-encoded as PCS sends it in headers, DER certificate, KDS cert_chain, sgx_ql_qve_collateral_t) into entries whose
 * bytes lie in `storage`: a fresh one for each call, kept as long as the entries. *ret_n 0: good, and nothing that a
 * verification needs (an issuer chain that quotes carry themselves). TR_E_INVALID says what it looks like; nothing is
 * verified here: verification does that. */
TR_RC tr_bundle_import(struct tr_view file, struct tr_buf *storage, struct tr_bundle_entry *ret, size_t max, size_t *ret_n,
		       struct tr_err *err);

/* 64 bytes of chip id (zero for a VLEK), the five parts of the TCB, the product. */
void tr_bundle_vek_key(enum tr_snp_product p, struct tr_view chip_id, const struct tr_snp_tcb *t, uint8_t ret[70]);

/* Picks what the set needs. Absent items are left empty: verification names them. False: no memory to look. */
bool tr_bundle_for_dcap(const struct tr_bundle *b, const struct tr_tee_set *s, struct tr_dcap_collateral *ret);
void tr_bundle_for_snp(const struct tr_bundle *b, const struct tr_tee_set *s, struct tr_snp_in *ret);

#endif
