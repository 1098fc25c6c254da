/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/sev-guest (Linux 5.19): the report and the host's certificate table by ioctl, for kernels without configfs-tsm. The
 * structures are written out: the header of older distributions lacks half of them. */
#include "tee/tee_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define CERTS_MAX 16384u /* the kernel takes no more */
#define PAGE 4096u
#define RESPONSE_LEN 4000
#define RESPONSE_HEAD 32
#define VMM_CERTS_TOO_SMALL 1u
#define VMM_BUSY 2u

struct request {
	uint8_t msg_version;
	uint64_t req_data, resp_data;
	uint64_t exitinfo2; /* low half: the firmware's error; high half: the host's */
};
struct report_req {
	uint8_t user_data[64];
	uint32_t vmpl;
	uint8_t reserved[28];
};
struct ext_report_req {
	struct report_req data;
	uint64_t certs_address;
	uint32_t certs_len;
};
_Static_assert(sizeof(struct request) == 32, "as the kernel has it");
_Static_assert(sizeof(struct report_req) == 96, "as the kernel has it");
_Static_assert(sizeof(struct ext_report_req) == 112, "as the kernel has it");

#define GET_REPORT _IOWR('S', 0x0, struct request)
#define GET_EXT_REPORT _IOWR('S', 0x2, struct request)
_Static_assert(GET_REPORT == 0xc0205300 && GET_EXT_REPORT == 0xc0205302, "as the kernel has them");

struct call {
	const struct tr_tee_ops *o;
	int fd;
	struct ext_report_req req;
	uint8_t *certs; /* CERTS_MAX, on a page */
	uint8_t response[RESPONSE_LEN];
};

static void call_done(struct call *k)
{
	if (k->fd >= 0)
		(void)k->o->close(k->o->arg, k->fd);
	free(k->certs);
}
TR_DEFINE_AUTO_DONE(struct call, call_done)

/* Returns 0, or the error: errno differs between kernels, exitinfo2 does not. *ret_fw: the firmware's. */
enum { DONE, BUSY, NO_CERTS, FAILED };

static int ask_kernel(struct call *k, unsigned long what, uint32_t *ret_fw, int *ret_errno)
{
	struct request r = { .msg_version = 1, .req_data = (uint64_t)(uintptr_t)&k->req,
			     .resp_data = (uint64_t)(uintptr_t)k->response };
	uint32_t vmm;

	memset(k->response, 0, sizeof(k->response));
	if (k->o->ioctl(k->o->arg, k->fd, what, &r) >= 0 && !r.exitinfo2)
		return DONE;
	*ret_errno = errno;
	*ret_fw = (uint32_t)r.exitinfo2;
	vmm = (uint32_t)(r.exitinfo2 >> 32);
	if (vmm == VMM_CERTS_TOO_SMALL)
		return NO_CERTS;
	if (vmm == VMM_BUSY || (!r.exitinfo2 && (*ret_errno == EINTR || *ret_errno == EAGAIN || *ret_errno == EBUSY)))
		return BUSY;
	return FAILED;
}

static int ask_patiently(struct call *k, unsigned long what, uint32_t *ret_fw, int *ret_errno)
{
	unsigned wait = TR_TEE_FIRST_WAIT_MS;
	int rc = BUSY;

	for (unsigned i = 0; i < TR_TEE_TRIES && rc == BUSY; i++) {
		if (i) {
			k->o->sleep_ms(k->o->arg, wait);
			wait *= 2;
		}
		rc = ask_kernel(k, what, ret_fw, ret_errno);
	}
	return rc;
}

/* The extended report first; without certificates when the host's do not fit or it has none to give. */
static TR_RC get(struct call *k, bool *ret_certs, struct tr_err *err)
{
	uint32_t fw = 0;
	int error = 0, rc;

	k->req.certs_address = (uint64_t)(uintptr_t)k->certs;
	k->req.certs_len = CERTS_MAX;
	rc = ask_patiently(k, GET_EXT_REPORT, &fw, &error);
	*ret_certs = rc == DONE;
	if (rc == NO_CERTS || rc == FAILED)
		rc = ask_patiently(k, GET_REPORT, &fw, &error);
	if (rc == DONE)
		return TR_OK;
	return tr_err_set(err, rc == BUSY ? TR_E_BUSY : TR_E_UNAVAIL,
			  rc == BUSY ? "The host throttles requests to the SEV firmware." : "The SEV firmware gave no report.",
			  "ioctl: %s, firmware error %u", strerror(error), fw);
}

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static TR_RC quote(const struct tr_tee_conf *c, const struct tr_tee_ask *ask, struct tr_buf *ret_set, struct tr_err *err)
{
	tr_auto(call_done) struct call k = { .o = c->ops, .fd = -1 };
	struct tr_tee_set set = { .kind = TR_TEE_SNP };
	bool has_certs = false;

	if (c->vmpl != TR_TEE_VMPL_ANY && c->vmpl > 3)
		return tr_err_set(err, TR_E_INVALID, "A VMPL is 0 to 3.", "vmpl %u", c->vmpl);
	k.fd = k.o->open(k.o->arg, c->sev_device, O_RDWR);
	if (k.fd < 0)
		return tr_err_set(err, TR_E_UNAVAIL, "The SEV device cannot be opened: is this a guest, and are we root?",
				  "%s: %s", c->sev_device, strerror(errno));
	k.certs = aligned_alloc(PAGE, CERTS_MAX);
	if (!k.certs)
		return tr_err_set(err, TR_E_INTERNAL, "Out of memory.", "certificate table");
	memset(k.certs, 0, CERTS_MAX);
	memcpy(k.req.data.user_data, ask->report_data, sizeof(ask->report_data));
	k.req.data.vmpl = c->vmpl == TR_TEE_VMPL_ANY ? 0 : c->vmpl;
	if (get(&k, &has_certs, err))
		return err->code;
	if (u32(k.response) != 0 || u32(k.response + 4) != TR_SNP_REPORT_LEN)
		return tr_err_set(err, TR_E_UNAVAIL, "The SEV firmware gave no report.", "status %u, %u bytes",
				  u32(k.response), u32(k.response + 4));
	set.quote = tr_view(k.response + RESPONSE_HEAD, TR_SNP_REPORT_LEN);
	if (tr_tee_answers(TR_TEE_SNP, set.quote, ask, err))
		return err->code;
	if (has_certs)
		set.certs = tr_tee_table(tr_view(k.certs, CERTS_MAX));
	return tr_tee_emit(&set, ret_set, err);
}

static bool present(const struct tr_tee_conf *c, char why_not[160])
{
	if (c->ops->access(c->ops->arg, c->sev_device) == 0)
		return true;
	(void)snprintf(why_not, 160, "no %.100s", c->sev_device);
	return false;
}

const struct tr_tee_source tr_tee_sev_guest = {
	.name = "sev-guest", .platforms = " auto snp ", .present = present, .quote = quote,
};
