/* SPDX-License-Identifier: Apache-2.0 */
/* Measured boot and run-time logs (TCG PC Client Firmware Profile, Linux IMA): replayed into register values; what they say
 * counts only once the replayed values are the quoted ones. TCG2 logs (TPM, and CCEL with RTMR numbers), IMA lists, dstack and
 * SecretVM RTMR3 rules. */
#ifndef TR_EVIDENCE_EVENTLOG_H
#define TR_EVIDENCE_EVENTLOG_H

#include "evidence/evidence.h"

#define TR_LOG_MAX (4u << 20)
#define TR_LOG_EVENTS_MAX 16384

struct tr_log_event {
	uint32_t index;        /* PCR, or CCEL's MR index */
	uint32_t type;
	size_t n_digests;
	struct { enum tr_raw_hash alg; struct tr_view digest; } digests[TR_HASH_N];
	struct tr_view data;   /* where data_is_hashed: exactly what the digest covers, which may be less than was logged */
	bool data_is_hashed;   /* every digest is the hash of `data`, recomputed and equal: only such data are to be believed */
	bool data_forged;      /* they should be, and are not */
};
typedef bool (*tr_log_fn)(void *arg, const struct tr_log_event *e); /* false stops */

/* Replays a TCG2 log (or one of TPM 1.2: SHA-1 only) for one bank: values[i] as the log makes it, bit i of ret_touched when
 * the log extends it. TR_E_NOTFOUND: it has no digests of that bank. from_zero: PCR 0 begins at zero, whatever the log says
 * of the locality that started the TPM (virtual TPMs into which a log was replayed; its measured events are the same). */
TR_RC tr_log_replay(struct tr_view log, enum tr_raw_hash bank, bool from_zero, uint8_t values[24][64], uint32_t *ret_touched,
		    size_t *ret_events, struct tr_err *err);
TR_RC tr_log_each(struct tr_view log, tr_log_fn fn, void *arg, struct tr_err *err);
/* CCEL ACPI table: where the log is and how long (table is what /sys/firmware/acpi/tables/CCEL holds). */
TR_RC tr_ccel_table(struct tr_view table, uint64_t *ret_len, uint64_t *ret_address, struct tr_err *err);
/* A CCEL log against the RTMRs of a quote: bit i of ret_explained when the log makes RTMR i. TR_E_DENIED: one of RTMR0-2,
 * or an RTMR3 that the log extends, has another value. */
TR_RC tr_ccel_replay(struct tr_view log, const struct tr_view rtmr[4], uint32_t *ret_explained, struct tr_err *err);

/* IMA list, ASCII or binary (told apart by its first bytes). The longest prefix that reproduces pcr10 of that bank:
 * ret_proven entries are covered by the quote, the rest is not. TR_E_DENIED: none does. */
TR_RC tr_ima_replay(struct tr_view list, enum tr_raw_hash bank, struct tr_view pcr10, size_t *ret_proven, size_t *ret_total,
		    struct tr_err *err);

/* RTMR = SHA384(RTMR || digest48), start 0. */
void tr_rtmr_extend(uint8_t rtmr[48], const uint8_t digest[48]);
/* SecretVM: SHA-256 of compose, rootfs hash, optionally of docker files, each zero-padded to 48. */
void tr_rtmr3_secretvm(const uint8_t compose_sha256[32], const uint8_t rootfs[32], const uint8_t *files_sha256,
			uint8_t out[48]);
/* dstack: SHA384(LE32(0x08000001) ":" name ":" payload). */
void tr_rtmr3_dstack_event(struct tr_view name, struct tr_view payload, uint8_t digest[48]);

#endif
