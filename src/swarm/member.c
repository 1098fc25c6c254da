/* SPDX-License-Identifier: Apache-2.0 */
#include "swarm/member.h"

#include "agent/refusal.h"
#include "base/clock.h"

#include <stdio.h>

void tr_member_start(struct tr_member *m, bool rebooted)
{
	uint8_t boot[16];

	m->chain = m->disk;
	memcpy(boot, m->disk.boot_id, sizeof(boot));
	if (rebooted)
		tr_random(boot, sizeof(boot));
	tr_chain_start(&m->chain, boot);
	tr_random(m->start_id, sizeof(m->start_id));
	m->notice = TR_NOTICE_NONE;
}

TR_RC tr_member_pulse(struct tr_member *m, const uint8_t exporter[32], struct tr_buf *ret, struct tr_err *err)
{
	struct tr_pulse p = {
		.agent_id = tr_view_str(m->name),
		.partition = tr_view_str(m->partition),
		.time_ns = tr_now_ns() + m->clock_off_ms * 1000000,
		.boot_ns = tr_mono_ns(),
		.sync = TR_SYNC_YES,
		.keyset_epoch = 1,
		.version = TR_VIEW_LIT("1.2.3"),
		.bpf_status = TR_BPF_OFF,
		.lsm = TR_LSM_UNAVAILABLE,
		.lsm_reason = TR_VIEW_LIT("not installed"),
		.notice = m->notice,
		.health = { .load_milli = 250, .mem_total_kib = 16000000, .mem_free_kib = 9000000, .disk_total_mib = 100000,
			    .disk_free_mib = 60000, .uptime_s = 86400, .agent_rss_kib = 12000, .agent_cpu_ms = 900 },
	};

	tr_chain_try(&m->chain, &p);
	memcpy(p.start_id, m->start_id, sizeof(p.start_id));
	memcpy(p.exporter, exporter, 32);
	memcpy(p.binary_hash, m->hash, 32);
	if (tr_pulse_sign(&p, m->id.device, ret, err) || tr_pulse_digest(tr_buf_view(ret), m->digest, err))
		return err->code;
	return TR_OK;
}

enum tr_member_next tr_member_answered(struct tr_member *m, int status, struct tr_view body, char ret_code[40])
{
	struct tr_pulse_answer told;
	struct tr_said_no why;
	struct tr_err err;

	ret_code[0] = 0;
	if (status == 200 && tr_pulse_answer_get(body, &told, &err) == TR_OK) {
		m->interval_s = (unsigned)told.interval_s;
		switch (tr_chain_answered(&m->chain, &told, m->digest)) {
		case TR_CHAIN_ACCEPTED:
			m->accepted++;
			m->disk = m->chain;
			return TR_MEMBER_BEAT;
		case TR_CHAIN_AGAIN:
			m->resyncs++;
			return TR_MEMBER_AGAIN;
		default:
			(void)snprintf(ret_code, 40, "resync_twice");
			return TR_MEMBER_BEAT;
		}
	}
	tr_refusal_read(body, &why);
	(void)snprintf(ret_code, 40, "%s", why.code[0] ? why.code : "no_code");
	if (strcmp(ret_code, "replay") == 0) {
		tr_chain_replayed(&m->chain);
		return TR_MEMBER_SOON;
	}
	tr_chain_failed(&m->chain);
	if (strcmp(ret_code, "quarantined") == 0 || strcmp(ret_code, "agent_revoked") == 0)
		return TR_MEMBER_BARRED;
	return status >= 500 || status == 429 ? TR_MEMBER_SOON : TR_MEMBER_BEAT;
}
