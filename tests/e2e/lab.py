# SPDX-License-Identifier: Apache-2.0
"""A server that trusts one vendor of TEEs, which is in Python: its collateral is in, a policy for it is active."""

import hashlib

import simtee
from attesting import Attester, Operator, bundle, policy
from authority import Authority
from client import release
from harness import Server, call
from waiting import until
from world import World


class Lab:
    def __init__(self):
        self.server = Server().start()
        self.world = World(self.server)
        self.vendor = simtee.Vendor()
        self.operator = Operator(self.server, Authority(self.server))
        self.image = hashlib.sha256(b"image").digest()
        self.version = 1
        r = self.operator.push(bundle(self.vendor, self.version))
        assert r.status == 201, r
        self.operator.put_in_force(policy(self.vendor))
        # Made when the first policy becomes active.
        until(lambda: call(self.server.agents, "GET", "/.well-known/jwks.json").json()["keys"])

    def agent(self, enrolled=True, **kw):
        a = Attester(self.server, self.vendor, sha256=self.image, **kw)
        a.statement = release(self.world.release_key, self.image)
        if enrolled:
            r = a.register(self.world.token)
            assert r.status == 201, r
        return a

    def attested(self, **kw):
        a = self.agent(**kw)
        r = a.attest()
        assert r.status == 201, r
        return a

    def events(self, kind):
        return self.server.api("GET", f"/api/v1/events?kind={kind}&limit=50").json()["events"]
