/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets of signed objects share. An input is tried as the whole object, which nearly always
 * dies at the signature, and as a payload under a good signature, which is what an attacker with a stolen key
 * could send. */
#ifndef TR_SIGNED_SIGNED_FUZZ_H
#define TR_SIGNED_SIGNED_FUZZ_H

#include "signed/cose1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ORACLE(cond)                                                                                         \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static inline const struct tr_privkey *fuzz_key(void)
{
	static struct tr_privkey *k;
	struct tr_err err;

	if (!k) {
		ORACLE(tr_crypto_init(&err) == TR_OK);
		ORACLE(tr_privkey_generate(TR_KEY_ED25519, &k, &err) == TR_OK);
	}
	return k;
}

/* Payload bytes of an object that we made ourselves. */
static inline struct tr_view payload_of(const struct tr_buf *b)
{
	struct tr_cose c;
	struct tr_err err;

	ORACLE(tr_cose1_parse(tr_buf_view(b), b->n, &c, &err) == TR_OK);
	return c.payload;
}

#endif
