/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of RFC 9180 for our suite (base mode, seven of its numbers), typed here; all of its 257 encryptions run in
 * tests/vectors. */
#include "codec/codec_test.h"

#include "codec/text.h"
#include "crypto/hpke.h"

#define INFO "4f6465206f6e2061204772656369616e2055726e"
#define SK_R "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d"
#define PK_R "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c"
#define SK_E "179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11"
#define ENC "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"
#define PLAIN "Beauty is truth, truth beauty"

/* A view on static storage, so one at a time per slot. */
static struct tr_view hex(const char *s, unsigned slot)
{
	static uint8_t out[4][128];
	size_t n = strlen(s) / 2;

	assert_true(n <= sizeof(out[0]) && tr_hex_get(tr_view_str(s), out[slot], n));
	return tr_view(out[slot], n);
}

static struct tr_secret *secret(const char *s)
{
	struct tr_secret *k = tr_secret_new(TR_X25519_LEN);

	assert_non_null(k);
	assert_true(tr_hex_get(tr_view_str(s), tr_secret_p(k), TR_X25519_LEN));
	return k;
}

static void test_rfc_vector(void **state)
{
	static const struct {
		unsigned seq;
		const char *ct;
	} cases[] = {
		{ 0, "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a" },
		{ 1, "2c43aff25343fdbff864506f0818b9d87df84ea01b1a2144d23b4d40c26bf655fdf197fe40297a8aebeed5cc2d" },
		{ 255, "f6ad1823eb0b932d04b6e23010eea64f1fe5edd0583dae5ba27ca6363f4ea104bd217331460ef4208040423641" },
		{ 256, "53624f4f9f173453b14e633b45390ff54cacaa4428d44baee1bff8133fab1ab3afe60f88e4634b525c54e92eda" },
	};
	static const struct {
		struct tr_view context;
		const char *value;
	} exports[] = {
		{ { 0 }, "ded6cffafaea6b812cbf3e241e88332adbc077aca81512914213810ee291770a" },
		{ { (const uint8_t *)"", 1 }, "04d3cb6cc116b28ffd22ad5bc276c60d31fec71ceb87ae24db811c64b7507339" },
		{ { (const uint8_t *)"TestContext", 11 }, "7c5ded445732c14fe09727d29b4251c0fd38455fe8440571e687f0886aac94d2" },
	};
	tr_auto(tr_secret_free) struct tr_secret *r = secret(SK_R), *e = secret(SK_E);
	tr_auto(tr_hpke_free) struct tr_hpke *sender = NULL, *recipient = NULL;
	uint8_t pub[TR_X25519_LEN], enc[TR_X25519_LEN], out[32];
	struct tr_err err = { 0 };
	size_t at = 0;

	(void)state;
	assert_int_equal(tr_x25519_public(r, pub, &err), TR_OK);
	assert_memory_equal(pub, hex(PK_R, 0).p, sizeof(pub));
	assert_int_equal(tr_hpke_sender(pub, e, hex(INFO, 1), enc, &sender, &err), TR_OK);
	assert_memory_equal(enc, hex(ENC, 0).p, sizeof(enc));
	assert_int_equal(tr_hpke_recipient(r, enc, hex(INFO, 1), &recipient, &err), TR_OK);
	for (unsigned seq = 0; seq <= 256; seq++) {
		tr_auto(tr_buf_done) struct tr_buf ct = TR_BUF_INIT, back = TR_BUF_INIT;
		char aad[24];

		(void)snprintf(aad, sizeof(aad), "Count-%u", seq);
		assert_int_equal(tr_hpke_seal_next(sender, tr_view_str(aad), TR_VIEW_LIT(PLAIN), &ct, &err), TR_OK);
		if (at < TR_ARRAY_LEN(cases) && seq == cases[at].seq)
			assert_true(tr_view_eq(tr_buf_view(&ct), hex(cases[at++].ct, 2)));
		assert_int_equal(tr_hpke_open_next(recipient, tr_view_str(aad), tr_buf_view(&ct), &back, &err), TR_OK);
		assert_true(tr_view_is(tr_buf_view(&back), PLAIN));
	}
	assert_int_equal(at, TR_ARRAY_LEN(cases));
	for (size_t i = 0; i < TR_ARRAY_LEN(exports); i++) {
		assert_int_equal(tr_hpke_export(sender, exports[i].context, out, sizeof(out), &err), TR_OK);
		assert_memory_equal(out, hex(exports[i].value, 3).p, sizeof(out));
		assert_int_equal(tr_hpke_export(recipient, exports[i].context, out, sizeof(out), &err), TR_OK);
		assert_memory_equal(out, hex(exports[i].value, 3).p, sizeof(out));
	}
	assert_int_equal(tr_hpke_export(sender, tr_view(NULL, 0), out, 256 * 32, &err), TR_E_INVALID);
}

static void test_round(void **state)
{
	static const size_t lengths[] = { 0, 1, 15, 16, 17, 255, 70000 };
	tr_auto(tr_secret_free) struct tr_secret *r = NULL;
	uint8_t pub[TR_X25519_LEN], enc[TR_X25519_LEN], again[TR_X25519_LEN];
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_x25519_generate(&r, pub, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(lengths); i++) {
		tr_auto(tr_buf_done) struct tr_buf plain = TR_BUF_INIT, ct = TR_BUF_INIT, other = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf back = TR_BUF_INIT;
		uint8_t *p = lengths[i] ? tr_buf_space(&plain, lengths[i]) : NULL;

		if (p)
			memset(p, 7, lengths[i]);
		assert_int_equal(tr_hpke_seal(pub, TR_VIEW_LIT("i"), TR_VIEW_LIT(""), tr_buf_view(&plain), enc, &ct, &err), TR_OK);
		assert_int_equal(ct.n, lengths[i] + TR_HPKE_TAG);
		assert_int_equal(tr_hpke_open(r, enc, TR_VIEW_LIT("i"), TR_VIEW_LIT(""), tr_buf_view(&ct), &back, &err), TR_OK);
		assert_true(tr_view_eq(tr_buf_view(&back), tr_buf_view(&plain)));
		/* An ephemeral key of its own each time. */
		assert_int_equal(tr_hpke_seal(pub, TR_VIEW_LIT("i"), TR_VIEW_LIT(""), tr_buf_view(&plain), again, &other, &err), TR_OK);
		assert_memory_not_equal(enc, again, sizeof(enc));
		assert_memory_not_equal(ct.p, other.p, ct.n);
	}
}

static void test_every_bit_counts(void **state)
{
	tr_auto(tr_secret_free) struct tr_secret *r = NULL, *stranger = NULL;
	tr_auto(tr_buf_done) struct tr_buf ct = TR_BUF_INIT, back = TR_BUF_INIT;
	const struct tr_view info = TR_VIEW_LIT("info"), aad = TR_VIEW_LIT("aad");
	uint8_t pub[TR_X25519_LEN], theirs[TR_X25519_LEN], enc[TR_X25519_LEN];
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_x25519_generate(&r, pub, &err), TR_OK);
	assert_int_equal(tr_x25519_generate(&stranger, theirs, &err), TR_OK);
	assert_int_equal(tr_hpke_seal(pub, info, aad, TR_VIEW_LIT("a secret"), enc, &ct, &err), TR_OK);
	for (size_t i = 0; i < ct.n * 8; i++) {
		ct.p[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(tr_hpke_open(r, enc, info, aad, tr_buf_view(&ct), &back, &err), TR_E_DENIED);
		assert_int_equal(back.n, 0);
		ct.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t i = 0; i < sizeof(enc) * 8; i++) {
		enc[i / 8] ^= (uint8_t)(1u << i % 8);
		/* X25519 masks the last bit of a u-coordinate, but enc as sent goes into the key schedule. */
		assert_int_equal(tr_hpke_open(r, enc, info, aad, tr_buf_view(&ct), &back, &err), TR_E_DENIED);
		enc[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t n = 0; n < ct.n; n++)
		assert_int_equal(tr_hpke_open(r, enc, info, aad, tr_view(ct.p, n), &back, &err), TR_E_DENIED);
	assert_int_equal(tr_hpke_open(r, enc, TR_VIEW_LIT("inf"), aad, tr_buf_view(&ct), &back, &err), TR_E_DENIED);
	assert_int_equal(tr_hpke_open(r, enc, info, TR_VIEW_LIT(""), tr_buf_view(&ct), &back, &err), TR_E_DENIED);
	assert_int_equal(tr_hpke_open(stranger, enc, info, aad, tr_buf_view(&ct), &back, &err), TR_E_DENIED);
	assert_int_equal(tr_hpke_open(r, enc, info, aad, tr_buf_view(&ct), &back, &err), TR_OK);
	assert_true(tr_view_is(tr_buf_view(&back), "a secret"));
}

/* Points that give a shared secret of zeros with any private key. */
static void test_small_order(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	tr_auto(tr_secret_free) struct tr_secret *r = secret(SK_R);
	struct tr_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(points); i++) {
		tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;
		uint8_t zeros[40] = { 0 }, enc[TR_X25519_LEN];
		struct tr_view bad = hex(points[i], 0), none = tr_view(NULL, 0);

		assert_int_equal(tr_hpke_seal(bad.p, none, none, TR_VIEW_LIT("x"), enc, &out, &err), TR_E_DENIED);
		assert_int_equal(tr_hpke_open(r, bad.p, none, none, TR_VIEW_ARRAY(zeros), &out, &err), TR_E_DENIED);
		assert_non_null(strstr(err.pub, "small order"));
		assert_int_equal(out.n, 0);
	}
}

static void test_a_context_has_one_direction(void **state)
{
	tr_auto(tr_secret_free) struct tr_secret *r = secret(SK_R), *e = secret(SK_E);
	tr_auto(tr_hpke_free) struct tr_hpke *sender = NULL, *recipient = NULL;
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;
	const struct tr_view none = tr_view(NULL, 0), pk = hex(PK_R, 0);
	uint8_t enc[TR_X25519_LEN], zeros[40] = { 0 };
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_hpke_sender(pk.p, e, none, enc, &sender, &err), TR_OK);
	assert_int_equal(tr_hpke_recipient(r, enc, none, &recipient, &err), TR_OK);
	assert_int_equal(tr_hpke_seal_next(recipient, none, none, &out, &err), TR_E_INTERNAL);
	assert_int_equal(tr_hpke_open_next(sender, none, TR_VIEW_ARRAY(zeros), &out, &err), TR_E_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc_vector),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_small_order),
		cmocka_unit_test(test_a_context_has_one_direction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
