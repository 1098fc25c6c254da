/* SPDX-License-Identifier: Apache-2.0 */
/* Every field of a quote, also those that no verification looks at. */
#include "cli/quote.h"

static void header(const struct tr_quote *q, struct tr_tee_result *r)
{
	tr_tee_field_uint(r, "version", q->version);
	tr_tee_field_uint(r, "attestation_key_type", q->key_type);
	tr_tee_field_uint(r, "tee_type", q->tee_type);
	tr_tee_field_uint(r, "qe_svn", q->qe_svn);
	tr_tee_field_uint(r, "pce_svn", q->pce_svn);
	tr_tee_field_hex(r, "qe_vendor", q->vendor);
	tr_tee_field_hex(r, "user_data", q->user_data);
	tr_tee_field_uint(r, "body_type", q->body_type);
}

static void td(const struct tr_td_body *t, struct tr_tee_result *r)
{
	static const char *const rtmrs[] = { "rtmr0", "rtmr1", "rtmr2", "rtmr3" };

	tr_tee_field_hex(r, "tee_tcb_svn", t->tee_tcb_svn);
	tr_tee_field_hex(r, "mrseam", t->mrseam);
	tr_tee_field_hex(r, "mrsignerseam", t->mrsignerseam);
	/* Bytes as they stand, as policies write masks. */
	tr_tee_field_hex(r, "seam_attributes", tr_view(t->mrsignerseam.p + 48, 8));
	tr_tee_field_hex(r, "td_attributes", tr_view(t->mrsignerseam.p + 56, 8));
	tr_tee_field_hex(r, "xfam", tr_view(t->mrsignerseam.p + 64, 8));
	tr_tee_field_hex(r, "mrtd", t->mrtd);
	tr_tee_field_hex(r, "mrconfigid", t->mrconfigid);
	tr_tee_field_hex(r, "mrowner", t->mrowner);
	tr_tee_field_hex(r, "mrownerconfig", t->mrownerconfig);
	for (unsigned i = 0; i < 4; i++)
		tr_tee_field_hex(r, rtmrs[i], t->rtmr[i]);
	if (t->v15) {
		tr_tee_field_hex(r, "tee_tcb_svn_2", t->tee_tcb_svn_2);
		tr_tee_field_hex(r, "mrservicetd", t->mrservicetd);
	}
	tr_tee_field_hex(r, "report_data", t->report_data);
}

static void enclave(const struct tr_sgx_body *b, struct tr_tee_result *r)
{
	tr_tee_field_hex(r, "cpusvn", b->cpusvn);
	tr_tee_field_uint(r, "miscselect", b->miscselect);
	tr_tee_field_hex(r, "isvextprodid", b->isvextprodid);
	tr_tee_field_uint(r, "attributes_flags", b->flags);
	tr_tee_field_uint(r, "attributes_xfrm", b->xfrm);
	tr_tee_field_hex(r, "mrenclave", b->mrenclave);
	tr_tee_field_hex(r, "mrsigner", b->mrsigner);
	tr_tee_field_hex(r, "configid", b->configid);
	tr_tee_field_uint(r, "isvprodid", b->isvprodid);
	tr_tee_field_uint(r, "isvsvn", b->isvsvn);
	tr_tee_field_uint(r, "configsvn", b->configsvn);
	tr_tee_field_hex(r, "isvfamilyid", b->isvfamilyid);
	tr_tee_field_hex(r, "report_data", b->report_data);
}

static void quoting_enclave(const struct tr_quote *q, struct tr_tee_result *r)
{
	tr_tee_field_hex(r, "attestation_key", q->att_key);
	tr_tee_field_hex(r, "quote_signature", q->sig);
	tr_tee_field_hex(r, "qe_cpusvn", q->qe.cpusvn);
	tr_tee_field_uint(r, "qe_miscselect", q->qe.miscselect);
	tr_tee_field_hex(r, "qe_attributes", q->qe.attributes);
	tr_tee_field_hex(r, "qe_mrenclave", q->qe.mrenclave);
	tr_tee_field_hex(r, "qe_mrsigner", q->qe.mrsigner);
	tr_tee_field_uint(r, "qe_isvprodid", q->qe.isvprodid);
	tr_tee_field_uint(r, "qe_isvsvn", q->qe.isvsvn);
	tr_tee_field_hex(r, "qe_report_data", q->qe.report_data);
	tr_tee_field_hex(r, "qe_authentication_data", q->qe_auth);
	tr_tee_field_uint(r, "certification_data_type", q->cert_type);
	tr_tee_field_uint(r, "certification_data_len", q->cert_data.n);
	tr_tee_field_uint(r, "trailing_bytes", q->trailing.n);
}

/* What Intel says of the platform, in the leaf of the chain. */
static void platform(struct tr_view pem, struct tr_buf *store, struct tr_tee_result *r)
{
	static struct tr_x_cert leaf;
	static struct tr_pck pck;
	struct tr_view ders[4];
	struct tr_err err;
	size_t n;

	if (!pem.n || tr_x_pem_chain(pem, "CERTIFICATE", TR_ARRAY_LEN(ders), store, ders, &n, &err) || !n ||
	    tr_x_cert_parse(ders[0], &leaf, &err) || tr_pck_read(&leaf, &pck, &err))
		return;
	tr_tee_field_text(r, "pck_subject", leaf.subject_cn);
	tr_tee_field_hex(r, "pck_serial", leaf.serial);
	tr_tee_field_hex(r, "pck_fmspc", pck.fmspc);
	tr_tee_field_hex(r, "pck_pceid", pck.pceid);
	tr_tee_field_hex(r, "pck_ppid", pck.ppid);
	tr_tee_field_hex(r, "pck_tcb_components", TR_VIEW_ARRAY(pck.comp));
	tr_tee_field_uint(r, "pck_pcesvn", pck.pcesvn);
	tr_tee_field_hex(r, "pck_cpusvn", pck.cpusvn);
	tr_tee_field_uint(r, "pck_sgx_type", pck.sgx_type);
	if (!pck.has_configuration)
		return;
	tr_tee_field_hex(r, "pck_platform_instance", pck.platform_instance);
	tr_tee_field_uint(r, "pck_dynamic_platform", pck.dynamic_platform);
	tr_tee_field_uint(r, "pck_cached_keys", pck.cached_keys);
	tr_tee_field_uint(r, "pck_smt_enabled", pck.smt);
}

void tr_quote_fields(const struct tr_quote *q, struct tr_view pck_chain, struct tr_buf *store, struct tr_tee_result *r)
{
	header(q, r);
	if (q->body_type == TR_BODY_SGX)
		enclave(&q->sgx, r);
	else
		td(&q->td, r);
	quoting_enclave(q, r);
	platform(q->cert_type == 5 ? q->cert_data : pck_chain, store, r);
}
