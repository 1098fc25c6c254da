# SPDX-License-Identifier: Apache-2.0
"""What the tests of admission share: the documented refusals, and one way to provoke each of them."""

import collections
import contextlib
import hashlib
import itertools
import os
import re
import time

from client import (CLAIM, Agent, claim_payload, csr, key_id, make_key, native_body, now_ms, original_body, public_pem,
                    release, sign1)
from harness import ROOT

README = (ROOT / "docs" / "protocol" / "README.md").read_text()
# code → (HTTP status, tolerated in audit mode, sentence), read from the documentation's table.
REFUSALS = {m[1]: (int(m[2]), m[3] == "yes", m[4])
            for m in re.finditer(r"^\| `([a-z_]+)` \| (\d{3}) \| (yes|no) \| (.+?) \|$", README, re.M)}
assert len(REFUSALS) == 23, sorted(REFUSALS)

_names = itertools.count(1)


def name(prefix="a"):
    return f"{prefix}-{os.getpid()}-{next(_names)}"


class World:
    """A running server with one good release key, one revoked one, and a token for many uses.

    It counts what it saw refused and admitted; check_metrics() compares that with the server's counters.
    """

    def __init__(self, server):
        self.server = server
        self.refused, self.admitted, self.tolerated = {}, 0, 0
        self.release_key = make_key("ed25519")
        self.unknown_key = make_key("ed25519")
        self.revoked_key = make_key("ed25519")
        self.add_key(self.release_key)
        self.end_key("revoke", self.add_key(self.revoked_key))
        self.token = server.make_token(max_uses=5000, ttl_s=86400)
        self.recent = collections.deque(maxlen=40)

    # ---- operator's side ----

    def add_key(self, key, **fields):
        """The id; fields: use, name, not_before, not_after."""
        r = self.server.api("POST", "/api/v1/verification-keys", dict({"use": "release", "pem": public_pem(key)}, **fields))
        assert r.status == 201, r
        assert r.json()["id"] == key_id(key).hex()
        return r.json()["id"]

    def end_key(self, how, ident, **fields):
        r = self.server.api("POST", f"/api/v1/verification-keys/{ident}/{how}", fields)
        assert r.status == 200, r
        return r.json()

    def key(self, ident):
        keys = self.server.api("GET", "/api/v1/verification-keys").json()["verification_keys"]
        return next(k for k in keys if k["id"] == ident)

    @contextlib.contextmanager
    def policy(self, **fields):
        """A policy for a while; everything is cleared afterwards."""
        r = self.server.api("PUT", "/api/v1/policy", fields)
        assert r.status == 200, r
        try:
            yield
        finally:
            clear = {"mode": "enforce", "accept": "native", "min_tier": "self-asserted"}
            r = self.server.api("PUT", "/api/v1/policy", {k: clear.get(k, "-") for k in fields})
            assert r.status == 200, r

    def agent(self, ident):
        """The agent's row, or None."""
        r = self.server.api("GET", f"/api/v1/agents/{ident}")
        assert r.status in (200, 404), r
        return r.json() if r.status == 200 else None

    def ids(self):
        found, cursor = set(), ""
        while True:
            r = self.server.api("GET", f"/api/v1/agents?limit=500{'&cursor=' + cursor if cursor else ''}").json()
            found |= {a["id"] for a in r["agents"]}
            cursor = r["next_cursor"]
            if not cursor:
                assert len(found) == r["total"]
                return found

    def token_row(self, token):
        hashed = hashlib.sha256(token[:26].encode()).hexdigest()
        return next(t for t in self.server.api("GET", "/api/v1/tokens").json()["tokens"] if t["id"] == hashed[:8])

    # ---- agent's side ----

    def good(self, node_id=None, kind="ed25519", **kw):
        """An agent that the server should admit."""
        a = Agent(self.server, node_id or name(), kind, **kw)
        a.statement = release(self.release_key, a.sha256, a.version)
        return a

    def enrol(self, **kw):
        a = self.good(**kw)
        self.is_admitted(a.register(self.token))
        return a

    # ---- what must be seen ----

    def last_audit(self):
        """Of a registration: alerts and the end of a policy may have come after it."""
        return next(r for r in self.server.audit(limit=8) if r["action"] == "agent.register")

    def is_admitted(self, r, verdict="admitted", would_refuse=None):
        assert r.status == 201, r
        got = r.json()
        assert got["status"] == "registered" and got["verdict"] == verdict, got
        assert got.get("would_refuse") == would_refuse, got
        self.admitted += 1
        self.tolerated += would_refuse is not None
        row = self.server.attestations(limit=1)[0]
        assert row["outcome"] == verdict and row["reason"] == (would_refuse or "ok"), row
        assert row["node_id"] == got["agent_id"]
        audit = self.last_audit()
        assert (audit["object"], audit["outcome"]) == (got["agent_id"], verdict), audit
        return got

    def is_refused(self, r, code, node_id=None):
        """BA-4, BA-6, BA-11: status, code, sentence; a record of it, an audit row, and no agent."""
        status, _, sentence = REFUSALS[code]
        assert r.status == status, (code, r)
        assert r.headers.get("content-type") == "application/problem+json"
        p = r.json()
        assert p["code"] == p["error"] == code and p["status"] == status, p
        assert p["detail"] == sentence and len(sentence) > 40, p
        assert p["title"] and p["request_id"] and p["server_time"], p
        row = self.server.attestations(limit=1)[0]
        assert row["outcome"] == "refused" and row["reason"] == code, row
        audit = self.last_audit()
        assert (audit["outcome"], audit["reason"]) == ("refused", code), audit
        if node_id:
            assert self.agent(node_id) is None, f"{node_id} was refused ({code}) and has a row"
        self.refused[code] = self.refused.get(code, 0) + 1
        # The server records 50 refusals a second and counts the rest: stay below.
        if len(self.recent) == 40 and time.monotonic() - self.recent[0] < 1.1:
            time.sleep(1.1)
        self.recent.append(time.monotonic())
        return p

    def check_metrics(self):
        """BA-9 over everything that this world saw."""
        m, n = self.server.metrics().__getitem__, sum(self.refused.values())
        assert m('flux_attestation_verifications_total{result="success"}') == self.admitted
        assert m('flux_attestation_verifications_total{result="failure"}') == n
        assert m("flux_attestation_rejections_total") == n
        assert m("flux_attestation_verification_duration_seconds_count") == n + self.admitted
        assert m("troth_registrations_total") == self.admitted
        assert m("troth_audit_admissions_total") == self.tolerated
        for code in REFUSALS:
            assert m(f'troth_refusals_total{{reason="{code}"}}') == self.refused.get(code, 0), code


# ---- one way to each refusal ----
# Each gets (world, agent, connection, cleanup) and returns body and token for that connection. The agent is a good one.

def malformed(w, a, c, _):
    p = claim_payload(a.key, c.challenge(), c.exporter(), a.node_id, a.sha256, statement=a.statement)
    p[-65599] = 1
    return native_body(csr(a.key), sign1(a.key, CLAIM, p)), w.token


def bad_signature(w, a, c, _):
    claim = bytearray(a.claim(c))
    claim[-1] ^= 1
    return native_body(csr(a.key), bytes(claim)), w.token


def unknown_key(w, a, c, _):
    return a.body(c, statement=release(w.unknown_key, a.sha256)), w.token


def clock_desync(w, a, c, _):
    return a.body(c, time_ms=now_ms() - 600000), w.token


def replay(w, a, c, _):
    """The good one is admitted; what is returned is the very same once more."""
    first = w.good()
    body = first.body(c)
    w.is_admitted(c.register(body, w.token), *w.expected)
    a.node_id = None
    return body, w.token


def hash_not_allowed(w, a, c, _):
    return a.body(c, statement=None), w.token


def version_not_allowed(w, a, c, _):
    return a.body(c, statement=release(w.release_key, a.sha256, "1.2.4")), w.token


def key_revoked(w, a, c, _):
    return a.body(c, statement=release(w.revoked_key, a.sha256)), w.token


def token_invalid(w, a, c, _):
    return a.body(c), "trt_" + "A" * 22 + w.token[26:]


def challenge_invalid(w, a, c, _):
    return a.body(c, challenge=os.urandom(32)), w.token


def channel_mismatch(w, a, c, _):
    with a.connect() as other:
        return a.body(other), w.token


def key_mismatch(w, a, c, _):
    return native_body(csr(make_key("ed25519")), a.claim(c)), w.token


def key_refused(w, a, c, _):
    a.key = make_key("rsa", 1024)
    return a.body(c), w.token


def format_not_accepted(w, a, c, _):
    return original_body(make_key("rsa"), a.node_id, a.sha256), w.token


def tier_too_low(w, a, c, cleanup):
    cleanup.enter_context(w.policy(min_tier="kernel"))
    return a.body(c), w.token


def id_taken(w, a, c, _):
    a.node_id = w.taken.node_id
    body = a.body(c), w.token
    a.node_id = None
    return body


def release_expired(w, a, c, _):
    return a.body(c, statement=release(w.release_key, a.sha256, issued=now_ms() - 5000, expires=now_ms() - 1000)), w.token


def agent_revoked(w, a, c, _):
    w.is_admitted(a.register(w.token), *w.expected)
    assert w.server.api("POST", f"/api/v1/agents/{a.node_id}/revoke", {}).status == 200
    body = a.body(c), w.token
    a.node_id = None
    return body


WAYS = {f.__name__: f for f in (
    malformed, bad_signature, unknown_key, clock_desync, replay, hash_not_allowed, version_not_allowed, key_revoked,
    token_invalid, challenge_invalid, channel_mismatch, key_mismatch, key_refused, format_not_accepted, tier_too_low,
    id_taken, release_expired, agent_revoked)}
# `limit` is the one that needs a server in trouble; the rate limit has a test of its own.
EVIDENCE = {r for r in REFUSALS if r.startswith("evidence_")}  # of TEEs and TPMs: test_attest.py has their ways
assert set(WAYS) | {"limit"} | EVIDENCE == set(REFUSALS)


def provoke(w, code, expected=("admitted",)):
    """Sends what leads to `code`; the answer, and the node id that must not have a row."""
    w.expected = expected
    if not hasattr(w, "taken"):
        w.taken = w.good()
        w.is_admitted(w.taken.register(w.token), *expected)
    a = w.good()
    with contextlib.ExitStack() as cleanup, a.connect() as c:
        body, token = WAYS[code](w, a, c, cleanup)
        return c.register(body, token), a.node_id
