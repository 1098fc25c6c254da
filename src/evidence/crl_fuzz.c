/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is read lies inside the input, dates written again by another writer stand in it, and exactly the serials that a
 * walk of its own finds are listed. */
#include "codec/codec_fuzz.h"

#include "evidence/x_parts.h"

static void check_time(struct tr_view in, int64_t unix_s)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_der_add_time(&b, unix_s * 1000);
	MUST(memmem(in.p, in.n, b.p, b.n));
}

static void check_entries(const struct tr_x_crl *c)
{
	/* Longer than a number that the walk leaves unasked may be. */
	uint8_t absent[40] = { 0x01 };
	struct tr_view rest = c->entries;
	bool has_absent = false;

	for (unsigned n = 0; rest.n; n++) {
		struct tr_view entry, serial;

		MUST(tr_der_take(&rest, TR_DER_SEQ, &entry) && tr_der_take(&entry, TR_DER_INT, &serial));
		/* Searching is linear; this oracle need not be quadratic. */
		if (n < 32)
			MUST(tr_x_crl_lists(c, serial));
		has_absent |= tr_view_eq(serial, TR_VIEW_ARRAY(absent));
	}
	MUST(tr_x_crl_lists(c, TR_VIEW_ARRAY(absent)) == has_absent);
	MUST(!tr_x_crl_lists(c, tr_view(NULL, 0)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view in = tr_view(data, size);
	struct tr_x_crl c;
	struct tr_err err;

	if (tr_x_crl_parse(in, &c, &err))
		return 0;
	MUST(tr_der_is_strict(in));
	MUST(is_inside(c.tbs, in) && is_inside(c.issuer, c.tbs) && is_inside(c.entries, c.tbs) && is_inside(c.aki, c.tbs));
	MUST(is_inside(c.sig, in) && c.sig.p + c.sig.n == in.p + in.n);
	check_time(c.tbs, c.this_update);
	check_time(c.tbs, c.next_update);
	check_entries(&c);
	return 0;
}
