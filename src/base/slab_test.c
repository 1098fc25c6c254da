/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/slab.h"

#include <string.h>

static void slabs_are_zeroed_aligned_and_apart(void **state)
{
	uint8_t *a[6];

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		size_t n = (i % 3 + 1) * TR_SLAB_LEN;

		a[i] = tr_slab_new(n, i % 2);
		assert_non_null(a[i]);
		assert_int_equal((uintptr_t)a[i] % TR_SLAB_LEN, 0);
		for (size_t at = 0; at < n; at += 4096)
			assert_int_equal(a[i][at], 0);
		memset(a[i], (int)i + 1, n);
	}
	for (size_t i = 0; i < 6; i++) {
		size_t n = (i % 3 + 1) * TR_SLAB_LEN;

		assert_int_equal(a[i][0], i + 1);
		assert_int_equal(a[i][n - 1], i + 1);
		tr_slab_free(a[i], n);
	}
	tr_slab_free(NULL, TR_SLAB_LEN);
}

static void too_much_is_refused(void **state)
{
	(void)state;
	assert_null(tr_slab_new((size_t)0 - TR_SLAB_LEN, false));
	assert_null(tr_slab_new((size_t)1 << 60, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slabs_are_zeroed_aligned_and_apart),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
