/* SPDX-License-Identifier: Apache-2.0 */
/* The appraisal policy for TEE and TPM evidence, and the whole appraisal: evidence set, collateral bundle, policy, time and
 * expectation in, verdict with every reason out. Pure, and the same in the appraise role, in `troth quote verify` and in
 * `troth attestation replay`: the same arguments give the same bytes. */
#ifndef TR_APPRAISE_TEE_H
#define TR_APPRAISE_TEE_H

#include "appraise/verdict.h"
#include "evidence/bundle.h"
#include "evidence/eventlog.h"
#include "evidence/tpm.h"

#define TR_TEE_POLICY_MAX 65536 /* bytes of text, YAML or JSON */

/* How report data are made from the challenge and the peer's key; chosen by policy, never guessed. */
enum tr_rd_scheme {
	TR_RD_NONE,            /* not asked: only for tools; no server policy may say so */
	TR_RD_TROTH,           /* tr_rd_troth below: key and challenge */
	TR_RD_RAW_ED25519,     /* [0:32] = raw key, rest zero */
	TR_RD_SHA256_SPKI_DER, /* [0:32] = SHA-256 of the SPKI, rest zero */
	TR_RD_SHA256_CERT_DER, /* [0:32] = SHA-256 of the TLS certificate, rest zero */
	TR_RD_SHA256_PEM,      /* [0:32] = SHA-256 of the SPKI's PEM text, rest zero */
	TR_RD_N
};
const char *tr_rd_scheme_name(enum tr_rd_scheme s);
/* SHA-512("troth/report-data/v1" 00 u16be(len) challenge u16be(len) SPKI DER). A TPM quotes SHA-256 of the same input. */
void tr_rd_troth(struct tr_view challenge, struct tr_view spki, uint8_t out[64]);
void tr_rd_troth_tpm(struct tr_view challenge, struct tr_view spki, uint8_t out[32]);

struct tr_tee_policy;
/* text: YAML or JSON (docs/attestation.md has the grammar). Unknown members are errors that name their path. The error's
 * detail ("snp.images[2].measurement: must be 96 hex digits", "line 4: …") is about the text alone: it may be shown to
 * whoever sent it. */
TR_RC tr_tee_policy_parse(struct tr_view text, struct tr_tee_policy **ret, struct tr_err *err);
/* The same for tools: "report_data: none" may stand there. */
TR_RC tr_tee_policy_parse_tools(struct tr_view text, struct tr_tee_policy **ret, struct tr_err *err);
struct tr_tee_policy *tr_tee_policy_free(struct tr_tee_policy *p);
TR_DEFINE_AUTO(struct tr_tee_policy *, tr_tee_policy_free)
const char *tr_tee_policy_name(const struct tr_tee_policy *p);
bool tr_tee_policy_for(const struct tr_tee_policy *p, struct tr_view agent_type); /* does it name that type? */
unsigned tr_tee_policy_kinds(const struct tr_tee_policy *p); /* accepted: bit 1 << enum tr_tee_kind */
void tr_tee_policy_types(const struct tr_tee_policy *p, struct tr_buf *ret); /* agent types, joined by commas */
enum tr_rd_scheme tr_tee_policy_scheme(const struct tr_tee_policy *p);
unsigned tr_tee_policy_lifetime_s(const struct tr_tee_policy *p); /* of a verdict; at most and by default 4 h */
/* What "a sane default" says for a kind: Intel's and AMD's roots, UpToDate, no debug, VMPL 0, no reference values (their
 * absence is then a note, not a pass: tools only). */
TR_RC tr_tee_policy_default(struct tr_tee_policy **ret, struct tr_err *err);

struct tr_tee_in {
	struct tr_tee_set set;
	const struct tr_bundle *bundle;      /* may be NULL */
	const struct tr_tee_policy *policy;
	int64_t now;                         /* Unix s */
	struct tr_view challenge;            /* the server's; empty for schemes without one */
	struct tr_view spki;                 /* of the key that the evidence shall speak for */
	struct tr_view cert;                 /* DER, for TR_RD_SHA256_CERT_DER */
	enum tr_tpm_ak_trust ak_trusted_by;  /* what the server knows of the AK; ak_name: which one it is */
	struct tr_view ak_name;
	struct tr_dcap_cache *cache;
	struct tr_snp_cache *snp_cache;
	/* For tools that hold the pieces themselves; a server leaves these empty. */
	struct tr_view report_data;          /* expected, instead of what the policy's scheme computes */
	const struct tr_dcap_collateral *dcap; /* instead of the bundle's */
	const struct tr_snp_in *snp;         /* vek, ask, ark, crl of it, instead of set and bundle */
	const struct tr_tpm_in *tpm;         /* instead of what the set says; roots and trust stay the policy's */
};
struct tr_tee_verdict {
	struct tr_tee_result ev;              /* checks of policy included */
	bool ok;
	enum tr_reason reason;
	enum tr_tier tier;                   /* TR_TIER_HARDWARE when authentic by a vendor's root; a simulated root: none */
	bool simulated;                      /* the root is one that the policy calls simulated */
	char image[65];                      /* name of the reference values that matched; "" none */
	bool compared;                       /* false: the policy says "measurements: any" and had nothing to compare with */
	int64_t expires;                     /* Unix s: verdict's end: lifetime, or what it rests on */
};
void tr_tee_appraise(const struct tr_tee_in *in, struct tr_tee_verdict *ret);
/* Deterministic: the same appraisal gives the same bytes; its SHA-256 is the verdict's digest. */
void tr_tee_verdict_json(const struct tr_tee_verdict *v, const struct tr_tee_in *in, struct tr_buf *b);
/* The API's reason for a check that failed. */
enum tr_reason tr_tee_reason(enum tr_tee_code c);

/* The claims of the result token (EAR, draft-ietf-rats-ear): the JSON that `keys` signs as a JWT. */
struct tr_ear_in { struct tr_view issuer, agent, agent_type, policy, build; int64_t issued, expires;
		   const struct tr_tee_verdict *v; struct tr_view verdict_digest, spki; };
void tr_ear_claims(const struct tr_ear_in *in, struct tr_buf *b);

#endif
