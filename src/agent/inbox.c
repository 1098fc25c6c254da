/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inbox.h"

#include "base/file.h"
#include "base/log.h"
#include "codec/cbor.h"
#include "codec/ident.h"
#include "codec/text.h"
#include "signed/fields.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#define LETTER_MAX (TR_MESSAGE_BODY_MAX + 1024)
#define MEMBERS 12
#define ID_HEX (2 * TR_MESSAGE_ID_LEN)

void tr_inbox_done(struct tr_inbox *b)
{
	struct tr_letter *next;

	for (struct tr_letter *l = b->first; l; l = next) {
		next = l->next;
		free(l);
	}
	*b = (struct tr_inbox){ 0 };
}

bool tr_inbox_has_room(const struct tr_inbox *b, size_t body)
{
	return b->n < TR_INBOX_MESSAGES_MAX && b->bytes + body <= TR_INBOX_BYTES_MAX;
}

/* Two senders may choose the same id; their messages are two. */
static void path_of(const struct tr_state *s, const char *sender, const uint8_t id[TR_MESSAGE_ID_LEN], char path[PATH_MAX])
{
	tr_auto(tr_buf_done) struct tr_buf name = TR_BUF_INIT;

	tr_buf_adds(&name, TR_INBOX_DIR "/");
	tr_hex_add(&name, tr_view(id, TR_MESSAGE_ID_LEN));
	tr_buf_addf(&name, ".%s", sender);
	tr_state_path(s, tr_buf_cstr(&name), path);
}

/* Takes l, which has a place by its number. */
static void insert(struct tr_inbox *b, struct tr_letter *l)
{
	struct tr_letter **at = b->last && b->last->number < l->number ? &b->last->next : &b->first;

	while (*at && (*at)->number < l->number)
		at = &(*at)->next;
	l->next = *at;
	*at = l;
	if (!l->next)
		b->last = l;
	b->n++;
	b->bytes += l->body.n;
}

static void encode(const struct tr_letter *l, struct tr_buf *b)
{
	tr_cbor_put_array(b, MEMBERS);
	tr_cbor_put_uint(b, l->number);
	tr_cbor_put_text(b, tr_view_str(l->sender));
	tr_cbor_put_bytes(b, TR_VIEW_ARRAY(l->id));
	tr_cbor_put_uint(b, l->line);
	tr_cbor_put_uint(b, l->seq);
	tr_cbor_put_int(b, l->issued);
	tr_cbor_put_int(b, l->expires);
	tr_cbor_put_int(b, l->received);
	tr_cbor_put_bool(b, l->direct);
	tr_cbor_put_text(b, l->type);
	tr_cbor_put_bytes(b, l->body);
	tr_cbor_put_bytes(b, l->answers);
}

/* A letter with its own copy of what the views are of. */
static struct tr_letter *letter_of(const struct tr_letter *from)
{
	struct tr_letter *l = calloc(1, sizeof(*l) + from->type.n + from->body.n + from->answers.n);
	uint8_t *at = l ? l->bytes : NULL;

	if (!l)
		return NULL;
	*l = *from;
	l->next = NULL;
	for (struct tr_view *const *v = (struct tr_view *const[]){ &l->type, &l->body, &l->answers, NULL }; *v; v++) {
		if ((*v)->n)
			memcpy(at, (*v)->p, (*v)->n);
		(*v)->p = at;
		at += (*v)->n;
	}
	return l;
}

static TR_RC decode(struct tr_view in, struct tr_letter *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_view sender;

	if (tr_cbor_array(&r, MEMBERS) != MEMBERS)
		tr_cbor_fail(&r, "a letter has twelve members");
	ret->number = tr_cbor_uint(&r);
	sender = tr_cbor_text(&r);
	if (!tr_ident_ok(sender))
		tr_cbor_fail(&r, "not an agent id");
	else
		(void)snprintf(ret->sender, sizeof(ret->sender), "%.*s", TR_VIEW_FMT(sender));
	tr_field_fixed(&r, ret->id, sizeof(ret->id), "an id has 16 bytes");
	ret->line = tr_cbor_uint(&r);
	ret->seq = tr_cbor_uint(&r);
	ret->issued = tr_cbor_int(&r);
	ret->expires = tr_cbor_int(&r);
	ret->received = tr_cbor_int(&r);
	ret->direct = tr_cbor_bool(&r);
	ret->type = tr_cbor_text(&r);
	ret->body = tr_cbor_bytes(&r);
	ret->answers = tr_cbor_bytes(&r);
	return tr_cbor_end(&r, err);
}

static void load_one(const struct tr_state *s, struct tr_inbox *b, const char *name)
{
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	struct tr_letter l = { .number = 0 }, *kept;
	char path[PATH_MAX], file[300];
	struct tr_err err = { 0 };

	(void)snprintf(file, sizeof(file), TR_INBOX_DIR "/%.255s", name);
	tr_state_path(s, file, path);
	if (tr_file_read(path, LETTER_MAX, &bytes, &err) || decode(tr_buf_view(&bytes), &l, &err)) {
		tr_log_err(TR_LOG_WARN, "inbox_file_skipped", &err, "file", name, NULL);
		return;
	}
	kept = letter_of(&l);
	if (kept)
		insert(b, kept);
}

TR_RC tr_inbox_load(const struct tr_state *s, struct tr_inbox *ret, struct tr_err *err)
{
	char path[PATH_MAX];
	const struct dirent *e;
	DIR *d;

	tr_state_path(s, TR_INBOX_DIR, path);
	d = opendir(path);
	if (!d)
		return tr_err_errno(err, "open %s", path);
	while ((e = readdir(d)))
		/* Anything else is a file that was being written when the power went. */
		if (strlen(e->d_name) > ID_HEX + 1 && e->d_name[ID_HEX] == '.')
			load_one(s, ret, e->d_name);
	(void)closedir(d);
	return TR_OK;
}

TR_RC tr_inbox_put(const struct tr_state *s, struct tr_inbox *b, const struct tr_message *m, uint64_t number, int64_t now_s,
		   bool direct, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	struct tr_letter from = { .number = number, .line = m->line, .seq = m->seq, .issued = m->issued,
				  .expires = m->expires, .received = now_s, .direct = direct, .type = m->type,
				  .body = m->body, .answers = m->answers };
	struct tr_letter *l;
	char path[PATH_MAX];

	memcpy(from.id, m->id, sizeof(from.id));
	(void)snprintf(from.sender, sizeof(from.sender), "%.*s", TR_VIEW_FMT(m->sender));
	l = letter_of(&from);
	encode(&from, &bytes);
	path_of(s, from.sender, from.id, path);
	if (!l || tr_buf_check(&bytes, err) || tr_file_write(path, tr_buf_view(&bytes), 0600, err)) {
		free(l);
		return l ? tr_err_wrap(err, "inbox") : tr_err_set(err, TR_E_INTERNAL, "out of memory", "inbox");
	}
	insert(b, l);
	return TR_OK;
}

/* Takes *at out; its file goes, too. Should that not be synced, it is read again once. */
static void remove_at(const struct tr_state *s, struct tr_inbox *b, struct tr_letter **at, struct tr_letter *before)
{
	struct tr_letter *l = *at;
	char path[PATH_MAX];

	path_of(s, l->sender, l->id, path);
	if (unlink(path) && errno != ENOENT)
		tr_log(TR_LOG_WARN, "inbox_file_stays", "file", path, NULL);
	*at = l->next;
	if (b->last == l)
		b->last = before;
	b->n--;
	b->bytes -= l->body.n;
	free(l);
}

bool tr_inbox_drop(const struct tr_state *s, struct tr_inbox *b, const uint8_t id[TR_MESSAGE_ID_LEN])
{
	struct tr_letter *before = NULL;

	for (struct tr_letter **at = &b->first; *at; before = *at, at = &(*at)->next) {
		if (memcmp((*at)->id, id, TR_MESSAGE_ID_LEN) != 0)
			continue;
		remove_at(s, b, at, before);
		return true;
	}
	return false;
}

size_t tr_inbox_expire(const struct tr_state *s, struct tr_inbox *b, int64_t now_s)
{
	struct tr_letter *before = NULL, **at = &b->first;
	size_t n = 0;

	while (*at) {
		if ((*at)->expires > now_s) {
			before = *at;
			at = &(*at)->next;
			continue;
		}
		remove_at(s, b, at, before);
		n++;
	}
	return n;
}
