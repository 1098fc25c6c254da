/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/collateral.h"

static enum tr_code verify(void *arg, struct tr_view in)
{
	struct tr_view bundle;
	struct tr_err err = { 0 };

	return tr_collateral_verify(in, arg, &bundle, &err);
}

static void a_signed_bundle_is_the_bundle(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519), *other = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, elsewhere = TR_BUF_INIT;
	struct tr_view got, kid, bytes = TR_VIEW_LIT("bundle");
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_collateral_sign(bytes, k, &b, &err), TR_OK);
	assert_int_equal(tr_collateral_verify(tr_buf_view(&b), tr_privkey_pub(k), &got, &err), TR_OK);
	assert_true(tr_view_eq(got, bytes));
	assert_int_equal(tr_collateral_kid(tr_buf_view(&b), &kid, &err), TR_OK);
	assert_true(tr_view_eq(kid, tr_view(tr_pubkey_id(tr_privkey_pub(k)), TR_KID_LEN)));
	assert_int_equal(verify((void *)(uintptr_t)tr_privkey_pub(other), tr_buf_view(&b)), TR_E_DENIED);
	assert_int_equal(accepted_mutations(tr_buf_view(&b), verify, (void *)(uintptr_t)tr_privkey_pub(k)), 0);
	/* The same key under another domain says something else. */
	assert_int_equal(tr_cose1_sign(k, "troth/other/v1", bytes, &elsewhere, &err), TR_OK);
	assert_int_equal(verify((void *)(uintptr_t)tr_privkey_pub(k), tr_buf_view(&elsewhere)), TR_E_DENIED);
}

static void a_bundle_too_long_is_not_signed(void **state)
{
	static uint8_t big[TR_COLLATERAL_MAX];
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_not_equal(tr_collateral_sign(TR_VIEW_ARRAY(big), k, &b, &err), TR_OK);
	assert_int_equal(b.n, 0);
	assert_int_equal(tr_collateral_sign(tr_view(big, 512u << 10), k, &b, &err), TR_OK); /* the longest bundle */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signed_bundle_is_the_bundle),
		cmocka_unit_test(a_bundle_too_long_is_not_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
