/* SPDX-License-Identifier: Apache-2.0 */
/* SNP reports of a vendor of our own: every product, version and kind of key, every fault that a signature cannot hide, dates,
 * roots, certificates from the host, revocation and the cache. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "codec/pem.h"
#include "evidence/sim.h"

static struct tr_sim *sim;
static struct tr_tee_result r, again;

static int make_sim(void **state)
{
	struct tr_err err;

	(void)state;
	return tr_sim_new(NULL, &sim, &err) ? -1 : 0;
}

static int end_sim(void **state)
{
	(void)state;
	sim = tr_sim_free(sim);
	return 0;
}

/* A case and what a verification of it takes; the tests change a part. */
struct fixture {
	struct tr_sim_case c;
	struct tr_view root;
	struct tr_snp_in in;
};

static void fixture_done(struct fixture *f)
{
	tr_sim_case_done(&f->c);
}
TR_DEFINE_AUTO_DONE(struct fixture, fixture_done)

static enum tr_code make(struct fixture *f, const struct tr_sim_spec *spec)
{
	struct tr_err err;
	enum tr_code rc;

	*f = (struct fixture){ 0 };
	rc = tr_sim_make(sim, spec, &f->c, &err);
	f->root = tr_buf_view(&f->c.root_spki);
	f->in = (struct tr_snp_in){
		.report = tr_buf_view(&f->c.quote), .vek = tr_buf_view(&f->c.vek), .ask = tr_buf_view(&f->c.ask),
		.ark = tr_buf_view(&f->c.ark), .crl = tr_buf_view(&f->c.crl), .roots = &f->root, .n_roots = 1,
		.when = { .now = TR_SIM_TIME },
	};
	return rc;
}

static void plain(struct fixture *f, enum tr_snp_product p, unsigned version, bool vlek)
{
	struct tr_sim_spec spec;

	tr_sim_spec(TR_TEE_SNP, &spec);
	spec.product = p;
	spec.quote_version = version;
	spec.vlek = vlek;
	memset(spec.report_data, 0x5a, sizeof(spec.report_data));
	assert_int_equal(make(f, &spec), TR_OK);
}

static const char *verdict(const struct fixture *f)
{
	tr_snp_verify(&f->in, &r, NULL);
	return tr_tee_authentic_and_current(&r) ? "pass" : tr_tee_code_info(r.first)->slug;
}

static const struct tr_tee_check *line(const char *name)
{
	for (size_t i = 0; i < r.n_checks; i++)
		if (!strcmp(r.checks[i].name, name))
			return &r.checks[i];
	fail_msg("no line %s", name);
	return NULL;
}

#define EACH(p, version, vlek)                                                                                       \
	for (unsigned p = TR_SNP_MILAN; p < TR_SNP_PRODUCT_N; p++)                                                   \
		for (unsigned version = 2; version <= 5; version++)                                                  \
			for (unsigned vlek = 0; vlek < 2; vlek++)

static void every_product_version_and_kind_of_key_verifies(void **state)
{
	static const uint8_t report_data[64] = { [0 ... 63] = 0x5a };

	(void)state;
	EACH(p, version, vlek)
	{
		tr_auto(fixture_done) struct fixture f;
		struct tr_snp_report report;

		plain(&f, (enum tr_snp_product)p, version, vlek);
		f.in.report_data = TR_VIEW_ARRAY(report_data);
		f.in.product = (enum tr_snp_product)p;
		f.in.require_crl = true;
		tr_snp_verify(&f.in, &r, &report);
		if (!tr_tee_authentic_and_current(&r))
			fail_msg("%s v%u %s: %s", tr_snp_product_name((enum tr_snp_product)p), version,
				 vlek ? "VLEK" : "VCEK", tr_tee_code_info(r.first)->slug);
		assert_int_equal(r.answers[TR_Q_AUTHENTIC], TR_ANSWER_YES);
		assert_int_equal(r.answers[TR_Q_CURRENT], TR_ANSWER_YES);
		assert_int_equal(r.answers[TR_Q_FRESH], TR_ANSWER_YES);
		assert_int_equal(r.answers[TR_Q_SOFTWARE], TR_ANSWER_NOT_ASKED);
		assert_int_equal(report.version, version);
		assert_int_equal(report.signing_key, vlek);
		assert_false(r.debug);
	}
}

/* Every fault of the list in every shape it fits. */
static void every_fault_is_refused_by_its_name(void **state)
{
	unsigned made = 0;

	(void)state;
	for (unsigned fault = 1; fault < TR_SIMF_N; fault++) {
		const struct tr_sim_fault_info *info = tr_sim_fault_info((enum tr_sim_fault)fault);

		if (!(info->kinds & 1u << TR_TEE_SNP))
			continue;
		EACH(p, version, vlek)
		{
			tr_auto(fixture_done) struct fixture f;
			struct tr_sim_spec spec;

			tr_sim_spec(TR_TEE_SNP, &spec);
			spec.product = (enum tr_snp_product)p;
			spec.quote_version = version;
			spec.vlek = vlek;
			spec.fault = (enum tr_sim_fault)fault;
			if (make(&f, &spec))
				continue; /* nothing in such a report where the fault would be */
			made++;
			if (strcmp(verdict(&f), tr_tee_code_info(info->code)->slug) != 0)
				fail_msg("%s in %s v%u %s: %s", info->slug, tr_snp_product_name((enum tr_snp_product)p),
					 version, vlek ? "VLEK" : "VCEK", verdict(&f));
		}
	}
	assert_true(made >= 8 * 20);
}

static void debug_and_migration_are_authentic(void **state)
{
	static const struct { uint64_t policy; bool debug; } rows[] = { { 0xb0000, true }, { 0x70000, false } };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(fixture_done) struct fixture f;
		struct tr_sim_spec spec;

		tr_sim_spec(TR_TEE_SNP, &spec);
		spec.snp_policy = rows[i].policy;
		assert_int_equal(make(&f, &spec), TR_OK);
		assert_string_equal(verdict(&f), "pass");
		assert_true(r.debug == rows[i].debug);
	}
}

static void nothing_counts_without_a_trusted_root(void **state)
{
	tr_auto(fixture_done) struct fixture f, other;
	struct tr_view roots[2];

	(void)state;
	plain(&f, TR_SNP_MILAN, 3, false);
	plain(&other, TR_SNP_GENOA, 3, false);
	f.in.n_roots = 0;
	assert_string_equal(verdict(&f), "chain_root");
	roots[0] = tr_amd_root_spki(TR_SNP_MILAN);
	roots[1] = tr_amd_root_spki(TR_SNP_GENOA);
	f.in.roots = roots;
	f.in.n_roots = 2;
	assert_string_equal(verdict(&f), "chain_root");
	roots[1] = tr_view(f.root.p, f.root.n - 1);
	assert_string_equal(verdict(&f), "chain_root");
	roots[1] = f.root;
	assert_string_equal(verdict(&f), "pass");
	/* An ARK that is trusted, beside an ASK and a VEK of another product. */
	f.in.ark = other.in.ark;
	roots[0] = other.root;
	assert_string_not_equal(verdict(&f), "pass");
}

static void products_are_not_mixed(void **state)
{
	tr_auto(fixture_done) struct fixture milan, genoa, turin;
	struct tr_snp_in in;

	(void)state;
	plain(&milan, TR_SNP_MILAN, 2, false);
	plain(&genoa, TR_SNP_GENOA, 3, false);
	plain(&turin, TR_SNP_TURIN, 5, false);
	in = milan.in;
	/* Version 2 does not say what it runs on: the caller may know. */
	milan.in.product = TR_SNP_GENOA;
	assert_string_equal(verdict(&milan), "snp_product");
	milan.in = in;
	milan.in.vek = genoa.in.vek;
	assert_string_not_equal(verdict(&milan), "pass");
	milan.in.ask = genoa.in.ask;
	milan.in.ark = genoa.in.ark;
	milan.in.roots = &genoa.root;
	assert_string_equal(verdict(&milan), "crl_issuer");
	milan.in.crl = genoa.in.crl;
	/* A whole chain of another product: version 2 alone cannot tell, its chip and TCB do. */
	assert_string_not_equal(verdict(&milan), "pass");
	genoa.in.vek = turin.in.vek;
	assert_string_equal(verdict(&genoa), "snp_product");
	turin.in.ask = milan.in.ask;
	assert_string_equal(verdict(&turin), "chain_role");
}

static void a_certificate_of_the_other_kind_is_refused(void **state)
{
	tr_auto(fixture_done) struct fixture vcek, vlek;

	(void)state;
	plain(&vcek, TR_SNP_GENOA, 3, false);
	plain(&vlek, TR_SNP_GENOA, 3, true);
	vcek.in.ask = vlek.in.ask;
	assert_string_equal(verdict(&vcek), "chain_role");
	vcek.in.ask = tr_buf_view(&vcek.c.ask);
	vcek.in.vek = vlek.in.vek;
	assert_string_equal(verdict(&vcek), "snp_signing_key");
	vcek.in.ask = vlek.in.ask;
	assert_string_equal(verdict(&vcek), "snp_signing_key");
}

static void dates_are_asked_of_every_link(void **state)
{
	static const struct { const char *label; int64_t now, skew, grace; const char *verdict; } rows[] = {
		{ "in date", 1000, 0, 0, "pass" },
		{ "the first second of certificates", 100, 0, 0, "crl_time" },
		{ "before it", 99, 0, 0, "chain_time" },
		{ "before it, within tolerance", 99, 1001, 0, "pass" },
		{ "the list's first second", 900, 0, 0, "pass" },
		{ "before the list", 899, 0, 0, "crl_time" },
		{ "before the list, within tolerance", 899, 1, 0, "pass" },
		{ "the list's last second", 2000, 0, 0, "pass" },
		{ "after the list", 2001, 0, 0, "crl_time" },
		{ "after the list, within grace", 2001, 0, 1, "pass" },
		{ "the last second of certificates", 3000, 0, 1000, "pass" },
		{ "after certificates, which have no grace", 3001, 0, 9000, "chain_time" },
	};
	struct tr_sim_spec spec;

	(void)state;
	tr_sim_spec(TR_TEE_SNP, &spec);
	spec.not_before = TR_SIM_TIME + 100;
	spec.issued = TR_SIM_TIME + 900;
	spec.next_update = TR_SIM_TIME + 2000;
	spec.not_after = TR_SIM_TIME + 3000;
	for (unsigned vlek = 0; vlek < 2; vlek++) {
		tr_auto(fixture_done) struct fixture f;

		spec.vlek = vlek;
		assert_int_equal(make(&f, &spec), TR_OK);
		for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
			f.in.when = (struct tr_tee_when){ TR_SIM_TIME + rows[i].now, rows[i].skew, rows[i].grace };
			if (strcmp(verdict(&f), rows[i].verdict) != 0)
				fail_msg("%s: %s", rows[i].label, verdict(&f));
			/* Out of date is not forged. */
			assert_int_equal(r.answers[TR_Q_AUTHENTIC], TR_ANSWER_YES);
		}
		f.in.when = (struct tr_tee_when){ .now = TR_SIM_TIME + 1000 };
		assert_string_equal(verdict(&f), "pass");
		assert_int_equal(r.valid_until, TR_SIM_TIME + 2000);
		f.in.crl = tr_view(NULL, 0);
		assert_string_equal(verdict(&f), "pass");
		assert_int_equal(r.valid_until, TR_SIM_TIME + 3000);
	}
}

static void a_list_counts_only_from_the_ark(void **state)
{
	tr_auto(fixture_done) struct fixture f, other;
	struct tr_view crl;

	(void)state;
	plain(&f, TR_SNP_MILAN, 3, false);
	plain(&other, TR_SNP_TURIN, 3, false);
	crl = f.in.crl;
	f.in.crl = tr_view(NULL, 0);
	assert_string_equal(verdict(&f), "pass");
	assert_non_null(strstr(line("crl.present")->seen, "not asked"));
	f.in.require_crl = true;
	assert_string_equal(verdict(&f), "collateral_missing");
	f.in.crl = TR_VIEW_LIT("no list");
	assert_string_equal(verdict(&f), "crl_format");
	f.in.crl = other.in.crl;
	assert_string_equal(verdict(&f), "crl_issuer");
	f.in.crl = crl;
	assert_string_equal(verdict(&f), "pass");
	f.c.crl.p[f.c.crl.n - 1] ^= 1;
	assert_string_equal(verdict(&f), "crl_signature");
}

static void report_data_are_compared_whole(void **state)
{
	tr_auto(fixture_done) struct fixture f;
	uint8_t expected[65] = { 0 };

	(void)state;
	plain(&f, TR_SNP_MILAN, 3, false);
	memset(expected, 0x5a, 64);
	f.in.report_data = tr_view(expected, 64);
	(void)verdict(&f);
	assert_int_equal(r.answers[TR_Q_FRESH], TR_ANSWER_YES);
	for (size_t n = 1; n <= 65; n += 31) {
		f.in.report_data = tr_view(expected, n == 63 ? 32 : n);
		(void)verdict(&f);
		assert_int_equal(r.answers[TR_Q_FRESH], TR_ANSWER_NO);
	}
	expected[63] ^= 1;
	f.in.report_data = tr_view(expected, 64);
	/* It is somebody's good report all the same. */
	assert_string_equal(verdict(&f), "pass");
	assert_int_equal(r.first, TR_TEEC_REPORT_DATA);
}

/* ---- certificates ---- */

static void put_entry(struct tr_buf *b, const char *guid, size_t at, size_t n)
{
	tr_buf_add(b, guid, 16);
	for (unsigned i = 0; i < 4; i++)
		tr_buf_add8(b, (uint8_t)(at >> 8 * i));
	for (unsigned i = 0; i < 4; i++)
		tr_buf_add8(b, (uint8_t)(n >> 8 * i));
}

/* What a host passes on with the report. */
static void put_table(const struct fixture *f, bool vlek, struct tr_buf *b)
{
	static const char *const guids[] = {
		"\x63\xda\x75\x8d\xe6\x64\x45\x64\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd",
		"\x4a\xb7\xb3\x79\xbb\xac\x4f\xe4\xa0\x2f\x05\xae\xf3\x27\xc7\x82",
		"\xc0\xb4\x06\xa4\xa8\x03\x49\x52\x97\x43\x3f\xb6\x01\x4c\xd0\xae",
		"\x92\xf8\x1b\xc3\x58\x11\x4d\x3d\x97\xff\xd1\x9f\x88\xdc\x67\xea",
	};
	const struct tr_buf *parts[] = { &f->c.vek, &f->c.ask, &f->c.ark, &f->c.crl };
	static const uint8_t end[24];
	size_t at = 5 * sizeof(end);

	for (size_t i = 0; i < TR_ARRAY_LEN(parts); i++) {
		put_entry(b, !i && vlek ? "\xa8\x07\x4b\xc2\xa2\x5a\x48\x3e\xaa\xe6\x39\xc0\x45\xa0\xb8\xa1" : guids[i],
			  at, parts[i]->n);
		at += parts[i]->n;
	}
	tr_buf_add(b, end, sizeof(end));
	for (size_t i = 0; i < TR_ARRAY_LEN(parts); i++)
		tr_buf_addv(b, tr_buf_view(parts[i]));
}

static void the_hosts_table_fills_what_is_missing(void **state)
{
	(void)state;
	for (unsigned vlek = 0; vlek < 2; vlek++) {
		tr_auto(tr_buf_done) struct tr_buf table = TR_BUF_INIT, wrong = TR_BUF_INIT;
		tr_auto(fixture_done) struct fixture f;
		struct tr_snp_in in;

		plain(&f, TR_SNP_GENOA, 5, vlek);
		in = f.in;
		put_table(&f, vlek, &table);
		put_table(&f, !vlek, &wrong);
		f.in.vek = f.in.ask = f.in.ark = f.in.crl = tr_view(NULL, 0);
		assert_string_equal(verdict(&f), "snp_certs");
		f.in.certs = tr_buf_view(&table);
		f.in.require_crl = true;
		assert_string_equal(verdict(&f), "pass");
		/* The right certificate under the other kind's name is not looked for. */
		f.in.certs = tr_buf_view(&wrong);
		assert_string_equal(verdict(&f), "snp_certs");
		/* A table that is none is no matter when nothing is missing. */
		f.in = in;
		f.in.certs = TR_VIEW_LIT("nonsense");
		assert_string_equal(verdict(&f), "pass");
		f.in.ask = tr_view(NULL, 0);
		assert_string_equal(verdict(&f), "snp_certs");
		/* The VEK alone, as an evidence set may hold it. */
		f.in = in;
		f.in.certs = f.in.vek;
		f.in.vek = tr_view(NULL, 0);
		assert_string_equal(verdict(&f), "pass");
	}
}

static void the_tables_root_is_trusted_no_more_than_any(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf table = TR_BUF_INIT;
	tr_auto(fixture_done) struct fixture f;

	(void)state;
	plain(&f, TR_SNP_GENOA, 5, false);
	put_table(&f, false, &table);
	f.in = (struct tr_snp_in){ .report = f.in.report, .certs = tr_buf_view(&table), .when = f.in.when };
	assert_string_equal(verdict(&f), "chain_root");
}

static void authorities_may_come_as_pem(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf ask = TR_BUF_INIT, ark = TR_BUF_INIT, vek = TR_BUF_INIT;
	tr_auto(fixture_done) struct fixture f;

	(void)state;
	plain(&f, TR_SNP_TURIN, 5, true);
	tr_pem_add(&ask, "CERTIFICATE", f.in.ask);
	tr_pem_add(&ark, "CERTIFICATE", f.in.ark);
	tr_pem_add(&vek, "CERTIFICATE", f.in.vek);
	f.in.ask = tr_buf_view(&ask);
	f.in.ark = tr_buf_view(&ark);
	assert_string_equal(verdict(&f), "pass");
	f.in.vek = tr_buf_view(&vek);
	assert_string_equal(verdict(&f), "snp_certs");
	f.in.vek = tr_buf_view(&f.c.vek);
	tr_pem_add(&ask, "CERTIFICATE", tr_buf_view(&f.c.ark));
	f.in.ask = tr_buf_view(&ask);
	assert_string_equal(verdict(&f), "snp_certs");
}

/* The line of step 7 alone: the changed report is not signed any more. */
static void a_masked_chip_is_not_known(void **state)
{
	tr_auto(fixture_done) struct fixture f;

	(void)state;
	plain(&f, TR_SNP_MILAN, 3, false);
	memset(f.c.quote.p + 0x1a0, 0, 64);
	(void)verdict(&f);
	assert_int_equal(line("vek.chip_id")->code, TR_TEEC_SNP_CHIP_ID);
	f.c.quote.p[0x48] |= 2;
	(void)verdict(&f);
	assert_int_equal(line("vek.chip_id")->code, TR_TEEC_OK);
	assert_non_null(strstr(line("vek.chip_id")->seen, "masked"));
	f.c.quote.p[0x1a0] = 1;
	(void)verdict(&f);
	assert_int_equal(line("vek.chip_id")->code, TR_TEEC_SNP_CHIP_ID);
	assert_int_equal(r.answers[TR_Q_AUTHENTIC], TR_ANSWER_NO);
}

/* A Turin chip id has eight bytes, and what stands behind them is zero. */
static void a_short_chip_id_is_compared_whole(void **state)
{
	tr_auto(fixture_done) struct fixture f;

	(void)state;
	plain(&f, TR_SNP_TURIN, 5, false);
	(void)verdict(&f);
	assert_int_equal(line("vek.chip_id")->code, TR_TEEC_OK);
	f.c.quote.p[0x1a0 + 63] = 1;
	(void)verdict(&f);
	assert_int_equal(line("vek.chip_id")->code, TR_TEEC_SNP_CHIP_ID);
}

/* Steps that each fail on a report whose signature fails too: explain shows them all. */
static void lines_go_on_after_the_first_failure(void **state)
{
	tr_auto(fixture_done) struct fixture f;

	(void)state;
	plain(&f, TR_SNP_GENOA, 5, false);
	f.c.quote.p[0x187]++;
	assert_string_equal(verdict(&f), "snp_signature");
	assert_int_equal(line("vek.tcb")->code, TR_TEEC_SNP_TCB);
	assert_string_not_equal(line("vek.tcb")->expected, line("vek.tcb")->seen);
	f.c.quote.p[0x38 + 3] = 1;
	assert_string_equal(verdict(&f), "snp_reserved");
	assert_int_equal(line("report.tcb_reserved")->code, TR_TEEC_SNP_RESERVED);
}

static void no_byte_of_a_report_can_be_changed(void **state)
{
	(void)state;
	for (unsigned p = TR_SNP_MILAN; p < TR_SNP_PRODUCT_N; p++) {
		tr_auto(tr_snp_cache_free) struct tr_snp_cache *cache = tr_snp_cache_new(8);
		tr_auto(fixture_done) struct fixture f;

		plain(&f, (enum tr_snp_product)p, 5, p == TR_SNP_GENOA);
		f.in.cache = cache;
		for (size_t i = 0; i < f.c.quote.n; i += 3) {
			f.c.quote.p[i] ^= 0x10;
			if (!strcmp(verdict(&f), "pass"))
				fail_msg("byte 0x%zx can be changed", i);
			f.c.quote.p[i] ^= 0x10;
		}
		assert_string_equal(verdict(&f), "pass");
	}
}

/* ---- the cache ---- */

static void same_result(const struct fixture *f)
{
	tr_auto(tr_buf_done) struct tr_buf a = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_snp_in without = f->in;

	without.cache = NULL;
	tr_snp_verify(&f->in, &r, NULL);
	tr_snp_verify(&without, &again, NULL);
	tr_tee_result_json(&r, &a);
	tr_tee_result_json(&again, &b);
	assert_true(tr_view_eq(tr_buf_view(&a), tr_buf_view(&b)));
}

static void a_cache_changes_no_result(void **state)
{
	struct tr_snp_cache *caches[2];
	struct fixture f[6];

	(void)state;
	for (size_t c = 0; c < 2; c++) {
		caches[c] = tr_snp_cache_new(c ? 1 : 64);
		assert_non_null(caches[c]);
	}
	for (unsigned i = 0; i < 6; i++)
		plain(&f[i], (enum tr_snp_product)(TR_SNP_MILAN + i / 2), 2 + i % 4, i & 1);
	for (size_t c = 0; c < 2; c++) {
		for (unsigned i = 0; i < 24; i++) {
			f[i % 6].in.cache = caches[c];
			same_result(&f[i % 6]);
			assert_true(tr_tee_authentic_and_current(&r));
		}
	}
	/* Known signatures do not help a certificate that changed, is out of date or revoked. */
	f[0].in.cache = caches[0];
	f[0].in.when.now += INT64_C(40) * 366 * 86400;
	same_result(&f[0]);
	assert_int_equal(r.first, TR_TEEC_CHAIN_TIME);
	f[0].in.when.now = TR_SIM_TIME;
	f[0].c.vek.p[f[0].c.vek.n - 1] ^= 1;
	same_result(&f[0]);
	assert_int_equal(r.first, TR_TEEC_CHAIN_SIGNATURE);
	for (unsigned i = 0; i < 6; i++)
		fixture_done(&f[i]);
	(void)tr_snp_cache_free(caches[0]);
	(void)tr_snp_cache_free(caches[1]);
}

static void a_failed_signature_is_not_remembered_as_good(void **state)
{
	tr_auto(tr_snp_cache_free) struct tr_snp_cache *cache = tr_snp_cache_new(8);
	tr_auto(fixture_done) struct fixture f;

	(void)state;
	assert_null(tr_snp_cache_new(0));
	assert_null(tr_snp_cache_new(SIZE_MAX / 8));
	plain(&f, TR_SNP_MILAN, 3, false);
	f.in.cache = cache;
	f.c.ask.p[f.c.ask.n - 1] ^= 1;
	for (unsigned i = 0; i < 3; i++)
		assert_string_equal(verdict(&f), "chain_signature");
	f.c.ask.p[f.c.ask.n - 1] ^= 1;
	assert_string_equal(verdict(&f), "pass");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_product_version_and_kind_of_key_verifies),
		cmocka_unit_test(every_fault_is_refused_by_its_name),
		cmocka_unit_test(debug_and_migration_are_authentic),
		cmocka_unit_test(nothing_counts_without_a_trusted_root),
		cmocka_unit_test(products_are_not_mixed),
		cmocka_unit_test(a_certificate_of_the_other_kind_is_refused),
		cmocka_unit_test(dates_are_asked_of_every_link),
		cmocka_unit_test(a_list_counts_only_from_the_ark),
		cmocka_unit_test(report_data_are_compared_whole),
		cmocka_unit_test(the_hosts_table_fills_what_is_missing),
		cmocka_unit_test(the_tables_root_is_trusted_no_more_than_any),
		cmocka_unit_test(authorities_may_come_as_pem),
		cmocka_unit_test(a_masked_chip_is_not_known),
		cmocka_unit_test(a_short_chip_id_is_compared_whole),
		cmocka_unit_test(lines_go_on_after_the_first_failure),
		cmocka_unit_test(no_byte_of_a_report_can_be_changed),
		cmocka_unit_test(a_cache_changes_no_result),
		cmocka_unit_test(a_failed_signature_is_not_remembered_as_good),
	};

	return cmocka_run_group_tests(tests, make_sim, end_sim);
}
