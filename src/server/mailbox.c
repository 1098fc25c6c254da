/* SPDX-License-Identifier: Apache-2.0 */
/* Whose letters wait, in memory: found by recipient, oldest first, bounded. What is durable is the table `mails`. */
#include "server/mailbox.h"

#include "base/clock.h"
#include "base/log.h"

struct tr_mailboxes *tr_mailboxes_new(void)
{
	struct tr_mailboxes *m = calloc(1, sizeof(*m));

	if (m)
		tr_random(&m->seed, sizeof(m->seed));
	return m;
}

static struct tr_mailbox *box_free(struct tr_mailbox *b)
{
	struct tr_letter *next;

	for (struct tr_letter *l = b->first; l; l = next) {
		next = l->next;
		free(l);
	}
	free(b);
	return NULL;
}

struct tr_mailboxes *tr_mailboxes_free(struct tr_mailboxes *m)
{
	struct tr_mailbox *next;

	for (size_t i = 0; m && i < TR_MAIL_SLOTS; i++) {
		for (struct tr_mailbox *b = m->slots[i]; b; b = next) {
			next = b->next;
			(void)box_free(b);
		}
	}
	free(m);
	return NULL;
}

size_t tr_mailboxes_count(const struct tr_mailboxes *m, size_t *ret_bytes)
{
	*ret_bytes = m->bytes;
	return m->letters;
}

/* FNV-1a over an identifier that its owner could choose, so under a seed. */
static struct tr_mailbox **slot_of(struct tr_mailboxes *m, struct tr_view recipient)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ m->seed;

	for (size_t i = 0; i < recipient.n; i++)
		h = (h ^ recipient.p[i]) * UINT64_C(1099511628211);
	return &m->slots[(h ^ h >> 32) % TR_MAIL_SLOTS];
}

struct tr_mailbox *tr_mailbox_find(struct tr_mailboxes *m, struct tr_view recipient)
{
	struct tr_mailbox *b = *slot_of(m, recipient);

	while (b && !tr_view_is(recipient, b->recipient))
		b = b->next;
	return b;
}

struct tr_mailbox *tr_mailbox_of(struct tr_mailboxes *m, struct tr_view recipient)
{
	struct tr_mailbox *b = tr_mailbox_find(m, recipient), **slot = slot_of(m, recipient);

	if (b)
		return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	(void)snprintf(b->recipient, sizeof(b->recipient), "%.*s", TR_VIEW_FMT(recipient));
	b->next = *slot;
	*slot = b;
	return b;
}

bool tr_mailbox_take(struct tr_mailboxes *m, const struct tr_mail_row *row)
{
	struct tr_mailbox *b = tr_mailbox_of(m, row->recipient), *from = tr_mailbox_of(m, row->sender);
	struct tr_letter *l = b && from ? calloc(1, sizeof(*l)) : NULL, **at;

	if (!l)
		return false;
	l->number = row->number;
	l->expires_at = row->expires_at;
	l->bytes = row->envelope.n;
	(void)snprintf(l->id, sizeof(l->id), "%.*s", TR_VIEW_FMT(row->id));
	(void)snprintf(l->sender, sizeof(l->sender), "%.*s", TR_VIEW_FMT(row->sender));
	if (row->number > b->number)
		b->number = row->number;
	/* In key order at load, in order of arrival afterwards: nearly always the last. */
	at = b->last && b->last->number < l->number ? &b->last->next : &b->first;
	while (*at && (*at)->number < l->number)
		at = &(*at)->next;
	l->next = *at;
	*at = l;
	if (!l->next)
		b->last = l;
	b->n++;
	b->bytes += l->bytes;
	from->sent_bytes += l->bytes;
	m->letters++;
	m->bytes += l->bytes;
	return true;
}

void tr_mailbox_drop(struct tr_mailboxes *m, struct tr_view recipient, struct tr_view id)
{
	struct tr_mailbox *b = tr_mailbox_find(m, recipient), *from;
	struct tr_letter *before = NULL;

	for (struct tr_letter *l = b ? b->first : NULL; l; before = l, l = l->next) {
		if (!tr_view_is(id, l->id))
			continue;
		if (before)
			before->next = l->next;
		else
			b->first = l->next;
		if (b->last == l)
			b->last = before;
		b->n--;
		b->bytes -= l->bytes;
		from = tr_mailbox_find(m, tr_view_str(l->sender));
		if (from)
			from->sent_bytes -= l->bytes;
		m->letters--;
		m->bytes -= l->bytes;
		free(l);
		return;
	}
}

bool tr_mailbox_is_full(struct tr_mailboxes *m, const struct tr_mailbox *b, struct tr_view sender, size_t bytes)
{
	const struct tr_mailbox *from = tr_mailbox_find(m, sender);
	unsigned from_one = 0;

	if (from && from->sent_bytes + from->sending_bytes + bytes > TR_MAIL_FROM_ONE_BYTES_MAX)
		return true;
	if (m->bytes + bytes > TR_MAIL_BYTES_MAX || b->n + b->coming >= TR_BOX_LETTERS_MAX ||
	    b->bytes + b->coming_bytes + bytes > TR_BOX_BYTES_MAX)
		return true;
	for (const struct tr_letter *l = b->first; l; l = l->next)
		from_one += tr_view_is(sender, l->sender);
	return from_one >= TR_BOX_FROM_ONE_MAX;
}

static void on_expired(void *arg, enum tr_code rc, const char *why)
{
	(void)arg;
	if (rc)
		tr_log(TR_LOG_WARN, "mail_not_expired", "why", why, NULL); /* looked for again */
}

void tr_mailbox_expire(struct tr_core *c)
{
	struct tr_mailboxes *m = c->hub->mail;
	const struct tr_mail_row row = { .id = TR_VIEW_LIT(""), .expires_at = tr_now_ms() };
	bool any = false;
	struct tr_tx *tx;

	for (size_t i = 0; i < TR_MAIL_SLOTS; i++) {
		for (struct tr_mailbox *b = m->slots[i]; b; b = b->next) {
			struct tr_letter *next;

			for (struct tr_letter *l = b->first; l; l = next) {
				next = l->next;
				if (l->expires_at > row.expires_at)
					continue;
				any = true;
				tr_table_del(&c->mails, tr_view_str(l->id));
				tr_mailbox_drop(m, tr_view_str(b->recipient), tr_view_str(l->id));
			}
		}
	}
	if (!any || !tr_core_holds(c))
		return;
	tx = tr_tx_new(c);
	tr_tx_add(tx, TR_OP_EXPIRE, TR_T_MAIL, &row);
	tr_tx_commit(tx, on_expired, NULL);
}
