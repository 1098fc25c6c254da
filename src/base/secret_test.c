/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_new_secret_is_zero_and_writable(void **state)
{
	static const size_t sizes[] = { 0, 1, 64, 4096, 10000 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(sizes); i++) {
		tr_auto(tr_secret_free) struct tr_secret *s = tr_secret_new(sizes[i]);

		assert_non_null(s);
		for (size_t k = 0; k < sizes[i]; k++) {
			assert_int_equal(tr_secret_p(s)[k], 0);
			tr_secret_p(s)[k] = (uint8_t)k;
		}
	}
	assert_null(tr_secret_free(NULL));
}

static void equal_means_every_byte(void **state)
{
	uint8_t a[32] = { 1 }, b[32] = { 1 };

	(void)state;
	assert_true(tr_secret_eq(TR_VIEW_ARRAY(a), TR_VIEW_ARRAY(b)));
	for (size_t bit = 0; bit < 256; bit++) {
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(tr_secret_eq(TR_VIEW_ARRAY(a), TR_VIEW_ARRAY(b)));
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_false(tr_secret_eq(TR_VIEW_ARRAY(a), tr_view(b, 31)));
	assert_false(tr_secret_eq(TR_VIEW_ARRAY(a), tr_view(NULL, 0)));
	assert_true(tr_secret_eq(tr_view(NULL, 0), tr_view(b, 0)));
}

static void wiping_leaves_zeros(void **state)
{
	static const uint8_t zeros[16];
	uint8_t b[16];

	(void)state;
	memset(b, 0xaa, sizeof(b));
	tr_wipe(b, sizeof(b));
	assert_memory_equal(b, zeros, sizeof(b));
	tr_wipe(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_secret_is_zero_and_writable),
		cmocka_unit_test(equal_means_every_byte),
		cmocka_unit_test(wiping_leaves_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
