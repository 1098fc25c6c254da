/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/secret.h"
#include "codec/text.h"
#include "crypto/key.h"

#include <stdio.h>
#include <sys/stat.h>

#define CORPUS "tests/corpus/key/"

static void read_case(const char *name, struct tr_buf *b)
{
	struct tr_err err = { 0 };
	char path[256];

	(void)snprintf(path, sizeof(path), CORPUS "%s", name);
	tr_buf_clear(b);
	assert_int_equal(tr_file_read(path, 1 << 16, b, &err), TR_OK);
}

static struct tr_privkey *load(const char *name)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_privkey *k = NULL;
	struct tr_err err = { 0 };

	read_case(name, &b);
	if (tr_privkey_from_pem(tr_buf_view(&b), &k, &err))
		fail_msg("%s: %s", name, err.detail);
	return k;
}

static void every_accepted_form_is_read(void **state)
{
	static const struct {
		const char *file, *type;
		bool is_private;
	} cases[] = {
		{ "good-ed25519.pem", "ed25519", true },
		{ "good-ed25519-pub.pem", "ed25519", false },
		{ "good-crlf-pub.pem", "ed25519", false },
		{ "good-p256.pem", "p256", true },
		{ "good-p256-sec1.pem", "p256", true },
		{ "good-p256-sec1-params.pem", "p256", true },
		{ "good-p256-compressed.pem", "p256", true },
		{ "good-p256-pub.pem", "p256", false },
		{ "good-cert.pem", "p256", false },
		{ "good-rsa2048.pem", "rsa2048", true },
		{ "good-rsa2048-pkcs1.pem", "rsa2048", true },
		{ "good-rsa2048-pub.pem", "rsa2048", false },
		{ "good-rsa2048-pkcs1-pub.pem", "rsa2048", false },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint8_t ids[3][TR_SHA256_LEN] = { 0 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
		tr_auto(tr_pubkey_free) struct tr_pubkey *p = NULL;
		const struct tr_pubkey *pub;
		struct tr_err err = { 0 };

		read_case(cases[i].file, &b);
		if (cases[i].is_private ? tr_privkey_from_pem(tr_buf_view(&b), &k, &err)
					: tr_pubkey_from_pem(tr_buf_view(&b), &p, &err))
			fail_msg("%s: %s", cases[i].file, err.detail);
		pub = k ? tr_privkey_pub(k) : p;
		assert_string_equal(tr_pubkey_type_name(pub), cases[i].type);
		/* Every form of one key has one id. */
		if (ids[tr_pubkey_type(pub)][0] == 0)
			memcpy(ids[tr_pubkey_type(pub)], tr_pubkey_id(pub), TR_SHA256_LEN);
		assert_memory_equal(ids[tr_pubkey_type(pub)], tr_pubkey_id(pub), TR_SHA256_LEN);
	}
}

static void every_other_key_is_refused_by_name(void **state)
{
	static const struct {
		const char *file;
		enum tr_code want;
		const char *pub; /* a part of the sentence */
	} cases[] = {
		{ "bad-rsa1024-pub.pem", TR_E_INVALID, "shorter than 2048" },
		{ "bad-rsa1024.pem", TR_E_INVALID, "shorter than 2048" },
		{ "bad-rsa2047-pub.pem", TR_E_INVALID, "shorter than 2048" },
		{ "bad-rsa2047.pem", TR_E_INVALID, "shorter than 2048" },
		{ "bad-rsa8200-pub.pem", TR_E_INVALID, "longer than 8192" },
		{ "bad-rsa-e3-pub.pem", TR_E_INVALID, "not 65537" },
		{ "bad-rsa-e3.pem", TR_E_INVALID, "not 65537" },
		{ "bad-rsapss-pub.pem", TR_E_INVALID, "RSASSA-PSS" },
		{ "bad-rsapss.pem", TR_E_INVALID, "RSASSA-PSS" },
		{ "bad-dsa-pub.pem", TR_E_INVALID, "DSA" },
		{ "bad-secp384r1-pub.pem", TR_E_INVALID, "P-384" },
		{ "bad-secp384r1.pem", TR_E_INVALID, "P-384" },
		{ "bad-secp521r1-pub.pem", TR_E_INVALID, "P-521" },
		{ "bad-secp521r1.pem", TR_E_INVALID, "P-521" },
		{ "bad-secp256k1-pub.pem", TR_E_INVALID, "secp256k1" },
		{ "bad-secp256k1.pem", TR_E_INVALID, "secp256k1" },
		{ "bad-brainpoolP256r1-pub.pem", TR_E_INVALID, "another curve" },
		{ "bad-brainpoolP256r1.pem", TR_E_INVALID, "another curve" },
		{ "bad-ed448-pub.pem", TR_E_INVALID, "Ed448" },
		{ "bad-ed448.pem", TR_E_INVALID, "Ed448" },
		{ "bad-x25519-pub.pem", TR_E_INVALID, "X25519" },
		{ "bad-x25519.pem", TR_E_INVALID, "X25519" },
		{ "bad-x448-pub.pem", TR_E_INVALID, "X448" },
		{ "bad-x448.pem", TR_E_INVALID, "X448" },
		{ "bad-p256-compressed-pub.pem", TR_E_INVALID, "uncompressed" },
		{ "bad-p256-explicit-pub.pem", TR_E_INVALID, "Explicit" },
		{ "bad-p256-off-curve-pub.pem", TR_E_INVALID, "malformed" },
		{ "bad-p256-mismatch.pem", TR_E_INVALID, "malformed" },
		{ "bad-ed25519-identity-pub.pem", TR_E_INVALID, "small order" },
		{ "bad-ed25519-noncanonical-pub.pem", TR_E_INVALID, "not canonical" },
		{ "bad-ed25519-trailing-pub.pem", TR_E_INVALID, "malformed" },
		{ "bad-encrypted-pkcs8.pem", TR_E_INVALID, "encrypted" },
		{ "bad-encrypted-pkcs1.pem", TR_E_INVALID, "" },
		{ "bad-two-keys-pub.pem", TR_E_INVALID, "one key per file" },
		{ "bad-label-pub.pem", TR_E_INVALID, "PEM block is not" },
		{ "bad-empty.pem", TR_E_INVALID, "" },
		{ "bad-leaked-003-pub.pem", TR_E_DENIED, "published" },
		{ "bad-leaked-rfc8032-pub.pem", TR_E_DENIED, "published" },
		{ "bad-leaked-rfc8032.pem", TR_E_DENIED, "published" },
		{ "bad-leaked-zero.pem", TR_E_DENIED, "published" },
		{ "good-ed25519.pem", TR_OK, NULL },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		bool is_public = strstr(cases[i].file, "-pub") != NULL;
		tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
		tr_auto(tr_pubkey_free) struct tr_pubkey *p = NULL;
		struct tr_err err = { .pub = "" };
		enum tr_code rc;

		read_case(cases[i].file, &b);
		rc = is_public ? tr_pubkey_from_pem(tr_buf_view(&b), &p, &err)
			       : tr_privkey_from_pem(tr_buf_view(&b), &k, &err);
		if (rc != cases[i].want || (cases[i].pub && !strstr(err.pub, cases[i].pub)))
			fail_msg("%s: %s, \"%s\" (%s)", cases[i].file, tr_code_name(rc), err.pub, err.detail);
		assert_true(rc == TR_OK || (!p && !k));
	}
}

static void private_key_is_no_public_key(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_pubkey *p = NULL;
	struct tr_privkey *k = NULL;
	struct tr_err err = { 0 };

	(void)state;
	read_case("good-ed25519.pem", &b);
	assert_int_equal(tr_pubkey_from_pem(tr_buf_view(&b), &p, &err), TR_E_INVALID);
	assert_non_null(strstr(err.pub, "private key"));
	read_case("good-ed25519-pub.pem", &b);
	assert_int_equal(tr_privkey_from_pem(tr_buf_view(&b), &k, &err), TR_E_INVALID);
}

static void spki_is_refused_at_every_cut_and_with_a_byte_more(void **state)
{
	static const char *const files[] = { "ed25519.spki", "p256.spki", "rsa2048.spki" };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(files); i++) {
		struct tr_pubkey *k = NULL;
		struct tr_err err = { 0 };

		read_case(files[i], &b);
		for (size_t n = 0; n < b.n; n++)
			assert_int_equal(tr_pubkey_from_spki(tr_view(b.p, n), &k, &err), TR_E_INVALID);
		assert_int_equal(tr_pubkey_from_spki(tr_buf_view(&b), &k, &err), TR_OK);
		assert_true(tr_view_eq(tr_pubkey_spki(k), tr_buf_view(&b)));
		k = tr_pubkey_free(k);
		tr_buf_add8(&b, 0);
		assert_int_equal(tr_pubkey_from_spki(tr_buf_view(&b), &k, &err), TR_E_INVALID);
	}
}

static const struct {
	const char *file;
	enum tr_sig_alg alg;
} schemes[] = {
	{ "good-ed25519.pem", TR_SIG_ED25519 }, { "good-p256.pem", TR_SIG_ES256 },
	{ "good-p256.pem", TR_SIG_ES256_DER },	{ "good-rsa2048.pem", TR_SIG_PS256 },
	{ "good-rsa2048.pem", TR_SIG_RS256 },
};

static void every_flipped_bit_of_a_signature_or_message_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(schemes); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = load(schemes[i].file);
		const struct tr_pubkey *p = tr_privkey_pub(k);
		char msg[] = "the message";
		uint8_t sig[TR_SIG_MAX + 1];
		struct tr_err err = { 0 };
		size_t n;

		assert_int_equal(tr_sign(k, schemes[i].alg, TR_VIEW_ARRAY(msg), sig, &n, &err), TR_OK);
		assert_int_equal(tr_verify(p, schemes[i].alg, TR_VIEW_ARRAY(msg), tr_view(sig, n), &err),
				 TR_OK);
		for (size_t bit = 0; bit < n * 8; bit++) {
			sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(
				tr_verify(p, schemes[i].alg, TR_VIEW_ARRAY(msg), tr_view(sig, n), &err),
				TR_E_DENIED);
			sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t bit = 0; bit < sizeof(msg) * 8; bit++) {
			msg[bit / 8] ^= (char)(1 << bit % 8);
			assert_int_equal(
				tr_verify(p, schemes[i].alg, TR_VIEW_ARRAY(msg), tr_view(sig, n), &err),
				TR_E_DENIED);
			msg[bit / 8] ^= (char)(1 << bit % 8);
		}
		sig[n] = 0;
		for (size_t len = 0; len <= n + 1; len++)
			assert_int_equal(
				tr_verify(p, schemes[i].alg, TR_VIEW_ARRAY(msg), tr_view(sig, len), &err),
				len == n ? TR_OK : TR_E_DENIED);
	}
}

static void another_scheme_or_key_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(schemes); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = load(schemes[i].file);
		tr_auto(tr_privkey_free) struct tr_privkey *other = NULL;
		const struct tr_pubkey *p = tr_privkey_pub(k);
		uint8_t sig[TR_SIG_MAX], out[TR_SIG_MAX];
		struct tr_err err = { 0 };
		size_t n, m;

		assert_int_equal(tr_sign(k, schemes[i].alg, TR_VIEW_LIT("m"), sig, &n, &err), TR_OK);
		for (int alg = 0; alg < TR_SIG_ALG_N; alg++) {
			enum tr_code want = alg == (int)schemes[i].alg ? TR_OK
					    : tr_pubkey_can(p, alg)    ? TR_E_DENIED
								       : TR_E_INVALID;

			assert_int_equal(tr_verify(p, alg, TR_VIEW_LIT("m"), tr_view(sig, n), &err), want);
			if (want == TR_E_INVALID)
				assert_int_equal(tr_sign(k, alg, TR_VIEW_LIT("m"), out, &m, &err), want);
		}
		assert_int_equal(tr_privkey_generate(tr_pubkey_type(p), &other, &err), TR_OK);
		assert_int_equal(tr_verify(tr_privkey_pub(other), schemes[i].alg, TR_VIEW_LIT("m"),
					   tr_view(sig, n), &err),
				 TR_E_DENIED);
	}
}

/* r and s of zero, one signature in two DER texts, and halves that are too long. */
static void odd_ecdsa_signatures_are_refused(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = load("good-p256.pem");
	const struct tr_pubkey *p = tr_privkey_pub(k);
	static const char *const ders[] = {
		"3006020100020100",	"3006020101020101",
		"300602017f020100",	"30080202007f0202007f",
		"3006020181020101",	"308006020101020101",
		"30060201010201010000", "308106020101020101",
		"3003020101",		"",
	};
	uint8_t raw[64] = { 0 }, der[16];
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_verify(p, TR_SIG_ES256, TR_VIEW_LIT("m"), TR_VIEW_ARRAY(raw), &err), TR_E_DENIED);
	raw[31] = raw[63] = 1;
	assert_int_equal(tr_verify(p, TR_SIG_ES256, TR_VIEW_LIT("m"), TR_VIEW_ARRAY(raw), &err), TR_E_DENIED);
	memset(raw, 0xff, sizeof(raw));
	assert_int_equal(tr_verify(p, TR_SIG_ES256, TR_VIEW_LIT("m"), TR_VIEW_ARRAY(raw), &err), TR_E_DENIED);
	for (size_t i = 0; i < TR_ARRAY_LEN(ders); i++) {
		size_t n = strlen(ders[i]) / 2;

		assert_true(tr_hex_get(tr_view_str(ders[i]), der, n));
		assert_int_equal(tr_verify(p, TR_SIG_ES256_DER, TR_VIEW_LIT("m"), tr_view(der, n), &err),
				 TR_E_DENIED);
	}
}

/* Security research 4.5: the 14 encodings of points of small order, and y >= p of any order. */
static void weak_ed25519_points_are_refused(void **state)
{
	static const char *const weak[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	};
	tr_auto(tr_privkey_free) struct tr_privkey *k = load("good-ed25519.pem");
	const uint8_t *good = tr_pubkey_spki(tr_privkey_pub(k)).p + 12;
	uint8_t sig[TR_SIG_MAX], raw[32], forged[64] = { 0 };
	struct tr_pubkey *p = NULL;
	struct tr_err err = { 0 };
	size_t n;

	(void)state;
	assert_int_equal(tr_sign(k, TR_SIG_ED25519, TR_VIEW_LIT("m"), sig, &n, &err), TR_OK);
	assert_true(tr_ed25519_verify_strict(good, TR_VIEW_LIT("m"), tr_view(sig, 64)));
	for (size_t i = 0; i < TR_ARRAY_LEN(weak); i++) {
		assert_true(tr_hex_get(tr_view_str(weak[i]), raw, sizeof(raw)));
		assert_int_equal(tr_pubkey_from_ed25519(TR_VIEW_ARRAY(raw), &p, &err), TR_E_INVALID);
		/* R = A, S = 0 verifies for the identity in a lax verifier. */
		memcpy(forged, raw, sizeof(raw));
		assert_false(tr_ed25519_verify_strict(raw, TR_VIEW_LIT("m"), TR_VIEW_ARRAY(forged)));
		memcpy(forged, raw, sizeof(raw));
		assert_false(tr_ed25519_verify_strict(good, TR_VIEW_LIT("m"), TR_VIEW_ARRAY(forged)));
	}
	assert_int_equal(tr_pubkey_from_ed25519(tr_view(good, 31), &p, &err), TR_E_INVALID);
	assert_int_equal(tr_pubkey_from_ed25519(tr_view(good, 32), &p, &err), TR_OK);
	p = tr_pubkey_free(p);
}

/* S + L is the same number mod L: one signature would have two texts. */
static void s_plus_l_is_refused(void **state)
{
	static const uint8_t l[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
				       0xa2, 0xde, 0xf9, 0xde, 0x14, 0,	   0,	 0,    0,    0,	   0,
				       0,    0,	   0,	 0,    0,    0,	   0,	 0,    0,    0x10 };
	tr_auto(tr_privkey_free) struct tr_privkey *k = load("good-ed25519.pem");
	const uint8_t *good = tr_pubkey_spki(tr_privkey_pub(k)).p + 12;
	uint8_t sig[TR_SIG_MAX];
	struct tr_err err = { 0 };
	unsigned carry = 0;
	size_t n;

	(void)state;
	assert_int_equal(tr_sign(k, TR_SIG_ED25519, TR_VIEW_LIT("m"), sig, &n, &err), TR_OK);
	for (size_t i = 0; i < 32; i++) {
		carry += (unsigned)sig[32 + i] + l[i];
		sig[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_false(tr_ed25519_verify_strict(good, TR_VIEW_LIT("m"), tr_view(sig, n)));
}

static void generated_key_survives_pem(void **state)
{
	(void)state;
	for (int type = 0; type < TR_KEY_TYPE_N; type++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
		tr_auto(tr_privkey_free) struct tr_privkey *again = NULL;
		tr_auto(tr_pubkey_free) struct tr_pubkey *pub = NULL;
		tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
		uint8_t sig[TR_SIG_MAX];
		struct tr_err err = { 0 };
		size_t n;

		assert_int_equal(tr_privkey_generate(type, &k, &err), TR_OK);
		assert_int_equal(tr_pubkey_type(tr_privkey_pub(k)), type);
		assert_int_equal(tr_privkey_pem(k, &pem, &err), TR_OK);
		assert_int_equal(tr_privkey_from_pem(tr_buf_view(&pem), &again, &err), TR_OK);
		assert_memory_equal(tr_pubkey_id(tr_privkey_pub(k)), tr_pubkey_id(tr_privkey_pub(again)), 32);
		assert_int_equal(tr_sign(again, tr_privkey_alg(again), TR_VIEW_LIT("m"), sig, &n, &err),
				 TR_OK);
		tr_buf_clear(&pem);
		tr_pubkey_pem(tr_privkey_pub(k), &pem);
		assert_int_equal(tr_pubkey_from_pem(tr_buf_view(&pem), &pub, &err), TR_OK);
		assert_int_equal(tr_verify(pub, tr_privkey_alg(k), TR_VIEW_LIT("m"), tr_view(sig, n), &err),
				 TR_OK);
	}
}

/* RFC 8032 7.1 test 1, on raw bytes: as a key object it is refused, being published. */
static void ed25519_signs_as_rfc_8032(void **state)
{
	uint8_t pub[32], sig[64];

	(void)state;
	assert_true(tr_hex_get(
		tr_view_str("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), pub, 32));
	assert_true(
		tr_hex_get(tr_view_str("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
				       "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
			   sig, 64));
	assert_true(tr_ed25519_verify_strict(pub, tr_view(NULL, 0), TR_VIEW_ARRAY(sig)));
}

static void key_file_must_be_private(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	char path[] = "/tmp/troth-key-XXXXXX";
	struct tr_err err = { 0 };
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	read_case("good-p256.pem", &b);
	assert_int_equal(write(fd, b.p, b.n), b.n);
	assert_int_equal(fchmod(fd, 0640), 0);
	assert_int_equal(tr_privkey_load(path, &k, &err), TR_E_DENIED);
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(tr_privkey_load(path, &k, &err), TR_OK);
	(void)unlink(path);
	(void)close(fd);
	k = tr_privkey_free(k);
	assert_int_equal(tr_privkey_load(path, &k, &err), TR_E_NOTFOUND);
}

static void ids_and_names_are_stable(void **state)
{
	static const struct {
		enum tr_sig_alg alg;
		int64_t cose;
		const char *name;
	} algs[] = {
		{ TR_SIG_ED25519, -8, "Ed25519" },    { TR_SIG_ES256, -7, "ES256" },
		{ TR_SIG_ES256_DER, 0, "ES256-DER" }, { TR_SIG_PS256, -37, "PS256" },
		{ TR_SIG_RS256, -257, "RS256" },
	};
	/* the key that the original published as an example, and its key_id. */
	uint8_t spki[44] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	enum tr_sig_alg alg;
	struct tr_err err = { 0 };
	char id[33];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(algs); i++) {
		assert_int_equal(tr_sig_alg_cose(algs[i].alg), algs[i].cose);
		assert_string_equal(tr_sig_alg_name(algs[i].alg), algs[i].name);
		assert_int_equal(tr_sig_alg_from_cose(algs[i].cose, &alg), algs[i].cose != 0);
		assert_true(algs[i].cose == 0 || alg == algs[i].alg);
	}
	assert_false(tr_sig_alg_from_cose(-35, &alg));
	assert_true(
		tr_hex_get(tr_view_str("792d68d1c31f6c6a7820033720fb80d54bf22a8aab0382efd5deacc5122a5947"),
			   spki + 12, 32));
	assert_int_equal(tr_pubkey_from_spki(TR_VIEW_ARRAY(spki), &k, &err), TR_E_DENIED);
	assert_int_equal(tr_pubkey_from_spki_unlisted(TR_VIEW_ARRAY(spki), &k, &err), TR_OK);
	tr_pubkey_short_id(k, id);
	assert_string_equal(id, "e4eb660256fcbdcf00aa4ad2a32f715e");
	assert_string_equal(tr_key_leak_name(tr_pubkey_id(k)), "key printed in design document 003");
}

static void leak_table_is_sorted(void **state)
{
	static const struct {
		const char *id, *name;
	} rows[] = {
#include "crypto/leak_rows.inc"
	};
	uint8_t id[TR_SHA256_LEN];

	(void)state;
	/* Each row is found by the search that the product uses, so the order and the digits are right. */
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		assert_true(tr_hex_get(tr_view_str(rows[i].id), id, sizeof(id)));
		assert_string_equal(tr_key_leak_name(id), rows[i].name);
		id[31] ^= 1;
		assert_null(tr_key_leak_name(id));
	}
	assert_true(TR_ARRAY_LEN(rows) > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_accepted_form_is_read),
		cmocka_unit_test(every_other_key_is_refused_by_name),
		cmocka_unit_test(private_key_is_no_public_key),
		cmocka_unit_test(spki_is_refused_at_every_cut_and_with_a_byte_more),
		cmocka_unit_test(every_flipped_bit_of_a_signature_or_message_is_refused),
		cmocka_unit_test(another_scheme_or_key_is_refused),
		cmocka_unit_test(odd_ecdsa_signatures_are_refused),
		cmocka_unit_test(weak_ed25519_points_are_refused),
		cmocka_unit_test(s_plus_l_is_refused),
		cmocka_unit_test(generated_key_survives_pem),
		cmocka_unit_test(ed25519_signs_as_rfc_8032),
		cmocka_unit_test(key_file_must_be_private),
		cmocka_unit_test(ids_and_names_are_stable),
		cmocka_unit_test(leak_table_is_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
