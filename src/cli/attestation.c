/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions about claims: what was expected, what was seen, what follows. Verdicts about evidence are in verdict.c. */
#include "cli/verdict.h"

#include "appraise/verdict.h"
#include "base/clock.h"

#define PAGE_MAX 100 /* the server's maximum */

static int list(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "SEQ", "seq", TR_CELL_COUNT },	   { "WHEN", "time", TR_CELL_TIME },
		{ "NODE", "node_id", TR_CELL_TEXT },	   { "FORM", "form", TR_CELL_TEXT },
		{ "OUTCOME", "outcome", TR_CELL_STATE },   { "REASON", "reason", TR_CELL_TEXT },
		{ "TIER", "tier", TR_CELL_TEXT },	   { "BINARY", "binary_hash", TR_CELL_HASH },
		{ "VERSION", "version", TR_CELL_TEXT },	   { "VOUCHED BY", "vouched_by", TR_CELL_HASH },
		{ "FROM", "source", TR_CELL_TEXT },
	};
	const char *limit = tr_cli_opt(c, TR_OPT_LIMIT);
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_list l = { .member = "attestations", .cols = cols, .n = TR_ARRAY_LEN(cols), .limit = 20, .page = PAGE_MAX,
			     .drop = "form vouched_by binary_hash version source tier" };

	if (tr_cli_opt(c, TR_OPT_EVIDENCE))
		return tr_verdict_list(c);
	if (limit && (!tr_cli_number(limit, &l.limit) || l.limit == 0))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--limit takes a number, 1 or more");
	if (!tr_cli_word("--outcome", tr_cli_opt(c, TR_OPT_OUTCOME), "admitted admitted_audit refused"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_adds(&path, "/api/v1/attestations");
	tr_cli_query(&path, "match", tr_cli_opt(c, TR_OPT_NODE));
	tr_cli_query(&path, "outcome", tr_cli_opt(c, TR_OPT_OUTCOME));
	l.path = tr_buf_cstr(&path);
	return tr_list_run(c, &l);
}

/* A tier's name alone says little to who has not read the threat model. */
static const char *tier_words(struct tr_view name)
{
	enum tr_tier tier;

	if (!tr_tier_from_name(name, &tier))
		return "a tier that this program does not know; update it";
	switch (tier) {
	case TR_TIER_SELF_ASSERTED:
		return "self-asserted: the host's own word, signed by its key; root on that host can make it say anything";
	case TR_TIER_KERNEL: return "kernel: the kernel of the host measured it; root on that host cannot forge it, its kernel can";
	case TR_TIER_HARDWARE: return "hardware: a chip or the processor signed the measurement";
	default: return "none: nothing was proven";
	}
}

static void put_check(struct tr_buf *b, tr_jnode check, bool colour)
{
	static const struct tr_col cols[] = {
		{ "    expected:", "expected", TR_CELL_TEXT },
		{ "    seen:", "seen", TR_CELL_TEXT },
	};
	bool ok = false;
	struct tr_view word;

	(void)tr_json_bool(tr_json_get(check, "ok"), &ok);
	word = tr_view_str(ok ? "ok" : "FAILED");
	tr_buf_adds(b, "  ");
	if (colour)
		tr_buf_adds(b, tr_out_colour(word));
	tr_buf_addf(b, "%-8.*s", TR_VIEW_FMT(word));
	if (colour)
		tr_buf_adds(b, "\033[0m");
	tr_out_cell(b, tr_json_get(check, "check"), TR_CELL_TEXT, true, 0);
	tr_buf_adds(b, "\n");
	tr_out_lines(b, cols, TR_ARRAY_LEN(cols), check, false, 0);
}

static void put_verdict(struct tr_buf *b, tr_jnode a)
{
	struct tr_view outcome = { 0 }, slug = { 0 }, tier = { 0 };
	enum tr_reason reason;
	const struct tr_reason_info *info;
	bool known;

	(void)tr_json_str(tr_json_get(a, "outcome"), &outcome);
	(void)tr_json_str(tr_json_get(a, "reason"), &slug);
	(void)tr_json_str(tr_json_get(a, "tier"), &tier);
	known = tr_reason_from_slug(slug, &reason);
	info = tr_reason_info(known ? reason : TR_R_MALFORMED);
	if (tr_view_is(outcome, "admitted"))
		tr_buf_adds(b, "\nVerdict: admitted.\n");
	else if (tr_view_is(outcome, "admitted_audit"))
		tr_buf_adds(b, "\nVerdict: admitted only because the policy's mode is not enforce; enforce would refuse it.\n");
	else
		tr_buf_adds(b, "\nVerdict: refused.\n");
	if (!tr_view_is(outcome, "refused")) {
		tr_buf_addf(b, "Trust tier: %s.\n", tier_words(tier));
		if (tr_view_is(outcome, "admitted"))
			return;
	}
	tr_buf_adds(b, "Reason: ");
	tr_out_escape(b, known ? tr_view_str(info->title) : TR_VIEW_LIT("one that this program does not know; update it"));
	tr_buf_adds(b, " (");
	tr_out_escape(b, slug);
	tr_buf_addf(b, ").\n");
	if (known)
		tr_buf_addf(b, "What to do: %s\n", info->sentence);
}

static int explain(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "attestation", "seq", TR_CELL_COUNT },     { "when", "time", TR_CELL_TIME },
		{ "node", "node_id", TR_CELL_TEXT },	     { "from", "source", TR_CELL_TEXT },
		{ "form of claim", "form", TR_CELL_TEXT },   { "claim's own time", "claim_time", TR_CELL_TIME },
		{ "binary sha256", "binary_hash", TR_CELL_HASH }, { "version", "version", TR_CELL_TEXT },
		{ "vouched by key", "vouched_by", TR_CELL_HASH }, { "token", "token_id", TR_CELL_TEXT },
		{ "outcome", "outcome", TR_CELL_STATE },
	};
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_jnode a, checks;
	uint64_t seq;
	int rc;

	if (tr_is_verdict_id(c->args[0]))
		return tr_verdict_explain(c);
	if (!tr_cli_number(c->args[0], &seq))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "decisions about claims are named by their number, verdicts about evidence by 16 hex digits: see troth attestation list [--evidence]");
	tr_buf_addf(&path, "/api/v1/attestations/%llu", (unsigned long long)seq);
	rc = tr_api_send(c, "GET", &path, NULL, &answer);
	if (rc)
		return rc;
	a = tr_json_root(answer);
	if (c->json)
		return tr_out_json(a);
	tr_out_lines(&b, cols, TR_ARRAY_LEN(cols), a, c->colour, tr_now_ms());
	checks = tr_json_get(a, "checks");
	tr_buf_adds(&b, tr_json_len(checks) ? "\nChecks, in the order they were made:\n" : "\nNo check was reached.\n");
	for (size_t i = 0; i < tr_json_len(checks); i++)
		put_check(&b, tr_json_at(checks, i), c->colour);
	put_verdict(&b, a);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static const struct argp_option list_options[] = {
	{ "evidence", TR_OPT_EVIDENCE, 0, 0, "verdicts about evidence of TEEs and TPMs instead", 1 },
	{ "node", TR_OPT_NODE, "ID", 0, "only claims of this agent id", 1 },
	{ "outcome", TR_OPT_OUTCOME, "WORD", 0, "only admitted, admitted_audit or refused ones; with --evidence: verified or failed", 1 },
	{ "limit", 'n', "N", 0, "the newest N (default 20)", 1 },
	TR_CLI_WATCH,
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "list", NULL, 0, 0, "show the newest decisions about claims, or verdicts about evidence", list_options, list },
	{ "show", "ID", 1, 1, "show a verdict about evidence", NULL, tr_verdict_show },
	{ "explain", "SEQ|ID", 1, 1, "show each check of one decision or verdict, and what to do", NULL, explain },
	{ "replay", "ID", 1, 1,
	  "make a verdict about evidence again, here\v"
	  "Exit code 0: byte for byte the same; 1: another one.",
	  NULL, tr_verdict_replay },
};
const struct tr_noun tr_noun_attestation = { "attestation", "decisions about claims and evidence", verbs, TR_ARRAY_LEN(verbs) };
