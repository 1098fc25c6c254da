/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of this layer and of src/appraise share: keys, and the rule that every signed object must
 * pass: no single flipped bit, no cut and no appended byte is accepted. */
#ifndef TR_SIGNED_SIGNED_TEST_H
#define TR_SIGNED_SIGNED_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "crypto/key.h"

#define CHECK(cond, label)                                                                                 \
	do {                                                                                               \
		if (!(cond))                                                                               \
			fail_msg("%s: %s", (label), #cond);                                                \
	} while (0)

#define NOW_MS INT64_C(1795310523456) /* 2026-11-22T01:22:03.456Z */

static inline struct tr_privkey *new_key(enum tr_key_type type)
{
	struct tr_privkey *k = NULL;
	struct tr_err err;

	if (tr_privkey_generate(type, &k, &err))
		fail_msg("generate: %s", err.detail);
	return k;
}

typedef enum tr_code (*verify_fn)(void *arg, struct tr_view in);

/* Counts the mutations of `good` that verify; 0 is the only right answer. */
static inline size_t accepted_mutations(struct tr_view good, verify_fn verify, void *arg)
{
	size_t accepted = 0;

	for (size_t bit = 0; bit < good.n * 8; bit++) {
		/* An exact heap copy each time: a sanitizer sees a read past the end. */
		uint8_t *p = malloc(good.n);

		assert_non_null(p);
		memcpy(p, good.p, good.n);
		p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		accepted += verify(arg, tr_view(p, good.n)) == TR_OK;
		free(p);
	}
	for (size_t n = 0; n < good.n; n++)
		accepted += verify(arg, tr_view(good.p, n)) == TR_OK;
	{
		uint8_t *p = calloc(1, good.n + 1);

		assert_non_null(p);
		memcpy(p, good.p, good.n);
		accepted += verify(arg, tr_view(p, good.n + 1)) == TR_OK;
		free(p);
	}
	return accepted;
}

#endif
