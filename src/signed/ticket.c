/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/ticket.h"

#include "base/secret.h"
#include "codec/ident.h"
#include "crypto/hash.h"

#define DOMAIN "troth/ticket/v1"
#define DOMAIN_LEN (sizeof(DOMAIN) - 1)
#define NUMBERS 24 /* run, seq, issued: the clear part of a ticket */
#define MAC 16
#define HEAD 32

static void put_be(uint8_t *out, uint64_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		out[i] = (uint8_t)(v >> 8 * (size - 1 - i));
}

static uint64_t get_be64(const uint8_t *in)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v = v << 8 | in[i];
	return v;
}

/* Every part has a fixed length but the id, whose length is inside: no two scopes give the same bytes. */
static void mac_of(const uint8_t *key, const struct tr_ticket_scope *scope, const uint8_t numbers[NUMBERS],
		   uint8_t out[TR_SHA256_LEN])
{
	uint8_t in[DOMAIN_LEN + 1 + TR_IDENT_MAX + 4 + NUMBERS + HEAD], *at = in;

	memcpy(at, DOMAIN, DOMAIN_LEN);
	at += DOMAIN_LEN;
	*at++ = (uint8_t)scope->agent_id.n;
	if (scope->agent_id.n)
		memcpy(at, scope->agent_id.p, scope->agent_id.n);
	at += scope->agent_id.n;
	put_be(at, scope->epoch, 4);
	memcpy(at + 4, numbers, NUMBERS);
	memcpy(at + 4 + NUMBERS, scope->head, HEAD);
	at += 4 + NUMBERS + HEAD;
	tr_hmac_sha256(tr_view(key, TR_TICKET_KEY_LEN), tr_view(in, (size_t)(at - in)), out);
}

void tr_ticket_make(const uint8_t key[TR_TICKET_KEY_LEN], const struct tr_ticket_scope *scope,
		    const struct tr_ticket *t, uint8_t out[TR_TICKET_LEN])
{
	uint8_t mac[TR_SHA256_LEN];

	/* No agent has such an id: zeros, which open nowhere. */
	memset(out, 0, TR_TICKET_LEN);
	if (scope->agent_id.n > TR_IDENT_MAX)
		return;
	put_be(out, t->run, 8);
	put_be(out + 8, t->seq, 8);
	put_be(out + 16, (uint64_t)t->issued_ms, 8);
	mac_of(key, scope, out, mac);
	memcpy(out + NUMBERS, mac, MAC);
}

bool tr_ticket_open(const uint8_t key[TR_TICKET_KEY_LEN], const struct tr_ticket_scope *scope, struct tr_view in,
		    struct tr_ticket *ret)
{
	uint8_t mac[TR_SHA256_LEN];

	if (in.n != TR_TICKET_LEN || scope->agent_id.n > TR_IDENT_MAX)
		return false;
	mac_of(key, scope, in.p, mac);
	if (!tr_secret_eq(tr_view(mac, MAC), tr_view(in.p + NUMBERS, MAC)))
		return false;
	*ret = (struct tr_ticket){ .run = get_be64(in.p),
				   .seq = get_be64(in.p + 8),
				   .issued_ms = (int64_t)get_be64(in.p + 16) };
	return true;
}
