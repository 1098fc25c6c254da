/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/eventlog.h"

void tr_rtmr_extend(uint8_t rtmr[48], const uint8_t digest[48])
{
	struct tr_view parts[2] = { tr_view(rtmr, 48), tr_view(digest, 48) };
	uint8_t out[64];

	tr_raw_digest(TR_HASH_SHA384, parts, 2, out);
	memcpy(rtmr, out, 48);
}

void tr_rtmr3_secretvm(const uint8_t compose_sha256[32], const uint8_t rootfs[32], const uint8_t *files_sha256,
			uint8_t out[48])
{
	const uint8_t *const events[3] = { compose_sha256, rootfs, files_sha256 };

	memset(out, 0, 48);
	for (size_t i = 0; i < 3 && events[i]; i++) {
		uint8_t padded[48] = { 0 };

		memcpy(padded, events[i], 32);
		tr_rtmr_extend(out, padded);
	}
}

void tr_rtmr3_dstack_event(struct tr_view name, struct tr_view payload, uint8_t digest[48])
{
	/* The event type of dstack's own events, little-endian. */
	static const uint8_t type[4] = { 0x01, 0x00, 0x00, 0x08 };
	struct tr_view parts[5] = { TR_VIEW_ARRAY(type), TR_VIEW_LIT(":"), name, TR_VIEW_LIT(":"), payload };
	uint8_t out[64];

	tr_raw_digest(TR_HASH_SHA384, parts, 5, out);
	memcpy(digest, out, 48);
}
