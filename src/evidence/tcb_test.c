/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of TCB info and QE identity, and the rules that make a status of them (rows 9, 12 and 16 of the list of classic
 * mistakes: status rules, comparison by component, duplicate keys and hex case). Nothing here is signed. */
#include "evidence/tcb.h"

#include "codec/codec_test.h"

#define ZERO48 "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
#define SIG64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SIG "\"signature\":\"" SIG64 SIG64 "\""
#define C4(a, b, c, d) "{\"svn\":" #a "},{\"svn\":" #b "},{\"svn\":" #c ",\"category\":\"BIOS\"},{\"svn\":" #d "}"
#define SGX_HIGH "[" C4(9, 9, 2, 2) "," C4(4, 1, 0, 3) "," C4(0, 0, 0, 0) "," C4(0, 0, 0, 0) "]"
#define SGX_LOW "[" C4(5, 5, 2, 2) "," C4(4, 1, 0, 3) "," C4(0, 0, 0, 0) "," C4(0, 0, 0, 0) "]"
#define TDX_HIGH "[" C4(5, 1, 3, 0) "," C4(0, 0, 0, 0) "," C4(0, 0, 0, 0) "," C4(0, 0, 0, 0) "]"
#define TDX_LOW "[" C4(3, 0, 2, 0) "," C4(0, 0, 0, 0) "," C4(0, 0, 0, 0) "," C4(0, 0, 0, 0) "]"
#define LEVEL_HIGH                                                                                                      \
	"{\"tcb\":{\"sgxtcbcomponents\":" SGX_HIGH ",\"pcesvn\":13,\"tdxtcbcomponents\":" TDX_HIGH "},"                 \
	"\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}"
#define LEVEL_LOW                                                                                                       \
	"{\"tcb\":{\"sgxtcbcomponents\":" SGX_LOW ",\"pcesvn\":11,\"tdxtcbcomponents\":" TDX_LOW "},"                   \
	"\"tcbDate\":\"2018-01-04T00:00:00Z\",\"tcbStatus\":\"OutOfDate\",\"advisoryIDs\":[\"INTEL-SA-1\",\"INTEL-SA-2\"]}"
#define MODULE "\"mrsigner\":\"" ZERO48 "\",\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\""
#define IDENTITY                                                                                                        \
	"{\"id\":\"TDX_01\"," MODULE ",\"tcbLevels\":["                                                                 \
	"{\"tcb\":{\"isvsvn\":2},\"tcbDate\":\"2023-08-09T00:00:00Z\",\"tcbStatus\":\"OutOfDate\"},"                    \
	"{\"tcb\":{\"isvsvn\":4},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}]}"
#define TCB_INFO                                                                                                        \
	"{\"tcbInfo\":{\"id\":\"TDX\",\"version\":3,\"issueDate\":\"2025-06-01T00:00:00Z\","                             \
	"\"nextUpdate\":\"2025-07-01T00:00:00Z\",\"fmspc\":\"00606A00000f\",\"pceId\":\"0000\",\"tcbType\":0,"           \
	"\"tcbEvaluationDataNumber\":17,\"tdxModule\":{" MODULE "},\"tdxModuleIdentities\":[" IDENTITY "],"              \
	"\"tcbLevels\":[" LEVEL_HIGH "," LEVEL_LOW "]}," SIG "}"
#define QE                                                                                                              \
	"{\"enclaveIdentity\":{\"id\":\"TD_QE\",\"version\":2,\"issueDate\":\"2025-06-01T00:00:00Z\","                   \
	"\"nextUpdate\":\"2025-07-01T00:00:00Z\",\"tcbEvaluationDataNumber\":17,\"miscselect\":\"D182B18C\","            \
	"\"miscselectMask\":\"FFFFFFFF\",\"attributes\":\"11000000000000000000000000000000\","                           \
	"\"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\",\"mrsigner\":\"" SIG64 "\",\"isvprodid\":2,"            \
	"\"tcbLevels\":[{\"tcb\":{\"isvsvn\":4},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"UpToDate\"},"       \
	"{\"tcb\":{\"isvsvn\":6},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}]}," SIG "}"

/* `text` with its first `from` made `to`. */
static void replaced(const char *text, const char *from, const char *to, struct tr_buf *ret)
{
	const char *at = strstr(text, from);

	assert_non_null(at);
	tr_buf_add(ret, text, (size_t)(at - text));
	tr_buf_adds(ret, to);
	tr_buf_adds(ret, at + strlen(from));
	assert_true(tr_buf_ok(ret));
}

static void a_tcb_info_is_read(void **state)
{
	static struct tr_tcb_info t;
	struct tr_view in = tr_view_str(TCB_INFO);
	struct tr_err err = { .detail = "" };
	const uint8_t fmspc[6] = { 0x00, 0x60, 0x6a, 0x00, 0x00, 0x0f };

	(void)state;
	if (tr_tcb_info_parse(in, &t, &err))
		fail_msg("%s", err.detail);
	assert_true(t.tdx && t.doc.version == 3 && t.doc.evaluation_number == 17 && !strcmp(t.doc.id, "TDX"));
	assert_true(t.doc.issued == 1748736000 && t.doc.next == 1751328000);
	assert_memory_equal(t.fmspc, fmspc, 6);
	assert_true(t.doc.sig[0] == 0 && t.doc.sig[1] == 0x11 && t.doc.sig[63] == 0xff);
	/* The signed bytes are the value as it stands in the text. */
	assert_true(t.doc.bytes.p == in.p + strlen("{\"tcbInfo\":"));
	assert_true(t.doc.bytes.n == in.n - strlen("{\"tcbInfo\":") - strlen("," SIG "}"));
	assert_true(t.n_levels == 2 && t.levels[0].status == TR_TCB_UP_TO_DATE && t.levels[0].pcesvn == 13);
	assert_true(t.levels[0].sgx[0] == 9 && t.levels[0].sgx[7] == 3 && t.levels[0].tdx[2] == 3);
	assert_true(t.levels[1].status == TR_TCB_OUT_OF_DATE && t.levels[1].date == 1515024000);
	assert_true(t.n_modules == 1 && t.modules[0].version == 1 && t.modules[0].n_levels == 2);
	assert_true(t.modules[0].levels[0].isvsvn == 4 && t.modules[0].levels[1].isvsvn == 2);
	assert_ptr_equal(tr_tdx_module_of(&t, 1), &t.modules[0]);
	assert_ptr_equal(tr_tdx_module_of(&t, 0), &t.module);
	assert_null(tr_tdx_module_of(&t, 2));
}

static void a_qe_identity_is_read(void **state)
{
	static struct tr_qe_identity q;
	const uint8_t misc[4] = { 0xd1, 0x82, 0xb1, 0x8c };
	struct tr_err err = { .detail = "" };

	(void)state;
	if (tr_qe_identity_parse(tr_view_str(QE), &q, &err))
		fail_msg("%s", err.detail);
	assert_true(!strcmp(q.doc.id, "TD_QE") && q.isvprodid == 2);
	/* miscselect stands in memory order. */
	assert_memory_equal(q.miscselect, misc, 4);
	assert_true(q.attributes[0] == 0x11 && q.attributes_mask[0] == 0xfb);
	assert_true(q.n_levels == 2 && q.levels[0].isvsvn == 6 && q.levels[1].isvsvn == 4);
}

static void version_2_is_read(void **state)
{
	/* One component short, one beyond a byte, one more, and others whose characters would add up. */
	static const struct { const char *from, *to; } bad[] = {
		{ "\"sgxtcbcomp09svn\":209,", "" }, { ":216", ":256" },	    { "comp16svn", "comp17svn" },
		{ "comp01svn", "comp00svn" },	      { "comp10svn", "comp0:svn" }, { "comp09svn", "comp1/svn" },
		{ "comp09svn", "comp2%svn" },	      { "comp01svn", "comp/;svn" },
	};
	static struct tr_tcb_info t;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, cut = TR_BUF_INIT;
	struct tr_err err = { .detail = "" };

	(void)state;
	tr_buf_adds(&b, "{\"tcbInfo\":{\"version\":2,\"issueDate\":\"2025-06-01T00:00:00Z\",\"nextUpdate\":"
			"\"2025-07-01T00:00:00Z\",\"fmspc\":\"00606a000000\",\"pceId\":\"0000\",\"tcbType\":0,"
			"\"tcbEvaluationDataNumber\":17,\"tcbLevels\":[{\"tcb\":{");
	for (unsigned i = 1; i <= 16; i++)
		tr_buf_addf(&b, "\"sgxtcbcomp%02usvn\":%u,", i, i + 200);
	tr_buf_adds(&b, "\"pcesvn\":65535},\"tcbDate\":\"2018-01-04T00:00:00Z\",\"tcbStatus\":\"Revoked\"}]}," SIG "}");
	if (tr_tcb_info_parse(tr_buf_view(&b), &t, &err))
		fail_msg("%s", err.detail);
	assert_true(!t.tdx && t.doc.id[0] == 0 && t.n_levels == 1 && t.levels[0].pcesvn == 65535);
	assert_true(t.levels[0].sgx[0] == 201 && t.levels[0].sgx[15] == 216);
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
		tr_buf_clear(&cut);
		replaced(tr_buf_cstr(&b), bad[i].from, bad[i].to, &cut);
		CHECK(tr_tcb_info_parse(tr_buf_view(&cut), &t, &err) == TR_E_INVALID, bad[i].to);
	}
}

static const struct {
	const char *label, *from, *to;
	bool ok;
} changes[] = {
	{ "a member of the future", "\"tcbType\":0", "\"tcbType\":0,\"more\":{\"x\":[1]}", true },
	{ "white space", "\"version\":3", "\"version\" : 3", true }, /* the signature is over these bytes, then */
	{ "small hex", "FFFFFFFFFFFFFFFF", "ffffffffffffffff", true },
	{ "no advisories", ",\"advisoryIDs\":[\"INTEL-SA-1\",\"INTEL-SA-2\"]", "", true },
	{ "no identities", ",\"tdxModuleIdentities\":[" IDENTITY "]", "", true },
	{ "an identity of another kind", "\"id\":\"TDX_01\"", "\"id\":\"TDX_MORE\"", true },
	{ "a status of the future", "\"tcbStatus\":\"OutOfDate\"", "\"tcbStatus\":\"Doubtful\"", true },
	{ "a key twice", "\"tcbType\":0", "\"tcbType\":0,\"tcbType\":0", false },
	{ "tcbInfo twice", "{\"tcbInfo\":", "{\"tcbInfo\":{},\"tcbInfo\":", false },
	{ "signature twice", "," SIG "}", "," SIG "," SIG "}", false },
	{ "no signature", "," SIG, "", false },
	{ "a short signature", SIG64 SIG64, SIG64, false },
	{ "a signature that is no hex", "\"signature\":\"0", "\"signature\":\"g", false },
	{ "a signature that is no text", "\"signature\":\"" SIG64 SIG64 "\"", "\"signature\":1", false },
	{ "no version", "\"version\":3,", "", false },
	{ "version 1", "\"version\":3", "\"version\":1", false },
	{ "version 4", "\"version\":3", "\"version\":4", false },
	{ "version as text", "\"version\":3", "\"version\":\"3\"", false },
	{ "version 3.0", "\"version\":3", "\"version\":3.0", false },
	{ "no id", "\"id\":\"TDX\",", "", false },
	{ "a long id", "\"id\":\"TDX\"", "\"id\":\"TDXTDXTD\"", false },
	{ "a date with a zone", "01T00:00:00Z", "01T00:00:00+00:00", false },
	{ "a date with a fraction", "01T00:00:00Z", "01T00:00:00.0Z", false },
	{ "a date with a blank", "01T00:00:00Z", "01 00:00:00Z", false },
	{ "a small t", "01T00:00:00Z", "01t00:00:00Z", false },
	{ "the 31st of June", "2025-06-01", "2025-06-31", false },
	{ "February 29 of a common year", "2025-06-01", "2025-02-29", false },
	{ "February 29 of a leap year", "2025-06-01", "2024-02-29", true },
	{ "a leap second", "2025-06-01T00:00:00Z", "2016-12-31T23:59:60Z", false },
	{ "a short FMSPC", "00606A00000f", "00606A0000", false },
	{ "an FMSPC that is no hex", "00606A00000f", "00606A00000g", false },
	{ "a long PCEID", "\"pceId\":\"0000\"", "\"pceId\":\"000000\"", false },
	{ "a negative TCB type", "\"tcbType\":0", "\"tcbType\":-1", false },
	{ "no module", "\"tdxModule\":{" MODULE "},", "", false },
	{ "a module without mask", ",\"attributesMask\":\"FFFFFFFFFFFFFFFF\"", "", false },
	{ "a module with a short mask", "FFFFFFFFFFFFFFFF", "FFFFFFFFFFFFFF", false },
	{ "two identities for one module", "[" IDENTITY "]", "[" IDENTITY "," IDENTITY "]", false },
	{ "an identity for version 0", "TDX_01", "TDX_00", false },
	{ "no levels", "[" LEVEL_HIGH "," LEVEL_LOW "]", "[]", false },
	{ "a level without TDX components", ",\"tdxtcbcomponents\":" TDX_HIGH, "", false },
	{ "15 components", C4(4, 1, 0, 3), "{\"svn\":4},{\"svn\":1},{\"svn\":0}", false },
	{ "17 components", C4(4, 1, 0, 3), C4(4, 1, 0, 3) ",{\"svn\":0}", false },
	{ "a component of 256", "{\"svn\":9}", "{\"svn\":256}", false },
	{ "a component of -1", "{\"svn\":9}", "{\"svn\":-1}", false },
	{ "a component without number", "{\"svn\":9}", "{\"category\":\"x\"}", false },
	{ "PCESVN 65536", "\"pcesvn\":13", "\"pcesvn\":65536", false },
	{ "no PCESVN", "\"pcesvn\":13,", "", false },
	{ "no status", ",\"tcbStatus\":\"UpToDate\"", "", false },
	{ "no date of a level", "\"tcbDate\":\"2024-03-13T00:00:00Z\",", "", false },
	{ "an advisory that is a number", "\"INTEL-SA-1\"", "1", false },
	{ "text behind it", SIG "}", SIG "}x", false },
	{ "an array", "{\"tcbInfo\":", "[{\"tcbInfo\":", false },
};

static void only_what_the_vendor_serves_is_read(void **state)
{
	static struct tr_tcb_info t;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(changes); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err = { .detail = "" };
		enum tr_code rc;

		replaced(TCB_INFO, changes[i].from, changes[i].to, &b);
		rc = tr_tcb_info_parse(tr_buf_view(&b), &t, &err);
		if (rc != (changes[i].ok ? TR_OK : TR_E_INVALID))
			fail_msg("%s: %d %s", changes[i].label, (int)rc, err.detail);
	}
}

static void a_qe_identity_lacks_nothing(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "\"id\":\"TD_QE\",", "" },
		{ "\"version\":2", "\"version\":1" },
		{ "\"miscselect\":\"D182B18C\",", "" },
		{ "D182B18C", "D182B1" },
		{ "\"attributes\":\"11000000000000000000000000000000\",", "" },
		{ "FBFFFFFFFFFFFFFF0000000000000000", "FB" },
		{ "\"mrsigner\":\"" SIG64 "\",", "" },
		{ "\"isvprodid\":2", "\"isvprodid\":65536" },
		{ "\"isvsvn\":4", "\"isvsvn\":65536" },
		{ "\"isvsvn\":4", "\"svn\":4" },
		{ "\"enclaveIdentity\"", "\"qeIdentity\"" },
	};
	static struct tr_qe_identity q;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err;

		replaced(QE, rows[i].from, rows[i].to, &b);
		CHECK(tr_qe_identity_parse(tr_buf_view(&b), &q, &err) == TR_E_INVALID, rows[i].from);
	}
}

static void no_document_outgrows_its_tables(void **state)
{
	static struct tr_tcb_info t;
	static struct tr_qe_identity q;
	struct tr_err err;

	(void)state;
	for (unsigned more = 0; more < 2; more++) {
		tr_auto(tr_buf_done) struct tr_buf levels = TR_BUF_INIT, b = TR_BUF_INIT, c = TR_BUF_INIT, ids = TR_BUF_INIT;

		for (unsigned i = 0; i < TR_TCB_LEVELS_MAX + more; i++)
			tr_buf_adds(&levels, i ? "," LEVEL_LOW : LEVEL_LOW);
		replaced(TCB_INFO, LEVEL_HIGH "," LEVEL_LOW, tr_buf_cstr(&levels), &b);
		assert_int_equal(tr_tcb_info_parse(tr_buf_view(&b), &t, &err), more ? TR_E_INVALID : TR_OK);
		for (unsigned i = 0; i < TR_TCB_MODULES_MAX + more; i++)
			tr_buf_addf(&ids, "%s{\"id\":\"TDX_%02x\"," MODULE ",\"tcbLevels\":[]}", i ? "," : "", i + 1);
		replaced(TCB_INFO, IDENTITY, tr_buf_cstr(&ids), &c);
		assert_int_equal(tr_tcb_info_parse(tr_buf_view(&c), &t, &err), more ? TR_E_INVALID : TR_OK);
		tr_buf_clear(&levels);
		tr_buf_clear(&b);
		for (unsigned i = 0; i < TR_SVN_LEVELS_MAX - 1 + more; i++)
			tr_buf_adds(&levels, "{\"tcb\":{\"isvsvn\":4},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"x\"},");
		tr_buf_adds(&levels, "{\"tcb\":{\"isvsvn\":6}");
		replaced(QE, "{\"tcb\":{\"isvsvn\":4},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"UpToDate\"},"
			     "{\"tcb\":{\"isvsvn\":6}", tr_buf_cstr(&levels), &b);
		assert_int_equal(tr_qe_identity_parse(tr_buf_view(&b), &q, &err), more ? TR_E_INVALID : TR_OK);
	}
}

/* ---- the rules ---- */

static const struct tr_pck good_pck = { .comp = { 9, 9, 2, 2, 4, 1, 0, 3 }, .pcesvn = 13 };

static void levels_match_by_component(void **state)
{
	static const struct {
		const char *label;
		uint8_t comp[16], svn[16];
		uint16_t pcesvn;
		int sgx, tdx; /* index of the level, -1: none */
	} rows[] = {
		{ "all good", { 9, 9, 2, 2, 4, 1, 0, 3 }, { 5, 1, 3 }, 13, 0, 0 },
		{ "above", { 255, 255, 255, 255, 255, 255, 255, 255, 1 }, { 255, 255, 255, 255 }, 65535, 0, 0 },
		{ "PCESVN of the lower level", { 9, 9, 2, 2, 4, 1, 0, 3 }, { 5, 1, 3 }, 12, 1, 1 },
		{ "PCESVN below all", { 9, 9, 2, 2, 4, 1, 0, 3 }, { 5, 1, 3 }, 10, -1, -1 },
		/* As one number 255,8,… would be above 9,9,…. */
		{ "first high, second short", { 255, 8, 2, 2, 4, 1, 0, 3 }, { 5, 1, 3 }, 13, 1, 1 },
		{ "the last that counts is short", { 255, 255, 255, 255, 255, 255, 255, 2, 255 }, { 5, 1, 3 }, 13, -1, -1 },
		/* Module version 1: components 0 and 1 are its identity's to judge. */
		{ "TDX 0 short, version 1", { 9, 9, 2, 2, 4, 1, 0, 3 }, { 0, 1, 3 }, 13, 0, 0 },
		{ "TDX 0 short, version 0", { 9, 9, 2, 2, 4, 1, 0, 3 }, { 4, 0, 3 }, 13, 0, 1 },
		{ "TDX 2 short", { 9, 9, 2, 2, 4, 1, 0, 3 }, { 5, 1, 2 }, 13, 0, 1 },
		{ "TDX 2 below all", { 9, 9, 2, 2, 4, 1, 0, 3 }, { 5, 1, 1 }, 13, 0, -1 },
		{ "version 0 below all", { 9, 9, 2, 2, 4, 1, 0, 3 }, { 2, 0, 3 }, 13, 0, -1 },
	};
	static struct tr_tcb_info t;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_tcb_info_parse(tr_view_str(TCB_INFO), &t, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		const struct tr_tcb_level *sgx, *tdx;
		struct tr_pck p = { .pcesvn = rows[i].pcesvn };

		memcpy(p.comp, rows[i].comp, 16);
		tr_tcb_match(&t, &p, rows[i].svn, &sgx, &tdx);
		CHECK(sgx == (rows[i].sgx < 0 ? NULL : &t.levels[rows[i].sgx]), rows[i].label);
		CHECK(tdx == (rows[i].tdx < 0 ? NULL : &t.levels[rows[i].tdx]), rows[i].label);
		tr_tcb_match(&t, &p, NULL, &sgx, &tdx);
		CHECK(sgx == (rows[i].sgx < 0 ? NULL : &t.levels[rows[i].sgx]) && !tdx, rows[i].label);
	}
}

static void the_order_in_the_text_does_not_matter(void **state)
{
	static struct tr_tcb_info t;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_tcb_level *sgx, *tdx;
	struct tr_err err;

	(void)state;
	replaced(TCB_INFO, LEVEL_HIGH "," LEVEL_LOW, LEVEL_LOW "," LEVEL_HIGH, &b);
	assert_int_equal(tr_tcb_info_parse(tr_buf_view(&b), &t, &err), TR_OK);
	tr_tcb_match(&t, &good_pck, NULL, &sgx, &tdx);
	assert_int_equal(sgx->status, TR_TCB_UP_TO_DATE);
	/* Equal components: PCESVN, then TDX components decide. */
	tr_buf_clear(&b);
	replaced(TCB_INFO, SGX_HIGH ",\"pcesvn\":13", SGX_LOW ",\"pcesvn\":10", &b);
	assert_int_equal(tr_tcb_info_parse(tr_buf_view(&b), &t, &err), TR_OK);
	assert_true(t.levels[0].pcesvn == 11 && t.levels[1].pcesvn == 10);
	tr_buf_clear(&b);
	replaced(TCB_INFO, SGX_HIGH ",\"pcesvn\":13,\"tdxtcbcomponents\":" TDX_HIGH,
		 SGX_LOW ",\"pcesvn\":11,\"tdxtcbcomponents\":[" C4(3, 0, 1, 9) "," C4(0, 0, 0, 0) "," C4(0, 0, 0, 0)
		 "," C4(0, 0, 0, 0) "]", &b);
	assert_int_equal(tr_tcb_info_parse(tr_buf_view(&b), &t, &err), TR_OK);
	assert_true(t.levels[0].tdx[2] == 2 && t.levels[1].tdx[2] == 1);
}

static void a_part_takes_the_first_level_not_above_it(void **state)
{
	static const struct tr_svn_level levels[] = {
		{ .isvsvn = 8 }, { .isvsvn = 6 }, { .isvsvn = 2 },
	};
	static const struct { unsigned svn; int level; } rows[] = {
		{ 65535, 0 }, { 8, 0 }, { 7, 1 }, { 6, 1 }, { 5, 2 }, { 2, 2 }, { 1, -1 }, { 0, -1 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++)
		assert_ptr_equal(tr_svn_match(levels, 3, rows[i].svn), rows[i].level < 0 ? NULL : &levels[rows[i].level]);
	assert_null(tr_svn_match(levels, 0, 9));
}

static void statuses_converge(void **state)
{
	/* platform, and what becomes of it with an OutOfDate part */
	static const enum tr_tcb_status rows[][2] = {
		{ TR_TCB_UP_TO_DATE, TR_TCB_OUT_OF_DATE },
		{ TR_TCB_SW_HARDENING_NEEDED, TR_TCB_OUT_OF_DATE },
		{ TR_TCB_CONFIGURATION_NEEDED, TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED },
		{ TR_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED, TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED },
		{ TR_TCB_OUT_OF_DATE, TR_TCB_OUT_OF_DATE },
		{ TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED, TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED },
		{ TR_TCB_REVOKED, TR_TCB_REVOKED },
		{ TR_TCB_UNRECOGNISED, TR_TCB_UNRECOGNISED },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		assert_int_equal(tr_tcb_converge(rows[i][0], TR_TCB_UP_TO_DATE), rows[i][0]);
		assert_int_equal(tr_tcb_converge(rows[i][0], TR_TCB_OUT_OF_DATE), rows[i][1]);
		assert_int_equal(tr_tcb_converge(rows[i][0], TR_TCB_REVOKED), TR_TCB_REVOKED);
		assert_int_equal(tr_tcb_converge(rows[i][0], TR_TCB_NOT_SUPPORTED), TR_TCB_NOT_SUPPORTED);
		assert_int_equal(tr_tcb_converge(rows[i][0], TR_TCB_UNRECOGNISED), TR_TCB_UNRECOGNISED);
	}
}

#define S TR_TCB_OUT_OF_DATE
#define C TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED
#define U TR_TCB_UP_TO_DATE
#define R TR_TCB_TD_RELAUNCH_ADVISED
#define RC TR_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED

static void starting_again_is_advised_where_it_helps(void **state)
{
	static const struct {
		const char *label;
		enum tr_tcb_status s, sgx, module, qe;
		uint8_t svn_2[16];
		enum tr_tcb_status expected;
	} rows[] = {
		{ "the module is new now", S, U, S, U, { 4, 1, 3 }, R },
		{ "hardening is no configuration", S, TR_TCB_SW_HARDENING_NEEDED, S, U, { 4, 1, 3 }, R },
		{ "the platform's configuration", C, TR_TCB_CONFIGURATION_NEEDED, S, U, { 4, 1, 3 }, RC },
		{ "both", C, TR_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED, S, U, { 4, 1, 3 }, RC },
		{ "s has it alone", C, U, S, U, { 4, 1, 3 }, RC },
		{ "the module is old still", S, U, S, U, { 3, 1, 3 }, S },
		{ "microcode is old", S, U, S, U, { 4, 1, 2 }, S },
		{ "version 0 now", S, U, S, U, { 5, 0, 3 }, R },
		{ "version 0, SVN short", S, U, S, U, { 4, 0, 3 }, S },
		{ "a module that nobody knows", S, U, S, U, { 4, 9, 3 }, TR_TCB_TDX_MODULE_MISMATCH },
		{ "the QE is old too", S, U, S, S, { 4, 1, 3 }, S },
		{ "the platform is old too", S, S, S, U, { 4, 1, 3 }, S },
		{ "the module is good", S, U, U, U, { 4, 1, 3 }, S },
		{ "nothing is wrong", U, U, U, U, { 4, 1, 3 }, U },
		{ "revoked stays", TR_TCB_REVOKED, U, S, U, { 4, 1, 3 }, TR_TCB_REVOKED },
	};
	static struct tr_tcb_info t;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_tcb_info_parse(tr_view_str(TCB_INFO), &t, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++)
		CHECK(tr_tcb_relaunch(&t, rows[i].s, rows[i].sgx, rows[i].module, rows[i].qe, rows[i].svn_2) ==
		      rows[i].expected, rows[i].label);
	t.modules[0].n_levels = 0;
	assert_int_equal(tr_tcb_relaunch(&t, S, U, S, U, rows[0].svn_2), TR_TCB_NOT_SUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tcb_info_is_read),
		cmocka_unit_test(a_qe_identity_is_read),
		cmocka_unit_test(version_2_is_read),
		cmocka_unit_test(only_what_the_vendor_serves_is_read),
		cmocka_unit_test(a_qe_identity_lacks_nothing),
		cmocka_unit_test(no_document_outgrows_its_tables),
		cmocka_unit_test(levels_match_by_component),
		cmocka_unit_test(the_order_in_the_text_does_not_matter),
		cmocka_unit_test(a_part_takes_the_first_level_not_above_it),
		cmocka_unit_test(statuses_converge),
		cmocka_unit_test(starting_again_is_advised_where_it_helps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
