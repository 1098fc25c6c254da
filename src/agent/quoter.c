/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/quoter.h"

#include "agent/attest.h"
#include "base/log.h"
#include "ipc/chan.h"

#include <errno.h>
#include <poll.h>

enum { M_CHALLENGE = 1, M_EVIDENCE };

struct evidence { struct tr_view set, why; };
static const struct tr_field evidence_fields[] = { TR_FIELD(evidence, set, TR_F_BYTES, TR_TEE_SET_MAX + 1024, 0),
						   TR_FIELD(evidence, why, TR_F_TEXT, 512, 0) };
static TR_RECORD(evidence_def, evidence, evidence_fields);

/* ---- the process ---- */

static bool whole(int fd, uint8_t *p, size_t n, bool writes)
{
	while (n) {
		ssize_t done = writes ? write(fd, p, n) : read(fd, p, n);
		struct pollfd wait = { .fd = fd, .events = writes ? POLLOUT : POLLIN };

		if (done == 0 || (done < 0 && errno != EINTR && errno != EAGAIN))
			return false;
		if (done < 0) {
			(void)poll(&wait, 1, -1);
			continue;
		}
		p += done;
		n -= (size_t)done;
	}
	return true;
}

static bool one(const struct tr_state *s, const struct tr_tee_choice *choice, int fd)
{
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT, out = TR_BUF_INIT, rec = TR_BUF_INIT;
	uint8_t head[TR_FRAME_HEAD], challenge[TR_QUOTE_CHALLENGE_MAX];
	struct evidence e = { 0 };
	uint32_t n;
	uint64_t id;
	struct tr_err err = { 0 };

	if (!whole(fd, head, sizeof(head), false))
		return false;
	memcpy(&n, head, sizeof(n));
	memcpy(&id, head + 8, sizeof(id));
	if (n > sizeof(challenge) || !whole(fd, challenge, n, false))
		return false;
	if (!choice->source)
		e.why = TR_VIEW_LIT("this agent has no source of evidence");
	else if (tr_attest_evidence(choice, tr_view(challenge, n), tr_pubkey_spki(tr_privkey_pub(s->key)), &set, &err))
		e.why = tr_view_str(err.pub);
	else
		e.set = tr_buf_view(&set);
	if (err.code)
		tr_log_err(TR_LOG_WARN, "evidence_not_made", &err, NULL);
	tr_record_encode(&evidence_def, &e, &rec);
	tr_frame_head(head, M_EVIDENCE, id, (uint32_t)rec.n);
	tr_buf_add(&out, head, sizeof(head));
	tr_buf_addv(&out, tr_buf_view(&rec));
	return tr_buf_ok(&rec) && tr_buf_ok(&out) && whole(fd, out.p, out.n, true);
}

void tr_quoter_run(const struct tr_state *s, int fd)
{
	static struct tr_tee_choice choice;
	struct tr_err err = { 0 };

	tr_log_init("quoter", TR_LOG_INFO);
	if (tr_tee_choice_make(s, &choice, &err))
		tr_log_err(TR_LOG_WARN, "no_evidence", &err, "hint", err.pub, NULL);
	while (one(s, &choice, fd))
		;
	_exit(0);
}

/* ---- the peer's end ---- */

struct tr_quoter {
	struct tr_chan *chan;
	void (*end)(void *arg);
	void *arg;
	uint64_t last;
	struct { uint64_t id; tr_quoted_fn fn; void *arg; } waiting[TR_QUOTES_WAITING_MAX];
};

static void on_evidence(void *arg, struct tr_chan *chan, const struct tr_frame *f)
{
	struct tr_quoter *q = arg;
	struct evidence e = { 0 };
	struct tr_err err = { 0 };

	(void)chan;
	if (tr_record_decode(&evidence_def, f->payload, &e, &err))
		e = (struct evidence){ .why = TR_VIEW_LIT("the evidence was not understood") };
	for (size_t i = 0; i < TR_QUOTES_WAITING_MAX; i++) {
		if (!q->waiting[i].id || q->waiting[i].id != f->id)
			continue;
		q->waiting[i].id = 0;
		q->waiting[i].fn(q->waiting[i].arg, e.set, e.why);
		return;
	}
}

static const struct tr_frame_rule rules[TR_FRAME_TYPE_MAX] = { [M_EVIDENCE] = { on_evidence, TR_TEE_SET_MAX + 4096 } };

static void on_end(void *arg, struct tr_chan *chan, const char *why)
{
	struct tr_quoter *q = arg;

	(void)chan;
	tr_log(TR_LOG_ERROR, "quoter_ended", "why", why, NULL);
	q->end(q->arg);
}

TR_RC tr_quoter_new(struct tr_loop *loop, int fd, void (*end)(void *arg), void *arg, struct tr_quoter **ret, struct tr_err *err)
{
	tr_auto(tr_quoter_free) struct tr_quoter *q = calloc(1, sizeof(*q));

	if (!q)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "quoter");
	q->end = end;
	q->arg = arg;
	if (tr_chan_new(loop, fd, rules, on_end, q, &q->chan, err))
		return tr_err_wrap(err, "quoter");
	*ret = TR_TAKE(q);
	return TR_OK;
}

struct tr_quoter *tr_quoter_free(struct tr_quoter *q)
{
	if (q) {
		(void)tr_chan_free(q->chan);
		free(q);
	}
	return NULL;
}

TR_RC tr_quoter_ask(struct tr_quoter *q, struct tr_view challenge, tr_quoted_fn fn, void *arg, struct tr_err *err)
{
	for (size_t i = 0; i < TR_QUOTES_WAITING_MAX; i++) {
		if (q->waiting[i].id)
			continue;
		q->waiting[i].id = ++q->last;
		q->waiting[i].fn = fn;
		q->waiting[i].arg = arg;
		tr_chan_send(q->chan, M_CHALLENGE, q->last, challenge);
		return TR_OK;
	}
	/* A quote takes a TEE milliseconds and a TPM seconds: callers queue elsewhere. */
	return tr_err_set(err, TR_E_BUSY, "too many ask for evidence at once; try again later", "quoter");
}
