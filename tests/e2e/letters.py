# SPDX-License-Identifier: Apache-2.0
"""Letters through the hub's mailbox, and the pre-keys that they are sealed to: agents in Python, from docs/protocol alone."""

import hashlib
import json
import os
import time

import cbor2
from cryptography.hazmat.primitives.asymmetric import x25519

import messages
from messages import raw

FLEET = "e2e.example"


class Mail:
    """What an agent needs to be written to, and to write."""

    def __init__(self, agent):
        self.agent, self.seq = agent, 0
        self.secret = x25519.X25519PrivateKey.generate()
        self.conn = agent.mtls()

    def prekey(self, number=1, begin=0, life=2 * 86400, key=None, agent=None, fleet=FLEET):
        now = int(time.time()) + begin
        return messages.prekey({"fleet": fleet, "agent": agent or self.agent.node_id, "number": number,
                                "key": raw(self.secret.public_key()), "not_before": now, "not_after": now + life},
                               key or self.agent.key)

    def publish(self, body=None, **kw):
        return self.conn.request("PUT", "/api/v1/agent/prekey", body or self.prekey(**kw), {"Content-Type": "application/cose"})

    def seal(self, to, text=b"hello", life=3600, sender=None, recipient=None):
        self.seq += 1
        now = int(time.time())
        return messages.seal({"fleet": FLEET, "sender": sender or self.agent.node_id,
                              "recipient": recipient or to.agent.node_id, "id": os.urandom(16), "line": 1, "seq": self.seq,
                              "issued": now, "expires": now + life, "type": "text/plain", "body": text}, self.agent.key,
                             raw(to.secret.public_key()))

    def send(self, to, envelope=None, conn=None, path=None, **kw):
        return (conn or self.conn).request("POST", path or f"/api/v1/mailbox/{to.agent.node_id}", envelope or self.seal(to, **kw),
                                           {"Content-Type": "application/cbor"})

    def fetch(self, wait=0, conn=None):
        r = (conn or self.conn).request("GET", f"/api/v1/mailbox?wait={wait}")
        assert r.status == 200 and r.headers["content-type"] == "application/cbor", r
        return cbor2.loads(r.body)

    def ack(self, *envelopes):
        ids = ",".join(hashlib.sha256(e).digest()[:16].hex() for e in envelopes)
        return self.conn.request("POST", "/api/v1/mailbox-acks", json.dumps({"ids": ids}).encode(),
                                 {"Content-Type": "application/json"})
