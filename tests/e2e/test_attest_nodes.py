# SPDX-License-Identifier: Apache-2.0
"""Two trothd on one PostgreSQL: evidence that one has judged counts at the other, by the same policies and collateral."""

import pytest

import simtee
from attesting import Attester, Operator, bundle, policy, read_token
from authority import Authority
from client import release
from harness import call
from nodes import Pair
from waiting import until


@pytest.fixture
def pair(pg, make_server):
    p = Pair(pg, make_server)
    yield p
    p.close()


def code_of(r):
    return r.status, r.json()["code"]


def test_what_one_node_judged_counts_at_the_other(pair):
    a, b, vendor = pair.a, pair.b, simtee.Vendor()
    operator = Operator(a, Authority(a))
    assert operator.push(bundle(vendor, 1)).status == 201
    operator.put_in_force(policy(vendor))
    until(lambda: b.api("GET", "/api/v1/collateral").json()["in_force"]["good"], 3)
    until(lambda: call(b.agents, "GET", "/.well-known/jwks.json").json()["keys"], 5)
    agent = Attester(a, vendor)
    agent.statement = release(pair.world.release_key, agent.sha256)
    assert agent.register(pair.world.token).status == 201
    until(lambda: b.api("GET", f"/api/v1/agents/{agent.node_id}").status == 200, 3)
    # Policy and collateral came in at a; b judges by them.
    pair.at(b, agent)
    with agent.mtls() as c:
        body = agent.hub_body(c.challenge())
        r = agent.attest(c, body=body)
        assert r.status == 201 and r.json()["policy"] == "lab", r
    verdict = r.json()["verdict"]
    read_token(r.json()["token"], b.ca.read_bytes())
    until(lambda: a.api("GET", f"/api/v1/agents/{agent.node_id}").json()["attestation"], 3)
    assert a.api("GET", f"/api/v1/agents/{agent.node_id}").json()["attestation"]["verdict"] == verdict
    # A challenge that was spent at b is spent at a, where it would have been good too.
    pair.at(a, agent)
    with agent.mtls() as c:
        assert code_of(agent.attest(c, body=body)) == (401, "challenge_invalid")
        assert agent.attest(c).status == 201
    assert a.api("POST", f"/api/v1/verdicts/{verdict}/replay").json()["same"] is True
    assert b.api("POST", f"/api/v1/verdicts/{verdict}/replay").json()["same"] is True
    # Put out of force at b: nobody is judged by it at a.
    assert b.api("POST", "/api/v1/attestation-policies/lab/retire", {"reason": "drill"}).status == 200

    def refused():
        with agent.mtls() as c:
            return code_of(agent.attest(c)) == (403, "no_policy")
    until(refused, 3)
    # One result key for both.
    assert len([k for k in a.api("GET", "/api/v1/admin/keys").json()["keys"] if k["role"] == "result"]) == 1
