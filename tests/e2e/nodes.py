# SPDX-License-Identifier: Apache-2.0
"""A second trothd beside a first one, on the same database: set up as docs/operations.md says, by copying."""

import base64
import json
import http.server
import pathlib
import random
import shutil
import subprocess
import tempfile
import threading
import time

from OpenSSL import SSL

from harness import Server, call, free_port, program
from pg import CONFIG
from world import World


class Node(Server):
    """Of `first`: its configuration, keys and authority, with a certificate and ports of its own."""

    def __init__(self, first):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="troth-e2e-"))
        self.base.chmod(0o711)
        self.dir = self.base / "state"
        shutil.copytree(first.dir, self.dir, ignore=shutil.ignore_patterns("root", "*.db*"))
        for p in [self.dir, *self.dir.rglob("*")]:
            was = (first.dir / p.relative_to(self.dir)).stat()
            shutil.os.chown(p, was.st_uid, was.st_gid)
        self.agents, self.operators = free_port(), free_port()
        self.config = self.dir / "trothd.yaml"
        text = self.config.read_text()
        for old, new in ((first.agents, self.agents), (first.operators, self.operators)):
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        self.config.write_text(text)
        subprocess.run([program("trothd"), "renew-tls", "--config", str(self.config), "--host", "node-b.example"], check=True,
                       capture_output=True)
        self.env, self.log_path, self.process = first.env, self.base / "trothd.log", None
        self.token, self.pin, self.ca = first.token, first.pin, self.dir / "keys" / "ca.crt"


def ready(server):
    while True:
        r = call(server.operators, "GET", "/readyz", timeout=5)
        if r.status != 429:
            return r.json()
        time.sleep(float(r.headers["Retry-After"]))


def holds(server):
    try:
        return ready(server)["holder"]
    except OSError:
        return False


def verdict(server, ident):
    r = server.api("GET", f"/api/v1/agents/{ident}")
    return r.json() if r.status == 200 else None


def events(server, *kinds):
    found = server.api("GET", "/api/v1/events?limit=500").json()["events"]
    return [e for e in found if not kinds or e["kind"] in kinds]


def alerts(server, **query):
    q = "&".join(f"{k}={v}" for k, v in query.items())
    return server.api("GET", f"/api/v1/alerts?{q}").json()["alerts"]


# Kinds of events that accuse an agent of something.
ACCUSING = ("forked", "restored", "chain_conflict", "replay", "relayed", "binary_changed")


class Pair:
    """Two nodes on one new database, and the agents of the first."""

    def __init__(self, pg, make_server, config=CONFIG):
        self.pg = pg
        self.db = pg.database()
        self.a = make_server(config=config, init=("--store", pg.location(self.db))).start()
        self.b = Node(self.a).start()
        self.world = World(self.a)

    def close(self):
        for s in (self.a, self.b):
            s.stop()
        for s in (self.a, self.b):
            log = s.read_log()
            assert "role_died" not in log and "nonsense" not in log and "Sanitizer" not in log, log
        self.b.destroy()

    def at(self, server, agent):
        """The same agent, speaking to this server from now on."""
        agent.server = server
        return agent

    def accused(self):
        return events(self.a if self.a.process.poll() is None else self.b, *ACCUSING)

    def holder(self):
        return next((s for s in (self.a, self.b) if s.process.poll() is None and holds(s)), None)


class Hook:
    """Where both nodes tell of alerts: (kind, subject, severity, status) of each one told."""

    def __init__(self):
        hook = self
        self.told = []
        self.secret = pathlib.Path(tempfile.mkdtemp(prefix="troth-hook-")) / "hook.secret"
        self.secret.write_text("whsec_" + base64.b64encode(bytes(32)).decode() + "\n")
        self.secret.chmod(0o600)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for a in body["alerts"]:
                    labels = a["labels"]
                    hook.told.append((labels["alertname"], labels["subject"], labels["severity"], a["status"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True).start()

    def config(self):
        return f"alerts:\n  webhook:\n    url: http://127.0.0.1:{self.httpd.server_address[1]}/\n    secret_file: {self.secret}\n"

    def of(self, subject, status=None):
        return [t for t in self.told if t[1] == subject and status in (None, t[3])]

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()
        shutil.rmtree(self.secret.parent)


class Roamer(threading.Thread):
    """An agent with both addresses: it stays where it is until that fails, then goes to the other one at once."""

    def __init__(self, agent, servers, beat=1.0, at=0):
        super().__init__(daemon=True)
        self.agent, self.servers, self.beat, self.at = agent, servers, beat, at
        self.accepted, self.moves, self.refused, self.failure = 0, 0, [], None
        self.change, self.ending = {}, threading.Event()
        self.connection = None
        self.start()

    def one(self):
        try:
            if not self.connection:
                self.agent.server = self.servers[self.at]
                self.connection = self.agent.mtls()
            r = self.agent.pulse(self.connection, **self.change)
            if r.status == 200:
                self.accepted += 1
                return True
            if r.status != 503:
                self.refused.append((r.status, r.body[:200]))
        except (OSError, SSL.Error, ValueError):
            pass
        self.drop()
        self.at = (self.at + 1) % len(self.servers)
        self.moves += 1
        return False

    def drop(self):
        if self.connection:
            self.connection.sock.close()
        self.connection = None

    def run(self):
        try:
            while not self.ending.is_set():
                self.ending.wait(self.beat * random.uniform(0.9, 1.1) if self.one() else 0.2)
        except Exception as e:  # shown by end()
            self.failure = e
        self.drop()

    def end(self):
        self.ending.set()
        self.join(30)
        if self.failure:
            raise self.failure
        assert not self.refused, self.refused
        return self.accepted
