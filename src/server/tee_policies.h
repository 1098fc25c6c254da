/* SPDX-License-Identifier: Apache-2.0 */
/* Inside api_tee_*.c and tee_*.c: rows of policies for evidence. */
#ifndef TR_SERVER_TEE_POLICIES_H
#define TR_SERVER_TEE_POLICIES_H

#include "server/core.h"

/* This version of it; 0: the newest. NULL: there is none. */
struct tr_item *tr_tee_policy_named(struct tr_core *c, struct tr_view name, uint64_t version);
/* Makes this version of the policy that r names active, and the one before it retired; answers. Takes r. */
void tr_tee_policy_put_in_force(struct tr_req *r, uint64_t version);
/* Does the list, joined by commas, name this type, or all ("*")? */
bool tr_tee_types_name(struct tr_view list, struct tr_view type);
size_t tr_tee_active_policies(const struct tr_core *c);

#endif
