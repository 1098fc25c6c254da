/* SPDX-License-Identifier: Apache-2.0 */
/* Quotes as a TPM makes them, by hand and with any fault, for the tests. */
#ifndef TR_EVIDENCE_TPM_SAMPLE_H
#define TR_EVIDENCE_TPM_SAMPLE_H

#include "crypto/raw_sign.h"
#include "evidence/tpm_inner.h"

#define SAMPLE_NONCE TR_VIEW_LIT("a challenge of the server's, 32 b")
#define SAMPLE_AK 0x00050072u

static inline void put_be(struct tr_buf *b, uint64_t v, unsigned bytes)
{
	while (bytes--)
		tr_buf_add8(b, (uint8_t)(v >> 8 * bytes));
}

static inline void put_sized(struct tr_buf *b, struct tr_view v)
{
	put_be(b, v.n, 2);
	tr_buf_addv(b, v);
}

/* A TPMT_PUBLIC of that key. scheme 0: null. */
static inline void put_public(struct tr_buf *b, const struct tr_raw_priv *k, uint32_t attributes, uint16_t scheme,
			      uint16_t hash)
{
	struct tr_tpm_spki s;

	if (!tr_tpm_spki_parse(tr_raw_priv_spki(k), &s))
		abort();
	put_be(b, s.type == TR_RAW_RSA ? TPM_ALG_RSA : TPM_ALG_ECC, 2);
	put_be(b, TPM_ALG_SHA256, 2);
	put_be(b, attributes, 4);
	put_be(b, 0, 2);
	put_be(b, TPM_ALG_NULL, 2);
	put_be(b, scheme ? scheme : TPM_ALG_NULL, 2);
	if (scheme)
		put_be(b, hash, 2);
	if (s.type == TR_RAW_RSA) {
		put_be(b, 8 * s.modulus.n, 2);
		put_be(b, 0, 4);
		put_sized(b, s.modulus);
		return;
	}
	put_be(b, s.type == TR_RAW_P256 ? 3 : 4, 2);
	put_be(b, TPM_ALG_NULL, 2);
	put_sized(b, tr_view(s.point.p, s.point.n / 2));
	put_sized(b, tr_view(s.point.p + s.point.n / 2, s.point.n / 2));
}

struct sample_quote {
	uint32_t magic;
	uint16_t type;
	struct tr_view signer, nonce;
	uint64_t clock;
	uint32_t resets, restarts;
	bool unsafe;
	size_t n;
	struct { uint16_t alg; uint32_t pcrs; } sel[6];
	enum tr_raw_hash hash;         /* of the signature */
	const struct tr_tpm_pcr *pcrs; /* what the TPM has */
	size_t n_pcrs;
};

static inline struct tr_view sample_value(const struct sample_quote *q, enum tr_raw_hash bank, unsigned index)
{
	for (size_t i = 0; i < q->n_pcrs; i++)
		if (q->pcrs[i].bank == bank && q->pcrs[i].index == index)
			return q->pcrs[i].value;
	return tr_view(NULL, 0);
}

static inline void put_attest(struct tr_buf *b, const struct sample_quote *q)
{
	struct tr_view values[96];
	uint8_t digest[64];
	size_t n = 0;

	put_be(b, q->magic, 4);
	put_be(b, q->type, 2);
	put_sized(b, q->signer);
	put_sized(b, q->nonce);
	put_be(b, q->clock, 8);
	put_be(b, q->resets, 4);
	put_be(b, q->restarts, 4);
	put_be(b, !q->unsafe, 1);
	put_be(b, 0x2026, 8);
	put_be(b, q->n, 4);
	for (size_t i = 0; i < q->n; i++) {
		put_be(b, q->sel[i].alg, 2);
		put_be(b, 3, 1);
		for (unsigned k = 0; k < 3; k++)
			put_be(b, q->sel[i].pcrs >> 8 * k & 0xff, 1);
		for (unsigned p = 0; p < 24; p++)
			if (q->sel[i].pcrs >> p & 1)
				values[n++] = sample_value(q, tr_tpm_hash(q->sel[i].alg), p);
	}
	tr_raw_digest(q->hash, values, n, digest);
	put_sized(b, tr_view(digest, tr_raw_hash_len(q->hash)));
}

/* TPMT_SIGNATURE of that scheme by that key. */
static inline void put_signature(struct tr_buf *b, const struct tr_raw_priv *k, uint16_t scheme, uint16_t alg,
				 struct tr_view message)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	enum tr_raw_hash h = tr_tpm_hash(alg);
	struct tr_err err;

	put_be(b, scheme, 2);
	put_be(b, alg, 2);
	if (scheme == TPM_ALG_ECDSA) {
		if (tr_raw_sign_ecdsa(k, h, &message, 1, &sig, &err))
			abort();
		put_sized(b, tr_view(sig.p, sig.n / 2));
		put_sized(b, tr_view(sig.p + sig.n / 2, sig.n / 2));
		return;
	}
	if (scheme == TPM_ALG_RSASSA ? tr_raw_sign_rsa(k, h, message, &sig, &err) : tr_raw_sign_pss(k, h, message, &sig, &err))
		abort();
	put_sized(b, tr_buf_view(&sig));
}

/* 24 PCRs of SHA-256 whose bytes are their number, and of SHA-1. */
struct sample_pcrs {
	struct tr_tpm_pcr pcrs[48];
	uint8_t values[48][32];
};

static inline void sample_pcrs(struct sample_pcrs *s)
{
	for (unsigned i = 0; i < 48; i++) {
		enum tr_raw_hash bank = i < 24 ? TR_HASH_SHA256 : TR_HASH_SHA1;

		memset(s->values[i], (int)(i % 24), sizeof(s->values[i]));
		s->pcrs[i] = (struct tr_tpm_pcr){ bank, i % 24, tr_view(s->values[i], tr_raw_hash_len(bank)) };
	}
}

/* A quote of PCRs 0 to 10 for SAMPLE_NONCE, and the AK's Name in `signer` as a primary endorsement key's. */
struct sample {
	struct tr_raw_priv *ak;
	struct sample_pcrs pcrs;
	struct sample_quote q;
	uint8_t signer[66];
	struct tr_buf area, attest, signature;
	struct tr_tpm_in in;
};

static inline void sample_sign(struct sample *s, uint16_t scheme, uint16_t alg)
{
	tr_buf_clear(&s->attest);
	tr_buf_clear(&s->signature);
	s->q.hash = tr_tpm_hash(alg);
	put_attest(&s->attest, &s->q);
	put_signature(&s->signature, s->ak, scheme, alg, tr_buf_view(&s->attest));
	s->in.attest = tr_buf_view(&s->attest);
	s->in.signature = tr_buf_view(&s->signature);
}

static inline void sample_make(struct sample *s, struct tr_raw_priv *ak, uint16_t scheme, uint16_t alg)
{
	struct tr_tpm_public p;
	struct tr_err err;
	size_t n;

	*s = (struct sample){ .ak = ak };
	sample_pcrs(&s->pcrs);
	put_public(&s->area, ak, SAMPLE_AK, scheme, alg);
	if (tr_tpm_public_parse(tr_buf_view(&s->area), &p, &err))
		abort();
	tr_tpm_public_qualified(&p, tr_view(NULL, 0), s->signer, &n);
	s->q = (struct sample_quote){ .magic = 0xff544347, .type = 0x8018, .signer = tr_view(s->signer, n),
				      .nonce = SAMPLE_NONCE, .clock = 1000, .resets = 3, .restarts = 1, .n = 1,
				      .sel = { { TPM_ALG_SHA256, 0x7ff } }, .pcrs = s->pcrs.pcrs, .n_pcrs = 48 };
	s->in = (struct tr_tpm_in){ .ak_public = tr_buf_view(&s->area), .trusted_by = TR_AK_PINNED, .pcrs = s->pcrs.pcrs,
				    .n_pcrs = 48, .nonce = SAMPLE_NONCE };
	sample_sign(s, scheme, alg);
}

static inline void sample_done(struct sample *s)
{
	tr_buf_done(&s->area);
	tr_buf_done(&s->attest);
	tr_buf_done(&s->signature);
	s->ak = tr_raw_priv_free(s->ak);
}
TR_DEFINE_AUTO_DONE(struct sample, sample_done)

static inline struct tr_raw_priv *sample_key(enum tr_raw_type t, const char *label)
{
	struct tr_raw_priv *k = NULL;
	struct tr_err err;

	if (t == TR_RAW_RSA ? tr_raw_priv_rsa(2048, TR_VIEW_LIT("a seed of the TPM tests, 32 byte"), label, &k, &err)
			    : tr_raw_priv_ec(t, TR_VIEW_LIT("a seed of the TPM tests, 32 byte"), label, &k, &err))
		abort();
	return k;
}

#endif
