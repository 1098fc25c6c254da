/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/image.h"

#include "base/own.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define DELETED " (deleted)"

/* The kernel appends " (deleted)" to the link's text when the path no longer names the image; a file may also
 * really be called that, so the text is cut only when nothing of that name is our image. */
static TR_RC image_path(const struct stat *running, char path[PATH_MAX], struct tr_err *err)
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	size_t cut = sizeof(DELETED) - 1;
	struct stat st;

	if (n < 0)
		return tr_err_errno(err, "readlink /proc/self/exe");
	path[n] = 0;
	if ((size_t)n > cut && strcmp(path + n - cut, DELETED) == 0 &&
	    (stat(path, &st) || st.st_dev != running->st_dev || st.st_ino != running->st_ino))
		path[(size_t)n - cut] = 0;
	return TR_OK;
}

static TR_RC compare_disk(const struct stat *running, struct tr_image *im, struct tr_err *err)
{
	tr_auto(tr_close) int fd = open(im->disk_path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	uint64_t size;
	enum tr_code rc;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		im->disk_missing = im->disk_differs = true;
		return TR_OK;
	}
	if (st.st_dev == running->st_dev && st.st_ino == running->st_ino)
		return TR_OK;
	rc = tr_sha256_fd(fd, im->disk_hash, &size, err);
	if (rc)
		return tr_err_wrap(err, "hash %s", im->disk_path);
	im->disk_differs = memcmp(im->disk_hash, im->hash, sizeof(im->hash)) != 0;
	return TR_OK;
}

TR_RC tr_image_read(const char *disk_path, struct tr_image *ret, struct tr_err *err)
{
	tr_auto(tr_close) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat running;
	enum tr_code rc;

	memset(ret, 0, sizeof(*ret));
	if (fd < 0 || fstat(fd, &running))
		return tr_err_errno(err, "open /proc/self/exe (is /proc mounted?)");
	rc = tr_sha256_fd(fd, ret->hash, &ret->size, err);
	if (rc)
		return tr_err_wrap(err, "hash the running image");
	rc = image_path(&running, ret->path, err);
	if (rc)
		return rc;
	if ((size_t)snprintf(ret->disk_path, sizeof(ret->disk_path), "%s",
			     disk_path && *disk_path ? disk_path : ret->path) >= sizeof(ret->disk_path))
		return tr_err_set(err, TR_E_INVALID, "the path of the binary is too long",
				  "AGENT_BINARY_PATH");
	return compare_disk(&running, ret, err);
}
