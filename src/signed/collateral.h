/* SPDX-License-Identifier: Apache-2.0 */
/* A signed collateral bundle: COSE_Sign1 over the bytes of evidence/bundle.h by a config key of the keyset. */
#ifndef TR_SIGNED_COLLATERAL_H
#define TR_SIGNED_COLLATERAL_H

#include "signed/cose1.h"

#define TR_COLLATERAL_DOMAIN "troth/collateral/v1"
#define TR_COLLATERAL_MAX ((512u << 10) + 1024)

TR_RC tr_collateral_sign(struct tr_view bundle, const struct tr_privkey *config, struct tr_buf *ret, struct tr_err *err);
TR_RC tr_collateral_verify(struct tr_view in, const struct tr_pubkey *config, struct tr_view *ret_bundle, struct tr_err *err);
/* kid of the signer, before anything is verified. */
TR_RC tr_collateral_kid(struct tr_view in, struct tr_view *ret, struct tr_err *err);

#endif
