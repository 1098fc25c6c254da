/* SPDX-License-Identifier: Apache-2.0 */
/* A verification without memory: each allocation of ours fails once (cmake/evidence.cmake). It ends with an answer, which is
 * never that the report is authentic unless every check was made. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "codec/pem.h"
#include "evidence/sim.h"

#include "base/failing_memory.h"

static struct tr_sim_case made, impostors;
static struct tr_buf ask, ark;
static struct tr_view root;

static int make_case(void **state)
{
	tr_auto(tr_sim_free) struct tr_sim *sim = NULL;
	struct tr_sim_spec spec;
	struct tr_err err;

	(void)state;
	tr_sim_spec(TR_TEE_SNP, &spec);
	if (tr_sim_new(NULL, &sim, &err) || tr_sim_make(sim, &spec, &made, &err))
		return -1;
	spec.fault = TR_SIMF_OTHER_ROOT;
	if (tr_sim_make(sim, &spec, &impostors, &err))
		return -1;
	/* As PEM: turning it takes memory, too. */
	tr_pem_add(&ask, "CERTIFICATE", tr_buf_view(&made.ask));
	tr_pem_add(&ark, "CERTIFICATE", tr_buf_view(&made.ark));
	root = tr_buf_view(&made.root_spki);
	return tr_buf_ok(&ark) ? 0 : -1;
}

static int drop_case(void **state)
{
	(void)state;
	tr_sim_case_done(&made);
	tr_sim_case_done(&impostors);
	tr_buf_done(&ask);
	tr_buf_done(&ark);
	return 0;
}

/* 1: passed; 0: not, for want of memory; -1: not, and something else is said to be the reason. */
static int verify(struct tr_snp_cache *cache)
{
	static struct tr_tee_result r;
	const struct tr_snp_in in = {
		.report = tr_buf_view(&made.quote), .vek = tr_buf_view(&made.vek), .ask = tr_buf_view(&ask),
		.ark = tr_buf_view(&ark), .crl = tr_buf_view(&made.crl), .roots = &root, .n_roots = 1,
		.when = { .now = TR_SIM_TIME }, .cache = cache,
	};
	bool out = false;

	tr_snp_verify(&in, &r, NULL);
	if (tr_tee_authentic_and_current(&r))
		return 1;
	for (size_t i = 0; i < r.n_checks; i++) {
		/* Nobody is called a forger for want of memory. */
		if (r.checks[i].code != TR_TEEC_OK && r.checks[i].code != TR_TEEC_LIMIT)
			return -1;
		out = out || r.checks[i].code == TR_TEEC_LIMIT;
	}
	return out ? 0 : -1;
}

static void no_allocation_is_taken_for_granted(void **state)
{
	(void)state;
	for (unsigned cached = 0; cached < 2; cached++) {
		unsigned long n = 0;

		assert_int_equal(verify(NULL), 1);
		do {
			tr_auto(tr_snp_cache_free) struct tr_snp_cache *cache = cached ? tr_snp_cache_new(16) : NULL;
			int yes;

			n++;
			failed = false;
			countdown = n;
			yes = verify(cache);
			countdown = 0;
			if (failed && yes)
				fail_msg("allocation %lu: %s", n, yes > 0 ? "passes without it" : "another reason is given");
			/* What failed leaves nothing behind that would help the next one, or harm it. */
			assert_int_equal(verify(cache), 1);
		} while (failed && n < 10000);
		assert_true(n > 1 && n < 10000);
		print_message("%s: %lu allocations\n", cached ? "with a cache" : "without a cache", n - 1);
	}
}

static unsigned long allocations(struct tr_snp_cache *cache)
{
	unsigned long n;

	countdown = 1000000;
	assert_int_equal(verify(cache), 1);
	n = 1000000 - countdown;
	countdown = 0;
	return n;
}

/* Keys are made where the cache has none: what a verification allocates tells what it found there. */
static void strangers_do_not_fill_the_cache(void **state)
{
	tr_auto(tr_snp_cache_free) struct tr_snp_cache *cache = tr_snp_cache_new(5);
	const struct tr_snp_in in = {
		.report = tr_buf_view(&impostors.quote), .vek = tr_buf_view(&impostors.vek), .ask = tr_buf_view(&impostors.ask),
		.ark = tr_buf_view(&impostors.ark), .crl = tr_buf_view(&impostors.crl), .roots = &root, .n_roots = 1,
		.when = { .now = TR_SIM_TIME }, .cache = cache,
	};
	static struct tr_tee_result r;
	unsigned long cold, warm;

	(void)state;
	cold = allocations(cache);
	warm = allocations(cache);
	assert_true(warm < cold);
	tr_snp_verify(&in, &r, NULL);
	assert_int_equal(r.first, TR_TEEC_CHAIN_ROOT);
	assert_int_equal(allocations(cache), warm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_allocation_is_taken_for_granted),
		cmocka_unit_test(strangers_do_not_fill_the_cache),
	};

	return cmocka_run_group_tests(tests, make_case, drop_case);
}
