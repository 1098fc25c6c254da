/* SPDX-License-Identifier: Apache-2.0 */
/* Small files, read and written whole. Writes are atomic and durable: temporary file, fsync, rename, fsync
 * of the folder. Errors carry the path in the detail. */
#ifndef TR_BASE_FILE_H
#define TR_BASE_FILE_H

#include "base/buf.h"

#include <sys/types.h>

/* Appends the file's bytes to ret; TR_E_NOTFOUND, TR_E_INVALID when longer than max bytes. */
TR_RC tr_file_read(const char *path, size_t max, struct tr_buf *ret, struct tr_err *err);
/* The same for a file that holds a secret: also refuses (TR_E_DENIED) a file that group or others can read. */
TR_RC tr_file_read_secret(const char *path, size_t max, struct tr_buf *ret, struct tr_err *err);
/* Replaces the file atomically. */
TR_RC tr_file_write(const char *path, struct tr_view bytes, mode_t mode, struct tr_err *err);
/* Creates the file; TR_E_CONFLICT when it exists already: never overwrites. */
TR_RC tr_file_create(const char *path, struct tr_view bytes, mode_t mode, struct tr_err *err);
/* Creates a folder of that mode, or accepts an existing one that is ours and no more open than mode. */
TR_RC tr_dir_make(const char *path, mode_t mode, struct tr_err *err);
bool tr_file_exists(const char *path);

#endif
