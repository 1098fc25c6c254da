/* SPDX-License-Identifier: Apache-2.0 */
/* Two views of each folder: the path, and the directory that was opened at the start. Somebody who mounts over the path,
 * or moves the folder away, changes only the first. Everything is read through the second. */
#include "bpf/snapshot.h"

#include "base/file.h"
#include "bpf/map.h"
#include "bpf/norm.h"
#include "bpf/sys.h"
#include "codec/text.h"
#include "crypto/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

#define DIRS_MAX 16
#define CONTENT_MAX 32
#define DEPTH_MAX 8
#define ENTRIES_MAX 1024 /* looked at per snapshot, folders and links included */
#define PIN_MAX 128
#define PROG_MAPS_MAX 64 /* the kernel's own limit */
#define XLATED_MAX (8u << 20)

struct dir {
	char *path;
	int fd; /* O_PATH; -1: not there yet */
};

struct tr_bpf_eye {
	struct dir dirs[DIRS_MAX];
	size_t n_dirs;
	char *content[CONTENT_MAX];
	size_t n_content;
};

struct found {
	struct tr_bpf_item item; /* its views point below */
	char pin[PIN_MAX + 1], name[BPF_OBJ_NAME_LEN];
	uint8_t tag[BPF_TAG_SIZE], norm[32], content[32];
};

struct look {
	const struct tr_bpf_eye *eye;
	struct found *found; /* TR_BPF_ITEMS_MAX */
	size_t n, entries;
	struct tr_buf insns;
	char kernel[128];
	enum tr_bpf_norm norm; /* what is known before any program is seen */
	enum tr_bpf_status status;
	const char *why;
};

/* ---- what to look at ---- */

static bool path_ok(const char *path, bool absolute)
{
	size_t n = strlen(path);

	return n && n < PATH_MAX / 2 && (path[0] == '/') == absolute && path[n - 1] != '/' && !strstr(path, "//") &&
	       !strstr(path, "/../") && !strstr(path, "/./") && !(n >= 3 && strcmp(path + n - 3, "/..") == 0);
}

static bool is_within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]);
}

/* Cuts a comma-joined list; -1: malformed or too long. The texts are the caller's. */
static int cut(const char *list, bool absolute, char **ret, int max)
{
	int n = 0;

	while (list && *list) {
		size_t len = strcspn(list, ",");
		char *one = n < max ? strndup(list, len) : NULL;

		if (!one)
			return -1;
		ret[n++] = one;
		if (!path_ok(one, absolute) || (list[len] && !list[len + 1]))
			return -1;
		list += len + (list[len] == ',');
	}
	return n;
}

static void try_open(struct dir *d)
{
	struct statfs fs;

	errno = 0;
	d->fd = open(d->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->fd >= 0 && (fstatfs(d->fd, &fs) != 0 || (unsigned)fs.f_type != BPF_FS_MAGIC))
		d->fd = tr_close(d->fd);
}

TR_RC tr_bpf_eye_new(const char *dirs, const char *content, struct tr_bpf_eye **ret, struct tr_err *err)
{
	tr_auto(tr_bpf_eye_free) struct tr_bpf_eye *e = calloc(1, sizeof(*e));
	char *paths[DIRS_MAX] = { NULL };
	int n;

	if (!e)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "BPF snapshot");
	n = cut(dirs, true, paths, DIRS_MAX);
	for (size_t i = 0; i < DIRS_MAX; i++) {
		e->dirs[i] = (struct dir){ paths[i], -1 };
		e->n_dirs += paths[i] != NULL;
	}
	if (n < 0)
		return tr_err_set(err, TR_E_INVALID,
				  "name the BPF folders by absolute paths without .., joined by commas, at most 16", "%s", dirs);
	for (size_t i = 0; i < e->n_dirs; i++) {
		for (size_t k = 0; k < e->n_dirs; k++) {
			if (k != i && is_within(e->dirs[k].path, e->dirs[i].path))
				return tr_err_set(err, TR_E_INVALID, "a BPF folder lies within another one: name only the outer",
						  "%s", e->dirs[k].path);
		}
	}
	n = cut(content, false, e->content, CONTENT_MAX);
	e->n_content = n < 0 ? CONTENT_MAX : (size_t)n;
	if (n < 0)
		return tr_err_set(err, TR_E_INVALID,
				  "name the maps to watch by their pins below the bpffs mount, joined by commas, at most 32", "%s",
				  content);
	for (size_t i = 0; i < e->n_dirs; i++)
		try_open(&e->dirs[i]);
	*ret = TR_TAKE(e);
	return TR_OK;
}

struct tr_bpf_eye *tr_bpf_eye_free(struct tr_bpf_eye *e)
{
	if (!e)
		return NULL;
	for (size_t i = 0; i < DIRS_MAX; i++) {
		free(e->dirs[i].path);
		(void)tr_close(e->dirs[i].fd);
	}
	for (size_t i = 0; i < CONTENT_MAX; i++)
		free(e->content[i]);
	free(e);
	return NULL;
}

/* ---- the look ---- */

static bool stop(struct look *l, enum tr_bpf_status status, const char *why)
{
	l->status = status;
	l->why = why;
	return false;
}

static int read_number(const char *path)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err;

	if (tr_file_read(path, 16, &b, &err) || b.n < 1 || b.p[0] < '0' || b.p[0] > '9')
		return -1;
	return b.p[0] - '0';
}

static void look_at_kernel(struct look *l)
{
	int jit = read_number("/proc/sys/net/core/bpf_jit_enable");
	int harden = read_number("/proc/sys/net/core/bpf_jit_harden");
	struct utsname u;
	char numbers[2][4] = { "?", "?" };

	if (jit >= 0)
		(void)snprintf(numbers[0], sizeof(numbers[0]), "%d", jit);
	if (harden >= 0)
		(void)snprintf(numbers[1], sizeof(numbers[1]), "%d", harden);
	if (uname(&u) != 0)
		u = (struct utsname){ .release = "?", .machine = "?" };
	(void)snprintf(l->kernel, sizeof(l->kernel), "%.64s %.24s jit=%s harden=%s", u.release, u.machine, numbers[0],
		       numbers[1]);
	/* With 2 the constants of every program are blinded, anew at each load. Not known is no better: a hash that differs
	 * at each load would be a false alarm. */
	l->norm = harden == 0 || harden == 1 ? TR_BPF_NORM_OK : TR_BPF_NORM_HARDENED;
}

static void hash_insns(struct look *l, int fd, struct found *x, uint32_t xlated_len)
{
	uint32_t ids[PROG_MAPS_MAX];
	struct bpf_prog_info info = { .nr_map_ids = PROG_MAPS_MAX, .map_ids = (uintptr_t)ids };
	uint8_t *p;

	x->item.norm_status = TR_BPF_NORM_HIDDEN;
	if (!xlated_len || xlated_len > XLATED_MAX)
		return;
	tr_buf_clear(&l->insns);
	p = tr_buf_space(&l->insns, xlated_len);
	if (!p)
		return;
	info.xlated_prog_len = xlated_len;
	info.xlated_prog_insns = (uintptr_t)p;
	/* The kernel clears the pointer when it does not show the instructions. */
	if (tr_bpf_prog_info(fd, &info) != 0 || !info.xlated_prog_insns || info.xlated_prog_len != xlated_len)
		return;
	tr_bpf_normalise((struct bpf_insn *)p, xlated_len / sizeof(struct bpf_insn), ids,
			 info.nr_map_ids < PROG_MAPS_MAX ? info.nr_map_ids : PROG_MAPS_MAX);
	tr_sha256(tr_view(p, xlated_len), x->norm);
	x->item.norm = TR_VIEW_ARRAY(x->norm);
	x->item.norm_status = TR_BPF_NORM_OK;
}

static void take_name(struct found *x, const char *name)
{
	size_t n = strnlen(name, BPF_OBJ_NAME_LEN - 1);

	memcpy(x->name, name, n);
	x->item.name = tr_view(x->name, n);
}

static bool take_prog(struct look *l, int fd, struct found *x)
{
	struct bpf_prog_info info;

	if (tr_bpf_info(fd, &info, sizeof(info)) != 0)
		return stop(l, errno == EPERM ? TR_BPF_NO_RIGHTS : TR_BPF_FAILED, "the kernel does not describe a pinned program");
	x->item.kind = TR_BPF_PROG;
	x->item.type = info.type;
	x->item.id = info.id;
	x->item.loaded_ns = info.load_time;
	memcpy(x->tag, info.tag, sizeof(x->tag));
	x->item.tag = TR_VIEW_ARRAY(x->tag);
	take_name(x, info.name);
	x->item.norm_status = l->norm;
	if (l->norm == TR_BPF_NORM_OK)
		hash_insns(l, fd, x, info.xlated_prog_len);
	return true;
}

static bool content_counts(const struct tr_bpf_eye *e, const char *pin)
{
	for (size_t i = 0; i < e->n_content; i++) {
		if (strcmp(e->content[i], pin) == 0)
			return true;
	}
	return false;
}

static bool take_map(struct look *l, int fd, struct found *x)
{
	struct bpf_map_info info;
	struct tr_err err;

	if (tr_bpf_info(fd, &info, sizeof(info)) != 0)
		return stop(l, errno == EPERM ? TR_BPF_NO_RIGHTS : TR_BPF_FAILED, "the kernel does not describe a pinned map");
	x->item.kind = TR_BPF_MAP;
	x->item.type = info.type;
	x->item.id = info.id;
	x->item.frozen = tr_bpf_frozen(fd);
	x->item.norm_status = TR_BPF_NORM_NONE;
	take_name(x, info.name);
	if (!content_counts(l->eye, x->pin))
		return true;
	switch (tr_bpf_map_digest(fd, &info, x->content, &err)) {
	case TR_OK: x->item.content = TR_VIEW_ARRAY(x->content); return true;
	case TR_E_BUSY: return stop(l, TR_BPF_TOO_MANY, "a map whose content is to be compared has more than 65536 entries or 4 MiB");
	case TR_E_INVALID: return stop(l, TR_BPF_FAILED, "the content of a map of this kind cannot be compared: take it off the list");
	default: return stop(l, TR_BPF_FAILED, "the content of a map cannot be read");
	}
}

static uint64_t attach_of(const struct tr_link_info *i)
{
	switch (i->type) {
	case BPF_LINK_TYPE_XDP:
	case BPF_LINK_TYPE_NETNS:
	case TR_LINK_TCX:
	case TR_LINK_NETKIT:
	case TR_LINK_SOCKMAP: return i->at.word[0] ? TR_BPF_ATTACHED : TR_BPF_DETACHED;
	case BPF_LINK_TYPE_CGROUP: return i->at.cgroup_id ? TR_BPF_ATTACHED : TR_BPF_DETACHED;
	/* These cannot be detached: they are attached as long as they exist. */
	case BPF_LINK_TYPE_RAW_TRACEPOINT:
	case BPF_LINK_TYPE_TRACING:
	case BPF_LINK_TYPE_ITER:
	case BPF_LINK_TYPE_PERF_EVENT:
	case BPF_LINK_TYPE_KPROBE_MULTI:
	case TR_LINK_UPROBE_MULTI: return TR_BPF_ATTACHED;
	/* netfilter, struct_ops and what comes: the kernel does not say. */
	default: return TR_BPF_ATTACH_UNKNOWN;
	}
}

static bool take_link(struct look *l, int fd, struct found *x)
{
	struct tr_link_info info;

	if (tr_bpf_info(fd, &info, sizeof(info)) != 0)
		return stop(l, errno == EPERM ? TR_BPF_NO_RIGHTS : TR_BPF_FAILED, "the kernel does not describe a pinned link");
	x->item.kind = TR_BPF_LINK;
	x->item.type = info.type;
	x->item.id = info.id;
	x->item.prog_id = info.prog_id;
	x->item.attach = attach_of(&info);
	x->item.norm_status = TR_BPF_NORM_NONE;
	return true;
}

/* dirfd: the folder that holds the pin, readable. */
static bool take(struct look *l, int dirfd, const char *name, const char *pin)
{
	tr_auto(tr_close) int fd = -1;
	char path[64 + NAME_MAX];
	struct found *x;

	/* bpf(2) takes a path only; this one begins at the directory that was opened, whatever is mounted over it now. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	fd = tr_bpf_obj_get(path);
	if (fd < 0 && errno == ENOENT)
		return true; /* gone since the folder was read */
	if (fd < 0)
		return stop(l, errno == EPERM || errno == EACCES ? TR_BPF_NO_RIGHTS : TR_BPF_FAILED, "a pinned object cannot be opened");
	if (l->n == TR_BPF_ITEMS_MAX)
		return stop(l, TR_BPF_TOO_MANY, "more than 128 objects are pinned in the watched folders");
	x = &l->found[l->n];
	*x = (struct found){ .item = { .kind = 0 } };
	(void)snprintf(x->pin, sizeof(x->pin), "%s", pin);
	x->item.pin = tr_view_str(x->pin);
	l->n++;
	switch (tr_bpf_kind_of(fd)) {
	case TR_BPF_OBJ_PROG: return take_prog(l, fd, x);
	case TR_BPF_OBJ_MAP: return take_map(l, fd, x);
	case TR_BPF_OBJ_LINK: return take_link(l, fd, x);
	default: return stop(l, TR_BPF_FAILED, "a pinned object is neither program, map nor link; is /proc mounted?");
	}
}

/* Where a thing is: another mount over it, be it of the same bpffs, has another number. */
struct place {
	uint64_t ino, mnt;
	uint32_t major, minor, links;
	uint16_t mode;
};

static bool place_of(int dirfd, const char *path, int flags, struct place *ret)
{
	struct statx s;

	if (statx(dirfd, path, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_MNT_ID, &s) != 0)
		return false;
	*ret = (struct place){ s.stx_ino, (s.stx_mask & STATX_MNT_ID) ? s.stx_mnt_id : 0, s.stx_dev_major, s.stx_dev_minor,
			       s.stx_nlink, s.stx_mode };
	return true;
}

static bool same_mount(const struct place *a, const struct place *b)
{
	return a->major == b->major && a->minor == b->minor && a->mnt == b->mnt;
}

static bool walk(struct look *l, int at, const char *name, const struct place *base, const char *prefix, unsigned depth);

static bool visit(struct look *l, int dirfd, const char *name, const struct place *base, const char *prefix, unsigned depth)
{
	char pin[PIN_MAX + 1];
	struct place p;

	if (++l->entries > ENTRIES_MAX)
		return stop(l, TR_BPF_TOO_MANY, "the watched BPF folders have more than 1024 entries");
	if (!place_of(dirfd, name, AT_SYMLINK_NOFOLLOW, &p))
		return errno == ENOENT || stop(l, TR_BPF_FAILED, "an entry of a watched BPF folder cannot be looked at");
	if (!same_mount(&p, base))
		return stop(l, TR_BPF_HIDDEN, "something is mounted over a pin or folder in a watched BPF folder");
	if ((size_t)snprintf(pin, sizeof(pin), "%s%s%s", prefix, *prefix ? "/" : "", name) >= sizeof(pin))
		return stop(l, TR_BPF_TOO_MANY, "the path of a pin is longer than 128 bytes");
	if (S_ISDIR(p.mode)) {
		if (depth == DEPTH_MAX)
			return stop(l, TR_BPF_TOO_MANY, "the watched BPF folders are nested deeper than 8");
		return walk(l, dirfd, name, base, pin, depth + 1);
	}
	/* A symbolic link is no pin; what it stands in the place of is missing. */
	return !S_ISREG(p.mode) || take(l, dirfd, name, pin);
}

static bool walk(struct look *l, int at, const char *name, const struct place *base, const char *prefix, unsigned depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool more = true;

	if (!d) {
		int e = errno;

		(void)tr_close(fd);
		return (depth && e == ENOENT) ||
		       stop(l, e == EACCES || e == EPERM ? TR_BPF_NO_RIGHTS : TR_BPF_FAILED, "a watched BPF folder cannot be read");
	}
	while (more) {
		const struct dirent *entry;

		errno = 0;
		entry = readdir(d);
		/* A folder read by half would show pins as missing. */
		if (!entry && errno)
			more = stop(l, TR_BPF_FAILED, "a watched BPF folder cannot be read to its end");
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			more = visit(l, dirfd(d), entry->d_name, base, prefix, depth);
	}
	(void)closedir(d);
	return more;
}

static bool on_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned)fs.f_type == BPF_FS_MAGIC;
}

/* The part of path below the mount of its bpffs: the first folder of path that is on one is the mount. */
static const char *below_mount(const char *path)
{
	char part[PATH_MAX];

	for (size_t i = 1; path[i - 1]; i++) {
		if (path[i] && path[i] != '/')
			continue;
		(void)snprintf(part, sizeof(part), "%.*s", (int)i, path);
		if (on_bpffs(part))
			return path[i] ? path + i + 1 : "";
	}
	return NULL;
}

/* The folder is not there: is at least the bpffs that it would be on? */
static bool absent(struct look *l, const struct dir *d)
{
	if (below_mount(d->path))
		return true;
	if (errno == EACCES)
		return stop(l, TR_BPF_NO_RIGHTS, "the path of a watched BPF folder may not be entered");
	return stop(l, TR_BPF_NO_BPFFS, "no bpffs is mounted where a watched folder should be");
}

static bool look_into(struct look *l, struct dir *d)
{
	static const char hidden[] = "the path of a watched BPF folder shows another folder than the one opened at the start";
	struct place opened, seen;
	const char *prefix;

	/* Deleted, not hidden: what is there now is the folder. */
	if (d->fd >= 0 && place_of(d->fd, "", AT_EMPTY_PATH, &opened) && opened.links == 0)
		d->fd = tr_close(d->fd);
	if (d->fd < 0)
		try_open(d);
	if (d->fd < 0)
		return errno == EACCES ? stop(l, TR_BPF_NO_RIGHTS, "the path of a watched BPF folder may not be entered") : absent(l, d);
	if (!place_of(d->fd, "", AT_EMPTY_PATH, &opened))
		return stop(l, TR_BPF_FAILED, "a watched BPF folder cannot be looked at");
	if (!place_of(AT_FDCWD, d->path, 0, &seen) || !same_mount(&opened, &seen) || opened.ino != seen.ino)
		return stop(l, TR_BPF_HIDDEN, hidden);
	prefix = below_mount(d->path);
	if (!prefix)
		return stop(l, TR_BPF_HIDDEN, hidden);
	return walk(l, d->fd, ".", &opened, prefix, 0);
}

/* A program is attached when a pinned link names it and is attached. */
static void attach_programs(struct look *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct tr_bpf_item *p = &l->found[i].item;

		for (size_t k = 0; p->kind == TR_BPF_PROG && k < l->n; k++) {
			const struct tr_bpf_item *link = &l->found[k].item;

			if (link->kind != TR_BPF_LINK || link->prog_id != p->id)
				continue;
			if (link->attach == TR_BPF_ATTACHED || p->attach == TR_BPF_ATTACH_UNKNOWN)
				p->attach = link->attach;
		}
	}
}

static int by_pin(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->pin, ((const struct found *)b)->pin);
}

static void write_list(struct look *l, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf items = TR_BUF_INIT;
	struct tr_err err;

	qsort(l->found, l->n, sizeof(*l->found), by_pin);
	for (size_t i = 0; i < l->n; i++) {
		struct found *x = &l->found[i];

		/* qsort moved what the views point at. */
		x->item.pin = tr_view_str(x->pin);
		x->item.name.p = (const uint8_t *)x->name;
		x->item.tag.p = x->tag;
		x->item.norm.p = x->norm;
		x->item.content.p = x->content;
		/* The kernel's name is its loader's text; the pin alone identifies. */
		if (!tr_utf8_ok(x->item.name))
			x->item.name = tr_view(NULL, 0);
		if (!tr_utf8_ok(x->item.pin)) {
			(void)stop(l, TR_BPF_FAILED, "the name of a pin is not UTF-8");
			return;
		}
		tr_records_add(&items, &tr_bpf_item_def, &x->item);
	}
	if (!tr_buf_ok(&items) ||
	    tr_bpf_list_put(&(struct tr_bpf_list){ tr_view_str(l->kernel), tr_buf_view(&items) }, ret, &err))
		(void)stop(l, TR_BPF_FAILED, "the BPF list cannot be written: is a pin in two watched folders?");
}

enum tr_bpf_status tr_bpf_look(struct tr_bpf_eye *e, struct tr_buf *ret_list, uint8_t ret_digest[32], const char **ret_why)
{
	struct look l = { .eye = e, .status = TR_BPF_OK };

	tr_buf_clear(ret_list);
	memset(ret_digest, 0, 32);
	*ret_why = NULL;
	if (!e->n_dirs) {
		(void)stop(&l, TR_BPF_OFF, "no BPF folder is configured");
	} else if (tr_bpf_probe() != 0) {
		(void)stop(&l, TR_BPF_NO_KERNEL, "this kernel has no bpf(2)");
	} else if (!tr_bpf_allowed()) {
		(void)stop(&l, TR_BPF_NO_RIGHTS, "the agent lacks CAP_BPF");
	} else {
		l.found = calloc(TR_BPF_ITEMS_MAX, sizeof(*l.found));
		if (!l.found)
			(void)stop(&l, TR_BPF_FAILED, "out of memory");
		look_at_kernel(&l);
	}
	for (size_t i = 0; l.status == TR_BPF_OK && i < e->n_dirs; i++)
		(void)look_into(&l, &e->dirs[i]);
	if (l.status == TR_BPF_OK) {
		attach_programs(&l);
		write_list(&l, ret_list);
	}
	if (l.status == TR_BPF_OK)
		tr_sha256(tr_buf_view(ret_list), ret_digest);
	else
		tr_buf_clear(ret_list);
	free(l.found);
	tr_buf_done(&l.insns);
	*ret_why = l.why;
	return l.status;
}
