/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "appraise/verdict.h"

/* The wire: neither numbers, slugs nor statuses may change. */
static const struct {
	enum tr_reason r;
	int number;
	const char *slug;
	int status;
} wire[] = {
	{ TR_R_OK, 0, "ok", 201 },
	{ TR_R_MALFORMED, 1, "malformed", 400 },
	{ TR_R_BAD_SIGNATURE, 2, "bad_signature", 401 },
	{ TR_R_UNKNOWN_KEY, 3, "unknown_key", 401 },
	{ TR_R_CLOCK_DESYNC, 4, "clock_desync", 401 },
	{ TR_R_REPLAY, 5, "replay", 409 },
	{ TR_R_HASH_NOT_ALLOWED, 6, "hash_not_allowed", 403 },
	{ TR_R_VERSION_NOT_ALLOWED, 7, "version_not_allowed", 403 },
	{ TR_R_KEY_REVOKED, 8, "key_revoked", 401 },
	{ TR_R_TOKEN_INVALID, 9, "token_invalid", 401 },
	{ TR_R_CHALLENGE_INVALID, 10, "challenge_invalid", 401 },
	{ TR_R_CHANNEL_MISMATCH, 11, "channel_mismatch", 401 },
	{ TR_R_KEY_MISMATCH, 12, "key_mismatch", 401 },
	{ TR_R_KEY_REFUSED, 13, "key_refused", 400 },
	{ TR_R_FORMAT_NOT_ACCEPTED, 14, "format_not_accepted", 403 },
	{ TR_R_TIER_TOO_LOW, 15, "tier_too_low", 403 },
	{ TR_R_ID_TAKEN, 16, "id_taken", 409 },
	{ TR_R_RELEASE_EXPIRED, 17, "release_expired", 403 },
	{ TR_R_AGENT_REVOKED, 18, "agent_revoked", 403 },
	{ TR_R_LIMIT, 19, "limit", 429 },
	{ TR_R_EVIDENCE_NOT_AUTHENTIC, 20, "evidence_not_authentic", 403 },
	{ TR_R_EVIDENCE_NOT_CURRENT, 21, "evidence_not_current", 403 },
	{ TR_R_EVIDENCE_WRONG_SOFTWARE, 22, "evidence_wrong_software", 403 },
	{ TR_R_EVIDENCE_NOT_FRESH, 23, "evidence_not_fresh", 401 },
};

static void every_reason_has_its_row(void **state)
{
	(void)state;
	assert_int_equal(TR_ARRAY_LEN(wire), TR_R_N);
	for (size_t i = 0; i < TR_ARRAY_LEN(wire); i++) {
		const struct tr_reason_info *info = tr_reason_info(wire[i].r);
		enum tr_reason back;

		assert_int_equal(wire[i].r, wire[i].number);
		assert_string_equal(info->slug, wire[i].slug);
		assert_int_equal(info->status, wire[i].status);
		assert_true(strlen(info->title) > 4);
		/* A sentence, not a word. */
		assert_non_null(strchr(info->sentence, ' '));
		assert_int_equal(info->sentence[strlen(info->sentence) - 1], '.');
		assert_true(tr_reason_from_slug(tr_view_str(wire[i].slug), &back));
		assert_int_equal(back, wire[i].r);
	}
}

static void what_is_out_of_range_is_never_good(void **state)
{
	enum tr_reason r;
	enum tr_tier t;

	(void)state;
	assert_string_equal(tr_reason_info(TR_R_N)->slug, "malformed");
	assert_string_equal(tr_reason_info((enum tr_reason)-1)->slug, "malformed");
	assert_string_equal(tr_tier_name(TR_TIER_N), "none");
	assert_false(tr_reason_from_slug(TR_VIEW_LIT("OK"), &r));
	assert_false(tr_reason_from_slug(TR_VIEW_LIT(""), &r));
	assert_false(tr_tier_from_name(TR_VIEW_LIT("self_asserted"), &t));
}

static void tiers_have_names_weakest_first(void **state)
{
	static const char *const names[] = { "none", "self-asserted", "kernel", "hardware" };

	(void)state;
	assert_int_equal(TR_ARRAY_LEN(names), TR_TIER_N);
	for (unsigned i = 0; i < TR_TIER_N; i++) {
		enum tr_tier t;

		assert_string_equal(tr_tier_name((enum tr_tier)i), names[i]);
		assert_true(tr_tier_from_name(tr_view_str(names[i]), &t));
		assert_int_equal(t, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_its_row),
		cmocka_unit_test(what_is_out_of_range_is_never_good),
		cmocka_unit_test(tiers_have_names_weakest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
