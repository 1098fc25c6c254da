/* SPDX-License-Identifier: Apache-2.0 */
/* The verifiers over what the simulated vendor makes: every shape passes, and each fault is answered by its code. */
#include "evidence/sim_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct tr_tee_result result; /* large */

static void verify(const struct tr_sim_case *c, const struct tr_sim_spec *spec, int64_t now, struct tr_view root)
{
	struct tr_tee_when when = { .now = now };

	if (spec->kind == TR_TEE_SNP) {
		struct tr_snp_in in = { .report = tr_buf_view(&c->quote), .vek = tr_buf_view(&c->vek),
					.ask = tr_buf_view(&c->ask),	  .ark = tr_buf_view(&c->ark),
					.crl = tr_buf_view(&c->crl),	  .roots = &root,
					.n_roots = 1,			  .when = when,
					.require_crl = true,
					.report_data = TR_VIEW_ARRAY(spec->report_data) };

		tr_snp_verify(&in, &result, NULL);
	} else {
		struct tr_dcap_in in = { .quote = tr_buf_view(&c->quote), .kind = spec->kind, .c = tr_sim_collateral(c),
					 .roots = &root, .n_roots = 1, .when = when,
					 .report_data = TR_VIEW_ARRAY(spec->report_data) };

		tr_dcap_verify(&in, &result, NULL);
	}
}

static void show(const char *what)
{
	print_message("%s: first %s\n", what, tr_tee_code_info(result.first)->slug);
	for (size_t i = 0; i < result.n_checks; i++)
		if (result.checks[i].code != TR_TEEC_OK)
			print_message("  %s %s expected '%s' seen '%s'\n", result.checks[i].name,
				      tr_tee_code_info(result.checks[i].code)->slug, result.checks[i].expected,
				      result.checks[i].seen);
}

static bool fits(enum tr_sim_fault f, const struct shape *s)
{
	/* A report of version 2 has no CPUID, and a VLEK no chip. */
	return (tr_sim_fault_info(f)->kinds & (1u << s->kind)) && !(f == TR_SIMF_SNP_PRODUCT && s->version == 2) &&
	       !(f == TR_SIMF_SNP_WRONG_CHIP && s->vlek);
}

static void every_shape_passes(void **state)
{
	struct tr_sim *s = *state;
	struct tr_err err;

	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		struct tr_sim_spec spec = spec_of(&shapes[i]);
		struct tr_sim_case c = { 0 };

		assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
		verify(&c, &spec, TR_SIM_TIME, tr_buf_view(&c.root_spki));
		if (!tr_tee_authentic_and_current(&result) || result.answers[TR_Q_FRESH] != TR_ANSWER_YES ||
		    (spec.kind != TR_TEE_SNP && result.tcb_status != TR_TCB_UP_TO_DATE)) {
			show(shapes[i].label);
			fail();
		}
		tr_sim_case_done(&c);
	}
}

static void every_fault_has_its_answer(void **state)
{
	struct tr_sim *s = *state;
	struct tr_err err;
	unsigned wrong = 0;

	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++)
		for (enum tr_sim_fault f = TR_SIM_NO_FAULT + 1; f < TR_SIMF_N; f++) {
			struct tr_sim_spec spec = spec_of(&shapes[i]);
			struct tr_sim_case c = { 0 };

			if (!fits(f, &shapes[i]))
				continue;
			spec.fault = f;
			if (f == TR_SIMF_TCB_OTHER_TEE)
				spec.tcb_info_version = 0; /* version 2 has no id */
			assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
			verify(&c, &spec, TR_SIM_TIME, tr_buf_view(&c.root_spki));
			if (tr_tee_authentic_and_current(&result) || result.first != tr_sim_fault_info(f)->code) {
				print_message("%s, %s:\n", shapes[i].label, tr_sim_fault_info(f)->slug);
				show(" ");
				wrong++;
			}
			tr_sim_case_done(&c);
		}
	assert_int_equal(wrong, 0);
}

/* Nobody trusts the simulated vendor by default, and its roots are none of the pinned ones. */
static void no_vendor_vouches_for_it(void **state)
{
	struct tr_sim *s = *state;
	struct tr_err err;

	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		struct tr_sim_spec spec = spec_of(&shapes[i]);
		struct tr_sim_case c = { 0 };

		assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
		verify(&c, &spec, TR_SIM_TIME,
		       spec.kind == TR_TEE_SNP ? tr_amd_root_spki(spec.product) : tr_intel_root_spki());
		assert_false(tr_tee_authentic_and_current(&result));
		if (result.first != TR_TEEC_CHAIN_ROOT) {
			show(shapes[i].label);
			fail();
		}
		tr_sim_case_done(&c);
	}
}

/* The kind is the caller's to say, never the bytes'. */
static void another_kind_is_refused(void **state)
{
	struct tr_sim *s = *state;
	struct tr_err err;

	for (size_t i = 0; i < 7; i++) {
		struct tr_sim_spec spec = spec_of(&shapes[i]);
		struct tr_sim_case c = { 0 };

		assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
		spec.kind = spec.kind == TR_TEE_TDX ? TR_TEE_SGX : TR_TEE_TDX;
		verify(&c, &spec, TR_SIM_TIME, tr_buf_view(&c.root_spki));
		assert_false(tr_tee_authentic_and_current(&result));
		assert_int_equal(result.first, TR_TEEC_QUOTE_TEE_TYPE);
		tr_sim_case_done(&c);
	}
}

/* What is not there cannot be judged, and is not taken for good. */
static void every_part_is_needed(void **state)
{
	static const size_t which[] = { 0, 3, 8 };
	struct tr_sim *s = *state;
	struct tr_err err;

	for (size_t i = 0; i < TR_ARRAY_LEN(which); i++) {
		struct tr_sim_spec spec = spec_of(&shapes[which[i]]);
		struct tr_sim_case c = { 0 };
		struct tr_buf *parts[] = { &c.quote, &c.tcb_info, &c.qe_identity, &c.tcb_chain, &c.pck_crl,
					   &c.root_crl, &c.root_spki, &c.vek, &c.ask, &c.ark, &c.crl };

		assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
		for (size_t k = 0; k < TR_ARRAY_LEN(parts); k++) {
			size_t n = parts[k]->n;

			if (n == 0)
				continue;
			/* Two bytes less: PEM text may go without its last line feed. */
			for (size_t left = 0; left < n; left = left ? n : n - 2) {
				parts[k]->n = left;
				verify(&c, &spec, TR_SIM_TIME, tr_buf_view(&c.root_spki));
				parts[k]->n = n;
				if (tr_tee_authentic_and_current(&result))
					fail_msg("%s: good with %zu bytes of part %zu", shapes[which[i]].label, left, k);
			}
		}
		tr_sim_case_done(&c);
	}
}

static void old_evaluations_can_be_refused(void **state)
{
	struct tr_sim *s = *state;
	struct tr_sim_spec spec = spec_of(&shapes[0]);
	struct tr_sim_case c = { 0 };
	struct tr_view root;
	struct tr_err err;

	spec.evaluation_number = 19;
	assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
	root = tr_buf_view(&c.root_spki);
	for (uint64_t min = 18; min <= 20; min++) {
		struct tr_dcap_in in = { .quote = tr_buf_view(&c.quote), .kind = spec.kind, .c = tr_sim_collateral(&c),
					 .roots = &root, .n_roots = 1, .when = { .now = TR_SIM_TIME },
					 .min_evaluation_number = min };

		tr_dcap_verify(&in, &result, NULL);
		assert_int_equal(result.evaluation_number, 19);
		assert_int_equal(result.first, min == 20 ? TR_TEEC_EVALUATION_NUMBER : TR_TEEC_OK);
	}
	tr_sim_case_done(&c);
}

static void it_ends(void **state)
{
	struct tr_sim *s = *state;
	struct tr_err err;

	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		struct tr_sim_spec spec = spec_of(&shapes[i]);
		struct tr_sim_case c = { 0 };

		spec.not_after = TR_SIM_TIME + 1000;
		spec.next_update = TR_SIM_TIME + 500;
		assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
		verify(&c, &spec, TR_SIM_TIME + 500, tr_buf_view(&c.root_spki));
		assert_true(tr_tee_authentic_and_current(&result));
		assert_int_equal(result.valid_until, TR_SIM_TIME + 500);
		verify(&c, &spec, TR_SIM_TIME + 501, tr_buf_view(&c.root_spki));
		assert_int_equal(result.answers[TR_Q_CURRENT], TR_ANSWER_NO);
		verify(&c, &spec, 0, tr_buf_view(&c.root_spki));
		assert_int_equal(result.answers[TR_Q_CURRENT], TR_ANSWER_NO);
		tr_sim_case_done(&c);
	}
}

/* The platform's, the module's and the QE's status together. */
static void statuses_are_what_was_asked_for(void **state)
{
	static const struct {
		enum tr_tcb_status platform, module, qe, want;
		bool good;
	} cases[] = {
		{ TR_TCB_SW_HARDENING_NEEDED, 0, 0, TR_TCB_SW_HARDENING_NEEDED, true },
		{ TR_TCB_CONFIGURATION_NEEDED, TR_TCB_OUT_OF_DATE, 0, TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED, true },
		{ TR_TCB_UP_TO_DATE, TR_TCB_OUT_OF_DATE, 0, TR_TCB_OUT_OF_DATE, true },
		{ TR_TCB_UP_TO_DATE, 0, TR_TCB_OUT_OF_DATE, TR_TCB_OUT_OF_DATE, true },
		{ TR_TCB_UP_TO_DATE, 0, TR_TCB_REVOKED, TR_TCB_REVOKED, false },
		{ TR_TCB_UP_TO_DATE, TR_TCB_NOT_SUPPORTED, 0, TR_TCB_NOT_SUPPORTED, false },
		{ TR_TCB_OUT_OF_DATE, TR_TCB_REVOKED, 0, TR_TCB_REVOKED, false },
	};
	struct tr_sim *s = *state;
	struct tr_err err;

	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_sim_spec spec = spec_of(&shapes[0]);
		struct tr_sim_level level = { .sgx = { 8, 8, 2 }, .tdx = { 0, 0, 6 }, .pcesvn = 13,
					      .status = cases[i].platform, .advisory = "TROTH-SIM-SA-00002" };
		struct tr_sim_case c = { 0 };

		spec.levels = &level;
		spec.n_levels = 1;
		spec.module_status = cases[i].module;
		spec.qe_status = cases[i].qe;
		assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
		verify(&c, &spec, TR_SIM_TIME, tr_buf_view(&c.root_spki));
		if (result.tcb_status != cases[i].want || tr_tee_authentic_and_current(&result) != cases[i].good) {
			print_message("row %zu: %s\n", i, tr_tcb_status_name(result.tcb_status));
			show("status");
			fail();
		}
		tr_sim_case_done(&c);
	}
}

/* The platform was updated under a TD that was started before: restarting it would do. */
static void an_updated_platform_advises_a_relaunch(void **state)
{
	static const struct {
		uint8_t now[3];
		enum tr_tcb_status old, want;
	} cases[] = {
		{ { 6, 1, 7 }, TR_TCB_OUT_OF_DATE, TR_TCB_TD_RELAUNCH_ADVISED },
		{ { 6, 1, 7 }, TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED, TR_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED },
		/* Not updated, or not far enough. */
		{ { 5, 1, 6 }, TR_TCB_OUT_OF_DATE, TR_TCB_OUT_OF_DATE },
		{ { 6, 1, 6 }, TR_TCB_OUT_OF_DATE, TR_TCB_OUT_OF_DATE },
		/* Another major version of the module, with an identity of its own. */
		{ { 2, 3, 7 }, TR_TCB_OUT_OF_DATE, TR_TCB_TD_RELAUNCH_ADVISED },
	};
	struct tr_sim *s = *state;
	struct tr_err err;

	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_sim_spec spec = spec_of(&shapes[2]);
		struct tr_sim_level levels[] = { { .sgx = { 8 }, .tdx = { 6, 0, 7 }, .pcesvn = 13, .status = TR_TCB_UP_TO_DATE },
						 { .sgx = { 8 }, .tdx = { 5, 0, 6 }, .pcesvn = 13, .status = cases[i].old } };
		struct tr_sim_case c = { 0 };

		spec.own_svn = true;
		spec.comp[0] = 8;
		spec.pcesvn = 13;
		memcpy(spec.tee_tcb_svn, (uint8_t[]){ 5, 1, 6 }, 3);
		memcpy(spec.tee_tcb_svn_2, cases[i].now, 3);
		spec.levels = levels;
		spec.n_levels = 2;
		spec.module_status = TR_TCB_OUT_OF_DATE;
		assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
		verify(&c, &spec, TR_SIM_TIME, tr_buf_view(&c.root_spki));
		if (result.tcb_status != cases[i].want || !tr_tee_authentic_and_current(&result)) {
			print_message("row %zu: %s\n", i, tr_tcb_status_name(result.tcb_status));
			show("relaunch");
			fail();
		}
		tr_sim_case_done(&c);
	}
}

/* Where the third certificate of the chain begins: the root's, of which only the key counts. */
static size_t before_root(const struct tr_buf *b)
{
	const char *begin = "-----BEGIN";
	size_t at = b->n;

	for (size_t i = 0, seen = 0; i + 10 <= b->n && seen < 3; i++)
		if (memcmp(b->p + i, begin, 10) == 0) {
			at = i;
			seen++;
		}
	return at;
}

/* One bit anywhere in what is signed, and the whole is not good any more. */
static void no_signed_byte_can_change(void **state)
{
	static const size_t which[] = { 0, 3, 8 };
	struct tr_sim *s = *state;
	struct tr_err err;

	for (size_t i = 0; i < TR_ARRAY_LEN(which); i++) {
		struct tr_sim_spec spec = spec_of(&shapes[which[i]]);
		struct tr_sim_case c = { 0 };
		struct tr_buf *parts[] = { &c.quote, &c.tcb_info, &c.qe_identity, &c.pck_crl, &c.root_crl,
					   &c.vek,   &c.ask,	  &c.ark,	  &c.crl };

		assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
		for (size_t k = 0; k < TR_ARRAY_LEN(parts); k++) {
			size_t n = k == 0 && spec.kind != TR_TEE_SNP ? before_root(parts[k]) : parts[k]->n;

			for (size_t at = i; at < n; at += 7) {
				/* Bit 5 would turn a hexadecimal digit of the JSON's signature into the same one. */
				uint8_t bit = (uint8_t)(1u << at % 5);

				parts[k]->p[at] ^= bit;
				verify(&c, &spec, TR_SIM_TIME, tr_buf_view(&c.root_spki));
				parts[k]->p[at] ^= bit;
				if (tr_tee_authentic_and_current(&result))
					fail_msg("%s: part %zu is good with byte %zu changed", shapes[which[i]].label, k, at);
			}
		}
		tr_sim_case_done(&c);
	}
}

static int start(void **state)
{
	struct tr_err err;

	return tr_sim_new(NULL, (struct tr_sim **)state, &err) == TR_OK ? 0 : -1;
}

static int end(void **state)
{
	tr_sim_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shape_passes),
		cmocka_unit_test(every_fault_has_its_answer),
		cmocka_unit_test(no_vendor_vouches_for_it),
		cmocka_unit_test(another_kind_is_refused),
		cmocka_unit_test(every_part_is_needed),
		cmocka_unit_test(old_evaluations_can_be_refused),
		cmocka_unit_test(it_ends),
		cmocka_unit_test(an_updated_platform_advises_a_relaunch),
		cmocka_unit_test(no_signed_byte_can_change),
		cmocka_unit_test(statuses_are_what_was_asked_for),
	};

	return cmocka_run_group_tests(tests, start, end);
}
