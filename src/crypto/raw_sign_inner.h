/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated vendor's private key inside; raw_priv.c makes it and raw_sign.c signs with it. */
#ifndef TR_CRYPTO_RAW_SIGN_INNER_H
#define TR_CRYPTO_RAW_SIGN_INNER_H

#include <openssl/ec.h>

#include "crypto/ossl.h"
#include "crypto/raw_sign.h"

#define RAW_MEMORY_PUB "out of memory"
#define RAW_KEY_PUB "the private key cannot be used"
#define RAW_POINT_MAX 97 /* 04 and two coordinates of P-384 */

TR_OSSL_DEFINE_AUTO(BIGNUM, BN_clear_free)
TR_OSSL_DEFINE_AUTO(BN_CTX, BN_CTX_free)
TR_OSSL_DEFINE_AUTO(EC_GROUP, EC_GROUP_free)
TR_OSSL_DEFINE_AUTO(EC_POINT, EC_POINT_free)

struct tr_raw_priv {
	enum tr_raw_type type;
	EVP_PKEY *pkey;
	struct tr_buf spki;
	uint8_t point[RAW_POINT_MAX];
	size_t n_point; /* with the 04; 0: RSA */
};

#endif
