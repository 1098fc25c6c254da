# SPDX-License-Identifier: Apache-2.0
"""Every later build starts on what an earlier release left (OP-6): tests/upgrade/VERSION, made by script/make-fixture.

Certificates and keysets in a fixture grow old; what an operator would renew in time (TLS certificate, keyset) is renewed
here first, so that the tests do not depend on the year. The CA certificate ends in 2036."""

import datetime
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile
import time

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization as ser

import client
from harness import ROOT, Server, call, faketime, free_port, needs_faketime, program

FIXTURES = sorted((ROOT / "tests" / "upgrade").glob("*/facts.json"))
SECRET = ("*.key", "admin.token", "troth.db", "agent.json")


def copy(source, to):
    """A copy with the modes and owners that version control does not keep."""
    shutil.copytree(source, to)
    for p in [to, *to.rglob("*")]:
        secret = any(p.match(s) for s in SECRET)
        p.chmod(0o700 if p.is_dir() else 0o600 if secret else 0o644)
    return to


def give_to_roles(folder):
    if os.getuid() != 0:
        return
    try:
        user = pwd.getpwnam("troth")
        uid, gid = user.pw_uid, user.pw_gid
    except KeyError:
        uid = gid = 65534
    for p in [folder, *folder.rglob("*")]:
        if "root" not in p.relative_to(folder).parts and p.name != "admin.token":
            os.chown(p, uid, gid)


def renew_keyset(state):
    """The next epoch, signed by the offline root, valid for a year."""
    data = (state / "keyset.cose").read_bytes()
    payload = cbor2.loads(cbor2.loads(data).value[2])
    payload[4] = client.now_ms() + 365 * 86400 * 1000
    root = ser.load_pem_private_key((state / "root" / "root.key").read_bytes(), None)
    body = cbor2.dumps(payload, canonical=True)
    protected = cbor2.dumps({1: client.alg_of(root), 4: client.key_id(root)[:16]}, canonical=True)
    signature = client.sign(root, client.alg_of(root), cbor2.dumps(["Signature", b"", protected, client.KEYSET, body]))
    (state / "keyset.cose").write_bytes(cbor2.dumps(cbor2.CBORTag(98, [b"", {}, body, [[protected, {}, signature]]])))


class Old(Server):
    """A server on a copy of a fixture; no `trothd init`."""

    def __init__(self, fixture, base):
        self.base = base
        self.base.chmod(0o711)
        self.dir = copy(fixture / "state", base / "state")
        self.env, self.process, self.log_path = dict(os.environ), None, base / "trothd.log"
        self.config = self.dir / "trothd.yaml"
        self.agents, self.operators = free_port(), free_port()
        facts = json.loads((fixture / "facts.json").read_text())
        text = self.config.read_text()
        for old, new in zip(facts["ports"], (self.agents, self.operators)):
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        self.config.write_text(text)
        self.token = (self.dir / "admin.token").read_text().strip()
        self.ca = self.dir / "keys" / "ca.crt"
        renew_keyset(self.dir)
        give_to_roles(self.dir)
        r = subprocess.run([program("trothd"), "renew-tls", "--config", str(self.config), "--host", "localhost"],
                           capture_output=True, text=True)
        assert r.returncode == 0, r.stderr


@pytest.fixture(scope="module", params=FIXTURES, ids=[p.parent.name for p in FIXTURES])
def fixture(request):
    return request.param.parent


@pytest.fixture(scope="module")
def facts(fixture):
    return json.loads((fixture / "facts.json").read_text())


@pytest.fixture(scope="module")
def old(fixture):
    base = pathlib.Path(tempfile.mkdtemp(prefix="troth-upgrade-"))
    s = Old(fixture, base).start()
    yield s
    s.stop()
    assert "level=error" not in s.read_log(), s.read_log()
    s.destroy()


def test_there_is_a_fixture():
    assert FIXTURES


def test_rows_are_all_there(old, facts):
    agents = old.api("GET", "/api/v1/agents").json()["agents"]
    assert {a["id"]: {k: a[k] for k in ("state", "heartbeats", "partition")} for a in agents} == facts["agents"]
    assert [[a["seq"], a["node_id"], a["outcome"]] for a in old.attestations(limit=100)] == facts["attestations"]
    audit = [[a["seq"], a["action"], a["outcome"]] for a in old.audit(limit=500)]
    assert audit[-len(facts["audit"]):] == facts["audit"]
    for seq, _, _ in facts["attestations"]:
        assert old.api("GET", f"/api/v1/attestations/{seq}").json()["evidence"]
    tokens = old.api("GET", "/api/v1/tokens").json()["tokens"]
    assert sorted(t["uses"] for t in tokens) == [0, facts["token_uses"]]
    assert len(old.api("GET", "/api/v1/verification-keys").json()["verification_keys"]) == 1
    assert len(old.api("GET", "/api/v1/releases").json()["releases"]) == 1
    policy = old.api("GET", "/api/v1/policy").json()
    assert facts["other_hash"] in policy["hashes"] and policy["min_version"] == "0.0.1"


def test_config_is_still_good(old):
    r = subprocess.run([program("trothd"), "check-config", "--config", str(old.config)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr


def test_enrolled_agent_still_beats(old, fixture):
    """By a certificate of the fixture's CA for the enrolled key: the one on disk may have expired long ago."""
    key = ser.load_pem_private_key((fixture / "agent" / "device.key").read_bytes(), None)
    ca_key = ser.load_pem_private_key((old.dir / "keys" / "ca.key").read_bytes(), None)
    now = int(time.time())
    agent = client.Agent(old, "fixture-1", key=key)
    agent.certificate = client.issue(ca_key, old.ca.read_bytes(), key, "spiffe://e2e.example/agent/fixture-1", now - 60,
                                     now + 3600)
    agent.partition = old.api("GET", "/api/v1/agents/fixture-1").json()["partition"]
    with agent.mtls() as c:
        assert agent.pulse(c).status == 200
    row = old.api("GET", "/api/v1/agents/fixture-1").json()
    assert row["heartbeats"] >= 1 and row["reachability"] == "live"


def test_revoked_stays_revoked(old, facts):
    gone = [i for i, a in facts["agents"].items() if a["state"] == "revoked"]
    assert gone
    stranger = client.Agent(old, gone[0], sha256=bytes.fromhex(facts["other_hash"]))
    r = stranger.register(old.make_token())
    assert r.status == 409 and r.json()["code"] == "id_taken", r


def test_new_agents_come_in(old, facts):
    a = client.Agent(old, "after-upgrade", sha256=bytes.fromhex(facts["other_hash"]))
    assert a.register(old.make_token()).status == 201
    with a.mtls() as c:
        assert a.pulse(c).status == 200


def test_second_start_changes_nothing(old, facts):
    """A migration is run once."""
    old.stop()
    old.start()
    ids = {a["id"] for a in old.api("GET", "/api/v1/agents").json()["agents"]}
    assert set(facts["agents"]) <= ids
    assert call(old.operators, "GET", "/readyz").status == 200


def issued_at(fixture):
    """When the agent's certificate was young, in the words of faketime."""
    cert = x509.load_pem_x509_certificate((fixture / "agent" / "cert.pem").read_bytes())
    return (cert.not_valid_before + datetime.timedelta(hours=25)).strftime("%Y-%m-%d %H:%M:%S")


def test_agent_state_loads(fixture, tmp_path):
    folder = copy(fixture / "agent", tmp_path / "agent")
    r = subprocess.run([program("troth-agent"), "status", "-o", "json"], capture_output=True, text=True,
                       env=dict(os.environ, TROTH_AGENT_STATE=str(folder)))
    assert r.returncode == 0, r.stderr
    status = json.loads(r.stdout)
    assert "fixture-1" in r.stdout, status
    # And what is there is used, not made anew.
    r = subprocess.run([program("troth-agent"), "init", "--id", "fixture-1"], capture_output=True, text=True,
                       env=dict(os.environ, TROTH_AGENT_STATE=str(folder)))
    assert r.returncode == 0, r.stderr
    assert (folder / "device.key").read_bytes() == (fixture / "agent" / "device.key").read_bytes()


@needs_faketime
def test_agent_certificate_is_read_at_its_time(fixture, tmp_path):
    folder = copy(fixture / "agent", tmp_path / "agent")
    r = subprocess.run([program("troth-agent"), "status"], capture_output=True, text=True,
                       env=dict(os.environ, TROTH_AGENT_STATE=str(folder), TZ="UTC", **faketime("@" + issued_at(fixture))))
    assert r.returncode == 0 and "fixture-1" in r.stdout, r
    assert not re.search("expired", r.stdout), r.stdout
