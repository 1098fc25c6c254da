/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/sim.h"

#include "base/secret.h"
#include "crypto/hash.h"
#include "evidence/sim_inner.h"

#define SPEC_PUB "the simulated vendor makes no such evidence"

static const char *const amd_test_keys[SIM_AMD_KEY_N] = {
#include "evidence/sim_amd_keys.inc"
};

static const struct tr_sim_fault_info faults[TR_SIMF_N] = {
#define TR_SIM_FAULT(id, slug, kinds, code, what) [TR_SIMF_##id] = { slug, what, kinds, TR_TEEC_##code },
#include "evidence/sim_faults.inc"
#undef TR_SIM_FAULT
};

const struct tr_sim_fault_info *tr_sim_fault_info(enum tr_sim_fault f)
{
	return f > TR_SIM_NO_FAULT && f < TR_SIMF_N ? &faults[f] : NULL;
}

bool tr_sim_fault_of(struct tr_view slug, enum tr_sim_fault *ret)
{
	for (enum tr_sim_fault f = TR_SIM_NO_FAULT + 1; f < TR_SIMF_N; f++)
		if (tr_view_is(slug, faults[f].slug)) {
			*ret = f;
			return true;
		}
	return false;
}

static void default_svns(struct tr_sim_spec *s)
{
	static const uint8_t comp[16] = { 8, 8, 2, 2, 4, 1, 0, 3 };
	static const struct tr_snp_tcb tcbs[TR_SNP_PRODUCT_N] = {
		[TR_SNP_MILAN] = { 0, 4, 0, 24, 219, true },
		[TR_SNP_GENOA] = { 0, 10, 0, 25, 84, true },
		[TR_SNP_TURIN] = { 1, 1, 1, 4, 81, true },
	};

	memcpy(s->comp, comp, sizeof(comp));
	s->pcesvn = 13;
	/* Module 1.5 (TDX_01), late microcode 6. */
	memset(s->tee_tcb_svn, 0, sizeof(s->tee_tcb_svn));
	s->tee_tcb_svn[0] = 5;
	s->tee_tcb_svn[1] = 1;
	s->tee_tcb_svn[2] = 6;
	memcpy(s->tee_tcb_svn_2, s->tee_tcb_svn, sizeof(s->tee_tcb_svn_2));
	s->snp_tcb = tcbs[s->product < TR_SNP_PRODUCT_N ? s->product : TR_SNP_MILAN];
}

void tr_sim_spec(enum tr_tee_kind kind, struct tr_sim_spec *ret)
{
	*ret = (struct tr_sim_spec){ .kind = kind };
	memset(ret->mrtd, 0x11, sizeof(ret->mrtd));
	if (kind == TR_TEE_SNP) {
		ret->quote_version = 3;
		ret->product = TR_SNP_MILAN;
		return;
	}
	if (kind == TR_TEE_SGX) {
		ret->quote_version = 3;
		ret->body = TR_BODY_SGX;
		ret->isvprodid = 1;
		ret->isvsvn = 1;
	} else {
		ret->quote_version = 4;
		ret->body = TR_BODY_TD10;
	}
	for (size_t i = 0; i < 4; i++)
		memset(ret->rtmr[i], (int)(0x21 + i), sizeof(ret->rtmr[i]));
}

/* Zeros become what they stand for; what cannot be is refused. */
static TR_RC complete(const struct tr_sim_spec *in, struct tr_sim_spec *out, struct tr_err *err)
{
	const struct tr_sim_fault_info *fault = tr_sim_fault_info(in->fault);
	bool sgx = in->kind == TR_TEE_SGX, td = in->kind == TR_TEE_TDX, snp = in->kind == TR_TEE_SNP;
	unsigned v = in->quote_version;
	bool fits;

	*out = *in;
	/* SGX in v4 is legal, and v3 is always SGX. */
	fits = (sgx && v >= 3 && v <= 5 && in->body == TR_BODY_SGX) ||
	       (td && ((v == 4 && in->body == TR_BODY_TD10) ||
		       (v == 5 && (in->body == TR_BODY_TD10 || in->body == TR_BODY_TD15)))) ||
	       (snp && v >= 2 && v <= 5 && in->product > TR_SNP_UNKNOWN && in->product < TR_SNP_PRODUCT_N);
	if (!fits)
		return tr_err_set(err, TR_E_INVALID, SPEC_PUB, "kind %d, version %u, body %d, product %d", (int)in->kind, v,
				  (int)in->body, (int)in->product);
	if (in->processor_ca && !sgx)
		return tr_err_set(err, TR_E_INVALID, SPEC_PUB, "TDX platforms are the Platform CA's");
	if (in->fault && (!fault || !(fault->kinds & (1u << in->kind))))
		return tr_err_set(err, TR_E_INVALID, "this kind of evidence has no such fault", "%s of %s",
				  fault ? fault->slug : "none", tr_tee_kind_name(in->kind));
	if ((in->fault == TR_SIMF_SNP_PRODUCT && v == 2) || (in->fault == TR_SIMF_SNP_WRONG_CHIP && in->vlek))
		return tr_err_set(err, TR_E_INVALID, "such a report has nothing where the fault would be", "fault %s",
				  fault->slug);
	if (!in->own_svn)
		default_svns(out);
	if (!out->td_attributes)
		out->td_attributes = sgx ? 0x5 /* INIT, MODE64BIT */ : UINT64_C(1) << 28 /* SEPT_VE_DISABLE */;
	if (!out->xfam)
		out->xfam = sgx ? 0xe7 : 0x602e7;
	if (!out->snp_policy)
		out->snp_policy = 0x30000; /* SMT allowed, and the bit that must be one */
	if (!out->snp_platform_info)
		out->snp_platform_info = 0x25;
	if (!out->evaluation_number)
		out->evaluation_number = 17;
	if (!out->not_before)
		out->not_before = SIM_NOT_BEFORE;
	if (!out->issued)
		out->issued = SIM_NOT_BEFORE;
	if (!out->next_update)
		out->next_update = SIM_NOT_AFTER;
	if (!out->not_after)
		out->not_after = SIM_NOT_AFTER;
	return TR_OK;
}

void tr_sim_case_done(struct tr_sim_case *c)
{
	struct tr_buf *all[] = { &c->quote,    &c->pck_chain, &c->tcb_info,  &c->qe_identity, &c->tcb_chain,
				 &c->pck_crl,  &c->root_crl,  &c->root_spki, &c->root_pem,    &c->pck_crl_chain,
				 &c->vek,      &c->ask,	      &c->ark,	     &c->crl };

	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++)
		tr_buf_done(all[i]);
}

struct tr_dcap_collateral tr_sim_collateral(const struct tr_sim_case *c)
{
	return (struct tr_dcap_collateral){ .tcb_info = tr_buf_view(&c->tcb_info),
					    .qe_identity = tr_buf_view(&c->qe_identity),
					    .tcb_chain = tr_buf_view(&c->tcb_chain),
					    .pck_crl = tr_buf_view(&c->pck_crl),
					    .root_crl = tr_buf_view(&c->root_crl) };
}

TR_RC tr_sim_new(const uint8_t *seed, struct tr_sim **ret, struct tr_err *err)
{
	struct tr_sim *s = calloc(1, sizeof(*s));

	if (!s)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "simulated vendor");
	s->seeded = seed != NULL;
	if (seed)
		memcpy(s->seed, seed, sizeof(s->seed));
	else
		tr_random(s->seed, sizeof(s->seed));
	*ret = s;
	return TR_OK;
}

struct tr_sim *tr_sim_free(struct tr_sim *s)
{
	if (!s)
		return NULL;
	for (size_t set = 0; set < SIM_SET_N; set++) {
		for (size_t i = 0; i < SIM_KEY_N; i++)
			(void)tr_raw_priv_free(s->intel[set][i]);
		for (size_t i = 0; i < 2; i++)
			(void)tr_raw_priv_free(s->vek[set][i]);
	}
	for (size_t i = 0; i < SIM_AMD_KEY_N; i++)
		(void)tr_raw_priv_free(s->amd[i]);
	tr_buf_done(&s->chain);
	tr_wipe(s->seed, sizeof(s->seed));
	free(s);
	return NULL;
}

TR_RC tr_sim_bytes(const struct tr_sim *s, const char *label, uint8_t *out, size_t n, struct tr_err *err)
{
	char info[64];

	(void)snprintf(info, sizeof(info), "troth/simulated/%s", label);
	return tr_hkdf_sha256(TR_VIEW_ARRAY(s->seed), tr_view(NULL, 0), tr_view_str(info), out, n, err);
}

TR_RC tr_sim_intel_key(struct tr_sim *s, enum sim_set set, enum sim_key which, const struct tr_raw_priv **ret,
		       struct tr_err *err)
{
	static const char *const labels[SIM_SET_N][SIM_KEY_N] = {
		{ "intel/root", "intel/platform-ca", "intel/processor-ca", "intel/pck", "intel/tcb-signer", "intel/att",
		  "intel/other-att" },
		{ "impostor/root", "impostor/platform-ca", "impostor/processor-ca", "impostor/pck", "impostor/tcb-signer",
		  "impostor/att", "impostor/other-att" },
	};
	struct tr_raw_priv **k = &s->intel[set][which];
	enum tr_code rc = *k ? TR_OK :
			       tr_raw_priv_ec(TR_RAW_P256, TR_VIEW_ARRAY(s->seed), labels[set][which], k, err);

	if (!rc)
		*ret = *k;
	return rc;
}

TR_RC tr_sim_amd_key(struct tr_sim *s, enum sim_set set, enum sim_amd_key which, const struct tr_raw_priv **ret,
		     struct tr_err *err)
{
	static const char *const labels[SIM_AMD_KEY_N] = { "amd/ark", "amd/ask", "amd/asvk" };
	/* An impostor's keys need only be none of those that are trusted in that place. */
	size_t at = set == SIM_OWN ? which : ((size_t)which + 2) % SIM_AMD_KEY_N;
	struct tr_raw_priv **k = &s->amd[at];
	enum tr_code rc = TR_OK;

	if (!*k && s->seeded)
		rc = tr_raw_priv_rsa(4096, TR_VIEW_ARRAY(s->seed), labels[at], k, err);
	else if (!*k)
		rc = tr_raw_priv_pem(tr_view_str(amd_test_keys[at]), k, err);
	if (!rc)
		*ret = *k;
	return rc;
}

TR_RC tr_sim_vek_key(struct tr_sim *s, enum sim_set set, bool vlek, const struct tr_raw_priv **ret, struct tr_err *err)
{
	static const char *const labels[SIM_SET_N][2] = { { "amd/vcek", "amd/vlek" }, { "impostor/vcek", "impostor/vlek" } };
	struct tr_raw_priv **k = &s->vek[set][vlek];
	enum tr_code rc = *k ? TR_OK : tr_raw_priv_ec(TR_RAW_P384, TR_VIEW_ARRAY(s->seed), labels[set][vlek], k, err);

	if (!rc)
		*ret = *k;
	return rc;
}

TR_RC tr_sim_make(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_sim_case *ret, struct tr_err *err)
{
	struct tr_sim_spec full;
	enum tr_code rc = complete(spec, &full, err);

	if (rc)
		return rc;
	rc = full.kind == TR_TEE_SNP ? tr_sim_snp_case(s, &full, ret, err) : tr_sim_dcap_case(s, &full, ret, err);
	return rc ? tr_err_wrap(err, "simulated %s", tr_tee_kind_name(full.kind)) : TR_OK;
}

TR_RC tr_sim_quote(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_buf *ret, struct tr_err *err)
{
	struct tr_sim_spec full;
	struct tr_view chain;
	enum tr_code rc = complete(spec, &full, err);

	if (rc)
		return rc;
	if (full.kind == TR_TEE_SNP)
		return tr_sim_snp_report(s, &full, ret, err);
	rc = tr_sim_pck_chain(s, &full, &chain, err);
	return rc ? rc : tr_sim_dcap_quote(s, &full, chain, ret, err);
}

TR_RC tr_sim_root_spki(struct tr_sim *s, enum tr_tee_kind kind, struct tr_view *ret, struct tr_err *err)
{
	const struct tr_raw_priv *k = NULL;
	enum tr_code rc = kind == TR_TEE_SNP ? tr_sim_amd_key(s, SIM_OWN, SIM_ARK, &k, err) :
					       tr_sim_intel_key(s, SIM_OWN, SIM_ROOT, &k, err);

	if (!rc)
		*ret = tr_raw_priv_spki(k);
	return rc;
}
