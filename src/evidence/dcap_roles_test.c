/* SPDX-License-Identifier: Apache-2.0 */
/* Who may stand where in Intel's chains (M-4 and M-5 of docs/faults-of-the-originals.md). Everything here is signed by
 * the trusted root or by a CA below it, as somebody might come by: only role, name or scope is wrong. */
#include "evidence/dcap_sample.h"

#include "codec/pem.h"
#include "crypto/der.h"

enum place { LEAF, CA, ROOT, SIGNER, SIGNER_ROOT, PLACES };

/* What is unlike the good certificate in that place. */
struct change {
	const char *label;
	enum place place;
	const char *subject, *issuer; /* NULL: as it should be */
	enum { AS_IT_IS, A_CA, NO_CA } role;
	bool critical; /* an extension that nobody knows */
	bool p384;
	int64_t not_before, not_after; /* 0: as it should be */
	const char *line; /* that refuses it; NULL: none does */
};

static const struct change changes[] = {
	{ .label = "nothing changed", .place = LEAF },
	{ .label = "nothing changed", .place = SIGNER },
	{ .label = "another leaf's name", .place = LEAF, .subject = "Intel SGX TCB Signing", .line = "pck_chain.leaf_role" },
	{ .label = "a leaf that is a CA", .place = LEAF, .role = A_CA, .line = "pck_chain.leaf_role" },
	{ .label = "a leaf of the Processor CA", .place = LEAF, .issuer = "Intel SGX PCK Processor CA",
	  .line = "pck_chain.leaf_role" },
	{ .label = "a leaf with something critical", .place = LEAF, .critical = true, .line = "pck_chain.leaf_role" },
	{ .label = "a CA with a leaf's name", .place = CA, .subject = "Intel SGX PCK Certificate", .line = "pck_chain.ca_role" },
	{ .label = "a CA of no such name", .place = CA, .subject = "Intel SGX PCK Some CA", .line = "pck_chain.ca_role" },
	{ .label = "a CA that is none", .place = CA, .role = NO_CA, .line = "pck_chain.ca_role" },
	{ .label = "a CA of another root's name", .place = CA, .issuer = "Intel SGX Root CB", .line = "pck_chain.ca_role" },
	{ .label = "a CA with something critical", .place = CA, .critical = true, .line = "pck_chain.ca_role" },
	{ .label = "a CA of P-384", .place = CA, .p384 = true, .line = "pck_chain.ca_role" },
	{ .label = "the Processor CA", .place = CA, .subject = "Intel SGX PCK Processor CA", .line = "pck_chain.leaf_role" },
	{ .label = "a root of another name", .place = ROOT, .subject = "Intel SGX Root CB", .issuer = "Intel SGX Root CB",
	  .line = "pck_chain.root_role" },
	{ .label = "a root by another", .place = ROOT, .issuer = "Intel SGX Root CB", .line = "pck_chain.root_role" },
	{ .label = "a root that is no CA", .place = ROOT, .role = NO_CA, .line = "pck_chain.root_role" },
	{ .label = "a root with something critical", .place = ROOT, .critical = true, .line = "pck_chain.root_role" },
	{ .label = "a signer of another name", .place = SIGNER, .subject = "Intel SGX PCK Certificate", .line = "tcb_chain.role" },
	{ .label = "a signer that is a CA", .place = SIGNER, .role = A_CA, .line = "tcb_chain.role" },
	{ .label = "a signer of another root's name", .place = SIGNER, .issuer = "Intel SGX Root CB", .line = "tcb_chain.role" },
	{ .label = "a signer with something critical", .place = SIGNER, .critical = true, .line = "tcb_chain.role" },
	{ .label = "a signer of P-384", .place = SIGNER, .p384 = true, .line = "tcb_chain.role" },
	{ .label = "a signer's root of another name", .place = SIGNER_ROOT, .subject = "Intel SGX Root CB",
	  .issuer = "Intel SGX Root CB", .line = "tcb_chain.role" },
	{ .label = "a leaf of tomorrow", .place = LEAF, .not_before = NOW + 1, .line = "pck_chain.time" },
	{ .label = "a leaf of yesterday", .place = LEAF, .not_after = NOW - 1, .line = "pck_chain.time" },
	{ .label = "a leaf of this second", .place = LEAF, .not_before = NOW, .not_after = NOW },
	{ .label = "a CA of tomorrow", .place = CA, .not_before = NOW + 1, .line = "pck_chain.time" },
	{ .label = "a CA of yesterday", .place = CA, .not_after = NOW - 1, .line = "pck_chain.time" },
	{ .label = "a root of tomorrow", .place = ROOT, .not_before = NOW + 1, .line = "pck_chain.time" },
	{ .label = "a root of yesterday", .place = ROOT, .not_after = NOW - 1, .line = "pck_chain.time" },
	{ .label = "a signer of tomorrow", .place = SIGNER, .not_before = NOW + 1, .line = "tcb_chain.time" },
	{ .label = "a signer of yesterday", .place = SIGNER, .not_after = NOW - 1, .line = "tcb_chain.time" },
	{ .label = "a signer's root of tomorrow", .place = SIGNER_ROOT, .not_before = NOW + 1, .line = "tcb_chain.time" },
	{ .label = "a signer's root of yesterday", .place = SIGNER_ROOT, .not_after = NOW - 1, .line = "tcb_chain.time" },
};

static const struct { const char *subject, *issuer; enum sim_key key, by; int path_len; } good[PLACES] = {
	[LEAF] = { "Intel SGX PCK Certificate", "Intel SGX PCK Platform CA", SIM_PCK, SIM_PLATFORM_CA, SIM_NOT_CA },
	[CA] = { "Intel SGX PCK Platform CA", "Intel SGX Root CA", SIM_PLATFORM_CA, SIM_ROOT, 0 },
	[ROOT] = { "Intel SGX Root CA", "Intel SGX Root CA", SIM_ROOT, SIM_ROOT, 1 },
	[SIGNER] = { "Intel SGX TCB Signing", "Intel SGX Root CA", SIM_TCB_SIGNER, SIM_ROOT, SIM_NOT_CA },
	[SIGNER_ROOT] = { "Intel SGX Root CA", "Intel SGX Root CA", SIM_ROOT, SIM_ROOT, 1 },
};

static const struct tr_raw_priv *key_of(struct world *w, enum sim_key k)
{
	const struct tr_raw_priv *key = NULL;
	struct tr_err err;

	assert_int_equal(tr_sim_intel_key(w->sim, SIM_OWN, k, &key, &err), TR_OK);
	return key;
}

/* The leaf's SGX extension, from the good chain. */
static void put_sgx(const struct world *w, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf ders = TR_BUF_INIT;
	const struct tr_view oid = TR_VIEW_LIT("\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01");
	struct tr_view der[3], value;
	struct tr_x_cert leaf;
	struct tr_err err;
	size_t n;

	assert_int_equal(tr_x_pem_chain(tr_buf_view(&w->made.pck_chain), "CERTIFICATE", 3, &ders, der, &n, &err), TR_OK);
	assert_int_equal(tr_x_cert_parse(der[0], &leaf, &err), TR_OK);
	assert_true(tr_x_cert_extension(&leaf, oid, &value));
	tr_sim_extension(ret, oid, false, value);
}

static void add_cert(struct world *w, enum place p, const struct change *c, const struct tr_raw_priv *p384, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf extra = TR_BUF_INIT, der = TR_BUF_INIT;
	bool mine = c->place == p;
	struct sim_cert made = { .style = SIM_STYLE_INTEL,
				 .subject = mine && c->subject ? c->subject : good[p].subject,
				 .issuer = mine && c->issuer ? c->issuer : good[p].issuer,
				 .serial = TR_VIEW_LIT("\x55\x01"),
				 .not_before = mine && c->not_before ? c->not_before : NOW - 1000,
				 .not_after = mine && c->not_after ? c->not_after : NOW + 1000,
				 .key = mine && c->p384 ? p384 : key_of(w, good[p].key),
				 .by = key_of(w, good[p].by),
				 .path_len = good[p].path_len };
	struct tr_err err;

	if (mine && c->role == A_CA)
		made.path_len = 0;
	if (mine && c->role == NO_CA)
		made.path_len = SIM_NOT_CA;
	if (p == LEAF)
		put_sgx(w, &extra);
	if (mine && c->critical)
		tr_sim_extension(&extra, TR_VIEW_LIT("\x2a\x03\x04\x05"), true, TR_VIEW_LIT("\x05\x00"));
	made.extra = tr_buf_view(&extra);
	assert_int_equal(tr_sim_cert(&made, &der, &err), TR_OK);
	tr_pem_add(ret, "CERTIFICATE", tr_buf_view(&der));
}

static void everyone_in_his_place(void **state)
{
	tr_auto(tr_raw_priv_free) struct tr_raw_priv *p384 = NULL;
	struct tr_err err;

	assert_int_equal(tr_raw_priv_ec(TR_RAW_P384, tr_view(NULL, 0), "", &p384, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(changes); i++) {
		const struct change *c = &changes[i];
		tr_auto(tr_buf_done) struct tr_buf pck = TR_BUF_INIT, tcb = TR_BUF_INIT, quote = TR_BUF_INIT;
		tr_auto(world_done) struct world w;
		const struct tr_tee_check *l;
		bool ok, role;

		make_td(*state, &w);
		add_cert(&w, LEAF, c, p384, &pck);
		add_cert(&w, CA, c, p384, &pck);
		add_cert(&w, ROOT, c, p384, &pck);
		add_cert(&w, SIGNER, c, p384, &tcb);
		add_cert(&w, SIGNER_ROOT, c, p384, &tcb);
		with_cert_data(&w, 5, tr_buf_view(&pck), &quote);
		w.in.quote = tr_buf_view(&quote);
		w.in.c.tcb_chain = tr_buf_view(&tcb);
		ok = passes(&w);
		l = c->line ? line_of(c->line) : NULL;
		role = c->line && !strstr(c->line, ".time");
		if (c->line ? ok || !l || l->code != (role ? TR_TEEC_CHAIN_ROLE : TR_TEEC_CHAIN_TIME) : !ok) {
			show();
			fail_msg("%s %s", c->label, ok ? "passes" : "is refused by another line");
		}
		/* Every signature is good: nothing but the role speaks against it. */
		if (c->line && !c->p384 && c->place != ROOT)
			assert_true(line_of("pck_chain.leaf_signature")->code == TR_TEEC_OK &&
				    line_of("tcb_chain.signature")->code == TR_TEEC_OK);
		/* What nobody may sign is not judged by. */
		if (role && c->place >= SIGNER)
			assert_int_equal(result.tcb_status, TR_TCB_NONE);
		if (!role && c->line)
			assert_int_equal(result.valid_until, c->not_after ? c->not_after : NOW + 1000);
	}
}

/* A CRL of its own making, signed by whom it says. */
static void make_crl(struct world *w, struct tr_view issuer, enum sim_key by, bool critical, struct tr_view aki,
		     struct tr_buf *ret)
{
	static const uint8_t alg[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 };
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT, v = TR_BUF_INIT;
	struct tr_err err;
	size_t at;

	tr_der_add(ret, TR_DER_INT, TR_VIEW_LIT("\1"));
	tr_buf_add(ret, alg, sizeof(alg));
	tr_buf_addv(ret, issuer);
	tr_der_add_time(ret, (NOW - 100) * 1000);
	tr_der_add_time(ret, (NOW + 100) * 1000);
	at = ret->n;
	/* issuingDistributionPoint { onlyContainsUserCerts TRUE }: not the whole list */
	if (critical)
		tr_sim_extension(ret, TR_VIEW_LIT("\x55\x1d\x1c"), true, TR_VIEW_LIT("\x30\x03\x81\x01\xff"));
	tr_sim_extension(ret, TR_VIEW_LIT("\x55\x1d\x14"), false, TR_VIEW_LIT("\x02\x01\x01"));
	if (aki.n) {
		tr_der_add(&v, TR_DER_CTX, aki);
		tr_der_wrap(&v, 0, TR_DER_SEQ);
		tr_sim_extension(ret, TR_VIEW_LIT("\x55\x1d\x23"), false, tr_buf_view(&v));
	}
	tr_der_wrap(ret, at, TR_DER_SEQ);
	tr_der_wrap(ret, at, TR_DER_CTX_CONS);
	tr_der_wrap(ret, 0, TR_DER_SEQ);
	tr_buf_add8(&sig, 0);
	assert_int_equal(tr_raw_sign_ecdsa_der(key_of(w, by), TR_HASH_SHA256, tr_buf_view(ret), &sig, &err), TR_OK);
	tr_buf_add(ret, alg, sizeof(alg));
	tr_der_add(ret, TR_DER_BITS, tr_buf_view(&sig));
	tr_der_wrap(ret, 0, TR_DER_SEQ);
	assert_true(tr_buf_ok(ret));
}

static void a_list_is_whole_and_of_the_right_issuer(void **state)
{
	static const struct {
		const char *label;
		bool critical, other_aki, no_aki;
		enum sim_key by;
		const char *line; /* behind "root_crl." or "pck_crl." */
		enum tr_tee_code code;
	} rows[] = {
		{ "good", false, false, false, SIM_KEY_N, NULL, TR_TEEC_OK },
		{ "no key identifier", false, false, true, SIM_KEY_N, NULL, TR_TEEC_OK },
		{ "another key's identifier", false, true, false, SIM_KEY_N, "issuer", TR_TEEC_CRL_ISSUER },
		{ "of some certificates only", true, false, false, SIM_KEY_N, "format", TR_TEEC_CRL_FORMAT },
		{ "signed by the TCB signer", false, false, false, SIM_TCB_SIGNER, "signature", TR_TEEC_CRL_SIGNATURE },
		{ "signed by the platform itself", false, false, false, SIM_PCK, "signature", TR_TEEC_CRL_SIGNATURE },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		for (unsigned pck = 0; pck < 2; pck++) {
			tr_auto(tr_buf_done) struct tr_buf crl = TR_BUF_INIT;
			tr_auto(world_done) struct world w;
			struct tr_x_crl was;
			struct tr_view *at;
			char line[32];
			struct tr_err err;

			make_td(*state, &w);
			at = pck ? &w.in.c.pck_crl : &w.in.c.root_crl;
			assert_int_equal(tr_x_crl_parse(*at, &was, &err), TR_OK);
			assert_true(was.aki.n == 20);
			make_crl(&w, was.issuer, rows[i].by != SIM_KEY_N ? rows[i].by : pck ? SIM_PLATFORM_CA : SIM_ROOT,
				 rows[i].critical, rows[i].no_aki ? tr_view(NULL, 0) :
				 rows[i].other_aki ? TR_VIEW_LIT("another identifier") : was.aki, &crl);
			*at = tr_buf_view(&crl);
			(void)snprintf(line, sizeof(line), "%s.%s", pck ? "pck_crl" : "root_crl", rows[i].line ? rows[i].line : "");
			if (rows[i].line)
				refused_by(&w, rows[i].label, line, rows[i].code);
			else
				accepted(&w, rows[i].label);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everyone_in_his_place),
		cmocka_unit_test(a_list_is_whole_and_of_the_right_issuer),
	};

	return cmocka_run_group_tests(tests, start, end);
}
