/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: no input opens; the same scope's own ticket does, gives back what went in, and dies of any changed bit. The
 * input: an id's length and bytes, then what the ticket says. */
#include "signed/signed_fuzz.h"

#include "signed/ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t key[TR_TICKET_KEY_LEN];
	struct tr_ticket t = { 0 }, out;
	uint8_t ticket[TR_TICKET_LEN], head[32] = { 0 };
	struct tr_ticket_scope s = { .head = head };
	size_t rest;

	if (!key[0] && !key[1]) {
		tr_random(key, sizeof(key));
		key[0] |= 1;
	}
	if (size < 1 || size - 1 < data[0])
		return 0;
	s.agent_id = tr_view(data + 1, data[0]);
	rest = size - 1 - data[0];
	data += 1 + data[0];
	ORACLE(!tr_ticket_open(key, &s, tr_view(data, rest), &out));
	memcpy(&t, data, rest < sizeof(t) ? rest : sizeof(t));
	memcpy(head, data, rest < sizeof(head) ? rest : sizeof(head));
	tr_ticket_make(key, &s, &t, ticket);
	ORACLE(tr_ticket_open(key, &s, TR_VIEW_ARRAY(ticket), &out) == (s.agent_id.n <= 64));
	if (s.agent_id.n > 64)
		return 0;
	ORACLE(out.run == t.run && out.seq == t.seq && out.issued_ms == t.issued_ms);
	ticket[rest % TR_TICKET_LEN] ^= (uint8_t)(1u << rest % 8);
	ORACLE(!tr_ticket_open(key, &s, TR_VIEW_ARRAY(ticket), &out));
	return 0;
}
