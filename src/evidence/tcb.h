/* SPDX-License-Identifier: Apache-2.0 */
/* What Intel says about platforms: TCB info and QE identity (PCS API v4) as they are signed, and the rules that make a
 * status of them. Read from the very bytes that were signed; what is read borrows from them. Nothing here checks a
 * signature, a date or whom the document is for: dcap.c does. */
#ifndef TR_EVIDENCE_TCB_H
#define TR_EVIDENCE_TCB_H

#include "codec/jscan.h"
#include "evidence/dcap.h"

#define TR_TCB_LEVELS_MAX 64
#define TR_TCB_MODULES_MAX 32
#define TR_SVN_LEVELS_MAX 160 /* of all modules together, and of a QE identity */

/* Signature and dates, the same for both documents. */
struct tr_signed_json {
	struct tr_view bytes;   /* that are signed: the inner object as it stands in the text */
	uint8_t sig[64];        /* r || s */
	int64_t issued, next;   /* Unix s */
	uint64_t version, evaluation_number;
	char id[8];             /* "SGX", "TDX", "QE", "TD_QE"; "" when there is none (TCB info v2) */
};

struct tr_tcb_level {
	uint8_t sgx[16], tdx[16];
	uint16_t pcesvn;
	enum tr_tcb_status status; /* TR_TCB_UNRECOGNISED: a text of the future */
	int64_t date;
	struct tr_jval advisories; /* array; type NONE: absent */
};
/* Of a TDX module or of the quoting enclave. */
struct tr_svn_level {
	uint16_t isvsvn;
	enum tr_tcb_status status;
	int64_t date;
	struct tr_jval advisories;
};
struct tr_tdx_module {
	uint8_t version; /* 0: tdxModule itself, without levels */
	uint8_t mrsigner[48], attributes[8], attributes_mask[8];
	const struct tr_svn_level *levels; /* highest first, inside the same tr_tcb_info */
	size_t n_levels;
};
struct tr_tcb_info {
	struct tr_signed_json doc;
	bool tdx;
	uint8_t fmspc[6], pceid[2];
	uint64_t tcb_type;
	struct tr_tdx_module module; /* TDX: for module version 0 */
	size_t n_modules, n_levels, n_svn;
	struct tr_tdx_module modules[TR_TCB_MODULES_MAX];
	struct tr_tcb_level levels[TR_TCB_LEVELS_MAX]; /* highest first, however they stand in the text */
	struct tr_svn_level svn[TR_SVN_LEVELS_MAX];
};
/* *ret must stay where it is: modules point into it. */
TR_RC tr_tcb_info_parse(struct tr_view text, struct tr_tcb_info *ret, struct tr_err *err);

struct tr_qe_identity {
	struct tr_signed_json doc;
	uint8_t miscselect[4], miscselect_mask[4], attributes[16], attributes_mask[16], mrsigner[32];
	uint16_t isvprodid;
	size_t n_levels;
	struct tr_svn_level levels[TR_SVN_LEVELS_MAX]; /* highest first */
};
TR_RC tr_qe_identity_parse(struct tr_view text, struct tr_qe_identity *ret, struct tr_err *err);

/* Component by component, against the PCK certificate's values. tee_tcb_svn: of a TD, else NULL. Outputs are NULL where
 * nothing matches; *ret_tdx is always NULL for SGX. */
void tr_tcb_match(const struct tr_tcb_info *t, const struct tr_pck *pck, const uint8_t *tee_tcb_svn,
		  const struct tr_tcb_level **ret_sgx, const struct tr_tcb_level **ret_tdx);
/* The first level that is not above svn; NULL: none. */
const struct tr_svn_level *tr_svn_match(const struct tr_svn_level *levels, size_t n, unsigned svn);
/* The identity that speaks for that major version of the module; NULL: none. 0 is tdxModule. */
const struct tr_tdx_module *tr_tdx_module_of(const struct tr_tcb_info *t, uint8_t version);
/* Both statuses together (6.3). */
enum tr_tcb_status tr_tcb_converge(enum tr_tcb_status platform, enum tr_tcb_status part);
/* Of a TD report 1.5 (6.4): s, or that starting the TD again would repair it. */
enum tr_tcb_status tr_tcb_relaunch(const struct tr_tcb_info *t, enum tr_tcb_status s, enum tr_tcb_status sgx,
				   enum tr_tcb_status module, enum tr_tcb_status qe, const uint8_t *tee_tcb_svn_2);

#endif
