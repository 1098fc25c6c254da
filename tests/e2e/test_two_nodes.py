# SPDX-License-Identifier: Apache-2.0
"""Two trothd on one PostgreSQL: what one does the other knows at once, what may happen once happens once, and agents that
move between them are the same agents."""

import os
import signal
import threading
import time

import pytest

from client import make_key
from nodes import ACCUSING, Node, Pair, events, ready, verdict
from pg import CONFIG
from waiting import until
from world import World, name

@pytest.fixture
def pair(pg, make_server):
    p = Pair(pg, make_server)
    yield p
    p.close()


def test_each_knows_at_once_what_the_other_did(pair):
    a, b, w = pair.a, pair.b, pair.world
    nodes = ready(a), ready(b)
    assert nodes[0]["node"] != nodes[1]["node"] and len(nodes[0]["node"]) == 16
    until(lambda: ready(a)["nodes"] == 2 and ready(b)["nodes"] == 2)
    assert sorted((ready(a)["holder"], ready(b)["holder"])) == [False, True]
    agent = w.enrol()
    until(lambda: verdict(b, agent.node_id), 1)
    with pair.at(b, agent).mtls() as c:
        assert agent.pulse(c).status == 200
    # Its word there is known here with the next sweep.
    until(lambda: verdict(a, agent.node_id)["verdict"] == "ok", 8)
    # A token of one, revoked at the other.
    token = b.make_token(max_uses=5, note="made at b")
    rows = until(lambda: [t for t in a.api("GET", "/api/v1/tokens").json()["tokens"] if t["note"] == "made at b"], 1)
    assert a.api("DELETE", f"/api/v1/tokens/{rows[0]['id']}").status in (200, 204)
    time.sleep(0.2)
    refused = pair.at(b, w.good())
    assert refused.register(token).status == 401
    # Settings too.
    assert a.api("PUT", "/api/v1/policy", {"mode": "audit"}).status == 200
    until(lambda: b.api("GET", "/api/v1/policy").json()["mode"] == "audit", 1)
    assert b.api("PUT", "/api/v1/policy", {"mode": "enforce"}).status == 200
    until(lambda: a.api("GET", "/api/v1/policy").json()["mode"] == "enforce", 1)
    # Maintenance, made there, counts here.
    r = b.api("POST", "/api/v1/maintenance", {"scope": "agent", "target": agent.node_id, "minutes": 10, "reason": "test"})
    assert r.status == 201, r
    until(lambda: a.api("GET", "/api/v1/maintenance").json()["maintenance"], 1)


def test_both_make_their_first_start_at_once(pg, make_server):
    """What the first start of an installation stores is stored once."""
    for turn in range(2):
        db = pg.database()
        a = make_server(config=CONFIG, init=("--store", pg.location(db)))
        b = Node(a)
        a.start(wait=False)
        b.start(wait=False)
        a.wait_ready()
        b.wait_ready()
        for table, where in (("settings", "name = 'pulse.ticket_key'"), ("settings", "name = 'outbox.line'"), ("keysets", "true")):
            assert pg.psql(f"SELECT count(*) FROM {table} WHERE {where}", db) == "1", (table, where)
        # One ticket key: a pulse answered here is continued there.
        w = World(a)
        agent = w.enrol()
        for s in (a, b, a):
            agent.server = s
            with agent.mtls() as c:
                assert agent.pulse(c).status == 200
        assert not events(a, *ACCUSING)
        a.stop()
        b.stop()
        b.destroy()


def test_a_revoked_agent_is_refused_everywhere(pair):
    agent = pair.world.enrol()
    pair.at(pair.b, agent)
    until(lambda: verdict(pair.b, agent.node_id))
    with agent.mtls() as c:
        assert agent.pulse(c).status == 200
        r = pair.a.api("POST", f"/api/v1/agents/{agent.node_id}/revoke", {"reason": "test"})
        assert r.status == 200, r
        start = time.monotonic()
        while agent.pulse(c).status == 200:
            assert time.monotonic() - start < 1, "revoked a second ago and still heard"
    assert not pair.accused()


def test_nobody_is_turned_away_for_news_that_is_late(pair):
    """The store of one node is slow to hear: who was enrolled at the other is asked to come again, not called unknown."""
    store = next(pid for pid, role in pair.b.roles().items() if role == "store")
    agent = pair.world.good()
    os.kill(store, signal.SIGSTOP)
    try:
        assert agent.register(pair.world.token).status == 201
        with pair.at(pair.b, agent).mtls() as c:
            r = agent.pulse(c)
            assert (r.status, r.json()["code"], r.headers["retry-after"]) == (503, "busy", "1"), r
            os.kill(store, signal.SIGCONT)
            until(lambda: agent.pulse(c).status == 200, 5)
    finally:
        os.kill(store, signal.SIGCONT)
    # Under a key that is nobody's any more it is told so, when the store has looked.
    old, key = agent.certificate, agent.key
    with agent.mtls() as c:
        new = make_key("ed25519")
        r = agent.renew(c, new)
        assert r.status == 200, r
    agent.key, agent.certificate = new, r.json()["certificate"].encode()
    with agent.mtls() as c:
        assert agent.pulse(c).status == 200
    agent.key = key
    pair.at(pair.a, agent)
    with agent.mtls(old) as c:
        said = []
        until(lambda: said.append(agent.pulse(c).status) or said[-1] == 401, 6)
        assert set(said) <= {503, 401}
    assert not pair.accused()


def test_an_operators_word_reaches_the_agents_node(pair):
    agent = pair.world.enrol()
    pair.at(pair.b, agent)
    until(lambda: verdict(pair.b, agent.node_id))
    with agent.mtls() as c:
        assert agent.pulse(c).status == 200
        other = bytes([7]) * 32
        r = pair.a.api("POST", f"/api/v1/agents/{agent.node_id}/expect", {"hash": "sha256:" + other.hex(), "reason": "test"})
        assert r.status == 200, r
        time.sleep(0.3)
        agent.sha256 = other
        for _ in range(3):
            assert agent.pulse(c).status == 200
        assert verdict(pair.b, agent.node_id)["verdict"] == "ok"
    assert not pair.accused()
    until(lambda: verdict(pair.a, agent.node_id)["running_hash"] == other.hex(), 8)
    assert verdict(pair.a, agent.node_id)["verdict"] == "ok"
    # What it says next at the other node is nothing new there.
    with pair.at(pair.a, agent).mtls() as c:
        assert agent.pulse(c).status == 200
    assert verdict(pair.a, agent.node_id)["verdict"] == "ok" and not pair.accused()


def test_one_use_is_one_use(pair):
    """A token for one agent, used on both nodes in the same moment, again and again: one gets in."""
    for turn in range(12):
        token = pair.a.make_token(max_uses=1)
        agents = [pair.at(s, pair.world.good()) for s in (pair.a, pair.b)]
        until(lambda: any(t["max_uses"] == 1 and t["uses"] == 0 for t in pair.b.api("GET", "/api/v1/tokens").json()["tokens"]), 2)
        said = [None, None]
        gate = threading.Barrier(2)

        def go(i):
            with agents[i].connect() as c:
                body = agents[i].body(c)
                gate.wait()
                said[i] = c.register(body, token)

        threads = [threading.Thread(target=go, args=(i,)) for i in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        statuses = sorted(r.status for r in said)
        assert statuses in ([201, 401], [201, 503]), said
        loser = next(r for r in said if r.status != 201)
        assert loser.json()["code"] in ("token_invalid", "busy"), loser
        assert loser.status == 401 or loser.headers["retry-after"] == "1"
        # Asked again, it is told why.
        i = said.index(loser)
        assert agents[i].register(token).status == 401
        here = {a.node_id for a in agents if verdict(pair.a, a.node_id)}
        assert here == {agents[1 - i].node_id}
        row = until(lambda: next(t for t in pair.b.api("GET", "/api/v1/tokens").json()["tokens"]
                                      if t["id"] == pair.world.token_row(token)["id"]), 2)
        until(lambda: pair.world.token_row(token)["uses"] == 1, 2)
        assert row["max_uses"] == 1


def test_the_same_device_on_both_nodes_at_once(pair):
    """One id, two keys: the second one to commit is told that the id is taken, or to try again."""
    for turn in range(6):
        ident = name()
        agents = [pair.at(s, pair.world.good(node_id=ident)) for s in (pair.a, pair.b)]
        until(lambda: len(pair.b.api("GET", "/api/v1/tokens").json()["tokens"]) > 0)
        said = [None, None]
        gate = threading.Barrier(2)

        def go(i):
            with agents[i].connect() as c:
                body = agents[i].body(c)
                gate.wait()
                said[i] = c.register(body, pair.world.token)

        threads = [threading.Thread(target=go, args=(i,)) for i in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert sorted(r.status for r in said)[0] == 201 and sorted(r.status for r in said)[1] in (409, 503), said
        loser = next(i for i in range(2) if said[i].status != 201)
        assert agents[loser].register(pair.world.token).status == 409
