/* SPDX-License-Identifier: Apache-2.0 */
/* Values that many agents share, kept once: image hashes, versions, addresses. Counted, so that an agent which names a
 * new one in each pulse costs one at a time. */
#include "fleet/inner.h"

struct value {
	uint8_t *bytes; /* NULL: free place */
	uint32_t refs, hash, next_free;
	uint16_t n;
};

struct tr_intern {
	struct value *values; /* 0 is not used: it means "none" */
	uint32_t n, cap, free_at;
	uint32_t *index; /* open addressing, 0: empty; half full at most */
	uint32_t index_cap, used;
	uint32_t seed;
	size_t bytes;
};

struct tr_intern *tr_intern_new(uint64_t seed)
{
	struct tr_intern *t = calloc(1, sizeof(*t));

	if (t) {
		t->n = 1;
		t->seed = (uint32_t)(seed ^ seed >> 32);
	}
	return t;
}

void tr_intern_free(struct tr_intern *t)
{
	if (!t)
		return;
	for (uint32_t i = 1; i < t->n; i++)
		free(t->values[i].bytes);
	free(t->values);
	free(t->index);
	free(t);
}

/* FNV-1a with a seed of this start: strangers choose some of the values. */
static uint32_t hash_of(const struct tr_intern *t, struct tr_view v)
{
	uint32_t h = 2166136261u ^ t->seed;

	for (size_t i = 0; i < v.n; i++)
		h = (h ^ v.p[i]) * 16777619u;
	h ^= h >> 15;
	h *= 0x85ebca6bu;
	return h ^ h >> 13;
}

static uint32_t slot_of(const struct tr_intern *t, struct tr_view v, uint32_t hash)
{
	uint32_t at = hash & (t->index_cap - 1);

	for (; t->index[at]; at = (at + 1) & (t->index_cap - 1)) {
		const struct value *x = &t->values[t->index[at]];

		if (x->hash == hash && tr_view_eq(tr_view(x->bytes, x->n), v))
			break;
	}
	return at;
}

static bool grow_index(struct tr_intern *t)
{
	uint32_t cap = t->index_cap ? t->index_cap * 2 : 64;
	uint32_t *index = calloc(cap, sizeof(*index));

	if (!index)
		return false;
	for (uint32_t i = 1; i < t->n; i++) {
		uint32_t at = t->values[i].hash & (cap - 1);

		if (!t->values[i].bytes)
			continue;
		while (index[at])
			at = (at + 1) & (cap - 1);
		index[at] = i;
	}
	free(t->index);
	t->index = index;
	t->index_cap = cap;
	return true;
}

static uint32_t new_place(struct tr_intern *t)
{
	uint32_t at = t->free_at;

	if (at) {
		t->free_at = t->values[at].next_free;
		return at;
	}
	if (t->n >= t->cap) {
		uint32_t cap = t->cap ? t->cap * 2 : 32;
		struct value *grown = realloc(t->values, cap * sizeof(*grown));

		if (!grown)
			return 0;
		t->values = grown;
		t->cap = cap;
	}
	return t->n++;
}

uint32_t tr_intern(struct tr_intern *t, struct tr_view v)
{
	uint32_t hash, at, place;
	uint8_t *copy;

	if (v.n == 0 || v.n > UINT16_MAX || (t->used * 2 >= t->index_cap && !grow_index(t)))
		return 0;
	hash = hash_of(t, v);
	at = slot_of(t, v, hash);
	if (t->index[at]) {
		t->values[t->index[at]].refs++;
		return t->index[at];
	}
	copy = malloc(v.n);
	place = copy ? new_place(t) : 0;
	if (!place) {
		free(copy);
		return 0;
	}
	memcpy(copy, v.p, v.n);
	t->values[place] = (struct value){ .bytes = copy, .refs = 1, .hash = hash, .n = (uint16_t)v.n };
	t->index[at] = place;
	t->used++;
	t->bytes += v.n;
	return place;
}

/* Taken out of open addressing by moving back what would otherwise not be found any more. */
static void unindex(struct tr_intern *t, uint32_t place)
{
	uint32_t mask = t->index_cap - 1, hole = t->values[place].hash & mask, at;

	while (t->index[hole] != place)
		hole = (hole + 1) & mask;
	for (at = (hole + 1) & mask; t->index[at]; at = (at + 1) & mask) {
		uint32_t home = t->values[t->index[at]].hash & mask;

		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		t->index[hole] = t->index[at];
		hole = at;
	}
	t->index[hole] = 0;
	t->used--;
}

void tr_intern_drop(struct tr_intern *t, uint32_t n)
{
	struct value *v = n ? &t->values[n] : NULL;

	if (!v || --v->refs)
		return;
	unindex(t, n);
	t->bytes -= v->n;
	free(v->bytes);
	*v = (struct value){ .next_free = t->free_at };
	t->free_at = n;
}

void tr_intern_set(struct tr_intern *t, uint32_t *slot, struct tr_view v)
{
	uint32_t old = *slot;

	if (tr_view_eq(tr_interned(t, old), v))
		return;
	*slot = tr_intern(t, v);
	tr_intern_drop(t, old);
}

struct tr_view tr_interned(const struct tr_intern *t, uint32_t n)
{
	return n && n < t->n ? tr_view(t->values[n].bytes, t->values[n].n) : tr_view(NULL, 0);
}

void tr_intern_soon(const struct tr_intern *t, uint32_t n)
{
	if (n < t->n)
		__builtin_prefetch(&t->values[n]);
}

size_t tr_intern_bytes(const struct tr_intern *t)
{
	return t->bytes + t->cap * sizeof(*t->values) + t->index_cap * sizeof(*t->index);
}
