/* SPDX-License-Identifier: Apache-2.0 */
/* Which letters wait for whom, beside the rows of table `mails`; and the questions that wait for letters. */
#ifndef TR_SERVER_MAILBOX_H
#define TR_SERVER_MAILBOX_H

#include "server/hub.h"

struct tr_mailboxes *tr_mailboxes_new(void);
struct tr_mailboxes *tr_mailboxes_free(struct tr_mailboxes *m);
/* A letter is there; false: out of memory. */
bool tr_mailbox_take(struct tr_mailboxes *m, const struct tr_mail_row *row);
void tr_mailbox_drop(struct tr_mailboxes *m, struct tr_view recipient, struct tr_view id);
/* A question of this agent that waits is answered with what is there. */
void tr_mailbox_wake(struct tr_core *c, struct tr_view recipient);
/* The agent has ended: its question is refused. */
void tr_mailbox_end_question(struct tr_core *c, struct tr_view agent);
void tr_mailbox_tick(struct tr_core *c, const struct tr_instant *now);
/* For metrics. */
size_t tr_mailboxes_count(const struct tr_mailboxes *m, size_t *ret_bytes);

#endif
