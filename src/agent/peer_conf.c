/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peer_conf.h"

#include "codec/ident.h"

#include <stdio.h>

#define CONF_MAX 65536
#define TYPE "type:"

void tr_peer_conf_done(struct tr_peer_conf *c)
{
	c->doc = tr_json_free(c->doc);
	tr_buf_done(&c->text);
}

struct reading {
	struct tr_peer_conf *c;
	const char *bad; /* the member that is wrong */
	const char *why;
};

static bool wrong(struct reading *r, const char *key, const char *why)
{
	r->bad = key;
	r->why = why;
	return false;
}

static bool text_of(struct reading *r, const char *key, tr_jnode v, size_t max, struct tr_view *ret)
{
	if (!tr_json_str(v, ret) || !ret->n || ret->n > max || memchr(ret->p, 0, ret->n))
		return wrong(r, key, "must be a text that is not empty");
	return true;
}

static bool path_of(struct reading *r, const char *key, tr_jnode v, size_t max, struct tr_view *ret)
{
	if (!text_of(r, key, v, max, ret) || ret->p[0] != '/')
		return wrong(r, key, "must be a path from the root on");
	return true;
}

static bool word_of(struct reading *r, const char *key, tr_jnode v, const char *const *words, unsigned n, unsigned *ret)
{
	struct tr_view text;

	for (*ret = 0; tr_json_str(v, &text) && *ret < n; ++*ret)
		if (tr_view_is(text, words[*ret]))
			return true;
	return wrong(r, key, "is none of its words");
}

static bool is_allowed_form(struct tr_view v)
{
	size_t n = sizeof(TYPE) - 1;

	return tr_ident_ok(tr_view_starts(v, TYPE) ? tr_view(v.p + n, v.n - n) : v);
}

static bool list_of(struct reading *r, const char *key, tr_jnode v, struct tr_view *out, size_t max, size_t *ret_n)
{
	if (!tr_json_is_array(v) || tr_json_len(v) > max)
		return wrong(r, key, "must be a list, and not too long");
	*ret_n = tr_json_len(v);
	for (size_t i = 0; i < *ret_n; i++)
		if (!tr_json_str(tr_json_at(v, i), &out[i]) ||
		    !(out == r->c->allow ? is_allowed_form(out[i]) : tr_ident_ok(out[i])))
			return wrong(r, key, "holds something that is no name");
	return true;
}

static bool member(void *arg, const char *key, tr_jnode v)
{
	static const char *const verify[] = { "result", "evidence" }, *const deliver[] = { "auto", "direct", "mailbox" };
	struct reading *r = arg;
	struct tr_peer_conf *c = r->c;
	unsigned word;

	if (strcmp(key, "listen") == 0)
		return text_of(r, "listen", v, 256, &c->listen);
	if (strcmp(key, "endpoint") == 0)
		return (text_of(r, "endpoint", v, TR_URL_MAX, &c->endpoint) && tr_view_starts(c->endpoint, "https://")) ||
		       wrong(r, "endpoint", "must be https://HOST:PORT");
	if (strcmp(key, "socket") == 0)
		return path_of(r, "socket", v, 100, &c->socket);
	if (strcmp(key, "policy") == 0)
		return path_of(r, "policy", v, PATH_MAX - 1, &c->policy);
	if (strcmp(key, "collateral") == 0)
		return path_of(r, "collateral", v, PATH_MAX - 1, &c->collateral);
	if (strcmp(key, "mailbox") == 0)
		return tr_json_bool(v, &c->mailbox) || wrong(r, "mailbox", "must be true or false");
	if (strcmp(key, "allow") == 0)
		return list_of(r, "allow", v, c->allow, TR_PEER_ALLOW_MAX, &c->n_allow);
	if (strcmp(key, "capabilities") == 0)
		return list_of(r, "capabilities", v, c->capabilities, TR_PEER_CAPABILITIES_MAX, &c->n_capabilities);
	if (strcmp(key, "verify") == 0) {
		if (!word_of(r, "verify", v, verify, TR_ARRAY_LEN(verify), &word))
			return false;
		c->verify = (enum tr_peer_verify)word;
		return true;
	}
	if (strcmp(key, "min_tier") == 0) {
		struct tr_view name;

		return (tr_json_str(v, &name) && tr_tier_from_name(name, &c->min_tier)) ||
		       wrong(r, "min_tier", "must be none, self-asserted, kernel or hardware");
	}
	if (strcmp(key, "deliver") == 0) {
		if (!word_of(r, "deliver", v, deliver, TR_ARRAY_LEN(deliver), &word))
			return false;
		c->deliver = (enum tr_peer_deliver)word;
		return true;
	}
	/* A word that was misspelt must not mean that something is open. */
	return wrong(r, "a member is not known:", key);
}

TR_RC tr_peer_conf_parse(struct tr_view text, struct tr_peer_conf *ret, struct tr_err *err)
{
	tr_auto(tr_peer_conf_done) struct tr_peer_conf c = { .mailbox = true };
	struct reading r = { .c = &c };

	tr_buf_addv(&c.text, text);
	if (tr_buf_check(&c.text, err) || tr_json_parse(tr_buf_view(&c.text), &c.doc, err))
		return tr_err_wrap(err, TR_PEER_CONF_FILE);
	if (!tr_json_is_object(tr_json_root(c.doc)))
		(void)wrong(&r, "it", "must be a JSON object");
	tr_json_each(tr_json_root(c.doc), member, &r);
	if (!r.bad && c.verify == TR_PEER_BY_EVIDENCE && !c.policy.n)
		(void)wrong(&r, "policy", "is missing: evidence is judged by a policy");
	if (!r.bad && c.endpoint.n && !c.listen.n)
		(void)wrong(&r, "listen", "is missing: nobody can call an endpoint where nothing listens");
	if (r.bad)
		return tr_err_set(err, TR_E_INVALID, "peer.json is not as docs/protocol/message.md says; the log names the member",
				  "%s %s", r.bad, r.why);
	*ret = c;
	c = (struct tr_peer_conf){ .mailbox = false };
	return TR_OK;
}

TR_RC tr_peer_conf_load(const struct tr_state *s, struct tr_peer_conf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc = tr_state_read(s, TR_PEER_CONF_FILE, CONF_MAX, &b, err);

	return rc ? rc : tr_peer_conf_parse(tr_buf_view(&b), ret, err);
}

bool tr_peer_conf_allows(const struct tr_peer_conf *c, struct tr_view agent, struct tr_view type)
{
	size_t n = sizeof(TYPE) - 1;

	for (size_t i = 0; i < c->n_allow; i++) {
		struct tr_view a = c->allow[i];

		if (tr_view_starts(a, TYPE) ? type.n && tr_view_eq(tr_view(a.p + n, a.n - n), type) : tr_view_eq(a, agent))
			return true;
	}
	return c->n_allow == 0;
}
