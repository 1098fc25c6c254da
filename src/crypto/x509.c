/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and checks certificates. OpenSSL builds the chain; what it lets pass even with X509_STRICT (a CA as a
 * leaf, v1, any extended key usage, zero serials, weak keys, two names) is refused here by name. */
#include "crypto/x509.h"

#include "codec/ident.h"
#include "codec/text.h"
#include "crypto/der.h"
#include "crypto/ossl.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#define EXTENSIONS_MAX 32
#define SERIAL_MAX 20 /* RFC 5280 4.1.2.2 */

/* What a certificate's names come to, collected once at parsing. */
struct names {
	unsigned uris, hosts, others;
	bool broken; /* the extension is there and does not parse, or is there twice */
};

struct tr_cert {
	X509 *x;
	struct tr_pubkey *key;
	struct tr_err key_err; /* why key is NULL */
	int64_t not_before_ms, not_after_ms;
	struct names names;
	char spiffe[TR_SPIFFE_MAX + 1];
	uint8_t sha256[TR_SHA256_LEN];
	size_t n;
	uint8_t der[];
};

enum tr_code tr_cert_refuse(struct tr_err *err, const char *pub)
{
	return tr_ossl_fail(err, TR_E_UNAUTH, pub, "certificate: %s", pub);
}

static bool time_ms(const ASN1_TIME *t, int64_t *ret)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*ret = (int64_t)timegm(&tm) * 1000;
	return true;
}

static bool is_printable(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] <= ' ' || p[i] >= 0x7f)
			return false;
	return true;
}

static void read_names(struct tr_cert *c)
{
	int crit = -1;
	GENERAL_NAMES *all = X509_get_ext_d2i(c->x, NID_subject_alt_name, &crit, NULL);

	c->names.broken = !all && crit != -1;
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
		const ASN1_IA5STRING *s = g->d.uniformResourceIdentifier;
		const uint8_t *p;
		size_t n;

		if (g->type == GEN_DNS || g->type == GEN_IPADD)
			c->names.hosts++;
		else if (g->type != GEN_URI)
			c->names.others++;
		if (g->type != GEN_URI || c->names.uris++ > 0)
			continue;
		p = ASN1_STRING_get0_data(s);
		n = (size_t)ASN1_STRING_length(s);
		if (n <= TR_SPIFFE_MAX && is_printable(p, n)) {
			memcpy(c->spiffe, p, n);
			c->spiffe[n] = 0;
		}
	}
	/* With two there is no "the one". */
	if (c->names.uris != 1)
		c->spiffe[0] = 0;
	GENERAL_NAMES_free(all);
}

static TR_RC read_key(struct tr_cert *c, struct tr_err *err)
{
	unsigned char *spki = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c->x), &spki);

	if (n <= 0)
		return tr_ossl_fail(err, TR_E_INVALID, "the certificate is malformed",
				    "no key in a certificate");
	/* A foreign CA may have a key that we do not use ourselves: no reason to refuse to parse it. */
	(void)!tr_pubkey_from_spki(tr_view(spki, (size_t)n), &c->key, &c->key_err);
	OPENSSL_free(spki);
	return TR_OK;
}

/* One certificate, one fingerprint: what OpenSSL read, written again, must be what came. */
static bool is_same_encoding(const struct tr_cert *c)
{
	unsigned char *der = NULL;
	int n = i2d_X509(c->x, &der);
	bool same = n > 0 && tr_view_eq(tr_view(der, (size_t)n), tr_view(c->der, c->n));

	OPENSSL_free(der);
	return same;
}

struct tr_cert *tr_cert_free(struct tr_cert *c)
{
	if (c) {
		X509_free(c->x);
		(void)tr_pubkey_free(c->key);
		free(c);
	}
	return NULL;
}

TR_RC tr_cert_parse(struct tr_view der, struct tr_cert **ret, struct tr_err *err)
{
	static const char *const pub = "the certificate is malformed";
	tr_auto(tr_cert_free) struct tr_cert *c = NULL;
	const unsigned char *p;
	enum tr_code rc;

	if (der.n > TR_CERT_DER_MAX)
		return tr_err_set(err, TR_E_INVALID, "the certificate is larger than 4096 bytes", "%zu bytes",
				  der.n);
	if (!tr_der_is_strict(der))
		return tr_err_set(err, TR_E_INVALID, pub, "certificate is not DER");
	c = calloc(1, sizeof(*c) + der.n);
	if (!c)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "certificate");
	memcpy(c->der, der.p, der.n);
	c->n = der.n;
	c->x = X509_new_ex(tr_ossl_ctx(), NULL);
	p = c->der;
	/* On failure d2i frees the object and leaves NULL. */
	if (!c->x || !d2i_X509(&c->x, &p, (long)c->n) || p != c->der + c->n)
		return tr_ossl_fail(err, TR_E_INVALID, pub, "certificate");
	if (!time_ms(X509_get0_notBefore(c->x), &c->not_before_ms) ||
	    !time_ms(X509_get0_notAfter(c->x), &c->not_after_ms))
		return tr_ossl_fail(err, TR_E_INVALID, pub, "certificate times");
	if (!is_same_encoding(c))
		return tr_ossl_fail(err, TR_E_INVALID, pub, "certificate is not the DER of its content");
	rc = read_key(c, err);
	if (rc)
		return rc;
	read_names(c);
	tr_sha256(der, c->sha256);
	ERR_clear_error();
	*ret = TR_TAKE(c);
	return TR_OK;
}

struct tr_view tr_cert_der(const struct tr_cert *c)
{
	return tr_view(c->der, c->n);
}

const struct tr_pubkey *tr_cert_key(const struct tr_cert *c)
{
	return c->key;
}

bool tr_cert_names_host(const struct tr_cert *c)
{
	return c->names.hosts > 0;
}

TR_RC tr_cert_take_key(struct tr_cert *c, struct tr_pubkey **ret, struct tr_err *err)
{
	if (!c->key) {
		*err = c->key_err;
		return err->code;
	}
	*ret = TR_TAKE(c->key);
	return TR_OK;
}

X509 *tr_cert_x509(const struct tr_cert *c)
{
	return c->x;
}

const uint8_t *tr_cert_sha256(const struct tr_cert *c)
{
	return c->sha256;
}

int64_t tr_cert_not_before_ms(const struct tr_cert *c)
{
	return c->not_before_ms;
}

int64_t tr_cert_not_after_ms(const struct tr_cert *c)
{
	return c->not_after_ms;
}

const char *tr_cert_spiffe(const struct tr_cert *c)
{
	return c->spiffe;
}

void tr_cert_serial_hex(const struct tr_cert *c, struct tr_buf *b)
{
	const ASN1_INTEGER *s = X509_get0_serialNumber(c->x);

	tr_hex_add(b, tr_view(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
}

bool tr_cert_is_for_host(const struct tr_cert *c, const char *host)
{
	uint8_t ip[16];

	if (inet_pton(AF_INET, host, ip) == 1)
		return X509_check_ip(c->x, ip, 4, 0) == 1;
	if (inet_pton(AF_INET6, host, ip) == 1)
		return X509_check_ip(c->x, ip, 16, 0) == 1;
	/* A wildcard stands for one whole label, and the common name for nothing (RFC 9525 6.3). */
	return X509_check_host(c->x, host, strlen(host),
			       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
			       NULL) == 1;
}

/* Empty when it is neither a DNS name nor an address, or does not fit. */
static void host_text(const GENERAL_NAME *name, char *out, size_t len)
{
	const ASN1_STRING *s = NULL;
	int type = 0;

	out[0] = 0;
	s = GENERAL_NAME_get0_value(name, &type);
	if (type == GEN_DNS && (size_t)ASN1_STRING_length(s) < len &&
	    !memchr(ASN1_STRING_get0_data(s), 0, (size_t)ASN1_STRING_length(s)))
		(void)snprintf(out, len, "%.*s", ASN1_STRING_length(s), (const char *)ASN1_STRING_get0_data(s));
	else if (type == GEN_IPADD && (ASN1_STRING_length(s) == 4 || ASN1_STRING_length(s) == 16))
		(void)inet_ntop(ASN1_STRING_length(s) == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), out,
				(socklen_t)len);
}

TR_RC tr_cert_each_host(const struct tr_cert *c, tr_host_fn fn, void *arg, struct tr_err *err)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(c->x, NID_subject_alt_name, NULL, NULL);
	bool go = names != NULL;

	for (int i = 0; go && i < sk_GENERAL_NAME_num(names); i++) {
		char host[256];

		host_text(sk_GENERAL_NAME_value(names, i), host, sizeof(host));
		go = !host[0] || fn(arg, host);
	}
	GENERAL_NAMES_free(names);
	return names ? TR_OK : tr_err_set(err, TR_E_NOTFOUND, "the certificate names no host", "no subjectAltName");
}

bool tr_trust_domain_ok(struct tr_view v)
{
	if (v.n == 0 || v.n > 255)
		return false;
	for (size_t i = 0; i < v.n; i++) {
		uint8_t c = v.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'))
			return false;
	}
	return true;
}

/* SPIFFE-ID 2.2: segments of [a-zA-Z0-9._-], none empty, "." or "..". */
static bool path_ok(struct tr_view v)
{
	size_t at = 0;

	while (at < v.n) {
		size_t start = ++at; /* after '/' */

		if (v.p[start - 1] != '/')
			return false;
		while (at < v.n && v.p[at] != '/') {
			uint8_t c = v.p[at++];

			if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			      c == '.' || c == '-' || c == '_'))
				return false;
		}
		if (at == start || (at - start == 1 && v.p[start] == '.') ||
		    (at - start == 2 && v.p[start] == '.' && v.p[start + 1] == '.'))
			return false;
	}
	return true;
}

static bool split_spiffe(struct tr_view id, struct tr_view *ret_domain, struct tr_view *ret_path)
{
	const uint8_t *slash;

	if (id.n > TR_SPIFFE_MAX || !tr_view_starts(id, "spiffe://"))
		return false;
	id = tr_view(id.p + 9, id.n - 9);
	slash = id.n ? memchr(id.p, '/', id.n) : NULL;
	*ret_domain = tr_view(id.p, slash ? (size_t)(slash - id.p) : id.n);
	*ret_path = tr_view(id.p + ret_domain->n, id.n - ret_domain->n);
	return tr_trust_domain_ok(*ret_domain) && path_ok(*ret_path);
}

bool tr_spiffe_id_ok(struct tr_view id)
{
	struct tr_view domain, path;

	return split_spiffe(id, &domain, &path);
}

TR_RC tr_cert_agent_id(const struct tr_cert *c, const char *trust_domain, struct tr_view *ret,
		       struct tr_err *err)
{
	struct tr_view domain, path;

	if (!split_spiffe(tr_view_str(c->spiffe), &domain, &path))
		return tr_cert_refuse(err, "the certificate carries no valid SPIFFE id");
	if (!tr_view_is(domain, trust_domain))
		return tr_cert_refuse(err, "the certificate is of another trust domain");
	if (!tr_view_starts(path, "/agent/") || !tr_ident_ok(tr_view(path.p + 7, path.n - 7)))
		return tr_cert_refuse(err, "the certificate's SPIFFE id is not that of an agent");
	*ret = tr_view(path.p + 7, path.n - 7);
	return TR_OK;
}

/* Other people's CAs may also use these; our own keys are the narrower set of crypto/key.h. */
static bool is_p384(const X509 *x)
{
	const EVP_PKEY *k = X509_get0_pubkey(x);
	char group[32];
	size_t n;

	return k && EVP_PKEY_is_a(k, "EC") && EVP_PKEY_get_group_name(k, group, sizeof(group), &n) == 1 &&
	       strcmp(group, "secp384r1") == 0;
}

static TR_RC check_key(const struct tr_cert *c, bool p384_too, struct tr_err *err)
{
	if (c->key || (p384_too && is_p384(c->x)))
		return TR_OK;
	*err = c->key_err;
	/* "Denied" stays: a leaked key is a different event from a key of the wrong kind. */
	if (err->code == TR_E_INVALID)
		err->code = TR_E_UNAUTH;
	return tr_err_wrap(err, "certificate's key");
}

static bool sig_alg_ok(X509 *x)
{
	const X509_ALGOR *outer;
	int md, bits;

	X509_get0_signature(NULL, &outer, x);
	/* RFC 5280 4.1.1.2: the unsigned copy must equal the signed one. */
	if (X509_ALGOR_cmp(outer, X509_get0_tbs_sigalg(x)) != 0)
		return false;
	if (X509_get_signature_nid(x) == NID_ED25519)
		return true;
	if (X509_get_signature_info(x, &md, NULL, &bits, NULL) != 1)
		return false;
	return (md == NID_sha256 || md == NID_sha384 || md == NID_sha512) && bits >= 112;
}

static bool serial_ok(const X509 *x)
{
	const ASN1_INTEGER *s = X509_get0_serialNumber(x);
	int n = ASN1_STRING_length(s);
	const uint8_t *p = ASN1_STRING_get0_data(s);

	if (ASN1_STRING_type(s) != V_ASN1_INTEGER || n < 1 || n > SERIAL_MAX)
		return false; /* V_ASN1_NEG_INTEGER, too long */
	/* 20 bytes of content with its sign byte: a 20-byte magnitude must not start with a one bit. */
	return !(n == 1 && p[0] == 0) && !(n == SERIAL_MAX && p[0] >= 0x80);
}

static bool extensions_ok(const X509 *x)
{
	int n = X509_get_ext_count(x);

	if (n > EXTENSIONS_MAX)
		return false;
	for (int i = 0; i < n; i++) {
		const ASN1_OBJECT *o = X509_EXTENSION_get_object(X509_get_ext(x, i));

		/* RFC 5280 4.2: at most one of each. */
		if (X509_get_ext_by_OBJ(x, o, i) != -1)
			return false;
	}
	return true;
}

static TR_RC check_common(const struct tr_cert *c, struct tr_err *err)
{
	if (X509_get_version(c->x) != X509_VERSION_3)
		return tr_cert_refuse(err, "the certificate is not of version 3");
	if (!serial_ok(c->x))
		return tr_cert_refuse(err,
				      "the certificate's serial number is not 1 to 20 bytes and positive");
	if (!sig_alg_ok(c->x))
		return tr_cert_refuse(err, "the certificate is signed with a weak or an unknown algorithm");
	if (!extensions_ok(c->x))
		return tr_cert_refuse(err, "the certificate repeats an extension or has too many");
	if (c->names.broken || (X509_get_extension_flags(c->x) & (EXFLAG_INVALID | EXFLAG_CRITICAL)))
		return tr_cert_refuse(err, "the certificate has a malformed or unknown critical extension");
	return TR_OK;
}

/* 1 yes, 0 no, -1 absent or broken. */
static int ca_flag(const X509 *x)
{
	BASIC_CONSTRAINTS *bc = X509_get_ext_d2i(x, NID_basic_constraints, NULL, NULL);
	int ca = bc ? bc->ca != 0 : -1;

	BASIC_CONSTRAINTS_free(bc);
	return ca;
}

static bool is_critical(const X509 *x, int nid)
{
	int at = X509_get_ext_by_NID(x, nid, -1);

	return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(x, at));
}

static TR_RC check_leaf_usage(const struct tr_cert *c, struct tr_err *err)
{
	uint32_t ku = X509_get_key_usage(c->x); /* all ones when absent */

	if (ca_flag(c->x) == 1)
		return tr_cert_refuse(err, "a CA certificate cannot stand for a party");
	if (!is_critical(c->x, NID_key_usage))
		return tr_cert_refuse(err, "the certificate has no critical key usage");
	if (!(ku & KU_DIGITAL_SIGNATURE) || (ku & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)))
		return tr_cert_refuse(
			err,
			"the certificate's key usage must have digitalSignature and no certificate signing");
	if (X509_get_ext_by_NID(c->x, NID_name_constraints, -1) >= 0)
		return tr_cert_refuse(err, "name constraints do not belong in a leaf certificate");
	return TR_OK;
}

static TR_RC check_eku(const struct tr_cert *c, enum tr_cert_use use, struct tr_err *err)
{
	int crit = -1;
	EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(c->x, NID_ext_key_usage, &crit, NULL);
	bool server = false, client = false, other = false;

	for (int i = 0; i < sk_ASN1_OBJECT_num(eku); i++) {
		int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i));

		server |= nid == NID_server_auth;
		client |= nid == NID_client_auth;
		other |= nid != NID_server_auth && nid != NID_client_auth;
	}
	sk_ASN1_OBJECT_pop_free(eku, ASN1_OBJECT_free);
	if (crit == -1 && use == TR_USE_SVID)
		return TR_OK;
	if (crit == -1 || !eku)
		return tr_cert_refuse(err, "the certificate has no extended key usage");
	/* X509-SVID 4.4: both or none. Ours say only what they are for. */
	if (use == TR_USE_SVID)
		return server && client
			       ? TR_OK
			       : tr_cert_refuse(err,
						"an SVID's extended key usage must have both kinds of auth");
	if (other || crit == 1)
		return tr_cert_refuse(err,
				      "the certificate's extended key usage is wider than client and server "
				      "authentication");
	if (use == TR_USE_AGENT && !client)
		return tr_cert_refuse(err, "the certificate is not for client authentication");
	if (use == TR_USE_SERVER && !server)
		return tr_cert_refuse(err, "the certificate is not for server authentication");
	return TR_OK;
}

static TR_RC check_names(const struct tr_cert *c, enum tr_cert_use use, const char *trust_domain,
			 struct tr_err *err)
{
	struct tr_view domain, path, id;

	if (use == TR_USE_SERVER)
		return c->names.hosts ? TR_OK : tr_cert_refuse(err, "the server's certificate names no host");
	if (c->names.uris != 1)
		return tr_cert_refuse(err, "the certificate must carry exactly one URI name");
	if (use == TR_USE_AGENT) {
		if (c->names.hosts || c->names.others)
			return tr_cert_refuse(
				err, "an agent's certificate carries its SPIFFE id and no other name");
		return tr_cert_agent_id(c, trust_domain, &id, err);
	}
	/* X509-SVID 2: a leaf has a path. */
	if (!split_spiffe(tr_view_str(c->spiffe), &domain, &path) || path.n == 0)
		return tr_cert_refuse(err, "the certificate carries no valid SPIFFE id");
	return TR_OK;
}

TR_RC tr_cert_check_leaf_shape(const struct tr_cert *leaf, enum tr_cert_use use, const char *trust_domain,
			       struct tr_err *err)
{
	enum tr_code rc = check_common(leaf, err);

	if (!rc)
		rc = check_leaf_usage(leaf, err);
	if (!rc)
		rc = check_eku(leaf, use, err);
	if (!rc)
		rc = check_names(leaf, use, trust_domain, err);
	return rc ? rc : check_key(leaf, use == TR_USE_SVID, err);
}

TR_RC tr_cert_check_ca_shape(const struct tr_cert *ca, struct tr_err *err)
{
	enum tr_code rc = check_common(ca, err);
	struct tr_view domain, path;

	if (rc)
		return rc;
	if (ca_flag(ca->x) != 1 || !is_critical(ca->x, NID_basic_constraints))
		return tr_cert_refuse(err, "a certificate of the chain is not a CA");
	if (X509_get_ext_by_NID(ca->x, NID_key_usage, -1) < 0 ||
	    !(X509_get_key_usage(ca->x) & KU_KEY_CERT_SIGN))
		return tr_cert_refuse(err, "a CA certificate of the chain may not sign certificates");
	/* X509-SVID 2: "the SPIFFE ID of a signing certificate must not have a path component". */
	if (tr_view_starts(tr_view_str(ca->spiffe), "spiffe:") &&
	    (!split_spiffe(tr_view_str(ca->spiffe), &domain, &path) || path.n != 0))
		return tr_cert_refuse(err, "a CA certificate of the chain carries a party's SPIFFE id");
	return check_key(ca, true, err);
}
