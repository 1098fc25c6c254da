/* SPDX-License-Identifier: Apache-2.0 */
/* Signing keys: Ed25519 (libsodium, strict: small-order and non-canonical encodings refused, docs/decisions),
 * ECDSA P-256 and RSA (OpenSSL). Keys are parsed once and kept; nothing here parses per signature. */
#ifndef TR_CRYPTO_KEY_H
#define TR_CRYPTO_KEY_H

#include "base/buf.h"
#include "crypto/hash.h"

enum tr_key_type { TR_KEY_ED25519, TR_KEY_P256, TR_KEY_RSA, TR_KEY_TYPE_N };

/* A signature scheme. ES256 signatures are raw r||s of 64 bytes (RFC 9053 §2.1) unless the _DER form is named. */
enum tr_sig_alg { TR_SIG_ED25519, TR_SIG_ES256, TR_SIG_ES256_DER, TR_SIG_PS256, TR_SIG_RS256, TR_SIG_ALG_N };

#define TR_SIG_MAX 1024 /* bytes: RSA-8192 */
#define TR_RSA_BITS_MIN 2048
#define TR_RSA_BITS_MAX 8192

struct tr_pubkey;
struct tr_privkey;

struct tr_pubkey *tr_pubkey_free(struct tr_pubkey *k);
TR_DEFINE_AUTO(struct tr_pubkey *, tr_pubkey_free)
struct tr_privkey *tr_privkey_free(struct tr_privkey *k);
TR_DEFINE_AUTO(struct tr_privkey *, tr_privkey_free)

/* Public key from PEM: "PUBLIC KEY" (SPKI), "RSA PUBLIC KEY" (PKCS#1) or a "CERTIFICATE"'s key. RSA under 2048
 * bits or with e != 65537, other types, other curves and known leaked keys are refused by name (TR_E_DENIED for
 * leaked and published test keys, TR_E_INVALID for the rest). */
TR_RC tr_pubkey_from_pem(struct tr_view pem, struct tr_pubkey **ret, struct tr_err *err);
TR_RC tr_pubkey_from_spki(struct tr_view der, struct tr_pubkey **ret, struct tr_err *err);
/* For vectors and tests only: everything but the check against published keys. Product code never calls it. */
TR_RC tr_pubkey_from_spki_unlisted(struct tr_view der, struct tr_pubkey **ret, struct tr_err *err);
/* Raw 32-byte Ed25519 point; refused when not canonical or of small order. */
TR_RC tr_pubkey_from_ed25519(struct tr_view raw, struct tr_pubkey **ret, struct tr_err *err);

enum tr_key_type tr_pubkey_type(const struct tr_pubkey *k);
const char *tr_pubkey_type_name(const struct tr_pubkey *k); /* "ed25519", "p256", "rsa2048", … */
struct tr_view tr_pubkey_spki(const struct tr_pubkey *k);   /* DER, borrowed */
const uint8_t *tr_pubkey_id(const struct tr_pubkey *k);     /* SHA-256 of the SPKI, 32 bytes, borrowed */
void tr_pubkey_pem(const struct tr_pubkey *k, struct tr_buf *b);
/* key_id of the original command designs: lower hex of SHA-256(raw key)[0:16]; Ed25519 raw 32 bytes, others SPKI. */
void tr_pubkey_short_id(const struct tr_pubkey *k, char out[33]);
/* Does alg go with this key's type? */
bool tr_pubkey_can(const struct tr_pubkey *k, enum tr_sig_alg alg);

/* TR_OK or TR_E_DENIED ("signature does not verify"); TR_E_INVALID when alg does not fit the key. */
TR_RC tr_verify(const struct tr_pubkey *k, enum tr_sig_alg alg, struct tr_view msg, struct tr_view sig,
		struct tr_err *err);

/* Private keys: PEM "PRIVATE KEY" (PKCS#8), "RSA PRIVATE KEY" (PKCS#1), "EC PRIVATE KEY" (SEC 1). The same
 * refusals as for public keys. Encrypted PEM is refused by name. */
TR_RC tr_privkey_from_pem(struct tr_view pem, struct tr_privkey **ret, struct tr_err *err);
/* From a file of mode 0600 (base/file.h rules). */
TR_RC tr_privkey_load(const char *path, struct tr_privkey **ret, struct tr_err *err);
/* Ed25519 from its 32-byte seed (RFC 8032), with the same refusals. */
TR_RC tr_privkey_from_seed(const uint8_t seed[32], struct tr_privkey **ret, struct tr_err *err);
TR_RC tr_privkey_generate(enum tr_key_type type, struct tr_privkey **ret, struct tr_err *err); /* RSA: 2048 bits */
/* PKCS#8 PEM; wipe the buffer with tr_wipe before freeing it. */
TR_RC tr_privkey_pem(const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err);
const struct tr_pubkey *tr_privkey_pub(const struct tr_privkey *k); /* borrowed */
/* The default scheme of a key type: Ed25519, ES256 (raw), PS256. */
enum tr_sig_alg tr_privkey_alg(const struct tr_privkey *k);
/* sig must have room for TR_SIG_MAX bytes. */
TR_RC tr_sign(const struct tr_privkey *k, enum tr_sig_alg alg, struct tr_view msg, uint8_t *sig, size_t *ret_n,
	      struct tr_err *err);

/* A private key that stays where it is, in a token: everything that signs takes it like any other, but it cannot be
 * written. sign is asked for TR_SIG_ED25519 or TR_SIG_ES256 (raw) and has room for TR_SIG_MAX bytes; what it gives is
 * checked with pub before anybody sees it. Takes pub and, on success, arg: done(arg) at the end. */
typedef enum tr_code (*tr_sign_fn)(void *arg, enum tr_sig_alg alg, struct tr_view msg, uint8_t *sig, size_t *ret_n,
				   struct tr_err *err);
TR_RC tr_privkey_external(struct tr_pubkey *pub, tr_sign_fn sign, void (*done)(void *arg), void *arg,
			  struct tr_privkey **ret, struct tr_err *err);

/* COSE algorithm number of a scheme and back (-8, -7, -37, -257); 0 / false when none. */
int64_t tr_sig_alg_cose(enum tr_sig_alg alg);
bool tr_sig_alg_from_cose(int64_t cose, enum tr_sig_alg *ret);
const char *tr_sig_alg_name(enum tr_sig_alg alg);

/* The strict rule alone, on raw bytes, for vectors and for callers that hold no key object. */
bool tr_ed25519_verify_strict(const uint8_t pub[32], struct tr_view msg, struct tr_view sig);

/* Known leaked and published test keys (the key that the original published as an example; RFC 8032, Wycheproof, COSE and
 * JOSE examples; all-zero). Returns the static name of the leak, or NULL. id is SHA-256 of the SPKI. */
const char *tr_key_leak_name(const uint8_t id[TR_SHA256_LEN]);

#endif
