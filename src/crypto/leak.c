/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that the world knows. The rows come from script/leaked-keys, which names the source of each. */
#include "crypto/key.h"

#include "codec/text.h"

static const struct {
	const char *id; /* hex SHA-256 of the SPKI, ascending */
	const char *name;
} rows[] = {
#include "crypto/leak_rows.inc"
};

const char *tr_key_leak_name(const uint8_t id[TR_SHA256_LEN])
{
	size_t lo = 0, hi = TR_ARRAY_LEN(rows);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		uint8_t row[TR_SHA256_LEN];
		int cmp = tr_hex_get(tr_view_str(rows[mid].id), row, sizeof(row))
				  ? memcmp(id, row, sizeof(row))
				  : -1;

		if (cmp == 0)
			return rows[mid].name;
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}
