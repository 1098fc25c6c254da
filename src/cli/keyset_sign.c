/* SPDX-License-Identifier: Apache-2.0 */
/* `troth keyset sign`: on a machine without a network, by whoever holds a root key. What is signed is shown first, made
 * from the bytes that are signed. */
#include "cli/keyset_verbs.h"

#include "base/file.h"
#include "codec/text.h"

#define ROOTS_MAX TR_KEYSET_ROOTS_MAX

static bool is_root(const struct tr_keyset *k, const struct tr_privkey *key)
{
	for (size_t i = 0; k && i < k->n_roots; i++)
		if (tr_view_eq(k->roots[i], tr_pubkey_spki(tr_privkey_pub(key))))
			return true;
	return false;
}

static void missing(struct tr_buf *b, const char *whose, uint64_t have, uint64_t need)
{
	tr_buf_addf(b, "%s: %llu of %llu signatures", whose, (unsigned long long)have, (unsigned long long)need);
	if (have < need)
		tr_buf_addf(b, ", %llu missing", (unsigned long long)(need - have));
	tr_buf_adds(b, "\n");
}

static bool say(const struct tr_keyset *own, const struct tr_keyset *now, const struct tr_keyset_signed *s, struct tr_buf *b)
{
	missing(b, now ? "roots of this keyset" : "roots", s->by_own, own->threshold);
	if (now)
		missing(b, "roots in force until now", s->by_prev, now->threshold);
	return s->by_own >= own->threshold && (!now || s->by_prev >= now->threshold);
}

TR_RC tr_draft_sign(struct tr_view draft, const struct tr_keyset *now, const char *const *roots, size_t n,
		    struct tr_buf *ret, bool *ret_done, struct tr_buf *b, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf hold = TR_BUF_INIT, object = TR_BUF_INIT;
	struct tr_keyset_signed s;
	struct tr_keyset own;
	size_t sigs;

	if (tr_draft_read(draft, &hold, &own, &sigs, err))
		return err->code;
	tr_buf_addv(&object, draft);
	for (size_t i = 0; i < n; i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
		tr_auto(tr_buf_done) struct tr_buf more = TR_BUF_INIT;

		if (tr_privkey_load(roots[i], &key, err))
			return err->code;
		/* Without the predecessor nobody can tell whether a root that leaves may sign: verify will. */
		if (!is_root(&own, key) && !is_root(now, key))
			return tr_err_set(err, TR_E_DENIED, now ? "this key is no root, neither of this keyset nor of the present one"
								: "this key is not one of the roots of this keyset",
					  "%s", roots[i]);
		if (tr_keyset_add_signature(tr_buf_view(&object), key, &more, err))
			return err->code;
		tr_buf_clear(&object);
		tr_buf_addv(&object, tr_buf_view(&more));
	}
	if (tr_buf_check(&object, err) || tr_keyset_signatures(tr_buf_view(&object), now, &s, err))
		return err->code;
	*ret_done = say(&own, now, &s, b);
	tr_buf_addv(ret, tr_buf_view(&object));
	return tr_buf_check(ret, err);
}

/* The keyset that the draft follows: given, or beside it. It is the right one when the draft names its digest. */
static int previous(const struct tr_cli *c, const struct tr_keyset *own, struct tr_buf *hold, struct tr_keyset *ret,
		    bool *ret_has)
{
	const char *path = tr_cli_opt(c, TR_OPT_PREVIOUS);
	tr_auto(tr_buf_done) struct tr_buf beside = TR_BUF_INIT;
	struct tr_err err = { 0 };
	uint8_t digest[32];

	*ret_has = false;
	tr_buf_addf(&beside, "%s.previous", c->args[0]);
	if (own->epoch == 1)
		return TR_CLI_EXIT_OK;
	if (!path && !tr_file_exists(tr_buf_cstr(&beside))) {
		fprintf(stderr, "troth: the keyset before it is not here (%s): what changes cannot be told, so all of it is shown\n",
			tr_buf_cstr(&beside));
		return TR_CLI_EXIT_OK;
	}
	path = path ? path : tr_buf_cstr(&beside);
	if (tr_file_read(path, TR_KEYSET_MAX, hold, &err) || tr_keyset_unverified(tr_buf_view(hold), ret, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	tr_keyset_digest(tr_buf_view(hold), digest);
	if (!tr_view_eq(own->prev_digest, TR_VIEW_ARRAY(digest)))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is not the keyset that %s follows: its digest is another one; nothing was signed",
				   path, c->args[0]);
	*ret_has = true;
	return TR_CLI_EXIT_OK;
}

int tr_keyset_sign_draft(struct tr_cli *c)
{
	const char *out = tr_cli_opt(c, TR_OPT_FILE), *roots[ROOTS_MAX], *one;
	tr_auto(tr_buf_done) struct tr_buf draft = TR_BUF_INIT, hold = TR_BUF_INIT, before = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, b = TR_BUF_INIT, words = TR_BUF_INIT;
	struct tr_keyset own, now;
	struct tr_err err = { 0 };
	size_t n = 0, at = 0, sigs;
	bool has_now, done = false;
	int rc;

	while ((one = tr_cli_next(c, TR_OPT_ROOT, &at)) && n < ROOTS_MAX)
		roots[n++] = one;
	if (n == 0)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--root FILE is needed: the private root key");
	if (tr_file_read(c->args[0], TR_KEYSET_MAX, &draft, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (tr_draft_read(tr_buf_view(&draft), &hold, &own, &sigs, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is no keyset and no draft of one (%s)", c->args[0], err.detail);
	rc = previous(c, &own, &before, &now, &has_now);
	if (rc)
		return rc;
	tr_keyset_diff(has_now ? &now : NULL, &own, &b);
	if (!c->quiet || !tr_cli_opt(c, TR_OPT_YES))
		fputs(tr_buf_cstr(&b), stderr);
	if (!tr_cli_confirm(c, "Sign this keyset?"))
		return TR_CLI_EXIT_USAGE;
	out = out ? out : c->args[0];
	if (tr_draft_sign(tr_buf_view(&draft), has_now ? &now : NULL, roots, n, &object, &done, &words, &err) ||
	    tr_file_write(out, tr_buf_view(&object), 0644, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (c->quiet)
		return TR_CLI_EXIT_OK;
	tr_buf_clear(&b);
	tr_buf_addf(&b, "%s is signed.\n%s", out, tr_buf_cstr(&words));
	if (done)
		tr_buf_addf(&b, "Where the login is:\n  troth keyset publish %s\n", out);
	else
		tr_buf_addf(&b, "Next, whoever holds another root key:\n  troth keyset sign %s --root FILE\n", out);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}
