/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "appraise/tee_policy.h"

#include "codec/json.h"
#include "codec/text.h"

/* "snp.images[2].measurement", outermost first. */
static void put_path(const struct tr_pp *p, struct tr_buf *b)
{
	if (!p)
		return;
	put_path(p->up, b);
	if (p->name)
		tr_buf_addf(b, "%s%s", b->n ? "." : "", p->name);
	else if (p->up)
		tr_buf_addf(b, "[%zu]", p->index);
}

void tr_pp_fail(const struct tr_pp *p, const char *fmt, ...)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	char why[160];
	va_list ap;

	if (p->run->failed)
		return;
	p->run->failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	put_path(p, &path);
	(void)tr_err_set(p->run->err, TR_E_INVALID, "the attestation policy is not valid", "%.120s%s%s",
			 path.n ? tr_buf_cstr(&path) : "", path.n ? ": " : "", why);
}

static bool is_word(const char *words, const char *w)
{
	size_t n = strlen(w);

	for (const char *at = words; *at; at += strcspn(at, " "), at += *at == ' ')
		if (strncmp(at, w, n) == 0 && (at[n] == ' ' || !at[n]))
			return true;
	return false;
}

struct known {
	const struct tr_pp *p;
	const char *words;
};

static bool check_member(void *arg, const char *key, tr_jnode value)
{
	const struct known *k = arg;

	(void)value;
	if (!is_word(k->words, key)) {
		/* A list that is cut off would deny what there is. */
		if (strlen(k->words) > 72)
			tr_pp_fail(k->p, "unknown member \"%.64s\"; docs/attestation.md shows all there are", key);
		else
			tr_pp_fail(k->p, "unknown member \"%.64s\"; known are: %s", key, k->words);
		return false;
	}
	return true;
}

bool tr_pp_object(const struct tr_pp *p, const char *words)
{
	struct known k = { p, words };

	if (!tr_json_is_object(p->node)) {
		tr_pp_fail(p, "must be a mapping of: %s", words);
		return false;
	}
	tr_json_each(p->node, check_member, &k);
	return !p->run->failed;
}

bool tr_pp_member(const struct tr_pp *p, const char *name, struct tr_pp *ret)
{
	*ret = (struct tr_pp){ .up = p, .name = name, .run = p->run, .node = tr_json_get(p->node, name) };
	return ret->node && !p->run->failed;
}

bool tr_pp_need(const struct tr_pp *p, const char *name, struct tr_pp *ret)
{
	if (tr_pp_member(p, name, ret))
		return true;
	tr_pp_fail(p, "\"%s\" is missing", name);
	return false;
}

size_t tr_pp_items(const struct tr_pp *p, size_t max)
{
	if (!tr_json_is_array(p->node)) {
		tr_pp_fail(p, "must be a list");
		return 0;
	}
	if (tr_json_len(p->node) > max) {
		tr_pp_fail(p, "has more than %zu elements", max);
		return 0;
	}
	return p->run->failed ? 0 : tr_json_len(p->node);
}

struct tr_pp tr_pp_item(const struct tr_pp *p, size_t i)
{
	return (struct tr_pp){ .up = p, .index = i, .run = p->run, .node = tr_json_at(p->node, i) };
}

int tr_pp_word(const struct tr_pp *p, const char *words)
{
	struct tr_view v;
	int i = 0;

	if (tr_json_str(p->node, &v))
		for (const char *at = words; *at; at += strcspn(at, " "), at += *at == ' ', i++)
			if (strcspn(at, " ") == v.n && memcmp(at, v.p, v.n) == 0)
				return i;
	tr_pp_fail(p, "must be one of: %s", words);
	return -1;
}

void tr_pp_choice(const struct tr_pp *p, const char *name, const char *words, int *ret)
{
	struct tr_pp m;
	int i;

	if (!tr_pp_member(p, name, &m))
		return;
	i = tr_pp_word(&m, words);
	if (i >= 0)
		*ret = i;
}

void tr_pp_uint(const struct tr_pp *p, const char *name, uint64_t min, uint64_t max, uint64_t *ret)
{
	struct tr_pp m;
	int64_t n;

	if (!tr_pp_member(p, name, &m))
		return;
	if (!tr_json_int(m.node, &n) || n < 0 || (uint64_t)n < min || (uint64_t)n > max)
		tr_pp_fail(&m, "must be a whole number from %llu to %llu", (unsigned long long)min, (unsigned long long)max);
	else
		*ret = (uint64_t)n;
}

void tr_pp_bool(const struct tr_pp *p, const char *name, bool *ret)
{
	struct tr_pp m;

	if (tr_pp_member(p, name, &m) && !tr_json_bool(m.node, ret))
		tr_pp_fail(&m, "must be true or false");
}

void tr_pp_text(const struct tr_pp *p, char *ret, size_t max)
{
	struct tr_view v;

	if (!tr_json_str(p->node, &v) || !v.n || v.n > max) {
		tr_pp_fail(p, "must be text of at most %zu bytes", max);
		return;
	}
	/* It stands in logs, in tables and in result tokens. */
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] < 0x20 || v.p[i] == 0x7f) {
			tr_pp_fail(p, "must not contain control characters");
			return;
		}
	}
	memcpy(ret, v.p, v.n);
	ret[v.n] = '\0';
}

bool tr_pp_hex(const struct tr_pp *p, uint8_t *ret, size_t n)
{
	struct tr_view v;
	int64_t number;

	if (tr_json_str(p->node, &v) && v.n == 2 * n && tr_hex_get(v, ret, n))
		return true;
	if (tr_json_int(p->node, &number))
		tr_pp_fail(p, "is read as a number: put the %zu hex digits in quotes", 2 * n);
	else
		tr_pp_fail(p, "must be %zu hex digits", 2 * n);
	return false;
}

void tr_pp_digests(const struct tr_pp *p, size_t len, struct tr_tee_digests *ret)
{
	size_t n;

	if (!tr_json_is_array(p->node)) {
		ret->n = tr_pp_hex(p, ret->v[0], len) ? 1 : 0;
		return;
	}
	n = tr_pp_items(p, TR_TEE_ALTERNATIVES_MAX);
	if (!n)
		tr_pp_fail(p, "an empty list allows nothing");
	for (ret->n = 0; ret->n < n; ret->n++) {
		const struct tr_pp item = tr_pp_item(p, ret->n);

		if (!tr_pp_hex(&item, ret->v[ret->n], len))
			return;
	}
}
