/* SPDX-License-Identifier: Apache-2.0 */
/* Every step of a quote's verification by a quote that fails it alone (M-18 of docs/faults-of-the-originals.md). */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "codec/text.h"
#include "crypto/tpm_seal.h"
#include "evidence/sim_inner.h"
#include "evidence/tpm_sample.h"

#include <stdio.h>

static struct tr_tee_result r;

static const struct tr_tee_check *line(const char *name)
{
	for (size_t i = 0; i < r.n_checks; i++)
		if (!strcmp(r.checks[i].name, name))
			return &r.checks[i];
	return NULL;
}

static void expect(const struct sample *s, const char *slug)
{
	(void)tr_tpm_verify(&s->in, &r, NULL);
	if (strcmp(tr_tee_code_info(r.first)->slug, slug) != 0) {
		for (size_t i = 0; i < r.n_checks; i++)
			if (r.checks[i].code != TR_TEEC_OK)
				print_error("%s: expected %s, seen %s\n", r.checks[i].name, r.checks[i].expected, r.checks[i].seen);
		fail_msg("%s instead of %s", tr_tee_code_info(r.first)->slug, slug);
	}
}

static void a_quote_of_each_scheme_is_verified(void **state)
{
	static const struct { enum tr_raw_type key; uint16_t scheme, hash; } rows[] = {
		{ TR_RAW_P256, TPM_ALG_ECDSA, TPM_ALG_SHA256 }, { TR_RAW_P384, TPM_ALG_ECDSA, TPM_ALG_SHA384 },
		{ TR_RAW_RSA, TPM_ALG_RSASSA, TPM_ALG_SHA256 }, { TR_RAW_RSA, TPM_ALG_RSAPSS, TPM_ALG_SHA256 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(sample_done) struct sample s;

		sample_make(&s, sample_key(rows[i].key, "ak"), rows[i].scheme, rows[i].hash);
		expect(&s, "ok");
		assert_true(tr_tee_authentic_and_current(&r));
		assert_int_equal(r.answers[TR_Q_FRESH], TR_ANSWER_YES);
		assert_int_equal(r.answers[TR_Q_SOFTWARE], TR_ANSWER_NOT_ASKED);
		assert_non_null(line("qualified_signer"));
		s.attest.p[s.attest.n - 1] ^= 1;
		expect(&s, "tpm_signature");
	}
}

static void what_is_no_quote_is_none(void **state)
{
	static const struct { uint32_t magic; uint16_t type; const char *slug; } rows[] = {
		{ 0xff544347, 0x8017, "tpm_not_quote" }, { 0xff544347, 0x801a, "tpm_not_quote" },
		{ 0xff544348, 0x8018, "tpm_not_quote" },
	};
	tr_auto(sample_done) struct sample s;
	struct tr_tpm_attest a;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		s.q.magic = rows[i].magic;
		s.q.type = rows[i].type;
		sample_sign(&s, TPM_ALG_ECDSA, TPM_ALG_SHA256);
		expect(&s, rows[i].slug);
		assert_false(tr_tpm_verify(&s.in, &r, &a));
	}
}

static void every_length_of_a_quote_but_its_own_is_refused(void **state)
{
	tr_auto(sample_done) struct sample s;
	size_t n;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	n = s.in.attest.n;
	for (size_t i = 0; i < n; i++) {
		s.in.attest.n = i;
		expect(&s, "tpm_format");
	}
	tr_buf_add8(&s.attest, 0);
	s.in.attest = tr_buf_view(&s.attest);
	expect(&s, "tpm_format");
	sample_sign(&s, TPM_ALG_ECDSA, TPM_ALG_SHA256);
	n = s.in.signature.n;
	for (size_t i = 0; i < n; i++) {
		s.in.signature.n = i;
		expect(&s, "tpm_format");
	}
	tr_buf_add8(&s.signature, 0);
	s.in.signature = tr_buf_view(&s.signature);
	expect(&s, "tpm_format");
}

/* Offsets into TPMT_SIGNATURE and TPMS_ATTEST where a field begins. */
static void fields_that_cannot_be_are_refused(void **state)
{
	static const struct { bool signature; size_t at; uint8_t value; const char *slug; } rows[] = {
		{ true, 3, 0x04, "tpm_scheme" }, /* SHA-1 */
		{ true, 3, 0x12, "tpm_scheme" }, /* SM3 */
		{ true, 1, 0x1a, "tpm_scheme" }, /* ECDAA */
		{ true, 1, 0x14, "tpm_format" }, /* RSASSA, and then more bytes than its length */
		{ false, 6 + 36 + 2 + 33 + 16, 2, "tpm_format" }, /* safe */
	};
	tr_auto(sample_done) struct sample s;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		struct tr_buf *b;

		sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
		b = rows[i].signature ? &s.signature : &s.attest;
		b->p[rows[i].at] = rows[i].value;
		expect(&s, rows[i].slug);
		if (i + 1 < TR_ARRAY_LEN(rows))
			sample_done(&s);
	}
}

static void a_selection_is_what_was_attested(void **state)
{
	static const struct { const char *label; size_t n; struct { uint16_t alg; uint32_t pcrs; } sel[6]; const char *slug; } rows[] = {
		{ "none", 0, { { 0 } }, "tpm_bank" },
		{ "a bank without PCRs", 1, { { TPM_ALG_SHA256, 0 } }, "tpm_bank" },
		{ "SHA-1", 1, { { TPM_ALG_SHA1, 0x81 } }, "tpm_bank_sha1" },
		{ "both", 2, { { TPM_ALG_SHA256, 3 }, { TPM_ALG_SHA1, 0x80 } }, "tpm_bank_sha1" },
		{ "one bank twice", 2, { { TPM_ALG_SHA256, 3 }, { TPM_ALG_SHA256, 0x80 } }, "ok" },
		{ "an empty bank beside", 2, { { TPM_ALG_SHA1, 0 }, { TPM_ALG_SHA256, 0x80 } }, "ok" },
		{ "SM3", 1, { { 0x0012, 1 } }, "tpm_format" },
		{ "a value that was not sent", 1, { { TPM_ALG_SHA384, 1 } }, "tpm_pcr_digest" },
		{ "five banks", 5, { { TPM_ALG_SHA256, 1 }, { TPM_ALG_SHA256, 2 }, { TPM_ALG_SHA256, 4 }, { TPM_ALG_SHA256, 8 },
				     { TPM_ALG_SHA256, 16 } }, "tpm_format" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(sample_done) struct sample s;

		sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
		s.q.n = rows[i].n;
		memcpy(s.q.sel, rows[i].sel, sizeof(s.q.sel));
		sample_sign(&s, TPM_ALG_ECDSA, TPM_ALG_SHA256);
		expect(&s, rows[i].slug);
		/* A SHA-1 bank is policy's to refuse: the quote is as authentic as any. */
		if (!strcmp(rows[i].slug, "tpm_bank_sha1")) {
			assert_true(tr_tee_authentic_and_current(&r));
			assert_int_equal(r.answers[TR_Q_SOFTWARE], TR_ANSWER_NO);
			s.in.allow_sha1_bank = true;
			expect(&s, "ok");
		}
	}
}

static void pcr_values_are_believed_when_they_hash_to_the_digest(void **state)
{
	tr_auto(sample_done) struct sample s;
	struct tr_tpm_attest a;
	struct tr_view v;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	assert_true(tr_tpm_verify(&s.in, &r, &a));
	assert_true(tr_tpm_pcr_quoted(&s.in, &a, TR_HASH_SHA256, 7, &v) && v.n == 32 && v.p[0] == 7);
	assert_false(tr_tpm_pcr_quoted(&s.in, &a, TR_HASH_SHA256, 11, &v)); /* sent, and not quoted */
	assert_false(tr_tpm_pcr_quoted(&s.in, &a, TR_HASH_SHA1, 7, &v));
	assert_false(tr_tpm_pcr_quoted(&s.in, &a, TR_HASH_SHA256, 24, &v));
	s.pcrs.values[20][0] ^= 1; /* not quoted: nothing depends on it */
	expect(&s, "ok");
	for (unsigned p = 0; p < 11; p++) {
		s.pcrs.values[p][31] ^= 1;
		expect(&s, "tpm_pcr_digest");
		for (size_t i = 0; i < r.n_fields; i++)
			assert_null(strstr(r.fields[i].name, "sha256:"));
		s.pcrs.values[p][31] ^= 1;
	}
	s.pcrs.pcrs[3].index = 20;
	expect(&s, "tpm_pcr_digest");
	assert_non_null(strstr(line("pcr_digest")->seen, "sha256:3"));
}

static void the_nonce_is_compared_whole(void **state)
{
	tr_auto(sample_done) struct sample s;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	for (size_t n = 1; n < s.in.nonce.n; n++) {
		struct tr_view whole = s.in.nonce;

		s.in.nonce.n = n;
		expect(&s, "report_data_mismatch");
		s.in.nonce = whole;
	}
	s.in.nonce.n = 0;
	expect(&s, "ok");
	assert_int_equal(r.answers[TR_Q_FRESH], TR_ANSWER_NOT_ASKED);
	s.in.allow_empty_nonce = true;
	expect(&s, "report_data_mismatch");
	s.q.nonce.n = 0;
	sample_sign(&s, TPM_ALG_ECDSA, TPM_ALG_SHA256);
	expect(&s, "ok");
	assert_int_equal(r.answers[TR_Q_FRESH], TR_ANSWER_YES);
	s.in.nonce = SAMPLE_NONCE;
	expect(&s, "report_data_mismatch");
}

static void an_attestation_key_is_restricted(void **state)
{
	static const uint32_t faults[] = { 1u << 1, 1u << 4, 1u << 5, 1u << 16, 1u << 17, 1u << 18 };
	tr_auto(sample_done) struct sample s;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	for (size_t i = 0; i < TR_ARRAY_LEN(faults); i++) {
		tr_buf_clear(&s.area);
		put_public(&s.area, s.ak, SAMPLE_AK ^ faults[i], TPM_ALG_ECDSA, TPM_ALG_SHA256);
		expect(&s, "tpm_ak");
	}
	s.in.ak_public.n = 0;
	s.in.ak_spki = tr_raw_priv_spki(s.ak);
	expect(&s, "ok");
	s.in.ak_must_be_restricted = true;
	expect(&s, "tpm_ak");
}

static void a_key_says_how_it_signs(void **state)
{
	tr_auto(sample_done) struct sample s;
	tr_auto(tr_raw_priv_free) struct tr_raw_priv *other = sample_key(TR_RAW_P256, "other");

	(void)state;
	sample_make(&s, sample_key(TR_RAW_RSA, "ak"), TPM_ALG_RSASSA, TPM_ALG_SHA256);
	sample_sign(&s, TPM_ALG_RSAPSS, TPM_ALG_SHA256);
	expect(&s, "tpm_scheme");
	sample_sign(&s, TPM_ALG_RSASSA, TPM_ALG_SHA384);
	expect(&s, "tpm_scheme");
	sample_sign(&s, TPM_ALG_RSASSA, TPM_ALG_SHA256);
	s.in.ak_spki = tr_raw_priv_spki(other);
	expect(&s, "tpm_signer"); /* public area and SPKI disagree */
	s.in.ak_public.n = 0;
	expect(&s, "tpm_signature"); /* RSA bytes, P-256 key */
	s.in.ak_spki.n -= 1;
	expect(&s, "tpm_format");
	s.in.ak_spki.n = 0;
	expect(&s, "tpm_format");
}

static void raw_rsa_bytes_are_a_signature_only_when_said(void **state)
{
	tr_auto(sample_done) struct sample s;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_RSA, "ak"), TPM_ALG_RSASSA, TPM_ALG_SHA256);
	s.in.raw_signature = true;
	expect(&s, "tpm_signature");
	s.in.signature = tr_view(s.signature.p + 6, s.signature.n - 6);
	expect(&s, "ok");
	s.in.raw_signature = false;
	expect(&s, "tpm_scheme");
}

static void a_key_that_nobody_vouches_for_is_not_trusted(void **state)
{
	tr_auto(sample_done) struct sample s;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	s.in.trusted_by = TR_AK_NONE;
	expect(&s, "tpm_ak_trust");
	s.in.trusted_by = TR_AK_CERTIFICATE; /* a word without the certificate */
	expect(&s, "tpm_ak_trust");
	s.in.trusted_by = TR_AK_HCL;
	expect(&s, "tpm_ak_trust");
	s.in.trusted_by = TR_AK_ACTIVATED;
	expect(&s, "ok");
	s.in.ak_public.n = 0;
	s.in.ak_spki = tr_raw_priv_spki(s.ak);
	expect(&s, "tpm_ak_trust"); /* of which Name was it, then? */
}

static void the_quote_names_the_key_and_its_parent(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf ek = TR_BUF_INIT, other = TR_BUF_INIT;
	tr_auto(tr_raw_priv_free) struct tr_raw_priv *ek_key = sample_key(TR_RAW_RSA, "ek");
	tr_auto(sample_done) struct sample s;
	uint8_t parent[66], signer[66];
	struct tr_tpm_public p, ak;
	struct tr_err err;
	size_t n, signer_n;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	put_public(&ek, ek_key, 0x000300b2, 0, 0);
	put_public(&other, ek_key, 0x000300b3, 0, 0);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&ek), &p, &err), TR_OK);
	assert_int_equal(tr_tpm_public_parse(s.in.ak_public, &ak, &err), TR_OK);
	tr_tpm_public_qualified(&p, tr_view(NULL, 0), parent, &n);
	tr_tpm_public_qualified(&ak, tr_view(parent, n), signer, &signer_n);
	s.in.ek_public = tr_buf_view(&ek);
	expect(&s, "ok"); /* a primary key of the hierarchy */
	s.q.signer = tr_view(signer, signer_n);
	sample_sign(&s, TPM_ALG_ECDSA, TPM_ALG_SHA256);
	expect(&s, "ok");
	s.in.ek_public = tr_buf_view(&other);
	expect(&s, "tpm_signer");
	s.in.ek_public.n = 3;
	expect(&s, "tpm_signer");
	s.in.ek_public.n = 0;
	expect(&s, "ok"); /* nobody says which parent it should be */
	assert_null(line("qualified_signer"));
}

static void counters_and_clock_only_rise(void **state)
{
	static const struct { uint32_t resets, restarts; uint64_t clock; bool unsafe; const char *slug; } rows[] = {
		{ 3, 1, 1000, false, "ok" }, { 3, 1, 1001, false, "ok" }, { 4, 0, 1000, false, "ok" }, { 3, 2, 1000, false, "ok" },
		{ 2, 9, 9999, false, "tpm_clock" }, { 3, 0, 9999, false, "tpm_clock" }, { 3, 1, 999, false, "tpm_clock" },
		{ 4, 0, 500, true, "ok" }, /* after a loss of power the clock may have fallen back, and says so */
	};
	tr_auto(sample_done) struct sample s;
	struct tr_tpm_attest before;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	assert_true(tr_tpm_verify(&s.in, &r, &before));
	s.in.before = &before;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		s.q.resets = rows[i].resets;
		s.q.restarts = rows[i].restarts;
		s.q.clock = rows[i].clock;
		s.q.unsafe = rows[i].unsafe;
		sample_sign(&s, TPM_ALG_ECDSA, TPM_ALG_SHA256);
		expect(&s, rows[i].slug);
	}
}

/* A certificate by one key for another, in the time of the simulated vendor. */
static void make_cert_for(const char *issuer, const char *subject, const struct tr_raw_priv *key, const struct tr_raw_priv *by,
			  bool ca, struct tr_view extra, struct tr_buf *ret)
{
	struct sim_cert c = { .style = SIM_STYLE_INTEL, .issuer = issuer, .subject = subject, .serial = TR_VIEW_LIT("\x01"),
			      .not_before = SIM_NOT_BEFORE, .not_after = SIM_NOT_AFTER, .key = key, .by = by,
			      .path_len = ca ? 0 : SIM_NOT_CA, .extra = extra };
	struct tr_err err;

	if (tr_sim_cert(&c, ret, &err))
		fail_msg("%s", err.detail);
}

static void make_cert(const char *issuer, const char *subject, const struct tr_raw_priv *key, const struct tr_raw_priv *by,
		      bool ca, struct tr_buf *ret)
{
	make_cert_for(issuer, subject, key, by, ca, tr_view(NULL, 0), ret);
}

/* Whoever has a server's certificate under a root that makes TPM certificates, too, has not got a TPM. */
static void an_ak_certificate_is_of_no_other_purpose(void **state)
{
	static const struct { const char *label, *slug; const char *eku; size_t n; } cases[] = {
		{ "attestation key", "ok", "\x30\x07\x06\x05\x67\x81\x05\x08\x03", 9 },
		{ "server and attestation key", "ok",
		  "\x30\x11\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\x06\x05\x67\x81\x05\x08\x03", 19 },
		{ "server", "chain_role", "\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01", 12 },
		{ "endorsement key", "chain_role", "\x30\x07\x06\x05\x67\x81\x05\x08\x01", 9 },
		{ "garbage", "chain_role", "\x30\x07\x06", 3 },
	};
	tr_auto(tr_raw_priv_free) struct tr_raw_priv *root = sample_key(TR_RAW_P256, "root");
	const struct tr_view spki = tr_raw_priv_spki(root);
	tr_auto(sample_done) struct sample s;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	s.in.trusted_by = TR_AK_NONE;
	s.in.when.now = TR_SIM_TIME;
	s.in.roots = &spki;
	s.in.n_roots = 1;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf extra = TR_BUF_INIT, cert = TR_BUF_INIT;

		tr_sim_extension(&extra, TR_VIEW_LIT("\x55\x1d\x25"), false,
				 tr_view(cases[i].eku, cases[i].n));
		make_cert_for("Root", "AK", s.ak, root, false, tr_buf_view(&extra), &cert);
		s.in.ak_cert = tr_buf_view(&cert);
		expect(&s, cases[i].slug);
	}
}

static void an_ak_certificate_ends_at_a_pinned_key(void **state)
{
	tr_auto(tr_raw_priv_free) struct tr_raw_priv *root = sample_key(TR_RAW_P256, "root");
	tr_auto(tr_raw_priv_free) struct tr_raw_priv *inter = sample_key(TR_RAW_P256, "intermediate");
	tr_auto(tr_raw_priv_free) struct tr_raw_priv *other = sample_key(TR_RAW_P256, "other");
	tr_auto(tr_buf_done) struct tr_buf cert = TR_BUF_INIT, chain = TR_BUF_INIT, wrong = TR_BUF_INIT, not_ca = TR_BUF_INIT,
				  by_root = TR_BUF_INIT, of_other = TR_BUF_INIT;
	tr_auto(sample_done) struct sample s;
	struct tr_view roots[2] = { tr_raw_priv_spki(other), tr_raw_priv_spki(root) };

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	make_cert("Intermediate", "AK", s.ak, inter, false, &cert);
	make_cert("Root", "Intermediate", inter, root, true, &chain);
	make_cert("Root", "Intermediate", other, root, true, &wrong);
	make_cert("Root", "Intermediate", inter, root, false, &not_ca);
	make_cert("Root", "AK", s.ak, root, false, &by_root);
	make_cert("Root", "AK", other, root, false, &of_other);
	s.in.trusted_by = TR_AK_NONE;
	s.in.when.now = TR_SIM_TIME;
	s.in.roots = roots;
	s.in.n_roots = 2;
	s.in.ak_cert = tr_buf_view(&cert);
	s.in.ak_chain = tr_buf_view(&chain);
	expect(&s, "ok");
	assert_int_equal(r.valid_until, SIM_NOT_AFTER);
	assert_string_equal(line("ak.trust")->seen, "its certificate");

	s.in.n_roots = 1;
	expect(&s, "chain_root");
	s.in.n_roots = 0;
	expect(&s, "chain_root");
	s.in.n_roots = 2;
	s.in.ak_chain.n = 0;
	expect(&s, "chain_root");
	s.in.ak_chain = tr_buf_view(&wrong);
	expect(&s, "chain_signature");
	s.in.ak_chain = tr_buf_view(&not_ca);
	expect(&s, "chain_role");
	s.in.ak_chain = tr_view(chain.p, chain.n - 1);
	expect(&s, "chain_format");
	s.in.ak_chain = tr_buf_view(&chain);
	s.in.when.now = SIM_NOT_AFTER + 1;
	expect(&s, "chain_time");
	s.in.when.now = SIM_NOT_BEFORE - 10;
	expect(&s, "chain_time");
	s.in.when.skew_s = 10;
	expect(&s, "ok");
	s.in.ak_cert = tr_buf_view(&by_root);
	s.in.ak_chain.n = 0;
	expect(&s, "ok");
	s.in.ak_cert = tr_buf_view(&of_other);
	expect(&s, "tpm_signer");
	s.in.ak_cert = tr_buf_view(&chain); /* a CA's own certificate */
	expect(&s, "chain_role");
	s.in.ak_cert.n = 5;
	expect(&s, "chain_format");
	/* The caller's own knowledge needs no certificate, and is not spoiled by one. */
	s.in.trusted_by = TR_AK_PINNED;
	expect(&s, "ok");
}

static void hex(const char *text, struct tr_buf *ret)
{
	size_t n = strlen(text) / 2;
	uint8_t *p = tr_buf_space(ret, n);

	assert_true(p && tr_hex_get(tr_view_str(text), p, n));
}

/* Made by tpm2_makecredential (tpm2-tools 5.4) for an EK of known private key, with which the seed was opened. */
static void a_credential_is_sealed_as_tpm2_tools_do(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf name = TR_BUF_INIT, seed = TR_BUF_INIT, want = TR_BUF_INIT, blob = TR_BUF_INIT;
	struct tr_err err;

	(void)state;
	hex("000befabf5b8eb3a95f9745c8aeabf80a7b72562199407e433d48a7f85ce45d4b11f", &name);
	hex("4694127961d7f3463130040fa028456c778301a87de8672ad6592266329213b7", &seed);
	hex("00440020db6935cef6fefcaaa76ba8ad6bf078e0002eecf601b9e63e9c47580d4316669fb6413f5d779c35366b5da7d887ffff3a4e02d5bf42"
	    "a1c82c5cf0fd090c0b290d0072", &want);
	assert_int_equal(tr_tpm_seal(seed.p, tr_buf_view(&name), TR_VIEW_LIT("thirty-two bytes of a new secret"), &blob, &err),
			 TR_OK);
	assert_true(tr_view_eq(tr_buf_view(&blob), tr_buf_view(&want)));
	assert_int_equal(tr_tpm_seal(seed.p, tr_buf_view(&name), TR_VIEW_LIT(""), &blob, &err), TR_E_INVALID);
	assert_int_equal(tr_tpm_seal(seed.p, tr_buf_view(&name), TR_VIEW_LIT("thirty-three bytes of a new secret"), &blob, &err),
			 TR_E_INVALID);
}

static void credentials_are_made_for_default_endorsement_keys_only(void **state)
{
	static const struct { enum tr_raw_type type; uint32_t attributes; bool aes; size_t name; enum tr_code want; } rows[] = {
		{ TR_RAW_RSA, 0x000300b2, true, 34, TR_OK },
		{ TR_RAW_P256, 0x000300b2, true, 34, TR_OK },
		{ TR_RAW_P384, 0x000300b2, true, 34, TR_E_INVALID },
		{ TR_RAW_RSA, 0x000300b2, false, 34, TR_E_INVALID },
		{ TR_RAW_RSA, SAMPLE_AK, true, 34, TR_E_INVALID },
		{ TR_RAW_RSA, 0x000300b2, true, 50, TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_raw_priv_free) struct tr_raw_priv *k = sample_key(rows[i].type, "ek");
		tr_auto(tr_buf_done) struct tr_buf area = TR_BUF_INIT, blob = TR_BUF_INIT, secret = TR_BUF_INIT;
		static const uint8_t name[64];
		struct tr_tpm_public ek;
		struct tr_err err;

		put_public(&area, k, rows[i].attributes, 0, 0);
		assert_int_equal(tr_tpm_public_parse(tr_buf_view(&area), &ek, &err), TR_OK);
		assert_false(ek.aes128_cfb);
		ek.aes128_cfb = rows[i].aes;
		assert_int_equal(tr_tpm_make_credential(&ek, tr_view(name, rows[i].name), TR_VIEW_LIT("secret"), &blob, &secret,
							&err), rows[i].want);
		if (rows[i].want)
			continue;
		assert_int_equal(blob.n, 2 + 34 + 2 + 6);
		assert_int_equal(secret.n, rows[i].type == TR_RAW_RSA ? 2 + 256 : 2 + 68);
	}
}

static void an_endorsement_certificate_gives_the_templates_name(void **state)
{
	static const enum tr_raw_type types[] = { TR_RAW_P256, TR_RAW_RSA };
	tr_auto(tr_raw_priv_free) struct tr_raw_priv *root = sample_key(TR_RAW_P256, "root");
	struct tr_tpm_public p;
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		tr_auto(tr_raw_priv_free) struct tr_raw_priv *k = sample_key(types[i], "ek");
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT, blob = TR_BUF_INIT, secret = TR_BUF_INIT;
		static const uint8_t name[34];

		make_cert("Maker", "EK", k, root, false, &der);
		assert_int_equal(tr_tpm_ek_from_cert(tr_buf_view(&der), &p, &err), TR_OK);
		assert_int_equal(p.type, types[i]);
		assert_true(tr_tpm_public_is_ek(&p));
		assert_int_equal(tr_tpm_make_credential(&p, TR_VIEW_ARRAY(name), TR_VIEW_LIT("secret"), &blob, &secret, &err),
				 TR_OK);
		assert_int_equal(tr_tpm_ek_from_cert(tr_view(der.p, der.n - 1), &p, &err), TR_E_INVALID);
	}
	{
		tr_auto(tr_raw_priv_free) struct tr_raw_priv *k = sample_key(TR_RAW_P384, "ek");
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;

		make_cert("Maker", "EK", k, root, false, &der);
		assert_int_equal(tr_tpm_ek_from_cert(tr_buf_view(&der), &p, &err), TR_E_INVALID);
	}
}

static void public_areas_are_read_strictly(void **state)
{
	tr_auto(sample_done) struct sample s;
	tr_auto(tr_buf_done) struct tr_buf sized = TR_BUF_INIT;
	struct tr_tpm_public p, again;
	struct tr_err err;

	(void)state;
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	put_sized(&sized, tr_buf_view(&s.area));
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&s.area), &p, &err), TR_OK);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&sized), &again, &err), TR_OK);
	assert_int_equal(p.name_len, 34);
	assert_memory_equal(p.name, again.name, 34);
	assert_true(tr_view_eq(tr_tpm_public_point(&p), tr_raw_priv_point(s.ak)));
	for (size_t n = 0; n < s.area.n; n++)
		assert_int_equal(tr_tpm_public_parse(tr_view(s.area.p, n), &p, &err), TR_E_INVALID);
	tr_buf_add8(&s.area, 0);
	assert_int_equal(tr_tpm_public_parse(tr_buf_view(&s.area), &p, &err), TR_E_INVALID);
}

static void pcr_values_travel_as_cbor(void **state)
{
	static const struct { const char *label; struct tr_view in; } bad[] = {
		{ "unknown bank", TR_VIEW_LIT("\xa1\x12\xa0") },
		{ "short value", TR_VIEW_LIT("\xa1\x04\xa1\x00\x43zzz") },
		{ "PCR 24", TR_VIEW_LIT("\xa1\x04\xa1\x18\x18\x54zzzzzzzzzzzzzzzzzzzz") },
		{ "an array", TR_VIEW_LIT("\x80") },
		{ "trailing", TR_VIEW_LIT("\xa0\x00") },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, again = TR_BUF_INIT;
	struct sample_pcrs s;
	struct tr_tpm_pcr got[96];
	struct tr_err err;
	size_t n;

	(void)state;
	sample_pcrs(&s);
	tr_tpm_pcrs_put(s.pcrs, 48, &b);
	assert_int_equal(tr_tpm_pcrs_get(tr_buf_view(&b), got, 96, &n, &err), TR_OK);
	assert_int_equal(n, 48);
	assert_true(got[0].bank == TR_HASH_SHA1 && got[24].bank == TR_HASH_SHA256 && got[31].index == 7);
	assert_true(tr_view_eq(got[31].value, s.pcrs[7].value));
	tr_tpm_pcrs_put(got, n, &again);
	assert_true(tr_view_eq(tr_buf_view(&b), tr_buf_view(&again)));
	assert_int_equal(tr_tpm_pcrs_get(tr_buf_view(&b), got, 47, &n, &err), TR_E_INVALID);
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++)
		assert_int_equal(tr_tpm_pcrs_get(bad[i].in, got, 96, &n, &err), TR_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quote_of_each_scheme_is_verified),
		cmocka_unit_test(what_is_no_quote_is_none),
		cmocka_unit_test(every_length_of_a_quote_but_its_own_is_refused),
		cmocka_unit_test(fields_that_cannot_be_are_refused),
		cmocka_unit_test(a_selection_is_what_was_attested),
		cmocka_unit_test(pcr_values_are_believed_when_they_hash_to_the_digest),
		cmocka_unit_test(the_nonce_is_compared_whole),
		cmocka_unit_test(an_attestation_key_is_restricted),
		cmocka_unit_test(a_key_says_how_it_signs),
		cmocka_unit_test(raw_rsa_bytes_are_a_signature_only_when_said),
		cmocka_unit_test(a_key_that_nobody_vouches_for_is_not_trusted),
		cmocka_unit_test(the_quote_names_the_key_and_its_parent),
		cmocka_unit_test(counters_and_clock_only_rise),
		cmocka_unit_test(an_ak_certificate_ends_at_a_pinned_key),
		cmocka_unit_test(an_ak_certificate_is_of_no_other_purpose),
		cmocka_unit_test(a_credential_is_sealed_as_tpm2_tools_do),
		cmocka_unit_test(credentials_are_made_for_default_endorsement_keys_only),
		cmocka_unit_test(an_endorsement_certificate_gives_the_templates_name),
		cmocka_unit_test(public_areas_are_read_strictly),
		cmocka_unit_test(pcr_values_travel_as_cbor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
