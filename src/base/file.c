/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static TR_RC read_fd(int fd, const char *path, size_t max, struct tr_buf *ret, struct tr_err *err)
{
	size_t start = ret->n;

	for (;;) {
		uint8_t chunk[8192];
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EISDIR)
			return tr_err_set(err, TR_E_DENIED, "this is a folder; a file is needed", "%s is a directory", path);
		if (n < 0)
			return tr_err_errno(err, "read %s", path);
		if (n == 0)
			return tr_buf_check(ret, err);
		if (ret->n - start + (size_t)n > max)
			return tr_err_set(err, TR_E_INVALID, "the file is larger than it may be",
					  "%s is over %zu bytes", path, max);
		tr_buf_add(ret, chunk, (size_t)n);
	}
}

static TR_RC open_read(const char *path, int *ret_fd, struct tr_err *err)
{
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (*ret_fd >= 0)
		return TR_OK;
	if (errno == ENOENT || errno == ENOTDIR)
		return tr_err_set(err, TR_E_NOTFOUND, "no such file", "%s does not exist", path);
	if (errno == EACCES || errno == EPERM)
		return tr_err_set(err, TR_E_DENIED, "the file may not be read", "%s: permission denied", path);
	return tr_err_errno(err, "open %s", path);
}

TR_RC tr_file_read(const char *path, size_t max, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_close) int fd = -1;
	enum tr_code rc = open_read(path, &fd, err);

	return rc ? rc : read_fd(fd, path, max, ret, err);
}

TR_RC tr_file_read_secret(const char *path, size_t max, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_close) int fd = -1;
	struct stat st;
	enum tr_code rc = open_read(path, &fd, err);

	if (rc)
		return rc;
	if (fstat(fd, &st))
		return tr_err_errno(err, "stat %s", path);
	if (st.st_mode & 077)
		return tr_err_set(err, TR_E_DENIED, "the key file is readable by others; chmod 0600 it",
				  "%s has mode %04o, wanted 0600", path, (unsigned)(st.st_mode & 07777));
	return read_fd(fd, path, max, ret, err);
}

static TR_RC write_all(int fd, const char *path, struct tr_view v, struct tr_err *err)
{
	size_t at = 0;

	while (at < v.n) {
		ssize_t n = write(fd, v.p + at, v.n - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tr_err_errno(err, "write %s", path);
		at += (size_t)n;
	}
	if (fsync(fd))
		return tr_err_errno(err, "fsync %s", path);
	return TR_OK;
}

static TR_RC sync_folder_of(const char *path, struct tr_err *err)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');
	tr_auto(tr_close) int fd = -1;

	if (!slash)
		(void)snprintf(dir, sizeof(dir), ".");
	else
		(void)snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		return tr_err_errno(err, "sync folder %s", dir);
	return TR_OK;
}

TR_RC tr_file_create(const char *path, struct tr_view bytes, mode_t mode, struct tr_err *err)
{
	tr_auto(tr_close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	enum tr_code rc;

	if (fd < 0 && errno == EEXIST)
		return tr_err_set(err, TR_E_CONFLICT, "the file exists already and is never overwritten",
				  "%s exists", path);
	if (fd < 0)
		return tr_err_errno(err, "create %s", path);
	/* The mode is part of the promise; the caller's umask is not. */
	if (fchmod(fd, mode))
		return tr_err_errno(err, "chmod %s", path);
	rc = write_all(fd, path, bytes, err);
	if (rc) {
		(void)unlink(path);
		return rc;
	}
	return sync_folder_of(path, err);
}

TR_RC tr_file_write(const char *path, struct tr_view bytes, mode_t mode, struct tr_err *err)
{
	char tmp[4096];
	enum tr_code rc;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.tmp.%ld", path, (long)getpid()) >= sizeof(tmp))
		return tr_err_set(err, TR_E_INVALID, "the path is too long", "%s", path);
	(void)unlink(tmp);
	rc = tr_file_create(tmp, bytes, mode, err);
	if (rc)
		return rc;
	if (rename(tmp, path)) {
		rc = tr_err_errno(err, "rename %s", path);
		(void)unlink(tmp);
		return rc;
	}
	return sync_folder_of(path, err);
}

TR_RC tr_dir_make(const char *path, mode_t mode, struct tr_err *err)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return chmod(path, mode) ? tr_err_errno(err, "chmod %s", path) : TR_OK;
	if (errno != EEXIST)
		return tr_err_errno(err, "mkdir %s", path);
	if (lstat(path, &st))
		return tr_err_errno(err, "stat %s", path);
	if (!S_ISDIR(st.st_mode))
		return tr_err_set(err, TR_E_CONFLICT, "something else than a folder is in the way", "%s", path);
	if ((st.st_mode & 07777 & ~mode) != 0)
		return tr_err_set(err, TR_E_DENIED, "the folder is open to others; chmod it first",
				  "%s has mode %04o, wanted at most %04o", path, (unsigned)(st.st_mode & 07777),
				  (unsigned)mode);
	return TR_OK;
}

bool tr_file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}
