# SPDX-License-Identifier: Apache-2.0
"""docs/faults-of-the-originals.md: every test that it names is there, and those that no other file has are here. The agent is the
real one and the server a script (ordering.py), or the server is the real one and the agent a script (commanded.py)."""

import hashlib
import json
import os
import re
import sqlite3
import time

import pytest
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ed25519

import client
import keyset
import obey
import pulse
from commanded import CONFIG, Authority, Obedient, Orders
from harness import ROOT, AgentProgram
from lab import Lab
from ordering import DAY_MS, HOUR, MIN, PROBLEM, Ordering, notes
from waiting import until
from world import name

PAGE = ROOT / "docs" / "faults-of-the-originals.md"
# Printed in a design document, with its private half: see docs/kept-and-replaced.md.
PRINTED = "792d68d1c31f6c6a7820033720fb80d54bf22a8aab0382efd5deacc5122a5947"
ED25519 = bytes.fromhex("302a300506032b6570032100")
# RFC 8032 7.1, test 1: everybody can sign with it.
EXAMPLE = ed25519.Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))


# ---- the page ----

def rows():
    """[(section, cells)] of every table of the page."""
    section, found = "", []
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("|") and not line.startswith(("|--", "| fault")):
            found.append((section, [c.strip() for c in line.strip("|").split("|")]))
    return found


def defines(path, test):
    if path.suffix == ".py":
        return re.search(rf"^def {test}\(", path.read_text(), re.M)
    # A test in C counts when it is run.
    return f"cmocka_unit_test({test})" in path.read_text()


def test_every_test_of_the_table_is_there():
    named = 0
    for section, cells in rows():
        assert len(cells) == 4 and all(cells), (section, cells)
        tests = re.findall(r"`((?:[a-z]+/)?[a-z_0-9]+\.(?:py|c))::([a-z_0-9]+)`", cells[3])
        assert tests or cells[3].startswith("issue of updates"), cells
        for file, test in tests:
            src = ROOT / "src"
            paths = [p for p in [ROOT / "tests" / "e2e" / file, src / file, *src.glob(f"*/{file}")] if p.exists()]
            assert len(paths) == 1 and defines(paths[0], test), f"{file}::{test}"
            named += 1
    assert named > 170


def test_every_fault_has_its_row():
    """F-1 to F-7, the six limitations, and the lists of the mistakes not to repeat are whole."""
    found = {}
    for section, cells in rows():
        found.setdefault(section, []).append(cells[0].split(" ")[0])
    assert [f for f in found["Findings of the second audit"]] == [f"F-{i}" for i in range(1, 8)]
    assert found["The six known limitations of its rotation"] == [f"L-{i}" for i in range(1, 7)]
    assert found["Keys and commands"] == [f"K-{i}" for i in range(1, 11)]
    assert found["What every design shared"] == [f"C-{i}" for i in range(1, 9)]
    assert found["Updates"] == [f"U-{i}" for i in range(1, 15)]
    assert found["Attestation, hub and messages"] == [f"A-{i}" for i in range(1, 19)]
    assert found["Classic mistakes of verifiers"] == [f"M-{i}" for i in range(1, 22)]
    assert found["Verifiers around SecretVM"] == [f"V-{i}" for i in range(1, 12)]


# ---- the real agent ----

@pytest.fixture
def make(tmp_path):
    made = []

    def one(agent_id="web-1", server=None, **env):
        server = server or Ordering()
        server.interval = 1
        agent = server.folder(tmp_path / f"state{len(made)}", agent_id)
        agent.env.update(env)
        made.append((server, agent))
        return server, agent

    yield one
    for server, agent in made:
        agent.kill()
        server.close()
        assert not server.faults, server.faults


@pytest.fixture
def pair(make):
    server, agent = make()
    agent.start()
    server.wait(1)
    return server, agent


def order_of(data):
    return obey.read_command(pulse.open1(data, 24576)[3])[0]["order"]


def sealed_anew(server, data, **change):
    """The same command, altered and signed again."""
    f, _ = obey.read_command(pulse.open1(data, 24576)[3])
    return obey.command(change.pop("key", server.key), {**f, **change})


def test_a_command_is_for_one_agent(make):
    server, one = make()
    one.start()
    data, ident = server.command("note", text="for web-1")
    server.give(data)
    assert server.said(ident)["state"] == "done"
    one.kill()
    _, other = make("web-2", server)
    n = len(server.receipts)
    other.start()
    server.give(data)
    r = server.said(ident, after=n)
    assert (r["agent_id"], r["state"], r["code"]) == ("web-2", "refused", "wrong_agent")
    assert notes(one) == {ident.hex(): 1} and notes(other) == {}


def test_the_originals_forms_order_nothing(pair):
    """A v3, a v2 and a v1, each rightly signed by the command key: an agent has one form, and nothing older to fall back to."""
    server, agent = pair
    params, now = {"text": "x"}, int(server.clock())
    hashed = hashlib.sha256(json.dumps(params, separators=(",", ":")).encode()).hexdigest()
    rfc = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    ident = "6e0a3c1e-8c1f-4b1b-9a75-0d6f3a0c7d11"
    kid = hashlib.sha256(server.key.public_key().public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw)).hexdigest()[:32]
    for text, more in ((f"web-1:{ident}:note:{hashed}:{now}", {"agent_id": "web-1", "signed_at": rfc}),
                       (f"{ident}:note:{hashed}:{now}", {"signed_at": rfc}),
                       (f"{ident}:note:{hashed}", {"created_at": rfc})):
        n = len(server.receipts)
        server.give(json.dumps({"id": ident, "type": "note", "params": params, "key_id": kid,
                                "signature": server.key.sign(text.encode()).hex(), **more}).encode())
        assert server.said(bytes(16), after=n)["code"] == "malformed"
    assert notes(agent) == {}
    server.does("status")


def test_a_signature_lives_four_hours(pair):
    """However long its order would live, and whatever end the command itself names."""
    server, agent = pair
    now = server.now_ms()
    ident = os.urandom(16)
    order = obey.order({"trust_domain": "e2e.example", "agent_id": "web-1", "cmd_id": ident, "cmd": "note",
                        "ordered_ms": now - MIN, "expires_ms": now + 3 * HOUR, "text": "x"})
    f = {"order": order, "epoch": 1, "line": server.line, "seq": 50, "issued_ms": now - 4 * HOUR - MIN,
         "expires_ms": now + 3 * HOUR, "keyset_epoch": 1, "revocation": 0,
         "approvals": [server.approval(server.operators[0], order, now)]}
    server.give(obey.command(server.key, f))
    assert server.said(ident)["code"] == "too_old"
    assert notes(agent) == {}


def test_a_failed_fetch_is_no_other_key(pair):
    """The chain cannot be fetched: what the next key signed is refused, under whatever name, and remembered of nobody. With the
    keyset it is obeyed, without a restart."""
    server, agent = pair
    old, new = server.key, client.make_key("ed25519")
    server.wait_s = 0
    server.on_chain = lambda after: (503, PROBLEM, b"{}")
    data, ident = server.command("note", key=new, text="by the next key")
    server.give(data)
    assert server.said(ident)["code"] == "unknown_key"
    # The primary's signature under the next one's name: the original took it, and remembered it so.
    protected, _, _, payload, _ = pulse.open1(server.command("note", text="disguised")[0], 24576)
    protected = pulse.encode({1: pulse.ED25519, 4: pulse.kid(new)})
    signature = old.sign(pulse.tbs_of(protected, obey.COMMAND, payload))
    disguised = pulse.encode(pulse.cbor2.CBORTag(18, [protected, {}, payload, signature]))
    of = obey.read_order(obey.read_command(payload)[0]["order"])["cmd_id"]
    server.give(disguised)
    assert server.said(of)["code"] == "unknown_key"
    server.does("note", text="the primary's own go on")
    server.on_chain = None
    server.publish(commands=[old, new])
    assert server.does("refresh-keyset")["keyset_epoch"] == 2  # it would by itself, in at most some minutes
    n = len(server.receipts)
    server.give(data)  # the very same bytes
    assert server.said(ident, after=n)["state"] == "done"
    server.give(disguised)
    assert server.said(of, after=n)["code"] == "bad_signature"
    assert len(notes(agent)) == 2 and of.hex() not in notes(agent)


def retire(server, key, no_sign_after_ms, drop=False):
    """The next keyset says when this key ends, or names it no more."""
    f = keyset.parse(keyset.open_object(server.keysets[-1])[0])
    f.update(epoch=f["epoch"] + 1, prev_digest=keyset.digest(server.keysets[-1]))
    for k in f["keys"]:
        if k["key"] == keyset.spki(key):
            k["no_sign_after_ms"] = no_sign_after_ms
    f["keys"] = [k for k in f["keys"] if not (drop and k["key"] == keyset.spki(key))]
    with server.news:
        server.keysets.append(keyset.sign(keyset.payload(f), [server.root]))
        server.news.notify_all()


def test_a_retired_key_ends_with_its_grace(pair):
    """What was under way when the key was retired is obeyed for four hours; what it signs later never is; nothing is kept of it."""
    server, agent = pair
    old, new = server.key, client.make_key("ed25519")
    server.publish(commands=[old, new])
    now = server.now_ms()
    retire(server, old, now - 20_000)
    under_way, ident = server.command("note", text="under way", at=now - 30_000)
    server.give(under_way)
    assert server.said(ident)["state"] == "done"
    server.refuses("note", "retired_key", text="afterwards")
    # Four hours later: one that was signed in time, has still an hour to live, and waited for its hour to begin.
    retire(server, old, now - 4 * HOUR - 5_000)
    at = now - 5 * HOUR
    waited, ident = server.command("note", text="waited", at=at, not_before_ms=now - HOUR, life=2 * HOUR)
    server.give(waited)
    assert server.said(ident)["code"] == "retired_key"
    # Not in the keyset any more: unknown at once, and after a restart.
    retire(server, old, 0, drop=True)
    server.refuses("note", "unknown_key", text="x")
    agent.kill()
    n = len(server.pulses)
    agent.start()
    server.wait(n + 1)
    server.refuses("status", "unknown_key")
    server.key = new
    server.does("note", text="the next one's")
    assert len(notes(agent)) == 2


def test_a_forged_id_blocks_nothing(pair):
    """Whoever guesses an id and a number takes neither away from the one that is rightly signed."""
    server, agent = pair
    data, ident = server.command("note", text="genuine")
    stranger = client.make_key("ed25519")
    broken = bytearray(data)
    broken[-1] ^= 1
    forged = [sealed_anew(server, data, key=stranger), bytes(broken),
              server.command("note", key=stranger, cmd_id=ident, seq=server.seq, text="something else")[0]]
    for f in forged:
        n = len(server.receipts)
        server.give(f)
        assert server.said(ident, after=n)["code"] in ("unknown_key", "bad_signature")
    n = len(server.receipts)
    server.give(data)
    assert server.said(ident, after=n)["state"] == "done"
    assert (agent.state / "notes.log").read_text().count("genuine") == 1 and notes(agent) == {ident.hex(): 1}


@pytest.mark.parametrize("word", ["disabled", "warning", "off", "Strict", ""])
def test_no_word_turns_it_off(make, word):
    """There is no mode in which signatures are not verified, and no variable of anybody makes one."""
    server, agent = make(REDFLAG_AGENT_COMMAND_ENFORCEMENT_MODE=word, REDFLAG_AGENT_COMMAND_SIGNING_ENABLED="false",
                         TROTH_COMMAND_ENFORCEMENT_MODE=word, TROTH_AGENT_COMMAND_SIGNING_ENABLED="false")
    agent.start()
    server.refuses("note", "unknown_key", key=client.make_key("ed25519"), text="x")
    data, ident = server.command("note", text="x")
    server.give(data[:-64] + bytes(64))
    assert server.said(ident)["code"] == "bad_signature"
    assert notes(agent) == {}


def test_a_stale_grace_out_of_bounds_is_refused(make):
    server, agent = make()
    for hours in ("0", "721", "-1", "for ever"):
        assert agent.do("configure", "--stale-key-hours", hours).returncode == 1, hours
    conf = agent.state / "agent.json"
    whole = conf.read_text()
    for bad in (721, 10**9, "168h", -1):
        conf.write_text(json.dumps({**json.loads(whole), "stale_key_hours": bad}))
        assert agent.do("run").returncode == 4, bad
    conf.write_text(whole)
    agent.start()
    server.does("status")


def test_a_signature_is_for_one_thing(pair):
    """The same keys over the same bytes, said to be something else."""
    server, agent = pair
    data, ident = server.command("note", text="x")
    payload = pulse.open1(data, 24576)[3]
    for domain in (obey.APPROVAL, obey.RECEIPT, b"troth/pulse/v1", b"troth/time/v1", b"troth/release/v1", b""):
        n = len(server.receipts)
        server.give(pulse.sign1(server.key, domain, payload))
        assert server.said(ident, after=n)["code"] == "bad_signature", domain
    # A key that may do something else: an operator, a root, the CA.
    for key in (server.operators[0], server.root, server.ca_key):
        n = len(server.receipts)
        server.give(pulse.sign1(key, obey.COMMAND, payload))
        assert server.said(ident, after=n)["code"] == "unknown_key"
    # An operator's signature over a command is no approval, and neither is the command key's over an approval.
    order = order_of(data)
    as_command = pulse.sign1(server.operators[0], obey.COMMAND, pulse.open1(
        server.approval(server.operators[0], order, server.now_ms()), 8192)[3])
    for wrong in (as_command, server.approval(server.key, order, server.now_ms())):
        n = len(server.receipts)
        server.give(sealed_anew(server, data, approvals=[wrong], seq=server.seq + 10))
        server.seq += 20
        assert server.said(ident, after=n)["code"] == "approval_invalid"
        data, ident = server.command("note", text="x")
        order = order_of(data)
    assert notes(agent) == {}


def test_a_pin_that_is_none_is_not_passed_over(make):
    """The original's installer wrote 64 digits where the agent wanted 32 bytes, and went on without a pin."""
    server, agent = make()
    for root in ("ab" * 31, "ab" * 32 + "0", "zz" * 32, "ab" * 16):
        r = agent.do("enroll", "--server", f"https://localhost:{server.port}", "--root", root)
        assert r.returncode in (1, 4) and "64 hex digits" in r.stderr, r
    r = agent.do("enroll", "--server", f"https://localhost:{server.port}", TROTH_TOKEN="trt_" + "A" * 22)
    assert r.returncode != 0 and server.connections == 0
    conf = agent.state / "agent.json"
    whole = conf.read_text()
    for bad in ("ab" * 31, "zz" * 32, 7):
        conf.write_text(json.dumps({**json.loads(whole), "root": bad}))
        assert agent.do("run").returncode == 4, bad
    assert server.connections == 0
    conf.write_text(whole)


# ---- the real server ----

@pytest.fixture
def agent(authority):
    a = Obedient(authority, authority.server.make_token(max_uses=2))
    yield a
    a.down()


def test_first_trust_is_shown_and_logged(authority, tmp_path):
    server = authority.server
    agent = AgentProgram(tmp_path / "state")
    assert agent.do("init", "--id", name("host")).returncode == 0
    r = agent.do("enroll", "--server", f"https://localhost:{server.agents}", TROTH_TOKEN=server.make_token())
    assert r.returncode == 0 and f"sha256:{server.pin}" in r.stdout, r
    assert server.pin in server.init_output and f"event=ready agents=0 root={server.pin}" in server.read_log()
    agent.start()
    try:
        agent.wait_for("event=agent_started")
        assert f"root={server.pin}" in agent.log()
    finally:
        agent.kill()


def test_no_keyset_no_trust(authority, make, tmp_path):
    """Its keyset cannot be fetched: nothing is sent, nothing is kept, and the same token is good afterwards."""
    server, token = authority.server, authority.server.make_token()
    away, _ = make()
    asked = []
    away.other = lambda method, path, body, peer: asked.append((method, path)) or (503, PROBLEM, b"{}")
    agent = AgentProgram(tmp_path / "fresh")
    assert agent.do("init", "--id", name("host")).returncode == 0
    r = agent.do("enroll", "--server", f"https://localhost:{away.port}", TROTH_TOKEN=token)
    assert r.returncode not in (0, None) and "enrolled" not in r.stdout, r
    assert asked and {path.split("=")[0] for _, path in asked} <= {"/api/v1/keyset/chain?after"}
    assert not (agent.state / "keyset.cose").exists() and not (agent.state / "cert.pem").exists()
    assert agent.do("run").returncode != 0
    r = agent.do("enroll", "--server", f"https://localhost:{server.agents}", TROTH_TOKEN=token)
    assert r.returncode == 0, r.stderr


PARAMETERS = {"note": {"text": "x"}, "set-interval": {"seconds": 30}}


def test_every_command_ends(authority, orders, agent):
    """Whatever is ordered and however: its end is signed, and no further away than its type allows."""
    sent = orders.order("reattest", agent)
    agent.said(agent.one(), "received")
    made = [orders.order(kind, agent, **PARAMETERS.get(kind, {})) for kind in obey.TYPES if kind != "cancel"]
    order_bytes = [orders.bytes(c["id"]) for c in made if c["class"] != "read"]
    for key in authority.operators:
        authority.approve(key, *order_bytes)
    assert orders.change(sent["id"], "cancel").status in (200, 201)
    seen = {}
    while got := agent.fetch():
        for c in got:
            _, f, o = c
            longest = obey.TYPES[o["cmd_name"]][3]
            assert f["issued_ms"] < f["expires_ms"] <= min(o["expires_ms"], f["issued_ms"] + 4 * HOUR)
            assert o["expires_ms"] - o["ordered_ms"] <= longest
            seen[o["cmd_name"]] = True
            agent.said(c, "failed", "too_late")
    assert set(seen) == set(obey.TYPES)
    for c in made:
        assert orders.get(c["id"])["expires_at"]
    r = orders.post("status", [agent], expires_s=301)
    assert r.status in (400, 422), r


def test_a_retry_is_signed_anew(authority, orders, agent):
    """A fresh id, number, time and signature, by the one function that signs; what needed agreement needs it again."""
    c = orders.order("note", agent, text="x")
    authority.approve(authority.operators[0], orders.bytes(c["id"]))
    first = agent.one()
    agent.said(first, "failed", "note_not_written")
    (again,) = orders.change(c["id"], "retry").json()["commands"]
    assert again["state"] == "waiting" and agent.fetch() == []
    authority.approve(authority.operators[0], orders.bytes(again["id"]))
    second = agent.one()  # which has verified it
    assert second[2]["cmd_id"] != first[2]["cmd_id"] and second[1]["seq"] > first[1]["seq"]
    assert second[2]["ordered_ms"] >= first[2]["ordered_ms"] and second[1]["issued_ms"] > first[1]["issued_ms"]
    assert second[0] != first[0] and second[1]["approvals"] != first[1]["approvals"]


def test_a_receipt_counts_for_its_agent_alone(authority, orders, agent):
    """Agent B has seen A's command, and says that it is done: A's command stays where it is, and people hear of it."""
    other = Obedient(authority, authority.server.make_token())
    c = orders.order("status", agent)
    got = agent.one()
    assert other.fetch() == []
    r = other.send(other.receipt(got, "done", agent_id=agent.node_id))
    assert (r.status, r.json()["code"]) == (403, "wrong_agent")
    other.send(other.receipt(got, "done"))
    assert until(lambda: orders.alerts("command_foreign", other))
    assert orders.state(c["id"]) in ("pending", "sent") and not orders.get(c["id"])["ended_at"]
    agent.said(got, "done")
    assert orders.state(c["id"]) == "done"
    other.down()


def test_who_asks_says_the_certificate(authority, orders, agent):
    """No header and no word of the message makes one agent another: what is another's is not given out."""
    other = Obedient(authority, authority.server.make_token())
    c = orders.order("status", agent)
    headers = {"X-Agent-ID": agent.node_id, "X-Machine-ID": agent.node_id, "X-Agent-Version": "99.0.0", "X-Update-Nonce": "x"}
    r = other.up().request("GET", "/api/v1/agent/commands?wait=0", headers=headers)
    assert r.status == 200 and obey.read_delivery(r.body)["commands"] == []
    r = other.up().request("GET", f"/api/v1/agent/commands?wait=0&agent={agent.node_id}", headers=headers)
    assert r.status == 400 or obey.read_delivery(r.body)["commands"] == []
    got = agent.one()
    assert got[2]["cmd_id"].hex() == c["id"]
    agent.said(got, "done")
    other.down()


def test_odd_key_ids_harm_nobody(authority):
    """Fingerprints of every wrong length, where the original took a slice of what was not there."""
    server = authority.server
    pids = server.roles()
    for ident in ("0", "ab" * 4, "792d68d1c31f6c6a", "ab" * 16, "ab" * 32, "ab" * 33, "zz" * 32, "%00", "..", "-1", "a" * 600):
        for how in ("promote", "retire", "revoke"):
            r = server.api("POST", f"/api/v1/admin/keys/{ident}/{how}", {"reason": "x"})
            assert 400 <= r.status < 500, (ident, r)
        assert 400 <= server.api("GET", f"/api/v1/admin/keys/{ident}/adoption").status < 500
    for key in (b"", bytes(8), bytes(32), os.urandom(64), ED25519 + bytes(8)):
        f = authority.fields()
        f.update(epoch=f["epoch"] + 1, prev_digest=keyset.digest(authority.bytes()), issued_ms=client.now_ms(),
                 keys=f["keys"] + [{"role": "command", "key": key}])
        data = keyset.sign(keyset.payload(f), [authority.root])
        r = server.api("POST", "/api/v1/keyset", {"keyset": client.b64(data)})
        assert r.status in (400, 403) and r.json()["code"] in ("malformed", "keyset_refused"), r
    assert server.roles() == pids


def test_a_key_that_was_printed_is_refused(authority, make):
    """By the server that should publish it, and by the agent whose keyset names it, roots or not."""
    for raw in (PRINTED, EXAMPLE.public_key().public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw).hex()):
        f = authority.fields()
        f.update(epoch=f["epoch"] + 1, prev_digest=keyset.digest(authority.bytes()), issued_ms=client.now_ms(),
                 keys=f["keys"] + [{"role": "command", "key": ED25519 + bytes.fromhex(raw)}])
        data = keyset.sign(keyset.payload(f), [authority.root])
        r = authority.server.api("POST", "/api/v1/keyset", {"keyset": client.b64(data)})
        assert (r.status, r.json()["code"]) == (403, "keyset_refused") and "published" in r.json()["detail"], r
    server, agent = make()
    server.publish(commands=[server.key, EXAMPLE])
    agent.start()
    assert server.does("refresh-keyset")["keyset_epoch"] == 2
    server.refuses("note", "bad_signature", key=EXAMPLE, text="x")
    assert notes(agent) == {}


# ---- servers that are stopped, altered and started ----

def sql(server, statement, *values):
    db = sqlite3.connect(server.dir / "troth.db")
    with db:
        changed = db.execute(statement, values).rowcount
    db.close()
    return changed


def states(server):
    keys = server.api("GET", "/api/v1/admin/keys").json()["keys"]
    return [k["state"] for k in keys if k["role"] == "command"]


@pytest.mark.parametrize("how", ["revoked", "retired"])
def test_a_restart_promotes_nothing(make_server, how):
    """The only key is no primary any more, by the API or by SQL: after a restart nothing signs, and it is said."""
    server = make_server(config=CONFIG).start()
    authority, orders = Authority(server), Orders(server)
    agent = Obedient(authority, server.make_token())
    if how == "revoked":
        (key,) = [k for k in server.api("GET", "/api/v1/admin/keys").json()["keys"] if k["role"] == "command"]
        assert server.api("POST", f"/api/v1/admin/keys/{key['id']}/revoke", {"reason": "drill"}).status == 200
    server.stop()
    if how != "revoked":
        assert sql(server, "UPDATE skeys SET state = ? WHERE role = 'command'", how) == 1
    server.start()
    assert states(server) == [how]
    r = orders.post("status", [agent])
    assert (r.status, r.json()["code"]) == (503, "no_command_key")
    assert agent.fetch() == []
    agent.down()


def test_sql_lengthens_no_life(make_server):
    """Who writes other ends into the store, as the original's migration did: the end that counts is signed."""
    server = make_server(config=CONFIG).start()
    authority, orders = Authority(server), Orders(server)
    agent = Obedient(authority, server.make_token())
    c = orders.order("status", agent, expires_s=2)
    end = time.time() + 2
    server.stop()
    assert sql(server, "UPDATE commands SET expires_at = expires_at + ?", DAY_MS) == 1
    server.start()
    time.sleep(max(0, end - time.time()) + 0.1)
    given = obey.read_delivery(agent.ask().body)["commands"]
    for data in given:  # handed out or not, nobody obeys it
        why, *_ = obey.verify_command(data, {"trust_domain": "e2e.example", "agent_id": agent.node_id, "epoch": 1,
                                             "keyset": authority.fields(), "now_ms": client.now_ms()})
        assert why == "expired"
    assert orders.get(c["id"])["state"] != "done"
    agent.down()


@pytest.mark.parametrize("word", ["disabled", "warning", "strict", "Sign", "'on'", "true"])
def test_an_unknown_word_refuses_to_start(make_server, word):
    server = make_server(config=CONFIG + f"compat:\n  original_commands: {word}\n")
    server.start(wait=False)
    assert server.process.wait(10) not in (0, -6, -11)
    said = server.read_log()
    assert "compat.original_commands must be off or sign" in said and "event=ready" not in said


# ---- evidence ----

def test_no_word_makes_a_text_a_quote(monkeypatch):
    """What the original hub took for a quote: JSON with the right names, and words in the environment that ask for no more."""
    for word in ("MOCK_TEE_ATTESTATION", "DEVELOPMENT_MODE", "TEE_SIMULATION", "SKIP_ATTESTATION"):
        monkeypatch.setenv(word, "true")
    lab = Lab()
    try:
        a = lab.agent()
        for text in ({"mr_enclave": "aa" * 32, "mr_signer": "bb" * 32, "report_data": "00" * 64, "is_debug": False},
                     {"quote": "mock", "mrtd": "aa" * 48}):
            with a.mtls() as c:
                r = a.attest(c, quote=json.dumps(text).encode().ljust(1020))
            assert r.status == 403 and r.json()["code"].startswith("quote_"), r
            assert lab.world.agent(a.node_id)["attestation"] is None
        # The same agent, by a quote.
        assert a.attest().status == 201
    finally:
        lab.server.destroy()
