/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's file: plain calls. What fails here fails as the kernel says it; journal.c decides what that
 * means. */
#include "agent/journal.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define PATH_LEN 4200

static void path_of(const struct tr_journal_file *f, const char *name, char path[PATH_LEN])
{
	(void)snprintf(path, PATH_LEN, "%s/%s", f->dir, name);
}

static TR_RC reopen(struct tr_journal_file *f, struct tr_err *err)
{
	char path[PATH_LEN];

	path_of(f, TR_JOURNAL_FILE, path);
	f->fd = tr_close(f->fd);
	f->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	return f->fd < 0 ? tr_err_errno(err, "open %s", path) : TR_OK;
}

static TR_RC load(void *arg, struct tr_buf *ret, struct tr_err *err)
{
	struct tr_journal_file *f = arg;
	char path[PATH_LEN];
	struct stat st;
	enum tr_code rc;

	path_of(f, TR_JOURNAL_FILE, path);
	rc = tr_file_read(path, 2 * TR_JOURNAL_SIZE_MAX, ret, err);
	if (!rc)
		rc = reopen(f, err);
	if (!rc && (fstat(f->fd, &st) || st.st_uid != geteuid() || (st.st_mode & 077)))
		rc = tr_err_set(err, TR_E_DENIED,
				"the journal is not a file of this user alone; chmod 0600 it", "%s", path);
	return rc;
}

static TR_RC append(void *arg, uint64_t at, struct tr_view v, struct tr_err *err)
{
	const struct tr_journal_file *f = arg;

	while (v.n) {
		ssize_t n = pwrite(f->fd, v.p, v.n, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return tr_err_errno(err, "write %s/" TR_JOURNAL_FILE, f->dir);
		v = tr_view(v.p + n, v.n - (size_t)n);
		at += (uint64_t)n;
	}
	return TR_OK;
}

static TR_RC sync_data(void *arg, struct tr_err *err)
{
	const struct tr_journal_file *f = arg;

	return fdatasync(f->fd) ? tr_err_errno(err, "sync %s/" TR_JOURNAL_FILE, f->dir) : TR_OK;
}

static TR_RC cut(void *arg, uint64_t size, struct tr_err *err)
{
	const struct tr_journal_file *f = arg;

	if (ftruncate(f->fd, (off_t)size) || fdatasync(f->fd))
		return tr_err_errno(err, "cut %s/" TR_JOURNAL_FILE, f->dir);
	return TR_OK;
}

static TR_RC reserve(void *arg, uint64_t at, uint64_t n, struct tr_err *err)
{
	const struct tr_journal_file *f = arg;

	if (fallocate(f->fd, FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)n) == 0 || errno == EOPNOTSUPP ||
	    errno == ENOSYS)
		return TR_OK;
	return tr_err_errno(err, "reserve room in %s/" TR_JOURNAL_FILE, f->dir);
}

static TR_RC read_at(void *arg, uint64_t at, uint8_t *to, size_t n, struct tr_err *err)
{
	const struct tr_journal_file *f = arg;

	while (n) {
		ssize_t got = pread(f->fd, to, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return tr_err_errno(err, "read %s/" TR_JOURNAL_FILE, f->dir);
		if (got == 0)
			return tr_err_set(err, TR_E_INTERNAL, "the journal became shorter", "%s", f->dir);
		to += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return TR_OK;
}

static TR_RC rewrite(void *arg, struct tr_view all, struct tr_err *err)
{
	struct tr_journal_file *f = arg;
	char path[PATH_LEN];
	enum tr_code rc;

	path_of(f, TR_JOURNAL_FILE, path);
	rc = tr_file_write(path, all, 0600, err);
	return rc ? rc : reopen(f, err);
}

static TR_RC set_aside(void *arg, struct tr_err *err)
{
	const struct tr_journal_file *f = arg;
	char from[PATH_LEN], to[PATH_LEN];

	path_of(f, TR_JOURNAL_FILE, from);
	path_of(f, "journal.damaged", to);
	return rename(from, to) && errno != ENOENT ? tr_err_errno(err, "rename %s", from) : TR_OK;
}

void tr_journal_file_init(struct tr_journal_file *f, const char *dir, struct tr_journal_io *ret)
{
	f->fd = -1;
	(void)snprintf(f->dir, sizeof(f->dir), "%s", dir);
	*ret = (struct tr_journal_io){ .arg = f,
				       .load = load,
				       .append = append,
				       .sync = sync_data,
				       .cut = cut,
				       .reserve = reserve,
				       .read = read_at,
				       .rewrite = rewrite,
				       .set_aside = set_aside };
}

void tr_journal_file_done(struct tr_journal_file *f)
{
	f->fd = tr_close(f->fd);
}
