/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/raw.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "codec/text.h"
#include "crypto/der.h"
#include "crypto/ossl.h"

#include <openssl/core_names.h>
#include <openssl/rsa.h>

#define CHECK(cond, label)                                                                                   \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			fail_msg("%s: %s", (label), #cond);                                                  \
	} while (0)

static const struct {
	const char *label;
	enum tr_raw_type type;
	size_t half;
	const char *order; /* of the group, hex */
} curves[] = {
	{ "P-256", TR_RAW_P256, 32, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551" },
	{ "P-384", TR_RAW_P384, 48,
	  "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973" },
	{ "P-521", TR_RAW_P521, 66,
	  "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
	  "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409" },
};
static const enum tr_raw_hash hashes[] = { TR_HASH_SHA256, TR_HASH_SHA384, TR_HASH_SHA512 };

/* A key pair by OpenSSL, and the public half as evidence has it. */
struct pair {
	EVP_PKEY *pkey;
	uint8_t bytes[1 + 2 * 66]; /* 04, x, y */
	struct tr_raw_key *k;
};

static struct pair ec_pair(unsigned curve)
{
	struct pair p = { .pkey = EVP_PKEY_Q_keygen(tr_ossl_ctx(), NULL, "EC", curves[curve].label) };
	struct tr_err err;
	size_t n;

	assert_non_null(p.pkey);
	assert_int_equal(EVP_PKEY_get_octet_string_param(p.pkey, OSSL_PKEY_PARAM_PUB_KEY, p.bytes, sizeof(p.bytes), &n), 1);
	assert_int_equal(n, 1 + 2 * curves[curve].half);
	assert_int_equal(tr_raw_key_ec(curves[curve].type, tr_view(p.bytes + 1, n - 1), &p.k, &err), TR_OK);
	return p;
}

static void pair_done(struct pair *p)
{
	EVP_PKEY_free(p->pkey);
	p->k = tr_raw_key_free(p->k);
}

static void sign(const struct pair *p, enum tr_raw_hash h, struct tr_view msg, struct tr_buf *sig)
{
	tr_auto(EVP_MD_CTX_free) EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = 1100;
	uint8_t *at;

	tr_buf_clear(sig);
	at = tr_buf_space(sig, n);
	assert_non_null(at);
	assert_int_equal(EVP_DigestSignInit_ex(c, NULL, tr_raw_hash_name(h), tr_ossl_ctx(), NULL, p->pkey, NULL), 1);
	assert_int_equal(EVP_DigestSign(c, at, &n, msg.p, msg.n), 1);
	sig->n = n;
}

/* r and s without the zero in front of a high bit. */
static void halves(struct tr_view der, struct tr_view *r, struct tr_view *s)
{
	struct tr_view seq = tr_view(NULL, 0);

	*r = *s = seq;
	assert_true(tr_der_take(&der, TR_DER_SEQ, &seq));
	assert_true(tr_der_take(&seq, TR_DER_INT, r) && tr_der_take(&seq, TR_DER_INT, s));
	if (!r->p[0])
		*r = tr_view(r->p + 1, r->n - 1);
	if (!s->p[0])
		*s = tr_view(s->p + 1, s->n - 1);
}

static void every_curve_and_hash_verifies(void **state)
{
	const struct tr_view parts[] = { TR_VIEW_LIT("some "), TR_VIEW_LIT(""), TR_VIEW_LIT("message") };
	struct tr_view msg = TR_VIEW_LIT("some message"), other = TR_VIEW_LIT("some messagE"), r, s;
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	struct tr_err err;

	(void)state;
	for (unsigned c = 0; c < TR_ARRAY_LEN(curves); c++) {
		struct pair p = ec_pair(c), q = ec_pair(c);

		assert_int_equal(tr_raw_key_type(p.k), curves[c].type);
		assert_int_equal(tr_raw_key_bits(p.k), curves[c].half == 66 ? 521 : curves[c].half * 8);
		for (unsigned h = 0; h < TR_ARRAY_LEN(hashes); h++) {
			enum tr_raw_hash wrong = hashes[(h + 1) % TR_ARRAY_LEN(hashes)];

			sign(&p, hashes[h], msg, &sig);
			halves(tr_buf_view(&sig), &r, &s);
			for (int again = 0; again < 2; again++) {
				CHECK(tr_raw_verify_ecdsa(p.k, hashes[h], parts, 3, r, s, &err) == TR_OK, curves[c].label);
				CHECK(tr_raw_verify_ecdsa(p.k, hashes[h], &other, 1, r, s, &err) == TR_E_DENIED,
				      curves[c].label);
			}
			CHECK(tr_raw_verify_ecdsa_der(p.k, hashes[h], msg, tr_buf_view(&sig), &err) == TR_OK,
			      curves[c].label);
			CHECK(tr_raw_verify_ecdsa_der(p.k, hashes[h], other, tr_buf_view(&sig), &err) == TR_E_DENIED,
			      curves[c].label);
			CHECK(tr_raw_verify_ecdsa(q.k, hashes[h], parts, 3, r, s, &err) == TR_E_DENIED, "another key");
			CHECK(tr_raw_verify_ecdsa(p.k, wrong, parts, 3, r, s, &err) == TR_E_DENIED, "another hash");
			CHECK(tr_raw_verify_ecdsa(p.k, hashes[h], parts, 3, s, r, &err) == TR_E_DENIED, "r and s swapped");
		}
		pair_done(&p);
		pair_done(&q);
	}
}

/* Every form of the numbers that DCAP, SNP and TPM write. */
static void numbers_come_in_any_length(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	struct tr_view msg = TR_VIEW_LIT("m"), r, s;
	uint8_t wide_r[67] = { 0 }, wide_s[67] = { 0 };
	struct tr_err err;

	(void)state;
	for (unsigned c = 0; c < TR_ARRAY_LEN(curves); c++) {
		struct pair p = ec_pair(c);
		size_t half = curves[c].half;
		bool seen_short = false;

		/* One signature in 128 has a number with a leading zero byte (P-521: nearly every second one). */
		for (int i = 0; i < 5000 && !seen_short; i++) {
			sign(&p, TR_HASH_SHA256, msg, &sig);
			halves(tr_buf_view(&sig), &r, &s);
			seen_short = r.n < half || s.n < half;
			if (!seen_short && i > 3)
				continue;
			memset(wide_r, 0, sizeof(wide_r));
			memset(wide_s, 0, sizeof(wide_s));
			memcpy(wide_r + half - r.n, r.p, r.n);
			memcpy(wide_s + half - s.n, s.p, s.n);
			CHECK(!tr_raw_verify_ecdsa(p.k, TR_HASH_SHA256, &msg, 1, r, s, &err), "shortest");
			CHECK(!tr_raw_verify_ecdsa(p.k, TR_HASH_SHA256, &msg, 1, tr_view(wide_r, half), tr_view(wide_s, half),
						   &err),
			      "full width");
		}
		CHECK(seen_short, "a short number");
		/* Longer than the curve's, even when only by a zero. */
		memmove(wide_r + 1, wide_r, half);
		wide_r[0] = 0;
		CHECK(tr_raw_verify_ecdsa(p.k, TR_HASH_SHA256, &msg, 1, tr_view(wide_r, half + 1), s, &err) == TR_E_DENIED,
		      "too wide");
		pair_done(&p);
	}
}

static void numbers_out_of_range_are_refused(void **state)
{
	static const uint8_t zeros[66] = { 0 };
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	struct tr_view msg = TR_VIEW_LIT("m"), r, s;
	struct tr_err err;

	(void)state;
	for (unsigned c = 0; c < TR_ARRAY_LEN(curves); c++) {
		struct pair p = ec_pair(c);
		uint8_t order[66], above[66], ones[66];
		struct tr_view bad[6];
		size_t half = curves[c].half;

		sign(&p, TR_HASH_SHA256, msg, &sig);
		halves(tr_buf_view(&sig), &r, &s);
		assert_true(tr_hex_get(tr_view_str(curves[c].order), order, half));
		memcpy(above, order, half);
		above[half - 1]++;
		memset(ones, 0xff, half);
		bad[0] = tr_view(NULL, 0);
		bad[1] = tr_view(zeros, 1);
		bad[2] = tr_view(zeros, half);
		bad[3] = tr_view(order, half);
		bad[4] = tr_view(above, half);
		bad[5] = tr_view(ones, half);
		for (unsigned i = 0; i < TR_ARRAY_LEN(bad); i++) {
			CHECK(tr_raw_verify_ecdsa(p.k, TR_HASH_SHA256, &msg, 1, bad[i], s, &err) == TR_E_DENIED, "bad r");
			CHECK(tr_raw_verify_ecdsa(p.k, TR_HASH_SHA256, &msg, 1, r, bad[i], &err) == TR_E_DENIED, "bad s");
			CHECK(tr_raw_verify_ecdsa(p.k, TR_HASH_SHA256, &msg, 1, bad[i], bad[i], &err) == TR_E_DENIED, "both");
		}
		pair_done(&p);
	}
}

/* (r, n - s) is the same signature (SEC 1, 4.1.4): hardware does not choose the lower one. */
static void a_high_s_is_legal(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	struct tr_view msg = TR_VIEW_LIT("m"), r, s;
	struct pair p = ec_pair(0);
	uint8_t order[32], wide[32] = { 0 }, minus[32];
	struct tr_err err;
	int borrow = 0;

	(void)state;
	sign(&p, TR_HASH_SHA256, msg, &sig);
	halves(tr_buf_view(&sig), &r, &s);
	assert_true(tr_hex_get(tr_view_str(curves[0].order), order, 32));
	memcpy(wide + 32 - s.n, s.p, s.n);
	for (int i = 31; i >= 0; i--) {
		int d = order[i] - wide[i] - borrow;

		borrow = d < 0;
		minus[i] = (uint8_t)d;
	}
	assert_int_equal(tr_raw_verify_ecdsa(p.k, TR_HASH_SHA256, &msg, 1, r, s, &err), TR_OK);
	assert_int_equal(tr_raw_verify_ecdsa(p.k, TR_HASH_SHA256, &msg, 1, r, TR_VIEW_ARRAY(minus), &err), TR_OK);
	pair_done(&p);
}

static void points_are_checked(void **state)
{
	struct pair p256 = ec_pair(0), p384 = ec_pair(1);
	struct tr_view good = tr_view(p256.bytes + 1, 64);
	uint8_t off[64], x_is_p[64] = { 0 }, zeros[132] = { 0 }, ones[132];
	struct tr_raw_key *k = NULL;
	struct tr_err err;

	(void)state;
	memcpy(off, good.p, 64);
	off[63] ^= 1;
	memset(ones, 0xff, sizeof(ones));
	/* x = p, with y of x = 0: a reader that reduces first would take it. */
	assert_true(tr_hex_get(tr_view_str("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
					   "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4"),
			       x_is_p, 64));
	const struct { const char *label; enum tr_raw_type type; struct tr_view xy; } rows[] = {
		{ "not on the curve", TR_RAW_P256, TR_VIEW_ARRAY(off) },
		{ "x of p", TR_RAW_P256, TR_VIEW_ARRAY(x_is_p) },
		{ "0, 0", TR_RAW_P256, tr_view(zeros, 64) },
		{ "0, 0 of P-384", TR_RAW_P384, tr_view(zeros, 96) },
		{ "0, 0 of P-521", TR_RAW_P521, tr_view(zeros, 132) },
		{ "all ones", TR_RAW_P256, tr_view(ones, 64) },
		{ "all ones of P-521", TR_RAW_P521, tr_view(ones, 132) },
		{ "empty", TR_RAW_P256, tr_view(NULL, 0) },
		{ "a byte short", TR_RAW_P256, tr_view(good.p, 63) },
		{ "with its 04", TR_RAW_P256, tr_view(p256.bytes, 65) },
		{ "of another curve", TR_RAW_P384, good },
		{ "of another curve, cut", TR_RAW_P256, tr_view(p384.bytes + 1, 64) },
		{ "no curve", TR_RAW_NONE, good },
		{ "RSA is no curve", TR_RAW_RSA, good },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		CHECK(tr_raw_key_ec(rows[i].type, rows[i].xy, &k, &err) == TR_E_INVALID, rows[i].label);
		CHECK(!k, rows[i].label);
	}
	/* The key that all others are copies of took no harm. */
	assert_int_equal(tr_raw_key_ec(TR_RAW_P256, good, &k, &err), TR_OK);
	k = tr_raw_key_free(k);
	pair_done(&p256);
	pair_done(&p384);
}

static void der_signatures_have_one_form(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	struct tr_view msg = TR_VIEW_LIT("m"), r, s;
	struct pair p = ec_pair(0);
	struct tr_err err;

	(void)state;
	/* Both numbers with a high bit, so that each form below is a change. */
	do {
		sign(&p, TR_HASH_SHA256, msg, &sig);
		halves(tr_buf_view(&sig), &r, &s);
	} while (r.n != 32 || s.n != 32 || r.p[0] < 0x80 || s.p[0] < 0x80);
	for (int form = 0; form < 9; form++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		static const char *const labels[] = { "as it should", "trailing byte", "inside, too", "long length", "indefinite",
						      "negative r", "padded s", "one number", "octets for an integer" };
		size_t body;

		if (form == 3)
			tr_buf_add(&b, "\x30\x81\x46", 3);
		else if (form == 4)
			tr_buf_add(&b, "\x30\x80", 2);
		body = b.n;
		if (form == 5)
			tr_der_add(&b, TR_DER_INT, r);
		else
			tr_der_add_uint(&b, r);
		if (form == 6) {
			tr_buf_add(&b, "\x02\x22\x00\x00", 4);
			tr_buf_addv(&b, s);
		} else if (form == 8) {
			tr_buf_add(&b, "\x04\x21\x00", 3);
			tr_buf_addv(&b, s);
		} else if (form != 7) {
			tr_der_add_uint(&b, s);
		}
		if (form == 2)
			tr_buf_add8(&b, 5), tr_buf_add8(&b, 0);
		if (form == 4)
			tr_buf_add(&b, "\0\0", 2);
		if (form != 3 && form != 4)
			tr_der_wrap(&b, body, TR_DER_SEQ);
		if (form == 1)
			tr_buf_add8(&b, 0);
		CHECK(tr_raw_verify_ecdsa_der(p.k, TR_HASH_SHA256, msg, tr_buf_view(&b), &err) ==
			      (form ? TR_E_DENIED : TR_OK),
		      labels[form]);
	}
	/* Every cut, and every bit. */
	for (size_t n = 0; n < sig.n; n++)
		assert_int_equal(tr_raw_verify_ecdsa_der(p.k, TR_HASH_SHA256, msg, tr_view(sig.p, n), &err), TR_E_DENIED);
	for (size_t bit = 0; bit < sig.n * 8; bit++) {
		sig.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_equal(tr_raw_verify_ecdsa_der(p.k, TR_HASH_SHA256, msg, tr_buf_view(&sig), &err), TR_E_DENIED);
		sig.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	pair_done(&p);
}

/* RSA: one key pair, made once. */
struct rsa {
	struct pair p;
	uint8_t n[256 + 2], e[4];
};

static struct rsa rsa_pair(void)
{
	struct rsa r = { .p.pkey = EVP_PKEY_Q_keygen(tr_ossl_ctx(), NULL, "RSA", (size_t)2048), .e = { 0, 1, 0, 1 } };
	struct tr_err err;
	BIGNUM *n = NULL;

	assert_non_null(r.p.pkey);
	assert_int_equal(EVP_PKEY_get_bn_param(r.p.pkey, OSSL_PKEY_PARAM_RSA_N, &n), 1);
	/* Two zeros in front, which are nothing. */
	assert_int_equal(BN_bn2binpad(n, r.n, sizeof(r.n)), sizeof(r.n));
	BN_free(n);
	assert_int_equal(tr_raw_key_rsa(TR_VIEW_ARRAY(r.n), TR_VIEW_ARRAY(r.e), &r.p.k, &err), TR_OK);
	return r;
}

static void sign_rsa(const struct rsa *r, enum tr_raw_hash h, int pss_salt, struct tr_view msg, struct tr_buf *sig)
{
	tr_auto(EVP_MD_CTX_free) EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pc = NULL;
	size_t n = 256;

	tr_buf_clear(sig);
	assert_non_null(tr_buf_space(sig, n));
	assert_int_equal(EVP_DigestSignInit_ex(c, &pc, tr_raw_hash_name(h), tr_ossl_ctx(), NULL, r->p.pkey, NULL), 1);
	if (pss_salt >= 0) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pc, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pc, pss_salt), 1);
	}
	assert_int_equal(EVP_DigestSign(c, sig->p, &n, msg.p, msg.n), 1);
	sig->n = n;
}

static void rsa_schemes_do_not_mix(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	struct tr_view msg = TR_VIEW_LIT("m"), other = TR_VIEW_LIT("n");
	struct rsa a = rsa_pair();
	struct pair ec = ec_pair(0);
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_raw_key_type(a.p.k), TR_RAW_RSA);
	assert_int_equal(tr_raw_key_bits(a.p.k), 2048);
	for (unsigned i = 0; i < TR_ARRAY_LEN(hashes); i++) {
		enum tr_raw_hash h = hashes[i], wrong = hashes[(i + 1) % TR_ARRAY_LEN(hashes)];
		int salt = (int)tr_raw_hash_len(h);

		sign_rsa(&a, h, -1, msg, &sig);
		assert_int_equal(tr_raw_verify_rsa(a.p.k, h, msg, tr_buf_view(&sig), &err), TR_OK);
		assert_int_equal(tr_raw_verify_rsa(a.p.k, h, other, tr_buf_view(&sig), &err), TR_E_DENIED);
		assert_int_equal(tr_raw_verify_rsa(a.p.k, wrong, msg, tr_buf_view(&sig), &err), TR_E_DENIED);
		assert_int_equal(tr_raw_verify_pss(a.p.k, h, -1, msg, tr_buf_view(&sig), &err), TR_E_DENIED);
		assert_int_equal(tr_raw_verify_rsa(a.p.k, h, msg, tr_view(sig.p, 255), &err), TR_E_DENIED);
		sig.p[255] ^= 1;
		assert_int_equal(tr_raw_verify_rsa(a.p.k, h, msg, tr_buf_view(&sig), &err), TR_E_DENIED);

		sign_rsa(&a, h, salt, msg, &sig);
		assert_int_equal(tr_raw_verify_pss(a.p.k, h, salt, msg, tr_buf_view(&sig), &err), TR_OK);
		assert_int_equal(tr_raw_verify_pss(a.p.k, h, -1, msg, tr_buf_view(&sig), &err), TR_OK);
		assert_int_equal(tr_raw_verify_pss(a.p.k, h, salt - 1, msg, tr_buf_view(&sig), &err), TR_E_DENIED);
		assert_int_equal(tr_raw_verify_pss(a.p.k, h, 0, msg, tr_buf_view(&sig), &err), TR_E_DENIED);
		assert_int_equal(tr_raw_verify_pss(a.p.k, h, salt, other, tr_buf_view(&sig), &err), TR_E_DENIED);
		assert_int_equal(tr_raw_verify_pss(a.p.k, wrong, -1, msg, tr_buf_view(&sig), &err), TR_E_DENIED);
		assert_int_equal(tr_raw_verify_rsa(a.p.k, h, msg, tr_buf_view(&sig), &err), TR_E_DENIED);

		/* Another salt: only for whoever asks for none in particular (TPMs take the longest). */
		sign_rsa(&a, h, 7, msg, &sig);
		assert_int_equal(tr_raw_verify_pss(a.p.k, h, salt, msg, tr_buf_view(&sig), &err), TR_E_DENIED);
		assert_int_equal(tr_raw_verify_pss(a.p.k, h, -1, msg, tr_buf_view(&sig), &err), TR_OK);
	}
	assert_int_equal(tr_raw_verify_ecdsa_der(a.p.k, TR_HASH_SHA256, msg, tr_buf_view(&sig), &err), TR_E_INVALID);
	assert_int_equal(tr_raw_verify_rsa(ec.k, TR_HASH_SHA256, msg, tr_buf_view(&sig), &err), TR_E_INVALID);
	assert_int_equal(tr_raw_verify_pss(ec.k, TR_HASH_SHA256, -1, msg, tr_buf_view(&sig), &err), TR_E_INVALID);
	pair_done(&a.p);
	pair_done(&ec);
}

/* Signed with SHA-1 by a good key: still nobody's proof. */
static void sha1_signatures_are_refused(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	struct tr_view msg = TR_VIEW_LIT("m"), r, s;
	struct rsa a = rsa_pair();
	struct pair ec = ec_pair(0);
	struct tr_err err;

	(void)state;
	sign(&ec, TR_HASH_SHA1, msg, &sig);
	halves(tr_buf_view(&sig), &r, &s);
	assert_int_equal(tr_raw_verify_ecdsa(ec.k, TR_HASH_SHA1, &msg, 1, r, s, &err), TR_E_INVALID);
	assert_int_equal(tr_raw_verify_ecdsa(ec.k, TR_HASH_NONE, &msg, 1, r, s, &err), TR_E_INVALID);
	assert_int_equal(tr_raw_verify_ecdsa(ec.k, TR_HASH_N, &msg, 1, r, s, &err), TR_E_INVALID);
	assert_int_equal(tr_raw_verify_ecdsa_der(ec.k, TR_HASH_SHA1, msg, tr_buf_view(&sig), &err), TR_E_INVALID);
	sign_rsa(&a, TR_HASH_SHA1, -1, msg, &sig);
	assert_int_equal(tr_raw_verify_rsa(a.p.k, TR_HASH_SHA1, msg, tr_buf_view(&sig), &err), TR_E_INVALID);
	sign_rsa(&a, TR_HASH_SHA1, 20, msg, &sig);
	assert_int_equal(tr_raw_verify_pss(a.p.k, TR_HASH_SHA1, 20, msg, tr_buf_view(&sig), &err), TR_E_INVALID);
	pair_done(&a.p);
	pair_done(&ec);
}

static void rsa_keys_have_bounds(void **state)
{
	static const struct {
		const char *label;
		size_t n;              /* bytes of the modulus */
		uint8_t first, last;
		struct tr_view e;
		enum tr_code want;
	} rows[] = {
		{ "2048 bits", 256, 0x80, 1, TR_VIEW_LIT("\x01\x00\x01"), TR_OK },
		{ "2047 bits", 256, 0x7f, 1, TR_VIEW_LIT("\x01\x00\x01"), TR_E_INVALID },
		{ "1024 bits", 128, 0x80, 1, TR_VIEW_LIT("\x01\x00\x01"), TR_E_INVALID },
		{ "8192 bits", 1024, 0xff, 1, TR_VIEW_LIT("\x01\x00\x01"), TR_OK },
		{ "8193 bits", 1025, 0x01, 1, TR_VIEW_LIT("\x01\x00\x01"), TR_E_INVALID },
		{ "even modulus", 256, 0x80, 2, TR_VIEW_LIT("\x01\x00\x01"), TR_E_INVALID },
		{ "no modulus", 0, 0, 0, TR_VIEW_LIT("\x01\x00\x01"), TR_E_INVALID },
		{ "modulus of zeros", 256, 0, 0, TR_VIEW_LIT("\x01\x00\x01"), TR_E_INVALID },
		{ "exponent 3", 256, 0x80, 1, TR_VIEW_LIT("\x03"), TR_OK },
		{ "exponent 2^32-1", 256, 0x80, 1, TR_VIEW_LIT("\xff\xff\xff\xff"), TR_OK },
		{ "exponent with zeros", 256, 0x80, 1, TR_VIEW_LIT("\0\0\0\0\x01\x00\x01"), TR_OK },
		{ "exponent 2^32+1", 256, 0x80, 1, TR_VIEW_LIT("\x01\x00\x00\x00\x01"), TR_E_INVALID },
		{ "exponent 1", 256, 0x80, 1, TR_VIEW_LIT("\x01"), TR_E_INVALID },
		{ "even exponent", 256, 0x80, 1, TR_VIEW_LIT("\x01\x00\x00"), TR_E_INVALID },
		{ "exponent 0", 256, 0x80, 1, TR_VIEW_LIT("\x00"), TR_E_INVALID },
		{ "no exponent", 256, 0x80, 1, TR_VIEW_LIT(""), TR_E_INVALID },
	};
	uint8_t n[1025];
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_raw_key_free) struct tr_raw_key *k = NULL;

		memset(n, rows[i].first ? 0x55 : 0, sizeof(n));
		n[0] = rows[i].first;
		if (rows[i].n)
			n[rows[i].n - 1] = rows[i].last;
		CHECK(tr_raw_key_rsa(tr_view(n, rows[i].n), rows[i].e, &k, &err) == rows[i].want, rows[i].label);
		CHECK(!k == (rows[i].want != TR_OK), rows[i].label);
		if (k)
			CHECK(tr_raw_key_bits(k) == rows[i].n * 8, rows[i].label);
	}
}

static void digests_are_known(void **state)
{
	static const struct { enum tr_raw_hash h; const char *name; size_t len; const char *of_abc; } rows[] = {
		{ TR_HASH_SHA1, "sha1", 20, "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ TR_HASH_SHA256, "sha256", 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ TR_HASH_SHA384, "sha384", 48,
		  "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7" },
		{ TR_HASH_SHA512, "sha512", 64,
		  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	};
	const struct tr_view parts[] = { TR_VIEW_LIT("a"), { NULL, 0 }, TR_VIEW_LIT("bc") };
	uint8_t out[64], want[64];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		assert_string_equal(tr_raw_hash_name(rows[i].h), rows[i].name);
		assert_int_equal(tr_raw_hash_len(rows[i].h), rows[i].len);
		assert_true(tr_hex_get(tr_view_str(rows[i].of_abc), want, rows[i].len));
		tr_raw_digest(rows[i].h, parts, 3, out);
		assert_memory_equal(out, want, rows[i].len);
	}
	assert_int_equal(tr_raw_hash_len(TR_HASH_NONE), 0);
	assert_int_equal(tr_raw_hash_len(TR_HASH_N), 0);
	assert_string_equal(tr_raw_hash_name(TR_HASH_N), "none");
	memset(want, 0, sizeof(want));
	tr_raw_digest(TR_HASH_NONE, parts, 3, out);
	assert_memory_equal(out, want, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_curve_and_hash_verifies),
		cmocka_unit_test(numbers_come_in_any_length),
		cmocka_unit_test(numbers_out_of_range_are_refused),
		cmocka_unit_test(a_high_s_is_legal),
		cmocka_unit_test(points_are_checked),
		cmocka_unit_test(der_signatures_have_one_form),
		cmocka_unit_test(rsa_schemes_do_not_mix),
		cmocka_unit_test(sha1_signatures_are_refused),
		cmocka_unit_test(rsa_keys_have_bounds),
		cmocka_unit_test(digests_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
