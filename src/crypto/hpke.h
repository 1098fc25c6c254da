/* SPDX-License-Identifier: Apache-2.0 */
/* HPKE (RFC 9180), base mode, one suite: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM 0x0002. AES
 * on EVP of OpenSSL 3.0, whose own HPKE came with 3.2; X25519 by libsodium, twice as fast there. Single shot: a key pair
 * seals one message of ours (sequence 0); contexts are for the RFC's vectors. An all-zero shared secret is refused
 * (RFC 9180 7.1.4). */
#ifndef TR_CRYPTO_HPKE_H
#define TR_CRYPTO_HPKE_H

#include "base/buf.h"
#include "base/secret.h"

#define TR_X25519_LEN 32
#define TR_HPKE_TAG 16

/* X25519 pairs: private 32 bytes in locked memory. */
TR_RC tr_x25519_generate(struct tr_secret **ret_priv, uint8_t ret_pub[TR_X25519_LEN], struct tr_err *err);
TR_RC tr_x25519_public(const struct tr_secret *priv, uint8_t ret_pub[TR_X25519_LEN], struct tr_err *err);

TR_RC tr_hpke_seal(const uint8_t to[TR_X25519_LEN], struct tr_view info, struct tr_view aad, struct tr_view plain,
		   uint8_t ret_enc[TR_X25519_LEN], struct tr_buf *ret_ct, struct tr_err *err);
/* TR_E_DENIED when any bit of enc, info, aad or ct is another, or the key is. */
TR_RC tr_hpke_open(const struct tr_secret *priv, const uint8_t enc[TR_X25519_LEN], struct tr_view info, struct tr_view aad,
		   struct tr_view ct, struct tr_buf *ret_plain, struct tr_err *err);

/* For vectors: a context with its sequence, the sender's ephemeral key given, and exported secrets. */
struct tr_hpke;
struct tr_hpke *tr_hpke_free(struct tr_hpke *h);
TR_DEFINE_AUTO(struct tr_hpke *, tr_hpke_free)
TR_RC tr_hpke_sender(const uint8_t to[TR_X25519_LEN], const struct tr_secret *ephemeral /* NULL: fresh */, struct tr_view info,
		     uint8_t ret_enc[TR_X25519_LEN], struct tr_hpke **ret, struct tr_err *err);
TR_RC tr_hpke_recipient(const struct tr_secret *priv, const uint8_t enc[TR_X25519_LEN], struct tr_view info,
			struct tr_hpke **ret, struct tr_err *err);
TR_RC tr_hpke_seal_next(struct tr_hpke *h, struct tr_view aad, struct tr_view plain, struct tr_buf *ret_ct, struct tr_err *err);
TR_RC tr_hpke_open_next(struct tr_hpke *h, struct tr_view aad, struct tr_view ct, struct tr_buf *ret_plain, struct tr_err *err);
TR_RC tr_hpke_export(const struct tr_hpke *h, struct tr_view context, uint8_t *out, size_t n, struct tr_err *err);

#endif
