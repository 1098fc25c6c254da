/* SPDX-License-Identifier: Apache-2.0 */
/* The webhook: alerts in Alertmanager's format, signed as Standard Webhooks says, so that a receiver needs no code of
 * ours on either side. */
#include "server/notify.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "codec/pem.h"
#include "http/post.h"

#include <arpa/inet.h>
#include <netdb.h>

#define TIMEOUT_S 10
#define NAMES_KEPT_MS 60000
#define ROWS_MAX 64
#define SYSTEM_CA_MAX (4u << 20)
#define SECRET_MIN 24 /* bytes, as Standard Webhooks says */
#define SECRET_MAX 64
#define SECRET_PREFIX "whsec_"

struct webhook {
	struct tr_sink sink;
	struct tr_poster *poster;
	const char *url;
	struct tr_url parts;
	bool plain_at_home; /* http:// and so to this machine only */
	char external[512];
	struct tr_secret *secret;
	size_t secret_n;
	char addresses[512];
	uint64_t resolved_at;
};

/* ---- the body ---- */

static struct tr_view after(struct tr_view v, const char *prefix)
{
	size_t n = strlen(prefix);

	return tr_view_starts(v, prefix) ? tr_view(v.p + n, v.n - n) : tr_view(NULL, 0);
}

static struct tr_view label_alertname(const struct tr_alert_row *a) { return a->kind; }
static struct tr_view label_severity(const struct tr_alert_row *a)
{
	return tr_view_str(tr_notify_severity(a->severity));
}
static struct tr_view label_subject(const struct tr_alert_row *a) { return a->subject; }
static struct tr_view label_agent(const struct tr_alert_row *a) { return after(a->subject, "agent:"); }
static struct tr_view label_partition(const struct tr_alert_row *a) { return after(a->subject, "partition:"); }
static struct tr_view note_summary(const struct tr_alert_row *a) { return a->summary; }
static struct tr_view note_action(const struct tr_alert_row *a) { return a->action; }
static struct tr_view note_acked(const struct tr_alert_row *a) { return a->acked_by; }
static struct tr_view note_resolved(const struct tr_alert_row *a) { return a->resolved_why; }

/* What is empty is left out. */
struct member {
	const char *name;
	struct tr_view (*of)(const struct tr_alert_row *a);
};
static const struct member labels[] = { { "alertname", label_alertname }, { "severity", label_severity },
					{ "subject", label_subject },	  { "agent", label_agent },
					{ "partition", label_partition }, { NULL, NULL } };
static const struct member notes[] = { { "summary", note_summary },	  { "action", note_action },
				       { "acknowledged_by", note_acked }, { "resolved_why", note_resolved },
				       { NULL, NULL } };

/* Those that all rows share; with one row, all. */
static void add_members(struct tr_buf *b, const struct member *m, const struct tr_alert_row *const *rows, size_t n)
{
	const char *sep = "";

	tr_buf_add8(b, '{');
	for (; m->name; m++) {
		struct tr_view v = m->of(rows[0]);
		bool same = v.n != 0;

		for (size_t i = 1; i < n; i++)
			same = same && tr_view_eq(v, m->of(rows[i]));
		if (!same)
			continue;
		tr_buf_addf(b, "%s\"%s\":", sep, m->name);
		tr_json_put_str(b, v);
		sep = ",";
	}
	tr_buf_add8(b, '}');
}

/* Alertmanager's fingerprint is of the labels: one kind and subject keep theirs over closing and opening again, and
 * over a change of severity. */
static void add_fingerprint(struct tr_buf *b, const struct tr_alert_row *a)
{
	tr_auto(tr_buf_done) struct tr_buf in = TR_BUF_INIT;
	uint8_t hash[TR_SHA256_LEN];

	tr_buf_addv(&in, a->kind);
	tr_buf_add8(&in, 0);
	tr_buf_addv(&in, a->subject);
	tr_sha256(tr_buf_view(&in), hash);
	tr_hex_add(b, tr_view(hash, 8));
}

static void add_alert(struct tr_buf *b, const char *external_url, const struct tr_alert_row *a)
{
	bool firing = tr_notify_firing(a);

	tr_buf_addf(b, "{\"status\":\"%s\",\"labels\":", firing ? "firing" : "resolved");
	add_members(b, labels, &a, 1);
	tr_buf_adds(b, ",\"annotations\":");
	add_members(b, notes, &a, 1);
	tr_buf_adds(b, ",\"startsAt\":\"");
	tr_rfc3339_add(b, a->opened_at);
	tr_buf_adds(b, "\",\"endsAt\":\"");
	if (firing)
		tr_buf_adds(b, "0001-01-01T00:00:00Z"); /* Go's zero, which is how Alertmanager says "not yet" */
	else
		tr_rfc3339_add(b, a->resolved_at);
	tr_buf_addf(b, "\",\"generatorURL\":\"%s/api/v1/alerts/%.*s\",\"fingerprint\":\"", external_url,
		    TR_VIEW_FMT(a->id));
	add_fingerprint(b, a);
	tr_buf_adds(b, "\"}");
}

void tr_webhook_body(const char *external_url, const struct tr_alert_row *const *rows, size_t n, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf key = TR_BUF_INIT;
	bool firing = false;

	for (size_t i = 0; i < n; i++)
		firing |= tr_notify_firing(rows[i]);
	tr_buf_adds(&key, "{}:{cause=\"");
	tr_notify_clean(&key, rows[0]->cause, 128, "\"\\");
	tr_buf_adds(&key, "\"}");
	tr_buf_adds(b, "{\"version\":\"4\",\"groupKey\":");
	tr_json_put_str(b, tr_buf_view(&key));
	tr_buf_addf(b, ",\"truncatedAlerts\":0,\"status\":\"%s\",\"receiver\":\"troth\",\"groupLabels\":{\"cause\":",
		    firing ? "firing" : "resolved");
	tr_json_put_str(b, rows[0]->cause);
	tr_buf_adds(b, "},\"commonLabels\":");
	add_members(b, labels, rows, n);
	tr_buf_adds(b, ",\"commonAnnotations\":");
	add_members(b, notes, rows, n);
	tr_buf_addf(b, ",\"externalURL\":\"%s\",\"alerts\":[", external_url);
	for (size_t i = 0; i < n; i++) {
		if (i)
			tr_buf_add8(b, ',');
		add_alert(b, external_url, rows[i]);
	}
	tr_buf_adds(b, "]}");
}

/* ---- the signature ---- */

void tr_webhook_id(const struct tr_alert_row *const *rows, size_t n, char ret[TR_WEBHOOK_ID_LEN])
{
	tr_auto(tr_buf_done) struct tr_buf in = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	uint8_t hash[TR_SHA256_LEN];

	for (size_t i = 0; i < n; i++)
		tr_buf_addf(&in, "%.*s:%llu\n", TR_VIEW_FMT(rows[i]->id), (unsigned long long)rows[i]->rev);
	tr_sha256(tr_buf_view(&in), hash);
	tr_hex_add(&hex, tr_view(hash, 16));
	(void)snprintf(ret, TR_WEBHOOK_ID_LEN, "msg_%s", tr_buf_cstr(&hex));
}

void tr_webhook_sign(struct tr_view secret, const char *id, int64_t unix_s, struct tr_view body, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf in = TR_BUF_INIT;
	uint8_t mac[TR_SHA256_LEN];

	tr_buf_addf(&in, "%s.%lld.", id, (long long)unix_s);
	tr_buf_addv(&in, body);
	tr_hmac_sha256(secret, tr_buf_view(&in), mac);
	tr_buf_adds(ret, "v1,");
	tr_b64_add(ret, TR_VIEW_ARRAY(mac), TR_B64_STD);
	ret->failed |= !tr_buf_ok(&in);
}

TR_RC tr_webhook_secret(struct tr_view text, struct tr_buf *ret, struct tr_err *err)
{
	static const char pub[] = "a webhook secret is whsec_ and the base64 of 24 to 64 random bytes, on one line";
	const size_t prefix = sizeof(SECRET_PREFIX) - 1;
	enum tr_code rc;

	while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
		text.n--;
	if (!tr_view_starts(text, SECRET_PREFIX))
		return tr_err_set(err, TR_E_INVALID, pub, "webhook secret without whsec_");
	rc = tr_b64_get(tr_view(text.p + prefix, text.n - prefix), TR_B64_STD, ret, err);
	if (rc || ret->n < SECRET_MIN || ret->n > SECRET_MAX)
		return tr_err_set(err, TR_E_INVALID, pub, "webhook secret of %zu bytes", rc ? 0 : ret->n);
	return TR_OK;
}

/* ---- sending ---- */

static void add_address(struct tr_buf *b, const struct addrinfo *a)
{
	char text[NI_MAXHOST];

	if (b->n > 300 || getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST))
		return;
	tr_buf_addf(b, strchr(text, ':') ? "%s[%s]" : "%s%s", b->n ? "," : "", text);
}

static bool locate(struct webhook *w)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct addrinfo *found = NULL;
	struct tr_err err = { 0 };
	bool at_home;

	if (w->addresses[0] && tr_mono_ms() - w->resolved_at < NAMES_KEPT_MS)
		return true;
	if (tr_resolve(w->parts.host, w->parts.port, SOCK_STREAM, &found, &err)) {
		(void)snprintf(w->sink.why, sizeof(w->sink.why), "%s", err.detail);
		return false;
	}
	at_home = tr_resolved_loopback(found);
	for (const struct addrinfo *a = found; a; a = a->ai_next)
		add_address(&b, a);
	freeaddrinfo(found);
	if (w->plain_at_home && !at_home) {
		(void)snprintf(w->sink.why, sizeof(w->sink.why), "%s is not this machine: no plain text there",
			       w->parts.host);
		return false;
	}
	(void)snprintf(w->addresses, sizeof(w->addresses), "%s", tr_buf_cstr(&b));
	w->resolved_at = tr_mono_ms();
	return w->addresses[0] != '\0';
}

static void on_answer(void *arg, const struct tr_post_answer *a)
{
	struct webhook *w = arg;
	enum tr_said said = TR_SAID_LATER;

	if (a->status >= 200 && a->status < 300)
		said = TR_SAID_TAKEN;
	else if (a->status >= 400 && a->status < 500 && a->status != 408 && a->status != 429)
		said = TR_SAID_NEVER;
	/* The host and not the address: what is behind it is a secret with some receivers. */
	if (a->status)
		(void)snprintf(w->sink.why, sizeof(w->sink.why), "%s answered %d%s", w->parts.host, a->status,
			       a->status >= 300 && a->status < 400 ? ", and redirects are not followed" : "");
	else
		(void)snprintf(w->sink.why, sizeof(w->sink.why), "%s: %s", w->parts.host, a->why);
	if (!a->status)
		w->addresses[0] = '\0'; /* it may have moved */
	w->sink.done(w->sink.arg, w->sink.id, said, (uint64_t)a->retry_after_s * 1000);
}

static enum tr_said webhook_send(struct tr_sink *s, const struct tr_alert_row *const *rows, size_t n)
{
	struct webhook *w = (struct webhook *)s;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf signature = TR_BUF_INIT;
	char id[TR_WEBHOOK_ID_LEN], id_line[64], time_line[64];
	const char *headers[] = { "Content-Type: application/json", id_line, time_line, NULL, NULL };
	struct tr_post post = { .url = w->url, .addresses = w->addresses, .headers = headers };
	int64_t now_s = tr_now_ms() / 1000;
	struct tr_err err = { 0 };

	if (!locate(w))
		return TR_SAID_LATER;
	tr_webhook_body(w->external, rows, n, &body);
	tr_webhook_id(rows, n, id);
	tr_buf_adds(&signature, "webhook-signature: ");
	tr_webhook_sign(tr_view(tr_secret_p(w->secret), w->secret_n), id, now_s, tr_buf_view(&body), &signature);
	(void)snprintf(id_line, sizeof(id_line), "webhook-id: %s", id);
	(void)snprintf(time_line, sizeof(time_line), "webhook-timestamp: %lld", (long long)now_s);
	headers[3] = tr_buf_cstr(&signature);
	post.body = tr_buf_view(&body);
	if (!tr_buf_ok(&body) || !tr_buf_ok(&signature) || tr_poster_send(w->poster, &post, on_answer, w, &err)) {
		(void)snprintf(s->why, sizeof(s->why), "%s", err.code ? err.detail : "out of memory");
		return TR_SAID_LATER;
	}
	return TR_SAID_PENDING;
}

/* ---- life ---- */

static TR_RC webhook_start(struct tr_sink *s, struct tr_loop *loop, struct tr_err *err)
{
	return tr_poster_start(((struct webhook *)s)->poster, loop, err);
}

static struct tr_sink *webhook_free(struct tr_sink *s)
{
	struct webhook *w = (struct webhook *)s;

	if (w) {
		(void)tr_poster_free(w->poster);
		(void)tr_secret_free(w->secret);
	}
	free(w);
	return NULL;
}

static TR_RC read_secret(const struct tr_config *cfg, struct tr_secret **ret, size_t *ret_n, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf key = TR_BUF_INIT;
	struct tr_secret *s = NULL;
	enum tr_code rc = tr_config_read(cfg, cfg->alerts->webhook->secret_file, true, &text, err);

	if (!rc)
		rc = tr_webhook_secret(tr_buf_view(&text), &key, err);
	if (!rc && !(s = tr_secret_new(key.n)))
		rc = tr_err_set(err, TR_E_INTERNAL, "out of memory", "secret");
	if (!rc) {
		memcpy(tr_secret_p(s), key.p, key.n);
		*ret = s;
		*ret_n = key.n;
	}
	if (text.p)
		tr_wipe(text.p, text.cap);
	if (key.p)
		tr_wipe(key.p, key.cap);
	return rc ? tr_err_wrap(err, "alerts.webhook.secret_file") : TR_OK;
}

/* Every certificate of the file must be one: libcurl would only say, at the first alert, that it does not load. */
static TR_RC read_ca(const struct tr_config *cfg, struct tr_buf *pem, struct tr_err *err)
{
	const char *bundle = tr_post_system_ca();
	struct tr_view label, rest;

	if (!tr_view_starts(tr_view_str(cfg->alerts->webhook->url), "https:"))
		return TR_OK;
	/* Now, because the role may not open it later. */
	if (!cfg->alerts->webhook->ca_file) {
		if (!bundle || tr_file_read(bundle, SYSTEM_CA_MAX, pem, err))
			return tr_err_set(err, TR_E_NOTFOUND,
					  "the CA certificates of the system are missing: install ca-certificates, or name "
					  "a file in alerts.webhook.ca_file",
					  "%s", bundle ? bundle : "libcurl knows none");
		return TR_OK;
	}
	if (tr_config_read(cfg, cfg->alerts->webhook->ca_file, false, pem, err))
		return tr_err_wrap(err, "alerts.webhook.ca_file");
	rest = tr_buf_view(pem);
	do {
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
		tr_auto(tr_cert_free) struct tr_cert *cert = NULL;

		if (tr_pem_get(rest, &label, &der, &rest, err) || tr_cert_parse(tr_buf_view(&der), &cert, err))
			return tr_err_wrap(err, "alerts.webhook.ca_file");
	} while (tr_pem_more(rest));
	return TR_OK;
}

TR_RC tr_webhook_new(const struct tr_config *cfg, struct tr_sink **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf ca = TR_BUF_INIT;
	struct tr_post_config pc = { .timeout_s = TIMEOUT_S };
	const char *colon = strrchr(cfg->listen->operators, ':');
	struct webhook *w;

	if (!cfg->alerts->webhook)
		return TR_OK;
	w = calloc(1, sizeof(*w));
	if (!w)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "webhook");
	w->sink = (struct tr_sink){ .id = TR_SINK_WEBHOOK, .max = ROWS_MAX, .grouped = true, .send = webhook_send,
				    .start = webhook_start, .free = webhook_free };
	w->url = cfg->alerts->webhook->url;
	if (cfg->alerts->external_url)
		(void)snprintf(w->external, sizeof(w->external), "%s", cfg->alerts->external_url);
	else
		(void)snprintf(w->external, sizeof(w->external), "https://localhost%s", colon ? colon : "");
	if (read_secret(cfg, &w->secret, &w->secret_n, err) || read_ca(cfg, &ca, err) ||
	    !tr_url_split(w->url, &w->parts)) {
		(void)webhook_free(&w->sink);
		return err->code ? err->code : tr_err_set(err, TR_E_INVALID, "alerts.webhook.url is no address", "url");
	}
	w->plain_at_home = strcmp(w->parts.scheme, "http") == 0 && !cfg->alerts->webhook->allow_plain;
	pc.ca_pem = tr_buf_view(&ca);
	if (tr_poster_new(&pc, &w->poster, err)) {
		(void)webhook_free(&w->sink);
		return err->code;
	}
	*ret = &w->sink;
	return TR_OK;
}

TR_RC tr_notify_check(const struct tr_config *cfg, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf ca = TR_BUF_INIT;
	struct tr_secret *secret = NULL;
	enum tr_code rc;
	size_t n;

	if (!cfg->alerts->webhook)
		return TR_OK;
	rc = read_secret(cfg, &secret, &n, err);
	(void)tr_secret_free(secret);
	return rc ? rc : read_ca(cfg, &ca, err);
}
