# SPDX-License-Identifier: Apache-2.0
"""Registration by a client that knows docs/protocol and nothing else (BA-1 to BA-11)."""

import base64
import concurrent.futures
import contextlib
import datetime
import hashlib
import json
import os
import socket
import sqlite3
import subprocess
import threading
import time

import cbor2
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import client
from client import (CLAIM, ES256, LEAKED, PS256, RS256, Agent, Connection, bootstrap, claim_payload, csr, issue, key_id,
                    make_key, native_body, now_ms, original_body, original_text, private_pem, public_pem, release, sign1,
                    spki)
from harness import call, context, program
from pulse import parse_answer, verify_time
from world import REFUSALS, WAYS, World, name, provoke

KEYS = {"ed25519": ("ed25519", None), "p256": ("p256", ES256), "rsa-pss": ("rsa", PS256), "rsa-pkcs1": ("rsa", RS256)}


@pytest.fixture(scope="module")
def world(server):
    return World(server)


# ---- the journey ----

def test_bootstrap_trusts_only_the_pinned_root(server):
    """The token's pin leads to the CA; another pin leads to nothing."""
    token = server.make_token()
    assert bootstrap(server.agents, token) == server.ca.read_bytes()
    assert hashlib.sha256(b"").digest() != client.pin_of(token) == bytes.fromhex(server.pin[-64:])
    wrong = token[:27] + base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    with pytest.raises(InvalidSignature):
        bootstrap(server.agents, wrong)


def check_svid(server, agent, pem):
    cert = x509.load_pem_x509_certificate(pem)
    ca = x509.load_pem_x509_certificate(server.ca.read_bytes())
    ca.public_key().verify(cert.signature, cert.tbs_certificate_bytes)
    assert cert.version == x509.Version.v3 and cert.issuer == ca.subject and cert.subject != cert.issuer
    assert 0 < cert.serial_number < 2 ** 159
    assert spki(cert.public_key()) == spki(agent.key)
    get = cert.extensions.get_extension_for_class
    # X.509-SVID §2 to §4: one URI name and no other, a leaf, able to sign and nothing more, both TLS usages.
    san = get(x509.SubjectAlternativeName).value
    assert [type(n) for n in san] == [x509.UniformResourceIdentifier]
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == [f"spiffe://e2e.example/agent/{agent.node_id}"]
    assert get(x509.BasicConstraints).critical and not get(x509.BasicConstraints).value.ca
    usage = get(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature
    assert not usage.value.key_cert_sign and not usage.value.crl_sign and not usage.value.key_encipherment
    assert set(get(x509.ExtendedKeyUsage).value) == {x509.ExtendedKeyUsageOID.CLIENT_AUTH,
                                                     x509.ExtendedKeyUsageOID.SERVER_AUTH}
    assert (get(x509.AuthorityKeyIdentifier).value.key_identifier ==
            ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest)
    now = datetime.datetime.utcnow()
    assert cert.not_valid_before <= now < cert.not_valid_after <= ca.not_valid_after
    hours = (cert.not_valid_after - now).total_seconds() / 3600
    assert 167 < hours <= 168
    return cert


@pytest.mark.parametrize("how", KEYS)
def test_native_registration(world, how):
    """BA-1, BA-2: each type of device key, and each as release key, from challenge to counted heartbeats."""
    kind, alg = KEYS[how]
    server, vouching = world.server, make_key(kind)
    ident = world.add_key(vouching, name=f"release {how}")
    token = server.make_token(partition="blue", agent_type="probe")
    a = Agent(server, name(how), kind)
    a.statement = release(vouching, a.sha256, alg=alg)
    r = a.register(token, alg=alg)
    got = world.is_admitted(r)
    assert got["verification_status"] == "verified" and got["trust_tier"] == "self-asserted"
    assert (got["partition"], got["agent_type"]) == ("blue", "probe")
    assert got["ca"].encode() == server.ca.read_bytes()
    assert got["spiffe_id"] == f"spiffe://e2e.example/agent/{a.node_id}" and got["heartbeat_interval_s"] == 30
    cert = check_svid(server, a, a.certificate)
    row = world.agent(a.node_id)
    assert row["key_id"] == key_id(a.key).hex() and row["binary_hash"] == a.sha256.hex()
    assert row["vouched_by"] == ident and row["release_name"] == "troth-agent" and row["platform"] == "linux-amd64"
    assert row["state"] == "active" and row["form"] == "native" and row["reachability"] == "never"
    assert int(row["cert_serial"], 16) == cert.serial_number
    assert world.token_row(token)["uses"] == 1
    with a.mtls() as c:
        for _ in range(3):
            r = a.pulse(c)
            assert r.status == 200 and r.headers["content-type"] == "application/cbor", r
        told = parse_answer(r.body)
    assert told["interval_s"] == 30 and told["renew"] is told["resync"] is False and told["keyset_epoch"] == 1
    assert 0 <= told["sent_ns"] - told["received_ns"] < 5e9 and abs(told["sent_ns"] - time.time_ns()) < 5e9
    row = world.agent(a.node_id)
    assert row["heartbeats"] == 3 and row["reachability"] == "live" and row["binary_unchanged"] is True


def test_the_alias_and_a_request_with_a_subject(world):
    """/agent/register is the same route; what the request asks for as its name is ignored."""
    a = world.good()
    with a.connect() as c:
        body = native_body(csr(a.key, subject=("administrator",)), a.claim(c))
        got = world.is_admitted(c.register(body, world.token, "/agent/register"))
    cert = check_svid(world.server, a, got["certificate"].encode())
    assert "administrator" not in cert.subject.rfc4514_string()


def test_a_published_release_needs_no_enclosed_statement(world):
    """BA-5: the set of allowed hashes from release statements; withdrawn, it admits no more."""
    a = Agent(world.server, name())
    statement = release(world.release_key, a.sha256, a.version)
    r = world.server.api("POST", "/api/v1/releases", {"statement": base64.b64encode(statement).decode()})
    assert r.status == 201, r
    world.is_admitted(a.register(world.token))
    assert world.server.api("DELETE", f"/api/v1/releases/{a.sha256.hex()}").status == 200
    b = Agent(world.server, name(), sha256=a.sha256)
    world.is_refused(b.register(world.token), "hash_not_allowed", b.node_id)


def test_a_statement_by_no_known_key_is_not_published(world):
    for key, status, code in ((world.unknown_key, 403, "unknown_key"), (world.revoked_key, 403, "key_revoked")):
        statement = release(key, os.urandom(32))
        r = world.server.api("POST", "/api/v1/releases", {"statement": base64.b64encode(statement).decode()})
        assert (r.status, r.json()["code"]) == (status, code)


def test_enrolling_again_keeps_the_id_and_spends_no_use(world):
    """The same device on a token of one use: same row, new certificate."""
    token = world.server.make_token()
    a = world.good()
    world.is_admitted(a.register(token))
    first = world.agent(a.node_id)
    serial = x509.load_pem_x509_certificate(a.certificate).serial_number
    world.is_admitted(a.register(token))
    again = world.agent(a.node_id)
    assert world.token_row(token)["uses"] == 1
    assert again["enrolled_at"] == first["enrolled_at"] and again["partition"] == first["partition"]
    assert x509.load_pem_x509_certificate(a.certificate).serial_number != serial
    other = world.good()
    world.is_refused(other.register(token), "token_invalid", other.node_id)


# ---- refusals ----

@pytest.mark.parametrize("code", WAYS)
def test_each_refusal(world, code):
    """BA-4, BA-6, BA-11: the documented status and sentence, a record, an audit row, no agent."""
    r, node_id = provoke(world, code)
    before = world.ids()
    world.is_refused(r, code, node_id)
    assert world.ids() == before


def test_clock_desync_shows_both_times(world):
    """Ten minutes behind, ten minutes ahead, and the edge: 300 s are documented to pass."""
    for off in (-600, 600, -302, 302):
        a = world.good()
        at = now_ms() + off * 1000
        p = world.is_refused(a.register(world.token, time_ms=at), "clock_desync", a.node_id)
        claimed = datetime.datetime.fromisoformat(p["claim_time"].replace("Z", "+00:00"))
        server = datetime.datetime.fromisoformat(p["server_time"].replace("Z", "+00:00"))
        assert abs(claimed.timestamp() * 1000 - at) < 1
        assert abs(server.timestamp() - time.time()) < 5
        assert abs(p["skew_seconds"] - off) <= 2
        line = next(c for c in p["checks"] if c["check"] == "clock")
        assert line["ok"] is False and line["expected"] and line["seen"]
    for off in (-298, 298):
        a = world.good()
        world.is_admitted(a.register(world.token, time_ms=now_ms() + off * 1000))


def test_a_stranger_hears_no_checks(world):
    a = world.good()
    p = world.is_refused(a.register(None, time_ms=now_ms() - 600000), "clock_desync", a.node_id)
    assert "checks" not in p


def malformed_bodies(w, a, c):
    """label → body; each differs from a good one in one thing."""
    challenge, exporter = c.challenge(), c.exporter()

    def claim(change=None, raw=None, outer=None):
        p = claim_payload(a.key, challenge, exporter, a.node_id, a.sha256, statement=a.statement)
        p.update(change or {})
        p = {k: v for k, v in p.items() if v is not ...}
        obj = sign1(a.key, CLAIM, raw(p) if raw else p)
        return outer(cbor2.loads(obj)) if outer else obj

    def body(obj):
        return native_body(csr(a.key), obj)

    def indefinite(p):
        good = cbor2.dumps(p, canonical=True)
        assert good[0] == 0xa0 + len(p)
        return b"\xbf" + good[1:] + b"\xff"

    def long_head(p):
        good = cbor2.dumps(p, canonical=True)
        return b"\xb8" + bytes([len(p)]) + good[1:]

    def unsorted(p):
        return cbor2.dumps(dict(reversed(list(p.items()))))

    def twice(p):
        good = cbor2.dumps(p, canonical=True)
        return bytes([good[0] + 1]) + good[1:2] + good[2:7] + good[1:]

    good = claim()
    text = body(good).decode()
    both = dict(json.loads(original_body(make_key("ed25519"), a.node_id, a.sha256)), **json.loads(text))
    inner = cbor2.loads(good).value
    return {
        "empty": b"", "not JSON": b"{", "an array": b"[]", "neither form": b"{}", "both forms": json.dumps(both).encode(),
        "text after the end": text.encode() + b"x", "a member twice": (text[:-1] + ',"claim":"AA=="}').encode(),
        "no claim": json.dumps({"csr": json.loads(text)["csr"]}).encode(),
        "claim is a number": json.dumps(dict(json.loads(text), claim=7)).encode(),
        "base64 without padding": text.replace("=", "").encode() if "=" in text else b"{}",
        "base64 with a line break": text.replace('"claim": "', '"claim": "\\n').encode(),
        "base64url": text.replace("+", "-").replace("/", "_").encode() if set("+/") & set(text) else b"{}",
        "invalid UTF-8": text.encode().replace(b'"csr"', b'"cs\xff"'),
        "claim of 8193 bytes": body(good + bytes(8193 - len(good))),
        "bytes after the claim": body(good + b"\x00"), "claim cut short": body(good[:-1]),
        "no tag": body(cbor2.dumps(inner)), "tag 98": body(cbor2.dumps(cbor2.CBORTag(98, inner))),
        "something unprotected": body(cbor2.dumps(cbor2.CBORTag(18, [inner[0], {4: b"x"}, inner[2], inner[3]]))),
        "a fifth element": body(cbor2.dumps(cbor2.CBORTag(18, inner + [b""]))),
        "no payload": body(cbor2.dumps(cbor2.CBORTag(18, [inner[0], {}, None, inner[3]]))),
        "another algorithm": body(cbor2.dumps(cbor2.CBORTag(18, [inner[0].replace(b"\x01\x27", b"\x01\x26"), {}, inner[2],
                                                                 inner[3]]))),
        "indefinite map": body(claim(raw=indefinite)), "long head": body(claim(raw=long_head)),
        "unsorted keys": body(claim(raw=unsorted)), "a key twice": body(claim(raw=twice)),
        "payload is a list": body(claim(raw=lambda p: cbor2.dumps([1]))),
        "no time": body(claim({6: ...})), "a float time": body(claim({6: time.time()})),
        "a negative time": body(claim({6: -1})), "1000 milliseconds": body(claim({-65537: 1000})),
        "no challenge": body(claim({10: ...})), "a short challenge": body(claim({10: challenge[:31]})),
        "another profile": body(claim({265: "tag:troth,2026:claim/2"})),
        "two versions": body(claim({271: ["1.2.3", "1.2.4"]})), "a version of words": body(claim({271: ["latest"]})),
        "a colon in the node id": body(claim({-65538: "a:b"})), "an empty node id": body(claim({-65538: ""})),
        "a node id of 65 bytes": body(claim({-65538: "a" * 65})), "a path as node id": body(claim({-65538: "../x"})),
        "a hash of 31 bytes": body(claim({-65539: a.sha256[:31]})), "a hash in text": body(claim({-65539: a.sha256.hex()})),
        "a short exporter": body(claim({-65540: exporter[:31]})),
        "a statement of 2049 bytes": body(claim({-65541: bytes(2049)})),
    }


def test_every_malformed_body(world):
    """BA-4 malformed: nothing of this is guessed at, and nothing of it makes an agent."""
    a = world.good()
    with a.connect() as c:
        for label, body in malformed_bodies(world, a, c).items():
            r = c.register(body, world.token)
            # An algorithm that is not the key's is of the documented form; it just verifies nothing.
            code = "bad_signature" if label == "another algorithm" else "malformed"
            assert r.status != 201 and r.json()["code"] == code, (label, r)
            world.is_refused(r, code, a.node_id)
        world.is_admitted(c.register(a.body(c), world.token))


def test_the_signature_is_for_claims_only(world):
    """The domain string is under the signature: a key's word elsewhere is no claim."""
    a = world.good()
    with a.connect() as c:
        p = claim_payload(a.key, c.challenge(), c.exporter(), a.node_id, a.sha256, statement=a.statement)
        for domain in (b"", client.RELEASE, b"troth/claim/v2", b"troth/claim/v1\0"):
            r = c.register(native_body(csr(a.key), sign1(a.key, domain, p)), world.token)
            world.is_refused(r, "bad_signature", a.node_id)


def test_bad_signatures(world):
    """Of the claim by another key under the right kid, of the request, and of the statement."""
    a, thief = world.good(), make_key("ed25519")
    with a.connect() as c:
        p = claim_payload(a.key, c.challenge(), c.exporter(), a.node_id, a.sha256, statement=a.statement)
        r = c.register(native_body(csr(a.key), sign1(thief, CLAIM, p, kid=key_id(a.key))), world.token)
        world.is_refused(r, "bad_signature", a.node_id)
        request = bytearray(csr(a.key))
        request[-1] ^= 1
        world.is_refused(c.register(native_body(bytes(request), a.claim(c)), world.token), "bad_signature", a.node_id)
        forged = release(thief, a.sha256, kid=key_id(world.release_key))
        world.is_refused(c.register(a.body(c, statement=forged), world.token), "bad_signature", a.node_id)


def test_replay_on_the_same_and_on_another_connection(world):
    a = world.good()
    with a.connect() as c:
        body = a.body(c)
        world.is_admitted(c.register(body, world.token))
        world.is_refused(c.register(body, world.token), "replay")
    with a.connect() as c:
        world.is_refused(c.register(body, world.token), "replay")
    assert world.agent(a.node_id)["state"] == "active"


def test_replay_after_a_restart(make_server):
    """What was seen is on disk: polite end or kill -9, the repeat stays a repeat."""
    server = make_server().start()
    world = World(server)
    a = world.good()
    with a.connect() as c:
        body = a.body(c)
        world.is_admitted(c.register(body, world.token))
    for end in (server.stop, server.kill):
        end()
        server.start()
        with a.connect() as c:
            world.is_refused(c.register(body, world.token), "replay")
    assert world.agent(a.node_id)["state"] == "active"


def test_a_challenge_is_for_one_registration(world):
    """Two claims over one challenge: the second is refused, whoever made it."""
    a, b = world.good(), world.good()
    with a.connect() as c:
        challenge = c.challenge()
        world.is_admitted(c.register(a.body(c, challenge=challenge), world.token))
        world.is_refused(c.register(b.body(c, challenge=challenge), world.token), "replay", b.node_id)


def test_a_challenge_of_another_server(world, make_server):
    other = make_server().start()
    with Connection(other.agents) as c:
        challenge = c.challenge()
    a = world.good()
    world.is_refused(a.register(world.token, challenge=challenge), "challenge_invalid", a.node_id)
    for i in (0, 7, 8, 16, 31):  # its time, its randomness, its tag
        with a.connect() as c:
            altered = bytearray(c.challenge())
            altered[i] ^= 1
            r = c.register(a.body(c, challenge=bytes(altered)), world.token)
            world.is_refused(r, "challenge_invalid", a.node_id)


@pytest.mark.skipif(not os.environ.get("TROTH_FULL"), reason="two minutes of waiting; TROTH_FULL=1 runs it")
def test_a_challenge_expires(world):
    a = world.good()
    with a.connect() as c:
        challenge = c.challenge()
        for _ in range(13):
            time.sleep(10)
            c.challenge()  # an idle connection would be closed
        world.is_refused(c.register(a.body(c, challenge=challenge), world.token), "challenge_invalid", a.node_id)


def test_a_relayed_claim(world):
    """The claim of an honest agent's connection does not pass over the relay's, nor does one without a binding."""
    a = world.good()
    with a.connect() as honest, a.connect() as relay:
        body = a.body(honest)
        world.is_refused(relay.register(body, world.token), "channel_mismatch", a.node_id)
        p = claim_payload(a.key, relay.challenge(), None, a.node_id, a.sha256, statement=a.statement)
        r = relay.register(native_body(csr(a.key), sign1(a.key, CLAIM, p)), world.token)
        world.is_refused(r, "channel_mismatch", a.node_id)
        # It was the channel and nothing else: the same bytes pass where they belong.
        world.is_admitted(honest.register(body, world.token))


def test_refused_device_keys(world):
    """BA-1: small, of unknown type, with an odd exponent, or known to the world."""
    for label, key in (("RSA-1024", make_key("rsa", 1024)), ("P-384", ec.generate_private_key(ec.SECP384R1())),
                       ("secp256k1", ec.generate_private_key(ec.SECP256K1())),
                       ("e = 3", rsa.generate_private_key(3, 2048))):
        a = world.good()
        with a.connect() as c:
            r = c.register(native_body(csr(key), a.claim(c)), world.token)
            world.is_refused(r, "key_refused", a.node_id)
    a = world.good()
    with a.connect() as c:
        r = c.register(native_body(client.csr_with_public_key(LEAKED), a.claim(c)), world.token)
        p = world.is_refused(r, "key_refused", a.node_id)
    assert any("003" in line["seen"] or "known" in line["seen"] for line in p["checks"] if not line["ok"]), p


@pytest.mark.parametrize("use", ("release", "fleet"))
def test_refused_verification_keys(server, use):
    """BA-1: the same for keys that would vouch for others, by name and without a row."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    before = server.api("GET", "/api/v1/verification-keys").json()
    for key in (Ed25519PublicKey.from_public_bytes(LEAKED), make_key("rsa", 1024), ec.generate_private_key(ec.SECP384R1()),
                rsa.generate_private_key(3, 2048)):
        r = server.api("POST", "/api/v1/verification-keys", {"use": use, "pem": public_pem(key)})
        assert (r.status, r.json()["code"]) == (400, "key_refused"), r
        assert len(r.json()["detail"]) > 20
    for pem in ("", "hello", public_pem(make_key("ed25519"))[:-40]):
        r = server.api("POST", "/api/v1/verification-keys", {"use": use, "pem": pem})
        assert (r.status, r.json()["code"]) == (400, "malformed"), r
    assert server.api("GET", "/api/v1/verification-keys").json() == before


def test_keys_made_by_openssl_alone(server, tmp_path):
    """BA-1: PKCS#1, SPKI and private PKCS#8 files from stock OpenSSL."""
    def openssl(*args):
        subprocess.run(("openssl",) + args, check=True, capture_output=True, cwd=tmp_path)
    openssl("genrsa", "-out", "rsa.pem", "2048")
    openssl("rsa", "-in", "rsa.pem", "-pubout", "-out", "rsa.spki")
    openssl("genrsa", "-out", "rsa2.pem", "3072")
    openssl("rsa", "-in", "rsa2.pem", "-RSAPublicKey_out", "-out", "rsa2.pkcs1")
    openssl("genpkey", "-algorithm", "ed25519", "-out", "ed.pem")
    openssl("pkey", "-in", "ed.pem", "-pubout", "-out", "ed.spki")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.pem")
    openssl("ec", "-in", "ec.pem", "-pubout", "-out", "ec.spki")
    for file in ("rsa.spki", "rsa2.pkcs1", "ed.spki", "ec.spki"):
        r = server.api("POST", "/api/v1/verification-keys", {"pem": (tmp_path / file).read_text()})
        assert r.status == 201, (file, r)
    # The private half does not belong here, and is not stored by accident.
    r = server.api("POST", "/api/v1/verification-keys", {"pem": (tmp_path / "ed.pem").read_text()})
    assert r.status == 400, r


def test_tokens(world):
    """Unknown, missing, malformed, expired, revoked, used up: one code, and the right one's holder hears no more."""
    server = world.server
    short, gone, once = server.make_token(ttl_s=1), server.make_token(), server.make_token(max_uses=1)
    assert server.api("DELETE", f"/api/v1/tokens/{world.token_row(gone)['id']}").status == 200
    world.is_admitted(world.good().register(once))
    time.sleep(1.1)
    altered = world.token[:10] + ("A" if world.token[10] != "A" else "B") + world.token[11:]
    for label, token in (("missing", None), ("altered", altered), ("cut", world.token[:-1]), ("words", "hello"),
                         ("an operator's", server.token), ("expired", short), ("revoked", gone), ("used up", once)):
        a = world.good()
        r = a.register(token)
        assert r.status == 401, (label, r)
        world.is_refused(r, "token_invalid", a.node_id)
    states = {world.token_row(t)["state"] for t in (short, gone, once)}
    assert states == {"expired", "revoked", "used_up"}


def test_a_refusal_spends_no_use(world):
    token = world.server.make_token()
    a = world.good()
    for code in ("clock_desync", "hash_not_allowed"):
        kw = {"time_ms": now_ms() - 600000} if code == "clock_desync" else {"statement": None}
        world.is_refused(a.register(token, **kw), code, a.node_id)
    assert world.token_row(token)["uses"] == 0
    world.is_admitted(a.register(token))


def test_ids_belong_to_keys_for_ever(world):
    """Another key on an id, the same key on another id, and both again after removal."""
    a = world.enrol()
    thief = world.good(a.node_id)
    world.is_refused(thief.register(world.token), "id_taken")
    assert world.agent(a.node_id)["key_id"] == key_id(a.key).hex()
    moved = world.good(key=a.key)
    world.is_refused(moved.register(world.token), "id_taken", moved.node_id)
    assert world.server.api("DELETE", f"/api/v1/agents/{a.node_id}").status == 200
    world.is_refused(thief.register(world.token), "id_taken")
    world.is_refused(a.register(world.token), "agent_revoked")
    world.is_refused(moved.register(world.token), "agent_revoked", moved.node_id)
    assert world.agent(a.node_id)["state"] == "removed"


def test_the_record_of_a_refusal(world):
    """BA-6: evidence, checks and source are kept; nobody's secret is."""
    a = world.good()
    world.is_refused(a.register(world.token, statement=None), "hash_not_allowed", a.node_id)
    row = world.server.attestations(match=a.node_id)[0]
    assert row["source"] == "127.0.0.1" and row["binary_hash"] == a.sha256.hex() and row["token_id"]
    one = world.server.api("GET", f"/api/v1/attestations/{row['seq']}").json()
    assert b'"csr"' in base64.b64decode(one["evidence"])
    checks = one["checks"] if isinstance(one["checks"], list) else json.loads(one["checks"])
    assert {c["check"] for c in checks} >= {"clock", "hash", "signature", "channel"}
    assert world.token[4:26] not in json.dumps(one)


def test_a_refusal_names_the_check_that_failed(world):
    """BA-4: also those that only the registry could know are among the recorded checks."""
    a, spent = world.good(), world.server.make_token(max_uses=1)
    world.is_admitted(world.good().register(spent))
    world.is_refused(a.register(spent), "token_invalid", a.node_id)
    row = world.server.attestations(match=a.node_id)[0]
    one = world.server.api("GET", f"/api/v1/attestations/{row['seq']}").json()
    checks = one["checks"] if isinstance(one["checks"], list) else json.loads(one["checks"])
    assert [c["check"] for c in checks if not c["ok"]] == ["token"], checks


# ---- policy ----

def test_versions(world):
    """BA-5: a minimum, a list of exact ones, and the statement's own."""
    with world.policy(min_version="2.0.0"):
        a = world.good()
        world.is_refused(a.register(world.token), "version_not_allowed", a.node_id)
        world.is_admitted(world.good(version="2.0.0").register(world.token))
        world.is_admitted(world.good(version="v2.0.1").register(world.token))
        b = world.good(version="2.0.0-rc1")
        world.is_refused(b.register(world.token), "version_not_allowed", b.node_id)
    with world.policy(versions="1.2.3,3.0"):
        world.is_admitted(world.good().register(world.token))
        a = world.good(version="1.2.4")
        world.is_refused(a.register(world.token), "version_not_allowed", a.node_id)


def test_pins_by_api(world):
    """BA-5: a listed hash needs no statement."""
    a = Agent(world.server, name())
    with world.policy(hashes=f"sha256:{a.sha256.hex()}"):
        world.is_admitted(a.register(world.token))
        for bad in ("sha256:00", "sha256:" + "A" * 64, "md5:" + "0" * 32):
            assert world.server.api("PUT", "/api/v1/policy", {"hashes": bad}).status == 400


@pytest.mark.parametrize("how", ("expected_hash", "ATTESTATION_EXPECTED_HASH"))
def test_pins_by_configuration(make_server, how):
    """BA-5, BA-8: with a pin only the pin counts, also against a good statement; the API cannot undo it."""
    pinned = hashlib.sha256(b"the pinned binary").digest()
    text = f"sha256:{pinned.hex()}"
    server = make_server(**({"env": {how: text}} if how.isupper() else
                            {"config": f"attestation:\n  expected_hash: {text}\n"})).start()
    world = World(server)
    world.is_admitted(Agent(server, name(), sha256=pinned).register(world.token))
    a = world.good()
    world.is_refused(a.register(world.token), "hash_not_allowed", a.node_id)
    r = server.api("PUT", "/api/v1/policy", {"hashes": "-"})
    assert (r.status, r.json()["code"]) == (409, "pinned_by_configuration")
    assert server.api("GET", "/api/v1/policy").json()["hashes_set_by"] == "configuration"


@pytest.mark.parametrize("env,mode", (({"ATTESTATION_ENABLED": "true"}, "enforce"), ({"ATTESTATION_ENABLED": "false"}, "off"),
                                      ({}, "enforce")))
def test_attestation_enabled(make_server, env, mode):
    """BA-8: true means enforce, false means off."""
    server = make_server(env=env, config="attestation:\n  mode: audit\n" if env else "").start()
    assert server.api("GET", "/api/v1/policy").json()["mode"] == mode
    world = World(server)
    a = world.good()
    r = a.register(world.token, statement=None)
    if mode == "off":
        world.is_admitted(r)
    else:
        world.is_refused(r, "hash_not_allowed", a.node_id)


@pytest.mark.parametrize("env,config,named", (
    ({"ATTESTATION_ENABLED": "yes"}, "", "ATTESTATION_ENABLED"), ({"ATTESTATION_ENABLED": "TRUE"}, "", "ATTESTATION_ENABLED"),
    ({"ATTESTATION_ENABLED": ""}, "", "ATTESTATION_ENABLED"), ({"ATTESTATION_ENABLED": "1"}, "", "ATTESTATION_ENABLED"),
    ({}, "attestation:\n  mode: strict\n", "mode"), ({}, "attestation:\n  mode: Enforce\n", "mode"),
    ({}, "attestation:\n  moed: enforce\n", "moed"), ({}, "attestation:\n  accept: [nativ]\n", "accept"),
    ({}, "attestation:\n  min_version: latest\n", "min_version"),
    ({"ATTESTATION_EXPECTED_HASH": "sha256:abc123def456"}, "", "hash"),
    ({"ATTESTATION_EXPECTED_HASH": ""}, "", "hash"),
    ({"ATTESTATION_PUBLIC_KEY_PATH": "/does/not/exist.pem"}, "", "/does/not/exist.pem"),
), ids=lambda v: str(v).replace("\n", " ") if v else "-")
def test_refuses_to_start(make_server, env, config, named):
    """BA-5, BA-8: an unknown mode, value or key is not guessed at; the message names it."""
    server = make_server(env=env, config=config)
    server.start(wait=False)
    assert server.process.wait(10) not in (0, -6, -11)
    assert named in server.read_log()
    r = subprocess.run([program("trothd"), "check-config", "--config", str(server.config)], env=server.env,
                       capture_output=True, text=True)
    assert r.returncode != 0 and named in r.stdout + r.stderr


@pytest.fixture(scope="module")
def modes(make_module_server):
    """One server whose mode the tests change over the API, and its world."""
    return World(make_module_server().start())


@pytest.mark.parametrize("code", WAYS)
def test_audit_mode(modes, code):
    """BA-5: audit admits what the documentation calls tolerated, says and counts it, and refuses the rest."""
    with modes.policy(mode="audit"):
        r, node_id = provoke(modes, code)
        if not REFUSALS[code][1]:
            modes.is_refused(r, code, node_id)
            return
        got = modes.is_admitted(r, "admitted_audit", code)
        row = modes.agent(got["agent_id"])
        assert row["admission"] == code and row["state"] == "active"


OFF_SEES = ("malformed", "bad_signature", "token_invalid", "challenge_invalid", "channel_mismatch", "key_mismatch",
            "key_refused", "format_not_accepted", "id_taken", "agent_revoked", "replay")


@pytest.mark.parametrize("code", WAYS)
def test_off_mode(modes, code):
    """BA-5: off looks at possession of the key, not at what runs."""
    with modes.policy(mode="off"):
        r, node_id = provoke(modes, code)
        if code in OFF_SEES:
            modes.is_refused(r, code, node_id)
        else:
            modes.is_admitted(r)


def test_the_modes_metrics(modes):
    modes.check_metrics()


def test_an_unknown_mode_over_the_api(server):
    for mode in ("strict", "Audit", "-"):
        r = server.api("PUT", "/api/v1/policy", {"mode": mode})
        assert r.status == 400 and "audit" in r.json()["detail"], r


# ---- keys over time ----

def test_rotation_without_a_gap(world):
    """BA-7: two keys at once; the old one revoked, its statements fall and the other's stand."""
    old, new = make_key("ed25519"), make_key("p256")
    old_id, new_id = world.add_key(old, name="old"), world.add_key(new, name="new")

    def with_key(key, **kw):
        a = Agent(world.server, name())
        a.statement = release(key, a.sha256, **kw)
        return a

    by_old, by_new = with_key(old), with_key(new)
    world.is_admitted(by_old.register(world.token))
    world.is_admitted(by_new.register(world.token))
    row = world.key(old_id)
    assert (row["state"], row["agents"], row["uses"], row["rotation_due"]) == ("active", 1, 1, False)
    assert row["age_days"] == 0 and row["last_used"]
    # Not by accident while an agent depends on it.
    r = world.server.api("POST", f"/api/v1/verification-keys/{old_id}/retire", {})
    assert (r.status, r.json()["code"]) == (409, "key_in_use")
    assert by_old.node_id in r.json()["detail"]
    assert world.key(old_id)["state"] == "active"
    assert world.end_key("retire", old_id, force=True)["state"] == "retired"
    # Retired: what it signed before stays good, what it signs now does not.
    world.is_admitted(with_key(old, issued=now_ms() - 60000).register(world.token))
    late = with_key(old, issued=now_ms() + 60000)
    world.is_refused(late.register(world.token), "key_revoked", late.node_id)
    assert world.end_key("revoke", old_id, reason="lost")["state"] == "revoked"
    early = with_key(old, issued=now_ms() - 60000)
    world.is_refused(early.register(world.token), "key_revoked", early.node_id)
    world.is_admitted(with_key(new).register(world.token))
    assert world.key(new_id)["state"] == "active" and world.key(old_id)["end_reason"] == "lost"
    # The agents it vouched for are named and stay until somebody decides.
    assert world.agent(by_old.node_id)["state"] == "active"
    r = world.server.api("POST", "/api/v1/verification-keys", {"pem": public_pem(old)})
    assert (r.status, r.json()["code"]) == (409, "key_exists")


def test_validity_of_a_key(world):
    """BA-7: each key with its validity, judged at the time of signing."""
    key = make_key("ed25519")
    now = datetime.datetime.now(datetime.timezone.utc)

    def at(hours):
        return (now + datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    world.add_key(key, not_before=at(-2), not_after=at(-1))
    for hours, code in ((-3, "key_revoked"), (-1.5, None), (-0.5, "key_revoked")):
        a = Agent(world.server, name())
        r = a.register(world.token, statement=release(key, a.sha256, issued=now_ms() + int(hours * 3600000)))
        if code:
            world.is_refused(r, code, a.node_id)
        else:
            world.is_admitted(r)


def test_an_old_key_is_pointed_out(make_server):
    """BA-7: 90 days is the age at which a key wants a successor. The row is made older while the server is down."""
    server = make_server().start()
    w = World(server)
    server.stop()
    with contextlib.closing(sqlite3.connect(server.dir / "troth.db")) as db, db:
        changed = db.execute("UPDATE vkeys SET added_at = added_at - ? WHERE state = 'active'", (91 * 86400 * 1000,))
        assert changed.rowcount == 1
    server.start()
    row = w.key(key_id(w.release_key).hex())
    assert row["rotation_due"] is True and row["age_days"] == 91
    assert w.key(key_id(w.revoked_key).hex())["rotation_due"] is False
    assert server.metric("troth_verification_keys_old") == 1
    w.is_admitted(w.good().register(w.token))


# ---- at the same time ----

def together(agents, token, **kw):
    """All of them register at one moment, each over its own connection; the answers in order."""
    conns = [a.connect() for a in agents]
    bodies = [a.body(c, **kw) for a, c in zip(agents, conns)]
    gate = threading.Barrier(len(agents))

    def go(i):
        gate.wait()
        return conns[i].register(bodies[i], token)
    with concurrent.futures.ThreadPoolExecutor(len(agents)) as pool:
        answers = list(pool.map(go, range(len(agents))))
    for c in conns:
        c.close()
    return answers


def codes(answers):
    return sorted(r.json().get("code", r.json().get("verdict")) for r in answers)


def test_races(make_server):
    """A token's last uses, a new id, and a challenge are each given once, however many ask at the same moment."""
    w = World(make_server().start())
    for _ in range(3):
        token = w.server.make_token(max_uses=3)
        crowd = [w.good() for _ in range(16)]
        answers = together(crowd, token)
        assert codes(answers) == ["admitted"] * 3 + ["token_invalid"] * 13
        assert w.token_row(token)["uses"] == 3
        assert {a.node_id for a in crowd} & w.ids() == {r.json()["agent_id"] for r in answers if r.status == 201}

        one_id = name("race")
        rivals = [w.good(one_id) for _ in range(8)]
        answers = together(rivals, w.token)
        got = codes(answers)
        assert got.count("admitted") == 1 and set(got) <= {"admitted", "id_taken", "busy"}, got
        winner = rivals[[r.status for r in answers].index(201)]
        assert w.agent(one_id)["key_id"] == key_id(winner.key).hex()

        with Connection(w.server.agents) as c:
            challenge = c.challenge()
        answers = together([w.good() for _ in range(8)], w.token, challenge=challenge)
        got = codes(answers)
        assert got.count("admitted") == 1 and set(got) <= {"admitted", "replay", "busy"}, got

        token = w.server.make_token(max_uses=2)
        a = w.good()
        same = [Agent(w.server, a.node_id, key=a.key, statement=a.statement) for _ in range(8)]
        got = codes(together(same, token))
        assert got.count("admitted") >= 1 and set(got) <= {"admitted", "busy", "token_invalid"}, got
        assert w.token_row(token)["uses"] == 1, "one device, one use"


# ---- after admission ----

def test_heartbeat_needs_the_right_certificate(world, make_server):
    """No certificate, another CA's, an expired one, one of an agent unknown, one of another key: 401 each, with a reason."""
    server = world.server
    a = world.enrol()
    ca_pem = server.ca.read_bytes()
    ca_key = ser.load_pem_private_key((server.dir / "keys" / "ca.key").read_bytes(), None)
    now = time.time()
    spiffe = f"spiffe://e2e.example/agent/{a.node_id}"
    strange = make_server()
    strange_key = ser.load_pem_private_key((strange.dir / "keys" / "ca.key").read_bytes(), None)
    good = (now - 3600, now + 3600)
    nobody, other = Agent(server, name()), Agent(server, a.node_id)
    cases = {
        "of another CA": (a, issue(strange_key, strange.ca.read_bytes(), a.key, spiffe, *good), "client_certificate_invalid"),
        "forged issuer": (a, issue(strange_key, ca_pem, a.key, spiffe, *good), "client_certificate_invalid"),
        "expired": (a, issue(ca_key, ca_pem, a.key, spiffe, now - 7200, now - 3600), "client_certificate_invalid"),
        "not yet": (a, issue(ca_key, ca_pem, a.key, spiffe, now + 3600, now + 7200), "client_certificate_invalid"),
        "other domain": (a, issue(ca_key, ca_pem, a.key, spiffe.replace("e2e", "e3e"), *good), "client_certificate_invalid"),
        "no agent": (a, issue(ca_key, ca_pem, a.key, "spiffe://e2e.example/ns/x", *good), "client_certificate_invalid"),
        "a CA": (a, issue(ca_key, ca_pem, a.key, spiffe, *good, ca=True), "client_certificate_invalid"),
        "unknown agent": (nobody, issue(ca_key, ca_pem, nobody.key, f"spiffe://e2e.example/agent/{nobody.node_id}", *good),
                          "agent_unknown"),
        "another key": (other, issue(ca_key, ca_pem, other.key, spiffe, *good), "key_mismatch"),
    }
    with a.connect() as c:
        r = a.pulse(c)
        assert (r.status, r.json()["code"]) == (401, "client_certificate_required"), r
    for label, (who, cert, code) in cases.items():
        for act in (who.pulse, who.renew):
            with who.mtls(cert) as c:  # refused before the body is read, a connection ends
                r = act(c)
            assert (r.status, r.json()["code"]) == (401, code), (label, r)
            assert len(r.json()["detail"]) > 10
    row = world.agent(a.node_id)
    assert row["heartbeats"] == 0 and row["reachability"] == "never"
    # The maker of these certificates is no fault of theirs: one in order passes.
    with a.mtls(issue(ca_key, ca_pem, a.key, spiffe, *good)) as c:
        assert a.pulse(c).status == 200


def test_revoked_at_once_on_a_live_connection(world):
    for how in ("revoke", "remove"):
        a = world.enrol()
        with a.mtls() as c:
            assert a.pulse(c).status == 200
            if how == "revoke":
                r = world.server.api("POST", f"/api/v1/agents/{a.node_id}/revoke", {"reason": "stolen"})
            else:
                r = world.server.api("DELETE", f"/api/v1/agents/{a.node_id}")
            assert r.status == 200
            for r in (a.pulse(c), a.renew(c)):
                assert (r.status, r.json()["code"]) == (403, "agent_revoked"), r
        row = world.agent(a.node_id)
        assert row["heartbeats"] == 1 and row["reachability"] == "ended"


def test_pulses_are_counted_once(world):
    """A repeat changes nothing; a new start of the process goes on with the chain."""
    a = world.enrol()
    with a.mtls() as c:
        for _ in range(3):
            body = a.build_pulse(c)
            if parse_answer(a.send_pulse(c, body).body)["resync"]:
                body = a.build_pulse(c)
                assert a.send_pulse(c, body).status == 200
        for _ in range(3):
            r = a.send_pulse(c, body)
            assert (r.status, r.json()["code"]) == (409, "replay"), r
        r = a.send_pulse(c, a.build_pulse(c, seq=1))
        assert (r.status, r.json()["code"]) == (409, "replay"), r
        assert world.agent(a.node_id)["heartbeats"] == 3
        a.start_id = os.urandom(16)
        assert a.pulse(c).status == 200
    row = world.agent(a.node_id)
    assert (row["heartbeats"], row["restarts"]) == (4, 1)


def test_pulses_that_fail_change_nothing(world):
    """Each refusal of front by its name; the agent that they name does not notice."""
    a, other = world.enrol(), world.enrol()
    with a.mtls() as c:
        good = a.build_pulse(c)
        flipped = bytearray(good)
        flipped[-1] ^= 1
        cases = {
            ("malformed_pulse", 400): [b"", b"\xff", good + b"\0", good[:-1], b"{}", cbor2.dumps([1]), bytes(65536)],
            ("bad_signature", 403): [bytes(flipped), a.build_pulse(c, key=make_key("ed25519"))],
            ("wrong_agent", 403): [a.build_pulse(c, agent_id=other.node_id), a.build_pulse(c, agent_id="nobody")],
            ("relayed", 403): [a.build_pulse(c, exporter=os.urandom(32))],
            ("wrong_partition", 403): [a.build_pulse(c, partition="elsewhere")],
        }
        for (code, status), bodies in cases.items():
            for body in bodies:
                r = a.send_pulse(c, body)
                assert (r.status, r.json()["code"]) == (status, code), r
                assert len(r.json()["detail"]) > 40
        assert world.agent(a.node_id)["reachability"] == world.agent(other.node_id)["reachability"] == "never"
        assert a.pulse(c).status == 200
        r = c.request("POST", "/api/v1/pulse?x=1", good, {"Content-Type": "application/eat+cwt"})
        assert (r.status, r.json()["code"]) == (400, "malformed"), r
    assert world.agent(a.node_id)["heartbeats"] == 1


def test_a_changed_binary_is_noticed(world):
    a = world.enrol()
    with a.mtls() as c:
        assert a.pulse(c).status == 200
        assert a.pulse(c, binary_hash=os.urandom(32)).status == 200
    assert world.agent(a.node_id)["binary_unchanged"] is False
    # Recorded by the effects of the round after the answer.
    end = time.monotonic() + 5
    while True:
        rows = [r["action"] for r in world.server.audit(match=a.node_id)]
        if "agent.binary_changed" in rows or time.monotonic() > end:
            break
        time.sleep(0.05)
    assert rows.count("agent.binary_changed") == 1


@pytest.mark.parametrize("kind", ("ed25519", "p256", "rsa"))
def test_renewal(world, kind):
    """Same key, new certificate; who forgets is told well after half-life."""
    a = world.enrol(kind=kind)
    with a.mtls() as c:
        assert parse_answer(a.pulse(c).body)["renew"] is False
        r = a.renew(c)
        assert r.status == 200, r
        fresh = r.json()["certificate"].encode()
        cert = check_svid(world.server, a, fresh)
        assert int(world.agent(a.node_id)["cert_serial"], 16) == cert.serial_number
        assert fresh != a.certificate
        for body in (b"", b"{}", b'{"csr":"AA=="}', b'{"csr":7}'):
            r = c.request("POST", "/api/v1/agents/renew", body, {"Content-Type": "application/json"})
            assert (r.status, r.json()["code"]) == (400, "malformed"), r
    with a.mtls(fresh) as c:
        assert a.pulse(c).status == 200
    ca_key = ser.load_pem_private_key((world.server.dir / "keys" / "ca.key").read_bytes(), None)
    for left, told in ((3600, False), (1500, True)):
        cert = issue(ca_key, world.server.ca.read_bytes(), a.key, f"spiffe://e2e.example/agent/{a.node_id}",
                     time.time() - 3600, time.time() + left)
        with a.mtls(cert) as c:
            assert parse_answer(a.pulse(c).body)["renew"] is told


@pytest.mark.parametrize("kind", ("ed25519", "p256"))
def test_renewal_under_a_new_key(world, kind):
    """Both keys are good until the first pulse under the new one; the chain goes on; the old one is refused afterwards."""
    a, taken = world.enrol(kind=kind), world.enrol()
    old_key, old_id = a.key, key_id(a.key).hex()
    new_key = make_key(kind)
    with a.mtls() as c:
        assert a.pulse(c).status == 200
        r = a.renew(c, taken.key)
        assert (r.status, r.json()["code"]) == (409, "id_taken"), r
        r = a.renew(c, new_key)
        assert r.status == 200, r
        assert a.pulse(c).status == 200, "not used yet"
        row = world.agent(a.node_id)
        assert (row["key_id"], row["next_key_id"]) == (old_id, key_id(new_key).hex()) and row["next_until"]
        a.key, a.certificate = new_key, r.json()["certificate"].encode()
        with a.mtls() as fresh:
            r = a.renew(fresh, make_key(kind))
            assert (r.status, r.json()["code"]) == (409, "key_change_under_way"), r
            assert a.pulse(fresh).status == 200
            until = time.monotonic() + 5
            while world.agent(a.node_id)["next_key_id"] and time.monotonic() < until:
                time.sleep(0.05)
            row = world.agent(a.node_id)
            assert (row["key_id"], row["next_key_id"], row["next_until"]) == (key_id(new_key).hex(), "", None)
            a.key = old_key
            r = a.send_pulse(c, a.build_pulse(c))
            assert (r.status, r.json()["code"]) == (401, "key_mismatch"), r
            a.key = new_key
            assert a.pulse(fresh).status == 200
    with a.mtls() as c:
        assert a.pulse(c).status == 200
    row = world.agent(a.node_id)
    assert (row["heartbeats"], row["authenticity"], row["restarts"]) == (5, "ok", 0), row
    assert "agent.key_renewed" in [r["action"] for r in world.server.audit(match=a.node_id)]


def test_signed_time(world):
    """By the CA's key, over the asker's nonce, on both listeners, without any credential."""
    ca = x509.load_pem_x509_certificate(world.server.ca.read_bytes()).public_key()
    for port in (world.server.agents, world.server.operators):
        for n in (16, 32, 64):
            nonce = os.urandom(n)
            text = base64.urlsafe_b64encode(nonce).decode().rstrip("=")
            r = call(port, "GET", f"/api/v1/time?nonce={text}")
            assert r.status == 200 and r.headers["content-type"] == "application/cose", r
            assert abs(verify_time(r.body, ca, nonce) - time.time_ns()) < 5e9
    for query in ("", "?nonce=", "?nonce=" + "A" * 20, "?nonce=" + "A" * 87, "?nonce=!" + "A" * 30, "?nonce=" + "A" * 43 + "&x=1"):
        r = call(world.server.agents, "GET", "/api/v1/time" + query)
        assert (r.status, r.json()["code"]) == (400, "malformed"), (query, r)


def test_a_certificate_expires_on_an_open_connection(world):
    a = world.enrol()
    ca_key = ser.load_pem_private_key((world.server.dir / "keys" / "ca.key").read_bytes(), None)
    soon = issue(ca_key, world.server.ca.read_bytes(), a.key, f"spiffe://e2e.example/agent/{a.node_id}",
                 time.time() - 60, time.time() + 3)
    with a.mtls(soon) as c:
        assert a.pulse(c).status == 200
        time.sleep(3.2)
        r = a.pulse(c)
        assert (r.status, r.json()["code"]) == (401, "client_certificate_expired"), r


def resumed(world, cert_pem, key, tmp_path, between):
    """A renewal's empty request over a resumed session of a connection that had this certificate; (resumed?, status, code)."""
    (tmp_path / "crt").write_bytes(cert_pem)
    (tmp_path / "key").write_bytes(private_pem(key))
    ctx = context(world.server.ca, tmp_path / "crt", tmp_path / "key")
    session, got = None, None
    for turn in range(2):
        with socket.create_connection(("127.0.0.1", world.server.agents)) as raw:
            with ctx.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
                tls.sendall(b"POST /api/v1/agents/renew HTTP/1.1\r\nHost: localhost\r\n"
                            b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
                answer = b""
                while more := tls.recv(65536):
                    answer += more
                session, reused = tls.session, tls.session_reused
                head, out = answer.split(b"\r\n\r\n", 1)
                got = reused, int(head.split()[1]), json.loads(out)["code"] if out[:1] == b"{" else None
        if not turn:
            assert got == (False, 400, "malformed"), got
            between()
    return got


def test_a_resumed_session_is_checked_again(world, tmp_path):
    """A ticket remembers a certificate, not a verdict: revoked agents and expired certificates stay out."""
    ca_key = ser.load_pem_private_key((world.server.dir / "keys" / "ca.key").read_bytes(), None)

    def cert(a, seconds):
        return issue(ca_key, world.server.ca.read_bytes(), a.key, f"spiffe://e2e.example/agent/{a.node_id}",
                     time.time() - 60, time.time() + seconds)
    a = world.enrol()

    def revoke():
        assert world.server.api("POST", f"/api/v1/agents/{a.node_id}/revoke", {}).status == 200
    assert resumed(world, cert(a, 60), a.key, tmp_path, lambda: None) == (True, 400, "malformed")
    got = resumed(world, cert(a, 2), a.key, tmp_path, lambda: time.sleep(2.2))
    assert got == (True, 401, "client_certificate_invalid")
    assert resumed(world, cert(a, 60), a.key, tmp_path, revoke) == (True, 403, "agent_revoked")


def test_registering_over_a_resumed_session(world):
    """The exporter of a resumed session is its own: a claim of the first connection does not fit the second."""
    a = world.good()
    first = a.connect()
    body = a.body(first)
    first.request("GET", "/livez")
    session = first.tls.get_session()
    second = Connection(world.server.agents, world.server.ca.read_bytes(), session=session)
    assert second.exporter() != first.exporter()
    world.is_refused(second.register(body, world.token), "channel_mismatch", a.node_id)
    world.is_admitted(second.register(a.body(second), world.token))
    first.close()
    second.close()


# ---- the original claim ----

GOLDEN = "859f928f4ab455f21fb7efd860440989194df0b30a0959f254f1d5e18d5959ef"


def test_the_golden_vector():
    """BA-2: the signed text of the vector, by the encoder that the tests below use."""
    text = b"agent-123:sha256:abc123def456:v1.2.3:1708012345"
    assert hashlib.sha256(text).hexdigest() == GOLDEN
    full = original_text("agent-123", bytes.fromhex("ab" * 32), "v1.2.3", 1708012345)
    assert full == b"agent-123:sha256:" + b"ab" * 32 + b":v1.2.3:1708012345"


@pytest.fixture(scope="module")
def originals(make_module_server):
    """Accepts both forms by configuration, with fleet keys of each type."""
    w = World(make_module_server(config="attestation:\n  accept: [native, original]\n").start())
    w.fleet = {}
    return w


def fleet(w, kind):
    if kind not in w.fleet:
        w.fleet[kind] = make_key(kind)
        w.add_key(w.fleet[kind], use="fleet")
    return w.fleet[kind]


def send_original(w, body, token=None, path="/agent/register"):
    with Connection(w.server.agents, w.server.ca.read_bytes()) as c:
        return c.register(body, token, path)


def test_no_fleet_key_no_original_claim(modes):
    n = name()
    with modes.policy(accept="native,original"):
        modes.is_refused(send_original(modes, original_body(make_key("rsa"), n, os.urandom(32))), "unknown_key", n)
    with modes.policy(accept="original"):
        a = modes.good()
        modes.is_refused(a.register(modes.token), "format_not_accepted", a.node_id)


@pytest.mark.parametrize("kind", ("rsa", "ed25519", "p256"))
@pytest.mark.parametrize("path", ("/agent/register", "/api/v1/agents/register"))
def test_original_registration(originals, kind, path):
    """BA-2: a row without identity, at most self-asserted; unknown members are ignored."""
    w, node_id, sha256 = originals, name("orig"), os.urandom(32)
    body = json.loads(original_body(fleet(w, kind), node_id, sha256))
    body["hostname"] = body["attestation"]["note"] = "ignored"
    got = w.is_admitted(send_original(w, json.dumps(body).encode(), path=path))
    assert got["verification_status"] == "verified" and got["trust_tier"] == "self-asserted"
    assert not {"certificate", "ca", "spiffe_id", "expires_at"} & set(got)
    row = w.agent(node_id)
    assert row["form"] == "original" and not row["key_id"] and not row["cert_serial"]
    assert row["binary_hash"] == sha256.hex() and row["version"] == "v1.2.3"
    assert row["vouched_by"] == key_id(fleet(w, kind)).hex()


def test_original_refusals(originals):
    """BA-2, BA-4: every documented reason that this form can meet."""
    w, key = originals, fleet(originals, "rsa")
    sha256 = os.urandom(32)
    now = int(time.time())

    def refused(code, body, node_id, token=None):
        w.is_refused(send_original(w, body, token), code, node_id)

    n = name("orig")
    refused("clock_desync", original_body(key, n, sha256, timestamp=now - 600), n)
    refused("clock_desync", original_body(key, n, sha256, timestamp=now + 600), n)
    refused("bad_signature", original_body(make_key("rsa"), n, sha256), n)
    refused("bad_signature", original_body(key, n, sha256, version="v1.2.4",
                                           signature=client.b64(client.original_sign(key, original_text(n, sha256, "v1.2.3", now)))), n)
    refused("token_invalid", original_body(key, n, sha256), n, "trt_" + "A" * 66)
    # PSS is not what the original signs with.
    refused("bad_signature", original_body(key, n, sha256, timestamp=now, signature=client.b64(
        client.sign(key, PS256, original_text(n, sha256, "v1.2.3", now)))), n)
    # The vector's own short hash, a colon that would let two claims share one text, and their like.
    for change in ({"binary_hash": "sha256:abc123def456"}, {"binary_hash": sha256.hex()},
                   {"binary_hash": f"sha256:{sha256.hex().upper()}"}, {"binary_hash": f"SHA256:{sha256.hex()}"},
                   {"version": "v1:2"}, {"version": ""}, {"timestamp": str(now)}, {"timestamp": now + 0.5},
                   {"timestamp": -1}, {"timestamp": None}, {"signature": ""}, {"signature": "not base64"},
                   {"signature": None}, {"node_id": f"{n}:x"}, {"node_id": None}):
        body = json.loads(original_body(key, n, sha256))
        body["attestation"].update(change)
        refused("malformed", json.dumps(body).encode(), n)
    refused("malformed", original_body(key, n, sha256, outer=name()), n)
    refused("malformed", json.dumps({"node_id": n}).encode(), n)
    refused("malformed", json.dumps({"node_id": n, "attestation": []}).encode(), n)
    short = "agent-123:sha256:abc123def456:v1.2.3:%d" % now
    refused("malformed", json.dumps({"node_id": "agent-123", "attestation": {
        "node_id": "agent-123", "binary_hash": "sha256:abc123def456", "version": "v1.2.3", "timestamp": now,
        "signature": client.b64(client.original_sign(key, short.encode()))}}).encode(), "agent-123")
    body = original_body(key, n, sha256)
    w.is_admitted(send_original(w, body))
    refused("replay", body, None)
    # An id with a device key is not taken over by the fleet's key, nor the other way round.
    native = w.enrol()
    refused("id_taken", original_body(key, native.node_id, sha256), None)
    taker = w.good(n)
    w.is_refused(taker.register(w.token), "id_taken")
    assert w.server.api("POST", f"/api/v1/agents/{n}/revoke", {}).status == 200
    refused("agent_revoked", original_body(key, n, sha256, timestamp=now - 1), None)


def test_a_revoked_fleet_key(originals):
    key = make_key("ed25519")
    ident = originals.add_key(key, use="fleet")
    originals.is_admitted(send_original(originals, original_body(key, name(), os.urandom(32))))
    originals.end_key("revoke", ident)
    n = name()
    originals.is_refused(send_original(originals, original_body(key, n, os.urandom(32))), "key_revoked", n)


def test_a_release_key_signs_no_original_claim(originals):
    n = name()
    fleet(originals, "rsa")
    r = send_original(originals, original_body(originals.release_key, n, os.urandom(32)))
    originals.is_refused(r, "bad_signature", n)
    a = Agent(originals.server, name())
    r = a.register(originals.token, statement=release(fleet(originals, "rsa"), a.sha256))
    originals.is_refused(r, "unknown_key", a.node_id)


def test_the_originals_metrics(originals):
    originals.check_metrics()


def test_public_key_path(make_server, tmp_path):
    """BA-2, BA-8: naming a fleet key turns the original form on, and the pin holds there too."""
    key, pinned = make_key("rsa"), os.urandom(32)
    pem = tmp_path / "fleet.pem"
    pem.write_text(public_pem(key))
    tmp_path.chmod(0o755)
    server = make_server(env={"ATTESTATION_PUBLIC_KEY_PATH": str(pem),
                              "ATTESTATION_EXPECTED_HASH": f"sha256:{pinned.hex()}"}).start()
    w = World(server)
    w.is_admitted(send_original(w, original_body(key, name(), pinned)))
    n = name()
    w.is_refused(send_original(w, original_body(key, n, os.urandom(32))), "hash_not_allowed", n)
    assert w.key(key_id(key).hex())["use"] == "fleet"
    server.stop()
    server.start()
    w.is_admitted(send_original(w, original_body(key, name(), pinned)))


def test_original_in_the_other_modes(originals):
    """Audit records what it tolerates; off does not look, and promises nothing."""
    w, key = originals, fleet(originals, "rsa")
    with w.policy(mode="audit"):
        w.is_admitted(send_original(w, original_body(key, name(), os.urandom(32), timestamp=int(time.time()) - 600)),
                      "admitted_audit", "clock_desync")
        n = name()
        w.is_refused(send_original(w, original_body(make_key("rsa"), n, os.urandom(32))), "bad_signature", n)
    with w.policy(mode="off"):
        n = name()
        got = w.is_admitted(send_original(w, json.dumps({"node_id": n}).encode()))
        assert got["trust_tier"] == "none" and w.agent(n)["tier"] == "none"


# ---- limits ----

def test_too_many_registrations_from_one_source(make_server):
    """BA-6: 429 with a time to wait; what was admitted before is not disturbed."""
    server = make_server().start()
    w = World(server)
    a = w.enrol()
    seen = None
    with a.connect() as c, a.mtls() as mine:
        for _ in range(900):
            r = c.register(b"{}", w.token)
            if r.status == 429:
                seen = r
                break
            assert r.json()["code"] == "malformed"
        assert seen and seen.json()["code"] == "rate_limited" and int(seen.headers["retry-after"]) >= 1
        assert a.pulse(mine).status == 200
        time.sleep(int(seen.headers["retry-after"]))
    with a.connect() as c:
        assert c.register(b"{}", w.token).json()["code"] == "malformed"
    assert server.metric("troth_attestation_failure_rate_alerts_total") == 1
    actions = [r["action"] for r in server.audit(limit=500)]
    assert actions.count("attestation.failure_rate") == 1


def test_zz_the_metrics_of_this_file(world):
    """BA-9: exact, over everything above."""
    world.check_metrics()
