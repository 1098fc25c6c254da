/* SPDX-License-Identifier: Apache-2.0 */
#include "tee/kernel_test.h"

static const struct tr_tee_ask ask = { .report_data = { 5, 6, 7, [63] = 8 } };

static enum tr_code run(struct fake *f, uint32_t vmpl, struct tr_buf *ret, struct tr_err *err)
{
	struct tr_tee_ops ops;
	struct tr_tee_conf c;

	fake_conf(f, &ops, &c);
	c.vmpl = vmpl;
	return tr_tee_sev_guest.quote(&c, &ask, ret, err);
}

static void put_table(struct tr_buf *b)
{
	static const uint8_t ask_guid[16] = { 0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4,
					      0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82 };
	static const uint8_t other[16] = { 1 }, place[8] = { 72, 0, 0, 0, 2, 0, 0, 0 }, behind[8] = { 74, 0, 0, 0, 5, 0, 0, 0 };
	static const uint8_t end[24];

	tr_buf_add(b, ask_guid, 16);
	tr_buf_add(b, place, 8);
	tr_buf_add(b, other, 16);
	tr_buf_add(b, behind, 8);
	tr_buf_add(b, end, 24);
	tr_buf_adds(b, "abcdefg");
}

static void the_extended_report_brings_the_certificates(void **state)
{
	tr_auto(fake_done) struct fake f = { .has_sev = true };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	struct tr_snp_certs certs;
	struct tr_tee_set s;
	struct tr_err err;

	(void)state;
	put_table(&f.aux);
	assert_int_equal(run(&f, 3, &set, &err), TR_OK);
	assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &s, &err), TR_OK);
	assert_int_equal(s.kind, TR_TEE_SNP);
	assert_int_equal(tr_tee_answers(TR_TEE_SNP, s.quote, &ask, &err), TR_OK);
	assert_int_equal(f.sev_vmpl, 3);
	assert_int_equal(f.ext_calls, 1);
	/* Entries that nobody knows count for the end: what is cut off must not break the table. */
	assert_int_equal(s.certs.n, 79);
	assert_int_equal(tr_snp_certs_parse(s.certs, &certs, &err), TR_OK);
	assert_true(tr_view_is(certs.ask, "ab"));
}

/* errno differs from kernel to kernel; exitinfo2 does not. */
static void exitinfo2_says_what_to_do(void **state)
{
	static const struct { const char *answers; enum tr_code rc; unsigned calls, extended; bool certs; } rows[] = {
		{ ".", TR_OK, 1, 1, true },
		{ "BB.", TR_OK, 3, 3, true },
		{ "E.", TR_OK, 2, 2, true },
		{ "S.", TR_OK, 2, 1, false },
		{ "F.", TR_OK, 2, 1, false },
		{ "FF", TR_E_UNAVAIL, 2, 1, false },
		{ "SBB.", TR_OK, 4, 1, false },
		{ "BBBBBBBB.", TR_E_BUSY, 8, 8, false },
		{ "Z", TR_E_UNAVAIL, 1, 1, false },
		{ "L", TR_E_UNAVAIL, 1, 1, false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(fake_done) struct fake f = { .has_sev = true, .sev = rows[i].answers };
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
		struct tr_tee_set s = { 0 };
		struct tr_err err;

		put_table(&f.aux);
		if (run(&f, TR_TEE_VMPL_ANY, &set, &err) != rows[i].rc)
			fail_msg("%s: another outcome", rows[i].answers);
		assert_int_equal(f.sev_calls, rows[i].calls);
		assert_int_equal(f.ext_calls, rows[i].extended);
		if (rows[i].rc == TR_OK)
			assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &s, &err), TR_OK);
		assert_true((s.certs.n > 0) == rows[i].certs);
	}
}

static void a_host_without_certificates_is_enough(void **state)
{
	tr_auto(fake_done) struct fake f = { .has_sev = true };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	struct tr_tee_set s;
	struct tr_err err;

	(void)state;
	assert_int_equal(run(&f, TR_TEE_VMPL_ANY, &set, &err), TR_OK);
	assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &s, &err), TR_OK);
	assert_int_equal(s.certs.n, 0);
	assert_int_equal(f.sev_vmpl, 0);
}

static void no_device_and_no_such_level_are_explained(void **state)
{
	tr_auto(fake_done) struct fake f = { 0 };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	struct tr_err err;

	(void)state;
	assert_int_equal(run(&f, TR_TEE_VMPL_ANY, &set, &err), TR_E_UNAVAIL);
	assert_non_null(strstr(err.pub, "root"));
	f.has_sev = true;
	assert_int_equal(run(&f, 4, &set, &err), TR_E_INVALID);
	assert_int_equal(f.sev_calls, 0);
}

/* ---- /dev/tdx_guest ---- */

static void a_tdreport_is_for_people_and_no_evidence(void **state)
{
	static const uint8_t mrtd[48] = { 0xaa, 0xaa, 0xaa }, rtmr3 = 0xb3;
	tr_auto(fake_done) struct fake f = { .has_tdx = true };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	uint8_t report[TR_TDREPORT_LEN];
	struct tr_tdreport r;
	struct tr_tee_ops ops;
	struct tr_tee_conf c;
	struct tr_err err;

	(void)state;
	fake_conf(&f, &ops, &c);
	assert_int_equal(tr_tdx_report(&c, ask.report_data, report, &err), TR_OK);
	assert_int_equal(tr_tdreport_parse(TR_VIEW_ARRAY(report), &r, &err), TR_OK);
	assert_memory_equal(r.report_data.p, ask.report_data, 64);
	assert_memory_equal(r.mrtd.p, mrtd, 3);
	assert_int_equal(r.rtmr[3].p[0], rtmr3);
	assert_int_equal(r.rtmr[3].p[47], rtmr3);
	/* No quote comes from it, and the sentence says what to do. */
	assert_int_equal(tr_tee_tdx_guest.quote(&c, &ask, &set, &err), TR_E_UNAVAIL);
	assert_non_null(strstr(err.pub, "configfs"));
	assert_int_equal(set.n, 0);
}

static void a_tdreport_of_another_is_refused(void **state)
{
	tr_auto(fake_done) struct fake f = { .has_tdx = true, .tdx_other = true };
	uint8_t report[TR_TDREPORT_LEN] = { 0 };
	struct tr_tdreport r;
	struct tr_tee_ops ops;
	struct tr_tee_conf c;
	struct tr_err err;

	(void)state;
	fake_conf(&f, &ops, &c);
	assert_int_equal(tr_tdx_report(&c, ask.report_data, report, &err), TR_E_DENIED);
	assert_int_equal(tr_tdreport_parse(TR_VIEW_ARRAY(report), &r, &err), TR_E_INVALID);
	assert_int_equal(tr_tdreport_parse(tr_view(report, 0), &r, &err), TR_E_INVALID);
	f.has_tdx = false;
	assert_int_equal(tr_tdx_report(&c, ask.report_data, report, &err), TR_E_UNAVAIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_extended_report_brings_the_certificates),
		cmocka_unit_test(exitinfo2_says_what_to_do),
		cmocka_unit_test(a_host_without_certificates_is_enough),
		cmocka_unit_test(no_device_and_no_such_level_are_explained),
		cmocka_unit_test(a_tdreport_is_for_people_and_no_evidence),
		cmocka_unit_test(a_tdreport_of_another_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
