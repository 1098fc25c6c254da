/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of the original design, for programs that still receive them. */
#include "troth/troth.h"

#include "base/clock.h"
#include "codec/ident.h"
#include "codec/text.h"
#include "signed/compat_command.h"

#define KEYS_MAX 64

_Static_assert(TROTH_COMMAND_V1 == (int)TR_COMPAT_V1 && TROTH_COMMAND_V3 == (int)TR_COMPAT_V3, "forms");

struct keys {
	struct tr_pubkey *all[KEYS_MAX];
	size_t n;
};

static void keys_done(struct keys *k)
{
	while (k->n)
		(void)tr_pubkey_free(k->all[--k->n]);
}
TR_DEFINE_AUTO_DONE(struct keys, keys_done)

static enum troth_code fail(struct troth_error *err, enum troth_code code, const char *message)
{
	if (err) {
		err->code = code;
		(void)snprintf(err->message, sizeof(err->message), "%s", message);
	}
	return code;
}

static enum troth_code read_keys(const struct troth_command_check *c, struct keys *ret, struct troth_error *err)
{
	struct tr_err e = { 0 };
	uint8_t raw[32];

	for (size_t i = 0; i < c->n_keys; i++) {
		if (!c->keys[i] || !tr_hex_get(tr_view_str(c->keys[i]), raw, sizeof(raw)))
			return fail(err, TROTH_E_KEY, "a key is not 64 hex digits (an Ed25519 public key)");
		if (tr_pubkey_from_ed25519(TR_VIEW_ARRAY(raw), &ret->all[ret->n], &e))
			return fail(err, e.code == TR_E_INTERNAL ? TROTH_E_INTERNAL : TROTH_E_KEY, e.pub);
		ret->n++;
	}
	return TROTH_OK;
}

static void copy_name(char to[TROTH_NAME_SIZE], struct tr_view from)
{
	(void)snprintf(to, TROTH_NAME_SIZE, "%.*s", TR_VIEW_FMT(from));
}

static enum troth_code check_arguments(const void *json, const struct troth_command_check *c,
				       const struct troth_command_verdict *ret, struct troth_error *err)
{
	if (!json || !c || !ret || c->size != sizeof(*c) || ret->size != sizeof(*ret))
		return fail(err, TROTH_E_ARGUMENT, "json, check and ret are needed, with their sizes set");
	if (!c->agent_id || !tr_ident_ok(tr_view_str(c->agent_id)))
		return fail(err, TROTH_E_ARGUMENT, "agent_id is not a plain name (letters, digits, '.', '_', '-', at most 64)");
	if (!c->keys || c->n_keys == 0 || c->n_keys > KEYS_MAX)
		return fail(err, TROTH_E_ARGUMENT, "between 1 and 64 keys are needed");
	if (c->now_ms < 0 || (unsigned)c->highest > TROTH_COMMAND_V3)
		return fail(err, TROTH_E_ARGUMENT, "now_ms or highest is out of range");
	return TROTH_OK;
}

static enum troth_code judge(const struct tr_compat_command *cmd, struct troth_command_check *check,
			     struct troth_command_verdict *ret, struct troth_error *err)
{
	tr_auto(keys_done) struct keys keys = { .n = 0 };
	enum tr_compat_form highest = (enum tr_compat_form)check->highest;
	enum troth_code code = read_keys(check, &keys, err);
	enum tr_compat_answer a;

	if (code)
		return code;
	struct tr_compat_scope scope = { .on = true, .agent_id = tr_view_str(check->agent_id),
					 .keys = (const struct tr_pubkey *const *)keys.all, .n_keys = keys.n,
					 .now_ms = check->now_ms ? check->now_ms : tr_now_ms(), .highest = &highest };

	a = tr_compat_verify(cmd, &scope);
	check->highest = (enum troth_command_form)highest;
	ret->good = a == TR_COMPAT_GOOD;
	ret->reason = tr_compat_answer_slug(a);
	ret->sentence = tr_compat_answer_sentence(a);
	return ret->good ? TROTH_OK : fail(err, TROTH_E_REFUSED, ret->sentence);
}

enum troth_code troth_command_verify_original(const void *json, size_t len, struct troth_command_check *check,
					      struct troth_command_verdict *ret, char **ret_params, struct troth_error *err)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf params = TR_BUF_INIT;
	struct tr_compat_command cmd;
	struct tr_err e = { 0 };
	enum troth_code code = check_arguments(json, check, ret, err);

	if (code)
		return code;
	*ret = (struct troth_command_verdict){ .size = sizeof(*ret), .reason = "malformed",
					       .sentence = "the command is malformed" };
	if (tr_compat_read(tr_view(json, len), &doc, &params, &cmd, &e)) {
		if (e.code == TR_E_INTERNAL)
			return fail(err, TROTH_E_INTERNAL, e.pub);
		ret->sentence = e.pub;
		return fail(err, TROTH_E_REFUSED, e.pub);
	}
	copy_name(ret->id, cmd.id);
	copy_name(ret->type, cmd.type);
	ret->form = (enum troth_command_form)tr_compat_form(&cmd);
	code = judge(&cmd, check, ret, err);
	if (code || !ret_params)
		return code;
	*ret_params = strndup(tr_buf_cstr(&params), params.n);
	return *ret_params ? TROTH_OK : fail(err, TROTH_E_INTERNAL, "out of memory");
}
