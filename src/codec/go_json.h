/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes that Go's encoding/json writes for a value it has read into `any`: what the original command forms hash.
 * Members sorted bytewise, no white space, < > & U+2028 and U+2029 escaped, every number a double in its shortest form.
 * For compatibility only: bytes that are written anew are nothing to sign in a design of our own. */
#ifndef TR_CODEC_GO_JSON_H
#define TR_CODEC_GO_JSON_H

#include "codec/json.h"

/* n comes from tr_json_parse_reals; NULL (absent) is written as null. */
TR_RC tr_go_json_add(tr_jnode n, struct tr_buf *b, struct tr_err *err);

#endif
