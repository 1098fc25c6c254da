/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/evidence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "codec/json.h"
#include "crypto/hash.h"

#define CHECK(cond, label)                                                                                   \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			fail_msg("%s: %s", (label), #cond);                                                  \
	} while (0)

/* Large, and zero before each test. */
static struct tr_tee_result r;

static int clear(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	return 0;
}

static void names_go_there_and_back(void **state)
{
	enum tr_tee_kind kind;
	enum tr_tcb_status status;

	(void)state;
	for (unsigned i = TR_TEE_NONE + 1; i < TR_TEE_KIND_N; i++)
		CHECK(tr_tee_kind_of(tr_view_str(tr_tee_kind_name((enum tr_tee_kind)i)), &kind) && kind == i,
		      tr_tee_kind_name((enum tr_tee_kind)i));
	for (unsigned i = TR_TCB_NONE + 1; i < TR_TCB_N; i++)
		CHECK(tr_tcb_status_of(tr_view_str(tr_tcb_status_name((enum tr_tcb_status)i)), &status) && status == i,
		      tr_tcb_status_name((enum tr_tcb_status)i));
	/* No kind and no status are nothing that anybody may claim. */
	assert_false(tr_tee_kind_of(TR_VIEW_LIT("none"), &kind) || tr_tee_kind_of(TR_VIEW_LIT(""), &kind));
	assert_false(tr_tee_kind_of(TR_VIEW_LIT("TDX"), &kind) || tr_tee_kind_of(TR_VIEW_LIT("tdx\0"), &kind));
	assert_false(tr_tcb_status_of(TR_VIEW_LIT("none"), &status) || tr_tcb_status_of(TR_VIEW_LIT("UpToDat"), &status));
	/* The numbers stand in stored evidence. */
	assert_true(TR_TEE_SGX == 1 && TR_TEE_TDX == 2 && TR_TEE_SNP == 3 && TR_TEE_TPM == 4);
	assert_string_equal(tr_tee_kind_name(TR_TEE_KIND_N), "none");
	assert_string_equal(tr_tcb_status_name(TR_TCB_N), "Unrecognised");
	assert_string_equal(tr_tee_question_name(TR_Q_SOFTWARE), "software");
	assert_string_equal(tr_tee_question_name(TR_Q_N), "?");
	assert_string_equal(tr_answer_name(TR_ANSWER_YES), "yes");
	assert_string_equal(tr_answer_name((enum tr_answer)9), "not_asked");
}

/* Slugs are in APIs, stored verdicts and metrics; sentences tell an operator what to do. */
static void codes_are_fit_to_be_shown(void **state)
{
	(void)state;
	for (unsigned i = TR_TEEC_OK + 1; i < TR_TEEC_N; i++) {
		const struct tr_tee_code_info *a = tr_tee_code_info((enum tr_tee_code)i);
		size_t n = strlen(a->sentence);

		CHECK(a->slug[0] && strlen(a->slug) <= 40 && strspn(a->slug, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(a->slug),
		      a->slug);
		CHECK(a->question < TR_Q_N && n > 20 && a->sentence[n - 1] == '.', a->slug);
		CHECK(a->sentence[0] >= 'A' && a->sentence[0] <= 'Z', a->slug);
		for (unsigned k = TR_TEEC_OK; k < i; k++)
			CHECK(strcmp(a->slug, tr_tee_code_info((enum tr_tee_code)k)->slug) != 0, a->slug);
	}
	assert_string_equal(tr_tee_code_info(TR_TEEC_OK)->slug, "ok");
	assert_ptr_equal(tr_tee_code_info(TR_TEEC_N), tr_tee_code_info(TR_TEEC_LIMIT));
	assert_ptr_equal(tr_tee_code_info((enum tr_tee_code)-1), tr_tee_code_info(TR_TEEC_LIMIT));
}

static void one_failed_line_answers_no(void **state)
{
	static const struct {
		const char *label;
		struct { enum tr_tee_question q; enum tr_tee_code code; } lines[3];
		enum tr_answer authentic, current;
		enum tr_tee_code first;
		bool both;
	} rows[] = {
		{ "nothing asked", { { TR_Q_N, TR_TEEC_OK } }, TR_ANSWER_NOT_ASKED, TR_ANSWER_NOT_ASKED, TR_TEEC_OK, false },
		{ "all passed", { { TR_Q_AUTHENTIC, TR_TEEC_OK }, { TR_Q_CURRENT, TR_TEEC_OK }, { TR_Q_AUTHENTIC, TR_TEEC_OK } },
		  TR_ANSWER_YES, TR_ANSWER_YES, TR_TEEC_OK, true },
		{ "failed, then passed", { { TR_Q_AUTHENTIC, TR_TEEC_CHAIN_ROOT }, { TR_Q_AUTHENTIC, TR_TEEC_OK },
		  { TR_Q_CURRENT, TR_TEEC_OK } }, TR_ANSWER_NO, TR_ANSWER_YES, TR_TEEC_CHAIN_ROOT, false },
		{ "passed, then failed", { { TR_Q_AUTHENTIC, TR_TEEC_OK }, { TR_Q_AUTHENTIC, TR_TEEC_CHAIN_ROLE },
		  { TR_Q_CURRENT, TR_TEEC_REVOKED } }, TR_ANSWER_NO, TR_ANSWER_NO, TR_TEEC_CHAIN_ROLE, false },
		{ "authentic, revoked", { { TR_Q_AUTHENTIC, TR_TEEC_OK }, { TR_Q_CURRENT, TR_TEEC_OK }, { TR_Q_CURRENT, TR_TEEC_REVOKED } },
		  TR_ANSWER_YES, TR_ANSWER_NO, TR_TEEC_REVOKED, false },
		{ "nothing that could be old", { { TR_Q_AUTHENTIC, TR_TEEC_OK }, { TR_Q_AUTHENTIC, TR_TEEC_OK },
		  { TR_Q_AUTHENTIC, TR_TEEC_OK } }, TR_ANSWER_YES, TR_ANSWER_NOT_ASKED, TR_TEEC_OK, true },
		{ "software is another question", { { TR_Q_AUTHENTIC, TR_TEEC_OK }, { TR_Q_CURRENT, TR_TEEC_OK },
		  { TR_Q_SOFTWARE, TR_TEEC_LIMIT } }, TR_ANSWER_YES, TR_ANSWER_YES, TR_TEEC_LIMIT, true },
		{ "only current", { { TR_Q_CURRENT, TR_TEEC_OK }, { TR_Q_CURRENT, TR_TEEC_OK }, { TR_Q_CURRENT, TR_TEEC_OK } },
		  TR_ANSWER_NOT_ASKED, TR_ANSWER_YES, TR_TEEC_OK, false },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		clear(state);
		for (size_t k = 0; k < 3 && rows[i].lines[0].q != TR_Q_N; k++)
			CHECK(tr_tee_line(&r, "x", rows[i].lines[k].q, rows[i].lines[k].code, "e", NULL) ==
				      (rows[i].lines[k].code == TR_TEEC_OK),
			      rows[i].label);
		CHECK(r.answers[TR_Q_AUTHENTIC] == rows[i].authentic, rows[i].label);
		CHECK(r.answers[TR_Q_CURRENT] == rows[i].current, rows[i].label);
		CHECK(r.first == rows[i].first, rows[i].label);
		CHECK(tr_tee_authentic_and_current(&r) == rows[i].both, rows[i].label);
	}
}

static void nothing_passes_for_want_of_room(void **state)
{
	char id[32];

	for (unsigned i = 0; i < TR_TEE_CHECKS_MAX; i++)
		(void)tr_tee_check_add(&r, "x", TR_Q_AUTHENTIC, TR_TEEC_OK);
	assert_true(tr_tee_authentic_and_current(&r));
	(void)tr_tee_check_add(&r, "one more", TR_Q_AUTHENTIC, TR_TEEC_OK);
	assert_int_equal(r.n_checks, TR_TEE_CHECKS_MAX);
	assert_string_equal(r.checks[TR_TEE_CHECKS_MAX - 1].name, "one more");
	assert_false(tr_tee_authentic_and_current(&r));
	assert_int_equal(r.first, TR_TEEC_LIMIT);

	clear(state);
	for (unsigned i = 0; i < TR_TEE_ADVISORIES_MAX; i++) {
		(void)snprintf(id, sizeof(id), "INTEL-SA-%05u", i);
		tr_tee_advisory(&r, tr_view_str(id));
	}
	tr_tee_advisory(&r, TR_VIEW_LIT("INTEL-SA-00000"));
	assert_int_equal(r.n_checks, 0);
	tr_tee_advisory(&r, TR_VIEW_LIT("INTEL-SA-99999"));
	assert_int_equal(r.n_advisories, TR_TEE_ADVISORIES_MAX);
	assert_true(r.answers[TR_Q_CURRENT] == TR_ANSWER_NO && r.first == TR_TEEC_LIMIT);

	/* A long one could be taken for another when it is cut. */
	clear(state);
	tr_tee_advisory(&r, TR_VIEW_LIT("12345678901234567890123"));
	assert_int_equal(r.n_checks, 0);
	tr_tee_advisory(&r, TR_VIEW_LIT("123456789012345678901234"));
	assert_true(r.n_advisories == 1 && r.answers[TR_Q_CURRENT] == TR_ANSWER_NO);

	clear(state);
	for (unsigned i = 0; i < TR_TEE_FIELDS_MAX + 3; i++) {
		tr_tee_field_uint(&r, "n", i);
		tr_tee_field_hex(&r, "h", TR_VIEW_LIT("\x01"));
		tr_tee_field_text(&r, "t", TR_VIEW_LIT("x"));
		tr_tee_input(&r, "i", TR_VIEW_LIT("x"));
	}
	assert_int_equal(r.n_fields, TR_TEE_FIELDS_MAX);
	assert_int_equal(r.n_inputs, TR_TEE_INPUTS_MAX);
}

static void advisories_are_sorted_and_unique(void **state)
{
	(void)state;
	tr_tee_advisory(&r, TR_VIEW_LIT("INTEL-SA-00837"));
	tr_tee_advisory(&r, TR_VIEW_LIT("INTEL-SA-00615"));
	tr_tee_advisory(&r, TR_VIEW_LIT("INTEL-SA-00960"));
	tr_tee_advisory(&r, TR_VIEW_LIT("INTEL-SA-00615"));
	tr_tee_advisory(&r, tr_view("INTEL-SA-007 and more", 12)); /* not NUL-terminated */
	assert_int_equal(r.n_advisories, 4);
	assert_string_equal(r.advisories[0], "INTEL-SA-00615");
	assert_string_equal(r.advisories[1], "INTEL-SA-007");
	assert_string_equal(r.advisories[2], "INTEL-SA-00837");
	assert_string_equal(r.advisories[3], "INTEL-SA-00960");
}

static void the_earliest_end_counts(void **state)
{
	(void)state;
	tr_tee_until(&r, 0);
	assert_true(r.valid_until == 0);
	tr_tee_until(&r, 2000);
	tr_tee_until(&r, 3000);
	assert_true(r.valid_until == 2000);
	tr_tee_until(&r, 1000);
	tr_tee_until(&r, 0);
	assert_true(r.valid_until == 1000);
}

static void report_data_are_compared_whole(void **state)
{
	uint8_t data[64], other[64];
	const struct { const char *label; struct tr_view expected; enum tr_answer want; } rows[] = {
		{ "not asked", tr_view(NULL, 0), TR_ANSWER_NOT_ASKED },
		{ "the same", TR_VIEW_ARRAY(data), TR_ANSWER_YES },
		{ "last bit", TR_VIEW_ARRAY(other), TR_ANSWER_NO },
		{ "the first half", tr_view(data, 32), TR_ANSWER_NO },
		{ "a byte short", tr_view(data, 63), TR_ANSWER_NO },
	};

	for (unsigned i = 0; i < 64; i++)
		data[i] = other[i] = (uint8_t)i;
	other[63] ^= 1;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		clear(state);
		r.report_data = TR_VIEW_ARRAY(data);
		tr_tee_check_report_data(&r, rows[i].expected);
		CHECK(r.answers[TR_Q_FRESH] == rows[i].want, rows[i].label);
		CHECK(r.first == (rows[i].want == TR_ANSWER_NO ? TR_TEEC_REPORT_DATA : TR_TEEC_OK), rows[i].label);
		CHECK(r.n_checks == (rows[i].expected.n > 0), rows[i].label);
	}
	/* Evidence without any is not fresh, whatever is expected. */
	clear(state);
	tr_tee_check_report_data(&r, TR_VIEW_ARRAY(data));
	assert_int_equal(r.answers[TR_Q_FRESH], TR_ANSWER_NO);
}

static void long_values_are_cut_visibly(void **state)
{
	struct tr_tee_check *c = tr_tee_check_add(&r, "x", TR_Q_AUTHENTIC, TR_TEEC_OK);
	uint8_t bytes[100];
	char text[300];

	(void)state;
	memset(bytes, 0xab, sizeof(bytes));
	tr_tee_seen_hex(c, tr_view(bytes, 64));
	assert_int_equal(strlen(c->seen), 128);
	tr_tee_seen_hex(c, tr_view(bytes, 78));
	assert_true(strlen(c->seen) == 156 && !strchr(c->seen, '.'));
	tr_tee_seen_hex(c, tr_view(bytes, 79));
	assert_true(strlen(c->seen) == 159 && !strcmp(c->seen + 156, "..."));
	tr_tee_expected_hex(c, tr_view(NULL, 0));
	assert_string_equal(c->expected, "");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	tr_tee_expected(c, "%s", text);
	tr_tee_seen(c, "%d of %s", 7, "y");
	assert_int_equal(strlen(c->expected), sizeof(c->expected) - 1);
	assert_string_equal(c->seen, "7 of y");
}

static void a_result_has_one_text(void **state)
{
	static const char want[] =
		"{\"kind\":\"tdx\",\"authentic\":\"yes\",\"current\":\"no\",\"software\":\"not_asked\",\"fresh\":\"not_asked\","
		"\"code\":\"revoked\",\"tcb_status\":\"OutOfDate\",\"platform_status\":\"UpToDate\",\"module_status\":\"none\","
		"\"qe_status\":\"none\",\"tcb_date\":\"2024-03-13T00:00:00.000Z\",\"evaluation_number\":19,"
		"\"advisories\":[\"INTEL-SA-00615\",\"INTEL-SA-00837\"],\"valid_until\":null,\"trailing_bytes\":2,\"debug\":true,"
		"\"report_data\":\"00ff\",\"fields\":{\"mrtd\":\"0aff\",\"svn\":18446744073709551615,\"model\":\"a\\\"b\xef\xbf\xbd\"},"
		"\"checks\":[{\"check\":\"a\",\"question\":\"authentic\",\"ok\":true,\"expected\":\"1\",\"seen\":\"\"},"
		"{\"check\":\"b\",\"question\":\"current\",\"ok\":false,\"code\":\"revoked\",\"expected\":\"no\",\"seen\":\"yes\","
		"\"remedy\":\"The vendor has revoked a certificate of this chain: the machine is not to be trusted.\"}],"
		"\"inputs\":[{\"name\":\"quote\","
		"\"sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}]}";
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err err;

	(void)state;
	r.kind = TR_TEE_TDX;
	r.tcb_status = TR_TCB_OUT_OF_DATE;
	r.platform_status = TR_TCB_UP_TO_DATE;
	r.tcb_date = 1710288000;
	r.evaluation_number = 19;
	r.trailing_bytes = 2;
	r.debug = true;
	r.report_data = TR_VIEW_LIT("\x00\xff");
	tr_tee_advisory(&r, TR_VIEW_LIT("INTEL-SA-00837"));
	tr_tee_advisory(&r, TR_VIEW_LIT("INTEL-SA-00615"));
	tr_tee_field_hex(&r, "mrtd", TR_VIEW_LIT("\x0a\xff"));
	tr_tee_field_uint(&r, "svn", UINT64_MAX);
	tr_tee_field_text(&r, "model", TR_VIEW_LIT("a\"b\xff"));
	assert_true(tr_tee_line(&r, "a", TR_Q_AUTHENTIC, TR_TEEC_OK, "1", NULL));
	assert_false(tr_tee_line(&r, "b", TR_Q_CURRENT, TR_TEEC_REVOKED, "no", "yes"));
	tr_tee_input(&r, "quote", TR_VIEW_LIT("abc"));
	tr_tee_input(&r, "nothing", tr_view(NULL, 0));
	tr_tee_result_json(&r, &b);
	assert_string_equal(tr_buf_cstr(&b), want);
	/* jansson has no number over int64; one below is read back. */
	r.fields[1].number = INT64_MAX;
	tr_buf_clear(&b);
	tr_tee_result_json(&r, &b);
	assert_int_equal(tr_json_parse(tr_buf_view(&b), &j, &err), TR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(names_go_there_and_back, clear),
		cmocka_unit_test_setup(codes_are_fit_to_be_shown, clear),
		cmocka_unit_test_setup(one_failed_line_answers_no, clear),
		cmocka_unit_test_setup(nothing_passes_for_want_of_room, clear),
		cmocka_unit_test_setup(advisories_are_sorted_and_unique, clear),
		cmocka_unit_test_setup(the_earliest_end_counts, clear),
		cmocka_unit_test_setup(report_data_are_compared_whole, clear),
		cmocka_unit_test_setup(long_values_are_cut_visibly, clear),
		cmocka_unit_test_setup(a_result_has_one_text, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
