/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* RFC 3720 B.4, whose bytes are in the order of the wire, and the check value of the CRC catalogue. */
static void published_values(void **state)
{
	uint8_t zeros[32] = { 0 }, ones[32], up[32], down[32];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (uint8_t i = 0; i < 32; i++) {
		up[i] = i;
		down[i] = (uint8_t)(31 - i);
	}
	assert_int_equal(tr_crc32c(TR_VIEW_LIT("123456789")), 0xe3069283);
	assert_int_equal(tr_crc32c(TR_VIEW_ARRAY(zeros)), 0x8a9136aa);
	assert_int_equal(tr_crc32c(TR_VIEW_ARRAY(ones)), 0x62a8ab43);
	assert_int_equal(tr_crc32c(TR_VIEW_ARRAY(up)), 0x46dd794e);
	assert_int_equal(tr_crc32c(TR_VIEW_ARRAY(down)), 0x113fdb5c);
	assert_int_equal(tr_crc32c(tr_view(NULL, 0)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(published_values) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
