/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/cose1.h"

struct tr_view tr_cose1_kid(const struct tr_pubkey *k)
{
	return tr_view(tr_pubkey_id(k), TR_KID_LEN);
}

TR_RC tr_cose1_sign_alg(const struct tr_privkey *k, enum tr_sig_alg alg, const char *domain,
			struct tr_view payload, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf hdr = TR_BUF_INIT, tbs = TR_BUF_INIT;
	uint8_t sig[TR_SIG_MAX];
	size_t n = 0;
	enum tr_code rc;

	if (tr_sig_alg_cose(alg) == 0)
		return tr_err_set(err, TR_E_INVALID, "the signature scheme has no COSE form", "alg %d",
				  (int)alg);
	tr_cose_put_protected(&hdr, tr_sig_alg_cose(alg), tr_cose1_kid(tr_privkey_pub(k)));
	tr_cose_sign1_tbs(&tbs, tr_buf_view(&hdr), tr_view_str(domain), payload);
	/* A header that failed would read as none, and be signed as that. */
	rc = tr_buf_check(&hdr, err);
	if (!rc)
		rc = tr_buf_check(&tbs, err);
	if (rc)
		return rc;
	rc = tr_sign(k, alg, tr_buf_view(&tbs), sig, &n, err);
	if (rc)
		return tr_err_wrap(err, "sign %s", domain);
	tr_cose_put_sign1(ret, tr_buf_view(&hdr), payload, tr_view(sig, n));
	return tr_buf_check(ret, err);
}

TR_RC tr_cose1_sign(const struct tr_privkey *k, const char *domain, struct tr_view payload,
		    struct tr_buf *ret, struct tr_err *err)
{
	return tr_cose1_sign_alg(k, tr_privkey_alg(k), domain, payload, ret, err);
}

TR_RC tr_cose1_seal(const struct tr_privkey *k, enum tr_sig_alg alg, const char *domain, const struct tr_buf *payload,
		    size_t max, const char *long_why, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;
	enum tr_code rc = tr_buf_check(payload, err);

	if (!rc)
		rc = tr_cose1_sign_alg(k, alg, domain, tr_buf_view(payload), &out, err);
	if (rc)
		return rc;
	/* What nobody would read is not signed. */
	if (out.n > max)
		return tr_err_set(err, TR_E_INVALID, long_why, "%zu bytes", out.n);
	tr_buf_addv(ret, tr_buf_view(&out));
	return tr_buf_check(ret, err);
}

/* The one form, without writing it out to compare: what the parser let pass is deterministic, so a map of two members with
 * alg and kid among them, and an empty map behind it, are these bytes and no others. */
static bool is_our_form(const struct tr_cose *c)
{
	const struct tr_view hdr = c->body_protected;
	uintptr_t kid = (uintptr_t)c->sigs[0].kid.p, from = (uintptr_t)hdr.p;

	return hdr.n && hdr.p[0] == 0xa2 && kid > from && kid < from + hdr.n &&
	       hdr.p[hdr.n] == 0xa0; /* the unprotected map, which the parser has read */
}

TR_RC tr_cose1_parse(struct tr_view in, size_t max, struct tr_cose *ret, struct tr_err *err)
{
	struct tr_cose c;
	enum tr_code rc;

	if (in.n > max)
		return tr_err_set(err, TR_E_INVALID, "the signed object is too long",
				  "%zu bytes, at most %zu", in.n, max);
	rc = tr_cose_sign1_parse(in, &c, err);
	if (rc)
		return rc;
	if (c.sigs[0].kid.n != TR_KID_LEN)
		return tr_err_set(err, TR_E_INVALID, "the signed object does not name its key by 16 bytes",
				  "kid of %zu bytes", c.sigs[0].kid.n);
	if (!is_our_form(&c))
		return tr_err_set(err, TR_E_INVALID,
				  "the signed object carries headers other than algorithm and key id",
				  "not the form of RFC 9052 that we write");
	*ret = c;
	return TR_OK;
}

/* The signed bytes, in one allocation. */
static TR_RC put_tbs(const struct tr_cose *c, const char *domain, struct tr_buf *tbs, struct tr_err *err)
{
	struct tr_view hdr = c->sigs[0].protected_hdr, aad = tr_view_str(domain);

	(void)tr_buf_space(tbs, hdr.n + aad.n + c->payload.n + 64);
	if (!tr_buf_ok(tbs))
		return tr_buf_check(tbs, err);
	tr_buf_clear(tbs);
	tr_cose_sign1_tbs(tbs, hdr, aad, c->payload);
	return tr_buf_check(tbs, err);
}

/* ret may be NULL. */
static TR_RC verify(const struct tr_cose *c, const struct tr_pubkey *k, const char *domain, uint8_t *ret,
		    struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;
	const struct tr_cose_sig *s = &c->sigs[0];
	enum tr_sig_alg alg;
	enum tr_code rc;

	/* The algorithm is the key's, never the message's choice (RFC 8725 3.1): PS256 and RS256 are both
	 * RSA's. */
	if (!tr_sig_alg_from_cose(s->alg, &alg) || !tr_pubkey_can(k, alg))
		return tr_err_set(err, TR_E_DENIED, "the signature algorithm does not fit the key",
				  "alg %lld, key %s", (long long)s->alg, tr_pubkey_type_name(k));
	if (!tr_view_eq(s->kid, tr_cose1_kid(k)))
		return tr_err_set(err, TR_E_DENIED, "the signature is by another key", "kid differs");
	rc = put_tbs(c, domain, &tbs, err);
	if (rc)
		return rc;
	rc = tr_verify(k, alg, tr_buf_view(&tbs), s->sig, err);
	if (rc)
		return tr_err_wrap(err, "verify %s", domain);
	if (ret)
		tr_sha256(tr_buf_view(&tbs), ret);
	return TR_OK;
}

TR_RC tr_cose1_verify(const struct tr_cose *c, const struct tr_pubkey *k, const char *domain,
		      struct tr_err *err)
{
	return verify(c, k, domain, NULL, err);
}

TR_RC tr_cose1_verify_digest(const struct tr_cose *c, const struct tr_pubkey *k, const char *domain, uint8_t ret[32],
			     struct tr_err *err)
{
	return verify(c, k, domain, ret, err);
}

TR_RC tr_cose1_digest(const struct tr_cose *c, const char *domain, uint8_t out[32], struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;
	enum tr_code rc = put_tbs(c, domain, &tbs, err);

	if (rc)
		return rc;
	tr_sha256(tr_buf_view(&tbs), out);
	return TR_OK;
}
