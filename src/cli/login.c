/* SPDX-License-Identifier: Apache-2.0 */
/* The first contact: which server is it, and does it take this token? */
#include "cli/api.h"

#include <stdio.h>
#include <termios.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "codec/text.h"
#include "signed/token.h"

static void trim(struct tr_buf *b)
{
	while (b->n && (b->p[b->n - 1] == '\n' || b->p[b->n - 1] == '\r' || b->p[b->n - 1] == ' '))
		b->n--;
}

static void ask_token(struct tr_buf *ret)
{
	struct termios was, silent;
	char line[256];

	if (tcgetattr(STDIN_FILENO, &was))
		return;
	silent = was;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	fputs("Operator token (tro_…): ", stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	if (fgets(line, sizeof(line), stdin))
		tr_buf_adds(ret, line);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
	fputc('\n', stderr);
	tr_wipe(line, sizeof(line));
}

static int read_token(const struct tr_cli *c, struct tr_buf *ret)
{
	const char *path = tr_cli_opt(c, TR_OPT_TOKEN_FILE), *env = getenv("TROTH_TOKEN");
	struct tr_err err = { 0 };
	uint8_t hash[32];

	if (path) {
		if (tr_file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, 4096, ret, &err))
			return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	} else if (env && *env) {
		tr_buf_adds(ret, env);
	} else if (isatty(STDIN_FILENO)) {
		ask_token(ret);
	} else {
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "no token: pass --token-file FILE (- for standard input) or set TROTH_TOKEN");
	}
	trim(ret);
	switch (tr_token_read(tr_buf_view(ret), hash, NULL)) {
	case TR_TOKEN_OPERATOR: return TR_CLI_EXIT_OK;
	case TR_TOKEN_ENROL:
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "this is an enrolment token, for agents; login takes the operator token (tro_…)");
	default:
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "this is no operator token: tro_ and 43 characters (trothd init wrote one to admin.token)");
	}
}

/* The fingerprint that is to be believed: given, or confirmed by a person who looked. */
static int pin(const struct tr_cli *c, const struct tr_keychain *chain, uint8_t ret[32])
{
	const char *root = tr_cli_opt(c, TR_OPT_ROOT);
	char hex[65] = "", line[64] = "";

	if (root) {
		if (tr_cli_fingerprint(root, ret))
			return TR_CLI_EXIT_OK;
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--root takes the 64 hexadecimal digits that trothd init printed (root.pin)");
	}
	if (!tr_keyset_unverified_root(tr_keychain_at(chain, chain->n - 1), ret))
		return tr_cli_fail(TR_CLI_EXIT_UNREACHABLE, "what the server sent is no keyset: is this a Troth server?");
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", ret[i]);
	fprintf(stderr, "The server names the root sha256:%s\n", hex);
	if (!isatty(STDIN_FILENO))
		return tr_cli_fail(TR_CLI_EXIT_PIN, "nobody is here to compare it: pass --root with the fingerprint that trothd init printed");
	fputs("Compare it with what trothd init printed (root.pin). Is it the same? [yes/no] ", stderr);
	if (!fgets(line, sizeof(line), stdin) || (strcmp(line, "yes\n") != 0 && strcmp(line, "y\n") != 0))
		return tr_cli_fail(TR_CLI_EXIT_PIN, "not confirmed; nothing was sent and nothing saved");
	return TR_CLI_EXIT_OK;
}

/* Asks who we are over the verified connection: a login that does not work is not saved. */
static int prove_and_save(struct tr_cli *c, const struct tr_profile *p)
{
	static const struct tr_col cols[] = {
		{ "logged in as", "actor", TR_CELL_TEXT },
		{ "trust domain", "trust_domain", TR_CELL_TEXT },
		{ "server version", "version", TR_CELL_TEXT },
		{ "root", "root_fingerprint", TR_CELL_HASH },
	};
	tr_auto(tr_json_free) struct tr_json *who = NULL;
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err = { 0 };
	int rc = tr_api_open_as(c, p);

	if (!rc)
		rc = tr_api_call(c, "GET", "/api/v1/whoami", tr_view(NULL, 0), &who);
	if (rc == TR_CLI_EXIT_REFUSED)
		fputs("  is that the operators' listener? Its port is 8440 unless configured otherwise\n", stderr);
	if (rc)
		return rc;
	if (tr_profile_path(c->profile, &path, &err) || tr_profile_save(tr_buf_cstr(&path), p, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (c->quiet)
		return TR_CLI_EXIT_OK;
	if (c->json)
		return tr_out_json(tr_json_root(who));
	tr_out_lines(&b, cols, TR_ARRAY_LEN(cols), tr_json_root(who), c->colour, 0);
	tr_buf_addf(&b, "saved in        %s\n", tr_buf_cstr(&path));
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int login(struct tr_cli *c)
{
	const char *url = c->args[0];
	tr_auto(tr_keychain_done) struct tr_keychain chain = { 0 };
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;
	tr_auto(tr_trust_done) struct tr_trust trust = { 0 };
	struct tr_buf token = TR_BUF_INIT;
	struct tr_err err = { 0 };
	uint8_t root[32];
	enum tr_code got;
	int rc = read_token(c, &token);

	if (!rc) {
		got = tr_api_keychain(url, &chain, &err);
		if (got)
			rc = tr_cli_err(got == TR_E_INVALID ? TR_CLI_EXIT_USAGE : TR_CLI_EXIT_UNREACHABLE, &err);
	}
	if (!rc)
		rc = pin(c, &chain, root);
	/* What is saved is the newest root: the chain from the given one to it is verified, and need not be again. */
	if (!rc && tr_keychain_trust(&chain, root, tr_now_ms(), &trust, root, &why, &err))
		rc = tr_cli_fail(TR_CLI_EXIT_PIN, "wrong server: %s", tr_buf_cstr(&why));
	if (!rc) {
		const struct tr_profile p = { .url = tr_view_str(url), .token = tr_buf_view(&token),
					      .root = TR_VIEW_ARRAY(root), .ca = tr_buf_view(&trust.ca_pem) };

		rc = prove_and_save(c, &p);
	}
	if (token.p)
		tr_wipe(token.p, token.cap);
	tr_buf_done(&token);
	return rc;
}

static const struct argp_option options[] = {
	{ "token-file", TR_OPT_TOKEN_FILE, "FILE", 0,
	  "file that holds the operator token, - for standard input (else environment TROTH_TOKEN, else asked for)", 1 },
	{ "root", TR_OPT_ROOT, "HEX", 0, "root fingerprint that the server must have (else shown and asked for)", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "", "URL", 1, 1, "check which server URL is, log in to it and save the login", options, login },
};
const struct tr_noun tr_noun_login = { "login", "log in to a server and save the login", verbs, TR_ARRAY_LEN(verbs) };
