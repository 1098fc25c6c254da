/* SPDX-License-Identifier: Apache-2.0 */
/* Large pieces of memory that are read all over at random: with pages of 2 MiB, where the kernel has them, a look-up does
 * not also pay for finding its page. */
#ifndef TR_BASE_SLAB_H
#define TR_BASE_SLAB_H

#include <stdbool.h>
#include <stddef.h>

#define TR_SLAB_LEN ((size_t)2 << 20)

/* Zeroed, aligned to TR_SLAB_LEN; n is a multiple of it. It takes memory as it is used, unless huge: then as a whole, so
 * the first one of its kind, which may stay nearly empty, should not be. NULL when out of memory. */
void *tr_slab_new(size_t n, bool huge);
void tr_slab_free(void *p, size_t n);

#endif
