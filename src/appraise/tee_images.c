/* SPDX-License-Identifier: Apache-2.0 */
/* The right software: measurements against reference values. An image matches as a whole or not at all; where none does,
 * the lines speak of the one that came nearest, so that a person sees which register changed. */
#include "appraise/tee_inner.h"

#include <stdio.h>

#include "codec/cbor.h"

/* One comparison of an image's member. */
struct cmp {
	const char *name;
	bool ok;
	struct tr_view expected, seen;
	char note[160]; /* instead of `expected` */
};
#define CMPS_MAX 32

struct match {
	size_t n, good;
	struct cmp c[CMPS_MAX];
};

static const uint8_t zeros[64];

static void add(struct match *m, const char *name, bool ok, struct tr_view expected, struct tr_view seen)
{
	if (m->n == CMPS_MAX)
		return; /* an image has fewer members; TPM images have 24 PCRs */
	m->good += ok;
	m->c[m->n++] = (struct cmp){ .name = name, .ok = ok, .expected = expected, .seen = seen };
}

/* What an image says nothing of: compared with zero where a value changes the meaning of the others, else left alone. */
static void ref(struct match *m, const char *name, const struct tr_tee_ref48 *r, struct tr_view seen, bool zero_if_none)
{
	const struct tr_view expected = r->is == TR_REF_VALUE ? tr_view(r->v, seen.n) : tr_view(zeros, seen.n);

	if (r->is == TR_REF_ANY || (r->is == TR_REF_NONE && !zero_if_none))
		return;
	add(m, name, tr_view_eq(expected, seen), expected, seen);
}

/* ---- RTMR3 of dstack ---- */

/* Replays the events that came with the evidence; true when they give the quoted register. Events behind "system-ready" are
 * the application's own words and satisfy no rule. */
static bool dstack(const struct tr_tee_image *image, struct tr_view events, struct tr_view quoted, const char **why)
{
	struct tr_cbor r = tr_cbor_reader(events);
	uint8_t rtmr[48] = { 0 }, digest[48];
	unsigned found[TR_TEE_DSTACK_MAX] = { 0 };
	size_t n = tr_cbor_array(&r, 256);
	bool ready = false;
	struct tr_err err;

	for (size_t i = 0; i < n && !r.error; i++) {
		struct tr_view name, payload;

		if (tr_cbor_array(&r, 2) != 2)
			tr_cbor_fail(&r, "an event is name and payload");
		name = tr_cbor_text(&r);
		payload = tr_cbor_bytes(&r);
		if (r.error)
			break;
		tr_rtmr3_dstack_event(name, payload, digest);
		tr_rtmr_extend(rtmr, digest);
		ready = ready || tr_view_is(name, "system-ready");
		for (size_t k = 0; k < image->n_dstack && !ready; k++) {
			/* A second event of that name would let the first be overruled later. */
			if (tr_view_is(name, image->dstack[k].name))
				found[k] += tr_view_eq(payload, tr_view(image->dstack[k].payload, image->dstack[k].n)) ? 1 : 2;
		}
	}
	*why = "the events do not replay to the quoted RTMR3";
	if (!events.n)
		*why = "no RTMR3 events were sent";
	if (tr_cbor_end(&r, &err) || !tr_view_eq(TR_VIEW_ARRAY(rtmr), quoted))
		return false;
	for (size_t k = 0; k < image->n_dstack; k++) {
		if (found[k] != 1) {
			*why = image->dstack[k].name;
			return false;
		}
	}
	return true;
}

static void rtmr3(struct match *m, const struct tr_tee_image *image, const struct tr_tee_set *set, struct tr_view seen)
{
	const char *why = "";
	bool ok = false;

	if (image->rtmr3_any)
		return;
	if (!image->n_dstack) {
		for (size_t i = 0; i < image->rtmr3.n; i++)
			ok = ok || tr_view_eq(tr_view(image->rtmr3.v[i], 48), seen);
		add(m, "image.rtmr3", ok, tr_view(image->rtmr3.v[0], 48), seen);
		return;
	}
	ok = dstack(image, set->rtmr3_events, seen, &why);
	add(m, "image.rtmr3", ok, seen, seen);
	if (!ok)
		(void)snprintf(m->c[m->n - 1].note, sizeof(m->c[0].note), "dstack events with the image's payloads: %s", why);
}

/* ---- kinds ---- */

static void match_tdx(struct tr_tee_run *run, const struct tr_tee_image *i, const struct tr_tee_set *set, struct match *m)
{
	static const char *const names[3] = { "image.rtmr0", "image.rtmr1", "image.rtmr2" };
	const struct tr_td_body *td = &run->quote.td;

	ref(m, "image.mrtd", &i->mrtd, td->mrtd, true);
	for (unsigned k = 0; k < 3; k++)
		ref(m, names[k], &i->rtmr[k], td->rtmr[k], true);
	rtmr3(m, i, set, td->rtmr[3]);
	ref(m, "image.mrconfigid", &i->mrconfigid, td->mrconfigid, true);
	ref(m, "image.mrowner", &i->mrowner, td->mrowner, true);
	ref(m, "image.mrownerconfig", &i->mrownerconfig, td->mrownerconfig, true);
}

static void match_sgx(struct tr_tee_run *run, const struct tr_tee_image *i, struct match *m)
{
	const struct tr_sgx_body *b = &run->quote.sgx;

	ref(m, "image.mrenclave", &i->mrenclave, b->mrenclave, false);
	ref(m, "image.configid", &i->configid, b->configid, true);
	if (!i->mrsigner.is)
		return;
	ref(m, "image.mrsigner", &i->mrsigner, b->mrsigner, false);
	add(m, "image.isvprodid", b->isvprodid == i->isvprodid, tr_view(NULL, 0), tr_view(NULL, 0));
	(void)snprintf(m->c[m->n - 1].note, sizeof(m->c[0].note), "%u; seen %u", i->isvprodid, b->isvprodid);
	add(m, "image.isvsvn", b->isvsvn >= i->min_isvsvn, tr_view(NULL, 0), tr_view(NULL, 0));
	(void)snprintf(m->c[m->n - 1].note, sizeof(m->c[0].note), "at least %u; seen %u", i->min_isvsvn, b->isvsvn);
}

static void match_snp(struct tr_tee_run *run, const struct tr_tee_image *i, struct match *m)
{
	const struct tr_snp_report *s = &run->snp;

	ref(m, "image.measurement", &i->measurement, s->measurement, true);
	/* The host chose it: a value that nobody expects changes what the guest does. */
	ref(m, "image.host_data", &i->host_data, s->host_data, true);
	ref(m, "image.id_key_digest", &i->id_key_digest, s->id_key_digest, false);
	ref(m, "image.author_key_digest", &i->author_key_digest, s->author_key_digest, false);
	ref(m, "image.family_id", &i->family_id, s->family_id, false);
	ref(m, "image.image_id", &i->image_id, s->image_id, false);
}

/* ---- TPM ---- */

static bool pcr_ok(struct tr_tee_run *run, const struct tr_tee_pcr_rule *rule, struct tr_view *ret_seen)
{
	*ret_seen = tr_view(NULL, 0);
	if (!run->has_tpm ||
	    !tr_tpm_pcr_quoted(&run->tpm, &run->attest, run->p->tpm.bank, rule->index, ret_seen))
		return false;
	for (size_t i = 0; i < rule->values.n; i++)
		if (tr_view_eq(*ret_seen, tr_view(rule->values.v[i], tr_raw_hash_len(run->p->tpm.bank))))
			return true;
	return false;
}

static void pcr_line(struct tr_tee_run *run, const struct tr_tee_pcr_rule *rule)
{
	struct tr_view seen;
	const bool ok = pcr_ok(run, rule, &seen);
	struct tr_tee_check *c = tr_tee_check_add(run->r, "tpm.pcr", TR_Q_SOFTWARE, ok ? TR_TEEC_OK : TR_TEEC_PCR);
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	const size_t n = tr_raw_hash_len(run->p->tpm.bank) < 32 ? 20 : 32; /* the beginning is enough to find it by */

	for (size_t i = 0; i < n; i++)
		tr_buf_addf(&hex, "%02x", rule->values.v[0][i]);
	tr_tee_expected(c, "PCR %u (%s): %s%s%s", rule->index, tr_raw_hash_name(run->p->tpm.bank), tr_buf_cstr(&hex),
			n < tr_raw_hash_len(run->p->tpm.bank) ? "…" : "", rule->values.n > 1 ? " or another" : "");
	if (seen.n)
		tr_tee_seen_hex(c, seen);
	else
		tr_tee_seen(c, "not quoted in this bank, or not sent");
}

void tr_tee_rules_tpm(struct tr_tee_run *run)
{
	const struct tr_tee_policy *p = run->p;

	for (size_t i = 0; i < p->tpm.n_pcrs; i++)
		pcr_line(run, &p->tpm.pcrs[i]);
	if (p->tpm.n_pcrs)
		run->v->compared = true;
	if (p->tpm.need_event_log)
		(void)tr_tee_line(run->r, "tpm.event_log", TR_Q_SOFTWARE, run->tpm.event_log.n ? TR_TEEC_OK : TR_TEEC_TPM_EVENT_LOG,
				  "sent", run->tpm.event_log.n ? "sent" : "not sent");
	if (p->tpm.need_ima)
		(void)tr_tee_line(run->r, "tpm.ima", TR_Q_SOFTWARE, run->tpm.ima_log.n ? TR_TEEC_OK : TR_TEEC_TPM_IMA, "sent",
				  run->tpm.ima_log.n ? "sent" : "not sent");
}

static void match_tpm(struct tr_tee_run *run, const struct tr_tee_image *i, struct match *m)
{
	for (size_t k = 0; k < i->n_pcrs; k++) {
		struct tr_view seen;
		const bool ok = pcr_ok(run, &i->pcrs[k], &seen);

		add(m, "image.pcr", ok, tr_view(NULL, 0), seen);
		(void)snprintf(m->c[m->n - 1].note, sizeof(m->c[0].note), "PCR %u as the image says", i->pcrs[k].index);
	}
}

/* ---- all images of a kind ---- */

static void match_one(struct tr_tee_run *run, const struct tr_tee_image *i, const struct tr_tee_set *set, struct match *m)
{
	m->n = m->good = 0;
	switch (i->kind) {
	case TR_TEE_TDX: match_tdx(run, i, set, m); break;
	case TR_TEE_SGX: match_sgx(run, i, m); break;
	case TR_TEE_SNP: match_snp(run, i, m); break;
	default: match_tpm(run, i, m); break;
	}
}

static void explain(struct tr_tee_run *run, const struct tr_tee_image *near, const struct match *m)
{
	for (size_t k = 0; k < m->n; k++) {
		struct tr_tee_check *c;

		if (m->c[k].ok)
			continue;
		c = tr_tee_check_add(run->r, m->c[k].name, TR_Q_SOFTWARE,
				     near->kind == TR_TEE_TPM ? TR_TEEC_PCR : TR_TEEC_MEASUREMENT);
		if (m->c[k].note[0])
			tr_tee_expected(c, "%s", m->c[k].note);
		else
			tr_tee_expected_hex(c, m->c[k].expected);
		tr_tee_seen_hex(c, m->c[k].seen);
	}
}

void tr_tee_match_image(struct tr_tee_run *run, enum tr_tee_kind kind, const struct tr_tee_set *set)
{
	const struct tr_tee_image *near = NULL;
	struct match m, best = { 0 };

	for (size_t i = 0; i < run->p->n_images; i++) {
		const struct tr_tee_image *image = &run->p->images[i];

		if (image->kind != kind)
			continue;
		match_one(run, image, set, &m);
		if (m.n && m.good == m.n) {
			memcpy(run->v->image, image->name, sizeof(run->v->image));
			run->v->compared = true;
			(void)tr_tee_line(run->r, "image", TR_Q_SOFTWARE, TR_TEEC_OK, "one of the policy's", image->name);
			return;
		}
		if (!near || m.n - m.good < best.n - best.good) {
			near = image;
			best = m;
		}
	}
	if (near) {
		run->v->compared = true;
		(void)tr_tee_line(run->r, "image", TR_Q_SOFTWARE, kind == TR_TEE_TPM ? TR_TEEC_PCR : TR_TEEC_MEASUREMENT,
				  "one of the policy's", "none of them; the nearest is below");
		tr_tee_expected(&run->r->checks[run->r->n_checks - 1], "one of the policy's; nearest: %s", near->name);
		explain(run, near, &best);
	} else if (!run->v->compared) {
		(void)tr_tee_line(run->r, "image", TR_Q_SOFTWARE, TR_TEEC_OK, "any: the policy has no reference values",
				  "not compared");
	}
}
