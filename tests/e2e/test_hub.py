# SPDX-License-Identifier: Apache-2.0
"""TE-5, TE-6, TE-8: who is found at the hub, and letters that wait there. The agents are in Python, from docs/protocol alone."""

import datetime
import hashlib
import os
import signal
import time

import cbor2
import pytest

import messages
import pulse
from attesting import request_headers
from client import make_key
from harness import call, context
from lab import Lab
from letters import FLEET, Mail
from messages import raw
from waiting import until


@pytest.fixture(scope="module")
def lab():
    lab = Lab()
    yield lab
    lab.server.stop()
    assert "Sanitizer" not in lab.server.read_log() and "role_died" not in lab.server.read_log(), lab.server.read_log()
    lab.server.destroy()


def code_of(r):
    return r.status, r.json()["code"]


def discover(a, peer, **kw):
    return a.ask(f"/api/v1/agents/discovery/{peer}", **kw)


# ---- discovery ----

def test_a_peer_is_found_as_the_original_contract_says(lab):
    a, b = lab.attested(), lab.attested()
    r = discover(a, b.node_id)
    assert r.status == 200, r
    got = r.json()
    info = got["attestation_info"]
    assert got["agent_id"] == b.node_id and got["status"] == "verified" and got["agent_type"] == "lab"
    assert got["endpoint"] == "https://agent.example:8443/" and got["capabilities"] == ["index", "search"]
    assert "BEGIN PUBLIC KEY" in info["public_key_pem"] and info["verified_at"] < info["expires_at"]
    end = datetime.datetime.fromisoformat(info["expires_at"].replace("Z", "+00:00"))
    assert 3.9 * 3600 < end.timestamp() - time.time() <= 4 * 3600
    assert info["simulated"] is True and info["tier"] == "none" and info["token"].count(".") == 2


def test_peers_are_found_by_what_they_can(lab):
    a, b = lab.attested(), lab.agent()
    assert b.attest(capabilities=["translate", "echo"]).status == 201
    r = a.ask("/api/v1/agents/discovery?capability=translate")
    assert r.status == 200 and [x["agent_id"] for x in r.json()["agents"]] == [b.node_id], r
    assert a.ask("/api/v1/agents/discovery?capability=trans").json()["agents"] == []
    assert a.ask("/api/v1/agents/discovery?capability=echo&agent_type=other").json()["agents"] == []
    seen, cursor = [], ""
    while True:
        page = a.ask(f"/api/v1/agents/discovery?limit=1{'&cursor=' + cursor if cursor else ''}").json()
        seen += [x["agent_id"] for x in page["agents"]]
        cursor = page["next"]
        if not cursor:
            break
    assert seen == sorted(seen) and {a.node_id, b.node_id} <= set(seen)


def test_whoever_asks_must_sign_this_request_now_and_once(lab):
    a, b = lab.attested(), lab.attested()
    path = f"/api/v1/agents/discovery/{b.node_id}"
    ask = lambda headers: call(lab.server.agents, "GET", path, None, headers, context(lab.server.ca))  # noqa: E731
    good = request_headers(a.key, a.node_id, "GET", path)
    for left_out in good:
        assert code_of(ask({k: v for k, v in good.items() if k != left_out})) == (401, "signature_missing")
    assert ask(good).status == 200
    assert code_of(ask(good)) == (409, "replay")
    assert code_of(ask(request_headers(make_key("ed25519"), a.node_id, "GET", path))) == (401, "bad_signature")
    assert code_of(ask(request_headers(a.key, a.node_id, "GET", path + "x"))) == (401, "bad_signature")
    assert code_of(ask(request_headers(a.key, b.node_id, "GET", path))) == (401, "bad_signature")
    assert code_of(ask(request_headers(a.key, a.node_id, "POST", path))) == (401, "bad_signature")
    for off in (-302, 302):
        r = ask(request_headers(a.key, a.node_id, "GET", path, at=int(time.time()) + off))
        assert code_of(r) == (401, "clock_desync") and abs(r.json()["skew_seconds"] - off) <= 1
    assert code_of(ask({**request_headers(a.key, a.node_id, "GET", path), "X-Nonce": "short"})) == (400, "malformed")
    r = a.mtls().request("GET", path, headers=request_headers(b.key, b.node_id, "GET", path))
    assert code_of(r) == (403, "wrong_agent")


def test_a_nonce_is_remembered_over_a_restart(lab):
    a, b = lab.attested(), lab.attested()
    path = f"/api/v1/agents/discovery/{b.node_id}"
    headers = request_headers(a.key, a.node_id, "GET", path)
    assert call(lab.server.agents, "GET", path, None, headers, context(lab.server.ca)).status == 200
    lab.server.stop()
    lab.server.start()
    assert code_of(call(lab.server.agents, "GET", path, None, headers, context(lab.server.ca))) == (409, "replay")


def test_only_the_verified_ask_and_only_the_verified_are_found(lab):
    a, plain = lab.attested(), lab.agent()
    assert code_of(discover(plain, a.node_id)) == (403, "not_attested")
    nobody = [discover(a, plain.node_id), discover(a, "nobody-at-all")]
    assert [code_of(r) for r in nobody] == [(404, "not_found")] * 2 and len({r.json()["detail"] for r in nobody}) == 1


def test_a_revoked_agent_vanishes_at_once(lab):
    a, b = lab.attested(), lab.attested()
    assert discover(a, b.node_id).status == 200
    assert lab.server.api("POST", f"/api/v1/agents/{b.node_id}/revoke", {"reason": "test"}).status == 200
    assert code_of(discover(a, b.node_id)) == (404, "not_found")
    assert code_of(discover(b, a.node_id)) == (403, "not_attested")
    assert b.node_id not in [x["agent_id"] for x in a.ask("/api/v1/agents/discovery?limit=200").json()["agents"]]


def revocations(a, after=0):
    r = a.mtls().request("GET", f"/api/v1/agent/revocations?after={after}")
    assert r.status == 200, r
    return cbor2.loads(r.body)


def test_agents_hear_of_a_revocation_with_the_next_answer(lab):
    a, b = lab.attested(), lab.attested()
    with a.mtls() as conn:
        before = pulse.parse_answer(a.pulse(conn).body)["revocation"]
        lab.server.api("POST", f"/api/v1/agents/{b.node_id}/revoke", {"reason": "test"})
        after = pulse.parse_answer(a.pulse(conn).body)["revocation"]
    assert after == before + 1
    told = revocations(a)
    assert told[1] == after and told[3] is True
    row, = [x for x in told[2] if x[0] == b.node_id]
    assert row[3] is True and abs(row[2] / 1000 - time.time()) < 30
    assert [x[0] for x in revocations(a, row[2])[2]] == [b.node_id]


# ---- pre-keys ----

@pytest.fixture
def pair(lab):
    a, b = Mail(lab.attested()), Mail(lab.attested())
    assert a.publish().status == 200 and b.publish().status == 200
    return a, b


def test_a_prekey_is_handed_on_as_it_was_signed(lab, pair):
    a, b = pair
    import base64
    got = discover(a.agent, b.agent.node_id).json()["attestation_info"]["prekey"]
    read = messages.read_prekey(base64.b64decode(got), b.agent.key.public_key())
    assert read["key"] == raw(b.secret.public_key()) and read["agent"] == b.agent.node_id


@pytest.mark.parametrize("code,kw", [
    ("old_prekey", {"number": 1}), ("wrong_agent", {"agent": "somebody-else"}), ("wrong_agent", {"fleet": "other.example"}),
    ("expired", {"number": 2, "begin": -3 * 86400}), ("expired", {"number": 2, "begin": 400}),
    ("bad_signature", {"number": 2, "key": make_key("ed25519")}), ("malformed", {"body": b"\xd2\x84"})])
def test_a_prekey_that_is_not_the_agents_next_one(lab, pair, code, kw):
    r = pair[0].publish(**kw)
    assert r.json()["code"] == code and r.status in (400, 401, 403, 409), r
    assert pair[0].publish(number=2).status == 200


def test_a_prekey_needs_an_attestation(lab):
    assert code_of(Mail(lab.agent()).publish()) == (403, "not_attested")


# ---- the mailbox ----

def test_a_letter_waits_until_it_is_acknowledged(lab, pair):
    a, b = pair
    envelope = a.seal(b, b"for your eyes")
    r = a.send(b, envelope)
    assert r.status == 202 and r.json()["id"] == hashlib.sha256(envelope).digest()[:16].hex(), r
    assert a.send(b, envelope).status == 200
    for _ in range(2):
        (number, sender, got), = b.fetch()
        assert (sender, got) == (a.agent.node_id, envelope) and number > 0
    opened = messages.open_message(got, FLEET, b.secret, a.agent.key.public_key())
    assert opened["body"] == b"for your eyes" and opened["sender"] == a.agent.node_id
    assert a.ack(envelope).json() == {"acknowledged": 0}  # it is not a's
    assert len(b.fetch()) == 1
    assert b.ack(envelope).json() == {"acknowledged": 1}
    assert b.fetch() == [] and b.ack(envelope).json() == {"acknowledged": 0}


def test_the_hub_stores_what_it_cannot_read(lab, pair):
    a, b = pair
    a.send(b, text=b"NobodyButTheRecipient" * 20)
    state = b"".join(p.read_bytes() for p in (lab.server.dir / "state").glob("troth.db*"))
    assert b"NobodyButTheRecipient" not in state and len(b.fetch()) == 1


def test_letters_come_in_the_order_of_their_arrival_and_survive_kills(lab, pair):
    a, b = pair
    sent = [a.seal(b, str(n).encode()) for n in range(12)]
    for e in sent[:6]:
        assert a.send(b, e).status == 202
    os.kill(lab.server.process.pid, signal.SIGKILL)
    lab.server.process.wait()
    lab.server.start()
    a.conn, b.conn = a.agent.mtls(), b.agent.mtls()
    for e in sent[6:]:
        assert a.send(b, e).status == 202
    got = b.fetch()
    assert [e for _, _, e in got] == sent and [n for n, _, _ in got] == sorted({n for n, _, _ in got})
    assert b.ack(*sent).json() == {"acknowledged": 12}
    lab.server.stop()
    lab.server.start()
    b.conn = b.agent.mtls()
    assert b.fetch() == []


def test_a_question_that_waits_is_answered_when_a_letter_comes(lab, pair):
    import threading
    a, b = pair
    got, began = [], time.monotonic()
    with b.agent.mtls() as conn:
        t = threading.Thread(target=lambda: got.append((b.fetch(20, conn), time.monotonic() - began)))
        t.start()
        time.sleep(0.5)
        assert not got
        a.send(b)
        t.join(5)
    assert len(got) == 1 and len(got[0][0]) == 1 and got[0][1] < 4
    b.ack(got[0][0][0][2])
    began = time.monotonic()
    assert b.fetch(1) == [] and 0.4 < time.monotonic() - began < 4


def test_what_the_hub_refuses_to_carry(lab, pair):
    a, b = pair
    c, plain = Mail(lab.attested()), lab.agent()
    assert code_of(a.send(b, a.seal(b, sender=c.agent.node_id))) == (403, "wrong_agent")
    assert code_of(a.send(b, a.seal(b), path=f"/api/v1/mailbox/{c.agent.node_id}")) == (403, "wrong_agent")
    assert code_of(a.send(b, b"\x87\x01nonsense")) == (400, "malformed")
    assert code_of(a.send(b, a.seal(b)[:-1])) == (400, "malformed")
    assert code_of(a.send(b, a.seal(b, recipient=plain.node_id), path=f"/api/v1/mailbox/{plain.node_id}")) == (
        404, "recipient_unknown")
    unproven = Mail(plain)
    assert code_of(unproven.send(b)) == (403, "not_attested")
    to = raw(b.secret.public_key())
    old, late = (messages.seal_plain(bytes(256), FLEET, a.agent.node_id, b.agent.node_id, int(time.time()) + seconds, to)
                 for seconds in (-1, 2 * 86400))
    assert code_of(a.send(b, old)) == (400, "expired") and code_of(a.send(b, late)) == (400, "expired")
    assert b.fetch() == []


def test_one_sender_does_not_fill_a_mailbox(lab, pair):
    a, b = pair
    c = Mail(lab.attested())
    for _ in range(64):
        assert a.send(b).status == 202
    r = a.send(b)
    assert code_of(r) == (429, "mailbox_full") and int(r.headers["retry-after"]) > 0
    assert c.send(b).status == 202
    letters = b.fetch()
    assert len(letters) == 65
    b.ack(*[e for _, _, e in letters[:64]])
    assert a.send(b).status == 202


def test_a_letter_expires(lab, pair):
    a, b = pair
    assert a.send(b, life=2).status == 202
    assert len(b.fetch()) == 1
    time.sleep(2.2)
    assert b.fetch() == []


def test_revocation_ends_mail_both_ways_at_once(lab, pair):
    a, b = pair
    assert a.send(b).status == 202
    lab.server.api("POST", f"/api/v1/agents/{b.agent.node_id}/revoke", {"reason": "test"})
    assert code_of(a.send(b)) == (404, "recipient_unknown")
    r = b.conn.request("GET", "/api/v1/mailbox")
    assert r.status in (401, 403) and r.json()["code"] == "agent_revoked", r
    r = b.send(a)
    assert r.json()["code"] == "agent_revoked", r


# ---- the security monitor ----

def health(lab):
    r = lab.server.api("GET", "/api/v1/security/health")
    assert r.status == 200, r
    return r.json()


def test_five_failures_in_an_hour_degrade_the_health(make_server):
    lab = Lab()
    try:
        now = health(lab)
        assert now["overall_status"] == "healthy" and now["failed_attestations_count"] == 0
        assert abs(datetime.datetime.fromisoformat(now["last_check"].replace("Z", "+00:00")).timestamp() - time.time()) < 10
        for n in range(5):
            assert health(lab)["overall_status"] == "healthy", n
            a = lab.agent()
            r = a.attest(quote=lab.vendor.quote(bytes(64)))
            assert code_of(r) == (403, "report_data_mismatch") or r.status == 401, r
            until(lambda n=n: health(lab)["failed_attestations_count"] == n + 1)
        assert health(lab)["overall_status"] == "degraded"
        lab.server.stop()
        lab.server.start()
        assert health(lab)["overall_status"] == "degraded" and health(lab)["recent_events_count"] >= 5
        assert call(lab.server.operators, "GET", "/api/v1/security/health", tls=context(lab.server.ca)).status == 401
    finally:
        lab.server.destroy()
