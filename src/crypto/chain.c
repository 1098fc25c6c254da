/* SPDX-License-Identifier: Apache-2.0 */
/* Chains: OpenSSL builds and verifies them under X509_STRICT, and every member is then checked as x509.c
 * does. */
#include "crypto/x509.h"

#include "crypto/ossl.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

struct tr_ca_set {
	X509_STORE *store;
};

struct tr_ca_set *tr_ca_set_free(struct tr_ca_set *s)
{
	if (s) {
		X509_STORE_free(s->store);
		free(s);
	}
	return NULL;
}

static TR_RC add_ca(struct tr_ca_set *s, struct tr_view der, struct tr_err *err)
{
	tr_auto(tr_cert_free) struct tr_cert *c = NULL;
	enum tr_code rc = tr_cert_parse(der, &c, err);

	if (!rc)
		rc = tr_cert_check_ca_shape(c, err);
	if (rc)
		return rc;
	/* A usage limit on a trust anchor would be read by some verifiers and not by others. */
	if (X509_get_ext_by_NID(tr_cert_x509(c), NID_ext_key_usage, -1) >= 0)
		return tr_cert_refuse(err, "a trusted CA must not carry an extended key usage");
	if (X509_STORE_add_cert(s->store, tr_cert_x509(c)) != 1)
		return tr_ossl_fail(err, TR_E_INTERNAL, "the CA certificate could not be loaded",
				    "X509_STORE");
	return TR_OK;
}

TR_RC tr_ca_set_new(const struct tr_view *ders, size_t n, struct tr_ca_set **ret, struct tr_err *err)
{
	tr_auto(tr_ca_set_free) struct tr_ca_set *s = calloc(1, sizeof(*s));

	/* No default paths: only what is given here is trusted, whatever the machine has in /etc/ssl. */
	if (!s || !(s->store = X509_STORE_new()))
		return tr_ossl_fail(err, TR_E_INTERNAL, "out of memory", "CA set");
	if (n == 0)
		return tr_err_set(err, TR_E_INVALID, "no CA certificate given", "empty CA set");
	for (size_t i = 0; i < n; i++)
		if (add_ca(s, ders[i], err))
			return tr_err_wrap(err, "CA certificate %zu", i);
	*ret = TR_TAKE(s);
	return TR_OK;
}

static const char *chain_pub(int e)
{
	switch (e) {
	case X509_V_ERR_CERT_HAS_EXPIRED: return "the certificate has expired; renew it or enrol again";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "the certificate is not valid yet; check the clocks of both sides";
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_UNTRUSTED: return "the certificate is not from a CA that is trusted here";
	case X509_V_ERR_CERT_SIGNATURE_FAILURE: return "a signature in the certificate chain does not verify";
	case X509_V_ERR_CERT_CHAIN_TOO_LONG: return "the certificate chain is longer than three";
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK: return "a key or a digest in the certificate chain is too weak";
	default: return "the certificate chain breaks a rule of RFC 5280; the log names it";
	}
}

/* Every CA of the chain in the same way as a trusted one: an intermediate comes from the peer. */
static TR_RC check_chain(X509_STORE_CTX *ctx, struct tr_err *err)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);

	if (sk_X509_num(chain) > TR_CHAIN_MAX)
		return tr_cert_refuse(err, "the certificate chain is longer than three");
	for (int i = 1; i < sk_X509_num(chain); i++) {
		tr_auto(tr_cert_free) struct tr_cert *c = NULL;
		unsigned char *der = NULL;
		int n = i2d_X509(sk_X509_value(chain, i), &der);
		enum tr_code rc;

		if (n <= 0)
			return tr_cert_refuse(err, "a certificate of the chain is malformed");
		rc = tr_cert_parse(tr_view(der, (size_t)n), &c, err);
		OPENSSL_free(der);
		if (!rc)
			rc = tr_cert_check_ca_shape(c, err);
		if (rc) {
			err->code = err->code == TR_E_INVALID ? TR_E_UNAUTH : err->code;
			return tr_err_wrap(err, "chain certificate %d", i);
		}
	}
	return TR_OK;
}

static TR_RC build_chain(const struct tr_cert *leaf, STACK_OF(X509) * extra, const struct tr_ca_set *cas,
			 int64_t now_ms, struct tr_err *err)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(tr_ossl_ctx(), NULL);
	X509_VERIFY_PARAM *param;
	enum tr_code rc;

	if (!ctx || X509_STORE_CTX_init(ctx, cas->store, tr_cert_x509(leaf), extra) != 1) {
		X509_STORE_CTX_free(ctx);
		return tr_ossl_fail(err, TR_E_INTERNAL, "out of memory", "X509_STORE_CTX");
	}
	param = X509_STORE_CTX_get0_param(ctx);
	(void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
	X509_VERIFY_PARAM_set_time(param, (time_t)(now_ms / 1000));
	X509_VERIFY_PARAM_set_depth(param, TR_CHAIN_MAX - 2); /* counts intermediates */
	X509_VERIFY_PARAM_set_auth_level(param, 2);	      /* 112 bits: RSA-2048, SHA-256 */
	if (X509_verify_cert(ctx) == 1) {
		rc = check_chain(ctx, err);
	} else {
		int e = X509_STORE_CTX_get_error(ctx);

		rc = tr_ossl_fail(err, TR_E_UNAUTH, chain_pub(e), "chain depth %d: %s",
				  X509_STORE_CTX_get_error_depth(ctx), X509_verify_cert_error_string(e));
	}
	X509_STORE_CTX_free(ctx);
	return rc;
}

TR_RC tr_cert_check(const struct tr_cert *leaf, const struct tr_view *extra, size_t n_extra,
		    const struct tr_ca_set *cas, enum tr_cert_use use, const char *trust_domain,
		    int64_t now_ms, struct tr_err *err)
{
	struct tr_cert *mid[TR_CHAIN_MAX] = { NULL };
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	enum tr_code rc = TR_OK;

	if (!untrusted)
		rc = tr_ossl_fail(err, TR_E_INTERNAL, "out of memory", "certificate stack");
	else if (n_extra > TR_CHAIN_MAX)
		rc = tr_cert_refuse(err, "the peer sent more certificates than a chain may have");
	for (size_t i = 0; !rc && i < n_extra; i++) {
		rc = tr_cert_parse(extra[i], &mid[i], err);
		if (rc)
			rc = err->code = TR_E_UNAUTH;
		else if (!sk_X509_push(untrusted, tr_cert_x509(mid[i])))
			rc = tr_ossl_fail(err, TR_E_INTERNAL, "out of memory", "certificate stack");
	}
	if (!rc)
		rc = build_chain(leaf, untrusted, cas, now_ms, err);
	if (!rc)
		rc = tr_cert_check_leaf_shape(leaf, use, trust_domain, err);
	for (size_t i = 0; i < TR_CHAIN_MAX; i++)
		mid[i] = tr_cert_free(mid[i]);
	sk_X509_free(untrusted);
	/* Extensions that are absent leave entries behind, and libssl in the same process reads the queue. */
	ERR_clear_error();
	return rc;
}
