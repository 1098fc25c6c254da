# SPDX-License-Identifier: Apache-2.0
"""What an agent's key, in the wrong hands, can do to its agent, to other agents, and to the people who read alerts."""

import copy
import hashlib
import os
import threading
import time

import pytest

import pulse as pulses
from client import Connection, make_key
from test_pulse import CONFIG, eventually, events_now, is_refused
from world import World


@pytest.fixture(scope="module")
def world(make_module_server):
    w = World(make_module_server(config=CONFIG).start())
    yield w
    w.server.stop()


def alerts(world, agent, kind, state="open"):
    """Of one agent; the list gives at most 500."""
    r = world.server.api("GET", f"/api/v1/alerts?limit=500&state={state}")
    assert r.status == 200, r
    return [x for x in r.json()["alerts"] if x["subject"] == f"agent:{agent.node_id}" and x["kind"] == kind]


def test_a_copy_that_changes_the_key_is_seen(world):
    """A thief with key and state renews to a key of his own: the agent is shut out, and that must not look like peace."""
    a = world.enrol()
    with a.mtls() as c:
        for _ in range(2):
            assert a.pulse(c).status == 200
        thief = copy.copy(a)
        thief.start_id = os.urandom(16)
        mine = make_key("ed25519")
        r = thief.renew(c, mine)
        assert r.status == 200, r
        thief.certificate, thief.key = r.json()["certificate"].encode(), mine
        with thief.mtls() as d:
            assert thief.pulse(d).status == 200
            time.sleep(0.5)  # the change of the key is stored first
            for _ in range(2):
                is_refused(a.send_pulse(c, a.build_pulse(c)), 401, "key_mismatch")
                assert thief.pulse(d).status == 200
    e = eventually(lambda: events_now(world, "old_key", a.node_id))
    assert e[0]["source"] == "127.0.0.1"
    found = eventually(lambda: alerts(world, a, "old_key"))
    assert found[0]["severity"] == 1 and "reset-identity" in found[0]["action"]


def test_a_quarantined_key_gets_no_certificate(world):
    a = world.enrol()
    with a.mtls() as c, a.mtls() as d:
        assert a.pulse(c).status == 200
        b = copy.copy(a)
        b.start_id, b.seq = os.urandom(16), a.seq + 1024
        for _ in range(3):
            a.pulse(c)
            b.pulse(d)
        assert world.agent(a.node_id)["verdict"] == "forked"
        is_refused(b.renew(d), 403, "quarantined")
        is_refused(b.renew(d, make_key("ed25519")), 403, "quarantined")


def test_a_stranger_cannot_use_up_what_is_recorded_of_another(world):
    """Every event names an agent; who sends nonsense in a victim's name must not keep its worst events from the record."""
    victim, hostile = world.enrol(), world.enrol()
    with victim.mtls() as c, hostile.mtls() as h:
        assert victim.pulse(c).status == 200
        # In the victim's name, and by the victim itself: notices are recorded too.
        for _ in range(40):
            forged = hostile.build_pulse(h, agent_id=victim.node_id)
            assert h.request("POST", "/api/v1/pulse", forged, {"Content-Type": pulses.CONTENT_TYPE}).status == 403
        for i in range(30):
            assert victim.pulse(c, lsm=1 + i % 2, notice=4, notice_s=1).status == 200
        victim.sha256 = hashlib.sha256(b"evil").digest()
        assert victim.pulse(c).status == 200
    assert eventually(lambda: events_now(world, "binary_changed", victim.node_id))


def test_a_flapping_agent_is_one_alert(world):
    a = world.enrol()
    with a.mtls() as c:
        for i in range(40):
            assert a.pulse(c, lsm=3 if i % 2 == 0 else 2, lsm_reason="" if i % 2 == 0 else "off").status == 200
    time.sleep(0.5)
    ids = {x["id"] for state in ("open", "resolved") for x in alerts(world, a, "lsm_down", state)}
    assert 1 <= len(ids) <= 4, ids
    assert len(alerts(world, a, "lsm_down")) == 1


def test_a_reset_is_no_excuse_for_the_same_program(world):
    a = world.enrol()
    with a.mtls() as c:
        assert a.pulse(c).status == 200
        good, a.sha256 = a.sha256, hashlib.sha256(b"evil").digest()
        assert a.pulse(c).status == 200
    assert alerts(world, a, "binary_changed")
    r = world.server.api("POST", f"/api/v1/agents/{a.node_id}/reset-identity", {"reason": "changed"})
    assert r.status in (200, 201), r
    b = world.good(node_id=a.node_id, sha256=good)
    assert b.register(r.json()["token"]).status == 201
    with b.mtls() as c:
        assert b.pulse(c).status == 200
        assert not alerts(world, a, "binary_changed")
        b.sha256 = hashlib.sha256(b"evil").digest()
        assert b.pulse(c).status == 200
    assert eventually(lambda: alerts(world, a, "binary_changed"))


def test_the_largest_numbers_lock_nobody_out(world):
    """Who has a key and uses up its numbers has made a fork, which a reset ends; the server adds none of them up."""
    a = world.enrol()
    top = 2**63 - 1
    with a.mtls() as c:
        assert a.pulse(c).status == 200
        assert a.pulse(c, time_ns=(top // 10**9 - 1) * 10**9, boot_ns=top, rtt_us=2**32 - 1, bootcount=2**32 - 1,
                       keyset_epoch=top).status == 200
        assert world.agent(a.node_id)["verdict"] == "clock_desync"
        # The last number there is, by the same process: it can send none after it, but the next process can.
        a.seq = top - 3
        assert a.pulse(c).status == 200
        a.seq, a.start_id = top - 1, os.urandom(16)
        assert a.pulse(c).status == 200
        a.seq, a.start_id = 1, os.urandom(16)
        assert a.pulse(c).status == 200
    row = world.agent(a.node_id)
    assert row["verdict"] == "ok" and row["authenticity"] == "ok", row


def test_a_fork_over_two_connections_at_once(world):
    """One process never sends two pulses over one prev: whoever wins the race, both are not taken."""
    a = world.enrol()
    with a.mtls() as c, a.mtls() as d:
        assert a.pulse(c).status == 200
        b = copy.copy(a)
        one, two = a.build_pulse(c), b.build_pulse(d)
        for conn, body in ((c, one), (d, two)):
            conn.tls.sendall(b"POST /api/v1/pulse HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/eat+cwt\r\n"
                             + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        got = sorted([c._answer().status, d._answer().status])
        assert got == [200, 409], got


def test_a_nonce_is_no_oracle(world):
    """What the CA key signs for strangers is CBOR that no certificate parser takes, whatever the nonce says."""
    from cryptography import x509
    ca = x509.load_pem_x509_certificate(world.server.ca.read_bytes())
    import base64
    for nonce in (ca.tbs_certificate_bytes[:64], b"\x30" * 64, os.urandom(16)):
        text = base64.urlsafe_b64encode(nonce).rstrip(b"=").decode()
        with Connection(world.server.agents, world.server.ca.read_bytes()) as c:
            r = c.request("GET", f"/api/v1/time?nonce={text}")
        assert r.status == 200, r
        protected, _, _, payload, _ = pulses.open1(r.body, 2048)
        signed = pulses.tbs_of(protected, pulses.TIME, payload)
        assert signed[0] == 0x84 and ca.tbs_certificate_bytes[0] == 0x30
        assert abs(pulses.verify_time(r.body, ca.public_key(), nonce) - time.time_ns()) < 5 * 10**9


def test_what_is_accepted_is_what_is_recorded(world):
    """An agent that changes its word ten times a second while an operator accepts it."""
    a = world.enrol()
    stop = threading.Event()

    def flip():
        with a.mtls() as c:
            while not stop.is_set():
                a.sha256 = os.urandom(32)
                a.pulse(c)
                time.sleep(0.02)

    with a.mtls() as c:
        assert a.pulse(c).status == 200
    t = threading.Thread(target=flip)
    t.start()
    codes = set()
    try:
        for _ in range(60):
            r = world.server.api("POST", f"/api/v1/agents/{a.node_id}/accept", {"reason": "mine"})
            codes.add(r.status)
            assert r.status in (200, 409), r
            if r.status == 409:
                assert r.json()["code"] == "state_changed", r
            row = next(x for x in world.server.audit(limit=50)
                       if x["action"] == "agent.accept" and x["object"] == a.node_id)
            checks = {k["check"]: k for k in world.agent(a.node_id)["checks"]}
            if r.status == 200:
                assert row["detail"]["hash"] in str(checks["binary"]["expected"]), (row, checks["binary"])
    finally:
        stop.set()
        t.join()
    assert 200 in codes


def test_a_stranger_behind_the_same_address_uses_up_his_own_budget(world):
    a = world.enrol()
    with Connection(world.server.agents, world.server.ca.read_bytes()) as s:
        codes = []
        for _ in range(8):
            s.tls.sendall(b"POST /api/v1/agents/renew HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" * 100)
            codes += [s._answer().status for _ in range(100)]
    assert codes[0] == 401 and codes[-1] == 429, (codes[0], codes[-1])
    with a.mtls() as c:
        r = a.renew(c)
        assert r.status == 200, r
