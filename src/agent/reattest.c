/* SPDX-License-Identifier: Apache-2.0 */
/* When the run loop proves anew what machine this is: at the start unless the last proof still holds, before that ends, after a
 * change of the key, and when it is ordered. A refusal is no reason to stop pulsing: the server shows what it is worth. */
#include "agent/runner.h"

#include "agent/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

#define PAUSE_MS 1000
#define UNASKED_MS UINT64_C(3600000) /* no policy judges this agent's type: nobody waits for its evidence */
#define LOOK_AGAIN_MS UINT64_C(600000) /* a source that was named and is not there may come */

void tr_run_open_attest(struct tr_runner *r)
{
	struct tr_attesting *a = &r->attesting;
	struct tr_err err = { 0 };
	struct tr_attestation was;

	tr_tee_choice_done(&a->choice);
	a->choice = (struct tr_tee_choice){ 0 };
	a->unusable = (struct tr_err){ 0 };
	if (tr_tee_choice_make(&r->state, &a->choice, &a->unusable)) {
		tr_log_err(TR_LOG_ERROR, "tee_not_usable", &a->unusable, "hint", a->unusable.pub, NULL);
	} else if (a->choice.source) {
		tr_log(TR_LOG_INFO, "tee", "source", a->choice.source->name, NULL);
	}
	if (a->doc || tr_attestation_load(&r->state, &a->doc, &a->arena, &was, &err))
		return;
	a->last = was;
	a->due_ms = tr_view_is(was.state, "verified") ? tr_attest_due_ms(was.verified_at, was.expires_at, tr_random32()) : 0;
}

void tr_run_close_attest(struct tr_runner *r)
{
	tr_tee_choice_done(&r->attesting.choice);
	r->attesting.doc = tr_json_free(r->attesting.doc);
	tr_buf_done(&r->attesting.arena);
}

uint64_t tr_run_attest_in_ms(const struct tr_runner *r)
{
	const struct tr_attesting *a = &r->attesting;
	const struct tr_privkey *key = r->state.key;
	uint64_t mono = tr_mono_ms(), pause = a->not_before > mono ? a->not_before - mono : 0;
	int64_t due = a->due_ms - tr_run_now_ms(r);

	/* While a new key is on its way the proof would speak for the old one. */
	if (!r->in_touch || !r->link.client || r->next.key || (!a->choice.source && !a->unusable.code))
		return UINT64_MAX;
	if (a->asked)
		return 0;
	if (due < 0 || !tr_view_eq(a->last.key_id, tr_view(tr_pubkey_id(tr_privkey_pub(key)), 32)))
		due = 0;
	return (uint64_t)due > pause ? (uint64_t)due : pause;
}

/* How long to wait after a failure. */
static uint64_t pause_ms(const struct tr_attesting *a, bool unasked)
{
	uint32_t random = tr_random32();

	return a->unusable.code ? LOOK_AGAIN_MS
	       : unasked	? tr_jitter_ms(UNASKED_MS, random)
				: tr_backoff_ms(a->failures, TR_BACKOFF_CAP_MS, random);
}

static void note(struct tr_runner *r, struct tr_buf *arena, struct tr_attestation *now, enum tr_code rc,
		 const struct tr_err *why)
{
	struct tr_attesting *a = &r->attesting;
	struct tr_err err = { 0 };
	uint64_t mono = tr_mono_ms();

	if (rc) {
		bool unasked = tr_view_is(now->code, "no_policy");

		a->failures++;
		/* What was good stays until it ends, unless the server has learned better. */
		if (tr_view_is(a->last.state, "verified") && a->last.expires_at > tr_run_now_ms(r) &&
		    tr_view_eq(a->last.key_id, now->key_id) && (!now->code.n || now->stands)) {
			struct tr_view code = now->code, text = now->why;

			*now = a->last;
			now->code = code;
			now->why = text;
		} else {
			a->due_ms = 0;
		}
		if (!now->why.n)
			now->why = tr_view_str(why->pub);
		now->failed_at = tr_run_now_ms(r);
		now->failures = a->failures;
		a->not_before = mono + pause_ms(a, unasked);
		tr_log_err(unasked ? TR_LOG_INFO : TR_LOG_ERROR, "not_attested", why, "server", r->link.url, "attempt", tr_fmt("%u", a->failures), NULL);
	} else {
		a->failures = 0;
		a->not_before = mono + PAUSE_MS;
		a->due_ms = tr_attest_due_ms(now->verified_at, now->expires_at, tr_random32());
		tr_log(TR_LOG_INFO, "attested", "kind", tr_fmt_view(now->kind), "policy", tr_fmt_view(now->policy), "tier",
		       tr_fmt_view(now->tier), "verdict", tr_fmt_view(now->verdict), NULL);
	}
	if (tr_attestation_save(&r->state, now, &err))
		tr_log_err(TR_LOG_ERROR, "attestation_not_saved", &err, NULL);
	/* What `last` says borrows from the file's text, read again: one owner. */
	a->doc = tr_json_free(a->doc);
	tr_buf_clear(&a->arena);
	if (tr_attestation_load(&r->state, &a->doc, &a->arena, &a->last, &err)) {
		a->last = (struct tr_attestation){ 0 };
		a->due_ms = 0;
	}
	tr_buf_done(arena);
}

void tr_run_attest_if_due(struct tr_runner *r)
{
	struct tr_attesting *a = &r->attesting;
	const struct tr_attest_io io = { .state = &r->state, .client = r->link.client, .key = r->state.key,
					 .verify_ms = tr_link_verify_ms(&r->link, &r->pulser.chain.time),
					 .now_ms = tr_run_now_ms(r) };
	struct tr_buf arena = TR_BUF_INIT;
	struct tr_attestation now = { 0 };
	struct tr_err err = { 0 };
	enum tr_code rc;

	if (tr_run_attest_in_ms(r))
		return;
	a->asked = false;
	if (a->unusable.code)
		tr_run_open_attest(r); /* perhaps it is there by now */
	if (a->unusable.code) {
		/* The server is not bothered with what cannot be proven. */
		now.state = TR_VIEW_LIT("unavailable");
		now.key_id = tr_view(tr_pubkey_id(tr_privkey_pub(r->state.key)), 32);
		err = a->unusable;
		rc = err.code;
	} else if (!a->choice.source) {
		return; /* none, by now */
	} else {
		rc = tr_attest(&io, &a->choice, &arena, &now, &err);
	}
	note(r, &arena, &now, rc, &err);
}
