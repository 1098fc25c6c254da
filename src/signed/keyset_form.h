/* SPDX-License-Identifier: Apache-2.0 */
/* The keyset's bytes, for keyset.c and keyset_sign.c alone. */
#ifndef TR_SIGNED_KEYSET_FORM_H
#define TR_SIGNED_KEYSET_FORM_H

#include "signed/keyset.h"

/* The fields of a payload, every rule that needs no key checked. Views borrow from payload. */
TR_RC tr_keyset_parse(struct tr_view payload, struct tr_keyset *ret, struct tr_err *err);
/* The one form that tr_keyset_sign writes: no header but algorithm and key id. Nothing is verified. */
TR_RC tr_keyset_read_form(struct tr_view in, struct tr_cose *ret, struct tr_err *err);

#endif
