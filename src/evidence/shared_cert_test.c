/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates and CRLs of ../shared/evidence, read in place: Intel's, AMD's, clouds', and those made for the cases. */
#include "evidence/x_test.h"

#include <dirent.h>

static void check_chain(const char *folder, const char *leaf, const char *above)
{
	tr_auto(tr_buf_done) struct tr_buf a = TR_BUF_INIT, b = TR_BUF_INIT, ders = TR_BUF_INIT;
	tr_auto(tr_raw_key_free) struct tr_raw_key *k = NULL;
	struct tr_x_cert low, high;
	struct tr_view der[4];
	struct tr_err err;
	char path[256]; /* nothing is held when the folder is absent and the test is left */
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, leaf);
	shared_file(path, &a);
	(void)snprintf(path, sizeof(path), "%s/%s", folder, above);
	shared_file(path, &b);
	der[0] = tr_buf_view(&a);
	if (strstr(leaf, ".pem"))
		assert_int_equal(tr_x_pem_chain(der[0], "CERTIFICATE", 4, &ders, der, &n, &err), TR_OK);
	if (tr_x_cert_parse(der[0], &low, &err))
		fail_msg("%s/%s: %s", folder, leaf, err.detail);
	tr_buf_clear(&a);
	tr_buf_addv(&a, low.der);
	assert_int_equal(tr_x_cert_parse(tr_buf_view(&a), &low, &err), TR_OK);
	assert_int_equal(tr_x_pem_chain(tr_buf_view(&b), "CERTIFICATE", 4, &ders, der, &n, &err), TR_OK);
	if (tr_x_cert_parse(der[n - 1], &high, &err))
		fail_msg("%s/%s: %s", folder, above, err.detail);
	CHECK(tr_view_eq(low.issuer, high.subject) && high.ca, folder);
	CHECK(tr_x_cert_key(&high, &k, &err) == TR_OK, folder);
	CHECK(tr_x_verify(low.sig_alg, low.tbs, low.sig, k, &err) == TR_OK, folder);
	tr_buf_add8(&a, 0);
	a.p[60] ^= 1;
	CHECK(tr_x_verify(low.sig_alg, low.tbs, low.sig, k, &err) == TR_E_DENIED, folder);
}

/* Intel's ECDSA, AMD's PSS with and without the trailer field, VEKs of serial 0, a cloud's AK certificate. */
static void real_chains_verify(void **state)
{
	(void)state;
	check_chain("tdx4-phala-uptodate", "tcb_signing_chain.pem", "root_ca.pem");
	check_chain("tdx4-phala-uptodate", "pck_crl_issuer_chain.pem", "root_ca.pem");
	check_chain("tdx4-phala-uptodate", "root_ca.pem", "root_ca.pem");
	check_chain("snp-coco-milan-v2", "vek.der", "ask.pem");
	check_chain("snp-coco-milan-v2", "ask.pem", "ark.pem");
	check_chain("snp-coco-milan-v2", "ark.pem", "ark.pem");
	check_chain("snp-coco-vlek-v3", "vek.der", "ask.pem");
	check_chain("snp-ms-turin-v5", "vek.der", "ask.pem");
	check_chain("snp-ms-turin-v5", "ask.pem", "ark.pem");
	check_chain("synth-snp-v4", "vek.der", "ask.pem");
}

static void read_all(const char *path, const char *name, size_t *count)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, ders = TR_BUF_INIT;
	struct tr_view der[8];
	struct tr_err err;
	size_t n = 1;

	if (tr_file_read(path, TR_X_CRL_MAX, &b, &err))
		fail_msg("%s: %s", path, err.detail);
	der[0] = tr_buf_view(&b);
	if (strstr(name, "crl") && strstr(name, ".der")) {
		struct tr_x_crl crl;

		if (tr_x_crl_parse(der[0], &crl, &err) || crl.unknown_critical)
			fail_msg("%s: %s", path, err.detail);
		++*count;
		return;
	}
	if (strstr(name, ".pem") && tr_x_pem_chain(tr_buf_view(&b), "CERTIFICATE", 8, &ders, der, &n, &err))
		fail_msg("%s: %s", path, err.detail);
	for (size_t i = 0; i < n; i++) {
		struct tr_x_cert c;

		if (tr_x_cert_parse(der[i], &c, &err) || c.unknown_critical || c.key_type == TR_RAW_NONE ||
		    c.sig_alg == TR_X_SIG_UNKNOWN)
			fail_msg("%s: %s", path, err.detail);
		++*count;
	}
}

/* Strict, and still every certificate and CRL that hardware vendors and clouds gave is read. */
static void every_shared_certificate_is_read(void **state)
{
	DIR *all = opendir(SHARED_EVIDENCE);
	size_t count = 0;

	(void)state;
	if (!all) {
		print_message("skipped: no " SHARED_EVIDENCE " beside this repository\n");
		skip();
	}
	for (struct dirent *d; (d = readdir(all));) {
		tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
		DIR *folder;

		tr_buf_addf(&path, SHARED_EVIDENCE "/%s", d->d_name);
		folder = d->d_name[0] == '.' ? NULL : opendir(tr_buf_cstr(&path));
		for (struct dirent *f; folder && (f = readdir(folder));) {
			tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT;

			tr_buf_addf(&file, "%s/%s", tr_buf_cstr(&path), f->d_name);
			if ((strstr(f->d_name, ".pem") || strstr(f->d_name, ".der")) && !strstr(f->d_name, "_pub"))
				read_all(tr_buf_cstr(&file), f->d_name, &count);
		}
		if (folder)
			(void)closedir(folder);
	}
	(void)closedir(all);
	print_message("%zu certificates and CRLs\n", count);
	assert_true(count > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_chains_verify),
		cmocka_unit_test(every_shared_certificate_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
