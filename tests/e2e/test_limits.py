# SPDX-License-Identifier: Apache-2.0
"""What must not hurt: floods, tricklers, giants, a full disk, damaged files. Each is refused with a reason or closed,
memory stays bounded, and good agents are served meanwhile (OP-5, PU-4)."""

import contextlib
import os
import pathlib
import random
import re
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

from client import Agent, Connection
from harness import Server, call, context, program
import storm

LONG = bool(os.environ.get("TROTH_LONG"))
GARBAGE = 10000 if LONG else 1500
ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root: mounts a small file system")
SHA = b"\5" * 32
MIB = 1 << 20


# ---- helpers ----

def open_tls(port, source="127.0.0.1", timeout=15):
    raw = socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(source, 0))
    return context().wrap_socket(raw)


def read_all(s, limit=1 << 20):
    """What comes until the other side closes, resets or falls silent."""
    got = b""
    with contextlib.suppress(OSError):
        while len(got) < limit:
            data = s.recv(65536)
            if not data:
                break
            got += data
    return got


def code_of(answer):
    m = re.search(rb'"code":"([a-z_0-9]+)"', answer)
    return m.group(1).decode() if m else None


def private_memory(server):
    """Bytes that the server's processes hold for themselves."""
    total = 0
    for pid in [server.process.pid, *server.roles()]:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(m) * 1024 for m in re.findall(r"Private_Dirty: +(\d+)", text))
    return total


def set_policy(server):
    assert server.api("PUT", "/api/v1/policy", {"hashes": "sha256:" + SHA.hex()}).status == 200


class GoodAgent(threading.Thread):
    """Beats ten times a second, on a kept connection and now and then on a new one, and measures."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.agent = Agent(server, "good-" + os.urandom(4).hex(), sha256=SHA)
        assert self.agent.register(server.make_token()).status == 201
        self.stopping, self.worst, self.count, self.failure = threading.Event(), 0.0, 0, None

    def run(self):
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                conn = self.agent.mtls()
                for _ in range(5):
                    r = self.agent.pulse(conn)
                    assert r.status == 200, r
                    self.worst = max(self.worst, time.monotonic() - began)
                    self.count += 1
                    time.sleep(0.1)
                    began = time.monotonic()
                conn.close()
        except Exception as e:
            self.failure = e


@contextlib.contextmanager
def unharmed(server, memory=64 * MIB, latency=5.0):
    """Around an attack: a good agent does not notice, and memory does not grow by more than `memory`."""
    good = GoodAgent(server)
    before, roles, peak = private_memory(server), server.roles(), [0]
    good.start()

    def watch():
        while not good.stopping.is_set():
            peak[0] = max(peak[0], private_memory(server))
            time.sleep(0.2)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield good
        late = Agent(server, "late-" + os.urandom(4).hex(), sha256=SHA)
        assert late.register(server.make_token()).status == 201, "nobody can register any more"
        time.sleep(0.3)
    finally:
        good.stopping.set()
        good.join(30)
        watcher.join(5)
    print(f"limits: {os.environ.get('PYTEST_CURRENT_TEST', '').split('::')[-1]}: private memory {before >> 20} to at most "
          f"{peak[0] >> 20} MiB, {good.count} heartbeats meanwhile, the slowest {good.worst * 1000:.0f} ms")
    assert good.failure is None, repr(good.failure)
    assert good.count > 0 and good.worst < latency, f"a good agent waited {good.worst:.1f} s"
    assert storm.SANITIZED or peak[0] - before < memory, f"{before >> 20} MiB grew to {peak[0] >> 20} MiB"
    assert server.roles() == roles, "a role died"


@pytest.fixture(scope="module")
def strict():
    """Short deadlines, so that tests of them are short; one source may hold many connections."""
    s = Server(config="fronts: 2\nlimits:\n  header_seconds: 2\n  body_seconds: 2\n  idle_seconds: 5\n").start()
    set_policy(s)
    yield s
    s.stop()
    assert "role_died" not in s.read_log()
    s.destroy()


def metric_after(server, name, at_least, seconds=5):
    """Fronts report once a second."""
    end = time.monotonic() + seconds
    while True:
        v = server.metric(name)
        if v >= at_least or time.monotonic() > end:
            return v
        time.sleep(0.6)


# ---- floods of nonsense ----

CLIENT_HELLO = None


def client_hello():
    """The first flight of a real client."""
    global CLIENT_HELLO
    if not CLIENT_HELLO:
        ours, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context().wrap_bio(ours, out, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        CLIENT_HELLO = out.read()
    return CLIENT_HELLO


def test_garbage_connections(strict):
    """Random bytes, a ClientHello and then silence, half of one, nothing at all, plain HTTP; hundreds at once."""
    rng = random.Random(5)
    hello = client_hello()
    kinds = [lambda: rng.randbytes(rng.randrange(1, 3000)), lambda: hello, lambda: hello[:rng.randrange(1, len(hello))],
             lambda: b"", lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", lambda: b"\x16\x03\x01\xff\xff" + b"\0" * 2000,
             lambda: hello + rng.randbytes(500)]
    accepted = strict.metric("troth_connections_accepted_total")
    timeouts = strict.metric("troth_http_timeouts_total")
    with unharmed(strict):
        live = []
        for n in range(GARBAGE):
            s = socket.socket()
            s.setblocking(False)
            s.bind((f"127.0.4.{n % 200 + 1}", 0))
            s.connect_ex(("127.0.0.1", strict.agents if n % 8 else strict.operators))
            live.append((s, kinds[n % len(kinds)]()))
            if len(live) < 500:
                continue
            time.sleep(0.3)
            for s, data in live:
                with contextlib.suppress(OSError):
                    s.send(data)
            time.sleep(0.3)
            for s, _ in live[:250]:
                s.close()
            live = live[250:]
        time.sleep(0.5)
        for s, data in live:
            with contextlib.suppress(OSError):
                s.send(data)
        # Who only waits is closed by the deadline of the head.
        end = time.monotonic() + 8
        for s, _ in live:
            s.settimeout(max(0.01, end - time.monotonic()))
            try:
                while s.recv(65536):
                    pass
            except TimeoutError:
                raise AssertionError("a silent connection was kept beyond its deadline") from None
            except OSError:
                pass
            s.close()
    assert metric_after(strict, "troth_connections_accepted_total", accepted + GARBAGE * 0.9) >= accepted + GARBAGE * 0.9
    assert metric_after(strict, "troth_http_timeouts_total", timeouts + 1) > timeouts
    assert metric_after(strict, "troth_connections_open", 0) < 30


def test_garbage_inside_tls(strict):
    rng = random.Random(6)
    before = strict.metric("troth_http_refused_syntax_total")
    with unharmed(strict):
        for n in range(200 if LONG else 60):
            with contextlib.suppress(OSError):
                s = open_tls(strict.agents, f"127.0.5.{n % 200 + 1}")
                s.sendall(rng.randbytes(rng.randrange(1, 3000)) + b"\r\n\r\n")
                answer = read_all(s)
                assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]
                s.close()
        for n in range(20):
            s = open_tls(strict.agents, f"127.0.5.{n + 1}")
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert code_of(read_all(s)) == "request_malformed"
            s.close()
    assert metric_after(strict, "troth_http_refused_syntax_total", before + 20) >= before + 20


# ---- tricklers ----

@pytest.mark.parametrize("what", ["head", "body", "handshake"])
def test_tricklers_are_cut(strict, what):
    """One byte a second keeps no connection open beyond its deadline."""
    timeouts = strict.metric("troth_http_timeouts_total")
    count = 40

    def trickle(n, lived):
        began = time.monotonic()
        try:
            if what == "handshake":
                s = socket.create_connection(("127.0.0.1", strict.agents), source_address=(f"127.0.6.{n + 1}", 0))
                text = client_hello()
            else:
                s = open_tls(strict.agents, f"127.0.6.{n + 1}")
                text = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 100
            if what == "body":
                s.sendall(b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                          b"Content-Type: application/json\r\n\r\n")
                text = b" " * 1000
            s.settimeout(1)
            for i in range(len(text)):
                s.sendall(text[i:i + 1])
                try:
                    if not s.recv(4096):
                        break
                except TimeoutError:
                    pass
                if time.monotonic() - began > 20:
                    break
        except OSError:
            pass
        lived.append(time.monotonic() - began)

    lived = []
    with unharmed(strict):
        threads = [threading.Thread(target=trickle, args=(n, lived), daemon=True) for n in range(count)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
    assert len(lived) == count and max(lived) < 8, max(lived)
    assert metric_after(strict, "troth_http_timeouts_total", timeouts + count) >= timeouts + count


def test_idle_connection_is_closed(strict):
    s = open_tls(strict.agents)
    s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert s.recv(65536).startswith(b"HTTP/1.1 200")
    began = time.monotonic()
    assert read_all(s) is not None
    assert 3 < time.monotonic() - began < 12


# ---- giants ----

HEAD = b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_announced_giant_is_refused_before_it_is_sent(strict):
    s = open_tls(strict.agents)
    began = time.monotonic()
    s.sendall(HEAD + b"Content-Length: 1073741824\r\n\r\n")
    answer = read_all(s)
    assert time.monotonic() - began < 2
    assert answer.startswith(b"HTTP/1.1 413") and code_of(answer) == "body_too_large", answer


@pytest.mark.parametrize("path,length,status,code", [
    ("POST /api/v1/agents/register", b"18446744073709551616", b"413", "body_too_large"),
    ("POST /api/v1/agents/register", b"-1", b"400", "request_malformed"),
    ("POST /api/v1/agents/register", b"0x10", b"400", "request_malformed"),
    ("POST /api/v1/agents/register", b"147457", b"413", "body_too_large"),
    ("POST /agent/register", b"16385", b"413", "body_too_large"),
    ("GET /livez", b"5", b"400", "body_not_expected"),
    ("GET /nowhere", b"1073741824", b"404", "no_such_route"),
])
def test_lengths(strict, path, length, status, code):
    s = open_tls(strict.agents)
    s.sendall(path.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length + b"\r\n\r\n")
    answer = read_all(s)
    # libmicrohttpd itself answers some of them, without a body.
    assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert code_of(answer) in (code, None), answer


def test_streamed_giants_are_not_taken_in(strict):
    """1 GiB bodies that are really sent: the server reads next to nothing of them."""
    sent = []

    def stream(n):
        total = 0
        try:
            s = open_tls(strict.agents, f"127.0.7.{n + 1}")
            s.sendall(HEAD + (b"Content-Length: 1073741824\r\n\r\n" if n % 2 else b"Transfer-Encoding: chunked\r\n\r\n"))
            block = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            while total < 1 << 30:
                s.sendall(block)
                total += len(block)
        except OSError:
            pass
        sent.append(total)

    with unharmed(strict):
        threads = [threading.Thread(target=stream, args=(n,), daemon=True) for n in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
    assert len(sent) == 10 and max(sent) < 32 * MIB, sent


@pytest.mark.parametrize("what,statuses", [
    ("100 000 headers", (b"431", b"400")), ("one header of 10 MB", (b"431", b"400")), ("a path of 1 MB", (b"414", b"431")),
    ("a method of 1 MB", (b"414", b"400", b"431", b"501")), ("65 headers", (b"431",)), ("endless blank lines", (b"400", b"414")),
])
def test_huge_heads(strict, what, statuses):
    line = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
    data = {
        "100 000 headers": line + b"".join(b"X-%d: y\r\n" % i for i in range(100000)),
        "one header of 10 MB": line + b"X: " + b"y" * 10 * MIB,
        "a path of 1 MB": b"GET /" + b"a" * MIB + b" HTTP/1.1\r\nHost: x",
        "a method of 1 MB": b"G" * MIB + b" / HTTP/1.1\r\nHost: x",
        "65 headers": line + b"".join(b"X-%d: y\r\n" % i for i in range(64)),
        "endless blank lines": b"\r\n" * 500000,
    }[what] + b"\r\n\r\n"
    for port in (strict.agents, strict.operators):
        with unharmed(strict, memory=16 * MIB):
            s = open_tls(port)
            answer = b""
            try:
                s.sendall(data)
            except OSError:
                pass
            answer = read_all(s)
            assert answer == b"" or answer.split()[1] in statuses, answer[:300]
            if what == "65 headers":
                assert answer, "a small excess deserves an answer"


def test_pipelined_requests_are_answered_in_order(strict):
    s = open_tls(strict.agents)
    paths = ["/livez", "/version", "/nowhere", "/api/v1/challenge"] * 25
    s.sendall(b"".join(f"GET {p} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for p in paths[:-1]))
    s.sendall(f"GET {paths[-1]} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answers = re.findall(rb"HTTP/1\.1 (\d+) ", read_all(s))
    assert answers == [b"200", b"200", b"404", b"200"] * 25


def test_thousands_of_requests_on_one_connection(strict):
    conn = storm.From(strict.agents, "127.0.8.1", context(strict.ca))
    with unharmed(strict, memory=16 * MIB):
        for _ in range(5000 if LONG else 1000):
            conn.request("GET", "/nowhere")
            r = conn.getresponse()
            r.read()
            assert r.status == 404


# ---- limits by number ----

def get(port, path, source, tls):
    conn = storm.From(port, source, tls)
    try:
        conn.request("GET", path)
        r = conn.getresponse()
        return r.status, r.headers, r.read()
    finally:
        conn.close()


def test_rate_limit_says_when(strict):
    """/metrics: 120 a minute, 20 of them at once, per source address."""
    tls, before = context(), strict.metric("troth_http_rate_limited_total")
    got = [get(strict.operators, "/metrics", "127.0.9.1", tls) for _ in range(40)]
    refused = [g for g in got if g[0] == 429]
    assert 15 <= len(refused) <= 25 and all(g[0] == 200 for g in got if g not in refused)
    status, headers, body = refused[-1]
    assert 1 <= int(headers["Retry-After"]) <= 60
    assert code_of(body) == "rate_limited"
    assert get(strict.operators, "/metrics", "127.0.9.2", tls)[0] == 200, "another source has its own budget"
    assert metric_after(strict, "troth_http_rate_limited_total", before + len(refused)) == before + len(refused)
    time.sleep(int(headers["Retry-After"]) + 0.5)
    assert get(strict.operators, "/metrics", "127.0.9.1", tls)[0] == 200, "the promise of Retry-After holds"


def test_connections_per_source(make_server):
    """A source over its share loses its own youngest; others come in."""
    s = make_server(config="fronts: 1\nlimits:\n  connections_per_source: 20\n  agent_connections: 60\n").start()
    set_policy(s)
    with unharmed(s):
        crowd = []
        for _ in range(100):
            c = socket.create_connection(("127.0.0.1", s.agents), source_address=("127.0.10.1", 0))
            crowd.append(c)
        time.sleep(0.5)
        assert get(s.agents, "/livez", "127.0.10.2", context())[0] == 200
        time.sleep(1.2)
        open_now = s.metric("troth_connections_open")
        assert open_now <= 45, open_now
        # Many sources together reach the total: still somebody who talks gets in.
        for n in range(100):
            crowd.append(socket.create_connection(("127.0.0.1", s.agents), source_address=(f"127.0.11.{n + 1}", 0)))
        assert get(s.agents, "/livez", "127.0.10.3", context())[0] == 200
    for c in crowd:
        c.close()
    assert metric_after(s, "troth_connections_refused_total", 100) >= 100
    s.stop()


def test_flood_of_refused_registrations_does_not_fill_the_disk(make_server):
    """So many refusals are recorded per second; the rest is counted."""
    s = storm.original_server()
    try:
        s.start()
        body = storm.original_body(s.fleet_key, "flood", b"\1" * 32, timestamp=1)
        tls, done = context(s.ca), []

        def flood(n):
            conn = storm.From(s.agents, f"127.0.12.{n + 1}", tls)
            for _ in range(300):
                conn.request("POST", "/agent/register", body, {"Content-Type": "application/json"})
                r = conn.getresponse()
                r.read()
                done.append(r.status)

        threads = [threading.Thread(target=flood, args=(n,)) for n in range(4)]
        began = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        seconds = time.monotonic() - began
        assert set(done) == {401} and len(done) == 1200
        recorded = 1200 - s.metric("troth_unrecorded_refusals_total")
        assert 50 <= recorded <= 50 * (seconds + 2)
        assert s.metric('troth_refusals_total{reason="clock_desync"}') == 1200
    finally:
        s.destroy()


# ---- the disk ----

class Mounted:
    """A server whose state is on a small file system of its own."""

    def __init__(self, megabytes):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="troth-disk-"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "tmpfs", self.base], check=True)
        self.server = Server(folder=self.base)
        self.server.log_path = self.base.with_suffix(".log")

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.base], check=True)

    def done(self):
        self.server.kill()
        subprocess.run(["umount", "-l", self.base], check=True)
        self.base.rmdir()
        self.server.log_path.unlink(missing_ok=True)


@pytest.fixture
def mounted():
    try:
        m = Mounted(24)
    except (subprocess.CalledProcessError, OSError) as e:
        pytest.skip(f"cannot mount a file system here: {e}")
    yield m
    m.done()


def until(what, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.2)
    return False


def register_until_refused(server, token, prefix, most=3000):
    admitted = []
    for n in range(most):
        r = Agent(server, f"{prefix}-{n}", sha256=SHA).register(token)
        if r.status != 201:
            return admitted, r
        admitted.append(f"{prefix}-{n}")
    raise AssertionError("the disk does not get full")


def stored_agents(server):
    db = sqlite3.connect(server.dir / "troth.db")
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ids = {r[0] for r in db.execute("SELECT id FROM agents")}
    db.close()
    return ids


@ROOT_ONLY
def test_full_disk(mounted):
    ballast = mounted.base / "ballast"

    def fill():
        with ballast.open("wb", buffering=0) as f, contextlib.suppress(OSError):
            while f.write(b"\0" * 4096):
                pass

    s = mounted.server.start()
    set_policy(s)
    token = s.make_token(max_uses=5000)
    good = Agent(s, "good", sha256=SHA)
    assert good.register(token).status == 201
    roles = s.roles()
    with good.mtls() as conn:
        assert good.pulse(conn).status == 200
        fill()
        admitted, refusal = register_until_refused(s, token, "during")
        assert refusal.status == 503 and refusal.json()["code"] == "store_unavailable", refusal
        assert int(refusal.headers["retry-after"]) >= 1
        assert refusal.json()["detail"]
        ready = call(s.operators, "GET", "/readyz")
        assert ready.status == 503 and ready.json()["parts"]["store"] is False and ready.json()["store_problem"], ready
        assert s.metric("troth_store_ok") == 0
        # Who is admitted does not notice; who reads is served; who would change something is told.
        assert good.pulse(conn).status == 200
        assert s.api("GET", "/api/v1/agents/good").status == 200
        r = s.api("POST", "/api/v1/tokens", {"max_uses": 1})
        assert r.status == 503 and r.json()["code"] == "store_unavailable", r
        assert call(s.operators, "GET", "/livez").status == 200
        time.sleep(6)  # over a sweep
        assert good.pulse(conn).status == 200
        ballast.unlink()
        assert until(lambda: call(s.operators, "GET", "/readyz").status == 200), s.read_log()[-2000:]
        assert good.pulse(conn).status == 200
    again = Agent(s, "again", sha256=SHA)
    assert again.register(token).status == 201
    assert s.roles() == roles, "a role died of the disk"
    assert "store_not_writable" in s.read_log() or "commit_failed" in s.read_log()
    s.stop()
    assert stored_agents(s) == {"good", "again", *admitted}


@ROOT_ONLY
def test_start_on_a_read_only_disk_is_refused(mounted):
    s = mounted.server.start()
    s.stop()
    mounted.remount("ro")
    r = run(s)
    mounted.remount("rw")
    assert r.returncode == 1 and "event=ready" not in r.stderr, r.stderr
    assert re.search(r"read-only|readonly|Read-only", r.stderr), r.stderr


# ---- damaged files ----

def run(server, *args, env=None):
    return subprocess.run([program("trothd"), "run", "--config", str(server.config), *args], capture_output=True,
                          text=True, timeout=30, env=dict(os.environ, **(env or {})))


CONFIGS = [
    ("unknown key", "nonsense: true\n", 1, "Unexpected key: nonsense"),
    ("unknown member", "limits:\n  header_second: 5\n", 2, "Unexpected key: header_second"),
    ("tab", "\tfronts: 2\n", 1, "libyaml"),
    ("no colon", "fronts\n", 1, "libyaml"),
    ("open quote", "log_level: \"info\n", 1, "libyaml"),
    ("not UTF-8", b"\xff\xfe\0\n", 1, "UTF-8"),
    ("word for number", "fronts: two\n", 1, "two"),
    # libcyaml 1.4 of Debian 13 shows the number as it reads it.
    ("negative number", "fronts: -1\n", 1, "Invalid UINT value"),
    ("number for mapping", "limits: 5\n", 1, "MAPPING"),
    ("list for text", "log_level: [a]\n", 1, "SEQUENCE"),
    ("out of range", "limits:\n  idle_seconds: 60\n  header_seconds: 500\n", 3, "allowed 1 to 300"),
    ("unknown mode", "attestation:\n  mode: strict\n", 2, "off, audit or enforce"),
    ("unknown form", "attestation:\n  accept: [natve]\n", 2, "native, original or both"),
    ("unknown tier", "attestation:\n  min_tier: gold\n", 2, "none, self-asserted, kernel or hardware"),
    ("short hash", "attestation:\n  mode: audit\n  expected_hash: sha256:abc\n", 3, "64 lower-case hex digits"),
    ("unknown level", "log_level: loud\n", 1, "error, warn, info or debug"),
    ("other store", "store: postgres://x\n", 1, "sqlite:"),
]


@pytest.fixture(scope="module")
def resting():
    """An installation that nobody runs."""
    s = Server()
    yield s
    s.destroy()


@pytest.mark.parametrize("label,text,line,says", CONFIGS, ids=[c[0] for c in CONFIGS])
def test_wrong_configuration_is_named_with_its_line(resting, label, text, line, says):
    good = resting.config.read_bytes()
    try:
        resting.config.write_bytes(good + (text if isinstance(text, bytes) else text.encode()))
        at = good.count(b"\n") + line
        for command in ("check-config", "run"):
            r = subprocess.run([program("trothd"), command, "--config", str(resting.config)], capture_output=True,
                               text=True, timeout=20)
            assert r.returncode == 1, r
            assert f"{resting.config}, line {at}:" in r.stderr, r.stderr
            assert says in r.stderr, r.stderr
    finally:
        resting.config.write_bytes(good)


@pytest.mark.parametrize("content", [b"", b"[]\n", b"---\n---\n", os.urandom(2000), b"trust_domain: UPPER\n",
                                     b"a: &a [*a]\n"], ids=["empty", "list", "documents", "noise", "domain", "alias"])
def test_wrong_file_is_refused(resting, content):
    good = resting.config.read_bytes()
    try:
        resting.config.write_bytes(content)
        r = run(resting)
        assert r.returncode == 1 and r.stderr.startswith("trothd: ") and str(resting.config) in r.stderr, r
    finally:
        resting.config.write_bytes(good)


@pytest.mark.parametrize("env,says", [({"ATTESTATION_ENABLED": "maybe"}, "ATTESTATION_ENABLED"),
                                      ({"ATTESTATION_EXPECTED_HASH": "abc"}, "64 lower-case hex digits"),
                                      ({"ATTESTATION_PUBLIC_KEY_PATH": "/nonexistent"}, "/nonexistent")])
def test_wrong_environment_is_refused(resting, env, says):
    r = run(resting, env=env)
    assert r.returncode == 1 and says in r.stderr, r


@pytest.mark.parametrize("name", ["keys/ca.key", "keys/ca.crt", "tls/server.key", "tls/server.crt", "tls/ticket.key",
                                  "keyset.cose", "root.pin"])
@pytest.mark.parametrize("damage", ["missing", "noise"])
def test_missing_or_damaged_state_is_refused(resting, name, damage):
    path = resting.dir / name
    good = path.read_bytes()
    try:
        if damage == "missing":
            path.rename(str(path) + ".away")
        else:
            with path.open("r+b") as f:
                f.write(bytes(b ^ 0x55 for b in good))
        if (name, damage) == ("tls/ticket.key", "noise"):
            return  # any 64 bytes are a ticket key
        r = run(resting)
        assert r.returncode == 1, r
        assert "event=ready" not in r.stderr
        assert pathlib.Path(name).name in r.stderr or "certificate" in r.stderr or "key" in r.stderr, r.stderr
    finally:
        if damage == "missing":
            pathlib.Path(str(path) + ".away").rename(path)
        else:
            with path.open("r+b") as f:
                f.write(good)


def damage_header(path):
    with path.open("r+b") as f:
        f.write(os.urandom(100))


def damage_pages(path):
    with path.open("r+b") as f:
        f.seek(4096)
        f.write(os.urandom(path.stat().st_size - 4096))


@pytest.mark.parametrize("damage,says", [
    (damage_header, "not a database"), (damage_pages, "malformed|corrupt|not a database"),
    (lambda p: open(p, "r+b").truncate(0), "troth|store|database"),
    (lambda p: p.unlink(), "does not exist"),
    (lambda p: open(p, "r+b").truncate(p.stat().st_size // 2), "malformed|corrupt"),
], ids=["header", "pages", "empty", "missing", "half"])
def test_damaged_database_is_refused(make_server, damage, says):
    s = make_server().start()
    set_policy(s)
    token = s.make_token(max_uses=50)
    for n in range(20):
        assert Agent(s, f"a{n}", sha256=SHA).register(token).status == 201
    s.stop()
    damage(s.dir / "troth.db")
    for side in ("troth.db-wal", "troth.db-shm"):
        (s.dir / side).unlink(missing_ok=True)
    r = run(s)
    assert r.returncode == 1, r.stderr[-2000:]
    assert "event=ready" not in r.stderr and re.search(says, r.stderr), r.stderr[-2000:]
    assert r.stderr.splitlines()[-2].startswith("trothd: "), "the last word is a sentence"


# ---- idle connections ----

@pytest.fixture
def wide():
    s = Server(config="limits: {connections_per_source: 2000}\n").start()
    yield s
    s.destroy()


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(("Private_Dirty", "Private_Clean")))


def test_an_idle_connection_gives_back_the_room_for_large_headers(wide):
    """There is room for a quote in a header (16 KiB a connection); who has nothing to say does not occupy it."""
    fronts = [pid for pid, role in wide.roles().items() if role.startswith("front")]
    open_all = [Connection(wide.agents) for _ in range(20)]
    for c in open_all:
        assert c.request("GET", "/api/v1/challenge").status == 200
    before, n = sum(map(private_kib, fronts)), 200
    open_all += [Connection(wide.agents) for _ in range(n)]
    for c in open_all:
        assert c.request("GET", "/api/v1/challenge", headers={"X-Attestation-Quote": "A" * 9000}).status == 200
    end = time.monotonic() + (0 if storm.SANITIZED else 10)
    while (each := (sum(map(private_kib, fronts)) - before) / n) > 19 and time.monotonic() < end:
        time.sleep(0.2)
    assert storm.SANITIZED or each <= 19, f"{each:.1f} KiB"
    assert open_all[-1].request("GET", "/api/v1/challenge", headers={"X-Attestation-Quote": "A" * 9000}).status == 200
    for c in open_all:
        c.close()
