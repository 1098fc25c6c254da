/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps messages from being sent or taken twice: the number of the last message to each recipient, and the window of
 * each sender. In messages.cbor, written whole and synced: a number before it is used, a window before the message is given
 * to anybody. */
#ifndef TR_AGENT_PEER_STORE_H
#define TR_AGENT_PEER_STORE_H

#include "agent/state.h"
#include "signed/message.h"

#define TR_PEER_STORE_FILE "messages.cbor"
#define TR_PEER_SENDERS_MAX 1024
#define TR_PEER_RECIPIENTS_MAX 1024

struct tr_sender {
	char agent[65];
	struct tr_message_window w;
	int64_t used_s;
};
struct tr_recipient {
	char agent[65];
	uint64_t line, seq, prekey; /* prekey: highest number seen of theirs */
	int64_t used_s;
};
struct tr_peer_store {
	int64_t floor_s;   /* messages issued before are not taken: what was taken then is not known */
	uint64_t inbox;    /* last number in the inbox */
	size_t n_senders, n_recipients;
	struct tr_sender *senders;
	struct tr_recipient *recipients;
};
void tr_peer_store_done(struct tr_peer_store *p);
TR_DEFINE_AUTO_DONE(struct tr_peer_store, tr_peer_store_done)

/* No file: begins now. TR_E_INVALID: it is damaged, and *ret begins now as well. */
TR_RC tr_peer_store_load(const struct tr_state *s, int64_t now_s, struct tr_peer_store *ret, struct tr_err *err);
TR_RC tr_peer_store_save(const struct tr_state *s, const struct tr_peer_store *p, struct tr_err *err);

/* The next number to this recipient; the caller saves before it uses it. TR_E_BUSY: too many recipients. */
TR_RC tr_peer_store_next(struct tr_peer_store *p, struct tr_view to, int64_t now_s, uint64_t *ret_line, uint64_t *ret_seq,
			 struct tr_err *err);
/* The highest pre-key number seen of theirs; a lower one afterwards is an old one played again. */
uint64_t tr_peer_store_prekey(const struct tr_peer_store *p, struct tr_view of);
void tr_peer_store_saw_prekey(struct tr_peer_store *p, struct tr_view of, uint64_t number, int64_t now_s);

enum tr_window_says tr_peer_store_check(const struct tr_peer_store *p, struct tr_view from, uint64_t line, uint64_t seq);
/* TR_E_BUSY: too many senders within two days. */
TR_RC tr_peer_store_take(struct tr_peer_store *p, struct tr_view from, uint64_t line, uint64_t seq, int64_t now_s,
			 struct tr_err *err);
uint64_t tr_peer_store_missing(const struct tr_peer_store *p, struct tr_view from);

#endif
