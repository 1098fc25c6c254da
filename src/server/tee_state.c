/* SPDX-License-Identifier: Apache-2.0 */
/* By what evidence is judged now, here and in role `appraise`: its copy is told anew whenever a row changes or the role starts
 * again. A bundle counts only when it has been verified under the keyset of now. And the key that signs results. */
#include "server/attest.h"
#include "server/authority_inner.h"
#include "server/hub.h"
#include "server/tee_policies.h"

#include "appraise/tee.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_EVERY_MS 10000u
#define DAY_S INT64_C(86400)
#define EXPIRING_S (7 * DAY_S)
#define VERDICTS_KEPT_MS (400 * INT64_C(86400000))
#define FORGET_EVERY_MS (6 * 3600000u)

struct tr_tee_state {
	struct tr_collateral bundle;
	struct tr_buf items;
	bool reading, again;      /* the verifier is looking at the bundle; something changed meanwhile */
	bool making;              /* a result key */
	struct tr_tee_counts counts;
	uint64_t looked_at, forgot_at; /* monotonic */
	int64_t expired_up_to;    /* Unix ms: whose end has been told */
};

struct tr_tee_state *tr_tee_state_new(void)
{
	return calloc(1, sizeof(struct tr_tee_state));
}

struct tr_tee_counts *tr_tee_counts(struct tr_core *c)
{
	return &c->tee->counts;
}

const struct tr_collateral *tr_collateral_now(const struct tr_core *c)
{
	return &c->tee->bundle;
}

/* ---- telling the verifier ---- */

static bool is_active(const struct tr_tee_policy_row *p)
{
	return tr_view_is(p->state, "active");
}

static size_t active_policies(const struct tr_core *c)
{
	const struct tr_item *i;
	size_t n = 0;

	TR_EACH_ITEM(&c->tee_policies, i)
		n += is_active(TR_ROW(&c->tee_policies, i));
	return n;
}

static const struct tr_item *newest_bundle(const struct tr_core *c)
{
	const struct tr_item *i, *best = NULL;
	uint64_t version = 0;

	TR_EACH_ITEM(&c->bundles, i) {
		const struct tr_bundle_row *row = TR_ROW(&c->bundles, i);

		if (best && row->version <= version)
			continue;
		best = i;
		version = row->version;
	}
	return best;
}

static void send_state(struct tr_core *c)
{
	const struct tr_bundle_row *row = TR_ROW(&c->bundles, newest_bundle(c));
	struct tr_msg_tee_state m = { .clear = true };
	const struct tr_item *i;

	if (!c->appraise)
		return;
	if (c->tee->bundle.good && row)
		m.bundle = row->bytes;
	tr_chan_send_record(c->appraise, TR_M_TEE_STATE, 0, &tr_msg_tee_state_def, &m);
	TR_EACH_ITEM(&c->tee_policies, i) {
		const struct tr_tee_policy_row *p = TR_ROW(&c->tee_policies, i);
		tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;

		if (!is_active(p))
			continue;
		tr_record_encode(&tr_tee_policy_row_def, p, &bytes);
		m = (struct tr_msg_tee_state){ .policy = tr_buf_view(&bytes) };
		tr_chan_send_record(c->appraise, TR_M_TEE_STATE, 0, &tr_msg_tee_state_def, &m);
	}
}

static void tell(struct tr_core *c);

static void on_bundle(void *arg, const void *answer)
{
	struct tr_core *c = arg;
	struct tr_tee_state *s = c->tee;
	const struct tr_msg_bundle_read *m = answer;

	s->reading = false;
	if (s->again || !m) {
		/* Without an answer the role is away: it is told when it is back. */
		s->again = false;
		if (m)
			tell(c);
		return;
	}
	s->bundle.good = m->code == TR_OK;
	tr_buf_clear(&s->items);
	if (s->bundle.good) {
		tr_buf_addv(&s->items, m->items);
		s->bundle.made = m->made;
	} else {
		(void)snprintf(s->bundle.why, sizeof(s->bundle.why), "%.*s", TR_VIEW_FMT(m->why));
		tr_log(TR_LOG_ERROR, "collateral_not_used", "why", s->bundle.why, NULL);
	}
	s->bundle.items = tr_buf_view(&s->items);
	send_state(c);
}

static void tell(struct tr_core *c)
{
	struct tr_tee_state *s = c->tee;
	const struct tr_bundle_row *row = TR_ROW(&c->bundles, newest_bundle(c));
	struct tr_msg_read_bundle q = { .keyset = tr_authority_bytes(c), .now = tr_now_ms() };

	if (!c->loaded || !c->appraise)
		return;
	if (s->reading) {
		s->again = true;
		return;
	}
	s->bundle = (struct tr_collateral){ .present = row != NULL };
	if (!row) {
		send_state(c);
		return;
	}
	s->bundle.version = row->version;
	s->bundle.imported_at = row->imported_at;
	if (row->id.n != 64 || !tr_hex_get(row->id, s->bundle.digest, 32)) {
		send_state(c);
		return;
	}
	q.bundle = row->bytes;
	s->reading = true;
	tr_core_ask(c, c->appraise, TR_M_READ_BUNDLE, &tr_msg_read_bundle_def, &q, on_bundle, c);
}

void tr_tee_loaded(struct tr_core *c)
{
	c->tee->expired_up_to = tr_now_ms();
	tell(c);
}

void tr_tee_appraise_up(struct tr_core *c)
{
	c->tee->reading = false;
	tell(c);
}

void tr_tee_follow(struct tr_core *c, uint32_t tables)
{
	if (tables & (1u << TR_T_BUNDLE | 1u << TR_T_TEE_POLICY | 1u << TR_T_KEYSET))
		tell(c);
}

/* ---- which policy ---- */

static bool names(struct tr_view list, struct tr_view type)
{
	while (list.n) {
		const uint8_t *comma = memchr(list.p, ',', list.n);
		size_t n = comma ? (size_t)(comma - list.p) : list.n;

		if (tr_view_eq(tr_view(list.p, n), type))
			return true;
		list = comma ? tr_view(comma + 1, list.n - n - 1) : tr_view(NULL, 0);
	}
	return false;
}

bool tr_tee_types_name(struct tr_view list, struct tr_view type)
{
	return names(list, type) || names(list, TR_VIEW_LIT("*"));
}

bool tr_tee_policy_of(const struct tr_core *c, struct tr_view agent_type, struct tr_tee_choice *ret)
{
	const struct tr_item *i;
	bool found = false, exact = false;

	TR_EACH_ITEM(&c->tee_policies, i) {
		const struct tr_tee_policy_row *p = TR_ROW(&c->tee_policies, i);
		bool is = names(p->agent_types, agent_type);

		if (!is_active(p) || exact || (!is && (found || !names(p->agent_types, TR_VIEW_LIT("*")))))
			continue;
		found = true;
		exact = is;
		(void)snprintf(ret->id, sizeof(ret->id), "%.*s", TR_VIEW_FMT(p->id));
		(void)snprintf(ret->name, sizeof(ret->name), "%.*s", TR_VIEW_FMT(p->name));
		ret->version = p->version;
	}
	return found;
}

/* ---- the result key ---- */

static const struct tr_item *result_key_row(const struct tr_core *c)
{
	const struct tr_item *i, *best = NULL;
	uint64_t version = 0;

	TR_EACH_ITEM(&c->skeys, i) {
		const struct tr_skey_row *row = TR_ROW(&c->skeys, i);

		if (!tr_view_is(row->role, TR_SKEY_RESULT) || tr_skey_state_of(row->state) != TR_SKEY_PRIMARY || i->ending ||
		    row->version < version)
			continue;
		best = i;
		version = row->version;
	}
	return best;
}

static void on_made(void *arg, const void *answer)
{
	struct tr_core *c = arg;
	const struct tr_msg_key_made *m = answer;
	struct tr_key_change *ch = m && !m->code ? tr_key_change_begin(c, NULL, 1) : NULL;
	struct tr_skey *k;

	c->tee->making = false;
	if (!ch) {
		tr_log(TR_LOG_ERROR, "result_key_not_made", "why", m ? tr_fmt_view(m->why) : "the role that holds the keys is away",
		       NULL);
		tr_turn_end(c);
		return;
	}
	k = tr_key_change_add(ch, &(struct tr_skey_row){ .role = TR_VIEW_LIT(TR_SKEY_RESULT), .origin = TR_VIEW_LIT("sealed"),
							 .key_type = m->key_type, .spki = m->spki, .sealed = m->sealed });
	/* The CA vouches for it as soon as it is there: nobody has to name it first. */
	k->state = TR_SKEY_PRIMARY;
	k->row.state = tr_view_str(tr_skey_state_name(TR_SKEY_PRIMARY));
	k->row.active_at = k->row.primary_at = tr_now_ms();
	tr_key_change_commit(ch);
}

static void make_key(struct tr_core *c, struct tr_req *r)
{
	(void)r;
	if (result_key_row(c)) {
		c->tee->making = false;
		tr_turn_end(c);
		return;
	}
	tr_core_ask(c, c->keys, TR_M_MAKE_KEY, &tr_msg_make_key_def,
		    &(struct tr_msg_make_key){ .role = TR_VIEW_LIT(TR_SKEY_RESULT) }, on_made, c);
}

const uint8_t *tr_result_key(struct tr_core *c)
{
	const struct tr_item *i = result_key_row(c);

	if (i)
		return tr_authority_usable(c, tr_item_key(i)) ? tr_item_key(i).p : NULL;
	if (!c->tee->making && c->up[TR_UP_KEYS] && c->store_ok && tr_turns_idle(c)) {
		c->tee->making = true;
		tr_turn_take(c, make_key, NULL);
	}
	return NULL;
}

/* ---- the clock ---- */

int64_t tr_collateral_ends(const struct tr_core *c, struct tr_view type, int64_t *ret_issued)
{
	struct tr_view list = c->tee->bundle.items, one;
	struct tr_msg_collateral_item m;
	int64_t ends = 0, issued = 0;
	struct tr_err err;

	while (tr_records_next(&list, &one)) {
		if (tr_record_decode(&tr_msg_collateral_item_def, one, &m, &err) || !tr_view_eq(m.type, type))
			continue;
		if (m.expires && (!ends || m.expires < ends))
			ends = m.expires;
		if (m.issued && (!issued || m.issued < issued))
			issued = m.issued;
	}
	if (ret_issued)
		*ret_issued = issued;
	return ends;
}

static void watch_item(struct tr_core *c, enum tr_bundle_item type)
{
	struct tr_alerts *alerts = tr_fleet_alerts(c->fleet);
	struct tr_view name = tr_view_str(tr_bundle_item_name(type));
	int64_t now = tr_now_ms() / 1000, ends = tr_collateral_ends(c, name, NULL), ms = tr_core_now(c).ms;
	bool soon = ends && ends - now < EXPIRING_S && active_policies(c) > 0;
	char subject[64], what[160];
	struct tr_alert a = { .kind = "collateral_expiring" };
	const struct tr_alert_row *open;

	(void)snprintf(subject, sizeof(subject), "collateral:%s", tr_bundle_item_name(type));
	a.subject = tr_view_str(subject);
	a.severity = ends <= now ? 2 : 3;
	open = tr_alerts_find(alerts, a.kind, a.subject);
	if (ends > now)
		(void)snprintf(what, sizeof(what), "collateral of kind %s ends in %lld days", tr_bundle_item_name(type),
			       (long long)((ends - now) / DAY_S));
	else
		(void)snprintf(what, sizeof(what), "collateral of kind %s has ended: evidence that needs it is refused",
			       tr_bundle_item_name(type));
	a.summary = tr_view_str(what);
	if (soon && (!open || a.severity < open->severity))
		tr_alerts_raise(alerts, ms, &a);
	else if (!soon && open)
		tr_alerts_resolve(alerts, ms, a.kind, a.subject, "newer collateral is in force");
}

/* Verdicts that have run out without a new one since the last look. */
static void tell_expired(struct tr_core *c)
{
	int64_t now = tr_now_ms(), from = c->tee->expired_up_to;
	const struct tr_item *i;

	c->tee->expired_up_to = now;
	TR_EACH_ITEM(&c->attested, i) {
		const struct tr_attested_row *a = TR_ROW(&c->attested, i);
		const struct tr_item *agent = tr_table_get(&c->agents, a->id);
		const struct tr_agent_row *row;

		if (a->expires_at <= from || a->expires_at > now || !tr_view_is(a->state, "verified"))
			continue;
		row = TR_ROW(&c->agents, agent);
		if (row && tr_view_is(row->state, "active"))
			tr_hub_event(c, TR_EV_ATTESTATION_EXPIRED, 3, a->id, tr_view(NULL, 0), TR_VIEW_LIT("{}"), NULL, NULL);
	}
}

static void forgot(void *arg, enum tr_code rc, const char *why)
{
	(void)arg;
	if (rc)
		tr_log(TR_LOG_WARN, "old_verdicts_kept", "why", why, NULL);
}

static void forget_old(struct tr_core *c)
{
	struct tr_verdict_row row = { .time = tr_now_ms() - VERDICTS_KEPT_MS };
	struct tr_tx *tx = tr_tx_new(c);

	tr_tx_add(tx, TR_OP_EXPIRE, TR_T_VERDICT, &row);
	tr_tx_commit(tx, forgot, NULL);
}

void tr_tee_tick(struct tr_core *c)
{
	uint64_t now = tr_mono_ms();

	if (!c->loaded)
		return;
	if (active_policies(c))
		(void)tr_result_key(c);
	if (now - c->tee->looked_at < LOOK_EVERY_MS && c->tee->looked_at)
		return;
	c->tee->looked_at = now;
	if (!tr_core_holds(c)) {
		c->tee->expired_up_to = tr_now_ms();
		return;
	}
	tell_expired(c);
	for (unsigned t = 1; t < TR_BI_N && c->tee->bundle.good; t++)
		watch_item(c, (enum tr_bundle_item)t);
	if (now - c->tee->forgot_at > FORGET_EVERY_MS && c->store_ok) {
		c->tee->forgot_at = now;
		forget_old(c);
	}
}

/* ---- what is shown ---- */

static void put_age(const struct tr_core *c, const char *metric, const char *help, bool age, struct tr_buf *b)
{
	int64_t now = tr_now_ms() / 1000, issued, ends;

	tr_buf_addf(b, "# HELP %s %s\n# TYPE %s gauge\n", metric, help, metric);
	for (unsigned t = 1; t < TR_BI_N && c->tee->bundle.good; t++) {
		const char *name = tr_bundle_item_name((enum tr_bundle_item)t);

		ends = tr_collateral_ends(c, tr_view_str(name), &issued);
		if (age ? issued : ends)
			tr_buf_addf(b, "%s{item=\"%s\"} %lld\n", metric, name, (long long)(age ? now - issued : ends - now));
	}
}

void tr_tee_metrics(const struct tr_core *c, struct tr_buf *b)
{
	static const char *const outcomes[] = { "failed", "verified" };
	const struct tr_tee_counts *n = &c->tee->counts;

	tr_buf_adds(b, "# HELP troth_evidence_verifications_total Appraisals of TEE and TPM evidence.\n"
		       "# TYPE troth_evidence_verifications_total counter\n");
	for (unsigned k = 1; k < TR_TEE_KIND_N; k++)
		for (unsigned o = 0; o < TR_TEE_OUTCOMES; o++)
			tr_buf_addf(b, "troth_evidence_verifications_total{kind=\"%s\",outcome=\"%s\"} %llu\n",
				    tr_tee_kind_name((enum tr_tee_kind)k), outcomes[o], (unsigned long long)n->by_kind[k][o]);
	tr_buf_addf(b,
		    "# HELP troth_evidence_refused_total Registrations with evidence that were refused before it was looked at.\n"
		    "# TYPE troth_evidence_refused_total counter\n"
		    "troth_evidence_refused_total %llu\n"
		    "# HELP troth_evidence_verification_seconds_total CPU time of appraisals.\n"
		    "# TYPE troth_evidence_verification_seconds_total counter\n"
		    "troth_evidence_verification_seconds_total %.6f\n"
		    "# HELP troth_collateral_version Version of the collateral bundle in force; 0: none.\n"
		    "# TYPE troth_collateral_version gauge\n"
		    "troth_collateral_version %llu\n",
		    (unsigned long long)n->refused, (double)n->nanoseconds / 1e9,
		    (unsigned long long)(c->tee->bundle.good ? c->tee->bundle.version : 0));
	put_age(c, "troth_collateral_age_seconds", "Age of the oldest item of a kind.", true, b);
	put_age(c, "troth_collateral_seconds_left", "Until the first item of a kind ends.", false, b);
}

void tr_tee_ready_json(const struct tr_core *c, struct tr_buf *b)
{
	const struct tr_collateral *col = &c->tee->bundle;
	int64_t first = 0;

	if (!active_policies(c))
		return;
	for (unsigned t = 1; t < TR_BI_N && col->good; t++) {
		int64_t ends = tr_collateral_ends(c, tr_view_str(tr_bundle_item_name((enum tr_bundle_item)t)), NULL);

		if (ends && (!first || ends < first))
			first = ends;
	}
	tr_buf_addf(b, ",\"collateral\":{\"present\":%s,\"good\":%s,\"version\":%llu", col->present ? "true" : "false",
		    col->good ? "true" : "false", (unsigned long long)col->version);
	tr_json_member_time(b, "imported_at", col->imported_at);
	tr_json_member_time(b, "first_end", first * 1000);
	tr_buf_adds(b, "}");
}

const char *tr_attested_state(const struct tr_core *c, struct tr_view agent)
{
	const struct tr_attested_row *a = TR_ROW(&c->attested, tr_table_get(&c->attested, agent));

	if (!a)
		return "none";
	if (tr_hub_verified(c, agent, &(struct tr_row_room){ .text = { 0 } }))
		return "verified";
	if (!tr_view_is(a->state, "verified"))
		return "failed";
	return a->expires_at <= tr_now_ms() ? "expired" : "suspended";
}

void tr_attested_json(const struct tr_core *c, struct tr_view agent, struct tr_buf *b)
{
	const struct tr_attested_row *a = TR_ROW(&c->attested, tr_table_get(&c->attested, agent));

	if (!a) {
		tr_buf_adds(b, "null");
		return;
	}
	tr_buf_addf(b, "{\"state\":\"%s\"", tr_attested_state(c, agent));
	tr_json_member_str(b, "kind", a->kind);
	tr_json_member_str(b, "policy", a->policy);
	tr_buf_addf(b, ",\"policy_version\":%llu", (unsigned long long)a->policy_version);
	tr_json_member_str(b, "tier", a->tier);
	tr_json_member_str(b, "tcb_status", a->tcb_status);
	tr_json_member_str(b, "image", a->image);
	tr_buf_addf(b, ",\"simulated\":%s", a->simulated ? "true" : "false");
	tr_json_member_time(b, "verified_at", a->verified_at);
	tr_json_member_time(b, "expires_at", a->expires_at);
	tr_json_member_str(b, "verdict", a->verdict);
	tr_json_member_str(b, "reason", a->reason);
	tr_json_member_time(b, "failed_at", a->failed_at);
	tr_buf_addf(b, ",\"failures\":%llu}", (unsigned long long)a->failures);
}
