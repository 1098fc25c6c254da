/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: a CA that issues X.509-SVIDs, CSRs, and the strict leaf checks that OpenSSL leaves out
 * (SPIFFE X.509-SVID standard; security research §4.7). */
#ifndef TR_CRYPTO_X509_H
#define TR_CRYPTO_X509_H

#include "crypto/key.h"

#define TR_SPIFFE_MAX 256   /* bytes of a SPIFFE id */
#define TR_CERT_DER_MAX 4096
#define TR_CSR_DER_MAX 4096
#define TR_CHAIN_MAX 3

struct tr_cert; /* a parsed certificate with its public key */

TR_RC tr_cert_parse(struct tr_view der, struct tr_cert **ret, struct tr_err *err); /* whole input, one certificate */
struct tr_cert *tr_cert_free(struct tr_cert *c);
TR_DEFINE_AUTO(struct tr_cert *, tr_cert_free)
struct tr_view tr_cert_der(const struct tr_cert *c);
const struct tr_pubkey *tr_cert_key(const struct tr_cert *c); /* borrowed; NULL when the type is not ours */
bool tr_cert_names_host(const struct tr_cert *c); /* at least one DNS name or address */
const uint8_t *tr_cert_sha256(const struct tr_cert *c);       /* of the DER */
int64_t tr_cert_not_before_ms(const struct tr_cert *c);
int64_t tr_cert_not_after_ms(const struct tr_cert *c);
const char *tr_cert_spiffe(const struct tr_cert *c); /* the one URI SAN, or "" */
void tr_cert_serial_hex(const struct tr_cert *c, struct tr_buf *b);

/* Trusted CAs, prepared once. */
struct tr_ca_set;
TR_RC tr_ca_set_new(const struct tr_view *ders, size_t n, struct tr_ca_set **ret, struct tr_err *err);
struct tr_ca_set *tr_ca_set_free(struct tr_ca_set *s);
TR_DEFINE_AUTO(struct tr_ca_set *, tr_ca_set_free)

/* What a peer's certificate must be. */
enum tr_cert_use {
	TR_USE_AGENT,  /* X.509-SVID leaf with clientAuth: exactly one URI SAN spiffe://<domain>/agent/<id> */
	TR_USE_SERVER, /* leaf with serverAuth */
	TR_USE_SVID,   /* any X.509-SVID leaf, any trust domain (vectors) */
};
/* Builds the chain (X509_STRICT) at now_ms, then our own checks: v3, cA false, keyUsage critical with
 * digitalSignature and without keyCertSign/cRLSign, exact EKU, one URI SAN of the right shape, key type and size,
 * serial 1..20 bytes and positive, chain length <= 3, no name constraints on a leaf, signature algorithm strong.
 * TR_E_UNAUTH with a sentence per reason. `extra` are untrusted intermediates. */
TR_RC tr_cert_check(const struct tr_cert *leaf, const struct tr_view *extra, size_t n_extra,
		    const struct tr_ca_set *cas, enum tr_cert_use use, const char *trust_domain, int64_t now_ms,
		    struct tr_err *err);
/* Only the leaf-shape part of the above, without chain and time. */
TR_RC tr_cert_check_leaf_shape(const struct tr_cert *leaf, enum tr_cert_use use, const char *trust_domain,
			       struct tr_err *err);
/* The same for a certificate that signs others: CA, keyCertSign, strong key and signature, no party's SPIFFE id. */
TR_RC tr_cert_check_ca_shape(const struct tr_cert *ca, struct tr_err *err);
/* Does a DNS or IP SAN name the host? Wildcards stand for one whole label; the subject is never asked. */
bool tr_cert_is_for_host(const struct tr_cert *c, const char *host);
/* Every DNS and IP SAN as text, for a successor with the same names; stops when fn returns false. */
typedef bool (*tr_host_fn)(void *arg, const char *host);
TR_RC tr_cert_each_host(const struct tr_cert *c, tr_host_fn fn, void *arg, struct tr_err *err);
/* "spiffe://<domain>/agent/<id>" → id (borrowed from the certificate). */
TR_RC tr_cert_agent_id(const struct tr_cert *c, const char *trust_domain, struct tr_view *ret, struct tr_err *err);
bool tr_trust_domain_ok(struct tr_view v); /* SPIFFE-ID §2.1: [a-z0-9.-_], 1..255 */

bool tr_spiffe_id_ok(struct tr_view id); /* SPIFFE-ID §2, with or without a path, <= TR_SPIFFE_MAX */

/* PKCS#10. The subject is ignored: identity is what the server decides. */
TR_RC tr_csr_make(const struct tr_privkey *k, struct tr_buf *ret_der, struct tr_err *err);
/* Parses and checks the self-signature: proof of possession. */
TR_RC tr_csr_check(struct tr_view der, struct tr_pubkey **ret_key, struct tr_err *err);

/* Issuing. Fields only: whoever holds the CA key builds every byte itself. */
struct tr_cert_spec {
	struct tr_view spki;         /* subject's key, DER */
	const char *common_name;     /* <= 64 bytes */
	const char *spiffe;          /* URI SAN; NULL for none */
	const char *const *dns;      /* DNS or IP SANs (text), NULL-terminated; NULL for none */
	int64_t not_before_ms, not_after_ms;
	bool client_auth, server_auth;
	bool ca;                     /* self-signed CA: spki must be the signer's own */
};
/* Random 128-bit positive serial. */
TR_RC tr_cert_issue(const struct tr_privkey *ca_key, struct tr_view ca_der /* empty for a self-signed CA */,
		    const struct tr_cert_spec *spec, struct tr_buf *ret_der, struct tr_err *err);
/* The same for whoever issues often: parsing the CA's certificate costs more than a signature. ca: NULL for a
 * self-signed CA. */
TR_RC tr_cert_issue_by(const struct tr_privkey *ca_key, const struct tr_cert *ca, const struct tr_cert_spec *spec,
		       struct tr_buf *ret_der, struct tr_err *err);

#endif
