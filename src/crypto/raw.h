/* SPDX-License-Identifier: Apache-2.0 */
/* Verification keys as hardware evidence carries them: bare points and moduli, any of P-256, P-384, P-521 and RSA to 8192
 * bits, whoever owns them. Unlike crypto/key.h nothing is refused for being short of our own rules: which curve, size and
 * scheme a piece of evidence may use is the caller's to say (src/evidence). No certificate object, no DER parse by the
 * library: that costs 130 us each on a quote's path. */
#ifndef TR_CRYPTO_RAW_H
#define TR_CRYPTO_RAW_H

#include "base/err.h"
#include "base/view.h"

enum tr_raw_type { TR_RAW_NONE, TR_RAW_P256, TR_RAW_P384, TR_RAW_P521, TR_RAW_RSA };
enum tr_raw_hash { TR_HASH_NONE, TR_HASH_SHA1, TR_HASH_SHA256, TR_HASH_SHA384, TR_HASH_SHA512, TR_HASH_N };
size_t tr_raw_hash_len(enum tr_raw_hash h); /* bytes; 0 for NONE */
const char *tr_raw_hash_name(enum tr_raw_hash h); /* "sha256" */
/* One digest over up to n parts. SHA-1 is for reading old logs only; no signature of it is ever accepted. */
void tr_raw_digest(enum tr_raw_hash h, const struct tr_view *parts, size_t n, uint8_t out[64]);

/* A key is used by one thread at a time. */
struct tr_raw_key;
struct tr_raw_key *tr_raw_key_free(struct tr_raw_key *k);
TR_DEFINE_AUTO(struct tr_raw_key *, tr_raw_key_free)
/* An uncompressed point without its 04: x and y, each of the curve's size. TR_E_INVALID when it is not on the curve. */
TR_RC tr_raw_key_ec(enum tr_raw_type curve, struct tr_view xy, struct tr_raw_key **ret, struct tr_err *err);
/* Big-endian modulus (2048 to 8192 bits) and exponent (odd, 3 to 2^32-1). */
TR_RC tr_raw_key_rsa(struct tr_view n, struct tr_view e, struct tr_raw_key **ret, struct tr_err *err);
enum tr_raw_type tr_raw_key_type(const struct tr_raw_key *k);
unsigned tr_raw_key_bits(const struct tr_raw_key *k);

/* Big-endian r and s of any length up to the curve's (leading zeros or not). r or s of 0 or >= n are refused, high s is
 * legal. TR_E_DENIED when it does not verify. The hash is over the concatenated parts. */
TR_RC tr_raw_verify_ecdsa(const struct tr_raw_key *k, enum tr_raw_hash h, const struct tr_view *parts, size_t n_parts,
			  struct tr_view r, struct tr_view s, struct tr_err *err);
/* The DER form of certificates. */
TR_RC tr_raw_verify_ecdsa_der(const struct tr_raw_key *k, enum tr_raw_hash h, struct tr_view msg, struct tr_view sig,
			      struct tr_err *err);
/* PKCS#1 v1.5 */
TR_RC tr_raw_verify_rsa(const struct tr_raw_key *k, enum tr_raw_hash h, struct tr_view msg, struct tr_view sig,
			struct tr_err *err);
/* MGF1 with the same hash. salt: bytes, or -1 for whatever the signature has. */
TR_RC tr_raw_verify_pss(const struct tr_raw_key *k, enum tr_raw_hash h, int salt, struct tr_view msg, struct tr_view sig,
			struct tr_err *err);

#endif
