/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses the mode, the rest is a registration body. Oracle: nothing is admitted in enforce
 * mode (no key vouches, no hash is listed); every verdict agrees with its lines; the explanation is JSON. */
#include "signed/signed_fuzz.h"

#include "appraise/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t channel[32] = { 1 };
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf lines = TR_BUF_INIT;
	struct tr_vkey vkeys[2] = { { .use = TR_VKEY_FLEET }, { .use = TR_VKEY_RELEASE } };
	struct tr_policy p = { .accept_native = true, .accept_original = true, .vkeys = vkeys, .n_vkeys = 2 };
	union {
		const struct tr_pubkey *in;
		struct tr_pubkey *out;
	} pub = { tr_privkey_pub(fuzz_key()) };
	struct tr_appraisal a;
	size_t failed = 0;
	struct tr_err err;

	if (size == 0)
		return 0;
	vkeys[0].key = vkeys[1].key = pub.out;
	p.mode = (enum tr_mode)(data[0] % 3);
	tr_appraise_body(&p, tr_view(data + 1, size - 1), TR_VIEW_ARRAY(channel), 1795310523456, &a, &key);
	ORACLE(!(a.admitted && p.mode == TR_MODE_ENFORCE));
	ORACLE(!a.vouched);
	/* A native admission is followed by a certificate: there must be a key, and a name. */
	ORACLE(!(a.admitted && a.native && !key));
	ORACLE(!(a.admitted && !a.node_id[0]));
	ORACLE(a.tier <= TR_TIER_SELF_ASSERTED);
	ORACLE(a.n_checks > 0 && a.n_checks < TR_CHECKS_MAX);
	for (size_t i = 0; i < a.n_checks; i++)
		failed += !a.checks[i].ok;
	ORACLE((failed == 0) == (a.reason == TR_R_OK));
	tr_appraisal_checks_json(&a, &lines);
	ORACLE(tr_json_parse(tr_buf_view(&lines), &j, &err) == TR_OK);
	return 0;
}
