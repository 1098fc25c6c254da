/* SPDX-License-Identifier: Apache-2.0 */
#include "http/strict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define V(s) TR_VIEW_LIT(s)
#define HOST { V("Host"), V("t") }

struct line {
	struct tr_view name, value;
};

static const struct {
	const char *label;
	struct tr_view method, target, version;
	struct line lines[4];
	int status;
	uint64_t length;
} cases[] = {
	{ "plain", V("GET"), V("/"), V("HTTP/1.1"), { HOST }, 0, 0 },
	{ "length", V("POST"), V("/a?b=%20"), V("HTTP/1.1"), { HOST, { V("content-LENGTH"), V("12") } }, 0, 12 },
	{ "1.0 without a host", V("GET"), V("/"), V("HTTP/1.0"), { { V("A"), V("") } }, 0, 0 },
	{ "longest length", V("POST"), V("/"), V("HTTP/1.1"), { HOST, { V("Content-Length"), V("999999999999999999") } }, 0,
	  999999999999999999 },
	{ "any token is a method", V("X!y~"), V("/"), V("HTTP/1.1"), { HOST }, 0, 0 },
	{ "length over 64 bits", V("POST"), V("/"), V("HTTP/1.1"), { HOST, { V("Content-Length"), V("18446744073709551617") } }, 400, 0 },
	{ "empty length", V("POST"), V("/"), V("HTTP/1.1"), { HOST, { V("Content-Length"), V("") } }, 400, 0 },
	{ "negative length", V("POST"), V("/"), V("HTTP/1.1"), { HOST, { V("Content-Length"), V("-1") } }, 400, 0 },
	{ "length with a space", V("POST"), V("/"), V("HTTP/1.1"), { HOST, { V("Content-Length"), V("1 ") } }, 400, 0 },
	{ "two lengths", V("POST"), V("/"), V("HTTP/1.1"), { HOST, { V("Content-Length"), V("1") }, { V("Content-length"), V("1") } }, 400, 0 },
	{ "coding", V("POST"), V("/"), V("HTTP/1.1"), { HOST, { V("transfer-encoding"), V("identity") } }, 400, 0 },
	{ "two hosts", V("GET"), V("/"), V("HTTP/1.1"), { HOST, HOST }, 400, 0 },
	{ "no host", V("GET"), V("/"), V("HTTP/1.1"), { { V("A"), V("b") } }, 400, 0 },
	{ "space in a name", V("GET"), V("/"), V("HTTP/1.1"), { HOST, { V("A "), V("b") } }, 400, 0 },
	{ "empty name", V("GET"), V("/"), V("HTTP/1.1"), { HOST, { V(""), V("b") } }, 400, 0 },
	{ "folded value", V("GET"), V("/"), V("HTTP/1.1"), { HOST, { V("A"), V("b\r\n c") } }, 400, 0 },
	{ "NUL in a value", V("GET"), V("/"), V("HTTP/1.1"), { HOST, { V("A"), V("b\0c") } }, 400, 0 },
	{ "form feed in a value", V("GET"), V("/"), V("HTTP/1.1"), { HOST, { V("A"), V("\f") } }, 400, 0 },
	{ "DEL in a value", V("GET"), V("/"), V("HTTP/1.1"), { HOST, { V("A"), V("b\x7f") } }, 400, 0 },
	{ "tab and opaque bytes in a value", V("GET"), V("/"), V("HTTP/1.1"), { HOST, { V("A"), V("b\tc\xff") } }, 0, 0 },
	{ "method", V("G T"), V("/"), V("HTTP/1.1"), { HOST }, 400, 0 },
	{ "empty method", V(""), V("/"), V("HTTP/1.1"), { HOST }, 400, 0 },
	{ "version 1.9", V("GET"), V("/"), V("HTTP/1.9"), { HOST }, 400, 0 },
	{ "version 2.0", V("GET"), V("/"), V("HTTP/2.0"), { HOST }, 400, 0 },
	{ "version in lower case", V("GET"), V("/"), V("http/1.1"), { HOST }, 400, 0 },
	{ "no version", V("GET"), V("/"), V(""), { HOST }, 400, 0 },
	{ "absolute target", V("GET"), V("https://t/"), V("HTTP/1.1"), { HOST }, 400, 0 },
	{ "asterisk", V("OPTIONS"), V("*"), V("HTTP/1.1"), { HOST }, 400, 0 },
	{ "fragment", V("GET"), V("/a#b"), V("HTTP/1.1"), { HOST }, 400, 0 },
	{ "control in the target", V("GET"), V("/a\001"), V("HTTP/1.1"), { HOST }, 400, 0 },
	{ "bytes over 127 in the target", V("GET"), V("/\xc3\xa4"), V("HTTP/1.1"), { HOST }, 400, 0 },
	{ "four lines", V("GET"), V("/"), V("HTTP/1.1"), { HOST, { V("A"), V("1") }, { V("B"), V("1") }, { V("C"), V("1") } }, 431, 0 },
};

static void heads_are_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tr_strict s;

		tr_strict_begin(&s, cases[i].method, cases[i].target, cases[i].version, 3);
		for (int l = 0; l < 4 && cases[i].lines[l].name.p; l++)
			tr_strict_header(&s, cases[i].lines[l].name, cases[i].lines[l].value);
		if (tr_strict_end(&s) != (cases[i].status == 0) || s.status != cases[i].status)
			fail_msg("%s: %d", cases[i].label, s.status);
		if (cases[i].status)
			assert_true(s.slug && s.why);
		else
			assert_int_equal(s.content_length, cases[i].length);
	}
}

static void own_headers_are_judged(void **state)
{
	(void)state;
	assert_true(tr_http_is_value(V("text/plain; a=\"b\"\t")));
	assert_true(tr_http_is_value(V("")));
	assert_false(tr_http_is_value(V("a\r\nb")));
	assert_false(tr_http_is_value(V("a\x7f")));
	assert_false(tr_http_is_value(V("\xc3\xa4")));
	assert_true(tr_http_is_token(V("Retry-After")));
	assert_false(tr_http_is_token(V("Retry After")));
	assert_false(tr_http_is_token(V("a:")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_judged),
		cmocka_unit_test(own_headers_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
