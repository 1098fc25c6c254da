-- SPDX-License-Identifier: Apache-2.0
-- Commands and the keys that sign them. Columns stand in field order of records.c.

-- Every keyset that was ever in force: agents that were away walk the chain.
CREATE TABLE keysets (
	id TEXT NOT NULL PRIMARY KEY,
	epoch {int} NOT NULL,
	digest {bytes} NOT NULL,
	bytes {bytes} NOT NULL,
	published_at {int} NOT NULL,
	published_by TEXT NOT NULL
) {options};

CREATE TABLE skeys (
	id {bytes} NOT NULL PRIMARY KEY,
	role TEXT NOT NULL,
	state TEXT NOT NULL,
	origin TEXT NOT NULL,
	version {int} NOT NULL,
	name TEXT NOT NULL,
	key_type TEXT NOT NULL,
	spki {bytes} NOT NULL,
	sealed {bytes} NOT NULL,
	created_at {int} NOT NULL,
	active_at {int} NOT NULL,
	primary_at {int} NOT NULL,
	retiring_at {int} NOT NULL,
	ended_at {int} NOT NULL,
	uses {int} NOT NULL,
	created_by TEXT NOT NULL,
	end_reason TEXT NOT NULL
) {options};
-- One key per role signs, and no version is given twice: the database says so, whoever writes to it.
CREATE UNIQUE INDEX skeys_one_primary ON skeys (role) WHERE state = 'primary';
CREATE UNIQUE INDEX skeys_version ON skeys (role, version);

CREATE TABLE commands (
	id TEXT NOT NULL PRIMARY KEY,
	digest {bytes} NOT NULL,
	agent TEXT NOT NULL,
	batch TEXT NOT NULL,
	type TEXT NOT NULL,
	class {int} NOT NULL,
	kind {int} NOT NULL,
	state TEXT NOT NULL,
	code TEXT NOT NULL,
	created_at {int} NOT NULL,
	not_before {int} NOT NULL,
	expires_at {int} NOT NULL,
	sent_at {int} NOT NULL,
	acked_at {int} NOT NULL,
	ended_at {int} NOT NULL,
	created_by TEXT NOT NULL,
	reason TEXT NOT NULL,
	"order" {bytes} NOT NULL,
	approvals {bytes} NOT NULL,
	line {int} NOT NULL,
	seq {int} NOT NULL,
	key_id {bytes} NOT NULL,
	command {bytes} NOT NULL,
	result TEXT NOT NULL,
	receipt {bytes} NOT NULL,
	position {int} NOT NULL,
	attempts {int} NOT NULL,
	retry_of TEXT NOT NULL
) {options};
CREATE INDEX commands_by_end ON commands (ended_at);
CREATE INDEX commands_by_batch ON commands (batch);
CREATE INDEX commands_by_agent ON commands (agent, ended_at);
CREATE INDEX commands_by_state ON commands (state, ended_at);
-- A number is used once, also when two nodes hand them out.
CREATE UNIQUE INDEX commands_by_number ON commands (agent, line, seq) WHERE seq > 0;

-- The last number given to each agent, and whether it is in quarantine. Kept when the commands are long gone.
CREATE TABLE outboxes (
	agent TEXT NOT NULL PRIMARY KEY,
	line {int} NOT NULL,
	seq {int} NOT NULL,
	quarantined_at {int} NOT NULL
) {options};
