/* SPDX-License-Identifier: Apache-2.0 */
/* Writes certificates and CSRs byte by byte, and reads CSRs. No template and no text syntax in between: a
 * name with a comma in it cannot become a second name. */
#include "crypto/x509.h"

#include "crypto/der.h"
#include "crypto/ossl.h"

#include <arpa/inet.h>

#define SERIAL_LEN 16
#define CN_MAX 64 /* RFC 5280 ub-common-name */
#define DNS_MAX 253

static const uint8_t oid_cn[] = { 0x55, 0x04, 0x03 };
static const uint8_t oid_ski[] = { 0x55, 0x1d, 0x0e };
static const uint8_t oid_ku[] = { 0x55, 0x1d, 0x0f };
static const uint8_t oid_san[] = { 0x55, 0x1d, 0x11 };
static const uint8_t oid_bc[] = { 0x55, 0x1d, 0x13 };
static const uint8_t oid_aki[] = { 0x55, 0x1d, 0x23 };
static const uint8_t oid_eku[] = { 0x55, 0x1d, 0x25 };
static const uint8_t oid_server_auth[] = { 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01 };
static const uint8_t oid_client_auth[] = { 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02 };

/* RFC 7093 2 method 1: the leftmost 160 bits of SHA-256 over the key's bits. */
static bool key_identifier(struct tr_view spki, uint8_t out[20])
{
	struct tr_view seq, alg, bits;
	uint8_t sum[TR_SHA256_LEN];

	if (!tr_der_take(&spki, TR_DER_SEQ, &seq) || !tr_der_take(&seq, TR_DER_SEQ, &alg) ||
	    !tr_der_take(&seq, TR_DER_BITS, &bits) || bits.n < 1)
		return false;
	tr_sha256(tr_view(bits.p + 1, bits.n - 1), sum);
	memcpy(out, sum, 20);
	return true;
}

static void add_name(struct tr_buf *b, const char *cn)
{
	size_t name = b->n, set, atv;

	set = b->n;
	atv = b->n;
	tr_der_add(b, TR_DER_OID, TR_VIEW_ARRAY(oid_cn));
	tr_der_add(b, TR_DER_UTF8, tr_view_str(cn));
	tr_der_wrap(b, atv, TR_DER_SEQ);
	tr_der_wrap(b, set, TR_DER_SET);
	tr_der_wrap(b, name, TR_DER_SEQ);
}

/* Wraps what was written since `at` into an Extension. */
static void end_ext(struct tr_buf *b, size_t at, struct tr_view oid, bool critical)
{
	tr_auto(tr_buf_done) struct tr_buf value = TR_BUF_INIT;

	tr_buf_add(&value, b->p + at, b->n - at);
	if (!tr_buf_ok(&value))
		b->failed = true;
	b->n = at;
	tr_der_add(b, TR_DER_OID, oid);
	if (critical)
		tr_der_add(b, TR_DER_BOOL, TR_VIEW_LIT("\xff"));
	tr_der_add(b, TR_DER_OCTETS, tr_buf_view(&value));
	tr_der_wrap(b, at, TR_DER_SEQ);
}

static void add_bc_ku(struct tr_buf *b, bool ca)
{
	size_t at = b->n;

	if (ca) {
		tr_der_add(b, TR_DER_BOOL, TR_VIEW_LIT("\xff"));
		/* pathLen 0: this CA signs leaves, never another CA. */
		tr_der_add(b, TR_DER_INT, TR_VIEW_LIT("\0"));
	}
	tr_der_wrap(b, at, TR_DER_SEQ);
	end_ext(b, at, TR_VIEW_ARRAY(oid_bc), true);
	at = b->n;
	/* keyCertSign and cRLSign, or digitalSignature alone. */
	tr_der_add(b, TR_DER_BITS, ca ? TR_VIEW_LIT("\x01\x06") : TR_VIEW_LIT("\x07\x80"));
	end_ext(b, at, TR_VIEW_ARRAY(oid_ku), true);
}

static void add_eku(struct tr_buf *b, const struct tr_cert_spec *spec)
{
	size_t at = b->n;

	if (!spec->server_auth && !spec->client_auth)
		return;
	if (spec->server_auth)
		tr_der_add(b, TR_DER_OID, TR_VIEW_ARRAY(oid_server_auth));
	if (spec->client_auth)
		tr_der_add(b, TR_DER_OID, TR_VIEW_ARRAY(oid_client_auth));
	tr_der_wrap(b, at, TR_DER_SEQ);
	end_ext(b, at, TR_VIEW_ARRAY(oid_eku), false);
}

static bool dns_ok(struct tr_view v)
{
	size_t label = 0;

	if (v.n == 0 || v.n > DNS_MAX)
		return false;
	for (size_t i = 0; i < v.n; i++) {
		uint8_t c = v.p[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if ((alnum || c == '-' || c == '_') && label < 63) {
			label++;
		} else {
			return false;
		}
	}
	return label > 0;
}

/* GeneralName [7] iPAddress or [2] dNSName; false when the text is neither. */
static bool add_host(struct tr_buf *b, const char *host)
{
	uint8_t ip[16];

	if (inet_pton(AF_INET, host, ip) == 1)
		tr_der_add(b, TR_DER_CTX | 7, tr_view(ip, 4));
	else if (inet_pton(AF_INET6, host, ip) == 1)
		tr_der_add(b, TR_DER_CTX | 7, tr_view(ip, 16));
	else if (dns_ok(tr_view_str(host)))
		tr_der_add(b, TR_DER_CTX | 2, tr_view_str(host));
	else
		return false;
	return true;
}

static TR_RC add_san(struct tr_buf *b, const struct tr_cert_spec *spec, struct tr_err *err)
{
	size_t at = b->n;

	if (spec->spiffe)
		tr_der_add(b, TR_DER_CTX | 6, tr_view_str(spec->spiffe));
	for (const char *const *d = spec->dns; d && *d; d++)
		if (!add_host(b, *d))
			return tr_err_set(err, TR_E_INVALID,
					  "a name for the certificate is neither a host name nor an "
					  "IP address",
					  "bad host name for a certificate");
	if (b->n == at)
		return TR_OK;
	tr_der_wrap(b, at, TR_DER_SEQ);
	end_ext(b, at, TR_VIEW_ARRAY(oid_san), false);
	return TR_OK;
}

static TR_RC add_extensions(struct tr_buf *b, const struct tr_cert_spec *spec, struct tr_view issuer_spki,
			    struct tr_err *err)
{
	size_t list = b->n, at;
	uint8_t id[20];
	enum tr_code rc;

	add_bc_ku(b, spec->ca);
	add_eku(b, spec);
	rc = add_san(b, spec, err);
	if (rc)
		return rc;
	if (!key_identifier(spec->spki, id))
		return tr_err_set(err, TR_E_INTERNAL, "the subject's key is malformed", "key identifier");
	at = b->n;
	tr_der_add(b, TR_DER_OCTETS, TR_VIEW_ARRAY(id));
	end_ext(b, at, TR_VIEW_ARRAY(oid_ski), false);
	if (!key_identifier(issuer_spki, id))
		return tr_err_set(err, TR_E_INTERNAL, "the CA's key is malformed", "key identifier");
	at = b->n;
	tr_der_add(b, TR_DER_CTX | 0, TR_VIEW_ARRAY(id));
	tr_der_wrap(b, at, TR_DER_SEQ);
	end_ext(b, at, TR_VIEW_ARRAY(oid_aki), false);
	tr_der_wrap(b, list, TR_DER_SEQ);
	tr_der_wrap(b, list, TR_DER_CTX_CONS | 3);
	return TR_OK;
}

/* SEQUENCE { what was written since `at`, algorithm, BIT STRING signature }. */
static TR_RC sign_and_wrap(struct tr_buf *b, size_t at, const struct tr_privkey *k, struct tr_err *err)
{
	enum tr_sig_alg alg = tr_x509_alg(tr_privkey_pub(k));
	uint8_t sig[1 + TR_SIG_MAX] = { 0 }; /* the first byte: no unused bits */
	size_t n;
	enum tr_code rc = tr_buf_check(b, err);

	if (!rc)
		rc = tr_sign(k, alg, tr_view(b->p + at, b->n - at), sig + 1, &n, err);
	if (rc)
		return rc;
	tr_buf_addv(b, tr_sig_alg_der(alg));
	tr_der_add(b, TR_DER_BITS, tr_view(sig, n + 1));
	tr_der_wrap(b, at, TR_DER_SEQ);
	return tr_buf_check(b, err);
}

static TR_RC check_spec(const struct tr_cert_spec *s, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	struct tr_view cn = tr_view_str(s->common_name);

	if (cn.n == 0 || cn.n > CN_MAX)
		return tr_err_set(err, TR_E_INVALID, "the common name must have 1 to 64 bytes", "%zu bytes",
				  cn.n);
	for (size_t i = 0; i < cn.n; i++)
		if (cn.p[i] < ' ' || cn.p[i] >= 0x7f)
			return tr_err_set(err, TR_E_INVALID, "the common name has unprintable characters",
					  "byte %02x", cn.p[i]);
	if (s->not_after_ms <= s->not_before_ms || s->not_before_ms < 0 || s->not_after_ms > 253402300799000)
		return tr_err_set(err, TR_E_INVALID, "the validity times are out of order", "%lld to %lld ms",
				  (long long)s->not_before_ms, (long long)s->not_after_ms);
	if (s->spiffe && !tr_spiffe_id_ok(tr_view_str(s->spiffe)))
		return tr_err_set(err, TR_E_INVALID, "the SPIFFE id is malformed", "bad SPIFFE id");
	return tr_pubkey_from_spki(s->spki, &k, err);
}

/* The issuer's Name as the CA certificate spells it, byte for byte (RFC 5280 7.1), and its end of life. */
static TR_RC read_ca(const struct tr_privkey *ca_key, const struct tr_cert *ca, const struct tr_cert_spec *spec,
		     struct tr_buf *ret_name, struct tr_err *err)
{
	unsigned char *name = NULL;
	enum tr_code rc;
	int n;

	if (!tr_cert_key(ca) || memcmp(tr_cert_key(ca)->id, tr_privkey_pub(ca_key)->id, TR_SHA256_LEN) != 0)
		return tr_err_set(err, TR_E_INVALID, "the CA certificate is not for the CA key",
				  "CA key mismatch");
	rc = tr_cert_check_ca_shape(ca, err);
	if (rc)
		return tr_err_wrap(err, "CA certificate");
	if (spec->not_after_ms > tr_cert_not_after_ms(ca))
		return tr_err_set(err, TR_E_INVALID,
				  "the certificate would outlive its CA; renew the CA first",
				  "leaf ends after its CA");
	n = i2d_X509_NAME(X509_get_subject_name(tr_cert_x509(ca)), &name);
	if (n <= 0)
		return tr_ossl_fail(err, TR_E_INTERNAL, "the CA's name is malformed", "CA subject");
	tr_buf_add(ret_name, name, (size_t)n);
	OPENSSL_free(name);
	return tr_buf_check(ret_name, err);
}

TR_RC tr_cert_issue(const struct tr_privkey *ca_key, struct tr_view ca_der, const struct tr_cert_spec *spec,
		    struct tr_buf *ret_der, struct tr_err *err)
{
	tr_auto(tr_cert_free) struct tr_cert *ca = NULL;

	if (ca_der.n && tr_cert_parse(ca_der, &ca, err))
		return tr_err_wrap(err, "CA certificate");
	return tr_cert_issue_by(ca_key, ca, spec, ret_der, err);
}

TR_RC tr_cert_issue_by(const struct tr_privkey *ca_key, const struct tr_cert *ca, const struct tr_cert_spec *spec,
		       struct tr_buf *ret_der, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf issuer = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_view issuer_spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
	uint8_t serial[SERIAL_LEN];
	enum tr_code rc = check_spec(spec, err);
	size_t at;

	if (rc)
		return rc;
	if (!spec->ca && tr_view_eq(spec->spki, issuer_spki))
		return tr_err_set(err, TR_E_INVALID, "the CA's own key cannot stand for a party",
				  "leaf with the CA's key");
	if (spec->ca != !ca || (spec->ca && !tr_view_eq(spec->spki, issuer_spki)))
		return tr_err_set(err, TR_E_INVALID,
				  "only a self-signed CA is issued without a CA certificate",
				  "CA flag and CA certificate contradict");
	if (spec->ca)
		add_name(&issuer, spec->common_name);
	else
		rc = read_ca(ca_key, ca, spec, &issuer, err);
	if (rc)
		return rc;

	tr_der_add(&b, TR_DER_INT, TR_VIEW_LIT("\2")); /* v3 */
	tr_der_wrap(&b, 0, TR_DER_CTX_CONS | 0);
	tr_random(serial, sizeof(serial));
	serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, and always 16 bytes */
	tr_der_add_uint(&b, TR_VIEW_ARRAY(serial));
	tr_buf_addv(&b, tr_sig_alg_der(tr_x509_alg(tr_privkey_pub(ca_key))));
	tr_buf_addv(&b, tr_buf_view(&issuer));
	at = b.n;
	tr_der_add_time(&b, spec->not_before_ms);
	tr_der_add_time(&b, spec->not_after_ms);
	tr_der_wrap(&b, at, TR_DER_SEQ);
	at = b.n;
	add_name(&b, spec->common_name);
	/* With its issuer's name a leaf would look self-issued to every verifier. */
	if (!spec->ca && tr_buf_ok(&b) && tr_view_eq(tr_view(b.p + at, b.n - at), tr_buf_view(&issuer)))
		return tr_err_set(err, TR_E_INVALID, "the common name is that of the CA",
				  "leaf with the CA's name");
	tr_buf_addv(&b, spec->spki);
	rc = add_extensions(&b, spec, issuer_spki, err);
	if (rc)
		return rc;
	tr_der_wrap(&b, 0, TR_DER_SEQ);
	rc = sign_and_wrap(&b, 0, ca_key, err);
	if (rc)
		return rc;
	if (b.n > TR_CERT_DER_MAX)
		return tr_err_set(err, TR_E_INVALID,
				  "the certificate would be too large; give it fewer names", "%zu bytes",
				  b.n);
	tr_buf_addv(ret_der, tr_buf_view(&b));
	return tr_buf_check(ret_der, err);
}

TR_RC tr_csr_make(const struct tr_privkey *k, struct tr_buf *ret_der, struct tr_err *err)
{
	size_t at = ret_der->n;

	tr_der_add(ret_der, TR_DER_INT, TR_VIEW_LIT("\0"));
	tr_der_add(ret_der, TR_DER_SEQ, tr_view(NULL, 0)); /* no subject: the server decides */
	tr_buf_addv(ret_der, tr_pubkey_spki(tr_privkey_pub(k)));
	tr_der_add(ret_der, TR_DER_CTX_CONS | 0, tr_view(NULL, 0));
	tr_der_wrap(ret_der, at, TR_DER_SEQ);
	return sign_and_wrap(ret_der, at, k, err);
}

static TR_RC bad_csr(struct tr_err *err, const char *what)
{
	return tr_err_set(err, TR_E_INVALID, "the certificate request is malformed (PKCS#10 DER is wanted)",
			  "CSR: %s", what);
}

/* Reads by hand what matters: five fields, and OpenSSL's decoder stays away from an unknown peer's bytes. */
TR_RC tr_csr_check(struct tr_view der, struct tr_pubkey **ret_key, struct tr_err *err)
{
	static const enum tr_sig_alg algs[] = { TR_SIG_ED25519, TR_SIG_ES256_DER, TR_SIG_RS256 };
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	struct tr_view outer, whole, info, subject, spki, attrs, version, sig, skip;
	enum tr_code rc;

	if (der.n > TR_CSR_DER_MAX)
		return tr_err_set(err, TR_E_INVALID, "the certificate request is too large", "%zu bytes",
				  der.n);
	if (!tr_der_is_strict(der) || !tr_der_take(&der, TR_DER_SEQ, &outer))
		return bad_csr(err, "not DER");
	whole = outer;
	if (!tr_der_take(&outer, TR_DER_SEQ, &info))
		return bad_csr(err, "no CertificationRequestInfo");
	whole.n -= outer.n; /* the signed bytes, as they came */
	if (!tr_der_take(&info, TR_DER_INT, &version) || !tr_view_eq(version, TR_VIEW_LIT("\0")))
		return bad_csr(err, "version");
	if (!tr_der_take(&info, TR_DER_SEQ, &subject))
		return bad_csr(err, "subject");
	spki = info;
	if (!tr_der_take(&info, TR_DER_SEQ, &skip))
		return bad_csr(err, "no key");
	spki.n -= info.n;
	/* RFC 2986 4.1: attributes are there even when empty; theirs are not asked. */
	if (!tr_der_take(&info, TR_DER_CTX_CONS | 0, &attrs) || info.n != 0)
		return bad_csr(err, "attributes");
	rc = tr_pubkey_from_spki(spki, &k, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < TR_ARRAY_LEN(algs); i++) {
		struct tr_view alg = tr_sig_alg_der(algs[i]);

		if (!tr_pubkey_can(k, algs[i]))
			continue;
		if (outer.n < alg.n || memcmp(outer.p, alg.p, alg.n) != 0)
			return tr_err_set(
				err, TR_E_INVALID,
				"the certificate request must be signed with SHA-256 (or Ed25519) by its key",
				"CSR signature algorithm does not go with a %s key", k->name);
		outer = tr_view(outer.p + alg.n, outer.n - alg.n);
		if (!tr_der_take(&outer, TR_DER_BITS, &sig) || outer.n != 0 || sig.n < 1 || sig.p[0] != 0)
			return bad_csr(err, "signature field");
		rc = tr_verify(k, algs[i], whole, tr_view(sig.p + 1, sig.n - 1), err);
		if (rc)
			return tr_err_wrap(err, "CSR");
		*ret_key = TR_TAKE(k);
		return TR_OK;
	}
	return bad_csr(err, "no scheme for the key");
}
