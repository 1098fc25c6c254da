/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lsm.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/list.h"

const char *tr_lsm_reason_of(struct tr_view list)
{
	struct tr_view one;

	if (!list.n)
		return "not installed; the kernel's list of LSMs is not readable";
	while (tr_list_next(&list, &one)) {
		while (one.n && (one.p[one.n - 1] == '\n' || one.p[one.n - 1] == ' '))
			one.n--;
		if (tr_view_is(one, "bpf"))
			return "not installed; kernel has bpf in lsm";
	}
	return "not installed; kernel was started without bpf in lsm";
}

enum tr_lsm tr_lsm_state(struct tr_view *ret_reason)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct tr_err err;

	if (tr_file_read("/sys/kernel/security/lsm", 4096, &text, &err))
		tr_buf_clear(&text);
	*ret_reason = tr_view_str(tr_lsm_reason_of(tr_buf_view(&text)));
	return TR_LSM_UNAVAILABLE;
}
