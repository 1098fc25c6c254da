/* SPDX-License-Identifier: Apache-2.0 */
/* An appraisal without memory: each allocation of ours fails once (cmake/evidence.cmake). The answer is a refusal that says
 * so, never a yes and never a word against the platform. */
#include "appraise/tee_test.h"

#include "base/failing_memory.h"

static void every_failing_allocation_is_a_refusal(void **state)
{
	static const struct { const char *label; enum tr_tee_kind kind; const char *top; enum tr_rd_scheme scheme; } rows[] = {
		{ "TDX", TR_TEE_TDX, NULL, TR_RD_TROTH },
		{ "TDX, PEM", TR_TEE_TDX, "report_data: sha256-pem\n", TR_RD_SHA256_PEM },
		{ "SGX", TR_TEE_SGX, NULL, TR_RD_TROTH },
		{ "SNP", TR_TEE_SNP, NULL, TR_RD_TROTH },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
		tr_auto(world_done) struct world w;
		struct tr_sim_spec spec;
		unsigned long n = 0;

		tr_sim_spec(rows[i].kind, &spec);
		if (rows[i].scheme == TR_RD_SHA256_PEM) {
			tr_pem_add(&pem, "PUBLIC KEY", TR_VIEW_ARRAY(spki));
			tr_sha256(tr_buf_view(&pem), spec.report_data);
		}
		prepare(&w, &spec, NULL, rows[i].top, NULL);
		do {
			failed = false;
			countdown = ++n;
			tr_tee_appraise(&w.in, &verdict);
			countdown = 0;
			if (verdict.ok == failed)
				fail_msg("%s: allocation %lu: %s", rows[i].label, n, verdict.ok ? "passes" : "refused");
			if (failed && (verdict.ev.first != TR_TEEC_LIMIT || verdict.reason != TR_R_LIMIT || verdict.expires))
				fail_msg("%s: allocation %lu: says %s", rows[i].label, n, tr_tee_code_info(verdict.ev.first)->slug);
		} while (failed && n < 10000);
		assert_true(n > 3);
	}
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_failing_allocation_is_a_refusal) };

	return cmocka_run_group_tests(tests, begin, end);
}
