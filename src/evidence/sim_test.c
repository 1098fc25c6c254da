/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/sim_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/key.h"

#define CHECKER "tests/simulated_case.py"

static const uint8_t seed[TR_SIM_SEED_LEN] = "an example seed of 32 bytes long";

static enum tr_code to_file(void *arg, const char *name, struct tr_view bytes, struct tr_err *err)
{
	char path[256];
	FILE *f;

	(void)err;
	(void)snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
	assert_int_equal(fclose(f), 0);
	return TR_OK;
}

static enum tr_code remove_file(void *arg, const char *name, struct tr_view bytes, struct tr_err *err)
{
	char path[256];

	(void)bytes, (void)err;
	(void)snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
	(void)unlink(path);
	return TR_OK;
}

/* What another implementation says of the folder: 0 good, 1 bad, 77 it is not here. */
static int independent(const struct tr_sim_case *c, const struct tr_sim_spec *spec)
{
	char dir[] = "/tmp/troth-sim-XXXXXX";
	struct tr_err err;
	pid_t pid;
	int status = 0;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(tr_sim_case_files(c, spec, "case", to_file, dir, &err), TR_OK);
	pid = fork();
	if (pid == 0) {
		execl("/usr/bin/python3", "python3", CHECKER, dir, (char *)NULL);
		_exit(77);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(tr_sim_case_files(c, spec, "case", remove_file, dir, &err), TR_OK);
	(void)rmdir(dir);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void another_library_verifies_every_shape(void **state)
{
	struct tr_sim *s;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_sim_new(NULL, &s, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		struct tr_sim_spec spec = spec_of(&shapes[i]);
		struct tr_sim_case c = { 0 };
		int got;

		assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
		got = independent(&c, &spec);
		if (got == 77)
			skip();
		if (got)
			fail_msg("%s: the independent check refused it", shapes[i].label);
		tr_sim_case_done(&c);
	}
	tr_sim_free(s);
}

/* The checker is no rubber stamp: what is wrong in bytes that it looks at is wrong for it too. */
static void another_library_refuses_faults(void **state)
{
	static const enum tr_sim_fault faults[] = { TR_SIMF_UNBOUND_ATT_KEY, TR_SIMF_QE_SIGNED_BY_CA, TR_SIMF_PCK_REVOKED,
						    TR_SIMF_TCB_CHANGED,     TR_SIMF_OTHER_ROOT,      TR_SIMF_QUOTE_FLIPPED,
						    TR_SIMF_SNP_FLIPPED,     TR_SIMF_SNP_WRONG_CHIP };
	struct tr_sim *s;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_sim_new(NULL, &s, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(faults); i++) {
		bool snp = tr_sim_fault_info(faults[i])->kinds == 1u << TR_TEE_SNP;
		struct tr_sim_spec spec = spec_of(&shapes[snp ? SNP_GENOA : 0]);
		struct tr_sim_case c = { 0 };
		int got;

		spec.fault = faults[i];
		assert_int_equal(tr_sim_make(s, &spec, &c, &err), TR_OK);
		got = independent(&c, &spec);
		if (got == 77)
			skip();
		if (got != 1)
			fail_msg("%s was not noticed", tr_sim_fault_info(faults[i])->slug);
		tr_sim_case_done(&c);
	}
	tr_sim_free(s);
}

static void a_seed_makes_the_same_vendor_again(void **state)
{
	struct tr_sim *a, *b, *fresh;
	struct tr_view one, two, three;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_sim_new(seed, &a, &err), TR_OK);
	assert_int_equal(tr_sim_new(seed, &b, &err), TR_OK);
	assert_int_equal(tr_sim_new(NULL, &fresh, &err), TR_OK);
	assert_int_equal(tr_sim_root_spki(a, TR_TEE_TDX, &one, &err), TR_OK);
	assert_int_equal(tr_sim_root_spki(b, TR_TEE_SGX, &two, &err), TR_OK);
	assert_int_equal(tr_sim_root_spki(fresh, TR_TEE_TDX, &three, &err), TR_OK);
	assert_true(tr_view_eq(one, two));
	assert_false(tr_view_eq(one, three));
	/* With a seed nothing is signed with a published key. */
	assert_int_equal(tr_sim_root_spki(a, TR_TEE_SNP, &one, &err), TR_OK);
	assert_int_equal(tr_sim_root_spki(b, TR_TEE_SNP, &two, &err), TR_OK);
	assert_int_equal(tr_sim_root_spki(fresh, TR_TEE_SNP, &three, &err), TR_OK);
	assert_true(tr_view_eq(one, two));
	assert_false(tr_view_eq(one, three));
	tr_sim_free(a), tr_sim_free(b), tr_sim_free(fresh);
}

/* Whoever looks a root up before trusting it is told. */
static void published_keys_are_known_as_such(void **state)
{
	struct tr_sim *seeded, *published;
	struct tr_view root;
	uint8_t id[32];
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_sim_new(seed, &seeded, &err), TR_OK);
	assert_int_equal(tr_sim_new(NULL, &published, &err), TR_OK);
	assert_int_equal(tr_sim_root_spki(published, TR_TEE_SNP, &root, &err), TR_OK);
	tr_sha256(root, id);
	assert_non_null(tr_key_leak_name(id));
	assert_int_equal(tr_sim_root_spki(seeded, TR_TEE_SNP, &root, &err), TR_OK);
	tr_sha256(root, id);
	assert_null(tr_key_leak_name(id));
	tr_sim_free(seeded), tr_sim_free(published);
}

static void a_platform_keeps_its_certificate(void **state)
{
	struct tr_sim_spec spec = spec_of(&shapes[0]);
	struct tr_buf one = TR_BUF_INIT, two = TR_BUF_INIT, three = TR_BUF_INIT;
	struct tr_quote a, b;
	enum tr_tee_code code;
	struct tr_sim *s, *again;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_sim_new(seed, &s, &err), TR_OK);
	assert_int_equal(tr_sim_quote(s, &spec, &one, &err), TR_OK);
	spec.report_data[0] ^= 1;
	assert_int_equal(tr_sim_quote(s, &spec, &two, &err), TR_OK);
	/* Also when it starts anew. */
	assert_int_equal(tr_sim_new(seed, &again, &err), TR_OK);
	assert_int_equal(tr_sim_quote(again, &spec, &three, &err), TR_OK);
	assert_true(tr_view_eq(tr_buf_view(&two), tr_buf_view(&three)));
	assert_int_equal(tr_quote_parse(tr_buf_view(&one), &a, &code, &err), TR_OK);
	assert_int_equal(tr_quote_parse(tr_buf_view(&two), &b, &code, &err), TR_OK);
	assert_true(tr_view_eq(a.cert_data, b.cert_data));
	assert_true(tr_view_eq(a.att_key, b.att_key));
	assert_false(tr_view_eq(a.td.report_data, b.td.report_data));
	assert_memory_equal(b.td.report_data.p, spec.report_data, 64);
	assert_memory_equal(b.td.rtmr[3].p, spec.rtmr[3], 48);
	assert_int_equal(a.trailing.n, 0);
	tr_buf_done(&one), tr_buf_done(&two), tr_buf_done(&three);
	tr_sim_free(s), tr_sim_free(again);
}

static void what_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *label;
		enum tr_tee_kind kind;
		unsigned version;
		enum tr_quote_body body;
		enum tr_snp_product product;
		enum tr_sim_fault fault;
	} cases[] = {
		{ "TDX v3", TR_TEE_TDX, 3, TR_BODY_TD10, 0, 0 },
		{ "TD 1.5 in v4", TR_TEE_TDX, 4, TR_BODY_TD15, 0, 0 },
		{ "SGX body of a TD", TR_TEE_TDX, 5, TR_BODY_SGX, 0, 0 },
		{ "SNP v6", TR_TEE_SNP, 6, 0, TR_SNP_MILAN, 0 },
		{ "SNP of no product", TR_TEE_SNP, 3, 0, TR_SNP_UNKNOWN, 0 },
		{ "TPM", TR_TEE_TPM, 1, 0, 0, 0 },
		{ "AMD's fault in a TD", TR_TEE_TDX, 4, TR_BODY_TD10, 0, TR_SIMF_SNP_WRONG_TCB },
		{ "Intel's fault in SNP", TR_TEE_SNP, 3, 0, TR_SNP_MILAN, TR_SIMF_QE_DEBUG },
		{ "a TDX module of SGX", TR_TEE_SGX, 3, TR_BODY_SGX, 0, TR_SIMF_MODULE_UNKNOWN },
		{ "no such fault", TR_TEE_SGX, 3, TR_BODY_SGX, 0, TR_SIMF_N },
		{ "no CPUID in v2", TR_TEE_SNP, 2, 0, TR_SNP_MILAN, TR_SIMF_SNP_PRODUCT },
	};
	struct tr_sim *s;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_sim_new(seed, &s, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_sim_case c = { 0 };
		struct tr_sim_spec spec;

		tr_sim_spec(cases[i].kind, &spec);
		spec.quote_version = cases[i].version;
		spec.body = cases[i].body;
		spec.product = cases[i].product;
		spec.fault = cases[i].fault;
		if (tr_sim_make(s, &spec, &c, &err) != TR_E_INVALID || c.quote.n)
			fail_msg("%s was made", cases[i].label);
		tr_sim_case_done(&c);
	}
	tr_sim_free(s);
}

static void faults_have_names(void **state)
{
	enum tr_sim_fault back = TR_SIM_NO_FAULT;

	(void)state;
	for (enum tr_sim_fault f = TR_SIM_NO_FAULT + 1; f < TR_SIMF_N; f++) {
		assert_true(tr_sim_fault_of(tr_view_str(tr_sim_fault_info(f)->slug), &back));
		assert_int_equal(back, f);
		assert_int_not_equal(tr_sim_fault_info(f)->code, TR_TEEC_OK);
	}
	assert_null(tr_sim_fault_info(TR_SIM_NO_FAULT));
	assert_null(tr_sim_fault_info(TR_SIMF_N));
	assert_false(tr_sim_fault_of(TR_VIEW_LIT("nonsense"), &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_library_verifies_every_shape),
		cmocka_unit_test(another_library_refuses_faults),
		cmocka_unit_test(a_seed_makes_the_same_vendor_again),
		cmocka_unit_test(published_keys_are_known_as_such),
		cmocka_unit_test(a_platform_keeps_its_certificate),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(faults_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
