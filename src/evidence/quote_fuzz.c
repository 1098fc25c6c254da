/* SPDX-License-Identifier: Apache-2.0 */
/* What parses is made of the input's own bytes, in their order, and all of them: header and body, signature section, rest. */
#include "codec/codec_fuzz.h"
#include "evidence/dcap.h"

static void inside(struct tr_view all, struct tr_view v, size_t n)
{
	MUST(v.n == n && v.p >= all.p && (size_t)(v.p - all.p) <= all.n && all.n - (size_t)(v.p - all.p) >= n);
}

static void check_sgx(struct tr_view report, const struct tr_sgx_body *b)
{
	inside(report, b->cpusvn, 16);
	inside(report, b->attributes, 16);
	inside(report, b->mrenclave, 32);
	inside(report, b->mrsigner, 32);
	inside(report, b->configid, 64);
	inside(report, b->report_data, 64);
	MUST(b->report_data.p + 64 == report.p + report.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view in = tr_view(data, size);
	struct tr_quote q;
	enum tr_tee_code code = TR_TEEC_LIMIT;
	struct tr_err err = { .code = TR_OK };
	size_t used;

	if (tr_quote_parse(in, &q, &code, &err)) {
		MUST(code != TR_TEEC_OK && code != TR_TEEC_LIMIT && err.code == TR_E_INVALID);
		return 0;
	}
	MUST(code == TR_TEEC_OK && q.key_type == 2 && q.version >= 3 && q.version <= 5);
	MUST((q.body_type == TR_BODY_SGX) == (q.tee_type == 0));
	used = q.signed_bytes.n + 4 + 64 + 64 + (q.version == 3 ? 0 : 6) + 384 + 64 + 2 + q.qe_auth.n + 6 + q.cert_data.n;
	MUST(q.signed_bytes.p == data && used + q.trailing.n == size);
	inside(in, q.sig, 64);
	inside(in, q.att_key, 64);
	inside(in, q.qe_report, 384);
	inside(in, q.qe_report_sig, 64);
	MUST(q.cert_data.p + q.cert_data.n == data + used);
	check_sgx(q.qe_report, &q.qe);
	if (q.body_type == TR_BODY_SGX) {
		check_sgx(tr_view(q.signed_bytes.p + q.signed_bytes.n - 384, 384), &q.sgx);
	} else {
		inside(q.signed_bytes, q.td.mrtd, 48);
		inside(q.signed_bytes, q.td.rtmr[3], 48);
		inside(q.signed_bytes, q.td.report_data, 64);
		MUST(!q.td.v15 || q.td.mrservicetd.p + 48 == q.signed_bytes.p + q.signed_bytes.n);
	}
	return 0;
}
