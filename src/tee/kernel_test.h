/* SPDX-License-Identifier: Apache-2.0 */
/* A double of the kernel's interfaces behind tr_tee_ops: configfs-tsm with its semantics (binary attributes are committed by
 * close, generation counts every write, whoever writes), the SEV and the TDX device. */
#ifndef TR_TEE_KERNEL_TEST_H
#define TR_TEE_KERNEL_TEST_H

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "evidence/sim.h"
#include "tee/tee_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define FAKE_ROOT "/fake/report"
#define FAKE_FDS 8

struct fake_file {
	char name[40];
	bool used, to_write;
	struct tr_buf bytes;
	size_t at;
	int error; /* of the next read */
};

struct fake {
	struct tr_sim *sim;
	const char *provider;   /* NULL: not mounted */
	int mkdir_error;        /* once */
	unsigned made, removed;
	char entry[300];
	uint64_t generation;
	struct tr_buf in;
	unsigned floor, level;
	const char *out_errors; /* one letter per read of outblob: B busy, I interrupted, T timed out, W would block,
				 * X no such device, . good */
	unsigned meddlers;      /* so many times somebody else writes before outblob is read */
	unsigned late_meddlers; /* the same, after it */
	bool swallow_write;     /* the commit of inblob does not count */
	bool stale;             /* outblob answers an old question */
	size_t cut;             /* outblob ends so many bytes early */
	size_t piece;           /* at most so many bytes per read; 0: all */
	struct tr_buf aux;
	bool no_aux;
	struct tr_buf log;
	unsigned slept_ms, sleeps;
	struct fake_file files[FAKE_FDS];
	/* devices */
	bool has_sev, has_tdx;
	const char *sev; /* one letter per ioctl: . good, B throttled by the host, S certificates too small, E old errno only,
			  * F firmware error, Z a status, L another length */
	unsigned sev_calls, ext_calls;
	uint32_t sev_vmpl;
	bool tdx_other;
};

static inline void fake_report(struct fake *f, struct tr_view report_data, struct tr_buf *ret)
{
	uint8_t *b;
	struct tr_sim_spec spec;
	struct tr_err err;

	if (f->provider && !strcmp(f->provider, "tdx_guest\n")) {
		tr_sim_spec(TR_TEE_TDX, &spec);
		memcpy(spec.report_data, report_data.p, 64);
		assert_int_equal(tr_sim_quote(f->sim, &spec, ret, &err), TR_OK);
		return;
	}
	b = tr_buf_space(ret, TR_SNP_REPORT_LEN);
	assert_non_null(b);
	memset(b, 0, TR_SNP_REPORT_LEN);
	b[0] = 3;
	b[0x0a] = 3;
	b[0x34] = 1;
	b[0x30] = (uint8_t)f->level;
	memcpy(b + 0x50, report_data.p, 64);
}

static inline int fake_fail(int error)
{
	errno = error;
	return -1;
}

static inline int fake_out(struct fake *f, struct fake_file *file)
{
	static const uint8_t old[64] = { 9 };
	char c = f->out_errors && *f->out_errors ? *f->out_errors++ : '.';

	if (f->meddlers) {
		f->meddlers--;
		f->generation++;
	}
	file->error = c == 'B' ? EBUSY : c == 'I' ? EINTR : c == 'T' ? ETIMEDOUT : c == 'W' ? EWOULDBLOCK : c == 'X' ? ENXIO : 0;
	if (!file->error && f->in.n != 64)
		file->error = EINVAL;
	if (file->error)
		return 0;
	fake_report(f, f->stale ? TR_VIEW_ARRAY(old) : tr_buf_view(&f->in), &file->bytes);
	file->bytes.n -= f->cut;
	if (f->late_meddlers) {
		f->late_meddlers--;
		f->generation++;
	}
	return 0;
}

static inline int fake_open(void *arg, const char *path, int flags)
{
	struct fake *f = arg;
	const char *slash = strrchr(path, '/');
	struct fake_file *file = NULL;
	int fd = 0;

	for (; fd < FAKE_FDS && !file; fd++)
		if (!f->files[fd].used)
			file = &f->files[fd];
	assert_non_null(file);
	*file = (struct fake_file){ .to_write = (flags & O_ACCMODE) != O_RDONLY };
	(void)snprintf(file->name, sizeof(file->name), "%.39s", slash + 1);
	if (!strcmp(path, "/fake/ccel")) {
		if (!f->log.n)
			return fake_fail(ENOENT);
		tr_buf_addv(&file->bytes, tr_buf_view(&f->log));
	} else if (!strcmp(path, "/fake/sev")) {
		if (!f->has_sev)
			return fake_fail(EACCES);
	} else if (!strcmp(path, "/fake/tdx")) {
		if (!f->has_tdx)
			return fake_fail(ENOENT);
	} else if (strncmp(path, f->entry, strlen(f->entry)) != 0 || !f->entry[0]) {
		return fake_fail(ENOENT);
	} else if (!strcmp(slash, "/outblob")) {
		(void)fake_out(f, file);
	} else if (!strcmp(slash, "/auxblob")) {
		if (f->no_aux)
			return fake_fail(ENOENT);
		tr_buf_addv(&file->bytes, tr_buf_view(&f->aux));
	} else if (!strcmp(slash, "/provider")) {
		tr_buf_adds(&file->bytes, f->provider);
	} else if (!strcmp(slash, "/generation")) {
		tr_buf_addf(&file->bytes, "%llu\n", (unsigned long long)f->generation);
	} else if (!strcmp(slash, "/privlevel_floor")) {
		tr_buf_addf(&file->bytes, "%u\n", f->floor);
	} else if (strcmp(slash, "/inblob") != 0 && strcmp(slash, "/privlevel") != 0) {
		return fake_fail(ENOENT);
	}
	file->used = true;
	return fd - 1 + 100;
}

static inline struct fake_file *fake_fd(struct fake *f, int fd)
{
	assert_true(fd >= 100 && fd < 100 + FAKE_FDS && f->files[fd - 100].used);
	return &f->files[fd - 100];
}

static inline ssize_t fake_read(void *arg, int fd, void *to, size_t n)
{
	struct fake *f = arg;
	struct fake_file *file = fake_fd(f, fd);
	size_t left = file->bytes.n - file->at;

	if (file->error)
		return fake_fail(file->error);
	n = n < left ? n : left;
	n = f->piece && n > f->piece ? f->piece : n;
	if (n)
		memcpy(to, file->bytes.p + file->at, n);
	file->at += n;
	return (ssize_t)n;
}

static inline ssize_t fake_write(void *arg, int fd, const void *from, size_t n)
{
	struct fake_file *file = fake_fd(arg, fd);

	assert_true(file->to_write);
	tr_buf_add(&file->bytes, from, n);
	return (ssize_t)n;
}

static inline int fake_close(void *arg, int fd)
{
	struct fake *f = arg;
	struct fake_file *file = fake_fd(f, fd);

	if (file->to_write && !strcmp(file->name, "inblob") && !f->swallow_write) {
		tr_buf_clear(&f->in);
		tr_buf_addv(&f->in, tr_buf_view(&file->bytes));
		f->generation++;
	}
	if (file->to_write && !strcmp(file->name, "privlevel")) {
		f->level = (unsigned)(file->bytes.p[0] - '0');
		f->generation++;
	}
	tr_buf_done(&file->bytes);
	file->used = false;
	return 0;
}

static inline int fake_mkdir(void *arg, const char *path, mode_t mode)
{
	struct fake *f = arg;
	int error = f->mkdir_error;

	assert_int_equal(mode, 0700);
	f->mkdir_error = 0;
	if (!f->provider)
		return fake_fail(ENOENT);
	if (error)
		return fake_fail(error);
	assert_true(!strncmp(path, FAKE_ROOT "/troth-", strlen(FAKE_ROOT "/troth-")));
	(void)snprintf(f->entry, sizeof(f->entry), "%s", path);
	f->made++;
	return 0;
}

static inline int fake_rmdir(void *arg, const char *path)
{
	struct fake *f = arg;

	assert_string_equal(path, f->entry);
	f->entry[0] = '\0';
	f->removed++;
	return 0;
}

static inline int fake_access(void *arg, const char *path)
{
	struct fake *f = arg;

	if ((!strcmp(path, FAKE_ROOT) && f->provider) || (!strcmp(path, "/fake/sev") && f->has_sev) ||
	    (!strcmp(path, "/fake/tdx") && f->has_tdx))
		return 0;
	return fake_fail(ENOENT);
}

static inline uint64_t fake_le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

static inline void fake_sev_answer(struct fake *f, bool extended, const uint8_t *req, uint8_t *resp, char c)
{
	tr_auto(tr_buf_done) struct tr_buf report = TR_BUF_INIT;

	f->level = (unsigned)fake_le(req + 64, 4);
	f->sev_vmpl = f->level;
	fake_report(f, tr_view(req, 64), &report);
	resp[0] = c == 'Z' ? 0x16 : 0;
	resp[4] = c == 'L' ? 0x9f : 0xa0;
	resp[5] = 0x04;
	memcpy(resp + 32, report.p, report.n);
	if (extended && f->aux.n)
		memcpy((void *)(uintptr_t)fake_le(req + 96, 8), f->aux.p, f->aux.n);
}

/* The structures by their offsets: an own reading of the kernel's header. */
static inline int fake_sev_ioctl(struct fake *f, unsigned long request, uint8_t *p)
{
	char c = f->sev && *f->sev ? *f->sev++ : '.';
	bool extended = request == 0xc0205302;
	const uint8_t *req;

	assert_true(request == 0xc0205300 || extended);
	assert_int_equal(p[0], 1);
	f->sev_calls++;
	f->ext_calls += extended;
	req = (const uint8_t *)(uintptr_t)fake_le(p + 8, 8);
	if (extended) {
		assert_true(fake_le(req + 96, 8) % 4096 == 0);
		assert_int_equal(fake_le(req + 104, 4), 16384);
	}
	if (c == 'E')
		return fake_fail(EAGAIN);
	if (c == 'B' || c == 'S' || c == 'F') {
		p[24] = c == 'F' ? 0x13 : 0;
		p[28] = c == 'B' ? 2 : c == 'S' ? 1 : 0;
		return fake_fail(c == 'S' ? ENOSPC : EIO);
	}
	fake_sev_answer(f, extended, req, (uint8_t *)(uintptr_t)fake_le(p + 16, 8), c);
	return 0;
}

static inline int fake_ioctl(void *arg, int fd, unsigned long request, void *p)
{
	struct fake *f = arg;
	uint8_t *b = p;

	if (!strcmp(fake_fd(f, fd)->name, "sev"))
		return fake_sev_ioctl(f, request, p);
	assert_true(request == 0xc4405401);
	memset(b + 64, 0, 1024);
	b[64] = 0x81;
	memcpy(b + 64 + 128, b, 64);
	if (f->tdx_other)
		b[64 + 128] ^= 1;
	memset(b + 64 + 512 + 16, 0xaa, 48);
	for (unsigned i = 0; i < 4; i++)
		memset(b + 64 + 512 + 208 + 48 * i, (int)(0xb0 + i), 48);
	return 0;
}

static inline void fake_sleep(void *arg, unsigned ms)
{
	struct fake *f = arg;

	f->slept_ms += ms;
	f->sleeps++;
}

static inline void fake_done(struct fake *f)
{
	for (size_t i = 0; i < FAKE_FDS; i++)
		assert_false(f->files[i].used);
	/* Whatever happened, what was made is removed. */
	assert_int_equal(f->made, f->removed);
	tr_buf_done(&f->in);
	tr_buf_done(&f->aux);
	tr_buf_done(&f->log);
}
TR_DEFINE_AUTO_DONE(struct fake, fake_done)

static inline void fake_conf(struct fake *f, struct tr_tee_ops *ops, struct tr_tee_conf *ret)
{
	*ops = (struct tr_tee_ops){ fake_open, fake_read, fake_write, fake_close, fake_mkdir,
				    fake_rmdir, fake_access, fake_ioctl, fake_sleep, f };
	tr_tee_conf_init(ret);
	ret->ops = ops;
	ret->configfs = FAKE_ROOT;
	ret->sev_device = "/fake/sev";
	ret->tdx_device = "/fake/tdx";
	ret->event_log = "/fake/ccel";
}

#endif
