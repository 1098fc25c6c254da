/* SPDX-License-Identifier: Apache-2.0 */
/* crypto/p11.h against a real PKCS#11 library. Skipped where SoftHSM is not installed. */
#include <dlfcn.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/p11.h"
#include "crypto/x509.h"
#include "lab.h"

#define PIN "pin-4711"
#define NOW_MS INT64_C(1795310523456)

static char dir[] = "/tmp/troth-p11-XXXXXX";

static bool make_world(void)
{
	char conf[64], tokens[64];
	FILE *f;

	if (!mkdtemp(dir))
		return false;
	(void)snprintf(conf, sizeof(conf), "%s/softhsm2.conf", dir);
	f = fopen(conf, "w");
	if (!f)
		return false;
	(void)fprintf(f, "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n", dir);
	(void)fclose(f);
	(void)snprintf(tokens, sizeof(tokens), "%s/tokens", dir);
	if (mkdir(tokens, 0700))
		return false;
	(void)setenv("SOFTHSM2_CONF", conf, 1);
	return lab_make_token(lab_module(), "one", PIN) && lab_make_token(lab_module(), "two", PIN) &&
	       lab_make_key(lab_module(), "one", PIN, "ed", "ed25519") && lab_make_key(lab_module(), "one", PIN, "p256", "p256") &&
	       lab_make_key(lab_module(), "one", PIN, "twice", "ed25519") &&
	       lab_make_key(lab_module(), "one", PIN, "twice", "p256") && lab_make_key(lab_module(), "one", PIN, "rsa", "rsa") &&
	       lab_make_key(lab_module(), "one", PIN, "half", "ed25519-private") &&
	       lab_make_key(lab_module(), "two", PIN, "ed", "ed25519");
}

static struct tr_p11 *opened(const char *pin)
{
	struct tr_p11 *p = NULL;
	struct tr_err err = { 0 };

	if (tr_p11_open(lab_module(), tr_view_str(pin), &p, &err))
		fail_msg("%s (%s)", err.pub, err.detail);
	return p;
}

static void keys_in_a_token_sign(void **state)
{
	static const struct {
		const char *uri;
		enum tr_key_type type;
		enum tr_sig_alg algs[2];
	} cases[] = {
		{ "pkcs11:token=one;object=ed", TR_KEY_ED25519, { TR_SIG_ED25519, TR_SIG_ED25519 } },
		{ "pkcs11:token=one;object=p256;type=private", TR_KEY_P256, { TR_SIG_ES256, TR_SIG_ES256_DER } },
		{ "pkcs11:token=two", TR_KEY_ED25519, { TR_SIG_ED25519, TR_SIG_ED25519 } },
	};
	tr_auto(tr_p11_free) struct tr_p11 *p = opened(PIN);
	struct tr_privkey *keys[TR_ARRAY_LEN(cases)] = { NULL };
	struct tr_err err = { 0 };

	(void)state;
	/* All at once: one login serves them. */
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		if (tr_p11_key(p, cases[i].uri, &keys[i], &err))
			fail_msg("%s: %s (%s)", cases[i].uri, err.pub, err.detail);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases) * 2; i++) {
		struct tr_privkey *k = keys[i / 2];
		struct tr_view msg = TR_VIEW_LIT("what is to be signed");
		uint8_t sig[TR_SIG_MAX];
		size_t n;

		assert_int_equal(tr_pubkey_type(tr_privkey_pub(k)), cases[i / 2].type);
		assert_int_equal(tr_sign(k, cases[i / 2].algs[i % 2], msg, sig, &n, &err), TR_OK);
		assert_int_equal(tr_verify(tr_privkey_pub(k), cases[i / 2].algs[i % 2], msg, tr_view(sig, n), &err), TR_OK);
		sig[7] ^= 1;
		assert_int_equal(tr_verify(tr_privkey_pub(k), cases[i / 2].algs[i % 2], msg, tr_view(sig, n), &err),
				 TR_E_DENIED);
	}
	assert_memory_not_equal(tr_pubkey_id(tr_privkey_pub(keys[0])), tr_pubkey_id(tr_privkey_pub(keys[2])), TR_SHA256_LEN);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++)
		keys[i] = tr_privkey_free(keys[i]);
}

static void a_ca_in_a_token_issues(void **state)
{
	tr_auto(tr_p11_free) struct tr_p11 *p = opened(PIN);
	tr_auto(tr_privkey_free) struct tr_privkey *party = NULL;
	tr_auto(tr_cert_free) struct tr_cert *leaf = NULL;
	tr_auto(tr_ca_set_free) struct tr_ca_set *set = NULL;
	tr_auto(tr_buf_done) struct tr_buf ca_der = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_privkey *ca = NULL;
	struct tr_cert_spec spec = { .common_name = "a CA", .ca = true, .spiffe = "spiffe://a.example", .not_before_ms = NOW_MS,
				     .not_after_ms = NOW_MS + 3600000 };
	struct tr_view v;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_p11_key(p, "pkcs11:token=one;object=p256", &ca, &err), TR_OK);
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &party, &err), TR_OK);
	spec.spki = tr_pubkey_spki(tr_privkey_pub(ca));
	assert_int_equal(tr_cert_issue(ca, tr_view(NULL, 0), &spec, &ca_der, &err), TR_OK);
	v = tr_buf_view(&ca_der);
	spec = (struct tr_cert_spec){ .common_name = "a1", .spiffe = "spiffe://a.example/agent/a1", .not_before_ms = NOW_MS,
				      .not_after_ms = NOW_MS + 60000, .client_auth = true,
				      .spki = tr_pubkey_spki(tr_privkey_pub(party)) };
	assert_int_equal(tr_cert_issue(ca, v, &spec, &der, &err), TR_OK);
	assert_int_equal(tr_ca_set_new(&v, 1, &set, &err), TR_OK);
	assert_int_equal(tr_cert_parse(tr_buf_view(&der), &leaf, &err), TR_OK);
	/* Through OpenSSL's chain building. */
	if (tr_cert_check(leaf, NULL, 0, set, TR_USE_AGENT, "a.example", NOW_MS, &err))
		fail_msg("%s", err.detail);
	ca = tr_privkey_free(ca);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *label, *pin, *uri, *says;
		enum tr_code want;
	} cases[] = {
		{ "wrong PIN", "pin-4712", "pkcs11:token=one;object=ed", "refuses the PIN", TR_E_DENIED },
		{ "no PIN", "", "pkcs11:token=one;object=ed", "asks for a PIN", TR_E_INVALID },
		{ "no such token", PIN, "pkcs11:token=three;object=ed", "no token is as", TR_E_NOTFOUND },
		{ "several tokens", PIN, "pkcs11:object=ed", "several tokens", TR_E_CONFLICT },
		{ "no such key", PIN, "pkcs11:token=one;object=nothing", "no private key", TR_E_NOTFOUND },
		{ "several keys", PIN, "pkcs11:token=one;object=twice", "several private keys", TR_E_CONFLICT },
		{ "another kind of key", PIN, "pkcs11:token=one;object=rsa", "neither Ed25519 nor P-256", TR_E_INVALID },
		{ "no public half", PIN, "pkcs11:token=one;object=half", "no public key", TR_E_NOTFOUND },
		{ "no URI", PIN, "token=one;object=ed", "URI is malformed", TR_E_INVALID },
		{ "an attribute of nobody", PIN, "pkcs11:tokn=one;object=ed", "URI is malformed", TR_E_INVALID },
		{ "bad escape", PIN, "pkcs11:token=%zz", "URI is malformed", TR_E_INVALID },
		{ "PIN in the URI", PIN, "pkcs11:token=one;object=ed?pin-value=pin-4711", "PIN has no place", TR_E_INVALID },
		{ "PIN file in the URI", PIN, "pkcs11:token=one;object=ed?pin-source=/x", "PIN has no place", TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_p11_free) struct tr_p11 *p = opened(cases[i].pin);
		struct tr_privkey *k = NULL;
		struct tr_err err = { 0 };
		enum tr_code rc = tr_p11_key(p, cases[i].uri, &k, &err);

		if (rc != cases[i].want || k || !strstr(err.pub, cases[i].says))
			fail_msg("%s: %d, %s (%s)", cases[i].label, (int)rc, err.pub, err.detail);
		if (strstr(err.pub, "pin-47") || strstr(err.detail, "pin-4711\""))
			fail_msg("%s: the PIN is in the message", cases[i].label);
	}
	{
		static const char *const modules[] = { "/nonexistent.so", "/etc/passwd", "/lib/x86_64-linux-gnu/libm.so.6" };

		for (size_t i = 0; i < TR_ARRAY_LEN(modules); i++) {
			struct tr_p11 *p = NULL;
			struct tr_err err = { 0 };

			assert_int_equal(tr_p11_open(modules[i], TR_VIEW_LIT(PIN), &p, &err), TR_E_NOTFOUND);
			assert_non_null(strstr(err.pub, "pkcs11.module"));
		}
	}
}

static enum tr_code sign_now(const struct tr_privkey *k, struct tr_err *err)
{
	uint8_t sig[TR_SIG_MAX];
	size_t n;

	return tr_sign(k, tr_privkey_alg(k), TR_VIEW_LIT("x"), sig, &n, err);
}

/* The folder of the tokens is moved away under the library, and back. */
static void a_token_that_goes_away_comes_back(void **state)
{
	tr_auto(tr_p11_free) struct tr_p11 *p = opened(PIN);
	struct tr_privkey *k = NULL, *other = NULL;
	struct tr_err err = { 0 };
	char there[64], away[64];
	bool back = false;

	(void)state;
	(void)snprintf(there, sizeof(there), "%s/tokens", dir);
	(void)snprintf(away, sizeof(away), "%s/away", dir);
	assert_int_equal(tr_p11_key(p, "pkcs11:token=one;object=ed", &k, &err), TR_OK);
	assert_int_equal(tr_p11_key(p, "pkcs11:token=one;object=p256", &other, &err), TR_OK);
	assert_int_equal(sign_now(k, &err), TR_OK);
	assert_true(tr_p11_is_well(p));
	assert_int_equal(rename(there, away), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sign_now(k, &err), TR_E_UNAVAIL);
		assert_non_null(strstr(err.pub, "token"));
		assert_false(tr_p11_is_well(p));
	}
	assert_int_equal(rename(away, there), 0);
	for (int i = 0; i < 260 && !back; i++) {
		back = sign_now(k, &err) == TR_OK && sign_now(other, &err) == TR_OK;
		if (!back)
			(void)usleep(50000);
	}
	if (!back)
		fail_msg("%s (%s)", err.pub, err.detail);
	assert_true(tr_p11_is_well(p));
	k = tr_privkey_free(k);
	other = tr_privkey_free(other);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *w)
{
	(void)st;
	(void)kind;
	(void)w;
	return remove(path);
}

/* SoftHSM 2.6 loses the curve names that it parses; whole stacks, so that it can be told from a loss of ours. */
const char *__asan_default_options(void)
{
	return "fast_unwind_on_malloc=0";
}

const char *__lsan_default_suppressions(void)
{
	return "leak:libsofthsm2.so\n";
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_in_a_token_sign),
		cmocka_unit_test(a_ca_in_a_token_issues),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(a_token_that_goes_away_comes_back),
	};
	struct tr_err err;
	int failed;

	if (!lab_module()) {
		(void)printf("skipped: SoftHSM (softhsm2) is not installed\n");
		return 77;
	}
	/* Never unloaded, so that a report of lost memory can name it. */
	if (!dlopen(lab_module(), RTLD_NOW | RTLD_NODELETE))
		return 1;
	if (tr_crypto_init(&err) || !make_world())
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return failed;
}
