# SPDX-License-Identifier: Apache-2.0
"""Who must agree before an agent is told, keys that are revoked under way, and a server that is killed under way."""

import os
import signal
import threading
import time

import pytest

import client
import keyset
import obey
from commanded import CONFIG, Authority, Obedient, Orders, now_ms
from harness import Server, call, context
from waiting import until


@pytest.fixture(scope="module")
def token(authority):
    return authority.server.make_token(max_uses=100)


@pytest.fixture
def agent(authority, token):
    a = Obedient(authority, token)
    yield a
    a.down()


def code_of(r):
    return r.status, r.json()["code"]


# ---- who must agree ----

def test_a_change_needs_one(authority, orders, agent):
    c = orders.order("note", agent, text="hello")
    assert (c["state"], c["class"]) == ("waiting", "change")
    assert client.base64.b64decode(c["order"]) == orders.bytes(c["id"])
    assert agent.fetch() == []
    r = authority.approve(authority.operators[0], orders.bytes(c["id"]))
    assert r.status == 200 and (r.json()["orders"], r.json()["ready"]) == (1, 1), r
    assert r.json()["key_id"] == client.key_id(authority.operators[0]).hex()
    got = agent.one()  # which has verified the approval
    assert got[2]["text"] == "hello" and len(got[1]["approvals"]) == 1
    agent.said(got, "done")
    assert [a["action"] for a in authority.server.audit(match=c["id"])] == ["command.end", "command.approve", "command.order"]


def test_what_is_dangerous_needs_two_different(authority, orders, agent):
    c = orders.order("quarantine", agent, reason="odd traffic")
    order = orders.bytes(c["id"])
    first, second = authority.operators
    r = authority.approve(first, order)
    assert (r.json()["orders"], r.json()["ready"]) == (1, 0)
    assert orders.get(c["id"])["approvals"] == 1 and orders.state(c["id"]) == "waiting"
    assert code_of(authority.approve(first, order)) == (409, "nothing_to_approve")  # the same person again
    assert agent.fetch() == []
    assert authority.approve(second, order).json()["ready"] == 1
    got = agent.one()
    assert len(got[1]["approvals"]) == 2
    agent.said(got, "done")
    shown = authority.server.api("GET", f"/api/v1/agents/{agent.node_id}").json()
    assert shown["quarantined_at"]
    (check,) = [k for k in shown["checks"] if k["check"] == "obedience"]
    assert check["state"] == "quarantined" and "release" in check["action"] and check["since"] == shown["quarantined_at"]
    c = orders.order("release", agent)
    for key in authority.operators:
        authority.approve(key, orders.bytes(c["id"]))
    agent.said(agent.one(), "done")
    assert authority.server.api("GET", f"/api/v1/agents/{agent.node_id}").json()["quarantined_at"] is None


def test_one_approval_of_many_orders(authority, orders, agent):
    made = [orders.order("note", agent, text=f"line {i}") for i in range(5)]
    r = authority.approve(authority.operators[1], *[orders.bytes(c["id"]) for c in made])
    assert (r.json()["orders"], r.json()["ready"], r.json()["unknown"]) == (5, 5, 0)
    assert [o["text"] for _, _, o in agent.fetch()] == [f"line {i}" for i in range(5)]


def test_an_approval_that_ran_out_does_not_count(authority, orders, agent):
    c = orders.order("quarantine", agent)
    order = orders.bytes(c["id"])
    assert authority.approve(authority.operators[0], order, life=1500).status == 200
    time.sleep(1.6)
    assert authority.approve(authority.operators[1], order).json()["ready"] == 0
    assert authority.approve(authority.operators[0], order).json()["ready"] == 1
    assert len(agent.one()[1]["approvals"]) == 2


def test_an_approval_that_ran_out_on_the_way(authority, orders, agent):
    """The agent would refuse it, and rightly: it is not handed out any more."""
    c = orders.order("note", agent, text="soon")
    assert authority.approve(authority.operators[0], orders.bytes(c["id"]), life=1200).json()["ready"] == 1
    assert orders.state(c["id"]) == "pending"
    time.sleep(1.3)
    assert agent.fetch() == []
    until(lambda: orders.state(c["id"]) == "expired")
    assert orders.get(c["id"])["code"] == "approval_expired"


@pytest.mark.parametrize("how", ["expired", "ahead", "stranger", "other_domain", "broken", "garbage"])
def test_an_approval_that_does_not_hold(authority, orders, agent, how):
    c = orders.order("note", agent, text="x")
    order, key = orders.bytes(c["id"]), authority.operators[0]
    before = len(orders.events(kind="approval_refused"))
    approval = {
        "expired": lambda: authority.approval(key, [order], issued=now_ms() - 3_000_000, life=2_000_000),
        "ahead": lambda: authority.approval(key, [order], issued=now_ms() + 400_000),
        "stranger": lambda: authority.approval(client.make_key("ed25519"), [order]),
        "other_domain": lambda: authority.approval(key, [order], trust_domain="other.example"),
        "broken": lambda: (good := authority.approval(key, [order]))[:-1] + bytes([good[-1] ^ 1]),
        "garbage": lambda: b"yes, do it",
    }[how]()
    r = authority.submit(approval)
    assert code_of(r) == (422, "malformed" if how == "garbage" else "approval_refused"), r
    assert until(lambda: len(orders.events(kind="approval_refused")) > before)
    assert orders.state(c["id"]) == "waiting" and agent.fetch() == []


def test_an_approval_that_lives_too_long(authority, orders, agent):
    c = orders.order("quarantine", agent)
    r = authority.approve(authority.operators[0], orders.bytes(c["id"]), life=2 * 3_600_000)
    assert code_of(r) == (422, "approval_too_long")
    assert authority.approve(authority.operators[0], orders.bytes(c["id"]), life=3_600_000).status == 200


def test_an_approval_of_something_else(authority, orders, agent):
    c = orders.order("note", agent, text="this")
    other = obey.order({"trust_domain": "e2e.example", "agent_id": agent.node_id, "cmd_id": os.urandom(16), "cmd": "note",
                        "ordered_ms": now_ms(), "expires_ms": now_ms() + 60000, "text": "that"})
    assert code_of(authority.approve(authority.operators[0], other)) == (404, "order_not_found")
    assert orders.state(c["id"]) == "waiting"
    done = orders.order("note", agent, text="then")
    authority.approve(authority.operators[0], orders.bytes(done["id"]))
    assert code_of(authority.approve(authority.operators[1], orders.bytes(done["id"]))) == (409, "nothing_to_approve")


def test_nobody_approves_the_next_one_with_it(authority, orders, agent):
    c = orders.order("note", agent, text="once", expires_s=60)
    authority.approve(authority.operators[0], orders.bytes(c["id"]))
    agent.said(agent.one(), "failed", "no_space")
    (again,) = orders.change(c["id"], "retry").json()["commands"]
    assert again["state"] == "waiting" and agent.fetch() == []


# ---- keys that are revoked ----

def command_keys(server):
    keys = server.api("GET", "/api/v1/admin/keys").json()["keys"]
    return {k["state"]: k for k in keys if k["role"] == "command"}


def test_signed_anew_when_the_key_is_revoked():
    """The same orders under the next key, with new numbers; what the old key signed is not handed out any more."""
    server = Server(config=CONFIG).start()
    try:
        authority, orders = Authority(server), Orders(server)
        agent = Obedient(authority, server.make_token(max_uses=2))
        old = command_keys(server)["primary"]
        sent, pending = orders.order("status", agent, expires_s=300), None
        first = agent.one()
        until(lambda: orders.state(sent["id"]) == "sent")
        pending = orders.order("reattest", agent)
        waiting = orders.order("note", agent, text="later")
        assert orders.get(pending["id"])["key_id"] == old["id"]

        # Without another key nothing can be ordered, and nothing leaves under the revoked one.
        r = server.api("POST", f"/api/v1/admin/keys/{old['id']}/revoke", {"reason": "stolen", "force": True})
        assert r.status == 200, r
        assert code_of(orders.post("status", [agent])) == (503, "no_command_key")
        agent.down()
        assert agent.fetch() == []

        r = server.api("POST", "/api/v1/admin/keys", {"role": "command", "name": "second"})
        assert r.status in (200, 201), r
        spki = client.base64.b64decode(command_keys(server)["prepared"]["spki"])
        authority.publish(commands=[spki], revoke=[bytes.fromhex(old["id"])])
        until(lambda: orders.get(pending["id"])["key_id"] == keyset.key_id(spki).hex())
        again, second = agent.fetch()
        assert again[2]["cmd_id"] == first[2]["cmd_id"] and again[1]["order"] == first[1]["order"]
        assert len({first[1]["seq"], again[1]["seq"], second[1]["seq"]}) == 3 and again[1]["seq"] > first[1]["seq"]
        # The agent says that the first signature is of a revoked key, and obeys the second.
        agent.said(first, "refused", "revoked_key")
        assert orders.state(sent["id"]) in ("pending", "sent")
        agent.said(again, "done")
        assert orders.state(sent["id"]) == "done"
        authority.approve(authority.operators[0], orders.bytes(waiting["id"]))
        assert agent.one()[2]["text"] == "later"
        agent.down()
        server.stop()
    finally:
        server.destroy()


# ---- a server that ends under way ----

class Hammer(threading.Thread):
    """Orders one after the other until told to stop; .taken: ids of what the server said it took."""

    def __init__(self, server, agents):
        super().__init__(daemon=True)
        self.server, self.agents, self.taken, self.lost, self.go_on = server, agents, [], 0, True

    def run(self):
        headers = {"Authorization": f"Bearer {self.server.token}", "Content-Type": "application/json"}
        n = 0
        while self.go_on:
            time.sleep(0.01)
            n += 1
            body = {"type": "reattest", "agents": self.agents[n % len(self.agents)].node_id}
            try:
                r = call(self.server.operators, "POST", "/api/v1/commands", body, headers, context(self.server.ca), timeout=10)
                if r.status == 201:
                    self.taken += [c["id"] for c in r.json()["commands"]]
                else:
                    self.lost += 1
            except OSError:
                self.lost += 1
                time.sleep(0.02)


@pytest.mark.parametrize("role", ["store", "core", "keys", "trothd"])
def test_killed_under_way(role):
    """What was taken is there afterwards, is given out once under one number, and no number is given twice."""
    server = Server(config=CONFIG).start()
    try:
        authority, orders = Authority(server), Orders(server)
        agents = [Obedient(authority, server.make_token(max_uses=2)) for _ in range(3)]
        hammer = Hammer(server, agents)
        hammer.start()
        for k in range(2):
            until(lambda: len(hammer.taken) >= 15 * (k + 1), 20)
            if role == "trothd":
                server.kill()
                server.start()
            else:
                pid = next(p for p, r in server.roles().items() if r == role)
                os.kill(pid, signal.SIGKILL)
                until(lambda: pid not in server.roles() and role in server.roles().values(), 20)
                server.wait_ready()
        before = len(hammer.taken)
        until(lambda: len(hammer.taken) >= before + 10, 20)
        hammer.go_on = False
        hammer.join(15)
        given, numbers = {}, set()
        for a in agents:
            a.down()
            while got := a.fetch():
                for c in got:
                    number = (a.node_id, c[1]["line"], c[1]["seq"])
                    assert number not in numbers, number
                    numbers.add(number)
                    given[c[2]["cmd_id"].hex()] = number
                    a.said(c, "done")
            a.down()
        assert set(hammer.taken) <= set(given), set(hammer.taken) - set(given)
        for ident in hammer.taken[::7]:
            assert orders.state(ident) == "done"
        server.stop()
    finally:
        server.destroy()


def test_a_restart_forgets_nothing(authority, orders, agent):
    server = authority.server
    waiting, pending = orders.order("note", agent, text="x"), orders.order("status", agent)
    sent = agent.one()
    heard = orders.order("reattest", agent)
    got = agent.one()
    agent.said(got, "received")
    agent.down()
    until(lambda: orders.state(pending["id"]) == "sent")
    server.stop()
    server.start()
    assert [orders.state(c["id"]) for c in (waiting, pending, heard)] == ["waiting", "sent", "received"]
    again = agent.one()
    assert again[0] == sent[0] and again[1]["seq"] == 1
    agent.said(again, "done")
    agent.said(got, "done")
    assert orders.order("status", agent)["state"] == "pending"
    assert agent.one()[1]["seq"] == 3
    authority.approve(authority.operators[0], orders.bytes(waiting["id"]))
    assert agent.one()[1]["seq"] == 4
