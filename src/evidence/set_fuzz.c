/* SPDX-License-Identifier: Apache-2.0 */
/* A set has one encoding: what is read is written again as the same bytes, and its views lie inside the input. */
#include <stdio.h>

#include "evidence/set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf again = TR_BUF_INIT;
	struct tr_tee_set s;
	struct tr_err err = { 0 };

	if (tr_tee_set_get(tr_view(data, size), &s, &err))
		return 0;
	tr_tee_set_put(&again, &s);
	if (!tr_view_eq(tr_buf_view(&again), tr_view(data, size)) || s.quote.p < data ||
	    s.quote.p + s.quote.n > data + size) {
		(void)fprintf(stderr, "a set that is not its own encoding\n");
		abort();
	}
	return 0;
}
