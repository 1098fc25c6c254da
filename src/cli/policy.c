/* SPDX-License-Identifier: Apache-2.0 */
/* What the server demands of claims. */
#include "cli/verdict.h"

#include <stdio.h>

static const struct setting {
	const char *name, *empty, *doc;
	bool clears; /* an empty value means "none" */
} settings[] = {
	{ "mode", "", "off, audit or enforce", false },
	{ "accept", "", "native, original or native,original", false },
	{ "hashes", "(none: whatever a release statement vouches for)", "sha256:… of allowed binaries, joined by commas", true },
	{ "min_version", "(any)", "lowest version allowed", true },
	{ "versions", "(any)", "the only versions allowed, joined by commas", true },
	{ "min_tier", "", "none, self-asserted, kernel or hardware", false },
};

static int print(struct tr_cli *c, tr_jnode policy)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (c->json)
		return tr_out_json(policy);
	tr_buf_addf(&b, "%-12s  %-13s  %s\n", "SETTING", "PINNED BY", "VALUE");
	for (size_t i = 0; i < TR_ARRAY_LEN(settings); i++) {
		const struct setting *s = &settings[i];
		tr_auto(tr_buf_done) struct tr_buf value = TR_BUF_INIT;
		struct tr_view by = { 0 };
		char name[32];

		(void)snprintf(name, sizeof(name), "%s_set_by", s->name);
		(void)tr_json_str(tr_json_get(policy, name), &by);
		tr_out_cell(&value, tr_json_get(policy, s->name), TR_CELL_TEXT, true, 0);
		tr_buf_addf(&b, "%-12s  %-13s  ", s->name, tr_view_is(by, "configuration") ? "configuration" : "-");
		if (value.n == 0)
			tr_buf_adds(&b, s->empty);
		/* One hash or version per line, below each other. */
		for (size_t k = 0; k < value.n; k++)
			if (value.p[k] == ',' && s->clears)
				tr_buf_addf(&b, "\n%29s", "");
			else
				tr_buf_add8(&b, value.p[k]);
		tr_buf_adds(&b, "\n");
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int show(struct tr_cli *c)
{
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	int rc = tr_api_call(c, "GET", "/api/v1/policy", tr_view(NULL, 0), &answer);

	return rc ? rc : print(c, tr_json_root(answer));
}

/* "mode=audit" as a member of the body. */
static int put(const char *text, struct tr_buf *body)
{
	const char *equals = strchr(text, '=');

	for (size_t i = 0; equals && i < TR_ARRAY_LEN(settings); i++) {
		const struct setting *s = &settings[i];
		size_t n = strlen(s->name);

		if (n != (size_t)(equals - text) || memcmp(text, s->name, n) != 0)
			continue;
		if (!equals[1] && !s->clears)
			return tr_cli_fail(TR_CLI_EXIT_USAGE, "%s cannot be empty: %s", s->name, s->doc);
		tr_cli_put(body, s->name, equals[1] ? equals + 1 : "-"); /* "-" clears (routes.c) */
		return TR_CLI_EXIT_OK;
	}
	(void)tr_cli_fail(TR_CLI_EXIT_USAGE, "\"%s\" is no setting; NAME=VALUE with one of", text);
	for (size_t i = 0; i < TR_ARRAY_LEN(settings); i++)
		fprintf(stderr, "  %-12s %s%s\n", settings[i].name, settings[i].doc,
			settings[i].clears ? "; empty: none" : "");
	return TR_CLI_EXIT_USAGE;
}

static int set(struct tr_cli *c)
{
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	int rc = TR_CLI_EXIT_OK;

	tr_buf_adds(&body, "{");
	for (unsigned i = 0; !rc && i < c->n_args; i++)
		rc = put(c->args[i], &body);
	tr_buf_adds(&body, "}");
	if (!rc)
		rc = tr_api_call(c, "PUT", "/api/v1/policy", tr_buf_view(&body), &answer);
	return rc || c->quiet ? rc : print(c, tr_json_root(answer));
}

static const struct tr_verb verbs[] = {
	{ "show", NULL, 0, 0, "show the policy and which settings the configuration pins", NULL, show },
	{ "set", "NAME=VALUE...", 1, TR_CLI_ARGS_MAX, "change settings: mode, accept, hashes, min_version, versions, min_tier",
	  NULL, set },
	{ "test", "FILE", 1, 1, "try an attestation policy on the fleet's evidence (troth attestation-policy test)", NULL,
	  tr_tee_policy_try },
};
const struct tr_noun tr_noun_policy = { "policy", "what is demanded of claims", verbs, TR_ARRAY_LEN(verbs) };
