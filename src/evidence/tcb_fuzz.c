/* SPDX-License-Identifier: Apache-2.0 */
/* What is read as TCB info or QE identity: signed bytes inside the text, tables in order and within their bounds, and a
 * platform that matches a level has every component of it. */
#include "codec/codec_fuzz.h"
#include "evidence/tcb.h"

static struct tr_tcb_info tcb;
static struct tr_qe_identity qe;

static void check_doc(struct tr_view in, const struct tr_signed_json *d)
{
	MUST(is_inside(d->bytes, in) && d->bytes.n >= 2 && d->bytes.p[0] == '{' && d->bytes.p[d->bytes.n - 1] == '}');
	MUST(memchr(d->id, 0, sizeof(d->id)));
}

static void check_svn(const struct tr_svn_level *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		MUST(!i || l[i - 1].isvsvn >= l[i].isvsvn);
		MUST(l[i].status == TR_TCB_UP_TO_DATE || l[i].status == TR_TCB_OUT_OF_DATE ||
		     l[i].status == TR_TCB_REVOKED || l[i].status == TR_TCB_UNRECOGNISED);
		MUST(tr_svn_match(l, n, l[i].isvsvn)->isvsvn == l[i].isvsvn);
	}
}

static void check_match(const struct tr_tcb_level *l, struct tr_view in)
{
	struct tr_pck pck = { .pcesvn = l->pcesvn };
	uint8_t svn[16] = { 0 };
	const struct tr_tcb_level *sgx, *tdx;

	memcpy(pck.comp, l->sgx, sizeof(pck.comp));
	tr_tcb_match(&tcb, &pck, NULL, &sgx, &tdx);
	MUST(sgx && !tdx && sgx->pcesvn <= pck.pcesvn);
	for (size_t i = 0; i < 16; i++)
		MUST(sgx->sgx[i] <= pck.comp[i]);
	memcpy(svn, in.p + in.n - (in.n < 16 ? in.n : 16), in.n < 16 ? in.n : 16);
	tr_tcb_match(&tcb, &pck, svn, &sgx, &tdx);
	for (size_t i = svn[1] ? 2 : 0; tdx && i < 16; i++)
		MUST(tdx->tdx[i] <= svn[i] && tdx->sgx[i] <= pck.comp[i]);
	(void)tr_tcb_relaunch(&tcb, TR_TCB_OUT_OF_DATE, TR_TCB_UP_TO_DATE, TR_TCB_OUT_OF_DATE, TR_TCB_UP_TO_DATE, svn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view in = tr_view(data, size);
	struct tr_err err;

	if (tr_tcb_info_parse(in, &tcb, &err) == TR_OK) {
		check_doc(in, &tcb.doc);
		MUST(tcb.n_levels >= 1 && tcb.n_levels <= TR_TCB_LEVELS_MAX && tcb.n_modules <= TR_TCB_MODULES_MAX);
		MUST(tcb.tdx == !strcmp(tcb.doc.id, "TDX") || tcb.doc.version == 2);
		for (size_t i = 0; i < tcb.n_modules; i++) {
			MUST(tr_tdx_module_of(&tcb, tcb.modules[i].version) == &tcb.modules[i]);
			check_svn(tcb.modules[i].levels, tcb.modules[i].n_levels);
		}
		for (size_t i = 0; i < tcb.n_levels; i++) {
			MUST(!i || memcmp(tcb.levels[i - 1].sgx, tcb.levels[i].sgx, 16) >= 0);
			MUST(tcb.levels[i].status >= TR_TCB_UP_TO_DATE &&
			     (tcb.levels[i].status <= TR_TCB_REVOKED || tcb.levels[i].status == TR_TCB_UNRECOGNISED));
			check_match(&tcb.levels[i], in);
		}
	}
	if (tr_qe_identity_parse(in, &qe, &err) == TR_OK) {
		check_doc(in, &qe.doc);
		MUST(qe.n_levels >= 1 && qe.n_levels <= TR_SVN_LEVELS_MAX);
		check_svn(qe.levels, qe.n_levels);
	}
	return 0;
}
