/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/sys.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

int tr_bpf_probe(void)
{
	union bpf_attr attr = { .pathname = 0 };

	/* No pathname: any kernel with bpf(2) refuses it, one way or another. */
	return bpf(BPF_OBJ_GET, &attr) < 0 && errno == ENOSYS ? -1 : 0;
}

int tr_bpf_obj_get(const char *path)
{
	union bpf_attr attr = { .pathname = (uintptr_t)path, .file_flags = BPF_F_RDONLY };
	int fd = bpf(BPF_OBJ_GET, &attr);

	/* Links have no read-only form. */
	if (fd < 0 && errno == EINVAL) {
		attr = (union bpf_attr){ .pathname = (uintptr_t)path };
		fd = bpf(BPF_OBJ_GET, &attr);
	}
	return fd;
}

static int info_into(int fd, void *info, uint32_t len)
{
	union bpf_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = len, .info = (uintptr_t)info } };

	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

int tr_bpf_info(int fd, void *info, uint32_t len)
{
	memset(info, 0, len);
	return info_into(fd, info, len);
}

int tr_bpf_prog_info(int fd, struct bpf_prog_info *info)
{
	return info_into(fd, info, sizeof(*info));
}

int tr_bpf_map_next(int fd, const void *key, void *next)
{
	union bpf_attr attr = { .map_fd = (uint32_t)fd, .key = (uintptr_t)key, .next_key = (uintptr_t)next };

	return bpf(BPF_MAP_GET_NEXT_KEY, &attr);
}

int tr_bpf_map_lookup(int fd, const void *key, void *value)
{
	union bpf_attr attr = { .map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value };

	return bpf(BPF_MAP_LOOKUP_ELEM, &attr);
}

int tr_bpf_map_batch(int fd, const void *in, void *out, void *keys, void *values, uint32_t *n)
{
	union bpf_attr attr = { .batch = { .in_batch = (uintptr_t)in, .out_batch = (uintptr_t)out,
					   .keys = (uintptr_t)keys, .values = (uintptr_t)values, .count = *n,
					   .map_fd = (uint32_t)fd } };
	int rc = bpf(BPF_MAP_LOOKUP_BATCH, &attr);

	*n = attr.batch.count;
	return rc;
}

enum tr_bpf_obj tr_bpf_kind_of(int fd)
{
	static const struct {
		const char *target;
		enum tr_bpf_obj kind;
	} kinds[] = {
		{ "anon_inode:bpf-prog", TR_BPF_OBJ_PROG },
		{ "anon_inode:bpf-map", TR_BPF_OBJ_MAP },
		{ "anon_inode:bpf_link", TR_BPF_OBJ_LINK },
		{ "anon_inode:bpf-link", TR_BPF_OBJ_LINK },
	};
	char path[40], target[40];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	for (size_t i = 0; n > 0 && i < TR_ARRAY_LEN(kinds); i++) {
		if (tr_view_is(tr_view(target, (size_t)n), kinds[i].target))
			return kinds[i].kind;
	}
	return TR_BPF_OBJ_NONE;
}

/* bpf_map_info does not say it; fdinfo does. */
bool tr_bpf_frozen(int map_fd)
{
	static const char key[] = "\nfrozen:\t";
	char path[48], text[1024];
	tr_auto(tr_close) int fd = -1;
	ssize_t n;
	const char *at;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = 0;
	at = strstr(text, key);
	return at && at[sizeof(key) - 1] == '1';
}

bool tr_bpf_allowed(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0, 0, 0 } };

	if (syscall(SYS_capget, &head, data) != 0)
		return false;
	return data[CAP_TO_INDEX(CAP_BPF)].effective & CAP_TO_MASK(CAP_BPF) ||
	       data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}
