/* SPDX-License-Identifier: Apache-2.0 */
/* Intel's side of the simulated vendor: chains, CRLs and what belongs to one verification. */
#include "codec/pem.h"
#include "crypto/der.h"
#include "crypto/hash.h"
#include "evidence/sim_inner.h"

#define CN_ROOT "Intel SGX Root CA"
#define CN_PLATFORM "Intel SGX PCK Platform CA"
#define CN_PROCESSOR "Intel SGX PCK Processor CA"
#define CN_PCK "Intel SGX PCK Certificate"
#define CN_SIGNER "Intel SGX TCB Signing"

/* 1.2.840.113741.1.13.1, and room for two more arcs below it. */
static const uint8_t oid_sgx[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01 };

static const struct { const char *cn; enum sim_key by; int path_len; const char *by_cn; } certs[SIM_KEY_N] = {
	[SIM_ROOT] = { CN_ROOT, SIM_ROOT, 1, CN_ROOT },
	[SIM_PLATFORM_CA] = { CN_PLATFORM, SIM_ROOT, 0, CN_ROOT },
	[SIM_PROCESSOR_CA] = { CN_PROCESSOR, SIM_ROOT, 0, CN_ROOT },
	[SIM_PCK] = { CN_PCK, SIM_PLATFORM_CA, SIM_NOT_CA, CN_PLATFORM },
	[SIM_TCB_SIGNER] = { CN_SIGNER, SIM_ROOT, SIM_NOT_CA, CN_ROOT },
};

/* SEQUENCE { OID sgx.tail, what stands in b from `at` } */
static void end_pair(struct tr_buf *b, size_t at, const uint8_t *tail, size_t n_tail)
{
	tr_auto(tr_buf_done) struct tr_buf value = TR_BUF_INIT;
	uint8_t oid[sizeof(oid_sgx) + 2];

	memcpy(oid, oid_sgx, sizeof(oid_sgx));
	memcpy(oid + sizeof(oid_sgx), tail, n_tail);
	if (tr_buf_ok(b))
		tr_buf_add(&value, b->p + at, b->n - at);
	if (!tr_buf_ok(&value))
		b->failed = true;
	b->n = at;
	tr_der_add(b, TR_DER_OID, tr_view(oid, sizeof(oid_sgx) + n_tail));
	tr_buf_addv(b, tr_buf_view(&value));
	tr_der_wrap(b, at, TR_DER_SEQ);
}

static void put_octets(struct tr_buf *b, uint8_t tail, struct tr_view v)
{
	size_t at = b->n;

	tr_der_add(b, TR_DER_OCTETS, v);
	end_pair(b, at, &tail, 1);
}

static void put_tcb(struct tr_buf *b, const struct tr_sim_spec *spec)
{
	uint8_t pce[2] = { (uint8_t)(spec->pcesvn >> 8), (uint8_t)spec->pcesvn };
	size_t all = b->n, at;

	for (uint8_t i = 0; i < 16; i++) {
		at = b->n;
		tr_der_add_uint(b, tr_view(&spec->comp[i], 1));
		end_pair(b, at, (uint8_t[]){ 2, (uint8_t)(i + 1) }, 2);
	}
	at = b->n;
	tr_der_add_uint(b, TR_VIEW_ARRAY(pce));
	end_pair(b, at, (uint8_t[]){ 2, 17 }, 2);
	at = b->n;
	tr_der_add(b, TR_DER_OCTETS, TR_VIEW_ARRAY(spec->comp));
	end_pair(b, at, (uint8_t[]){ 2, 18 }, 2);
	tr_der_wrap(b, all, TR_DER_SEQ);
	end_pair(b, all, (uint8_t[]){ 2 }, 1);
}

static void put_configuration(struct tr_buf *b)
{
	size_t all = b->n;

	for (uint8_t i = 1; i <= 3; i++) {
		size_t at = b->n;

		tr_der_add(b, TR_DER_BOOL, TR_VIEW_LIT("\xff"));
		end_pair(b, at, (uint8_t[]){ 7, i }, 2);
	}
	tr_der_wrap(b, all, TR_DER_SEQ);
	end_pair(b, all, (uint8_t[]){ 7 }, 1);
}

/* The SGX extension of the leaf. */
static TR_RC sgx_extension(const struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf v = TR_BUF_INIT;
	uint8_t ppid[16], instance[16];
	size_t at;
	enum tr_code rc = tr_sim_bytes(s, "ppid", ppid, sizeof(ppid), err);

	if (!rc)
		rc = tr_sim_bytes(s, "platform-instance", instance, sizeof(instance), err);
	if (rc)
		return rc;
	put_octets(&v, 1, TR_VIEW_ARRAY(ppid));
	put_tcb(&v, spec);
	put_octets(&v, 3, TR_VIEW_LIT("\0\0"));
	put_octets(&v, 4, TR_VIEW_LIT(TR_SIM_FMSPC));
	at = v.n;
	tr_buf_add(&v, spec->processor_ca ? "\x0a\x01\x00" : "\x0a\x01\x01", 3); /* ENUMERATED standard, scalable */
	end_pair(&v, at, (uint8_t[]){ 5 }, 1);
	if (!spec->processor_ca) {
		put_octets(&v, 6, TR_VIEW_ARRAY(instance));
		put_configuration(&v);
	}
	tr_der_wrap(&v, 0, TR_DER_SEQ);
	if (tr_buf_check(&v, err))
		return err->code;
	tr_sim_extension(ret, TR_VIEW_ARRAY(oid_sgx), false, tr_buf_view(&v));
	return tr_buf_check(ret, err);
}

/* Makes that certificate the one that the fault wants, if it is about it. */
static TR_RC spoil(struct tr_sim *s, enum tr_sim_fault fault, enum sim_key which, struct sim_cert *c, struct tr_err *err)
{
	enum sim_key forger = SIM_KEY_N;

	switch (which) {
	case SIM_PCK:
		if (fault == TR_SIMF_PCK_EXPIRED)
			c->not_after = TR_SIM_TIME - SIM_DAY;
		if (fault == TR_SIMF_PCK_NAME)
			c->subject = "Intel SGX Certificate";
		if (fault == TR_SIMF_PCK_FORGED)
			forger = SIM_PLATFORM_CA;
		break;
	case SIM_PLATFORM_CA:
	case SIM_PROCESSOR_CA:
		if (fault == TR_SIMF_CA_EXPIRED)
			c->not_after = TR_SIM_TIME - SIM_DAY;
		if (fault == TR_SIMF_CA_NOT_CA)
			c->path_len = SIM_NOT_CA;
		if (fault == TR_SIMF_CA_FORGED)
			forger = SIM_ROOT;
		break;
	case SIM_TCB_SIGNER:
		if (fault == TR_SIMF_TCB_SIGNER_EXPIRED)
			c->not_after = TR_SIM_TIME - SIM_DAY;
		if (fault == TR_SIMF_TCB_SIGNER_FORGED)
			forger = SIM_ROOT;
		break;
	default: break;
	}
	return forger == SIM_KEY_N ? TR_OK : tr_sim_intel_key(s, SIM_IMPOSTOR, forger, &c->forger, err);
}

/* One certificate of the chain, as PEM at the end of ret. */
static TR_RC add_cert(struct tr_sim *s, const struct tr_sim_spec *spec, enum sim_key which, struct tr_buf *ret,
		      struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf extra = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	enum sim_set set = sim_set_of(spec);
	bool processor = which == SIM_PCK && spec->processor_ca;
	struct sim_cert c = { .style = SIM_STYLE_INTEL, .subject = certs[which].cn, .path_len = certs[which].path_len,
			      .issuer = processor ? CN_PROCESSOR : certs[which].by_cn,
			      .not_before = spec->not_before, .not_after = spec->not_after };
	uint8_t serial[20];
	enum tr_code rc = tr_sim_intel_key(s, set, which, &c.key, err);

	if (!rc)
		rc = tr_sim_intel_key(s, set, processor ? SIM_PROCESSOR_CA : certs[which].by, &c.by, err);
	if (!rc && which == SIM_PCK && spec->fault != TR_SIMF_PCK_VALUES)
		rc = sgx_extension(s, spec, &extra, err);
	if (!rc)
		rc = spoil(s, spec->fault, which, &c, err);
	if (rc)
		return rc;
	tr_sim_serial(c.key, c.subject, serial);
	c.serial = TR_VIEW_ARRAY(serial);
	c.extra = tr_buf_view(&extra);
	rc = tr_sim_cert(&c, &der, err);
	if (!rc) {
		tr_pem_add(ret, "CERTIFICATE", tr_buf_view(&der));
		rc = tr_buf_check(ret, err);
	}
	return rc;
}

static TR_RC add_certs(struct tr_sim *s, const struct tr_sim_spec *spec, const enum sim_key *which, size_t n,
		       struct tr_buf *ret, struct tr_err *err)
{
	enum tr_code rc = TR_OK;

	for (size_t i = 0; i < n && !rc; i++)
		rc = add_cert(s, spec, which[i], ret, err);
	return rc;
}

TR_RC tr_sim_pck_chain(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_view *ret, struct tr_err *err)
{
	const enum sim_key which[] = { SIM_PCK, spec->processor_ca ? SIM_PROCESSOR_CA : SIM_PLATFORM_CA, SIM_ROOT };
	uint8_t of[16 + 2 + 16 + 3], sum[TR_SHA256_LEN];
	enum tr_code rc;

	memcpy(of, spec->comp, 16);
	sim_put16(of + 16, spec->pcesvn);
	sim_put64(of + 18, (uint64_t)spec->not_before);
	sim_put64(of + 26, (uint64_t)spec->not_after);
	of[34] = spec->processor_ca;
	of[35] = (uint8_t)sim_set_of(spec);
	of[36] = (uint8_t)spec->fault;
	tr_sha256(TR_VIEW_ARRAY(of), sum);
	if (s->chain.n == 0 || memcmp(sum, s->chain_of, sizeof(sum)) != 0) {
		tr_buf_clear(&s->chain);
		rc = add_certs(s, spec, which, TR_ARRAY_LEN(which), &s->chain, err);
		if (rc) {
			tr_buf_clear(&s->chain);
			return rc;
		}
		memcpy(s->chain_of, sum, sizeof(sum));
	}
	*ret = tr_buf_view(&s->chain);
	return TR_OK;
}

/* Lists of the root and of the PCK certificate's issuer. */
static TR_RC add_crls(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_sim_case *ret, struct tr_err *err)
{
	static const struct { enum tr_sim_fault fault; enum sim_key which; bool by_root; } revoked[] = {
		{ TR_SIMF_PCK_REVOKED, SIM_PCK, false },
		{ TR_SIMF_PLATFORM_CA_REVOKED, SIM_PLATFORM_CA, true },
		{ TR_SIMF_TCB_SIGNER_REVOKED, SIM_TCB_SIGNER, true },
	};
	/* "Another CA": the one of both that did not issue the PCK certificate. */
	bool processor = spec->processor_ca != (spec->fault == TR_SIMF_CRL_OTHER_CA);
	enum sim_set set = sim_set_of(spec);
	struct sim_crl root = { .issuer = CN_ROOT, .this_update = spec->issued, .next_update = spec->next_update };
	struct sim_crl pck = { .issuer = processor ? CN_PROCESSOR : CN_PLATFORM, .this_update = spec->issued,
			       .next_update = spec->next_update };
	uint8_t serial[20];
	struct tr_view listed = TR_VIEW_ARRAY(serial);
	enum tr_code rc = tr_sim_intel_key(s, set, SIM_ROOT, &root.by, err);

	if (!rc)
		rc = tr_sim_intel_key(s, set, processor ? SIM_PROCESSOR_CA : SIM_PLATFORM_CA, &pck.by, err);
	for (size_t i = 0; i < TR_ARRAY_LEN(revoked) && !rc; i++) {
		struct sim_crl *crl = revoked[i].by_root ? &root : &pck;
		enum sim_key which = revoked[i].which;
		const struct tr_raw_priv *key = NULL;

		if (spec->fault != revoked[i].fault)
			continue;
		if (which == SIM_PLATFORM_CA && spec->processor_ca)
			which = SIM_PROCESSOR_CA;
		rc = tr_sim_intel_key(s, set, which, &key, err);
		if (rc)
			break;
		tr_sim_serial(key, certs[which].cn, serial);
		crl->serials = &listed;
		crl->n = 1;
	}
	if (!rc && spec->fault == TR_SIMF_ROOT_CRL_FORGED)
		rc = tr_sim_intel_key(s, SIM_IMPOSTOR, SIM_ROOT, &root.forger, err);
	if (spec->fault == TR_SIMF_ROOT_CRL_EXPIRED)
		root.next_update = TR_SIM_TIME - SIM_DAY;
	if (spec->fault == TR_SIMF_CRL_EXPIRED)
		pck.next_update = TR_SIM_TIME - SIM_DAY;
	if (spec->fault == TR_SIMF_CRL_FUTURE)
		pck.this_update = TR_SIM_TIME + SIM_DAY;
	if (!rc)
		rc = tr_sim_crl(&root, &ret->root_crl, err);
	if (!rc)
		rc = tr_sim_crl(&pck, &ret->pck_crl, err);
	/* Its last byte is the end of s: still DER, another number. */
	if (!rc && spec->fault == TR_SIMF_CRL_BAD_SIGNATURE)
		ret->pck_crl.p[ret->pck_crl.n - 1] ^= 1;
	return rc;
}

TR_RC tr_sim_dcap_case(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_sim_case *ret, struct tr_err *err)
{
	const bool by_pck = spec->fault == TR_SIMF_TCB_SIGNED_BY_PCK;
	const enum sim_key signing[] = { by_pck ? SIM_PCK : SIM_TCB_SIGNER, SIM_ROOT };
	const enum sim_key crl_issuer[] = { spec->processor_ca ? SIM_PROCESSOR_CA : SIM_PLATFORM_CA, SIM_ROOT };
	const enum sim_key root[] = { SIM_ROOT };
	const struct tr_raw_priv *tcb = NULL, *signer = NULL, *trusted = NULL;
	struct tr_sim_spec good = *spec;
	struct tr_view chain;
	enum tr_code rc = tr_sim_pck_chain(s, spec, &chain, err);

	if (rc)
		return rc;
	tr_buf_addv(&ret->pck_chain, chain);
	rc = tr_sim_dcap_quote(s, spec, chain, &ret->quote, err);
	if (!rc)
		rc = tr_sim_intel_key(s, sim_set_of(spec), signing[0], &tcb, err);
	if (!rc)
		rc = tr_sim_intel_key(s, sim_set_of(spec), SIM_TCB_SIGNER, &signer, err);
	if (!rc)
		rc = tr_sim_tcb_info(spec, tcb, &ret->tcb_info, err);
	/* One chain for both documents: with the fault, both are the PCK key's. */
	if (!rc)
		rc = tr_sim_qe_identity(spec, by_pck ? tcb : signer, &ret->qe_identity, err);
	if (!rc)
		rc = add_certs(s, spec, signing, TR_ARRAY_LEN(signing), &ret->tcb_chain, err);
	if (!rc)
		rc = add_certs(s, spec, crl_issuer, TR_ARRAY_LEN(crl_issuer), &ret->pck_crl_chain, err);
	if (!rc)
		rc = add_crls(s, spec, ret, err);
	/* The anchor is never the impostor's. */
	good.fault = TR_SIM_NO_FAULT;
	if (!rc)
		rc = add_certs(s, &good, root, 1, &ret->root_pem, err);
	if (!rc)
		rc = tr_sim_intel_key(s, SIM_OWN, SIM_ROOT, &trusted, err);
	if (!rc) {
		tr_buf_addv(&ret->root_spki, tr_raw_priv_spki(trusted));
		rc = tr_buf_check(&ret->root_spki, err);
	}
	return rc ? rc : tr_buf_check(&ret->pck_chain, err);
}
