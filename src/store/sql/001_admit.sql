-- SPDX-License-Identifier: Apache-2.0
-- The first schema. Columns stand in field order of records.c. {int}, {bytes}, {seq} and {options} are
-- the backend's words (db.h); everything else is the SQL that SQLite and PostgreSQL share.
CREATE TABLE IF NOT EXISTS agents (
	id TEXT NOT NULL PRIMARY KEY,
	partition TEXT NOT NULL,
	agent_type TEXT NOT NULL,
	state TEXT NOT NULL,
	key_id {bytes} NOT NULL,
	key_type TEXT NOT NULL,
	spki {bytes} NOT NULL,
	form TEXT NOT NULL,
	verdict TEXT NOT NULL,
	tier TEXT NOT NULL,
	binary_hash {bytes} NOT NULL,
	version TEXT NOT NULL,
	release_name TEXT NOT NULL,
	platform TEXT NOT NULL,
	vouched_by {bytes} NOT NULL,
	token_id TEXT NOT NULL,
	source TEXT NOT NULL,
	enrolled_at {int} NOT NULL,
	cert_serial TEXT NOT NULL,
	cert_not_after {int} NOT NULL,
	last_seen {int} NOT NULL,
	heartbeats {int} NOT NULL,
	running_hash {bytes} NOT NULL,
	running_version TEXT NOT NULL,
	ended_at {int} NOT NULL,
	end_reason TEXT NOT NULL
) {options};

CREATE TABLE IF NOT EXISTS tokens (
	id TEXT NOT NULL PRIMARY KEY,
	secret_hash {bytes} NOT NULL,
	partition TEXT NOT NULL,
	agent_type TEXT NOT NULL,
	max_uses {int} NOT NULL,
	uses {int} NOT NULL,
	created_at {int} NOT NULL,
	expires_at {int} NOT NULL,
	revoked_at {int} NOT NULL,
	created_by TEXT NOT NULL,
	note TEXT NOT NULL
) {options};

CREATE TABLE IF NOT EXISTS vkeys (
	id {bytes} NOT NULL PRIMARY KEY,
	use TEXT NOT NULL,
	state TEXT NOT NULL,
	name TEXT NOT NULL,
	key_type TEXT NOT NULL,
	spki {bytes} NOT NULL,
	added_at {int} NOT NULL,
	not_before {int} NOT NULL,
	not_after {int} NOT NULL,
	last_used {int} NOT NULL,
	ended_at {int} NOT NULL,
	uses {int} NOT NULL,
	added_by TEXT NOT NULL,
	end_reason TEXT NOT NULL
) {options};

CREATE TABLE IF NOT EXISTS releases (
	sha256 {bytes} NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	version TEXT NOT NULL,
	platform TEXT NOT NULL,
	size {int} NOT NULL,
	counter {int} NOT NULL,
	issued_at {int} NOT NULL,
	expires_at {int} NOT NULL,
	added_at {int} NOT NULL,
	withdrawn_at {int} NOT NULL,
	vkey_id {bytes} NOT NULL,
	statement {bytes} NOT NULL,
	added_by TEXT NOT NULL
) {options};

CREATE TABLE IF NOT EXISTS settings (
	name TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL,
	updated_at {int} NOT NULL,
	updated_by TEXT NOT NULL
) {options};

CREATE TABLE IF NOT EXISTS seen (
	digest {bytes} NOT NULL PRIMARY KEY,
	expires_at {int} NOT NULL
) {options};
CREATE INDEX IF NOT EXISTS seen_by_expiry ON seen (expires_at);

CREATE TABLE IF NOT EXISTS operators (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	secret_hash {bytes} NOT NULL,
	created_at {int} NOT NULL,
	expires_at {int} NOT NULL,
	revoked_at {int} NOT NULL
) {options};

CREATE TABLE IF NOT EXISTS audit (
	seq {seq},
	time {int} NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	object TEXT NOT NULL,
	outcome TEXT NOT NULL,
	reason TEXT NOT NULL,
	source TEXT NOT NULL,
	detail TEXT NOT NULL
) {options};
CREATE INDEX IF NOT EXISTS audit_by_object ON audit (object, seq);
CREATE INDEX IF NOT EXISTS audit_by_outcome ON audit (outcome, seq);

CREATE TABLE IF NOT EXISTS attestations (
	seq {seq},
	time {int} NOT NULL,
	node_id TEXT NOT NULL,
	form TEXT NOT NULL,
	outcome TEXT NOT NULL,
	reason TEXT NOT NULL,
	tier TEXT NOT NULL,
	binary_hash {bytes} NOT NULL,
	version TEXT NOT NULL,
	vouched_by {bytes} NOT NULL,
	token_id TEXT NOT NULL,
	source TEXT NOT NULL,
	claim_time {int} NOT NULL,
	checks TEXT NOT NULL,
	evidence {bytes} NOT NULL
) {options};
CREATE INDEX IF NOT EXISTS attestations_by_node ON attestations (node_id, seq);
CREATE INDEX IF NOT EXISTS attestations_by_outcome ON attestations (outcome, seq);

-- One row that tr_store_probe rewrites: proof that a durable write works now.
CREATE TABLE IF NOT EXISTS probe (
	id {int} NOT NULL PRIMARY KEY,
	writes {int} NOT NULL
) {options};
INSERT INTO probe (id, writes) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;
