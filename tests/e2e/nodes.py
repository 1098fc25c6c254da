# SPDX-License-Identifier: Apache-2.0
"""A second trothd beside a first one, on the same database: set up as docs/operations.md says, by copying."""

import pathlib
import shutil
import subprocess
import tempfile

from harness import Server, call, free_port, program


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
    r = call(server.operators, "GET", "/readyz", timeout=5)
    return r.json()


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
