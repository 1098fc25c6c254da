/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle that is read is its own encoding; whatever a file imports to makes a bundle that is read again. */
#include <stdio.h>

#include "evidence/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                                 \
	do {                                                                                                       \
		if (!(cond)) {                                                                                     \
			(void)fprintf(stderr, "oracle failed: %s\n", #cond);                                       \
			abort();                                                                                   \
		}                                                                                                  \
	} while (0)

static void read_bundle(struct tr_view in)
{
	tr_auto(tr_bundle_done) struct tr_bundle b = { 0 };
	tr_auto(tr_buf_done) struct tr_buf again = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (tr_bundle_get(in, &b, &err))
		return;
	tr_bundle_put(&again, &b);
	MUST(tr_view_eq(tr_buf_view(&again), in));
}

static void import_file(struct tr_view in)
{
	tr_auto(tr_buf_done) struct tr_buf store = TR_BUF_INIT, bytes = TR_BUF_INIT;
	tr_auto(tr_bundle_done) struct tr_bundle back = { 0 };
	struct tr_bundle_entry items[16];
	struct tr_bundle b = { .version = 1, .made = 1, .items = items };
	struct tr_err err = { 0 };

	if (tr_bundle_import(in, &store, items, 16, &b.n, &err)) {
		MUST(err.code != TR_OK && err.detail[0]);
		return;
	}
	MUST(b.n <= 16);
	tr_bundle_put(&bytes, &b);
	MUST(tr_buf_ok(&bytes));
	if (bytes.n <= TR_BUNDLE_MAX)
		MUST(tr_bundle_get(tr_buf_view(&bytes), &back, &err) == TR_OK && back.n <= b.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_bundle(tr_view(data, size));
	import_file(tr_view(data, size));
	return 0;
}
