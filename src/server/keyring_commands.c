/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where commands are signed. Whatever core says, the order is taken apart again: it must be a whole order of
 * this trust domain, within the times of its type, and carry as many approvals as its class demands. That the approvals
 * are true is not asked here: it would mean to parse, beside the keys, what people sent. The agent asks it. */
#include "server/keyring.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/cbor.h"
#include "signed/command.h"

#define PER_SECOND 20000u
#define SKEW_MS (TR_COMMAND_SKEW_S * INT64_C(1000)) /* the server's processes agree on the time, more or less */

static TR_RC read_approvals(struct tr_view list, struct tr_command *c, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(list);

	if (!list.n)
		return TR_OK;
	c->n_approvals = tr_cbor_array(&r, TR_COMMAND_APPROVALS_MAX);
	for (size_t i = 0; i < c->n_approvals && !r.error; i++)
		c->approvals[i] = tr_cbor_bytes(&r);
	return tr_cbor_end(&r, err);
}

static TR_RC check(const struct tr_keyring *k, const struct tr_command *c, struct tr_err *err)
{
	const struct tr_cmd_type *type;
	struct tr_order o;
	int64_t off = tr_now_ms() - c->issued_ms;

	if (tr_order_decode(c->order, &o, err) || tr_order_check(&o, err))
		return err->code;
	type = tr_cmd_type(o.cmd);
	if (!type || !tr_view_is(o.trust_domain, k->cfg->trust_domain))
		return tr_err_set(err, TR_E_DENIED, "the order is not one of this trust domain", "sign command");
	if (off > SKEW_MS || off < -SKEW_MS)
		return tr_err_set(err, TR_E_DENIED, "the server's processes do not agree on the time", "issued %lld ms ago",
				  (long long)off);
	if (c->expires_ms > o.expires_ms ||
	    (!o.not_before_ms && c->expires_ms - c->issued_ms > TR_COMMAND_AGE_MAX_S * INT64_C(1000)))
		return tr_err_set(err, TR_E_DENIED, "the command would live longer than its order, or than four hours",
				  "sign command");
	if (c->n_approvals < tr_cmd_approvals(type->class))
		return tr_err_set(err, TR_E_DENIED, "the command lacks approvals", "%zu of %u", c->n_approvals,
				  tr_cmd_approvals(type->class));
	return TR_OK;
}

TR_RC tr_keyring_sign(struct tr_keyring *k, const struct tr_privkey *key, const struct tr_msg_sign_commands *q,
		      struct tr_view bytes, struct tr_buf *ret, struct tr_err *err)
{
	uint64_t second = tr_mono_ms() / 1000;
	struct tr_command c = { .keyset_epoch = q->keyset_epoch, .revocation = q->revocation };
	struct tr_msg_to_sign m;

	if (second != k->second) {
		k->second = second;
		k->commands = 0;
	}
	if (++k->commands > PER_SECOND)
		return tr_err_set(err, TR_E_BUSY, "too many commands in this second; try again in the next", "sign command");
	if (tr_record_decode(&tr_msg_to_sign_def, bytes, &m, err))
		return err->code;
	c.order = m.order;
	c.epoch = m.epoch;
	c.line = m.line;
	c.seq = m.seq;
	c.issued_ms = m.issued;
	c.expires_ms = m.expires;
	if (read_approvals(m.approvals, &c, err) || check(k, &c, err))
		return err->code;
	return tr_command_sign(&c, key, ret, err);
}

static void sign_all(struct tr_keyring *k, const struct tr_privkey *key, const struct tr_msg_sign_commands *q,
		     struct tr_buf *list)
{
	struct tr_view rest = q->commands, one;

	for (unsigned n = 0; n < TR_SIGN_BATCH_MAX && tr_records_next(&rest, &one); n++) {
		tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
		struct tr_msg_signed a = { 0 };
		struct tr_err err = { 0 };

		if (tr_keyring_sign(k, key, q, one, &bytes, &err)) {
			tr_log_err(TR_LOG_WARN, "command_not_signed", &err, NULL);
			a.code = err.code;
			a.why = tr_view_str(err.pub);
		} else {
			a.command = tr_buf_view(&bytes);
		}
		tr_records_add(list, &tr_msg_signed_def, &a);
	}
}

void tr_keyring_on_sign(struct tr_keyring *k, struct tr_chan *c, const struct tr_frame *f)
{
	tr_auto(tr_buf_done) struct tr_buf list = TR_BUF_INIT;
	struct tr_msg_commands_signed a = { 0 };
	struct tr_msg_sign_commands q;
	const struct tr_privkey *key = NULL;
	struct tr_err err = { 0 };

	if (!tr_record_decode(&tr_msg_sign_commands_def, f->payload, &q, &err))
		key = tr_keyring_find(k, TR_ROLE_COMMAND, q.key_id);
	if (key) {
		sign_all(k, key, &q, &list);
		a.commands = tr_buf_view(&list);
	} else {
		a.code = TR_E_NOTFOUND;
		a.why = TR_VIEW_LIT("this node does not hold the private half of that command key");
	}
	tr_chan_send_record(c, TR_M_COMMANDS_SIGNED, f->id, &tr_msg_commands_signed_def, &a);
}
