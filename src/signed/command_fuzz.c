/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is readable encodes to the very same object; nothing but a read is obeyed without the approvals that a
 * fuzzer cannot make; nobody else's bytes are authentic. */
#include "signed/signed_fuzz.h"

#include "signed/command.h"

static const struct tr_keyset *keyset(void)
{
	static struct tr_keyset ks;

	ks = (struct tr_keyset){ .trust_domain = TR_VIEW_LIT("fleet.example"), .n_keys = 1 };
	ks.keys[0] = (struct tr_keyset_key){ TR_ROLE_COMMAND, tr_pubkey_spki(tr_privkey_pub(fuzz_key())), 0, 0, 0 };
	return &ks;
}

static void try_payload(struct tr_view in, struct tr_command_scope *s)
{
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, again = TR_BUF_INIT;
	const struct tr_privkey *k = fuzz_key();
	struct tr_command c, seen;
	struct tr_order o, order;
	uint8_t digest[32];
	struct tr_view kid;
	struct tr_err err;
	enum tr_refusal why;
	bool authentic;
	enum tr_code rc;

	ORACLE(tr_cose1_sign(k, TR_COMMAND_DOMAIN, in, &object, &err) == TR_OK);
	rc = tr_command_read(tr_buf_view(&object), &c, &o, &kid, &err);
	if (rc && rc != TR_E_NOTFOUND) {
		ORACLE(rc == TR_E_INVALID && err.pub);
		why = tr_command_verify(tr_buf_view(&object), s, &c, &o, digest, &authentic, &err);
		ORACLE(why == TR_REF_MALFORMED && !authentic);
		return;
	}
	s->now_ms = c.issued_ms;
	s->epoch = c.epoch;
	s->agent_id = o.agent_id;
	why = tr_command_verify(tr_buf_view(&object), s, &seen, &order, digest, &authentic, &err);
	ORACLE(authentic && seen.seq == c.seq && order.cmd == o.cmd);
	ORACLE((why == TR_REF_UNSUPPORTED) == (rc == TR_E_NOTFOUND) || why == TR_REF_WRONG_AGENT);
	if (why == TR_REF_NONE)
		ORACLE(tr_cmd_type(o.cmd)->class == TR_CLASS_READ && c.n_approvals == 0);
	/* What ours signs is what it reads; it signs no longer lives than 4 hours. */
	if (rc == TR_OK && tr_command_sign(&c, k, &again, &err) == TR_OK)
		ORACLE(tr_view_eq(tr_buf_view(&again), tr_buf_view(&object)));
	s->now_ms = c.expires_ms;
	ORACLE(tr_command_verify(tr_buf_view(&object), s, &seen, &order, digest, &authentic, &err) != TR_REF_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_command_scope s = { .trust_domain = TR_VIEW_LIT("fleet.example"),
				      .agent_id = TR_VIEW_LIT("web-1"),
				      .keyset = keyset(),
				      .now_ms = 1 };
	struct tr_view in = tr_view(data, size);
	struct tr_command c;
	struct tr_order o;
	uint8_t digest[32];
	struct tr_err err;
	bool authentic;

	ORACLE(tr_command_verify(in, &s, &c, &o, digest, &authentic, &err) != TR_REF_NONE && !authentic && err.pub);
	if (size < TR_COMMAND_MAX - 256)
		try_payload(in, &s);
	return 0;
}
