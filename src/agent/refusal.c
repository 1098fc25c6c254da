/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/refusal.h"

#include "codec/json.h"

#include <stdio.h>

static bool is_control(uint8_t c)
{
	return c < ' ' || c == 0x7f;
}

/* Cuts at `size`; a cut inside a UTF-8 character is cut back to its start. */
static void copy_clean(char *to, size_t size, struct tr_view v)
{
	size_t n = v.n < size ? v.n : size - 1;

	if (n < v.n)
		while (n > 0 && (v.p[n] & 0xc0) == 0x80)
			n--;
	for (size_t i = 0; i < n; i++)
		to[i] = is_control(v.p[i]) ? '?' : (char)v.p[i];
	to[n] = 0;
}

static void member(tr_jnode object, const char *key, char *to, size_t size)
{
	struct tr_view v;

	if (tr_json_str(tr_json_get(object, key), &v))
		copy_clean(to, size, v);
}

void tr_refusal_read(struct tr_view body, struct tr_said_no *ret)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_err err;

	memset(ret, 0, sizeof(*ret));
	if (tr_json_parse(body, &doc, &err) || !tr_json_is_object(tr_json_root(doc)))
		return;
	member(tr_json_root(doc), "code", ret->code, sizeof(ret->code));
	member(tr_json_root(doc), "title", ret->title, sizeof(ret->title));
	member(tr_json_root(doc), "detail", ret->detail, sizeof(ret->detail));
}

/* Of the server's checks those that failed, a line each; the rest is for `troth attestation explain`. */
static void add_checks(struct tr_buf *b, tr_jnode checks)
{
	for (size_t i = 0; i < tr_json_len(checks); i++) {
		tr_jnode c = tr_json_at(checks, i);
		char name[48] = "", expected[256] = "", seen[256] = "";
		bool ok = false;

		if (!tr_json_is_object(c) || (tr_json_bool(tr_json_get(c, "ok"), &ok) && ok))
			continue;
		member(c, "check", name, sizeof(name));
		member(c, "expected", expected, sizeof(expected));
		member(c, "seen", seen, sizeof(seen));
		tr_buf_addf(b, "  %-14s %s: expected %s; seen %s\n", "failed check", name, expected, seen);
	}
}

static bool add_member(void *arg, const char *key, tr_jnode value)
{
	static const char *const told_already[] = { "type", "title", "status", "code", "detail", "error" };
	struct tr_buf *b = arg;
	struct tr_view v;
	char text[512], name[48];

	for (size_t i = 0; i < TR_ARRAY_LEN(told_already); i++)
		if (strcmp(key, told_already[i]) == 0)
			return true;
	if (strcmp(key, "checks") == 0 && tr_json_is_array(value)) {
		add_checks(b, value);
		return true;
	}
	if (tr_json_str(value, &v)) {
		copy_clean(text, sizeof(text), v);
	} else {
		tr_auto(tr_buf_done) struct tr_buf dump = TR_BUF_INIT;

		tr_json_dump(value, &dump);
		copy_clean(text, sizeof(text), tr_buf_view(&dump));
	}
	copy_clean(name, sizeof(name), tr_view_str(key));
	tr_buf_addf(b, "  %-14s %s\n", name, text);
	return true;
}

void tr_refusal_text(int status, struct tr_view body, struct tr_buf *ret)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_said_no r;
	struct tr_err err;

	tr_refusal_read(body, &r);
	if (!r.code[0]) {
		tr_buf_addf(ret,
			    "the server answered with status %d and no reason that this agent understands\n",
			    status);
		return;
	}
	tr_buf_addf(ret, "%s (%s, status %d)\n", r.title[0] ? r.title : "refused", r.code, status);
	if (r.detail[0])
		tr_buf_addf(ret, "  %s\n", r.detail);
	if (tr_json_parse(body, &doc, &err) == TR_OK)
		tr_json_each(tr_json_root(doc), add_member, ret);
}
