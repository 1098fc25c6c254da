/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeats and their answers: what is read is written back to the same bytes. */
#include "signed/beat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view in = tr_view(data, size);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_beat beat;
	struct tr_beat_answer answer;
	struct tr_err err;

	if (!tr_beat_get(in, &beat, &err)) {
		tr_beat_put(&beat, &b);
		if (!tr_view_eq(tr_buf_view(&b), in))
			abort();
	}
	tr_buf_clear(&b);
	if (!tr_beat_answer_get(in, &answer, &err)) {
		tr_beat_answer_put(&answer, &b);
		if (!tr_view_eq(tr_buf_view(&b), in))
			abort();
	}
	return 0;
}
