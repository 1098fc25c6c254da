# SPDX-License-Identifier: Apache-2.0
"""Commands on two nodes of one database: ordered at one, waited for at the other, and never two of one number."""

import threading
import time

import pytest

import pg as postgres
from commanded import Authority, Obedient, Orders
from harness import Server
from nodes import Node, ready
from pg import CONFIG
from waiting import until


@pytest.fixture(scope="module")
def pair():
    pg = postgres.server_or_skip()
    a = Server(config=CONFIG, init=("--store", pg.location(pg.database()))).start()
    b = Node(a).start()
    try:
        until(lambda: ready(a).get("nodes") == 2, 10)
        assert a.api("PUT", "/api/v1/policy", {"mode": "audit"}).status == 200
        yield a, b, Authority(a)
        for s in (a, b):
            s.stop()
            assert "role_died" not in s.read_log(), s.read_log()
    finally:
        b.destroy()
        a.destroy()
        pg.destroy()


@pytest.fixture
def agent(pair):
    a, _, authority = pair
    one = Obedient(authority, a.make_token(max_uses=2))
    yield one
    one.down()


def test_ordered_here_and_waited_for_there(pair, agent):
    a, b, _ = pair
    until(lambda: b.api("GET", f"/api/v1/agents/{agent.node_id}").status == 200)
    agent.server = b
    q = agent.waiting(20)
    until(lambda: b.api("GET", f"/api/v1/agents/{agent.node_id}").json()["waits_for_commands"])
    begun = time.monotonic()
    c = Orders(a).order("status", agent)
    (got,) = agent.read(q.end())
    assert got[2]["cmd_id"].hex() == c["id"] and time.monotonic() - begun < 1
    agent.said(got, "done")
    until(lambda: Orders(a).state(c["id"]) == "done", 2)


def test_ordered_here_and_approved_there(pair, agent):
    a, b, authority = pair
    c = Orders(a).order("note", agent, text="both")
    until(lambda: Orders(b).get(c["id"])["state"] == "waiting", 2)
    authority.server = b
    try:
        r = until(lambda: (r := authority.approve(authority.operators[0], Orders(b).bytes(c["id"]))).status == 200 and r, 3)
    finally:
        authority.server = a
    assert r.json()["ready"] == 1
    until(lambda: Orders(a).state(c["id"]) == "pending", 2)
    assert agent.one()[2]["text"] == "both"


def test_both_give_numbers_at_once(pair):
    a, b, authority = pair
    agents = [Obedient(authority, a.make_token(max_uses=1)) for _ in range(3)]
    until(lambda: all(b.api("GET", f"/api/v1/agents/{x.node_id}").status == 200 for x in agents))
    answers = []

    def hammer(server):
        for _ in range(40):
            answers.append(Orders(server).post("reattest", agents))

    threads = [threading.Thread(target=hammer, args=(s,)) for s in (a, b)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert {r.status for r in answers} == {201}, [r for r in answers if r.status != 201][:3]
    ordered = {c["id"] for r in answers for c in r.json()["commands"]}
    given, numbers = set(), []
    for k, x in enumerate(agents):
        x.server = (a, b)[k % 2]
        while got := x.fetch():
            for c in got:
                given.add(c[2]["cmd_id"].hex())
                numbers.append((x.node_id, c[1]["line"], c[1]["seq"]))
                assert until(lambda: x.say(c, "done").status == 200)
        x.down()
    assert given == ordered and len(ordered) == 240
    assert len(numbers) == len(set(numbers))
