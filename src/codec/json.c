/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/json.h"

#include <jansson.h>
#include <sys/random.h>

#include "codec/text.h"

struct tr_json {
	json_t *root;
};

/* jansson recurses per level and its own bound is 2048: the nesting is checked here, before it starts. */
static bool depth_ok(struct tr_view text)
{
	bool in_string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '[' || c == '{') {
			if (++depth > TR_JSON_DEPTH_MAX)
				return false;
		} else if ((c == ']' || c == '}') && depth) {
			depth--;
		}
	}
	return true;
}

/* The hash seed, from the kernel. Left alone, jansson opens /dev/urandom at its first object, which a
 * sandboxed role must not do. Only the first call in a process has an effect. */
static void seed_hashes(void)
{
	uint32_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
		json_object_seed(seed | 1);
}

static enum tr_code parse_error(struct tr_err *err, const json_error_t *why)
{
	/* The library ends with "near '…'": the sender's own text, which may be a token and goes into no log.
	 */
	const char *near = strstr(why->text, " near ");
	int n = near ? (int)(near - why->text) : (int)strlen(why->text);
	const char *pub = "the text is not valid JSON";

	switch (json_error_code(why)) {
	case json_error_out_of_memory:
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "JSON: out of memory");
	case json_error_duplicate_key: pub = "the JSON text has an object with one name twice"; break;
	case json_error_numeric_overflow: pub = "the JSON text has a number that is out of range"; break;
	default: break;
	}
	return tr_err_set(err, TR_E_INVALID, pub, "JSON: line %d column %d: %.*s", why->line, why->column, n,
			  why->text);
}

static const json_t *node(tr_jnode n)
{
	return n;
}

static TR_RC parse(struct tr_view text, size_t flags, struct tr_json **ret, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	json_error_t why;

	if (text.n > TR_JSON_MAX)
		return tr_err_set(err, TR_E_INVALID, "the JSON text is too long", "JSON: %zu bytes", text.n);
	if (!tr_utf8_ok(text) || (text.n && memchr(text.p, 0, text.n)))
		return tr_err_set(err, TR_E_INVALID, "the JSON text is not valid UTF-8",
				  "JSON: not UTF-8, or a NUL");
	if (!depth_ok(text))
		return tr_err_set(err, TR_E_INVALID, "the JSON text is nested too deeply",
				  "JSON: deeper than %d levels", TR_JSON_DEPTH_MAX);
	j = calloc(1, sizeof(*j));
	if (!j)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "JSON: out of memory");
	seed_hashes();
	j->root = json_loadb(text.n ? (const char *)text.p : "", text.n,
			     JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | flags, &why);
	if (!j->root)
		return parse_error(err, &why);
	*ret = TR_TAKE(j);
	return TR_OK;
}

TR_RC tr_json_parse(struct tr_view text, struct tr_json **ret, struct tr_err *err)
{
	return parse(text, 0, ret, err);
}

TR_RC tr_json_parse_reals(struct tr_view text, struct tr_json **ret, struct tr_err *err)
{
	return parse(text, JSON_DECODE_INT_AS_REAL, ret, err);
}

struct tr_json *tr_json_free(struct tr_json *j)
{
	if (j)
		json_decref(j->root);
	free(j);
	return NULL;
}

tr_jnode tr_json_root(const struct tr_json *j)
{
	return j ? j->root : NULL;
}

tr_jnode tr_json_get(tr_jnode object, const char *key)
{
	return json_object_get(node(object), key);
}

bool tr_json_is_object(tr_jnode n)
{
	return json_is_object(node(n));
}

bool tr_json_is_array(tr_jnode n)
{
	return json_is_array(node(n));
}

size_t tr_json_len(tr_jnode array_or_object)
{
	if (json_is_object(node(array_or_object)))
		return json_object_size(node(array_or_object));
	return json_array_size(node(array_or_object));
}

tr_jnode tr_json_at(tr_jnode array, size_t i)
{
	return json_array_get(node(array), i);
}

bool tr_json_str(tr_jnode n, struct tr_view *ret)
{
	if (!json_is_string(node(n)))
		return false;
	*ret = tr_view(json_string_value(node(n)), json_string_length(node(n)));
	return true;
}

bool tr_json_int(tr_jnode n, int64_t *ret)
{
	_Static_assert(sizeof(json_int_t) == sizeof(int64_t), "jansson was built without 64-bit integers");

	if (!json_is_integer(node(n)))
		return false;
	*ret = json_integer_value(node(n));
	return true;
}

bool tr_json_real(tr_jnode n, double *ret)
{
	if (!json_is_real(node(n)))
		return false;
	*ret = json_real_value(node(n));
	return true;
}

bool tr_json_bool(tr_jnode n, bool *ret)
{
	if (!json_is_boolean(node(n)))
		return false;
	*ret = json_is_true(node(n));
	return true;
}

bool tr_json_is_null(tr_jnode n)
{
	return json_is_null(node(n));
}

void tr_json_each(tr_jnode object, tr_json_each_fn fn, void *arg)
{
	/* The iterator interface takes no const, and changes nothing. */
	json_t *o = (json_t *)(uintptr_t)object;

	for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it))
		if (!fn(arg, json_object_iter_key(it), json_object_iter_value(it)))
			return;
}

static int dump_to_buf(const char *p, size_t n, void *buf)
{
	tr_buf_add(buf, p, n);
	return tr_buf_ok(buf) ? 0 : -1;
}

void tr_json_dump(tr_jnode n, struct tr_buf *b)
{
	if (!n)
		tr_buf_adds(b, "null");
	else if (json_dump_callback(node(n), dump_to_buf, b, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
		b->failed = true;
}

/* Length of the valid UTF-8 sequence that v starts with; 0 when it starts with none. */
static size_t sequence(struct tr_view v)
{
	size_t n = v.p[0] < 0x80 ? 1 : v.p[0] < 0xe0 ? 2 : v.p[0] < 0xf0 ? 3 : 4;

	return n <= v.n && tr_utf8_ok(tr_view(v.p, n)) ? n : 0;
}

void tr_json_put_str(struct tr_buf *b, struct tr_view utf8)
{
	static const char escapes[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	size_t i = 0, from = 0;

	tr_buf_add8(b, '"');
	while (i < utf8.n) {
		size_t n = sequence(tr_view(utf8.p + i, utf8.n - i));
		uint8_t c = utf8.p[i];
		const char *e;

		if (n && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
			i += n;
			continue;
		}
		tr_buf_add(b, utf8.p + from, i - from);
		e = c ? memchr(escapes, c, sizeof(escapes) - 1) : NULL;
		if (!n)
			tr_buf_adds(b, "\xef\xbf\xbd"); /* U+FFFD: what we write is always valid JSON */
		else if (e)
			tr_buf_addf(b, "\\%c", letters[e - escapes]);
		else
			tr_buf_addf(b, "\\u%04x", c);
		from = ++i;
	}
	tr_buf_add(b, utf8.p ? utf8.p + from : NULL, utf8.n - from);
	tr_buf_add8(b, '"');
}

void tr_json_put_time(struct tr_buf *b, int64_t unix_ms)
{
	if (!unix_ms) {
		tr_buf_adds(b, "null");
		return;
	}
	tr_buf_adds(b, "\"");
	tr_rfc3339_add(b, unix_ms);
	tr_buf_adds(b, "\"");
}

void tr_json_member_str(struct tr_buf *b, const char *name, struct tr_view utf8)
{
	tr_buf_addf(b, ",\"%s\":", name);
	tr_json_put_str(b, utf8);
}

void tr_json_member_hex(struct tr_buf *b, const char *name, struct tr_view bytes)
{
	tr_buf_addf(b, ",\"%s\":\"", name);
	tr_hex_add(b, bytes);
	tr_buf_adds(b, "\"");
}

void tr_json_member_time(struct tr_buf *b, const char *name, int64_t unix_ms)
{
	tr_buf_addf(b, ",\"%s\":", name);
	tr_json_put_time(b, unix_ms);
}
