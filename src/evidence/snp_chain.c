/* SPDX-License-Identifier: Apache-2.0 */
/* ARK, ASK (or ASVK) and VEK, and AMD's list of revoked intermediates, asked link by link. */
#include "evidence/snp_inner.h"

#include <stdio.h>

#define USAGE_CERT_SIGN (1u << 5)
#define USAGE_CRL_SIGN (1u << 6)
#define CA_BITS 4096

enum tr_tee_code tr_snp_code(enum tr_code rc, enum tr_tee_code code)
{
	return rc == TR_OK ? TR_TEEC_OK : rc == TR_E_INTERNAL ? TR_TEEC_LIMIT : code;
}

static void line_cn(struct tr_tee_result *res, const char *name, bool ok, const char *expected, struct tr_view cn,
		    const char *what)
{
	struct tr_tee_check *l = tr_tee_check_add(res, name, TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_CHAIN_ROLE);
	size_t n = cn.n > 64 ? 64 : cn.n;
	char safe[65];

	for (size_t i = 0; i < n; i++)
		safe[i] = cn.p[i] >= 0x20 && cn.p[i] < 0x7f ? (char)cn.p[i] : '?';
	safe[n] = '\0';
	tr_tee_expected(l, "%s", expected);
	tr_tee_seen(l, "CN=%s%s%s", safe, what ? ", " : "", what ? what : "");
}

/* The INTEGER of a 4096 bit modulus begins with a zero byte. */
static bool is_rsa_4096(const struct tr_x_cert *c)
{
	return c->key_type == TR_RAW_RSA && c->modulus.n == CA_BITS / 8 + 1 && !c->modulus.p[0];
}

/* Why this certificate cannot be an authority of AMD's; NULL when it can. */
static const char *ca_fault(const struct tr_x_cert *c, const struct tr_x_cert *issuer)
{
	if (!tr_view_eq(c->issuer, issuer->subject))
		return "of another issuer";
	if (!c->has_basic || !c->ca)
		return "no CA";
	if (!c->has_usage || !(c->usage & USAGE_CERT_SIGN))
		return "may not sign certificates";
	if (c->unknown_critical)
		return "an unknown critical extension";
	if (!is_rsa_4096(c))
		return "no RSA-4096 key";
	return NULL;
}

static void ca_role(struct tr_tee_result *res, const char *name, const struct tr_x_cert *c,
		    const struct tr_x_cert *issuer, const char *prefix, enum tr_snp_product p)
{
	const char *fault = ca_fault(c, issuer);
	char cn[32], expected[64];

	(void)snprintf(cn, sizeof(cn), "%s-%s", prefix, tr_snp_product_name(p));
	(void)snprintf(expected, sizeof(expected), "CN=%s, a CA with an RSA-4096 key", cn);
	line_cn(res, name, !fault && tr_view_is(c->subject_cn, cn), expected, c->subject_cn, fault);
}

static void signature(struct tr_tee_result *res, const char *name, enum tr_tee_question q, enum tr_tee_code code,
		      enum tr_code rc, const char *by, const struct tr_err *err)
{
	struct tr_tee_check *l = tr_tee_check_add(res, name, q, tr_snp_code(rc, code));

	tr_tee_expected(l, "RSASSA-PSS, SHA-384, by the %s", by);
	tr_tee_seen(l, "%s", rc ? err->detail : "good");
}

/* A date far from any calendar is no reason to fail: numbers say enough. */
static void in_time(struct tr_tee_result *res, const char *name, const struct tr_x_cert *c,
		    const struct tr_tee_when *when)
{
	bool ok = c->not_before <= when->now + when->skew_s && when->now <= c->not_after;
	struct tr_tee_check *l =
		tr_tee_check_add(res, name, TR_Q_CURRENT, ok ? TR_TEEC_OK : TR_TEEC_CHAIN_TIME);

	tr_tee_expected(l, "%lld within validity", (long long)when->now);
	tr_tee_seen(l, "%lld to %lld", (long long)c->not_before, (long long)c->not_after);
	tr_tee_until(res, c->not_after);
}

static enum tr_code cert_signed(struct tr_snp_cache *cache, const struct tr_x_cert *c, const struct tr_x_cert *issuer,
				struct tr_raw_key **key, struct tr_err *err)
{
	if (c->sig_alg != TR_X_SIG_PSS_SHA384)
		return tr_err_set(err, TR_E_DENIED, "Another signature scheme than AMD's.", "not RSASSA-PSS with SHA-384");
	return tr_snp_signed(cache, issuer, key, c->der, c->sig_alg, c->tbs, c->sig, err);
}

static bool check_anchor(const struct tr_snp_in *in, const struct tr_x_cert *ark, enum tr_snp_product p,
			 struct tr_tee_result *res)
{
	bool found = false, crossed = false;

	for (size_t i = 0; i < in->n_roots; i++)
		found = found || (ark->spki.n && tr_view_eq(ark->spki, in->roots[i]));
	/* A pinned key is one product's, whatever name its certificate bears. */
	for (unsigned q = TR_SNP_MILAN; q < TR_SNP_PRODUCT_N; q++)
		crossed = crossed || (q != p && tr_view_eq(ark->spki, tr_amd_root_spki((enum tr_snp_product)q)));
	return tr_tee_line(res, "ark.root", TR_Q_AUTHENTIC, found && !crossed ? TR_TEEC_OK : TR_TEEC_CHAIN_ROOT,
			  "a key that the policy trusts for this product",
			  crossed ? "the key of another product" : found ? "trusted" : "not among the trusted keys");
}

static void crl_time(const struct tr_snp_in *in, const struct tr_x_crl *crl, struct tr_tee_result *res)
{
	const struct tr_tee_when *w = &in->when;
	bool ok = crl->this_update <= w->now + w->skew_s && w->now <= crl->next_update + w->grace_s;
	struct tr_tee_check *l = tr_tee_check_add(res, "crl.time", TR_Q_CURRENT, ok ? TR_TEEC_OK : TR_TEEC_CRL_TIME);

	tr_tee_expected(l, "%lld in date", (long long)w->now);
	tr_tee_seen(l, "%lld to %lld%s", (long long)crl->this_update, (long long)crl->next_update,
		    ok && w->now > crl->next_update ? ", within grace" : "");
	tr_tee_until(res, crl->next_update + (w->now > crl->next_update ? w->grace_s : 0));
}

static void check_crl(const struct tr_snp_in *in, const struct tr_snp_chain *c, struct tr_snp_cache *cache,
		      struct tr_raw_key **ark_key, struct tr_tee_result *res)
{
	bool issuer_ok, listed;
	struct tr_x_crl crl;
	struct tr_err err = { 0 };
	enum tr_code rc;

	if (!c->crl.n) {
		(void)tr_tee_line(res, "crl.present", TR_Q_CURRENT,
				  in->require_crl ? TR_TEEC_COLLATERAL_MISSING : TR_TEEC_OK,
				  in->require_crl ? "AMD's revocation list" : "AMD's revocation list, or none",
				  in->require_crl ? "none" : "none: revocation was not asked");
		return;
	}
	tr_tee_input(res, "crl", c->crl);
	rc = tr_x_crl_parse(c->crl, &crl, &err);
	if (!rc && crl.unknown_critical)
		rc = tr_err_set(&err, TR_E_INVALID, "A list of an unknown kind.", "an unknown critical extension");
	(void)tr_tee_line(res, "crl.format", TR_Q_CURRENT, tr_snp_code(rc, TR_TEEC_CRL_FORMAT), "a revocation list",
			  rc ? err.detail : "read");
	if (rc)
		return;
	issuer_ok = tr_view_eq(crl.issuer, c->ark.subject) && (c->ark.usage & USAGE_CRL_SIGN);
	(void)tr_tee_line(res, "crl.issuer", TR_Q_CURRENT, issuer_ok ? TR_TEEC_OK : TR_TEEC_CRL_ISSUER,
			  "the ARK, which may sign lists", issuer_ok ? "the ARK" : "another issuer, or it may not");
	if (crl.sig_alg != TR_X_SIG_PSS_SHA384)
		rc = tr_err_set(&err, TR_E_DENIED, "Another signature scheme than AMD's.", "not RSASSA-PSS with SHA-384");
	else
		rc = tr_snp_signed(cache, &c->ark, ark_key, crl.der, crl.sig_alg, crl.tbs, crl.sig, &err);
	signature(res, "crl.signature", TR_Q_CURRENT, TR_TEEC_CRL_SIGNATURE, rc, "ARK", &err);
	crl_time(in, &crl, res);
	listed = tr_x_crl_lists(&crl, c->ask.serial);
	(void)tr_tee_line(res, "crl.ask", TR_Q_CURRENT, listed ? TR_TEEC_REVOKED : TR_TEEC_OK, "not listed",
			  listed ? "listed" : "not listed");
}

static void check_vek(const struct tr_snp_in *in, const struct tr_snp_chain *c, struct tr_snp_cache *cache,
		      struct tr_raw_key **ask_key, struct tr_tee_result *res)
{
	const struct tr_x_cert *v = &c->vek;
	const char *fault = NULL;
	struct tr_err err = { 0 };
	enum tr_code rc;

	if (!tr_view_eq(v->issuer, c->ask.subject))
		fault = "of another issuer";
	else if (v->ca)
		fault = "a CA";
	else if (v->unknown_critical)
		fault = "an unknown critical extension";
	else if (v->key_type != TR_RAW_P384)
		fault = "no P-384 key";
	line_cn(res, "vek.role", !fault, "issued by the ASK or ASVK, a P-384 key, no CA", v->subject_cn, fault);
	rc = cert_signed(cache, v, &c->ask, ask_key, &err);
	signature(res, "vek.signature", TR_Q_AUTHENTIC, TR_TEEC_CHAIN_SIGNATURE, rc, "ASK or ASVK", &err);
	in_time(res, "vek.time", v, &in->when);
}

void tr_snp_chain_check(const struct tr_snp_in *in, const struct tr_snp_chain *c, enum tr_snp_product p, bool vlek,
			struct tr_tee_result *res)
{
	tr_auto(tr_raw_key_free) struct tr_raw_key *ark_key = NULL, *ask_key = NULL;
	struct tr_snp_cache *cache = in->cache;
	struct tr_err err = { 0 };
	enum tr_code rc;

	/* Only below a trusted root anything is remembered: who sends reports cannot fill the cache with chains of his own. */
	if (!check_anchor(in, &c->ark, p, res))
		cache = NULL;
	ca_role(res, "ark.role", &c->ark, &c->ark, "ARK", p);
	rc = cert_signed(cache, &c->ark, &c->ark, &ark_key, &err);
	signature(res, "ark.signature", TR_Q_AUTHENTIC, TR_TEEC_CHAIN_SIGNATURE, rc, "ARK itself", &err);
	in_time(res, "ark.time", &c->ark, &in->when);

	ca_role(res, "ask.role", &c->ask, &c->ark, vlek ? "SEV-VLEK" : "SEV", p);
	rc = cert_signed(cache, &c->ask, &c->ark, &ark_key, &err);
	signature(res, "ask.signature", TR_Q_AUTHENTIC, TR_TEEC_CHAIN_SIGNATURE, rc, "ARK", &err);
	in_time(res, "ask.time", &c->ask, &in->when);
	check_crl(in, c, cache, &ark_key, res);
	check_vek(in, c, rc ? NULL : cache, &ask_key, res);
}
