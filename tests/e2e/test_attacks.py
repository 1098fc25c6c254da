# SPDX-License-Identifier: Apache-2.0
"""What an attacker tried, each against a real server: races with what an operator takes back, floods of records."""

import contextlib
import http.server
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives import serialization as ser

from client import b64, issue, key_id, now_ms, private_pem, release
from harness import call, context, program
from world import World


@pytest.fixture
def world(make_server):
    w = World(make_server(config="").start())
    yield w
    w.server.stop()


@contextlib.contextmanager
def stopped(server, role):
    """The role does nothing for a while; what is asked of it waits."""
    pids = [pid for pid, name in server.roles().items() if name == role]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class Later(threading.Thread):
    """A call whose answer is asked for later."""

    def __init__(self, fn, *a, **kw):
        super().__init__(daemon=True)
        self.fn, self.answer = lambda: fn(*a, **kw), None
        self.start()
        time.sleep(0.3)  # it is with the role that waits

    def run(self):
        self.answer = self.fn()

    def get(self):
        self.join(20)
        assert self.answer is not None
        return self.answer


class Impostor:
    """An HTTPS server with another's certificate: it relays the public keyset and keeps what it hears."""

    def __init__(self, server, cert_pem, key, folder):
        (folder / "impostor.pem").write_bytes(cert_pem + private_pem(key))
        self.keyset = call(server.agents, "GET", "/api/v1/keyset").body
        self.heard, impostor = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                impostor.heard.append((self.command, self.path, self.headers.get("Authorization")))
                found = self.path == "/api/v1/keyset"
                body = impostor.keyset if found else b"{}"
                self.send_response(200)
                self.send_header("Content-Type", "application/cose" if found else "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *a):
                pass

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder / "impostor.pem")
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


# ---- one agent of the fleet in the place of the server ----

@pytest.mark.parametrize("common_name", [None, "localhost"])
def test_an_agent_named_like_the_server_is_not_the_server(world, tmp_path, common_name):
    """Its certificate is of the same CA, and some clients compare the common name when there is no host name. Ours
    must not, even when the name is the host's."""
    a = world.enrol(node_id="localhost")
    if common_name:
        key = ser.load_pem_private_key((world.server.dir / "keys" / "ca.key").read_bytes(), None)
        a.certificate = issue(key, world.server.ca.read_bytes(), a.key, "spiffe://e2e.example/agent/localhost",
                              time.time() - 60, time.time() + 3600, cn=common_name)
    impostor = Impostor(world.server, a.certificate, a.key, tmp_path)
    url = f"https://localhost:{impostor.port}"
    (tmp_path / "token").write_text(world.server.token)
    (tmp_path / "token").chmod(0o600)
    env = dict(os.environ, XDG_CONFIG_HOME=str(tmp_path), HOME=str(tmp_path))
    try:
        for command in (
            [program("troth"), "login", url, "--token-file", str(tmp_path / "token"), "--root", world.server.pin],
            [program("troth-agent"), "enroll", "--state", str(tmp_path / "agent"), "--server", url, "--token", world.token],
        ):
            if "enroll" in command:
                subprocess.run([command[0], "init", *command[2:4]], env=env, check=True, capture_output=True, timeout=60)
            got = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
            assert got.returncode != 0, got
            assert impostor.heard, got
        assert not [h for h in impostor.heard if h[2]], "a token was told to the impostor"
        if shutil.which("curl") and not common_name:
            got = subprocess.run(["curl", "-s", "--cacert", str(world.server.ca), f"{url}/"], capture_output=True, timeout=60)
            assert got.returncode in (51, 60), got
    finally:
        impostor.close()


# ---- an operator takes back what a registration under way rests on ----

def test_a_registration_under_way_does_not_bring_a_revoked_agent_back(world):
    for how in ("revoke", "remove"):
        a = world.enrol()
        with stopped(world.server, "keys"):
            again = Later(a.register, world.token)
            r = world.server.api("POST", f"/api/v1/agents/{a.node_id}/revoke", {}) if how == "revoke" else \
                world.server.api("DELETE", f"/api/v1/agents/{a.node_id}")
            assert r.status == 200, r
        r = again.get()
        assert (r.status, r.json()["code"]) == (403, "agent_revoked"), r
        assert world.agent(a.node_id)["state"] == how + "d"
        with a.mtls() as c:
            assert a.pulse(c).status == 403


def test_nor_when_the_revocation_is_still_on_its_way_to_the_disk(world):
    a = world.enrol()
    with stopped(world.server, "store"):
        with stopped(world.server, "keys"):
            again = Later(a.register, world.token)
            end = Later(world.server.api, "POST", f"/api/v1/agents/{a.node_id}/revoke", {})
        time.sleep(0.3)
    assert end.get().status == 200
    assert (again.get().status, world.agent(a.node_id)["state"]) == (403, "revoked")


@pytest.mark.parametrize("durable", [True, False])
def test_a_registration_under_way_does_not_bring_a_revoked_token_back(world, durable):
    made = world.server.api("POST", "/api/v1/tokens", {"max_uses": 10}).json()
    token, ident = made["token"], made["record"]["id"]
    a = world.good()
    with stopped(world.server, "store") if not durable else contextlib.nullcontext():
        with stopped(world.server, "keys"):
            first = Later(a.register, token)
            end = Later(world.server.api, "DELETE", f"/api/v1/tokens/{ident}")
        time.sleep(0.3)
    r = first.get()
    assert end.get().status == 200
    assert world.token_row(token)["state"] == "revoked"
    assert (r.status, r.json()["code"]) == (401, "token_invalid"), r
    assert world.agent(a.node_id) is None


def test_a_registration_under_way_does_not_outlive_its_release_key(world):
    a = world.good()
    with stopped(world.server, "keys"):
        first = Later(a.register, world.token)
        world.end_key("revoke", key_id(world.release_key).hex())
    r = first.get()
    assert (r.status, r.json()["code"]) == (401, "key_revoked"), r
    assert world.agent(a.node_id) is None


def test_a_revoked_token_lets_nobody_back_in(world):
    made = world.server.api("POST", "/api/v1/tokens", {"max_uses": 1}).json()
    a = world.good()
    assert a.register(made["token"]).status == 201
    assert a.register(made["token"]).status == 201, "used up, but by this very agent"
    assert world.server.api("DELETE", f"/api/v1/tokens/{made['record']['id']}").status == 200
    r = a.register(made["token"])
    assert (r.status, r.json()["code"]) == (401, "token_invalid"), r


# ---- being busy is no shelter ----

def test_an_agent_that_keeps_itself_busy_is_revoked(world):
    a = world.enrol()
    with a.mtls() as c:
        with stopped(world.server, "store"):
            renewal = Later(a.renew, c)
            end = Later(world.server.api, "POST", f"/api/v1/agents/{a.node_id}/revoke", {})
            with a.mtls() as other:
                assert a.pulse(other).status == 403, "from the moment the operator's call was made"
        renewal.get()
    r = end.get()
    assert (r.status, r.json()["state"]) == (200, "revoked"), r
    assert world.agent(a.node_id)["state"] == "revoked"


def test_a_key_in_use_is_revoked(world):
    kid = key_id(world.release_key).hex()
    a = world.good()
    with stopped(world.server, "store"):
        first = Later(a.register, world.token)
        end = Later(world.server.api, "POST", f"/api/v1/verification-keys/{kid}/revoke", {})
    assert end.get().status == 200
    first.get()
    assert world.key(kid)["state"] == "revoked"


# ---- many addresses, one source ----

@pytest.fixture
def network():
    """An IPv6 network of our own, all of whose addresses are this machine's."""
    net = "fd00:7072:6f74:68::"
    route = ["ip", "-6", "route", "add", "local", f"{net}/64", "dev", "lo"]
    if not shutil.which("ip") or subprocess.run(route, capture_output=True).returncode:
        pytest.skip("no right to add a route")
    yield net
    route[3] = "del"
    subprocess.run(route, check=True)


def test_a_network_is_one_source(make_server, network):
    """Whoever has a /64 does not have 2^64 times the limits."""
    s = make_server(config="fronts: 1\nlimits:\n  connections_per_source: 20\n")
    s.config.write_text(s.config.read_text().replace(f'"127.0.0.1:{s.agents}"', f'"*:{s.agents}"'))
    s.start()
    crowd = []
    for n in range(60):
        c = socket.socket(socket.AF_INET6)
        c.setsockopt(socket.IPPROTO_IPV6, 78, 1)  # IPV6_FREEBIND
        c.bind((f"{network}{n + 2:x}", 0))
        c.connect((f"{network}1", s.agents))
        crowd.append(c)
    time.sleep(1.5)
    assert s.metric("troth_connections_refused_total") >= 35
    for c in crowd:
        c.close()
    s.stop()


# ---- what is recorded ----

def test_large_refusals_do_not_hide_a_list(world):
    """A stranger's bodies, as large as the route takes: every row is listed, and none keeps all of it."""
    body = b'{"csr":"' + b"A" * (16384 - 10) + b'"}'
    tls = context(world.server.ca)
    for n in range(60):
        if n == 30:
            time.sleep(1.1)  # so many are recorded per second
        r = call(world.server.agents, "POST", "/agent/register", body, {"Content-Type": "application/json"}, tls)
        assert r.status == 400
    assert len(world.server.attestations(limit=50)) == 50
    assert len(world.server.attestations(limit=100)) == 60
    seq = world.server.attestations(limit=1)[0]["seq"]
    one = world.server.api("GET", f"/api/v1/attestations/{seq}").json()
    assert len(one["evidence"]) <= 4096
    # Whoever holds a token is not anonymous: its evidence is kept whole.
    r = call(world.server.agents, "POST", "/agent/register", body,
             {"Content-Type": "application/json", "Authorization": f"Bearer {world.token}"}, tls)
    assert r.status == 400
    seq = world.server.attestations(limit=1)[0]["seq"]
    assert len(world.server.api("GET", f"/api/v1/attestations/{seq}").json()["evidence"]) > 16384


def test_an_agent_that_changes_its_hash_all_the_time_does_not_fill_the_record(world):
    a = world.enrol()
    with a.mtls() as c:
        for _ in range(90):
            assert a.pulse(c, binary_hash=os.urandom(32)).status == 200
    rows = [r for r in world.server.audit(limit=500) if r["action"] == "agent.binary_changed"]
    assert 1 <= len(rows) <= 20
    assert world.server.metric("troth_binary_changes_total") == 90
    assert world.server.metric("troth_events_unrecorded_total") >= 70
    assert world.agent(a.node_id)["binary_unchanged"] is False


def test_a_flood_of_bad_pulses_ends_in_front(world):
    """Each is refused by name; beyond 50 a second and front, nobody but front hears of them one by one."""
    agents = [world.enrol() for _ in range(4)]
    before = world.server.metrics()
    began, sent = time.monotonic(), 0
    for a in agents:
        for _ in range(3):
            with a.mtls() as c:
                bad = bytearray(a.build_pulse(c))
                bad[-1] ^= 1
                for _ in range(90):
                    r = a.send_pulse(c, bytes(bad))
                    assert (r.status, r.json()["code"]) == (403, "bad_signature"), r
                    sent += 1
    seconds = time.monotonic() - began
    time.sleep(1.2)  # fronts report once a second
    after = world.server.metrics()
    told, flood = (after[f'troth_pulses_refused_total{{reason="{r}"}}'] -
                   before.get(f'troth_pulses_refused_total{{reason="{r}"}}', 0) for r in ("bad_signature", "flood"))
    fronts = sum(1 for role in world.server.roles().values() if role == "front")
    assert told + flood == sent and told <= 50 * fronts * (seconds + 2), (told, flood, sent, seconds)
    assert flood > 0 or seconds > 5, (told, flood, seconds)
    rows = world.server.api("GET", "/api/v1/events?kind=bad_signature&limit=500").json()["events"]
    assert 1 <= len(rows) <= 10 * (seconds / 60 + 2), len(rows)
    assert len(world.server.api("GET", "/api/v1/alerts").json()["alerts"]) >= 1
    for a in agents:
        assert world.agent(a.node_id)["reachability"] == "never"
        with a.mtls() as c:
            assert a.pulse(c).status == 200


def test_too_many_pulses_on_one_connection(world):
    a = world.enrol()
    with a.mtls() as c:
        got = [a.pulse(c) for _ in range(150)]
    late = [r for r in got if r.status == 429]
    assert late and got.index(late[0]) >= 99, "a hundred at once are fine"
    assert late[0].json()["code"] == "rate_limited" and late[0].headers["retry-after"] == "1"
    with a.mtls() as c:
        assert a.pulse(c).status == 200


def test_an_agent_that_renews_all_the_time_does_not_fill_the_record(world):
    a, other = world.enrol(), world.enrol()
    got = []
    with a.mtls() as c:
        for _ in range(100):
            r = a.renew(c)
            got.append(r.status)
            assert r.status == 200 or (r.json()["code"], r.headers["retry-after"]) == ("rate_limited", "2"), r
        assert a.pulse(c).status == 200
    assert 29 <= got.count(200) <= 40 and got[:29] == [200] * 29
    assert a.register(world.token).status == 429
    with other.mtls() as c:
        assert other.renew(c).status == 200


# ---- what an operator published and took back ----

def test_a_withdrawn_release_admits_nobody(world):
    """Also not by its own statement, enclosed in the claim."""
    a = world.good()
    r = world.server.api("POST", "/api/v1/releases", {"statement": b64(a.statement)})
    assert r.status == 201, r
    r = world.server.api("DELETE", f"/api/v1/releases/{a.sha256.hex()}")
    assert r.status == 200, r
    world.is_refused(a.register(world.token), "hash_not_allowed", a.node_id)


def test_a_retired_key_publishes_nothing_new(world):
    kid = key_id(world.release_key).hex()
    a = world.good()
    world.end_key("retire", kid, force=True)
    late = release(world.release_key, a.sha256, issued=now_ms() + 1000)
    r = world.server.api("POST", "/api/v1/releases", {"statement": b64(late)})
    assert (r.status, r.json()["code"]) == (403, "key_revoked"), r
