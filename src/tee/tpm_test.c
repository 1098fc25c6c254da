/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's TPM against swtpm, a whole TPM 2.0 in software, and its answers against our own verifier: two sides that were
 * not written by the same hand. Skipped, with a line, where swtpm is not installed. */
#include "tee/swtpm_test.h"

#include "codec/pem.h"

/* A quote of this machine, taken apart and verified. */
struct proof {
	struct tr_buf bytes;
	struct tr_tee_set set;
	struct tr_tpm_pcr pcrs[TR_TEE_PCRS_MAX];
	struct tr_tpm_in in;
	struct tr_tpm_attest attest;
	struct tr_tee_result result;
	struct tr_tee_ask ask;
};

static void proof_done(struct proof *p)
{
	tr_buf_done(&p->bytes);
}
TR_DEFINE_AUTO_DONE(struct proof, proof_done)

static void prove(const struct machine *m, struct proof *p)
{
	struct tr_err err;

	*p = (struct proof){ 0 };
	tr_random(p->ask.qualifying, sizeof(p->ask.qualifying));
	(void)sound(tr_tee_tpm.quote(&m->conf, &p->ask, &p->bytes, &err), &err, &p->bytes);
	assert_int_equal(tr_tee_set_get(tr_buf_view(&p->bytes), &p->set, &err), TR_OK);
	p->in = (struct tr_tpm_in){ .attest = p->set.quote, .signature = p->set.signature, .ak_public = p->set.ak_public,
				    .trusted_by = TR_AK_ACTIVATED, .pcrs = p->pcrs, .nonce = TR_VIEW_ARRAY(p->ask.qualifying) };
	assert_int_equal(tr_tpm_pcrs_get(p->set.pcrs, p->pcrs, TR_TEE_PCRS_MAX, &p->in.n_pcrs, &err), TR_OK);
	assert_true(tr_tpm_verify(&p->in, &p->result, &p->attest));
}

static const char *first(const struct proof *p)
{
	return tr_tee_code_info(p->result.first)->slug;
}

static void keys_are_made_once_and_are_what_they_should_be(void **state)
{
	tr_auto(machine_done) struct machine m = { .dir = "" };
	tr_auto(tr_tpm_identity_done) struct tr_tpm_identity i = { 0 }, again = { 0 };
	struct tr_tpm_public ak, ek;
	struct stat st;
	char path[80];
	struct tr_err err;

	(void)state;
	if (!has_swtpm())
		skip();
	machine_make(&m, false);
	(void)sound(tr_tpm_identity(&m.conf, &i, &err), &err, &i.ak_public);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&i.ak_public), &ak, &err), TR_OK);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&i.ek_public), &ek, &err), TR_OK);
	assert_true(tr_tpm_public_is_ak(&ak) && ak.type == TR_RAW_P256);
	assert_true(tr_tpm_public_is_ek(&ek) && ek.type == TR_RAW_RSA && ek.aes128_cfb);
	assert_int_equal(i.ek_cert.n, 0); /* nobody manufactured this one */
	(void)snprintf(path, sizeof(path), "%s/" TR_TPM_AK_FILE, m.state);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)sound(tr_tpm_identity(&m.conf, &again, &err), &err, &again.ak_public);
	assert_true(tr_view_eq(tr_buf_view(&i.ak_public), tr_buf_view(&again.ak_public)));
	assert_true(tr_view_eq(tr_buf_view(&i.ek_public), tr_buf_view(&again.ek_public)));
}

static void a_quote_passes_our_verifier_and_a_changed_pcr_is_seen(void **state)
{
	tr_auto(machine_done) struct machine m = { .dir = "" };
	static struct proof a, b;
	unsigned changed = 0;

	(void)state;
	if (!has_swtpm())
		skip();
	machine_make(&m, false);
	prove(&m, &a);
	assert_string_equal(first(&a), "ok");
	assert_int_equal(a.result.answers[TR_Q_FRESH], TR_ANSWER_YES);
	assert_int_equal(a.in.n_pcrs, 24);
	/* No certificate: the public area stands for the endorsement key, and the quote names its child. */
	a.in.ek_public = a.set.ek_cert;
	assert_true(tr_tpm_verify(&a.in, &a.result, NULL));
	assert_string_equal(first(&a), "ok");
	assert_string_equal(a.result.checks[a.result.n_checks - 1].name, "qualified_signer");

	extend_pcr(&m, 8);
	prove(&m, &b);
	b.in.before = &a.attest;
	assert_true(tr_tpm_verify(&b.in, &b.result, NULL));
	assert_string_equal(first(&b), "ok");
	for (size_t i = 0; i < 24; i++) {
		bool same = tr_view_eq(a.pcrs[i].value, b.pcrs[i].value);

		assert_true(same == (a.pcrs[i].index != 8));
		changed += !same;
	}
	assert_int_equal(changed, 1);
	/* Yesterday's values, today's quote; and the other way round. */
	b.in.pcrs = a.pcrs;
	assert_true(tr_tpm_verify(&b.in, &b.result, NULL));
	assert_string_equal(first(&b), "tpm_pcr_digest");
	b.in.pcrs = b.pcrs;
	b.in.attest = a.in.attest;
	assert_true(tr_tpm_verify(&b.in, &b.result, NULL));
	assert_string_equal(first(&b), "tpm_signature");
	proof_done(&a);
	proof_done(&b);
}

static void copy_ak(const struct machine *from, const struct machine *to)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	char path[80];
	struct tr_err err;

	(void)snprintf(path, sizeof(path), "%s/" TR_TPM_AK_FILE, from->state);
	assert_int_equal(tr_file_read(path, 8192, &b, &err), TR_OK);
	(void)snprintf(path, sizeof(path), "%s/" TR_TPM_AK_FILE, to->state);
	assert_int_equal(tr_file_write(path, tr_buf_view(&b), 0600, &err), TR_OK);
}

static void a_copied_state_folder_is_no_use(void **state)
{
	tr_auto(machine_done) struct machine m = { .dir = "" };
	tr_auto(machine_done) struct machine clone = { .dir = "" };
	tr_auto(tr_tpm_identity_done) struct tr_tpm_identity i = { 0 }, seen = { 0 };
	tr_auto(tr_tpm_dev_close) struct tr_tpm_dev *dev = NULL;
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT, priv = TR_BUF_INIT, pub = TR_BUF_INIT;
	const struct tr_tee_ask ask = { 0 };
	char path[80];
	struct stat before, after;
	struct tr_err err;

	(void)state;
	if (!has_swtpm())
		skip();
	machine_make(&m, false);
	machine_make(&clone, false);
	(void)sound(tr_tpm_identity(&m.conf, &i, &err), &err, &i.ak_public);
	copy_ak(&m, &clone);
	(void)snprintf(path, sizeof(path), "%s/" TR_TPM_AK_FILE, clone.state);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(tr_tpm_identity(&clone.conf, &seen, &err), TR_E_DENIED);
	assert_non_null(strstr(err.pub, "another TPM"));
	assert_int_equal(tr_tee_tpm.quote(&clone.conf, &ask, &set, &err), TR_E_DENIED);
	assert_int_equal(set.n, 0);
	/* Nothing was made in its place: a new key would hide that the folder was copied. */
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino == after.st_ino && before.st_size == after.st_size);
	/* Not our word only: the other TPM cannot load the blob. */
	assert_int_equal(tr_tpm_dev_open(m.tcti, &dev, &err), TR_OK);
	assert_int_equal(tr_tpm_dev_ak_create(dev, false, &priv, &pub, &err), TR_OK);
	assert_int_equal(tr_tpm_dev_ak_load(dev, tr_buf_view(&priv), tr_buf_view(&pub), &err), TR_OK);
	dev = tr_tpm_dev_close(dev);
	assert_int_equal(tr_tpm_dev_open(clone.tcti, &dev, &err), TR_OK);
	assert_int_equal(tr_tpm_dev_ak_load(dev, tr_buf_view(&priv), tr_buf_view(&pub), &err), TR_E_DENIED);
}

static void a_reboot_counts_and_the_key_survives(void **state)
{
	tr_auto(machine_done) struct machine m = { .dir = "" };
	static struct proof a, b;

	(void)state;
	if (!has_swtpm())
		skip();
	machine_make(&m, false);
	extend_pcr(&m, 9);
	prove(&m, &a);
	switch_off(&m);
	switch_on(&m);
	prove(&m, &b);
	assert_true(tr_view_eq(a.set.ak_public, b.set.ak_public));
	assert_true(b.attest.reset_count > a.attest.reset_count);
	b.in.before = &a.attest;
	assert_true(tr_tpm_verify(&b.in, &b.result, NULL));
	assert_string_equal(first(&b), "ok");
	/* The quote of before the reboot, shown after it. */
	a.in.before = &b.attest;
	assert_true(tr_tpm_verify(&a.in, &a.result, NULL));
	assert_string_equal(first(&a), "tpm_clock");
	proof_done(&a);
	proof_done(&b);
}

static void an_rsa_attestation_key_quotes_too(void **state)
{
	tr_auto(machine_done) struct machine m = { .dir = "" };
	tr_auto(tr_tpm_dev_close) struct tr_tpm_dev *dev = NULL;
	tr_auto(tr_buf_done) struct tr_buf priv = TR_BUF_INIT, pub = TR_BUF_INIT, attest = TR_BUF_INIT, sig = TR_BUF_INIT;
	static struct tr_tee_result r;
	struct tr_tpm_reading pcrs;
	struct tr_err err;

	(void)state;
	if (!has_swtpm())
		skip();
	machine_make(&m, false);
	(void)sound(tr_tpm_dev_open(m.tcti, &dev, &err), &err, &priv);
	(void)sound(tr_tpm_dev_ak_create(dev, true, &priv, &pub, &err), &err, &pub);
	(void)sound(tr_tpm_dev_ak_load(dev, tr_buf_view(&priv), tr_buf_view(&pub), &err), &err, &pub);
	(void)sound(tr_tpm_dev_pcrs(dev, 0x0081ff, &pcrs, &err), &err, &pub);
	assert_int_equal(pcrs.n, 10);
	(void)sound(tr_tpm_dev_quote(dev, TR_VIEW_LIT("nonce"), 0x0081ff, &attest, &sig, &err), &err, &pub);
	{
		const struct tr_tpm_in in = { .attest = tr_buf_view(&attest), .signature = tr_buf_view(&sig),
					      .ak_public = tr_buf_view(&pub), .trusted_by = TR_AK_PINNED, .pcrs = pcrs.pcrs,
					      .n_pcrs = pcrs.n, .nonce = TR_VIEW_LIT("nonce") };

		assert_true(tr_tpm_verify(&in, &r, NULL));
	}
	assert_string_equal(tr_tee_code_info(r.first)->slug, "ok");
}

static void cert_of(const struct machine *m, const char *name, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	struct tr_view label, rest;
	char path[80];
	struct tr_err err;

	(void)snprintf(path, sizeof(path), "%s/%s", m->dir, name);
	assert_int_equal(tr_file_read(path, 65536, &pem, &err), TR_OK);
	assert_int_equal(tr_pem_get(tr_buf_view(&pem), &label, ret, &rest, &err), TR_OK);
}

static void a_makers_certificate_leads_to_its_root(void **state)
{
	tr_auto(machine_done) struct machine m = { .dir = "" };
	tr_auto(tr_tpm_identity_done) struct tr_tpm_identity i = { 0 };
	tr_auto(tr_buf_done) struct tr_buf issuer = TR_BUF_INIT, root = TR_BUF_INIT, set = TR_BUF_INIT;
	const struct tr_tee_when when = { .now = time(NULL), .skew_s = 60 };
	const struct tr_tee_ask ask = { 0 };
	static struct tr_tee_result r;
	struct tr_tpm_public by_cert, ek;
	struct tr_x_cert c;
	struct tr_tee_set got;
	struct tr_err err;

	(void)state;
	if (!has_swtpm())
		skip();
	machine_make(&m, true);
	(void)sound(tr_tpm_identity(&m.conf, &i, &err), &err, &i.ak_public);
	assert_true(i.ek_cert.n > 0);
	assert_int_equal(tr_tpm_ek_from_cert(tr_buf_view(&i.ek_cert), &by_cert, &err), TR_OK);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&i.ek_public), &ek, &err), TR_OK);
	/* The Name that we derive from the certificate is the one that the TPM computes. */
	assert_memory_equal(by_cert.name, ek.name, 34);
	cert_of(&m, "issuer.pem", &issuer);
	cert_of(&m, "swtpm-localca-rootca-cert.pem", &root);
	assert_int_equal(tr_x_cert_parse(tr_buf_view(&root), &c, &err), TR_OK);
	if (!tr_tpm_cert_chain(true, tr_buf_view(&i.ek_cert), tr_buf_view(&issuer), &c.spki, 1, &when, &r))
		fail_msg("%s: %s", r.checks[r.n_checks - 1].name, r.checks[r.n_checks - 1].seen);
	assert_false(tr_tpm_cert_chain(true, tr_buf_view(&i.ek_cert), tr_view(NULL, 0), &c.spki, 1, &when, &r));
	assert_int_equal(tr_x_cert_parse(tr_buf_view(&i.ek_cert), &c, &err), TR_OK);
	assert_false(tr_tpm_cert_chain(true, tr_buf_view(&i.ek_cert), tr_buf_view(&issuer), &c.spki, 1, &when, &r));
	(void)sound(tr_tee_tpm.quote(&m.conf, &ask, &set, &err), &err, &set);
	assert_int_equal(tr_tee_set_get(tr_buf_view(&set), &got, &err), TR_OK);
	assert_true(tr_view_eq(got.ek_cert, tr_buf_view(&i.ek_cert)));
}

static void logs_are_sent_where_they_fit(void **state)
{
	tr_auto(machine_done) struct machine m = { .dir = "" };
	tr_auto(tr_buf_done) struct tr_buf long_log = TR_BUF_INIT;
	static struct proof p;
	char log[80], ima[80];
	struct tr_err err;

	(void)state;
	if (!has_swtpm())
		skip();
	machine_make(&m, false);
	write_text(m.dir, "log", "a boot log");
	assert_non_null(tr_buf_space(&long_log, TR_TEE_SET_MAX));
	(void)snprintf(ima, sizeof(ima), "%s/ima", m.dir);
	assert_int_equal(tr_file_write(ima, tr_buf_view(&long_log), 0600, &err), TR_OK);
	(void)snprintf(log, sizeof(log), "%s/log", m.dir);
	m.conf.tpm_event_log = log;
	m.conf.tpm_ima_log = ima;
	prove(&m, &p);
	assert_true(tr_view_is(p.set.event_log, "a boot log"));
	assert_int_equal(p.set.ima_log.n, 0);
	proof_done(&p);
	/* The kernel's own logs are another TPM's. */
	m.conf.tpm_event_log = m.conf.tpm_ima_log = NULL;
	prove(&m, &p);
	assert_int_equal(p.set.event_log.n, 0);
	proof_done(&p);
}

static void a_damaged_file_is_named(void **state)
{
	static const char *const texts[] = { "", "noise", "\xa0", "\xa3\x01\x41\x01\x02\x41\x01\x03\x41\x01" };
	tr_auto(machine_done) struct machine m = { .dir = "" };
	tr_auto(tr_tpm_identity_done) struct tr_tpm_identity i = { 0 };
	struct tr_err err;

	(void)state;
	if (!has_swtpm())
		skip();
	machine_make(&m, false);
	for (size_t k = 0; k < TR_ARRAY_LEN(texts); k++) {
		write_text(m.state, TR_TPM_AK_FILE, texts[k]);
		/* The last one is well formed, and of another endorsement key. */
		assert_int_equal(tr_tpm_identity(&m.conf, &i, &err), k == 3 ? TR_E_DENIED : TR_E_INVALID);
		assert_non_null(strstr(err.detail, TR_TPM_AK_FILE));
	}
}

static void what_is_not_there_is_said(void **state)
{
	struct tr_tee_conf c;
	tr_auto(tr_tpm_identity_done) struct tr_tpm_identity i = { 0 };
	char why[160] = "";
	struct tr_err err;

	(void)state;
	tr_tee_conf_init(&c);
	c.state_dir = "/nonexistent";
	c.tpm_tcti = "swtpm:path=/nonexistent/sock";
	assert_false(tr_tee_tpm.present(&c, why));
	assert_non_null(strstr(why, "/nonexistent/sock"));
	assert_int_equal(tr_tpm_identity(&c, &i, &err), TR_E_UNAVAIL);
	c.tpm_tcti = "none";
	assert_false(tr_tee_tpm.present(&c, why));
	/* The library's loader would take any shared object. */
	c.tpm_tcti = "/tmp/evil.so:conf";
	assert_int_equal(tr_tpm_identity(&c, &i, &err), TR_E_INVALID);
	c.state_dir = NULL;
	assert_int_equal(tr_tpm_identity(&c, &i, &err), TR_E_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_made_once_and_are_what_they_should_be),
		cmocka_unit_test(a_quote_passes_our_verifier_and_a_changed_pcr_is_seen),
		cmocka_unit_test(a_copied_state_folder_is_no_use),
		cmocka_unit_test(a_reboot_counts_and_the_key_survives),
		cmocka_unit_test(an_rsa_attestation_key_quotes_too),
		cmocka_unit_test(a_makers_certificate_leads_to_its_root),
		cmocka_unit_test(logs_are_sent_where_they_fit),
		cmocka_unit_test(a_damaged_file_is_named),
		cmocka_unit_test(what_is_not_there_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
