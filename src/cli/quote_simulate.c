/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/quote_simulate.h"

#include <stdio.h>

#include "base/file.h"
#include "base/secret.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "evidence/sim.h"

const struct argp_option tr_quote_simulate_options[] = {
	{ "kind", TR_OPT_KIND, "KIND", 0, "tdx (default), sgx or snp", 1 },
	{ "version", TR_OPT_VERSION, "N", 0, "of the quote: 3, 4 or 5 (5 for TDX: a TD 1.5); of an SNP report: 2 to 5", 1 },
	{ "product", TR_OPT_PRODUCT, "NAME", 0, "SNP: Milan (default), Genoa or Turin", 1 },
	{ "vlek", TR_OPT_VLEK, 0, 0, "SNP: signed with a VLEK", 1 },
	{ "root-seed", TR_OPT_ROOT_SEED, "FILE", 0, "32 secret bytes that all keys come from; made when it is missing", 1 },
	{ "report-data", TR_OPT_REPORT_DATA, "HEX", 0, "64 bytes (default: zeros)", 1 },
	{ "status", TR_OPT_STATUS, "STATUS", 0, "of the platform's TCB level (default: UpToDate)", 1 },
	{ "debug", TR_OPT_DEBUG, 0, 0, "a TEE that its host can read", 1 },
	{ "fault", TR_OPT_FAULT, "FAULT", 0, "build this fault in; list: show them", 1 },
	{ 0 },
};

static int list_faults(void)
{
	for (enum tr_sim_fault f = TR_SIM_NO_FAULT + 1; f < TR_SIMF_N; f++) {
		const struct tr_sim_fault_info *i = tr_sim_fault_info(f);
		char kinds[32] = "";
		size_t n = 0;

		for (enum tr_tee_kind k = TR_TEE_SGX; k <= TR_TEE_SNP; k++)
			if (i->kinds & (1u << k))
				n += (size_t)snprintf(kinds + n, sizeof(kinds) - n, "%s%s", n ? "," : "",
						      tr_tee_kind_name(k));
		printf("%-22s %-8s %-22s %s\n", i->slug, kinds, tr_tee_code_info(i->code)->slug, i->what);
	}
	return TR_CLI_EXIT_OK;
}

/* The seed of the file, which is made when it is not there. */
static TR_RC seed_of(const char *path, uint8_t ret[TR_SIM_SEED_LEN], struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc;

	if (!tr_file_exists(path)) {
		tr_random(ret, TR_SIM_SEED_LEN);
		rc = tr_file_create(path, tr_view(ret, TR_SIM_SEED_LEN), 0600, err);
		if (rc != TR_E_CONFLICT)
			return rc;
	}
	rc = tr_file_read_secret(path, TR_SIM_SEED_LEN, &b, err);
	if (!rc && b.n != TR_SIM_SEED_LEN)
		rc = tr_err_set(err, TR_E_INVALID, "a seed is a file of 32 bytes", "%s has %zu", path, b.n);
	if (!rc)
		memcpy(ret, b.p, TR_SIM_SEED_LEN);
	tr_wipe(b.p, b.cap);
	return rc;
}

static bool product_of(const char *name, enum tr_snp_product *ret)
{
	for (enum tr_snp_product p = TR_SNP_UNKNOWN + 1; p < TR_SNP_PRODUCT_N; p++)
		if (strcasecmp(name, tr_snp_product_name(p)) == 0) {
			*ret = p;
			return true;
		}
	return false;
}

/* What the options ask for; prints the refusal itself. `level` is spec's where a status is given. */
static bool spec_of(const struct tr_cli *c, struct tr_sim_spec *spec, struct tr_sim_level *level)
{
	const char *kind = tr_cli_opt(c, TR_OPT_KIND), *version = tr_cli_opt(c, TR_OPT_VERSION),
		   *product = tr_cli_opt(c, TR_OPT_PRODUCT), *data = tr_cli_opt(c, TR_OPT_REPORT_DATA),
		   *status = tr_cli_opt(c, TR_OPT_STATUS), *fault = tr_cli_opt(c, TR_OPT_FAULT);
	enum tr_tee_kind k = TR_TEE_TDX;
	uint64_t n;

	if (kind && (!tr_tee_kind_of(tr_view_str(kind), &k) || k == TR_TEE_TPM))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--kind is tdx, sgx or snp"), false;
	tr_sim_spec(k, spec);
	if (version) {
		if (!tr_cli_number(version, &n) || n > 5)
			return tr_cli_fail(TR_CLI_EXIT_USAGE, "--version is a number up to 5"), false;
		spec->quote_version = (unsigned)n;
		if (k == TR_TEE_TDX && n == 5)
			spec->body = TR_BODY_TD15;
	}
	if ((product || tr_cli_opt(c, TR_OPT_VLEK)) && k != TR_TEE_SNP)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--product and --vlek are for --kind snp"), false;
	if (product && !product_of(product, &spec->product))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--product is Milan, Genoa or Turin"), false;
	spec->vlek = tr_cli_opt(c, TR_OPT_VLEK) != NULL;
	if (data && !tr_hex_get(tr_view_str(data), spec->report_data, sizeof(spec->report_data)))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--report-data is 64 bytes, as 128 hexadecimal digits"), false;
	if (status) {
		/* Fits every simulated platform, whatever its module. */
		*level = (struct tr_sim_level){ 0 };
		if (k == TR_TEE_SNP || !tr_tcb_status_of(tr_view_str(status), &level->status) ||
		    level->status > TR_TCB_REVOKED)
			return tr_cli_fail(TR_CLI_EXIT_USAGE, "--status is a TCB level's of Intel: UpToDate, OutOfDate, …"),
			       false;
		spec->levels = level;
		spec->n_levels = 1;
	}
	if (tr_cli_opt(c, TR_OPT_DEBUG)) {
		if (k == TR_TEE_TDX)
			spec->td_attributes = UINT64_C(1) << 28 | 1;
		else if (k == TR_TEE_SGX)
			spec->td_attributes = 0x7;
		else
			spec->snp_policy = 0xb0000;
	}
	if (fault && !tr_sim_fault_of(tr_view_str(fault), &spec->fault))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "no fault \"%s\": see --fault list", fault), false;
	return true;
}

static enum tr_code to_file(void *arg, const char *name, struct tr_view bytes, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	tr_buf_addf(&path, "%s/%s", (const char *)arg, name);
	return tr_file_write(tr_buf_cstr(&path), bytes, 0644, err);
}

static void say(const struct tr_cli *c, const char *dir, const struct tr_sim_spec *spec, struct tr_view root_spki, bool seeded)
{
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	const struct tr_sim_fault_info *fault = tr_sim_fault_info(spec->fault);
	uint8_t sum[TR_SHA256_LEN];

	tr_sha256(root_spki, sum);
	tr_hex_add(&hex, TR_VIEW_ARRAY(sum));
	if (c->json) {
		tr_buf_adds(&out, "{");
		tr_cli_put(&out, "dir", dir);
		tr_cli_put(&out, "kind", tr_tee_kind_name(spec->kind));
		tr_cli_put(&out, "root_spki_sha256", tr_buf_cstr(&hex));
		tr_cli_put(&out, "code", fault ? tr_tee_code_info(fault->code)->slug : NULL);
		tr_buf_adds(&out, ",\"simulated\":true}");
		printf("%s\n", tr_buf_cstr(&out));
		return;
	}
	if (c->quiet) {
		printf("%s\n", tr_buf_cstr(&hex));
		return;
	}
	printf("%s: simulated %s evidence%s%s\n", dir, tr_tee_kind_name(spec->kind), fault ? ", with the fault: " : "",
	       fault ? fault->what : "");
	printf("root (SHA-256 of its SPKI): %s\n", tr_buf_cstr(&hex));
	if (!seeded && spec->kind == TR_TEE_SNP)
		printf("It is signed with published test keys: have no policy trust this root. --root-seed makes one of "
		       "your own.\n");
}

int tr_quote_simulate(struct tr_cli *c)
{
	tr_auto(tr_sim_free) struct tr_sim *s = NULL;
	tr_auto(tr_sim_case_done) struct tr_sim_case made = { 0 };
	const char *seed_file = tr_cli_opt(c, TR_OPT_ROOT_SEED), *fault = tr_cli_opt(c, TR_OPT_FAULT), *dir = c->args[0], *name;
	uint8_t seed[TR_SIM_SEED_LEN];
	struct tr_sim_level level;
	struct tr_sim_spec spec;
	struct tr_err err = { 0 };
	enum tr_code rc;

	if (fault && strcmp(fault, "list") == 0)
		return list_faults();
	if (c->n_args != 1)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "which folder? troth quote simulate DIR");
	if (!spec_of(c, &spec, &level))
		return TR_CLI_EXIT_USAGE;
	if (seed_file && seed_of(seed_file, seed, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	rc = tr_sim_new(seed_file ? seed : NULL, &s, &err);
	tr_wipe(seed, sizeof(seed));
	if (!rc)
		rc = tr_sim_make(s, &spec, &made, &err);
	if (rc)
		return tr_cli_err(rc == TR_E_INVALID ? TR_CLI_EXIT_USAGE : TR_CLI_EXIT_FILE, &err);
	name = strrchr(dir, '/');
	if (tr_dir_make(dir, 0755, &err) ||
	    tr_sim_case_files(&made, &spec, name && name[1] ? name + 1 : dir, to_file, (void *)(uintptr_t)dir, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	say(c, dir, &spec, tr_buf_view(&made.root_spki), seed_file != NULL);
	return TR_CLI_EXIT_OK;
}
