/* SPDX-License-Identifier: Apache-2.0 */
/* A change of the device key, stopped at every point: what a start finds is a pair that belongs together. */
#include "agent/rotate.h"

#include "agent/request.h"
#include "base/file.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[] = "/tmp/troth-rotate-XXXXXX";
static struct tr_err err;

static struct tr_state made(unsigned n)
{
	struct tr_state s = TR_STATE_INIT;
	char dir[64];
	bool key_made;

	snprintf(dir, sizeof(dir), "%s/%u", root, n);
	assert_int_equal(tr_dir_make(dir, 0700, &err), TR_OK);
	assert_int_equal(tr_state_open(dir, &s, &err), TR_OK);
	assert_int_equal(tr_state_make(&s, "web-1", n % 2 ? "p256" : "ed25519", &key_made, &err), TR_OK);
	assert_int_equal(tr_state_write(&s, "cert.pem", tr_view_str("old"), &err), TR_OK);
	return s;
}

static void id_of(const struct tr_privkey *k, uint8_t ret[32])
{
	memcpy(ret, tr_pubkey_id(tr_privkey_pub(k)), 32);
}

static bool there(const struct tr_state *s, const char *name)
{
	char path[PATH_MAX];

	tr_state_path(s, name, path);
	return tr_file_exists(path);
}

/* What a start would do. Returns whether the new key is in force. */
static bool start_again(struct tr_state *s, const uint8_t old[32], const uint8_t new[32])
{
	tr_auto(tr_state_done) struct tr_state again = TR_STATE_INIT;
	tr_auto(tr_buf_done) struct tr_buf cert = TR_BUF_INIT;
	bool is_new;

	assert_int_equal(tr_state_open(s->dir, &again, &err), TR_OK);
	assert_int_equal(tr_rotate_recover(&again, &err), TR_OK);
	assert_int_equal(tr_state_load(&again, &err),
			 TR_OK); /* checks key, device.pub and agent.json together */
	is_new = memcmp(again.conf.key_id.p, new, 32) == 0;
	assert_true(is_new || memcmp(again.conf.key_id.p, old, 32) == 0);
	assert_int_equal(tr_state_read(&again, "cert.pem", 100, &cert, &err), TR_OK);
	assert_true(tr_view_is(tr_buf_view(&cert), is_new ? "new" : "old"));
	assert_true(tr_view_is(again.conf.agent_id, "web-1"));
	return is_new;
}

static void every_point_of_the_switch_survives(void **state)
{
	(void)state;
	for (unsigned done = 0; done <= TR_ROTATE_STEPS; done++) {
		tr_auto(tr_state_done) struct tr_state s = made(done);
		tr_auto(tr_next_done) struct tr_next n = { 0 }, back = { 0 };
		uint8_t old[32], new[32];

		id_of(s.key, old);
		assert_int_equal(tr_rotate_begin(&s, &n, &err), TR_OK);
		id_of(n.key, new);
		assert_int_equal(tr_pubkey_type(tr_privkey_pub(n.key)),
				 tr_pubkey_type(tr_privkey_pub(s.key)));
		assert_int_equal(tr_state_write(&s, TR_NEXT_CERT, tr_view_str("new"), &err), TR_OK);
		for (unsigned i = 0; i < done; i++)
			assert_int_equal(tr_rotate_step(&s, i, &err), TR_OK);
		assert_int_equal(start_again(&s, old, new), done > 0);
		/* A whole pair that is not in its place waits; one that is leaves nothing behind. */
		assert_int_equal(tr_rotate_load(&s, &back, &err), done > 0 ? TR_E_NOTFOUND : TR_OK);
		assert_int_equal(there(&s, "device.key.next"), done == 0);
		assert_int_equal(there(&s, "device.pub.next"), done == 0);
		assert_int_equal(start_again(&s, old, new), done > 0);
	}
}

static void every_point_before_the_certificate_is_taken_back(void **state)
{
	static const char *const files[] = { "device.pub.next", "device.key.next" };

	(void)state;
	for (unsigned missing = 0; missing <= 2; missing++) {
		tr_auto(tr_state_done) struct tr_state s = made(10 + missing);
		tr_auto(tr_next_done) struct tr_next n = { 0 };
		uint8_t old[32], new[32];
		char path[PATH_MAX];

		id_of(s.key, old);
		assert_int_equal(tr_rotate_begin(&s, &n, &err), TR_OK);
		id_of(n.key, new);
		if (missing < 2) {
			tr_state_path(&s, files[missing], path);
			assert_int_equal(unlink(path), 0);
		}
		assert_false(start_again(&s, old, new));
		assert_false(there(&s, "device.key.next"));
		assert_false(there(&s, "device.pub.next"));
	}
}

static void finishing_takes_the_new_key_and_wipes_the_old(void **state)
{
	tr_auto(tr_state_done) struct tr_state s = made(20);
	tr_auto(tr_next_done) struct tr_next n = { 0 };
	uint8_t old[32], new[32];
	char path[PATH_MAX], kept[PATH_MAX];
	struct tr_buf bytes = TR_BUF_INIT;

	(void)state;
	id_of(s.key, old);
	tr_state_path(&s, "device.key", path);
	tr_state_path(&s, "same-file", kept);
	assert_int_equal(link(path, kept), 0);
	assert_int_equal(tr_rotate_begin(&s, &n, &err), TR_OK);
	id_of(n.key, new);
	assert_int_equal(tr_state_write(&s, TR_NEXT_CERT, tr_view_str("new"), &err), TR_OK);
	assert_int_equal(tr_rotate_finish(&s, &n, &err), TR_OK);
	assert_null(n.key);
	assert_memory_equal(tr_pubkey_id(tr_privkey_pub(s.key)), new, 32);
	assert_int_not_equal(s.conf.key_since, 0);
	assert_true(start_again(&s, old, new));
	assert_int_equal(tr_file_read(kept, 65536, &bytes, &err), TR_OK);
	assert_true(bytes.n > 50);
	for (size_t i = 0; i < bytes.n; i++)
		assert_int_equal(bytes.p[i], 0);
	tr_buf_done(&bytes);
	{
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void a_dropped_rotation_leaves_nothing(void **state)
{
	tr_auto(tr_state_done) struct tr_state s = made(22);
	struct tr_next n = { 0 };
	uint8_t old[32], new[32];

	(void)state;
	id_of(s.key, old);
	assert_int_equal(tr_rotate_begin(&s, &n, &err), TR_OK);
	id_of(n.key, new);
	assert_int_equal(tr_state_write(&s, TR_NEXT_CERT, tr_view_str("new"), &err), TR_OK);
	tr_rotate_drop(&s, &n);
	assert_null(n.key);
	assert_false(there(&s, "device.key.next") || there(&s, "device.pub.next") || there(&s, TR_NEXT_CERT));
	assert_false(start_again(&s, old, new));
}

static void requests_are_read_strictly(void **state)
{
	static const struct {
		const char *text;
		enum tr_code rc;
		enum tr_request_kind kind;
	} cases[] = {
		{ "{\"order\":\"announce\",\"notice\":\"reboot\",\"seconds\":900}", TR_OK,
		  TR_REQUEST_ANNOUNCE },
		{ "{\"order\":\"rotate-key\"}", TR_OK, TR_REQUEST_ROTATE },
		{ "{\"order\":\"announce\",\"notice\":\"party\",\"seconds\":900}", TR_E_INVALID,
		  TR_REQUEST_NONE },
		{ "{\"order\":\"announce\",\"notice\":\"reboot\",\"seconds\":604801}", TR_E_INVALID,
		  TR_REQUEST_NONE },
		{ "{\"order\":\"shutdown\"}", TR_E_INVALID, TR_REQUEST_NONE },
		{ "{\"order\":\"rotate-key\",\"x\":1}", TR_E_INVALID, TR_REQUEST_NONE },
		{ "{}", TR_E_INVALID, TR_REQUEST_NONE },
		{ "", TR_E_INVALID, TR_REQUEST_NONE },
	};
	const struct tr_request put = { .kind = TR_REQUEST_ANNOUNCE,
					.notice = TR_NOTICE_UPDATE,
					.seconds = 60 };
	tr_auto(tr_state_done) struct tr_state s = made(30);
	struct tr_request q;

	(void)state;
	assert_int_equal(tr_request_get(&s, &q, &err), TR_OK);
	assert_int_equal(q.kind, TR_REQUEST_NONE);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		assert_int_equal(tr_state_write(&s, "request.json", tr_view_str(cases[i].text), &err), TR_OK);
		if (tr_request_get(&s, &q, &err) != cases[i].rc || q.kind != cases[i].kind)
			fail_msg("%s", cases[i].text);
	}
	assert_int_equal(tr_request_put(&s, &put, &err), TR_OK);
	assert_int_equal(tr_request_get(&s, &q, &err), TR_OK);
	assert_int_equal(q.kind, TR_REQUEST_ANNOUNCE);
	assert_int_equal(q.notice, TR_NOTICE_UPDATE);
	assert_int_equal(q.seconds, 60);
	tr_request_drop(&s);
	assert_false(there(&s, "request.json"));
	/* Nobody runs here. */
	assert_int_equal(tr_request_make(&s, &put, 10, &err), TR_E_NOTFOUND);
	assert_false(there(&s, "request.json"));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
	(void)state;
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_point_of_the_switch_survives),
		cmocka_unit_test(every_point_before_the_certificate_is_taken_back),
		cmocka_unit_test(finishing_takes_the_new_key_and_wipes_the_old),
		cmocka_unit_test(a_dropped_rotation_leaves_nothing),
		cmocka_unit_test(requests_are_read_strictly),
	};

	if (tr_crypto_init(&err))
		return 1;
	return cmocka_run_group_tests(tests, make_root, drop_root);
}
