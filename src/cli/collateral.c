/* SPDX-License-Identifier: Apache-2.0 */
/* `troth collateral`: the vendors' files, gathered into one bundle, looked at, and signed. Needs no server and no network. */
#include "cli/quote.h"
#include "cli/verdict.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/output.h"
#include "codec/text.h"
#include "crypto/key.h"
#include "signed/collateral.h"

#define WARN_DAYS 7

/* ---- import ---- */

static int import(struct tr_cli *c)
{
	tr_auto(tr_quote_bundle_done) struct tr_quote_bundle all = { 0 };
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	const char *out = tr_cli_opt(c, TR_OPT_OUT), *version = tr_cli_opt(c, TR_OPT_VERSION);
	tr_auto(tr_bundle_done) struct tr_bundle back = { 0 };
	struct tr_err err = { 0 };

	if (!out)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--out is needed: where the bundle goes");
	for (unsigned i = 0; i < c->n_args; i++) {
		const int rc = tr_quote_collateral(c->args[i], NULL, &all);

		if (rc)
			return rc;
		if (all.file.n)
			return tr_cli_fail(TR_CLI_EXIT_USAGE, "%s is a bundle already; give the vendors' files", c->args[i]);
	}
	if (!all.bundle.n)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "nothing to import was found");
	all.bundle.made = tr_now_ms() / 1000;
	all.bundle.version = (uint64_t)all.bundle.made; /* rises by itself */
	if (version && !tr_cli_number(version, &all.bundle.version))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--version takes a whole number");
	tr_bundle_put(&bytes, &all.bundle);
	if (tr_buf_check(&bytes, &err) || tr_bundle_get(tr_buf_view(&bytes), &back, &err) ||
	    tr_file_write(out, tr_buf_view(&bytes), 0644, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (!c->quiet)
		printf("%s: %zu items of %zu files, %zu bytes, version %" PRIu64 "%s\n", out, back.n, all.files, bytes.n,
		       back.version, all.passed_over ? "; some files were passed over" : "");
	return TR_CLI_EXIT_OK;
}

/* ---- show, check ---- */

static void put_key(struct tr_buf *b, const struct tr_bundle_entry *e)
{
	switch (e->type) {
	case TR_BI_TCB_INFO:
	case TR_BI_QE_IDENTITY:
		tr_buf_adds(b, tr_tee_kind_name((enum tr_tee_kind)(e->key.n ? e->key.p[0] : 0)));
		if (e->key.n > 1) {
			tr_buf_add8(b, ' ');
			tr_hex_add(b, tr_view(e->key.p + 1, e->key.n - 1));
		}
		break;
	case TR_BI_ARK:
	case TR_BI_ASK:
	case TR_BI_ASVK:
	case TR_BI_AMD_CRL: tr_out_escape(b, e->key); break;
	default: tr_hex_add(b, e->key.n > 8 ? tr_view(e->key.p, 8) : e->key); break;
	}
}

static const char *state_of(const struct tr_bundle_entry *e, int64_t now, int64_t warn_s)
{
	if (e->issued > now)
		return "not yet valid";
	if (!e->expires)
		return "ok";
	return e->expires <= now ? "expired" : e->expires - now < warn_s ? "expires soon" : "ok";
}

static void put_item(struct tr_buf *b, const struct tr_bundle_entry *e, bool json, bool first, int64_t now, int64_t warn_s)
{
	tr_auto(tr_buf_done) struct tr_buf key = TR_BUF_INIT, span = TR_BUF_INIT;
	const char *state = state_of(e, now, warn_s);

	put_key(&key, e);
	if (json) {
		tr_buf_adds(b, first ? "{\"item\":" : ",{\"item\":");
		tr_json_put_str(b, tr_view_str(tr_bundle_item_name(e->type)));
		tr_json_member_str(b, "of", tr_buf_view(&key));
		tr_json_member_str(b, "state", tr_view_str(state));
		tr_json_member_time(b, "issued", e->issued * 1000);
		tr_json_member_time(b, "expires", e->expires * 1000);
		tr_buf_addf(b, ",\"age_s\":%" PRId64 ",\"bytes\":%zu}", now - e->issued, e->bytes.n);
		return;
	}
	tr_out_relative(&span, e->expires * 1000, now * 1000);
	tr_buf_addf(b, "%-18s %-22s %-14s %4" PRId64 " days old, ends %s\n", tr_bundle_item_name(e->type), tr_buf_cstr(&key),
		    state, (now - e->issued) / 86400, e->expires ? tr_buf_cstr(&span) : "never");
}

struct options { int64_t now, warn_s; };

static int read_options(const struct tr_cli *c, struct options *o)
{
	const char *time = tr_cli_opt(c, TR_OPT_TIME), *warn = tr_cli_opt(c, TR_OPT_WARN);
	int64_t ms = tr_now_ms();
	uint64_t s, warn_s = WARN_DAYS * 86400;

	if (time && tr_cli_number(time, &s) && s < INT64_MAX / 1000)
		ms = (int64_t)s * 1000;
	else if (time && !tr_cli_time(time, ms, &ms))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--time takes Unix seconds, RFC 3339 or a date");
	if (warn && (!tr_cli_duration(warn, &warn_s) || warn_s > INT32_MAX))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--warn takes a duration such as 7d");
	o->now = ms / 1000;
	o->warn_s = (int64_t)warn_s;
	return TR_CLI_EXIT_OK;
}

static int look(struct tr_cli *c, bool check)
{
	tr_auto(tr_quote_bundle_done) struct tr_quote_bundle all = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	size_t expired = 0, soon = 0;
	struct options o = { 0 };
	int rc = read_options(c, &o);

	if (!rc)
		rc = tr_quote_collateral(c->args[0], tr_cli_opt(c, TR_OPT_KEY), &all);
	if (rc)
		return rc;
	if (c->json)
		tr_buf_addf(&b, "{\"version\":%" PRIu64 ",\"items\":[", all.bundle.version);
	else if (all.file.n)
		tr_buf_addf(&b, "version %" PRIu64 ", %zu items, %s\n\n", all.bundle.version, all.bundle.n,
			    all.file.p[0] != 0xd2 ? "not signed" :
			    tr_cli_opt(c, TR_OPT_KEY) ? "signed by the given key" : "signed; by whom was not asked (--key)");
	for (size_t i = 0; i < all.bundle.n; i++) {
		const struct tr_bundle_entry *e = &all.bundle.items[i];
		const char *state = state_of(e, o.now, o.warn_s);

		expired += strcmp(state, "expired") == 0 || strcmp(state, "not yet valid") == 0;
		soon += strcmp(state, "expires soon") == 0;
		if (c->json || !check || strcmp(state, "ok") != 0)
			put_item(&b, e, c->json, i == 0, o.now, o.warn_s);
	}
	if (c->json)
		tr_buf_addf(&b, "],\"expired\":%zu,\"expiring\":%zu}\n", expired, soon);
	else if (check)
		tr_buf_addf(&b, "%zu items: %zu not in date, %zu expire soon\n", all.bundle.n, expired, soon);
	if (!tr_out_print(&b))
		return TR_CLI_EXIT_FILE;
	return !check ? TR_CLI_EXIT_OK : expired ? TR_CLI_EXIT_REFUSED : soon ? TR_CLI_EXIT_NOT_YET : TR_CLI_EXIT_OK;
}

static int show(struct tr_cli *c)
{
	return look(c, false);
}

static int check(struct tr_cli *c)
{
	return look(c, true);
}

/* ---- sign ---- */

static int sign(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, out = TR_BUF_INIT;
	const char *key = tr_cli_opt(c, TR_OPT_KEY), *to = tr_cli_opt(c, TR_OPT_OUT);
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	tr_auto(tr_bundle_done) struct tr_bundle b = { 0 };
	struct tr_err err = { 0 };

	if (!key || !to)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--key (a private config key) and --out are needed");
	if (tr_file_read(c->args[0], TR_BUNDLE_MAX, &file, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (file.n && file.p[0] == 0xd2)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is signed already; give what `troth collateral import` made", c->args[0]);
	/* Nothing is signed that cannot be read. */
	if (tr_bundle_get(tr_buf_view(&file), &b, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is no bundle (%s)", c->args[0], err.detail);
	if (tr_privkey_load(key, &k, &err) || tr_collateral_sign(tr_buf_view(&file), k, &out, &err) ||
	    tr_file_write(to, tr_buf_view(&out), 0644, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (!c->quiet)
		printf("%s: version %" PRIu64 ", %zu items, signed\n", to, b.version, b.n);
	return TR_CLI_EXIT_OK;
}

static const struct argp_option import_options[] = {
	{ "out", TR_OPT_OUT, "FILE", 0, "where the bundle goes", 1 },
	{ "version", TR_OPT_VERSION, "N", 0, "of the bundle; must rise (default: the Unix time now)", 1 },
	{ 0 },
};
static const struct argp_option look_options[] = {
	{ "key", TR_OPT_KEY, "FILE", 0, "public key (PEM) that must have signed it", 1 },
	{ "time", TR_OPT_TIME, "TIME", 0, "as of then: Unix seconds, RFC 3339 or a date (default: now)", 1 },
	{ "warn", TR_OPT_WARN, "DURATION", 0, "what ends within it, ends soon (default: 7d)", 1 },
	{ 0 },
};
static const struct argp_option sign_options[] = {
	{ "key", TR_OPT_KEY, "FILE", 0, "private config key of the keyset (PEM, mode 0600)", 1 },
	{ "out", TR_OPT_OUT, "FILE", 0, "where the signed bundle goes", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "import", "PATH...", 1, TR_CLI_ARGS_MAX,
	  "make a bundle of the vendors' files: PCS JSON, CRLs, PEM chains, AMD certificates, TPM roots", import_options, import },
	{ "show", "FILE", 1, 1, "show what a bundle holds, how old it is and when it ends", look_options, show },
	{ "check", "FILE", 1, 1,
	  "say what of a bundle is out of date, or soon will be\v"
	  "Exit code 0: all in date; 15: something ends within --warn; 1: something is not in date.",
	  look_options, check },
	{ "sign", "FILE", 1, 1, "sign a bundle with a config key of the keyset", sign_options, sign },
	{ "push", "FILE", 1, 1, "put a signed bundle in force on the server", NULL, tr_collateral_push },
};
const struct tr_noun tr_noun_collateral = { "collateral", "what vendors publish and verifications need", verbs,
					    TR_ARRAY_LEN(verbs) };
