/* SPDX-License-Identifier: Apache-2.0 */
/* In role `appraise`: evidence of TEEs and TPMs. Policies and the collateral bundle in force are kept parsed, because core
 * asks many times for each of them; they are the only state, and core tells them again whenever this role starts. */
#ifndef TR_SERVER_APPRAISE_TEE_H
#define TR_SERVER_APPRAISE_TEE_H

#include "base/own.h"
#include "evidence/tpm.h"
#include "ipc/chan.h"

struct tr_tees;
struct tr_tees *tr_tees_new(void);
struct tr_tees *tr_tees_free(struct tr_tees *t);
TR_DEFINE_AUTO(struct tr_tees *, tr_tees_free)

void tr_tees_on_state(struct tr_tees *t, struct tr_chan *c, const struct tr_frame *f);
void tr_tees_on_attest(struct tr_tees *t, struct tr_chan *c, const struct tr_frame *f);
void tr_tees_on_replay(struct tr_tees *t, struct tr_chan *c, const struct tr_frame *f);

/* appraise_collateral.c: policies, bundles and credentials from outside */
void tr_appraise_policy(struct tr_chan *c, const struct tr_frame *f);
void tr_appraise_bundle(struct tr_chan *c, const struct tr_frame *f);
void tr_appraise_credential(struct tr_chan *c, const struct tr_frame *f);
/* An endorsement key, by its certificate or as the TPM tells it. */
TR_RC tr_tpm_ek_read(struct tr_view in, struct tr_tpm_public *ret, struct tr_err *err);

/* appraise_registration.c. question: an encoded tr_msg_read_registration; the answer lives during the call. */
struct tr_msg_registration_read;
typedef void (*tr_registration_fn)(void *arg, const struct tr_msg_registration_read *m);
void tr_registration_read(struct tr_view question, tr_registration_fn then, void *arg);
void tr_appraise_registration(struct tr_chan *c, const struct tr_frame *f);
bool tr_is_registration_with_evidence(struct tr_view body);

#endif
