/* SPDX-License-Identifier: Apache-2.0 */
/* Operators' keys: what a person approves commands with. The private half stays with the person; the public half becomes
 * known to agents by the keyset, so that no server can approve anything. */
#include "cli/keyfile.h"

#include "base/file.h"
#include "base/secret.h"
#include "codec/text.h"

static int keygen(struct tr_cli *c)
{
	const char *name = tr_cli_opt(c, TR_OPT_NAME);
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT, b = TR_BUF_INIT, note = TR_BUF_INIT;
	enum tr_key_type type;
	struct tr_err err = { 0 };
	uint8_t hash[32];

	if (!tr_keyfile_type(tr_cli_opt(c, TR_OPT_TYPE), &type))
		return TR_CLI_EXIT_USAGE;
	if (name && (strpbrk(name, "\r\n") || strstr(name, "-----") || !tr_utf8_ok(tr_view_str(name)) || strlen(name) > 128))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--name takes one line of text, at most 128 bytes");
	if (name)
		tr_buf_addf(&note, "Operator: %s", name);
	if (tr_keyfile_make(c->args[0], type, name ? tr_buf_cstr(&note) : NULL, hash, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	tr_hex_add(&id, TR_VIEW_ARRAY(hash));
	if (c->json) {
		tr_buf_adds(&b, "{");
		tr_cli_put(&b, "id", tr_buf_cstr(&id));
		tr_cli_put(&b, "file", c->args[0]);
		tr_cli_put(&b, "name", name);
		tr_buf_adds(&b, "}\n");
	} else if (c->quiet) {
		tr_buf_addf(&b, "%s\n", tr_buf_cstr(&id));
	} else {
		tr_buf_addf(&b, "operator key sha256:%s\nprivate      %s   <- yours alone; nobody else needs it\npublic       %s.pub\n\n"
				"Agents obey it once it is in the keyset:\n  troth keyset prepare -o next --add-operator %s.pub\n",
			    tr_buf_cstr(&id), c->args[0], c->args[0], c->args[0]);
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

/* Either half: a private file is read and only what everyone may know is shown. */
static TR_RC load(const char *path, struct tr_pubkey **ret, bool *ret_private, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *priv = NULL;
	struct tr_buf pem = TR_BUF_INIT;
	enum tr_code rc = tr_file_read(path, 16384, &pem, err);

	*ret_private = !rc && memmem(pem.p, pem.n, "PRIVATE KEY", 11);
	if (!rc && *ret_private) {
		rc = tr_privkey_load(path, &priv, err);
		if (!rc)
			rc = tr_pubkey_from_spki(tr_pubkey_spki(tr_privkey_pub(priv)), ret, err);
	} else if (!rc) {
		rc = tr_pubkey_from_pem(tr_buf_view(&pem), ret, err);
	}
	if (pem.p)
		tr_wipe(pem.p, pem.cap);
	tr_buf_done(&pem);
	return rc;
}

static int show(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "key", "id", TR_CELL_HASH }, { "type", "key_type", TR_CELL_TEXT }, { "file", "half", TR_CELL_TEXT },
	};
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT, pem = TR_BUF_INIT, j = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_err err = { 0 };
	bool is_private;

	if (load(c->args[0], &key, &is_private, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	tr_hex_add(&id, tr_view(tr_pubkey_id(key), 32));
	tr_pubkey_pem(key, &pem);
	if (c->quiet) {
		tr_buf_addf(&b, "%s\n", tr_buf_cstr(&id));
		return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
	}
	tr_buf_adds(&j, "{");
	tr_cli_put(&j, "id", tr_buf_cstr(&id));
	tr_cli_put(&j, "key_type", tr_pubkey_type_name(key));
	tr_cli_put(&j, "half", is_private ? "private" : "public");
	tr_cli_put(&j, "pem", tr_buf_cstr(&pem));
	tr_buf_adds(&j, "}");
	if (tr_buf_check(&j, &err) || tr_json_parse(tr_buf_view(&j), &doc, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (c->json)
		return tr_out_json(tr_json_root(doc));
	tr_out_lines(&b, cols, TR_ARRAY_LEN(cols), tr_json_root(doc), c->colour, 0);
	tr_buf_addv(&b, tr_buf_view(&pem));
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static const struct argp_option keygen_options[] = {
	{ "name", TR_OPT_NAME, "TEXT", 0, "whose it is: a line above the public half, for people", 1 },
	{ "type", TR_OPT_TYPE, "TYPE", 0, "ed25519 (default) or p256", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "keygen", "FILE", 1, 1,
	  "make a key to approve commands with: FILE (mode 0600) and FILE.pub; needs no server\n"
	  "Example: troth operator keygen ~/operator.key --name \"Ada\"", keygen_options, keygen },
	{ "show", "FILE", 1, 1, "show which key a file holds; needs no server", NULL, show },
};
const struct tr_noun tr_noun_operator = { "operator", "keys that people approve commands with", verbs, TR_ARRAY_LEN(verbs) };
