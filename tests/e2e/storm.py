# SPDX-License-Identifier: Apache-2.0
"""Registration load that never gives up, and a killer. Every thread has a source address of its own in 127/8, so that
the server's rates per source measure one client each."""

import base64
import http.client
import os
import signal
import threading
import time

from OpenSSL import SSL

from client import Agent, Connection, make_key, original_body, public_pem
from harness import Answer, Server, context, program

ROLES = ["front", "core", "store", "store-ro", "keys", "appraise"]
RETRY = (409, 429, 503)
# Sanitized programs are slow and keep what they free: promises of time and memory are about the product's own.
SANITIZED = b"__asan_init" in open(program("trothd"), "rb").read()
GIVE_UP_S = 60


class From(http.client.HTTPSConnection):
    def __init__(self, port, source, tls, timeout=10):
        super().__init__("127.0.0.1", port, context=tls, timeout=timeout, source_address=(source, 0))


def original_server(**kw):
    """A server that also accepts original claims by a fleet key: the cheapest registration that there is."""
    s = Server(config="fronts: 2\nattestation:\n  accept: [native, original]\n  public_key_path: fleet.pem\n", **kw)
    s.fleet_key = make_key("ed25519")
    (s.dir / "fleet.pem").write_text(public_pem(s.fleet_key))
    return s


class Client(threading.Thread):
    """Registers one agent after the other; repeats each with a fresh claim until it is acknowledged."""

    def __init__(self, server, n, token, pause=0.0):
        super().__init__(daemon=True)
        self.server, self.n, self.token, self.pause = server, n, token, pause
        self.source = f"127.0.1.{n + 1}"
        self.ids, self.attempts, self.cut, self.hung, self.busy = [], 0, 0, 0, 0
        self.tried = set()
        self.failure = None
        self.stopping = threading.Event()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.one(f"{self.kind}-{self.n}-{len(self.ids)}")
                time.sleep(self.pause)
        except Exception as e:  # shown by the test, not lost in the thread
            self.failure = e

    def one(self, node_id):
        end = time.monotonic() + GIVE_UP_S
        began = 0
        self.tried.add(node_id)
        while time.monotonic() < end:
            self.attempts += 1
            began = time.monotonic()
            try:
                r = self.send(node_id)
            except (OSError, http.client.HTTPException, SSL.Error) as e:
                self.cut += 1
                if isinstance(e, TimeoutError) or time.monotonic() - began > 8:
                    self.hung += 1
                self.close()
                time.sleep(0.02)
                continue
            if r.status == 201:
                assert r.json()["agent_id"] == node_id
                self.ids.append(node_id)
                return
            if r.status not in RETRY or (r.status == 409 and r.json()["code"] != "replay"):
                raise AssertionError(f"{node_id}: {r}")
            self.busy += 1
            time.sleep(0.05)
        raise AssertionError(f"{node_id} was not admitted in {GIVE_UP_S} s")


class Original(Client):
    """Keep-alive, plain Python TLS, the original claim."""

    kind = "o"

    def __init__(self, *a, **kw):
        super().__init__(*a, **kw)
        self.tls, self.conn = context(self.server.ca), None

    def close(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def send(self, node_id):
        self.conn = self.conn or From(self.server.agents, self.source, self.tls)
        # A version per attempt: the same claim twice would rightly be a replay.
        body = original_body(self.server.fleet_key, node_id, b"\1" * 32, version=f"v1.{self.attempts}")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        self.conn.request("POST", "/agent/register", body, headers)
        r = self.conn.getresponse()
        return Answer(r.status, r.headers, r.read())


class Native(Client):
    """A connection and a key per agent, as new devices do; needs a policy that knows no hash to pin."""

    kind = "n"

    def __init__(self, *a, **kw):
        super().__init__(*a, **kw)
        self.agent = self.conn = None
        self.ca = self.server.ca.read_bytes()

    def close(self):
        if self.conn:
            self.conn.sock.close()
        self.conn = None

    def send(self, node_id):
        if not self.agent or self.agent.node_id != node_id:
            self.agent = Agent(self.server, node_id, sha256=b"\2" * 32)
        self.close()
        self.conn = Connection(self.server.agents, self.ca)
        r = self.conn.request("GET", "/api/v1/challenge")
        if r.status != 200:
            return r
        challenge = base64.b64decode(r.json()["challenge"])
        return self.conn.register(self.agent.body(self.conn, challenge=challenge), self.token)


class Killer:
    """Kills a random role, or all, and measures how long the server is not whole."""

    def __init__(self, server, rng):
        self.server, self.rng, self.down, self.n = server, rng, [], 0
        self.tls = context(server.ca)
        self.expected = sorted(server.roles().values())

    def ready(self):
        """All roles are there, and the server says that it is ready."""
        if sorted(self.server.roles().values()) != self.expected:
            return False
        self.n += 1
        conn = From(self.server.operators, f"127.0.2.{self.n % 250 + 1}", self.tls, timeout=5)
        try:
            conn.request("GET", "/readyz")
            return conn.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            conn.close()

    def kill(self, target):
        if target == "server":
            self.server.process.kill()
            began = time.monotonic()
            self.server.process.wait()
            self.server.start(wait=False)
        else:
            pids = [p for p, role in self.server.roles().items() if role == target]
            pid = self.rng.choice(sorted(pids))
            os.kill(pid, signal.SIGKILL)
            began = time.monotonic()
            while pid in self.server.roles() and time.monotonic() - began < 1:
                time.sleep(0.001)  # killed, not reaped yet
        while not self.ready():
            assert time.monotonic() - began < 30, f"not ready 30 s after {target}:\n{self.server.read_log()[-3000:]}"
            time.sleep(0.01)
        took = time.monotonic() - began
        self.down.append((took, target))
        return took
