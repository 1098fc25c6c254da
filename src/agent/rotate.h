/* SPDX-License-Identifier: Apache-2.0 */
/* From one device key to the next, so that a crash at any moment leaves a pair of key and certificate that
 * the server takes:
 *
 *   1. the next key is written to device.key.next (and device.pub.next), then certified: cert.pem.next
 *   2. pulses go out with the next pair; both are good for the server until one was accepted
 *   3. the next pair takes the place of the old one. Renaming the key is the moment; what follows it is done
 * again by tr_rotate_recover where a crash cut it off
 *
 * A pair that is whole but not in its place is tried first and dropped when the server does not know it. */
#ifndef TR_AGENT_ROTATE_H
#define TR_AGENT_ROTATE_H

#include "agent/state.h"

#define TR_NEXT_CERT "cert.pem.next"

struct tr_next {
	struct tr_privkey *key; /* NULL: no rotation is under way */
	struct tr_buf cert_pem; /* empty: not certified yet */
};
void tr_next_done(struct tr_next *n);
TR_DEFINE_AUTO_DONE(struct tr_next, tr_next_done)

/* Finishes or removes what a crash left; with the lock, before tr_state_load. */
TR_RC tr_rotate_recover(struct tr_state *s, struct tr_err *err);
/* Makes and stores the next key, of the present one's type. */
TR_RC tr_rotate_begin(struct tr_state *s, struct tr_next *ret, struct tr_err *err);
/* TR_E_NOTFOUND: no whole pair waits. */
TR_RC tr_rotate_load(const struct tr_state *s, struct tr_next *ret, struct tr_err *err);
/* The next pair is the device's from here on; n is emptied. The old key's file is overwritten: as far as the
 * file system writes in place. */
TR_RC tr_rotate_finish(struct tr_state *s, struct tr_next *n, struct tr_err *err);
/* Gives it up. */
void tr_rotate_drop(const struct tr_state *s, struct tr_next *n);

/* The steps of finishing, one by one, for tests that stop between them. */
#define TR_ROTATE_STEPS 4
TR_RC tr_rotate_step(struct tr_state *s, unsigned step, struct tr_err *err);

#endif
