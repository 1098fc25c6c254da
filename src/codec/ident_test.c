/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/ident.h"

#include "codec/codec_test.h"

#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN

static void names_are_narrow(void **state)
{
	static const struct {
		struct tr_view text;
		bool ok;
	} cases[] = {
		{ TR_VIEW_LIT("a"), true },
		{ TR_VIEW_LIT("0"), true },
		{ TR_VIEW_LIT("web-1.example_A"), true },
		{ TR_VIEW_LIT("a.."), true },
		{ TR_VIEW_LIT(SIXTY "abcd"), true },
		{ TR_VIEW_LIT(SIXTY "abcde"), false },
		{ TR_VIEW_LIT(""), false },
		{ TR_VIEW_LIT("."), false },
		{ TR_VIEW_LIT(".."), false },
		{ TR_VIEW_LIT("-a"), false },
		{ TR_VIEW_LIT("_a"), false },
		{ TR_VIEW_LIT("a:b"), false },
		{ TR_VIEW_LIT("a/b"), false },
		{ TR_VIEW_LIT("a%b"), false },
		{ TR_VIEW_LIT("a b"), false },
		{ TR_VIEW_LIT("a\n"), false },
		{ TR_VIEW_LIT("a\0"), false },
		{ TR_VIEW_LIT("a\""), false },
		{ TR_VIEW_LIT("\xc3\xa9"), false },
		{ TR_VIEW_LIT("a\xc3\xa9"), false },
		{ TR_VIEW_LIT("a@"), false },
		{ TR_VIEW_LIT("a["), false },
		{ TR_VIEW_LIT("a`"), false },
		{ TR_VIEW_LIT("a{"), false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		CHECK(tr_ident_ok(cases[i].text) == cases[i].ok, (const char *)cases[i].text.p);
}

static void versions_have_one_grammar(void **state)
{
	static const struct {
		struct tr_view text;
		bool ok;
	} cases[] = {
		{ TR_VIEW_LIT("1"), true },
		{ TR_VIEW_LIT("v1.2.3"), true },
		{ TR_VIEW_LIT("1.2.3.4"), true },
		{ TR_VIEW_LIT("999999999.0"), true },
		{ TR_VIEW_LIT("1.2.3-rc.1"), true },
		{ TR_VIEW_LIT("1.2.3+build.7"), true },
		{ TR_VIEW_LIT("1-a-b"), true },
		{ TR_VIEW_LIT("1." SIXTY), false },
		{ TR_VIEW_LIT("1-" SIXTY "ab"), true },
		{ TR_VIEW_LIT("1-" SIXTY "abc"), false },
		{ TR_VIEW_LIT(""), false },
		{ TR_VIEW_LIT("v"), false },
		{ TR_VIEW_LIT("V1"), false },
		{ TR_VIEW_LIT("vv1"), false },
		{ TR_VIEW_LIT("1."), false },
		{ TR_VIEW_LIT(".1"), false },
		{ TR_VIEW_LIT("1..2"), false },
		{ TR_VIEW_LIT("1.2.3.4.5"), false },
		{ TR_VIEW_LIT("1000000000.0"), false },
		{ TR_VIEW_LIT("1-"), false },
		{ TR_VIEW_LIT("1+"), false },
		{ TR_VIEW_LIT("1.-a"), false },
		{ TR_VIEW_LIT("1-a+b"), false },
		{ TR_VIEW_LIT("1-a_b"), false },
		{ TR_VIEW_LIT("1a"), false },
		{ TR_VIEW_LIT("1 "), false },
		{ TR_VIEW_LIT("-1"), false },
		{ TR_VIEW_LIT("1\0"), false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		CHECK(tr_version_ok(cases[i].text) == cases[i].ok, (const char *)cases[i].text.p);
}

/* Ascending; every pair is compared both ways. The -pre rows are SemVer 2.0 11.4's own example. */
static void versions_have_one_order(void **state)
{
	static const char *const rising[] = {
		"not a version",
		"0",
		"0.0.1-0",
		"0.0.1",
		"0.9",
		"v0.10",
		"1.0.0-2",
		"1.0.0-10",
		"1.0.0-99999999999999999999",
		"1.0.0-100000000000000000000",
		"1.0.0-Z",
		"1.0.0-alpha",
		"1.0.0-alpha.1",
		"1.0.0-alpha.beta",
		"1.0.0-beta",
		"1.0.0-beta.2",
		"1.0.0-beta.11",
		"1.0.0-rc.1",
		"1.0.0",
		"1.0.0.1",
		"1.0.1",
		"1.2",
		"1.10",
		"2.0.0-a.0",
		"2.0.0-a.",
		"2.0.0-a.a",
		"2.0.0-b",
		"2",
		"999999999.999999999.999999999.999999999",
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rising); i++) {
		for (size_t k = 0; k < TR_ARRAY_LEN(rising); k++) {
			const char *a = rising[i], *b = rising[k];
			int c = tr_version_cmp(tr_view_str(a), tr_view_str(b));
			int want = (i > k) - (i < k);

			if ((c > 0) - (c < 0) != want)
				fail_msg("%s against %s gave %d", a, b, c);
		}
	}
}

static void versions_that_mean_the_same_are_equal(void **state)
{
	static const char *const pairs[][2] = {
		{ "1", "v1.0.0.0" }, { "1.2", "1.2.0" },     { "01.2", "1.02" },
		{ "1+a", "1+b" },    { "1.0.0+x", "1.0.0" }, { "1-01", "1-1" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(pairs); i++)
		CHECK(tr_version_cmp(tr_view_str(pairs[i][0]), tr_view_str(pairs[i][1])) == 0, pairs[i][0]);
}

static void sha256_names_are_lower_case_and_whole(void **state)
{
#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{ "sha256:" DIGEST, true },
		{ "sha256:" DIGEST "0", false },
		{ "sha256:00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff", false },
		{ "SHA256:" DIGEST, false },
		{ "sha256=" DIGEST, false },
		{ DIGEST, false },
		{ "sha256:", false },
		{ "sha256:g0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		uint8_t out[32] = { 0 };

		CHECK(tr_sha256_name_ok(tr_view_str(cases[i].text), out) == cases[i].ok, cases[i].text);
		CHECK(out[31] == (cases[i].ok ? 0xff : 0), cases[i].text);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_narrow),
		cmocka_unit_test(versions_have_one_grammar),
		cmocka_unit_test(versions_have_one_order),
		cmocka_unit_test(versions_that_mean_the_same_are_equal),
		cmocka_unit_test(sha256_names_are_lower_case_and_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
