/* SPDX-License-Identifier: Apache-2.0 */
/* What the evidence must carry so that it speaks for this key, now: computed by the verifier, never taken from the sender. */
#include "appraise/tee_inner.h"

#include "codec/pem.h"
#include "crypto/hash.h"

static void rd_troth(enum tr_raw_hash h, struct tr_view challenge, struct tr_view spki, uint8_t out[64])
{
	const uint8_t c[2] = { (uint8_t)(challenge.n >> 8), (uint8_t)challenge.n };
	const uint8_t s[2] = { (uint8_t)(spki.n >> 8), (uint8_t)spki.n };
	/* The literal's own NUL is the zero byte of the format. */
	const struct tr_view parts[] = { tr_view("troth/report-data/v1", sizeof("troth/report-data/v1")), TR_VIEW_ARRAY(c),
					 challenge, TR_VIEW_ARRAY(s), spki };

	tr_raw_digest(h, parts, TR_ARRAY_LEN(parts), out);
}

void tr_rd_troth(struct tr_view challenge, struct tr_view spki, uint8_t out[64])
{
	rd_troth(TR_HASH_SHA512, challenge, spki, out);
}

void tr_rd_troth_tpm(struct tr_view challenge, struct tr_view spki, uint8_t out[32])
{
	uint8_t whole[64];

	rd_troth(TR_HASH_SHA256, challenge, spki, whole);
	memcpy(out, whole, 32);
}

/* RFC 8410: the prefix of every Ed25519 SPKI. */
static bool raw_ed25519(struct tr_view spki, uint8_t out[64])
{
	static const uint8_t prefix[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };

	if (spki.n != sizeof(prefix) + 32 || memcmp(spki.p, prefix, sizeof(prefix)) != 0)
		return false;
	memcpy(out, spki.p + sizeof(prefix), 32);
	return true;
}

static bool pem_digest(struct tr_view spki, uint8_t out[64])
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;

	tr_pem_add(&pem, "PUBLIC KEY", spki);
	if (!tr_buf_ok(&pem))
		return false;
	tr_sha256(tr_buf_view(&pem), out);
	return true;
}

static const char no_memory[] = "out of memory";

/* NULL, or what is missing. Lengths of one side are bounded, so that u16 holds them. */
static const char *compute(const struct tr_tee_run *run, uint8_t out[64], size_t *ret_n)
{
	const struct tr_tee_in *in = run->in;

	memset(out, 0, 64);
	*ret_n = 64;
	if (run->p->scheme == TR_RD_SHA256_CERT_DER) {
		if (!in->cert.n)
			return "the peer's certificate was not given";
		tr_sha256(in->cert, out);
		return NULL;
	}
	if (!in->spki.n || in->spki.n > UINT16_MAX)
		return "the peer's key was not given";
	switch (run->p->scheme) {
	case TR_RD_TROTH:
		if (!in->challenge.n || in->challenge.n > UINT16_MAX)
			return "no challenge was given";
		if (in->set.kind == TR_TEE_TPM) {
			tr_rd_troth_tpm(in->challenge, in->spki, out);
			*ret_n = 32;
		} else {
			tr_rd_troth(in->challenge, in->spki, out);
		}
		return NULL;
	case TR_RD_RAW_ED25519: return raw_ed25519(in->spki, out) ? NULL : "the peer's key is not Ed25519";
	case TR_RD_SHA256_SPKI_DER: tr_sha256(in->spki, out); return NULL;
	case TR_RD_SHA256_PEM: return pem_digest(in->spki, out) ? NULL : no_memory;
	default: return "no scheme";
	}
}

void tr_tee_check_fresh(struct tr_tee_run *run)
{
	uint8_t expected[64];
	const char *missing;
	size_t n;

	if (run->in->report_data.n) {
		tr_tee_check_report_data(&run->v->ev, run->in->report_data);
		return;
	}
	if (run->p->scheme == TR_RD_NONE)
		return;
	missing = compute(run, expected, &n);
	if (missing == no_memory)
		(void)tr_tee_line(&run->v->ev, "memory", TR_Q_FRESH, TR_TEEC_LIMIT, "enough", "none");
	else if (missing)
		(void)tr_tee_line(&run->v->ev, "report_data", TR_Q_FRESH, TR_TEEC_REPORT_DATA,
				  tr_rd_scheme_name(run->p->scheme), missing);
	else
		tr_tee_check_report_data(&run->v->ev, tr_view(expected, n));
}
