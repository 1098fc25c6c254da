/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator asks before, or without, a start: is the configuration good, and are the roles confined? */
#include "server/hsm.h"
#include "server/supervisor.h"

#include "base/file.h"
#include "base/secret.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"
#include "http/server.h"
#include "server/keyring.h"
#include "server/notify.h"
#include "server/rate.h"
#include "server/role.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

/* The TLS library would only say that it does not start. */
static TR_RC check_tls(const struct tr_config *cfg, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
	struct tr_view label, rest;
	char path[4096];

	tr_config_path(cfg, cfg->tls->key, path, sizeof(path));
	if (tr_config_read(cfg, cfg->tls->certificate, false, &pem, err) ||
	    tr_pem_get(tr_buf_view(&pem), &label, &der, &rest, err) || tr_cert_parse(tr_buf_view(&der), &cert, err))
		return tr_err_wrap(err, "%s", cfg->tls->certificate);
	if (tr_privkey_load(path, &key, err))
		return err->code;
	if (!tr_cert_key(cert) || memcmp(tr_pubkey_id(tr_cert_key(cert)), tr_pubkey_id(tr_privkey_pub(key)), 32) != 0)
		return tr_err_set(err, TR_E_INVALID,
				  "the TLS certificate and the TLS key do not belong together; run trothd renew-tls",
				  "%s and %s", cfg->tls->certificate, cfg->tls->key);
	return TR_OK;
}

/* What core and keys would refuse to start with, before they are started. The rest of the chain is in the store. */
static TR_RC check_authority(const struct tr_config *cfg, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf keyset = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf pin = TR_BUF_INIT;
	static struct tr_keyset ks;
	struct tr_keyring ring = { .n = 0 };
	uint8_t print[32];
	char path[4096];
	enum tr_code rc;

	if (tr_config_read(cfg, "keyset.cose", false, &keyset, err) || tr_config_read(cfg, "root.pin", false, &pin, err))
		return err->code;
	if (pin.n < 64 || !tr_hex_get(tr_view(pin.p, 64), print, sizeof(print)))
		return tr_err_set(err, TR_E_INVALID, "root.pin must hold 64 hex digits", "root.pin");
	if (tr_keyset_verify_pinned(tr_buf_view(&keyset), print, 0, &ks, err))
		return tr_err_wrap(err, "keyset.cose");
	tr_config_path(cfg, TR_SEAL_KEY, path, sizeof(path));
	if (!tr_file_exists(path))
		return TR_OK; /* role keys makes it */
	rc = tr_keyring_open(&ring, cfg, err);
	tr_keyring_done(&ring);
	return rc;
}

/* That its password can be read; whether the database is there, its role will say. */
static TR_RC check_store(const struct tr_config *cfg, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf location = TR_BUF_INIT;
	enum tr_code rc = tr_config_store_location(cfg, &location, err);

	tr_wipe(location.p, location.n);
	return rc;
}

TR_RC tr_supervisor_check(const char *config, struct tr_err *err)
{
	tr_auto(tr_config_free) struct tr_config *cfg = NULL;
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	static const struct {
		const char *name;
		bool secret;
	} needed[] = { { "keys/ca.key", true },	  { "keys/ca.crt", false }, { "tls/ticket.key", true },
		       { "keyset.cose", false }, { "root.pin", false } };
	enum tr_code rc;

	if (tr_config_load(config, &cfg, err))
		return err->code;
	if (check_store(cfg, err))
		return err->code;
	for (size_t i = 0; i < TR_ARRAY_LEN(needed); i++) {
		tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;

		if (cfg->pkcs11 && cfg->pkcs11->ca && strcmp(needed[i].name, "keys/ca.key") == 0)
			continue; /* it is in the token */
		rc = tr_config_read(cfg, needed[i].name, needed[i].secret, &bytes, err);
		tr_wipe(bytes.p, bytes.n);
		if (rc)
			return tr_err_wrap(err, "state folder");
	}
	if (check_authority(cfg, err))
		return tr_err_wrap(err, "authority");
	if (check_tls(cfg, err))
		return tr_err_wrap(err, "tls");
	if (cfg->attestation->public_key_path) {
		if (tr_config_read(cfg, cfg->attestation->public_key_path, false, &pem, err) ||
		    tr_pubkey_from_pem(tr_buf_view(&pem), &key, err))
			return tr_err_wrap(err, "attestation.public_key_path");
	}
	if (tr_hsm_try(cfg, err))
		return err->code;
	return tr_notify_check(cfg, err);
}

/* ---- the self-test of the sandbox ---- */

TR_RC tr_supervisor_probe(const char *config, struct tr_err *err)
{
	bool all = true;

	for (unsigned p = 0; p < TR_PROC_N; p++) {
		const char *argv[] = { "trothd", "role-probe", tr_proc_name((enum tr_proc)p), "--config", config, NULL };
		int pair[2], fds[4] = { -1, -1, -1, -1 };
		unsigned port;
		struct tr_spawn sp = { .argv = argv, .fds = fds, .n_fds = 4, .keep_env = tr_role_env };
		pid_t pid;
		int status = 0;
		bool killed;

		if (tr_socketpair(pair, err) || tr_listen("127.0.0.1:0", &fds[1], &port, err) ||
		    tr_listen("127.0.0.1:0", &fds[2], &port, err) || tr_rate_create(&fds[3], err))
			return err->code;
		fds[0] = pair[1];
		if (tr_spawn_self(&sp, &pid, err))
			return err->code;
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
		all &= killed;
		(void)printf("%-9s %s\n", tr_proc_name((enum tr_proc)p),
			     killed ? "a forbidden system call kills it" : "NOT confined");
		(void)tr_close(pair[0]);
		for (int i = 0; i < 4; i++)
			(void)tr_close(fds[i]);
	}
	return all ? TR_OK : tr_err_set(err, TR_E_INTERNAL, "a role is not confined; see above", "sandbox self-test");
}
