/* SPDX-License-Identifier: Apache-2.0 */
/* The keyset: which keys hold which role, as the root keys say. Everything shown is verified from the pinned root on, or
 * said to be unverified. */
#include "cli/keyset_verbs.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "codec/text.h"

/* ---- show ---- */

static void table(struct tr_buf *b, const struct tr_col *cols, size_t n, tr_jnode array, const struct tr_cli *c)
{
	const struct tr_out_look look = { c->colour, tr_out_screen(), "not_before", tr_now_ms() };
	tr_jnode rows[TR_KEYSET_KEYS_MAX];
	size_t count = tr_json_len(array);

	for (size_t i = 0; i < count && i < TR_ARRAY_LEN(rows); i++)
		rows[i] = tr_json_at(array, i);
	tr_out_table(b, cols, n, rows, count < TR_ARRAY_LEN(rows) ? count : TR_ARRAY_LEN(rows), &look);
}

static void revoked(struct tr_buf *b, tr_jnode array)
{
	for (size_t i = 0; i < tr_json_len(array); i++) {
		tr_buf_adds(b, i ? "" : "\nRevoked:\n");
		tr_buf_adds(b, "  ");
		tr_out_cell(b, tr_json_at(array, i), TR_CELL_TEXT, true, 0);
		tr_buf_adds(b, "\n");
	}
}

static int print(const struct tr_cli *c, const struct tr_keyset *k, struct tr_view bytes, const char *word)
{
	static const struct tr_col lines[] = {
		{ "trust domain", "trust_domain", TR_CELL_TEXT }, { "epoch", "epoch", TR_CELL_COUNT },
		{ "issued", "issued_at", TR_CELL_TIME },	   { "ends", "expires_at", TR_CELL_TIME },
		{ "digest", "digest", TR_CELL_HASH },		   { "follows", "previous", TR_CELL_HASH },
		{ "root fingerprint", "root_fingerprint", TR_CELL_HASH }, { "roots needed", "threshold", TR_CELL_COUNT },
		{ "signature", "verified", TR_CELL_TEXT },
	};
	static const struct tr_col roots[] = { { "ROOT", "id", TR_CELL_HASH }, { "TYPE", "key_type", TR_CELL_TEXT } };
	static const struct tr_col keys[] = {
		{ "KEY", "id", TR_CELL_HASH },		  { "ROLE", "role", TR_CELL_TEXT },
		{ "STATE", "state", TR_CELL_STATE },	  { "TYPE", "key_type", TR_CELL_TEXT },
		{ "FROM", "not_before", TR_CELL_TIME },	  { "UNTIL", "not_after", TR_CELL_TIME },
		{ "SIGNS UNTIL", "no_sign_after", TR_CELL_TIME },
	};
	tr_auto(tr_buf_done) struct tr_buf j = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_err err = { 0 };
	tr_jnode root;

	tr_keyset_json(k, bytes, tr_now_ms(), &j);
	j.n -= j.failed ? 0 : 1;
	tr_cli_put(&j, "verified", word);
	tr_buf_adds(&j, "}");
	if (tr_buf_check(&j, &err) || tr_json_parse(tr_buf_view(&j), &doc, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	root = tr_json_root(doc);
	if (c->json)
		return tr_out_json(root);
	if (c->quiet) {
		tr_out_cell(&b, tr_json_get(root, "root_fingerprint"), TR_CELL_TEXT, true, 0);
		tr_buf_adds(&b, "\n");
		return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
	}
	tr_out_lines(&b, lines, TR_ARRAY_LEN(lines), root, c->colour, tr_now_ms());
	tr_buf_adds(&b, "\n");
	table(&b, roots, TR_ARRAY_LEN(roots), tr_json_get(root, "roots"), c);
	tr_buf_adds(&b, "\n");
	table(&b, keys, TR_ARRAY_LEN(keys), tr_json_get(root, "keys"), c);
	revoked(&b, tr_json_get(root, "revoked"));
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int show_file(const struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, hold = TR_BUF_INIT;
	char word[200] = "verified with the pinned root";
	struct tr_keyset k, same;
	struct tr_err err = { 0 };
	uint8_t pin[32], own[32];
	size_t sigs;

	if (tr_file_read(c->args[0], TR_KEYSET_MAX, &file, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (tr_draft_read(tr_buf_view(&file), &hold, &k, &sigs, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is no keyset and no draft of one (%s)", c->args[0], err.detail);
	tr_keyset_root_fingerprint(&k, own);
	if (sigs == 0)
		(void)snprintf(word, sizeof(word), "none: a draft");
	else if (!tr_api_pinned(c, pin))
		(void)snprintf(word, sizeof(word), "unverified: nothing above is proven; nobody has logged in here, so no root is pinned");
	else if (memcmp(pin, own, 32) != 0)
		(void)snprintf(word, sizeof(word), "unverified: nothing above is proven; its roots are not the pinned ones");
	else if (tr_keyset_verify_pinned(tr_buf_view(&file), pin, 0, &same, &err))
		(void)snprintf(word, sizeof(word), "unverified: %s", err.pub);
	return print(c, &k, sigs ? tr_buf_view(&file) : tr_view(NULL, 0), word);
}

static int show(struct tr_cli *c)
{
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	int rc;

	if (c->n_args)
		return show_file(c);
	rc = tr_api_authority(c, &a);
	return rc ? rc : print(c, &a.keyset, a.bytes, "verified from the pinned root on");
}

/* ---- chain ---- */

static int chain(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "EPOCH", "epoch", TR_CELL_COUNT },	{ "DIGEST", "digest", TR_CELL_HASH },
		{ "ISSUED", "issued_at", TR_CELL_TIME }, { "ENDS", "expires_at", TR_CELL_TIME },
		{ "ROOTS", "roots", TR_CELL_TEXT },	{ "ROOT FINGERPRINT", "root_fingerprint", TR_CELL_HASH },
		{ "KEYS", "keys", TR_CELL_COUNT },	{ "REVOKED", "revoked", TR_CELL_COUNT },
		{ "VERIFIED", "verified", TR_CELL_TEXT },
	};
	const char *dir = tr_cli_opt(c, TR_OPT_FILE);
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	tr_auto(tr_buf_done) struct tr_buf j = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_free) tr_jnode *rows = NULL;
	struct tr_err err = { 0 };
	tr_jnode array;
	int rc = tr_api_authority(c, &a);

	if (rc)
		return rc;
	if (dir && mkdir(dir, 0755) && errno != EEXIST)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "the folder %s cannot be made: %s", dir, strerror(errno));
	tr_buf_adds(&j, "{\"keysets\":[");
	for (size_t i = 0; i < a.chain.n; i++) {
		struct tr_keyset k;
		uint8_t hash[32];

		if (tr_keyset_unverified(tr_keychain_at(&a.chain, i), &k, &err))
			return tr_cli_err(TR_CLI_EXIT_UNREACHABLE, &err);
		tr_keyset_digest(tr_keychain_at(&a.chain, i), hash);
		tr_buf_addf(&j, "%s{\"epoch\":%llu,\"digest\":\"", i ? "," : "", (unsigned long long)k.epoch);
		tr_hex_add(&j, TR_VIEW_ARRAY(hash));
		tr_buf_adds(&j, "\",\"issued_at\":\"");
		tr_rfc3339_add(&j, k.issued_ms);
		tr_buf_adds(&j, "\",\"expires_at\":\"");
		tr_rfc3339_add(&j, k.expires_ms);
		tr_keyset_root_fingerprint(&k, hash);
		tr_buf_addf(&j, "\",\"roots\":\"%llu of %zu\",\"root_fingerprint\":\"", (unsigned long long)k.threshold, k.n_roots);
		tr_hex_add(&j, TR_VIEW_ARRAY(hash));
		tr_buf_addf(&j, "\",\"keys\":%zu,\"revoked\":%zu,\"verified\":\"%s\"}", k.n_keys, k.n_revoked,
			    i >= a.first ? "yes" : "no, before the pinned root");
		if (dir) {
			char path[4096];

			(void)snprintf(path, sizeof(path), "%s/keyset-%llu.cose", dir, (unsigned long long)k.epoch);
			if (tr_file_write(path, tr_keychain_at(&a.chain, i), 0644, &err))
				return tr_cli_err(TR_CLI_EXIT_FILE, &err);
		}
	}
	tr_buf_adds(&j, "]}");
	if (tr_buf_check(&j, &err) || tr_json_parse(tr_buf_view(&j), &doc, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (c->json)
		return tr_out_json(tr_json_root(doc));
	array = tr_json_get(tr_json_root(doc), "keysets");
	rows = calloc(tr_json_len(array) + 1, sizeof(tr_jnode));
	if (!rows)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	for (size_t i = 0; i < tr_json_len(array); i++)
		rows[i] = tr_json_at(array, i);
	tr_out_table(&b, cols, TR_ARRAY_LEN(cols), rows, tr_json_len(array),
		     &(struct tr_out_look){ c->colour, tr_out_screen(), "keys revoked expires_at", tr_now_ms() });
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

/* ---- publish ---- */

int tr_keyset_send(struct tr_cli *c, struct tr_view keyset)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, body = TR_BUF_INIT, path = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	int rc;

	tr_b64_add(&text, keyset, TR_B64_STD);
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "keyset", tr_buf_cstr(&text));
	tr_buf_adds(&body, "}");
	tr_buf_adds(&path, "/api/v1/keyset");
	rc = tr_api_send(c, "POST", &path, &body, &answer);
	if (!rc && c->json)
		return tr_out_json(tr_json_root(answer));
	return rc;
}

/* Found here, a mistake costs nothing; the server and every agent check the same again. */
static int check(struct tr_view file, const struct tr_authority *a, struct tr_keyset *ret, bool *ret_same)
{
	struct tr_err err = { 0 };

	*ret_same = tr_view_eq(file, a->bytes);
	if (*ret_same) {
		*ret = a->keyset;
		return TR_CLI_EXIT_OK;
	}
	if (tr_keyset_verify_next(a->bytes, &a->keyset, file, tr_now_ms(), ret, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "this keyset cannot follow the one in force (epoch %llu): %s (%s)",
				   (unsigned long long)a->keyset.epoch, err.pub, err.detail);
	return TR_CLI_EXIT_OK;
}

static int publish(struct tr_cli *c)
{
	tr_auto(tr_authority_done) struct tr_authority a = { 0 }, after = { 0 };
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, hold = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_keyset k;
	struct tr_err err = { 0 };
	size_t sigs;
	bool same;
	int rc;

	if (tr_file_read(c->args[0], TR_KEYSET_MAX, &file, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (tr_draft_read(tr_buf_view(&file), &hold, &k, &sigs, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is no keyset (%s)", c->args[0], err.detail);
	if (sigs == 0)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is a draft that nobody has signed: troth keyset sign %s --root FILE", c->args[0],
				   c->args[0]);
	rc = tr_api_authority(c, &a);
	if (!rc)
		rc = check(tr_buf_view(&file), &a, &k, &same);
	if (!rc && !same)
		rc = tr_keyset_send(c, tr_buf_view(&file));
	if (rc)
		return rc;
	/* The saved login takes the new root over, should there be one. */
	rc = same ? TR_CLI_EXIT_OK : tr_api_authority(c, &after);
	if (rc || c->quiet || c->json)
		return rc;
	if (same) {
		tr_buf_addf(&b, "keyset %llu is in force already\n", (unsigned long long)k.epoch);
	} else {
		tr_keyset_diff(&a.keyset, &k, &b);
		tr_buf_addf(&b, "keyset %llu is in force; agents take it over with their next pulses.\n"
			    "Keep the chain of keysets with your backups: troth keyset chain --save FOLDER\n",
			    (unsigned long long)k.epoch);
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static const struct argp_option prepare_options[] = {
	{ "file", 'o', "FILE", 0, "where the draft goes; needed. FILE.previous is written beside it", 1 },
	{ "add-key", TR_OPT_ADD_KEY, "ID", 0, "a signing key that the server has prepared (troth key create)", 1 },
	{ "retire", TR_OPT_RETIRE, "ID[=TIME]", 0, "what the key signs after TIME (default now) counts no more", 1 },
	{ "drop", TR_OPT_DROP, "ID", 0, "no longer name the key", 1 },
	{ "revoke", TR_OPT_REVOKE, "ID", 0, "nothing that it ever signed counts; for ever", 1 },
	{ "add-operator", TR_OPT_ADD_OPERATOR, "FILE.pub", 0, "who may approve commands (troth operator keygen)", 1 },
	{ "remove-operator", TR_OPT_REMOVE_OPERATOR, "ID", 0, "who may no longer", 1 },
	{ "add-release", TR_OPT_ADD_RELEASE, "FILE.pub", 0, "who may say which binaries are good", 1 },
	{ "add-config", TR_OPT_ADD_CONFIG, "FILE.pub", 0, "who may say which collateral is in force (troth collateral sign)", 1 },
	{ "add-ca", TR_OPT_ADD_CA, "FILE.crt", 0, "a CA that may issue certificates", 1 },
	{ "add-root", TR_OPT_ADD_ROOT, "FILE.pub", 0, "another root key (troth key root-init)", 1 },
	{ "remove-root", TR_OPT_REMOVE_ROOT, "ID", 0, "no longer a root key", 1 },
	{ "threshold", TR_OPT_THRESHOLD, "N", 0, "how many roots must sign from then on", 1 },
	{ "expires", TR_OPT_EXPIRES, "TIME", 0, "when it ends (default: as long a life as the present one's)", 1 },
	{ "previous", TR_OPT_PREVIOUS, "FILE", 0, "the keyset to begin with, instead of asking the server", 1 },
	{ 0 },
};
static const struct argp_option sign_options[] = {
	{ "root", TR_OPT_ROOT, "FILE", 0, "private root key (PEM, mode 0600); may come more than once", 1 },
	{ "file", 'o', "FILE", 0, "where the signed keyset goes (default: in the draft's place)", 1 },
	{ "previous", TR_OPT_PREVIOUS, "FILE", 0, "the keyset that it follows (default: DRAFT.previous)", 1 },
	{ "yes", TR_OPT_YES, 0, 0, "do not ask", 1 },
	{ 0 },
};
static const struct argp_option chain_options[] = {
	{ "save", TR_OPT_FILE, "FOLDER", 0, "also write each to FOLDER/keyset-N.cose", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "show", "[FILE]", 0, 1, "show the keyset in force, or a file\nExample: troth keyset show keyset-2.cose", NULL, show },
	{ "prepare", NULL, 0, 0,
	  "write the next keyset as a draft\nExample: troth keyset prepare -o next --add-operator ada.pub --add-operator bo.pub",
	  prepare_options, tr_keyset_prepare },
	{ "sign", "DRAFT", 1, 1,
	  "sign a draft with a root key; needs no server\nExample: troth keyset sign next --root /media/root/root.key",
	  sign_options, tr_keyset_sign_draft },
	{ "publish", "FILE", 1, 1, "put a signed keyset in force", NULL, publish },
	{ "chain", NULL, 0, 0, "show every keyset that was ever in force", chain_options, chain },
};
const struct tr_noun tr_noun_keyset = { "keyset", "which keys hold which role, signed by the roots", verbs,
					TR_ARRAY_LEN(verbs) };
