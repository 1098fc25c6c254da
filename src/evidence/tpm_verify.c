/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"
#include "evidence/tpm_inner.h"

/* The attestation key: from its public area, from an SPKI, or both, which then are one key. */
struct ak {
	struct tr_tpm_public public_area;
	const struct tr_tpm_public *public_known; /* NULL: only the SPKI came */
	struct tr_tpm_spki spki;
	uint8_t exponent[4];
	struct tr_raw_key *key;
};

static bool failed(struct tr_tee_result *r, const char *name, enum tr_tee_code code, const char *expected,
		   const struct tr_err *err)
{
	return tr_tee_line(r, name, TR_Q_AUTHENTIC, code, expected, err->detail);
}

static void spki_of_public(struct ak *k)
{
	const struct tr_tpm_public *p = &k->public_area;

	k->spki.type = p->type;
	k->spki.point = tr_tpm_public_point(p);
	k->spki.modulus = p->modulus;
	for (unsigned i = 0; i < 4; i++)
		k->exponent[i] = (uint8_t)(p->exponent >> (24 - 8 * i));
	k->spki.exponent = TR_VIEW_ARRAY(k->exponent);
}

static bool read_key(const struct tr_tpm_in *in, struct tr_tee_result *r, struct ak *k)
{
	struct tr_tpm_spki beside;
	struct tr_err err;
	bool ok;

	if (in->ak_public.n) {
		if (tr_tpm_public_parse(in->ak_public, &k->public_area, &err))
			return failed(r, "ak.format", TR_TEEC_TPM_FORMAT, "a TPMT_PUBLIC", &err);
		k->public_known = &k->public_area;
		spki_of_public(k);
	} else if (!tr_tpm_spki_parse(in->ak_spki, &k->spki)) {
		return tr_tee_line(r, "ak.format", TR_Q_AUTHENTIC, TR_TEEC_TPM_FORMAT, "an SPKI of RSA or ECC",
				   in->ak_spki.n ? "other bytes" : "no key was sent");
	}
	if (k->spki.type == TR_RAW_RSA ? tr_raw_key_rsa(k->spki.modulus, k->spki.exponent, &k->key, &err)
				       : tr_raw_key_ec(k->spki.type, k->spki.point, &k->key, &err))
		return failed(r, "ak.format", err.code == TR_E_INTERNAL ? TR_TEEC_LIMIT : TR_TEEC_TPM_FORMAT, "a usable key",
			      &err);
	(void)tr_tee_line(r, "ak.format", TR_Q_AUTHENTIC, TR_TEEC_OK, "a usable key",
			  k->spki.type == TR_RAW_RSA ? "RSA" : "ECC");
	if (in->ak_public.n && in->ak_spki.n) {
		ok = tr_tpm_spki_parse(in->ak_spki, &beside) && beside.type == k->spki.type &&
		     tr_view_eq(beside.point, k->spki.point) && tr_view_eq(beside.modulus, k->spki.modulus);
		(void)tr_tee_line(r, "ak.same", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_TPM_SIGNER,
				  "public area and SPKI are one key", ok ? "yes" : "two keys");
	}
	return true;
}

static void check_attributes(const struct tr_tpm_in *in, const struct ak *k, struct tr_tee_result *r)
{
	struct tr_tee_check *c;
	bool ok;

	if (!k->public_known && !in->ak_must_be_restricted)
		return;
	/* An unrestricted key signs whatever its owner wrote, a forged quote too. */
	ok = k->public_known && tr_tpm_public_is_ak(k->public_known);
	c = tr_tee_check_add(r, "ak.attributes", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_TPM_AK);
	tr_tee_expected(c, "fixedTPM fixedParent sensitiveDataOrigin restricted sign, not decrypt");
	if (k->public_known)
		tr_tee_seen(c, "%08x", k->public_known->attributes);
	else
		tr_tee_seen(c, "no public area was sent");
}

static bool check_scheme(const struct ak *k, const struct tr_tpm_signature *s, struct tr_tee_result *r)
{
	const struct tr_tpm_public *p = k->public_known;
	bool ok = !p || p->scheme == TPM_ALG_NULL || (p->scheme == s->scheme && tr_tpm_hash(p->scheme_hash) == s->hash);
	struct tr_tee_check *c;

	c = tr_tee_check_add(r, "signature.scheme", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_TPM_SCHEME);
	if (p && p->scheme != TPM_ALG_NULL)
		tr_tee_expected(c, "%04x with %04x, as the key says", p->scheme, p->scheme_hash);
	else
		tr_tee_expected(c, "RSASSA, RSAPSS or ECDSA with SHA-256 or longer");
	tr_tee_seen(c, "%04x with %s", s->scheme, tr_raw_hash_name(s->hash));
	return ok;
}

/* False: there is no hash to go on with. */
static bool check_signature(const struct tr_tpm_in *in, const struct ak *k, struct tr_tee_result *r,
			    enum tr_raw_hash *ret_hash)
{
	struct tr_tpm_signature s = { TPM_ALG_RSASSA, TR_HASH_SHA256, in->signature, { NULL, 0 }, { NULL, 0 } };
	enum tr_tee_code code;
	struct tr_err err;
	enum tr_code rc;

	if (!in->raw_signature && tr_tpm_signature_parse(in->signature, &s, &code, &err))
		return failed(r, code == TR_TEEC_TPM_SCHEME ? "signature.scheme" : "signature.format", code,
			      "a TPMT_SIGNATURE of an accepted scheme", &err);
	*ret_hash = s.hash;
	if (!check_scheme(k, &s, r))
		return true;
	rc = tr_tpm_signature_verify(&s, k->key, in->attest, &err);
	(void)tr_tee_line(r, "signature", TR_Q_AUTHENTIC,
			  rc == TR_OK             ? TR_TEEC_OK
			  : rc == TR_E_INTERNAL ? TR_TEEC_LIMIT
						  : TR_TEEC_TPM_SIGNATURE,
			  "by the attestation key", rc ? err.detail : "yes");
	return true;
}

static void check_nonce(const struct tr_tpm_in *in, struct tr_tee_result *r)
{
	if (in->nonce.n)
		tr_tee_check_report_data(r, in->nonce);
	else if (in->allow_empty_nonce)
		(void)tr_tee_line(r, "report_data", TR_Q_FRESH, r->report_data.n ? TR_TEEC_REPORT_DATA : TR_TEEC_OK,
				  "no qualifying data", r->report_data.n ? "some" : "none");
}

/* Between two quotes of one TPM nothing goes back. The clock alone may, after a loss of power: `safe` is 0 then. */
static void check_clock(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, struct tr_tee_result *r)
{
	const struct tr_tpm_attest *b = in->before;
	struct tr_tee_check *c;
	bool ok;

	if (!b)
		return;
	ok = a->reset_count > b->reset_count ||
	     (a->reset_count == b->reset_count && a->restart_count >= b->restart_count);
	ok = ok && (!a->safe || a->clock >= b->clock);
	c = tr_tee_check_add(r, "clock", TR_Q_FRESH, ok ? TR_TEEC_OK : TR_TEEC_TPM_CLOCK);
	tr_tee_expected(c, "reset %u restart %u clock %llu or later", b->reset_count, b->restart_count,
			(unsigned long long)b->clock);
	tr_tee_seen(c, "reset %u restart %u clock %llu", a->reset_count, a->restart_count, (unsigned long long)a->clock);
}

static void note_attest(const struct tr_tpm_attest *a, struct tr_tee_result *r)
{
	(void)tr_tee_line(r, "attest.magic", TR_Q_AUTHENTIC, TR_TEEC_OK, "ff544347", "ff544347");
	(void)tr_tee_line(r, "attest.type", TR_Q_AUTHENTIC, TR_TEEC_OK, "8018, a quote", "8018");
	(void)tr_tee_line(r, "attest.format", TR_Q_AUTHENTIC, TR_TEEC_OK, "ends where it says", "yes");
	r->report_data = a->extra_data;
	tr_tee_field_hex(r, "extra_data", a->extra_data);
	tr_tee_field_hex(r, "qualified_signer", a->qualified_signer);
	tr_tee_field_uint(r, "clock", a->clock);
	tr_tee_field_uint(r, "reset_count", a->reset_count);
	tr_tee_field_uint(r, "restart_count", a->restart_count);
	tr_tee_field_uint(r, "safe", a->safe);
	tr_tee_field_uint(r, "firmware", a->firmware);
	tr_tee_field_hex(r, "pcr_digest", a->pcr_digest);
}

static void verify_key(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, struct ak *k, struct tr_tee_result *r)
{
	enum tr_raw_hash hash = TR_HASH_NONE;
	bool known = read_key(in, r, k);

	if (known) {
		check_attributes(in, k, r);
		known = check_signature(in, k, r, &hash);
	}
	check_nonce(in, r);
	if (!known)
		return;
	tr_tpm_check_pcrs(in, a, hash, r);
	tr_tpm_check_trust(in, k->public_known, &k->spki, r);
	tr_tpm_check_signer(in, k->public_known, a, r);
	check_clock(in, a, r);
}

bool tr_tpm_verify(const struct tr_tpm_in *in, struct tr_tee_result *ret, struct tr_tpm_attest *ret_attest)
{
	struct ak k = { 0 };
	struct tr_tpm_attest a;
	enum tr_tee_code code;
	struct tr_err err;

	*ret = (struct tr_tee_result){ .kind = TR_TEE_TPM };
	tr_tee_input(ret, "attest", in->attest);
	tr_tee_input(ret, "ak_public", in->ak_public);
	tr_tee_input(ret, "ak_spki", in->ak_spki);
	tr_tee_input(ret, "ek_public", in->ek_public);
	for (size_t i = 0; i < in->n_roots; i++)
		tr_tee_input(ret, "root", in->roots[i]);
	if (tr_tpm_attest_parse(in->attest, &a, &code, &err)) {
		(void)failed(ret, "attest", code, "a TPMS_ATTEST that is a quote", &err);
		return false;
	}
	note_attest(&a, ret);
	verify_key(in, &a, &k, ret);
	k.key = tr_raw_key_free(k.key);
	if (ret_attest)
		*ret_attest = a;
	return true;
}
