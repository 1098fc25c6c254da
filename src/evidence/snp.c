/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/snp_inner.h"

#include <stdio.h>

#define FLAG_AUTHOR_KEY 1u
#define FLAG_MASK_CHIP 2u
#define POLICY_MUST_BE_ONE (UINT64_C(1) << 17)
#define POLICY_KNOWN ((UINT64_C(1) << 26) - 1)
#define VMPL_HOST 0xffffffffu /* the host asked for the report, not the guest */

static uint32_t u32(struct tr_view in, size_t at)
{
	return (uint32_t)in.p[at] | (uint32_t)in.p[at + 1] << 8 | (uint32_t)in.p[at + 2] << 16 |
	       (uint32_t)in.p[at + 3] << 24;
}

static uint64_t u64(struct tr_view in, size_t at)
{
	return u32(in, at) | (uint64_t)u32(in, at + 4) << 32;
}

static bool is_zero(struct tr_view in, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (in.p[i])
			return false;
	return true;
}

const char *tr_snp_product_name(enum tr_snp_product p)
{
	static const char *const names[TR_SNP_PRODUCT_N] = { "unknown", "Milan", "Genoa", "Turin" };

	return (unsigned)p < TR_SNP_PRODUCT_N ? names[p] : names[TR_SNP_UNKNOWN];
}

void tr_snp_fill(struct tr_view in, struct tr_snp_report *ret)
{
	const uint8_t *p = in.p;
	bool has_cpuid, has_mit;

	*ret = (struct tr_snp_report){
		.version = u32(in, 0x000), .guest_svn = u32(in, 0x004), .policy = u64(in, 0x008),
		.family_id = tr_view(p + 0x010, 16), .image_id = tr_view(p + 0x020, 16), .vmpl = u32(in, 0x030),
		.signature_algo = u32(in, 0x034), .current_tcb = tr_view(p + 0x038, 8),
		.platform_info = u64(in, 0x040), .flags = u32(in, 0x048), .report_data = tr_view(p + 0x050, 64),
		.measurement = tr_view(p + 0x090, 48), .host_data = tr_view(p + 0x0c0, 32),
		.id_key_digest = tr_view(p + 0x0e0, 48), .author_key_digest = tr_view(p + 0x110, 48),
		.report_id = tr_view(p + 0x140, 32), .report_id_ma = tr_view(p + 0x160, 32),
		.reported_tcb = tr_view(p + 0x180, 8), .chip_id = tr_view(p + 0x1a0, 64),
		.committed_tcb = tr_view(p + 0x1e0, 8), .current_build = p[0x1e8], .current_minor = p[0x1e9],
		.current_major = p[0x1ea], .committed_build = p[0x1ec], .committed_minor = p[0x1ed],
		.committed_major = p[0x1ee], .launch_tcb = tr_view(p + 0x1f0, 8),
		.signed_bytes = tr_view(p, 0x2a0), .r = tr_view(p + 0x2a0, 72), .s = tr_view(p + 0x2e8, 72),
	};
	has_cpuid = ret->version >= 3;
	has_mit = ret->version >= 5;
	if (has_cpuid) {
		ret->family = p[0x188];
		ret->model = p[0x189];
		ret->stepping = p[0x18a];
	}
	if (has_mit) {
		ret->launch_mit = u64(in, 0x1f8);
		ret->current_mit = u64(in, 0x200);
	}
	ret->signing_key = ret->flags >> 2 & 7;
	ret->author_key = ret->flags & FLAG_AUTHOR_KEY;
	ret->mask_chip_key = ret->flags & FLAG_MASK_CHIP;
}

static bool length(struct tr_view in, const struct tr_snp_report *r, char seen[80])
{
	(void)r;
	(void)snprintf(seen, 80, "%zu bytes", in.n);
	return in.n == TR_SNP_REPORT_LEN;
}

static bool version(struct tr_view in, const struct tr_snp_report *r, char seen[80])
{
	(void)in;
	(void)snprintf(seen, 80, "%u", r->version);
	return r->version >= 2 && r->version <= 5;
}

static bool algorithm(struct tr_view in, const struct tr_snp_report *r, char seen[80])
{
	(void)in;
	(void)snprintf(seen, 80, "%u", r->signature_algo);
	return r->signature_algo == 1;
}

/* What each version leaves reserved: version 3 gave a meaning to 188..18A, version 5 to 1F8..207. */
static bool reserved(struct tr_view in, const struct tr_snp_report *r, char seen[80])
{
	const struct { uint16_t from, to; } zero[] = {
		{ 0x04c, 0x050 }, { r->version >= 3 ? 0x18b : 0x188, 0x1a0 }, { 0x1eb, 0x1ec }, { 0x1ef, 0x1f0 },
		{ r->version >= 5 ? 0x208 : 0x1f8, 0x2a0 }, { 0x330, TR_SNP_REPORT_LEN },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(zero); i++) {
		if (!is_zero(in, zero[i].from, zero[i].to)) {
			(void)snprintf(seen, 80, "set between 0x%03x and 0x%03x", zero[i].from, zero[i].to);
			return false;
		}
	}
	(void)snprintf(seen, 80, "zero");
	return true;
}

static bool flags(struct tr_view in, const struct tr_snp_report *r, char seen[80])
{
	(void)in;
	(void)snprintf(seen, 80, "0x%08x", r->flags);
	return !(r->flags >> 5);
}

static bool policy_one(struct tr_view in, const struct tr_snp_report *r, char seen[80])
{
	(void)in;
	(void)snprintf(seen, 80, "0x%016llx", (unsigned long long)r->policy);
	return r->policy & POLICY_MUST_BE_ONE;
}

static bool policy_reserved(struct tr_view in, const struct tr_snp_report *r, char seen[80])
{
	(void)in;
	(void)snprintf(seen, 80, "0x%016llx", (unsigned long long)r->policy);
	return !(r->policy & ~POLICY_KNOWN);
}

static bool vmpl(struct tr_view in, const struct tr_snp_report *r, char seen[80])
{
	(void)in;
	(void)snprintf(seen, 80, "0x%x", r->vmpl);
	return r->vmpl <= 3 || r->vmpl == VMPL_HOST;
}

static bool signing_key(struct tr_view in, const struct tr_snp_report *r, char seen[80])
{
	static const char *const names[8] = { "0 (VCEK)", "1 (VLEK)", "2", "3", "4", "5", "6", "7 (not signed)" };

	(void)in;
	(void)snprintf(seen, 80, "%s", names[r->signing_key]);
	return r->signing_key == TR_SNP_KEY_VCEK || r->signing_key == TR_SNP_KEY_VLEK;
}

/* Little-endian and zero-extended: a P-384 integer fills the low 48 of 72 bytes. */
static bool signature_width(struct tr_view in, const struct tr_snp_report *r, char seen[80])
{
	bool ok = is_zero(r->r, 48, 72) && is_zero(r->s, 48, 72);

	(void)in;
	(void)snprintf(seen, 80, "%s", ok ? "zero" : "set");
	return ok;
}

const struct tr_snp_rule tr_snp_rules[] = {
	{ "report.length", TR_TEEC_SNP_LENGTH, "1184 bytes", length, true },
	{ "report.version", TR_TEEC_SNP_VERSION, "2, 3, 4 or 5", version, true },
	{ "report.signature_algo", TR_TEEC_SNP_ALGORITHM, "1 (ECDSA P-384, SHA-384)", algorithm, false },
	{ "report.reserved", TR_TEEC_SNP_RESERVED, "zero", reserved, false },
	{ "report.flags", TR_TEEC_SNP_RESERVED, "bits 31:5 zero", flags, false },
	{ "report.policy_must_be_one", TR_TEEC_SNP_RESERVED, "bit 17 set", policy_one, false },
	{ "report.policy_reserved", TR_TEEC_SNP_RESERVED, "bits 63:26 zero", policy_reserved, false },
	{ "report.vmpl", TR_TEEC_SNP_RESERVED, "0 to 3, or 0xffffffff", vmpl, false },
	{ "report.signing_key", TR_TEEC_SNP_SIGNING_KEY, "0 (VCEK) or 1 (VLEK)", signing_key, false },
	{ "report.signature_width", TR_TEEC_SNP_SIGNATURE, "24 high bytes of r and s zero", signature_width, false },
};
const size_t tr_snp_n_rules = TR_ARRAY_LEN(tr_snp_rules);

TR_RC tr_snp_parse(struct tr_view in, struct tr_snp_report *ret, enum tr_tee_code *ret_code, struct tr_err *err)
{
	struct tr_snp_report r = { 0 };

	for (size_t i = 0; i < tr_snp_n_rules; i++) {
		const struct tr_snp_rule *rule = &tr_snp_rules[i];
		char seen[80];

		/* The first rule is the length: every other one may read the whole layout. */
		if (i == 1)
			tr_snp_fill(in, &r);
		if (rule->holds(in, &r, seen))
			continue;
		*ret_code = rule->code;
		return tr_err_set(err, TR_E_INVALID, tr_tee_code_info(rule->code)->sentence, "%s: expected %s, seen %s",
				  rule->name, rule->expected, seen);
	}
	*ret = r;
	*ret_code = TR_TEEC_OK;
	return TR_OK;
}

enum tr_snp_product tr_snp_product_of(const struct tr_snp_report *r)
{
	if (r->version < 3)
		return TR_SNP_UNKNOWN;
	if (r->family == 0x19 && r->model <= 0x0f)
		return TR_SNP_MILAN;
	if (r->family == 0x19 && ((r->model >= 0x10 && r->model <= 0x1f) || (r->model >= 0xa0 && r->model <= 0xaf)))
		return TR_SNP_GENOA;
	if (r->family == 0x1a && r->model <= 0x11)
		return TR_SNP_TURIN;
	return TR_SNP_UNKNOWN;
}

void tr_snp_tcb_read(enum tr_snp_product p, struct tr_view b, struct tr_snp_tcb *ret)
{
	*ret = (struct tr_snp_tcb){ 0 };
	if (b.n != 8)
		return;
	if (p == TR_SNP_TURIN)
		*ret = (struct tr_snp_tcb){ .fmc = b.p[0], .boot_loader = b.p[1], .tee = b.p[2], .snp = b.p[3],
					    .microcode = b.p[7], .reserved_zero = is_zero(b, 4, 7) };
	else
		*ret = (struct tr_snp_tcb){ .boot_loader = b.p[0], .tee = b.p[1], .snp = b.p[6],
					    .microcode = b.p[7], .reserved_zero = is_zero(b, 2, 6) };
}
