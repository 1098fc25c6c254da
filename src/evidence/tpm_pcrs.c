/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/cbor.h"
#include "evidence/tpm_inner.h"

#include <stdio.h>

#define ROW(bank) { bank "0", bank "1", bank "2", bank "3", bank "4", bank "5", bank "6", bank "7", bank "8", bank "9", \
	bank "10", bank "11", bank "12", bank "13", bank "14", bank "15", bank "16", bank "17", bank "18", bank "19", \
	bank "20", bank "21", bank "22", bank "23" }
/* Fields have static names. */
static const char *const names[TR_HASH_N][TR_TPM_PCRS] = {
	[TR_HASH_SHA1] = ROW("sha1:"), [TR_HASH_SHA256] = ROW("sha256:"),
	[TR_HASH_SHA384] = ROW("sha384:"), [TR_HASH_SHA512] = ROW("sha512:"),
};

static const struct { enum tr_raw_hash hash; uint16_t alg; } banks[] = {
	{ TR_HASH_SHA1, TPM_ALG_SHA1 }, { TR_HASH_SHA256, TPM_ALG_SHA256 },
	{ TR_HASH_SHA384, TPM_ALG_SHA384 }, { TR_HASH_SHA512, TPM_ALG_SHA512 },
};

TR_RC tr_tpm_pcrs_get(struct tr_view cbor, struct tr_tpm_pcr *ret, size_t max, size_t *ret_n, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(cbor);
	struct tr_cbor_map outer, inner;
	int64_t alg, index;
	size_t n = 0;

	(void)tr_cbor_map(&r, &outer, TR_ARRAY_LEN(banks));
	while (tr_cbor_key_int(&r, &outer, &alg)) {
		enum tr_raw_hash bank = alg > 0 && alg <= UINT16_MAX ? tr_tpm_hash((uint16_t)alg) : TR_HASH_NONE;

		if (bank == TR_HASH_NONE)
			tr_cbor_fail(&r, "a PCR bank of an unknown hash");
		(void)tr_cbor_map(&r, &inner, TR_TPM_PCRS);
		while (tr_cbor_key_int(&r, &inner, &index)) {
			struct tr_view value = tr_cbor_bytes(&r);

			if (r.error)
				break;
			if (n == max || index < 0 || index >= TR_TPM_PCRS || value.n != tr_raw_hash_len(bank)) {
				tr_cbor_fail(&r, "a PCR value of a wrong length, number or count");
				break;
			}
			ret[n++] = (struct tr_tpm_pcr){ bank, (unsigned)index, value };
		}
	}
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "PCR values");
	*ret_n = n;
	return TR_OK;
}

static const struct tr_tpm_pcr *find(const struct tr_tpm_pcr *pcrs, size_t n, enum tr_raw_hash bank, unsigned index)
{
	for (size_t i = 0; i < n; i++)
		if (pcrs[i].bank == bank && pcrs[i].index == index && pcrs[i].value.n == tr_raw_hash_len(bank))
			return &pcrs[i];
	return NULL;
}

void tr_tpm_pcrs_put(const struct tr_tpm_pcr *pcrs, size_t n, struct tr_buf *b)
{
	size_t counts[TR_ARRAY_LEN(banks)] = { 0 }, used = 0;

	for (size_t k = 0; k < TR_ARRAY_LEN(banks); k++) {
		for (unsigned i = 0; i < TR_TPM_PCRS; i++)
			counts[k] += find(pcrs, n, banks[k].hash, i) != NULL;
		used += counts[k] != 0;
	}
	tr_cbor_put_map(b, used);
	for (size_t k = 0; k < TR_ARRAY_LEN(banks); k++) {
		if (!counts[k])
			continue;
		tr_cbor_put_uint(b, banks[k].alg);
		tr_cbor_put_map(b, counts[k]);
		for (unsigned i = 0; i < TR_TPM_PCRS; i++) {
			const struct tr_tpm_pcr *p = find(pcrs, n, banks[k].hash, i);

			if (!p)
				continue;
			tr_cbor_put_uint(b, i);
			tr_cbor_put_bytes(b, p->value);
		}
	}
}

bool tr_tpm_pcr_quoted(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, enum tr_raw_hash bank, unsigned index,
		       struct tr_view *ret)
{
	const struct tr_tpm_pcr *p = find(in->pcrs, in->n_pcrs, bank, index);

	for (size_t i = 0; p && index < TR_TPM_PCRS && i < a->n_selections; i++) {
		if (a->selections[i].bank == bank && a->selections[i].pcrs >> index & 1) {
			*ret = p->value;
			return true;
		}
	}
	return false;
}

/* The values of the attested selection in its own order, PCRs ascending within a bank. False: one was not sent. */
static bool gather(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, struct tr_view *ret, size_t *ret_n,
		   const char **ret_missing)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n_selections; i++) {
		const struct tr_tpm_selection *s = &a->selections[i];

		for (unsigned p = 0; p < TR_TPM_PCRS; p++) {
			const struct tr_tpm_pcr *v;

			if (!(s->pcrs >> p & 1))
				continue;
			v = find(in->pcrs, in->n_pcrs, s->bank, p);
			if (!v) {
				*ret_missing = names[s->bank][p];
				return false;
			}
			ret[n++] = v->value;
		}
	}
	*ret_n = n;
	return true;
}

static void banks_line(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, struct tr_tee_result *r)
{
	bool sha1 = false;
	struct tr_tee_check *c;
	size_t at = 0;

	c = tr_tee_check_add(r, "pcr_selection", TR_Q_AUTHENTIC, a->n_selections ? TR_TEEC_OK : TR_TEEC_TPM_BANK);
	tr_tee_expected(c, "at least one PCR");
	tr_tee_seen(c, "none");
	for (size_t i = 0; i < a->n_selections && at < sizeof(c->seen); i++) {
		at += (size_t)snprintf(c->seen + at, sizeof(c->seen) - at, "%s%s:%06x", i ? " " : "",
				       tr_raw_hash_name(a->selections[i].bank), a->selections[i].pcrs);
		sha1 |= a->selections[i].bank == TR_HASH_SHA1;
	}
	/* Not a word about the quote's signature: whether such PCRs are good enough is for policy to say. */
	if (sha1 && !in->allow_sha1_bank)
		(void)tr_tee_line(r, "pcr_bank", TR_Q_SOFTWARE, TR_TEEC_TPM_BANK_SHA1, "no SHA-1 bank", "sha1");
}

void tr_tpm_check_pcrs(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, enum tr_raw_hash hash,
		       struct tr_tee_result *r)
{
	struct tr_view values[TR_TPM_BANKS_MAX * TR_TPM_PCRS];
	const char *missing = NULL;
	struct tr_tee_check *c;
	uint8_t digest[64];
	size_t n = 0;
	bool same;

	banks_line(in, a, r);
	if (!a->n_selections)
		return;
	if (!gather(in, a, values, &n, &missing)) {
		c = tr_tee_check_add(r, "pcr_digest", TR_Q_AUTHENTIC, TR_TEEC_TPM_PCR_DIGEST);
		tr_tee_expected_hex(c, a->pcr_digest);
		tr_tee_seen(c, "PCR %s was quoted and not sent", missing);
		return;
	}
	/* By the hash of the signature, whatever the banks are (Part 3, 18.4.1). */
	tr_raw_digest(hash, values, n, digest);
	same = tr_view_eq(a->pcr_digest, tr_view(digest, tr_raw_hash_len(hash)));
	c = tr_tee_check_add(r, "pcr_digest", TR_Q_AUTHENTIC, same ? TR_TEEC_OK : TR_TEEC_TPM_PCR_DIGEST);
	tr_tee_expected_hex(c, a->pcr_digest);
	tr_tee_seen_hex(c, tr_view(digest, tr_raw_hash_len(hash)));
	if (!same)
		return;
	for (size_t i = 0, v = 0; i < a->n_selections; i++)
		for (unsigned p = 0; p < TR_TPM_PCRS; p++)
			if (a->selections[i].pcrs >> p & 1)
				tr_tee_field_hex(r, names[a->selections[i].bank][p], values[v++]);
	tr_tpm_check_logs(in, a, r);
}
