# SPDX-License-Identifier: Apache-2.0
"""The CA's key and the command key in a token (SoftHSM), from `trothd init` to an obeyed command."""

import base64
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from client import Agent
from commanded import Authority, Obedient, Orders
from harness import ROOT, call, program
from waiting import until
from world import name

PIN = "4711-troth"
CONFIG = "clock:\n  source: trusted\nattestation:\n  mode: audit\n"
BOTH = ["--pkcs11-ca", "pkcs11:token=troth;object=ca", "--pkcs11-command", "pkcs11:token=troth;object=cmd"]
KINDS = {"ed25519": ed25519.Ed25519PublicKey, "p256": ec.EllipticCurvePublicKey}


def role_ids():
    """Whom the roles become."""
    if os.geteuid() != 0:
        return os.getuid(), os.getgid()
    try:
        who = pwd.getpwnam("troth")
        return who.pw_uid, who.pw_gid
    except KeyError:
        return 65534, 65534


class Token:
    """A folder with a token `troth`, owned by whoever the roles become."""

    def __init__(self, folder, *keys):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.conf = self.folder / "softhsm2.conf"
        self.store = self.folder / "tokens"
        self.store.mkdir()
        self.conf.write_text(f"directories.tokendir = {self.store}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.pin = self.folder / "pin"
        self.pin.write_text(PIN + "\n")
        self.pin.chmod(0o600)
        r = subprocess.run([program("p11_make"), "troth", PIN, *keys], env=dict(os.environ, SOFTHSM2_CONF=str(self.conf)),
                           capture_output=True, text=True)
        if r.returncode == 77:
            pytest.skip("SoftHSM (Debian: softhsm2) is not installed")
        assert r.returncode == 0, r.stderr
        self.module = r.stdout.strip()
        for path in [self.folder, *self.folder.rglob("*")]:
            os.chown(path, *role_ids())

    def options(self, *uris):
        return ["--pkcs11-module", self.module, "--pkcs11-pin-file", str(self.pin), "--pkcs11-folder", str(self.folder),
                "--pkcs11-env", f"SOFTHSM2_CONF={self.conf}", *uris]

    def away(self):
        self.store.rename(self.folder / "away")

    def back(self):
        (self.folder / "away").rename(self.store)


@pytest.fixture(autouse=True, scope="module")
def sanitizers():
    """SoftHSM loses memory; only sanitizers read this."""
    with pytest.MonkeyPatch.context() as m:
        m.setenv("LSAN_OPTIONS", f"suppressions={ROOT}/tests/p11/lsan.supp:print_suppressions=0")
        m.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "abort_on_error=1") + ":fast_unwind_on_malloc=0")
        yield


@pytest.fixture
def folder():
    """Where the roles' user can get to."""
    base = pathlib.Path(tempfile.mkdtemp(prefix="troth-p11-"))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base, ignore_errors=True)


def ready(server):
    return call(server.operators, "GET", "/readyz").json()


def is_there(server):
    while "parts" not in (r := ready(server)):
        time.sleep(0.5)  # asked too often
    return r["parts"]["token"]


def keys_pid(server):
    return {role: pid for pid, role in server.roles().items()}["keys"]


def assert_issued(leaf_pem, server):
    leaf, ca = x509.load_pem_x509_certificate(leaf_pem), x509.load_pem_x509_certificate(server.ca.read_bytes())
    assert leaf.issuer == ca.subject
    how = [] if isinstance(ca.public_key(), ed25519.Ed25519PublicKey) else [ec.ECDSA(leaf.signature_hash_algorithm)]
    ca.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes, *how)


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_ca_and_command_key_in_a_token(make_server, folder, kind):
    token = Token(folder / "token", "ca", kind, "cmd", kind)
    server = make_server(config=CONFIG, init=token.options(*BOTH))
    assert not (server.dir / "keys" / "ca.key").exists()
    ca = x509.load_pem_x509_certificate(server.ca.read_bytes())
    assert isinstance(ca.public_key(), KINDS[kind])
    server.start()
    pid = keys_pid(server)
    assert is_there(server)
    rows = server.api("GET", "/api/v1/admin/keys").json()["keys"]
    assert {(k["role"], k["origin"], k["state"]) for k in rows if k["role"] == "command"} == {("command", "pkcs11", "primary")}
    assert {(k["role"], k["origin"]) for k in rows} == {("ca", "pkcs11"), ("command", "pkcs11")}, rows

    # An agent is enrolled and its certificate is the token's; it checks each command by a program that is not ours.
    authority, orders = Authority(server), Orders(server)
    agent = Obedient(authority, server.make_token())
    assert_issued(agent.certificate, server)
    for _ in range(3):
        c = orders.order("status", agent)
        agent.said(agent.one(), "done")
        assert orders.state(c["id"]) == "done"
    agent.down()
    assert keys_pid(server) == pid  # the second filter let it all through
    server.stop()


def test_a_token_that_goes_away_is_told_and_comes_back(make_server, folder):
    token = Token(folder / "token", "ca", "ed25519", "cmd", "ed25519")
    server = make_server(config=CONFIG, init=token.options(*BOTH)).start()
    pid = keys_pid(server)
    orders, agent = Orders(server), Obedient(Authority(server), server.make_token())
    token.away()
    # The first signature that is asked for notices: the signed time.
    r = call(server.agents, "GET", "/api/v1/time?nonce=" + "A" * 32)
    assert r.status == 503 and r.json()["code"] == "time_not_signed", r
    until(lambda: not is_there(server), 20, 0.2)
    assert call(server.operators, "GET", "/readyz").status == 503
    assert "token_away" in server.read_log()
    assert call(server.operators, "GET", "/livez").status == 200
    r = orders.post("status", [agent])
    assert (r.status, r.json()["code"]) == (503, "no_command_key"), r
    r = Agent(server, name("late")).register(server.make_token())
    assert r.status == 503, r
    until(lambda: [a for a in server.api("GET", "/api/v1/alerts").json()["alerts"] if a["kind"] == "key_unusable"])
    token.back()
    until(lambda: is_there(server), 20, 0.2)
    assert call(server.agents, "GET", "/api/v1/time?nonce=" + "A" * 32).status == 200
    orders.order("status", agent)
    agent.said(agent.one(), "done")
    agent.down()
    assert keys_pid(server) == pid  # it did not crash in between
    server.stop()


def test_a_command_key_moves_into_a_token(make_server, folder):
    server = make_server(config=CONFIG).start()
    authority, orders = Authority(server), Orders(server)
    agent = Obedient(authority, server.make_token())
    old = orders.get(orders.order("status", agent)["id"])["key_id"]
    agent.said(agent.one(), "done")
    server.stop()

    token = Token(folder / "token", "cmd", "p256")
    with server.config.open("a") as f:
        f.write(f"pkcs11:\n  module: {token.module}\n  pin_file: {token.pin}\n  command: pkcs11:token=troth;object=cmd\n"
                f"  folders: [{token.folder}]\n  environment: [SOFTHSM2_CONF={token.conf}]\n")
    server.start()

    def new():
        return [k for k in server.api("GET", "/api/v1/admin/keys").json()["keys"] if k["origin"] == "pkcs11"]

    (key,) = until(new)
    assert (key["role"], key["state"], key["version"], key["key_type"]) == ("command", "prepared", 2, "p256")
    authority.publish(commands=[base64.b64decode(key["spki"])])
    assert new()[0]["state"] == "active"
    agent.pulse(agent.mtls())  # the agent tells that it has the keyset, or is the laggard of a forced switch
    r = server.api("POST", f"/api/v1/admin/keys/{key['id']}/promote", {"reason": "into the token", "force": True})
    assert r.status == 200, r
    c = orders.order("status", agent)
    agent.down()
    agent.said(agent.one(), "done")
    assert orders.get(c["id"])["key_id"] == key["id"] != old
    listed = call(server.agents, "GET", "/api/v1/public-keys").json()
    assert [(k["algorithm"], k["is_primary"], k["version"]) for k in listed] == [("p256", True, 2), ("ed25519", False, 1)]
    agent.down()
    server.stop()


def test_what_is_wrong_is_said_at_the_start(make_server, folder):
    token = Token(folder / "token", "ca", "ed25519", "cmd", "p256", "twice", "ed25519", "twice", "ed25519")
    server = make_server(init=token.options(*BOTH))
    good = server.config.read_text()
    cases = [
        ("object=cmd", "object=none", "no private key"),
        ("object=cmd", "object=twice", "several private keys"),
        ("token=troth;object=cmd", "token=other;object=cmd", "no token"),
        ("object=ca", "object=cmd", "keys/ca.crt is not the certificate"),
        (str(token.folder) + '"\n', str(token.folder) + '/nowhere"\n', "pkcs11.folders"),
        (token.module, "/nonexistent.so", "pkcs11.module"),
    ]
    for old, new, says in cases:
        assert old in good
        server.config.write_text(good.replace(old, new))
        r = subprocess.run([program("trothd"), "run", "--config", str(server.config)], capture_output=True, text=True, timeout=30)
        assert r.returncode == 1 and says in r.stderr, (new, r.stderr)
    server.config.write_text(good)
    token.pin.write_text("wrong\n")
    r = subprocess.run([program("trothd"), "run", "--config", str(server.config)], capture_output=True, text=True, timeout=30)
    assert r.returncode == 1 and "refuses the PIN" in r.stderr and "wrong" not in r.stderr.replace("wrong PIN", "")
    assert r.stderr.count("refuses the PIN") == 1  # one try
    token.pin.write_text(PIN + "\n")
    token.pin.chmod(0o644)
    r = subprocess.run([program("trothd"), "check-config", "--config", str(server.config)], capture_output=True, text=True)
    assert r.returncode == 1 and "0600" in r.stderr
    token.pin.chmod(0o600)
    r = subprocess.run([program("trothd"), "check-config", "--config", str(server.config)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    # A new server certificate comes from the token.
    r = subprocess.run([program("trothd"), "renew-tls", "--config", str(server.config)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    assert_issued((server.dir / "tls" / "server.crt").read_bytes(), server)


def test_init_with_a_wrong_pin_leaves_nothing(folder):
    token = Token(folder / "token", "ca", "ed25519")
    token.pin.write_text("wrong\n")
    r = subprocess.run([program("trothd"), "init", "--dir", str(folder / "state"), "--trust-domain", "e2e.example",
                        *token.options("--pkcs11-ca", "pkcs11:token=troth;object=ca")], capture_output=True, text=True)
    assert r.returncode == 1 and "refuses the PIN" in r.stderr
    assert not (folder / "state").exists()


def test_a_refused_pin_is_not_tried_again_and_again(make_server, folder):
    """`keys` is put back after a death; with a PIN that was changed meanwhile it must not lock the token."""
    token = Token(folder / "token", "ca", "ed25519", "cmd", "ed25519")
    server = make_server(init=token.options(*BOTH)).start()
    token.pin.write_text("wrong\n")
    os.kill(keys_pid(server), signal.SIGKILL)
    until(lambda: "token_refuses_pin" in server.read_log(), 10)
    until(lambda: ready(server).get("parts", {}).get("keys") is False, 10, 0.2)
    time.sleep(1)  # the supervisor would have put it back several times by now
    assert server.read_log().count("token_refuses_pin") == 1
    server.stop()


def test_sandbox_of_keys_with_a_token(make_server, folder):
    """The second, wider filter kills like the first."""
    token = Token(folder / "token", "ca", "ed25519", "cmd", "ed25519")
    server = make_server(init=token.options(*BOTH))
    r = subprocess.run([program("trothd"), "check-sandbox", "--config", str(server.config)], capture_output=True, text=True)
    assert r.returncode == 0 and "keys      a forbidden system call kills it" in r.stdout, r.stdout + r.stderr
