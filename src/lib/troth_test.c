/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/text.h"
#include "signed/release.h"
#include "troth/troth.h"

#define HASH "sha256:ab5c2f1e00000000000000000000000000000000000000000000000000000001"
#define OTHER "sha256:ab5c2f1e00000000000000000000000000000000000000000000000000000002"

static const uint8_t challenge[TROTH_CHALLENGE_LEN] = { 5 }, channel[TROTH_EXPORTER_LEN] = { 6 };

static void pem_pair(enum tr_key_type type, struct tr_buf *priv, struct tr_buf *pub)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(type);
	struct tr_err err;

	assert_int_equal(tr_privkey_pem(k, priv, &err), TR_OK);
	tr_pubkey_pem(tr_privkey_pub(k), pub);
}

static struct troth_claim sample(enum troth_form form)
{
	return (struct troth_claim){
		.size = sizeof(struct troth_claim),
		.form = form,
		.node_id = "web-1",
		.binary_hash = HASH,
		.version = "v1.2.3",
		.time_ms = NOW_MS,
		.challenge = challenge,
	};
}

static struct troth_policy enforce(void)
{
	return (struct troth_policy){ .size = sizeof(struct troth_policy),
				      .mode = TROTH_MODE_ENFORCE,
				      .accept_native = true,
				      .accept_original = true };
}

static troth_verifier *verifier(const struct troth_policy *p)
{
	struct troth_error err;
	troth_verifier *v = NULL;

	if (troth_verifier_new(p, &v, &err))
		fail_msg("%s", err.message);
	return v;
}

static void both_forms_go_round(void **state)
{
	static const struct {
		enum troth_form form;
		enum tr_key_type type;
		bool bare; /* the claim by itself instead of the body */
	} cases[] = {
		{ TROTH_FORM_NATIVE, TR_KEY_ED25519, false }, { TROTH_FORM_NATIVE, TR_KEY_P256, false },
		{ TROTH_FORM_NATIVE, TR_KEY_RSA, false },     { TROTH_FORM_ORIGINAL, TR_KEY_RSA, false },
		{ TROTH_FORM_ORIGINAL, TR_KEY_RSA, true },    { TROTH_FORM_ORIGINAL, TR_KEY_ED25519, true },
		{ TROTH_FORM_ORIGINAL, TR_KEY_P256, true },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf priv = TR_BUF_INIT, pub = TR_BUF_INIT;
		struct troth_claim c = sample(cases[i].form);
		struct troth_policy p = enforce();
		struct troth_verdict out = { .size = sizeof(out) };
		struct troth_error err = { 0 };
		troth_signer *s = NULL;
		troth_verifier *v = verifier(&p);
		uint8_t *bytes = NULL;
		char *checks = NULL;
		size_t len = 0;

		pem_pair(cases[i].type, &priv, &pub);
		assert_int_equal(troth_signer_new((char *)priv.p, priv.n, &s, &err), TROTH_OK);
		c.exporter = channel;
		assert_int_equal(cases[i].bare ? troth_signer_create_claim(s, &c, &bytes, &len, &err)
					       : troth_signer_create_request(s, &c, &bytes, &len, &err),
				 TROTH_OK);
		assert_int_equal(troth_verifier_allow_hash(v, HASH, &err), TROTH_OK);
		if (cases[i].form == TROTH_FORM_ORIGINAL)
			assert_int_equal(troth_verifier_add_key(v, (char *)pub.p, pub.n, TROTH_KEY_FLEET,
								TROTH_KEY_ACTIVE, 0, 0, &err),
					 TROTH_OK);
		if (troth_verifier_verify(v, bytes, len, channel, NOW_MS + 1000, &out, &checks, &err))
			fail_msg("case %zu: %s: %s", i, out.reason, checks);
		assert_true(out.admitted);
		assert_string_equal(out.reason, "ok");
		assert_int_equal(out.http_status, 201);
		assert_string_equal(out.tier, "self-asserted");
		assert_int_equal(out.form, cases[i].form);
		assert_string_equal(out.node_id, "web-1");
		assert_string_equal(out.version, "v1.2.3");
		assert_string_equal(out.binary_hash, HASH);
		if (cases[i].form == TROTH_FORM_NATIVE) {
			uint8_t id[TROTH_HASH_LEN];

			assert_int_equal(out.time_ms, NOW_MS);
			assert_memory_equal(out.challenge, challenge, sizeof(challenge));
			troth_signer_key_id(s, id);
			assert_memory_equal(out.device_key_id, id, sizeof(id));
		}
		assert_non_null(strstr(checks, "\"check\":\"clock\""));
		troth_free(checks);
		troth_free(bytes);
		troth_signer_free(s);
		troth_verifier_free(v);
	}
}

static void a_release_statement_vouches(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf priv = TR_BUF_INIT, pub = TR_BUF_INIT, rel_pub = TR_BUF_INIT,
					   st = TR_BUF_INIT;
	tr_auto(tr_privkey_free) struct tr_privkey *rel = new_key(TR_KEY_ED25519);
	static const struct {
		enum troth_key_state state;
		const char *reason;
	} cases[] = {
		{ TROTH_KEY_ACTIVE, "ok" },
		{ TROTH_KEY_RETIRED, "ok" },
		{ TROTH_KEY_REVOKED, "key_revoked" },
	};
	struct tr_release r = { .name = TR_VIEW_LIT("agent"),
				.version = TR_VIEW_LIT("1.2.3"),
				.platform = TR_VIEW_LIT("linux-amd64"),
				.size = 1,
				.issued_ms = NOW_MS - 5 };
	struct troth_claim c = sample(TROTH_FORM_NATIVE);
	struct troth_error err = { 0 };
	struct tr_err e;
	troth_signer *s = NULL;
	uint8_t *bytes = NULL;
	size_t len = 0;

	(void)state;
	assert_true(tr_hex_get(tr_view_str(&HASH[7]), r.sha256, 32));
	assert_int_equal(tr_release_sign(&r, rel, &st, &e), TR_OK);
	tr_pubkey_pem(tr_privkey_pub(rel), &rel_pub);
	pem_pair(TR_KEY_P256, &priv, &pub);
	assert_int_equal(troth_signer_new((char *)priv.p, priv.n, &s, &err), TROTH_OK);
	c.release = st.p;
	c.release_len = st.n;
	assert_int_equal(troth_signer_create_request(s, &c, &bytes, &len, &err), TROTH_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct troth_verdict out = { .size = sizeof(out) };
		struct troth_policy p = enforce();
		troth_verifier *v = verifier(&p);
		enum troth_code code;

		assert_int_equal(troth_verifier_add_key(v, (char *)rel_pub.p, rel_pub.n, TROTH_KEY_RELEASE,
							cases[i].state, 0, 0, &err),
				 TROTH_OK);
		code = troth_verifier_verify(v, bytes, len, NULL, NOW_MS, &out, NULL, &err);
		assert_string_equal(out.reason, cases[i].reason);
		assert_int_equal(code, strcmp(out.reason, "ok") ? TROTH_E_REFUSED : TROTH_OK);
		assert_int_equal(out.vouched, code == TROTH_OK);
		if (code)
			assert_string_equal(err.message, out.sentence);
		else
			assert_memory_equal(out.vouched_by, tr_pubkey_id(tr_privkey_pub(rel)), 32);
		troth_verifier_free(v);
	}
	troth_free(bytes);
	troth_signer_free(s);
}

static void wrong_arguments_are_named_not_obeyed(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf priv = TR_BUF_INIT, pub = TR_BUF_INIT;
	struct troth_claim c = sample(TROTH_FORM_NATIVE);
	struct troth_policy p = enforce();
	struct troth_verdict out = { .size = sizeof(out) };
	struct troth_error err = { 0 };
	troth_verifier *v = NULL;
	troth_signer *s = NULL;
	uint8_t *bytes = NULL;
	size_t len = 0;

	(void)state;
	pem_pair(TR_KEY_ED25519, &priv, &pub);
	assert_int_equal(troth_signer_new("nonsense", 8, &s, &err), TROTH_E_KEY);
	assert_int_equal(troth_signer_new(NULL, 0, &s, &err), TROTH_E_ARGUMENT);
	assert_int_equal(troth_signer_new((char *)pub.p, pub.n, &s, NULL), TROTH_E_KEY);
	assert_int_equal(troth_signer_load("/nonexistent", &s, &err), TROTH_E_FILE);
	assert_null(s);
	assert_int_equal(troth_signer_new((char *)priv.p, priv.n, &s, &err), TROTH_OK);

#define REFUSED(change)                                                                                      \
	do {                                                                                                 \
		c = sample(TROTH_FORM_NATIVE);                                                               \
		change;                                                                                      \
		err.message[0] = '\0';                                                                       \
		assert_int_equal(troth_signer_create_request(s, &c, &bytes, &len, &err), TROTH_E_ARGUMENT);  \
		assert_true(err.message[0] && !bytes);                                                       \
	} while (0)
	REFUSED(c.size = 0);
	REFUSED(c.size--);
	REFUSED(c.form = (enum troth_form)2);
	REFUSED(c.node_id = NULL);
	REFUSED(c.node_id = "a:b");
	REFUSED(c.binary_hash = "sha256:abc123def456");
	REFUSED(c.version = "");
	REFUSED(c.challenge = NULL);
	REFUSED(c.time_ms = -1);
#undef REFUSED

#define REFUSED(change)                                                                                      \
	do {                                                                                                 \
		p = enforce();                                                                               \
		change;                                                                                      \
		assert_int_equal(troth_verifier_new(&p, &v, &err), TROTH_E_ARGUMENT);                        \
		assert_null(v);                                                                              \
	} while (0)
	REFUSED(p.size = 1);
	REFUSED(p.mode = (enum troth_mode)3);
	REFUSED(p.min_tier = (enum troth_tier)4);
	REFUSED(p.accept_native = p.accept_original = false);
	REFUSED(p.skew_ms = -1);
	REFUSED(p.min_version = "new");
	REFUSED(p.versions = "1.0,,2.0");
	REFUSED(p.versions = "1.0,");
#undef REFUSED

	p = enforce();
	v = verifier(&p);
	assert_int_equal(troth_verifier_allow_hash(v, "sha256:12", &err), TROTH_E_ARGUMENT);
	assert_int_equal(troth_verifier_add_key(v, "x", 1, TROTH_KEY_FLEET, TROTH_KEY_ACTIVE, 0, 0, &err),
			 TROTH_E_KEY);
	assert_int_equal(troth_verifier_add_key(v, (char *)pub.p, pub.n, TROTH_KEY_FLEET,
						(enum troth_key_state)9, 0, 0, &err),
			 TROTH_E_ARGUMENT);
	assert_int_equal(troth_verifier_verify(v, "", 0, NULL, NOW_MS, &out, NULL, &err), TROTH_E_REFUSED);
	assert_string_equal(out.reason, "malformed");
	out.size = 3;
	assert_int_equal(troth_verifier_verify(v, "", 0, NULL, NOW_MS, &out, NULL, &err), TROTH_E_ARGUMENT);
	troth_verifier_free(v);
	troth_signer_free(s);
	troth_verifier_free(NULL);
	troth_signer_free(NULL);
	troth_free(NULL);
}

static void hashes_are_compared_as_written(void **state)
{
	struct troth_policy p = enforce();
	troth_verifier *v = verifier(&p);
	struct troth_error err;

	(void)state;
	assert_true(troth_verifier_verify_binary_hash(v, HASH, HASH));
	assert_false(troth_verifier_verify_binary_hash(v, HASH, OTHER));
	assert_false(troth_verifier_verify_binary_hash(v, &HASH[7], &HASH[7]));
	assert_false(troth_verifier_verify_binary_hash(v, "", ""));
	assert_false(troth_verifier_verify_binary_hash(v, NULL, HASH));
	assert_false(troth_verifier_verify_binary_hash(v, HASH, NULL));
	assert_int_equal(troth_verifier_allow_hash(v, OTHER, &err), TROTH_OK);
	assert_int_equal(troth_verifier_allow_hash(v, HASH, &err), TROTH_OK);
	assert_true(troth_verifier_verify_binary_hash(v, HASH, NULL));
	troth_verifier_free(v);
}

static void only_off_is_not_enabled(void **state)
{
	(void)state;
	for (int m = TROTH_MODE_OFF; m <= TROTH_MODE_ENFORCE; m++) {
		struct troth_policy p = enforce();
		troth_verifier *v;

		p.mode = (enum troth_mode)m;
		v = verifier(&p);
		assert_int_equal(troth_verifier_is_enabled(v), m != TROTH_MODE_OFF);
		troth_verifier_free(v);
	}
}

static void a_file_hashes_to_its_text(void **state)
{
	char hash[TROTH_HASH_TEXT_SIZE];
	struct troth_error err;

	(void)state;
	assert_int_equal(troth_hash_file("/dev/null", hash, &err), TROTH_OK);
	assert_string_equal(hash, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_int_equal(troth_hash_file("/nonexistent", hash, &err), TROTH_E_FILE);
	assert_int_equal(troth_hash_file("/", hash, &err), TROTH_E_FILE);
	assert_true(troth_version()[0] >= '0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_go_round),
		cmocka_unit_test(a_release_statement_vouches),
		cmocka_unit_test(wrong_arguments_are_named_not_obeyed),
		cmocka_unit_test(hashes_are_compared_as_written),
		cmocka_unit_test(only_off_is_not_enabled),
		cmocka_unit_test(a_file_hashes_to_its_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
