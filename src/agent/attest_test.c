/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent, when it is sent again, and where the evidence comes from. */
#include "agent/attest.h"

#include "agent/state.h"
#include "appraise/tee.h"
#include "base/file.h"
#include "codec/text.h"
#include "evidence/sim.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#define NOW INT64_C(1795312800123)

static const uint8_t challenge[32] = { 1, 2, 3 };
static char dir[32];
static struct tr_err err;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int make_folder(void **state)
{
	(void)state;
	memcpy(dir, "/tmp/troth-attest-XXXXXX", sizeof("/tmp/troth-attest-XXXXXX"));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(unsetenv("TEE_PLATFORM"), 0);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void open_state(struct tr_state *s)
{
	*s = TR_STATE_INIT;
	assert_int_equal(tr_state_open(dir, s, &err), TR_OK);
}

/* ---- where evidence comes from ---- */

static void simulate(char seed[64], enum tr_tee_kind kind)
{
	char folder[48];
	uint8_t sha256[32];

	(void)snprintf(folder, sizeof(folder), "%s/vendor", dir);
	(void)snprintf(seed, 64, "%s/seed", folder);
	assert_int_equal(tr_tee_simulate_root(folder, kind, sha256, &err), TR_OK);
}

static void settings_come_back_as_they_were_saved(void **state)
{
	const struct tr_tee_settings t = { .platform = TR_VIEW_LIT("none"), .seed = TR_VIEW_LIT("/s \"e\\ed"),
					   .sim_kind = TR_VIEW_LIT("snp"), .sim_program = TR_VIEW_LIT("00ff"), .sim_debug = true,
					   .tcti = TR_VIEW_LIT("swtpm:path=/x"), .secretvm_url = TR_VIEW_LIT("https://a:1"),
					   .secretvm_scheme = TR_VIEW_LIT("raw-ed25519"), .secretvm_quote = TR_VIEW_LIT("/q") };
	tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	char path[64];
	struct stat st;

	(void)state;
	open_state(&s);
	assert_int_equal(tr_tee_settings_save(&s, &t, &err), TR_OK);
	assert_int_equal(tr_tee_choice_make(&s, &c, &err), TR_OK);
	assert_null(c.source);
	assert_string_equal(c.conf.platform, "none");
	assert_string_equal(c.conf.sim_seed, "/s \"e\\ed");
	assert_string_equal(c.conf.sim_kind, "snp");
	assert_string_equal(c.conf.sim_program, "00ff");
	assert_true(c.conf.sim_debug);
	assert_string_equal(c.conf.tpm_tcti, "swtpm:path=/x");
	assert_string_equal((const char *)c.conf.fetch_arg, "https://a:1");
	assert_string_equal(c.conf.secretvm_scheme, "raw-ed25519");
	assert_string_equal(c.conf.secretvm_quote, "/q");
	assert_string_equal(c.conf.state_dir, dir);
	assert_non_null(c.conf.fetch);
	(void)snprintf(path, sizeof(path), "%s/" TR_TEE_CONF_FILE, dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
}

static void the_environment_comes_before_the_file(void **state)
{
	/* Platform of the file, of the environment; what is chosen, or the code. */
	static const struct { const char *file, *env, *source; enum tr_code rc; } rows[] = {
		{ "simulated", NULL, "simulated", TR_OK },
		{ "simulated", "", "simulated", TR_OK },
		{ "simulated", "none", NULL, TR_OK },
		{ "none", NULL, NULL, TR_OK },
		{ "none", "simulated", "simulated", TR_OK },
		{ "abacus", NULL, NULL, TR_E_INVALID },
		{ "simulated", "abacus", NULL, TR_E_INVALID },
		{ "simulated", " simulated", NULL, TR_E_INVALID },
		{ "abacus", "none", NULL, TR_OK },
	};
	char seed[64];

	(void)state;
	simulate(seed, TR_TEE_TDX);
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
		tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
		const struct tr_tee_settings t = { .platform = tr_view_str(rows[i].file), .seed = tr_view_str(seed) };

		open_state(&s);
		assert_int_equal(tr_tee_settings_save(&s, &t, &err), TR_OK);
		assert_int_equal(rows[i].env ? setenv("TEE_PLATFORM", rows[i].env, 1) : unsetenv("TEE_PLATFORM"), 0);
		assert_int_equal(tr_tee_choice_make(&s, &c, &err), rows[i].rc);
		if (rows[i].rc)
			assert_non_null(strstr(err.pub, "TEE_PLATFORM is one of"));
		else if (rows[i].source)
			assert_string_equal(c.source->name, rows[i].source);
		else
			assert_null(c.source);
		assert_int_equal(unsetenv("TEE_PLATFORM"), 0);
	}
}

/* Whoever keeps the error must not find one: it would be shown as a source that fails. */
static void an_agent_that_was_told_nothing_has_no_error(void **state)
{
	tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	struct tr_err kept = { 0 };

	(void)state;
	open_state(&s);
	assert_int_equal(tr_tee_choice_make(&s, &c, &kept), TR_OK);
	assert_int_equal(kept.code, TR_OK);
}

static void what_was_named_and_is_not_there_is_an_error(void **state)
{
	const struct tr_tee_settings t = { .platform = TR_VIEW_LIT("simulated"), .seed = TR_VIEW_LIT("/nowhere/seed") };
	tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;

	(void)state;
	open_state(&s);
	assert_int_equal(tr_tee_settings_save(&s, &t, &err), TR_OK);
	assert_int_equal(tr_tee_choice_make(&s, &c, &err), TR_E_UNAVAIL);
	assert_non_null(strstr(err.detail, "/nowhere/seed"));
	assert_null(c.source);
}

static void a_damaged_file_is_an_error_and_names_itself(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "{\"platform\":1}", "{\"platform\":\"none\",\"surprise\":1}",
					     "{\"platform\":\"none\"} x", "{\"sim_debug\":\"yes\"}" };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(texts); i++) {
		tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
		tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;

		open_state(&s);
		assert_int_equal(tr_state_write(&s, TR_TEE_CONF_FILE, tr_view_str(texts[i]), &err), TR_OK);
		assert_int_equal(tr_tee_choice_make(&s, &c, &err), TR_E_INVALID);
		assert_non_null(strstr(err.detail, TR_TEE_CONF_FILE));
	}
}

/* ---- what became of it ---- */

static void attestation_comes_back_as_it_was_saved(void **state)
{
	static const uint8_t key[32] = { 9 };
	const struct tr_attestation a = {
		.state = TR_VIEW_LIT("verified"), .source = TR_VIEW_LIT("tpm"), .kind = TR_VIEW_LIT("tpm"),
		.policy = TR_VIEW_LIT("gold"), .verdict = TR_VIEW_LIT("0123456789abcdef"), .tier = TR_VIEW_LIT("hardware"),
		.tcb_status = TR_VIEW_LIT("UpToDate"), .simulated = true, .verified_at = NOW, .expires_at = NOW + 1000,
		.key_id = TR_VIEW_ARRAY(key), .code = TR_VIEW_LIT("pcr_mismatch"), .why = TR_VIEW_LIT("PCR 7 \"\n\xc3\xa9"),
		.failed_at = NOW + 1, .failures = 3, .stands = true,
	};
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL, *none = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct tr_attestation b = { 0 };

	(void)state;
	open_state(&s);
	assert_int_equal(tr_attestation_load(&s, &none, &arena, &b, &err), TR_E_NOTFOUND);
	assert_int_equal(tr_attestation_save(&s, &a, &err), TR_OK);
	assert_int_equal(tr_attestation_load(&s, &doc, &arena, &b, &err), TR_OK);
	assert_true(tr_view_eq(a.state, b.state) && tr_view_eq(a.source, b.source) && tr_view_eq(a.kind, b.kind));
	assert_true(tr_view_eq(a.policy, b.policy) && tr_view_eq(a.verdict, b.verdict) && tr_view_eq(a.tier, b.tier));
	assert_true(tr_view_eq(a.tcb_status, b.tcb_status) && tr_view_eq(a.code, b.code) && tr_view_eq(a.why, b.why));
	assert_true(b.simulated && b.verified_at == NOW && b.expires_at == NOW + 1000 && tr_view_eq(a.key_id, b.key_id));
	assert_true(b.failed_at == NOW + 1 && b.failures == 3);
	assert_false(b.stands); /* of one answer, not of the file */
	/* What a newer agent left is read as far as we know it. */
	assert_int_equal(tr_state_write(&s, TR_ATTESTATION_FILE, TR_VIEW_LIT("{\"state\":\"refused\",\"mood\":\"sad\"}"), &err), TR_OK);
	doc = tr_json_free(doc);
	tr_buf_clear(&arena);
	assert_int_equal(tr_attestation_load(&s, &doc, &arena, &b, &err), TR_OK);
	assert_true(tr_view_is(b.state, "refused") && !b.verified_at && !b.key_id.n);
}

/* ---- when ---- */

static void it_is_due_between_two_and_four_fifths_of_its_life(void **state)
{
	static const int64_t lives[] = { 60000, 61234, 600000, 14400000, 86400000, INT64_C(31536000000) };
	static const uint32_t randoms[] = { 0, 1, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xdeadbeef, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(lives); i++) {
		const int64_t life = lives[i];
		int64_t first = INT64_MAX, last = 0;

		for (size_t j = 0; j < TR_ARRAY_LEN(randoms) + 1000; j++) {
			uint32_t r = j < TR_ARRAY_LEN(randoms) ? randoms[j] : (uint32_t)(j * 2654435761u);
			const int64_t after = tr_attest_due_ms(NOW, NOW + life, r) - NOW;

			assert_in_range(after, life / 5 * 2, life / 5 * 4);
			first = after < first ? after : first;
			last = after > last ? after : last;
		}
		/* A fleet that began at once does not come at once: nearly all of that span is used. */
		assert_true(last - first > life / 5 * 2 * 9 / 10);
	}
	/* It ended already, or a server's clock went back: at once. */
	assert_int_equal(tr_attest_due_ms(NOW, NOW, UINT32_MAX), NOW);
	assert_int_equal(tr_attest_due_ms(NOW, NOW - 5000, UINT32_MAX), NOW);
}

/* ---- what is sent ---- */

static void member_is(tr_jnode n, const char *name, struct tr_view expected)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_view text;

	assert_true(tr_json_str(tr_json_get(n, name), &text));
	assert_int_equal(tr_b64_get(text, TR_B64_STD, &b, &err), TR_OK);
	assert_true(tr_view_eq(tr_buf_view(&b), expected));
}

static void text_is(tr_jnode n, const char *name, const char *expected)
{
	struct tr_view text;

	assert_true(tr_json_str(tr_json_get(n, name), &text));
	assert_true(tr_view_is(text, expected));
}

static void evidence_speaks_for_challenge_and_key(void **state)
{
	static const enum tr_key_type types[] = { TR_KEY_ED25519, TR_KEY_P256 };
	char seed[64];

	(void)state;
	simulate(seed, TR_TEE_TDX);
	for (size_t i = 0; i < TR_ARRAY_LEN(types); i++) {
		const struct tr_tee_settings t = { .platform = TR_VIEW_LIT("simulated"), .seed = tr_view_str(seed) };
		const struct tr_view capabilities[] = { TR_VIEW_LIT("index"), TR_VIEW_LIT("search") };
		tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
		tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
		tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
		tr_auto(tr_pubkey_free) struct tr_pubkey *pub = NULL;
		tr_auto(tr_json_free) struct tr_json *doc = NULL, *least = NULL;
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT, body = TR_BUF_INIT, bare = TR_BUF_INIT;
		static struct tr_quote quote;
		struct tr_attest_request q = { .agent_id = TR_VIEW_LIT("web-1"), .agent_type = TR_VIEW_LIT("web"),
					       .endpoint = TR_VIEW_LIT("https://h:1"), .attestation_endpoint = TR_VIEW_LIT("https://h:2"),
					       .challenge = TR_VIEW_ARRAY(challenge),
					       .capabilities = capabilities, .n_capabilities = 2,
					       .prekey = TR_VIEW_LIT("pre"), .activation_id = TR_VIEW_LIT("0123456789abcdef"),
					       .activation_secret = TR_VIEW_LIT("opened") };
		enum tr_tee_code code;
		struct tr_tee_set read;
		struct tr_view text;
		uint8_t expected[64];
		tr_jnode root, data;

		open_state(&s);
		assert_int_equal(tr_tee_settings_save(&s, &t, &err), TR_OK);
		assert_int_equal(tr_tee_choice_make(&s, &c, &err), TR_OK);
		assert_int_equal(tr_privkey_generate(types[i], &k, &err), TR_OK);
		q.key = tr_privkey_pub(k);
		assert_int_equal(tr_attest_evidence(&c, q.challenge, tr_pubkey_spki(q.key), &set, &err), TR_OK);
		assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &read, &err), TR_OK);
		assert_int_equal(read.kind, TR_TEE_TDX);
		assert_int_equal(tr_quote_parse(read.quote, &quote, &code, &err), TR_OK);
		tr_rd_troth(q.challenge, tr_pubkey_spki(q.key), expected);
		assert_true(tr_view_eq(quote.td.report_data, TR_VIEW_ARRAY(expected)));

		q.set = tr_buf_view(&set);
		assert_int_equal(tr_attest_body(&q, &body, &err), TR_OK);
		assert_int_equal(tr_json_parse(tr_buf_view(&body), &doc, &err), TR_OK);
		root = tr_json_root(doc);
		data = tr_json_get(root, "attestation_data");
		text_is(root, "agent_id", "web-1");
		text_is(root, "agent_type", "web");
		text_is(root, "endpoint", "https://h:1");
		text_is(root, "attestation_endpoint", "https://h:2");
		assert_int_equal(tr_json_len(tr_json_get(root, "capabilities")), 2);
		text_is(data, "kind", "tdx");
		member_is(data, "quote", read.quote);
		member_is(data, "challenge", q.challenge);
		member_is(data, "evidence", q.set);
		member_is(root, "prekey", q.prekey);
		text_is(tr_json_get(root, "activation"), "id", "30313233343536373839616263646566");
		member_is(tr_json_get(root, "activation"), "secret", q.activation_secret);
		assert_true(tr_json_str(tr_json_get(data, "public_key"), &text));
		assert_int_equal(tr_pubkey_from_pem(text, &pub, &err), TR_OK);
		assert_true(tr_view_eq(tr_pubkey_spki(pub), tr_pubkey_spki(q.key)));

		/* What there is nothing of is left out: the server refuses empty ones. */
		q = (struct tr_attest_request){ .agent_id = q.agent_id, .challenge = q.challenge, .set = q.set, .key = q.key };
		assert_int_equal(tr_attest_body(&q, &bare, &err), TR_OK);
		assert_int_equal(tr_json_parse(tr_buf_view(&bare), &least, &err), TR_OK);
		root = tr_json_root(least);
		assert_null(tr_json_get(root, "endpoint"));
		assert_null(tr_json_get(root, "attestation_endpoint"));
		assert_null(tr_json_get(root, "prekey"));
		assert_null(tr_json_get(root, "activation"));
		assert_int_equal(tr_json_len(tr_json_get(root, "capabilities")), 0);
		q.set = TR_VIEW_LIT("no set");
		tr_buf_clear(&bare);
		assert_int_equal(tr_attest_body(&q, &bare, &err), TR_E_INVALID);
	}
}

static void without_a_source_there_is_no_evidence(void **state)
{
	const struct tr_tee_choice none = { 0 };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;

	(void)state;
	assert_int_equal(tr_attest_evidence(&none, TR_VIEW_ARRAY(challenge), TR_VIEW_LIT("key"), &set, &err), TR_E_UNAVAIL);
	assert_int_equal(set.n, 0);
}

int main(void)
{
#define IN_FOLDER(t) cmocka_unit_test_setup_teardown(t, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(settings_come_back_as_they_were_saved),
		IN_FOLDER(the_environment_comes_before_the_file),
		IN_FOLDER(an_agent_that_was_told_nothing_has_no_error),
		IN_FOLDER(what_was_named_and_is_not_there_is_an_error),
		IN_FOLDER(a_damaged_file_is_an_error_and_names_itself),
		IN_FOLDER(attestation_comes_back_as_it_was_saved),
		IN_FOLDER(evidence_speaks_for_challenge_and_key),
		cmocka_unit_test(it_is_due_between_two_and_four_fifths_of_its_life),
		cmocka_unit_test(without_a_source_there_is_no_evidence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
