/* SPDX-License-Identifier: Apache-2.0 */
/* Quotes of the simulated vendor, by the offsets of Intel's formats. */
#include "crypto/hash.h"
#include "evidence/sim_inner.h"

#define HEADER_LEN 48
#define SGX_LEN 384
#define TD10_LEN 584
#define TD15_LEN 648
#define ATTRIBUTE_DEBUG 2u /* SGX flags, bit 1 */

static const uint8_t vendor_id[16] = { 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
				       0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07 };

static void fill_sgx(uint8_t b[SGX_LEN], const struct tr_sim_spec *spec)
{
	memcpy(b, spec->comp, 16);
	sim_put64(b + 48, spec->td_attributes);
	sim_put64(b + 56, spec->xfam);
	memcpy(b + 64, spec->mrtd, 32);
	memcpy(b + 128, spec->rtmr[0], 32);
	sim_put16(b + 256, spec->isvprodid);
	sim_put16(b + 258, spec->isvsvn);
	memcpy(b + 320, spec->report_data, 64);
}

static void fill_td(uint8_t *b, const struct tr_sim_spec *spec)
{
	memcpy(b, spec->tee_tcb_svn, 16);
	memset(b + 16, 0x5e, 48); /* MRSEAM: the module's hash, which nobody pins */
	b[64] = spec->fault == TR_SIMF_MODULE_SIGNER;
	b[112] = spec->fault == TR_SIMF_MODULE_ATTRIBUTES;
	sim_put64(b + 120, spec->td_attributes);
	sim_put64(b + 128, spec->xfam);
	memcpy(b + 136, spec->mrtd, 48);
	memcpy(b + 184, spec->mrconfigid, 48);
	memcpy(b + 232, spec->mrowner, 48);
	memcpy(b + 280, spec->mrownerconfig, 48);
	for (size_t i = 0; i < 4; i++)
		memcpy(b + 328 + 48 * i, spec->rtmr[i], 48);
	memcpy(b + 520, spec->report_data, 64);
	if (spec->body == TR_BODY_TD15) {
		memcpy(b + 584, spec->tee_tcb_svn_2, 16);
		memcpy(b + 600, spec->mrservicetd, 48);
	}
}

/* Header and body: what the attestation key signs. */
static TR_RC put_signed(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_buf *b, struct tr_err *err)
{
	bool td = spec->kind == TR_TEE_TDX;
	size_t len = !td ? SGX_LEN : spec->body == TR_BODY_TD15 ? TD15_LEN : TD10_LEN;
	uint8_t head[HEADER_LEN + 6] = { 0 };
	uint8_t body[TD15_LEN] = { 0 };
	enum tr_code rc = tr_sim_bytes(s, "qe-id", head + 28, 16, err);

	if (rc)
		return rc;
	sim_put16(head, (uint16_t)spec->quote_version);
	sim_put16(head + 2, 2); /* ECDSA with P-256 */
	sim_put32(head + 4, td ? 0x81 : 0);
	if (spec->quote_version == 3) {
		sim_put16(head + 8, tr_sim_qe_svn(td));
		sim_put16(head + 10, spec->pcesvn);
	}
	memcpy(head + 12, vendor_id, sizeof(vendor_id));
	if (spec->fault == TR_SIMF_QUOTE_VENDOR)
		head[12] ^= 1;
	sim_put16(head + 48, (uint16_t)spec->body);
	sim_put32(head + 50, (uint32_t)len);
	if (td)
		fill_td(body, spec);
	else
		fill_sgx(body, spec);
	tr_buf_add(b, head, spec->quote_version == 5 ? sizeof(head) : HEADER_LEN);
	tr_buf_add(b, body, len);
	return tr_buf_check(b, err);
}

/* The quoting enclave's report: it vouches for the attestation key. */
static void fill_qe(uint8_t r[SGX_LEN], const struct tr_sim_spec *spec, struct tr_view att, struct tr_view auth)
{
	bool td = spec->kind == TR_TEE_TDX;
	struct tr_view parts[] = { att, auth };
	uint8_t sum[64];

	memcpy(r, spec->comp, 16);
	if (spec->fault == TR_SIMF_QE_MISCSELECT)
		r[16] = 1;
	sim_put64(r + 48, spec->fault == TR_SIMF_QE_DEBUG ? 0x15 | ATTRIBUTE_DEBUG : 0x15);
	sim_put64(r + 56, 0xe7);
	memset(r + 64, 0xe5, 32); /* MRENCLAVE: the identity does not name it */
	tr_sim_qe_mrsigner(td, r + 128);
	if (spec->fault == TR_SIMF_QE_MRSIGNER)
		r[128] ^= 1;
	sim_put16(r + 256, (uint16_t)((td ? 2 : 1) + (spec->fault == TR_SIMF_QE_PRODID ? 4 : 0)));
	sim_put16(r + 258, tr_sim_qe_svn(td));
	tr_raw_digest(TR_HASH_SHA256, parts, 2, sum);
	memcpy(r + 320, sum, 32);
	if (spec->fault == TR_SIMF_QE_UPPER_HALF)
		r[383] = 1;
}

/* qe_report | its signature | u16 n | auth | u16 type | u32 len | certification data */
static TR_RC put_qe(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_view att, struct tr_view chain,
		    struct tr_buf *b, struct tr_err *err)
{
	const struct tr_raw_priv *signer = NULL, *other = NULL;
	uint8_t auth[32], report[SGX_LEN] = { 0 }, len[6];
	struct tr_view view = TR_VIEW_ARRAY(report);
	enum tr_code rc = tr_sim_intel_key(s, sim_set_of(spec),
					   spec->fault == TR_SIMF_QE_SIGNED_BY_CA ? SIM_PLATFORM_CA : SIM_PCK, &signer, err);

	if (!rc && spec->fault == TR_SIMF_UNBOUND_ATT_KEY) {
		rc = tr_sim_intel_key(s, SIM_OWN, SIM_QE_OTHER, &other, err);
		if (!rc)
			att = tr_raw_priv_point(other);
	}
	if (rc)
		return rc;
	for (size_t i = 0; i < sizeof(auth); i++)
		auth[i] = (uint8_t)i;
	fill_qe(report, spec, att, TR_VIEW_ARRAY(auth));
	tr_buf_addv(b, view);
	rc = tr_raw_sign_ecdsa(signer, TR_HASH_SHA256, &view, 1, b, err);
	if (rc)
		return rc;
	sim_put16(len, sizeof(auth));
	tr_buf_add(b, len, 2);
	tr_buf_addv(b, TR_VIEW_ARRAY(auth));
	sim_put16(len, 5);
	sim_put32(len + 2, (uint32_t)chain.n + 1);
	tr_buf_add(b, len, 6);
	tr_buf_addv(b, chain);
	tr_buf_add8(b, 0); /* as real ones end */
	return tr_buf_check(b, err);
}

TR_RC tr_sim_dcap_quote(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_view chain, struct tr_buf *ret,
			struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf auth = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf qe = TR_BUF_INIT;
	const struct tr_raw_priv *att = NULL;
	struct tr_view view;
	uint8_t len[6];
	enum tr_code rc = tr_sim_intel_key(s, sim_set_of(spec), SIM_ATT, &att, err);

	if (!rc)
		rc = put_signed(s, spec, &body, err);
	if (rc)
		return rc;
	view = tr_buf_view(&body);
	rc = tr_raw_sign_ecdsa(att, TR_HASH_SHA256, &view, 1, &auth, err);
	if (rc)
		return rc;
	tr_buf_addv(&auth, tr_raw_priv_point(att));
	rc = put_qe(s, spec, tr_raw_priv_point(att), chain, &qe, err);
	if (rc)
		return rc;
	if (spec->quote_version > 3) {
		sim_put16(len, 6);
		sim_put32(len + 2, (uint32_t)qe.n);
		tr_buf_add(&auth, len, 6);
	}
	tr_buf_addv(&auth, tr_buf_view(&qe));
	rc = tr_buf_check(&auth, err);
	if (rc)
		return rc;
	/* MRTD or MRENCLAVE: what an attacker would like to say about himself. */
	if (spec->fault == TR_SIMF_QUOTE_FLIPPED)
		body.p[(spec->quote_version == 5 ? HEADER_LEN + 6 : HEADER_LEN) + (spec->kind == TR_TEE_TDX ? 136 : 64)] ^= 1;
	tr_buf_addv(ret, tr_buf_view(&body));
	sim_put32(len, (uint32_t)auth.n);
	tr_buf_add(ret, len, 4);
	tr_buf_addv(ret, tr_buf_view(&auth));
	if (spec->fault == TR_SIMF_QUOTE_TRAILING)
		tr_buf_adds(ret, "more");
	return tr_buf_check(ret, err);
}
