/* SPDX-License-Identifier: Apache-2.0 */
/* What is running, against what lies on disk. The hash is of the image this process was started from, reached
 * through /proc/self/exe: the kernel keeps that file alive, so it is right after the path was replaced or
 * deleted, and nobody can write into it while it runs (ETXTBSY). */
#ifndef TR_AGENT_IMAGE_H
#define TR_AGENT_IMAGE_H

#include "crypto/hash.h"

#include <limits.h>

struct tr_image {
	uint8_t hash[TR_SHA256_LEN];
	uint64_t size;
	char path[PATH_MAX]; /* where the running image came from, without the kernel's " (deleted)" */

	/* The file on disk: disk_path as told, or the path above. */
	char disk_path[PATH_MAX];
	bool disk_differs;
	bool disk_missing;		  /* there is no readable file; disk_hash is all zero */
	uint8_t disk_hash[TR_SHA256_LEN]; /* set when disk_differs */
};

/* disk_path NULL or "": compare with the path the image was started from. */
TR_RC tr_image_read(const char *disk_path, struct tr_image *ret, struct tr_err *err);

#endif
