/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a role: re-executes this very program (/proc/self/exe, never a path) with `role <name> [args]`, passing
 * descriptors at fixed numbers from TR_FD_FIRST up and nothing else: no other descriptors, a minimal environment
 * (names given), SIGMASK and dispositions reset, PR_SET_PDEATHSIG SIGKILL, its own RLIMIT_CORE 0. Stderr stays for the
 * log, stdin and stdout are /dev/null; a session of its own, so that a terminal's Ctrl-C reaches the supervisor only. */
#ifndef TR_IPC_SPAWN_H
#define TR_IPC_SPAWN_H

#include "base/err.h"

#include <sys/types.h>

#define TR_FD_FIRST 3
#define TR_SPAWN_FDS_MAX 32

struct tr_spawn {
	const char *const *argv; /* argv[0] first, NULL-terminated */
	const int *fds;          /* become TR_FD_FIRST, TR_FD_FIRST+1, … */
	size_t n_fds;
	const char *const *keep_env; /* names copied from our environment, NULL-terminated; may be NULL */
};
TR_RC tr_spawn_self(const struct tr_spawn *s, pid_t *ret_pid, struct tr_err *err);
/* A pair of connected, close-on-exec, non-blocking stream sockets. */
TR_RC tr_socketpair(int ret[2], struct tr_err *err);

#endif
