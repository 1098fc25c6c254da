/* SPDX-License-Identifier: Apache-2.0 */
/* What a verdict was made from besides evidence, policy and bundle, as it stands in its row (store/records.h): with these an
 * appraisal gives the same bytes again. New members go to the end. */
#ifndef TR_SERVER_VERDICT_CONTEXT_H
#define TR_SERVER_VERDICT_CONTEXT_H

#include "codec/record.h"

struct tr_verdict_context {
	int64_t now;               /* Unix s */
	struct tr_view challenge;  /* empty: the scheme has none */
	struct tr_view spki, cert; /* the agent's key; DER of its certificate where the scheme asks for it */
	uint64_t ak_trust;         /* enum tr_tpm_ak_trust: what the server knew of the TPM's key */
	struct tr_view ak_name;
	struct tr_view agent_type;
};
extern const struct tr_record tr_verdict_context_def;

#endif
