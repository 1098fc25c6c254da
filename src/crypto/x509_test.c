/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/x509.h"

#include <openssl/evp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NOW_MS 1800000000000
#define DAY_MS 86400000LL
#define DOMAIN "example.org"
#define AGENT_URI "spiffe://" DOMAIN "/agent/a1"

/* A certificate as a foreign or hostile CA may write it: OpenSSL's text forms, so that every field can be
 * wrong. */
struct odd {
	const char *bc, *ku, *eku, *san, *nc; /* NULL: the good value; "": left out */
	const char *more;		      /* a second SAN */
	const char *md;
	const char *subject;
	long version, serial; /* 0: the good value; serial -1: zero */
	int serial_bytes;
	int64_t from_ms, to_ms;
	EVP_PKEY *key, *signer; /* NULL: a P-256 key; the CA's */
	X509 *issuer;		/* NULL: the CA */
	bool no_ids;
};

static struct {
	EVP_PKEY *ca_key, *leaf_key, *other_key;
	X509 *ca;
	struct tr_ca_set *set;
} fix;

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	if (!*value)
		return;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!e)
		fail_msg("fixture: extension %s", value);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

static void set_serial(X509 *x, const struct odd *o)
{
	ASN1_INTEGER *s = X509_get_serialNumber(x);
	uint8_t bytes[64];

	assert_int_equal(ASN1_INTEGER_set_int64(s, o->serial == -1 ? 0 : o->serial ? o->serial : 77), 1);
	if (o->serial_bytes) {
		memset(bytes, 0x41, sizeof(bytes));
		assert_int_equal(ASN1_STRING_set(s, bytes, o->serial_bytes), 1);
	}
}

#define OR(v, good) ((v) ? (v) : (good))

static X509 *build(const struct odd *o, bool ca)
{
	X509 *x = X509_new();
	X509 *issuer = OR(o->issuer, ca ? x : fix.ca);
	EVP_PKEY *key = OR(o->key, ca ? fix.ca_key : fix.leaf_key);
	EVP_PKEY *signer = OR(o->signer, fix.ca_key);
	const char *md = OR(o->md, "SHA256");

	assert_int_equal(X509_set_version(x, o->version == -1 ? X509_VERSION_1 : X509_VERSION_3), 1);
	set_serial(x, o);
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x), (OR(o->from_ms, NOW_MS - DAY_MS)) / 1000));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x), (OR(o->to_ms, NOW_MS + 9 * DAY_MS)) / 1000));
	assert_int_equal(X509_set_pubkey(x, key), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
						    (const uint8_t *)OR(o->subject, ca ? "test CA" : "a1"),
						    -1, -1, 0),
			 1);
	assert_int_equal(X509_set_issuer_name(x, X509_get_subject_name(issuer)), 1);
	if (o->version != -1) {
		add_ext(x, issuer, NID_basic_constraints,
			OR(o->bc, ca ? "critical,CA:TRUE" : "critical,CA:FALSE"));
		add_ext(x, issuer, NID_key_usage,
			OR(o->ku, ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature"));
		add_ext(x, issuer, NID_ext_key_usage, OR(o->eku, ca ? "" : "serverAuth,clientAuth"));
		add_ext(x, issuer, NID_subject_alt_name, OR(o->san, ca ? "" : "URI:" AGENT_URI));
		add_ext(x, issuer, NID_subject_alt_name, OR(o->more, ""));
		add_ext(x, issuer, NID_name_constraints, OR(o->nc, ""));
		if (!o->no_ids) {
			add_ext(x, issuer, NID_subject_key_identifier, "hash");
			if (issuer == x || X509_get0_subject_key_id(issuer))
				add_ext(x, issuer, NID_authority_key_identifier, "keyid");
		}
	}
	assert_true(X509_sign(x, signer, strcmp(md, "none") ? EVP_get_digestbyname(md) : NULL) > 0);
	return x;
}

static struct tr_cert *to_cert(X509 *x)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);
	struct tr_cert *c = NULL;
	struct tr_err err = { 0 };

	assert_true(n > 0);
	if (tr_cert_parse(tr_view(der, (size_t)n), &c, &err))
		fail_msg("fixture does not parse: %s", err.detail);
	OPENSSL_free(der);
	return c;
}

static int setup(void **state)
{
	struct odd good = { 0 };
	unsigned char *der = NULL;
	struct tr_err err = { 0 };
	struct tr_view v;

	(void)state;
	fix.ca_key = EVP_EC_gen("P-256");
	fix.leaf_key = EVP_EC_gen("P-256");
	fix.other_key = EVP_EC_gen("P-256");
	fix.ca = build(&good, true);
	v.n = (size_t)i2d_X509(fix.ca, &der);
	v.p = der;
	if (tr_ca_set_new(&v, 1, &fix.set, &err))
		fail_msg("%s", err.detail);
	OPENSSL_free(der);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fix.set = tr_ca_set_free(fix.set);
	X509_free(fix.ca);
	EVP_PKEY_free(fix.ca_key);
	EVP_PKEY_free(fix.leaf_key);
	EVP_PKEY_free(fix.other_key);
	return 0;
}

/* Checks the certificate and wants that sentence, or NULL for success. */
static void check(const char *label, X509 *x, enum tr_cert_use use, const char *want)
{
	tr_auto(tr_cert_free) struct tr_cert *c = to_cert(x);
	struct tr_err err = { .pub = "" };
	enum tr_code rc = tr_cert_check(c, NULL, 0, fix.set, use, DOMAIN, NOW_MS, &err);

	if (want ? rc != TR_E_UNAUTH || !strstr(err.pub, want) : rc != TR_OK)
		fail_msg("%s: %s, \"%s\" (%s)", label, tr_code_name(rc), err.pub, err.detail);
	X509_free(x);
}

static void odd_leaf_is_refused_by_name(void **state)
{
	static const struct {
		const char *label;
		struct odd o;
		const char *want;
	} cases[] = {
		{ "good", { 0 }, NULL },
		{ "clientAuth alone", { .eku = "clientAuth" }, NULL },
		{ "CA:TRUE", { .bc = "critical,CA:TRUE" }, "CA certificate cannot" },
		{ "no basic constraints", { .bc = "" }, NULL },
		{ "no key usage", { .ku = "" }, "no critical key usage" },
		{ "key usage not critical", { .ku = "digitalSignature" }, "no critical key usage" },
		{ "no digitalSignature", { .ku = "critical,keyEncipherment" }, "digitalSignature" },
		{ "cRLSign", { .ku = "critical,digitalSignature,cRLSign" }, "" },
		{ "keyCertSign", { .ku = "critical,digitalSignature,keyCertSign" }, "" },
		{ "no eku", { .eku = "" }, "no extended key usage" },
		{ "serverAuth only", { .eku = "serverAuth" }, "not for client" },
		{ "anyEKU", { .eku = "anyExtendedKeyUsage" }, "wider" },
		{ "codeSigning too", { .eku = "clientAuth,codeSigning" }, "wider" },
		{ "critical eku", { .eku = "critical,clientAuth" }, "wider" },
		{ "no san", { .san = "" }, "exactly one URI" },
		{ "two URIs",
		  { .san = "URI:" AGENT_URI ",URI:spiffe://" DOMAIN "/agent/a2" },
		  "exactly one URI" },
		{ "the same URI twice", { .san = "URI:" AGENT_URI ",URI:" AGENT_URI }, "exactly one URI" },
		{ "two SAN extensions", { .more = "URI:" AGENT_URI }, "" },
		{ "DNS beside the id", { .san = "URI:" AGENT_URI ",DNS:a.example.org" }, "no other name" },
		{ "email beside the id",
		  { .san = "URI:" AGENT_URI ",email:a@example.org" },
		  "no other name" },
		{ "DNS only", { .san = "DNS:a.example.org" }, "exactly one URI" },
		{ "other trust domain",
		  { .san = "URI:spiffe://example.com/agent/a1" },
		  "another trust domain" },
		{ "domain as prefix",
		  { .san = "URI:spiffe://example.org.evil/agent/a1" },
		  "another trust domain" },
		{ "upper-case domain", { .san = "URI:spiffe://EXAMPLE.org/agent/a1" }, "no valid SPIFFE id" },
		{ "https", { .san = "URI:https://example.org/agent/a1" }, "no valid SPIFFE id" },
		{ "no path", { .san = "URI:spiffe://example.org" }, "not that of an agent" },
		{ "no id", { .san = "URI:spiffe://example.org/agent/" }, "no valid SPIFFE id" },
		{ "other path", { .san = "URI:spiffe://example.org/workload/a1" }, "not that of an agent" },
		{ "deeper path", { .san = "URI:spiffe://example.org/agent/a1/b" }, "not that of an agent" },
		{ "dot dot", { .san = "URI:spiffe://example.org/agent/.." }, "no valid SPIFFE id" },
		{ "port", { .san = "URI:spiffe://example.org:443/agent/a1" }, "no valid SPIFFE id" },
		{ "query", { .san = "URI:spiffe://example.org/agent/a1?x" }, "no valid SPIFFE id" },
		{ "percent", { .san = "URI:spiffe://example.org/agent/a%31" }, "no valid SPIFFE id" },
		{ "name constraints", { .nc = "critical,permitted;DNS:example.org" }, "" },
		{ "expired", { .to_ms = NOW_MS - 1000 }, "has expired" },
		{ "not yet valid", { .from_ms = NOW_MS + 1000 }, "not valid yet" },
		{ "v1", { .version = -1 }, "version 3" },
		{ "serial zero", { .serial = -1 }, "serial number" },
		{ "serial negative", { .serial = -5 }, "serial number" },
		{ "serial of 20 bytes", { .serial_bytes = 20 }, NULL },
		{ "serial of 21 bytes", { .serial_bytes = 21 }, "serial number" },
		{ "SHA-1", { .md = "SHA1" }, "" },
		{ "SHA-384", { .md = "SHA384" }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		check(cases[i].label, build(&cases[i].o, false), TR_USE_AGENT, cases[i].want);
}

static void leaf_of_a_wrong_key_or_signer_is_refused(void **state)
{
	EVP_PKEY *rsa1024 = EVP_RSA_gen(1024), *rsa = EVP_RSA_gen(2048);
	EVP_PKEY *p384 = EVP_EC_gen("P-384"), *ed448 = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
	X509 *other_ca;

	(void)state;
	check("RSA-1024", build(&(struct odd){ .key = rsa1024 }, false), TR_USE_AGENT, "weak");
	check("RSA-2048", build(&(struct odd){ .key = rsa }, false), TR_USE_AGENT, NULL);
	check("P-384", build(&(struct odd){ .key = p384 }, false), TR_USE_AGENT, "P-384");
	check("Ed448", build(&(struct odd){ .key = ed448 }, false), TR_USE_AGENT, "Ed448");
	check("signed by another key", build(&(struct odd){ .signer = fix.other_key }, false), TR_USE_AGENT,
	      "does not verify");
	other_ca = build(
		&(struct odd){ .key = fix.other_key, .signer = fix.other_key, .subject = "other CA" }, true);
	check("of another CA", build(&(struct odd){ .issuer = other_ca, .signer = fix.other_key }, false),
	      TR_USE_AGENT, "not from a CA");
	X509_free(other_ca);
	/* The same name and another key: an impostor CA. */
	other_ca = build(&(struct odd){ .key = fix.other_key, .signer = fix.other_key }, true);
	check("of an impostor CA", build(&(struct odd){ .issuer = other_ca, .signer = fix.other_key }, false),
	      TR_USE_AGENT, "");
	X509_free(other_ca);
	check("self-signed",
	      build(&(struct odd){ .key = fix.leaf_key,
				   .signer = fix.leaf_key,
				   .bc = "critical,CA:FALSE",
				   .ku = "critical,digitalSignature",
				   .eku = "clientAuth",
				   .san = "URI:" AGENT_URI },
		    true),
	      TR_USE_AGENT, "");
	EVP_PKEY_free(rsa1024);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(ed448);
}

static void md5_and_sha1_signatures_are_refused_by_shape_too(void **state)
{
	static const char *const digests[] = { "MD5", "SHA1", "SHA224" };
	EVP_PKEY *rsa = EVP_RSA_gen(2048);

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(digests); i++) {
		X509 *x = build(&(struct odd){ .md = digests[i], .signer = rsa }, false);
		tr_auto(tr_cert_free) struct tr_cert *c = to_cert(x);
		struct tr_err err = { 0 };

		assert_int_equal(tr_cert_check_leaf_shape(c, TR_USE_AGENT, DOMAIN, &err), TR_E_UNAUTH);
		assert_non_null(strstr(err.pub, "weak"));
		X509_free(x);
	}
	EVP_PKEY_free(rsa);
}

static void server_leaf_needs_its_use_and_a_host(void **state)
{
	static const struct {
		const char *label;
		struct odd o;
		const char *want;
	} cases[] = {
		{ "good", { .eku = "serverAuth", .san = "DNS:h.example.org,IP:192.0.2.1" }, NULL },
		{ "clientAuth only", { .eku = "clientAuth", .san = "DNS:h.example.org" }, "not for server" },
		{ "no host", { .eku = "serverAuth" }, "names no host" },
		{ "CA",
		  { .eku = "serverAuth", .bc = "critical,CA:TRUE", .san = "DNS:h" },
		  "CA certificate cannot" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		check(cases[i].label, build(&cases[i].o, false), TR_USE_SERVER, cases[i].want);
}

static void svid_rules_are_the_standards(void **state)
{
	static const struct {
		const char *label;
		struct odd o;
		const char *want;
	} cases[] = {
		{ "good", { .san = "URI:spiffe://any.domain/ns/x,DNS:x" }, NULL },
		{ "no eku", { .eku = "" }, NULL },
		{ "half an eku", { .eku = "clientAuth" }, "both kinds" },
		{ "no path", { .san = "URI:spiffe://any.domain" }, "no valid SPIFFE id" },
		{ "trailing slash", { .san = "URI:spiffe://any.domain/x/" }, "no valid SPIFFE id" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		check(cases[i].label, build(&cases[i].o, false), TR_USE_SVID, cases[i].want);
}

static void host_is_matched_by_san_only(void **state)
{
	X509 *x = build(&(struct odd){ .subject = "cn.example.org",
				       .eku = "serverAuth",
				       .san = "DNS:h.example.org,DNS:*.w.example.org,IP:192.0.2.1,IP:::1" },
			false);
	tr_auto(tr_cert_free) struct tr_cert *c = to_cert(x);
	static const struct {
		const char *host;
		bool want;
	} cases[] = {
		{ "h.example.org", true },
		{ "H.Example.ORG", true },
		{ "x.w.example.org", true },
		{ "192.0.2.1", true },
		{ "::1", true },
		{ "cn.example.org", false },
		{ "w.example.org", false },
		{ "a.b.w.example.org", false },
		{ "192.0.2.2", false },
		{ "h.example.org.", false },
		{ "", false },
	};

	(void)state;
	X509_free(x);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		if (tr_cert_is_for_host(c, cases[i].host) != cases[i].want)
			fail_msg("host \"%s\"", cases[i].host);
}

/* Chain of three with the given oddities in the intermediate. */
static enum tr_code check_with_mid(const struct odd *mid, struct tr_err *err)
{
	struct odd m = *mid;
	X509 *ca2, *leaf;
	tr_auto(tr_cert_free) struct tr_cert *c = NULL;
	unsigned char *der = NULL;
	struct tr_view v;
	enum tr_code rc;

	m.key = OR(m.key, fix.other_key);
	m.subject = "middle CA";
	m.issuer = fix.ca;
	m.signer = fix.ca_key;
	ca2 = build(&m, true);
	leaf = build(&(struct odd){ .issuer = ca2,
				    .signer = m.key,
				    .md = m.key == fix.other_key ? NULL : "SHA256" },
		     false);
	c = to_cert(leaf);
	v.n = (size_t)i2d_X509(ca2, &der);
	v.p = der;
	rc = tr_cert_check(c, &v, 1, fix.set, TR_USE_AGENT, DOMAIN, NOW_MS, err);
	if (rc == TR_OK)
		/* Without the intermediate there is no path. */
		assert_int_equal(tr_cert_check(c, NULL, 0, fix.set, TR_USE_AGENT, DOMAIN, NOW_MS, err),
				 TR_E_UNAUTH);
	OPENSSL_free(der);
	X509_free(ca2);
	X509_free(leaf);
	return rc;
}

static void intermediate_must_be_a_proper_ca(void **state)
{
	EVP_PKEY *weak = EVP_RSA_gen(1024);
	const struct {
		const char *label;
		struct odd o;
		enum tr_code want;
	} cases[] = {
		{ "good", { 0 }, TR_OK },
		{ "CA:FALSE", { .bc = "critical,CA:FALSE" }, TR_E_UNAUTH },
		{ "no basic constraints", { .bc = "" }, TR_E_UNAUTH },
		{ "basic constraints not critical", { .bc = "CA:TRUE" }, TR_E_UNAUTH },
		{ "no keyCertSign", { .ku = "critical,cRLSign" }, TR_E_UNAUTH },
		{ "no key usage", { .ku = "" }, TR_E_UNAUTH },
		{ "expired", { .to_ms = NOW_MS - 1000 }, TR_E_UNAUTH },
		{ "SHA-1", { .md = "SHA1" }, TR_E_UNAUTH },
		{ "RSA-1024", { .key = weak }, TR_E_UNAUTH },
		{ "v1", { .version = -1 }, TR_E_UNAUTH },
		{ "serial zero", { .serial = -1 }, TR_E_UNAUTH },
		{ "a party's SPIFFE id", { .san = "URI:" AGENT_URI }, TR_E_UNAUTH },
		{ "the domain's SPIFFE id", { .san = "URI:spiffe://" DOMAIN }, TR_OK },
		{ "no key ids", { .no_ids = true }, TR_E_UNAUTH },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_err err = { 0 };
		enum tr_code rc = check_with_mid(&cases[i].o, &err);

		if (rc != cases[i].want)
			fail_msg("%s: %s (%s)", cases[i].label, tr_code_name(rc), err.detail);
	}
	EVP_PKEY_free(weak);
}

static void chain_of_four_is_refused(void **state)
{
	EVP_PKEY *k1 = EVP_EC_gen("P-256"), *k2 = EVP_EC_gen("P-256");
	X509 *m1 = build(&(struct odd){ .key = k1, .subject = "m1", .issuer = fix.ca }, true);
	X509 *m2 = build(&(struct odd){ .key = k2, .subject = "m2", .issuer = m1, .signer = k1 }, true);
	X509 *leaf = build(&(struct odd){ .issuer = m2, .signer = k2 }, false);
	tr_auto(tr_cert_free) struct tr_cert *c = to_cert(leaf), *c1 = to_cert(m1), *c2 = to_cert(m2);
	struct tr_view extra[] = { tr_cert_der(c1), tr_cert_der(c2), tr_cert_der(c1), tr_cert_der(c2) };
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_cert_check(c, extra, 2, fix.set, TR_USE_AGENT, DOMAIN, NOW_MS, &err),
			 TR_E_UNAUTH);
	assert_non_null(strstr(err.pub, "longer than three"));
	assert_int_equal(tr_cert_check(c, extra, 4, fix.set, TR_USE_AGENT, DOMAIN, NOW_MS, &err),
			 TR_E_UNAUTH);
	X509_free(m1);
	X509_free(m2);
	X509_free(leaf);
	EVP_PKEY_free(k1);
	EVP_PKEY_free(k2);
}

static void odd_trust_anchor_is_refused(void **state)
{
	EVP_PKEY *weak = EVP_RSA_gen(1024);
	const struct {
		const char *label;
		struct odd o;
	} cases[] = {
		{ "no CA", { .bc = "critical,CA:FALSE" } },
		{ "no keyCertSign", { .ku = "critical,digitalSignature" } },
		{ "eku", { .eku = "clientAuth" } },
		{ "SHA-1", { .md = "SHA1" } },
		{ "RSA-1024", { .key = weak, .signer = weak } },
	};
	struct tr_ca_set *set = NULL;
	struct tr_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		X509 *x = build(&cases[i].o, true);
		tr_auto(tr_cert_free) struct tr_cert *c = to_cert(x);
		struct tr_view der = tr_cert_der(c);

		if (tr_ca_set_new(&der, 1, &set, &err) == TR_OK)
			fail_msg("%s was accepted", cases[i].label);
		X509_free(x);
	}
	assert_int_equal(tr_ca_set_new(NULL, 0, &set, &err), TR_E_INVALID);
	EVP_PKEY_free(weak);
}

static void every_flipped_bit_of_a_leaf_is_refused(void **state)
{
	X509 *x = build(&(struct odd){ 0 }, false);
	tr_auto(tr_cert_free) struct tr_cert *c = to_cert(x);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err = { 0 };

	(void)state;
	X509_free(x);
	tr_buf_addv(&b, tr_cert_der(c));
	for (size_t bit = 0; bit < b.n * 8; bit++) {
		tr_auto(tr_cert_free) struct tr_cert *d = NULL;

		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (tr_cert_parse(tr_buf_view(&b), &d, &err) == TR_OK &&
		    tr_cert_check(d, NULL, 0, fix.set, TR_USE_AGENT, DOMAIN, NOW_MS, &err) == TR_OK)
			fail_msg("bit %zu does not matter", bit);
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < b.n; n++) {
		struct tr_cert *d = NULL;

		assert_int_equal(tr_cert_parse(tr_view(b.p, n), &d, &err), TR_E_INVALID);
	}
	tr_buf_add8(&b, 0);
	{
		struct tr_cert *d = NULL;

		assert_int_equal(tr_cert_parse(tr_buf_view(&b), &d, &err), TR_E_INVALID);
	}
}

static void request_proves_possession_of_its_key(void **state)
{
	(void)state;
	for (int type = 0; type < TR_KEY_TYPE_N; type++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
		tr_auto(tr_pubkey_free) struct tr_pubkey *p = NULL;
		tr_auto(tr_buf_done) struct tr_buf csr = TR_BUF_INIT;
		struct tr_err err = { 0 };

		assert_int_equal(tr_privkey_generate(type, &k, &err), TR_OK);
		assert_int_equal(tr_csr_make(k, &csr, &err), TR_OK);
		assert_int_equal(tr_csr_check(tr_buf_view(&csr), &p, &err), TR_OK);
		assert_memory_equal(tr_pubkey_id(p), tr_pubkey_id(tr_privkey_pub(k)), TR_SHA256_LEN);
		for (size_t bit = 0; bit < csr.n * 8; bit++) {
			struct tr_pubkey *q = NULL;

			csr.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (tr_csr_check(tr_buf_view(&csr), &q, &err) == TR_OK)
				fail_msg("type %d: bit %zu does not matter", type, bit);
			csr.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t n = 0; n < csr.n; n++) {
			struct tr_pubkey *q = NULL;

			assert_int_not_equal(tr_csr_check(tr_view(csr.p, n), &q, &err), TR_OK);
		}
	}
}

/* Stock tools put a subject and attributes in; both are read over. */
static void foreign_request_is_read(void **state)
{
	X509_REQ *r = X509_REQ_new();
	tr_auto(tr_pubkey_free) struct tr_pubkey *p = NULL;
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	unsigned char *der = NULL;
	struct tr_err err = { 0 };
	int n;

	(void)state;
	sk_X509_EXTENSION_push(exts,
			       X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:evil.example.org"));
	assert_int_equal(X509_REQ_add_extensions(r, exts), 1);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(r), "CN", MBSTRING_ASC,
						    (const uint8_t *)"whoever", -1, -1, 0),
			 1);
	assert_int_equal(X509_REQ_set_pubkey(r, fix.leaf_key), 1);
	assert_true(X509_REQ_sign(r, fix.leaf_key, EVP_sha256()) > 0);
	n = i2d_X509_REQ(r, &der);
	if (tr_csr_check(tr_view(der, (size_t)n), &p, &err))
		fail_msg("%s", err.detail);
	OPENSSL_free(der);
	der = NULL;
	/* SHA-1 and a signature by another key. */
	assert_true(X509_REQ_sign(r, fix.leaf_key, EVP_sha1()) > 0);
	n = i2d_X509_REQ(r, &der);
	p = tr_pubkey_free(p);
	assert_int_equal(tr_csr_check(tr_view(der, (size_t)n), &p, &err), TR_E_INVALID);
	OPENSSL_free(der);
	der = NULL;
	assert_true(X509_REQ_sign(r, fix.other_key, EVP_sha256()) > 0);
	n = i2d_X509_REQ(r, &der);
	assert_int_equal(tr_csr_check(tr_view(der, (size_t)n), &p, &err), TR_E_DENIED);
	OPENSSL_free(der);
	X509_REQ_free(r);
}

static void issued_certificates_pass_their_own_checks(void **state)
{
	static const char *const hosts[] = { "localhost", "ctl-1.example.org", "192.0.2.7", "2001:db8::7",
					     NULL };

	(void)state;
	for (int type = 0; type < TR_KEY_TYPE_N * TR_KEY_TYPE_N; type++) {
		tr_auto(tr_privkey_free) struct tr_privkey *ca_key = NULL;
		tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
		tr_auto(tr_buf_done) struct tr_buf ca = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf leaf = TR_BUF_INIT;
		tr_auto(tr_ca_set_free) struct tr_ca_set *set = NULL;
		tr_auto(tr_cert_free) struct tr_cert *c = NULL;
		tr_auto(tr_cert_free) struct tr_cert *srv = NULL;
		struct tr_cert_spec spec = { .common_name = "Troth CA",
					     .spiffe = "spiffe://" DOMAIN,
					     .ca = true,
					     .not_before_ms = NOW_MS,
					     .not_after_ms = 2900000000000 };
		struct tr_err err = { 0 };
		struct tr_view v, id;

		if (type / TR_KEY_TYPE_N == TR_KEY_RSA && type % TR_KEY_TYPE_N != TR_KEY_RSA)
			continue; /* RSA keys are slow to make; one pair is enough */
		assert_int_equal(tr_privkey_generate(type / TR_KEY_TYPE_N, &ca_key, &err), TR_OK);
		assert_int_equal(tr_privkey_generate(type % TR_KEY_TYPE_N, &key, &err), TR_OK);
		spec.spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
		assert_int_equal(tr_cert_issue(ca_key, tr_view(NULL, 0), &spec, &ca, &err), TR_OK);
		v = tr_buf_view(&ca);
		assert_int_equal(tr_ca_set_new(&v, 1, &set, &err), TR_OK);

		spec = (struct tr_cert_spec){ .spki = tr_pubkey_spki(tr_privkey_pub(key)),
					      .common_name = "a1",
					      .spiffe = AGENT_URI,
					      .not_before_ms = NOW_MS,
					      .not_after_ms = NOW_MS + 7 * DAY_MS,
					      .client_auth = true };
		assert_int_equal(tr_cert_issue(ca_key, v, &spec, &leaf, &err), TR_OK);
		assert_int_equal(tr_cert_parse(tr_buf_view(&leaf), &c, &err), TR_OK);
		if (tr_cert_check(c, NULL, 0, set, TR_USE_AGENT, DOMAIN, NOW_MS, &err))
			fail_msg("type %d: %s", type, err.detail);
		assert_int_equal(tr_cert_check(c, NULL, 0, set, TR_USE_AGENT, DOMAIN, NOW_MS - 1000, &err),
				 TR_E_UNAUTH);
		assert_int_equal(tr_cert_check(c, NULL, 0, set, TR_USE_SERVER, DOMAIN, NOW_MS, &err),
				 TR_E_UNAUTH);
		assert_int_equal(tr_cert_check(c, NULL, 0, set, TR_USE_AGENT, "example.com", NOW_MS, &err),
				 TR_E_UNAUTH);
		assert_int_equal(tr_cert_agent_id(c, DOMAIN, &id, &err), TR_OK);
		assert_true(tr_view_is(id, "a1"));
		assert_string_equal(tr_cert_spiffe(c), AGENT_URI);
		assert_int_equal(tr_cert_not_before_ms(c), NOW_MS);
		assert_int_equal(tr_cert_not_after_ms(c), NOW_MS + 7 * DAY_MS);
		assert_memory_equal(tr_pubkey_id(tr_cert_key(c)), tr_pubkey_id(tr_privkey_pub(key)),
				    TR_SHA256_LEN);

		spec.spiffe = NULL;
		spec.dns = hosts;
		spec.client_auth = false;
		spec.server_auth = true;
		spec.not_after_ms = 2600000000000; /* after 2049: GeneralizedTime */
		tr_buf_clear(&leaf);
		assert_int_equal(tr_cert_issue(ca_key, v, &spec, &leaf, &err), TR_OK);
		assert_int_equal(tr_cert_parse(tr_buf_view(&leaf), &srv, &err), TR_OK);
		if (tr_cert_check(srv, NULL, 0, set, TR_USE_SERVER, DOMAIN, NOW_MS, &err))
			fail_msg("type %d: %s", type, err.detail);
		assert_int_equal(tr_cert_not_after_ms(srv), 2600000000000);
		for (const char *const *h = hosts; *h; h++)
			assert_true(tr_cert_is_for_host(srv, *h));
		assert_int_equal(tr_cert_check(srv, NULL, 0, set, TR_USE_AGENT, DOMAIN, NOW_MS, &err),
				 TR_E_UNAUTH);
	}
}

static void serials_differ_and_are_positive(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	struct tr_cert_spec spec = {
		.common_name = "CA", .ca = true, .not_before_ms = NOW_MS, .not_after_ms = NOW_MS + DAY_MS
	};
	tr_auto(tr_buf_done) struct tr_buf last = TR_BUF_INIT;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &k, &err), TR_OK);
	spec.spki = tr_pubkey_spki(tr_privkey_pub(k));
	for (int i = 0; i < 20; i++) {
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
		tr_auto(tr_cert_free) struct tr_cert *c = NULL;

		assert_int_equal(tr_cert_issue(k, tr_view(NULL, 0), &spec, &der, &err), TR_OK);
		assert_int_equal(tr_cert_parse(tr_buf_view(&der), &c, &err), TR_OK);
		tr_cert_serial_hex(c, &hex);
		assert_int_equal(hex.n, 32);
		assert_true(hex.p[0] >= '4' && hex.p[0] <= '7');
		assert_false(tr_view_eq(tr_buf_view(&hex), tr_buf_view(&last)));
		tr_buf_clear(&last);
		tr_buf_addv(&last, tr_buf_view(&hex));
	}
}

static void senseless_orders_are_not_issued(void **state)
{
	static const char *const bad_host[] = { "a b", NULL }, *const star[] = { "*.example.org", NULL },
				 *const inject[] = { "x,URI:spiffe://example.org/agent/root", NULL };
	tr_auto(tr_privkey_free) struct tr_privkey *ca_key = NULL;
	tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf ca = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf twice = TR_BUF_INIT;
	tr_auto(tr_cert_free) struct tr_cert *parsed = NULL;
	struct tr_cert_spec root = {
		.common_name = "CA", .ca = true, .not_before_ms = NOW_MS, .not_after_ms = NOW_MS + 10 * DAY_MS
	};
	struct tr_cert_spec good = { .common_name = "a1",
				     .spiffe = AGENT_URI,
				     .not_before_ms = NOW_MS,
				     .not_after_ms = NOW_MS + DAY_MS,
				     .client_auth = true };
	struct tr_err err = { 0 };
	struct tr_cert_spec s;

	(void)state;
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &ca_key, &err), TR_OK);
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &key, &err), TR_OK);
	root.spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
	good.spki = tr_pubkey_spki(tr_privkey_pub(key));
	assert_int_equal(tr_cert_issue(ca_key, tr_view(NULL, 0), &root, &ca, &err), TR_OK);
	assert_int_equal(tr_cert_issue(ca_key, tr_buf_view(&ca), &good, &out, &err), TR_OK);
	tr_buf_clear(&out);

#define REFUSED(change)                                                                                      \
	do {                                                                                                 \
		s = good;                                                                                    \
		change;                                                                                      \
		assert_int_equal(tr_cert_issue(ca_key, tr_buf_view(&ca), &s, &out, &err), TR_E_INVALID);     \
		assert_int_equal(out.n, 0);                                                                  \
	} while (0)
	REFUSED(s.common_name = "");
	REFUSED(s.common_name = "0123456789012345678901234567890123456789012345678901234567890123x");
	REFUSED(s.common_name = "a\nb");
	REFUSED(s.common_name = "CA");
	REFUSED(s.not_after_ms = s.not_before_ms);
	REFUSED(s.not_after_ms = root.not_after_ms + 1000);
	REFUSED(s.not_before_ms = -1000);
	REFUSED(s.spiffe = "spiffe://example.org/agent/a b");
	REFUSED(s.spiffe = "https://example.org/");
	REFUSED(s.dns = bad_host);
	REFUSED(s.dns = star);
	REFUSED(s.dns = inject);
	REFUSED(s.spki = tr_view(s.spki.p, s.spki.n - 1));
	REFUSED(s.spki = root.spki);
	REFUSED(s.ca = true);
	/* The CA certificate of one key, the key of another; and a leaf as a CA. */
	assert_int_equal(tr_cert_issue(key, tr_buf_view(&ca), &good, &out, &err), TR_E_INVALID);
	assert_int_equal(tr_cert_issue(ca_key, tr_view(NULL, 0), &good, &out, &err), TR_E_INVALID);
	/* One parsed CA issues again and again; it is refused for another key as its bytes are. */
	assert_int_equal(tr_cert_parse(tr_buf_view(&ca), &parsed, &err), TR_OK);
	for (int i = 0; i < 2; i++) {
		tr_buf_clear(&out);
		assert_int_equal(tr_cert_issue_by(ca_key, parsed, &good, &out, &err), TR_OK);
	}
	s = good;
	s.spki = root.spki;
	assert_int_equal(tr_cert_issue_by(key, parsed, &s, &twice, &err), TR_E_INVALID);
	assert_int_equal(tr_cert_issue_by(ca_key, NULL, &good, &twice, &err), TR_E_INVALID);
	s = good;
	s.spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
	assert_int_not_equal(tr_cert_issue(key, tr_buf_view(&out), &s, &ca, &err), TR_OK);
}

/* Kills the process at its next open: what a role's filter does. */
static bool forbid_open(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat2, 2, 0),
#ifdef __NR_open
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_open, 1, 0),
#else
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 1, 0),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = { TR_ARRAY_LEN(code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

/* One of everything, for each key type. Returns 0, or the step that failed. */
static int work_sandboxed(void)
{
	for (int type = 0; type < TR_KEY_TYPE_N; type++) {
		tr_auto(tr_privkey_free) struct tr_privkey *ca_key = NULL;
		tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
		tr_auto(tr_privkey_free) struct tr_privkey *again = NULL;
		tr_auto(tr_pubkey_free) struct tr_pubkey *pub = NULL;
		tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf csr = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf ca = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf leaf = TR_BUF_INIT;
		tr_auto(tr_cert_free) struct tr_cert *c = NULL;
		tr_auto(tr_ca_set_free) struct tr_ca_set *set = NULL;
		struct tr_cert_spec spec = { .common_name = "CA",
					     .ca = true,
					     .not_after_ms = NOW_MS + DAY_MS };
		struct tr_err err;
		struct tr_view v;

		if (tr_privkey_generate(type, &ca_key, &err) || tr_privkey_generate(type, &key, &err) ||
		    tr_privkey_pem(key, &pem, &err) || tr_privkey_from_pem(tr_buf_view(&pem), &again, &err))
			return 1;
		if (tr_csr_make(again, &csr, &err) || tr_csr_check(tr_buf_view(&csr), &pub, &err))
			return 2;
		spec.spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
		if (tr_cert_issue(ca_key, tr_view(NULL, 0), &spec, &ca, &err))
			return 3;
		v = tr_buf_view(&ca);
		spec = (struct tr_cert_spec){ .spki = tr_pubkey_spki(pub),
					      .common_name = "a1",
					      .spiffe = AGENT_URI,
					      .not_after_ms = NOW_MS + DAY_MS,
					      .client_auth = true };
		if (tr_cert_issue(ca_key, v, &spec, &leaf, &err) || tr_ca_set_new(&v, 1, &set, &err) ||
		    tr_cert_parse(tr_buf_view(&leaf), &c, &err) ||
		    tr_cert_check(c, NULL, 0, set, TR_USE_AGENT, DOMAIN, NOW_MS, &err))
			return 4;
		/* A refusal walks other paths than success: error texts, cleanup. */
		if (tr_cert_check(c, NULL, 0, set, TR_USE_AGENT, DOMAIN, NOW_MS + 2 * DAY_MS, &err) ==
			    TR_OK ||
		    tr_cert_check(c, NULL, 0, set, TR_USE_SERVER, DOMAIN, NOW_MS, &err) == TR_OK)
			return 5;
	}
	return 0;
}

static void nothing_opens_a_file_after_init(void **state)
{
	int status = 0;
	pid_t pid;

	(void)state;
#ifdef TROTH_SANITIZED
	skip(); /* the sanitizers open /proc by themselves */
#endif
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct tr_err err;

		if (tr_crypto_init(&err) || !forbid_open())
			_exit(99);
		_exit(work_sandboxed());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		fail_msg("a file was opened after tr_crypto_init (signal %d)", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* The filter does kill: the check above can fail. */
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (!forbid_open())
			_exit(99);
		(void)access("/", F_OK);
		_exit(fopen("/dev/null", "re") ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

int main(void)
{
	/* First and alone: the fixtures of the others would open what init must. */
	const struct CMUnitTest sandbox[] = { cmocka_unit_test(nothing_opens_a_file_after_init) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_leaf_is_refused_by_name),
		cmocka_unit_test(leaf_of_a_wrong_key_or_signer_is_refused),
		cmocka_unit_test(md5_and_sha1_signatures_are_refused_by_shape_too),
		cmocka_unit_test(server_leaf_needs_its_use_and_a_host),
		cmocka_unit_test(svid_rules_are_the_standards),
		cmocka_unit_test(host_is_matched_by_san_only),
		cmocka_unit_test(intermediate_must_be_a_proper_ca),
		cmocka_unit_test(chain_of_four_is_refused),
		cmocka_unit_test(odd_trust_anchor_is_refused),
		cmocka_unit_test(every_flipped_bit_of_a_leaf_is_refused),
		cmocka_unit_test(request_proves_possession_of_its_key),
		cmocka_unit_test(foreign_request_is_read),
		cmocka_unit_test(issued_certificates_pass_their_own_checks),
		cmocka_unit_test(serials_differ_and_are_positive),
		cmocka_unit_test(senseless_orders_are_not_issued),
	};

	return cmocka_run_group_tests(sandbox, NULL, NULL) + cmocka_run_group_tests(tests, setup, teardown);
}
