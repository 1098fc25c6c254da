/* SPDX-License-Identifier: Apache-2.0 */
/* What the verification of evidence costs, in CPU time of this thread, beside the signature checks that it cannot avoid: both
 * are measured in turns in one run, and medians count. The simulated vendor makes the cases, with everything signed anew.
 * Prints NAME=VALUE lines; *_ratio is the time over that of the bare signature checks, *_us microseconds. */
#include "base/file.h"
#include "evidence/sim.h"
#include "evidence/tpm_sample.h"

#include <stdio.h>
#include <time.h>

#define TURNS 25
#define TURN_US 8000.0 /* of one turn, about */

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "verify: %s\n", what);
	exit(1);
}

static int64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* One operation under measurement. */
struct op {
	void (*run)(void *arg);
	void *arg;
	unsigned each; /* runs in a turn */
	double us[TURNS];
};

static double turn(const struct op *o)
{
	int64_t from = cpu_ns();

	for (unsigned i = 0; i < o->each; i++)
		o->run(o->arg);
	return (double)(cpu_ns() - from) / 1000 / o->each;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const struct op *o)
{
	double us[TURNS];

	memcpy(us, o->us, sizeof(us));
	qsort(us, TURNS, sizeof(us[0]), by_size);
	return us[TURNS / 2];
}

/* All of them, taking turns. */
static void measure(struct op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		double once;

		ops[i].each = 1;
		(void)turn(&ops[i]);
		once = turn(&ops[i]);
		ops[i].each = (unsigned)(TURN_US / (once > 1 ? once : 1)) + 1;
	}
	for (unsigned t = 0; t < TURNS; t++)
		for (size_t i = 0; i < n; i++)
			ops[i].us[t] = turn(&ops[i]);
}

/* ---- bare signature checks ---- */

struct bare {
	struct tr_raw_key *key;
	enum tr_raw_hash hash;
	struct tr_view msg, r, s;
};

static void run_bare(void *arg)
{
	const struct bare *b = arg;
	struct tr_err err;

	must(tr_raw_verify_ecdsa(b->key, b->hash, &b->msg, 1, b->r, b->s, &err) == TR_OK, "a bare signature is bad");
}

/* ---- Intel ---- */

struct intel {
	struct tr_sim_case made;
	struct tr_view root;
	struct tr_dcap_in in;
	struct tr_tee_result result;
	struct tr_quote quote;
};

static void run_intel(void *arg)
{
	struct intel *c = arg;

	tr_dcap_verify(&c->in, &c->result, NULL);
	must(tr_tee_authentic_and_current(&c->result) && c->result.answers[TR_Q_FRESH] == TR_ANSWER_YES &&
		     c->result.tcb_status == TR_TCB_UP_TO_DATE, "a good quote is refused");
}

static void make_intel(struct tr_sim *s, enum tr_tee_kind kind, struct intel *c)
{
	struct tr_sim_spec spec;
	struct tr_err err;
	enum tr_tee_code code;

	tr_sim_spec(kind, &spec);
	memset(spec.report_data, 0xd7, sizeof(spec.report_data));
	must(tr_sim_make(s, &spec, &c->made, &err) == TR_OK, "no simulated case");
	c->root = tr_buf_view(&c->made.root_spki);
	c->in = (struct tr_dcap_in){ .quote = tr_buf_view(&c->made.quote), .kind = kind, .c = tr_sim_collateral(&c->made),
				     .roots = &c->root, .n_roots = 1, .when = { .now = TR_SIM_TIME } };
	must(tr_quote_parse(c->in.quote, &c->quote, &code, &err) == TR_OK, "the quote does not parse");
	c->in.report_data = kind == TR_TEE_TDX ? c->quote.td.report_data : c->quote.sgx.report_data;
}

/* There are ten verifications for a quote with its collateral, two when collateral and PCK chain are known. */
static void intel(struct tr_sim *s, enum tr_tee_kind kind, const char *name)
{
	static struct intel full, cached;
	tr_auto(tr_dcap_cache_free) struct tr_dcap_cache *cache = tr_dcap_cache_new(8);
	struct bare b = { .hash = TR_HASH_SHA256 };
	struct op ops[] = { { .run = run_bare, .arg = &b }, { .run = run_intel, .arg = &full },
			    { .run = run_intel, .arg = &cached } };
	struct tr_err err;

	make_intel(s, kind, &full);
	make_intel(s, kind, &cached);
	cached.in.cache = cache;
	b.msg = full.quote.signed_bytes;
	b.r = tr_view(full.quote.sig.p, 32);
	b.s = tr_view(full.quote.sig.p + 32, 32);
	must(tr_raw_key_ec(TR_RAW_P256, full.quote.att_key, &b.key, &err) == TR_OK, "no key");
	measure(ops, TR_ARRAY_LEN(ops));
	printf("verify_%s_p256_us=%.2f\n", name, median(&ops[0]));
	printf("verify_%s_full_us=%.2f\n", name, median(&ops[1]));
	printf("verify_%s_full_ratio=%.3f\n", name, median(&ops[1]) / (10 * median(&ops[0])));
	printf("verify_%s_full_per_s=%.0f\n", name, 1e6 / median(&ops[1]));
	printf("verify_%s_cached_us=%.2f\n", name, median(&ops[2]));
	printf("verify_%s_cached_ratio=%.3f\n", name, median(&ops[2]) / (2 * median(&ops[0])));
	printf("verify_%s_cached_per_s=%.0f\n", name, 1e6 / median(&ops[2]));
	(void)tr_raw_key_free(b.key);
	tr_sim_case_done(&full.made);
	tr_sim_case_done(&cached.made);
}

/* ---- AMD ---- */

struct amd {
	struct tr_sim_case made;
	struct tr_view root;
	struct tr_snp_in in;
	struct tr_tee_result result;
};

static void run_amd(void *arg)
{
	struct amd *c = arg;

	tr_snp_verify(&c->in, &c->result, NULL);
	must(tr_tee_authentic_and_current(&c->result) && c->result.answers[TR_Q_FRESH] == TR_ANSWER_YES,
	     "a good report is refused");
}

struct bare_rsa {
	struct tr_x_cert cert;
	struct tr_raw_key *key;
};

static void run_bare_rsa(void *arg)
{
	const struct bare_rsa *b = arg;
	struct tr_err err;

	must(tr_x_verify(b->cert.sig_alg, b->cert.tbs, b->cert.sig, b->key, &err) == TR_OK, "a bare signature is bad");
}

static void make_amd(struct tr_sim *s, struct amd *c, struct tr_snp_report *ret)
{
	struct tr_sim_spec spec;
	enum tr_tee_code code;
	struct tr_err err;

	tr_sim_spec(TR_TEE_SNP, &spec);
	must(tr_sim_make(s, &spec, &c->made, &err) == TR_OK, "no simulated case");
	c->root = tr_buf_view(&c->made.root_spki);
	c->in = (struct tr_snp_in){ .report = tr_buf_view(&c->made.quote), .vek = tr_buf_view(&c->made.vek),
				    .ask = tr_buf_view(&c->made.ask), .ark = tr_buf_view(&c->made.ark),
				    .crl = tr_buf_view(&c->made.crl), .roots = &c->root, .n_roots = 1,
				    .when = { .now = TR_SIM_TIME } };
	must(tr_snp_parse(c->in.report, ret, &code, &err) == TR_OK, "the report does not parse");
	c->in.report_data = ret->report_data;
}

/* What cannot be avoided: the report's P-384 and the RSA-4096 of ARK, ASK, VEK and list; the report's alone when the rest is
 * known by digest. */
static void amd(struct tr_sim *s)
{
	static struct amd full, cached;
	tr_auto(tr_snp_cache_free) struct tr_snp_cache *cache = tr_snp_cache_new(64);
	struct bare p384 = { .hash = TR_HASH_SHA384 };
	struct bare_rsa rsa = { .key = NULL };
	struct op ops[] = { { .run = run_bare, .arg = &p384 }, { .run = run_bare_rsa, .arg = &rsa },
			    { .run = run_amd, .arg = &full }, { .run = run_amd, .arg = &cached } };
	struct tr_snp_report r;
	struct tr_x_cert vek;
	uint8_t be[2][48];
	struct tr_err err;
	double bare;

	make_amd(s, &full, &r);
	make_amd(s, &cached, &r);
	cached.in.cache = cache;
	for (size_t i = 0; i < 48; i++) {
		be[0][i] = r.r.p[47 - i];
		be[1][i] = r.s.p[47 - i];
	}
	p384.msg = r.signed_bytes;
	p384.r = TR_VIEW_ARRAY(be[0]);
	p384.s = TR_VIEW_ARRAY(be[1]);
	must(tr_x_cert_parse(cached.in.vek, &vek, &err) == TR_OK && tr_x_cert_key(&vek, &p384.key, &err) == TR_OK, "no VEK");
	must(tr_x_cert_parse(cached.in.ark, &rsa.cert, &err) == TR_OK && tr_x_cert_key(&rsa.cert, &rsa.key, &err) == TR_OK,
	     "no ARK");
	measure(ops, TR_ARRAY_LEN(ops));
	bare = median(&ops[0]) + 4 * median(&ops[1]);
	printf("verify_snp_p384_us=%.2f\n", median(&ops[0]));
	printf("verify_snp_rsa4096_us=%.2f\n", median(&ops[1]));
	printf("verify_snp_full_us=%.2f\n", median(&ops[2]));
	printf("verify_snp_full_ratio=%.3f\n", median(&ops[2]) / bare);
	printf("verify_snp_full_per_s=%.0f\n", 1e6 / median(&ops[2]));
	printf("verify_snp_cached_us=%.2f\n", median(&ops[3]));
	printf("verify_snp_cached_ratio=%.3f\n", median(&ops[3]) / median(&ops[0]));
	printf("verify_snp_cached_per_s=%.0f\n", 1e6 / median(&ops[3]));
	(void)tr_raw_key_free(p384.key);
	(void)tr_raw_key_free(rsa.key);
	tr_sim_case_done(&full.made);
	tr_sim_case_done(&cached.made);
}

/* ---- TPM ---- */

struct tpm {
	struct sample sample;
	struct tr_tee_result result;
};

static void run_tpm(void *arg)
{
	struct tpm *t = arg;

	(void)tr_tpm_verify(&t->sample.in, &t->result, NULL);
	must(tr_tee_authentic_and_current(&t->result) && t->result.answers[TR_Q_FRESH] == TR_ANSWER_YES,
	     "a good TPM quote is refused");
}

/* What cannot be avoided: the one signature of the attestation key. */
static void tpm(void)
{
	static struct tpm t;
	struct bare b = { .hash = TR_HASH_SHA256 };
	struct op ops[] = { { .run = run_bare, .arg = &b }, { .run = run_tpm, .arg = &t } };
	struct tr_tpm_signature sig;
	enum tr_tee_code code;
	struct tr_err err;

	sample_make(&t.sample, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	b.msg = t.sample.in.attest;
	must(tr_tpm_signature_parse(t.sample.in.signature, &sig, &code, &err) == TR_OK, "no signature");
	b.r = sig.r;
	b.s = sig.s;
	must(tr_raw_key_ec(TR_RAW_P256, tr_raw_priv_point(t.sample.ak), &b.key, &err) == TR_OK, "no key");
	measure(ops, TR_ARRAY_LEN(ops));
	printf("verify_tpm_p256_us=%.2f\n", median(&ops[0]));
	printf("verify_tpm_us=%.2f\n", median(&ops[1]));
	printf("verify_tpm_ratio=%.3f\n", median(&ops[1]) / median(&ops[0]));
	printf("verify_tpm_per_s=%.0f\n", 1e6 / median(&ops[1]));
	(void)tr_raw_key_free(b.key);
	sample_done(&t.sample);
}

int main(void)
{
	tr_auto(tr_sim_free) struct tr_sim *s = NULL;
	struct tr_err err;

	must(tr_sim_new(NULL, &s, &err) == TR_OK, "no simulated vendor");
	intel(s, TR_TEE_TDX, "tdx4");
	intel(s, TR_TEE_SGX, "sgx3");
	amd(s);
	tpm();
	return 0;
}
