/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: 0 a TPMS_ATTEST, 1 a TPMT_SIGNATURE, 2 a public area, 3 an HCL report, 4 PCR values, 5 an SPKI, 6 a quote and
 * all around it, in parts of which the first two bytes are the length. What is read lies inside of the input; whatever comes,
 * nothing is authentic where nobody vouches for the key. */
#include "codec/codec_fuzz.h"
#include "evidence/tpm_inner.h"

static void attest(struct tr_view in)
{
	enum tr_tee_code code = TR_TEEC_LIMIT;
	struct tr_tpm_attest a;
	struct tr_err err;

	if (tr_tpm_attest_parse(in, &a, &code, &err)) {
		MUST(code != TR_TEEC_OK && code != TR_TEEC_LIMIT);
		return;
	}
	MUST(code == TR_TEEC_OK && a.signed_bytes.n == in.n && a.n_selections <= TR_TPM_BANKS_MAX);
	MUST(is_inside(a.qualified_signer, in) && is_inside(a.extra_data, in) && is_inside(a.pcr_digest, in));
	MUST(!memcmp(in.p, "\xff\x54\x43\x47\x80\x18", 6));
	for (size_t i = 0; i < a.n_selections; i++)
		MUST(a.selections[i].pcrs && !(a.selections[i].pcrs >> 24) && tr_raw_hash_len(a.selections[i].bank));
}

static void signature(struct tr_view in)
{
	enum tr_tee_code code = TR_TEEC_LIMIT;
	struct tr_tpm_signature s;
	struct tr_err err;

	if (tr_tpm_signature_parse(in, &s, &code, &err)) {
		MUST(code == TR_TEEC_TPM_FORMAT || code == TR_TEEC_TPM_SCHEME);
		return;
	}
	MUST(is_inside(s.rsa, in) && is_inside(s.r, in) && is_inside(s.s, in) && s.hash >= TR_HASH_SHA256);
	MUST((s.scheme == TPM_ALG_ECDSA) == !s.rsa.p);
}

static void public_area(struct tr_view in)
{
	struct tr_tpm_public p;
	struct tr_err err;

	if (tr_tpm_public_parse(in, &p, &err))
		return;
	MUST(is_inside(p.tpmt, in) && is_inside(p.modulus, in) && p.name_len > 2 && p.name_len <= sizeof(p.name));
	MUST((p.type == TR_RAW_RSA) == (p.point_len == 0) && p.point_len <= sizeof(p.xy));
	MUST(!(tr_tpm_public_is_ak(&p) && tr_tpm_public_is_ek(&p)));
	MUST(in.n - p.tpmt.n == 0 || in.n - p.tpmt.n == 2);
}

static void hcl(struct tr_view in)
{
	tr_auto(tr_raw_key_free) struct tr_raw_key *k = NULL;
	tr_auto(tr_buf_done) struct tr_buf modulus = TR_BUF_INIT;
	struct tr_hcl h;
	struct tr_err err;

	if (tr_hcl_parse(in, &h, &err))
		return;
	MUST(is_inside(h.json, in) && is_inside(h.hw_report, in) && is_inside(h.report_data, h.hw_report));
	MUST(h.report_data.n == 64 && tr_raw_hash_len(h.hash));
	(void)tr_hcl_is_bound(&h);
	if (tr_hcl_ak(&h, &k, &modulus, &err) == TR_OK)
		MUST(k && tr_raw_key_type(k) == TR_RAW_RSA && modulus.n >= 256);
}

static void pcrs(struct tr_view in)
{
	struct tr_tpm_pcr got[96];
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err;
	bool empty_bank = false;
	size_t n;

	if (tr_tpm_pcrs_get(in, got, 96, &n, &err))
		return;
	tr_tpm_pcrs_put(got, n, &b);
	for (size_t i = 0; i + 1 < in.n; i++)
		empty_bank |= in.p[i] == 0xa0;
	MUST(empty_bank || tr_view_eq(tr_buf_view(&b), in) || in.p[in.n - 1] == 0xa0);
}

static void spki(struct tr_view in)
{
	struct tr_tpm_spki s;

	if (tr_tpm_spki_parse(in, &s))
		MUST(is_inside(s.point, in) && is_inside(s.modulus, in) && (s.type == TR_RAW_RSA) == !s.point.n);
}

static struct tr_view part(struct tr_view *in)
{
	struct tr_be r = tr_be(*in);
	struct tr_view v = tr_be_sized(&r);

	if (r.bad)
		v = tr_view(NULL, 0);
	else
		*in = tr_view(r.p, r.n);
	return v;
}

static void whole(struct tr_view in)
{
	static struct tr_tee_result r;
	struct tr_tpm_pcr got[96];
	struct tr_tpm_in q = { .attest = part(&in), .signature = part(&in), .ak_public = part(&in), .ak_spki = part(&in) };
	struct tr_view values = part(&in);
	struct tr_err err;

	if (tr_tpm_pcrs_get(values, got, 96, &q.n_pcrs, &err))
		q.n_pcrs = 0;
	q.pcrs = got;
	q.ak_cert = part(&in);
	q.ek_public = part(&in);
	q.event_log = part(&in);
	q.ima_log = part(&in);
	q.hcl_report = part(&in);
	q.trusted_by = TR_AK_HCL;
	(void)tr_tpm_verify(&q, &r, NULL);
	MUST(r.n_checks > 0 && r.n_checks < TR_TEE_CHECKS_MAX && r.kind == TR_TEE_TPM);
	MUST(r.answers[TR_Q_AUTHENTIC] != TR_ANSWER_NOT_ASKED);
	/* Only a report whose data is the hash of claims that name this key passes: that one is in the corpus. */
	if (tr_tee_authentic_and_current(&r))
		MUST(q.hcl_report.n > 1216);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const modes[])(struct tr_view in) = { attest, signature, public_area, hcl, pcrs, spki, whole };

	if (size)
		modes[data[0] % TR_ARRAY_LEN(modes)](tr_view(data + 1, size - 1));
	return 0;
}
