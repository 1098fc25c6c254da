/* SPDX-License-Identifier: Apache-2.0 */
/* vectors [-v] [DIR]: reads every file below DIR, runs what it knows, and prints a line per set. Exit status: 0 when
 * nothing disagrees, 1 when something does, 2 on a wrong call, 77 when DIR is not there. */
#include "vectors.h"

#include "rules.h"

#include "base/file.h"
#include "codec/text.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#define FILE_MAX ((size_t)256 << 20)
#define UNPACKED_MAX ((size_t)512 << 20)
#define FOLDERS_MAX 32 /* deep */
#define SHOWN_MAX 200  /* disagreements printed per set */

struct note { /* a rule or a reason for skipping, and how often */
	char *rule, *text;
	size_t n;
};

struct set {
	char *name;
	size_t agree, deviate, disagree, skipped;
	struct note *notes;
	size_t n_notes;
};

struct run {
	struct item *items;
	size_t n_items;
	struct set **sets;
	size_t n_sets;
	size_t unknown;
};

static bool verbose;

static void *grow(void *p, size_t n, size_t size)
{
	/* In powers of two; a test program may end when memory does. */
	if (n & (n - 1))
		return p;
	p = reallocarray(p, n ? n * 2 : 1, size);
	if (!p)
		abort();
	return p;
}

static char *copy(const char *s)
{
	char *p = strdup(s);

	if (!p)
		abort();
	return p;
}

/* ---- sets ---- */

struct set *set_of(struct run *r, const struct item *it, const char *kind, bool by_folder)
{
	const char *slash = strrchr(it->where, '/');
	bool folder = by_folder && !it->member;
	int n = folder && slash ? (int)(slash - it->where) : (int)strlen(it->where);
	char name[2048];

	(void)snprintf(name, sizeof(name), "%.*s: %s", folder && !slash ? 1 : n, folder && !slash ? "." : it->where, kind);
	for (size_t i = 0; i < r->n_sets; i++)
		if (strcmp(r->sets[i]->name, name) == 0)
			return r->sets[i];
	r->sets = grow(r->sets, r->n_sets, sizeof(*r->sets));
	r->sets[r->n_sets] = calloc(1, sizeof(struct set));
	if (!r->sets[r->n_sets])
		abort();
	r->sets[r->n_sets]->name = copy(name);
	return r->sets[r->n_sets++];
}

static void note(struct set *s, const char *rule, const char *text, size_t n)
{
	for (size_t i = 0; i < s->n_notes; i++) {
		if (strcmp(s->notes[i].rule, rule) == 0 && strcmp(s->notes[i].text, text) == 0) {
			s->notes[i].n += n;
			return;
		}
	}
	s->notes = grow(s->notes, s->n_notes, sizeof(*s->notes));
	s->notes[s->n_notes++] = (struct note){ .rule = copy(rule), .text = copy(text), .n = n };
}

void agree(struct set *s)
{
	s->agree++;
}

void disagree(struct set *s, const char *id, const char *fmt, ...)
{
	va_list ap;

	if (s->disagree++ >= SHOWN_MAX)
		return;
	(void)printf("DISAGREE %s: %s: ", s->name, id);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)putchar('\n');
}

void skip(struct set *s, size_t cases, const char *why)
{
	s->skipped += cases;
	note(s, "skipped", why, cases);
}

void judge(struct set *s, const char *id, enum want want, bool accepted, const char *rule, const char *why)
{
	const struct rule *known = rule_named(rule);

	if (!why || !*why)
		why = accepted ? "accepted" : "refused";
	if (rule && !known) {
		disagree(s, id, "the runner names the rule %s, which does not exist", rule);
	} else if (accepted == (want == MUST_ACCEPT) && want != MAY_ACCEPT) {
		agree(s);
	} else if (want == MAY_ACCEPT && (accepted || !known)) {
		agree(s);
	} else if (known && (known->direction == LOOSER) == accepted) {
		s->deviate++;
		note(s, known->name, why, 1);
		if (verbose)
			(void)printf("deviates %s: %s: %s: %s\n", s->name, id, known->name, why);
	} else {
		disagree(s, id, "the vector says %s, the product %s: %s", want == MUST_ACCEPT ? "good" : "bad",
			 accepted ? "accepts" : "refuses", why);
	}
}

/* ---- small things ---- */

size_t run_items(const struct run *r)
{
	return r->n_items;
}

struct item *run_item(struct run *r, size_t i)
{
	return &r->items[i];
}

struct tr_view base_name(const struct item *it)
{
	const char *slash = strrchr(it->name, '/');

	return tr_view_str(slash ? slash + 1 : it->name);
}

struct tr_view folder_name(const struct item *it)
{
	const char *slash = strrchr(it->name, '/');

	return tr_view(it->name, slash ? (size_t)(slash - it->name) : 0);
}

const char *rule_for(const struct reason *rows, size_t n, const char *text)
{
	for (size_t i = 0; text && i < n; i++)
		if (strstr(text, rows[i].text))
			return rows[i].rule;
	return NULL;
}

struct tr_view jstr(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? tr_view(json_string_value(v), json_string_length(v)) : (struct tr_view){ 0 };
}

bool hex_to(struct tr_view text, struct tr_buf *ret)
{
	uint8_t *p = text.n % 2 ? NULL : tr_buf_space(ret, text.n / 2);

	return text.n == 0 || (p && tr_hex_get(text, p, text.n / 2));
}

bool jhex(const json_t *o, const char *key, struct tr_buf *ret)
{
	return hex_to(jstr(o, key), ret);
}

bool has_text(struct tr_view v, const char *text)
{
	return v.n && memmem(v.p, v.n, text, strlen(text)) != NULL;
}

/* ---- input ---- */

static struct item *add_item(struct run *r, const char *where, const char *name, bool member)
{
	r->items = grow(r->items, r->n_items, sizeof(*r->items));
	r->items[r->n_items] = (struct item){ .where = copy(where), .name = copy(name), .member = member };
	return &r->items[r->n_items++];
}

static void unknown(struct run *r, const char *where, const char *name, bool member, const char *why)
{
	r->unknown++;
	(void)printf("not recognised: %s%s%s (%s)\n", where, member ? " " : "", member ? name : "", why);
}

static void add_file(struct run *r, const char *path, const char *rel)
{
	tr_auto(tr_buf_done) struct tr_buf raw = { .max = FILE_MAX }, plain = { .max = UNPACKED_MAX };
	struct tar t = { 0 };
	struct tr_view member;
	struct tr_err err;
	struct item *it;

	if (tr_file_read(path, FILE_MAX, &raw, &err)) {
		unknown(r, rel, "", false, err.detail);
		return;
	}
	if (raw.n >= 2 && raw.p[0] == 0x1f && raw.p[1] == 0x8b) {
		if (!gunzip(tr_buf_view(&raw), UNPACKED_MAX, &plain)) {
			unknown(r, rel, "", false, "damaged gzip");
			return;
		}
		tr_buf_done(&raw);
		raw = plain;
		plain = TR_BUF_INIT;
	}
	if (!is_tar(tr_buf_view(&raw))) {
		it = add_item(r, rel, rel, false);
		it->bytes = raw;
		raw = TR_BUF_INIT;
		return;
	}
	t.left = tr_buf_view(&raw);
	while (tar_next(&t, &member)) {
		it = add_item(r, rel, t.name, true);
		tr_buf_addv(&it->bytes, member);
	}
	if (t.damaged)
		unknown(r, rel, "", false, "damaged tar: the members before the damage are used");
}

static void add_folder(struct run *r, const char *root, const char *rel, unsigned depth)
{
	char path[4096];
	struct dirent **list;
	int n;

	(void)snprintf(path, sizeof(path), "%s/%s", root, rel);
	n = depth < FOLDERS_MAX ? scandir(path, &list, NULL, alphasort) : -1;
	if (n < 0) {
		unknown(r, rel, "", false, "folder cannot be read, or is too deep");
		return;
	}
	for (int i = 0; i < n; i++) {
		char sub[2048];
		struct stat st;

		(void)snprintf(sub, sizeof(sub), "%s%s%s", rel, *rel ? "/" : "", list[i]->d_name);
		(void)snprintf(path, sizeof(path), "%s/%s", root, sub);
		if (list[i]->d_name[0] != '.' && stat(path, &st) == 0) {
			if (S_ISDIR(st.st_mode))
				add_folder(r, root, sub, depth + 1);
			else if (S_ISREG(st.st_mode))
				add_file(r, path, sub);
		}
		free(list[i]);
	}
	free(list);
}

/* ---- recognition ---- */

static bool (*const json_kinds[])(struct run *, const struct item *, const json_t *) = {
	wycheproof, ed25519_cases, json_formats, cbor_examples, cose_examples, limbo, hpke_vectors, no_product_json,
};

static bool (*const text_kinds[])(struct run *, const struct item *) = { http_cases, pem_files, no_product_text };

static void run_one(struct run *r, const struct item *it)
{
	const char *why = "no known kind";
	json_error_t jerr;
	json_t *j;

	if (it->bytes.failed) {
		unknown(r, it->where, it->name, it->member, "out of memory");
		return;
	}
	if (it->bytes.n == 0)
		why = "empty";
	j = it->bytes.n ? json_loadb((const char *)it->bytes.p, it->bytes.n, JSON_ALLOW_NUL, &jerr) : NULL;
	/* Numbers of over 64 bits are what CBOR examples are about. */
	if (!j && it->bytes.n)
		j = json_loadb((const char *)it->bytes.p, it->bytes.n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &jerr);
	for (size_t i = 0; j && i < TR_ARRAY_LEN(json_kinds); i++) {
		if (json_kinds[i](r, it, j)) {
			json_decref(j);
			return;
		}
	}
	if (j) {
		json_decref(j);
		unknown(r, it->where, it->name, it->member, "JSON of no known kind");
		return;
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(text_kinds); i++)
		if (text_kinds[i](r, it))
			return;
	unknown(r, it->where, it->name, it->member, why);
}

static void report(const struct run *r, struct set *sum)
{
	for (size_t i = 0; i < r->n_sets; i++) {
		const struct set *s = r->sets[i];

		(void)printf("%s: %zu agree, %zu deviate, %zu disagree, %zu skipped\n", s->name, s->agree, s->deviate,
			     s->disagree, s->skipped);
		for (size_t k = 0; k < s->n_notes; k++)
			(void)printf("    %s %zu: %s\n", s->notes[k].rule, s->notes[k].n, s->notes[k].text);
		sum->agree += s->agree;
		sum->deviate += s->deviate;
		sum->disagree += s->disagree;
		sum->skipped += s->skipped;
	}
	(void)printf("vectors: %zu sets, %zu agree, %zu deviate by a rule, %zu disagree, %zu skipped; %zu files not recognised\n",
		     r->n_sets, sum->agree, sum->deviate, sum->disagree, sum->skipped, r->unknown);
}

static void done(struct run *r)
{
	for (size_t i = 0; i < r->n_items; i++) {
		free(r->items[i].where);
		free(r->items[i].name);
		tr_buf_done(&r->items[i].bytes);
	}
	for (size_t i = 0; i < r->n_sets; i++) {
		for (size_t k = 0; k < r->sets[i]->n_notes; k++) {
			free(r->sets[i]->notes[k].rule);
			free(r->sets[i]->notes[k].text);
		}
		free(r->sets[i]->notes);
		free(r->sets[i]->name);
		free(r->sets[i]);
	}
	free(r->items);
	free(r->sets);
}

int main(int argc, char **argv)
{
	const char *env = getenv("TROTH_VECTORS");
	const char *dir = env && *env ? env : TROTH_VECTORS_DEFAULT;
	struct set sum = { 0 };
	struct run r = { 0 };
	struct tr_err err;
	struct stat st;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0) {
			verbose = true;
		} else if (strcmp(argv[i], "--rules") == 0) {
			for (size_t k = 0; k < n_rules; k++)
				(void)printf("%s\t%s\n", rules[k].name, rules[k].direction == LOOSER ? "looser" : "stricter");
			return 0;
		} else if (argv[i][0] == '-' || i != argc - 1) {
			(void)fprintf(stderr, "usage: vectors [-v] [DIR]\n       vectors --rules\n");
			return 2;
		} else {
			dir = argv[i];
		}
	}
	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		(void)fprintf(stderr, "skipped: no folder %s with vectors (TROTH_VECTORS or the argument names another)\n", dir);
		return 77;
	}
	if (tr_crypto_init(&err)) {
		(void)fprintf(stderr, "vectors: %s\n", err.detail);
		return 1;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	add_folder(&r, dir, "", 0);
	json_suites(&r);
	jcs_pairs(&r);
	tuf_archives(&r);
	for (size_t i = 0; i < r.n_items; i++)
		if (!r.items[i].taken)
			run_one(&r, &r.items[i]);
	report(&r, &sum);
	done(&r);
	if (sum.agree + sum.deviate + sum.disagree + sum.skipped == 0)
		(void)printf("vectors: nothing that was found is of a known kind\n");
	return sum.disagree ? 1 : 0;
}
