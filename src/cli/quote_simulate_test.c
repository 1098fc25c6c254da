/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/quote_simulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "codec/pem.h"
#include "evidence/sim.h"

static char base[] = "/tmp/troth-simulate-XXXXXX";
static struct tr_cli cli;

static const char *at(const char *name)
{
	static char paths[4][256];
	static unsigned turn;
	char *p = paths[turn++ % 4];

	(void)snprintf(p, sizeof(paths[0]), "%s/%s", base, name);
	return p;
}

/* One run; options as pairs, ended by 0. */
static int run(const char *dir, enum tr_opt o1, const char *v1, enum tr_opt o2, const char *v2)
{
	memset(&cli, 0, sizeof(cli));
	cli.quiet = true;
	if (dir)
		cli.args[cli.n_args++] = dir;
	if (o1)
		cli.opt[o1 - TR_OPT_FIRST] = v1;
	if (o2)
		cli.opt[o2 - TR_OPT_FIRST] = v2;
	return tr_quote_simulate(&cli);
}

static void load(const char *path, struct tr_buf *b)
{
	struct tr_err err;

	if (tr_file_read(path, 1 << 20, b, &err) != TR_OK)
		fail_msg("%s: %s", path, err.detail);
}

/* Public key of the root that the folder trusts. */
static void root_key(const char *path, struct tr_buf *ret)
{
	struct tr_buf pem = TR_BUF_INIT, der = TR_BUF_INIT;
	struct tr_view label, rest;
	struct tr_x_cert cert;
	struct tr_err err;

	load(path, &pem);
	assert_int_equal(tr_pem_get(tr_buf_view(&pem), &label, &der, &rest, &err), TR_OK);
	assert_int_equal(tr_x_cert_parse(tr_buf_view(&der), &cert, &err), TR_OK);
	tr_buf_addv(ret, cert.spki);
	tr_buf_done(&pem), tr_buf_done(&der);
}

static void a_seed_file_is_made_once_and_kept(void **state)
{
	struct tr_buf one = TR_BUF_INIT, two = TR_BUF_INIT, three = TR_BUF_INIT;
	const char *seed = at("seed");
	struct stat st;

	(void)state;
	assert_int_equal(run(at("a"), TR_OPT_ROOT_SEED, seed, 0, NULL), TR_CLI_EXIT_OK);
	assert_int_equal(stat(seed, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, TR_SIM_SEED_LEN);
	assert_int_equal(run(at("b"), TR_OPT_ROOT_SEED, seed, TR_OPT_KIND, "sgx"), TR_CLI_EXIT_OK);
	assert_int_equal(run(at("c"), 0, NULL, 0, NULL), TR_CLI_EXIT_OK);
	root_key(at("a/root_ca.pem"), &one);
	root_key(at("b/root_ca.pem"), &two);
	root_key(at("c/root_ca.pem"), &three);
	assert_true(tr_view_eq(tr_buf_view(&one), tr_buf_view(&two)));
	assert_false(tr_view_eq(tr_buf_view(&one), tr_buf_view(&three)));
	tr_buf_done(&one), tr_buf_done(&two), tr_buf_done(&three);
}

static void a_seed_that_others_can_read_is_refused(void **state)
{
	const char *seed = at("open-seed");
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_file_create(seed, TR_VIEW_LIT("0123456789abcdef0123456789abcdef"), 0644, &err), TR_OK);
	assert_int_equal(run(at("d"), TR_OPT_ROOT_SEED, seed, 0, NULL), TR_CLI_EXIT_FILE);
	assert_int_equal(tr_file_write(seed, TR_VIEW_LIT("short"), 0600, &err), TR_OK);
	assert_int_equal(run(at("d"), TR_OPT_ROOT_SEED, seed, 0, NULL), TR_CLI_EXIT_FILE);
	assert_false(tr_file_exists(at("d")));
}

static void a_fault_stands_in_case_json(void **state)
{
	struct tr_buf json = TR_BUF_INIT, quote = TR_BUF_INIT;
	struct tr_quote q;
	enum tr_tee_code code;
	struct tr_err err;

	(void)state;
	assert_int_equal(run(at("e"), TR_OPT_FAULT, "qe-debug", TR_OPT_VERSION, "5"), TR_CLI_EXIT_OK);
	load(at("e/case.json"), &json);
	assert_non_null(strstr(tr_buf_cstr(&json), "\"crypto\": \"fail\""));
	assert_non_null(strstr(tr_buf_cstr(&json), "\"code\": \"qe_identity\""));
	load(at("e/quote.bin"), &quote);
	assert_int_equal(tr_quote_parse(tr_buf_view(&quote), &q, &code, &err), TR_OK);
	assert_int_equal(q.body_type, TR_BODY_TD15);
	assert_true(q.qe.flags & 2);
	tr_buf_clear(&json);
	assert_int_equal(run(at("f"), TR_OPT_STATUS, "OutOfDate", TR_OPT_DEBUG, ""), TR_CLI_EXIT_OK);
	load(at("f/case.json"), &json);
	assert_non_null(strstr(tr_buf_cstr(&json), "\"tcb_status\": \"OutOfDate\""));
	assert_non_null(strstr(tr_buf_cstr(&json), "reject: DEBUG"));
	tr_buf_done(&json), tr_buf_done(&quote);
}

static void nonsense_is_refused(void **state)
{
	static const struct {
		enum tr_opt o1;
		const char *v1;
		enum tr_opt o2;
		const char *v2;
	} cases[] = {
		{ TR_OPT_KIND, "tpm", 0, NULL },	     { TR_OPT_KIND, "epid", 0, NULL },
		{ TR_OPT_VERSION, "3", 0, NULL },	     { TR_OPT_VERSION, "6", 0, NULL },
		{ TR_OPT_FAULT, "nothing-like-it", 0, NULL }, { TR_OPT_FAULT, "snp-tcb", 0, NULL },
		{ TR_OPT_STATUS, "Splendid", 0, NULL },	     { TR_OPT_STATUS, "UpToDate", TR_OPT_KIND, "snp" },
		{ TR_OPT_REPORT_DATA, "00ff", 0, NULL },     { TR_OPT_PRODUCT, "Milan", 0, NULL },
		{ TR_OPT_PRODUCT, "Rome", TR_OPT_KIND, "snp" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		if (run(at("g"), cases[i].o1, cases[i].v1, cases[i].o2, cases[i].v2) != TR_CLI_EXIT_USAGE ||
		    tr_file_exists(at("g")))
			fail_msg("row %zu was taken", i);
	assert_int_equal(run(NULL, 0, NULL, 0, NULL), TR_CLI_EXIT_USAGE);
	assert_int_equal(run(NULL, TR_OPT_FAULT, "list", 0, NULL), TR_CLI_EXIT_OK);
}

static void an_snp_folder_has_its_files(void **state)
{
	static const char *const names[] = { "report.bin", "vek.der", "ask.pem", "ark.pem", "crl.der", "case.json" };
	char path[64];

	(void)state;
	assert_int_equal(run(at("h"), TR_OPT_KIND, "snp", TR_OPT_PRODUCT, "turin"), TR_CLI_EXIT_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "h/%s", names[i]);
		assert_true(tr_file_exists(at(path)));
	}
}

static int start(void **state)
{
	(void)state;
	return mkdtemp(base) ? 0 : -1;
}

static int end(void **state)
{
	static const char *const dirs[] = { "a", "b", "c", "d", "e", "f", "h", "" };
	static const char *const files[] = { "quote.bin",	 "tcb_info.json", "qe_identity.json", "tcb_signing_chain.pem",
					     "pck_crl.der",	 "root_ca_crl.der", "pck_crl_issuer_chain.pem", "root_ca.pem",
					     "case.json",	 "report.bin",	  "vek.der",	      "ask.pem",
					     "ark.pem",		 "crl.der",	  "seed",	      "open-seed" };
	char path[128];

	(void)state;
	for (size_t d = 0; d < TR_ARRAY_LEN(dirs); d++) {
		for (size_t f = 0; f < TR_ARRAY_LEN(files); f++) {
			(void)snprintf(path, sizeof(path), "%s/%s", dirs[d], files[f]);
			(void)unlink(at(path));
		}
		(void)rmdir(at(dirs[d]));
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_file_is_made_once_and_kept),
		cmocka_unit_test(a_seed_that_others_can_read_is_refused),
		cmocka_unit_test(a_fault_stands_in_case_json),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(an_snp_folder_has_its_files),
	};

	return cmocka_run_group_tests(tests, start, end);
}
