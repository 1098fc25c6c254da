/* SPDX-License-Identifier: Apache-2.0 */
/* The hub's mailbox: asked by a courier of its own, which waits there. A letter is acknowledged when it is on our disk, was
 * before, or can never be taken. What cannot be judged now stays with the hub and is looked at again later. */
#include "agent/peer_inner.h"

#include "base/log.h"
#include "codec/cbor.h"
#include "codec/text.h"

#include <stdio.h>

#define WAIT_S 25
#define WAIT_MS ((WAIT_S + 15) * 1000)
#define SHORT_MS 15000
#define LETTERS_MAX 512   /* in one answer; the hub keeps 256 */
#define ACKS_MAX 64	  /* in one request */
#define AGAIN_S 30	  /* what could not be judged */
#define ID_HEX 32
#define RETELL_S 120

struct tr_mail {
	struct tr_peer *p;
	struct tr_buf answer;	/* being worked through */
	struct tr_cbor reader;
	size_t left;
	uint64_t after, high;
	struct tr_buf acks;	/* ids, comma-joined */
	size_t n_acks;
	bool busy;		/* an errand or a letter is under way */
	unsigned failures;
	int64_t not_before_s, again_s;
	char id[ID_HEX + 1];	/* of the letter under way, as the hub names it */
};

static void next(struct tr_mail *m);

static void ask(struct tr_mail *m);

static void rest(struct tr_mail *m)
{
	unsigned s = m->failures < 6 ? 1u << m->failures : 60;

	m->failures++;
	m->busy = false;
	m->not_before_s = tr_peer_now_s() + (s < 60 ? s : 60);
}

/* ---- acknowledging ---- */

static void on_acked(void *arg, const struct tr_errand_answer *a)
{
	struct tr_mail *m = arg;

	tr_buf_clear(&m->acks);
	m->n_acks = 0;
	if (a->code || a->status >= 300) {
		/* They come again, and were taken before. */
		m->after = 0;
		rest(m);
		return;
	}
	next(m);
}

static bool send_acks(struct tr_mail *m)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	struct tr_errand e = { .method = TR_VIEW_LIT("POST"), .path = TR_VIEW_LIT("/api/v1/mailbox-acks"),
			       .content_type = TR_VIEW_LIT("application/json"), .timeout_ms = SHORT_MS };
	struct tr_err err = { 0 };

	tr_buf_addf(&body, "{\"ids\":\"%.*s\"}", TR_VIEW_FMT(tr_buf_view(&m->acks)));
	e.body = tr_buf_view(&body);
	return tr_courier_send(m->p->postman, &e, on_acked, m, &err) == TR_OK;
}

/* ---- letters ---- */

static void on_taken(void *arg, enum tr_taken how, const uint8_t id[TR_MESSAGE_ID_LEN], const struct tr_no *no)
{
	struct tr_mail *m = arg;

	(void)id;
	if (how == TR_TAKEN_LATER) {
		tr_log(TR_LOG_INFO, "letter_waits", "code", no->code, NULL);
	} else {
		tr_buf_addf(&m->acks, "%s%s", m->n_acks ? "," : "", m->id);
		m->n_acks++;
	}
	next(m);
}

/* One letter; false: the answer is damaged. */
static bool open_next(struct tr_mail *m)
{
	struct tr_view envelope;
	uint8_t digest[TR_SHA256_LEN];
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	uint64_t number;

	if (tr_cbor_array(&m->reader, 3) != 3)
		tr_cbor_fail(&m->reader, "a letter has three members");
	number = tr_cbor_uint(&m->reader);
	(void)tr_cbor_text(&m->reader); /* the sender by the hub's word: the envelope has its own */
	envelope = tr_cbor_bytes(&m->reader);
	if (m->reader.error)
		return false;
	if (number > m->high)
		m->high = number;
	tr_sha256(envelope, digest);
	tr_hex_add(&hex, tr_view(digest, ID_HEX / 2));
	(void)snprintf(m->id, sizeof(m->id), "%s", tr_buf_cstr(&hex));
	m->left--;
	tr_peer_receive(m->p, envelope, NULL, on_taken, m);
	return true;
}

static void next(struct tr_mail *m)
{
	if (m->n_acks == ACKS_MAX || (!m->left && m->n_acks)) {
		if (!send_acks(m))
			rest(m);
		return;
	}
	if (m->left) {
		if (!open_next(m)) {
			tr_log(TR_LOG_WARN, "mailbox_answer_invalid", "why", m->reader.error, NULL);
			m->left = 0;
			rest(m);
		}
		return;
	}
	m->after = m->high > m->after ? m->high : m->after;
	m->failures = 0;
	m->busy = false;
	ask(m);
}

static void on_letters(void *arg, const struct tr_errand_answer *a)
{
	struct tr_mail *m = arg;

	if (a->code || a->status != 200) {
		/* Said once, then again only when it was well between. */
		if (!m->failures)
			tr_log(TR_LOG_WARN, "mailbox_not_read", "status", tr_fmt("%llu", (unsigned long long)a->status), "why",
			       a->code ? tr_fmt_view(a->why) : "the hub refused", NULL);
		rest(m);
		return;
	}
	tr_buf_clear(&m->answer);
	tr_buf_addv(&m->answer, a->body);
	m->reader = tr_cbor_reader(tr_buf_view(&m->answer));
	m->left = tr_cbor_array(&m->reader, LETTERS_MAX);
	if (m->reader.error) {
		tr_log(TR_LOG_WARN, "mailbox_answer_invalid", "why", m->reader.error, NULL);
		m->left = 0;
		rest(m);
		return;
	}
	next(m);
}

static void ask(struct tr_mail *m)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_errand e = { .method = TR_VIEW_LIT("GET"), .timeout_ms = WAIT_MS };
	int64_t now = tr_peer_now_s();
	struct tr_err err = { 0 };

	if (m->busy || now < m->not_before_s)
		return;
	if (now >= m->again_s) {
		m->again_s = now + AGAIN_S;
		m->after = m->high = 0;
	}
	tr_buf_addf(&path, "/api/v1/mailbox?wait=%d&after=%llu", WAIT_S, (unsigned long long)m->after);
	e.path = tr_buf_view(&path);
	m->busy = true;
	if (tr_courier_send(m->p->postman, &e, on_letters, m, &err))
		rest(m);
}

void tr_mail_tick(struct tr_mail *m, int64_t now_s)
{
	(void)now_s;
	ask(m);
}

TR_RC tr_mail_new(struct tr_peer *p, struct tr_mail **ret, struct tr_err *err)
{
	struct tr_mail *m = calloc(1, sizeof(*m));

	if (!m)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "mailbox");
	m->p = p;
	*ret = m;
	return TR_OK;
}

/* ---- our pre-key ---- */

static void on_told(void *arg, const struct tr_errand_answer *a)
{
	struct tr_peer *p = arg;

	p->prekey_telling = false;
	/* 409: this very one is there. Another one of that number never was: numbers rise, also when the file was lost. */
	p->prekey_told = !a->code && ((a->status >= 200 && a->status < 300) || a->status == 409);
	/* Told again now and then: the hub forgets it with an attestation that ended. */
	p->prekey_not_before_s = tr_peer_now_s() + (p->prekey_told ? RETELL_S : 5);
	if (!p->prekey_told)
		tr_log(TR_LOG_INFO, "prekey_not_published", "status", tr_fmt("%llu", (unsigned long long)a->status), NULL);
	else if (a->status != 409)
		tr_log(TR_LOG_INFO, "prekey_published", "number",
		       tr_fmt("%llu", (unsigned long long)p->prekeys.number), NULL);
}

void tr_prekey_tick(struct tr_peer *p, int64_t now_s)
{
	tr_auto(tr_buf_done) struct tr_buf cose = TR_BUF_INIT;
	struct tr_errand e = { .method = TR_VIEW_LIT("PUT"), .path = TR_VIEW_LIT("/api/v1/agent/prekey"),
			       .content_type = TR_VIEW_LIT("application/cose"), .timeout_ms = SHORT_MS };
	bool changed = false;
	struct tr_err err = { 0 };

	if (tr_prekeys_turn(&p->state, &p->prekeys, now_s, &changed, &err)) {
		tr_log_err(TR_LOG_ERROR, "prekey_not_made", &err, NULL);
		return;
	}
	if (changed)
		p->prekey_not_before_s = 0;
	if (p->prekey_telling || now_s < p->prekey_not_before_s)
		return;
	/* Until this agent is attested for the first time, the hub keeps no key of it. */
	p->prekey_not_before_s = now_s + 5;
	if (tr_prekeys_signed(&p->state, &p->prekeys, &cose, &err)) {
		tr_log_err(TR_LOG_ERROR, "prekey_not_signed", &err, NULL);
		return;
	}
	e.body = tr_buf_view(&cose);
	p->prekey_telling = tr_courier_send(p->errands, &e, on_told, p, &err) == TR_OK;
}
