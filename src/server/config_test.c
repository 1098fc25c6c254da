/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static char dir[64], path[96];

static TR_RC load(const char *text, struct tr_config **ret, struct tr_err *err)
{
	*err = (struct tr_err){ 0 };
	*ret = NULL;
	if (tr_file_write(path, tr_view_str(text), 0644, err))
		fail_msg("%s", err->detail);
	return tr_config_load(path, ret, err);
}

static void one_line_is_enough(void **state)
{
	tr_auto(tr_config_free) struct tr_config *c = NULL;
	struct tr_err err;
	char p[200];

	(void)state;
	if (load("trust_domain: fleet.example\n", &c, &err))
		fail_msg("%s", err.detail);
	assert_string_equal(c->trust_domain, "fleet.example");
	assert_string_equal(c->state, dir);
	assert_string_equal(c->path, path);
	assert_string_equal(c->store, "sqlite:troth.db");
	assert_string_equal(c->log_level, "info");
	assert_string_equal(c->listen->agents, "*:8443");
	assert_string_equal(c->listen->operators, "127.0.0.1:8440");
	assert_string_equal(c->tls->certificate, "tls/server.crt");
	assert_string_equal(c->tls->key, "tls/server.key");
	assert_null(c->attestation->mode); /* not pinned */
	assert_int_equal(c->attestation->accept_count, 0);
	assert_int_equal(c->urls_count, 0);
	assert_int_equal(c->certificate_hours, 168);
	assert_int_equal(c->heartbeat_seconds, 30);
	assert_int_equal(c->event_days, 30);
	assert_int_equal(c->command_days, 30);
	assert_int_equal(c->command_wait_agents, 20000);
	assert_int_equal(c->limits->agent_connections, 20000);
	assert_int_equal(c->limits->operator_connections, 256);
	assert_int_equal(c->limits->connections_per_source, 4096);
	assert_int_equal(c->limits->header_seconds, 10);
	assert_int_equal(c->limits->body_seconds, 20);
	assert_int_equal(c->limits->idle_seconds, 120);
	assert_int_equal(c->limits->registrations_in_flight, 256);
	assert_null(c->alerts->webhook);
	assert_null(c->alerts->syslog);
	assert_int_equal(c->alerts->journald, 0);
	assert_string_equal(c->alerts->journald_socket, "/run/systemd/journal/socket");
	assert_int_equal(c->alerts->escalate_minutes, 15);
	assert_int_equal(c->alerts->syslog_enterprise, 32473);
	assert_string_equal(c->clock->source, "kernel");
	assert_false(tr_config_clock_trusted(c));
	assert_false(tr_config_signs_original(c));
	assert_null(c->pkcs11);
	assert_in_range(tr_config_fronts(c), 1, 8);
	tr_config_path(c, "tls/server.key", p, sizeof(p));
	assert_memory_equal(p, dir, strlen(dir));
	assert_string_equal(p + strlen(dir), "/tls/server.key");
	tr_config_path(c, "/etc/x", p, sizeof(p));
	assert_string_equal(p, "/etc/x");
}

static void every_key_is_read(void **state)
{
	static const char text[] = "# a comment\n"
				   "trust_domain: a.example\n"
				   "state: /srv/troth\n"
				   "store: sqlite:/srv/db\n"
				   "urls: [https://a:8443, \"https://b:8443\"]\n"
				   "fronts: 8\n"
				   "certificate_hours: 2160\n"
				   "heartbeat_seconds: 1\n"
				   "log_level: debug\n"
				   "clock: { source: trusted }\n"
				   "listen:\n  agents: \"[::]:1\"\n  operators: localhost:2\n"
				   "tls: { certificate: c.pem, key: k.pem }\n"
				   "attestation:\n"
				   "  mode: audit\n"
				   "  accept:\n    - native\n    - original\n"
				   "  public_key_path: fleet.pem\n"
				   "  expected_hash: sha256:" /* 64 */
				   "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\n"
				   "  min_version: 1.2\n"
				   "  versions: [v1.2.3, 2.0]\n"
				   "  min_tier: kernel\n"
				   "limits:\n"
				   "  agent_connections: 1\n  operator_connections: 2\n  connections_per_source: 3\n"
				   "  header_seconds: 4\n  body_seconds: 5\n  idle_seconds: 6\n"
				   "  registrations_in_flight: 7\n"
				   "alerts:\n"
				   "  webhook:\n    url: http://10.0.0.1/hook\n    secret_file: hook.secret\n"
				   "    ca_file: hook.ca\n    allow_plain: true\n"
				   "  syslog: tcp://[::1]:601\n  syslog_enterprise: 4711\n"
				   "  journald: true\n  journald_socket: /run/j\n"
				   "  external_url: https://control.example\n  escalate_minutes: 5\n"
				   "compat: { original_commands: sign }\n"
				   "pkcs11:\n  module: /usr/lib/p11.so\n  pin_file: pin\n  command: pkcs11:object=a\n"
				   "  ca: pkcs11:object=b\n  folders: [/var/lib/tokens]\n  environment: [P11_CONF=/etc/p11.conf]\n";
	tr_auto(tr_config_free) struct tr_config *c = NULL;
	struct tr_err err;

	(void)state;
	if (load(text, &c, &err))
		fail_msg("%s", err.detail);
	assert_string_equal(c->state, "/srv/troth");
	assert_string_equal(c->store, "sqlite:/srv/db");
	assert_int_equal(c->urls_count, 2);
	assert_string_equal(c->urls[1], "https://b:8443");
	assert_int_equal(tr_config_fronts(c), 8);
	assert_int_equal(c->certificate_hours, 2160);
	assert_int_equal(c->heartbeat_seconds, 1);
	assert_string_equal(c->log_level, "debug");
	assert_true(tr_config_clock_trusted(c));
	assert_string_equal(c->listen->agents, "[::]:1");
	assert_string_equal(c->listen->operators, "localhost:2");
	assert_string_equal(c->tls->certificate, "c.pem");
	assert_string_equal(c->tls->key, "k.pem");
	assert_string_equal(c->attestation->mode, "audit");
	assert_int_equal(c->attestation->accept_count, 2);
	assert_string_equal(c->attestation->accept[1], "original");
	assert_string_equal(c->attestation->public_key_path, "fleet.pem");
	assert_memory_equal(c->attestation->expected_hash, "sha256:0001", 11);
	assert_string_equal(c->attestation->min_version, "1.2");
	assert_int_equal(c->attestation->versions_count, 2);
	assert_string_equal(c->attestation->min_tier, "kernel");
	assert_int_equal(c->limits->agent_connections, 1);
	assert_int_equal(c->limits->operator_connections, 2);
	assert_int_equal(c->limits->connections_per_source, 3);
	assert_int_equal(c->limits->header_seconds, 4);
	assert_int_equal(c->limits->body_seconds, 5);
	assert_int_equal(c->limits->idle_seconds, 6);
	assert_int_equal(c->limits->registrations_in_flight, 7);
	assert_string_equal(c->alerts->webhook->url, "http://10.0.0.1/hook");
	assert_string_equal(c->alerts->webhook->secret_file, "hook.secret");
	assert_string_equal(c->alerts->webhook->ca_file, "hook.ca");
	assert_int_equal(c->alerts->webhook->allow_plain, 1);
	assert_string_equal(c->alerts->syslog, "tcp://[::1]:601");
	assert_int_equal(c->alerts->syslog_enterprise, 4711);
	assert_int_equal(c->alerts->journald, 1);
	assert_string_equal(c->alerts->journald_socket, "/run/j");
	assert_string_equal(c->alerts->external_url, "https://control.example");
	assert_int_equal(c->alerts->escalate_minutes, 5);
	assert_true(tr_config_signs_original(c));
	assert_string_equal(c->pkcs11->module, "/usr/lib/p11.so");
	assert_string_equal(c->pkcs11->pin_file, "pin");
	assert_string_equal(c->pkcs11->command, "pkcs11:object=a");
	assert_string_equal(c->pkcs11->ca, "pkcs11:object=b");
	assert_int_equal(c->pkcs11->folders_count, 1);
	assert_string_equal(c->pkcs11->folders[0], "/var/lib/tokens");
	assert_string_equal(c->pkcs11->environment[0], "P11_CONF=/etc/p11.conf");
}

#define GOOD "trust_domain: fleet.example\n"
#define HASH "sha256:000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"

static void what_is_wrong_is_named_with_its_line(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *says;
	} cases[] = {
		{ GOOD "frontz: 2\n", 2, "frontz" },
		{ GOOD "# x\nlimits:\n  idle_seconds: 60\n  header_secs: 1\n", 5, "header_secs" },
		{ GOOD "fronts: two\n", 2, "two" },
		{ GOOD "fronts: -1\n", 2, "Invalid" }, /* libcyaml 1.4 shows it wrapped around */
		{ GOOD "fronts: 99999999999999999999\n", 2, "99999999999999999999" },
		{ GOOD "log_level: [a]\n", 2, "SEQUENCE" },
		{ GOOD "log_level: loud\n", 2, "log_level: \"loud\"" },
		{ GOOD "\n\nstore: postgres://x\n", 4, "store: \"postgres://x\"" },
		{ GOOD "\n\nstore: postgresql://u:pw@h/x\n", 4, "store: it holds a password" },
		{ GOOD "\n\nstore: postgresql://u@h/x?password=pw\n", 4, "store: it holds a password" },
		{ GOOD "\n\nstore: postgresql://u@h/x?sslrootcert=/var/lib/ca.pem\n", 4, "store: \"postgresql://u@h" },
		{ GOOD "\nstore: sqlite:x\nstore_password_file: pw\n", 4, "store_password_file: \"pw\"" },
		{ GOOD "state: /etc/troth\n", 2, "state: \"/etc/troth\"" },
		{ GOOD "urls:\n  - http://a\n", 2, "urls: \"http://a\"" },
		{ "trust_domain: Fleet.example\n", 1, "trust_domain: \"Fleet.example\"" },
		/* Ranges: both ends of one, and the 0 that is not the same as absent. */
		{ GOOD "fronts: 9\n", 2, "fronts: 9, allowed 0 to 8" },
		{ GOOD "certificate_hours: 0\n", 2, "certificate_hours: 0, allowed 1 to 2160" },
		{ GOOD "certificate_hours: 2161\n", 2, "certificate_hours: 2161" },
		{ GOOD "heartbeat_seconds: 3601\n", 2, "heartbeat_seconds: 3601" },
		{ GOOD "event_days: 0\n", 2, "event_days: 0" },
		{ GOOD "command_days: 0\n", 2, "command_days: 0" },
		{ GOOD "command_wait_agents: 0\n", 2, "command_wait_agents: 0" },
		{ GOOD "limits:\n  agent_connections: 0\n", 3, "limits.agent_connections: 0" },
		{ GOOD "limits:\n  operator_connections: 65537\n", 3, "limits.operator_connections: 65537" },
		{ GOOD "limits:\n  connections_per_source: 4000001\n", 3, "limits.connections_per_source: 4000001" },
		{ GOOD "limits:\n  header_seconds: 301\n", 3, "limits.header_seconds: 301" },
		{ GOOD "limits:\n  body_seconds: 0\n", 3, "limits.body_seconds: 0" },
		{ GOOD "limits:\n  idle_seconds: 4\n", 3, "limits.idle_seconds: 4, allowed 5 to 7200" },
		{ GOOD "limits:\n  registrations_in_flight: 4097\n", 3, "limits.registrations_in_flight: 4097" },
		{ GOOD "attestation:\n  mode: strict\n", 3, "attestation.mode: \"strict\"" },
		{ GOOD "attestation:\n  accept: [native, orignal]\n", 3, "attestation.accept: \"orignal\"" },
		{ GOOD "attestation:\n  expected_hash: sha256:abc\n", 3, "attestation.expected_hash: \"sha256:abc\"" },
		{ GOOD "attestation:\n  min_version: one\n", 3, "attestation.min_version: \"one\"" },
		{ GOOD "attestation:\n  versions: [1.2, x]\n", 3, "attestation.versions: \"x\"" },
		{ GOOD "attestation:\n  min_tier: gold\n", 3, "attestation.min_tier: \"gold\"" },
		{ GOOD "clock:\n  source: ntp\n", 3, "clock.source: \"ntp\"" },
		{ GOOD "clock:\n  sorce: kernel\n", 3, "sorce" },
		{ GOOD "alerts:\n  webhok: x\n", 3, "webhok" },
		{ GOOD "alerts:\n  journald: yes please\n", 3, "yes please" },
		{ GOOD "alerts:\n  journald_socket: run/journal\n", 3, "alerts.journald_socket: \"run/journal\"" },
		{ GOOD "alerts:\n  escalate_minutes: 0\n", 3, "alerts.escalate_minutes: 0, allowed 1 to 1440" },
		{ GOOD "alerts:\n  syslog: host:514\n", 3, "alerts.syslog: \"host:514\"" },
		{ GOOD "alerts:\n  syslog: udp://host/x\n", 3, "alerts.syslog" },
		{ GOOD "alerts:\n  syslog: unix:dev/log\n", 3, "alerts.syslog" },
		{ GOOD "alerts:\n  syslog: tcp://\n", 3, "alerts.syslog" },
		{ GOOD "alerts:\n  syslog_enterprise: 0\n", 3, "alerts.syslog_enterprise: 0" },
		{ GOOD "alerts:\n  external_url: http://x\n", 3, "alerts.external_url" },
		{ GOOD "alerts:\n  webhook:\n    secret_file: s\n", 3, "alerts.webhook.url: \"\"" },
		{ GOOD "alerts:\n  webhook:\n    url: ftp://x/\n    secret_file: s\n", 4, "alerts.webhook.url" },
		{ GOOD "alerts:\n  webhook:\n    url: https://u:p@x/\n    secret_file: s\n", 4, "alerts.webhook.url" },
		{ GOOD "alerts:\n  webhook:\n    secret_file: s\n    url: http://x/\n", 5, "alerts.webhook.url" },
		{ GOOD "alerts:\n  webhook:\n    secret_file: s\n    url: http://127.0.0.1.x/\n", 5, "alerts.webhook.url" },
		{ GOOD "alerts:\n  webhook:\n    url: https://x/\n", 3, "alerts.webhook.secret_file" },
		{ GOOD "alerts:\n  webhook: {url: x, secret_file: s}\n", 3, "alerts.webhook.url: \"x\"" },
		{ GOOD "alerts:\n  webhook:\n    url: https://x/\n    secret_file: s\n    allow_plain: 1\n", 6, "1" },
		{ GOOD "compat:\n  original_commands: verify\n", 3, "compat.original_commands: \"verify\"" },
		{ GOOD "compat:\n  original_comands: sign\n", 3, "original_comands" },
		{ GOOD "pkcs11:\n  command: pkcs11:object=a\n", 2, "pkcs11.module: \"\"" },
		{ GOOD "pkcs11:\n  module: p11.so\n  command: pkcs11:object=a\n", 3, "pkcs11.module: \"p11.so\"" },
		{ GOOD "pkcs11:\n  module: /p11.so\n", 2, "pkcs11: \"\"" },
		{ GOOD "pkcs11:\n  module: /p11.so\n  ca: object=b\n", 4, "pkcs11.ca: \"object=b\"" },
		{ GOOD "pkcs11:\n  module: /p11.so\n  ca: pkcs11:object=b\n  folders: [tokens]\n", 5, "pkcs11.folders: \"tokens\"" },
		{ GOOD "pkcs11:\n  module: /p11.so\n  ca: pkcs11:object=b\n  environment: [X]\n", 5, "pkcs11.environment: \"X\"" },
		{ GOOD "a: &a [*a]\n", 2, "" },
		{ GOOD "log_level: \"info\n", 2, "libyaml" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_config *c;
		struct tr_err err;
		char at[140];

		(void)snprintf(at, sizeof(at), "%s, line %u: ", path, cases[i].line);
		if (load(cases[i].text, &c, &err) != TR_E_INVALID || c || !strstr(err.detail, at) ||
		    !strstr(err.detail, cases[i].says))
			fail_msg("%s\n%s", cases[i].text, err.detail);
	}
}

static void what_cannot_be_read_at_all_is_refused(void **state)
{
	static const char *const cases[] = { "", "[]\n", "---\n", "trust_domain\n", "log_level: info\n" };
	struct tr_config *c;
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		if (load(cases[i], &c, &err) != TR_E_INVALID || c)
			fail_msg("%s", cases[i]);
		assert_non_null(strstr(err.detail, path));
	}
	assert_int_equal(tr_config_load("/nonexistent/trothd.yaml", &c, &err), TR_E_NOTFOUND);
	assert_null(c);
}

static void the_environment_overrides_the_file(void **state)
{
	static const char file[] = GOOD "attestation:\n  mode: audit\n  public_key_path: file.pem\n";
	static const struct {
		const char *name, *value;
		const char *mode, *key, *hash; /* wanted; mode NULL: refused */
	} cases[] = {
		{ "ATTESTATION_ENABLED", "true", "enforce", "file.pem", NULL },
		{ "ATTESTATION_ENABLED", "false", "off", "file.pem", NULL },
		{ "ATTESTATION_ENABLED", "maybe", NULL, NULL, NULL },
		{ "ATTESTATION_ENABLED", "", NULL, NULL, NULL },
		{ "ATTESTATION_ENABLED", "TRUE", NULL, NULL, NULL },
		{ "ATTESTATION_PUBLIC_KEY_PATH", "/env.pem", "audit", "/env.pem", NULL },
		{ "ATTESTATION_EXPECTED_HASH", HASH, "audit", "file.pem", HASH },
		{ "ATTESTATION_EXPECTED_HASH", "abc", NULL, NULL, NULL },
		{ "ATTESTATION_MODE", "off", "audit", "file.pem", NULL }, /* not a name of ours */
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_config_free) struct tr_config *c = NULL;
		struct tr_err err;
		enum tr_code rc;

		assert_int_equal(setenv(cases[i].name, cases[i].value, 1), 0);
		rc = load(file, &c, &err);
		assert_int_equal(unsetenv(cases[i].name), 0);
		if (rc != (cases[i].mode ? TR_OK : TR_E_INVALID))
			fail_msg("%s=%s: %s", cases[i].name, cases[i].value, err.detail);
		if (rc)
			continue;
		assert_string_equal(c->attestation->mode, cases[i].mode);
		assert_string_equal(c->attestation->public_key_path, cases[i].key);
		if (cases[i].hash)
			assert_string_equal(c->attestation->expected_hash, cases[i].hash);
		else
			assert_null(c->attestation->expected_hash);
	}
}

static void a_secret_of_the_installation_must_be_private(void **state)
{
	tr_auto(tr_config_free) struct tr_config *c = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err;
	char secret[96];

	(void)state;
	(void)snprintf(secret, sizeof(secret), "%s/secret", dir);
	assert_int_equal(tr_file_write(secret, TR_VIEW_LIT("x"), 0644, &err), TR_OK);
	assert_int_equal(load(GOOD, &c, &err), TR_OK);
	assert_int_equal(tr_config_read(c, "secret", false, &b, &err), TR_OK);
	assert_int_equal(tr_config_read(c, "secret", true, &b, &err), TR_E_DENIED);
	assert_int_equal(unlink(secret), 0);
	assert_int_equal(tr_config_read(c, "secret", true, &b, &err), TR_E_NOTFOUND);
}

static int make_dir(void **state)
{
	static const char *const names[] = { "ATTESTATION_ENABLED", "ATTESTATION_PUBLIC_KEY_PATH",
					     "ATTESTATION_EXPECTED_HASH" };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++)
		(void)unsetenv(names[i]);
	(void)snprintf(dir, sizeof(dir), "/tmp/troth-config-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/trothd.yaml", dir);
	return 0;
}

static int drop_dir(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line_is_enough),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(what_is_wrong_is_named_with_its_line),
		cmocka_unit_test(what_cannot_be_read_at_all_is_refused),
		cmocka_unit_test(the_environment_overrides_the_file),
		cmocka_unit_test(a_secret_of_the_installation_must_be_private),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
