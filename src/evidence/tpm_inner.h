/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about TPM evidence share; nobody else includes this. */
#ifndef TR_EVIDENCE_TPM_INNER_H
#define TR_EVIDENCE_TPM_INNER_H

#include "evidence/tpm.h"

/* TPM 2.0 Part 2, 6.3 */
enum {
	TPM_ALG_RSA = 0x0001, TPM_ALG_SHA1 = 0x0004, TPM_ALG_AES = 0x0006, TPM_ALG_SHA256 = 0x000b,
	TPM_ALG_SHA384 = 0x000c, TPM_ALG_SHA512 = 0x000d, TPM_ALG_NULL = 0x0010, TPM_ALG_RSASSA = 0x0014,
	TPM_ALG_RSAPSS = 0x0016, TPM_ALG_ECDSA = 0x0018, TPM_ALG_ECC = 0x0023, TPM_ALG_CFB = 0x0043,
};
#define TPM_RH_ENDORSEMENT 0x4000000bu

/* A cursor over big-endian bytes. The first read past the end sticks, and everything after it reads as nothing. */
struct tr_be {
	const uint8_t *p;
	size_t n;
	bool bad;
};

static inline struct tr_be tr_be(struct tr_view v)
{
	return (struct tr_be){ v.p, v.n, false };
}

static inline struct tr_view tr_be_take(struct tr_be *r, size_t n)
{
	struct tr_view v = { r->p, n };

	if (r->bad || n > r->n) {
		r->bad = true;
		return (struct tr_view){ NULL, 0 };
	}
	r->p += n;
	r->n -= n;
	return v;
}

static inline uint64_t tr_be_uint(struct tr_be *r, size_t bytes)
{
	struct tr_view v = tr_be_take(r, bytes);
	uint64_t n = 0;

	for (size_t i = 0; i < v.n; i++)
		n = n << 8 | v.p[i];
	return n;
}

static inline uint8_t tr_be_u8(struct tr_be *r) { return (uint8_t)tr_be_uint(r, 1); }
static inline uint16_t tr_be_u16(struct tr_be *r) { return (uint16_t)tr_be_uint(r, 2); }
static inline uint32_t tr_be_u32(struct tr_be *r) { return (uint32_t)tr_be_uint(r, 4); }
static inline uint64_t tr_be_u64(struct tr_be *r) { return tr_be_uint(r, 8); }
/* TPM2B: u16 length, then as many bytes. */
static inline struct tr_view tr_be_sized(struct tr_be *r) { return tr_be_take(r, tr_be_u16(r)); }
static inline bool tr_be_done(const struct tr_be *r) { return !r->bad && r->n == 0; }

/* TR_HASH_NONE for one that we do not compute (SM3 among them). */
enum tr_raw_hash tr_tpm_hash(uint16_t alg);

struct tr_tpm_signature {
	uint16_t scheme; /* TPM_ALG_RSASSA, RSAPSS or ECDSA */
	enum tr_raw_hash hash;
	struct tr_view rsa, r, s;
};
/* TPMT_SIGNATURE, to its very end. */
TR_RC tr_tpm_signature_parse(struct tr_view in, struct tr_tpm_signature *ret, enum tr_tee_code *ret_code, struct tr_err *err);
TR_RC tr_tpm_signature_verify(const struct tr_tpm_signature *s, const struct tr_raw_key *k, struct tr_view message,
			      struct tr_err *err);

/* A SubjectPublicKeyInfo of RSA, P-256, P-384 or P-521. */
struct tr_tpm_spki { enum tr_raw_type type; struct tr_view point, modulus, exponent; };
bool tr_tpm_spki_parse(struct tr_view der, struct tr_tpm_spki *ret);
TR_RC tr_tpm_spki_key(struct tr_view der, struct tr_raw_key **ret, struct tr_err *err);

/* Questions 6 and 7 of the algorithm: who vouches for the key, and is it the key that the quote names? */
void tr_tpm_check_trust(const struct tr_tpm_in *in, const struct tr_tpm_public *ak, const struct tr_tpm_spki *key,
			struct tr_tee_result *r);
void tr_tpm_check_signer(const struct tr_tpm_in *in, const struct tr_tpm_public *ak, const struct tr_tpm_attest *a,
			 struct tr_tee_result *r);
/* Steps 4 and 5. */
void tr_tpm_check_pcrs(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, enum tr_raw_hash hash,
		       struct tr_tee_result *r);
void tr_tpm_check_logs(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, struct tr_tee_result *r);

#endif
