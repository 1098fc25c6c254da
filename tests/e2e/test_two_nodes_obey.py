# SPDX-License-Identifier: Apache-2.0
"""Orders through two nodes that are killed in turn, also in the middle of a key's rotation: nothing that was acknowledged is
lost, nothing is done twice, no number is used again. 100 commands here; with TROTH_LONG=1 a thousand (script/prove nodes)."""

import os
import random
import threading
import time

import pytest

from nodes import Pair
from obeying import Host, Operators, server_commands
from test_obey_storm import Orderer, Watcher, settle
from waiting import until

LONG = os.environ.get("TROTH_LONG") == "1"
COMMANDS = int(os.environ.get("TROTH_COMMANDS", 1000 if LONG else 100))
KILLS = COMMANDS // 12
HOSTS = 6
CONFIG = "heartbeat_seconds: 1\nfronts: 1\nclock:\n  source: trusted\n"


class Both(Host):
    """A machine whose agent knows both nodes."""

    def __init__(self, folder, token, first, second):
        self.pair = [f"https://localhost:{s.agents}" for s in (first, second)]
        super().__init__(first, folder, token)

    def do(self, *args, **kw):
        if args[0] == "enroll":
            args = ("enroll", "--server", ",".join(self.pair))
        return super().do(*args, **kw)


class Rotation(threading.Thread):
    """The key is rotated through this node, which may not outlive it."""

    def __init__(self, operators):
        super().__init__(daemon=True)
        self.operators, self.result = operators, None
        self.start()

    def run(self):
        self.result = self.operators.run("key", "rotate", "--root", self.operators.root, "--wait=60s", timeout=300)


@pytest.fixture
def field(pg, make_server, tmp_path):
    pair = Pair(pg, make_server, config=CONFIG)
    hosts = []
    try:
        one = Operators(pair.a, tmp_path / "op-a")
        two = Operators(pair.b, tmp_path / "op-b", operators=0)
        two.keys, two.root = one.keys, one.root
        token = pair.a.make_token(max_uses=HOSTS)
        for i in range(HOSTS):
            hosts.append(Both(tmp_path / f"h{i}", token, *((pair.a, pair.b) if i % 2 else (pair.b, pair.a))).start())
        yield pair, one, two, hosts
    finally:
        for h in hosts:
            h.kill()
        pair.close()


def primary(server):
    rows = server.api("GET", "/api/v1/admin/keys").json()["keys"]
    return [k["id"] for k in rows if k["role"] == "command" and k["state"] == "primary"]


def test_orders_outlive_a_node(field):
    pair, one, two, hosts = field
    before = primary(pair.a)
    orderers = [Orderer(one, hosts), Orderer(two, hosts)]
    watchers = [Watcher(pair.a), Watcher(pair.b)]
    for t in orderers + watchers:
        t.start()
    rotations, kills, end = [], 0, time.monotonic() + (1800 if LONG else 200)
    while sum(len(o.acknowledged) for o in orderers) < COMMANDS or kills < KILLS:
        assert time.monotonic() < end, (kills, [len(o.acknowledged) for o in orderers])
        for o in orderers:
            assert o.failure is None, o.failure
        time.sleep(random.uniform(0.5, 3))
        victim = (pair.a, pair.b)[kills % 2]
        if kills % 4 == 1:
            # Through the one that dies, and through the one that stays, by turns.
            rotations.append(Rotation(two if kills % 8 == 1 else one))
            time.sleep(random.uniform(0.05, 1))
        victim.kill()
        time.sleep(random.uniform(0, 1))
        victim.start()
        kills += 1
    acknowledged = {}
    for o in orderers:
        o.stopping.set()
    for o in orderers:
        o.join(90)
        assert o.failure is None, o.failure
        acknowledged.update(o.acknowledged)
    for r in rotations:
        r.join(300)
    # However those ended, one more goes through.
    until(lambda: one.run("key", "rotate", "--root", one.root, "--wait=60s", timeout=300).returncode == 0, 300)
    assert primary(pair.a) == primary(pair.b) != before and len(primary(pair.a)) == 1
    commands = settle(pair.a, 240)
    for w in watchers:
        w.stopping.set()
        w.join(30)
        w.look()
        assert not w.changed
    there = server_commands(pair.b)
    assert {i: (c["state"], c["code"]) for i, c in commands.items()} == {i: (c["state"], c["code"]) for i, c in there.items()}
    # Nothing acknowledged is lost, and every number was used once.
    assert not set(acknowledged) - set(commands)
    numbers = [(c["agent"], c["line"], c["seq"]) for c in commands.values() if c["seq"]]
    assert len(numbers) == len(set(numbers))
    # One effect where it was said to be done, never two, none where it was refused.
    notes, wrong = {}, []
    for h in hosts:
        for ident, n in h.notes().items():
            notes[ident] = notes.get(ident, 0) + n
    for ident, c in commands.items():
        if c["type"] == "note":
            n = notes.pop(ident, 0)
            if n > 1 or (c["state"] == "done" and n != 1) or (c["state"] in ("refused", "cancelled") and n):
                wrong.append((ident, c["state"], c["code"], n))
    assert not wrong
    assert not notes, f"notes that nobody ordered: {notes}"
    assert not pair.accused()
    states = {}
    for c in commands.values():
        key = f"{c['type']} {c['state']} {c['code']}".strip()
        states[key] = states.get(key, 0) + 1
    print(f"{kills} kills of a node, {len(rotations)} rotations amid them; {len(acknowledged)} orders acknowledged, "
          f"{sum(o.lost for o in orderers)} sendings unanswered; {dict(sorted(states.items()))}")
    assert states.get("note done", 0) > COMMANDS // 6
