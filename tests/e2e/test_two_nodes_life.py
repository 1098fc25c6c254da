# SPDX-License-Identifier: Apache-2.0
"""Two nodes and what may happen to them: one is killed, the database goes away, alerts are told by one of them."""

import os
import signal
import time

import pytest

from nodes import ACCUSING, Hook, Pair, Roamer, alerts, events, holds, ready, verdict
from pg import CONFIG
from waiting import until

OTHER = bytes([9]) * 32


@pytest.fixture
def hook():
    h = Hook()
    yield h
    h.close()


@pytest.fixture
def pair(pg, make_server, hook):
    p = Pair(pg, make_server, config=CONFIG + hook.config())
    yield p
    p.close()


def roamers(pair, n):
    return [Roamer(pair.world.enrol(), [pair.a, pair.b], at=i % 2) for i in range(n)]


def all_well(pair, some, server):
    return all(verdict(server, r.agent.node_id)["verdict"] == "ok" for r in some)


def test_alerts_are_told_once(pair, hook):
    until(lambda: pair.holder(), 5)
    holder = pair.holder()
    other = pair.b if holder is pair.a else pair.a
    r = Roamer(pair.world.enrol(), [other])
    ident, subject = r.agent.node_id, f"agent:{r.agent.node_id}"
    until(lambda: verdict(holder, ident)["verdict"] == "ok", 8)
    # Found by the one that does not tell, told by the one that does.
    r.agent.sha256 = OTHER
    until(lambda: hook.of(subject, "firing"), 5)
    row = until(lambda: alerts(holder, state="open"), 2)[0]
    assert row["kind"] == "binary_changed" and row["subject"] == subject
    assert [a["id"] for a in alerts(other, state="open")] == [row["id"]]
    # Answered at one, known at both.
    assert other.api("POST", f"/api/v1/alerts/{row['id']}/ack", {}).status == 200
    until(lambda: alerts(holder)[0]["state"] == "acknowledged", 2)
    # An operator's word at the node that the agent does not speak to.
    until(lambda: verdict(holder, ident)["verdict"] == "unknown_binary", 8)
    got = holder.api("POST", f"/api/v1/agents/{ident}/accept", {"reason": "test"})
    assert got.status == 200, got
    until(lambda: verdict(other, ident)["verdict"] == "ok", 3)
    until(lambda: hook.of(subject, "resolved"), 5)
    time.sleep(7)  # another sweep, and its news
    assert r.end() > 5
    for s in (holder, other):
        assert verdict(s, ident)["verdict"] == "ok", verdict(s, ident)
        assert not alerts(s, state="open")
    told = hook.of(subject)
    assert len(told) == len(set(told)), told
    assert len(events(holder, "binary_changed")) == 1


def test_the_holder_is_killed(pair, hook):
    until(lambda: pair.holder(), 5)
    holder = pair.holder()
    other = pair.b if holder is pair.a else pair.a
    some = roamers(pair, 8)
    until(lambda: all_well(pair, some, pair.a) and all_well(pair, some, pair.b), 12)
    killed = time.monotonic()
    holder.kill()
    # Its agents go to the other node, which is alone and knows them all.
    before = [r.accepted for r in some]
    until(lambda: all(r.accepted > b + 2 for r, b in zip(some, before)), 10)
    # What the survivor finds meanwhile waits for the lease, and is told then.
    bad = some[0]
    bad.agent.sha256 = OTHER
    until(lambda: holds(other), 25)
    assert time.monotonic() - killed > 8, "the lease was not the dead node's any more"
    until(lambda: hook.of(f"agent:{bad.agent.node_id}", "firing"), 5)
    holder.start()
    until(lambda: ready(other)["nodes"] == 2, 8)
    assert holds(other) and not holds(holder)
    # And back: the other one goes in good order, so the lease is free at once.
    stopped = time.monotonic()
    other.stop()
    until(lambda: holds(holder), 9)
    assert time.monotonic() - stopped < 10
    before = [r.accepted for r in some]
    until(lambda: all(r.accepted > b + 2 for r, b in zip(some, before)), 10)
    for r in some:
        r.end()
    accused = [e for e in events(holder, *ACCUSING) if e["agent"] != bad.agent.node_id]
    assert not accused, accused
    assert len([e for e in events(holder, "binary_changed")]) == 1
    assert all_well(pair, some[1:], holder)
    lost = [e for e in events(holder, "verdict_changed") if '"lost"' in str(e["detail"]) or "lost" in str(e["detail"].get("to", ""))]
    assert not lost, lost
    assert not [t for t in hook.told if t[0] in ("silence", "partition_silent")], hook.told
    told = hook.of(f"agent:{bad.agent.node_id}")
    assert len(told) == len(set(told)), told
    other.start()


def test_a_holder_that_sleeps_wakes_as_none(pair, hook):
    """A machine that was suspended believes nothing of before: its lease has ended by its own clock, too."""
    until(lambda: pair.holder(), 5)
    holder = pair.holder()
    other = pair.b if holder is pair.a else pair.a
    pids = [holder.process.pid, *holder.roles()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: holds(other), 25)
        # Whoever slept in the middle of a commit must not keep the others from theirs.
        until(lambda: other.api("POST", "/api/v1/tokens", {"note": "x"}).status == 201, 5)
        agent = pair.world.good()
        agent.server = other
        assert agent.register(pair.world.token).status == 201
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert not (holds(holder) and holds(other))
        time.sleep(0.05)
    until(lambda: verdict(holder, agent.node_id), 10)
    until(lambda: holder.api("POST", "/api/v1/tokens", {"note": "x"}).status == 201, 10)
    assert holds(other) and not holds(holder)
    assert not pair.accused()
    assert not hook.told, hook.told


def test_the_database_is_away(pair, hook):
    until(lambda: pair.holder(), 5)
    some = roamers(pair, 8)
    until(lambda: all_well(pair, some, pair.a) and all_well(pair, some, pair.b), 12)
    pair.pg.stop()
    gone = time.monotonic()
    before = [r.accepted for r in some]
    # Nothing durable, but pulses are judged.
    until(lambda: pair.a.api("POST", "/api/v1/tokens", {"note": "x"}).status == 503, 5)
    while time.monotonic() - gone < 17:
        time.sleep(0.5)
    # The lease is over by both nodes' own clocks.
    assert not holds(pair.a) and not holds(pair.b)
    while time.monotonic() - gone < 20:
        time.sleep(0.2)
    assert all(r.accepted > b + 10 for r, b in zip(some, before)), [(r.accepted, b) for r, b in zip(some, before)]
    pair.pg.start()
    until(lambda: pair.holder(), 15)
    until(lambda: pair.a.api("POST", "/api/v1/tokens", {"note": "x"}).status == 201, 10)
    late = pair.world.enrol()
    until(lambda: verdict(pair.b, late.node_id), 2)
    until(lambda: all_well(pair, some, pair.a) and all_well(pair, some, pair.b), 20)
    for r in some:
        r.end()
    assert not pair.accused()
    assert sum(r.moves for r in some) == 0, "the nodes were there all the time"
    assert not [t for t in hook.told if t[0] in ("silence", "partition_silent")], hook.told
    both = {s: holds(s) for s in (pair.a, pair.b)}
    assert sum(both.values()) == 1
