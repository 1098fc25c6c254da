/* SPDX-License-Identifier: Apache-2.0 */
/* Finds noun and verb, reads options into struct tr_cli, runs the verb. */
#include <stdio.h>
#include <sys/resource.h>

#include "cli/api.h"
#include "crypto/hash.h"

#define EXITS                                                                                                      \
	"Exit codes: 0 done; 1 refused by the server; 2 the server cannot be reached;\n"                           \
	"3 not logged in; 4 a problem with a local file; 5 another server than the\n"                              \
	"pinned one; 64 usage. Of commands that were waited for: 10 refused,\n"                                    \
	"11 failed, 12 unknown, 13 expired, 14 cancelled; 15 not yet. Of evidence: 16\n"                          \
	"good as far as asked, but not all was asked. See troth(1).\n"

static const struct tr_noun *const nouns[] = { &tr_noun_login,	   &tr_noun_token,   &tr_noun_agent,
					       &tr_noun_command,
					       &tr_noun_attestation, &tr_noun_attestation_policy,
					       &tr_noun_key,	   &tr_noun_keyset,
					       &tr_noun_operator, &tr_noun_release,
					       &tr_noun_policy,	   &tr_noun_audit,   &tr_noun_alert,
					       &tr_noun_event,   &tr_noun_maintenance, &tr_noun_status,
					       &tr_noun_quote,	   &tr_noun_collateral };

static const struct argp_option common[] = {
	{ "output", 'o', "FORMAT", 0, "table (default) or json", 2 },
	{ "json", TR_OPT_JSON, 0, 0, "the same as -o json", 2 },
	{ "quiet", 'q', 0, 0, "only what a script needs: a new token, the ids of a list", 2 },
	{ "profile", TR_OPT_PROFILE, "FILE", 0, "the saved login (environment TROTH_PROFILE)", 2 },
	{ 0 },
};

/* ---- options ---- */

/* Fractions are for watching, nowhere else. */
static uint64_t watch_ms(const char *text, const struct argp_state *state)
{
	char *end;
	double s = 2;

	if (text) {
		s = strtod(text, &end);
		if (end == text || *end || !(s >= 0.1 && s <= 3600))
			argp_error(state, "--watch takes seconds from 0.1 to 3600, not \"%s\"", text);
	}
	return (uint64_t)(s * 1000);
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct tr_cli *c = state->input;

	switch (key) {
	case 'o':
		if (strcmp(arg, "json") != 0 && strcmp(arg, "table") != 0)
			argp_error(state, "-o takes table or json");
		c->json = strcmp(arg, "json") == 0;
		return 0;
	case TR_OPT_JSON: c->json = true; return 0;
	case 'q': c->quiet = true; return 0;
	case TR_OPT_PROFILE: c->profile = arg; return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_verb(int key, char *arg, struct argp_state *state)
{
	struct tr_cli *c = state->input;

	if (key == ARGP_KEY_INIT) {
		state->child_inputs[0] = c;
		return 0;
	}
	if (key == ARGP_KEY_ARG) {
		if (c->n_args == TR_CLI_ARGS_MAX)
			argp_error(state, "too many arguments");
		c->args[c->n_args++] = arg;
		return 0;
	}
	if (key == TR_OPT_WATCH)
		c->watch_ms = watch_ms(arg, state);
	/* The short forms, where a verb's table has one. */
	key = key == 'n' ? TR_OPT_LIMIT : key == 'f' ? TR_OPT_FOLLOW : key == 'o' ? TR_OPT_FILE : key;
	if (key < TR_OPT_FIRST || key >= TR_OPT_PROFILE)
		return ARGP_ERR_UNKNOWN;
	if (c->n_given == TR_CLI_GIVEN_MAX)
		argp_error(state, "too many options");
	c->opt[key - TR_OPT_FIRST] = arg ? arg : "";
	c->given[c->n_given].opt = (enum tr_opt)key;
	c->given[c->n_given++].text = arg ? arg : "";
	return 0;
}

static void read_verb(struct tr_cli *c, const struct tr_noun *noun, const struct tr_verb *v, int argc, char **argv)
{
	static const struct argp common_argp = { common, parse_common, NULL, NULL, NULL, NULL, NULL };
	const struct argp_child children[] = { { &common_argp, 0, NULL, 0 }, { 0 } };
	tr_auto(tr_buf_done) struct tr_buf doc = TR_BUF_INIT;
	struct argp argp = { v->options, parse_verb, v->args, NULL, children, NULL, NULL };
	char name[64];

	(void)snprintf(name, sizeof(name), "troth %s%s%s", noun->name, *v->name ? " " : "", v->name);
	/* What comes before the first \v stands above the options; a second one would be printed as it is. */
	tr_buf_addf(&doc, "%s%s" EXITS, v->doc, strchr(v->doc, '\v') ? "\n\n" : "\v");
	argp.doc = tr_buf_cstr(&doc);
	argv[0] = name;
	if (argp_parse(&argp, argc, argv, 0, NULL, c))
		exit(TR_CLI_EXIT_USAGE);
	if (c->n_args < v->min_args || c->n_args > v->max_args) {
		fprintf(stderr, "%s: %s\n", name,
			c->n_args < v->min_args ? "an argument is missing" : "too many arguments");
		argp_help(&argp, stderr, ARGP_HELP_USAGE | ARGP_HELP_SEE, name);
		exit(TR_CLI_EXIT_USAGE);
	}
}

/* ---- help ---- */

static void first_line(FILE *to, const char *name, const char *args, const char *doc)
{
	char left[64];

	(void)snprintf(left, sizeof(left), "%s%s%s", name, args && *args ? " " : "", args ? args : "");
	fprintf(to, "  %-26s %.*s\n", left, (int)strcspn(doc, "\n\v"), doc);
}

static void noun_help(FILE *to, const struct tr_noun *n)
{
	fprintf(to, "Usage: troth %s VERB [OPTION...]\n%s\n\n", n->name, n->doc);
	for (size_t i = 0; i < n->n; i++)
		first_line(to, n->verbs[i].name, n->verbs[i].args, n->verbs[i].doc);
	fprintf(to, "\n`troth %s VERB --help` shows a verb's options.\n", n->name);
}

static void help(FILE *to)
{
	fputs("Usage: troth [OPTION...] NOUN VERB [OPTION...]\nThe command line of a Troth control plane.\n\n", to);
	for (size_t i = 0; i < TR_ARRAY_LEN(nouns); i++) {
		const struct tr_noun *n = nouns[i];

		first_line(to, n->name, NULL, n->doc);
		for (size_t k = 0; *n->verbs[0].name && k < n->n; k++)
			fprintf(to, "%s%s%s", k ? ", " : "    ", n->verbs[k].name, k + 1 == n->n ? "\n" : "");
	}
	first_line(to, "version", NULL, "show the version");
	fputs("\nOptions of all commands:\n"
	      "  -o, --output=table|json    tables for people (default), or what the API answered\n"
	      "      --json                 the same as -o json\n"
	      "  -q, --quiet                only what a script needs: a new token, the ids of a list\n"
	      "      --profile=FILE         the saved login to use (environment TROTH_PROFILE)\n\n"
	      "`troth NOUN --help` shows its verbs, `troth NOUN VERB --help` a verb's options.\n\n" EXITS, to);
}

/* Options in front of the noun; stops at the noun. */
static error_t parse_front(int key, char *arg, struct argp_state *state)
{
	struct tr_cli *c = state->input;

	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = c; return 0;
	case '?': help(stdout); exit(TR_CLI_EXIT_OK);
	case 'V': puts("troth " TROTH_VERSION); exit(TR_CLI_EXIT_OK);
	case ARGP_KEY_ARG:
		c->n_args = (unsigned)state->next - 1; /* borrowed for a moment: where the noun stands */
		c->args[0] = arg;
		state->next = state->argc;
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static int find_noun(struct tr_cli *c, int argc, char **argv)
{
	static const struct argp_option options[] = { { "help", '?', 0, 0, "", 0 }, { "version", 'V', 0, 0, "", 0 }, { 0 } };
	static const struct argp common_argp = { common, parse_common, NULL, NULL, NULL, NULL, NULL };
	const struct argp_child children[] = { { &common_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = { options, parse_front, NULL, NULL, children, NULL, NULL };
	int at;

	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_HELP, NULL, c))
		exit(TR_CLI_EXIT_USAGE);
	at = c->args[0] ? (int)c->n_args : argc;
	c->args[0] = NULL;
	c->n_args = 0;
	return at;
}

/* ---- running ---- */

static int run(struct tr_cli *c, const struct tr_verb *v)
{
	struct tr_err err = { 0 };
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	int rc;

	c->colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && term && strcmp(term, "dumb") != 0;
	if (tr_crypto_init(&err) || tr_client_global_init(&err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	rc = v->run(c);
	c->api = tr_api_free(c->api);
	return rc;
}

static int run_noun(struct tr_cli *c, const struct tr_noun *n, int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : NULL;

	if (!*n->verbs[0].name) {
		read_verb(c, n, &n->verbs[0], argc, argv);
		return run(c, &n->verbs[0]);
	}
	if (!verb || strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0) {
		noun_help(verb ? stdout : stderr, n);
		return verb ? TR_CLI_EXIT_OK : TR_CLI_EXIT_USAGE;
	}
	for (size_t i = 0; i < n->n; i++)
		if (strcmp(verb, n->verbs[i].name) == 0) {
			read_verb(c, n, &n->verbs[i], argc - 1, argv + 1);
			return run(c, &n->verbs[i]);
		}
	fprintf(stderr, "troth: %s has no verb \"%s\"\n", n->name, verb);
	noun_help(stderr, n);
	return TR_CLI_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };
	static struct tr_cli c;
	int at;

	/* The operator's token is in memory. */
	(void)setrlimit(RLIMIT_CORE, &none);
	argp_err_exit_status = TR_CLI_EXIT_USAGE;
	at = find_noun(&c, argc, argv);
	if (at == argc || strcmp(argv[at], "help") == 0) {
		help(at == argc ? stderr : stdout);
		return at == argc ? TR_CLI_EXIT_USAGE : TR_CLI_EXIT_OK;
	}
	if (strcmp(argv[at], "version") == 0) {
		puts("troth " TROTH_VERSION);
		return TR_CLI_EXIT_OK;
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(nouns); i++)
		if (strcmp(argv[at], nouns[i]->name) == 0)
			return run_noun(&c, nouns[i], argc - at, argv + at);
	fprintf(stderr, "troth: no command \"%s\"\n", argv[at]);
	help(stderr);
	return TR_CLI_EXIT_USAGE;
}
