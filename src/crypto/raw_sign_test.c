/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/raw_sign.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "codec/text.h"

static const uint8_t seed[32] = { 1, 2, 3 };
static const struct tr_view msg = { (const uint8_t *)"a report", 8 };

static EVP_PKEY *public_of(const struct tr_raw_priv *k)
{
	struct tr_view spki = tr_raw_priv_spki(k);
	const unsigned char *p = spki.p;
	EVP_PKEY *pub = d2i_PUBKEY(NULL, &p, (long)spki.n);

	assert_non_null(pub);
	return pub;
}

/* The library verifies from the public bytes alone; 1: good. */
static int verifies(const struct tr_raw_priv *k, const EVP_MD *md, int padding, struct tr_view m, struct tr_view sig)
{
	EVP_PKEY *pub = public_of(k);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pc;
	int good;

	assert_int_equal(EVP_DigestVerifyInit(c, &pc, md, NULL, pub), 1);
	if (padding)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pc, padding), 1);
	if (padding == RSA_PKCS1_PSS_PADDING)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pc, RSA_PSS_SALTLEN_DIGEST), 1);
	good = EVP_DigestVerify(c, sig.p, sig.n, m.p, m.n) == 1;
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(pub);
	return good;
}

static void a_seed_gives_the_same_key_again(void **state)
{
	static const enum tr_raw_type curves[] = { TR_RAW_P256, TR_RAW_P384 };
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct tr_raw_priv *a, *b, *other, *fresh;

		assert_int_equal(tr_raw_priv_ec(curves[i], TR_VIEW_ARRAY(seed), "x", &a, &err), TR_OK);
		assert_int_equal(tr_raw_priv_ec(curves[i], TR_VIEW_ARRAY(seed), "x", &b, &err), TR_OK);
		assert_int_equal(tr_raw_priv_ec(curves[i], TR_VIEW_ARRAY(seed), "y", &other, &err), TR_OK);
		assert_int_equal(tr_raw_priv_ec(curves[i], tr_view(NULL, 0), "x", &fresh, &err), TR_OK);
		assert_true(tr_view_eq(tr_raw_priv_spki(a), tr_raw_priv_spki(b)));
		assert_false(tr_view_eq(tr_raw_priv_spki(a), tr_raw_priv_spki(other)));
		assert_false(tr_view_eq(tr_raw_priv_spki(a), tr_raw_priv_spki(fresh)));
		assert_int_equal(tr_raw_priv_type(a), curves[i]);
		assert_int_equal(tr_raw_priv_point(a).n, curves[i] == TR_RAW_P256 ? 64 : 96);
		/* The point is the SPKI's end. */
		assert_memory_equal(tr_raw_priv_point(a).p,
				    tr_raw_priv_spki(a).p + tr_raw_priv_spki(a).n - tr_raw_priv_point(a).n,
				    tr_raw_priv_point(a).n);
		tr_raw_priv_free(a), tr_raw_priv_free(b), tr_raw_priv_free(other), tr_raw_priv_free(fresh);
	}
}

static void ecdsa_verifies_in_both_forms(void **state)
{
	static const struct {
		enum tr_raw_type curve;
		enum tr_raw_hash hash;
	} cases[] = { { TR_RAW_P256, TR_HASH_SHA256 }, { TR_RAW_P384, TR_HASH_SHA384 } };
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const EVP_MD *md = i ? EVP_sha384() : EVP_sha256();
		struct tr_view parts[] = { { msg.p, 3 }, { msg.p + 3, msg.n - 3 } };
		struct tr_buf raw = TR_BUF_INIT, der = TR_BUF_INIT;
		unsigned char *again = NULL;
		struct tr_raw_priv *k;
		ECDSA_SIG *sig = ECDSA_SIG_new();
		int n, half;

		assert_int_equal(tr_raw_priv_ec(cases[i].curve, TR_VIEW_ARRAY(seed), "k", &k, &err), TR_OK);
		assert_int_equal(tr_raw_sign_ecdsa_der(k, cases[i].hash, msg, &der, &err), TR_OK);
		assert_true(verifies(k, md, 0, msg, tr_buf_view(&der)));
		assert_false(verifies(k, md, 0, parts[0], tr_buf_view(&der)));
		assert_int_equal(tr_raw_sign_ecdsa(k, cases[i].hash, parts, 2, &raw, &err), TR_OK);
		half = (int)raw.n / 2;
		assert_int_equal(half, i ? 48 : 32);
		ECDSA_SIG_set0(sig, BN_bin2bn(raw.p, half, NULL), BN_bin2bn(raw.p + half, half, NULL));
		n = i2d_ECDSA_SIG(sig, &again);
		assert_true(verifies(k, md, 0, msg, tr_view(again, (size_t)n)));
		OPENSSL_free(again);
		ECDSA_SIG_free(sig);
		/* An EC key makes no RSA signature. */
		assert_int_equal(tr_raw_sign_pss(k, cases[i].hash, msg, &der, &err), TR_E_INVALID);
		tr_raw_priv_free(k);
		tr_buf_done(&raw), tr_buf_done(&der);
	}
}

/* RFC 6979 A.2.5 and A.2.6, message "sample". */
static const char p256_key[] = "-----BEGIN PRIVATE KEY-----\n"
			       "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgya+p2EW6dRZrXCFX\n"
			       "Z7HWk05Qw9s26JsSe4piKxIPZyGhRANCAARg/tS6JVqdMclh63TGNW1owEm4kjth\n"
			       "+mzmaWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXejwpTURiKZ\n"
			       "-----END PRIVATE KEY-----\n";
static const char p384_key[] = "-----BEGIN PRIVATE KEY-----\n"
			       "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBrnT2tLhuMHAWxmHW2\n"
			       "ZZ9N4jw7Znvyl7qapHdAeHE32JbVck5McKgl+HLJ6mDS7fWhZANiAATsOk5BW04Z\n"
			       "pFaGGAKfQn+l2pqLxK6S4C4GquUoazAMZN748OqQVYZgZKJUUVSAvBOAFdm3LX1X\n"
			       "JE6o75rAxiGJZwilk2f537n1TKhLPxydsSiLIxw64NT+c0T9JTMmRyA=\n"
			       "-----END PRIVATE KEY-----\n";
static const char p256_rs[] = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
			      "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
static const char p384_rs[] = "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c"
			      "81a648152e44acf96e36dd1e80fabe46"
			      "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94f"
			      "a329c145786e679e7b82c71a38628ac8";

static void nonces_are_those_of_rfc_6979(void **state)
{
	static const struct {
		const char *key, *rs;
		enum tr_raw_hash hash, wrong;
	} cases[] = { { p256_key, p256_rs, TR_HASH_SHA256, TR_HASH_SHA384 },
		      { p384_key, p384_rs, TR_HASH_SHA384, TR_HASH_SHA256 } };
	struct tr_view sample = TR_VIEW_LIT("sample");
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct tr_buf sig = TR_BUF_INIT, hex = TR_BUF_INIT;
		struct tr_raw_priv *k;

		assert_int_equal(tr_raw_priv_pem(tr_view_str(cases[i].key), &k, &err), TR_OK);
		assert_int_equal(tr_raw_sign_ecdsa(k, cases[i].hash, &sample, 1, &sig, &err), TR_OK);
		tr_hex_add(&hex, tr_buf_view(&sig));
		assert_string_equal(tr_buf_cstr(&hex), cases[i].rs);
		assert_int_equal(tr_raw_sign_ecdsa(k, cases[i].wrong, &sample, 1, &sig, &err), TR_E_INVALID);
		tr_raw_priv_free(k);
		tr_buf_done(&sig), tr_buf_done(&hex);
	}
}

static void rsa_verifies_in_both_schemes(void **state)
{
	struct tr_raw_priv *k, *again, *fresh;
	struct tr_buf pss = TR_BUF_INIT, pkcs1 = TR_BUF_INIT;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_raw_priv_rsa(2048, TR_VIEW_ARRAY(seed), "k", &k, &err), TR_OK);
	assert_int_equal(tr_raw_priv_rsa(2048, TR_VIEW_ARRAY(seed), "k", &again, &err), TR_OK);
	assert_int_equal(tr_raw_priv_rsa(2048, tr_view(NULL, 0), "k", &fresh, &err), TR_OK);
	assert_true(tr_view_eq(tr_raw_priv_spki(k), tr_raw_priv_spki(again)));
	assert_false(tr_view_eq(tr_raw_priv_spki(k), tr_raw_priv_spki(fresh)));
	assert_int_equal(tr_raw_priv_type(k), TR_RAW_RSA);
	assert_int_equal(tr_raw_priv_point(k).n, 0);
	assert_int_equal(tr_raw_sign_pss(k, TR_HASH_SHA384, msg, &pss, &err), TR_OK);
	assert_int_equal(pss.n, 256);
	assert_true(verifies(k, EVP_sha384(), RSA_PKCS1_PSS_PADDING, msg, tr_buf_view(&pss)));
	assert_false(verifies(fresh, EVP_sha384(), RSA_PKCS1_PSS_PADDING, msg, tr_buf_view(&pss)));
	assert_int_equal(tr_raw_sign_rsa(k, TR_HASH_SHA256, msg, &pkcs1, &err), TR_OK);
	assert_true(verifies(k, EVP_sha256(), RSA_PKCS1_PADDING, msg, tr_buf_view(&pkcs1)));
	assert_int_equal(tr_raw_sign_ecdsa_der(k, TR_HASH_SHA256, msg, &pkcs1, &err), TR_E_INVALID);
	assert_int_equal(tr_raw_sign_rsa(k, TR_HASH_SHA1, msg, &pkcs1, &err), TR_E_INVALID);
	tr_raw_priv_free(k), tr_raw_priv_free(again), tr_raw_priv_free(fresh);
	tr_buf_done(&pss), tr_buf_done(&pkcs1);
}

static void pem_is_read_and_nonsense_refused(void **state)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-384");
	BIO *bio = BIO_new(BIO_s_mem());
	struct tr_raw_priv *k = NULL;
	struct tr_err err;
	char *text;
	long n;

	(void)state;
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(bio, &text);
	assert_int_equal(tr_raw_priv_pem(tr_view(text, (size_t)n), &k, &err), TR_OK);
	assert_int_equal(tr_raw_priv_type(k), TR_RAW_P384);
	tr_raw_priv_free(k);
	assert_int_equal(tr_raw_priv_pem(tr_view(text, (size_t)n / 2), &k, &err), TR_E_INVALID);
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(bio, &text);
	assert_int_equal(tr_raw_priv_pem(tr_view(text, (size_t)n), &k, &err), TR_E_INVALID);
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	assert_int_equal(tr_raw_priv_ec(TR_RAW_P521, TR_VIEW_ARRAY(seed), "k", &k, &err), TR_E_INVALID);
	assert_int_equal(tr_raw_priv_rsa(1024, TR_VIEW_ARRAY(seed), "k", &k, &err), TR_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_gives_the_same_key_again),
		cmocka_unit_test(ecdsa_verifies_in_both_forms),
		cmocka_unit_test(nonces_are_those_of_rfc_6979),
		cmocka_unit_test(rsa_verifies_in_both_schemes),
		cmocka_unit_test(pem_is_read_and_nonsense_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
