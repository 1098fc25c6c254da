/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/text.h"
#include "crypto/hash.h"

#include <fcntl.h>
#include <stdio.h>

static void assert_hex(const uint8_t *p, size_t n, const char *want)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_hex_add(&b, tr_view(p, n));
	assert_string_equal(tr_buf_cstr(&b), want);
}

static struct tr_view unhex(const char *s, uint8_t *out)
{
	size_t n = strlen(s) / 2;

	assert_true(tr_hex_get(tr_view_str(s), out, n));
	return tr_view(out, n);
}

static void init_works_twice(void **state)
{
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_crypto_init(&err), TR_OK);
	assert_int_equal(tr_crypto_init(&err), TR_OK);
}

/* FIPS 180-4 examples. */
static void sha256_matches_its_standard(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_sha256_free) struct tr_sha256 *h = tr_sha256_new();
		uint8_t sum[TR_SHA256_LEN];

		tr_sha256(tr_view_str(cases[i].in), sum);
		assert_hex(sum, sizeof(sum), cases[i].want);
		for (const char *p = cases[i].in; *p; p++)
			tr_sha256_add(h, tr_view(p, 1));
		tr_sha256_end(h, sum);
		assert_hex(sum, sizeof(sum), cases[i].want);
	}
}

static void file_is_hashed_from_its_start_without_moving_it(void **state)
{
	FILE *f = tmpfile();
	uint8_t sum[TR_SHA256_LEN];
	struct tr_err err = { 0 };
	uint64_t size = 0;
	int fd;

	(void)state;
	assert_non_null(f);
	fd = fileno(f);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(fputs("aaaaaaaaaa", f), 1);
	assert_int_equal(fflush(f), 0);
	assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
	assert_int_equal(tr_sha256_fd(fd, sum, &size, &err), TR_OK);
	assert_int_equal(size, 1000000);
	assert_hex(sum, sizeof(sum), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 7);
	(void)fclose(f);
	assert_int_not_equal(tr_sha256_fd(-1, sum, &size, &err), TR_OK);
}

/* RFC 4231 test cases 1, 2 and 6 (key longer than a block). */
static void hmac_matches_rfc_4231(void **state)
{
	uint8_t key[131], out[TR_SHA256_LEN];

	(void)state;
	memset(key, 0x0b, 20);
	tr_hmac_sha256(tr_view(key, 20), tr_view_str("Hi There"), out);
	assert_hex(out, sizeof(out), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	tr_hmac_sha256(tr_view_str("Jefe"), tr_view_str("what do ya want for nothing?"), out);
	assert_hex(out, sizeof(out), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, 131);
	tr_hmac_sha256(TR_VIEW_ARRAY(key),
		       tr_view_str("Test Using Larger Than Block-Size Key - Hash Key First"), out);
	assert_hex(out, sizeof(out), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void hkdf_matches_rfc_5869(void **state)
{
	uint8_t ikm[22], salt[13], info[10], out[255 * 32 + 1];
	struct tr_err err = { 0 };

	(void)state;
	memset(ikm, 0x0b, sizeof(ikm));
	assert_int_equal(tr_hkdf_sha256(TR_VIEW_ARRAY(ikm), unhex("000102030405060708090a0b0c", salt),
					unhex("f0f1f2f3f4f5f6f7f8f9", info), out, 42, &err),
			 TR_OK);
	assert_hex(out, 42,
		   "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
	/* Test case 3: neither salt nor info. */
	assert_int_equal(
		tr_hkdf_sha256(TR_VIEW_ARRAY(ikm), tr_view(NULL, 0), tr_view(NULL, 0), out, 42, &err), TR_OK);
	assert_hex(out, 42,
		   "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
	assert_int_equal(
		tr_hkdf_sha256(TR_VIEW_ARRAY(ikm), tr_view(NULL, 0), tr_view(NULL, 0), out, 255 * 32, &err),
		TR_OK);
	assert_int_equal(tr_hkdf_sha256(TR_VIEW_ARRAY(ikm), tr_view(NULL, 0), tr_view(NULL, 0), out,
					255 * 32 + 1, &err),
			 TR_E_INVALID);
}

static void random_bytes_differ(void **state)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };

	(void)state;
	tr_random(a, sizeof(a));
	tr_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	tr_random(a, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_works_twice),
		cmocka_unit_test(sha256_matches_its_standard),
		cmocka_unit_test(file_is_hashed_from_its_start_without_moving_it),
		cmocka_unit_test(hmac_matches_rfc_4231),
		cmocka_unit_test(hkdf_matches_rfc_5869),
		cmocka_unit_test(random_bytes_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
