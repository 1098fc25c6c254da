/* SPDX-License-Identifier: Apache-2.0 */
/* Values that many agents share, kept once: image hashes, versions, addresses. Counted, so that an agent which names a
 * new one in each pulse costs one at a time. */
#include "fleet/inner.h"

#define SMALL 16 /* bytes: addresses and versions need no memory of their own */

struct value {
	union {
		uint8_t small[SMALL];
		uint8_t *bytes;
	};
	uint32_t refs, hash, next_free;
	uint16_t n; /* 0: free place */
};

#define PER_SLAB ((uint32_t)(TR_SLAB_LEN / sizeof(struct value)))

struct tr_intern {
	struct value **slabs; /* value 0 is not used: it means "none" */
	uint32_t n, n_slabs, free_at;
	uint32_t *index; /* open addressing, 0: empty; half full at most */
	uint32_t index_cap, used;
	uint32_t seed;
	size_t bytes;
};

static struct value *value_at(const struct tr_intern *t, uint32_t n)
{
	return &t->slabs[n / PER_SLAB][n % PER_SLAB];
}

static struct tr_view view_of(const struct value *v)
{
	return tr_view(v->n <= SMALL ? v->small : v->bytes, v->n);
}

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
		if (value_at(t, i)->n > SMALL)
			free(value_at(t, i)->bytes);
	for (uint32_t i = 0; i < t->n_slabs; i++)
		tr_slab_free(t->slabs[i], TR_SLAB_LEN);
	free(t->slabs);
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
		const struct value *x = value_at(t, t->index[at]);

		if (x->hash == hash && tr_view_eq(view_of(x), v))
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
		uint32_t at = value_at(t, i)->hash & (cap - 1);

		if (!value_at(t, i)->n)
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
		t->free_at = value_at(t, at)->next_free;
		return at;
	}
	if (t->n >= t->n_slabs * PER_SLAB) {
		struct value **grown = realloc(t->slabs, (t->n_slabs + 1) * sizeof(*grown));

		if (!grown)
			return 0;
		t->slabs = grown;
		grown[t->n_slabs] = tr_slab_new(TR_SLAB_LEN, t->n_slabs > 0);
		if (!grown[t->n_slabs])
			return 0;
		t->n_slabs++;
	}
	return t->n++;
}

uint32_t tr_intern(struct tr_intern *t, struct tr_view v)
{
	uint32_t hash, at, place;
	uint8_t *copy = NULL;
	struct value *x;

	if (v.n == 0 || v.n > UINT16_MAX || (t->used * 2 >= t->index_cap && !grow_index(t)))
		return 0;
	hash = hash_of(t, v);
	at = slot_of(t, v, hash);
	if (t->index[at]) {
		value_at(t, t->index[at])->refs++;
		return t->index[at];
	}
	if (v.n > SMALL && !(copy = malloc(v.n)))
		return 0;
	place = new_place(t);
	if (!place) {
		free(copy);
		return 0;
	}
	x = value_at(t, place);
	*x = (struct value){ .refs = 1, .hash = hash, .n = (uint16_t)v.n };
	if (copy)
		x->bytes = copy;
	memcpy(copy ? copy : x->small, v.p, v.n);
	t->index[at] = place;
	t->used++;
	t->bytes += copy ? v.n : 0;
	return place;
}

/* Taken out of open addressing by moving back what would otherwise not be found any more. */
static void unindex(struct tr_intern *t, uint32_t place)
{
	uint32_t mask = t->index_cap - 1, hole = value_at(t, place)->hash & mask, at;

	while (t->index[hole] != place)
		hole = (hole + 1) & mask;
	for (at = (hole + 1) & mask; t->index[at]; at = (at + 1) & mask) {
		uint32_t home = value_at(t, t->index[at])->hash & mask;

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
	struct value *v = n ? value_at(t, n) : NULL;

	if (!v || --v->refs)
		return;
	unindex(t, n);
	if (v->n > SMALL) {
		t->bytes -= v->n;
		free(v->bytes);
	}
	*v = (struct value){ .next_free = t->free_at };
	t->free_at = n;
}

void tr_intern_set(struct tr_intern *t, uint32_t *slot, struct tr_view v)
{
	uint32_t old = *slot, new;

	if (tr_view_eq(tr_interned(t, old), v))
		return;
	new = tr_intern(t, v);
	/* Without memory what was known stays known: an agent without a good image would take the next one for good. */
	if (v.n && !new)
		return;
	*slot = new;
	tr_intern_drop(t, old);
}

struct tr_view tr_interned(const struct tr_intern *t, uint32_t n)
{
	return n && n < t->n ? view_of(value_at(t, n)) : tr_view(NULL, 0);
}

void tr_intern_soon(const struct tr_intern *t, uint32_t n)
{
	if (n < t->n)
		__builtin_prefetch(value_at(t, n));
}

size_t tr_intern_bytes(const struct tr_intern *t)
{
	return t->bytes + t->n * sizeof(struct value) + t->index_cap * sizeof(*t->index);
}
