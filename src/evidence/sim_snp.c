/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's side of the simulated vendor: ARK, ASK or ASVK, VCEK or VLEK, the ARK's list, and reports by the offsets of
 * AMD's ABI (56860). */
#include "codec/pem.h"
#include "crypto/der.h"
#include "evidence/sim_inner.h"

#define IA5STRING 0x16
#define SIGNED_LEN 0x2a0

/* 1.3.6.1.4.1.3704.1, and room for two more arcs below it. */
static const uint8_t oid_kds[] = { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01 };

static const struct { const char *ark, *ask, *asvk, *product; uint8_t family, model; } products[TR_SNP_PRODUCT_N] = {
	[TR_SNP_MILAN] = { "ARK-Milan", "SEV-Milan", "SEV-VLEK-Milan", "Milan-B0", 0x19, 0x01 },
	[TR_SNP_GENOA] = { "ARK-Genoa", "SEV-Genoa", "SEV-VLEK-Genoa", "Genoa-B0", 0x19, 0x11 },
	[TR_SNP_TURIN] = { "ARK-Turin", "SEV-Turin", "SEV-VLEK-Turin", "Turin-C0", 0x1a, 0x02 },
};

static void put_kds(struct tr_buf *b, const uint8_t *tail, size_t n_tail, struct tr_view value)
{
	uint8_t oid[sizeof(oid_kds) + 2];

	memcpy(oid, oid_kds, sizeof(oid_kds));
	memcpy(oid + sizeof(oid_kds), tail, n_tail);
	tr_sim_extension(b, tr_view(oid, sizeof(oid_kds) + n_tail), false, value);
}

static void put_kds_uint(struct tr_buf *b, const uint8_t *tail, size_t n_tail, uint8_t v)
{
	tr_auto(tr_buf_done) struct tr_buf value = TR_BUF_INIT;

	tr_der_add_uint(&value, tr_view(&v, 1));
	put_kds(b, tail, n_tail, tr_buf_view(&value));
}

static void put_kds_text(struct tr_buf *b, uint8_t tail, const char *text)
{
	tr_auto(tr_buf_done) struct tr_buf value = TR_BUF_INIT;

	tr_der_add(&value, IA5STRING, tr_view_str(text));
	put_kds(b, &tail, 1, tr_buf_view(&value));
}

/* What the key distribution service writes into a VEK (AMD 57230). */
static void put_kds_extensions(struct tr_buf *b, const struct tr_sim_spec *spec, struct tr_view chip)
{
	bool turin = spec->product == TR_SNP_TURIN;
	const struct tr_snp_tcb *t = &spec->snp_tcb;
	uint8_t microcode = (uint8_t)(t->microcode - (spec->fault == TR_SIMF_SNP_WRONG_TCB));
	const struct { uint8_t arc, v; bool here; } spls[] = {
		{ 9, t->fmc, turin }, { 1, t->boot_loader, true }, { 2, t->tee, true }, { 3, t->snp, true },
		{ 4, 0, !turin },     { 5, 0, true },		   { 6, 0, true },	{ 7, 0, true },
		{ 8, microcode, true },
	};

	put_kds_uint(b, (uint8_t[]){ 1 }, 1, turin);
	put_kds_text(b, 2, products[spec->product].product);
	for (size_t i = 0; i < TR_ARRAY_LEN(spls); i++)
		if (spls[i].here)
			put_kds_uint(b, (uint8_t[]){ 3, spls[i].arc }, 2, spls[i].v);
	if (spec->vlek)
		put_kds_text(b, 5, "CN=simulated.invalid");
	else
		put_kds(b, (uint8_t[]){ 4 }, 1, chip);
}

/* 64 bytes, of which Turin's has eight. */
static TR_RC chip_id(const struct tr_sim *s, const struct tr_sim_spec *spec, uint8_t out[64], struct tr_err *err)
{
	memset(out, 0, 64);
	return tr_sim_bytes(s, "chip-id", out, spec->product == TR_SNP_TURIN ? 8 : 64, err);
}

static void put_tcb(uint8_t out[8], const struct tr_sim_spec *spec)
{
	const struct tr_snp_tcb *t = &spec->snp_tcb;
	const uint8_t turin[8] = { t->fmc, t->boot_loader, t->tee, t->snp, 0, 0, 0, t->microcode };
	const uint8_t older[8] = { t->boot_loader, t->tee, 0, 0, 0, 0, t->snp, t->microcode };

	memcpy(out, spec->product == TR_SNP_TURIN ? turin : older, 8);
}

static TR_RC fill(const struct tr_sim *s, const struct tr_sim_spec *spec, uint8_t *r, struct tr_err *err)
{
	static const uint8_t firmware[3] = { 31, 55, 1 }; /* build, minor, major */
	enum tr_snp_product seen = spec->product;
	bool says_vlek = spec->vlek != (spec->fault == TR_SIMF_SNP_SIGNER_KIND);
	enum tr_code rc = tr_sim_bytes(s, "report-id", r + 0x140, 32, err);

	if (!rc && !spec->vlek)
		rc = chip_id(s, spec, r + 0x1a0, err);
	if (rc)
		return rc;
	if (spec->fault == TR_SIMF_SNP_PRODUCT)
		seen = seen == TR_SNP_MILAN ? TR_SNP_GENOA : TR_SNP_MILAN;
	sim_put32(r, spec->quote_version);
	sim_put64(r + 0x8, spec->snp_policy);
	sim_put32(r + 0x30, spec->vmpl);
	sim_put32(r + 0x34, 1); /* ECDSA P-384 with SHA-384 */
	put_tcb(r + 0x38, spec);
	sim_put64(r + 0x40, spec->snp_platform_info);
	sim_put32(r + 0x48, spec->fault == TR_SIMF_SNP_UNSIGNED ? 7u << 2 : says_vlek ? 1u << 2 : 0);
	memcpy(r + 0x50, spec->report_data, 64);
	memcpy(r + 0x90, spec->mrtd, 48);
	memcpy(r + 0xc0, spec->rtmr[0], 32);
	memset(r + 0x160, 0xff, 32); /* no migration agent */
	put_tcb(r + 0x180, spec);
	if (spec->quote_version >= 3) {
		r[0x188] = products[seen].family;
		r[0x189] = products[seen].model;
		r[0x18a] = 1;
	}
	put_tcb(r + 0x1e0, spec);
	memcpy(r + 0x1e8, firmware, 3);
	memcpy(r + 0x1ec, firmware, 3);
	put_tcb(r + 0x1f0, spec);
	if (spec->fault == TR_SIMF_SNP_RESERVED)
		r[0x4c] = 1;
	return TR_OK;
}

TR_RC tr_sim_snp_report(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	uint8_t r[TR_SNP_REPORT_LEN] = { 0 };
	const struct tr_raw_priv *vek = NULL;
	struct tr_view signed_bytes = tr_view(r, SIGNED_LEN);
	enum tr_code rc = fill(s, spec, r, err);

	if (!rc)
		rc = tr_sim_vek_key(s, sim_set_of(spec), spec->vlek, &vek, err);
	if (!rc)
		rc = tr_raw_sign_ecdsa(vek, TR_HASH_SHA384, &signed_bytes, 1, &sig, err);
	if (rc)
		return rc;
	/* Big-endian halves become little-endian, each in 72 bytes. */
	for (size_t i = 0; i < 48; i++) {
		r[0x2a0 + i] = sig.p[47 - i];
		r[0x2e8 + i] = sig.p[95 - i];
	}
	if (spec->fault == TR_SIMF_SNP_FLIPPED)
		r[0x90] ^= 1;
	tr_buf_add(ret, r, sizeof(r));
	return tr_buf_check(ret, err);
}

static TR_RC put_ca(struct tr_sim *s, const struct tr_sim_spec *spec, enum sim_set set, enum sim_amd_key which,
		    struct tr_buf *ret, struct tr_err *err)
{
	const char *cns[] = { products[spec->product].ark, products[spec->product].ask, products[spec->product].asvk };
	struct sim_cert c = { .style = SIM_STYLE_AMD, .issuer = cns[SIM_ARK], .subject = cns[which],
			      .path_len = which == SIM_ARK ? SIM_CA_ANY_LENGTH : 0,
			      .not_before = spec->not_before, .not_after = spec->not_after };
	uint8_t serial[20];
	enum tr_code rc = tr_sim_amd_key(s, set, which, &c.key, err);

	if (!rc)
		rc = tr_sim_amd_key(s, set, SIM_ARK, &c.by, err);
	if (rc)
		return rc;
	if (which != SIM_ARK && spec->fault == TR_SIMF_SNP_ASK_NOT_CA)
		c.path_len = SIM_NOT_CA;
	if (which != SIM_ARK && spec->fault == TR_SIMF_SNP_ASK_FORGED)
		rc = tr_sim_amd_key(s, SIM_IMPOSTOR, SIM_ARK, &c.forger, err);
	if (rc)
		return rc;
	tr_sim_serial(c.key, c.subject, serial);
	c.serial = TR_VIEW_ARRAY(serial);
	return tr_sim_cert(&c, ret, err);
}

static TR_RC put_vek(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf extra = TR_BUF_INIT;
	uint8_t chip[64];
	struct sim_cert c = { .style = SIM_STYLE_AMD, .bare = true, .path_len = SIM_NOT_CA,
			      .issuer = spec->vlek ? products[spec->product].asvk : products[spec->product].ask,
			      .subject = spec->vlek ? "SEV-VLEK" : "SEV-VCEK", .serial = TR_VIEW_LIT("\0"),
			      .not_before = spec->not_before, .not_after = spec->not_after };
	enum tr_code rc = chip_id(s, spec, chip, err);

	if (!rc)
		rc = tr_sim_vek_key(s, sim_set_of(spec), spec->vlek, &c.key, err);
	if (!rc)
		rc = tr_sim_amd_key(s, sim_set_of(spec), spec->vlek ? SIM_ASVK : SIM_ASK, &c.by, err);
	/* The ARK itself: it may sign an ASK, and no VEK. */
	if (!rc && spec->fault == TR_SIMF_SNP_VEK_FORGED)
		rc = tr_sim_amd_key(s, SIM_OWN, SIM_ARK, &c.forger, err);
	if (rc)
		return rc;
	if (spec->fault == TR_SIMF_SNP_VEK_EXPIRED)
		c.not_after = TR_SIM_TIME - SIM_DAY;
	if (spec->fault == TR_SIMF_SNP_WRONG_CHIP)
		chip[0] ^= 1;
	put_kds_extensions(&extra, spec, tr_view(chip, spec->product == TR_SNP_TURIN ? 8 : 64));
	c.extra = tr_buf_view(&extra);
	return tr_sim_cert(&c, ret, err);
}

static TR_RC put_crl(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_buf *ret, struct tr_err *err)
{
	struct sim_crl crl = { .style = SIM_STYLE_AMD, .issuer = products[spec->product].ark, .this_update = spec->issued,
			       .next_update = spec->next_update };
	const struct tr_raw_priv *ask = NULL;
	uint8_t serial[20];
	struct tr_view listed = TR_VIEW_ARRAY(serial);
	enum tr_code rc = tr_sim_amd_key(s, sim_set_of(spec), SIM_ARK, &crl.by, err);

	if (!rc)
		rc = tr_sim_amd_key(s, sim_set_of(spec), spec->vlek ? SIM_ASVK : SIM_ASK, &ask, err);
	if (!rc && spec->fault == TR_SIMF_SNP_CRL_FORGED)
		crl.forger = ask;
	if (rc)
		return rc;
	if (spec->fault == TR_SIMF_SNP_CRL_EXPIRED)
		crl.next_update = TR_SIM_TIME - SIM_DAY;
	if (spec->fault == TR_SIMF_SNP_ASK_REVOKED) {
		tr_sim_serial(ask, spec->vlek ? products[spec->product].asvk : products[spec->product].ask, serial);
		crl.serials = &listed;
		crl.n = 1;
	}
	return tr_sim_crl(&crl, ret, err);
}

TR_RC tr_sim_snp_case(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_sim_case *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf anchor = TR_BUF_INIT;
	enum sim_set set = sim_set_of(spec);
	struct tr_view root;
	enum tr_code rc = tr_sim_snp_report(s, spec, &ret->quote, err);

	if (!rc)
		rc = put_vek(s, spec, &ret->vek, err);
	if (!rc)
		rc = put_ca(s, spec, set, spec->vlek ? SIM_ASVK : SIM_ASK, &ret->ask, err);
	if (!rc)
		rc = put_ca(s, spec, set, SIM_ARK, &ret->ark, err);
	if (!rc)
		rc = put_crl(s, spec, &ret->crl, err);
	/* The anchor is never the impostor's. */
	if (!rc)
		rc = put_ca(s, spec, SIM_OWN, SIM_ARK, &anchor, err);
	if (!rc)
		rc = tr_sim_root_spki(s, TR_TEE_SNP, &root, err);
	if (rc)
		return rc;
	tr_pem_add(&ret->root_pem, "CERTIFICATE", tr_buf_view(&anchor));
	tr_buf_addv(&ret->root_spki, root);
	rc = tr_buf_check(&ret->root_pem, err);
	return rc ? rc : tr_buf_check(&ret->root_spki, err);
}
