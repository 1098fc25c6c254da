/* SPDX-License-Identifier: Apache-2.0 */
#include "server/key_import.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "codec/text.h"
#include "server/keyring.h"
#include "signed/compat_key.h"
#include "store/store.h"

#define FILE_MAX 4096
#define NAME_MAX_LEN 64
#define ROLE TR_VIEW_LIT("command")

/* What the store holds already. */
struct present {
	struct tr_view id;
	uint64_t version; /* the highest */
	char state[16];   /* of this very key; empty: not there */
};

static bool look(void *arg, const void *row)
{
	struct present *p = arg;
	const struct tr_skey_row *k = row;

	if (tr_view_eq(k->role, ROLE) && k->version > p->version)
		p->version = k->version;
	if (tr_view_eq(k->id, p->id))
		(void)snprintf(p->state, sizeof(p->state), "%.*s", TR_VIEW_FMT(k->state));
	return true;
}

static TR_RC check_name(const char *name, struct tr_err *err)
{
	size_t n = strlen(name);

	for (const char *c = name; *c; c++)
		if (*c < ' ' || *c == 0x7f)
			n = 0;
	if (n == 0 || n > NAME_MAX_LEN || !tr_utf8_ok(tr_view_str(name)))
		return tr_err_set(err, TR_E_INVALID, "--name takes 1 to 64 printable characters", "%zu bytes", strlen(name));
	return TR_OK;
}

static TR_RC read_key(const char *file, struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	enum tr_code rc = tr_file_read_secret(file, FILE_MAX, &text, err);

	if (!rc)
		rc = tr_compat_key_read(tr_buf_view(&text), ret, err);
	tr_wipe(text.p, text.cap);
	return rc ? tr_err_wrap(err, "%s", file) : TR_OK;
}

static TR_RC seal(const struct tr_config *cfg, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err)
{
	static struct tr_keyring ring;
	enum tr_code rc = tr_keyring_open(&ring, cfg, err);

	if (!rc)
		rc = tr_privkey_seal(ring.seal, ROLE, k, ret, err);
	tr_keyring_done(&ring);
	return rc;
}

static TR_RC put(struct tr_store *s, const struct tr_skey_row *row, struct tr_view hex, struct tr_err *err)
{
	const struct tr_audit_row audit = { .time = row->created_at, .actor = row->created_by, .action = TR_VIEW_LIT("signing_key.import"),
					    .object = hex, .outcome = TR_VIEW_LIT("ok"), .detail = TR_VIEW_LIT("{}") };

	if (tr_store_begin(s, err))
		return err->code;
	if (tr_store_apply(s, TR_OP_INSERT, TR_T_SKEY, row, err) || tr_store_apply(s, TR_OP_APPEND, TR_T_AUDIT, &audit, err)) {
		tr_store_rollback(s);
		return err->code;
	}
	return tr_store_commit(s, err);
}

static TR_RC store_key(const struct tr_config *cfg, const struct tr_privkey *k, const char *name, struct tr_view hex,
		       struct tr_view sealed, struct tr_err *err)
{
	tr_auto(tr_store_free) struct tr_store *s = NULL;
	tr_auto(tr_buf_done) struct tr_buf location = TR_BUF_INIT;
	const struct tr_pubkey *pub = tr_privkey_pub(k);
	struct present there = { .id = tr_view(tr_pubkey_id(pub), 32) };
	enum tr_code rc = tr_config_store_location(cfg, &location, err);

	if (!rc)
		rc = tr_store_open(tr_buf_cstr(&location), TR_STORE_RW, &s, err);
	tr_wipe(location.p, location.cap); /* it may hold the database's password */
	if (rc || tr_store_each(s, TR_T_SKEY, look, &there, err))
		return err->code;
	if (there.state[0])
		return tr_err_set(err, TR_E_CONFLICT,
				  "this key is in the store already, and one that was retired or revoked does not come back",
				  "its state is %s", there.state);
	const struct tr_skey_row row = {
		.id = there.id, .role = ROLE, .state = TR_VIEW_LIT("prepared"), .origin = TR_VIEW_LIT("sealed"),
		.version = there.version + 1, .name = tr_view_str(name), .key_type = tr_view_str(tr_pubkey_type_name(pub)),
		.spki = tr_pubkey_spki(pub), .sealed = sealed, .created_at = tr_now_ms(),
		.created_by = TR_VIEW_LIT("trothd key import"),
	};

	return put(s, &row, hex, err);
}

TR_RC tr_key_import(const char *config, const char *file, const char *name, struct tr_err *err)
{
	tr_auto(tr_config_free) struct tr_config *cfg = NULL;
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	tr_auto(tr_buf_done) struct tr_buf sealed = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	char short_id[33];

	if (!name)
		name = "imported";
	if (check_name(name, err) || tr_config_load(config, &cfg, err) || read_key(file, &k, err) ||
	    seal(cfg, k, &sealed, err))
		return err->code;
	tr_hex_add(&hex, tr_view(tr_pubkey_id(tr_privkey_pub(k)), 32));
	if (tr_buf_check(&hex, err) || store_key(cfg, k, name, tr_buf_view(&hex), tr_buf_view(&sealed), err))
		return err->code;
	tr_pubkey_short_id(tr_privkey_pub(k), short_id);
	(void)printf("Imported as a prepared command key \"%s\"\n\n"
		     "  key     %s\n"
		     "  key_id  %s   (as clients of the original know it)\n\n"
		     "It signs nothing until a keyset names it: troth keyset prepare, sign, publish; then troth key promote.\n"
		     "Destroy %s: whoever reads it can sign commands of the original form.\n",
		     name, tr_buf_cstr(&hex), short_id, file);
	return TR_OK;
}
