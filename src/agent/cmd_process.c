/* SPDX-License-Identifier: Apache-2.0 */
/* restart-agent and rotate-agent-key: effects that outlive the call, and that the agent can tell afterwards
 * by what it noted before: the process's start id, the device key's id. */
#include "agent/runner.h"

#include "base/file.h"
#include "base/log.h"
#include "codec/text.h"

#include <limits.h>
#include <sys/stat.h>

#define ARGS_MAX 64
#define GOES_ON ((struct tr_cmd_end){ TR_CS_STARTED, NULL })
#define DONE ((struct tr_cmd_end){ TR_CS_DONE, NULL })

/* ---- restart-agent ---- */

static void note_start(void *arg, struct tr_buf *ret)
{
	const struct tr_runner *r = arg;

	tr_buf_addv(ret, TR_VIEW_ARRAY(r->pulser.start_id));
}

static struct tr_cmd_end restart(void *arg, const struct tr_job *job, const struct tr_order *o,
				 struct tr_buf *result)
{
	struct tr_runner *r = arg;

	(void)job;
	(void)o;
	(void)result;
	r->restart = true; /* when the receipts are out */
	return GOES_ON;
}

static struct tr_cmd_end look_restart(void *arg, const struct tr_job *job, bool same, struct tr_buf *result)
{
	const struct tr_runner *r = arg;

	(void)same;
	if (!tr_view_eq(tr_view(job->note, job->note_n), TR_VIEW_ARRAY(r->pulser.start_id))) {
		tr_buf_addf(result, "{\"pid\":%ld}", (long)getpid());
		return DONE;
	}
	return r->restart ? GOES_ON : (struct tr_cmd_end){ TR_CS_FAILED, "exec_failed" };
}

/* The file that this image came from, where it is still that: a process is known by its name. */
static const char *program(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	struct stat own, there;

	if (n <= 0)
		return "/proc/self/exe";
	path[n] = 0;
	return stat("/proc/self/exe", &own) == 0 && stat(path, &there) == 0 && own.st_dev == there.st_dev &&
			       own.st_ino == there.st_ino
		       ? path
		       : "/proc/self/exe";
}

bool tr_run_may_restart(const struct tr_runner *r)
{
	return r->restart && !(r->in_touch && (r->rotate_asked || r->next.key));
}

void tr_run_restart(struct tr_runner *r)
{
	tr_auto(tr_buf_done) struct tr_buf args = TR_BUF_INIT;
	char *argv[ARGS_MAX + 1] = { NULL }, path[PATH_MAX];
	struct tr_err err = { 0 };
	size_t n = 0;

	/* The command line as it was given: main has changed its own copy. */
	if (tr_file_read("/proc/self/cmdline", 65536, &args, &err)) {
		tr_log_err(TR_LOG_ERROR, "not_restarted", &err, NULL);
		r->restart = false;
		return;
	}
	tr_buf_add8(&args, 0);
	for (char *at = (char *)args.p; at && at + 1 < (char *)args.p + args.n && n < ARGS_MAX; at += strlen(at) + 1)
		argv[n++] = at;
	tr_peer_child_stop(&r->peer);
	tr_run_save_status(r, "restarting");
	tr_log(TR_LOG_INFO, "agent_restarting", NULL);
	/* The lock goes with its descriptor, signals that are blocked wait for the next image. */
	(void)execv(program(path), argv);
	(void)!tr_err_errno(&err, "exec %s", path);
	tr_log_err(TR_LOG_ERROR, "not_restarted", &err, NULL);
	r->restart = false;
}

/* ---- rotate-agent-key ---- */

static void note_key(void *arg, struct tr_buf *ret)
{
	const struct tr_runner *r = arg;

	tr_buf_add(ret, tr_pubkey_id(tr_privkey_pub(r->state.key)), 32);
}

static struct tr_cmd_end rotate(void *arg, const struct tr_job *job, const struct tr_order *o,
				struct tr_buf *result)
{
	struct tr_runner *r = arg;

	(void)job;
	(void)o;
	(void)result;
	/* A rotation that is under way is as good. */
	r->rotate_asked = r->next.key == NULL;
	r->pulse_now = true;
	return GOES_ON;
}

static struct tr_cmd_end look_rotate(void *arg, const struct tr_job *job, bool same, struct tr_buf *result)
{
	const struct tr_runner *r = arg;
	struct tr_view id = tr_view(tr_pubkey_id(tr_privkey_pub(r->state.key)), 32);

	if (!tr_view_eq(tr_view(job->note, job->note_n), id)) {
		tr_buf_adds(result, "{\"key_id\":\"");
		tr_hex_add(result, id);
		tr_buf_adds(result, "\"}");
		return DONE;
	}
	if (r->next.key || (same && r->rotate_asked))
		return GOES_ON;
	return (struct tr_cmd_end){ TR_CS_FAILED, same ? "key_not_rotated" : "interrupted" };
}

const struct tr_cmd_ops tr_cmd_restart_agent = {
	.cmd = TR_CMD_RESTART_AGENT, .note = note_start, .run = restart, .look = look_restart
};
const struct tr_cmd_ops tr_cmd_rotate_key = {
	.cmd = TR_CMD_ROTATE_KEY, .note = note_key, .run = rotate, .look = look_rotate
};
