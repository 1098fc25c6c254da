/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include "base/file.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>

#define OPT CYAML_FLAG_OPTIONAL
#define STR(member, T) CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_POINTER | OPT, T, member, 1, CYAML_UNLIMITED)
#define NUM(member, T) CYAML_FIELD_UINT(#member, OPT, T, member)
#define MAP(member, T, fields) CYAML_FIELD_MAPPING_PTR(#member, CYAML_FLAG_POINTER | OPT, T, member, fields)
#define TRUTH(member, T) \
	CYAML_FIELD_ENUM(#member, OPT | CYAML_FLAG_STRICT, T, member, truths, TR_ARRAY_LEN(truths))
#define LIST(member, T) CYAML_FIELD_SEQUENCE(#member, CYAML_FLAG_POINTER | OPT, T, member, &text_entry, 0, 64)

static const cyaml_schema_value_t text_entry = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, CYAML_UNLIMITED) };

static const cyaml_schema_field_t listen_fields[] = {
	STR(agents, struct tr_config_listen), STR(operators, struct tr_config_listen), CYAML_FIELD_END
};
static const cyaml_schema_field_t tls_fields[] = {
	STR(certificate, struct tr_config_tls), STR(key, struct tr_config_tls), CYAML_FIELD_END
};
static const cyaml_schema_field_t attestation_fields[] = {
	STR(mode, struct tr_config_attestation),
	LIST(accept, struct tr_config_attestation),
	STR(public_key_path, struct tr_config_attestation),
	STR(expected_hash, struct tr_config_attestation),
	STR(min_version, struct tr_config_attestation),
	LIST(versions, struct tr_config_attestation),
	STR(min_tier, struct tr_config_attestation),
	CYAML_FIELD_END
};
static const cyaml_schema_field_t limit_fields[] = {
	NUM(agent_connections, struct tr_config_limits),
	NUM(operator_connections, struct tr_config_limits),
	NUM(connections_per_source, struct tr_config_limits),
	NUM(header_seconds, struct tr_config_limits),
	NUM(body_seconds, struct tr_config_limits),
	NUM(idle_seconds, struct tr_config_limits),
	NUM(registrations_in_flight, struct tr_config_limits),
	CYAML_FIELD_END
};
static const cyaml_schema_field_t clock_fields[] = { STR(source, struct tr_config_clock), CYAML_FIELD_END };
static const cyaml_schema_field_t pkcs11_fields[] = {
	STR(module, struct tr_config_pkcs11),
	STR(pin_file, struct tr_config_pkcs11),
	STR(command, struct tr_config_pkcs11),
	STR(ca, struct tr_config_pkcs11),
	LIST(folders, struct tr_config_pkcs11),
	LIST(environment, struct tr_config_pkcs11),
	CYAML_FIELD_END
};
static const cyaml_schema_field_t compat_fields[] = { STR(original_commands, struct tr_config_compat), CYAML_FIELD_END };
/* libcyaml takes every word but "false" and its like for true. */
static const cyaml_strval_t truths[] = { { "false", 0 }, { "true", 1 } };

static const cyaml_schema_field_t webhook_fields[] = {
	STR(url, struct tr_config_webhook),
	STR(secret_file, struct tr_config_webhook),
	STR(ca_file, struct tr_config_webhook),
	TRUTH(allow_plain, struct tr_config_webhook),
	CYAML_FIELD_END
};
static const cyaml_schema_field_t alert_fields[] = {
	MAP(webhook, struct tr_config_alerts, webhook_fields),
	STR(syslog, struct tr_config_alerts),
	NUM(syslog_enterprise, struct tr_config_alerts),
	TRUTH(journald, struct tr_config_alerts),
	STR(journald_socket, struct tr_config_alerts),
	STR(external_url, struct tr_config_alerts),
	NUM(escalate_minutes, struct tr_config_alerts),
	CYAML_FIELD_END
};
static const cyaml_schema_field_t config_fields[] = {
	STR(trust_domain, struct tr_config),
	STR(state, struct tr_config),
	STR(store, struct tr_config),
	STR(store_password_file, struct tr_config),
	LIST(urls, struct tr_config),
	NUM(fronts, struct tr_config),
	NUM(certificate_hours, struct tr_config),
	NUM(heartbeat_seconds, struct tr_config),
	NUM(event_days, struct tr_config),
	NUM(command_days, struct tr_config),
	NUM(command_wait_agents, struct tr_config),
	STR(log_level, struct tr_config),
	MAP(listen, struct tr_config, listen_fields),
	MAP(tls, struct tr_config, tls_fields),
	MAP(attestation, struct tr_config, attestation_fields),
	MAP(limits, struct tr_config, limit_fields),
	MAP(alerts, struct tr_config, alert_fields),
	MAP(clock, struct tr_config, clock_fields),
	MAP(pkcs11, struct tr_config, pkcs11_fields),
	MAP(compat, struct tr_config, compat_fields),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct tr_config, config_fields),
};

/* libcyaml reports through a log callback; its first error line names what and where. */
struct complaint {
	char text[200];
};

static void TR_PRINTF(3, 0) on_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct complaint *c = ctx;
	size_t n = strlen(c->text);

	if (level < CYAML_LOG_ERROR || n + 2 >= sizeof(c->text))
		return;
	(void)vsnprintf(c->text + n, sizeof(c->text) - n, fmt, args);
	for (char *p = c->text + n; *p; p++)
		if (*p == '\n')
			*p = ' ';
}

static const cyaml_config_t plain_cfg = {
	.log_fn = NULL,
	.mem_fn = cyaml_mem,
	.log_level = CYAML_LOG_ERROR,
	.flags = CYAML_CFG_NO_ALIAS,
};

struct tr_config *tr_config_free(struct tr_config *c)
{
	if (c) {
		free(c->path); /* ours, not of the schema */
		(void)cyaml_free(&plain_cfg, &config_schema, c, 0);
	}
	return NULL;
}

/* Strings of the configuration are owned by libcyaml's allocator (cyaml_mem is realloc/free). */
static void set_default(char **field, const char *value)
{
	if (!*field)
		*field = strdup(value);
}

static void override_text(char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
}

static TR_RC apply_environment(struct tr_config *c, struct tr_err *err)
{
	const char *enabled = getenv("ATTESTATION_ENABLED");
	const char *key = getenv("ATTESTATION_PUBLIC_KEY_PATH");
	const char *hash = getenv("ATTESTATION_EXPECTED_HASH");

	if (enabled) {
		if (!tr_view_is(tr_view_str(enabled), "true") && !tr_view_is(tr_view_str(enabled), "false"))
			return tr_config_wrong(err, "ATTESTATION_ENABLED must be true (enforce) or false (off)",
				     "ATTESTATION_ENABLED", enabled);
		override_text(&c->attestation->mode, *enabled == 't' ? "enforce" : "off");
	}
	if (key)
		override_text(&c->attestation->public_key_path, key);
	if (hash)
		override_text(&c->attestation->expected_hash, hash);
	return TR_OK;
}

static TR_RC fill_defaults(struct tr_config *c, const char *path, struct tr_err *err)
{
	if (!c->listen)
		c->listen = calloc(1, sizeof(*c->listen));
	if (!c->tls)
		c->tls = calloc(1, sizeof(*c->tls));
	if (!c->attestation)
		c->attestation = calloc(1, sizeof(*c->attestation));
	if (!c->limits)
		c->limits = calloc(1, sizeof(*c->limits));
	if (!c->clock)
		c->clock = calloc(1, sizeof(*c->clock));
	if (!c->alerts)
		c->alerts = calloc(1, sizeof(*c->alerts));
	if (!c->compat)
		c->compat = calloc(1, sizeof(*c->compat));
	if (!c->compat || !c->listen || !c->tls || !c->attestation || !c->limits || !c->alerts || !c->clock)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "configuration");
	c->path = realpath(path, NULL);
	if (!c->state && c->path) {
		char *slash = strrchr(c->path, '/');

		c->state = strndup(c->path, slash > c->path ? (size_t)(slash - c->path) : 1);
	}
	set_default(&c->store, "sqlite:troth.db");
	set_default(&c->log_level, "info");
	set_default(&c->listen->agents, "*:8443");
	set_default(&c->listen->operators, "127.0.0.1:8440");
	set_default(&c->tls->certificate, "tls/server.crt");
	set_default(&c->tls->key, "tls/server.key");
	set_default(&c->alerts->journald_socket, "/run/systemd/journal/socket");
	set_default(&c->clock->source, "kernel");
	set_default(&c->compat->original_commands, "off");
	return TR_OK;
}

/* ---- where it is wrong ---- */

static bool next_line(struct tr_view *text, struct tr_view *ret)
{
	const uint8_t *nl = text->n ? memchr(text->p, '\n', text->n) : NULL;
	size_t n = nl ? (size_t)(nl - text->p) + 1 : text->n;

	*ret = tr_view(text->p, n);
	*text = tr_view(text->p + n, text->n - n);
	return n != 0;
}

/* The line of "section.member", of "section.part.member" or of "member" at any depth; 0 when there is none. */
static unsigned line_of_key(struct tr_view text, const char *key, size_t n)
{
	const char *dot = memchr(key, '.', n), *last = memrchr(key, '.', n);
	size_t section = dot ? (size_t)(dot - key) : 0, name = dot ? n - (size_t)(last - key) - 1 : n;
	bool inside = !dot;
	struct tr_view line;

	for (unsigned i = 1; next_line(&text, &line); i++) {
		size_t indent = 0;

		while (indent < line.n && line.p[indent] == ' ')
			indent++;
		if (dot && indent == 0 && line.p[0] != '#')
			inside = line.n > section && line.p[section] == ':' && memcmp(line.p, key, section) == 0;
		else if (dot && indent == 0)
			continue;
		if (inside && (!dot || indent) && line.n > indent + name && line.p[indent + name] == ':' &&
		    memcmp(line.p + indent, key + n - name, name) == 0)
			return i;
	}
	return 0;
}

/* What is before the last dot of the first n characters. */
static size_t parent_of(const char *key, size_t n)
{
	const char *dot = memrchr(key, '.', n);

	return dot ? (size_t)(dot - key) : 0;
}

/* libyaml's own complaints come without a place: it is the line after the longest beginning that it can read. */
static unsigned line_of_syntax(struct tr_view text)
{
	struct tr_view rest = text, line;
	unsigned good = 0;

	for (unsigned i = 1; i < 2000 && next_line(&rest, &line); i++) {
		struct complaint c = { "" };
		cyaml_config_t cfg = plain_cfg;
		cyaml_data_t *data = NULL;

		cfg.log_fn = on_log;
		cfg.log_ctx = &c;
		if (cyaml_load_data(text.p, text.n - rest.n, &cfg, &config_schema, &data, NULL) == CYAML_OK)
			(void)cyaml_free(&cfg, &config_schema, data, 0);
		if (!strstr(c.text, "libyaml:"))
			good = i;
	}
	return good + 1;
}

static unsigned line_of(struct tr_view text, const char *complaint)
{
	static const char unexpected[] = "Unexpected key: ", field[] = "in mapping field '";
	const char *p = strstr(complaint, unexpected);

	if (p) {
		p += sizeof(unexpected) - 1;
		return line_of_key(text, p, strcspn(p, " "));
	}
	if (strstr(complaint, "libyaml:"))
		return line_of_syntax(text);
	p = strstr(complaint, field);
	p = p ? strstr(p, "(line: ") : NULL;
	return p ? (unsigned)strtoul(p + 7, NULL, 10) : 0;
}

/* The part of libcyaml's text that says something: without its prefix and its backtrace. */
static void tidy(struct complaint *c)
{
	static const char prefix[] = "Load: ";
	char *tail = strstr(c->text, " Load: Backtrace");

	if (tail)
		*tail = '\0';
	if (strncmp(c->text, prefix, sizeof(prefix) - 1) == 0)
		memmove(c->text, c->text + sizeof(prefix) - 1, strlen(c->text) - sizeof(prefix) + 2);
}

/* ---- numbers ---- */

static TR_RC settle_numbers(struct tr_config *c, struct tr_view text, struct tr_err *err)
{
	const struct {
		const char *name;
		unsigned *at, otherwise, min, max;
	} all[] = {
		{ "fronts", &c->fronts, 0, 0, 8 },
		{ "certificate_hours", &c->certificate_hours, 168, 1, 24 * 90 },
		{ "heartbeat_seconds", &c->heartbeat_seconds, 30, 1, 3600 },
		{ "event_days", &c->event_days, 30, 1, 3650 },
		{ "command_days", &c->command_days, 30, 1, 3650 },
		{ "command_wait_agents", &c->command_wait_agents, 20000, 1, 1000000 },
		{ "limits.agent_connections", &c->limits->agent_connections, 20000, 1, 4000000 },
		{ "limits.operator_connections", &c->limits->operator_connections, 256, 1, 65536 },
		{ "limits.connections_per_source", &c->limits->connections_per_source, 4096, 1, 4000000 },
		{ "limits.header_seconds", &c->limits->header_seconds, 10, 1, 300 },
		{ "limits.body_seconds", &c->limits->body_seconds, 20, 1, 300 },
		{ "limits.idle_seconds", &c->limits->idle_seconds, 120, 5, 7200 },
		{ "limits.registrations_in_flight", &c->limits->registrations_in_flight, 256, 1, 4096 },
		{ "alerts.escalate_minutes", &c->alerts->escalate_minutes, 15, 1, 1440 },
		/* Ours would be one that IANA gave us; this one is what RFC 5612 lets documents use. */
		{ "alerts.syslog_enterprise", &c->alerts->syslog_enterprise, 32473, 1, UINT32_MAX },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		/* libcyaml leaves what is absent at 0; a 0 that somebody wrote is out of range like any other. */
		if (*all[i].at == 0 && !line_of_key(text, all[i].name, strlen(all[i].name)))
			*all[i].at = all[i].otherwise;
		if (*all[i].at < all[i].min || *all[i].at > all[i].max)
			return tr_err_set(err, TR_E_INVALID, "a number in the configuration is out of its range",
					  "%s: %u, allowed %u to %u", all[i].name, *all[i].at, all[i].min, all[i].max);
	}
	return TR_OK;
}

TR_RC tr_config_load(const char *path, struct tr_config **ret, struct tr_err *err)
{
	tr_auto(tr_config_free) struct tr_config *c = NULL;
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct complaint complaint = { "" };
	cyaml_config_t cfg = plain_cfg;
	cyaml_err_t rc;

	cfg.log_fn = on_log;
	cfg.log_ctx = &complaint;
	if (tr_file_read(path, 1 << 20, &text, err)) {
		if (err->code == TR_E_NOTFOUND)
			err->pub = "there is no configuration here; make an installation with trothd init, or name it with --config";
		return tr_err_wrap(err, "configuration");
	}
	if (text.n == 0)
		return tr_err_set(err, TR_E_INVALID, "the configuration file is empty", "%s", path);
	rc = cyaml_load_data(text.p, text.n, &cfg, &config_schema, (cyaml_data_t **)&c, NULL);
	if (rc != CYAML_OK || !c) {
		unsigned line = line_of(tr_buf_view(&text), complaint.text);

		tidy(&complaint);
		return tr_err_set(err, TR_E_INVALID, "the configuration file has an error", "%s, line %u: %s", path,
				  line ? line : 1, complaint.text[0] ? complaint.text : cyaml_strerror(rc));
	}
	if (fill_defaults(c, path, err) || apply_environment(c, err) ||
	    settle_numbers(c, tr_buf_view(&text), err) || tr_config_check(c, err)) {
		/* Details begin with the name of what is wrong; what came from the environment has no line. */
		size_t n = strcspn(err->detail, ":");
		unsigned line = line_of_key(tr_buf_view(&text), err->detail, n);

		/* Written on one line with its section, or what is missing from it. */
		while (!line && (n = parent_of(err->detail, n)) != 0)
			line = line_of_key(tr_buf_view(&text), err->detail, n);

		return line ? tr_err_wrap(err, "%s, line %u", path, line) : tr_err_wrap(err, "%s", path);
	}
	*ret = TR_TAKE(c);
	return TR_OK;
}

void tr_config_path(const struct tr_config *c, const char *name, char *buf, size_t len)
{
	if (*name == '/')
		(void)snprintf(buf, len, "%s", name);
	else
		(void)snprintf(buf, len, "%s/%s", c->state, name);
}

TR_RC tr_config_read(const struct tr_config *c, const char *name, bool secret, struct tr_buf *ret, struct tr_err *err)
{
	char path[4096];

	tr_config_path(c, name, path, sizeof(path));
	return secret ? tr_file_read_secret(path, 65536, ret, err) : tr_file_read(path, 262144, ret, err);
}

bool tr_config_clock_trusted(const struct tr_config *c)
{
	return tr_view_is(tr_view_str(c->clock->source), "trusted");
}

unsigned tr_config_fronts(const struct tr_config *c)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (c->fronts)
		return c->fronts;
	return cores < 1 ? 1 : cores > 8 ? 8 : (unsigned)cores;
}

bool tr_config_signs_original(const struct tr_config *c)
{
	return tr_view_is(tr_view_str(c->compat->original_commands), "sign");
}
