/* SPDX-License-Identifier: Apache-2.0 */
/* Published release statements: reference values that admit their hash without travelling inside the claim. */
#include "server/core.h"

#include "base/clock.h"
#include "codec/text.h"
#include "signed/release_bpf.h"

void tr_released_bpf_json(struct tr_view records, struct tr_buf *b)
{
	struct tr_view one;
	struct tr_release_bpf p;
	struct tr_err err;
	bool more = false;

	tr_buf_adds(b, "[");
	while (tr_records_next(&records, &one)) {
		if (tr_record_decode(&tr_release_bpf_def, one, &p, &err))
			continue;
		tr_buf_adds(b, more ? "," : "");
		tr_record_to_json(&tr_release_bpf_def, &p, b);
		more = true;
	}
	tr_buf_adds(b, "]");
}

/* The row, and what it names in words: {…,"bpf":[{"pin","object","tag_sha1","tag_sha256"}]}. */
static void put_release(const struct tr_release_row *row, struct tr_buf *b)
{
	tr_record_to_json(&tr_release_def, row, b);
	if (!tr_buf_ok(b) || !b->n)
		return;
	b->n--; /* the closing brace */
	tr_buf_adds(b, ",\"bpf\":");
	tr_released_bpf_json(row->bpf, b);
	tr_buf_adds(b, "}");
}

void tr_api_release_list(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	const struct tr_item *i;
	size_t shown = 0;

	tr_buf_adds(&b, "{\"releases\":[");
	TR_EACH_ITEM(&c->releases, i) {
		tr_buf_adds(&b, shown++ ? "," : "");
		put_release(TR_ROW(&c->releases, i), &b);
	}
	tr_buf_adds(&b, "]}");
	tr_req_answer_json(r, &b);
}

static void on_read(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_release_read *m = answer;
	struct tr_release_row row;
	struct tr_err err = { 0 };
	struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	struct tr_tx *tx;

	if (!m) {
		tr_req_no_verifier(r);
		return;
	}
	if (m->reason != TR_R_OK) {
		const struct tr_reason_info *info = tr_reason_info((enum tr_reason)m->reason);

		tr_req_problem(r, &(struct tr_problem){ .status = info->status == 401 ? 403 : info->status,
							      .slug = info->slug, .title = info->title,
							      .detail = info->sentence });
		return;
	}
	if (tr_record_decode(&tr_release_def, m->row, &row, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (r->core->releases.n >= TR_RELEASES_MAX && !tr_table_get(&r->core->releases, row.sha256)) {
		tr_req_refuse(r, 409, "full", "this server holds as many published releases as it can; pin hashes instead");
		return;
	}
	row.added_by = tr_view_str(r->actor);
	put_release(&row, &body);
	tr_hex_add(&hex, row.sha256);
	tx = tr_tx_new(r->core);
	/* Publishing the same binary again (a longer expiry, another key) replaces its statement. */
	tr_tx_add(tx, TR_OP_PUT, TR_T_RELEASE, &row);
	tr_audit(tx, r->actor, "release.publish", tr_buf_view(&hex), "ok", "", r->q.source, tr_view(NULL, 0));
	tr_tx_commit_answer(tx, TR_TAKE(r), 201, &body);
}

void tr_api_release_add(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_release in;
	struct tr_err err = { 0 };
	struct tr_req *kept;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	kept = tr_req_keep(r);
	if (kept)
		tr_core_ask(c, c->appraise, TR_M_READ_RELEASE, &tr_msg_read_release_def,
			    &(struct tr_msg_read_release){ .statement = in.statement, .now = tr_now_ms() }, on_read, kept);
}

void tr_api_release_withdraw(struct tr_core *c, struct tr_req *r)
{
	uint8_t hash[32];
	struct tr_item *i = tr_hex_get(r->q.arg, hash, 32) ? tr_table_get(&c->releases, TR_VIEW_ARRAY(hash)) : NULL;
	struct tr_release_row row;
	struct tr_buf body = TR_BUF_INIT;
	struct tr_tx *tx;

	if (!i) {
		tr_req_refuse(r, 404, "release_not_found", "no published release has this SHA-256; see troth release list");
		return;
	}
	row = *(const struct tr_release_row *)TR_ROW(&c->releases, i);
	if (row.withdrawn_at) {
		tr_req_refuse(r, 409, "already_ended", "this release is withdrawn already");
		return;
	}
	row.withdrawn_at = tr_now_ms();
	put_release(&row, &body);
	tx = tr_tx_new(c);
	tr_tx_touch(tx, i);
	if (tx) {
		tr_tx_add(tx, TR_OP_PUT, TR_T_RELEASE, &row);
		tr_audit(tx, r->actor, "release.withdraw", r->q.arg, "ok", "", r->q.source, tr_view(NULL, 0));
	}
	tr_tx_commit_answer(tx, tr_req_keep(r), 200, &body);
}
