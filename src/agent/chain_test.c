/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/chain.h"

#include "base/file.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct tr_err err;
static char dir[] = "/tmp/troth-chain-XXXXXX";

static struct tr_chain sample(void)
{
	struct tr_chain c = { .seq = 7000,
			      .bootcount = 3,
			      .has_ticket = true,
			      .time = { .server_ns = INT64_C(1795312800000000000), .boot_ns = 77 } };

	memset(c.boot_id, 0xb0, sizeof(c.boot_id));
	memset(c.prev, 0xaa, sizeof(c.prev));
	memset(c.ticket, 0x77, sizeof(c.ticket));
	return c;
}

static void assert_same(const struct tr_chain *a, const struct tr_chain *b)
{
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->bootcount, b->bootcount);
	assert_memory_equal(a->boot_id, b->boot_id, sizeof(a->boot_id));
	assert_memory_equal(a->prev, b->prev, sizeof(a->prev));
	assert_int_equal(a->has_ticket, b->has_ticket);
	assert_memory_equal(a->ticket, b->ticket, sizeof(a->ticket));
	assert_int_equal(a->time.server_ns, b->time.server_ns);
	assert_int_equal(a->time.boot_ns, b->time.boot_ns);
}

static void what_is_written_is_read(void **state)
{
	const struct tr_chain cases[] = { sample(),
					  { 0 },
					  { .seq = UINT64_MAX, .time = { .boot_ns = UINT64_MAX } } };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_chain c;

		tr_chain_encode(&cases[i], &b);
		assert_int_equal(tr_chain_decode(tr_buf_view(&b), &c, &err), TR_OK);
		assert_same(&c, &cases[i]);
		assert_int_equal(c.stored_seq, cases[i].seq);
	}
}

/* Cut at every byte, every byte changed, a byte too many: each is seen, and nothing of it is used. */
static void a_torn_file_is_seen(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_chain whole = sample();
	struct tr_chain c = { .seq = 42 };
	size_t n;

	(void)state;
	tr_chain_encode(&whole, &b);
	n = b.n;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(tr_chain_decode(tr_view(b.p, i), &c, &err), TR_E_INVALID);
	for (size_t i = 0; i < n; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			b.p[i] ^= (uint8_t)(1u << bit);
			assert_int_equal(tr_chain_decode(tr_buf_view(&b), &c, &err), TR_E_INVALID);
			b.p[i] ^= (uint8_t)(1u << bit);
		}
	}
	tr_buf_add8(&b, 0);
	assert_int_equal(tr_chain_decode(tr_buf_view(&b), &c, &err), TR_E_INVALID);
	assert_int_equal(c.seq, 42);
}

/* The sum is no secret: a file with a right sum is still checked. */
static void a_file_of_somebody_else_is_refused(void **state)
{
	static const uint8_t maps[][8] = {
		{ 0xa0 }, { 0xa1, 0x01, 0x01 }, { 0xa1, 0x18, 0x63, 0x01 }, { 0x80 }, { 0xa1, 0x01, 0x20 }
	};
	static const size_t lens[] = { 1, 3, 4, 1, 3 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(maps); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_chain c;
		uint8_t sum[32];

		tr_buf_add(&b, maps[i], lens[i]);
		tr_sha256(tr_buf_view(&b), sum);
		tr_buf_add(&b, sum, sizeof(sum));
		assert_int_equal(tr_chain_decode(tr_buf_view(&b), &c, &err), TR_E_INVALID);
	}
}

static void a_folder_keeps_it(void **state)
{
	struct tr_state s = TR_STATE_INIT;
	struct tr_chain c = sample(), back;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(tr_state_open(dir, &s, &err), TR_OK);
	assert_int_equal(tr_chain_load(&s, &back, &err), TR_E_NOTFOUND);
	assert_int_equal(back.seq, 0);
	assert_int_equal(tr_chain_save(&s, &c, &err), TR_OK);
	assert_int_equal(c.stored_seq, c.seq);
	assert_int_equal(tr_chain_load(&s, &back, &err), TR_OK);
	assert_same(&back, &c);
	tr_state_path(&s, TR_CHAIN_FILE, path);
	assert_int_equal(truncate(path, 50), 0);
	assert_int_equal(tr_chain_load(&s, &back, &err), TR_E_INVALID);
	assert_int_equal(back.seq, 0);
	assert_false(back.has_ticket);
	tr_state_done(&s);
}

static void a_start_skips_numbers_and_counts_boots(void **state)
{
	const uint8_t same[16] = { [0 ... 15] = 0xb0 }, other[16] = { 1 }, unknown[16] = { 0 };
	struct tr_chain c = sample();

	(void)state;
	tr_chain_start(&c, same);
	assert_int_equal(c.seq, 8024);
	assert_int_equal(c.bootcount, 3);
	assert_int_equal(c.time.boot_ns, 77);
	tr_chain_start(&c, unknown);
	assert_int_equal(c.bootcount, 3);
	assert_memory_equal(c.boot_id, same, 16);
	tr_chain_start(&c, other);
	assert_int_equal(c.seq, 7000 + 3 * 1024);
	assert_int_equal(c.bootcount, 4);
	assert_memory_equal(c.boot_id, other, 16);
	/* The boot clock began again: what the server said is a lower bound from its zero on. */
	assert_int_equal(c.time.boot_ns, 0);
	c = (struct tr_chain){ 0 };
	tr_chain_start(&c, other);
	assert_int_equal(c.bootcount, 1);
}

/* A script of answers, and what each try says. */
static void answers_move_the_chain(void **state)
{
	enum { ACCEPT, RESYNC, FAIL };
	static const struct {
		const char *label;
		int answer;
		uint8_t ticket;				  /* in the answer */
		uint8_t says_ticket, says_old, says_prev; /* what the try before it says; 0: none */
		enum tr_chain_next want;
	} steps[] = {
		{ "a new chain", RESYNC, 1, 0, 0, 0, TR_CHAIN_AGAIN },
		{ "with the fresh ticket", ACCEPT, 2, 1, 0, 0, TR_CHAIN_ACCEPTED },
		{ "goes on", ACCEPT, 3, 2, 0, 2, TR_CHAIN_ACCEPTED },
		{ "no answer", FAIL, 0, 3, 0, 3, TR_CHAIN_GIVE_UP },
		{ "the same again", ACCEPT, 4, 3, 0, 3, TR_CHAIN_ACCEPTED },
		{ "server was restarted", RESYNC, 5, 4, 0, 5, TR_CHAIN_AGAIN },
		{ "old ticket enclosed", RESYNC, 6, 5, 4, 5, TR_CHAIN_GIVE_UP },
		{ "next beat: as if nothing was", RESYNC, 7, 4, 0, 5, TR_CHAIN_AGAIN },
		{ "cut off in between", FAIL, 0, 7, 4, 5, TR_CHAIN_GIVE_UP },
		{ "as if nothing was", RESYNC, 8, 4, 0, 5, TR_CHAIN_AGAIN },
		{ "at last", ACCEPT, 9, 8, 4, 5, TR_CHAIN_ACCEPTED },
		{ "goes on", ACCEPT, 10, 9, 0, 11, TR_CHAIN_ACCEPTED },
	};
	struct tr_chain c = { 0 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(steps); i++) {
		uint8_t ticket[TR_TICKET_LEN], digest[32];
		const struct tr_pulse_answer a = { .ticket = TR_VIEW_ARRAY(ticket),
						   .resync = steps[i].answer == RESYNC };
		struct tr_pulse p = { 0 };

		memset(ticket, steps[i].ticket, sizeof(ticket));
		memset(digest, (int)i + 1, sizeof(digest));
		tr_chain_try(&c, &p);
		assert_int_equal(p.seq, i + 1);
		assert_int_equal(p.ticket.n ? p.ticket.p[39] : 0, steps[i].says_ticket);
		assert_int_equal(p.old_ticket.n ? p.old_ticket.p[0] : 0, steps[i].says_old);
		assert_int_equal(p.prev[31], steps[i].says_prev);
		if (steps[i].answer == FAIL)
			tr_chain_failed(&c);
		else if (tr_chain_answered(&c, &a, digest) != steps[i].want)
			fail_msg("%s", steps[i].label);
	}
	assert_int_equal(c.resyncs, 5);
}

/* A copy of us was faster, or we were set back: the ticket is spent, and the way on is to ask for another. */
static void a_spent_ticket_is_not_sent_again(void **state)
{
	uint8_t ticket[TR_TICKET_LEN] = { 9 }, digest[32] = { 8 };
	struct tr_pulse_answer a = { .ticket = TR_VIEW_ARRAY(ticket), .resync = true };
	struct tr_chain c = sample();
	struct tr_pulse p = { 0 };

	(void)state;
	tr_chain_try(&c, &p);
	tr_chain_replayed(&c);
	tr_chain_try(&c, &p);
	assert_int_equal(p.ticket.n, 0);
	assert_int_equal(p.old_ticket.n, 0);
	assert_int_equal(p.prev[0], 0xaa);
	assert_int_equal(tr_chain_answered(&c, &a, digest), TR_CHAIN_AGAIN);
	tr_chain_try(&c, &p);
	assert_int_equal(p.ticket.p[0], 9);
	assert_int_equal(p.old_ticket.p[0], 0x77);
	a.resync = false;
	assert_int_equal(tr_chain_answered(&c, &a, digest), TR_CHAIN_ACCEPTED);
	assert_int_equal(c.prev[0], 8);
}

static void numbers_are_saved_before_a_crash_could_repeat_them(void **state)
{
	struct tr_chain c = sample();
	struct tr_pulse p = { 0 };
	unsigned tries = 0;

	(void)state;
	c.stored_seq = c.seq;
	while (!tr_chain_must_save(&c)) {
		tr_chain_try(&c, &p);
		tries++;
	}
	assert_int_equal(tries, TR_CHAIN_SKIP / 2);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_torn_file_is_seen),
		cmocka_unit_test(a_file_of_somebody_else_is_refused),
		cmocka_unit_test(a_folder_keeps_it),
		cmocka_unit_test(a_start_skips_numbers_and_counts_boots),
		cmocka_unit_test(answers_move_the_chain),
		cmocka_unit_test(a_spent_ticket_is_not_sent_again),
		cmocka_unit_test(numbers_are_saved_before_a_crash_could_repeat_them),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
