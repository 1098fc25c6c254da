/* SPDX-License-Identifier: Apache-2.0 */
#include "server/pace.h"
#include "server/steady.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define WALL INT64_C(1800000000000)

static void time_passes_as_since_boot(void **state)
{
	struct tr_steady s;

	(void)state;
	tr_steady_start(&s, WALL, 5000);
	assert_int_equal(tr_steady_ms(&s, WALL, 5000), WALL);
	assert_int_equal(tr_steady_ms(&s, WALL + 1000, 6000), WALL + 1000);
	/* A wall clock that is off by less than two seconds moves nothing. */
	assert_int_equal(tr_steady_ms(&s, WALL + 3500, 7000), WALL + 2000);
	assert_int_equal(tr_steady_ms(&s, WALL + 1500, 8000), WALL + 3000);
}

static void a_clock_set_forward_is_followed_at_once(void **state)
{
	struct tr_steady s;

	(void)state;
	tr_steady_start(&s, WALL, 0);
	assert_int_equal(tr_steady_ms(&s, WALL + 3600000, 1000), WALL + 3600000);
	assert_int_equal(tr_steady_ms(&s, WALL + 3601000, 2000), WALL + 3601000);
}

static void a_clock_set_back_is_followed_slowly_and_never_backwards(void **state)
{
	struct tr_steady s;
	int64_t last = WALL;
	uint64_t boot = 0;

	(void)state;
	tr_steady_start(&s, WALL, 0);
	/* A minute back, read at uneven moments: a sixteenth slower, so together again after a little less than 16 minutes. */
	for (unsigned i = 0; i < 20000; i++) {
		int64_t now;

		boot += 1 + i % 97;
		now = tr_steady_ms(&s, WALL - 60000 + (int64_t)boot, boot);
		assert_true(now >= last);
		last = now;
		if (boot < 900000)
			assert_true(now >= WALL + (int64_t)boot * 15 / 16 && now <= WALL + (int64_t)boot * 15 / 16 + 17);
	}
	assert_true(boot > 960000);
	assert_true(last - (WALL - 60000 + (int64_t)boot) <= TR_STEADY_TOLERATED_MS);
	assert_true(last >= WALL - 60000 + (int64_t)boot);
}

static void a_pace_is_kept_by_each_for_himself(void **state)
{
	static struct tr_pace p;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		n += tr_pace_allow(&p, 7, 1000, 2000, 30);
	assert_int_equal(n, 30);
	assert_true(tr_pace_allow(&p, 8, 1000, 2000, 30));
	assert_false(tr_pace_allow(&p, 7, 2999, 2000, 30));
	assert_true(tr_pace_allow(&p, 7, 3000, 2000, 30));
	/* A crowd fills the table and is let through, and the one that was held stays held. */
	for (unsigned i = 100; i < 100000; i++)
		assert_true(tr_pace_allow(&p, i, 3000, 2000, 30));
	assert_false(tr_pace_allow(&p, 7, 3000, 2000, 30));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_passes_as_since_boot),
		cmocka_unit_test(a_clock_set_forward_is_followed_at_once),
		cmocka_unit_test(a_clock_set_back_is_followed_slowly_and_never_backwards),
		cmocka_unit_test(a_pace_is_kept_by_each_for_himself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
