/* SPDX-License-Identifier: Apache-2.0 */
/* `troth key rotate`: from one command key to the next without a gap.
 *
 *   create ─▶ keyset that names it ─▶ agents take it over ─▶ promote ─▶ keyset: the old one signs no more ─▶ done
 *
 * Where it stands is read from the server each time, so that it goes on after an interruption, and on another machine.
 * With root keys at hand all of it happens in one call; without, each call does what it can and says what a person has to
 * do next. */
#include "cli/keyset_verbs.h"
#include "cli/skey.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "codec/text.h"

#define FRESH_MS (24 * 3600000LL) /* a primary key as young as this ends a rotation rather than begins one */
/* What the old key signed in the moment of the switch must count, whatever the clocks of nodes say. */
#define SLACK_MS 60000
#define STEPS_MAX 8

enum step { STEP_CREATE, STEP_NAME, STEP_PROMOTE, STEP_RETIRE, STEP_DONE };

/* One of the server's command keys. */
struct row {
	char id[65];
	struct tr_view spki;
	int64_t version, primary_ms;
	bool prepared, active, primary, retiring, retired, named, no_sign_after;
};

struct rotation {
	struct tr_cli *c;
	struct tr_json *answer; /* what rows borrow from */
	struct tr_authority authority;
	struct row rows[64];
	size_t n;
	const struct row *primary, *next, *old;
	const char *roots[TR_KEYSET_ROOTS_MAX];
	size_t n_roots;
	bool began, changed;    /* by this call: a key was made; anything was done */
	uint64_t wait_ms;
};

/* ---- where it stands ---- */

static const struct tr_keyset_key *in_keyset(const struct rotation *r, const struct row *row)
{
	for (size_t i = 0; i < r->authority.keyset.n_keys; i++) {
		tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
		uint8_t id[32];

		tr_key_id_of(r->authority.keyset.keys[i].key, id);
		tr_hex_add(&hex, TR_VIEW_ARRAY(id));
		if (r->authority.keyset.keys[i].role == TR_ROLE_COMMAND && strcmp(tr_buf_cstr(&hex), row->id) == 0)
			return &r->authority.keyset.keys[i];
	}
	return NULL;
}

static void read_row(struct rotation *r, tr_jnode n)
{
	struct row *row = &r->rows[r->n];
	struct tr_view v = { 0 }, state = { 0 };
	const struct tr_keyset_key *key;

	*row = (struct row){ 0 };
	if (r->n == TR_ARRAY_LEN(r->rows) || !tr_json_str(tr_json_get(n, "role"), &v) || !tr_view_is(v, "command") ||
	    !tr_json_str(tr_json_get(n, "id"), &v) || v.n != 64 || !tr_json_str(tr_json_get(n, "state"), &state))
		return;
	(void)snprintf(row->id, sizeof(row->id), "%.*s", TR_VIEW_FMT(v));
	(void)tr_json_str(tr_json_get(n, "spki"), &row->spki);
	(void)tr_json_int(tr_json_get(n, "version"), &row->version);
	if (tr_json_str(tr_json_get(n, "primary_at"), &v))
		(void)tr_rfc3339_get(v, &row->primary_ms);
	row->prepared = tr_view_is(state, "prepared");
	row->active = tr_view_is(state, "active");
	row->primary = tr_view_is(state, "primary");
	row->retiring = tr_view_is(state, "retiring");
	row->retired = tr_view_is(state, "retired");
	key = in_keyset(r, row);
	row->named = key != NULL;
	row->no_sign_after = key && key->no_sign_after_ms;
	r->n++;
}

static int look(struct rotation *r)
{
	int rc;

	r->answer = tr_json_free(r->answer);
	tr_authority_done(&r->authority);
	r->n = 0;
	r->primary = r->next = r->old = NULL;
	rc = tr_api_authority(r->c, &r->authority);
	if (!rc)
		rc = tr_api_call(r->c, "GET", "/api/v1/admin/keys", tr_view(NULL, 0), &r->answer);
	if (rc)
		return rc;
	for (size_t i = 0; i < tr_json_len(tr_json_get(tr_json_root(r->answer), "keys")) && r->n < TR_ARRAY_LEN(r->rows); i++)
		read_row(r, tr_json_at(tr_json_get(tr_json_root(r->answer), "keys"), i));
	for (size_t i = 0; i < r->n; i++) {
		const struct row *row = &r->rows[i];

		if (row->primary)
			r->primary = row;
		if (row->retiring && row->named && !row->no_sign_after)
			r->old = row;
		if ((row->prepared || row->active) && !row->no_sign_after && (!r->next || row->version > r->next->version))
			r->next = row;
	}
	/* Made before the present one and never used: left over, no successor. */
	if (r->next && r->primary && r->next->version < r->primary->version)
		r->next = NULL;
	return TR_CLI_EXIT_OK;
}

static enum step stands(const struct rotation *r)
{
	if (r->old)
		return STEP_RETIRE;
	if (r->next)
		return r->next->named ? STEP_PROMOTE : STEP_NAME;
	if (r->began || (r->changed && r->primary))
		return STEP_DONE;
	/* Called again after the last step, without root keys at hand: that it is done is the answer, not another one. */
	if (r->primary && !r->n_roots && !tr_cli_opt(r->c, TR_OPT_FORCE) && r->primary->version > 1 &&
	    tr_now_ms() - r->primary->primary_ms < FRESH_MS)
		return STEP_DONE;
	return STEP_CREATE;
}

static void say(const struct rotation *r, const char *fmt, ...) TR_PRINTF(2, 3);
static void say(const struct rotation *r, const char *fmt, ...)
{
	va_list ap;

	if (r->c->quiet || r->c->json)
		return;
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)fflush(stdout);
}

/* ---- steps ---- */

static int create(struct rotation *r)
{
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT;
	int rc = tr_api_call(r->c, "POST", "/api/v1/admin/keys", TR_VIEW_LIT("{\"role\":\"command\"}"), &answer);

	if (rc)
		return rc;
	tr_out_cell(&id, tr_json_get(tr_json_root(answer), "id"), TR_CELL_TEXT, true, 0);
	say(r, "made     command key %s\n", tr_buf_cstr(&id));
	r->began = true;
	return TR_CLI_EXIT_OK;
}

/* Keys that nobody believes any more leave room; whether they are there does not matter to anyone. */
static void drop_retired(const struct rotation *r, struct tr_edit *e)
{
	struct tr_err err = { 0 };

	for (size_t i = 0; i < r->n; i++)
		if (r->rows[i].retired && r->rows[i].named && r->rows[i].no_sign_after &&
		    tr_edit_drop(e, r->rows[i].id, TR_ROLE_COMMAND, &err) != TR_OK)
			continue;
}

static TR_RC name_next(const struct rotation *r, struct tr_edit *e, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf spki = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	uint8_t id[32];

	if (tr_b64_get(r->next->spki, TR_B64_STD, &spki, err) || tr_pubkey_from_spki(tr_buf_view(&spki), &key, err))
		return tr_err_wrap(err, "the server's row of key %.12s", r->next->id);
	if (!tr_hex_get(tr_view_str(r->next->id), id, 32) || memcmp(id, tr_pubkey_id(key), 32) != 0)
		return tr_err_set(err, TR_E_DENIED, "the server's key is not what its id says", "%s", r->next->id);
	return tr_edit_add(e, TR_ROLE_COMMAND, tr_pubkey_spki(key), 0, 0, err);
}

/* A draft of the same step that somebody has begun to sign is not written over. */
static bool under_way(const char *path, const struct tr_edit *e)
{
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, hold = TR_BUF_INIT;
	struct tr_keyset k;
	struct tr_err err = { 0 };
	size_t sigs = 0;

	return tr_file_read(path, TR_KEYSET_MAX, &file, &err) == TR_OK &&
	       tr_draft_read(tr_buf_view(&file), &hold, &k, &sigs, &err) == TR_OK && sigs > 0 &&
	       tr_view_eq(k.prev_digest, e->ks.prev_digest);
}

/* What a person does now, and how it goes on from there. */
static int hand_over(const struct rotation *r, const struct tr_edit *e, struct tr_view payload)
{
	char path[64];
	const char *out = tr_cli_opt(r->c, TR_OPT_FILE);
	int rc;

	(void)snprintf(path, sizeof(path), "keyset-%llu", (unsigned long long)e->ks.epoch);
	out = out ? out : path;
	rc = under_way(out, e) ? TR_CLI_EXIT_OK : tr_draft_write(out, payload, r->authority.bytes);
	if (rc)
		return rc;
	say(r, "\nThe next step needs root keys. Take %s and %s.previous to where they are:\n"
	       "  troth keyset sign %s --root FILE\nand back here:\n  troth keyset publish %s\n  troth key rotate%s\n",
	    out, out, out, out, r->wait_ms ? " --wait" : "");
	return TR_CLI_EXIT_NOT_YET;
}

/* The old key signed until the server's clock said that another one does: this machine's may be behind it. */
static int64_t last_moment(const struct rotation *r, const struct tr_edit *e)
{
	int64_t switched = r->primary ? r->primary->primary_ms : 0;

	return (switched > e->ks.issued_ms ? switched : e->ks.issued_ms) + SLACK_MS;
}

/* A keyset with what the step changes: signed and published when the roots are here. */
static int publish(struct rotation *r, enum step step)
{
	tr_auto(tr_edit_done) struct tr_edit e = { .n_held = 0 };
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT, object = TR_BUF_INIT, b = TR_BUF_INIT, words = TR_BUF_INIT;
	struct tr_err err = { 0 };
	bool quiet = r->c->json, done = false;
	enum tr_code bad;
	int rc;

	tr_edit_start(&e, &r->authority.keyset, r->authority.bytes, tr_now_ms());
	drop_retired(r, &e);
	bad = step == STEP_NAME ? name_next(r, &e, &err) : tr_edit_retire(&e, r->old->id, last_moment(r, &e), &err);
	if (bad || tr_edit_payload(&e, &payload, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	tr_keyset_diff(&r->authority.keyset, &e.ks, &b);
	say(r, "%s", tr_buf_cstr(&b));
	if (r->n_roots == 0)
		return hand_over(r, &e, tr_buf_view(&payload));
	if (tr_draft_sign(tr_buf_view(&payload), &r->authority.keyset, r->roots, r->n_roots, &object, &done, &words, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (!done) {
		fputs(tr_buf_cstr(&words), stderr);
		rc = hand_over(r, &e, tr_buf_view(&object));
		return rc;
	}
	r->c->json = false; /* the answer of each step would not be one document */
	rc = tr_keyset_send(r->c, tr_buf_view(&object));
	r->c->json = quiet;
	if (!rc)
		say(r, "published keyset %llu\n", (unsigned long long)e.ks.epoch);
	return rc;
}

static bool refused_as(int status, const struct tr_json *answer, const char *slug)
{
	struct tr_view code;

	return status == 409 && tr_json_str(tr_json_get(tr_json_root(answer), "code"), &code) && tr_view_is(code, slug);
}

/* Revoked meanwhile, or past its time, the old key gives way to this one without us. */
static int is_primary_already(struct rotation *r, int status, const struct tr_json *answer)
{
	char id[65];
	int rc;

	memcpy(id, r->next->id, sizeof(id)); /* looking again overwrites it */
	rc = look(r);
	if (rc)
		return rc;
	if (!r->primary || strcmp(r->primary->id, id) != 0)
		return tr_api_refused(status, answer);
	say(r, "switched command key %.12s signs already: the one before it was revoked, or its time was over\n", id);
	return TR_CLI_EXIT_OK;
}

static int promote(struct rotation *r)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, body = TR_BUF_INIT;
	struct tr_adopted a = { 0 };
	int rc;

	tr_buf_addf(&path, "/api/v1/admin/keys/%s/promote", r->next->id);
	tr_buf_addf(&body, "{\"force\":%s", tr_cli_opt(r->c, TR_OPT_FORCE) ? "true" : "false");
	tr_cli_put(&body, "reason", tr_cli_opt(r->c, TR_OPT_REASON));
	tr_buf_adds(&body, "}");
	for (;;) {
		tr_auto(tr_json_free) struct tr_json *answer = NULL;
		int status = 0;

		rc = tr_skey_wait(r->c, r->next->id, r->wait_ms, &a);
		if (!rc)
			rc = tr_api_try(r->c, "POST", tr_buf_cstr(&path), tr_buf_view(&body), &status, &answer);
		if (rc)
			return rc;
		if (status == 200)
			break;
		if (refused_as(status, answer, "not_active"))
			return is_primary_already(r, status, answer);
		/* An agent that came back in this very moment may be behind again: then it is waited for, too. */
		if (!r->wait_ms || !refused_as(status, answer, "not_adopted"))
			return tr_api_refused(status, answer);
	}
	say(r, "promoted command key %.12s: it signs from now on; %lld agents know it, %lld are not heard\n", r->next->id,
	    (long long)a.adopted, (long long)a.unreachable);
	return TR_CLI_EXIT_OK;
}

static int finish(struct rotation *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (!r->primary)
		return tr_cli_fail(TR_CLI_EXIT_REFUSED, "there is no primary command key; see troth key list");
	if (r->c->json) {
		tr_buf_addf(&b, "{\"primary\":\"%s\",\"version\":%lld,\"keyset_epoch\":%llu}\n", r->primary->id,
			    (long long)r->primary->version, (unsigned long long)r->authority.keyset.epoch);
	} else if (r->c->quiet) {
		tr_buf_addf(&b, "%s\n", r->primary->id);
	} else {
		tr_buf_addf(&b, "done     command key %.12s (version %lld) signs; the one before it is retired when what it signed is over\n"
			    "Keep the chain of keysets with your backups: troth keyset chain --save FOLDER\n",
			    r->primary->id, (long long)r->primary->version);
		if (!r->changed)
			tr_buf_adds(&b, "It is not a day old: --force begins another rotation.\n");
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int run(struct rotation *r)
{
	int rc = TR_CLI_EXIT_OK;

	for (unsigned i = 0; !rc && i < STEPS_MAX; i++) {
		enum step step;

		rc = look(r);
		if (rc)
			return rc;
		step = stands(r);
		switch (step) {
		case STEP_CREATE: rc = create(r); break;
		case STEP_PROMOTE: rc = promote(r); break;
		case STEP_DONE: return finish(r);
		default: rc = publish(r, step); break;
		}
		r->changed = true;
	}
	return rc ? rc : tr_cli_fail(TR_CLI_EXIT_REFUSED, "the server does not do as it says: its keys stay as they are; see troth key list");
}

int tr_key_rotate(struct tr_cli *c)
{
	const char *wait = tr_cli_opt(c, TR_OPT_WAIT), *one;
	struct rotation r = { .c = c };
	size_t at = 0;
	uint64_t s = 0;
	int rc;

	if (wait && *wait && (!tr_cli_duration(wait, &s) || s == 0))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--wait takes a time such as 30s, 15m or 2h, or nothing: then as long as it takes");
	if (tr_cli_opt(c, TR_OPT_FORCE) && !tr_cli_reason(c))
		return TR_CLI_EXIT_USAGE;
	if (wait)
		r.wait_ms = s ? s * 1000 : UINT64_MAX;
	while ((one = tr_cli_next(c, TR_OPT_ROOT, &at)) && r.n_roots < TR_ARRAY_LEN(r.roots))
		r.roots[r.n_roots++] = one;
	rc = run(&r);
	r.answer = tr_json_free(r.answer);
	tr_authority_done(&r.authority);
	return rc;
}
