/* SPDX-License-Identifier: Apache-2.0 */
/* Keys in a token (PKCS#11), through p11-kit's C interface: Ed25519 and P-256. The library of the token's maker runs in
 * our process, so only the role that holds keys loads it, and does so before its sandbox closes. */
#ifndef TR_CRYPTO_P11_H
#define TR_CRYPTO_P11_H

#include "crypto/key.h"

#define TR_P11_PIN_MAX 256

struct tr_p11;

/* Loads the library (full path). pin is copied; empty: tokens that need no login. */
TR_RC tr_p11_open(const char *module, struct tr_view pin, struct tr_p11 **ret, struct tr_err *err);
/* All of its keys must be freed before. */
struct tr_p11 *tr_p11_free(struct tr_p11 *p);
TR_DEFINE_AUTO(struct tr_p11 *, tr_p11_free)

/* The one private key that a URI names (RFC 7512: token, serial, manufacturer, model, object, id), with the public half that
 * the token has for it; makes one signature to see that they belong together. Errors say what to do: no such token, no such
 * key, several of them, a wrong PIN (which is never tried twice, and not at all when only one try is left).
 *
 * When the token goes away tr_sign fails with TR_E_UNAVAIL; when it is back, the next signature logs in again, at most
 * once in TR_P11_RETRY_MS. */
#define TR_P11_RETRY_MS 5000
TR_RC tr_p11_key(struct tr_p11 *p, const char *uri, struct tr_privkey **ret, struct tr_err *err);
/* Did the last signature of each of its keys succeed? */
bool tr_p11_is_well(const struct tr_p11 *p);

#endif
