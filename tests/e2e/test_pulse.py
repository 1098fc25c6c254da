# SPDX-License-Identifier: Apache-2.0
"""PU-9 and its neighbours over the wire: every way to speak for an agent that is not it, and what becomes of each:
refused with its own code, recorded with the source, the victim unchanged; and the agent that is stopped is told."""

import base64
import copy
import datetime
import hashlib
import os
import socket
import ssl
import subprocess
import threading
import time

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec

import pulse as pulses
from client import Agent, Connection, issue, make_key, private_pem
from world import World, name

BEAT = 1
CONFIG = f"heartbeat_seconds: {BEAT}\nclock: {{source: trusted}}\n"
BY_KIND = ["ed25519", "p256", "rsa"]


@pytest.fixture(scope="module")
def world(make_module_server):
    w = World(make_module_server(config=CONFIG).start())
    yield w
    w.server.stop()


@pytest.fixture
def agent(world):
    a = world.enrol()
    with a.mtls() as c:
        assert a.pulse(c).status == 200
        yield a, c


def seen(world, a):
    """What the server thinks of the agent, without what time alone changes."""
    row = world.agent(a.node_id)
    return {k: row[k] for k in ("verdict", "authenticity", "integrity", "last_seen", "heartbeats")}


def events(world, kind, agent_id=None):
    """Newest first; they are written right after the answer."""
    return eventually(lambda: events_now(world, kind, agent_id))


def events_now(world, kind, agent_id=None):
    path = f"/api/v1/agents/{agent_id}/events" if agent_id else "/api/v1/events"
    r = world.server.api("GET", f"{path}?limit=100")
    assert r.status == 200, r
    return [e for e in r.json()["events"] if e["kind"] == kind]


def is_refused(r, status, code):
    assert (r.status, r.json().get("code")) == (status, code), r
    assert r.json()["detail"], r


def eventually(check, seconds=10):
    end = time.monotonic() + seconds
    while True:
        try:
            value = check()
            if value:
                return value
        except AssertionError:
            if time.monotonic() > end:
                raise
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)


def alone(world, **kw):
    """An agent in a partition of its own."""
    a = world.good(**kw)
    assert a.register(world.server.make_token(partition=name("p"))).status == 201
    return a


# ---- the good, with each kind of key ----

@pytest.mark.parametrize("kind", BY_KIND)
def test_an_agent_goes_from_pending_to_ok(world, kind):
    """PU-1, PU-2, PU-3: Ed25519, ECDSA and RSA by certificate type."""
    a = world.enrol(kind=kind)
    assert world.agent(a.node_id)["verdict"] == "pending"
    with a.mtls() as c:
        first = a.send_pulse(c, a.build_pulse(c))
        assert first.status == 200 and pulses.parse_answer(first.body)["resync"]
        assert world.agent(a.node_id)["verdict"] == "pending", "a resync is nothing by itself"
        for _ in range(3):
            r = a.pulse(c)
            assert r.status == 200, r
            told = pulses.parse_answer(r.body)
            assert told["interval_s"] == BEAT and not told["resync"]
            assert told["received_ns"] <= told["sent_ns"] <= time.time_ns()
        assert world.agent(a.node_id)["verdict"] == "ok"


def test_the_chain_goes_on_over_connections(world):
    a = world.enrol()
    for _ in range(4):
        with a.mtls() as c:
            assert a.pulse(c).status == 200
    assert world.agent(a.node_id)["verdict"] == "ok"


def test_a_pulse_is_small(world):
    """PU-2: at most 1 KiB on top of a status push."""
    a = world.enrol()
    with a.mtls() as c:
        assert a.pulse(c).status == 200
        assert len(a.build_pulse(c)) <= 1024


# ---- PU-9 ----

def test_curl_without_a_certificate(world, agent):
    a, _ = agent
    before = seen(world, a)
    r = subprocess.run(["curl", "-sS", "--cacert", str(world.server.ca), "-o", "-", "-w", "\n%{http_code}", "-X", "POST",
                        "-H", "Content-Type: application/eat+cwt", "--data-binary", "x",
                        f"https://localhost:{world.server.agents}/api/v1/pulse"], capture_output=True, text=True, timeout=20)
    assert r.stdout.endswith("\n401") and "client_certificate_required" in r.stdout, r
    assert seen(world, a) == before


def key_that_claims_to_be(victim, thief):
    """A key file with the victim's public half and the thief's private one: what a stolen certificate alone allows."""
    scalar = thief.private_numbers().private_value.to_bytes(32, "big")
    point = victim.public_key().public_bytes(ser.Encoding.X962, ser.PublicFormat.UncompressedPoint)
    curve = bytes.fromhex("06082a8648ce3d030107")
    body = (b"\x02\x01\x01\x04\x20" + scalar + b"\xa0\x0a" + curve + b"\xa1\x44\x03\x42\x00" + point)
    der = b"\x30" + bytes([len(body)]) + body
    return b"-----BEGIN EC PRIVATE KEY-----\n" + base64.encodebytes(der) + b"-----END EC PRIVATE KEY-----\n"


def test_a_stolen_certificate_without_its_key(world, tmp_path):
    a = world.enrol(kind="p256")
    with a.mtls() as c:
        assert a.pulse(c).status == 200
    before = seen(world, a)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(a.certificate)
    key.write_bytes(key_that_claims_to_be(a.key, ec.generate_private_key(ec.SECP256R1())))
    tls = ssl.create_default_context(cafile=str(world.server.ca))
    tls.load_cert_chain(str(cert), str(key))
    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        with socket.create_connection(("localhost", world.server.agents), timeout=10) as s:
            with tls.wrap_socket(s, server_hostname="localhost") as t:
                # TLS 1.3 tells the client with its first read.
                t.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                got = t.recv(100)
                assert not got, got
                raise ConnectionError("closed without a word")
    assert seen(world, a) == before


def test_a_certificate_of_another_ca(world, agent):
    a, _ = agent
    before = seen(world, a)
    ca = make_key("ed25519")
    now = time.time()
    builder = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
               .public_key(ca.public_key()).serial_number(1)
               .not_valid_before(datetime.datetime.utcfromtimestamp(now - 3600))
               .not_valid_after(datetime.datetime.utcfromtimestamp(now + 3600))
               .add_extension(x509.SubjectKeyIdentifier(b"\x01" * 20), False))
    ca_pem = builder.sign(ca, None).public_bytes(ser.Encoding.PEM)
    pem = issue(ca, ca_pem, a.key, f"spiffe://e2e.example/agent/{a.node_id}", now - 60, now + 3600)
    with a.mtls(certificate=pem) as c:
        is_refused(c.request("POST", "/api/v1/pulse", b"x", {"Content-Type": pulses.CONTENT_TYPE}), 401,
                   "client_certificate_invalid")
    assert seen(world, a) == before


def test_yesterdays_pulse(world, agent):
    """Captured bytes: on their own connection a replay, on any other made for another connection."""
    a, c = agent
    captured = a.build_pulse(c)
    assert a.send_pulse(c, captured).status == 200
    before = seen(world, a)
    is_refused(c.request("POST", "/api/v1/pulse", captured, {"Content-Type": pulses.CONTENT_TYPE}), 409, "replay")
    assert events(world, "replay", a.node_id)[0]["source"] == "127.0.0.1"
    with a.mtls() as other:
        is_refused(other.request("POST", "/api/v1/pulse", captured, {"Content-Type": pulses.CONTENT_TYPE}), 403, "relayed")
    e = events(world, "relayed", a.node_id)
    assert e and e[0]["source"] == "127.0.0.1"
    assert seen(world, a) == before
    # And the agent itself goes on.
    assert a.pulse(c).status == 200
    assert world.agent(a.node_id)["verdict"] == "ok"


def test_a_pulse_of_another_agent(world, agent):
    a, c = agent
    thief = world.enrol()
    before = seen(world, a)
    with thief.mtls() as t:
        # Signed by the victim for its own connection; signed by the thief in the victim's name.
        is_refused(t.request("POST", "/api/v1/pulse", a.build_pulse(c), {"Content-Type": pulses.CONTENT_TYPE}), 403,
                   "bad_signature")
        forged = thief.build_pulse(t, agent_id=a.node_id)
        is_refused(t.request("POST", "/api/v1/pulse", forged, {"Content-Type": pulses.CONTENT_TYPE}), 403, "wrong_agent")
    assert seen(world, a) == before
    assert any(thief.node_id in (e["agent"], e["detail"].get("named")) or a.node_id in (e["agent"], e["detail"].get("named"))
               for e in events(world, "wrong_agent"))


class Relay(threading.Thread):
    """Ends TLS with a certificate of its own and carries requests on under a client certificate that it holds."""

    def __init__(self, world, server_cert, server_key, onward, folder):
        super().__init__(daemon=True)
        self.world, self.onward = world, onward
        (folder / "s.crt").write_bytes(server_cert)
        (folder / "s.key").write_bytes(private_pem(server_key))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(str(folder / "s.crt"), str(folder / "s.key"))
        self.listen = socket.create_server(("127.0.0.1", 0))
        self.port = self.listen.getsockname()[1]
        self.start()

    def run(self):
        s, _ = self.listen.accept()
        with self.tls.wrap_socket(s, server_side=True) as t:
            data = b""
            while b"\r\n\r\n" not in data:
                data += t.recv(65536)
            head, body = data.split(b"\r\n\r\n", 1)
            length = int([line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")][0])
            while len(body) < length:
                body += t.recv(65536)
            with self.onward() as c:
                self.answer = c.request("POST", "/api/v1/pulse", body, {"Content-Type": pulses.CONTENT_TYPE})
            t.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("holds_the_key", [False, True])
def test_a_relaying_proxy(world, agent, tmp_path, holds_the_key):
    """The victim is led to a proxy that it trusts (say, by a stolen server certificate); its genuine pulse is carried on."""
    a, _ = agent
    other = world.enrol()
    before = seen(world, a)
    key = make_key("p256")
    ca_key = ser.load_pem_private_key((world.server.dir / "keys" / "ca.key").read_bytes(), None)
    cert = issue(ca_key, world.server.ca.read_bytes(), key, "spiffe://e2e.example/server", time.time() - 60, time.time() + 3600,
                 cn="localhost")
    relay = Relay(world, cert, key, (a if holds_the_key else other).mtls, tmp_path)
    with Connection(relay.port, None, a.certificate, a.key) as c:
        c.request("POST", "/api/v1/pulse", a.build_pulse(c), {"Content-Type": pulses.CONTENT_TYPE})
    relay.join(10)
    is_refused(relay.answer, 403, "relayed" if holds_the_key else "bad_signature")
    assert seen(world, a) == before
    assert events(world, "relayed" if holds_the_key else "bad_signature")


def test_a_plain_tcp_relay_changes_nothing(world):
    """Who carries packets only is part of the network: the exporter is still the agent's and the server's."""
    a = world.enrol()
    listen = socket.create_server(("127.0.0.1", 0))

    def carry(x, y):
        try:
            while data := x.recv(65536):
                y.sendall(data)
        except OSError:
            pass

    def run():
        s, _ = listen.accept()
        up = socket.create_connection(("127.0.0.1", world.server.agents))
        threading.Thread(target=carry, args=(s, up), daemon=True).start()
        carry(up, s)
    threading.Thread(target=run, daemon=True).start()
    with Connection(listen.getsockname()[1], world.server.ca.read_bytes(), a.certificate, a.key) as c:
        assert a.pulse(c).status == 200


def test_a_stopped_agent_is_told_in_the_documented_time(world):
    """The documented time: GET /api/v1/fleet says after how long silence is called lost."""
    # In a partition of its own: where many fall silent at once, that is the partition's incident.
    a = alone(world)
    with a.mtls() as c:
        assert a.pulse(c).status == 200
    stopped = time.monotonic()
    explained = {k["check"]: k for k in world.agent(a.node_id)["checks"]}
    assert "lost after" in explained["reachability"]["expected"]
    bound = int(explained["reachability"]["expected"].split("lost after ")[1].split(" ")[0])
    eventually(lambda: world.agent(a.node_id)["verdict"] == "lost", bound + 3)
    took = time.monotonic() - stopped
    assert took <= bound + 2, took
    alert = eventually(lambda: [x for x in world.server.api("GET", "/api/v1/alerts").json()["alerts"]
                                if x["subject"] == f"agent:{a.node_id}" and x["severity"] == 2])
    assert alert[0]["kind"] == "silence"
    # It speaks again: the alert ends by itself.
    with a.mtls() as c:
        assert a.pulse(c).status == 200
    assert world.agent(a.node_id)["verdict"] == "ok"
    eventually(lambda: not [x for x in world.server.api("GET", "/api/v1/alerts").json()["alerts"]
                            if x["subject"] == f"agent:{a.node_id}"])


# ---- what is malformed, forged, of a wrong place ----

@pytest.mark.parametrize("body", [b"\x00", b"\xd2", b"\xa0", b"{}", os.urandom(500), cbor2.dumps([1, 2, 3])], ids=range(6))
def test_garbage(world, agent, body):
    a, c = agent
    before = seen(world, a)
    is_refused(c.request("POST", "/api/v1/pulse", body, {"Content-Type": pulses.CONTENT_TYPE}), 400, "malformed_pulse")
    assert seen(world, a) == before


def test_one_flipped_bit(world, agent):
    a, c = agent
    good = a.build_pulse(c)
    before = seen(world, a)
    for at in range(0, len(good), 37):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        r = c.request("POST", "/api/v1/pulse", bytes(bad), {"Content-Type": pulses.CONTENT_TYPE})
        assert r.status in (400, 403) and r.json()["code"] in ("malformed_pulse", "bad_signature"), (at, r)
    assert seen(world, a) == before
    assert a.send_pulse(c, good).status == 200


def test_another_partition(world, agent):
    a, c = agent
    before = seen(world, a)
    is_refused(a.pulse(c, partition="elsewhere"), 403, "wrong_partition")
    assert seen(world, a) == before


def test_too_large(world, agent):
    _, c = agent
    # Refused by its head alone: no byte of the body is waited for.
    c.tls.sendall(b"POST /api/v1/pulse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n")
    is_refused(c._answer(), 413, "body_too_large")


# ---- what a pulse says ----

def test_another_program_is_severity_one(world):
    """PU-5."""
    a = world.enrol()
    with a.mtls() as c:
        assert a.pulse(c).status == 200
        good, a.sha256 = a.sha256, hashlib.sha256(b"evil").digest()
        assert a.pulse(c).status == 200
        assert world.agent(a.node_id)["verdict"] == "unknown_binary"
        alerts = [x for x in world.server.api("GET", "/api/v1/alerts").json()["alerts"] if x["subject"] == f"agent:{a.node_id}"]
        assert [(x["kind"], x["severity"]) for x in alerts] == [("binary_changed", 1)]
        e = events(world, "binary_changed", a.node_id)[0]
        assert e["detail"]["good"] == good.hex() and e["detail"]["running"] == a.sha256.hex()
        # The evidence is the signed pulse itself.
        full = world.server.api("GET", f"/api/v1/events/{e['seq']}").json()
        assert pulses.verify(base64.b64decode(full["evidence"]), a.key.public_key())["binary_hash"] == a.sha256


def test_a_wrong_clock_is_its_own_verdict(world):
    """PU-4: never "compromised", with the measured offset, and liveness goes on."""
    a = world.enrol()
    with a.mtls() as c:
        assert a.pulse(c).status == 200
        assert a.pulse(c, time_ns=time.time_ns() - 3600 * 10**9).status == 200
        row = world.agent(a.node_id)
        assert row["verdict"] == "clock_desync"
        assert abs(row["skew_ms"] + 3600_000) < 5000
        assert a.pulse(c).status == 200
        assert world.agent(a.node_id)["verdict"] == "ok"


def test_revocation_ends_a_live_connection(world):
    a = world.enrol()
    with a.mtls() as c:
        assert a.pulse(c).status == 200
        assert world.server.api("POST", f"/api/v1/agents/{a.node_id}/revoke", {"reason": "test"}).status == 200
        is_refused(a.pulse(c), 403, "agent_revoked")
    assert world.agent(a.node_id)["verdict"] == "revoked"


def test_two_copies_are_quarantined_and_a_reset_mends_it(world):
    """The copy of a disk goes on beside the original; both are refused until the operator resets the identity."""
    a = world.enrol()
    with a.mtls() as c, a.mtls() as d:
        for _ in range(3):
            assert a.pulse(c).status == 200
        b = copy.copy(a)
        b.start_id, b.seq = os.urandom(16), a.seq + 1024
        codes = []
        for _ in range(3):
            codes.append(a.pulse(c).status)
            codes.append(b.pulse(d).status)
        assert 403 in codes
        is_refused(a.pulse(c), 403, "quarantined")
        is_refused(b.pulse(d), 403, "quarantined")
    row = world.agent(a.node_id)
    assert row["verdict"] == "forked"
    alerts = [x for x in world.server.api("GET", "/api/v1/alerts").json()["alerts"] if x["subject"] == f"agent:{a.node_id}"]
    assert ("forked", 1) in [(x["kind"], x["severity"]) for x in alerts]
    assert "reset-identity" in [x for x in alerts if x["kind"] == "forked"][0]["action"]
    r = world.server.api("POST", f"/api/v1/agents/{a.node_id}/reset-identity", {"reason": "copied"})
    assert r.status in (200, 201), r
    fresh = Agent(world.server, a.node_id, sha256=a.sha256, statement=a.statement)
    assert fresh.register(r.json()["token"]).status == 201
    with fresh.mtls() as c:
        assert fresh.pulse(c).status == 200
    assert world.agent(a.node_id)["verdict"] == "ok"
    with a.mtls() as c:
        assert a.pulse(c).status in (401, 403)


# ---- restarts ----

def test_nothing_changes_over_restarts(make_module_server):
    """keylime#1888: a restarted server shows no dead agent as alive, and raises no false alarm either."""
    w = World(make_module_server(config=CONFIG).start())
    alive, dead = w.enrol(), alone(w)
    with alive.mtls() as c, dead.mtls() as d:
        assert alive.pulse(c).status == 200 and dead.pulse(d).status == 200
    eventually(lambda: [alive_pulse(alive), w.agent(dead.node_id)["verdict"] == "lost"][1], 40)
    # Told is durable.
    eventually(lambda: [x for x in w.server.api("GET", "/api/v1/alerts").json()["alerts"] if x["severity"] == 2])
    time.sleep(0.5)
    for how in ("kill", "stop"):
        getattr(w.server, how)()
        w.server.start()
        row = w.agent(dead.node_id)
        assert row["verdict"] == "lost", row
        assert w.agent(alive.node_id)["verdict"] in ("late", "ok")
        captured = None
        with alive.mtls() as c:
            captured = alive.build_pulse(c)
            alive.send_pulse(c, captured)
            assert alive.pulse(c).status == 200
        assert w.agent(alive.node_id)["verdict"] == "ok"
        with alive.mtls() as c:
            is_refused(c.request("POST", "/api/v1/pulse", captured, {"Content-Type": pulses.CONTENT_TYPE}), 403, "relayed")
    w.server.stop()


def alive_pulse(a):
    with a.mtls() as c:
        assert a.pulse(c).status == 200
