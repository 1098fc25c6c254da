/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "codec/text.h"
#include "server/public_keys.h"

/* The key that design document 003 prints, and the id that its clients know it by: a vector, never a key in use. */
#define RAW "792d68d1c31f6c6a7820033720fb80d54bf22a8aab0382efd5deacc5122a5947"
#define KEY_ID "e4eb660256fcbdcf00aa4ad2a32f715e"

static void keys_have_the_originals_shape(void **state)
{
	uint8_t spki[44], other[] = { 0x30, 0x03, 0x02, 0x01, 0x01 };
	struct tr_skey_row k = { .role = TR_VIEW_LIT("command"), .state = TR_VIEW_LIT("primary"), .version = 3,
				 .key_type = TR_VIEW_LIT("ed25519"), .spki = TR_VIEW_ARRAY(spki) };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	assert_true(tr_hex_get(TR_VIEW_LIT("302a300506032b6570032100" RAW), spki, sizeof(spki)));
	tr_public_key_json(&k, TR_PUBLIC_KEY_ONE, &b);
	assert_string_equal(tr_buf_cstr(&b), "{\"key_id\":\"" KEY_ID "\",\"public_key\":\"" RAW "\",\"fingerprint\":\"" KEY_ID
			    "\",\"key_size\":32,\"algorithm\":\"ed25519\",\"version\":3}");
	tr_buf_clear(&b);
	tr_public_key_json(&k, TR_PUBLIC_KEY_LISTED, &b);
	assert_string_equal(tr_buf_cstr(&b), "{\"key_id\":\"" KEY_ID "\",\"public_key\":\"" RAW
			    "\",\"is_primary\":true,\"algorithm\":\"ed25519\",\"version\":3}");
	k.state = TR_VIEW_LIT("retiring");
	tr_buf_clear(&b);
	tr_public_key_json(&k, TR_PUBLIC_KEY_LISTED, &b);
	assert_non_null(strstr(tr_buf_cstr(&b), "\"is_primary\":false"));
	/* Another type, or a row that was edited: whatever is there, never bytes beyond it. */
	k.key_type = TR_VIEW_LIT("p256");
	k.spki = TR_VIEW_ARRAY(other);
	tr_buf_clear(&b);
	tr_public_key_json(&k, TR_PUBLIC_KEY_ONE, &b);
	assert_non_null(strstr(tr_buf_cstr(&b), "\"public_key\":\"3003020101\""));
	assert_non_null(strstr(tr_buf_cstr(&b), "\"key_size\":5,\"algorithm\":\"p256\""));
	k.key_type = TR_VIEW_LIT("ed25519");
	tr_buf_clear(&b);
	tr_public_key_json(&k, TR_PUBLIC_KEY_ONE, &b);
	assert_non_null(strstr(tr_buf_cstr(&b), "\"key_size\":5,"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(keys_have_the_originals_shape) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
