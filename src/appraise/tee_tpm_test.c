/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of policy on TPM quotes made by hand; and, where ../shared is, the whole chain of an Azure machine: hardware report,
 * HCL report, attestation key, quote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "appraise/tee.h"
#include "base/file.h"
#include "codec/json.h"
#include "codec/text.h"
#include "evidence/tpm_sample.h"

#define NOW INT64_C(1780272000)
#define V0 "0000000000000000000000000000000000000000000000000000000000000000"
#define V4 "0404040404040404040404040404040404040404040404040404040404040404"
#define V7 "0707070707070707070707070707070707070707070707070707070707070707"
#define V9 "0909090909090909090909090909090909090909090909090909090909090909"
#define OTHER "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static const uint8_t challenge[32] = "a challenge of thirty-two bytes";
static const uint8_t spki[44] = { 0x30, 0x2a, 5 };
static struct tr_raw_priv *ak, *other_ak;
static struct tr_tee_verdict verdict;

/* What the evidence is like; each row changes something. */
struct shape {
	uint32_t pcrs;           /* of SHA-256; 0: 0 to 9 */
	bool sha1;               /* quote that bank instead */
	uint32_t attributes;     /* of the AK; 0: as it must be */
	bool other_name;         /* the server knows another AK */
	bool unknown;            /* the server knows none */
	enum tr_tpm_ak_trust trust;
	bool other_nonce, changed_pcr;
};

struct world {
	struct tr_buf attest, signature, area, pcrs;
	struct sample_pcrs values;
	struct tr_tpm_public public_area;
	uint8_t nonce[32];
	struct tr_tee_policy *policy;
	struct tr_tee_in in;
};

static void world_done(struct world *w)
{
	tr_buf_done(&w->attest);
	tr_buf_done(&w->signature);
	tr_buf_done(&w->area);
	tr_buf_done(&w->pcrs);
	w->policy = tr_tee_policy_free(w->policy);
}
TR_DEFINE_AUTO_DONE(struct world, world_done)

static void prepare(struct world *w, const struct shape *s, const char *section, const char *roots)
{
	struct sample_quote q = { .magic = 0xff544347, .type = 0x8018, .clock = 1, .n = 1, .hash = TR_HASH_SHA256 };
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	uint8_t signer[66];
	struct tr_err err = { 0 };
	size_t n;

	*w = (struct world){ 0 };
	sample_pcrs(&w->values);
	put_public(&w->area, s->other_name ? other_ak : ak, s->attributes ? s->attributes : SAMPLE_AK, TPM_ALG_ECDSA,
		   TPM_ALG_SHA256);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&w->area), &w->public_area, &err), TR_OK);
	if (s->other_name) {
		tr_buf_clear(&w->area);
		put_public(&w->area, ak, SAMPLE_AK, TPM_ALG_ECDSA, TPM_ALG_SHA256);
	}
	{
		struct tr_tpm_public mine;

		assert_int_equal(tr_tpm_public_parse(tr_buf_view(&w->area), &mine, &err), TR_OK);
		tr_tpm_public_qualified(&mine, tr_view(NULL, 0), signer, &n);
	}
	tr_rd_troth_tpm(TR_VIEW_ARRAY(challenge), TR_VIEW_ARRAY(spki), w->nonce);
	w->nonce[31] ^= s->other_nonce;
	q.signer = tr_view(signer, n);
	q.nonce = TR_VIEW_ARRAY(w->nonce);
	q.sel[0].alg = s->sha1 ? TPM_ALG_SHA1 : TPM_ALG_SHA256;
	q.sel[0].pcrs = s->pcrs ? s->pcrs : 0x3ff;
	q.pcrs = w->values.pcrs;
	q.n_pcrs = 48;
	put_attest(&w->attest, &q);
	put_signature(&w->signature, ak, TPM_ALG_ECDSA, TPM_ALG_SHA256, tr_buf_view(&w->attest));
	if (s->changed_pcr)
		w->values.values[7][0] ^= 1;
	tr_tpm_pcrs_put(w->values.pcrs, 48, &w->pcrs);
	tr_buf_addf(&text, "name: p\nagent_types: ['*']\nevidence: [tpm]\nroots: %s\ntpm:\n%s", roots ? roots : "[tpm]", section);
	if (tr_tee_policy_parse(tr_buf_view(&text), &w->policy, &err))
		fail_msg("%s\n%s", tr_buf_cstr(&text), err.detail);
	w->in = (struct tr_tee_in){ .set = { .kind = TR_TEE_TPM, .quote = tr_buf_view(&w->attest),
					     .signature = tr_buf_view(&w->signature), .ak_public = tr_buf_view(&w->area),
					     .pcrs = tr_buf_view(&w->pcrs) },
				    .policy = w->policy, .now = NOW, .challenge = TR_VIEW_ARRAY(challenge),
				    .spki = TR_VIEW_ARRAY(spki) };
	if (!s->unknown) {
		w->in.ak_trusted_by = s->trust ? s->trust : TR_AK_ACTIVATED;
		w->in.ak_name = tr_view(w->public_area.name, w->public_area.name_len);
	}
}

#define GOOD "  pcrs: {0: " V0 ", 7: " V7 "}\n"
#define IMAGES "  images:\n    - {name: a, pcrs: {4: " V4 ", 9: " OTHER "}}\n    - {name: b, pcrs: {4: " OTHER ", 9: " V9 "}}\n"
static const struct {
	const char *label;
	struct shape shape;
	const char *section;
	enum tr_tee_code code;
} rows[] = {
	{ "PCRs as the policy says", { 0 }, GOOD, TR_TEEC_OK },
	{ "one of two values", { 0 }, "  pcrs: {7: [" OTHER ", " V7 "]}\n", TR_TEEC_OK },
	{ "another value", { 0 }, "  pcrs: {7: " OTHER "}\n", TR_TEEC_PCR },
	{ "18: selection smaller than asked", { .pcrs = 0x7f }, GOOD, TR_TEEC_PCR },
	{ "18: values that were not quoted", { .changed_pcr = true }, GOOD, TR_TEEC_TPM_PCR_DIGEST },
	{ "an image as a whole", { 0 }, "  images: [{name: i, pcrs: {4: " V4 ", 9: " V9 "}}]\n", TR_TEEC_OK },
	{ "14: PCRs of two images", { 0 }, IMAGES, TR_TEEC_PCR },
	{ "PCRs for all, and an image", { 0 }, GOOD IMAGES, TR_TEEC_PCR },
	{ "18: the SHA-1 bank", { .sha1 = true }, GOOD, TR_TEEC_TPM_BANK_SHA1 },
	{ "the SHA-1 bank, by name", { .sha1 = true }, "  bank: sha1\n  pcrs: {7: 0707070707070707070707070707070707070707}\n", TR_TEEC_OK },
	{ "SHA-256 where SHA-1 is the policy's", { 0 }, "  bank: sha1\n  pcrs: {7: 0707070707070707070707070707070707070707}\n", TR_TEEC_PCR },
	{ "18: AK not restricted", { .attributes = 0x00040072 }, GOOD, TR_TEEC_TPM_AK },
	{ "a key that nobody knows", { .unknown = true }, GOOD, TR_TEEC_TPM_AK_TRUST },
	{ "another key than the known one", { .other_name = true }, GOOD, TR_TEEC_TPM_AK_TRUST },
	{ "a key that is only remembered", { .trust = TR_AK_PINNED }, GOOD, TR_TEEC_TPM_AK_TRUST },
	{ "a key that is only remembered, accepted", { .trust = TR_AK_PINNED }, "  ak: [pinned]\n" GOOD, TR_TEEC_OK },
	{ "an activated key where a certificate is demanded", { 0 }, "  ak: [certificate]\n" GOOD, TR_TEEC_TPM_AK_TRUST },
	{ "another challenge", { .other_nonce = true }, GOOD, TR_TEEC_REPORT_DATA },
	{ "no event log", { 0 }, "  event_log: require\n" GOOD, TR_TEEC_TPM_EVENT_LOG },
	{ "no IMA list", { 0 }, "  ima: require\n" GOOD, TR_TEEC_TPM_IMA },
};

static void explain(void)
{
	for (size_t i = 0; i < verdict.ev.n_checks; i++)
		if (verdict.ev.checks[i].code != TR_TEEC_OK)
			print_error("  %s: expected %s, seen %s\n", verdict.ev.checks[i].name, verdict.ev.checks[i].expected,
				    verdict.ev.checks[i].seen);
}

static void every_rule_of_policy_is_applied(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(world_done) struct world w;

		prepare(&w, &rows[i].shape, rows[i].section, NULL);
		tr_tee_appraise(&w.in, &verdict);
		if (verdict.ev.first != rows[i].code || verdict.ok != (rows[i].code == TR_TEEC_OK)) {
			explain();
			fail_msg("%s: %s", rows[i].label, tr_tee_code_info(verdict.ev.first)->slug);
		}
		assert_true(!verdict.ok || verdict.compared);
	}
}

/* A key that is remembered, or that a TPM without its maker's certificate activated, may be a program's. */
static void the_tier_says_what_was_proven(void **state)
{
	tr_auto(world_done) struct world w, p;

	(void)state;
	prepare(&w, &(struct shape){ 0 }, GOOD, NULL);
	tr_tee_appraise(&w.in, &verdict);
	assert_true(verdict.ok);
	assert_int_equal(verdict.tier, TR_TIER_SELF_ASSERTED);
	prepare(&p, &(struct shape){ .trust = TR_AK_PINNED }, "  ak: [pinned]\n" GOOD, NULL);
	tr_tee_appraise(&p.in, &verdict);
	assert_true(verdict.ok);
	assert_int_equal(verdict.tier, TR_TIER_SELF_ASSERTED);
}

static void a_changed_pcr_is_named(void **state)
{
	tr_auto(world_done) struct world w;
	bool named = false;

	(void)state;
	prepare(&w, &(struct shape){ 0 }, "  pcrs: {0: " V0 ", 7: " OTHER "}\n", NULL);
	tr_tee_appraise(&w.in, &verdict);
	for (size_t i = 0; i < verdict.ev.n_checks; i++)
		named = named || (verdict.ev.checks[i].code == TR_TEEC_PCR && strstr(verdict.ev.checks[i].expected, "PCR 7 ") &&
				  strcmp(verdict.ev.checks[i].seen, V7) == 0);
	assert_true(named);
}

static void what_cannot_be_read_is_refused(void **state)
{
	tr_auto(world_done) struct world w;

	(void)state;
	prepare(&w, &(struct shape){ 0 }, GOOD, NULL);
	w.in.set.pcrs = TR_VIEW_LIT("\x01");
	tr_tee_appraise(&w.in, &verdict);
	assert_int_equal(verdict.ev.first, TR_TEEC_TPM_FORMAT);
	w.in.set.pcrs = tr_view(NULL, 0);
	tr_tee_appraise(&w.in, &verdict);
	assert_false(verdict.ok);
	w.in.set.pcrs = tr_buf_view(&w.pcrs);
	w.in.set.ak_public = tr_view(NULL, 0);
	tr_tee_appraise(&w.in, &verdict);
	assert_false(verdict.ok);
	w.in.set.ak_public = tr_buf_view(&w.area);
	w.in.set.quote = TR_VIEW_LIT("\xff" "TCG");
	tr_tee_appraise(&w.in, &verdict);
	assert_int_equal(verdict.reason, TR_R_EVIDENCE_NOT_AUTHENTIC);
}

/* ---- Azure ---- */

#define AZURE "../shared/evidence/tpm-az-snp-v1/"
#define ANCHORS "../shared/evidence/reference-anchors/"

static void read_file(const char *path, struct tr_buf *ret)
{
	struct tr_err err;

	if (tr_file_read(path, 1 << 20, ret, &err))
		fail_msg("%s: %s", path, err.detail);
}

static void read_pcrs(tr_jnode bank, struct tr_buf *ret)
{
	struct tr_tpm_pcr pcrs[24];
	uint8_t values[24][32];
	char name[4];

	for (unsigned i = 0; i < 24; i++) {
		struct tr_view hex;

		(void)snprintf(name, sizeof(name), "%u", i);
		assert_true(tr_json_str(tr_json_get(bank, name), &hex) && tr_hex_get(hex, values[i], 32));
		pcrs[i] = (struct tr_tpm_pcr){ TR_HASH_SHA256, i, TR_VIEW_ARRAY(values[i]) };
	}
	tr_tpm_pcrs_put(pcrs, 24, ret);
}

static void hardware_behind_an_hcl_report_is_judged_too(void **state)
{
	static const struct { const char *label, *policy; enum tr_tee_code code; } cases[] = {
		{ "whole chain", "roots: [amd]\n", TR_TEEC_OK },
		{ "hardware is demanded, and is there", "roots: [amd]\nmin_tier: hardware\n", TR_TEEC_OK },
		{ "AMD is not trusted", "roots: [intel]\n", TR_TEEC_CHAIN_ROOT },
		{ "its VMPL", "roots: [amd]\nsnp: {vmpl: [2]}\n", TR_TEEC_VMPL },
		{ "its measurement", "roots: [amd]\nsnp: {images: [{name: x, measurement: '000102030405060708090a0b0c0d0e0f"
		  "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f'}]}\n", TR_TEEC_MEASUREMENT },
		{ "keys by certificate only", "roots: [amd]\ntpm: {ak: [certificate]}\n", TR_TEEC_TPM_AK },
	};
	struct tr_buf files[7] = { 0 }, stores[2] = { 0 }, tpmt = TR_BUF_INIT, pcrs = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	static const char *const paths[] = { AZURE "quote.msg", AZURE "quote.sig", AZURE "hcl_report.bin", AZURE "vcek.der",
					     ANCHORS "amd_ask_milan.pem", ANCHORS "amd_ark_milan.pem", AZURE "pcrs.json" };
	struct tr_bundle_entry items[4];
	struct tr_bundle bundle = { .items = items };
	struct tr_err err = { 0 };
	size_t n;

	(void)state;
	if (!tr_file_exists(paths[0]) || !tr_file_exists(paths[4])) {
		print_message("skipped: no ../shared/evidence beside this repository\n");
		skip();
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(paths); i++)
		read_file(paths[i], &files[i]);
	assert_int_equal(tr_json_parse(tr_buf_view(&files[6]), &j, &err), TR_OK);
	read_pcrs(tr_json_get(tr_json_root(j), "sha256"), &pcrs);
	put_be(&tpmt, TPM_ALG_RSASSA, 2);
	put_be(&tpmt, TPM_ALG_SHA256, 2);
	put_sized(&tpmt, tr_buf_view(&files[1]));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(tr_bundle_import(tr_buf_view(&files[4 + i]), &stores[i], items + bundle.n, 2, &n, &err),
				 TR_OK);
		bundle.n += n;
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_tee_policy_free) struct tr_tee_policy *p = NULL;
		tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, modulus = TR_BUF_INIT, area = TR_BUF_INIT;
		tr_auto(tr_raw_key_free) struct tr_raw_key *key = NULL;
		struct tr_tee_in in = { .bundle = &bundle, .now = 1756728000, .report_data = TR_VIEW_LIT("challenge") };
		struct tr_hcl h;

		assert_int_equal(tr_hcl_parse(tr_buf_view(&files[2]), &h, &err), TR_OK);
		assert_int_equal(tr_hcl_ak(&h, &key, &modulus, &err), TR_OK);
		/* The HCL report has the key as JWK; an agent sends the public area, of which only the key is in it. */
		put_be(&area, TPM_ALG_RSA, 2);
		put_be(&area, TPM_ALG_SHA256, 2);
		put_be(&area, SAMPLE_AK, 4);
		put_be(&area, 0, 2);
		put_be(&area, TPM_ALG_NULL, 2);
		put_be(&area, TPM_ALG_RSASSA, 2);
		put_be(&area, TPM_ALG_SHA256, 2);
		put_be(&area, 2048, 2);
		put_be(&area, 0, 4);
		put_sized(&area, tr_buf_view(&modulus));
		tr_buf_addf(&text, "name: az\nagent_types: ['*']\nevidence: [tpm]\nmeasurements: any\n%s", cases[i].policy);
		if (tr_tee_policy_parse(tr_buf_view(&text), &p, &err))
			fail_msg("%s", err.detail);
		in.policy = p;
		in.set = (struct tr_tee_set){ .kind = TR_TEE_TPM, .quote = tr_buf_view(&files[0]),
					      .signature = tr_buf_view(&tpmt), .ak_public = tr_buf_view(&area),
					      .hcl_report = tr_buf_view(&files[2]), .pcrs = tr_buf_view(&pcrs),
					      .hcl_hw = tr_buf_view(&files[3]) };
		tr_tee_appraise(&in, &verdict);
		if (cases[i].code == TR_TEEC_OK ? !verdict.ok : verdict.ok) {
			explain();
			fail_msg("%s: %s", cases[i].label, tr_tee_code_info(verdict.ev.first)->slug);
		}
		if (cases[i].code == TR_TEEC_OK)
			assert_int_equal(verdict.tier, TR_TIER_HARDWARE);
		else if (cases[i].code != TR_TEEC_TPM_AK) {
			bool found = false;

			for (size_t k = 0; k < verdict.ev.n_checks; k++)
				found = found || verdict.ev.checks[k].code == cases[i].code;
			if (!found)
				fail_msg("%s: no line says so", cases[i].label);
		}
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(files); i++)
		tr_buf_done(&files[i]);
	tr_buf_done(&stores[0]);
	tr_buf_done(&stores[1]);
	tr_buf_done(&tpmt);
	tr_buf_done(&pcrs);
}

static int begin(void **state)
{
	struct tr_err err;

	(void)state;
	return tr_raw_priv_ec(TR_RAW_P256, TR_VIEW_LIT("a seed"), "ak", &ak, &err) != TR_OK ||
	       tr_raw_priv_ec(TR_RAW_P256, TR_VIEW_LIT("a seed"), "other", &other_ak, &err) != TR_OK;
}

static int end(void **state)
{
	(void)state;
	ak = tr_raw_priv_free(ak);
	other_ak = tr_raw_priv_free(other_ak);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_of_policy_is_applied),
		cmocka_unit_test(the_tier_says_what_was_proven),
		cmocka_unit_test(a_changed_pcr_is_named),
		cmocka_unit_test(what_cannot_be_read_is_refused),
		cmocka_unit_test(hardware_behind_an_hcl_report_is_judged_too),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
