/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys as a vendor of hardware has them, for the simulated one (evidence/sim.h) and for tests: P-256, P-384 and RSA,
 * from a seed, from PEM or fresh. Not for identities: those are crypto/key.h's, with its refusals. Programs that serve
 * nobody's simulation do not link this file. */
#ifndef TR_CRYPTO_RAW_SIGN_H
#define TR_CRYPTO_RAW_SIGN_H

#include "base/buf.h"
#include "crypto/raw.h"

struct tr_raw_priv;
struct tr_raw_priv *tr_raw_priv_free(struct tr_raw_priv *k);
TR_DEFINE_AUTO(struct tr_raw_priv *, tr_raw_priv_free)

/* The same seed and label give the same key; an empty seed a fresh one. Curves: P-256 and P-384. */
TR_RC tr_raw_priv_ec(enum tr_raw_type curve, struct tr_view seed, const char *label, struct tr_raw_priv **ret,
		     struct tr_err *err);
/* bits: 2048, 3072 or 4096. From a seed: about a second at 4096. */
TR_RC tr_raw_priv_rsa(unsigned bits, struct tr_view seed, const char *label, struct tr_raw_priv **ret, struct tr_err *err);
/* "PRIVATE KEY" (PKCS#8) of those kinds. */
TR_RC tr_raw_priv_pem(struct tr_view pem, struct tr_raw_priv **ret, struct tr_err *err);

enum tr_raw_type tr_raw_priv_type(const struct tr_raw_priv *k);
/* Borrowed: SubjectPublicKeyInfo, DER; and x || y of an EC key, empty for RSA. */
struct tr_view tr_raw_priv_spki(const struct tr_raw_priv *k);
struct tr_view tr_raw_priv_point(const struct tr_raw_priv *k);

/* Appended to ret: r || s, big-endian, each of the curve's length; the hash is over the concatenated parts and is SHA-256
 * for P-256, SHA-384 for P-384. Deterministic (RFC 6979): the same key signs the same bytes in the same way. */
TR_RC tr_raw_sign_ecdsa(const struct tr_raw_priv *k, enum tr_raw_hash h, const struct tr_view *parts, size_t n_parts,
			struct tr_buf *ret, struct tr_err *err);
/* The DER form of certificates. */
TR_RC tr_raw_sign_ecdsa_der(const struct tr_raw_priv *k, enum tr_raw_hash h, struct tr_view msg, struct tr_buf *ret,
			    struct tr_err *err);
TR_RC tr_raw_sign_rsa(const struct tr_raw_priv *k, enum tr_raw_hash h, struct tr_view msg, struct tr_buf *ret,
		      struct tr_err *err);
/* MGF1 with the same hash, salt as long as the hash. */
TR_RC tr_raw_sign_pss(const struct tr_raw_priv *k, enum tr_raw_hash h, struct tr_view msg, struct tr_buf *ret,
		      struct tr_err *err);

#endif
