/* SPDX-License-Identifier: Apache-2.0 */
/* Chains that AMD would not make, each good but for one thing: correctly signed by the keys that they claim. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "evidence/sim_inner.h"

static struct tr_sim *sim;
static struct tr_tee_result r;

static int make_sim(void **state)
{
	struct tr_err err;

	(void)state;
	return tr_sim_new(NULL, &sim, &err) ? -1 : 0;
}

static int end_sim(void **state)
{
	(void)state;
	sim = tr_sim_free(sim);
	return 0;
}

enum key { KEY_DEFAULT, KEY_P256, KEY_P384 };
enum usage { USAGE_GOOD, USAGE_NO_SIGN, USAGE_NO_CA, USAGE_CRITICAL };

/* What differs from a good chain of Milan; NULL and 0: nothing. */
struct odd {
	const char *label, *line;
	enum tr_tee_code code; /* of that line */
	enum tr_snp_product product;
	unsigned version;
	const char *ark_cn, *ask_cn, *ask_issuer, *vek_issuer, *product_name;
	enum usage ask_usage;
	enum key ask_key, vek_key;
	bool vek_is_ca, vek_critical, fmc, no_fmc, ecdsa;
	uint8_t fmc_more, spl4;
	size_t hw_id_n; /* 0: as it is */
};

struct chain {
	struct tr_sim_case c;
	struct tr_buf ark, ask, vek;
	struct tr_raw_priv *p256, *p384;
};

static void chain_done(struct chain *c)
{
	tr_sim_case_done(&c->c);
	tr_buf_done(&c->ark);
	tr_buf_done(&c->ask);
	tr_buf_done(&c->vek);
	c->p256 = tr_raw_priv_free(c->p256);
	c->p384 = tr_raw_priv_free(c->p384);
}
TR_DEFINE_AUTO_DONE(struct chain, chain_done)

static void put_kds(struct tr_buf *b, uint8_t a, uint8_t tail, struct tr_view value)
{
	const uint8_t oid[] = { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01, a, tail };

	tr_sim_extension(b, tr_view(oid, tail ? 10 : 9), false, value);
}

static void put_uint(struct tr_buf *b, uint8_t a, uint8_t tail, uint8_t v)
{
	const uint8_t der[] = { 2, v > 127 ? 2 : 1, v > 127 ? 0 : v, v };

	put_kds(b, a, tail, tr_view(der, v > 127 ? 4 : 3));
}

static void put_vek_extensions(struct tr_buf *b, const struct odd *o, const struct tr_snp_report *report)
{
	const char *name = o->product_name ? o->product_name : tr_snp_product_name(o->product);
	bool turin = o->product == TR_SNP_TURIN;
	uint8_t text[32] = { 0x16, (uint8_t)strlen(name) }, id[64];
	struct tr_snp_tcb t;

	tr_snp_tcb_read(o->product, report->reported_tcb, &t);
	memcpy(text + 2, name, strlen(name));
	memcpy(id, report->chip_id.p, 64);
	put_uint(b, 1, 0, turin);
	put_kds(b, 2, 0, tr_view(text, strlen(name) + 2));
	put_uint(b, 3, 1, t.boot_loader);
	put_uint(b, 3, 2, t.tee);
	put_uint(b, 3, 3, t.snp);
	put_uint(b, 3, 4, o->spl4);
	put_uint(b, 3, 8, t.microcode);
	if ((turin || o->fmc) && !o->no_fmc)
		put_uint(b, 3, 9, (uint8_t)(t.fmc + o->fmc_more));
	put_kds(b, 4, 0, tr_view(id, o->hw_id_n ? o->hw_id_n : turin ? 8 : 64));
	if (o->vek_is_ca)
		tr_sim_extension(b, TR_VIEW_LIT("\x55\x1d\x13"), true, TR_VIEW_LIT("\x30\x03\x01\x01\xff"));
	if (o->vek_critical)
		tr_sim_extension(b, TR_VIEW_LIT("\x2a\x03\x04"), true, TR_VIEW_LIT("\x05\x00"));
}

static void put_ask_extensions(struct tr_buf *b, enum usage u)
{
	if (u != USAGE_NO_CA)
		tr_sim_extension(b, TR_VIEW_LIT("\x55\x1d\x13"), true, TR_VIEW_LIT("\x30\x03\x01\x01\xff"));
	/* keyCertSign, or cRLSign alone */
	tr_sim_extension(b, TR_VIEW_LIT("\x55\x1d\x0f"), true,
			 u == USAGE_NO_SIGN ? TR_VIEW_LIT("\x03\x02\x01\x02") : TR_VIEW_LIT("\x03\x02\x02\x04"));
	if (u == USAGE_CRITICAL)
		tr_sim_extension(b, TR_VIEW_LIT("\x2a\x03\x04"), true, TR_VIEW_LIT("\x05\x00"));
}

static const struct tr_raw_priv *key_of(const struct chain *c, enum key k, const struct tr_raw_priv *otherwise)
{
	return k == KEY_P256 ? c->p256 : k == KEY_P384 ? c->p384 : otherwise;
}

static void certificate(enum sim_style style, const char *issuer, const char *subject, const struct tr_raw_priv *key,
			const struct tr_raw_priv *by, struct tr_view extra, struct tr_buf *ret)
{
	const struct sim_cert cert = { .style = style, .issuer = issuer, .subject = subject, .serial = TR_VIEW_LIT("\x07"),
				       .not_before = SIM_NOT_BEFORE, .not_after = SIM_NOT_AFTER, .key = key, .by = by,
				       .path_len = SIM_NOT_CA, .bare = true, .extra = extra };
	struct tr_err err;

	if (tr_sim_cert(&cert, ret, &err))
		fail_msg("%s: %s", subject, err.detail);
}

static void make(struct chain *c, const struct odd *o)
{
	tr_auto(tr_buf_done) struct tr_buf vek_extra = TR_BUF_INIT, ask_extra = TR_BUF_INIT, ark_extra = TR_BUF_INIT;
	const struct tr_raw_priv *ark, *ask, *vek;
	enum sim_style style = o->ecdsa ? SIM_STYLE_INTEL : SIM_STYLE_AMD;
	char ark_cn[32], ask_cn[32];
	enum tr_tee_code code;
	struct tr_snp_report report;
	struct tr_sim_spec spec;
	struct tr_err err;

	*c = (struct chain){ 0 };
	tr_sim_spec(TR_TEE_SNP, &spec);
	spec.product = o->product;
	spec.quote_version = o->version;
	assert_int_equal(tr_sim_make(sim, &spec, &c->c, &err), TR_OK);
	assert_int_equal(tr_snp_parse(tr_buf_view(&c->c.quote), &report, &code, &err), TR_OK);
	assert_int_equal(tr_sim_amd_key(sim, SIM_OWN, SIM_ARK, &ark, &err), TR_OK);
	assert_int_equal(tr_sim_amd_key(sim, SIM_OWN, SIM_ASK, &ask, &err), TR_OK);
	assert_int_equal(tr_sim_vek_key(sim, SIM_OWN, false, &vek, &err), TR_OK);
	assert_int_equal(tr_raw_priv_ec(TR_RAW_P256, TR_VIEW_LIT(""), "a", &c->p256, &err), TR_OK);
	assert_int_equal(tr_raw_priv_ec(TR_RAW_P384, TR_VIEW_LIT(""), "b", &c->p384, &err), TR_OK);
	if (o->ecdsa)
		ark = ask = c->p256;
	(void)snprintf(ark_cn, sizeof(ark_cn), "ARK-%s", tr_snp_product_name(o->product));
	(void)snprintf(ask_cn, sizeof(ask_cn), "SEV-%s", tr_snp_product_name(o->product));
	put_ask_extensions(&ark_extra, USAGE_GOOD);
	put_ask_extensions(&ask_extra, o->ask_usage);
	put_vek_extensions(&vek_extra, o, &report);
	certificate(style, o->ark_cn ? o->ark_cn : ark_cn, o->ark_cn ? o->ark_cn : ark_cn, ark, ark, tr_buf_view(&ark_extra),
		    &c->ark);
	certificate(style, o->ask_issuer ? o->ask_issuer : o->ark_cn ? o->ark_cn : ark_cn, o->ask_cn ? o->ask_cn : ask_cn,
		    key_of(c, o->ask_key, ask), ark, tr_buf_view(&ask_extra), &c->ask);
	certificate(style, o->vek_issuer ? o->vek_issuer : o->ask_cn ? o->ask_cn : ask_cn, "SEV-VCEK",
		    key_of(c, o->vek_key, vek), ask, tr_buf_view(&vek_extra), &c->vek);
}

static void verify(const struct chain *c, struct tr_snp_cache *cache)
{
	struct tr_x_cert ark;
	struct tr_err err;
	struct tr_snp_in in = { .report = tr_buf_view(&c->c.quote), .vek = tr_buf_view(&c->vek), .ask = tr_buf_view(&c->ask),
				.ark = tr_buf_view(&c->ark), .n_roots = 1, .when = { .now = TR_SIM_TIME }, .cache = cache };

	assert_int_equal(tr_x_cert_parse(in.ark, &ark, &err), TR_OK);
	in.roots = &ark.spki;
	tr_snp_verify(&in, &r, NULL);
}

static enum tr_tee_code code_of(const char *line)
{
	for (size_t i = 0; i < r.n_checks; i++)
		if (!strcmp(r.checks[i].name, line))
			return r.checks[i].code;
	fail_msg("no line %s", line);
	return TR_TEEC_LIMIT;
}

#define MILAN .product = TR_SNP_MILAN, .version = 3
#define TURIN .product = TR_SNP_TURIN, .version = 5

static void each_link_must_be_what_its_place_demands(void **state)
{
	static const struct odd rows[] = {
		{ "a good chain", "report.signature", TR_TEEC_OK, MILAN },
		{ "a good chain of Turin", "vek.tcb", TR_TEEC_OK, TURIN },
		{ "an ASK that may not sign certificates", "ask.role", TR_TEEC_CHAIN_ROLE, MILAN, .ask_usage = USAGE_NO_SIGN },
		{ "an ASK that is no CA", "ask.role", TR_TEEC_CHAIN_ROLE, MILAN, .ask_usage = USAGE_NO_CA },
		{ "an ASK with something critical", "ask.role", TR_TEEC_CHAIN_ROLE, MILAN, .ask_usage = USAGE_CRITICAL },
		{ "an ASK with an EC key", "ask.role", TR_TEEC_CHAIN_ROLE, MILAN, .ask_key = KEY_P384 },
		{ "an ASK of another issuer", "ask.role", TR_TEEC_CHAIN_ROLE, MILAN, .ask_issuer = "ARK-Genoa" },
		{ "an ASK of another product", "ask.role", TR_TEEC_CHAIN_ROLE, MILAN, .ask_cn = "SEV-Genoa" },
		{ "an ASVK in the ASK's place", "ask.role", TR_TEEC_CHAIN_ROLE, MILAN, .ask_cn = "SEV-VLEK-Milan" },
		{ "an ARK of another product", "ark.role", TR_TEEC_CHAIN_ROLE, MILAN, .ark_cn = "ARK-Genoa" },
		{ "a VEK of another issuer", "vek.role", TR_TEEC_CHAIN_ROLE, MILAN, .vek_issuer = "SEV-Genoa" },
		{ "a VEK with a P-256 key", "vek.role", TR_TEEC_CHAIN_ROLE, MILAN, .vek_key = KEY_P256 },
		{ "the same", "report.signature", TR_TEEC_SNP_SIGNATURE, MILAN, .vek_key = KEY_P256 },
		{ "a VEK that is a CA", "vek.role", TR_TEEC_CHAIN_ROLE, MILAN, .vek_is_ca = true },
		{ "a VEK with something critical", "vek.role", TR_TEEC_CHAIN_ROLE, MILAN, .vek_critical = true },
		{ "another scheme", "ark.signature", TR_TEEC_CHAIN_SIGNATURE, MILAN, .ecdsa = true },
		{ "another scheme", "ask.signature", TR_TEEC_CHAIN_SIGNATURE, MILAN, .ecdsa = true },
		{ "another scheme", "vek.signature", TR_TEEC_CHAIN_SIGNATURE, MILAN, .ecdsa = true },
		{ "a product that nobody knows", "product.vek", TR_TEEC_SNP_PRODUCT, .product = TR_SNP_MILAN, .version = 2,
		  .product_name = "Naples-B1" },
		{ "a name that only begins so", "product.vek", TR_TEEC_SNP_PRODUCT, MILAN, .product_name = "Milano" },
		{ "a stepping behind the name", "product.vek", TR_TEEC_OK, MILAN, .product_name = "Milan-B1" },
		{ "Milan with an FMC level", "product.tcb_layout", TR_TEEC_SNP_PRODUCT, MILAN, .fmc = true },
		{ "Turin without one", "product.tcb_layout", TR_TEEC_SNP_PRODUCT, TURIN, .no_fmc = true },
		{ "Turin of another FMC level", "vek.tcb", TR_TEEC_SNP_TCB, TURIN, .fmc_more = 1 },
		{ "a reserved level that is set", "vek.tcb", TR_TEEC_SNP_TCB, MILAN, .spl4 = 1 },
		{ "Turin with 64 bytes of chip id", "vek.chip_id", TR_TEEC_SNP_CHIP_ID, TURIN, .hw_id_n = 64 },
		{ "Milan with 8 bytes of chip id", "vek.chip_id", TR_TEEC_SNP_CHIP_ID, MILAN, .hw_id_n = 8 },
		{ "a chip id of 63 bytes", "vek.extensions", TR_TEEC_SNP_CERTS, MILAN, .hw_id_n = 63 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(chain_done) struct chain c;

		make(&c, &rows[i]);
		verify(&c, NULL);
		if (code_of(rows[i].line) != rows[i].code)
			fail_msg("%s: %s is %s", rows[i].label, rows[i].line, tr_tee_code_info(code_of(rows[i].line))->slug);
		assert_true(tr_tee_authentic_and_current(&r) == (rows[i].code == TR_TEEC_OK));
	}
}

/* AMD's Milan key in a certificate that calls itself Genoa's: the name does not make it so. */
static void a_pinned_key_is_one_products(void **state)
{
	const struct odd good = { .product = TR_SNP_GENOA, .version = 3 };
	tr_auto(chain_done) struct chain c;
	struct tr_x_cert ark;
	struct tr_err err;

	(void)state;
	make(&c, &good);
	assert_int_equal(tr_x_cert_parse(tr_buf_view(&c.ark), &ark, &err), TR_OK);
	for (unsigned p = TR_SNP_MILAN; p < TR_SNP_PRODUCT_N; p++) {
		struct tr_view spki = tr_amd_root_spki((enum tr_snp_product)p);

		assert_int_equal(spki.n, ark.spki.n);
		memcpy(c.ark.p + (ark.spki.p - c.ark.p), spki.p, spki.n);
		verify(&c, NULL);
		assert_int_equal(code_of("ark.root"), p == TR_SNP_GENOA ? TR_TEEC_OK : TR_TEEC_CHAIN_ROOT);
		assert_int_equal(code_of("ark.signature"), TR_TEEC_CHAIN_SIGNATURE);
	}
}

/* Two vendors of the same names, one cache: what one of them signed says nothing of the other. */
static void a_cache_does_not_mix_keys_of_one_name(void **state)
{
	tr_auto(tr_snp_cache_free) struct tr_snp_cache *cache = tr_snp_cache_new(64);
	tr_auto(tr_sim_case_done) struct tr_sim_case own = { 0 }, other = { 0 };
	struct tr_snp_in in[2];
	struct tr_x_cert ark[2];
	struct tr_sim_spec spec;
	struct tr_err err;

	(void)state;
	tr_sim_spec(TR_TEE_SNP, &spec);
	assert_int_equal(tr_sim_make(sim, &spec, &own, &err), TR_OK);
	spec.fault = TR_SIMF_OTHER_ROOT;
	assert_int_equal(tr_sim_make(sim, &spec, &other, &err), TR_OK);
	for (unsigned i = 0; i < 2; i++) {
		const struct tr_sim_case *c = i ? &other : &own;

		assert_int_equal(tr_x_cert_parse(tr_buf_view(&c->ark), &ark[i], &err), TR_OK);
		in[i] = (struct tr_snp_in){ .report = tr_buf_view(&c->quote), .vek = tr_buf_view(&c->vek),
					    .ask = tr_buf_view(&c->ask), .ark = tr_buf_view(&c->ark), .roots = &ark[i].spki,
					    .n_roots = 1, .when = { .now = TR_SIM_TIME }, .cache = cache };
	}
	assert_false(tr_view_eq(ark[0].spki, ark[1].spki));
	for (unsigned i = 0; i < 4; i++) {
		tr_snp_verify(&in[i & 1], &r, NULL);
		assert_true(tr_tee_authentic_and_current(&r));
	}
	in[0].ask = in[1].ask;
	in[0].ark = in[1].ark;
	in[0].roots = in[1].roots;
	for (unsigned i = 0; i < 2; i++) {
		tr_snp_verify(&in[0], &r, NULL);
		assert_int_equal(code_of("vek.signature"), TR_TEEC_CHAIN_SIGNATURE);
		assert_int_equal(code_of("ask.signature"), TR_TEEC_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_link_must_be_what_its_place_demands),
		cmocka_unit_test(a_pinned_key_is_one_products),
		cmocka_unit_test(a_cache_does_not_mix_keys_of_one_name),
	};

	return cmocka_run_group_tests(tests, make_sim, end_sim);
}
