# SPDX-License-Identifier: Apache-2.0
"""TPMs: an attestation key counts once its TPM has shown that it holds it; a copy of the agent on another machine does not."""

import json

import cbor2
import pytest

import softtpm
from attesting import b64, bundle
from client import public_pem, spki
from lab import Lab
from waiting import until

POLICY = json.dumps({"name": "servers", "agent_types": ["server"], "evidence": ["tpm"], "roots": ["tpm"],
                     "tpm": {"ak": ["activated"], "pcrs": {"0": bytes(32).hex(), "7": bytes(32).hex()}}})


@pytest.fixture(scope="module")
def lab():
    lab = Lab()
    lab.operator.put_in_force(POLICY)
    yield lab
    lab.server.destroy()


def code_of(r):
    return r.status, r.json()["code"]


def machine(lab):
    a = lab.agent(agent_type="server")
    a.tpm = softtpm.Tpm()
    return a


def credential(a, conn, tpm=None):
    return conn.request("POST", "/api/v1/agent/tpm-credential", (tpm or a.tpm).credential_request(),
                        {"Content-Type": "application/cbor"})


def activation(a, conn, tpm=None):
    r = credential(a, conn, tpm)
    assert r.status == 200 and r.headers["content-type"] == "application/cbor", r
    m = cbor2.loads(r.body)
    return {"id": m[1].hex(), "secret": b64((tpm or a.tpm).activate(m[2], m[3]))}


def attest(a, conn, tpm=None, **fields):
    tpm = tpm or a.tpm
    challenge = conn.challenge()
    evidence, quote = tpm.evidence(softtpm.nonce(challenge, spki(a.key)), **fields.pop("quote", {}))
    body = {"agent_id": a.node_id, "agent_type": "server",
            "attestation_data": {"quote": b64(quote), "public_key": public_pem(a.key), "challenge": b64(challenge),
                                 "evidence": b64(evidence)}, **fields}
    return a.attest(conn, body=json.dumps(body).encode())


def test_an_activated_key_attests_and_goes_on_attesting(lab):
    a = machine(lab)
    with a.mtls() as c:
        assert code_of(attest(a, c)) == (403, "tpm_ak_trust")  # nothing ties the key to a TPM yet
        r = attest(a, c, activation=activation(a, c))
        # The keys are one TPM's; that it is no program nobody has certified.
        assert r.status == 201 and r.json()["kind"] == "tpm" and r.json()["tier"] == "self-asserted", r
        assert attest(a, c).status == 201
        replayed = lab.operator.replay(r.json()["verdict"])
        assert replayed.status == 200 and replayed.json()["same"] is True, replayed


def test_the_makers_certificate_makes_it_hardware(lab):
    maker, stranger = softtpm.Maker(), softtpm.Maker()
    der = maker.root.public_bytes(softtpm.serialization.Encoding.DER)
    lab.version += 1
    assert lab.operator.push(bundle(lab.vendor, lab.version, tpm_roots=[der])).status == 201
    until(lambda: lab.server.api("GET", "/api/v1/collateral").json()["in_force"]["version"] == lab.version)
    for by, tier in ((maker, "hardware"), (stranger, "self-asserted")):
        a = machine(lab)
        by.certify(a.tpm)
        with a.mtls() as c:
            r = attest(a, c, activation=activation(a, c))
            assert r.status == 201 and r.json()["tier"] == tier, r
            assert lab.operator.replay(r.json()["verdict"]).json()["same"] is True


def test_an_activation_is_for_one_agent_one_key_and_once(lab):
    a, b = machine(lab), machine(lab)
    with a.mtls() as c, b.mtls() as d:
        good = activation(a, c)
        assert code_of(attest(b, d, activation=good)) == (403, "tpm_activation")  # another agent's, and spent by the try
        assert code_of(attest(a, c, activation=good)) == (403, "tpm_activation")
        wrong = dict(activation(a, c), secret=b64(bytes(32)))
        assert code_of(attest(a, c, activation=wrong)) == (403, "tpm_activation")
        fresh = activation(a, c)
        a.tpm.new_ak()
        assert code_of(attest(a, c, activation=fresh)) == (403, "tpm_activation")
        assert attest(a, c, activation=activation(a, c)).status == 201


def test_a_key_that_signs_anything_is_none(lab):
    a = machine(lab)
    a.tpm.new_ak(attributes=softtpm.AK_ATTRIBUTES & ~(1 << 16))
    with a.mtls() as c:
        assert code_of(credential(a, c)) == (400, "malformed")
        r = c.request("POST", "/api/v1/agent/tpm-credential", b"\xa1\x01\x02", {"Content-Type": "application/cbor"})
        assert code_of(r) == (400, "malformed")


def test_a_clone_of_the_state_folder_is_refused_and_told(lab):
    a = machine(lab)
    with a.mtls() as c:
        assert attest(a, c, activation=activation(a, c)).status == 201
        clone = softtpm.Tpm()  # certificate and key were copied; the TPM was not
        assert code_of(credential(a, c, clone)) == (403, "tpm_ak_trust")
        assert code_of(attest(a, c, tpm=clone)) == (403, "tpm_ak_trust")
        event = lab.events("tpm_cloned")[0]
        assert event["agent"] == a.node_id and event["severity"] == 1
        alerts = [x for x in lab.server.api("GET", "/api/v1/alerts").json()["alerts"] if x["subject"] == f"agent:{a.node_id}"]
        assert [x["kind"] for x in alerts] == ["tpm_cloned"] and alerts[0]["severity"] == 1
        # The right machine is not shut out by it, nor is a new key of the same TPM.
        assert attest(a, c).status == 201
        a.tpm.new_ak()
        assert code_of(attest(a, c)) == (403, "tpm_ak_trust")
        assert attest(a, c, activation=activation(a, c)).status == 201
        assert not [x for x in lab.server.api("GET", "/api/v1/alerts").json()["alerts"] if x["subject"] == f"agent:{a.node_id}"]


def test_evidence_names_the_endorsement_key_that_activated(lab):
    a = machine(lab)
    with a.mtls() as c:
        assert attest(a, c, activation=activation(a, c)).status == 201
        other, own = softtpm.Tpm(), a.tpm.ek
        a.tpm.ek = other.ek
        assert code_of(attest(a, c)) == (403, "tpm_ak_trust")
        a.tpm.ek = own
        assert attest(a, c, quote={"ek": False}).status == 201


@pytest.mark.parametrize("change", [{"clock": 0}, {"resets": 2}, {"restarts": 0}])
def test_a_tpm_that_went_back_is_another_one(lab, change):
    a = machine(lab)
    with a.mtls() as c:
        assert attest(a, c, activation=activation(a, c)).status == 201
        before = dict(vars(a.tpm))
        for name, value in change.items():
            setattr(a.tpm, name, value)
        assert code_of(attest(a, c)) == (401, "tpm_clock")
        vars(a.tpm).update({k: before[k] for k in ("clock", "resets", "restarts")})
        a.tpm.resets += 1
        a.tpm.restarts, a.tpm.clock = 0, 0  # a reboot begins anew
        assert attest(a, c).status == 201


def test_a_changed_pcr_is_named(lab):
    a = machine(lab)
    with a.mtls() as c:
        assert attest(a, c, activation=activation(a, c)).status == 201
        a.tpm.pcrs[7] = softtpm.sha(b"another boot loader")
        r = attest(a, c)
        assert code_of(r) == (403, "pcr_mismatch")
        assert any("PCR 7" in k["expected"] and k["code"] == "pcr_mismatch" for k in r.json()["checks"]), r.json()["checks"]
    assert lab.world.agent(a.node_id)["attestation"]["state"] == "failed"


def test_a_reset_of_the_identity_forgets_the_tpm(lab):
    a = machine(lab)
    with a.mtls() as c:
        assert attest(a, c, activation=activation(a, c)).status == 201
    r = lab.server.api("POST", f"/api/v1/agents/{a.node_id}/reset-identity", {"reason": "new board"})
    assert r.status in (200, 201), r
    b = lab.agent(enrolled=False, node_id=a.node_id, agent_type="server")
    b.tpm = softtpm.Tpm()
    assert b.register(r.json()["token"]).status == 201
    assert lab.world.agent(a.node_id)["attestation"] is None
    with b.mtls() as c:
        assert attest(b, c, activation=activation(b, c)).status == 201
