/* SPDX-License-Identifier: Apache-2.0 */
/* The pulse between roles. Not a tr_record: core reads one per pulse, and fixed arrays need no lengths. First the numbers
 * (8 bytes little endian each), then the arrays, then the views with their lengths (4 bytes) in front. */
#include "signed/pulse.h"

#define AT(m) offsetof(struct tr_pulse, m)

static const uint16_t numbers[] = {
	AT(time_ns), AT(boot_ns), AT(rtt_us), AT(sync), AT(seq), AT(bootcount), AT(keyset_epoch), AT(bpf_status), AT(lsm),
	AT(notice), AT(notice_s), AT(health.load_milli), AT(health.mem_total_kib), AT(health.mem_free_kib),
	AT(health.disk_total_mib), AT(health.disk_free_mib), AT(health.uptime_s), AT(health.agent_rss_kib),
	AT(health.agent_cpu_ms),
};
static const struct {
	uint16_t at, n;
} arrays[] = {
	{ AT(boot_id), 16 },  { AT(start_id), 16 },    { AT(prev), 32 },
	{ AT(exporter), 32 }, { AT(binary_hash), 32 }, { AT(bpf_digest), 32 },
};
static const uint16_t views[] = { AT(agent_id), AT(partition), AT(ticket), AT(old_ticket), AT(version), AT(lsm_reason),
				  AT(bpf_list) };

#define FIXED (TR_ARRAY_LEN(numbers) * 8 + 160)

static struct tr_view view_at(const struct tr_pulse *p, uint16_t at)
{
	struct tr_view v;

	memcpy(&v, (const uint8_t *)p + at, sizeof(v));
	return v;
}

static void put_le(uint8_t *out, uint64_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		out[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get_le(const uint8_t *in, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)in[i] << 8 * i;
	return v;
}

void tr_pulse_encode(const struct tr_pulse *p, struct tr_buf *b)
{
	size_t n = FIXED;
	struct tr_err err;
	uint8_t *at;

	if (tr_pulse_check(p, &err)) {
		b->failed = true;
		return;
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(views); i++)
		n += 4 + view_at(p, views[i]).n;
	at = tr_buf_space(b, n);
	if (!at)
		return;
	for (size_t i = 0; i < TR_ARRAY_LEN(numbers); i++, at += 8) {
		uint64_t v;

		memcpy(&v, (const uint8_t *)p + numbers[i], sizeof(v));
		put_le(at, v, 8);
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(arrays); at += arrays[i++].n)
		memcpy(at, (const uint8_t *)p + arrays[i].at, arrays[i].n);
	for (size_t i = 0; i < TR_ARRAY_LEN(views); i++) {
		struct tr_view v = view_at(p, views[i]);

		put_le(at, v.n, 4);
		if (v.n)
			memcpy(at + 4, v.p, v.n);
		at += 4 + v.n;
	}
}

TR_RC tr_pulse_decode(struct tr_view in, struct tr_pulse *ret, struct tr_err *err)
{
	static const char pub[] = "a message between the server's processes is damaged";
	struct tr_pulse out = { .time_ns = 0 };
	const uint8_t *at = in.p;
	size_t left = in.n;
	enum tr_code rc;

	if (left < FIXED)
		return tr_err_set(err, TR_E_INVALID, pub, "pulse frame of %zu bytes", in.n);
	left -= FIXED;
	for (size_t i = 0; i < TR_ARRAY_LEN(numbers); i++, at += 8) {
		uint64_t v = get_le(at, 8);

		memcpy((uint8_t *)&out + numbers[i], &v, sizeof(v));
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(arrays); at += arrays[i++].n)
		memcpy((uint8_t *)&out + arrays[i].at, at, arrays[i].n);
	for (size_t i = 0; i < TR_ARRAY_LEN(views); i++) {
		uint64_t n = left < 4 ? SIZE_MAX : get_le(at, 4);
		struct tr_view v;

		if (left < 4 || n > left - 4)
			return tr_err_set(err, TR_E_INVALID, pub, "pulse frame is cut short");
		v = tr_view(at + 4, (size_t)n);
		memcpy((uint8_t *)&out + views[i], &v, sizeof(v));
		at += 4 + n;
		left -= 4 + (size_t)n;
	}
	if (left)
		return tr_err_set(err, TR_E_INVALID, pub, "pulse frame has %zu surplus bytes", left);
	rc = tr_pulse_check(&out, err);
	if (rc)
		return tr_err_wrap(err, "pulse frame");
	*ret = out;
	return TR_OK;
}
