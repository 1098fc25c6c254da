/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's memory against a naive one: the same random changes in both, the same answers from both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/slab.h"

/* The table's own allocations, so that any of them can fail. */
static unsigned long allocations, fail_at;

static bool fails(void)
{
	return ++allocations == fail_at;
}

static void *t_malloc(size_t n)
{
	return fails() ? NULL : malloc(n);
}

static void *t_calloc(size_t n, size_t size)
{
	return fails() ? NULL : calloc(n, size);
}

static void *t_realloc(void *p, size_t n)
{
	return fails() ? NULL : realloc(p, n);
}

static void *t_aligned_alloc(size_t a, size_t n)
{
	return fails() ? NULL : aligned_alloc(a, n);
}

static void *t_slab_new(size_t n, bool huge)
{
	return fails() ? NULL : tr_slab_new(n, huge);
}

#define tr_slab_new t_slab_new
#define malloc t_malloc
#define calloc t_calloc
#define realloc t_realloc
#define aligned_alloc t_aligned_alloc
#include "server/table.c" /* NOLINT(bugprone-suspicious-include): its allocators are the test's */
#undef tr_slab_new
#undef malloc
#undef calloc
#undef realloc
#undef aligned_alloc

#include <stdio.h>

static const uint8_t seed[16] = "0123456789abcde";

static uint64_t state_of_chance;
static uint32_t chance(uint32_t n)
{
	state_of_chance = state_of_chance * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((state_of_chance >> 33) % n);
}

/* ---- the naive memory ---- */

enum { IDS = 700, TEXT = 96 };

struct naive {
	bool there;
	char id[TEXT], partition[TEXT], version[TEXT], source[TEXT], serial[TEXT], why[260];
	uint8_t key_id[32], spki[400], hash[32];
	size_t n_key, n_spki, n_serial, n_why;
	int64_t enrolled, until;
	uint64_t epoch;
	struct tr_item *item;
	uint16_t reserved;
	uint32_t no;
};

static struct naive world[IDS];

static void fill(struct naive *w, unsigned k)
{
	static const size_t spki[] = { 44, 91, 294, 0, 36, 37, 128, 129, 400 };

	/* Prefixes of each other, short and long ones, all different. */
	(void)snprintf(w->id, TEXT, "%.*s%u", (int)(k % 50), "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee", k);
	(void)snprintf(w->partition, TEXT, "p%u", chance(5));
	(void)snprintf(w->version, TEXT, "1.%u.0", chance(3) ? chance(4) : chance(100000));
	(void)snprintf(w->source, TEXT, "10.%u.%u.%u", chance(256), chance(256), chance(256));
	w->n_serial = chance(4) ? 40 : chance(65);
	for (size_t i = 0; i < w->n_serial; i++)
		w->serial[i] = "0123456789abcdef"[chance(16)];
	if (w->n_serial && !chance(5))
		w->serial[chance((uint32_t)w->n_serial)] = 'G'; /* not hex after all */
	w->n_why = chance(10) ? 0 : chance(256);
	memset(w->why, 'y', w->n_why);
	w->n_key = chance(10) ? 32 : 0;
	for (size_t i = 0; i < 32; i++)
		w->key_id[i] = (uint8_t)chance(256);
	w->n_spki = spki[chance(TR_ARRAY_LEN(spki))];
	for (size_t i = 0; i < w->n_spki; i++)
		w->spki[i] = i < w->n_spki % 32 ? (uint8_t)w->n_spki : (uint8_t)chance(256);
	memset(w->hash, (int)chance(6), 32);
	w->enrolled = chance(3) ? 1790000000000 + chance(1000000) : chance(2) ? 0 : INT64_MIN + chance(3);
	w->until = chance(2) ? -(int64_t)chance(100000) : INT64_MAX - chance(3);
	w->epoch = chance(3) ? 1 : UINT64_MAX - chance(3);
}

static struct tr_agent_row row_of(const struct naive *w)
{
	return (struct tr_agent_row){
		.id = tr_view_str(w->id),
		.partition = tr_view_str(w->partition),
		.state = TR_VIEW_LIT("active"),
		.key_id = tr_view(w->key_id, w->n_key),
		.spki = tr_view(w->spki, w->n_spki),
		.binary_hash = TR_VIEW_ARRAY(w->hash),
		.version = tr_view_str(w->version),
		.source = tr_view_str(w->source),
		.enrolled_at = w->enrolled,
		.cert_serial = tr_view(w->serial, w->n_serial),
		.cert_not_after = w->until,
		.end_reason = tr_view(w->why, w->n_why),
		.epoch = w->epoch,
	};
}

static void same_row(const struct tr_table_mem *t, const struct naive *w)
{
	struct tr_row_room room;
	const struct tr_agent_row *got = tr_item_row(t, w->item, &room);
	struct tr_agent_row want = row_of(w);

	for (size_t i = 0; i < tr_agent_def.n; i++) {
		const struct tr_field *f = &tr_agent_def.fields[i];
		struct tr_view a, b;

		if (f->type >= TR_F_TEXT) {
			memcpy(&a, (const char *)got + f->off, sizeof(a));
			memcpy(&b, (const char *)&want + f->off, sizeof(b));
			assert_true(tr_view_eq(a, b));
		} else {
			assert_memory_equal((const char *)got + f->off, (const char *)&want + f->off, 8);
		}
	}
	assert_int_equal(w->item->reserved, w->reserved);
	assert_int_equal(w->item->no, w->no);
	assert_true(tr_view_is(tr_item_key(w->item), w->id));
	assert_true(tr_view_eq(tr_item_alt(w->item), tr_view(w->key_id, w->n_key)));
}

static int by_id(const void *a, const void *b)
{
	return strcmp((*(struct naive *const *)a)->id, (*(struct naive *const *)b)->id);
}

static void same_world(const struct tr_table_mem *t)
{
	const struct naive *sorted[IDS];
	size_t n = 0, at;

	for (size_t k = 0; k < IDS; k++)
		if (world[k].there)
			sorted[n++] = &world[k];
	qsort(sorted, n, sizeof(sorted[0]), by_id);
	assert_int_equal(t->n, n);
	assert_int_equal(tr_table_after(t, tr_view(NULL, 0)), 0);
	assert_int_equal(tr_table_end(t), n);
	for (size_t k = 0; k < n; k++)
		assert_ptr_equal(tr_table_at(t, k), sorted[k]->item);
	assert_null(tr_table_at(t, n));
	at = n ? chance((uint32_t)n) : 0;
	if (n) {
		assert_int_equal(tr_table_after(t, tr_view_str(sorted[at]->id)), at + 1);
		/* a cursor whose row has gone meanwhile */
		assert_int_equal(tr_table_after(t, tr_view(sorted[at]->id, strlen(sorted[at]->id) - 1)) <= at, 1);
	}
	for (size_t k = 0; k < IDS; k++) {
		const struct naive *w = &world[k];

		if (w->id[0])
			assert_ptr_equal(tr_table_get(t, tr_view_str(w->id)), w->there ? w->item : NULL);
		if (w->n_key)
			assert_ptr_equal(tr_table_get_alt(t, TR_VIEW_ARRAY(w->key_id)), w->there ? w->item : NULL);
		if (w->there)
			same_row(t, w);
	}
}

static void change(struct tr_table_mem *t)
{
	unsigned k = chance(IDS);
	struct naive *w = &world[k], old = *w;
	struct tr_agent_row row;
	struct tr_item *i;

	if (w->there && !chance(3)) {
		tr_table_del(t, tr_view_str(w->id));
		assert_null(tr_table_get_alt(t, TR_VIEW_ARRAY(w->key_id)));
		w->there = false;
		return;
	}
	fill(w, k);
	if (old.there && chance(2)) { /* often the second key stays */
		memcpy(w->key_id, old.key_id, 32);
		w->n_key = old.n_key;
	}
	row = row_of(w);
	i = tr_table_put(t, &row);
	assert_non_null(i);
	if (old.there) {
		assert_ptr_equal(i, old.item);
		if (old.n_key && (!w->n_key || memcmp(old.key_id, w->key_id, 32) != 0))
			assert_null(tr_table_get_alt(t, TR_VIEW_ARRAY(old.key_id)));
		return;
	}
	assert_true(i->reserved == 0 && i->no == UINT32_MAX && i->inflight == 0 && !i->ending);
	w->item = i;
	w->there = true;
	i->reserved = w->reserved = (uint16_t)chance(65536);
	i->no = w->no = chance(1u << 31);
}

static void table_and_naive_memory_agree(void **unused)
{
	(void)unused;
	for (unsigned round = 0; round < 12; round++) {
		struct tr_table_mem t;

		memset(world, 0, sizeof(world));
		state_of_chance = round * 7919 + 1;
		assert_true(tr_table_init(&t, &tr_agent_def, offsetof(struct tr_agent_row, key_id), seed));
		for (unsigned step = 0; step < 4000; step++) {
			change(&t);
			if (step % 97 == 0)
				same_world(&t);
		}
		same_world(&t);
		tr_table_done(&t);
	}
}

/* What fails for want of memory leaves everything as it was. */
static void without_memory_nothing_changes(void **unused)
{
	unsigned told = 0;

	(void)unused;
	for (unsigned long n = 1; n < 1500; n += n < 200 ? 1 : 13) {
		struct tr_table_mem t;

		memset(world, 0, sizeof(world));
		state_of_chance = 5;
		allocations = 0;
		fail_at = n;
		if (!tr_table_init(&t, &tr_agent_def, offsetof(struct tr_agent_row, key_id), seed)) {
			tr_table_done(&t);
			told++;
			continue;
		}
		for (unsigned k = 0; k < IDS; k++) {
			struct naive *w = &world[k % 400], was = *w; /* the second round replaces */
			struct tr_agent_row row;
			struct tr_item *i;

			fill(w, k % 400);
			row = row_of(w);
			i = tr_table_put(&t, &row);
			if (!i) {
				*w = was;
				told++;
				if (!was.there)
					w->id[0] = 0;
				continue;
			}
			w->no = UINT32_MAX;
			w->item = i;
			w->there = true;
		}
		same_world(&t);
		fail_at = 0;
		tr_table_done(&t);
	}
	assert_true(told > 20);
}

static void damaged_rows_are_refused(void **unused)
{
	static const uint8_t longer[2000];
	struct tr_agent_row good = { .id = TR_VIEW_LIT("a") }, no_key = { .state = TR_VIEW_LIT("active") };
	struct tr_agent_row too_long = { .id = TR_VIEW_LIT("b"), .spki = TR_VIEW_ARRAY(longer) };
	struct tr_table_mem t;

	(void)unused;
	assert_true(tr_table_init(&t, &tr_agent_def, 0, seed));
	assert_null(tr_table_put(&t, &no_key));
	assert_null(tr_table_put(&t, &too_long));
	assert_int_equal(t.n, 0);
	assert_non_null(tr_table_put(&t, &good));
	assert_null(tr_item_row(&t, NULL, NULL));
	assert_null(tr_table_get(&t, tr_view(NULL, 0)));
	tr_table_del(&t, TR_VIEW_LIT("b"));
	assert_int_equal(t.n, 1);
	tr_table_done(&t);
}

/* A row read from the table, changed, and put back: the item's own bytes are under it meanwhile. */
static void a_row_may_be_put_back_from_its_item(void **unused)
{
	static struct tr_row_room room;
	struct tr_setting_row a = { .name = TR_VIEW_LIT("name"), .value = TR_VIEW_LIT("x") }, *r;
	static char big[5000];
	struct tr_table_mem t;
	struct tr_item *i;

	(void)unused;
	memset(big, 'v', sizeof(big));
	assert_true(tr_table_init(&t, &tr_setting_def, 0, seed));
	i = tr_table_put(&t, &a);
	a.value = TR_VIEW_ARRAY(big); /* grows out of its place */
	assert_ptr_equal(tr_table_put(&t, &a), i);
	(void)tr_item_row(&t, i, &room);
	r = &room.row.setting;
	r->updated_by = TR_VIEW_LIT("me");
	assert_ptr_equal(tr_table_put(&t, r), i);
	(void)tr_item_row(&t, i, &room);
	assert_true(tr_view_eq(r->value, TR_VIEW_ARRAY(big)) && tr_view_is(r->updated_by, "me"));
	tr_table_done(&t);
}

static void rows_may_be_deleted_while_going_through(void **unused)
{
	struct tr_table_mem t;
	size_t left = 0;

	(void)unused;
	assert_true(tr_table_init(&t, &tr_seen_def, 0, seed));
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned k = 0; k < 1000; k++) {
			struct tr_seen_row s = { .digest = tr_view(&k, sizeof(k)), .expires_at = k };

			assert_non_null(tr_table_put(&t, &s));
		}
		for (size_t k = tr_table_after(&t, tr_view(NULL, 0)); k < tr_table_end(&t); k++) {
			struct tr_row_room room;
			const struct tr_seen_row *s = tr_item_row(&t, tr_table_at(&t, k), &room);

			if (s->expires_at % 10) {
				tr_table_del(&t, s->digest);
				assert_null(tr_table_at(&t, k));
			}
		}
		assert_int_equal(t.n, 100);
	}
	(void)tr_table_after(&t, tr_view(NULL, 0));
	for (size_t k = 0; k < tr_table_end(&t); k++)
		left += tr_table_at(&t, k) != NULL;
	assert_int_equal(left, 100);
	tr_table_done(&t);
}

/* The reason for all this: what 100 000 agents of the usual kind weigh. */
static void a_usual_agent_is_small(void **unused)
{
	enum { N = 100000 };
	struct tr_table_mem t;
	size_t keys, bytes;

	(void)unused;
	state_of_chance = 3;
	assert_true(tr_table_init(&t, &tr_agent_def, offsetof(struct tr_agent_row, key_id), seed));
	for (unsigned k = 0; k < N; k++) {
		static struct naive w;
		struct tr_agent_row row;

		fill(&w, k);
		w.n_key = 32;
		w.n_spki = 44;
		memset(w.spki, 7, 12);
		w.n_serial = 40;
		for (size_t i = 0; i < 40; i++)
			w.serial[i] = "0123456789abcdef"[chance(16)];
		w.n_why = 0;
		w.enrolled = w.until = 1790000000000 + k;
		w.epoch = 1;
		row = row_of(&w);
		assert_non_null(tr_table_put(&t, &row));
	}
	bytes = tr_table_bytes(&t, &keys);
	print_message("%zu bytes per agent without its name\n", (bytes - keys) / N);
	assert_true((bytes - keys) / N <= 200);
	tr_table_done(&t);
}

/* Commands with approvals are a hundred times as long as any other row, change often and go soon. */
static struct tr_command_row bulky(const char *id, const uint8_t digest[32], const char *state, size_t n, uint8_t *mem)
{
	memset(mem, id[0], 65536);
	return (struct tr_command_row){
		.id = tr_view_str(id), .digest = tr_view(digest, 32), .agent = TR_VIEW_LIT("web-1"),
		.batch = TR_VIEW_LIT("00112233445566778899aabbccddeeff"), .type = TR_VIEW_LIT("quarantine"),
		.state = tr_view_str(state), .class = 2, .created_at = -5, .expires_at = INT64_MAX, .seq = UINT64_MAX,
		.order = tr_view(mem, n < 2048 ? n : 2048), .approvals = tr_view(mem, n < 17000 ? n : 17000),
		.command = tr_view(mem, n < 24576 ? n : 24576), .result = tr_view(mem, n < 8192 ? n : 8192),
		.receipt = tr_view(mem, n < 12288 ? n : 12288),
	};
}

static void rows_may_be_bulky(void **unused)
{
	static const size_t lengths[] = { 0, 1, 65536, 200, 40000, 3000, 65536, 0, 65536 };
	static uint8_t mem[65536];
	struct tr_table_mem t;
	size_t keys, empty;

	(void)unused;
	assert_true(tr_table_init(&t, &tr_command_row_def, offsetof(struct tr_command_row, digest), seed));
	for (size_t round = 0; round < 300; round++) {
		char id[33];
		uint8_t digest[32] = { 0 };

		(void)snprintf(id, sizeof(id), "%c%031zx", 'a' + (char)(round % 6), round);
		memcpy(digest, &round, sizeof(round));
		for (size_t k = 0; k < TR_ARRAY_LEN(lengths); k++) {
			struct tr_command_row row = bulky(id, digest, k % 2 ? "sent" : "pending", lengths[k], mem), got;
			struct tr_item *i = tr_table_put(&t, &row);
			struct tr_row_room room;

			assert_non_null(i);
			assert_ptr_equal(tr_table_get(&t, row.id), i);
			assert_ptr_equal(tr_table_get_alt(&t, row.digest), i);
			got = *(const struct tr_command_row *)tr_item_row(&t, i, &room);
			for (size_t f = 0; f < tr_command_row_def.n; f++) {
				const struct tr_field *fd = &tr_command_row_def.fields[f];
				const void *x = (const char *)&row + fd->off, *y = (const char *)&got + fd->off;

				if (fd->type >= TR_F_TEXT ? !tr_view_eq(*(const struct tr_view *)x, *(const struct tr_view *)y)
							  : memcmp(x, y, 8) != 0)
					fail_msg("%s of length %zu", fd->name, lengths[k]);
			}
		}
		if (round == 10)
			(void)tr_table_bytes(&t, &keys);
		if (round > 10)
			tr_table_del(&t, tr_view_str(id));
	}
	assert_int_equal(t.n, 11);
	/* What is gone gives its memory back, if not at once. */
	empty = tr_table_bytes(&t, &keys);
	assert_true(empty < (11 + 80) * (size_t)70000);
	tr_table_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_and_naive_memory_agree),
		cmocka_unit_test(without_memory_nothing_changes),
		cmocka_unit_test(damaged_rows_are_refused),
		cmocka_unit_test(a_row_may_be_put_back_from_its_item),
		cmocka_unit_test(rows_may_be_deleted_while_going_through),
		cmocka_unit_test(a_usual_agent_is_small),
		cmocka_unit_test(rows_may_be_bulky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
