# SPDX-License-Identifier: Apache-2.0
"""Registration with evidence, written from docs/protocol alone: agents whose TEE is a vendor in Python (simtee.py), an operator
with policies and collateral, and a peer who verifies result tokens. Nothing here uses the product's code."""

import base64
import datetime
import hashlib
import json
import os
import time

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import serialization as ser

import simtee
from client import Agent, Connection, alg_of, b64, make_key, public_pem, sign, sign1, spki
from harness import call, context
from simtee import report_data
from world import name

TDX = 2
COLLATERAL = b"troth/collateral/v1"


def unix(t):
    return int(t.timestamp())


BEGIN, END = unix(simtee.BEGIN), unix(simtee.END)


# ---- the operator's side ----

def bundle(vendor, version, end=END, tpm_roots=(), **tcb):
    """What a vendor publishes, as one file (evidence/bundle.h)."""
    qe_args = {"evaluation": tcb["evaluation"]} if "evaluation" in tcb else {}
    items = [[1, bytes([TDX]) + simtee.FMSPC, vendor.tcb_info(**tcb), BEGIN, end],
             [2, bytes([TDX]), vendor.qe_identity(**qe_args), BEGIN, end],
             [3, b"", simtee.pem(vendor.tcb) + simtee.pem(vendor.root), BEGIN, end],
             [4, b"", vendor.crl(vendor.ca, vendor.ca_key, tcb.get("revoked", ())), BEGIN, end],
             [6, b"", vendor.crl(vendor.root, vendor.root_key), BEGIN, end]]
    items += sorted([13, hashlib.sha256(der).digest(), der, BEGIN, end] for der in tpm_roots)
    return cbor2.dumps({1: version, 2: int(time.time()), 3: items}, canonical=True)


def policy(vendor, policy_name="lab", types=("lab",), mrtd=None, simulated=True, **extra):
    """The text of a policy that trusts this vendor's root."""
    image = {"name": "gold", "mrtd": (mrtd or bytes([0xaa]) * 48).hex(),
             **{f"rtmr{k}": (bytes([k + 1]) * 48).hex() for k in range(4)}}
    return json.dumps({"name": policy_name, "agent_types": list(types), "evidence": ["tdx"],
                       "roots": [{"name": "python", "simulated": simulated, "spki_sha256": vendor.root_spki_sha256()}],
                       "tdx": {"images": [image]}, **extra})


class Operator:
    def __init__(self, server, authority):
        self.server, self.authority = server, authority
        self.config = make_key("ed25519")
        authority.next(add=[("config", self.config)])

    def push(self, data, key=None):
        signed = sign1(key or self.config, COLLATERAL, data)
        return call(self.server.operators, "POST", "/api/v1/collateral", signed,
                    {"Authorization": f"Bearer {self.server.token}", "Content-Type": "application/cose"}, context(self.server.ca))

    def add(self, text):
        return self.server.api("POST", "/api/v1/attestation-policies", {"text": text})

    def activate(self, which, **fields):
        return self.server.api("POST", f"/api/v1/attestation-policies/{which}/activate", fields)

    def put_in_force(self, text, **fields):
        r = self.add(text)
        assert r.status == 201, r
        r = self.activate(r.json()["name"], **fields)
        assert r.status == 200 and r.json()["state"] == "active", r
        return r.json()

    def verdict(self, ident):
        r = self.server.api("GET", f"/api/v1/verdicts/{ident}")
        assert r.status == 200, r
        return r.json()

    def replay(self, ident):
        return self.server.api("POST", f"/api/v1/verdicts/{ident}/replay")


# ---- the agent's side ----

def request_headers(key, agent, method, target, body=b"", at=None, nonce=None, signature=None):
    """signed/request_sig.h."""
    at = int(time.time()) if at is None else at
    nonce = nonce or base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
    text = f"troth/request/v1\n{method} {target}\n{agent}\n{at}\n{nonce}\n{hashlib.sha256(body).hexdigest()}\n".encode()
    return {"X-Requesting-Agent": agent, "X-Timestamp": str(at), "X-Nonce": nonce,
            "X-Attestation-Signature": signature or b64(sign(key, alg_of(key), text))}


class Attester(Agent):
    """An agent in a TEE of this vendor."""

    def __init__(self, server, vendor, agent_type="lab", node_id=None, **kw):
        super().__init__(server, node_id or name("tee"), **kw)
        self.vendor, self.agent_type = vendor, agent_type

    def evidence(self, challenge, key=None, **quote):
        return self.vendor.quote(report_data(challenge, spki(key or self.key)), **quote)

    def hub_body(self, challenge, quote=None, data=None, **fields):
        quote = quote or self.evidence(challenge)
        d = {"quote": b64(quote), "public_key": public_pem(self.key), "kind": "tdx", "challenge": b64(challenge)}
        d.update(data or {})
        body = {"agent_id": self.node_id, "agent_type": self.agent_type, "capabilities": ["search", "index"],
                "endpoint": "https://agent.example:8443/", "attestation_endpoint": "https://agent.example:8443/attestation",
                "attestation_data": {k: v for k, v in d.items() if v is not None}}
        body.update(fields)
        return json.dumps({k: v for k, v in body.items() if v is not None}).encode()

    def attest(self, conn=None, challenge=None, body=None, headers=None, **kw):
        """Over its certificate's connection."""
        own = conn or self.mtls()
        try:
            body = body or self.hub_body(challenge or own.challenge(), **kw)
            return own.request("POST", "/api/v1/agents/register", body, {"Content-Type": "application/json", **(headers or {})})
        finally:
            if not conn:
                own.close()

    def attest_by_token(self, token=None, challenge=None, body=None, conn=None, sign_with=None, headers=None, **kw):
        """Without a certificate: the request is signed by the key that it brings."""
        target = "/api/v1/agents/register"
        own = conn or self.connect()
        try:
            body = body or self.hub_body(challenge or own.challenge(), **kw)
            signed = request_headers(sign_with or self.key, self.node_id, "POST", target, body)
            all_headers = {"Content-Type": "application/json", **signed, **(headers or {})}
            if token:
                all_headers["Authorization"] = f"Bearer {token}"
            return own.request("POST", target, body, {k: v for k, v in all_headers.items() if v is not None})
        finally:
            if not conn:
                own.close()

    def ask(self, target, conn=None, method="GET", **kw):
        """A request signed by this agent, over any connection."""
        extra = kw.pop("headers", {})
        headers = {**request_headers(self.key, self.node_id, method, target, **kw), **extra}
        return call(self.server.agents, method, target, None, headers, context(self.server.ca))


# ---- a peer ----

def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def read_token(token, ca_pem, domain="e2e.example"):
    """The claims, or an exception: by the CA alone, as docs/protocol/attestation.md says."""
    head, claims, signature = token.split(".")
    h = json.loads(unb64url(head))
    assert set(h) == {"alg", "kid", "typ", "x5c"} and h["alg"] == "EdDSA" and len(h["x5c"]) == 1, h
    cert = x509.load_der_x509_certificate(base64.b64decode(h["x5c"][0]))
    ca = x509.load_pem_x509_certificate(ca_pem)
    ca.public_key().verify(cert.signature, cert.tbs_certificate_bytes)
    san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [n.value for n in san] == [f"spiffe://{domain}/result"], list(san)
    now = datetime.datetime.utcnow()
    assert cert.not_valid_before <= now < cert.not_valid_after
    cert.public_key().verify(unb64url(signature), f"{head}.{claims}".encode())
    c = json.loads(unb64url(claims))
    assert c["iss"] == domain and c["iat"] <= time.time() + 5 < c["exp"], c
    return c, h["kid"], cert.public_key().public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw)


def read_token_by_jwks(server, token):
    """The claims by the key set alone."""
    jwks = call(server.agents, "GET", "/.well-known/jwks.json", tls=context(server.ca)).json()
    head, claims, signature = token.split(".")
    kid = json.loads(unb64url(head))["kid"]
    key, = [k for k in jwks["keys"] if k["kid"] == kid]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    from cryptography.hazmat.primitives.asymmetric import ed25519
    ed25519.Ed25519PublicKey.from_public_bytes(unb64url(key["x"])).verify(unb64url(signature), f"{head}.{claims}".encode())
    return json.loads(unb64url(claims))


def attested_connection(agent):
    return Connection(agent.server.agents, agent.server.ca.read_bytes(), agent.certificate, agent.key)
