/* SPDX-License-Identifier: Apache-2.0 */
/* X.509 certificates and CRLs on a quote's path: our own DER walker over the bytes, no copy and no library object, about a
 * microsecond each (RFC 5280 profile that Intel's and AMD's PKIs use, and TPM makers' EK and AK certificates). It reads
 * strictly and decides nothing: whoever verifies a chain asks for names, roles, dates and signatures one by one.
 * Pure: time is an argument. Views borrow from the DER. */
#ifndef TR_EVIDENCE_CERT_H
#define TR_EVIDENCE_CERT_H

#include "base/buf.h"
#include "crypto/raw.h"

#define TR_X_CERT_MAX 8192  /* bytes of one certificate */
#define TR_X_CRL_MAX (1u << 20)
#define TR_X_PEM_MAX 65536  /* bytes of a chain as PEM text */

enum tr_x_sig { TR_X_SIG_UNKNOWN, TR_X_SIG_ECDSA_SHA256, TR_X_SIG_ECDSA_SHA384, TR_X_SIG_ECDSA_SHA512,
		TR_X_SIG_RSA_SHA256, TR_X_SIG_RSA_SHA384, TR_X_SIG_RSA_SHA512, TR_X_SIG_PSS_SHA256, TR_X_SIG_PSS_SHA384,
		TR_X_SIG_PSS_SHA512 };

struct tr_x_cert {
	struct tr_view der, tbs;          /* whole, and the bytes that are signed */
	struct tr_view serial;            /* INTEGER content; may be 00 (AMD's VEKs) */
	struct tr_view issuer, subject;   /* whole Name, DER: compared bytewise */
	struct tr_view subject_cn;        /* text of the one CN; empty: none */
	struct tr_view spki;              /* whole SubjectPublicKeyInfo */
	enum tr_raw_type key_type;        /* TR_RAW_NONE: a kind that we do not read */
	struct tr_view point;             /* EC: x || y */
	struct tr_view modulus, exponent; /* RSA */
	int64_t not_before, not_after;    /* Unix seconds */
	bool v3, has_basic, ca, has_usage;
	int path_len;                     /* -1: none */
	uint16_t usage;                   /* as RFC 5280 numbers them: bit 0 digitalSignature … 5 keyCertSign, 6 cRLSign */
	struct tr_view ski, aki;          /* key identifiers; empty: absent */
	struct tr_view extensions;        /* body of the SEQUENCE OF Extension; empty: none */
	bool unknown_critical;            /* an extension marked critical that this reader does not know */
	enum tr_x_sig sig_alg;
	struct tr_view sig;
};

/* The whole input is one certificate. TR_E_INVALID with a sentence that names the field. */
TR_RC tr_x_cert_parse(struct tr_view der, struct tr_x_cert *ret, struct tr_err *err);
/* The extension with that OID (content octets): its extnValue's content. */
bool tr_x_cert_extension(const struct tr_x_cert *c, struct tr_view oid, struct tr_view *ret);
/* The public key, ready to verify with. */
TR_RC tr_x_cert_key(const struct tr_x_cert *c, struct tr_raw_key **ret, struct tr_err *err);
/* Is `sig` over `tbs` by k? TR_E_DENIED otherwise; a scheme that does not fit the key or is not known is TR_E_INVALID. */
TR_RC tr_x_verify(enum tr_x_sig alg, struct tr_view tbs, struct tr_view sig, const struct tr_raw_key *k, struct tr_err *err);
/* not_before <= now <= not_after, Unix seconds. */
bool tr_x_cert_in_time(const struct tr_x_cert *c, int64_t now);

struct tr_x_crl {
	struct tr_view der, tbs, issuer, aki;
	int64_t this_update, next_update; /* Unix seconds; a CRL without nextUpdate is refused */
	struct tr_view entries;           /* body of revokedCertificates; empty: none */
	bool unknown_critical;            /* of the CRL or of an entry: indirect, delta, or something newer */
	enum tr_x_sig sig_alg;
	struct tr_view sig;
};
TR_RC tr_x_crl_parse(struct tr_view der, struct tr_x_crl *ret, struct tr_err *err);
bool tr_x_crl_lists(const struct tr_x_crl *crl, struct tr_view serial);

/* PEM text to DER, into `ret` one after the other: exactly the blocks of that label ("CERTIFICATE"), LF or CRLF, one final
 * NUL or none. More than max blocks, other labels or text between them that is not white space are refused. */
TR_RC tr_x_pem_chain(struct tr_view pem, const char *label, size_t max, struct tr_buf *ret, struct tr_view *ret_ders,
		     size_t *ret_n, struct tr_err *err);

#endif
