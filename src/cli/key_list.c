/* SPDX-License-Identifier: Apache-2.0 */
/* `troth key list`: two kinds of keys in one table. Both kinds' rows are put into one form first. */
#include "cli/skey.h"

#include "base/clock.h"
#include "codec/text.h"

#define DAY_MS 86400000LL
#define OLD_DAYS 90

static const struct tr_col cols[] = {
	{ "KEY", "id", TR_CELL_HASH },		   { "NAME", "name", TR_CELL_TEXT },
	{ "ROLE", "role", TR_CELL_TEXT },	   { "STATE", "state", TR_CELL_STATE },
	{ "TYPE", "key_type", TR_CELL_TEXT },	   { "AGE (DAYS)", "age_days", TR_CELL_COUNT },
	{ "ROTATE", "rotation_due", TR_CELL_YES }, { "USES", "uses", TR_CELL_COUNT },
	{ "LAST USED", "last_used", TR_CELL_TIME }, { "AGENTS", "agents", TR_CELL_COUNT },
	{ "PRIVATE HALF", "where", TR_CELL_TEXT }, { "IN KEYSET", "published", TR_CELL_YES },
	{ "FROM", "not_before", TR_CELL_TIME },	   { "UNTIL", "until", TR_CELL_TIME },
};
#define DROP "key_type uses not_before until last_used published role where"

static void copy(struct tr_buf *b, tr_jnode row, const char *from, const char *to)
{
	tr_jnode v = tr_json_get(row, from);

	if (!v || tr_json_is_null(v))
		return;
	tr_buf_addf(b, ",\"%s\":", to);
	tr_json_dump(v, b);
}

static bool has_role(const struct tr_cli *c, tr_jnode row, const char *member)
{
	const char *want = tr_cli_opt(c, TR_OPT_ROLE);
	struct tr_view v = { 0 };

	return !want || (tr_json_str(tr_json_get(row, member), &v) && tr_view_is(v, want));
}

static void put_vkey(struct tr_buf *b, tr_jnode row)
{
	static const char *const same[] = { "id", "name", "state", "key_type", "age_days", "rotation_due", "uses", "last_used",
					    "agents", "not_before" };

	tr_buf_adds(b, "{\"where\":\"outside\"");
	for (size_t i = 0; i < TR_ARRAY_LEN(same); i++)
		copy(b, row, same[i], same[i]);
	copy(b, row, "use", "role");
	copy(b, row, "not_after", "until");
	tr_buf_adds(b, "}");
}

static void put_skey(struct tr_buf *b, tr_jnode row)
{
	static const char *const same[] = { "id", "name", "role", "state", "key_type", "uses", "published" };
	struct tr_view text = { 0 }, state = { 0 };
	int64_t since = 0, days;

	tr_buf_adds(b, "{\"x\":0");
	for (size_t i = 0; i < TR_ARRAY_LEN(same); i++)
		copy(b, row, same[i], same[i]);
	copy(b, row, "origin", "where");
	copy(b, row, "no_sign_after", "until");
	(void)tr_json_str(tr_json_get(row, "state"), &state);
	if (tr_json_str(tr_json_get(row, "created_at"), &text) && tr_rfc3339_get(text, &since)) {
		days = (tr_now_ms() - since) / DAY_MS;
		tr_buf_addf(b, ",\"age_days\":%lld,\"rotation_due\":%s", (long long)days,
			    days > OLD_DAYS && tr_view_is(state, "primary") ? "true" : "false");
	}
	tr_buf_adds(b, "}");
}

static void put_ids(const struct tr_cli *c, tr_jnode list, const char *role, struct tr_buf *b)
{
	for (size_t i = 0; i < tr_json_len(list); i++)
		if (has_role(c, tr_json_at(list, i), role)) {
			tr_out_cell(b, tr_json_get(tr_json_at(list, i), "id"), TR_CELL_TEXT, true, 0);
			tr_buf_adds(b, "\n");
		}
}

static void put_list(const struct tr_cli *c, tr_jnode list, const char *role, struct tr_buf *b)
{
	size_t shown = 0;

	for (size_t i = 0; i < tr_json_len(list); i++)
		if (has_role(c, tr_json_at(list, i), role)) {
			tr_buf_adds(b, shown++ ? "," : "");
			tr_json_dump(tr_json_at(list, i), b);
		}
}

static int table(const struct tr_cli *c, tr_jnode vkeys, tr_jnode skeys, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf j = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_free) tr_jnode *rows = calloc(tr_json_len(vkeys) + tr_json_len(skeys) + 1, sizeof(tr_jnode));
	struct tr_err err = { 0 };
	size_t n = 0;
	bool due = false;

	tr_buf_adds(&j, "[");
	for (size_t i = 0; i < tr_json_len(skeys); i++)
		if (has_role(c, tr_json_at(skeys, i), "role")) {
			tr_buf_adds(&j, n++ ? "," : "");
			put_skey(&j, tr_json_at(skeys, i));
		}
	for (size_t i = 0; i < tr_json_len(vkeys); i++)
		if (has_role(c, tr_json_at(vkeys, i), "use")) {
			tr_buf_adds(&j, n++ ? "," : "");
			put_vkey(&j, tr_json_at(vkeys, i));
		}
	tr_buf_adds(&j, "]");
	if (!rows || tr_buf_check(&j, &err) || tr_json_parse(tr_buf_view(&j), &doc, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	for (size_t i = 0; i < n; i++) {
		bool one = false;

		rows[i] = tr_json_at(tr_json_root(doc), i);
		due |= tr_json_bool(tr_json_get(rows[i], "rotation_due"), &one) && one;
	}
	tr_out_table(b, cols, TR_ARRAY_LEN(cols), rows, n, &(struct tr_out_look){ c->colour, tr_out_screen(), DROP, tr_now_ms() });
	if (n == 0)
		tr_buf_adds(b, "(none)\n");
	if (due)
		tr_buf_adds(b, "Keys marked ROTATE are active for over 90 days. Command keys: troth key rotate. Keys for binaries: add a\n"
			       "new one, sign releases with it, then retire the old one.\n");
	return TR_CLI_EXIT_OK;
}

static int show(struct tr_cli *c, const void *arg, bool redraw)
{
	tr_auto(tr_json_free) struct tr_json *v = NULL, *s = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_jnode vkeys, skeys;
	int status = 0, rc = tr_api_call(c, "GET", "/api/v1/verification-keys", tr_view(NULL, 0), &v);

	(void)arg;
	/* A server of before has no keys of its own. */
	if (!rc)
		rc = tr_api_try(c, "GET", "/api/v1/admin/keys", tr_view(NULL, 0), &status, &s);
	if (rc)
		return rc;
	vkeys = tr_json_get(tr_json_root(v), "verification_keys");
	skeys = status == 200 ? tr_json_get(tr_json_root(s), "keys") : NULL;
	if (!tr_json_is_array(vkeys))
		return tr_cli_fail(TR_CLI_EXIT_UNREACHABLE, "the server's answer is no list: is it of another version?");
	if (redraw)
		tr_buf_adds(&b, "\033[H\033[2J");
	if (c->json) {
		tr_buf_adds(&b, "{\"keys\":[");
		put_list(c, skeys, "role", &b);
		tr_buf_adds(&b, "],\"verification_keys\":[");
		put_list(c, vkeys, "use", &b);
		tr_buf_addf(&b, "],\"total\":%zu}\n", tr_json_len(vkeys) + tr_json_len(skeys));
	} else if (c->quiet) {
		put_ids(c, skeys, "role", &b);
		put_ids(c, vkeys, "use", &b);
	} else {
		rc = table(c, vkeys, skeys, &b);
	}
	return rc ? rc : tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

int tr_key_list(struct tr_cli *c)
{
	if (!tr_cli_word("--role", tr_cli_opt(c, TR_OPT_ROLE), "command ca log release fleet"))
		return TR_CLI_EXIT_USAGE;
	return tr_list_watch(c, show, NULL);
}
