# SPDX-License-Identifier: Apache-2.0
"""A fleet whose agents meet: a server, a vendor of simulated TEEs, agents that are real programs with the role `peer`, and one
written in Python (messages.py) whose evidence an agent program's simulated TEE makes."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time

import cbor2

from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import x25519

import messages
from attesting import Operator, read_token
from authority import Authority
from client import Connection, private_pem, spki
from harness import AgentProgram, Server, call, context, free_port, program
from waiting import until
from world import name

CONFIG = "heartbeat_seconds: 1\nclock: {source: trusted}\n"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("agent", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Peer(AgentProgram):
    """An enrolled agent with peer.json and a simulated TEE."""

    def __init__(self, lab, ident, **conf):
        super().__init__(lab.folder / ident)
        self.lab, self.ident = lab, ident
        self.sent = 0
        self.conf = conf

    def set_up(self, endpoint=True):
        done = self.do("init", "--id", self.ident)
        assert done.returncode == 0, done.stderr
        done = self.do("enroll", "--server", f"https://localhost:{self.lab.server.agents}", TROTH_TOKEN=self.lab.token)
        assert done.returncode == 0, done.stderr
        done = self.do("tee", "use", "simulated", "--seed", str(self.lab.vendor / "seed"))
        assert done.returncode == 0, done.stderr
        if endpoint:
            self.port = free_port()
            self.conf = {"listen": f"127.0.0.1:{self.port}", "endpoint": f"https://127.0.0.1:{self.port}", **self.conf}
        self.write_conf()
        return self

    def write_conf(self, **change):
        self.conf.update(change)
        path = self.state / "peer.json"
        path.with_suffix(".new").write_text(json.dumps(self.conf))
        path.with_suffix(".new").rename(path)

    def up(self):
        self.start()
        until(self.ready, 30, self.log)
        return self

    def ready(self):
        with contextlib.suppress(OSError):
            s = self.api("GET", "/v1/status")
            return s[0] == 200 and s[1]["prekey_published"]
        return False

    def api(self, method, path, body=None, timeout=70):
        c = UnixConnection(self.state / "agent.sock", timeout)
        try:
            c.request(method, path, json.dumps(body) if body is not None else None)
            r = c.getresponse()
            return r.status, json.loads(r.read())
        finally:
            c.close()

    def send(self, to, text, **fields):
        to = getattr(to, "ident", to)
        return self.api("POST", "/v1/messages", {"to": to, "type": "text/plain", "body": base64.b64encode(text).decode(), **fields})

    def receive(self, wait=0, limit=64):
        status, got = self.api("GET", f"/v1/messages?wait={wait}&limit={limit}")
        assert status == 200, got
        return [{**m, "body": base64.b64decode(m["body"])} for m in got["messages"]]

    def ack(self, *messages):
        return self.api("POST", "/v1/messages/ack", {"ids": [m["id"] for m in messages]})

    def take(self, wait=10):
        """The next messages, acknowledged."""
        got = self.receive(wait)
        if got:
            assert self.ack(*got) == (200, {"acknowledged": len(got)})
        return got

    def status(self):
        return self.api("GET", "/v1/status")[1]


class PythonPeer:
    """An agent whose messages are written and read by messages.py. The program attests it, and does nothing else."""

    def __init__(self, lab, ident=None):
        self.lab, self.ident = lab, ident or name("python")
        self.program = lab.peer(self.ident, endpoint=False, up=False)
        (self.program.state / "peer.json").unlink()
        self.program.start()
        until(lambda: "event=attested" in self.program.log(), 20, self.ident)
        self.key = ser.load_pem_private_key((self.program.state / "device.key").read_bytes(), None)
        self.certificate = (self.program.state / "cert.pem").read_text()
        self.seq, self.number = 0, int(time.time())
        self.publish()

    def publish(self, **change):
        self.prekey = x25519.X25519PrivateKey.generate()
        self.number += 1
        now = int(time.time())
        fields = {"fleet": "e2e.example", "agent": self.ident, "number": self.number, "key": messages.raw(self.prekey.public_key()),
                  "not_before": now - 60, "not_after": now + 86400, **change}
        r = self.hub("PUT", "/api/v1/agent/prekey", messages.prekey(fields, self.key))
        assert r.status in (200, 204), r

    def hub(self, method, path, body=None, headers=None):
        with Connection(self.lab.server.agents, self.lab.server.ca.read_bytes(), self.certificate, self.key) as c:
            return c.request(method, path, body, headers or {})

    def discover(self, ident):
        target = f"/api/v1/agents/discovery/{ident}"
        headers = messages.sign_request(self.key, "GET", target, self.ident, int(time.time()))
        return call(self.lab.server.agents, "GET", target, None, headers, context(self.lab.server.ca))

    def read_peer(self, ident):
        """Identity key, pre-key and token of another agent, each checked."""
        r = self.discover(ident)
        assert r.status == 200, r
        info = r.json()["attestation_info"]
        key = ser.load_pem_public_key(info["public_key_pem"].encode())
        claims, _, _ = read_token(info["token"], self.lab.server.ca.read_bytes())
        assert claims["sub"] == ident and claims["cnf"]["kid"] == hashlib.sha256(spki(key)).hexdigest()
        return key, messages.read_prekey(base64.b64decode(info["prekey"]), key), r.json()

    def message(self, to, body, **change):
        self.seq += 1
        now = int(time.time())
        return {"fleet": "e2e.example", "sender": self.ident, "recipient": getattr(to, "ident", to), "id": os.urandom(16),
                "line": self.number, "seq": self.seq, "issued": now, "expires": now + 600, "type": "text/plain", "body": body,
                **change}

    def seal(self, to, body, **change):
        _, pre, _ = self.read_peer(getattr(to, "ident", to))
        return messages.seal(self.message(to, body, **change), self.key, pre["key"])

    def hand(self, to, envelope, certificate=None, key=None):
        """POST /messages over mutual TLS."""
        tls = context()
        with tempfile.TemporaryDirectory() as d:
            folder = pathlib.Path(d)
            (folder / "c").write_text(certificate or self.certificate)
            (folder / "k").write_bytes(private_pem(key or self.key))
            tls.load_cert_chain(folder / "c", folder / "k")
        return call(to.port, "POST", "/messages", envelope, {"Content-Type": "application/cbor"}, tls)

    def mail(self, to, envelope):
        return self.hub("POST", f"/api/v1/mailbox/{getattr(to, 'ident', to)}", envelope, {"Content-Type": "application/cbor"})

    def fetch(self, wait=5):
        r = self.hub("GET", f"/api/v1/mailbox?wait={wait}&after=0")
        assert r.status == 200, r
        return cbor2.loads(r.body)

    def open(self, envelope):
        key, _, _ = self.read_peer(messages.read_envelope(envelope)["sender"])
        return messages.open_message(envelope, "e2e.example", self.prekey, key)


class Lab:
    def __init__(self, folder, config=CONFIG):
        self.folder = pathlib.Path(folder)
        self.server = Server(config=config).start()
        sha = hashlib.sha256(pathlib.Path(program("troth-agent")).read_bytes()).hexdigest()
        assert self.server.api("PUT", "/api/v1/policy", {"hashes": f"sha256:{sha}"}).status == 200
        self.token = self.server.make_token(max_uses=100, partition="prod", agent_type="lab")
        self.vendor = self.folder / "vendor"
        done = subprocess.run([program("troth-agent"), "tee", "simulate-root", str(self.vendor)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.root = done.stdout.split()[1]
        self.operator = Operator(self.server, Authority(self.server))
        self.bundle = self.make_bundle()
        r = self.operator.push(self.bundle)
        assert r.status == 201, r
        self.policy = json.dumps({"name": "lab", "agent_types": ["*"], "evidence": ["tdx"], "measurements": "any",
                                  "roots": [{"name": "lab", "simulated": True, "spki_sha256": self.root}]})
        self.operator.put_in_force(self.policy)
        # Made when the first policy becomes active.
        until(lambda: call(self.server.agents, "GET", "/.well-known/jwks.json").json()["keys"])
        self.made = []

    def make_bundle(self):
        def text(n):
            return (self.vendor / n).read_bytes()

        fmspc = bytes.fromhex(json.loads(text("tcb_info.json"))["tcbInfo"]["fmspc"])
        begin, end, tdx = int(time.time()) - 86400, int(time.time()) + 86400 * 30, bytes([2])
        items = [[1, tdx + fmspc, text("tcb_info.json"), begin, end], [2, tdx, text("qe_identity.json"), begin, end],
                 [3, b"", text("tcb_signing_chain.pem"), begin, end], [4, b"", text("pck_crl.der"), begin, end],
                 [6, b"", text("root_ca_crl.der"), begin, end]]
        return cbor2.dumps({1: 1, 2: int(time.time()), 3: items}, canonical=True)

    def peer(self, ident=None, endpoint=True, up=True, **conf):
        p = Peer(self, ident or name("peer"), **conf).set_up(endpoint)
        self.made.append(p)
        return p.up() if up else p

    def close(self):
        for p in self.made:
            p.kill()
        self.server.stop()
        log = self.server.read_log()
        self.server.destroy()
        assert "role_died" not in log and "Sanitizer" not in log, log
        for p in self.made:
            assert "Sanitizer" not in p.log() and "peer_process_ended" not in p.log(), p.log()
