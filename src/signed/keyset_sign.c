/* SPDX-License-Identifier: Apache-2.0 */
/* The signatures of a keyset: made by one root after the other, counted against one threshold or two. */
#include "signed/cose1.h"
#include "signed/keyset_form.h"

#define HEADER_MAX 64

struct made {
	uint8_t header[HEADER_MAX], sig[TR_SIG_MAX];
	size_t header_n, sig_n;
};

static TR_RC make(struct tr_view payload, const struct tr_privkey *root, struct made *m, struct tr_cose_sig *ret,
		  struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf header = TR_BUF_INIT, tbs = TR_BUF_INIT;
	enum tr_sig_alg alg = tr_privkey_alg(root);
	enum tr_code rc;

	tr_cose_put_protected(&header, tr_sig_alg_cose(alg), tr_cose1_kid(tr_privkey_pub(root)));
	tr_cose_sign_tbs(&tbs, tr_view(NULL, 0), tr_buf_view(&header), TR_VIEW_LIT(TR_KEYSET_DOMAIN), payload);
	/* A header that failed would read as none, and be signed as that. */
	rc = tr_buf_check(&header, err);
	if (!rc)
		rc = tr_buf_check(&tbs, err);
	if (!rc && header.n > sizeof(m->header))
		rc = tr_err_set(err, TR_E_INTERNAL, "the signature's header is too long", "%zu bytes", header.n);
	if (rc)
		return rc;
	rc = tr_sign(root, alg, tr_buf_view(&tbs), m->sig, &m->sig_n, err);
	if (rc)
		return tr_err_wrap(err, "sign keyset");
	memcpy(m->header, header.p, header.n);
	m->header_n = header.n;
	*ret = (struct tr_cose_sig){ .protected_hdr = tr_view(m->header, m->header_n),
				     .kid = tr_cose1_kid(tr_privkey_pub(root)),
				     .sig = tr_view(m->sig, m->sig_n) };
	return TR_OK;
}

/* Refused where it is made, not where it is read. */
static TR_RC put_object(struct tr_view payload, const struct tr_cose_sig *sigs, size_t n, struct tr_buf *ret,
			struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc;

	tr_cose_put_sign(&b, tr_view(NULL, 0), payload, sigs, n);
	rc = tr_buf_check(&b, err);
	if (rc)
		return rc;
	if (b.n > TR_KEYSET_MAX)
		return tr_err_set(err, TR_E_INVALID, "the keyset is too long: at most 65536 bytes", "%zu bytes", b.n);
	tr_buf_addv(ret, tr_buf_view(&b));
	return tr_buf_check(ret, err);
}

TR_RC tr_keyset_sign(struct tr_view payload, const struct tr_privkey *const *roots, size_t n,
		     struct tr_buf *ret, struct tr_err *err)
{
	struct tr_cose_sig list[TR_COSE_SIGS_MAX] = { 0 };
	struct made made[TR_COSE_SIGS_MAX];

	if (n == 0 || n > TR_COSE_SIGS_MAX)
		return tr_err_set(err, TR_E_INVALID, "a keyset needs 1 to 16 root signatures", "%zu signers", n);
	for (size_t i = 0; i < n; i++) {
		enum tr_code rc = make(payload, roots[i], &made[i], &list[i], err);

		if (rc)
			return rc;
	}
	return put_object(payload, list, n, ret, err);
}

/* The root with this kid, or n_roots. */
static size_t root_of(const struct tr_keyset *k, struct tr_view kid)
{
	for (size_t i = 0; i < k->n_roots; i++) {
		uint8_t id[TR_SHA256_LEN];

		tr_sha256(k->roots[i], id);
		if (tr_view_eq(kid, tr_view(id, TR_KID_LEN)))
			return i;
	}
	return k->n_roots;
}

static bool is_object(struct tr_view in)
{
	return in.n > 2 && in.p[0] == 0xd8 && in.p[1] == 98; /* the tag of COSE_Sign; a payload is a map */
}

TR_RC tr_keyset_add_signature(struct tr_view in, const struct tr_privkey *root, struct tr_buf *ret, struct tr_err *err)
{
	struct tr_view kid = tr_cose1_kid(tr_privkey_pub(root));
	struct tr_cose c = { .payload = in };
	struct tr_keyset k;
	struct made made;
	size_t n = 0;
	enum tr_code rc = is_object(in) ? tr_keyset_read_form(in, &c, err) : TR_OK;

	/* Nobody signs what could never be a keyset. */
	if (!rc)
		rc = tr_keyset_parse(c.payload, &k, err);
	if (rc)
		return rc;
	if (k.epoch == 1 && root_of(&k, kid) == k.n_roots)
		return tr_err_set(err, TR_E_DENIED, "this key is not one of the keyset's roots", "epoch 1");
	for (size_t i = 0; i < c.n_sigs; i++)
		if (!tr_view_eq(c.sigs[i].kid, kid))
			c.sigs[n++] = c.sigs[i];
	if (n == TR_COSE_SIGS_MAX)
		return tr_err_set(err, TR_E_BUSY, "the keyset has 16 signatures already, and takes no more",
				  "%zu signatures", n);
	rc = make(c.payload, root, &made, &c.sigs[n], err);
	if (rc)
		return rc;
	return put_object(c.payload, c.sigs, n + 1, ret, err);
}

static TR_RC verify_one(const struct tr_cose *c, const struct tr_cose_sig *s, struct tr_view spki, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *root = NULL;
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;
	enum tr_sig_alg alg;
	enum tr_code rc;

	tr_cose_sign_tbs(&tbs, tr_view(NULL, 0), s->protected_hdr, TR_VIEW_LIT(TR_KEYSET_DOMAIN), c->payload);
	rc = tr_buf_check(&tbs, err);
	if (rc)
		return rc;
	rc = tr_pubkey_from_spki(spki, &root, err);
	if (rc)
		return tr_err_wrap(err, "keyset root");
	if (!tr_sig_alg_from_cose(s->alg, &alg) || alg == TR_SIG_RS256 || !tr_pubkey_can(root, alg))
		return tr_err_set(err, TR_E_DENIED, "the keyset's signature algorithm does not fit the root key",
				  "alg %lld", (long long)s->alg);
	return tr_verify(root, alg, tr_buf_view(&tbs), s->sig, err);
}

/* Counts; every signature has to hold, also surplus ones: an object with a damaged part is a damaged object. Strangers are
 * those of no listed root. Who holds a pin and not the predecessor cannot check its roots' signatures, and need not. */
static TR_RC count(const struct tr_cose *c, const struct tr_keyset *own, const struct tr_keyset *prev,
		   bool strangers_pass, struct tr_keyset_signed *ret, struct tr_err *err)
{
	struct tr_keyset_signed out = { 0 };

	for (size_t i = 0; i < c->n_sigs; i++) {
		const struct tr_cose_sig *s = &c->sigs[i];
		size_t o = root_of(own, s->kid), p = prev ? root_of(prev, s->kid) : 0;
		bool in_own = o < own->n_roots, in_prev = prev && p < prev->n_roots;
		enum tr_code rc;

		for (size_t j = 0; j < i; j++)
			if (tr_view_eq(c->sigs[j].kid, s->kid))
				return tr_err_set(err, TR_E_DENIED, "the keyset carries two signatures of one root",
						  "signatures %zu and %zu", j, i);
		if (!in_own && !in_prev && strangers_pass)
			continue;
		if (!in_own && !in_prev)
			return tr_err_set(err, TR_E_DENIED, "the keyset is signed by a key that is not one of its roots",
					  "kid");
		rc = verify_one(c, s, in_own ? own->roots[o] : prev->roots[p], err);
		if (rc)
			return tr_err_wrap(err, "keyset");
		if (in_own)
			out.own[o] = true, out.by_own++;
		if (in_prev)
			out.prev[p] = true, out.by_prev++;
	}
	*ret = out;
	return TR_OK;
}

static TR_RC check_expiry(const struct tr_keyset *k, int64_t now_ms, struct tr_err *err)
{
	if (now_ms < k->expires_ms)
		return TR_OK;
	return tr_err_set(err, TR_E_DENIED,
			  "the keyset has expired: the operators must sign a new one (or this clock is wrong)",
			  "expired %lld ms ago", (long long)(now_ms - k->expires_ms));
}

TR_RC tr_keyset_verify_pinned(struct tr_view in, const uint8_t pin[32], int64_t now_ms, struct tr_keyset *ret,
			      struct tr_err *err)
{
	uint8_t print[TR_SHA256_LEN];
	struct tr_keyset_signed by;
	struct tr_keyset out;
	struct tr_cose c;
	enum tr_code rc;

	rc = tr_keyset_read_form(in, &c, err);
	if (rc)
		return rc;
	/* Parsed before it is verified, unlike all else: a pin is a hash, the root keys themselves are in the
	 * payload. Nothing of it is used before the hash over them equals the pin. */
	rc = tr_keyset_parse(c.payload, &out, err);
	if (rc)
		return rc;
	tr_keyset_root_fingerprint(&out, print);
	if (memcmp(print, pin, sizeof(print)) != 0)
		return tr_err_set(
			err, TR_E_DENIED,
			"the server's root keys are not the pinned ones: this is another installation, or "
			"somebody is in between",
			"root fingerprint differs");
	rc = count(&c, &out, NULL, out.epoch > 1, &by, err);
	if (rc)
		return rc;
	if (by.by_own < out.threshold)
		return tr_err_set(err, TR_E_DENIED, "too few root keys have signed the keyset", "%zu of %llu needed",
				  by.by_own, (unsigned long long)out.threshold);
	rc = check_expiry(&out, now_ms, err);
	if (rc)
		return rc;
	*ret = out;
	return TR_OK;
}

/* Revocations only grow, and a number that stands still has no new ones. */
static const char *fault_of_revocations(const struct tr_keyset *prev, const struct tr_keyset *k)
{
	if (k->revocation_number < prev->revocation_number)
		return "the keyset's revocation number is lower than its predecessor's";
	for (size_t i = 0; i < prev->n_revoked; i++)
		if (!tr_keyset_revokes(k, prev->revoked[i]))
			return "the keyset takes a revocation back: revoked keys stay revoked";
	if (k->n_revoked > prev->n_revoked && k->revocation_number == prev->revocation_number)
		return "the keyset revokes more than its predecessor under the same revocation number";
	return NULL;
}

/* What needs no signature. */
static TR_RC check_step(struct tr_view prev_bytes, const struct tr_keyset *prev, const struct tr_keyset *k,
			struct tr_err *err)
{
	uint8_t digest[TR_SHA256_LEN];
	const char *why = NULL;

	tr_keyset_digest(prev_bytes, digest);
	if (!tr_view_eq(k->trust_domain, prev->trust_domain))
		why = "the keyset is of another trust domain";
	else if (k->epoch == 1 || k->epoch - 1 != prev->epoch)
		why = "the keyset's epoch is not the one after the present keyset's";
	else if (!tr_view_eq(k->prev_digest, TR_VIEW_ARRAY(digest)))
		why = "the keyset names another predecessor than the present keyset";
	else if (k->issued_ms < prev->issued_ms)
		why = "the keyset was issued before its predecessor";
	else
		why = fault_of_revocations(prev, k);
	return why ? tr_err_set(err, TR_E_DENIED, why, "epoch %llu after %llu", (unsigned long long)k->epoch,
				(unsigned long long)prev->epoch)
		   : TR_OK;
}

TR_RC tr_keyset_verify_next(struct tr_view prev_bytes, const struct tr_keyset *prev, struct tr_view in, int64_t now_ms,
			    struct tr_keyset *ret, struct tr_err *err)
{
	struct tr_keyset_signed by;
	struct tr_keyset out;
	struct tr_cose c;
	enum tr_code rc = tr_keyset_read_form(in, &c, err);

	/* The roots that it names are needed to check it. None of it is used before prev's roots have signed it. */
	if (!rc)
		rc = tr_keyset_parse(c.payload, &out, err);
	if (!rc)
		rc = check_step(prev_bytes, prev, &out, err);
	if (!rc)
		rc = count(&c, &out, prev, false, &by, err);
	if (rc)
		return rc;
	if (by.by_prev < prev->threshold)
		return tr_err_set(err, TR_E_DENIED, "too few roots of the present keyset have signed the next one",
				  "%zu of %llu needed", by.by_prev, (unsigned long long)prev->threshold);
	if (by.by_own < out.threshold)
		return tr_err_set(err, TR_E_DENIED, "too few root keys have signed the keyset", "%zu of %llu needed",
				  by.by_own, (unsigned long long)out.threshold);
	rc = check_expiry(&out, now_ms, err);
	if (rc)
		return rc;
	*ret = out;
	return TR_OK;
}

TR_RC tr_keyset_draft(struct tr_view in, struct tr_keyset *ret, struct tr_err *err)
{
	struct tr_keyset out;
	enum tr_code rc;

	if (is_object(in))
		return tr_keyset_unverified(in, ret, err);
	if (in.n > TR_KEYSET_MAX)
		return tr_err_set(err, TR_E_INVALID, "the keyset is too long", "%zu bytes", in.n);
	rc = tr_keyset_parse(in, &out, err);
	if (rc)
		return rc;
	*ret = out;
	return TR_OK;
}

TR_RC tr_keyset_signatures(struct tr_view in, const struct tr_keyset *prev, struct tr_keyset_signed *ret,
			   struct tr_err *err)
{
	struct tr_cose c = { .payload = in };
	struct tr_keyset k;
	enum tr_code rc = is_object(in) ? tr_keyset_read_form(in, &c, err) : TR_OK;

	if (!rc)
		rc = tr_keyset_draft(in, &k, err);
	return rc ? rc : count(&c, &k, prev, !prev && k.epoch > 1, ret, err);
}

void tr_keyset_digest(struct tr_view bytes, uint8_t out[32])
{
	struct tr_cose c;
	struct tr_err err;

	tr_sha256(is_object(bytes) && !tr_cose_sign_parse(bytes, &c, &err) ? c.payload : bytes, out);
}
