/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slab.h"

#include <stdint.h>
#include <sys/mman.h>

void *tr_slab_new(size_t n, bool huge)
{
	size_t all = n + TR_SLAB_LEN, lead;
	char *p;

	if (all < n)
		return NULL;
	p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	lead = (TR_SLAB_LEN - (uintptr_t)p % TR_SLAB_LEN) % TR_SLAB_LEN;
	if (lead)
		(void)munmap(p, lead);
	(void)munmap(p + lead + n, TR_SLAB_LEN - lead);
	/* A kernel without huge pages says no, and small ones do. */
	if (huge)
		(void)madvise(p + lead, n, MADV_HUGEPAGE);
	return p + lead;
}

void tr_slab_free(void *p, size_t n)
{
	if (p)
		(void)munmap(p, n);
}
