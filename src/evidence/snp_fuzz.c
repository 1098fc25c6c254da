/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: 0 a report, 1 a certificate table, 2 a VEK, 3 report and table together. What is read lies inside of the input
 * and holds what the layout demands; whatever comes, nothing is authentic where no root is trusted. */
#include "codec/codec_fuzz.h"
#include "evidence/snp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void report(struct tr_view in)
{
	enum tr_tee_code code = TR_TEEC_LIMIT;
	struct tr_snp_report r;
	struct tr_snp_tcb t;
	struct tr_err err;

	if (tr_snp_parse(in, &r, &code, &err)) {
		MUST(code != TR_TEEC_OK && code != TR_TEEC_LIMIT);
		return;
	}
	MUST(code == TR_TEEC_OK && in.n == TR_SNP_REPORT_LEN);
	MUST(r.version >= 2 && r.version <= 5 && r.signing_key <= 1 && r.signature_algo == 1);
	MUST(is_inside(r.chip_id, in) && is_inside(r.s, in) && r.signed_bytes.n == 0x2a0);
	MUST(r.version > 2 || tr_snp_product_of(&r) == TR_SNP_UNKNOWN);
	for (unsigned p = 0; p < TR_SNP_PRODUCT_N; p++)
		tr_snp_tcb_read((enum tr_snp_product)p, r.reported_tcb, &t);
}

static void table(struct tr_view in)
{
	struct tr_snp_certs c;
	struct tr_err err;

	if (tr_snp_certs_parse(in, &c, &err))
		return;
	MUST(!c.vcek.n || is_inside(c.vcek, in));
	MUST(!c.vlek.n || is_inside(c.vlek, in));
	MUST(!c.ask.n || is_inside(c.ask, in));
	MUST(!c.ark.n || is_inside(c.ark, in));
	MUST(!c.crl.n || is_inside(c.crl, in));
}

static void vek(struct tr_view in)
{
	struct tr_x_cert c;
	struct tr_snp_kds k;
	struct tr_err err;

	if (tr_x_cert_parse(in, &c, &err) || tr_snp_kds_read(&c, &k, &err))
		return;
	MUST(is_inside(k.product_name, in));
	MUST(!k.hw_id.n || (is_inside(k.hw_id, in) && (k.hw_id.n == 64 || k.hw_id.n == 8)));
	MUST(!k.csp_id.n || is_inside(k.csp_id, in));
}

static void all(struct tr_view in)
{
	static struct tr_tee_result r;
	size_t n = in.n < TR_SNP_REPORT_LEN ? in.n : TR_SNP_REPORT_LEN;
	const struct tr_snp_in v = {
		.report = tr_view(in.p, n), .certs = tr_view(in.p + n, in.n - n), .when = { .now = 1780272000 },
	};

	tr_snp_verify(&v, &r, NULL);
	MUST(r.n_checks > 0 && r.n_checks < TR_TEE_CHECKS_MAX);
	MUST(r.answers[TR_Q_AUTHENTIC] == TR_ANSWER_NO && r.first != TR_TEEC_OK);
	MUST(!tr_tee_authentic_and_current(&r));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const modes[])(struct tr_view in) = { report, table, vek, all };

	if (size)
		modes[data[0] & 3](tr_view(data + 1, size - 1));
	return 0;
}
