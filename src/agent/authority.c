/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/authority.h"

#include "codec/cbor.h"

#define PAGE_MAX 100000
#define FILE_MAX 128
#define BEFORE_MAX ((uint64_t)64 << 20)
#define ASKING 4096 /* bytes that a request for the next one is worth */
#define SLACK_MS INT64_C(300000)

/* ---- steps ---- */

void tr_keywalk_done(struct tr_keywalk *w)
{
	tr_buf_done(&w->bytes);
	*w = (struct tr_keywalk){ 0 };
}

static TR_RC stand_on(struct tr_keywalk *w, struct tr_view keyset, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf own = TR_BUF_INIT;
	struct tr_keyset k;
	enum tr_code rc;

	tr_buf_addv(&own, keyset);
	rc = tr_buf_check(&own, err);
	if (!rc)
		rc = tr_keyset_unverified(tr_buf_view(&own), &k, err);
	if (rc)
		return rc;
	tr_buf_done(&w->bytes);
	w->bytes = own;
	own = TR_BUF_INIT;
	w->keyset = k;
	w->has = true;
	return TR_OK;
}

TR_RC tr_keywalk_step(struct tr_keywalk *w, struct tr_view keyset, struct tr_err *err)
{
	struct tr_keyset k;
	uint8_t root[32];
	enum tr_code rc = tr_keyset_unverified(keyset, &k, err);

	if (rc)
		return tr_err_wrap(err, "keyset");
	tr_keyset_root_fingerprint(&k, root);
	w->last = k.epoch > w->last ? k.epoch : w->last;
	if (w->seek && memcmp(root, w->seek, 32) == 0)
		w->sought = true;
	if (!w->has && (!w->pin || memcmp(root, w->pin, 32) != 0)) {
		/* Whoever is in between could make them up for ever. */
		w->bytes_before += keyset.n + ASKING;
		return w->bytes_before <= BEFORE_MAX
			       ? TR_OK
			       : tr_err_set(err, TR_E_INVALID, "the server's chain of keysets is longer than any could be",
					    "epoch %llu, and not yet one with the pinned roots", (unsigned long long)k.epoch);
	}
	/* 0 is before every end: one that was replaced in time may be over by now. */
	if (w->has)
		rc = tr_keyset_verify_next(tr_buf_view(&w->bytes), &w->keyset, keyset, 0, &k, err);
	else
		rc = tr_keyset_verify_pinned(keyset, w->pin, 0, &k, err);
	if (!rc)
		rc = stand_on(w, keyset, err);
	return rc ? tr_err_wrap(err, "keyset of epoch %llu", (unsigned long long)k.epoch) : TR_OK;
}

TR_RC tr_keywalk_page(struct tr_keywalk *w, struct tr_view answer, size_t *ret_n, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(answer);
	size_t n = tr_cbor_array(&r, PAGE_MAX);
	uint64_t before = w->last;
	enum tr_code rc = TR_OK;

	for (size_t i = 0; !rc && i < n && !r.error; i++) {
		struct tr_view v = tr_cbor_bytes(&r);

		if (!r.error)
			rc = tr_keywalk_step(w, v, err);
	}
	if (!rc)
		rc = tr_cbor_end(&r, err);
	if (!rc && n && w->last <= before)
		rc = tr_err_set(err, TR_E_INVALID, "the server's chain of keysets does not come to an end",
				"epoch %llu again", (unsigned long long)w->last);
	*ret_n = n;
	return rc;
}

TR_RC tr_keywalk_end(const struct tr_keywalk *w, int64_t now_ms, struct tr_err *err)
{
	if (!w->has)
		return tr_err_set(
			err, TR_E_DENIED,
			"the server's root keys are not the pinned ones: this is another installation, or "
			"somebody is in between",
			"no keyset of the pinned roots");
	if (now_ms >= w->keyset.expires_ms)
		return tr_err_set(
			err, TR_E_DENIED,
			"the keyset has expired: the operators must sign a new one (or this clock is wrong)",
			"epoch %llu", (unsigned long long)w->keyset.epoch);
	return TR_OK;
}

/* ---- the folder ---- */

void tr_authority_done(struct tr_authority *a)
{
	tr_keywalk_done(&a->walk);
}

enum key { KEY_REFRESHED = 1, KEY_EPOCH, KEY_JOURNAL, KEY_N };

static bool read_file(struct tr_view in, struct tr_authority *a)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_cbor_map m;
	int64_t key, refreshed = 0;
	uint64_t epoch = 0;
	bool journal = false;
	struct tr_err err;

	(void)tr_cbor_map(&r, &m, KEY_N - 1);
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_REFRESHED: refreshed = tr_cbor_int(&r); break;
		case KEY_EPOCH: epoch = tr_cbor_uint(&r); break;
		case KEY_JOURNAL: journal = tr_cbor_bool(&r); break;
		default: tr_cbor_fail(&r, "unknown key");
		}
	}
	if (tr_cbor_end(&r, &err))
		return false;
	a->refreshed_ms = refreshed;
	a->stored_epoch = epoch;
	a->journal = journal;
	return true;
}

TR_RC tr_authority_save(const struct tr_state *s, struct tr_authority *a, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint64_t epoch = a->walk.has ? a->walk.keyset.epoch : 0;
	enum tr_code rc;

	tr_cbor_put_map(&b, KEY_N - 1);
	tr_cbor_put_int(&b, KEY_REFRESHED);
	tr_cbor_put_int(&b, a->refreshed_ms);
	tr_cbor_put_int(&b, KEY_EPOCH);
	tr_cbor_put_uint(&b, epoch);
	tr_cbor_put_int(&b, KEY_JOURNAL);
	tr_cbor_put_bool(&b, a->journal);
	rc = tr_buf_check(&b, err);
	if (!rc)
		rc = tr_state_write(s, TR_AUTHORITY_FILE, tr_buf_view(&b), err);
	if (!rc)
		a->stored_epoch = epoch;
	return rc;
}

void tr_authority_load(const struct tr_state *s, struct tr_authority *ret)
{
	tr_auto(tr_buf_done) struct tr_buf keyset = TR_BUF_INIT, own = TR_BUF_INIT;
	struct tr_err err;

	*ret = (struct tr_authority){ 0 };
	if (s->conf.root.n == 32) {
		memcpy(ret->pin, s->conf.root.p, 32);
		ret->walk.pin = ret->pin;
	}
	if (tr_state_read(s, TR_AUTHORITY_FILE, FILE_MAX, &own, &err) || !read_file(tr_buf_view(&own), ret))
		ret->refreshed_ms = s->conf.enrolled_at;
	if (!tr_state_read(s, "keyset.cose", TR_KEYSET_MAX, &keyset, &err) &&
	    !stand_on(&ret->walk, tr_buf_view(&keyset), &err))
		ret->walk.last = ret->walk.keyset.epoch;
}

/* The CAs that the keyset names, in the place of those before. One that names none leaves them: without a CA
 * no newer keyset could ever come. */
static TR_RC write_ca(const struct tr_state *s, const struct tr_authority *a, int64_t now_ms,
		      struct tr_err *err)
{
	tr_auto(tr_trust_done) struct tr_trust t = { 0 };
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;
	uint8_t root[32];
	enum tr_code rc;

	tr_keyset_root_fingerprint(&a->walk.keyset, root);
	rc = tr_bootstrap_check(tr_buf_view(&a->walk.bytes), root, now_ms, &t, &why, err);
	if (rc == TR_E_DENIED)
		return TR_OK;
	return rc ? rc : tr_state_write(s, "ca.pem", tr_buf_view(&t.ca_pem), err);
}

static TR_RC write_root(struct tr_state *s, struct tr_authority *a, struct tr_err *err)
{
	struct tr_agent_conf c = s->conf;
	uint8_t root[32];
	enum tr_code rc;

	tr_keyset_root_fingerprint(&a->walk.keyset, root);
	if (tr_view_eq(s->conf.root, TR_VIEW_ARRAY(root)))
		return TR_OK;
	c.root = TR_VIEW_ARRAY(root);
	rc = tr_state_save(s, &c, err);
	if (!rc)
		memcpy(a->pin, root, sizeof(root));
	return rc;
}

static TR_RC store(struct tr_state *s, struct tr_authority *a, int64_t now_ms, struct tr_err *err)
{
	enum tr_code rc = tr_state_write(s, "keyset.cose", tr_buf_view(&a->walk.bytes), err);

	if (!rc)
		rc = write_ca(s, a, now_ms, err);
	if (!rc)
		rc = write_root(s, a, err);
	return rc ? rc : tr_authority_save(s, a, err);
}

void tr_authority_begin(struct tr_authority *a)
{
	if (!a->walk.has)
		a->walk.last = a->walk.bytes_before = 0;
}

uint64_t tr_authority_after(const struct tr_authority *a)
{
	return a->walk.has ? a->walk.keyset.epoch : a->walk.last;
}

TR_RC tr_authority_take(struct tr_state *s, struct tr_authority *a, struct tr_view answer, int64_t now_ms,
			size_t *ret_n, bool *ret_moved, struct tr_err *err)
{
	uint64_t before = a->walk.has ? a->walk.keyset.epoch : 0;
	struct tr_err later;
	enum tr_code rc;

	if (a->walk.has)
		a->walk.last = before;
	rc = tr_keywalk_page(&a->walk, answer, ret_n, err);
	*ret_moved = false;
	/* Steps that verified count, whatever came after them. */
	if (a->walk.has && (a->walk.keyset.epoch > before || a->walk.keyset.epoch != a->stored_epoch)) {
		enum tr_code stored = store(s, a, now_ms, &later);

		/* What cannot be written counts all the same, for a revocation must; it is written with the
		 * next chance. */
		*ret_moved = a->walk.keyset.epoch > before;
		if (stored && !rc) {
			*err = later;
			rc = stored;
		}
	}
	return rc;
}

/* ---- when ---- */

/* A time in the future was taken from a clock that was wrong: as good as none. */
static int64_t age_ms(const struct tr_authority *a, int64_t now_ms)
{
	if (!a->refreshed_ms || a->refreshed_ms > now_ms + SLACK_MS)
		return INT64_MAX / 2;
	return now_ms > a->refreshed_ms ? now_ms - a->refreshed_ms : 0;
}

bool tr_authority_is_due(const struct tr_authority *a, int64_t now_ms, uint64_t mono_ms, uint32_t spread)
{
	int64_t tenth = TR_AUTHORITY_EVERY_MS / 10,
		every = TR_AUTHORITY_EVERY_MS - tenth + spread % (2 * tenth);

	if (mono_ms < a->not_before_mono)
		return false;
	return !a->walk.has || a->told_epoch > a->walk.keyset.epoch || age_ms(a, now_ms) >= every;
}

bool tr_authority_is_old(const struct tr_authority *a, int64_t now_ms)
{
	return !a->walk.has || a->told_epoch > a->walk.keyset.epoch ||
	       age_ms(a, now_ms) > TR_AUTHORITY_TTL_MS;
}

bool tr_authority_is_stale(const struct tr_authority *a, int64_t now_ms, uint64_t hours)
{
	int64_t grace = (int64_t)(hours ? hours : TR_STALE_KEY_HOURS) * 3600000;

	return !a->walk.has || now_ms >= a->walk.keyset.expires_ms || age_ms(a, now_ms) > grace;
}
