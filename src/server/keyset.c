/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of keysets: every one that was ever in force is a row, verified from root.pin on when the server starts and by
 * every node that hears of a new one. Whoever edits a row makes the server refuse to start. */
#include "server/authority_inner.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/cbor.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "server/deliver.h"

#define CHAIN_BYTES ((size_t)500 << 10) /* of an answer */

struct tr_authority *tr_authority_new(void)
{
	return calloc(1, sizeof(struct tr_authority));
}

const struct tr_keyset *tr_authority_keyset(const struct tr_core *c)
{
	return &c->authority->keyset;
}

struct tr_view tr_authority_bytes(const struct tr_core *c)
{
	return tr_buf_view(&c->authority->bytes);
}

/* ---- at start ---- */

TR_RC tr_authority_read_files(struct tr_core *c, struct tr_err *err)
{
	struct tr_authority *a = c->authority;
	tr_auto(tr_buf_done) struct tr_buf pin = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	struct tr_view label, rest;
	struct tr_keyset ks;

	if (tr_config_read(c->cfg, "keyset.cose", false, &a->file, err) ||
	    tr_config_read(c->cfg, "root.pin", false, &pin, err))
		return err->code;
	if (pin.n < 64 || !tr_hex_get(tr_view(pin.p, 64), a->first_pin, 32))
		return tr_err_set(err, TR_E_INVALID, "root.pin must hold 64 hex digits", "root.pin");
	/* Whether it has expired is not asked here: a server that does not start cannot be given a newer one. */
	if (tr_keyset_verify_pinned(tr_buf_view(&a->file), a->first_pin, 0, &ks, err))
		return tr_err_wrap(err, "keyset.cose");
	memcpy(c->root_pin, a->first_pin, 32);
	c->keyset_epoch = ks.epoch;
	if (tr_config_read(c->cfg, "keys/ca.crt", false, &pem, err) ||
	    tr_pem_get(tr_buf_view(&pem), &label, &a->ca_der, &rest, err))
		return tr_err_wrap(err, "keys/ca.crt");
	return TR_OK;
}

/* This one is in force; it was verified. */
static TR_RC adopt(struct tr_core *c, struct tr_view bytes, struct tr_err *err)
{
	struct tr_authority *a = c->authority;
	struct tr_buf kept = TR_BUF_INIT;
	struct tr_keyset ks;

	tr_buf_addv(&kept, bytes);
	if (tr_buf_check(&kept, err) || tr_keyset_unverified(tr_buf_view(&kept), &ks, err)) {
		tr_buf_done(&kept);
		return err->code;
	}
	tr_buf_done(&a->bytes);
	a->bytes = kept;
	a->keyset = ks;
	c->keyset_epoch = ks.epoch;
	/* Tokens that are made from now on pin the roots of now. */
	tr_keyset_root_fingerprint(&ks, c->root_pin);
	return TR_OK;
}

/* A view of a row dies with its room: what the next one is compared with is copied. */
struct link {
	struct tr_buf bytes;
	struct tr_keyset keyset;
};

static TR_RC take_link(struct link *l, struct tr_view bytes, struct tr_err *err)
{
	tr_buf_clear(&l->bytes);
	tr_buf_addv(&l->bytes, bytes);
	if (tr_buf_check(&l->bytes, err))
		return err->code;
	return tr_keyset_unverified(tr_buf_view(&l->bytes), &l->keyset, err);
}

static bool pin_fits(const struct tr_core *c, const struct tr_keyset *k, struct tr_view bytes)
{
	uint8_t print[32];
	struct tr_keyset out;
	struct tr_err err = { 0 };

	tr_keyset_root_fingerprint(k, print);
	return memcmp(print, c->authority->first_pin, 32) == 0 &&
	       !tr_keyset_verify_pinned(bytes, c->authority->first_pin, 0, &out, &err);
}

static TR_RC row_fits(const struct tr_keyset_row *row, const struct tr_keyset *k, struct tr_err *err)
{
	uint8_t digest[32];

	tr_sha256(row->bytes, digest);
	if (row->epoch != k->epoch || !tr_view_eq(row->digest, TR_VIEW_ARRAY(digest)))
		return tr_err_set(err, TR_E_DENIED, "a stored keyset is not what its row says: the database was changed by "
				  "another hand; restore it from a backup", "keyset %llu", (unsigned long long)row->epoch);
	return TR_OK;
}

/* Every step is verified by the one before, and one of them by root.pin: what came before that is held by the digests. */
static TR_RC verify_chain(struct tr_core *c, struct link *at, struct tr_err *err)
{
	const struct tr_item *i;
	bool pinned = false;

	TR_EACH_ITEM(&c->keysets, i) {
		const struct tr_keyset_row *row = TR_ROW(&c->keysets, i);
		struct tr_keyset next;

		if (at->bytes.n) {
			if (tr_keyset_verify_next(tr_buf_view(&at->bytes), &at->keyset, row->bytes, 0, &next, err))
				return tr_err_wrap(err, "stored keyset %llu", (unsigned long long)row->epoch);
		}
		if (take_link(at, row->bytes, err))
			return tr_err_wrap(err, "stored keyset %llu", (unsigned long long)row->epoch);
		if (row_fits(row, &at->keyset, err))
			return err->code;
		pinned |= pin_fits(c, &at->keyset, tr_buf_view(&at->bytes));
	}
	if (!pinned)
		return tr_err_set(err, TR_E_DENIED,
				  "no stored keyset has the roots of root.pin: the database is another installation's, or it was "
				  "changed by another hand; restore what belongs together from a backup", "chain of keysets");
	return adopt(c, tr_buf_view(&at->bytes), err);
}

TR_RC tr_authority_loaded(struct tr_core *c, struct tr_err *err)
{
	struct link *at = calloc(1, sizeof(*at));
	struct tr_instant now = tr_core_now(c);
	enum tr_code rc;

	if (!at)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "chain of keysets");
	if (c->keysets.n) {
		c->authority->imported = true;
		rc = verify_chain(c, at, err);
	} else {
		rc = adopt(c, tr_buf_view(&c->authority->file), err); /* tr_authority_read_files verified it */
	}
	tr_buf_done(&at->bytes);
	free(at);
	if (rc)
		return tr_err_wrap(err, "keysets");
	tr_fleet_keyset(c->fleet, &now, c->keyset_epoch);
	return TR_OK;
}

/* ---- rows ---- */

static void put_row(struct tr_tx *tx, struct tr_view bytes, const struct tr_keyset *k, const char *by)
{
	uint8_t digest[32];
	char id[24];
	struct tr_keyset_row row = { .epoch = k->epoch, .bytes = bytes, .published_at = tr_now_ms(),
				     .published_by = tr_view_str(by) };

	(void)snprintf(id, sizeof(id), "%010llu", (unsigned long long)k->epoch);
	tr_sha256(bytes, digest);
	row.id = tr_view_str(id);
	row.digest = TR_VIEW_ARRAY(digest);
	tr_tx_add(tx, TR_OP_INSERT, TR_T_KEYSET, &row);
}

static void on_imported(void *arg, enum tr_code rc, const char *why)
{
	struct tr_core *c = arg;

	c->authority->importing = false;
	if (rc) {
		/* Perhaps another node was first: then its rows are there when everything is loaded again. */
		tr_log(TR_LOG_ERROR, "keyset_not_imported", "why", why, NULL);
		if (rc == TR_E_CONFLICT)
			tr_loop_stop(c->loop);
		return;
	}
	c->authority->imported = true;
	tr_log(TR_LOG_INFO, "keyset_imported", "epoch", tr_fmt("%llu", (unsigned long long)c->keyset_epoch), NULL);
	tr_core_tell_ready(c);
}

bool tr_authority_ready(struct tr_core *c)
{
	struct tr_authority *a = c->authority;
	struct tr_tx *tx;

	if (!a->imported) {
		if (a->importing || !c->store_ok)
			return false;
		a->importing = true;
		tx = tr_tx_new(c);
		if (tx)
			put_row(tx, tr_buf_view(&a->bytes), &a->keyset, "trothd init");
		tr_tx_commit(tx, on_imported, c);
		return false;
	}
	tr_authority_hold(c);
	return tr_authority_load_keys(c);
}

/* ---- a newer one ---- */

/* Rows above the one in force, in order: each verified by the one before. */
static bool advance(struct tr_core *c)
{
	struct tr_authority *a = c->authority;
	bool newer = false;
	const struct tr_item *i;

	TR_EACH_ITEM(&c->keysets, i) {
		const struct tr_keyset_row *row = TR_ROW(&c->keysets, i);
		struct tr_keyset *next;
		struct tr_err err = { 0 };

		if (row->epoch <= a->keyset.epoch || !(next = calloc(1, sizeof(*next))))
			continue;
		if (tr_keyset_verify_next(tr_buf_view(&a->bytes), &a->keyset, row->bytes, 0, next, &err) ||
		    row_fits(row, next, &err) || adopt(c, row->bytes, &err)) {
			if (!a->broken)
				tr_log_err(TR_LOG_ERROR, "keyset_refused", &err, NULL);
			a->broken = true;
			free(next);
			return newer;
		}
		newer = true;
		free(next);
	}
	return newer;
}

void tr_authority_follow(struct tr_core *c)
{
	struct tr_instant now = tr_core_now(c);

	if (!c->authority->bytes.n)
		return; /* not loaded yet */
	if (advance(c)) {
		tr_log(TR_LOG_INFO, "keyset_in_force", "epoch", tr_fmt("%llu", (unsigned long long)c->keyset_epoch), NULL);
		tr_fleet_keyset(c->fleet, &now, c->keyset_epoch);
		tr_deliver_wake_all(c);
	}
	(void)tr_authority_load_keys(c);
	tr_authority_refresh_key(c);
}

/* ---- publishing ---- */

static void refuse_read(struct tr_req *r, enum tr_code code, const char *why)
{
	switch (code) {
	case TR_E_CONFLICT: tr_req_refuse(r, 409, "keyset_epoch", why); break;
	case TR_E_DENIED: tr_req_refuse(r, 403, "keyset_refused", why); break;
	default: tr_req_refuse(r, 400, "malformed", why); break;
	}
}

/* Agents take their CAs from the keyset: without ours they would all lose this server. */
static bool names_our_ca(const struct tr_core *c, const struct tr_keyset *k)
{
	struct tr_view ours = tr_buf_view(&c->authority->ca_der);
	uint8_t digest[32];

	tr_sha256(ours, digest);
	for (size_t i = 0; i < k->n_keys; i++) {
		uint8_t id[32];

		if (k->keys[i].role == TR_ROLE_CA && tr_view_eq(k->keys[i].key, ours))
			return !tr_keyset_revokes(k, digest) && tr_keyset_key_id(&k->keys[i], id) && !tr_keyset_revokes(k, id);
	}
	return false;
}

/* Read where there is nothing to steal, it was found good. What core then acts on is what core verified itself. */
static bool verify(struct tr_core *c, struct tr_req *r, struct tr_view bytes, struct tr_keyset *ret)
{
	struct tr_authority *a = c->authority;
	struct tr_err err = { 0 };

	if (tr_keyset_verify_next(tr_buf_view(&a->bytes), &a->keyset, bytes, tr_now_ms(), ret, &err)) {
		refuse_read(r, err.code, err.pub);
		return false;
	}
	if (!names_our_ca(c, ret)) {
		tr_req_refuse(r, 409, "keyset_without_ca",
			      "the keyset does not name the certificate of the CA that this server uses (keys/ca.crt), or revokes it: every agent would lose the server; prepare the keyset again with it");
		return false;
	}
	return true;
}

static void on_read(void *arg, const void *answer)
{
	struct tr_req *r = arg;
	struct tr_core *c = r->core;
	const struct tr_msg_done *m = answer;
	struct tr_in_keyset in = { 0 };
	struct tr_keyset *k = calloc(1, sizeof(*k));
	struct tr_key_change *ch = NULL;
	struct tr_err err = { 0 };
	char why[256] = "";

	if (m)
		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->why));
	if (!k)
		tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
	else if (!m)
		tr_req_no_verifier(r);
	else if (m->code)
		refuse_read(r, m->code < TR_CODE_N ? (enum tr_code)m->code : TR_E_INVALID, why);
	else if (tr_req_in(r, &in, &err))
		tr_req_error(r, &err);
	else if (verify(c, r, in.keyset, k))
		ch = tr_key_change_begin(c, r, 0);
	else
		why[0] = 0;
	if (!ch) {
		(void)tr_req_free(r);
		tr_turn_end(c);
		free(k);
		return;
	}
	ch->published = true;
	tr_skeys_follow(&ch->s, k);
	put_row(ch->tx, in.keyset, k, r->actor);
	tr_keyset_release_keys(ch, k);
	tr_audit(ch->tx, r->actor, "keyset.publish", tr_view_str(tr_fmt("%llu", (unsigned long long)k->epoch)), "ok", "",
		 r->q.source, tr_view(NULL, 0));
	tr_key_change_commit(ch);
	free(k);
}

static void publish(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_keyset in = { 0 };
	struct tr_err err = { 0 };

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		(void)tr_req_free(r);
		tr_turn_end(c);
		return;
	}
	tr_core_ask(c, c->appraise, TR_M_READ_KEYSET, &tr_msg_read_keyset_def,
		    &(struct tr_msg_read_keyset){ .current = tr_buf_view(&c->authority->bytes), .next = in.keyset,
						  .now = tr_now_ms() },
		    on_read, r);
}

void tr_api_keyset_publish(struct tr_core *c, struct tr_req *r)
{
	struct tr_req *kept = tr_req_keep(r);

	if (kept)
		tr_turn_take(c, publish, kept);
}

/* ---- asking for them ---- */

void tr_api_keyset(struct tr_core *c, struct tr_req *r)
{
	tr_req_answer(r, 200, TR_CT_COSE, tr_buf_view(&c->authority->bytes));
}

void tr_api_keyset_chain(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf list = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	struct tr_in_chain in = { 0 };
	struct tr_err err = { 0 };
	char after[24];
	size_t n = 0, at;
	struct tr_item *i;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	(void)snprintf(after, sizeof(after), "%010llu", (unsigned long long)in.after);
	at = in.after > 9999999999 ? tr_table_end(&c->keysets) : tr_table_after(&c->keysets, tr_view_str(after));
	while ((i = tr_table_next(&c->keysets, &at)) != NULL) {
		const struct tr_keyset_row *row = TR_ROW(&c->keysets, i);

		/* What another node wrote and does not verify is not passed on either. */
		if (row->epoch > c->keyset_epoch || list.n + row->bytes.n > CHAIN_BYTES)
			break;
		tr_cbor_put_bytes(&list, row->bytes);
		n++;
	}
	tr_cbor_put_array(&body, n);
	tr_buf_addv(&body, tr_buf_view(&list));
	if (tr_buf_check(&body, &err))
		tr_req_error(r, &err);
	else
		tr_req_answer(r, 200, TR_CT_CBOR, tr_buf_view(&body));
}
