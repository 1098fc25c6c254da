/* SPDX-License-Identifier: Apache-2.0 */
/* TEE and TPM evidence: what came from the attester, what a verification finds, and in which words. Four questions are asked
 * in this order and answered separately (research: what goes wrong first):
 *
 *   authentic  a chain of signatures from a pinned vendor root to the bytes of the report
 *   current    not revoked, collateral in date, TCB level
 *   software   measurements equal to reference values that the verifier owns; no debug   (src/appraise asks it)
 *   fresh      report data equals what the verifier computed from its challenge and the peer's key
 *
 * Nothing of this folder reads a clock, a file or the network: time, anchors, collateral and expectations are arguments.
 * One verifier per kind stands in its own header (dcap.h, snp.h, tpm.h). */
#ifndef TR_EVIDENCE_EVIDENCE_H
#define TR_EVIDENCE_EVIDENCE_H

#include "base/buf.h"
#include "evidence/cert.h"

/* The numbers stand in stored evidence: never renumber. */
enum tr_tee_kind { TR_TEE_NONE, TR_TEE_SGX, TR_TEE_TDX, TR_TEE_SNP, TR_TEE_TPM, TR_TEE_KIND_N };
const char *tr_tee_kind_name(enum tr_tee_kind k); /* "sgx", "tdx", "snp", "tpm" */
bool tr_tee_kind_of(struct tr_view name, enum tr_tee_kind *ret);

enum tr_tee_question { TR_Q_AUTHENTIC, TR_Q_CURRENT, TR_Q_SOFTWARE, TR_Q_FRESH, TR_Q_N };
const char *tr_tee_question_name(enum tr_tee_question q); /* "authentic", "current", "software", "fresh" */
enum tr_answer { TR_ANSWER_NOT_ASKED, TR_ANSWER_YES, TR_ANSWER_NO };
const char *tr_answer_name(enum tr_answer a); /* "not_asked", "yes", "no" */

/* Every way in which a check fails: stable slug, question, sentence that says what to do (codes.inc, one row each). */
enum tr_tee_code {
	TR_TEEC_OK,
#define TR_TEE_CODE(id, slug, question, sentence) TR_TEEC_##id,
#include "evidence/codes.inc"
#undef TR_TEE_CODE
	TR_TEEC_N
};
struct tr_tee_code_info { const char *slug; enum tr_tee_question question; const char *sentence; };
const struct tr_tee_code_info *tr_tee_code_info(enum tr_tee_code c);

/* TCB status as Intel's collateral names it, and what a verifier adds (Intel PCS API v4, tcbStatus). */
enum tr_tcb_status {
	TR_TCB_NONE, /* kind without one, or not determined */
	TR_TCB_UP_TO_DATE, TR_TCB_SW_HARDENING_NEEDED, TR_TCB_CONFIGURATION_NEEDED,
	TR_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED, TR_TCB_OUT_OF_DATE, TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
	TR_TCB_REVOKED, TR_TCB_NOT_SUPPORTED, TR_TCB_TDX_MODULE_MISMATCH, TR_TCB_TD_RELAUNCH_ADVISED,
	TR_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED, TR_TCB_UNRECOGNISED, TR_TCB_N
};
const char *tr_tcb_status_name(enum tr_tcb_status s); /* "UpToDate", …; "none" */
bool tr_tcb_status_of(struct tr_view name, enum tr_tcb_status *ret);

/* One line of "expected / seen". */
struct tr_tee_check {
	const char *name; /* static, e.g. "pck_chain.root" */
	enum tr_tee_question question;
	enum tr_tee_code code; /* TR_TEEC_OK: passed */
	char expected[160], seen[160];
};
#define TR_TEE_CHECKS_MAX 96

/* A decoded field, for people and JSON: value as number, bytes (shown as lower hex) or text; borrows from the evidence. */
struct tr_tee_field {
	const char *name; /* static: "mrtd", "td_attributes" */
	enum { TR_TEE_F_HEX, TR_TEE_F_UINT, TR_TEE_F_TEXT } form;
	struct tr_view bytes;
	uint64_t number;
};
#define TR_TEE_FIELDS_MAX 96

/* What was verified against: its name and SHA-256, so that a verdict can be made again. */
struct tr_tee_input { const char *name; uint8_t sha256[32]; };
#define TR_TEE_INPUTS_MAX 16
#define TR_TEE_ADVISORIES_MAX 48
#define TR_TEE_REPORT_DATA_MAX 64

struct tr_tee_result {
	enum tr_tee_kind kind;
	enum tr_answer answers[TR_Q_N];
	enum tr_tee_code first;            /* the first check that failed, in the documented order */
	enum tr_tcb_status tcb_status, platform_status, module_status, qe_status;
	int64_t tcb_date;                 /* of the matched level, Unix seconds; 0: none */
	uint64_t evaluation_number;       /* tcbEvaluationDataNumber of the TCB info; 0: none */
	size_t n_advisories;
	char advisories[TR_TEE_ADVISORIES_MAX][24];
	int64_t valid_until;              /* when the first thing it rests on ends, Unix seconds; 0: nothing does */
	size_t trailing_bytes;            /* after the quote; accepted only when all zero */
	struct tr_view report_data;       /* 64 bytes, or a TPM's extraData; borrows */
	bool debug;                       /* a debug bit is set (also counted among the checks of `software`) */
	size_t n_checks, n_fields, n_inputs;
	struct tr_tee_check checks[TR_TEE_CHECKS_MAX];
	struct tr_tee_field fields[TR_TEE_FIELDS_MAX];
	struct tr_tee_input inputs[TR_TEE_INPUTS_MAX];
};

/* For verifiers. A line that fails says no to its question; a question with lines that all passed is answered yes. Past
 * the maximum the last line is overwritten by one that failed: nothing passes for want of room. Returns the line. */
struct tr_tee_check *tr_tee_check_add(struct tr_tee_result *r, const char *name, enum tr_tee_question q, enum tr_tee_code code);
void tr_tee_expected(struct tr_tee_check *c, const char *fmt, ...) TR_PRINTF(2, 3);
void tr_tee_seen(struct tr_tee_check *c, const char *fmt, ...) TR_PRINTF(2, 3);
void tr_tee_expected_hex(struct tr_tee_check *c, struct tr_view bytes);
void tr_tee_seen_hex(struct tr_tee_check *c, struct tr_view bytes);
/* The whole line in one call, static texts; NULL is left empty. Returns code == TR_TEEC_OK. */
bool tr_tee_line(struct tr_tee_result *r, const char *name, enum tr_tee_question q, enum tr_tee_code code, const char *expected,
		const char *seen);
void tr_tee_field_hex(struct tr_tee_result *r, const char *name, struct tr_view bytes);
void tr_tee_field_uint(struct tr_tee_result *r, const char *name, uint64_t v);
void tr_tee_field_text(struct tr_tee_result *r, const char *name, struct tr_view text);
void tr_tee_input(struct tr_tee_result *r, const char *name, struct tr_view bytes);
void tr_tee_advisory(struct tr_tee_result *r, struct tr_view id); /* sorted, unique */
/* The earlier of both; 0 is never. */
void tr_tee_until(struct tr_tee_result *r, int64_t unix_s);
/* Authentic and current as far as both were asked: "crypto" of an evidence case. Revoked, NotSupported, module mismatch and
 * unrecognised statuses are lines that failed under `current`; OutOfDate and the rest are not: they are policy's. */
bool tr_tee_authentic_and_current(const struct tr_tee_result *r);
/* The result as one JSON object, deterministic: members in fixed order, no time but those in it. */
void tr_tee_result_json(const struct tr_tee_result *r, struct tr_buf *b);
void tr_tee_fields_json(const struct tr_tee_result *r, struct tr_buf *b); /* only what the evidence states: {"name": value} */

/* fresh: the 64 bytes (TPM: its length) that the verifier computed itself, compared in constant time and whole. Empty:
 * not asked. */
void tr_tee_check_report_data(struct tr_tee_result *r, struct tr_view expected);

/* Tolerance of dates. All default 0. */
struct tr_tee_when {
	int64_t now;          /* Unix seconds */
	int64_t skew_s;       /* on the not-yet-valid side */
	int64_t grace_s;      /* past nextUpdate of CRLs and signed JSON only; the result says by how much */
};

#endif
