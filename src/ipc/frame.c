/* SPDX-License-Identifier: Apache-2.0 */
/* The pure part of a channel: bytes to frames and back. */
#include "ipc/chan.h"

static uint64_t get_le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

static void put_le(uint8_t *p, unsigned n, uint64_t v)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

void tr_frame_head(uint8_t ret[TR_FRAME_HEAD], uint16_t type, uint64_t id, uint32_t payload_n)
{
	put_le(ret, 4, payload_n);
	put_le(ret + 4, 2, type);
	put_le(ret + 6, 2, TR_IPC_VERSION);
	put_le(ret + 8, 8, id);
}

TR_RC tr_frame_parse(struct tr_view in, const struct tr_frame_rule *rules, struct tr_frame *ret,
		     size_t *ret_used, struct tr_err *err)
{
	uint32_t len;
	uint16_t type, version;

	if (in.n < TR_FRAME_HEAD) {
		*ret_used = 0;
		return TR_OK;
	}
	len = (uint32_t)get_le(in.p, 4);
	type = (uint16_t)get_le(in.p + 4, 2);
	version = (uint16_t)get_le(in.p + 6, 2);
	/* Judged by the header alone: no byte of a payload that will be refused is waited for or stored. */
	if (version != TR_IPC_VERSION)
		return tr_err_set(err, TR_E_INVALID, "frame of another protocol version", "version %u",
				  version);
	if (type >= TR_FRAME_TYPE_MAX || !rules[type].fn)
		return tr_err_set(err, TR_E_INVALID, "frame of a type not allowed here", "type %u", type);
	if (len > rules[type].max)
		return tr_err_set(err, TR_E_INVALID, "frame over the limit of its type",
				  "type %u: %u bytes, limit %u", type, len, rules[type].max);
	if (in.n - TR_FRAME_HEAD < len) {
		*ret_used = 0;
		return TR_OK;
	}
	*ret = (struct tr_frame){ type, get_le(in.p + 8, 8), tr_view(in.p + TR_FRAME_HEAD, len) };
	*ret_used = TR_FRAME_HEAD + (size_t)len;
	return TR_OK;
}
