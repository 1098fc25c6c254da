/* SPDX-License-Identifier: Apache-2.0 */
#include "tee/kernel_test.h"

static struct tr_sim *sim;
static const struct tr_tee_ask ask = { .report_data = { 1, 2, 3, [63] = 64 } };

static int make_sim(void **state)
{
	struct tr_err err;

	(void)state;
	return tr_sim_new(NULL, &sim, &err) ? -1 : 0;
}

static int end_sim(void **state)
{
	(void)state;
	sim = tr_sim_free(sim);
	return 0;
}

static enum tr_code run(struct fake *f, const char *platform, uint32_t vmpl, struct tr_buf *ret, struct tr_err *err)
{
	struct tr_tee_ops ops;
	struct tr_tee_conf c;

	f->sim = sim;
	fake_conf(f, &ops, &c);
	c.platform = platform;
	c.vmpl = vmpl;
	return tr_tee_configfs.quote(&c, &ask, ret, err);
}

static void put_table(struct tr_buf *b)
{
	static const uint8_t vcek[16] = { 0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64,
					  0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd };
	static const uint8_t place[8] = { 48, 0, 0, 0, 3, 0, 0, 0 }, end[24], rest[4000];

	tr_buf_add(b, vcek, 16);
	tr_buf_add(b, place, 8);
	tr_buf_add(b, end, 24);
	tr_buf_adds(b, "abc");
	tr_buf_add(b, rest, sizeof(rest));
}

static void a_quote_of_tdx_comes_with_its_event_log(void **state)
{
	tr_auto(fake_done) struct fake f = { .provider = "tdx_guest\n", .piece = 100 };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	struct tr_tee_set s;
	struct tr_err err;

	(void)state;
	tr_buf_adds(&f.log, "events\xff\xff\xff");
	assert_int_equal(run(&f, "auto", TR_TEE_VMPL_ANY, &set, &err), TR_OK);
	assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &s, &err), TR_OK);
	assert_int_equal(s.kind, TR_TEE_TDX);
	assert_int_equal(tr_tee_answers(TR_TEE_TDX, s.quote, &ask, &err), TR_OK);
	assert_true(tr_view_is(s.event_log, "events"));
	assert_int_equal(s.certs.n, 0);
	assert_int_equal(f.generation, 1);
}

static void a_report_of_snp_comes_with_the_hosts_table(void **state)
{
	tr_auto(fake_done) struct fake f = { .provider = "sev_guest\n", .generation = 7, .floor = 1 };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	struct tr_tee_set s;
	struct tr_err err;

	(void)state;
	put_table(&f.aux);
	assert_int_equal(run(&f, "snp", 2, &set, &err), TR_OK);
	assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &s, &err), TR_OK);
	assert_int_equal(s.kind, TR_TEE_SNP);
	assert_int_equal(s.quote.n, TR_SNP_REPORT_LEN);
	assert_int_equal(s.quote.p[0x30], 2);
	/* Without what follows the last entry. */
	assert_int_equal(s.certs.n, 51);
	assert_int_equal(f.generation, 9);
}

static void a_table_that_is_none_is_left_out(void **state)
{
	static const char *const tables[] = { "", "xx", NULL };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		tr_auto(fake_done) struct fake f = { .provider = "sev_guest\n", .no_aux = !tables[i] };
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
		struct tr_tee_set s;
		struct tr_err err;

		tr_buf_adds(&f.aux, tables[i] ? tables[i] : "");
		assert_int_equal(run(&f, "auto", TR_TEE_VMPL_ANY, &set, &err), TR_OK);
		assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &s, &err), TR_OK);
		assert_int_equal(s.certs.n, 0);
	}
}

/* Busy is asked again, with longer and longer pauses; what does not pass by is told at once. */
static void a_busy_source_is_asked_again(void **state)
{
	static const struct { const char *errors; enum tr_code rc; unsigned sleeps; } rows[] = {
		{ "B.", TR_OK, 1 },
		{ "BITBIT.", TR_OK, 6 },
		{ "W.", TR_OK, 0 },
		{ "WWW.", TR_OK, 0 },
		{ "WWWWW.", TR_E_BUSY, 0 },
		{ "X", TR_E_UNAVAIL, 0 },
		{ "BX", TR_E_UNAVAIL, 1 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(fake_done) struct fake f = { .provider = "sev_guest\n", .out_errors = rows[i].errors };
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
		struct tr_err err;

		if (run(&f, "auto", TR_TEE_VMPL_ANY, &set, &err) != rows[i].rc)
			fail_msg("%s: another outcome", rows[i].errors);
		assert_int_equal(f.sleeps, rows[i].sleeps);
	}
}

static void it_is_not_asked_for_ever(void **state)
{
	tr_auto(fake_done) struct fake f = { .provider = "sev_guest\n",
					     .out_errors = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB" };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	struct tr_err err;

	(void)state;
	assert_int_equal(run(&f, "auto", TR_TEE_VMPL_ANY, &set, &err), TR_E_BUSY);
	assert_int_equal(f.sleeps, TR_TEE_TRIES);
	assert_true(f.slept_ms > 5000 && f.slept_ms < 20000);
	assert_int_equal(set.n, 0);
}

/* Somebody else's writes before or after ours: the answer may be to their question. */
static void an_answer_to_somebody_else_is_not_taken(void **state)
{
	static const struct { unsigned before, after; enum tr_code rc; } rows[] = {
		{ 1, 0, TR_OK }, { 0, 1, TR_OK }, { 4, 0, TR_OK }, { 5, 0, TR_E_BUSY }, { 0, 50, TR_E_BUSY },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(fake_done) struct fake f = { .provider = "tdx_guest\n", .meddlers = rows[i].before,
						     .late_meddlers = rows[i].after };
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
		struct tr_err err;

		assert_int_equal(run(&f, "auto", TR_TEE_VMPL_ANY, &set, &err), rows[i].rc);
		assert_true((set.n > 0) == (rows[i].rc == TR_OK));
	}
}

/* The commit of a binary attribute tells no error: only the generation shows that it did not count. */
static void a_write_that_did_not_count_is_seen(void **state)
{
	tr_auto(fake_done) struct fake f = { .provider = "tdx_guest\n", .swallow_write = true };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	struct tr_err err;

	(void)state;
	tr_buf_add(&f.in, ask.report_data, 64);
	assert_int_equal(run(&f, "auto", TR_TEE_VMPL_ANY, &set, &err), TR_E_BUSY);
	assert_int_equal(set.n, 0);
}

static void a_report_without_our_bytes_is_refused(void **state)
{
	static const char *const providers[] = { "tdx_guest\n", "sev_guest\n" };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		tr_auto(fake_done) struct fake f = { .provider = providers[i & 1], .stale = i < 2, .cut = i < 2 ? 0 : 1000 };
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
		struct tr_err err;

		assert_int_equal(run(&f, "auto", TR_TEE_VMPL_ANY, &set, &err), TR_E_DENIED);
		assert_int_equal(set.n, 0);
	}
}

static void a_named_kind_is_not_replaced(void **state)
{
	static const struct { const char *provider, *platform; enum tr_code rc; } rows[] = {
		{ "tdx_guest\n", "tdx", TR_OK }, { "tdx_guest\n", "snp", TR_E_UNAVAIL },
		{ "sev_guest\n", "tdx", TR_E_UNAVAIL }, { "sev_guest", "snp", TR_OK },
		{ "arm_cca_guest\n", "auto", TR_E_UNAVAIL }, { "", "auto", TR_E_UNAVAIL },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(fake_done) struct fake f = { .provider = rows[i].provider };
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
		struct tr_err err;

		assert_int_equal(run(&f, rows[i].platform, TR_TEE_VMPL_ANY, &set, &err), rows[i].rc);
	}
}

static void a_level_below_the_floor_is_not_asked_for(void **state)
{
	static const struct { uint32_t floor, vmpl; enum tr_code rc; } rows[] = {
		{ 0, 0, TR_OK }, { 2, 3, TR_OK }, { 2, 1, TR_E_UNAVAIL }, { 0, 4, TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(fake_done) struct fake f = { .provider = "sev_guest\n", .floor = rows[i].floor };
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
		struct tr_err err;

		assert_int_equal(run(&f, "auto", rows[i].vmpl, &set, &err), rows[i].rc);
	}
}

static void a_folder_that_cannot_be_made_is_explained(void **state)
{
	static const struct { const char *provider; int error; enum tr_code rc; const char *word; } rows[] = {
		{ NULL, 0, TR_E_UNAVAIL, "confidential guest" },
		{ "tdx_guest\n", EACCES, TR_E_UNAVAIL, "root" },
		{ "tdx_guest\n", ENXIO, TR_E_UNAVAIL, "confidential guest" },
		{ "tdx_guest\n", EEXIST, TR_OK, NULL },
		{ "tdx_guest\n", EBUSY, TR_OK, NULL },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(fake_done) struct fake f = { .provider = rows[i].provider, .mkdir_error = rows[i].error };
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
		struct tr_err err;

		assert_int_equal(run(&f, "auto", TR_TEE_VMPL_ANY, &set, &err), rows[i].rc);
		if (rows[i].word)
			assert_non_null(strstr(err.pub, rows[i].word));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quote_of_tdx_comes_with_its_event_log),
		cmocka_unit_test(a_report_of_snp_comes_with_the_hosts_table),
		cmocka_unit_test(a_table_that_is_none_is_left_out),
		cmocka_unit_test(a_busy_source_is_asked_again),
		cmocka_unit_test(it_is_not_asked_for_ever),
		cmocka_unit_test(an_answer_to_somebody_else_is_not_taken),
		cmocka_unit_test(a_write_that_did_not_count_is_seen),
		cmocka_unit_test(a_report_without_our_bytes_is_refused),
		cmocka_unit_test(a_named_kind_is_not_replaced),
		cmocka_unit_test(a_level_below_the_floor_is_not_asked_for),
		cmocka_unit_test(a_folder_that_cannot_be_made_is_explained),
	};

	return cmocka_run_group_tests(tests, make_sim, end_sim);
}
