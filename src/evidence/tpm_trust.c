/* SPDX-License-Identifier: Apache-2.0 */
/* Why an attestation key is believed to be a TPM's, and whether the quote names it. */
#include "evidence/tpm_inner.h"

static bool is_modulus(struct tr_view a, struct tr_view b)
{
	while (a.n && !a.p[0])
		a = tr_view(a.p + 1, a.n - 1);
	while (b.n && !b.p[0])
		b = tr_view(b.p + 1, b.n - 1);
	return a.n && tr_view_eq(a, b);
}

/* The chain of Azure: hardware report -> hash of the JSON -> key in it -> this quote. The first link is the caller's. */
static bool hcl(const struct tr_tpm_in *in, const struct tr_tpm_spki *key, struct tr_tee_result *r)
{
	tr_auto(tr_raw_key_free) struct tr_raw_key *unused = NULL;
	tr_auto(tr_buf_done) struct tr_buf modulus = TR_BUF_INIT;
	struct tr_tee_check *c;
	struct tr_hcl h;
	struct tr_err err;
	bool ok;

	if (tr_hcl_parse(in->hcl_report, &h, &err) || tr_hcl_ak(&h, &unused, &modulus, &err)) {
		c = tr_tee_check_add(r, "hcl.format", TR_Q_AUTHENTIC, TR_TEEC_TPM_HCL);
		tr_tee_expected(c, "an HCL report with HCLAkPub");
		tr_tee_seen(c, "%s", err.detail);
		return false;
	}
	ok = tr_hcl_is_bound(&h);
	c = tr_tee_check_add(r, "hcl.report_data", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_TPM_HCL);
	tr_tee_expected(c, "the hash of the claims, then zeros");
	tr_tee_seen_hex(c, h.report_data);
	if (!ok)
		return false;
	ok = is_modulus(key->modulus, tr_buf_view(&modulus));
	return tr_tee_line(r, "hcl.key", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_TPM_HCL, "HCLAkPub is the attestation key",
			   ok ? "yes" : "another key");
}

/* A certificate vouches for its own key only. */
static bool certified(const struct tr_tpm_in *in, const struct tr_tpm_spki *key, struct tr_tee_result *r)
{
	struct tr_x_cert c;
	struct tr_tpm_spki k;
	struct tr_err err;
	bool same;

	if (!tr_tpm_cert_chain(false, in->ak_cert, in->ak_chain, in->roots, in->n_roots, &in->when, r))
		return false;
	same = tr_x_cert_parse(in->ak_cert, &c, &err) == TR_OK && tr_tpm_spki_parse(c.spki, &k) && k.type == key->type &&
	       tr_view_eq(k.point, key->point) && tr_view_eq(k.modulus, key->modulus);
	return tr_tee_line(r, "ak_cert.key", TR_Q_AUTHENTIC, same ? TR_TEEC_OK : TR_TEEC_TPM_SIGNER,
			   "of the attestation key", same ? "yes" : "of another key");
}

void tr_tpm_check_trust(const struct tr_tpm_in *in, const struct tr_tpm_public *ak, const struct tr_tpm_spki *key,
			struct tr_tee_result *r)
{
	enum tr_tpm_ak_trust t = in->trusted_by;
	bool bound = true;
	static const char *const seen[] = { "nothing", "pinned", "its certificate", "activated by its TPM", "a TEE report" };

	if (in->hcl_report.n)
		bound = hcl(in, key, r);
	if (t == TR_AK_HCL && (!in->hcl_report.n || !bound))
		t = TR_AK_NONE;
	/* Activation was of a Name: without the public area it says nothing of this key. */
	if (t == TR_AK_ACTIVATED && !ak)
		t = TR_AK_NONE;
	if (t == TR_AK_CERTIFICATE)
		t = TR_AK_NONE;
	if (t == TR_AK_NONE && in->ak_cert.n && certified(in, key, r))
		t = TR_AK_CERTIFICATE;
	(void)tr_tee_line(r, "ak.trust", TR_Q_AUTHENTIC, t != TR_AK_NONE ? TR_TEEC_OK : TR_TEEC_TPM_AK_TRUST,
			  "tied to a known TPM", seen[t <= TR_AK_HCL ? t : 0]);
}

/* Part 1, 16.2: what a parent's name makes of this key's. */
static bool is_under(const struct tr_tpm_public *ak, struct tr_view parent, struct tr_view signer)
{
	uint8_t qn[66];
	size_t n;

	tr_tpm_public_qualified(ak, parent, qn, &n);
	return tr_view_eq(signer, tr_view(qn, n));
}

void tr_tpm_check_signer(const struct tr_tpm_in *in, const struct tr_tpm_public *ak, const struct tr_tpm_attest *a,
			 struct tr_tee_result *r)
{
	static const struct tr_view none = { NULL, 0 };
	struct tr_tpm_public ek;
	struct tr_tee_check *c;
	struct tr_err err;
	bool primary, ok;
	uint8_t qn[66];
	size_t n;

	if (!ak)
		return;
	primary = is_under(ak, none, a->qualified_signer);
	if (!in->ek_public.n && !primary)
		return; /* a child of a key that nobody named: the field stands for itself */
	ok = primary;
	if (!ok && !tr_tpm_public_parse(in->ek_public, &ek, &err)) {
		tr_tpm_public_qualified(&ek, none, qn, &n);
		ok = is_under(ak, tr_view(qn, n), a->qualified_signer);
	}
	c = tr_tee_check_add(r, "qualified_signer", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_TPM_SIGNER);
	tr_tee_expected(c, "%s", primary ? "a primary key of the endorsement hierarchy" : "a child of the endorsement key");
	tr_tee_seen_hex(c, a->qualified_signer);
}
