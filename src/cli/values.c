/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>
#include <unistd.h>

#include "codec/ident.h"
#include "codec/text.h"

/* Digits at the front; at most 12, so that a multiplication by a week cannot overflow. */
static const char *digits(const char *s, uint64_t *ret)
{
	const char *start = s;

	for (*ret = 0; *s >= '0' && *s <= '9' && s - start < 12; s++)
		*ret = *ret * 10 + (uint64_t)(*s - '0');
	return s == start ? NULL : s;
}

bool tr_cli_number(const char *text, uint64_t *ret)
{
	uint64_t v;
	const char *end = digits(text, &v);

	if (!end || *end)
		return false;
	*ret = v;
	return true;
}

bool tr_cli_duration(const char *text, uint64_t *ret_s)
{
	static const struct {
		char unit;
		uint32_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 } };
	uint64_t v;
	const char *end = digits(text, &v);

	if (!end)
		return false;
	if (!*end) {
		*ret_s = v;
		return true;
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(units); i++)
		if (end[0] == units[i].unit && !end[1]) {
			*ret_s = v * units[i].s;
			return true;
		}
	return false;
}

bool tr_cli_time(const char *text, int64_t now_ms, int64_t *ret_ms)
{
	struct tr_view v = tr_view_str(text);
	char day[32];
	uint64_t s;

	if (strcmp(text, "now") == 0) {
		*ret_ms = now_ms;
		return true;
	}
	if (v.n == 10) {
		(void)snprintf(day, sizeof(day), "%sT00:00:00Z", text);
		if (tr_rfc3339_get(tr_view_str(day), ret_ms))
			return true;
	}
	if (tr_rfc3339_get(v, ret_ms))
		return true;
	/* A bare number would be a time or a length of time: nobody could say which. */
	if (tr_cli_number(text, &s) || !tr_cli_duration(text, &s) || s > (uint64_t)100 * 366 * 86400)
		return false;
	*ret_ms = now_ms + (int64_t)s * 1000;
	return true;
}

bool tr_cli_fingerprint(const char *text, uint8_t ret[32])
{
	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	return strlen(text) == 64 && tr_hex_get(tr_view_str(text), ret, 32);
}

static void put_name(struct tr_buf *b, const char *name)
{
	if (b->n && b->p[b->n - 1] != '{')
		tr_buf_adds(b, ",");
	tr_json_put_str(b, tr_view_str(name));
	tr_buf_adds(b, ":");
}

void tr_cli_put(struct tr_buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	put_name(b, name);
	tr_json_put_str(b, tr_view_str(value));
}

void tr_cli_put_number(struct tr_buf *b, const char *name, uint64_t value)
{
	put_name(b, name);
	tr_buf_addf(b, "%llu", (unsigned long long)value);
}

void tr_cli_query(struct tr_buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	tr_buf_addf(b, "%c%s=", b->n && memchr(b->p, '?', b->n) ? '&' : '?', name);
	for (; *value; value++) {
		unsigned char ch = (unsigned char)*value;

		/* RFC 3986 2.3 */
		if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z')
			tr_buf_add8(b, ch);
		else if ((ch >= '0' && ch <= '9') || strchr("-._~", ch))
			tr_buf_add8(b, ch);
		else
			tr_buf_addf(b, "%%%02X", ch);
	}
}

bool tr_cli_word(const char *option, const char *text, const char *words)
{
	for (const char *w = words; text && *w; w += strspn(w, " ")) {
		size_t n = strcspn(w, " ");

		if (strlen(text) == n && memcmp(text, w, n) == 0)
			return true;
		w += n;
	}
	if (text)
		(void)tr_cli_fail(TR_CLI_EXIT_USAGE, "%s takes one of: %s", option, words);
	return !text;
}

bool tr_cli_id(const char *text, const char *what)
{
	if (tr_ident_ok(tr_view_str(text)))
		return true;
	(void)tr_cli_fail(TR_CLI_EXIT_USAGE, "that is no %s: letters, digits, '.', '_' and '-' only, at most 64", what);
	return false;
}

const char *tr_cli_next(const struct tr_cli *c, enum tr_opt o, size_t *at)
{
	while (*at < c->n_given)
		if (c->given[(*at)++].opt == o)
			return c->given[*at - 1].text;
	return NULL;
}

bool tr_cli_confirm(const struct tr_cli *c, const char *question)
{
	char line[64] = "";

	if (tr_cli_opt(c, TR_OPT_YES))
		return true;
	if (!isatty(STDIN_FILENO)) {
		(void)tr_cli_fail(TR_CLI_EXIT_USAGE, "nobody is here to be asked: pass --yes when you have read what is above");
		return false;
	}
	(void)fflush(stdout);
	fprintf(stderr, "%s [yes/no] ", question);
	if (fgets(line, sizeof(line), stdin) && strcmp(line, "yes\n") == 0)
		return true;
	fputs("troth: nothing was signed and nothing sent\n", stderr);
	return false;
}

bool tr_cli_reason(const struct tr_cli *c)
{
	const char *text = tr_cli_opt(c, TR_OPT_REASON);

	if (text && *text)
		return true;
	(void)tr_cli_fail(TR_CLI_EXIT_USAGE, "--reason TEXT is needed: the audit log keeps why this was done");
	return false;
}
