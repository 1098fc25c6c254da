/* SPDX-License-Identifier: Apache-2.0 */
#include "tee/tpm.h"

#include "base/file.h"
#include "codec/cbor.h"
#include "tee/tee_inner.h"
#include "tee/tpm_esys.h"

#include <stdio.h>

#define ALL_PCRS 0xffffffu
#define DEVICE "device:/dev/tpmrm0"
#define BOOT_LOG "/sys/kernel/security/tpm0/binary_bios_measurements"
#define IMA_LOG "/sys/kernel/security/ima/binary_runtime_measurements"
#define RACES 5
#define SET_REST 4096 /* what is in a set besides its largest parts */

/* tpm-ak.cbor: {1: TPM2B_PRIVATE, 2: TPM2B_PUBLIC, 3: Name of the endorsement key} */
struct ak_file {
	struct tr_view private_blob, public_area, ek_name;
};

static void put_file(struct tr_buf *b, const struct ak_file *f)
{
	tr_cbor_put_map(b, 3);
	tr_cbor_put_uint(b, 1);
	tr_cbor_put_bytes(b, f->private_blob);
	tr_cbor_put_uint(b, 2);
	tr_cbor_put_bytes(b, f->public_area);
	tr_cbor_put_uint(b, 3);
	tr_cbor_put_bytes(b, f->ek_name);
}

static TR_RC get_file(struct tr_view in, struct ak_file *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_cbor_map m;
	int64_t key;

	*ret = (struct ak_file){ 0 };
	(void)tr_cbor_map(&r, &m, 3);
	while (tr_cbor_key_int(&r, &m, &key)) {
		struct tr_view v = tr_cbor_bytes(&r);

		if (key == 1)
			ret->private_blob = v;
		else if (key == 2)
			ret->public_area = v;
		else if (key == 3)
			ret->ek_name = v;
		else
			tr_cbor_fail(&r, "an unknown member");
	}
	if (tr_cbor_end(&r, err) || !ret->private_blob.n || !ret->public_area.n || !ret->ek_name.n)
		return tr_err_set(err, TR_E_INVALID, "the attestation key's file is damaged: delete it and attest anew",
				  TR_TPM_AK_FILE " is no map of three byte strings");
	return TR_OK;
}

/* An open TPM with its keys. */
struct self {
	struct tr_tpm_dev *dev;
	struct tr_tpm_identity id;
	uint8_t ek_name[66];
	size_t ek_name_len;
};

static void self_done(struct self *s)
{
	s->dev = tr_tpm_dev_close(s->dev);
	tr_tpm_identity_done(&s->id);
}
TR_DEFINE_AUTO_DONE(struct self, self_done)

static TR_RC another_tpm(struct tr_err *err)
{
	return tr_err_set(err, TR_E_DENIED,
			  "The attestation key in the state folder is another TPM's: the folder was copied, or the TPM exchanged.",
			  "%s is not of this TPM; nothing was changed", TR_TPM_AK_FILE);
}

static TR_RC make_ak(struct self *s, const char *path, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf blob = TR_BUF_INIT, file = TR_BUF_INIT;
	struct ak_file f;

	/* Older TPMs have no P-256. */
	if (tr_tpm_dev_ak_create(s->dev, false, &blob, &s->id.ak_public, err) &&
	    tr_tpm_dev_ak_create(s->dev, true, &blob, &s->id.ak_public, err))
		return err->code;
	f = (struct ak_file){ tr_buf_view(&blob), tr_buf_view(&s->id.ak_public), tr_view(s->ek_name, s->ek_name_len) };
	put_file(&file, &f);
	if (tr_buf_check(&file, err) || tr_tpm_dev_ak_load(s->dev, f.private_blob, f.public_area, err))
		return err->code;
	/* Never over another: two processes would end with two keys, one of them activated. */
	return tr_file_create(path, tr_buf_view(&file), 0600, err);
}

static TR_RC load_ak(struct self *s, const char *path, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT;
	struct ak_file f;
	enum tr_code rc = tr_file_read(path, 8192, &file, err);

	if (rc == TR_E_NOTFOUND)
		return make_ak(s, path, err);
	if (rc || get_file(tr_buf_view(&file), &f, err))
		return err->code;
	tr_buf_addv(&s->id.ak_public, f.public_area);
	if (tr_buf_check(&s->id.ak_public, err))
		return err->code;
	if (!tr_view_eq(f.ek_name, tr_view(s->ek_name, s->ek_name_len)))
		return another_tpm(err);
	rc = tr_tpm_dev_ak_load(s->dev, f.private_blob, f.public_area, err);
	return rc == TR_E_DENIED ? another_tpm(err) : rc;
}

static TR_RC open_self(const struct tr_tee_conf *c, struct self *s, struct tr_err *err)
{
	struct tr_tpm_public ek;
	char path[1100];

	if (!c->state_dir)
		return tr_err_set(err, TR_E_INTERNAL, "no folder for the attestation key", "state_dir");
	if (snprintf(path, sizeof(path), "%s/%s", c->state_dir, TR_TPM_AK_FILE) >= (int)sizeof(path))
		return tr_err_set(err, TR_E_INVALID, "the state folder's path is too long", "state_dir");
	if (tr_tpm_dev_open(c->tpm_tcti, &s->dev, err) || tr_tpm_dev_ek(s->dev, &s->id.ek_public, err) ||
	    tr_tpm_dev_ek_cert(s->dev, &s->id.ek_cert, err) || tr_tpm_public_parse(tr_buf_view(&s->id.ek_public), &ek, err))
		return err->code;
	memcpy(s->ek_name, ek.name, ek.name_len);
	s->ek_name_len = ek.name_len;
	return load_ak(s, path, err);
}

void tr_tpm_identity_done(struct tr_tpm_identity *i)
{
	tr_buf_done(&i->ak_public);
	tr_buf_done(&i->ek_public);
	tr_buf_done(&i->ek_cert);
}

TR_RC tr_tpm_identity(const struct tr_tee_conf *c, struct tr_tpm_identity *ret, struct tr_err *err)
{
	tr_auto(self_done) struct self s = { 0 };
	enum tr_code rc = open_self(c, &s, err);

	if (rc && rc != TR_E_DENIED)
		return rc;
	*ret = s.id;
	s.id = (struct tr_tpm_identity){ 0 };
	return rc;
}

TR_RC tr_tpm_activate(const struct tr_tee_conf *c, struct tr_view blob, struct tr_view secret, struct tr_buf *ret,
		      struct tr_err *err)
{
	tr_auto(self_done) struct self s = { 0 };

	if (open_self(c, &s, err))
		return err->code;
	return tr_tpm_dev_activate(s.dev, blob, secret, ret, err);
}

static const char *tcti_of(const struct tr_tee_conf *c)
{
	return c->tpm_tcti ? c->tpm_tcti : DEVICE;
}

static bool present(const struct tr_tee_conf *c, char why_not[160])
{
	const char *tcti = tcti_of(c), *path = NULL;

	if (strcmp(tcti, "none") == 0) {
		(void)snprintf(why_not, 160, "tcti says none");
		return false;
	}
	if (strncmp(tcti, "device:", 7) == 0)
		path = tcti + 7;
	else if (strncmp(tcti, "swtpm:path=", 11) == 0)
		path = tcti + 11;
	if (!path || c->ops->access(c->ops->arg, path) == 0)
		return true;
	(void)snprintf(why_not, 160, "no TPM at %.120s", path);
	return false;
}

/* Does the quote cover the values that were read? Whoever extends a PCR in between (IMA does) makes them differ. */
static bool same_pcrs(struct tr_view attest, const struct tr_tpm_reading *pcrs)
{
	struct tr_view values[TR_TPM_PCRS];
	enum tr_tee_code code;
	struct tr_tpm_attest a;
	struct tr_err err;
	uint8_t digest[64];

	if (tr_tpm_attest_parse(attest, &a, &code, &err))
		return false;
	for (size_t i = 0; i < pcrs->n; i++)
		values[i] = pcrs->pcrs[i].value;
	tr_raw_digest(TR_HASH_SHA256, values, pcrs->n, digest);
	return tr_view_eq(a.pcr_digest, tr_view(digest, 32));
}

static TR_RC quote_pcrs(struct self *s, const struct tr_tee_ask *ask, struct tr_tpm_reading *pcrs, struct tr_buf *ret_attest,
			struct tr_buf *ret_signature, struct tr_err *err)
{
	for (unsigned i = 0; i < RACES; i++) {
		tr_buf_clear(ret_attest);
		tr_buf_clear(ret_signature);
		if (tr_tpm_dev_pcrs(s->dev, ALL_PCRS, pcrs, err) ||
		    tr_tpm_dev_quote(s->dev, TR_VIEW_ARRAY(ask->qualifying), ALL_PCRS, ret_attest, ret_signature, err))
			return err->code;
		if (same_pcrs(tr_buf_view(ret_attest), pcrs))
			return TR_OK;
	}
	return tr_err_set(err, TR_E_BUSY, "The PCRs change faster than they can be read.", "%d tries", RACES);
}

/* Logs are the machine's own: they belong to its device, not to a TPM that somebody simulates beside it. */
static void read_log(const struct tr_tee_conf *c, const char *named, const char *own, size_t *room, struct tr_buf *ret)
{
	const char *path = named ? named : strcmp(tcti_of(c), DEVICE) == 0 ? own : NULL;
	struct tr_err err;

	/* One that does not fit, or may not be read, is not sent: the server's policy says whether it must be. */
	if (!path || tr_file_read(path, *room, ret, &err))
		tr_buf_clear(ret);
	*room -= ret->n;
}

static TR_RC quote(const struct tr_tee_conf *c, const struct tr_tee_ask *ask, struct tr_buf *ret_set, struct tr_err *err)
{
	tr_auto(self_done) struct self s = { 0 };
	tr_auto(tr_buf_done) struct tr_buf attest = TR_BUF_INIT, signature = TR_BUF_INIT, pcrs = TR_BUF_INIT, log = TR_BUF_INIT,
				  ima = TR_BUF_INIT;
	size_t room = TR_TEE_SET_MAX - SET_REST;
	struct tr_tpm_reading reading;

	if (open_self(c, &s, err) || quote_pcrs(&s, ask, &reading, &attest, &signature, err))
		return err->code;
	tr_tpm_pcrs_put(reading.pcrs, reading.n, &pcrs);
	if (tr_buf_check(&pcrs, err))
		return err->code;
	room -= s.id.ek_cert.n;
	read_log(c, c->tpm_event_log, BOOT_LOG, &room, &log);
	read_log(c, c->tpm_ima_log, IMA_LOG, &room, &ima);
	{
		const struct tr_tee_set set = {
			.kind = TR_TEE_TPM, .quote = tr_buf_view(&attest), .signature = tr_buf_view(&signature),
			.ak_public = tr_buf_view(&s.id.ak_public),
			.ek_cert = tr_buf_view(s.id.ek_cert.n ? &s.id.ek_cert : &s.id.ek_public),
			.pcrs = tr_buf_view(&pcrs), .event_log = tr_buf_view(&log), .ima_log = tr_buf_view(&ima),
		};

		return tr_tee_emit(&set, ret_set, err);
	}
}

const struct tr_tee_source tr_tee_tpm = { .name = "tpm", .platforms = " auto tpm ", .present = present, .quote = quote };
