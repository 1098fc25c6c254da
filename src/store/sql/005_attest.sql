-- SPDX-License-Identifier: Apache-2.0
-- Evidence of TEEs and TPMs, what was made of it, and the mailbox. Columns stand in field order of records.c.

CREATE TABLE attested (
	id TEXT NOT NULL PRIMARY KEY,
	key_id {bytes} NOT NULL,
	spki {bytes} NOT NULL,
	state TEXT NOT NULL,
	kind TEXT NOT NULL,
	policy TEXT NOT NULL,
	policy_version {int} NOT NULL,
	tcb_status TEXT NOT NULL,
	tier TEXT NOT NULL,
	image TEXT NOT NULL,
	simulated {int} NOT NULL,
	verified_at {int} NOT NULL,
	expires_at {int} NOT NULL,
	verdict TEXT NOT NULL,
	agent_type TEXT NOT NULL,
	capabilities TEXT NOT NULL,
	endpoint TEXT NOT NULL,
	attestation_endpoint TEXT NOT NULL,
	prekey {bytes} NOT NULL,
	prekey_number {int} NOT NULL,
	token TEXT NOT NULL,
	ak_name {bytes} NOT NULL,
	ek_digest {bytes} NOT NULL,
	ak_trust {int} NOT NULL,
	ak_resets {int} NOT NULL,
	ak_restarts {int} NOT NULL,
	ak_clock {int} NOT NULL,
	reason TEXT NOT NULL,
	failed_at {int} NOT NULL,
	failures {int} NOT NULL
) {options};

CREATE TABLE verdicts (
	seq {seq},
	time {int} NOT NULL,
	id TEXT NOT NULL,
	agent TEXT NOT NULL,
	kind TEXT NOT NULL,
	policy TEXT NOT NULL,
	policy_version {int} NOT NULL,
	outcome TEXT NOT NULL,
	reason TEXT NOT NULL,
	tcb_status TEXT NOT NULL,
	tier TEXT NOT NULL,
	bundle {bytes} NOT NULL,
	build TEXT NOT NULL,
	expires_at {int} NOT NULL,
	source TEXT NOT NULL,
	digest {bytes} NOT NULL,
	context {bytes} NOT NULL,
	verdict TEXT NOT NULL,
	evidence {bytes} NOT NULL
) {options};
CREATE INDEX verdicts_by_agent ON verdicts (agent, seq);
CREATE UNIQUE INDEX verdicts_id ON verdicts (id);

CREATE TABLE bundles (
	id TEXT NOT NULL PRIMARY KEY,
	version {int} NOT NULL,
	bytes {bytes} NOT NULL,
	key_id {bytes} NOT NULL,
	made_at {int} NOT NULL,
	imported_at {int} NOT NULL,
	imported_by TEXT NOT NULL
) {options};
CREATE UNIQUE INDEX bundles_version ON bundles (version);

CREATE TABLE tee_policies (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	version {int} NOT NULL,
	state TEXT NOT NULL,
	text TEXT NOT NULL,
	digest {bytes} NOT NULL,
	agent_types TEXT NOT NULL,
	created_at {int} NOT NULL,
	activated_at {int} NOT NULL,
	ended_at {int} NOT NULL,
	created_by TEXT NOT NULL
) {options};
-- One version of a policy is in force: the database says so, whoever writes to it.
CREATE UNIQUE INDEX tee_policies_one_active ON tee_policies (name) WHERE state = 'active';

CREATE TABLE mails (
	id TEXT NOT NULL PRIMARY KEY,
	number {int} NOT NULL,
	recipient TEXT NOT NULL,
	sender TEXT NOT NULL,
	envelope {bytes} NOT NULL,
	received_at {int} NOT NULL,
	expires_at {int} NOT NULL
) {options};
CREATE INDEX mails_by_recipient ON mails (recipient, number);
