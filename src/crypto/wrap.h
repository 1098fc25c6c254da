/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys at rest: sealed with XChaCha20-Poly1305 under a key that stays in a file of the node (keys/seal.key), so
 * that a copy of the database alone gives nobody a signature. What a sealed key is for (its role) and whose public half it
 * has are bound to it: a row that was edited does not open.
 *
 * Bytes: version 1 ‖ nonce (24) ‖ ciphertext ‖ tag (16). */
#ifndef TR_CRYPTO_WRAP_H
#define TR_CRYPTO_WRAP_H

#include "crypto/key.h"

#define TR_WRAP_KEY_LEN 32
#define TR_WRAP_EXTRA 41 /* bytes that wrapping adds */

/* A fresh random nonce each time: the same plaintext never gives the same bytes. */
TR_RC tr_wrap(const uint8_t key[TR_WRAP_KEY_LEN], struct tr_view bound, struct tr_view plain, struct tr_buf *ret,
	      struct tr_err *err);
/* TR_E_DENIED when any bit of it, of bound or of the key is another. The caller wipes ret. */
TR_RC tr_unwrap(const uint8_t key[TR_WRAP_KEY_LEN], struct tr_view bound, struct tr_view wrapped, struct tr_buf *ret,
		struct tr_err *err);

/* The same of a signing key: bound are "troth/seal/v1", the role and the public half. */
TR_RC tr_privkey_seal(const uint8_t key[TR_WRAP_KEY_LEN], struct tr_view role, const struct tr_privkey *k,
		      struct tr_buf *ret, struct tr_err *err);
TR_RC tr_privkey_unseal(const uint8_t key[TR_WRAP_KEY_LEN], struct tr_view role, struct tr_view spki,
			struct tr_view sealed, struct tr_privkey **ret, struct tr_err *err);

#endif
