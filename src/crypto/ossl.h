/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share about OpenSSL; nobody else includes this.
 *
 * Everything runs in a library context of our own: no openssl.cnf and no environment variable can put a
 * provider, an engine or a weaker policy under the keys, and a program that links libtroth keeps its own. */
#ifndef TR_CRYPTO_OSSL_H
#define TR_CRYPTO_OSSL_H

#include "crypto/x509.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

OSSL_LIB_CTX *tr_ossl_ctx(void);
const EVP_MD *tr_ossl_sha256(void);

/* tr_err_set, with the newest reasons of OpenSSL's queue at the end of the detail; empties the queue. */
#define tr_ossl_fail(err, code, pub, ...)                                                                   \
	TR_RAISED(tr_ossl_fail_at((err), (code), (pub), __FILE__, __LINE__, __VA_ARGS__))
enum tr_code tr_ossl_fail_at(struct tr_err *err, enum tr_code code, const char *pub, const char *file, int line,
			     const char *fmt, ...) TR_PRINTF(6, 7);

#define TR_OSSL_DEFINE_AUTO(type, free_fn)                                                                  \
	static inline __attribute__((unused)) void free_fn##_autop(type **p)                               \
	{                                                                                                  \
		free_fn(*p);                                                                               \
	}
TR_OSSL_DEFINE_AUTO(EVP_PKEY, EVP_PKEY_free)
TR_OSSL_DEFINE_AUTO(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
TR_OSSL_DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free)
TR_OSSL_DEFINE_AUTO(X509, X509_free)

struct tr_pubkey {
	enum tr_key_type type;
	char name[12];
	uint8_t id[TR_SHA256_LEN];
	EVP_PKEY *pkey; /* NULL for Ed25519, which libsodium checks from the raw bytes */
	struct tr_view raw; /* Ed25519 point, borrowed from spki */
	size_t n;
	uint8_t spki[];
};

struct tr_privkey {
	struct tr_pubkey *pub;
	EVP_PKEY *pkey;           /* RSA and P-256 */
	struct tr_secret *ed; /* libsodium's 64 bytes: seed and public key */
	tr_sign_fn sign;      /* external: neither of both */
	void (*done)(void *arg);
	void *arg;
};

#define TR_KEY_FILE_MAX 16384 /* bytes; RSA-8192 in PEM is 6 400 */

/* The only block of a key file: a second one would be a key that the operator believes to be in use. */
TR_RC tr_key_pem_block(struct tr_view pem, struct tr_view *ret_label, struct tr_buf *ret_der, struct tr_err *err);

/* Is the point a canonical encoding (y < p) and not of small order? */
bool tr_ed25519_point_ok(const uint8_t p[32]);

/* The signature algorithms of certificates and CSRs that we write: whole AlgorithmIdentifier. */
struct tr_view tr_sig_alg_der(enum tr_sig_alg alg);
/* The scheme a CA or CSR key signs with: X.509 wants DER ECDSA and, for old clients, PKCS#1 v1.5. */
enum tr_sig_alg tr_x509_alg(const struct tr_pubkey *k);

/* The key a certificate carries, whatever its shape; the refusal when the type is not ours. */
TR_RC tr_cert_take_key(struct tr_cert *c, struct tr_pubkey **ret, struct tr_err *err);
X509 *tr_cert_x509(const struct tr_cert *c);
/* TR_E_UNAUTH with that sentence, and OpenSSL's reason in the detail. */
enum tr_code tr_cert_refuse(struct tr_err *err, const char *pub);

#endif
