/* SPDX-License-Identifier: Apache-2.0 */
/* The sections of one kind of evidence each. Whatever weakens a TEE is refused until the policy allows it by name. */
#include "appraise/tee_policy.h"

static bool allows(const struct tr_pp *p, const char *name)
{
	int choice = 0;

	tr_pp_choice(p, name, "refuse allow", &choice);
	return choice == 1;
}

static bool requires(const struct tr_pp *p, const char *name)
{
	int choice = 0;

	tr_pp_choice(p, name, "ignore require", &choice);
	return choice == 1;
}

static bool mask(const struct tr_pp *p, const char *name, uint64_t *ret)
{
	struct tr_pp m;
	uint8_t be[8];

	if (!tr_pp_member(p, name, &m) || !tr_pp_hex(&m, be, sizeof(be)))
		return false;
	/* As the TEE's own fields stand: bytes in memory order, little-endian. */
	*ret = 0;
	for (unsigned i = 0; i < 8; i++)
		*ret |= (uint64_t)be[i] << (8 * i);
	return true;
}

static size_t list48(const struct tr_pp *m, uint8_t (*ret)[48])
{
	struct tr_tee_digests d = { 0 };

	tr_pp_digests(m, 48, &d);
	for (size_t i = 0; i < d.n; i++)
		memcpy(ret[i], d.v[i], 48);
	return d.n;
}

void tr_tee_read_tdx(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	int sept = 0;
	struct tr_pp m;
	struct tr_view v;

	if (!tr_pp_object(p, "debug sept_ve_disable migratable perfmon service_td xfam_mask min_tee_tcb_svn mrseam images"))
		return;
	ret->tdx.debug_ok = allows(p, "debug");
	ret->tdx.migratable_ok = allows(p, "migratable");
	ret->tdx.perfmon_ok = allows(p, "perfmon");
	tr_pp_choice(p, "sept_ve_disable", "require ignore", &sept);
	ret->tdx.no_sept_ve_ok = sept == 1;
	if (tr_pp_member(p, "service_td", &m)) {
		if (tr_json_str(m.node, &v) && tr_view_is(v, "any"))
			ret->tdx.any_service_td = true;
		else if (!tr_json_str(m.node, &v) || !tr_view_is(v, "refuse"))
			ret->tdx.n_service_tds = list48(&m, ret->tdx.service_tds);
	}
	ret->tdx.has_xfam = mask(p, "xfam_mask", &ret->tdx.xfam_mask);
	if (tr_pp_member(p, "min_tee_tcb_svn", &m))
		ret->tdx.has_min_svn = tr_pp_hex(&m, ret->tdx.min_svn, sizeof(ret->tdx.min_svn));
	if (tr_pp_member(p, "mrseam", &m))
		ret->tdx.n_seams = list48(&m, ret->tdx.seams);
	tr_tee_read_images(p, TR_TEE_TDX, ret);
}

void tr_tee_read_sgx(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	if (!tr_pp_object(p, "debug provision_key images"))
		return;
	ret->sgx.debug_ok = allows(p, "debug");
	ret->sgx.provision_ok = allows(p, "provision_key");
	tr_tee_read_images(p, TR_TEE_SGX, ret);
}

/* ---- SNP ---- */

static void part(const struct tr_pp *p, const char *name, uint8_t *ret)
{
	uint64_t n = 0;

	tr_pp_uint(p, name, 0, 255, &n);
	*ret = (uint8_t)n;
}

static void read_min_tcb(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	if (!tr_pp_object(p, "Milan Genoa Turin"))
		return;
	for (unsigned i = TR_SNP_MILAN; i < TR_SNP_PRODUCT_N; i++) {
		struct tr_snp_tcb *t = &ret->snp.min_tcb[i];
		struct tr_pp m;

		if (!tr_pp_member(p, tr_snp_product_name((enum tr_snp_product)i), &m) ||
		    !tr_pp_object(&m, "fmc boot_loader tee snp microcode"))
			continue;
		part(&m, "fmc", &t->fmc);
		part(&m, "boot_loader", &t->boot_loader);
		part(&m, "tee", &t->tee);
		part(&m, "snp", &t->snp);
		part(&m, "microcode", &t->microcode);
		ret->snp.has_min_tcb[i] = true;
	}
}

static void read_vmpl(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	struct tr_pp m;
	size_t n;

	if (!tr_pp_member(p, "vmpl", &m))
		return;
	memset(ret->snp.vmpl, 0, sizeof(ret->snp.vmpl));
	n = tr_pp_items(&m, 4);
	if (!n)
		tr_pp_fail(&m, "an empty list allows nothing");
	for (size_t i = 0; i < n; i++) {
		const struct tr_pp item = tr_pp_item(&m, i);
		int64_t v;

		if (!tr_json_int(item.node, &v) || v < 0 || v > 3)
			tr_pp_fail(&item, "must be a VMPL, 0 to 3");
		else
			ret->snp.vmpl[v] = true;
	}
}

void tr_tee_read_snp(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	/* PLATFORM_INFO's bits by name (AMD 56860, ATTESTATION_REPORT). */
	static const struct { const char *name; unsigned bit; } info[] = {
		{ "tsme", 1 }, { "ecc", 2 }, { "rapl_dis", 3 }, { "ciphertext_hiding", 4 }, { "alias_check", 5 },
	};
	int smt = 0, masked = 0;
	uint64_t svn = 0;
	struct tr_pp m;

	if (!tr_pp_object(p, "vmpl debug migrate_ma smt crl masked_chip min_tcb min_guest_svn platform_info mitigations images"))
		return;
	read_vmpl(p, ret);
	ret->snp.debug_ok = allows(p, "debug");
	ret->snp.migrate_ok = allows(p, "migrate_ma");
	tr_pp_choice(p, "smt", "allow refuse", &smt);
	ret->snp.no_smt = smt == 1;
	tr_pp_choice(p, "masked_chip", "allow refuse", &masked);
	ret->snp.masked_refused = masked == 1;
	ret->snp.require_crl = requires(p, "crl");
	if (tr_pp_member(p, "min_tcb", &m))
		read_min_tcb(&m, ret);
	tr_pp_uint(p, "min_guest_svn", 0, UINT32_MAX, &svn);
	ret->snp.min_guest_svn = (uint32_t)svn;
	(void)mask(p, "mitigations", &ret->snp.mitigations);
	if (tr_pp_member(p, "platform_info", &m)) {
		const size_t n = tr_pp_items(&m, TR_ARRAY_LEN(info));

		for (size_t i = 0; i < n; i++) {
			const struct tr_pp item = tr_pp_item(&m, i);
			const int w = tr_pp_word(&item, "tsme ecc rapl_dis ciphertext_hiding alias_check");

			if (w >= 0)
				ret->snp.platform_info |= UINT64_C(1) << info[w].bit;
		}
	}
	tr_tee_read_images(p, TR_TEE_SNP, ret);
}

/* ---- TPM ---- */

void tr_tee_read_tpm(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	static const enum tr_raw_hash banks[] = { TR_HASH_SHA256, TR_HASH_SHA384, TR_HASH_SHA512, TR_HASH_SHA1 };
	int bank = 0;
	struct tr_pp m;

	if (!tr_pp_object(p, "ak bank pcrs event_log ima images"))
		return;
	tr_pp_choice(p, "bank", "sha256 sha384 sha512 sha1", &bank);
	ret->tpm.bank = banks[bank];
	if (tr_pp_member(p, "ak", &m)) {
		const size_t n = tr_pp_items(&m, 4);

		memset(ret->tpm.ak, 0, sizeof(ret->tpm.ak));
		if (!n)
			tr_pp_fail(&m, "an empty list allows nothing");
		for (size_t i = 0; i < n; i++) {
			const struct tr_pp item = tr_pp_item(&m, i);
			const int w = tr_pp_word(&item, "pinned certificate activated hcl");

			if (w >= 0)
				ret->tpm.ak[TR_AK_PINNED + w] = true;
		}
	}
	ret->tpm.need_event_log = requires(p, "event_log");
	ret->tpm.need_ima = requires(p, "ima");
	if (tr_pp_member(p, "pcrs", &m))
		tr_tee_read_pcrs(&m, ret->tpm.bank, ret->tpm.pcrs, &ret->tpm.n_pcrs);
	tr_tee_read_images(p, TR_TEE_TPM, ret);
}
