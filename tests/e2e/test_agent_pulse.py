# SPDX-License-Identifier: Apache-2.0
"""The agent's side of the pulse, against a control plane by script (scripted.py) that checks each one."""

import hashlib
import json
import pathlib
import signal
import shutil
import subprocess
import threading
import time

import pytest

import client as c
from harness import faketime, needs_faketime
from scripted import Scripted, accept, drop, garbage, refuse, resync

ZERO = bytes(32)

@pytest.fixture
def make(tmp_path):
    made = []

    def one(state=None, **kw):
        conf = kw.pop("conf", {})
        server = Scripted(**kw)
        agent = server.folder(tmp_path / f"state{len(made)}", **conf)
        made.append((server, agent))
        return server, agent

    yield one
    for server, agent in made:
        agent.kill()
        server.close()
        assert not server.faults, server.faults


@pytest.fixture
def pair(make):
    return make()


def status(agent):
    r = agent.do("status", "-o", "json")
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)["heartbeat"]


def test_what_a_pulse_says(pair):
    server, agent = pair
    agent.start()
    first, second = server.wait(3)[:2]  # with the third, the agent has written down how the second went
    assert first.id == "web-1" and first.partition == "prod"
    assert first.hash == hashlib.sha256(agent.binary.read_bytes()).digest()
    assert first.seq == 1025 and first.prev == ZERO and first.ticket == first.old_ticket == b""
    boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    assert first.boot_id.hex() == boot_id and first.bootcount == 1
    assert abs(first.time - time.time()) < 10 and first.rtt_us == 0 and 0 < second.rtt_us < 5e6
    assert abs(first.own[4] / 1e9 - time.clock_gettime(time.CLOCK_BOOTTIME)) < 30
    assert abs(first.map[261] - time.clock_gettime(time.CLOCK_BOOTTIME)) < 30
    load, total, free, disk, disk_free, rss, cpu = first.health
    assert 0 < free <= total and 0 < disk_free <= disk and 0 < rss < 100_000 and cpu < 10_000
    assert (first.lsm, first.lsm_reason[:13]) == (1, "not installed")
    assert second.seq == 1026 and second.prev == first.digest and second.ticket == b"\1" * 40
    assert second.start_id == first.start_id
    assert len(first.raw) < 1024 and len(second.raw) < 1024
    assert server.connections == 1
    s = status(agent)
    assert s["state"] == "ok" and s["seq"] >= 1026 and len(s["prev"]) == 16 and s["tls_time"] == "wall"
    assert s["clock_sync"] in ("yes", "no", "unknown") and s["lsm"] == "unavailable"
    text = agent.do("status").stdout
    for line in ("pulse         ok", "chain         number 10", "clock         ", "judged by: wall", "bpf           ",
                 "lsm           unavailable: not installed"):
        assert line in text, text
    assert "announced" not in text and "device key" not in text


def test_resync_is_answered_at_once(pair):
    server, agent = pair
    server.interval = 30
    server.script = [resync(), accept()]
    agent.start()
    a, b = server.wait(2, 5)
    assert (b.prev, b.ticket, b.old_ticket) == (ZERO, b"\x65" * 40, b"") and b.seq == a.seq + 1
    assert server.connections == 1
    server.script = [resync(), accept()]
    agent.process.send_signal(signal.SIGHUP)
    c, d = server.wait(4, 5)[2:]
    assert c.ticket == b"\2" * 40 and c.prev == d.prev == b.digest
    assert (d.ticket, d.old_ticket) == (b"\x67" * 40, c.ticket)
    agent.wait_for("n=2")
    assert status(agent)["resyncs"] == 2


def test_twice_asked_for_resync_is_no_for_now(pair):
    server, agent = pair
    server.script = [accept(), resync(), resync()]
    agent.start()
    p = server.wait(5)
    assert p[2].old_ticket == p[1].ticket == b"\1" * 40
    assert (p[3].prev, p[3].ticket, p[3].old_ticket) == (p[0].digest, b"\1" * 40, b"")
    assert p[3].seq == p[2].seq + 1 and p[4].prev == p[3].digest
    assert "code=resync" in agent.log()


def test_a_lost_answer(pair):
    """The server took the pulse and its answer never came: rebuilt for another connection, with the same prev."""
    server, agent = pair
    server.script = [accept(), drop()]
    agent.start()
    p = server.wait(4)
    assert p[2].prev == p[1].prev == p[0].digest and p[2].seq > p[1].seq and p[2].ticket == p[1].ticket
    assert p[3].prev == p[2].digest


@pytest.mark.parametrize("bad", [b"", b"hello", b"\xa0", b"\xa1\x01\x40", b"\xff" * 100])
def test_an_answer_that_is_none(pair, bad):
    server, agent = pair
    server.script = [accept(), garbage(bad)]
    agent.start()
    p = server.wait(3)
    assert p[2].prev == p[0].digest
    assert "not that of a Troth server" in agent.log() or "pulse_failed" in agent.log()


@pytest.mark.parametrize("status_,code", [(400, "malformed_pulse"), (403, "bad_signature"), (403, "wrong_partition"),
                                          (403, "relayed"), (409, "chain_conflict")])
def test_refused_goes_on_with_the_next_beat(pair, status_, code):
    server, agent = pair
    server.script = [accept(), refuse(status_, code)]
    agent.start()
    p = server.wait(3)
    assert p[2].prev == p[0].digest and p[2].ticket == p[1].ticket
    assert f"code={code}" in agent.log()


def test_a_spent_ticket_is_not_sent_again(pair):
    server, agent = pair
    server.script = [accept(), refuse(409, "replay"), resync()]
    agent.start()
    p = server.wait(4)
    assert p[2].prev == p[0].digest and p[2].ticket == p[2].old_ticket == b""
    assert (p[3].prev, p[3].ticket, p[3].old_ticket) == (p[0].digest, b"\x67" * 40, p[1].ticket)


@pytest.mark.parametrize("status_,code,state", [(403, "quarantined", "barred"), (403, "agent_revoked", "revoked"),
                                                (401, "agent_unknown", "barred"), (401, "key_mismatch", "barred")])
def test_barred_waits_long(pair, status_, code, state):
    server, agent = pair
    server.script = [refuse(status_, code)] * 9
    agent.start()
    server.wait(1)
    time.sleep(2.5)
    assert len(server.pulses) == 1
    s = status(agent)
    assert s["state"] == state and s["last_code"] == code
    assert agent.stop() == 0  # and nothing is announced to a server that does not listen
    assert len(server.pulses) == 1


def test_the_chain_survives_a_kill(pair):
    server, agent = pair
    agent.start()
    before = server.wait(3)[2]
    agent.wait_for("n=3")
    agent.kill()
    n = len(server.pulses)
    last = server.pulses[-1]
    agent.start()
    p = server.wait(n + 1)[n]
    assert p.prev in (last.digest, last.prev) and p.seq >= before.seq + 1024 and p.start_id != before.start_id
    assert p.bootcount == before.bootcount


@pytest.mark.parametrize("damage", ["missing", "torn", "flipped", "empty"])
def test_a_damaged_chain_begins_anew_and_is_told(pair, damage):
    server, agent = pair
    agent.start()
    server.wait(2)
    agent.wait_for("n=2")
    agent.kill()
    path = agent.state / "chain.cbor"
    assert path.stat().st_mode & 0o777 == 0o600
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(data[:len(data) // 2])
    elif damage == "flipped":
        data[5] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(b"")
    n = len(server.pulses)
    agent.start()
    p = server.wait(n + 1)[n]
    assert p.prev == ZERO and p.ticket == b"" and p.seq == 1025
    assert ("chain_begins" if damage == "missing" else "chain_lost") in agent.log()


def test_numbers_are_never_used_twice_without_an_answer(pair):
    server, agent = pair
    server.script = [drop()] * 50
    for _ in range(3):
        n = len(server.pulses)
        agent.start()
        server.wait(n + 1)
        agent.kill()
    seqs = [p.seq for p in server.pulses]
    assert len(set(seqs)) == len(seqs) and seqs == sorted(seqs)


def test_bpf_off_and_the_default(make, tmp_path):
    server, agent = make(conf={"bpf_dirs": "off"})
    agent.start()
    assert server.wait(1)[0].bpf_status == 5
    agent.wait_for("event=pulse ")
    assert status(agent)["bpf"] == "off"
    server, agent = make()
    agent.start()
    p = server.wait(1)[0]
    assert p.bpf_status != 5
    agent.wait_for("event=pulse ")
    if p.bpf_status != 1:
        assert status(agent)["bpf_why"]


# ---- silence that is announced ----

def test_a_plain_stop_announces_a_restart(pair):
    server, agent = pair
    server.interval = 60
    agent.start()
    server.wait(1)
    agent.wait_for("event=pulse ")
    assert agent.stop() == 0
    assert len(server.pulses) == 2
    p = server.pulses[1]
    assert p.notice in (4, 1) and p.notice_s in (120, 900)  # 1 where the test host has closed its logins
    assert p.prev == server.pulses[0].digest
    agent.start()
    assert server.wait(3)[2].prev == p.digest and server.pulses[2].notice == 0


@pytest.mark.parametrize("word,number,seconds", [("shutdown", 1, 86400), ("reboot", 2, 900), ("update", 3, 900),
                                                 ("restart", 4, 120)])
def test_announce(pair, word, number, seconds):
    server, agent = pair
    server.interval = 60
    agent.start()
    server.wait(1)
    agent.wait_for("event=pulse ")
    r = agent.do("announce", word)
    assert r.returncode == 0 and word in r.stdout, r.stderr
    p = server.wait(2)[1]
    assert p.notice == number and seconds - 2 <= p.notice_s <= seconds
    assert status(agent)["notice"] == word
    assert not (agent.state / "request.json").exists()
    # It is repeated until it is over or taken back, and the last pulse says it too.
    agent.process.send_signal(signal.SIGHUP)
    assert server.wait(3)[2].notice == number
    assert agent.do("announce", word, "--for", "5").returncode == 0
    assert 298 <= server.wait(4)[3].notice_s <= 300
    assert agent.stop() == 0
    assert server.wait(5)[4].notice == number and server.pulses[4].notice_s <= 300


def test_announce_can_be_taken_back(pair):
    server, agent = pair
    server.interval = 60
    agent.start()
    server.wait(1)
    agent.wait_for("event=pulse ")
    assert agent.do("announce", "reboot").returncode == 0
    assert agent.do("announce", "none").returncode == 0
    p = server.wait(3)
    assert [q.notice for q in p] == [0, 2, 0]


def test_announce_needs_a_running_agent(pair):
    server, agent = pair
    r = agent.do("announce", "reboot")
    assert r.returncode == 4 and "no agent runs" in r.stderr
    assert not (agent.state / "request.json").exists()
    assert agent.do("announce").returncode == 1
    assert agent.do("announce", "party").returncode == 1
    assert agent.do("announce", "reboot", "--for", "0").returncode == 1


# ---- clocks ----

class Faked:
    """The agent under faketime."""

    def __init__(self, agent, offset):
        self.agent, self.offset = agent, offset

    def start(self):
        a = self.agent
        with a.log_path.open("ab") as log:
            a.process = subprocess.Popen([str(a.binary), "run", "--debug"], env=dict(a.env, **faketime(self.offset)),
                                         stderr=log)

    def stop(self):
        self.agent.kill()


@needs_faketime
@pytest.mark.parametrize("offset", ["-30y", "-2y", "-3d", "+3d", "+2y", "+10y"])
def test_a_clock_years_off_stays_connected(make, offset):
    server, agent = make()
    f = Faked(agent, offset)
    f.start()
    try:
        p = server.wait(4)
        assert abs(p[0].time - time.time()) > 2 * 86400  # the raw clock, as it is
        assert p[2].prev == p[1].digest
        agent.wait_for("n=3")
        s = status(agent)
        assert s["state"] == "ok" and abs(s["clock_skew_ms"]) > 2 * 86400 * 1000
        assert s["tls_time"] in ("signed", "floor")
    finally:
        f.stop()
    # At most one signed time was needed; after a restart the known time is a floor, so a slow clock needs none.
    assert len(server.times) <= 1
    asked = len(server.times)
    n = len(server.pulses)
    f.start()
    try:
        server.wait(n + 2)
    finally:
        f.stop()
    assert len(server.times) == (asked if offset[0] == "-" else asked + 1)


@needs_faketime
def test_signed_time_of_somebody_else_is_not_taken(make):
    lies = [
        lambda s: (lambda nonce: (200, "application/cose", s.signed_time(nonce, key=c.make_key("ed25519")))),
        lambda s: (lambda nonce: (200, "application/cose", s.signed_time(b"\0" * 32))),
        lambda s: (lambda nonce: (200, "application/cose", b"hello")),
        lambda s: (lambda nonce: (503, "text/plain", b"")),
        lambda s: (lambda nonce: (200, "application/cose", c.sign1(s.ca_key, b"troth/pulse/v1", {1: nonce, 2: 1}))),
    ]
    for lie in lies:
        server, agent = make()
        server.on_time = lie(server)
        f = Faked(agent, "+10y")
        f.start()
        try:
            end = time.monotonic() + 15
            while not server.times and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.5)
        finally:
            f.stop()
        assert server.times and not server.pulses
        assert "clock_not_trusted" not in agent.log()


def test_an_expired_server_certificate_is_refused_with_a_right_clock(make):
    """The signed time agrees with our clock, and the certificate is over: nobody speaks with its holder."""
    server, agent = make(valid=(-10 * 86400, -5 * 86400))
    agent.start()
    agent.wait_for("event=pulse_failed")
    assert not server.pulses and len(server.times) == 1
    assert agent.stop() == 0


def test_sigterm_during_a_silent_exchange(pair):
    server, agent = pair
    hold = threading.Event()
    server.script = [accept(), lambda s, p, t: hold.wait(20) and None]
    agent.start()
    server.wait(2)
    began = time.monotonic()
    assert agent.stop(6) == 0
    assert time.monotonic() - began < 4.5
    hold.set()


# ---- keys ----

def test_rotate_key(pair):
    server, agent = pair
    agent.start()
    server.wait(2)
    agent.wait_for("event=pulse ")
    old_key = (agent.state / "device.key").read_bytes()
    r = agent.do("rotate-key")
    assert r.returncode == 0, r.stderr + agent.log()
    assert len(server.renewals) == 1
    n = len(server.pulses)
    p = server.wait(n + 2)
    ids = [q.key_id for q in p]
    assert len(set(ids)) == 2 and ids == sorted(ids, key=ids.index)
    for a, b in zip(p, p[1:]):  # no gap in the chain
        assert b.prev == a.digest and b.seq == a.seq + 1
    new = json.loads((agent.state / "agent.json").read_text())
    assert new["key_id"] == p[-1].key_id.hex() and r.stdout.strip().endswith(new["key_id"])
    assert (agent.state / "device.key").read_bytes() != old_key
    assert not list(agent.state.glob("*.next"))
    agent.kill()
    n = len(server.pulses)
    agent.start()
    assert server.wait(n + 1)[n].key_id == p[-1].key_id


def test_rotation_by_age(make):
    server, agent = make(conf={"rotate_key_days": 1, "created_at": "2026-11-01T00:00:00.000Z"})
    agent.start()
    agent.wait_for("event=key_rotated")
    server.wait(3)
    assert len(server.renewals) == 1 and not list(agent.state.glob("*.next"))


def test_a_refused_rotation_keeps_the_old_key(pair):
    server, agent = pair
    server.on_renew = lambda key: refuse(403, "key_mismatch")(server, None, 0)
    agent.start()
    server.wait(1)
    agent.wait_for("event=pulse ")
    r = agent.do("rotate-key")
    assert r.returncode == 2 and "was not changed" in r.stderr
    assert not list(agent.state.glob("*.next"))
    n = len(server.pulses)
    p = server.wait(n + 2)
    assert len({q.key_id for q in p}) == 1


def test_a_next_key_that_the_server_forgot(pair):
    """Certified, and then refused with its first pulse: the old key goes on."""
    server, agent = pair
    agent.start()
    server.wait(1)
    agent.wait_for("event=pulse ")
    first = server.pulses[0].key_id
    server.script = []
    plain = server.answer

    def only_first(method, path, body, peer, exporter):
        if path == "/api/v1/pulse" and peer and c.key_id(peer.public_key()) != first:
            return refuse(401, "key_mismatch")(server, None, 0)
        return plain(method, path, body, peer, exporter)

    server.answer = only_first
    r = agent.do("rotate-key")
    assert r.returncode == 2, r.stderr
    n = len(server.pulses)
    assert {q.key_id for q in server.wait(n + 2)} == {first}
    assert not list(agent.state.glob("*.next"))


@pytest.mark.parametrize("committed", [False, True])
def test_killed_before_the_switch(pair, committed):
    """A whole next pair on disk: the server knows it, or only it, or not at all. The chain goes on in each case."""
    server, agent = pair
    agent.start()
    server.wait(2)
    agent.wait_for("n=2")
    agent.kill()
    spare = server.folder(agent.state.with_name("spare"))
    for name, to in (("device.key", "device.key.next"), ("device.pub", "device.pub.next"), ("cert.pem", "cert.pem.next")):
        shutil.copy(spare.state / name, agent.state / to)
    old, plain = server.pulses[0].key_id, server.answer

    def judge(method, path, body, peer, exporter):
        is_old = c.key_id(peer.public_key()) == old
        if is_old == committed:
            return refuse(401, "key_mismatch")(server, None, 0)
        return plain(method, path, body, peer, exporter)

    server.answer = judge
    n = len(server.pulses)
    agent.start()
    p = server.wait(n + 2)[n]
    assert (p.key_id != old) == committed and p.prev in (server.pulses[n - 1].digest, server.pulses[n - 1].prev)
    agent.wait_for("key_rotated" if committed else "key_not_rotated")
    assert not list(agent.state.glob("*.next"))


# ---- settings ----

def test_configure(pair):
    server, agent = pair
    r = agent.do("configure", "--bpf-dirs", "off", "--rotate-key-days", "30")
    assert r.returncode == 0 and "rotate-key-days  30" in r.stdout, r.stderr
    conf = json.loads((agent.state / "agent.json").read_text())
    assert conf["bpf_dirs"] == "off" and conf["rotate_key_days"] == 30
    assert agent.do("configure", "--rotate-key-days", "x").returncode == 1
    assert agent.do("configure", "--server", "http://x").returncode == 1
    assert agent.do("configure", "--bpf-dirs", "relative/path").returncode == 1
    agent.start()
    server.wait(1)
    assert agent.do("configure", "--bpf-dirs", "off").returncode == 4
    assert agent.do("configure").returncode == 0


def test_private_memory_stays_small(pair):
    server, agent = pair
    if b"__asan_init" in agent.binary.read_bytes():
        pytest.skip("a sanitizer brings memory of its own")
    agent.start()
    server.wait(5)
    agent.wait_for("n=4")
    rollup = pathlib.Path(f"/proc/{agent.process.pid}/smaps_rollup").read_text()
    dirty = [int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_Dirty:")]
    assert dirty[0] <= 4 * 1024, rollup
