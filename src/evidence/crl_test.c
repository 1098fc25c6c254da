/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/x_test.h"

#define EC256 "30{ 06{2a8648ce3d040302} }"
#define EC384 "30{ 06{2a8648ce3d040303} }"
#define DAY1 "17{'200101000000Z'}"
#define DAY2 "17{'200201000000Z'}"
#define ENTRY(serial) "30{ 02{" serial "} " DAY1 "}"
#define REASON "30{ 06{551d15} 04{0a0101} }"
#define NUMBER "30{ 06{551d14} 04{020107} }"
#define AKI "30{ 06{551d23} 04{ 30{ 80{0c0d} } } }"
#define EXTS(list) "a0{ 30{" list "} }"

enum part { VERSION, INNER_ALG, ISSUER, THIS, NEXT, ENTRIES, TAIL, OUTER_ALG, SIG, BEHIND, AFTER, PART_N };

static const char *const good[PART_N] = {
	[VERSION] = "020101",
	[INNER_ALG] = EC256,
	[ISSUER] = "30{ 31{ 30{ 06{550403} 0c{'Issuer'} } } }",
	[THIS] = DAY1,
	[NEXT] = DAY2,
	[ENTRIES] = "30{" ENTRY("05") "30{ 02{00ff01} " DAY1 "30{" REASON "} }" ENTRY("00") "}",
	[TAIL] = (EXTS(NUMBER AKI)),
	[OUTER_ALG] = EC256,
	[SIG] = "03{00 30{ 020101 020101 } }",
	[BEHIND] = "",
	[AFTER] = "",
};

static void make(const char *const with[PART_N], struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	tr_buf_adds(&text, "30{ 30{");
	for (unsigned i = 0; i < PART_N; i++) {
		if (i == OUTER_ALG || i == AFTER)
			tr_buf_adds(&text, "}");
		tr_buf_adds(&text, with[i] ? with[i] : good[i]);
	}
	tr_buf_clear(b);
	(void)add_der(b, tr_buf_cstr(&text));
	assert_true(tr_buf_ok(b));
}

static void every_field_is_read(void **state)
{
	static const char *const none[PART_N] = { NULL };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_x_crl c;
	struct tr_err err;

	(void)state;
	make(none, &b);
	assert_int_equal(tr_x_crl_parse(tr_buf_view(&b), &c, &err), TR_OK);
	assert_true(tr_view_eq(c.der, tr_buf_view(&b)) && c.tbs.p > c.der.p && c.tbs.p[0] == 0x30);
	assert_true(c.this_update == 1577836800 && c.next_update == 1580515200);
	assert_true(c.issuer.n == 19 && tr_view_eq(c.aki, TR_VIEW_LIT("\x0c\x0d")));
	assert_false(c.unknown_critical);
	assert_int_equal(c.sig_alg, TR_X_SIG_ECDSA_SHA256);
	assert_int_equal(c.sig.n, 8);
	assert_true(tr_x_crl_lists(&c, TR_VIEW_LIT("\x05")));
	assert_true(tr_x_crl_lists(&c, TR_VIEW_LIT("\x00\xff\x01")));
	assert_true(tr_x_crl_lists(&c, TR_VIEW_LIT("\x00")));
	assert_false(tr_x_crl_lists(&c, TR_VIEW_LIT("\x06")));
	assert_false(tr_x_crl_lists(&c, TR_VIEW_LIT("\x05\x00")));
	assert_false(tr_x_crl_lists(&c, TR_VIEW_LIT("\xff\x01")));
	assert_false(tr_x_crl_lists(&c, TR_VIEW_LIT("")));
}

static void strictness(void **state)
{
	static const struct { const char *label; enum part part; const char *der; const char *error; } rows[] = {
		{ "nobody is revoked", ENTRIES, "", NULL },
		{ "an empty list", ENTRIES, "30{}", NULL },
		{ "no extensions", TAIL, "", NULL },
		{ "until 2051", NEXT, "18{'20510101000000Z'}", NULL },

		{ "trailing byte", AFTER, "00", "not one CRL" },
		{ "something behind the signature", BEHIND, "0500", "not one CRL" },
		{ "signature with unused bits", SIG, "03{01 02}", "not one CRL" },
		{ "another algorithm outside", OUTER_ALG, EC384, "two signature algorithms" },
		{ "another algorithm inside", INNER_ALG, EC384, "two signature algorithms" },
		{ "version 1", VERSION, "", "not version 2" },
		{ "version 1 said aloud", VERSION, "020100", "not version 2" },
		{ "version 3", VERSION, "020102", "not version 2" },
		{ "version as a certificate has it", VERSION, "a0{ 020101 }", "not version 2" },
		{ "issuer is a set", ISSUER, "31{}", "issuer" },
		{ "no dates", THIS, "", "no nextUpdate" },
		{ "no nextUpdate", NEXT, "", "no nextUpdate" },
		{ "bad thisUpdate", THIS, "17{'200132000000Z'}", "thisUpdate" },
		{ "three dates", NEXT, DAY2 DAY2, "extensions" },
		{ "entry without a date", ENTRIES, "30{ 30{ 02{05} } }", "revokedCertificates" },
		{ "entry without a serial", ENTRIES, "30{ 30{" DAY1 "} }", "revokedCertificates" },
		{ "negative serial", ENTRIES, "30{" ENTRY("80") "}", "revokedCertificates" },
		{ "padded serial", ENTRIES, "30{" ENTRY("0005") "}", "not one CRL" },
		{ "bad date of an entry", ENTRIES, "30{ 30{ 02{05} 17{'209901000000Z'} } }", "revokedCertificates" },
		{ "entry is a set", ENTRIES, "30{ 31{ 02{05}" DAY1 "} }", "revokedCertificates" },
		{ "last entry bad", ENTRIES, "30{" ENTRY("05") ENTRY("06") "0500 }", "revokedCertificates" },
		{ "something behind an entry", ENTRIES, "30{ 30{ 02{05} " DAY1 " 30{" REASON "} 0500 } }", "revokedCertificates" },
		{ "no extension in an entry's list", ENTRIES, "30{ 30{ 02{05} " DAY1 "30{} } }", "revokedCertificates" },
		{ "an entry's extension twice", ENTRIES, "30{ 30{ 02{05} " DAY1 "30{" REASON REASON "} } }", "revokedCertificates" },
		{ "list twice", ENTRIES, "30{" ENTRY("05") "} 30{" ENTRY("06") "}", "extensions" },
		{ "extension twice", TAIL, EXTS(NUMBER NUMBER), "extensions" },
		{ "no extension in the list", TAIL, EXTS(""), "extensions" },
		{ "malformed key identifier", TAIL, EXTS("30{ 06{551d23} 04{0400} }"), "extensions" },
		{ "something behind the extensions", TAIL, EXTS(NUMBER) "0500", "behind the extensions" },
		{ "two lists of extensions", TAIL, EXTS(NUMBER) EXTS(AKI), "behind the extensions" },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		const char *with[PART_N] = { NULL };
		struct tr_err err = { 0 };
		struct tr_x_crl c;
		enum tr_code rc;
		struct tr_view in;

		with[rows[i].part] = rows[i].der;
		make(with, &b);
		in = exact_copy(tr_buf_view(&b));
		rc = tr_x_crl_parse(in, &c, &err);
		if (rc != (rows[i].error ? TR_E_INVALID : TR_OK) || (rc && !strstr(err.detail, rows[i].error)))
			fail_msg("%s: %d, %s", rows[i].label, rc, err.detail);
		if (!rc && rows[i].part == ENTRIES)
			CHECK(!tr_x_crl_lists(&c, TR_VIEW_LIT("\x05")), rows[i].label);
		free((void *)(uintptr_t)in.p);
	}
}

static void critical_extensions_are_flagged(void **state)
{
	static const struct { const char *label; enum part part; const char *der; bool unknown; } rows[] = {
		{ "both known ones, critical", TAIL,
		  EXTS("30{ 06{551d14} 0101ff 04{020107} } 30{ 06{551d23} 0101ff 04{ 30{ 80{0c} } } }"), false },
		{ "unknown, not critical", TAIL, EXTS(NUMBER "30{ 06{2a03} 04{0500} }"), false },
		{ "unknown, critical", TAIL, EXTS("30{ 06{2a03} 0101ff 04{0500} }" NUMBER), true },
		{ "issuing distribution point", TAIL, EXTS("30{ 06{551d1c} 0101ff 04{ 30{ 8401ff } } }" NUMBER), true },
		{ "delta", TAIL, EXTS("30{ 06{551d1b} 0101ff 04{020101} }" NUMBER), true },
		{ "certificate issuer of an entry", ENTRIES,
		  "30{ 30{ 02{05} " DAY1 "30{" REASON "30{ 06{551d1d} 0101ff 04{ 30{} } } } } }", true },
		{ "unknown of the second entry", ENTRIES,
		  "30{" ENTRY("05") "30{ 02{06} " DAY1 "30{ 30{ 06{2a03} 0101ff 04{} } } } }", true },
		{ "unknown of an entry, not critical", ENTRIES, "30{ 30{ 02{05} " DAY1 "30{ 30{ 06{2a03} 04{} } } } }", false },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		const char *with[PART_N] = { NULL };
		struct tr_x_crl c;
		struct tr_err err;

		with[rows[i].part] = rows[i].der;
		make(with, &b);
		CHECK(tr_x_crl_parse(tr_buf_view(&b), &c, &err) == TR_OK, rows[i].label);
		CHECK(c.unknown_critical == rows[i].unknown, rows[i].label);
	}
}

static void damaged_ones_are_read_within_bounds(void **state)
{
	static const char *const none[PART_N] = { NULL };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_x_crl c;
	struct tr_err err;

	(void)state;
	make(none, &b);
	for (size_t n = 0; n < b.n; n++) {
		struct tr_view cut = exact_copy(tr_view(b.p, n));

		assert_int_equal(tr_x_crl_parse(cut, &c, &err), TR_E_INVALID);
		free((void *)(uintptr_t)cut.p);
	}
	for (size_t bit = 0; bit < b.n * 8; bit++) {
		struct tr_view v;

		b.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		v = exact_copy(tr_buf_view(&b));
		if (!tr_x_crl_parse(v, &c, &err))
			(void)tr_x_crl_lists(&c, TR_VIEW_LIT("\x07"));
		free((void *)(uintptr_t)v.p);
		b.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
}

static void long_lists_are_searched_to_their_end(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, b = TR_BUF_INIT;
	const char *with[PART_N] = { NULL };
	struct tr_x_crl c;
	struct tr_err err;

	(void)state;
	tr_buf_adds(&text, "30{");
	for (unsigned i = 0; i < 5000; i++)
		tr_buf_addf(&text, ENTRY("41%04x"), i);
	tr_buf_adds(&text, "}");
	with[ENTRIES] = tr_buf_cstr(&text);
	make(with, &b);
	assert_int_equal(tr_x_crl_parse(tr_buf_view(&b), &c, &err), TR_OK);
	for (unsigned i = 0; i < 5000; i += 4999) {
		uint8_t serial[3] = { 0x41, (uint8_t)(i >> 8), (uint8_t)i };

		assert_true(tr_x_crl_lists(&c, TR_VIEW_ARRAY(serial)));
	}
	assert_false(tr_x_crl_lists(&c, TR_VIEW_LIT("\x41\x13\x88")));
	assert_non_null(tr_buf_space(&b, TR_X_CRL_MAX));
	memset(b.p + 5, 0, b.n - 5);
	assert_int_equal(tr_x_crl_parse(tr_buf_view(&b), &c, &err), TR_E_INVALID);
	assert_non_null(strstr(err.detail, "1 MiB"));
}

/* Intel's, and one of a case where the platform's own certificate is on it. */
static void shared_lists_are_read(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT, ca = TR_BUF_INIT, ders = TR_BUF_INIT, chain = TR_BUF_INIT;
	tr_auto(tr_raw_key_free) struct tr_raw_key *k = NULL;
	struct tr_x_cert issuer;
	struct tr_view der_of[4];
	struct tr_x_crl c;
	struct tr_err err;
	size_t n;

	(void)state;
	shared_file("tdx4-phala-uptodate/pck_crl.der", &der);
	shared_file("tdx4-phala-uptodate/pck_crl_issuer_chain.pem", &ca);
	assert_int_equal(tr_x_crl_parse(tr_buf_view(&der), &c, &err), TR_OK);
	assert_int_equal(tr_x_pem_chain(tr_buf_view(&ca), "CERTIFICATE", 4, &ders, der_of, &n, &err), TR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(tr_x_cert_parse(der_of[0], &issuer, &err), TR_OK);
	assert_true(tr_view_eq(c.issuer, issuer.subject) && tr_view_eq(c.aki, issuer.ski));
	assert_int_equal(tr_x_cert_key(&issuer, &k, &err), TR_OK);
	assert_int_equal(tr_x_verify(c.sig_alg, c.tbs, c.sig, k, &err), TR_OK);
	assert_false(c.unknown_critical);
	assert_false(tr_x_crl_lists(&c, issuer.serial));
	assert_true(c.entries.n > 1000);

	tr_buf_clear(&der);
	shared_file("synth-neg-tcb-signer-revoked/root_ca_crl.der", &der);
	shared_file("synth-neg-tcb-signer-revoked/tcb_signing_chain.pem", &chain);
	assert_int_equal(tr_x_crl_parse(tr_buf_view(&der), &c, &err), TR_OK);
	assert_int_equal(tr_x_pem_chain(tr_buf_view(&chain), "CERTIFICATE", 4, &ders, der_of, &n, &err), TR_OK);
	assert_int_equal(tr_x_cert_parse(der_of[0], &issuer, &err), TR_OK);
	assert_true(tr_x_crl_lists(&c, issuer.serial));
	assert_int_equal(tr_x_cert_parse(der_of[1], &issuer, &err), TR_OK);
	assert_false(tr_x_crl_lists(&c, issuer.serial));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_read),
		cmocka_unit_test(strictness),
		cmocka_unit_test(critical_extensions_are_flagged),
		cmocka_unit_test(damaged_ones_are_read_within_bounds),
		cmocka_unit_test(long_lists_are_searched_to_their_end),
		cmocka_unit_test(shared_lists_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
