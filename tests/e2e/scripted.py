# SPDX-License-Identifier: Apache-2.0
"""A control plane by script: speaks TLS to a real troth-agent, checks every pulse by docs/protocol alone, and answers
what the test wants. It has an agent's folder made without any trothd.
"""

import base64
import datetime
import hashlib
import json
import socket
import threading
import time

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import serialization as ser
from OpenSSL import SSL, crypto

import client
from harness import AgentProgram

PULSE, TIME = b"troth/pulse/v1", b"troth/time/v1"
DAY = 86400


def certificate(ca_key, ca_cert, public_key, cn, san, before, after, client_auth=True, ca=False):
    at = lambda t: datetime.datetime.fromtimestamp(t, datetime.timezone.utc).replace(tzinfo=None)
    ski = x509.SubjectKeyIdentifier(hashlib.sha256(client.spki(public_key)).digest()[:20])
    usage = dict(digital_signature=not ca, content_commitment=False, key_encipherment=False, data_encipherment=False,
                 key_agreement=False, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, cn)])
    b = (x509.CertificateBuilder().subject_name(name).issuer_name(ca_cert.subject if ca_cert else name)
         .public_key(public_key).serial_number(x509.random_serial_number()).not_valid_before(at(before))
         .not_valid_after(at(after)).add_extension(x509.BasicConstraints(ca, None), True)
         .add_extension(x509.KeyUsage(**usage), True).add_extension(ski, False))
    if not ca:
        eku = [x509.ExtendedKeyUsageOID.CLIENT_AUTH if client_auth else x509.ExtendedKeyUsageOID.SERVER_AUTH]
        b = b.add_extension(x509.ExtendedKeyUsage(eku), False).add_extension(x509.SubjectAlternativeName(san), False)
        issuer_ski = ca_cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        b = b.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_ski), False)
    return b.sign(ca_key, None)


def pem(cert):
    return cert.public_bytes(ser.Encoding.PEM)


class Pulse:
    """One pulse, verified with the key of its connection's certificate and bound to that connection."""

    def __init__(self, raw, peer, exporter):
        tag = cbor2.loads(raw)
        assert tag.tag == 18
        protected, unprotected, payload, signature = tag.value
        head = cbor2.loads(protected)
        tbs = cbor2.dumps(["Signature1", protected, PULSE, payload])
        self.key_id = client.key_id(peer.public_key())
        assert unprotected == {} and head[4] == self.key_id[:16]
        client.verify(peer.public_key(), head[1], signature, tbs)
        self.digest = hashlib.sha256(tbs).digest()
        self.raw, self.map = raw, client.read_cbor(payload)
        p = self.own = self.map[-65537]
        self.id, self.partition, self.seq, self.prev = p[1], p[2], p[7], p[11]
        self.boot_id, self.start_id, self.bootcount = p[9], p[10], self.map[267]
        self.time = self.map[6] + p[3] / 1e9
        self.ticket, self.old_ticket = self.map.get(10, b""), p.get(20, b"")
        self.hash, self.health, self.rtt_us, self.sync = p[13], p[16], p[5], p[6]
        self.lsm, self.lsm_reason = p[15], p.get(18, "")
        self.bpf_status, self.bpf_digest, self.bpf_list = p[14], p.get(17), p.get(21)
        self.notice, self.notice_s = p.get(19, (0, 0))
        assert p[12] == exporter, "the pulse is bound to another connection"
        assert self.map[265] == "tag:troth,2026:pulse/1"


class Scripted:
    """answers: called with each Pulse; returns (status, headers, body) or one of the helpers below."""

    def __init__(self, clock=time.time, valid=(-DAY, DAY)):
        now = clock()
        self.clock = clock
        self.ca_key, key = client.make_key("ed25519"), client.make_key("p256")
        self.ca = certificate(self.ca_key, None, self.ca_key.public_key(), "CA", [], now - 3650 * DAY,
                              now + 36500 * DAY, ca=True)
        cert = certificate(self.ca_key, self.ca, key.public_key(), "localhost", [x509.DNSName("localhost")],
                           now + valid[0], now + valid[1], client_auth=False)
        ctx = SSL.Context(SSL.TLS_SERVER_METHOD)
        ctx.set_min_proto_version(SSL.TLS1_3_VERSION)
        ctx.use_certificate(crypto.X509.from_cryptography(cert))
        ctx.use_privatekey(crypto.PKey.from_cryptography_key(key))
        ctx.get_cert_store().add_cert(crypto.X509.from_cryptography(self.ca))
        ctx.set_verify(SSL.VERIFY_PEER, lambda *a: True)
        ctx.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self.ctx = ctx
        self.pulses, self.times, self.renewals, self.connections, self.faults = [], [], [], 0, []
        self.script, self.on_time, self.on_renew = [], None, None
        self.interval = 1
        self.seen = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def close(self):
        self.listener.close()

    def serve(self, sock):
        conn = SSL.Connection(self.ctx, sock)
        conn.set_accept_state()
        try:
            conn.do_handshake()
            self.connections += 1
            exporter = conn.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
            peer = conn.get_peer_certificate()
            buf = b""
            while True:
                while b"\r\n\r\n" not in buf:
                    buf += conn.recv(65536)
                head, buf = buf.split(b"\r\n\r\n", 1)
                lines = head.decode().split("\r\n")
                headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
                n = int(headers.get("content-length", 0))
                while len(buf) < n:
                    buf += conn.recv(65536)
                body, buf = buf[:n], buf[n:]
                method, path, _ = lines[0].split(" ")
                answer = self.answer(method, path, body, peer and peer.to_cryptography(), exporter)
                if answer is None:  # the connection dies
                    sock.close()
                    return
                status, kind, out = answer
                conn.sendall(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(out)}\r\n\r\n".encode()
                             + out)
        except SSL.Error:
            pass
        except Exception as e:  # a test asserts that there is none
            self.faults.append(repr(e))
        finally:
            sock.close()

    def answer(self, method, path, body, peer, exporter):
        if path.startswith("/api/v1/time?nonce="):
            assert peer is None
            text = path.split("=", 1)[1]
            self.times.append(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            if self.on_time:
                return self.on_time(self.times[-1])
            return 200, "application/cose", self.signed_time(self.times[-1])
        if path == "/api/v1/agents/renew":
            request = x509.load_der_x509_csr(base64.b64decode(json.loads(body)["csr"]))
            assert request.is_signature_valid
            self.renewals.append(request.public_key())
            return self.on_renew(request.public_key()) if self.on_renew else self.renewed(request.public_key())
        if (method, path) != ("POST", "/api/v1/pulse"):
            return self.other(method, path, body, peer)
        received = int(self.clock() * 1e9)
        p = Pulse(body, peer, exporter)
        with self.seen:
            p.number = len(self.pulses)
            step = self.script.pop(0) if self.script else self.usual()
            self.pulses.append(p)
            self.seen.notify_all()
        return step(self, p, received)

    def usual(self):
        return accept()

    def other(self, method, path, body, peer):
        """What a server of before keysets had chains and agents were ordered: nothing."""
        assert method == "GET" and path.startswith("/api/v1/keyset/chain?after=")
        return 404, "application/problem+json", b"{}"

    def signed_time(self, nonce, at=None, key=None):
        return client.sign1(key or self.ca_key, TIME, {1: nonce, 2: int((at or self.clock()) * 1e9)})

    def issue(self, public_key, agent_id):
        now = self.clock()
        return certificate(self.ca_key, self.ca, public_key, agent_id,
                           [x509.UniformResourceIdentifier(f"spiffe://e2e.example/agent/{agent_id}")], now - DAY,
                           now + 7 * DAY)

    def renewed(self, public_key):
        cert = self.issue(public_key, self.pulses[-1].id)
        return 200, "application/json", json.dumps({"certificate": pem(cert).decode()}).encode()

    def wait(self, n, seconds=15):
        with self.seen:
            assert self.seen.wait_for(lambda: len(self.pulses) >= n or self.faults, seconds), \
                f"{len(self.pulses)} of {n} pulses"
        assert not self.faults, self.faults
        return self.pulses

    def folder(self, state, agent_id="web-1", **conf):
        """An enrolled agent's folder."""
        a = AgentProgram(state)
        r = a.do("init", "--id", agent_id)
        assert r.returncode == 0, r.stderr
        key = ser.load_pem_public_key((a.state / "device.pub").read_bytes())
        for name, data in (("cert.pem", pem(self.issue(key, agent_id))), ("ca.pem", pem(self.ca)),
                           ("keyset.cose", b"not looked at")):
            path = a.state / name
            path.write_bytes(data)
            path.chmod(0o600)
        text = json.loads((a.state / "agent.json").read_text())
        text.update(servers=f"https://localhost:{self.port}", trust_domain="e2e.example", partition="prod",
                    agent_type="web", spiffe_id=f"spiffe://e2e.example/agent/{agent_id}",
                    enrolled_at="2026-11-22T00:00:00.000Z", heartbeat_interval_s=1, **conf)
        (a.state / "agent.json").write_text(json.dumps(text))
        return a


def answer_map(server, received, n, resync=False, renew=False, want=False, skew=0.0, pending=0, epoch=0, wait=0):
    return cbor2.dumps({1: bytes([n % 256]) * 40, 2: resync, 3: server.interval, 4: received + int(skew * 1e9),
                        5: int((server.clock() + skew) * 1e9), 6: renew, 7: want, 8: pending, 9: epoch, 10: wait})


def accept(**kw):
    return lambda s, p, t: (200, "application/cbor", answer_map(s, t, p.number + 1, **kw))


def resync(**kw):
    return lambda s, p, t: (200, "application/cbor", answer_map(s, t, p.number + 101, resync=True, **kw))


def refuse(status, code):
    body = json.dumps({"type": "about:blank", "title": "No", "status": status, "code": code, "detail": "So.",
                       "request_id": "r"}).encode()
    return lambda s, p, t: (status, "application/problem+json", body)


def drop():
    return lambda s, p, t: None


def garbage(data=b"hello"):
    return lambda s, p, t: (200, "application/cbor", data)
