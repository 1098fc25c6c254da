/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/compat_key.h"

/* A key of ours, made for the tests of the original forms and used nowhere else. */
#define SEED "f7d4b039a4995e353719ea6e9195e789bf77bbd005215cf37cc1ae5561910ad2"
#define PUB "6a4b6b9306b9f96b633ea06655b2e241893bcaa41c68108f2fb8956bc9ff76a7"
#define ZERO16 "00000000000000000000000000000000"

static void the_originals_key_file_is_read(void **state)
{
	static const struct {
		const char *label, *text, *says; /* NULL: taken */
	} cases[] = {
		{ "as in the environment", SEED PUB, NULL },
		{ "with a line end", SEED PUB "\n", NULL },
		{ "seed alone", SEED, NULL },
		{ "another's public half", SEED "792d68d1c31f6c6a7820033720fb80d54bf22a8aab0382efd5deacc5122a5947",
		  "does not belong to the seed" },
		{ "one bit of the public half", SEED "6a4b6b9306b9f96b633ea06655b2e241893bcaa41c68108f2fb8956bc9ff76a6",
		  "does not belong to the seed" },
		{ "all-zero seed", ZERO16 ZERO16, "known" },
		{ "RFC 8032 7.1 test 1", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "known" },
		{ "hex of PKCS#8, as openssl | xxd prints it", "302e020100300506032b657004220420" SEED, "PKCS#8" },
		{ "PEM", "-----BEGIN PRIVATE KEY-----\n", "PEM" },
		{ "too short", "f7d4", "128 hex digits" },
		{ "nothing", "", "128 hex digits" },
		{ "not hex", "z7d4b039a4995e353719ea6e9195e789bf77bbd005215cf37cc1ae5561910ad2", "not a hex digit" },
		{ "public half missing a digit", SEED "6a4b6b9306b9f96b633ea06655b2e241893bcaa41c68108f2fb8956bc9ff76a",
		  "128 hex digits" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
		struct tr_err err = { 0 };
		enum tr_code rc = tr_compat_key_read(tr_view_str(cases[i].text), &k, &err);
		char id[33];

		if (cases[i].says) {
			CHECK(rc != TR_OK && !k, cases[i].label);
			if (!strstr(err.pub, cases[i].says))
				fail_msg("%s: \"%s\"", cases[i].label, err.pub);
			continue;
		}
		CHECK(rc == TR_OK, cases[i].label);
		tr_pubkey_short_id(tr_privkey_pub(k), id);
		CHECK(strcmp(id, "9b6871015fa6a3a3a4dd725a5895e8f1") == 0, cases[i].label);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(the_originals_key_file_is_read) };
	struct tr_err err;

	if (tr_crypto_init(&err))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
