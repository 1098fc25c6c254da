/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "codec/yaml.h"

static const struct {
	const char *in, *json;
} good[] = {
	{ "a: 1\nb: [x, \"y\", 'z']\n", "{\"a\":1,\"b\":[\"x\",\"y\",\"z\"]}" },
	{ "# a comment\na:\n  - b: true\n    c: null\n  - ~\n", "{\"a\":[{\"b\":true,\"c\":null},null]}" },
	{ "yes: no\non: Off\n", "{\"yes\":\"no\",\"on\":\"Off\"}" },                     /* Norway stays Norway */
	{ "a: 007\nb: 0x10\nc: 1e3\nd: 1.0\ne: -0\n", "{\"a\":\"007\",\"b\":\"0x10\",\"c\":\"1e3\",\"d\":\"1.0\",\"e\":\"-0\"}" },
	{ "a: -5\nb: 0\nc: 9223372036854775807\nd: 9223372036854775808\n",
	  "{\"a\":-5,\"b\":0,\"c\":9223372036854775807,\"d\":\"9223372036854775808\"}" },
	{ "a: -9223372036854775808\nb: -9223372036854775809\n", "{\"a\":-9223372036854775808,\"b\":\"-9223372036854775809\"}" },
	{ "a: \"1\"\nb: 'true'\nc: ''\nd:\n", "{\"a\":\"1\",\"b\":\"true\",\"c\":\"\",\"d\":null}" },
	{ "a: |\n  two\n  lines\nb: >\n  one\n  line\n", "{\"a\":\"two\\nlines\\n\",\"b\":\"one line\\n\"}" },
	{ "{\"a\": {\"b\": []}}", "{\"a\":{\"b\":[]}}" },
	{ "a: {b: 1}\nc: {b: 2}\n", "{\"a\":{\"b\":1},\"c\":{\"b\":2}}" },               /* one name in two mappings */
	{ "---\njust text\n...\n", "\"just text\"" },
};

static void documents_become_json(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(good); i++) {
		tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;
		tr_auto(tr_json_free) struct tr_json *j = NULL;
		struct tr_err err = { 0 };

		if (tr_yaml_to_json(tr_view_str(good[i].in), &json, &err))
			fail_msg("%s: %s", good[i].in, err.detail);
		assert_string_equal(tr_buf_cstr(&json), good[i].json);
		assert_int_equal(tr_yaml_parse(tr_view_str(good[i].in), &j, &err), TR_OK);
	}
}

static const struct {
	const char *label;
	struct tr_view in;
	const char *detail; /* begins so */
} refused[] = {
	{ "empty", { (const uint8_t *)"", 0 }, "line 1: no document" },
	{ "comment only", TR_VIEW_LIT("# nothing\n"), "line 1: no document" },
	{ "alias", TR_VIEW_LIT("a: &x 1\nb: *x\n"), "line 1: anchors" },
	{ "alias to nothing", TR_VIEW_LIT("a: 1\nb: *x\n"), "line 2: " },
	{ "tag", TR_VIEW_LIT("a: 1\nb: !!binary aGk=\n"), "line 2: anchors" },
	{ "own tag", TR_VIEW_LIT("a: !x 1\n"), "line 1: anchors" },
	{ "tag of a mapping", TR_VIEW_LIT("!!map {a: 1}\n"), "line 1: anchors" },
	{ "anchor of a sequence", TR_VIEW_LIT("a:\n  &x [1]\n"), "line 2: anchors" },
	{ "directive", TR_VIEW_LIT("%YAML 1.1\n---\na: 1\n"), "line 1: anchors" },
	{ "duplicate", TR_VIEW_LIT("a: 1\nb: 2\na: 3\n"), "line 3: a name stands here for the second time" },
	{ "duplicate, written otherwise", TR_VIEW_LIT("a: 1\n\"a\": 3\n"), "line 2: a name stands here" },
	{ "inner duplicate", TR_VIEW_LIT("a:\n  b: 1\n  c: 2\n  b: 3\n"), "line 4: a name stands here" },
	{ "name is a sequence", TR_VIEW_LIT("? [a]\n: 1\n"), "line 1: a name must be text" },
	{ "name is empty", TR_VIEW_LIT("? \n: 1\n"), "line 1: a name is missing" },
	{ "no name", TR_VIEW_LIT(": 1\n"), "line 1: " },
	{ "two documents", TR_VIEW_LIT("a: 1\n---\nb: 2\n"), "line 2: a second document" },
	{ "depth", TR_VIEW_LIT("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]"), "line 1: nested too deeply" },
	{ "tab indent", TR_VIEW_LIT("a:\n\tb: 1\n"), "line 2: " },
	{ "open quote", TR_VIEW_LIT("a: \"b\n"), "line " },
	{ "NUL", TR_VIEW_LIT("a: b\0c\n"), "line 1: not UTF-8" },
	{ "escaped NUL", TR_VIEW_LIT("a: 1\nb: \"\\0\"\n"), "line 2: a NUL" },
	{ "UTF-16", TR_VIEW_LIT("\xff\xfe\x61\x00"), "line 1: not UTF-8" },
	{ "bad UTF-8", TR_VIEW_LIT("a: \xc3\x28\n"), "line 1: not UTF-8" },
};

static void refusals_name_the_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(refused); i++) {
		tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;
		struct tr_err err = { 0 };

		if (tr_yaml_to_json(refused[i].in, &json, &err) != TR_E_INVALID)
			fail_msg("%s: taken as %s", refused[i].label, tr_buf_cstr(&json));
		if (strncmp(err.detail, refused[i].detail, strlen(refused[i].detail)) != 0)
			fail_msg("%s: %s", refused[i].label, err.detail);
		assert_int_equal(json.n, 0);
	}
}

static void sixteen_levels_pass(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_yaml_to_json(TR_VIEW_LIT("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"), &json, &err), TR_OK);
}

static void sizes_are_bounded(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, json = TR_BUF_INIT;
	struct tr_err err = { 0 };

	(void)state;
	for (unsigned i = 0; i < TR_YAML_VALUES_MAX; i++)
		tr_buf_adds(&text, "- 1\n");
	assert_int_equal(tr_yaml_to_json(tr_buf_view(&text), &json, &err), TR_E_INVALID); /* the sequence counts too */
	text.n -= 4;
	assert_int_equal(tr_yaml_to_json(tr_buf_view(&text), &json, &err), TR_OK);
	while (text.n <= TR_YAML_MAX)
		tr_buf_adds(&text, "# a long file of comments and nothing else that anybody would want to read\n");
	assert_int_equal(tr_yaml_to_json(tr_buf_view(&text), &json, &err), TR_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_become_json),
		cmocka_unit_test(refusals_name_the_line),
		cmocka_unit_test(sixteen_levels_pass),
		cmocka_unit_test(sizes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
