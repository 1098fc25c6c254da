/* SPDX-License-Identifier: Apache-2.0 */
/* What a signer of ours does not sign, what another signer's command is, and what refusals are called. */
#include "signed/obey_sample.h"

struct made {
	struct tr_buf order, command;
};

static void made_done(struct made *m)
{
	tr_buf_done(&m->order);
	tr_buf_done(&m->command);
}
TR_DEFINE_AUTO_DONE(struct made, made_done)

static void an_inconsistent_command_is_not_signed(void **state)
{
	static const char *const labels[] = { "good",	     "line 0",	      "line over 63 bits", "number 0",
					      "number over 63 bits", "keyset 0",	"keyset over 63 bits", "enrolment over 63 bits",
					      "revocation over 63 bits", "issued at 0", "ends as it begins", "outlives its order",
					      "empty approval", "long approval", "three approvals", "no order",
					      "an order of nothing", "enrolment 0" };
	static uint8_t big[TR_APPROVAL_MAX + 1];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(labels); i++) {
		tr_auto(made_done) struct made m = { 0 };
		struct tr_order o = obey_order(TR_CMD_NOTE);
		struct tr_command c;
		struct tr_err err;
		bool good = i == 0 || i == 17;

		MUST(tr_order_encode(&o, &m.order, &must));
		c = obey_command(&o, tr_buf_view(&m.order));
		switch (i) {
		case 1: c.line = 0; break;
		case 2: c.line = UINT64_C(1) << 63; break;
		case 3: c.seq = 0; break;
		case 4: c.seq = UINT64_C(1) << 63; break;
		case 5: c.keyset_epoch = 0; break;
		case 6: c.keyset_epoch = UINT64_C(1) << 63; break;
		case 7: c.epoch = UINT64_C(1) << 63; break;
		case 8: c.revocation = UINT64_C(1) << 63; break;
		case 9: c.issued_ms = 0; break;
		case 10: c.expires_ms = c.issued_ms; break;
		case 11: c.expires_ms = o.expires_ms + 1; break;
		case 12: c.n_approvals = 1; break;
		case 13: c.n_approvals = 1, c.approvals[0] = TR_VIEW_ARRAY(big); break;
		case 14: c.n_approvals = 3; break;
		case 15: c.order.n = 0; break;
		case 16: c.order = TR_VIEW_LIT("\xa0"); break;
		case 17: c.epoch = 0; break;
		default: break;
		}
		CHECK(tr_command_sign(&c, obey_keys[K_COMMAND], &m.command, &err) == (good ? TR_OK : TR_E_INVALID), labels[i]);
		CHECK(good == (m.command.n > 0), labels[i]);
	}
}

/* Whoever has the key can sign what ours would not. */
static void foreign(struct made *m, int64_t issued_ms)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_order o = obey_order(TR_CMD_CANCEL);
	const int64_t rest[] = { 2, 2, 3, 1, 4, 1, 5, issued_ms, 6, o.expires_ms, 7, 1, 8, 0 };

	MUST(tr_order_encode(&o, &m->order, &must));
	tr_cbor_put_map(&b, 9);
	tr_cbor_put_int(&b, 1);
	tr_cbor_put_bytes(&b, tr_buf_view(&m->order));
	for (size_t i = 0; i < TR_ARRAY_LEN(rest); i++)
		tr_cbor_put_int(&b, rest[i]);
	tr_cbor_put_int(&b, 9);
	tr_cbor_put_array(&b, 0);
	MUST(tr_cose1_sign(obey_keys[K_COMMAND], TR_COMMAND_DOMAIN, tr_buf_view(&b), &m->command, &must));
}

static void no_command_is_older_than_four_hours(void **state)
{
	static const struct {
		const char *label;
		int64_t age_ms;
		enum tr_refusal want;
	} cases[] = {
		{ "4 hours", 4 * HOUR_MS, TR_REF_NONE },
		{ "more than 4 hours", 4 * HOUR_MS + 1, TR_REF_TOO_OLD },
		{ "for ever", NOW_MS - 1, TR_REF_RETIRED_KEY }, /* before its key was */
	};
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = { .trust_domain = TR_VIEW_LIT("fleet.example"),
				      .agent_id = TR_VIEW_LIT("web-1"),
				      .keyset = &ks,
				      .now_ms = NOW_MS };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(made_done) struct made m = { 0 };
		struct tr_command c;
		struct tr_order order;
		uint8_t digest[32];
		struct tr_err err;
		bool authentic;

		foreign(&m, NOW_MS - cases[i].age_ms);
		CHECK(tr_command_verify(tr_buf_view(&m.command), &s, &c, &order, digest, &authentic, &err) == cases[i].want,
		      cases[i].label);
		/* Ours does not sign it. */
		MUST(tr_command_read(tr_buf_view(&m.command), &c, &order, &(struct tr_view){ 0 }, &must));
		tr_buf_clear(&m.order);
		CHECK(tr_command_sign(&c, obey_keys[K_COMMAND], &m.order, &err) == TR_E_INVALID, cases[i].label);
	}
}

/* Who follows a line of the far future finds every later one old. */
static void a_line_has_begun(void **state)
{
	static const struct {
		const char *label;
		uint64_t line;
		enum tr_refusal want;
	} cases[] = {
		{ "long ago", 1, TR_REF_NONE },
		{ "in 5 minutes, for a clock that is slow", NOW_MS + 300000, TR_REF_NONE },
		{ "later", NOW_MS + 300001, TR_REF_NOT_YET },
		{ "at the end of time", INT64_MAX, TR_REF_NOT_YET },
	};
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = { .trust_domain = TR_VIEW_LIT("fleet.example"),
				      .agent_id = TR_VIEW_LIT("web-1"),
				      .keyset = &ks,
				      .now_ms = NOW_MS };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(made_done) struct made m = { 0 };
		struct tr_order o = obey_order(TR_CMD_STATUS), seen_order;
		struct tr_command c, seen;
		uint8_t digest[32];
		struct tr_err err;
		bool authentic;

		MUST(tr_order_encode(&o, &m.order, &must));
		c = obey_command(&o, tr_buf_view(&m.order));
		c.line = cases[i].line;
		MUST(tr_command_sign(&c, obey_keys[K_COMMAND], &m.command, &must));
		CHECK(tr_command_verify(tr_buf_view(&m.command), &s, &seen, &seen_order, digest, &authentic, &err) ==
			      cases[i].want,
		      cases[i].label);
	}
}

static void the_digest_is_told_of_whatever_can_be_read(void **state)
{
	static const uint8_t zeros[32];
	tr_auto(made_done) struct made m = { 0 };
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = { .keyset = &ks, .now_ms = NOW_MS };
	struct tr_command c;
	struct tr_order order;
	struct tr_cose cose;
	uint8_t digest[32], want[32];
	struct tr_err err;
	bool authentic = true;

	(void)state;
	foreign(&m, NOW_MS);
	MUST(tr_cose1_parse(tr_buf_view(&m.command), TR_COMMAND_MAX, &cose, &must));
	MUST(tr_cose1_digest(&cose, TR_COMMAND_DOMAIN, want, &must));
	ks.n_keys = 0;
	assert_int_equal(tr_command_verify(tr_buf_view(&m.command), &s, &c, &order, digest, &authentic, &err),
			 TR_REF_UNKNOWN_KEY);
	assert_memory_equal(digest, want, 32);
	assert_false(authentic);
	assert_int_equal(tr_command_verify(TR_VIEW_LIT("\xd2"), &s, &c, &order, digest, &authentic, &err),
			 TR_REF_MALFORMED);
	assert_memory_equal(digest, zeros, 32);
	assert_int_equal(err.code, TR_E_INVALID);
	assert_int_equal(tr_command_read(TR_VIEW_LIT("\xd2"), &c, &order, &(struct tr_view){ 0 }, &err), TR_E_INVALID);
}

static void every_refusal_has_a_slug_and_a_sentence(void **state)
{
	/* They stand in receipts and journals. */
	static const char *const slugs[TR_REF_N] = {
		"",	      "malformed", "unknown_key", "revoked_key",      "retired_key",	  "bad_signature", "wrong_agent",
		"expired",    "not_yet",   "too_old",	  "replayed",	      "approval_missing", "approval_invalid",
		"stale_keyset", "wrong_image", "quarantined", "journal",      "cancelled",	  "unsupported",
	};

	(void)state;
	for (unsigned i = TR_REF_MALFORMED; i < TR_REF_N; i++) {
		enum tr_refusal r = (enum tr_refusal)i;

		assert_string_equal(tr_refusal_slug(r), slugs[i]);
		assert_int_equal(tr_refusal_of(tr_view_str(slugs[i])), r);
		CHECK(strlen(tr_refusal_sentence(r)) > 20, slugs[i]);
		for (unsigned j = TR_REF_MALFORMED; j < i; j++)
			CHECK(strcmp(tr_refusal_sentence(r), tr_refusal_sentence((enum tr_refusal)j)) != 0, slugs[i]);
	}
	assert_string_equal(tr_refusal_slug(TR_REF_NONE), "");
	assert_string_equal(tr_refusal_slug(TR_REF_N), "unknown");
	assert_string_equal(tr_refusal_sentence(TR_REF_N), "the command is refused");
	assert_int_equal(tr_refusal_of(TR_VIEW_LIT("")), TR_REF_N);
	assert_int_equal(tr_refusal_of(TR_VIEW_LIT("malformed ")), TR_REF_N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_inconsistent_command_is_not_signed),
		cmocka_unit_test(no_command_is_older_than_four_hours),
		cmocka_unit_test(a_line_has_begun),
		cmocka_unit_test(the_digest_is_told_of_whatever_can_be_read),
		cmocka_unit_test(every_refusal_has_a_slug_and_a_sentence),
	};

	return cmocka_run_group_tests(tests, obey_setup, obey_teardown);
}
