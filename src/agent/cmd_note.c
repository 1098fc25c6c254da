/* SPDX-License-Identifier: Apache-2.0 */
/* note: one line for people, in the agent's log and in notes.log. A file that people may rotate away is no
 * proof that a line was or was not written: an interrupted one is UNKNOWN. */
#include "agent/runner.h"

#include "base/log.h"
#include "codec/text.h"

#include <fcntl.h>

static bool append(const struct tr_state *s, struct tr_view line, struct tr_err *err)
{
	tr_auto(tr_close) int fd =
		openat(s->dir_fd, "notes.log",
		       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	ssize_t n = fd < 0 ? -1 : write(fd, line.p, line.n);

	if (n == (ssize_t)line.n && fsync(fd) == 0)
		return true;
	(void)!tr_err_errno(err, "write %s/notes.log", s->dir);
	return false;
}

static struct tr_cmd_end run(void *arg, const struct tr_job *job, const struct tr_order *o,
			     struct tr_buf *result)
{
	struct tr_runner *r = arg;
	tr_auto(tr_buf_done) struct tr_buf line = TR_BUF_INIT, id = TR_BUF_INIT;
	struct tr_err err = { 0 };

	(void)result;
	tr_hex_add(&id, TR_VIEW_ARRAY(job->cmd_id));
	tr_rfc3339_add(&line, tr_run_now_ms(r));
	tr_buf_addf(&line, " %s ", tr_buf_cstr(&id));
	tr_buf_addv(&line, o->text);
	tr_buf_add8(&line, '\n');
	tr_log(TR_LOG_INFO, "note", "command", tr_buf_cstr(&id), "text", tr_fmt_view(o->text), NULL);
	if (append(&r->state, tr_buf_view(&line), &err))
		return (struct tr_cmd_end){ TR_CS_DONE, NULL };
	tr_log_err(TR_LOG_ERROR, "note_not_written", &err, NULL);
	/* It is in the log, and a part of it may be in the file. */
	return (struct tr_cmd_end){ TR_CS_FAILED, "note_not_written" };
}

const struct tr_cmd_ops tr_cmd_note = { .cmd = TR_CMD_NOTE, .run = run };
