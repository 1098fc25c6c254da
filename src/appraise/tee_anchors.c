/* SPDX-License-Identifier: Apache-2.0 */
/* Which roots one verification may end at. The root that the evidence's own chain ends at is looked up in the policy first;
 * if it is one of the operator's, that alone is the anchor, else the vendors' are. So no chain ever mixes two of them: a
 * developer's simulated root cannot vouch for collateral of a real platform. */
#include "appraise/tee_inner.h"

#include "crypto/hash.h"

static const struct tr_tee_root *find_root(const struct tr_tee_policy *p, struct tr_view spki)
{
	uint8_t digest[32];

	tr_sha256(spki, digest);
	for (size_t i = 0; i < p->n_roots; i++)
		if (memcmp(p->roots[i].spki_sha256, digest, sizeof(digest)) == 0)
			return &p->roots[i];
	return NULL;
}

static void anchor(struct tr_tee_run *run, struct tr_view spki)
{
	if (run->n_anchors < TR_TEE_ANCHORS_MAX)
		run->anchors[run->n_anchors++] = spki;
}

/* True: it is the operator's own, and the only anchor now. */
static bool own_root(struct tr_tee_run *run, struct tr_view spki)
{
	const struct tr_tee_root *root = spki.n ? find_root(run->p, spki) : NULL;

	if (!root)
		return false;
	run->n_anchors = 0;
	anchor(run, spki);
	run->simulated = root->simulated;
	return true;
}

void tr_tee_anchor_dcap(struct tr_tee_run *run, struct tr_view quote, struct tr_view pck_chain)
{
	struct tr_view ders[8];
	struct tr_x_cert root;
	enum tr_tee_code code;
	struct tr_quote q;
	struct tr_err err;
	size_t n = 0;

	run->n_anchors = 0;
	run->simulated = false;
	if (run->p->n_roots && tr_quote_parse(quote, &q, &code, &err) == TR_OK) {
		const struct tr_view pem = q.cert_type == 5 ? q.cert_data : pck_chain;

		if (tr_x_pem_chain(pem, "CERTIFICATE", TR_ARRAY_LEN(ders), &run->store, ders, &n, &err)) {
			run->no_memory = run->no_memory || err.code == TR_E_INTERNAL;
			n = 0;
		}
		if (n && tr_x_cert_parse(ders[n - 1], &root, &err) == TR_OK && own_root(run, root.spki))
			return;
	}
	if (run->p->root_intel)
		anchor(run, tr_intel_root_spki());
}

void tr_tee_anchor_snp(struct tr_tee_run *run, const struct tr_snp_in *in)
{
	struct tr_snp_certs table = { 0 };
	struct tr_view ark = in->ark, der;
	struct tr_x_cert root;
	struct tr_err err;
	size_t n = 0;

	run->n_anchors = 0;
	run->simulated = false;
	if (!ark.n && in->certs.n && tr_snp_certs_parse(in->certs, &table, &err) == TR_OK)
		ark = table.ark;
	if (run->p->n_roots && ark.n) {
		der = ark;
		if (ark.p[0] != 0x30 && tr_x_pem_chain(ark, "CERTIFICATE", 1, &run->store, &der, &n, &err)) {
			run->no_memory = err.code == TR_E_INTERNAL;
			der.n = 0;
		}
		if (der.n && tr_x_cert_parse(der, &root, &err) == TR_OK && own_root(run, root.spki))
			return;
	}
	for (unsigned i = TR_SNP_MILAN; run->p->root_amd && i < TR_SNP_PRODUCT_N; i++)
		anchor(run, tr_amd_root_spki((enum tr_snp_product)i));
}

/* A TPM's chain does not say beforehand where it ends: roots that are not simulated first, and those alone. */
void tr_tee_anchor_tpm(struct tr_tee_run *run, bool simulated)
{
	const struct tr_bundle *b = run->in->bundle;

	run->n_anchors = 0;
	run->simulated = simulated;
	for (size_t i = 0; b && i < b->n; i++) {
		const struct tr_bundle_entry *e = &b->items[i];
		const struct tr_tee_root *own;
		struct tr_x_cert cert;
		struct tr_view spki = e->bytes;
		struct tr_err err;

		if (e->type != TR_BI_TPM_ROOT && e->type != TR_BI_ROOT)
			continue;
		if (e->type == TR_BI_TPM_ROOT) {
			if (tr_x_cert_parse(e->bytes, &cert, &err))
				continue;
			spki = cert.spki;
		}
		own = find_root(run->p, spki);
		if (own ? own->simulated == simulated : !simulated && run->p->root_tpm && e->type == TR_BI_TPM_ROOT)
			anchor(run, spki);
	}
}
