/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/x_test.h"

#include "crypto/x509.h"

#include <time.h>

#define EC256 "30{ 06{2a8648ce3d040302} }"
#define EC384 "30{ 06{2a8648ce3d040303} }"
#define CN(text) "30{ 31{ 30{ 06{550403} 0c{'" text "'} } } }"
#define X8 "0102030405060708"
#define X64 X8 X8 X8 X8 X8 X8 X8 X8
#define P256(point) "30{ 30{ 06{2a8648ce3d0201} 06{2a8648ce3d030107} } 03{00" point "} }"
#define EXT(oid, value) "30{ 06{" oid "} 04{" value "} }"
#define CRITICAL(oid, value) "30{ 06{" oid "} 0101ff 04{" value "} }"
#define CA_TRUE CRITICAL("551d13", "30{ 0101ff }")
#define USAGE CRITICAL("551d0f", "03{0106}")
#define EXTS(list) "a3{ 30{" list "} }"

enum part { VERSION, SERIAL, INNER_ALG, ISSUER, VALIDITY, SUBJECT, SPKI, TAIL, OUTER_ALG, SIG, BEHIND, AFTER, PART_N };

static const char *const good[PART_N] = {
	[VERSION] = "a0{ 020102 }",
	[SERIAL] = "02{ 2001 }",
	[INNER_ALG] = EC256,
	[ISSUER] = CN("Issuer"),
	[VALIDITY] = "30{ 17{'200101000000Z'} 17{'301231235959Z'} }",
	[SUBJECT] = CN("Subject"),
	[SPKI] = P256("04" X64),
	[TAIL] = EXTS(CA_TRUE USAGE EXT("551d0e", "04{0a0b}") EXT("551d23", "30{ 80{0c0d} }")),
	[OUTER_ALG] = EC256,
	[SIG] = "03{00 30{ 020101 020101 } }",
	[BEHIND] = "", /* inside the outermost SEQUENCE */
	[AFTER] = "",  /* behind it */
};

/* The good certificate with some parts replaced. */
static void make(const char *const with[PART_N], struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	tr_buf_adds(&text, "30{ 30{");
	for (unsigned i = 0; i < PART_N; i++) {
		if (i == OUTER_ALG)
			tr_buf_adds(&text, "}");
		if (i == AFTER)
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
	struct tr_view v;
	struct tr_x_cert c;
	struct tr_err err;

	(void)state;
	make(none, &b);
	assert_int_equal(tr_x_cert_parse(tr_buf_view(&b), &c, &err), TR_OK);
	assert_true(tr_view_eq(c.der, tr_buf_view(&b)));
	assert_true(c.tbs.p == c.der.p + 4 && c.tbs.p[0] == 0x30);
	assert_true(tr_view_eq(c.serial, TR_VIEW_LIT("\x20\x01")));
	assert_true(tr_view_eq(c.issuer, TR_VIEW_LIT("\x30\x11\x31\x0f\x30\x0d\x06\x03\x55\x04\x03\x0c\x06" "Issuer")));
	assert_true(tr_view_is(c.subject_cn, "Subject"));
	assert_int_equal(c.subject.n, c.issuer.n + 1);
	assert_true(c.spki.p[0] == 0x30 && c.spki.n == 91);
	assert_int_equal(c.key_type, TR_RAW_P256);
	assert_true(c.point.n == 64 && c.point.p[0] == 1 && c.point.p[63] == 8);
	assert_true(c.not_before == 1577836800 && c.not_after == 1924991999);
	assert_true(c.v3 && c.has_basic && c.ca && c.has_usage && !c.unknown_critical);
	assert_int_equal(c.path_len, -1);
	assert_int_equal(c.usage, 1u << 5 | 1u << 6); /* keyCertSign, cRLSign */
	assert_true(tr_view_eq(c.ski, TR_VIEW_LIT("\x0a\x0b")) && tr_view_eq(c.aki, TR_VIEW_LIT("\x0c\x0d")));
	assert_int_equal(c.sig_alg, TR_X_SIG_ECDSA_SHA256);
	assert_int_equal(c.sig.n, 8);
	assert_true(tr_x_cert_extension(&c, TR_VIEW_LIT("\x55\x1d\x0e"), &v) && tr_view_eq(v, TR_VIEW_LIT("\x04\x02\x0a\x0b")));
	assert_false(tr_x_cert_extension(&c, TR_VIEW_LIT("\x55\x1d\x1f"), &v));
	assert_false(tr_x_cert_extension(&c, TR_VIEW_LIT("\x55\x1d"), &v));
	assert_true(tr_x_cert_in_time(&c, c.not_before) && tr_x_cert_in_time(&c, c.not_after));
	assert_false(tr_x_cert_in_time(&c, c.not_before - 1) || tr_x_cert_in_time(&c, c.not_after + 1));
}

static void strictness(void **state)
{
	static const struct { const char *label; enum part part; const char *der; const char *error; } rows[] = {
		/* What is let pass, because somebody's hardware has it. */
		{ "serial 0", SERIAL, "02{00}", NULL },
		{ "serial of 20 bytes and a zero", SERIAL, "02{00 ff" X8 X8 "010203}", NULL },
		{ "empty subject", SUBJECT, "30{}", NULL },
		{ "usage with zero bits at its end", TAIL, EXTS(CRITICAL("551d0f", "03{0004}")), NULL },
		{ "version 1 without extensions", TAIL, "", NULL },
		{ "a long path", TAIL, EXTS(CRITICAL("551d13", "30{ 0101ff 02017f }")), NULL },
		{ "nine usages", TAIL, EXTS(CRITICAL("551d0f", "03{07ff80}")), NULL },
		{ "compressed point", SPKI, P256("02" X8 X8 X8 X8), NULL },
		{ "a curve that is not read", SPKI, "30{ 30{ 06{2a8648ce3d0201} 06{2b8104000a} } 03{0004" X64 "} }", NULL },
		{ "Ed25519", SPKI, "30{ 30{ 06{2b6570} } 03{00" X8 X8 X8 X8 "} }", NULL },
		{ "until 9999", VALIDITY, "30{ 17{'200101000000Z'} 18{'99991231235959Z'} }", NULL },

		{ "trailing byte", AFTER, "00", "not one certificate" },
		{ "trailing element", AFTER, "0500", "not one certificate" },
		{ "something behind the signature", BEHIND, "0500", "not one certificate" },
		{ "signature with unused bits", SIG, "03{07 3000}", "not one certificate" },
		{ "no signature", SIG, "03{00}", "not one certificate" },
		{ "another signature algorithm outside", OUTER_ALG, EC384, "two signature algorithms" },
		{ "another signature algorithm inside", INNER_ALG, EC384, "two signature algorithms" },
		{ "one algorithm with parameters", OUTER_ALG, "30{ 06{2a8648ce3d040302} 0500 }", "two signature algorithms" },
		{ "version 1 said aloud", VERSION, "a0{ 020100 }", "version" },
		{ "version 4", VERSION, "a0{ 020103 }", "version" },
		{ "two versions", VERSION, "a0{ 020102 020102 }", "version" },
		{ "version in two bytes", VERSION, "a0{ 02020002 }", "not one certificate" },
		{ "extensions in version 1", VERSION, "", "extensions" },
		{ "extensions in version 2", VERSION, "a0{ 020101 }", "extensions" },
		{ "negative serial", SERIAL, "02{ff01}", "serial" },
		{ "empty serial", SERIAL, "02{}", "not one certificate" },
		{ "padded serial", SERIAL, "02{0001}", "not one certificate" },
		{ "serial of 21 bytes", SERIAL, "02{01" X8 X8 "01020304}", "serial" },
		{ "no serial", SERIAL, "", "serial" },
		{ "issuer is a set", ISSUER, "31{}", "issuer" },
		{ "empty RDN", ISSUER, "30{ 31{} }", "issuer" },
		{ "RDN is a sequence", SUBJECT, "30{ 30{ 30{ 06{550403} 0c{'a'} } } }", "subject" },
		{ "attribute without a value", SUBJECT, "30{ 31{ 30{ 06{550403} } } }", "subject" },
		{ "attribute with two values", SUBJECT, "30{ 31{ 30{ 06{550403} 0c{'a'} 0c{'b'} } } }", "subject" },
		{ "one date", VALIDITY, "30{ 17{'200101000000Z'} }", "validity" },
		{ "three dates", VALIDITY, "30{ 17{'200101000000Z'} 17{'200101000000Z'} 17{'200101000000Z'} }", "validity" },
		{ "GeneralizedTime before 2050", VALIDITY, "30{ 18{'20200101000000Z'} 17{'301231235959Z'} }", "validity" },
		{ "30 February", VALIDITY, "30{ 17{'200101000000Z'} 17{'300230000000Z'} }", "validity" },
		{ "point cut", SPKI, P256("04" X8 X8 X8 X8), "public key" },
		{ "point with a byte more", SPKI, P256("04" X64 "00"), "public key" },
		{ "hybrid point", SPKI, P256("06" X64), "public key" },
		{ "point at infinity", SPKI, P256("00"), "public key" },
		{ "key with unused bits", SPKI, "30{ 30{ 06{2a8648ce3d0201} 06{2a8648ce3d030107} } 03{0104" X64 "} }", "public key" },
		{ "something behind the key", SPKI, "30{ 30{ 06{2b6570} } 03{00" X8 "} 0500 }", "public key" },
		{ "RSA with a negative modulus", SPKI, "30{ 30{ 06{2a864886f70d010101} 0500 } 03{00 30{ 02{80} 02{03} } } }",
		  "public key" },
		{ "RSA with a padded modulus", SPKI, "30{ 30{ 06{2a864886f70d010101} 0500 } 03{00 30{ 02{0001} 02{03} } } }",
		  "public key" },
		{ "RSA with three numbers", SPKI, "30{ 30{ 06{2a864886f70d010101} 0500 } 03{00 30{ 02{0080} 02{03} 02{03} } } }",
		  "public key" },
		{ "unique identifiers", TAIL, "81{0001}", "behind the public key" },
		{ "extensions under another number", TAIL, "a4{ 30{" CA_TRUE "} }", "behind the public key" },
		{ "something behind the extensions", TAIL, EXTS(CA_TRUE) "0500", "behind the public key" },
		{ "two lists of extensions", TAIL, EXTS(CA_TRUE) EXTS(USAGE), "behind the public key" },
		{ "no extension in the list", TAIL, EXTS(""), "extensions are" },
		{ "extension twice", TAIL, EXTS(CA_TRUE CA_TRUE), "extensions are" },
		{ "unknown extension twice", TAIL, EXTS(EXT("2a03", "0500") CA_TRUE EXT("2a03", "")), "extensions are" },
		{ "critical FALSE", TAIL, EXTS("30{ 06{551d13} 010100 04{3000} }"), "extensions are" },
		{ "critical 01", TAIL, EXTS("30{ 06{551d13} 010101 04{3000} }"), "not one certificate" },
		{ "extension without a value", TAIL, EXTS("30{ 06{551d13} 0101ff }"), "extensions are" },
		{ "extension with two values", TAIL, EXTS("30{ 06{551d13} 04{3000} 04{3000} }"), "extensions are" },
		{ "cA FALSE said aloud", TAIL, EXTS(EXT("551d13", "30{ 010100 }")), "basicConstraints" },
		{ "cA 01", TAIL, EXTS(EXT("551d13", "30{ 010101 }")), "basicConstraints" },
		{ "path without cA", TAIL, EXTS(EXT("551d13", "30{ 020100 }")), "basicConstraints" },
		{ "negative path", TAIL, EXTS(EXT("551d13", "30{ 0101ff 0201ff }")), "basicConstraints" },
		{ "endless path", TAIL, EXTS(EXT("551d13", "30{ 0101ff 02020100 }")), "basicConstraints" },
		{ "something in basicConstraints", TAIL, EXTS(EXT("551d13", "30{ 0101ff 020100 0500 }")), "basicConstraints" },
		{ "something behind basicConstraints", TAIL, EXTS(EXT("551d13", "30{} 00")), "basicConstraints" },
		{ "usage of no bits", TAIL, EXTS(EXT("551d0f", "03{00}")), "keyUsage" },
		{ "usage of 24 bits", TAIL, EXTS(EXT("551d0f", "03{00808080}")), "keyUsage" },
		{ "unused bits that are set", TAIL, EXTS(EXT("551d0f", "03{0781}")), "keyUsage" },
		{ "eight unused bits", TAIL, EXTS(EXT("551d0f", "03{0880}")), "keyUsage" },
		{ "usage as octets", TAIL, EXTS(EXT("551d0f", "04{0780}")), "keyUsage" },
		{ "something behind the usage", TAIL, EXTS(EXT("551d0f", "03{0780} 00")), "keyUsage" },
		{ "empty subject key identifier", TAIL, EXTS(EXT("551d0e", "04{}")), "subjectKeyIdentifier" },
		{ "something behind it", TAIL, EXTS(EXT("551d0e", "04{01} 00")), "subjectKeyIdentifier" },
		{ "authority key identifier bare", TAIL, EXTS(EXT("551d23", "04{01}")), "authorityKeyIdentifier" },
		{ "authority key identifier twice", TAIL, EXTS(EXT("551d23", "30{ 80{01} 80{02} }")), "authorityKeyIdentifier" },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		const char *with[PART_N] = { NULL };
		struct tr_err err = { 0 };
		struct tr_x_cert c;
		enum tr_code rc;
		struct tr_view in;

		with[rows[i].part] = rows[i].der;
		if (rows[i].part == TAIL && !*rows[i].der)
			with[VERSION] = "";
		make(with, &b);
		in = exact_copy(tr_buf_view(&b));
		rc = tr_x_cert_parse(in, &c, &err);
		if (rc != (rows[i].error ? TR_E_INVALID : TR_OK) || (rc && !strstr(err.detail, rows[i].error)))
			fail_msg("%s: %d, %s", rows[i].label, rc, err.detail);
		free((void *)(uintptr_t)in.p);
	}
}

static bool parse(struct tr_buf *b, enum part part, const char *der, struct tr_x_cert *ret)
{
	const char *with[PART_N] = { NULL };
	struct tr_err err = { 0 };

	with[part] = der;
	if (part == INNER_ALG)
		with[OUTER_ALG] = der;
	make(with, b);
	if (tr_x_cert_parse(tr_buf_view(b), ret, &err) == TR_OK)
		return true;
	print_message("%s\n", err.detail);
	return false;
}

static void critical_extensions_are_known_or_flagged(void **state)
{
	static const struct { const char *label, *exts; bool unknown; } rows[] = {
		{ "all that are known", EXTS(CA_TRUE USAGE CRITICAL("551d1f", "3000") CRITICAL("551d25", "3000")
			  CRITICAL("551d20", "3000") CRITICAL("551d11", "3000") CRITICAL("2b06010505070101", "3000")), false },
		{ "unknown, not critical", EXTS(EXT("2a864886f84d010d01", "3000") CA_TRUE), false },
		{ "unknown, critical", EXTS(CRITICAL("2a864886f84d010d01", "3000") CA_TRUE), true },
		{ "name constraints", EXTS(CA_TRUE CRITICAL("551d1e", "3000")), true },
		{ "policy constraints", EXTS(CA_TRUE CRITICAL("551d24", "3000")), true },
		{ "a prefix of a known one", EXTS(CRITICAL("551d", "3000")), true },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_x_cert c;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++)
		CHECK(parse(&b, TAIL, rows[i].exts, &c) && c.unknown_critical == rows[i].unknown, rows[i].label);
	/* Bits as RFC 5280 numbers them, across both bytes. */
	assert_true(parse(&b, TAIL, EXTS(EXT("551d0f", "03{078080}")), &c));
	assert_int_equal(c.usage, 1u << 0 | 1u << 8);
	assert_true(parse(&b, TAIL, EXTS(EXT("551d13", "30{}")), &c));
	assert_true(c.has_basic && !c.ca && !c.has_usage && !c.ski.n && !c.aki.n);
	assert_true(parse(&b, TAIL, EXTS(EXT("551d13", "30{ 0101ff 020100 }")), &c));
	assert_true(c.ca && c.path_len == 0);
	/* The key identifier may be missing where issuer and serial are. */
	assert_true(parse(&b, TAIL, EXTS(EXT("551d23", "30{ a1{} 82{01} }")), &c));
	assert_int_equal(c.aki.n, 0);
}

static void common_names_are_the_only_one(void **state)
{
	static const struct { const char *label, *name, *cn; } rows[] = {
		{ "UTF8String", CN("Role"), "Role" },
		{ "PrintableString, last", "30{ 31{ 30{ 06{550406} 13{'US'} } } 31{ 30{ 06{550403} 13{'Role'} } } }", "Role" },
		{ "IA5String", "30{ 31{ 30{ 06{550403} 16{'Role'} } } }", "Role" },
		{ "in one RDN with another", "30{ 31{ 30{ 06{550403} 13{'Role'} } 30{ 06{550406} 13{'US'} } } }", "Role" },
		{ "BMPString", "30{ 31{ 30{ 06{550403} 1e{0052} } } }", "" },
		{ "none", "30{ 31{ 30{ 06{550406} 13{'US'} } } }", "" },
		{ "two", "30{ 31{ 30{ 06{550403} 13{'Role'} } } 31{ 30{ 06{550403} 13{'Other'} } } }", "" },
		{ "two in one RDN", "30{ 31{ 30{ 06{550403} 13{'Other'} } 30{ 06{550403} 13{'Role'} } } }", "" },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_x_cert c;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++)
		CHECK(parse(&b, SUBJECT, rows[i].name, &c) && tr_view_is(c.subject_cn, rows[i].cn), rows[i].label);
}

#define SHA(n) "30{ 06{6086480165030402" n "} 0500 }"
#define SHA_BARE(n) "30{ 06{6086480165030402" n "} }"
#define MGF(hash) "30{ 06{2a864886f70d010108}" hash "}"
#define PSS(params) "30{ 06{2a864886f70d01010a}" params "}"

static void signature_algorithms(void **state)
{
	static const struct { const char *label, *alg; enum tr_x_sig want; } rows[] = {
		{ "ECDSA, SHA-384", EC384, TR_X_SIG_ECDSA_SHA384 },
		{ "ECDSA, SHA-512", "30{ 06{2a8648ce3d040304} }", TR_X_SIG_ECDSA_SHA512 },
		{ "ECDSA, SHA-1", "30{ 06{2a8648ce3d0401} }", TR_X_SIG_UNKNOWN },
		{ "ECDSA with NULL", "30{ 06{2a8648ce3d040302} 0500 }", TR_X_SIG_UNKNOWN },
		{ "RSA, SHA-256", "30{ 06{2a864886f70d01010b} 0500 }", TR_X_SIG_RSA_SHA256 },
		{ "RSA, SHA-384, no parameters", "30{ 06{2a864886f70d01010c} }", TR_X_SIG_RSA_SHA384 },
		{ "RSA, SHA-512", "30{ 06{2a864886f70d01010d} 0500 }", TR_X_SIG_RSA_SHA512 },
		{ "RSA with other parameters", "30{ 06{2a864886f70d01010b} 3000 }", TR_X_SIG_UNKNOWN },
		{ "RSA, SHA-1", "30{ 06{2a864886f70d010105} 0500 }", TR_X_SIG_UNKNOWN },
		{ "Ed25519", "30{ 06{2b6570} }", TR_X_SIG_UNKNOWN },
		{ "PSS, SHA-384", PSS("30{ a0{" SHA("02") "} a1{" MGF(SHA("02")) "} a2{ 020130 } }"), TR_X_SIG_PSS_SHA384 },
		{ "PSS with its trailer", PSS("30{ a0{" SHA("02") "} a1{" MGF(SHA("02")) "} a2{ 020130 } a3{ 020101 } }"),
		  TR_X_SIG_PSS_SHA384 },
		{ "PSS, hashes without NULL", PSS("30{ a0{" SHA_BARE("02") "} a1{" MGF(SHA_BARE("02")) "} a2{ 020130 } }"),
		  TR_X_SIG_PSS_SHA384 },
		{ "PSS, SHA-256", PSS("30{ a0{" SHA("01") "} a1{" MGF(SHA("01")) "} a2{ 020120 } }"), TR_X_SIG_PSS_SHA256 },
		{ "PSS, SHA-512", PSS("30{ a0{" SHA("03") "} a1{" MGF(SHA("03")) "} a2{ 020140 } }"), TR_X_SIG_PSS_SHA512 },
		{ "PSS without parameters", PSS(""), TR_X_SIG_UNKNOWN },
		{ "PSS of defaults: SHA-1", PSS("30{}"), TR_X_SIG_UNKNOWN },
		{ "PSS, trailer 2", PSS("30{ a0{" SHA("02") "} a1{" MGF(SHA("02")) "} a2{ 020130 } a3{ 020102 } }"),
		  TR_X_SIG_UNKNOWN },
		{ "PSS, two trailers", PSS("30{ a0{" SHA("02") "} a1{" MGF(SHA("02")) "} a2{ 020130 } a3{ 020101 020101 } }"),
		  TR_X_SIG_UNKNOWN },
		{ "PSS, something behind", PSS("30{ a0{" SHA("02") "} a1{" MGF(SHA("02")) "} a2{ 020130 } a4{ 020101 } }"),
		  TR_X_SIG_UNKNOWN },
		{ "PSS, another salt", PSS("30{ a0{" SHA("02") "} a1{" MGF(SHA("02")) "} a2{ 020120 } }"), TR_X_SIG_UNKNOWN },
		{ "PSS, the default salt", PSS("30{ a0{" SHA("02") "} a1{" MGF(SHA("02")) "} }"), TR_X_SIG_UNKNOWN },
		{ "PSS, MGF1 of another hash", PSS("30{ a0{" SHA("02") "} a1{" MGF(SHA("01")) "} a2{ 020130 } }"),
		  TR_X_SIG_UNKNOWN },
		{ "PSS, not MGF1", PSS("30{ a0{" SHA("02") "} a1{ 30{ 06{2a03}" SHA("02") "} } a2{ 020130 } }"),
		  TR_X_SIG_UNKNOWN },
		{ "PSS, no MGF: SHA-1", PSS("30{ a0{" SHA("02") "} a2{ 020130 } }"), TR_X_SIG_UNKNOWN },
		{ "PSS, SHA-224", PSS("30{ a0{" SHA("04") "} a1{" MGF(SHA("04")) "} a2{ 02011c } }"), TR_X_SIG_UNKNOWN },
		{ "PSS, parameters twice", PSS("30{ a0{" SHA("02") "} a1{" MGF(SHA("02")) "} a2{ 020130 } } 0500"),
		  TR_X_SIG_UNKNOWN },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_x_cert c;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++)
		CHECK(parse(&b, INNER_ALG, rows[i].alg, &c) && c.sig_alg == rows[i].want, rows[i].label);
}

static bool time_of(uint8_t tag, const char *text, int64_t *ret)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_view in;
	bool ok;

	tr_der_add(&b, tag, tr_view_str(text));
	in = tr_buf_view(&b);
	ok = tr_x_take_time(&in, ret);
	return ok && in.n == 0;
}

static void times_are_those_of_rfc_5280(void **state)
{
	static const struct { uint8_t tag; const char *text; int64_t want; } rows[] = {
		{ TR_DER_UTCTIME, "700101000000Z", 0 },
		{ TR_DER_UTCTIME, "500101000000Z", -631152000 },
		{ TR_DER_UTCTIME, "491231235959Z", 2524607999 }, /* Intel's root */
		{ TR_DER_GENTIME, "20500101000000Z", 2524608000 },
		{ TR_DER_GENTIME, "99991231235959Z", 253402300799 },
		{ TR_DER_UTCTIME, "000229120000Z", 951825600 },
		{ TR_DER_UTCTIME, "240229235959Z", 1709251199 },
		{ TR_DER_GENTIME, "24000229000000Z", 13574563200 },
	};
	static const struct { uint8_t tag; const char *text; } bad[] = {
		{ TR_DER_UTCTIME, "2001010000Z" },       { TR_DER_UTCTIME, "200101000000" },
		{ TR_DER_UTCTIME, "200101000000+0000" }, { TR_DER_UTCTIME, "20010100000 Z" },
		{ TR_DER_UTCTIME, "200101000000z" },     { TR_DER_UTCTIME, "2001010000000" },
		{ TR_DER_UTCTIME, "-10101000000Z" },     { TR_DER_UTCTIME, "200001000000Z" },
		{ TR_DER_UTCTIME, "201301000000Z" },     { TR_DER_UTCTIME, "200100000000Z" },
		{ TR_DER_UTCTIME, "200132000000Z" },     { TR_DER_UTCTIME, "200431000000Z" },
		{ TR_DER_UTCTIME, "210229000000Z" },     { TR_DER_UTCTIME, "200230000000Z" },
		{ TR_DER_UTCTIME, "200101240000Z" },     { TR_DER_UTCTIME, "200101006000Z" },
		{ TR_DER_UTCTIME, "200101000060Z" },     { TR_DER_UTCTIME, "20200101000000Z" },
		{ TR_DER_GENTIME, "200101000000Z" },     { TR_DER_GENTIME, "20500101000000.0Z" },
		{ TR_DER_GENTIME, "20491231235959Z" },   { TR_DER_GENTIME, "21000229000000Z" },
		{ TR_DER_GENTIME, "20500101000000" },    { TR_DER_UTF8, "200101000000Z" },
		{ TR_DER_UTCTIME, "" },
	};
	int64_t got;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++)
		CHECK(time_of(rows[i].tag, rows[i].text, &got) && got == rows[i].want, rows[i].text);
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++)
		CHECK(!time_of(bad[i].tag, bad[i].text, &got), bad[i].text);
	/* Every day of RFC 5280's years as libc counts them. */
	for (int64_t t = -631152000 + 43199; t < 253402300800; t += 86400) {
		time_t when = (time_t)t;
		struct tm tm;
		char text[32];

		assert_non_null(gmtime_r(&when, &tm));
		if (tm.tm_year < 150)
			(void)snprintf(text, sizeof(text), "%02d", tm.tm_year % 100);
		else
			(void)snprintf(text, sizeof(text), "%04d", tm.tm_year + 1900);
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%02d%02d%02d%02d%02dZ", tm.tm_mon + 1,
			       tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		if (!time_of(tm.tm_year < 150 ? TR_DER_UTCTIME : TR_DER_GENTIME, text, &got) || got != t)
			fail_msg("%s", text);
		/* Past 2200 a day of each month is enough. */
		if (tm.tm_year > 300)
			t += 86400 * 29;
	}
}

/* No cut and no single bit makes the reader leave its input (a sanitizer watches), and no cut is a certificate. */
static void damaged_ones_are_read_within_bounds(void **state)
{
	static const char *const none[PART_N] = { NULL };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_x_cert c;
	struct tr_err err;

	(void)state;
	make(none, &b);
	for (size_t n = 0; n < b.n; n++) {
		struct tr_view cut = exact_copy(tr_view(b.p, n));

		assert_int_equal(tr_x_cert_parse(cut, &c, &err), TR_E_INVALID);
		free((void *)(uintptr_t)cut.p);
	}
	for (size_t bit = 0; bit < b.n * 8; bit++) {
		struct tr_view v;

		b.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		v = exact_copy(tr_buf_view(&b));
		if (!tr_x_cert_parse(v, &c, &err))
			assert_true(c.tbs.p > v.p && c.sig.p + c.sig.n == v.p + v.n);
		free((void *)(uintptr_t)v.p);
		b.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
}

static void sizes_are_bounded(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const char *with[PART_N] = { NULL };
	struct tr_x_cert c;
	struct tr_err err;

	(void)state;
	for (unsigned n = 32; n <= 33; n++) {
		tr_buf_clear(&text);
		tr_buf_adds(&text, "a3{ 30{");
		for (unsigned i = 0; i < n; i++)
			tr_buf_addf(&text, "30{ 06{2a%02x} 04{00} }", i);
		tr_buf_adds(&text, "} }");
		with[TAIL] = tr_buf_cstr(&text);
		make(with, &b);
		assert_int_equal(tr_x_cert_parse(tr_buf_view(&b), &c, &err), n == 32 ? TR_OK : TR_E_INVALID);
	}
	tr_buf_clear(&text);
	tr_buf_adds(&text, "a3{ 30{ 30{ 06{2a03} 04{");
	for (unsigned i = 0; i < 8000; i++)
		tr_buf_adds(&text, "00");
	tr_buf_adds(&text, "} } } }");
	with[TAIL] = tr_buf_cstr(&text);
	make(with, &b);
	assert_true(b.n > TR_X_CERT_MAX);
	assert_int_equal(tr_x_cert_parse(tr_buf_view(&b), &c, &err), TR_E_INVALID);
	assert_non_null(strstr(err.detail, "8192"));
}

/* What crypto/x509.c writes and OpenSSL reads, read here: two readers, one certificate. */
static void our_own_certificates_verify(void **state)
{
	static const enum tr_key_type types[] = { TR_KEY_P256, TR_KEY_RSA };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(types); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *ca_key = NULL, *key = NULL;
		tr_auto(tr_buf_done) struct tr_buf ca_der = TR_BUF_INIT, der = TR_BUF_INIT;
		tr_auto(tr_raw_key_free) struct tr_raw_key *ca_raw = NULL, *raw = NULL;
		tr_auto(tr_cert_free) struct tr_cert *other = NULL;
		struct tr_cert_spec spec = { .common_name = "a CA", .not_before_ms = 1000,
					     .not_after_ms = 2600000000000, .ca = true };
		struct tr_x_cert ca, c;
		struct tr_err err;

		assert_int_equal(tr_privkey_generate(types[i], &ca_key, &err), TR_OK);
		assert_int_equal(tr_privkey_generate(TR_KEY_P256, &key, &err), TR_OK);
		spec.spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
		assert_int_equal(tr_cert_issue(ca_key, tr_view(NULL, 0), &spec, &ca_der, &err), TR_OK);
		spec = (struct tr_cert_spec){ .common_name = "a leaf", .not_before_ms = 1700000000000,
					      .not_after_ms = 1800000000000, .client_auth = true,
					      .spiffe = "spiffe://example.org/agent/a",
					      .spki = tr_pubkey_spki(tr_privkey_pub(key)) };
		assert_int_equal(tr_cert_issue(ca_key, tr_buf_view(&ca_der), &spec, &der, &err), TR_OK);

		assert_int_equal(tr_x_cert_parse(tr_buf_view(&ca_der), &ca, &err), TR_OK);
		assert_int_equal(tr_x_cert_parse(tr_buf_view(&der), &c, &err), TR_OK);
		assert_int_equal(tr_cert_parse(tr_buf_view(&der), &other, &err), TR_OK);
		assert_true(ca.ca && (ca.usage & 1u << 5) && !c.ca && !c.unknown_critical && c.v3);
		assert_true(tr_view_eq(ca.subject, c.issuer) && tr_view_is(c.subject_cn, "a leaf"));
		assert_true(!ca.ski.n || tr_view_eq(ca.ski, c.aki));
		assert_true(tr_view_eq(c.spki, spec.spki));
		assert_true(c.not_before == tr_cert_not_before_ms(other) / 1000);
		assert_true(c.not_after == tr_cert_not_after_ms(other) / 1000);

		assert_int_equal(tr_x_cert_key(&ca, &ca_raw, &err), TR_OK);
		assert_int_equal(tr_x_cert_key(&c, &raw, &err), TR_OK);
		assert_int_equal(tr_x_verify(ca.sig_alg, ca.tbs, ca.sig, ca_raw, &err), TR_OK);
		assert_int_equal(tr_x_verify(c.sig_alg, c.tbs, c.sig, ca_raw, &err), TR_OK);
		assert_int_equal(tr_x_verify(c.sig_alg, ca.tbs, c.sig, ca_raw, &err), TR_E_DENIED);
		assert_int_equal(tr_x_verify(c.sig_alg, c.tbs, tr_view(c.sig.p, c.sig.n - 1), ca_raw, &err), TR_E_DENIED);
		/* By the wrong key: denied when it is of the kind, invalid when the scheme cannot be. */
		assert_int_equal(tr_x_verify(c.sig_alg, c.tbs, c.sig, raw, &err),
				 types[i] == TR_KEY_P256 ? TR_E_DENIED : TR_E_INVALID);
		assert_int_equal(tr_x_verify(TR_X_SIG_UNKNOWN, c.tbs, c.sig, ca_raw, &err), TR_E_INVALID);
		assert_int_equal(tr_x_verify((enum tr_x_sig)99, c.tbs, c.sig, ca_raw, &err), TR_E_INVALID);
	}
}

static void keys_that_are_not_read_verify_nothing(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_raw_key *k = NULL;
	struct tr_x_cert c;
	struct tr_err err;

	(void)state;
	assert_true(parse(&b, SPKI, "30{ 30{ 06{2b6570} } 03{00" X8 X8 X8 X8 "} }", &c));
	assert_int_equal(c.key_type, TR_RAW_NONE);
	assert_int_equal(tr_x_cert_key(&c, &k, &err), TR_E_INVALID);
	/* A point that is on no curve is found when the key is made. */
	assert_true(parse(&b, SPKI, P256("04" X64), &c));
	assert_int_equal(tr_x_cert_key(&c, &k, &err), TR_E_INVALID);
	assert_null(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_read),
		cmocka_unit_test(strictness),
		cmocka_unit_test(critical_extensions_are_known_or_flagged),
		cmocka_unit_test(common_names_are_the_only_one),
		cmocka_unit_test(signature_algorithms),
		cmocka_unit_test(times_are_those_of_rfc_5280),
		cmocka_unit_test(damaged_ones_are_read_within_bounds),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(our_own_certificates_verify),
		cmocka_unit_test(keys_that_are_not_read_verify_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
