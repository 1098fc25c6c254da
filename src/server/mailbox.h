/* SPDX-License-Identifier: Apache-2.0 */
/* Which letters wait for whom, beside the rows of table `mails`; and the questions that wait for letters. */
#ifndef TR_SERVER_MAILBOX_H
#define TR_SERVER_MAILBOX_H

#include "server/hub.h"

#define TR_MAIL_ID_HEX 32
#define TR_MAIL_SLOTS 4096 /* of the hash over recipients */

struct tr_letter {
	struct tr_letter *next;
	uint64_t number;
	int64_t expires_at;
	size_t bytes;
	char id[TR_MAIL_ID_HEX + 1], sender[65];
};

/* One recipient's; made with its first letter or question, and kept: there are no more than agents. */
struct tr_mailbox {
	struct tr_mailbox *next;     /* in its slot */
	struct tr_letter *first, *last; /* oldest first */
	size_t n, bytes;
	unsigned coming;             /* letters on their way to the store */
	size_t coming_bytes;
	size_t sent_bytes, sending_bytes; /* of this agent's own letters to others, stored and on their way to the store */
	uint64_t number;             /* the last given */
	bool asking;
	unsigned front;
	uint32_t front_gen;
	uint64_t question;
	int64_t until_ms;            /* steady */
	char recipient[65];
};

struct tr_mailboxes {
	struct tr_mailbox *slots[TR_MAIL_SLOTS];
	size_t letters, bytes, asking;
	uint64_t expire_ms; /* monotonic: when old letters are looked for again */
	uint64_t seed;
};

struct tr_mailboxes *tr_mailboxes_new(void);
struct tr_mailboxes *tr_mailboxes_free(struct tr_mailboxes *m);
struct tr_mailbox *tr_mailbox_find(struct tr_mailboxes *m, struct tr_view recipient); /* NULL: none yet */
struct tr_mailbox *tr_mailbox_of(struct tr_mailboxes *m, struct tr_view recipient);   /* NULL: out of memory */
/* Would one more letter of this sender be too much? */
bool tr_mailbox_is_full(struct tr_mailboxes *m, const struct tr_mailbox *b, struct tr_view sender, size_t bytes);
/* A letter is there; false: out of memory. */
bool tr_mailbox_take(struct tr_mailboxes *m, const struct tr_mail_row *row);
void tr_mailbox_drop(struct tr_mailboxes *m, struct tr_view recipient, struct tr_view id);
/* Letters that nobody fetched in time are gone, from memory and, by the node that holds the lease, from the store. */
void tr_mailbox_expire(struct tr_core *c);

/* ---- mail.c ---- */

/* A question of this agent that waits is answered with what is there. */
void tr_mailbox_wake(struct tr_core *c, struct tr_view recipient);
/* The agent has ended: its question is refused. */
void tr_mailbox_end_question(struct tr_core *c, struct tr_view agent);
/* Ends questions that have waited long enough. */
void tr_mailbox_tick(struct tr_core *c, const struct tr_instant *now);
/* For metrics. */
size_t tr_mailboxes_count(const struct tr_mailboxes *m, size_t *ret_bytes);

#endif
