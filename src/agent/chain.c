/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/chain.h"

#include "codec/cbor.h"

#define FILE_MAX 512
#define SUM_LEN 32

enum key { KEY_SEQ = 1, KEY_BOOTCOUNT, KEY_BOOT_ID, KEY_PREV, KEY_TICKET, KEY_SERVER_NS, KEY_BOOT_NS, KEY_N };

/* A map, and behind it the SHA-256 of its bytes: rename makes the file whole, the sum shows a disk that lost
 * some. */
void tr_chain_encode(const struct tr_chain *c, struct tr_buf *out)
{
	size_t start = out->n;
	uint8_t sum[SUM_LEN];

	tr_cbor_put_map(out, KEY_N - 1);
	tr_cbor_put_int(out, KEY_SEQ);
	tr_cbor_put_uint(out, c->seq);
	tr_cbor_put_int(out, KEY_BOOTCOUNT);
	tr_cbor_put_uint(out, c->bootcount);
	tr_cbor_put_int(out, KEY_BOOT_ID);
	tr_cbor_put_bytes(out, TR_VIEW_ARRAY(c->boot_id));
	tr_cbor_put_int(out, KEY_PREV);
	tr_cbor_put_bytes(out, TR_VIEW_ARRAY(c->prev));
	tr_cbor_put_int(out, KEY_TICKET);
	tr_cbor_put_bytes(out, tr_view(c->ticket, c->has_ticket ? sizeof(c->ticket) : 0));
	tr_cbor_put_int(out, KEY_SERVER_NS);
	tr_cbor_put_int(out, c->time.server_ns);
	tr_cbor_put_int(out, KEY_BOOT_NS);
	tr_cbor_put_uint(out, c->time.boot_ns);
	if (!tr_buf_ok(out))
		return;
	tr_sha256(tr_view(out->p + start, out->n - start), sum);
	tr_buf_add(out, sum, sizeof(sum));
}

static void take(struct tr_cbor *r, uint8_t *to, size_t n)
{
	struct tr_view v = tr_cbor_bytes(r);

	if (v.n == n)
		memcpy(to, v.p, n);
	else
		tr_cbor_fail(r, "wrong length");
}

static void take_ticket(struct tr_cbor *r, struct tr_chain *c)
{
	struct tr_view v = tr_cbor_bytes(r);

	c->has_ticket = v.n == sizeof(c->ticket);
	if (c->has_ticket)
		memcpy(c->ticket, v.p, v.n);
	else if (v.n)
		tr_cbor_fail(r, "wrong length of the ticket");
}

TR_RC tr_chain_decode(struct tr_view in, struct tr_chain *ret, struct tr_err *err)
{
	struct tr_chain c = { 0 };
	struct tr_cbor_map m;
	struct tr_cbor r;
	uint8_t sum[SUM_LEN];
	int64_t key;
	unsigned seen = 0;
	enum tr_code rc;

	if (in.n <= SUM_LEN)
		return tr_err_set(err, TR_E_INVALID, "the chain file is damaged", "%zu bytes", in.n);
	in.n -= SUM_LEN;
	tr_sha256(in, sum);
	if (memcmp(sum, in.p + in.n, SUM_LEN) != 0)
		return tr_err_set(err, TR_E_INVALID, "the chain file is damaged", "its sum is another");
	r = tr_cbor_reader(in);
	(void)tr_cbor_map(&r, &m, KEY_N - 1);
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_SEQ: c.seq = tr_cbor_uint(&r); break;
		case KEY_BOOTCOUNT: c.bootcount = tr_cbor_uint(&r); break;
		case KEY_BOOT_ID: take(&r, c.boot_id, sizeof(c.boot_id)); break;
		case KEY_PREV: take(&r, c.prev, sizeof(c.prev)); break;
		case KEY_TICKET: take_ticket(&r, &c); break;
		case KEY_SERVER_NS: c.time.server_ns = tr_cbor_int(&r); break;
		case KEY_BOOT_NS: c.time.boot_ns = tr_cbor_uint(&r); break;
		default: tr_cbor_fail(&r, "unknown key"); continue;
		}
		seen |= 1u << key;
	}
	rc = tr_cbor_end(&r, err);
	if (!rc && seen != (1u << KEY_N) - 2)
		rc = tr_err_set(err, TR_E_INVALID, "the chain file is damaged", "a member is missing");
	if (rc)
		return rc;
	c.stored_seq = c.seq;
	*ret = c;
	return TR_OK;
}

TR_RC tr_chain_load(const struct tr_state *s, struct tr_chain *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc = tr_state_read(s, TR_CHAIN_FILE, FILE_MAX, &b, err);

	*ret = (struct tr_chain){ 0 };
	return rc ? rc : tr_chain_decode(tr_buf_view(&b), ret, err);
}

TR_RC tr_chain_save(const struct tr_state *s, struct tr_chain *c, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc;

	tr_chain_encode(c, &b);
	rc = tr_buf_check(&b, err);
	if (!rc)
		rc = tr_state_write(s, TR_CHAIN_FILE, tr_buf_view(&b), err);
	if (!rc)
		c->stored_seq = c->seq;
	return rc;
}

void tr_chain_start(struct tr_chain *c, const uint8_t boot_id[16])
{
	static const uint8_t unknown[16];

	c->seq += TR_CHAIN_SKIP;
	if (memcmp(boot_id, unknown, sizeof(unknown)) == 0 ||
	    memcmp(boot_id, c->boot_id, sizeof(c->boot_id)) == 0)
		return;
	c->bootcount++;
	memcpy(c->boot_id, boot_id, sizeof(c->boot_id));
	tr_clock_rebooted(&c->time);
}

void tr_chain_try(struct tr_chain *c, struct tr_pulse *p)
{
	struct tr_view held = tr_view(c->ticket, c->has_ticket ? sizeof(c->ticket) : 0);

	p->seq = ++c->seq;
	p->bootcount = c->bootcount;
	memcpy(p->boot_id, c->boot_id, sizeof(p->boot_id));
	memcpy(p->prev, c->prev, sizeof(p->prev));
	p->ticket = c->has_fresh ? TR_VIEW_ARRAY(c->fresh) : c->ask_anew ? tr_view(NULL, 0) : held;
	p->old_ticket = c->has_fresh ? held : tr_view(NULL, 0);
}

bool tr_chain_must_save(const struct tr_chain *c)
{
	return c->seq - c->stored_seq >= TR_CHAIN_SKIP / 2;
}

enum tr_chain_next tr_chain_answered(struct tr_chain *c, const struct tr_pulse_answer *a,
				     const uint8_t digest[32])
{
	bool was_resync = c->has_fresh;

	c->has_fresh = c->ask_anew = false;
	if (a->resync) {
		c->resyncs++;
		if (was_resync)
			return TR_CHAIN_GIVE_UP;
		memcpy(c->fresh, a->ticket.p, sizeof(c->fresh));
		c->has_fresh = true;
		return TR_CHAIN_AGAIN;
	}
	memcpy(c->prev, digest, sizeof(c->prev));
	memcpy(c->ticket, a->ticket.p, sizeof(c->ticket));
	c->has_ticket = true;
	return TR_CHAIN_ACCEPTED;
}

void tr_chain_failed(struct tr_chain *c)
{
	c->has_fresh = false;
}

void tr_chain_replayed(struct tr_chain *c)
{
	c->has_fresh = false;
	c->ask_anew = true;
}
