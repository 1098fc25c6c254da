/* SPDX-License-Identifier: Apache-2.0 */
/* Collateral bundles: brought in by operators, signed by a config key of the keyset, newest in force; read by anybody, for
 * agents that verify their peers themselves need the same. */
#include "server/attest.h"
#include "server/authority.h"

#include "base/clock.h"
#include "codec/text.h"

#include <stdio.h>

/* ---- showing ---- */

static void put_items(const struct tr_core *c, struct tr_buf *b)
{
	struct tr_view list = tr_collateral_now(c)->items, one;
	struct tr_msg_collateral_item m;
	struct tr_err err;
	bool more = false;

	tr_buf_adds(b, "[");
	while (tr_records_next(&list, &one)) {
		if (tr_record_decode(&tr_msg_collateral_item_def, one, &m, &err))
			continue;
		tr_buf_adds(b, more ? ",{\"type\":" : "{\"type\":");
		more = true;
		tr_json_put_str(b, m.type);
		tr_json_member_hex(b, "key", m.key);
		tr_json_member_time(b, "issued_at", m.issued * 1000);
		tr_json_member_time(b, "expires_at", m.expires * 1000);
		if (m.evaluation)
			tr_buf_addf(b, ",\"evaluation_number\":%llu", (unsigned long long)m.evaluation);
		tr_buf_adds(b, "}");
	}
	tr_buf_adds(b, "]");
}

static void put_row(const struct tr_bundle_row *row, struct tr_buf *b)
{
	tr_buf_addf(b, "{\"version\":%llu,\"digest\":", (unsigned long long)row->version);
	tr_json_put_str(b, row->id);
	tr_json_member_hex(b, "signed_by", row->key_id);
	tr_json_member_time(b, "made_at", row->made_at);
	tr_json_member_time(b, "imported_at", row->imported_at);
	tr_json_member_str(b, "imported_by", row->imported_by);
	tr_buf_addf(b, ",\"bytes\":%zu}", row->bytes.n);
}

void tr_api_collateral_list(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	const struct tr_collateral *now = tr_collateral_now(c);
	const struct tr_item *i;
	bool more = false;

	tr_buf_addf(&b, "{\"in_force\":{\"version\":%llu,\"good\":%s", (unsigned long long)(now->present ? now->version : 0),
		    now->good ? "true" : "false");
	tr_json_member_str(&b, "why", tr_view_str(now->why));
	tr_buf_adds(&b, ",\"items\":");
	put_items(c, &b);
	tr_buf_adds(&b, "},\"bundles\":[");
	TR_EACH_ITEM(&c->bundles, i) {
		tr_buf_adds(&b, more ? "," : "");
		more = true;
		put_row(TR_ROW(&c->bundles, i), &b);
	}
	tr_buf_adds(&b, "]}");
	tr_req_answer_json(r, &b);
}

/* By digest, or "newest". */
void tr_api_collateral_get(struct tr_core *c, struct tr_req *r)
{
	const struct tr_item *i = tr_view_is(r->q.arg, "newest") ? tr_bundle_newest(c) : tr_table_get(&c->bundles, r->q.arg);
	const struct tr_bundle_row *row = TR_ROW(&c->bundles, i);

	if (row)
		tr_req_answer(r, 200, TR_CT_COSE, row->bytes);
	else
		tr_req_refuse(r, 404, "collateral_not_found", "no collateral bundle of this digest is kept here");
}

/* ---- bringing one in ---- */

static bool rolls_back(const struct tr_core *c, const struct tr_msg_bundle_read *m, char *why, size_t n)
{
	struct tr_view before = tr_collateral_now(c)->items, one, other;
	struct tr_msg_collateral_item was, is;
	struct tr_err err;

	while (tr_records_next(&before, &one)) {
		struct tr_view after = m->items;

		if (tr_record_decode(&tr_msg_collateral_item_def, one, &was, &err) || !was.evaluation)
			continue;
		while (tr_records_next(&after, &other)) {
			if (tr_record_decode(&tr_msg_collateral_item_def, other, &is, &err) || !tr_view_eq(is.type, was.type) ||
			    !tr_view_eq(is.key, was.key) || is.evaluation >= was.evaluation)
				continue;
			(void)snprintf(why, n,
				       "the bundle has TCB evaluation %llu of a platform (%.*s), the one in force %llu: an older evaluation would accept again what is known to be broken; import the vendor's newest",
				       (unsigned long long)is.evaluation, TR_VIEW_FMT(is.type),
				       (unsigned long long)was.evaluation);
			return true;
		}
	}
	return false;
}

/* The oldest beyond what is kept: what verdicts of its time were made from is gone then. */
static void drop_old(struct tr_core *c, struct tr_tx *tx)
{
	const struct tr_item *i, *oldest = NULL;
	uint64_t version = UINT64_MAX;

	if (c->bundles.n < TR_BUNDLES_KEPT)
		return;
	TR_EACH_ITEM(&c->bundles, i) {
		const struct tr_bundle_row *row = TR_ROW(&c->bundles, i);

		if (row->version >= version)
			continue;
		oldest = i;
		version = row->version;
	}
	if (oldest)
		tr_tx_add(tx, TR_OP_DELETE, TR_T_BUNDLE, TR_ROW(&c->bundles, oldest));
}

static void store(struct tr_core *c, struct tr_req *r, const struct tr_msg_bundle_read *m)
{
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_bundle_row row = { .version = m->version, .bytes = r->q.in, .key_id = m->key_id, .made_at = m->made * 1000,
				     .imported_at = tr_now_ms(), .imported_by = tr_view_str(r->actor) };
	uint8_t digest[32];
	struct tr_tx *tx = tr_tx_new(c);

	tr_sha256(r->q.in, digest);
	tr_hex_add(&id, TR_VIEW_ARRAY(digest));
	row.id = tr_buf_view(&id);
	drop_old(c, tx);
	tr_tx_add(tx, TR_OP_INSERT, TR_T_BUNDLE, &row);
	tr_audit(tx, r->actor, "collateral.import", row.id, "ok", "", r->q.source, tr_view(NULL, 0));
	put_row(&row, &b);
	tr_tx_commit_answer(tx, r, 201, &b);
}

static void on_read(void *arg, const void *answer)
{
	struct tr_req *r = arg;
	struct tr_core *c = r->core;
	const struct tr_msg_bundle_read *m = answer;
	const struct tr_bundle_row *now = TR_ROW(&c->bundles, tr_bundle_newest(c));
	char why[513];

	if (!m) {
		tr_req_no_verifier(r);
	} else if (m->code) {
		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->why));
		tr_req_refuse(r, m->code == TR_E_DENIED ? 403 : 400, m->code == TR_E_DENIED ? "collateral_refused" : "malformed", why);
	} else if (now && m->version <= now->version) {
		(void)snprintf(why, sizeof(why),
			       "the bundle has version %llu, the one in force %llu: versions only rise; make the bundle with a higher one",
			       (unsigned long long)m->version, (unsigned long long)now->version);
		tr_req_refuse(r, 409, "collateral_version", why);
	} else if (rolls_back(c, m, why, sizeof(why))) {
		tr_req_refuse(r, 409, "collateral_rollback", why);
	} else {
		store(c, r, m);
		return;
	}
	(void)tr_req_free(r);
}

void tr_api_collateral_add(struct tr_core *c, struct tr_req *r)
{
	struct tr_msg_read_bundle q = { .keyset = tr_authority_bytes(c), .bundle = r->q.in, .now = tr_now_ms() };
	struct tr_req *kept;

	if (!r->q.in.n) {
		tr_req_refuse(r, 400, "malformed", "the body must be a signed collateral bundle (`troth collateral sign`)");
		return;
	}
	kept = tr_req_keep(r);
	if (kept)
		tr_core_ask(c, c->appraise, TR_M_READ_BUNDLE, &tr_msg_read_bundle_def, &q, on_read, kept);
}
