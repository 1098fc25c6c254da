/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of policy on evidence of the simulated vendor: each row changes one thing of the TEE or of the policy, and says
 * which check must fail first. Rows of docs/faults-of-the-originals.md are named where one is theirs. */
#include "appraise/tee_test.h"

/* ---- one thing changed ---- */

static void debug_td(struct tr_sim_spec *s) { s->td_attributes = 1u << 28 | 1; }
static void tud_bit(struct tr_sim_spec *s) { s->td_attributes = 1u << 28 | 1u << 4; }
static void reserved_bit(struct tr_sim_spec *s) { s->td_attributes = 1u << 28 | 1u << 10; }
static void no_sept(struct tr_sim_spec *s) { s->td_attributes = UINT64_C(1) << 30; }
static void migratable(struct tr_sim_spec *s) { s->td_attributes = 1u << 28 | 1u << 29; }
static void perfmon(struct tr_sim_spec *s) { s->td_attributes = 1u << 28 | UINT64_C(1) << 63; }
static void wide_xfam(struct tr_sim_spec *s) { s->xfam = 0x602e7 | 1u << 10; }
static void other_mrtd(struct tr_sim_spec *s) { s->mrtd[47] ^= 1; }
static void other_rtmr0(struct tr_sim_spec *s) { s->rtmr[0][0] ^= 1; }
static void other_rtmr3(struct tr_sim_spec *s) { s->rtmr[3][47] ^= 1; }
static void half_of_the_other(struct tr_sim_spec *s) { memset(s->rtmr[1], 0x77, 48); }
static void the_other(struct tr_sim_spec *s) { memset(s->rtmr[1], 0x77, 48); memset(s->rtmr[2], 0x78, 48); }
static void with_config(struct tr_sim_spec *s) { s->mrconfigid[0] = 1; }
static void with_owner(struct tr_sim_spec *s) { s->mrowner[0] = 1; }
static void service_td(struct tr_sim_spec *s) { s->quote_version = 5; s->body = TR_BODY_TD15; s->mrservicetd[0] = 1; }
static void td15(struct tr_sim_spec *s) { s->quote_version = 5; s->body = TR_BODY_TD15; }
static void other_data(struct tr_sim_spec *s) { memset(s->report_data, 9, 64); }
static void tail_of_data(struct tr_sim_spec *s)
{
	tr_rd_troth(TR_VIEW_ARRAY(challenge), TR_VIEW_ARRAY(spki), s->report_data);
	s->report_data[63] ^= 1; /* row 13: compared whole, not as a prefix */
}
static const struct tr_sim_level hardening[] = { { .status = TR_TCB_SW_HARDENING_NEEDED, .advisory = "INTEL-SA-00615" } };
static const struct tr_sim_level outdated[] = { { .status = TR_TCB_OUT_OF_DATE, .advisory = "INTEL-SA-00828" } };
static void needs_hardening(struct tr_sim_spec *s) { s->levels = hardening; s->n_levels = 1; }
static void out_of_date(struct tr_sim_spec *s) { s->levels = outdated; s->n_levels = 1; }
static void revoked_tcb(struct tr_sim_spec *s) { s->fault = TR_SIMF_TCB_REVOKED; }
static void other_root(struct tr_sim_spec *s) { s->fault = TR_SIMF_OTHER_ROOT; }
static void flipped(struct tr_sim_spec *s) { s->fault = TR_SIMF_QUOTE_FLIPPED; }
static void debug_enclave(struct tr_sim_spec *s) { s->td_attributes = 0x7; }
static void uninitialised(struct tr_sim_spec *s) { s->td_attributes = 0x4; }
static void provisioning(struct tr_sim_spec *s) { s->td_attributes = 0x15; }
static void other_signer(struct tr_sim_spec *s) { s->rtmr[0][0] ^= 1; }
static void other_product(struct tr_sim_spec *s) { s->isvprodid = 2; }
static void older_enclave(struct tr_sim_spec *s) { s->isvsvn = 0; s->isvprodid = 1; }
static void newer_enclave(struct tr_sim_spec *s) { s->isvsvn = 9; }
static void debug_guest(struct tr_sim_spec *s) { s->snp_policy = 0x30000 | 1u << 19; }
static void migrate_ma(struct tr_sim_spec *s) { s->snp_policy = 0x30000 | 1u << 18; }
static void vmpl1(struct tr_sim_spec *s) { s->vmpl = 1; }
static void host_data(struct tr_sim_spec *s) { s->rtmr[0][0] = 1; }
static void snp_v2(struct tr_sim_spec *s) { s->quote_version = 2; }
static void turin(struct tr_sim_spec *s) { s->quote_version = 5; s->product = TR_SNP_TURIN; }
static void snp_flipped(struct tr_sim_spec *s) { s->fault = TR_SIMF_SNP_FLIPPED; }

static const struct {
	const char *label;
	enum tr_tee_kind kind;
	void (*change)(struct tr_sim_spec *s);
	const char *section, *top;
	enum tr_tee_code code;
} rows[] = {
	{ "a good TD", TR_TEE_TDX, NULL, NULL, NULL, TR_TEEC_OK },
	{ "a good TD 1.5", TR_TEE_TDX, td15, NULL, NULL, TR_TEEC_OK },
	{ "8: debug", TR_TEE_TDX, debug_td, NULL, NULL, TR_TEEC_DEBUG },
	{ "debug, allowed by name", TR_TEE_TDX, debug_td, "  debug: allow\n", NULL, TR_TEEC_OK },
	{ "8: a bit of TUD", TR_TEE_TDX, tud_bit, NULL, NULL, TR_TEEC_ATTRIBUTES },
	{ "a bit of TUD where debug is allowed", TR_TEE_TDX, tud_bit, "  debug: allow\n", NULL, TR_TEEC_ATTRIBUTES },
	{ "8: a reserved bit", TR_TEE_TDX, reserved_bit, NULL, NULL, TR_TEEC_ATTRIBUTES },
	{ "SEPT_VE_DISABLE missing", TR_TEE_TDX, no_sept, NULL, NULL, TR_TEEC_ATTRIBUTES },
	{ "SEPT_VE_DISABLE ignored", TR_TEE_TDX, no_sept, "  sept_ve_disable: ignore\n", NULL, TR_TEEC_OK },
	{ "migratable", TR_TEE_TDX, migratable, NULL, NULL, TR_TEEC_ATTRIBUTES },
	{ "migratable, allowed", TR_TEE_TDX, migratable, "  migratable: allow\n", NULL, TR_TEEC_OK },
	{ "perfmon", TR_TEE_TDX, perfmon, NULL, NULL, TR_TEEC_ATTRIBUTES },
	{ "perfmon, allowed", TR_TEE_TDX, perfmon, "  perfmon: allow\n", NULL, TR_TEEC_OK },
	{ "XFAM beyond the mask", TR_TEE_TDX, wide_xfam, "  xfam_mask: e702060000000000\n", NULL, TR_TEEC_ATTRIBUTES },
	{ "XFAM without a mask", TR_TEE_TDX, wide_xfam, NULL, NULL, TR_TEEC_OK },
	{ "XFAM within the mask", TR_TEE_TDX, NULL, "  xfam_mask: e702060000000000\n", NULL, TR_TEEC_OK },
	{ "a service TD", TR_TEE_TDX, service_td, NULL, NULL, TR_TEEC_ATTRIBUTES },
	{ "a service TD, any", TR_TEE_TDX, service_td, "  service_td: any\n", NULL, TR_TEEC_OK },
	{ "a service TD, listed", TR_TEE_TDX, service_td, "  service_td: ['010000000000000000000000000000000000000000000000"
	  "000000000000000000000000000000000000000000000000']\n", NULL, TR_TEEC_OK },
	{ "a service TD, another listed", TR_TEE_TDX, service_td, "  service_td: ['020000000000000000000000000000000000000000000000"
	  "000000000000000000000000000000000000000000000000']\n", NULL, TR_TEEC_ATTRIBUTES },
	{ "TEE_TCB_SVN below the minimum", TR_TEE_TDX, NULL, "  min_tee_tcb_svn: '06010600000000000000000000000000'\n", NULL,
	  TR_TEEC_MIN_TCB },
	{ "TEE_TCB_SVN at the minimum", TR_TEE_TDX, NULL, "  min_tee_tcb_svn: '05010600000000000000000000000000'\n", NULL, TR_TEEC_OK },
	{ "12: by component, not as a number", TR_TEE_TDX, NULL, "  min_tee_tcb_svn: '00000700000000000000000000000000'\n", NULL,
	  TR_TEEC_MIN_TCB },
	{ "another TDX module", TR_TEE_TDX, NULL, "  mrseam: ['020000000000000000000000000000000000000000000000"
	  "000000000000000000000000000000000000000000000000']\n", NULL, TR_TEEC_ATTRIBUTES },
	{ "14: another MRTD", TR_TEE_TDX, other_mrtd, NULL, NULL, TR_TEEC_MEASUREMENT },
	{ "14: another RTMR0", TR_TEE_TDX, other_rtmr0, NULL, NULL, TR_TEEC_MEASUREMENT },
	{ "14: another RTMR3: the MRTD is not an identity", TR_TEE_TDX, other_rtmr3, NULL, NULL, TR_TEEC_MEASUREMENT },
	{ "14: registers of two images", TR_TEE_TDX, half_of_the_other, NULL, NULL, TR_TEEC_MEASUREMENT },
	{ "the other image as a whole", TR_TEE_TDX, the_other, NULL, NULL, TR_TEEC_OK },
	{ "an MRCONFIGID that nobody expects", TR_TEE_TDX, with_config, NULL, NULL, TR_TEEC_MEASUREMENT },
	{ "an MROWNER that nobody expects", TR_TEE_TDX, with_owner, NULL, NULL, TR_TEEC_MEASUREMENT },
	{ "13: report data of another challenge", TR_TEE_TDX, other_data, NULL, NULL, TR_TEEC_REPORT_DATA },
	{ "13: report data with another last byte", TR_TEE_TDX, tail_of_data, NULL, NULL, TR_TEEC_REPORT_DATA },
	{ "TCB status not accepted", TR_TEE_TDX, needs_hardening, NULL, NULL, TR_TEEC_TCB_STATUS },
	{ "TCB status accepted", TR_TEE_TDX, needs_hardening, NULL, "tcb: {accept: [UpToDate, SWHardeningNeeded]}\n", TR_TEEC_OK },
	{ "its advisory listed", TR_TEE_TDX, needs_hardening, NULL,
	  "tcb: {accept: [SWHardeningNeeded], advisories: [INTEL-SA-00615]}\n", TR_TEEC_OK },
	{ "its advisory not listed", TR_TEE_TDX, needs_hardening, NULL,
	  "tcb: {accept: [SWHardeningNeeded], advisories: [INTEL-SA-00001]}\n", TR_TEEC_ADVISORY },
	{ "UpToDate where only another is accepted", TR_TEE_TDX, NULL, NULL, "tcb: {accept: [SWHardeningNeeded]}\n", TR_TEEC_TCB_STATUS },
	{ "out of date", TR_TEE_TDX, out_of_date, NULL, NULL, TR_TEEC_TCB_STATUS },
	{ "out of date, within the grace", TR_TEE_TDX, out_of_date, NULL, "tcb: {accept: [OutOfDate], grace_days: 3650}\n", TR_TEEC_OK },
	{ "out of date, grace over", TR_TEE_TDX, out_of_date, NULL, "tcb: {accept: [OutOfDate], grace_days: 1}\n", TR_TEEC_TCB_STATUS },
	{ "out of date, until then", TR_TEE_TDX, out_of_date, NULL, "tcb: {accept: [OutOfDate], out_of_date_until: 2026-07-01}\n",
	  TR_TEEC_OK },
	{ "out of date, no longer", TR_TEE_TDX, out_of_date, NULL, "tcb: {accept: [OutOfDate], out_of_date_until: 2026-05-01}\n",
	  TR_TEEC_TCB_STATUS },
	{ "out of date, both limits hold", TR_TEE_TDX, out_of_date, NULL,
	  "tcb: {accept: [OutOfDate], grace_days: 1, out_of_date_until: 2026-07-01}\n", TR_TEEC_TCB_STATUS },
	{ "a revoked TCB", TR_TEE_TDX, revoked_tcb, NULL, NULL, TR_TEEC_TCB_REVOKED },
	{ "7: an older evaluation than demanded", TR_TEE_TDX, NULL, NULL, "tcb: {min_evaluation_number: 18}\n",
	  TR_TEEC_EVALUATION_NUMBER },
	{ "the evaluation that is demanded", TR_TEE_TDX, NULL, NULL, "tcb: {min_evaluation_number: 17}\n", TR_TEEC_OK },
	{ "collateral older than the policy allows", TR_TEE_TDX, NULL, NULL, "collateral: {max_age_days: {tcb_info: 1}}\n",
	  TR_TEEC_COLLATERAL_TIME },
	{ "a CRL older than the policy allows", TR_TEE_TDX, NULL, NULL, "collateral: {max_age_days: {pck_crl: 1}}\n",
	  TR_TEEC_COLLATERAL_TIME },
	{ "collateral young enough", TR_TEE_TDX, NULL, NULL, "collateral: {max_age_days: {tcb_info: 3650, root_crl: 3650}}\n", TR_TEEC_OK },
	{ "3: another root of the same name", TR_TEE_TDX, other_root, NULL, NULL, TR_TEEC_CHAIN_ROOT },
	{ "a changed quote", TR_TEE_TDX, flipped, NULL, NULL, TR_TEEC_QUOTE_SIGNATURE },
	{ "a simulated root where hardware is demanded", TR_TEE_TDX, NULL, NULL, "min_tier: hardware\n", TR_TEEC_TIER },

	{ "a good enclave", TR_TEE_SGX, NULL, NULL, NULL, TR_TEEC_OK },
	{ "a newer enclave of the signer", TR_TEE_SGX, newer_enclave, NULL, NULL, TR_TEEC_OK },
	{ "8: a debug enclave", TR_TEE_SGX, debug_enclave, NULL, NULL, TR_TEEC_DEBUG },
	{ "a debug enclave, allowed", TR_TEE_SGX, debug_enclave, "  debug: allow\n", NULL, TR_TEEC_OK },
	{ "an enclave not initialised", TR_TEE_SGX, uninitialised, NULL, NULL, TR_TEEC_ATTRIBUTES },
	{ "an enclave with the provisioning key", TR_TEE_SGX, provisioning, NULL, NULL, TR_TEEC_ATTRIBUTES },
	{ "the same, allowed", TR_TEE_SGX, provisioning, "  provision_key: allow\n", NULL, TR_TEEC_OK },
	{ "another signer", TR_TEE_SGX, other_signer, NULL, NULL, TR_TEEC_MEASUREMENT },
	{ "another product of the signer", TR_TEE_SGX, other_product, NULL, NULL, TR_TEEC_MEASUREMENT },
	{ "an older enclave of the product", TR_TEE_SGX, older_enclave, NULL, NULL, TR_TEEC_MEASUREMENT },

	{ "a good guest", TR_TEE_SNP, NULL, NULL, NULL, TR_TEEC_OK },
	{ "a good guest, report version 2", TR_TEE_SNP, snp_v2, NULL, NULL, TR_TEEC_OK },
	{ "a good guest on Turin", TR_TEE_SNP, turin, NULL, NULL, TR_TEEC_OK },
	{ "8: a debug guest", TR_TEE_SNP, debug_guest, NULL, NULL, TR_TEEC_DEBUG },
	{ "a debug guest, allowed", TR_TEE_SNP, debug_guest, "  debug: allow\n", NULL, TR_TEEC_OK },
	{ "8: a migration agent", TR_TEE_SNP, migrate_ma, NULL, NULL, TR_TEEC_ATTRIBUTES },
	{ "a migration agent, allowed", TR_TEE_SNP, migrate_ma, "  migrate_ma: allow\n", NULL, TR_TEEC_OK },
	{ "VMPL 1", TR_TEE_SNP, vmpl1, NULL, NULL, TR_TEEC_VMPL },
	{ "VMPL 1, accepted", TR_TEE_SNP, vmpl1, "  vmpl: [1]\n", NULL, TR_TEEC_OK },
	{ "VMPL 0 where 1 is demanded", TR_TEE_SNP, NULL, "  vmpl: [1]\n", NULL, TR_TEEC_VMPL },
	{ "SMT, refused", TR_TEE_SNP, NULL, "  smt: refuse\n", NULL, TR_TEEC_ATTRIBUTES },
	{ "platform info that is there", TR_TEE_SNP, NULL, "  platform_info: [ecc, alias_check]\n", NULL, TR_TEEC_OK },
	{ "platform info that is not", TR_TEE_SNP, NULL, "  platform_info: [tsme]\n", NULL, TR_TEEC_ATTRIBUTES },
	{ "a mitigation that is missing", TR_TEE_SNP, NULL, "  mitigations: '0100000000000000'\n", NULL, TR_TEEC_ATTRIBUTES },
	{ "a guest SVN below the minimum", TR_TEE_SNP, NULL, "  min_guest_svn: 1000000\n", NULL, TR_TEEC_MIN_TCB },
	{ "a TCB below the minimum", TR_TEE_SNP, NULL, "  min_tcb: {Milan: {microcode: 255}}\n", NULL, TR_TEEC_MIN_TCB },
	{ "another product's minimum", TR_TEE_SNP, NULL, "  min_tcb: {Genoa: {microcode: 255}}\n", NULL, TR_TEEC_OK },
	{ "the minimum holds for version 2 too", TR_TEE_SNP, snp_v2, "  min_tcb: {Milan: {microcode: 255}}\n", NULL, TR_TEEC_MIN_TCB },
	{ "another measurement", TR_TEE_SNP, other_mrtd, NULL, NULL, TR_TEEC_MEASUREMENT },
	{ "host data that nobody expects", TR_TEE_SNP, host_data, NULL, NULL, TR_TEEC_MEASUREMENT },
	{ "a revocation list, demanded and there", TR_TEE_SNP, NULL, "  crl: require\n", NULL, TR_TEEC_OK },
	{ "report data of another challenge", TR_TEE_SNP, other_data, NULL, NULL, TR_TEEC_REPORT_DATA },
	{ "a changed report", TR_TEE_SNP, snp_flipped, NULL, NULL, TR_TEEC_SNP_SIGNATURE },
};

static void explain(void)
{
	for (size_t i = 0; i < verdict.ev.n_checks; i++)
		if (verdict.ev.checks[i].code != TR_TEEC_OK)
			print_error("  %s: expected %s, seen %s\n", verdict.ev.checks[i].name, verdict.ev.checks[i].expected,
				    verdict.ev.checks[i].seen);
}

static void every_rule_of_policy_is_applied(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(world_done) struct world w;
		struct tr_sim_spec spec;
		const bool ok = rows[i].code == TR_TEEC_OK;

		tr_sim_spec(rows[i].kind, &spec);
		if (rows[i].change)
			rows[i].change(&spec);
		prepare(&w, &spec, rows[i].section, rows[i].top, NULL);
		tr_tee_appraise(&w.in, &verdict);
		if (verdict.ev.first != rows[i].code || verdict.ok != ok) {
			explain();
			fail_msg("%s: %s instead of %s, %s", rows[i].label, tr_tee_code_info(verdict.ev.first)->slug,
				 tr_tee_code_info(rows[i].code)->slug, verdict.ok ? "accepted" : "refused");
		}
		assert_int_equal(verdict.reason, ok ? TR_R_OK : tr_tee_reason(rows[i].code));
		assert_true(ok == (verdict.expires != 0));
		assert_int_equal(verdict.tier, TR_TIER_NONE); /* simulated */
		if (ok)
			assert_true(verdict.simulated && verdict.compared && verdict.image[0]);
	}
}

/* ---- roots ---- */

static void a_simulated_root_is_refused_where_it_is_not_listed(void **state)
{
	static const enum tr_tee_kind kinds[] = { TR_TEE_TDX, TR_TEE_SGX, TR_TEE_SNP };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(kinds); i++) {
		tr_auto(world_done) struct world w;
		struct tr_sim_spec spec;

		tr_sim_spec(kinds[i], &spec);
		prepare(&w, &spec, NULL, NULL, "[intel, amd, tpm]");
		tr_tee_appraise(&w.in, &verdict);
		assert_false(verdict.ok || verdict.simulated);
		assert_int_equal(verdict.ev.first, TR_TEEC_CHAIN_ROOT);
		assert_int_equal(verdict.reason, TR_R_EVIDENCE_NOT_AUTHENTIC);
	}
}

static void a_root_of_ones_own_may_stand_for_hardware(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf roots = TR_BUF_INIT;
	tr_auto(world_done) struct world w;
	struct tr_sim_spec spec;
	struct tr_view root;
	uint8_t digest[32];
	struct tr_err err;

	(void)state;
	tr_sim_spec(TR_TEE_TDX, &spec);
	assert_int_equal(tr_sim_root_spki(sim, TR_TEE_TDX, &root, &err), TR_OK);
	tr_sha256(root, digest);
	tr_buf_adds(&roots, "[intel, {name: ours, spki_sha256: ");
	tr_hex_add(&roots, TR_VIEW_ARRAY(digest));
	tr_buf_adds(&roots, "}]");
	prepare(&w, &spec, NULL, "min_tier: hardware\n", tr_buf_cstr(&roots));
	tr_tee_appraise(&w.in, &verdict);
	explain();
	assert_true(verdict.ok && !verdict.simulated);
	assert_int_equal(verdict.tier, TR_TIER_HARDWARE);
}

/* ---- kinds (row 21) ---- */

static void the_policy_says_which_kinds_count(void **state)
{
	tr_auto(world_done) struct world w;
	struct tr_sim_spec spec;

	(void)state;
	tr_sim_spec(TR_TEE_TDX, &spec);
	prepare(&w, &spec, NULL, NULL, NULL);
	w.in.set.kind = TR_TEE_SNP;
	tr_tee_appraise(&w.in, &verdict);
	assert_int_equal(verdict.ev.first, TR_TEEC_KIND);
	w.in.set.kind = TR_TEE_NONE;
	tr_tee_appraise(&w.in, &verdict);
	assert_false(verdict.ok);
}

static void an_enclave_is_no_td(void **state)
{
	tr_auto(world_done) struct world w, sgx;
	struct tr_sim_spec spec;

	(void)state;
	tr_sim_spec(TR_TEE_SGX, &spec);
	prepare(&sgx, &spec, NULL, NULL, NULL);
	tr_sim_spec(TR_TEE_TDX, &spec);
	prepare(&w, &spec, NULL, NULL, NULL);
	w.in.set.quote = sgx.in.set.quote;
	tr_tee_appraise(&w.in, &verdict);
	assert_int_equal(verdict.ev.first, TR_TEEC_QUOTE_TEE_TYPE);
	assert_false(verdict.ok);
}

/* ---- freshness ---- */

static void set_data(enum tr_rd_scheme s, uint8_t data[64])
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;

	memset(data, 0, 64);
	switch (s) {
	case TR_RD_TROTH: tr_rd_troth(TR_VIEW_ARRAY(challenge), TR_VIEW_ARRAY(spki), data); break;
	case TR_RD_RAW_ED25519: memcpy(data, spki + 12, 32); break;
	case TR_RD_SHA256_SPKI_DER: tr_sha256(TR_VIEW_ARRAY(spki), data); break;
	case TR_RD_SHA256_CERT_DER: tr_sha256(TR_VIEW_LIT("certificate"), data); break;
	default:
		tr_pem_add(&pem, "PUBLIC KEY", TR_VIEW_ARRAY(spki));
		tr_sha256(tr_buf_view(&pem), data);
		break;
	}
}

/* Never "try all and accept any": each scheme takes its own report data and nobody else's. */
static void a_scheme_is_chosen_never_guessed(void **state)
{
	(void)state;
	for (unsigned scheme = TR_RD_TROTH; scheme < TR_RD_N; scheme++) {
		for (unsigned data = TR_RD_TROTH; data < TR_RD_N; data++) {
			tr_auto(world_done) struct world w;
			struct tr_sim_spec spec;
			char top[64];

			tr_sim_spec(TR_TEE_TDX, &spec);
			set_data((enum tr_rd_scheme)data, spec.report_data);
			(void)snprintf(top, sizeof(top), "report_data: %s\n", tr_rd_scheme_name((enum tr_rd_scheme)scheme));
			prepare(&w, &spec, NULL, top, NULL);
			w.in.cert = TR_VIEW_LIT("certificate");
			tr_tee_appraise(&w.in, &verdict);
			if (verdict.ok != (scheme == data) ||
			    verdict.ev.answers[TR_Q_FRESH] != (scheme == data ? TR_ANSWER_YES : TR_ANSWER_NO))
				fail_msg("scheme %u, data %u", scheme, data);
		}
	}
}

static void what_is_not_there_is_not_fresh(void **state)
{
	tr_auto(world_done) struct world w;
	struct tr_sim_spec spec;
	uint8_t other[44];

	(void)state;
	tr_sim_spec(TR_TEE_TDX, &spec);
	prepare(&w, &spec, NULL, NULL, NULL);
	w.in.challenge = tr_view(NULL, 0);
	tr_tee_appraise(&w.in, &verdict);
	assert_int_equal(verdict.ev.first, TR_TEEC_REPORT_DATA);
	w.in.challenge = TR_VIEW_LIT("another challenge of 32 bytes...");
	tr_tee_appraise(&w.in, &verdict);
	assert_int_equal(verdict.reason, TR_R_EVIDENCE_NOT_FRESH);
	w.in.challenge = TR_VIEW_ARRAY(challenge);
	w.in.spki = tr_view(NULL, 0);
	tr_tee_appraise(&w.in, &verdict);
	assert_int_equal(verdict.ev.first, TR_TEEC_REPORT_DATA);
	memcpy(other, spki, sizeof(other));
	other[43] ^= 1; /* a relayed quote: somebody else's key */
	w.in.spki = TR_VIEW_ARRAY(other);
	tr_tee_appraise(&w.in, &verdict);
	assert_int_equal(verdict.ev.first, TR_TEEC_REPORT_DATA);
	w.in.spki = TR_VIEW_ARRAY(spki);
	tr_tee_appraise(&w.in, &verdict);
	assert_true(verdict.ok);
}

/* Lengths are part of what is hashed: bytes cannot move from challenge to key. */
static void report_data_cannot_be_cut_otherwise(void **state)
{
	uint8_t a[64], b[64], t[32];

	(void)state;
	tr_rd_troth(TR_VIEW_LIT("ab"), TR_VIEW_LIT("c"), a);
	tr_rd_troth(TR_VIEW_LIT("a"), TR_VIEW_LIT("bc"), b);
	assert_memory_not_equal(a, b, 64);
	/* SHA-512 of "troth/report-data/v1" 00 0002 "ab" 0001 "c", computed elsewhere. */
	tr_rd_troth_tpm(TR_VIEW_LIT("ab"), TR_VIEW_LIT("c"), t);
	{
		uint8_t expected[32];

		tr_sha256(tr_view("troth/report-data/v1\0\0\2ab\0\1c", 28), expected);
		assert_memory_equal(t, expected, 32);
	}
}

/* ---- the end of a verdict ---- */

static void a_verdict_ends_with_what_it_rests_on(void **state)
{
	tr_auto(world_done) struct world w, x, y;
	struct tr_sim_spec spec;

	(void)state;
	tr_sim_spec(TR_TEE_TDX, &spec);
	prepare(&w, &spec, NULL, "lifetime_minutes: 60\n", NULL);
	tr_tee_appraise(&w.in, &verdict);
	assert_int_equal(verdict.expires, TR_SIM_TIME + 3600);
	tr_sim_spec(TR_TEE_TDX, &spec);
	spec.next_update = TR_SIM_TIME + 600;
	prepare(&x, &spec, NULL, NULL, NULL);
	tr_tee_appraise(&x.in, &verdict);
	assert_true(verdict.ok);
	assert_int_equal(verdict.expires, TR_SIM_TIME + 600);
	tr_sim_spec(TR_TEE_TDX, &spec);
	out_of_date(&spec);
	prepare(&y, &spec, NULL, "tcb: {accept: [OutOfDate], out_of_date_until: '2026-06-01T00:20:00Z'}\n", NULL);
	tr_tee_appraise(&y.in, &verdict);
	assert_true(verdict.ok);
	assert_int_equal(verdict.expires, TR_SIM_TIME + 1200);
}

static void without_collateral_nothing_passes(void **state)
{
	tr_auto(world_done) struct world w;
	struct tr_sim_spec spec;

	(void)state;
	tr_sim_spec(TR_TEE_TDX, &spec);
	prepare(&w, &spec, NULL, NULL, NULL);
	w.in.bundle = NULL;
	tr_tee_appraise(&w.in, &verdict);
	assert_false(verdict.ok);
	assert_int_equal(verdict.reason, TR_R_EVIDENCE_NOT_CURRENT);
}

/* ---- what is written ---- */

static void the_same_appraisal_gives_the_same_bytes(void **state)
{
	static struct tr_tee_verdict again;
	tr_auto(tr_buf_done) struct tr_buf a = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(world_done) struct world w;
	struct tr_sim_spec spec;
	struct tr_view code;
	struct tr_err err;

	(void)state;
	tr_sim_spec(TR_TEE_TDX, &spec);
	debug_td(&spec);
	prepare(&w, &spec, NULL, NULL, NULL);
	tr_tee_appraise(&w.in, &verdict);
	memset(&again, 0xa5, sizeof(again));
	tr_tee_appraise(&w.in, &again);
	tr_tee_verdict_json(&verdict, &w.in, &a);
	tr_tee_verdict_json(&again, &w.in, &b);
	assert_true(tr_view_eq(tr_buf_view(&a), tr_buf_view(&b)));
	if (tr_json_parse(tr_buf_view(&a), &j, &err))
		fail_msg("%s", err.detail);
	assert_true(tr_json_str(tr_json_get(tr_json_root(j), "code"), &code) && tr_view_is(code, "tee_debug"));
	w.in.now++;
	tr_tee_appraise(&w.in, &again);
	tr_buf_clear(&b);
	tr_tee_verdict_json(&again, &w.in, &b);
	assert_false(tr_view_eq(tr_buf_view(&a), tr_buf_view(&b)));
}

static int64_t claim(tr_jnode root, const char *name)
{
	int64_t n = -1000;

	(void)tr_json_int(tr_json_get(tr_json_get(tr_json_get(tr_json_get(root, "submods"), "tee"), "ear_trustworthiness_vector"),
				      name), &n);
	return n;
}

static void ear(struct world *w, struct tr_json **ret)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_ear_in in = { .issuer = TR_VIEW_LIT("troth"), .agent = TR_VIEW_LIT("a"),
				      .agent_type = TR_VIEW_LIT("web"), .policy = TR_VIEW_LIT("p"),
				      .build = TR_VIEW_LIT("b"), .issued = 1, .expires = 2, .v = &verdict,
				      .verdict_digest = TR_VIEW_LIT("digest"), .spki = w->in.spki };
	struct tr_err err;

	tr_tee_appraise(&w->in, &verdict);
	tr_ear_claims(&in, &b);
	if (tr_json_parse(tr_buf_view(&b), ret, &err))
		fail_msg("%s", err.detail);
}

static void result_tokens_say_what_was_found(void **state)
{
	tr_auto(tr_json_free) struct tr_json *good = NULL, *debug = NULL, *forged = NULL;
	tr_auto(world_done) struct world w, d, f;
	struct tr_sim_spec spec;
	struct tr_view v;

	(void)state;
	tr_sim_spec(TR_TEE_TDX, &spec);
	prepare(&w, &spec, NULL, NULL, NULL);
	ear(&w, &good);
	assert_int_equal(claim(tr_json_root(good), "instance-identity"), 2);
	assert_int_equal(claim(tr_json_root(good), "executables"), 2);
	assert_int_equal(claim(tr_json_root(good), "hardware"), 0); /* simulated: nothing is claimed of hardware */
	assert_true(tr_json_str(tr_json_get(tr_json_get(tr_json_get(tr_json_root(good), "submods"), "tee"), "ear_status"), &v) &&
		    tr_view_is(v, "warning"));
	assert_true(tr_json_str(tr_json_get(tr_json_get(tr_json_root(good), "troth"), "agent_type"), &v) && tr_view_is(v, "web"));
	tr_sim_spec(TR_TEE_TDX, &spec);
	debug_td(&spec);
	prepare(&d, &spec, NULL, NULL, NULL);
	ear(&d, &debug);
	assert_int_equal(claim(tr_json_root(debug), "configuration"), 96);
	assert_true(tr_json_str(tr_json_get(tr_json_get(tr_json_get(tr_json_root(debug), "submods"), "tee"), "ear_status"), &v) &&
		    tr_view_is(v, "contraindicated"));
	tr_sim_spec(TR_TEE_TDX, &spec);
	flipped(&spec);
	prepare(&f, &spec, NULL, NULL, NULL);
	ear(&f, &forged);
	assert_int_equal(claim(tr_json_root(forged), "hardware"), 99);
	assert_int_equal(claim(tr_json_root(forged), "executables"), 0); /* nothing is said on the word of a forgery */
}

static void every_code_has_a_reason(void **state)
{
	(void)state;
	for (unsigned c = TR_TEEC_OK + 1; c < TR_TEEC_N; c++)
		assert_int_not_equal(tr_tee_reason((enum tr_tee_code)c), TR_R_OK);
	assert_int_equal(tr_tee_reason(TR_TEEC_STALE), TR_R_CHALLENGE_INVALID);
	assert_int_equal(tr_tee_reason(TR_TEEC_LIMIT), TR_R_LIMIT);
}

static int begin(void **state)
{
	struct tr_err err;

	(void)state;
	return tr_sim_new(NULL, &sim, &err) != TR_OK;
}

static int end(void **state)
{
	(void)state;
	sim = tr_sim_free(sim);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_of_policy_is_applied),
		cmocka_unit_test(a_simulated_root_is_refused_where_it_is_not_listed),
		cmocka_unit_test(a_root_of_ones_own_may_stand_for_hardware),
		cmocka_unit_test(the_policy_says_which_kinds_count),
		cmocka_unit_test(an_enclave_is_no_td),
		cmocka_unit_test(a_scheme_is_chosen_never_guessed),
		cmocka_unit_test(what_is_not_there_is_not_fresh),
		cmocka_unit_test(report_data_cannot_be_cut_otherwise),
		cmocka_unit_test(a_verdict_ends_with_what_it_rests_on),
		cmocka_unit_test(without_collateral_nothing_passes),
		cmocka_unit_test(the_same_appraisal_gives_the_same_bytes),
		cmocka_unit_test(result_tokens_say_what_was_found),
		cmocka_unit_test(every_code_has_a_reason),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
