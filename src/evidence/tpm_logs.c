/* SPDX-License-Identifier: Apache-2.0 */
/* Logs beside a quote, compared with PCR values that are already proven. */
#include "evidence/eventlog.h"
#include "evidence/tpm_inner.h"

#include <stdio.h>

/* What firmware and boot loader measure (PC Client profile, 3.3.4): all of it is in the log. The other PCRs are extended
 * by the running system too, whose log is another one. */
#define BOOT_PCRS 0x3ffu

/* What a log makes of one bank. */
struct replayed {
	uint8_t values[24][64], from_zero[24][64];
	uint32_t touched;
};

static TR_RC replay(struct tr_view log, enum tr_raw_hash bank, struct replayed *ret, struct tr_err *err)
{
	size_t events;

	if (tr_log_replay(log, bank, false, ret->values, &ret->touched, &events, err))
		return err->code;
	return tr_log_replay(log, bank, true, ret->from_zero, &ret->touched, &events, err);
}

/* One bank: false when a boot PCR is not what the log makes it; then `why` says which. The record of the start-up locality is
 * itself measured nowhere, so PCR 0 is explained with it or without: the events that were measured are the same. */
static bool bank_matches(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, const struct tr_tpm_selection *s,
			 const struct replayed *log, char why[120], uint32_t *ret_proven)
{
	size_t n = tr_raw_hash_len(s->bank);

	for (unsigned p = 0; p < TR_TPM_PCRS; p++) {
		bool touched = log->touched >> p & 1;
		struct tr_view quoted;

		if (!(s->pcrs >> p & 1) || !tr_tpm_pcr_quoted(in, a, s->bank, p, &quoted))
			continue;
		if (tr_view_eq(quoted, tr_view(log->values[p], n)) || tr_view_eq(quoted, tr_view(log->from_zero[p], n))) {
			*ret_proven |= (uint32_t)touched << p;
			continue;
		}
		if (!(BOOT_PCRS >> p & 1))
			continue;
		(void)snprintf(why, 120, "PCR %s:%u has %s", tr_raw_hash_name(s->bank), p,
			       touched ? "another value" : "a value and no event in the log");
		return false;
	}
	return true;
}

static bool note_forged(void *arg, const struct tr_log_event *e)
{
	unsigned *n = arg;

	*n += e->data_forged;
	return true;
}

static void event_log(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, struct tr_tee_result *r)
{
	struct tr_tee_check *c;
	struct tr_err err;
	char why[120] = "no digests of a quoted bank";
	uint32_t proven = 0;
	unsigned banks = 0, forged = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < a->n_selections; i++) {
		struct replayed log;
		enum tr_code rc = replay(in->event_log, a->selections[i].bank, &log, &err);

		/* A firmware that measures into one bank only leaves the others to nobody. */
		if (rc == TR_E_NOTFOUND)
			continue;
		banks++;
		ok = rc == TR_OK && bank_matches(in, a, &a->selections[i], &log, why, &proven);
		if (rc)
			(void)snprintf(why, sizeof(why), "%s", err.detail);
	}
	ok = ok && banks;
	c = tr_tee_check_add(r, "event_log", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_TPM_EVENT_LOG);
	tr_tee_expected(c, "replays to the quoted PCRs");
	if (!ok) {
		tr_tee_seen(c, "%s", why);
		return;
	}
	tr_tee_seen(c, "explains the PCRs of %06x", proven);
	/* The PCRs cover digests; what an event says of itself is covered only where the digest is its hash. */
	if (tr_log_each(in->event_log, note_forged, &forged, &err))
		forged++;
	c = tr_tee_check_add(r, "event_log.data", TR_Q_AUTHENTIC, forged ? TR_TEEC_TPM_EVENT_LOG : TR_TEEC_OK);
	tr_tee_expected(c, "events hash to their digests");
	tr_tee_seen(c, "%u do not", forged);
}

static void ima_log(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, struct tr_tee_result *r)
{
	enum tr_raw_hash best = TR_HASH_NONE;
	struct tr_view pcr10 = { NULL, 0 }, v;
	size_t proven = 0, total = 0;
	struct tr_tee_check *c;
	struct tr_err err;
	bool ok;

	/* The strongest of the quoted banks: the names are in that order. */
	for (size_t i = 0; i < a->n_selections; i++) {
		if (a->selections[i].bank > best && tr_tpm_pcr_quoted(in, a, a->selections[i].bank, 10, &v)) {
			best = a->selections[i].bank;
			pcr10 = v;
		}
	}
	ok = best != TR_HASH_NONE && tr_ima_replay(in->ima_log, best, pcr10, &proven, &total, &err) == TR_OK;
	c = tr_tee_check_add(r, "ima", TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_TPM_IMA);
	tr_tee_expected(c, "a beginning of the list replays to the quoted PCR 10");
	if (best == TR_HASH_NONE)
		tr_tee_seen(c, "PCR 10 was not quoted");
	else if (!ok)
		tr_tee_seen(c, "%s", err.detail);
	else
		tr_tee_seen(c, "%zu of %zu entries are proven", proven, total);
	if (ok) {
		tr_tee_field_uint(r, "ima_proven", proven);
		tr_tee_field_uint(r, "ima_total", total);
	}
}

void tr_tpm_check_logs(const struct tr_tpm_in *in, const struct tr_tpm_attest *a, struct tr_tee_result *r)
{
	if (in->event_log.n)
		event_log(in, a, r);
	if (in->ima_log.n)
		ima_log(in, a, r);
}
