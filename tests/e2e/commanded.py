# SPDX-License-Identifier: Apache-2.0
"""A server with operators in its keyset, and an agent that obeys by script: it asks, verifies what it is given by obey.py, and
says what the test wants. Nothing here uses the product's code but the server itself.
"""

import os
import threading
import time

from cryptography.hazmat.primitives import serialization as ser

import client
import keyset
import obey
from world import name

HOUR = 3_600_000
# Of a server that believes its own clock and lets every agent in.
CONFIG = "clock:\n  source: trusted\nattestation:\n  mode: audit\n"


def now_ms():
    return time.time_ns() // 1_000_000


class Authority:
    """The keyset of a server, changed as its root key allows."""

    def __init__(self, server):
        self.server = server
        self.root = ser.load_pem_private_key((server.dir / "root" / "root.key").read_bytes(), None)
        self.operators = [client.make_key("ed25519") for _ in range(2)]
        self.publish(operators=self.operators)

    def bytes(self):
        r = client.Connection(self.server.agents).request("GET", "/api/v1/keyset")
        assert r.status == 200, r
        return r.body

    def fields(self):
        return keyset.verify_pinned(self.bytes(), bytes.fromhex(self.server.pin), now_ms())

    def publish(self, operators=(), commands=(), revoke=()):
        """The next epoch: with these operators and command keys (SPKI) besides what it names."""
        data = self.bytes()
        f = keyset.verify_pinned(data, bytes.fromhex(self.server.pin), now_ms())
        f["epoch"] += 1
        f["issued_ms"] = now_ms()
        f["prev_digest"] = keyset.digest(data)
        f["keys"] = list(f["keys"]) + [{"role": "operator", "key": keyset.spki(k)} for k in operators] + \
            [{"role": "command", "key": k} for k in commands]
        f["revoked"] = sorted(set(f["revoked"]) | set(revoke))
        f["revocation_number"] += len(revoke)
        signed = keyset.sign(keyset.payload(f), [self.root])
        r = self.server.api("POST", "/api/v1/keyset", {"keyset": client.b64(signed)})
        assert r.status in (200, 201), r
        return signed

    def approval(self, key, orders, text="as told", issued=None, life=30 * 60000, trust_domain="e2e.example"):
        issued = issued or now_ms()
        return obey.approval(key, {"trust_domain": trust_domain, "issued_ms": issued, "expires_ms": issued + life,
                                   "text": text, "orders": [obey.order_digest(o) for o in orders]})

    def approve(self, key, *orders, **kw):
        return self.submit(self.approval(key, orders, **kw))

    def submit(self, approval):
        return self.server.api("POST", "/api/v1/command-approvals", {"approval": client.b64(approval)})


class Obedient(client.Agent):
    """An enrolled agent with a journal in a dictionary."""

    def __init__(self, authority, token, agent_id=None):
        super().__init__(authority.server, agent_id or name("obey"))
        self.authority, self.position, self.high, self.line, self.epoch = authority, 0, 0, 0, 1
        r = self.register(token)
        assert r.status == 201, r
        self.conn = None

    def up(self):
        if self.conn is None:
            self.conn = self.mtls()
        return self.conn

    def down(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def ask(self, wait=0):
        """The raw answer to one question."""
        return self.up().request("GET", f"/api/v1/agent/commands?wait={wait}")

    def fetch(self, wait=0):
        """What was handed out, verified: [(bytes, command's fields, order's fields)]."""
        return self.read(self.ask(wait))

    def read(self, r):
        assert r.status == 200, r
        d = obey.read_delivery(r.body)
        self.told = d
        ks = self.authority.fields()
        found = []
        for c in d["commands"]:
            why, authentic, f, o = obey.verify_command(c, {"trust_domain": "e2e.example", "agent_id": self.node_id,
                                                           "epoch": self.epoch, "keyset": ks, "now_ms": now_ms()})
            assert (why, authentic) == (None, True), (why, o)
            self.line, self.high = f["line"], max(self.high, f["seq"])
            found.append((c, f, o))
        return found

    def one(self, wait=0):
        got = self.fetch(wait)
        assert len(got) == 1, got
        return got[0]

    def receipt(self, command, state, code="", result="", position=None, key=None, **change):
        """command: as fetch gave it."""
        c, f, o = command
        if position is None:
            self.position += 1
            position = self.position
        fields = {"agent_id": self.node_id, "cmd_id": o["cmd_id"], "command": obey.digest(c), "line": f["line"],
                  "seq": f["seq"], "state": state, "at_ns": time.time_ns(), "position": position,
                  "keyset_epoch": f["keyset_epoch"], "high": max(self.high, f["seq"]), "code": code, "result": result}
        return obey.receipt(key or self.key, {**fields, **change})

    def say(self, command, state, *args, **kw):
        return self.send(self.receipt(command, state, *args, **kw))

    def send(self, receipt):
        return self.up().request("POST", "/api/v1/agent/receipts", receipt, {"Content-Type": "application/cose"})

    def said(self, command, state, *args, **kw):
        r = self.say(command, state, *args, **kw)
        assert (r.status, r.json()) == (200, {"recorded": True}), r

    def waiting(self, wait=20):
        """A question on a connection of its own, answered in the background: .answer and .took."""
        return Question(self, wait)


class Question:
    def __init__(self, agent, wait):
        self.conn = agent.mtls()
        self.answer = None
        self.thread = threading.Thread(target=self.run, args=(wait,), daemon=True)
        self.begun = time.monotonic()
        self.thread.start()

    def run(self, wait):
        try:
            self.answer = self.conn.request("GET", f"/api/v1/agent/commands?wait={wait}")
        except ConnectionError as e:
            self.answer = e
        self.ended = time.monotonic()

    def end(self, seconds=10):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "the question still waits"
        self.took = self.ended - self.begun
        return self.answer

    def commands(self, seconds=10):
        r = self.end(seconds)
        assert r.status == 200, r
        return obey.read_delivery(r.body)["commands"]


class Orders:
    """What an operator does, by the API."""

    def __init__(self, server):
        self.server = server

    def post(self, kind, agents=None, **fields):
        if agents is not None:
            fields["agents"] = ",".join(a if isinstance(a, str) else a.node_id for a in agents)
        return self.server.api("POST", "/api/v1/commands", dict(type=kind, **fields))

    def order(self, kind, agent, **fields):
        """One command's JSON."""
        r = self.post(kind, [agent], **fields)
        assert r.status == 201, r
        (c,) = r.json()["commands"]
        return c

    def get(self, ident):
        r = self.server.api("GET", f"/api/v1/commands/{ident}")
        assert r.status == 200, r
        return r.json()

    def state(self, ident):
        return self.get(ident)["state"]

    def bytes(self, ident):
        """The order's bytes."""
        return client.base64.b64decode(self.get(ident)["order"])

    def change(self, ident, how, **fields):
        return self.server.api("POST", f"/api/v1/commands/{ident}/{how}", fields)

    def list(self, **query):
        q = "&".join(f"{k}={v}" for k, v in query.items())
        r = self.server.api("GET", f"/api/v1/commands?{q}")
        assert r.status == 200, r
        return r.json()

    def events(self, agent=None, kind=None):
        q = "&".join(f"{k}={v}" for k, v in (("agent", agent and agent.node_id), ("kind", kind)) if v)
        return self.server.api("GET", f"/api/v1/events?{q}").json()["events"]

    def alerts(self, kind, agent):
        rows = self.server.api("GET", "/api/v1/alerts?limit=500").json()["alerts"]
        return [a for a in rows if a["kind"] == kind and a["subject"] == f"agent:{agent.node_id}"]


def raw_command(authority, key, agent, cmd="status", line=1, seq=1, approvals=(), cmd_id=None, **change):
    """A command by whatever key: what somebody else would make. → as fetch gives it."""
    t = now_ms()
    o = {"trust_domain": "e2e.example", "agent_id": agent.node_id, "cmd_id": cmd_id or os.urandom(16), "cmd": cmd,
         "ordered_ms": t, "expires_ms": t + 4 * 60000, **change}
    order = obey.order(o)
    f = {"order": order, "epoch": 1, "line": line, "seq": seq, "issued_ms": t, "expires_ms": o["expires_ms"],
         "keyset_epoch": authority.fields()["epoch"], "revocation": 0, "approvals": list(approvals)}
    return obey.command(key, f), f, o
