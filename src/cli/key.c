/* SPDX-License-Identifier: Apache-2.0 */
/* Verification keys (whose word about binaries is believed), and the verbs that they share with the installation's own
 * signing keys (skey.c). */
#include "cli/keyfile.h"
#include "cli/skey.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "codec/text.h"
#include "crypto/key.h"

/* Adds a time as the API wants it; false after saying why not. */
static bool put_time(struct tr_buf *body, const char *name, const char *option, const char *text)
{
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;
	int64_t ms;

	if (!text)
		return true;
	if (!tr_cli_time(text, tr_now_ms(), &ms)) {
		(void)tr_cli_fail(TR_CLI_EXIT_USAGE, "%s takes a date (2026-12-31), a time (2026-12-31T12:00:00Z) or a time from now (30d)", option);
		return false;
	}
	tr_rfc3339_add(&out, ms);
	tr_cli_put(body, name, tr_buf_cstr(&out));
	return true;
}

static int add(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	struct tr_err err = { 0 };
	int rc;

	if (tr_file_read(c->args[0], 16384, &pem, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (memmem(pem.p, pem.n, "PRIVATE KEY", 11))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s holds a private key; nothing was sent. Give its public half: openssl pkey -in %s -pubout",
				   c->args[0], c->args[0]);
	/* Sent anew from what was understood, so that nothing else in the file leaves this machine. */
	if (tr_pubkey_from_pem(tr_buf_view(&pem), &key, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	tr_buf_clear(&pem);
	tr_pubkey_pem(key, &pem);
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "pem", tr_buf_cstr(&pem));
	tr_cli_put(&body, "name", tr_cli_opt(c, TR_OPT_NAME));
	tr_cli_put(&body, "use", tr_cli_opt(c, TR_OPT_USE));
	if (!put_time(&body, "not_before", "--not-before", tr_cli_opt(c, TR_OPT_NOT_BEFORE)) ||
	    !put_time(&body, "not_after", "--not-after", tr_cli_opt(c, TR_OPT_NOT_AFTER)))
		return TR_CLI_EXIT_USAGE;
	tr_buf_adds(&body, "}");
	rc = tr_api_call(c, "POST", "/api/v1/verification-keys", tr_buf_view(&body), &answer);
	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	tr_out_cell(&b, tr_json_get(tr_json_root(answer), "id"), TR_CELL_TEXT, true, 0);
	if (!c->quiet) {
		tr_buf_adds(&b, "\n");
		tr_buf_adds(&b, "is trusted now for use: ");
		tr_out_cell(&b, tr_json_get(tr_json_root(answer), "use"), TR_CELL_TEXT, true, 0);
	}
	tr_buf_adds(&b, "\n");
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int end_vkey(struct tr_cli *c, const char *verb, bool force, const char *done)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;

	tr_buf_addf(&path, "/api/v1/verification-keys/%s/%s", c->args[0], verb);
	tr_buf_adds(&body, force ? "{\"force\":true" : "{\"force\":false");
	tr_cli_put(&body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	tr_buf_adds(&body, "}");
	return tr_api_do(c, "POST", &path, &body, "key", done);
}

/* Whose key is it? The installation's own go first: their ids are as unlikely to be another's as any. */
static int retire(struct tr_cli *c)
{
	char id[65];
	int rc;

	if (!tr_cli_id(c->args[0], "key id"))
		return TR_CLI_EXIT_USAGE;
	rc = tr_skey_find(c, c->args[0], true, id, NULL);
	if (rc)
		return rc;
	if (*id)
		return tr_skey_do(c, id, "retire", "is retiring: it signs nothing any more. Tell agents: troth keyset prepare --retire");
	return end_vkey(c, "retire", tr_cli_opt(c, TR_OPT_FORCE), "is retired: what it signed until now stays good");
}

static int revoke_one(struct tr_cli *c)
{
	char id[65], done[256];
	int rc;

	if (!tr_cli_id(c->args[0], "key id"))
		return TR_CLI_EXIT_USAGE;
	rc = tr_skey_find(c, c->args[0], true, id, NULL);
	if (rc)
		return rc;
	if (!*id)
		return end_vkey(c, "revoke", false, "is revoked: nothing that it signed is believed any more");
	if (!tr_cli_reason(c))
		return TR_CLI_EXIT_USAGE;
	(void)snprintf(done, sizeof(done), "is revoked: it signs nothing any more. Agents still believe it until a keyset says so:\n"
		       "  troth keyset prepare -o next --revoke %.12s", id);
	return tr_skey_do(c, id, "revoke", done);
}

static const struct argp_option list_options[] = {
	{ "role", TR_OPT_ROLE, "ROLE", 0, "only command, ca, log, release or fleet keys", 1 },
	TR_CLI_WATCH,
	{ 0 },
};
static const struct argp_option create_options[] = {
	{ "role", TR_OPT_ROLE, "ROLE", 0, "what it is to sign: command (default)", 1 },
	{ "name", TR_OPT_NAME, "TEXT", 0, "a name for people", 1 },
	{ 0 },
};
static const struct argp_option adoption_options[] = { TR_CLI_WATCH, { 0 } };
static const struct argp_option rotate_options[] = {
	{ "root", TR_OPT_ROOT, "FILE", 0, "private root key, to sign the keysets here and now; may come more than once", 1 },
	{ "wait", TR_OPT_WAIT, "TIME", OPTION_ARG_OPTIONAL, "until every agent that is heard has the new key, TIME at most", 1 },
	{ "file", 'o', "FILE", 0, "without --root: where the draft goes (default keyset-N)", 1 },
	{ "force", TR_OPT_FORCE, 0, 0, "begin another although the last is not a day old; switch although agents are behind", 1 },
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept in the audit log; needed to switch by --force", 1 },
	{ 0 },
};
static const struct argp_option add_options[] = {
	{ "name", TR_OPT_NAME, "TEXT", 0, "a name for people", 1 },
	{ "use", TR_OPT_USE, "USE", 0, "release: signs release statements (default); fleet: signs original claims", 1 },
	{ "not-before", TR_OPT_NOT_BEFORE, "TIME", 0, "what it signed before does not count (2026-12-31, or 7d from now)", 1 },
	{ "not-after", TR_OPT_NOT_AFTER, "TIME", 0, "what it signs later does not count", 1 },
	{ 0 },
};
static const struct argp_option root_options[] = {
	{ "type", TR_OPT_TYPE, "TYPE", 0, "ed25519 (default) or p256", 1 },
	{ 0 },
};
static const struct argp_option promote_options[] = {
	{ "force", TR_OPT_FORCE, 0, 0, "although agents do not know it yet: they will refuse what it signs", 1 },
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept in the audit log; needed with --force", 1 },
	{ 0 },
};
static const struct argp_option retire_options[] = {
	{ "force", TR_OPT_FORCE, 0, 0, "also when active agents were admitted by it", 1 },
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept with the key and in the audit log", 1 },
	{ 0 },
};
static const struct argp_option revoke_options[] = {
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept with the key and in the audit log", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "list", NULL, 0, 0, "show all keys: those that vouch for binaries, and those that this installation signs with",
	  list_options, tr_key_list },
	{ "add", "FILE.pem", 1, 1, "trust a public key (PEM; a certificate's key works too)", add_options, add },
	{ "root-init", "FOLDER|FILE", 1, 1, "make a root key (mode 0600) and its .pub; needs no server", root_options,
	  tr_key_root_init },
	{ "create", NULL, 0, 0, "have the server make a signing key; it signs nothing before a keyset names it", create_options,
	  tr_skey_create },
	{ "adoption", "ID", 1, 1, "which agents know this key already, and which not", adoption_options, tr_skey_adoption },
	{ "promote", "ID", 1, 1, "sign with this key from now on, when the agents know it", promote_options, tr_skey_promote },
	{ "rotate", NULL, 0, 0,
	  "the whole way to a new command key, or its next step\n"
	  "Example: troth key rotate --root /media/root/root.key --wait=1h", rotate_options, tr_key_rotate },
	{ "retire", "ID", 1, 1, "end a key in an orderly way; 8 digits of the id are enough", retire_options, retire },
	{ "revoke", "ID", 1, 1, "distrust a key with all that it ever signed", revoke_options, revoke_one },
};
const struct tr_noun tr_noun_key = { "key", "keys that vouch for binaries, and keys that sign commands", verbs,
				     TR_ARRAY_LEN(verbs) };
