/* SPDX-License-Identifier: Apache-2.0 */
/* The program `troth`: one file per noun, each a table of verbs. main.c reads options by the verb's table into
 * struct tr_cli and calls its function, which answers with the exit code. */
#ifndef TR_CLI_CLI_H
#define TR_CLI_CLI_H

#include <argp.h>

#include "base/buf.h"
#include "codec/json.h"

/* Documented in troth(1): never renumber. */
enum tr_exit {
	TR_CLI_EXIT_OK = 0,
	TR_CLI_EXIT_REFUSED = 1,     /* the server understood and said no */
	TR_CLI_EXIT_UNREACHABLE = 2, /* no answer, or none that makes sense */
	TR_CLI_EXIT_LOGIN = 3,       /* no saved login, or the server does not take it any more */
	TR_CLI_EXIT_FILE = 4,        /* a local file: missing, unreadable, does not verify */
	TR_CLI_EXIT_PIN = 5,         /* another server than the pinned one */
	/* What became of a command that was waited for; of several the one that needs people most. */
	TR_CLI_EXIT_CMD_REFUSED = 10,
	TR_CLI_EXIT_CMD_FAILED = 11,
	TR_CLI_EXIT_CMD_UNKNOWN = 12,
	TR_CLI_EXIT_CMD_EXPIRED = 13,
	TR_CLI_EXIT_CMD_CANCELLED = 14,
	TR_CLI_EXIT_NOT_YET = 15,    /* waited long enough, or something has to be done first */
	TR_CLI_EXIT_NOT_ASKED = 16,  /* of evidence: what was asked is good, but not everything was asked */
	TR_CLI_EXIT_USAGE = 64,
};

/* Options of all verbs. Text as typed until the verb reads it; an option without a value holds "". */
enum tr_opt {
	TR_OPT_FIRST = 0x100,
	TR_OPT_TOKEN_FILE = TR_OPT_FIRST, TR_OPT_ROOT,
	TR_OPT_USES, TR_OPT_TTL, TR_OPT_PARTITION, TR_OPT_TYPE, TR_OPT_NOTE,
	TR_OPT_STATE, TR_OPT_REASON, TR_OPT_FORCE, TR_OPT_WATCH,
	TR_OPT_NODE, TR_OPT_OUTCOME, TR_OPT_LIMIT, TR_OPT_FOLLOW,
	TR_OPT_NAME, TR_OPT_USE, TR_OPT_NOT_BEFORE, TR_OPT_NOT_AFTER,
	TR_OPT_KEY, TR_OPT_VERSION, TR_OPT_PLATFORM, TR_OPT_COUNTER, TR_OPT_EXPIRES, TR_OPT_FILE, TR_OPT_BPF,
	TR_OPT_VERDICT, TR_OPT_REACH, TR_OPT_INTERVAL, TR_OPT_KIND, TR_OPT_HASH, TR_OPT_MINUTES, TR_OPT_REQUEST,
	TR_OPT_ALL, TR_OPT_SEVERITY, TR_OPT_FOR, TR_OPT_FROM, TR_OPT_UNTIL,
	TR_OPT_ROLE, TR_OPT_WAIT, TR_OPT_YES, TR_OPT_PREVIOUS, TR_OPT_ADD_KEY, TR_OPT_RETIRE, TR_OPT_DROP, TR_OPT_REVOKE,
	TR_OPT_ADD_OPERATOR, TR_OPT_REMOVE_OPERATOR, TR_OPT_ADD_RELEASE, TR_OPT_ADD_CONFIG, TR_OPT_ADD_CA, TR_OPT_ADD_ROOT,
	TR_OPT_REMOVE_ROOT, TR_OPT_THRESHOLD,
	TR_OPT_AGENT, TR_OPT_SECONDS, TR_OPT_TEXT, TR_OPT_IMAGE, TR_OPT_SUBMIT,
	TR_OPT_ORDERS, TR_OPT_BATCH,
	TR_OPT_FAULT, TR_OPT_ROOT_SEED, TR_OPT_REPORT_DATA, TR_OPT_STATUS, TR_OPT_DEBUG, TR_OPT_PRODUCT, TR_OPT_VLEK,
	TR_OPT_COLLATERAL, TR_OPT_POLICY, TR_OPT_TIME, TR_OPT_NONCE, TR_OPT_CASE, TR_OPT_OUT, TR_OPT_CERTS, TR_OPT_CHALLENGE,
	TR_OPT_PUBLIC_KEY, TR_OPT_SIGNATURE, TR_OPT_AK, TR_OPT_PCRS, TR_OPT_EVENT_LOG, TR_OPT_IMA, TR_OPT_WARN,
	TR_OPT_EVIDENCE,
	TR_OPT_PROFILE, TR_OPT_JSON, /* common ones: last */
	TR_OPT_END
};

#define TR_CLI_ARGS_MAX 256
#define TR_CLI_GIVEN_MAX 1100

struct tr_api;

struct tr_cli {
	const char *opt[TR_OPT_END - TR_OPT_FIRST]; /* the last of each */
	struct {
		enum tr_opt opt;
		const char *text;
	} given[TR_CLI_GIVEN_MAX]; /* all of them in order, for those that may come more than once */
	size_t n_given;
	const char *args[TR_CLI_ARGS_MAX];
	unsigned n_args;
	bool json, quiet, colour;
	const char *profile; /* path; NULL: the default one */
	uint64_t watch_ms;   /* 0: show once */
	struct tr_api *api;  /* opened on first use */
};

static inline const char *tr_cli_opt(const struct tr_cli *c, enum tr_opt o)
{
	return c->opt[o - TR_OPT_FIRST];
}

/* The next value of an option that may come more than once, NULL after the last; *at begins at 0. */
const char *tr_cli_next(const struct tr_cli *c, enum tr_opt o, size_t *at);

struct tr_verb {
	const char *name;
	const char *args; /* for the usage line, "ID"; NULL: none */
	unsigned min_args, max_args;
	const char *doc;  /* first line: what it does; the rest only in its own help */
	const struct argp_option *options; /* NULL: the common ones only */
	int (*run)(struct tr_cli *c);
};

struct tr_noun {
	const char *name, *doc;
	const struct tr_verb *verbs;
	size_t n; /* one verb without a name: the noun is the command */
};

extern const struct tr_noun tr_noun_login, tr_noun_token, tr_noun_agent, tr_noun_attestation, tr_noun_key,
	tr_noun_release, tr_noun_policy, tr_noun_audit, tr_noun_alert, tr_noun_maintenance, tr_noun_status, tr_noun_event,
	tr_noun_keyset, tr_noun_operator, tr_noun_command, tr_noun_quote, tr_noun_collateral,
	tr_noun_attestation_policy;

/* Verbs of `agent` that live in files of their own. */
int tr_agent_explain(struct tr_cli *c); /* explain.c */
int tr_agent_bpf(struct tr_cli *c);
int tr_agent_events(struct tr_cli *c);
int tr_agent_watch(struct tr_cli *c); /* watch.c */

/* Lists take it; main.c knows the key. */
#define TR_CLI_WATCH                                                                                               \
	{ "watch", TR_OPT_WATCH, "SECONDS", OPTION_ARG_OPTIONAL,                                                   \
	  "show again every SECONDS (default 2) until interrupted", 1 }

/* As --verdict takes them; the order is the fold's, worst first (fleet/axes.h). */
#define TR_CLI_VERDICTS                                                                                            \
	"revoked forked isolated unknown_binary bpf_mismatch lsm_down restored conflict lost missed clock_desync "  \
	"clock_unstable late expected_update announced pending unknown ok"

/* "troth: …" on stderr (output.c); returns code. */
int tr_cli_fail(int code, const char *fmt, ...) TR_PRINTF(2, 3);
/* The error's public sentence and its detail. */
int tr_cli_err(int code, const struct tr_err *err);

/* ---- values.c: text as people type it ---- */

/* "90s", "15m", "1h", "7d", "2w"; a bare number is seconds. Whole numbers only. */
bool tr_cli_duration(const char *text, uint64_t *ret_s);
bool tr_cli_number(const char *text, uint64_t *ret);
/* RFC 3339, a date ("2026-12-31", its first moment in UTC), "now", or a duration from now ("30d"). */
bool tr_cli_time(const char *text, int64_t now_ms, int64_t *ret_ms);
/* 64 digits, with or without "sha256:" in front. */
bool tr_cli_fingerprint(const char *text, uint8_t ret[32]);
/* ,"name":"value" when value is not NULL; the first one leaves the comma out. */
void tr_cli_put(struct tr_buf *b, const char *name, const char *value);
void tr_cli_put_number(struct tr_buf *b, const char *name, uint64_t value);
/* ?name=value or &name=value, percent-encoded; nothing when value is NULL. */
void tr_cli_query(struct tr_buf *b, const char *name, const char *value);
/* Is it one of the words, joined by blanks, or NULL? Prints what would be when not. */
bool tr_cli_word(const char *option, const char *text, const char *words);
/* --reason, which the audit log must have. Prints the refusal itself when it is missing. */
bool tr_cli_reason(const struct tr_cli *c);
/* Asks on the terminal whether to go on; only "yes" is yes. --yes answers for people who are not there: without it and
 * without a terminal the refusal is printed. */
bool tr_cli_confirm(const struct tr_cli *c, const char *question);
/* Is it fit to stand in a path? Prints the refusal itself when not. */
bool tr_cli_id(const char *text, const char *what);

#endif
