/* SPDX-License-Identifier: Apache-2.0 */
/* Vendors' files into bundle entries. What a file is, its content says; a name or a folder means nothing. */
#include "evidence/bundle.h"

#include <stdio.h>

#include "codec/json.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "evidence/x_parts.h"

#define CHAIN_MAX 8
#define NEST_MAX 3 /* hex text of a struct of hex texts */

struct import {
	struct tr_buf *st;
	struct tr_bundle_entry *ret; /* views are offsets into st until the end: it may move while it grows */
	size_t max, n;
	struct tr_err *err;
};

static enum tr_code bad(struct import *im, const char *why)
{
	return tr_err_set(im->err, TR_E_INVALID, "the file is no collateral that can be imported", "%s", why);
}

static struct tr_view stash(struct import *im, struct tr_view v)
{
	const size_t at = im->st->n;

	tr_buf_addv(im->st, v);
	return tr_view((const uint8_t *)(uintptr_t)at, v.n);
}

static TR_RC add(struct import *im, enum tr_bundle_item type, struct tr_view key, struct tr_view bytes, int64_t issued,
		 int64_t expires)
{
	if (im->n == im->max)
		return bad(im, "more items than a bundle holds");
	im->ret[im->n].type = type;
	im->ret[im->n].key = stash(im, key);
	im->ret[im->n].bytes = stash(im, bytes);
	im->ret[im->n].issued = issued;
	im->ret[im->n].expires = expires;
	im->n++;
	return tr_buf_check(im->st, im->err);
}

static bool contains(struct tr_view text, const char *what)
{
	return text.n && memmem(text.p, text.n, what, strlen(what)) != NULL;
}

/* ---- certificates ---- */

static const char *const products[] = { "Milan", "Genoa", "Turin" };

static const char *product_in(struct tr_view cn)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(products); i++)
		if (contains(cn, products[i]))
			return products[i];
	return NULL;
}

static TR_RC add_chain(struct import *im, enum tr_bundle_item type, struct tr_view key, const struct tr_x_cert *c, size_t n)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	int64_t issued = c[0].not_before, expires = c[0].not_after;

	for (size_t i = 0; i < n; i++) {
		tr_pem_add(&pem, "CERTIFICATE", c[i].der);
		if (c[i].not_after < expires)
			expires = c[i].not_after;
		if (c[i].not_before > issued)
			issued = c[i].not_before;
	}
	return add(im, type, key, tr_buf_view(&pem), issued, expires);
}

static TR_RC add_vek(struct import *im, const struct tr_x_cert *c)
{
	struct tr_snp_kds k;
	uint8_t key[70];

	if (tr_snp_kds_read(c, &k, im->err))
		return tr_err_wrap(im->err, "VEK");
	tr_bundle_vek_key(k.product, k.hw_id, &k.tcb, key);
	return add(im, TR_BI_VEK, TR_VIEW_ARRAY(key), c->der, c->not_before, c->not_after);
}

/* A certificate by itself: AMD's, a TPM maker's, or a root of the operator's. */
static TR_RC add_cert(struct import *im, const struct tr_x_cert *c)
{
	const char *product = product_in(c->subject_cn);
	const bool self = tr_view_eq(c->issuer, c->subject);
	const struct tr_view key = tr_view_str(product ? product : "");
	uint8_t id[32];

	if (tr_view_is(c->subject_cn, "SEV-VCEK") || tr_view_is(c->subject_cn, "SEV-VLEK"))
		return add_vek(im, c);
	if (product && tr_view_starts(c->subject_cn, "ARK-"))
		return add(im, TR_BI_ARK, key, c->der, c->not_before, c->not_after);
	if (product && tr_view_starts(c->subject_cn, "SEV-VLEK-"))
		return add(im, TR_BI_ASVK, key, c->der, c->not_before, c->not_after);
	if (product && tr_view_starts(c->subject_cn, "SEV-"))
		return add(im, TR_BI_ASK, key, c->der, c->not_before, c->not_after);
	if (!c->ca)
		return bad(im, "a certificate of no authority: not Intel's, AMD's or a TPM maker's");
	tr_sha256(c->spki, id);
	if (!self)
		return add(im, TR_BI_TPM_INTERMEDIATE, TR_VIEW_ARRAY(id), c->der, c->not_before, c->not_after);
	if (contains(c->subject, "TPM") || contains(c->subject, "EK"))
		return add(im, TR_BI_TPM_ROOT, TR_VIEW_ARRAY(id), c->der, c->not_before, c->not_after);
	return add(im, TR_BI_ROOT, TR_VIEW_ARRAY(id), c->spki, c->not_before, c->not_after);
}

static TR_RC add_certs(struct import *im, const struct tr_x_cert *c, size_t n)
{
	const struct tr_view cn = c[0].subject_cn;
	enum tr_code rc = TR_OK;
	struct tr_pck pck;

	if (tr_view_is(cn, "Intel SGX TCB Signing"))
		return add_chain(im, TR_BI_TCB_CHAIN, tr_view(NULL, 0), c, n);
	if (tr_view_is(cn, "Intel SGX PCK Certificate")) {
		rc = tr_pck_read(&c[0], &pck, im->err);
		return rc ? tr_err_wrap(im->err, "PCK certificate") : add_chain(im, TR_BI_PCK_CHAIN, pck.fmspc, c, n);
	}
	/* The issuer chain of the PCK CRL: every quote brings it. */
	if (tr_view_starts(cn, "Intel SGX PCK P"))
		return TR_OK;
	if (tr_view_is(cn, "Intel SGX Root CA") && tr_view_eq(c[0].spki, tr_intel_root_spki()))
		return TR_OK;
	for (size_t i = 0; i < n && !rc; i++)
		rc = add_cert(im, &c[i]);
	return rc;
}

/* ---- CRLs ---- */

static TR_RC add_crl(struct import *im, struct tr_view der)
{
	struct tr_x_crl crl;
	struct tr_view name, whole, cn = { NULL, 0 };
	enum tr_bundle_item type;
	const char *product;

	if (tr_x_crl_parse(der, &crl, im->err))
		return tr_err_wrap(im->err, "CRL");
	name = crl.issuer;
	if (!tr_x_take_name(&name, &whole, &cn))
		return bad(im, "a CRL whose issuer has no common name");
	product = product_in(cn);
	if (tr_view_is(cn, "Intel SGX PCK Platform CA"))
		type = TR_BI_PCK_CRL_PLATFORM;
	else if (tr_view_is(cn, "Intel SGX PCK Processor CA"))
		type = TR_BI_PCK_CRL_PROCESSOR;
	else if (tr_view_is(cn, "Intel SGX Root CA"))
		type = TR_BI_ROOT_CRL;
	else if (product)
		type = TR_BI_AMD_CRL;
	else
		return bad(im, "a CRL of no issuer that verifications ask: not Intel's SGX nor AMD's");
	return add(im, type, tr_view_str(type == TR_BI_AMD_CRL ? product : ""), der, crl.this_update, crl.next_update);
}

static TR_RC import_der(struct import *im, struct tr_view der)
{
	struct tr_x_cert cert;
	struct tr_err err;

	if (tr_x_cert_parse(der, &cert, &err) == TR_OK)
		return add_certs(im, &cert, 1);
	if (tr_x_crl_parse(der, &(struct tr_x_crl){ 0 }, &err) == TR_OK)
		return add_crl(im, der);
	return bad(im, "DER that is neither certificate nor CRL");
}

/* ---- PEM ---- */

static TR_RC import_pem(struct import *im, struct tr_view text)
{
	tr_auto(tr_buf_done) struct tr_buf ders = TR_BUF_INIT;
	struct tr_x_cert certs[CHAIN_MAX];
	size_t ends[CHAIN_MAX], n = 0, from = 0;
	enum tr_code rc;

	/* Certificates first into one buffer, which moves while it grows. */
	while (tr_pem_more(text)) {
		struct tr_view label;
		const size_t at = ders.n;

		rc = tr_pem_get(text, &label, &ders, &text, im->err);
		if (rc)
			return tr_err_wrap(im->err, "PEM");
		if (tr_view_is(label, "X509 CRL")) {
			rc = add_crl(im, tr_view(ders.p + at, ders.n - at));
			if (rc)
				return rc;
			ders.n = at;
		} else if (!tr_view_is(label, "CERTIFICATE")) {
			return bad(im, "PEM that is neither certificate nor CRL; keys do not belong into a bundle");
		} else if (n == CHAIN_MAX) {
			return bad(im, "more certificates than a chain has");
		} else {
			ends[n++] = ders.n;
		}
	}
	for (size_t i = 0; i < n; from = ends[i++]) {
		rc = tr_x_cert_parse(tr_view(ders.p + from, ends[i] - from), &certs[i], im->err);
		if (rc)
			return tr_err_wrap(im->err, "certificate %zu", i + 1);
	}
	return n ? add_certs(im, certs, n) : TR_OK;
}

/* PCS gives chains in headers, percent-encoded. */
static bool percent_decode(struct tr_view in, struct tr_buf *ret)
{
	for (size_t i = 0; i < in.n; i++) {
		uint8_t c = in.p[i];

		if (c == '%') {
			if (in.n - i < 3 || !tr_hex_get(tr_view(in.p + i + 1, 2), &c, 1))
				return false;
			i += 2;
		}
		tr_buf_add8(ret, c);
	}
	return tr_buf_ok(ret);
}

/* ---- JSON ---- */

static bool json_time(tr_jnode o, const char *name, int64_t *ret_s)
{
	struct tr_view v;
	int64_t ms;

	if (!tr_json_str(tr_json_get(o, name), &v) || !tr_rfc3339_get(v, &ms))
		return false;
	*ret_s = ms / 1000;
	return true;
}

static TR_RC import_tcb_info(struct import *im, struct tr_view text, tr_jnode info)
{
	uint8_t key[7] = { TR_TEE_SGX };
	struct tr_view v;
	int64_t issued, expires;

	if (tr_json_str(tr_json_get(info, "id"), &v) && tr_view_is(v, "TDX"))
		key[0] = TR_TEE_TDX;
	if (!tr_json_str(tr_json_get(info, "fmspc"), &v) || v.n != 12 || !tr_hex_get(v, key + 1, 6) ||
	    !json_time(info, "issueDate", &issued) || !json_time(info, "nextUpdate", &expires))
		return bad(im, "TCB info without fmspc, issueDate or nextUpdate");
	return add(im, TR_BI_TCB_INFO, TR_VIEW_ARRAY(key), text, issued, expires);
}

static TR_RC import_identity(struct import *im, struct tr_view text, tr_jnode id)
{
	uint8_t key = TR_TEE_SGX;
	struct tr_view v;
	int64_t issued, expires;

	if (!tr_json_str(tr_json_get(id, "id"), &v) || !json_time(id, "issueDate", &issued) ||
	    !json_time(id, "nextUpdate", &expires))
		return bad(im, "an enclave identity without id, issueDate or nextUpdate");
	if (tr_view_is(v, "TD_QE"))
		key = TR_TEE_TDX;
	else if (!tr_view_is(v, "QE"))
		return bad(im, "the identity of an enclave that verifications do not ask about (needed: QE or TD_QE)");
	return add(im, TR_BI_QE_IDENTITY, tr_view(&key, 1), text, issued, expires);
}

static TR_RC import_any(struct import *im, struct tr_view file, unsigned depth);

/* A cache's answer: one object with everything; documents and signatures as text beside each other. */
static TR_RC import_set(struct import *im, tr_jnode o, unsigned depth)
{
	static const char *const plain[] = { "tcb_info_issuer_chain", "qe_identity_issuer_chain", "pck_crl", "root_ca_crl",
					     "pck_certificate_chain" };
	static const struct { const char *name, *signature, *member; } docs[] = {
		{ "tcb_info", "tcb_info_signature", "tcbInfo" },
		{ "qe_identity", "qe_identity_signature", "enclaveIdentity" },
	};
	enum tr_code rc = TR_OK;
	struct tr_view v, sig;

	for (size_t i = 0; i < TR_ARRAY_LEN(docs) && !rc; i++) {
		tr_auto(tr_buf_done) struct tr_buf doc = TR_BUF_INIT;

		if (!tr_json_str(tr_json_get(o, docs[i].name), &v))
			continue;
		if (tr_json_str(tr_json_get(o, docs[i].signature), &sig)) {
			tr_buf_addf(&doc, "{\"%s\":", docs[i].member);
			tr_buf_addv(&doc, v);
			tr_buf_adds(&doc, ",\"signature\":\"");
			tr_buf_addv(&doc, sig);
			tr_buf_adds(&doc, "\"}");
			v = tr_buf_view(&doc);
		}
		rc = import_any(im, v, depth + 1);
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(plain) && !rc; i++)
		if (tr_json_str(tr_json_get(o, plain[i]), &v) && v.n)
			rc = import_any(im, v, depth + 1);
	return rc;
}

static TR_RC import_json(struct import *im, struct tr_view text, unsigned depth)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_jnode root;

	if (tr_json_parse(text, &j, im->err))
		return tr_err_wrap(im->err, "JSON");
	root = tr_json_root(j);
	if (tr_json_is_object(tr_json_get(root, "tcbInfo")))
		return import_tcb_info(im, text, tr_json_get(root, "tcbInfo"));
	if (tr_json_is_object(tr_json_get(root, "enclaveIdentity")))
		return import_identity(im, text, tr_json_get(root, "enclaveIdentity"));
	if (tr_json_get(root, "tcb_info") && depth == 0)
		return import_set(im, root, depth);
	return bad(im, "JSON that is neither TCB info nor a QE identity");
}

/* ---- sgx_ql_qve_collateral_t ---- */

static uint32_t u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Two serialisations: the C structure with its (meaningless) pointers, and sizes alone. Both are followed by seven blobs. */
static bool is_struct(struct tr_view f, size_t sizes[7], size_t *ret_head)
{
	static const struct { size_t head, tee, first, step; } forms[] = { { 32, 0, 4, 4 }, { 120, 4, 16, 16 } };

	for (size_t k = 0; k < TR_ARRAY_LEN(forms); k++) {
		uint64_t total = forms[k].head;
		uint32_t tee;

		if (f.n <= forms[k].head)
			continue;
		tee = u32(f.p + forms[k].tee);
		for (size_t i = 0; i < 7; i++)
			total += sizes[i] = u32(f.p + forms[k].first + i * forms[k].step);
		*ret_head = forms[k].head;
		if ((tee == 0 || tee == 0x81) && total == f.n)
			return true;
	}
	return false;
}

static TR_RC import_struct(struct import *im, struct tr_view f, const size_t sizes[7], size_t head, unsigned depth)
{
	struct tr_view rest = tr_view(f.p + head, f.n - head);
	enum tr_code rc = TR_OK;

	for (size_t i = 0; i < 7 && !rc; i++) {
		struct tr_view blob = tr_view(rest.p, sizes[i]);

		rest = tr_view(rest.p + sizes[i], rest.n - sizes[i]);
		if (blob.n)
			rc = import_any(im, blob, depth + 1);
		if (rc)
			return tr_err_wrap(im->err, "part %zu of a collateral structure", i + 1);
	}
	return rc;
}

/* ---- any ---- */

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0;
}

static struct tr_view trim(struct tr_view v)
{
	while (v.n && is_space(v.p[0]))
		v = tr_view(v.p + 1, v.n - 1);
	while (v.n && is_space(v.p[v.n - 1]))
		v.n--;
	return v;
}

static TR_RC import_text(struct import *im, struct tr_view t, unsigned depth)
{
	tr_auto(tr_buf_done) struct tr_buf plain = TR_BUF_INIT;
	struct tr_err err;

	if (contains(t, "-----BEGIN%20")) {
		if (!percent_decode(t, &plain))
			return bad(im, "a URL-encoded chain with a broken escape");
		return import_any(im, tr_buf_view(&plain), depth + 1);
	}
	if (contains(t, "-----BEGIN "))
		return import_pem(im, t);
	if (t.n % 2 == 0 && tr_buf_space(&plain, t.n / 2) && tr_hex_get(t, plain.p, t.n / 2))
		return import_any(im, tr_buf_view(&plain), depth + 1);
	tr_buf_clear(&plain);
	if (tr_b64_get(t, TR_B64_STD, &plain, &err) == TR_OK && plain.n)
		return import_any(im, tr_buf_view(&plain), depth + 1);
	return bad(im, "neither JSON, PEM, DER, hex nor a collateral structure");
}

static TR_RC import_any(struct import *im, struct tr_view file, unsigned depth)
{
	const struct tr_view t = trim(file);
	size_t sizes[7], head;

	if (depth > NEST_MAX)
		return bad(im, "wrapped too often");
	if (is_struct(file, sizes, &head))
		return import_struct(im, file, sizes, head, depth);
	if (!t.n)
		return bad(im, "empty");
	if (file.p[0] == 0x30 && file.n > 64 && (file.p[1] & 0x80))
		return import_der(im, file);
	if (memchr(t.p, 0, t.n < 64 ? t.n : 64)) /* a quote carries its chain as PEM, and is none */
		return bad(im, "neither JSON, PEM, DER, hex nor a collateral structure; evidence is none either");
	return t.p[0] == '{' ? import_json(im, t, depth) : import_text(im, t, depth);
}

TR_RC tr_bundle_import(struct tr_view file, struct tr_buf *storage, struct tr_bundle_entry *ret, size_t max, size_t *ret_n,
		       struct tr_err *err)
{
	struct import im = { .st = storage, .ret = ret, .max = max, .err = err };
	enum tr_code rc;

	if (file.n > TR_BUNDLE_MAX * 2)
		return tr_err_set(err, TR_E_INVALID, "the file is too long for collateral", "%zu bytes", file.n);
	rc = import_any(&im, file, 0);
	if (rc)
		return rc;
	for (size_t i = 0; i < im.n; i++) {
		ret[i].key.p = storage->p + (uintptr_t)ret[i].key.p;
		ret[i].bytes.p = storage->p + (uintptr_t)ret[i].bytes.p;
	}
	*ret_n = im.n;
	return TR_OK;
}
