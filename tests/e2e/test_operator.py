# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of the fleet and says about it: over the API, and with troth."""

import base64
import copy
import json
import os
import select
import signal
import subprocess
import time

import pytest

import pulse as pulses
from client import make_key
from harness import program
from test_cli import OK, REFUSED, Cli, rows, terminal
from waiting import until
from world import World, name

CONFIG = "heartbeat_seconds: 1\nclock:\n  source: trusted\n"
OTHER = bytes.fromhex("ab" * 32)


@pytest.fixture(scope="module")
def world(make_module_server):
    w = World(make_module_server(config=CONFIG).start())
    yield w
    w.server.stop()


@pytest.fixture(scope="module")
def cli(world, tmp_path_factory):
    c = Cli(tmp_path_factory.mktemp("cli"), world.server)
    c.login()
    return c


def get(world, path, status=200):
    r = world.server.api("GET", path)
    assert r.status == status, r
    return r.json()


def post(world, path, body=None, status=200, method="POST"):
    r = world.server.api(method, path, body)
    assert r.status == status, r
    return r.json()


def refused(world, path, body, status, code, method="POST"):
    p = post(world, path, body, status, method)
    assert p["code"] == code and len(p["detail"]) > 20, p
    return p


def alive(world, beats=1, token=None, **change):
    """An agent that was heard."""
    a = world.good()
    world.is_admitted(a.register(token or world.token))
    with a.mtls() as c:
        for _ in range(beats):
            r = a.pulse(c, **change)
            assert r.status == 200, r
    return a


def say(a, **change):
    with a.mtls() as c:
        return a.pulse(c, **change)


def alerts_of(world, agent):
    return [x for x in get(world, "/api/v1/alerts?limit=500")["alerts"] if x["subject"] == f"agent:{agent.node_id}"]


def audited(world, action, obj):
    row = next(r for r in world.server.audit(limit=50) if r["action"] == action)
    assert row["object"] == obj and row["actor"] == "operator:admin" and row["outcome"] == "ok", row
    return row


def fork(world):
    """Two hosts with one key, until the server knows."""
    a = alive(world, 2)
    twin = copy.copy(a)
    twin.start_id, twin.boot_id = os.urandom(16), os.urandom(16)
    for _ in range(4):
        for one in a, twin:
            r = say(one)
            if r.status == 403 and r.json()["code"] == "quarantined":
                return a, twin
    raise AssertionError("no fork was seen")


# ---- what is seen ----

def test_an_agent_and_its_axes(world):
    a = world.enrol()
    row = world.agent(a.node_id)
    assert (row["verdict"], row["reachability"], row["admission"]) == ("pending", "never", "ok"), row
    assert row["last_seen"] is None and row["heartbeats"] == 0 and row["binary_unchanged"] is None
    assert say(a, lsm=3).status == 200
    row = world.agent(a.node_id)
    assert row["reachability"] == "live" and row["authenticity"] == "ok" and row["integrity"] == "ok", row
    assert row["clock"] == "ok" and row["config"] == "current" and row["updating"] == "none", row
    assert row["verdict"] == "ok" and row["security"] is False and row["lsm"] == "active" and row["bpf_status"] == "off"
    assert row["heartbeats"] == 1 and row["last_seen"] and row["interval_s"] == 1 and abs(row["skew_ms"]) < 1000
    assert row["running_hash"] == row["good_hash"] == row["binary_hash"] == a.sha256.hex()
    assert row["binary_unchanged"] is True and row["source"] == "127.0.0.1" and row["version"] == a.version
    assert row["health"]["load_milli"] == 100 and row["epoch"] == 1 and row["lost_after_s"] > 10
    assert set(row["since"]) == {"reachability", "authenticity", "clock", "integrity", "config", "updating"}
    assert row["since"]["reachability"]
    checks = {c["check"]: c for c in row["checks"]}
    members = {"check", "state", "expected", "seen", "since", "tier", "action"}
    assert checks and all(set(c) - {"findings", "reference"} == members for c in row["checks"]), row["checks"]
    listed = next(x for x in get(world, "/api/v1/agents?limit=500")["agents"] if x["id"] == a.node_id)
    assert "checks" not in listed and all(row[k] == v for k, v in listed.items() if k not in ("since",)), listed


def test_lists_are_filtered(world):
    a, b = alive(world), world.enrol()
    def ids(query):
        return {x["id"] for x in get(world, f"/api/v1/agents?limit=500&{query}")["agents"]}
    assert a.node_id in ids("reach=live") and b.node_id not in ids("reach=live")
    assert b.node_id in ids("verdict=pending") and a.node_id not in ids("verdict=pending")
    assert a.node_id in ids("verdict=ok&reach=live&state=active&partition=default")
    post(world, f"/api/v1/agents/{b.node_id}/revoke", {"reason": "test"})
    assert b.node_id in ids("verdict=revoked") and b.node_id not in ids("reach=never")
    row = world.agent(b.node_id)
    assert (row["verdict"], row["reachability"], row["state"]) == ("revoked", "ended", "revoked")
    for bad in "verdict=fine", "reach=far":
        refused(world, f"/api/v1/agents?{bad}", None, 400, "out_of_range", "GET")
    refused(world, "/api/v1/agents/nobody", None, 404, "agent_not_found", "GET")


def test_the_fleet_as_one(world, cli):
    alive(world)
    f = get(world, "/api/v1/fleet")
    assert sum(f["reach"].values()) == f["agents"]["active"] <= f["agents"]["total"]
    assert list(f["verdicts"])[0] == "revoked" and list(f["verdicts"])[-1] == "ok"
    assert f["partitions"][0]["name"] == "default" and f["partitions"][0]["agents"] == f["agents"]["active"]
    assert f["clock_trusted"] is True and f["store_ok"] is True and f["heartbeat_seconds"] == 1
    assert 10 < f["lost_after_s"] < 60 and f["run_age_s"] >= 0 and f["run_started_at"] and f["server_time"]
    assert f["alerts"]["open"] + f["alerts"]["acknowledged"] == sum(f["alerts"]["severity"].values())
    said = cli("status")
    assert len(said.splitlines()) <= 12 and "alerts" in said and "store writable; clock synchronised" in said
    assert cli.json("status")["agents"] == f["agents"] and cli("status", "--json").startswith("{")
    assert len(cli("status", "-q").splitlines()) == 1


def test_events_are_kept_with_their_evidence(world, cli):
    a = alive(world)
    with a.mtls() as c:
        sent = a.build_pulse(c)
        assert a.send_pulse(c, sent).status == 200
        r = a.send_pulse(c, sent)
        assert r.status == 409 and r.json()["code"] == "replay", r
    e = until(lambda: get(world, f"/api/v1/agents/{a.node_id}/events?kind=replay")["events"])[0]
    assert e["agent"] == a.node_id and e["source"] == "127.0.0.1" and e["evidence"] == ""
    one = get(world, f"/api/v1/events/{e['seq']}")
    assert base64.b64decode(one["evidence"]) == sent[:2048]
    assert pulses.digest(base64.b64decode(one["evidence"])) == a.prev
    assert get(world, f"/api/v1/events?agent={a.node_id}&kind=replay")["events"][0]["seq"] == e["seq"]
    newer = get(world, f"/api/v1/events?after={e['seq'] - 1}&limit=1")
    assert [x["seq"] for x in newer["events"]] == [e["seq"]] and newer["last_seq"] == e["seq"]
    assert all(x["seq"] < e["seq"] for x in get(world, f"/api/v1/events?before={e['seq']}")["events"])
    refused(world, "/api/v1/events/999999", None, 404, "event_not_found", "GET")
    refused(world, "/api/v1/events/x", None, 400, "out_of_range", "GET")
    refused(world, "/api/v1/events?limit=501", None, 400, "out_of_range", "GET")
    assert one["evidence"] in cli("event", "show", e["seq"])
    assert "event_not_found" in cli.error(REFUSED, "event", "show", "999999")
    assert str(e["seq"]) in cli("event", "list", "--agent", a.node_id, "--kind", "replay", "-q").split()
    row = next(r for r in rows(cli("agent", "events", a.node_id, "-n", "1", "--kind", "replay")))
    assert row["SEQ"] == str(e["seq"]) and row["KIND"] == "replay" and row["FROM"] == "127.0.0.1"


# ---- alerts ----

def test_an_alert_from_its_cause_to_its_end(world, cli):
    a = alive(world, 2)
    assert say(a, binary_hash=OTHER).status == 200
    assert world.agent(a.node_id)["verdict"] == "unknown_binary"
    alert = until(lambda: alerts_of(world, a))[0]
    assert (alert["kind"], alert["severity"], alert["state"]) == ("binary_changed", 1, "open"), alert
    assert alert["summary"] and a.node_id in alert["action"] and alert["opened_at"]
    assert get(world, f"/api/v1/alerts/{alert['id']}") == alert
    assert alert["id"] in [x["id"] for x in get(world, "/api/v1/alerts?severity=1")["alerts"]]
    first = get(world, "/api/v1/alerts?limit=1")
    assert first["alerts"][0]["severity"] == 1
    row = next(r for r in rows(cli("alert", "list")) if r["ALERT"] == alert["id"])
    assert row["STATE"] == "open" and row["SUBJECT"] == f"agent:{a.node_id}" and row["SEV"] == "1"
    assert alert["action"] in cli("alert", "show", alert["id"])

    assert "is yours" in cli("alert", "ack", alert["id"], "--reason", "looking")
    got = get(world, f"/api/v1/alerts/{alert['id']}")
    assert got["state"] == "acknowledged" and got["acked_by"] == "operator:admin" and got["acked_at"]
    assert audited(world, "alert.ack", alert["id"])["detail"] == {"reason": "looking"}
    assert "already_acknowledged" in cli.error(REFUSED, "alert", "ack", alert["id"])
    assert [x for x in get(world, "/api/v1/alerts?state=acknowledged&limit=500")["alerts"] if x["id"] == alert["id"]]

    refused(world, f"/api/v1/alerts/{alert['id']}/resolve", {}, 400, "malformed")
    assert "is closed" in cli("alert", "resolve", alert["id"], "--reason", "host was rebuilt")
    assert audited(world, "alert.resolve", alert["id"])["detail"] == {"reason": "host was rebuilt"}
    over = until(lambda: [x for x in get(world, "/api/v1/alerts?state=resolved")["alerts"] if x["id"] == alert["id"]])[0]
    assert over["state"] == "resolved" and "host was rebuilt" in over["resolved_why"] and over["resolved_at"]
    assert get(world, f"/api/v1/alerts/{alert['id']}")["state"] == "resolved"
    assert not [x for x in alerts_of(world, a) if x["id"] == alert["id"]]
    assert "already_ended" in cli.error(REFUSED, "alert", "ack", alert["id"])
    assert alert["id"] in cli("alert", "list", "--all", "-q").split()
    assert alert["id"] in [x["id"] for x in cli.json("alert", "list", "--all")["alerts"]]
    assert "alert_not_found" in cli.error(REFUSED, "alert", "show", "000000000000")
    assert "alert_not_found" in cli.error(REFUSED, "alert", "resolve", "000000000000", "--reason", "r")
    for bad in "state=closed", "severity=6", "limit=501":
        refused(world, f"/api/v1/alerts?{bad}", None, 400, "out_of_range", "GET")


def test_alerts_page(world):
    for _ in range(3):
        say(alive(world), binary_hash=OTHER)
    every = [x["id"] for x in get(world, "/api/v1/alerts?limit=500")["alerts"]]
    found, cursor = [], ""
    while True:
        page = get(world, f"/api/v1/alerts?limit=2{'&cursor=' + cursor if cursor else ''}")
        found += [x["id"] for x in page["alerts"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert found == every and len(set(found)) >= 3


def test_an_acknowledgement_outlives_a_restart(make_server):
    w = World(make_server(config=CONFIG).start())
    a = alive(w, 2)
    say(a, binary_hash=OTHER)
    ident = until(lambda: alerts_of(w, a))[0]["id"]
    post(w, f"/api/v1/alerts/{ident}/ack", {"reason": "mine"})
    window = post(w, "/api/v1/maintenance", {"scope": "fleet", "minutes": 60, "reason": "r"}, 201)
    post(w, f"/api/v1/agents/{a.node_id}/expect", {"hash": "cd" * 32, "minutes": 60, "reason": "r"})
    w.server.kill()
    w.server.start()
    got = get(w, f"/api/v1/alerts/{ident}")
    assert got["state"] == "acknowledged" and got["acked_by"] == "operator:admin"
    assert get(w, "/api/v1/maintenance")["maintenance"][0] == window
    assert w.agent(a.node_id)["expected_hash"] == "cd" * 32
    w.server.stop()


# ---- an operator's word ----

def test_an_expected_update_is_no_alert(world, cli):
    a = alive(world, 2)
    said = cli("agent", "expect", a.node_id, "--hash", "sha256:" + OTHER.hex(), "--minutes", "5", "--reason", "release 2")
    assert "may change its binary" in said
    row = world.agent(a.node_id)
    assert row["expected_hash"] == OTHER.hex() and row["updating"] == "ordered" and row["expected_until"]
    assert audited(world, "agent.expect", a.node_id)["detail"] == {"reason": "release 2", "hash": OTHER.hex(), "minutes": 5}
    assert say(a, binary_hash=OTHER).status == 200
    row = world.agent(a.node_id)
    assert row["verdict"] == "expected_update" and row["integrity"] == "expected_update", row
    assert say(a, binary_hash=OTHER).status == 200 and say(a, binary_hash=OTHER).status == 200
    row = world.agent(a.node_id)
    assert row["good_hash"] == OTHER.hex() and row["integrity"] == "ok" and not alerts_of(world, a), row
    for bad in {"hash": "xyz", "reason": "r"}, {"hash": "ab" * 32, "minutes": 10081, "reason": "r"}:
        refused(world, f"/api/v1/agents/{a.node_id}/expect", bad, 400, "out_of_range")
    refused(world, f"/api/v1/agents/{a.node_id}/expect", {"hash": "ab" * 32}, 400, "malformed")


def test_what_runs_is_accepted(world, cli):
    a = alive(world, 2)
    say(a, binary_hash=OTHER)
    assert until(lambda: alerts_of(world, a))
    said = cli("agent", "explain", a.node_id)
    assert "unknown_binary" in said and OTHER.hex() in said and "do:" in said
    assert json.loads(cli("agent", "explain", a.node_id, "--json"))["checks"]
    assert "is taken as good" in cli("agent", "accept", a.node_id, "--reason", "hotfix")
    row = world.agent(a.node_id)
    assert row["integrity"] == "ok" and row["good_hash"] == OTHER.hex() and not alerts_of(world, a), row
    assert audited(world, "agent.accept", a.node_id)["detail"]["hash"] == OTHER.hex()
    assert "Nothing to do." in cli("agent", "explain", a.node_id)
    b = world.enrol()
    assert "nothing_to_accept" in cli.error(REFUSED, "agent", "accept", b.node_id, "--reason", "r")
    post(world, f"/api/v1/agents/{b.node_id}/revoke", {})
    for what, body in ("accept", {"reason": "r"}), ("expect", {"hash": "ab" * 32, "reason": "r"}), \
            ("reset-identity", {"reason": "r"}):
        refused(world, f"/api/v1/agents/{b.node_id}/{what}", body, 409, "already_ended")
    refused(world, "/api/v1/agents/nobody/accept", {"reason": "r"}, 404, "agent_not_found")


def test_the_bpf_list_is_asked_for_and_shown(world, cli):
    a = world.enrol()
    items = [{"pin": "troth/shield", "name": "shield", "kind": 1, "type": 29, "id": 7, "loaded_ns": 5, "tag": b"\x01" * 8,
              "norm_status": 0, "norm": b"\x02" * 32, "attach": 1}]
    got = pulses.bpf_list("6.1.0 x86_64 jit=1 harden=0", items)
    assert say(a, bpf_status=1, bpf_list=got).status == 200
    b = get(world, f"/api/v1/agents/{a.node_id}/bpf")
    assert b["status"] == "ok" and b["kernel"] == "6.1.0 x86_64 jit=1 harden=0" and b["requested"] is False, b
    assert [(x["pin"], x["kind"], x["attach"], x["tag"]) for x in b["items"]] == \
        [("troth/shield", "program", "attached", "01" * 8)]
    said = cli("agent", "bpf", a.node_id)
    assert "troth/shield" in said and "0101" in said
    assert "is asked" in cli("agent", "bpf", a.node_id, "--request")
    assert get(world, f"/api/v1/agents/{a.node_id}/bpf")["requested"] is True
    audited(world, "agent.bpf_request", a.node_id)
    import hashlib
    r = say(a, bpf_status=1, bpf_digest=hashlib.sha256(got).digest())
    assert pulses.parse_answer(r.body)["want_bpf_list"]
    assert "ask for it" in cli("agent", "bpf", world.enrol().node_id)


# ---- the reset of an identity ----

def test_a_forked_identity_is_reset(world, cli):
    a, twin = fork(world)
    row = world.agent(a.node_id)
    assert row["verdict"] == "forked" and row["security"] is True
    alert = next(x for x in alerts_of(world, a) if x["severity"] == 1)
    assert "identity_forked" in cli.error(REFUSED, "agent", "accept", a.node_id, "--reason", "r")

    first = cli("agent", "reset-identity", a.node_id, "--reason", "copied image", "-q").strip()
    said = cli("agent", "reset-identity", a.node_id, "--reason", "copied image")
    token = said.splitlines()[0]
    assert token.startswith("trt_") and token != first
    assert "troth-agent enroll --reset-identity" in said and f"--token {token}" in said and "systemctl start" in said
    assert audited(world, "agent.reset_identity", a.node_id)["detail"]["reason"] == "copied image"
    states = {t["id"]: t["state"] for t in get(world, "/api/v1/tokens")["tokens"] if t["for_agent"] == a.node_id}
    assert sorted(states.values()) == ["revoked", "usable"]

    # Nothing has changed yet: both stay out.
    assert say(a).status == 403 and say(twin).status == 403
    # It admits nobody else, no other id, no old key; and without it the id stays taken.
    stranger = world.good()
    world.is_refused(stranger.register(token), "token_invalid", stranger.node_id)
    other = world.enrol()
    thief = world.good(node_id=other.node_id)
    world.is_refused(thief.register(token), "id_taken")
    world.is_refused(a.register(token), "key_refused")
    fresh = world.good(node_id=a.node_id, sha256=a.sha256)
    world.is_refused(fresh.register(world.token), "id_taken")
    world.is_refused(fresh.register(first), "token_invalid")
    assert world.agent(a.node_id)["epoch"] == 1 and world.agent(a.node_id)["verdict"] == "forked"

    old_certificate = a.certificate
    world.is_admitted(fresh.register(token))
    row = world.agent(a.node_id)
    assert row["epoch"] == 2 and row["key_id"] != "" and row["authenticity"] == "unknown" and row["reachability"] == "never", row
    r = say(a)
    assert r.status == 401 and r.json()["code"] == "key_mismatch" and old_certificate == a.certificate
    assert say(fresh).status == 200 and say(fresh).status == 200
    row = world.agent(a.node_id)
    assert row["verdict"] in ("ok", "unknown") and row["authenticity"] == "ok", row
    assert get(world, f"/api/v1/alerts/{alert['id']}")["state"] == "resolved"
    reset = next(x for x in world.server.audit(limit=50) if x["action"] == "agent.identity_reset")
    assert reset["object"] == a.node_id and reset["detail"]["epoch"] == 2
    # Its one use is made; but the agent whose answer was lost comes back.
    again = world.good(node_id=a.node_id, key=make_key("ed25519"))
    world.is_refused(again.register(token), "id_taken")
    world.is_admitted(fresh.register(token))
    assert world.agent(a.node_id)["epoch"] == 2


def test_a_reset_survives_a_restart(make_server):
    w = World(make_server(config=CONFIG).start())
    a, _ = fork(w)
    until(lambda: alerts_of(w, a))
    time.sleep(6)  # one sweep
    w.server.kill()
    w.server.start()
    assert w.agent(a.node_id)["verdict"] == "forked"
    r = say(a)
    assert r.status == 403 and r.json()["code"] == "quarantined"
    token = post(w, f"/api/v1/agents/{a.node_id}/reset-identity", {"reason": "r"}, 201)["token"]
    fresh = w.good(node_id=a.node_id)
    w.is_admitted(fresh.register(token))
    w.server.kill()  # before anything was swept
    w.server.start()
    row = w.agent(a.node_id)
    assert row["epoch"] == 2 and row["authenticity"] == "unknown", row
    assert say(fresh).status == 200 and say(a).status == 401
    w.server.stop()


def test_reset_refuses(world):
    refused(world, "/api/v1/agents/nobody/reset-identity", {"reason": "r"}, 404, "agent_not_found")
    a = world.enrol()
    refused(world, f"/api/v1/agents/{a.node_id}/reset-identity", {}, 400, "malformed")
    token = post(world, f"/api/v1/agents/{a.node_id}/reset-identity", {"reason": "r"}, 201)["token"]
    post(world, f"/api/v1/agents/{a.node_id}/revoke", {})
    fresh = world.good(node_id=a.node_id)
    r = fresh.register(token)
    assert r.status in (403, 409) and r.json()["code"] in ("id_taken", "agent_revoked"), r


# ---- maintenance ----

def test_maintenance(world, cli):
    # Where many are silent at once it is the partition's incident: these two are alone in theirs.
    a, b = (alive(world, 3, world.server.make_token(partition=p)) for p in ("desert", "island"))
    said = cli("maintenance", "add", "agent", a.node_id, "--for", "10m", "--reason", "new disk")
    ident = said.split(":")[0]
    assert "silence is no alert" in said
    row = next(r for r in rows(cli("maintenance", "list")) if r["ID"] == ident)
    assert (row["STATE"], row["SCOPE"], row["TARGET"], row["REASON"]) == ("running", "agent", a.node_id, "new disk")
    audited(world, "maintenance.add", ident)
    until(lambda: world.agent(a.node_id)["in_maintenance"])
    # One that begins later is only announced.
    later = cli("maintenance", "add", "partition", "island", "--from", "1h", "--for", "2h", "--reason", "r", "-q").strip()
    assert next(r for r in rows(cli("maintenance", "list")) if r["ID"] == later)["STATE"] == "announced"

    missed = until(lambda: [x for x in alerts_of(world, b) if x["kind"] == "silence"], 40)
    assert missed[0]["severity"] in (2, 4)
    assert not [x for x in alerts_of(world, a) if x["kind"] == "silence"]
    assert world.agent(b.node_id)["reachability"] in ("missed", "lost")
    assert say(b).status == 200
    until(lambda: not [x for x in alerts_of(world, b) if x["kind"] == "silence"])

    assert "is over" in cli("maintenance", "end", ident)
    audited(world, "maintenance.end", ident)
    assert "already_ended" in cli.error(REFUSED, "maintenance", "end", ident)
    assert "maintenance_not_found" in cli.error(REFUSED, "maintenance", "end", "00000000")
    cli("maintenance", "end", later)
    add = "/api/v1/maintenance"
    for body in ({"scope": "fleet", "reason": "r"}, {"scope": "fleet", "minutes": 50000, "reason": "r"},
                 {"scope": "fleet", "target": "x", "minutes": 5, "reason": "r"}, {"scope": "agent", "minutes": 5, "reason": "r"},
                 {"scope": "fleet", "until": "2020-01-01T00:00:00Z", "reason": "r"},
                 {"scope": "fleet", "from": "2020-01-01T00:00:00Z", "minutes": 5, "reason": "r"}):
        refused(world, add, body, 400, "out_of_range")
    refused(world, add, {"scope": "fleet", "minutes": 5}, 400, "malformed")
    refused(world, add, {"scope": "agent", "target": "nobody", "minutes": 5, "reason": "r"}, 404, "agent_not_found")
    refused(world, add, {"scope": "partition", "target": "nowhere", "minutes": 5, "reason": "r"}, 404, "partition_not_found")


# ---- watching ----

def watch(cli, *args):
    return subprocess.Popen([program("troth"), "agent", "watch", "--interval", "0.2", *args], stdout=subprocess.PIPE,
                            text=True, env=cli.env)


def lines_until(p, wanted, seconds=10):
    """Lines of p up to the one that wanted() likes."""
    end, seen = time.monotonic() + seconds, []
    while True:
        assert select.select([p.stdout], [], [], max(0, end - time.monotonic()))[0], seen
        seen.append(p.stdout.readline())
        if wanted(seen[-1]):
            return seen


def test_watch_tells_as_it_happens(world, cli):
    a = alive(world, 2)
    p, q = watch(cli), watch(cli, "-o", "json", "--verdict", "unknown_binary")
    try:
        assert " ok" in p.stdout.readline()
        assert "verdicts" in json.loads(q.stdout.readline())["fleet"]
        say(a, binary_hash=OTHER)
        lines_until(p, lambda line: a.node_id in line and "ok  -> unknown_binary" in line)
        lines_until(p, lambda line: "ALERT" in line and f"agent:{a.node_id}" in line)
        e = json.loads(lines_until(q, lambda line: a.node_id in line)[-1])["event"]
        assert e["kind"] == "verdict_changed" and e["detail"]["to"] == "unknown_binary", e
    finally:
        for one in p, q:
            one.send_signal(signal.SIGINT)
            one.wait(10)
            one.stdout.close()


def test_verdicts_have_colours_on_a_terminal_only(world, cli):
    a = alive(world, 2)
    say(a, binary_hash=OTHER)
    assert "\x1b[31munknown_binary\x1b[0m" in terminal(cli, "agent", "list", "--verdict", "unknown_binary", seconds=5)
    assert "\x1b[" not in terminal(cli, "status", seconds=5, env={"NO_COLOR": "1"})
    assert "\x1b[" not in cli("status") + cli("alert", "list") + cli("agent", "explain", a.node_id)
    assert cli.run("status", expect=OK).stderr == ""
