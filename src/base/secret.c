/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <sys/mman.h>

struct tr_secret {
	size_t mapped;
	uint8_t bytes[];
};

struct tr_secret *tr_secret_new(size_t n)
{
	size_t mapped = (sizeof(struct tr_secret) + n + 4095) & ~(size_t)4095;
	struct tr_secret *s = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		return NULL;
	/* Best effort: RLIMIT_MEMLOCK may be small, and an unlocked secret beats a dead server. */
	(void)mlock(s, mapped);
	(void)madvise(s, mapped, MADV_DONTDUMP);
	s->mapped = mapped;
	return s;
}

struct tr_secret *tr_secret_free(struct tr_secret *s)
{
	if (s) {
		size_t mapped = s->mapped;

		explicit_bzero(s, mapped);
		(void)munmap(s, mapped);
	}
	return NULL;
}

uint8_t *tr_secret_p(struct tr_secret *s)
{
	return s->bytes;
}

bool tr_secret_eq(struct tr_view a, struct tr_view b)
{
	volatile uint8_t diff = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		diff |= (uint8_t)(a.p[i] ^ b.p[i]);
	return diff == 0;
}

void tr_wipe(void *p, size_t n)
{
	if (p)
		explicit_bzero(p, n);
}
