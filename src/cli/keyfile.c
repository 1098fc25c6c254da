/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keyfile.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"
#include "codec/text.h"

bool tr_keyfile_type(const char *text, enum tr_key_type *ret)
{
	*ret = text && strcmp(text, "p256") == 0 ? TR_KEY_P256 : TR_KEY_ED25519;
	return tr_cli_word("--type", text, "ed25519 p256");
}

TR_RC tr_keyfile_make(const char *path, enum tr_key_type type, const char *note, uint8_t ret_id[32], struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf pub_path = TR_BUF_INIT, pub = TR_BUF_INIT;
	struct tr_buf pem = TR_BUF_INIT;
	enum tr_code rc;

	tr_buf_addf(&pub_path, "%s.pub", path);
	if (tr_privkey_generate(type, &key, err))
		return err->code;
	if (note)
		tr_buf_addf(&pub, "%s\n", note);
	tr_pubkey_pem(tr_privkey_pub(key), &pub);
	rc = tr_privkey_pem(key, &pem, err);
	/* The public half first: a private key never stands there without its name. */
	if (!rc)
		rc = tr_file_create(tr_buf_cstr(&pub_path), tr_buf_view(&pub), 0644, err);
	if (!rc) {
		rc = tr_file_create(path, tr_buf_view(&pem), 0600, err);
		if (rc)
			(void)unlink(tr_buf_cstr(&pub_path));
	}
	if (pem.p)
		tr_wipe(pem.p, pem.cap);
	tr_buf_done(&pem);
	if (!rc)
		memcpy(ret_id, tr_pubkey_id(tr_privkey_pub(key)), 32);
	return rc;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int tr_key_root_init(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, id = TR_BUF_INIT, b = TR_BUF_INIT;
	enum tr_key_type type;
	struct tr_err err = { 0 };
	uint8_t hash[32];

	if (!tr_keyfile_type(tr_cli_opt(c, TR_OPT_TYPE), &type))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "%s%s", c->args[0], is_folder(c->args[0]) ? "/root.key" : "");
	if (tr_keyfile_make(tr_buf_cstr(&path), type, NULL, hash, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	tr_hex_add(&id, TR_VIEW_ARRAY(hash));
	if (c->json) {
		tr_buf_adds(&b, "{");
		tr_cli_put(&b, "id", tr_buf_cstr(&id));
		tr_cli_put(&b, "file", tr_buf_cstr(&path));
		tr_buf_adds(&b, "}\n");
	} else if (c->quiet) {
		tr_buf_addf(&b, "%s\n", tr_buf_cstr(&id));
	} else {
		tr_buf_addf(&b,
			    "root key     sha256:%s\nprivate      %s   <- move it offline now, and keep a copy in another place\n"
			    "public       %s.pub\n\nTo make it a root of an installation, where the login is:\n"
			    "  troth keyset prepare -o next --add-root %s.pub [--threshold N]\n",
			    tr_buf_cstr(&id), tr_buf_cstr(&path), tr_buf_cstr(&path), tr_buf_cstr(&path));
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}
