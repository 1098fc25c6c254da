/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/attest_tpm.h"

#include "codec/cbor.h"
#include "tee/tpm.h"

#define TIMEOUT_MS 30000

struct credential {
	struct tr_view id, blob, secret;
};

static TR_RC read_credential(struct tr_view in, struct credential *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_cbor_map m;
	int64_t key;

	*ret = (struct credential){ 0 };
	(void)tr_cbor_map(&r, &m, 8);
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case 1: ret->id = tr_cbor_bytes(&r); break;
		case 2: ret->blob = tr_cbor_bytes(&r); break;
		case 3: ret->secret = tr_cbor_bytes(&r); break;
		default: (void)tr_cbor_any(&r); /* a newer server's */
		}
	}
	if (tr_cbor_end(&r, err) || ret->id.n != 16 || !ret->blob.n || !ret->secret.n)
		return tr_err_set(err, TR_E_INVALID, "the server's credential is not of the documented form", "tpm-credential");
	return TR_OK;
}

static TR_RC ask(const struct tr_attest_io *io, const struct tr_tpm_identity *i, struct tr_client_answer *ret,
		 struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	struct tr_client_request q = { .method = "POST", .path = "/api/v1/agent/tpm-credential",
				       .content_type = "application/cbor", .timeout_ms = TIMEOUT_MS, .verify_time_ms = io->verify_ms };

	tr_cbor_put_map(&body, 2);
	tr_cbor_put_uint(&body, 1);
	tr_cbor_put_bytes(&body, tr_buf_view(&i->ak_public));
	tr_cbor_put_uint(&body, 2);
	tr_cbor_put_bytes(&body, tr_buf_view(i->ek_cert.n ? &i->ek_cert : &i->ek_public));
	if (tr_buf_check(&body, err))
		return err->code;
	q.body = tr_buf_view(&body);
	return tr_client_do(io->client, &q, ret, err);
}

TR_RC tr_attest_activate(const struct tr_attest_io *io, const struct tr_tee_choice *c, struct tr_client_answer *ret_answer,
			 struct tr_buf *ret_id, struct tr_buf *ret_secret, struct tr_err *err)
{
	tr_auto(tr_tpm_identity_done) struct tr_tpm_identity i = { 0 };
	enum tr_code rc = tr_tpm_identity(&c->conf, &i, err);
	struct tr_err none = { 0 };
	struct credential got;

	/* A copied folder can prove nothing here; those who watch over the other machine hear of it all the same. */
	if (rc == TR_E_DENIED)
		return !ask(io, &i, ret_answer, &none) && ret_answer->status != 200 ? TR_OK : rc;
	if (rc || ask(io, &i, ret_answer, err))
		return err->code;
	if (ret_answer->status != 200)
		return TR_OK;
	if (read_credential(tr_buf_view(&ret_answer->body), &got, err) ||
	    tr_tpm_activate(&c->conf, got.blob, got.secret, ret_secret, err))
		return tr_err_wrap(err, "activation");
	tr_buf_addv(ret_id, got.id);
	return tr_buf_check(ret_id, err);
}
