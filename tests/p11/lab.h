/* SPDX-License-Identifier: Apache-2.0 */
/* A token in software (SoftHSM), made and filled through PKCS#11 itself. */
#ifndef TR_TESTS_P11_LAB_H
#define TR_TESTS_P11_LAB_H

#include <stdbool.h>

#define LAB_SO_PIN "so-pin-of-a-test"

/* Where the library is on this system; NULL: it is not installed. */
const char *lab_module(void);
/* Everything of one token: makes it when no token has this label. False: a line on stderr says why. */
bool lab_make_token(const char *module, const char *label, const char *pin);
/* kind: "ed25519", "p256", "rsa" (none of ours), or "ed25519-private" (its public half is deleted again). */
bool lab_make_key(const char *module, const char *token, const char *pin, const char *label, const char *kind);

#endif
