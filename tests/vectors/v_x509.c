/* SPDX-License-Identifier: Apache-2.0 */
/* x509-limbo and the SPIFFE PEM files, under our leaf policy. */
#include "vectors.h"

#include "base/clock.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"

#include <stdio.h>

#define CERTS_MAX 64

static const struct reason x509_rules[] = {
	{ "no critical key usage", "svid-key-usage" },
	{ "key usage must have digitalSignature", "svid-key-usage" },
	{ "a CA certificate cannot stand for a party", "leaf-is-ca" },
	{ "chain is longer than three", "chain-length" },
	{ "more certificates than a chain may have", "chain-length" },
	{ "signed with a weak or an unknown algorithm", "weak-signature" },
	{ "certificate chain is too weak", "weak-signature" },
	{ "larger than 4096 bytes", "cert-size" },
	{ "trusted CA must not carry an extended key usage", "ca-eku" },
	{ "not of version 3", "rfc5280-strict" },
	{ "serial number is not", "rfc5280-strict" },
	{ "may not sign certificates", "rfc5280-strict" },
	{ "unknown critical extension", "critical-extension" },
	{ "has no extended key usage", "leaf-eku" },
	{ "not for server authentication", "leaf-eku" },
	{ "not for client authentication", "leaf-eku" },
	{ "must have both kinds of auth", "leaf-eku" },
	{ "extended key usage is wider", "leaf-eku" },
	{ "keys are not accepted", "key-type" },
	{ "key's type is unknown", "key-type" },
	{ "exponent is not 65537", "rsa-exponent" },
	{ "RSA key is", "rsa-size" },
	{ "carries no valid SPIFFE id", "svid-name" },
	{ "exactly one URI name", "svid-name" },
};

/* What OpenSSL's strict mode asks of a chain beyond what others do: these stand in the detail. */
static const struct reason chain_rules[] = {
	{ "Missing Authority Key Identifier", "rfc5280-strict" },
	{ "Missing Subject Key Identifier", "rfc5280-strict" },
	{ "Basic Constraints of CA cert not marked critical", "rfc5280-strict" },
	{ "CA cert does not include key usage extension", "rfc5280-strict" },
	{ "Key usage", "rfc5280-strict" },
	{ "Path length", "rfc5280-strict" },
	{ "unhandled critical extension", "critical-extension" },
};

struct certs {
	struct tr_buf der[CERTS_MAX];
	struct tr_view views[CERTS_MAX];
	size_t n;
};

static void certs_done(struct certs *c)
{
	for (size_t i = 0; i < c->n; i++)
		tr_buf_done(&c->der[i]);
	c->n = 0;
}
TR_DEFINE_AUTO_DONE(struct certs, certs_done)

/* Every block of text; false when one is broken, or is no certificate. */
static bool add_pem(struct certs *c, struct tr_view text, struct tr_err *err)
{
	while (tr_pem_more(text)) {
		struct tr_view label, rest;

		if (c->n == CERTS_MAX)
			return tr_err_set(err, TR_E_INVALID, "too many certificates", "PEM") == TR_OK;
		c->der[c->n] = TR_BUF_INIT;
		c->n++;
		if (tr_pem_get(text, &label, &c->der[c->n - 1], &rest, err))
			return false;
		if (!tr_view_is(label, "CERTIFICATE"))
			return tr_err_set(err, TR_E_INVALID, "the PEM block is no certificate", "PEM") == TR_OK;
		c->views[c->n - 1] = tr_buf_view(&c->der[c->n - 1]);
		text = rest;
	}
	return true;
}

static bool add_list(struct certs *c, const json_t *list, struct tr_err *err)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
		if (!add_pem(c, tr_view(json_string_value(v), json_string_length(v)), err))
			return false;
	return true;
}

static bool limbo_accepts(const json_t *t, enum tr_cert_use use, struct tr_err *err)
{
	tr_auto(certs_done) struct certs roots = { .n = 0 }, extra = { .n = 0 }, peer = { .n = 0 };
	tr_auto(tr_ca_set_free) struct tr_ca_set *cas = NULL;
	tr_auto(tr_cert_free) struct tr_cert *leaf = NULL;
	struct tr_view when = jstr(t, "validation_time"), name = jstr(json_object_get(t, "expected_peer_name"), "value");
	int64_t now_ms = tr_now_ms();
	char host[512];

	if (when.n && !tr_rfc3339_get(when, &now_ms))
		return tr_err_set(err, TR_E_INVALID, "the runner cannot read the case's time", "time") == TR_OK;
	if (!add_list(&roots, json_object_get(t, "trusted_certs"), err) ||
	    !add_list(&extra, json_object_get(t, "untrusted_intermediates"), err) ||
	    !add_pem(&peer, jstr(t, "peer_certificate"), err))
		return false;
	if (peer.n != 1)
		return tr_err_set(err, TR_E_INVALID, "the case has not one peer certificate", "peer") == TR_OK;
	if (tr_ca_set_new(roots.views, roots.n, &cas, err) || tr_cert_parse(peer.views[0], &leaf, err) ||
	    tr_cert_check(leaf, extra.views, extra.n, cas, use, NULL, now_ms, err))
		return false;
	if (use != TR_USE_SERVER || !name.n)
		return true;
	(void)snprintf(host, sizeof(host), "%.*s", (int)(name.n < 500 ? name.n : 500), (const char *)name.p);
	if (!tr_cert_is_for_host(leaf, host))
		return tr_err_set(err, TR_E_UNAUTH, "the certificate is not for that host", "%s", host) == TR_OK;
	return true;
}

/* What a case asks for and our interface has no argument for; the policy is ours, not the caller's. */
static const char *limbo_beyond(const json_t *t)
{
	const json_t *eku = json_object_get(t, "extended_key_usage"), *depth = json_object_get(t, "max_chain_depth"), *v;
	size_t i;

	if (json_array_size(json_object_get(t, "crls")))
		return "no product code: revocation is the registry's, there are no CRLs";
	/* One intermediate is the product's limit: a case that allows as many or more asks for nothing else. */
	if (json_is_integer(depth) && json_integer_value(depth) < 1)
		return "the chain length is fixed in the product, a case cannot set it";
	if (json_array_size(json_object_get(t, "signature_algorithms")))
		return "the signature algorithms are fixed in the product, a case cannot set them";
	json_array_foreach(eku, i, v)
		if (json_string_value(v) && strcmp(json_string_value(v), "serverAuth") != 0 &&
		    strcmp(json_string_value(v), "clientAuth") != 0)
			return "the extended key usage is fixed in the product, a case cannot set another";
	return NULL;
}

bool limbo(struct run *r, const struct item *it, const json_t *j)
{
	const json_t *cases = json_object_get(j, "testcases"), *t;
	struct set *s;
	size_t i;

	if (!json_is_array(cases) || !jstr(json_array_get(cases, 0), "peer_certificate").p ||
	    !jstr(json_array_get(cases, 0), "expected_result").p)
		return false;
	s = set_of(r, it, "x509-limbo", false);
	json_array_foreach(cases, i, t) {
		bool good = tr_view_is(jstr(t, "expected_result"), "SUCCESS"), ok;
		bool client = tr_view_is(jstr(t, "validation_kind"), "CLIENT");
		const char *why = limbo_beyond(t), *rule = NULL;
		struct tr_err err = { 0 };
		char id[200];

		if (why) {
			skip(s, 1, why);
			continue;
		}
		(void)snprintf(id, sizeof(id), "%.190s", jstr(t, "id").p ? (const char *)jstr(t, "id").p : "?");
		ok = limbo_accepts(t, client ? TR_USE_SVID : TR_USE_SERVER, &err);
		if (!ok)
			rule = rule_for(x509_rules, TR_ARRAY_LEN(x509_rules), err.pub);
		if (!ok && !rule && strstr(err.pub, "RFC 5280"))
			rule = rule_for(chain_rules, TR_ARRAY_LEN(chain_rules), err.detail);
		judge(s, id, good ? MUST_ACCEPT : MUST_REFUSE, ok, rule, ok ? NULL : err.pub);
	}
	return true;
}

/* ---- PEM ---- */

/* The name is the verdict, as in JSONTestSuite: wrong-…, corrupt…, not-… must be refused. */
static bool is_bad_name(struct tr_view n)
{
	return tr_view_starts(n, "wrong") || tr_view_starts(n, "corrupt") || tr_view_starts(n, "bad") ||
	       tr_view_starts(n, "invalid") || tr_view_starts(n, "not-") || tr_view_starts(n, "empty");
}

static bool svid_ok(const struct certs *c, struct tr_err *err)
{
	for (size_t i = 0; i < c->n; i++) {
		tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
		enum tr_code rc = tr_cert_parse(c->views[i], &cert, err);

		if (!rc)
			rc = i ? tr_cert_check_ca_shape(cert, err) : tr_cert_check_leaf_shape(cert, TR_USE_SVID, NULL, err);
		if (rc)
			return false;
	}
	return true;
}

static bool bundle_ok(const struct certs *c, struct tr_err *err)
{
	for (size_t i = 0; i < c->n; i++) {
		tr_auto(tr_cert_free) struct tr_cert *cert = NULL;

		if (tr_cert_parse(c->views[i], &cert, err))
			return false;
	}
	return true;
}

bool pem_files(struct run *r, const struct item *it)
{
	struct tr_view text = tr_buf_view(&it->bytes), name = base_name(it);
	tr_auto(certs_done) struct certs c = { .n = 0 };
	struct tr_err err = { 0 };
	bool is_pem = name.n > 4 && memcmp(name.p + name.n - 4, ".pem", 4) == 0, good = tr_view_starts(name, "good");
	bool svid, ok;

	if (!tr_view_starts(text, "-----BEGIN CERTIFICATE-----") && !has_text(text, "\n-----BEGIN CERTIFICATE-----") && !(is_pem && is_bad_name(name)))
		return false;
	if (has_text(text, "PRIVATE KEY-----")) {
		skip(set_of(r, it, "PEM with a private key", true), 1, "the runner opens no private keys");
		return true;
	}
	ok = add_pem(&c, text, &err);
	if (ok && !c.n)
		ok = tr_err_set(&err, TR_E_INVALID, "no certificate in the file", "PEM") == TR_OK;
	/* good-, wrong- and corrupt- stand for a party and its chain; the rest are lists of authorities. */
	svid = good || tr_view_starts(name, "wrong") || tr_view_starts(name, "corrupt-");
	if (ok)
		ok = svid ? svid_ok(&c, &err) : bundle_ok(&c, &err);
	judge(set_of(r, it, svid ? "X.509-SVID" : "X.509 bundles in PEM", true), it->name,
	      is_bad_name(name) ? MUST_REFUSE : MUST_ACCEPT, ok,
	      ok ? NULL : rule_for(x509_rules, TR_ARRAY_LEN(x509_rules), err.pub), ok ? NULL : err.pub);
	return true;
}
