/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is taken as a policy keeps what no policy may leave: bounds of lifetime and grace, no status that is never
 * accepted, freshness asked, and something to compare measurements with unless that was waived by name. */
#include <stdio.h>

#include "appraise/tee_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                                 \
	do {                                                                                                       \
		if (!(cond)) {                                                                                     \
			(void)fprintf(stderr, "oracle failed: %s\n", #cond);                                       \
			abort();                                                                                   \
		}                                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_tee_policy_free) struct tr_tee_policy *p = NULL;
	struct tr_err err = { 0 };

	if (tr_tee_policy_parse(tr_view(data, size), &p, &err)) {
		MUST(!p && err.code != TR_OK && err.detail[0]);
		return 0;
	}
	MUST(p->lifetime_s >= 60 && p->lifetime_s <= TR_TEE_LIFETIME_MAX_S);
	MUST(p->collateral.grace_s >= 0 && p->collateral.grace_s <= TR_TEE_GRACE_MAX_S);
	MUST(p->scheme != TR_RD_NONE);
	MUST(p->any_type || p->n_types);
	MUST(p->root_intel || p->root_amd || p->root_tpm || p->n_roots);
	MUST(!p->tcb.accept[TR_TCB_REVOKED] && !p->tcb.accept[TR_TCB_NOT_SUPPORTED] && !p->tcb.accept[TR_TCB_UNRECOGNISED] &&
	     !p->tcb.accept[TR_TCB_TDX_MODULE_MISMATCH] && !p->tcb.accept[TR_TCB_NONE]);
	MUST(!p->tcb.accept[TR_TCB_OUT_OF_DATE] || p->tcb.grace_s >= 0 || p->tcb.until);
	for (size_t i = 0; i < p->n_images; i++)
		MUST(p->images[i].name[0] && memchr(p->images[i].name, 0, sizeof(p->images[i].name)));
	for (unsigned k = TR_TEE_SGX; k < TR_TEE_KIND_N; k++) {
		bool has = p->measurements_any || !p->kinds[k] || (k == TR_TEE_TPM && p->tpm.n_pcrs);

		for (size_t i = 0; i < p->n_images; i++)
			has = has || p->images[i].kind == (enum tr_tee_kind)k;
		MUST(has);
	}
	return 0;
}
