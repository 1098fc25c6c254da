/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/der.h"

#include <time.h>

#define DEPTH_MAX 24

static bool primitive_ok(const struct tr_der *d)
{
	switch (d->tag) {
	case TR_DER_BOOL: return d->body.n == 1 && (d->body.p[0] == 0 || d->body.p[0] == 0xff);
	case TR_DER_NULL: return d->body.n == 0;
	case TR_DER_BITS: return d->body.n > 0 && d->body.p[0] <= 7;
	case TR_DER_OID: return d->body.n > 0 && !(d->body.p[d->body.n - 1] & 0x80);
	case TR_DER_INT:
		if (d->body.n < 2)
			return d->body.n == 1;
		/* X.690 8.3.2: the first nine bits are neither all zero nor all one. */
		return !(d->body.p[0] == 0 && d->body.p[1] < 0x80) &&
		       !(d->body.p[0] == 0xff && d->body.p[1] >= 0x80);
	default: return true;
	}
}

static bool strict_run(struct tr_view in, int depth)
{
	while (in.n > 0) {
		struct tr_der d;

		if (!tr_der_next(&in, &d))
			return false;
		if (!(d.tag & 0x20)) {
			if (!primitive_ok(&d))
				return false;
		} else if (depth == 0 || !strict_run(d.body, depth - 1)) {
			return false;
		}
	}
	return true;
}

bool tr_der_is_strict(struct tr_view in)
{
	struct tr_view rest = in;
	struct tr_der d;

	return tr_der_next(&rest, &d) && rest.n == 0 && strict_run(in, DEPTH_MAX);
}

bool tr_der_take(struct tr_view *in, uint8_t tag, struct tr_view *ret_body)
{
	struct tr_view rest = *in;
	struct tr_der d;

	if (!tr_der_next(&rest, &d) || d.tag != tag)
		return false;
	*in = rest;
	*ret_body = d.body;
	return true;
}

static size_t put_head(uint8_t head[6], uint8_t tag, size_t n)
{
	size_t at = 0;

	head[at++] = tag;
	if (n >= 0x80) {
		unsigned bytes = n > 0xffffff ? 4 : n > 0xffff ? 3 : n > 0xff ? 2 : 1;

		head[at++] = (uint8_t)(0x80 | bytes);
		while (bytes-- > 0)
			head[at++] = (uint8_t)(n >> (8 * bytes));
	} else {
		head[at++] = (uint8_t)n;
	}
	return at;
}

void tr_der_wrap(struct tr_buf *b, size_t at, uint8_t tag)
{
	uint8_t head[6];
	size_t body = b->n - at, n = put_head(head, tag, body);

	if (!tr_buf_space(b, n))
		return;
	memmove(b->p + at + n, b->p + at, body);
	memcpy(b->p + at, head, n);
}

void tr_der_add(struct tr_buf *b, uint8_t tag, struct tr_view body)
{
	uint8_t head[6];

	tr_buf_add(b, head, put_head(head, tag, body.n));
	tr_buf_addv(b, body);
}

void tr_der_add_uint(struct tr_buf *b, struct tr_view v)
{
	size_t at = b->n;

	while (v.n > 0 && v.p[0] == 0)
		v = tr_view(v.p + 1, v.n - 1);
	if (v.n == 0 || v.p[0] >= 0x80)
		tr_buf_add8(b, 0);
	tr_buf_addv(b, v);
	tr_der_wrap(b, at, TR_DER_INT);
}

void tr_der_add_time(struct tr_buf *b, int64_t unix_ms)
{
	time_t t = (time_t)(unix_ms / 1000);
	struct tm tm;
	size_t at = b->n;
	bool utc;

	if (!gmtime_r(&t, &tm))
		memset(&tm, 0, sizeof(tm));
	utc = tm.tm_year >= 50 && tm.tm_year < 150;
	if (utc)
		tr_buf_addf(b, "%02d", tm.tm_year % 100);
	else
		tr_buf_addf(b, "%04d", tm.tm_year + 1900);
	tr_buf_addf(b, "%02d%02d%02d%02d%02dZ", tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	tr_der_wrap(b, at, utc ? TR_DER_UTCTIME : TR_DER_GENTIME);
}
