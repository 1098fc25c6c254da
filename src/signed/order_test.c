/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/cbor.h"
#include "signed/order.h"

static const uint8_t other_id[TR_CMD_ID_LEN] = { 9, 9 };
static const uint8_t image[32] = { 7 };

static struct tr_order sample(enum tr_cmd cmd)
{
	const struct tr_cmd_type *t = tr_cmd_type(cmd);
	struct tr_order o = {
		.trust_domain = TR_VIEW_LIT("fleet.example"),
		.agent_id = TR_VIEW_LIT("web-1"),
		.cmd_id = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
		.cmd = cmd,
		.ordered_ms = NOW_MS,
		.expires_ms = NOW_MS + t->lifetime_s * INT64_C(1000),
		.seconds = t->seconds ? 30 : 0,
	};

	if (t->text)
		o.text = TR_VIEW_LIT("d\xc3\xa9j\xc3\xa0 vu");
	if (t->target)
		o.target = TR_VIEW_ARRAY(other_id);
	return o;
}

static void every_order_comes_back_as_it_was(void **state)
{
	(void)state;
	for (unsigned full = 0; full < 2; full++) {
		for (unsigned i = TR_CMD_STATUS; i < TR_CMD_N; i++) {
			tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
			const char *label = tr_cmd_type(i)->name;
			struct tr_order in = sample((enum tr_cmd)i), out;
			struct tr_err err;

			if (full) {
				in.not_before_ms = NOW_MS + 3600000;
				in.expires_ms += 3600000;
				in.image = TR_VIEW_ARRAY(image);
			}
			if (tr_order_encode(&in, &b, &err) || tr_order_decode(tr_buf_view(&b), &out, &err))
				fail_msg("%s: %s: %s", label, err.pub, err.detail);
			CHECK(b.n <= TR_ORDER_MAX, label);
			CHECK(tr_view_eq(in.trust_domain, out.trust_domain) && tr_view_eq(in.agent_id, out.agent_id),
			      label);
			CHECK(memcmp(in.cmd_id, out.cmd_id, sizeof(in.cmd_id)) == 0 && in.cmd == out.cmd, label);
			CHECK(in.ordered_ms == out.ordered_ms && in.expires_ms == out.expires_ms &&
				      in.not_before_ms == out.not_before_ms,
			      label);
			CHECK(in.seconds == out.seconds && tr_view_eq(in.image, out.image) &&
				      tr_view_eq(in.text, out.text) && tr_view_eq(in.target, out.target),
			      label);
		}
	}
}


enum field { NONE, DOMAIN, AGENT, ID, CMD, ORDERED, NOT_BEFORE, EXPIRES, IMAGE, SECONDS, TEXT, TARGET };

static const uint8_t zero_id[TR_CMD_ID_LEN];

static void set(struct tr_order *o, enum field f, int64_t v, struct tr_view bytes)
{
	switch (f) {
	case NONE: break;
	case DOMAIN: o->trust_domain = bytes; break;
	case AGENT: o->agent_id = bytes; break;
	case ID: memcpy(o->cmd_id, bytes.p, TR_CMD_ID_LEN); break;
	case CMD: o->cmd = (uint64_t)v; break;
	case ORDERED: o->ordered_ms = v; break;
	case NOT_BEFORE: o->not_before_ms = v; break;
	case EXPIRES: o->expires_ms = v; break;
	case IMAGE: o->image = bytes; break;
	case SECONDS: o->seconds = (uint64_t)v; break;
	case TEXT: o->text = bytes; break;
	case TARGET: o->target = bytes; break;
	}
}

#define BYTES(s) 0, TR_VIEW_LIT(s)
#define NUMBER(n) (n), { NULL, 0 }
#define FOUR_HOURS INT64_C(14400000)
#define WEEK INT64_C(604800000)
#define LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void every_field_keeps_its_rule(void **state)
{
	static const struct {
		const char *label;
		enum tr_cmd cmd;
		enum field f;
		int64_t v;
		struct tr_view bytes;
		bool good;
	} cases[] = {
		{ "as it is", TR_CMD_NOTE, NONE, NUMBER(0), true },
		{ "no domain", TR_CMD_NOTE, DOMAIN, BYTES(""), false },
		{ "domain of capitals", TR_CMD_NOTE, DOMAIN, BYTES("Fleet"), false },
		{ "no agent", TR_CMD_NOTE, AGENT, BYTES(""), false },
		{ "agent with a slash", TR_CMD_NOTE, AGENT, BYTES("a/b"), false },
		{ "every agent", TR_CMD_NOTE, AGENT, BYTES("*"), false },
		{ "no id", TR_CMD_NOTE, ID, 0, TR_VIEW_ARRAY(zero_id), false },
		{ "command 0", TR_CMD_NOTE, CMD, NUMBER(0), false },
		{ "command after the last", TR_CMD_NOTE, CMD, NUMBER(TR_CMD_N), false },
		{ "another type's parameter", TR_CMD_NOTE, CMD, NUMBER(TR_CMD_CANCEL), false },
		{ "ordered at 0", TR_CMD_NOTE, ORDERED, NUMBER(0), false },
		{ "ordered before time", TR_CMD_NOTE, ORDERED, NUMBER(-1), false },
		{ "ordered after 9999", TR_CMD_NOTE, ORDERED, NUMBER(INT64_C(253402300800000)), false },
		{ "longest life", TR_CMD_NOTE, EXPIRES, NUMBER(NOW_MS + FOUR_HOURS), true },
		{ "over the longest life", TR_CMD_NOTE, EXPIRES, NUMBER(NOW_MS + FOUR_HOURS + 1), false },
		{ "a query lives shorter", TR_CMD_STATUS, EXPIRES, NUMBER(NOW_MS + 300001), false },
		{ "ends as it begins", TR_CMD_NOTE, EXPIRES, NUMBER(NOW_MS), false },
		{ "shortest life", TR_CMD_NOTE, EXPIRES, NUMBER(NOW_MS + 1), true },
		{ "never ends", TR_CMD_NOTE, EXPIRES, NUMBER(0), false },
		{ "begins with the order", TR_CMD_NOTE, NOT_BEFORE, NUMBER(NOW_MS), true },
		{ "begins before the order", TR_CMD_NOTE, NOT_BEFORE, NUMBER(NOW_MS - 1), false },
		{ "begins after its end", TR_CMD_NOTE, NOT_BEFORE, NUMBER(NOW_MS + FOUR_HOURS), false },
		{ "begins at a negative time", TR_CMD_NOTE, NOT_BEFORE, NUMBER(INT64_MIN), false },
		{ "image of 31 bytes", TR_CMD_NOTE, IMAGE, BYTES("0123456789abcdef0123456789abcde"), false },
		{ "image of 32 bytes", TR_CMD_NOTE, IMAGE, BYTES("0123456789abcdef0123456789abcdef"), true },
		{ "seconds of nothing", TR_CMD_NOTE, SECONDS, NUMBER(1), false },
		{ "no seconds", TR_CMD_SET_INTERVAL, SECONDS, NUMBER(0), true },
		{ "most seconds", TR_CMD_SET_INTERVAL, SECONDS, NUMBER(86400), true },
		{ "more seconds", TR_CMD_SET_INTERVAL, SECONDS, NUMBER(86401), false },
		{ "no text", TR_CMD_NOTE, TEXT, BYTES(""), false },
		{ "text where none is", TR_CMD_STATUS, TEXT, BYTES("x"), false },
		{ "longest text", TR_CMD_NOTE, TEXT, BYTES(LONG LONG LONG LONG), true },
		{ "longer text", TR_CMD_NOTE, TEXT, BYTES(LONG LONG LONG LONG "x"), false },
		{ "two lines", TR_CMD_NOTE, TEXT, BYTES("a\nb"), false },
		{ "no target", TR_CMD_CANCEL, TARGET, BYTES(""), false },
		{ "target where none is", TR_CMD_STATUS, TARGET, 0, TR_VIEW_ARRAY(other_id), false },
		{ "target of 15 bytes", TR_CMD_CANCEL, TARGET, BYTES("0123456789abcde"), false },
		{ "cancels itself", TR_CMD_CANCEL, TARGET, BYTES("\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20"), false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_order o = sample(cases[i].cmd), out;
		struct tr_err err;
		enum tr_code want = cases[i].good ? TR_OK : TR_E_INVALID;

		set(&o, cases[i].f, cases[i].v, cases[i].bytes);
		CHECK(tr_order_check(&o, &err) == want, cases[i].label);
		CHECK(want == TR_OK || (err.pub && err.pub[0]), cases[i].label);
		CHECK(tr_order_encode(&o, &b, &err) == want, cases[i].label);
		CHECK(want || tr_order_decode(tr_buf_view(&b), &out, &err) == TR_OK, cases[i].label);
	}
}

static void an_order_may_wait_for_a_week(void **state)
{
	struct tr_order o = sample(TR_CMD_RESTART_AGENT);
	struct tr_err err;

	(void)state;
	o.not_before_ms = NOW_MS + WEEK;
	o.expires_ms = o.not_before_ms + FOUR_HOURS;
	assert_int_equal(tr_order_check(&o, &err), TR_OK);
	o.expires_ms++;
	assert_int_equal(tr_order_check(&o, &err), TR_E_INVALID);
	o.expires_ms--;
	o.not_before_ms++;
	assert_int_equal(tr_order_check(&o, &err), TR_E_INVALID);
}

/* The bytes of a good order, some of them replaced: what no encoder of ours writes. */
static void spoiled_bytes_are_refused(void **state)
{
	static const struct {
		const char *label;
		enum tr_cmd cmd;
		struct tr_view from, to;
		enum tr_code want;
	} cases[] = {
		{ "as it is", TR_CMD_NOTE, TR_VIEW_LIT("\xa7"), TR_VIEW_LIT("\xa7"), TR_OK },
		{ "number not in its shortest form", TR_CMD_NOTE, TR_VIEW_LIT("\x04\x06\x05"),
		  TR_VIEW_LIT("\x04\x18\x06\x05"), TR_E_INVALID },
		{ "id of 15 bytes", TR_CMD_NOTE, TR_VIEW_LIT("\x03\x50\x01"), TR_VIEW_LIT("\x03\x4f"), TR_E_INVALID },
		{ "keys out of order", TR_CMD_NOTE, TR_VIEW_LIT("\x03\x50"), TR_VIEW_LIT("\x04\x50"), TR_E_INVALID },
		{ "bytes for text", TR_CMD_NOTE, TR_VIEW_LIT("\x65web-1"), TR_VIEW_LIT("\x45web-1"), TR_E_INVALID },
		{ "line feed in the text", TR_CMD_NOTE, TR_VIEW_LIT(" vu"), TR_VIEW_LIT("\nvu"), TR_E_INVALID },
		{ "an unknown member", TR_CMD_STATUS, TR_VIEW_LIT("\xa6\x01\x6d"), TR_VIEW_LIT("\xa7\x00\x00\x01\x6d"),
		  TR_E_INVALID },
		{ "a parameter that its type does not take", TR_CMD_STATUS, TR_VIEW_LIT("\xa6\x01\x6d"),
		  TR_VIEW_LIT("\xa5\x01\x6d"), TR_E_INVALID },
		{ "its parameter left out", TR_CMD_SET_INTERVAL, TR_VIEW_LIT("\x04\x07\x05"), TR_VIEW_LIT("\x04\x06\x05"),
		  TR_E_INVALID },
		{ "a parameter of none", TR_CMD_NOTE, TR_VIEW_LIT("\x04\x06\x05"), TR_VIEW_LIT("\x04\x01\x05"),
		  TR_E_INVALID },
		{ "a command that we do not know", TR_CMD_NOTE, TR_VIEW_LIT("\x04\x06\x05"),
		  TR_VIEW_LIT("\x04\x18\xff\x05"), TR_E_NOTFOUND },
		{ "a start at 0", TR_CMD_NOTE, TR_VIEW_LIT("\x0a\x69" "d\xc3\xa9j\xc3\xa0 vu"),
		  TR_VIEW_LIT("\x07\x00"), TR_E_INVALID },
		{ "command 0", TR_CMD_NOTE, TR_VIEW_LIT("\x04\x06\x05"), TR_VIEW_LIT("\x04\x00\x05"), TR_E_NOTFOUND },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT, bad = TR_BUF_INIT;
		struct tr_order o = sample(cases[i].cmd), out = { 0 };
		struct tr_err err;
		const uint8_t *at;
		size_t before;

		assert_int_equal(tr_order_encode(&o, &good, &err), TR_OK);
		at = memmem(good.p, good.n, cases[i].from.p, cases[i].from.n);
		CHECK(at != NULL, cases[i].label);
		before = (size_t)(at - good.p);
		tr_buf_add(&bad, good.p, before);
		tr_buf_addv(&bad, cases[i].to);
		tr_buf_add(&bad, at + cases[i].from.n, good.n - before - cases[i].from.n);
		CHECK(tr_order_decode(tr_buf_view(&bad), &out, &err) == cases[i].want, cases[i].label);
		/* The refusal has to name the order. */
		CHECK(cases[i].want != TR_E_NOTFOUND || memcmp(out.cmd_id, o.cmd_id, TR_CMD_ID_LEN) == 0, cases[i].label);
	}
}

static void a_later_parameter_of_a_later_command_is_not_malformed(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT;
	struct tr_order o = sample(TR_CMD_STATUS), out;
	struct tr_err err;
	uint8_t *cmd;

	(void)state;
	assert_int_equal(tr_order_encode(&o, &good, &err), TR_OK);
	tr_buf_adds(&good, "\x14\x63new"); /* key 20 */
	good.p[0]++;
	assert_int_equal(tr_order_decode(tr_buf_view(&good), &out, &err), TR_E_INVALID);
	cmd = memmem(good.p, good.n, "\x04\x01\x05", 3);
	assert_non_null(cmd);
	cmd[1] = TR_CMD_N;
	assert_int_equal(tr_order_decode(tr_buf_view(&good), &out, &err), TR_E_NOTFOUND);
	assert_memory_equal(out.cmd_id, o.cmd_id, TR_CMD_ID_LEN);
}

static void no_cut_and_no_surplus_is_an_order(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_order o = sample(TR_CMD_CANCEL), out;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_order_encode(&o, &b, &err), TR_OK);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(tr_order_decode(tr_view(b.p, n), &out, &err), TR_E_INVALID);
	tr_buf_add8(&b, 0);
	assert_int_equal(tr_order_decode(tr_buf_view(&b), &out, &err), TR_E_INVALID);
	while (b.n <= TR_ORDER_MAX)
		tr_buf_add8(&b, 0);
	assert_int_equal(tr_order_decode(tr_buf_view(&b), &out, &err), TR_E_INVALID);
}

static void the_digest_is_of_domain_and_bytes(void **state)
{
	static const char said[] = TR_ORDER_DOMAIN "\0the order";
	uint8_t want[32], got[32], zeros[32] = { 0 }, big[TR_ORDER_MAX + 1] = { 0 };

	(void)state;
	tr_sha256(tr_view(said, sizeof(said) - 1), want);
	tr_order_digest(TR_VIEW_LIT("the order"), got);
	assert_memory_equal(want, got, 32);
	tr_order_digest(TR_VIEW_ARRAY(big), got);
	assert_memory_equal(zeros, got, 32);
}

static void people_read_what_the_bytes_say(void **state)
{
	static const struct {
		enum tr_cmd cmd;
		bool full;
		const char *want;
	} cases[] = {
		{ TR_CMD_RESTART_AGENT, false,
		  "restart-agent on web-1 (change, once), until 2026-11-22T05:22:03.456Z" },
		{ TR_CMD_SET_INTERVAL, false,
		  "set-interval 30 s on web-1 (change, idempotent), until 2026-11-22T05:22:03.456Z" },
		{ TR_CMD_CANCEL, false,
		  "cancel 09090000000000000000000000000000 on web-1 (read, idempotent), until 2026-11-22T05:22:03.456Z" },
		{ TR_CMD_NOTE, true,
		  "note on web-1 (change, once), from 2026-11-22T01:22:03.456Z, until 2026-11-22T05:22:03.456Z, only if it "
		  "runs sha256:0700000000000000000000000000000000000000000000000000000000000000: d\xc3\xa9j\xc3\xa0 vu" },
		{ TR_CMD_QUARANTINE, false,
		  "quarantine on web-1 (dangerous, idempotent), until 2026-11-22T05:22:03.456Z" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_order o = sample(cases[i].cmd);

		if (cases[i].full) {
			o.not_before_ms = NOW_MS;
			o.image = TR_VIEW_ARRAY(image);
		}
		tr_order_text(&o, &b);
		assert_string_equal(tr_buf_cstr(&b), cases[i].want);
	}
	{
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_order o = sample(TR_CMD_STATUS);

		o.cmd = 99;
		tr_order_text(&o, &b);
		assert_true(tr_view_starts(tr_buf_view(&b), "command 99 on web-1, until "));
	}
}

static void a_line_shows_what_was_signed(void **state)
{
	static const struct {
		const char *label;
		struct tr_view in;
		bool good;
	} cases[] = {
		{ "empty", TR_VIEW_LIT(""), true },
		{ "ASCII", TR_VIEW_LIT(" ~!\"#"), true },
		{ "two bytes", TR_VIEW_LIT("\xc3\xa9"), true },
		{ "three bytes", TR_VIEW_LIT("\xe2\x82\xac"), true },
		{ "four bytes", TR_VIEW_LIT("\xf0\x9f\x90\x8e"), true },
		{ "NUL", TR_VIEW_LIT("a\0b"), false },
		{ "tab", TR_VIEW_LIT("a\tb"), false },
		{ "escape", TR_VIEW_LIT("\x1b[2K"), false },
		{ "delete", TR_VIEW_LIT("\x7f"), false },
		{ "C1 control", TR_VIEW_LIT("\xc2\x9b"), false },
		{ "no-break space", TR_VIEW_LIT("\xc2\xa0"), false },
		{ "soft hyphen", TR_VIEW_LIT("\xc2\xad"), false },
		{ "zero width space", TR_VIEW_LIT("\xe2\x80\x8b"), false },
		{ "right-to-left override", TR_VIEW_LIT("\xe2\x80\xae"), false },
		{ "line separator", TR_VIEW_LIT("\xe2\x80\xa8"), false },
		{ "isolate", TR_VIEW_LIT("\xe2\x81\xa6"), false },
		{ "byte order mark", TR_VIEW_LIT("\xef\xbb\xbf"), false },
		{ "tag character", TR_VIEW_LIT("\xf3\xa0\x81\x81"), false },
		{ "not UTF-8", TR_VIEW_LIT("\xff"), false },
		{ "overlong", TR_VIEW_LIT("\xc0\x8a"), false },
		{ "cut", TR_VIEW_LIT("\xe2\x82"), false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		CHECK(tr_order_line_ok(cases[i].in) == cases[i].good, cases[i].label);
}

static void the_list_of_commands_is_closed(void **state)
{
	/* Numbers stand in journals and databases. */
	static const char *const names[TR_CMD_N] = { NULL,	     "status",	     "collect-inventory", "reattest",
						     "refresh-keyset", "cancel",       "note",	    "set-interval",
						     "restart-agent",  "rotate-agent-key", "quarantine", "release" };

	(void)state;
	assert_null(tr_cmd_type(0));
	assert_null(tr_cmd_type(TR_CMD_N));
	assert_null(tr_cmd_type(UINT64_MAX));
	for (unsigned i = 1; i < TR_CMD_N; i++) {
		const struct tr_cmd_type *t = tr_cmd_type(i);

		assert_non_null(t);
		assert_string_equal(t->name, names[i]);
		assert_int_equal(tr_cmd_of(tr_view_str(names[i])), i);
		CHECK(t->lifetime_s > 0 && t->lifetime_s <= 14400 && t->help[0], names[i]);
		CHECK(t->class < TR_CLASS_N && t->kind < TR_KIND_N && t->seconds == (t->seconds_max > 0), names[i]);
		/* What can be run again and what asks only needs no more agreement than it does harm. */
		CHECK(t->kind != TR_KIND_QUERY || t->class == TR_CLASS_READ, names[i]);
		CHECK(t->kind != TR_KIND_ONCE || t->class != TR_CLASS_READ, names[i]);
	}
	assert_int_equal(tr_cmd_of(TR_VIEW_LIT("shell")), TR_CMD_N);
	assert_int_equal(tr_cmd_of(TR_VIEW_LIT("")), TR_CMD_N);
	assert_int_equal(tr_cmd_approvals(TR_CLASS_READ), 0);
	assert_int_equal(tr_cmd_approvals(TR_CLASS_CHANGE), 1);
	assert_int_equal(tr_cmd_approvals(TR_CLASS_DANGEROUS), 2);
	assert_int_equal(tr_cmd_approvals(TR_CLASS_N), 2);
	assert_int_equal(tr_cmd_approval_max_s(TR_CLASS_CHANGE), 14400);
	assert_int_equal(tr_cmd_approval_max_s(TR_CLASS_DANGEROUS), 3600);
	assert_int_equal(tr_cmd_approval_max_s(TR_CLASS_N), 3600);
	assert_string_equal(tr_cmd_class_name(TR_CLASS_DANGEROUS), "dangerous");
	assert_string_equal(tr_cmd_class_name(TR_CLASS_N), "unknown");
	assert_string_equal(tr_cmd_kind_name(TR_KIND_ONCE), "once");
	assert_string_equal(tr_cmd_kind_name(TR_KIND_N), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_order_comes_back_as_it_was),
		cmocka_unit_test(every_field_keeps_its_rule),
		cmocka_unit_test(an_order_may_wait_for_a_week),
		cmocka_unit_test(spoiled_bytes_are_refused),
		cmocka_unit_test(a_later_parameter_of_a_later_command_is_not_malformed),
		cmocka_unit_test(no_cut_and_no_surplus_is_an_order),
		cmocka_unit_test(the_digest_is_of_domain_and_bytes),
		cmocka_unit_test(people_read_what_the_bytes_say),
		cmocka_unit_test(a_line_shows_what_was_signed),
		cmocka_unit_test(the_list_of_commands_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
