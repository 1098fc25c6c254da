/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peer_test.h"

#include "agent/peer_conf.h"

static void what_it_says_is_read(void **unused)
{
	tr_auto(tr_peer_conf_done) struct tr_peer_conf c = { 0 };

	(void)unused;
	assert_int_equal(tr_peer_conf_parse(TR_VIEW_LIT("{\"listen\":\"*:8444\",\"endpoint\":\"https://a:8444\",\"verify\":\"evidence\","
							"\"policy\":\"/p\",\"collateral\":\"/c\",\"deliver\":\"mailbox\",\"mailbox\":false,"
							"\"socket\":\"/s\",\"allow\":[\"a\",\"type:b\"],\"capabilities\":[\"x\",\"y\"]}"),
					    &c, &err),
			 TR_OK);
	assert_true(tr_view_is(c.listen, "*:8444") && tr_view_is(c.endpoint, "https://a:8444") && tr_view_is(c.policy, "/p"));
	assert_true(tr_view_is(c.collateral, "/c") && tr_view_is(c.socket, "/s") && !c.mailbox);
	assert_true(c.verify == TR_PEER_BY_EVIDENCE && c.deliver == TR_PEER_MAILBOX);
	assert_true(c.n_allow == 2 && c.n_capabilities == 2 && tr_view_is(c.capabilities[1], "y"));
	assert_true(tr_peer_conf_allows(&c, TR_VIEW_LIT("a"), TR_VIEW_LIT("z")));
	assert_true(tr_peer_conf_allows(&c, TR_VIEW_LIT("z"), TR_VIEW_LIT("b")));
	assert_false(tr_peer_conf_allows(&c, TR_VIEW_LIT("b"), TR_VIEW_LIT("a")));
	assert_false(tr_peer_conf_allows(&c, TR_VIEW_LIT("z"), TR_VIEW_LIT("")));
}

static void an_empty_one_is_careful(void **unused)
{
	tr_auto(tr_peer_conf_done) struct tr_peer_conf c = { 0 };

	(void)unused;
	assert_int_equal(tr_peer_conf_parse(TR_VIEW_LIT("{}"), &c, &err), TR_OK);
	assert_true(!c.listen.n && c.mailbox && c.verify == TR_PEER_BY_RESULT && c.deliver == TR_PEER_AUTO);
	assert_true(tr_peer_conf_allows(&c, TR_VIEW_LIT("anybody"), TR_VIEW_LIT("")));
}

static void what_is_wrong_is_named(void **unused)
{
	static const struct { const char *text, *says; } cases[] = {
		{ "", "peer.json" },
		{ "[]", "it must be a JSON object" },
		{ "{\"alow\":[]}", "a member is not known: alow" },
		{ "{\"allow\":\"a\"}", "allow must be a list" },
		{ "{\"min_tier\":\"silicon\"}", "min_tier must be none" },
		{ "{\"allow\":[\"a b\"]}", "allow holds something" },
		{ "{\"allow\":[\"type:\"]}", "allow holds something" },
		{ "{\"capabilities\":[\"type:a\"]}", "capabilities holds something" },
		{ "{\"verify\":\"no\"}", "verify is none of its words" },
		{ "{\"deliver\":1}", "deliver is none of its words" },
		{ "{\"verify\":\"evidence\"}", "policy is missing" },
		{ "{\"verify\":\"evidence\",\"policy\":\"p\"}", "policy must be a path" },
		{ "{\"endpoint\":\"https://a\"}", "listen is missing" },
		{ "{\"endpoint\":\"http://a\",\"listen\":\"*:1\"}", "endpoint must be https" },
		{ "{\"mailbox\":0}", "mailbox must be true or false" },
		{ "{\"listen\":\"\"}", "listen must be a text" },
		{ "{\"socket\":\"a\"}", "socket must be a path" },
	};

	(void)unused;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_peer_conf_done) struct tr_peer_conf c = { 0 };

		assert_int_equal(tr_peer_conf_parse(tr_view_str(cases[i].text), &c, &err), TR_E_INVALID);
		if (!strstr(err.detail, cases[i].says))
			fail_msg("%s: %s", cases[i].text, err.detail);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_says_is_read),
		cmocka_unit_test(an_empty_one_is_careful),
		cmocka_unit_test(what_is_wrong_is_named),
	};

	return cmocka_run_group_tests(tests, make_state, drop_state);
}
