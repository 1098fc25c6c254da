/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: a list that is accepted is written back to the same bytes, from the wire and from records. */
#include "signed/signed_fuzz.h"

#include "signed/bpf_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf items = TR_BUF_INIT, again = TR_BUF_INIT, more = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size);
	struct tr_bpf_list l, second;
	struct tr_err err;
	bool good = tr_bpf_list_get(in, &items, &l, &err) == TR_OK;

	ORACLE((tr_bpf_list_check(in, &err) == TR_OK) == good);
	if (good) {
		ORACLE(tr_bpf_list_put(&l, &again, &err) == TR_OK);
		ORACLE(tr_view_eq(tr_buf_view(&again), in));
	}
	/* The same input as a record. */
	tr_buf_clear(&again);
	if (tr_record_decode(&tr_bpf_list_def, in, &l, &err) != TR_OK || tr_bpf_list_put(&l, &again, &err) != TR_OK)
		return 0;
	ORACLE(tr_bpf_list_get(tr_buf_view(&again), &more, &second, &err) == TR_OK);
	ORACLE(tr_view_eq(second.items, l.items) && tr_view_eq(second.kernel, l.kernel));
	return 0;
}
