/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/skey.h"

#include "base/clock.h"

#define NAMES_MAX 20

int tr_skey_find(struct tr_cli *c, const char *digits, bool may_miss, char ret_id[65], struct tr_json **ret_row)
{
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	size_t found = 0;
	tr_jnode keys;
	int status = 0, rc = tr_api_try(c, "GET", "/api/v1/admin/keys", tr_view(NULL, 0), &status, &answer);

	*ret_id = '\0';
	if (strncmp(digits, "sha256:", 7) == 0)
		digits += 7;
	if (rc)
		return rc;
	keys = status == 200 ? tr_json_get(tr_json_root(answer), "keys") : NULL;
	for (size_t i = 0; strlen(digits) >= 8 && i < tr_json_len(keys); i++) {
		struct tr_view id;

		if (!tr_json_str(tr_json_get(tr_json_at(keys, i), "id"), &id) || id.n != 64 || !tr_view_starts(id, digits))
			continue;
		found++;
		(void)snprintf(ret_id, 65, "%.*s", TR_VIEW_FMT(id));
	}
	if (found > 1)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "several signing keys begin with %s; give more digits", digits);
	if (!found && !may_miss)
		return tr_cli_fail(TR_CLI_EXIT_REFUSED, "the server has no signing key %s; see troth key list", digits);
	if (ret_row)
		*ret_row = TR_TAKE(answer);
	return TR_CLI_EXIT_OK;
}

int tr_skey_do(struct tr_cli *c, const char *id, const char *verb, const char *done)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, body = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	int rc;

	tr_buf_addf(&path, "/api/v1/admin/keys/%s/%s", id, verb);
	tr_buf_addf(&body, "{\"force\":%s", tr_cli_opt(c, TR_OPT_FORCE) ? "true" : "false");
	tr_cli_put(&body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	tr_buf_adds(&body, "}");
	rc = tr_api_send(c, "POST", &path, &body, &answer);
	if (rc || c->quiet)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	tr_buf_addf(&b, "key %.12s %s\n", id, done);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

int tr_skey_create(struct tr_cli *c)
{
	const char *role = tr_cli_opt(c, TR_OPT_ROLE);
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, body = TR_BUF_INIT, b = TR_BUF_INIT, id = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	int rc;

	tr_buf_adds(&path, "/api/v1/admin/keys");
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "role", role ? role : "command");
	tr_cli_put(&body, "name", tr_cli_opt(c, TR_OPT_NAME));
	tr_buf_adds(&body, "}");
	rc = tr_api_send(c, "POST", &path, &body, &answer);
	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	tr_out_cell(&id, tr_json_get(tr_json_root(answer), "id"), TR_CELL_TEXT, true, 0);
	if (c->quiet)
		tr_buf_addf(&b, "%s\n", tr_buf_cstr(&id));
	else
		tr_buf_addf(&b, "key %s\nis prepared: its private half never leaves the server's key process. It signs nothing before agents\n"
				"know it:\n  troth keyset prepare -o next --add-key %.12s\n", tr_buf_cstr(&id), tr_buf_cstr(&id));
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

/* ---- adoption ---- */

static void adoption_path(const char *id, struct tr_view cursor, struct tr_buf *path)
{
	char text[80];

	tr_buf_addf(path, "/api/v1/admin/keys/%s/adoption?limit=1000", id);
	(void)snprintf(text, sizeof(text), "%.*s", TR_VIEW_FMT(cursor));
	if (cursor.n)
		tr_cli_query(path, "cursor", text);
}

/* The list holds those that are not heard, too: only what could adopt it and has not is waited for. */
static bool is_heard(tr_jnode agent)
{
	struct tr_view v;

	return tr_json_str(tr_json_get(agent, "reach"), &v) && (tr_view_is(v, "live") || tr_view_is(v, "late"));
}

static void put_names(tr_jnode agents, struct tr_buf *b, uint64_t *n)
{
	for (size_t i = 0; i < tr_json_len(agents) && *n < NAMES_MAX; i++) {
		if (!is_heard(tr_json_at(agents, i)))
			continue;
		tr_buf_adds(b, *n ? ", " : "");
		tr_out_cell(b, tr_json_get(tr_json_at(agents, i), "id"), TR_CELL_TEXT, true, 0);
		++*n;
	}
}

int tr_skey_behind(struct tr_cli *c, const char *id, struct tr_adopted *ret, struct tr_buf *names)
{
	struct tr_adopted a = { 0 };
	char cursor[80] = "";
	uint64_t n = 0;

	do {
		tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
		tr_auto(tr_json_free) struct tr_json *answer = NULL;
		struct tr_view next = { 0 };
		tr_jnode root;
		int rc;

		adoption_path(id, tr_view_str(cursor), &path);
		rc = tr_api_send(c, "GET", &path, NULL, &answer);
		if (rc)
			return rc;
		root = tr_json_root(answer);
		if (!tr_json_int(tr_json_get(root, "behind"), &a.behind) || !tr_json_int(tr_json_get(root, "adopted"), &a.adopted) ||
		    a.behind < 0 || a.adopted < 0)
			return tr_cli_fail(TR_CLI_EXIT_UNREACHABLE, "the server's answer about adoption is none: is it of another version?");
		(void)tr_json_int(tr_json_get(root, "unreachable"), &a.unreachable);
		if (a.behind)
			put_names(tr_json_get(root, "agents"), names, &n);
		(void)tr_json_str(tr_json_get(root, "next"), &next);
		(void)snprintf(cursor, sizeof(cursor), "%.*s", TR_VIEW_FMT(next));
	} while (*cursor && a.behind && n < NAMES_MAX && n < (uint64_t)a.behind);
	if ((uint64_t)a.behind > n && n)
		tr_buf_addf(names, " and %llu more", (unsigned long long)((uint64_t)a.behind - n));
	*ret = a;
	return TR_CLI_EXIT_OK;
}

static int show_adoption(struct tr_cli *c, const void *id, bool redraw)
{
	static const struct tr_col lines[] = {
		{ "named since keyset", "named_since", TR_CELL_COUNT },
		{ "keyset in force", "epoch", TR_CELL_COUNT },	{ "know the key", "adopted", TR_CELL_COUNT },
		{ "heard, not yet", "behind", TR_CELL_COUNT },	{ "not heard", "unreachable", TR_CELL_COUNT },
	};
	static const struct tr_col cols[] = {
		{ "AGENT", "id", TR_CELL_TEXT }, { "KEYSET", "keyset_epoch", TR_CELL_COUNT }, { "REACH", "reach", TR_CELL_STATE },
	};
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_auto(tr_free) tr_jnode *rows = NULL;
	tr_jnode root, agents;
	size_t n;
	int rc;

	adoption_path(id, tr_view(NULL, 0), &path);
	rc = tr_api_send(c, "GET", &path, NULL, &answer);
	if (rc)
		return rc;
	root = tr_json_root(answer);
	if (c->json)
		return tr_out_json(root);
	agents = tr_json_get(root, "agents");
	n = tr_json_len(agents);
	rows = calloc(n + 1, sizeof(*rows));
	if (!rows)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	for (size_t i = 0; i < n; i++)
		rows[i] = tr_json_at(agents, i);
	if (redraw)
		tr_buf_adds(&b, "\033[H\033[2J");
	tr_out_lines(&b, lines, TR_ARRAY_LEN(lines), root, c->colour, tr_now_ms());
	if (n) {
		tr_buf_adds(&b, "\nWithout it:\n");
		tr_out_table(&b, cols, TR_ARRAY_LEN(cols), rows, n,
			     &(struct tr_out_look){ c->colour, tr_out_screen(), "reach", tr_now_ms() });
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

int tr_skey_adoption(struct tr_cli *c)
{
	char id[65];
	int rc;

	if (!tr_cli_id(c->args[0], "key id"))
		return TR_CLI_EXIT_USAGE;
	rc = tr_skey_find(c, c->args[0], false, id, NULL);
	return rc ? rc : tr_list_watch(c, show_adoption, id);
}

int tr_skey_promote(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf names = TR_BUF_INIT;
	struct tr_adopted a = { 0 };
	char id[65];
	int rc;

	if (!tr_cli_id(c->args[0], "key id") || (tr_cli_opt(c, TR_OPT_FORCE) && !tr_cli_reason(c)))
		return TR_CLI_EXIT_USAGE;
	rc = tr_skey_find(c, c->args[0], false, id, NULL);
	if (!rc)
		rc = tr_skey_do(c, id, "promote", "is the primary key: everything is signed with it from now on");
	/* Names are what people need when it was refused because of agents. */
	if (rc == TR_CLI_EXIT_REFUSED && tr_skey_behind(c, id, &a, &names) == TR_CLI_EXIT_OK && a.behind)
		fprintf(stderr, "  agents without it: %s\n", tr_buf_cstr(&names));
	return rc;
}
