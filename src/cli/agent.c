/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet: who is in, who is heard, who must go, and what an operator says about one agent. */
#include "cli/api.h"

#include "base/clock.h"

#define REACHES "never live late missed lost announced"

static int list(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "AGENT", "id", TR_CELL_TEXT },	     { "VERDICT", "verdict", TR_CELL_STATE },
		{ "LAST SEEN", "last_seen", TR_CELL_TIME },  { "PARTITION", "partition", TR_CELL_TEXT },
		{ "REACH", "reachability", TR_CELL_STATE },  { "CLOCK", "clock", TR_CELL_STATE },
		{ "INTEGRITY", "integrity", TR_CELL_STATE }, { "VERSION", "version", TR_CELL_TEXT },
		{ "BINARY", "running_hash", TR_CELL_HASH },  { "BEATS", "heartbeats", TR_CELL_COUNT },
		{ "STATE", "state", TR_CELL_STATE },	     { "TIER", "tier", TR_CELL_TEXT },
		{ "FROM", "source", TR_CELL_TEXT },
	};
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	if (!tr_cli_word("--state", tr_cli_opt(c, TR_OPT_STATE), "active revoked removed") ||
	    !tr_cli_word("--verdict", tr_cli_opt(c, TR_OPT_VERDICT), TR_CLI_VERDICTS) ||
	    !tr_cli_word("--reach", tr_cli_opt(c, TR_OPT_REACH), REACHES))
		return TR_CLI_EXIT_USAGE;
	tr_buf_adds(&path, "/api/v1/agents?limit=500");
	tr_cli_query(&path, "state", tr_cli_opt(c, TR_OPT_STATE));
	tr_cli_query(&path, "partition", tr_cli_opt(c, TR_OPT_PARTITION));
	tr_cli_query(&path, "verdict", tr_cli_opt(c, TR_OPT_VERDICT));
	tr_cli_query(&path, "reach", tr_cli_opt(c, TR_OPT_REACH));
	return tr_list_run(c, &(struct tr_list){ .path = tr_buf_cstr(&path), .member = "agents", .cols = cols,
						 .n = TR_ARRAY_LEN(cols),
						 .drop = "source tier heartbeats running_hash state version clock integrity" });
}

static int show(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "agent", "id", TR_CELL_TEXT },
		{ "verdict", "verdict", TR_CELL_STATE },
		{ "state", "state", TR_CELL_STATE },
		{ "last seen", "last_seen", TR_CELL_TIME },
		{ "reachability", "reachability", TR_CELL_STATE },
		{ "authenticity", "authenticity", TR_CELL_STATE },
		{ "clock", "clock", TR_CELL_STATE },
		{ "integrity", "integrity", TR_CELL_STATE },
		{ "configuration", "config", TR_CELL_STATE },
		{ "updating", "updating", TR_CELL_TEXT },
		{ "maintenance", "in_maintenance", TR_CELL_YES },
		{ "quarantined", "quarantined_at", TR_CELL_TIME },
		{ "asks for orders", "waits_for_commands", TR_CELL_YES },
		{ "partition", "partition", TR_CELL_TEXT },
		{ "type", "agent_type", TR_CELL_TEXT },
		{ "pulses", "heartbeats", TR_CELL_COUNT },
		{ "every (s)", "interval_s", TR_CELL_COUNT },
		{ "heard from", "source", TR_CELL_TEXT },
		{ "clock skew (ms)", "skew_ms", TR_CELL_COUNT },
		{ "round trip (ms)", "rtt_ms", TR_CELL_COUNT },
		{ "beats lost (ppm)", "loss_ppm", TR_CELL_COUNT },
		{ "lost after (s)", "lost_after_s", TR_CELL_COUNT },
		{ "restarts", "restarts", TR_CELL_COUNT },
		{ "running now", "running_hash", TR_CELL_HASH },
		{ "known good", "good_hash", TR_CELL_HASH },
		{ "binary unchanged", "binary_unchanged", TR_CELL_YES },
		{ "expected update", "expected_hash", TR_CELL_HASH },
		{ "expected until", "expected_until", TR_CELL_TIME },
		{ "version", "version", TR_CELL_TEXT },
		{ "BPF snapshot", "bpf_status", TR_CELL_TEXT },
		{ "LSM supervisor", "lsm", TR_CELL_TEXT },
		{ "enrolled", "enrolled_at", TR_CELL_TIME },
		{ "enrolled from", "enrolled_from", TR_CELL_TEXT },
		{ "enrolment", "epoch", TR_CELL_COUNT },
		{ "by token", "token_id", TR_CELL_TEXT },
		{ "form of claim", "form", TR_CELL_TEXT },
		{ "admission", "admission", TR_CELL_STATE },
		{ "trust tier", "tier", TR_CELL_TEXT },
		{ "release", "release_name", TR_CELL_TEXT },
		{ "admitted version", "admitted_version", TR_CELL_TEXT },
		{ "platform", "platform", TR_CELL_TEXT },
		{ "admitted sha256", "binary_hash", TR_CELL_HASH },
		{ "vouched by key", "vouched_by", TR_CELL_HASH },
		{ "device key", "key_id", TR_CELL_HASH },
		{ "key type", "key_type", TR_CELL_TEXT },
		{ "next key", "next_key_id", TR_CELL_HASH },
		{ "next key until", "next_until", TR_CELL_TIME },
		{ "certificate", "cert_serial", TR_CELL_TEXT },
		{ "certificate ends", "cert_not_after", TR_CELL_TIME },
		{ "ended", "ended_at", TR_CELL_TIME },
		{ "reason", "end_reason", TR_CELL_TEXT },
	};
	static const struct tr_col health[] = {
		{ "load (1/1000)", "load_milli", TR_CELL_COUNT },
		{ "memory (MiB)", "mem_total_mib", TR_CELL_COUNT },
		{ "memory free", "mem_free_mib", TR_CELL_COUNT },
		{ "disk (MiB)", "disk_total_mib", TR_CELL_COUNT },
		{ "disk free", "disk_free_mib", TR_CELL_COUNT },
		{ "host up (s)", "uptime_s", TR_CELL_COUNT },
		{ "agent RSS (KiB)", "agent_rss_kib", TR_CELL_COUNT },
		{ "agent CPU (ms)", "agent_cpu_ms", TR_CELL_COUNT },
	};
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	int rc;

	if (!tr_cli_id(c->args[0], "agent id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/agents/%s", c->args[0]);
	rc = tr_api_send(c, "GET", &path, NULL, &answer);
	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	tr_out_lines(&b, cols, TR_ARRAY_LEN(cols), tr_json_root(answer), c->colour, tr_now_ms());
	tr_agent_put_proof(&b, tr_json_root(answer), c->colour);
	tr_buf_adds(&b, "\nAs the host says of itself:\n");
	tr_out_lines(&b, health, TR_ARRAY_LEN(health), tr_json_get(tr_json_root(answer), "health"), false, 0);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int revoke_one(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;

	if (!tr_cli_id(c->args[0], "agent id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/agents/%s/revoke", c->args[0]);
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	tr_buf_adds(&body, "}");
	return tr_api_do(c, "POST", &path, &body, "agent", "is revoked: its certificate and key are refused from now on");
}

static int remove_agent(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	if (!tr_cli_id(c->args[0], "agent id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/agents/%s", c->args[0]);
	tr_cli_query(&path, "reason", tr_cli_opt(c, TR_OPT_REASON));
	return tr_api_do(c, "DELETE", &path, NULL, "agent", "is removed; its id is never given to another");
}

/* POST /agents/{id}/what with the reason, and the hash and minutes of expect. */
static int say(struct tr_cli *c, const char *what, struct tr_buf *body, const char *done)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	tr_buf_addf(&path, "/api/v1/agents/%s/%s", c->args[0], what);
	tr_cli_put(body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	tr_buf_adds(body, "}");
	return tr_api_do(c, "POST", &path, body, "agent", done);
}

static int expect(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	const char *hash = tr_cli_opt(c, TR_OPT_HASH), *minutes = tr_cli_opt(c, TR_OPT_MINUTES);
	uint8_t bytes[32];
	uint64_t n;

	if (!tr_cli_id(c->args[0], "agent id") || !tr_cli_reason(c))
		return TR_CLI_EXIT_USAGE;
	if (!hash || !tr_cli_fingerprint(hash, bytes))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--hash is needed: sha256: and the 64 digits of the new binary's hash");
	if (minutes && (!tr_cli_number(minutes, &n) || n == 0))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--minutes takes a number, 1 or more");
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "hash", hash);
	if (minutes)
		tr_cli_put_number(&body, "minutes", n);
	return say(c, "expect", &body, "may change its binary to this one; any other stays an alert");
}

static int accept_now(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;

	if (!tr_cli_id(c->args[0], "agent id") || !tr_cli_reason(c))
		return TR_CLI_EXIT_USAGE;
	tr_buf_adds(&body, "{");
	return say(c, "accept", &body, "is taken as good as it is now");
}

static void put(struct tr_buf *b, tr_jnode n, enum tr_cell kind)
{
	tr_out_cell(b, n, kind, kind == TR_CELL_TEXT, tr_now_ms());
}

static int reset_identity(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_jnode a;
	int rc;

	if (!tr_cli_id(c->args[0], "agent id") || !tr_cli_reason(c))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/agents/%s/reset-identity", c->args[0]);
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	tr_buf_adds(&body, "}");
	rc = tr_api_send(c, "POST", &path, &body, &answer);
	if (rc)
		return rc;
	a = tr_json_root(answer);
	if (c->json)
		return tr_out_json(a);
	put(&b, tr_json_get(a, "token"), TR_CELL_TEXT);
	tr_buf_adds(&b, "\n");
	if (!c->quiet) {
		tr_buf_addf(&b, "\nIt enrols %s again, once, with a new key, and nobody else; it ends ", c->args[0]);
		put(&b, tr_json_get(a, "expires_at"), TR_CELL_TIME);
		tr_buf_adds(&b, ". It is shown only now.\nUntil then nothing changes: a quarantine stays, the old key stays.\n"
				"\nFind out first which of the two hosts is yours, and how the key got out. On that host:\n");
		for (size_t i = 0; i < tr_json_len(tr_json_get(a, "commands")); i++) {
			tr_buf_adds(&b, "  ");
			put(&b, tr_json_at(tr_json_get(a, "commands"), i), TR_CELL_TEXT);
			tr_buf_adds(&b, "\n");
		}
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static const struct argp_option list_options[] = {
	{ "verdict", TR_OPT_VERDICT, "WORD", 0, "only those of this verdict: ok, late, lost, forked, ...", 1 },
	{ "reach", TR_OPT_REACH, "WORD", 0, "only never, live, late, missed, lost or announced ones", 1 },
	{ "state", TR_OPT_STATE, "STATE", 0, "only active, revoked or removed ones", 1 },
	{ "partition", TR_OPT_PARTITION, "NAME", 0, "only those of this partition", 1 },
	TR_CLI_WATCH,
	{ 0 },
};
static const struct argp_option reason_options[] = {
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept with the agent and in the audit log", 1 },
	{ 0 },
};
static const struct argp_option why_options[] = {
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept in the audit log; needed", 1 },
	{ 0 },
};
static const struct argp_option expect_options[] = {
	{ "hash", TR_OPT_HASH, "SHA256", 0, "of the binary that will run, with or without sha256: in front", 1 },
	{ "minutes", TR_OPT_MINUTES, "N", 0, "how long it may take (default 60)", 1 },
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept in the audit log; needed", 1 },
	{ 0 },
};
static const struct argp_option watch_options[] = {
	{ "interval", TR_OPT_INTERVAL, "SECONDS", 0, "ask every SECONDS (default 2)", 1 },
	{ "verdict", TR_OPT_VERDICT, "WORD", 0, "only changes from or to this verdict", 1 },
	{ 0 },
};
static const struct argp_option events_options[] = {
	{ "kind", TR_OPT_KIND, "WORD", 0, "only of this kind: verdict_changed, replay, forked, ...", 1 },
	{ "limit", 'n', "N", 0, "the newest N (default 20)", 1 },
	TR_CLI_WATCH,
	{ 0 },
};
static const struct argp_option bpf_options[] = {
	{ "request", TR_OPT_REQUEST, 0, 0, "ask the agent for the list with its next beat, instead of showing it", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "list", NULL, 0, 0, "show the fleet\nExample: troth agent list --verdict lost --partition lab", list_options, list },
	{ "show", "ID", 1, 1, "show everything about one agent", NULL, show },
	{ "explain", "ID", 1, 1,
	  "why this verdict: each check, what was expected and seen, what to do\nExample: troth agent explain web-1", NULL,
	  tr_agent_explain },
	{ "watch", NULL, 0, 0,
	  "print each change of a verdict, event and alert as it happens\nExample: troth agent watch --verdict lost",
	  watch_options, tr_agent_watch },
	{ "events", "ID", 1, 1, "what was recorded about one agent\nExample: troth agent events web-1 --kind replay -n 5",
	  events_options, tr_agent_events },
	{ "bpf", "ID", 1, 1, "its BPF programs and maps as last accepted", bpf_options, tr_agent_bpf },
	{ "expect", "ID", 1, 1,
	  "announce an update: its binary may change to this hash\n"
	  "Example: troth agent expect web-1 --hash sha256:9f86... --minutes 30 --reason \"release 1.3\"",
	  expect_options, expect },
	{ "accept", "ID", 1, 1,
	  "take what runs now as good: image, BPF snapshot, restored state\n"
	  "Example: troth agent accept web-1 --reason \"hotfix, ticket 812\"", why_options, accept_now },
	{ "reset-identity", "ID", 1, 1,
	  "let a forked or lost identity enrol again with a new key\n"
	  "Example: troth agent reset-identity web-1 --reason \"key copied with a disk image\"", why_options, reset_identity },
	{ "revoke", "ID", 1, 1, "refuse this agent and its key from now on", reason_options, revoke_one },
	{ "remove", "ID", 1, 1, "revoke it and take it out of the fleet; the id stays used", reason_options, remove_agent },
};
const struct tr_noun tr_noun_agent = { "agent", "the agents of the fleet", verbs, TR_ARRAY_LEN(verbs) };
