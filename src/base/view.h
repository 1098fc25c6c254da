/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed run of bytes: pointer and length never travel apart. Owns nothing. */
#ifndef TR_BASE_VIEW_H
#define TR_BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct tr_view {
	const uint8_t *p;
	size_t n;
};

#define TR_VIEW_LIT(s) ((struct tr_view){ (const uint8_t *)(s), sizeof(s) - 1 })
#define TR_VIEW_ARRAY(a) ((struct tr_view){ (const uint8_t *)(a), sizeof(a) })
#define TR_VIEW_FMT(v) (int)(v).n, (const char *)(v).p /* for "%.*s", text only */

static inline struct tr_view tr_view(const void *p, size_t n)
{
	return (struct tr_view){ (const uint8_t *)p, n };
}

static inline struct tr_view tr_view_str(const char *s)
{
	return (struct tr_view){ (const uint8_t *)s, s ? strlen(s) : 0 };
}

/* Not constant time: never for secrets (tr_secret_eq in base/secret.h). */
static inline bool tr_view_eq(struct tr_view a, struct tr_view b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool tr_view_is(struct tr_view a, const char *s)
{
	return tr_view_eq(a, tr_view_str(s));
}

static inline bool tr_view_starts(struct tr_view a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.n >= n && memcmp(a.p, prefix, n) == 0;
}

#endif
