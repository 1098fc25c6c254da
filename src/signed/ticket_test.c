/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/text.h"
#include "signed/ticket.h"

static const uint8_t key[TR_TICKET_KEY_LEN] = { 1, 2, 3 }, other_key[TR_TICKET_KEY_LEN] = { 1, 2, 4 };
static const uint8_t head[32] = { 7 }, other_head[32] = { 8 };

static struct tr_ticket_scope scope(void)
{
	return (struct tr_ticket_scope){ TR_VIEW_LIT("web-1"), 2, head };
}

static void a_ticket_opens_for_its_scope_alone(void **state)
{
	static const struct {
		const char *label;
		const uint8_t *key;
		const char *agent;
		uint32_t epoch;
		const uint8_t *head;
		bool opens;
	} cases[] = {
		{ "the same", key, "web-1", 2, head, true },
		{ "another server's key", other_key, "web-1", 2, head, false },
		{ "another agent", key, "web-2", 2, head, false },
		{ "an agent of a longer name", key, "web-11", 2, head, false },
		{ "an earlier enrolment", key, "web-1", 1, head, false },
		{ "another pulse", key, "web-1", 2, other_head, false },
		{ "an impossible agent", key,
		  "0123456789012345678901234567890123456789012345678901234567890123456789", 2, head, false },
	};
	const struct tr_ticket in = { UINT64_C(0x1122334455667788), UINT64_C(1) << 63, -5 };
	const struct tr_ticket_scope mine = scope();
	uint8_t ticket[TR_TICKET_LEN];

	(void)state;
	tr_ticket_make(key, &mine, &in, ticket);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		const struct tr_ticket_scope s = { tr_view_str(cases[i].agent), cases[i].epoch, cases[i].head };
		struct tr_ticket out = { 9, 9, 9 };

		CHECK(tr_ticket_open(cases[i].key, &s, TR_VIEW_ARRAY(ticket), &out) == cases[i].opens, cases[i].label);
		if (cases[i].opens)
			CHECK(out.run == in.run && out.seq == in.seq && out.issued_ms == in.issued_ms, cases[i].label);
		else
			CHECK(out.run == 9 && out.seq == 9 && out.issued_ms == 9, cases[i].label);
	}
}

static enum tr_code open_it(void *arg, struct tr_view in)
{
	const struct tr_ticket_scope mine = scope();
	struct tr_ticket out;

	(void)arg;
	return tr_ticket_open(key, &mine, in, &out) ? TR_OK : TR_E_DENIED;
}

static void no_flipped_bit_opens(void **state)
{
	const struct tr_ticket_scope mine = scope();
	const struct tr_ticket in = { 1, 2, 3 };
	uint8_t ticket[TR_TICKET_LEN];

	(void)state;
	tr_ticket_make(key, &mine, &in, ticket);
	assert_int_equal(open_it(NULL, TR_VIEW_ARRAY(ticket)), TR_OK);
	assert_int_equal(accepted_mutations(TR_VIEW_ARRAY(ticket), open_it, NULL), 0);
}

static void an_impossible_agent_gets_a_ticket_that_opens_nowhere(void **state)
{
	static const uint8_t long_id[65] = { 'a' }, zeros[TR_TICKET_LEN];
	const struct tr_ticket_scope s = { TR_VIEW_ARRAY(long_id), 1, head };
	const struct tr_ticket in = { 1, 2, 3 };
	uint8_t ticket[TR_TICKET_LEN];

	(void)state;
	tr_ticket_make(key, &s, &in, ticket);
	assert_memory_equal(ticket, zeros, sizeof(zeros));
	assert_int_equal(open_it(NULL, TR_VIEW_ARRAY(ticket)), TR_E_DENIED);
}

/* The layout of the header's comment, computed by hand with another HMAC. */
static void the_layout_is_the_documented_one(void **state)
{
	static const char want[] = "000000000000000100000000000000020000000000000003";
	const struct tr_ticket_scope mine = scope();
	const struct tr_ticket in = { 1, 2, 3 };
	uint8_t ticket[TR_TICKET_LEN], clear[24], mac[32];
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	tr_ticket_make(key, &mine, &in, ticket);
	assert_true(tr_hex_get(tr_view_str(want), clear, sizeof(clear)));
	assert_memory_equal(ticket, clear, sizeof(clear));
	tr_buf_adds(&b, "troth/ticket/v1");
	tr_buf_adds(&b, "\x05web-1");
	tr_buf_add(&b, "\0\0\0\2", 4);
	tr_buf_add(&b, clear, sizeof(clear));
	tr_buf_add(&b, head, sizeof(head));
	tr_hmac_sha256(TR_VIEW_ARRAY(key), tr_buf_view(&b), mac);
	assert_memory_equal(ticket + 24, mac, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ticket_opens_for_its_scope_alone),
		cmocka_unit_test(no_flipped_bit_opens),
		cmocka_unit_test(an_impossible_agent_gets_a_ticket_that_opens_nowhere),
		cmocka_unit_test(the_layout_is_the_documented_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
