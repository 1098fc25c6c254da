/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: jansson. What one reader takes, the other takes, and both find the same members in the same order of values; but
 * for names with an escape (refused here) and reals beyond a double (never converted here). Every value is inside the text
 * and scans alone as the same value. */
#include "codec/codec_fuzz.h"

#include "codec/jscan.h"
#include "codec/json.h"

static bool any_real;

static void compare(struct tr_view text, const struct tr_jval *v, tr_jnode n);

static void compare_members(struct tr_view text, const struct tr_jval *v, tr_jnode n)
{
	size_t at = 0, count = 0;
	struct tr_view key;
	struct tr_jval m;

	while (tr_jnext(v, &at, &key, &m)) {
		tr_auto(tr_buf_done) struct tr_buf name = TR_BUF_INIT;
		struct tr_jval got;

		MUST(is_inside(key, v->raw));
		tr_buf_addv(&name, key);
		/* The first of that name, and there is but one. */
		MUST(tr_jget(v, tr_buf_cstr(&name), &got) && got.raw.p == m.raw.p && got.raw.n == m.raw.n);
		MUST(!n || tr_json_get(n, tr_buf_cstr(&name)));
		compare(text, &m, n ? tr_json_get(n, tr_buf_cstr(&name)) : NULL);
		count++;
	}
	MUST(!n || (tr_json_is_object(n) && tr_json_len(n) == count));
	MUST(!tr_jitem(v, &at, &m));
}

static void compare_items(struct tr_view text, const struct tr_jval *v, tr_jnode n)
{
	size_t at = 0, count = 0;
	struct tr_view key;
	struct tr_jval m;

	while (tr_jitem(v, &at, &m)) {
		compare(text, &m, n ? tr_json_at(n, count) : NULL);
		count++;
	}
	MUST(!n || (tr_json_is_array(n) && tr_json_len(n) == count));
	MUST(!tr_jnext(v, &at, &key, &m));
}

static void compare(struct tr_view text, const struct tr_jval *v, tr_jnode n)
{
	struct tr_view alone = v->raw, str;
	struct tr_err err;
	struct tr_jval again;
	int64_t number;
	bool yes;

	MUST(is_inside(v->raw, text));
	if (v->type == TR_JTOK_STRING)
		alone = tr_view(v->raw.p - 1, v->raw.n + 2);
	MUST(tr_jscan(alone, &again, &err) == TR_OK && again.type == v->type && again.raw.p == v->raw.p &&
	     again.raw.n == v->raw.n && again.number == v->number && again.yes == v->yes && again.escaped == v->escaped);
	switch (v->type) {
	case TR_JTOK_OBJECT: compare_members(text, v, n); break;
	case TR_JTOK_ARRAY: compare_items(text, v, n); break;
	case TR_JTOK_STRING:
		MUST(!n || tr_json_str(n, &str));
		MUST(v->escaped == (memchr(v->raw.p, '\\', v->raw.n) != NULL));
		MUST(!n || v->escaped || tr_view_eq(str, v->raw));
		break;
	case TR_JTOK_INT: MUST(!n || (tr_json_int(n, &number) && number == v->number)); break;
	case TR_JTOK_REAL: any_real = true; break;
	case TR_JTOK_BOOL: MUST(!n || (tr_json_bool(n, &yes) && yes == v->yes)); break;
	case TR_JTOK_NULL: MUST(!n || tr_json_is_null(n)); break;
	default: MUST(v->type != TR_JTOK_NONE);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_view text = tr_view(data, size);
	struct tr_err err, other;
	struct tr_jval root;
	bool ours, theirs;

	if (size > 65536)
		return 0;
	ours = tr_jscan(text, &root, &err) == TR_OK;
	theirs = tr_json_parse(text, &j, &other) == TR_OK;
	any_real = false;
	if (ours) {
		MUST(tr_json_root(j) || !theirs);
		compare(text, &root, theirs ? tr_json_root(j) : NULL);
		MUST(theirs || any_real);
	} else if (theirs) {
		MUST(strstr(err.detail, "an escape in a member's name") || strstr(err.detail, "too many members"));
	}
	return 0;
}
