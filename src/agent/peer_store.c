/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peer_store.h"

#include "codec/cbor.h"
#include "codec/ident.h"
#include "signed/fields.h"

#include <stdio.h>

#define FILE_MAX (1u << 20)
#define VERSION 1
/* No message lives for longer than a day: what was not used for two can be forgotten without taking anything twice. */
#define FORGET_S (2 * TR_MESSAGE_LIFE_MAX_S)

void tr_peer_store_done(struct tr_peer_store *p)
{
	free(p->senders);
	free(p->recipients);
	*p = (struct tr_peer_store){ 0 };
}

static TR_RC begin(struct tr_peer_store *p, struct tr_err *err)
{
	p->senders = calloc(TR_PEER_SENDERS_MAX, sizeof(*p->senders));
	p->recipients = calloc(TR_PEER_RECIPIENTS_MAX, sizeof(*p->recipients));
	if (!p->senders || !p->recipients)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "messages");
	return TR_OK;
}

/* ---- the file: CBOR [1, floor, inbox, [[sender, line, high, bits, missing, used]…],
 *                      [[recipient, line, seq, prekey, used]…]] ---- */

static void read_name(struct tr_cbor *r, char out[65])
{
	struct tr_view v = tr_cbor_text(r);

	if (!tr_ident_ok(v))
		tr_cbor_fail(r, "not an agent id");
	else
		(void)snprintf(out, 65, "%.*s", TR_VIEW_FMT(v));
}

static void read_sender(struct tr_cbor *r, struct tr_sender *s)
{
	if (tr_cbor_array(r, 6) != 6)
		tr_cbor_fail(r, "a sender has six members");
	read_name(r, s->agent);
	s->w.line = tr_cbor_uint(r);
	s->w.high = tr_cbor_uint(r);
	tr_field_fixed(r, s->w.bits, sizeof(s->w.bits), "a window has 128 bytes");
	s->w.missing = tr_cbor_uint(r);
	s->used_s = tr_cbor_int(r);
}

static void read_recipient(struct tr_cbor *r, struct tr_recipient *p)
{
	if (tr_cbor_array(r, 5) != 5)
		tr_cbor_fail(r, "a recipient has five members");
	read_name(r, p->agent);
	p->line = tr_cbor_uint(r);
	p->seq = tr_cbor_uint(r);
	p->prekey = tr_cbor_uint(r);
	p->used_s = tr_cbor_int(r);
}

static TR_RC parse(struct tr_view in, struct tr_peer_store *p, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);

	if (tr_cbor_array(&r, 5) != 5 || tr_cbor_int(&r) != VERSION)
		tr_cbor_fail(&r, "not version 1");
	p->floor_s = tr_cbor_int(&r);
	p->inbox = tr_cbor_uint(&r);
	p->n_senders = tr_cbor_array(&r, TR_PEER_SENDERS_MAX);
	for (size_t i = 0; i < p->n_senders && !r.error; i++)
		read_sender(&r, &p->senders[i]);
	p->n_recipients = tr_cbor_array(&r, TR_PEER_RECIPIENTS_MAX);
	for (size_t i = 0; i < p->n_recipients && !r.error; i++)
		read_recipient(&r, &p->recipients[i]);
	return tr_cbor_end(&r, err);
}

TR_RC tr_peer_store_load(const struct tr_state *s, int64_t now_s, struct tr_peer_store *ret, struct tr_err *err)
{
	tr_auto(tr_peer_store_done) struct tr_peer_store p = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc = begin(&p, err);

	if (rc)
		return rc;
	rc = tr_state_read(s, TR_PEER_STORE_FILE, FILE_MAX, &b, err);
	if (!rc)
		rc = parse(tr_buf_view(&b), &p, err);
	if (rc && rc != TR_E_NOTFOUND && rc != TR_E_INVALID)
		return tr_err_wrap(err, TR_PEER_STORE_FILE);
	if (rc) {
		/* Half of a damaged file is worse than none. */
		memset(p.senders, 0, TR_PEER_SENDERS_MAX * sizeof(*p.senders));
		memset(p.recipients, 0, TR_PEER_RECIPIENTS_MAX * sizeof(*p.recipients));
		p.n_senders = p.n_recipients = 0;
		p.inbox = (uint64_t)now_s << 20; /* above whatever was given before */
		p.floor_s = now_s;
	}
	*ret = p;
	p = (struct tr_peer_store){ 0 };
	return rc == TR_E_INVALID ? tr_err_wrap(err, TR_PEER_STORE_FILE) : TR_OK;
}

TR_RC tr_peer_store_save(const struct tr_state *s, const struct tr_peer_store *p, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_cbor_put_array(&b, 5);
	tr_cbor_put_int(&b, VERSION);
	tr_cbor_put_int(&b, p->floor_s);
	tr_cbor_put_uint(&b, p->inbox);
	tr_cbor_put_array(&b, p->n_senders);
	for (size_t i = 0; i < p->n_senders; i++) {
		const struct tr_sender *x = &p->senders[i];

		tr_cbor_put_array(&b, 6);
		tr_cbor_put_text(&b, tr_view_str(x->agent));
		tr_cbor_put_uint(&b, x->w.line);
		tr_cbor_put_uint(&b, x->w.high);
		tr_cbor_put_bytes(&b, TR_VIEW_ARRAY(x->w.bits));
		tr_cbor_put_uint(&b, x->w.missing);
		tr_cbor_put_int(&b, x->used_s);
	}
	tr_cbor_put_array(&b, p->n_recipients);
	for (size_t i = 0; i < p->n_recipients; i++) {
		const struct tr_recipient *x = &p->recipients[i];

		tr_cbor_put_array(&b, 5);
		tr_cbor_put_text(&b, tr_view_str(x->agent));
		tr_cbor_put_uint(&b, x->line);
		tr_cbor_put_uint(&b, x->seq);
		tr_cbor_put_uint(&b, x->prekey);
		tr_cbor_put_int(&b, x->used_s);
	}
	if (tr_buf_check(&b, err))
		return err->code;
	return tr_state_write(s, TR_PEER_STORE_FILE, tr_buf_view(&b), err);
}

/* ---- recipients ---- */

static struct tr_recipient *recipient(const struct tr_peer_store *p, struct tr_view agent)
{
	for (size_t i = 0; i < p->n_recipients; i++)
		if (tr_view_is(agent, p->recipients[i].agent))
			return &p->recipients[i];
	return NULL;
}

/* A row for it: its own, a free one, or that of whom nobody wrote to for the longest time. */
static struct tr_recipient *recipient_row(struct tr_peer_store *p, struct tr_view agent, int64_t now_s)
{
	struct tr_recipient *r = recipient(p, agent);

	if (!p->recipients)
		abort(); /* tr_peer_store_load comes first */
	if (!r && p->n_recipients < TR_PEER_RECIPIENTS_MAX)
		r = &p->recipients[p->n_recipients++];
	if (!r) {
		r = &p->recipients[0];
		for (size_t i = 1; i < p->n_recipients; i++)
			if (p->recipients[i].used_s < r->used_s)
				r = &p->recipients[i];
	}
	if (!tr_view_is(agent, r->agent)) {
		*r = (struct tr_recipient){ .line = 0 };
		(void)snprintf(r->agent, sizeof(r->agent), "%.*s", TR_VIEW_FMT(agent));
	}
	r->used_s = now_s;
	return r;
}

TR_RC tr_peer_store_next(struct tr_peer_store *p, struct tr_view to, int64_t now_s, uint64_t *ret_line, uint64_t *ret_seq,
			 struct tr_err *err)
{
	struct tr_recipient *r = recipient_row(p, to, now_s);

	/* A line is named by the second in which it began. It rises when a row was forgotten, as long as the clock does. */
	if (!r->line)
		r->line = (uint64_t)now_s;
	if (r->seq >= INT64_MAX)
		return tr_err_set(err, TR_E_BUSY, "no number is left for this recipient", "%.*s", TR_VIEW_FMT(to));
	*ret_line = r->line;
	*ret_seq = ++r->seq;
	return TR_OK;
}

uint64_t tr_peer_store_prekey(const struct tr_peer_store *p, struct tr_view of)
{
	const struct tr_recipient *r = recipient(p, of);

	return r ? r->prekey : 0;
}

void tr_peer_store_saw_prekey(struct tr_peer_store *p, struct tr_view of, uint64_t number, int64_t now_s)
{
	struct tr_recipient *r = recipient_row(p, of, now_s);

	if (number > r->prekey)
		r->prekey = number;
}

/* ---- senders ---- */

static struct tr_sender *sender(const struct tr_peer_store *p, struct tr_view agent)
{
	for (size_t i = 0; i < p->n_senders; i++)
		if (tr_view_is(agent, p->senders[i].agent))
			return &p->senders[i];
	return NULL;
}

enum tr_window_says tr_peer_store_check(const struct tr_peer_store *p, struct tr_view from, uint64_t line, uint64_t seq)
{
	const struct tr_sender *s = sender(p, from);

	return s ? tr_window_check(&s->w, line, seq) : TR_WINDOW_NEW;
}

TR_RC tr_peer_store_take(struct tr_peer_store *p, struct tr_view from, uint64_t line, uint64_t seq, int64_t now_s,
			 struct tr_err *err)
{
	struct tr_sender *s = sender(p, from);

	if (!p->senders)
		abort(); /* tr_peer_store_load comes first */
	if (!s && p->n_senders < TR_PEER_SENDERS_MAX)
		s = &p->senders[p->n_senders++];
	for (size_t i = 0; !s && i < p->n_senders; i++)
		if (p->senders[i].used_s + FORGET_S < now_s)
			s = &p->senders[i];
	if (!s)
		return tr_err_set(err, TR_E_BUSY, "too many agents write to this one; try again later", "%zu senders", p->n_senders);
	if (!tr_view_is(from, s->agent)) {
		*s = (struct tr_sender){ .used_s = now_s };
		(void)snprintf(s->agent, sizeof(s->agent), "%.*s", TR_VIEW_FMT(from));
	}
	s->used_s = now_s;
	tr_window_take(&s->w, line, seq);
	return TR_OK;
}

uint64_t tr_peer_store_missing(const struct tr_peer_store *p, struct tr_view from)
{
	const struct tr_sender *s = sender(p, from);

	return s ? s->w.missing : 0;
}
