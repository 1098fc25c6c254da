# SPDX-License-Identifier: Apache-2.0
"""SIGHUP takes a renewed certificate into service without a failed request; SIGTERM ends without losing any (OP-5)."""

import ctypes
import http.client
import os
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

from client import Agent
from harness import call, context, free_port, program
import storm
from waiting import until


def served_certificate(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, context().wrap_socket(raw) as tls:
        return tls.getpeercert(True)


def renew(server):
    r = subprocess.run([program("trothd"), "renew-tls", "--config", str(server.config)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr


def fronts(server):
    return {p for p, r in server.roles().items() if r == "front"}


class Loop(threading.Thread):
    """Requests without pause. A new connection for each, or one that is kept and replaced when the server says so."""

    def __init__(self, server, n, keep):
        super().__init__(daemon=True)
        self.server, self.source, self.keep = server, f"127.0.3.{n + 1}", keep
        self.tls, self.done, self.failed, self.renewed = context(server.ca), 0, [], 0
        self.stopping = threading.Event()

    def run(self):
        conn = None
        while not self.stopping.is_set():
            fresh = conn is None
            try:
                conn = conn or storm.From(self.server.agents, self.source, self.tls)
                conn.request("GET", "/api/v1/challenge", headers={} if self.keep else {"Connection": "close"})
                r = conn.getresponse()
                body = r.read()
                if r.status != 200 or not body:
                    self.failed.append((r.status, body))
                self.done += 1
                if r.will_close:
                    self.renewed += 1
                    conn.close()
                    conn = None
            except (OSError, http.client.HTTPException) as e:
                # RFC 9110 9.2.2: an idle connection may be closed at any time; a client repeats on a new one.
                if fresh or not self.keep:
                    self.failed.append(repr(e))
                self.renewed += 1
                conn.close()
                conn = None
            time.sleep(0.004)


def test_reload_serves_the_new_certificate_and_loses_nothing(make_server):
    s = make_server(config="fronts: 2\n").start()
    old_certificate, old = served_certificate(s.agents), fronts(s)
    assert len(old) == 2
    loops = [Loop(s, n, keep=n % 2 == 0) for n in range(4)]
    for t in loops:
        t.start()
    time.sleep(0.3)
    renew(s)
    assert served_certificate(s.agents) == old_certificate, "nothing changes before the reload"
    s.process.send_signal(signal.SIGHUP)
    least = 2
    end = time.monotonic() + 20
    while fronts(s) & old:  # one after the other: there is always one to answer
        least = min(least, len(fronts(s)))
        assert time.monotonic() < end
        time.sleep(0.01)
    until(lambda: "event=fronts_replaced" in s.read_log())
    time.sleep(0.3)
    for t in loops:
        t.stopping.set()
    for t in loops:
        t.join(20)
    assert least == 2
    assert [t.failed for t in loops] == [[], [], [], []]
    assert min(t.done for t in loops) > 5  # each went on through it all; how often is the machine's business
    assert len(fronts(s)) == 2
    for _ in range(8):  # whichever front takes it
        assert served_certificate(s.agents) != old_certificate
        assert served_certificate(s.operators) != old_certificate
    assert "role_died" not in s.read_log()
    assert call(s.agents, "GET", "/livez", tls=context(s.ca)).status == 200


def test_request_in_flight_outlives_its_front(make_server):
    """A body half sent when the front is told to go is answered by that front."""
    s = make_server(config="fronts: 1\n").start()
    old = fronts(s)
    tls = context(s.ca).wrap_socket(socket.create_connection(("127.0.0.1", s.agents), timeout=10),
                                    server_hostname="localhost")
    body = b'{"csr": "", "claim": ""}'
    tls.sendall(b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
    time.sleep(0.2)
    s.process.send_signal(signal.SIGHUP)
    until(lambda: "event=fronts_replaced" in s.read_log())
    assert len(fronts(s)) == 2 and old < fronts(s), "the old one waits for its client"
    tls.sendall(body[5:])
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += tls.recv(65536)
    assert answer.startswith(b"HTTP/1.1 40"), answer
    assert b"connection: close" in answer.lower()
    until(lambda: not fronts(s) & old)
    assert len(fronts(s)) == 1


def test_front_that_dies_while_it_is_replaced_is_not_missed(make_server):
    """Its successor listens already: exactly one front per place remains."""
    s = make_server(config="fronts: 2\n").start()
    old = fronts(s)
    s.process.send_signal(signal.SIGHUP)
    until(lambda: len(fronts(s)) > 2, 5)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: "event=fronts_replaced" in s.read_log())
    until(lambda: len(fronts(s)) == 2)
    time.sleep(1)
    assert len(fronts(s)) == 2 and not fronts(s) & old
    assert sorted(s.roles().values()) == ["appraise", "core", "egress", "front", "front", "keys", "store",
                                          "store-ro"]
    for _ in range(10):
        assert call(s.operators, "GET", "/readyz").status == 200
        assert call(s.agents, "GET", "/livez").status == 200
    assert s.process.poll() is None


@pytest.mark.parametrize("damage", ["config", "key", "mismatch"])
def test_reload_of_something_broken_changes_nothing(make_server, damage):
    s = make_server(config="fronts: 1\n").start()
    old, certificate = fronts(s), served_certificate(s.agents)
    if damage == "config":
        with s.config.open("a") as f:
            f.write("nonsense: true\n")
    elif damage == "key":
        (s.dir / "tls" / "server.key").write_text("not a key\n")
    else:
        before = (s.dir / "tls" / "server.key").read_text()
        renew(s)
        with (s.dir / "tls" / "server.key").open("w") as f:
            f.write(before)
    s.process.send_signal(signal.SIGHUP)
    until(lambda: "event=reload_refused" in s.read_log() or "event=replacement_failed" in s.read_log(), 10)
    time.sleep(0.5)
    assert old == fronts(s), "the old front serves on"
    assert served_certificate(s.agents) == certificate
    for _ in range(5):
        assert call(s.agents, "GET", "/livez").status == 200


def test_many_reloads_at_once_are_one(make_server):
    s = make_server(config="fronts: 2\n").start()
    for _ in range(20):
        s.process.send_signal(signal.SIGHUP)
        time.sleep(0.01)
    until(lambda: "event=fronts_replaced" in s.read_log())
    until(lambda: len(fronts(s)) == 2)
    assert s.read_log().count("event=reload ") <= 2
    assert call(s.operators, "GET", "/readyz").status == 200


def test_term_ends_soon_and_sweeps_the_counters(make_server):
    """Pulses live in memory for some seconds; a polite end writes down what they left behind."""
    s = make_server(config="fronts: 2\n").start()
    shas = b"\7" * 32
    assert s.api("PUT", "/api/v1/policy", {"hashes": "sha256:" + shas.hex()}).status == 200
    token = s.make_token(max_uses=300)
    agents = [Agent(s, f"beat-{n}", sha256=shas) for n in range(5)]
    for n, a in enumerate(agents):
        assert a.register(token).status == 201
        with a.mtls() as c:
            for _ in range(n + 1):
                assert a.pulse(c).status == 200
    began = time.monotonic()
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(15) == 0
    assert time.monotonic() - began < 5
    db = sqlite3.connect(s.dir / "troth.db")
    assert db.execute("SELECT id, accepted FROM pulses ORDER BY id").fetchall() == [(f"beat-{n}", n + 1)
                                                                                     for n in range(5)]
    db.close()
    assert "role_died" not in s.read_log() and "level=error" not in s.read_log(), s.read_log()
    s.start()
    for n, a in enumerate(agents):
        row = s.api("GET", f"/api/v1/agents/{a.node_id}").json()
        assert row["heartbeats"] == n + 1 and row["last_seen"], row
    s.stop()


def test_term_under_load_loses_no_acknowledged_agent():
    s = storm.original_server().start()
    try:
        shas = "sha256:" + "01" * 32
        assert s.api("PUT", "/api/v1/policy", {"hashes": shas}).status == 200
        clients = [storm.Original(s, n, s.make_token(max_uses=100000)) for n in range(4)]
        for c in clients:
            c.start()
        for _ in range(3):
            time.sleep(0.7)
            began = time.monotonic()
            s.process.send_signal(signal.SIGTERM)
            assert s.process.wait(15) == 0
            assert time.monotonic() - began < 8
            s.start()
        for c in clients:
            c.stopping.set()
        for c in clients:
            c.join(70)
        assert [c.failure for c in clients] == [None] * 4
        s.stop()
        db = sqlite3.connect(s.dir / "troth.db")
        stored = {r[0] for r in db.execute("SELECT id FROM agents")}
        db.close()
        acknowledged = {i for c in clients for i in c.ids}
        assert len(acknowledged) > 100 and acknowledged <= stored
        assert sum(c.hung for c in clients) == 0
    finally:
        s.destroy()


def test_second_server_on_one_store_is_refused(make_server):
    """Two writers would be two registries: the second says so, the first does not notice."""
    s = make_server().start()
    other = s.dir / "other.yaml"
    text = s.config.read_text().replace(str(s.agents), str(free_port()))
    other.write_text(text.replace(str(s.operators), str(free_port())))
    p = subprocess.Popen([program("trothd"), "run", "--config", str(other)], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    time.sleep(2)
    p.terminate()
    said = p.communicate(timeout=15)[0]
    assert "another trothd" in said or "in use" in said, said
    assert "event=ready" not in said
    assert call(s.operators, "GET", "/readyz").status == 200
    assert "role_died" not in s.read_log()


def test_port_in_use_is_said(make_server):
    s = make_server()
    with socket.socket() as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        busy.bind(("127.0.0.1", s.agents))
        busy.listen()
        r = subprocess.run([program("trothd"), "run", "--config", str(s.config)], capture_output=True, text=True,
                           timeout=20)
    assert r.returncode == 1 and "in use" in r.stderr and str(s.agents) in r.stderr, r


def test_renewed_certificate_keeps_its_names(make_server):
    s = make_server()
    names = "localhost, 127.0.0.1"
    before = subprocess.run(["openssl", "x509", "-in", s.dir / "tls/server.crt", "-noout", "-ext", "subjectAltName"],
                            capture_output=True, text=True, check=True).stdout
    out = subprocess.run([program("trothd"), "renew-tls", "--config", s.config], capture_output=True, text=True)
    assert out.returncode == 0 and names in out.stdout, out
    after = subprocess.run(["openssl", "x509", "-in", s.dir / "tls/server.crt", "-noout", "-ext", "subjectAltName"],
                           capture_output=True, text=True, check=True).stdout
    assert before == after


def test_a_front_that_core_does_not_believe_is_replaced(make_server):
    """Core's word to the supervisor, said here in core's place: that front is ended, another takes its seat."""
    s = make_server(config="fronts: 2\n").start()
    old = fronts(s)
    core = next(pid for pid, role in s.roles().items() if role == "core")
    pidfd = os.pidfd_open(core)
    fd = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, 3, 0)  # pidfd_getfd: core's end of the control socket
    os.close(pidfd)
    if fd < 0:
        pytest.skip(f"no right to core's descriptor: {os.strerror(ctypes.get_errno())}")
    with socket.socket(fileno=fd) as control:
        control.send(b"\x81")  # the second front that was started
    until(lambda: s.read_log().count("event=role_died role=front") == 1)
    until(lambda: len(fronts(s)) == 2 and fronts(s) != old)
    assert len(fronts(s) & old) == 1
    assert core in s.roles()
    for _ in range(10):
        assert call(s.agents, "GET", "/livez").status == 200
