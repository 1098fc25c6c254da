/* SPDX-License-Identifier: Apache-2.0 */
/* A verification without memory: each allocation of ours fails once (cmake/evidence.cmake). The answer is a refusal that says
 * so, never a yes and never a word against the platform; the cache is as good afterwards as before. */
#include "evidence/dcap_sample.h"

#include "base/failing_memory.h"

static void expect_whole(struct world *w, const char *label)
{
	failed = false;
	countdown = 0;
	accepted(w, label);
	assert_int_equal(result.tcb_status, TR_TCB_UP_TO_DATE);
}

/* Returns how many allocations there were. */
static unsigned long each_fails(struct world *w, const char *label, size_t entries)
{
	unsigned long n = 0;

	do {
		tr_auto(tr_dcap_cache_free) struct tr_dcap_cache *cache = entries ? tr_dcap_cache_new(entries) : NULL;
		bool ok;

		w->in.cache = cache;
		failed = false;
		countdown = ++n;
		ok = passes(w);
		countdown = 0;
		if (ok == failed)
			fail_msg("%s: allocation %lu: %s", label, n, ok ? "passes" : tr_tee_code_info(result.first)->slug);
		if (failed && (result.first != TR_TEEC_LIMIT || result.answers[TR_Q_AUTHENTIC] != TR_ANSWER_NO ||
			       result.tcb_status != TR_TCB_NONE))
			fail_msg("%s: allocation %lu: says %s", label, n, tr_tee_code_info(result.first)->slug);
		/* And again with memory, with whatever the cache has now. */
		if (failed)
			expect_whole(w, label);
		else
			break;
	} while (n < 10000);
	return n - 1;
}

static void every_failing_allocation_is_a_refusal(void **state)
{
	static const struct { const char *label; enum tr_tee_kind kind; unsigned version; enum tr_quote_body body; } rows[] = {
		{ "SGX v3", TR_TEE_SGX, 3, TR_BODY_SGX },
		{ "TDX v4", TR_TEE_TDX, 4, TR_BODY_TD10 },
		{ "TDX v5", TR_TEE_TDX, 5, TR_BODY_TD15 },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		struct tr_sim_spec spec = spec_of(rows[i].kind, rows[i].version, rows[i].body);
		tr_auto(world_done) struct world w;

		make(*state, &spec, &w);
		expect_whole(&w, rows[i].label);
		assert_true(each_fails(&w, rows[i].label, 0) > 5);
		assert_true(each_fails(&w, rows[i].label, 2) > 5);
		/* A chain of its own for the QE identity is one signer more. */
		w.in.c.qe_chain = tr_view(w.in.c.tcb_chain.p, w.in.c.tcb_chain.n - 1);
		assert_true(each_fails(&w, rows[i].label, 2) > 6);
	}
}

static void a_known_platform_takes_hardly_any(void **state)
{
	tr_auto(tr_dcap_cache_free) struct tr_dcap_cache *cache = tr_dcap_cache_new(2);
	tr_auto(world_done) struct world w;
	unsigned long n = 0;

	make_td(*state, &w);
	w.in.cache = cache;
	expect_whole(&w, "first");
	do {
		failed = false;
		countdown = ++n;
		assert_true(passes(&w) != failed);
		countdown = 0;
	} while (failed);
	/* The attestation key is new with every quote. */
	assert_int_equal(n - 1, 1);
}

static void no_cache_without_memory(void **state)
{
	(void)state;
	countdown = 1;
	assert_null(tr_dcap_cache_new(8));
	countdown = 0;
}

static void needs_are_told_or_not(void **state)
{
	tr_auto(world_done) struct world w;
	unsigned long n = 0;
	uint8_t fmspc[6];
	bool platform;

	make_td(*state, &w);
	do {
		struct tr_err err;
		enum tr_code rc;

		failed = false;
		countdown = ++n;
		rc = tr_dcap_needs(w.in.quote, tr_view(NULL, 0), fmspc, &platform, &err);
		countdown = 0;
		assert_int_equal(rc, failed ? TR_E_INTERNAL : TR_OK);
	} while (failed);
	assert_true(n > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failing_allocation_is_a_refusal),
		cmocka_unit_test(a_known_platform_takes_hardly_any),
		cmocka_unit_test(no_cache_without_memory),
		cmocka_unit_test(needs_are_told_or_not),
	};

	return cmocka_run_group_tests(tests, start, end);
}
