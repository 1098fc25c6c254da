/* SPDX-License-Identifier: Apache-2.0 */
#include "server/keyring.h"

#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "ipc/sandbox.h"

#include <unistd.h>

/* ---- keys/seal.key ---- */

/* Its nodes share it; a second one would open nothing of what the first has sealed. */
static TR_RC make_seal(const char *path, struct tr_err *err)
{
	uint8_t key[TR_WRAP_KEY_LEN];
	unsigned uid, gid;
	enum tr_code rc;

	tr_random(key, sizeof(key));
	rc = tr_file_create(path, TR_VIEW_ARRAY(key), 0600, err);
	tr_wipe(key, sizeof(key));
	if (rc == TR_E_CONFLICT)
		return TR_OK; /* made by somebody else at the same time */
	if (rc)
		return tr_err_wrap(err, "make %s", TR_SEAL_KEY);
	if (tr_sandbox_target_ids(&uid, &gid) && chown(path, uid, gid))
		return tr_err_errno(err, "chown %s", path);
	tr_log(TR_LOG_INFO, "seal_key_made", "file", path, NULL);
	return TR_OK;
}

TR_RC tr_keyring_open(struct tr_keyring *k, const struct tr_config *cfg, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	char path[4096];
	enum tr_code rc;

	k->cfg = cfg;
	tr_config_path(cfg, TR_SEAL_KEY, path, sizeof(path));
	if (!tr_file_exists(path) && make_seal(path, err))
		return err->code;
	rc = tr_file_read_secret(path, 64, &bytes, err);
	if (rc)
		return tr_err_wrap(err, TR_SEAL_KEY);
	if (bytes.n == sizeof(k->seal))
		memcpy(k->seal, bytes.p, sizeof(k->seal));
	else
		rc = tr_err_set(err, TR_E_INVALID, "keys/seal.key must hold 32 bytes; restore it from a backup", "%zu bytes",
				bytes.n);
	tr_wipe(bytes.p, bytes.n);
	return rc;
}

/* ---- what is held ---- */

static void drop(struct tr_keyring *k, size_t at)
{
	k->held[at].key = tr_privkey_free(k->held[at].key);
	k->held[at] = k->held[--k->n];
	k->held[k->n] = (struct tr_held){ 0 };
}

void tr_keyring_done(struct tr_keyring *k)
{
	while (k->n)
		drop(k, 0);
	tr_wipe(k->seal, sizeof(k->seal));
	tr_buf_done(&k->result_cert);
}

const struct tr_privkey *tr_keyring_find(const struct tr_keyring *k, enum tr_key_role role, struct tr_view id)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->held[i].role == role && tr_view_eq(id, tr_view(tr_pubkey_id(tr_privkey_pub(k->held[i].key)), 32)))
			return k->held[i].key;
	return NULL;
}

TR_RC tr_keyring_add(struct tr_keyring *k, enum tr_key_role role, struct tr_privkey *key, bool sealed, struct tr_err *err)
{
	if (k->n == TR_HELD_MAX) {
		(void)tr_privkey_free(key);
		return tr_err_set(err, TR_E_BUSY, "this node holds as many keys as it can", "%u keys", TR_HELD_MAX);
	}
	k->held[k->n++] = (struct tr_held){ role, key, sealed };
	return TR_OK;
}

/* ---- sealed rows ---- */

static bool open_row(struct tr_keyring *k, struct tr_view bytes, struct tr_buf *usable, struct tr_err *err)
{
	struct tr_privkey *key = NULL;
	struct tr_skey_row row;
	enum tr_key_role role;

	if (tr_record_decode(&tr_skey_def, bytes, &row, err))
		return false;
	if (tr_view_is(row.role, TR_RING_RESULT_NAME)) {
		role = TR_RING_RESULT;
	} else if (!tr_key_role_of(row.role, &role) || role == TR_ROLE_CA) {
		(void)tr_err_set(err, TR_E_INVALID, "no sealed key has this role", "%.*s", TR_VIEW_FMT(row.role));
		return false;
	}
	if (tr_privkey_unseal(k->seal, row.role, row.spki, row.sealed, &key, err) ||
	    tr_keyring_add(k, role, key, true, err))
		return false;
	tr_buf_add(usable, tr_pubkey_id(tr_privkey_pub(key)), 32);
	return true;
}

static void load(struct tr_keyring *k, struct tr_view rows, struct tr_msg_keys_loaded *a, struct tr_buf *usable)
{
	struct tr_view one;

	/* What is in the list no more has ended: nothing of it stays in memory. */
	for (size_t i = 0; i < k->n;)
		if (k->held[i].sealed)
			drop(k, i);
		else
			i++;
	while (tr_records_next(&rows, &one)) {
		struct tr_err err = { 0 };

		if (open_row(k, one, usable, &err))
			continue;
		tr_log_err(TR_LOG_ERROR, "sealed_key_unusable", &err, "pub", err.pub, NULL);
		a->code = err.code;
		a->why = tr_view_str(err.pub);
	}
	a->usable = tr_buf_view(usable);
}

void tr_keyring_on_load(struct tr_keyring *k, struct tr_chan *c, const struct tr_frame *f)
{
	tr_auto(tr_buf_done) struct tr_buf usable = TR_BUF_INIT;
	struct tr_msg_keys_loaded a = { 0 };
	struct tr_msg_keys_load q;
	struct tr_err err = { 0 };

	if (tr_record_decode(&tr_msg_keys_load_def, f->payload, &q, &err)) {
		a.code = err.code;
		a.why = tr_view_str(err.pub);
	} else {
		load(k, q.rows, &a, &usable);
	}
	tr_chan_send_record(c, TR_M_KEYS_LOADED, f->id, &tr_msg_keys_loaded_def, &a);
}

/* A new one is sealed and forgotten: it comes back as a row, when it is durable. */
static TR_RC make(struct tr_keyring *k, const struct tr_msg_make_key *q, struct tr_privkey **ret, struct tr_buf *sealed,
		  struct tr_err *err)
{
	if (!tr_view_is(q->role, tr_key_role_name(TR_ROLE_COMMAND)) && !tr_view_is(q->role, TR_RING_RESULT_NAME))
		return tr_err_set(err, TR_E_INVALID, "only command keys and result keys are made here", "%.*s", TR_VIEW_FMT(q->role));
	if (tr_privkey_generate(TR_KEY_ED25519, ret, err))
		return err->code;
	return tr_privkey_seal(k->seal, q->role, *ret, sealed, err);
}

void tr_keyring_on_make(struct tr_keyring *k, struct tr_chan *c, const struct tr_frame *f)
{
	tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf sealed = TR_BUF_INIT;
	struct tr_msg_key_made a = { 0 };
	struct tr_msg_make_key q;
	struct tr_err err = { 0 };

	if (tr_record_decode(&tr_msg_make_key_def, f->payload, &q, &err) || make(k, &q, &key, &sealed, &err)) {
		tr_log_err(TR_LOG_ERROR, "key_not_made", &err, NULL);
		a.code = err.code;
		a.why = tr_view_str(err.pub);
	} else {
		a.spki = tr_pubkey_spki(tr_privkey_pub(key));
		a.key_type = tr_view_str(tr_pubkey_type_name(tr_privkey_pub(key)));
		a.sealed = tr_buf_view(&sealed);
	}
	tr_chan_send_record(c, TR_M_KEY_MADE, f->id, &tr_msg_key_made_def, &a);
}
