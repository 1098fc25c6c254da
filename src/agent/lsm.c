/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lsm.h"

#include "base/buf.h"
#include "base/file.h"

const char *tr_lsm_reason_of(struct tr_view list)
{
	if (!list.n)
		return "not installed; the kernel's list of LSMs is not readable";
	while (list.n) {
		const uint8_t *comma = memchr(list.p, ',', list.n);
		struct tr_view one = tr_view(list.p, comma ? (size_t)(comma - list.p) : list.n);

		list = comma ? tr_view(comma + 1, list.n - one.n - 1) : tr_view(NULL, 0);
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
