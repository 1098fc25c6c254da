/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a server answers, no control byte of it reaches a terminal. */
#include "agent/refusal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_said_no r;

	tr_refusal_read(tr_view(data, size), &r);
	tr_refusal_text(403, tr_view(data, size), &b);
	for (size_t i = 0; i < b.n; i++)
		if ((b.p[i] < ' ' && b.p[i] != '\n') || b.p[i] == 0x7f)
			abort();
	if (strlen(r.code) >= sizeof(r.code) || b.n == 0)
		abort();
	return 0;
}
