/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is accepted encodes to the very same object, and nobody else's bytes verify. The input is tried as the
 * object, and as a payload; the expected nonce is taken from where a payload has it. */
#include "signed/signed_fuzz.h"

#include "signed/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tr_privkey *k = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size), nonce;
	struct tr_err err;
	int64_t ns;

	ORACLE(tr_time_verify(in, tr_privkey_pub(k), in, &ns, &err) != TR_OK);
	if (size > TR_TIME_MAX / 2)
		return 0;
	ORACLE(tr_cose1_sign(k, TR_TIME_DOMAIN, in, &object, &err) == TR_OK);
	/* a2 01 <head of one or two bytes> nonce 02 … */
	for (size_t from = 3; from <= 4; from++) {
		for (size_t n = TR_TIME_NONCE_MIN; n <= TR_TIME_NONCE_MAX && from + n <= size; n++) {
			nonce = tr_view(data + from, n);
			if (tr_time_verify(tr_buf_view(&object), tr_privkey_pub(k), nonce, &ns, &err) != TR_OK) {
				ORACLE(err.code == TR_E_INVALID || err.code == TR_E_CONFLICT);
				if (err.code == TR_E_INVALID)
					return 0;
				continue;
			}
			ORACLE(tr_time_sign(nonce, ns, k, &again, &err) == TR_OK);
			ORACLE(tr_view_eq(tr_buf_view(&again), tr_buf_view(&object)));
			return 0;
		}
	}
	return 0;
}
