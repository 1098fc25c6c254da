/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: the signed text of an accepted claim splits into its fields in one way, and nobody else's claim
 * verifies. */
#include "signed/signed_fuzz.h"

#include "signed/claim_original.h"

/* Takes the text up to the next ':' off the front. */
static struct tr_view part(struct tr_view *rest)
{
	const uint8_t *colon = rest->n ? memchr(rest->p, ':', rest->n) : NULL;
	size_t n = colon ? (size_t)(colon - rest->p) : rest->n;
	struct tr_view out = tr_view(rest->p, n);

	*rest = colon ? tr_view(colon + 1, rest->n - n - 1) : tr_view(NULL, 0);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tr_privkey *k = fuzz_key();
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;
	struct tr_claim_original c;
	struct tr_view rest;
	struct tr_err err;

	if (size > TR_CLAIM_ORIGINAL_MAX || tr_json_parse(tr_view(data, size), &j, &err) ||
	    tr_claim_original_read(tr_json_root(j), &c, &err))
		return 0;
	tr_claim_original_tbs(&c, &tbs);
	rest = tr_buf_view(&tbs);
	ORACLE(tr_view_eq(part(&rest), c.node_id));
	ORACLE(tr_view_is(part(&rest), "sha256"));
	ORACLE(part(&rest).n == 64);
	ORACLE(tr_view_eq(part(&rest), c.version));
	ORACLE(part(&rest).n > 0 && rest.n == 0);
	ORACLE(tr_claim_original_verify(&c, tr_privkey_pub(k), &err) != TR_OK);
	return 0;
}
