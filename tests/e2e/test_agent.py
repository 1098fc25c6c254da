# SPDX-License-Identifier: Apache-2.0
"""The program troth-agent against a real server: what it says, what it stores, how it ends."""

import base64
import datetime
import hashlib
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from client import make_key, private_pem, public_pem, release, spki
from harness import AgentProgram, program

OK, USAGE, REFUSED, UNREACHABLE, STATE, WRONG_SERVER = range(6)


class Agent(AgentProgram):
    def init(self, *args):
        r = self.do("init", *args)
        assert r.returncode == OK, r.stderr
        return self

    def enroll(self, server, token, *args, **env):
        return self.do("enroll", "--server", f"https://localhost:{server.agents}", *args, TROTH_TOKEN=token, **env)

    def status(self):
        r = self.do("status", "-o", "json")
        assert r.returncode == OK, r.stderr
        return json.loads(r.stdout)

    def sha256(self):
        return hashlib.sha256(self.binary.read_bytes()).hexdigest()


@pytest.fixture
def agents(tmp_path):
    made = []

    def make(name, **kw):
        made.append(Agent(tmp_path / name, **kw))
        return made[-1]

    yield make
    for a in made:
        a.kill()


@pytest.fixture(scope="module", autouse=True)
def pinned(server):
    """The built agent is the one allowed binary."""
    sha = hashlib.sha256(pathlib.Path(program("troth-agent")).read_bytes()).hexdigest()
    assert server.api("PUT", "/api/v1/policy", {"hashes": f"sha256:{sha}"}).status == 200


@pytest.fixture(scope="module")
def token(server, pinned):
    return server.make_token(max_uses=100, partition="prod", agent_type="web")


def flipped(path, to):
    """A working copy with one byte changed where it does not matter: in the ELF header's padding."""
    data = bytearray(pathlib.Path(path).read_bytes())
    assert data[9:16] == bytes(7)
    data[15] ^= 1
    to.write_bytes(data)
    to.chmod(0o755)
    return to


def test_enrol_beat_stop(server, token, agents):
    a = agents("good").init("--id", "good")
    r = a.enroll(server, token)
    assert r.returncode == OK, r.stderr
    assert "spiffe://e2e.example/agent/good" in r.stdout and "self-asserted" in r.stdout
    for name in ("device.key", "cert.pem", "ca.pem", "keyset.cose", "agent.json"):
        assert (a.state / name).stat().st_mode & 0o077 == 0, name
    assert a.state.stat().st_mode & 0o777 == 0o700
    a.start().wait_for("event=pulse ")
    s = a.status()
    assert s["running"] and s["heartbeat"]["state"] == "ok" and s["heartbeat"]["beats"] == 1
    assert s["identity"]["partition"] == "prod" and s["identity"]["agent_type"] == "web"
    row = server.api("GET", "/api/v1/agents/good").json()
    assert row["heartbeats"] == 1 and row["running_hash"] == a.sha256()
    a.process.send_signal(signal.SIGHUP)
    a.wait_for("event=reloaded")
    a.wait_for("n=2 ")
    assert a.stop() == OK
    assert not a.status()["running"] and a.status()["heartbeat"]["state"] == "stopped"


def test_private_memory_is_small(server, token, agents):
    a = agents("small").init("--id", "small")
    assert a.enroll(server, token).returncode == OK
    a.start().wait_for("event=pulse ")
    rollup = pathlib.Path(f"/proc/{a.process.pid}/smaps_rollup").read_text()
    assert int(re.search(r"Private_Dirty:\s+(\d+) kB", rollup)[1]) <= 8 * 1024


@pytest.mark.parametrize("kind", ["ed25519", "p256", "rsa"])
def test_key_types(server, token, agents, kind):
    a = agents(kind).init("--id", f"key-{kind}", "--key-type", kind)
    assert a.enroll(server, token).returncode == OK
    a.start().wait_for("event=pulse ")
    assert a.stop() == OK


def test_init_never_overwrites(agents):
    a = agents("twice").init("--id", "twice")
    before = (a.state / "device.key").read_bytes()
    assert "used again" in a.do("init").stdout
    r = a.do("init", "--key-type", "rsa")
    assert r.returncode == STATE and "never overwritten" in r.stderr
    (a.state / "device.key").unlink()
    r = a.do("init")
    assert r.returncode == STATE and "gone" in r.stderr
    (a.state / "device.key").write_bytes(before)
    (a.state / "device.key").chmod(0o644)
    r = a.do("enroll", "--server", "https://localhost:1", "--root", "0" * 64)
    assert r.returncode == STATE and "0600" in r.stderr


def test_usage_and_local_faults(server, token, agents):
    a = agents("usage")
    assert a.do().returncode == USAGE
    assert a.do("dance").returncode == USAGE
    assert a.do("init", "--bogus").returncode == USAGE
    assert a.do("init", "--id", "a:b").returncode == USAGE and not a.state.exists()
    assert a.enroll(server, token).returncode == STATE  # no folder
    a.init()
    assert a.do("run").returncode == STATE  # not enrolled
    assert a.do("enroll", "--server", f"https://localhost:{server.agents}").returncode == USAGE  # no token
    assert a.enroll(server, token[:-1]).returncode == USAGE
    assert a.enroll(server, "tro_" + "A" * 43).returncode == USAGE
    assert a.do("enroll", "--server", "http://localhost", TROTH_TOKEN=token).returncode == USAGE
    assert a.enroll(server, token, "--version", "latest").returncode == STATE
    assert a.enroll(server, token, "--statement", "/nonexistent").returncode == STATE
    for command in ("init", "enroll", "run", "status", "announce", "rotate-key", "configure", "version"):
        r = a.do(command, "--help")
        assert r.returncode == OK and "Exit codes" in r.stdout


def test_unreachable_then_next_server(server, token, agents):
    a = agents("next").init("--id", "next")
    gone = "https://localhost:1"
    r = a.do("enroll", "--server", gone, TROTH_TOKEN=token)
    assert r.returncode == UNREACHABLE and "nothing listens" in r.stderr
    r = a.do("enroll", "--server", f"{gone},https://localhost:{server.agents}", TROTH_TOKEN=token)
    assert r.returncode == OK, r.stderr
    a.start().wait_for("event=pulse ")
    assert a.stop() == OK


def test_wrong_root_shows_both_fingerprints(server, make_server, token, agents):
    other = make_server().start()
    a = agents("wrong").init()
    r = a.enroll(other, token)
    assert r.returncode == WRONG_SERVER
    assert server.pin in r.stderr and other.pin in r.stderr
    assert other.attestations() == []  # nothing was sent to it
    assert not (a.state / "cert.pem").exists()


def test_flipped_byte_is_refused(server, token, agents, tmp_path):
    a = agents("flipped", binary=flipped(program("troth-agent"), tmp_path / "flipped-agent")).init("--id", "flipped")
    r = a.enroll(server, token)
    assert r.returncode == REFUSED and "hash_not_allowed" in r.stderr
    assert server.api("GET", "/api/v1/agents/flipped").status == 404


def test_clock_desync_shows_both_times(server, token, agents):
    a = agents("late").init("--id", "late")
    r = a.enroll(server, token, "--claim-time-offset", "-600")
    assert r.returncode == REFUSED and "clock_desync" in r.stderr
    assert "server_time" in r.stderr and "claim_time" in r.stderr and "skew_seconds   -6" in r.stderr


def test_replay_is_refused(server, token, agents, tmp_path):
    a = agents("first").init("--id", "first")
    assert a.enroll(server, token, "--save-request", str(tmp_path / "body")).returncode == OK
    r = a.enroll(server, token, "--replay", str(tmp_path / "body"))
    assert r.returncode == REFUSED
    assert "channel_mismatch" in r.stderr or "replay" in r.stderr


def test_bad_token(server, token, agents):
    a = agents("token").init("--id", "token")
    forged = token[:5] + ("A" if token[5] != "A" else "B") + token[6:]
    r = a.enroll(server, forged)
    assert r.returncode == REFUSED and "token_invalid" in r.stderr


def test_revoked_agent_says_so_and_goes_on(server, token, agents):
    a = agents("revoked").init("--id", "revoked")
    assert a.enroll(server, token).returncode == OK
    a.start().wait_for("event=pulse ")
    assert server.api("POST", "/api/v1/agents/revoked/revoke", {"reason": "test"}).status == 200
    a.process.send_signal(signal.SIGHUP)
    a.wait_for("level=error role=agent event=agent_revoked")
    assert a.status()["heartbeat"]["state"] == "revoked"
    assert a.process.poll() is None
    assert a.stop() == OK


def test_one_process_per_folder(server, token, agents):
    a = agents("single").init("--id", "single")
    assert a.enroll(server, token).returncode == OK
    a.start().wait_for("event=pulse ")
    assert a.do("run").returncode == STATE
    assert a.enroll(server, token).returncode == STATE
    assert a.stop() == OK


def test_server_away_and_back(make_server, agents):
    s = make_server(config="attestation:\n  mode: audit\n").start()
    a = agents("away").init("--id", "away")
    r = a.enroll(s, s.make_token())
    assert r.returncode == OK and "admitted_audit" in r.stdout and "hash_not_allowed" in r.stdout
    s.stop()
    a.start().wait_for("event=pulse_failed")
    assert a.status()["heartbeat"]["state"] == "unreachable"
    s.start()
    a.wait_for("event=pulse ", 30)
    assert a.stop() == OK


def test_certificate_is_renewed_at_half_life(server, token, agents):
    """A certificate past its half, made with the server's own CA: the server asks for renewal in its first answer."""
    a = agents("renew").init("--id", "renew")
    assert a.enroll(server, token).returncode == OK
    path = a.state / "cert.pem"
    cert = x509.load_pem_x509_certificate(path.read_bytes())
    ca = x509.load_pem_x509_certificate(server.ca.read_bytes())
    key = serialization.load_pem_private_key((server.dir / "keys" / "ca.key").read_bytes(), None)
    now = datetime.datetime.now(datetime.timezone.utc)
    b = (x509.CertificateBuilder().subject_name(cert.subject).issuer_name(ca.subject).public_key(cert.public_key())
         .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
         .not_valid_after(now + datetime.timedelta(minutes=10)))
    for e in cert.extensions:
        b = b.add_extension(e.value, e.critical)
    old = b.sign(key, None).public_bytes(serialization.Encoding.PEM)
    path.write_bytes(old)
    a.start().wait_for("event=certificate_renewed")
    new = x509.load_pem_x509_certificate(path.read_bytes())
    assert new.not_valid_after > cert.not_valid_after - datetime.timedelta(minutes=1)
    assert spki(new.public_key()) == spki(cert.public_key())
    a.process.send_signal(signal.SIGHUP)
    a.wait_for("n=2 ")
    assert a.stop() == OK
    assert server.metric("troth_certificate_renewals_total") >= 1


def test_token_leaves_the_command_line(token, agents):
    """Against a server that never answers, so that there is time to look."""
    a = agents("argv").init()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        p = subprocess.Popen([a.binary, "enroll", "--server", f"https://localhost:{silent.getsockname()[1]}",
                              "--token", token], env=a.env, stderr=subprocess.DEVNULL)
        try:
            silent.settimeout(10)
            conn, _ = silent.accept()
            assert token.encode() not in pathlib.Path(f"/proc/{p.pid}/cmdline").read_bytes()
            conn.close()
        finally:
            p.kill()
            p.wait()


def test_token_leaves_the_environment(token, agents):
    a = agents("environ").init()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        p = subprocess.Popen([a.binary, "enroll", "--server", f"https://localhost:{silent.getsockname()[1]}"],
                             env=dict(a.env, TROTH_TOKEN=token), stderr=subprocess.DEVNULL)
        try:
            silent.settimeout(10)
            conn, _ = silent.accept()
            assert token.encode() not in pathlib.Path(f"/proc/{p.pid}/environ").read_bytes()
            conn.close()
        finally:
            p.kill()
            p.wait()


def test_sigterm_does_not_wait_for_a_silent_server(server, token, agents):
    a = agents("silent").init("--id", "silent")
    assert a.enroll(server, token).returncode == OK
    with socket.create_server(("127.0.0.1", 0)) as silent:
        conf = json.loads((a.state / "agent.json").read_text())
        conf["servers"] = f"https://localhost:{silent.getsockname()[1]}"
        (a.state / "agent.json").write_text(json.dumps(conf))
        a.start()
        silent.settimeout(10)
        conn, _ = silent.accept()
        assert a.stop(2) == OK
        conn.close()


def test_the_running_image_counts_not_the_file(server, token, agents, tmp_path):
    """Enrolling from a copy whose AGENT_BINARY_PATH is another file: admitted by what runs, both told."""
    a = agents("disk").init("--id", "disk")
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    r = a.enroll(server, token, "--save-request", str(tmp_path / "body"), AGENT_BINARY_PATH=str(other))
    assert r.returncode == OK and "is not the binary that runs" in r.stderr
    claim = cbor2.loads(base64.b64decode(json.loads((tmp_path / "body").read_text())["claim"]))
    payload = cbor2.loads(claim.value[2])
    assert payload[-65539].hex() == a.sha256()
    assert payload[-65542] == [str(other), hashlib.sha256(b"something else").digest()]


def test_release_statement_beside_the_binary(make_server, agents, tmp_path):
    server = make_server().start()  # without pins, which would be the only word
    token = server.make_token(max_uses=5)
    copy = flipped(program("troth-agent"), tmp_path / "released-agent")
    key = make_key("ed25519")
    a = agents("released", binary=copy).init("--id", "released")
    pathlib.Path(f"{copy}.release").write_bytes(release(key, bytes.fromhex(a.sha256()), "9.8.7"))
    r = a.enroll(server, token)
    assert r.returncode == REFUSED and "key" in r.stderr, r.stderr  # a statement by a key that nobody registered
    r = server.api("POST", "/api/v1/verification-keys", {"name": "build", "use": "release", "pem": public_pem(key)})
    assert r.status == 201, r
    r = a.enroll(server, token)
    assert r.returncode == OK, r.stderr
    row = server.api("GET", "/api/v1/agents/released").json()
    assert row["version"] == "9.8.7" and row["release_name"] == "troth-agent" and row["platform"] == "linux-amd64"


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "p256"])
def test_original_claim(make_server, agents, tmp_path, kind):
    s = make_server(config="attestation:\n  accept: [native, original]\n").start()
    key = make_key(kind)
    path = tmp_path / "fleet.pem"
    path.write_bytes(private_pem(key))
    path.chmod(0o600)
    assert s.api("POST", "/api/v1/verification-keys",
                 {"name": "fleet", "use": "fleet", "pem": public_pem(key)}).status == 201
    a = agents("orig").init("--id", "orig")
    assert s.api("PUT", "/api/v1/policy", {"hashes": f"sha256:{a.sha256()}"}).status == 200
    token = s.make_token(max_uses=5)
    assert a.enroll(s, token, "--original").returncode == STATE  # no key named
    r = a.enroll(s, token, "--original", "--save-request", str(tmp_path / "body"),
                 ATTESTATION_PRIVATE_KEY_PATH=str(path), AGENT_VERSION="v1.2.3")
    assert r.returncode == OK, r.stderr
    assert not (a.state / "cert.pem").exists()
    row = s.api("GET", "/api/v1/agents/orig").json()
    assert row["form"] == "original" and row["version"] == "v1.2.3"
    r = a.enroll(s, token, "--original", "--replay", str(tmp_path / "body"))
    assert r.returncode == REFUSED and "(replay, " in r.stderr


def test_version_shows_the_running_image(agents, tmp_path):
    copy = tmp_path / "copy"
    shutil.copy(program("troth-agent"), copy)
    a = agents("v", binary=copy)
    for command in "version", "--version":
        r = a.do(command)
        assert r.returncode == OK and a.sha256() in r.stdout and str(copy) in r.stdout
