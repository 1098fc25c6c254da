/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/cose1.h"

#define DOMAIN "troth/test/v1"

/* What tr_cose1_parse means by one form, the slow way: written out again, it is the same bytes. */
static bool is_one_form(struct tr_view in)
{
	tr_auto(tr_buf_done) struct tr_buf hdr = TR_BUF_INIT, whole = TR_BUF_INIT;
	struct tr_cose c;
	struct tr_err err;

	if (tr_cose_sign1_parse(in, &c, &err) || c.sigs[0].kid.n != TR_KID_LEN)
		return false;
	tr_cose_put_protected(&hdr, c.sigs[0].alg, c.sigs[0].kid);
	tr_cose_put_sign1(&whole, tr_buf_view(&hdr), c.payload, c.sigs[0].sig);
	return tr_view_eq(tr_buf_view(&whole), in);
}

#define KID_VIEW TR_VIEW_LIT("\x50\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f")

static const struct {
	const char *label;
	struct tr_view protected_hdr, unprotected; /* encoded maps; a 'K' stands for the key id with its head */
	bool good;
} cases[] = {
	{ "our form", TR_VIEW_LIT("\xa2\x01\x27\x04K"), TR_VIEW_LIT("\xa0"), true },
	{ "another algorithm", TR_VIEW_LIT("\xa2\x01\x39\x01\x00\x04K"), TR_VIEW_LIT("\xa0"), true },
	{ "a large algorithm", TR_VIEW_LIT("\xa2\x01\x1a\x00\x01\x00\x00\x04K"), TR_VIEW_LIT("\xa0"), true },
	{ "key id unprotected", TR_VIEW_LIT("\xa1\x01\x27"), TR_VIEW_LIT("\xa1\x04K"), false },
	{ "key id unprotected, another header instead", TR_VIEW_LIT("\xa2\x01\x27\x03\x00"), TR_VIEW_LIT("\xa1\x04K"), false },
	{ "an unprotected header", TR_VIEW_LIT("\xa2\x01\x27\x04K"), TR_VIEW_LIT("\xa1\x18\x64\x01"), false },
	{ "an unprotected header that looks like none", TR_VIEW_LIT("\xa2\x01\x27\x04K"), TR_VIEW_LIT("\xa1\x18\xa0\x01"), false },
	{ "a content type", TR_VIEW_LIT("\xa3\x01\x27\x03\x00\x04K"), TR_VIEW_LIT("\xa0"), false },
	{ "an unknown label", TR_VIEW_LIT("\xa3\x01\x27\x04K\x18\x64\x01"), TR_VIEW_LIT("\xa0"), false },
	{ "critical", TR_VIEW_LIT("\xa3\x01\x27\x02\x81\x01\x04K"), TR_VIEW_LIT("\xa0"), false },
	{ "no key id", TR_VIEW_LIT("\xa1\x01\x27"), TR_VIEW_LIT("\xa0"), false },
	{ "no algorithm", TR_VIEW_LIT("\xa1\x04K"), TR_VIEW_LIT("\xa0"), false },
	{ "key id of 15 bytes", TR_VIEW_LIT("\xa2\x01\x27\x04\x4f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), TR_VIEW_LIT("\xa0"), false },
	{ "no headers", TR_VIEW_LIT(""), TR_VIEW_LIT("\xa0"), false },
	{ "long head of the map", TR_VIEW_LIT("\xb8\x02\x01\x27\x04K"), TR_VIEW_LIT("\xa0"), false },
	{ "long head of the algorithm", TR_VIEW_LIT("\xa2\x01\x38\x07\x04K"), TR_VIEW_LIT("\xa0"), false },
	{ "keys out of order", TR_VIEW_LIT("\xa2\x04K\x01\x27"), TR_VIEW_LIT("\xa0"), false },
};

static void put_map(struct tr_buf *b, struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == 'K')
			tr_buf_addv(b, KID_VIEW);
		else
			tr_buf_add8(b, v.p[i]);
	}
}

static void put_object(struct tr_buf *b, struct tr_view protected_hdr, struct tr_view unprotected)
{
	tr_auto(tr_buf_done) struct tr_buf hdr = TR_BUF_INIT;

	put_map(&hdr, protected_hdr);
	tr_cbor_put_tag(b, 18);
	tr_cbor_put_array(b, 4);
	tr_cbor_put_bytes(b, tr_buf_view(&hdr));
	put_map(b, unprotected);
	tr_cbor_put_bytes(b, TR_VIEW_LIT("payload"));
	tr_cbor_put_bytes(b, TR_VIEW_LIT("signature"));
}

static void one_form_is_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_cose c = { .n_sigs = 77 };
		struct tr_err err;
		enum tr_code rc;

		put_object(&b, cases[i].protected_hdr, cases[i].unprotected);
		rc = tr_cose1_parse(tr_buf_view(&b), b.n, &c, &err);
		CHECK(rc == (cases[i].good ? TR_OK : TR_E_INVALID), cases[i].label);
		CHECK(is_one_form(tr_buf_view(&b)) == cases[i].good, cases[i].label);
		CHECK(c.n_sigs == (cases[i].good ? 1 : 77), cases[i].label);
		if (cases[i].good)
			CHECK(tr_cose1_parse(tr_buf_view(&b), b.n - 1, &c, &err) == TR_E_INVALID, cases[i].label);
	}
}

/* Every change of one byte of every case to every value: the quick check and the slow one agree. */
static void the_quick_check_is_the_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		put_object(&b, cases[i].protected_hdr, cases[i].unprotected);
		for (size_t at = 0; at < b.n; at++) {
			for (unsigned v = 0; v < 256; v++) {
				uint8_t was = b.p[at];
				struct tr_cose c;
				struct tr_err err;

				b.p[at] = (uint8_t)v;
				if ((tr_cose1_parse(tr_buf_view(&b), b.n, &c, &err) == TR_OK) != is_one_form(tr_buf_view(&b)))
					fail_msg("%s: byte %zu as %u", cases[i].label, at, v);
				b.p[at] = was;
			}
		}
	}
}

static void verifying_gives_the_digest(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	tr_auto(tr_privkey_free) struct tr_privkey *other = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint8_t got[32] = { 0 }, want[32], zeros[32] = { 0 };
	struct tr_cose c;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_cose1_sign(k, DOMAIN, TR_VIEW_LIT("x"), &b, &err), TR_OK);
	assert_int_equal(tr_cose1_parse(tr_buf_view(&b), b.n, &c, &err), TR_OK);
	assert_int_equal(tr_cose1_verify_digest(&c, tr_privkey_pub(other), DOMAIN, got, &err), TR_E_DENIED);
	assert_int_equal(tr_cose1_verify_digest(&c, tr_privkey_pub(k), "troth/else/v1", got, &err), TR_E_DENIED);
	assert_memory_equal(got, zeros, 32);
	assert_int_equal(tr_cose1_verify_digest(&c, tr_privkey_pub(k), DOMAIN, got, &err), TR_OK);
	assert_int_equal(tr_cose1_digest(&c, DOMAIN, want, &err), TR_OK);
	assert_memory_equal(got, want, 32);
}

static int setup(void **state)
{
	struct tr_err err;

	(void)state;
	return tr_crypto_init(&err) == TR_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_form_is_accepted),
		cmocka_unit_test(the_quick_check_is_the_rule),
		cmocka_unit_test(verifying_gives_the_digest),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
