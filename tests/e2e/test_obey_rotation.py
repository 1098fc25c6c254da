# SPDX-License-Identifier: Apache-2.0
"""Command keys change while commands flow: three rotations and one emergency, a fleet of real agents (CK-4, CK-5, CK-9). 24
agents here; with TROTH_LONG=1 a thousand (script/prove rotation)."""

import collections
import datetime
import os
import re
import threading
import time

import pytest

from harness import Server
from obeying import Host, Operators, server_commands

LONG = os.environ.get("TROTH_LONG") == "1"
HOSTS = int(os.environ.get("TROTH_HOSTS", 1000 if LONG else 24))
BEAT_S = 5 if HOSTS < 200 else 30
# What a refusal may be called here: the agent knew better than the key, the server said so first, or time ran out.
NAMED = {"revoked_key", "retired_key", "expired", ""}


class Flow(threading.Thread):
    """Notes to every agent, one batch after the other."""

    def __init__(self, operators, hosts):
        super().__init__(daemon=True)
        self.operators, self.hosts, self.sent, self.failure = operators, hosts, [], None
        self.stopping = threading.Event()

    def run(self):
        try:
            while not self.stopping.is_set():
                for at in range(0, len(self.hosts), 500):
                    ids = self.operators.send("note", [h.id for h in self.hosts[at:at + 500]], "--text", "flow")
                    assert ids is not None, "an order was not taken"
                    self.sent += ids
                time.sleep(0.5 if HOSTS < 200 else 15)
        except Exception as e:
            self.failure = e


def keys(operators, **want):
    rows = operators.server.api("GET", "/api/v1/admin/keys").json()["keys"]
    return [k for k in rows if all(k[m] == v for m, v in want.items())]


def at_ms(line):
    when = re.search(r"time=(\S+)Z ", line)[1]
    return datetime.datetime.fromisoformat(when).replace(tzinfo=datetime.timezone.utc).timestamp() * 1000


@pytest.fixture
def field(tmp_path):
    server = Server(config=f"heartbeat_seconds: {BEAT_S}\nfronts: 2\nclock:\n  source: trusted\n").start()
    hosts = []
    try:
        operators = Operators(server, tmp_path / "op")
        token = server.make_token(max_uses=HOSTS)
        for i in range(HOSTS):
            hosts.append(Host(server, tmp_path / f"h{i}", token, f"r{i:04}").start())
        yield server, operators, hosts
    finally:
        for h in hosts:
            h.kill()
        server.destroy()


def rotate(operators):
    was = keys(operators, role="command", state="primary")[0]["id"]
    operators.must("key", "rotate", "--root", operators.root, "--wait=120s", timeout=600)
    now = keys(operators, role="command", state="primary")[0]["id"]
    assert now != was
    return was


def revoke(operators):
    """The emergency: the primary key is no more, and a keyset says so to everybody. Times in Unix ms."""
    was = keys(operators, role="command", state="primary")[0]["id"]
    operators.must("key", "create", "--role", "command")
    spare = keys(operators, role="command", state="prepared")[0]["id"]
    operators.publish("--add-key", spare)
    began = time.time() * 1000
    operators.must("key", "revoke", was, "--reason", "drill")
    operators.publish("--revoke", was)
    published = time.time() * 1000
    assert keys(operators, role="command", state="primary")[0]["id"] == spare
    return was, began, published


def reached(host, epoch):
    """When the agent had this keyset, by its log."""
    for line in host.log().splitlines():
        m = re.search(r"event=keyset_updated.* epoch=(\d+)", line)
        if m and int(m[1]) >= epoch:
            return at_ms(line)
    return None


def test_rotation_under_load(field):
    server, operators, hosts = field
    flow = Flow(operators, hosts)
    flow.start()
    for _ in range(3):
        rotate(operators)
        time.sleep(1)
    revoked, began, published = revoke(operators)
    epoch = server.api("GET", "/api/v1/admin/keys").json()["keyset"]["epoch"]
    time.sleep(3 if HOSTS < 200 else 40)
    flow.stopping.set()
    flow.join(120)
    assert flow.failure is None, flow.failure

    end = time.monotonic() + 2 * BEAT_S + 60
    while time.monotonic() < end:
        commands = server_commands(server)
        if all(c["ended_at"] for c in commands.values()):
            break
        time.sleep(1)
    assert not set(flow.sent) - set(commands)
    states = collections.Counter((c["state"], c["code"]) for c in commands.values())
    assert {s for s, _ in states} <= {"done", "refused", "expired"} and {c for _, c in states} <= NAMED, states

    # Exactly one effect, or a named refusal.
    wrong, late, reach = [], [], []
    for h in hosts:
        notes = h.notes()
        when = reached(h, epoch)
        assert when, f"{h.id} never had keyset {epoch}"
        reach.append(when - published)
        for ident, c in commands.items():
            if c["agent"] == h.id and notes.get(ident, 0) != (c["state"] == "done"):
                wrong.append((ident, c["state"], notes.get(ident, 0)))
        # What ran by the word of the revoked key ran before the agent knew.
        for line in h.log().splitlines():
            if "event=command_ended" in line and f"kid={revoked[:32]}" in line and "state=done" in line:
                if at_ms(line) > when:
                    late.append(line)
    assert not wrong
    assert not late
    # Nobody lost contact on the way.
    for h in hosts:
        row = server.api("GET", f"/api/v1/agents/{h.id}").json()
        assert row["verdict"] == "ok", row
    assert not server.api("GET", "/api/v1/events?kind=verdict_changed&limit=500").json()["events"] or all(
        "lost" not in str(e["detail"]) and "missed" not in str(e["detail"])
        for e in server.api("GET", "/api/v1/events?kind=verdict_changed&limit=500").json()["events"])
    reach.sort()
    print(f"{len(hosts)} agents, {len(commands)} commands {dict(states)}; from the revocation to its keyset in force "
          f"{published - began:.0f} ms; from there to the agents: median {reach[len(reach) // 2]:.0f} ms, "
          f"last {reach[-1]:.0f} ms")
