/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: the signed text of whatever is read splits into its fields in one way, the forms never share a text, a stranger's
 * command never verifies, and what we sign of the same fields does. */
#include "signed/signed_fuzz.h"

#include "signed/compat_command.h"

static unsigned colons(struct tr_view v)
{
	unsigned n = 0;

	for (size_t i = 0; i < v.n; i++)
		n += v.p[i] == ':';
	return n;
}

static void sign_again(struct tr_compat_command c)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf params = TR_BUF_INIT;
	const struct tr_pubkey *keys[] = { tr_privkey_pub(fuzz_key()) };
	enum tr_compat_form highest = TR_COMPAT_NONE;
	struct tr_compat_scope s = { .on = true, .agent_id = TR_VIEW_LIT("fuzz"), .keys = keys, .n_keys = 1, .highest = &highest };
	struct tr_compat_command back;
	struct tr_err err;

	c.agent_id = s.agent_id;
	if (!c.signed_s)
		c.signed_s = 1;
	if (c.created_ms <= 0)
		c.created_ms = 1000;
	s.now_ms = c.signed_s * 1000;
	ORACLE(tr_compat_sign(&c, fuzz_key(), &json, &err) == TR_OK);
	ORACLE(tr_compat_read(tr_buf_view(&json), &j, &params, &back, &err) == TR_OK);
	ORACLE(tr_view_eq(back.params, c.params) && tr_view_eq(back.id, c.id) && back.signed_s == c.signed_s);
	ORACLE(tr_compat_verify(&back, &s) == TR_COMPAT_GOOD && highest == TR_COMPAT_V3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tr_pubkey *keys[] = { tr_privkey_pub(fuzz_key()) };
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf params = TR_BUF_INIT;
	enum tr_compat_form highest = TR_COMPAT_NONE;
	struct tr_compat_command c;
	struct tr_compat_scope s = { .on = true, .keys = keys, .n_keys = 1, .now_ms = 1795310523000, .highest = &highest };
	struct tr_err err;

	/* Half the limit: escapes make the text of params longer. */
	if (size > TR_COMPAT_COMMAND_MAX / 8 || tr_compat_read(tr_view(data, size), &j, &params, &c, &err))
		return 0;
	for (unsigned form = TR_COMPAT_V1; form <= TR_COMPAT_V3; form++) {
		tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;

		if (form == TR_COMPAT_V3 && !c.agent_id.n)
			continue;
		tr_compat_tbs(&c, (enum tr_compat_form)form, &tbs);
		ORACLE(colons(tr_buf_view(&tbs)) == form + 1);
	}
	s.agent_id = c.agent_id;
	ORACLE(tr_compat_verify(&c, &s) != TR_COMPAT_GOOD && highest == TR_COMPAT_NONE);
	sign_again(c);
	return 0;
}
