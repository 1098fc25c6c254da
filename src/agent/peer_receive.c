/* SPDX-License-Identifier: Apache-2.0 */
/* A message comes, over another agent's own connection or out of the mailbox: who sent it is found out without asking the
 * message, then it is opened, then it is on disk, and only then somebody hears that it was taken. */
#include "agent/peer_inner.h"

#include "base/log.h"

#include <stdio.h>

#define SKEW_S 300

struct incoming {
	struct tr_peer *p;
	struct tr_buf bytes;	/* what e borrows from */
	struct tr_envelope e;
	bool direct, again;	/* again: the hub was asked anew already */
	struct tr_tls_peer tls;
	tr_taken_fn fn;
	void *arg;
};

static void end(struct incoming *in, enum tr_taken how, const uint8_t *id, const struct tr_no *no)
{
	static const uint8_t none[TR_MESSAGE_ID_LEN];

	if (how == TR_TAKEN)
		in->p->taken++;
	if (how == TR_TAKEN_NEVER) {
		in->p->refused++;
		tr_log(TR_LOG_WARN, "message_refused", "code", no->code, "from", tr_fmt_view(in->e.sender), "via",
		       in->direct ? "direct" : "mailbox", "why", no->why, NULL);
	}
	in->fn(in->arg, how, id ? id : none, no);
	tr_buf_done(&in->bytes);
	free(in);
}

static void never(struct incoming *in, int status, const char *code, const char *why)
{
	end(in, TR_TAKEN_NEVER, NULL, TR_NO(status, code, why));
}

static void later(struct incoming *in, int status, const char *code, const char *why)
{
	end(in, TR_TAKEN_LATER, NULL, TR_NO(status, code, why));
}

static void on_sender(void *arg, struct tr_peer_info *info, const struct tr_no *no);

/* What we know may be older than the sender's key: asked once more, of the hub. */
static bool ask_again(struct incoming *in, const struct tr_peer_info *info)
{
	if (in->again || info->asked_s + 1 >= tr_peer_now_s())
		return false;
	in->again = true;
	tr_peer_lookup(in->p, in->e.sender, true, on_sender, in);
	return true;
}

bool tr_peer_settle(struct tr_peer *p)
{
	struct tr_err err = { 0 };

	if (!p->unsettled)
		return true;
	if (tr_peer_store_save(&p->state, &p->store, &err)) {
		tr_log_err(TR_LOG_ERROR, "windows_not_stored", &err, NULL);
		return false;
	}
	p->unsettled = false;
	return true;
}

/* Once it is on disk, it was taken; and what is not on disk can come again. The letter itself says that its number was seen
 * (peer.c reads the inbox into the windows), so that the windows are written when it goes, not when it comes. */
static void take(struct incoming *in, const struct tr_message *m)
{
	struct tr_peer *p = in->p;
	int64_t now = tr_peer_now_s();
	struct tr_err err = { 0 };

	if (!tr_inbox_has_room(&p->inbox, m->body.n)) {
		later(in, 429, "inbox_full", "the recipient's applications have left too many messages unread; try again later");
		return;
	}
	if (tr_inbox_put(&p->state, &p->inbox, m, ++p->store.inbox, now, in->direct, &err)) {
		tr_log_err(TR_LOG_ERROR, "message_not_stored", &err, NULL);
		later(in, 503, "not_stored", "the recipient could not store the message; try again later");
		return;
	}
	if (tr_peer_store_take(&p->store, m->sender, m->line, m->seq, now, &err)) {
		tr_log_err(TR_LOG_WARN, "message_not_taken", &err, NULL);
		(void)tr_inbox_drop(&p->state, &p->inbox, m->id);
		later(in, 429, "inbox_full", "too many agents write to the recipient; try again later");
		return;
	}
	p->unsettled = true;
	tr_local_wake(p->local, false);
	end(in, TR_TAKEN, m->id, NULL);
}

static void judge(struct incoming *in, const struct tr_message *m)
{
	int64_t now = tr_peer_now_s();

	if (m->expires <= now) {
		never(in, 410, "expired", "the message has expired");
		return;
	}
	if (m->issued > now + SKEW_S) {
		never(in, 400, "not_yet", "the message was issued in the future: the clocks differ too much");
		return;
	}
	if (m->issued < in->p->store.floor_s) {
		never(in, 409, "too_old", "the message is older than what the recipient remembers; send it anew");
		return;
	}
	switch (tr_peer_store_check(&in->p->store, m->sender, m->line, m->seq)) {
	case TR_WINDOW_NEW: take(in, m); return;
	case TR_WINDOW_SEEN: end(in, TR_TAKEN_BEFORE, m->id, NULL); return;
	case TR_WINDOW_TOO_OLD:
		never(in, 409, "too_old", "more than 1024 later messages came before this one; send it anew");
		return;
	case TR_WINDOW_OLD_LINE: never(in, 409, "old_line", "the sender has begun a new line since; send it anew"); return;
	}
}

static void on_sender(void *arg, struct tr_peer_info *info, const struct tr_no *no)
{
	struct incoming *in = arg;
	tr_auto(tr_buf_done) struct tr_buf storage = TR_BUF_INIT;
	const struct tr_secret *prekey = tr_prekeys_find(&in->p->prekeys, in->e.prekey_id, tr_peer_now_s());
	struct tr_message m;
	struct tr_err err = { 0 };

	if (!info) {
		/* Unknown today can be verified again in a minute; what is wrong stays wrong. */
		if (no->status == 403 && strcmp(no->code, "not_attested") != 0)
			never(in, 403, "sender_not_believed", no->why);
		else
			later(in, no->status == 404 ? 403 : no->status, no->status == 404 ? "sender_unknown" : no->code, no->why);
		return;
	}
	/* The certificate and the evidence must speak for one key. */
	if (in->direct && memcmp(in->tls.key_id, tr_pubkey_id(info->key), 32) != 0) {
		if (!ask_again(in, info))
			never(in, 403, "key_mismatch", "the connection's key is not the one that the sender's evidence speaks for");
		return;
	}
	if (!prekey) {
		never(in, 404, "prekey_unknown", "the message is sealed to a key that is gone; look the recipient up again");
		return;
	}
	if (tr_message_open(&in->e, tr_view_str(in->p->trust_domain), prekey, info->key, &storage, &m, &err)) {
		if (err.code == TR_E_DENIED && ask_again(in, info))
			return;
		if (err.code == TR_E_INTERNAL)
			later(in, 503, "busy", "the recipient cannot open the message now; try again later");
		else
			never(in, 403, err.code == TR_E_DENIED ? "bad_signature" : "malformed", err.pub);
		return;
	}
	judge(in, &m);
	tr_wipe(storage.p, storage.n);
}

void tr_peer_receive(struct tr_peer *p, struct tr_view envelope, const struct tr_tls_peer *tls, tr_taken_fn fn, void *arg)
{
	struct incoming *in = calloc(1, sizeof(*in));
	static const uint8_t none[TR_MESSAGE_ID_LEN];
	struct tr_err err = { 0 };

	if (!in) {
		fn(arg, TR_TAKEN_LATER, none, TR_NO(503, "out_of_memory", "there is no memory for this; try again later"));
		return;
	}
	*in = (struct incoming){ .p = p, .direct = tls != NULL, .fn = fn, .arg = arg };
	if (tls)
		in->tls = *tls;
	tr_buf_addv(&in->bytes, envelope);
	if (tr_buf_check(&in->bytes, &err))
		later(in, 503, "out_of_memory", "there is no memory for this; try again later");
	else if (tr_envelope_parse(tr_buf_view(&in->bytes), &in->e, &err))
		never(in, 400, "malformed", err.pub);
	else if (!tr_view_is(in->e.recipient, p->agent_id))
		never(in, 403, "wrong_agent", "the message is for another agent");
	else if (tls && !tr_view_is(in->e.sender, tls->agent))
		never(in, 403, "wrong_agent", "the message names another sender than the connection's certificate");
	else if (in->e.expires <= tr_peer_now_s())
		never(in, 410, "expired", "the message has expired");
	else
		tr_peer_lookup(p, in->e.sender, false, on_sender, in);
}
