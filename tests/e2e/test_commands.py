# SPDX-License-Identifier: Apache-2.0
"""Commands over the real wire: what operators may order, how agents get it, what their receipts change."""

import time

import pytest

import client
import obey
from commanded import CONFIG, HOUR, Authority, Obedient, now_ms, raw_command
from harness import Server
from waiting import until
from world import name


@pytest.fixture(scope="module")
def token(authority):
    return authority.server.make_token(max_uses=100)


@pytest.fixture
def agent(authority, token):
    a = Obedient(authority, token)
    yield a
    a.down()


# ---- the journey ----

def test_an_order_is_obeyed(authority, orders, agent):
    c = orders.order("status", agent, reason="to see")
    assert c["state"] == "pending" and c["class"] == "read"
    got = agent.one()
    assert got[2]["cmd_id"].hex() == c["id"] and got[1]["seq"] == 1
    assert until(lambda: orders.state(c["id"]) == "sent")
    agent.said(got, "received")
    assert orders.state(c["id"]) == "received"
    agent.said(got, "started")
    assert orders.state(c["id"]) == "started"
    agent.said(got, "done", result='{"uptime_s":7}')
    end = orders.get(c["id"])
    assert end["state"] == "done" and end["result"] == {"uptime_s": 7} and end["attempts"] == 1
    assert end["created_by"] == "operator:admin" and end["reason"] == "to see" and end["ended_at"]
    assert end["text"].startswith(f"status on {agent.node_id} (read, query)")
    assert client.base64.b64decode(end["command"]) == got[0]
    assert agent.fetch() == []
    assert [a["action"] for a in authority.server.audit(match=c["id"])] == ["command.order"]
    assert authority.server.metric('troth_commands_total{type="status",state="done"}') >= 1


def test_an_open_question_is_answered_within_a_second(orders, agent):
    took = []
    for _ in range(3):
        q = agent.waiting(20)
        until(lambda: orders.server.api("GET", f"/api/v1/agents/{agent.node_id}").json()["waits_for_commands"])
        begun = time.monotonic()
        c = orders.order("status", agent)
        (got,) = agent.read(q.end())
        took.append(time.monotonic() - begun)
        assert got[2]["cmd_id"].hex() == c["id"]
        agent.said(got, "done")
    assert max(took) < 1, took


def test_a_question_waits_as_long_as_it_says(agent):
    begun = time.monotonic()
    assert agent.fetch(wait=2) == []
    assert 1 < time.monotonic() - begun < 4
    assert agent.told["wait_s"] == 25 and agent.told["keyset_epoch"] == agent.authority.fields()["epoch"]
    begun = time.monotonic()
    assert agent.fetch() == []
    assert time.monotonic() - begun < 1


def test_no_deadline_of_a_connection_cuts_a_question():
    server = Server(config=CONFIG + "limits:\n  idle_seconds: 5\n  header_seconds: 1\n  body_seconds: 1\n").start()
    try:
        agent = Obedient(Authority(server), server.make_token(max_uses=2))
        q = agent.waiting(7)
        assert q.commands() == [] and 6 < q.took < 9
        server.stop()
    finally:
        server.destroy()


def test_the_newest_question_counts(orders, agent):
    older = agent.waiting(20)
    until(lambda: orders.server.metric("troth_command_questions") >= 1)
    newer = agent.waiting(20)
    assert older.commands() == [] and older.took < 5
    orders.order("status", agent)
    assert len(newer.commands()) == 1


def test_a_published_keyset_ends_the_waiting(authority, orders, agent):
    q = agent.waiting(20)
    until(lambda: orders.server.metric("troth_command_questions") >= 1)
    authority.publish()
    assert obey.read_delivery(q.end().body)["keyset_epoch"] == authority.fields()["epoch"]
    assert q.took < 5


def test_the_pulse_tells_what_waits(orders, agent):
    conn = agent.up()
    r = agent.pulse(conn)
    answer = client.pulses.parse_answer(r.body)
    assert (answer["pending"], answer["wait_s"]) == (0, 25)
    orders.order("status", agent)
    orders.order("reattest", agent)
    answer = client.pulses.parse_answer(agent.pulse(conn).body)
    assert answer["pending"] == 2
    assert len(agent.fetch()) == 2
    assert client.pulses.parse_answer(agent.pulse(conn).body)["pending"] == 0


def test_a_revoked_agents_question_ends(orders, authority, token):
    agent = Obedient(authority, token)
    c = orders.order("reattest", agent)
    agent.said(agent.one(), "received")
    q = agent.waiting(20)
    until(lambda: orders.server.metric("troth_command_questions") >= 1)
    begun = time.monotonic()
    r = orders.server.api("POST", f"/api/v1/agents/{agent.node_id}/revoke", {"reason": "stolen"})
    assert r.status == 200, r
    r = q.end()
    assert (r.status, r.json()["code"]) == (403, "agent_revoked") and time.monotonic() - begun < 1
    assert agent.ask().status == 403
    until(lambda: orders.state(c["id"]) == "cancelled")
    assert orders.get(c["id"])["code"] == "agent_ended"
    r = orders.post("status", [agent])
    assert (r.status, r.json()["code"]) == (409, "already_ended")


def test_what_was_ordered_of_an_earlier_identity_ends(orders, authority, agent):
    """Whoever enrols again under this id is told nothing that was meant for the one before."""
    sent, waiting = orders.order("reattest", agent), orders.order("note", agent, text="x")
    agent.one()
    until(lambda: orders.state(sent["id"]) == "sent")
    r = orders.server.api("POST", f"/api/v1/agents/{agent.node_id}/reset-identity", {"reason": "copied"})
    assert r.status in (200, 201), r
    agent.down()
    agent.key = client.make_key("ed25519")
    assert agent.register(r.json()["token"]).status == 201
    agent.epoch = 2
    assert agent.fetch() == []
    for c in (sent, waiting):
        until(lambda: orders.state(c["id"]) == "cancelled")
        assert orders.get(c["id"])["code"] == "agent_reset"
    new = orders.order("status", agent)
    got = agent.one()
    assert got[2]["cmd_id"].hex() == new["id"] and got[1]["epoch"] == 2 and got[1]["seq"] == 2


def test_what_was_not_answered_is_given_again(orders, agent):
    c = orders.order("status", agent)
    first = agent.one()
    assert agent.fetch() == []  # not again at once on this connection
    agent.down()
    again = agent.one()  # but on the next one, the very same bytes
    assert again[0] == first[0]
    until(lambda: orders.get(c["id"])["attempts"] == 2)
    agent.said(again, "done")
    agent.down()
    assert agent.fetch() == []


# ---- receipts ----

def test_receipts_out_of_order(orders, agent):
    c = orders.order("reattest", agent)
    got = agent.one()
    received, started, done = (agent.receipt(got, s) for s in ("received", "started", "done"))
    for receipt, then in ((started, "started"), (received, "started"), (done, "done"), (started, "done"), (done, "done")):
        assert agent.send(receipt).json() == {"recorded": True}
        assert orders.state(c["id"]) == then


@pytest.mark.parametrize("state, code", [("failed", "no_such_file"), ("unknown", "interrupted"), ("cancelled", "")])
def test_how_it_may_end(orders, agent, state, code):
    c = orders.order("status", agent)
    got = agent.one()
    if state != "cancelled":
        agent.said(got, "started")
    agent.said(got, state, code)
    end = orders.get(c["id"])
    assert (end["state"], end["code"]) == (state, code)
    if state == "unknown":
        assert until(lambda: orders.alerts("command_unknown", agent))[0]["severity"] == 2
        assert until(lambda: orders.events(agent, "command_unknown"))


def test_what_nobody_could_tell_may_turn_out(orders, agent):
    c = orders.order("status", agent)
    got = agent.one()
    agent.said(got, "unknown", "interrupted")
    agent.said(got, "done")
    assert orders.state(c["id"]) == "done"


@pytest.mark.parametrize("code, severity", [("unsupported", None), ("bad_signature", 1), ("approval_invalid", 1),
                                            ("revoked_key", 1), ("journal", 3)])
def test_a_refusal_is_told(orders, agent, code, severity):
    c = orders.order("status", agent)
    agent.said(agent.one(), "refused", code)
    end = orders.get(c["id"])
    assert (end["state"], end["code"]) == ("refused", code)
    (event,) = until(lambda: orders.events(agent, "command_refused"))
    assert event["detail"]["code"] == code and event["detail"]["command"] == c["id"]
    assert event["severity"] == (severity or 4)
    assert [a["severity"] for a in orders.alerts("command_refused", agent)] == ([severity] if severity else [])


def test_a_replay_that_the_agent_saw_is_told(orders, agent):
    orders.order("status", agent)
    agent.said(agent.one(), "refused", "replayed")
    assert until(lambda: orders.events(agent, "command_replayed"))[0]["severity"] == 2


def test_a_command_of_somebody_else(authority, orders, agent):
    """Another key, or our key in other hands: this server never ordered it."""
    foreign = raw_command(authority, client.make_key("ed25519"), agent)
    agent.said(foreign, "refused", "unknown_key")
    (alert,) = until(lambda: orders.alerts("command_foreign", agent))
    assert alert["severity"] == 1 and "never ordered" in alert["action"]
    (event,) = until(lambda: orders.events(agent, "command_foreign"))
    assert event["detail"] == {"command": foreign[2]["cmd_id"].hex(), "code": "unknown_key"}
    assert [a["action"] for a in authority.server.audit(match=foreign[2]["cmd_id"].hex())] == ["command.foreign"]


@pytest.mark.parametrize("state", ["done", "refused"])
def test_other_bytes_under_an_id_of_ours(authority, orders, agent, state):
    """Whoever signs a command under the id of one of ours does not end ours."""
    c = orders.order("status", agent)
    got = agent.one()
    forged = raw_command(authority, client.make_key("ed25519"), agent, line=got[1]["line"], seq=got[1]["seq"],
                         cmd_id=got[2]["cmd_id"])
    agent.said(forged, state, "bad_signature" if state == "refused" else "")
    assert until(lambda: orders.alerts("command_foreign", agent))
    assert orders.state(c["id"]) in ("pending", "sent")
    ahead = raw_command(authority, client.make_key("ed25519"), agent, line=got[1]["line"], seq=99, cmd_id=got[2]["cmd_id"])
    agent.said(ahead, "done")
    assert orders.state(c["id"]) == "sent"
    agent.said(got, "done")
    assert orders.state(c["id"]) == "done"


def test_a_receipt_of_a_command_that_could_not_be_read(orders, authority, agent):
    junk = raw_command(authority, client.make_key("ed25519"), agent, cmd_id=bytes(16))
    agent.said(junk, "refused", "malformed", line=0, seq=0)
    assert until(lambda: orders.alerts("command_foreign", agent))


def test_another_agents_command(orders, authority, token, agent):
    other = Obedient(authority, token)
    c = orders.order("status", other)
    got = other.one()
    stolen = agent.receipt(got, "done")
    agent.send(stolen)
    assert until(lambda: orders.alerts("command_foreign", agent))
    assert orders.state(c["id"]) == "sent"
    other.down()


def test_receipts_that_are_none(orders, agent):
    c = orders.order("status", agent)
    got = agent.one()
    for body, status, code in (
            (b"hello", 422, "malformed"),
            (agent.receipt(got, "done", key=client.make_key("ed25519")), 403, "bad_signature"),
            (agent.receipt(got, "done", agent_id="somebody-else"), 403, "wrong_agent"),
            (agent.receipt(got, "done", result='{"a":1,"a":2}'), 422, "malformed"),
            (agent.receipt(got, "done", result="[1]"), 422, "malformed")):
        r = agent.send(body)
        assert (r.status, r.json()["code"]) == (status, code), r
    assert until(lambda: orders.state(c["id"]) == "sent")
    agent.said(got, "failed", "x" * 64, result='{"html":"</script>\\u2028"}')
    end = orders.get(c["id"])
    assert end["code"] == "x" * 32 and end["result"] == {"html": "</script>\u2028"}


def test_numbers_that_never_arrived(orders, agent):
    first, second = orders.order("status", agent), orders.order("status", agent)
    one, two = agent.fetch()
    until(lambda: orders.state(first["id"]) == "sent")
    agent.said(two, "done", missing=[one[1]["seq"]])
    (event,) = until(lambda: orders.events(agent, "command_gap"))
    assert event["detail"]["command"] == first["id"]
    assert agent.one()[0] == one[0]  # at once, and not after half a minute
    assert orders.state(second["id"]) == "done"


# ---- what may be ordered ----

@pytest.mark.parametrize("fields, status, code, more", [
    (dict(type="reboot", all=True), 422, "unknown_type", lambda p: "status" in p["types"] and "cancel" not in p["types"]),
    (dict(type="note", all=True), 422, "bad_parameters", lambda p: (p["missing"], p["surplus"]) == (["text"], [])),
    (dict(type="status", all=True, text="x", seconds=4, target="0" * 32), 422, "bad_parameters",
     lambda p: (p["missing"], p["surplus"]) == ([], ["seconds", "text", "target"])),
    (dict(type="status"), 422, "no_target", None),
    (dict(type="status", all=True, partition="default"), 422, "no_target", None),
    (dict(type="status", partition="nowhere"), 404, "agent_not_found", None),
    (dict(type="status", agents="nobody"), 404, "agent_not_found", lambda p: p["agent"] == "nobody"),
    (dict(type="status", all=True, expires_s=301), 422, "bad_lifetime", None),
    (dict(type="status", all=True, not_before="2020-01-01T00:00:00Z"), 422, "bad_time", None),
    (dict(type="status", all=True, not_before="2099-01-01T00:00:00Z"), 422, "bad_time", None),
    (dict(type="status", all=True, image="sha256:12"), 422, "bad_image", None),
    (dict(type="cancel", all=True, target="0" * 32), 422, "use_cancel", None),
    (dict(type="note", all=True, text="two\nlines"), 422, "invalid_order", None),
    (dict(type="set-interval", all=True, seconds=86401), 422, "invalid_order", None),
    (dict(type="status", all=True, colour="red"), 400, "malformed", None),
])
def test_what_is_refused(authority, agent, fields, status, code, more):
    r = authority.server.api("POST", "/api/v1/commands", fields)
    assert (r.status, r.json()["code"]) == (status, code), r
    assert r.json()["detail"] and (more is None or more(r.json())), r.json()


def test_at_most_a_thousand_agents(authority):
    r = authority.server.api("POST", "/api/v1/commands", dict(type="status", agents=",".join(["a"] * 1001)))
    assert (r.status, r.json()["code"]) == (413, "too_many")


def test_the_types(authority):
    types = {t["type"]: t for t in authority.server.api("GET", "/api/v1/command-types").json()["types"]}
    assert {n: (t[1], t[2], t[3] // 1000) for n, t in obey.TYPES.items()} == {
        n: (("read", "change", "dangerous").index(t["class"]), t["kind"], t["lifetime_s"]) for n, t in types.items()}
    assert all(t["parameters"] == [p for p in (obey.TYPES[n][4],) if p] and t["help"] for n, t in types.items())
    assert [types[n]["approvals_needed"] for n in ("status", "note", "quarantine")] == [0, 1, 2]


def test_a_partition_is_many_orders(authority, orders):
    token = authority.server.make_token(max_uses=3, partition=(part := name("part")))
    agents = [Obedient(authority, token) for _ in range(3)]
    r = orders.post("status", partition=part)
    assert r.status == 201 and sorted(c["agent"] for c in r.json()["commands"]) == sorted(a.node_id for a in agents)
    assert len(orders.list(batch=r.json()["batch"])["commands"]) == 3
    for a in agents:
        a.said(a.one(), "done")
        a.down()
    assert len(orders.list(batch=r.json()["batch"], state="over")["commands"]) == 3
    assert orders.list(batch=r.json()["batch"])["commands"] == []
    assert len(orders.list(batch=r.json()["batch"], state="over", limit=2)["commands"]) == 2


def test_the_same_key_is_the_same_order(orders, agent):
    key = name("key")
    first = orders.post("status", [agent], key=key)
    again = orders.post("status", [agent], key=key)
    assert (first.status, again.status) == (201, 200)
    assert [c["id"] for c in first.json()["commands"]] == [c["id"] for c in again.json()["commands"]]
    assert (again.json()["ordered"], again.json()["existing"]) == (0, 1)
    agent.said(agent.one(), "done")
    over = orders.post("status", [agent], key=key)  # and when it is over
    assert over.status == 200 and over.json()["commands"][0]["state"] == "done"
    assert agent.fetch() == []
    r = orders.post("reattest", [agent], key=key)
    assert (r.status, r.json()["code"]) == (409, "key_reused")


def test_a_command_for_later(orders, agent):
    at = now_ms() + 3 * 24 * HOUR
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 1000))
    c = orders.order("reattest", agent, not_before=text)
    _, f, o = agent.one()
    assert o["not_before_ms"] == at // 1000 * 1000 and f["expires_ms"] == o["expires_ms"] == o["not_before_ms"] + 15 * 60000
    assert orders.get(c["id"])["not_before"].startswith(text[:19])


# ---- the end of validity ----

def test_what_expired_is_never_given(orders, agent):
    c = orders.order("status", agent, expires_s=1)
    time.sleep(1.1)
    assert agent.fetch() == []
    until(lambda: orders.state(c["id"]) == "expired")
    assert orders.get(c["id"])["code"] == "not_begun"


def test_an_order_nobody_approved_expires(orders, agent):
    c = orders.order("note", agent, text="hello", expires_s=1)
    assert c["state"] == "waiting" and agent.fetch() == []
    until(lambda: orders.state(c["id"]) == "expired")
    assert orders.get(c["id"])["code"] == "not_approved"
    assert until(lambda: orders.events(agent, "command_expired"))
    assert until(lambda: orders.alerts("command_expired", agent))


# ---- taking back, and again ----

def test_cancelled_before_anybody_has_it(orders, agent):
    waiting, pending = orders.order("note", agent, text="x"), orders.order("status", agent)
    for c in (waiting, pending):
        r = orders.change(c["id"], "cancel", reason="no more")
        assert (r.status, r.json()["state"]) == (200, "cancelled"), r
        assert orders.state(c["id"]) == "cancelled"
        r = orders.change(c["id"], "cancel")
        assert (r.status, r.json()["code"]) == (409, "already_ended")
    assert agent.fetch() == []


@pytest.mark.parametrize("heard", [False, True])
def test_cancelled_when_the_agent_has_it(orders, agent, heard):
    c = orders.order("reattest", agent)
    got = agent.one()
    until(lambda: orders.state(c["id"]) == "sent")
    if heard:
        agent.said(got, "received")
    r = orders.change(c["id"], "cancel", reason="no more")
    assert r.status == 201 and r.json()["state"] == ("received" if heard else "sent")
    order = agent.one()
    assert order[2]["cmd_name"] == "cancel" and order[2]["target"] == got[2]["cmd_id"]
    agent.said(got, "cancelled")
    agent.said(order, "done")
    assert orders.state(c["id"]) == "cancelled"
    assert orders.state(r.json()["commands"][0]["id"]) == "done"


def test_not_cancelled_when_it_has_begun(orders, agent):
    c = orders.order("status", agent)
    got = agent.one()
    agent.said(got, "started")
    r = orders.change(c["id"], "cancel")
    assert (r.status, r.json()["code"]) == (409, "already_started")
    agent.said(got, "done")
    r = orders.change("0" * 32, "cancel")
    assert (r.status, r.json()["code"]) == (404, "command_not_found")


def test_again_only_when_it_is_over(orders, agent):
    c = orders.order("status", agent)
    r = orders.change(c["id"], "retry")
    assert (r.status, r.json()["code"]) == (409, "not_over")
    got = agent.one()
    agent.said(got, "failed", "tired")
    r = orders.change(c["id"], "retry", reason="once more")
    assert r.status == 201, r
    (again,) = r.json()["commands"]
    assert again["id"] != c["id"] and orders.get(again["id"])["retry_of"] == c["id"]
    new = agent.one()
    assert new[1]["seq"] > got[1]["seq"] and new[2]["cmd_id"] != got[2]["cmd_id"]
    r = orders.change("0" * 32, "retry")
    assert (r.status, r.json()["code"]) == (404, "command_not_found")
