/* SPDX-License-Identifier: Apache-2.0 */
/* Which time it is, for an agent whose wall clock may be years off. The wall clock is what a pulse reports,
 * raw; what certificates are checked against is the effective time: never before anything that is known to
 * lie in the past. */
#ifndef TR_AGENT_CLOCK_H
#define TR_AGENT_CLOCK_H

#include "signed/pulse.h"

/* The last time that a server vouched for, and CLOCK_BOOTTIME at that moment. server_ns 0: none yet. */
struct tr_known_time {
	int64_t server_ns;
	uint64_t boot_ns;
};

/* When this program's source was committed (or SOURCE_DATE_EPOCH): no run of it is earlier. 0: not known. */
int64_t tr_clock_build_ns(void);

/* The known time plus what passed since; 0 when there is none. A boot clock that went backwards counts as no
 * time. */
int64_t tr_clock_known_ns(const struct tr_known_time *k, uint64_t boot_ns);
/* max(wall, known, build): what goes before expiry when nobody can be asked. */
int64_t tr_clock_effective_ns(int64_t wall_ns, const struct tr_known_time *k, uint64_t boot_ns,
			      int64_t build_ns);
/* Takes a server's word. Only forwards, measured against what is known: a late or replayed answer moves
 * nothing back. */
void tr_clock_learn(struct tr_known_time *k, int64_t server_ns, uint64_t boot_ns);
/* How far a server's mere word is believed: to five minutes after the wall clock or the anchor, which is what was known when
 * this program began, or the CA's signed word since. Neither is moved by the words that are judged, so no server, and nobody
 * who alters what one says, can push us on step by step into a time when every order has expired. */
#define TR_CLOCK_NEAR_NS INT64_C(300000000000)
bool tr_clock_is_near(int64_t server_ns, int64_t wall_ns, const struct tr_known_time *anchor, uint64_t boot_ns);
/* The machine was started again since k was written: its boot clock began at 0. */
void tr_clock_rebooted(struct tr_known_time *k);

/* What the kernel says of its own clock (adjtimex, reading only). */
enum tr_sync tr_clock_sync(void);
/* Of adjtimex's result and status word. Pure. */
enum tr_sync tr_clock_sync_of(int result, int status);

/* The kernel's boot id as 16 bytes; false (and zeros) when it cannot be read. */
bool tr_boot_id(uint8_t ret[16]);
/* "xxxxxxxx-xxxx-…" with or without a newline. Pure. */
bool tr_boot_id_of(struct tr_view text, uint8_t ret[16]);

#endif
