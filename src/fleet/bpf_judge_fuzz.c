/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of any bytes are judged without a crash, what is found is JSON that fits an event, and a list that was just taken
 * as good matches itself. Input: steps, each a byte (status, same boot, reset), two bytes of length, and a list record. */
#include "codec/json.h"
#include "crypto/hash.h"
#include "fleet/inner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_event(void *arg, const struct tr_event *e)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err err;

	(void)arg;
	if (e->detail.n > 4096 || tr_json_parse(e->detail, &j, &err))
		abort();
}

static void on_alert(void *arg, const struct tr_alert_row *row)
{
	(void)arg;
	if (row->summary.n > 512)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert };
	const struct tr_fleet_config c = { .ticket_key = { 7 }, .run = 1, .interval_s = 30, .keyset_epoch = 1 };
	const struct tr_instant now = { .ms = INT64_C(1800000000000), .wall_ns = INT64_C(1800000000000000000) };
	const uint8_t key[32] = { 9 };
	tr_auto(tr_fleet_free) struct tr_fleet *f = tr_fleet_new(&c, &sink, &now);
	uint32_t no = f ? tr_fleet_add(f, &now, TR_VIEW_LIT("a"), TR_VIEW_LIT(""), key, tr_view(NULL, 0), 1, true, NULL) :
			  TR_NO_AGENT;

	for (size_t at = 0; no != TR_NO_AGENT && at + 3 <= size;) {
		size_t n = (size_t)data[at + 1] | (size_t)data[at + 2] << 8;
		struct tr_pulse p = { .bpf_status = data[at] & 0x0f };
		const struct tr_pulse_seen s = { .pulse = &p, .source = TR_VIEW_LIT("192.0.2.7") };
		bool same_boot = data[at] & 0x10;
		enum tr_integrity got;

		if (n > size - at - 3)
			n = size - at - 3;
		if (p.bpf_status == TR_BPF_OK) {
			tr_sha256(tr_view(data + at + 3, n), p.bpf_digest);
			p.bpf_list = tr_view(data + at + 3, data[at] & 0x40 ? 0 : n);
		}
		got = tr_bpf_judge(f, &now, no, &s, same_boot);
		if (got != TR_INTEGRITY_OK && got != TR_INTEGRITY_UNKNOWN && got != TR_INTEGRITY_BPF_MISMATCH)
			abort();
		/* Judged again, the answer is the same, but where a list was taken as good: then it is good. */
		if (tr_bpf_judge(f, &now, no, &s, true) != got)
			abort();
		if (data[at] & 0x20)
			tr_bpf_accept(f, no);
		at += 3 + n;
	}
	return 0;
}
