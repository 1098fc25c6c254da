# SPDX-License-Identifier: Apache-2.0
"""What operators type about evidence: policies tried and put in force, collateral brought in, verdicts explained and replayed."""

import json
import re
from subprocess import run

import pytest

from attesting import bundle, policy
from client import private_pem
from lab import Lab
from test_cli import Cli, FILE, REFUSED, USAGE


@pytest.fixture(scope="module")
def lab():
    lab = Lab()
    yield lab
    lab.server.destroy()


@pytest.fixture(scope="module")
def cli(lab, tmp_path_factory):
    cli = Cli(tmp_path_factory.mktemp("cli"), lab.server)
    cli.login()
    return cli


def write(cli, name, data, mode=0o644):
    path = cli.folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    path.chmod(mode)
    return path


def test_a_verdict_is_listed_shown_explained_and_replayed(lab, cli):
    a = lab.agent()
    good = a.attest().json()["verdict"]
    with a.mtls() as c:
        challenge = c.challenge()
        bad = a.attest(c, challenge=challenge, quote=a.evidence(challenge, mrtd=bytes(48))).json()["verdict"]
    out = cli("attestation", "list", "--evidence", "--node", a.node_id)
    assert good in out and bad in out and "measurement_mismatch" in out
    assert [v["id"] for v in cli.json("attestation", "list", "--evidence", "--outcome", "failed", "--node", a.node_id)["verdicts"]] == [bad]
    out = cli("attestation", "show", good)
    assert "SIMULATED" in out and "gold" in out and "UpToDate" in out
    out = cli("attestation", "explain", bad)
    assert re.search(r"FAILED +image.mrtd +software", out) and "to do:" in out and "software: no" in out and "authentic: yes" in out
    for ident, word in ((good, "verified"), (bad, "failed")):
        out = cli("attestation", "replay", ident)
        assert f"{ident}: {word}, byte for byte" in out, out
        again = cli.json("attestation", "replay", ident)
        assert again["same"] is True and again["digest"] == lab.operator.verdict(ident)["digest"]
    assert "16 hex digits" in cli.error(USAGE, "attestation", "replay", "7")
    assert "verdict_not_found" in cli.error(REFUSED, "attestation", "show", "0123456789abcdef")
    # Decisions about claims have their numbers still.
    assert "Checks, in the order" in cli("attestation", "explain", lab.server.attestations(limit=1)[0]["seq"])
    for verb in ("show", "explain"):
        out = cli("agent", verb, a.node_id)
        assert "What its machine proved:" in out and f"troth attestation explain {bad}" in out, out
    # Proven bad: what was good before is no more.
    assert [x["attestation_state"] for x in cli.json("agent", "list")["agents"] if x["id"] == a.node_id] == ["failed"]


def test_a_policy_from_draft_to_the_end(lab, cli):
    agents = [lab.attested() for _ in range(2)]
    for a in lab.server.api("GET", "/api/v1/agents").json()["agents"]:
        if a["attestation_state"] == "failed":  # of the test before
            lab.server.api("POST", f"/api/v1/agents/{a['id']}/revoke", {"reason": "tidy"})
    draft = write(cli, "draft.json", policy(lab.vendor, mrtd=bytes([7]) * 48))
    for noun in ("attestation-policy", "policy"):
        out = cli(noun, "test", draft, expect=REFUSED)
        assert "would fail" in out and agents[0].node_id in out and "measurement_mismatch" in out, out
    assert "version 2 is a draft" in cli("attestation-policy", "add", draft)
    assert "agents_would_fail" in cli.error(REFUSED, "attestation-policy", "activate", "lab")
    assert "reason" in cli.error(REFUSED, "attestation-policy", "activate", "lab", "--force")
    assert "is in force" in cli("attestation-policy", "activate", "lab", "--force", "--reason", "drill")
    assert agents[0].attest().json()["code"] == "measurement_mismatch"
    assert "is in force" in cli("attestation-policy", "activate", "lab", "--version", 1)
    good = write(cli, "good.json", policy(lab.vendor))
    assert "would pass" in cli("policy", "test", good)
    assert "draft" in (out := cli("attestation-policy", "list")) or "retired" in out
    assert json.loads(cli("attestation-policy", "show", "lab", "--version", 2)) == json.loads(draft.read_text())
    assert "is retired" in cli("attestation-policy", "retire", "lab", "--reason", "over")
    assert agents[1].attest().json()["code"] == "no_policy"
    assert "is in force" in cli("attestation-policy", "activate", "lab", "--version", 1)
    bad = write(cli, "bad.yaml", "name: lab\nagent_types: [lab]\nevidence: [tdx]\nrotts: []\n")
    assert "policy_invalid" in cli.error(REFUSED, "attestation-policy", "add", bad)
    assert cli.error(FILE, "attestation-policy", "add", cli.folder / "nowhere.yaml")


def test_collateral_is_signed_and_pushed(lab, cli):
    lab.version += 1
    raw = write(cli, "bundle.cbor", bundle(lab.vendor, lab.version))
    key = write(cli, "config.key", private_pem(lab.operator.config), 0o600)
    assert "not signed" in cli.error(FILE, "collateral", "push", raw)
    cli("collateral", "sign", raw, "--key", key, "--out", cli.folder / "bundle.cose")
    assert f"version {lab.version} is in force" in cli("collateral", "push", cli.folder / "bundle.cose")
    assert "collateral_version" in cli.error(REFUSED, "collateral", "push", cli.folder / "bundle.cose")
    assert "tcb_info" in cli("collateral", "show", cli.folder / "bundle.cose")


def test_the_collaterals_key_is_named_by_a_keyset(lab, cli):
    """What an operator types from a key of stock OpenSSL to collateral that is in force."""
    key, pub, draft = cli.folder / "mine.key", cli.folder / "mine.pub", cli.folder / "next"
    run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    key.chmod(0o600)
    run(["openssl", "pkey", "-in", key, "-pubout", "-out", pub], check=True)
    lab.version += 1
    raw = write(cli, "mine.cbor", bundle(lab.vendor, lab.version))
    cli("collateral", "sign", raw, "--key", key, "--out", cli.folder / "mine.cose")
    assert "collateral_refused" in cli.error(REFUSED, "collateral", "push", cli.folder / "mine.cose")
    cli("keyset", "prepare", "-o", draft, "--add-config", pub)
    cli("keyset", "sign", draft, "--yes", "--root", lab.server.dir / "root" / "root.key")
    assert [k["role"] for k in cli.json("keyset", "show", draft)["keys"]].count("config") == 2
    cli("keyset", "publish", draft)
    assert f"version {lab.version} is in force" in cli("collateral", "push", cli.folder / "mine.cose")
