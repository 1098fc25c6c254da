/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/text.h"
#include "signed/compat_command.h"
#include "troth/troth.h"

#define AGENT "web-1"
#define AT_MS INT64_C(1795310523000)

static struct tr_privkey *key;
static char key_hex[65], other_hex[65];

static void hex_of(const struct tr_privkey *k, char out[65])
{
	struct tr_view spki = tr_pubkey_spki(tr_privkey_pub(k));
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_hex_add(&b, tr_view(spki.p + spki.n - 32, 32));
	(void)snprintf(out, 65, "%s", tr_buf_cstr(&b));
}

static void make(struct tr_buf *json)
{
	const struct tr_compat_command c = { .id = TR_VIEW_LIT("c-1"), .type = TR_VIEW_LIT("scan"), .agent_id = TR_VIEW_LIT(AGENT),
					     .params = TR_VIEW_LIT("{\"b\": 1.0, \"a\": \"<\"}"), .signed_s = AT_MS / 1000,
					     .created_ms = AT_MS };
	struct tr_err err;

	assert_int_equal(tr_compat_sign(&c, key, json, &err), TR_OK);
}

static const char *const both[] = { key_hex, other_hex }, *const strangers[] = { other_hex };

static struct troth_command_check sample(void)
{
	return (struct troth_command_check){ .size = sizeof(struct troth_command_check), .agent_id = AGENT, .keys = both,
					     .n_keys = 2, .now_ms = AT_MS };
}

static void a_command_is_judged(void **state)
{
	static const struct {
		const char *label;
		const char *agent;
		int64_t now_ms;
		bool stranger;
		const char *reason;
		enum troth_command_form then;
	} cases[] = {
		{ "good", AGENT, AT_MS, false, "good", TROTH_COMMAND_V3 },
		{ "of another agent", "web-2", AT_MS, false, "wrong_agent", TROTH_COMMAND_V3 },
		{ "four hours later", AGENT, AT_MS + 4 * 3600000 + 1, false, "too_old", TROTH_COMMAND_V3 },
		{ "before its time", AGENT, AT_MS - 300001, false, "not_yet", TROTH_COMMAND_V3 },
		{ "by a key that is not in force", AGENT, AT_MS, true, "unknown_key", TROTH_COMMAND_NONE },
	};
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;

	(void)state;
	make(&json);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct troth_command_check c = sample();
		struct troth_command_verdict v = { .size = sizeof(v) };
		struct troth_error err = { 0 };
		char *params = NULL;
		enum troth_code rc;

		c.agent_id = cases[i].agent;
		c.now_ms = cases[i].now_ms;
		if (cases[i].stranger) {
			c.keys = strangers;
			c.n_keys = 1;
		}
		rc = troth_command_verify_original(json.p, json.n, &c, &v, &params, &err);
		CHECK(strcmp(v.reason, cases[i].reason) == 0 && c.highest == cases[i].then, cases[i].label);
		CHECK(rc == (v.good ? TROTH_OK : TROTH_E_REFUSED) && v.form == TROTH_COMMAND_V3, cases[i].label);
		CHECK(strcmp(v.id, "c-1") == 0 && strcmp(v.type, "scan") == 0, cases[i].label);
		CHECK(v.good ? params != NULL : !params && strcmp(err.message, v.sentence) == 0, cases[i].label);
		if (params)
			assert_string_equal(params, "{\"a\":\"\\u003c\",\"b\":1}");
		troth_free(params);
	}
}

static void an_older_form_is_refused_for_ever(void **state)
{
	static const char v1[] = "{\"id\":\"c-1\",\"type\":\"scan\",\"signature\":\"\",\"created_at\":\"2026-11-22T01:22:03Z\"}";
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT, old = TR_BUF_INIT, tbs = TR_BUF_INIT, hex = TR_BUF_INIT;
	struct troth_command_verdict v = { .size = sizeof(v) };
	struct troth_command_check c = sample();
	const struct tr_compat_command cmd = { .id = TR_VIEW_LIT("c-1"), .type = TR_VIEW_LIT("scan"), .params = TR_VIEW_LIT("{}") };
	uint8_t sig[TR_SIG_MAX];
	struct tr_err err;
	size_t n;

	(void)state;
	tr_compat_tbs(&cmd, TR_COMPAT_V1, &tbs);
	assert_int_equal(tr_sign(key, TR_SIG_ED25519, tr_buf_view(&tbs), sig, &n, &err), TR_OK);
	tr_hex_add(&hex, tr_view(sig, n));
	tr_buf_add(&old, v1, sizeof("{\"id\":\"c-1\",\"type\":\"scan\",\"signature\":\"") - 1);
	tr_buf_addv(&old, tr_buf_view(&hex));
	tr_buf_adds(&old, v1 + sizeof("{\"id\":\"c-1\",\"type\":\"scan\",\"signature\":\"") - 1);
	assert_int_equal(troth_command_verify_original(old.p, old.n, &c, &v, NULL, NULL), TROTH_OK);
	assert_int_equal(c.highest, TROTH_COMMAND_V1);
	make(&json);
	assert_int_equal(troth_command_verify_original(json.p, json.n, &c, &v, NULL, NULL), TROTH_OK);
	assert_int_equal(c.highest, TROTH_COMMAND_V3);
	assert_int_equal(troth_command_verify_original(old.p, old.n, &c, &v, NULL, NULL), TROTH_E_REFUSED);
	assert_string_equal(v.reason, "downgrade");
}

static void arguments_are_checked(void **state)
{
	static const char *const bad_hex[] = { "00" };
	/* RFC 8032 7.1, test 1: the world knows its private half. */
	static const char *const known[] = { "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a" };
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;
	struct troth_command_verdict v = { .size = sizeof(v) };
	struct troth_command_check c;
	struct troth_error err;

	(void)state;
	make(&json);
#define REFUSED(change, code)                                                                                \
	c = sample();                                                                                        \
	change;                                                                                              \
	assert_int_equal(troth_command_verify_original(json.p, json.n, &c, &v, NULL, &err), code);           \
	assert_true(err.message[0] != '\0')
	REFUSED(c.size = 0, TROTH_E_ARGUMENT);
	REFUSED(c.agent_id = NULL, TROTH_E_ARGUMENT);
	REFUSED(c.agent_id = "a:b", TROTH_E_ARGUMENT);
	REFUSED(c.keys = NULL, TROTH_E_ARGUMENT);
	REFUSED(c.n_keys = 0, TROTH_E_ARGUMENT);
	REFUSED(c.n_keys = 65, TROTH_E_ARGUMENT);
	REFUSED(c.now_ms = -1, TROTH_E_ARGUMENT);
	REFUSED(c.highest = (enum troth_command_form)4, TROTH_E_ARGUMENT);
	REFUSED((c.keys = bad_hex, c.n_keys = 1), TROTH_E_KEY);
	REFUSED((c.keys = known, c.n_keys = 1), TROTH_E_KEY);
	REFUSED(json.n--, TROTH_E_REFUSED);
	assert_string_equal(v.reason, "malformed");
	c = sample();
	assert_int_equal(troth_command_verify_original(NULL, 0, &c, &v, NULL, &err), TROTH_E_ARGUMENT);
	assert_int_equal(troth_command_verify_original(json.p, json.n, NULL, &v, NULL, &err), TROTH_E_ARGUMENT);
	assert_int_equal(troth_command_verify_original(json.p, json.n, &c, NULL, NULL, &err), TROTH_E_ARGUMENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_is_judged),
		cmocka_unit_test(an_older_form_is_refused_for_ever),
		cmocka_unit_test(arguments_are_checked),
	};
	struct tr_privkey *other;
	struct tr_err err;
	int failed;

	if (tr_crypto_init(&err))
		return 1;
	key = new_key(TR_KEY_ED25519);
	other = new_key(TR_KEY_ED25519);
	hex_of(key, key_hex);
	hex_of(other, other_hex);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	key = tr_privkey_free(key);
	other = tr_privkey_free(other);
	return failed;
}
