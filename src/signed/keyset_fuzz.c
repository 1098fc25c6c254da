/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is readable encodes to the very same payload; nothing verifies under a pin that nobody has. */
#include "signed/signed_fuzz.h"

#include "signed/keyset.h"

static void reencode(struct tr_view in, struct tr_view payload)
{
	static struct tr_keyset k; /* 20 KiB: not on a fuzzer's stack */
	tr_auto(tr_buf_done) struct tr_buf again = TR_BUF_INIT;
	struct tr_err err;

	if (tr_keyset_unverified(in, &k, &err) != TR_OK) {
		ORACLE(err.code == TR_E_INVALID && err.pub);
		return;
	}
	ORACLE(tr_keyset_payload(&k, &again, &err) == TR_OK);
	ORACLE(payload.n == 0 || tr_view_eq(tr_buf_view(&again), payload));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t pin[32] = { 1 };
	static struct tr_keyset k;
	const struct tr_privkey *root = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size);
	struct tr_err err;

	reencode(in, tr_view(NULL, 0));
	if (size > TR_KEYSET_MAX / 2)
		return 0;
	ORACLE(tr_keyset_sign(in, &root, 1, &object, &err) == TR_OK);
	reencode(tr_buf_view(&object), in);
	ORACLE(tr_keyset_verify_pinned(tr_buf_view(&object), pin, 1, &k, &err) != TR_OK);
	return 0;
}
