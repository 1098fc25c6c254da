/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that were taken and that no local application has acknowledged: one file each in inbox/, synced before the sender
 * or the hub hears that it was taken. Bounded; what expires unread is deleted. */
#ifndef TR_AGENT_INBOX_H
#define TR_AGENT_INBOX_H

#include "agent/state.h"
#include "signed/message.h"

#define TR_INBOX_DIR "inbox"
#define TR_INBOX_MESSAGES_MAX 1024
#define TR_INBOX_BYTES_MAX ((size_t)16 << 20)

struct tr_letter {
	struct tr_letter *next;
	uint64_t number;         /* of this inbox, rises */
	uint64_t line, seq;
	char sender[65];
	uint8_t id[TR_MESSAGE_ID_LEN];
	int64_t issued, expires, received; /* Unix s */
	bool direct;             /* from the sender itself; else from the hub's mailbox */
	struct tr_view type, body, answers;
	uint8_t bytes[];         /* what the views are of */
};
struct tr_inbox {
	struct tr_letter *first, *last; /* by number */
	size_t n, bytes;
};
void tr_inbox_done(struct tr_inbox *b);
TR_DEFINE_AUTO_DONE(struct tr_inbox, tr_inbox_done)

/* The folder must be there. Files that are none of ours are left alone and said in the log. */
TR_RC tr_inbox_load(const struct tr_state *s, struct tr_inbox *ret, struct tr_err *err);
bool tr_inbox_has_room(const struct tr_inbox *b, size_t body);
/* On disk when it returns TR_OK. The same message again takes the place of its file. */
TR_RC tr_inbox_put(const struct tr_state *s, struct tr_inbox *b, const struct tr_message *m, uint64_t number, int64_t now_s,
		   bool direct, struct tr_err *err);
/* False: there is none of that id. */
bool tr_inbox_drop(const struct tr_state *s, struct tr_inbox *b, const uint8_t id[TR_MESSAGE_ID_LEN]);
size_t tr_inbox_expire(const struct tr_state *s, struct tr_inbox *b, int64_t now_s);

#endif
