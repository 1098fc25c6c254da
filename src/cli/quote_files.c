/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/quote.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "crypto/key.h"
#include "signed/collateral.h"

/* ---- one file ---- */

static bool from_text(struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf plain = TR_BUF_INIT, text = TR_BUF_INIT;
	struct tr_err err;
	bool ok = false;

	for (size_t i = 0; i < b->n; i++) {
		if (!isspace(b->p[i]) && !(b->p[i] == 0 && i + 1 == b->n))
			tr_buf_add8(&text, b->p[i]);
		if (b->p[i] > 0x7e)
			return false;
	}
	if (text.n >= 2 && text.n % 2 == 0 && tr_buf_space(&plain, text.n / 2))
		ok = tr_hex_get(tr_buf_view(&text), plain.p, plain.n);
	if (!ok) {
		tr_buf_clear(&plain);
		ok = text.n && tr_b64_get(tr_buf_view(&text), TR_B64_STD, &plain, &err) == TR_OK;
	}
	if (ok) {
		tr_buf_clear(b);
		tr_buf_addv(b, tr_buf_view(&plain));
	}
	return ok;
}

int tr_quote_read(const char *path, struct tr_buf *ret)
{
	struct tr_err err = { 0 };

	if (tr_file_read(path, TR_QUOTE_FILE_MAX, ret, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	(void)from_text(ret);
	return TR_CLI_EXIT_OK;
}

int tr_quote_hex(const char *option, const char *text, struct tr_buf *ret)
{
	const size_t n = strlen(text);
	uint8_t *p = n && n % 2 == 0 && n <= 8192 ? tr_buf_space(ret, n / 2) : NULL;

	if (!p || !tr_hex_get(tr_view_str(text), p, n / 2))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "%s takes hex digits, two for each byte", option);
	return TR_CLI_EXIT_OK;
}

/* ---- PCR values ---- */

struct pcrs {
	struct tr_tpm_pcr *ret;
	uint8_t (*values)[64];
	size_t max, n;
	enum tr_raw_hash bank;
	bool bad;
};

static bool add_pcr(void *arg, const char *key, tr_jnode value)
{
	struct pcrs *p = arg;
	struct tr_view hex;
	uint64_t index;
	const size_t n = tr_raw_hash_len(p->bank);

	if (p->n == p->max || !tr_cli_number(key, &index) || index >= TR_TPM_PCRS || !tr_json_str(value, &hex) ||
	    hex.n != 2 * n || !tr_hex_get(hex, p->values[p->n], n)) {
		p->bad = true;
		return false;
	}
	p->ret[p->n] = (struct tr_tpm_pcr){ p->bank, (unsigned)index, tr_view(p->values[p->n], n) };
	p->n++;
	return true;
}

static bool add_bank(void *arg, const char *key, tr_jnode value)
{
	struct pcrs *p = arg;

	p->bank = TR_HASH_NONE;
	for (unsigned h = TR_HASH_SHA1; h < TR_HASH_N; h++)
		if (strcmp(key, tr_raw_hash_name((enum tr_raw_hash)h)) == 0)
			p->bank = (enum tr_raw_hash)h;
	/* A bank of a hash that we do not have cannot have been quoted with one that we accept. */
	if (p->bank != TR_HASH_NONE)
		tr_json_each(value, add_pcr, p);
	return !p->bad;
}

TR_RC tr_quote_pcrs(struct tr_view json, struct tr_tpm_pcr *ret, uint8_t (*ret_values)[64], size_t max, size_t *ret_n,
		    struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct pcrs p = { .ret = ret, .values = ret_values, .max = max };
	enum tr_code rc = tr_json_parse(json, &j, err);

	if (rc)
		return rc;
	tr_json_each(tr_json_root(j), add_bank, &p);
	if (p.bad)
		return tr_err_set(err, TR_E_INVALID, "PCR values are {bank: {index: hex}}", "PCR values");
	*ret_n = p.n;
	return TR_OK;
}

/* ---- collateral ---- */

void tr_quote_bundle_done(struct tr_quote_bundle *b)
{
	tr_bundle_done(&b->bundle);
	tr_buf_done(&b->file);
	for (size_t i = 0; i < b->n_stores; i++)
		tr_buf_done(&b->stores[i]);
	free(b->stores);
	*b = (struct tr_quote_bundle){ 0 };
}

static TR_RC import_file(const char *path, struct tr_quote_bundle *b, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT;
	struct tr_buf *stores = realloc(b->stores, (b->n_stores + 1) * sizeof(*stores));
	size_t n = 0;
	enum tr_code rc;

	if (!stores)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "out of memory");
	b->stores = stores;
	stores[b->n_stores] = TR_BUF_INIT;
	if (!b->bundle.items)
		b->bundle.items = calloc(TR_BUNDLE_ITEMS_MAX, sizeof(*b->bundle.items));
	if (!b->bundle.items)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "out of memory");
	rc = tr_file_read(path, TR_QUOTE_FILE_MAX, &file, err);
	if (!rc)
		rc = tr_bundle_import(tr_buf_view(&file), &stores[b->n_stores], b->bundle.items + b->bundle.n,
				      TR_BUNDLE_ITEMS_MAX - b->bundle.n, &n, err);
	b->n_stores++;
	if (rc)
		return rc;
	b->files++;
	b->bundle.n += n;
	return TR_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int import_folder(const char *path, struct tr_quote_bundle *b)
{
	struct dirent **names = NULL;
	const int n = scandir(path, &names, NULL, by_name);
	struct stat st;

	if (n < 0)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s cannot be read: %m", path);
	for (int i = 0; i < n; i++) {
		tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT;
		struct tr_err err = { 0 };

		tr_buf_addf(&file, "%s/%s", path, names[i]->d_name);
		if (stat(tr_buf_cstr(&file), &st) == 0 && S_ISREG(st.st_mode) &&
		    import_file(tr_buf_cstr(&file), b, &err)) {
			b->passed_over++;
			(void)tr_cli_fail(0, "%s is passed over: %s", tr_buf_cstr(&file), err.detail);
		}
		free(names[i]);
	}
	free(names);
	return TR_CLI_EXIT_OK;
}

/* {1: …} as CBOR, or a COSE_Sign1 (tag 18): no vendor's file begins so. */
static bool is_bundle(struct tr_view f)
{
	return f.n > 2 && (f.p[0] == 0xa3 || f.p[0] == 0xd2);
}

static int open_bundle(const char *path, const char *key, struct tr_quote_bundle *b)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	struct tr_view bytes = tr_buf_view(&b->file), kid;
	struct tr_err err = { 0 };
	struct tr_cose cose;

	if (key && (tr_file_read(key, 65536, &pem, &err) || tr_pubkey_from_pem(tr_buf_view(&pem), &k, &err)))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (bytes.p[0] == 0xd2) {
		if (k ? tr_collateral_verify(bytes, k, &bytes, &err) : tr_cose1_parse(bytes, TR_COLLATERAL_MAX, &cose, &err))
			return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is not signed by that key (%s)", path, err.detail);
		if (!k)
			bytes = cose.payload;
	} else if (k) {
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is not signed", path);
	}
	(void)kid;
	if (tr_bundle_get(bytes, &b->bundle, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s: %s (%s)", path, err.pub, err.detail);
	return TR_CLI_EXIT_OK;
}

int tr_quote_collateral(const char *path, const char *key, struct tr_quote_bundle *ret)
{
	struct tr_err err = { 0 };
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return import_folder(path, ret);
	if (!ret->bundle.items) {
		if (tr_file_read(path, TR_QUOTE_FILE_MAX, &ret->file, &err))
			return tr_cli_err(TR_CLI_EXIT_FILE, &err);
		if (is_bundle(tr_buf_view(&ret->file)))
			return open_bundle(path, key, ret);
		tr_buf_done(&ret->file);
	}
	if (import_file(path, ret, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s: %s (%s)", path, err.pub, err.detail);
	return TR_CLI_EXIT_OK;
}

/* ---- roots and the tools' policy ---- */

TR_RC tr_quote_root(struct tr_view file, struct tr_buf *ret_spki, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view label, rest, bytes = file;
	struct tr_x_cert cert;
	enum tr_code rc = TR_OK;

	if (tr_pem_more(file)) {
		rc = tr_pem_get(file, &label, &der, &rest, err);
		bytes = tr_buf_view(&der);
	}
	if (!rc)
		rc = tr_x_cert_parse(bytes, &cert, err);
	if (rc)
		return tr_err_wrap(err, "root");
	tr_buf_addv(ret_spki, cert.spki);
	return tr_buf_check(ret_spki, err);
}

TR_RC tr_quote_policy(struct tr_view root_spki, bool any_status, struct tr_tee_policy **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	uint8_t digest[32];

	tr_buf_adds(&text, "{\"name\":\"default\",\"agent_types\":[\"*\"],\"evidence\":[\"sgx\",\"tdx\",\"snp\",\"tpm\"],"
			   "\"report_data\":\"none\",\"measurements\":\"any\","
			   "\"tpm\":{\"ak\":[\"pinned\",\"certificate\",\"hcl\"]},\"roots\":[");
	if (root_spki.n) {
		tr_sha256(root_spki, digest);
		tr_buf_adds(&text, "{\"name\":\"given\",\"spki_sha256\":\"");
		tr_hex_add(&text, TR_VIEW_ARRAY(digest));
		tr_buf_adds(&text, "\"}]");
	} else {
		tr_buf_adds(&text, "\"intel\",\"amd\",\"tpm\"]");
	}
	if (any_status)
		tr_buf_adds(&text, ",\"tcb\":{\"out_of_date_until\":\"9999-01-01\",\"accept\":[\"UpToDate\",\"SWHardeningNeeded\","
				   "\"ConfigurationNeeded\",\"ConfigurationAndSWHardeningNeeded\",\"OutOfDate\","
				   "\"OutOfDateConfigurationNeeded\",\"TDRelaunchAdvised\","
				   "\"TDRelaunchAdvisedConfigurationNeeded\"]}");
	tr_buf_adds(&text, "}");
	return tr_tee_policy_parse_tools(tr_buf_view(&text), ret, err);
}
