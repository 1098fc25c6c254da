/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/authority.h"

#include "agent/bootstrap.h"
#include "base/file.h"
#include "codec/cbor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW INT64_C(1795330800000)
#define HOUR INT64_C(3600000)
#define N 6

static struct tr_err err;
static struct tr_privkey *root_a, *root_b;
static struct tr_buf chain[N]; /* epochs 1 to N; the roots change from a to b with epoch 4 */
static uint8_t pin_a[32], pin_b[32];
static char dir[] = "/tmp/troth-authority-XXXXXX";
static unsigned folders;

static void keyset(uint64_t epoch, const struct tr_privkey *own, const struct tr_privkey *also,
		   struct tr_view prev, int64_t expires_ms, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	const struct tr_privkey *by[2] = { own, also };
	uint8_t digest[32];
	char ca[16];
	struct tr_keyset k = {
		.trust_domain = TR_VIEW_LIT("e2e.example"),
		.epoch = epoch,
		.issued_ms = NOW - 1000 * HOUR + (int64_t)epoch,
		.expires_ms = expires_ms,
		.threshold = 1,
		.n_roots = 1,
		.n_keys = 1,
		.revocation_number = epoch,
	};

	(void)snprintf(ca, sizeof(ca), "CA %d", epoch < 3 ? 1 : 2);
	k.roots[0] = tr_pubkey_spki(tr_privkey_pub(own));
	k.keys[0] = (struct tr_keyset_key){ TR_ROLE_CA, tr_view_str(ca), 1, 0, 0 };
	if (prev.n) {
		tr_keyset_digest(prev, digest);
		k.prev_digest = TR_VIEW_ARRAY(digest);
	}
	if (tr_keyset_payload(&k, &payload, &err) ||
	    tr_keyset_sign(tr_buf_view(&payload), by, also ? 2 : 1, ret, &err))
		fail_msg("epoch %d: %s (%s)", (int)epoch, err.pub, err.detail);
	tr_keyset_root_fingerprint(&k, own == root_a ? pin_a : pin_b);
}

static struct tr_view page(size_t from, size_t to, struct tr_buf *b)
{
	tr_buf_clear(b);
	tr_cbor_put_array(b, to - from);
	for (size_t i = from; i < to; i++)
		tr_cbor_put_bytes(b, tr_buf_view(&chain[i]));
	return tr_buf_view(b);
}

static void from_a_pin_to_the_newest(void **state)
{
	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		tr_auto(tr_keywalk_done) struct tr_keywalk w = { .pin = late ? pin_b : pin_a, .seek = pin_a };
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		uint8_t root[32];
		size_t n = 0;

		assert_int_equal(tr_keywalk_page(&w, page(0, 2, &b), &n, &err), TR_OK);
		assert_true(n == 2 && w.last == 2 && w.has == !late);
		assert_int_equal(tr_keywalk_page(&w, page(2, N, &b), &n, &err), TR_OK);
		assert_int_equal(tr_keywalk_page(&w, page(0, 0, &b), &n, &err), TR_OK);
		assert_true(n == 0 && w.has && w.keyset.epoch == N && w.sought);
		assert_int_equal(tr_keywalk_end(&w, NOW, &err), TR_OK);
		tr_keyset_root_fingerprint(&w.keyset, root);
		assert_memory_equal(root, pin_b, 32);
		assert_int_equal(tr_keywalk_end(&w, NOW + 1000 * HOUR, &err),
				 TR_E_DENIED); /* the last one has to be in force */
	}
}

/* Steps by hand: what does not follow is not followed. */
static void what_does_not_follow(void **state)
{
	const uint8_t nobody[32] = { 1 };
	tr_auto(tr_buf_done) struct tr_buf forged = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_keywalk w = { .pin = pin_a };
	size_t n = 0;

	(void)state;
	assert_int_equal(tr_keywalk_page(&w, page(0, 2, &b), &n, &err), TR_OK);
	/* Left out. */
	assert_int_equal(tr_keywalk_step(&w, tr_buf_view(&chain[3]), &err), TR_E_DENIED);
	/* By a root of nobody. */
	keyset(3, root_b, NULL, tr_buf_view(&chain[1]), NOW + HOUR, &forged);
	assert_int_equal(tr_keywalk_step(&w, tr_buf_view(&forged), &err), TR_E_DENIED);
	/* Back again. */
	assert_int_equal(tr_keywalk_step(&w, tr_buf_view(&chain[0]), &err), TR_E_DENIED);
	assert_true(w.keyset.epoch == 2);
	assert_int_equal(tr_keywalk_page(&w, page(0, 1, &b), &n, &err), TR_E_DENIED);
	assert_int_equal(tr_keywalk_page(&w,
					 TR_VIEW_LIT("\x81\x43"
						     "abc"),
					 &n, &err),
			 TR_E_INVALID);
	assert_int_equal(tr_keywalk_page(&w, TR_VIEW_LIT("\x80\x80"), &n, &err), TR_E_INVALID);
	assert_int_equal(tr_keywalk_step(&w, tr_buf_view(&chain[2]), &err), TR_OK);
	tr_keywalk_done(&w);
	w = (struct tr_keywalk){ .pin = nobody };
	assert_int_equal(tr_keywalk_page(&w, page(0, N, &b), &n, &err), TR_OK);
	assert_false(w.has);
	assert_int_equal(tr_keywalk_end(&w, NOW, &err), TR_E_DENIED);
	/* Nobody signs these, so nobody runs out of them. */
	for (n = 0; n < 20000 && !tr_keywalk_step(&w, tr_buf_view(&chain[0]), &err); n++)
		continue;
	assert_in_range(n, 10000, 19999);
	tr_keywalk_done(&w);
}

/* ---- the folder ---- */

static struct tr_state folder(void)
{
	struct tr_state s = TR_STATE_INIT;
	struct tr_agent_conf c;
	char path[64];
	bool made;

	(void)snprintf(path, sizeof(path), "%s/%u", dir, folders++);
	assert_int_equal(tr_dir_make(path, 0700, &err), TR_OK);
	assert_int_equal(tr_state_open(path, &s, &err), TR_OK);
	assert_int_equal(tr_state_make(&s, "web-1", "ed25519", &made, &err), TR_OK);
	assert_int_equal(tr_state_write(&s, "keyset.cose", tr_buf_view(&chain[0]), &err), TR_OK);
	assert_int_equal(tr_state_write(&s, "ca.pem", TR_VIEW_LIT("CA of the enrolment"), &err), TR_OK);
	c = s.conf;
	c.root = TR_VIEW_ARRAY(pin_a);
	c.enrolled_at = NOW - HOUR;
	assert_int_equal(tr_state_save(&s, &c, &err), TR_OK);
	return s;
}

static bool holds(const struct tr_state *s, const char *name, struct tr_view want)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	return !tr_state_read(s, name, TR_KEYSET_MAX, &b, &err) && tr_view_eq(tr_buf_view(&b), want);
}

static void what_was_accepted_is_on_disk(void **state)
{
	tr_auto(tr_state_done) struct tr_state s = folder();
	tr_auto(tr_authority_done) struct tr_authority a = { 0 }, next = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, ca = TR_BUF_INIT;
	bool moved = true;
	size_t n = 9;

	(void)state;
	tr_authority_load(&s, &a);
	assert_true(a.walk.has && a.walk.keyset.epoch == 1 && a.refreshed_ms == NOW - HOUR && !a.journal);
	assert_int_equal(tr_authority_take(&s, &a, page(0, 0, &b), NOW, &n, &moved, &err), TR_OK);
	assert_true(n == 0 && !moved);
	assert_int_equal(tr_authority_take(&s, &a, page(1, 3, &b), NOW, &n, &moved, &err), TR_OK);
	assert_true(n == 2 && moved && a.walk.keyset.epoch == 3);
	assert_true(holds(&s, "keyset.cose", tr_buf_view(&chain[2])));
	assert_true(tr_view_eq(s.conf.root, TR_VIEW_ARRAY(pin_a)));
	assert_int_equal(tr_state_read(&s, "ca.pem", 4096, &ca, &err), TR_OK);
	assert_true(tr_view_starts(tr_buf_view(&ca), "-----BEGIN CERTIFICATE-----\nQ0EgMg==")); /* "CA 2" */
	/* The new roots: the pin moves along. */
	assert_int_equal(tr_authority_take(&s, &a, page(3, 5, &b), NOW, &n, &moved, &err), TR_OK);
	assert_true(tr_view_eq(s.conf.root, TR_VIEW_ARRAY(pin_b)));
	a.journal = true;
	a.refreshed_ms = NOW + 7;
	assert_int_equal(tr_authority_save(&s, &a, &err), TR_OK);
	tr_authority_load(&s, &next);
	assert_true(next.walk.keyset.epoch == 5 && next.stored_epoch == 5 && next.journal &&
		    next.refreshed_ms == NOW + 7);
	/* Older ones are refused, and nothing changes. */
	assert_int_equal(tr_authority_take(&s, &next, page(0, 5, &b), NOW, &n, &moved, &err), TR_E_DENIED);
	assert_true(!moved && next.walk.keyset.epoch == 5);
	assert_true(holds(&s, "keyset.cose", tr_buf_view(&chain[4])));
}

static void steps_that_verified_count_whatever_came_after(void **state)
{
	tr_auto(tr_state_done) struct tr_state s = folder();
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	bool moved = false;
	size_t n = 0;

	(void)state;
	tr_authority_load(&s, &a);
	tr_cbor_put_array(&b, 2);
	tr_cbor_put_bytes(&b, tr_buf_view(&chain[1]));
	tr_cbor_put_bytes(&b, TR_VIEW_LIT("garbage"));
	assert_int_not_equal(tr_authority_take(&s, &a, tr_buf_view(&b), NOW, &n, &moved, &err), TR_OK);
	assert_true(moved && a.walk.keyset.epoch == 2);
	assert_true(holds(&s, "keyset.cose", tr_buf_view(&chain[1])));
}

static void a_damaged_keyset_begins_at_the_pin(void **state)
{
	tr_auto(tr_state_done) struct tr_state s = folder();
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	bool moved = false;
	size_t n = 0;

	(void)state;
	assert_int_equal(tr_state_write(&s, "keyset.cose", TR_VIEW_LIT("damaged"), &err), TR_OK);
	tr_authority_load(&s, &a);
	assert_true(!a.walk.has && tr_authority_is_due(&a, NOW, 1, 0) && tr_authority_is_stale(&a, NOW, 720));
	assert_int_equal(tr_authority_take(&s, &a, page(0, N, &b), NOW, &n, &moved, &err), TR_OK);
	assert_true(moved && a.walk.keyset.epoch == N);
	assert_true(holds(&s, "keyset.cose", tr_buf_view(&chain[N - 1])));
}

/* A disk that is full: the revocation counts in memory, and is written when there is room. */
static void what_cannot_be_written_is_written_later(void **state)
{
	tr_auto(tr_state_done) struct tr_state s = folder();
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	char was[sizeof(s.dir)];
	bool moved = false;
	size_t n = 0;

	(void)state;
	tr_authority_load(&s, &a);
	memcpy(was, s.dir, sizeof(was));
	(void)snprintf(s.dir, sizeof(s.dir), "%s/none", dir);
	assert_int_not_equal(tr_authority_take(&s, &a, page(1, 2, &b), NOW, &n, &moved, &err), TR_OK);
	assert_true(moved && a.walk.keyset.epoch == 2);
	memcpy(s.dir, was, sizeof(was));
	assert_int_equal(tr_authority_take(&s, &a, page(0, 0, &b), NOW, &n, &moved, &err), TR_OK);
	assert_true(!moved && holds(&s, "keyset.cose", tr_buf_view(&chain[1])));
}

static void when_it_is_asked_for(void **state)
{
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };

	(void)state;
	a.walk.has = true;
	a.walk.keyset.epoch = 3;
	a.walk.keyset.expires_ms = NOW + 10000 * HOUR;
	a.refreshed_ms = NOW;
	assert_false(tr_authority_is_due(&a, NOW + 5 * HOUR, 1, 0));
	assert_true(tr_authority_is_due(&a, NOW + 6 * HOUR, 1, 0)); /* between 5.4 h and 6.6 h */
	assert_false(tr_authority_is_due(&a, NOW + 6 * HOUR, 1, (uint32_t)TR_AUTHORITY_EVERY_MS / 5 - 1));
	assert_true(tr_authority_is_due(&a, NOW + 7 * HOUR, 1, UINT32_MAX));
	a.not_before_mono = 50;
	assert_false(tr_authority_is_due(&a, NOW + 7 * HOUR, 49, 0));
	assert_true(tr_authority_is_due(&a, NOW + 7 * HOUR, 50, 0));
	assert_false(tr_authority_is_old(&a, NOW + 24 * HOUR));
	assert_true(tr_authority_is_old(&a, NOW + 24 * HOUR + 1));
	a.told_epoch = 4;
	assert_true(tr_authority_is_due(&a, NOW, 50, 0) && tr_authority_is_old(&a, NOW));
	a.told_epoch = 3;
	assert_false(tr_authority_is_due(&a, NOW, 50, 0) || tr_authority_is_old(&a, NOW));
	assert_false(tr_authority_is_stale(&a, NOW + 168 * HOUR, 0));
	assert_true(tr_authority_is_stale(&a, NOW + 168 * HOUR + 1, 0));
	assert_true(tr_authority_is_stale(&a, NOW + 2 * HOUR, 1));
	assert_false(tr_authority_is_stale(&a, NOW + 719 * HOUR, 720));
	a.refreshed_ms = NOW + 8 * HOUR; /* by a clock that was wrong */
	assert_true(tr_authority_is_stale(&a, NOW, 720));
	a.refreshed_ms = NOW;
	a.walk.keyset.expires_ms = NOW + HOUR;
	assert_true(tr_authority_is_stale(&a, NOW + HOUR, 720));
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || tr_privkey_generate(TR_KEY_ED25519, &root_a, &err) ||
	    tr_privkey_generate(TR_KEY_ED25519, &root_b, &err))
		return 1;
	/* Some of them are over by now. */
	for (uint64_t i = 0; i < N; i++)
		keyset(i + 1, i < 3 ? root_a : root_b, i == 3 ? root_a : NULL,
		       i ? tr_buf_view(&chain[i - 1]) : tr_view(NULL, 0),
		       i < 2 || i == 3 ? NOW - HOUR : NOW + 500 * HOUR, &chain[i]);
	return 0;
}

static int tear_down(void **state)
{
	char cmd[128];

	(void)state;
	for (size_t i = 0; i < N; i++)
		tr_buf_done(&chain[i]);
	tr_privkey_free(root_a);
	tr_privkey_free(root_b);
	for (unsigned i = 0; i < folders; i++) {
		static const char *const names[] = { "agent.json",  "device.key", "device.pub",
						     "keyset.cose", "ca.pem",	  "authority.cbor" };

		for (size_t k = 0; k < TR_ARRAY_LEN(names); k++) {
			(void)snprintf(cmd, sizeof(cmd), "%s/%u/%s", dir, i, names[k]);
			(void)unlink(cmd);
		}
		(void)snprintf(cmd, sizeof(cmd), "%s/%u", dir, i);
		(void)rmdir(cmd);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_a_pin_to_the_newest),
		cmocka_unit_test(what_does_not_follow),
		cmocka_unit_test(what_was_accepted_is_on_disk),
		cmocka_unit_test(steps_that_verified_count_whatever_came_after),
		cmocka_unit_test(a_damaged_keyset_begins_at_the_pin),
		cmocka_unit_test(what_cannot_be_written_is_written_later),
		cmocka_unit_test(when_it_is_asked_for),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
