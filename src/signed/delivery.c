/* SPDX-License-Identifier: Apache-2.0 */
/* The answer that carries commands. Unsigned: each of them is, and the connection is checked. */
#include "signed/receipt.h"

enum { KEY_KEYSET = 1, KEY_WAIT, KEY_COMMANDS, KEY_N };
#define MEMBERS_MAX 16

static bool is_good(const struct tr_delivery *d)
{
	bool good = d->keyset_epoch <= INT64_MAX && d->wait_s <= TR_DELIVERY_WAIT_MAX_S && d->n <= TR_DELIVERY_MAX;

	for (size_t i = 0; good && i < d->n; i++)
		good = d->commands[i].n > 0 && d->commands[i].n <= TR_COMMAND_MAX;
	return good;
}

void tr_delivery_put(const struct tr_delivery *d, struct tr_buf *out)
{
	/* Fails where it is made, not at the agent, which could only refuse it. */
	if (!is_good(d)) {
		out->failed = true;
		return;
	}
	tr_cbor_put_map(out, KEY_N - 1);
	tr_cbor_put_int(out, KEY_KEYSET);
	tr_cbor_put_uint(out, d->keyset_epoch);
	tr_cbor_put_int(out, KEY_WAIT);
	tr_cbor_put_uint(out, d->wait_s);
	tr_cbor_put_int(out, KEY_COMMANDS);
	tr_cbor_put_array(out, d->n);
	for (size_t i = 0; i < d->n; i++)
		tr_cbor_put_bytes(out, d->commands[i]);
}

static void read_commands(struct tr_cbor *r, struct tr_delivery *out)
{
	out->n = tr_cbor_array(r, TR_DELIVERY_MAX);
	for (size_t i = 0; i < out->n && !r->error; i++)
		out->commands[i] = tr_cbor_bytes(r);
}

TR_RC tr_delivery_get(struct tr_view in, struct tr_delivery *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_delivery d = { .n = 0 };
	struct tr_cbor_map m;
	unsigned seen = 0;
	int64_t key;

	(void)tr_cbor_map(&r, &m, MEMBERS_MAX);
	while (tr_cbor_key_int(&r, &m, &key)) {
		if (key >= KEY_KEYSET && key < KEY_N)
			seen |= 1u << key;
		switch (key) {
		case KEY_KEYSET: d.keyset_epoch = tr_cbor_uint(&r); break;
		case KEY_WAIT: d.wait_s = tr_cbor_uint(&r); break;
		case KEY_COMMANDS: read_commands(&r, &d); break;
		default: (void)tr_cbor_any(&r); /* a newer server's */
		}
	}
	if (!r.error && seen != (1u << KEY_N) - 2)
		tr_cbor_fail(&r, "a delivery lacks a member");
	if (!r.error && !is_good(&d))
		tr_cbor_fail(&r, "a member of the delivery is out of range");
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "delivery");
	*ret = d;
	return TR_OK;
}
