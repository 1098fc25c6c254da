/* SPDX-License-Identifier: Apache-2.0 */
/* The role `keys`: holds the private keys and signs what it built itself from fields that core named. It parses nothing from
 * outside and keeps its own bounds, so that a stolen core cannot have just anything signed: only agent leaves, only in
 * its own trust domain, only for so long; the time, over a stranger's nonce, when it is near our own; commands
 * (keyring_commands.c), and results of appraisals (keyring_result.c). */
#include "server/hsm.h"
#include "server/keyring.h"
#include "server/role.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/ident.h"
#include "codec/pem.h"
#include "crypto/x509.h"
#include "signed/time.h"

#include <unistd.h>

#define BACKDATE_MS (10 * 60 * 1000) /* an agent's clock may be behind ours */
#define DAY_NS (86400LL * 1000000000)
#define TIMES_PER_SECOND 200
#define TOKEN_EVERY_MS 20000 /* is it still there? */
#define REFUSED_PIN_S 600

struct keys {
	const struct tr_config *cfg;
	struct tr_privkey *ca_key;
	struct tr_cert *ca;
	struct tr_keyring ring; /* keys that sign commands */
	struct tr_hsm hsm;      /* module NULL: no token; its keys are in ca_key and ring */
	const struct tr_privkey *in_token[2]; /* those */
	bool token_told;        /* core believes that it is there */
	struct tr_loop *loop;
	struct tr_chan *core;
	struct tr_watch *timer;
	uint64_t second; /* the running one, monotonic */
	unsigned times;  /* signed in it */
};

/* ---- what is held, and the token ---- */

static void add_held(struct tr_buf *list, enum tr_key_role role, const char *origin, const char *name,
		     const struct tr_pubkey *pub)
{
	struct tr_msg_held h = { .role = tr_view_str(tr_key_role_name(role)), .origin = tr_view_str(origin),
				 .name = tr_view_str(name), .key_type = tr_view_str(tr_pubkey_type_name(pub)),
				 .spki = tr_pubkey_spki(pub) };

	tr_records_add(list, &tr_msg_held_def, &h);
}

/* What needs no row to be opened: core makes rows of these, and signs with none that is not in the list. */
static void tell_core(struct keys *k)
{
	tr_auto(tr_buf_done) struct tr_buf list = TR_BUF_INIT;
	struct tr_msg_keys_held m;
	bool ca_in_token = k->hsm.module && k->cfg->pkcs11->ca;

	k->token_told = k->hsm.module && tr_p11_is_well(k->hsm.module);
	if (!ca_in_token)
		add_held(&list, TR_ROLE_CA, "file", "keys/ca.key", tr_privkey_pub(k->ca_key));
	else if (k->token_told)
		add_held(&list, TR_ROLE_CA, "pkcs11", "CA in the token", tr_privkey_pub(k->ca_key));
	if (k->token_told && k->in_token[1])
		add_held(&list, TR_ROLE_COMMAND, "pkcs11", "command key in the token", tr_privkey_pub(k->in_token[1]));
	m.keys = tr_buf_view(&list);
	tr_chan_send_record(k->core, TR_M_KEYS_HELD, 0, &tr_msg_keys_held_def, &m);
}

/* After whatever may have needed the token. */
static void watch_token(struct keys *k)
{
	if (!k->hsm.module || tr_p11_is_well(k->hsm.module) == k->token_told)
		return;
	tr_log(TR_LOG_ERROR, k->token_told ? "token_away" : "token_back", NULL);
	tell_core(k);
	tr_timer_arm(k->timer, k->token_told ? TOKEN_EVERY_MS : TR_P11_RETRY_MS);
}

static void on_timer(void *arg)
{
	struct keys *k = arg;
	uint8_t sig[TR_SIG_MAX];
	struct tr_err err = { 0 };
	size_t n;

	for (size_t i = 0; i < TR_ARRAY_LEN(k->in_token); i++)
		if (k->in_token[i] && tr_sign(k->in_token[i], tr_privkey_alg(k->in_token[i]),
					      TR_VIEW_LIT("troth: is the token still there?"), sig, &n, &err))
			tr_log_err(TR_LOG_WARN, "token_does_not_sign", &err, "pub", err.pub, NULL);
	watch_token(k);
	tr_timer_arm(k->timer, k->token_told ? TOKEN_EVERY_MS : TR_P11_RETRY_MS);
}

static void tell_first(void *arg, struct tr_chan *core)
{
	struct keys *k = arg;
	struct tr_err err = { 0 };

	k->core = core;
	tell_core(k);
	if (!k->hsm.module)
		return;
	if (tr_watch_timer(k->loop, on_timer, k, &k->timer, &err))
		tr_log_err(TR_LOG_ERROR, "token_not_watched", &err, NULL);
	else
		tr_timer_arm(k->timer, TOKEN_EVERY_MS);
}

/* ---- certificates and the time ---- */

static TR_RC issue(struct keys *k, const struct tr_msg_issue *q, struct tr_buf *der, struct tr_err *err)
{
	char spiffe[TR_SPIFFE_MAX], cn[65];
	int64_t now = tr_now_ms();
	int64_t longest = now + (int64_t)k->cfg->certificate_hours * 3600000;

	if (!tr_ident_ok(q->agent_id))
		return tr_err_set(err, TR_E_INVALID, "not an agent id", "issue");
	(void)snprintf(spiffe, sizeof(spiffe), "spiffe://%s/agent/%.*s", k->cfg->trust_domain, TR_VIEW_FMT(q->agent_id));
	/* For people, and never a host's name: some verifiers compare it when a certificate names no host. */
	(void)snprintf(cn, sizeof(cn), "agent %.*s", TR_VIEW_FMT(q->agent_id));
	struct tr_cert_spec spec = {
		.spki = q->spki,
		.common_name = cn,
		.spiffe = spiffe,
		.not_before_ms = now - BACKDATE_MS,
		.not_after_ms = q->not_after && q->not_after < longest ? q->not_after : longest,
		.client_auth = true,
		.server_auth = true, /* X.509-SVID: EKU, if present, has both */
	};
	if (spec.not_after_ms > tr_cert_not_after_ms(k->ca))
		spec.not_after_ms = tr_cert_not_after_ms(k->ca);
	/* The subject's key was parsed in the sandbox; issuing looks at it again for strength and leaks. */
	return tr_cert_issue_by(k->ca_key, k->ca, &spec, der, err);
}

static void on_issue(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct keys *k = arg;
	struct tr_msg_issue q;
	struct tr_msg_issued a = { 0 };
	struct tr_err err = { 0 };
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf serial = TR_BUF_INIT;
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;

	if (tr_record_decode(&tr_msg_issue_def, f->payload, &q, &err) || issue(k, &q, &der, &err) ||
	    tr_cert_parse(tr_buf_view(&der), &cert, &err)) {
		tr_log_err(TR_LOG_WARN, "certificate_refused", &err, NULL);
		a.code = err.code;
		a.why = tr_view_str(err.pub);
	} else {
		tr_cert_serial_hex(cert, &serial);
		a.der = tr_buf_view(&der);
		a.serial = tr_buf_view(&serial);
	}
	tr_chan_send_record(c, TR_M_ISSUED, f->id, &tr_msg_issued_def, &a);
	watch_token(k);
}

static TR_RC sign_time(struct keys *k, const struct tr_msg_sign_time *q, struct tr_buf *out, struct tr_err *err)
{
	int64_t off = q->now_ns / 2 - tr_now_ns() / 2;
	uint64_t second = tr_mono_ms() / 1000;

	if (off > DAY_NS / 2 || off < -DAY_NS / 2)
		return tr_err_set(err, TR_E_INVALID, "the server's processes do not agree on the time", "sign time");
	if (second != k->second) {
		k->second = second;
		k->times = 0;
	}
	if (++k->times > TIMES_PER_SECOND)
		return tr_err_set(err, TR_E_BUSY, "the signed time is asked for too often; try again in a second", "sign time");
	return tr_time_sign(q->nonce, q->now_ns, k->ca_key, out, err);
}

static void on_sign_time(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_msg_sign_time q;
	struct tr_msg_time_signed a = { 0 };
	struct tr_err err = { 0 };
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;

	if (tr_record_decode(&tr_msg_sign_time_def, f->payload, &q, &err) || sign_time(arg, &q, &out, &err)) {
		a.code = err.code;
		a.why = tr_view_str(err.pub);
	} else {
		a.signed_time = tr_buf_view(&out);
	}
	tr_chan_send_record(c, TR_M_TIME_SIGNED, f->id, &tr_msg_time_signed_def, &a);
	watch_token(arg);
}

/* ---- the ring ---- */

static void on_load(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct keys *k = arg;

	tr_keyring_on_load(&k->ring, c, f);
}

static void on_make(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct keys *k = arg;

	tr_keyring_on_make(&k->ring, c, f);
}

static void on_sign(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct keys *k = arg;

	tr_keyring_on_sign(&k->ring, c, f);
	watch_token(k);
}

static void on_original(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct keys *k = arg;

	tr_keyring_on_original(&k->ring, c, f);
	watch_token(k);
}

static void on_result(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct keys *k = arg;

	tr_keyring_on_result(&k->ring, k->ca_key, k->ca, c, f);
	watch_token(k);
}

static const struct tr_frame_rule rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_SIGN_RESULT] = { on_result, 6000 },
	[TR_M_SIGN_ORIGINAL] = { on_original, 25600 },
	[TR_M_KEYS_LOAD] = { on_load, 901000 },
	[TR_M_MAKE_KEY] = { on_make, 64 },
	[TR_M_SIGN_COMMANDS] = { on_sign, 901000 },
	[TR_M_ISSUE] = { on_issue, 2048 },
	[TR_M_SIGN_TIME] = { on_sign_time, 256 },
};

static TR_RC open_ca(struct keys *k, struct tr_buf *ca_pem, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view label, rest;

	if (tr_pem_get(tr_buf_view(ca_pem), &label, &der, &rest, err) || tr_cert_parse(tr_buf_view(&der), &k->ca, err))
		return tr_err_wrap(err, "keys/ca.crt");
	if (!tr_cert_key(k->ca) || memcmp(tr_pubkey_id(tr_cert_key(k->ca)), tr_pubkey_id(tr_privkey_pub(k->ca_key)), 32) != 0)
		return tr_err_set(err, TR_E_INVALID, "keys/ca.crt is not the certificate of the CA key; restore the one that is",
				  "CA key of %s", k->hsm.module ? "the token" : "keys/ca.key");
	return TR_OK;
}

static TR_RC open_token(struct keys *k, struct tr_err *err)
{
	tr_role_use_token(k->hsm.folders);
	if (tr_hsm_open_configured(k->cfg, true, &k->hsm, err))
		return err->code;
	if (tr_sandbox_one_thread(err))
		return err->code;
	k->in_token[0] = k->hsm.ca;
	k->in_token[1] = k->hsm.command;
	if (k->hsm.ca)
		k->ca_key = TR_TAKE(k->hsm.ca);
	if (k->hsm.command)
		return tr_keyring_add(&k->ring, TR_ROLE_COMMAND, TR_TAKE(k->hsm.command), false, err);
	return TR_OK;
}

/* Files first, as whoever was started; the token's library only when root is given up. */
static TR_RC open_all(struct keys *k, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	char path[4096];

	tr_config_path(k->cfg, "keys/ca.key", path, sizeof(path));
	if (!(k->cfg->pkcs11 && k->cfg->pkcs11->ca) && tr_privkey_load(path, &k->ca_key, err))
		return tr_err_wrap(err, "CA");
	if (tr_config_read(k->cfg, "keys/ca.crt", false, &pem, err) || tr_keyring_open(&k->ring, k->cfg, err))
		return err->code;
	if (k->cfg->pkcs11 && open_token(k, err)) {
		/* Tokens lock after a few tries; the supervisor, which starts this role again and again, is made to wait
		 * until somebody had time to look. The first start tells at once (tr_supervisor_check). */
		if (err->code == TR_E_DENIED && !tr_role_is_probe()) {
			tr_log_err(TR_LOG_ERROR, "token_refuses_pin", err, "pub", err->pub, NULL);
			(void)sleep(REFUSED_PIN_S);
		}
		return err->code;
	}
	return open_ca(k, &pem, err);
}

TR_RC tr_role_keys(const struct tr_config *cfg, struct tr_err *err)
{
	static struct keys k;
	enum tr_code rc;

	k.cfg = cfg;
	rc = open_all(&k, err);
	if (!rc)
		rc = tr_role_serve_telling(TR_PROC_KEYS, rules, &k, &k.loop, tell_first, err);
	tr_keyring_done(&k.ring);
	k.ca_key = tr_privkey_free(k.ca_key);
	k.ca = tr_cert_free(k.ca);
	tr_hsm_done(&k.hsm);
	return rc;
}
