/* SPDX-License-Identifier: Apache-2.0 */
#include "server/table.h"

void tr_table_init(struct tr_table_mem *t, const struct tr_record *def, size_t alt_off)
{
	*t = (struct tr_table_mem){ .def = def, .alt_off = alt_off };
}

static struct tr_item *item_free(struct tr_item *i)
{
	if (i) {
		tr_buf_done(&i->bytes);
		free(i->row);
		free(i);
	}
	return NULL;
}

void tr_table_done(struct tr_table_mem *t)
{
	for (size_t i = 0; i < t->n; i++)
		(void)item_free(t->by_key[i]);
	free(t->by_key);
	free(t->by_alt);
	*t = (struct tr_table_mem){ 0 };
}

static struct tr_view key_at(const struct tr_item *i, size_t off)
{
	struct tr_view v;

	memcpy(&v, (const char *)i->row + off, sizeof(v));
	return v;
}

/* Shorter sorts first only when it is a prefix: plain bytewise order, as the databases have it. */
static int cmp(struct tr_view a, struct tr_view b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* First position whose key is >= key (or > key). */
static size_t lower(struct tr_item *const *v, size_t n, size_t off, struct tr_view key, bool past)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = cmp(key_at(v[mid], off), key);

		if (c < 0 || (past && c == 0))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct tr_item *find(struct tr_item *const *v, size_t n, size_t off, struct tr_view key)
{
	size_t at = lower(v, n, off, key, false);

	return at < n && cmp(key_at(v[at], off), key) == 0 ? v[at] : NULL;
}

struct tr_item *tr_table_get(const struct tr_table_mem *t, struct tr_view key)
{
	return find(t->by_key, t->n, t->def->fields[0].off, key);
}

struct tr_item *tr_table_get_alt(const struct tr_table_mem *t, struct tr_view alt)
{
	return t->alt_off && alt.n ? find(t->by_alt, t->n_alt, t->alt_off, alt) : NULL;
}

size_t tr_table_after(const struct tr_table_mem *t, struct tr_view after)
{
	return after.n ? lower(t->by_key, t->n, t->def->fields[0].off, after, true) : 0;
}

static bool add(struct tr_item ***v, size_t *n, size_t *cap, size_t off, struct tr_item *item)
{
	size_t at;

	if (*n == *cap) {
		size_t want = *cap ? *cap * 2 : 64;
		struct tr_item **grown = realloc(*v, want * sizeof(**v));

		if (!grown)
			return false;
		*v = grown;
		*cap = want;
	}
	at = lower(*v, *n, off, key_at(item, off), true);
	memmove(*v + at + 1, *v + at, (*n - at) * sizeof(**v));
	(*v)[at] = item;
	(*n)++;
	return true;
}

static void drop(struct tr_item **v, size_t *n, const struct tr_item *item, size_t off)
{
	for (size_t at = lower(v, *n, off, key_at(item, off), false); at < *n; at++) {
		if (v[at] != item)
			continue;
		memmove(v + at, v + at + 1, (*n - at - 1) * sizeof(*v));
		(*n)--;
		return;
	}
}

struct tr_item *tr_table_put(struct tr_table_mem *t, const void *row)
{
	struct tr_item *fresh = calloc(1, sizeof(*fresh));
	struct tr_item *old;
	struct tr_err err;

	if (!fresh)
		return NULL;
	fresh->row = calloc(1, t->def->size);
	tr_record_encode(t->def, row, &fresh->bytes);
	if (!fresh->row || !tr_buf_ok(&fresh->bytes) ||
	    tr_record_decode(t->def, tr_buf_view(&fresh->bytes), fresh->row, &err))
		return item_free(fresh);

	old = tr_table_get(t, key_at(fresh, t->def->fields[0].off));
	if (old) {
		/* Same key: the item stays where it is (others point at it), only its content moves. */
		struct tr_buf bytes = old->bytes;
		void *was = old->row;

		if (t->alt_off && key_at(old, t->alt_off).n)
			drop(t->by_alt, &t->n_alt, old, t->alt_off);
		old->bytes = fresh->bytes;
		old->row = fresh->row;
		fresh->bytes = bytes;
		fresh->row = was;
		(void)item_free(fresh);
	} else {
		old = fresh;
		if (!add(&t->by_key, &t->n, &t->cap, t->def->fields[0].off, old))
			return item_free(old);
	}
	if (t->alt_off && key_at(old, t->alt_off).n)
		(void)add(&t->by_alt, &t->n_alt, &t->cap_alt, t->alt_off, old);
	return old;
}

void tr_table_del(struct tr_table_mem *t, struct tr_view key)
{
	struct tr_item *i = tr_table_get(t, key);

	if (!i)
		return;
	if (t->alt_off && key_at(i, t->alt_off).n)
		drop(t->by_alt, &t->n_alt, i, t->alt_off);
	drop(t->by_key, &t->n, i, t->def->fields[0].off);
	(void)item_free(i);
}
