/* SPDX-License-Identifier: Apache-2.0 */
/* SNP reports and certificate tables as bytes: what is read, what is refused and by which name. Signatures are
 * snp_verify_test.c's. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "codec/text.h"
#include "crypto/hash.h"
#include "evidence/snp.h"

/* SHA-256 of the pinned keys, as AMD's published certificates have them. */
static void the_pinned_keys_are_amds(void **state)
{
	static const char *const digests[TR_SNP_PRODUCT_N] = {
		[TR_SNP_MILAN] = "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
		[TR_SNP_GENOA] = "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
		[TR_SNP_TURIN] = "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
	};

	(void)state;
	for (unsigned p = TR_SNP_MILAN; p < TR_SNP_PRODUCT_N; p++) {
		tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
		uint8_t digest[32];

		tr_sha256(tr_amd_root_spki((enum tr_snp_product)p), digest);
		tr_hex_add(&hex, TR_VIEW_ARRAY(digest));
		assert_string_equal(tr_buf_cstr(&hex), digests[p]);
	}
	assert_int_equal(tr_amd_root_spki(TR_SNP_UNKNOWN).n, 0);
	assert_int_equal(tr_amd_root_spki(TR_SNP_PRODUCT_N).n, 0);
}

/* A report of that version that says nothing but what it must. */
static void plain(uint8_t version, uint8_t b[TR_SNP_REPORT_LEN])
{
	memset(b, 0, TR_SNP_REPORT_LEN);
	b[0] = version;
	b[0x0a] = 0x03; /* SMT, must be one */
	b[0x34] = 1;
	for (unsigned i = 0; i < 64; i++)
		b[0x50 + i] = b[0x1a0 + i] = (uint8_t)i;
	if (version >= 3) {
		b[0x188] = 0x19;
		b[0x189] = 0x11;
		b[0x18a] = 0x01;
	}
}

static void a_report_is_read_by_its_layout(void **state)
{
	uint8_t b[TR_SNP_REPORT_LEN];
	enum tr_tee_code code = TR_TEEC_LIMIT;
	struct tr_snp_report r;
	struct tr_err err;

	(void)state;
	plain(5, b);
	b[4] = 7;
	b[0x30] = 2;
	b[0x40] = 0x25;
	b[0x48] = 3 | 1 << 2;
	b[0x90] = 0xaa;
	b[0xc0] = 0xbb;
	b[0x180] = 0xcc;
	b[0x1e8] = 1;
	b[0x1ee] = 2;
	b[0x1f0] = 0xdd;
	b[0x1f8] = 0x3f;
	b[0x200] = 0x1f;
	b[0x2a0] = 0xee;
	assert_int_equal(tr_snp_parse(TR_VIEW_ARRAY(b), &r, &code, &err), TR_OK);
	assert_int_equal(code, TR_TEEC_OK);
	assert_int_equal(r.version, 5);
	assert_int_equal(r.guest_svn, 7);
	assert_int_equal(r.vmpl, 2);
	assert_true(r.policy == 0x30000);
	assert_true(r.platform_info == 0x25);
	assert_int_equal(r.signing_key, 1);
	assert_true(r.author_key && r.mask_chip_key);
	assert_int_equal(r.measurement.p[0], 0xaa);
	assert_int_equal(r.host_data.p[0], 0xbb);
	assert_int_equal(r.reported_tcb.p[0], 0xcc);
	assert_int_equal(r.current_build, 1);
	assert_int_equal(r.committed_major, 2);
	assert_int_equal(r.launch_tcb.p[0], 0xdd);
	assert_true(r.launch_mit == 0x3f && r.current_mit == 0x1f);
	assert_int_equal(r.r.p[0], 0xee);
	assert_int_equal(r.signed_bytes.n, 0x2a0);
	assert_int_equal(tr_snp_product_of(&r), TR_SNP_GENOA);
}

/* What is reserved differs by version: CPUID came with 3, the mitigation vectors with 5. */
static void each_rule_of_the_layout_refuses_by_its_name(void **state)
{
	static const struct { const char *label; uint8_t version; uint16_t at; uint8_t value; const char *slug; } rows[] = {
		{ "version 1", 2, 0x000, 1, "snp_version" },
		{ "version 6", 5, 0x000, 6, "snp_version" },
		{ "version 0x102", 2, 0x001, 1, "snp_version" },
		{ "no algorithm", 3, 0x034, 0, "snp_algorithm" },
		{ "another algorithm", 3, 0x034, 2, "snp_algorithm" },
		{ "behind the flags", 3, 0x04c, 1, "snp_reserved" },
		{ "flag 5", 3, 0x048, 0x20, "snp_reserved" },
		{ "flag 31", 3, 0x04b, 0x80, "snp_reserved" },
		{ "policy bit 17", 3, 0x00a, 0x01, "snp_reserved" },
		{ "policy bit 26", 3, 0x00b, 0x04, "snp_reserved" },
		{ "policy bit 63", 3, 0x00f, 0x80, "snp_reserved" },
		{ "VMPL 4", 3, 0x030, 4, "snp_reserved" },
		{ "signing key 2", 3, 0x048, 2 << 2, "snp_signing_key" },
		{ "signing key 7", 3, 0x048, 7 << 2, "snp_signing_key" },
		{ "CPUID in version 2", 2, 0x188, 0x19, "snp_reserved" },
		{ "stepping in version 2", 2, 0x18a, 1, "snp_reserved" },
		{ "behind CPUID", 3, 0x18b, 1, "snp_reserved" },
		{ "before the chip id", 5, 0x19f, 1, "snp_reserved" },
		{ "behind the current version", 4, 0x1eb, 1, "snp_reserved" },
		{ "behind the committed version", 4, 0x1ef, 1, "snp_reserved" },
		{ "mitigation vector in version 4", 4, 0x1f8, 1, "snp_reserved" },
		{ "second vector in version 3", 3, 0x207, 1, "snp_reserved" },
		{ "behind the vectors", 5, 0x208, 1, "snp_reserved" },
		{ "before the signature", 5, 0x29f, 1, "snp_reserved" },
		{ "r of 49 bytes", 5, 0x2d0, 1, "snp_signature" },
		{ "s of 72 bytes", 5, 0x32f, 1, "snp_signature" },
		{ "behind the signature", 5, 0x330, 1, "snp_reserved" },
		{ "the last byte", 5, 0x49f, 1, "snp_reserved" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		uint8_t b[TR_SNP_REPORT_LEN];
		struct tr_snp_report r = { .version = 99 };
		enum tr_tee_code code = TR_TEEC_OK;
		struct tr_err err;

		plain(rows[i].version, b);
		assert_int_equal(tr_snp_parse(TR_VIEW_ARRAY(b), &r, &code, &err), TR_OK);
		r.version = 99;
		b[rows[i].at] = rows[i].value;
		if (tr_snp_parse(TR_VIEW_ARRAY(b), &r, &code, &err) != TR_E_INVALID)
			fail_msg("%s: not refused", rows[i].label);
		if (strcmp(tr_tee_code_info(code)->slug, rows[i].slug) != 0)
			fail_msg("%s: refused as %s", rows[i].label, tr_tee_code_info(code)->slug);
		assert_int_equal(r.version, 99);
	}
}

static void what_versions_gave_a_meaning_is_let_pass(void **state)
{
	static const struct { uint8_t version; uint16_t at; uint8_t value; } rows[] = {
		{ 3, 0x18a, 9 }, { 4, 0x189, 0xa0 }, { 5, 0x1ff, 1 }, { 5, 0x207, 1 }, { 2, 0x00b, 0x03 }, { 2, 0x030, 3 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		uint8_t b[TR_SNP_REPORT_LEN];
		struct tr_snp_report r;
		enum tr_tee_code code;
		struct tr_err err;

		plain(rows[i].version, b);
		b[rows[i].at] = rows[i].value;
		assert_int_equal(tr_snp_parse(TR_VIEW_ARRAY(b), &r, &code, &err), TR_OK);
	}
}

static void a_report_has_1184_bytes(void **state)
{
	static const size_t lengths[] = { 0, 1, 4, 1183, 1185, 4000 };
	uint8_t b[4000] = { 0 };
	struct tr_snp_report r;
	enum tr_tee_code code;
	struct tr_err err;

	(void)state;
	plain(3, b);
	for (size_t i = 0; i < TR_ARRAY_LEN(lengths); i++) {
		assert_int_equal(tr_snp_parse(tr_view(b, lengths[i]), &r, &code, &err), TR_E_INVALID);
		assert_int_equal(code, TR_TEEC_SNP_LENGTH);
	}
}

static void the_product_is_told_by_cpuid(void **state)
{
	static const struct { uint32_t version; uint8_t family, model; enum tr_snp_product p; } rows[] = {
		{ 3, 0x19, 0x00, TR_SNP_MILAN }, { 3, 0x19, 0x0f, TR_SNP_MILAN }, { 4, 0x19, 0x10, TR_SNP_GENOA },
		{ 5, 0x19, 0x1f, TR_SNP_GENOA }, { 5, 0x19, 0x20, TR_SNP_UNKNOWN }, { 5, 0x19, 0x9f, TR_SNP_UNKNOWN },
		{ 5, 0x19, 0xa0, TR_SNP_GENOA }, { 5, 0x19, 0xaf, TR_SNP_GENOA }, { 5, 0x19, 0xb0, TR_SNP_UNKNOWN },
		{ 5, 0x1a, 0x00, TR_SNP_TURIN }, { 5, 0x1a, 0x11, TR_SNP_TURIN }, { 5, 0x1a, 0x12, TR_SNP_UNKNOWN },
		{ 5, 0x1a, 0x50, TR_SNP_UNKNOWN }, { 5, 0x18, 0x01, TR_SNP_UNKNOWN }, { 2, 0x19, 0x01, TR_SNP_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		const struct tr_snp_report r = { .version = rows[i].version, .family = rows[i].family,
						 .model = rows[i].model };

		assert_int_equal(tr_snp_product_of(&r), rows[i].p);
	}
}

static void a_tcb_is_taken_apart_by_product(void **state)
{
	static const uint8_t b[8] = { 1, 2, 3, 4, 0, 0, 7, 8 }, milan[8] = { 1, 2, 0, 0, 0, 0, 7, 8 },
			     turin[8] = { 1, 2, 3, 4, 0, 0, 0, 8 };
	struct tr_snp_tcb t;

	(void)state;
	tr_snp_tcb_read(TR_SNP_MILAN, TR_VIEW_ARRAY(milan), &t);
	assert_true(t.fmc == 0 && t.boot_loader == 1 && t.tee == 2 && t.snp == 7 && t.microcode == 8 && t.reserved_zero);
	tr_snp_tcb_read(TR_SNP_TURIN, TR_VIEW_ARRAY(turin), &t);
	assert_true(t.fmc == 1 && t.boot_loader == 2 && t.tee == 3 && t.snp == 4 && t.microcode == 8 && t.reserved_zero);
	tr_snp_tcb_read(TR_SNP_GENOA, TR_VIEW_ARRAY(b), &t);
	assert_false(t.reserved_zero);
	tr_snp_tcb_read(TR_SNP_TURIN, TR_VIEW_ARRAY(b), &t);
	assert_false(t.reserved_zero);
	tr_snp_tcb_read(TR_SNP_MILAN, tr_view(b, 7), &t);
	assert_false(t.reserved_zero);
}

/* ---- the certificate table ---- */

#define VCEK "63da758de6644564adc5f4b93be8accd"
#define VLEK "a8074bc2a25a483eaae639c045a0b8a1"
#define ASK "4ab7b379bbac4fe4a02f05aef327c782"
#define ARK "c0b406a4a803495297433fb6014cd0ae"
#define CRL "92f81bc358114d3d97ffd19f88dc67ea"
#define OTHER "00112233445566778899aabbccddeeff"
#define END "000000000000000000000000000000000000000000000000"

static void unhex(const char *hex, struct tr_buf *ret)
{
	struct tr_err err;

	for (size_t i = 0; hex[i]; i += 2) {
		char pair[3] = { hex[i], hex[i + 1], '\0' };

		tr_buf_add8(ret, (uint8_t)strtoul(pair, NULL, 16));
	}
	assert_int_equal(tr_buf_check(ret, &err), TR_OK);
}

static void a_certificate_table_is_taken_apart(void **state)
{
	static const char hex[] = VCEK "9000000001000000" ASK "9100000002000000" ARK "9300000001000000" CRL "9400000001000000"
				  OTHER "9400000001000000" END "a1a2a2a3a4";
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_snp_certs c;
	struct tr_err err;

	(void)state;
	unhex(hex, &b);
	assert_int_equal(tr_snp_certs_parse(tr_buf_view(&b), &c, &err), TR_OK);
	assert_true(c.vcek.n == 1 && c.vcek.p[0] == 0xa1);
	assert_true(c.ask.n == 2 && c.ask.p[1] == 0xa2);
	assert_true(c.ark.n == 1 && c.ark.p[0] == 0xa3);
	assert_true(c.crl.n == 1 && c.crl.p[0] == 0xa4);
	assert_int_equal(c.vlek.n, 0);
}

static void a_hostile_table_is_refused(void **state)
{
	static const struct { const char *label, *hex; enum tr_code rc; } rows[] = {
		{ "an empty table", END, TR_OK },
		{ "one entry", VLEK "3000000001000000" END "aa", TR_OK },
		{ "nothing", "", TR_E_INVALID },
		{ "no end", VLEK "1800000001000000", TR_E_INVALID },
		{ "half an end", VLEK "3000000001000000" "0000000000000000", TR_E_INVALID },
		{ "past the end", VLEK "3000000002000000" END "aa", TR_E_INVALID },
		{ "far past the end", VLEK "30000000ffffffff" END "aa", TR_E_INVALID },
		{ "a sum that overflows 32 bits", VLEK "31000000d0ffffff" END "aa", TR_E_INVALID },
		{ "offset beyond", VLEK "ffffffff01000000" END "aa", TR_E_INVALID },
		{ "in the table", VLEK "2f00000001000000" END "aa", TR_E_INVALID },
		{ "at the start", VLEK "0000000010000000" END "aa", TR_E_INVALID },
		{ "of no bytes", VLEK "3000000000000000" END "aa", TR_E_INVALID },
		{ "the same GUID twice", VLEK "4800000001000000" VLEK "4800000001000000" END "aa", TR_E_INVALID },
		{ "an unknown GUID outside", OTHER "3000000002000000" END "aa", TR_E_INVALID },
		{ "one certificate alone", "3003020101", TR_OK },
		{ "a certificate and more", "300302010100", TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_snp_certs c = { .crl = TR_VIEW_LIT("untouched") };
		struct tr_err err;

		unhex(rows[i].hex, &b);
		if (tr_snp_certs_parse(tr_buf_view(&b), &c, &err) != rows[i].rc)
			fail_msg("%s: another verdict", rows[i].label);
		assert_true(rows[i].rc == TR_OK || tr_view_is(c.crl, "untouched"));
	}
}

static void an_endless_table_is_refused(void **state)
{
	static uint8_t b[65537];
	struct tr_snp_certs c;
	struct tr_err err;

	(void)state;
	memset(b, 0x11, sizeof(b));
	assert_int_equal(tr_snp_certs_parse(TR_VIEW_ARRAY(b), &c, &err), TR_E_INVALID);
	assert_int_equal(tr_snp_certs_parse(tr_view(b, 65536), &c, &err), TR_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pinned_keys_are_amds),
		cmocka_unit_test(a_report_is_read_by_its_layout),
		cmocka_unit_test(each_rule_of_the_layout_refuses_by_its_name),
		cmocka_unit_test(what_versions_gave_a_meaning_is_let_pass),
		cmocka_unit_test(a_report_has_1184_bytes),
		cmocka_unit_test(the_product_is_told_by_cpuid),
		cmocka_unit_test(a_tcb_is_taken_apart_by_product),
		cmocka_unit_test(a_certificate_table_is_taken_apart),
		cmocka_unit_test(a_hostile_table_is_refused),
		cmocka_unit_test(an_endless_table_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
