/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/eventlog.h"

#define CC_TYPE_TDX 2
/* Firmware reserves at most some MB; a table that says more is not one. */
#define AREA_MAX (16u << 20)

static uint64_t u64(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

/* ACPI 6.5: a 36-byte header whose bytes add up to 0 over the whole table, then CC type and the log's place. */
TR_RC tr_ccel_table(struct tr_view table, uint64_t *ret_len, uint64_t *ret_address, struct tr_err *err)
{
	const char *why = NULL;
	uint64_t len, address;
	uint8_t sum = 0;

	if (table.n < 56 || memcmp(table.p, "CCEL", 4) != 0)
		why = "no CCEL table";
	else if (((uint32_t)table.p[4] | (uint32_t)table.p[5] << 8 | (uint32_t)table.p[6] << 16 |
		  (uint32_t)table.p[7] << 24) != table.n)
		why = "its length is not what it says";
	else if (table.p[36] != CC_TYPE_TDX)
		why = "not of TDX";
	if (why)
		return tr_err_set(err, TR_E_INVALID, "the CCEL table cannot be read", "%s", why);
	for (size_t i = 0; i < table.n; i++)
		sum = (uint8_t)(sum + table.p[i]);
	len = u64(table.p + 40);
	address = u64(table.p + 48);
	if (sum || !len || len > AREA_MAX)
		return tr_err_set(err, TR_E_INVALID, "the CCEL table cannot be read", "%s", sum ? "checksum" : "size of the log");
	*ret_len = len;
	*ret_address = address;
	return TR_OK;
}

TR_RC tr_ccel_replay(struct tr_view log, const struct tr_view rtmr[4], uint32_t *ret_explained, struct tr_err *err)
{
	uint8_t values[24][64];
	uint32_t touched, explained = 0;
	size_t events;

	if (tr_log_replay(log, TR_HASH_SHA384, true, values, &touched, &events, err))
		return tr_err_wrap(err, "CCEL");
	/* MR index 1 is RTMR0 (0 would be MRTD, which nothing extends). */
	for (unsigned i = 0; i < 4; i++) {
		bool same = tr_view_eq(rtmr[i], tr_view(values[i + 1], 48));

		/* RTMR3 belongs to applications: they extend it without this log. */
		if (!same && (i < 3 || touched >> 4 & 1))
			return tr_err_set(err, TR_E_DENIED, "the event log does not replay to the quoted RTMRs",
					  "CCEL: RTMR%u has another value", i);
		explained |= (uint32_t)(same && touched >> (i + 1) & 1) << i;
	}
	*ret_explained = explained;
	return TR_OK;
}
