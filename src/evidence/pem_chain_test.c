/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/x_test.h"

#define BLOCK(label, body) "-----BEGIN " label "-----\n" body "\n-----END " label "-----\n"
#define A BLOCK("CERTIFICATE", "QUFB")
#define B BLOCK("CERTIFICATE", "QkI=")
#define CRLF "-----BEGIN CERTIFICATE-----\r\nQUFB\r\n-----END CERTIFICATE-----\r\n"

static void chains_are_blocks_and_nothing_else(void **state)
{
	static const struct { const char *label; struct tr_view text; const char *want; /* NULL: refused */ } rows[] = {
		{ "one", TR_VIEW_LIT(A), "AAA," },
		{ "three", TR_VIEW_LIT(A B A), "AAA,BB,AAA," },
		{ "final NUL", TR_VIEW_LIT(A B "\0"), "AAA,BB," },
		{ "no final line feed", TR_VIEW_LIT("-----BEGIN CERTIFICATE-----\nQUFB\n-----END CERTIFICATE-----"), "AAA," },
		{ "no final line feed, NUL", TR_VIEW_LIT("-----BEGIN CERTIFICATE-----\nQUFB\n-----END CERTIFICATE-----\0"), "AAA," },
		{ "CRLF", TR_VIEW_LIT(CRLF CRLF), "AAA,AAA," },
		{ "white space between", TR_VIEW_LIT("\n \t" A "\r\n\r\n" B "\n\n"), "AAA,BB," },
		{ "several lines", TR_VIEW_LIT("-----BEGIN CERTIFICATE-----\nQU\nFB\n-----END CERTIFICATE-----\n"), "AAA," },
		{ "nothing", TR_VIEW_LIT(""), "" },
		{ "only a NUL", TR_VIEW_LIT("\0"), "" },

		{ "four", TR_VIEW_LIT(A B A B), NULL },
		{ "two NULs", TR_VIEW_LIT(A "\0\0"), NULL },
		{ "NUL between", TR_VIEW_LIT(A "\0" B), NULL },
		{ "text in front", TR_VIEW_LIT("subject=x\n" A), NULL },
		{ "text between", TR_VIEW_LIT(A "x\n" B), NULL },
		{ "text behind", TR_VIEW_LIT(A "x"), NULL },
		{ "another label", TR_VIEW_LIT(BLOCK("X509 CRL", "QUFB")), NULL },
		{ "another label second", TR_VIEW_LIT(A BLOCK("TRUSTED CERTIFICATE", "QUFB")), NULL },
		{ "labels differ", TR_VIEW_LIT("-----BEGIN CERTIFICATE-----\nQUFB\n-----END X509 CRL-----\n"), NULL },
		{ "no end", TR_VIEW_LIT("-----BEGIN CERTIFICATE-----\nQUFB\n"), NULL },
		{ "block in a block", TR_VIEW_LIT("-----BEGIN CERTIFICATE-----\n" A), NULL },
		{ "empty block", TR_VIEW_LIT("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), NULL },
		{ "bad base64", TR_VIEW_LIT(BLOCK("CERTIFICATE", "QUF*")), NULL },
		{ "no padding", TR_VIEW_LIT(BLOCK("CERTIFICATE", "QkI")), NULL },
		{ "stray bits", TR_VIEW_LIT(BLOCK("CERTIFICATE", "QkJ=")), NULL },
		{ "header", TR_VIEW_LIT(BLOCK("CERTIFICATE", "a: b\n\nQUFB")), NULL },
		{ "space in a line", TR_VIEW_LIT(BLOCK("CERTIFICATE", "QU FB")), NULL },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_buf_done) struct tr_buf got = TR_BUF_INIT, ders = TR_BUF_INIT;
		struct tr_view in = exact_copy(rows[i].text), der[3];
		struct tr_err err = { 0 };
		size_t n = 77;
		enum tr_code rc;

		/* What stands in the buffer already stays, whatever comes. */
		tr_buf_adds(&ders, "kept");
		rc = tr_x_pem_chain(in, "CERTIFICATE", 3, &ders, der, &n, &err);
		CHECK(rc == (rows[i].want ? TR_OK : TR_E_INVALID), rows[i].label);
		CHECK(tr_view_starts(tr_buf_view(&ders), "kept"), rows[i].label);
		if (rc)
			CHECK(n == 77 && ders.n == 4 && err.pub, rows[i].label);
		for (size_t k = 0; !rc && k < n; k++) {
			tr_buf_addv(&got, der[k]);
			tr_buf_add8(&got, ',');
		}
		CHECK(rc || !strcmp(tr_buf_cstr(&got), rows[i].want), rows[i].label);
		free((void *)(uintptr_t)in.p);
	}
}

static void sizes_are_bounded(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, ders = TR_BUF_INIT;
	struct tr_view der[32];
	struct tr_err err;
	size_t n;

	(void)state;
	for (int i = 0; i < 16; i++)
		tr_buf_adds(&text, A);
	assert_int_equal(tr_x_pem_chain(tr_buf_view(&text), "CERTIFICATE", 16, &ders, der, &n, &err), TR_OK);
	assert_int_equal(n, 16);
	for (size_t i = 0; i < n; i++)
		assert_true(tr_view_is(der[i], "AAA"));
	assert_int_equal(tr_x_pem_chain(tr_buf_view(&text), "CERTIFICATE", 15, &ders, der, &n, &err), TR_E_INVALID);
	assert_int_equal(tr_x_pem_chain(tr_buf_view(&text), "CERTIFICATE", 0, &ders, der, &n, &err), TR_E_INVALID);
	tr_buf_adds(&text, A);
	assert_int_equal(tr_x_pem_chain(tr_buf_view(&text), "CERTIFICATE", 32, &ders, der, &n, &err), TR_E_INVALID);
	tr_buf_clear(&text);
	assert_non_null(tr_buf_space(&text, TR_X_PEM_MAX + 1));
	memset(text.p, '\n', text.n);
	assert_int_equal(tr_x_pem_chain(tr_buf_view(&text), "CERTIFICATE", 16, &ders, der, &n, &err), TR_E_INVALID);
	assert_int_equal(tr_x_pem_chain(tr_view(text.p, TR_X_PEM_MAX), "CERTIFICATE", 16, &ders, der, &n, &err), TR_OK);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_are_blocks_and_nothing_else),
		cmocka_unit_test(sizes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
