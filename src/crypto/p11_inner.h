/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of p11 share; nobody else includes this. */
#ifndef TR_CRYPTO_P11_INNER_H
#define TR_CRYPTO_P11_INNER_H

#include "base/buf.h"

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

struct tr_p11_place {
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE private, public;
};

/* TR_E_UNAVAIL: the token does not do what it is asked, and why it says so. */
#define tr_p11_fail(err, rv, what) TR_RAISED(tr_p11_fail_at((err), (rv), (what), __FILE__, __LINE__))
enum tr_code tr_p11_fail_at(struct tr_err *err, CK_RV rv, const char *what, const char *file, int line);

/* The one token that the URI describes. */
TR_RC tr_p11_find_slot(CK_FUNCTION_LIST *f, P11KitUri *uri, CK_SLOT_ID *ret, struct tr_err *err);
/* The one private key that it describes there, and its public half (by id, else by name). */
TR_RC tr_p11_find_key(CK_FUNCTION_LIST *f, P11KitUri *uri, struct tr_p11_place *at, struct tr_err *err);
/* DER of the public half. */
TR_RC tr_p11_read_spki(CK_FUNCTION_LIST *f, const struct tr_p11_place *at, struct tr_buf *ret, struct tr_err *err);

#endif
