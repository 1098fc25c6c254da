/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the DCAP verifier share: a simulated case, its verification, and quotes that were changed. */
#ifndef TR_EVIDENCE_DCAP_SAMPLE_H
#define TR_EVIDENCE_DCAP_SAMPLE_H

#include "codec/codec_test.h"
#include "evidence/sim_inner.h"

#define NOW TR_SIM_TIME

/* One case under test: what a verification takes stands in `in` and may be changed. */
struct world {
	struct tr_sim *sim;
	struct tr_sim_spec spec;
	struct tr_sim_case made;
	struct tr_view root;
	struct tr_dcap_in in;
};

static struct tr_tee_result result;

static inline void world_done(struct world *w)
{
	tr_sim_case_done(&w->made);
	w->made = (struct tr_sim_case){ 0 };
}
TR_DEFINE_AUTO_DONE(struct world, world_done)

static inline struct tr_sim_spec spec_of(enum tr_tee_kind kind, unsigned version, enum tr_quote_body body)
{
	struct tr_sim_spec spec;

	tr_sim_spec(kind, &spec);
	spec.quote_version = version;
	spec.body = body;
	memset(spec.report_data, 0xd7, sizeof(spec.report_data));
	return spec;
}

static inline void make(struct tr_sim *sim, const struct tr_sim_spec *spec, struct world *w)
{
	struct tr_err err;

	*w = (struct world){ .sim = sim, .spec = *spec };
	if (tr_sim_make(sim, spec, &w->made, &err))
		fail_msg("%s", err.detail);
	w->root = tr_buf_view(&w->made.root_spki);
	w->in = (struct tr_dcap_in){ .quote = tr_buf_view(&w->made.quote), .kind = spec->kind,
				     .c = tr_sim_collateral(&w->made), .n_roots = 1, .when = { .now = NOW } };
}

static inline void make_td(struct tr_sim *sim, struct world *w)
{
	struct tr_sim_spec spec = spec_of(TR_TEE_TDX, 4, TR_BODY_TD10);

	make(sim, &spec, w);
}

/* `in` as it stands; the world may have moved since it was made. */
static inline bool passes(struct world *w)
{
	if (!w->in.roots)
		w->in.roots = &w->root;
	tr_dcap_verify(&w->in, &result, NULL);
	return tr_tee_authentic_and_current(&result);
}

static inline const struct tr_tee_check *line_of(const char *name)
{
	for (size_t i = 0; i < result.n_checks; i++)
		if (!strcmp(result.checks[i].name, name))
			return &result.checks[i];
	return NULL;
}

static inline void show(void)
{
	for (size_t i = 0; i < result.n_checks; i++)
		if (result.checks[i].code != TR_TEEC_OK)
			print_error("  %s: %s, expected %s, seen %s\n", result.checks[i].name,
				    tr_tee_code_info(result.checks[i].code)->slug, result.checks[i].expected,
				    result.checks[i].seen);
}

/* Refused, and by that line with that code before any other. */
static inline void refused_by(struct world *w, const char *label, const char *line, enum tr_tee_code code)
{
	const struct tr_tee_check *c;
	bool ok = passes(w);

	c = line_of(line);
	if (ok || result.first != code || !c || c->code != code) {
		show();
		fail_msg("%s: %s, first %s", label, ok ? "passes" : "refused", tr_tee_code_info(result.first)->slug);
	}
}

static inline void accepted(struct world *w, const char *label)
{
	if (!passes(w)) {
		show();
		fail_msg("%s is refused", label);
	}
}

/* ---- changed quotes ---- */

static inline void put_le32(uint8_t *p, size_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* The quote with other certification data, its lengths made to fit: they are not signed. */
static inline void with_cert_data(const struct world *w, unsigned type, struct tr_view data, struct tr_buf *ret)
{
	struct tr_quote q;
	enum tr_tee_code code;
	struct tr_err err;
	size_t head, auth_at;

	assert_int_equal(tr_quote_parse(tr_buf_view(&w->made.quote), &q, &code, &err), TR_OK);
	head = (size_t)(q.cert_data.p - w->made.quote.p);
	auth_at = q.signed_bytes.n;
	tr_buf_clear(ret);
	tr_buf_add(ret, w->made.quote.p, head);
	tr_buf_addv(ret, data);
	assert_true(tr_buf_ok(ret));
	put_le32(ret->p + head - 4, data.n);
	ret->p[head - 6] = (uint8_t)type;
	put_le32(ret->p + auth_at, ret->n - auth_at - 4);
	if (q.version != 3)
		put_le32(ret->p + auth_at + 4 + 130, ret->n - auth_at - 4 - 134);
}

enum resign { RESIGN_BODY, RESIGN_QE };
/* Signs the quote's body or its QE report again, after a change of the bytes. */
static inline void sign_again(struct world *w, enum resign what)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	const struct tr_raw_priv *key = NULL;
	struct tr_quote q;
	enum tr_tee_code code;
	struct tr_err err;

	assert_int_equal(tr_quote_parse(tr_buf_view(&w->made.quote), &q, &code, &err), TR_OK);
	assert_int_equal(tr_sim_intel_key(w->sim, SIM_OWN, what == RESIGN_BODY ? SIM_ATT : SIM_PCK, &key, &err), TR_OK);
	assert_int_equal(tr_raw_sign_ecdsa(key, TR_HASH_SHA256, what == RESIGN_BODY ? &q.signed_bytes : &q.qe_report, 1, &sig,
					   &err), TR_OK);
	memcpy(w->made.quote.p + ((what == RESIGN_BODY ? q.sig.p : q.qe_report_sig.p) - w->made.quote.p), sig.p, 64);
}

static inline int start(void **state)
{
	struct tr_err err;

	return tr_sim_new(NULL, (struct tr_sim **)state, &err) == TR_OK ? 0 : -1;
}

static inline int end(void **state)
{
	(void)tr_sim_free(*state);
	return 0;
}

#endif
