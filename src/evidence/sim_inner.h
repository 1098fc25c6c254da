/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the simulated vendor share; nobody else includes this. */
#ifndef TR_EVIDENCE_SIM_INNER_H
#define TR_EVIDENCE_SIM_INNER_H

#include "crypto/raw_sign.h"
#include "evidence/sim.h"

#define SIM_ORGANISATION "Troth Simulated TEE"
#define SIM_NOT_BEFORE INT64_C(1767225600) /* 2026-01-01 */
#define SIM_NOT_AFTER INT64_C(2713910400)  /* 2056-01-01 */
#define SIM_DAY INT64_C(86400)
#define SIM_CHAIN_MAX 8192

/* The Intel side has two of everything: the vendor's, and those of an impostor who uses the same names. */
enum sim_key { SIM_ROOT, SIM_PLATFORM_CA, SIM_PROCESSOR_CA, SIM_PCK, SIM_TCB_SIGNER, SIM_ATT, SIM_QE_OTHER, SIM_KEY_N };
enum sim_amd_key { SIM_ARK, SIM_ASK, SIM_ASVK, SIM_AMD_KEY_N };
enum sim_set { SIM_OWN, SIM_IMPOSTOR, SIM_SET_N };

struct tr_sim {
	uint8_t seed[TR_SIM_SEED_LEN];
	bool seeded;
	struct tr_raw_priv *intel[SIM_SET_N][SIM_KEY_N]; /* made on first use, as all keys */
	struct tr_raw_priv *amd[SIM_AMD_KEY_N];          /* an impostor has them in other places */
	struct tr_raw_priv *vek[SIM_SET_N][2];           /* VCEK, VLEK */
	/* The newest PCK chain and what it was made from: a platform keeps its certificate from quote to quote. */
	uint8_t chain_of[32];
	struct tr_buf chain;
};

TR_RC tr_sim_intel_key(struct tr_sim *s, enum sim_set set, enum sim_key which, const struct tr_raw_priv **ret,
		       struct tr_err *err);
TR_RC tr_sim_amd_key(struct tr_sim *s, enum sim_set set, enum sim_amd_key which, const struct tr_raw_priv **ret,
		     struct tr_err *err);
TR_RC tr_sim_vek_key(struct tr_sim *s, enum sim_set set, bool vlek, const struct tr_raw_priv **ret, struct tr_err *err);
/* Bytes that belong to that label and vendor: identifiers of a platform. */
TR_RC tr_sim_bytes(const struct tr_sim *s, const char *label, uint8_t *out, size_t n, struct tr_err *err);

/* ---- sim_x509.c ---- */
enum sim_style { SIM_STYLE_INTEL, SIM_STYLE_AMD }; /* order of names, signature scheme, extensions */
enum { SIM_NOT_CA = -1, SIM_CA_ANY_LENGTH = 99 };
struct sim_cert {
	enum sim_style style;
	const char *issuer, *subject;     /* CN */
	struct tr_view serial;            /* big-endian */
	int64_t not_before, not_after;
	const struct tr_raw_priv *key;    /* its own */
	const struct tr_raw_priv *by;     /* who signs */
	const struct tr_raw_priv *forger; /* who signs in his place; NULL: nobody */
	int path_len;                     /* SIM_NOT_CA: none */
	bool bare;                        /* nothing but `extra`: AMD's VEKs */
	struct tr_view extra;             /* whole Extensions, DER */
};
TR_RC tr_sim_cert(const struct sim_cert *c, struct tr_buf *ret_der, struct tr_err *err);
struct sim_crl {
	enum sim_style style;
	const char *issuer;
	const struct tr_raw_priv *by, *forger;
	int64_t this_update, next_update;
	const struct tr_view *serials;
	size_t n;
};
TR_RC tr_sim_crl(const struct sim_crl *c, struct tr_buf *ret_der, struct tr_err *err);
/* The certificate's serial: 20 bytes from its key and its name, positive. */
void tr_sim_serial(const struct tr_raw_priv *key, const char *subject, uint8_t out[20]);
/* Appends one Extension that is not critical, its value given. */
void tr_sim_extension(struct tr_buf *b, struct tr_view oid, bool critical, struct tr_view value);

/* ---- sim_json.c ---- */
TR_RC tr_sim_tcb_info(const struct tr_sim_spec *spec, const struct tr_raw_priv *by, struct tr_buf *ret, struct tr_err *err);
TR_RC tr_sim_qe_identity(const struct tr_sim_spec *spec, const struct tr_raw_priv *by, struct tr_buf *ret,
			 struct tr_err *err);
void tr_sim_qe_mrsigner(bool td, uint8_t out[32]);
uint16_t tr_sim_qe_svn(bool td);

/* ---- sim_dcap.c, sim_quote.c, sim_snp.c ---- */
TR_RC tr_sim_dcap_case(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_sim_case *ret, struct tr_err *err);
TR_RC tr_sim_dcap_quote(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_view chain, struct tr_buf *ret,
			struct tr_err *err);
TR_RC tr_sim_pck_chain(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_view *ret, struct tr_err *err);
TR_RC tr_sim_snp_case(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_sim_case *ret, struct tr_err *err);
TR_RC tr_sim_snp_report(struct tr_sim *s, const struct tr_sim_spec *spec, struct tr_buf *ret, struct tr_err *err);

static inline enum sim_set sim_set_of(const struct tr_sim_spec *spec)
{
	return spec->fault == TR_SIMF_OTHER_ROOT ? SIM_IMPOSTOR : SIM_OWN;
}

static inline void sim_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void sim_put32(uint8_t *p, uint32_t v)
{
	sim_put16(p, (uint16_t)v);
	sim_put16(p + 2, (uint16_t)(v >> 16));
}

static inline void sim_put64(uint8_t *p, uint64_t v)
{
	sim_put32(p, (uint32_t)v);
	sim_put32(p + 4, (uint32_t)(v >> 32));
}

#endif
