/* SPDX-License-Identifier: Apache-2.0 */
/* agent.json's word on BPF, as the eye that looks. */
#ifndef TR_AGENT_EYE_H
#define TR_AGENT_EYE_H

#include "agent/state.h"
#include "bpf/snapshot.h"

/* dirs empty: the default; "off": *ret is NULL. TR_E_INVALID: the settings are not well-formed. */
TR_RC tr_agent_eye(struct tr_view dirs, struct tr_view content, struct tr_bpf_eye **ret, struct tr_err *err);

#endif
