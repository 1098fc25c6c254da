/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, and PEM chains of them (inputs that start with dashes). Oracle: what is read lies inside the input in the
 * order of RFC 5280, dates written again by another writer stand in it, and where OpenSSL's reader takes the certificate as
 * well, both say the same. */
#include "codec/codec_fuzz.h"

#include "codec/pem.h"
#include "crypto/x509.h"
#include "evidence/x_parts.h"

static void check_time(struct tr_view in, int64_t unix_s)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_der_add_time(&b, unix_s * 1000);
	MUST(memmem(in.p, in.n, b.p, b.n));
}

static void check_order(const struct tr_x_cert *c)
{
	const struct tr_view order[] = { c->serial, c->issuer, c->subject, c->spki, c->extensions };
	const uint8_t *at = c->tbs.p;

	MUST(is_inside(c->tbs, c->der) && is_inside(c->sig, c->der) && c->sig.p + c->sig.n == c->der.p + c->der.n);
	for (size_t i = 0; i < TR_ARRAY_LEN(order); i++) {
		if (!order[i].n)
			continue;
		MUST(is_inside(order[i], c->tbs) && order[i].p > at);
		at = order[i].p + order[i].n - 1;
	}
	MUST(is_inside(c->subject_cn, c->subject) && is_inside(c->point, c->spki) && is_inside(c->modulus, c->spki) &&
	     is_inside(c->exponent, c->spki) && is_inside(c->ski, c->extensions) && is_inside(c->aki, c->extensions));
}

static void check_extensions(const struct tr_x_cert *c)
{
	struct tr_view rest = c->extensions, v;
	size_t n = 0;

	MUST(!c->extensions.n || c->v3);
	while (rest.n) {
		struct tr_view ext, oid;

		MUST(tr_der_take(&rest, TR_DER_SEQ, &ext) && tr_der_take(&ext, TR_DER_OID, &oid));
		MUST(tr_x_cert_extension(c, oid, &v) && is_inside(v, ext));
		n++;
	}
	MUST(n <= TR_X_EXTS_MAX);
	MUST(c->has_basic == tr_x_cert_extension(c, TR_VIEW_LIT("\x55\x1d\x13"), &v));
	MUST(c->has_usage == tr_x_cert_extension(c, TR_VIEW_LIT("\x55\x1d\x0f"), &v));
	MUST((!c->ca || c->has_basic) && (c->path_len == -1 || c->ca) && (!c->usage || c->has_usage));
}

/* By its own key, which says yes for a self-signed one; what is asked here is that nothing breaks, and that a signature that
 * holds does not hold for other bytes. */
static void check_key(const struct tr_x_cert *c)
{
	tr_auto(tr_raw_key_free) struct tr_raw_key *k = NULL;
	struct tr_err err;

	if (tr_x_cert_key(c, &k, &err))
		return;
	MUST(tr_raw_key_type(k) == c->key_type);
	if (tr_x_verify(c->sig_alg, c->tbs, c->sig, k, &err) == TR_OK)
		MUST(tr_x_verify(c->sig_alg, tr_view(c->tbs.p, c->tbs.n - 1), c->sig, k, &err) == TR_E_DENIED);
}

static void check_other(const struct tr_x_cert *c)
{
	tr_auto(tr_cert_free) struct tr_cert *other = NULL;
	const struct tr_pubkey *key;
	struct tr_err err;

	if (tr_cert_parse(c->der, &other, &err))
		return;
	MUST(tr_cert_not_before_ms(other) == c->not_before * 1000 && tr_cert_not_after_ms(other) == c->not_after * 1000);
	key = tr_cert_key(other);
	MUST(!key || tr_view_eq(tr_pubkey_spki(key), c->spki));
}

static void try_cert(struct tr_view der)
{
	struct tr_x_cert c;
	struct tr_err err;

	if (tr_x_cert_parse(der, &c, &err))
		return;
	MUST(tr_der_is_strict(der) && c.der.p == der.p && c.der.n == der.n);
	check_order(&c);
	check_time(c.tbs, c.not_before);
	check_time(c.tbs, c.not_after);
	check_extensions(&c);
	check_other(&c);
	check_key(&c);
}

static void try_chain(struct tr_view pem)
{
	tr_auto(tr_buf_done) struct tr_buf ders = TR_BUF_INIT, again = TR_BUF_INIT, text = TR_BUF_INIT;
	struct tr_view der[4], der2[4];
	struct tr_err err;
	size_t n, n2;

	if (tr_x_pem_chain(pem, "CERTIFICATE", 4, &ders, der, &n, &err)) {
		MUST(ders.n == 0);
		return;
	}
	MUST(n <= 4);
	for (size_t i = 0; i < n; i++) {
		tr_pem_add(&text, "CERTIFICATE", der[i]);
		try_cert(der[i]);
	}
	MUST(tr_x_pem_chain(tr_buf_view(&text), "CERTIFICATE", 4, &again, der2, &n2, &err) == TR_OK && n2 == n);
	MUST(tr_view_eq(tr_buf_view(&ders), tr_buf_view(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view in = tr_view(data, size);

	if (size && data[0] != TR_DER_SEQ)
		try_chain(in);
	else
		try_cert(in);
	return 0;
}
