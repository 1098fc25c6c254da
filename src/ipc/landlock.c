/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock by its system calls; libc has no wrappers, and the header of an old distribution lacks the newer
 * rights. */
#include "ipc/sandbox.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#define CREATE_VERSION 1u
#define RULE_PATH_BENEATH 1

#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_REG (UINT64_C(1) << 8)
#define FS_REFER (UINT64_C(1) << 13)	 /* since ABI 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)	 /* since ABI 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* since ABI 5 */
#define FS_ABI_1 ((UINT64_C(1) << 13) - 1)

struct path_beneath {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

/* Every right that the kernel knows is handled, so that what is not granted below is denied. */
static uint64_t handled(int abi)
{
	uint64_t fs = FS_ABI_1;

	if (abi >= 2)
		fs |= FS_REFER;
	if (abi >= 3)
		fs |= FS_TRUNCATE;
	if (abi >= 5)
		fs |= FS_IOCTL_DEV;
	return fs;
}

/* Plain files in one folder: no folders, links, devices or execution. */
static uint64_t granted(int abi)
{
	return (FS_READ_FILE | FS_WRITE_FILE | FS_READ_DIR | FS_MAKE_REG | FS_REMOVE_FILE | FS_TRUNCATE) &
	       handled(abi);
}

static bool allow_dir(int ruleset, const char *dir, uint64_t rights)
{
	tr_auto(tr_close) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct path_beneath rule = { rights, fd };

	return fd >= 0 && syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0;
}

/* dirs that do not exist are skipped unless `all` is set. */
static int restrict_to(const char *const *dirs, uint64_t (*rights)(int abi), bool all)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, CREATE_VERSION);
	tr_auto(tr_close) int ruleset = -1;
	uint64_t fs;

	if (abi < 1)
		return 0;
	fs = handled((int)abi);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &fs, sizeof(fs), 0);
	if (ruleset < 0)
		return 0;
	for (; *dirs; dirs++)
		if (!allow_dir(ruleset, *dirs, rights((int)abi)) && all)
			return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, ruleset, 0))
		return 0;
	return (int)abi;
}

int tr_sandbox_landlock(const char *rw_dir)
{
	return restrict_to((const char *const[]){ rw_dir, NULL }, granted, true);
}

static uint64_t granted_to_read(int abi)
{
	return (FS_READ_FILE | FS_READ_DIR) & handled(abi);
}

/* What a process has once done to itself: the filter that comes after must know it. */
static bool fenced;

bool tr_sandbox_fenced(void)
{
	return fenced;
}

bool tr_sandbox_can_fence(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, CREATE_VERSION) >= 1;
}

int tr_sandbox_landlock_egress(void)
{
	/* Folders, because resolv.conf is replaced by a new file when the network changes; and where it points to. */
	static const char *const dirs[] = { "/etc", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager",
					    NULL };
	int abi = restrict_to(dirs, granted_to_read, false);

	fenced = abi > 0;
	return abi;
}

static bool has_token;

bool tr_sandbox_has_token(void)
{
	return has_token;
}

int tr_sandbox_landlock_token(const char *const *folders)
{
	int abi = restrict_to(folders, granted, true);

	has_token = true;
	fenced = abi > 0;
	return abi;
}

TR_RC tr_sandbox_one_thread(struct tr_err *err)
{
	struct stat st;

	if (stat("/proc/self/task", &st))
		return tr_err_errno(err, "count threads");
	/* A folder has two links and one for each folder in it. */
	if (st.st_nlink == 3)
		return TR_OK;
	return tr_err_set(err, TR_E_INVALID,
			  "the token's library starts threads of its own, which no sandbox would hold; use one that does not",
			  "%lu threads", (unsigned long)st.st_nlink - 2);
}
