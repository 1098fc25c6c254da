/* SPDX-License-Identifier: Apache-2.0 */
/* Without memory: each allocation of ours in a verification fails once (cmake/evidence.cmake), and the answer is no or an
 * error, never yes. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "evidence/eventlog.h"
#include "codec/text.h"
#include "evidence/tpm_sample.h"

#include "base/failing_memory.h"

static struct sample s;
static struct tr_buf ek_area, hcl_report;

static bool verify(void)
{
	static struct tr_tee_result r;

	(void)tr_tpm_verify(&s.in, &r, NULL);
	return tr_tee_authentic_and_current(&r) && r.answers[TR_Q_FRESH] == TR_ANSWER_YES;
}

static bool seal(void)
{
	tr_auto(tr_buf_done) struct tr_buf blob = TR_BUF_INIT, secret = TR_BUF_INIT;
	static const uint8_t name[34];
	struct tr_tpm_public ek;
	struct tr_err err;

	if (tr_tpm_public_parse(tr_buf_view(&ek_area), &ek, &err))
		return false;
	ek.aes128_cfb = true;
	return tr_tpm_make_credential(&ek, TR_VIEW_ARRAY(name), TR_VIEW_LIT("secret"), &blob, &secret, &err) == TR_OK;
}

static bool ima(void)
{
	static const char list[] = "10 0000000000000000000000000000000000000000 ima-ng sha1:00 /x\n";
	uint8_t in[64] = { 0 }, pcr[64];
	struct tr_view whole = TR_VIEW_ARRAY(in);
	size_t proven, total;
	struct tr_err err;

	memset(in + 32, 0xff, 32);
	tr_raw_digest(TR_HASH_SHA256, &whole, 1, pcr);
	return tr_ima_replay(tr_view_str(list), TR_HASH_SHA256, tr_view(pcr, 32), &proven, &total, &err) == TR_OK;
}

static bool hcl(void)
{
	tr_auto(tr_raw_key_free) struct tr_raw_key *k = NULL;
	tr_auto(tr_buf_done) struct tr_buf modulus = TR_BUF_INIT;
	struct tr_hcl h;
	struct tr_err err;

	return tr_hcl_parse(tr_buf_view(&hcl_report), &h, &err) == TR_OK && tr_hcl_is_bound(&h) &&
	       tr_hcl_ak(&h, &k, &modulus, &err) == TR_OK;
}

static void no_allocation_is_taken_for_granted(void **state)
{
	static const struct { const char *what; bool (*run)(void); } rows[] = {
		{ "a quote", verify }, { "a credential", seal }, { "an IMA list", ima }, { "an HCL report", hcl },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		unsigned long n = 0;

		if (!rows[i].run())
			fail_msg("%s: does not pass with memory", rows[i].what);
		do {
			bool yes;

			n++;
			failed = false;
			countdown = n;
			yes = rows[i].run();
			countdown = 0;
			if (yes && failed)
				fail_msg("%s: passes without its allocation %lu", rows[i].what, n);
		} while (failed && n < 10000);
		assert_true(n > 1 && n < 10000);
		print_message("%s: %lu allocations\n", rows[i].what, n - 1);
	}
}

/* An SNP report of nothing but its report data, and claims with the attestation key of a TPM of RSA. */
static int make_samples(void **state)
{
	static const char head[] = "{\"keys\":[{\"kid\":\"HCLAkPub\",\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"";
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;
	struct tr_raw_priv *ek = sample_key(TR_RAW_RSA, "ek");
	struct tr_view claims;
	struct tr_tpm_spki k;
	uint8_t digest[64];

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	put_public(&ek_area, ek, 0x000300b2, 0, 0);
	if (!tr_tpm_spki_parse(tr_raw_priv_spki(ek), &k))
		return -1;
	tr_buf_adds(&json, head);
	tr_b64_add(&json, k.modulus, TR_B64_URL);
	tr_buf_adds(&json, "\"}]}");
	claims = tr_buf_view(&json);
	tr_raw_digest(TR_HASH_SHA256, &claims, 1, digest);
	memset(tr_buf_space(&hcl_report, 1236), 0, 1236);
	memcpy(hcl_report.p, "HCLA", 4);
	memcpy(hcl_report.p + 32 + 0x50, digest, 32);
	hcl_report.p[1216 + 8] = 2;
	hcl_report.p[1216 + 12] = 1;
	hcl_report.p[1216 + 16] = (uint8_t)json.n;
	hcl_report.p[1216 + 17] = (uint8_t)(json.n >> 8);
	tr_buf_addv(&hcl_report, claims);
	ek = tr_raw_priv_free(ek);
	return tr_buf_ok(&hcl_report) ? 0 : -1;
}

static int drop_samples(void **state)
{
	(void)state;
	sample_done(&s);
	tr_buf_done(&ek_area);
	tr_buf_done(&hcl_report);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(no_allocation_is_taken_for_granted) };

	return cmocka_run_group_tests(tests, make_samples, drop_samples);
}
