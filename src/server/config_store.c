/* SPDX-License-Identifier: Apache-2.0 */
/* Where the store is. The password of a database stays out of the configuration, which everybody may read. */
#include "server/config.h"

#include "base/file.h"
#include "base/secret.h"

#define REMOTE "postgresql://"
#define PASSWORD_MAX 1024

bool tr_config_store_remote(const struct tr_config *c)
{
	return tr_view_starts(tr_view_str(c->store), REMOTE);
}

/* The role reads these again whenever it reconnects, and of all files it may then read only those of /etc. */
static TR_RC check_files(const char *store, struct tr_err *err)
{
	static const char *const names[] = { "sslrootcert=", "sslcert=", "sslkey=", "sslcrl=" };

	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
		const char *at = strstr(store, names[i]);
		struct tr_view v = tr_view_str(at ? at + strlen(names[i]) : "");

		if (v.n && !tr_view_starts(v, "/etc/") && !tr_view_starts(v, "%2Fetc%2F") && !tr_view_starts(v, "system"))
			return tr_err_set(err, TR_E_INVALID,
					  "certificates of the database belong below /etc, as in sslrootcert=/etc/troth/database-ca.pem: "
					  "the store may read nothing else",
					  "store: \"%s\"", store);
	}
	return TR_OK;
}

TR_RC tr_store_location_check(const char *store, struct tr_err *err)
{
	const char *user = store + strlen(REMOTE);
	size_t n;

	if (tr_view_starts(tr_view_str(store), "sqlite:"))
		return TR_OK;
	if (!tr_view_starts(tr_view_str(store), REMOTE))
		return tr_err_set(err, TR_E_INVALID, "store must be sqlite:<file> or postgresql://USER@HOST/DATABASE",
				  "store: \"%s\"", store);
	for (const char *p = store; *p; p++)
		if (*p <= ' ' || *p == '"' || *p == '\\')
			return tr_err_set(err, TR_E_INVALID, "in the store's location blanks and quotes are written as %20 and %22",
					  "store: character %d", (int)(p - store) + 1);
	/* Detail without the value: it would go to the log. */
	n = strcspn(user, "@/?#");
	if ((user[n] == '@' && memchr(user, ':', n)) || strstr(user, "?password=") || strstr(user, "&password="))
		return tr_err_set(err, TR_E_INVALID,
				  "a password does not belong into the store's location; put it into store_password_file",
				  "store: it holds a password");
	return check_files(store, err);
}

static void add_escaped(struct tr_buf *b, struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		tr_buf_addf(b, "%%%02x", v.p[i]);
}

static TR_RC add_password(const char *file, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	bool more = ret->n && memchr(ret->p, '?', ret->n);
	struct tr_view pw;

	if (tr_file_read_secret(file, PASSWORD_MAX, &bytes, err))
		return tr_err_wrap(err, "store_password_file");
	pw = tr_buf_view(&bytes);
	while (pw.n && (pw.p[pw.n - 1] == '\n' || pw.p[pw.n - 1] == '\r'))
		pw.n--;
	if (!pw.n)
		return tr_err_set(err, TR_E_INVALID, "store_password_file is empty; write the password into it",
				  "store_password_file: %s", file);
	tr_buf_adds(ret, more ? "&password=" : "?password=");
	add_escaped(ret, pw);
	tr_wipe(bytes.p, bytes.n);
	return TR_OK;
}

TR_RC tr_store_location(const char *store, const char *password_file, struct tr_buf *ret, struct tr_err *err)
{
	tr_buf_adds(ret, store);
	if (password_file && add_password(password_file, ret, err))
		return err->code;
	return tr_buf_check(ret, err);
}

TR_RC tr_config_store_location(const struct tr_config *c, struct tr_buf *ret, struct tr_err *err)
{
	char path[4096];

	if (tr_config_store_remote(c)) {
		if (c->store_password_file)
			tr_config_path(c, c->store_password_file, path, sizeof(path));
		return tr_store_location(c->store, c->store_password_file ? path : NULL, ret, err);
	}
	tr_config_path(c, c->store + strlen("sqlite:"), path, sizeof(path));
	tr_buf_addf(ret, "sqlite:%s", path);
	return tr_buf_check(ret, err);
}
