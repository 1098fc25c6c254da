/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/record.h"

#include <inttypes.h>
#include <stdio.h>

#include "codec/ident.h"
#include "codec/text.h"

#define FIELDS_MAX 64

/* What is wrong with a value that came from outside, by type: ends the sentence 'field "x" …'. */
static const char *const must_be[] = {
	[TR_F_U64] = "must be a whole number, 0 or more",
	[TR_F_I64] = "must be a whole number",
	[TR_F_TIME_MS] = "must be an RFC 3339 time such as 2026-01-31T12:00:00Z",
	[TR_F_BOOL] = "must be true or false",
	[TR_F_TEXT] = "must be text",
	[TR_F_IDENT] = "must be a name: letters, digits, '.', '_', '-', at most 64, no mark first",
	[TR_F_BYTES] = "must be standard base64 with padding",
	[TR_F_HEX] = "must be hexadecimal digits, two per byte",
	[TR_F_RAW] = "cannot be set",
};

static bool is_view(enum tr_ftype type)
{
	return type >= TR_F_TEXT;
}

static struct tr_view view_of(const struct tr_field *f, const void *rec)
{
	struct tr_view v;

	memcpy(&v, (const uint8_t *)rec + f->off, sizeof(v));
	return v;
}

/* U64, I64 and TIME share one size and one wire form; a bool is one byte. */
static uint64_t number_of(const struct tr_field *f, const void *rec)
{
	uint64_t v;
	bool flag;

	if (f->type == TR_F_BOOL) {
		memcpy(&flag, (const uint8_t *)rec + f->off, sizeof(flag));
		return flag;
	}
	memcpy(&v, (const uint8_t *)rec + f->off, sizeof(v));
	return v;
}

static void set_view(const struct tr_field *f, void *rec, struct tr_view v)
{
	memcpy((uint8_t *)rec + f->off, &v, sizeof(v));
}

static void set_number(const struct tr_field *f, void *rec, uint64_t v)
{
	bool flag = v != 0;

	if (f->type == TR_F_BOOL)
		memcpy((uint8_t *)rec + f->off, &flag, sizeof(flag));
	else
		memcpy((uint8_t *)rec + f->off, &v, sizeof(v));
}

/* The rules that hold for a value wherever it comes from, its length aside. */
static bool content_ok(const struct tr_field *f, struct tr_view v)
{
	switch (f->type) {
	case TR_F_TEXT: return tr_utf8_ok(v) && (!v.n || !memchr(v.p, 0, v.n));
	case TR_F_IDENT: return !v.n || tr_ident_ok(v);
	case TR_F_RAW: return tr_utf8_ok(v);
	default: return true;
	}
}

static void add_le(struct tr_buf *b, uint64_t v, unsigned size)
{
	uint8_t le[8];

	for (unsigned i = 0; i < size; i++)
		le[i] = (uint8_t)(v >> 8 * i);
	tr_buf_add(b, le, size);
}

static bool take_le(struct tr_view *in, unsigned size, uint64_t *ret)
{
	uint64_t v = 0;

	if (in->n < size)
		return false;
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)in->p[i] << 8 * i;
	*in = tr_view(in->p + size, in->n - size);
	*ret = v;
	return true;
}

static bool take_view(struct tr_view *in, struct tr_view *ret)
{
	struct tr_view rest = *in;
	uint64_t n;

	if (!take_le(&rest, 4, &n) || n > rest.n)
		return false;
	*ret = tr_view(rest.p, (size_t)n);
	*in = tr_view(rest.p + n, rest.n - (size_t)n);
	return true;
}

static TR_RC decode_field(const struct tr_field *f, struct tr_view *in, void *rec, struct tr_err *err)
{
	static const char pub[] = "a message between the server's processes is damaged";
	struct tr_view v;
	uint64_t number;

	if (is_view(f->type)) {
		if (!take_view(in, &v))
			return tr_err_set(err, TR_E_INVALID, pub, "%s: cut short", f->name);
		if (v.n > f->max || !content_ok(f, v))
			return tr_err_set(err, TR_E_INVALID, pub, "%s: %zu bytes, limit %u, or bad content",
					  f->name, v.n, f->max);
		set_view(f, rec, v);
		return TR_OK;
	}
	if (!take_le(in, f->type == TR_F_BOOL ? 1 : 8, &number))
		return tr_err_set(err, TR_E_INVALID, pub, "%s: cut short", f->name);
	if (f->type == TR_F_BOOL && number > 1)
		return tr_err_set(err, TR_E_INVALID, pub, "%s: neither 0 nor 1", f->name);
	set_number(f, rec, number);
	return TR_OK;
}

/* The sender must learn which field it was, and `pub` has no place for a name: the sentence lives here until
 * the thread's next one. An unknown name is the sender's own text, so only harmless characters of it return.
 */
static enum tr_code field_error(struct tr_err *err, struct tr_view name, const char *what)
{
	static _Thread_local char sentence[220];
	char safe[49];
	size_t n = name.n < sizeof(safe) - 1 ? name.n : sizeof(safe) - 1;

	for (size_t i = 0; i < n; i++)
		safe[i] = tr_ident_ok(tr_view(name.p + i, 1)) || name.p[i] == '_' ? (char)name.p[i] : '?';
	safe[n] = 0;
	(void)snprintf(sentence, sizeof(sentence), "field \"%s\" %s", safe, what);
	return tr_err_set(err, TR_E_INVALID, sentence, "%s", sentence);
}

static enum tr_code value_error(struct tr_err *err, const struct tr_field *f)
{
	return field_error(err, tr_view_str(f->name), must_be[f->type]);
}

/* Room for n bytes and an empty buffer again: what follows never moves the bytes that views point at. */
static TR_RC arena_reserve(struct tr_buf *arena, size_t n, struct tr_err *err)
{
	if (arena->n)
		return tr_err_set(err, TR_E_INTERNAL, "the server made a mistake; see its log",
				  "record arena is in use");
	(void)tr_buf_space(arena, n);
	if (!tr_buf_ok(arena))
		return tr_buf_check(arena, err);
	tr_buf_clear(arena);
	return TR_OK;
}

/* The text form of every type that has one, as JSON strings and query parameters carry it. */
static TR_RC set_from_text(const struct tr_field *f, struct tr_view text, struct tr_buf *arena, void *rec,
			   struct tr_err *err)
{
	struct tr_view v = text;
	size_t from = arena->n;
	int64_t ms;

	if (f->type == TR_F_TIME_MS) {
		if (!tr_rfc3339_get(text, &ms))
			return value_error(err, f);
		set_number(f, rec, (uint64_t)ms);
		return TR_OK;
	}
	if (f->type == TR_F_BYTES && tr_b64_get(text, TR_B64_STD, arena, err))
		return err->code == TR_E_INVALID ? value_error(err, f) : err->code;
	if (f->type == TR_F_HEX) {
		uint8_t *at = tr_buf_space(arena, text.n / 2);

		if (!at)
			return tr_buf_check(arena, err);
		if (!tr_hex_get(text, at, text.n / 2))
			return value_error(err, f);
	}
	if (f->type == TR_F_BYTES || f->type == TR_F_HEX)
		v = tr_view(arena->p + from, arena->n - from);
	if (!is_view(f->type) || f->type == TR_F_RAW || !content_ok(f, v))
		return value_error(err, f);
	if (v.n > f->max) {
		char what[40];

		(void)snprintf(what, sizeof(what), "is longer than %u bytes", f->max);
		return field_error(err, tr_view_str(f->name), what);
	}
	if (!v.n && f->flags & TR_FIELD_REQUIRED)
		return field_error(err, tr_view_str(f->name), "is empty, and required");
	set_view(f, rec, v);
	return TR_OK;
}

static TR_RC set_from_node(const struct tr_field *f, tr_jnode n, struct tr_buf *arena, void *rec,
			   struct tr_err *err)
{
	struct tr_view text;
	int64_t number;
	bool flag;

	switch (f->type) {
	case TR_F_U64:
	case TR_F_I64:
		if (!tr_json_int(n, &number) || (f->type == TR_F_U64 && number < 0))
			return value_error(err, f);
		set_number(f, rec, (uint64_t)number);
		return TR_OK;
	case TR_F_BOOL:
		if (!tr_json_bool(n, &flag))
			return value_error(err, f);
		set_number(f, rec, flag);
		return TR_OK;
	case TR_F_TIME_MS:
		/* null is how we write "not set"; it means the same on the way in. */
		if (tr_json_is_null(n) && !(f->flags & TR_FIELD_REQUIRED))
			return TR_OK;
		break;
	default: break;
	}
	if (!tr_json_str(n, &text))
		return value_error(err, f);
	return set_from_text(f, text, arena, rec, err);
}

/* A decimal number in its one form: no plus, no leading zero, no "-0". */
static bool number_from_text(struct tr_view t, bool is_signed, uint64_t *ret)
{
	bool minus = is_signed && t.n && t.p[0] == '-';
	uint64_t v = 0, top = !is_signed ? UINT64_MAX : (uint64_t)INT64_MAX + minus;
	size_t from = minus;

	if (t.n == from || (t.p[from] == '0' && t.n > 1))
		return false;
	for (size_t i = from; i < t.n; i++) {
		unsigned digit = t.p[i] - (unsigned)'0';

		if (digit > 9 || v > (top - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret = minus ? 0 - v : v;
	return true;
}

static TR_RC set_from_param(const struct tr_field *f, struct tr_view text, struct tr_buf *arena, void *rec,
			    struct tr_err *err)
{
	uint64_t number;

	switch (f->type) {
	case TR_F_U64:
	case TR_F_I64:
		if (!number_from_text(text, f->type == TR_F_I64, &number))
			return value_error(err, f);
		set_number(f, rec, number);
		return TR_OK;
	case TR_F_BOOL:
		if (!tr_view_is(text, "true") && !tr_view_is(text, "false"))
			return value_error(err, f);
		set_number(f, rec, tr_view_is(text, "true"));
		return TR_OK;
	default: return set_from_text(f, text, arena, rec, err);
	}
}

static const struct tr_field *field_named(const struct tr_record *def, struct tr_view name)
{
	for (size_t i = 0; i < def->n; i++)
		if (tr_view_is(name, def->fields[i].name))
			return &def->fields[i];
	return NULL;
}

struct strangers {
	const struct tr_record *def;
	const char *first; /* a member that the table does not know */
};

static bool look_for_stranger(void *arg, const char *key, tr_jnode value)
{
	struct strangers *s = arg;

	(void)value;
	if (!field_named(s->def, tr_view_str(key)))
		s->first = key;
	return s->first == NULL;
}

/* Decodes %XX and '+' into arena (application/x-www-form-urlencoded). */
static bool percent_decode(struct tr_view in, struct tr_buf *arena, struct tr_view *ret)
{
	size_t from = arena->n;

	for (size_t i = 0; i < in.n; i++) {
		uint8_t c = in.p[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (in.n - i < 3 || !tr_hex_get(tr_view(in.p + i + 1, 2), &c, 1))
				return false;
			i += 2;
		}
		tr_buf_add8(arena, c);
	}
	*ret = tr_view(arena->p + from, arena->n - from);
	return tr_buf_ok(arena);
}

static struct tr_view take_until(struct tr_view *in, char mark, bool *ret_found)
{
	const uint8_t *at = in->n ? memchr(in->p, mark, in->n) : NULL;
	struct tr_view v = tr_view(in->p, at ? (size_t)(at - in->p) : in->n);

	*in = at ? tr_view(at + 1, in->n - v.n - 1) : tr_view(NULL, 0);
	*ret_found = at != NULL;
	return v;
}

static TR_RC take_param(const struct tr_record *def, struct tr_view pair, bool *seen, struct tr_buf *arena,
			void *rec, struct tr_err *err)
{
	struct tr_view name = take_until(&pair, '=', &(bool){ false }), text;
	const struct tr_field *f = field_named(def, name);

	if (!f)
		return def->lenient ? TR_OK : field_error(err, name, "is not known here; remove it");
	if (seen[f - def->fields])
		return field_error(err, name, "is given twice");
	seen[f - def->fields] = true;
	if (!percent_decode(pair, arena, &text))
		return field_error(err, name, "has a damaged %-escape");
	return set_from_param(f, text, arena, rec, err);
}

void tr_record_encode(const struct tr_record *def, const void *rec, struct tr_buf *b)
{
	for (size_t i = 0; i < def->n; i++) {
		const struct tr_field *f = &def->fields[i];

		if (is_view(f->type)) {
			struct tr_view v = view_of(f, rec);

			/* Fails where the value is made, not in the process that would have to refuse it. */
			if (v.n > f->max || !content_ok(f, v))
				b->failed = true;
			add_le(b, v.n, 4);
			tr_buf_addv(b, v);
		} else {
			add_le(b, number_of(f, rec), f->type == TR_F_BOOL ? 1 : 8);
		}
	}
}

TR_RC tr_record_decode(const struct tr_record *def, struct tr_view in, void *ret, struct tr_err *err)
{
	tr_auto(tr_free) void *rec = calloc(1, def->size);

	if (!rec)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "%s: out of memory", def->name);
	for (size_t i = 0; i < def->n; i++) {
		enum tr_code rc = decode_field(&def->fields[i], &in, rec, err);

		if (rc)
			return tr_err_wrap(err, "%s", def->name);
	}
	if (in.n)
		return tr_err_set(err, TR_E_INVALID, "a message between the server's processes is damaged",
				  "%s: %zu surplus bytes", def->name, in.n);
	memcpy(ret, rec, def->size);
	return TR_OK;
}

static void field_to_json(const struct tr_field *f, const void *rec, struct tr_buf *b)
{
	uint64_t number = is_view(f->type) ? 0 : number_of(f, rec);
	struct tr_view v = is_view(f->type) ? view_of(f, rec) : tr_view(NULL, 0);

	switch (f->type) {
	case TR_F_U64: tr_buf_addf(b, "%" PRIu64, number); break;
	case TR_F_I64: tr_buf_addf(b, "%" PRId64, (int64_t)number); break;
	case TR_F_BOOL: tr_buf_adds(b, number ? "true" : "false"); break;
	case TR_F_TEXT:
	case TR_F_IDENT: tr_json_put_str(b, v); break;
	case TR_F_TIME_MS:
		if (!number) {
			tr_buf_adds(b, "null");
			break;
		}
		tr_buf_add8(b, '"');
		tr_rfc3339_add(b, (int64_t)number);
		tr_buf_add8(b, '"');
		break;
	case TR_F_BYTES:
	case TR_F_HEX:
		tr_buf_add8(b, '"');
		if (f->type == TR_F_HEX)
			tr_hex_add(b, v);
		else
			tr_b64_add(b, v, TR_B64_STD);
		tr_buf_add8(b, '"');
		break;
	case TR_F_RAW:
		if (v.n)
			tr_buf_addv(b, v);
		else
			tr_buf_adds(b, "null");
		break;
	}
}

void tr_record_to_json(const struct tr_record *def, const void *rec, struct tr_buf *b)
{
	const char *comma = "";

	tr_buf_add8(b, '{');
	for (size_t i = 0; i < def->n; i++) {
		const struct tr_field *f = &def->fields[i];

		if (f->flags & TR_FIELD_SECRET)
			continue;
		tr_buf_adds(b, comma);
		tr_json_put_str(b, tr_view_str(f->name));
		tr_buf_add8(b, ':');
		field_to_json(f, rec, b);
		comma = ",";
	}
	tr_buf_add8(b, '}');
}

TR_RC tr_record_from_json(const struct tr_record *def, tr_jnode object, struct tr_buf *arena, void *ret,
			  struct tr_err *err)
{
	tr_auto(tr_free) void *rec = calloc(1, def->size);
	struct strangers strangers = { .def = def };
	size_t need = 0;
	enum tr_code rc;

	if (!rec)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "%s: out of memory", def->name);
	if (!tr_json_is_object(object))
		return tr_err_set(err, TR_E_INVALID, "the JSON text must be an object", "%s: not an object",
				  def->name);
	if (!def->lenient)
		tr_json_each(object, look_for_stranger, &strangers);
	if (strangers.first)
		return field_error(err, tr_view_str(strangers.first), "is not known here; remove it");
	for (size_t i = 0; i < def->n; i++) {
		struct tr_view text;

		if (tr_json_str(tr_json_get(object, def->fields[i].name), &text))
			need += text.n;
	}
	rc = arena_reserve(arena, need, err);
	for (size_t i = 0; !rc && i < def->n; i++) {
		const struct tr_field *f = &def->fields[i];
		tr_jnode n = tr_json_get(object, f->name);

		if (n)
			rc = set_from_node(f, n, arena, rec, err);
		else if (f->flags & TR_FIELD_REQUIRED)
			rc = field_error(err, tr_view_str(f->name), "is missing");
	}
	if (rc)
		return rc;
	memcpy(ret, rec, def->size);
	return TR_OK;
}

TR_RC tr_record_from_query(const struct tr_record *def, struct tr_view query, struct tr_buf *arena, void *ret,
			   struct tr_err *err)
{
	tr_auto(tr_free) void *rec = calloc(1, def->size);
	bool seen[FIELDS_MAX] = { false }, more = query.n > 0;
	enum tr_code rc;

	if (!rec)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "%s: out of memory", def->name);
	if (def->n > FIELDS_MAX)
		return tr_err_set(err, TR_E_INTERNAL, "the server made a mistake; see its log",
				  "%s: table of over %d fields", def->name, FIELDS_MAX);
	/* Twice: once for the text behind its escapes, once for the bytes behind its hex or base64. */
	rc = query.n <= TR_BUF_MAX_DEFAULT / 2
		     ? arena_reserve(arena, query.n * 2, err)
		     : tr_err_set(err, TR_E_INVALID, "the query is too long", "query");
	while (!rc && more)
		rc = take_param(def, take_until(&query, '&', &more), seen, arena, rec, err);
	for (size_t i = 0; !rc && i < def->n; i++)
		if (!seen[i] && def->fields[i].flags & TR_FIELD_REQUIRED)
			rc = field_error(err, tr_view_str(def->fields[i].name), "is missing");
	if (rc)
		return rc;
	memcpy(ret, rec, def->size);
	return TR_OK;
}

void tr_records_add(struct tr_buf *b, const struct tr_record *def, const void *rec)
{
	size_t at = b->n, n;

	add_le(b, 0, 4);
	tr_record_encode(def, rec, b);
	if (!tr_buf_ok(b))
		return;
	n = b->n - at - 4;
	for (unsigned i = 0; i < 4; i++)
		b->p[at + i] = (uint8_t)(n >> 8 * i);
}

bool tr_records_next(struct tr_view *list, struct tr_view *ret)
{
	return take_view(list, ret);
}
