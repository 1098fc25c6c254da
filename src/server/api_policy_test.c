/* SPDX-License-Identifier: Apache-2.0 */
/* Where the policy in force comes from: configuration before setting before default. */
#include "server/core.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct source {
	struct tr_config_attestation file;
	struct tr_config cfg;
	struct tr_core core;
};

static struct tr_core *begin(struct source *s)
{
	static const uint8_t seed[16];

	s->cfg.attestation = &s->file;
	s->core.cfg = &s->cfg;
	assert_true(tr_table_init(&s->core.settings, &tr_setting_def, 0, seed));
	tr_core_pin(&s->core);
	return &s->core;
}

static void set(struct tr_core *c, const char *name, const char *value)
{
	struct tr_setting_row row = { .name = tr_view_str(name), .value = tr_view_str(value) };

	assert_non_null(tr_table_put(&c->settings, &row));
}

static void end(struct tr_core *c)
{
	tr_table_done(&c->settings);
	tr_buf_done(&c->versions);
}

static void the_default_is_strict(void **state)
{
	struct source s = { 0 };
	struct tr_core *c = begin(&s);
	struct tr_policy_view p;

	(void)state;
	tr_core_policy(c, &p);
	assert_int_equal(p.mode, TR_MODE_ENFORCE);
	assert_int_equal(p.min_tier, TR_TIER_SELF_ASSERTED);
	assert_true(p.accept_native);
	assert_false(p.accept_original);
	assert_int_equal(p.hashes.n + p.min_version.n + p.versions.n, 0);
	assert_false(p.mode_pinned || p.accept_pinned || p.hashes_pinned || p.min_version_pinned || p.versions_pinned ||
		     p.min_tier_pinned);
	end(c);
}

static void an_operators_setting_counts(void **state)
{
	struct source s = { 0 };
	struct tr_core *c = begin(&s);
	struct tr_policy_view p;

	(void)state;
	set(c, "policy.mode", "audit");
	set(c, "policy.accept", "original");
	set(c, "policy.hashes", "sha256:x");
	set(c, "policy.min_version", "1.2");
	set(c, "policy.versions", "1.2,1.3");
	set(c, "policy.min_tier", "kernel");
	tr_core_policy(c, &p);
	assert_int_equal(p.mode, TR_MODE_AUDIT);
	assert_int_equal(p.min_tier, TR_TIER_KERNEL);
	assert_false(p.accept_native);
	assert_true(p.accept_original);
	assert_true(tr_view_is(p.hashes, "sha256:x"));
	assert_true(tr_view_is(p.min_version, "1.2"));
	assert_true(tr_view_is(p.versions, "1.2,1.3"));
	assert_false(p.mode_pinned || p.accept_pinned || p.hashes_pinned || p.min_version_pinned || p.versions_pinned ||
		     p.min_tier_pinned);
	set(c, "policy.accept", ",native,,original,");
	tr_core_policy(c, &p);
	assert_true(p.accept_native && p.accept_original);
	end(c);
}

static void the_configuration_pins(void **state)
{
	char *accept[] = { (char[]){ "original" } }, *versions[] = { (char[]){ "2.0" }, (char[]){ "v2.1" } };
	char mode[] = "off", hash[] = "sha256:y", min_version[] = "2.0", tier[] = "hardware";
	struct source s = { .file = { .mode = mode, .accept = accept, .accept_count = 1, .expected_hash = hash,
				      .min_version = min_version, .versions = versions, .versions_count = 2,
				      .min_tier = tier } };
	struct tr_core *c = begin(&s);
	struct tr_policy_view p;

	(void)state;
	set(c, "policy.mode", "audit");
	set(c, "policy.accept", "native");
	set(c, "policy.hashes", "sha256:x");
	set(c, "policy.min_version", "1.2");
	set(c, "policy.versions", "1.2,1.3");
	set(c, "policy.min_tier", "kernel");
	tr_core_policy(c, &p);
	assert_int_equal(p.mode, TR_MODE_OFF);
	assert_int_equal(p.min_tier, TR_TIER_HARDWARE);
	assert_false(p.accept_native);
	assert_true(p.accept_original);
	assert_true(tr_view_is(p.hashes, "sha256:y"));
	assert_true(tr_view_is(p.min_version, "2.0"));
	assert_true(tr_view_is(p.versions, "2.0,v2.1"));
	assert_true(p.mode_pinned && p.accept_pinned && p.hashes_pinned && p.min_version_pinned && p.versions_pinned &&
		    p.min_tier_pinned);
	end(c);
}

static void a_fleet_key_turns_the_original_form_on(void **state)
{
	char path[] = "fleet.pem";
	struct source s = { .file = { .public_key_path = path } };
	struct tr_core *c = begin(&s);
	struct tr_policy_view p;

	(void)state;
	tr_core_policy(c, &p);
	assert_true(p.accept_native && p.accept_original);
	set(c, "policy.accept", "native");
	tr_core_policy(c, &p);
	assert_true(p.accept_native && p.accept_original);
	end(c);
}

/* A store of another release may hold what this one does not know: never looser than the default. */
static void an_unknown_setting_is_the_default(void **state)
{
	struct source s = { 0 };
	struct tr_core *c = begin(&s);
	struct tr_policy_view p;

	(void)state;
	set(c, "policy.mode", "lenient");
	set(c, "policy.min_tier", "quantum");
	set(c, "policy.accept", "none");
	tr_core_policy(c, &p);
	assert_int_equal(p.mode, TR_MODE_ENFORCE);
	assert_int_equal(p.min_tier, TR_TIER_SELF_ASSERTED);
	assert_false(p.accept_native || p.accept_original);
	end(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_is_strict),
		cmocka_unit_test(an_operators_setting_counts),
		cmocka_unit_test(the_configuration_pins),
		cmocka_unit_test(a_fleet_key_turns_the_original_form_on),
		cmocka_unit_test(an_unknown_setting_is_the_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
