/* SPDX-License-Identifier: Apache-2.0 */
#include "server/core.h"

#include "base/secret.h"

/* 8 bytes issue time (ms, big endian) ‖ 8 random ‖ HMAC-SHA256[0:16] over both. */
#define BODY 16

static void mac(const uint8_t key[32], const uint8_t body[BODY], uint8_t out[16])
{
	uint8_t full[TR_SHA256_LEN];

	tr_hmac_sha256(tr_view(key, 32), tr_view(body, BODY), full);
	memcpy(out, full, 16);
}

void tr_challenge_make(const uint8_t key[32], int64_t now_ms, uint8_t out[TR_CHALLENGE_LEN])
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)((uint64_t)now_ms >> (56 - 8 * i));
	tr_random(out + 8, 8);
	mac(key, out, out + BODY);
}

bool tr_challenge_ok(const uint8_t key[32], int64_t now_ms, struct tr_view challenge)
{
	uint8_t want[16];
	uint64_t at = 0;

	if (challenge.n != TR_CHALLENGE_LEN)
		return false;
	mac(key, challenge.p, want);
	if (!tr_secret_eq(tr_view(want, 16), tr_view(challenge.p + BODY, 16)))
		return false;
	for (int i = 0; i < 8; i++)
		at = at << 8 | challenge.p[i];
	return (int64_t)at <= now_ms && now_ms - (int64_t)at <= TR_CHALLENGE_TTL_MS;
}
