/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peer_test.h"

#include "agent/peer_store.h"

#define A TR_VIEW_LIT("a")
#define B TR_VIEW_LIT("b")

static struct tr_peer_store load(int64_t now, enum tr_code want)
{
	struct tr_peer_store p = { 0 };

	assert_int_equal(tr_peer_store_load(&state, now, &p, &err), want);
	return p;
}

static void save(const struct tr_peer_store *p)
{
	assert_int_equal(tr_peer_store_save(&state, p, &err), TR_OK);
}

static void numbers_count_on_and_windows_stay(void **unused)
{
	struct tr_peer_store p = load(NOW, TR_OK);
	uint64_t line, seq;

	(void)unused;
	assert_int_equal(p.floor_s, NOW);
	for (uint64_t i = 1; i < 4; i++) {
		assert_int_equal(tr_peer_store_next(&p, A, NOW, &line, &seq, &err), TR_OK);
		assert_true(line == (uint64_t)NOW && seq == i);
	}
	assert_int_equal(tr_peer_store_take(&p, B, 7, 1, NOW, &err), TR_OK);
	assert_int_equal(tr_peer_store_take(&p, B, 7, 4, NOW, &err), TR_OK);
	tr_peer_store_saw_prekey(&p, A, 9, NOW);
	tr_peer_store_saw_prekey(&p, A, 8, NOW);
	save(&p);
	tr_peer_store_done(&p);

	p = load(NOW + 500, TR_OK);
	assert_int_equal(p.floor_s, NOW);
	assert_true(tr_peer_store_prekey(&p, A) == 9 && tr_peer_store_prekey(&p, B) == 0);
	assert_int_equal(tr_peer_store_next(&p, A, NOW + 500, &line, &seq, &err), TR_OK);
	assert_true(line == (uint64_t)NOW && seq == 4);
	assert_int_equal(tr_peer_store_check(&p, B, 7, 1), TR_WINDOW_SEEN);
	assert_int_equal(tr_peer_store_check(&p, B, 7, 2), TR_WINDOW_NEW);
	assert_int_equal(tr_peer_store_check(&p, B, 6, 9), TR_WINDOW_OLD_LINE);
	assert_int_equal(tr_peer_store_check(&p, A, 7, 1), TR_WINDOW_NEW);
	assert_true(tr_peer_store_missing(&p, B) == 2 && tr_peer_store_missing(&p, A) == 0);
	tr_peer_store_done(&p);
}

/* What was taken then is not known: nothing of that time is taken again, and no number of ours is used twice. */
static void damage_begins_anew(void **unused)
{
	struct tr_peer_store p = load(NOW + 600, TR_OK);
	char path[PATH_MAX];
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint64_t line, seq, inbox = p.inbox;

	(void)unused;
	tr_peer_store_done(&p);
	tr_state_path(&state, TR_PEER_STORE_FILE, path);
	assert_int_equal(tr_file_read(path, 1 << 20, &b, &err), TR_OK);
	for (size_t n = 0; n < b.n; n += 7) {
		put_file(TR_PEER_STORE_FILE, tr_view(b.p, n));
		p = load(NOW + 700, TR_E_INVALID);
		assert_true(p.floor_s == NOW + 700 && p.inbox > inbox && !p.n_senders && !p.n_recipients);
		tr_peer_store_done(&p);
	}
	p = load(NOW + 700, TR_E_INVALID);
	assert_int_equal(tr_peer_store_next(&p, A, NOW + 700, &line, &seq, &err), TR_OK);
	assert_true(line == (uint64_t)NOW + 700 && seq == 1);
	save(&p);
	tr_peer_store_done(&p);
}

static void it_is_bounded(void **unused)
{
	struct tr_peer_store p = load(NOW + 800, TR_OK);
	char name[16];
	uint64_t line, seq;

	(void)unused;
	for (unsigned i = 0; i < TR_PEER_SENDERS_MAX + 10; i++) {
		(void)snprintf(name, sizeof(name), "s%u", i);
		assert_int_equal(tr_peer_store_take(&p, tr_view_str(name), 1, 1, NOW + 800, &err),
				 i < TR_PEER_SENDERS_MAX ? TR_OK : TR_E_BUSY);
		assert_int_equal(tr_peer_store_next(&p, tr_view_str(name), NOW + 800 + i, &line, &seq, &err), TR_OK);
	}
	/* Whose messages of then have all expired makes room. */
	assert_int_equal(tr_peer_store_take(&p, A, 1, 1, NOW + 3 * 86400, &err), TR_OK);
	assert_int_equal(tr_peer_store_check(&p, TR_VIEW_LIT("s0"), 1, 1), TR_WINDOW_NEW);
	/* A recipient that was forgotten has a line of its own, and no number twice in one. */
	assert_int_equal(tr_peer_store_next(&p, TR_VIEW_LIT("s0"), NOW + 90000, &line, &seq, &err), TR_OK);
	assert_true(line == (uint64_t)NOW + 90000 && seq == 1);
	save(&p);
	tr_peer_store_done(&p);
	p = load(NOW, TR_OK);
	assert_true(p.n_senders == TR_PEER_SENDERS_MAX && p.n_recipients == TR_PEER_RECIPIENTS_MAX);
	tr_peer_store_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_count_on_and_windows_stay),
		cmocka_unit_test(damage_begins_anew),
		cmocka_unit_test(it_is_bounded),
	};

	return cmocka_run_group_tests(tests, make_state, drop_state);
}
