# SPDX-License-Identifier: Apache-2.0
"""A control plane by script that also orders: its keysets, commands and receipts are written and read from docs/protocol
alone (keyset.py, obey.py). What it gives is what the test wants, also what no server would.
"""

import hashlib
import json
import os
import threading
import time

from cryptography.hazmat.primitives import serialization as ser

import cbor2
import client
import keyset
import obey
from scripted import Scripted, accept

MIN, HOUR, DAY_MS = 60_000, 3_600_000, 86_400_000
OK = (200, "application/json", b'{"recorded":true}')
PROBLEM = "application/problem+json"


def digest_of(data):
    """What its receipt will name."""
    try:
        return obey.digest(data)
    except obey.Malformed:
        return hashlib.sha256(data).digest()


class Ordering(Scripted):
    wait_s = 20

    def __init__(self, **kw):
        super().__init__(**kw)
        self.root, self.key = client.make_key("ed25519"), client.make_key("ed25519")
        self.operators = [client.make_key("ed25519") for _ in range(2)]
        self.keysets, self.queue, self.receipts, self.questions, self.chain_asked = [], [], [], [], 0
        self.line, self.seq = int(self.clock() * 1000) - HOUR, 0
        self.on_receipt = self.on_chain = self.on_commands = None
        self.news, self.local = threading.Condition(), threading.local()
        self.connections_seen, self.open, self.asking = set(), {}, 0
        self.publish()

    def now_ms(self):
        return int(self.clock() * 1000)

    # ---- keysets ----

    def publish(self, roots=None, signers=None, cas=None, commands=None, revoke=()):
        """The next keyset; commands: keys instead of self.key."""
        before = keyset.parse(keyset.open_object(self.keysets[-1])[0]) if self.keysets else None
        roots = roots or [self.root]
        keys = [{"role": "ca", "key": c.public_bytes(ser.Encoding.DER)} for c in cas or [self.ca]]
        keys += [{"role": "command", "key": keyset.spki(k)} for k in (commands or [self.key])]
        keys += [{"role": "operator", "key": keyset.spki(k)} for k in self.operators]
        f = {"trust_domain": "e2e.example", "epoch": len(self.keysets) + 1, "issued_ms": self.now_ms() - MIN,
             "expires_ms": self.now_ms() + 365 * DAY_MS, "threshold": 1, "roots": [keyset.spki(r) for r in roots],
             "keys": keys, "revocation_number": (before["revocation_number"] if before else 0) + len(revoke),
             "revoked": sorted((before["revoked"] if before else []) + [keyset.key_id(keyset.spki(k)) for k in revoke])}
        if before:
            f["issued_ms"] = max(f["issued_ms"], before["issued_ms"])
            f["prev_digest"] = keyset.digest(self.keysets[-1])
        with self.news:
            self.keysets.append(keyset.sign(keyset.payload(f), signers or roots))
            self.news.notify_all()
        return f

    def fingerprint(self):
        return keyset.fingerprint(keyset.parse(keyset.open_object(self.keysets[-1])[0]))

    def folder(self, state, agent_id="web-1", **conf):
        a = super().folder(state, agent_id, root=self.fingerprint().hex(), **conf)
        (a.state / "keyset.cose").write_bytes(self.keysets[-1])
        return a

    # ---- what agents ask ----

    def usual(self):
        return accept(epoch=len(self.keysets), wait=self.wait_s, pending=len(self.queue))

    def answer(self, method, path, body, peer, exporter):
        self.local.exporter = exporter
        return super().answer(method, path, body, peer, exporter)

    def other(self, method, path, body, peer):
        if path.startswith("/api/v1/keyset/chain?after="):
            self.chain_asked += 1
            after = int(path.split("=")[1])
            return self.on_chain(after) if self.on_chain else (200, "application/cbor", cbor2.dumps(self.keysets[after:]))
        if path == "/api/v1/agent/receipts":
            r = obey.verify_receipt(body, peer.public_key())
            with self.news:
                self.receipts.append(r)
                self.open.pop(r["command"], None)
                self.news.notify_all()
            return self.on_receipt(r) if self.on_receipt else OK
        assert method == "GET" and path.startswith("/api/v1/agent/commands?wait="), path
        if self.on_commands:
            return self.on_commands()
        return self.question(int(path.split("=")[1]))

    def question(self, wait):
        with self.news:
            self.questions.append((time.monotonic(), wait))
            self.asking += 1
            mine, epoch = self.asking, len(self.keysets)
            if self.local.exporter not in self.connections_seen:  # who took these may not live any more
                self.queue = [c for c in self.open.values() if c not in self.queue] + self.queue
            self.connections_seen.add(self.local.exporter)
            self.news.notify_all()
            self.news.wait_for(lambda: self.queue or len(self.keysets) > epoch or self.asking != mine, wait)
            given, self.queue = (self.queue[:16], self.queue[16:]) if self.asking == mine else ([], self.queue)
            self.open.update((digest_of(c), c) for c in given)
        return 200, "application/cbor", obey.delivery({"keyset_epoch": len(self.keysets), "wait_s": self.wait_s,
                                                       "commands": given})

    # ---- orders ----

    def command(self, cmd, key=None, operators=None, line=None, seq=None, at=None, cmd_id=None, life=None, epoch=1,
                approvals=None, agent="web-1", domain="e2e.example", **fields):
        """→ (bytes, cmd_id). operators: how many approve; default: as many as its class demands."""
        at = at or self.now_ms()
        if seq is None:
            self.seq += 1
            seq = self.seq
        life = life or min(obey.TYPES[cmd][3] if cmd in obey.TYPES else MIN, 4 * HOUR)
        start = fields.get("not_before_ms", at)
        cmd_id = cmd_id or os.urandom(16)
        order = obey.order({"trust_domain": domain, "agent_id": agent, "cmd_id": cmd_id, "cmd": cmd, "ordered_ms": at,
                            "expires_ms": start + life, **fields})
        if approvals is None:
            n = operators if operators is not None else obey.TYPES[cmd][1] if cmd in obey.TYPES else 0
            approvals = [self.approval(k, order, at) for k in self.operators[:n]]
        return obey.command(key or self.key, {
            "order": order, "epoch": epoch, "line": line or self.line, "seq": seq, "issued_ms": at,
            "expires_ms": start + life, "keyset_epoch": 1, "revocation": 0, "approvals": approvals}), cmd_id

    def approval(self, key, order, at, life=30 * MIN):
        return obey.approval(key, {"trust_domain": "e2e.example", "issued_ms": at, "expires_ms": at + life,
                                   "text": "as told", "orders": [obey.order_digest(order)]})

    def give(self, *commands):
        with self.news:
            self.queue += commands
            self.news.notify_all()

    def order(self, cmd, **kw):
        """Gives it; → its id."""
        data, cmd_id = self.command(cmd, **kw)
        self.give(data)
        return cmd_id

    # ---- what came of it ----

    def said(self, cmd_id, states=("done", "failed", "unknown", "refused", "cancelled"), seconds=10, after=0):
        """The first receipt of this id in one of these states, after so many receipts."""
        found = lambda: next((r for r in self.receipts[after:] if r["cmd_id"] == cmd_id and r["state"] in states), None)
        with self.news:
            assert self.news.wait_for(lambda: found() or self.faults, seconds), \
                f"no {states}: {[(r['cmd_id'].hex()[:4], r['state'], r['code']) for r in self.receipts]}"
            assert not self.faults, self.faults
            return found()

    def does(self, cmd, **kw):
        """Orders it and takes the result out of the receipt."""
        r = self.said(self.order(cmd, **kw))
        assert r["state"] == "done", r
        return json.loads(r["result"]) if r["result"] else None

    def refuses(self, cmd, code, **kw):
        r = self.said(self.order(cmd, **kw))
        assert (r["state"], r["code"]) == ("refused", code), r
        return r


def notes(agent):
    """Command id → how many lines it left."""
    path, found = agent.state / "notes.log", {}
    for line in path.read_text().splitlines() if path.exists() else []:
        ident = line.split()[1]
        found[ident] = found.get(ident, 0) + 1
    return found
