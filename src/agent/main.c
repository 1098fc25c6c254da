/* SPDX-License-Identifier: Apache-2.0 */
/* Command line of troth-agent: reads options, hands on to one function per command. */
#include "agent/agent.h"
#include "agent/attest.h"
#include "agent/image.h"
#include "agent/peer.h"
#include "agent/secretvm.h"
#include "agent/state.h"
#include "agent/tee_secretvm.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"

#include <argp.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define EXITS                                                                                                \
	"\vExit codes: 0 done; 1 usage; 2 refused by the server; 3 no server could be\n"                     \
	"reached; 4 a problem with the state folder or another local file; 5 wrong\n"                        \
	"server (its root or certificate is not the one that was pinned). See\n"                             \
	"troth-agent(8).\n"

enum opt {
	OPT_VERSION = 256,
	OPT_SERVER,
	OPT_TOKEN,
	OPT_TOKEN_FILE,
	OPT_ROOT,
	OPT_STATEMENT,
	OPT_ORIGINAL,
	OPT_FLEET_KEY,
	OPT_OFFSET,
	OPT_SAVE,
	OPT_REPLAY,
	OPT_ID,
	OPT_KEY_TYPE,
	OPT_DEBUG,
	OPT_RESET,
	OPT_BPF_DIRS,
	OPT_BPF_CONTENT,
	OPT_ROTATE_DAYS,
	OPT_STALE_HOURS,
	OPT_FOR,
	OPT_TYPE,
	OPT_TTL,
	OPT_VIA,
	OPT_ANSWERS,
	OPT_SOCKET,
	OPT_WAIT,
	OPT_LIMIT,
	OPT_ACK,
	OPT_TEE_SEED,
	OPT_TEE_KIND,
	OPT_TEE_PROGRAM,
	OPT_TEE_DEBUG,
	OPT_TEE_TCTI,
	OPT_SECRETVM_URL,
	OPT_SECRETVM_SCHEME,
	OPT_SECRETVM_QUOTE,
	OPT_PUBLIC_KEY,
	OPT_QUOTE,
	OPT_SIGN_URL,
	OPT_ENDPOINT,
	OPT_EVIDENCE_ENDPOINT,
	OPT_CAPABILITY
};

struct args {
	const char *id, *key_type, *token_file;
	struct tr_secret *token;
	struct tr_enroll_opts enroll; /* its state_dir is every command's */
	struct tr_configure_opts configure;
	const char *announce, *journal;
	struct tr_send_opts send;
	struct tr_receive_opts receive;
	const char *peer;
	const char *tee, *tee_arg; /* show, use PLATFORM, simulate-root DIR */
	struct tr_tee_settings tee_settings;
	struct tr_secretvm_opts secretvm;
	uint64_t minutes;
	bool json, debug;
};

static void keep_token(struct args *a, struct tr_view text, const struct argp_state *state)
{
	while (text.n &&
	       (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r' || text.p[text.n - 1] == ' '))
		text.n--;
	a->token = tr_secret_free(a->token);
	a->token = tr_secret_new(text.n + 1); /* zeroed: the text stays terminated */
	if (!a->token)
		argp_failure(state, TR_AGENT_EXIT_STATE, ENOMEM, "token");
	memcpy(tr_secret_p(a->token), text.p, text.n);
	a->enroll.token = (const char *)tr_secret_p(a->token);
}

static void token_from_file(struct args *a, const char *path, const struct argp_state *state)
{
	struct tr_buf text = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (tr_file_read(path, 4096, &text, &err))
		argp_failure(state, TR_AGENT_EXIT_STATE, 0, "--token-file: %s", err.detail);
	keep_token(a, tr_buf_view(&text), state);
	tr_wipe(text.p, text.cap);
	tr_buf_done(&text);
}

/* Whole, decimal, in range: "10m" is not ten. */
static int64_t whole(const char *text, const char *option, const char *unit, long long min, long long max,
		     const struct argp_state *state)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || *end || end == text || v < min || v > max)
		argp_error(state, "%s takes whole %s from %lld to %lld, not \"%s\"", option, unit, min, max,
			   text);
	return v;
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 's': a->enroll.state_dir = arg; return 0;
	case 'o':
		if (strcmp(arg, "json") != 0 && strcmp(arg, "text") != 0)
			argp_error(state, "-o takes text or json");
		a->json = strcmp(arg, "json") == 0;
		return 0;
	case OPT_ID: a->id = arg; return 0;
	case OPT_KEY_TYPE: a->key_type = arg; return 0;
	case OPT_DEBUG: a->debug = true; return 0;
	case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", arg); return EINVAL;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_enroll(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	struct tr_enroll_opts *e = &a->enroll;

	switch (key) {
	case OPT_SERVER: e->servers = arg; return 0;
	case OPT_TOKEN:
		keep_token(a, tr_view_str(arg), state);
		/* argv is world-readable in /proc: take it out as soon as possible. */
		memset(arg, 'x', strlen(arg));
		return 0;
	case OPT_TOKEN_FILE: a->token_file = arg; return 0;
	case OPT_ROOT: e->root = arg; return 0;
	case OPT_STATEMENT: e->statement = arg; return 0;
	case OPT_VERSION: e->version = arg; return 0;
	case OPT_ORIGINAL: e->original = true; return 0;
	case OPT_FLEET_KEY: e->fleet_key = arg; return 0;
	case OPT_OFFSET:
		e->claim_time_offset_s =
			whole(arg, "--claim-time-offset", "seconds", -315360000, 315360000, state);
		return 0;
	case OPT_SAVE: e->save_request = arg; return 0;
	case OPT_REPLAY: e->replay = arg; return 0;
	case OPT_RESET: e->reset_identity = true; return 0;
	case OPT_BPF_DIRS: e->bpf_dirs = arg; return 0;
	case OPT_BPF_CONTENT: e->bpf_content = arg; return 0;
	case ARGP_KEY_END:
		if (a->token_file)
			token_from_file(a, a->token_file, state);
		return 0;
	default: return parse_common(key, arg, state);
	}
}

static error_t parse_configure(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	struct tr_configure_opts *c = &a->configure;

	switch (key) {
	case ARGP_KEY_INIT: c->rotate_key_days = c->stale_key_hours = -1; return 0;
	case OPT_SERVER: c->servers = arg; return 0;
	case OPT_BPF_DIRS: c->bpf_dirs = arg; return 0;
	case OPT_BPF_CONTENT: c->bpf_content = arg; return 0;
	case OPT_ROTATE_DAYS:
		c->rotate_key_days = whole(arg, "--rotate-key-days", "days", 0, 36500, state);
		return 0;
	case OPT_STALE_HOURS:
		c->stale_key_hours = whole(arg, "--stale-key-hours", "hours", 1, TR_STALE_KEY_HOURS_MAX, state);
		return 0;
	default: return parse_common(key, arg, state);
	}
}

static error_t parse_send(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	struct tr_send_opts *s = &a->send;

	switch (key) {
	case OPT_TYPE: s->type = arg; return 0;
	case OPT_TTL: s->ttl_s = whole(arg, "--ttl", "seconds", 1, 86400, state); return 0;
	case OPT_VIA: s->via = arg; return 0;
	case OPT_ANSWERS: s->answers = arg; return 0;
	case OPT_SOCKET: s->socket = arg; return 0;
	case ARGP_KEY_ARG:
		if (s->to && s->file)
			argp_error(state, "one agent and one file, not also \"%s\"", arg);
		*(s->to ? &s->file : &s->to) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!s->to)
			argp_error(state, "send to which agent?");
		return 0;
	default: return parse_common(key, arg, state);
	}
}

static error_t parse_receive(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT: a->receive.limit = 16; return 0;
	case OPT_WAIT: a->receive.wait_s = whole(arg, "--wait", "seconds", 0, 60, state); return 0;
	case OPT_LIMIT: a->receive.limit = whole(arg, "--limit", "messages", 1, 64, state); return 0;
	case OPT_ACK: a->receive.ack = true; return 0;
	case OPT_SOCKET: a->receive.socket = arg; return 0;
	default: return parse_common(key, arg, state);
	}
}

static error_t parse_peers(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case OPT_SOCKET: a->receive.socket = arg; return 0;
	case ARGP_KEY_ARG:
		if (a->peer)
			argp_error(state, "one agent is enough, not also \"%s\"", arg);
		a->peer = arg;
		return 0;
	default: return parse_common(key, arg, state);
	}
}

static error_t parse_journal(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (a->journal || (strcmp(arg, "show") != 0 && strcmp(arg, "reset") != 0))
			argp_error(state, "journal show, or journal reset; not \"%s\"", arg);
		a->journal = arg;
		return 0;
	default: return parse_common(key, arg, state);
	}
}

static error_t parse_tee(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	struct tr_tee_settings *t = &a->tee_settings;

	switch (key) {
	case 'o':
		a->json = strcmp(arg, "json") == 0;
		if (!a->json && strcmp(arg, "text") != 0)
			argp_error(state, "output is text or json, not \"%s\"", arg);
		return 0;
	case OPT_TEE_SEED: t->seed = tr_view_str(arg); return 0;
	case OPT_TEE_KIND: t->sim_kind = tr_view_str(arg); return 0;
	case OPT_TEE_PROGRAM: t->sim_program = tr_view_str(arg); return 0;
	case OPT_TEE_DEBUG: t->sim_debug = true; return 0;
	case OPT_TEE_TCTI: t->tcti = tr_view_str(arg); return 0;
	case OPT_SECRETVM_URL: t->secretvm_url = tr_view_str(arg); return 0;
	case OPT_SECRETVM_SCHEME: t->secretvm_scheme = tr_view_str(arg); return 0;
	case OPT_SECRETVM_QUOTE: t->secretvm_quote = tr_view_str(arg); return 0;
	case ARGP_KEY_ARG:
		if (!a->tee)
			a->tee = arg;
		else if (!a->tee_arg)
			a->tee_arg = arg;
		else
			argp_error(state, "too many words: \"%s\"", arg);
		return 0;
	case ARGP_KEY_END:
		if (!a->tee || strcmp(a->tee, "show") == 0)
			return 0;
		if (strcmp(a->tee, "use") != 0 && strcmp(a->tee, "simulate-root") != 0)
			argp_error(state, "tee show, tee use PLATFORM, or tee simulate-root DIR; not \"%s\"", a->tee);
		if (!a->tee_arg)
			argp_error(state, "tee %s needs %s", a->tee, a->tee[0] == 'u' ? "a platform" : "a folder to make");
		return 0;
	default: return parse_common(key, arg, state);
	}
}

static error_t parse_secretvm(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	struct tr_secretvm_opts *o = &a->secretvm;

	switch (key) {
	case OPT_TYPE: o->type = arg; return 0;
	case OPT_PUBLIC_KEY: o->public_key = arg; return 0;
	case OPT_QUOTE: o->quote = arg; return 0;
	case OPT_SIGN_URL: o->sign_url = arg; return 0;
	case OPT_ENDPOINT: o->endpoint = arg; return 0;
	case OPT_EVIDENCE_ENDPOINT: o->attestation_endpoint = arg; return 0;
	case OPT_CAPABILITY:
		if (o->n_capabilities == TR_SECRETVM_CAPABILITIES_MAX)
			argp_error(state, "at most %d capabilities", TR_SECRETVM_CAPABILITIES_MAX);
		o->capabilities[o->n_capabilities++] = tr_view_str(arg);
		return 0;
	/* Server, token and root are told as to `enroll`. */
	default: return parse_enroll(key, arg, state);
	}
}

static error_t parse_announce(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case OPT_FOR: a->minutes = (uint64_t)whole(arg, "--for", "minutes", 1, 10080, state); return 0;
	case ARGP_KEY_ARG:
		if (a->announce)
			argp_error(state, "one word is enough, not also \"%s\"", arg);
		a->announce = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->announce)
			argp_error(state, "announce what? shutdown, reboot, update, restart or none");
		return 0;
	default: return parse_common(key, arg, state);
	}
}

#define OPTION_STATE                                                                                         \
	{                                                                                                    \
		"state", 's', "DIR", 0,                                                                      \
			"state folder (environment TROTH_AGENT_STATE; default " TR_AGENT_STATE_DEFAULT ")",  \
			1                                                                                    \
	}

static const struct argp_option init_options[] = {
	OPTION_STATE,
	{ "id", OPT_ID, "ID", 0,
	  "agent id: letters, digits, '.', '_', '-' (default: host name and 8 digits of the key)", 1 },
	{ "key-type", OPT_KEY_TYPE, "TYPE", 0, "ed25519 (default), p256 or rsa", 1 },
	{ 0 },
};

#define OPTIONS_BPF                                                                                          \
	{ "bpf-dirs",                                                                                        \
	  OPT_BPF_DIRS,                                                                                      \
	  "DIR[,DIR]",                                                                                       \
	  0,                                                                                                 \
	  "folders on bpffs whose pins are reported (default: /sys/fs/bpf/troth); \"off\" for none",         \
	  1 },                                                                                               \
	{                                                                                                    \
		"bpf-content", OPT_BPF_CONTENT, "PIN[,PIN]", 0,                                              \
			"maps, named below the mount, whose content is part of the report", 1                \
	}

static const struct argp_option enroll_options[] = {
	OPTION_STATE,
	{ "server", OPT_SERVER, "URL[,URL]", 0,
	  "https://host:port, tried in this order (default: those of the last time)", 1 },
	{ "token", OPT_TOKEN, "TOKEN", 0,
	  "enrolment token trt_…; other users may see it in the process list for a moment: prefer "
	  "--token-file or the "
	  "environment TROTH_TOKEN",
	  1 },
	{ "token-file", OPT_TOKEN_FILE, "FILE", 0, "file that holds the enrolment token", 1 },
	{ "root", OPT_ROOT, "HEX", 0, "root fingerprint to trust, where the token does not carry it", 1 },
	{ "statement", OPT_STATEMENT, "FILE", 0,
	  "release statement of the running binary (default: <binary>.release)", 1 },
	{ "version", OPT_VERSION, "V", 0,
	  "version to claim (environment AGENT_VERSION; default: the statement's, or this program's)", 1 },
	{ "reset-identity", OPT_RESET, 0, 0,
	  "make a fresh device key under the same agent id and begin a new chain; needs the token that "
	  "`troth agent "
	  "reset-identity` gave",
	  1 },
	OPTIONS_BPF,
	{ 0, 0, 0, 0, "The original claim, for servers that accept it:", 2 },
	{ "original", OPT_ORIGINAL, 0, 0,
	  "send the original claim, signed by a key that the fleet shares; gives no certificate", 2 },
	{ "attestation-key", OPT_FLEET_KEY, "FILE", 0,
	  "that private key (environment ATTESTATION_PRIVATE_KEY_PATH)", 2 },
	{ 0, 0, 0, 0, "For tests (a server that is right refuses what they send):", 3 },
	{ "claim-time-offset", OPT_OFFSET, "SECONDS", 0, "sign the claim with a clock that is this wrong",
	  3 },
	{ "save-request", OPT_SAVE, "FILE", 0, "keep the body of the registration request in FILE", 3 },
	{ "replay", OPT_REPLAY, "FILE", 0, "send the recorded body of FILE again, and nothing else", 3 },
	{ 0 },
};

static const struct argp_option run_options[] = {
	OPTION_STATE,
	{ "debug", OPT_DEBUG, 0, 0, "log every pulse", 1 },
	{ 0 },
};

static const struct argp_option announce_options[] = {
	OPTION_STATE,
	{ "for", OPT_FOR, "MIN", 0,
	  "minutes of silence to expect (default: reboot, update 15; restart 2; shutdown 1440)", 1 },
	{ 0 },
};

static const struct argp_option configure_options[] = {
	OPTION_STATE,
	{ "server", OPT_SERVER, "URL[,URL]", 0, "https://host:port, tried in this order", 1 },
	OPTIONS_BPF,
	{ "rotate-key-days", OPT_ROTATE_DAYS, "DAYS", 0,
	  "change the device key when it is this old; 0: only when asked", 1 },
	{ "stale-key-hours", OPT_STALE_HOURS, "HOURS", 0,
	  "obey nothing but reads when no server confirmed the keyset for so long: 1 to 720 (default 168)",
	  1 },
	{ 0 },
};

static const struct argp_option tee_options[] = {
	OPTION_STATE,
	{ "output", 'o', "FORMAT", 0, "of show: text (default) or json", 1 },
	{ "tcti", OPT_TEE_TCTI, "TCTI", 0, "tpm: how tpm2-tss reaches it (default: the kernel's device)", 1 },
	{ "secretvm-url", OPT_SECRETVM_URL, "URL", 0, "secretvm: its attestation server (default: this host's)", 1 },
	{ "secretvm-scheme", OPT_SECRETVM_SCHEME, "SCHEME", 0,
	  "secretvm: what its quote is bound to: sha256-spki-der (default), sha256-cert-der, raw-ed25519", 1 },
	{ "secretvm-quote", OPT_SECRETVM_QUOTE, "FILE", 0, "secretvm: the quote of its signing key, instead of fetching one", 1 },
	{ 0, 0, 0, 0, "For development (a server refuses a simulated TEE until a policy trusts its root by name):", 2 },
	{ "seed", OPT_TEE_SEED, "FILE", 0, "simulated: the file that `tee simulate-root` made", 2 },
	{ "kind", OPT_TEE_KIND, "KIND", 0, "simulated: tdx (default), sgx or snp", 2 },
	{ "program", OPT_TEE_PROGRAM, "HEX", 0, "simulated: its measurement, 48 bytes (default: zeros)", 2 },
	{ "debug-tee", OPT_TEE_DEBUG, 0, 0, "simulated: one that its host may read", 2 },
	{ 0 },
};

static const struct argp_option secretvm_options[] = {
	{ "server", OPT_SERVER, "URL", 0, "https://host:port of the hub", 1 },
	{ "id", OPT_ID, "ID", 0, "agent id to be known by", 1 },
	{ "type", OPT_TYPE, "TYPE", 0, "agent type, whose policy judges", 1 },
	{ "token-file", OPT_TOKEN_FILE, "FILE", 0, "file that holds an enrolment token (or TROTH_TOKEN): the first time", 1 },
	{ "root", OPT_ROOT, "HEX", 0, "root fingerprint, in the place of the token's: later", 1 },
	{ "public-key", OPT_PUBLIC_KEY, "FILE", 0, "the machine's docker_public_key_ed25519.pem", 1 },
	{ "quote", OPT_QUOTE, "FILE", 0, "its docker_attestation_ed25519.txt", 1 },
	{ "sign-url", OPT_SIGN_URL, "URL", 0, "its signing service (default: " TR_SECRETVM_SIGN ")", 1 },
	{ "endpoint", OPT_ENDPOINT, "URL", 0, "where peers reach the application", 1 },
	{ "attestation-endpoint", OPT_EVIDENCE_ENDPOINT, "URL", 0, "where peers get its evidence (default: --endpoint)", 1 },
	{ "capability", OPT_CAPABILITY, "WORD", 0, "what it can be found by; may be given again", 1 },
	{ 0 },
};

static const struct argp_option rotate_options[] = {
	OPTION_STATE,
	{ 0 },
};

static const struct argp_option status_options[] = {
	OPTION_STATE,
	{ "output", 'o', "FORMAT", 0, "text (default) or json", 1 },
	{ 0 },
};

#define OPTION_SOCKET                                                                                        \
	{                                                                                                    \
		"socket", OPT_SOCKET, "PATH", 0, "the agent's socket (default: agent.sock in the state folder)", 1 \
	}

static const struct argp_option send_options[] = {
	OPTION_STATE,
	OPTION_SOCKET,
	{ "type", OPT_TYPE, "TYPE", 0, "content type, for whoever reads it (default: application/octet-stream)", 1 },
	{ "ttl", OPT_TTL, "SECONDS", 0, "of no use afterwards: 1 to 86400 (default 3600)", 1 },
	{ "via", OPT_VIA, "WAY", 0, "auto (default: to its endpoint, else through the hub), direct or mailbox", 1 },
	{ "answers", OPT_ANSWERS, "ID", 0, "id of the message that this answers", 1 },
	{ "output", 'o', "FORMAT", 0, "text (default) or json", 1 },
	{ 0 },
};

static const struct argp_option receive_options[] = {
	OPTION_STATE,
	OPTION_SOCKET,
	{ "wait", OPT_WAIT, "SECONDS", 0, "for the first message: 0 (default) to 60", 1 },
	{ "limit", OPT_LIMIT, "N", 0, "messages at once: 1 to 64 (default 16)", 1 },
	{ "ack", OPT_ACK, 0, 0, "acknowledge what was shown: it is deleted here", 1 },
	{ "output", 'o', "FORMAT", 0, "text (default) or json", 1 },
	{ 0 },
};

static const struct argp_option peers_options[] = {
	OPTION_STATE,
	OPTION_SOCKET,
	{ "output", 'o', "FORMAT", 0, "text (default) or json", 1 },
	{ 0 },
};

static int command_send(struct args *a)
{
	a->send.state_dir = a->enroll.state_dir;
	a->send.json = a->json;
	return tr_agent_send(&a->send);
}

static int command_receive(struct args *a)
{
	a->receive.state_dir = a->enroll.state_dir;
	a->receive.json = a->json;
	return tr_agent_receive(&a->receive);
}

static int command_peers(struct args *a)
{
	return tr_agent_peers(a->enroll.state_dir, a->receive.socket, a->peer, a->json);
}

static int command_peer(struct args *a)
{
	return tr_agent_peer(a->enroll.state_dir, a->debug);
}

static int command_init(struct args *a)
{
	return tr_agent_init(a->enroll.state_dir, a->id, a->key_type);
}

static int command_enroll(struct args *a)
{
	return tr_agent_enroll(&a->enroll);
}

static int command_run(struct args *a)
{
	tr_log_init("agent", a->debug ? TR_LOG_DEBUG : TR_LOG_INFO);
	return tr_agent_run(a->enroll.state_dir);
}

static int command_status(struct args *a)
{
	return tr_agent_status(a->enroll.state_dir, a->json);
}

static int command_announce(struct args *a)
{
	return tr_agent_announce(a->enroll.state_dir, a->announce, a->minutes);
}

static int command_rotate(struct args *a)
{
	return tr_agent_rotate_key(a->enroll.state_dir);
}

static int command_configure(struct args *a)
{
	a->configure.state_dir = a->enroll.state_dir;
	return tr_agent_configure(&a->configure);
}

static int command_journal(struct args *a)
{
	return tr_agent_journal(a->enroll.state_dir, a->journal && strcmp(a->journal, "reset") == 0);
}

static int command_tee(struct args *a)
{
	if (!a->tee || strcmp(a->tee, "show") == 0)
		return tr_agent_tee_show(a->enroll.state_dir, a->json);
	if (strcmp(a->tee, "simulate-root") == 0) {
		char kind[8];

		(void)snprintf(kind, sizeof(kind), "%.*s", TR_VIEW_FMT(a->tee_settings.sim_kind));
		return tr_agent_tee_simulate_root(a->tee_arg, kind[0] ? kind : NULL);
	}
	a->tee_settings.platform = tr_view_str(a->tee_arg);
	return tr_agent_tee_use(a->enroll.state_dir, &a->tee_settings);
}

static int command_secretvm(struct args *a)
{
	struct tr_secretvm_opts *o = &a->secretvm;

	o->server = a->enroll.servers;
	o->token = a->enroll.token;
	o->root = a->enroll.root;
	o->id = a->id;
	return tr_agent_secretvm(o);
}

static int command_version(struct args *a)
{
	static struct tr_image im; /* paths of 4 KiB: not for the stack */
	struct tr_err err = { 0 };

	(void)a;
	if (tr_image_read(getenv("AGENT_BINARY_PATH"), &im, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	printf("troth-agent " TROTH_VERSION "\nimage sha256:");
	for (size_t i = 0; i < sizeof(im.hash); i++)
		printf("%02x", im.hash[i]);
	printf("\nfrom %s%s\n", im.path,
	       im.disk_missing	 ? " (no file there any more)"
	       : im.disk_differs ? " (the file on disk differs)"
				 : "");
	return TR_AGENT_EXIT_OK;
}

static const struct command {
	const char *name, *doc;
	int (*run)(struct args *a);
	struct argp argp;
} commands[] = {
	{ "init",
	  "make the state folder and the device key",
	  command_init,
	  { init_options, parse_common, NULL,
	    "Makes the state folder (0700) and the device key (0600). Never overwrites: "
	    "what exists is checked and used again." EXITS,
	    NULL, NULL, NULL } },
	{ "enroll",
	  "prove what runs here and get a certificate",
	  command_enroll,
	  { enroll_options, parse_enroll, NULL,
	    "Fetches the server's keyset, checks it against the root fingerprint in the token, "
	    "proves the running binary and gets this agent's certificate." EXITS,
	    NULL, NULL, NULL } },
	{ "run",
	  "send pulses until SIGTERM",
	  command_run,
	  { run_options, parse_common, NULL,
	    "Sends pulses and renews the certificate until SIGTERM, which ends it with a last "
	    "pulse that announces why; SIGHUP reads the state folder again." EXITS,
	    NULL, NULL, NULL } },
	{ "status",
	  "show identity, certificate and last pulse",
	  command_status,
	  { status_options, parse_common, NULL,
	    "Shows identity, certificate and how the last pulse went." EXITS, NULL, NULL, NULL } },
	{ "announce",
	  "say that silence is planned: shutdown, reboot, update, restart",
	  command_announce,
	  { announce_options, parse_announce, "shutdown|reboot|update|restart|none",
	    "Makes the running agent tell its server, at once and with every pulse until then, that a "
	    "silence is no "
	    "incident. `none` takes it back." EXITS,
	    NULL, NULL, NULL } },
	{ "rotate-key",
	  "change the device key of the running agent",
	  command_rotate,
	  { rotate_options, parse_common, NULL,
	    "Makes the running agent exchange its device key for a fresh one. Both are good for the server "
	    "until the "
	    "first pulse with the new one, and the chain of pulses goes on." EXITS,
	    NULL, NULL, NULL } },
	{ "configure",
	  "change what agent.json says about this host",
	  command_configure,
	  { configure_options, parse_configure, NULL,
	    "Changes settings of an agent that is not running; without options, shows them." EXITS, NULL,
	    NULL, NULL } },
	{ "journal",
	  "show what was ordered here, or begin anew after damage",
	  command_journal,
	  { rotate_options, parse_journal, "[show|reset]",
	    "Shows the commands that this agent was given and what became of them. `reset`, of an agent that "
	    "is "
	    "not running, "
	    "puts a damaged journal aside; commands issued until then are refused." EXITS,
	    NULL, NULL, NULL } },
	{ "tee",
	  "show, or choose, where evidence of this machine comes from",
	  command_tee,
	  { tee_options, parse_tee, "[show | use PLATFORM | simulate-root DIR]",
	    "Shows what this machine proves itself with and what the server made of it. `use`, of an agent that is not running, "
	    "names the source: auto, tdx, snp, tpm, secretvm, simulated or none; the environment TEE_PLATFORM comes first. "
	    "`simulate-root` makes a vendor of simulated TEEs for development." EXITS,
	    NULL, NULL, NULL } },
	{ "send",
	  "send a message to another agent",
	  command_send,
	  { send_options, parse_send, "AGENT [FILE]",
	    "Sends FILE, or what standard input gives, to another attested agent: sealed to it, so that nobody on the way reads or "
	    "changes it. Says the message's id and which way it went." EXITS,
	    NULL, NULL, NULL } },
	{ "receive",
	  "show messages of other agents",
	  command_receive,
	  { receive_options, parse_receive, NULL, "Shows messages that came and were not acknowledged." EXITS, NULL, NULL, NULL } },
	{ "peers",
	  "show what is known of other agents",
	  command_peers,
	  { peers_options, parse_peers, "[AGENT]",
	    "Shows the agents that this one has met, or asks for one and shows whether it is to be believed." EXITS, NULL, NULL,
	    NULL } },
	{ "peer",
	  "speak with other agents until SIGTERM (`run` starts this)",
	  command_peer,
	  { run_options, parse_common, NULL,
	    "Meets other agents as peer.json of the state folder says: sends and takes messages, and shows evidence to whoever "
	    "asks. `run` starts it by itself." EXITS,
	    NULL, NULL, NULL } },
	{ "secretvm",
	  "make an application of a SecretVM known to the hub",
	  command_secretvm,
	  { secretvm_options, parse_secretvm, NULL,
	    "Registers with the machine's quote and key, the request signed by its signing service, and prints the answer. It "
	    "keeps nothing; run it again before the attestation ends." EXITS,
	    NULL, NULL, NULL } },
	{ "version",
	  "show version and hash of the running image",
	  command_version,
	  { NULL, parse_common, NULL, "Shows version and hash of the running image." EXITS, NULL, NULL,
	    NULL } },
};

static void usage(FILE *to)
{
	fputs("Usage: troth-agent COMMAND [OPTION...]\n\n", to);
	for (size_t i = 0; i < TR_ARRAY_LEN(commands); i++)
		fprintf(to, "  %-12s%s\n", commands[i].name, commands[i].doc);
	fputs("\n`troth-agent COMMAND --help` shows a command's options.\n\n", to);
	fputs(&EXITS[1], to);
}

/* Small on purpose: an agent shares its host with the host's work. */
static void harden(void)
{
	const struct rlimit none = { 0, 0 };

	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_TRIM_THRESHOLD, 65536);
	(void)mallopt(M_MMAP_THRESHOLD, 65536);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)umask(077);
}

/* The token of the environment, taken out of it at once: children and /proc/self/environ keep nothing. */
static void token_from_env(struct args *a)
{
	char *v = getenv("TROTH_TOKEN");

	if (!v)
		return;
	if (*v)
		keep_token(a, tr_view_str(v), NULL);
	tr_wipe(v, strlen(v));
	(void)unsetenv("TROTH_TOKEN");
}

int main(int argc, char **argv)
{
	static char version[] = "version";
	struct args a = { 0 };
	const char *state = getenv("TROTH_AGENT_STATE");
	struct tr_err err = { 0 };

	harden();
	argp_err_exit_status = TR_AGENT_EXIT_USAGE;
	a.enroll.state_dir = state && *state ? state : TR_AGENT_STATE_DEFAULT;
	token_from_env(&a);
	tr_log_init("agent", TR_LOG_WARN);
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? TR_AGENT_EXIT_USAGE : TR_AGENT_EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0)
		argv[1] = version;
	for (size_t i = 0; i < TR_ARRAY_LEN(commands); i++) {
		char name[32];
		int rc;

		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		(void)snprintf(name, sizeof(name), "troth-agent %s", commands[i].name);
		argv[1] = name;
		if (argp_parse(&commands[i].argp, argc - 1, argv + 1, 0, NULL, &a))
			return TR_AGENT_EXIT_USAGE;
		if (tr_crypto_init(&err))
			return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
		rc = commands[i].run(&a);
		a.token = tr_secret_free(a.token);
		return rc;
	}
	fprintf(stderr, "troth-agent: no command \"%s\"\n", argv[1]);
	usage(stderr);
	return TR_AGENT_EXIT_USAGE;
}
