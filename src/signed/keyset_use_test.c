/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/obey_sample.h"

static void a_key_is_found_by_role_and_kid(void **state)
{
	struct tr_keyset k = obey_keyset();
	struct tr_view kid = tr_cose1_kid(tr_privkey_pub(obey_keys[K_OP_B]));
	uint8_t other[TR_KID_LEN];

	(void)state;
	assert_ptr_equal(tr_keyset_find(&k, TR_ROLE_OPERATOR, kid), &k.keys[3]);
	assert_null(tr_keyset_find(&k, TR_ROLE_COMMAND, kid));
	assert_null(tr_keyset_find(&k, TR_ROLE_OPERATOR, tr_view(kid.p, kid.n - 1)));
	assert_null(tr_keyset_find(&k, TR_ROLE_OPERATOR, tr_view(NULL, 0)));
	memcpy(other, kid.p, sizeof(other));
	other[15] ^= 1;
	assert_null(tr_keyset_find(&k, TR_ROLE_OPERATOR, TR_VIEW_ARRAY(other)));
	/* Whoever asks has to say that it is revoked, not that it is unknown. */
	obey_revoke(&k, K_OP_B);
	assert_ptr_equal(tr_keyset_find(&k, TR_ROLE_OPERATOR, kid), &k.keys[3]);
	k.n_keys = 3;
	assert_null(tr_keyset_find(&k, TR_ROLE_OPERATOR, kid));
}

static void revocations_are_of_whole_key_ids(void **state)
{
	struct tr_keyset k = obey_keyset();
	uint8_t id[32];

	(void)state;
	memcpy(id, tr_pubkey_id(tr_privkey_pub(obey_keys[K_COMMAND])), 32);
	assert_false(tr_keyset_revokes(&k, id));
	obey_revoke(&k, K_COMMAND);
	assert_true(tr_keyset_revokes(&k, id));
	id[31] ^= 1;
	assert_false(tr_keyset_revokes(&k, id));
}

static void a_key_stands_within_its_time(void **state)
{
	static const struct {
		const char *label;
		int64_t from, to, no_sign, when, now; /* ms; 0: none */
		enum tr_key_standing want;
	} cases[] = {
		{ "no bounds", 0, 0, 0, 100, 100, TR_KEY_GOOD },
		{ "from its first moment", 100, 0, 0, 100, 100, TR_KEY_GOOD },
		{ "before its first moment", 100, 0, 0, 99, 100, TR_KEY_OUTSIDE },
		{ "in its last moment", 0, 101, 0, 100, 100, TR_KEY_GOOD },
		{ "signed at its end", 0, 100, 0, 100, 99, TR_KEY_OUTSIDE },
		{ "asked at its end", 0, 100, 0, 50, 100, TR_KEY_OUTSIDE },
		{ "signed at no_sign_after", 0, 0, 100, 100, 100, TR_KEY_GOOD },
		{ "signed after no_sign_after", 0, 0, 100, 101, 101, TR_KEY_OUTSIDE },
		{ "asked long after no_sign_after", 0, 0, 100, 100, 1000000, TR_KEY_GOOD },
		{ "asked after no_sign_after and its end", 0, 200, 100, 100, 200, TR_KEY_OUTSIDE },
	};
	struct tr_keyset k = obey_keyset();

	(void)state;
	for (unsigned revoked = 0; revoked < 2; revoked++) {
		for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
			struct tr_keyset_key *key = &k.keys[1];

			key->not_before_ms = cases[i].from;
			key->not_after_ms = cases[i].to;
			key->no_sign_after_ms = cases[i].no_sign;
			/* A revoked key is that, whenever it signed. */
			CHECK(tr_keyset_standing(&k, key, cases[i].when, cases[i].now) ==
				      (revoked ? TR_KEY_REVOKED : cases[i].want),
			      cases[i].label);
		}
		obey_revoke(&k, K_COMMAND_2);
	}
}

static void roles_have_names(void **state)
{
	enum tr_key_role r = TR_ROLE_N;

	(void)state;
	for (unsigned i = 0; i < TR_ROLE_N; i++) {
		assert_true(tr_key_role_of(tr_view_str(tr_key_role_name((enum tr_key_role)i)), &r));
		assert_int_equal(r, i);
	}
	assert_string_equal(tr_key_role_name(TR_ROLE_OPERATOR), "operator");
	assert_string_equal(tr_key_role_name(TR_ROLE_N), "unknown");
	assert_false(tr_key_role_of(TR_VIEW_LIT("unknown"), &r));
	assert_false(tr_key_role_of(TR_VIEW_LIT("Command"), &r));
	assert_false(tr_key_role_of(TR_VIEW_LIT(""), &r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_found_by_role_and_kid),
		cmocka_unit_test(revocations_are_of_whole_key_ids),
		cmocka_unit_test(a_key_stands_within_its_time),
		cmocka_unit_test(roles_have_names),
	};

	return cmocka_run_group_tests(tests, obey_setup, obey_teardown);
}
