/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated TEE: quotes of a vendor whose keys come from a seed file of the developer's own. They verify only where a
 * policy lists that root, and the verdict says that it is simulated. */
#include "tee/tee_inner.h"

#include "base/file.h"
#include "base/secret.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "evidence/sim.h"

#include <stdio.h>

#define TD_DEBUG UINT64_C(1)
#define TD_SEPT_VE_DISABLE (UINT64_C(1) << 28)
#define SGX_DEBUG UINT64_C(7) /* INIT, DEBUG, MODE64BIT */
#define SNP_DEBUG UINT64_C(0xb0000)

static TR_RC open_vendor(const char *path, struct tr_sim **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf seed = TR_BUF_INIT;
	enum tr_code rc = tr_file_read_secret(path, TR_SIM_SEED_LEN, &seed, err);

	if (!rc && seed.n != TR_SIM_SEED_LEN)
		rc = tr_err_set(err, TR_E_INVALID, "The seed of a simulated TEE has 32 bytes.", "%s: %zu bytes", path, seed.n);
	if (!rc)
		rc = tr_sim_new(seed.p, ret, err);
	tr_wipe(seed.p, seed.n);
	return rc;
}

static TR_RC spec_of(const struct tr_tee_conf *c, const struct tr_tee_ask *ask, struct tr_sim_spec *ret,
		     struct tr_err *err)
{
	enum tr_tee_kind kind;

	if (!tr_tee_kind_of(tr_view_str(c->sim_kind), &kind) || kind == TR_TEE_TPM)
		return tr_err_set(err, TR_E_INVALID, "A simulated TEE is tdx, sgx or snp.", "kind %s", c->sim_kind);
	tr_sim_spec(kind, ret);
	memcpy(ret->report_data, ask->report_data, sizeof(ret->report_data));
	if (c->sim_program && !tr_hex_get(tr_view_str(c->sim_program), ret->mrtd, kind == TR_TEE_SGX ? 32 : 48))
		return tr_err_set(err, TR_E_INVALID, "A simulated measurement is 48 bytes (SGX: 32) as hex.", "%s",
				  c->sim_program);
	if (c->sim_debug) {
		ret->td_attributes = kind == TR_TEE_SGX ? SGX_DEBUG : TD_DEBUG | TD_SEPT_VE_DISABLE;
		ret->snp_policy = SNP_DEBUG;
	}
	return TR_OK;
}

/* AMD's certificates as a host passes them on: the quote of the others carries its chain. */
static void put_table(const struct tr_sim_case *k, struct tr_buf *b)
{
	static const uint8_t guids[3][16] = {
		{ 0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd },
		{ 0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82 },
		{ 0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae },
	};
	const struct tr_buf *certs[3] = { &k->vek, &k->ask, &k->ark };
	static const uint8_t end[24];
	size_t at = 4 * sizeof(end);

	for (size_t i = 0; i < 3; i++) {
		tr_buf_add(b, guids[i], 16);
		for (unsigned j = 0; j < 4; j++)
			tr_buf_add8(b, (uint8_t)(at >> 8 * j));
		for (unsigned j = 0; j < 4; j++)
			tr_buf_add8(b, (uint8_t)(certs[i]->n >> 8 * j));
		at += certs[i]->n;
	}
	tr_buf_add(b, end, sizeof(end));
	for (size_t i = 0; i < 3; i++)
		tr_buf_addv(b, tr_buf_view(certs[i]));
}

static TR_RC quote(const struct tr_tee_conf *c, const struct tr_tee_ask *ask, struct tr_buf *ret_set, struct tr_err *err)
{
	tr_auto(tr_sim_case_done) struct tr_sim_case k = { 0 };
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT, table = TR_BUF_INIT;
	tr_auto(tr_sim_free) struct tr_sim *sim = NULL;
	struct tr_tee_set set = { 0 };
	struct tr_sim_spec spec;

	if (!c->sim_seed)
		return tr_err_set(err, TR_E_UNAVAIL, "A simulated TEE needs its seed file (troth-agent tee simulate-root).",
				  "no seed file");
	if (spec_of(c, ask, &spec, err) || open_vendor(c->sim_seed, &sim, err))
		return err->code;
	set.kind = spec.kind;
	if (spec.kind == TR_TEE_SNP) {
		if (tr_sim_make(sim, &spec, &k, err))
			return err->code;
		put_table(&k, &table);
		set.quote = tr_buf_view(&k.quote);
		set.certs = tr_buf_view(&table);
	} else {
		if (tr_sim_quote(sim, &spec, &bytes, err))
			return err->code;
		set.quote = tr_buf_view(&bytes);
	}
	if (tr_tee_answers(set.kind, set.quote, ask, err) || tr_buf_check(&table, err))
		return err->code;
	return tr_tee_emit(&set, ret_set, err);
}

static bool present(const struct tr_tee_conf *c, char why_not[160])
{
	if (c->sim_seed && tr_file_exists(c->sim_seed))
		return true;
	(void)snprintf(why_not, 160, "no seed file %.100s", c->sim_seed ? c->sim_seed : "is configured");
	return false;
}

/* Never for "auto": nobody simulates by accident. */
const struct tr_tee_source tr_tee_simulated = {
	.name = "simulated", .platforms = " simulated ", .present = present, .quote = quote,
};

struct folder {
	const char *dir;
};

/* Roots and collateral; the example's own quote and verdict are nobody's. */
static enum tr_code write_one(void *arg, const char *name, struct tr_view bytes, struct tr_err *err)
{
	static const char *const not_these[] = { "quote.bin", "report.bin", "case.json" };
	const struct folder *f = arg;
	char path[512];

	for (size_t i = 0; i < TR_ARRAY_LEN(not_these); i++)
		if (!strcmp(name, not_these[i]))
			return TR_OK;
	(void)snprintf(path, sizeof(path), "%.400s/%.60s", f->dir, name);
	return tr_file_create(path, bytes, 0644, err);
}

TR_RC tr_tee_simulate_root(const char *dir, enum tr_tee_kind kind, uint8_t ret_sha256[32], struct tr_err *err)
{
	tr_auto(tr_sim_case_done) struct tr_sim_case k = { 0 };
	tr_auto(tr_sim_free) struct tr_sim *sim = NULL;
	struct folder f = { dir };
	uint8_t seed[TR_SIM_SEED_LEN];
	struct tr_sim_spec spec;
	struct tr_view spki;
	char path[512];
	enum tr_code rc;

	if (kind != TR_TEE_TDX && kind != TR_TEE_SGX && kind != TR_TEE_SNP)
		return tr_err_set(err, TR_E_INVALID, "A simulated TEE is tdx, sgx or snp.", "kind %d", (int)kind);
	if (tr_dir_make(dir, 0700, err))
		return err->code;
	(void)snprintf(path, sizeof(path), "%.400s/seed", dir);
	tr_random(seed, sizeof(seed));
	rc = tr_file_create(path, TR_VIEW_ARRAY(seed), 0600, err);
	if (!rc)
		rc = tr_sim_new(seed, &sim, err);
	tr_wipe(seed, sizeof(seed));
	tr_sim_spec(kind, &spec);
	if (rc || tr_sim_make(sim, &spec, &k, err) || tr_sim_case_files(&k, &spec, "simulated", write_one, &f, err) ||
	    tr_sim_root_spki(sim, kind, &spki, err))
		return err->code;
	tr_sha256(spki, ret_sha256);
	return TR_OK;
}
