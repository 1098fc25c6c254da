/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that talk to no server: init and status. */
#include "agent/agent.h"
#include "agent/show.h"
#include "agent/state.h"
#include "base/file.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

int tr_agent_fail(enum tr_agent_exit code, const struct tr_err *err)
{
	fprintf(stderr, "troth-agent: %s\n  (%s)\n", err->pub ? err->pub : tr_code_name(err->code),
		err->detail);
	return (int)code;
}

/* A new default folder belongs to the service's user where the package has made one: the service could not
 * read it otherwise. Any other folder belongs to who runs init. */
static void give_to_service(const char *dir)
{
	const struct passwd *pw;

	if (geteuid() != 0 || strcmp(dir, TR_AGENT_STATE_DEFAULT) != 0)
		return;
	pw = getpwnam("troth-agent");
	if (pw && lchown(dir, pw->pw_uid, pw->pw_gid))
		perror("troth-agent: chown of the state folder");
}

static void print_hex(const char *label, struct tr_view v)
{
	printf("%s", label);
	for (size_t i = 0; i < v.n; i++)
		printf("%02x", v.p[i]);
	printf("\n");
}

int tr_agent_init(const char *state_dir, const char *id, const char *key_type)
{
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	struct tr_err err = { 0 };
	bool key_made = false, fresh = !tr_file_exists(state_dir);
	enum tr_code rc = tr_state_asked_ok(id, key_type, &err);

	if (rc)
		return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	rc = tr_dir_make(state_dir, 0700, &err);
	if (!rc && fresh)
		give_to_service(state_dir);
	if (!rc)
		rc = tr_state_open(state_dir, &s, &err);
	if (!rc)
		rc = tr_state_lock(&s, &err);
	if (!rc)
		rc = tr_state_make(&s, id, key_type, &key_made, &err);
	if (rc)
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	printf("agent id    %.*s\n", TR_VIEW_FMT(s.conf.agent_id));
	print_hex("key id      sha256:", s.conf.key_id);
	printf("device key  %s/device.key (%.*s, %s)\n", s.dir, TR_VIEW_FMT(s.conf.key_type),
	       key_made ? "made now" : "existed already, used again");
	return TR_AGENT_EXIT_OK;
}

static struct tr_cert *load_cert(const struct tr_state *s, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT, der = TR_BUF_INIT;
	struct tr_view label, rest;
	struct tr_cert *c = NULL;

	if (tr_state_read(s, "cert.pem", 16384, &pem, err) ||
	    tr_pem_get(tr_buf_view(&pem), &label, &der, &rest, err) ||
	    tr_cert_parse(tr_buf_view(&der), &c, err))
		return NULL;
	return c;
}

static void print_time(const char *label, int64_t ms)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (ms)
		tr_rfc3339_add(&b, ms);
	printf("%-13s %s\n", label, ms ? tr_buf_cstr(&b) : "never");
}

static void print_text(const char *label, struct tr_view v)
{
	printf("%-13s ", label);
	for (size_t i = 0; i < v.n; i++)
		putchar(v.p[i] < ' ' || v.p[i] == 0x7f ? '?' : v.p[i]);
	printf("\n");
}

static void print_state(const char *label, struct tr_view state, struct tr_view why)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_addv(&b, state);
	if (why.n) {
		tr_buf_adds(&b, ": ");
		tr_buf_addv(&b, why);
	}
	print_text(label, tr_buf_view(&b));
}

static void status_pulse(const struct tr_agent_status *st)
{
	printf("%-13s number %llu, after %.*s, %llu resyncs\n", "chain", (unsigned long long)st->seq,
	       st->prev.n ? (int)st->prev.n : 7, st->prev.n ? (const char *)st->prev.p : "nothing",
	       (unsigned long long)st->resyncs);
	if (st->last_ok_at)
		printf("%-13s %+lld ms against the server, there and back in %llu us\n", "clock",
		       (long long)st->clock_skew_ms, (unsigned long long)st->rtt_us);
	printf("%-13s synchronised: %.*s; certificates are judged by: %.*s\n", "",
	       TR_VIEW_FMT(st->clock_sync), TR_VIEW_FMT(st->tls_time));
	print_state("bpf", st->bpf, st->bpf_why);
	print_state("lsm", st->lsm, st->lsm_why);
	if (st->notice.n && !tr_view_is(st->notice, "none"))
		print_text("announced", st->notice);
	if (st->key_rotating)
		printf("%-13s the next one is certified and not in force yet\n", "device key");
	if (st->pending)
		printf("%-13s %llu wait\n", "commands", (unsigned long long)st->pending);
}

static void status_text(const struct tr_state *s, const struct tr_cert *cert,
			const struct tr_agent_status *st)
{
	print_text("agent id", s->conf.agent_id);
	printf("%-13s ", "key");
	print_hex("sha256:", s->conf.key_id);
	print_text("key type", s->conf.key_type);
	print_time("enrolled", s->conf.enrolled_at);
	if (s->conf.enrolled_at) {
		print_text("servers", s->conf.servers);
		print_text("identity", s->conf.spiffe_id);
		print_text("partition", s->conf.partition);
		print_text("agent type", s->conf.agent_type);
	}
	if (cert) {
		print_time("cert from", tr_cert_not_before_ms(cert));
		print_time("cert until", tr_cert_not_after_ms(cert));
	}
	printf("%-13s %s\n", "process", tr_state_in_use(s) ? "running" : "not running");
	if (!st)
		return;
	print_text("pulse", st->state);
	print_time("last try", st->last_try_at);
	print_time("last success", st->last_ok_at);
	printf("%-13s %llu accepted, %llu failed in a row, every %llu s\n", "count",
	       (unsigned long long)st->beats, (unsigned long long)st->failures,
	       (unsigned long long)st->interval_s);
	if (st->server.n)
		print_text("server", st->server);
	status_pulse(st);
	if (st->last_error.n)
		print_text("last error", st->last_error);
	if (s->conf.enrolled_at)
		tr_show_text(s);
}

static int status_json(const struct tr_state *s, const struct tr_cert *cert, const struct tr_agent_status *st)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_adds(&b, "{\"identity\":");
	tr_record_to_json(&tr_agent_conf_def, &s->conf, &b);
	tr_buf_adds(&b, ",\"certificate\":");
	if (cert) {
		tr_buf_adds(&b, "{\"not_before\":\"");
		tr_rfc3339_add(&b, tr_cert_not_before_ms(cert));
		tr_buf_adds(&b, "\",\"not_after\":\"");
		tr_rfc3339_add(&b, tr_cert_not_after_ms(cert));
		tr_buf_adds(&b, "\",\"sha256\":\"");
		tr_hex_add(&b, tr_view(tr_cert_sha256(cert), 32));
		tr_buf_adds(&b, "\",\"serial\":\"");
		tr_cert_serial_hex(cert, &b);
		tr_buf_adds(&b, "\"}");
	} else {
		tr_buf_adds(&b, "null");
	}
	tr_buf_addf(&b, ",\"running\":%s,\"heartbeat\":", tr_state_in_use(s) ? "true" : "false");
	if (st)
		tr_record_to_json(&tr_agent_status_def, st, &b);
	else
		tr_buf_adds(&b, "null");
	tr_show_json(s, &b);
	tr_buf_adds(&b, "}\n");
	if (!tr_buf_ok(&b))
		return TR_AGENT_EXIT_STATE;
	return fwrite(b.p, b.n, 1, stdout) == 1 ? TR_AGENT_EXIT_OK : TR_AGENT_EXIT_STATE;
}

int tr_agent_status(const char *state_dir, bool as_json)
{
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct tr_agent_status st = { 0 };
	struct tr_err err = { 0 };
	bool ran;

	if (tr_state_open(state_dir, &s, &err) || tr_state_load(&s, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	if (s.conf.enrolled_at) {
		cert = load_cert(&s, &err);
		if (!cert)
			(void)tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	}
	/* A status file that cannot be read is no reason to hide the identity. */
	ran = tr_status_load(&s, &doc, &arena, &st, &err) == TR_OK;
	if (as_json)
		return status_json(&s, cert, ran ? &st : NULL);
	status_text(&s, cert, ran ? &st : NULL);
	return s.conf.enrolled_at && !cert ? TR_AGENT_EXIT_STATE : TR_AGENT_EXIT_OK;
}
