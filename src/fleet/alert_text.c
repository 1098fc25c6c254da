/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of alert: how urgent, which group, and what the person who reads it does next. */
#include "fleet/inner.h"

static const struct tr_alert_kind kinds[] = {
	{ "silence", 4, "silence",
	  "see what is known with `troth agent explain ID`, then look at the host's power, network and "
	  "`systemctl status troth-agent`" },
	{ "partition_silent", 2, "silence",
	  "check the network between this partition and the server; the agents behind it are not judged "
	  "one by one until it is back (`troth agent list --partition ID`)" },
	{ "binary_changed", 1, "integrity",
	  "treat the host as compromised until proven otherwise: compare with `troth agent explain ID`; if "
	  "the change was yours, `troth agent accept ID`, and order the next one with `troth agent expect "
	  "ID`" },
	{ "bpf_changed", 2, "integrity",
	  "see which program or map differs with `troth agent explain ID`; if the change was yours, `troth "
	  "agent accept ID`" },
	{ "lsm_down", 2, "integrity",
	  "see why in `troth agent explain ID` and start the LSM supervisor again; if it was taken down on "
	  "purpose, `troth agent accept ID`" },
	{ "forked", 1, "identity",
	  "the agent's key was copied: take both machines off the network, find the copy by the sources in "
	  "`troth agent explain ID`, then `troth agent reset-identity ID` and enrol the right one" },
	{ "restored", 2, "identity",
	  "if this machine was restored from a snapshot or backup, `troth agent accept ID`; if not, `troth "
	  "agent reset-identity ID`" },
	{ "chain_conflict", 3, "identity",
	  "wait three beats: it becomes forked, restored or nothing; follow it with `troth agent explain "
	  "ID`" },
	{ "old_key", 1, "identity",
	  "find by the sources in `troth agent events ID` which machine is the right one: a copy of the key may have changed "
	  "it and shut the agent out; then `troth agent reset-identity ID` and enrol the right one" },
	{ "certificate_expiring", 3, "certificate",
	  "the agent should have renewed long ago: see why it does not in `journalctl -u troth-agent` on its host; with an "
	  "expired certificate it is silent and must enrol again (`troth agent reset-identity ID`)" },
	{ "clock_desync", 3, "clock",
	  "set the host's clock right (`timedatectl`, `chronyc tracking`); offset: `troth agent explain ID`" },
	{ "clock_unstable", 3, "clock",
	  "find what sets this host's clock back and forth: two time services, a hypervisor, a dead battery"
	  " (`troth agent explain ID`)" },
	{ "attack_traffic", 3, "attack",
	  "see what ID sent (`troth agent watch`, or `troth agent events` of the agent that it names) and block "
	  "the address in the firewall; no agent's state was changed by it" },
	{ "command_foreign", 1, "command",
	  "the agent was given a command that this server never ordered: somebody may sign with your command key. Look at "
	  "`troth agent events ID`, then `troth key revoke` the command key and publish a keyset; after a restore from a "
	  "backup it may be a command that the backup does not know" },
	{ "command_refused", 1, "command",
	  "see why with `troth command show` and `troth agent events ID`: a key that the agent does not know or that was "
	  "revoked, an approval that does not hold, or a copy of an old command; nothing was done on the host" },
	{ "command_unknown", 2, "command",
	  "the host went down in the middle of it and nobody can tell whether it happened: look at the host, then order it "
	  "again with `troth command retry` if it is needed" },
	{ "command_expired", 3, "command",
	  "the agent did not begin in time: see `troth agent explain ID`, and order it again with `troth command retry` if it "
	  "is still wanted" },
	{ "attestation_failed", 2, "attestation",
	  "see every check with `troth attestation explain ID`: wrong measurements or debug mean other software than you published, "
	  "a revoked platform is not to be trusted at all" },
	{ "tpm_cloned", 1, "attestation",
	  "the agent's state was copied to a machine with another TPM: find the copy by the sources in `troth agent events ID`; "
	  "if the machine's TPM was replaced by you, `troth agent reset-identity ID`" },
	{ "message_forged", 2, "attestation",
	  "somebody sent messages in another agent's name: see `troth agent events ID` for where they came from" },
	{ "collateral_expiring", 3, "attestation",
	  "fetch the vendors' newest files, make a bundle and bring it in: `troth collateral import`, `sign`, `push`; without it "
	  "evidence is refused when the old one ends" },
	{ "front_lied", 1, "server",
	  "a front process passed a pulse that does not verify; it was replaced: save the journal and check"
	  " the server for tampering" },
	{ "keyset_behind", 1, "authority",
	  "if this server was restored from a backup, publish the newer keysets again from their files, in order (`troth keyset "
	  "publish`); if not, look at the agent that says so (`troth agent explain`)" },
	{ "revocation_unpublished", 1, "authority",
	  "agents still believe this key: name it in the revocations of the next keyset (`troth keyset prepare --revoke`), have it "
	  "signed and publish it" },
	{ "key_unusable", 2, "authority",
	  "give this node the keys/seal.key of the others (or of the backup), or bring its token back, and restart it; if it is "
	  "gone for good, make another key with `troth key create` and retire this one" },
	{ "keyset_expiring", 3, "authority",
	  "prepare, sign and publish the next keyset (`troth keyset prepare`): with an expired one nobody enrols and agents refuse "
	  "commands" },
	{ "keyset_tampered", 1, "authority",
	  "somebody wrote to the database: take the server off the network, compare its table keysets with your files, and restore "
	  "it from a backup" },
	{ "server_clock", 3, "server",
	  "synchronise the server's clock (`timedatectl`, `chronyc tracking`); until then no agent's clock "
	  "is judged" },
	{ "server_stalled", 3, "server",
	  "the server stops for seconds again and again, and silence is excused each time: look for "
	  "swapping, a full disk or a busy host" },
};

const struct tr_alert_kind *tr_alert_kinds(size_t *ret_n)
{
	*ret_n = TR_ARRAY_LEN(kinds);
	return kinds;
}

const struct tr_alert_kind *tr_alert_kind(const char *slug)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].slug, slug) == 0)
			return &kinds[i];
	return NULL;
}

const char *tr_alert_action(const char *kind)
{
	const struct tr_alert_kind *k = tr_alert_kind(kind);

	return k ? k->action : "";
}
