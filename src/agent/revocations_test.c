/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/revocations.h"

#include "codec/cbor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those */
#include <cmocka.h>

static const uint8_t key_a[32] = { 1 }, key_b[32] = { 2 };

static void put(struct tr_buf *b, const char *agent, const uint8_t key[32], int64_t at, bool ended)
{
	tr_cbor_put_array(b, 4);
	tr_cbor_put_text(b, tr_view_str(agent));
	tr_cbor_put_bytes(b, tr_view(key, 32));
	tr_cbor_put_int(b, at);
	tr_cbor_put_bool(b, ended);
}

static void head(struct tr_buf *b, uint64_t number, size_t n)
{
	tr_cbor_put_map(b, 2);
	tr_cbor_put_int(b, 1);
	tr_cbor_put_uint(b, number);
	tr_cbor_put_int(b, 2);
	tr_cbor_put_array(b, n);
}

static void who_is_listed_is_refused(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, again = TR_BUF_INIT;
	tr_auto(tr_revocations_done) struct tr_revocations r = { 0 }, copy = { 0 };
	struct tr_err err = { 0 };

	(void)state;
	head(&b, 3, 3);
	put(&b, "web-2", key_a, 2000, true);
	put(&b, "db-1", key_a, 1000, true);
	put(&b, "web-1", key_b, 3000, false); /* reset: key_b is its present one */
	assert_int_equal(tr_revocations_merge(&r, tr_buf_view(&b), &err), TR_OK);
	assert_true(r.number == 3 && r.n == 3 && r.high == 3000);
	assert_true(tr_revocations_has(&r, TR_VIEW_LIT("web-2"), key_a));
	assert_true(tr_revocations_has(&r, TR_VIEW_LIT("web-2"), key_b));
	assert_true(tr_revocations_has(&r, TR_VIEW_LIT("web-1"), key_a));
	assert_false(tr_revocations_has(&r, TR_VIEW_LIT("web-1"), key_b));
	assert_false(tr_revocations_has(&r, TR_VIEW_LIT("web-"), key_a));
	assert_false(tr_revocations_has(&r, TR_VIEW_LIT("web-22"), key_a));
	tr_revocations_put(&r, &again);
	assert_int_equal(tr_revocations_merge(&copy, tr_buf_view(&again), &err), TR_OK);
	assert_true(copy.n == 3 && copy.number == 3 && tr_revocations_has(&copy, TR_VIEW_LIT("db-1"), key_b));
}

static void an_ended_agent_never_comes_back(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, later = TR_BUF_INIT;
	tr_auto(tr_revocations_done) struct tr_revocations r = { 0 };
	struct tr_err err = { 0 };

	(void)state;
	head(&b, 1, 1);
	put(&b, "web-1", key_a, 1000, true);
	head(&later, 2, 1);
	put(&later, "web-1", key_a, 2000, false);
	assert_int_equal(tr_revocations_merge(&r, tr_buf_view(&b), &err), TR_OK);
	assert_int_equal(tr_revocations_merge(&r, tr_buf_view(&later), &err), TR_OK);
	assert_true(tr_revocations_has(&r, TR_VIEW_LIT("web-1"), key_a));
}

static void damage_is_refused(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, bad = TR_BUF_INIT;
	struct tr_err err = { 0 };

	(void)state;
	head(&b, 1, 1);
	put(&b, "web-1", key_a, 1000, true);
	for (size_t n = 0; n < b.n; n++) {
		tr_auto(tr_revocations_done) struct tr_revocations r = { 0 };

		assert_int_equal(tr_revocations_merge(&r, tr_view(b.p, n), &err), TR_E_INVALID);
		assert_int_equal(r.number, 0);
	}
	head(&bad, 1, 1);
	put(&bad, "web 1", key_a, 1000, true);
	tr_auto(tr_revocations_done) struct tr_revocations r = { 0 };
	assert_int_equal(tr_revocations_merge(&r, tr_buf_view(&bad), &err), TR_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_listed_is_refused),
		cmocka_unit_test(an_ended_agent_never_comes_back),
		cmocka_unit_test(damage_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
