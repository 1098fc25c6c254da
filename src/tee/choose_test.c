/* SPDX-License-Identifier: Apache-2.0 */
/* Which source is taken, the simulated one, and SecretVM's texts. */
#include "tee/kernel_test.h"

#include "base/file.h"
#include "codec/text.h"
#include "crypto/hash.h"

#include <ftw.h>
#include <sys/stat.h>

static const struct tr_tee_ask ask = { .report_data = { 3, 1, 4, [63] = 1 } };

static enum tr_code fetch(void *arg, const char *path, size_t max, struct tr_buf *ret, struct tr_err *err)
{
	const struct tr_buf *text = arg;

	assert_string_equal(path, "/cpu");
	assert_true(text->n <= max);
	tr_buf_addv(ret, tr_buf_view(text));
	return tr_buf_check(ret, err);
}

static void what_is_named_is_taken_or_nothing(void **state)
{
	enum { CONFIGFS = 1, SEV = 2, TDX = 4, FETCH = 8, NO_PROVIDER = 16, NOT_ROOT = 32 };
	static const struct { const char *platform; unsigned there; enum tr_code rc; const char *name; } rows[] = {
		{ "auto", 0, TR_OK, NULL },
		{ NULL, 0, TR_OK, NULL },
		{ "", CONFIGFS, TR_OK, "configfs-tsm" },
		{ "auto", CONFIGFS | SEV | TDX, TR_OK, "configfs-tsm" },
		{ "auto", SEV | TDX, TR_OK, "sev-guest" },
		{ "auto", TDX, TR_OK, NULL },
		{ "auto", FETCH, TR_OK, NULL },
		/* A kernel that could, on a machine that is no guest. */
		{ "auto", CONFIGFS | NO_PROVIDER, TR_OK, NULL },
		{ "auto", CONFIGFS | NO_PROVIDER | SEV, TR_OK, "sev-guest" },
		{ "tdx", CONFIGFS | NO_PROVIDER, TR_E_UNAVAIL, NULL },
		/* Not allowed is not absent. */
		{ "auto", CONFIGFS | NOT_ROOT | SEV, TR_OK, "configfs-tsm" },
		{ "none", CONFIGFS | SEV, TR_OK, NULL },
		{ "tdx", CONFIGFS | TDX, TR_OK, "configfs-tsm" },
		{ "tdx", TDX, TR_OK, "tdx-guest" },
		{ "tdx", SEV, TR_E_UNAVAIL, NULL },
		{ "snp", SEV, TR_OK, "sev-guest" },
		{ "snp", TDX, TR_E_UNAVAIL, NULL },
		{ "secretvm", FETCH, TR_OK, "secretvm" },
		{ "secretvm", CONFIGFS, TR_E_UNAVAIL, NULL },
		{ "simulated", CONFIGFS, TR_E_UNAVAIL, NULL },
		{ "sgx", CONFIGFS, TR_E_INVALID, NULL },
		{ "TDX", CONFIGFS, TR_E_INVALID, NULL },
		{ "tdx snp", CONFIGFS, TR_E_INVALID, NULL },
		{ " ", CONFIGFS, TR_E_INVALID, NULL },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(fake_done) struct fake f = { .provider = rows[i].there & CONFIGFS ? "tdx_guest\n" : NULL,
						     .has_sev = rows[i].there & SEV, .has_tdx = rows[i].there & TDX,
						     .mkdir_error = rows[i].there & NO_PROVIDER ? ENXIO :
								    rows[i].there & NOT_ROOT ? EACCES : 0 };
		const struct tr_tee_source *s = &tr_tee_secretvm;
		struct tr_tee_ops ops;
		struct tr_tee_conf c;
		struct tr_err err;

		fake_conf(&f, &ops, &c);
		c.platform = rows[i].platform;
		/* Whether this machine has a TPM is not asked here. */
		c.tpm_tcti = "none";
		c.fetch = rows[i].there & FETCH ? fetch : NULL;
		if (tr_tee_choose(&c, &s, &err) != rows[i].rc)
			fail_msg("%s with %u: another outcome", rows[i].platform, rows[i].there);
		if (rows[i].rc)
			assert_ptr_equal(s, &tr_tee_secretvm);
		else if (rows[i].name)
			assert_string_equal(s->name, rows[i].name);
		else
			assert_null(s);
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

struct folder {
	char path[64];
};

static void folder_done(struct folder *f)
{
	(void)nftw(f->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
TR_DEFINE_AUTO_DONE(struct folder, folder_done)

static void a_simulated_tee_quotes_for_its_own_root(void **state)
{
	tr_auto(folder_done) struct folder dir = { "/tmp/troth-tee-XXXXXX" };
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT, pem = TR_BUF_INIT;
	char sub[80], seed[96], file[120];
	const struct tr_tee_source *s;
	uint8_t digest[32], seen[32];
	struct tr_tee_conf c;
	struct tr_tee_set got;
	struct tr_quote q;
	enum tr_tee_code code;
	struct stat st;
	struct tr_err err;

	(void)state;
	assert_non_null(mkdtemp(dir.path));
	(void)snprintf(sub, sizeof(sub), "%s/sim", dir.path);
	(void)snprintf(seed, sizeof(seed), "%s/seed", sub);
	assert_int_equal(tr_tee_simulate_root(sub, TR_TEE_TDX, digest, &err), TR_OK);
	assert_int_equal(stat(seed, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* Another one in the same place would take the trust of the first with it. */
	assert_int_equal(tr_tee_simulate_root(sub, TR_TEE_TDX, seen, &err), TR_E_CONFLICT);
	(void)snprintf(file, sizeof(file), "%s/tcb_info.json", sub);
	assert_true(tr_file_exists(file));
	(void)snprintf(file, sizeof(file), "%s/quote.bin", sub);
	assert_false(tr_file_exists(file));

	(void)snprintf(file, sizeof(file), "%s/root_ca.pem", sub);
	assert_int_equal(tr_file_read(file, 8192, &pem, &err), TR_OK);

	tr_tee_conf_init(&c);
	c.platform = "simulated";
	c.sim_seed = seed;
	assert_int_equal(tr_tee_choose(&c, &s, &err), TR_OK);
	assert_string_equal(s->name, "simulated");
	assert_int_equal(s->quote(&c, &ask, &set, &err), TR_OK);
	assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &got, &err), TR_OK);
	assert_int_equal(got.kind, TR_TEE_TDX);
	assert_int_equal(tr_quote_parse(got.quote, &q, &code, &err), TR_OK);
	assert_memory_equal(q.td.report_data.p, ask.report_data, 64);
	assert_false(q.td.td_attributes & 1);

	/* The root of the file is the one that was told, and the one of the chain in the quote. */
	{
		tr_auto(tr_buf_done) struct tr_buf ders = TR_BUF_INIT, chain = TR_BUF_INIT;
		struct tr_view root, certs[3]; /* leaf first */
		struct tr_x_cert x;
		size_t n;

		assert_int_equal(tr_x_pem_chain(tr_buf_view(&pem), "CERTIFICATE", 1, &ders, &root, &n, &err), TR_OK);
		assert_int_equal(tr_x_cert_parse(root, &x, &err), TR_OK);
		tr_sha256(x.spki, seen);
		assert_memory_equal(seen, digest, 32);
		assert_int_equal(tr_x_pem_chain(q.cert_data, "CERTIFICATE", 3, &chain, certs, &n, &err), TR_OK);
		assert_int_equal(n, 3);
		assert_int_equal(tr_x_cert_parse(certs[2], &x, &err), TR_OK);
		tr_sha256(x.spki, seen);
		assert_memory_equal(seen, digest, 32);
	}
}

static void a_simulated_tee_can_be_what_a_policy_refuses(void **state)
{
	static const char program[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	tr_auto(folder_done) struct folder dir = { "/tmp/troth-tee-XXXXXX" };
	static const uint8_t bytes[32] = { 7 };
	char seed[96];
	struct tr_tee_conf c;
	struct tr_err err;

	(void)state;
	assert_non_null(mkdtemp(dir.path));
	(void)snprintf(seed, sizeof(seed), "%s/seed", dir.path);
	tr_tee_conf_init(&c);
	c.platform = "simulated";
	c.sim_seed = seed;
	assert_int_equal(tr_file_create(seed, TR_VIEW_ARRAY(bytes), 0600, &err), TR_OK);
	for (unsigned i = 0; i < 2; i++) {
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
		enum tr_tee_code code;
		struct tr_tee_set got;
		struct tr_quote q;

		c.sim_kind = i ? "sgx" : "tdx";
		c.sim_debug = true;
		c.sim_program = i ? program + 32 : program;
		assert_int_equal(tr_tee_simulated.quote(&c, &ask, &set, &err), TR_OK);
		assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &got, &err), TR_OK);
		assert_int_equal(tr_quote_parse(got.quote, &q, &code, &err), TR_OK);
		assert_true(i ? (q.sgx.flags & 2) != 0 : (q.td.td_attributes & 1) != 0);
		assert_int_equal(i ? q.sgx.mrenclave.p[31] : q.td.mrtd.p[47], 0xaa);
	}
	c.sim_program = "aa";
	{
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;

		assert_int_equal(tr_tee_simulated.quote(&c, &ask, &set, &err), TR_E_INVALID);
		c.sim_program = NULL;
		c.sim_kind = "tpm";
		assert_int_equal(tr_tee_simulated.quote(&c, &ask, &set, &err), TR_E_INVALID);
		c.sim_kind = "tdx";
		assert_int_equal(chmod(seed, 0644), 0);
		assert_int_equal(tr_tee_simulated.quote(&c, &ask, &set, &err), TR_E_DENIED);
		assert_int_equal(chmod(seed, 0600), 0);
		assert_int_equal(truncate(seed, 31), 0);
		assert_int_equal(tr_tee_simulated.quote(&c, &ask, &set, &err), TR_E_INVALID);
		assert_int_equal(set.n, 0);
	}
}

/* ---- SecretVM ---- */

static void make_quote(struct tr_buf *ret)
{
	tr_auto(tr_sim_free) struct tr_sim *sim = NULL;
	struct tr_sim_spec spec;
	struct tr_err err;

	tr_sim_spec(TR_TEE_TDX, &spec);
	assert_int_equal(tr_sim_new(NULL, &sim, &err), TR_OK);
	assert_int_equal(tr_sim_quote(sim, &spec, ret, &err), TR_OK);
}

static void a_secretvms_quote_is_hex_or_base64(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf tdx = TR_BUF_INIT;
	uint8_t snp[TR_SNP_REPORT_LEN] = { 3, [0x0a] = 3, [0x34] = 1 };

	(void)state;
	make_quote(&tdx);
	for (unsigned i = 0; i < 4; i++) {
		tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, got = TR_BUF_INIT;
		struct tr_view in = i & 1 ? TR_VIEW_ARRAY(snp) : tr_buf_view(&tdx);
		enum tr_tee_kind kind = TR_TEE_NONE;
		struct tr_err err;

		tr_buf_adds(&text, " \r\n");
		if (i < 2)
			tr_hex_add(&text, in);
		else
			tr_b64_add(&text, in, TR_B64_STD);
		tr_buf_adds(&text, "\n");
		assert_int_equal(tr_secretvm_quote(tr_buf_view(&text), &got, &kind, &err), TR_OK);
		assert_int_equal(kind, i & 1 ? TR_TEE_SNP : TR_TEE_TDX);
		assert_true(tr_view_eq(tr_buf_view(&got), in));
	}
}

static void other_texts_of_a_secretvm_are_refused(void **state)
{
	static const char *const texts[] = { "", " \n", "0", "00", "0400zz", "<html><pre>0400</pre>", "{\"error\":\"no file\"}",
					     "AAAA", "0400 0200" };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(texts); i++) {
		tr_auto(tr_buf_done) struct tr_buf got = TR_BUF_INIT;
		enum tr_tee_kind kind = TR_TEE_NONE;
		struct tr_err err;

		assert_int_equal(tr_secretvm_quote(tr_view_str(texts[i]), &got, &kind, &err), TR_E_INVALID);
		assert_int_equal(kind, TR_TEE_NONE);
		assert_int_equal(got.n, 0);
	}
}

static void a_secretvms_quote_comes_from_a_file_or_its_address(void **state)
{
	tr_auto(folder_done) struct folder dir = { "/tmp/troth-tee-XXXXXX" };
	tr_auto(tr_buf_done) struct tr_buf quote = TR_BUF_INIT, text = TR_BUF_INIT;
	struct tr_tee_conf c;
	char path[96];
	struct tr_err err;

	(void)state;
	assert_non_null(mkdtemp(dir.path));
	(void)snprintf(path, sizeof(path), "%s/docker_attestation_ed25519.txt", dir.path);
	make_quote(&quote);
	tr_hex_add(&text, tr_buf_view(&quote));
	assert_int_equal(tr_file_create(path, tr_buf_view(&text), 0644, &err), TR_OK);
	tr_tee_conf_init(&c);
	c.platform = "secretvm";
	for (unsigned i = 0; i < 2; i++) {
		tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
		const struct tr_tee_source *s;
		struct tr_tee_set got;

		c.secretvm_quote = i ? NULL : path;
		c.fetch = i ? fetch : NULL;
		c.fetch_arg = &text;
		assert_int_equal(tr_tee_choose(&c, &s, &err), TR_OK);
		assert_true(s->is_static);
		assert_int_equal(s->quote(&c, &ask, &set, &err), TR_OK);
		assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &got, &err), TR_OK);
		assert_int_equal(got.kind, TR_TEE_TDX);
		assert_true(tr_view_eq(got.quote, tr_buf_view(&quote)));
	}
}

static void its_signing_service_signs_text(void **state)
{
	static const struct { const char *json; enum tr_code rc; } answers[] = {
		{ "{\"signature\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==\"}",
		  TR_OK },
		{ "{\"signature\":\"AAEC\"}", TR_E_UNAVAIL },
		{ "{\"signature\":7}", TR_E_UNAVAIL },
		{ "{\"error\":\"no key\"}", TR_E_UNAVAIL },
		{ "nonsense", TR_E_UNAVAIL },
		{ "", TR_E_UNAVAIL },
	};
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT, none = TR_BUF_INIT;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_secretvm_sign_body(TR_VIEW_LIT("a \"b\"\n"), &body, &err), TR_OK);
	assert_string_equal(tr_buf_cstr(&body), "{\"key_type\":\"ed25519\",\"payload\":\"a \\\"b\\\"\\n\"}");
	assert_int_equal(tr_secretvm_sign_body(TR_VIEW_LIT("\xff"), &none, &err), TR_E_INVALID);
	assert_int_equal(tr_secretvm_sign_body(TR_VIEW_LIT("a\0b"), &none, &err), TR_E_INVALID);
	assert_int_equal(none.n, 0);
	for (size_t i = 0; i < TR_ARRAY_LEN(answers); i++) {
		uint8_t sig[64] = { 0 };

		assert_int_equal(tr_secretvm_sign_answer(tr_view_str(answers[i].json), sig, &err), answers[i].rc);
		assert_int_equal(sig[63], answers[i].rc ? 0 : 63);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_named_is_taken_or_nothing),
		cmocka_unit_test(a_simulated_tee_quotes_for_its_own_root),
		cmocka_unit_test(a_simulated_tee_can_be_what_a_policy_refuses),
		cmocka_unit_test(a_secretvms_quote_is_hex_or_base64),
		cmocka_unit_test(other_texts_of_a_secretvm_are_refused),
		cmocka_unit_test(a_secretvms_quote_comes_from_a_file_or_its_address),
		cmocka_unit_test(its_signing_service_signs_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
