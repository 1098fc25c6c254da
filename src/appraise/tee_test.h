/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of appraisals share: evidence of the simulated vendor, its collateral as a bundle, and a policy with the good
 * TEE's reference values. */
#ifndef TR_APPRAISE_TEE_TEST_H
#define TR_APPRAISE_TEE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "appraise/tee.h"
#include "codec/json.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "evidence/sim.h"

static const uint8_t challenge[32] = "a challenge of thirty-two bytes";
static const uint8_t spki[44] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 7, 7, 7 };
static struct tr_sim *sim;
static struct tr_tee_verdict verdict;

/* Everything of one appraisal. */
struct world {
	struct tr_sim_case made;
	struct tr_buf store, text, certs;
	struct tr_buf stores[8];
	struct tr_bundle_entry items[32];
	struct tr_bundle bundle;
	struct tr_tee_policy *policy;
	struct tr_tee_in in;
};

static inline void world_done(struct world *w)
{
	tr_sim_case_done(&w->made);
	tr_buf_done(&w->store);
	tr_buf_done(&w->text);
	tr_buf_done(&w->certs);
	for (size_t i = 0; i < TR_ARRAY_LEN(w->stores); i++)
		tr_buf_done(&w->stores[i]);
	w->policy = tr_tee_policy_free(w->policy);
}
TR_DEFINE_AUTO_DONE(struct world, world_done)

static inline void put_ref(struct tr_buf *b, const char *name, const uint8_t *p, size_t n)
{
	tr_buf_addf(b, ", %s: ", name);
	tr_hex_add(b, tr_view(p, n));
}

/* Reference values of the good TEE, as they are before a row changes it. */
static inline void put_images(struct tr_buf *b, enum tr_tee_kind kind)
{
	static const char *const rtmrs[] = { "rtmr0", "rtmr1", "rtmr2", "rtmr3" };
	struct tr_sim_spec s;

	tr_sim_spec(kind, &s);
	tr_buf_adds(b, "  images:\n    - {name: good");
	if (kind == TR_TEE_SNP) {
		put_ref(b, "measurement", s.mrtd, 48);
	} else if (kind == TR_TEE_SGX) {
		put_ref(b, "mrsigner", s.rtmr[0], 32);
		tr_buf_adds(b, ", isvprodid: 1, min_isvsvn: 1");
	} else {
		put_ref(b, "mrtd", s.mrtd, 48);
		for (unsigned i = 0; i < 4; i++)
			put_ref(b, rtmrs[i], s.rtmr[i], 48);
		/* Another image: its registers must not pass in the first one's place. */
		tr_buf_adds(b, "}\n    - {name: other");
		memset(s.rtmr[1], 0x77, 48);
		memset(s.rtmr[2], 0x78, 48);
		put_ref(b, "mrtd", s.mrtd, 48);
		for (unsigned i = 0; i < 4; i++)
			put_ref(b, rtmrs[i], s.rtmr[i], 48);
	}
	tr_buf_adds(b, "}\n");
}

static inline void add_file(struct world *w, size_t i, struct tr_view file)
{
	struct tr_err err = { 0 };
	size_t n = 0;

	if (file.n && tr_bundle_import(file, &w->stores[i], w->items + w->bundle.n, TR_ARRAY_LEN(w->items) - w->bundle.n, &n,
				       &err))
		fail_msg("import %zu: %s", i, err.detail);
	w->bundle.n += n;
}

/* section: more lines of the kind's section; top: more members. "%s" of roots is the vendor's fingerprint. */
static inline void prepare(struct world *w, struct tr_sim_spec *spec, const char *section, const char *top, const char *roots)
{
	struct tr_err err = { 0 };
	uint8_t root[32];

	*w = (struct world){ 0 };
	if (!spec->report_data[0])
		tr_rd_troth(TR_VIEW_ARRAY(challenge), TR_VIEW_ARRAY(spki), spec->report_data);
	if (tr_sim_make(sim, spec, &w->made, &err))
		fail_msg("%s", err.detail);
	tr_sha256(tr_buf_view(&w->made.root_spki), root);
	tr_buf_addf(&w->text, "name: p\nagent_types: ['*']\nevidence: [%s]\nroots: ", tr_tee_kind_name(spec->kind));
	if (roots) {
		tr_buf_adds(&w->text, roots);
	} else {
		tr_buf_adds(&w->text, "[{name: lab, simulated: true, spki_sha256: ");
		tr_hex_add(&w->text, TR_VIEW_ARRAY(root));
		tr_buf_adds(&w->text, "}]");
	}
	tr_buf_addf(&w->text, "\n%s%s:\n%s", top ? top : "", tr_tee_kind_name(spec->kind), section ? section : "");
	put_images(&w->text, spec->kind);
	/* As a tool: on AMD's side the tests' root is a published key, which no other policy may list. */
	if (tr_tee_policy_parse_tools(tr_buf_view(&w->text), &w->policy, &err))
		fail_msg("%s\n%s", tr_buf_cstr(&w->text), err.detail);
	w->bundle.items = w->items;
	add_file(w, 0, tr_buf_view(&w->made.tcb_info));
	add_file(w, 1, tr_buf_view(&w->made.qe_identity));
	add_file(w, 2, tr_buf_view(&w->made.tcb_chain));
	add_file(w, 3, tr_buf_view(&w->made.pck_crl));
	add_file(w, 4, tr_buf_view(&w->made.root_crl));
	add_file(w, 5, tr_buf_view(&w->made.ask));
	add_file(w, 6, tr_buf_view(&w->made.ark));
	add_file(w, 7, tr_buf_view(&w->made.crl));
	w->in = (struct tr_tee_in){ .set = { .kind = spec->kind, .quote = tr_buf_view(&w->made.quote) }, .bundle = &w->bundle,
				    .policy = w->policy, .now = TR_SIM_TIME, .challenge = TR_VIEW_ARRAY(challenge),
				    .spki = TR_VIEW_ARRAY(spki) };
	if (spec->kind == TR_TEE_SNP)
		w->in.set.certs = tr_buf_view(&w->made.vek);
}

#endif
