/* SPDX-License-Identifier: Apache-2.0 */
#include "appraise/check.h"

#include "base/list.h"
#include "codec/ident.h"
#include "codec/text.h"

/* Text forms for the lines that people read. */
struct stamp {
	char s[TR_RFC3339_LEN + 1];
};

static struct stamp stamp(int64_t ms)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct stamp out = { "" };

	tr_rfc3339_add(&b, ms);
	if (tr_buf_ok(&b) && b.n <= TR_RFC3339_LEN)
		memcpy(out.s, b.p, b.n);
	return out;
}

struct hex {
	char s[2 * TR_SHA256_LEN + 1];
};

static struct hex hex(struct tr_view v)
{
	static const char digits[] = "0123456789abcdef";
	struct hex out = { "" };

	for (size_t i = 0; i < v.n && i < TR_SHA256_LEN; i++) {
		out.s[2 * i] = digits[v.p[i] >> 4];
		out.s[2 * i + 1] = digits[v.p[i] & 15];
	}
	return out;
}

void tr_rule_clock(struct tr_run *run, int64_t diff_ms)
{
	int64_t limit = run->p->skew_ms > 0 ? run->p->skew_ms : TR_CLAIM_SKEW_MS;
	int64_t off = diff_ms < 0 ? -diff_ms : diff_ms;
	struct tr_check *c = tr_check_add(run, "clock", off <= limit ? TR_R_OK : TR_R_CLOCK_DESYNC);

	run->a->skew_ms = diff_ms;
	tr_check_expected(c, "within %lld s of the server's time %s", (long long)(limit / 1000),
			  stamp(run->now_ms).s);
	if (off < 1000)
		tr_check_seen(c, "%s, less than a second off", stamp(run->a->claim_time_ms).s);
	else
		tr_check_seen(c, "%s, %lld s %s", stamp(run->a->claim_time_ms).s, (long long)(off / 1000),
			      diff_ms < 0 ? "behind" : "ahead");
}

bool tr_vkey_good_at(const struct tr_vkey *k, int64_t signed_ms, struct tr_check *c)
{
	struct hex id = hex(tr_view(tr_pubkey_id(k->key), 8));

	if (k->state == TR_VKEY_REVOKED)
		tr_check_seen(c, "signed by key %s, which was revoked", id.s);
	else if (k->not_before_ms && signed_ms < k->not_before_ms)
		tr_check_seen(c, "signed at %s by key %s, which is valid only from %s", stamp(signed_ms).s,
			      id.s, stamp(k->not_before_ms).s);
	/* A retired key signs nothing new; what it signed before stays good, so rotation leaves no gap. */
	else if (k->not_after_ms && signed_ms > k->not_after_ms)
		tr_check_seen(c, "signed at %s by key %s, which %s at %s", stamp(signed_ms).s, id.s,
			      k->state == TR_VKEY_RETIRED ? "was retired" : "ended",
			      stamp(k->not_after_ms).s);
	else
		return true;
	return false;
}

static bool is_in(const uint8_t (*list)[TR_SHA256_LEN], size_t n, const uint8_t hash[TR_SHA256_LEN])
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(list[i], hash, TR_SHA256_LEN) == 0)
			return true;
	return false;
}

/* The reason of a failed verification. Out of memory is ours, not the claim's fault: try again. */
static enum tr_reason reason_of(enum tr_code rc)
{
	return rc == TR_E_INVALID ? TR_R_MALFORMED : rc == TR_E_DENIED ? TR_R_BAD_SIGNATURE : TR_R_LIMIT;
}

/* Judges the enclosed statement for the claimed hash; says in c->seen what it found. */
static enum tr_reason judge_release(struct tr_run *run, struct tr_view bytes, struct tr_release *ret,
				    const struct tr_vkey **ret_key, struct tr_check *c)
{
	const struct tr_vkey *k = NULL;
	struct tr_err err = { 0 };
	struct tr_view kid;
	enum tr_code rc;

	rc = tr_release_unverified_kid(bytes, &kid, &err);
	if (rc) {
		tr_check_seen(c, "a statement that is not of the documented form: %s", err.pub);
		return reason_of(rc);
	}
	for (size_t i = 0; i < run->p->n_vkeys && !k; i++)
		if (run->p->vkeys[i].use == TR_VKEY_RELEASE &&
		    tr_view_eq(kid, tr_cose1_kid(run->p->vkeys[i].key)))
			k = &run->p->vkeys[i];
	if (!k) {
		tr_check_seen(c, "signed by the release key %s, which is not known here", hex(kid).s);
		return TR_R_UNKNOWN_KEY;
	}
	rc = tr_release_verify(bytes, k->key, ret, &err);
	if (rc) {
		tr_check_seen(c, "names a known release key, but: %s", err.pub);
		return reason_of(rc);
	}
	if (!tr_vkey_good_at(k, ret->issued_ms, c))
		return TR_R_KEY_REVOKED;
	if (memcmp(ret->sha256, run->a->binary_hash, TR_SHA256_LEN) != 0) {
		tr_check_seen(c, "a good statement, but for another binary: sha256:%s",
			      hex(TR_VIEW_ARRAY(ret->sha256)).s);
		return TR_R_HASH_NOT_ALLOWED;
	}
	if (is_in(run->p->withdrawn, run->p->n_withdrawn, run->a->binary_hash)) {
		tr_check_seen(c, "a good statement, but an operator has withdrawn this release");
		return TR_R_HASH_NOT_ALLOWED;
	}
	if (ret->expires_ms && run->now_ms >= ret->expires_ms) {
		tr_check_seen(c, "a statement that expired at %s", stamp(ret->expires_ms).s);
		return TR_R_RELEASE_EXPIRED;
	}
	tr_check_seen(c, "%.*s %.*s for %.*s, signed by the release key %s", TR_VIEW_FMT(ret->name),
		      TR_VIEW_FMT(ret->version), TR_VIEW_FMT(ret->platform),
		      hex(tr_view(tr_pubkey_id(k->key), 8)).s);
	*ret_key = k;
	return TR_R_OK;
}

void tr_rule_hash(struct tr_run *run, struct tr_view release, struct tr_view *ret_version)
{
	struct tr_appraisal *a = run->a;
	const struct tr_vkey *k = NULL;
	struct tr_release r = { 0 };
	struct tr_check found = { .seen = "" };
	enum tr_reason why = TR_R_HASH_NOT_ALLOWED;
	bool listed = is_in(run->p->hashes, run->p->n_hashes, a->binary_hash);
	struct tr_check *c;

	if (release.n > 0)
		why = judge_release(run, release, &r, &k, &found);
	else
		tr_check_seen(&found, "no statement enclosed");
	if (why == TR_R_OK) {
		*ret_version = r.version;
		a->vouched = true;
		memcpy(a->vkey_id, tr_pubkey_id(k->key), sizeof(a->vkey_id));
		tr_copy_text(a->release_name, sizeof(a->release_name), r.name);
		tr_copy_text(a->platform, sizeof(a->platform), r.platform);
	}
	/* A listed hash needs no statement: an operator's word counts as much as a release key's. */
	c = tr_check_add(run, "release", listed || run->p->pin_only ? TR_R_OK : why);
	tr_check_expected(c, listed		? "not needed: the hash is on the list"
			     : run->p->pin_only ? "not enough by itself: the policy lists the allowed hashes"
						: "a statement about this binary by an active release key");
	tr_check_seen(c, "%s", found.seen);

	if (run->p->pin_only && !listed)
		why = TR_R_HASH_NOT_ALLOWED;
	c = tr_check_add(run, "hash", listed ? TR_R_OK : why);
	tr_check_expected(c,
			  run->p->pin_only
				  ? "one of the %zu hashes that the policy pins"
				  : "vouched for by its release statement, or one of %zu published releases",
			  run->p->n_hashes);
	tr_check_seen(c, "sha256:%s%s", hex(TR_VIEW_ARRAY(a->binary_hash)).s,
		      listed	       ? ", which is on the list"
		      : why == TR_R_OK ? ", vouched for by its release statement"
				       : ", which nothing vouches for");
}

/* "v1.2.3" and "1.2.3" are one version. */
static struct tr_view bare(struct tr_view v)
{
	return v.n > 0 && v.p[0] == 'v' ? tr_view(v.p + 1, v.n - 1) : v;
}

static bool in_list(struct tr_view list, struct tr_view version)
{
	struct tr_view one;

	while (tr_list_next(&list, &one)) {
		while (one.n > 0 && one.p[0] == ' ')
			one = tr_view(one.p + 1, one.n - 1);
		while (one.n > 0 && one.p[one.n - 1] == ' ')
			one.n--;
		if (tr_view_eq(bare(one), bare(version)))
			return true;
	}
	return false;
}

void tr_rule_version(struct tr_run *run, struct tr_view version, struct tr_view stated)
{
	const struct tr_policy *p = run->p;
	enum tr_reason why = TR_R_VERSION_NOT_ALLOWED;
	struct tr_check c = { 0 }, *line;

	if (stated.n > 0 && !tr_view_eq(bare(stated), bare(version)))
		tr_check_expected(&c, "version %.*s, as the release statement says", TR_VIEW_FMT(stated));
	else if (p->min_version.n > 0 && tr_version_cmp(version, p->min_version) < 0)
		tr_check_expected(&c, "at least version %.*s", TR_VIEW_FMT(p->min_version));
	else if (p->versions.n > 0 && !in_list(p->versions, version))
		tr_check_expected(&c, "one of the versions %.*s", TR_VIEW_FMT(p->versions));
	else
		why = TR_R_OK;
	line = tr_check_add(run, "version", why);
	tr_check_expected(line, "%s",
			  why				      ? c.expected
			  : p->min_version.n || p->versions.n ? "a version that the policy allows"
							      : "any version");
	tr_check_seen(line, "version %.*s", TR_VIEW_FMT(version));
}

void tr_rule_tier(struct tr_run *run)
{
	struct tr_check *c =
		tr_check_add(run, "tier", run->a->tier >= run->p->min_tier ? TR_R_OK : TR_R_TIER_TOO_LOW);

	tr_check_expected(c, "evidence of tier %s or stronger", tr_tier_name(run->p->min_tier));
	tr_check_seen(c, "%s: %s", tr_tier_name(run->a->tier),
		      "the key's holder says so itself; a host that reads the key could say anything");
}
