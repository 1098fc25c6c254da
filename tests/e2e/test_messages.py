# SPDX-License-Identifier: Apache-2.0
"""TE-5, TE-6: attested agents find each other and exchange messages that nobody between them can read; who is revoked is out."""

import base64
import datetime
import hashlib
import json
import os
import socket
import time

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.x509.oid import NameOID

import client
import messages
import simtee
from harness import call, context
from meeting import Lab, PythonPeer, until
from world import name


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("fleet"))
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def alice(lab):
    return lab.peer("alice", capabilities=["search"])


@pytest.fixture(scope="module")
def bob(lab):
    return lab.peer("bob")


@pytest.fixture(scope="module")
def mute(lab):
    """Nobody can call it."""
    return lab.peer("mute", endpoint=False)


@pytest.fixture(scope="module")
def python(lab):
    return PythonPeer(lab, "python")


def code(got):
    return got[0], got[1].get("code")


def refused(r):
    return r.status, r.json()["code"]


# ---- between programs ----

def test_direct_and_by_mailbox(alice, bob, mute):
    for to, via, expect in ((bob, None, "direct"), (bob, "mailbox", "mailbox"), (mute, None, "mailbox")):
        fields = {"via": via} if via else {}
        status, sent = alice.send(to, b"to " + to.ident.encode(), **fields)
        assert (status, sent["via"]) == (202, expect), sent
        got, = to.take()
        assert (got["id"], got["from"], got["body"], got["via"]) == (sent["id"], "alice", b"to " + to.ident.encode(), expect)
    assert code(alice.send(mute, b"x", via="direct")) == (409, "no_endpoint")
    # What was refused has taken no number, so nobody looks for it.
    assert alice.send(mute, b"y")[1]["seq"] == sent["seq"] + 1
    mute.take()
    status, sent = bob.send(alice, b"", answers=got["id"], type="troth/ack", ttl_s=60)
    answer, = alice.take()
    assert (answer["answers"], answer["type"], answer["body"]) == (got["id"], "troth/ack", b"")


def test_the_longest_message(alice, bob):
    body = os.urandom(65536)
    for via in ("direct", "mailbox"):
        assert alice.send(bob, body, via=via)[0] == 202
        assert bob.take()[0]["body"] == body
    assert code(alice.send(bob, body + b"x")) == (400, "malformed")


def test_the_commands(alice, bob, tmp_path):
    (tmp_path / "text").write_text("by the command line")
    sent = alice.do("send", "bob", str(tmp_path / "text"), "--type", "text/plain")
    assert sent.returncode == 0 and sent.stdout.split()[1] == "direct", sent.stderr
    got = bob.do("receive", "--wait", "10", "--ack")
    assert got.returncode == 0 and "from: alice" in got.stdout and got.stdout.endswith("by the command line\n"), got
    assert bob.receive() == []
    shown = alice.do("peers", "bob")
    assert shown.returncode == 0 and "its TEE is simulated" in shown.stdout, shown
    assert json.loads(alice.do("peers", "-o", "json").stdout)["peers"]
    nobody = alice.do("send", "nobody", str(tmp_path / "text"))
    assert nobody.returncode == 2 and "peer_unknown" in nobody.stderr
    away = alice.do("receive", "--socket", str(tmp_path / "none"))
    assert away.returncode == 3 and "peer.json" in away.stderr


def test_an_application_waits_for_a_message(alice, bob):
    began = time.monotonic()
    assert bob.receive(wait=1) == [] and time.monotonic() - began > 0.9
    alice.send(bob, b"soon", via="mailbox")
    assert bob.take(wait=20)[0]["body"] == b"soon"
    assert bob.ack({"id": "00" * 16}) == (200, {"acknowledged": 0})


def test_many_messages_in_order_each_once(alice, bob):
    want = [b"%d" % i for i in range(40)]
    for i, body in enumerate(want):
        assert alice.send(bob, body, via="mailbox" if i % 3 else "direct")[0] == 202
    got = []
    while len(got) < len(want):
        more = bob.take()
        assert more, got
        got += more
    assert sorted(m["seq"] for m in got) == list(range(min(m["seq"] for m in got), max(m["seq"] for m in got) + 1))
    assert sorted(m["body"] for m in got) == sorted(want)
    assert bob.api("GET", "/v1/peers/alice")[1]["missing"] == 0


# ---- with another implementation ----

def test_python_to_the_program(python, alice):
    direct = python.hand(alice, python.seal(alice, b"by hand"))
    assert direct.status == 202, direct
    assert python.mail(alice, python.seal(alice, b"by mail")).status == 202
    got = []
    until(lambda: got.extend(alice.take()) or len(got) == 2)
    assert {(m["body"], m["via"], m["from"]) for m in got} == {(b"by hand", "direct", "python"), (b"by mail", "mailbox", "python")}


def test_the_program_to_python(python, alice):
    status, sent = alice.send("python", b"read this")
    assert (status, sent["via"]) == (202, "mailbox")
    (number, sender, envelope), = python.fetch()
    m = python.open(envelope)
    assert sender == "alice" and number > 0
    assert (m["body"], m["sender"], m["id"].hex(), m["type"]) == (b"read this", "alice", sent["id"], "text/plain")
    r = python.hub("POST", "/api/v1/mailbox-acks", json.dumps({"ids": hashlib.sha256(envelope).hexdigest()[:32]}).encode(),
                   {"Content-Type": "application/json"})
    assert r.status == 200 and python.fetch(0) == []


def test_a_pre_key_that_was_published_since(lab, alice):
    """Met before its first one: whoever writes to it asks the hub again, and does not wait for what it knows to age."""
    class Late(PythonPeer):
        late = True

        def publish(self, **change):
            if not self.late:
                super().publish(**change)

    late = Late(lab)
    assert alice.api("GET", f"/v1/peers/{late.ident}")[0] == 200
    status, no = alice.send(late, b"too early")
    assert (status, no["code"]) == (409, "no_prekey"), no
    late.late = False
    late.publish()
    assert alice.send(late, b"in time")[0] == 202


def test_the_hub_cannot_read_it(lab, python, alice):
    secret = b"nobody else knows this sentence"
    python.mail(alice, python.seal(alice, secret))
    assert alice.take()[0]["body"] == secret
    for path in lab.server.dir.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    assert secret not in (alice.state / "messages.cbor").read_bytes()


# ---- what a recipient refuses ----

def test_each_refusal_has_its_code(lab, python, alice, bob):
    key, pre, _ = python.read_peer("alice")
    now = int(time.time())

    def sealed(**change):
        return messages.seal(python.message("alice", b"x", **change), python.key, pre["key"])

    other = client.make_key("ed25519")
    good = sealed()
    cases = {
        "malformed": (400, good[:-1]),
        "bad_signature": (403, messages.seal(python.message("alice", b"x"), other, pre["key"])),
        "expired": (410, sealed(issued=now - 20, expires=now - 10)),
        "not_yet": (400, sealed(issued=now + 4000, expires=now + 5000)),
        "prekey_unknown": (404, messages.seal(python.message("alice", b"x"), python.key,
                                              messages.raw(x25519.X25519PrivateKey.generate().public_key()))),
        "too_old": (409, sealed(issued=now - 86000, expires=now + 300)),
    }
    for want, (status, envelope) in cases.items():
        assert refused(python.hand(alice, envelope)) == (status, want)
    # For another agent; of another sender; passed on: sealed anew by somebody who could open it.
    assert refused(python.hand(bob, good)) == (403, "wrong_agent")
    assert refused(python.hand(alice, messages.seal({**python.message("alice", b"x"), "sender": "bob"}, python.key, pre["key"]))) == (
        403, "wrong_agent")
    first = python.hand(alice, good)
    again = python.hand(alice, good)
    assert (first.status, again.status) == (202, 200) and first.json() == again.json()
    assert len(alice.take()) == 1 and alice.receive(wait=1) == []
    old = python.message("alice", b"x")
    python.number += 5
    assert python.hand(alice, messages.seal(python.message("alice", b"new line"), python.key, pre["key"])).status == 202
    assert refused(python.hand(alice, messages.seal(old, python.key, pre["key"]))) == (409, "old_line")
    alice.take()


def test_who_may_call(lab, python, alice):
    envelope = python.seal(alice, b"x")
    bare = call(alice.port, "POST", "/messages", envelope, {}, context())
    assert refused(bare) == (401, "client_certificate_required")
    stranger = client.make_key("ed25519")
    r = python.hand(alice, envelope, *self_signed(stranger))
    assert refused(r) == (401, "client_certificate_invalid")
    assert refused(call(alice.port, "GET", "/", None, {}, context())) == (404, "not_found")
    assert refused(call(alice.port, "PUT", "/messages", b"", {}, context())) == (405, "method_not_allowed")
    # Refused by its length, before anything of it is read.
    with client.Connection(alice.port, None, python.certificate, python.key) as c:
        assert refused(c.request("POST", "/messages", None, {"Content-Length": "73729"})) == (413, "body_too_large")


def self_signed(key):
    n = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent python")])
    now = datetime.datetime.utcnow()
    cert = (x509.CertificateBuilder().subject_name(n).issuer_name(n).public_key(key.public_key()).serial_number(7)
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://e2e.example/agent/python")]), False)
            .sign(key, None))
    return cert.public_bytes(ser.Encoding.PEM).decode(), key


def test_evidence_for_who_asks(lab, alice):
    for n in (16, 48):
        challenge = os.urandom(n)
        asked = base64.urlsafe_b64encode(challenge).decode().rstrip("=")
        r = call(alice.port, "GET", f"/attestation?challenge={asked}", None, {}, context())
        assert r.status == 200, r
        got = r.json()
        key = ser.load_pem_public_key(got["public_key"].encode())
        quote = base64.b64decode(got["quote"])
        assert base64.b64decode(got["challenge"]) == challenge and got["kind"] == "tdx" and got["agent_id"] == "alice"
        assert simtee.report_data(challenge, client.spki(key)) in quote
        assert cbor2.loads(base64.b64decode(got["evidence"]))[2] == quote
        assert client.public_pem(key) == (alice.state / "device.pub").read_text()
    for bad in ("", "?challenge=", "?challenge=AAAA", "?challenge=" + "A" * 200):
        r = call(alice.port, "GET", "/attestation" + bad, None, {}, context())
        assert refused(r) == (400, "challenge_missing"), bad


def test_nobody_registers_with_evidence_that_the_agent_made_for_who_asked(lab, alice):
    """A copy of the folder elsewhere has the key, not the TEE: it has the original quote for the server's challenge."""
    key = ser.load_pem_private_key((alice.state / "device.key").read_bytes(), None)
    with client.Connection(lab.server.agents, lab.server.ca.read_bytes(), (alice.state / "cert.pem").read_text(), key) as conn:
        challenge = conn.challenge()
        asked = base64.urlsafe_b64encode(challenge).decode().rstrip("=")
        r = call(alice.port, "GET", f"/attestation?challenge={asked}", None, {}, context())
        got = r.json()
        data = {k: got.get(k) for k in ("quote", "kind", "evidence")}
        body = {"agent_id": "alice", "agent_type": got.get("agent_type", "agent"),
                "attestation_data": {**data, "public_key": client.public_pem(key), "challenge": client.b64(challenge)}}
        relayed = conn.request("POST", "/api/v1/agents/register", json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert relayed.status != 201, relayed
    assert refused(r) == (400, "challenge_reserved")


# ---- trust in peers ----

def test_evidence_judged_by_the_recipient_itself(lab, alice):
    good, bad = lab.folder / "good.json", lab.folder / "bad.json"
    (lab.folder / "bundle").write_bytes(lab.bundle)
    good.write_text(lab.policy)
    bad.write_text(lab.policy.replace(lab.root, "00" * 32))
    one = lab.peer(name("wary"), verify="evidence", policy=str(good), collateral=str(lab.folder / "bundle"))
    assert one.send(alice, b"judged")[0] == 202 and alice.take()[0]["body"] == b"judged"
    assert one.api("GET", "/v1/peers/alice")[1]["verified_by"] == "evidence"
    # Another root is trusted there: alice is as little believed as a stranger, in both directions.
    good.write_text(bad.read_text())
    until(lambda: code(one.send(alice, b"x")) == (403, "peer_evidence_refused") if one.ready() else None)
    alice.take()
    alice.send(one, b"not taken", via="mailbox")
    until(lambda: "code=sender_not_believed" in one.log())
    assert one.receive() == []
    one.kill()


def test_only_whom_the_file_allows(lab, alice, bob):
    choosy = lab.peer(name("choosy"), allow=["alice"])
    assert alice.send(choosy, b"hello")[0] == 202
    assert choosy.take()[0]["from"] == "alice"
    assert code(bob.send(choosy, b"hello", via="direct")) == (403, "sender_not_believed")
    assert code(choosy.send(bob, b"hello")) == (403, "peer_not_believed")
    choosy.write_conf(allow=["type:lab"])
    until(lambda: bob.send(choosy, b"hello")[0] == 202 if choosy.ready() else None)
    assert choosy.take()[0]["from"] == "bob"
    choosy.write_conf(allow=["bob"], unknown_word=True)
    choosy.wait_for("peer_not_started")
    assert "a member is not known" in choosy.log()
    choosy.kill()


def test_a_stranger_does_not_use_up_what_the_hub_answers(lab, alice, python):
    """Everybody with a certificate may call. The hub answers a hundred questions of an agent at once, and ten each second."""
    choosy = lab.peer(name("choosy"), allow=["alice"])
    envelope = python.seal(choosy, b"nobody asked for this")
    for _ in range(160):
        assert python.hand(choosy, envelope).status == 403
    assert code(choosy.api("GET", f"/v1/peers/{name('nobody')}")) == (404, "peer_unknown")
    assert choosy.send(alice, b"hello")[0] == 202 and alice.take()
    choosy.kill()


# ---- lives ----

def test_nothing_is_lost_or_taken_twice_over_restarts(lab, python):
    carol = lab.peer("carol")
    envelope = python.seal(carol, b"before")
    assert python.hand(carol, envelope).status == 202
    carol.process.kill()
    carol.process.wait()
    # To somebody who is away, and the hub restarts meanwhile.
    late = [python.seal("carol", b"while away %d" % i) for i in range(3)]
    assert [python.mail("carol", e).status for e in late] == [202] * 3
    assert [python.mail("carol", e).status for e in late] == [200] * 3
    lab.server.kill()
    lab.server.start()
    carol.up()
    got = []
    until(lambda: (got.extend(carol.receive(1)), len({m["id"] for m in got}) == 4)[1])
    assert {m["body"] for m in got} == {b"before", b"while away 0", b"while away 1", b"while away 2"}
    carol.take()
    assert [python.hand(carol, e).status for e in (envelope, *late)] == [200] * 4
    assert carol.receive(wait=1) == []
    # The peer's own process dies: its parent starts another one.
    pids = [int(p) for p in os.popen(f"pgrep -f 'peer --state {carol.state}'").read().split()]
    before = carol.log().count("event=peer_started")
    for pid in pids[1:2]:
        os.kill(pid, 9)
    until(lambda: carol.log().count("event=peer_started") > before)
    until(lambda: python.hand(carol, python.seal(carol, b"after")).status == 202 if carol.ready() else None)
    assert carol.take()[0]["body"] == b"after"
    lab.made.remove(carol)
    carol.kill()


def test_messages_expire(lab, alice, bob):
    assert alice.send(bob, b"quick", ttl_s=3)[0] == 202
    until(lambda: bob.receive())
    until(lambda: not bob.receive())
    assert code(alice.send(bob, b"x", ttl_s=86401)) == (400, "malformed")


def test_revoked_is_out_at_once(lab, alice, bob):
    """TE-5: discovery and mailbox at once, direct messages within one beat."""
    eve = PythonPeer(lab, name("eve"))
    carol = lab.peer(name("carol"))
    assert carol.send(alice, b"still trusted")[0] == 202 and alice.take()
    ready = eve.seal(alice, b"sealed before")
    assert eve.hand(alice, eve.seal(alice, b"hello")).status == 202 and alice.take()
    for who in (eve.ident, carol.ident):
        assert lab.server.api("POST", f"/api/v1/agents/{who}/revoke", {"reason": "test"}).status == 200
    assert code(alice.api("GET", f"/v1/peers/{eve.ident}")) == (404, "peer_unknown")
    assert refused(eve.mail(alice, ready))[0] == 403
    assert code(bob.send(eve.ident, b"x"))[1] == "peer_unknown"
    began = time.monotonic()
    assert eve.hand(alice, ready).status == 403
    until(lambda: refused(eve.hand(alice, ready)) == (403, "agent_revoked"), 5)
    assert time.monotonic() - began < 3.5, "beats are of one second"
    assert alice.receive() == []
    assert code(carol.send(alice, b"x", via="direct"))[0] in (401, 403)
    carol.kill()


# ---- the socket ----

def test_the_socket_takes_nothing_but_requests(alice):
    path = alice.state / "agent.sock"
    assert path.stat().st_mode & 0o777 == 0o660
    for sent, want in ((b"GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n", b" 200 "), (b"garbage\r\n\r\n", b" 400 "),
                       (b"GET /v1/status HTTP/1.1\nHost: a\n\n\r\n\r\n", b" 400 "),
                       (b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", b" 404 "),
                       (b"GET /v1/messages?wait=soon HTTP/1.1\r\nHost: a\r\n\r\n", b" 400 "),
                       (b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", b" 400 "),
                       (b"POST /v1/messages/ack HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n{\"ids\":[1]}", b" 400 "),
                       (b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}{}", b" 400 "),
                       (b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n", b" 413 "),
                       (b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b" 4"),
                       (b"GET /v1/status HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n", b" 431 ")):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(path))
            s.sendall(sent)
            got = s.recv(65536)
            assert want in got[:16], (sent[:60], got)
    assert alice.api("GET", "/v1/attestation")[0] == 200
    assert alice.ready()


# ---- keys that change ----

def test_another_device_key(lab, bob):
    """Who knew the old key finds the new one, and what was sealed before is read."""
    dora = lab.peer(name("dora"))
    assert dora.send(bob, b"old key")[0] == 202 and bob.take()[0]["body"] == b"old key"
    assert bob.send(dora, b"to the old key")[0] == 202 and dora.take()
    old = bob.api("GET", f"/v1/peers/{dora.ident}")[1]
    reader = PythonPeer(lab, name("late"))
    before = reader.seal(dora, b"sealed before")
    done = dora.do("rotate-key")
    assert done.returncode == 0, done.stderr
    until(lambda: bob.api("GET", f"/v1/peers/{dora.ident}")[1].get("public_key_pem", old["public_key_pem"]) != old["public_key_pem"])
    # Until dora's peer has seen the new key, too, it signs with one that is nobody's any more.
    until(lambda: dora.send(bob, b"new key", via="direct")[0] == 202 if dora.ready() else None)
    assert bob.take()[0]["body"] == b"new key"
    until(lambda: bob.api("GET", f"/v1/peers/{dora.ident}")[1]["prekey_number"] > old["prekey_number"])
    assert bob.send(dora, b"to the new key", via="direct")[0] == 202 and dora.take()[0]["body"] == b"to the new key"
    assert reader.mail(dora, before).status == 202 and dora.take(20)[0]["body"] == b"sealed before"
