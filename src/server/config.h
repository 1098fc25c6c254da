/* SPDX-License-Identifier: Apache-2.0 */
/* trothd.yaml: read once per process at its start, by the supervisor to check it and by each role for what it needs.
 * Unknown keys, unknown modes and wrong types are errors with a line number. Environment names of BA-8 override the
 * file; what file or environment sets is pinned: the API refuses to change it. */
#ifndef TR_SERVER_CONFIG_H
#define TR_SERVER_CONFIG_H

#include "appraise/policy.h"

struct tr_config_listen {
	char *agents, *operators; /* "host:port"; "*" for every address */
};

struct tr_config_tls {
	char *certificate, *key; /* PEM files */
};

struct tr_config_attestation {
	char *mode;              /* off, audit, enforce; NULL: set by API, enforce until then */
	char **accept;           /* native, original */
	unsigned accept_count;
	char *public_key_path;   /* fleet key of original claims */
	char *expected_hash;     /* "sha256:…": pins */
	char *min_version;
	char **versions;
	unsigned versions_count;
	char *min_tier;
};

struct tr_config_limits {
	unsigned agent_connections, operator_connections, connections_per_source;
	unsigned header_seconds, body_seconds, idle_seconds;
	unsigned registrations_in_flight;
};

struct tr_config_clock {
	char *source;            /* kernel: synchronised when the kernel says so; trusted: the operator vouches for it */
};

struct tr_config_webhook {
	char *url, *secret_file;
	char *ca_file;        /* PEM; NULL: the system's */
	unsigned allow_plain; /* 0 or 1: http:// to another host than this one */
};

/* Who is told of alerts. A sink that is not named does not exist. */
struct tr_config_alerts {
	struct tr_config_webhook *webhook;
	char *syslog;             /* "udp://host:514", "tcp://host:601", "unix:/dev/log" */
	unsigned syslog_enterprise; /* the number behind the @ of structured data */
	unsigned journald;        /* 0 or 1 */
	char *journald_socket;
	char *external_url;       /* where people reach this server, for links in webhooks */
	unsigned escalate_minutes;
};

/* Keys in a token. NULL: none. */
struct tr_config_pkcs11 {
	char *module;         /* full path of the token's library */
	char *pin_file;       /* mode 0600; NULL: the token asks for no PIN */
	char *command, *ca;   /* "pkcs11:token=…;object=…" (RFC 7512); NULL: that key is elsewhere */
	char **folders;       /* where the library reads and locks files while it runs; nothing else is opened to it */
	unsigned folders_count;
	char **environment;   /* "NAME=value": most libraries are told so where their configuration is */
	unsigned environment_count;
};

/* What clients of the original designs are offered besides. */
struct tr_config_compat {
	char *original_commands; /* off, sign: orders are shown in the original's form v3 too */
};

struct tr_config {
	char *trust_domain;
	char *state;             /* folder; relative paths below are inside it */
	char *store;             /* "sqlite:troth.db" or "postgresql://user@host/database?…" */
	char *store_password_file; /* of the database user; NULL: none */
	char **urls;             /* what agents are told, in order */
	unsigned urls_count;
	unsigned fronts;         /* 0: one per core, at most 8 */
	unsigned certificate_hours; /* lifetime of agent certificates */
	unsigned heartbeat_seconds;
	unsigned event_days;     /* events older than that are deleted */
	unsigned command_days;   /* the same of commands that are over */
	unsigned command_wait_agents; /* with more agents than that, none waits on an open connection for its commands */
	char *log_level;         /* error, warn, info, debug */
	struct tr_config_listen *listen;
	struct tr_config_tls *tls;
	struct tr_config_attestation *attestation;
	struct tr_config_limits *limits;
	struct tr_config_alerts *alerts; /* never NULL */
	struct tr_config_clock *clock;
	struct tr_config_pkcs11 *pkcs11; /* NULL: no token */
	struct tr_config_compat *compat; /* never NULL */
	char *path;              /* of this file */
};

/* Reads, applies the environment, fills defaults, checks every value. */
TR_RC tr_config_load(const char *path, struct tr_config **ret, struct tr_err *err);
struct tr_config *tr_config_free(struct tr_config *c);
TR_DEFINE_AUTO(struct tr_config *, tr_config_free)

/* name resolved against the state folder, unless it is absolute. */
void tr_config_path(const struct tr_config *c, const char *name, char *buf, size_t len);
/* Reads a small file of the installation. secret: mode 0600 is demanded. */
TR_RC tr_config_read(const struct tr_config *c, const char *name, bool secret, struct tr_buf *ret, struct tr_err *err);
/* Where the store is, for tr_store_open: may end in a password, so it is wiped after use and never shown. */
TR_RC tr_config_store_location(const struct tr_config *c, struct tr_buf *ret, struct tr_err *err);
/* The store is reached over a socket, not in the state folder. */
bool tr_config_store_remote(const struct tr_config *c);
/* The same by itself, for an installation that has no configuration yet. password_file: NULL, or absolute. */
TR_RC tr_store_location(const char *store, const char *password_file, struct tr_buf *ret, struct tr_err *err);
TR_RC tr_store_location_check(const char *store, struct tr_err *err);
/* Whatever the kernel says of it, the operator says that the server's clock is right. */
bool tr_config_clock_trusted(const struct tr_config *c);
/* Is what it says possible? Also for a section that no configuration has yet. */
TR_RC tr_config_check(const struct tr_config *c, struct tr_err *err);
TR_RC tr_config_pkcs11_check(const struct tr_config_pkcs11 *p, struct tr_err *err);
TR_RC tr_config_wrong(struct tr_err *err, const char *pub, const char *what, const char *value);
bool tr_config_signs_original(const struct tr_config *c); /* compat.original_commands: sign */
unsigned tr_config_fronts(const struct tr_config *c);

#endif
