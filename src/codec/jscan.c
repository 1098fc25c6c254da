/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/jscan.h"

#include "codec/text.h"

#define TEXT_MAX ((size_t)4 << 20)
#define DEPTH_MAX 16
#define OPEN_MAX 512 /* members of one object and of all that it stands in */

#define JSON_PUB "the JSON text is not valid"

struct member {
	struct tr_view name;
	uint64_t mark; /* length and last bytes: two names with different marks differ */
};

struct scan {
	const uint8_t *start, *p, *end;
	const char *why; /* static: what was wrong */
	unsigned depth;
	size_t n_open;
	struct member open[OPEN_MAX];
};

static bool bad(struct scan *s, const char *why)
{
	if (!s->why)
		s->why = why;
	return false;
}

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

static bool take(struct scan *s, uint8_t c)
{
	s->p = skip_space(s->p, s->end);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* \uXXXX behind the backslash: its code unit. */
static bool take_unit(struct scan *s, unsigned *ret)
{
	unsigned v = 0;

	if (s->end - s->p < 5 || *s->p != 'u')
		return false;
	for (unsigned i = 1; i <= 4; i++) {
		uint8_t c = s->p[i], low = (uint8_t)(c | 0x20);

		if (is_digit(c))
			v = v << 4 | (unsigned)(c - '0');
		else if (low >= 'a' && low <= 'f')
			v = v << 4 | (unsigned)(low - 'a' + 10);
		else
			return false;
	}
	s->p += 5;
	*ret = v;
	return true;
}

/* Behind the backslash. */
static bool escape(struct scan *s)
{
	unsigned unit, low;

	if (s->p == s->end)
		return bad(s, "text ends in a string");
	if (*s->p != 'u') {
		if (!memchr("\"\\/bfnrt", *s->p, 8))
			return bad(s, "unknown escape");
		s->p++;
		return true;
	}
	if (!take_unit(s, &unit))
		return bad(s, "\\u without four hex digits");
	if (unit == 0)
		return bad(s, "NUL in a string");
	if (unit < 0xd800 || unit > 0xdfff)
		return true;
	/* RFC 8259 7: beyond the basic plane by a pair, high half first. */
	if (unit >= 0xdc00 || s->p == s->end || *s->p != '\\')
		return bad(s, "a lone surrogate");
	s->p++;
	if (!take_unit(s, &low) || low < 0xdc00 || low > 0xdfff)
		return bad(s, "a lone surrogate");
	return true;
}

/* Behind the opening quote. */
static bool string(struct scan *s, struct tr_view *ret, bool *ret_escaped)
{
	const uint8_t *from = s->p;
	bool escaped = false, wide = false;

	for (;;) {
		uint8_t c;

		if (s->p == s->end)
			return bad(s, "text ends in a string");
		c = *s->p++;
		if (c == '"')
			break;
		if (c < 0x20)
			return bad(s, "control character in a string");
		wide |= c >= 0x80;
		if (c == '\\') {
			escaped = true;
			if (!escape(s))
				return false;
		}
	}
	*ret = tr_view(from, (size_t)(s->p - 1 - from));
	*ret_escaped = escaped;
	return !wide || tr_utf8_ok(*ret) || bad(s, "invalid UTF-8");
}

/* At a minus or a digit: the grammar of RFC 8259 6, and int64 where it has no fraction and no exponent. */
static bool number(const uint8_t **at, const uint8_t *end, struct tr_jval *ret, const char **ret_why)
{
	const uint8_t *p = *at, *from = p;
	bool minus = *p == '-', over = false, real = false;
	uint64_t v = 0, max = (uint64_t)INT64_MAX + minus;

	*ret_why = "malformed number";
	p += minus;
	if (p == end || !is_digit(*p))
		return false;
	if (*p == '0' && p + 1 < end && is_digit(p[1]))
		return false;
	for (; p < end && is_digit(*p); p++) {
		unsigned d = (unsigned)(*p - '0');

		if (v > (max - d) / 10)
			over = true;
		else
			v = v * 10 + d;
	}
	if (p < end && *p == '.') {
		real = true;
		if (++p == end || !is_digit(*p))
			return false;
		while (p < end && is_digit(*p))
			p++;
	}
	if (p < end && (*p | 0x20) == 'e') {
		real = true;
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (p == end || !is_digit(*p))
			return false;
		while (p < end && is_digit(*p))
			p++;
	}
	if (over && !real) {
		*ret_why = "number beyond 64 bits";
		return false;
	}
	*ret = (struct tr_jval){ .type = real ? TR_JTOK_REAL : TR_JTOK_INT, .raw = tr_view(from, (size_t)(p - from)) };
	/* -v in unsigned arithmetic: INT64_MIN has no positive. */
	if (!real)
		ret->number = (int64_t)(minus ? 0 - v : v);
	*at = p;
	return true;
}

static bool word(const uint8_t **at, const uint8_t *end, struct tr_jval *ret)
{
	static const struct { const char *text; enum tr_jtok type; } words[] = {
		{ "true", TR_JTOK_BOOL }, { "false", TR_JTOK_BOOL }, { "null", TR_JTOK_NULL },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(words); i++) {
		if (!tr_view_starts(tr_view(*at, (size_t)(end - *at)), words[i].text))
			continue;
		*ret = (struct tr_jval){ .type = words[i].type, .raw = tr_view(*at, strlen(words[i].text)), .yes = i == 0 };
		*at += ret->raw.n;
		return true;
	}
	return false;
}

/* One name is one member: two readers of a signed text must not pick different ones. */
static bool remember(struct scan *s, size_t first, struct tr_view name)
{
	struct member m = { .name = name };
	size_t tail = name.n < 7 ? name.n : 7;

	for (size_t i = 0; i < tail; i++)
		m.mark = m.mark << 8 | name.p[name.n - 1 - i];
	m.mark = m.mark << 8 | (name.n & 0xff);
	for (size_t i = first; i < s->n_open; i++)
		if (s->open[i].mark == m.mark && tr_view_eq(s->open[i].name, name))
			return bad(s, "a member's name twice in one object");
	if (s->n_open == OPEN_MAX)
		return bad(s, "too many members");
	s->open[s->n_open++] = m;
	return true;
}

static bool value(struct scan *s, struct tr_jval *ret);

static bool member(struct scan *s, size_t first)
{
	struct tr_view name = tr_view(NULL, 0);
	struct tr_jval v;
	bool escaped = false;

	if (!take(s, '"'))
		return bad(s, "a member's name is expected");
	if (!string(s, &name, &escaped))
		return false;
	/* Names are compared as written; an escape would be a second spelling of one name. */
	if (escaped)
		return bad(s, "an escape in a member's name");
	if (!remember(s, first, name))
		return false;
	return (take(s, ':') || bad(s, "a colon is expected")) && value(s, &v);
}

/* Behind the opening bracket. */
static bool container(struct scan *s, bool object)
{
	uint8_t close = object ? '}' : ']';
	size_t first = s->n_open;
	struct tr_jval v;

	if (++s->depth > DEPTH_MAX)
		return bad(s, "more than 16 levels");
	if (!take(s, close)) {
		do {
			if (object ? !member(s, first) : !value(s, &v))
				return false;
		} while (take(s, ','));
		if (!take(s, close))
			return bad(s, object ? "a comma or } is expected" : "a comma or ] is expected");
	}
	s->n_open = first;
	s->depth--;
	return true;
}

static bool value(struct scan *s, struct tr_jval *ret)
{
	const uint8_t *from = s->p = skip_space(s->p, s->end);
	const char *why;

	if (s->p == s->end)
		return bad(s, "text ends where a value is expected");
	*ret = (struct tr_jval){ 0 };
	switch (*s->p) {
	case '{':
	case '[':
		s->p++;
		if (!container(s, *from == '{'))
			return false;
		ret->type = *from == '{' ? TR_JTOK_OBJECT : TR_JTOK_ARRAY;
		ret->raw = tr_view(from, (size_t)(s->p - from));
		return true;
	case '"':
		s->p++;
		ret->type = TR_JTOK_STRING;
		return string(s, &ret->raw, &ret->escaped);
	case 't':
	case 'f':
	case 'n': return word(&s->p, s->end, ret) || bad(s, "unknown word");
	default:
		if (*s->p != '-' && !is_digit(*s->p))
			return bad(s, "a value is expected");
		return number(&s->p, s->end, ret, &why) || bad(s, why);
	}
}

TR_RC tr_jscan(struct tr_view text, struct tr_jval *ret, struct tr_err *err)
{
	struct tr_jval root;
	struct scan s;

	if (text.n > TEXT_MAX)
		return tr_err_set(err, TR_E_INVALID, "the JSON text is too long", "JSON of %zu bytes", text.n);
	/* Field by field: the table of names needs no zeros. */
	s.start = s.p = text.p;
	s.end = text.n ? text.p + text.n : text.p;
	s.why = NULL;
	s.depth = 0;
	s.n_open = 0;
	if (value(&s, &root)) {
		s.p = skip_space(s.p, s.end);
		if (s.p == s.end) {
			*ret = root;
			return TR_OK;
		}
		(void)bad(&s, "text behind the value");
	}
	return tr_err_set(err, TR_E_INVALID, JSON_PUB, "JSON: %s at byte %zu", s.why, (size_t)(s.p - s.start));
}

/* Walking. The text was scanned, so only quotes and brackets matter; the ends are kept all the same. */
static const uint8_t *string_end(const uint8_t *p, const uint8_t *end, bool *ret_escaped)
{
	*ret_escaped = false;
	for (; p < end && *p != '"'; p++) {
		if (*p == '\\') {
			*ret_escaped = true;
			if (++p == end)
				break;
		}
	}
	return p;
}

static const uint8_t *container_end(const uint8_t *p, const uint8_t *end)
{
	unsigned depth = 0;
	bool escaped;

	for (; p < end; p++) {
		if (*p == '"') {
			p = string_end(p + 1, end, &escaped);
			if (p == end)
				break;
		} else if (*p == '{' || *p == '[') {
			depth++;
		} else if ((*p == '}' || *p == ']') && --depth == 0) {
			return p + 1;
		}
	}
	return end;
}

static bool read_string(const uint8_t **at, const uint8_t *end, struct tr_view *ret, bool *ret_escaped)
{
	const uint8_t *from = *at + 1, *close = string_end(from, end, ret_escaped);

	if (close >= end)
		return false;
	*ret = tr_view(from, (size_t)(close - from));
	*at = close + 1;
	return true;
}

static bool read_value(const uint8_t **at, const uint8_t *end, struct tr_jval *ret)
{
	const uint8_t *from = *at;
	const char *why;

	*ret = (struct tr_jval){ 0 };
	switch (*from) {
	case '{':
	case '[':
		*at = container_end(from, end);
		ret->type = *from == '{' ? TR_JTOK_OBJECT : TR_JTOK_ARRAY;
		ret->raw = tr_view(from, (size_t)(*at - from));
		return true;
	case '"': ret->type = TR_JTOK_STRING; return read_string(at, end, &ret->raw, &ret->escaped);
	case 't':
	case 'f':
	case 'n': return word(at, end, ret);
	default: return number(at, end, ret, &why);
	}
}

/* Where the next member or element starts; NULL: there is none. */
static const uint8_t *next_start(const struct tr_jval *v, enum tr_jtok type, size_t at)
{
	const uint8_t *p, *end;

	if (v->type != type || v->raw.n < 2 || at >= v->raw.n)
		return NULL;
	end = v->raw.p + v->raw.n - 1;
	p = skip_space(v->raw.p + (at ? at : 1), end);
	if (at && p < end && *p == ',')
		p = skip_space(p + 1, end);
	return p < end ? p : NULL;
}

bool tr_jnext(const struct tr_jval *object, size_t *at, struct tr_view *ret_key, struct tr_jval *ret)
{
	const uint8_t *p = next_start(object, TR_JTOK_OBJECT, *at), *end;
	bool escaped;

	if (!p)
		return false;
	end = object->raw.p + object->raw.n - 1;
	if (!read_string(&p, end, ret_key, &escaped))
		return false;
	p = skip_space(p, end);
	if (p < end && *p == ':')
		p = skip_space(p + 1, end);
	if (p == end || !read_value(&p, end, ret))
		return false;
	*at = (size_t)(p - object->raw.p);
	return true;
}

bool tr_jitem(const struct tr_jval *array, size_t *at, struct tr_jval *ret)
{
	const uint8_t *p = next_start(array, TR_JTOK_ARRAY, *at);

	if (!p || !read_value(&p, array->raw.p + array->raw.n - 1, ret))
		return false;
	*at = (size_t)(p - array->raw.p);
	return true;
}

bool tr_jget(const struct tr_jval *object, const char *key, struct tr_jval *ret)
{
	size_t at = 0, n = strlen(key);
	struct tr_view name;
	struct tr_jval v;

	while (tr_jnext(object, &at, &name, &v)) {
		if (name.n != n || memcmp(name.p, key, n) != 0)
			continue;
		*ret = v;
		return true;
	}
	return false;
}
