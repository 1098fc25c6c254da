/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and requests from outside. The bytes are read as they are, and once more with their first part
 * signed by a CA that is trusted here: so the checks behind the signature are reached, and must still let
 * only what they promise through. */
#include "codec/ident.h"
#include "crypto/der.h"
#include "crypto/ossl.h"

#include <openssl/x509v3.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_MS 1800000000000
#define DOMAIN "example.org"
#define MUST(what)                                                                                           \
	do {                                                                                                 \
		if (!(what))                                                                                 \
			abort();                                                                             \
	} while (0)

static struct tr_privkey *ca_key;
static struct tr_ca_set *cas;
static struct tr_buf ca;

/* The key of the corpus: its seeds name this CA as their issuer. */
static void start(void)
{
	static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
				  "MC4CAQAwBQYDK2VwBCIEIHRyb3RoIGZ1enogQ0Egc2VlZCwgbm90IGEgc2VjcmV0\n"
				  "-----END PRIVATE KEY-----\n";
	struct tr_cert_spec spec = { .common_name = "fuzz CA", .ca = true, .not_after_ms = 2500000000000 };
	struct tr_err err;
	struct tr_view v;

	MUST(tr_crypto_init(&err) == TR_OK);
	MUST(tr_privkey_from_pem(TR_VIEW_LIT(pem), &ca_key, &err) == TR_OK);
	spec.spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
	MUST(tr_cert_issue(ca_key, tr_view(NULL, 0), &spec, &ca, &err) == TR_OK);
	v = tr_buf_view(&ca);
	MUST(tr_ca_set_new(&v, 1, &cas, &err) == TR_OK);
}

static void check_use(const struct tr_cert *c, enum tr_cert_use use)
{
	struct tr_view id, extra = tr_buf_view(&ca);
	struct tr_err err;

	if (tr_cert_check(c, &extra, 1, cas, use, DOMAIN, NOW_MS, &err) != TR_OK)
		return;
	MUST(tr_cert_check_leaf_shape(c, use, DOMAIN, &err) == TR_OK);
	MUST(tr_cert_check_ca_shape(c, &err) != TR_OK);
	MUST(tr_cert_not_before_ms(c) <= NOW_MS && tr_cert_not_after_ms(c) >= NOW_MS - 1000);
	MUST(!X509_check_ca(tr_cert_x509(c)));
	MUST(use == TR_USE_SVID || tr_cert_key(c));
	if (use == TR_USE_AGENT)
		MUST(tr_cert_agent_id(c, DOMAIN, &id, &err) == TR_OK && tr_ident_ok(id));
}

static void try_cert(struct tr_view der)
{
	tr_auto(tr_cert_free) struct tr_cert *c = NULL;
	struct tr_err err;

	if (tr_cert_parse(der, &c, &err) != TR_OK)
		return;
	MUST(tr_view_eq(der, tr_cert_der(c)));
	MUST(strlen(tr_cert_spiffe(c)) <= TR_SPIFFE_MAX);
	for (int use = TR_USE_AGENT; use <= TR_USE_SVID; use++)
		check_use(c, (enum tr_cert_use)use);
	(void)tr_cert_is_for_host(c, "h.example.org");
	(void)tr_cert_is_for_host(c, "192.0.2.1");
}

/* SEQUENCE { the first element of what came, Ed25519, our signature }. */
static void sign_first(struct tr_view in, struct tr_buf *out)
{
	static const uint8_t alg[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70 };
	uint8_t sig[1 + TR_SIG_MAX] = { 0 };
	struct tr_view outer;
	struct tr_der d;
	struct tr_err err;
	size_t n;

	if (!tr_der_take(&in, TR_DER_SEQ, &outer) || !tr_der_next(&outer, &d))
		return;
	MUST(tr_sign(ca_key, TR_SIG_ED25519, d.whole, sig + 1, &n, &err) == TR_OK);
	tr_buf_addv(out, d.whole);
	tr_buf_add(out, alg, sizeof(alg));
	tr_der_add(out, TR_DER_BITS, tr_view(sig, n + 1));
	tr_der_wrap(out, 0, TR_DER_SEQ);
}

static void try_csr(struct tr_view der)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	struct tr_err err;
	struct tr_view spki;

	if (tr_csr_check(der, &k, &err) != TR_OK)
		return;
	spki = tr_pubkey_spki(k);
	MUST(memmem(der.p, der.n, spki.p, spki.n));
	MUST(tr_der_is_strict(der));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf signed_der = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size);

	if (!ca_key)
		start();
	try_cert(in);
	try_csr(in);
	if (size <= TR_CERT_DER_MAX)
		sign_first(in, &signed_der);
	try_cert(tr_buf_view(&signed_der));
	try_csr(tr_buf_view(&signed_der));
	return 0;
}
