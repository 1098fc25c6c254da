/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/chan.h"

#include "base/clock.h"
#include "ipc/spawn.h"

#include <fcntl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <sys/socket.h>
#include <cmocka.h>

#define BIG ((uint32_t)3 << 20)

struct ctx {
	struct tr_loop *loop;
	struct tr_chan *chan;
	struct tr_watch *deadline;
	int peer;
	unsigned got, ended, stop_after, free_after, pause_after;
	uint64_t sum, last_id;
	size_t bytes;
	const char *why;
	bool timed_out, echo;
};

static void on_frame(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct ctx *x = arg;

	assert_ptr_equal(c, x->chan);
	x->got++;
	x->last_id = f->id;
	x->bytes += f->payload.n;
	for (size_t i = 0; i < f->payload.n; i++)
		x->sum += f->payload.p[i];
	if (x->echo)
		tr_chan_send(c, f->type, f->id, f->payload);
	if (x->got == x->free_after)
		x->chan = tr_chan_free(x->chan);
	if (x->got == x->pause_after)
		tr_chan_pause(c, true);
	if (x->got == x->stop_after)
		tr_loop_stop(x->loop);
}

static const struct tr_frame_rule rules[TR_FRAME_TYPE_MAX] = {
	[1] = { on_frame, 64 },
	[2] = { on_frame, BIG },
	[3] = { on_frame, 0 },
};

static void on_end(void *arg, struct tr_chan *c, const char *why)
{
	struct ctx *x = arg;

	assert_ptr_equal(c, x->chan);
	x->ended++;
	x->why = why;
	x->chan = tr_chan_free(x->chan);
	tr_loop_stop(x->loop);
}

static void on_deadline(void *arg)
{
	struct ctx *x = arg;

	x->timed_out = true;
	tr_loop_stop(x->loop);
}

static int setup(void **state)
{
	static struct ctx x;
	struct tr_err err;
	int fds[2];

	x = (struct ctx){ 0 };
	assert_int_equal(tr_loop_new(&x.loop, &err), TR_OK);
	assert_int_equal(tr_socketpair(fds, &err), TR_OK);
	assert_int_equal(tr_chan_new(x.loop, fds[0], rules, on_end, &x, &x.chan, &err), TR_OK);
	assert_int_equal(tr_watch_timer(x.loop, on_deadline, &x, &x.deadline, &err), TR_OK);
	x.peer = fds[1];
	*state = &x;
	return 0;
}

static int teardown(void **state)
{
	struct ctx *x = *state;

	x->chan = tr_chan_free(x->chan);
	x->deadline = tr_watch_free(x->deadline);
	x->loop = tr_loop_free(x->loop);
	x->peer = tr_close(x->peer);
	return 0;
}

static void run(struct ctx *x, unsigned ms)
{
	x->timed_out = false;
	tr_timer_arm(x->deadline, ms);
	tr_loop_run(x->loop);
}

static void add_frame(struct tr_buf *b, uint16_t type, uint64_t id, struct tr_view payload)
{
	uint8_t head[TR_FRAME_HEAD];

	tr_frame_head(head, type, id, (uint32_t)payload.n);
	tr_buf_add(b, head, sizeof(head));
	tr_buf_addv(b, payload);
}

static void peer_writes(struct ctx *x, const void *p, size_t n)
{
	assert_int_equal(send(x->peer, p, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads whatever is there. */
static size_t peer_reads(struct ctx *x, uint8_t *p, size_t max)
{
	ssize_t n = recv(x->peer, p, max, MSG_DONTWAIT);

	return n < 0 ? 0 : (size_t)n;
}

static void a_burst_arrives_whole_and_in_order(void **state)
{
	struct ctx *x = *state;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	for (uint64_t id = 1; id <= 1000; id++)
		add_frame(&b, 1, id, TR_VIEW_LIT("\1\2\3"));
	peer_writes(x, b.p, b.n);
	x->stop_after = 1000;
	run(x, 5000);
	assert_false(x->timed_out);
	assert_int_equal(x->got, 1000);
	assert_int_equal(x->sum, 6000);
	assert_int_equal(x->last_id, 1000);
}

static void a_burst_of_sends_is_one_write_per_round(void **state)
{
	struct ctx *x = *state;
	uint8_t got[4096];

	tr_chan_send(x->chan, 1, 7, TR_VIEW_LIT("hello"));
	tr_chan_send(x->chan, 3, UINT64_MAX, tr_view(NULL, 0));
	assert_int_equal(tr_chan_queued(x->chan), 2 * TR_FRAME_HEAD + 5);
	assert_int_equal(peer_reads(x, got, sizeof(got)), 0); /* nothing before the end of the round */
	run(x, 10);
	assert_int_equal(tr_chan_queued(x->chan), 0);
	assert_int_equal(peer_reads(x, got, sizeof(got)), 2 * TR_FRAME_HEAD + 5);
	assert_memory_equal(got, "\5\0\0\0\1\0\1\0\7\0\0\0\0\0\0\0hello", TR_FRAME_HEAD + 5);
	assert_memory_equal(got + TR_FRAME_HEAD + 5, "\0\0\0\0\3\0\1\0\xff\xff\xff\xff\xff\xff\xff\xff",
			    TR_FRAME_HEAD);
}

static void frames_cut_anywhere_are_joined(void **state)
{
	struct ctx *x = *state;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	add_frame(&b, 1, 1, TR_VIEW_LIT("abc"));
	add_frame(&b, 3, 2, tr_view(NULL, 0));
	add_frame(&b, 1, 3, TR_VIEW_LIT("de"));
	for (size_t cut = 1; cut < b.n; cut++) {
		x->got = 0;
		x->stop_after = 0;
		peer_writes(x, b.p, cut);
		run(x, 1);
		x->stop_after = 3;
		peer_writes(x, b.p + cut, b.n - cut);
		if (x->got < 3)
			run(x, 1000);
		assert_int_equal(x->got, 3);
		assert_int_equal(x->last_id, 3);
	}
	assert_int_equal(x->ended, 0);
}

/* Every way to break the protocol, and what the end callback is told. */
static const struct {
	const char *label;
	struct tr_view bytes;
	bool close;
	unsigned got;
	const char *why;
} endings[] = {
	{ "closed", TR_VIEW_LIT(""), true, 0, "peer closed" },
	{ "closed in a header", TR_VIEW_LIT("\0\0\0"), true, 0, "peer closed in the middle of a frame" },
	{ "closed in a payload", TR_VIEW_LIT("\2\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0x"),
	  true, 0, "peer closed in the middle of a frame" },
	{ "last words are heard", TR_VIEW_LIT("\0\0\0\0\3\0\1\0\0\0\0\0\0\0\0\0"), true, 1, "peer closed" },
	{ "one byte over the limit", TR_VIEW_LIT("\x41\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0"),
	  false, 0, "frame over the limit of its type" },
	{ "longest length", TR_VIEW_LIT("\xff\xff\xff\xff\2\0\1\0\0\0\0\0\0\0\0\0"),
	  false, 0, "frame over the limit of its type" },
	{ "payload where none may be", TR_VIEW_LIT("\1\0\0\0\3\0\1\0\0\0\0\0\0\0\0\0"),
	  false, 0, "frame over the limit of its type" },
	{ "type without a rule", TR_VIEW_LIT("\0\0\0\0\4\0\1\0\0\0\0\0\0\0\0\0"),
	  false, 0, "frame of a type not allowed here" },
	{ "type past the table", TR_VIEW_LIT("\0\0\0\0\x40\0\1\0\0\0\0\0\0\0\0\0"),
	  false, 0, "frame of a type not allowed here" },
	{ "largest type", TR_VIEW_LIT("\0\0\0\0\xff\xff\1\0\0\0\0\0\0\0\0\0"),
	  false, 0, "frame of a type not allowed here" },
	{ "version 0", TR_VIEW_LIT("\0\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0"),
	  false, 0, "frame of another protocol version" },
	{ "version 257", TR_VIEW_LIT("\0\0\0\0\3\0\1\1\0\0\0\0\0\0\0\0"),
	  false, 0, "frame of another protocol version" },
	{ "good, then bad", TR_VIEW_LIT("\0\0\0\0\3\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0"),
	  false, 1, "frame of a type not allowed here" },
};

static void a_broken_or_closed_peer_ends_the_channel_once(void **state)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(endings); i++) {
		struct ctx *x = *state;

		peer_writes(x, endings[i].bytes.p, endings[i].bytes.n);
		if (endings[i].close)
			x->peer = tr_close(x->peer);
		run(x, 2000);
		if (x->ended != 1 || x->got != endings[i].got || strcmp(x->why, endings[i].why) != 0)
			fail_msg("%s: ended %u, frames %u, why \"%s\"", endings[i].label, x->ended, x->got,
				 x->why ? x->why : "");
		assert_null(x->chan);
		(void)teardown(state);
		(void)setup(state);
	}
}

static void a_peer_that_died_with_our_bytes_unread_ends_it(void **state)
{
	struct ctx *x = *state;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_chan_send(x->chan, 1, 1, TR_VIEW_LIT("never read"));
	run(x, 10);
	add_frame(&b, 1, 9, TR_VIEW_LIT("last words"));
	peer_writes(x, b.p, b.n);
	x->peer = tr_close(x->peer);
	tr_chan_send(x->chan, 1, 2, TR_VIEW_LIT("to nobody"));
	tr_chan_flush(x->chan, 100);
	tr_chan_send(x->chan, 1, 3, TR_VIEW_LIT("to nobody"));
	assert_int_equal(tr_chan_queued(x->chan), 0);
	run(x, 2000);
	assert_int_equal(x->last_id, 9);
	assert_int_equal(x->ended, 1);
	assert_string_equal(x->why, "peer closed");
}

static void a_large_frame_grows_the_buffer_and_the_limit_is_exact(void **state)
{
	struct ctx *x = *state;
	tr_auto(tr_free) uint8_t *zeros = calloc(1, BIG);
	tr_auto(tr_chan_free) struct tr_chan *other = NULL;
	struct tr_err err;

	/* The other end becomes a channel too: partial writes on one side, partial reads on the other. */
	assert_int_equal(tr_chan_new(x->loop, x->peer, rules, on_end, x, &other, &err), TR_OK);
	x->peer = -1;
	memset(zeros, 1, BIG);
	for (uint64_t id = 1; id <= 5; id++) {
		tr_chan_send(other, 2, id, tr_view(zeros, BIG));
		tr_chan_send(other, 1, 100 + id, TR_VIEW_LIT("\0"));
	}
	x->stop_after = 10;
	run(x, 10000);
	assert_false(x->timed_out);
	assert_int_equal(x->sum, (uint64_t)5 * BIG);
	assert_int_equal(x->last_id, 105);
	assert_int_equal(tr_chan_queued(other), 0);
	tr_chan_send(other, 2, 6, tr_view(zeros, BIG));
	x->stop_after = 11;
	run(x, 10000);
	assert_int_equal(x->got, 11);
}

static void a_paused_channel_holds_frames_back_and_loses_none(void **state)
{
	struct ctx *x = *state;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	for (uint64_t id = 1; id <= 10; id++)
		add_frame(&b, 1, id, TR_VIEW_LIT("x"));
	peer_writes(x, b.p, b.n);
	x->pause_after = 4;
	run(x, 20);
	assert_int_equal(x->got, 4);
	peer_writes(x, b.p, b.n);
	run(x, 20);
	assert_int_equal(x->got, 4);
	x->pause_after = 6;
	tr_chan_pause(x->chan, false);
	run(x, 20);
	assert_int_equal(x->got, 6);
	tr_chan_pause(x->chan, false);
	tr_chan_pause(x->chan, true); /* changed its mind within the round */
	run(x, 20);
	assert_int_equal(x->got, 6);
	x->pause_after = 0;
	tr_chan_pause(x->chan, false);
	x->peer = tr_close(x->peer);
	run(x, 1000);
	assert_int_equal(x->got, 20);
	assert_string_equal(x->why, "peer closed");
}

static void a_callback_may_free_its_channel(void **state)
{
	struct ctx *x = *state;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	for (uint64_t id = 1; id <= 10; id++)
		add_frame(&b, 1, id, TR_VIEW_LIT("x"));
	peer_writes(x, b.p, b.n);
	x->free_after = 3;
	run(x, 20);
	assert_int_equal(x->got, 3);
	assert_int_equal(x->ended, 0);
	assert_null(x->chan);
	assert_int_equal(send(x->peer, "x", 1, MSG_NOSIGNAL), -1); /* really closed */
}

static void a_flush_blocks_until_the_peer_has_it_or_the_time_is_over(void **state)
{
	struct ctx *x = *state;
	static uint8_t bytes[1 << 20];
	uint64_t t0;
	size_t left, n;

	tr_chan_send(x->chan, 2, 1, tr_view(bytes, sizeof(bytes)));
	t0 = tr_mono_ms();
	tr_chan_flush(x->chan, 50);
	assert_true(tr_mono_ms() - t0 >= 49);
	left = tr_chan_queued(x->chan);
	assert_true(left > 0 && left < sizeof(bytes));
	while ((n = peer_reads(x, bytes, sizeof(bytes))) > 0 || tr_chan_queued(x->chan))
		tr_chan_flush(x->chan, 0);
	tr_chan_send(x->chan, 1, 2, TR_VIEW_LIT("bye"));
	tr_chan_flush(x->chan, 1000);
	assert_int_equal(tr_chan_queued(x->chan), 0);
	assert_int_equal(peer_reads(x, bytes, sizeof(bytes)), TR_FRAME_HEAD + 3);
}

static void a_peer_that_does_not_read_is_given_up(void **state)
{
	struct ctx *x = *state;
	static uint8_t bytes[1 << 20];

	for (unsigned i = 0; i < 80; i++)
		tr_chan_send(x->chan, 2, i, tr_view(bytes, sizeof(bytes)));
	assert_true(tr_chan_queued(x->chan) < (size_t)66 << 20);
	run(x, 2000);
	assert_int_equal(x->ended, 1);
	assert_string_equal(x->why, "the peer does not read: too much is queued for it");
}

static void echoes_under_load_keep_every_byte(void **state)
{
	struct ctx *x = *state;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf back = TR_BUF_INIT;
	size_t sent = 0;

	x->echo = true;
	for (uint64_t id = 0; id < 20000; id++)
		add_frame(&b, 1, id, tr_view("0123456789012345678901234567890123456789", id % 41));
	while (back.n < b.n) {
		ssize_t n = send(x->peer, b.p + sent, b.n - sent < 9999 ? b.n - sent : 9999, MSG_DONTWAIT);
		uint8_t got[7777];

		if (n > 0)
			sent += (size_t)n;
		run(x, 1);
		tr_buf_add(&back, got, peer_reads(x, got, sizeof(got)));
		assert_int_equal(x->ended, 0);
	}
	assert_true(tr_view_eq(tr_buf_view(&b), tr_buf_view(&back)));
}

struct pair {
	uint64_t n;
	struct tr_view text;
};
static const struct tr_field pair_fields[] = {
	TR_FIELD(pair, n, TR_F_U64, 0, 0),
	TR_FIELD(pair, text, TR_F_TEXT, 16, 0),
};
static TR_RECORD(pair_record, pair, pair_fields);

static void a_record_travels(void **state)
{
	struct ctx *x = *state;
	const struct pair in = { 42, TR_VIEW_LIT("text") };
	struct pair out;
	struct tr_frame f;
	uint8_t got[256];
	size_t n, used;
	struct tr_err err;

	tr_chan_send_record(x->chan, 1, 5, &pair_record, &in);
	tr_chan_flush(x->chan, 100);
	n = peer_reads(x, got, sizeof(got));
	assert_int_equal(tr_frame_parse(tr_view(got, n), rules, &f, &used, &err), TR_OK);
	assert_int_equal(used, n);
	assert_int_equal(tr_record_decode(&pair_record, f.payload, &out, &err), TR_OK);
	assert_int_equal(out.n, 42);
	assert_true(tr_view_is(out.text, "text"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_burst_arrives_whole_and_in_order),
		TEST(a_burst_of_sends_is_one_write_per_round),
		TEST(frames_cut_anywhere_are_joined),
		TEST(a_broken_or_closed_peer_ends_the_channel_once),
		TEST(a_peer_that_died_with_our_bytes_unread_ends_it),
		TEST(a_large_frame_grows_the_buffer_and_the_limit_is_exact),
		TEST(a_paused_channel_holds_frames_back_and_loses_none),
		TEST(a_callback_may_free_its_channel),
		TEST(a_flush_blocks_until_the_peer_has_it_or_the_time_is_over),
		TEST(a_peer_that_does_not_read_is_given_up),
		TEST(echoes_under_load_keep_every_byte),
		TEST(a_record_travels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
