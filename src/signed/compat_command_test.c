/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/compat_command.h"
#include "signed/compat_key.h"

#define SEED "f7d4b039a4995e353719ea6e9195e789bf77bbd005215cf37cc1ae5561910ad2"
#define KEY_ID "9b6871015fa6a3a3a4dd725a5895e8f1"
#define AGENT "7b1e3a52-0c44-4d0e-9f39-6f6f2a8f2f10"
#define ID "0f0c6a1e-2d3b-4c5d-8e9f-a0b1c2d3e4f5"
#define HASH "7ce34ac793377a879ce13d4a460cb083e33195443110dd295c24995657680e94"
#define SIGNED_S INT64_C(1795310523)
#define H_MS INT64_C(3600000)
/* Made by an implementation that is not ours (python cryptography) over the texts below. */
#define SIG_V1 \
	"aef64d673378154fe16a167de1c954fb34cca6c083f28621896362c5f3d2577f" \
	"3c47e725761aebf69fdc532007b385f20ae5decf7add7ea8da2bb4f9d3440c06"
#define SIG_V2 \
	"8f335c7de04beaadeca9a0dc71464ca38d4f69c127016440f0b78f6d44ba64e2" \
	"0276afeb8bb20a8588369d9276c5d56755f4c84f4a6ddab66a4f93c9228a0a04"
#define SIG_V3 \
	"f209c79ce128a598e771aeac2c22f2df67e01bd46f9beb55d56e6525a4567751" \
	"0c86b0ac735428c425c1a75afbcd780b07f7da653a5e45e83ae926b6b2a43608"
#define PARAMS "{ \"ratio\": 5e-1, \"count\": 3.0, \"a\": \"x<y\" }"
#define HEAD "{\"id\":\"" ID "\",\"type\":\"update_agent\",\"params\":" PARAMS
#define AT ",\"signed_at\":\"2026-11-22T01:22:03.999Z\""
#define MADE ",\"created_at\":\"2026-11-22T01:22:00Z\""
#define V1_JSON HEAD MADE ",\"signature\":\"" SIG_V1 "\"}"
#define V2_JSON HEAD AT MADE ",\"signature\":\"" SIG_V2 "\"}"
#define V3_JSON HEAD AT MADE ",\"agent_id\":\"" AGENT "\",\"key_id\":\"" KEY_ID "\",\"signature\":\"" SIG_V3 "\"}"

struct world {
	struct tr_privkey *key, *other;
	const struct tr_pubkey *keys[2];
};

static struct world w;

struct read {
	struct tr_json *doc;
	struct tr_buf params;
	struct tr_compat_command c;
};

static void read_done(struct read *r)
{
	r->doc = tr_json_free(r->doc);
	tr_buf_done(&r->params);
}

static struct read read_ok(const char *json)
{
	struct read r = { 0 };
	struct tr_err err = { 0 };

	if (tr_compat_read(tr_view_str(json), &r.doc, &r.params, &r.c, &err))
		fail_msg("%s\n%s: %s", json, err.pub, err.detail);
	return r;
}

static enum tr_compat_answer judge(const char *json, int64_t now_ms, enum tr_compat_form *highest)
{
	struct read r = read_ok(json);
	struct tr_compat_scope s = { .on = true, .agent_id = TR_VIEW_LIT(AGENT), .keys = w.keys, .n_keys = 2,
				     .now_ms = now_ms, .highest = highest };
	enum tr_compat_answer a = tr_compat_verify(&r.c, &s);

	read_done(&r);
	return a;
}

static void the_signed_texts_are_the_originals(void **state)
{
	static const struct {
		enum tr_compat_form form;
		const char *text;
	} cases[] = {
		{ TR_COMPAT_V1, ID ":update_agent:" HASH },
		{ TR_COMPAT_V2, ID ":update_agent:" HASH ":1795310523" },
		{ TR_COMPAT_V3, AGENT ":" ID ":update_agent:" HASH ":1795310523" },
	};
	struct read r = read_ok(V3_JSON), none;

	(void)state;
	assert_true(tr_view_is(r.c.params, "{\"a\":\"x\\u003cy\",\"count\":3,\"ratio\":0.5}"));
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		tr_compat_tbs(&r.c, cases[i].form, &b);
		assert_string_equal(tr_buf_cstr(&b), cases[i].text);
	}
	read_done(&r);
	/* Without params, with null and with {}: one text, and its published hash. */
	for (int i = 0; i < 3; i++) {
		static const char *const members[] = { "", "\"params\":null,", "\"params\":{}," };
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;

		tr_buf_addf(&json, "{%s\"id\":\"i\",\"type\":\"t\",\"signature\":\"\"}", members[i]);
		none = read_ok(tr_buf_cstr(&json));
		tr_compat_tbs(&none.c, TR_COMPAT_V1, &b);
		assert_string_equal(tr_buf_cstr(&b),
				    "i:t:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
		read_done(&none);
	}
}

#define AT_MS (SIGNED_S * 1000)
#define MADE_MS (AT_MS - 3000)

static void each_form_is_believed_for_its_time(void **state)
{
	static const struct {
		const char *label, *json;
		int64_t now_ms;
		enum tr_compat_answer want;
	} cases[] = {
		{ "v3", V3_JSON, AT_MS, TR_COMPAT_GOOD },
		{ "v2", V2_JSON, AT_MS, TR_COMPAT_GOOD },
		{ "v1", V1_JSON, AT_MS, TR_COMPAT_GOOD },
		{ "v3 after 4 h", V3_JSON, AT_MS + 4 * H_MS, TR_COMPAT_GOOD },
		{ "v3 later", V3_JSON, AT_MS + 4 * H_MS + 1, TR_COMPAT_TOO_OLD },
		{ "v2 later", V2_JSON, AT_MS + 4 * H_MS + 1, TR_COMPAT_TOO_OLD },
		{ "v3 5 min ahead", V3_JSON, AT_MS - 300000, TR_COMPAT_GOOD },
		{ "v3 further ahead", V3_JSON, AT_MS - 300001, TR_COMPAT_NOT_YET },
		{ "v2 further ahead", V2_JSON, AT_MS - 300001, TR_COMPAT_NOT_YET },
		{ "v1 after 48 h", V1_JSON, MADE_MS + 48 * H_MS, TR_COMPAT_GOOD },
		{ "v1 later", V1_JSON, MADE_MS + 48 * H_MS + 1, TR_COMPAT_TOO_OLD },
		{ "v1 made in the future", V1_JSON, MADE_MS - 300001, TR_COMPAT_NOT_YET },
		{ "v1 of no known age", HEAD ",\"signature\":\"" SIG_V1 "\"}", AT_MS, TR_COMPAT_NO_CREATION },
		{ "v1 of null age", HEAD ",\"created_at\":null,\"signature\":\"" SIG_V1 "\"}", AT_MS, TR_COMPAT_NO_CREATION },
		{ "v3 of another time", HEAD ",\"signed_at\":\"2026-11-22T01:22:04Z\",\"agent_id\":\"" AGENT
		  "\",\"signature\":\"" SIG_V3 "\"}", AT_MS, TR_COMPAT_BAD_SIGNATURE },
		{ "v3 with another offset of the same second", HEAD ",\"signed_at\":\"2026-11-22T03:22:03+02:00\",\"agent_id\":\"" AGENT
		  "\",\"signature\":\"" SIG_V3 "\"}", AT_MS, TR_COMPAT_GOOD },
		{ "v3 of another key", HEAD AT ",\"agent_id\":\"" AGENT "\",\"key_id\":\"e4eb660256fcbdcf00aa4ad2a32f715e\",\"signature\":\""
		  SIG_V3 "\"}", AT_MS, TR_COMPAT_UNKNOWN_KEY },
		{ "no signature", HEAD AT MADE ",\"agent_id\":\"" AGENT "\",\"signature\":\"\"}", AT_MS, TR_COMPAT_BAD_SIGNATURE },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		enum tr_compat_form highest = TR_COMPAT_NONE;
		enum tr_compat_answer got = judge(cases[i].json, cases[i].now_ms, &highest);

		if (got != cases[i].want)
			fail_msg("%s: %s", cases[i].label, tr_compat_answer_slug(got));
	}
}

/* What the original did: v3 fails, so v2 is tried, so v1 is tried. */
static void an_older_form_is_no_way_out(void **state)
{
	static const struct {
		const char *label, *json;
		enum tr_compat_form seen;
		enum tr_compat_answer want;
		enum tr_compat_form then;
	} cases[] = {
		{ "a v2 signature with agent_id", HEAD AT MADE ",\"agent_id\":\"" AGENT "\",\"signature\":\"" SIG_V2 "\"}",
		  TR_COMPAT_NONE, TR_COMPAT_BAD_SIGNATURE, TR_COMPAT_NONE },
		{ "a v1 signature with agent_id and time", HEAD AT MADE ",\"agent_id\":\"" AGENT "\",\"signature\":\"" SIG_V1 "\"}",
		  TR_COMPAT_NONE, TR_COMPAT_BAD_SIGNATURE, TR_COMPAT_NONE },
		{ "a v3 signature without agent_id", HEAD AT MADE ",\"signature\":\"" SIG_V3 "\"}",
		  TR_COMPAT_NONE, TR_COMPAT_BAD_SIGNATURE, TR_COMPAT_NONE },
		{ "a v2 signature without signed_at", HEAD MADE ",\"signature\":\"" SIG_V2 "\"}",
		  TR_COMPAT_NONE, TR_COMPAT_BAD_SIGNATURE, TR_COMPAT_NONE },
		{ "v2 after v3", V2_JSON, TR_COMPAT_V3, TR_COMPAT_DOWNGRADE, TR_COMPAT_V3 },
		{ "v1 after v3", V1_JSON, TR_COMPAT_V3, TR_COMPAT_DOWNGRADE, TR_COMPAT_V3 },
		{ "v1 after v2", V1_JSON, TR_COMPAT_V2, TR_COMPAT_DOWNGRADE, TR_COMPAT_V2 },
		{ "v3 after v1", V3_JSON, TR_COMPAT_V1, TR_COMPAT_GOOD, TR_COMPAT_V3 },
		{ "v2 after v1", V2_JSON, TR_COMPAT_V1, TR_COMPAT_GOOD, TR_COMPAT_V2 },
		{ "a forged v3 raises nothing", HEAD AT MADE ",\"agent_id\":\"" AGENT "\",\"signature\":\"" SIG_V2 "\"}",
		  TR_COMPAT_V1, TR_COMPAT_BAD_SIGNATURE, TR_COMPAT_V1 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		enum tr_compat_form highest = cases[i].seen;
		enum tr_compat_answer got = judge(cases[i].json, AT_MS, &highest);

		if (got != cases[i].want || highest != cases[i].then)
			fail_msg("%s: %s, then v%d", cases[i].label, tr_compat_answer_slug(got), (int)highest);
	}
	{
		/* An authentic v3 that is too old, or another's, still says what this server can do. */
		enum tr_compat_form highest = TR_COMPAT_NONE;

		assert_int_equal(judge(V3_JSON, AT_MS + 5 * H_MS, &highest), TR_COMPAT_TOO_OLD);
		assert_int_equal(highest, TR_COMPAT_V3);
	}
}

static void it_is_off_and_bound_to_its_agent_and_key(void **state)
{
	struct read r = read_ok(V3_JSON), v2 = read_ok(V2_JSON);
	enum tr_compat_form highest = TR_COMPAT_NONE;
	const struct tr_pubkey *other_first[] = { w.keys[1], w.keys[0] };
	struct tr_compat_scope s = { 0 };

	(void)state;
	assert_int_equal(tr_compat_verify(&r.c, &s), TR_COMPAT_OFF);
	s = (struct tr_compat_scope){ .on = true, .agent_id = TR_VIEW_LIT("web-1"), .keys = w.keys, .n_keys = 2,
				      .now_ms = AT_MS, .highest = &highest };
	assert_int_equal(tr_compat_verify(&r.c, &s), TR_COMPAT_WRONG_AGENT);
	s.agent_id = TR_VIEW_LIT(AGENT);
	s.keys = other_first;
	/* Named: found wherever it is. Not named: the primary or nothing, although another would do. */
	assert_int_equal(tr_compat_verify(&r.c, &s), TR_COMPAT_GOOD);
	highest = TR_COMPAT_NONE;
	assert_int_equal(tr_compat_verify(&v2.c, &s), TR_COMPAT_BAD_SIGNATURE);
	s.n_keys = 0;
	assert_int_equal(tr_compat_verify(&v2.c, &s), TR_COMPAT_UNKNOWN_KEY);
	assert_int_equal(tr_compat_verify(&r.c, &s), TR_COMPAT_UNKNOWN_KEY);
	read_done(&r);
	read_done(&v2);
}

static void only_what_splits_in_one_way_is_read(void **state)
{
#define WITH(id, type, rest) "{\"id\":\"" id "\",\"type\":\"" type "\",\"signature\":\"\"" rest "}"
	static const struct {
		const char *label, *json;
		bool ok;
	} cases[] = {
		{ "plain", WITH("i", "t", ""), true },
		{ "members of its own", WITH("i", "t", ",\"source\":\"ui\",\"retry_count\":2"), true },
		{ "colon in id", WITH("a:i", "t", ""), false },
		{ "colon in type", WITH("i", "t:u", ""), false },
		{ "colon in agent", WITH("i", "t", ",\"signed_at\":\"2026-11-22T01:22:03Z\",\"agent_id\":\"a:b\""), false },
		{ "empty id", WITH("", "t", ""), false },
		{ "empty type", WITH("i", "", ""), false },
		{ "white space", WITH("i", "t u", ""), false },
		{ "agent without time", WITH("i", "t", ",\"agent_id\":\"a\""), false },
		{ "time as a number", WITH("i", "t", ",\"signed_at\":1795310523"), false },
		{ "time as words", WITH("i", "t", ",\"signed_at\":\"now\""), false },
		{ "before 1970", WITH("i", "t", ",\"signed_at\":\"1969-12-31T23:59:59Z\""), false },
		{ "params are no object", WITH("i", "t", ",\"params\":[1]"), false },
		{ "params are text", WITH("i", "t", ",\"params\":\"{}\""), false },
		{ "a member twice", WITH("i", "t", ",\"id\":\"j\""), false },
		{ "no id", "{\"type\":\"t\",\"signature\":\"\"}", false },
		{ "no signature", "{\"id\":\"i\",\"type\":\"t\"}", false },
		{ "null signature", "{\"id\":\"i\",\"type\":\"t\",\"signature\":null}", false },
		{ "an array", "[]", false },
		{ "null", "null", false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct read r = { 0 };
		struct tr_err err;
		bool ok = tr_compat_read(tr_view_str(cases[i].json), &r.doc, &r.params, &r.c, &err) == TR_OK;

		CHECK(ok == cases[i].ok, cases[i].label);
		read_done(&r);
	}
}

static void what_is_signed_verifies(void **state)
{
	struct tr_compat_command c = { .id = TR_VIEW_LIT(ID), .type = TR_VIEW_LIT("update_agent"), .agent_id = TR_VIEW_LIT(AGENT),
				       .params = TR_VIEW_LIT(PARAMS), .signed_s = SIGNED_S, .created_ms = MADE_MS };
	tr_auto(tr_privkey_free) struct tr_privkey *p256 = new_key(TR_KEY_P256);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_compat_form highest = TR_COMPAT_NONE;
	struct tr_compat_command bad;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_compat_sign(&c, w.key, &b, &err), TR_OK);
	/* Ed25519 has one signature per text: the other implementation's. */
	assert_string_equal(tr_buf_cstr(&b), "{\"id\":\"" ID "\",\"type\":\"update_agent\","
			    "\"params\":{\"a\":\"x\\u003cy\",\"count\":3,\"ratio\":0.5},\"signature\":\"" SIG_V3
			    "\",\"key_id\":\"" KEY_ID "\",\"signed_at\":\"2026-11-22T01:22:03.000Z\",\"agent_id\":\"" AGENT
			    "\",\"created_at\":\"2026-11-22T01:22:00.000Z\"}");
	assert_int_equal(judge(tr_buf_cstr(&b), AT_MS, &highest), TR_COMPAT_GOOD);
	tr_buf_clear(&b);
	assert_int_equal(tr_compat_sign(&c, p256, &b, &err), TR_E_INVALID);
	bad = c;
	bad.agent_id = tr_view(NULL, 0);
	assert_int_equal(tr_compat_sign(&bad, w.key, &b, &err), TR_E_INVALID);
	bad = c;
	bad.signed_s = 0;
	assert_int_equal(tr_compat_sign(&bad, w.key, &b, &err), TR_E_INVALID);
	bad = c;
	bad.id = TR_VIEW_LIT("a:b");
	assert_int_equal(tr_compat_sign(&bad, w.key, &b, &err), TR_E_INVALID);
	bad = c;
	bad.params = TR_VIEW_LIT("[1]");
	assert_int_equal(tr_compat_sign(&bad, w.key, &b, &err), TR_E_INVALID);
	assert_int_equal(b.n, 0);
}

/* Of the signed text's members: any other value of any of them is refused. */
static void every_signed_member_is_bound(void **state)
{
	static const struct {
		const char *label;
		size_t at;
		const char *other;
	} cases[] = {
		{ "id", offsetof(struct tr_compat_command, id), "0f0c6a1e-2d3b-4c5d-8e9f-a0b1c2d3e4f6" },
		{ "type", offsetof(struct tr_compat_command, type), "reboot" },
		{ "agent", offsetof(struct tr_compat_command, agent_id), "7b1e3a52-0c44-4d0e-9f39-6f6f2a8f2f11" },
		{ "params", offsetof(struct tr_compat_command, params), "{\"a\":\"x\\u003cy\",\"count\":4,\"ratio\":0.5}" },
	};
	enum tr_compat_form highest = TR_COMPAT_NONE;
	struct tr_compat_scope s = { .on = true, .agent_id = TR_VIEW_LIT(AGENT), .keys = w.keys, .n_keys = 2, .now_ms = AT_MS,
				     .highest = &highest };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct read r = read_ok(V3_JSON);

		*(struct tr_view *)(void *)((char *)&r.c + cases[i].at) = tr_view_str(cases[i].other);
		CHECK(tr_compat_verify(&r.c, &s) == TR_COMPAT_BAD_SIGNATURE, cases[i].label);
		read_done(&r);
	}
	{
		struct read r = read_ok(V3_JSON);
		char sig[129];

		for (size_t i = 0; i < 128; i++) {
			memcpy(sig, SIG_V3, sizeof(sig));
			sig[i] = sig[i] == '0' ? '1' : '0';
			r.c.signature = tr_view(sig, 128);
			assert_int_equal(tr_compat_verify(&r.c, &s), TR_COMPAT_BAD_SIGNATURE);
		}
		memcpy(sig, SIG_V3, sizeof(sig));
		for (size_t i = 0; i < 128; i++)
			if (sig[i] >= 'a')
				sig[i] = (char)(sig[i] - 'a' + 'A');
		r.c.signature = tr_view(sig, 128);
		assert_int_equal(tr_compat_verify(&r.c, &s), TR_COMPAT_BAD_SIGNATURE);
		r.c.signature = tr_view(SIG_V3 "00", 130);
		assert_int_equal(tr_compat_verify(&r.c, &s), TR_COMPAT_BAD_SIGNATURE);
		read_done(&r);
	}
	assert_int_equal(highest, TR_COMPAT_NONE);
}

static void every_answer_has_its_words(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TR_COMPAT_ANSWER_N; i++) {
		assert_true(strlen(tr_compat_answer_slug((enum tr_compat_answer)i)) > 2);
		assert_true(strlen(tr_compat_answer_sentence((enum tr_compat_answer)i)) > 20);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(tr_compat_answer_slug((enum tr_compat_answer)i),
						tr_compat_answer_slug((enum tr_compat_answer)k));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_signed_texts_are_the_originals),
		cmocka_unit_test(each_form_is_believed_for_its_time),
		cmocka_unit_test(an_older_form_is_no_way_out),
		cmocka_unit_test(it_is_off_and_bound_to_its_agent_and_key),
		cmocka_unit_test(only_what_splits_in_one_way_is_read),
		cmocka_unit_test(what_is_signed_verifies),
		cmocka_unit_test(every_signed_member_is_bound),
		cmocka_unit_test(every_answer_has_its_words),
	};
	struct tr_err err;
	int failed;

	if (tr_crypto_init(&err) || tr_compat_key_read(TR_VIEW_LIT(SEED), &w.key, &err))
		return 1;
	w.other = new_key(TR_KEY_ED25519);
	w.keys[0] = tr_privkey_pub(w.key);
	w.keys[1] = tr_privkey_pub(w.other);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	w.key = tr_privkey_free(w.key);
	w.other = tr_privkey_free(w.other);
	return failed;
}
