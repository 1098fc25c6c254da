# SPDX-License-Identifier: Apache-2.0
"""A registration client written from docs/protocol alone: nothing here uses the product's code.

TLS and its exporter by pyOpenSSL, signatures and certificates by cryptography, CBOR by cbor2.
"""

import base64
import datetime
import hashlib
import json
import os
import socket
import time

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from OpenSSL import SSL, crypto

import pulse as pulses
from harness import Answer

PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
ED25519, ES256, PS256, RS256 = -8, -7, -37, -257
CLAIM, RELEASE, KEYSET = b"troth/claim/v1", b"troth/release/v1", b"troth/keyset/v1"
# The public half of the signing key that a design document of an ancestor printed, and that people copied.
LEAKED = bytes.fromhex("792d68d1c31f6c6a7820033720fb80d54bf22a8aab0382efd5deacc5122a5947")


# ---- keys ----

def make_key(kind, bits=2048):
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "p256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, bits)


def alg_of(key):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return ED25519
    return ES256 if isinstance(key, ec.EllipticCurvePrivateKey) else PS256


def public(key):
    return key.public_key() if hasattr(key, "public_key") else key


def spki(key):
    return public(key).public_bytes(ser.Encoding.DER, ser.PublicFormat.SubjectPublicKeyInfo)


def public_pem(key):
    return public(key).public_bytes(ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key):
    return key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())


def key_id(key):
    return hashlib.sha256(spki(key)).digest()


def sign(key, alg, data):
    if alg == ED25519:
        return key.sign(data)
    if alg == ES256:
        r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return key.sign(data, PSS if alg == PS256 else padding.PKCS1v15(), hashes.SHA256())


def verify(pub, alg, signature, data):
    if alg == ED25519:
        pub.verify(signature, data)
    elif alg == ES256:
        assert len(signature) == 64
        der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        pub.verify(der, data, ec.ECDSA(hashes.SHA256()))
    else:
        pub.verify(signature, data, PSS if alg == PS256 else padding.PKCS1v15(), hashes.SHA256())


# ---- signed objects ----

def sign1(key, domain, payload, alg=None, kid=None):
    """payload: a map, or bytes that are sent as they are."""
    alg = alg or alg_of(key)
    protected = cbor2.dumps({1: alg, 4: (kid or key_id(key))[:16]}, canonical=True)
    body = payload if isinstance(payload, bytes) else cbor2.dumps(payload, canonical=True)
    tbs = cbor2.dumps(["Signature1", protected, domain, body])
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, body, sign(key, alg, tbs)]))


def now_ms():
    return time.time_ns() // 1000000


def release(key, sha256, version="1.2.3", name="troth-agent", platform="linux-amd64", size=8, counter=1,
            issued=None, expires=None, alg=None, **sign_args):
    """A release statement (release.cddl)."""
    payload = {1: name, 2: version, 3: platform, 4: size, 5: sha256, 6: counter, 7: issued or now_ms() - 1000}
    if expires:
        payload[8] = expires
    return sign1(key, RELEASE, payload, alg, **sign_args)


def claim_payload(key, challenge, exporter, node_id, sha256, version="1.2.3", time_ms=None, statement=None):
    """The map of claim.cddl."""
    t = now_ms() if time_ms is None else time_ms
    payload = {6: t // 1000, 8: {3: key_id(key)}, 10: challenge, 265: "tag:troth,2026:claim/1", 270: "troth-agent",
               271: [version], -65537: t % 1000, -65538: node_id, -65539: sha256}
    if exporter:
        payload[-65540] = exporter
    if statement:
        payload[-65541] = statement
    return payload


def csr(key, subject=()):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, s) for s in subject])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(
        key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()).public_bytes(ser.Encoding.DER)


def csr_with_public_key(raw):
    """A request that carries somebody else's Ed25519 key; nobody here can sign it."""
    key = make_key("ed25519")
    mine = key.public_key().public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw)
    return csr(key).replace(mine, raw)


def b64(data):
    return base64.b64encode(data).decode()


def native_body(csr_der, claim):
    return json.dumps({"csr": b64(csr_der), "claim": b64(claim)}).encode()


def original_text(node_id, sha256, version, timestamp):
    return f"{node_id}:sha256:{sha256.hex()}:{version}:{timestamp}".encode()


def original_sign(key, text):
    """RSA as PKCS#1 v1.5, Ed25519 as it is, P-256 in DER."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(text)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(text, ec.ECDSA(hashes.SHA256()))
    return key.sign(text, padding.PKCS1v15(), hashes.SHA256())


def original_body(key, node_id, sha256, version="v1.2.3", timestamp=None, outer=None, **fields):
    timestamp = int(time.time()) if timestamp is None else timestamp
    attestation = {"node_id": node_id, "binary_hash": f"sha256:{sha256.hex()}", "version": version,
                   "signature": b64(original_sign(key, original_text(node_id, sha256, version, timestamp))),
                   "timestamp": timestamp}
    attestation.update(fields)
    return json.dumps({"node_id": outer or node_id, "attestation": attestation}).encode()


# ---- the server's word ----

def read_cbor(data):
    """Deterministic or refused."""
    value = cbor2.loads(data)
    assert cbor2.dumps(value, canonical=True) == data, "not in deterministic form"
    return value


def verify_keyset(data, pin):
    """The four steps of "Verifying the keyset"; the CA certificate in PEM."""
    tag = cbor2.loads(data)
    assert tag.tag == 98 and len(data) <= 65536
    body_protected, unprotected, payload, signatures = tag.value
    assert body_protected == b"" and unprotected == {}
    k = read_cbor(payload)
    threshold, roots = k[5], k[6]
    if hashlib.sha256(cbor2.dumps([threshold, roots])).digest() != pin:
        raise InvalidSignature("another root")
    by_kid = {hashlib.sha256(r).digest()[:16]: r for r in roots}
    assert roots == sorted(set(roots)) and 1 <= threshold <= len(roots)
    seen = set()
    for protected, unprotected, signature in signatures:
        head = read_cbor(protected)
        assert set(head) == {1, 4} and unprotected == {} and head[4] not in seen
        seen.add(head[4])
        verify(ser.load_der_public_key(by_kid[head[4]]), head[1], signature,
               cbor2.dumps(["Signature", b"", protected, KEYSET, payload]))
    assert len(seen) >= threshold and k[4] > now_ms()
    cas = [key for role, key, *_ in k[7] if role == "ca"]
    return x509.load_der_x509_certificate(cas[0]).public_bytes(ser.Encoding.PEM)


def pin_of(token):
    prefix, secret, pin = token[:4], token[4:26], token[27:]
    assert prefix == "trt_" and token[26] == "_" and len(secret) == 22 and len(pin) == 43
    return base64.urlsafe_b64decode(pin + "=")


# ---- one TLS connection ----

class Connection:
    """HTTP/1.1 over one TLS 1.3 connection that tells its exporter. ca_pem None: unverified, as while bootstrapping."""

    def __init__(self, port, ca_pem=None, cert_pem=None, key=None, session=None):
        ctx = SSL.Context(SSL.TLS_CLIENT_METHOD)
        ctx.set_min_proto_version(SSL.TLS1_3_VERSION)
        if ca_pem:
            ctx.get_cert_store().add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, ca_pem))
            ctx.set_verify(SSL.VERIFY_PEER, lambda conn, cert, err, depth, ok: bool(ok))
        else:
            ctx.set_verify(SSL.VERIFY_NONE, lambda *a: True)
        if cert_pem:
            ctx.use_certificate(crypto.load_certificate(crypto.FILETYPE_PEM, cert_pem))
            ctx.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, private_pem(key)))
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.sock.settimeout(None)  # pyOpenSSL wants a blocking socket
        self.tls = SSL.Connection(ctx, self.sock)
        self.tls.set_tlsext_host_name(b"localhost")
        if session:
            self.tls.set_session(session)
        self.tls.set_connect_state()
        self.tls.do_handshake()
        if ca_pem:
            names = self.tls.get_peer_certificate().to_cryptography().extensions.get_extension_for_class(
                x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
            assert "localhost" in names, names
        self.rest = b""

    def exporter(self):
        return self.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, None)

    def request(self, method, path, body=None, headers=None):
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        lines += [f"{k}: {v}" for k, v in (headers or {}).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.tls.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
        return self._answer()

    def _more(self):
        try:
            got = self.tls.recv(65536)
        except (SSL.ZeroReturnError, SSL.SysCallError) as e:
            raise ConnectionError(f"closed: {e!r}") from None
        self.rest += got

    def _answer(self):
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        status, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
        assert "transfer-encoding" not in headers
        n = int(headers.get("content-length", 0))
        while len(self.rest) < n:
            self._more()
        body, self.rest = self.rest[:n], self.rest[n:]
        return Answer(int(status.split()[1]), headers, body)

    def challenge(self):
        r = self.request("GET", "/api/v1/challenge")
        assert r.status == 200, r
        got = r.json()
        assert set(got) == {"challenge", "expires_at", "server_time"}
        value = base64.b64decode(got["challenge"], validate=True)
        assert len(value) == 32
        return value

    def register(self, body, token=None, path="/api/v1/agents/register"):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return self.request("POST", path, body, headers)

    def close(self):
        # One that the server holds open would else live until the garbage collector comes.
        try:
            self.tls.shutdown()
        except SSL.Error:
            pass
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


def bootstrap(port, token):
    """Steps 1 and 2 of the journey: the CA certificate, or an exception and nothing was sent."""
    with Connection(port) as c:
        r = c.request("GET", "/api/v1/keyset")
        assert r.status == 200, r
        return verify_keyset(r.body, pin_of(token))


# ---- a whole agent ----

class Agent:
    """A device key with what one needs to register and to stay."""

    def __init__(self, server, node_id, kind="ed25519", sha256=None, version="1.2.3", key=None, statement=None):
        self.server, self.node_id, self.version = server, node_id, version
        self.key = key or make_key(kind)
        self.sha256 = sha256 or hashlib.sha256(node_id.encode()).digest()
        self.statement = statement
        self.certificate = None
        self.partition = "default"
        self.start_id, self.boot_id, self.seq = os.urandom(16), os.urandom(16), 0
        self.prev, self.ticket, self.old_ticket = b"", b"", b""

    def claim(self, conn, challenge=None, alg=None, **fields):
        p = claim_payload(self.key, challenge or conn.challenge(), conn.exporter(), self.node_id, self.sha256,
                          self.version, fields.pop("time_ms", None), fields.pop("statement", self.statement))
        assert not fields, fields
        return sign1(self.key, CLAIM, p, alg)

    def body(self, conn, **kw):
        return native_body(csr(self.key), self.claim(conn, **kw))

    def connect(self):
        return Connection(self.server.agents, self.server.ca.read_bytes())

    def register(self, token, **kw):
        with self.connect() as c:
            r = c.register(self.body(c, **kw), token)
        if r.status == 201:
            self.certificate, self.partition = r.json()["certificate"].encode(), r.json()["partition"]
        return r

    def mtls(self, certificate=None):
        return Connection(self.server.agents, self.server.ca.read_bytes(), certificate or self.certificate, self.key)

    def build_pulse(self, conn, key=None, **change):
        """The bytes of the next pulse; each attempt has its own number."""
        self.seq += 1
        f = {"agent_id": self.node_id, "partition": self.partition, "time_ns": time.time_ns(),
             "boot_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME), "sync": 1, "seq": self.seq, "bootcount": 1,
             "keyset_epoch": 1, "boot_id": self.boot_id, "start_id": self.start_id, "prev": self.prev,
             "exporter": conn.exporter(), "binary_hash": self.sha256, "version": self.version, "ticket": self.ticket,
             "old_ticket": self.old_ticket, "bpf_status": 5, "lsm": 1, "health": {"load_milli": 100, "uptime_s": 60}}
        assert set(change) <= set(f) | {"bpf_list", "bpf_digest", "lsm_reason", "notice", "notice_s", "rtt_us"}, change
        f.update(change)
        return pulses.build_pulse(f, key or self.key)

    def send_pulse(self, conn, body):
        """One exchange. What the answer says about the chain is remembered."""
        r = conn.request("POST", "/api/v1/pulse", body, {"Content-Type": pulses.CONTENT_TYPE})
        if r.status == 200:
            told = pulses.parse_answer(r.body)
            if told["resync"]:
                self.old_ticket = self.old_ticket or self.ticket
            else:
                self.prev, self.old_ticket = pulses.digest(body), b""
            self.ticket = told["ticket"]
        return r

    def pulse(self, conn, **change):
        """A pulse as an agent sends it: once more at once when the server asks for a fresh ticket."""
        r = self.send_pulse(conn, self.build_pulse(conn, **change))
        if r.status == 200 and pulses.parse_answer(r.body)["resync"]:
            r = self.send_pulse(conn, self.build_pulse(conn, **change))
            assert r.status != 200 or not pulses.parse_answer(r.body)["resync"], "asked twice in a row"
        return r

    def renew(self, conn, key=None):
        body = json.dumps({"csr": b64(csr(key or self.key))}).encode()
        return conn.request("POST", "/api/v1/agents/renew", body, {"Content-Type": "application/json"})


def issue(ca_key, ca_pem, key, spiffe, before, after, cn="test", **change):
    """A certificate of the product's shape, by a CA key of ours: its age and its signer are the test's choice."""
    ca = x509.load_pem_x509_certificate(ca_pem)
    at = datetime.datetime.utcfromtimestamp
    usage = dict(digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
                 key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False)
    ski = x509.SubjectKeyIdentifier(key_id(key)[:20])
    aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value)
    eku = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH])
    return (x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, cn)]))
            .issuer_name(ca.subject).public_key(public(key)).serial_number(x509.random_serial_number())
            .not_valid_before(at(before)).not_valid_after(at(after))
            .add_extension(x509.BasicConstraints(change.get("ca", False), None), True)
            .add_extension(x509.KeyUsage(**usage), True).add_extension(eku, False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe)]), False)
            .add_extension(ski, False).add_extension(aki, False)
            .sign(ca_key, None if isinstance(ca_key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
            .public_bytes(ser.Encoding.PEM))
