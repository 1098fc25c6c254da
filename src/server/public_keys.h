/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/public-key and /api/v1/public-keys, in the original's shapes (CK-3). */
#ifndef TR_SERVER_PUBLIC_KEYS_H
#define TR_SERVER_PUBLIC_KEYS_H

#include "server/core.h"

enum tr_public_key_shape { TR_PUBLIC_KEY_ONE, TR_PUBLIC_KEY_LISTED };
/* key_id: lower hex of SHA-256(raw key)[0:16]. */
void tr_public_key_json(const struct tr_skey_row *k, enum tr_public_key_shape shape, struct tr_buf *b);

void tr_api_public_key(struct tr_core *c, struct tr_req *r);
void tr_api_public_keys(struct tr_core *c, struct tr_req *r);

#endif
