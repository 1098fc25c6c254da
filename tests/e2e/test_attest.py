# SPDX-License-Identifier: Apache-2.0
"""TE-1 to TE-4: evidence is verified where it arrives, each refusal has its own code, and a verdict can be made again."""

import datetime
import hashlib
import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization as ser

import simtee
from attesting import bundle, policy, read_token, read_token_by_jwks, report_data, request_headers
from client import b64, make_key, public_pem, spki
from harness import call, context
from lab import Lab
from waiting import until
from world import name


@pytest.fixture(scope="module")
def lab():
    lab = Lab()
    yield lab
    lab.server.destroy()


def code_of(r):
    return r.status, r.json()["code"]


# ---- what is good ----

def test_evidence_over_the_agents_own_connection(lab):
    a = lab.agent()
    r = a.attest()
    assert r.status == 201, r
    got = r.json()
    assert got["status"] == "registered" and got["verification_status"] == "verified" and got["agent_id"] == a.node_id
    assert got["kind"] == "tdx" and got["tcb_status"] == "UpToDate" and got["policy"] == "lab" and got["image"] == "gold"
    # Another vendor's root, by the operator's word: never sold as hardware.
    assert got["simulated"] is True and got["tier"] == "none"
    assert 14000 < got["attestation_lifetime_s"] <= 14400
    row = lab.world.agent(a.node_id)["attestation"]
    assert row["state"] == "verified" and row["verdict"] == got["verdict"] and row["simulated"] is True
    assert lab.events("agent_registration_success")[0]["agent"] == a.node_id
    assert lab.server.metric('troth_evidence_verifications_total{kind="tdx",outcome="verified"}') >= 1


def test_the_result_token_is_verified_by_the_ca_alone(lab):
    a = lab.agent()
    token = a.attest().json()["token"]
    claims, kid, raw = read_token(token, lab.server.ca.read_bytes())
    assert claims["sub"] == a.node_id and claims["troth"]["simulated"] is True and claims["troth"]["verified"] is True
    assert claims["cnf"]["kid"] == hashlib.sha256(spki(a.key)).hexdigest()
    assert claims["submods"]["tee"]["ear_status"] == "warning"  # a simulated root says nothing about hardware
    assert read_token_by_jwks(lab.server, token) == claims
    # The same token for those who ask: an operator, and a peer that is verified itself.
    r = lab.server.api("GET", f"/api/v1/agents/{a.node_id}/attestation")
    assert r.status == 200 and r.json()["token"] == token
    peer = lab.attested()
    r = peer.ask(f"/api/v1/agents/{a.node_id}/attestation")
    assert r.status == 200 and r.json()["token"] == token
    r = peer.ask(f"/api/v1/agents/{a.node_id}/attestation", headers={"Accept": "application/eat+jwt"})
    assert r.body.decode() == token and r.headers["Content-Type"] == "application/eat+jwt"
    # With what the verdict was made from: a peer that believes no server checks the challenge's binding itself.
    full = peer.ask(f"/api/v1/agents/{a.node_id}/attestation?evidence=1").json()
    challenge, key = bytes.fromhex(full["context"]["challenge"]), bytes.fromhex(full["context"]["spki"])
    assert key == spki(a.key) and report_data(challenge, key).hex() in __import__("base64").b64decode(full["evidence"]).hex()


def test_strangers_and_the_unproven_ask_in_vain(lab):
    a = lab.attested()
    target = f"/api/v1/agents/{a.node_id}/attestation"
    assert call(lab.server.agents, "GET", target, tls=context(lab.server.ca)).status in (400, 401, 403)
    assert code_of(lab.agent().ask(target)) == (403, "not_attested")
    other = lab.attested()
    assert code_of(other.ask(f"/api/v1/agents/{name('nobody')}/attestation")) == (404, "not_found")


def test_an_agent_without_certificate_comes_with_a_token_and_its_signature(lab):
    a = lab.agent(enrolled=False)
    token = lab.server.make_token(max_uses=1, ttl_s=3600)
    r = a.attest_by_token(token)
    assert r.status == 201 and r.json()["verification_status"] == "verified", r
    row = lab.world.agent(a.node_id)
    assert row["form"] == "hub" and row["agent_type"] == "lab" and row["attestation"]["state"] == "verified"
    # Known by its key now: it renews without a token, nobody else comes in by its spent one.
    assert a.attest_by_token().status == 201
    b = lab.agent(enrolled=False)
    assert code_of(b.attest_by_token(token)) == (401, "token_invalid")
    assert code_of(b.attest_by_token()) == (401, "token_invalid")


# ---- who may ----

def test_an_id_belongs_to_its_first_key(lab):
    a = lab.attested()
    thief = lab.agent(enrolled=False, node_id=a.node_id)
    assert code_of(thief.attest_by_token(lab.world.token)) == (409, "id_taken")
    # Nor when it has gone.
    assert lab.server.api("DELETE", f"/api/v1/agents/{a.node_id}?reason=gone").status in (200, 204)
    assert code_of(thief.attest_by_token(lab.world.token)) == (409, "id_taken")
    # And a key belongs to its first id.
    b = lab.attested()
    again = lab.agent(enrolled=False, key=b.key)
    assert code_of(again.attest_by_token(lab.world.token)) == (409, "id_taken")


def test_a_revoked_agent_stays_out(lab):
    a = lab.attested()
    assert lab.server.api("POST", f"/api/v1/agents/{a.node_id}/revoke", {"reason": "stolen"}).status == 200
    assert code_of(a.attest()) == (403, "agent_revoked")
    assert code_of(a.attest_by_token()) == (403, "agent_revoked")
    assert lab.world.agent(a.node_id)["attestation"]["state"] != "verified"


def test_the_connections_key_and_the_evidences_key_are_one(lab):
    a, other = lab.agent(), make_key("ed25519")
    with a.mtls() as c:
        challenge = c.challenge()
        r = a.attest(c, body=a.hub_body(challenge, quote=a.evidence(challenge, key=other),
                                        data={"public_key": public_pem(other)}))
    assert code_of(r) == (403, "key_mismatch")
    b = lab.agent()
    with a.mtls() as c:
        r = a.attest(c, body=b.hub_body(c.challenge()))
    assert code_of(r) == (403, "wrong_agent")


def test_without_a_certificate_the_request_must_be_signed_now_by_its_key(lab):
    a = lab.agent(enrolled=False)
    other = make_key("ed25519")
    assert code_of(a.attest_by_token(lab.world.token, headers={"X-Attestation-Signature": None})) == (401, "signature_required")
    assert code_of(a.attest_by_token(lab.world.token, sign_with=other)) == (401, "bad_signature")
    with a.connect() as c:
        body = a.hub_body(c.challenge())
        old = request_headers(a.key, a.node_id, "POST", "/api/v1/agents/register", body, at=int(time.time()) - 400)
        r = a.attest_by_token(lab.world.token, conn=c, body=body, headers=old)
        assert code_of(r) == (401, "clock_desync")
        r = a.attest_by_token(lab.world.token, conn=c, body=a.hub_body(c.challenge(), agent_id=name("else")))
        assert code_of(r) == (403, "wrong_agent")
    assert lab.world.agent(a.node_id) is None


# ---- the request's own order ----

@pytest.mark.parametrize("change,code", [
    ({"data": {"quote": "no base64!"}}, (400, "malformed")), ({"data": {"quote": None}}, (400, "malformed")),
    ({"data": {"public_key": "-----BEGIN NOTHING-----"}}, (400, "malformed")), ({"data": {"kind": "abacus"}}, (400, "malformed")),
    ({"data": {"challenge": b64(b"short")}}, (400, "malformed")), ({"data": {"challenge": None}}, (400, "challenge_missing")),
    ({"data": {"surprise": 1}}, (400, "malformed")), ({"surprise": 1}, (400, "malformed")),
    ({"capabilities": ["a", "a"]}, (400, "malformed")), ({"capabilities": ["with space"]}, (400, "malformed")),
    ({"endpoint": "http://plain.example"}, (400, "malformed")), ({"attestation_endpoint": "https://a b"}, (400, "malformed")),
    ({"agent_type": "nobody-judges-these"}, (403, "no_policy")), ({"prekey": b64(b"\x00")}, (400, "malformed")),
])
def test_a_request_that_is_not_in_order(lab, change, code):
    assert code_of(lab.agent().attest(**change)) == code


def test_headers_must_say_what_the_body_says(lab):
    a = lab.agent()
    with a.mtls() as c:
        challenge = c.challenge()
        quote = a.evidence(challenge)
        good = {"X-Attestation-Quote": b64(quote[:-1]), "X-Public-Key": b64(public_pem(a.key).encode())}
        r = a.attest(c, body=a.hub_body(challenge, quote=quote), headers=good)
        assert code_of(r) == (400, "header_mismatch")
    with a.mtls() as c:
        r = a.attest(c, headers={"X-Public-Key": b64(public_pem(make_key("ed25519")).encode())})
        assert code_of(r) == (400, "header_mismatch")
    with a.mtls() as c:
        challenge = c.challenge()
        quote = a.evidence(challenge)
        good = {"X-Attestation-Quote": b64(quote), "X-Public-Key": b64(public_pem(a.key).encode())}
        assert a.attest(c, body=a.hub_body(challenge, quote=quote), headers=good).status == 201


def test_a_token_may_fix_the_type_and_so_the_policy(lab):
    lab.operator.put_in_force(policy(lab.vendor, "strict", ["strict"]))
    token = lab.server.make_token(max_uses=9, ttl_s=3600, agent_type="strict")
    a = lab.agent(enrolled=False)
    assert code_of(a.attest_by_token(token)) == (403, "agent_type_mismatch")
    a.agent_type = "strict"
    assert a.attest_by_token(token).json()["policy"] == "strict"


# ---- freshness ----

def test_a_registration_is_not_replayed(lab):
    a = lab.agent()
    with a.mtls() as c:
        body = a.hub_body(c.challenge())
        assert a.attest(c, body=body).status == 201
        assert code_of(a.attest(c, body=body)) == (401, "challenge_invalid")
    # Nor by somebody else's connection, nor as it was sent without a certificate.
    h = lab.agent(enrolled=False)
    with h.connect() as c:
        body = h.hub_body(c.challenge())
        headers = request_headers(h.key, h.node_id, "POST", "/api/v1/agents/register", body)
        headers.update({"Authorization": f"Bearer {lab.world.token}", "Content-Type": "application/json"})
        assert c.request("POST", "/api/v1/agents/register", body, headers).status == 201
        assert code_of(c.request("POST", "/api/v1/agents/register", body, headers)) == (401, "challenge_invalid")


def test_a_challenge_is_spent_by_a_refusal_too(lab):
    a = lab.agent()
    with a.mtls() as c:
        challenge = c.challenge()
        assert code_of(a.attest(c, challenge=challenge, quote=a.evidence(challenge, mrtd=bytes(48)))) == (403, "measurement_mismatch")
        assert code_of(a.attest(c, challenge=challenge)) == (401, "challenge_invalid")


def test_a_challenge_that_is_not_ours(lab):
    a = lab.agent()
    assert code_of(a.attest(challenge=bytes(32))) == (401, "challenge_invalid")


def test_a_quote_of_another_time_is_refused(lab):
    """Stale: the quote answers an earlier challenge; the request names a new one."""
    a = lab.agent()
    with a.mtls() as c:
        old = a.evidence(c.challenge())
        assert code_of(a.attest(c, quote=old)) == (401, "report_data_mismatch")


@pytest.mark.parametrize("scheme", ["raw-ed25519", "sha256-spki-der", "sha256-pem", "sha256-cert-der"])
def test_schemes_without_a_challenge_are_fresh_by_the_key_itself(lab, scheme):
    kind = "static-" + scheme
    if lab.server.api("GET", f"/api/v1/attestation-policies/{kind}").status == 404:
        lab.operator.put_in_force(policy(lab.vendor, kind, [kind], report_data=scheme))

    def bound(a, key=None):
        key = key or a.key
        cert = x509.load_pem_x509_certificate(a.certificate).public_bytes(ser.Encoding.DER) if a.certificate else b""
        raw = key.public_key().public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw)
        data = {"raw-ed25519": raw, "sha256-spki-der": hashlib.sha256(spki(key)).digest(),
                "sha256-pem": hashlib.sha256(public_pem(key).encode()).digest(), "sha256-cert-der": hashlib.sha256(cert).digest()}
        more = {"challenge": None, **({"certificate": b64(cert)} if scheme == "sha256-cert-der" else {})}
        return {"quote": a.vendor.quote(data[scheme].ljust(64, b"\0")), "data": more}

    a, other = lab.agent(agent_type=kind), make_key("ed25519")
    r = a.attest(challenge=b"-", **bound(a))  # over TLS by that key
    assert r.status == 201, r
    if scheme != "sha256-cert-der":
        assert code_of(a.attest(challenge=b"-", **bound(a, other))) == (401, "report_data_mismatch")
        h = lab.agent(enrolled=False, agent_type=kind)
        with h.connect() as c:  # or by a request that it has signed, which comes once
            body = h.hub_body(b"-", **bound(h))
            headers = request_headers(h.key, h.node_id, "POST", "/api/v1/agents/register", body)
            headers.update({"Authorization": f"Bearer {lab.world.token}", "Content-Type": "application/json"})
            assert c.request("POST", "/api/v1/agents/register", body, headers).status == 201
            assert code_of(c.request("POST", "/api/v1/agents/register", body, headers)) == (401, "replay")
            assert code_of(h.attest_by_token(conn=c, body=body, headers={"X-Attestation-Signature": None})) == (401, "signature_required")
    else:
        stranger = lab.agent(agent_type=kind)
        theirs = bound(stranger)["data"]["certificate"]
        assert code_of(a.attest(challenge=b"-", quote=bound(stranger)["quote"], data={"challenge": None, "certificate": theirs})) \
            == (400, "malformed")
        assert code_of(a.attest(challenge=b"-", quote=bound(a)["quote"], data={"challenge": None})) == (401, "report_data_mismatch")


def test_a_relayed_quote_is_refused(lab):
    """The quote of a good machine, for a challenge of ours, brought by another agent in its own name."""
    good, relay = lab.agent(), lab.agent()
    with relay.mtls() as c:
        challenge = c.challenge()
        r = relay.attest(c, challenge=challenge, quote=good.evidence(challenge))
    assert code_of(r) == (401, "report_data_mismatch")
    assert lab.world.agent(relay.node_id)["attestation"] is None


# ---- the evidence ----

def test_each_fault_of_the_evidence_has_its_code(lab):
    time.sleep(1.1)  # the refusals before this may have been as many as are recorded in a second
    stranger = simtee.Vendor()
    cases = {
        "measurement_mismatch": dict(mrtd=bytes(48)),
        "tee_debug": dict(attributes=simtee.GOOD_ATTRIBUTES | 1),
        "quote_signature": dict(flip=300),
    }
    for code, quote in cases.items():
        a = lab.agent()
        with a.mtls() as c:
            challenge = c.challenge()
            r = a.attest(c, challenge=challenge, quote=a.evidence(challenge, **quote))
        assert r.json()["code"] == code and r.status == 403, r
        assert r.json()["status"] == "rejected" and r.json()["error"] == r.json()["detail"]
        assert r.json()["verification_status"] == "failed" and any(k["code"] == code for k in r.json()["checks"])
        v = lab.operator.verdict(r.json()["verdict"])
        assert v["outcome"] == "failed" and v["reason"] == code and v["agent"] == a.node_id
        assert lab.events("attestation_verification_failed")[0]["detail"]["code"] == code
    a = lab.agent()
    a.vendor = stranger  # a simulated root that no policy trusts
    assert code_of(a.attest()) == (403, "chain_root")


def test_a_failed_renewal_keeps_the_old_verdict_unless_it_proves_something(lab):
    a = lab.attested()
    with a.mtls() as c:
        challenge = c.challenge()
        assert a.attest(c, challenge=challenge, quote=a.evidence(challenge, flip=300)).status == 403
    row = lab.world.agent(a.node_id)["attestation"]
    assert row["state"] == "verified" and row["reason"] == "quote_signature" and row["failures"] == 1
    with a.mtls() as c:
        challenge = c.challenge()
        assert a.attest(c, challenge=challenge, quote=a.evidence(challenge, mrtd=bytes(48))).status == 403
    row = lab.world.agent(a.node_id)["attestation"]
    assert row["state"] == "failed" and row["reason"] == "measurement_mismatch"
    alerts = lab.server.api("GET", "/api/v1/alerts").json()["alerts"]
    assert any(x["kind"] == "attestation_failed" and x["subject"] == f"agent:{a.node_id}" for x in alerts)
    assert a.attest().status == 201
    assert lab.world.agent(a.node_id)["attestation"]["failures"] == 0


# ---- verdicts ----

def test_a_verdict_is_made_again_bit_for_bit(lab):
    a = lab.agent()
    good = a.attest().json()["verdict"]
    with a.mtls() as c:
        challenge = c.challenge()
        bad = a.attest(c, challenge=challenge, quote=a.evidence(challenge, mrtd=bytes(48))).json()["verdict"]
    for ident, outcome in ((good, "verified"), (bad, "failed")):
        v = lab.operator.verdict(ident)
        assert v["outcome"] == outcome and v["policy"] == "lab" and v["build"].startswith("troth ")
        assert hashlib.sha256(v["verdict_text"].encode()).hexdigest() == v["digest"]
        r = lab.operator.replay(ident)
        assert r.status == 200 and r.json()["same"] is True and r.json()["digest"] == v["digest"], r
    # Also when policy and collateral of now are others.
    lab.version += 1
    assert lab.operator.push(bundle(lab.vendor, lab.version, evaluation=18)).status == 201
    until(lambda: lab.server.api("GET", "/api/v1/collateral").json()["in_force"]["version"] == lab.version)
    lab.operator.put_in_force(policy(lab.vendor, lifetime_minutes=60))
    assert lab.operator.replay(good).json()["same"] is True
    r = lab.server.api("GET", f"/api/v1/verdicts?agent={a.node_id}")
    assert [v["id"] for v in r.json()["verdicts"]] == [bad, good]
    assert code_of(lab.server.api("GET", "/api/v1/verdicts/0123456789abcdef")) == (404, "verdict_not_found")


# ---- policies ----

def test_a_policy_is_tried_before_it_is_in_force(lab):
    lab.operator.put_in_force(policy(lab.vendor, "trial", ["trial"]))
    agents = [lab.attested(agent_type="trial") for _ in range(2)]
    draft = policy(lab.vendor, "trial", ["trial"], mrtd=bytes([0xbb]) * 48)
    r = lab.server.api("POST", "/api/v1/attestation-policy-tests", {"text": draft}).json()
    assert r["would_pass"] == 0 and {f["agent"] for f in r["would_fail"]} == {a.node_id for a in agents}
    assert {f["code"] for f in r["would_fail"]} == {"measurement_mismatch"}
    assert lab.operator.add(draft).json()["version"] == 2
    refused = lab.operator.activate("trial")
    assert code_of(refused) == (409, "agents_would_fail") and refused.json()["would_fail_count"] == 2
    assert code_of(lab.operator.activate("trial", force=True)) == (400, "reason_missing")
    assert lab.operator.activate("trial", force=True, reason="the new image comes today").json()["version"] == 2
    versions = lab.server.api("GET", "/api/v1/attestation-policies/trial").json()["versions"]
    assert [(v["version"], v["state"]) for v in versions] == [(1, "retired"), (2, "active")] and versions[1]["text"] == draft
    assert code_of(agents[0].attest()) == (403, "measurement_mismatch")
    # Back to the first version: it is still there.
    assert lab.operator.activate("trial", version=1).status == 200
    assert agents[0].attest().status == 201
    r = lab.server.api("POST", "/api/v1/attestation-policies/trial/retire", {"reason": "over"})
    assert r.status == 200 and r.json()["state"] == "retired"
    assert code_of(agents[0].attest()) == (403, "no_policy")


@pytest.mark.parametrize("text", ["", "{", "name: x", json.dumps({"name": "x", "agent_types": ["x"], "evidence": ["tdx"], "rotts": []})])
def test_a_text_that_is_no_policy(lab, text):
    r = lab.operator.add(text)
    assert r.status == 400 and r.json()["code"] in ("policy_invalid", "malformed"), r


# ---- collateral ----

def test_collateral_is_signed_and_only_rises(lab):
    push, v = lab.operator.push, lab.version
    assert code_of(push(bundle(lab.vendor, v + 1), make_key("ed25519"))) == (403, "collateral_refused")
    assert code_of(push(bundle(lab.vendor, v, evaluation=30))) == (409, "collateral_version")
    lab.version = v + 1
    assert push(bundle(lab.vendor, lab.version, evaluation=30)).status == 201
    until(lambda: lab.server.api("GET", "/api/v1/collateral").json()["in_force"]["version"] == lab.version)
    refused = push(bundle(lab.vendor, v + 2, evaluation=29))
    assert code_of(refused) == (409, "collateral_rollback"), refused
    assert code_of(push(b"garbage")) == (400, "malformed")
    state = lab.server.api("GET", "/api/v1/collateral").json()
    assert {i["type"] for i in state["in_force"]["items"]} >= {"tcb_info", "qe_identity", "root_crl"}
    newest = call(lab.server.agents, "GET", "/api/v1/collateral/newest", tls=context(lab.server.ca))
    digest = hashlib.sha256(newest.body).hexdigest()
    assert digest in {b["digest"] for b in state["bundles"]}
    assert call(lab.server.agents, "GET", f"/api/v1/collateral/{digest}", tls=context(lab.server.ca)).body == newest.body
    assert lab.server.metric('troth_collateral_seconds_left{item="tcb_info"}') > 0
    ready = call(lab.server.operators, "GET", "/readyz").json()
    assert ready["collateral"]["good"] is True and ready["collateral"]["version"] == lab.version
    assert lab.attested()


# ---- life ----

def test_a_restart_keeps_verdicts_and_spent_challenges():
    lab = Lab()
    try:
        a, b = lab.attested(), lab.attested()
        before = lab.world.agent(a.node_id)["attestation"]
        lab.server.kill()
        lab.server.start()
        assert lab.world.agent(a.node_id)["attestation"] == before
        assert b.ask(f"/api/v1/agents/{a.node_id}/attestation").status == 200
        until(lambda: lab.server.api("GET", "/api/v1/collateral").json()["in_force"]["good"])
        assert lab.operator.replay(before["verdict"]).json()["same"] is True
        assert a.attest().status == 201
        # A revoked result key is followed by another one; the old one is named no more.
        key, = [k for k in lab.server.api("GET", "/api/v1/admin/keys").json()["keys"] if k["role"] == "result"]
        assert lab.server.api("POST", f"/api/v1/admin/keys/{key['id']}/revoke", {"reason": "drill"}).status == 200
        kids = lambda: {k["kid"] for k in call(lab.server.agents, "GET", "/.well-known/jwks.json").json()["keys"]}  # noqa: E731
        until(lambda: kids() and key["id"][:32] not in kids())
        claims, kid, _ = read_token(a.attest().json()["token"], lab.server.ca.read_bytes())
        assert kid in kids() and kid != key["id"][:32]
    finally:
        lab.server.destroy()


def test_a_verdict_ends_with_what_it_rests_on(monkeypatch):
    lab = Lab()
    try:
        soon = datetime.datetime.now(simtee.UTC).replace(microsecond=0) + datetime.timedelta(seconds=14)
        with monkeypatch.context() as m:
            m.setattr(simtee, "END", soon)
            assert lab.operator.push(bundle(lab.vendor, 2, end=int(soon.timestamp()))).status == 201
        until(lambda: lab.server.api("GET", "/api/v1/collateral").json()["in_force"]["version"] == 2)
        a, peer = lab.attested(), lab.attested()
        state = lambda: lab.world.agent(a.node_id)["attestation"]["state"]  # noqa: E731
        target = f"/api/v1/agents/{a.node_id}/attestation"
        assert state() == "verified" and peer.ask(target).status == 200
        alert = until(lambda: [x for x in lab.server.api("GET", "/api/v1/alerts").json()["alerts"]
                               if x["kind"] == "collateral_expiring" and x["subject"] == "collateral:tcb_info"], 15)[0]
        assert alert["severity"] == 3
        until(lambda: state() == "expired", 20)
        assert code_of(peer.ask(target)) == (403, "not_attested")
        time.sleep(1)  # its last second is over
        assert code_of(a.attest())[0] == 403 and "_time" in code_of(a.attest())[1]
        event = until(lambda: lab.events("attestation_expired"), 15)[0]
        assert event["agent"] in (a.node_id, peer.node_id)
        assert lab.operator.push(bundle(lab.vendor, 3)).status == 201
        until(lambda: lab.server.api("GET", "/api/v1/collateral").json()["in_force"]["version"] == 3)
        assert a.attest().status == 201 and state() == "verified"
    finally:
        lab.server.destroy()
