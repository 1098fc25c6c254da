/* SPDX-License-Identifier: Apache-2.0 */
/* The appraisal policy in force. Three sources, in this order: what configuration or environment set (pinned: the API
 * refuses to change it and says so), what an operator set (stored), the default (enforce, native only). */
#include "server/core.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "codec/ident.h"
#include "codec/text.h"

#define HASHES_MAX 128

struct tr_view tr_setting(const struct tr_core *c, const char *name)
{
	const struct tr_setting_row *row = TR_ROW(&c->settings, tr_table_get(&c->settings, tr_view_str(name)));

	/* Values are longer than what is kept halved: this one borrows from the table, not from the room. */
	return row ? row->value : tr_view(NULL, 0);
}

/* Calls back for each comma-separated part; empty parts are skipped. */
static bool each_part(struct tr_view list, bool (*fn)(void *arg, struct tr_view part), void *arg)
{
	struct tr_view part;

	while (tr_list_next(&list, &part))
		if (part.n && !fn(arg, part))
			return false;
	return true;
}

static bool accept_part(void *arg, struct tr_view part)
{
	struct tr_policy_view *p = arg;

	p->accept_native |= tr_view_is(part, "native");
	p->accept_original |= tr_view_is(part, "original");
	return tr_view_is(part, "native") || tr_view_is(part, "original");
}

static bool hash_part(void *arg, struct tr_view part)
{
	uint8_t hash[32];
	struct tr_buf *b = arg;

	if (!tr_sha256_name_ok(part, hash) || b->n / 32 >= HASHES_MAX)
		return false;
	tr_buf_add(b, hash, 32);
	return true;
}

static bool version_part(void *arg, struct tr_view part)
{
	(void)arg;
	return tr_version_ok(part);
}

void tr_core_pin(struct tr_core *c)
{
	const struct tr_config_attestation *a = c->cfg->attestation;

	for (unsigned i = 0; i < a->versions_count; i++)
		tr_buf_addf(&c->versions, "%s%s", i ? "," : "", a->versions[i]);
}

void tr_core_policy(const struct tr_core *c, struct tr_policy_view *ret)
{
	const struct tr_config_attestation *a = c->cfg->attestation;
	struct tr_view mode = a->mode ? tr_view_str(a->mode) : tr_setting(c, "policy.mode");
	struct tr_view tier = a->min_tier ? tr_view_str(a->min_tier) : tr_setting(c, "policy.min_tier");
	struct tr_view accept = tr_setting(c, "policy.accept");

	*ret = (struct tr_policy_view){
		.mode = TR_MODE_ENFORCE,
		.min_tier = TR_TIER_SELF_ASSERTED,
		.mode_pinned = a->mode != NULL,
		.accept_pinned = a->accept_count != 0,
		.hashes_pinned = a->expected_hash != NULL,
		.min_version_pinned = a->min_version != NULL,
		.versions_pinned = a->versions_count != 0,
		.min_tier_pinned = a->min_tier != NULL,
	};
	if (mode.n)
		(void)tr_mode_from_name(mode, &ret->mode);
	if (tier.n)
		(void)tr_tier_from_name(tier, &ret->min_tier);
	for (unsigned i = 0; i < a->accept_count; i++)
		(void)accept_part(ret, tr_view_str(a->accept[i]));
	if (!a->accept_count && accept.n)
		(void)each_part(accept, accept_part, ret);
	else if (!a->accept_count)
		ret->accept_native = true;
	/* BA-2: naming a fleet key turns the original form on. */
	ret->accept_original |= a->public_key_path != NULL;
	ret->hashes = a->expected_hash ? tr_view_str(a->expected_hash) : tr_setting(c, "policy.hashes");
	ret->min_version = a->min_version ? tr_view_str(a->min_version) : tr_setting(c, "policy.min_version");
	ret->versions = a->versions_count ? tr_buf_view(&c->versions) : tr_setting(c, "policy.versions");
}

bool tr_release_vouched(const struct tr_core *c, const struct tr_release_row *r)
{
	const struct tr_vkey_row *k = TR_ROW(&c->vkeys, tr_table_get(&c->vkeys, r->vkey_id));

	return k && !tr_view_is(k->state, "revoked") && (!k->not_before || r->issued_at >= k->not_before) &&
	       (!k->not_after || r->issued_at <= k->not_after);
}

/* Published statements that still count: not withdrawn, not expired, issued while their key was good. What was
 * withdrawn is told too: it counts no more when it is enclosed in a claim either. */
static void add_releases(struct tr_core *c, bool pin_only, struct tr_buf *hashes, struct tr_buf *withdrawn)
{
	int64_t now = tr_now_ms();
	const struct tr_item *i;

	TR_EACH_ITEM(&c->releases, i) {
		const struct tr_release_row *r = TR_ROW(&c->releases, i);

		if (r->withdrawn_at)
			tr_buf_addv(withdrawn, r->sha256);
		if (pin_only || r->withdrawn_at || (r->expires_at && r->expires_at <= now) || !tr_release_vouched(c, r))
			continue;
		if (r->expires_at && (!c->policy_until || r->expires_at < c->policy_until))
			c->policy_until = r->expires_at;
		tr_buf_addv(hashes, r->sha256);
	}
}

void tr_core_send_policy(struct tr_core *c)
{
	struct tr_policy_view p;
	struct tr_msg_policy m;
	tr_auto(tr_buf_done) struct tr_buf hashes = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf withdrawn = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf vkeys = TR_BUF_INIT;
	const struct tr_item *i;

	c->policy_until = 0;
	if (!c->appraise)
		return;
	tr_core_policy(c, &p);
	(void)each_part(p.hashes, hash_part, &hashes);
	m = (struct tr_msg_policy){ .mode = p.mode, .min_tier = p.min_tier, .accept_native = p.accept_native,
				    .accept_original = p.accept_original, .pin_only = hashes.n != 0,
				    .min_version = p.min_version, .versions = p.versions };
	add_releases(c, m.pin_only, &hashes, &withdrawn);
	TR_EACH_ITEM(&c->vkeys, i)
		tr_records_add(&vkeys, &tr_vkey_def, TR_ROW(&c->vkeys, i));
	m.hashes = tr_buf_view(&hashes);
	m.withdrawn = tr_buf_view(&withdrawn);
	m.vkeys = tr_buf_view(&vkeys);
	tr_chan_send_record(c->appraise, TR_M_POLICY, 0, &tr_msg_policy_def, &m);
}

/* ---- the fleet key that configuration names ---- */

static void seeded(struct tr_core *c)
{
	c->seeding = false;
	c->seeded = true;
	tr_core_tell_ready(c);
}

static void on_seeded(void *arg, enum tr_code rc, const char *why)
{
	/* A store that cannot write now must not keep the rest from working. */
	if (rc && rc != TR_E_CONFLICT)
		tr_log(TR_LOG_ERROR, "configured_key_not_stored", "why", why, NULL);
	seeded(arg);
}

static void on_fleet_key(void *arg, const void *answer)
{
	struct tr_core *c = arg;
	const struct tr_msg_key_read *k = answer;
	struct tr_vkey_row row;
	struct tr_tx *tx;

	if (!k) {
		c->seeding = false; /* the verifier died over it: asked again when the next one says hello */
		return;
	}
	/* Known already, with whatever state an operator gave it since; or unusable, which check-config would have said. */
	if (k->code || tr_table_get(&c->vkeys, k->key_id)) {
		if (k->code)
			tr_log(TR_LOG_ERROR, "configured_key_unusable", "why", tr_fmt_view(k->why), NULL);
		seeded(c);
		return;
	}
	row = (struct tr_vkey_row){ .id = k->key_id, .use = TR_VIEW_LIT("fleet"), .state = TR_VIEW_LIT("active"),
				    .name = TR_VIEW_LIT("configured"), .key_type = k->key_type, .spki = k->spki,
				    .added_at = tr_now_ms(), .added_by = TR_VIEW_LIT("configuration") };
	tx = tr_tx_new(c);
	tr_tx_add(tx, TR_OP_INSERT, TR_T_VKEY, &row);
	tr_audit(tx, "system", "key.add", TR_VIEW_LIT("configured"), "ok", "", tr_view(NULL, 0), tr_view(NULL, 0));
	tr_tx_commit(tx, on_seeded, c);
}

void tr_core_seed(struct tr_core *c)
{
	struct tr_msg_read_key q = { .pem = tr_buf_view(&c->fleet_pem) };

	if (c->seeding)
		return;
	c->seeding = true;
	if (!c->fleet_pem.n)
		seeded(c);
	else
		tr_core_ask(c, c->appraise, TR_M_READ_KEY, &tr_msg_read_key_def, &q, on_fleet_key, c);
}

/* ---- routes ---- */

static void put(struct tr_buf *b, const char *name, struct tr_view value, bool pinned)
{
	tr_buf_addf(b, "%s\"%s\":", b->n > 1 ? "," : "", name);
	tr_json_put_str(b, value);
	tr_buf_addf(b, ",\"%s_set_by\":\"%s\"", name, pinned ? "configuration" : "api");
}

static void policy_json(const struct tr_core *c, struct tr_buf *b)
{
	struct tr_policy_view p;

	tr_core_policy(c, &p);
	tr_buf_adds(b, "{");
	put(b, "mode", tr_view_str(tr_mode_name(p.mode)), p.mode_pinned);
	put(b, "accept",
	    tr_view_str(p.accept_native && p.accept_original ? "native,original"
			: p.accept_native		     ? "native"
			: p.accept_original		     ? "original"
							     : ""),
	    p.accept_pinned);
	put(b, "hashes", p.hashes, p.hashes_pinned);
	put(b, "min_version", p.min_version, p.min_version_pinned);
	put(b, "versions", p.versions, p.versions_pinned);
	put(b, "min_tier", tr_view_str(tr_tier_name(p.min_tier)), p.min_tier_pinned);
	tr_buf_adds(b, "}");
}

void tr_api_policy_get(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	policy_json(c, &b);
	tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(&b));
}

static const char *check(const struct tr_in_policy *in)
{
	struct tr_policy_view unused = { 0 };
	tr_auto(tr_buf_done) struct tr_buf hashes = TR_BUF_INIT;
	enum tr_mode mode;
	enum tr_tier tier;
#define CLEARED(v) tr_view_is((v), "-")
	if (in->mode.n && !tr_mode_from_name(in->mode, &mode))
		return "mode must be off, audit or enforce";
	if (in->accept.n && !each_part(in->accept, accept_part, &unused))
		return "accept must be native, original or native,original";
	if (in->hashes.n && !CLEARED(in->hashes) && !each_part(in->hashes, hash_part, &hashes))
		return "hashes must be at most 128 names of the form sha256:<64 lower-case hex digits>, joined by commas; - clears";
	if (in->min_version.n && !CLEARED(in->min_version) && !tr_version_ok(in->min_version))
		return "min_version must be a version such as 1.4.2; - clears";
	if (in->versions.n && !CLEARED(in->versions) && !each_part(in->versions, version_part, NULL))
		return "versions must be versions joined by commas; - clears";
	if (in->min_tier.n && !tr_tier_from_name(in->min_tier, &tier))
		return "min_tier must be none, self-asserted, kernel or hardware";
	return NULL;
}

static void on_changed(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;

	if (rc)
		tr_req_not_stored(r, rc, why);
	else
		tr_api_policy_get(r->core, r);
}

void tr_api_policy_set(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_policy in;
	struct tr_policy_view p;
	struct tr_err err = { 0 };
	struct tr_req *kept;
	struct tr_tx *tx;
	const char *why;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	tr_core_policy(c, &p);
	const struct {
		const char *name;
		struct tr_view value;
		bool pinned;
	} rows[] = {
		{ "policy.mode", in.mode, p.mode_pinned },
		{ "policy.accept", in.accept, p.accept_pinned },
		{ "policy.hashes", in.hashes, p.hashes_pinned },
		{ "policy.min_version", in.min_version, p.min_version_pinned },
		{ "policy.versions", in.versions, p.versions_pinned },
		{ "policy.min_tier", in.min_tier, p.min_tier_pinned },
	};

	why = check(&in);
	if (why) {
		tr_req_refuse(r, 400, "out_of_range", why);
		return;
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++)
		if (rows[i].value.n && rows[i].pinned) {
			tr_req_refuse(r, 409, "pinned_by_configuration",
				      "trothd.yaml or the environment sets this; change it there and reload");
			return;
		}
	kept = tr_req_keep(r);
	if (!kept)
		return;
	tx = tr_tx_new(c);
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		struct tr_setting_row s = { .name = tr_view_str(rows[i].name), .value = rows[i].value,
					    .updated_at = tr_now_ms(), .updated_by = tr_view_str(r->actor) };

		if (!s.value.n)
			continue;
		if (CLEARED(s.value))
			s.value = tr_view(NULL, 0);
		tr_tx_add(tx, TR_OP_PUT, TR_T_SETTING, &s);
		tr_audit(tx, r->actor, "policy.set", s.name, "ok", "", r->q.source, tr_view(NULL, 0));
	}
	tr_tx_commit(tx, on_changed, kept);
}
