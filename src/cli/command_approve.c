/* SPDX-License-Identifier: Apache-2.0 */
/* Approving: a person reads what the bytes say and signs their digests with a key that never leaves this machine, or another
 * one without a network. */
#include "cli/command.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "codec/text.h"

#define KEYS_MAX 8

static int submit(struct tr_cli *c, struct tr_view approval, uint64_t *ret_orders, uint64_t *ret_ready)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, body = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	int64_t n = 0, ready = 0;
	int rc;

	tr_b64_add(&text, approval, TR_B64_STD);
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "approval", tr_buf_cstr(&text));
	tr_buf_adds(&body, "}");
	rc = tr_api_call(c, "POST", "/api/v1/command-approvals", tr_buf_view(&body), &answer);
	if (rc)
		return rc;
	(void)tr_json_int(tr_json_get(tr_json_root(answer), "orders"), &n);
	(void)tr_json_int(tr_json_get(tr_json_root(answer), "ready"), &ready);
	*ret_orders += n > 0 ? (uint64_t)n : 0;
	*ret_ready += ready > 0 ? (uint64_t)ready : 0;
	return TR_CLI_EXIT_OK;
}

/* ---- signing ---- */

struct sink {
	struct tr_cli *c;       /* submits at once; NULL: collects */
	struct tr_buf blobs[64];
	size_t n;
	uint64_t orders, ready;
	int code;               /* of a submission that failed, which was said then */
};

static void sink_done(struct sink *s)
{
	for (size_t i = 0; i < s->n; i++)
		tr_buf_done(&s->blobs[i]);
}
TR_DEFINE_AUTO_DONE(struct sink, sink_done)

static TR_RC put(void *arg, struct tr_view approval, struct tr_err *err)
{
	struct sink *s = arg;

	if (s->c) {
		s->code = submit(s->c, approval, &s->orders, &s->ready);
		return s->code ? tr_err_set(err, TR_E_DENIED, "the approval was not taken", "submit") : TR_OK;
	}
	if (s->n == TR_ARRAY_LEN(s->blobs))
		return tr_err_set(err, TR_E_INVALID, "too many approvals for one file", "%zu", s->n);
	s->blobs[s->n] = TR_BUF_INIT;
	tr_buf_addv(&s->blobs[s->n], approval);
	return tr_buf_check(&s->blobs[s->n++], err);
}

/* Every key of --key signs all of them. */
static int sign_all(const struct tr_cli *c, const struct tr_order_set *set, struct sink *s)
{
	const char *path;
	size_t at = 0;

	while ((path = tr_cli_next(c, TR_OPT_KEY, &at))) {
		tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
		struct tr_err err = { 0 };

		if (tr_privkey_load(path, &key, &err) ||
		    tr_order_set_approve(set, key, tr_now_ms(), put, s, &err))
			return s->code ? s->code : tr_cli_err(TR_CLI_EXIT_FILE, &err);
	}
	return TR_CLI_EXIT_OK;
}

/* The same key twice is one person: found before anything is signed. */
static int check_keys(const struct tr_cli *c)
{
	uint8_t ids[KEYS_MAX][32];
	const char *path;
	size_t at = 0, n = 0;

	while ((path = tr_cli_next(c, TR_OPT_KEY, &at))) {
		tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
		struct tr_err err = { 0 };

		if (n == KEYS_MAX)
			return tr_cli_fail(TR_CLI_EXIT_USAGE, "at most 8 keys at once");
		if (tr_privkey_load(path, &key, &err))
			return tr_cli_err(TR_CLI_EXIT_FILE, &err);
		memcpy(ids[n], tr_pubkey_id(tr_privkey_pub(key)), 32);
		for (size_t i = 0; i < n; i++)
			if (memcmp(ids[i], ids[n], 32) == 0)
				return tr_cli_fail(TR_CLI_EXIT_USAGE, "%s is the same key as one before it: different operators have to agree", path);
		n++;
	}
	return n ? TR_CLI_EXIT_OK
		 : tr_cli_fail(TR_CLI_EXIT_USAGE, "--key FILE is needed: your private operator key (troth operator keygen)");
}

/* Drops what nobody has to approve; asks about the rest. */
static int ask(const struct tr_cli *c, const struct tr_order_set *set)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	char question[80];

	if (!set->n)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "there is no order to approve");
	if (tr_order_set_class(set) == TR_CLASS_READ)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "what only reads needs no approval");
	/* Two installations may have agents of one name. */
	tr_buf_addf(&text, "In trust domain %.*s:\n", TR_VIEW_FMT(set->items[0].order.trust_domain));
	tr_order_set_text(set, &text);
	fputs(tr_buf_cstr(&text), stderr);
	(void)snprintf(question, sizeof(question), set->n == 1 ? "Approve this order?" : "Approve these %zu orders?", set->n);
	return tr_cli_confirm(c, question) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_USAGE;
}

/* An operator of two installations has one key, and one that is stolen could show him the other's orders. */
static int is_of_here(struct tr_cli *c, const struct tr_order_set *set)
{
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	struct tr_view theirs;
	int rc;

	if (!set->n)
		return TR_CLI_EXIT_OK; /* the question is not asked of nothing */
	theirs = set->items[0].order.trust_domain; /* there is one in a set */
	rc = tr_api_authority(c, &a);
	if (rc || tr_view_eq(theirs, a.keyset.trust_domain))
		return rc;
	return tr_cli_fail(TR_CLI_EXIT_PIN, "the server's order is one of trust domain %.*s and not of %.*s; it was not approved",
			   TR_VIEW_FMT(theirs), TR_VIEW_FMT(a.keyset.trust_domain));
}

int tr_command_approve_set(struct tr_cli *c, const struct tr_order_set *set, uint64_t *ret_ready)
{
	tr_auto(sink_done) struct sink s = { .c = c };
	int rc = is_of_here(c, set);

	if (!rc)
		rc = sign_all(c, set, &s);

	*ret_ready = s.ready;
	return rc;
}

/* ---- orders: from the server, or from a file ---- */

static int fetch_batch(struct tr_cli *c, const char *batch, struct tr_order_set *set)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_rows_done) struct tr_rows rows = { 0 };
	int rc;

	tr_buf_adds(&path, "/api/v1/commands?state=waiting&limit=500");
	tr_cli_query(&path, "batch", batch);
	rc = tr_list_fetch(c, &(struct tr_list){ .path = tr_buf_cstr(&path), .member = "commands" }, &rows);
	if (!rc && rows.n == 0)
		return tr_cli_fail(TR_CLI_EXIT_REFUSED, "nothing of batch %s waits for approvals", batch);
	for (size_t i = 0; !rc && i < rows.n; i++) {
		struct tr_view v = { 0 };
		char id[TR_CMD_ID_DIGITS + 1];

		(void)tr_json_str(tr_json_get(rows.rows[i], "id"), &v);
		(void)snprintf(id, sizeof(id), "%.*s", TR_VIEW_FMT(v));
		if (!tr_cli_id(id, "command id"))
			return TR_CLI_EXIT_UNREACHABLE;
		rc = tr_command_get(c, id, set, NULL);
	}
	return rc;
}

static int fetch(struct tr_cli *c, struct tr_order_set *set)
{
	const char *batch = tr_cli_opt(c, TR_OPT_BATCH);
	int rc = batch ? fetch_batch(c, batch, set) : TR_CLI_EXIT_OK;

	if (!rc && !batch && c->n_args == 0)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "which commands? Give their ids, or --batch ID; see troth command list --state waiting");
	for (unsigned i = 0; !rc && i < c->n_args; i++) {
		char id[TR_CMD_ID_DIGITS + 1];

		rc = tr_command_id(c, c->args[i], id);
		if (!rc)
			rc = tr_command_get(c, id, set, NULL);
	}
	return rc;
}

static TR_RC add(void *arg, struct tr_view order, struct tr_err *err)
{
	return tr_order_set_add(arg, order, err);
}

static int from_file(const char *path, struct tr_order_set *set)
{
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (tr_file_read(path, TR_ORDER_FILE_MAX, &file, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (tr_blobs_each(tr_buf_view(&file), add, set, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is no file of orders (%s: %s)", path, err.pub, err.detail);
	return TR_CLI_EXIT_OK;
}

int tr_command_order(struct tr_cli *c)
{
	const char *out = tr_cli_opt(c, TR_OPT_FILE);
	tr_auto(tr_order_set_done) struct tr_order_set set = { 0 };
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_free) struct tr_view *list = NULL;
	struct tr_err err = { 0 };
	int rc;

	if (!out)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "-o FILE is needed: where the orders go");
	rc = fetch(c, &set);
	if (rc)
		return rc;
	list = calloc(set.n + 1, sizeof(*list));
	if (!list)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	for (size_t i = 0; i < set.n; i++)
		list[i] = tr_buf_view(&set.items[i].bytes);
	tr_blobs_put(&file, list, set.n);
	if (tr_buf_check(&file, &err) || tr_file_write(out, tr_buf_view(&file), 0644, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (c->quiet)
		return TR_CLI_EXIT_OK;
	tr_order_set_text(&set, &b);
	tr_buf_addf(&b, "\nWhere the operator's key is:\n  troth command approve --file %s --key FILE -o approval\nand back here:\n"
			"  troth command approve --submit approval\n", out);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

/* ---- the verb ---- */

static int offline(struct tr_cli *c, const struct tr_order_set *set)
{
	const char *out = tr_cli_opt(c, TR_OPT_FILE);
	tr_auto(sink_done) struct sink s = { .c = NULL };
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_view list[TR_ARRAY_LEN(s.blobs)];
	struct tr_err err = { 0 };
	int rc;

	if (!out)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "-o FILE is needed: where the approval goes");
	rc = ask(c, set);
	if (!rc)
		rc = sign_all(c, set, &s);
	if (rc)
		return rc;
	for (size_t i = 0; i < s.n; i++)
		list[i] = tr_buf_view(&s.blobs[i]);
	tr_blobs_put(&file, list, s.n);
	if (tr_buf_check(&file, &err) || tr_file_write(out, tr_buf_view(&file), 0644, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (c->quiet)
		return TR_CLI_EXIT_OK;
	tr_buf_addf(&b, "%s holds the approval. Where the login is, within %s:\n  troth command approve --submit %s\n", out,
		    tr_order_set_class(set) == TR_CLASS_DANGEROUS ? "an hour" : "4 hours", out);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int report(const struct tr_cli *c, uint64_t orders, uint64_t ready)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (c->quiet)
		return TR_CLI_EXIT_OK;
	if (c->json)
		tr_buf_addf(&b, "{\"orders\":%llu,\"ready\":%llu}\n", (unsigned long long)orders, (unsigned long long)ready);
	else
		tr_buf_addf(&b, "approved: %llu orders; %llu have all approvals now and are on their way\n", (unsigned long long)orders,
			    (unsigned long long)ready);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int submit_file(struct tr_cli *c, const char *path)
{
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT;
	tr_auto(sink_done) struct sink s = { .c = c };
	struct tr_err err = { 0 };

	if (tr_file_read(path, TR_ORDER_FILE_MAX, &file, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (tr_blobs_each(tr_buf_view(&file), put, &s, &err))
		return s.code ? s.code : tr_cli_fail(TR_CLI_EXIT_FILE, "%s is no file of approvals (%s)", path, err.detail);
	return report(c, s.orders, s.ready);
}

int tr_command_approve(struct tr_cli *c)
{
	const char *file = tr_cli_opt(c, TR_OPT_ORDERS), *submit = tr_cli_opt(c, TR_OPT_SUBMIT);
	tr_auto(tr_order_set_done) struct tr_order_set set = { 0 };
	tr_auto(sink_done) struct sink s = { .c = c };
	int rc;

	if (submit)
		return submit_file(c, submit);
	rc = check_keys(c);
	if (!rc)
		rc = file ? from_file(file, &set) : fetch(c, &set);
	if (!rc && file)
		return offline(c, &set);
	if (!rc)
		rc = is_of_here(c, &set);
	if (!rc)
		rc = ask(c, &set);
	if (!rc)
		rc = sign_all(c, &set, &s);
	return rc ? rc : report(c, s.orders, s.ready);
}
