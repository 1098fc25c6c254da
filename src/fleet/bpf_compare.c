/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/bpf_compare.h"

#include "codec/json.h"
#include "codec/text.h"

#include <stdio.h>

/* An event's detail and an agent's row hold both arrays (store/records.c). */
#define FINDINGS_BYTES 3000
#define TEXT_LEN 96

struct side {
	struct tr_view kernel;
	struct tr_bpf_item items[TR_BPF_ITEMS_MAX];
	size_t n;
};

/* ---- what is found ---- */

void tr_bpf_findings_done(struct tr_bpf_findings *f)
{
	tr_buf_done(&f->mismatches);
	tr_buf_done(&f->notes);
}

static void add(struct tr_bpf_findings *f, struct tr_buf *to, const char *head, const char *finding, struct tr_view pin,
		const char *expected, const char *seen)
{
	size_t before = to->n;

	tr_buf_adds(to, before ? "," : "");
	tr_buf_addf(to, "{%s\"finding\":\"%s\",\"pin\":", head, finding);
	tr_json_put_str(to, pin);
	tr_buf_adds(to, ",\"expected\":");
	tr_json_put_str(to, tr_view_str(expected));
	tr_buf_adds(to, ",\"seen\":");
	tr_json_put_str(to, tr_view_str(seen));
	tr_buf_adds(to, "}");
	if (f->mismatches.n + f->notes.n > FINDINGS_BYTES) {
		to->n = before;
		f->n_omitted++;
	}
}

void tr_bpf_mismatch(struct tr_bpf_findings *f, const char *finding, struct tr_view pin, const char *expected, const char *seen)
{
	if (!f->n_mismatches++)
		(void)snprintf(f->first, sizeof(f->first), "%s%s%.*s", finding, pin.n ? ": " : "", TR_VIEW_FMT(pin));
	add(f, &f->mismatches, "", finding, pin, expected, seen);
}

void tr_bpf_note(struct tr_bpf_findings *f, const char *finding, struct tr_view pin, const char *expected, const char *seen)
{
	f->n_notes++;
	add(f, &f->notes, "\"note\":true,", finding, pin, expected, seen);
}

void tr_bpf_findings_json(const struct tr_bpf_findings *f, struct tr_buf *json)
{
	if (!f->n_mismatches && !f->n_notes)
		return;
	tr_buf_adds(json, "[");
	tr_buf_addv(json, tr_buf_view(&f->mismatches));
	tr_buf_adds(json, f->mismatches.n && f->notes.n ? "," : "");
	tr_buf_addv(json, tr_buf_view(&f->notes));
	if (f->n_omitted)
		tr_buf_addf(json, "%s{\"%sfinding\":\"more\",\"pin\":\"\",\"expected\":\"\",\"seen\":\"%u more\"}",
			    f->mismatches.n || f->notes.n ? "," : "", f->n_mismatches ? "" : "note\":true,\"", f->n_omitted);
	tr_buf_adds(json, "]");
}

/* ---- how a value is told ---- */

static void say_bytes(char out[TEXT_LEN], const char *what, struct tr_view bytes)
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;

	tr_hex_add(&hex, bytes);
	(void)snprintf(out, TEXT_LEN, "%s %s", what, bytes.n ? tr_buf_cstr(&hex) : "none");
}

static const char *say_attach(uint64_t attach)
{
	return attach == TR_BPF_ATTACHED ? "attached" : attach == TR_BPF_DETACHED ? "detached" : "no pinned link says that it is attached";
}

static const char *say_norm(uint64_t status)
{
	return status == TR_BPF_NORM_OK	      ? "normalised hash" :
	       status == TR_BPF_NORM_HARDENED ? "none: bpf_jit_harden" :
						"none: the kernel shows no instructions";
}

static const char *say_kind(uint64_t kind)
{
	static const char *const names[TR_BPF_KIND_N] = { "object", "program", "map", "link" };

	return names[kind < TR_BPF_KIND_N ? kind : 0];
}

/* ---- comparison ---- */

static TR_RC load(const struct tr_bpf_list *l, struct side *ret, struct tr_err *err)
{
	struct tr_view items = l->items, one;

	ret->kernel = l->kernel;
	ret->n = 0;
	while (tr_records_next(&items, &one)) {
		if (ret->n == TR_BPF_ITEMS_MAX)
			return tr_err_set(err, TR_E_INVALID, "the BPF list has too many items", "BPF list");
		if (tr_record_decode(&tr_bpf_item_def, one, &ret->items[ret->n], err))
			return tr_err_wrap(err, "BPF item %zu", ret->n);
		ret->n++;
	}
	return items.n ? tr_err_set(err, TR_E_INVALID, "the BPF list is damaged", "BPF list") : TR_OK;
}

/* The pin of the program with this id; empty: it is not pinned where the agent looks. */
static struct tr_view pin_of(const struct side *s, uint64_t prog_id)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->items[i].kind == TR_BPF_PROG && s->items[i].id == prog_id)
			return s->items[i].pin;
	}
	return tr_view(NULL, 0);
}

static bool other_boot(const struct tr_bpf_item *good)
{
	return good->id & TR_BPF_OTHER_BOOT;
}

static void say_two(struct tr_bpf_findings *f, const char *finding, struct tr_view pin, const char *what,
		    struct tr_view expected, struct tr_view seen)
{
	char a[TEXT_LEN], b[TEXT_LEN];

	say_bytes(a, what, expected);
	say_bytes(b, what, seen);
	tr_bpf_mismatch(f, finding, pin, a, b);
}

static void say_numbers(struct tr_bpf_findings *f, struct tr_view pin, const char *what, uint64_t expected, uint64_t seen)
{
	char a[TEXT_LEN], b[TEXT_LEN];

	(void)snprintf(a, sizeof(a), "%s %llu", what, (unsigned long long)expected);
	(void)snprintf(b, sizeof(b), "%s %llu", what, (unsigned long long)seen);
	tr_bpf_mismatch(f, "replaced", pin, a, b);
}

/* The same object by what it is made of. False: told as replaced. released: both have a tag of the release. */
static bool same_object(const struct side *good, const struct side *seen, const struct tr_bpf_item *g,
			const struct tr_bpf_item *s, bool released, tr_bpf_approved_fn approved, void *arg,
			struct tr_bpf_findings *f)
{
	bool same_kernel = tr_view_eq(good->kernel, seen->kernel);
	bool told_object = g->object.n && s->object.n;

	if (g->kind != s->kind) {
		tr_bpf_mismatch(f, "replaced", g->pin, say_kind(g->kind), say_kind(s->kind));
		return false;
	}
	if (g->type != s->type) {
		say_numbers(f, g->pin, "type", g->type, s->type);
		return false;
	}
	if (told_object && !tr_view_eq(g->object, s->object)) {
		say_two(f, "replaced", g->pin, "object", g->object, s->object);
		return false;
	}
	/* Code that reads the kernel's own structures has another tag on another kernel, and newer kernels make tags in
	 * another way: then the object that it came from counts, or that an operator approved it there. */
	if (!released && !tr_view_eq(g->tag, s->tag) &&
	    (same_kernel || !(told_object || (approved && approved(arg, seen->kernel, s))))) {
		say_two(f, "replaced", g->pin, "tag", g->tag, s->tag);
		return false;
	}
	if (same_kernel && g->norm.n && s->norm.n && !tr_view_eq(g->norm, s->norm)) {
		say_two(f, "replaced", g->pin, "normalised hash", g->norm, s->norm);
		return false;
	}
	if (!tr_view_eq(g->name, s->name)) {
		char a[TEXT_LEN], b[TEXT_LEN];

		(void)snprintf(a, sizeof(a), "name %.*s", TR_VIEW_FMT(g->name));
		(void)snprintf(b, sizeof(b), "name %.*s", TR_VIEW_FMT(s->name));
		tr_bpf_mismatch(f, "replaced", g->pin, a, b);
		return false;
	}
	return true;
}

/* The same object by the kernel's numbers: the only witness against a copy of the program with somebody else's maps. */
static bool same_numbers(const struct side *good, const struct side *seen, const struct tr_bpf_item *g,
			 const struct tr_bpf_item *s, struct tr_bpf_findings *f)
{
	bool link = g->kind == TR_BPF_LINK;
	struct tr_view of_good = link ? pin_of(good, g->prog_id) : tr_view(NULL, 0);
	struct tr_view of_seen = link ? pin_of(seen, s->prog_id) : tr_view(NULL, 0);

	if (!other_boot(g)) {
		if (g->id != s->id) {
			say_numbers(f, g->pin, "id", g->id, s->id);
			return false;
		}
		if (g->loaded_ns != s->loaded_ns) {
			say_numbers(f, g->pin, "load time", g->loaded_ns, s->loaded_ns);
			return false;
		}
		if (g->prog_id != s->prog_id) {
			say_numbers(f, g->pin, "program", g->prog_id, s->prog_id);
			return false;
		}
	} else if (of_good.n && !tr_view_eq(of_good, of_seen)) {
		char a[TEXT_LEN], b[TEXT_LEN];

		(void)snprintf(a, sizeof(a), "program %.*s", TR_VIEW_FMT(of_good));
		(void)snprintf(b, sizeof(b), "program %.*s", TR_VIEW_FMT(of_seen.n ? of_seen : tr_view_str("that is not pinned")));
		tr_bpf_mismatch(f, "replaced", g->pin, a, b);
		return false;
	}
	return true;
}

static void compare_state(const struct tr_bpf_item *g, const struct tr_bpf_item *s, struct tr_bpf_findings *f)
{
	if (g->attach == TR_BPF_ATTACHED && s->attach != TR_BPF_ATTACHED)
		tr_bpf_mismatch(f, "detached", g->pin, say_attach(g->attach), say_attach(s->attach));
	if (g->content.n && !tr_view_eq(g->content, s->content))
		say_two(f, "map_altered", g->pin, "content", g->content, s->content);
	if (g->frozen != s->frozen)
		tr_bpf_mismatch(f, "map_altered", g->pin, g->frozen ? "frozen" : "not frozen", s->frozen ? "frozen" : "not frozen");
	if (g->norm.n && !s->norm.n)
		tr_bpf_note(f, "norm_unavailable", g->pin, say_norm(g->norm_status), say_norm(s->norm_status));
}

static bool is_released(const struct tr_release_bpf *r, const struct tr_bpf_item *i)
{
	return i->kind == TR_BPF_PROG && (tr_view_eq(i->tag, r->tag_sha1) || tr_view_eq(i->tag, r->tag_sha256));
}

/* Both are there, under one pin. */
static void compare_pair(const struct side *good, const struct side *seen, const struct tr_bpf_item *g,
			 const struct tr_bpf_item *s, struct tr_view released, tr_bpf_approved_fn approved, void *arg,
			 struct tr_bpf_findings *f)
{
	struct tr_release_bpf r;
	bool named = tr_release_bpf_find(released, g->pin, &r);

	/* The good list may be of the release before: then what is as released now is new, and known all the same. */
	if (named && !is_released(&r, s))
		return;
	/* The state of another object says nothing about this one. */
	if ((named && !is_released(&r, g)) ||
	    (same_object(good, seen, g, s, named, approved, arg, f) && same_numbers(good, seen, g, s, f)))
		compare_state(g, s, f);
}

TR_RC tr_bpf_compare(const struct tr_bpf_list *good, const struct tr_bpf_list *seen, struct tr_view released,
		     tr_bpf_approved_fn approved, void *arg, struct tr_bpf_findings *f, struct tr_err *err)
{
	tr_auto(tr_free) struct side *g = calloc(1, sizeof(*g)), *s = calloc(1, sizeof(*s));
	size_t i = 0, k = 0;
	struct tr_release_bpf r;
	enum tr_code rc;

	if (!g || !s)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "BPF lists");
	rc = load(good, g, err);
	if (!rc)
		rc = load(seen, s, err);
	if (rc)
		return rc;
	while (i < g->n || k < s->n) {
		const struct tr_bpf_item *a = &g->items[i], *b = &s->items[k];
		int c = i == g->n ? 1 : k == s->n ? -1 : tr_release_bpf_order(a->pin, b->pin);

		if (c < 0) {
			if (!tr_release_bpf_find(released, a->pin, &r))
				tr_bpf_mismatch(f, "missing", a->pin, say_kind(a->kind), "nothing");
			i++;
		} else if (c > 0) {
			if (!tr_release_bpf_find(released, b->pin, &r))
				tr_bpf_mismatch(f, "foreign", b->pin, "nothing", say_kind(b->kind));
			k++;
		} else {
			compare_pair(g, s, a, b, released, approved, arg, f);
			i++;
			k++;
		}
	}
	return TR_OK;
}

static const struct tr_bpf_item *item_at(const struct side *s, struct tr_view pin)
{
	for (size_t i = 0; i < s->n; i++) {
		if (tr_view_eq(s->items[i].pin, pin))
			return &s->items[i];
	}
	return NULL;
}

static void say_tags(char out[TEXT_LEN], const struct tr_release_bpf *r)
{
	tr_auto(tr_buf_done) struct tr_buf sha1 = TR_BUF_INIT, sha256 = TR_BUF_INIT;

	tr_hex_add(&sha1, r->tag_sha1);
	tr_hex_add(&sha256, r->tag_sha256);
	(void)snprintf(out, TEXT_LEN, "tag %s (SHA-1) or %s (SHA-256)", tr_buf_cstr(&sha1), tr_buf_cstr(&sha256));
}

TR_RC tr_bpf_check_released(struct tr_view released, const struct tr_bpf_list *seen, struct tr_bpf_findings *f,
			    struct tr_err *err)
{
	tr_auto(tr_free) struct side *s = calloc(1, sizeof(*s));
	struct tr_view one;
	unsigned before = f->n_mismatches;
	enum tr_code rc;

	if (!s)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "BPF list");
	rc = load(seen, s, err);
	while (!rc && tr_records_next(&released, &one)) {
		const struct tr_bpf_item *i;
		struct tr_release_bpf r;
		char want[TEXT_LEN], tag[TEXT_LEN];

		rc = tr_record_decode(&tr_release_bpf_def, one, &r, err);
		if (rc)
			break;
		i = item_at(s, r.pin);
		if (i && is_released(&r, i))
			continue;
		say_tags(want, &r);
		if (i && i->kind == TR_BPF_PROG)
			say_bytes(tag, "tag", i->tag);
		else
			(void)snprintf(tag, sizeof(tag), "%s", i ? say_kind(i->kind) : "nothing");
		tr_bpf_mismatch(f, i ? "not_as_released" : "missing", r.pin, want, tag);
	}
	f->unlike_release |= f->n_mismatches > before;
	return rc;
}

TR_RC tr_bpf_mark_other_boot(struct tr_view list, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf items = TR_BUF_INIT;
	struct tr_bpf_list l;
	struct tr_view one;
	enum tr_code rc = tr_record_decode(&tr_bpf_list_def, list, &l, err);

	if (rc)
		return rc;
	while (tr_records_next(&l.items, &one)) {
		struct tr_bpf_item i;

		rc = tr_record_decode(&tr_bpf_item_def, one, &i, err);
		if (rc)
			return rc;
		i.id |= TR_BPF_OTHER_BOOT;
		if (i.kind == TR_BPF_LINK)
			i.prog_id |= TR_BPF_OTHER_BOOT;
		tr_records_add(&items, &tr_bpf_item_def, &i);
	}
	if (l.items.n)
		return tr_err_set(err, TR_E_INVALID, "the BPF list is damaged", "BPF list");
	l.items = tr_buf_view(&items);
	tr_record_encode(&tr_bpf_list_def, &l, ret);
	return tr_buf_check(ret, err);
}
