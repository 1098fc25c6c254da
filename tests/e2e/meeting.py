# SPDX-License-Identifier: Apache-2.0
"""A fleet whose agents meet: a server, a vendor of simulated TEEs, agents that are real programs with the role `peer`, and one
written in Python (messages.py) whose evidence an agent program's simulated TEE makes."""

import base64
import contextlib
import hashlib
import http.client
import json
import pathlib
import socket
import subprocess
import time

import cbor2

from attesting import Operator
from authority import Authority
from harness import AgentProgram, Server, free_port, program
from world import name

CONFIG = "heartbeat_seconds: 1\nclock: {source: trusted}\n"


def until(fn, seconds=15, why=""):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = fn()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"it never came: {why}")


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
        until(lambda: self.ready(), 30, self.log())
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
