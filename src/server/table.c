/* SPDX-License-Identifier: Apache-2.0 */
#include "server/table.h"

#include "base/slab.h"

#include <stddef.h>

/* ---- places ----
 * Items live in blocks that never move and are named by the number of their first granule, half a pointer. The packed
 * row follows the item; one that grows out of its room moves to the heap, the item stays. */

#define GRANULE 8u
#define BLOCK_GRANULES ((uint32_t)(TR_SLAB_LEN / GRANULE))
#define PLACE_MAX 63u  /* granules of an item with its packed row */
#define PLACE_MIN 4u   /* struct far fits */
#define PLACE_FAR 64u  /* the room says where the row is */
#define PLACE_DEAD 128u /* deleted; still in the order */

struct far {
	uint8_t *p;
	size_t n;
};

/* ---- finding ----
 * Buckets of one cache line: a byte of the hash and the place of twelve items. `passed` counts the items that found the
 * bucket full and went on, so a search stops where nobody did. */

#define SLOTS 12u

struct bucket {
	uint32_t place[SLOTS];
	uint8_t tag[SLOTS];
	uint32_t passed;
};

struct index {
	struct bucket *buckets;
	uint32_t n_buckets;
	uint32_t n;
};

/* ---- values that many rows share ---- */

#define SHARED_MAX 64u       /* bytes of one */
#define SHARED_FIRST 64u     /* so many of a field are kept on trust, after that one per eight uses */
#define SHARED_PER_FIELD 65536u

struct shared {
	const uint8_t *p;
	uint32_t n, hash;
};

struct field_use {
	uint32_t kept;
	uint32_t recent[4]; /* numbers + 1: most rows say what one of those before them said */
	uint64_t used;
};

/* In key order up to `sorted`; the rest as it came. */
struct order {
	uint32_t *place;
	size_t n, sorted, cap, dead;
};

struct tr_table_inner {
	uint64_t k0, k1;
	size_t alt; /* field number, 0: none */
	uint8_t **blocks;
	uint32_t n_blocks, used;             /* granules used of the last block */
	uint32_t free[PLACE_MAX + 1];        /* first free place by size */
	struct index index[2];               /* by key, by second key */
	struct shared *shared;
	uint32_t n_shared, cap_shared;
	uint32_t *shared_at, n_shared_at;    /* open addressing, 0: none, else number + 1 */
	struct field_use *use;
	struct order order;
	struct tr_buf pack;
	size_t far_bytes, shared_bytes, key_bytes;
};

enum { BY_KEY, BY_ALT };
/* Two low bits of a text's or bytes' header. */
enum { HOW_RAW, HOW_SHARED, HOW_HEX, HOW_TAIL /* shared beginning, then own multiples of 32 bytes */ };

/* SipHash-1-3: ids are chosen by strangers, who must not be able to choose collisions. */
#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTL(v[1], 13) ^ v[0];
	v[0] = ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTL(v[1], 17) ^ v[2];
	v[2] = ROTL(v[2], 32);
}

static uint64_t hash_of(const struct tr_table_inner *in, struct tr_view key)
{
	uint64_t v[4] = { in->k0 ^ 0x736f6d6570736575u, in->k1 ^ 0x646f72616e646f6du, in->k0 ^ 0x6c7967656e657261u,
			  in->k1 ^ 0x7465646279746573u };
	uint64_t last = (uint64_t)key.n << 56, m;
	size_t at = 0;

	for (; key.n - at >= 8; at += 8) {
		memcpy(&m, key.p + at, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	for (size_t i = 0; at + i < key.n; i++)
		last |= (uint64_t)key.p[at + i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- items ---- */

static struct tr_item *item_at(const struct tr_table_inner *in, uint32_t place)
{
	return (struct tr_item *)(void *)(in->blocks[place / BLOCK_GRANULES] +
					  (size_t)(place % BLOCK_GRANULES) * GRANULE);
}

static const uint8_t *packed_of(const struct tr_item *i)
{
	struct far far;

	if (!(i->place & PLACE_FAR))
		return (const uint8_t *)(i + 1);
	memcpy(&far, i + 1, sizeof(far));
	return far.p;
}

static uint64_t take_number(const uint8_t **p)
{
	uint64_t v = 0;
	unsigned shift = 0;

	while (**p & 0x80) {
		v |= (uint64_t)(*(*p)++ & 0x7f) << shift;
		shift += 7;
	}
	return v | (uint64_t)*(*p)++ << shift;
}

static struct tr_view take_bytes(const uint8_t **p)
{
	size_t n = (size_t)take_number(p);
	struct tr_view v = tr_view(*p, n);

	*p += n;
	return v;
}

/* Both keys come first and plain, whatever their place among the fields. */
static struct tr_view key_of(const struct tr_item *i, int which)
{
	const uint8_t *p = packed_of(i);
	struct tr_view key = take_bytes(&p);

	return which == BY_KEY ? key : take_bytes(&p);
}

struct tr_view tr_item_key(const struct tr_item *i)
{
	return key_of(i, BY_KEY);
}

struct tr_view tr_item_alt(const struct tr_item *i)
{
	return key_of(i, BY_ALT);
}

static bool fits_beside(size_t n, unsigned granules)
{
	return sizeof(struct tr_item) + n <= (size_t)granules * GRANULE;
}

/* A place for an item with a row of n bytes; 0: out of memory. */
static uint32_t new_place(struct tr_table_inner *in, size_t n)
{
	size_t bytes = fits_beside(n, PLACE_MAX) ? sizeof(struct tr_item) + n : 0;
	uint32_t want = (uint32_t)((bytes + GRANULE - 1) / GRANULE), place;

	want = want < PLACE_MIN ? PLACE_MIN : want;
	place = in->free[want];
	if (place) {
		memcpy(&in->free[want], item_at(in, place), sizeof(uint32_t));
	} else {
		if (!in->n_blocks || in->used + want > BLOCK_GRANULES) {
			uint8_t **grown = realloc(in->blocks, (in->n_blocks + 1) * sizeof(*grown));

			if (!grown)
				return 0;
			in->blocks = grown;
			grown[in->n_blocks] = tr_slab_new(TR_SLAB_LEN, in->n_blocks > 0);
			if (!grown[in->n_blocks])
				return 0;
			in->n_blocks++;
			in->used = in->n_blocks == 1; /* place 0 means none */
		}
		place = (in->n_blocks - 1) * BLOCK_GRANULES + in->used;
		in->used += want;
	}
	*item_at(in, place) = (struct tr_item){ .no = UINT32_MAX, .place = (uint8_t)want };
	return place;
}

static void forget_far(struct tr_table_inner *in, struct tr_item *i)
{
	struct far far;

	if (!(i->place & PLACE_FAR))
		return;
	memcpy(&far, i + 1, sizeof(far));
	free(far.p);
	in->far_bytes -= far.n;
	i->place &= (uint8_t)~PLACE_FAR;
}

static void free_place(struct tr_table_inner *in, uint32_t place)
{
	struct tr_item *i = item_at(in, place);
	unsigned room = i->place & PLACE_MAX;

	forget_far(in, i);
	memcpy(i, &in->free[room], sizeof(uint32_t));
	in->free[room] = place;
}

/* ---- the indexes ---- */

static uint32_t home_of(const struct index *x, uint64_t hash)
{
	return (uint32_t)(((hash >> 32) * x->n_buckets) >> 32);
}

/* The row behind it comes in while the key is compared. */
static bool is_key(const struct tr_item *i, int which, struct tr_view key)
{
	for (size_t at = 64; at <= 192; at += 64)
		__builtin_prefetch((const char *)i + at);
	return tr_view_eq(key_of(i, which), key);
}

static uint32_t find(const struct tr_table_inner *in, int which, struct tr_view key)
{
	const struct index *x = &in->index[which];
	uint64_t hash;
	uint32_t at;

	if (!x->n)
		return 0;
	hash = hash_of(in, key);
	at = home_of(x, hash);
	for (;;) {
		const struct bucket *b = &x->buckets[at];

		for (unsigned s = 0; s < SLOTS; s++)
			if (b->place[s] && b->tag[s] == (uint8_t)hash && is_key(item_at(in, b->place[s]), which, key))
				return b->place[s];
		if (!b->passed)
			return 0;
		at = at + 1 == x->n_buckets ? 0 : at + 1;
	}
}

static void insert(struct index *x, uint64_t hash, uint32_t place)
{
	uint32_t at = home_of(x, hash);

	for (;; at = at + 1 == x->n_buckets ? 0 : at + 1) {
		struct bucket *b = &x->buckets[at];

		for (unsigned s = 0; s < SLOTS; s++)
			if (!b->place[s]) {
				b->place[s] = place;
				b->tag[s] = (uint8_t)hash;
				x->n++;
				return;
			}
		b->passed++;
	}
}

/* Few buckets come from the heap, many from slabs. */
static size_t buckets_len(uint32_t n)
{
	size_t len = n * sizeof(struct bucket);

	return len < TR_SLAB_LEN ? len : (len + TR_SLAB_LEN - 1) / TR_SLAB_LEN * TR_SLAB_LEN;
}

static struct bucket *new_buckets(uint32_t n)
{
	size_t len = buckets_len(n);
	struct bucket *b = len < TR_SLAB_LEN ? aligned_alloc(sizeof(*b), len) : tr_slab_new(len, true);

	if (b && len < TR_SLAB_LEN)
		memset(b, 0, len);
	return b;
}

static void free_buckets(struct index *x)
{
	if (buckets_len(x->n_buckets) < TR_SLAB_LEN)
		free(x->buckets);
	else
		tr_slab_free(x->buckets, buckets_len(x->n_buckets));
}

/* Room for one more; small steps, because each bucket is memory and nobody waits for the copying of a few. */
static bool make_room(struct tr_table_inner *in, int which)
{
	struct index *x = &in->index[which];
	struct index grown = { 0 };

	if ((uint64_t)(x->n + 1) * 6 <= (uint64_t)x->n_buckets * SLOTS * 5)
		return true;
	grown.n_buckets = x->n_buckets + x->n_buckets / 4 + 4;
	grown.buckets = new_buckets(grown.n_buckets);
	if (!grown.buckets)
		return false;
	for (uint32_t at = 0; at < x->n_buckets; at++) {
		/* The items of the bucket after the next are fetched meanwhile: each lies somewhere else. */
		for (unsigned s = 0; s < SLOTS && at + 2 < x->n_buckets; s++)
			if (x->buckets[at + 2].place[s])
				__builtin_prefetch((const char *)item_at(in, x->buckets[at + 2].place[s]) +
						   (which == BY_ALT ? 40 : 0));
		for (unsigned s = 0; s < SLOTS; s++)
			if (x->buckets[at].place[s])
				insert(&grown, hash_of(in, key_of(item_at(in, x->buckets[at].place[s]), which)),
				       x->buckets[at].place[s]);
	}
	free_buckets(x);
	*x = grown;
	return true;
}

static void drop(struct tr_table_inner *in, int which, struct tr_view key, uint32_t place)
{
	struct index *x = &in->index[which];
	uint32_t home = home_of(x, hash_of(in, key)), at = home;

	for (;;) {
		struct bucket *b = &x->buckets[at];

		for (unsigned s = 0; s < SLOTS; s++) {
			if (b->place[s] != place)
				continue;
			b->place[s] = 0;
			x->n--;
			for (; home != at; home = home + 1 == x->n_buckets ? 0 : home + 1)
				x->buckets[home].passed--;
			return;
		}
		at = at + 1 == x->n_buckets ? 0 : at + 1;
	}
}

/* ---- packing ---- */

static void add_number(struct tr_buf *b, uint64_t v)
{
	uint8_t out[10];
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	tr_buf_add(b, out, n);
}

static bool grow_shared(struct tr_table_inner *in)
{
	uint32_t n = in->n_shared_at ? in->n_shared_at * 2 : 256;
	struct shared *list;
	uint32_t *at;

	if (in->n_shared == in->cap_shared) {
		list = realloc(in->shared, (in->cap_shared + 128) * sizeof(*list));
		if (!list)
			return false;
		in->shared = list;
		in->cap_shared += 128;
	}
	if ((in->n_shared + 1) * 2 <= in->n_shared_at)
		return true;
	at = calloc(n, sizeof(*at));
	if (!at)
		return false;
	for (uint32_t k = 0; k < in->n_shared; k++) {
		uint32_t s = in->shared[k].hash & (n - 1);

		while (at[s])
			s = (s + 1) & (n - 1);
		at[s] = k + 1;
	}
	free(in->shared_at);
	in->shared_at = at;
	in->n_shared_at = n;
	return true;
}

/* The number of a value that is kept once for all rows. Values are never forgotten, so a field earns its right to keep
 * more of them by using those that it has: what differs in every row stays in the rows. */
static bool share(struct tr_table_inner *in, struct field_use *use, struct tr_view v, uint32_t *ret)
{
	uint32_t hash, s;
	uint8_t *copy;

	for (s = 0; s < TR_ARRAY_LEN(use->recent); s++) {
		const struct shared *have = use->recent[s] ? &in->shared[use->recent[s] - 1] : NULL;

		if (!have || have->n != v.n || memcmp(have->p, v.p, v.n) != 0)
			continue;
		use->used++;
		*ret = use->recent[s] - 1;
		return true;
	}
	hash = (uint32_t)hash_of(in, v);
	for (s = hash & (in->n_shared_at - 1); in->n_shared_at && in->shared_at[s]; s = (s + 1) & (in->n_shared_at - 1)) {
		const struct shared *have = &in->shared[in->shared_at[s] - 1];

		if (have->hash == hash && tr_view_eq(tr_view(have->p, have->n), v)) {
			use->recent[use->used++ % TR_ARRAY_LEN(use->recent)] = in->shared_at[s];
			*ret = in->shared_at[s] - 1;
			return true;
		}
	}
	if (use->kept >= SHARED_FIRST + use->used / 8 || use->kept >= SHARED_PER_FIELD || !grow_shared(in))
		return false;
	copy = malloc(v.n);
	if (!copy)
		return false;
	memcpy(copy, v.p, v.n);
	for (s = hash & (in->n_shared_at - 1); in->shared_at[s]; s = (s + 1) & (in->n_shared_at - 1))
		;
	in->shared[in->n_shared] = (struct shared){ .p = copy, .n = (uint32_t)v.n, .hash = hash };
	in->shared_at[s] = ++in->n_shared;
	in->shared_bytes += v.n + 16;
	use->recent[use->kept++ % TR_ARRAY_LEN(use->recent)] = in->n_shared;
	*ret = in->n_shared - 1;
	return true;
}

static bool is_lower_hex(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (!((v.p[i] >= '0' && v.p[i] <= '9') || (v.p[i] >= 'a' && v.p[i] <= 'f')))
			return false;
	return v.n % 2 == 0;
}

static unsigned nibble(uint8_t c)
{
	return c <= '9' ? c - 48u : c - 87u;
}

/* *room: what unpacking will need of the caller's room, so far. */
static void pack_view(struct tr_table_inner *in, const struct tr_field *f, struct field_use *use, struct tr_view v,
		      size_t *room)
{
	struct tr_buf *b = &in->pack;
	bool text = f->type != TR_F_BYTES && f->type != TR_F_HEX, fits = *room + v.n <= TR_ROW_ROOM;
	uint32_t no;

	if (text && f->max <= SHARED_MAX && v.n >= 16 && fits && is_lower_hex(v)) {
		*room += v.n;
		add_number(b, (uint64_t)v.n / 2 << 2 | HOW_HEX);
		for (size_t i = 0; i < v.n; i += 2)
			tr_buf_add8(b, (uint8_t)(nibble(v.p[i]) << 4 | nibble(v.p[i + 1])));
		return;
	}
	/* A public key: the algorithm in front is everybody's. */
	if (f->type == TR_F_BYTES && v.n > 36 && v.n <= 128 && v.n % 32 >= 4 && fits &&
	    share(in, use, tr_view(v.p, v.n % 32), &no)) {
		*room += v.n;
		add_number(b, (uint64_t)no << 2 | HOW_TAIL);
		tr_buf_add8(b, (uint8_t)(v.n / 32));
		tr_buf_add(b, v.p + v.n % 32, v.n - v.n % 32);
		return;
	}
	if (v.n >= 2 && v.n <= SHARED_MAX && share(in, use, v, &no)) {
		add_number(b, (uint64_t)no << 2 | HOW_SHARED);
		return;
	}
	add_number(b, (uint64_t)v.n << 2 | HOW_RAW);
	tr_buf_addv(b, v);
}

static struct tr_view view_at(const void *row, size_t off)
{
	struct tr_view v;

	memcpy(&v, (const char *)row + off, sizeof(v));
	return v;
}

static uint64_t number_at(const struct tr_field *f, const void *row)
{
	const void *p = (const char *)row + f->off;
	int64_t i;

	switch (f->type) {
	case TR_F_BOOL: return *(const bool *)p;
	case TR_F_U64: return *(const uint64_t *)p;
	default: /* signed: small ones of both signs are short */
		memcpy(&i, p, sizeof(i));
		return (uint64_t)i << 1 ^ (uint64_t)(i < 0 ? -1 : 0);
	}
}

/* Into in->pack; false: damaged, or out of memory. */
static bool pack(const struct tr_table_mem *t, const void *row)
{
	struct tr_table_inner *in = t->in;
	size_t room = 0;

	tr_buf_clear(&in->pack);
	for (size_t k = 0; k < t->def->n; k++) {
		const struct tr_field *f = &t->def->fields[k];

		if (f->type >= TR_F_TEXT && view_at(row, f->off).n > f->max)
			return false;
	}
	if (!view_at(row, t->def->fields[0].off).n)
		return false;
	for (size_t k = 0; k < (in->alt ? 2 : 1); k++) {
		struct tr_view v = view_at(row, t->def->fields[k ? in->alt : 0].off);

		add_number(&in->pack, v.n);
		tr_buf_addv(&in->pack, v);
	}
	for (size_t k = 1; k < t->def->n; k++) {
		const struct tr_field *f = &t->def->fields[k];

		if (k == in->alt)
			continue;
		if (f->type >= TR_F_TEXT)
			pack_view(in, f, &in->use[k], view_at(row, f->off), &room);
		else
			add_number(&in->pack, number_at(f, row));
	}
	return tr_buf_ok(&in->pack);
}

static struct tr_view unpack_view(const struct tr_table_inner *in, const uint8_t **p, char **room)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t head = take_number(p);
	size_t n = (size_t)(head >> 2);
	const struct shared *s;
	struct tr_view v;

	switch (head & 3) {
	case HOW_SHARED: return tr_view(in->shared[n].p, in->shared[n].n);
	case HOW_HEX:
		v = tr_view(*room, n * 2);
		for (size_t i = 0; i < n; i++) {
			*(*room)++ = digits[**p >> 4];
			*(*room)++ = digits[*(*p)++ & 15];
		}
		return v;
	case HOW_TAIL:
		s = &in->shared[n];
		n = *(*p)++ * 32u;
		v = tr_view(*room, s->n + n);
		memcpy(*room, s->p, s->n);
		memcpy(*room + s->n, *p, n);
		*room += s->n + n;
		*p += n;
		return v;
	default:
		v = tr_view(*p, n);
		*p += n;
		return v;
	}
}

const void *tr_item_row(const struct tr_table_mem *t, const struct tr_item *i, struct tr_row_room *room)
{
	const struct tr_table_inner *in = t->in;
	const uint8_t *p;
	char *text;

	if (!i)
		return NULL;
	p = packed_of(i);
	text = room->text;
	for (size_t k = 0; k < (in->alt ? 2 : 1); k++) {
		struct tr_view v = take_bytes(&p);

		memcpy((char *)&room->row + t->def->fields[k ? in->alt : 0].off, &v, sizeof(v));
	}
	for (size_t k = 1; k < t->def->n; k++) {
		const struct tr_field *f = &t->def->fields[k];
		void *to = (char *)&room->row + f->off;
		struct tr_view v;
		uint64_t n;

		if (k == in->alt)
			continue;
		if (f->type >= TR_F_TEXT) {
			v = unpack_view(in, &p, &text);
			memcpy(to, &v, sizeof(v));
			continue;
		}
		n = take_number(&p);
		if (f->type == TR_F_BOOL) {
			*(bool *)to = n != 0;
			continue;
		}
		if (f->type != TR_F_U64)
			n = n >> 1 ^ (0 - (n & 1));
		memcpy(to, &n, sizeof(n));
	}
	return &room->row;
}

/* ---- key order ---- */

/* Shorter sorts first only when it is a prefix: plain bytewise order, as the databases have it. */
static int cmp(struct tr_view a, struct tr_view b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int cmp_places(const void *a, const void *b, void *in)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return cmp(key_of(item_at(in, x), BY_KEY), key_of(item_at(in, y), BY_KEY));
}

/* First of the first n positions whose key is greater. */
static size_t upper(const struct tr_table_inner *in, size_t n, struct tr_view key)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cmp(key_of(item_at(in, in->order.place[mid]), BY_KEY), key) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void bury(struct tr_table_inner *in)
{
	struct order *o = &in->order;
	size_t to = 0, sorted = 0;

	for (size_t k = 0; k < o->n; k++) {
		if (item_at(in, o->place[k])->place & PLACE_DEAD) {
			free_place(in, o->place[k]);
			continue;
		}
		o->place[to++] = o->place[k];
		if (k < o->sorted)
			sorted = to;
	}
	o->n = to;
	o->sorted = sorted;
	o->dead = 0;
}

/* The new ones are sorted among themselves, then let in from the end: each moves what is greater once. */
static void put_in_order(struct tr_table_inner *in)
{
	struct order *o = &in->order;
	size_t fresh, end;
	uint32_t *tail;

	if (o->dead)
		bury(in);
	fresh = o->n - o->sorted;
	if (!fresh)
		return;
	qsort_r(o->place + o->sorted, fresh, sizeof(*o->place), cmp_places, in);
	tail = malloc(fresh * sizeof(*tail));
	if (!tail) { /* slower, and right */
		qsort_r(o->place, o->n, sizeof(*o->place), cmp_places, in);
		o->sorted = o->n;
		return;
	}
	memcpy(tail, o->place + o->sorted, fresh * sizeof(*tail));
	end = o->sorted;
	while (fresh) {
		size_t at = upper(in, end, key_of(item_at(in, tail[fresh - 1]), BY_KEY));

		memmove(o->place + at + fresh, o->place + at, (end - at) * sizeof(*tail));
		o->place[at + fresh - 1] = tail[fresh - 1];
		end = at;
		fresh--;
	}
	free(tail);
	o->sorted = o->n;
}

static bool make_order_room(struct order *o)
{
	size_t cap = o->cap + o->cap / 8 + 64;
	uint32_t *grown;

	if (o->n < o->cap)
		return true;
	grown = realloc(o->place, cap * sizeof(*grown));
	if (!grown)
		return false;
	o->place = grown;
	o->cap = cap;
	return true;
}

/* Loading comes in key order: then nothing is left to sort. */
static void add_to_order(struct tr_table_inner *in, uint32_t place)
{
	struct order *o = &in->order;

	o->place[o->n++] = place;
	if (o->sorted == o->n - 1 && (!o->sorted || cmp_places(&o->place[o->n - 2], &o->place[o->n - 1], in) < 0))
		o->sorted = o->n;
}

size_t tr_table_after(const struct tr_table_mem *t, struct tr_view after)
{
	put_in_order(t->in);
	return after.n ? upper(t->in, t->in->order.n, after) : 0;
}

size_t tr_table_end(const struct tr_table_mem *t)
{
	return t->in->order.n;
}

struct tr_item *tr_table_at(const struct tr_table_mem *t, size_t position)
{
	const struct order *o = &t->in->order;
	struct tr_item *i = position < o->n ? item_at(t->in, o->place[position]) : NULL;

	return i && !(i->place & PLACE_DEAD) ? i : NULL;
}

struct tr_item *tr_table_next(const struct tr_table_mem *t, size_t *position)
{
	while (*position < tr_table_end(t)) {
		struct tr_item *i = tr_table_at(t, (*position)++);

		if (i)
			return i;
	}
	return NULL;
}

/* ---- the table ---- */

bool tr_table_init(struct tr_table_mem *t, const struct tr_record *def, size_t alt_off, const uint8_t seed[16])
{
	struct tr_table_inner *in = calloc(1, sizeof(*in));

	*t = (struct tr_table_mem){ .def = def, .in = in };
	if (!in)
		return false;
	in->use = calloc(def->n, sizeof(*in->use));
	if (!in->use) {
		tr_table_done(t);
		return false;
	}
	memcpy(&in->k0, seed, 8);
	memcpy(&in->k1, seed + 8, 8);
	for (size_t k = 1; k < def->n && alt_off; k++)
		if (def->fields[k].off == alt_off)
			in->alt = k;
	return true;
}

void tr_table_done(struct tr_table_mem *t)
{
	struct tr_table_inner *in = t->in;

	if (in) {
		for (size_t k = 0; k < in->order.n; k++)
			forget_far(in, item_at(in, in->order.place[k]));
		for (uint32_t k = 0; k < in->n_blocks; k++)
			tr_slab_free(in->blocks[k], TR_SLAB_LEN);
		for (uint32_t k = 0; k < in->n_shared; k++)
			free((void *)(uintptr_t)in->shared[k].p);
		free(in->blocks);
		free(in->shared);
		free(in->shared_at);
		free_buckets(&in->index[BY_KEY]);
		free_buckets(&in->index[BY_ALT]);
		free(in->order.place);
		free(in->use);
		tr_buf_done(&in->pack);
		free(in);
	}
	*t = (struct tr_table_mem){ 0 };
}

struct tr_item *tr_table_get(const struct tr_table_mem *t, struct tr_view key)
{
	uint32_t place = find(t->in, BY_KEY, key);

	return place ? item_at(t->in, place) : NULL;
}

void tr_table_soon(const struct tr_table_mem *t, struct tr_view key)
{
	const struct index *x = &t->in->index[BY_KEY];

	if (x->n)
		__builtin_prefetch(&x->buckets[home_of(x, hash_of(t->in, key))]);
}

struct tr_item *tr_table_get_alt(const struct tr_table_mem *t, struct tr_view alt)
{
	uint32_t place = t->in->alt && alt.n ? find(t->in, BY_ALT, alt) : 0;

	return place ? item_at(t->in, place) : NULL;
}

/* Puts the packed row behind the item. far: memory for it when it does not fit there. */
static void set_row(struct tr_table_inner *in, struct tr_item *i, uint8_t *far)
{
	struct far to = { far, in->pack.n };

	forget_far(in, i);
	memcpy(far ? far : (uint8_t *)(i + 1), in->pack.p, in->pack.n);
	if (!far)
		return;
	memcpy(i + 1, &to, sizeof(to));
	i->place |= PLACE_FAR;
	in->far_bytes += to.n;
}

static struct tr_item *replace(struct tr_table_mem *t, uint32_t place, struct tr_view alt)
{
	struct tr_table_inner *in = t->in;
	struct tr_item *i = item_at(in, place);
	struct tr_view was = in->alt ? key_of(i, BY_ALT) : tr_view(NULL, 0);
	bool moves = !tr_view_eq(was, alt);
	uint8_t *far = NULL;

	if (!fits_beside(in->pack.n, i->place & PLACE_MAX) && !(far = malloc(in->pack.n)))
		return NULL;
	if (moves && alt.n && !make_room(in, BY_ALT)) {
		free(far);
		return NULL;
	}
	if (moves && was.n)
		drop(in, BY_ALT, was, place);
	set_row(in, i, far);
	if (moves && alt.n)
		insert(&in->index[BY_ALT], hash_of(in, key_of(i, BY_ALT)), place);
	return i;
}

static struct tr_item *add(struct tr_table_mem *t, struct tr_view key, struct tr_view alt)
{
	struct tr_table_inner *in = t->in;
	size_t n = in->pack.n;
	uint8_t *far = NULL;
	uint32_t place;

	if (in->order.dead > 64 + t->n / 2)
		bury(in);
	if (!make_room(in, BY_KEY) || (alt.n && !make_room(in, BY_ALT)) || !make_order_room(&in->order))
		return NULL;
	if (!fits_beside(n, PLACE_MAX) && !(far = malloc(n)))
		return NULL;
	place = new_place(in, n);
	if (!place) {
		free(far);
		return NULL;
	}
	set_row(in, item_at(in, place), far);
	insert(&in->index[BY_KEY], hash_of(in, key), place);
	if (alt.n)
		insert(&in->index[BY_ALT], hash_of(in, alt), place);
	add_to_order(in, place);
	in->key_bytes += key.n;
	t->n++;
	return item_at(in, place);
}

struct tr_item *tr_table_put(struct tr_table_mem *t, const void *row)
{
	struct tr_view key, alt;
	const uint8_t *p;
	uint32_t place;

	if (!pack(t, row))
		return NULL;
	/* As they stand in the packed copy: row may borrow from the very item that is about to change. */
	p = t->in->pack.p;
	key = take_bytes(&p);
	alt = t->in->alt ? take_bytes(&p) : tr_view(NULL, 0);
	place = find(t->in, BY_KEY, key);
	return place ? replace(t, place, alt) : add(t, key, alt);
}

void tr_table_del(struct tr_table_mem *t, struct tr_view key)
{
	struct tr_table_inner *in = t->in;
	uint32_t place = find(in, BY_KEY, key);
	struct tr_item *i = place ? item_at(in, place) : NULL;
	struct tr_view alt;

	if (!i)
		return;
	alt = in->alt ? key_of(i, BY_ALT) : tr_view(NULL, 0);
	if (alt.n)
		drop(in, BY_ALT, alt, place);
	in->key_bytes -= key.n;
	drop(in, BY_KEY, key, place);
	/* Its key is still needed where it stands in the order, and somebody may be going through that just now. */
	i->place |= PLACE_DEAD;
	in->order.dead++;
	t->n--;
}

size_t tr_table_bytes(const struct tr_table_mem *t, size_t *ret_keys)
{
	const struct tr_table_inner *in = t->in;

	*ret_keys = in->key_bytes;
	return sizeof(*in) + (in->n_blocks ? in->n_blocks - 1 : 0) * TR_SLAB_LEN + in->used * GRANULE + in->far_bytes +
	       in->shared_bytes +
	       buckets_len(in->index[BY_KEY].n_buckets) + buckets_len(in->index[BY_ALT].n_buckets) +
	       in->order.cap * sizeof(*in->order.place) + in->cap_shared * sizeof(*in->shared) +
	       in->n_shared_at * sizeof(*in->shared_at);
}
