/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/obey_sample.h"

static struct tr_receipt sample(void)
{
	return (struct tr_receipt){ .agent_id = TR_VIEW_LIT("web-1"),
				    .cmd_id = { 1, 2, 3 },
				    .command = { 4, 5, 6 },
				    .line = 1795000000000,
				    .seq = 7,
				    .state = TR_CS_FAILED,
				    .code = TR_VIEW_LIT("no_room"),
				    .result = TR_VIEW_LIT("{\"free\":0}"),
				    .at_ns = NOW_MS * 1000000,
				    .position = 12,
				    .keyset_epoch = 3,
				    .high = 9,
				    .n_missing = 2,
				    .missing = { 5, 8 } };
}

static void a_receipt_comes_back_as_it_was_signed(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_receipt in = sample(), out;

	(void)state;
	MUST(tr_receipt_sign(&in, obey_keys[K_AGENT], &b, &must));
	MUST(tr_receipt_verify(tr_buf_view(&b), tr_privkey_pub(obey_keys[K_AGENT]), &out, &must));
	assert_true(tr_view_eq(in.agent_id, out.agent_id) && in.line == out.line && in.seq == out.seq);
	assert_memory_equal(in.cmd_id, out.cmd_id, sizeof(in.cmd_id));
	assert_memory_equal(in.command, out.command, sizeof(in.command));
	assert_true(in.state == out.state && in.at_ns == out.at_ns && in.position == out.position &&
		    in.keyset_epoch == out.keyset_epoch && in.high == out.high);
	assert_true(tr_view_eq(in.code, out.code) && tr_view_eq(in.result, out.result));
	assert_int_equal(out.n_missing, 2);
	assert_memory_equal(in.missing, out.missing, sizeof(in.missing));
}


static enum tr_code verify(void *arg, struct tr_view in)
{
	struct tr_receipt out;
	struct tr_err err;

	(void)arg;
	return tr_receipt_verify(in, tr_privkey_pub(obey_keys[K_AGENT]), &out, &err);
}

static void no_flipped_bit_is_accepted(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_receipt r = sample();

	(void)state;
	MUST(tr_receipt_sign(&r, obey_keys[K_AGENT], &b, &must));
	assert_int_equal(accepted_mutations(tr_buf_view(&b), verify, NULL), 0);
}

static void another_agents_receipt_is_denied(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_receipt r = sample();

	(void)state;
	MUST(tr_receipt_sign(&r, obey_keys[K_STRANGER], &b, &must));
	assert_int_equal(verify(NULL, tr_buf_view(&b)), TR_E_DENIED);
}

static void the_longest_receipt_fits(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	static char result[TR_RECEIPT_RESULT_MAX];
	struct tr_receipt r = sample(), out;

	(void)state;
	memset(result, ' ', sizeof(result));
	result[0] = '{';
	result[sizeof(result) - 1] = '}';
	r.result = TR_VIEW_ARRAY(result);
	r.line = r.seq = r.position = r.high = r.keyset_epoch = INT64_MAX;
	r.at_ns = INT64_MAX;
	r.n_missing = TR_RECEIPT_MISSING_MAX;
	for (size_t i = 0; i < r.n_missing; i++)
		r.missing[i] = INT64_MAX - r.n_missing + i;
	MUST(tr_receipt_sign(&r, obey_keys[K_AGENT], &b, &must));
	assert_true(b.n <= TR_RECEIPT_MAX);
	MUST(tr_receipt_verify(tr_buf_view(&b), tr_privkey_pub(obey_keys[K_AGENT]), &out, &must));
	assert_memory_equal(r.missing, out.missing, sizeof(r.missing));
}

static void every_field_keeps_its_rule(void **state)
{
	static const char *const labels[] = {
		"good",		     "no agent",	 "state 0",	      "unknown state",	"line over 63 bits",
		"number over 63 bits", "position over 63 bits", "high over 63 bits", "epoch over 63 bits", "no time",
		"code of capitals",  "code of 65 bytes", "failed without code", "refused without code", "done with a code",
		"result no object",  "result no JSON",	 "result of two objects", "result with a key twice", "result not UTF-8",
		"missing 0",	     "missing the highest", "missing twice",  "too many missing", "done", "received", "unknown",
		"unread", "long result",
	};
	static char big[TR_RECEIPT_RESULT_MAX + 1];
	static const unsigned first_good = 24, last_good = 27;

	(void)state;
	memset(big, ' ', sizeof(big));
	big[0] = '{';
	big[sizeof(big) - 1] = '}';
	for (unsigned i = 0; i < TR_ARRAY_LEN(labels); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_receipt r = sample();
		struct tr_err err;
		bool good = i == 0 || (i >= first_good && i <= last_good);

		switch (i) {
		case 1: r.agent_id.n = 0; break;
		case 2: r.state = 0; break;
		case 3: r.state = TR_CS_N; break;
		case 4: r.line = UINT64_C(1) << 63; break;
		case 5: r.seq = UINT64_C(1) << 63; break;
		case 6: r.position = UINT64_C(1) << 63; break;
		case 7: r.high = UINT64_C(1) << 63; break;
		case 8: r.keyset_epoch = UINT64_C(1) << 63; break;
		case 9: r.at_ns = 0; break;
		case 10: r.code = TR_VIEW_LIT("NoRoom"); break;
		case 11: r.code = TR_VIEW_LIT("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg"); break;
		case 12: r.code.n = 0; break;
		case 13: r.state = TR_CS_REFUSED, r.code.n = 0; break;
		case 14: r.state = TR_CS_DONE; break;
		case 15: r.result = TR_VIEW_LIT("[1]"); break;
		case 16: r.result = TR_VIEW_LIT("{\"a\":}"); break;
		case 17: r.result = TR_VIEW_LIT("{},{}"); break;
		case 18: r.result = TR_VIEW_LIT("{\"a\":1,\"a\":2}"); break;
		case 19: r.result = TR_VIEW_LIT("{\"a\":\"\xff\"}"); break;
		case 20: r.missing[0] = 0; break;
		case 21: r.missing[1] = r.high; break;
		case 22: r.missing[1] = r.missing[0]; break;
		case 23: r.n_missing = TR_RECEIPT_MISSING_MAX + 1; break;
		case 24: r.state = TR_CS_DONE, r.code.n = 0; break;
		case 25: r.state = TR_CS_RECEIVED, r.code.n = r.result.n = 0, r.n_missing = 0; break;
		case 26: r.state = TR_CS_UNKNOWN; break;
		case 27:
			r.state = TR_CS_REFUSED;
			r.code = TR_VIEW_LIT("malformed");
			memset(r.cmd_id, 0, sizeof(r.cmd_id));
			r.line = r.seq = r.high = 0;
			r.n_missing = 0;
			break;
		case 28: r.result = TR_VIEW_ARRAY(big); break;
		default: break;
		}
		CHECK(tr_receipt_sign(&r, obey_keys[K_AGENT], &b, &err) == (good ? TR_OK : TR_E_INVALID), labels[i]);
		CHECK(good || (err.pub && err.pub[0]), labels[i]);
		CHECK(!good || verify(NULL, tr_buf_view(&b)) == TR_OK, labels[i]);
	}
}

static void a_signed_payload_of_another_form_is_refused(void **state)
{
	static const struct {
		const char *label, *domain;
		struct tr_view from, to;
		enum tr_code want;
	} cases[] = {
		{ "as it is", TR_RECEIPT_DOMAIN, TR_VIEW_LIT("\xad\x01"), TR_VIEW_LIT("\xad\x01"), TR_OK },
		{ "another domain string", "troth/pulse/v1", TR_VIEW_LIT("\xad\x01"), TR_VIEW_LIT("\xad\x01"), TR_E_DENIED },
		{ "an unknown member", TR_RECEIPT_DOMAIN, TR_VIEW_LIT("\x0d\x6a{"), TR_VIEW_LIT("\x0e\x6a{"), TR_E_INVALID },
		{ "an empty code", TR_RECEIPT_DOMAIN, TR_VIEW_LIT("\x0c\x67no_room"), TR_VIEW_LIT("\x0c\x60"), TR_E_INVALID },
		{ "an empty result", TR_RECEIPT_DOMAIN, TR_VIEW_LIT("\x0d\x6a{\"free\":0}"), TR_VIEW_LIT("\x0d\x60"),
		  TR_E_INVALID },
		{ "a member left out", TR_RECEIPT_DOMAIN, TR_VIEW_LIT("\x0a\x09\x0b\x82\x05\x08"), TR_VIEW_LIT("\x0a\x09"),
		  TR_E_INVALID },
		{ "no agent", TR_RECEIPT_DOMAIN, TR_VIEW_LIT("\xad\x01\x65web-1"), TR_VIEW_LIT("\xac"), TR_E_INVALID },
		{ "an id of 15 bytes", TR_RECEIPT_DOMAIN, TR_VIEW_LIT("\x02\x50\x01"), TR_VIEW_LIT("\x02\x4f"), TR_E_INVALID },
		{ "missing out of order", TR_RECEIPT_DOMAIN, TR_VIEW_LIT("\x82\x05\x08"), TR_VIEW_LIT("\x82\x08\x05"),
		  TR_E_INVALID },
		{ "failed without a code", TR_RECEIPT_DOMAIN, TR_VIEW_LIT("\x06\x04\x07"), TR_VIEW_LIT("\x06\x03\x07"),
		  TR_E_INVALID },
	};
	tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT;
	struct tr_receipt r = sample();
	struct tr_cose c;

	(void)state;
	MUST(tr_receipt_sign(&r, obey_keys[K_AGENT], &good, &must));
	MUST(tr_cose1_parse(tr_buf_view(&good), TR_RECEIPT_MAX, &c, &must));
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT, b = TR_BUF_INIT;
		const uint8_t *at = memmem(c.payload.p, c.payload.n, cases[i].from.p, cases[i].from.n);
		size_t before;

		CHECK(at != NULL, cases[i].label);
		before = (size_t)(at - c.payload.p);
		tr_buf_add(&payload, c.payload.p, before);
		tr_buf_addv(&payload, cases[i].to);
		tr_buf_add(&payload, at + cases[i].from.n, c.payload.n - before - cases[i].from.n);
		MUST(tr_cose1_sign(obey_keys[K_AGENT], cases[i].domain, tr_buf_view(&payload), &b, &must));
		CHECK(verify(NULL, tr_buf_view(&b)) == cases[i].want, cases[i].label);
	}
}

static void every_state_has_a_name_and_an_end(void **state)
{
	/* Numbers stand in journals and databases. */
	static const char *const names[TR_CS_N] = { "?",      "received", "started", "done",
						    "failed", "unknown",  "refused", "cancelled" };

	(void)state;
	for (unsigned i = 0; i < TR_CS_N; i++) {
		assert_string_equal(tr_cmd_state_name(i), names[i]);
		assert_int_equal(tr_cmd_state_final(i), i >= 3);
	}
	assert_string_equal(tr_cmd_state_name(TR_CS_N), "?");
	assert_false(tr_cmd_state_final(TR_CS_N));
	assert_false(tr_cmd_state_final(UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_receipt_comes_back_as_it_was_signed),
		cmocka_unit_test(no_flipped_bit_is_accepted),
		cmocka_unit_test(another_agents_receipt_is_denied),
		cmocka_unit_test(the_longest_receipt_fits),
		cmocka_unit_test(every_field_keeps_its_rule),
		cmocka_unit_test(a_signed_payload_of_another_form_is_refused),
		cmocka_unit_test(every_state_has_a_name_and_an_end),
	};

	return cmocka_run_group_tests(tests, obey_setup, obey_teardown);
}
