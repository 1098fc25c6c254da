/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process is: hardening and giving up root. */
#include "ipc/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define USER_NAME "troth"
#define NOBODY 65534u

static const char *const names[TR_PROC_N] = {
	[TR_PROC_FRONT] = "front",	 [TR_PROC_CORE] = "core", [TR_PROC_STORE] = "store",
	[TR_PROC_STORE_RO] = "store-ro", [TR_PROC_KEYS] = "keys", [TR_PROC_APPRAISE] = "appraise",
	[TR_PROC_EGRESS] = "egress",
};

const char *tr_proc_name(enum tr_proc r)
{
	return names[r];
}

bool tr_proc_from_name(const char *name, enum tr_proc *ret)
{
	for (unsigned i = 0; i < TR_PROC_N; i++)
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum tr_proc)i;
			return true;
		}
	return false;
}

TR_RC tr_sandbox_harden(struct tr_err *err)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return tr_err_errno(err, "set not dumpable");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return tr_err_errno(err, "set no new privileges");
	if (setrlimit(RLIMIT_CORE, &none))
		return tr_err_errno(err, "set core limit");
	return TR_OK;
}

static bool is_root(void)
{
	return getuid() == 0 || geteuid() == 0;
}

bool tr_sandbox_target_ids(unsigned *ret_uid, unsigned *ret_gid)
{
	const struct passwd *pw;

	if (!is_root())
		return false;
	pw = getpwnam(USER_NAME);
	/* A user of that name with root's numbers would make the drop a no-op. */
	if (pw && pw->pw_uid != 0 && pw->pw_gid != 0) {
		*ret_uid = pw->pw_uid;
		*ret_gid = pw->pw_gid;
	} else {
		*ret_uid = NOBODY;
		*ret_gid = NOBODY;
	}
	return true;
}

static bool any_cap(const struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3])
{
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (caps[i].effective || caps[i].permitted || caps[i].inheritable)
			return true;
	return false;
}

/* The two system calls are wrapped by no libc; libcap would be a dependency for these lines. */
static TR_RC drop_caps(struct tr_err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* older than 4.3 has none */
	if (syscall(SYS_capget, &head, caps))
		return tr_err_errno(err, "read capabilities");
	/* A service manager's own filter may refuse capset to a process that has nothing to drop. */
	if (!any_cap(caps))
		return TR_OK;
	memset(caps, 0, sizeof(caps));
	if (syscall(SYS_capset, &head, caps))
		return tr_err_errno(err, "drop capabilities");
	if (syscall(SYS_capget, &head, caps))
		return tr_err_errno(err, "read capabilities back");
	if (any_cap(caps))
		return tr_err_set(err, TR_E_INTERNAL, "capabilities are left after dropping them", "effective %x %x",
				  caps[0].effective, caps[1].effective);
	return TR_OK;
}

/* Needs CAP_SETPCAP, so before the uid changes. Best effort: NO_NEW_PRIVS closes the same door. */
static void drop_bounding_set(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static TR_RC become(uid_t uid, gid_t gid, struct tr_err *err)
{
	drop_bounding_set();
	if (setgroups(0, NULL) && getgroups(0, NULL) != 0)
		return tr_err_errno(err, "drop supplementary groups");
	if (setresgid(gid, gid, gid))
		return tr_err_errno(err, "become gid %u", gid);
	if (setresuid(uid, uid, uid))
		return tr_err_errno(err, "become uid %u", uid);
	return TR_OK;
}

/* Tried, not computed: whatever kept a way back would show here. */
static TR_RC verify_no_way_back(struct tr_err *err)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)
		return tr_err_set(err, TR_E_INTERNAL, "the process could become root again",
				  "regained an id");
	if (getresuid(&r, &e, &s) || getresgid(&rg, &eg, &sg))
		return tr_err_errno(err, "read ids back");
	if (r == 0 || e == 0 || s == 0 || rg == 0 || eg == 0 || sg == 0)
		return tr_err_set(err, TR_E_INTERNAL, "the process is still root",
				  "uids %u %u %u, gids %u %u %u", r, e, s, rg, eg, sg);
	return TR_OK;
}

TR_RC tr_sandbox_drop_root(struct tr_err *err)
{
	const pid_t parent = getppid();
	unsigned uid, gid;
	int death_signal = 0;
	enum tr_code rc;

	if (!tr_sandbox_target_ids(&uid, &gid))
		return drop_caps(err); /* a service manager may have lent us some */
	(void)prctl(PR_GET_PDEATHSIG, &death_signal, 0, 0, 0);
	rc = become(uid, gid, err);
	if (!rc)
		rc = drop_caps(err);
	if (!rc)
		rc = verify_no_way_back(err);
	if (rc)
		return rc;
	/* The kernel forgets it when ids change: without this a role would outlive its supervisor. */
	if (death_signal) {
		if (prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0))
			return tr_err_errno(err, "set the parent death signal again");
		if (getppid() != parent)
			(void)raise(death_signal);
	}
	return TR_OK;
}
