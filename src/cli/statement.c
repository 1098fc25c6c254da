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

#define BPF_FILE_MAX 65536

static int by_pin(const void *a, const void *b)
{
	const struct tr_release_bpf *x = a, *y = b;

	return tr_release_bpf_order(x->pin, y->pin);
}

/* The programs that the file names, in any order, as CBOR. */
static TR_RC read_programs(const char *path, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, records = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_release_bpf p[TR_RELEASE_BPF_MAX];
	struct tr_buf arenas[TR_RELEASE_BPF_MAX];
	size_t n, done = 0;
	enum tr_code rc = tr_file_read(path, BPF_FILE_MAX, &text, err);

	if (!rc)
		rc = tr_json_parse(tr_buf_view(&text), &doc, err);
	if (rc)
		return tr_err_wrap(err, "%s", path);
	n = tr_json_is_array(tr_json_root(doc)) ? tr_json_len(tr_json_root(doc)) : 0;
	if (n < 1 || n > TR_RELEASE_BPF_MAX)
		return tr_err_set(err, TR_E_INVALID, "the file of BPF programs is no array of 1 to 64 objects", "%s", path);
	for (; !rc && done < n; done++) {
		tr_jnode one = tr_json_at(tr_json_root(doc), done);

		arenas[done] = (struct tr_buf)TR_BUF_INIT;
		rc = tr_record_from_json(&tr_release_bpf_def, one, &arenas[done], &p[done], err);
	}
	if (!rc) {
		qsort(p, n, sizeof(p[0]), by_pin);
		for (size_t i = 0; i < n; i++)
			tr_records_add(&records, &tr_release_bpf_def, &p[i]);
		rc = tr_buf_check(&records, err);
	}
	if (!rc)
		rc = tr_release_bpf_put(tr_buf_view(&records), ret, err);
	while (done)
		tr_buf_done(&arenas[--done]);
	return rc ? tr_err_wrap(err, "%s", path) : TR_OK;
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

/* "bpf": [{"pin","object","tag_sha1","tag_sha256"}, …] */
static void put_programs(struct tr_buf *j, struct tr_view cbor)
{
	tr_auto(tr_buf_done) struct tr_buf records = TR_BUF_INIT;
	struct tr_view list, one;
	struct tr_release_bpf p;
	struct tr_err err;
	bool more = false;

	tr_buf_adds(j, ",\"bpf\":[");
	if (cbor.n && tr_release_bpf_get(cbor, &records, &err))
		tr_buf_clear(&records); /* never: what was signed or read is checked */
	for (list = tr_buf_view(&records); tr_records_next(&list, &one);) {
		if (tr_record_decode(&tr_release_bpf_def, one, &p, &err))
			break;
		tr_buf_adds(j, more ? "," : "");
		tr_record_to_json(&tr_release_bpf_def, &p, j);
		more = true;
	}
	tr_buf_adds(j, "]");
}

static int print_programs(const struct tr_cli *c, tr_jnode programs)
{
	static const struct tr_col cols[] = {
		{ "PIN", "pin", TR_CELL_TEXT },
		{ "TAG (SHA-1)", "tag_sha1", TR_CELL_TEXT },
		{ "TAG (SHA-256)", "tag_sha256", TR_CELL_TEXT },
		{ "OBJECT", "object", TR_CELL_HASH },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_jnode rows[TR_RELEASE_BPF_MAX];
	size_t n = tr_json_len(programs);

	if (!n)
		return TR_CLI_EXIT_OK;
	for (size_t i = 0; i < n && i < TR_RELEASE_BPF_MAX; i++)
		rows[i] = tr_json_at(programs, i);
	tr_buf_adds(&b, "\nBPF programs:\n");
	tr_out_table(&b, cols, TR_ARRAY_LEN(cols), rows, n < TR_RELEASE_BPF_MAX ? n : TR_RELEASE_BPF_MAX,
		     &(struct tr_out_look){ c->colour, tr_out_screen(), "object", tr_now_ms() });
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
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
	put_programs(&j, r->bpf);
	tr_buf_adds(&j, "}");
	if (tr_buf_check(&j, &err) || tr_json_parse(tr_buf_view(&j), &doc, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (c->json)
		return tr_out_json(tr_json_root(doc));
	tr_out_lines(&b, cols, TR_ARRAY_LEN(cols), tr_json_root(doc), c->colour, tr_now_ms());
	return tr_out_print(&b) ? print_programs(c, tr_json_get(tr_json_root(doc), "bpf")) : TR_CLI_EXIT_FILE;
}

int tr_statement_sign(struct tr_cli *c)
{
	const char *key_path = tr_cli_opt(c, TR_OPT_KEY), *out = tr_cli_opt(c, TR_OPT_FILE), *bpf = tr_cli_opt(c, TR_OPT_BPF);
	tr_auto(tr_buf_done) struct tr_buf programs = TR_BUF_INIT;
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
	if (bpf && read_programs(bpf, &programs, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	r.bpf = tr_buf_view(&programs);
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
