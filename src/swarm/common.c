/* SPDX-License-Identifier: Apache-2.0 */
#include "swarm/common.h"

#include "crypto/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool tr_swarm_number(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 10);

	*ret = v;
	return *text >= '0' && *text <= '9' && *end == 0 && v <= max;
}

uint32_t tr_swarm_random32(void)
{
	uint32_t v;

	tr_random(&v, sizeof(v));
	return v;
}

void tr_swarm_count(struct tr_swarm_codes *c, const char *code)
{
	for (size_t i = 0; i < TR_SWARM_CODES; i++) {
		if (!c->of[i].code[0])
			(void)snprintf(c->of[i].code, sizeof(c->of[i].code), "%s", code);
		if (strcmp(c->of[i].code, code) == 0) {
			c->of[i].n++;
			return;
		}
	}
}

void tr_swarm_print_codes(const struct tr_swarm_codes *c)
{
	for (size_t i = 0; i < TR_SWARM_CODES && c->of[i].code[0]; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", c->of[i].code, c->of[i].n);
}
