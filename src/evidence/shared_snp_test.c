/* SPDX-License-Identifier: Apache-2.0 */
/* The SNP cases of ../shared/evidence, read in place (its README.md has the format): real reports of Milan, Genoa and Turin
 * machines and changed ones. Rows of docs/faults-of-the-originals.md are named where a case stands for one. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/file.h"
#include "codec/json.h"
#include "evidence/snp.h"

#include <dirent.h>
#include <stdio.h>

#define SHARED "../shared/evidence"

/* How a case is refused, by the first line that fails. Row 8: authentic, and a policy's to refuse. */
static const struct { const char *name, *slug, *mistake; } known[] = {
	{ "snp-google-milan-debug", "ok", "8: debug" },
	{ "synth-snp-policy-debug", "ok", "8: debug" },
	{ "synth-snp-policy-migrate", "ok", "8: migration" },
	{ "snp-neg-vlek-as-vcek", "snp_signing_key", "17: VLEK and VCEK" },
	{ "snp-neg-vlek-with-ask", "chain_role", "17: VLEK under the ASK" },
	{ "synth-snp-neg-chipid", "snp_chip_id", "17: chip id" },
	{ "synth-snp-neg-tcb", "snp_tcb", "17: REPORTED_TCB and certificate" },
	{ "snp-neg-tcb-bump", "snp_signature", "17: REPORTED_TCB and certificate" },
	{ "synth-snp-neg-ask-revoked", "revoked", "17: revoked ASK" },
	{ "synth-snp-neg-fms-product", "snp_product", "17: product confusion" },
	{ "snp-ms-turin-v5", "ok", "17: Turin's TCB layout" },
	{ "synth-snp-hwid-der", "ok", "17: hwID as DER" },
	{ "snp-neg-der-hwid", "chain_signature", "17: hwID as DER, of a chain of its own" },
	{ "snp-neg-flip-measurement", "snp_signature", "a flipped bit" },
	{ "snp-neg-wrong-vcek", "snp_signature", "another chip's VCEK" },
	{ "snp-neg-version6", "snp_version", "a version that nobody knows" },
};

struct files {
	struct tr_buf json, report, vek, ask, ark, crl, anchor;
	struct tr_view root;
};

static void files_done(struct files *f)
{
	tr_buf_done(&f->json);
	tr_buf_done(&f->report);
	tr_buf_done(&f->vek);
	tr_buf_done(&f->ask);
	tr_buf_done(&f->ark);
	tr_buf_done(&f->crl);
	tr_buf_done(&f->anchor);
}
TR_DEFINE_AUTO_DONE(struct files, files_done)

static void read_one(const char *name, const char *file, bool must, struct tr_buf *ret)
{
	struct tr_err err;
	char path[512];

	(void)snprintf(path, sizeof(path), SHARED "/%s/%s", name, file);
	if (!must && !tr_file_exists(path))
		return;
	if (tr_file_read(path, 1 << 20, ret, &err))
		fail_msg("%s: %s", path, err.detail);
}

static void read_files(const char *name, struct files *f)
{
	struct tr_x_cert ark;
	struct tr_view der;
	struct tr_err err;
	size_t n;

	*f = (struct files){ 0 };
	read_one(name, "case.json", true, &f->json);
	read_one(name, "report.bin", true, &f->report);
	read_one(name, "vek.der", true, &f->vek);
	read_one(name, "ask.pem", true, &f->ask);
	read_one(name, "ark.pem", true, &f->ark);
	read_one(name, "crl.der", false, &f->crl);
	if (tr_x_pem_chain(tr_buf_view(&f->ark), "CERTIFICATE", 1, &f->anchor, &der, &n, &err) ||
	    tr_x_cert_parse(der, &ark, &err))
		fail_msg("%s: ark.pem: %s", name, err.detail);
	f->root = ark.spki;
}

static void verify(const struct files *f, int64_t now, struct tr_tee_result *ret)
{
	const struct tr_snp_in in = {
		.report = tr_buf_view(&f->report), .vek = tr_buf_view(&f->vek), .ask = tr_buf_view(&f->ask),
		.ark = tr_buf_view(&f->ark), .crl = tr_buf_view(&f->crl), .roots = &f->root, .n_roots = 1,
		.when = { .now = now },
	};

	tr_snp_verify(&in, ret, NULL);
}

static const struct tr_tee_check *first_failed(const struct tr_tee_result *r)
{
	for (size_t i = 0; i < r->n_checks; i++)
		if (r->checks[i].code != TR_TEEC_OK)
			return &r->checks[i];
	return NULL;
}

/* One verdict; returns whether it was as expected. */
static bool check_at(const char *name, const struct files *f, int64_t now, struct tr_view expected)
{
	static struct tr_tee_result r;
	const struct tr_tee_check *c;
	bool pass;

	if (tr_view_is(expected, "either"))
		return true;
	verify(f, now, &r);
	pass = tr_tee_authentic_and_current(&r);
	if (pass == tr_view_is(expected, "pass"))
		return true;
	c = first_failed(&r);
	print_error("%s at %lld: expected %.*s; %s: expected %s, seen %s\n", name, (long long)now, TR_VIEW_FMT(expected),
		    c ? c->name : "passed", c ? c->expected : "", c ? c->seen : "");
	return false;
}

static bool check_name(const char *name, const struct files *f, int64_t now, size_t *seen)
{
	static struct tr_tee_result r;

	for (size_t i = 0; i < TR_ARRAY_LEN(known); i++) {
		const char *slug;

		if (strcmp(known[i].name, name) != 0)
			continue;
		verify(f, now, &r);
		(*seen)++;
		slug = tr_tee_code_info(r.first)->slug;
		if (!strcmp(slug, known[i].slug))
			return true;
		print_error("%s (%s): refused as %s, expected %s\n", name, known[i].mistake, slug, known[i].slug);
		return false;
	}
	return true;
}

static unsigned run_case(const char *name, unsigned *times, size_t *named)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(files_done) struct files f;
	struct tr_view crypto;
	struct tr_err err;
	unsigned wrong = 0;
	tr_jnode root, checks;
	int64_t now;

	read_files(name, &f);
	assert_int_equal(tr_json_parse(tr_buf_view(&f.json), &j, &err), TR_OK);
	root = tr_json_root(j);
	assert_true(tr_json_int(tr_json_get(root, "verification_time"), &now));
	assert_true(tr_json_str(tr_json_get(tr_json_get(root, "expected"), "crypto"), &crypto));
	wrong += !check_at(name, &f, now, crypto);
	wrong += !check_name(name, &f, now, named);
	(*times)++;
	checks = tr_json_get(root, "checks");
	for (size_t i = 0; i < tr_json_len(checks); i++) {
		tr_jnode c = tr_json_at(checks, i);

		assert_true(tr_json_int(tr_json_get(c, "time"), &now));
		assert_true(tr_json_str(tr_json_get(c, "expect_crypto"), &crypto));
		wrong += !check_at(name, &f, now, crypto);
		(*times)++;
	}
	return wrong;
}

static bool is_snp(const char *name)
{
	return !strncmp(name, "snp-", 4) || !strncmp(name, "synth-snp-", 10);
}

static void every_shared_case_is_judged_as_expected(void **state)
{
	DIR *dir = opendir(SHARED);
	unsigned cases = 0, times = 0, wrong = 0;
	size_t named = 0;
	struct dirent *e;

	(void)state;
	if (!dir) {
		print_message("skipped: no " SHARED " beside this repository\n");
		skip();
	}
	while ((e = readdir(dir))) {
		if (!is_snp(e->d_name))
			continue;
		wrong += run_case(e->d_name, &times, &named);
		cases++;
	}
	(void)closedir(dir);
	print_message("%u cases at %u times\n", cases, times);
	assert_true(cases >= 29);
	assert_int_equal(named, TR_ARRAY_LEN(known));
	assert_int_equal(wrong, 0);
}

/* No bit of a signed report, and none of what a VEK's signature covers, can change. */
static void every_byte_of_a_real_report_counts(void **state)
{
	static struct tr_tee_result r;
	tr_auto(files_done) struct files f;

	(void)state;
	if (!tr_file_exists(SHARED "/snp-ms-turin-v5/report.bin"))
		skip();
	read_files("snp-ms-turin-v5", &f);
	for (size_t i = 0; i < f.report.n; i += i < 0x50 || i > 0x180 ? 1 : 7) {
		f.report.p[i] ^= 1;
		verify(&f, 1780315200, &r);
		if (tr_tee_authentic_and_current(&r))
			fail_msg("byte 0x%zx may be changed", i);
		f.report.p[i] ^= 1;
	}
	for (size_t i = 0; i < f.vek.n; i += 5) {
		f.vek.p[i] ^= 1;
		verify(&f, 1780315200, &r);
		if (tr_tee_authentic_and_current(&r))
			fail_msg("byte %zu of the VEK may be changed", i);
		f.vek.p[i] ^= 1;
	}
	verify(&f, 1780315200, &r);
	assert_true(tr_tee_authentic_and_current(&r));
}

static void a_report_is_too_old_or_too_new_for_its_certificates(void **state)
{
	static struct tr_tee_result r;
	tr_auto(files_done) struct files f;

	(void)state;
	if (!tr_file_exists(SHARED "/snp-ms-turin-v5/report.bin"))
		skip();
	read_files("snp-ms-turin-v5", &f);
	for (unsigned i = 0; i < 2; i++) {
		verify(&f, i ? 2000000000 : 1600000000, &r); /* 2033-05 and 2020-09 */
		assert_false(tr_tee_authentic_and_current(&r));
		assert_int_equal(r.answers[TR_Q_AUTHENTIC], TR_ANSWER_YES);
		assert_string_equal(tr_tee_code_info(r.first)->slug, "chain_time");
	}
}

/* AMD's own key, the chain of another product of AMD's. */
static void amds_pinned_keys_are_those_of_the_real_chains(void **state)
{
	static const struct { const char *name; enum tr_snp_product p; } rows[] = {
		{ "snp-azure-milan-v3", TR_SNP_MILAN }, { "snp-ms-genoa-v3", TR_SNP_GENOA },
		{ "snp-ms-turin-v5", TR_SNP_TURIN },
	};

	(void)state;
	if (!tr_file_exists(SHARED "/snp-ms-turin-v5/report.bin"))
		skip();
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(files_done) struct files f;

		read_files(rows[i].name, &f);
		assert_true(tr_view_eq(f.root, tr_amd_root_spki(rows[i].p)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shared_case_is_judged_as_expected),
		cmocka_unit_test(every_byte_of_a_real_report_counts),
		cmocka_unit_test(a_report_is_too_old_or_too_new_for_its_certificates),
		cmocka_unit_test(amds_pinned_keys_are_those_of_the_real_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
