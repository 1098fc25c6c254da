/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration may say. Details begin with the name of what is wrong: config.c finds its line by that. */
#include "server/config.h"

#include "codec/ident.h"
#include "crypto/x509.h"
#include "http/post.h"

#include <sys/un.h>

TR_RC tr_config_wrong(struct tr_err *err, const char *pub, const char *what, const char *value)
{
	return tr_err_set(err, TR_E_INVALID, pub, "%s: \"%s\"", what, value);
}

static TR_RC check_attestation(const struct tr_config_attestation *a, struct tr_err *err)
{
	enum tr_mode mode;
	enum tr_tier tier;
	uint8_t hash[32];

	if (a->mode && !tr_mode_from_name(tr_view_str(a->mode), &mode))
		return tr_config_wrong(err, "attestation.mode must be off, audit or enforce", "attestation.mode", a->mode);
	for (unsigned i = 0; i < a->accept_count; i++)
		if (!tr_view_is(tr_view_str(a->accept[i]), "native") &&
		    !tr_view_is(tr_view_str(a->accept[i]), "original"))
			return tr_config_wrong(err, "attestation.accept lists native, original or both", "attestation.accept",
				     a->accept[i]);
	if (a->expected_hash && !tr_sha256_name_ok(tr_view_str(a->expected_hash), hash))
		return tr_config_wrong(err, "an expected hash is written sha256:<64 lower-case hex digits>",
			     "attestation.expected_hash", a->expected_hash);
	if (a->min_version && !tr_version_ok(tr_view_str(a->min_version)))
		return tr_config_wrong(err, "attestation.min_version is not a version", "attestation.min_version",
			     a->min_version);
	for (unsigned i = 0; i < a->versions_count; i++)
		if (!tr_version_ok(tr_view_str(a->versions[i])))
			return tr_config_wrong(err, "attestation.versions holds something that is no version",
				     "attestation.versions", a->versions[i]);
	if (a->min_tier && !tr_tier_from_name(tr_view_str(a->min_tier), &tier))
		return tr_config_wrong(err, "attestation.min_tier must be none, self-asserted, kernel or hardware",
			     "attestation.min_tier", a->min_tier);
	return TR_OK;
}

static bool is_socket_path(const char *path)
{
	return *path == '/' && strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path);
}

static TR_RC check_webhook(const struct tr_config_webhook *w, struct tr_err *err)
{
	struct tr_url u;

	if (!w->url || !tr_url_split(w->url, &u) || (strcmp(u.scheme, "https") != 0 && strcmp(u.scheme, "http") != 0))
		return tr_config_wrong(err, "alerts.webhook.url must be https://HOST[:PORT]/PATH without user or password",
			     "alerts.webhook.url", w->url ? w->url : "");
	if (strcmp(u.scheme, "http") == 0 && !w->allow_plain && !tr_url_is_loopback(&u))
		return tr_config_wrong(err, "alerts in plain text stay on this machine: use https://, or set alerts.webhook.allow_plain",
			     "alerts.webhook.url", w->url);
	if (!w->secret_file)
		return tr_config_wrong(err, "alerts.webhook.secret_file must name a file with whsec_<base64>, which signs what is sent",
			     "alerts.webhook.secret_file", "");
	return TR_OK;
}

static TR_RC check_alerts(const struct tr_config_alerts *a, struct tr_err *err)
{
	struct tr_url u;

	if (a->webhook && check_webhook(a->webhook, err))
		return err->code;
	if (a->syslog && !(strncmp(a->syslog, "unix:", 5) == 0 && is_socket_path(a->syslog + 5)) &&
	    !(tr_url_split(a->syslog, &u) && (strcmp(u.scheme, "udp") == 0 || strcmp(u.scheme, "tcp") == 0) &&
	      !u.path))
		return tr_config_wrong(err, "alerts.syslog must be udp://HOST[:514], tcp://HOST[:601] or unix:/PATH", "alerts.syslog",
			     a->syslog);
	if (!is_socket_path(a->journald_socket))
		return tr_config_wrong(err, "alerts.journald_socket must be the full path of a socket", "alerts.journald_socket",
			     a->journald_socket);
	if (a->external_url && (!tr_url_split(a->external_url, &u) || strcmp(u.scheme, "https") != 0))
		return tr_config_wrong(err, "alerts.external_url must start with https://", "alerts.external_url", a->external_url);
	return TR_OK;
}

TR_RC tr_config_pkcs11_check(const struct tr_config_pkcs11 *p, struct tr_err *err)
{
	const struct {
		const char *name, *uri;
	} keys[] = { { "pkcs11.command", p->command }, { "pkcs11.ca", p->ca } };

	if (!p->module || *p->module != '/')
		return tr_config_wrong(err, "pkcs11.module must be the full path of the token's library, e.g. /usr/lib/softhsm/libsofthsm2.so",
			     "pkcs11.module", p->module ? p->module : "");
	if (!p->command && !p->ca)
		return tr_config_wrong(err, "pkcs11 names no key: set pkcs11.command, pkcs11.ca or both to a pkcs11: URI", "pkcs11", "");
	for (size_t i = 0; i < TR_ARRAY_LEN(keys); i++)
		if (keys[i].uri && !tr_view_starts(tr_view_str(keys[i].uri), "pkcs11:"))
			return tr_config_wrong(err, "a key in a token is named by a URI: pkcs11:token=NAME;object=NAME", keys[i].name,
				     keys[i].uri);
	for (unsigned i = 0; i < p->folders_count; i++)
		if (p->folders[i][0] != '/')
			return tr_config_wrong(err, "pkcs11.folders lists folders by their full path", "pkcs11.folders", p->folders[i]);
	for (unsigned i = 0; i < p->environment_count; i++)
		if (strcspn(p->environment[i], "=") == 0 || !strchr(p->environment[i], '='))
			return tr_config_wrong(err, "pkcs11.environment lists NAME=value", "pkcs11.environment", p->environment[i]);
	return TR_OK;
}

TR_RC tr_config_check(const struct tr_config *c, struct tr_err *err)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	bool level_ok = false;
	if (!c->path || !c->state)
		return tr_err_set(err, TR_E_NOTFOUND, "the configuration's folder cannot be resolved", "realpath");
	/* The one role that can send may read there, for names. */
	if (tr_view_starts(tr_view_str(c->state), "/etc/") || strcmp(c->state, "/etc") == 0)
		return tr_config_wrong(err, "the state folder holds private keys and cannot be below /etc: move it, e.g. to /var/lib/troth",
			     "state", c->state);
	if (!c->trust_domain || !tr_trust_domain_ok(tr_view_str(c->trust_domain)))
		return tr_config_wrong(err, "trust_domain must be set: lower-case letters, digits, dots and dashes", "trust_domain",
			     c->trust_domain ? c->trust_domain : "");
	for (size_t i = 0; i < TR_ARRAY_LEN(levels); i++)
		level_ok |= tr_view_is(tr_view_str(c->log_level), levels[i]);
	if (!level_ok)
		return tr_config_wrong(err, "log_level must be error, warn, info or debug", "log_level", c->log_level);
	if (tr_store_location_check(c->store, err))
		return err->code;
	if (c->store_password_file && !tr_config_store_remote(c))
		return tr_config_wrong(err, "store_password_file is for a store of postgresql://, and this one is a file",
			     "store_password_file", c->store_password_file);
	for (unsigned i = 0; i < c->urls_count; i++)
		if (!tr_view_starts(tr_view_str(c->urls[i]), "https://"))
			return tr_config_wrong(err, "urls must start with https://", "urls", c->urls[i]);
	if (!tr_view_is(tr_view_str(c->clock->source), "kernel") && !tr_config_clock_trusted(c))
		return tr_config_wrong(err, "clock.source must be kernel, or trusted when you vouch for the server's clock",
			     "clock.source", c->clock->source);
	if (!tr_view_is(tr_view_str(c->compat->original_commands), "off") && !tr_config_signs_original(c))
		return tr_config_wrong(err, "compat.original_commands must be off or sign", "compat.original_commands",
			     c->compat->original_commands);
	if (c->pkcs11 && tr_config_pkcs11_check(c->pkcs11, err))
		return err->code;
	return check_alerts(c->alerts, err) ? err->code : check_attestation(c->attestation, err);
}
