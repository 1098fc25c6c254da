/* SPDX-License-Identifier: Apache-2.0 */
/* The installation's signing keys, for operators: what there is, a new one, and its way from prepared to the end. */
#include "server/authority_inner.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

#define NAMES_SHOWN 20
#define LIST_DEFAULT 100
#define LIST_MAX 1000

void tr_short_id(struct tr_view id, char out[17])
{
	out[0] = 0;
	for (size_t i = 0; i < 8 && i < id.n; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", id.p[i]);
}

/* ---- what is shown ---- */

static const struct tr_keyset_key *named_by(const struct tr_keyset *k, const struct tr_skey_row *row)
{
	uint8_t id[32];

	for (size_t i = 0; i < k->n_keys; i++)
		if (tr_view_is(row->role, tr_key_role_name(k->keys[i].role)) && tr_keyset_key_id(&k->keys[i], id) &&
		    tr_view_eq(row->id, TR_VIEW_ARRAY(id)))
			return &k->keys[i];
	return NULL;
}

/* The oldest epoch from which on every keyset names this key; 0: the newest does not. */
static uint64_t named_since(const struct tr_core *c, const struct tr_skey_row *row)
{
	struct tr_keyset *k = calloc(1, sizeof(*k));
	const struct tr_item *i;
	uint64_t since = 0;

	TR_EACH_ITEM(&c->keysets, i) {
		const struct tr_keyset_row *at = TR_ROW(&c->keysets, i);
		struct tr_err err = { 0 };

		if (!k || at->epoch > c->keyset_epoch || tr_keyset_unverified(at->bytes, k, &err))
			continue;
		if (!named_by(k, row) || row->id.n != 32 || tr_keyset_revokes(k, row->id.p))
			since = 0;
		else if (!since)
			since = at->epoch;
	}
	free(k);
	return since;
}

void tr_skey_json(const struct tr_core *c, const struct tr_skey_row *row, struct tr_buf *b)
{
	const struct tr_keyset *k = tr_authority_keyset(c);
	const struct tr_keyset_key *named = named_by(k, row);

	tr_record_to_json(&tr_skey_def, row, b);
	if (b->failed)
		return;
	b->n--;
	tr_buf_addf(b, ",\"usable\":%s,\"published\":%s,\"revocation_published\":%s",
		    tr_skey_state_of(row->state) < TR_SKEY_RETIRED && tr_authority_usable(c, row->id) ? "true" : "false", named ? "true" : "false",
		    row->id.n == 32 && tr_keyset_revokes(k, row->id.p) ? "true" : "false");
	tr_json_member_time(b, "not_before", named ? named->not_before_ms : 0);
	tr_json_member_time(b, "not_after", named ? named->not_after_ms : 0);
	tr_json_member_time(b, "no_sign_after", named ? named->no_sign_after_ms : 0);
	tr_buf_addf(b, ",\"signs\":%s}",
		    tr_authority_command_key(c) && tr_view_eq(row->id, tr_view(tr_authority_command_key(c), 32)) ? "true" : "false");
}

void tr_api_skey_list(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	const struct tr_keyset *k = tr_authority_keyset(c);
	const struct tr_item *i;
	bool more = false;

	tr_buf_adds(&b, "{\"keys\":[");
	TR_EACH_ITEM(&c->skeys, i) {
		tr_buf_adds(&b, more ? "," : "");
		more = true;
		tr_skey_json(c, TR_ROW(&c->skeys, i), &b);
	}
	tr_buf_addf(&b, "],\"keyset\":{\"epoch\":%llu,\"revocation_number\":%llu", (unsigned long long)k->epoch,
		    (unsigned long long)k->revocation_number);
	tr_json_member_time(&b, "issued_at", k->issued_ms);
	tr_json_member_time(&b, "expires_at", k->expires_ms);
	tr_buf_adds(&b, ",\"root_fingerprint\":\"");
	tr_hex_add(&b, TR_VIEW_ARRAY(c->root_pin));
	tr_buf_addf(&b, "\"},\"can_sign_commands\":%s}", tr_authority_command_key(c) ? "true" : "false");
	tr_req_answer_json(r, &b);
}

static struct tr_item *named(struct tr_core *c, struct tr_req *r)
{
	return tr_key_named(r, &c->skeys, "no signing key begins like this (at least 8 digits); see troth key list");
}

void tr_api_skey_get(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_item *i = named(c, r);

	if (!i)
		return;
	tr_skey_json(c, TR_ROW(&c->skeys, i), &b);
	tr_req_answer_json(r, &b);
}

/* ---- who has adopted it ---- */

struct laggards {
	struct tr_buf *b;
	size_t n, most;
	bool more;
};

static void put_laggard(const struct tr_core *c, uint32_t no, struct tr_buf *b)
{
	uint64_t epoch = tr_fleet_keyset_of(c->fleet, no);
	struct tr_axes axes;
	struct tr_instant now = tr_core_now(c);

	(void)tr_fleet_verdict(c->fleet, &now, no, &axes);
	tr_buf_adds(b, "{\"id\":");
	tr_json_put_str(b, tr_view_str(tr_fleet_agent(c->fleet, no)->id));
	if (epoch)
		tr_buf_addf(b, ",\"keyset_epoch\":%llu", (unsigned long long)epoch);
	else
		tr_buf_adds(b, ",\"keyset_epoch\":null");
	tr_buf_addf(b, ",\"reach\":\"%s\"}", tr_reach_name((enum tr_reach)axes.reach));
}

void tr_api_skey_adoption(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	struct tr_item *key = named(c, r), *i;
	struct tr_in_adoption in = { 0 };
	struct tr_instant now = tr_core_now(c);
	struct tr_adoption count;
	struct tr_err err = { 0 };
	struct tr_view last = { 0 };
	uint64_t since;
	size_t n = 0, at;

	if (!key)
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (!in.limit || in.limit > LIST_MAX)
		in.limit = in.limit ? LIST_MAX : LIST_DEFAULT;
	since = named_since(c, TR_ROW(&c->skeys, key));
	tr_fleet_adoption(c->fleet, &now, since, &count);
	tr_buf_adds(&b, "{\"id\":\"");
	tr_hex_add(&b, tr_item_key(key));
	tr_buf_addf(&b, "\",\"named_since\":%llu,\"epoch\":%llu,\"adopted\":%llu,\"behind\":%llu,\"unreachable\":%llu,\"agents\":[",
		    (unsigned long long)since, (unsigned long long)c->keyset_epoch, (unsigned long long)count.adopted,
		    (unsigned long long)count.behind, (unsigned long long)count.unreachable);
	at = tr_table_after(&c->agents, in.cursor);
	while (n <= in.limit && (i = tr_table_next(&c->agents, &at)) != NULL) {
		if (tr_fleet_adopted(c->fleet, &now, i->no, since) > TR_ADOPTED && ++n <= in.limit) {
			tr_buf_adds(&b, n > 1 ? "," : "");
			put_laggard(c, i->no, &b);
			last = tr_item_key(i);
		}
	}
	tr_buf_adds(&b, "],\"next\":");
	if (n > in.limit)
		tr_json_put_str(&b, last);
	else
		tr_buf_adds(&b, "null");
	tr_buf_adds(&b, "}");
	tr_req_answer_json(r, &b);
}

/* 409 with the first names of those who are behind. */
static void refuse_behind(const struct tr_core *c, struct tr_req *r, uint64_t since, const struct tr_adoption *count)
{
	tr_auto(tr_buf_done) struct tr_buf extra = TR_BUF_INIT;
	struct tr_problem p = { .status = 409, .slug = "not_adopted", .title = tr_http_status_title(409) };
	struct tr_instant now = tr_core_now(c);
	const struct tr_item *i;
	size_t n = 0;
	char why[320];

	tr_buf_addf(&extra, "\"behind\":%llu,\"agents\":[", (unsigned long long)count->behind);
	TR_EACH_ITEM(&c->agents, i) {
		if (n >= NAMES_SHOWN || tr_fleet_adopted(c->fleet, &now, i->no, since) != TR_ADOPTED_BEHIND)
			continue;
		tr_buf_adds(&extra, n++ ? "," : "");
		tr_json_put_str(&extra, tr_item_key(i));
	}
	tr_buf_adds(&extra, "]");
	(void)snprintf(why, sizeof(why),
		       "%llu agents that can be reached do not hold a keyset that names this key yet, and would refuse what it signs; wait (`troth key rotate --wait`), or promote it all the same with force and a reason",
		       (unsigned long long)count->behind);
	p.detail = why;
	p.extra = tr_buf_view(&extra);
	tr_req_problem(r, &p);
}

/* ---- a new one ---- */

static void on_made(void *arg, const void *answer)
{
	struct tr_req *r = arg;
	struct tr_core *c = r->core;
	const struct tr_msg_key_made *m = answer;
	struct tr_in_skey in = { 0 };
	struct tr_key_change *ch = NULL;
	struct tr_err err = { 0 };
	char why[256];

	if (!m) {
		tr_req_refuse(r, 503, "signer_unavailable", "the role that holds the keys is restarting; try again in a moment");
	} else if (m->code) {
		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->why));
		tr_req_refuse(r, 503, "signer_unavailable", why);
	} else if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
	} else {
		ch = tr_key_change_begin(c, r, 1);
	}
	if (!ch) {
		(void)tr_req_free(r);
		tr_turn_end(c);
		return;
	}
	tr_sha256(m->spki, ch->about);
	ch->status = 201;
	(void)tr_key_change_add(ch, &(struct tr_skey_row){ .role = in.role, .origin = TR_VIEW_LIT("sealed"), .name = in.name,
							   .key_type = m->key_type, .spki = m->spki, .sealed = m->sealed });
	tr_key_change_commit(ch);
}

static size_t prepared(const struct tr_core *c)
{
	const struct tr_item *i;
	size_t n = 0;

	TR_EACH_ITEM(&c->skeys, i) {
		const struct tr_skey_row *row = TR_ROW(&c->skeys, i);

		n += tr_skey_state_of(row->state) == TR_SKEY_PREPARED;
	}
	return n;
}

static void create(struct tr_core *c, struct tr_req *r)
{
	if (prepared(c) >= TR_SKEYS_PREPARED_MAX) {
		tr_req_refuse(r, 409, "full",
			      "16 keys are prepared and wait for a keyset that names them: publish one, or retire those that nobody needs");
		(void)tr_req_free(r);
		tr_turn_end(c);
		return;
	}
	tr_core_ask(c, c->keys, TR_M_MAKE_KEY, &tr_msg_make_key_def, &(struct tr_msg_make_key){ .role = TR_VIEW_LIT("command") },
		    on_made, r);
}

void tr_api_skey_create(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_skey in = { 0 };
	struct tr_err err = { 0 };
	struct tr_req *kept;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (!tr_view_is(in.role, "command")) {
		tr_req_refuse(r, 400, "out_of_range",
			      "role must be command: the CA's key is a file or in a token (pkcs11.ca), release and operator keys are people's");
		return;
	}
	if (c->skeys.n >= TR_SKEYS_MAX) {
		tr_req_refuse(r, 409, "full", "this server has had as many signing keys as it can remember");
		return;
	}
	kept = tr_req_keep(r);
	if (kept)
		tr_turn_take(c, create, kept);
}

/* ---- its way ---- */

static const char *may_promote(struct tr_key_change *ch, size_t at, const struct tr_in_skey_end *in)
{
	struct tr_core *c = ch->c;
	const struct tr_skey *k = &ch->s.keys[at];
	struct tr_instant now = tr_core_now(c);
	struct tr_adoption count;
	uint64_t since;

	if (k->state == TR_SKEY_ACTIVE && !k->usable)
		return "key_unusable";
	if (in->force && in->reason.n)
		return NULL;
	if (k->state != TR_SKEY_ACTIVE)
		return NULL; /* tr_skeys_promote says why not */
	since = named_since(c, &k->row);
	tr_fleet_adoption(c->fleet, &now, since, &count);
	if (!count.behind)
		return NULL;
	if (in->force) /* the word of somebody who does not say why is not taken */
		return "reason_missing";
	refuse_behind(c, ch->r, since, &count);
	return "";
}

static void refuse(struct tr_req *r, const char *slug)
{
	static const struct {
		int status;
		const char *slug, *why;
	} all[] = {
		{ 409, "not_active", "only an active key becomes primary: one that the keyset in force names and lets sign now; see troth key list" },
		{ 409, "key_in_use", "this key is the primary one; promote another first, then retire it" },
		{ 409, "already_ended", "this key is retired or revoked already" },
		{ 409, "key_unusable", "this node cannot use the private half of this key (another keys/seal.key, or a token that is away); see its alert" },
		{ 400, "reason_missing", "force needs a reason, for the audit log" },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++)
		if (strcmp(all[i].slug, slug) == 0)
			tr_req_refuse(r, all[i].status, all[i].slug, all[i].why);
}

static const char *do_it(struct tr_key_change *ch, size_t at, const struct tr_in_skey_end *in)
{
	const char *no;

	switch (ch->r->q.route) {
	case TR_RT_SKEY_PROMOTE:
		no = may_promote(ch, at, in);
		return no ? no : tr_skeys_promote(&ch->s, at);
	case TR_RT_SKEY_RETIRE: return tr_skeys_retire(&ch->s, at, in->reason);
	default: return tr_skeys_revoke(&ch->s, at, in->reason);
	}
}

static void change(struct tr_core *c, struct tr_req *r)
{
	struct tr_key_change *ch = tr_key_change_begin(c, r, 0);
	struct tr_in_skey_end in = { 0 };
	struct tr_err err = { 0 };
	const char *no = "";
	size_t at = 0;

	if (!ch) {
		r->about->ending = false;
		(void)tr_req_free(r);
		tr_turn_end(c);
		return;
	}
	while (at < ch->s.n && !tr_view_eq(ch->s.keys[at].row.id, tr_item_key(r->about)))
		at++;
	memcpy(ch->about, tr_item_key(r->about).p, 32);
	if (at == ch->s.n || tr_req_in(r, &in, &err))
		tr_req_error(r, &err);
	else
		no = do_it(ch, at, &in);
	if (!no) {
		if (ch->s.keys[at].state != TR_SKEY_REVOKED)
			r->about->ending = false;
		tr_key_change_commit(ch);
		return;
	}
	refuse(r, no);
	r->about->ending = false;
	tr_key_change_drop(ch);
	tr_authority_refresh_key(c);
}

static void begin(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = named(c, r);
	const struct tr_skey_row *row = TR_ROW(&c->skeys, i);
	struct tr_req *kept;

	if (!i)
		return;
	if (tr_view_is(row->role, TR_SKEY_RESULT) && r->q.route != TR_RT_SKEY_REVOKE) {
		tr_req_refuse(r, 409, "key_in_use", "the key that signs results is revoked, not retired or promoted: another is made at once");
		return;
	}
	if (!tr_view_is(row->role, "command") && !tr_view_is(row->role, TR_SKEY_RESULT)) {
		tr_req_refuse(r, 409, "not_here",
			      "which key is the CA's is said by the configuration and by keysets, not by this request");
		return;
	}
	kept = tr_req_keep(r);
	if (!kept)
		return;
	kept->about = i; /* rows of keys are never deleted */
	if (r->q.route == TR_RT_SKEY_REVOKE) {
		/* From this moment, whatever waits in front of it and whatever the disk is doing. */
		i->ending = true;
		tr_authority_refresh_key(c);
	}
	tr_turn_take(c, change, kept);
}

void tr_api_skey_promote(struct tr_core *c, struct tr_req *r)
{
	begin(c, r);
}

void tr_api_skey_retire(struct tr_core *c, struct tr_req *r)
{
	begin(c, r);
}

void tr_api_skey_revoke(struct tr_core *c, struct tr_req *r)
{
	begin(c, r);
}
