# SPDX-License-Identifier: Apache-2.0
"""Keysets written from docs/protocol alone, and what an operator does with them: nothing here uses the product's code."""

import hashlib

import cbor2
from cryptography.hazmat.primitives import serialization as ser

from client import KEYSET, alg_of, b64, key_id, now_ms, sign, spki
from harness import call, context

DOMAIN, EPOCH, ISSUED, EXPIRES, THRESHOLD, ROOTS, KEYS, REVNO, REVOKED, PREV = range(1, 11)
DAY = 86400 * 1000


def payload_of(data):
    return cbor2.loads(cbor2.loads(data).value[2])


def signed(payload, roots):
    body = cbor2.dumps(payload, canonical=True)
    signatures = []
    for root in roots:
        protected = cbor2.dumps({1: alg_of(root), 4: key_id(root)[:16]}, canonical=True)
        tbs = cbor2.dumps(["Signature", b"", protected, KEYSET, body])
        signatures.append([protected, {}, sign(root, alg_of(root), tbs)])
    return cbor2.dumps(cbor2.CBORTag(98, [b"", {}, body, signatures]))


def fingerprint(payload):
    return hashlib.sha256(cbor2.dumps([payload[THRESHOLD], payload[ROOTS]])).digest()


def chain(server, after=0):
    """Every keyset above `after`, as agents fetch them."""
    found = []
    while True:
        r = call(server.agents, "GET", f"/api/v1/keyset/chain?after={after}", tls=context(server.ca))
        assert r.status == 200 and r.headers["Content-Type"] == "application/cbor", r
        page = cbor2.loads(r.body)
        if not page:
            return found
        found += page
        after = payload_of(page[-1])[EPOCH]


class Authority:
    """The holders of a server's root keys."""

    def __init__(self, server):
        self.server = server
        self.roots = [ser.load_pem_private_key((server.dir / "root" / "root.key").read_bytes(), None)]
        self.current = chain(server)[-1]

    def draft(self, **change):
        """The payload of the next keyset. add: [(role, key or DER)], drop: [SPKI or certificate], revoke: [key id]."""
        p = payload_of(self.current)
        p[PREV] = hashlib.sha256(cbor2.loads(self.current).value[2]).digest()
        p[EPOCH] += 1
        p[ISSUED] = max(now_ms(), p[ISSUED])
        p[EXPIRES] = now_ms() + change.pop("days", 365) * DAY
        for role, key in change.pop("add", []):
            der = key if isinstance(key, bytes) else spki(key)
            p[KEYS].append([role, der, now_ms() - DAY, 0, 0])
        for der in change.pop("drop", []):
            p[KEYS] = [k for k in p[KEYS] if k[1] != der]
        gone = change.pop("revoke", [])
        if gone:
            p[REVNO] += 1
            p[REVOKED] = sorted({*p[REVOKED], *gone})
        for der, at in change.pop("no_sign_after", []):
            for k in p[KEYS]:
                if k[1] == der:
                    k[4] = at
        p.update(change)
        return p

    def publish(self, data):
        r = self.server.api("POST", "/api/v1/keyset", {"keyset": b64(data)})
        if r.status == 201:
            self.current = data
        return r

    def next(self, **change):
        """Drafts, signs and publishes the next keyset; what the server answers."""
        r = self.publish(signed(self.draft(**change), self.roots))
        assert r.status == 201, r
        return r.json()


# ---- the server's keys ----

def keys(server, role="command"):
    r = server.api("GET", "/api/v1/admin/keys")
    assert r.status == 200, r
    return sorted((k for k in r.json()["keys"] if k["role"] == role), key=lambda k: k["version"])


def states(server):
    """The states of all command keys, oldest first."""
    return [k["state"] for k in keys(server)]


def make_key(server, name=""):
    r = server.api("POST", "/api/v1/admin/keys", {"role": "command", "name": name})
    assert r.status == 201, r
    return r.json()


def change(server, how, ident, **fields):
    return server.api("POST", f"/api/v1/admin/keys/{ident}/{how}", fields)
