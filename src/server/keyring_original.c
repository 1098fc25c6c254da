/* SPDX-License-Identifier: Apache-2.0 */
/* Commands in the original's form v3 besides the native one, when the configuration asks for it. What is signed is made from
 * a command that this role has signed before: nothing gets this form that did not get the other, with all its bounds. */
#include "server/keyring.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"
#include "signed/command.h"
#include "signed/compat_command.h"
#include "signed/cose1.h"

static void put_params(const struct tr_order *o, struct tr_buf *b)
{
	const struct tr_cmd_type *type = tr_cmd_type(o->cmd);

	tr_buf_adds(b, "{");
	if (type && type->seconds)
		tr_buf_addf(b, "\"seconds\":%llu", (unsigned long long)o->seconds);
	if (type && type->text) {
		tr_buf_adds(b, "\"text\":");
		tr_json_put_str(b, o->text);
	}
	if (type && type->target) {
		tr_buf_adds(b, "\"target\":\"");
		tr_hex_add(b, o->target);
		tr_buf_adds(b, "\"");
	}
	tr_buf_adds(b, "}");
}

/* Whoever believes this form believes it for four hours after signed_at and knows no other end: signed_at is set so that
 * both forms end at the same moment. What the form cannot say at all is not signed in it. */
static TR_RC write_original(const struct tr_command *c, const struct tr_order *o, const struct tr_privkey *key,
			    struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf params = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT;
	const struct tr_cmd_type *type = tr_cmd_type(o->cmd);
	struct tr_compat_command v3 = { .agent_id = o->agent_id, .signed_s = c->expires_ms / 1000 - TR_COMPAT_AGE_MAX_S,
					.created_ms = o->ordered_ms };

	if (!type || o->not_before_ms || o->image.n)
		return tr_err_set(err, TR_E_INVALID,
				  "the original form has no place for a later begin or for a condition on the image", "original form");
	if (tr_now_ms() >= c->expires_ms)
		return tr_err_set(err, TR_E_INVALID, "the command has expired", "original form");
	tr_hex_add(&id, TR_VIEW_ARRAY(o->cmd_id));
	put_params(o, &params);
	if (tr_buf_check(&id, err) || tr_buf_check(&params, err))
		return err->code;
	v3.id = tr_buf_view(&id);
	v3.type = tr_view_str(type->name);
	v3.params = tr_buf_view(&params);
	return tr_compat_sign(&v3, key, ret, err);
}

static TR_RC sign_original(const struct tr_keyring *k, const struct tr_msg_sign_original *q, struct tr_buf *ret,
			   struct tr_err *err)
{
	const struct tr_privkey *key = tr_keyring_find(k, TR_ROLE_COMMAND, q->key_id);
	struct tr_command c;
	struct tr_cose sealed;
	struct tr_order o;
	struct tr_view kid;

	if (!tr_config_signs_original(k->cfg))
		return tr_err_set(err, TR_E_DENIED, "commands are not signed in the original form here (compat.original_commands)",
				  "off");
	if (!key)
		return tr_err_set(err, TR_E_NOTFOUND, "this node does not hold the private half of that command key", "original form");
	/* Our own signature first; only then is the rest looked at. */
	if (tr_cose1_parse(q->command, TR_COMMAND_MAX, &sealed, err) ||
	    tr_cose1_verify(&sealed, tr_privkey_pub(key), TR_COMMAND_DOMAIN, err) ||
	    tr_command_read(q->command, &c, &o, &kid, err))
		return err->code;
	return write_original(&c, &o, key, ret, err);
}

void tr_keyring_on_original(struct tr_keyring *k, struct tr_chan *c, const struct tr_frame *f)
{
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;
	struct tr_msg_original_signed a = { 0 };
	struct tr_msg_sign_original q;
	struct tr_err err = { 0 };

	if (tr_record_decode(&tr_msg_sign_original_def, f->payload, &q, &err) || sign_original(k, &q, &json, &err)) {
		tr_log_err(TR_LOG_INFO, "original_form_not_signed", &err, NULL);
		a.code = err.code;
		a.why = tr_view_str(err.pub);
	} else {
		a.original = tr_buf_view(&json);
	}
	tr_chan_send_record(c, TR_M_ORIGINAL_SIGNED, f->id, &tr_msg_original_signed_def, &a);
}
