# SPDX-License-Identifier: Apache-2.0
"""The program troth-agent in bad company: files that change under it, a server that dies, a man in the middle."""

import base64
import hashlib
import http.client
import http.server
import json
import pathlib
import shutil
import signal
import ssl
import threading
import time

import cbor2
import pytest
from cryptography import x509

import client
from client import make_key, read_cbor, release
from harness import AgentProgram, context, program
from world import World, name

OK, REFUSED, WRONG_SERVER = 0, 2, 5


class Machine(AgentProgram):
    """A folder with a copy of the agent's binary, its release statement, and its state."""

    def __init__(self, world, folder):
        super().__init__(folder / "state", shutil.copy(program("troth-agent"), folder / "troth-agent"))
        self.world, self.id = world, name("host")
        data = self.binary.read_bytes()
        self.sha256 = hashlib.sha256(data).digest()
        statement = release(world.release_key, self.sha256, size=len(data))
        pathlib.Path(f"{self.binary}.release").write_bytes(statement)
        assert self.do("init", "--id", self.id).returncode == OK

    def enroll(self, port=None, token=None, **kw):
        return self.do("enroll", "--server", f"https://localhost:{port or self.world.server.agents}", "--save-request",
                       str(self.state.parent / "body"), TROTH_TOKEN=token or self.world.token, **kw)

    def claim(self):
        """What was sent, read and verified by the documentation alone."""
        body = json.loads((self.state.parent / "body").read_text())
        assert set(body) == {"csr", "claim"}
        request = x509.load_der_x509_csr(base64.b64decode(body["csr"], validate=True))
        assert request.is_signature_valid
        tag = cbor2.loads(base64.b64decode(body["claim"], validate=True))
        protected, unprotected, payload, signature = tag.value
        head = read_cbor(protected)
        assert tag.tag == 18 and unprotected == {} and set(head) == {1, 4}
        client.verify(request.public_key(), head[1], signature,
                      cbor2.dumps(["Signature1", protected, client.CLAIM, payload]))
        p = read_cbor(payload)
        assert p[8] == {3: client.key_id(request.public_key())} and head[4] == p[8][3][:16]
        return p

    def wait_beats(self, n, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            row = self.world.agent(self.id)
            if row["heartbeats"] >= n:
                return row
            time.sleep(0.1)
        raise AssertionError(f"{row['heartbeats']} of {n} heartbeats:\n{self.log()}")


@pytest.fixture(scope="module")
def world(make_module_server):
    return World(make_module_server(config="heartbeat_seconds: 1\n").start())


@pytest.fixture
def machine(world, tmp_path):
    made = []

    def make():
        folder = tmp_path / f"m{len(made)}"
        folder.mkdir()
        made.append(Machine(world, folder))
        return made[-1]

    yield make
    for m in made:
        m.kill()


@pytest.mark.parametrize("kind", ("ed25519", "p256", "rsa"))
def test_the_claim_is_as_documented(world, machine, kind):
    m = machine()
    shutil.rmtree(m.state)
    assert m.do("init", "--id", m.id, "--key-type", kind).returncode == OK
    r = m.enroll()
    assert r.returncode == OK, r.stderr
    p = m.claim()
    assert set(p) == {6, 8, 10, 265, 270, 271, -65537, -65538, -65539, -65540, -65541}, p
    assert p[-65538] == m.id and p[-65539] == m.sha256 and p[270] == "troth-agent" and p[271] == ["1.2.3"]
    assert abs(p[6] - time.time()) < 10
    assert p[-65541] == pathlib.Path(f"{m.binary}.release").read_bytes()
    assert world.agent(m.id)["key_type"].lower().replace("-", "").startswith(kind[:3])


def test_enrolling_from_a_deleted_binary(world, machine):
    """BA-3: the image that runs is hashed, and the missing file is told with an all-zero hash."""
    m = machine()
    path = str(m.binary)
    with m.binary.open("rb") as f:
        m.binary.unlink()
        r = m.enroll(fd=f.fileno())
    assert r.returncode == OK, r.stderr
    assert "not there any more" in r.stderr
    p = m.claim()
    assert p[-65539] == m.sha256 and p[-65542] == [path, bytes(32)]


def test_enrolling_from_a_replaced_binary(world, machine):
    """BA-3: another file has the path now. Its hash is told too; the running one decides."""
    m = machine()
    other = m.binary.with_name("new")
    other.write_bytes(m.binary.read_bytes() + b"\0")
    other.chmod(0o755)
    with m.binary.open("rb") as f:
        other.rename(m.binary)
        r = m.enroll(fd=f.fileno())
    assert r.returncode == OK, r.stderr
    assert "is not the binary that runs" in r.stderr
    p = m.claim()
    assert p[-65539] == m.sha256
    assert p[-65542] == [str(m.binary), hashlib.sha256(m.binary.read_bytes()).digest()]
    # Started from the path, it is the other one that runs, and nothing vouches for that.
    shutil.rmtree(m.state)
    assert m.do("init", "--id", m.id + "-2").returncode == OK
    r = m.enroll()
    assert r.returncode == REFUSED and "hash_not_allowed" in r.stderr
    assert world.agent(m.id + "-2") is None


def test_the_file_changes_while_the_agent_runs(world, machine):
    """BA-3: replaced, then deleted: the heartbeats go on naming what runs; the next start names what is there."""
    m = machine()
    assert m.enroll().returncode == OK
    m.start().wait_beats(1)
    other = m.binary.with_name("new")
    other.write_bytes(m.binary.read_bytes() + b"\0")
    other.chmod(0o755)
    other.rename(m.binary)
    n = m.wait_beats(1)["heartbeats"]
    m.process.send_signal(signal.SIGHUP)
    row = m.wait_beats(n + 2)
    assert row["running_hash"] == m.sha256.hex() and row["binary_unchanged"] is True
    assert m.stop() == OK
    row = m.start().wait_beats(m.wait_beats(1)["heartbeats"] + 1)
    assert row["running_hash"] == hashlib.sha256(m.binary.read_bytes()).hexdigest() and row["binary_unchanged"] is False
    assert [a["action"] for a in world.server.audit(match=m.id)].count("agent.binary_changed") == 1


def test_the_server_dies_and_returns(make_server, tmp_path):
    """kill -9 under a running agent: it comes back by itself, keeps its identity, and no count goes backwards."""
    w = World(make_server(config="heartbeat_seconds: 1\n").start())
    m = Machine(w, tmp_path)
    try:
        assert m.enroll().returncode == OK
        serial = w.agent(m.id)["cert_serial"]
        m.start().wait_beats(2)
        time.sleep(5.5)  # counts reach the disk every five seconds
        w.server.kill()
        time.sleep(1.5)
        w.server.start()
        seen = w.agent(m.id)["heartbeats"]
        assert seen >= 1
        row = m.wait_beats(seen + 2)
        assert row["cert_serial"] == serial and row["reachability"] == "live"
        assert m.process.poll() is None
        assert m.stop() == OK
    finally:
        m.kill()


# ---- in the middle ----

class Middle:
    """Speaks TLS with a certificate of the test's choice, keeps what it hears, and passes on what it is told to."""

    def __init__(self, cert, key, answer):
        heard = self.heard = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                heard.append((self.command, self.path, dict(self.headers), body))
                status, kind, out = answer(self.command, self.path, self.headers, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            do_GET = do_POST = handle_any

            def log_message(self, *a):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *a):
                pass  # an agent that does not like the certificate hangs up

        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.minimum_version = ssl.TLSVersion.TLSv1_3
        ctx.load_cert_chain(str(cert), str(key))
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = ctx.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.server.shutdown()
        self.server.server_close()


def pass_on(world, only=None):
    def answer(method, path, headers, body):
        if only and path not in only:
            return 404, "text/plain", b""
        conn = http.client.HTTPSConnection("127.0.0.1", world.server.agents, context=context(world.server.ca))
        try:
            keep = {k: v for k, v in headers.items() if k in ("Authorization", "Content-Type")}
            conn.request(method, path, body=body or None, headers=keep)
            r = conn.getresponse()
            return r.status, r.headers["Content-Type"], r.read()
        finally:
            conn.close()
    return answer


def test_a_borrowed_keyset_with_another_certificate(world, machine, tmp_path):
    """The keyset is public: who repeats it and has no certificate by its CA gets no token and no claim; exit 5."""
    key = make_key("p256")
    now = time.time()
    cert = tmp_path / "server.crt"
    ca = world.server.ca.read_bytes()
    cert.write_bytes(client.issue(key, ca, key, "spiffe://e2e.example/server", now - 60, now + 3600, cn="localhost"))
    (tmp_path / "server.key").write_bytes(client.private_pem(key))
    m = machine()
    with Middle(cert, tmp_path / "server.key", pass_on(world)) as middle:
        r = m.enroll(middle.port)
    assert r.returncode == WRONG_SERVER, r.stderr
    assert [(h[0], h[1]) for h in middle.heard] == [("GET", f"/api/v1/keyset/chain?after={n}") for n in (0, 1)]
    assert world.token not in repr(middle.heard) and not (m.state / "cert.pem").exists()
    assert world.agent(m.id) is None


def test_an_altered_keyset(world, machine):
    """One flipped bit of the keyset, anywhere: nothing is sent. The middle even has the right certificate here."""
    good = pass_on(world)("GET", "/api/v1/keyset", {}, b"")[2]
    tls = world.server.dir / "tls"
    m = machine()
    for i in range(0, len(good), len(good) // 23):
        bad = bytearray(good)
        bad[i] ^= 1 << i % 8
        with Middle(tls / "server.crt", tls / "server.key",
                    lambda *a: (200, "application/cbor", cbor2.dumps([bytes(bad)]))) as middle:
            r = m.enroll(middle.port)
        assert r.returncode in (WRONG_SERVER, 3), (i, r.stderr)
        assert {(h[0], h[1].split("=")[0]) for h in middle.heard} <= {("GET", "/api/v1/keyset/chain?after")}
    assert world.agent(m.id) is None


def test_a_terminating_proxy(world, machine):
    """With the server's own key in hand one can read along, and still not register the agent: the claim is bound."""
    tls = world.server.dir / "tls"
    m = machine()
    with Middle(tls / "server.crt", tls / "server.key", pass_on(world)) as middle:
        r = m.enroll(middle.port)
    assert r.returncode == REFUSED and "channel_mismatch" in r.stderr and "proxy" in r.stderr, r.stderr
    assert len(middle.heard) == 4  # the chain and its end, a challenge, the claim
    assert world.server.attestations(limit=1)[0]["reason"] == "channel_mismatch"
    assert world.agent(m.id) is None and not (m.state / "cert.pem").exists()
