/* SPDX-License-Identifier: Apache-2.0 */
/* Release statements on the server; making and reading them without one is in statement.c. */
#include "cli/statement.h"

#include "base/clock.h"
#include "base/file.h"
#include "codec/text.h"
#include "signed/release.h"

static const struct tr_list releases = {
	.path = "/api/v1/releases",
	.member = "releases",
	.drop = "counter size platform key issued_at",
	.cols = (const struct tr_col[]){
		{ "SHA256", "sha256", TR_CELL_HASH },
		{ "NAME", "name", TR_CELL_TEXT },
		{ "VERSION", "version", TR_CELL_TEXT },
		{ "PLATFORM", "platform", TR_CELL_TEXT },
		{ "COUNTER", "counter", TR_CELL_COUNT },
		{ "BYTES", "size", TR_CELL_COUNT },
		{ "ISSUED", "issued_at", TR_CELL_TIME },
		{ "EXPIRES", "expires_at", TR_CELL_TIME },
		{ "KEY", "vkey_id", TR_CELL_HASH },
		{ "WITHDRAWN", "withdrawn_at", TR_CELL_TIME },
	},
	.n = 10,
};

static int add(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_release r;
	struct tr_err err = { 0 };

	if (tr_file_read(c->args[0], TR_RELEASE_MAX, &file, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (tr_release_unverified(tr_buf_view(&file), &r, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is no release statement (%s)", c->args[0], err.detail);
	tr_b64_add(&text, tr_buf_view(&file), TR_B64_STD);
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "statement", tr_buf_cstr(&text));
	tr_buf_adds(&body, "}");
	tr_buf_adds(&path, "/api/v1/releases");
	return tr_api_do(c, "POST", &path, &body, "release", "is published: its binary is allowed without the statement beside it");
}

static int list(struct tr_cli *c)
{
	return tr_list_run(c, &releases);
}

/* The table shows the first digits of a hash: find the one that they begin. */
static int full_hash(struct tr_cli *c, const char *digits, char ret[65])
{
	tr_auto(tr_rows_done) struct tr_rows rows = { 0 };
	size_t n = strlen(digits), found = 0;
	int rc = tr_list_fetch(c, &releases, &rows);

	if (rc)
		return rc;
	for (size_t i = 0; i < rows.n; i++) {
		struct tr_view v;

		if (!tr_json_str(tr_json_get(rows.rows[i], "sha256"), &v) || v.n != 64 || n > 64 ||
		    memcmp(v.p, digits, n) != 0)
			continue;
		found++;
		memcpy(ret, v.p, 64);
		ret[64] = '\0';
	}
	if (found == 1)
		return TR_CLI_EXIT_OK;
	return tr_cli_fail(TR_CLI_EXIT_REFUSED, found ? "several releases begin like this; give more digits"
						  : "no published release begins like this; see troth release list");
}

static int withdraw(struct tr_cli *c)
{
	const char *text = c->args[0];
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	char hash[65];
	int rc;

	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	if (strlen(text) < 8 || strspn(text, "0123456789abcdef") != strlen(text))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "a release is named by the SHA-256 of its binary, at least 8 digits of it");
	rc = full_hash(c, text, hash);
	if (rc)
		return rc;
	tr_buf_addf(&path, "/api/v1/releases/%s", hash);
	tr_cli_query(&path, "reason", tr_cli_opt(c, TR_OPT_REASON));
	return tr_api_do(c, "DELETE", &path, NULL, "release", "is withdrawn: it allows no binary any more");
}

static const struct argp_option sign_options[] = {
	{ "key", TR_OPT_KEY, "FILE", 0, "private release key (PEM, mode 0600)", 1 },
	{ "version", TR_OPT_VERSION, "V", 0, "the version that the binary is, such as 1.4.2", 1 },
	{ "name", TR_OPT_NAME, "NAME", 0, "name of the program (default: the file's name)", 1 },
	{ "platform", TR_OPT_PLATFORM, "P", 0, "platform (default: this machine's, such as linux-amd64)", 1 },
	{ "counter", TR_OPT_COUNTER, "N", 0, "release counter, higher is newer (default: the Unix time now)", 1 },
	{ "expires", TR_OPT_EXPIRES, "TIME", 0, "when it ends: 365d from now, or 2027-12-31 (default: never)", 1 },
	{ "bpf", TR_OPT_BPF, "FILE", 0, "its BPF programs: JSON array of {\"pin\", \"object\", \"tag_sha1\", \"tag_sha256\"}, the last three in hex", 1 },
	{ "file", 'o', "FILE", 0, "where to write it (default: BINARY.release)", 1 },
	{ 0 },
};
static const struct argp_option show_options[] = {
	{ "key", TR_OPT_KEY, "FILE", 0, "public key (PEM) that must have signed it", 1 },
	{ 0 },
};
static const struct argp_option list_options[] = { TR_CLI_WATCH, { 0 } };
static const struct argp_option withdraw_options[] = {
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "sign", "BINARY", 1, 1, "sign a release statement of a binary; needs no server", sign_options, tr_statement_sign },
	{ "show", "FILE", 1, 1, "show a release statement; needs no server", show_options, tr_statement_show },
	{ "add", "FILE", 1, 1, "publish a release statement to the server", NULL, add },
	{ "list", NULL, 0, 0, "show the published release statements", list_options, list },
	{ "withdraw", "SHA256", 1, 1, "take a published statement back; 8 digits are enough", withdraw_options, withdraw },
};
const struct tr_noun tr_noun_release = { "release", "statements about binaries", verbs, TR_ARRAY_LEN(verbs) };
