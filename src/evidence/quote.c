/* SPDX-License-Identifier: Apache-2.0 */
/* Layout of SGX and TDX quotes (dcap.h names the sources). Offsets are the format's; nothing is laid over a C struct, and
 * every length is taken from what is left. */
#include "evidence/dcap.h"

#define HEADER_LEN 48
#define SGX_LEN 384
#define TD10_LEN 584
#define TD15_LEN 648
#define TEE_SGX 0u
#define TEE_TDX 0x81u
#define KEY_P256 2
#define CERT_QE_REPORT 6

static const uint8_t intel_vendor[16] = { 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
					  0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07 };

/* The first read past the end sticks: read freely, ask once. */
struct cursor {
	struct tr_view left;
	bool failed;
};

static struct tr_view take(struct cursor *c, size_t n)
{
	struct tr_view v = tr_view(c->left.p, n);

	if (c->failed || c->left.n < n) {
		c->failed = true;
		return tr_view(NULL, 0);
	}
	c->left = tr_view(c->left.p + n, c->left.n - n);
	return v;
}

static uint64_t uint_le(struct tr_view v)
{
	uint64_t n = 0;

	for (size_t i = v.n; i > 0; i--)
		n = n << 8 | v.p[i - 1];
	return n;
}

static uint16_t take16(struct cursor *c)
{
	return (uint16_t)uint_le(take(c, 2));
}

static uint32_t take32(struct cursor *c)
{
	return (uint32_t)uint_le(take(c, 4));
}

static struct tr_view part(struct tr_view body, size_t at, size_t n)
{
	return tr_view(body.p + at, n);
}

static bool all_zero(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i])
			return false;
	return true;
}

static void read_sgx(struct tr_view b, struct tr_sgx_body *ret)
{
	*ret = (struct tr_sgx_body){
		.cpusvn = part(b, 0, 16),
		.miscselect = (uint32_t)uint_le(part(b, 16, 4)),
		.isvextprodid = part(b, 32, 16),
		.attributes = part(b, 48, 16),
		.flags = uint_le(part(b, 48, 8)),
		.xfrm = uint_le(part(b, 56, 8)),
		.mrenclave = part(b, 64, 32),
		.mrsigner = part(b, 128, 32),
		.configid = part(b, 192, 64),
		.isvprodid = (uint16_t)uint_le(part(b, 256, 2)),
		.isvsvn = (uint16_t)uint_le(part(b, 258, 2)),
		.configsvn = (uint16_t)uint_le(part(b, 260, 2)),
		.isvfamilyid = part(b, 304, 16),
		.report_data = part(b, 320, 64),
		.reserved_zero = all_zero(part(b, 20, 12)) && all_zero(part(b, 96, 32)) &&
				 all_zero(part(b, 160, 32)) && all_zero(part(b, 262, 42)),
	};
}

static void read_td(struct tr_view b, bool v15, struct tr_td_body *ret)
{
	*ret = (struct tr_td_body){
		.tee_tcb_svn = part(b, 0, 16),
		.mrseam = part(b, 16, 48),
		.mrsignerseam = part(b, 64, 48),
		.seam_attributes = uint_le(part(b, 112, 8)),
		.td_attributes = uint_le(part(b, 120, 8)),
		.xfam = uint_le(part(b, 128, 8)),
		.mrtd = part(b, 136, 48),
		.mrconfigid = part(b, 184, 48),
		.mrowner = part(b, 232, 48),
		.mrownerconfig = part(b, 280, 48),
		.rtmr = { part(b, 328, 48), part(b, 376, 48), part(b, 424, 48), part(b, 472, 48) },
		.report_data = part(b, 520, 64),
		.v15 = v15,
	};
	if (v15) {
		ret->tee_tcb_svn_2 = part(b, 584, 16);
		ret->mrservicetd = part(b, 600, 48);
	}
}

static enum tr_code refuse(enum tr_tee_code *ret_code, enum tr_tee_code code, struct tr_err *err, const char *what,
			   uint64_t seen)
{
	*ret_code = code;
	return tr_err_set(err, TR_E_INVALID, tr_tee_code_info(code)->sentence, "quote: %s (%llu)", what,
			  (unsigned long long)seen);
}

static TR_RC read_header(struct cursor *c, struct tr_quote *q, enum tr_tee_code *ret_code, struct tr_err *err)
{
	struct tr_view h = take(c, HEADER_LEN);

	if (c->failed)
		return refuse(ret_code, TR_TEEC_QUOTE_LENGTH, err, "shorter than its header", c->left.n);
	q->version = (uint16_t)uint_le(part(h, 0, 2));
	q->key_type = (uint16_t)uint_le(part(h, 2, 2));
	q->tee_type = (uint32_t)uint_le(part(h, 4, 4));
	q->qe_svn = (uint16_t)uint_le(part(h, 8, 2));
	q->pce_svn = (uint16_t)uint_le(part(h, 10, 2));
	q->vendor = part(h, 12, 16);
	q->user_data = part(h, 28, 20);
	if (q->version < 3 || q->version > 5)
		return refuse(ret_code, TR_TEEC_QUOTE_VERSION, err, "version", q->version);
	if (q->key_type != KEY_P256)
		return refuse(ret_code, TR_TEEC_QUOTE_KEY_TYPE, err, "attestation key type", q->key_type);
	if (q->tee_type != TEE_SGX && (q->tee_type != TEE_TDX || q->version == 3))
		return refuse(ret_code, TR_TEEC_QUOTE_TEE_TYPE, err, "TEE type", q->tee_type);
	if (!tr_view_eq(q->vendor, TR_VIEW_ARRAY(intel_vendor)))
		return refuse(ret_code, TR_TEEC_QUOTE_VENDOR, err, "vendor id begins with", q->vendor.p[0]);
	return TR_OK;
}

/* Versions 3 and 4 say by the TEE's type what the body is; version 5 says it aloud, and all three must agree. */
static TR_RC read_body(struct cursor *c, struct tr_quote *q, enum tr_tee_code *ret_code, struct tr_err *err)
{
	static const struct { uint32_t size, tee; } bodies[] = {
		[TR_BODY_SGX] = { SGX_LEN, TEE_SGX },
		[TR_BODY_TD10] = { TD10_LEN, TEE_TDX },
		[TR_BODY_TD15] = { TD15_LEN, TEE_TDX },
	};
	uint32_t type = q->tee_type == TEE_SGX ? TR_BODY_SGX : TR_BODY_TD10, size = bodies[type].size;
	struct tr_view b;

	if (q->version == 5) {
		type = take16(c);
		size = take32(c);
		if (!c->failed && (type < TR_BODY_SGX || type > TR_BODY_TD15 || size != bodies[type].size ||
				   q->tee_type != bodies[type].tee))
			return refuse(ret_code, TR_TEEC_QUOTE_BODY, err, "body's type", type);
	}
	b = take(c, size);
	if (c->failed)
		return refuse(ret_code, TR_TEEC_QUOTE_LENGTH, err, "cut inside its body", size);
	q->body_type = (enum tr_quote_body)type;
	if (type == TR_BODY_SGX)
		read_sgx(b, &q->sgx);
	else
		read_td(b, type == TR_BODY_TD15, &q->td);
	return TR_OK;
}

/* Signature section. In versions 4 and 5 everything behind the key is wrapped once, as certification data of type 6. */
static TR_RC read_auth(struct cursor *c, struct tr_quote *q, enum tr_tee_code *ret_code, struct tr_err *err)
{
	uint32_t len = take32(c);
	struct cursor a = { .left = take(c, len) };

	if (c->failed)
		return refuse(ret_code, TR_TEEC_QUOTE_LENGTH, err, "signature section's length", len);
	q->sig = take(&a, 64);
	q->att_key = take(&a, 64);
	if (q->version != 3) {
		uint16_t type = take16(&a);
		uint32_t outer = take32(&a);

		if (!a.failed && type != CERT_QE_REPORT)
			return refuse(ret_code, TR_TEEC_QUOTE_CERT_DATA, err, "outer certification data", type);
		if (a.failed || outer != a.left.n)
			return refuse(ret_code, TR_TEEC_QUOTE_LENGTH, err, "outer certification data's length", outer);
	}
	q->qe_report = take(&a, SGX_LEN);
	q->qe_report_sig = take(&a, 64);
	q->qe_auth = take(&a, take16(&a));
	q->cert_type = take16(&a);
	len = take32(&a);
	if (a.failed || len != a.left.n)
		return refuse(ret_code, TR_TEEC_QUOTE_LENGTH, err, "certification data's length", len);
	/* Type 6 does not nest; the rest is judged by whoever needs a chain. */
	if (q->cert_type < 1 || q->cert_type > 7 || q->cert_type == CERT_QE_REPORT)
		return refuse(ret_code, TR_TEEC_QUOTE_CERT_DATA, err, "certification data", q->cert_type);
	q->cert_data = a.left;
	read_sgx(q->qe_report, &q->qe);
	return TR_OK;
}

TR_RC tr_quote_parse(struct tr_view in, struct tr_quote *ret, enum tr_tee_code *ret_code, struct tr_err *err)
{
	struct cursor c = { .left = in };
	struct tr_quote q = { .version = 0 };
	enum tr_code rc;

	*ret_code = TR_TEEC_OK;
	if (in.n > TR_QUOTE_MAX)
		return refuse(ret_code, TR_TEEC_QUOTE_LENGTH, err, "longer than any quote", in.n);
	rc = read_header(&c, &q, ret_code, err);
	if (!rc)
		rc = read_body(&c, &q, ret_code, err);
	if (rc)
		return rc;
	q.signed_bytes = tr_view(in.p, in.n - c.left.n);
	rc = read_auth(&c, &q, ret_code, err);
	if (rc)
		return rc;
	q.trailing = c.left;
	*ret = q;
	return TR_OK;
}
