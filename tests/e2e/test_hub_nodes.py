# SPDX-License-Identifier: Apache-2.0
"""Two trothd on one PostgreSQL are one hub: letters, revocations and what was asked once."""

import threading
import time

import pytest

import simtee
from attesting import Attester, Operator, bundle, policy, request_headers
from authority import Authority
from client import release
from harness import call, context
from letters import Mail
from nodes import Pair
from waiting import until


@pytest.fixture
def pair(pg, make_server):
    p = Pair(pg, make_server)
    yield p
    p.close()


def attested(pair, vendor):
    agent = Attester(pair.a, vendor)
    agent.statement = release(pair.world.release_key, agent.sha256)
    assert agent.register(pair.world.token).status == 201
    assert agent.attest().status == 201
    return agent


def test_two_nodes_are_one_hub(pair):
    a, b, vendor = pair.a, pair.b, simtee.Vendor()
    operator = Operator(a, Authority(a))
    assert operator.push(bundle(vendor, 1)).status == 201
    operator.put_in_force(policy(vendor))
    until(lambda: call(a.agents, "GET", "/.well-known/jwks.json").json()["keys"], 5)
    one, two = attested(pair, vendor), attested(pair, vendor)
    until(lambda: (b.api("GET", f"/api/v1/agents/{two.node_id}").json().get("attestation") or {}).get("state") == "verified", 5)
    alice = Mail(one)
    assert alice.publish().status == 200
    pair.at(b, two)
    bob = Mail(two)
    assert bob.publish().status == 200

    # Given in at one node while the recipient's question waits at the other.
    got = []
    with two.mtls() as conn:
        t = threading.Thread(target=lambda: got.append(bob.fetch(15, conn)))
        t.start()
        time.sleep(0.3)
        envelope = alice.seal(bob)
        assert alice.send(bob, envelope).status == 202
        t.join(10)
    assert [e for _, _, e in got[0]] == [envelope]
    assert bob.ack(envelope).json() == {"acknowledged": 1}
    pair.at(a, two)
    at_a = Mail(two)
    until(lambda: at_a.fetch() == [], 3)

    # Asked at one node, a request is not asked again at the other.
    path = f"/api/v1/agents/discovery/{two.node_id}"
    headers = request_headers(one.key, one.node_id, "GET", path)
    assert call(a.agents, "GET", path, None, headers, context(a.ca)).status == 200
    r = call(b.agents, "GET", path, None, headers, context(b.ca))
    assert (r.status, r.json()["code"]) == (409, "replay")

    # Revoked at one node: gone from both.
    assert b.api("POST", f"/api/v1/agents/{two.node_id}/revoke", {"reason": "drill"}).status == 200
    until(lambda: call(a.agents, "GET", path, None, request_headers(one.key, one.node_id, "GET", path), context(a.ca)).status == 404, 3)
    assert alice.send(bob).json()["code"] == "recipient_unknown"
