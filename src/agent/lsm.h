/* SPDX-License-Identifier: Apache-2.0 */
/* The state of the LSM supervisor ("Fortress") as the pulse reports it. This release brings no LSM programs:
 * what is said is whether the kernel could run them. */
#ifndef TR_AGENT_LSM_H
#define TR_AGENT_LSM_H

#include "signed/pulse.h"

/* *ret_reason: static text of at most 64 bytes. */
enum tr_lsm tr_lsm_state(struct tr_view *ret_reason);
/* The reason, from the text of /sys/kernel/security/lsm ("lockdown,capability,bpf"); empty: not readable.
 * Pure. */
const char *tr_lsm_reason_of(struct tr_view list);

#endif
