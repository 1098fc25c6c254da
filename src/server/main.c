/* SPDX-License-Identifier: Apache-2.0 */
/* trothd: the control plane's command line. */
#include "base/log.h"
#include "crypto/hash.h"
#include "server/backup.h"
#include "server/config.h"
#include "server/init.h"
#include "server/key_import.h"
#include "server/role.h"
#include "server/supervisor.h"

#include <argp.h>
#include <netdb.h>

#define LIST_MAX 16
#define CONFIG_DEFAULT "/var/lib/troth/trothd.yaml"

const char *argp_program_version = "trothd " TROTH_VERSION;

struct options {
	const char *command, *role, *file; /* words */
	const char *name;
	const char *config, *dir, *trust_domain, *agents, *operators, *store, *store_password_file;
	struct tr_move move;
	const char *hosts[LIST_MAX + 1], *urls[LIST_MAX + 1];
	size_t n_hosts, n_urls;
	struct tr_config_pkcs11 pkcs11;
	char *folders[LIST_MAX], *environment[LIST_MAX];
};

static const char doc[] =
	"The control plane of Troth.\v"
	"Commands:\n"
	"  init           make a new installation: its own keys, store, configuration\n"
	"  run            start the control plane\n"
	"  check-config   say whether run would accept the configuration\n"
	"  check-sandbox  show that each role dies of a forbidden system call\n"
	"  renew-tls      issue a new server certificate for the same names\n"
	"  backup FILE    write the store into a new file, also while the server runs\n"
	"  restore FILE   fill an empty store from a backup, and fence it\n"
	"  store copy     move a stopped installation's store: --from, --to\n"
	"  key import FILE  take over the command key of an original installation\n"
	"                 (hex, mode 0600); with SQLite the server must be stopped\n"
	"\n"
	"Exit codes: 0 done, 1 failed (a sentence says why), 64 wrong usage.\n"
	"\n"
	"Example:\n"
	"  trothd init --trust-domain fleet.example --host control.fleet.example\n"
	"  trothd run --config /var/lib/troth/trothd.yaml\n";

enum { OPT_OPERATORS = 256, OPT_AGENTS, OPT_NAME, OPT_STORE, OPT_STORE_PASSWORD, OPT_FROM, OPT_TO,
       OPT_FROM_PASSWORD, OPT_TO_PASSWORD,
       OPT_P11_MODULE, OPT_P11_PIN, OPT_P11_CA, OPT_P11_COMMAND, OPT_P11_FOLDER, OPT_P11_ENV };

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "configuration file (default " CONFIG_DEFAULT ")", 0 },
	{ "dir", 'd', "FOLDER", 0, "init: folder of the new installation (default /var/lib/troth)", 0 },
	{ "trust-domain", 't', "NAME", 0, "init: SPIFFE trust domain, e.g. fleet.example", 0 },
	{ "host", 'H', "NAME", 0, "init, renew-tls: DNS name or address in the server certificate; repeatable. "
				  "localhost and 127.0.0.1 are always in it. renew-tls without it: the names "
				  "of the present certificate", 0 },
	{ "url", 'u', "URL", 0, "init: what agents are told, in order; repeatable (default https://HOST:PORT)", 0 },
	{ "agents", OPT_AGENTS, "ADDRESS", 0, "init: agent listener (default *:8443)", 0 },
	{ "operators", OPT_OPERATORS, "ADDRESS", 0, "init: operator listener (default 127.0.0.1:8440)", 0 },
	{ "store", OPT_STORE, "LOCATION", 0, "init: postgresql://USER@HOST/DATABASE (default a file in the folder)", 0 },
	{ "from", OPT_FROM, "LOCATION", 0, "store copy: where the store is, sqlite:/FILE or postgresql://…", 0 },
	{ "to", OPT_TO, "LOCATION", 0, "store copy: where it shall be; empty, or not there yet", 0 },
	{ "from-password-file", OPT_FROM_PASSWORD, "FILE", 0, "store copy: of --from", 0 },
	{ "to-password-file", OPT_TO_PASSWORD, "FILE", 0, "store copy: of --to", 0 },
	{ "store-password-file", OPT_STORE_PASSWORD, "FILE", 0, "init: holds the database user's password; full path", 0 },
	{ "pkcs11-module", OPT_P11_MODULE, "FILE", 0, "init: library of the token that holds keys; full path", 0 },
	{ "pkcs11-pin-file", OPT_P11_PIN, "FILE", 0, "init: holds its PIN, mode 0600; full path", 0 },
	{ "pkcs11-ca", OPT_P11_CA, "URI", 0, "init: the CA's key in it, e.g. pkcs11:token=NAME;object=NAME", 0 },
	{ "pkcs11-command", OPT_P11_COMMAND, "URI", 0, "init: the command key in it", 0 },
	{ "pkcs11-folder", OPT_P11_FOLDER, "FOLDER", 0, "init: where its library reads and locks files; repeatable", 0 },
	{ "pkcs11-env", OPT_P11_ENV, "NAME=VALUE", 0, "init: environment of its library; repeatable", 0 },
	{ "name", OPT_NAME, "NAME", 0, "key import: what people call the key (default imported)", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'c': o->config = arg; return 0;
	case 'd': o->dir = arg; return 0;
	case 't': o->trust_domain = arg; return 0;
	case OPT_AGENTS: o->agents = arg; return 0;
	case OPT_NAME: o->name = arg; return 0;
	case OPT_P11_MODULE: o->pkcs11.module = arg; return 0;
	case OPT_P11_CA: o->pkcs11.ca = arg; return 0;
	case OPT_P11_COMMAND: o->pkcs11.command = arg; return 0;
	case OPT_P11_PIN:
		if (*arg != '/')
			argp_error(state, "--pkcs11-pin-file takes a full path: trothd starts elsewhere");
		o->pkcs11.pin_file = arg;
		return 0;
	case OPT_P11_FOLDER:
		if (o->pkcs11.folders_count == LIST_MAX)
			argp_error(state, "at most %d --pkcs11-folder", LIST_MAX);
		o->folders[o->pkcs11.folders_count++] = arg;
		return 0;
	case OPT_P11_ENV:
		if (o->pkcs11.environment_count == LIST_MAX)
			argp_error(state, "at most %d --pkcs11-env", LIST_MAX);
		o->environment[o->pkcs11.environment_count++] = arg;
		return 0;
	case OPT_OPERATORS: o->operators = arg; return 0;
	case OPT_STORE: o->store = arg; return 0;
	case OPT_FROM: o->move.from = arg; return 0;
	case OPT_TO: o->move.to = arg; return 0;
	case OPT_FROM_PASSWORD: o->move.from_password_file = arg; return 0;
	case OPT_TO_PASSWORD: o->move.to_password_file = arg; return 0;
	case OPT_STORE_PASSWORD:
		if (*arg != '/')
			argp_error(state, "--store-password-file takes a full path: trothd starts elsewhere");
		o->store_password_file = arg;
		return 0;
	case 'H':
		if (o->n_hosts == LIST_MAX)
			argp_error(state, "at most %d --host", LIST_MAX);
		o->hosts[o->n_hosts++] = arg;
		return 0;
	case 'u':
		if (o->n_urls == LIST_MAX)
			argp_error(state, "at most %d --url", LIST_MAX);
		o->urls[o->n_urls++] = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!o->command)
			o->command = arg;
		else if (!o->role)
			o->role = arg;
		else if (!o->file && tr_view_is(tr_view_str(o->command), "key"))
			o->file = arg;
		else
			argp_usage(state);
		return 0;
	case ARGP_KEY_END:
		if (!o->command)
			argp_usage(state);
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static int done(enum tr_code rc, const struct tr_err *err)
{
	if (!rc)
		return 0;
	(void)fprintf(stderr, "trothd: %s\n        (%s)\n", err->pub, err->detail);
	return 1;
}

static void default_hosts(struct options *o)
{
	static char name[256];

	if (o->n_hosts == 0 && gethostname(name, sizeof(name) - 1) == 0 && name[0])
		o->hosts[o->n_hosts++] = name;
	for (int i = 0; i < 2; i++) {
		const char *always = i ? "127.0.0.1" : "localhost";
		bool there = false;

		for (size_t k = 0; k < o->n_hosts; k++)
			there |= tr_view_is(tr_view_str(o->hosts[k]), always);
		if (!there && o->n_hosts < LIST_MAX)
			o->hosts[o->n_hosts++] = always;
	}
}

static int init(struct options *o)
{
	static char url[512];
	struct tr_err err = { 0 };
	struct tr_init in = { .dir = o->dir ? o->dir : "/var/lib/troth", .trust_domain = o->trust_domain, .hosts = o->hosts,
			      .agents = o->agents ? o->agents : "*:8443",
			      .operators = o->operators ? o->operators : "127.0.0.1:8440", .urls = o->urls, .store = o->store, .store_password_file = o->store_password_file };
	const char *port = strrchr(in.agents, ':');

	if (!o->trust_domain) {
		(void)fprintf(stderr, "trothd init: --trust-domain is missing, e.g. --trust-domain fleet.example\n");
		return 64;
	}
	o->pkcs11.folders = o->folders;
	o->pkcs11.environment = o->environment;
	if (o->pkcs11.module || o->pkcs11.ca || o->pkcs11.command)
		in.pkcs11 = &o->pkcs11;
	default_hosts(o);
	if (o->n_urls == 0) {
		(void)snprintf(url, sizeof(url), "https://%s:%s", o->hosts[0], port ? port + 1 : "8443");
		o->urls[o->n_urls++] = url;
	}
	return done(tr_init(&in, &err), &err);
}

static bool is_whole_store(struct tr_view cmd)
{
	return tr_view_is(cmd, "backup") || tr_view_is(cmd, "restore") || tr_view_is(cmd, "store");
}

static int whole_store(const struct options *o, struct tr_view cmd)
{
	struct tr_err err = { 0 };

	if (tr_view_is(cmd, "store")) {
		if (!o->role || strcmp(o->role, "copy") != 0 || !o->move.from || !o->move.to) {
			(void)fprintf(stderr, "trothd store: write trothd store copy --from LOCATION --to LOCATION\n");
			return 64;
		}
		return done(tr_move_store(&o->move, &err), &err);
	}
	if (!o->role) {
		(void)fprintf(stderr, "trothd %s: name the file: trothd %s FILE\n", o->command, o->command);
		return 64;
	}
	return done(tr_view_is(cmd, "backup") ? tr_backup(o->config, o->role, &err) : tr_restore(o->config, o->role, &err), &err);
}

int main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "COMMAND", doc, NULL, NULL, NULL };
	struct options o = { .config = CONFIG_DEFAULT };
	struct tr_err err = { 0 };
	struct tr_view cmd;

	argp_err_exit_status = 64;
	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	cmd = tr_view_str(o.command);
	if (tr_view_is(cmd, "key")) {
		if (!o.file || !tr_view_is(tr_view_str(o.role), "import")) {
			(void)fprintf(stderr, "trothd key: the only word is import, and it wants a file: trothd key import FILE\n");
			return 64;
		}
		tr_log_init("supervisor", TR_LOG_WARN);
		return done(tr_crypto_init(&err) ? err.code : tr_key_import(o.config, o.file, o.name, &err), &err);
	}
	if (o.file || (o.role && !tr_view_starts(cmd, "role") && !is_whole_store(cmd))) {
		(void)fprintf(stderr, "trothd %s takes no further word, and got \"%s\"; see trothd --help\n", o.command, o.file ? o.file : o.role);
		return 64;
	}
	if (tr_view_is(cmd, "role") && o.role)
		return tr_role_main(o.role, o.config);
	if (tr_view_is(cmd, "role-probe") && o.role)
		return tr_role_probe(o.role, o.config);
	tr_log_init("supervisor", TR_LOG_INFO);
	if (tr_crypto_init(&err))
		return done(err.code, &err);
	if (tr_view_is(cmd, "init"))
		return init(&o);
	if (is_whole_store(cmd))
		return whole_store(&o, cmd);
	if (tr_view_is(cmd, "run"))
		return done(tr_supervisor_run(o.config, &err), &err);
	if (tr_view_is(cmd, "check-sandbox"))
		return done(tr_supervisor_probe(o.config, &err), &err);
	if (tr_view_is(cmd, "renew-tls")) {
		if (o.n_hosts)
			default_hosts(&o);
		return done(tr_init_renew_tls(o.config, o.hosts, &err), &err);
	}
	if (tr_view_is(cmd, "check-config")) {
		if (tr_supervisor_check(o.config, &err))
			return done(err.code, &err);
		(void)printf("%s is good\n", o.config);
		return 0;
	}
	(void)fprintf(stderr, "trothd: no command \"%s\"; see trothd --help\n", o.command);
	return 64;
}
