/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of a chip: the table that the host passes on, what AMD's key service (KDS) says in a VEK, and the three
 * links ARK, ASK (or ASVK), VEK. A generic path builder is no help here: VEKs have serial 0 and no key identifiers, so
 * names, roles, dates and signatures are asked one by one. */
#include "evidence/snp_inner.h"

#include "codec/pem.h"
#include "crypto/hash.h"

#define TABLE_ENTRY 24
#define TABLE_ENTRIES_MAX 64
#define TABLE_MAX 65536

/* GUIDs stand in the order of the printed string, unlike those of UEFI tables. */
static const struct { uint8_t guid[16]; size_t at; } guids[] = {
	{ { 0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd },
	  offsetof(struct tr_snp_certs, vcek) },
	{ { 0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1 },
	  offsetof(struct tr_snp_certs, vlek) },
	{ { 0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82 },
	  offsetof(struct tr_snp_certs, ask) },
	{ { 0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae },
	  offsetof(struct tr_snp_certs, ark) },
	{ { 0x92, 0xf8, 0x1b, 0xc3, 0x58, 0x11, 0x4d, 0x3d, 0x97, 0xff, 0xd1, 0x9f, 0x88, 0xdc, 0x67, 0xea },
	  offsetof(struct tr_snp_certs, crl) },
};

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static TR_RC bad(struct tr_err *err, const char *what)
{
	return tr_err_set(err, TR_E_INVALID, "The certificate table of the report cannot be read.", "%s", what);
}

/* One entry whose bytes lie behind the table of `head` bytes. */
static TR_RC entry(struct tr_view in, size_t head, const uint8_t *e, struct tr_snp_certs *ret, struct tr_err *err)
{
	/* In 64 bits: offset + length of a hostile host overflows 32. */
	uint64_t from = u32(e + 16), n = u32(e + 20);

	if (!n || from < head || from + n > in.n)
		return bad(err, "an entry lies outside of the blob, or in the table itself");
	for (size_t i = 0; i < TR_ARRAY_LEN(guids); i++) {
		struct tr_view *to;

		if (memcmp(guids[i].guid, e, 16) != 0)
			continue;
		to = (struct tr_view *)(void *)((char *)ret + guids[i].at);
		*to = tr_view(in.p + from, (size_t)n);
	}
	return TR_OK;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static bool is_lone_cert(struct tr_view in)
{
	struct tr_der der;

	return in.n && in.p[0] == 0x30 && tr_der_next(&in, &der) && !in.n;
}

TR_RC tr_snp_certs_parse(struct tr_view in, struct tr_snp_certs *ret, struct tr_err *err)
{
	struct tr_snp_certs c = { 0 };
	size_t count = 0;

	if (in.n > TABLE_MAX)
		return bad(err, "longer than 64 KiB");
	/* Either kind of VEK: which one it is its own name says. */
	if (is_lone_cert(in)) {
		*ret = (struct tr_snp_certs){ .vcek = in, .vlek = in };
		return TR_OK;
	}
	while (true) {
		if (count > TABLE_ENTRIES_MAX || in.n < (count + 1) * TABLE_ENTRY)
			return bad(err, "no end of the table");
		if (is_zero(in.p + count * TABLE_ENTRY, TABLE_ENTRY))
			break;
		count++;
	}
	for (size_t i = 0; i < count; i++) {
		const uint8_t *e = in.p + i * TABLE_ENTRY;

		for (size_t j = 0; j < i; j++)
			if (memcmp(in.p + j * TABLE_ENTRY, e, 16) == 0)
				return bad(err, "a GUID stands twice in the table");
		if (entry(in, (count + 1) * TABLE_ENTRY, e, &c, err))
			return err->code;
	}
	*ret = c;
	return TR_OK;
}

/* 1.3.6.1.4.1.3704.1.<a>[.<b>], content octets. */
static bool extension(const struct tr_x_cert *vek, uint8_t a, uint8_t b, struct tr_view *ret)
{
	const uint8_t oid[] = { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01, a, b };

	return tr_x_cert_extension(vek, tr_view(oid, b ? 10 : 9), ret);
}

/* A DER INTEGER of at most max; more than one byte above 127 carries a leading zero. */
static bool integer(struct tr_view v, uint64_t max, uint64_t *ret)
{
	struct tr_der d;
	uint64_t n = 0;

	if (!tr_der_next(&v, &d) || v.n || d.tag != 0x02 || !d.body.n || d.body.n > 4 || d.body.p[0] & 0x80)
		return false;
	if (d.body.n > 1 && !d.body.p[0] && !(d.body.p[1] & 0x80))
		return false;
	for (size_t i = 0; i < d.body.n; i++)
		n = n << 8 | d.body.p[i];
	*ret = n;
	return n <= max;
}

static bool ia5(struct tr_view v, struct tr_view *ret)
{
	struct tr_der d;

	if (!tr_der_next(&v, &d) || v.n || d.tag != 0x16 || !d.body.n || d.body.n > 64)
		return false;
	for (size_t i = 0; i < d.body.n; i++)
		if (d.body.p[i] < 0x20 || d.body.p[i] > 0x7e)
			return false;
	*ret = d.body;
	return true;
}

/* Raw in the extension, or as an OCTET STRING inside it: told apart by the whole length, as 64 raw bytes may begin so too. */
static bool hw_id(struct tr_view v, struct tr_view *ret)
{
	if ((v.n == 66 && v.p[0] == 0x04 && v.p[1] == 64) || (v.n == 10 && v.p[0] == 0x04 && v.p[1] == 8))
		v = tr_view(v.p + 2, v.n - 2);
	*ret = v;
	return v.n == 64 || v.n == 8;
}

static enum tr_snp_product product_of(struct tr_view name)
{
	for (unsigned p = TR_SNP_MILAN; p < TR_SNP_PRODUCT_N; p++) {
		const char *word = tr_snp_product_name((enum tr_snp_product)p);
		size_t n = strlen(word);

		/* "Milan-B0": the stepping may be missing. */
		if (tr_view_starts(name, word) && (name.n == n || name.p[n] == '-'))
			return (enum tr_snp_product)p;
	}
	return TR_SNP_UNKNOWN;
}

static TR_RC kds_bad(struct tr_err *err, const char *what)
{
	return tr_err_set(err, TR_E_INVALID, "The chip's certificate lacks a value of AMD's key service.", "%s", what);
}

/* Security patch levels by OID and not by place: Turin puts 3.9 first. */
static TR_RC spls(const struct tr_x_cert *vek, struct tr_snp_kds *k, struct tr_err *err)
{
	const struct { uint8_t tail; bool must; uint8_t *to; } parts[] = {
		{ 1, true, &k->tcb.boot_loader }, { 2, true, &k->tcb.tee }, { 3, true, &k->tcb.snp },
		{ 8, true, &k->tcb.microcode }, { 9, false, &k->tcb.fmc },
		{ 4, false, NULL }, { 5, false, NULL }, { 6, false, NULL }, { 7, false, NULL },
	};

	k->tcb.reserved_zero = true;
	for (size_t i = 0; i < TR_ARRAY_LEN(parts); i++) {
		struct tr_view v;
		uint64_t n;

		if (!extension(vek, 3, parts[i].tail, &v)) {
			if (parts[i].must)
				return kds_bad(err, "a security patch level is missing");
			continue;
		}
		if (!integer(v, 255, &n))
			return kds_bad(err, "a security patch level is no integer of 0 to 255");
		if (parts[i].to)
			*parts[i].to = (uint8_t)n;
		else if (n)
			k->tcb.reserved_zero = false;
		if (parts[i].tail == 9)
			k->has_fmc = true;
	}
	return TR_OK;
}

TR_RC tr_snp_kds_read(const struct tr_x_cert *vek, struct tr_snp_kds *ret, struct tr_err *err)
{
	struct tr_snp_kds k = { 0 };
	struct tr_view v;

	if (!extension(vek, 1, 0, &v) || !integer(v, 255, &k.struct_version))
		return kds_bad(err, "structVersion is missing or no integer");
	if (!extension(vek, 2, 0, &v) || !ia5(v, &k.product_name))
		return kds_bad(err, "productName is missing or no text");
	k.product = product_of(k.product_name);
	if (spls(vek, &k, err))
		return err->code;
	if (extension(vek, 4, 0, &v) && !hw_id(v, &k.hw_id))
		return kds_bad(err, "hwID has neither 64 nor 8 bytes");
	if (extension(vek, 5, 0, &v) && !ia5(v, &k.csp_id))
		return kds_bad(err, "cspID is no text");
	*ret = k;
	return TR_OK;
}

/* DER as it is, or the one certificate of a PEM text where there is a store. */
static TR_RC one_der(struct tr_view in, struct tr_buf *store, struct tr_view *ret, struct tr_err *err)
{
	size_t n = 0;

	/* Fields of the VEK go into the result, which borrows from the evidence: it is not turned. */
	if (!store || (in.n && in.p[0] == 0x30)) {
		*ret = in;
		return TR_OK;
	}
	if (tr_x_pem_chain(in, "CERTIFICATE", 1, store, ret, &n, err))
		return err->code;
	if (n != 1)
		return tr_err_set(err, TR_E_INVALID, "No certificate.", "no PEM block");
	return TR_OK;
}

static bool load(struct tr_tee_result *res, const char *name, struct tr_view in, struct tr_buf *store,
		 struct tr_x_cert *ret)
{
	struct tr_view der = { 0 };
	struct tr_err err;
	enum tr_code rc;

	if (!in.n)
		return tr_tee_line(res, name, TR_Q_AUTHENTIC, TR_TEEC_SNP_CERTS, "a certificate", "none");
	tr_tee_input(res, name, in);
	rc = one_der(in, store, &der, &err);
	if (!rc)
		rc = tr_x_cert_parse(der, ret, &err);
	if (rc)
		return tr_tee_line(res, name, TR_Q_AUTHENTIC, tr_snp_code(rc, TR_TEEC_SNP_CERTS), "a certificate",
				   err.detail);
	return tr_tee_line(res, name, TR_Q_AUTHENTIC, TR_TEEC_OK, "a certificate", "read");
}

bool tr_snp_chain_find(const struct tr_snp_in *in, const struct tr_snp_report *r, struct tr_buf store[2],
		       struct tr_snp_chain *ret, struct tr_tee_result *res)
{
	struct tr_snp_certs t = { 0 };
	struct tr_view table_vek;
	struct tr_err err;
	bool ok;

	/* What the caller has goes first: the table comes from the host and is a cache at best, not even looked at when
	 * nothing is missing. */
	if (in->certs.n && (!in->vek.n || !in->ask.n || !in->ark.n)) {
		tr_tee_input(res, "certs.table", in->certs);
		if (tr_snp_certs_parse(in->certs, &t, &err)) {
			(void)tr_tee_line(res, "certs.table", TR_Q_AUTHENTIC, TR_TEEC_SNP_CERTS,
					  "a certificate table", err.detail);
			return false;
		}
	}
	table_vek = r->signing_key == TR_SNP_KEY_VLEK ? t.vlek : t.vcek;
	ok = load(res, "certs.vek", in->vek.n ? in->vek : table_vek, NULL, &ret->vek);
	ok = load(res, "certs.ask", in->ask.n ? in->ask : t.ask, &store[0], &ret->ask) && ok;
	ok = load(res, "certs.ark", in->ark.n ? in->ark : t.ark, &store[1], &ret->ark) && ok;
	ret->crl = in->crl.n ? in->crl : t.crl;
	return ok;
}
