/* SPDX-License-Identifier: Apache-2.0 */
/* The TPM cases of ../shared/evidence, read in place (its README.md has the format): quotes of swtpm and of Google's and
 * Azure's vTPMs, with event logs, IMA lists and HCL reports; and the logs behind the RTMRs of some TDX cases. Rows of
 * docs/faults-of-the-originals.md are named where a case stands for one. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/file.h"
#include "codec/json.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "evidence/dcap.h"
#include "evidence/eventlog.h"
#include "evidence/snp.h"
#include "evidence/tpm.h"

#include <dirent.h>
#include <stdio.h>

#define SHARED "../shared/evidence"

static const struct { const char *name, *slug, *mistake; } known[] = {
	{ "tpm-neg-certify-not-quote", "tpm_not_quote", "18: type certify accepted as quote" },
	{ "tpm-neg-wrong-nonce", "report_data_mismatch", "18: nonce" },
	{ "tpm-neg-pcr-value", "tpm_pcr_digest", "18: PCR list and digest" },
	{ "tpm-neg-other-ak", "tpm_signature", "18: other AK" },
	{ "tpm-neg-flip-digest", "tpm_signature", "18: a changed digest" },
	{ "tpm-gce-cos-85-nonce9009-sha1", "tpm_bank_sha1", "18: SHA-1 bank" },
	{ "tpm-swtpm-twobanks", "tpm_bank_sha1", "18: two banks, one of them SHA-1" },
	{ "tpm-swtpm-rsassa-full", "ok", "event log and IMA" },
};

#define PCRS_MAX 96
struct files {
	struct tr_buf json, msg, sig, spki, area, log, ima, ima_binary, hcl, nonce;
	size_t n_pcrs;
	struct tr_tpm_pcr pcrs[PCRS_MAX];
	uint8_t values[PCRS_MAX][64];
};

static void files_done(struct files *f)
{
	struct tr_buf *all[] = { &f->json, &f->msg, &f->sig, &f->spki, &f->area, &f->log, &f->ima, &f->ima_binary, &f->hcl,
				 &f->nonce };

	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++)
		tr_buf_done(all[i]);
}
TR_DEFINE_AUTO_DONE(struct files, files_done)

static bool read_one(const char *name, const char *file, bool must, struct tr_buf *ret)
{
	struct tr_err err;
	char path[512];

	(void)snprintf(path, sizeof(path), SHARED "/%s/%s", name, file);
	if (!must && !tr_file_exists(path))
		return false;
	if (tr_file_read(path, 1 << 20, ret, &err))
		fail_msg("%s: %s", path, err.detail);
	return true;
}

static void read_hex(struct tr_view text, struct tr_buf *ret)
{
	uint8_t *p = text.n ? tr_buf_space(ret, text.n / 2) : NULL;

	assert_true(!text.n || (p && tr_hex_get(text, p, text.n / 2)));
}

static bool add_pcr(void *arg, const char *key, tr_jnode value)
{
	struct files *f = arg;
	struct tr_tpm_pcr *p = &f->pcrs[f->n_pcrs];
	struct tr_view hex;

	assert_true(f->n_pcrs < PCRS_MAX && tr_json_str(value, &hex) && hex.n <= 128);
	p->index = (unsigned)strtoul(key, NULL, 10);
	p->bank = hex.n == 40 ? TR_HASH_SHA1 : hex.n == 64 ? TR_HASH_SHA256 : hex.n == 96 ? TR_HASH_SHA384 : TR_HASH_SHA512;
	assert_true(tr_hex_get(hex, f->values[f->n_pcrs], hex.n / 2));
	p->value = tr_view(f->values[f->n_pcrs], hex.n / 2);
	f->n_pcrs++;
	return true;
}

static bool add_bank(void *arg, const char *key, tr_jnode value)
{
	(void)key;
	tr_json_each(value, add_pcr, arg);
	return true;
}

static void read_files(const char *name, struct files *f)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT, pcrs = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	static const char *const areas[] = { "ak.tpm2b_public", "ak.tpmt_public", "ak.pub" };
	struct tr_view label, rest;
	struct tr_err err;

	memset(f, 0, sizeof(*f));
	(void)read_one(name, "case.json", true, &f->json);
	(void)read_one(name, "quote.msg", true, &f->msg);
	(void)read_one(name, "quote.sig", true, &f->sig);
	(void)read_one(name, "ak_pub.pem", true, &pem);
	assert_int_equal(tr_pem_get(tr_buf_view(&pem), &label, &f->spki, &rest, &err), TR_OK);
	if (read_one(name, "pcrs.json", false, &pcrs)) {
		assert_int_equal(tr_json_parse(tr_buf_view(&pcrs), &j, &err), TR_OK);
		tr_json_each(tr_json_root(j), add_bank, f);
	}
	for (size_t i = 0; !f->area.n && i < TR_ARRAY_LEN(areas); i++)
		(void)read_one(name, areas[i], false, &f->area);
	(void)read_one(name, "eventlog.bin", false, &f->log);
	(void)read_one(name, "ima_ascii.txt", false, &f->ima);
	(void)read_one(name, "ima_binary.bin", false, &f->ima_binary);
	(void)read_one(name, "hcl_report.bin", false, &f->hcl);
}

static void verify(const struct files *f, bool raw, bool sha1, struct tr_view nonce, struct tr_view ima,
		   struct tr_tee_result *ret)
{
	const struct tr_tpm_in in = {
		.attest = tr_buf_view(&f->msg), .signature = tr_buf_view(&f->sig), .raw_signature = raw,
		.ak_spki = tr_buf_view(&f->spki), .ak_public = tr_buf_view(&f->area),
		.trusted_by = f->hcl.n ? TR_AK_HCL : TR_AK_PINNED, .pcrs = f->pcrs, .n_pcrs = f->n_pcrs,
		.event_log = tr_buf_view(&f->log), .ima_log = ima, .hcl_report = tr_buf_view(&f->hcl),
		.allow_sha1_bank = sha1, .nonce = nonce,
	};

	(void)tr_tpm_verify(&in, ret, NULL);
}

static bool is_pass(const struct tr_tee_result *r)
{
	return tr_tee_authentic_and_current(r) && r->answers[TR_Q_FRESH] != TR_ANSWER_NO;
}

static void explain(const struct tr_tee_result *r)
{
	for (size_t i = 0; i < r->n_checks; i++)
		if (r->checks[i].code != TR_TEEC_OK)
			print_error("  %s: expected %s, seen %s\n", r->checks[i].name, r->checks[i].expected,
				    r->checks[i].seen);
}

static bool has_line(const struct tr_tee_result *r, const char *name)
{
	for (size_t i = 0; i < r->n_checks; i++)
		if (!strcmp(r->checks[i].name, name))
			return true;
	return false;
}

static unsigned run_case(const char *name, size_t *named)
{
	static struct tr_tee_result r, again;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(files_done) struct files f;
	struct tr_view crypto, format, nonce = { NULL, 0 };
	struct tr_err err;
	unsigned wrong = 0;
	tr_jnode root, expected;
	bool raw;

	read_files(name, &f);
	assert_int_equal(tr_json_parse(tr_buf_view(&f.json), &j, &err), TR_OK);
	root = tr_json_root(j);
	expected = tr_json_get(root, "expected");
	assert_true(tr_json_str(tr_json_get(expected, "crypto"), &crypto));
	if (tr_json_str(tr_json_get(expected, "nonce_hex"), &nonce))
		read_hex(nonce, &f.nonce);
	raw = tr_json_str(tr_json_get(root, "signature_format"), &format) && tr_view_starts(format, "raw");
	nonce = tr_buf_view(&f.nonce);

	verify(&f, raw, false, nonce, tr_buf_view(f.ima.n ? &f.ima : &f.ima_binary), &r);
	if (!tr_view_is(crypto, "either") && is_pass(&r) != tr_view_is(crypto, "pass")) {
		print_error("%s: expected %.*s, first %s\n", name, TR_VIEW_FMT(crypto), tr_tee_code_info(r.first)->slug);
		explain(&r);
		wrong++;
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(known); i++) {
		if (strcmp(known[i].name, name) != 0)
			continue;
		(*named)++;
		if (strcmp(tr_tee_code_info(r.first)->slug, known[i].slug) != 0) {
			print_error("%s (%s): %s\n", name, known[i].mistake, tr_tee_code_info(r.first)->slug);
			wrong++;
		}
	}
	/* Text and binary tell the same; an allowed SHA-1 bank is no reproach. */
	verify(&f, raw, true, nonce, tr_buf_view(&f.ima_binary), &again);
	if (tr_view_is(crypto, "pass") && (!is_pass(&again) || again.answers[TR_Q_SOFTWARE] == TR_ANSWER_NO)) {
		print_error("%s: SHA-1 allowed, binary IMA list\n", name);
		explain(&again);
		wrong++;
	}
	assert_true(!f.log.n || tr_view_is(crypto, "fail") || has_line(&r, "event_log.data"));
	assert_true(!f.ima.n || tr_view_is(crypto, "fail") || has_line(&r, "ima"));
	return wrong;
}

static void every_shared_case_is_judged_as_expected(void **state)
{
	DIR *dir = opendir(SHARED);
	unsigned cases = 0, wrong = 0;
	size_t named = 0;
	struct dirent *e;

	(void)state;
	if (!dir) {
		print_message("skipped: no " SHARED " beside this repository\n");
		skip();
	}
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, "tpm-", 4) != 0)
			continue;
		wrong += run_case(e->d_name, &named);
		cases++;
	}
	(void)closedir(dir);
	print_message("%u cases\n", cases);
	assert_true(cases >= 16);
	assert_int_equal(named, TR_ARRAY_LEN(known));
	assert_int_equal(wrong, 0);
}

static bool here(const char *name)
{
	char path[300];

	(void)snprintf(path, sizeof(path), SHARED "/%s/case.json", name);
	if (tr_file_exists(path))
		return true;
	print_message("skipped: no " SHARED " beside this repository\n");
	return false;
}

static bool is_quoted(const struct files *f, size_t i)
{
	struct tr_tpm_in in = { .pcrs = &f->pcrs[i], .n_pcrs = 1 };
	enum tr_tee_code code;
	struct tr_tpm_attest a;
	struct tr_view v;
	struct tr_err err;

	assert_int_equal(tr_tpm_attest_parse(tr_buf_view(&f->msg), &a, &code, &err), TR_OK);
	return tr_tpm_pcr_quoted(&in, &a, f->pcrs[i].bank, f->pcrs[i].index, &v);
}

/* No bit of what the TPM signed, nor of the signature's numbers, can change. */
static void every_byte_of_a_real_quote_counts(void **state)
{
	static struct tr_tee_result r;
	static const char *const names[] = { "tpm-swtpm-ecdsa-p256", "tpm-swtpm-rsapss", "tpm-swtpm-rsassa-full" };

	(void)state;
	for (size_t k = 0; k < TR_ARRAY_LEN(names); k++) {
		tr_auto(files_done) struct files f;

		if (!here(names[k]))
			skip();
		read_files(names[k], &f);
		for (unsigned part = 0; part < 3; part++) {
			struct tr_buf *b = part == 0 ? &f.msg : part == 1 ? &f.sig : &f.area;

			for (size_t i = 0; i < b->n; i++) {
				b->p[i] ^= 0x10;
				verify(&f, false, false, tr_view(NULL, 0), tr_view(NULL, 0), &r);
				/* The Name hides the whole public area; the quote itself depends on the key in it. */
				if (is_pass(&r) && part < 2)
					fail_msg("%s: byte %zu of part %u may be changed", names[k], i, part);
				b->p[i] ^= 0x10;
			}
		}
		for (size_t i = 0; i < f.n_pcrs; i++) {
			f.values[i][0] ^= 1;
			verify(&f, false, false, tr_view(NULL, 0), tr_view(NULL, 0), &r);
			assert_int_equal(r.first, is_quoted(&f, i) ? TR_TEEC_TPM_PCR_DIGEST : TR_TEEC_OK);
			f.values[i][0] ^= 1;
		}
	}
}

/* Row 18: event data not hashed, and a log of which a part was taken away. */
static void an_event_log_is_what_the_quote_says_or_nothing(void **state)
{
	static struct tr_tee_result r;
	tr_auto(files_done) struct files f;
	unsigned refused = 0;
	size_t all;

	(void)state;
	if (!here("tpm-swtpm-rsassa-full"))
		skip();
	read_files("tpm-swtpm-rsassa-full", &f);
	all = f.log.n;
	for (size_t i = 0; i < all; i += 997) {
		f.log.p[i] ^= 1;
		verify(&f, false, false, tr_view(NULL, 0), tr_view(NULL, 0), &r);
		refused += r.first == TR_TEEC_TPM_EVENT_LOG;
		f.log.p[i] ^= 1;
	}
	print_message("%u of %zu changes of the log are seen\n", refused, all / 997 + 1);
	assert_true(refused > 10);
	f.log.n = all / 2;
	verify(&f, false, false, tr_view(NULL, 0), tr_view(NULL, 0), &r);
	assert_int_equal(r.first, TR_TEEC_TPM_EVENT_LOG);
	f.log.n = all;
	/* IMA: the last entry again, once more than was quoted, is not proven and not refused; a changed first one is. */
	f.ima.p[60] ^= 1;
	verify(&f, false, false, tr_view(NULL, 0), tr_buf_view(&f.ima), &r);
	assert_int_equal(r.first, TR_TEEC_TPM_IMA);
	f.ima.p[60] ^= 1;
	tr_buf_adds(&f.ima, "10 1111111111111111111111111111111111111111 ima-ng sha1:19f13b42c2745066347e76454788c0fe083643f3 /x y\n");
	verify(&f, false, false, tr_view(NULL, 0), tr_buf_view(&f.ima), &r);
	assert_int_equal(r.first, TR_TEEC_OK);
	for (size_t i = 0; i < r.n_fields; i++) {
		if (!strcmp(r.fields[i].name, "ima_proven"))
			assert_int_equal(r.fields[i].number, 150);
		if (!strcmp(r.fields[i].name, "ima_total"))
			assert_int_equal(r.fields[i].number, 151);
	}
}

static void azure_snp_ties_the_key_to_the_report(void **state)
{
	static struct tr_tee_result r;
	tr_auto(files_done) struct files f;
	tr_auto(tr_buf_done) struct tr_buf vek = TR_BUF_INIT, report = TR_BUF_INIT, json = TR_BUF_INIT, ark = TR_BUF_INIT,
				  ask = TR_BUF_INIT;
	struct tr_view root = tr_amd_root_spki(TR_SNP_MILAN);
	struct tr_hcl h;
	struct tr_err err;

	(void)state;
	if (!here("tpm-az-snp-v1"))
		skip();
	read_files("tpm-az-snp-v1", &f);
	(void)read_one("tpm-az-snp-v1", "vcek.der", true, &vek);
	(void)read_one("tpm-az-snp-v1", "snp_report.bin", true, &report);
	(void)read_one("tpm-az-snp-v1", "runtime_data.json", true, &json);
	(void)read_one("snp-azure-milan-v3", "ark.pem", true, &ark);
	(void)read_one("snp-azure-milan-v3", "ask.pem", true, &ask);
	assert_int_equal(tr_hcl_parse(tr_buf_view(&f.hcl), &h, &err), TR_OK);
	assert_int_equal(h.report_type, 2);
	assert_true(tr_view_eq(h.json, tr_buf_view(&json)) && tr_view_eq(h.hw_report, tr_buf_view(&report)));
	assert_true(tr_hcl_is_bound(&h));
	{
		const struct tr_snp_in in = { .report = h.hw_report, .vek = tr_buf_view(&vek), .ask = tr_buf_view(&ask),
					      .ark = tr_buf_view(&ark), .roots = &root, .n_roots = 1,
					      .when = { .now = 1750000000 }, .report_data = h.report_data };

		tr_snp_verify(&in, &r, NULL);
	}
	explain(&r);
	assert_true(tr_tee_authentic_and_current(&r));
	assert_int_equal(r.answers[TR_Q_FRESH], TR_ANSWER_YES);
	/* A changed claim, a changed report and a report that is not there vouch for nothing. */
	f.hcl.p[1300] ^= 1;
	verify(&f, true, false, tr_view(NULL, 0), tr_view(NULL, 0), &r);
	assert_int_equal(r.first, TR_TEEC_TPM_HCL);
	f.hcl.p[1300] ^= 1;
	f.hcl.p[32 + 0x50] ^= 1;
	verify(&f, true, false, tr_view(NULL, 0), tr_view(NULL, 0), &r);
	assert_int_equal(r.first, TR_TEEC_TPM_HCL);
}

static void azure_tdx_ties_the_key_to_the_quote(void **state)
{
	tr_auto(files_done) struct files f;
	tr_auto(tr_buf_done) struct tr_buf quote = TR_BUF_INIT, report = TR_BUF_INIT;
	enum tr_tee_code code;
	struct tr_quote q;
	struct tr_hcl h;
	struct tr_err err;

	(void)state;
	if (!here("tpm-az-tdx-v1"))
		skip();
	read_files("tpm-az-tdx-v1", &f);
	(void)read_one("tpm-az-tdx-v1", "td_quote.bin", true, &quote);
	(void)read_one("tpm-az-tdx-v1", "tdreport.bin", true, &report);
	assert_int_equal(tr_hcl_parse(tr_buf_view(&f.hcl), &h, &err), TR_OK);
	assert_int_equal(h.report_type, 4);
	assert_true(tr_view_eq(h.hw_report, tr_buf_view(&report)));
	assert_true(tr_hcl_is_bound(&h));
	assert_int_equal(tr_quote_parse(tr_buf_view(&quote), &q, &code, &err), TR_OK);
	assert_true(tr_view_eq(q.td.report_data, h.report_data));
}

static void a_ccel_log_replays_to_the_rtmrs(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf table = TR_BUF_INIT, log = TR_BUF_INIT, quote = TR_BUF_INIT;
	uint64_t len, address;
	uint32_t explained;
	enum tr_tee_code code;
	struct tr_quote q;
	struct tr_err err;

	(void)state;
	if (!here("tdx4-google-cos113-ccel"))
		skip();
	(void)read_one("tdx4-google-cos113-ccel", "ccel_table.bin", true, &table);
	(void)read_one("tdx4-google-cos113-ccel", "ccel_data.bin", true, &log);
	(void)read_one("tdx4-google-cos113-ccel", "quote.bin", true, &quote);
	assert_int_equal(tr_ccel_table(tr_buf_view(&table), &len, &address, &err), TR_OK);
	assert_int_equal(len, log.n);
	assert_int_equal(tr_quote_parse(tr_buf_view(&quote), &q, &code, &err), TR_OK);
	if (tr_ccel_replay(tr_buf_view(&log), q.td.rtmr, &explained, &err))
		fail_msg("%s", err.detail);
	assert_int_equal(explained, 7);
	log.p[32 + log.p[28] + 14] ^= 1; /* the first event's digest */
	assert_int_not_equal(tr_ccel_replay(tr_buf_view(&log), q.td.rtmr, &explained, &err), TR_OK);
}

static void secretvms_rtmr3_is_its_compose_file_and_rootfs(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf compose = TR_BUF_INIT, quote = TR_BUF_INIT;
	uint8_t digest[32], rootfs[32], out[48];
	enum tr_tee_code code;
	struct tr_quote q;
	struct tr_err err;

	(void)state;
	if (!here("tdx4-secretvm-docker-ba87"))
		skip();
	(void)read_one("tdx4-secretvm-docker-ba87", "docker-compose.yaml", true, &compose);
	(void)read_one("tdx4-secretvm-docker-ba87", "quote.bin", true, &quote);
	assert_int_equal(tr_quote_parse(tr_buf_view(&quote), &q, &code, &err), TR_OK);
	assert_true(tr_hex_get(TR_VIEW_LIT("2a6d16965f5ce5143bcba614bb7896cdfc598a71c6e1ecc55efd3d8f74ba7c8a"), rootfs, 32));
	tr_sha256(tr_buf_view(&compose), digest);
	tr_rtmr3_secretvm(digest, rootfs, NULL, out);
	assert_true(tr_view_eq(q.td.rtmr[3], TR_VIEW_ARRAY(out)));
}

static void dstacks_rtmr3_is_its_events(void **state)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_json_free) struct tr_json *events = NULL;
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, quote = TR_BUF_INIT;
	uint8_t rtmr[48] = { 0 };
	enum tr_tee_code code;
	struct tr_view log;
	struct tr_quote q;
	struct tr_err err;
	unsigned n = 0;

	(void)state;
	if (!here("tdx4-dstack-quote-report"))
		skip();
	(void)read_one("tdx4-dstack-quote-report", "orig/quote-report.json", true, &text);
	(void)read_one("tdx4-dstack-quote-report", "quote.bin", true, &quote);
	assert_int_equal(tr_quote_parse(tr_buf_view(&quote), &q, &code, &err), TR_OK);
	assert_int_equal(tr_json_parse(tr_buf_view(&text), &j, &err), TR_OK);
	assert_true(tr_json_str(tr_json_get(tr_json_root(j), "event_log"), &log));
	assert_int_equal(tr_json_parse(log, &events, &err), TR_OK);
	for (size_t i = 0; i < tr_json_len(tr_json_root(events)); i++) {
		tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
		tr_jnode e = tr_json_at(tr_json_root(events), i);
		struct tr_view name, hex;
		uint8_t digest[48];
		int64_t imr;

		if (!tr_json_int(tr_json_get(e, "imr"), &imr) || imr != 3)
			continue;
		assert_true(tr_json_str(tr_json_get(e, "event"), &name));
		assert_true(tr_json_str(tr_json_get(e, "event_payload"), &hex));
		read_hex(hex, &payload);
		tr_rtmr3_dstack_event(name, tr_buf_view(&payload), digest);
		tr_rtmr_extend(rtmr, digest);
		n++;
	}
	assert_true(n >= 5);
	assert_true(tr_view_eq(q.td.rtmr[3], TR_VIEW_ARRAY(rtmr)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shared_case_is_judged_as_expected),
		cmocka_unit_test(every_byte_of_a_real_quote_counts),
		cmocka_unit_test(an_event_log_is_what_the_quote_says_or_nothing),
		cmocka_unit_test(azure_snp_ties_the_key_to_the_report),
		cmocka_unit_test(azure_tdx_ties_the_key_to_the_quote),
		cmocka_unit_test(a_ccel_log_replays_to_the_rtmrs),
		cmocka_unit_test(secretvms_rtmr3_is_its_compose_file_and_rootfs),
		cmocka_unit_test(dstacks_rtmr3_is_its_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
