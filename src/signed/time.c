/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/time.h"

enum { KEY_NONCE = 1, KEY_NS = 2 };

static bool nonce_ok(struct tr_view nonce)
{
	return nonce.n >= TR_TIME_NONCE_MIN && nonce.n <= TR_TIME_NONCE_MAX;
}

TR_RC tr_time_sign(struct tr_view nonce, int64_t ns, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	enum tr_code rc;

	if (!nonce_ok(nonce))
		return tr_err_set(err, TR_E_INVALID, "the nonce is not of 16 to 64 bytes", "%zu bytes", nonce.n);
	if (ns <= 0)
		return tr_err_set(err, TR_E_INVALID, "the time is before 1970", "signed time");
	tr_cbor_put_map(&payload, 2);
	tr_cbor_put_int(&payload, KEY_NONCE);
	tr_cbor_put_bytes(&payload, nonce);
	tr_cbor_put_int(&payload, KEY_NS);
	tr_cbor_put_int(&payload, ns);
	rc = tr_buf_check(&payload, err);
	return rc ? rc : tr_cose1_sign(k, TR_TIME_DOMAIN, tr_buf_view(&payload), ret, err);
}

TR_RC tr_time_verify(struct tr_view in, const struct tr_pubkey *k, struct tr_view nonce, int64_t *ret_ns,
		     struct tr_err *err)
{
	struct tr_view got = { NULL, 0 };
	struct tr_cbor_map m;
	struct tr_cbor r;
	struct tr_cose c;
	int64_t key, ns = 0;
	enum tr_code rc = tr_cose1_parse(in, TR_TIME_MAX, &c, err);

	if (!rc)
		rc = tr_cose1_verify(&c, k, TR_TIME_DOMAIN, err);
	if (rc)
		return tr_err_wrap(err, "signed time");
	r = tr_cbor_reader(c.payload);
	if (tr_cbor_map(&r, &m, 2) != 2)
		tr_cbor_fail(&r, "a signed time has exactly two members");
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_NONCE: got = tr_cbor_bytes(&r); break;
		case KEY_NS: ns = tr_cbor_int(&r); break;
		default: tr_cbor_fail(&r, "unknown member of a signed time");
		}
	}
	if (!r.error && (!nonce_ok(got) || ns <= 0))
		tr_cbor_fail(&r, "the nonce's length or the time is out of range");
	rc = tr_cbor_end(&r, err);
	if (rc)
		return tr_err_wrap(err, "signed time");
	/* Not secret: the nonce went over the wire in clear. */
	if (!tr_view_eq(got, nonce))
		return tr_err_set(err, TR_E_CONFLICT, "the signed time answers another question", "nonce differs");
	*ret_ns = ns;
	return TR_OK;
}
