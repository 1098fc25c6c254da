/* SPDX-License-Identifier: Apache-2.0 */
#include "tee/tee_inner.h"

#include "base/secret.h"
#include "evidence/dcap.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

static int sys_open(void *arg, const char *path, int flags)
{
	(void)arg;
	return open(path, flags | O_CLOEXEC);
}

static ssize_t sys_read(void *arg, int fd, void *to, size_t n)
{
	(void)arg;
	return read(fd, to, n);
}

static ssize_t sys_write(void *arg, int fd, const void *from, size_t n)
{
	(void)arg;
	return write(fd, from, n);
}

static int sys_close(void *arg, int fd)
{
	(void)arg;
	return close(fd);
}

static int sys_mkdir(void *arg, const char *path, mode_t mode)
{
	(void)arg;
	return mkdir(path, mode);
}

static int sys_rmdir(void *arg, const char *path)
{
	(void)arg;
	return rmdir(path);
}

static int sys_access(void *arg, const char *path)
{
	(void)arg;
	return access(path, F_OK);
}

static int sys_ioctl(void *arg, int fd, unsigned long request, void *p)
{
	(void)arg;
	return ioctl(fd, request, p);
}

static void sys_sleep(void *arg, unsigned ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)arg;
	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

const struct tr_tee_ops *tr_tee_system(void)
{
	static const struct tr_tee_ops ops = { sys_open, sys_read, sys_write, sys_close, sys_mkdir,
					       sys_rmdir, sys_access, sys_ioctl, sys_sleep, NULL };

	return &ops;
}

void tr_tee_conf_init(struct tr_tee_conf *c)
{
	*c = (struct tr_tee_conf){
		.ops = tr_tee_system(),
		.platform = "auto",
		.configfs = "/sys/kernel/config/tsm/report",
		.tdx_device = "/dev/tdx_guest",
		.sev_device = "/dev/sev-guest",
		.event_log = "/sys/firmware/acpi/tables/data/CCEL",
		.vmpl = TR_TEE_VMPL_ANY,
		.sim_kind = "tdx",
		.secretvm_scheme = "sha256-spki-der",
	};
}

static bool report_data_of(enum tr_tee_kind kind, struct tr_view quote, struct tr_view *ret)
{
	enum tr_tee_code code;
	struct tr_err err;

	if (kind == TR_TEE_SNP) {
		struct tr_snp_report r;

		if (tr_snp_parse(quote, &r, &code, &err))
			return false;
		*ret = r.report_data;
	} else {
		struct tr_quote q;

		if (tr_quote_parse(quote, &q, &code, &err))
			return false;
		*ret = q.body_type == TR_BODY_SGX ? q.sgx.report_data : q.td.report_data;
	}
	return true;
}

TR_RC tr_tee_answers(enum tr_tee_kind kind, struct tr_view quote, const struct tr_tee_ask *ask, struct tr_err *err)
{
	struct tr_view seen;

	if (!report_data_of(kind, quote, &seen))
		return tr_err_set(err, TR_E_DENIED, "The TEE gave something that is no report of a known layout.",
				  "%s of %zu bytes does not parse", tr_tee_kind_name(kind), quote.n);
	if (!tr_secret_eq(seen, TR_VIEW_ARRAY(ask->report_data)))
		return tr_err_set(err, TR_E_DENIED, "The TEE's report answers another question than was asked.",
				  "report data are not ours: somebody else uses the same interface, or it answers from a cache");
	return TR_OK;
}

TR_RC tr_tee_emit(const struct tr_tee_set *s, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_tee_set_put(&b, s);
	if (tr_buf_check(&b, err))
		return err->code;
	if (b.n > TR_TEE_SET_MAX)
		return tr_err_set(err, TR_E_UNAVAIL, "The TEE's evidence is too long to be sent.",
				  "%zu bytes, at most %d", b.n, TR_TEE_SET_MAX);
	tr_buf_addv(ret, tr_buf_view(&b));
	return tr_buf_check(ret, err);
}

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

struct tr_view tr_tee_table(struct tr_view blob)
{
	static const uint8_t end_of_table[24];
	struct tr_snp_certs c;
	struct tr_err err;
	size_t end = 0;

	/* What cannot be read is left out: the server names what it lacks, and may have it itself. */
	if (!blob.n || tr_snp_certs_parse(blob, &c, &err) || (!c.vcek.n && !c.vlek.n && !c.ask.n && !c.ark.n && !c.crl.n))
		return tr_view(NULL, 0);
	/* It parsed: each entry lies inside and one of zeros ends them. */
	for (const uint8_t *e = blob.p; memcmp(e, end_of_table, sizeof(end_of_table)) != 0; e += sizeof(end_of_table))
		if ((size_t)u32(e + 16) + u32(e + 20) > end)
			end = (size_t)u32(e + 16) + u32(e + 20);
	return tr_view(blob.p, end);
}
