/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/obey_sample.h"

static const size_t nobody[2], one[2] = { K_OP_A, 0 }, two[2] = { K_OP_A, K_OP_B };

static struct tr_command_scope scope(const struct tr_keyset *ks)
{
	return (struct tr_command_scope){ .trust_domain = TR_VIEW_LIT("fleet.example"),
					  .agent_id = TR_VIEW_LIT("web-1"),
					  .epoch = 2,
					  .keyset = ks,
					  .now_ms = NOW_MS };
}

static const size_t *approvers(enum tr_cmd cmd)
{
	static const size_t *const by_class[] = { nobody, one, two };

	return by_class[tr_cmd_type(cmd)->class];
}

static void every_command_is_obeyed_as_it_was_signed(void **state)
{
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = scope(&ks);

	(void)state;
	for (unsigned i = TR_CMD_STATUS; i < TR_CMD_N; i++) {
		tr_auto(obey_made_done) struct obey_made m = { 0 };
		const char *label = tr_cmd_type(i)->name;
		struct tr_order in = obey_order((enum tr_cmd)i), order;
		struct tr_command c;
		uint8_t digest[32];
		bool authentic;
		struct tr_err err;

		obey_make(&m, &in, K_COMMAND, approvers((enum tr_cmd)i));
		if (tr_command_verify(tr_buf_view(&m.command), &s, &c, &order, digest, &authentic, &err))
			fail_msg("%s: %s: %s", label, err.pub, err.detail);
		CHECK(authentic, label);
		CHECK(tr_view_eq(c.order, tr_buf_view(&m.order)) && order.cmd == i, label);
		CHECK(c.epoch == 2 && c.line == 1795000000000 && c.seq == 7 && c.keyset_epoch == 1, label);
		CHECK(c.issued_ms == NOW_MS - 1000 && c.expires_ms == in.expires_ms, label);
		CHECK(m.command.n <= TR_COMMAND_MAX, label);
	}
}


static enum tr_refusal judge(const struct tr_command_scope *s, struct tr_view in, bool *authentic)
{
	struct tr_command c;
	struct tr_order order;
	uint8_t digest[32];
	struct tr_err err = { .pub = NULL };
	enum tr_refusal why = tr_command_verify(in, s, &c, &order, digest, authentic, &err);

	if (why != TR_REF_NONE && (!err.pub || !err.pub[0]))
		fail_msg("%s: without a sentence", tr_refusal_slug(why));
	return why;
}

static enum tr_code verify(void *arg, struct tr_view in)
{
	bool authentic;

	return judge(arg, in, &authentic) || !authentic ? TR_E_DENIED : TR_OK;
}

static void no_flipped_bit_is_obeyed(void **state)
{
	tr_auto(obey_made_done) struct obey_made m = { 0 };
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = scope(&ks);
	struct tr_order o = obey_order(TR_CMD_QUARANTINE);

	(void)state;
	obey_make(&m, &o, K_COMMAND, two);
	assert_int_equal(verify(&s, tr_buf_view(&m.command)), TR_OK);
	assert_int_equal(accepted_mutations(tr_buf_view(&m.command), verify, &s), 0);
}

/* One thing is wrong at a time; the world is changed, never the good command. */
enum wrong {
	NOTHING, STRANGER, FORGED, OTHER_ROLE, REMOVED, REVOKED, NOT_VALID_YET, OVER, RETIRED_BEFORE, RETIRED_AT,
	RETIRED_GRACE, RETIRED_LATE, DOMAIN, AGENT, EPOCH, EPOCH_UNKNOWN, SKEW, AHEAD, LAST_MOMENT, EXPIRED,
	STALE_READ, STALE_CHANGE, NONE_APPROVED, APPROVER_REVOKED, APPROVAL_OVER, DAMAGED_KEY
};

static void what_is_wrong_is_said_first_things_first(void **state)
{
	static const struct {
		const char *label;
		enum wrong wrong;
		enum tr_refusal want;
		bool authentic;
	} cases[] = {
		{ "nothing", NOTHING, TR_REF_NONE, true },
		{ "signed by nobody's key", STRANGER, TR_REF_UNKNOWN_KEY, false },
		{ "signed by a stranger who names the key", FORGED, TR_REF_BAD_SIGNATURE, false },
		{ "signed by an operator's key", OTHER_ROLE, TR_REF_UNKNOWN_KEY, false },
		{ "key no more in the keyset", REMOVED, TR_REF_UNKNOWN_KEY, false },
		{ "key revoked", REVOKED, TR_REF_REVOKED_KEY, false },
		{ "key not valid yet", NOT_VALID_YET, TR_REF_RETIRED_KEY, false },
		{ "key's time is over", OVER, TR_REF_RETIRED_KEY, false },
		{ "signed after no_sign_after", RETIRED_BEFORE, TR_REF_RETIRED_KEY, false },
		{ "signed at no_sign_after", RETIRED_AT, TR_REF_NONE, true },
		{ "within the grace", RETIRED_GRACE, TR_REF_NONE, true },
		{ "after the grace", RETIRED_LATE, TR_REF_RETIRED_KEY, false },
		{ "another trust domain", DOMAIN, TR_REF_WRONG_AGENT, true },
		{ "another agent", AGENT, TR_REF_WRONG_AGENT, true },
		{ "another enrolment", EPOCH, TR_REF_WRONG_AGENT, true },
		{ "enrolment not known here", EPOCH_UNKNOWN, TR_REF_NONE, true },
		{ "clock 5 minutes behind", SKEW, TR_REF_NONE, true },
		{ "clock more than 5 minutes behind", AHEAD, TR_REF_NOT_YET, true },
		{ "last moment", LAST_MOMENT, TR_REF_NONE, true },
		{ "expired", EXPIRED, TR_REF_EXPIRED, true },
		{ "a read after the grace without a keyset", STALE_READ, TR_REF_NONE, true },
		{ "a change after the grace without a keyset", STALE_CHANGE, TR_REF_STALE_KEYSET, true },
		{ "nobody approved", NONE_APPROVED, TR_REF_APPROVAL_MISSING, true },
		{ "an approver's key is revoked", APPROVER_REVOKED, TR_REF_APPROVAL_INVALID, true },
		{ "the approval is over", APPROVAL_OVER, TR_REF_APPROVAL_INVALID, true },
		{ "the keyset's key is none", DAMAGED_KEY, TR_REF_UNKNOWN_KEY, false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(obey_made_done) struct obey_made m = { 0 };
		tr_auto(tr_buf_done) struct tr_buf forged = TR_BUF_INIT;
		struct tr_keyset ks = obey_keyset();
		struct tr_command_scope s = scope(&ks);
		struct tr_order o = obey_order(cases[i].wrong == STALE_READ ? TR_CMD_STATUS : TR_CMD_SET_INTERVAL);
		struct tr_keyset_key *key = &ks.keys[0];
		const int64_t issued = NOW_MS - 1000;
		size_t signer = K_COMMAND;
		struct tr_view in;
		bool authentic = !cases[i].authentic;

		switch (cases[i].wrong) {
		case STRANGER: signer = K_STRANGER; break;
		case OTHER_ROLE: signer = K_OP_C; break;
		case REMOVED: *key = ks.keys[--ks.n_keys]; break;
		case REVOKED: obey_revoke(&ks, K_COMMAND); break;
		case NOT_VALID_YET: key->not_before_ms = issued + 1; break;
		case OVER: key->not_after_ms = NOW_MS; break;
		case RETIRED_BEFORE: key->no_sign_after_ms = issued - 1; break;
		case RETIRED_AT: key->no_sign_after_ms = issued; break;
		case RETIRED_GRACE: key->no_sign_after_ms = issued, s.now_ms = issued + 20 * MINUTE_MS; break;
		case RETIRED_LATE:
			key->no_sign_after_ms = issued;
			s.now_ms = issued + 4 * HOUR_MS + 1;
			break;
		case DOMAIN: s.trust_domain = TR_VIEW_LIT("other.example"); break;
		case AGENT: s.agent_id = TR_VIEW_LIT("web-2"); break;
		case EPOCH: s.epoch = 3; break;
		case EPOCH_UNKNOWN: s.epoch = 0; break;
		case SKEW: s.now_ms = issued - 300000; break;
		case AHEAD: s.now_ms = issued - 300001; break;
		case LAST_MOMENT: s.now_ms = NOW_MS + 30 * MINUTE_MS - 1; break;
		case EXPIRED: s.now_ms = o.expires_ms; break;
		case STALE_READ:
		case STALE_CHANGE: s.grace_over = true; break;
		case APPROVER_REVOKED: obey_revoke(&ks, K_OP_A); break;
		case APPROVAL_OVER: s.now_ms = NOW_MS + 30 * MINUTE_MS; break;
		case DAMAGED_KEY: key->key.n--; break;
		default: break;
		}
		obey_make(&m, &o, signer, cases[i].wrong == NONE_APPROVED || cases[i].wrong == STALE_READ ? nobody : one);
		in = tr_buf_view(&m.command);
		if (cases[i].wrong == FORGED) {
			/* The last bytes of the object are of the signature. */
			tr_buf_addv(&forged, in);
			forged.p[forged.n - 1] ^= 1;
			in = tr_buf_view(&forged);
		}
		if (judge(&s, in, &authentic) != cases[i].want)
			fail_msg("%s: %s", cases[i].label, tr_refusal_slug(judge(&s, in, &authentic)));
		CHECK(authentic == cases[i].authentic, cases[i].label);
	}
}

static void the_class_says_how_many_operators_agree(void **state)
{
	static const struct {
		const char *label;
		enum tr_cmd cmd;
		size_t by[2];
		enum tr_refusal want;
	} cases[] = {
		{ "a read by nobody", TR_CMD_STATUS, { 0 }, TR_REF_NONE },
		{ "a read by one", TR_CMD_STATUS, { K_OP_A }, TR_REF_NONE },
		{ "a read by a stranger", TR_CMD_STATUS, { K_STRANGER }, TR_REF_APPROVAL_INVALID },
		{ "a change by nobody", TR_CMD_NOTE, { 0 }, TR_REF_APPROVAL_MISSING },
		{ "a change by one", TR_CMD_NOTE, { K_OP_B }, TR_REF_NONE },
		{ "a change by two", TR_CMD_NOTE, { K_OP_B, K_OP_C }, TR_REF_NONE },
		{ "a change by one and a stranger", TR_CMD_NOTE, { K_OP_B, K_STRANGER }, TR_REF_APPROVAL_INVALID },
		{ "a change by the command key", TR_CMD_NOTE, { K_COMMAND }, TR_REF_APPROVAL_INVALID },
		{ "a danger by nobody", TR_CMD_RELEASE, { 0 }, TR_REF_APPROVAL_MISSING },
		{ "a danger by one", TR_CMD_RELEASE, { K_OP_A }, TR_REF_APPROVAL_MISSING },
		{ "a danger by one, twice", TR_CMD_RELEASE, { K_OP_A, K_OP_A }, TR_REF_APPROVAL_MISSING },
		{ "a danger by two", TR_CMD_RELEASE, { K_OP_C, K_OP_A }, TR_REF_NONE },
		{ "a danger by one and a command key", TR_CMD_RELEASE, { K_OP_A, K_COMMAND_2 }, TR_REF_APPROVAL_INVALID },
	};
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = scope(&ks);

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(obey_made_done) struct obey_made m = { 0 };
		struct tr_order o = obey_order(cases[i].cmd);
		bool authentic;

		obey_make(&m, &o, K_COMMAND, cases[i].by);
		CHECK(judge(&s, tr_buf_view(&m.command), &authentic) == cases[i].want, cases[i].label);
		CHECK(authentic, cases[i].label);
	}
}

static void an_approval_of_one_order_is_none_of_another(void **state)
{
	tr_auto(obey_made_done) struct obey_made m = { 0 };
	tr_auto(tr_buf_done) struct tr_buf moved = TR_BUF_INIT, order = TR_BUF_INIT;
	struct tr_order a = obey_order(TR_CMD_NOTE), b = obey_order(TR_CMD_RESTART_AGENT);
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = scope(&ks);
	struct tr_command c;
	bool authentic;

	(void)state;
	obey_make(&m, &a, K_COMMAND, one);
	MUST(tr_order_encode(&b, &order, &must));
	c = obey_command(&b, tr_buf_view(&order));
	c.approvals[c.n_approvals++] = tr_buf_view(&m.approvals[0]);
	MUST(tr_command_sign(&c, obey_keys[K_COMMAND], &moved, &must));
	assert_int_equal(judge(&s, tr_buf_view(&moved), &authentic), TR_REF_APPROVAL_INVALID);
}

static void a_command_signed_anew_keeps_its_approvals(void **state)
{
	tr_auto(obey_made_done) struct obey_made m = { 0 };
	tr_auto(tr_buf_done) struct tr_buf again = TR_BUF_INIT;
	struct tr_order o = obey_order(TR_CMD_RELEASE), order;
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = scope(&ks);
	struct tr_command c, old;
	uint8_t digest[32], other[32];
	struct tr_view kid;
	bool authentic;

	(void)state;
	obey_make(&m, &o, K_COMMAND, two);
	MUST(tr_command_read(tr_buf_view(&m.command), &old, &order, &kid, &must));
	assert_true(tr_view_eq(kid, tr_cose1_kid(tr_privkey_pub(obey_keys[K_COMMAND]))));
	c = old;
	c.seq = 8;
	MUST(tr_command_sign(&c, obey_keys[K_COMMAND_2], &again, &must));
	obey_revoke(&ks, K_COMMAND);
	assert_int_equal(tr_command_verify(tr_buf_view(&m.command), &s, &c, &order, digest, &authentic, &must),
			 TR_REF_REVOKED_KEY);
	assert_int_equal(tr_command_verify(tr_buf_view(&again), &s, &c, &order, other, &authentic, &must), TR_REF_NONE);
	assert_true(c.seq == 8 && tr_view_eq(c.order, old.order));
	assert_memory_not_equal(digest, other, 32);
}

static void a_scheduled_order_has_an_older_command(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf order = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_order o = obey_order(TR_CMD_STATUS);
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = scope(&ks);
	struct tr_command c;
	bool authentic;

	(void)state;
	o.not_before_ms = NOW_MS + 6 * DAY_MS;
	o.expires_ms = o.not_before_ms + 5 * MINUTE_MS;
	MUST(tr_order_encode(&o, &order, &must));
	c = obey_command(&o, tr_buf_view(&order));
	MUST(tr_command_sign(&c, obey_keys[K_COMMAND], &b, &must));
	/* It waits in the agent's journal: taken at once, and days later. */
	assert_int_equal(judge(&s, tr_buf_view(&b), &authentic), TR_REF_NONE);
	s.now_ms = o.not_before_ms + 1;
	assert_int_equal(judge(&s, tr_buf_view(&b), &authentic), TR_REF_NONE);
	/* Not when its key is retired for longer than the grace. */
	ks.keys[0].no_sign_after_ms = c.issued_ms;
	s.now_ms = c.issued_ms + 4 * HOUR_MS;
	assert_int_equal(judge(&s, tr_buf_view(&b), &authentic), TR_REF_NONE);
	s.now_ms++;
	assert_int_equal(judge(&s, tr_buf_view(&b), &authentic), TR_REF_RETIRED_KEY);
	ks.keys[0].no_sign_after_ms = 0;
	s.now_ms = o.expires_ms;
	assert_int_equal(judge(&s, tr_buf_view(&b), &authentic), TR_REF_EXPIRED);
}

/* A payload that no signer of ours makes, signed by the command key. */
static struct tr_view replaced(struct obey_made *m, const char *domain, struct tr_view from, struct tr_view to,
			       struct tr_buf *out)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	const uint8_t *at;
	struct tr_cose c;
	size_t before;

	MUST(tr_cose1_parse(tr_buf_view(&m->command), TR_COMMAND_MAX, &c, &must));
	at = memmem(c.payload.p, c.payload.n, from.p, from.n);
	assert_non_null(at);
	before = (size_t)(at - c.payload.p);
	tr_buf_add(&payload, c.payload.p, before);
	tr_buf_addv(&payload, to);
	tr_buf_add(&payload, at + from.n, c.payload.n - before - from.n);
	MUST(tr_cose1_sign(obey_keys[K_COMMAND], domain, tr_buf_view(&payload), out, &must));
	return tr_buf_view(out);
}

static void a_signed_payload_of_another_form_is_refused(void **state)
{
	static const struct {
		const char *label, *domain;
		struct tr_view from, to;
		enum tr_refusal want;
	} cases[] = {
		{ "as it is", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\xa9\x01"), TR_VIEW_LIT("\xa9\x01"), TR_REF_NONE },
		{ "another domain string", TR_ORDER_DOMAIN, TR_VIEW_LIT("\x01"), TR_VIEW_LIT("\x01"), TR_REF_BAD_SIGNATURE },
		{ "a member less", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\xa9\x01"), TR_VIEW_LIT("\xa8\x01"), TR_REF_MALFORMED },
		{ "an unknown member", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\x08\x00\x09\x80"), TR_VIEW_LIT("\x08\x00\x0a\x80"),
		  TR_REF_MALFORMED },
		{ "no line", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\x03\x1b\x00\x00\x01\xa1\xee\x56\x5e\x00"), TR_VIEW_LIT("\x03\x00"),
		  TR_REF_MALFORMED },
		{ "no number", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\x04\x07\x05"), TR_VIEW_LIT("\x04\x00\x05"), TR_REF_MALFORMED },
		{ "no keyset", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\x07\x01\x08"), TR_VIEW_LIT("\x07\x00\x08"), TR_REF_MALFORMED },
		{ "an empty approval", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\x09\x80"), TR_VIEW_LIT("\x09\x81\x40"),
		  TR_REF_MALFORMED },
		{ "three approvals", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\x09\x80"), TR_VIEW_LIT("\x09\x83\x41x\x41x\x41x"),
		  TR_REF_MALFORMED },
		{ "an approval of one byte", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\x09\x80"), TR_VIEW_LIT("\x09\x81\x41x"),
		  TR_REF_APPROVAL_INVALID },
		{ "a command that we do not know", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\x04\x01\x05"), TR_VIEW_LIT("\x04\x17\x05"),
		  TR_REF_UNSUPPORTED },
		{ "an order of another form", TR_COMMAND_DOMAIN, TR_VIEW_LIT("\xa6\x01\x6d"), TR_VIEW_LIT("\xa5\x01\x6d"),
		  TR_REF_MALFORMED },
	};
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = scope(&ks);

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(obey_made_done) struct obey_made m = { 0 };
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_order o = obey_order(TR_CMD_STATUS), order = { 0 };
		struct tr_command c;
		struct tr_view in, kid;
		struct tr_err err;
		bool authentic;

		obey_make(&m, &o, K_COMMAND, nobody);
		in = replaced(&m, cases[i].domain, cases[i].from, cases[i].to, &b);
		if (judge(&s, in, &authentic) != cases[i].want)
			fail_msg("%s: %s", cases[i].label, tr_refusal_slug(judge(&s, in, &authentic)));
		if (cases[i].want == TR_REF_MALFORMED)
			CHECK(tr_command_read(in, &c, &order, &kid, &err) == TR_E_INVALID, cases[i].label);
		/* A refusal by an older agent names the command. */
		if (cases[i].want == TR_REF_UNSUPPORTED) {
			CHECK(tr_command_read(in, &c, &order, &kid, &err) == TR_E_NOTFOUND, cases[i].label);
			CHECK(authentic && memcmp(order.cmd_id, o.cmd_id, TR_CMD_ID_LEN) == 0, cases[i].label);
		}
	}
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_obeyed_as_it_was_signed),
		cmocka_unit_test(no_flipped_bit_is_obeyed),
		cmocka_unit_test(what_is_wrong_is_said_first_things_first),
		cmocka_unit_test(the_class_says_how_many_operators_agree),
		cmocka_unit_test(an_approval_of_one_order_is_none_of_another),
		cmocka_unit_test(a_command_signed_anew_keeps_its_approvals),
		cmocka_unit_test(a_scheduled_order_has_an_older_command),
		cmocka_unit_test(a_signed_payload_of_another_form_is_refused),
	};

	return cmocka_run_group_tests(tests, obey_setup, obey_teardown);
}
