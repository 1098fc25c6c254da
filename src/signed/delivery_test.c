/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/receipt.h"

static void a_delivery_comes_back_as_it_was_put(void **state)
{
	(void)state;
	for (size_t n = 0; n <= TR_DELIVERY_MAX; n++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		static uint8_t bytes[TR_COMMAND_MAX];
		struct tr_delivery in = { .keyset_epoch = n, .wait_s = n ? 25 : 0, .n = n }, out;
		struct tr_err err;

		for (size_t i = 0; i < n; i++)
			in.commands[i] = tr_view(bytes, i ? i : sizeof(bytes));
		tr_delivery_put(&in, &b);
		assert_true(tr_buf_ok(&b));
		assert_int_equal(tr_delivery_get(tr_buf_view(&b), &out, &err), TR_OK);
		assert_true(out.keyset_epoch == n && out.wait_s == in.wait_s && out.n == n);
		for (size_t i = 0; i < n; i++)
			assert_true(tr_view_eq(in.commands[i], out.commands[i]));
	}
}

static void a_delivery_out_of_range_is_not_made(void **state)
{
	static const char *const labels[] = { "good", "epoch over 63 bits", "a wait of 61 s", "17 commands",
					      "an empty command", "a command too long", "a wait of 60 s" };
	static uint8_t bytes[TR_COMMAND_MAX + 1];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(labels); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_delivery d = { .keyset_epoch = 1, .wait_s = 25, .n = 1, .commands = { TR_VIEW_LIT("x") } };

		switch (i) {
		case 1: d.keyset_epoch = UINT64_C(1) << 63; break;
		case 2: d.wait_s = 61; break;
		case 3: d.n = TR_DELIVERY_MAX + 1; break;
		case 4: d.commands[0].n = 0; break;
		case 5: d.commands[0] = TR_VIEW_ARRAY(bytes); break;
		case 6: d.wait_s = 60; break;
		default: break;
		}
		tr_delivery_put(&d, &b);
		CHECK(tr_buf_ok(&b) == (i == 0 || i == 6), labels[i]);
	}
}

static void other_bytes_are_refused(void **state)
{
	static const struct {
		const char *label;
		struct tr_view in;
		enum tr_code want;
	} cases[] = {
		{ "good", TR_VIEW_LIT("\xa3\x01\x01\x02\x18\x19\x03\x81\x41x"), TR_OK },
		{ "nothing", TR_VIEW_LIT(""), TR_E_INVALID },
		{ "no commands", TR_VIEW_LIT("\xa2\x01\x01\x02\x18\x19"), TR_E_INVALID },
		{ "a newer server's member", TR_VIEW_LIT("\xa4\x01\x01\x02\x00\x03\x80\x04\x00"), TR_OK },
		{ "one in the place of the commands", TR_VIEW_LIT("\xa3\x01\x01\x02\x00\x04\x80"), TR_E_INVALID },
		{ "a wait of 61 s", TR_VIEW_LIT("\xa3\x01\x01\x02\x18\x3d\x03\x80"), TR_E_INVALID },
		{ "an epoch over 63 bits", TR_VIEW_LIT("\xa3\x01\x1b\x80\0\0\0\0\0\0\0\x02\x00\x03\x80"), TR_E_INVALID },
		{ "an empty command", TR_VIEW_LIT("\xa3\x01\x01\x02\x00\x03\x81\x40"), TR_E_INVALID },
		{ "a command that is text", TR_VIEW_LIT("\xa3\x01\x01\x02\x00\x03\x81\x61x"), TR_E_INVALID },
		{ "17 commands", TR_VIEW_LIT("\xa3\x01\x01\x02\x00\x03\x91\x41x\x41x\x41x\x41x\x41x\x41x\x41x\x41x\x41x\x41x\x41x"
					     "\x41x\x41x\x41x\x41x\x41x\x41x"), TR_E_INVALID },
		{ "a byte behind it", TR_VIEW_LIT("\xa3\x01\x01\x02\x00\x03\x80\x00"), TR_E_INVALID },
		{ "number not in its shortest form", TR_VIEW_LIT("\xa3\x01\x18\x01\x02\x00\x03\x80"), TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_delivery d;
		struct tr_err err;

		CHECK(tr_delivery_get(cases[i].in, &d, &err) == cases[i].want, cases[i].label);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delivery_comes_back_as_it_was_put),
		cmocka_unit_test(a_delivery_out_of_range_is_not_made),
		cmocka_unit_test(other_bytes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
