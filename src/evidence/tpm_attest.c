/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/tpm_inner.h"

#define MAGIC 0xff544347u    /* TPM_GENERATED_VALUE */
#define ATTEST_QUOTE 0x8018u /* TPM_ST_ATTEST_QUOTE */

enum tr_raw_hash tr_tpm_hash(uint16_t alg)
{
	switch (alg) {
	case TPM_ALG_SHA1: return TR_HASH_SHA1;
	case TPM_ALG_SHA256: return TR_HASH_SHA256;
	case TPM_ALG_SHA384: return TR_HASH_SHA384;
	case TPM_ALG_SHA512: return TR_HASH_SHA512;
	default: return TR_HASH_NONE;
	}
}

static enum tr_code refuse(enum tr_tee_code code, enum tr_tee_code *ret_code, struct tr_err *err, const char *why)
{
	*ret_code = code;
	return tr_err_set(err, TR_E_INVALID, "the bytes are no quote of a TPM", "attest: %s", why);
}

/* TPML_PCR_SELECTION. Selections without a PCR are left out: some TPMs name every bank they have. */
static const char *selections(struct tr_be *r, struct tr_tpm_attest *a)
{
	uint32_t count = tr_be_u32(r);

	/* Part 2, 10.9.7: a TPM has at most HASH_COUNT banks; 16 is more than any. */
	if (count > 16)
		return "more than 16 banks are selected";
	for (uint32_t i = 0; i < count; i++) {
		uint16_t alg = tr_be_u16(r);
		struct tr_view map = tr_be_take(r, tr_be_u8(r));
		uint32_t pcrs = 0;

		if (r->bad)
			return "the selection is cut short";
		for (size_t b = 0; b < map.n; b++) {
			if (b >= TR_TPM_PCRS / 8 && map.p[b])
				return "a PCR above 23 is selected";
			if (b < TR_TPM_PCRS / 8)
				pcrs |= (uint32_t)map.p[b] << 8 * b;
		}
		if (!pcrs)
			continue;
		if (a->n_selections == TR_TPM_BANKS_MAX)
			return "more than 4 banks are selected";
		if (tr_tpm_hash(alg) == TR_HASH_NONE)
			return "a bank of an unknown hash is selected";
		a->selections[a->n_selections++] = (struct tr_tpm_selection){ tr_tpm_hash(alg), pcrs };
	}
	return NULL;
}

/* Part 2, 10.12.8 */
TR_RC tr_tpm_attest_parse(struct tr_view in, struct tr_tpm_attest *ret, enum tr_tee_code *ret_code, struct tr_err *err)
{
	struct tr_be r = tr_be(in);
	struct tr_tpm_attest a = { .signed_bytes = in };
	const char *why;
	uint32_t magic = tr_be_u32(&r);
	uint16_t type = tr_be_u16(&r);
	uint8_t safe;

	if (r.bad)
		return refuse(TR_TEEC_TPM_FORMAT, ret_code, err, "cut short");
	/* A restricted key signs no outside data that begin with this value: only its TPM can have written it. */
	if (magic != MAGIC)
		return refuse(TR_TEEC_TPM_NOT_QUOTE, ret_code, err, "the TPM did not generate it (magic)");
	if (type != ATTEST_QUOTE)
		return refuse(TR_TEEC_TPM_NOT_QUOTE, ret_code, err, "another type of attestation than a quote");
	a.qualified_signer = tr_be_sized(&r);
	a.extra_data = tr_be_sized(&r);
	a.clock = tr_be_u64(&r);
	a.reset_count = tr_be_u32(&r);
	a.restart_count = tr_be_u32(&r);
	safe = tr_be_u8(&r);
	a.safe = safe != 0;
	a.firmware = tr_be_u64(&r);
	if (!r.bad && safe > 1)
		return refuse(TR_TEEC_TPM_FORMAT, ret_code, err, "TPMI_YES_NO is neither");
	why = selections(&r, &a);
	if (why)
		return refuse(TR_TEEC_TPM_FORMAT, ret_code, err, why);
	a.pcr_digest = tr_be_sized(&r);
	if (r.bad)
		return refuse(TR_TEEC_TPM_FORMAT, ret_code, err, "cut short");
	if (!tr_be_done(&r))
		return refuse(TR_TEEC_TPM_FORMAT, ret_code, err, "bytes follow its end");
	*ret = a;
	*ret_code = TR_TEEC_OK;
	return TR_OK;
}
