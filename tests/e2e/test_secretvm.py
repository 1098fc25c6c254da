# SPDX-License-Identifier: Apache-2.0
"""SecretVM (TE-2, TE-3): its attestation server and signing service are doubles, the quote is of a simulated vendor."""

import base64
import datetime
import hashlib
import http.server
import json
import ssl
import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from attesting import policy
from client import make_key, public_pem, release, spki
from harness import AgentProgram, program
from lab import Lab
from waiting import until
from world import name

OK, REFUSED, STATE, WRONG_SERVER = 0, 2, 4, 5


@pytest.fixture(scope="module")
def lab():
    lab = Lab()
    lab.operator.put_in_force(policy(lab.vendor, "vm-app", types=("vm-app",), report_data="raw-ed25519"))
    lab.operator.put_in_force(policy(lab.vendor, "vm-host", types=("vm-host",), report_data="sha256-spki-der"))
    yield lab
    lab.server.destroy()


class Service:
    """An HTTP server in a thread; `answer(path, body)` gives status and bytes. With a context it is HTTPS."""

    def __init__(self, answer, tls=None):
        self.asked = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                service.asked.append((self.command, self.path, body))
                status, data = answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class Machine:
    """What a container of a SecretVM finds: two files and a signing service."""

    def __init__(self, vendor, folder, quoted=None, signs_with=None, **quote):
        self.key = make_key("ed25519")
        self.signs_with = signs_with or self.key
        raw = (quoted or self.key).public_key().public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw)
        self.pem, self.quote = folder / "docker_public_key_ed25519.pem", folder / "docker_attestation_ed25519.txt"
        self.pem.write_text(public_pem(self.key))
        self.quote.write_text(vendor.quote(raw + bytes(32), **quote).hex() + "\n")
        self.service = Service(self.sign)
        self.id = name("vm")

    def sign(self, path, body):
        q = json.loads(body)
        if path != "/sign" or q["key_type"] != "ed25519":
            return 404, b"{}"
        return 200, json.dumps({"signature": base64.b64encode(self.signs_with.sign(q["payload"].encode())).decode()}).encode()

    def register(self, lab, token=None, root=None, **env):
        pin = [] if root is None else ["--root", root]
        env = {"TROTH_TOKEN": token} if token else {}
        return subprocess.run(
            [program("troth-agent"), "secretvm", "--server", f"https://localhost:{lab.server.agents}", "--id", self.id, "--type",
             "vm-app", "--public-key", self.pem, "--quote", self.quote, "--sign-url", f"http://127.0.0.1:{self.service.port}",
             "--endpoint", "https://vm.example:8443/", "--capability", "index", "--capability", "search", *pin],
            capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin", **env})


@pytest.fixture
def machine(lab, tmp_path):
    made = []

    def make(**kw):
        made.append(Machine(lab.vendor, tmp_path, **kw))
        return made[-1]

    yield make
    for m in made:
        m.service.close()


def test_an_application_registers_by_its_machines_key(lab, machine):
    m = machine()
    r = m.register(lab, lab.world.token)
    assert r.returncode == OK, r.stderr
    got = json.loads(r.stdout)
    assert got["status"] == "registered" and got["verification_status"] == "verified" and got["agent_id"] == m.id
    row = lab.world.agent(m.id)
    assert row["form"] == "hub" and row["agent_type"] == "vm-app" and row["attestation"]["state"] == "verified"
    # The service was asked once, for a text that says what was sent.
    (method, path, body), = m.service.asked
    text = json.loads(body)["payload"].split("\n")
    assert (method, path) == ("POST", "/sign") and text[0] == "troth/request/v1" and text[2] == m.id
    # Known by its key now: no token any more, only which server it is.
    assert m.register(lab, root=lab.server.pin).returncode == OK


def test_the_services_word_is_not_taken_for_its_signature(lab, machine):
    m = machine(signs_with=make_key("ed25519"))
    r = m.register(lab, lab.world.token)
    assert r.returncode not in (OK, REFUSED) and "signature" in r.stderr, r.stderr
    assert lab.server.api("GET", f"/api/v1/agents/{m.id}").status == 404


def test_another_machines_quote_is_refused(lab, machine):
    m = machine(quoted=make_key("ed25519"))
    r = m.register(lab, lab.world.token)
    assert r.returncode == REFUSED and "report_data_mismatch" in r.stderr, r.stderr


def test_a_machine_that_its_host_may_read_is_refused(lab, machine):
    m = machine(attributes=1 | 1 << 28)
    r = m.register(lab, lab.world.token)
    assert r.returncode == REFUSED and "tee_debug" in r.stderr, r.stderr


def test_nothing_is_signed_for_the_wrong_server(lab, machine):
    m = machine()
    r = m.register(lab, root="00" * 32)
    assert r.returncode == WRONG_SERVER and not m.service.asked, r.stderr


def test_files_that_are_missing_or_none(lab, machine, tmp_path):
    m = machine()
    m.quote.write_text("<html>no quote</html>")
    assert m.register(lab, lab.world.token).returncode == STATE
    m.quote.unlink()
    assert m.register(lab, lab.world.token).returncode == STATE
    assert not m.service.asked


# ---- a whole agent whose key is that of the machine's TLS certificate ----

def certificate(key):
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a secret machine")])
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(7)
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .sign(key, hashes.SHA256()))


class Host(AgentProgram):
    """An agent that was made with the machine's key, and the machine's attestation server."""

    def __init__(self, lab, folder, quoted=None, status=200):
        super().__init__(folder / "state")
        self.lab, self.id = lab, name("vmhost")
        assert self.do("init", "--id", self.id, "--key-type", "p256").returncode == OK
        pem = next(p for p in self.state.iterdir() if b"PRIVATE KEY" in p.read_bytes())
        self.key = ser.load_pem_private_key(pem.read_bytes(), None)
        cert = folder / "cert.pem"
        cert.write_bytes(certificate(self.key).public_bytes(ser.Encoding.PEM))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert, pem)
        bound = hashlib.sha256(spki(quoted or self.key)).digest()
        quote = lab.vendor.quote(bound + bytes(32)).hex().encode()
        self.service = Service(lambda path, _: (status, quote) if path == "/cpu" else (404, b"{}"), tls)
        r = self.do("tee", "use", "secretvm", "--secretvm-url", f"https://127.0.0.1:{self.service.port}")
        assert r.returncode == OK and "secretvm" in r.stdout, r.stderr
        statement = folder / "statement"
        data = self.binary.read_bytes()
        statement.write_bytes(release(lab.world.release_key, hashlib.sha256(data).digest(), size=len(data)))
        token = lab.server.make_token(max_uses=1, ttl_s=3600, agent_type="vm-host")
        r = self.do("enroll", "--server", f"https://localhost:{lab.server.agents}", "--statement", statement, TROTH_TOKEN=token)
        assert r.returncode == OK, r.stderr

    def shown(self):
        r = self.do("tee", "show", "-o", "json")
        assert r.returncode == OK, r.stderr
        return json.loads(r.stdout)["attestation"]


@pytest.fixture
def host(lab, tmp_path):
    made = []

    def make(**kw):
        made.append(Host(lab, tmp_path, **kw))
        return made[-1]

    yield make
    for h in made:
        h.kill()
        h.service.close()


def test_an_agent_takes_its_quote_from_the_attestation_server(lab, host):
    h = host()
    h.start()
    got = until(lambda: (h.shown() or {}).get("state") == "verified" and h.shown(), 20)
    assert got["source"] == "secretvm" and got["kind"] == "tdx" and got["simulated"]
    assert lab.world.agent(h.id)["attestation"]["state"] == "verified"
    assert h.service.asked[0][:2] == ("GET", "/cpu")


def test_a_quote_of_another_tls_key_is_refused(lab, host):
    h = host(quoted=ec.generate_private_key(ec.SECP256R1()))
    h.start()
    got = until(lambda: (h.shown() or {}).get("failures") and h.shown(), 20)
    assert got["code"] == "report_data_mismatch", got


def test_a_server_without_a_quote_is_told(lab, host):
    h = host(status=404)
    h.start()
    got = until(lambda: (h.shown() or {}).get("failures") and h.shown(), 20)
    assert got["state"] == "unavailable", got
