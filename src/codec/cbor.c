/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/cbor.h"

#include "codec/text.h"

enum major { M_UINT, M_NINT, M_BYTES, M_TEXT, M_ARRAY, M_MAP, M_TAG, M_SIMPLE };

struct head {
	enum major major;
	uint64_t arg;
};

#define SIMPLE_FALSE 20
#define SIMPLE_TRUE 21
#define SIMPLE_NULL 22

static const char E_END[] = "CBOR ends in the middle of an item";
static const char E_TYPE[] = "CBOR item is not of the expected type";

static size_t left(const struct tr_cbor *r)
{
	return r->in.n - r->at;
}

/* Reads one head; fails with the position still on it. */
static bool take_head(struct tr_cbor *r, struct head *ret)
{
	uint8_t first, info;
	uint64_t arg = 0;
	size_t n;

	if (r->error)
		return false;
	if (!left(r)) {
		tr_cbor_fail(r, E_END);
		return false;
	}
	first = r->in.p[r->at];
	info = first & 31;
	if (info > 27) {
		tr_cbor_fail(r, info == 31 ? "CBOR item has an indefinite length" : "CBOR head is reserved");
		return false;
	}
	if (first >> 5 == M_SIMPLE && info >= 24) {
		tr_cbor_fail(r, "CBOR floats and extended simple values are not accepted");
		return false;
	}
	n = info < 24 ? 0 : (size_t)1 << (info - 24);
	if (left(r) - 1 < n) {
		tr_cbor_fail(r, E_END);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		arg = arg << 8 | r->in.p[r->at + 1 + i];
	if (!n)
		arg = info;
	/* RFC 8949 4.2.1: the shortest form only; one byte carries up to 23 in the head itself. */
	else if (n == 1 ? arg < 24 : arg >> (n * 4) == 0) {
		tr_cbor_fail(r, "CBOR number or length is not in its shortest form");
		return false;
	}
	r->at += 1 + n;
	ret->major = (enum major)(first >> 5);
	ret->arg = arg;
	return true;
}

/* The head of an item of that major type; puts the position back when it is another one. */
static bool take_major(struct tr_cbor *r, enum major want, uint64_t *ret_arg)
{
	size_t at = r->at;
	struct head h;

	if (!take_head(r, &h))
		return false;
	if (h.major != want) {
		r->at = at;
		tr_cbor_fail(r, E_TYPE);
		return false;
	}
	*ret_arg = h.arg;
	return true;
}

static struct tr_view take_string(struct tr_cbor *r, enum major want)
{
	size_t at = r->at;
	struct tr_view v;
	uint64_t n;

	if (!take_major(r, want, &n))
		return tr_view(NULL, 0);
	v = tr_view(r->in.p + r->at, (size_t)n);
	if (n > left(r)) {
		r->at = at;
		tr_cbor_fail(r, "CBOR string is longer than the input");
		return tr_view(NULL, 0);
	}
	if (want == M_TEXT && !tr_utf8_ok(v)) {
		r->at = at;
		tr_cbor_fail(r, "CBOR text is not valid UTF-8");
		return tr_view(NULL, 0);
	}
	r->at += v.n;
	return v;
}

/* Number of items; each of them takes at least `each` bytes, so a false count fails here, before any loop. */
static size_t take_count(struct tr_cbor *r, enum major want, size_t each, size_t max)
{
	size_t at = r->at;
	uint64_t n;

	if (!take_major(r, want, &n))
		return 0;
	if (n > max || n > left(r) / each) {
		r->at = at;
		tr_cbor_fail(r, n > max ? "CBOR array or map has too many items" : E_END);
		return 0;
	}
	return (size_t)n;
}

static int64_t int_value(struct tr_cbor *r, const struct head *h)
{
	if (h->arg > INT64_MAX) {
		tr_cbor_fail(r, "CBOR integer is out of range");
		return 0;
	}
	return h->major == M_NINT ? -1 - (int64_t)h->arg : (int64_t)h->arg;
}

/* Takes the key off and compares its bytes with the previous one's (RFC 8949 4.2.1). */
static bool check_key(struct tr_cbor *r, struct tr_cbor_map *m, size_t from)
{
	struct tr_view key = tr_view(r->in.p + from, r->at - from);
	size_t n = key.n < m->last.n ? key.n : m->last.n;
	int c;

	if (r->error)
		return false;
	c = n ? memcmp(m->last.p, key.p, n) : 0;
	/* No encoded item is a prefix of another, so equal here means the same key twice. */
	if (m->last.n && c >= 0) {
		r->at = from;
		tr_cbor_fail(r, c == 0 ? "CBOR map has a key twice" : "CBOR map keys are not in order");
		return false;
	}
	m->last = key;
	m->left--;
	return true;
}

static void skip_any(struct tr_cbor *r, unsigned depth);

static void skip_map(struct tr_cbor *r, unsigned depth)
{
	struct tr_cbor_map m;

	(void)tr_cbor_map(r, &m, SIZE_MAX);
	while (!r->error && m.left) {
		size_t from = r->at;

		skip_any(r, depth + 1);
		if (check_key(r, &m, from))
			skip_any(r, depth + 1);
	}
}

static void skip_any(struct tr_cbor *r, unsigned depth)
{
	struct head h;

	switch (tr_cbor_peek(r)) {
	case TR_CBOR_INT: (void)take_head(r, &h); break;
	case TR_CBOR_BYTES: (void)tr_cbor_bytes(r); break;
	case TR_CBOR_TEXT: (void)tr_cbor_text(r); break;
	case TR_CBOR_ARRAY:
	case TR_CBOR_MAP:
		/* Bounds our own stack: the sender chooses the nesting. */
		if (depth >= TR_CBOR_DEPTH_MAX) {
			tr_cbor_fail(r, "CBOR is nested too deeply");
			break;
		}
		if (tr_cbor_peek(r) == TR_CBOR_MAP) {
			skip_map(r, depth);
			break;
		}
		for (size_t n = tr_cbor_array(r, SIZE_MAX); n && !r->error; n--)
			skip_any(r, depth + 1);
		break;
	case TR_CBOR_TAG: tr_cbor_fail(r, "CBOR tag where none is allowed"); break;
	case TR_CBOR_BOOL: (void)tr_cbor_bool(r); break;
	case TR_CBOR_NULL: tr_cbor_null(r); break;
	case TR_CBOR_NONE:
		/* take_head knows what is wrong with it, or else it is an unassigned simple value. */
		if (take_head(r, &h))
			tr_cbor_fail(r, "CBOR simple value is not false, true or null");
		break;
	}
}

struct tr_cbor tr_cbor_reader(struct tr_view in)
{
	return (struct tr_cbor){ .in = in };
}

enum tr_cbor_type tr_cbor_peek(const struct tr_cbor *r)
{
	static const enum tr_cbor_type types[] = {
		[M_UINT] = TR_CBOR_INT,	 [M_NINT] = TR_CBOR_INT, [M_BYTES] = TR_CBOR_BYTES,
		[M_TEXT] = TR_CBOR_TEXT, [M_MAP] = TR_CBOR_MAP,	 [M_ARRAY] = TR_CBOR_ARRAY,
		[M_TAG] = TR_CBOR_TAG,
	};
	uint8_t first;

	if (r->error || !left(r))
		return TR_CBOR_NONE;
	first = r->in.p[r->at];
	if (first >> 5 != M_SIMPLE)
		return types[first >> 5];
	if ((first & 31) == SIMPLE_FALSE || (first & 31) == SIMPLE_TRUE)
		return TR_CBOR_BOOL;
	return (first & 31) == SIMPLE_NULL ? TR_CBOR_NULL : TR_CBOR_NONE;
}

int64_t tr_cbor_int(struct tr_cbor *r)
{
	size_t at = r->at;
	struct head h;
	int64_t v = 0;

	if (!take_head(r, &h))
		return 0;
	if (h.major == M_UINT || h.major == M_NINT)
		v = int_value(r, &h);
	else
		tr_cbor_fail(r, E_TYPE);
	if (r->error)
		r->at = at;
	return v;
}

uint64_t tr_cbor_uint(struct tr_cbor *r)
{
	uint64_t v;

	return take_major(r, M_UINT, &v) ? v : 0;
}

struct tr_view tr_cbor_bytes(struct tr_cbor *r)
{
	return take_string(r, M_BYTES);
}

struct tr_view tr_cbor_text(struct tr_cbor *r)
{
	return take_string(r, M_TEXT);
}

bool tr_cbor_bool(struct tr_cbor *r)
{
	if (!r->error && tr_cbor_peek(r) != TR_CBOR_BOOL)
		tr_cbor_fail(r, left(r) ? E_TYPE : E_END);
	if (r->error)
		return false;
	return (r->in.p[r->at++] & 31) == SIMPLE_TRUE;
}

void tr_cbor_null(struct tr_cbor *r)
{
	if (!r->error && tr_cbor_peek(r) != TR_CBOR_NULL)
		tr_cbor_fail(r, left(r) ? E_TYPE : E_END);
	if (!r->error)
		r->at++;
}

uint64_t tr_cbor_tag(struct tr_cbor *r)
{
	uint64_t v;

	return take_major(r, M_TAG, &v) ? v : 0;
}

size_t tr_cbor_array(struct tr_cbor *r, size_t max)
{
	return take_count(r, M_ARRAY, 1, max);
}

size_t tr_cbor_map(struct tr_cbor *r, struct tr_cbor_map *ret, size_t max)
{
	*ret = (struct tr_cbor_map){ .left = take_count(r, M_MAP, 2, max) };
	return ret->left;
}

bool tr_cbor_key_int(struct tr_cbor *r, struct tr_cbor_map *m, int64_t *ret_key)
{
	size_t from = r->at;
	int64_t key;

	if (r->error || !m->left)
		return false;
	key = tr_cbor_int(r);
	if (!check_key(r, m, from))
		return false;
	*ret_key = key;
	return true;
}

bool tr_cbor_key_text(struct tr_cbor *r, struct tr_cbor_map *m, struct tr_view *ret_key)
{
	size_t from = r->at;
	struct tr_view key;

	if (r->error || !m->left)
		return false;
	key = tr_cbor_text(r);
	if (!check_key(r, m, from))
		return false;
	*ret_key = key;
	return true;
}

struct tr_view tr_cbor_any(struct tr_cbor *r)
{
	size_t from = r->at;

	skip_any(r, 0);
	return r->error ? tr_view(NULL, 0) : tr_view(r->in.p + from, r->at - from);
}

void tr_cbor_fail(struct tr_cbor *r, const char *static_why)
{
	if (!r->error)
		r->error = static_why;
}

TR_RC tr_cbor_end(const struct tr_cbor *r, struct tr_err *err)
{
	if (r->error)
		return tr_err_set(err, TR_E_INVALID, r->error, "%s, at byte %zu of %zu", r->error, r->at,
				  r->in.n);
	if (left(r))
		return tr_err_set(err, TR_E_INVALID, "CBOR has bytes after its end",
				  "CBOR: %zu bytes after byte %zu", left(r), r->at);
	return TR_OK;
}

static void put_head(struct tr_buf *b, enum major major, uint64_t arg)
{
	unsigned size = 0, info = (unsigned)arg;
	uint8_t head[9];

	/* Below 24 the number is the info itself; else 24..27 say that 1, 2, 4 or 8 bytes of it follow. */
	if (arg >= 24) {
		info = 24;
		for (size = 1; size < 8 && arg >> 8 * size; size *= 2)
			info++;
	}
	head[0] = (uint8_t)((unsigned)major << 5 | info);
	for (unsigned i = 0; i < size; i++)
		head[1 + i] = (uint8_t)(arg >> 8 * (size - 1 - i));
	tr_buf_add(b, head, 1 + size);
}

void tr_cbor_put_int(struct tr_buf *b, int64_t v)
{
	if (v < 0)
		put_head(b, M_NINT, (uint64_t)(-1 - v));
	else
		put_head(b, M_UINT, (uint64_t)v);
}

void tr_cbor_put_uint(struct tr_buf *b, uint64_t v)
{
	put_head(b, M_UINT, v);
}

void tr_cbor_put_bytes(struct tr_buf *b, struct tr_view v)
{
	put_head(b, M_BYTES, v.n);
	tr_buf_addv(b, v);
}

void tr_cbor_put_text(struct tr_buf *b, struct tr_view v)
{
	put_head(b, M_TEXT, v.n);
	tr_buf_addv(b, v);
}

void tr_cbor_put_bool(struct tr_buf *b, bool v)
{
	put_head(b, M_SIMPLE, v ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void tr_cbor_put_null(struct tr_buf *b)
{
	put_head(b, M_SIMPLE, SIMPLE_NULL);
}

void tr_cbor_put_tag(struct tr_buf *b, uint64_t tag)
{
	put_head(b, M_TAG, tag);
}

void tr_cbor_put_array(struct tr_buf *b, size_t n)
{
	put_head(b, M_ARRAY, n);
}

void tr_cbor_put_map(struct tr_buf *b, size_t n)
{
	put_head(b, M_MAP, n);
}
