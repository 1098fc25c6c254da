/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/loop.h"

#include "base/clock.h"
#include "ipc/late.h"

#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

struct ctx {
	struct tr_loop *loop;
	struct tr_watch *watch;
	struct tr_late late;
	int pipe[2];
	char seen[64];
	unsigned n, rounds;
};

static int setup(void **state)
{
	static struct ctx c;
	struct tr_err err;

	c = (struct ctx){ 0 };
	assert_int_equal(tr_loop_new(&c.loop, &err), TR_OK);
	assert_int_equal(pipe(c.pipe), 0);
	*state = &c;
	return 0;
}

static int teardown(void **state)
{
	struct ctx *c = *state;

	c->watch = tr_watch_free(c->watch);
	c->loop = tr_loop_free(c->loop);
	(void)tr_close(c->pipe[0]);
	(void)tr_close(c->pipe[1]);
	return 0;
}

static void note(struct ctx *c, char what)
{
	if (c->n < sizeof(c->seen) - 1)
		c->seen[c->n++] = what;
}

static void stop(void *arg)
{
	tr_loop_stop(((struct ctx *)arg)->loop);
}

static void note_signal(void *arg)
{
	note(arg, 's');
	stop(arg);
}

static void note_late(void *arg)
{
	note(arg, 'l');
	stop(arg);
}

static void note_deferred(void *arg)
{
	note(arg, 'd');
}

static void read_one(void *arg)
{
	struct ctx *c = arg;
	struct tr_err err;
	char b;

	assert_int_equal(read(c->pipe[0], &b, 1), 1);
	tr_late_add(c->loop, &c->late);
	tr_late_add(c->loop, &c->late);
	assert_int_equal(tr_loop_defer(c->loop, note_deferred, c, &err), TR_OK);
	note(c, b);
}

static void deferred_and_late_calls_end_the_round_in_order(void **state)
{
	struct ctx *c = *state;
	struct tr_err err;

	c->late = (struct tr_late){ .fn = note_late, .arg = c };
	assert_int_equal(tr_watch_fd(c->loop, c->pipe[0], TR_WATCH_READ, read_one, c, &c->watch, &err),
			 TR_OK);
	assert_int_equal(write(c->pipe[1], "a", 1), 1);
	tr_loop_run(c->loop);
	assert_string_equal(c->seen, "adl");
}

static void defer_again(void *arg)
{
	struct ctx *c = arg;
	struct tr_err err;

	if (++c->rounds < 100000)
		assert_int_equal(tr_loop_defer(c->loop, defer_again, c, &err), TR_OK);
	else
		stop(c);
}

static void read_and_stop(void *arg)
{
	note(arg, 'r');
	stop(arg);
}

static void a_busy_deferred_call_does_not_starve_descriptors(void **state)
{
	struct ctx *c = *state;
	struct tr_err err;

	assert_int_equal(tr_watch_fd(c->loop, c->pipe[0], TR_WATCH_READ, read_and_stop, c, &c->watch, &err),
			 TR_OK);
	assert_int_equal(write(c->pipe[1], "a", 1), 1);
	assert_int_equal(tr_loop_defer(c->loop, defer_again, c, &err), TR_OK);
	tr_loop_run(c->loop);
	assert_string_equal(c->seen, "r");
	assert_true(c->rounds < 100);
}

static void a_withdrawn_late_call_does_not_run(void **state)
{
	struct ctx *c = *state;
	struct tr_late other = { .fn = note_late, .arg = c };

	c->late = (struct tr_late){ .fn = stop, .arg = c };
	tr_late_add(c->loop, &other);
	tr_late_add(c->loop, &c->late);
	tr_late_del(&other);
	tr_late_del(&other);
	tr_loop_run(c->loop);
	assert_string_equal(c->seen, "");
}

static void a_timer_fires_once_and_rearming_moves_it(void **state)
{
	struct ctx *c = *state;
	tr_auto(tr_watch_free) struct tr_watch *moved = NULL;
	tr_auto(tr_watch_free) struct tr_watch *stopped = NULL;
	tr_auto(tr_watch_free) struct tr_watch *never = NULL;
	struct tr_err err;
	uint64_t t0 = tr_mono_ms();

	assert_int_equal(tr_watch_timer(c->loop, note_late, c, &moved, &err), TR_OK);
	assert_int_equal(tr_watch_timer(c->loop, note_deferred, c, &stopped, &err), TR_OK);
	assert_int_equal(tr_watch_timer(c->loop, note_deferred, c, &never, &err), TR_OK);
	tr_timer_arm(moved, 5);
	tr_timer_arm(moved, 60);
	tr_timer_arm(stopped, 5);
	tr_timer_stop(stopped);
	tr_timer_arm(never, UINT64_MAX);
	tr_loop_run(c->loop);
	assert_string_equal(c->seen, "l");
	assert_true(tr_mono_ms() - t0 >= 50); /* the coarse clock may be a tick early */
}

static void a_signal_is_an_event(void **state)
{
	struct ctx *c = *state;
	struct tr_err err;

	assert_int_equal(tr_watch_signal(c->loop, SIGUSR1, note_signal, c, &c->watch, &err), TR_OK);
	assert_int_equal(raise(SIGUSR1), 0);
	tr_loop_run(c->loop);
	assert_string_equal(c->seen, "s");
}

static void free_self(void *arg)
{
	struct ctx *c = arg;

	c->watch = tr_watch_free(c->watch);
	note(c, 'f');
}

static void a_watch_may_free_itself_and_an_empty_loop_ends(void **state)
{
	struct ctx *c = *state;
	struct tr_err err;

	assert_int_equal(tr_watch_fd(c->loop, c->pipe[1], TR_WATCH_WRITE, free_self, c, &c->watch, &err),
			 TR_OK);
	tr_loop_run(c->loop);
	assert_string_equal(c->seen, "f");
}

static void a_disabled_watch_is_silent_until_enabled(void **state)
{
	struct ctx *c = *state;
	tr_auto(tr_watch_free) struct tr_watch *timer = NULL;
	struct tr_err err;

	assert_int_equal(tr_watch_fd(c->loop, c->pipe[0], TR_WATCH_READ, read_and_stop, c, &c->watch, &err),
			 TR_OK);
	assert_int_equal(tr_watch_timer(c->loop, stop, c, &timer, &err), TR_OK);
	assert_int_equal(write(c->pipe[1], "a", 1), 1);
	tr_watch_enable(c->watch, false);
	tr_timer_arm(timer, 10);
	tr_loop_run(c->loop);
	assert_string_equal(c->seen, "");
	tr_watch_enable(c->watch, true);
	tr_loop_run(c->loop);
	assert_string_equal(c->seen, "r");
}

static void a_closed_descriptor_is_an_error(void **state)
{
	struct ctx *c = *state;
	struct tr_err err;
	struct tr_watch *w = NULL;

	assert_int_equal(tr_watch_fd(c->loop, 999, TR_WATCH_READ, stop, c, &w, &err), TR_E_INTERNAL);
	assert_null(w);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(deferred_and_late_calls_end_the_round_in_order),
		TEST(a_busy_deferred_call_does_not_starve_descriptors),
		TEST(a_withdrawn_late_call_does_not_run),
		TEST(a_timer_fires_once_and_rearming_moves_it),
		TEST(a_signal_is_an_event),
		TEST(a_watch_may_free_itself_and_an_empty_loop_ends),
		TEST(a_disabled_watch_is_silent_until_enabled),
		TEST(a_closed_descriptor_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
