/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/crc32c.h"

/* Four bits at a time: a journal has a few kilobytes an hour, and sixteen numbers can be checked by eye
 * against the reflected polynomial 0x82f63b78. */
static const uint32_t table[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
	0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t tr_crc32c(struct tr_view in)
{
	uint32_t c = UINT32_MAX;

	for (size_t i = 0; i < in.n; i++) {
		c = table[(c ^ in.p[i]) & 15] ^ (c >> 4);
		c = table[(c ^ (uint32_t)(in.p[i] >> 4)) & 15] ^ (c >> 4);
	}
	return ~c;
}
