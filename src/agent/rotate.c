/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rotate.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define NEXT_KEY "device.key.next"
#define NEXT_PUB "device.pub.next"

void tr_next_done(struct tr_next *n)
{
	n->key = tr_privkey_free(n->key);
	tr_buf_done(&n->cert_pem);
}

static bool has(const struct tr_state *s, const char *name)
{
	struct stat st;

	return fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Best effort: a file system that copies on write keeps the old blocks. */
static void wipe_fd(int fd)
{
	static const uint8_t zeros[4096];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return;
	for (off_t at = 0; at < st.st_size; at += (off_t)sizeof(zeros)) {
		off_t left = st.st_size - at;

		if (pwrite(fd, zeros, left < (off_t)sizeof(zeros) ? (size_t)left : sizeof(zeros), at) < 0)
			return;
	}
	(void)fsync(fd);
}

static void remove_secret(const struct tr_state *s, const char *name)
{
	tr_auto(tr_close) int fd = openat(s->dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	wipe_fd(fd);
	(void)unlinkat(s->dir_fd, name, 0);
}

static TR_RC load_key(const struct tr_state *s, const char *name, struct tr_privkey **ret, struct tr_err *err)
{
	char path[PATH_MAX];

	tr_state_path(s, name, path);
	return tr_privkey_load(path, ret, err);
}

static TR_RC move(const struct tr_state *s, const char *from, const char *to, struct tr_err *err)
{
	/* Gone already: an earlier run got this far. */
	if (renameat(s->dir_fd, from, s->dir_fd, to) && (errno != ENOENT || !has(s, to)))
		return tr_err_errno(err, "rename %s/%s", s->dir, from);
	return fsync(s->dir_fd) ? tr_err_errno(err, "sync %s", s->dir) : TR_OK;
}

/* The key that a reader of agent.json should find. */
static TR_RC write_conf(struct tr_state *s, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	struct tr_agent_conf c;
	enum tr_code rc = load_key(s, "device.key", &k, err);

	if (!rc)
		rc = tr_state_load_conf(s, err);
	if (rc)
		return rc;
	c = s->conf;
	c.key_id = tr_view(tr_pubkey_id(tr_privkey_pub(k)), 32);
	c.key_type = tr_view_str(tr_state_key_type_name(tr_pubkey_type(tr_privkey_pub(k))));
	c.key_since = tr_now_ms();
	return tr_state_save(s, &c, err);
}

TR_RC tr_rotate_step(struct tr_state *s, unsigned step, struct tr_err *err)
{
	switch (step) {
	case 0: return move(s, NEXT_KEY, "device.key", err);
	case 1: return move(s, TR_NEXT_CERT, "cert.pem", err);
	case 2: return write_conf(s, err);
	/* Last: while it is there, recovery knows that the steps before may be missing. */
	default: return move(s, NEXT_PUB, "device.pub", err);
	}
}

/* Is the key that stands in its place already the next one? */
static bool is_committed(const struct tr_state *s)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	tr_auto(tr_pubkey_free) struct tr_pubkey *pub = NULL;
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	struct tr_err err;

	return has(s, NEXT_PUB) && !tr_state_read(s, NEXT_PUB, 8192, &pem, &err) &&
	       !tr_pubkey_from_pem(tr_buf_view(&pem), &pub, &err) && !load_key(s, "device.key", &k, &err) &&
	       tr_view_eq(tr_pubkey_spki(pub), tr_pubkey_spki(tr_privkey_pub(k)));
}

TR_RC tr_rotate_recover(struct tr_state *s, struct tr_err *err)
{
	enum tr_code rc = TR_OK;

	if (is_committed(s)) {
		for (unsigned i = 1; i < TR_ROTATE_STEPS && !rc; i++)
			rc = tr_rotate_step(s, i, err);
		return rc ? tr_err_wrap(err, "finish the change of the device key") : TR_OK;
	}
	/* Only a whole pair can be of use. */
	if (!has(s, NEXT_KEY) || !has(s, NEXT_PUB) || !has(s, TR_NEXT_CERT))
		tr_rotate_drop(s, &(struct tr_next){ 0 });
	return TR_OK;
}

TR_RC tr_rotate_begin(struct tr_state *s, struct tr_next *ret, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	tr_auto(tr_buf_done) struct tr_buf pub = TR_BUF_INIT;
	struct tr_buf pem = TR_BUF_INIT;
	enum tr_code rc;

	tr_rotate_drop(s, ret);
	rc = tr_privkey_generate(tr_pubkey_type(tr_privkey_pub(s->key)), &k, err);
	if (!rc)
		rc = tr_privkey_pem(k, &pem, err);
	if (!rc) {
		tr_pubkey_pem(tr_privkey_pub(k), &pub);
		rc = tr_buf_check(&pub, err);
	}
	if (!rc)
		rc = tr_state_write(s, NEXT_PUB, tr_buf_view(&pub), err);
	if (!rc)
		rc = tr_state_write(s, NEXT_KEY, tr_buf_view(&pem), err);
	tr_wipe(pem.p, pem.cap);
	tr_buf_done(&pem);
	if (rc)
		return tr_err_wrap(err, "next device key");
	ret->key = TR_TAKE(k);
	return TR_OK;
}

TR_RC tr_rotate_load(const struct tr_state *s, struct tr_next *ret, struct tr_err *err)
{
	tr_auto(tr_next_done) struct tr_next n = { 0 };
	enum tr_code rc;

	if (!has(s, NEXT_KEY) || !has(s, TR_NEXT_CERT))
		return tr_err_set(err, TR_E_NOTFOUND, "no next key waits", "%s", s->dir);
	rc = load_key(s, NEXT_KEY, &n.key, err);
	if (!rc)
		rc = tr_state_read(s, TR_NEXT_CERT, 16384, &n.cert_pem, err);
	if (rc)
		return rc;
	*ret = n;
	n = (struct tr_next){ 0 };
	return TR_OK;
}

TR_RC tr_rotate_finish(struct tr_state *s, struct tr_next *n, struct tr_err *err)
{
	tr_auto(tr_close) int old = openat(s->dir_fd, "device.key", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	enum tr_code rc = TR_OK;

	for (unsigned i = 0; i < TR_ROTATE_STEPS && !rc; i++) {
		rc = tr_rotate_step(s, i, err);
		if (i == 0 && !rc)
			wipe_fd(old);
	}
	if (rc)
		return tr_err_wrap(err, "change the device key");
	(void)tr_privkey_free(s->key);
	s->key = TR_TAKE(n->key);
	tr_next_done(n);
	return TR_OK;
}

void tr_rotate_drop(const struct tr_state *s, struct tr_next *n)
{
	remove_secret(s, NEXT_KEY);
	(void)unlinkat(s->dir_fd, TR_NEXT_CERT, 0);
	(void)unlinkat(s->dir_fd, NEXT_PUB, 0);
	tr_next_done(n);
	*n = (struct tr_next){ 0 };
}
