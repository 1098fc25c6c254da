/* SPDX-License-Identifier: Apache-2.0 */
/* How the run loop keeps the role `peer`: a process of its own, whose crash takes no pulse with it. */
#include "agent/peer.h"

#include "agent/peer_conf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "ipc/spawn.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define STOP_MS 2000
#define NAP_US 20000
#define REST_MAX_MS 60000

static void start(struct tr_peer_child *c, const struct tr_state *s)
{
	const char *const argv[] = { "troth-agent", "peer", "--state", s->dir, NULL };
	const char *const env[] = { "TEE_PLATFORM", "PATH", NULL };
	const struct tr_spawn spawn = { .argv = argv, .keep_env = env };
	struct tr_err err = { 0 };

	if (tr_spawn_self(&spawn, &c->pid, &err)) {
		tr_log_err(TR_LOG_ERROR, "peer_not_started", &err, NULL);
		c->pid = 0;
	} else {
		tr_log(TR_LOG_INFO, "peer_spawned", "pid", tr_fmt("%ld", (long)c->pid), NULL);
	}
}

void tr_peer_child_tend(struct tr_peer_child *c, const struct tr_state *s)
{
	uint64_t now = tr_mono_ms();
	char path[PATH_MAX];
	int status;

	if (c->pid && waitpid(c->pid, &status, WNOHANG) == c->pid) {
		tr_log(TR_LOG_ERROR, "peer_ended", "status", tr_fmt("%d", status), NULL);
		c->pid = 0;
		c->not_before_ms = now + (c->failures < 6 ? 1000ull << c->failures : REST_MAX_MS);
		c->failures++;
	}
	tr_state_path(s, TR_PEER_CONF_FILE, path);
	if (!tr_file_exists(path)) {
		/* The operator took it away. */
		tr_peer_child_stop(c);
		c->failures = 0;
		return;
	}
	if (!c->pid && now >= c->not_before_ms)
		start(c, s);
}

void tr_peer_child_stop(struct tr_peer_child *c)
{
	uint64_t until = tr_mono_ms() + STOP_MS;

	if (!c->pid)
		return;
	(void)kill(c->pid, SIGTERM);
	while (waitpid(c->pid, NULL, WNOHANG) == 0) {
		if (tr_mono_ms() >= until)
			(void)kill(c->pid, SIGKILL);
		(void)usleep(NAP_US);
	}
	c->pid = 0;
}
