-- SPDX-License-Identifier: Apache-2.0
-- The pulse. What agents held of their beats becomes a row of its own, because it changes every few seconds
-- and the enrolment almost never; events, alerts, maintenance windows and BPF references are new.
-- {no_bytes} is the empty value of {bytes}; columns stand in field order of records.c.
CREATE TABLE pulses (
	id TEXT NOT NULL PRIMARY KEY,
	epoch {int} NOT NULL,
	first_seen {int} NOT NULL,
	last_seen {int} NOT NULL,
	accepted {int} NOT NULL,
	restarts {int} NOT NULL,
	seq {int} NOT NULL,
	head {bytes} NOT NULL,
	head_prev {bytes} NOT NULL,
	boot_id {bytes} NOT NULL,
	start_id {bytes} NOT NULL,
	bootcount {int} NOT NULL,
	running_hash {bytes} NOT NULL,
	good_hash {bytes} NOT NULL,
	version TEXT NOT NULL,
	expected_hash {bytes} NOT NULL,
	expected_until {int} NOT NULL,
	bpf_status {int} NOT NULL,
	bpf_digest {bytes} NOT NULL,
	bpf_good {bytes} NOT NULL,
	bpf_list {bytes} NOT NULL,
	lsm {int} NOT NULL,
	lsm_good {int} NOT NULL,
	sync {int} NOT NULL,
	skew_ms {int} NOT NULL,
	rtt_ms {int} NOT NULL,
	loss_ppm {int} NOT NULL,
	reach {int} NOT NULL,
	auth {int} NOT NULL,
	clock {int} NOT NULL,
	integrity {int} NOT NULL,
	config {int} NOT NULL,
	updating {int} NOT NULL,
	reach_since {int} NOT NULL,
	auth_since {int} NOT NULL,
	clock_since {int} NOT NULL,
	integrity_since {int} NOT NULL,
	config_since {int} NOT NULL,
	updating_since {int} NOT NULL,
	notice {int} NOT NULL,
	notice_until {int} NOT NULL,
	source TEXT NOT NULL,
	health TEXT NOT NULL,
	findings TEXT NOT NULL
) {options};

-- Heard before, not since: reach 2 is "late" (fleet/axes.h). The other axes are unknown until the first pulse.
INSERT INTO pulses (
	id, epoch, first_seen, last_seen, accepted, restarts, seq, head, head_prev, boot_id,
	start_id, bootcount, running_hash, good_hash, version, expected_hash, expected_until,
	bpf_status, bpf_digest, bpf_good, bpf_list, lsm, lsm_good, sync, skew_ms, rtt_ms, loss_ppm,
	reach, auth, clock, integrity, config, updating, reach_since, auth_since, clock_since,
	integrity_since, config_since, updating_since, notice, notice_until, source, health,
	findings
) SELECT
	id, 1, enrolled_at, last_seen, heartbeats, 0, 0, {no_bytes}, {no_bytes}, {no_bytes},
	{no_bytes}, 0, running_hash, binary_hash, running_version, {no_bytes}, 0, 0, {no_bytes},
	{no_bytes}, {no_bytes}, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, last_seen, 0, 0, 0, 0, 0, 0, 0,
	'', '', ''
FROM agents WHERE last_seen > 0 OR heartbeats > 0;

ALTER TABLE agents DROP COLUMN last_seen;
ALTER TABLE agents DROP COLUMN heartbeats;
ALTER TABLE agents DROP COLUMN running_hash;
ALTER TABLE agents DROP COLUMN running_version;
ALTER TABLE agents ADD COLUMN epoch {int} NOT NULL DEFAULT 1;
ALTER TABLE agents ADD COLUMN next_key_id {bytes} NOT NULL DEFAULT {no_bytes};
ALTER TABLE agents ADD COLUMN next_key_type TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN next_spki {bytes} NOT NULL DEFAULT {no_bytes};
ALTER TABLE agents ADD COLUMN next_until {int} NOT NULL DEFAULT 0;

-- Published before statements named BPF programs: none.
ALTER TABLE releases ADD COLUMN bpf {bytes} NOT NULL DEFAULT {no_bytes};

ALTER TABLE tokens ADD COLUMN for_agent TEXT NOT NULL DEFAULT '';

CREATE TABLE events (
	seq {seq},
	time {int} NOT NULL,
	kind TEXT NOT NULL,
	agent TEXT NOT NULL,
	source TEXT NOT NULL,
	severity {int} NOT NULL,
	detail TEXT NOT NULL,
	evidence {bytes} NOT NULL
) {options};
CREATE INDEX events_by_agent ON events (agent, seq);
CREATE INDEX events_by_kind ON events (kind, seq);
CREATE INDEX events_by_time ON events (time);

CREATE TABLE alerts (
	id TEXT NOT NULL PRIMARY KEY,
	kind TEXT NOT NULL,
	subject TEXT NOT NULL,
	severity {int} NOT NULL,
	state TEXT NOT NULL,
	summary TEXT NOT NULL,
	action TEXT NOT NULL,
	cause TEXT NOT NULL,
	opened_at {int} NOT NULL,
	updated_at {int} NOT NULL,
	acked_at {int} NOT NULL,
	resolved_at {int} NOT NULL,
	count {int} NOT NULL,
	escalation {int} NOT NULL,
	acked_by TEXT NOT NULL,
	resolved_why TEXT NOT NULL,
	rev {int} NOT NULL,
	notified {int} NOT NULL
) {options};

CREATE INDEX alerts_by_end ON alerts (resolved_at);

CREATE TABLE maintenance (
	id TEXT NOT NULL PRIMARY KEY,
	scope TEXT NOT NULL,
	target TEXT NOT NULL,
	from_at {int} NOT NULL,
	until_at {int} NOT NULL,
	created_at {int} NOT NULL,
	ended_at {int} NOT NULL,
	created_by TEXT NOT NULL,
	reason TEXT NOT NULL
) {options};

CREATE TABLE bpf_refs (
	key {bytes} NOT NULL PRIMARY KEY,
	kernel TEXT NOT NULL,
	pin TEXT NOT NULL,
	tag {bytes} NOT NULL,
	norm {bytes} NOT NULL,
	state TEXT NOT NULL,
	first_agent TEXT NOT NULL,
	approved_by TEXT NOT NULL,
	first_seen {int} NOT NULL,
	approved_at {int} NOT NULL
) {options};
