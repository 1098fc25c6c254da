/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of troth-swarm share: numbers on the command line, dice, and a count of the server's codes. */
#ifndef TR_SWARM_COMMON_H
#define TR_SWARM_COMMON_H

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits only, at most max; false otherwise. */
bool tr_swarm_number(const char *text, uint64_t max, uint64_t *ret);
uint32_t tr_swarm_random32(void);

#define TR_SWARM_CODES 32 /* different ones; more are not counted */
struct tr_swarm_codes {
	struct { char code[40]; uint64_t n; } of[TR_SWARM_CODES];
};
void tr_swarm_count(struct tr_swarm_codes *c, const char *code);
void tr_swarm_print_codes(const struct tr_swarm_codes *c); /* the members of a JSON object, without its braces */

#endif
