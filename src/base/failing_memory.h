/* SPDX-License-Identifier: Apache-2.0 */
/* One test program's own allocations, each of which can be made to fail (linked with --wrap=malloc,--wrap=calloc,
 * --wrap=realloc). OpenSSL's are not among them. */
#ifndef TR_BASE_FAILING_MEMORY_H
#define TR_BASE_FAILING_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

static unsigned long countdown; /* 0: none fails; n: the n-th does, once */
static bool failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t each);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t each);
void *__wrap_realloc(void *p, size_t n);

static bool is_out(void)
{
	if (!countdown || --countdown)
		return false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return is_out() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t each)
{
	return is_out() ? NULL : __real_calloc(n, each);
}

void *__wrap_realloc(void *p, size_t n)
{
	return is_out() ? NULL : __real_realloc(p, n);
}

#endif
