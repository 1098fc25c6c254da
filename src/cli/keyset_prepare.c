/* SPDX-License-Identifier: Apache-2.0 */
/* `troth keyset prepare`: the next keyset as a draft. It decides nothing: without root signatures it is a wish. */
#include "cli/keyset_verbs.h"

#include "base/clock.h"
#include "base/file.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"

int tr_draft_write(const char *path, struct tr_view payload, struct tr_view previous)
{
	tr_auto(tr_buf_done) struct tr_buf beside = TR_BUF_INIT;
	struct tr_err err = { 0 };

	tr_buf_addf(&beside, "%s.previous", path);
	if (tr_file_write(tr_buf_cstr(&beside), previous, 0644, &err) || tr_file_write(path, payload, 0644, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	return TR_CLI_EXIT_OK;
}

/* The public half of a key in a PEM file. A private one is refused: it would be named in a public document by mistake. */
static TR_RC read_pub(const char *path, struct tr_pubkey **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	enum tr_code rc = tr_file_read(path, 16384, &pem, err);

	if (!rc && memmem(pem.p, pem.n, "PRIVATE KEY", 11))
		return tr_err_set(err, TR_E_INVALID, "this file holds a private key; give its public half (FILE.pub)", "%s", path);
	if (!rc)
		rc = tr_pubkey_from_pem(tr_buf_view(&pem), ret, err);
	return rc ? tr_err_wrap(err, "%s", path) : TR_OK;
}

static TR_RC add_file(struct tr_edit *e, enum tr_key_role role, const char *path, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;

	if (read_pub(path, &key, err))
		return err->code;
	if (role == TR_ROLE_OPERATOR && tr_pubkey_type(key) == TR_KEY_RSA)
		return tr_err_set(err, TR_E_INVALID, "operators' keys are Ed25519 or P-256: troth operator keygen makes one", "%s",
				  path);
	if (role == TR_ROLE_N ? tr_edit_add_root(e, tr_pubkey_spki(key), err)
			      : tr_edit_add(e, role, tr_pubkey_spki(key), 0, 0, err))
		return tr_err_wrap(err, "%s", path);
	return TR_OK;
}

static TR_RC add_ca(struct tr_edit *e, const char *path, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT, der = TR_BUF_INIT;
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_view label, rest;

	if (tr_file_read(path, 16384, &pem, err) || tr_pem_get(tr_buf_view(&pem), &label, &der, &rest, err) ||
	    tr_cert_parse(tr_buf_view(&der), &cert, err) || tr_cert_check_ca_shape(cert, err) ||
	    tr_edit_add(e, TR_ROLE_CA, tr_cert_der(cert), tr_cert_not_before_ms(cert), tr_cert_not_after_ms(cert), err))
		return tr_err_wrap(err, "%s", path);
	return TR_OK;
}

/* ---- keys that the server has prepared ---- */

/* The one row that begins with these digits; NULL after saying why not. */
static tr_jnode find_row(tr_jnode answer, const char *id)
{
	tr_jnode keys = tr_json_get(answer, "keys"), found = NULL;
	struct tr_view v;
	size_t n = 0;

	if (strncmp(id, "sha256:", 7) == 0)
		id += 7;
	for (size_t i = 0; i < tr_json_len(keys) && strlen(id) >= TR_KEY_PREFIX_MIN; i++)
		if (tr_json_str(tr_json_get(tr_json_at(keys, i), "id"), &v) && tr_view_starts(v, id)) {
			found = tr_json_at(keys, i);
			n++;
		}
	if (n == 1)
		return found;
	(void)tr_cli_fail(TR_CLI_EXIT_USAGE, n ? "several keys of the server begin with %s; give more digits"
					       : "the server has no signing key %s; see troth key list", id);
	return NULL;
}

static TR_RC add_row(struct tr_edit *e, tr_jnode row, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf spki = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	struct tr_view text = { 0 }, role_name = { 0 }, id = { 0 };
	enum tr_key_role role = TR_ROLE_COMMAND;
	uint8_t hash[32];

	(void)tr_json_str(tr_json_get(row, "spki"), &text);
	(void)tr_json_str(tr_json_get(row, "role"), &role_name);
	(void)tr_json_str(tr_json_get(row, "id"), &id);
	if (!tr_key_role_of(role_name, &role) || role == TR_ROLE_CA)
		return tr_err_set(err, TR_E_INVALID, "a CA is named by its certificate: --add-ca FILE.crt", "role %.*s",
				  TR_VIEW_FMT(role_name));
	if (tr_b64_get(text, TR_B64_STD, &spki, err) || tr_pubkey_from_spki(tr_buf_view(&spki), &key, err))
		return tr_err_wrap(err, "the server's row of this key");
	/* People compare the id: it has to be that of the key which is added. */
	if (!tr_hex_get(id, hash, 32) || memcmp(hash, tr_pubkey_id(key), 32) != 0)
		return tr_err_set(err, TR_E_DENIED, "the server's key is not what its id says", "spki");
	return tr_edit_add(e, role, tr_pubkey_spki(key), 0, 0, err);
}

static int add_from_server(struct tr_cli *c, struct tr_edit *e)
{
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	struct tr_err err = { 0 };
	const char *id;
	size_t at = 0;
	int rc;

	if (!tr_cli_opt(c, TR_OPT_ADD_KEY))
		return TR_CLI_EXIT_OK;
	rc = tr_api_call(c, "GET", "/api/v1/admin/keys", tr_view(NULL, 0), &answer);
	while (!rc && (id = tr_cli_next(c, TR_OPT_ADD_KEY, &at))) {
		tr_jnode row = find_row(tr_json_root(answer), id);

		if (!row)
			return TR_CLI_EXIT_USAGE;
		if (add_row(e, row, &err))
			rc = tr_cli_err(TR_CLI_EXIT_FILE, &err);
	}
	return rc;
}

/* ---- all changes ---- */

/* "ID" or "ID=TIME". */
static TR_RC retire(struct tr_edit *e, const char *text, int64_t now_ms, struct tr_err *err)
{
	const char *eq = strchr(text, '=');
	char id[80];
	int64_t at = now_ms;

	(void)snprintf(id, sizeof(id), "%.*s", eq ? (int)(eq - text) : (int)strlen(text), text);
	if (eq && !tr_cli_time(eq + 1, now_ms, &at))
		return tr_err_set(err, TR_E_INVALID, "--retire takes ID, or ID=TIME: a time from now (1h) or a date", "%s", text);
	return tr_edit_retire(e, id, at, err);
}

static TR_RC change(struct tr_edit *e, enum tr_opt opt, const char *text, int64_t now_ms, struct tr_err *err)
{
	switch (opt) {
	case TR_OPT_RETIRE: return retire(e, text, now_ms, err);
	case TR_OPT_DROP: return tr_edit_drop(e, text, TR_ROLE_N, err);
	case TR_OPT_REVOKE: return tr_edit_revoke(e, text, err);
	case TR_OPT_ADD_OPERATOR: return add_file(e, TR_ROLE_OPERATOR, text, err);
	case TR_OPT_REMOVE_OPERATOR: return tr_edit_drop(e, text, TR_ROLE_OPERATOR, err);
	case TR_OPT_ADD_RELEASE: return add_file(e, TR_ROLE_RELEASE, text, err);
	case TR_OPT_ADD_CONFIG: return add_file(e, TR_ROLE_CONFIG, text, err);
	case TR_OPT_ADD_CA: return add_ca(e, text, err);
	case TR_OPT_ADD_ROOT: return add_file(e, TR_ROLE_N, text, err);
	case TR_OPT_REMOVE_ROOT: return tr_edit_remove_root(e, text, err);
	case TR_OPT_THRESHOLD:
		if (!tr_cli_number(text, &e->ks.threshold))
			return tr_err_set(err, TR_E_INVALID, "--threshold takes a number", "%s", text);
		return TR_OK;
	case TR_OPT_EXPIRES:
		if (!tr_cli_time(text, now_ms, &e->ks.expires_ms) || e->ks.expires_ms <= now_ms)
			return tr_err_set(err, TR_E_INVALID, "--expires takes a time from now (365d) or a date ahead", "%s", text);
		return TR_OK;
	default: return TR_OK;
	}
}

/* The keyset to begin with: the server's, verified; or, where there is no server, a file that somebody vouches for. */
static int begin(struct tr_cli *c, struct tr_authority *a, struct tr_buf *file, struct tr_keyset *ret,
		 struct tr_view *ret_bytes)
{
	const char *path = tr_cli_opt(c, TR_OPT_PREVIOUS);
	struct tr_err err = { 0 };
	int rc;

	if (!path) {
		rc = tr_api_authority(c, a);
		*ret = a->keyset;
		*ret_bytes = a->bytes;
		return rc;
	}
	if (tr_file_read(path, TR_KEYSET_MAX, file, &err) || tr_keyset_unverified(tr_buf_view(file), ret, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is no keyset (%s)", path, err.detail);
	*ret_bytes = tr_buf_view(file);
	return TR_CLI_EXIT_OK;
}

int tr_keyset_prepare(struct tr_cli *c)
{
	const char *out = tr_cli_opt(c, TR_OPT_FILE);
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	tr_auto(tr_edit_done) struct tr_edit e = { .n_held = 0 };
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, payload = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_view bytes = { 0 };
	struct tr_keyset now;
	struct tr_err err = { 0 };
	int rc;

	if (!out)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "-o FILE is needed: where the draft goes");
	rc = begin(c, &a, &file, &now, &bytes);
	if (rc)
		return rc;
	tr_edit_start(&e, &now, bytes, tr_now_ms());
	rc = add_from_server(c, &e);
	for (size_t i = 0; !rc && i < c->n_given; i++)
		if (change(&e, c->given[i].opt, c->given[i].text, e.ks.issued_ms, &err))
			rc = tr_cli_err(err.code == TR_E_INTERNAL ? TR_CLI_EXIT_FILE : TR_CLI_EXIT_USAGE, &err);
	if (rc)
		return rc;
	if (tr_edit_payload(&e, &payload, &err))
		return tr_cli_err(TR_CLI_EXIT_USAGE, &err);
	rc = tr_draft_write(out, tr_buf_view(&payload), bytes);
	if (rc || c->quiet)
		return rc;
	if (c->json) {
		tr_keyset_json(&e.ks, tr_view(NULL, 0), tr_now_ms(), &b);
		tr_buf_adds(&b, "\n");
		return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
	}
	tr_keyset_diff(&now, &e.ks, &b);
	tr_buf_addf(&b, "\nThe draft is %s. Where the root keys are, with %s.previous beside it:\n"
			"  troth keyset sign %s --root FILE\nand back here:\n  troth keyset publish %s\n", out, out, out, out);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}
