/* SPDX-License-Identifier: Apache-2.0 */
/* The library's door to the verifier, with the simulated vendor: what it is told, and what it must not guess. */
#include "troth/evidence.h"

#include "codec/text.h"
#include "crypto/hash.h"
#include "evidence/bundle.h"
#include "evidence/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after those */
#include <cmocka.h>

#define NOW TR_SIM_TIME

static struct tr_sim *vendor;
static struct tr_buf policy = { 0 };
static struct tr_sim_spec spec;

static int set_up(void **state)
{
	static const uint8_t seed[32] = { 7 };
	uint8_t sha[32];
	struct tr_view root;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_sim_new(seed, &vendor, &err), TR_OK);
	assert_int_equal(tr_sim_root_spki(vendor, TR_TEE_TDX, &root, &err), TR_OK);
	tr_sha256(root, sha);
	tr_sim_spec(TR_TEE_TDX, &spec);
	memset(spec.mrtd, 0xaa, sizeof(spec.mrtd));
	memset(spec.report_data, 0x11, sizeof(spec.report_data));
	tr_buf_adds(&policy, "name: lab\nagent_types: [\"*\"]\nevidence: [tdx]\nreport_data: troth\n"
			     "roots: [{name: lab, simulated: true, spki_sha256: ");
	tr_hex_add(&policy, TR_VIEW_ARRAY(sha));
	tr_buf_adds(&policy, "}]\ntdx:\n  images:\n    - {name: one, mrtd: ");
	tr_hex_add(&policy, TR_VIEW_ARRAY(spec.mrtd));
	for (unsigned k = 0; k < 4; k++) {
		tr_buf_addf(&policy, ", rtmr%u: ", k);
		tr_hex_add(&policy, TR_VIEW_ARRAY(spec.rtmr[k]));
	}
	tr_buf_adds(&policy, "}\n");
	return tr_buf_ok(&policy) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	(void)tr_sim_free(vendor);
	tr_buf_done(&policy);
	return 0;
}

/* The case's collateral as the bundle that an operator would have imported. */
static void make_bundle(const struct tr_sim_case *c, struct tr_buf *ret)
{
	const struct tr_buf *files[] = { &c->tcb_info, &c->qe_identity, &c->tcb_chain, &c->pck_crl, &c->root_crl };
	struct tr_bundle_entry items[16];
	struct tr_buf storage[5] = { { 0 } };
	struct tr_bundle b = { .version = 1, .made = NOW, .items = items };
	struct tr_err err = { 0 };

	for (size_t i = 0; i < TR_ARRAY_LEN(files); i++) {
		size_t n = 0;

		assert_int_equal(tr_bundle_import(tr_buf_view(files[i]), &storage[i], items + b.n, 4, &n, &err), TR_OK);
		b.n += n;
	}
	tr_bundle_put(ret, &b);
	assert_true(tr_buf_ok(ret));
	for (size_t i = 0; i < TR_ARRAY_LEN(files); i++)
		tr_buf_done(&storage[i]);
}

static enum troth_code verify(const struct tr_sim_case *c, const struct tr_buf *bundle, const uint8_t *report_data,
			      struct troth_evidence_verdict *ret, char **json)
{
	struct troth_evidence_check check = { .size = sizeof(check), .kind = "tdx", .evidence = c->quote.p,
					      .evidence_len = c->quote.n, .policy = (const char *)policy.p,
					      .policy_len = policy.n, .now_s = NOW, .report_data = report_data,
					      .report_data_len = report_data ? 64 : 0 };
	struct troth_error err = { 0 };

	check.bundle = bundle ? bundle->p : NULL;
	check.bundle_len = bundle ? bundle->n : 0;
	*ret = (struct troth_evidence_verdict){ .size = sizeof(*ret) };
	return troth_evidence_verify(&check, ret, json, &err);
}

static void good_evidence_is_good_and_says_so_again(void **state)
{
	tr_auto(tr_sim_case_done) struct tr_sim_case c = { 0 };
	tr_auto(tr_buf_done) struct tr_buf bundle = TR_BUF_INIT;
	struct troth_evidence_verdict v;
	struct tr_err err = { 0 };
	char *one = NULL, *two = NULL;

	(void)state;
	assert_int_equal(tr_sim_make(vendor, &spec, &c, &err), TR_OK);
	make_bundle(&c, &bundle);
	assert_int_equal(verify(&c, &bundle, spec.report_data, &v, &one), TROTH_OK);
	assert_true(v.good && v.simulated);
	assert_string_equal(v.code, "ok");
	assert_string_equal(v.tcb_status, "UpToDate");
	assert_string_equal(v.tier, "none"); /* a simulated root is no hardware */
	assert_string_equal(v.fresh, "yes");
	assert_int_equal(verify(&c, &bundle, spec.report_data, &v, &two), TROTH_OK);
	assert_string_equal(one, two);
	troth_free(one);
	troth_free(two);
}

static void what_was_not_given_is_not_answered_yes(void **state)
{
	tr_auto(tr_sim_case_done) struct tr_sim_case c = { 0 };
	tr_auto(tr_buf_done) struct tr_buf bundle = TR_BUF_INIT;
	uint8_t other[64] = { 0x22 };
	struct troth_evidence_verdict v;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_sim_make(vendor, &spec, &c, &err), TR_OK);
	make_bundle(&c, &bundle);
	assert_int_equal(verify(&c, &bundle, other, &v, NULL), TROTH_E_REFUSED);
	assert_string_equal(v.code, "report_data_mismatch");
	assert_int_equal(verify(&c, NULL, spec.report_data, &v, NULL), TROTH_E_REFUSED);
	assert_string_equal(v.code, "collateral_missing");
	assert_string_not_equal(v.current, "yes");
}

static void faults_have_their_codes(void **state)
{
	(void)state;
	for (unsigned f = 1; f < TR_SIMF_N; f++) {
		const struct tr_sim_fault_info *info = tr_sim_fault_info((enum tr_sim_fault)f);
		tr_auto(tr_sim_case_done) struct tr_sim_case c = { 0 };
		tr_auto(tr_buf_done) struct tr_buf bundle = TR_BUF_INIT;
		struct tr_sim_spec s = spec;
		struct troth_evidence_verdict v;
		struct tr_err err = { 0 };

		/* Files of another TEE or CA never come under the key that this quote's collateral is looked for by. */
		if (!(info->kinds & 1u << TR_TEE_TDX) || strstr(info->slug, "crl"))
			continue;
		s.fault = (enum tr_sim_fault)f;
		assert_int_equal(tr_sim_make(vendor, &s, &c, &err), TR_OK);
		make_bundle(&c, &bundle);
		if (verify(&c, &bundle, s.report_data, &v, NULL) != TROTH_E_REFUSED ||
		    (strcmp(v.code, tr_tee_code_info(info->code)->slug) != 0 && strcmp(v.code, "collateral_missing") != 0))
			fail_msg("%s: %s", info->slug, v.code);
	}
}

static void arguments_are_checked(void **state)
{
	static const uint8_t quote[8] = { 4 };
	struct troth_evidence_check good = { .size = sizeof(good), .kind = "tdx", .evidence = quote, .evidence_len = 8,
					     .now_s = NOW };
	struct troth_evidence_verdict v = { .size = sizeof(v) };
	struct troth_error err = { 0 };
	struct troth_evidence_check c;

	(void)state;
	assert_int_equal(troth_evidence_verify(&good, &v, NULL, &err), TROTH_E_REFUSED);
	assert_string_equal(v.authentic, "no");
	c = good;
	c.size--;
	assert_int_equal(troth_evidence_verify(&c, &v, NULL, &err), TROTH_E_ARGUMENT);
	c = good;
	c.now_s = 0;
	assert_int_equal(troth_evidence_verify(&c, &v, NULL, &err), TROTH_E_ARGUMENT);
	c = good;
	c.kind = "sev";
	assert_int_equal(troth_evidence_verify(&c, &v, NULL, &err), TROTH_E_ARGUMENT);
	c = good;
	c.kind = NULL; /* then it must be an evidence set */
	assert_int_equal(troth_evidence_verify(&c, &v, NULL, &err), TROTH_E_ARGUMENT);
	c = good;
	c.policy = "name: [";
	c.policy_len = 7;
	assert_int_equal(troth_evidence_verify(&c, &v, NULL, &err), TROTH_E_ARGUMENT);
	assert_true(err.message[0] != 0);
	c = good;
	c.bundle = quote;
	c.bundle_len = 8;
	assert_int_equal(troth_evidence_verify(&c, &v, NULL, &err), TROTH_E_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_evidence_is_good_and_says_so_again),
		cmocka_unit_test(what_was_not_given_is_not_answered_yes),
		cmocka_unit_test(faults_have_their_codes),
		cmocka_unit_test(arguments_are_checked),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
