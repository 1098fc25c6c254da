/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "evidence/set.h"

static const struct tr_tee_set whole = {
	.kind = TR_TEE_TPM,
	.quote = TR_VIEW_LIT("q"), .certs = TR_VIEW_LIT("c"), .signature = TR_VIEW_LIT("s"), .ak_public = TR_VIEW_LIT("ap"),
	.ak_cert = TR_VIEW_LIT("ac"), .ek_cert = TR_VIEW_LIT("ec"), .pcrs = TR_VIEW_LIT("p"), .event_log = TR_VIEW_LIT("el"),
	.ima_log = TR_VIEW_LIT("il"), .hcl_report = TR_VIEW_LIT("hr"), .compose = TR_VIEW_LIT("co"),
	.rtmr3_events = TR_VIEW_LIT("re"), .hcl_hw = TR_VIEW_LIT("hh"),
};

static void sets_come_back_as_they_were(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_tee_set s;
	struct tr_err err = { 0 };

	(void)state;
	tr_tee_set_put(&b, &whole);
	assert_int_equal(tr_tee_set_get(tr_buf_view(&b), &s, &err), TR_OK);
	assert_int_equal(s.kind, TR_TEE_TPM);
#define SAME(m) assert_true(tr_view_eq(s.m, whole.m))
	SAME(quote); SAME(certs); SAME(signature); SAME(ak_public); SAME(ak_cert); SAME(ek_cert); SAME(pcrs);
	SAME(event_log); SAME(ima_log); SAME(hcl_report); SAME(compose); SAME(rtmr3_events); SAME(hcl_hw);
}

static void absent_members_are_left_out(void **state)
{
	const struct tr_tee_set s = { .kind = TR_TEE_SNP, .quote = TR_VIEW_LIT("r") };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	tr_tee_set_put(&b, &s);
	assert_true(tr_view_eq(tr_buf_view(&b), TR_VIEW_LIT("\xa2\x01\x03\x02\x41r")));
}

static const struct { const char *label; struct tr_view in; } refused[] = {
	{ "empty", TR_VIEW_LIT("") },
	{ "no quote", TR_VIEW_LIT("\xa1\x01\x03") },
	{ "no kind", TR_VIEW_LIT("\xa1\x02\x41r") },
	{ "kind none", TR_VIEW_LIT("\xa2\x01\x00\x02\x41r") },
	{ "kind of tomorrow", TR_VIEW_LIT("\xa2\x01\x05\x02\x41r") },
	{ "empty quote", TR_VIEW_LIT("\xa2\x01\x03\x02\x40") },
	{ "unknown member", TR_VIEW_LIT("\xa3\x01\x03\x02\x41r\x0f\x41x") },
	{ "key 0", TR_VIEW_LIT("\xa3\x00\x41x\x01\x03\x02\x41r") },
	{ "order", TR_VIEW_LIT("\xa2\x02\x41r\x01\x03") },
	{ "twice", TR_VIEW_LIT("\xa3\x01\x03\x02\x41r\x02\x41r") },
	{ "trailing", TR_VIEW_LIT("\xa2\x01\x03\x02\x41r\x00") },
	{ "text for bytes", TR_VIEW_LIT("\xa2\x01\x03\x02\x61r") },
};

static void other_forms_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(refused); i++) {
		struct tr_tee_set s = { .kind = TR_TEE_SGX };
		struct tr_err err = { 0 };

		if (tr_tee_set_get(refused[i].in, &s, &err) != TR_E_INVALID)
			fail_msg("%s: taken", refused[i].label);
		assert_int_equal(s.kind, TR_TEE_SGX); /* untouched */
	}
}

static void length_is_bounded(void **state)
{
	static uint8_t big[TR_TEE_SET_MAX];
	const struct tr_tee_set s = { .kind = TR_TEE_SNP, .quote = TR_VIEW_ARRAY(big) };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_tee_set got;
	struct tr_err err = { 0 };

	(void)state;
	tr_tee_set_put(&b, &s);
	assert_int_equal(tr_tee_set_get(tr_buf_view(&b), &got, &err), TR_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_come_back_as_they_were),
		cmocka_unit_test(absent_members_are_left_out),
		cmocka_unit_test(other_forms_are_refused),
		cmocka_unit_test(length_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
