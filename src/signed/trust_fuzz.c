/* SPDX-License-Identifier: Apache-2.0 */
/* A keyset from an unverified server: with a pin that nothing can match everything is refused, with a
 * sentence. */
#include "signed/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t pin[32] = { 0 };
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;
	tr_auto(tr_trust_done) struct tr_trust t = { 0 };
	struct tr_err err = { 0 };

	if (tr_bootstrap_check(tr_view(data, size), pin, INT64_C(1795312800000), &t, &why, &err) !=
		    TR_E_DENIED ||
	    why.n == 0 || t.ca_pem.n)
		abort();
	return 0;
}
