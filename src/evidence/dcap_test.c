/* SPDX-License-Identifier: Apache-2.0 */
/* The DCAP verifier over simulated cases: what real ones do not have, and each boundary. Faults of chains and collateral are
 * sim_verify_test.c's, real quotes shared_test.c's. Rows of docs/faults-of-the-originals.md are named. */
#include "evidence/dcap_sample.h"

static const struct { const char *label; enum tr_tee_kind kind; unsigned version; enum tr_quote_body body; } shapes[] = {
	{ "SGX v3", TR_TEE_SGX, 3, TR_BODY_SGX },     { "SGX v4", TR_TEE_SGX, 4, TR_BODY_SGX },
	{ "SGX v5", TR_TEE_SGX, 5, TR_BODY_SGX },     { "TD 1.0 v4", TR_TEE_TDX, 4, TR_BODY_TD10 },
	{ "TD 1.0 v5", TR_TEE_TDX, 5, TR_BODY_TD10 }, { "TD 1.5 v5", TR_TEE_TDX, 5, TR_BODY_TD15 },
};

/* Row 9. */
static void every_status_of_every_body(void **state)
{
	static const struct { enum tr_tcb_status s; enum tr_tee_code code; } rows[] = {
		{ TR_TCB_UP_TO_DATE, TR_TEEC_OK },
		{ TR_TCB_SW_HARDENING_NEEDED, TR_TEEC_OK },
		{ TR_TCB_CONFIGURATION_NEEDED, TR_TEEC_OK },
		{ TR_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED, TR_TEEC_OK },
		{ TR_TCB_OUT_OF_DATE, TR_TEEC_OK },
		{ TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED, TR_TEEC_OK },
		{ TR_TCB_REVOKED, TR_TEEC_TCB_REVOKED },
		{ TR_TCB_UNRECOGNISED, TR_TEEC_TCB_UNRECOGNISED },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		for (size_t k = 0; k < TR_ARRAY_LEN(rows); k++) {
			/* Below: a level that is better than the platform, and one that is worse, in the wrong order. */
			struct tr_sim_level levels[] = {
				{ .sgx = { 1 }, .tdx = { 0, 0, 1 }, .pcesvn = 1, .status = TR_TCB_REVOKED, .advisory = "LOW" },
				{ .sgx = { 8, 8, 2 }, .tdx = { 0, 0, 6 }, .pcesvn = 13, .status = rows[k].s, .advisory = "SA-1" },
				{ .sgx = { 9 }, .tdx = { 0, 0, 6 }, .pcesvn = 13, .status = TR_TCB_UP_TO_DATE, .advisory = "HIGH" },
			};
			struct tr_sim_spec spec = spec_of(shapes[i].kind, shapes[i].version, shapes[i].body);
			tr_auto(world_done) struct world w;

			spec.levels = levels;
			spec.n_levels = TR_ARRAY_LEN(levels);
			make(*state, &spec, &w);
			assert_int_equal(passes(&w), rows[k].code == TR_TEEC_OK);
			if (result.first != rows[k].code || result.tcb_status != rows[k].s ||
			    result.platform_status != rows[k].s) {
				show();
				fail_msg("%s, row %zu: %s", shapes[i].label, k, tr_tcb_status_name(result.tcb_status));
			}
			assert_true(result.answers[TR_Q_AUTHENTIC] == TR_ANSWER_YES && result.qe_status == TR_TCB_UP_TO_DATE);
			assert_true(result.n_advisories == 1 && !strcmp(result.advisories[0], "SA-1"));
			/* The simulated vendor dates good levels 2025-08-13, others 2024-03-13. */
			assert_int_equal(result.tcb_date, rows[k].s == TR_TCB_UP_TO_DATE ? 1755043200 : 1710288000);
			assert_int_equal(result.evaluation_number, 17);
		}
	}
}

static void parts_make_it_worse(void **state)
{
	static const struct {
		enum tr_tcb_status platform, module, qe, expected;
		size_t n_advisories;
	} rows[] = {
		{ TR_TCB_SW_HARDENING_NEEDED, TR_TCB_NONE, TR_TCB_OUT_OF_DATE, TR_TCB_OUT_OF_DATE, 2 },
		{ TR_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED, TR_TCB_NONE, TR_TCB_OUT_OF_DATE, TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED, 2 },
		{ TR_TCB_CONFIGURATION_NEEDED, TR_TCB_OUT_OF_DATE, TR_TCB_OUT_OF_DATE, TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED, 2 },
		{ TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED, TR_TCB_OUT_OF_DATE, TR_TCB_NONE, TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED, 2 },
		{ TR_TCB_UP_TO_DATE, TR_TCB_REVOKED, TR_TCB_NONE, TR_TCB_REVOKED, 2 },
		{ TR_TCB_UP_TO_DATE, TR_TCB_UNRECOGNISED, TR_TCB_NONE, TR_TCB_UNRECOGNISED, 2 },
		{ TR_TCB_UP_TO_DATE, TR_TCB_NONE, TR_TCB_UNRECOGNISED, TR_TCB_UNRECOGNISED, 2 },
		{ TR_TCB_UP_TO_DATE, TR_TCB_NONE, TR_TCB_NOT_SUPPORTED, TR_TCB_NOT_SUPPORTED, 1 },
		{ TR_TCB_UP_TO_DATE, TR_TCB_REVOKED, TR_TCB_NOT_SUPPORTED, TR_TCB_REVOKED, 2 },
		{ TR_TCB_REVOKED, TR_TCB_OUT_OF_DATE, TR_TCB_OUT_OF_DATE, TR_TCB_REVOKED, 2 },
		/* A word that stands for a platform is none for a part. */
		{ TR_TCB_UP_TO_DATE, TR_TCB_SW_HARDENING_NEEDED, TR_TCB_NONE, TR_TCB_UNRECOGNISED, 2 },
		{ TR_TCB_UP_TO_DATE, TR_TCB_NONE, TR_TCB_CONFIGURATION_NEEDED, TR_TCB_UNRECOGNISED, 2 },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		struct tr_sim_level level = { .sgx = { 8 }, .tdx = { 0, 0, 6 }, .pcesvn = 13, .status = rows[i].platform,
					      .advisory = "SA-PLATFORM" };
		struct tr_sim_spec spec = spec_of(TR_TEE_TDX, 5, TR_BODY_TD15);
		tr_auto(world_done) struct world w;

		spec.levels = &level;
		spec.n_levels = 1;
		spec.module_status = rows[i].module;
		spec.qe_status = rows[i].qe;
		make(*state, &spec, &w);
		(void)passes(&w);
		if (result.tcb_status != rows[i].expected || result.n_advisories != rows[i].n_advisories)
			fail_msg("row %zu: %s, %zu advisories", i, tr_tcb_status_name(result.tcb_status), result.n_advisories);
		assert_int_equal(tr_tee_authentic_and_current(&result), rows[i].expected == TR_TCB_OUT_OF_DATE ||
					 rows[i].expected == TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED);
	}
}

/* Row 12: the enclave's own CPUSVN says nothing; the certificate's components do. */
static void the_quotes_own_cpusvn_does_not_count(void **state)
{
	struct tr_sim_spec spec = spec_of(TR_TEE_SGX, 3, TR_BODY_SGX);
	tr_auto(world_done) struct world w;

	make(*state, &spec, &w);
	memset(w.made.quote.p + 48, 0, 16);
	sign_again(&w, RESIGN_BODY);
	accepted(&w, "a CPUSVN of zeros");
	memset(w.made.quote.p + 48, 0xff, 16);
	sign_again(&w, RESIGN_BODY);
	accepted(&w, "a CPUSVN of ff");
	assert_int_equal(result.tcb_status, TR_TCB_UP_TO_DATE);
}

static void the_module_is_one_of_the_vendors(void **state)
{
	static const struct { const char *label, *line; size_t at; uint8_t value; enum tr_tcb_status status; } rows[] = {
		{ "its signer", "tdx_module.mrsigner", 48 + 64, 1, TR_TCB_TDX_MODULE_MISMATCH },
		{ "the end of its signer", "tdx_module.mrsigner", 48 + 111, 0x80, TR_TCB_TDX_MODULE_MISMATCH },
		{ "SEAMATTRIBUTES", "tdx_module.attributes", 48 + 112, 1, TR_TCB_TDX_MODULE_MISMATCH },
		{ "the end of SEAMATTRIBUTES", "tdx_module.attributes", 48 + 119, 0x80, TR_TCB_TDX_MODULE_MISMATCH },
		{ "a version that is not listed", "tdx_module.identity", 48 + 1, 7, TR_TCB_TDX_MODULE_MISMATCH },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(world_done) struct world w;

		make_td(*state, &w);
		w.made.quote.p[rows[i].at] = rows[i].value;
		sign_again(&w, RESIGN_BODY);
		refused_by(&w, rows[i].label, rows[i].line, TR_TEEC_TCB_MODULE_MISMATCH);
		assert_true(result.tcb_status == rows[i].status && result.answers[TR_Q_AUTHENTIC] == TR_ANSWER_YES);
	}
}

/* Version 0: tdxModule speaks, and the level's first two components count. */
static void a_module_of_version_0(void **state)
{
	for (unsigned svn = 4; svn <= 5; svn++) {
		struct tr_sim_level levels[] = {
			{ .sgx = { 8 }, .tdx = { 5, 0, 6 }, .pcesvn = 13, .status = TR_TCB_UP_TO_DATE },
			{ .sgx = { 8 }, .tdx = { 3, 0, 6 }, .pcesvn = 13, .status = TR_TCB_OUT_OF_DATE },
		};
		struct tr_sim_spec spec = spec_of(TR_TEE_TDX, 4, TR_BODY_TD10);
		tr_auto(world_done) struct world w;

		spec.own_svn = true;
		memset(spec.comp, 8, sizeof(spec.comp));
		spec.pcesvn = 13;
		spec.tee_tcb_svn[0] = (uint8_t)svn;
		spec.tee_tcb_svn[2] = 6;
		spec.levels = levels;
		spec.n_levels = 2;
		make(*state, &spec, &w);
		accepted(&w, "module version 0");
		assert_int_equal(result.tcb_status, svn == 5 ? TR_TCB_UP_TO_DATE : TR_TCB_OUT_OF_DATE);
		assert_int_equal(result.module_status, TR_TCB_UP_TO_DATE);
	}
}

/* ---- time ---- */

/* Row 7. */
static void every_date_at_its_edge(void **state)
{
	static const struct {
		const char *label;
		int64_t now, skew, grace;
		enum tr_tee_code code; /* OK: passes */
	} rows[] = {
		{ "the first second of collateral", NOW - 100, 0, 0, TR_TEEC_OK },
		{ "one before", NOW - 101, 0, 0, TR_TEEC_CRL_TIME },
		{ "one before, allowed", NOW - 101, 1, 0, TR_TEEC_OK },
		{ "two before, one allowed", NOW - 102, 1, 0, TR_TEEC_CRL_TIME },
		{ "its last second", NOW + 100, 0, 0, TR_TEEC_OK },
		{ "one after", NOW + 101, 0, 0, TR_TEEC_CRL_TIME },
		{ "skew does not prolong", NOW + 101, 1000, 0, TR_TEEC_CRL_TIME },
		{ "one after, in grace", NOW + 101, 0, 1, TR_TEEC_OK },
		{ "two after, one of grace", NOW + 102, 0, 1, TR_TEEC_CRL_TIME },
		{ "grace does not hasten", NOW - 101, 0, 1000, TR_TEEC_CRL_TIME },
		{ "the certificates' last second", NOW + 1000, 0, 100000, TR_TEEC_OK },
		{ "certificates know no grace", NOW + 1001, 0, 100000, TR_TEEC_CHAIN_TIME },
		{ "the certificates' first second", NOW - 1000, 900, 0, TR_TEEC_OK },
		{ "one before them", NOW - 1001, 901, 0, TR_TEEC_OK },
		{ "before all", NOW - 1001, 0, 0, TR_TEEC_CHAIN_TIME },
		{ "1970", 0, 0, 0, TR_TEEC_CHAIN_TIME },
		{ "the end of time", INT64_MAX, 0, 0, TR_TEEC_CHAIN_TIME },
		{ "before the beginning", INT64_MIN / 2, 0, 0, TR_TEEC_CHAIN_TIME },
	};
	struct tr_sim_spec spec = spec_of(TR_TEE_TDX, 4, TR_BODY_TD10);
	tr_auto(world_done) struct world w;

	spec.issued = NOW - 100;
	spec.next_update = NOW + 100;
	spec.not_before = NOW - 1000;
	spec.not_after = NOW + 1000;
	make(*state, &spec, &w);
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		w.in.when = (struct tr_tee_when){ rows[i].now, rows[i].skew, rows[i].grace };
		if (passes(&w) != (rows[i].code == TR_TEEC_OK) || result.first != rows[i].code) {
			show();
			fail_msg("%s", rows[i].label);
		}
		assert_int_equal(result.answers[TR_Q_AUTHENTIC], TR_ANSWER_YES);
		/* What holds by grace holds until its end. */
		assert_int_equal(result.valid_until, rows[i].grace < 900 ? NOW + 100 + rows[i].grace : NOW + 1000);
	}
	w.in.when = (struct tr_tee_when){ NOW + 160, 0, 3600 };
	accepted(&w, "in grace");
	assert_non_null(strstr(line_of("tcb_info.time")->seen, "over since 60 s"));
	assert_non_null(strstr(line_of("tcb_info.time")->expected, "2026-06-01T00:02:40Z"));
}

/* ---- trust ---- */

/* Rows 3 and 20. */
static void roots_are_told_by_their_keys(void **state)
{
	tr_auto(tr_sim_free) struct tr_sim *other = NULL;
	tr_auto(world_done) struct world w;
	tr_auto(world_done) struct world theirs;
	struct tr_view roots[3];
	struct tr_err err;

	assert_int_equal(tr_sim_new(NULL, &other, &err), TR_OK);
	make_td(*state, &w);
	make_td(other, &theirs);
	roots[0] = tr_intel_root_spki();
	roots[1] = theirs.root;
	roots[2] = w.root;
	w.in.roots = roots;
	w.in.n_roots = 0;
	refused_by(&w, "nobody trusted", "pck_chain.root", TR_TEEC_CHAIN_ROOT);
	w.in.n_roots = 2;
	refused_by(&w, "two others", "pck_chain.root", TR_TEEC_CHAIN_ROOT);
	w.in.n_roots = 3;
	accepted(&w, "one of three");
	roots[0].n = 0;
	accepted(&w, "an empty one beside it");
	roots[2].n--;
	refused_by(&w, "most of a key", "pck_chain.root", TR_TEEC_CHAIN_ROOT);
	roots[2].n++;
	/* Both vendors are trusted, and yet one does not speak for the other's platforms. */
	w.in.c.tcb_chain = theirs.in.c.tcb_chain;
	w.in.c.tcb_info = theirs.in.c.tcb_info;
	w.in.c.qe_identity = theirs.in.c.qe_identity;
	refused_by(&w, "another's collateral", "tcb_chain.root", TR_TEEC_CHAIN_ROOT);
	assert_int_equal(result.tcb_status, TR_TCB_NONE);
	w.in.c = tr_sim_collateral(&w.made);
	w.in.c.root_crl = theirs.in.c.root_crl;
	refused_by(&w, "another's root CRL", "root_crl.issuer", TR_TEEC_CRL_ISSUER);
	w.in.c = tr_sim_collateral(&w.made);
	w.in.c.pck_crl = theirs.in.c.pck_crl;
	refused_by(&w, "another's PCK CRL", "pck_crl.issuer", TR_TEEC_CRL_ISSUER);
}

/* Row 21: what kind it is says the policy. */
static void the_kind_is_not_the_quotes_to_choose(void **state)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		struct tr_sim_spec spec = spec_of(shapes[i].kind, shapes[i].version, shapes[i].body);
		tr_auto(world_done) struct world w;
		struct tr_quote q;

		make(*state, &spec, &w);
		w.in.kind = shapes[i].kind == TR_TEE_SGX ? TR_TEE_TDX : TR_TEE_SGX;
		refused_by(&w, shapes[i].label, "quote.tee", TR_TEEC_QUOTE_TEE_TYPE);
		assert_int_equal(result.answers[TR_Q_CURRENT], TR_ANSWER_NOT_ASKED);
		w.in.kind = shapes[i].kind;
		tr_dcap_verify(&w.in, &result, &q);
		assert_true(q.version == shapes[i].version && q.body_type == shapes[i].body);
	}
}

/* Collateral that nobody vouches for says nothing about a platform, not even in a verdict that is a refusal anyway. */
static void no_status_from_what_is_not_vouched_for(void **state)
{
	static const enum tr_sim_fault faults[] = { TR_SIMF_PCK_VALUES, TR_SIMF_TCB_CHANGED, TR_SIMF_TCB_SIGNED_BY_PCK,
						    TR_SIMF_TCB_SIGNER_FORGED, TR_SIMF_TCB_SIGNER_REVOKED,
						    TR_SIMF_TCB_OTHER_TEE,
						    TR_SIMF_TCB_OTHER_FMSPC, TR_SIMF_TCB_OTHER_PCEID };
	tr_auto(tr_buf_done) struct tr_buf mixed = TR_BUF_INIT;
	tr_auto(tr_sim_free) struct tr_sim *other = NULL;
	tr_auto(world_done) struct world w;
	tr_auto(world_done) struct world theirs;
	struct tr_view chains[2];
	struct tr_err err;

	for (size_t i = 0; i < TR_ARRAY_LEN(faults); i++) {
		struct tr_sim_spec spec = spec_of(TR_TEE_TDX, 4, TR_BODY_TD10);
		tr_auto(world_done) struct world bad;

		spec.fault = faults[i];
		make(*state, &spec, &bad);
		if (passes(&bad) || result.tcb_status != TR_TCB_NONE || result.platform_status != TR_TCB_NONE ||
		    result.n_advisories || result.tcb_date)
			fail_msg("%s: %s", tr_sim_fault_info(faults[i])->slug, tr_tcb_status_name(result.tcb_status));
	}
	/* Signed by the platform's root, and yet beside another one. */
	assert_int_equal(tr_sim_new(NULL, &other, &err), TR_OK);
	make_td(*state, &w);
	make_td(other, &theirs);
	for (unsigned i = 0; i < 2; i++) {
		const struct tr_view v = (i ? &theirs : &w)->in.c.tcb_chain;
		const uint8_t *second = memmem(v.p + 1, v.n - 1, "-----BEGIN", 10);

		assert_non_null(second);
		chains[i] = i ? tr_view(second, v.n - (size_t)(second - v.p)) : tr_view(v.p, (size_t)(second - v.p));
		tr_buf_addv(&mixed, chains[i]);
	}
	w.in.c.tcb_chain = tr_buf_view(&mixed);
	refused_by(&w, "another root beside the signer", "tcb_chain.root", TR_TEEC_CHAIN_ROOT);
	assert_true(line_of("tcb_chain.signature")->code == TR_TEEC_OK && result.tcb_status == TR_TCB_NONE);
}

static void without_collateral_nothing_is_current(void **state)
{
	static const struct { size_t at; const char *line; enum tr_tee_code rubbish; } items[] = {
		{ offsetof(struct tr_dcap_collateral, root_crl), "root_crl.format", TR_TEEC_CRL_FORMAT },
		{ offsetof(struct tr_dcap_collateral, pck_crl), "pck_crl.format", TR_TEEC_CRL_FORMAT },
		{ offsetof(struct tr_dcap_collateral, tcb_chain), "tcb_chain.format", TR_TEEC_CHAIN_FORMAT },
		{ offsetof(struct tr_dcap_collateral, tcb_info), "tcb_info.format", TR_TEEC_COLLATERAL_FORMAT },
		{ offsetof(struct tr_dcap_collateral, qe_identity), "qe_identity.format", TR_TEEC_COLLATERAL_FORMAT },
	};
	tr_auto(world_done) struct world w;

	make_td(*state, &w);
	for (size_t i = 0; i < TR_ARRAY_LEN(items); i++) {
		struct tr_view *v = (struct tr_view *)((char *)&w.in.c + items[i].at), was = *v;

		*v = tr_view(NULL, 0);
		refused_by(&w, items[i].line, items[i].line, TR_TEEC_COLLATERAL_MISSING);
		*v = tr_view_str("rubbish");
		assert_false(passes(&w));
		assert_int_equal(line_of(items[i].line)->code, items[i].rubbish);
		*v = was;
	}
	w.in.c = (struct tr_dcap_collateral){ .pck_chain = tr_view(NULL, 0) };
	refused_by(&w, "none at all", "root_crl.format", TR_TEEC_COLLATERAL_MISSING);
	/* Anything could have been the quoting enclave. */
	assert_int_equal(result.answers[TR_Q_AUTHENTIC], TR_ANSWER_NO);
	assert_true(line_of("quote.signature")->code == TR_TEEC_OK && line_of("qe.identity")->code == TR_TEEC_QE_IDENTITY);
	assert_int_equal(result.tcb_status, TR_TCB_NONE);
}

static void a_chain_of_its_own_for_the_qe_identity(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf crlf = TR_BUF_INIT;
	tr_auto(tr_sim_free) struct tr_sim *other = NULL;
	tr_auto(world_done) struct world w;
	tr_auto(world_done) struct world theirs;
	struct tr_err err;

	make_td(*state, &w);
	w.in.c.qe_chain = w.in.c.tcb_chain;
	accepted(&w, "the same chain twice");
	assert_null(line_of("qe_chain.root"));
	for (size_t i = 0; i < w.in.c.tcb_chain.n; i++) {
		if (w.in.c.tcb_chain.p[i] == '\n')
			tr_buf_add8(&crlf, '\r');
		tr_buf_add8(&crlf, w.in.c.tcb_chain.p[i]);
	}
	w.in.c.qe_chain = tr_buf_view(&crlf);
	accepted(&w, "the same with CRLF");
	assert_true(line_of("qe_chain.root")->code == TR_TEEC_OK && line_of("qe_chain.revoked")->code == TR_TEEC_OK);
	assert_int_equal(tr_sim_new(NULL, &other, &err), TR_OK);
	make_td(other, &theirs);
	w.in.c.qe_chain = theirs.in.c.tcb_chain;
	refused_by(&w, "another vendor's", "qe_chain.root", TR_TEEC_CHAIN_ROOT);
	w.in.c.qe_chain = tr_buf_view(&w.made.pck_crl_chain);
	refused_by(&w, "the platform CA's", "qe_chain.role", TR_TEEC_CHAIN_ROLE);
	w.in.c.qe_chain = tr_view_str("-----BEGIN CERTIFICATE-----\n");
	refused_by(&w, "half a chain", "qe_chain.format", TR_TEEC_CHAIN_FORMAT);
}

/* Row 7, the attacker's choice of an old evaluation: of both documents. */
static void an_old_evaluation_is_refused_where_asked(void **state)
{
	struct tr_sim_spec spec = spec_of(TR_TEE_TDX, 4, TR_BODY_TD10);
	tr_auto(world_done) struct world w;
	tr_auto(world_done) struct world newer;

	make(*state, &spec, &w);
	w.in.min_evaluation_number = 17;
	accepted(&w, "the minimum");
	w.in.min_evaluation_number = 18;
	refused_by(&w, "an older one", "tcb_info.evaluation_number", TR_TEEC_EVALUATION_NUMBER);
	spec.evaluation_number = 18;
	make(*state, &spec, &newer);
	w.in.c.tcb_info = newer.in.c.tcb_info;
	refused_by(&w, "an older QE identity", "qe_identity.evaluation_number", TR_TEEC_EVALUATION_NUMBER);
	w.in.c.qe_identity = newer.in.c.qe_identity;
	accepted(&w, "both new");
	assert_int_equal(result.evaluation_number, 18);
}

/* ---- freshness ---- */

/* Row 13. */
static void report_data_is_compared_whole(void **state)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		struct tr_sim_spec spec = spec_of(shapes[i].kind, shapes[i].version, shapes[i].body);
		tr_auto(world_done) struct world w;
		uint8_t data[64];

		make(*state, &spec, &w);
		accepted(&w, shapes[i].label);
		assert_int_equal(result.answers[TR_Q_FRESH], TR_ANSWER_NOT_ASKED);
		memcpy(data, spec.report_data, 64);
		w.in.report_data = TR_VIEW_ARRAY(data);
		accepted(&w, shapes[i].label);
		assert_int_equal(result.answers[TR_Q_FRESH], TR_ANSWER_YES);
		for (size_t k = 0; k < 64; k += 63) {
			data[k] ^= 1;
			(void)passes(&w);
			assert_true(result.answers[TR_Q_FRESH] == TR_ANSWER_NO && result.first == TR_TEEC_REPORT_DATA);
			data[k] ^= 1;
		}
		w.in.report_data.n = 32;
		(void)passes(&w);
		assert_int_equal(result.answers[TR_Q_FRESH], TR_ANSWER_NO);
	}
}

static bool field_is(const char *name, const void *p, size_t n)
{
	for (size_t i = 0; i < result.n_fields; i++)
		if (!strcmp(result.fields[i].name, name))
			return result.fields[i].form == TR_TEE_F_HEX ?
				       tr_view_eq(result.fields[i].bytes, tr_view(p, n)) : result.fields[i].number == n;
	return false;
}

static void fields_are_the_quotes(void **state)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		struct tr_sim_spec spec = spec_of(shapes[i].kind, shapes[i].version, shapes[i].body);
		tr_auto(world_done) struct world w;

		spec.td_attributes = UINT64_C(0x0807060504030210);
		spec.xfam = UINT64_C(0x1817161514131211);
		spec.isvsvn = 0x1234;
		memset(spec.mrservicetd, 0x77, sizeof(spec.mrservicetd));
		make(*state, &spec, &w);
		accepted(&w, shapes[i].label);
		assert_true(field_is("quote_version", NULL, shapes[i].version) && field_is("cert_type", NULL, 5));
		if (shapes[i].kind == TR_TEE_SGX) {
			assert_true(field_is("attributes", "\x10\2\3\4\5\6\7\10\x11\x12\x13\x14\x15\x16\x17\x18", 16));
			assert_true(field_is("mrenclave", spec.mrtd, 32) && field_is("mrsigner", spec.rtmr[0], 32));
			assert_true(field_is("isvsvn", NULL, 0x1234) && field_is("isvprodid", NULL, 1));
			assert_true(field_is("reserved_zero", NULL, 1));
		} else {
			assert_true(field_is("td_attributes", "\x10\2\3\4\5\6\7\10", 8));
			assert_true(field_is("xfam", "\x11\x12\x13\x14\x15\x16\x17\x18", 8));
			assert_true(field_is("seam_attributes", "\0\0\0\0\0\0\0", 8));
			assert_true(field_is("mrtd", spec.mrtd, 48) && field_is("rtmr0", spec.rtmr[0], 48));
			assert_true(field_is("rtmr3", spec.rtmr[3], 48));
			assert_int_equal(field_is("mrservicetd", spec.mrservicetd, 48), shapes[i].body == TR_BODY_TD15);
		}
		assert_memory_equal(result.report_data.p, spec.report_data, 64);
	}
}

/* Row 8: that it may be debugged is told, and refused by policy. */
static void debug_is_told(void **state)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		struct tr_sim_spec spec = spec_of(shapes[i].kind, shapes[i].version, shapes[i].body);
		tr_auto(world_done) struct world w;

		spec.td_attributes = shapes[i].kind == TR_TEE_SGX ? 0x7 : 1;
		make(*state, &spec, &w);
		accepted(&w, shapes[i].label);
		assert_true(result.debug);
		world_done(&w);
		spec.td_attributes = 0;
		make(*state, &spec, &w);
		accepted(&w, shapes[i].label);
		assert_false(result.debug);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_of_every_body),
		cmocka_unit_test(parts_make_it_worse),
		cmocka_unit_test(the_quotes_own_cpusvn_does_not_count),
		cmocka_unit_test(the_module_is_one_of_the_vendors),
		cmocka_unit_test(a_module_of_version_0),
		cmocka_unit_test(every_date_at_its_edge),
		cmocka_unit_test(roots_are_told_by_their_keys),
		cmocka_unit_test(the_kind_is_not_the_quotes_to_choose),
		cmocka_unit_test(no_status_from_what_is_not_vouched_for),
		cmocka_unit_test(without_collateral_nothing_is_current),
		cmocka_unit_test(a_chain_of_its_own_for_the_qe_identity),
		cmocka_unit_test(an_old_evaluation_is_refused_where_asked),
		cmocka_unit_test(report_data_is_compared_whole),
		cmocka_unit_test(fields_are_the_quotes),
		cmocka_unit_test(debug_is_told),
	};

	return cmocka_run_group_tests(tests, start, end);
}
