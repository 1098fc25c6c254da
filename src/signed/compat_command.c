/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/compat_command.h"

#include "codec/go_json.h"
#include "codec/ident.h"
#include "codec/text.h"

#define TIME_MAX_S INT64_C(253402300799) /* year 9999 */
#define SIG_LEN 64

static const struct {
	const char *slug, *sentence;
} answers[TR_COMPAT_ANSWER_N] = {
	[TR_COMPAT_GOOD] = { "good", "the command is authentic" },
	[TR_COMPAT_OFF] = { "original_off", "commands in the original forms are not accepted here; turn them on if you need them" },
	[TR_COMPAT_UNKNOWN_KEY] = { "unknown_key", "the key that the command names is not one of those in force; fetch them again" },
	[TR_COMPAT_BAD_SIGNATURE] = { "bad_signature", "the signature does not verify; another form is not tried" },
	[TR_COMPAT_DOWNGRADE] = { "downgrade", "this server has signed commands in a newer form, so an older one is not believed" },
	[TR_COMPAT_WRONG_AGENT] = { "wrong_agent", "the command is for another agent" },
	[TR_COMPAT_TOO_OLD] = { "too_old", "the command was signed (v1: made) too long ago; order it again" },
	[TR_COMPAT_NOT_YET] = { "not_yet", "the command's time is in the future; set the clocks" },
	[TR_COMPAT_NO_CREATION] = { "no_creation_time", "a v1 command without created_at would be good for ever; order it again in a newer form" },
};

const char *tr_compat_answer_slug(enum tr_compat_answer a)
{
	return (unsigned)a < TR_COMPAT_ANSWER_N ? answers[a].slug : "unknown";
}

const char *tr_compat_answer_sentence(enum tr_compat_answer a)
{
	return (unsigned)a < TR_COMPAT_ANSWER_N ? answers[a].sentence : "unknown";
}

enum tr_compat_form tr_compat_form(const struct tr_compat_command *c)
{
	if (c->agent_id.n)
		return TR_COMPAT_V3;
	return c->signed_s ? TR_COMPAT_V2 : TR_COMPAT_V1;
}

void tr_compat_tbs(const struct tr_compat_command *c, enum tr_compat_form form, struct tr_buf *b)
{
	uint8_t sum[TR_SHA256_LEN];

	if (form == TR_COMPAT_V3) {
		tr_buf_addv(b, c->agent_id);
		tr_buf_adds(b, ":");
	}
	tr_buf_addv(b, c->id);
	tr_buf_adds(b, ":");
	tr_buf_addv(b, c->type);
	tr_buf_adds(b, ":");
	tr_sha256(c->params, sum);
	tr_hex_add(b, TR_VIEW_ARRAY(sum));
	if (form != TR_COMPAT_V1)
		tr_buf_addf(b, ":%lld", (long long)c->signed_s);
}

/* The grammar is what keeps the colons apart: with them {"a:b", "c"} and {"a", "b:c"} would share a signature. */
static TR_RC check(const struct tr_compat_command *c, struct tr_err *err)
{
	const char *why = NULL;

	if (!tr_ident_ok(c->id))
		why = "the command's id is not a plain name (letters, digits, '.', '_', '-', at most 64)";
	else if (!tr_ident_ok(c->type))
		why = "the command's type is not a plain name (letters, digits, '.', '_', '-', at most 64)";
	else if (c->agent_id.n && !tr_ident_ok(c->agent_id))
		why = "the command's agent_id is not a plain name (letters, digits, '.', '_', '-', at most 64)";
	else if (c->agent_id.n && !c->signed_s)
		why = "a command that names its agent needs the time of its signature (signed_at)";
	else if (c->signed_s < 0 || c->signed_s > TIME_MAX_S)
		why = "the command's signed_at is out of range";
	return why ? tr_err_set(err, TR_E_INVALID, why, "original command") : TR_OK;
}

/* Absent or null: not there. Anything else must be text. */
static TR_RC take_text(tr_jnode object, const char *name, bool needed, struct tr_view *ret, struct tr_err *err)
{
	tr_jnode n = tr_json_get(object, name);

	if ((!n || tr_json_is_null(n)) && !needed)
		return TR_OK;
	if (tr_json_str(n, ret))
		return TR_OK;
	return tr_err_set(err, TR_E_INVALID, needed ? "a member of the command is missing or not text"
						    : "a member of the command is not text", "%s", name);
}

static TR_RC take_time(tr_jnode object, const char *name, int64_t *ret_ms, struct tr_err *err)
{
	struct tr_view text = { 0 };
	enum tr_code rc = take_text(object, name, false, &text, err);

	if (rc || !text.p)
		return rc;
	if (!tr_rfc3339_get(text, ret_ms) || *ret_ms < 1000)
		return tr_err_set(err, TR_E_INVALID, "a time in the command is not of the form 2026-11-22T01:02:03Z", "%s", name);
	return TR_OK;
}

static TR_RC add_params(tr_jnode n, struct tr_buf *b, struct tr_err *err)
{
	if (!n || tr_json_is_null(n)) {
		/* Go hashes "null" for a map that was never made and "{}" for an empty one, and a reader cannot tell
		 * which the sender had: here both are the latter. */
		tr_buf_adds(b, "{}");
		return tr_buf_check(b, err);
	}
	if (!tr_json_is_object(n))
		return tr_err_set(err, TR_E_INVALID, "the command's params are not a JSON object", "params");
	return tr_go_json_add(n, b, err);
}

TR_RC tr_compat_read(struct tr_view json, struct tr_json **ret_doc, struct tr_buf *ret_params,
		     struct tr_compat_command *ret, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_compat_command c = { 0 };
	int64_t signed_ms = 0;
	tr_jnode o;

	if (json.n > TR_COMPAT_COMMAND_MAX)
		return tr_err_set(err, TR_E_INVALID, "the command is too long", "%zu bytes", json.n);
	if (tr_json_parse_reals(json, &doc, err))
		return err->code;
	o = tr_json_root(doc);
	if (!tr_json_is_object(o))
		return tr_err_set(err, TR_E_INVALID, "the command is not a JSON object", "original command");
	if (take_text(o, "id", true, &c.id, err) || take_text(o, "type", true, &c.type, err) ||
	    take_text(o, "signature", true, &c.signature, err) || take_text(o, "key_id", false, &c.key_id, err) ||
	    take_text(o, "agent_id", false, &c.agent_id, err) || take_time(o, "signed_at", &signed_ms, err) ||
	    take_time(o, "created_at", &c.created_ms, err))
		return err->code;
	c.signed_s = signed_ms / 1000; /* the form signs whole seconds */
	if (check(&c, err) || add_params(tr_json_get(o, "params"), ret_params, err))
		return err->code;
	c.params = tr_buf_view(ret_params);
	*ret = c;
	*ret_doc = TR_TAKE(doc);
	return TR_OK;
}

static void add_member(struct tr_buf *b, const char *name, struct tr_view text)
{
	tr_buf_addf(b, "%s\"%s\":", b->n && b->p[b->n - 1] != '{' ? "," : "", name);
	tr_json_put_str(b, text);
}

static void write_json(const struct tr_compat_command *c, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf at = TR_BUF_INIT;

	tr_buf_adds(b, "{");
	add_member(b, "id", c->id);
	add_member(b, "type", c->type);
	tr_buf_adds(b, ",\"params\":");
	tr_buf_addv(b, c->params);
	add_member(b, "signature", c->signature);
	add_member(b, "key_id", c->key_id);
	tr_rfc3339_add(&at, c->signed_s * 1000);
	add_member(b, "signed_at", tr_buf_view(&at));
	add_member(b, "agent_id", c->agent_id);
	tr_buf_clear(&at);
	tr_rfc3339_add(&at, c->created_ms);
	add_member(b, "created_at", tr_buf_view(&at));
	tr_buf_adds(b, "}");
}

TR_RC tr_compat_sign(const struct tr_compat_command *c, const struct tr_privkey *k, struct tr_buf *ret_json,
		     struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf params = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_compat_command out = *c;
	uint8_t sig[TR_SIG_MAX];
	char key_id[33];
	size_t n;

	if (check(c, err))
		return err->code;
	if (tr_compat_form(c) != TR_COMPAT_V3 || c->created_ms <= 0)
		return tr_err_set(err, TR_E_INVALID, "an original command is signed in form v3 only: agent and times are needed",
				  "original command");
	if (tr_pubkey_type(tr_privkey_pub(k)) != TR_KEY_ED25519)
		return tr_err_set(err, TR_E_INVALID, "the original form knows Ed25519 keys only; the primary command key is another",
				  "%s", tr_pubkey_type_name(tr_privkey_pub(k)));
	if (tr_json_parse_reals(c->params.n ? c->params : TR_VIEW_LIT("{}"), &doc, err) ||
	    add_params(tr_json_root(doc), &params, err))
		return err->code;
	out.params = tr_buf_view(&params);
	tr_compat_tbs(&out, TR_COMPAT_V3, &tbs);
	if (tr_buf_check(&tbs, err) || tr_sign(k, TR_SIG_ED25519, tr_buf_view(&tbs), sig, &n, err))
		return err->code;
	tr_hex_add(&hex, tr_view(sig, n));
	tr_pubkey_short_id(tr_privkey_pub(k), key_id);
	out.signature = tr_buf_view(&hex);
	out.key_id = tr_view_str(key_id);
	write_json(&out, ret_json);
	return tr_buf_check(ret_json, err);
}

static const struct tr_pubkey *key_of(const struct tr_compat_command *c, const struct tr_compat_scope *s)
{
	char id[33];

	for (size_t i = 0; i < s->n_keys; i++) {
		tr_pubkey_short_id(s->keys[i], id);
		if (tr_pubkey_type(s->keys[i]) == TR_KEY_ED25519 && (!c->key_id.n || tr_view_is(c->key_id, id)))
			return s->keys[i];
		if (!c->key_id.n)
			break; /* the primary, or none */
	}
	return NULL;
}

static bool authentic(const struct tr_compat_command *c, enum tr_compat_form form, const struct tr_pubkey *k)
{
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;
	struct tr_err err;
	uint8_t sig[SIG_LEN];

	for (size_t i = 0; i < c->signature.n; i++)
		if (c->signature.p[i] >= 'A' && c->signature.p[i] <= 'F')
			return false; /* one text per signature */
	tr_compat_tbs(c, form, &tbs);
	return tr_buf_ok(&tbs) && tr_hex_get(c->signature, sig, sizeof(sig)) &&
	       tr_verify(k, TR_SIG_ED25519, tr_buf_view(&tbs), TR_VIEW_ARRAY(sig), &err) == TR_OK;
}

static enum tr_compat_answer judge_time(int64_t from_ms, int64_t now_ms, int64_t age_max_s)
{
	if (from_ms > now_ms + TR_COMPAT_AHEAD_MAX_S * 1000)
		return TR_COMPAT_NOT_YET;
	return now_ms - from_ms > age_max_s * 1000 ? TR_COMPAT_TOO_OLD : TR_COMPAT_GOOD;
}

enum tr_compat_answer tr_compat_verify(const struct tr_compat_command *c, const struct tr_compat_scope *s)
{
	enum tr_compat_form form = tr_compat_form(c);
	const struct tr_pubkey *k;
	struct tr_err err;

	if (!s->on)
		return TR_COMPAT_OFF;
	k = key_of(c, s);
	if (!k)
		return TR_COMPAT_UNKNOWN_KEY;
	if (check(c, &err) || !authentic(c, form, k))
		return TR_COMPAT_BAD_SIGNATURE;
	if (form < *s->highest)
		return TR_COMPAT_DOWNGRADE;
	*s->highest = form;
	if (form == TR_COMPAT_V3 && !tr_view_eq(c->agent_id, s->agent_id))
		return TR_COMPAT_WRONG_AGENT;
	if (form != TR_COMPAT_V1)
		return judge_time(c->signed_s * 1000, s->now_ms, TR_COMPAT_AGE_MAX_S);
	return c->created_ms ? judge_time(c->created_ms, s->now_ms, TR_COMPAT_V1_AGE_MAX_S) : TR_COMPAT_NO_CREATION;
}
