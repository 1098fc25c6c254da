/* SPDX-License-Identifier: Apache-2.0 */
/* With a cache everything is as it is without one, whatever went in before; and only what is good and trusted goes in. The
 * shared cases are asked the same way in shared_test.c. */
#include "evidence/dcap_sample.h"

#include "crypto/hash.h"
#include "evidence/dcap_inner.h"

static struct tr_tee_result plain;

/* Both ways, to the last byte of the result. */
static bool same_with(struct world *w, struct tr_dcap_cache *cache)
{
	tr_auto(tr_buf_done) struct tr_buf a = TR_BUF_INIT, b = TR_BUF_INIT;

	w->in.cache = NULL;
	(void)passes(w);
	plain = result;
	tr_tee_result_json(&result, &a);
	w->in.cache = cache;
	(void)passes(w);
	tr_tee_result_json(&result, &b);
	assert_true(tr_buf_ok(&a) && tr_buf_ok(&b));
	if (!tr_view_eq(tr_buf_view(&a), tr_buf_view(&b)))
		print_error("without:\n%s\nwith:\n%s\n", tr_buf_cstr(&a), tr_buf_cstr(&b));
	return tr_view_eq(tr_buf_view(&a), tr_buf_view(&b));
}

static const struct { enum tr_tee_kind kind; unsigned version; enum tr_quote_body body; } shapes[] = {
	{ TR_TEE_SGX, 3, TR_BODY_SGX }, { TR_TEE_TDX, 4, TR_BODY_TD10 }, { TR_TEE_TDX, 5, TR_BODY_TD15 },
};

/* Every fault behind a cache that has seen the good case and the other faults: of one entry, so that they push each other
 * out, and of many. */
static void faults_stay_faults(void **state)
{
	for (size_t entries = 1; entries <= 64; entries += 63) {
		tr_auto(tr_dcap_cache_free) struct tr_dcap_cache *cache = tr_dcap_cache_new(entries);

		for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
			struct tr_sim_spec spec = spec_of(shapes[i].kind, shapes[i].version, shapes[i].body);
			tr_auto(world_done) struct world good;

			make(*state, &spec, &good);
			assert_true(same_with(&good, cache) && tr_tee_authentic_and_current(&plain));
			for (enum tr_sim_fault f = TR_SIM_NO_FAULT + 1; f < TR_SIMF_N; f++) {
				tr_auto(world_done) struct world w = { .sim = NULL };

				if (!(tr_sim_fault_info(f)->kinds & 1u << shapes[i].kind))
					continue;
				spec.fault = f;
				make(*state, &spec, &w);
				for (unsigned again = 0; again < 2; again++)
					if (!same_with(&w, cache) || tr_tee_authentic_and_current(&result))
						fail_msg("%s", tr_sim_fault_info(f)->slug);
				assert_true(same_with(&good, cache) && tr_tee_authentic_and_current(&result));
			}
		}
	}
}

/* What was trusted and in date once is asked again each time. */
static void trust_and_time_are_not_kept(void **state)
{
	tr_auto(tr_dcap_cache_free) struct tr_dcap_cache *cache = tr_dcap_cache_new(4);
	struct tr_sim_spec spec = spec_of(TR_TEE_TDX, 4, TR_BODY_TD10);
	static const int64_t times[] = { 0, 50, 100, 101, 1000, 1001, -50, -100, -101, -1000, -1001, 0 };
	struct tr_view intel = tr_intel_root_spki();
	tr_auto(world_done) struct world w;

	spec.issued = NOW - 100;
	spec.next_update = NOW + 100;
	spec.not_before = NOW - 1000;
	spec.not_after = NOW + 1000;
	make(*state, &spec, &w);
	for (size_t grace = 0; grace < 4000; grace += 1990) {
		for (size_t i = 0; i < TR_ARRAY_LEN(times); i++) {
			w.in.when = (struct tr_tee_when){ NOW + times[i], (int64_t)grace / 2, (int64_t)grace };
			assert_true(same_with(&w, cache));
		}
		assert_true(tr_tee_authentic_and_current(&result));
	}
	w.in.roots = &intel;
	assert_true(same_with(&w, cache));
	assert_int_equal(result.first, TR_TEEC_CHAIN_ROOT);
	w.in.roots = &w.root;
	w.in.min_evaluation_number = 18;
	assert_true(same_with(&w, cache));
	assert_int_equal(result.first, TR_TEEC_EVALUATION_NUMBER);
}

/* The same collateral under another platform's chain, and one item exchanged for another that was good elsewhere. */
static void items_are_known_together(void **state)
{
	tr_auto(tr_dcap_cache_free) struct tr_dcap_cache *cache = tr_dcap_cache_new(16);
	tr_auto(tr_sim_free) struct tr_sim *other = NULL;
	tr_auto(world_done) struct world w;
	tr_auto(world_done) struct world theirs;
	struct tr_view roots[2];
	struct tr_err err;

	assert_int_equal(tr_sim_new(NULL, &other, &err), TR_OK);
	make_td(*state, &w);
	make_td(other, &theirs);
	roots[0] = w.root;
	roots[1] = theirs.root;
	w.in.roots = theirs.in.roots = roots;
	w.in.n_roots = theirs.in.n_roots = 2;
	assert_true(same_with(&w, cache) && tr_tee_authentic_and_current(&result));
	assert_true(same_with(&theirs, cache) && tr_tee_authentic_and_current(&result));
	for (size_t i = 0; i < 5; i++) {
		struct tr_view *mine[] = { &w.in.c.tcb_info, &w.in.c.qe_identity, &w.in.c.tcb_chain, &w.in.c.pck_crl,
					   &w.in.c.root_crl };
		const struct tr_view others[] = { theirs.in.c.tcb_info, theirs.in.c.qe_identity, theirs.in.c.tcb_chain,
						  theirs.in.c.pck_crl, theirs.in.c.root_crl };
		struct tr_view was = *mine[i];

		*mine[i] = others[i];
		assert_true(same_with(&w, cache) && !tr_tee_authentic_and_current(&result));
		*mine[i] = tr_view(NULL, 0);
		assert_true(same_with(&w, cache) && !tr_tee_authentic_and_current(&result));
		*mine[i] = was;
	}
	w.in.c = theirs.in.c;
	assert_true(same_with(&w, cache) && !tr_tee_authentic_and_current(&result));
	w.in.c = tr_sim_collateral(&w.made);
	assert_true(same_with(&w, cache) && tr_tee_authentic_and_current(&result));
	/* An item in the place of another one. */
	w.in.c.qe_chain = w.in.c.pck_crl;
	w.in.c.pck_crl = tr_view(NULL, 0);
	assert_true(same_with(&w, cache) && !tr_tee_authentic_and_current(&result));
}

static bool is_kept(struct tr_dcap_cache *cache, const struct world *w)
{
	uint8_t id[TR_SHA256_LEN];
	struct tr_quote q;
	enum tr_tee_code code;
	struct tr_err err;

	assert_int_equal(tr_quote_parse(w->in.quote, &q, &code, &err), TR_OK);
	tr_sha256(q.cert_data, id);
	return tr_dcap_cache_chain(cache, id, NOW) != NULL;
}

/* Whoever sends quotes cannot push out the others' chains with his own, and cannot have rubbish remembered. */
static void only_what_is_good_and_trusted_goes_in(void **state)
{
	static const enum tr_sim_fault bad[] = { TR_SIMF_OTHER_ROOT, TR_SIMF_PCK_EXPIRED };
	tr_auto(tr_dcap_cache_free) struct tr_dcap_cache *cache = tr_dcap_cache_new(1);
	struct tr_sim_spec spec = spec_of(TR_TEE_TDX, 4, TR_BODY_TD10);
	tr_auto(world_done) struct world w;

	make(*state, &spec, &w);
	w.in.cache = cache;
	assert_true(passes(&w) && is_kept(cache, &w));
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
		tr_auto(world_done) struct world other = { .sim = NULL };

		spec.fault = bad[i];
		make(*state, &spec, &other);
		other.in.cache = cache;
		assert_false(passes(&other));
		assert_true(!is_kept(cache, &other) && is_kept(cache, &w));
	}
	/* Least recently used goes first, and what is over goes when it is looked at. */
	w.in.when.now = INT64_C(2713910400) + 1;
	(void)passes(&w);
	assert_false(is_kept(cache, &w));
}

static void sizes_are_bounded(void **state)
{
	(void)state;
	assert_null(tr_dcap_cache_new(0));
	assert_null(tr_dcap_cache_new(65537));
	assert_null(tr_dcap_cache_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_stay_faults),
		cmocka_unit_test(trust_and_time_are_not_kept),
		cmocka_unit_test(items_are_known_together),
		cmocka_unit_test(only_what_is_good_and_trusted_goes_in),
		cmocka_unit_test(sizes_are_bounded),
	};

	return cmocka_run_group_tests(tests, start, end);
}
