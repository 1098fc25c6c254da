/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of docs/vectors.md. tests/vectors/check-rules compares the two lists. */
#ifndef VECTORS_RULES_H
#define VECTORS_RULES_H

#include <stddef.h>

struct rule {
	const char *name;
	enum direction { STRICTER, LOOSER } direction;
	const char *reason;
};

extern const struct rule rules[];
extern const size_t n_rules;
const struct rule *rule_named(const char *name);

#endif
