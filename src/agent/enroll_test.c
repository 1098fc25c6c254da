/* SPDX-License-Identifier: Apache-2.0 */
/* What we send is read back with the verifier's own code. */
#include "agent/enroll.h"

#include "agent/renew.h"
#include "base/file.h"
#include "codec/text.h"
#include "signed/claim.h"
#include "signed/claim_original.h"
#include "signed/release.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW INT64_C(1795312800123)

static struct tr_err err;
static const uint8_t challenge[32] = { 1 }, exporter[32] = { 2 };

static void member(tr_jnode doc, const char *name, struct tr_buf *ret)
{
	struct tr_view text;

	assert_true(tr_json_str(tr_json_get(doc, name), &text));
	assert_int_equal(tr_b64_get(text, TR_B64_STD, ret, &err), TR_OK);
}

static void the_native_body_verifies_for_every_key_type(void **state)
{
	(void)state;
	for (int type = 0; type < TR_KEY_TYPE_N; type++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
		tr_auto(tr_pubkey_free) struct tr_pubkey *pub = NULL;
		tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT, csr = TR_BUF_INIT, claim = TR_BUF_INIT;
		tr_auto(tr_json_free) struct tr_json *doc = NULL;
		static struct tr_evidence e;
		struct tr_claim c;

		memset(&e, 0, sizeof(e));
		e.image.hash[0] = 7;
		e.image.disk_differs = true;
		e.image.disk_hash[0] = 8;
		memset(e.image.disk_path, 'p', 1000);
		memcpy(e.version, "1.2.3", 6);
		assert_int_equal(tr_privkey_generate((enum tr_key_type)type, &k, &err), TR_OK);
		assert_int_equal(tr_enroll_native_body(&e, TR_VIEW_LIT("web-1"), k, TR_VIEW_ARRAY(challenge),
						       TR_VIEW_ARRAY(exporter), NOW, &out, &err),
				 TR_OK);
		assert_int_equal(tr_json_parse(tr_buf_view(&out), &doc, &err), TR_OK);
		member(tr_json_root(doc), "csr", &csr);
		member(tr_json_root(doc), "claim", &claim);
		assert_int_equal(tr_csr_check(tr_buf_view(&csr), &pub, &err), TR_OK);
		assert_int_equal(tr_claim_verify(tr_buf_view(&claim), pub, &c, &err), TR_OK);
		assert_true(tr_view_is(c.node_id, "web-1") && tr_view_is(c.version, "1.2.3"));
		assert_int_equal(c.timestamp_ms, NOW);
		assert_true(tr_view_eq(c.challenge, TR_VIEW_ARRAY(challenge)));
		assert_true(tr_view_eq(c.exporter, TR_VIEW_ARRAY(exporter)));
		assert_memory_equal(c.binary_hash, e.image.hash, 32);
		assert_memory_equal(c.disk_hash, e.image.disk_hash, 32);
		assert_true(c.disk_differs);
		assert_int_equal(c.disk_path.n, TR_CLAIM_PATH_MAX);
		assert_int_equal(c.release.n, 0);
	}
}

static void a_path_that_is_not_utf8_is_still_claimable(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	static struct tr_evidence e;
	static const char *const paths[] = { "/opt/\xff/agent", "\xff" };

	(void)state;
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &k, &err), TR_OK);
	memcpy(e.version, "1.2.3", 6);
	e.image.disk_differs = true;
	for (size_t i = 0; i < TR_ARRAY_LEN(paths); i++) {
		tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;

		snprintf(e.image.disk_path, sizeof(e.image.disk_path), "%s", paths[i]);
		assert_int_equal(tr_enroll_native_body(&e, TR_VIEW_LIT("web-1"), k, TR_VIEW_ARRAY(challenge),
						       TR_VIEW_ARRAY(exporter), NOW, &out, &err),
				 TR_OK);
	}
}

static void the_original_body_verifies_for_every_key_type(void **state)
{
	(void)state;
	for (int type = 0; type < TR_KEY_TYPE_N; type++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
		tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;
		tr_auto(tr_json_free) struct tr_json *doc = NULL;
		static struct tr_evidence e;
		struct tr_claim_original c;
		struct tr_view id;

		memcpy(e.version, "v1.2.3", 7);
		assert_int_equal(tr_privkey_generate((enum tr_key_type)type, &k, &err), TR_OK);
		assert_int_equal(tr_enroll_original_body(&e, TR_VIEW_LIT("web-1"), k, NOW, &out, &err),
				 TR_OK);
		assert_int_equal(tr_json_parse(tr_buf_view(&out), &doc, &err), TR_OK);
		assert_true(tr_json_str(tr_json_get(tr_json_root(doc), "node_id"), &id) &&
			    tr_view_is(id, "web-1"));
		assert_int_equal(
			tr_claim_original_read(tr_json_get(tr_json_root(doc), "attestation"), &c, &err),
			TR_OK);
		assert_int_equal(tr_claim_original_verify(&c, tr_privkey_pub(k), &err), TR_OK);
		assert_int_equal(c.timestamp_s, NOW / 1000);
	}
}

/* ---- versions and statements ---- */

static char dir[] = "/tmp/troth-evidence-XXXXXX", path[64];

static void put_statement(const uint8_t hash[32], const char *version)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_release r = {
		.name = TR_VIEW_LIT("troth-agent"),
		.version = tr_view_str(version),
		.platform = TR_VIEW_LIT("linux-amd64"),
		.size = 1,
		.counter = 1,
		.issued_ms = NOW,
	};

	memcpy(r.sha256, hash, 32);
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &k, &err), TR_OK);
	assert_int_equal(tr_release_sign(&r, k, &b, &err), TR_OK);
	assert_int_equal(tr_file_write(path, tr_buf_view(&b), 0644, &err), TR_OK);
}

static void the_version_comes_from_the_nearest_source(void **state)
{
	tr_auto(tr_evidence_done) struct tr_evidence first = { 0 };
	const uint8_t other[32] = { 9 };
	static const struct {
		const char *label, *option, *env, *enrolled;
		bool same_image, statement, statement_of_other;
		const char *want; /* NULL: refused */
	} cases[] = {
		{ "the program's", NULL, NULL, NULL, false, false, false, TROTH_VERSION },
		{ "the statement's", NULL, NULL, NULL, false, true, false, "7.0.0" },
		{ "another image's statement", NULL, NULL, NULL, false, true, true, TROTH_VERSION },
		{ "as enrolled", NULL, NULL, "6.0.0", true, true, false, "6.0.0" },
		{ "enrolled with another image", NULL, NULL, "6.0.0", false, true, false, "7.0.0" },
		{ "environment", NULL, "5.0.0", "6.0.0", true, true, false, "5.0.0" },
		{ "option", "4.0.0", "5.0.0", "6.0.0", true, true, false, "4.0.0" },
		{ "no version at all", "latest", NULL, NULL, false, false, false, NULL },
		{ "environment that is none", NULL, "a:b", NULL, false, false, false, NULL },
	};

	(void)state;
	assert_int_equal(tr_evidence_read(NULL, NULL, NULL, &first, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_evidence_done) struct tr_evidence e = { 0 };
		struct tr_agent_conf c = {
			.version = tr_view_str(cases[i].enrolled),
			.image = cases[i].same_image ? TR_VIEW_ARRAY(first.image.hash) : TR_VIEW_ARRAY(other),
		};
		enum tr_code rc;

		put_statement(cases[i].statement_of_other ? other : first.image.hash, "7.0.0");
		unsetenv("AGENT_VERSION");
		if (cases[i].env)
			setenv("AGENT_VERSION", cases[i].env, 1);
		rc = tr_evidence_read(cases[i].statement ? path : NULL, cases[i].option,
				      cases[i].enrolled ? &c : NULL, &e, &err);
		unsetenv("AGENT_VERSION");
		if (cases[i].want ? rc != TR_OK || strcmp(e.version, cases[i].want) != 0 : rc != TR_E_INVALID)
			fail_msg("%s: %d %s", cases[i].label, rc, e.version);
		if (!rc && e.statement_is_of_other_image != cases[i].statement_of_other)
			fail_msg("%s: statement", cases[i].label);
	}
}

static void a_statement_that_was_named_must_be_one(void **state)
{
	tr_auto(tr_evidence_done) struct tr_evidence e = { 0 };

	(void)state;
	assert_int_equal(tr_evidence_read("/nonexistent", NULL, NULL, &e, &err), TR_E_NOTFOUND);
	assert_int_equal(tr_file_write(path, TR_VIEW_LIT("hello"), 0644, &err), TR_OK);
	assert_int_equal(tr_evidence_read(path, NULL, NULL, &e, &err), TR_E_INVALID);
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/x.release", dir);
	return 0;
}

static int drop_dir(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_native_body_verifies_for_every_key_type),
		cmocka_unit_test(a_path_that_is_not_utf8_is_still_claimable),
		cmocka_unit_test(the_original_body_verifies_for_every_key_type),
		cmocka_unit_test(the_version_comes_from_the_nearest_source),
		cmocka_unit_test(a_statement_that_was_named_must_be_one),
	};

	if (tr_crypto_init(&err))
		return 1;
	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
