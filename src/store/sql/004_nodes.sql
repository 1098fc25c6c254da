-- SPDX-License-Identifier: Apache-2.0
-- Several nodes on one database. Empty, and never written, where one trothd has the store for itself.

-- What each transaction touched: `keys` is a list of operation, table and key (changes.c). Writers take turns, so seq is
-- the order of the commits.
CREATE TABLE changes (
	seq {seq},
	node TEXT NOT NULL,
	at {int} NOT NULL,
	keys {bytes} NOT NULL
) {options};
CREATE INDEX changes_by_age ON changes (at);

-- Whose turn it is to do what must be done once, until when by the database's clock; and which nodes there are.
CREATE TABLE leases (
	name TEXT NOT NULL PRIMARY KEY,
	node TEXT NOT NULL,
	"until" {int} NOT NULL
) {options};
INSERT INTO leases (name, node, "until") VALUES ('holder', '', 0);
-- Not a lease: entries of `changes` up to this number are gone.
INSERT INTO leases (name, node, "until") VALUES ('pruned', '', 0);

-- The keyset that the agent had at its last pulse: another node, or the next start, knows who has adopted a new one.
ALTER TABLE pulses ADD COLUMN keyset_epoch {int} NOT NULL DEFAULT 0;
