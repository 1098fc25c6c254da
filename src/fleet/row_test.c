/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/inner.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void on_event(void *arg, const struct tr_event *e)
{
	(void)arg;
	(void)e;
}

static void on_alert(void *arg, const struct tr_alert_row *row)
{
	(void)arg;
	(void)row;
}

static const struct tr_fleet_config config = { .run = 7, .interval_s = 30 };
static const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert };
static const struct tr_instant start = { .ms = 1700000000000, .wall_ns = 1700000000000000000 };
static const uint8_t key_id[32] = { 1 }, hash[32] = { 2 };

static const struct tr_fleet_agent *taken_up(struct tr_fleet *f, const struct tr_pulse_row *row)
{
	uint32_t no = tr_fleet_add(f, &start, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("lab"), key_id, TR_VIEW_ARRAY(hash), 1, true,
				   row);

	assert_int_not_equal(no, TR_NO_AGENT);
	return tr_fleet_agent(f, no);
}

static void an_agent_comes_back_as_it_was_stored(void **state)
{
	tr_auto(tr_fleet_free) struct tr_fleet *f = tr_fleet_new(&config, &sink, &start);
	tr_auto(tr_buf_done) struct tr_buf scratch = TR_BUF_INIT;
	const struct tr_pulse_row in = {
		.id = TR_VIEW_LIT("web-1"), .epoch = 1, .first_seen = 1600000000000, .last_seen = 1690000000000,
		.accepted = 70000, .restarts = 3, .seq = 90000, .head = TR_VIEW_ARRAY(hash), .head_prev = TR_VIEW_ARRAY(key_id),
		.boot_id = tr_view(hash, 16), .start_id = tr_view(key_id, 16), .bootcount = 9,
		.running_hash = TR_VIEW_ARRAY(hash), .good_hash = TR_VIEW_ARRAY(hash), .version = TR_VIEW_LIT("0.1.0"),
		.expected_hash = TR_VIEW_ARRAY(key_id), .expected_until = 1700000060000, .bpf_status = TR_BPF_OK,
		.bpf_digest = TR_VIEW_ARRAY(hash), .bpf_good = TR_VIEW_ARRAY(hash), .bpf_list = TR_VIEW_LIT("list"),
		.lsm = TR_LSM_ACTIVE, .lsm_good = TR_LSM_ACTIVE, .sync = TR_SYNC_YES, .skew_ms = -20, .rtt_ms = 4,
		.loss_ppm = 2000, .reach = TR_REACH_LOST, .auth = TR_AUTH_RESTORED, .clock = TR_CLOCK_DESYNC,
		.integrity = TR_INTEGRITY_BPF_MISMATCH, .config = TR_CONFIG_BEHIND, .updating = TR_UPDATING_ORDERED,
		.reach_since = 1690000001000, .auth_since = 1690000002000, .clock_since = 1690000003000,
		.integrity_since = 1690000004000, .config_since = 1690000005000, .updating_since = 1690000006000,
		.notice = TR_NOTICE_REBOOT, .notice_until = 1690000900000, .source = TR_VIEW_LIT("192.0.2.1"),
		.findings = TR_VIEW_LIT("[]"),
	};
	tr_auto(tr_buf_done) struct tr_buf before = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf after = TR_BUF_INIT;
	struct tr_pulse_row out;

	(void)state;
	(void)taken_up(f, &in);
	tr_fleet_row(f, 0, &scratch, &out);
	tr_record_to_json(&tr_pulse_row_def, &in, &before);
	tr_record_to_json(&tr_pulse_row_def, &out, &after);
	assert_string_equal(tr_buf_cstr(&after), tr_buf_cstr(&before));
}

/* The database was touched, or a later version has been here: what has no meaning is not known, and never green. */
static void numbers_without_a_meaning_are_unknown(void **state)
{
	static const uint64_t odd[] = { 16, 200, 255, 256 + TR_REACH_LIVE, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(odd); i++) {
		tr_auto(tr_fleet_free) struct tr_fleet *f = tr_fleet_new(&config, &sink, &start);
		const struct tr_pulse_row row = { .id = TR_VIEW_LIT("web-1"), .epoch = 1, .reach = odd[i], .auth = odd[i],
						  .clock = odd[i], .integrity = odd[i], .config = odd[i], .updating = odd[i],
						  .notice = odd[i], .bpf_status = odd[i], .lsm = odd[i], .lsm_good = odd[i],
						  .sync = odd[i] };
		const struct tr_fleet_agent *a = taken_up(f, &row);
		const struct tr_axes none = { 0 };
		struct tr_fleet_stats s;

		assert_memory_equal(&a->axes, &none, sizeof(none));
		assert_int_equal(a->notice | a->bpf_status | a->lsm | a->lsm_good | a->sync, 0);
		tr_fleet_stats(f, &s);
		assert_int_equal(s.by_reach[TR_REACH_NEVER], 1);
		assert_int_equal(s.by_verdict[TR_V_PENDING], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_agent_comes_back_as_it_was_stored),
		cmocka_unit_test(numbers_without_a_meaning_are_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
