/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/yaml.h"

#include <stdio.h>
#include <yaml.h>

#include "codec/text.h"

/* An open mapping or sequence. */
struct level {
	bool map, value_next; /* in a mapping: a name was read */
	size_t n;             /* values so far */
	size_t names;         /* where its names begin in run.names */
};
struct run {
	yaml_parser_t parser;
	struct tr_buf *out;
	struct tr_buf names; /* of all open mappings: u32 length, bytes */
	struct level levels[TR_JSON_DEPTH_MAX];
	size_t depth, values;
	bool done; /* the document's one value is there */
};

static enum tr_code bad(struct tr_err *err, const yaml_mark_t *at, const char *why)
{
	return tr_err_set(err, TR_E_INVALID, "the YAML text is not valid", "line %zu: %s", at->line + 1, why);
}

/* ---- scalars ---- */

/* -?(0|[1-9][0-9]*) that fits int64_t: one text per number, so that digits which are a hash or a version stay text. */
static bool is_whole_number(struct tr_view v)
{
	size_t at = v.n && v.p[0] == '-' ? 1 : 0;
	uint64_t n = 0, limit = (uint64_t)INT64_MAX + at;

	if (v.n == at || (v.p[at] == '0' && (v.n > at + 1 || at)))
		return false;
	for (; at < v.n; at++) {
		if (v.p[at] < '0' || v.p[at] > '9' || n > (limit - (uint64_t)(v.p[at] - '0')) / 10)
			return false;
		n = n * 10 + (uint64_t)(v.p[at] - '0');
	}
	return true;
}

static void put_scalar(struct tr_buf *b, struct tr_view v, bool plain)
{
	if (plain && (tr_view_is(v, "true") || tr_view_is(v, "false") || tr_view_is(v, "null") || is_whole_number(v)))
		tr_buf_addv(b, v);
	else if (plain && (tr_view_is(v, "~") || !v.n))
		tr_buf_adds(b, "null");
	else
		tr_json_put_str(b, v);
}

/* ---- the walk ---- */

static bool is_known_name(const struct run *r, size_t from, struct tr_view name)
{
	for (size_t at = from; at < r->names.n;) {
		uint32_t n;

		memcpy(&n, r->names.p + at, sizeof(n));
		at += sizeof(n);
		if (tr_view_eq(tr_view(r->names.p + at, n), name))
			return true;
		at += n;
	}
	return false;
}

static TR_RC take_name(struct run *r, struct level *l, const yaml_event_t *e, struct tr_err *err)
{
	struct tr_view name = tr_view(e->data.scalar.value, e->data.scalar.length);
	uint32_t n = (uint32_t)name.n;

	if (!name.n)
		return bad(err, &e->start_mark, "a name is missing in front of the ':'");
	if (is_known_name(r, l->names, name))
		return bad(err, &e->start_mark, "a name stands here for the second time");
	tr_buf_add(&r->names, &n, sizeof(n));
	tr_buf_addv(&r->names, name);
	if (l->n++)
		tr_buf_add8(r->out, ',');
	tr_json_put_str(r->out, name);
	tr_buf_add8(r->out, ':');
	l->value_next = true;
	return tr_buf_check(&r->names, err);
}

/* What stands in front of a value, and whether one may stand here at all. */
static TR_RC begin_value(struct run *r, const yaml_event_t *e, struct tr_err *err)
{
	struct level *l = r->depth ? &r->levels[r->depth - 1] : NULL;

	if (++r->values > TR_YAML_VALUES_MAX)
		return bad(err, &e->start_mark, "too many values");
	if (!l)
		return TR_OK;
	if (l->map && !l->value_next)
		return bad(err, &e->start_mark, "a name must be text");
	if (!l->map && l->n++)
		tr_buf_add8(r->out, ',');
	l->value_next = false;
	return TR_OK;
}

static TR_RC open_level(struct run *r, const yaml_event_t *e, bool map, struct tr_err *err)
{
	enum tr_code rc = begin_value(r, e, err);

	if (rc)
		return rc;
	if (r->depth == TR_JSON_DEPTH_MAX)
		return bad(err, &e->start_mark, "nested too deeply");
	r->levels[r->depth++] = (struct level){ .map = map, .names = r->names.n };
	tr_buf_add8(r->out, map ? '{' : '[');
	return TR_OK;
}

static void close_level(struct run *r)
{
	struct level *l = &r->levels[--r->depth];

	tr_buf_add8(r->out, l->map ? '}' : ']');
	r->names.n = l->names;
}

static TR_RC take_scalar(struct run *r, const yaml_event_t *e, struct tr_err *err)
{
	struct level *l = r->depth ? &r->levels[r->depth - 1] : NULL;
	struct tr_view v = tr_view(e->data.scalar.value, e->data.scalar.length);
	enum tr_code rc;

	if (v.n && memchr(v.p, 0, v.n))
		return bad(err, &e->start_mark, "a NUL inside text");
	if (l && l->map && !l->value_next)
		return take_name(r, l, e, err);
	rc = begin_value(r, e, err);
	if (!rc)
		put_scalar(r->out, v, e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
	return rc;
}

static bool has_more_than_it_shows(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_ALIAS_EVENT: return true;
	case YAML_SCALAR_EVENT: return e->data.scalar.anchor || e->data.scalar.tag;
	case YAML_MAPPING_START_EVENT: return e->data.mapping_start.anchor || e->data.mapping_start.tag;
	case YAML_SEQUENCE_START_EVENT: return e->data.sequence_start.anchor || e->data.sequence_start.tag;
	case YAML_DOCUMENT_START_EVENT:
		return e->data.document_start.version_directive ||
		       e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end;
	default: return false;
	}
}

static TR_RC take(struct run *r, const yaml_event_t *e, struct tr_err *err)
{
	if (has_more_than_it_shows(e))
		return bad(err, &e->start_mark, "anchors, aliases, tags and directives are not read here; write the value out");
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (r->done)
			return bad(err, &e->start_mark, "a second document begins; one is read");
		r->done = true;
		return TR_OK;
	case YAML_SCALAR_EVENT: return take_scalar(r, e, err);
	case YAML_MAPPING_START_EVENT: return open_level(r, e, true, err);
	case YAML_SEQUENCE_START_EVENT: return open_level(r, e, false, err);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT: close_level(r); return TR_OK;
	default: return TR_OK;
	}
}

static TR_RC parser_error(const struct run *r, struct tr_err *err)
{
	if (r->parser.error == YAML_MEMORY_ERROR)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "YAML: out of memory");
	/* libyaml's own sentence: static text about the grammar, nothing of the sender's. */
	return tr_err_set(err, TR_E_INVALID, "the YAML text is not valid", "line %zu: %s", r->parser.problem_mark.line + 1,
			  r->parser.problem ? r->parser.problem : "not YAML");
}

static TR_RC walk(struct run *r, struct tr_err *err)
{
	bool end = false;

	while (!end) {
		yaml_event_t e;
		enum tr_code rc;

		if (!yaml_parser_parse(&r->parser, &e))
			return parser_error(r, err);
		rc = take(r, &e, err);
		end = e.type == YAML_STREAM_END_EVENT || e.type == YAML_NO_EVENT;
		yaml_event_delete(&e);
		if (rc)
			return rc;
	}
	if (!r->done)
		return tr_err_set(err, TR_E_INVALID, "the YAML text is empty", "line 1: no document");
	return tr_buf_check(r->out, err);
}

TR_RC tr_yaml_to_json(struct tr_view text, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;
	struct run r = { .out = &out };
	enum tr_code rc;

	if (text.n > TR_YAML_MAX)
		return tr_err_set(err, TR_E_INVALID, "the YAML text is too long", "line 1: %zu bytes", text.n);
	/* libyaml would read UTF-16 too; nobody who looks at the file would. */
	if (!tr_utf8_ok(text) || (text.n && memchr(text.p, 0, text.n)))
		return tr_err_set(err, TR_E_INVALID, "the YAML text is not valid UTF-8", "line 1: not UTF-8, or a NUL");
	if (!yaml_parser_initialize(&r.parser))
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "YAML: out of memory");
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, text.n ? text.p : (const uint8_t *)"", text.n);
	rc = walk(&r, err);
	yaml_parser_delete(&r.parser);
	tr_buf_done(&r.names);
	if (rc)
		return rc;
	tr_buf_addv(ret, tr_buf_view(&out));
	return tr_buf_check(ret, err);
}

TR_RC tr_yaml_parse(struct tr_view text, struct tr_json **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;
	size_t at = 0;
	enum tr_code rc;

	while (at < text.n && strchr(" \t\r\n", text.p[at]))
		at++;
	if (at < text.n && (text.p[at] == '{' || text.p[at] == '['))
		return tr_json_parse(text, ret, err);
	rc = tr_yaml_to_json(text, &json, err);
	return rc ? rc : tr_json_parse(tr_buf_view(&json), ret, err);
}
