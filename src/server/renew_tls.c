/* SPDX-License-Identifier: Apache-2.0 */
/* The server certificate, which the installation's own CA issues: at `trothd init`, and anew with `trothd renew-tls`. */
#include "server/init.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "codec/pem.h"
#include "crypto/x509.h"
#include "ipc/sandbox.h"
#include "server/config.h"
#include "server/hsm.h"

#define DAY_MS (86400LL * 1000)
#define TLS_DAYS 397

TR_RC tr_server_cert_issue(const struct tr_privkey *ca, struct tr_view ca_der, const char *const *hosts,
			   int64_t now, struct tr_privkey **ret_key, struct tr_buf *ret_der, struct tr_err *err)
{
	struct tr_cert_spec spec = { .common_name = "trothd", .dns = hosts, .not_before_ms = now - DAY_MS,
				     .not_after_ms = now + TLS_DAYS * DAY_MS, .server_auth = true };

	if (tr_privkey_generate(TR_KEY_P256, ret_key, err))
		return err->code;
	spec.spki = tr_pubkey_spki(tr_privkey_pub(*ret_key));
	return tr_cert_issue(ca, ca_der, &spec, ret_der, err);
}

static TR_RC replace(const struct tr_config *cfg, const char *name, struct tr_view bytes, mode_t mode, struct tr_err *err)
{
	char path[4096];
	unsigned uid, gid;

	tr_config_path(cfg, name, path, sizeof(path));
	if (tr_file_write(path, bytes, mode, err))
		return err->code;
	if (tr_sandbox_target_ids(&uid, &gid) && chown(path, uid, gid))
		return tr_err_errno(err, "chown %s", path);
	return TR_OK;
}

#define HOSTS_MAX 16

struct hosts {
	char text[HOSTS_MAX][256];
	const char *list[HOSTS_MAX + 1];
	size_t n;
};

static bool add_host(void *arg, const char *host)
{
	struct hosts *h = arg;

	if (h->n == HOSTS_MAX)
		return false;
	(void)snprintf(h->text[h->n], sizeof(h->text[0]), "%s", host);
	h->list[h->n] = h->text[h->n];
	h->n++;
	return true;
}

/* The names of the certificate that is in place. */
static TR_RC present_hosts(const struct tr_config *cfg, struct hosts *h, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_view label, rest;

	if (tr_config_read(cfg, cfg->tls->certificate, false, &pem, err) ||
	    tr_pem_get(tr_buf_view(&pem), &label, &der, &rest, err) ||
	    tr_cert_parse(tr_buf_view(&der), &cert, err) || tr_cert_each_host(cert, add_host, h, err))
		return tr_err_wrap(err, "names of the present certificate (give them with --host)");
	return TR_OK;
}

TR_RC tr_init_renew_tls(const char *config, const char *const *hosts, struct tr_err *err)
{
	tr_auto(tr_config_free) struct tr_config *cfg = NULL;
	tr_auto(tr_hsm_done) struct tr_hsm hsm = { 0 };
	tr_auto(tr_privkey_free) struct tr_privkey *ca = NULL;
	tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf ca_der = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view label, rest;
	struct hosts same = { .n = 0 };
	enum tr_code rc;

	if (tr_config_load(config, &cfg, err))
		return err->code;
	if (!hosts || !hosts[0]) {
		if (present_hosts(cfg, &same, err))
			return err->code;
		hosts = same.list;
	}
	if (tr_hsm_ca_key(cfg, &hsm, &ca, err) || tr_config_read(cfg, "keys/ca.crt", false, &pem, err) ||
	    tr_pem_get(tr_buf_view(&pem), &label, &ca_der, &rest, err) ||
	    tr_server_cert_issue(ca, tr_buf_view(&ca_der), hosts, tr_now_ms(), &key, &der, err))
		return err->code;
	tr_buf_clear(&pem);
	rc = tr_privkey_pem(key, &pem, err);
	if (!rc)
		rc = replace(cfg, cfg->tls->key, tr_buf_view(&pem), 0600, err);
	tr_wipe(pem.p, pem.n);
	if (rc)
		return rc;
	tr_buf_clear(&pem);
	tr_pem_add(&pem, "CERTIFICATE", tr_buf_view(&der));
	if (replace(cfg, cfg->tls->certificate, tr_buf_view(&pem), 0644, err))
		return err->code;
	(void)printf("A new server certificate, for %d days, for", TLS_DAYS);
	for (size_t i = 0; hosts[i]; i++)
		(void)printf("%s %s", i ? "," : "", hosts[i]);
	(void)printf("\nPut it to use:  systemctl reload trothd   (or kill -HUP)\n");
	return TR_OK;
}
