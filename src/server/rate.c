/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rate.h"

#include "crypto/hash.h"

#include <stdatomic.h>
#include <sys/mman.h>

#define KEY_LEN 16
#define SLOTS (TR_RATE_BYTES / 8 - 2) /* the first two words are the hash key */

struct tr_rate {
	_Atomic uint64_t *slots;
	void *map;
	uint64_t k0, k1;
};

TR_RC tr_rate_create(int *ret_fd, struct tr_err *err)
{
	uint8_t key[KEY_LEN];
	tr_auto(tr_close) int fd = memfd_create("troth-rate", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, TR_RATE_BYTES))
		return tr_err_errno(err, "rate table");
	tr_random(key, sizeof(key));
	if (pwrite(fd, key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return tr_err_errno(err, "rate table key");
	*ret_fd = fd;
	fd = -1;
	return TR_OK;
}

TR_RC tr_rate_open(int fd, struct tr_rate **ret, struct tr_err *err)
{
	struct tr_rate *r = calloc(1, sizeof(*r));
	uint64_t *words;

	if (!r)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "rate table");
	r->map = mmap(NULL, TR_RATE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r->map == MAP_FAILED) {
		free(r);
		return tr_err_errno(err, "map the rate table");
	}
	words = r->map;
	r->k0 = words[0];
	r->k1 = words[1];
	r->slots = (_Atomic uint64_t *)(words + 2);
	*ret = r;
	return TR_OK;
}

struct tr_rate *tr_rate_free(struct tr_rate *r)
{
	if (r) {
		(void)munmap(r->map, TR_RATE_BYTES);
		free(r);
	}
	return NULL;
}

/* A keyed mix (splitmix64 rounds): the key is secret and fresh per start, and a guessed collision would only share a
 * budget, so a full SipHash buys nothing here. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static size_t slot_of(const struct tr_rate *r, struct tr_view source, unsigned route)
{
	uint64_t h = mix(r->k0 ^ route);

	for (size_t i = 0; i < source.n; i++)
		h = mix(h ^ source.p[i]) + r->k1;
	return h % SLOTS;
}

bool tr_rate_allow(struct tr_rate *r, struct tr_view source, unsigned route, unsigned per_minute, uint64_t now_ms,
		   unsigned *ret_wait_s)
{
	_Atomic uint64_t *slot = &r->slots[slot_of(r, source, route)];
	uint64_t now = now_ms * 1000;
	uint64_t step = 60000000u / per_minute;
	uint64_t burst = per_minute / 6 > 5 ? per_minute / 6 : 5;
	uint64_t was = atomic_load_explicit(slot, memory_order_relaxed);

	for (;;) {
		uint64_t base = was > now ? was : now;
		uint64_t next = base + step;

		if (next - now > burst * step) {
			*ret_wait_s = (unsigned)((next - now - burst * step) / 1000000u) + 1;
			return false;
		}
		if (atomic_compare_exchange_weak_explicit(slot, &was, next, memory_order_relaxed,
							  memory_order_relaxed))
			return true;
	}
}
