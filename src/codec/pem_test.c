/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/pem.h"

#include "codec/codec_test.h"

#define BEGIN_X "-----BEGIN X-----\n"
#define END_X "-----END X-----\n"

static void blocks_are_read_as_stock_tools_write_them(void **state)
{
	static const struct {
		const char *label;
		struct tr_view text;
		const char *name, *body, *rest;
	} cases[] = {
		{ "plain", TR_VIEW_LIT(BEGIN_X "Zm9v\n" END_X), "X", "foo", "" },
		{ "no last line end", TR_VIEW_LIT(BEGIN_X "Zm9v\n-----END X-----"), "X", "foo", "" },
		{ "CRLF", TR_VIEW_LIT("-----BEGIN X-----\r\nZm9v\r\n-----END X-----\r\n"), "X", "foo", "" },
		{ "blank line behind", TR_VIEW_LIT(BEGIN_X "Zm9v\n" END_X "\n"), "X", "foo", "\n" },
		{ "text before", TR_VIEW_LIT("Certificate:\n    Data: 1\n" BEGIN_X "Zm9v\n" END_X), "X",
		  "foo", "" },
		{ "any width", TR_VIEW_LIT(BEGIN_X "Z\nm9\nvYg\n==\n" END_X), "X", "foob", "" },
		{ "two words", TR_VIEW_LIT("-----BEGIN PUBLIC KEY-----\nZm9v\n-----END PUBLIC KEY-----\n"),
		  "PUBLIC KEY", "foo", "" },
		{ "hyphen in the label", TR_VIEW_LIT("-----BEGIN X-Y Z-----\nZm9v\n-----END X-Y Z-----\n"),
		  "X-Y Z", "foo", "" },
		{ "second block", TR_VIEW_LIT(BEGIN_X "Zm9v\n" END_X BEGIN_X), "X", "foo", BEGIN_X },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
		struct tr_view text = exact_copy(cases[i].text), name, rest;
		struct tr_err err;

		if (tr_pem_get(text, &name, &der, &rest, &err))
			fail_msg("%s: %s", cases[i].label, err.detail);
		CHECK(tr_view_is(name, cases[i].name), cases[i].label);
		CHECK(tr_view_is(tr_buf_view(&der), cases[i].body), cases[i].label);
		CHECK(tr_view_is(rest, cases[i].rest), cases[i].label);
		CHECK(tr_pem_more(text), cases[i].label);
		free((void *)(uintptr_t)text.p);
	}
}

static void damaged_blocks_are_refused(void **state)
{
	static const struct {
		const char *label;
		struct tr_view text;
		const char *error;
	} cases[] = {
		{ "nothing", TR_VIEW_LIT(""), "no PEM block" },
		{ "no block", TR_VIEW_LIT("hello\n"), "no PEM block" },
		{ "DER", TR_VIEW_LIT("\x30\x03\x02\x01\x00"), "no PEM block" },
		{ "not at the line start", TR_VIEW_LIT(" " BEGIN_X "Zm9v\n" END_X), "BEGIN" },
		{ "four dashes", TR_VIEW_LIT("-----BEGIN X----\nZm9v\n" END_X), "BEGIN" },
		{ "six dashes", TR_VIEW_LIT("------BEGIN X-----\nZm9v\n" END_X), "BEGIN" },
		{ "six dashes behind", TR_VIEW_LIT("-----BEGIN X------\nZm9v\n-----END X------\n"), "BEGIN" },
		{ "END first", TR_VIEW_LIT(END_X BEGIN_X "Zm9v\n" END_X), "BEGIN" },
		{ "empty label", TR_VIEW_LIT("-----BEGIN -----\nZm9v\n-----END -----\n"), "BEGIN" },
		{ "space behind the label", TR_VIEW_LIT("-----BEGIN X -----\nZm9v\n-----END X -----\n"),
		  "BEGIN" },
		{ "two spaces", TR_VIEW_LIT("-----BEGIN X  Y-----\nZm9v\n-----END X  Y-----\n"), "BEGIN" },
		{ "control in the label", TR_VIEW_LIT("-----BEGIN X\tY-----\nZm9v\n-----END X\tY-----\n"),
		  "BEGIN" },
		{ "space behind BEGIN line", TR_VIEW_LIT("-----BEGIN X----- \nZm9v\n" END_X), "BEGIN" },
		{ "lower case", TR_VIEW_LIT("-----begin X-----\nZm9v\n" END_X), "BEGIN" },
		{ "only a BEGIN line", TR_VIEW_LIT(BEGIN_X), "no END" },
		{ "no END line", TR_VIEW_LIT(BEGIN_X "Zm9v\n"), "no END" },
		{ "other label", TR_VIEW_LIT(BEGIN_X "Zm9v\n-----END Y-----\n"), "match" },
		{ "shorter label", TR_VIEW_LIT("-----BEGIN XY-----\nZm9v\n" END_X), "match" },
		{ "BEGIN twice", TR_VIEW_LIT(BEGIN_X "Zm9v\n" BEGIN_X "Zm9v\n" END_X), "match" },
		{ "END cut", TR_VIEW_LIT(BEGIN_X "Zm9v\n-----END X"), "match" },
		{ "text behind END", TR_VIEW_LIT(BEGIN_X "Zm9v\n-----END X-----x\n"), "match" },
		{ "empty", TR_VIEW_LIT(BEGIN_X END_X), "empty" },
		{ "empty line", TR_VIEW_LIT(BEGIN_X "\nZm9v\n" END_X), "empty line" },
		{ "space in the body", TR_VIEW_LIT(BEGIN_X "Zm9v \n" END_X), "base64" },
		{ "no padding", TR_VIEW_LIT(BEGIN_X "Zg\n" END_X), "base64" },
		{ "stray bits", TR_VIEW_LIT(BEGIN_X "Zh==\n" END_X), "base64" },
		{ "padding inside", TR_VIEW_LIT(BEGIN_X "Zg==\nZg==\n" END_X), "base64" },
		{ "CR alone", TR_VIEW_LIT(BEGIN_X "Zm9v\rZm9v\n" END_X), "base64" },
		{ "CR CR LF", TR_VIEW_LIT(BEGIN_X "Zm9v\r\r\n" END_X), "base64" },
		{ "base64url", TR_VIEW_LIT(BEGIN_X "-_-_\n" END_X), "base64" },
		{ "NUL", TR_VIEW_LIT(BEGIN_X "Zm9v\0\n" END_X), "base64" },
		{ "RFC 1421 header", TR_VIEW_LIT(BEGIN_X "Comment: a\n\nZm9v\n" END_X), "headers" },
		{ "encrypted, old",
		  TR_VIEW_LIT("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
			      "DEK-Info: AES-256-CBC,00\n\nZm9v\n-----END RSA PRIVATE KEY-----\n"),
		  "encrypted" },
		{ "encrypted, PKCS#8",
		  TR_VIEW_LIT("-----BEGIN ENCRYPTED PRIVATE KEY-----\nZm9v\n-----END ENCRYPTED PRIVATE "
			      "KEY-----\n"),
		  "encrypted" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
		struct tr_view text = exact_copy(cases[i].text);
		struct tr_view name = { NULL, 77 }, rest = { NULL, 77 };
		struct tr_err err = { 0 };

		CHECK(tr_pem_get(text, &name, &der, &rest, &err) == TR_E_INVALID, cases[i].label);
		if (!strstr(err.pub, cases[i].error))
			fail_msg("%s: %s", cases[i].label, err.pub);
		CHECK(name.n == 77 && rest.n == 77 && der.n == 0, cases[i].label);
		free((void *)(uintptr_t)text.p);
	}
}

static void a_bundle_is_walked_to_its_end(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct tr_view left;
	unsigned count = 0;

	(void)state;
	tr_pem_add(&text, "CERTIFICATE", TR_VIEW_LIT("one"));
	tr_buf_adds(&text, "\nsubject=two\n");
	tr_pem_add(&text, "CERTIFICATE", TR_VIEW_LIT("two"));
	tr_buf_adds(&text, "\n\n");
	for (left = tr_buf_view(&text); tr_pem_more(left); count++) {
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
		struct tr_view name;
		struct tr_err err;

		assert_int_equal(tr_pem_get(left, &name, &der, &left, &err), TR_OK);
		assert_true(tr_view_is(tr_buf_view(&der), count ? "two" : "one"));
	}
	assert_int_equal(count, 2);
}

static void written_blocks_have_64_columns(void **state)
{
	uint8_t bytes[97] = { 0 };

	(void)state;
	for (size_t n = 1; n <= sizeof(bytes); n++) {
		tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, der = TR_BUF_INIT;
		struct tr_view name, rest;
		struct tr_err err;
		const char *line;

		bytes[n - 1] = (uint8_t)n;
		tr_pem_add(&text, "X", tr_view(bytes, n));
		assert_int_equal(tr_pem_get(tr_buf_view(&text), &name, &der, &rest, &err), TR_OK);
		assert_true(tr_view_eq(tr_buf_view(&der), tr_view(bytes, n)));
		assert_int_equal(rest.n, 0);
		line = strchr(tr_buf_cstr(&text), '\n') + 1;
		assert_true(strcspn(line, "\n") == (n >= 48 ? 64 : (n + 2) / 3 * 4));
	}
}

static void der_headers_have_one_form(void **state)
{
	static const struct {
		const char *label;
		struct tr_view in;
		bool ok;
		size_t body, whole;
	} cases[] = {
		{ "null", TR_VIEW_LIT("\x05\x00"), true, 0, 2 },
		{ "integer and more", TR_VIEW_LIT("\x02\x01\x07\x05\x00"), true, 1, 3 },
		{ "context tag", TR_VIEW_LIT("\xa3\x01\x07"), true, 1, 3 },
		{ "nothing", TR_VIEW_LIT(""), false, 0, 0 },
		{ "tag alone", TR_VIEW_LIT("\x30"), false, 0, 0 },
		{ "body cut", TR_VIEW_LIT("\x30\x02\x05"), false, 0, 0 },
		{ "end mark", TR_VIEW_LIT("\x00\x00"), false, 0, 0 },
		{ "long tag", TR_VIEW_LIT("\x1f\x81\x01\x00"), false, 0, 0 },
		{ "long context tag", TR_VIEW_LIT("\xbf\x21\x00"), false, 0, 0 },
		{ "indefinite", TR_VIEW_LIT("\x30\x80\x05\x00\x00\x00"), false, 0, 0 },
		{ "long form of 1", TR_VIEW_LIT("\x04\x81\x01x"), false, 0, 0 },
		{ "length of no bytes", TR_VIEW_LIT("\x04\x81"), false, 0, 0 },
		{ "leading zero", TR_VIEW_LIT("\x04\x82\x00\x01x"), false, 0, 0 },
		{ "2^32-1", TR_VIEW_LIT("\x04\x84\xff\xff\xff\xff"), false, 0, 0 },
		{ "five bytes", TR_VIEW_LIT("\x04\x85\x01\x00\x00\x00\x00"), false, 0, 0 },
		{ "reserved 0xff", TR_VIEW_LIT("\x04\xff\x01"), false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_view copy = exact_copy(cases[i].in), in = copy;
		struct tr_der d = { .tag = 0x77 };

		CHECK(tr_der_next(&in, &d) == cases[i].ok, cases[i].label);
		if (cases[i].ok)
			CHECK(d.tag == copy.p[0] && d.body.n == cases[i].body &&
				      d.whole.n == cases[i].whole && in.n == copy.n - d.whole.n,
			      cases[i].label);
		else
			CHECK(d.tag == 0x77 && in.n == copy.n, cases[i].label);
		free((void *)(uintptr_t)copy.p);
	}
}

static void der_long_lengths_are_shortest(void **state)
{
	static const struct {
		size_t len, head;
		uint8_t start[5];
	} cases[] = {
		{ 127, 2, { 4, 0x7f } },
		{ 128, 3, { 4, 0x81, 0x80 } },
		{ 255, 3, { 4, 0x81, 0xff } },
		{ 256, 4, { 4, 0x82, 0x01, 0x00 } },
		{ 65536, 5, { 4, 0x83, 0x01, 0x00, 0x00 } },
	};
	static uint8_t bytes[65536 + 5];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_view in = tr_view(bytes, cases[i].head + cases[i].len);
		struct tr_der d;

		memcpy(bytes, cases[i].start, 5);
		assert_true(tr_der_next(&in, &d));
		assert_int_equal(d.body.n, cases[i].len);
		assert_int_equal(in.n, 0);
		in = tr_view(bytes, cases[i].head + cases[i].len - 1);
		assert_false(tr_der_next(&in, &d));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_read_as_stock_tools_write_them),
		cmocka_unit_test(damaged_blocks_are_refused),
		cmocka_unit_test(a_bundle_is_walked_to_its_end),
		cmocka_unit_test(written_blocks_have_64_columns),
		cmocka_unit_test(der_headers_have_one_form),
		cmocka_unit_test(der_long_lengths_are_shortest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
