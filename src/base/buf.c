/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void tr_buf_done(struct tr_buf *b)
{
	free(b->p);
	*b = (struct tr_buf){ .max = b->max };
}

uint8_t *tr_buf_space(struct tr_buf *b, size_t n)
{
	size_t max = b->max ? b->max : TR_BUF_MAX_DEFAULT;

	if (b->failed || n > max || b->n > max - n) {
		b->failed = true;
		return NULL;
	}
	/* One spare byte so that tr_buf_cstr never has to grow. */
	if (b->n + n + 1 > b->cap) {
		size_t cap = b->cap ? b->cap : 64;
		uint8_t *p;

		while (cap < b->n + n + 1)
			cap *= 2;
		p = realloc(b->p, cap);
		if (!p) {
			b->failed = true;
			return NULL;
		}
		b->p = p;
		b->cap = cap;
	}
	b->n += n;
	return b->p + b->n - n;
}

void tr_buf_add(struct tr_buf *b, const void *p, size_t n)
{
	uint8_t *at = tr_buf_space(b, n);

	if (at && n)
		memcpy(at, p, n);
}

void tr_buf_addv(struct tr_buf *b, struct tr_view v)
{
	tr_buf_add(b, v.p, v.n);
}

void tr_buf_adds(struct tr_buf *b, const char *s)
{
	tr_buf_add(b, s, strlen(s));
}

void tr_buf_add8(struct tr_buf *b, uint8_t v)
{
	tr_buf_add(b, &v, 1);
}

void tr_buf_addf(struct tr_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;
	uint8_t *at;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	at = n < 0 ? NULL : tr_buf_space(b, (size_t)n);
	if (!at) {
		b->failed = true;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf((char *)at, (size_t)n + 1, fmt, ap);
	va_end(ap);
}

void tr_buf_clear(struct tr_buf *b)
{
	b->n = 0;
	b->failed = false;
}

bool tr_buf_ok(const struct tr_buf *b)
{
	return !b->failed;
}

struct tr_view tr_buf_view(const struct tr_buf *b)
{
	return b->failed ? tr_view(NULL, 0) : tr_view(b->p, b->n);
}

const char *tr_buf_cstr(struct tr_buf *b)
{
	if (b->failed || (!b->p && !tr_buf_space(b, 0)))
		return "";
	b->p[b->n] = 0;
	return (const char *)b->p;
}

TR_RC tr_buf_check(const struct tr_buf *b, struct tr_err *err)
{
	if (b->failed)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory or over a size limit", "buffer of %zu bytes",
				  b->n);
	return TR_OK;
}
