/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "bpf/map.h"
#include "crypto/hash.h"

/* The kernel walks a hash in the order of its buckets, which a seed decides: equal content, equal digest. */
static void order_of_entries_does_not_count(void **state)
{
	uint8_t a[] = { 1, 2, 9, 9, 0, 2, 8, 8, 1, 1, 7, 7 };
	uint8_t b[] = { 1, 1, 7, 7, 1, 2, 9, 9, 0, 2, 8, 8 };
	static const uint8_t head[] = { 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0 }, sorted[] = { 0, 2, 8, 8, 1, 1, 7, 7, 1, 2, 9, 9 };
	uint8_t da[32], db[32], want[32], text[24];

	(void)state;
	memcpy(text, head, 12);
	memcpy(text + 12, sorted, 12);
	tr_sha256(TR_VIEW_ARRAY(text), want);
	tr_bpf_entries_digest(a, 3, 2, 2, da);
	tr_bpf_entries_digest(b, 3, 2, 2, db);
	assert_memory_equal(da, want, 32);
	assert_memory_equal(db, want, 32);
}

static void every_byte_and_every_boundary_counts(void **state)
{
	static const struct {
		uint8_t bytes[4];
		uint32_t n, k, v;
	} cases[] = {
		{ { 1, 2, 3, 4 }, 1, 2, 2 }, { { 1, 2, 3, 5 }, 1, 2, 2 }, { { 1, 2, 3, 4 }, 1, 1, 3 }, { { 1, 2, 3, 4 }, 2, 1, 1 },
		{ { 0 }, 0, 2, 2 },
	};
	uint8_t seen[sizeof(cases) / sizeof(cases[0])][32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t copy[4];

		memcpy(copy, cases[i].bytes, 4);
		tr_bpf_entries_digest(copy, cases[i].n, cases[i].k, cases[i].v, seen[i]);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(seen[i], seen[k], 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_of_entries_does_not_count),
		cmocka_unit_test(every_byte_and_every_boundary_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
