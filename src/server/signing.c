/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a signature: which keys role `keys` can use, which of them signs commands now, and batches of commands. */
#include "server/authority_inner.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/orders.h"

#define BATCH_BYTES ((size_t)800000)
#define KEYS_TRIED_MAX 4 /* of one batch, when one after the other is revoked */
#define PER_COMMAND 512 /* what a command adds to its order and approvals, generously */

/* ---- what `keys` can use ---- */

static bool is_held(const struct tr_authority *a, struct tr_view id)
{
	struct tr_view list = tr_buf_view(&a->held), one;
	struct tr_msg_held h;
	struct tr_err err;

	while (tr_records_next(&list, &one)) {
		uint8_t digest[32];

		if (tr_record_decode(&tr_msg_held_def, one, &h, &err))
			continue;
		tr_sha256(h.spki, digest);
		if (tr_view_eq(id, TR_VIEW_ARRAY(digest)))
			return true;
	}
	return false;
}

bool tr_authority_usable(const struct tr_core *c, struct tr_view id)
{
	const struct tr_authority *a = c->authority;

	for (size_t i = 0; i < a->n_opened; i++)
		if (tr_view_eq(id, TR_VIEW_ARRAY(a->opened[i])))
			return c->up[TR_UP_KEYS];
	return c->up[TR_UP_KEYS] && is_held(a, id);
}

bool tr_authority_has_token(const struct tr_core *c)
{
	const struct tr_config_pkcs11 *p = c->cfg->pkcs11;
	struct tr_view list = tr_buf_view(&c->authority->held), one;
	unsigned wanted = p ? (p->ca != NULL) + (p->command != NULL) : 0, held = 0;
	struct tr_msg_held h;
	struct tr_err err;

	while (tr_records_next(&list, &one))
		held += !tr_record_decode(&tr_msg_held_def, one, &h, &err) && tr_view_is(h.origin, "pkcs11");
	return held >= wanted;
}

static void on_loaded(void *arg, const void *answer)
{
	struct tr_core *c = arg;
	struct tr_authority *a = c->authority;
	const struct tr_msg_keys_loaded *m = answer;
	size_t n = m ? m->usable.n / 32 : 0;

	a->loading = false;
	if (!m) {
		memset(a->load_asked, 0, sizeof(a->load_asked)); /* it went away: its successor is asked */
		return;
	}
	free(a->opened);
	a->opened = n ? calloc(n, 32) : NULL;
	a->n_opened = a->opened ? n : 0;
	if (a->opened)
		memcpy(a->opened, m->usable.p, n * 32);
	a->load_told = true;
	if (m->code)
		tr_log(TR_LOG_ERROR, "signing_keys_not_opened", "why", tr_fmt_view(m->why), NULL);
	(void)tr_authority_load_keys(c); /* rows may have changed meanwhile */
	tr_authority_refresh_key(c);
	tr_core_tell_ready(c);
}

static bool lives(const struct tr_skey_row *row)
{
	enum tr_skey_state s = tr_skey_state_of(row->state);

	return s < TR_SKEY_RETIRED && tr_view_is(row->origin, "sealed");
}

bool tr_authority_load_keys(struct tr_core *c)
{
	struct tr_authority *a = c->authority;
	tr_auto(tr_buf_done) struct tr_buf rows = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf ids = TR_BUF_INIT;
	struct tr_msg_keys_load m;
	const struct tr_item *i;
	uint8_t digest[32];

	if (!c->up[TR_UP_KEYS] || a->loading)
		return false;
	tr_buf_adds(&ids, "keys");
	TR_EACH_ITEM(&c->skeys, i) {
		const struct tr_skey_row *row = TR_ROW(&c->skeys, i);

		if (!lives(row))
			continue;
		tr_records_add(&rows, &tr_skey_def, row);
		tr_buf_addv(&ids, row->id);
	}
	tr_sha256(tr_buf_view(&ids), digest);
	if (memcmp(digest, a->load_asked, 32) == 0)
		return a->load_told;
	memcpy(a->load_asked, digest, 32);
	a->loading = true;
	m.rows = tr_buf_view(&rows);
	tr_core_ask(c, c->keys, TR_M_KEYS_LOAD, &tr_msg_keys_load_def, &m, on_loaded, c);
	return false;
}

void tr_authority_keys_up(struct tr_core *c)
{
	if (c->authority->bytes.n)
		(void)tr_authority_load_keys(c);
}

void tr_authority_keys_down(struct tr_core *c)
{
	struct tr_authority *a = c->authority;

	a->n_opened = 0;
	a->load_told = false;
	memset(a->load_asked, 0, sizeof(a->load_asked));
	tr_buf_done(&a->held);
	tr_authority_refresh_key(c);
}

/* ---- which key signs ---- */

static const struct tr_keyset_key *named(const struct tr_keyset *k, const struct tr_skey_row *row)
{
	for (size_t i = 0; i < k->n_keys; i++)
		if (k->keys[i].role == TR_ROLE_COMMAND && tr_view_eq(k->keys[i].key, row->spki))
			return &k->keys[i];
	return NULL;
}

static bool take_if_primary(struct tr_core *c, const struct tr_item *i, int64_t now)
{
	struct tr_authority *a = c->authority;
	const struct tr_skey_row *row = TR_ROW(&c->skeys, i);
	struct tr_skey k = { .row = *row };

	if (!tr_view_is(row->role, "command") || tr_skey_state_of(row->state) != TR_SKEY_PRIMARY || i->ending)
		return false;
	k.named = named(&a->keyset, row);
	k.listed_revoked = tr_keyset_revokes(&a->keyset, row->id.p);
	if (!tr_skey_may_sign(&k, now) || !tr_authority_usable(c, row->id))
		return false;
	a->can_until_ms = k.named->not_after_ms;
	if (k.named->no_sign_after_ms && (!a->can_until_ms || k.named->no_sign_after_ms < a->can_until_ms))
		a->can_until_ms = k.named->no_sign_after_ms;
	memcpy(a->command_key, row->id.p, 32);
	return true;
}

void tr_authority_refresh_key(struct tr_core *c)
{
	struct tr_authority *a = c->authority;
	const struct tr_item *i;
	bool was = a->can_sign;

	a->can_sign = false;
	if (!a->bytes.n)
		return;
	TR_EACH_ITEM(&c->skeys, i)
		if (!a->can_sign)
			a->can_sign = take_if_primary(c, i, tr_now_ms());
	if (a->can_sign && !was && c->loaded)
		tr_orders_sign_waiting(c);
}

const uint8_t *tr_authority_command_key(const struct tr_core *c)
{
	const struct tr_authority *a = c->authority;

	return a->can_sign && (!a->can_until_ms || tr_now_ms() < a->can_until_ms) ? a->command_key : NULL;
}

#define NO_KEY "no key can sign commands: make one with `troth key create`, name it in a keyset (`troth keyset prepare`, `sign`, `publish`), and see `troth key list` for the state of those that are there"

void tr_authority_no_key(struct tr_req *r)
{
	tr_req_refuse(r, 503, "no_command_key", NO_KEY);
}

/* ---- signing ---- */

struct signing {
	struct tr_core *c;
	struct tr_buf commands; /* as asked */
	size_t first, n;
	bool last;
	unsigned keys_tried;
	uint8_t key_id[32];
	tr_signed_fn fn;
	void *arg;
};

static void signing_free(struct signing *s)
{
	tr_buf_done(&s->commands);
	free(s);
}

static void failed(struct signing *s, uint64_t code, const char *why)
{
	struct tr_signed_batch b = { .first = s->first, .n = s->n, .code = code, .why = why, .key_id = s->key_id,
				     .last = s->last };

	s->c->authority->sign_failures += s->n;
	s->fn(s->arg, &b);
}

void tr_authority_count_uses(struct tr_core *c, const uint8_t id[32], uint64_t n)
{
	struct tr_authority *a = c->authority;
	size_t at = 0;

	/* More than four primaries a minute: the last place counts for the rest. */
	while (at < TR_ARRAY_LEN(a->uses) - 1 && a->uses[at].n && memcmp(a->uses[at].id, id, 32) != 0)
		at++;
	memcpy(a->uses[at].id, id, 32);
	a->uses[at].n += n;
}

/* Was this key revoked, or retired, while `keys` was signing with it? */
static bool has_ended(const struct tr_core *c, const uint8_t id[32])
{
	const struct tr_item *i = tr_table_get(&c->skeys, tr_view(id, 32));
	const struct tr_skey_row *row = TR_ROW(&c->skeys, i);

	return !row || i->ending || tr_skey_state_of(row->state) >= TR_SKEY_RETIRED;
}

static void on_signed(void *arg, const void *answer);

static void ask(struct signing *s, const uint8_t *key)
{
	struct tr_msg_sign_commands m = { .keyset_epoch = s->c->authority->keyset.epoch,
					  .revocation = s->c->authority->keyset.revocation_number };

	memcpy(s->key_id, key, 32);
	s->keys_tried++;
	m.key_id = TR_VIEW_ARRAY(s->key_id);
	m.commands = tr_buf_view(&s->commands);
	tr_core_ask(s->c, s->c->keys, TR_M_SIGN_COMMANDS, &tr_msg_sign_commands_def, &m, on_signed, s);
}

static void take_signed(struct signing *s, const struct tr_msg_commands_signed *m)
{
	struct tr_msg_signed *list = m && !m->code ? calloc(s->n, sizeof(*list)) : NULL;
	struct tr_view rest = m ? m->commands : tr_view(NULL, 0), one;
	struct tr_err err = { 0 };
	char why[256] = "the role that signs is restarting; try again in a moment";
	size_t n = 0, good = 0;

	if (m && m->code)
		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->why));
	while (list && n < s->n && tr_records_next(&rest, &one) && !tr_record_decode(&tr_msg_signed_def, one, &list[n], &err))
		good += list[n++].code == TR_OK;
	if (n == s->n) {
		struct tr_signed_batch b = { .first = s->first, .n = n, .list = list, .key_id = s->key_id, .last = s->last };

		s->c->authority->signed_total += good;
		s->c->authority->sign_failures += n - good;
		tr_authority_count_uses(s->c, s->key_id, good);
		s->fn(s->arg, &b);
	} else {
		failed(s, m && m->code ? m->code : TR_E_UNAVAIL, why);
	}
	free(list);
}

static void on_signed(void *arg, const void *answer)
{
	struct signing *s = arg;

	/* Nothing that a key signed leaves core after its end. */
	if (has_ended(s->c, s->key_id)) {
		const uint8_t *other = tr_authority_command_key(s->c);

		if (other && s->keys_tried < KEYS_TRIED_MAX) {
			ask(s, other);
			return;
		}
		failed(s, TR_E_UNAVAIL, "the key that signs commands has just been revoked; try again");
	} else {
		take_signed(s, answer);
	}
	signing_free(s);
}

/* As many of them as go into one frame. */
static size_t encode_batch(const struct tr_msg_to_sign *list, size_t n, struct tr_buf *b)
{
	size_t taken = 0, bytes = 0;

	while (taken < n && taken < TR_SIGN_BATCH_MAX) {
		bytes += list[taken].order.n + list[taken].approvals.n + PER_COMMAND;
		if (taken && bytes > BATCH_BYTES)
			break;
		tr_records_add(b, &tr_msg_to_sign_def, &list[taken++]);
	}
	return taken;
}

void tr_authority_sign(struct tr_core *c, const struct tr_msg_to_sign *list, size_t n, tr_signed_fn fn, void *arg)
{
	const uint8_t *key = tr_authority_command_key(c);
	size_t at = 0;

	while (at < n) {
		struct signing *s = key ? calloc(1, sizeof(*s)) : NULL;
		size_t taken = s ? encode_batch(list + at, n - at, &s->commands) : 0;

		if (!s || !tr_buf_ok(&s->commands)) {
			struct signing rest = { .c = c, .first = at, .n = n - at, .last = true, .fn = fn, .arg = arg };

			failed(&rest, TR_E_UNAVAIL, key ? "the server is out of memory; try again later" : NO_KEY);
			if (s)
				signing_free(s);
			return;
		}
		s->c = c;
		s->first = at;
		s->n = taken;
		s->last = at + taken == n;
		s->fn = fn;
		s->arg = arg;
		at += taken;
		ask(s, key);
	}
}
