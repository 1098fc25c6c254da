# SPDX-License-Identifier: Apache-2.0
"""What troth-agent does with commands: each kind, each refusal, and what is left after kill -9, a full disk, a torn or
damaged journal and a clock that was set back. The server is a script (ordering.py), so that it can also be a bad one."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import cbor2
import pytest

import client
import keyset
import obey
import scripted
from commanded import Authority, Orders
from harness import AgentProgram, Server, faketime, needs_faketime
from ordering import HOUR, MIN, PROBLEM, Ordering, notes
from waiting import until
from world import name

@pytest.fixture
def make(tmp_path):
    made = []

    def one(**conf):
        server = Ordering()
        agent = server.folder(tmp_path / f"state{len(made)}", **conf)
        server.interval = 30
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


def ours(agent):
    """`troth-agent status` as JSON."""
    r = agent.do("status", "-o", "json")
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def again(agent, server):
    """Killed and started; the next pulse was taken."""
    agent.kill()
    n = len(server.pulses)
    agent.start()
    server.wait(n + 1)


# ---- what commands do ----

def test_reads(pair):
    server, agent = pair
    s = server.does("status")
    assert s["keyset_epoch"] == 1 and s["quarantined"] is False and s["journal"]["state"] == "ok"
    assert s["journal"]["commands"] == 1 and s["pid"] == agent.process.pid
    i = server.does("collect-inventory")
    assert i["kernel"] == os.uname().release and i["host"] == os.uname().nodename and i["cpus"] >= 1
    assert any(m["on"] == "/" for m in i["mounts"]) and isinstance(i["addresses"], list) and i["memory_kib"] > 0
    n = len(server.pulses)
    r = server.does("reattest")
    assert r["image"] == server.pulses[0].hash.hex() and r["image_on_disk_differs"] is False
    assert server.wait(n + 1)[n].seq > r["after_pulse"]
    asked = server.chain_asked
    assert server.does("refresh-keyset") == {"keyset_epoch": 1, "before": 1}
    assert server.chain_asked > asked


def test_an_order_has_its_effect_within_a_second(pair):
    server, agent = pair
    took = []
    for _ in range(5):
        begun = time.monotonic()
        server.does("note", text="quick")
        took.append(time.monotonic() - begun)
    assert max(took) < 1, took
    assert server.connections == 1


def test_a_note_is_one_line(pair):
    server, agent = pair
    a, b = server.order("note", text="first ä"), server.order("note", text="second")
    server.said(a), server.said(b)
    lines = (agent.state / "notes.log").read_text().splitlines()
    assert [line.split(" ", 2)[1:] for line in lines] == [[a.hex(), "first ä"], [b.hex(), "second"]]
    assert lines[0][10] == "T" and lines[0].split()[0].endswith("Z")
    assert "event=note" in agent.log()
    assert (agent.state / "notes.log").stat().st_mode & 0o777 == 0o600


def test_the_interval_is_never_slower_than_told(make):
    server, agent = make()
    server.interval = 3
    agent.start()
    server.wait(1)
    assert server.does("set-interval", seconds=1) == {"ordered_interval_s": 1, "interval_s": 1}
    n = len(server.pulses)
    begun = time.monotonic()
    server.wait(n + 3)
    assert time.monotonic() - begun < 5
    again(agent, server)  # it is kept
    assert ours(agent)["identity"]["interval_s"] == 1
    assert server.does("set-interval", seconds=600) == {"ordered_interval_s": 600, "interval_s": 3}
    assert server.does("set-interval", seconds=0) == {"ordered_interval_s": 0, "interval_s": 3}


def test_restart_is_the_same_process_anew(pair):
    server, agent = pair
    pid, start = agent.process.pid, server.pulses[0].start_id
    ident = server.order("restart-agent")
    started, done = server.said(ident, ("started",)), server.said(ident, ("done",))
    assert started["position"] < done["position"]
    assert json.loads(done["result"]) == {"pid": pid} and agent.process.poll() is None
    assert server.pulses[-1].start_id != start
    assert b"run\0--debug" in open(f"/proc/{pid}/cmdline", "rb").read()
    assert open(f"/proc/{pid}/comm").read() == "troth-agent\n"
    server.does("status")


def test_the_device_key_is_rotated(pair):
    server, agent = pair
    before = server.pulses[0].key_id
    ident = server.order("rotate-agent-key")
    server.said(ident, ("started",))
    done = server.said(ident, ("done",))
    assert server.pulses[-1].key_id != before
    assert json.loads(done["result"])["key_id"] == server.pulses[-1].key_id.hex() == ours(agent)["identity"]["key_id"]


def test_quarantine_obeys_reads_alone(pair):
    server, agent = pair
    assert server.does("quarantine") == {"quarantined": True}
    server.does("status")
    server.refuses("note", "quarantined", text="no")
    again(agent, server)
    assert "quarantined" in agent.do("status").stdout
    server.refuses("set-interval", "quarantined", seconds=1)
    server.does("cancel", target=b"x" * 16)
    assert server.does("release") == {"quarantined": False}
    server.does("note", text="yes")
    assert len(notes(agent)) == 1 and not (agent.state / "quarantine.json").exists()


def test_later_and_cancelled(pair):
    server, agent = pair
    soon, later = (server.order("note", text="x", not_before_ms=server.now_ms() + t) for t in (2500, HOUR))
    assert server.said(soon, ("received",)) and server.said(later, ("received",))
    assert server.does("cancel", target=later)["state"] == "cancelled"
    server.said(later, ("cancelled",))
    again(agent, server)
    server.said(soon, ("done",))
    assert list(notes(agent)) == [soon.hex()]
    unknown = os.urandom(16)
    assert server.does("cancel", target=unknown)["came"] is False
    assert server.said(server.order("note", text="late", cmd_id=unknown))["state"] == "cancelled"
    r = server.said(server.order("cancel", target=soon))
    assert (r["state"], r["code"], json.loads(r["result"])["state"]) == ("failed", "too_late", "done")
    assert list(notes(agent)) == [soon.hex()]


# ---- again and again ----

def test_given_again_it_is_answered_from_the_journal(pair):
    server, agent = pair
    data, ident = server.command("note", text="once")
    server.give(data)
    first = server.said(ident)
    for restart in (False, True):
        if restart:
            again(agent, server)
        n = len(server.receipts)
        server.give(data)
        r = server.said(ident, after=n)
        assert (r["state"], r["command"]) == ("done", first["command"])
    n = len(server.receipts)
    order = obey.read_command(obey.pulse.open1(data, 24576)[3])[0]["order"]  # signed anew, another number
    at = server.now_ms()
    anew = obey.command(server.key, {"order": order, "epoch": 1, "line": server.line, "seq": 77, "issued_ms": at,
                                     "expires_ms": at + MIN, "keyset_epoch": 1, "revocation": 0,
                                     "approvals": [server.approval(server.operators[0], order, at)]})
    server.give(anew)
    r = server.said(ident, after=n)
    assert r["state"] == "done" and r["seq"] == 77 and r["command"] == obey.digest(anew) and r["high"] == 77
    assert r["missing"] == list(range(2, 18))
    assert notes(agent) == {ident.hex(): 1}


def test_receipts_are_sent_until_they_are_taken(make):
    server, agent = make()
    server.interval = 1
    server.on_receipt = lambda r: (503, PROBLEM, b"{}")
    agent.start()
    ident = server.order("note", text="x")
    for n in range(3):
        server.said(ident, after=n)
    again(agent, server)
    n = len(server.receipts)
    server.on_receipt = None
    server.said(ident, after=n)
    n = len(server.receipts)
    server.wait(len(server.pulses) + 2)
    assert len(server.receipts) <= n + 1 and notes(agent) == {ident.hex(): 1}


# ---- refusals: each in a signed receipt ----

def test_what_is_refused(pair):
    server, agent = pair
    server.does("status", seq=5)
    server.seq = 5
    stranger, now = client.make_key("ed25519"), server.now_ms()
    server.refuses("status", "unknown_key", key=stranger)
    server.refuses("status", "wrong_agent", agent="web-2")
    server.refuses("status", "wrong_agent", domain="other.example")
    server.refuses("status", "expired", at=now - 6 * MIN)
    server.refuses("status", "not_yet", at=now + 7 * MIN)
    server.refuses("status", "replayed", seq=5)
    server.refuses("status", "replayed", line=server.line - 1, seq=900)
    server.refuses("note", "approval_missing", text="x", operators=0)
    server.refuses("quarantine", "approval_missing", operators=1)
    server.refuses("status", "wrong_image", image=b"i" * 32)
    server.refuses(99, "unsupported")
    data, ident = server.command("note", text="x")
    order = obey.read_command(obey.pulse.open1(data, 24576)[3])[0]["order"]
    wrong = [server.approval(stranger, order, now)]
    server.refuses("note", "approval_invalid", text="x", approvals=wrong)
    broken = bytearray(data)
    broken[-1] ^= 1
    server.give(bytes(broken))
    r = server.said(ident)
    assert (r["state"], r["code"], r["command"]) == ("refused", "bad_signature", obey.digest(bytes(broken)))
    server.give(b"garbage")
    assert server.said(bytes(16))["code"] == "malformed"
    server.give(data)  # none of this spoils the real one
    assert server.said(ident, ("done",))["state"] == "done"
    assert notes(agent) == {ident.hex(): 1}
    log = agent.log()
    for code in ("unknown_key", "bad_signature", "approval_missing", "wrong_agent"):
        assert f"event=command_refused code={code}" in log
    assert f"kid={client.key_id(stranger.public_key())[:16].hex()}" in log


def test_a_flood_of_garbage_is_bounded(pair):
    server, agent = pair
    server.give(*(os.urandom(200) for _ in range(400)))
    server.does("status")
    # Sixty a minute, and a minute may end meanwhile.
    assert len([r for r in server.receipts if r["state"] == "refused"]) <= 120
    assert agent.log().count("event=command_refused") <= 120
    assert (agent.state / "journal.bin").stat().st_size < 100_000


# ---- the keyset ----

def test_an_unknown_key_is_looked_up(make):
    server, agent = make()
    server.interval = 1
    agent.start()
    server.wait(1)
    old, server.key = server.key, client.make_key("ed25519")
    server.wait_s = 0  # nothing tells of the new keyset but the command
    server.publish(commands=[old, server.key])
    server.does("note", text="by the new key")
    assert ours(agent)["authority"]["epoch"] == 2
    assert server.said(server.order("note", text="x"))["keyset_epoch"] == 2


def test_a_revoked_key_runs_nothing(pair):
    server, agent = pair
    old, server.key = server.key, client.make_key("ed25519")
    waiting, ident = server.command("note", key=old, text="later", not_before_ms=server.now_ms() + HOUR)
    server.give(waiting)
    server.said(ident, ("received",))
    server.publish(commands=[old, server.key], revoke=[old])
    server.refuses("status", "revoked_key", key=old)
    assert server.said(ident)["code"] == "revoked_key"
    server.does("note", text="fine")
    again(agent, server)
    server.refuses("note", "revoked_key", key=old, text="x")
    assert len(notes(agent)) == 1


def test_the_authority_changes_hands(pair):
    """Other roots, another CA: followed without anybody at the host; the pin and ca.pem move along."""
    server, agent = pair
    first = server.fingerprint()
    roots = [client.make_key("ed25519") for _ in range(2)]
    server.publish(roots=roots, signers=[server.root, *roots])
    server.root = roots[0]
    server.publish(roots=roots, signers=roots[:1])
    server.does("status")
    end = time.monotonic() + 10
    while ours(agent)["authority"]["epoch"] != 3 and time.monotonic() < end:
        time.sleep(0.05)
    s = ours(agent)
    assert s["authority"]["epoch"] == 3 and s["identity"]["root"] == server.fingerprint().hex() != first.hex()
    assert keyset.digest((agent.state / "keyset.cose").read_bytes()) == keyset.digest(server.keysets[-1])
    assert server.pulses and server.does("status")["keyset_epoch"] == 3


def test_cas_come_and_go_with_keysets(pair):
    server, agent = pair
    key, now = client.make_key("ed25519"), time.time()
    other = scripted.certificate(key, None, key.public_key(), "CA 2", [], now - 60, now + 365 * 86400, ca=True)
    server.publish(cas=[server.ca, other])
    server.does("refresh-keyset")
    assert (agent.state / "ca.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 2
    n = len(server.pulses)
    server.does("note", text="over a connection that was checked anew")
    assert server.connections == 2 and n <= len(server.pulses)
    server.publish(cas=[other])  # the server's own certificate is by the other: a mistake of its operators
    server.order("refresh-keyset")
    agent.wait_for("SSL certificate problem")
    assert (agent.state / "ca.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 1
    server.publish()
    again(agent, server)  # the next keyset is followed over a connection that nobody can verify
    assert (agent.state / "ca.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 1
    assert server.does("status")["keyset_epoch"] == 4


def test_away_while_the_ca_changed(make):
    """The server's certificate is by a CA that the agent never heard of; a stranger's chain is of no use to him."""
    server, agent = make()
    mine, theirs = server.keysets[0], Ordering()
    server.keysets = [server.keysets[0]]
    text = (agent.state / "ca.pem").read_bytes()
    (agent.state / "ca.pem").write_bytes(scripted.pem(theirs.ca))
    server.publish()
    agent.start()
    server.does("note", text="found again")
    assert (agent.state / "ca.pem").read_bytes() == text
    agent.kill()
    n = len(server.pulses)
    (agent.state / "ca.pem").write_bytes(scripted.pem(theirs.ca))
    server.publish(roots=[client.make_key("ed25519")], signers=[client.make_key("ed25519")])
    agent.start()
    agent.wait_for("SSL certificate problem")
    time.sleep(0.5)
    assert len(server.pulses) == n and (agent.state / "ca.pem").read_bytes() == scripted.pem(theirs.ca)
    theirs.close()


def test_a_chain_that_does_not_hold_changes_nothing(pair):
    server, agent = pair
    good = list(server.keysets)
    server.publish(signers=[client.make_key("ed25519")], roots=[client.make_key("ed25519")])
    r = server.said(server.order("refresh-keyset"))
    assert (r["state"], r["code"]) == ("failed", "keyset_refused")
    assert server.does("status")["keyset_epoch"] == 1
    assert (agent.state / "keyset.cose").read_bytes() == good[0]
    server.keysets = good
    server.publish()
    assert server.does("refresh-keyset")["keyset_epoch"] == 2


@needs_faketime
def test_without_word_of_the_keyset_only_reads(make):
    server, agent = make(stale_key_hours=1)
    agent.start()
    server.wait(1)
    agent.wait_for("event=pulse ")
    server.does("status")
    agent.kill()
    later = [2 * 3600]
    server.clock = lambda: time.time() + later[0]  # two hours pass, and no server gives the chain
    server.on_chain = lambda after: (503, PROBLEM, b"{}")
    server.line += 1
    server.seq = 0
    n = len(server.pulses)
    agent.start()
    server.wait(n + 1)
    server.refuses("note", "stale_keyset", text="x")
    server.does("status")
    server.on_chain = None
    server.does("refresh-keyset")
    server.does("note", text="fresh again")
    assert len(notes(agent)) == 1


def test_a_damaged_keyset_begins_at_the_pin(make):
    server, agent = make()
    server.publish()
    (agent.state / "keyset.cose").write_bytes(b"not a keyset")
    agent.start()
    server.does("note", text="x")
    assert (agent.state / "keyset.cose").read_bytes() == server.keysets[-1]


def test_a_damaged_keyset_finds_its_pin_behind_others(make):
    """The pinned roots came later, and each page holds one keyset: the walk goes on and does not begin anew with each."""
    server, agent = make()
    first, server.root = server.root, client.make_key("ed25519")
    server.publish(roots=[server.root], signers=[first, server.root])
    server.publish()
    conf = agent.state / "agent.json"
    conf.write_text(json.dumps({**json.loads(conf.read_text()), "root": server.fingerprint().hex()}))
    server.on_chain = lambda after: (200, "application/cbor", cbor2.dumps(server.keysets[after:after + 1]))
    (agent.state / "keyset.cose").write_bytes(b"not a keyset")
    agent.start()
    server.does("note", text="x")
    assert (agent.state / "keyset.cose").read_bytes() == server.keysets[-1] and server.chain_asked <= 8


# ---- the question that waits ----

def test_pulses_are_never_late_for_it(make):
    server, agent = make()
    server.interval = 3
    times = []
    server.script = []
    agent.start()
    for n in range(1, 4):
        server.wait(n)
        times.append(time.monotonic())
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert max(gaps) < 3.6 and min(gaps) > 2.2, gaps
    assert server.questions and all(w <= 2 for _, w in server.questions) and server.connections == 1


def test_a_server_cannot_push_it_out_of_time(make):
    """A front that answers with the year 2076 has every order expire for good, if agents believe it: they ask for the CA's word."""
    server, agent = make()
    server.interval = 1
    server.script = [scripted.accept(skew=50 * 365 * 86400.0)] * 2 + [scripted.accept(skew=240.0 * n) for n in (1, 2)]
    agent.start()
    server.wait(5)
    assert 1 <= len(server.times) <= 4
    server.does("note", text="in time")
    server.does("status")


@pytest.mark.parametrize("what", ["forged", "known"])
def test_a_server_cannot_keep_it_busy(make, what):
    """One that always has something, by nobody's key or the same over and over, is asked ten times a second."""
    server, agent = make()
    server.interval = 3
    stranger, asked = client.make_key("ed25519"), []
    known, _ = server.command("status")

    def always():
        asked.append(time.monotonic())
        given = [known] if what == "known" else [server.command("note", key=stranger, text="x")[0] for _ in range(16)]
        return 200, "application/cbor", obey.delivery({"keyset_epoch": 1, "wait_s": 20, "commands": given})

    server.on_commands = always
    agent.start()
    server.wait(3, 15)
    assert 3 <= len([t for t in asked if asked[0] + 3 < t < asked[0] + 6]) <= 32, len(asked)
    server.on_commands = None
    server.does("note", text="still here")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_it_at_once(pair, sig):
    server, agent = pair
    with server.news:
        assert server.news.wait_for(lambda: server.questions, 5)
    begun = time.monotonic()
    agent.process.send_signal(sig)
    assert agent.process.wait(3) == 0
    assert time.monotonic() - begun < 1
    assert "event=farewell" in agent.log()


def test_other_signals_end_it_too(pair):
    server, agent = pair
    with server.news:
        assert server.news.wait_for(lambda: server.questions, 5)
    begun = time.monotonic()
    assert agent.do("announce", "update").returncode == 0
    assert time.monotonic() - begun < 3 and server.pulses[-1].notice == 3
    n = len(server.pulses)
    agent.process.send_signal(signal.SIGHUP)
    server.wait(n + 1, 5)
    server.does("status")


def test_a_server_that_orders_nothing(make):
    server, agent = make()
    server.interval = 1
    server.on_commands = lambda: (404, PROBLEM, b"{}")
    server.on_chain = lambda after: (404, PROBLEM, b"{}")
    server.queue = [b"x"]  # "one waits"
    agent.start()
    server.wait(4)
    assert agent.log().count("commands_not_given") == 1 and agent.log().count("keyset_not_refreshed") == 1


def test_the_next_server_of_the_list(make):
    first, agent = make()
    second = Ordering()
    try:
        for name in ("ca_key", "ca", "root", "key", "operators", "keysets", "line", "ctx"):
            setattr(second, name, getattr(first, name))
        second.interval = 30
        text = json.loads((agent.state / "agent.json").read_text())
        text["servers"] = f"https://localhost:{first.port},https://localhost:{second.port}"
        (agent.state / "agent.json").write_text(json.dumps(text))
        agent.start()
        data, ident = first.command("note", text="x")
        first.on_receipt = lambda r: None  # dies before the receipt is taken
        first.give(data)
        first.said(ident)
        first.close()
        second.seq = first.seq
        end = time.monotonic() + 20
        while not second.receipts and time.monotonic() < end:
            agent.process.send_signal(signal.SIGUSR1)  # not in half a minute
            time.sleep(0.5)
        assert second.said(ident)["state"] == "done"  # the receipt comes with the next server
        second.give(data)
        second.does("status")
        assert notes(agent) == {ident.hex(): 1}
        assert not second.faults
    finally:
        second.close()


# ---- what can go wrong at the host ----

def test_killed_at_any_moment(make):
    """A sample; the whole of it is script/prove's."""
    server, agent = make()
    server.interval = 1
    agent.start()
    server.wait(1)
    kinds, given = {}, []
    dice = random.Random(4)
    for _ in range(14):
        batch = [server.command(cmd, **kw) for cmd, kw in
                 (("note", {"text": "n"}), ("set-interval", {"seconds": 2}), ("note", {"text": "n"}), ("status", {}))]
        for (data, ident), kind in zip(batch, ("note", "set-interval", "note", "status")):
            kinds[ident] = kind
            given.append(data)
        server.give(*(d for d, _ in batch))
        time.sleep(dice.uniform(0, 0.04))
        agent.kill()
        agent.start()
        server.give(*given)  # everything, again
        time.sleep(dice.uniform(0.05, 0.3))
    server.give(*given)
    for ident, kind in kinds.items():
        r = server.said(ident, seconds=20)
        assert r["state"] in (("done", "unknown") if kind == "note" else ("done",)), (kind, r)
    found = notes(agent)
    assert set(found.values()) <= {1}, found
    for ident, kind in kinds.items():
        states = {r["state"] for r in server.receipts if r["cmd_id"] == ident}
        assert not {"done", "unknown"} <= states, states
        if kind == "note" and "done" in states:
            assert found[ident.hex()] == 1
    positions = [r["position"] for r in server.receipts if r["state"] == "done"]
    assert positions and max(positions) < 10_000


def test_interrupted_in_the_middle_nobody_can_tell(make):
    """STARTED is on disk and nothing behind it: what a kill between effect and DONE leaves."""
    server, agent = make()
    agent.start()
    server.wait(1)
    ident = server.order("note", text="x")
    server.said(ident)
    agent.kill()
    path = agent.state / "journal.bin"
    data = path.read_bytes()
    at, ends = 0, []
    while at < len(data):
        at += 12 + int.from_bytes(data[at:at + 4], "little")
        ends.append(at)
    started = max(i for i, e in enumerate(ends) if data[([0] + ends)[i] + 12] == 3 and
                  data[([0] + ends)[i] + 12 + 1 + 8 + 4 + 16] == 2)
    path.write_bytes(data[:ends[started]])
    n = len(server.receipts)
    agent.start()
    r = server.said(ident, after=n)
    assert (r["state"], r["code"]) == ("unknown", "interrupted")
    assert notes(agent) == {ident.hex(): 1}


def test_a_torn_tail_is_cut(pair):
    server, agent = pair
    data, ident = server.command("note", text="x")
    server.give(data)
    server.said(ident)
    agent.kill()
    with (agent.state / "journal.bin").open("ab") as f:
        f.write(b"\x40\0\0\0\xbf\xff\xff\xff half of a record")
    n = len(server.receipts)
    agent.start()
    server.give(data)
    assert server.said(ident, after=n)["state"] == "done"
    assert "event=journal_tail_cut" in agent.log() and notes(agent) == {ident.hex(): 1}


def test_damage_is_for_people(pair):
    server, agent = pair
    data, ident = server.command("note", text="x")
    server.give(data)
    server.said(ident)
    agent.kill()
    path = agent.state / "journal.bin"
    bad = bytearray(path.read_bytes())
    bad[len(bad) // 3] ^= 4
    path.write_bytes(bad)
    n = len(server.receipts)
    agent.start()
    server.give(data)
    assert server.said(ident, after=n)["code"] == "journal"
    server.refuses("status", "journal")
    assert "event=journal_not_usable" in agent.log()
    r = agent.do("journal", "show")
    assert r.returncode == 4 and "damaged" in r.stdout
    assert agent.do("journal", "reset").returncode == 4  # not while it runs
    agent.kill()
    r = agent.do("journal", "reset")
    assert r.returncode == 0 and (agent.state / "journal.damaged").read_bytes() == bytes(bad), r.stderr
    agent.start()
    n = len(server.receipts)
    server.give(data)  # issued before: it may have been carried out
    r = server.said(ident, after=n)
    assert (r["state"], r["code"]) == ("refused", "replayed")
    server.does("note", text="after")
    assert sorted(notes(agent).values()) == [1, 1]
    agent.stop()
    (path).unlink()  # somebody takes it away
    agent.start()
    server.refuses("status", "journal")


def reserves(folder):
    """Does room that is reserved count against the limit of a file's size here? It does on tmpfs, not on ext4."""
    code = ("import ctypes, os, resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
            "fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, -1)); "
            "sys.exit(ctypes.CDLL(None).fallocate(fd, 1, ctypes.c_long(0), ctypes.c_long(8192)) != 0)")
    probe = folder / "probe"
    try:
        return subprocess.run([sys.executable, "-c", code, str(probe)]).returncode == 1
    finally:
        probe.unlink(missing_ok=True)


def test_a_full_disk(make):
    server, agent = make()
    agent.start()
    server.wait(1)
    size = (agent.state / "journal.bin").stat().st_size
    limit = size + 36000  # one command takes room for 32 KiB beforehand, where the file system knows how
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    states = []
    server.does("note", text="there is room yet")
    # A file system that reserves no room has to be filled.
    while (agent.state / "journal.bin").stat().st_size < limit - 6000 and not reserves(agent.state):
        server.does("collect-inventory")  # its result is kept, and is long
    for _ in range(40):
        r = server.said(server.order("note", text="fill " * 40))
        states.append((r["state"], r["code"]))
        if r["code"] == "journal":
            break
    assert states[-1] == ("refused", "journal"), states
    before = notes(agent)
    data, ident = server.command("note", text="x" * 200)
    server.give(data)
    assert server.said(ident)["code"] == "journal"
    assert notes(agent) == before and (agent.state / "journal.bin").stat().st_size <= limit
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    n = len(server.receipts)
    server.give(data)
    assert server.said(ident, after=n)["state"] == "done"
    again(agent, server)
    assert ours(agent)["journal"]["state"] == "ok" and notes(agent)[ident.hex()] == 1


@needs_faketime
def test_a_clock_set_back_a_day_changes_nothing(make):
    server, agent = make()
    agent.start()
    server.wait(1)
    old, ident = server.command("note", text="x", at=server.now_ms() - 4 * HOUR + MIN // 30, life=4 * HOUR)
    order = obey.read_command(obey.pulse.open1(old, 24576)[3])[0]["order"]
    data, ident = server.command("note", text="y")
    server.give(data)
    server.said(ident)
    agent.wait_for("event=command_ended")
    time.sleep(2.2)  # `old` is over by now
    agent.kill()
    with agent.log_path.open("ab") as log:
        agent.process = subprocess.Popen([str(agent.binary), "run", "--debug"], stderr=log,
                                         env=dict(agent.env, **faketime("-1d")))
    n, m = len(server.pulses), len(server.receipts)
    server.wait(n + 1)
    server.give(data, old)
    assert server.said(ident, after=m)["state"] == "done"
    of_old = obey.read_order(order)["cmd_id"]
    r = server.said(of_old)
    assert (r["state"], r["code"]) in (("refused", "expired"), ("refused", "approval_invalid")), r
    assert notes(agent) == {ident.hex(): 1}
    r = server.said(server.order("note", text="z"))
    assert r["state"] == "done" and r["at_ns"] < time.time_ns() - 80_000 * 10**9  # it says what its clock says
    agent.kill()


# ---- with the real server ----

@pytest.fixture(scope="module")
def real():
    server = Server(config="heartbeat_seconds: 2\nclock:\n  source: trusted\nattestation:\n  mode: audit\n").start()
    try:
        yield server, Authority(server), Orders(server)
        server.stop()
    finally:
        server.destroy()


def test_every_kind_from_the_api_to_the_host_and_back(real, tmp_path):
    server, authority, orders = real
    agent = AgentProgram(tmp_path / "state")
    ident = name("host")
    assert agent.do("init", "--id", ident).returncode == 0
    r = agent.do("enroll", "--server", f"https://localhost:{server.agents}", TROTH_TOKEN=server.make_token())
    assert r.returncode == 0, r.stderr
    epoch = authority.fields()["epoch"]
    assert epoch == ours(agent)["authority"]["epoch"] == 2  # the chain was walked at enrolment
    agent.start()
    try:
        def obeyed(kind, approvals=0, state="done", **fields):
            c = orders.order(kind, ident, **fields)
            for key in authority.operators[:approvals]:
                r = authority.approve(key, orders.bytes(c["id"]))
                assert r.status in (200, 201), r
            until(lambda: orders.get(c["id"])["ended_at"], 10)
            end = orders.get(c["id"])
            assert end["state"] == state, (end, agent.log()[-3000:])
            return end["result"]

        assert obeyed("status")["keyset_epoch"] == epoch
        assert obeyed("collect-inventory")["kernel"] == os.uname().release
        assert obeyed("reattest")["image_on_disk_differs"] is False
        assert obeyed("refresh-keyset")["keyset_epoch"] == epoch
        obeyed("note", 1, text="hello")
        assert obeyed("set-interval", 1, seconds=1)["interval_s"] == 1
        assert obeyed("restart-agent", 1) == {"pid": agent.process.pid}
        before = ours(agent)["identity"]["key_id"]
        assert obeyed("rotate-agent-key", 1)["key_id"] == ours(agent)["identity"]["key_id"] != before
        # Both at once: the restart waits for the new key instead of undoing it.
        agent.process.send_signal(signal.SIGSTOP)
        both = [orders.order(kind, ident)["id"] for kind in ("rotate-agent-key", "restart-agent")]
        for c in both:
            assert authority.approve(authority.operators[0], orders.bytes(c)).status in (200, 201)
        agent.process.send_signal(signal.SIGCONT)
        for c in both:
            until(lambda: orders.get(c)["ended_at"], 15)
            assert orders.state(c) == "done", (orders.get(c), agent.log()[-3000:])
        assert obeyed("quarantine", 2) == {"quarantined": True}
        obeyed("note", 1, "refused", text="no")
        assert obeyed("release", 2) == {"quarantined": False}
        authority.publish()
        until(lambda: ours(agent)["authority"]["epoch"] == epoch + 1, 10)
        assert list(notes(agent).values()) == [1]
        assert all(c["confirmed"] for c in ours(agent)["journal"]["commands"])
        assert agent.stop() == 0
    finally:
        agent.kill()


def test_from_one_installation_to_another_and_back(real, tmp_path):
    """Sequence numbers of one say nothing about those of the other."""
    first, authority, orders = real
    second = Server(config="heartbeat_seconds: 2\nclock:\n  source: trusted\nattestation:\n  mode: audit\n").start()
    agent = AgentProgram(tmp_path / "state")
    ident = name("mover")
    assert agent.do("init", "--id", ident).returncode == 0
    before = agent.state / "journal.before"
    try:
        for server, there in ((first, False), (second, True), (first, True)):
            r = agent.do("enroll", "--server", f"https://localhost:{server.agents}", TROTH_TOKEN=server.make_token())
            assert r.returncode == 0, r.stderr
            assert before.exists() == there and not (agent.state / "journal.bin").exists()
            agent.start()
            o = Orders(server)
            c = o.order("status", ident)
            until(lambda: o.get(c["id"])["ended_at"], 10)
            assert o.state(c["id"]) == "done", agent.log()[-2000:]
            assert agent.stop() == 0
        # Enrolled anew with the same one, what was done stays known.
        r = agent.do("enroll", "--server", f"https://localhost:{first.agents}", TROTH_TOKEN=first.make_token())
        assert r.returncode == 0 and (agent.state / "journal.bin").exists(), r.stderr
    finally:
        agent.kill()
        second.destroy()
