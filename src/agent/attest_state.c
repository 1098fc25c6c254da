/* SPDX-License-Identifier: Apache-2.0 */
/* tee.json and attestation.json, and the source that they and TEE_PLATFORM name. */
#include "agent/attest.h"
#include "agent/tee_secretvm.h"

#include "base/log.h"

#include <stdlib.h>

#define FILE_MAX 16384

#define F(T, m, type, max) TR_FIELD(T, m, TR_F_##type, max, 0)
static const struct tr_field settings_fields[] = {
	F(tr_tee_settings, platform, IDENT, 16),       F(tr_tee_settings, seed, TEXT, 1024),
	F(tr_tee_settings, sim_kind, IDENT, 8),	       F(tr_tee_settings, sim_program, TEXT, 96),
	F(tr_tee_settings, sim_debug, BOOL, 0),	       F(tr_tee_settings, tcti, TEXT, 1024),
	F(tr_tee_settings, secretvm_url, TEXT, 256),   F(tr_tee_settings, secretvm_scheme, TEXT, 32),
	F(tr_tee_settings, secretvm_quote, TEXT, 1024),
};
TR_RECORD(tr_tee_settings_def, tr_tee_settings, settings_fields);
static const struct tr_field attestation_fields[] = {
	F(tr_attestation, state, IDENT, 16),	 F(tr_attestation, source, TEXT, 32),
	F(tr_attestation, kind, IDENT, 8),	 F(tr_attestation, policy, IDENT, 64),
	F(tr_attestation, verdict, IDENT, 16),	 F(tr_attestation, tier, TEXT, 24),
	F(tr_attestation, tcb_status, TEXT, 48), F(tr_attestation, simulated, BOOL, 0),
	F(tr_attestation, verified_at, TIME_MS, 0), F(tr_attestation, expires_at, TIME_MS, 0),
	F(tr_attestation, key_id, HEX, 32),	 F(tr_attestation, code, TEXT, 64),
	F(tr_attestation, why, TEXT, 1024),	 F(tr_attestation, failed_at, TIME_MS, 0),
	F(tr_attestation, failures, U64, 0),
};
/* Lenient: an older agent reads what a newer one left. */
TR_RECORD_LENIENT(tr_attestation_file_def, tr_attestation, attestation_fields);

static TR_RC save(const struct tr_state *s, const char *name, const struct tr_record *def, const void *rec, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	tr_record_to_json(def, rec, &text);
	tr_buf_adds(&text, "\n");
	if (tr_buf_check(&text, err))
		return err->code;
	return tr_state_write(s, name, tr_buf_view(&text), err);
}

static TR_RC load(const struct tr_state *s, const char *name, const struct tr_record *def, struct tr_json **ret_doc,
		  struct tr_buf *arena, void *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	enum tr_code rc = tr_state_read(s, name, FILE_MAX, &text, err);

	if (!rc)
		rc = tr_json_parse(tr_buf_view(&text), ret_doc, err);
	if (!rc)
		rc = tr_record_from_json(def, tr_json_root(*ret_doc), arena, ret, err);
	if (rc == TR_E_INVALID)
		return tr_err_wrap(err, "%s", name);
	return rc;
}

TR_RC tr_tee_settings_save(const struct tr_state *s, const struct tr_tee_settings *t, struct tr_err *err)
{
	return save(s, TR_TEE_CONF_FILE, &tr_tee_settings_def, t, err);
}

TR_RC tr_attestation_save(const struct tr_state *s, const struct tr_attestation *a, struct tr_err *err)
{
	return save(s, TR_ATTESTATION_FILE, &tr_attestation_file_def, a, err);
}

TR_RC tr_attestation_load(const struct tr_state *s, struct tr_json **ret_doc, struct tr_buf *arena, struct tr_attestation *ret,
			  struct tr_err *err)
{
	return load(s, TR_ATTESTATION_FILE, &tr_attestation_file_def, ret_doc, arena, ret, err);
}

void tr_tee_choice_done(struct tr_tee_choice *c)
{
	c->doc = tr_json_free(c->doc);
	tr_buf_done(&c->arena);
	tr_buf_done(&c->text);
}

/* Texts of the settings, each with a NUL of its own; where the buffer moved, offsets would be needed, so it is sized once. */
static const char *text_of(struct tr_buf *b, struct tr_view v, const char *otherwise)
{
	uint8_t *p = v.n ? tr_buf_space(b, v.n + 1) : NULL;

	if (!p)
		return otherwise;
	memcpy(p, v.p, v.n);
	p[v.n] = 0;
	return (const char *)p;
}

TR_RC tr_tee_choice_make(const struct tr_state *s, struct tr_tee_choice *ret, struct tr_err *err)
{
	struct tr_tee_choice c = { 0 };
	struct tr_tee_settings *t = &c.settings;
	const char *env = getenv("TEE_PLATFORM");
	enum tr_code rc = load(s, TR_TEE_CONF_FILE, &tr_tee_settings_def, &c.doc, &c.arena, t, err);

	if (rc == TR_E_NOTFOUND) {
		rc = TR_OK;
		*err = (struct tr_err){ 0 }; /* whoever keeps it would take it for a source that cannot be used */
	}
	if (!rc && !tr_buf_space(&c.text, FILE_MAX))
		rc = tr_err_set(err, TR_E_INTERNAL, "out of memory", TR_TEE_CONF_FILE);
	if (rc) {
		tr_tee_choice_done(&c);
		return rc;
	}
	tr_buf_clear(&c.text); /* it has room for all of them now and does not move */
	tr_tee_conf_init(&c.conf);
	c.conf.platform = env && *env ? env : text_of(&c.text, t->platform, c.conf.platform);
	c.conf.sim_seed = text_of(&c.text, t->seed, NULL);
	c.conf.sim_kind = text_of(&c.text, t->sim_kind, "tdx");
	c.conf.sim_program = text_of(&c.text, t->sim_program, NULL);
	c.conf.sim_debug = t->sim_debug;
	c.conf.tpm_tcti = text_of(&c.text, t->tcti, c.conf.tpm_tcti);
	c.conf.secretvm_scheme = text_of(&c.text, t->secretvm_scheme, c.conf.secretvm_scheme);
	c.conf.secretvm_quote = text_of(&c.text, t->secretvm_quote, c.conf.secretvm_quote);
	/* Only where "secretvm" was named: it is never looked for. */
	c.conf.fetch = tr_secretvm_fetch;
	c.conf.fetch_arg = (void *)text_of(&c.text, t->secretvm_url, NULL);
	c.conf.state_dir = s->dir;
	rc = tr_tee_choose(&c.conf, &c.source, err);
	if (rc) {
		tr_tee_choice_done(&c);
		return rc;
	}
	*ret = c;
	return TR_OK;
}
