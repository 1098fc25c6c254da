/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "evidence/bundle.h"
#include "evidence/sim.h"

static struct tr_sim *sim;
static struct tr_sim_case tdx, sgx, snp, vlek;

static size_t import(struct tr_view file, struct tr_buf *store, struct tr_bundle_entry *ret)
{
	struct tr_err err = { 0 };
	size_t n = 0;

	if (tr_bundle_import(file, store, ret, 16, &n, &err))
		fail_msg("%s (%s)", err.pub, err.detail);
	return n;
}

static enum tr_code import_fails(struct tr_view file, char detail[240])
{
	tr_auto(tr_buf_done) struct tr_buf store = TR_BUF_INIT;
	struct tr_bundle_entry e[16];
	struct tr_err err = { 0 };
	size_t n;
	const enum tr_code rc = tr_bundle_import(file, &store, e, 16, &n, &err);

	(void)snprintf(detail, 240, "%s", rc ? err.detail : "taken");
	return rc;
}

/* ---- forms of the same thing ---- */

static void hex(struct tr_view in, struct tr_buf *out)
{
	tr_hex_add(out, in);
	tr_buf_add8(out, '\n');
}

static void one(struct tr_view file, enum tr_bundle_item type, struct tr_view bytes)
{
	tr_auto(tr_buf_done) struct tr_buf store = TR_BUF_INIT;
	struct tr_bundle_entry e[16];

	assert_int_equal(import(file, &store, e), 1);
	assert_int_equal(e[0].type, type);
	assert_true(tr_view_eq(e[0].bytes, bytes));
	assert_true(e[0].issued > 0 && e[0].expires > e[0].issued);
}

static void a_crl_is_one_in_every_form(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT, text = TR_BUF_INIT, b64 = TR_BUF_INIT;
	const struct tr_view der = tr_buf_view(&tdx.pck_crl);

	(void)state;
	tr_pem_add(&pem, "X509 CRL", der);
	hex(der, &text);
	tr_b64_add(&b64, der, TR_B64_STD);
	one(der, TR_BI_PCK_CRL_PLATFORM, der);
	one(tr_buf_view(&pem), TR_BI_PCK_CRL_PLATFORM, der);
	one(tr_buf_view(&text), TR_BI_PCK_CRL_PLATFORM, der);
	one(tr_buf_view(&b64), TR_BI_PCK_CRL_PLATFORM, der);
	one(tr_buf_view(&tdx.root_crl), TR_BI_ROOT_CRL, tr_buf_view(&tdx.root_crl));
	one(tr_buf_view(&snp.crl), TR_BI_AMD_CRL, tr_buf_view(&snp.crl));
}

static void documents_are_kept_as_served(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf store = TR_BUF_INIT, store2 = TR_BUF_INIT;
	struct tr_bundle_entry e[16];

	(void)state;
	one(tr_buf_view(&tdx.tcb_info), TR_BI_TCB_INFO, tr_buf_view(&tdx.tcb_info));
	one(tr_buf_view(&sgx.qe_identity), TR_BI_QE_IDENTITY, tr_buf_view(&sgx.qe_identity));
	(void)import(tr_buf_view(&tdx.tcb_info), &store, e);
	assert_int_equal(e[0].key.n, 7);
	assert_int_equal(e[0].key.p[0], TR_TEE_TDX);
	(void)import(tr_buf_view(&sgx.qe_identity), &store2, e);
	assert_true(tr_view_eq(e[0].key, TR_VIEW_LIT("\1")));
}

static void url_encode(struct tr_view in, struct tr_buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] == '\n' || in.p[i] == ' ' || in.p[i] == '+' || in.p[i] == '/' || in.p[i] == '=')
			tr_buf_addf(out, "%%%02X", in.p[i]);
		else
			tr_buf_add8(out, in.p[i]);
	}
}

static void chains_come_as_pem_also_from_headers(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf url = TR_BUF_INIT, store = TR_BUF_INIT, s2 = TR_BUF_INIT;
	struct tr_bundle_entry e[16];

	(void)state;
	url_encode(tr_buf_view(&tdx.tcb_chain), &url);
	assert_int_equal(import(tr_buf_view(&url), &store, e), 1);
	assert_int_equal(e[0].type, TR_BI_TCB_CHAIN);
	assert_int_equal(import(tr_buf_view(&tdx.pck_chain), &s2, e), 1);
	assert_int_equal(e[0].type, TR_BI_PCK_CHAIN);
	assert_int_equal(e[0].key.n, 6);
	/* The issuers of the PCK CRL: quotes bring them. */
	tr_buf_clear(&s2);
	assert_int_equal(import(tr_buf_view(&tdx.pck_crl_chain), &s2, e), 0);
}

static void amds_certificates_are_told_apart(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf chain = TR_BUF_INIT, store = TR_BUF_INIT, s2 = TR_BUF_INIT;
	struct tr_bundle_entry e[16];

	(void)state;
	tr_pem_add(&chain, "CERTIFICATE", tr_buf_view(&snp.ask));
	tr_pem_add(&chain, "CERTIFICATE", tr_buf_view(&snp.ark));
	assert_int_equal(import(tr_buf_view(&chain), &store, e), 2);
	assert_int_equal(e[0].type, TR_BI_ASK);
	assert_int_equal(e[1].type, TR_BI_ARK);
	assert_true(tr_view_is(e[0].key, "Milan") && tr_view_is(e[1].key, "Milan"));
	assert_int_equal(import(tr_buf_view(&snp.vek), &s2, e), 1);
	assert_int_equal(e[0].type, TR_BI_VEK);
	assert_int_equal(e[0].key.n, 70);
	tr_buf_clear(&s2);
	assert_int_equal(import(tr_buf_view(&vlek.vek), &s2, e), 1); /* of no chip */
	assert_int_equal(e[0].type, TR_BI_VEK);
	tr_buf_clear(&s2);
	assert_int_equal(import(tr_buf_view(&vlek.ask), &s2, e), 1);
	assert_int_equal(e[0].type, TR_BI_ASVK);
}

static void le32(struct tr_buf *b, size_t v)
{
	for (unsigned i = 0; i < 4; i++)
		tr_buf_add8(b, (uint8_t)(v >> (8 * i)));
}

/* Both serialisations of the quote library's structure, CRLs as hex text as caches give them. */
static void the_quote_librarys_structure_is_read(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf pck = TR_BUF_INIT, root = TR_BUF_INIT;
	struct tr_view parts[7];

	(void)state;
	tr_hex_add(&pck, tr_buf_view(&tdx.pck_crl));
	tr_hex_add(&root, tr_buf_view(&tdx.root_crl));
	parts[0] = tr_buf_view(&tdx.pck_crl_chain);
	parts[1] = tr_buf_view(&root);
	parts[2] = tr_buf_view(&pck);
	parts[3] = parts[5] = tr_buf_view(&tdx.tcb_chain);
	parts[4] = tr_buf_view(&tdx.tcb_info);
	parts[6] = tr_buf_view(&tdx.qe_identity);
	for (unsigned form = 0; form < 2; form++) {
		tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, store = TR_BUF_INIT;
		struct tr_bundle_entry e[16];
		unsigned seen = 0;
		char why[240];
		size_t n;

		if (form) {
			le32(&file, 3);
			le32(&file, 0x81);
		} else {
			le32(&file, 0x81);
		}
		for (unsigned i = 0; i < 7; i++) {
			if (form)
				tr_buf_add(&file, "\xaa\xbb\xcc\xdd\x11\x22\x33\x44", 8); /* a pointer, once */
			le32(&file, parts[i].n + 1);
			if (form)
				le32(&file, 0);
		}
		for (unsigned i = 0; i < 7; i++) {
			tr_buf_addv(&file, parts[i]);
			tr_buf_add8(&file, 0);
		}
		n = import(tr_buf_view(&file), &store, e);
		for (size_t i = 0; i < n; i++)
			seen |= 1u << e[i].type;
		assert_int_equal(seen, 1u << TR_BI_TCB_INFO | 1u << TR_BI_QE_IDENTITY | 1u << TR_BI_TCB_CHAIN |
					       1u << TR_BI_PCK_CRL_PLATFORM | 1u << TR_BI_ROOT_CRL);
		/* One byte more or less, and it is not that structure. */
		assert_int_equal(import_fails(tr_view(file.p, file.n - 1), why), TR_E_INVALID);
		tr_buf_add8(&file, 0);
		assert_int_equal(import_fails(tr_buf_view(&file), why), TR_E_INVALID);
	}
}

static struct tr_view inner(struct tr_view doc, const char *member)
{
	const uint8_t *from = memmem(doc.p, doc.n, member, strlen(member)), *to = memmem(doc.p, doc.n, ",\"signature\"", 12);

	assert_non_null(from);
	assert_non_null(to);
	from += strlen(member);
	return tr_view(from, (size_t)(to - from));
}

static void quoted(struct tr_buf *b, const char *name, struct tr_view text)
{
	tr_buf_addf(b, "%s\"%s\":\"", b->n > 1 ? "," : "", name);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\n')
			tr_buf_adds(b, "\\n");
		else if (text.p[i] == '"')
			tr_buf_adds(b, "\\\"");
		else
			tr_buf_add8(b, text.p[i]);
	}
	tr_buf_add8(b, '"');
}

/* A cache's JSON of a whole set: documents and signatures beside each other become the vendor's file again. */
static void a_caches_set_is_read(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT, crl = TR_BUF_INIT, store = TR_BUF_INIT;
	const struct tr_view tcb = tr_buf_view(&tdx.tcb_info);
	struct tr_bundle_entry e[16];
	bool found = false;
	size_t n;

	(void)state;
	tr_hex_add(&crl, tr_buf_view(&tdx.pck_crl));
	tr_buf_adds(&set, "{");
	quoted(&set, "tcb_info", inner(tcb, "{\"tcbInfo\":"));
	quoted(&set, "tcb_info_signature", tr_view(tcb.p + tcb.n - 2 - 128, 128));
	quoted(&set, "tcb_info_issuer_chain", tr_buf_view(&tdx.tcb_chain));
	quoted(&set, "pck_crl", tr_buf_view(&crl));
	tr_buf_adds(&set, "}");
	n = import(tr_buf_view(&set), &store, e);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		found = found || (e[i].type == TR_BI_TCB_INFO && tr_view_eq(e[i].bytes, tcb));
	assert_true(found);
}

static const struct { const char *label; struct tr_view in; const char *detail; } no_collateral[] = {
	{ "nothing", TR_VIEW_LIT(""), "empty" },
	{ "white space", TR_VIEW_LIT(" \n"), "empty" },
	{ "text", TR_VIEW_LIT("hello world"), "neither JSON" },
	{ "other JSON", TR_VIEW_LIT("{\"a\":1}"), "JSON that is neither" },
	{ "broken JSON", TR_VIEW_LIT("{\"tcbInfo\":"), "JSON: " },
	{ "TCB info without dates", TR_VIEW_LIT("{\"tcbInfo\":{\"fmspc\":\"00606a000000\"},\"signature\":\"\"}"), "TCB info without" },
	{ "a short FMSPC", TR_VIEW_LIT("{\"tcbInfo\":{\"fmspc\":\"00606a\",\"issueDate\":\"2026-01-01T00:00:00Z\",\"nextUpdate\":"
				       "\"2026-02-01T00:00:00Z\"}}"), "TCB info without" },
	{ "the QVE's identity", TR_VIEW_LIT("{\"enclaveIdentity\":{\"id\":\"QVE\",\"issueDate\":\"2026-01-01T00:00:00Z\",\"nextUpdate\":"
					    "\"2026-02-01T00:00:00Z\"}}"), "the identity of an enclave" },
	{ "a key", TR_VIEW_LIT("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
			       "-----END PRIVATE KEY-----\n"), "PEM that is neither" },
	{ "other DER", TR_VIEW_LIT("\x30\x81\x80" "0123456789012345678901234567890123456789012345678901234567890123456789"), "DER that is" },
};

static void other_files_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(no_collateral); i++) {
		char why[240];

		if (import_fails(no_collateral[i].in, why) != TR_E_INVALID ||
		    strncmp(why, no_collateral[i].detail, strlen(no_collateral[i].detail)) != 0)
			fail_msg("%s: %s", no_collateral[i].label, why);
	}
}

/* ---- the bundle ---- */

static void make(struct tr_bundle *b, struct tr_bundle_entry *items, struct tr_buf *stores, const struct tr_view *files,
		 size_t n)
{
	*b = (struct tr_bundle){ .version = 7, .made = TR_SIM_TIME, .items = items };
	for (size_t i = 0; i < n; i++)
		b->n += import(files[i], &stores[i], items + b->n);
}

static void a_bundle_comes_back_sorted_and_unique(void **state)
{
	struct tr_buf stores[8] = { 0 };
	struct tr_bundle_entry items[32];
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT, again = TR_BUF_INIT;
	tr_auto(tr_bundle_done) struct tr_bundle back = { 0 };
	const struct tr_view files[] = { tr_buf_view(&snp.crl), tr_buf_view(&tdx.qe_identity), tr_buf_view(&sgx.tcb_info),
					 tr_buf_view(&tdx.tcb_info), tr_buf_view(&snp.ark), tr_buf_view(&tdx.tcb_info) };
	struct tr_bundle b;
	struct tr_err err = { 0 };

	(void)state;
	make(&b, items, stores, files, TR_ARRAY_LEN(files));
	tr_bundle_put(&bytes, &b);
	if (tr_bundle_get(tr_buf_view(&bytes), &back, &err))
		fail_msg("%s", err.detail);
	assert_int_equal(back.n, 5); /* the second TCB info of one platform is the first */
	assert_int_equal(back.version, 7);
	assert_int_equal(back.items[0].type, TR_BI_TCB_INFO);
	assert_non_null(tr_bundle_find(&back, TR_BI_ARK, TR_VIEW_LIT("Milan")));
	assert_null(tr_bundle_find(&back, TR_BI_ARK, TR_VIEW_LIT("Genoa")));
	tr_bundle_put(&again, &back);
	assert_true(tr_view_eq(tr_buf_view(&bytes), tr_buf_view(&again)));
	for (size_t i = 0; i < bytes.n; i++) { /* cut anywhere: refused */
		tr_auto(tr_bundle_done) struct tr_bundle cut = { 0 };

		assert_int_not_equal(tr_bundle_get(tr_view(bytes.p, i), &cut, &err), TR_OK);
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(stores); i++)
		tr_buf_done(&stores[i]);
}

static void the_later_of_two_stays(void **state)
{
	const uint8_t one_byte[] = { 1 }, two[] = { 2 };
	struct tr_bundle_entry items[] = {
		{ TR_BI_ROOT_CRL, { NULL, 0 }, TR_VIEW_ARRAY(one_byte), 200, 300 },
		{ TR_BI_ROOT_CRL, { NULL, 0 }, TR_VIEW_ARRAY(two), 100, 900 },
	};
	const struct tr_bundle b = { .version = 1, .made = 1, .n = 2, .items = items };
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	tr_auto(tr_bundle_done) struct tr_bundle back = { 0 };
	struct tr_err err;

	(void)state;
	tr_bundle_put(&bytes, &b);
	assert_int_equal(tr_bundle_get(tr_buf_view(&bytes), &back, &err), TR_OK);
	assert_int_equal(back.n, 1);
	assert_int_equal(back.items[0].issued, 200);
}

static const struct { const char *label; struct tr_view in; } bad_bundles[] = {
	{ "empty", TR_VIEW_LIT("") },
	{ "a member missing", TR_VIEW_LIT("\xa2\x01\x01\x02\x01") },
	{ "an unknown member", TR_VIEW_LIT("\xa4\x01\x01\x02\x01\x03\x80\x04\x00") },
	{ "an unknown type", TR_VIEW_LIT("\xa3\x01\x01\x02\x01\x03\x81\x85\x18\x1e\x40\x41x\x00\x00") },
	{ "type 0", TR_VIEW_LIT("\xa3\x01\x01\x02\x01\x03\x81\x85\x00\x40\x41x\x00\x00") },
	{ "an empty item", TR_VIEW_LIT("\xa3\x01\x01\x02\x01\x03\x81\x85\x06\x40\x40\x00\x00") },
	{ "four members", TR_VIEW_LIT("\xa3\x01\x01\x02\x01\x03\x81\x84\x06\x40\x41x\x00") },
	{ "twice", TR_VIEW_LIT("\xa3\x01\x01\x02\x01\x03\x82\x85\x06\x40\x41x\x00\x00\x85\x06\x40\x41y\x00\x00") },
	{ "not sorted", TR_VIEW_LIT("\xa3\x01\x01\x02\x01\x03\x82\x85\x06\x40\x41x\x00\x00\x85\x05\x40\x41y\x00\x00") },
	{ "trailing", TR_VIEW_LIT("\xa3\x01\x01\x02\x01\x03\x80\x00") },
};

static void other_bundles_are_refused(void **state)
{
	tr_auto(tr_bundle_done) struct tr_bundle none = { 0 };
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(bad_bundles); i++) {
		tr_auto(tr_bundle_done) struct tr_bundle b = { 0 };

		if (tr_bundle_get(bad_bundles[i].in, &b, &err) != TR_E_INVALID)
			fail_msg("%s: taken", bad_bundles[i].label);
	}
	assert_int_equal(tr_bundle_get(TR_VIEW_LIT("\xa3\x01\x01\x02\x01\x03\x80"), &none, &err), TR_OK);
}

/* ---- what is picked ---- */

static void a_quote_finds_its_own_collateral(void **state)
{
	struct tr_buf stores[8] = { 0 };
	struct tr_bundle_entry items[32];
	const struct tr_view files[] = { tr_buf_view(&sgx.tcb_info), tr_buf_view(&sgx.qe_identity), tr_buf_view(&tdx.tcb_info),
					 tr_buf_view(&tdx.qe_identity), tr_buf_view(&tdx.tcb_chain), tr_buf_view(&tdx.pck_crl),
					 tr_buf_view(&tdx.root_crl) };
	struct tr_tee_set set = { .kind = TR_TEE_TDX, .quote = tr_buf_view(&tdx.quote) };
	struct tr_dcap_collateral c;
	struct tr_bundle b;

	(void)state;
	make(&b, items, stores, files, TR_ARRAY_LEN(files));
	tr_bundle_for_dcap(&b, &set, &c);
	assert_true(tr_view_eq(c.tcb_info, tr_buf_view(&tdx.tcb_info)));
	assert_true(tr_view_eq(c.qe_identity, tr_buf_view(&tdx.qe_identity)));
	assert_true(tr_view_eq(c.pck_crl, tr_buf_view(&tdx.pck_crl)));
	assert_true(c.root_crl.n && c.tcb_chain.n);
	set = (struct tr_tee_set){ .kind = TR_TEE_SGX, .quote = tr_buf_view(&sgx.quote) };
	tr_bundle_for_dcap(&b, &set, &c);
	assert_true(tr_view_eq(c.tcb_info, tr_buf_view(&sgx.tcb_info)));
	set.quote = TR_VIEW_LIT("no quote");
	tr_bundle_for_dcap(&b, &set, &c);
	assert_int_equal(c.tcb_info.n, 0);
	for (size_t i = 0; i < TR_ARRAY_LEN(stores); i++)
		tr_buf_done(&stores[i]);
}

static void a_vlek_is_found_without_a_chip(void **state)
{
	struct tr_buf stores[4] = { 0 };
	struct tr_bundle_entry items[32];
	const struct tr_view files[] = { tr_buf_view(&vlek.vek), tr_buf_view(&vlek.ask), tr_buf_view(&snp.ask), tr_buf_view(&vlek.ark) };
	const struct tr_tee_set set = { .kind = TR_TEE_SNP, .quote = tr_buf_view(&vlek.quote) };
	struct tr_snp_in in;
	struct tr_bundle b;

	(void)state;
	make(&b, items, stores, files, TR_ARRAY_LEN(files));
	tr_bundle_for_snp(&b, &set, &in);
	assert_true(tr_view_eq(in.vek, tr_buf_view(&vlek.vek)) && tr_view_eq(in.ask, tr_buf_view(&vlek.ask)));
	for (size_t i = 0; i < TR_ARRAY_LEN(stores); i++)
		tr_buf_done(&stores[i]);
}

static void a_report_finds_its_chips_certificate(void **state)
{
	struct tr_buf stores[8] = { 0 };
	struct tr_bundle_entry items[32];
	const struct tr_view files[] = { tr_buf_view(&snp.vek), tr_buf_view(&snp.ask), tr_buf_view(&snp.ark), tr_buf_view(&snp.crl) };
	struct tr_tee_set set = { .kind = TR_TEE_SNP, .quote = tr_buf_view(&snp.quote) };
	struct tr_snp_in in;
	struct tr_bundle b;

	(void)state;
	make(&b, items, stores, files, TR_ARRAY_LEN(files));
	tr_bundle_for_snp(&b, &set, &in);
	assert_true(tr_view_eq(in.vek, tr_buf_view(&snp.vek)));
	assert_true(tr_view_eq(in.ask, tr_buf_view(&snp.ask)) && tr_view_eq(in.ark, tr_buf_view(&snp.ark)));
	assert_true(tr_view_eq(in.crl, tr_buf_view(&snp.crl)));
	/* Its own certificate came along: that one. */
	set.certs = tr_buf_view(&snp.vek);
	tr_bundle_for_snp(&b, &set, &in);
	assert_int_equal(in.vek.n, 0);
	assert_true(in.ask.n && in.ark.n && in.crl.n);
	for (size_t i = 0; i < TR_ARRAY_LEN(stores); i++)
		tr_buf_done(&stores[i]);
}

static int begin(void **state)
{
	struct tr_sim_spec spec;
	struct tr_err err;

	(void)state;
	if (tr_sim_new(NULL, &sim, &err))
		return 1;
	tr_sim_spec(TR_TEE_TDX, &spec);
	if (tr_sim_make(sim, &spec, &tdx, &err))
		return 1;
	tr_sim_spec(TR_TEE_SGX, &spec);
	if (tr_sim_make(sim, &spec, &sgx, &err))
		return 1;
	tr_sim_spec(TR_TEE_SNP, &spec);
	if (tr_sim_make(sim, &spec, &snp, &err))
		return 1;
	spec.vlek = true;
	return tr_sim_make(sim, &spec, &vlek, &err) != TR_OK;
}

static int end(void **state)
{
	(void)state;
	tr_sim_case_done(&tdx);
	tr_sim_case_done(&sgx);
	tr_sim_case_done(&snp);
	tr_sim_case_done(&vlek);
	sim = tr_sim_free(sim);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crl_is_one_in_every_form),
		cmocka_unit_test(documents_are_kept_as_served),
		cmocka_unit_test(chains_come_as_pem_also_from_headers),
		cmocka_unit_test(amds_certificates_are_told_apart),
		cmocka_unit_test(the_quote_librarys_structure_is_read),
		cmocka_unit_test(a_caches_set_is_read),
		cmocka_unit_test(other_files_are_named),
		cmocka_unit_test(a_bundle_comes_back_sorted_and_unique),
		cmocka_unit_test(the_later_of_two_stays),
		cmocka_unit_test(other_bundles_are_refused),
		cmocka_unit_test(a_quote_finds_its_own_collateral),
		cmocka_unit_test(a_report_finds_its_chips_certificate),
		cmocka_unit_test(a_vlek_is_found_without_a_chip),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
