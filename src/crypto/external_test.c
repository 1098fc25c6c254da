/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that are elsewhere: everything that signs takes them, and nothing that they give is believed unseen. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "crypto/ossl.h"
#include "crypto/x509.h"

#include <openssl/x509v3.h>

#define NOW_MS INT64_C(1795310523456)
#define HOUR_MS INT64_C(3600000)

/* A token made of a key of ours. */
struct token {
	struct tr_privkey *inside;
	enum { WELL, GONE, WRONG_BITS, SHORT, ANOTHER_KEY } mood;
	unsigned asked, ended;
};

static enum tr_code token_sign(void *arg, enum tr_sig_alg alg, struct tr_view msg, uint8_t *sig, size_t *ret_n,
			       struct tr_err *err)
{
	struct token *t = arg;

	t->asked++;
	assert_true(alg == TR_SIG_ED25519 || alg == TR_SIG_ES256);
	if (t->mood == GONE)
		return tr_err_set(err, TR_E_UNAVAIL, "the token is gone", "test");
	if (tr_sign(t->inside, alg, msg, sig, ret_n, err))
		return err->code;
	if (t->mood == WRONG_BITS)
		sig[3] ^= 1;
	if (t->mood == SHORT)
		*ret_n = 63;
	return TR_OK;
}

static void token_done(void *arg)
{
	((struct token *)arg)->ended++;
}

static struct tr_privkey *outside(struct token *t, enum tr_key_type type)
{
	struct tr_pubkey *pub = NULL;
	struct tr_privkey *k = NULL;
	struct tr_err err;

	assert_int_equal(tr_privkey_generate(type, &t->inside, &err), TR_OK);
	assert_int_equal(tr_pubkey_from_spki(tr_pubkey_spki(tr_privkey_pub(t->inside)), &pub, &err), TR_OK);
	assert_int_equal(tr_privkey_external(pub, token_sign, token_done, t, &k, &err), TR_OK);
	return k;
}

static void whatever_is_signed_verifies(void **state)
{
	static const struct {
		enum tr_key_type type;
		enum tr_sig_alg alg;
		enum tr_code want;
	} cases[] = {
		{ TR_KEY_ED25519, TR_SIG_ED25519, TR_OK },     { TR_KEY_P256, TR_SIG_ES256, TR_OK },
		{ TR_KEY_P256, TR_SIG_ES256_DER, TR_OK },      { TR_KEY_P256, TR_SIG_ED25519, TR_E_INVALID },
		{ TR_KEY_ED25519, TR_SIG_ES256, TR_E_INVALID },
	};
	struct tr_view msg = TR_VIEW_LIT("a message");

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct token t = { 0 };
		struct tr_privkey *k = outside(&t, cases[i].type);
		uint8_t sig[TR_SIG_MAX];
		struct tr_err err;
		size_t n;

		assert_int_equal(tr_sign(k, cases[i].alg, msg, sig, &n, &err), cases[i].want);
		assert_int_equal(t.asked, cases[i].want == TR_OK);
		if (cases[i].want == TR_OK)
			assert_int_equal(tr_verify(tr_privkey_pub(k), cases[i].alg, msg, tr_view(sig, n), &err), TR_OK);
		k = tr_privkey_free(k);
		assert_int_equal(t.ended, 1);
		t.inside = tr_privkey_free(t.inside);
	}
}

static void what_a_token_gives_is_checked(void **state)
{
	static const struct {
		int mood;
		const char *says;
	} cases[] = {
		{ GONE, "the token is gone" },
		{ WRONG_BITS, "does not verify" },
		{ SHORT, "does not verify" },
		{ ANOTHER_KEY, "does not verify" },
	};
	static const enum tr_key_type types[] = { TR_KEY_ED25519, TR_KEY_P256 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases) * 2; i++) {
		enum tr_key_type type = types[i % 2];
		struct token t = { .mood = cases[i / 2].mood };
		struct tr_privkey *k = outside(&t, type);
		uint8_t sig[TR_SIG_MAX] = { 0 }, untouched[TR_SIG_MAX] = { 0 };
		struct tr_err err = { 0 };
		size_t n;

		if (t.mood == ANOTHER_KEY) {
			t.inside = tr_privkey_free(t.inside);
			assert_int_equal(tr_privkey_generate(type, &t.inside, &err), TR_OK);
		}
		assert_int_equal(tr_sign(k, tr_privkey_alg(k), TR_VIEW_LIT("x"), sig, &n, &err), TR_E_UNAVAIL);
		assert_non_null(strstr(err.pub, cases[i / 2].says));
		assert_memory_equal(sig, untouched, sizeof(sig));
		k = tr_privkey_free(k);
		t.inside = tr_privkey_free(t.inside);
	}
}

static X509 *cert_of(const struct tr_buf *der)
{
	const unsigned char *p = der->p;
	X509 *x = d2i_X509(NULL, &p, (long)der->n);

	assert_non_null(x);
	return x;
}

static void a_ca_in_a_token_issues(void **state)
{
	static const enum tr_key_type types[] = { TR_KEY_ED25519, TR_KEY_P256 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(types); i++) {
		struct token t = { 0 };
		struct tr_privkey *ca = outside(&t, types[i]);
		tr_auto(tr_privkey_free) struct tr_privkey *party = NULL;
		tr_auto(tr_buf_done) struct tr_buf ca_der = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf leaf_der = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf none = TR_BUF_INIT;
		struct tr_cert_spec spec = { .common_name = "a CA", .ca = true, .spiffe = "spiffe://a.example",
					     .not_before_ms = NOW_MS, .not_after_ms = NOW_MS + 10 * HOUR_MS,
					     .spki = tr_pubkey_spki(tr_privkey_pub(ca)) };
		struct tr_err err = { 0 };

		assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &party, &err), TR_OK);
		assert_int_equal(tr_cert_issue(ca, tr_view(NULL, 0), &spec, &ca_der, &err), TR_OK);
		spec = (struct tr_cert_spec){ .common_name = "a party", .spiffe = "spiffe://a.example/agent/web-1",
					      .not_before_ms = NOW_MS, .not_after_ms = NOW_MS + HOUR_MS, .client_auth = true,
					      .spki = tr_pubkey_spki(tr_privkey_pub(party)) };
		assert_int_equal(tr_cert_issue(ca, tr_buf_view(&ca_der), &spec, &leaf_der, &err), TR_OK);
		{
			/* OpenSSL's own parser and verification, not ours. */
			tr_auto(X509_free) X509 *top = cert_of(&ca_der);
			tr_auto(X509_free) X509 *leaf = cert_of(&leaf_der);

			assert_int_equal(X509_verify(top, X509_get0_pubkey(top)), 1);
			assert_int_equal(X509_verify(leaf, X509_get0_pubkey(top)), 1);
			assert_int_equal(X509_check_issued(top, leaf), X509_V_OK);
		}
		t.mood = GONE;
		assert_int_equal(tr_cert_issue(ca, tr_buf_view(&ca_der), &spec, &none, &err), TR_E_UNAVAIL);
		assert_string_equal(err.pub, "the token is gone");
		assert_int_equal(none.n, 0);
		ca = tr_privkey_free(ca);
		t.inside = tr_privkey_free(t.inside);
	}
}

static void it_is_never_written_and_never_rsa(void **state)
{
	struct token t = { 0 };
	struct tr_privkey *k = outside(&t, TR_KEY_P256), *rsa = NULL, *none = NULL;
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	struct tr_pubkey *pub = NULL;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_privkey_pem(k, &pem, &err), TR_E_INVALID);
	assert_int_equal(pem.n, 0);
	assert_int_equal(tr_privkey_generate(TR_KEY_RSA, &rsa, &err), TR_OK);
	assert_int_equal(tr_pubkey_from_spki(tr_pubkey_spki(tr_privkey_pub(rsa)), &pub, &err), TR_OK);
	assert_int_equal(tr_privkey_external(pub, token_sign, token_done, &t, &none, &err), TR_E_INVALID);
	assert_null(none);
	assert_int_equal(t.ended, 0);
	rsa = tr_privkey_free(rsa);
	k = tr_privkey_free(k);
	t.inside = tr_privkey_free(t.inside);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_is_signed_verifies),
		cmocka_unit_test(what_a_token_gives_is_checked),
		cmocka_unit_test(a_ca_in_a_token_issues),
		cmocka_unit_test(it_is_never_written_and_never_rsa),
	};
	struct tr_err err;

	if (tr_crypto_init(&err))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
