/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/quarantine.h"

#include "codec/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define FILE_NAME "quarantine.json"

bool tr_quarantine_is(const struct tr_state *s)
{
	struct stat st;

	return fstatat(s->dir_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

TR_RC tr_quarantine_set(const struct tr_state *s, const uint8_t cmd_id[TR_CMD_ID_LEN], int64_t now_ms,
			struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc;

	if (tr_quarantine_is(s))
		return TR_OK;
	tr_buf_adds(&b, "{\"since\":\"");
	tr_rfc3339_add(&b, now_ms);
	tr_buf_adds(&b, "\",\"command\":\"");
	tr_hex_add(&b, tr_view(cmd_id, TR_CMD_ID_LEN));
	tr_buf_adds(&b, "\"}\n");
	rc = tr_buf_check(&b, err);
	return rc ? rc : tr_state_write(s, FILE_NAME, tr_buf_view(&b), err);
}

TR_RC tr_quarantine_lift(const struct tr_state *s, struct tr_err *err)
{
	if (unlinkat(s->dir_fd, FILE_NAME, 0) && errno != ENOENT)
		return tr_err_errno(err, "remove %s/" FILE_NAME, s->dir);
	return fsync(s->dir_fd) ? tr_err_errno(err, "sync %s", s->dir) : TR_OK;
}
