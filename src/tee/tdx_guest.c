/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/tdx_guest gives a TDREPORT: MACed for this machine only. A quote needs the host's quoting service, which kernels with
 * configfs-tsm ask themselves. So there is no evidence from here, and it says so. */
#include "tee/tee_inner.h"

#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

struct report_req {
	uint8_t report_data[64];
	uint8_t report[TR_TDREPORT_LEN];
};
#define GET_REPORT0 _IOWR('T', 1, struct report_req)
_Static_assert(GET_REPORT0 == 0xc4405401, "as the kernel has it");

#define TYPE_TDX 0x81
#define REPORT_DATA_AT 128
#define TDINFO_AT 512

TR_RC tr_tdreport_parse(struct tr_view in, struct tr_tdreport *ret, struct tr_err *err)
{
	const uint8_t *info;

	if (in.n != TR_TDREPORT_LEN || in.p[0] != TYPE_TDX)
		return tr_err_set(err, TR_E_INVALID, "No TDREPORT.", "%zu bytes, type %02x", in.n, in.n ? in.p[0] : 0);
	info = in.p + TDINFO_AT;
	*ret = (struct tr_tdreport){
		.report_data = tr_view(in.p + REPORT_DATA_AT, 64),
		.attributes = tr_view(info, 8), .xfam = tr_view(info + 8, 8), .mrtd = tr_view(info + 16, 48),
		.mrconfigid = tr_view(info + 64, 48), .mrowner = tr_view(info + 112, 48),
		.mrownerconfig = tr_view(info + 160, 48),
	};
	for (size_t i = 0; i < 4; i++)
		ret->rtmr[i] = tr_view(info + 208 + 48 * i, 48);
	return TR_OK;
}

TR_RC tr_tdx_report(const struct tr_tee_conf *c, const uint8_t report_data[64], uint8_t ret[TR_TDREPORT_LEN],
		    struct tr_err *err)
{
	const struct tr_tee_ops *o = c->ops;
	struct report_req r = { 0 };
	struct tr_tdreport parts;
	int fd, rc, error;

	fd = o->open(o->arg, c->tdx_device, O_RDWR);
	if (fd < 0)
		return tr_err_set(err, TR_E_UNAVAIL, "The TDX device cannot be opened: is this a TD, and are we root?",
				  "%s: %s", c->tdx_device, strerror(errno));
	memcpy(r.report_data, report_data, 64);
	rc = o->ioctl(o->arg, fd, GET_REPORT0, &r);
	error = errno;
	(void)o->close(o->arg, fd);
	if (rc < 0)
		return tr_err_set(err, TR_E_UNAVAIL, "The TDX module gave no report.", "ioctl: %s", strerror(error));
	if (tr_tdreport_parse(tr_view(r.report, sizeof(r.report)), &parts, err))
		return err->code;
	if (!tr_secret_eq(parts.report_data, tr_view(report_data, 64)))
		return tr_err_set(err, TR_E_DENIED, "The TEE's report answers another question than was asked.",
				  "report data are not ours");
	memcpy(ret, r.report, sizeof(r.report));
	return TR_OK;
}

static TR_RC quote(const struct tr_tee_conf *c, const struct tr_tee_ask *ask, struct tr_buf *ret_set, struct tr_err *err)
{
	(void)c;
	(void)ask;
	(void)ret_set;
	return tr_err_set(err, TR_E_UNAVAIL,
			  "This kernel gives TDX reports for this machine only, no quotes: use Linux 6.7 or later with configfs "
			  "mounted, so that the host's quoting service is asked.",
			  "/dev/tdx_guest without configfs-tsm");
}

static bool present(const struct tr_tee_conf *c, char why_not[160])
{
	if (c->ops->access(c->ops->arg, c->tdx_device) == 0)
		return true;
	(void)snprintf(why_not, 160, "no %.100s", c->tdx_device);
	return false;
}

/* Not for "auto": a machine that has this and no configfs-tsm may still have a TPM. */
const struct tr_tee_source tr_tee_tdx_guest = {
	.name = "tdx-guest", .platforms = " tdx ", .present = present, .quote = quote,
};
