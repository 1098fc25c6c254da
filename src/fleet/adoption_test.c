/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/live_test.h"

static const char *config_of(const struct tr_fleet *f, uint32_t no)
{
	struct tr_axes axes;

	(void)tr_fleet_verdict(f, &now, no, &axes);
	return tr_config_state_name((enum tr_config_state)axes.config);
}

static void what_an_agent_says(void **state)
{
	static const struct {
		const char *label;
		uint64_t ours, says;
		const char *config;
		uint64_t since;
		enum tr_adopted adopted;
	} rows[] = {
		{ "the same", 3, 3, "current", 3, TR_ADOPTED },
		{ "one behind", 3, 2, "behind", 3, TR_ADOPTED_BEHIND },
		{ "one behind, and it would do", 3, 2, "behind", 2, TR_ADOPTED },
		{ "far behind", 3000, 1, "behind", 2, TR_ADOPTED_BEHIND },
		{ "one ahead", 3, 4, "current", 3, TR_ADOPTED_BEHIND },
		{ "no keyset names the key", 3, 3, "current", 0, TR_ADOPTED_BEHIND },
		{ "sixteen bits are kept", 70000, 70000, "current", 70000, TR_ADOPTED },
		{ "one behind over their edge", 65540, 65530, "behind", 65531, TR_ADOPTED_BEHIND },
		{ "and good enough", 65540, 65530, "behind", 65530, TR_ADOPTED },
		{ "ahead over their edge", 65530, 65540, "current", 65530, TR_ADOPTED_BEHIND },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		struct tr_fleet *f = empty_fleet(START);
		uint32_t no = add(f, "web-1", "lab", NULL);

		tr_fleet_keyset(f, &now, rows[i].ours);
		CHECK(tr_fleet_keyset_of(f, no) == 0, rows[i].label);
		CHECK(tr_fleet_adopted(f, &now, no, rows[i].since) == TR_ADOPTED_UNREACHABLE, rows[i].label);
		beat(f, no);
		tr_adoption_take(f, &now, no, rows[i].says);
		CHECK(strcmp(config_of(f, no), rows[i].config) == 0, rows[i].label);
		CHECK(tr_fleet_keyset_of(f, no) == rows[i].says, rows[i].label);
		CHECK(tr_fleet_adopted(f, &now, no, rows[i].since) == rows[i].adopted, rows[i].label);
		(void)tr_fleet_free(f);
	}
}

static void a_new_keyset_at_once(void **state)
{
	struct tr_fleet *f = empty_fleet(START);
	uint32_t no = add(f, "web-1", "lab", NULL);
	struct tr_fleet_stats stats;

	(void)state;
	beat(f, no);
	tr_adoption_take(f, &now, no, 3);
	assert_string_equal(config_of(f, no), "current");
	tr_fleet_stats(f, &stats);
	assert_int_equal(stats.keyset_current, 1);
	/* Nobody waits for its next pulse to know. */
	tr_fleet_keyset(f, &now, 4);
	assert_string_equal(config_of(f, no), "behind");
	tr_fleet_stats(f, &stats);
	assert_int_equal(stats.keyset_current, 0);
	tr_adoption_take(f, &now, no, 4);
	tr_adoption_take(f, &now, no, 4);
	tr_fleet_stats(f, &stats);
	assert_int_equal(stats.keyset_current, 1);
	/* Who is gone is not counted, and not asked. */
	tr_fleet_end(f, &now, no);
	tr_fleet_stats(f, &stats);
	assert_int_equal(stats.keyset_current, 0);
	assert_int_equal(tr_fleet_adopted(f, &now, no, 1), TR_ADOPTED_NOT_ASKED);
	(void)tr_fleet_free(f);
}

static void counted(void **state)
{
	struct tr_fleet *f = live_fleet(10, "lab");
	struct tr_adoption n;

	(void)state;
	for (uint32_t i = 0; i < 7; i++) {
		beat(f, i);
		tr_adoption_take(f, &now, i, i < 4 ? 3 : 2);
	}
	tr_fleet_adoption(f, &now, 3, &n);
	assert_int_equal(n.adopted, 4);
	assert_int_equal(n.behind, 3);
	assert_int_equal(n.unreachable, 3);
	/* Who has adopted it has done so, whether it is heard now or not; who has not and is silent holds nobody up. */
	run(f, 1200, nobody);
	tr_fleet_adoption(f, &now, 3, &n);
	assert_int_equal(n.adopted, 4);
	assert_int_equal(n.behind, 0);
	assert_int_equal(n.unreachable, 6);
	(void)tr_fleet_free(f);
}

static void an_agent_ahead(void **state)
{
	struct tr_fleet *f = empty_fleet(START);
	uint32_t no = add(f, "web-1", "lab", NULL);

	(void)state;
	beat(f, no);
	tr_adoption_take(f, &now, no, 5);
	assert_string_equal(heard.last_kind, "keyset_behind");
	assert_string_equal(heard.last_subject, "server");
	assert_int_equal(heard.raised[1], 1);
	assert_non_null(strstr(heard.last_summary, "web-1"));
	assert_non_null(strstr(heard.last_summary, "keyset 5"));
	tr_adoption_take(f, &now, no, 5);
	assert_int_equal(heard.raised[1], 1); /* once a minute is enough */
	tr_fleet_keyset(f, &now, 4);
	assert_non_null(tr_alerts_find(tr_fleet_alerts(f), "keyset_behind", TR_VIEW_LIT("server")));
	tr_fleet_keyset(f, &now, 5);
	assert_null(tr_alerts_find(tr_fleet_alerts(f), "keyset_behind", TR_VIEW_LIT("server")));
	(void)tr_fleet_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_agent_says),
		cmocka_unit_test(a_new_keyset_at_once),
		cmocka_unit_test(counted),
		cmocka_unit_test(an_agent_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
