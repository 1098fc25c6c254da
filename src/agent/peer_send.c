/* SPDX-License-Identifier: Apache-2.0 */
/* A message goes: to whom is found out, it gets its number (on disk before it is used), is sealed, and is handed over to the
 * recipient itself or, where that does not answer, to the hub. There is no outbox: whoever sends hears how it ended. */
#include "agent/peer_inner.h"

#include "base/log.h"
#include "codec/text.h"

#include <stdio.h>

#define DIRECT_MS 5000
#define MAILBOX_MS 15000
#define CBOR "application/cbor"

struct outgoing {
	struct tr_peer *p;
	char to[65], type[128];
	struct tr_buf body, envelope;
	uint8_t answers[TR_MESSAGE_ID_LEN];
	bool has_answers, asked_again;
	uint64_t life_s;
	enum tr_peer_deliver via;
	struct tr_sent sent;
	int64_t issued_s;
	char endpoint[TR_URL_MAX + 1];
	uint8_t key_id[32]; /* of the recipient, that its evidence speaks for */
	tr_sent_fn fn;
	void *arg;
};

static void end(struct outgoing *o, const struct tr_no *no)
{
	if (!no)
		o->p->sent++;
	o->fn(o->arg, no ? NULL : &o->sent, no);
	tr_wipe(o->body.p, o->body.n);
	tr_buf_done(&o->body);
	tr_buf_done(&o->envelope);
	free(o);
}

/* The other side's own code and sentence, where it gave them: copied, as they are another process's words. */
static void end_by_answer(struct outgoing *o, const struct tr_errand_answer *a, const char *code, const char *why)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	static char theirs[64], said[300];
	struct tr_view v;
	struct tr_err err;

	(void)snprintf(theirs, sizeof(theirs), "%s", code);
	(void)snprintf(said, sizeof(said), "%s", why);
	if (a->body.n && tr_json_parse(a->body, &doc, &err) == TR_OK) {
		if (tr_json_str(tr_json_get(tr_json_root(doc), "code"), &v) && v.n < sizeof(theirs))
			(void)snprintf(theirs, sizeof(theirs), "%.*s", TR_VIEW_FMT(v));
		if (tr_json_str(tr_json_get(tr_json_root(doc), "detail"), &v) && v.n < sizeof(said))
			(void)snprintf(said, sizeof(said), "%.*s", TR_VIEW_FMT(v));
	}
	end(o, TR_NO(a->status >= 400 && a->status < 600 ? (int)a->status : 502, theirs, said));
}

/* ---- by the mailbox ---- */

static void on_mailed(void *arg, const struct tr_errand_answer *a)
{
	struct outgoing *o = arg;

	if (a->code)
		end(o, TR_NO(503, "not_delivered", "neither the recipient nor the hub answers; try again later"));
	else if (a->status != 200 && a->status != 202)
		end_by_answer(o, a, "not_delivered", "the hub did not take the message");
	else
		end(o, NULL);
}

static void mail(struct outgoing *o)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_errand e = { .method = TR_VIEW_LIT("POST"), .content_type = TR_VIEW_LIT(CBOR),
			       .body = tr_buf_view(&o->envelope), .timeout_ms = MAILBOX_MS };
	struct tr_err err = { 0 };

	o->sent.direct = false;
	tr_buf_addf(&path, "/api/v1/mailbox/%s", o->to);
	e.path = tr_buf_view(&path);
	if (tr_courier_send(o->p->errands, &e, on_mailed, o, &err))
		end(o, TR_NO(503, "busy", "too many requests are under way; try again later"));
}

/* ---- directly ---- */

static void on_recipient(void *arg, struct tr_peer_info *info, const struct tr_no *no);

static bool is_slug(struct tr_view body, const char *slug)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_view v;
	struct tr_err err;

	return tr_json_parse(body, &doc, &err) == TR_OK && tr_json_str(tr_json_get(tr_json_root(doc), "code"), &v) &&
	       tr_view_is(v, slug);
}

static void on_handed(void *arg, const struct tr_errand_answer *a)
{
	struct outgoing *o = arg;
	bool itself = !a->code && tr_view_eq(a->peer_key, TR_VIEW_ARRAY(o->key_id));

	if (itself && (a->status == 200 || a->status == 202)) {
		o->sent.direct = true;
		end(o, NULL);
	} else if (itself && a->status == 404 && !o->asked_again && is_slug(a->body, "prekey_unknown")) {
		/* It has rotated since we asked. The same number again: it was not taken. */
		o->asked_again = true;
		tr_peer_lookup(o->p, tr_view_str(o->to), true, on_recipient, o);
	} else if (itself && a->status >= 400 && a->status < 500 && a->status != 429 && a->status != 404) {
		/* It would refuse the same bytes from the mailbox, too. */
		end_by_answer(o, a, "recipient_refused", "the recipient refused the message");
	} else if (o->via == TR_PEER_DIRECT) {
		end_by_answer(o, a, "not_delivered", "the recipient does not answer at its endpoint");
	} else {
		mail(o);
	}
}

static bool hand_over(struct outgoing *o)
{
	char spiffe[TR_SPIFFE_MAX];
	struct tr_errand e = { .method = TR_VIEW_LIT("POST"), .path = TR_VIEW_LIT("/messages"), .content_type = TR_VIEW_LIT(CBOR),
			       .url = tr_view_str(o->endpoint), .body = tr_buf_view(&o->envelope), .timeout_ms = DIRECT_MS };
	struct tr_err err = { 0 };

	tr_peer_spiffe(o->p, tr_view_str(o->to), spiffe);
	e.spiffe = tr_view_str(spiffe);
	return tr_courier_send(o->p->caller, &e, on_handed, o, &err) == TR_OK;
}

/* ---- the message ---- */

static TR_RC number_it(struct outgoing *o, struct tr_err *err)
{
	int64_t now = tr_peer_now_s();

	if (o->sent.seq)
		return TR_OK;
	if (tr_peer_store_next(&o->p->store, tr_view_str(o->to), now, &o->sent.line, &o->sent.seq, err) ||
	    tr_peer_store_save(&o->p->state, &o->p->store, err))
		return err->code;
	o->p->unsettled = false;
	tr_random(o->sent.id, sizeof(o->sent.id));
	o->issued_s = now;
	o->sent.expires_s = now + (int64_t)o->life_s;
	return TR_OK;
}

static TR_RC seal(struct outgoing *o, const struct tr_peer_info *info, struct tr_err *err)
{
	struct tr_message m = { .fleet = tr_view_str(o->p->trust_domain),
				.sender = tr_view_str(o->p->agent_id),
				.recipient = tr_view_str(o->to),
				.line = o->sent.line,
				.seq = o->sent.seq,
				.issued = o->issued_s,
				.expires = o->sent.expires_s,
				.type = tr_view_str(o->type),
				.body = tr_buf_view(&o->body),
				.answers = tr_view(o->answers, o->has_answers ? sizeof(o->answers) : 0) };

	memcpy(m.id, o->sent.id, sizeof(m.id));
	tr_buf_clear(&o->envelope);
	return tr_message_seal(&m, o->p->state.key, info->prekey.key, &o->envelope, err);
}

static void on_recipient(void *arg, struct tr_peer_info *info, const struct tr_no *no)
{
	struct outgoing *o = arg;
	struct tr_err err = { 0 };

	if (!info) {
		end(o, no);
		return;
	}
	if (!info->has_prekey && !o->asked_again) {
		/* It was met before its first one was published. */
		o->asked_again = true;
		tr_peer_lookup(o->p, tr_view_str(o->to), true, on_recipient, o);
		return;
	}
	if (!info->has_prekey) {
		end(o, TR_NO(409, "no_prekey", "the recipient has published no key that messages could be sealed to"));
		return;
	}
	/* Before it has a number: the recipient would be told of a message that never came. */
	if (o->via == TR_PEER_DIRECT && !info->endpoint[0]) {
		end(o, TR_NO(409, "no_endpoint", "the recipient cannot be called: it has told no endpoint"));
		return;
	}
	if (number_it(o, &err) || seal(o, info, &err)) {
		tr_log_err(TR_LOG_ERROR, "message_not_sealed", &err, "to", o->to, NULL);
		end(o, TR_NO(err.code == TR_E_INVALID ? 400 : 503, err.code == TR_E_INVALID ? "malformed" : "not_sealed", err.pub));
		return;
	}
	memcpy(o->key_id, tr_pubkey_id(info->key), sizeof(o->key_id));
	(void)snprintf(o->endpoint, sizeof(o->endpoint), "%s", info->endpoint);
	if (o->via != TR_PEER_MAILBOX && o->endpoint[0]) {
		if (!hand_over(o))
			end(o, TR_NO(503, "busy", "too many requests are under way; try again later"));
	} else {
		mail(o);
	}
}

void tr_peer_send(struct tr_peer *p, const struct tr_send *m, tr_sent_fn fn, void *arg)
{
	struct outgoing *o = calloc(1, sizeof(*o));
	struct tr_err err = { 0 };

	if (!o) {
		fn(arg, NULL, TR_NO(503, "out_of_memory", "there is no memory for this; try again later"));
		return;
	}
	*o = (struct outgoing){ .p = p, .life_s = m->life_s, .via = m->via, .fn = fn, .arg = arg,
				.has_answers = m->answers.n == TR_MESSAGE_ID_LEN };
	(void)snprintf(o->to, sizeof(o->to), "%.*s", m->to.n < sizeof(o->to) ? (int)m->to.n : 0, (const char *)m->to.p);
	(void)snprintf(o->type, sizeof(o->type), "%.*s", m->type.n < sizeof(o->type) ? (int)m->type.n : 0, (const char *)m->type.p);
	if (o->has_answers)
		memcpy(o->answers, m->answers.p, sizeof(o->answers));
	tr_buf_addv(&o->body, m->body);
	if (tr_buf_check(&o->body, &err))
		end(o, TR_NO(503, "out_of_memory", "there is no memory for this; try again later"));
	else
		tr_peer_lookup(p, tr_view_str(o->to), false, on_recipient, o);
}
