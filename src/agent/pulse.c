/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pulse.h"

#include "agent/health.h"
#include "agent/lsm.h"
#include "agent/signals.h"
#include "base/clock.h"
#include "base/log.h"

/* One try, filled in when the connection stands. */
struct attempt {
	struct tr_pulser *p;
	const struct tr_privkey *key;
	uint8_t digest[32];
	int64_t wall_ns;
	uint64_t mono_ns;
	bool with_list;
	struct tr_err err;
};

void tr_pulser_done(struct tr_pulser *p)
{
	p->eye = tr_bpf_eye_free(p->eye);
	tr_buf_done(&p->bpf_list);
}

/* The list travels at the start of a process, when it changed, and when the server asked. */
static bool list_is_due(const struct tr_pulser *p)
{
	return p->bpf_status == TR_BPF_OK &&
	       (!p->bpf_list_told || memcmp(p->bpf_told, p->bpf_digest, sizeof(p->bpf_told)) != 0);
}

/* The exporter is that of the connection which carries the pulse: a relayed one does not fit. */
static bool body(void *arg, const uint8_t exporter[32], struct tr_buf *ret)
{
	struct attempt *a = arg;
	struct tr_pulser *p = a->p;
	const struct tr_agent_conf *conf = &p->state->conf;
	struct tr_pulse q = {
		.agent_id = conf->agent_id,
		.partition = conf->partition,
		.boot_ns = tr_boot_ns(),
		.rtt_us = p->rtt_us,
		.sync = tr_clock_sync(),
		.keyset_epoch = p->keyset_epoch,
		.version = tr_view_str(p->version),
		.bpf_status = p->bpf_status,
	};

	tr_chain_try(&p->chain, &q);
	memcpy(q.start_id, p->start_id, sizeof(q.start_id));
	memcpy(q.exporter, exporter, sizeof(q.exporter));
	memcpy(q.binary_hash, p->image_hash, sizeof(q.binary_hash));
	memcpy(q.bpf_digest, p->bpf_digest, sizeof(q.bpf_digest));
	a->with_list = list_is_due(p);
	if (a->with_list)
		q.bpf_list = tr_buf_view(&p->bpf_list);
	q.lsm = tr_lsm_state(&q.lsm_reason);
	tr_notice_put(&p->announced, tr_mono_ms(), &q);
	tr_health_read(p->state->dir, &q.health);
	q.time_ns = a->wall_ns = tr_now_ns();
	if (tr_pulse_sign(&q, a->key, ret, &a->err) || tr_pulse_digest(tr_buf_view(ret), a->digest, &a->err))
		return false;
	a->mono_ns = tr_mono_ns();
	return true;
}

static void save_chain(struct tr_pulser *p)
{
	struct tr_err err;

	/* A full disk is no reason to fall silent; a crash would then look like a restored snapshot, so it is
	 * told. */
	if (tr_chain_save(p->state, &p->chain, &err))
		tr_log_err(TR_LOG_ERROR, "chain_not_saved", &err, "hint",
			   "until the state folder can be written, a crash of this host breaks the chain",
			   NULL);
}

static void accepted(struct attempt *a, const struct tr_pulse_answer *told, uint64_t took_ns,
		     struct tr_pulse_outcome *r)
{
	struct tr_pulser *p = a->p;

	if (a->with_list || p->bpf_status != TR_BPF_OK) {
		memcpy(p->bpf_told, p->bpf_digest, sizeof(p->bpf_told));
		p->bpf_list_told = p->bpf_status == TR_BPF_OK;
	}
	if (told->want_bpf_list)
		p->bpf_list_told = false;
	r->interval_s = told->interval_s;
	r->pending = told->pending;
	r->wait_s = told->wait_s;
	r->revocation = told->revocation;
	r->keyset_epoch = told->keyset_epoch;
	r->renew = told->renew;
	r->received_ns = told->received_ns;
	r->sent_ns = told->sent_ns;
	/* What the way there and back took belongs to neither clock. */
	r->skew_ms = ((a->wall_ns - told->received_ns) + (a->wall_ns + (int64_t)took_ns - told->sent_ns)) /
		     2 / 1000000;
	r->far = !tr_clock_is_near(told->sent_ns, a->wall_ns, &p->anchor, tr_boot_ns());
	if (!r->far)
		tr_clock_learn(&p->chain.time, told->sent_ns, tr_boot_ns());
	save_chain(p);
}

static uint64_t rtt_us_of(uint64_t took_ns, const struct tr_pulse_answer *told)
{
	uint64_t inside =
		told->sent_ns > told->received_ns ? (uint64_t)(told->sent_ns - told->received_ns) : 0;

	uint64_t us = took_ns > inside ? (took_ns - inside) / 1000 : 0;

	/* 0 would say that there was no exchange. */
	return us == 0 ? 1 : us > UINT32_MAX ? UINT32_MAX : us;
}

static bool times_ok(const struct tr_pulse_answer *a)
{
	return a->received_ns > 0 && a->sent_ns >= a->received_ns && a->sent_ns < INT64_MAX / 4;
}

/* True: send again at once. */
static bool take_answer(struct attempt *a, const struct tr_client_answer *got, uint64_t took_ns,
			struct tr_pulse_outcome *r, struct tr_err *err)
{
	struct tr_pulse_answer told;
	enum tr_chain_next next;

	r->status = got->status;
	r->retry_after_s = got->retry_after_s;
	tr_refusal_read(got->status == 200 ? tr_view(NULL, 0) : tr_buf_view(&got->body), &r->why);
	r->what = tr_outcome_of(got->status, r->why.code);
	if (r->what != TR_OUT_ACCEPTED) {
		if (r->what == TR_OUT_REPLAYED)
			tr_chain_replayed(&a->p->chain);
		else
			tr_chain_failed(&a->p->chain);
		(void)tr_err_set(err, TR_E_DENIED, "the server did not take the pulse", "status %d %s: %s",
				 got->status, r->why.code, r->why.detail);
		return false;
	}
	if (tr_pulse_answer_get(tr_buf_view(&got->body), &told, err) || told.ticket.n != TR_TICKET_LEN ||
	    !times_ok(&told)) {
		tr_chain_failed(&a->p->chain);
		r->what = TR_OUT_UNREACHABLE;
		(void)tr_err_set(err, TR_E_INVALID, "the answer is not that of a Troth server", "%zu bytes",
				 got->body.n);
		return false;
	}
	a->p->rtt_us = rtt_us_of(took_ns, &told);
	next = tr_chain_answered(&a->p->chain, &told, a->digest);
	if (next == TR_CHAIN_ACCEPTED) {
		accepted(a, &told, took_ns, r);
		return false;
	}
	r->what = TR_OUT_REFUSED;
	r->interval_s = told.interval_s;
	(void)tr_err_set(err, TR_E_DENIED, "the server asked for a fresh start of the chain twice in a row",
			 "resync");
	return next == TR_CHAIN_AGAIN;
}

void tr_pulse_send(struct tr_pulser *p, struct tr_client *c, const struct tr_privkey *key,
		   int64_t verify_time_ms, unsigned timeout_ms, struct tr_pulse_outcome *ret,
		   struct tr_err *err)
{
	struct attempt a = { .p = p, .key = key };
	const struct tr_client_request req = {
		.method = "POST",
		.path = "/api/v1/pulse",
		.content_type = TR_PULSE_CONTENT_TYPE,
		.body_fn = body,
		.arg = &a,
		.timeout_ms = timeout_ms,
		.verify_time_ms = verify_time_ms,
	};
	bool again = true;

	*ret = (struct tr_pulse_outcome){ .what = TR_OUT_UNREACHABLE };
	p->bpf_why = "not configured";
	p->bpf_status = p->eye ? tr_bpf_look(p->eye, &p->bpf_list, p->bpf_digest, &p->bpf_why) : TR_BPF_OFF;
	if (tr_chain_must_save(&p->chain))
		save_chain(p);
	/* At most twice: the chain gives up on a second resync. */
	while (again) {
		tr_auto(tr_client_answer_done) struct tr_client_answer got = { 0 };

		if (tr_signals_do(c, &req, &got, err)) {
			tr_chain_failed(&p->chain);
			ret->by_date = tr_client_failed_by_date(c);
			ret->stranger = err->code == TR_E_UNAUTH && !ret->by_date;
			if (a.err.code)
				*err = a.err;
			return;
		}
		again = take_answer(&a, &got, tr_mono_ns() - a.mono_ns, ret, err);
	}
}
