/* SPDX-License-Identifier: Apache-2.0 */
/* The verification of an SNP report, step by step as AMD's ABI (56860) orders them; each is a line. */
#include "evidence/snp_inner.h"

#include <stdio.h>

#define POLICY_DEBUG (UINT64_C(1) << 19)

static void fields(struct tr_tee_result *res, const struct tr_snp_report *r)
{
	tr_tee_field_uint(res, "version", r->version);
	tr_tee_field_uint(res, "guest_svn", r->guest_svn);
	tr_tee_field_uint(res, "policy", r->policy);
	tr_tee_field_hex(res, "family_id", r->family_id);
	tr_tee_field_hex(res, "image_id", r->image_id);
	tr_tee_field_uint(res, "vmpl", r->vmpl);
	tr_tee_field_uint(res, "platform_info", r->platform_info);
	tr_tee_field_uint(res, "flags", r->flags);
	tr_tee_field_hex(res, "report_data", r->report_data);
	tr_tee_field_hex(res, "measurement", r->measurement);
	tr_tee_field_hex(res, "host_data", r->host_data);
	tr_tee_field_hex(res, "id_key_digest", r->id_key_digest);
	tr_tee_field_hex(res, "author_key_digest", r->author_key_digest);
	tr_tee_field_hex(res, "report_id", r->report_id);
	tr_tee_field_hex(res, "report_id_ma", r->report_id_ma);
	tr_tee_field_hex(res, "reported_tcb", r->reported_tcb);
	tr_tee_field_hex(res, "current_tcb", r->current_tcb);
	tr_tee_field_hex(res, "committed_tcb", r->committed_tcb);
	tr_tee_field_hex(res, "launch_tcb", r->launch_tcb);
	if (r->version >= 3) {
		tr_tee_field_uint(res, "cpuid_family", r->family);
		tr_tee_field_uint(res, "cpuid_model", r->model);
		tr_tee_field_uint(res, "cpuid_stepping", r->stepping);
	}
	tr_tee_field_hex(res, "chip_id", r->chip_id);
	tr_tee_field_uint(res, "current_build", r->current_build);
	tr_tee_field_uint(res, "current_minor", r->current_minor);
	tr_tee_field_uint(res, "current_major", r->current_major);
	tr_tee_field_uint(res, "committed_build", r->committed_build);
	tr_tee_field_uint(res, "committed_minor", r->committed_minor);
	tr_tee_field_uint(res, "committed_major", r->committed_major);
	if (r->version >= 5) {
		tr_tee_field_uint(res, "launch_mit_vector", r->launch_mit);
		tr_tee_field_uint(res, "current_mit_vector", r->current_mit);
	}
	tr_tee_field_text(res, "signing_key", tr_view_str(r->signing_key == TR_SNP_KEY_VLEK ? "VLEK" :
							  r->signing_key == TR_SNP_KEY_VCEK ? "VCEK" : "none"));
}

static bool check_rule(const struct tr_snp_rule *rule, const struct tr_snp_in *in, const struct tr_snp_report *r,
		       struct tr_tee_result *res)
{
	char seen[80] = "";
	bool ok = rule->holds(in->report, r, seen);

	(void)tr_tee_line(res, rule->name, TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : rule->code, rule->expected, seen);
	return ok;
}

/* Step 1. False: the layout is not known, so that nothing else can be read. */
static bool check_layout(const struct tr_snp_in *in, struct tr_snp_report *r, struct tr_tee_result *res)
{
	/* The first rule is the length: every other one may read the whole layout. */
	if (!check_rule(&tr_snp_rules[0], in, r, res))
		return false;
	tr_snp_fill(in->report, r);
	for (size_t i = 1; i < tr_snp_n_rules; i++)
		if (!check_rule(&tr_snp_rules[i], in, r, res) && tr_snp_rules[i].last)
			return false;
	return true;
}

/* Before anything of the certificates is believed: they must be of the kind that the report names. */
static void check_kind(const struct tr_snp_chain *c, bool vlek, struct tr_tee_result *res)
{
	const char *cn = vlek ? "SEV-VLEK" : "SEV-VCEK";
	bool ok = tr_view_is(c->vek.subject_cn, cn);

	(void)tr_tee_line(res, "vek.kind", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_SNP_SIGNING_KEY, cn,
			  ok ? cn : "another name");
}

static void product_line(struct tr_tee_result *res, const char *name, enum tr_snp_product expected,
			 enum tr_snp_product seen)
{
	bool ok = expected != TR_SNP_UNKNOWN && expected == seen;

	(void)tr_tee_line(res, name, TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_SNP_PRODUCT,
			  tr_snp_product_name(expected), tr_snp_product_name(seen));
}

/* Step 2. From version 3 on the report itself says what it runs on, and the certificates must agree; version 2 cannot, so
 * that their own agreement (and the caller's expectation) is all there is. */
static enum tr_snp_product check_product(const struct tr_snp_in *in, const struct tr_snp_report *r,
					 const struct tr_snp_kds *k, struct tr_tee_result *res)
{
	enum tr_snp_product p = r->version >= 3 ? tr_snp_product_of(r) : k->product;

	if (r->version >= 3)
		(void)tr_tee_line(res, "product.cpuid", TR_Q_AUTHENTIC,
				  p == TR_SNP_UNKNOWN ? TR_TEEC_SNP_PRODUCT : TR_TEEC_OK, "a product that is known",
				  tr_snp_product_name(p));
	if (in->product != TR_SNP_UNKNOWN)
		product_line(res, "product.expected", in->product, p);
	product_line(res, "product.vek", p, k->product);
	/* Turin's layout alone has an FMC. structVersion, which says the same in AMD's own, binds nothing more. */
	(void)tr_tee_line(res, "product.tcb_layout", TR_Q_AUTHENTIC,
			  k->has_fmc == (p == TR_SNP_TURIN) ? TR_TEEC_OK : TR_TEEC_SNP_PRODUCT,
			  p == TR_SNP_TURIN ? "with an FMC level" : "without an FMC level",
			  k->has_fmc ? "with one" : "without");
	tr_tee_field_text(res, "product", tr_view_str(tr_snp_product_name(p)));
	tr_tee_field_uint(res, "struct_version", k->struct_version);
	return p;
}

static void check_reserved_tcb(const struct tr_snp_report *r, enum tr_snp_product p, struct tr_tee_result *res)
{
	const struct tr_view all[] = { r->reported_tcb, r->current_tcb, r->committed_tcb, r->launch_tcb };
	bool ok = true;

	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		struct tr_snp_tcb t;

		tr_snp_tcb_read(p, all[i], &t);
		ok = ok && t.reserved_zero;
	}
	(void)tr_tee_line(res, "report.tcb_reserved", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_SNP_RESERVED, "zero",
			  ok ? "zero" : "set");
}

/* Step 5 */
static void check_signature(const struct tr_snp_in *in, const struct tr_snp_report *r, const struct tr_x_cert *vek,
			    struct tr_tee_result *res)
{
	tr_auto(tr_raw_key_free) struct tr_raw_key *owned = NULL;
	const struct tr_raw_key *key = NULL;
	uint8_t be_r[48], be_s[48];
	struct tr_err err = { 0 };
	enum tr_code rc;

	for (size_t i = 0; i < 48; i++) {
		be_r[i] = r->r.p[47 - i];
		be_s[i] = r->s.p[47 - i];
	}
	/* Of a chain that did not hold, nothing is remembered. */
	rc = tr_snp_vek_key(res->answers[TR_Q_AUTHENTIC] == TR_ANSWER_YES ? in->cache : NULL, vek, &key, &owned, &err);
	if (!rc)
		rc = tr_raw_verify_ecdsa(key, TR_HASH_SHA384, &r->signed_bytes, 1, TR_VIEW_ARRAY(be_r),
					 TR_VIEW_ARRAY(be_s), &err);
	(void)tr_tee_line(res, "report.signature", TR_Q_AUTHENTIC, tr_snp_code(rc, TR_TEEC_SNP_SIGNATURE),
			  "ECDSA P-384, SHA-384, by the VEK", rc ? err.detail : "good");
}

static void put_tcb(char to[160], const struct tr_snp_tcb *t, bool turin)
{
	char fmc[16] = "";

	if (turin)
		(void)snprintf(fmc, sizeof(fmc), "fmc %u, ", t->fmc);
	(void)snprintf(to, 160, "%sboot loader %u, tee %u, snp %u, microcode %u%s", fmc, t->boot_loader, t->tee, t->snp,
		       t->microcode, t->reserved_zero ? "" : ", reserved bytes set");
}

/* Step 6. Equal and not "at least": the VEK is derived from exactly this TCB. */
static void check_tcb(const struct tr_snp_report *r, const struct tr_snp_kds *k, enum tr_snp_product p,
		      struct tr_tee_result *res)
{
	struct tr_tee_check *l;
	struct tr_snp_tcb t;
	bool ok;

	tr_snp_tcb_read(p, r->reported_tcb, &t);
	ok = t.fmc == k->tcb.fmc && t.boot_loader == k->tcb.boot_loader && t.tee == k->tcb.tee &&
	     t.snp == k->tcb.snp && t.microcode == k->tcb.microcode && t.reserved_zero && k->tcb.reserved_zero;
	l = tr_tee_check_add(res, "vek.tcb", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_SNP_TCB);
	put_tcb(l->expected, &k->tcb, p == TR_SNP_TURIN);
	put_tcb(l->seen, &t, p == TR_SNP_TURIN);
}

static bool is_zero(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i])
			return false;
	return true;
}

/* Step 7. A Turin chip id is 8 bytes before 56 zero ones. */
static void check_chip_id(const struct tr_snp_report *r, const struct tr_snp_kds *k, enum tr_snp_product p, bool vlek,
			  struct tr_tee_result *res)
{
	size_t n = p == TR_SNP_TURIN ? 8 : 64;
	struct tr_tee_check *l;
	bool ok;

	if (vlek) {
		(void)tr_tee_line(res, "vek.chip_id", TR_Q_AUTHENTIC, TR_TEEC_OK, "none: a VLEK is not of one chip",
				  is_zero(r->chip_id) ? "zero" : "a chip id, which only the report vouches for");
		return;
	}
	if (r->mask_chip_key && is_zero(r->chip_id)) {
		(void)tr_tee_line(res, "vek.chip_id", TR_Q_AUTHENTIC, TR_TEEC_OK, "that of the VCEK, or masked",
				  "masked: the platform is not known");
		return;
	}
	ok = k->hw_id.n == n && memcmp(k->hw_id.p, r->chip_id.p, n) == 0 &&
	     is_zero(tr_view(r->chip_id.p + n, 64 - n)) && !is_zero(r->chip_id);
	l = tr_tee_check_add(res, "vek.chip_id", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_SNP_CHIP_ID);
	tr_tee_expected_hex(l, k->hw_id);
	tr_tee_seen_hex(l, tr_view(r->chip_id.p, is_zero(tr_view(r->chip_id.p + n, 64 - n)) ? n : 64));
}

static void verify_chain(const struct tr_snp_in *in, const struct tr_snp_report *r, struct tr_buf store[2],
			 struct tr_tee_result *res)
{
	bool vlek = r->signing_key == TR_SNP_KEY_VLEK;
	struct tr_snp_chain c = { 0 };
	struct tr_snp_kds k = { 0 };
	enum tr_snp_product p;
	struct tr_err err = { 0 };
	enum tr_code rc;

	if (!tr_snp_chain_find(in, r, store, &c, res))
		return;
	check_kind(&c, vlek, res);
	rc = tr_snp_kds_read(&c.vek, &k, &err);
	(void)tr_tee_line(res, "vek.extensions", TR_Q_AUTHENTIC, tr_snp_code(rc, TR_TEEC_SNP_CERTS),
			  "the values of AMD's key service", rc ? err.detail : "read");
	if (rc)
		return;
	p = check_product(in, r, &k, res);
	check_reserved_tcb(r, p, res);
	tr_snp_chain_check(in, &c, p, vlek, res);
	check_signature(in, r, &c.vek, res);
	check_tcb(r, &k, p, res);
	check_chip_id(r, &k, p, vlek, res);
	if (vlek && k.csp_id.n)
		tr_tee_field_text(res, "csp_id", k.csp_id);
}

void tr_snp_verify(const struct tr_snp_in *in, struct tr_tee_result *ret, struct tr_snp_report *ret_report)
{
	struct tr_buf store[2] = { TR_BUF_INIT, TR_BUF_INIT };
	struct tr_snp_report r = { 0 };

	*ret = (struct tr_tee_result){ .kind = TR_TEE_SNP };
	tr_tee_input(ret, "report", in->report);
	if (!check_layout(in, &r, ret))
		return;
	ret->report_data = r.report_data;
	ret->debug = r.policy & POLICY_DEBUG;
	fields(ret, &r);
	verify_chain(in, &r, store, ret);
	tr_tee_check_report_data(ret, in->report_data);
	for (size_t i = 0; i < TR_ARRAY_LEN(store); i++)
		tr_buf_done(&store[i]);
	if (ret_report)
		*ret_report = r;
}
