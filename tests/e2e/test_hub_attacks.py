# SPDX-License-Identifier: Apache-2.0
"""Who can only send bytes to the hub, and what that does to others."""

import base64
import datetime
import http.client
import json

import pytest
from cryptography import x509

from attesting import policy, request_headers, unb64url
from client import make_key
from harness import call, context
from lab import Lab
from world import name


@pytest.fixture(scope="module")
def lab():
    lab = Lab()
    yield lab
    lab.server.stop()
    assert "Sanitizer" not in lab.server.read_log() and "role_died" not in lab.server.read_log(), lab.server.read_log()
    lab.server.destroy()


def code_of(r):
    return r.status, r.json().get("code")


def forge(lab, agent, path, **kw):
    headers = request_headers(make_key("ed25519"), agent, "GET", path, **kw)
    return call(lab.server.agents, "GET", path, None, headers, context(lab.server.ca))


def test_forged_requests_cost_the_agent_that_they_name_nothing(lab):
    a, b = lab.attested(), lab.attested()
    path = f"/api/v1/agents/discovery/{b.node_id}"
    assert {code_of(forge(lab, a.node_id, path)) for _ in range(130)} == {(401, "bad_signature")}
    assert a.ask(path).status == 200


def test_who_cannot_sign_learns_nothing_about_who_is_there(lab):
    verified, unproven, revoked = lab.attested(), lab.agent(), lab.attested()
    assert lab.server.api("POST", f"/api/v1/agents/{revoked.node_id}/revoke", {"reason": "test"}).status == 200
    path = "/api/v1/agents/discovery"
    for kw in ({}, {"nonce": "short"}, {"at": 1}):
        answers = [forge(lab, who, path, **kw) for who in (verified.node_id, unproven.node_id, revoked.node_id, name("nobody"))]
        assert len({(code_of(r), r.json()["detail"]) for r in answers}) == 1 and answers[0].status in (400, 401), answers
    # Whoever can sign hears what is wrong.
    assert [code_of(a.ask(path)) for a in (unproven, revoked)] == [(403, "not_attested")] * 2


def test_nobody_asks_under_two_names(lab):
    a, b = lab.attested(), lab.attested()
    path = f"/api/v1/agents/discovery/{b.node_id}"
    for again, value in (("x-requesting-agent", b.node_id), ("X-Nonce", "A" * 20), ("X-Timestamp", "1"), ("Authorization", "Bearer x")):
        conn = http.client.HTTPSConnection("localhost", lab.server.agents, context=context(lab.server.ca))
        conn.putrequest("GET", path)
        for header in [*request_headers(a.key, a.node_id, "GET", path).items(), ("Authorization", "Bearer y"), (again, value)]:
            conn.putheader(*header)
        conn.endheaders()
        r = conn.getresponse()
        assert (r.status, json.loads(r.read())["code"]) == (400, "request_malformed"), again
        conn.close()


def test_who_has_no_token_learns_nothing_from_registrations(lab):
    known, key = lab.attested(), lab.attested().key
    wrong = [lab.agent(enrolled=False), lab.agent(enrolled=False, node_id=known.node_id), lab.agent(enrolled=False)]
    wrong[2].key = key
    assert {code_of(a.attest_by_token(token)) for a in wrong for token in (None, "trt_" + "A" * 22 + "_" + "A" * 43)} == {
        (401, "token_invalid")}
    assert [code_of(a.attest_by_token(lab.world.token)) for a in wrong[1:]] == [(409, "id_taken")] * 2


def test_an_agent_does_not_choose_another_policy(lab):
    lab.operator.put_in_force(policy(lab.vendor, "weak", ("weak",), mrtd=b"\x77" * 48))
    a = lab.attested()
    a.agent_type = "weak"
    with a.mtls() as conn:
        challenge = conn.challenge()
        r = a.attest(conn=conn, body=a.hub_body(challenge, quote=a.evidence(challenge, mrtd=b"\x77" * 48)))
    assert code_of(r) == (403, "agent_type_mismatch")
    assert lab.attested().ask(f"/api/v1/agents/discovery/{a.node_id}").json()["agent_type"] == "lab"


def kept(lab, agent):
    r = lab.server.api("GET", f"/api/v1/verdicts?agent={agent.node_id}&limit=100")
    assert r.status == 200, r
    return len(r.json()["verdicts"])


def test_a_token_does_not_fill_the_disk_with_bad_evidence(lab):
    token = lab.server.make_token(max_uses=1, ttl_s=3600)
    a = lab.agent(enrolled=False)
    with a.connect() as conn:
        for _ in range(40):
            challenge = conn.challenge()
            body = a.hub_body(challenge, quote=a.evidence(challenge, mrtd=b"\x55" * 48))
            assert code_of(a.attest_by_token(token, conn=conn, body=body)) == (403, "measurement_mismatch")
        assert 25 <= kept(lab, a) <= 32
        # The token is good still, for good evidence.
        assert a.attest_by_token(token, conn=conn).status == 201


def test_a_copied_result_key_is_believed_for_a_day_at_most(lab):
    """No peer asks whether it was revoked."""
    head = json.loads(unb64url(lab.agent().attest().json()["token"].split(".")[0]))
    cert = x509.load_der_x509_certificate(base64.b64decode(head["x5c"][0]))
    left = cert.not_valid_after - datetime.datetime.utcnow()
    assert datetime.timedelta(hours=12) <= left <= datetime.timedelta(days=1)
