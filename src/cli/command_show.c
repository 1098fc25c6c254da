/* SPDX-License-Identifier: Apache-2.0 */
/* `troth command show`: one command, and whose word each part of it is. The order and the signatures are read here; states
 * are the server's, the result is the agent's. */
#include "cli/command.h"

#include "base/clock.h"
#include "codec/text.h"
#include "signed/command.h"

static void put_hex(struct tr_buf *b, struct tr_view v)
{
	tr_hex_add(b, v);
}

static bool bytes_of(tr_jnode row, const char *member, struct tr_buf *ret)
{
	struct tr_view text = { 0 };
	struct tr_err err = { 0 };

	return tr_json_str(tr_json_get(row, member), &text) && text.n && tr_b64_get(text, TR_B64_STD, ret, &err) == TR_OK;
}

static void put_approval(struct tr_buf *b, struct tr_view cose, const struct tr_order_item *it, const struct tr_keyset *ks)
{
	const struct tr_cmd_type *t = tr_cmd_type(it->order.cmd);
	struct tr_approval a;
	struct tr_view kid = { 0 };
	struct tr_err err = { 0 };
	uint8_t key[32];

	tr_buf_adds(b, "  operator key ");
	if (tr_approval_read(cose, &a, &kid, &err)) {
		tr_buf_adds(b, "?: not readable\n");
		return;
	}
	put_hex(b, tr_view(kid.p, kid.n < 6 ? kid.n : 6));
	tr_buf_adds(b, ", ");
	tr_rfc3339_add(b, a.issued_ms);
	if (!ks)
		tr_buf_adds(b, ": unverified\n");
	/* As it was when it was given: that it has ended since changes nothing. */
	else if (tr_approval_verify(cose, ks, t ? t->class : TR_CLASS_DANGEROUS, it->digest, a.issued_ms, key, &err))
		tr_buf_addf(b, ": DOES NOT HOLD with the keyset in force: %s\n", err.pub);
	else
		tr_buf_adds(b, ": verified\n");
}

static void put_command(struct tr_buf *b, tr_jnode row, const struct tr_order_item *it, const struct tr_keyset *ks)
{
	tr_auto(tr_buf_done) struct tr_buf cose = TR_BUF_INIT;
	struct tr_command_scope scope = { .trust_domain = it->order.trust_domain, .agent_id = it->order.agent_id, .keyset = ks };
	struct tr_command cmd;
	struct tr_order o;
	struct tr_view kid = { 0 };
	struct tr_err err = { 0 };
	uint8_t digest[32];
	bool authentic = false;
	enum tr_refusal no;

	if (!bytes_of(row, "command", &cose)) {
		tr_buf_adds(b, "\nNot signed yet: no agent obeys it.\n");
		return;
	}
	if (tr_command_read(tr_buf_view(&cose), &cmd, &o, &kid, &err)) {
		tr_buf_adds(b, "\nWhat the server calls the signed command is none.\n");
		return;
	}
	tr_buf_adds(b, "\nSigned by command key ");
	put_hex(b, tr_view(kid.p, kid.n < 6 ? kid.n : 6));
	tr_buf_adds(b, ", ");
	tr_rfc3339_add(b, cmd.issued_ms);
	scope.now_ms = cmd.issued_ms;
	no = ks ? tr_command_verify(tr_buf_view(&cose), &scope, &cmd, &o, digest, &authentic, &err) : TR_REF_NONE;
	if (!ks)
		tr_buf_adds(b, ": unverified");
	else if (no)
		tr_buf_addf(b, ": an agent with the keyset in force refuses it: %s", tr_refusal_slug(no));
	else
		tr_buf_adds(b, ": verified");
	if (!tr_view_eq(cmd.order, tr_buf_view(&it->bytes)))
		tr_buf_adds(b, ", but it carries ANOTHER ORDER than the one above");
	tr_buf_addf(b, "\n  number %llu of line %llu, until ", (unsigned long long)cmd.seq, (unsigned long long)cmd.line);
	tr_rfc3339_add(b, cmd.expires_ms);
	tr_buf_adds(b, "\n");
	for (size_t i = 0; i < cmd.n_approvals; i++) {
		tr_buf_adds(b, i ? "" : "Approved by\n");
		put_approval(b, cmd.approvals[i], it, ks);
	}
}

static bool one_member(void *arg, const char *key, tr_jnode value)
{
	struct tr_buf *b = arg;

	tr_buf_adds(b, "  ");
	tr_out_escape(b, tr_view_str(key));
	tr_buf_adds(b, ": ");
	tr_out_cell(b, value, TR_CELL_TEXT, true, 0);
	tr_buf_adds(b, "\n");
	return !b->failed;
}

void tr_command_result(tr_jnode result, struct tr_buf *b)
{
	tr_json_each(result, one_member, b);
}

int tr_command_show(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "command", "id", TR_CELL_TEXT },	 { "agent", "agent", TR_CELL_TEXT },
		{ "state", "state", TR_CELL_STATE },	 { "code", "code", TR_CELL_TEXT },
		{ "ordered", "created_at", TR_CELL_TIME }, { "by", "created_by", TR_CELL_TEXT },
		{ "reason", "reason", TR_CELL_TEXT },	 { "batch", "batch", TR_CELL_TEXT },
		{ "again of", "retry_of", TR_CELL_TEXT }, { "not before", "not_before", TR_CELL_TIME },
		{ "expires", "expires_at", TR_CELL_TIME }, { "approvals needed", "approvals_needed", TR_CELL_COUNT },
		{ "approvals there", "approvals", TR_CELL_COUNT }, { "handed out", "sent_at", TR_CELL_TIME },
		{ "times", "attempts", TR_CELL_COUNT },	 { "agent has it", "acked_at", TR_CELL_TIME },
		{ "over", "ended_at", TR_CELL_TIME },
	};
	tr_auto(tr_order_set_done) struct tr_order_set set = { 0 };
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, receipt = TR_BUF_INIT;
	char id[TR_CMD_ID_DIGITS + 1];
	tr_jnode row, result;
	bool verified;
	int rc = tr_command_id(c, c->args[0], id);

	if (!rc)
		rc = tr_command_get(c, id, c->json ? NULL : &set, &answer);
	if (rc)
		return rc;
	row = tr_json_root(answer);
	if (c->json)
		return tr_out_json(row);
	if (set.n == 0) /* cannot be: tr_command_get has put it there */
		return TR_CLI_EXIT_UNREACHABLE;
	verified = tr_api_authority(c, &a) == TR_CLI_EXIT_OK;
	tr_buf_adds(&b, "The order, as it is signed:\n  ");
	tr_order_set_text(&set, &b);
	tr_buf_adds(&b, "\nAs the server says:\n");
	tr_out_lines(&b, cols, TR_ARRAY_LEN(cols), row, c->colour, tr_now_ms());
	put_command(&b, row, &set.items[0], verified ? &a.keyset : NULL);
	result = tr_json_get(row, "result");
	if (bytes_of(row, "receipt", &receipt))
		tr_buf_adds(&b, "\nThe agent's receipt was checked by the server with the agent's key.\n");
	if (tr_json_is_object(result) && tr_json_len(result)) {
		tr_buf_adds(&b, "As the agent says, and nobody else:\n");
		tr_command_result(result, &b);
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}
