# SPDX-License-Identifier: Apache-2.0
"""Attacks on orders, keys and receipts by whoever holds a part: a front that spoils signatures, the database, an operator's token,
an agent. That each changes no more than docs/threat-model.md says.
"""

import os
import sqlite3

import pytest

import client
from authority import keys, make_key, change
from commanded import Authority, Obedient, Orders, raw_command
from waiting import until

CONFIG = "heartbeat_seconds: 5\nclock:\n  source: trusted\nattestation:\n  mode: audit\n"


@pytest.fixture
def server(make_server):
    return make_server(config=CONFIG).start()


@pytest.fixture
def authority(server):
    return Authority(server)


@pytest.fixture
def orders(server):
    return Orders(server)


@pytest.fixture
def agent(server, authority):
    a = Obedient(authority, server.make_token(max_uses=5))
    yield a
    a.down()


@pytest.mark.parametrize("end", ["done", "failed", "unknown", "cancelled"])
def test_a_spoilt_signature_hides_no_effect(authority, orders, agent, end):
    """A front alters one bit of a command's signature. The agent's refusal names the bytes that the server signed, for they do not hold the
    signature; then the whole command is let through, and obeyed. People must not go on reading that it was refused."""
    c = orders.order("note", agent, text="once")
    authority.approve(authority.operators[0], orders.bytes(c["id"]))
    got = agent.one()
    agent.said(got, "refused", "bad_signature")
    assert orders.state(c["id"]) == "refused"
    assert until(lambda: orders.alerts("command_refused", agent))[0]["severity"] == 1
    if end != "cancelled":
        agent.said(got, "started")
        assert orders.state(c["id"]) == "started"
    agent.said(got, end, code={"done": "", "cancelled": "cancelled"}.get(end, "interrupted"))
    assert orders.state(c["id"]) == end
    # That was the last word.
    agent.said(got, "refused", "bad_signature")
    assert orders.state(c["id"]) == end


def database(server):
    return sqlite3.connect(server.dir / "troth.db", timeout=10)


@pytest.mark.parametrize("column, value", [("state", "evil"), ("type", "format-disk"), ("class", 77)])
def test_rows_of_another_hand(server, authority, orders, agent, column, value):
    """Whoever writes to the database can lose an order, and not lead core beyond its tables or have an agent given anything."""
    c = orders.order("status", agent)
    server.stop()
    agent.down()
    with database(server) as db:
        assert db.execute(f"UPDATE commands SET {column} = ? WHERE id = ?", (value, c["id"])).rowcount == 1
    server.start()
    assert "command_row_damaged" in server.read_log()
    assert agent.fetch() == []
    assert server.api("GET", f"/api/v1/agents/{agent.node_id}").status == 200
    assert server.api("GET", "/metrics").status == 200
    assert orders.change(c["id"], "cancel").status == 409
    other = orders.order("status", agent)
    assert agent.one()[2]["cmd_id"].hex() == other["id"]


def test_an_order_made_harmless_in_the_database(server, authority, orders, agent):
    """A quarantine that the database calls a read, and approved: role keys counts by the order's own bytes, and signs nothing."""
    c = orders.order("quarantine", agent)
    server.stop()
    agent.down()
    with database(server) as db:
        assert db.execute("UPDATE commands SET class = 0 WHERE id = ?", (c["id"],)).rowcount == 1
    server.start()
    until(lambda: "command_not_signed" in server.read_log())
    assert agent.fetch() == [] and orders.state(c["id"]) == "waiting"


def test_a_token_cannot_crowd_out_the_command_key(server, authority, orders, agent):
    for _ in range(16):
        make_key(server)
    r = server.api("POST", "/api/v1/admin/keys", {"role": "command"})
    assert (r.status, r.json()["code"]) == (409, "full") and "retire" in r.json()["detail"]
    server.stop()
    agent.down()
    server.start()
    orders.order("status", agent)
    assert agent.one()
    assert change(server, "retire", next(k["id"] for k in keys(server) if k["state"] == "prepared"), reason="none").status == 200
    make_key(server)


def test_what_an_agent_invents_does_not_fill_the_disk(server, authority, orders, agent):
    """Receipts of commands that nobody ordered: all are answered, some are written down, one alert."""
    ours, key = orders.order("status", agent), client.make_key("ed25519")
    got = agent.one()
    for _ in range(120):
        agent.said(raw_command(authority, key, agent, cmd_id=os.urandom(16)), "refused", "unknown_key")
    with database(server) as db:
        ((written,),) = db.execute("SELECT count(*) FROM audit WHERE action = 'command.foreign'")
    assert 64 <= written <= 70
    (alert,) = orders.alerts("command_foreign", agent)
    assert alert["count"] == 120
    # Its own work goes on.
    agent.said(got, "done")
    assert orders.state(ours["id"]) == "done"
