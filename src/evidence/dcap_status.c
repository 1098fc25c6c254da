/* SPDX-License-Identifier: Apache-2.0 */
/* Steps 12 and 13 of dcap.c's: TDX module, and the status of platform, module and quoting enclave together. */
#include "evidence/dcap_inner.h"

static void add_advisories(struct tr_tee_result *r, const struct tr_jval *array)
{
	struct tr_jval v;
	size_t at = 0;

	while (array->type == TR_JTOK_ARRAY && tr_jitem(array, &at, &v))
		tr_tee_advisory(r, v.raw);
}

static enum tr_tee_code code_of(enum tr_tcb_status s)
{
	switch (s) {
	case TR_TCB_REVOKED: return TR_TEEC_TCB_REVOKED;
	case TR_TCB_NOT_SUPPORTED: return TR_TEEC_TCB_NOT_SUPPORTED;
	case TR_TCB_TDX_MODULE_MISMATCH: return TR_TEEC_TCB_MODULE_MISMATCH;
	case TR_TCB_NONE:
	case TR_TCB_UNRECOGNISED: return TR_TEEC_TCB_UNRECOGNISED;
	default: return TR_TEEC_OK; /* OutOfDate and the like are policy's to accept */
	}
}

static void status_line(struct tr_dcap_run *v, const char *name, enum tr_tcb_status s)
{
	(void)tr_tee_line(v->r, name, TR_Q_CURRENT, code_of(s), "neither revoked nor unknown", tr_tcb_status_name(s));
}

static enum tr_tcb_status part_status(struct tr_tee_result *r, const struct tr_svn_level *l)
{
	if (!l)
		return TR_TCB_NOT_SUPPORTED;
	add_advisories(r, &l->advisories);
	return l->status;
}

/* 12: is the module one of the vendor's? */
static const struct tr_tdx_module *judge_module(struct tr_dcap_run *v)
{
	const struct tr_td_body *b = &v->q->td;
	const struct tr_tdx_module *m = tr_tdx_module_of(&v->set->tcb, b->tee_tcb_svn.p[1]);
	struct tr_tee_check *c = tr_tee_check_add(v->r, "tdx_module.identity", TR_Q_CURRENT,
						  m ? TR_TEEC_OK : TR_TEEC_TCB_MODULE_MISMATCH);
	struct tr_view attributes = tr_view(b->mrsignerseam.p + b->mrsignerseam.n, 8);
	bool signer, masked, zero;

	tr_tee_expected(c, "TDX_%02X", b->tee_tcb_svn.p[1]);
	tr_tee_seen(c, "%s", m ? "known" : "unknown");
	if (!m)
		return NULL;
	signer = tr_dcap_masked(v, "tdx_module.mrsigner", TR_TEEC_TCB_MODULE_MISMATCH, b->mrsignerseam, tr_dcap_whole, m->mrsigner);
	masked = tr_dcap_masked(v, "tdx_module.attributes", TR_TEEC_TCB_MODULE_MISMATCH, attributes, m->attributes_mask,
			     m->attributes);
	zero = tr_dcap_line(v, "tdx_module.attributes_zero", TR_TEEC_TCB_MODULE_MISMATCH, b->seam_attributes == 0, "all zero",
			    b->seam_attributes == 0 ? "all zero" : "set");
	return signer && masked && zero ? m : NULL;
}

static enum tr_tcb_status sgx_status(struct tr_dcap_run *v, const struct tr_tcb_level **ret_level)
{
	const struct tr_tcb_level *none;

	tr_tcb_match(&v->set->tcb, &v->chain->pck, NULL, ret_level, &none);
	v->r->platform_status = *ret_level ? (*ret_level)->status : TR_TCB_NOT_SUPPORTED;
	return v->r->platform_status;
}

static enum tr_tcb_status tdx_status(struct tr_dcap_run *v, const struct tr_tcb_level **ret_level)
{
	const struct tr_td_body *b = &v->q->td;
	const struct tr_tcb_info *t = &v->set->tcb;
	const struct tr_tdx_module *module = judge_module(v);
	const struct tr_svn_level *level = NULL;
	const struct tr_tcb_level *sgx;
	enum tr_tcb_status s;

	tr_tcb_match(t, &v->chain->pck, b->tee_tcb_svn.p, &sgx, ret_level);
	v->r->platform_status = *ret_level ? (*ret_level)->status : TR_TCB_NOT_SUPPORTED;
	if (!module) {
		v->r->module_status = TR_TCB_TDX_MODULE_MISMATCH;
		return TR_TCB_TDX_MODULE_MISMATCH;
	}
	/* tdxModule has no levels: what is older than identities is judged by the level's own components. */
	v->r->module_status = TR_TCB_UP_TO_DATE;
	if (module->version) {
		level = tr_svn_match(module->levels, module->n_levels, b->tee_tcb_svn.p[0]);
		v->r->module_status = part_status(v->r, level);
	}
	status_line(v, "tcb.module", v->r->module_status);
	if (!*ret_level)
		return TR_TCB_NOT_SUPPORTED;
	s = tr_tcb_converge((*ret_level)->status, v->r->module_status);
	if (b->v15 && s != TR_TCB_REVOKED)
		s = tr_tcb_relaunch(t, s, sgx->status, v->r->module_status, v->r->qe_status, b->tee_tcb_svn_2.p);
	return s;
}

void tr_dcap_judge_status(struct tr_dcap_run *v)
{
	const struct tr_tcb_level *level = NULL;
	struct tr_tee_result *r = v->r;
	enum tr_tcb_status s;

	if (!v->tcb_usable || !v->chain->has_pck)
		return;
	r->evaluation_number = v->set->tcb.doc.evaluation_number;
	/* The QE's first: relaunch asks for it. */
	if (v->qe_usable)
		r->qe_status = part_status(r, tr_svn_match(v->set->qe.levels, v->set->qe.n_levels, v->q->qe.isvsvn));
	s = v->in->kind == TR_TEE_TDX ? tdx_status(v, &level) : sgx_status(v, &level);
	status_line(v, "tcb.platform", r->platform_status);
	if (level) {
		add_advisories(r, &level->advisories);
		r->tcb_date = level->date;
	}
	/* Without a QE identity nothing is said about the whole. */
	if (!v->qe_usable)
		return;
	status_line(v, "tcb.qe", r->qe_status);
	if (s != TR_TCB_TDX_MODULE_MISMATCH && s != TR_TCB_REVOKED)
		s = tr_tcb_converge(s, r->qe_status);
	r->tcb_status = s;
	status_line(v, "tcb.status", s);
}
