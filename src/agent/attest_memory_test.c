/* SPDX-License-Identifier: Apache-2.0 */
/* Without memory: each allocation of ours fails once (cmake/evidence.cmake), and what is chosen, sent and kept is the same as
 * with it, or an error. Never less: a platform that was named must not turn into "auto". */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "agent/attest.h"
#include "base/failing_memory.h"
#include "base/file.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static char dir[32], seed[64];
static struct tr_state state_folder = TR_STATE_INIT;
static struct tr_privkey *key;
static struct tr_buf evidence, good_body;
static const uint8_t challenge[32] = { 7 };

static bool choose(void)
{
	tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
	struct tr_err err;

	if (tr_tee_choice_make(&state_folder, &c, &err))
		return false;
	assert_string_equal(c.source->name, "simulated");
	assert_string_equal(c.conf.platform, "simulated");
	assert_string_equal(c.conf.sim_kind, "sgx");
	assert_string_equal(c.conf.sim_seed, seed);
	assert_true(c.conf.sim_debug);
	return true;
}

static bool prove(void)
{
	tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	struct tr_tee_set read;
	struct tr_err err;

	if (tr_tee_choice_make(&state_folder, &c, &err) ||
	    tr_attest_evidence(&c, TR_VIEW_ARRAY(challenge), tr_pubkey_spki(tr_privkey_pub(key)), &set, &err))
		return false;
	countdown = 0; /* what follows is the test's own */
	assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &read, &err), TR_OK);
	assert_int_equal(read.kind, TR_TEE_SGX);
	return true;
}

static struct tr_attest_request request(void)
{
	static const struct tr_view capabilities[] = { TR_VIEW_LIT("index") };

	return (struct tr_attest_request){ .agent_id = TR_VIEW_LIT("web-1"), .agent_type = TR_VIEW_LIT("web"),
					   .challenge = TR_VIEW_ARRAY(challenge), .set = tr_buf_view(&evidence),
					   .capabilities = capabilities, .n_capabilities = 1, .key = tr_privkey_pub(key),
					   .prekey = TR_VIEW_LIT("pre"), .activation_id = TR_VIEW_LIT("0123456789abcdef"),
					   .activation_secret = TR_VIEW_LIT("opened") };
}

static bool body(void)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_attest_request q = request();
	struct tr_err err;

	if (tr_attest_body(&q, &b, &err))
		return false;
	assert_true(tr_view_eq(tr_buf_view(&b), tr_buf_view(&good_body)));
	return true;
}

static bool keep(void)
{
	const struct tr_attestation a = { .state = TR_VIEW_LIT("refused"), .code = TR_VIEW_LIT("tee_debug"),
					  .why = TR_VIEW_LIT("its host \"reads\" it"), .failures = 2 };
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct tr_attestation b = { 0 };
	struct tr_err err;

	if (tr_attestation_save(&state_folder, &a, &err) || tr_attestation_load(&state_folder, &doc, &arena, &b, &err))
		return false;
	assert_true(tr_view_eq(a.state, b.state) && tr_view_eq(a.code, b.code) && tr_view_eq(a.why, b.why) && b.failures == 2);
	return true;
}

static void no_allocation_is_taken_for_granted(void **state)
{
	static const struct { const char *what; bool (*run)(void); } rows[] = {
		{ "choosing", choose }, { "evidence", prove }, { "the registration", body }, { "attestation.json", keep },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		unsigned long n = 0;
		bool yes;

		assert_true(rows[i].run());
		do {
			n++;
			failed = false;
			countdown = n;
			yes = rows[i].run();
			countdown = 0;
			if (yes && failed)
				fail_msg("%s: goes on without its allocation %lu", rows[i].what, n);
		} while (failed && n < 10000);
		assert_true(n > 1 && n < 10000);
		print_message("%s: %lu allocations\n", rows[i].what, n - 1);
	}
}

static int prepare(void **state)
{
	tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
	struct tr_tee_settings t = { .platform = TR_VIEW_LIT("simulated"), .sim_kind = TR_VIEW_LIT("sgx"), .sim_debug = true };
	struct tr_attest_request q;
	uint8_t sha256[32];
	char folder[48];
	struct tr_err err;

	(void)state;
	memcpy(dir, "/tmp/troth-attest-XXXXXX", sizeof("/tmp/troth-attest-XXXXXX"));
	if (!mkdtemp(dir) || unsetenv("TEE_PLATFORM"))
		return -1;
	(void)snprintf(folder, sizeof(folder), "%s/vendor", dir);
	(void)snprintf(seed, sizeof(seed), "%s/seed", folder);
	t.seed = tr_view_str(seed);
	if (tr_tee_simulate_root(folder, TR_TEE_SGX, sha256, &err) || tr_state_open(dir, &state_folder, &err) ||
	    tr_tee_settings_save(&state_folder, &t, &err) || tr_tee_choice_make(&state_folder, &c, &err) ||
	    tr_privkey_generate(TR_KEY_ED25519, &key, &err) ||
	    tr_attest_evidence(&c, TR_VIEW_ARRAY(challenge), tr_pubkey_spki(tr_privkey_pub(key)), &evidence, &err))
		return -1;
	q = request();
	return tr_attest_body(&q, &good_body, &err) ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int clear(void **state)
{
	(void)state;
	key = tr_privkey_free(key);
	tr_buf_done(&evidence);
	tr_buf_done(&good_body);
	tr_state_done(&state_folder);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(no_allocation_is_taken_for_granted) };

	return cmocka_run_group_tests(tests, prepare, clear);
}
