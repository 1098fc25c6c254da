# SPDX-License-Identifier: Apache-2.0
"""kill -9 of agents, roles and the whole server while commands of every kind are on their way (CK-7, CK-8). 100 kills here;
with TROTH_LONG=1 a thousand (script/prove obey)."""

import http.client
import os
import random
import signal
import threading
import time

import pytest

from harness import Server
from obeying import Host, Operators, server_commands

LONG = os.environ.get("TROTH_LONG") == "1"
KILLS = int(os.environ.get("TROTH_KILLS", 1000 if LONG else 100))
HOSTS = 8
OVER = ("done", "failed", "unknown", "refused", "expired", "cancelled")
# kind, arguments: every kind of effect there is.
KINDS = [("note", ("--text", "storm")), ("note", ("--text", "storm")), ("set-interval", ("--seconds", "1")),
         ("status", ()), ("restart-agent", ()), ("rotate-agent-key", ())]


class Orderer(threading.Thread):
    """Orders all the time, whatever happens to the server; what was acknowledged is remembered."""

    def __init__(self, operators, hosts):
        super().__init__(daemon=True)
        self.operators, self.hosts = operators, hosts
        self.acknowledged, self.lost, self.stopping, self.failure = {}, 0, threading.Event(), None

    def run(self):
        try:
            while not self.stopping.is_set():
                kind, args = random.choice(KINDS)
                ids = self.operators.send(kind, [h.id for h in self.hosts], *args, "--expires", "45s",
                                          **({"keys": []} if kind == "status" else {}))
                if ids is None:
                    self.lost += 1
                    time.sleep(0.2)
                for i in ids or []:
                    self.acknowledged[i] = kind
        except Exception as e:  # shown by the test, not lost in the thread
            self.failure = e


class Watcher(threading.Thread):
    """What was once over stays as it was."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.over, self.changed, self.stopping = server, {}, [], threading.Event()

    def look(self):
        for ident, c in server_commands(self.server).items():
            if c["state"] in ("done", "failed", "unknown", "refused"):
                was = self.over.setdefault(ident, c["state"])
                if was != c["state"]:
                    self.changed.append((ident, was, c["state"]))

    def run(self):
        while not self.stopping.is_set():
            try:
                self.look()
            except (OSError, AssertionError, http.client.HTTPException):  # it is being killed
                pass
            time.sleep(1)


def kill_something(server, hosts):
    if random.random() < 0.65:
        host = random.choice(hosts)
        host.kill()
        time.sleep(random.uniform(0, 0.1))
        host.start()
        return "agent"
    roles = server.roles()
    if random.random() < 0.2 or not roles:
        server.kill()
        server.start()
        return "server"
    pid = random.choice(list(roles))
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return roles[pid]


def settle(server, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        commands = server_commands(server)
        open_ = [c for c in commands.values() if c["state"] not in OVER]
        if not open_:
            return commands
        time.sleep(0.5)
    raise AssertionError(f"still open: {[(c['id'], c['agent'], c['type'], c['state']) for c in open_][:20]}")


@pytest.fixture
def field(tmp_path):
    server = Server(config="heartbeat_seconds: 1\nfronts: 2\nclock:\n  source: trusted\n").start()
    hosts = []
    try:
        operators = Operators(server, tmp_path / "op")
        token = server.make_token(max_uses=HOSTS)
        for i in range(HOSTS):
            hosts.append(Host(server, tmp_path / f"h{i}", token).start())
        yield server, operators, hosts
    finally:
        for h in hosts:
            h.kill()
        server.destroy()


def test_kills_while_commands_are_on_their_way(field):
    server, operators, hosts = field
    orderers, watcher = [Orderer(operators, hosts) for _ in range(3)], Watcher(server)
    for o in orderers:
        o.start()
    watcher.start()
    killed = {}
    for _ in range(KILLS):
        time.sleep(random.uniform(0.05, 0.6))
        what = kill_something(server, hosts)
        killed[what] = killed.get(what, 0) + 1
    acknowledged, lost = {}, 0
    for o in orderers:
        o.stopping.set()
    for o in orderers:
        o.join(60)
        assert o.failure is None, o.failure
        acknowledged.update(o.acknowledged)
        lost += o.lost
    server.wait_ready(30)
    commands = settle(server, 240)
    watcher.stopping.set()
    watcher.join(30)
    watcher.look()

    # Nothing acknowledged is lost, and nothing that was over changed.
    assert not set(acknowledged) - set(commands)
    assert not watcher.changed
    # Every number once.
    numbers = [(c["agent"], c["line"], c["seq"]) for c in commands.values() if c["seq"]]
    assert len(numbers) == len(set(numbers))
    # No note twice; one where it was said to be done; none where the agent never began.
    notes = {}
    for h in hosts:
        for ident, n in h.notes().items():
            notes[ident] = notes.get(ident, 0) + n
    wrong = []
    for ident, c in commands.items():
        if c["type"] != "note":
            continue
        n, state = notes.pop(ident, 0), c["state"]
        if n > 1 or (state == "done" and n != 1) or (state in ("refused", "cancelled") and n):
            wrong.append((ident, state, c["code"], n))
    assert not wrong
    assert not notes, f"notes that nobody ordered: {notes}"
    # A restarted server and a restarted agent agree on what happened: the rotations done are the keys changed.
    by_state = {}
    for c in commands.values():
        key = (c["type"], f"{c['state']} {c['code']}".strip())
        by_state[key] = by_state.get(key, 0) + 1
    print(f"kills {killed}; orders acknowledged {len(acknowledged)}, sendings unanswered {lost}; "
          f"{ {f'{t} {s}': n for (t, s), n in sorted(by_state.items())} }")
    assert by_state.get(("note", "done"), 0) > 20
