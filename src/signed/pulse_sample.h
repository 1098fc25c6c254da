/* SPDX-License-Identifier: Apache-2.0 */
/* A pulse with every member, for the tests and fuzz targets of this layer. */
#ifndef TR_SIGNED_PULSE_SAMPLE_H
#define TR_SIGNED_PULSE_SAMPLE_H

#include "signed/pulse.h"

static const uint8_t sample_ticket[TR_TICKET_LEN] = { 0x71, 0x72 }, sample_old[TR_TICKET_LEN] = { 0x81, 0x82 };
/* ["6.1.0 x86_64 jit=1 harden=0", [a frozen map]] */
static const uint8_t sample_list[] = "\x82\x78\x1b" "6.1.0 x86_64 jit=1 harden=0" "\x81\xa5\x01\x69" "troth/map"
				     "\x03\x02\x04\x01\x05\x07\x0e\xf5";
#define SAMPLE_LIST tr_view(sample_list, sizeof(sample_list) - 1)

static inline struct tr_pulse sample_pulse(void)
{
	struct tr_pulse p = {
		.agent_id = TR_VIEW_LIT("web-1"),
		.partition = TR_VIEW_LIT("default"),
		.time_ns = INT64_C(1795310523456789012),
		.boot_ns = UINT64_C(86400123456789),
		.rtt_us = 1830,
		.sync = TR_SYNC_YES,
		.seq = 1025,
		.bootcount = 3,
		.keyset_epoch = 1,
		.ticket = TR_VIEW_ARRAY(sample_ticket),
		.old_ticket = TR_VIEW_ARRAY(sample_old),
		.version = TR_VIEW_LIT("0.2.0"),
		.bpf_status = TR_BPF_OK,
		.bpf_list = SAMPLE_LIST,
		.lsm = TR_LSM_DEGRADED,
		.lsm_reason = TR_VIEW_LIT("no BPF LSM in this kernel"),
		.notice = TR_NOTICE_REBOOT,
		.notice_s = 900,
		.health = { 420, 16303424, 9120768, 102400, 61440, 86400, 9216, 1234 },
	};

	memset(p.boot_id, 0x11, sizeof(p.boot_id));
	memset(p.start_id, 0x22, sizeof(p.start_id));
	memset(p.prev, 0x33, sizeof(p.prev));
	memset(p.exporter, 0x44, sizeof(p.exporter));
	memset(p.binary_hash, 0x55, sizeof(p.binary_hash));
	tr_sha256(SAMPLE_LIST, p.bpf_digest);
	return p;
}

/* The same without anything optional. */
static inline struct tr_pulse small_pulse(void)
{
	struct tr_pulse p = sample_pulse();

	p.ticket = p.old_ticket = p.bpf_list = p.lsm_reason = tr_view(NULL, 0);
	p.bpf_status = TR_BPF_OFF;
	p.notice = p.notice_s = 0;
	memset(p.bpf_digest, 0, sizeof(p.bpf_digest));
	return p;
}

#endif
