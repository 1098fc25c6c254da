/* SPDX-License-Identifier: Apache-2.0 */
/* What is posted where is tested with real receivers in tests/e2e/test_egress.py; here the addresses. */
#include "http/post.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void addresses_are_split(void **state)
{
	static const struct {
		const char *text, *scheme, *host;
		unsigned port;
		bool path, loopback;
	} cases[] = {
		{ "https://a.example/x?y=1", "https", "a.example", 443, true, false },
		{ "https://a.example", "https", "a.example", 443, false, false },
		{ "https://a.example/", "https", "a.example", 443, false, false },
		{ "https://a.example?x", "https", "a.example", 443, true, false },
		{ "HTTP://LOCALHOST:8080/", "http", "LOCALHOST", 8080, false, false },
		{ "http://localhost/", "http", "localhost", 80, false, true },
		{ "http://127.9.0.1/", "http", "127.9.0.1", 80, false, true },
		{ "http://128.0.0.1/", "http", "128.0.0.1", 80, false, false },
		{ "http://[::1]:9093/api", "http", "::1", 9093, true, true },
		{ "http://[::2]/", "http", "::2", 80, false, false },
		{ "http://localhost.example/", "http", "localhost.example", 80, false, false },
		{ "udp://192.0.2.1", "udp", "192.0.2.1", 514, false, false },
		{ "tcp://[2001:db8::1]:6514", "tcp", "2001:db8::1", 6514, false, false },
		{ "tcp://logs", "tcp", "logs", 601, false, false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_url u;

		if (!tr_url_split(cases[i].text, &u))
			fail_msg("%s is refused", cases[i].text);
		assert_string_equal(u.scheme, cases[i].scheme);
		assert_string_equal(u.host, cases[i].host);
		assert_int_equal(u.port, cases[i].port);
		if (u.path != cases[i].path || tr_url_is_loopback(&u) != cases[i].loopback)
			fail_msg("%s: path %d, loopback %d", cases[i].text, u.path, tr_url_is_loopback(&u));
	}
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const cases[] = {
		"", "a.example", "//a.example/", "https://", "https:///x", "https://u@a.example/", "https://u:p@a.example/",
		"https://a.example/#part", "https://a b/", "https://a.example/\n", "https://a.example:0/",
		"https://a.example:99999/", "gopher-and-more://x", "foo://x", "https://[::1/",
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_url u;

		if (tr_url_split(cases[i], &u))
			fail_msg("\"%s\" is taken as %s host %s port %u", cases[i], u.scheme, u.host, u.port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_split),
		cmocka_unit_test(what_is_no_address_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
