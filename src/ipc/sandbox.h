/* SPDX-License-Identifier: Apache-2.0 */
/* What each role may ask the kernel, and as whom. Every step names the role it is for. Installed after warm-up; a
 * forbidden call kills the process (SECCOMP_RET_KILL_PROCESS), under sanitizers it answers EPERM and logs. */
#ifndef TR_IPC_SANDBOX_H
#define TR_IPC_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>

enum tr_proc { TR_PROC_FRONT, TR_PROC_CORE, TR_PROC_STORE, TR_PROC_STORE_RO, TR_PROC_KEYS, TR_PROC_APPRAISE,
	       TR_PROC_EGRESS, TR_PROC_N };
const char *tr_proc_name(enum tr_proc r); /* "front", "core", "store", "store-ro", "keys", "appraise", "egress" */
bool tr_proc_from_name(const char *name, enum tr_proc *ret);

/* PR_SET_DUMPABLE 0, NO_NEW_PRIVS, RLIMIT_CORE 0. */
TR_RC tr_sandbox_harden(struct tr_err *err);
/* When root: supplementary groups dropped, uid and gid of user "troth", else 65534; all capabilities gone. Not root:
 * nothing to do. Verified afterwards: a process that could get root back is an error. */
TR_RC tr_sandbox_drop_root(struct tr_err *err);
/* Who tr_sandbox_drop_root would become; for chown of the state folder. False when we are not root. */
bool tr_sandbox_target_ids(unsigned *ret_uid, unsigned *ret_gid);
/* Landlock, best effort by ABI: no file-system access except under `rw_dir` (NULL: none at all). Returns the ABI level
 * used, 0 when the kernel has none. */
int tr_sandbox_landlock(const char *rw_dir);
/* The same for the role that speaks outward: files that name resolution needs, for reading. Unix sockets are not files to
 * Landlock: they can be connected to. Where it returns 0, the role's filter refuses all opening of files instead: what
 * can send must not be able to read keys, and /etc/hosts is the price. */
int tr_sandbox_landlock_egress(void);
/* For keys with a token: what its library reads, locks and writes is below these folders (NULL-terminated), or, where this
 * returns 0, not to be opened at all: signing works then as far as the library needs no file. The filter that comes after is
 * keys' own and what a library does with files; still no network, no process, no memory that is executed. */
int tr_sandbox_landlock_token(const char *const *folders);
/* Its library started threads: neither Landlock nor the filter would hold them. */
TR_RC tr_sandbox_one_thread(struct tr_err *err);
bool tr_sandbox_has_token(void); /* tr_sandbox_landlock_token was called in this process */
bool tr_sandbox_fenced(void); /* one of the two returned more than 0 in this process */
bool tr_sandbox_can_fence(void); /* this kernel has Landlock */
/* Installs the role's allow list. */
TR_RC tr_sandbox_filter(enum tr_proc role, struct tr_err *err);
/* A call that the role's filter must kill; returns only when the filter failed to. For the self-test. */
void tr_sandbox_probe(enum tr_proc role);

#endif
