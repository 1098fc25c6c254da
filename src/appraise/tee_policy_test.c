/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "appraise/tee_policy.h"

#define H8 "0011223344556677"
#define H16 H8 H8
#define H32 H16 H16
#define H48 H32 H16
#define Z48 "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
#define TOP "name: p\nagent_types: [a]\nroots: [intel, amd]\n"
#define IMAGE "{name: i, mrtd: " H48 ", rtmr0: " H48 ", rtmr1: " H48 ", rtmr2: " H48 ", rtmr3: " H48 "}"

static struct tr_tee_policy *parse(const char *text)
{
	struct tr_tee_policy *p = NULL;
	struct tr_err err = { 0 };

	if (tr_tee_policy_parse(tr_view_str(text), &p, &err))
		fail_msg("%s\n%s", text, err.detail);
	return p;
}

static void what_is_not_said_is_strict(void **state)
{
	tr_auto(tr_tee_policy_free) struct tr_tee_policy *p = parse(TOP "evidence: [tdx]\ntdx: {images: [" IMAGE "]}\n");

	(void)state;
	assert_string_equal(tr_tee_policy_name(p), "p");
	assert_int_equal(tr_tee_policy_scheme(p), TR_RD_TROTH);
	assert_int_equal(tr_tee_policy_lifetime_s(p), 4 * 3600);
	assert_true(tr_tee_policy_for(p, TR_VIEW_LIT("a")) && !tr_tee_policy_for(p, TR_VIEW_LIT("b")));
	assert_true(p->kinds[TR_TEE_TDX] && !p->kinds[TR_TEE_SGX] && !p->kinds[TR_TEE_SNP] && !p->kinds[TR_TEE_TPM]);
	for (unsigned s = 0; s < TR_TCB_N; s++)
		assert_int_equal(p->tcb.accept[s], s == TR_TCB_UP_TO_DATE);
	assert_false(p->tdx.debug_ok || p->tdx.no_sept_ve_ok || p->tdx.migratable_ok);
	assert_false(p->tdx.perfmon_ok || p->tdx.any_service_td);
	assert_false(p->sgx.debug_ok || p->sgx.provision_ok || p->snp.debug_ok || p->snp.migrate_ok);
	assert_true(p->snp.vmpl[0] && !p->snp.vmpl[1] && !p->snp.vmpl[2] && !p->snp.vmpl[3]);
	assert_false(p->tpm.ak[TR_AK_PINNED] || p->tpm.ak[TR_AK_NONE]);
	assert_int_equal(p->tpm.bank, TR_HASH_SHA256);
	assert_int_equal(p->collateral.grace_s + p->collateral.skew_s, 0);
	assert_false(p->measurements_any);
	assert_int_equal(p->images[0].rtmr3.n, 1);
}

static void everything_can_be_said(void **state)
{
	static const char text[] =
		"name: all\ndescription: every member\nagent_types: [hub, '*']\nevidence: [tdx, sgx, snp, tpm]\n"
		"roots: [intel, amd, tpm, {name: lab, spki_sha256: " H32 ", simulated: true}]\n"
		"report_data: troth\nlifetime_minutes: 30\nmin_tier: hardware\n"
		"tcb:\n  accept: [UpToDate, SWHardeningNeeded, OutOfDate]\n  advisories: [INTEL-SA-00615]\n"
		"  min_evaluation_number: 17\n  grace_days: 90\n  out_of_date_until: 2027-01-31\n"
		"collateral: {grace_days: 7, skew_seconds: 300, max_age_days: {tcb_info: 20, qe_identity: 20, pck_crl: 20, root_crl: 400, "
		"amd_crl: 90}}\n"
		"tdx:\n  debug: allow\n  sept_ve_disable: ignore\n  migratable: allow\n  perfmon: allow\n  service_td: [" H48 "]\n"
		"  xfam_mask: e702060000000000\n  min_tee_tcb_svn: " H16 "\n  mrseam: " H48 "\n  images:\n"
		"    - {name: a, mrtd: " H48 ", rtmr0: any, rtmr1: " H48 ", rtmr2: " H48 ", rtmr3: {secretvm: {compose_sha256: [" H32
		", " H32 "], rootfs: " H32 ", files: " H32 "}}, mrconfigid: any, mrowner: " H48 ", mrownerconfig: " Z48 "}\n"
		"    - {name: b, mrtd: " H48 ", rtmr0: any, rtmr1: any, rtmr2: any, rtmr3: {dstack: {app-id: '00', compose-hash: " H32 "}}}\n"
		"sgx:\n  debug: refuse\n  provision_key: allow\n  images:\n    - {name: e, mrenclave: " H32 "}\n"
		"    - {name: s, mrsigner: " H32 ", isvprodid: 3, min_isvsvn: 2}\n"
		"snp:\n  vmpl: [0, 1]\n  debug: refuse\n  migrate_ma: allow\n  smt: refuse\n  crl: require\n  masked_chip: refuse\n"
		"  min_tcb: {Milan: {boot_loader: 4, snp: 22, microcode: 213}, Turin: {fmc: 1}}\n  min_guest_svn: 2\n"
		"  platform_info: [alias_check, ecc]\n  mitigations: 0100000000000000\n"
		"  images: [{name: m, measurement: " H48 ", host_data: any, id_key_digest: " H48 ", author_key_digest: any, family_id: " H16
		", image_id: " H16 "}]\n"
		"tpm:\n  ak: [pinned, activated]\n  bank: sha384\n  pcrs: {0: " H48 ", 7: [" H48 ", " Z48 "]}\n  event_log: require\n"
		"  ima: require\n  images: [{name: t, pcrs: {4: " H48 "}}]\n";
	tr_auto(tr_tee_policy_free) struct tr_tee_policy *p = parse(text);
	uint8_t rtmr[48], h[32];

	(void)state;
	assert_true(p->any_type && p->root_intel && p->root_amd && p->root_tpm && p->roots[0].simulated);
	assert_int_equal(p->lifetime_s, 1800);
	assert_int_equal(p->tcb.until, 1801353600);
	assert_int_equal(p->tcb.grace_s, 90 * 86400);
	assert_int_equal(p->tdx.xfam_mask, 0x602e7);
	assert_int_equal(p->n_images, 6);
	assert_int_equal(p->images[2].rtmr3.n, 2);
	for (unsigned i = 0; i < 32; i++)
		h[i] = (uint8_t)(i % 8 * 0x11);
	tr_rtmr3_secretvm(h, h, h, rtmr);
	assert_memory_equal(p->images[2].rtmr3.v[1], rtmr, 48);
	assert_int_equal(p->images[3].n_dstack, 2);
	assert_int_equal(p->images[1].min_isvsvn, 2);
	assert_true(p->snp.has_min_tcb[TR_SNP_MILAN] && !p->snp.has_min_tcb[TR_SNP_GENOA] && p->snp.has_min_tcb[TR_SNP_TURIN]);
	assert_int_equal(p->snp.platform_info, 1 << 5 | 1 << 2);
	assert_int_equal(p->snp.mitigations, 1);
	assert_true(p->tpm.ak[TR_AK_PINNED] && p->tpm.ak[TR_AK_ACTIVATED]);
	assert_false(p->tpm.ak[TR_AK_CERTIFICATE] || p->tpm.ak[TR_AK_HCL]);
	assert_int_equal(p->tpm.n_pcrs, 2);
	assert_int_equal(p->tpm.pcrs[1].values.n, 2);
	assert_int_equal(p->collateral.max_age_s[TR_BI_PCK_CRL_PROCESSOR], 20 * 86400);
}

/* The vector of SecretVM's registry: RTMR3 of nine bytes of compose file and one rootfs. */
static void secretvms_rule_is_its_register(void **state)
{
	tr_auto(tr_tee_policy_free) struct tr_tee_policy *p = parse(TOP "evidence: [tdx]\ntdx: {images: [{name: s, mrtd: " H48
		", rtmr0: any, rtmr1: any, rtmr2: any, rtmr3: {secretvm: {"
		"compose_sha256: d5f25b585a1d1972c6d65d1e04dc630a019bcb6ef6f1bb11eb4f8fe453e21961, "
		"rootfs: 2a6d16965f5ce5143bcba614bb7896cdfc598a71c6e1ecc55efd3d8f74ba7c8a}}}]}\n");
	static const uint8_t begin[] = { 0x54, 0x27, 0x33, 0x23, 0x0d, 0x9c, 0x75, 0x56 };

	(void)state;
	assert_memory_equal(p->images[0].rtmr3.v[0], begin, sizeof(begin));
}

#define TDX TOP "evidence: [tdx]\n"
#define ANY TOP "evidence: [tdx, snp, sgx, tpm]\nmeasurements: any\n"
static const struct { const char *text, *detail; } refused[] = {
	{ "", "line 1: no document" },
	{ "[]", "must be a mapping" },
	{ "name: [", "line " },
	{ "agent_types: [a]\nevidence: [tdx]\nroots: [intel]\nmeasurements: any\n", "\"name\" is missing" },
	{ "name: a b\nagent_types: [a]\nevidence: [tdx]\nroots: [intel]\nmeasurements: any\n", "name: must be a plain name" },
	{ "name: a\nevidence: [tdx]\nroots: [intel]\n", "\"agent_types\" is missing" },
	{ "name: a\nagent_types: []\nevidence: [tdx]\nroots: [intel]\n", "agent_types: must name" },
	{ "name: a\nagent_types: [a/b]\nevidence: [tdx]\nroots: [intel]\n", "agent_types[0]: must be an agent type" },
	{ "name: a\nagent_types: [a]\nroots: [intel]\n", "\"evidence\" is missing" },
	{ "name: a\nagent_types: [a]\nevidence: [sev]\nroots: [intel]\n", "evidence[0]: must be one of: sgx tdx snp tpm" },
	{ "name: a\nagent_types: [a]\nevidence: [tdx]\n", "\"roots\" is missing" },
	{ "name: a\nagent_types: [a]\nevidence: [tdx]\nroots: [google]\n", "roots[0]: must be one of" },
	{ "name: a\nagent_types: [a]\nevidence: [tdx]\nroots: [{name: x}]\n", "roots[0]: \"spki_sha256\" is missing" },
	{ "name: a\nagent_types: [a]\nevidence: [tdx]\nroots: [{name: x, simulated: true, spki_sha256: "
	  "5a3e9d7a4c40b5552b917d8e58fec719a255b854728359499095ef35abbb5e9f}]\n",
	  "roots[0].spki_sha256: is a published test key" },
	{ "name: a\nagent_types: [a]\nevidence: [tdx]\nroots: [{name: x, spki_sha256: ab}]\n", "roots[0].spki_sha256: must be 64 hex" },
	{ ANY "debug: allow\n", "unknown member \"debug\"" },
	{ ANY "tdx: {debg: allow}\n", "tdx: unknown member \"debg\"" },
	{ ANY "tdx: {debug: yes}\n", "tdx.debug: must be one of: refuse allow" },
	{ ANY "tdx: {debug: true}\n", "tdx.debug: must be one of" },
	{ ANY "report_data: none\n", "report_data: must be one of: troth" }, /* no policy may skip freshness */
	{ ANY "report_data: sha256\n", "report_data: must be one of" },
	{ ANY "report_data: raw-ed25519\n", "a TPM's quote needs report_data: troth" },
	{ ANY "lifetime_minutes: 241\n", "lifetime_minutes: must be a whole number from 1 to 240" },
	{ ANY "lifetime_minutes: 0\n", "lifetime_minutes: must be" },
	{ ANY "min_tier: tee\n", "min_tier: must be one of" },
	{ ANY "tcb: {accept: [Revoked]}\n", "tcb.accept[0]: Revoked is never accepted" },
	{ ANY "tcb: {accept: [NotSupported]}\n", "tcb.accept[0]: NotSupported is never" },
	{ ANY "tcb: {accept: [TdxModuleMismatch]}\n", "tcb.accept[0]: TdxModuleMismatch is never" },
	{ ANY "tcb: {accept: [uptodate]}\n", "tcb.accept[0]: is no TCB status" },
	{ ANY "tcb: {accept: []}\n", "tcb.accept: an empty list" },
	{ ANY "tcb: {accept: [OutOfDate]}\n", "tcb.accept[0]: OutOfDate is accepted only for a time" },
	{ ANY "tcb: {accept: [TDRelaunchAdvised]}\n", "tcb.accept[0]: TDRelaunchAdvised is accepted only" },
	{ ANY "tcb: {out_of_date_until: tomorrow}\n", "tcb.out_of_date_until: must be a date" },
	{ ANY "collateral: {grace_days: 8}\n", "collateral.grace_days: must be a whole number from 0 to 7" },
	{ ANY "collateral: {skew_seconds: 301}\n", "collateral.skew_seconds: must be" },
	{ ANY "collateral: {max_age_days: {vek: 3}}\n", "collateral.max_age_days: unknown member \"vek\"" },
	{ TDX, "tdx evidence is accepted without reference values" },
	{ TDX "measurements: none\n", "measurements: must be one of: any" },
	{ TOP "evidence: [snp, tdx]\ntdx: {images: [" IMAGE "]}\n", "snp evidence is accepted without" },
	{ TDX "tdx: {images: []}\n", "tdx evidence is accepted without" },
	{ TDX "tdx: {images: [{name: a, mrtd: " H48 "}]}\n", "tdx.images[0]: \"rtmr0\" is missing" },
	{ TDX "tdx: {images: [{name: a, mrtd: " H48 ", rtmr0: any, rtmr1: any, rtmr2: any}]}\n", "tdx.images[0]: \"rtmr3\" is missing" },
	{ TDX "tdx: {images: [{name: a, mrtd: any, rtmr0: any, rtmr1: any, rtmr2: any, rtmr3: any}]}\n",
	  "tdx.images[0]: \"mrtd\" cannot be \"any\"" },
	{ TDX "tdx: {images: [{mrtd: " H48 ", rtmr0: any, rtmr1: any, rtmr2: any, rtmr3: any}]}\n", "tdx.images[0]: \"name\" is missing" },
	{ TDX "tdx: {images: [{name: a, mrtd: " H32 "}]}\n", "tdx.images[0].mrtd: must be 96 hex digits" },
	{ TDX "tdx: {images: [{name: a, mrtd: " H48 ", rtmr0: any, rtmr1: any, rtmr2: any, rtmr3: {secretvm: {rootfs: " H32 "}}}]}\n",
	  "tdx.images[0].rtmr3.secretvm: \"compose_sha256\" is missing" },
	{ TDX "tdx: {images: [{name: a, mrtd: " H48 ", rtmr0: any, rtmr1: any, rtmr2: any, rtmr3: {dstack: {}}}]}\n",
	  "tdx.images[0].rtmr3.dstack: must map" },
	{ TDX "tdx: {images: [{name: a, mrtd: " H48 ", rtmr0: any, rtmr1: any, rtmr2: any, rtmr3: {}}]}\n",
	  "tdx.images[0].rtmr3: must hold one rule" },
	{ ANY "tdx: {xfam_mask: 1000000000000000}\n", "tdx.xfam_mask: is read as a number: put the 16 hex digits in quotes" },
	{ ANY "tdx: {service_td: none}\n", "tdx.service_td: must be 96 hex" },
	{ ANY "sgx: {images: [{name: a}]}\n", "sgx.images[0]: needs \"mrenclave\"" },
	{ ANY "sgx: {images: [{name: a, mrsigner: " H32 "}]}\n", "sgx.images[0]: \"mrsigner\" needs" },
	{ ANY "sgx: {images: [{name: a, mrsigner: \"0000000000000000000000000000000000000000000000000000000000000000\", isvprodid: 0, "
	      "min_isvsvn: 0}]}\n", "sgx.images[0]: \"mrsigner\" of zeros" },
	{ ANY "snp: {vmpl: [4]}\n", "snp.vmpl[0]: must be a VMPL" },
	{ ANY "snp: {vmpl: []}\n", "snp.vmpl: an empty list" },
	{ ANY "snp: {min_tcb: {Rome: {snp: 1}}}\n", "snp.min_tcb: unknown member \"Rome\"" },
	{ ANY "snp: {min_tcb: {Milan: {snp: 256}}}\n", "snp.min_tcb.Milan.snp: must be a whole number from 0 to 255" },
	{ ANY "snp: {platform_info: [tio]}\n", "snp.platform_info[0]: must be one of" },
	{ ANY "snp: {images: [{name: a, measurement: any}]}\n", "snp.images[0]: \"measurement\" cannot be \"any\"" },
	{ ANY "tpm: {ak: []}\n", "tpm.ak: an empty list" },
	{ ANY "tpm: {bank: sm3}\n", "tpm.bank: must be one of" },
	{ ANY "tpm: {pcrs: {24: " H32 "}}\n", "tpm.pcrs.24: is no number of a PCR" },
	{ ANY "tpm: {pcrs: {'07': " H32 "}}\n", "tpm.pcrs.07: is no number" },
	{ ANY "tpm: {pcrs: {7: " H48 "}}\n", "tpm.pcrs.7: must be 64 hex digits" }, /* the bank is SHA-256 */
	{ ANY "tpm: {pcrs: {7: []}}\n", "tpm.pcrs.7: an empty list" },
	{ ANY "tpm: {pcrs: {}}\n", "tpm.pcrs: must map" },
	{ ANY "tdx: {debug: refuse}\ntdx: {debug: allow}\n", "line 7: a name stands here for the second time" },
};

static void mistakes_are_named_with_their_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(refused); i++) {
		struct tr_tee_policy *p = NULL;
		struct tr_err err = { 0 };

		if (tr_tee_policy_parse(tr_view_str(refused[i].text), &p, &err) != TR_E_INVALID)
			fail_msg("taken: %s", refused[i].text);
		if (strncmp(err.detail, refused[i].detail, strlen(refused[i].detail)) != 0)
			fail_msg("%s: %s", refused[i].detail, err.detail);
		assert_null(p);
	}
}

static void tools_may_leave_freshness_out(void **state)
{
	tr_auto(tr_tee_policy_free) struct tr_tee_policy *p = NULL, *d = NULL;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_tee_policy_parse_tools(TR_VIEW_LIT(ANY "report_data: none\n"), &p, &err), TR_OK);
	assert_int_equal(tr_tee_policy_scheme(p), TR_RD_NONE);
	assert_int_equal(tr_tee_policy_default(&d, &err), TR_OK);
	assert_int_equal(tr_tee_policy_scheme(d), TR_RD_NONE);
}

static void yaml_and_json_are_one_policy(void **state)
{
	tr_auto(tr_tee_policy_free) struct tr_tee_policy *y = parse(ANY);
	tr_auto(tr_tee_policy_free) struct tr_tee_policy *j =
		parse("{\"name\":\"p\",\"agent_types\":[\"a\"],\"roots\":[\"intel\",\"amd\"],\"evidence\":[\"tdx\",\"snp\",\"sgx\",\"tpm\"],"
		      "\"measurements\":\"any\"}");

	(void)state;
	memset(y->sha256, 0, 32);
	memset(j->sha256, 0, 32);
	assert_memory_equal(y, j, sizeof(*y));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_said_is_strict),
		cmocka_unit_test(everything_can_be_said),
		cmocka_unit_test(secretvms_rule_is_its_register),
		cmocka_unit_test(mistakes_are_named_with_their_path),
		cmocka_unit_test(tools_may_leave_freshness_out),
		cmocka_unit_test(yaml_and_json_are_one_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
