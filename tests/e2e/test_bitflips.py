# SPDX-License-Identifier: Apache-2.0
"""One flipped bit, anywhere, and a claim is refused; TROTH_FULL=1 flips every bit, otherwise one in eight."""

import os
import time

import pytest

from client import csr, make_key, native_body, now_ms, original_body
from world import REFUSALS, World, name

FULL = bool(os.environ.get("TROTH_FULL"))


@pytest.fixture
def world(make_server):
    """A server each: the limit of registrations per source is waited for, not lifted."""
    w = World(make_server(config="attestation:\n  accept: [native, original]\n").start())
    w.fleet = make_key("rsa")
    w.add_key(w.fleet, use="fleet")
    return w


def flips(data):
    """(bit, altered): every byte; without TROTH_FULL one bit of each, moving on from byte to byte."""
    for bit in range(8 * len(data)) if FULL else (8 * i + i % 8 for i in range(len(data))):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(altered)


def sweep(world, agent, make, token):
    """make(connection) gives the good bytes and what wraps them into a body. Each flip must be refused for a documented
    reason, and the unaltered bytes must be admitted on the same connection right afterwards: else the flips prove nothing.
    A limit ends the connection; a claim is bound to it, so a new one is made and the sweep goes on where it was."""
    done, codes, size = -1, {}, None
    while True:
        with agent.connect() as c:
            good, wrap = make(c)
            size = size or len(good)
            began, limited = time.monotonic(), False
            for bit, altered in flips(good):
                if bit <= done:
                    continue
                r = c.register(wrap(altered), token)
                if r.status == 429:
                    limited = True
                    break
                code = r.json().get("code")
                assert code in REFUSALS and r.status == REFUSALS[code][0], (bit, r)
                codes[code] = codes.get(code, 0) + 1
                done = bit
                if time.monotonic() - began > 60:
                    break  # the challenge grows old
            else:
                r = c.register(wrap(good), token)
                limited = r.status == 429
                if not limited:
                    assert r.status == 201, r
                    break
        time.sleep(float(r.headers["retry-after"]) + 1 if limited else 0)
    assert sum(codes.values()) == size * (8 if FULL else 1)
    return codes


@pytest.mark.parametrize("kind", ("ed25519", "p256", "rsa"))
def test_native_claim(world, kind):
    a = world.good(name(f"flip-{kind}"), kind)
    before = world.ids()

    def make(c):
        request = csr(a.key)
        # Milliseconds of one encoded size, for claims of one size.
        return a.claim(c, time_ms=now_ms() // 1000 * 1000 + 500), lambda claim: native_body(request, claim)
    codes = sweep(world, a, make, world.token)
    assert codes["bad_signature"] > 100 and set(codes) <= {"malformed", "bad_signature", "key_mismatch"}, codes
    assert world.ids() - before == {a.node_id}


def test_native_request(world):
    """The certificate request beside the claim: its own signature, and the claim's key, hold it."""
    a = world.good(name("flip-csr"))
    before = world.ids()

    def make(c):
        claim = a.claim(c)
        return csr(a.key), lambda request: native_body(request, claim)
    codes = sweep(world, a, make, world.token)
    assert set(codes) <= {"malformed", "bad_signature", "key_mismatch", "key_refused"}, codes
    assert world.ids() - before == {a.node_id}


def test_original_claim(world):
    """Every byte of the body: also its syntax, names and spaces."""
    a = world.good(name("flip-original"))
    before = world.ids()
    body = original_body(world.fleet, a.node_id, a.sha256)
    codes = sweep(world, a, lambda c: (body, lambda altered: altered), None)
    assert codes["bad_signature"] > 100 and codes["malformed"] > 100, codes
    assert world.ids() - before == {a.node_id}
