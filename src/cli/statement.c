/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/statement.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/file.h"
#include "codec/ident.h"
#include "codec/text.h"
#include "signed/release.h"

void tr_statement_platform(const char *os, const char *machine, char *ret, size_t size)
{
	static const struct {
		const char *machine, *name;
	} names[] = { { "x86_64", "amd64" }, { "aarch64", "arm64" }, { "armv7l", "armhf" }, { "i686", "i386" } };

	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++)
		if (strcmp(machine, names[i].machine) == 0)
			machine = names[i].name;
	(void)snprintf(ret, size, "%s-%s", os, machine);
	for (char *p = ret; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

/* What options and their defaults say; texts are borrowed from c and from `keep`. */
struct texts {
	char platform[160], path[4096];
};

static int fields(const struct tr_cli *c, struct texts *keep, struct tr_release *r)
{
	const char *version = tr_cli_opt(c, TR_OPT_VERSION), *name = tr_cli_opt(c, TR_OPT_NAME);
	const char *platform = tr_cli_opt(c, TR_OPT_PLATFORM), *counter = tr_cli_opt(c, TR_OPT_COUNTER);
	const char *expires = tr_cli_opt(c, TR_OPT_EXPIRES);
	struct utsname u;

	if (!version || !tr_version_ok(tr_view_str(version)))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--version is needed: a version such as 1.4.2");
	(void)snprintf(keep->path, sizeof(keep->path), "%s", c->args[0]);
	if (!name)
		name = basename(keep->path);
	if (!tr_ident_ok(tr_view_str(name)))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--name is needed: letters, digits, '.', '_' and '-', at most 64");
	if (!platform && uname(&u) == 0) {
		tr_statement_platform(u.sysname, u.machine, keep->platform, sizeof(keep->platform));
		platform = keep->platform;
	}
	if (!platform || !tr_ident_ok(tr_view_str(platform)))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--platform is needed, such as linux-amd64");
	r->issued_ms = tr_now_ms();
	r->counter = (uint64_t)r->issued_ms / 1000;
	if (counter && !tr_cli_number(counter, &r->counter))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--counter takes a whole number");
	if (expires && (!tr_cli_time(expires, r->issued_ms, &r->expires_ms) || r->expires_ms <= r->issued_ms))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--expires takes a time from now (365d) or a date ahead (2027-12-31)");
	r->version = tr_view_str(version);
	r->name = tr_view_str(name);
	r->platform = tr_view_str(platform);
	return TR_CLI_EXIT_OK;
}

static TR_RC hash_file(const char *path, struct tr_release *r, struct tr_err *err)
{
	tr_auto(tr_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 && errno == ENOENT)
		return tr_err_set(err, TR_E_NOTFOUND, "no such file", "%s does not exist", path);
	if (fd < 0)
		return tr_err_errno(err, "open %s", path);
	return tr_sha256_fd(fd, r->sha256, &r->size, err);
}

static void put_id(struct tr_buf *b, const struct tr_pubkey *k)
{
	tr_hex_add(b, tr_view(tr_pubkey_id(k), TR_SHA256_LEN));
}

/* Both for people and as JSON: one JSON object, shown like any answer. */
static int print(const struct tr_cli *c, const struct tr_release *r, const char *signature, struct tr_view key,
		 const char *file)
{
	static const struct tr_col cols[] = {
		{ "name", "name", TR_CELL_TEXT },	{ "version", "version", TR_CELL_TEXT },
		{ "platform", "platform", TR_CELL_TEXT }, { "binary sha256", "sha256", TR_CELL_HASH },
		{ "bytes", "size", TR_CELL_COUNT },	{ "counter", "counter", TR_CELL_COUNT },
		{ "issued", "issued_at", TR_CELL_TIME }, { "expires", "expires_at", TR_CELL_TIME },
		{ "signed by key", "key", TR_CELL_HASH }, { "signature", "signature", TR_CELL_TEXT },
		{ "file", "file", TR_CELL_TEXT },
	};
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf j = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err = { 0 };

	tr_buf_adds(&j, "{\"name\":");
	tr_json_put_str(&j, r->name);
	tr_buf_adds(&j, ",\"version\":");
	tr_json_put_str(&j, r->version);
	tr_buf_adds(&j, ",\"platform\":");
	tr_json_put_str(&j, r->platform);
	tr_buf_addf(&j, ",\"size\":%llu,\"counter\":%llu,\"sha256\":\"", (unsigned long long)r->size,
		    (unsigned long long)r->counter);
	tr_hex_add(&j, TR_VIEW_ARRAY(r->sha256));
	tr_buf_adds(&j, "\",\"issued_at\":\"");
	tr_rfc3339_add(&j, r->issued_ms);
	if (r->expires_ms) {
		tr_buf_adds(&j, "\",\"expires_at\":\"");
		tr_rfc3339_add(&j, r->expires_ms);
		tr_buf_adds(&j, "\"");
	} else {
		tr_buf_addf(&j, "\",\"expires_at\":%s", c->json ? "null" : "\"never\"");
	}
	tr_buf_adds(&j, ",\"key\":");
	tr_json_put_str(&j, key);
	tr_cli_put(&j, "signature", signature);
	tr_cli_put(&j, "file", file);
	tr_buf_adds(&j, "}");
	if (tr_buf_check(&j, &err) || tr_json_parse(tr_buf_view(&j), &doc, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (c->json)
		return tr_out_json(tr_json_root(doc));
	tr_out_lines(&b, cols, TR_ARRAY_LEN(cols), tr_json_root(doc), c->colour, tr_now_ms());
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

int tr_statement_sign(struct tr_cli *c)
{
	const char *key_path = tr_cli_opt(c, TR_OPT_KEY), *out = tr_cli_opt(c, TR_OPT_FILE);
	tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf statement = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT;
	struct tr_release r = { 0 };
	struct tr_err err = { 0 };
	struct texts keep = { 0 };
	int rc;

	if (!key_path)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--key is needed: the private release key, such as openssl genpkey -algorithm ed25519 makes");
	rc = fields(c, &keep, &r);
	if (rc)
		return rc;
	tr_buf_addf(&path, "%s%s", out ? out : c->args[0], out ? "" : ".release");
	if (tr_privkey_load(key_path, &key, &err) || hash_file(c->args[0], &r, &err) ||
	    tr_release_sign(&r, key, &statement, &err) ||
	    tr_file_write(tr_buf_cstr(&path), tr_buf_view(&statement), 0644, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (c->quiet)
		return TR_CLI_EXIT_OK;
	put_id(&id, tr_privkey_pub(key));
	return print(c, &r, "made now", tr_buf_view(&id), tr_buf_cstr(&path));
}

int tr_statement_show(struct tr_cli *c)
{
	const char *key_path = tr_cli_opt(c, TR_OPT_KEY);
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT;
	struct tr_release r;
	struct tr_view kid;
	struct tr_err err = { 0 };

	if (tr_file_read(c->args[0], TR_RELEASE_MAX, &file, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (!key_path) {
		if (tr_release_unverified(tr_buf_view(&file), &r, &err) ||
		    tr_release_unverified_kid(tr_buf_view(&file), &kid, &err))
			return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is no release statement (%s)", c->args[0], err.detail);
		tr_hex_add(&id, kid);
		return print(c, &r, "unverified: nothing above is proven; pass --key with the public key", tr_buf_view(&id),
			     NULL);
	}
	if (tr_file_read(key_path, 16384, &pem, &err) || tr_pubkey_from_pem(tr_buf_view(&pem), &key, &err) ||
	    tr_release_verify(tr_buf_view(&file), key, &r, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	put_id(&id, key);
	return print(c, &r, "verified with this key", tr_buf_view(&id), NULL);
}
