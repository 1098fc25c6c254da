/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/state.h"

#include "base/file.h"
#include "codec/ident.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[] = "/tmp/troth-state-XXXXXX";
static struct tr_err err;

static const char *dir_named(const char *name)
{
	static char path[PATH_MAX - 64];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

/* A fresh folder with what `init` makes. */
static struct tr_state made(const char *name, const char *id, const char *type)
{
	struct tr_state s = TR_STATE_INIT;
	bool key_made = false;

	assert_int_equal(tr_dir_make(dir_named(name), 0700, &err), TR_OK);
	assert_int_equal(tr_state_open(dir_named(name), &s, &err), TR_OK);
	assert_int_equal(tr_state_make(&s, id, type, &key_made, &err), TR_OK);
	assert_true(key_made);
	return s;
}

static void make(const char *name, const char *id)
{
	struct tr_state s = made(name, id, NULL);

	tr_state_done(&s);
}

static void put(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir_named(dir), name);
	assert_int_equal(tr_file_write(path, tr_view_str(text), mode, &err), TR_OK);
}

static void get(const char *dir, const char *name, struct tr_buf *b)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir_named(dir), name);
	assert_int_equal(tr_file_read(path, 65536, b, &err), TR_OK);
}

static enum tr_code load(const char *dir)
{
	struct tr_state s = TR_STATE_INIT;
	enum tr_code rc = tr_state_open(dir_named(dir), &s, &err);

	if (!rc)
		rc = tr_state_load(&s, &err);
	tr_state_done(&s);
	return rc;
}

static void default_ids_are_always_in_the_grammar(void **state)
{
	static const struct {
		const char *host, *want;
	} cases[] = {
		{ "web-1", "web-1-0badcafe" },
		{ "web-1.example.org", "web-1-0badcafe" },
		{ "", "agent-0badcafe" },
		{ "---", "agent-0badcafe" },
		{ "-x:/ y%", "xy-0badcafe" },
		{ "\xc3\xa4pfel", "pfel-0badcafe" },
		{ "0123456789012345678901234567890123456789012345678901234567890123456789",
		  "0123456789012345678901234567890123456789012345678901234-0badcafe" },
	};
	const uint8_t key_id[32] = { 0x0b, 0xad, 0xca, 0xfe };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		char id[65];

		tr_state_default_id(cases[i].host, key_id, id);
		assert_string_equal(id, cases[i].want);
		assert_true(tr_ident_ok(tr_view_str(id)));
	}
}

static void server_lists_are_checked_and_walked_in_order(void **state)
{
	static const struct {
		const char *in, *want; /* NULL: refused */
	} cases[] = {
		{ "https://a", "https://a" },
		{ "https://a:8443/", "https://a:8443" },
		{ "https://a:1, https://b.example:2", "https://a:1,https://b.example:2" },
		{ "https://[::1]:8443,https://127.0.0.1:1", "https://[::1]:8443,https://127.0.0.1:1" },
		{ "https://[::1]", "https://[::1]" },
		{ "", NULL },
		{ "a:8443", NULL },
		{ "http://a", NULL },
		{ "https://", NULL },
		{ "https://:8443", NULL },
		{ "https://a:", NULL },
		{ "https://a:123456", NULL },
		{ "https://a:12x", NULL },
		{ "https://user@a", NULL },
		{ "https://a/path", NULL },
		{ "https://a?x", NULL },
		{ "https://a b", NULL },
		{ "https://[::1", NULL },
		{ "https://[::1]x", NULL },
		{ "https://a,,https://b", NULL },
		{ "https://a,", NULL },
		{ "https://a\n", NULL },
		{ "https://1,https://2,https://3,https://4,https://5,https://6,https://7,https://8,https://9",
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		enum tr_code rc = tr_servers_check(cases[i].in, &b, &err);

		if (cases[i].want ? rc != TR_OK || strcmp(tr_buf_cstr(&b), cases[i].want) != 0
				  : rc != TR_E_INVALID)
			fail_msg("\"%s\": %d \"%s\"", cases[i].in, rc, tr_buf_cstr(&b));
	}
	{
		struct tr_view list = TR_VIEW_LIT("https://a:1,https://b");
		char url[TR_URL_MAX + 1];

		assert_true(tr_servers_next(&list, url));
		assert_string_equal(url, "https://a:1");
		assert_true(tr_servers_next(&list, url));
		assert_string_equal(url, "https://b");
		assert_false(tr_servers_next(&list, url));
	}
}

static void init_twice_keeps_the_key(void **state)
{
	static const char *const types[] = { "ed25519", "p256", "rsa" };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(types); i++) {
		tr_auto(tr_state_done) struct tr_state s = made(types[i], "web-1", types[i]);
		tr_auto(tr_buf_done) struct tr_buf before = TR_BUF_INIT, after = TR_BUF_INIT;
		bool key_made = true;
		struct stat st;
		char path[PATH_MAX];

		assert_true(tr_view_is(s.conf.agent_id, "web-1"));
		assert_true(tr_view_is(s.conf.key_type, types[i]));
		tr_state_path(&s, "device.key", path);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		get(types[i], "device.key", &before);
		assert_int_equal(tr_state_make(&s, NULL, NULL, &key_made, &err), TR_OK);
		assert_false(key_made);
		assert_int_equal(tr_state_make(&s, "web-1", types[i], &key_made, &err), TR_OK);
		assert_int_equal(tr_state_make(&s, "web-2", NULL, &key_made, &err), TR_E_CONFLICT);
		assert_int_equal(tr_state_make(&s, NULL, types[(i + 1) % 3], &key_made, &err), TR_E_CONFLICT);
		assert_int_equal(tr_state_make(&s, "a:b", NULL, &key_made, &err), TR_E_INVALID);
		assert_int_equal(tr_state_make(&s, NULL, "dsa", &key_made, &err), TR_E_INVALID);
		get(types[i], "device.key", &after);
		assert_true(tr_view_eq(tr_buf_view(&before), tr_buf_view(&after)));
	}
}

static void an_init_that_was_cut_off_is_completed(void **state)
{
	tr_auto(tr_state_done) struct tr_state s = made("cut", "web-1", NULL);
	char path[PATH_MAX];
	bool key_made = true;

	(void)state;
	tr_state_path(&s, "agent.json", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(load("cut"), TR_E_NOTFOUND);
	tr_state_path(&s, "device.pub", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(tr_state_make(&s, "web-1", NULL, &key_made, &err), TR_OK);
	assert_false(key_made);
	assert_int_equal(load("cut"), TR_OK);
}

static void a_lost_key_is_not_replaced(void **state)
{
	tr_auto(tr_state_done) struct tr_state s = made("lost", "web-1", NULL);
	char path[PATH_MAX];
	bool key_made = true;

	(void)state;
	tr_state_path(&s, "device.key", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(load("lost"), TR_E_NOTFOUND);
	assert_int_equal(tr_state_make(&s, NULL, NULL, &key_made, &err), TR_E_CONFLICT);
	assert_false(tr_file_exists(path));
}

static void damage_is_seen_at_load(void **state)
{
	static const char other_id[] =
		"{\"agent_id\":\"x\",\"key_id\":"
		"\"0000000000000000000000000000000000000000000000000000000000000000\"}";
	static const struct {
		const char *label, *file, *text;
		mode_t mode;
		enum tr_code want;
	} cases[] = {
		{ "key that others can read", "device.key", NULL, 0640, TR_E_DENIED },
		{ "key that is no key", "device.key", "hello\n", 0600, TR_E_INVALID },
		{ "empty key", "device.key", "", 0600, TR_E_INVALID },
		{ "public key that is none", "device.pub", "hello\n", 0644, TR_E_INVALID },
		{ "no JSON", "agent.json", "{", 0600, TR_E_INVALID },
		{ "no id", "agent.json", "{}", 0600, TR_E_INVALID },
		{ "another key's folder", "agent.json", other_id, 0600, TR_E_CONFLICT },
		{ "short key id", "agent.json", "{\"agent_id\":\"x\",\"key_id\":\"00\"}", 0600,
		  TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		char name[32], path[PATH_MAX];
		enum tr_code rc;

		snprintf(name, sizeof(name), "bad%zu", i);
		{
			tr_auto(tr_state_done) struct tr_state s = made(name, "web-1", NULL);

			tr_state_path(&s, cases[i].file, path);
		}
		assert_int_equal(load(name), TR_OK);
		if (cases[i].text)
			put(name, cases[i].file, cases[i].text, cases[i].mode);
		else
			assert_int_equal(chmod(path, cases[i].mode), 0);
		rc = load(name);
		if (rc != cases[i].want)
			fail_msg("%s: %s (%s)", cases[i].label, tr_code_name(rc), err.detail);
	}
}

static void an_exchanged_key_is_seen(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf key = TR_BUF_INIT;

	(void)state;
	make("mine", "web-1");
	make("other", "web-2");
	get("other", "device.key", &key);
	put("mine", "device.key", tr_buf_cstr(&key), 0600);
	assert_int_equal(load("mine"), TR_E_CONFLICT);
}

static void an_open_folder_is_refused(void **state)
{
	struct tr_state s = TR_STATE_INIT;

	(void)state;
	make("open", "web-1");
	assert_int_equal(chmod(dir_named("open"), 0750), 0);
	assert_int_equal(tr_state_open(dir_named("open"), &s, &err), TR_E_DENIED);
	assert_int_equal(tr_state_open(dir_named("nowhere"), &s, &err), TR_E_NOTFOUND);
	put("other", "file", "", 0600);
	assert_int_equal(tr_state_open(dir_named("other/file"), &s, &err), TR_E_CONFLICT);
}

static void one_process_at_a_time(void **state)
{
	tr_auto(tr_state_done) struct tr_state a = made("locked", "web-1", NULL);
	tr_auto(tr_state_done) struct tr_state b = TR_STATE_INIT;

	(void)state;
	assert_int_equal(tr_state_open(dir_named("locked"), &b, &err), TR_OK);
	assert_false(tr_state_in_use(&b));
	assert_int_equal(tr_state_lock(&a, &err), TR_OK);
	assert_true(tr_state_in_use(&b));
	assert_int_equal(tr_state_lock(&b, &err), TR_E_BUSY);
	tr_state_done(&a);
	a = TR_STATE_INIT;
	assert_int_equal(tr_state_lock(&b, &err), TR_OK);
}

static void conf_and_status_come_back(void **state)
{
	tr_auto(tr_state_done) struct tr_state s = made("conf", "web-1", NULL);
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct tr_agent_conf c = s.conf;
	const uint8_t pin[32] = { 1, 2, 3 };
	struct tr_agent_status st = { .state = TR_VIEW_LIT("ok"),
				      .beats = 7,
				      .clock_skew_ms = -12,
				      .last_error = TR_VIEW_LIT("a \"b\"") },
			       got;

	(void)state;
	c.servers = TR_VIEW_LIT("https://a:1,https://b:2");
	c.root = TR_VIEW_ARRAY(pin);
	c.enrolled_at = 1795312800000;
	assert_int_equal(tr_state_save(&s, &c, &err), TR_OK);
	assert_true(tr_view_is(s.conf.servers, "https://a:1,https://b:2"));
	assert_true(tr_view_eq(s.conf.root, TR_VIEW_ARRAY(pin)));
	assert_true(tr_view_is(s.conf.agent_id, "web-1"));
	assert_int_equal(s.conf.enrolled_at, 1795312800000);
	assert_int_equal(load("conf"), TR_OK);

	assert_int_equal(tr_status_load(&s, &doc, &arena, &got, &err), TR_E_NOTFOUND);
	assert_int_equal(tr_status_save(&s, &st, &err), TR_OK);
	assert_int_equal(tr_status_load(&s, &doc, &arena, &got, &err), TR_OK);
	assert_int_equal(got.beats, 7);
	assert_int_equal(got.clock_skew_ms, -12);
	assert_true(tr_view_is(got.last_error, "a \"b\""));
}

static void a_newer_agents_folder_loads(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	make("newer", "web-1");
	get("newer", "agent.json", &b);
	b.n -= 2; /* "}\n" */
	tr_buf_adds(&b, ",\"from_the_future\":[1]}\n");
	put("newer", "agent.json", tr_buf_cstr(&b), 0600);
	assert_int_equal(load("newer"), TR_OK);
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int drop_root(void **state)
{
	(void)state;
	return nftw(root, drop, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_ids_are_always_in_the_grammar),
		cmocka_unit_test(server_lists_are_checked_and_walked_in_order),
		cmocka_unit_test(init_twice_keeps_the_key),
		cmocka_unit_test(an_init_that_was_cut_off_is_completed),
		cmocka_unit_test(a_lost_key_is_not_replaced),
		cmocka_unit_test(damage_is_seen_at_load),
		cmocka_unit_test(an_exchanged_key_is_seen),
		cmocka_unit_test(an_open_folder_is_refused),
		cmocka_unit_test(one_process_at_a_time),
		cmocka_unit_test(conf_and_status_come_back),
		cmocka_unit_test(a_newer_agents_folder_loads),
	};

	if (tr_crypto_init(&err))
		return 1;
	return cmocka_run_group_tests(tests, make_root, drop_root);
}
