/* SPDX-License-Identifier: Apache-2.0 */
#include "server/hsm.h"

#include "base/file.h"
#include "base/secret.h"
#include "ipc/sandbox.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Without its line end; the caller wipes ret. Empty when no file is named. */
static TR_RC read_pin(const char *path, struct tr_buf *ret, struct tr_err *err)
{
	if (!path)
		return TR_OK;
	/* Room at once, so that growing leaves no copies behind. */
	if (tr_buf_space(ret, TR_P11_PIN_MAX + 8))
		tr_buf_clear(ret);
	if (tr_file_read_secret(path, TR_P11_PIN_MAX + 2, ret, err))
		return tr_err_wrap(err, "pkcs11.pin_file");
	while (ret->n && (ret->p[ret->n - 1] == '\n' || ret->p[ret->n - 1] == '\r'))
		ret->n--;
	if (ret->n == 0)
		return tr_err_set(err, TR_E_INVALID, "the PIN file is empty; write the token's PIN into it", "%s", path);
	return TR_OK;
}

static TR_RC set_environment(const struct tr_config_pkcs11 *p, struct tr_err *err)
{
	for (unsigned i = 0; i < p->environment_count; i++) {
		tr_auto(tr_buf_done) struct tr_buf name = TR_BUF_INIT;
		const char *is = strchr(p->environment[i], '=');

		tr_buf_add(&name, p->environment[i], (size_t)(is - p->environment[i]));
		if (tr_buf_check(&name, err))
			return err->code;
		if (setenv(tr_buf_cstr(&name), is + 1, 1))
			return tr_err_errno(err, "environment");
	}
	return TR_OK;
}

/* Landlock names folders that are there; what is missing would be missing from the sandbox. */
static TR_RC take_folders(const struct tr_config_pkcs11 *p, struct tr_hsm *h, struct tr_err *err)
{
	struct stat st;

	for (unsigned i = 0; i < p->folders_count && i < TR_HSM_FOLDERS_MAX; i++) {
		if (stat(p->folders[i], &st) || !S_ISDIR(st.st_mode) || access(p->folders[i], R_OK | X_OK))
			return tr_err_set(err, TR_E_NOTFOUND,
					  "a folder of pkcs11.folders is not there or not to be read by trothd's user; correct it",
					  "%s", p->folders[i]);
		h->folders[i] = p->folders[i];
	}
	return TR_OK;
}

void tr_hsm_done(struct tr_hsm *h)
{
	h->ca = tr_privkey_free(h->ca);
	h->command = tr_privkey_free(h->command);
	h->module = tr_p11_free(h->module);
}

/* Sets the environment that the library wants, loads it and finds the keys. The library runs as whoever calls. */
static TR_RC open_module(const struct tr_config_pkcs11 *p, struct tr_view pin, struct tr_hsm *ret, struct tr_err *err)
{
	struct tr_hsm h = { 0 };

	if (take_folders(p, &h, err) || set_environment(p, err) || tr_p11_open(p->module, pin, &h.module, err) ||
	    (p->ca && tr_p11_key(h.module, p->ca, &h.ca, err)) ||
	    (p->command && tr_p11_key(h.module, p->command, &h.command, err))) {
		tr_hsm_done(&h);
		return tr_err_wrap(err, "pkcs11");
	}
	*ret = h;
	return TR_OK;
}

TR_RC tr_hsm_open_configured(const struct tr_config *cfg, bool unprivileged, struct tr_hsm *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pin = TR_BUF_INIT;
	char path[4096];
	enum tr_code rc = TR_OK;

	if (!cfg->pkcs11)
		return TR_OK;
	if (cfg->pkcs11->pin_file)
		tr_config_path(cfg, cfg->pkcs11->pin_file, path, sizeof(path));
	rc = read_pin(cfg->pkcs11->pin_file ? path : NULL, &pin, err);
	if (!rc && unprivileged && (tr_sandbox_harden(err) || tr_sandbox_drop_root(err)))
		rc = err->code;
	if (!rc)
		rc = open_module(cfg->pkcs11, tr_buf_view(&pin), ret, err);
	tr_wipe(pin.p, pin.cap);
	return rc;
}

/* What goes between quotation marks into the file. */
static bool plain(const char *text)
{
	for (; text && *text; text++)
		if (*text == '"' || *text == '\\' || (unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

TR_RC tr_hsm_open_new(const struct tr_config_pkcs11 *p, struct tr_hsm *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pin = TR_BUF_INIT;
	bool ok = plain(p->module) && plain(p->pin_file) && plain(p->ca) && plain(p->command);
	enum tr_code rc;

	for (unsigned i = 0; i < p->folders_count; i++)
		ok &= plain(p->folders[i]);
	for (unsigned i = 0; i < p->environment_count; i++)
		ok &= plain(p->environment[i]);
	if (!ok)
		return tr_err_set(err, TR_E_INVALID, "a --pkcs11 option holds a quotation mark, a backslash or an unprintable character",
				  "--pkcs11");
	rc = tr_config_pkcs11_check(p, err);
	if (!rc)
		rc = read_pin(p->pin_file, &pin, err);
	if (!rc)
		rc = open_module(p, tr_buf_view(&pin), ret, err);
	tr_wipe(pin.p, pin.cap);
	return rc;
}

TR_RC tr_hsm_try(const struct tr_config *cfg, struct tr_err *err)
{
	struct tr_err told = { 0 };
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (!cfg->pkcs11)
		return TR_OK;
	if (pipe(fds))
		return tr_err_errno(err, "pipe");
	pid = fork();
	if (pid == 0) {
		struct tr_hsm h = { 0 };

		/* The same program: what its sentences are at, is there in the parent too. */
		if (tr_hsm_open_configured(cfg, true, &h, &told) || tr_sandbox_one_thread(&told))
			(void)!write(fds[1], &told, sizeof(told));
		tr_hsm_done(&h);
		_exit(told.code ? 1 : 0);
	}
	(void)close(fds[1]);
	do
		n = pid > 0 ? read(fds[0], &told, sizeof(told)) : 0;
	while (n < 0 && errno == EINTR);
	(void)close(fds[0]);
	if (pid < 0)
		return tr_err_errno(err, "fork");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n == (ssize_t)sizeof(told)) {
		*err = told;
		return err->code;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return TR_OK;
	return tr_err_set(err, TR_E_INVALID, "the token's library crashes; see that it is the right one for this system",
			  "%s, status %x", cfg->pkcs11->module, status);
}

TR_RC tr_hsm_ca_key(const struct tr_config *cfg, struct tr_hsm *h, struct tr_privkey **ret, struct tr_err *err)
{
	char path[4096];

	if (cfg->pkcs11 && cfg->pkcs11->ca) {
		if (!h->module && tr_hsm_open_configured(cfg, false, h, err))
			return err->code;
		*ret = TR_TAKE(h->ca);
		return TR_OK;
	}
	tr_config_path(cfg, "keys/ca.key", path, sizeof(path));
	return tr_privkey_load(path, ret, err);
}

void tr_hsm_add_config(const struct tr_config_pkcs11 *p, struct tr_buf *b)
{
	const struct {
		const char *name, *value;
	} texts[] = { { "module", p->module }, { "pin_file", p->pin_file }, { "ca", p->ca }, { "command", p->command } };

	tr_buf_adds(b, "pkcs11:\n");
	for (size_t i = 0; i < TR_ARRAY_LEN(texts); i++)
		if (texts[i].value)
			tr_buf_addf(b, "  %s: \"%s\"\n", texts[i].name, texts[i].value);
	if (p->folders_count)
		tr_buf_adds(b, "  folders:\n");
	for (unsigned i = 0; i < p->folders_count; i++)
		tr_buf_addf(b, "    - \"%s\"\n", p->folders[i]);
	if (p->environment_count)
		tr_buf_adds(b, "  environment:\n");
	for (unsigned i = 0; i < p->environment_count; i++)
		tr_buf_addf(b, "    - \"%s\"\n", p->environment[i]);
}
