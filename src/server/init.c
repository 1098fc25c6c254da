/* SPDX-License-Identifier: Apache-2.0 */
#include "server/init.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"
#include "ipc/sandbox.h"
#include "server/config.h"
#include "server/hsm.h"
#include "server/keyring.h"
#include "signed/keyset.h"
#include "signed/token.h"
#include "store/store.h"

#include <dirent.h>
#include <sys/stat.h>

#define DAY_MS (86400LL * 1000)
#define CA_DAYS (10 * 365)
#define KEYSET_DAYS (5 * 365)

struct making {
	const struct tr_init *in;
	int64_t now;
	struct tr_privkey *root, *ca, *command;
	struct tr_hsm hsm; /* its keys are taken */
	struct tr_buf ca_der, keyset, sealed; /* sealed: the command key, for the store */
	uint8_t pin[32];
};

static void path_of(const struct making *m, const char *name, char *buf, size_t len)
{
	(void)snprintf(buf, len, "%s/%s", m->in->dir, name);
}

static TR_RC create(const struct making *m, const char *name, struct tr_view bytes, mode_t mode, struct tr_err *err)
{
	char path[4096];

	path_of(m, name, path, sizeof(path));
	return tr_file_create(path, bytes, mode, err);
}

static TR_RC create_key(const struct making *m, const char *name, const struct tr_privkey *k, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	enum tr_code rc = tr_privkey_pem(k, &pem, err);

	if (!rc)
		rc = create(m, name, tr_buf_view(&pem), 0600, err);
	tr_wipe(pem.p, pem.n);
	return rc;
}

static TR_RC create_cert(const struct making *m, const char *name, struct tr_view der, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;

	tr_pem_add(&pem, "CERTIFICATE", der);
	return create(m, name, tr_buf_view(&pem), 0644, err);
}

/* An empty folder, or none yet: anything else is somebody's and stays as it is. */
static TR_RC claim_folder(const char *dir, struct tr_err *err)
{
	DIR *d;
	const struct dirent *e;
	unsigned n = 0;

	if (tr_dir_make(dir, 0700, err))
		return err->code;
	d = opendir(dir);
	if (!d)
		return tr_err_errno(err, "open %s", dir);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.' || (e->d_name[1] && e->d_name[1] != '.');
	(void)closedir(d);
	if (n)
		return tr_err_set(err, TR_E_CONFLICT,
				  "the folder is not empty; an installation is never overwritten: choose another --dir",
				  "%s holds %u entries", dir, n);
	return TR_OK;
}

static TR_RC make_folders(const struct making *m, struct tr_err *err)
{
	static const char *const names[] = { "root", "keys", "tls" };
	char path[4096];

	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
		path_of(m, names[i], path, sizeof(path));
		if (tr_dir_make(path, 0700, err))
			return err->code;
	}
	return TR_OK;
}

static TR_RC make_root(struct making *m, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;

	if (tr_privkey_generate(TR_KEY_ED25519, &m->root, err) || create_key(m, "root/root.key", m->root, err))
		return err->code;
	tr_pubkey_pem(tr_privkey_pub(m->root), &pem);
	return create(m, "root/root.pub", tr_buf_view(&pem), 0644, err);
}

static TR_RC make_ca(struct making *m, struct tr_err *err)
{
	struct tr_cert_spec spec = { .common_name = "Troth agent CA", .not_before_ms = m->now - DAY_MS,
				     .not_after_ms = m->now + CA_DAYS * DAY_MS, .ca = true };
	char spiffe[TR_SPIFFE_MAX];

	m->ca = TR_TAKE(m->hsm.ca);
	if (!m->ca && (tr_privkey_generate(TR_KEY_ED25519, &m->ca, err) || create_key(m, "keys/ca.key", m->ca, err)))
		return err->code;
	(void)snprintf(spiffe, sizeof(spiffe), "spiffe://%s", m->in->trust_domain);
	spec.spiffe = spiffe;
	spec.spki = tr_pubkey_spki(tr_privkey_pub(m->ca));
	if (tr_cert_issue(m->ca, tr_view(NULL, 0), &spec, &m->ca_der, err))
		return err->code;
	return create_cert(m, "keys/ca.crt", tr_buf_view(&m->ca_der), err);
}

/* The key that signs commands is in the store, sealed under a key that only the nodes have. */
static TR_RC make_command_key(struct making *m, struct tr_err *err)
{
	uint8_t seal[TR_WRAP_KEY_LEN];
	enum tr_code rc;

	tr_random(seal, sizeof(seal));
	rc = create(m, TR_SEAL_KEY, TR_VIEW_ARRAY(seal), 0600, err);
	m->command = TR_TAKE(m->hsm.command);
	if (!rc && !m->command) {
		rc = tr_privkey_generate(TR_KEY_ED25519, &m->command, err);
		if (!rc)
			rc = tr_privkey_seal(seal, tr_view_str(tr_key_role_name(TR_ROLE_COMMAND)), m->command, &m->sealed, err);
	}
	tr_wipe(seal, sizeof(seal));
	return rc;
}

static TR_RC make_tls(struct making *m, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	uint8_t ticket[64];
	enum tr_code rc;

	if (tr_server_cert_issue(m->ca, tr_buf_view(&m->ca_der), m->in->hosts, m->now, &key, &der, err) ||
	    create_key(m, "tls/server.key", key, err) || create_cert(m, "tls/server.crt", tr_buf_view(&der), err))
		return err->code;
	tr_random(ticket, sizeof(ticket));
	rc = create(m, "tls/ticket.key", TR_VIEW_ARRAY(ticket), 0600, err);
	tr_wipe(ticket, sizeof(ticket));
	return rc;
}

static TR_RC make_keyset(struct making *m, struct tr_err *err)
{
	static struct tr_keyset ks;
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	const struct tr_privkey *const roots[] = { m->root };

	ks.trust_domain = tr_view_str(m->in->trust_domain);
	ks.epoch = 1;
	ks.issued_ms = m->now;
	ks.expires_ms = m->now + KEYSET_DAYS * DAY_MS;
	ks.threshold = 1;
	ks.n_roots = 1;
	ks.roots[0] = tr_pubkey_spki(tr_privkey_pub(m->root));
	ks.n_keys = 2;
	ks.keys[0] = (struct tr_keyset_key){ .role = TR_ROLE_CA, .key = tr_buf_view(&m->ca_der),
					     .not_before_ms = m->now, .not_after_ms = m->now + CA_DAYS * DAY_MS };
	ks.keys[1] = (struct tr_keyset_key){ .role = TR_ROLE_COMMAND,
					     .key = tr_pubkey_spki(tr_privkey_pub(m->command)), .not_before_ms = m->now };
	tr_keyset_root_fingerprint(&ks, m->pin);
	tr_hex_add(&hex, TR_VIEW_ARRAY(m->pin));
	tr_buf_adds(&hex, "\n");
	if (tr_keyset_payload(&ks, &payload, err) ||
	    tr_keyset_sign(tr_buf_view(&payload), roots, 1, &m->keyset, err) ||
	    create(m, "keyset.cose", tr_buf_view(&m->keyset), 0644, err))
		return err->code;
	return create(m, "root.pin", tr_buf_view(&hex), 0644, err);
}

static TR_RC open_store(const struct making *m, struct tr_store **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf location = TR_BUF_INIT;
	enum tr_code rc = TR_OK;

	if (m->in->store)
		rc = tr_store_location(m->in->store, m->in->store_password_file, &location, err);
	else
		tr_buf_addf(&location, "sqlite:%s/troth.db", m->in->dir);
	if (!rc)
		rc = tr_store_open(tr_buf_cstr(&location), TR_STORE_CREATE, ret, err);
	tr_wipe(location.p, location.n);
	return rc;
}

static bool note_row(void *arg, const void *row)
{
	(void)row;
	*(bool *)arg = true;
	return false;
}

/* A database may hold an installation though the folder is new. */
static TR_RC claim_database(const struct making *m, struct tr_err *err)
{
	tr_auto(tr_store_free) struct tr_store *s = NULL;
	bool taken = false;

	if (!m->in->store)
		return m->in->store_password_file
			       ? tr_err_set(err, TR_E_INVALID, "--store-password-file is for --store postgresql://…", "no --store")
			       : TR_OK;
	if (tr_store_location_check(m->in->store, err))
		return err->code;
	if (!tr_view_starts(tr_view_str(m->in->store), "postgresql://"))
		return tr_err_set(err, TR_E_INVALID,
				  "--store takes postgresql://USER@HOST/DATABASE; without it the store is a file in the folder",
				  "--store %s", m->in->store);
	if (open_store(m, &s, err) || tr_store_each(s, TR_T_OPERATOR, note_row, &taken, err))
		return err->code;
	if (taken)
		return tr_err_set(err, TR_E_CONFLICT,
				  "the database holds an installation, and one is never overwritten: give it a database of its own",
				  "there are operators in it");
	return TR_OK;
}

static TR_RC put_command_key(const struct making *m, struct tr_store *s, struct tr_err *err)
{
	const struct tr_pubkey *pub = tr_privkey_pub(m->command);
	const struct tr_skey_row row = {
		.id = tr_view(tr_pubkey_id(pub), 32), .role = TR_VIEW_LIT("command"), .state = TR_VIEW_LIT("primary"),
		.origin = m->sealed.n ? TR_VIEW_LIT("sealed") : TR_VIEW_LIT("pkcs11"), .version = 1, .name = TR_VIEW_LIT("command-1"),
		.key_type = tr_view_str(tr_pubkey_type_name(pub)), .spki = tr_pubkey_spki(pub),
		.sealed = tr_buf_view(&m->sealed), .created_at = m->now, .active_at = m->now, .primary_at = m->now,
		.created_by = TR_VIEW_LIT("trothd init"),
	};

	return tr_store_apply(s, TR_OP_PUT, TR_T_SKEY, &row, err);
}

static TR_RC make_store(struct making *m, struct tr_err *err)
{
	tr_auto(tr_store_free) struct tr_store *s = NULL;
	tr_auto(tr_buf_done) struct tr_buf token = TR_BUF_INIT;
	uint8_t hash[32];
	char id[9];
	struct tr_operator_row op;
	enum tr_code rc;

	tr_token_make_operator(&token, hash);
	tr_buf_adds(&token, "\n");
	(void)snprintf(id, sizeof(id), "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
	op = (struct tr_operator_row){ .id = tr_view_str(id), .name = TR_VIEW_LIT("admin"), .role = TR_VIEW_LIT("admin"),
				       .secret_hash = TR_VIEW_ARRAY(hash), .created_at = m->now };
	if (open_store(m, &s, err) || tr_store_begin(s, err) ||
	    tr_store_apply(s, TR_OP_PUT, TR_T_OPERATOR, &op, err) || put_command_key(m, s, err) || tr_store_commit(s, err))
		return err->code;
	rc = create(m, "admin.token", tr_buf_view(&token), 0600, err);
	tr_wipe(token.p, token.n);
	return rc;
}

static TR_RC make_config(struct making *m, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_addf(&b,
		    "# trothd configuration; every key is explained in docs/operations.md.\n"
		    "# Unknown keys are errors. What is set here cannot be changed through the API.\n"
		    "trust_domain: %s\n"
		    "listen:\n  agents: \"%s\"\n  operators: \"%s\"\n"
		    "# What `troth token create` tells agents, in order of preference.\n"
		    "urls:\n",
		    m->in->trust_domain, m->in->agents, m->in->operators);
	for (size_t i = 0; m->in->urls[i]; i++)
		tr_buf_addf(&b, "  - %s\n", m->in->urls[i]);
	if (m->in->store)
		tr_buf_addf(&b, "store: \"%s\"\n", m->in->store);
	if (m->in->store_password_file)
		tr_buf_addf(&b, "store_password_file: \"%s\"\n", m->in->store_password_file);
	if (m->in->pkcs11)
		tr_hsm_add_config(m->in->pkcs11, &b);
	tr_buf_adds(&b, "# attestation:\n#   mode: enforce        # off, audit, enforce\n#   accept: [native]     # native, original\n"
			"# clock:\n#   source: kernel       # or trusted: you vouch for this server's clock\n");
	return create(m, "trothd.yaml", tr_buf_view(&b), 0644, err);
}

/* As root: everything but the offline root key belongs to the uid that the roles will have. */
static TR_RC hand_over(const struct making *m, struct tr_err *err)
{
	static const char *const names[] = { "", "keys", "keys/ca.key", "keys/ca.crt", TR_SEAL_KEY, "tls", "tls/server.key",
					     "tls/server.crt", "tls/ticket.key", "keyset.cose", "root.pin", "troth.db",
					     "trothd.yaml" };
	unsigned uid, gid;
	char path[4096];

	if (!tr_sandbox_target_ids(&uid, &gid))
		return TR_OK;
	if (uid == 65534)
		(void)fprintf(stderr, "trothd: there is no user \"troth\", so the files are given to uid 65534 (nobody), as whom the\n"
				      "        roles will run; make the account first (systemd-sysusers) if a systemd unit shall run it\n");
	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
		path_of(m, names[i], path, sizeof(path));
		if ((m->in->store && strcmp(names[i], "troth.db") == 0) ||
		    (m->in->pkcs11 && m->in->pkcs11->ca && strcmp(names[i], "keys/ca.key") == 0))
			continue;
		if (chown(path, uid, gid))
			return tr_err_errno(err, "chown %s", path);
	}
	/* Side files that the database library leaves behind. */
	for (size_t i = 0; i < 3; i++) {
		static const char *const side[] = { "troth.db-wal", "troth.db-shm", "troth.db.lock" };

		path_of(m, side[i], path, sizeof(path));
		if (tr_file_exists(path) && chown(path, uid, gid))
			return tr_err_errno(err, "chown %s", path);
	}
	return TR_OK;
}

static void report(const struct making *m)
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;

	tr_hex_add(&hex, TR_VIEW_ARRAY(m->pin));
	(void)printf("A new installation of Troth is in %s\n\n"
		     "  root fingerprint  %s\n"
		     "  root key          %s/root/root.key   <- move it offline now; the server does not need it\n"
		     "  seal key          %s/keys/seal.key   <- back it up apart from the store: it opens the command key\n"
		     "  admin token       %s/admin.token     <- for: troth login\n"
		     "  configuration     %s/trothd.yaml\n\n"
		     "Start it:  trothd run --config %s/trothd.yaml\n",
		     m->in->dir, tr_buf_cstr(&hex), m->in->dir, m->in->dir, m->in->dir, m->in->dir, m->in->dir);
}

TR_RC tr_init(const struct tr_init *in, struct tr_err *err)
{
	struct making m = { .in = in, .now = tr_now_ms() };
	enum tr_code rc;

	if (!tr_trust_domain_ok(tr_view_str(in->trust_domain)))
		return tr_err_set(err, TR_E_INVALID, "a trust domain is lower-case letters, digits, dots and dashes",
				  "\"%s\"", in->trust_domain);
	if (in->pkcs11 && tr_hsm_open_new(in->pkcs11, &m.hsm, err))
		return err->code;
	/* The configuration is written last: where it stands, all the rest does. */
	if (claim_folder(in->dir, err) || claim_database(&m, err) || make_folders(&m, err) || make_root(&m, err) ||
	    make_ca(&m, err) || make_command_key(&m, err) || make_tls(&m, err) || make_keyset(&m, err) ||
	    make_store(&m, err) || make_config(&m, err) || hand_over(&m, err))
		rc = err->code;
	else
		rc = TR_OK;
	if (!rc)
		report(&m);
	m.root = tr_privkey_free(m.root);
	m.ca = tr_privkey_free(m.ca);
	m.command = tr_privkey_free(m.command);
	tr_hsm_done(&m.hsm);
	tr_buf_done(&m.sealed);
	tr_buf_done(&m.ca_der);
	tr_buf_done(&m.keyset);
	return rc;
}
