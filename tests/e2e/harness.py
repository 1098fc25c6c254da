# SPDX-License-Identifier: Apache-2.0
"""A real server in a folder of its own, and a plain HTTPS client for it.

Nothing here uses the product's code: TLS by Python's ssl module, JSON by Python's json.
"""

import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TROTH_BUILD", ROOT / "build" / "dev"))


def program(name):
    path = BUILD / name
    assert path.exists(), f"{path} is not built; run script/build dev"
    return str(path)


# The library alone: its wrapper keeps a semaphore under its process id, and fails when an earlier one was killed under it.
_faketime = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
needs_faketime = pytest.mark.skipif(not _faketime, reason="faketime is not installed")


def faketime(when):
    """Environment of a program whose time of day is wrong ("-10m") or another one ("@2026-01-01 00:00:00"). No monotonic
    clock is bent."""
    return {"LD_PRELOAD": str(_faketime), "FAKETIME": when, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


_ports = {}


def free_port():
    """A port of this run's own: below those that the kernel gives to connections, so that none of them sits on it when its
    server starts anew, and kept from other runs on this machine by an abstract socket of its number."""
    for _ in range(1000):
        port = random.randrange(10240, 32768)
        if port in _ports:
            continue
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0troth-e2e-port-{port}")
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        _ports[port] = held
        return port
    raise AssertionError("no free port between 10240 and 32767")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


def context(ca=None, cert=None, key=None):
    """TLS 1.3 only; without `ca` nothing is verified, as while bootstrapping."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.minimum_version = ssl.TLSVersion.TLSv1_3
    if ca:
        c.load_verify_locations(cafile=str(ca))
    else:
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
    if cert:
        c.load_cert_chain(str(cert), str(key))
    return c


def call(port, method, path, body=None, headers=None, tls=None, timeout=20):
    conn = http.client.HTTPSConnection("127.0.0.1", port, context=tls or context(), timeout=timeout)
    try:
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        conn.request(method, path, body=body, headers=headers)
        r = conn.getresponse()
        return Answer(r.status, r.headers, r.read())
    finally:
        conn.close()


class Server:
    """`trothd init` and `trothd run`; stop() ends it politely, kill() does not."""

    def __init__(self, folder=None, config="", env=None, keep=False, init=()):
        self.base = pathlib.Path(folder or tempfile.mkdtemp(prefix="troth-e2e-"))
        self.base.chmod(0o711)  # the roles run under another uid when we are root
        self.dir = self.base / "state"
        self.agents, self.operators = free_port(), free_port()
        self.env = dict(os.environ, **(env or {}))
        self.log_path = self.base / "trothd.log"
        self.process = None
        self.init_output = subprocess.run(
            [program("trothd"), "init", "--dir", str(self.dir), "--trust-domain", "e2e.example",
             "--agents", f"127.0.0.1:{self.agents}", "--operators", f"127.0.0.1:{self.operators}",
             "--host", "localhost", "--url", f"https://localhost:{self.agents}", *init],
            check=True, capture_output=True, text=True).stdout
        self.config = self.dir / "trothd.yaml"
        if config:
            with self.config.open("a") as f:
                f.write(config)
        self.token = (self.dir / "admin.token").read_text().strip()
        self.ca = self.dir / "keys" / "ca.crt"
        self.pin = (self.dir / "root.pin").read_text().strip()

    def start(self, wait=True):
        self.log = self.log_path.open("ab")
        self.process = subprocess.Popen([program("trothd"), "run", "--config", str(self.config)],
                                        stdout=self.log, stderr=self.log, env=self.env)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if call(self.operators, "GET", "/readyz", timeout=2).status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                raise AssertionError(f"trothd ended with {self.process.returncode}:\n{self.read_log()}")
            time.sleep(0.02)
        raise AssertionError(f"trothd is not ready after {seconds} s:\n{self.read_log()}")

    def read_log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("trothd did not end within 15 s of SIGTERM")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def destroy(self):
        self.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    def roles(self):
        """pid → role of the children that live now."""
        found = {}
        me = self.process.pid
        for p in pathlib.Path("/proc").iterdir():
            if not p.name.isdigit():
                continue
            try:
                stat = (p / "stat").read_text()
                args = (p / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == me and len(args) > 2 and args[1] == b"role":
                found[int(p.name)] = args[2].decode()
        return found

    # ---- API ----

    def api(self, method, path, body=None, token=None, **kw):
        """Waits where the rate limit says so: a test asks faster than any operator."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        while True:
            r = call(self.operators, method, path, body, headers, context(self.ca), **kw)
            if r.status != 429:
                return r
            time.sleep(float(r.headers["Retry-After"]))

    def make_token(self, **fields):
        r = self.api("POST", "/api/v1/tokens", fields)
        assert r.status == 201, r
        return r.json()["token"]

    def attestations(self, **query):
        q = "&".join(f"{k}={v}" for k, v in query.items())
        r = self.api("GET", f"/api/v1/attestations?{q}")
        assert r.status == 200, r
        return r.json()["attestations"]

    def audit(self, **query):
        q = "&".join(f"{k}={v}" for k, v in query.items())
        r = self.api("GET", f"/api/v1/audit?{q}")
        assert r.status == 200, r
        return r.json()["audit"]

    def metrics(self):
        """Name with labels → value."""
        while True:
            r = call(self.operators, "GET", "/metrics")
            if r.status != 429:
                break
            time.sleep(float(r.headers["Retry-After"]))
        assert r.status == 200, r
        lines = [line.rsplit(" ", 1) for line in r.body.decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def metric(self, name):
        return self.metrics()[name]


class AgentProgram:
    """The program troth-agent on a state folder of its own."""

    def __init__(self, state, binary=None, **env):
        self.state = pathlib.Path(state)
        self.binary = pathlib.Path(binary or program("troth-agent"))
        self.log_path = self.state.with_name(self.state.name + ".log")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("TROTH", "AGENT_", "ATTESTATION_"))}
        self.env = dict(clean, TROTH_AGENT_STATE=str(self.state), **env)
        self.process = None

    def do(self, *args, fd=None, **env):
        """fd: run the image that this descriptor holds, whatever its path names by now."""
        how = {"executable": f"/proc/self/fd/{fd}", "pass_fds": [fd]} if fd is not None else {}
        return subprocess.run([str(self.binary), *args], capture_output=True, text=True, timeout=60,
                              env=dict(self.env, **env), **how)

    def start(self):
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([str(self.binary), "run", "--debug"], env=self.env, stderr=log)
        return self

    def log(self):
        return self.log_path.read_text()

    def wait_for(self, text, seconds=15):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if text in self.log():
                return
            time.sleep(0.02)
        raise AssertionError(f"no {text!r} in:\n{self.log()}")

    def stop(self, seconds=3):
        """The exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
