/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that must not leak: locked where the limits allow it, kept out of core dumps, wiped on free.
 * There is deliberately no way to print one. */
#ifndef TR_BASE_SECRET_H
#define TR_BASE_SECRET_H

#include "base/err.h"
#include "base/view.h"

struct tr_secret;

struct tr_secret *tr_secret_new(size_t n); /* zeroed; NULL when out of memory */
struct tr_secret *tr_secret_free(struct tr_secret *s);
TR_DEFINE_AUTO(struct tr_secret *, tr_secret_free)

uint8_t *tr_secret_p(struct tr_secret *s);

/* Constant time for equal lengths; the lengths themselves are not secret. */
bool tr_secret_eq(struct tr_view a, struct tr_view b);
void tr_wipe(void *p, size_t n);

#endif
